//! `corelane-bench`: measures a broker from outside, as a client and as a neighbour on the same machine.
//!
//! Every figure that `src/README.md` quotes comes from a subcommand of `measure`; each prints what it compares with in
//! the same run, since a lone figure of a shared machine says nothing. Not a load generator (yet): one connection, known
//! sizes.

mod broker;
mod connection;
mod measure;

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
    let Command::Measure(what) = Cli::parse().command;
    let measured = match what {
        Measure::Start { common, rounds, partitions, mib } => {
            measure::rest::start(&common, rounds, partitions, mib)
        }
        Measure::Latency { common, bytes, requests } => measure::latency::latency(&common, bytes, requests),
        Measure::CatchUp { common, mib, rounds } => measure::catch_up::catch_up(&common, mib, rounds),
        Measure::Idle { common, seconds } => measure::rest::idle(&common, seconds),
        Measure::Room { common, partitions } => measure::rest::room(&common, partitions),
        Measure::Cost { common, requests, records, bytes, depth } => {
            measure::cost::cost(&common, requests, records, bytes, depth)
        }
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelane-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
