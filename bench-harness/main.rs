//! `corelane-bench`: loads and measures a broker from outside, as a client and as a neighbour on the same machine.
//!
//! `run` loads any Kafka-compatible broker with a workload; see `README.md`. Every figure that `src/README.md` quotes
//! comes from a subcommand of `measure`; each prints what it compares with in the same run, since a lone figure of a
//! shared machine says nothing.

mod clock;
mod pacing;
mod content;
mod keys;
mod batches;
mod hdr;
mod verify;
mod workload;
mod connection;
mod patience;
mod perf;
mod syscalls;
mod process;
mod machine;
mod link;
mod poll;
mod cluster;
mod tally;
mod plan;
mod producer;
mod consumer;
mod lane;
mod load;
mod live;
mod results;
mod run;
mod summary;
mod report;
mod contender;
mod crosscheck;
mod compare;
mod limits;
mod suite;
mod null_broker;
mod broker;
mod measure;
mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "corelane-bench", version, about = "Measures a Corelane broker from outside")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures one property of a broker that is started for it, beside what the machine itself can do
    #[command(subcommand)]
    Measure(Measure),
    /// Loads a running broker with a workload, verifies what arrives and stores the results
    Run(commands::RunArgs),
    /// Loads Corelane, Apache Kafka and others in turn, with the same workload on the same cores and disk
    Compare(commands::CompareArgs),
    /// Draws stored runs side by side into one HTML page
    Report(commands::ReportArgs),
    /// Measures what the machine itself can do: network, disk, memory
    Limits(commands::LimitsArgs),
    /// Serves as the ceiling for Produce: writes what it receives, synced, and answers
    NullBroker(commands::NullBrokerArgs),
    /// Lists the workloads that come with the program, or prints one
    Workloads(commands::WorkloadsArgs),
}

/// What all measurements need.
#[derive(Args, Clone)]
struct Common {
    /// The broker's binary
    #[arg(long, default_value = "target/release/corelane")]
    broker: PathBuf,
    /// A directory on the disk to measure; emptied of what the measurement made
    #[arg(long, default_value = "target/measure")]
    dir: PathBuf,
    /// The broker's number of shards
    #[arg(long, default_value_t = 2)]
    shards: u16,
}

#[derive(Subcommand)]
enum Measure {
    /// Time from exec to ready: on an empty directory, after a clean stop, after kill -9 with much data
    Start {
        #[command(flatten)]
        common: Common,
        /// Starts on an empty directory
        #[arg(long, default_value_t = 20)]
        rounds: u32,
        /// Partitions for the start after a clean stop
        #[arg(long, default_value_t = 1000)]
        partitions: i32,
        /// MiB of records for the start after kill -9
        #[arg(long, default_value_t = 10_240)]
        mib: u64,
    },
    /// Latency of acks=all at depth 1, beside the bare synced write and the bare round trip
    Latency {
        #[command(flatten)]
        common: Common,
        /// Bytes of the one record in each request
        #[arg(long, default_value_t = 3900)]
        bytes: usize,
        /// Requests
        #[arg(long, default_value_t = 10_000)]
        requests: u32,
    },
    /// Reading history, beside a bare sendfile loop over the same bytes
    CatchUp {
        #[command(flatten)]
        common: Common,
        /// MiB to read
        #[arg(long, default_value_t = 1024)]
        mib: u64,
        /// Rounds, each of both
        #[arg(long, default_value_t = 5)]
        rounds: u32,
    },
    /// CPU of a broker that nobody uses
    Idle {
        #[command(flatten)]
        common: Common,
        /// Seconds to watch
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// Disk taken by empty partitions
    Room {
        #[command(flatten)]
        common: Common,
        /// Partitions
        #[arg(long, default_value_t = 1000)]
        partitions: i32,
    },
    /// Consumer groups: commits per second, the start behind many commits, how long a large group takes to settle
    Groups {
        #[command(flatten)]
        common: Common,
        /// Groups for the start
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
        groups: u32,
        /// Offsets that they have committed together
        #[arg(long, default_value_t = 1_000_000)]
        commits: u32,
        /// Members of the large group
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(2..))]
        members: u16,
    },
    /// System calls and CPU per produce and per fetch request (needs perf and the right to use it)
    Cost {
        #[command(flatten)]
        common: Common,
        /// Requests
        #[arg(long, default_value_t = 20_000)]
        requests: u32,
        /// Records in each request
        #[arg(long, default_value_t = 1)]
        records: u32,
        /// Bytes of each record
        #[arg(long, default_value_t = 100)]
        bytes: usize,
        /// Requests under way
        #[arg(long, default_value_t = 1)]
        depth: usize,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Measure(what) => measured(what).map(|()| true),
        Command::Run(args) => commands::run(&args),
        Command::Compare(args) => commands::compare(&args),
        Command::Report(args) => commands::report(&args).map(|()| true),
        Command::Limits(args) => commands::limits(&args).map(|()| true),
        Command::NullBroker(args) => commands::null_broker(&args).map(|()| true),
        Command::Workloads(args) => commands::workloads(&args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // It ran to its end, and the broker failed it: records are wrong or missing, or a request was refused.
        Ok(false) => ExitCode::from(3),
        Err(error) => {
            eprintln!("corelane-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measured(what: Measure) -> std::io::Result<()> {
    match what {
        Measure::Start { common, rounds, partitions, mib } => {
            measure::rest::start(&common, rounds, partitions, mib)
        }
        Measure::Latency { common, bytes, requests } => measure::latency::latency(&common, bytes, requests),
        Measure::CatchUp { common, mib, rounds } => measure::catch_up::catch_up(&common, mib, rounds),
        Measure::Idle { common, seconds } => measure::rest::idle(&common, seconds),
        Measure::Room { common, partitions } => measure::rest::room(&common, partitions),
        Measure::Groups { common, groups, commits, members } => {
            measure::groups::groups(&common, groups, commits, members.into())
        }
        Measure::Cost { common, requests, records, bytes, depth } => {
            measure::cost::cost(&common, requests, records, bytes, depth)
        }
    }
}
