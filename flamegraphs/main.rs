//! `corelane-flame`: records where the broker's CPU time goes under a standard workload, and draws it as a flame graph.
//!
//! One command builds the broker with frame pointers, has `corelane-bench` start, pin, load and sample it, folds the samples,
//! draws them and writes the figures into `README.md` beside the readings that people wrote there. Starting, pinning and
//! loading are `corelane-bench`'s; this program runs it and copies nothing of it.

mod names;
mod stacks;
mod summary;
mod picture;
mod readings;
mod programs;
mod record;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// The profiles that `README.md` reads: what each shows, and the workload of `corelane-bench` that it is taken under.
pub const PROFILES: [(&str, &str); 5] = [
    ("produce", "produce-1k"),
    ("tail fetch", "fan-out-1k"),
    ("history fetch", "drain-1k"),
    ("small records", "steady-100b"),
    ("many partitions", "partitions-1000-1k"),
];

#[derive(Parser)]
#[command(name = "corelane-flame", version, about = "Draws where a Corelane broker's CPU time goes")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the profiles and the workload of each
    List,
    /// Records a profile: builds, loads, samples, draws flamegraphs/WORKLOAD.svg and prints a summary
    Record(RecordArgs),
}

/// Arguments of `record`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecordArgs {
    /// Any workload of corelane-bench's library (see `corelane-bench workloads`)
    #[arg(required_unless_present = "all", value_parser = names::parse_workload)]
    pub workload: Option<String>,
    /// Record all profiles that `list` shows
    #[arg(long, conflicts_with = "workload")]
    pub all: bool,
    /// A broker that is built already, instead of building this commit's with frame pointers
    #[arg(long)]
    pub broker: Option<PathBuf>,
    /// Cores of the broker, one shard each
    #[arg(long, default_value = "0")]
    pub broker_cpus: String,
    /// Cores of the load
    #[arg(long, default_value = "1")]
    pub load_cpus: String,
    /// How long the load runs before it is measured; sampled too
    #[arg(long, default_value = "3s")]
    pub warm_up: String,
    /// How long it is measured; a drain ends when everything is read
    #[arg(long, default_value = "15s")]
    pub duration: String,
}

const EXAMPLES: &str = "\
Examples:
  corelane-flame record produce-1k
  corelane-flame record depth-1 --duration 30s
  corelane-flame record --all";

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::List => list(),
        Command::Record(args) => record::record(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corelane-flame: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> io::Result<()> {
    for (profile, workload) in PROFILES {
        println!("{profile:<16} {workload:<20} flamegraphs/{workload}.svg");
    }
    Ok(())
}
