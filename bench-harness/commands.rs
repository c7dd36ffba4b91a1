//! The subcommands that load brokers: their arguments, and what they print.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::compare::{self, Bench};
use crate::contender::{Contender, Place};
use crate::limits;
use crate::null_broker;
use crate::report;
use crate::results;
use crate::run::{self, Conduct, Target};
use crate::suite::{self, Order};
use crate::workload::{LIBRARY, Rate, Workload, parse_duration};

/// A workload, and what of it is to be different.
#[derive(Args, Clone, Debug)]
pub struct WorkloadArgs {
    /// Another rate: records per second of all producers together, or "max"
    #[arg(long, value_parser = parse_rate)]
    pub rate: Option<Rate>,
    /// Another duration of measuring, for example 10s
    #[arg(long, value_parser = parse_duration)]
    pub duration: Option<u64>,
    /// Another warm-up
    #[arg(long, value_parser = parse_duration)]
    pub warm_up: Option<u64>,
    /// Other acknowledgements: all, 1 or 0
    #[arg(long, value_parser = parse_acks, allow_hyphen_values = true)]
    pub acks: Option<i16>,
    /// Another number of partitions
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// Another number of idle connections
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub idle_connections: Option<u32>,
}

impl WorkloadArgs {
    /// Reads a workload and changes it. Errors: as `Workload::load` says.
    pub fn load(&self, name: &str) -> io::Result<Workload> {
        let mut workload = Workload::load(name).map_err(io::Error::other)?;
        workload.rate = self.rate.unwrap_or(workload.rate);
        workload.duration = self.duration.unwrap_or(workload.duration);
        workload.warm_up = self.warm_up.unwrap_or(workload.warm_up);
        workload.partitions = self.partitions.unwrap_or(workload.partitions);
        workload.idle_connections = self.idle_connections.unwrap_or(workload.idle_connections);
        if let Some(acks) = self.acks {
            (workload.acks, workload.idempotent) = (acks, workload.idempotent && acks == -1);
        }
        workload.check().map_err(io::Error::other)?;
        Ok(workload)
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(Rate::Max),
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(Rate::PerSecond(rate)),
        _ => Err("expected records per second, or max".to_owned()),
    }
}

fn parse_acks(text: &str) -> Result<i16, String> {
    match text {
        "all" | "-1" => Ok(-1),
        "1" => Ok(1),
        "0" => Ok(0),
        _ => Err("expected all, 1 or 0".to_owned()),
    }
}

/// Parses `0`, `0,2` or `0-3,7`. Errors: says what is allowed.
pub fn parse_cpus(text: &str) -> Result<Cpus, String> {
    let wrong = || "expected cores such as 0, 0,2 or 0-3".to_owned();
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) =
            (first.parse::<usize>().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if first > last || last >= 1024 {
            return Err(wrong());
        }
        cpus.extend(first..=last);
    }
    Ok(Cpus(cpus))
}

/// Numbers of cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpus(pub Vec<usize>);

/// Arguments of `run`.
#[derive(Args, Clone, Debug)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// A workload file, or the name of one of the library (see `workloads`)
    workload: String,
    /// Where the broker listens
    #[arg(long, default_value = "127.0.0.1:9092")]
    bootstrap: String,
    /// The broker's process on this machine, to measure what it consumes
    #[arg(long)]
    pid: Option<u32>,
    /// What the results call the broker
    #[arg(long, default_value = "broker")]
    label: String,
    /// Cores for the load, one thread each. Default: as many threads as there are cores, not pinned
    #[arg(long, value_parser = parse_cpus)]
    cpus: Option<Cpus>,
    /// Where the results' folder is made
    #[arg(long, default_value = "target/bench-results")]
    out: PathBuf,
    /// Count the broker's system calls with perf; it costs the broker something
    #[arg(long)]
    syscalls: bool,
    /// Record with perf where the broker's CPU time goes, into perf.data beside the results
    #[arg(long)]
    profile: bool,
    /// Leave the topics behind
    #[arg(long)]
    keep_topics: bool,
    /// Draw nothing while it runs
    #[arg(long, short)]
    quiet: bool,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workload_args: WorkloadArgs,
}

const RUN_EXAMPLES: &str = "\
Examples:
  corelane-bench run steady-1k
  corelane-bench run steady-100b --rate max --duration 20s --pid $(pgrep -x corelane)
  corelane-bench run my-load.toml --bootstrap 10.0.0.5:9092 --cpus 2-3

Exit codes: 0 all well; 3 records failed, were wrong or went missing; 1 nothing could be measured.";

/// Runs a workload against a running broker; whether everything was as it should be.
pub fn run(args: &RunArgs) -> io::Result<bool> {
    let workload = args.workload_args.load(&args.workload)?;
    let target = Target {
        label: args.label.clone(),
        bootstrap: args.bootstrap.clone(),
        pid: args.pid,
        about: json!({ "bootstrap": args.bootstrap }),
        bare_answers: false,
    };
    let conduct = Conduct {
        cpus: args.cpus.clone().unwrap_or_default().0,
        dir: args.out.clone(),
        count_syscalls: args.syscalls,
        profile: profile_in(args.profile, &args.out),
        keep_topics: args.keep_topics,
        is_quiet: args.quiet,
    };
    let results = run::run(&workload, &target, &conduct)?;
    let folder = results.store(&args.out)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&results.json)?);
    } else {
        println!("{}\n  results      {}", results::table(&results.json), folder.display());
    }
    Ok(results.is_clean())
}

/// Arguments of `workloads`.
#[derive(Args, Clone, Debug)]
pub struct WorkloadsArgs {
    /// Print the text of this one
    name: Option<String>,
}

/// Lists the library.
pub fn workloads(args: &WorkloadsArgs) -> io::Result<()> {
    if let Some(name) = &args.name {
        let workload = Workload::load(name).map_err(io::Error::other)?;
        print!("{}", workload.text);
        return Ok(());
    }
    for (name, text) in LIBRARY {
        let workload = Workload::parse(text).map_err(io::Error::other)?;
        println!("{name:<24} {}", workload.about);
    }
    Ok(())
}

/// Arguments of `compare`.
#[derive(Args, Clone, Debug)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// Workload files or names of the library
    #[arg(default_value = "steady-1k")]
    workloads: Vec<String>,
    /// Who is compared: corelane, kafka, kafka-fsync, null, or NAME=HOST:PORT of one that runs already
    #[arg(long, value_delimiter = ',', default_value = "corelane,kafka,kafka-fsync")]
    contenders: Vec<Contender>,
    /// Rounds, each of all contenders
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Instead of comparing, find each contender's highest rate with an end-to-end p99 below so many milliseconds
    #[arg(long, value_name = "P99_MS")]
    highest_rate: Option<f64>,
    /// Instead, measure and judge a set of targets with the workloads of the library
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Only these targets of the suite, by number
    #[arg(long, value_delimiter = ',', requires = "suite")]
    only: Vec<u32>,
    /// Load each contender with Kafka's own producer-perf-test too
    #[arg(long)]
    cross_check: bool,
    /// Count system calls with perf; latencies suffer
    #[arg(long)]
    syscalls: bool,
    /// Record with perf where each broker's CPU time goes, into perf.data beside the results of each run
    #[arg(long, conflicts_with_all = ["highest_rate", "suite"])]
    profile: bool,
    #[command(flatten)]
    setting: SettingArgs,
    #[command(flatten)]
    workload_args: WorkloadArgs,
}

/// Sets of targets.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Suite {
    /// Cost, latency, rates, ceilings, scaling, disturbances: numbers 1 to 6
    Targets,
    /// One hour at a steady rate: number 7
    Soak,
}

/// Where contenders are, on which cores everything runs and where results go.
#[derive(Args, Clone, Debug)]
pub struct SettingArgs {
    /// Corelane's binary
    #[arg(long, default_value = "target/release/corelane")]
    corelane: PathBuf,
    /// One more setting for Corelane, KEY=VALUE
    #[arg(long = "corelane-set", value_name = "KEY=VALUE")]
    corelane_settings: Vec<String>,
    /// The folder with Kafka's jars; tests/setup fills the default
    #[arg(long, default_value = "tests/.deps/java")]
    kafka_jars: PathBuf,
    /// An unpacked distribution of Kafka, instead of the jars
    #[arg(long)]
    kafka_home: Option<PathBuf>,
    /// One more setting for Kafka, KEY=VALUE
    #[arg(long = "kafka-set", value_name = "KEY=VALUE")]
    kafka_settings: Vec<String>,
    /// Cores of the brokers
    #[arg(long, value_parser = parse_cpus, default_value = "0")]
    broker_cpus: Cpus,
    /// Cores of the load, one thread each
    #[arg(long, value_parser = parse_cpus, default_value = "1")]
    load_cpus: Cpus,
    /// Where data directories are made: the disk that is measured
    #[arg(long, default_value = "target/bench-data")]
    dir: PathBuf,
    /// Where the comparison's folder is made
    #[arg(long, default_value = "target/bench-results")]
    out: PathBuf,
    /// Draw nothing while it runs
    #[arg(long, short)]
    quiet: bool,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  corelane-bench compare steady-1k steady-100b --rounds 5
  corelane-bench compare max-1k --contenders corelane,null
  corelane-bench compare steady-100b --highest-rate 10 --duration 5s
  corelane-bench compare steady-1k --contenders corelane,other=10.0.0.5:9092
  corelane-bench compare --suite targets --rounds 3 --warm-up 30s --duration 60s
  corelane-bench compare --suite targets --only 1,4";

impl SettingArgs {
    /// What measurements share; makes the comparison's folder name.
    fn bench(&self, name: &str, watched: Watched) -> Bench {
        let jars = self.kafka_home.as_ref().map_or_else(|| self.kafka_jars.clone(), |home| home.join("libs"));
        let corelane_args = self.corelane_settings.iter().flat_map(|one| ["--set".to_owned(), one.clone()]);
        Bench {
            place: Place {
                corelane: self.corelane.clone(),
                corelane_args: corelane_args.collect(),
                kafka_jars: jars,
                kafka_settings: self.kafka_settings.clone(),
                dir: self.dir.clone(),
                cpus: self.broker_cpus.0.clone(),
            },
            conduct: Conduct {
                cpus: self.load_cpus.0.clone(),
                dir: self.dir.clone(),
                count_syscalls: watched.syscalls,
                profile: profile_in(watched.profile, &self.out),
                keep_topics: false,
                is_quiet: self.quiet,
            },
            out: self.out.join(format!("{name}-{}", crate::clock::utc_name())),
            cross_check: watched.cross_check,
        }
    }
}

/// What is done beside the load.
#[derive(Clone, Copy)]
struct Watched {
    cross_check: bool,
    syscalls: bool,
    profile: bool,
}

/// Where a profile is recorded until its run has a folder: below `out`, from where it can be moved.
fn profile_in(wanted: bool, out: &Path) -> Option<PathBuf> {
    wanted.then(|| out.join(format!("perf-{}.data", std::process::id())))
}

/// Compares contenders; whether all could be measured and nothing failed.
pub fn compare(args: &CompareArgs) -> io::Result<bool> {
    let watched = Watched { cross_check: args.cross_check, syscalls: args.syscalls, profile: args.profile };
    if let Some(suite) = args.suite {
        let bench = args.setting.bench("suite", watched);
        let workload = |name: &str| args.workload_args.load(name);
        let order = Order { bench: &bench, rounds: args.rounds, only: &args.only, workload: &workload };
        return match suite {
            Suite::Targets => suite::targets(&order),
            Suite::Soak => suite::soak(&order),
        };
    }
    let bench = args.setting.bench("compare", watched);
    let load = |name: &String| args.workload_args.load(name);
    let workloads = args.workloads.iter().map(load).collect::<io::Result<Vec<_>>>()?;
    let Some(p99_ms) = args.highest_rate else {
        return compare::compare(&bench, &workloads, &args.contenders, args.rounds);
    };
    compare::highest_rates(&bench, &workloads, &args.contenders, args.rounds, p99_ms)
}

/// Arguments of `report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Folders of runs, or of comparisons, whose runs are taken all
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// The page to write
    #[arg(long, default_value = "report.html")]
    out: PathBuf,
}

/// Draws any number of runs side by side.
pub fn report(args: &ReportArgs) -> io::Result<()> {
    let mut runs = Vec::new();
    for folder in &args.folders {
        let inside = folder.join("runs");
        if inside.is_dir() {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(&inside)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<_>>()?;
            paths.sort();
            for path in paths {
                runs.push(results::load(&path)?);
            }
        } else {
            runs.push(results::load(folder)?);
        }
    }
    std::fs::write(&args.out, report::page(&runs)?)?;
    println!("{} runs in {}", runs.len(), args.out.display());
    Ok(())
}

/// Arguments of `limits`.
#[derive(Args, Clone, Debug)]
pub struct LimitsArgs {
    /// A directory on the disk to measure
    #[arg(long, default_value = "target/bench-data")]
    dir: PathBuf,
    /// How long each part takes
    #[arg(long, value_parser = parse_duration, default_value = "2s")]
    each: u64,
    /// Cores of sender and receiver, for example 0,1. Default: not pinned
    #[arg(long, value_parser = parse_cpus)]
    cpus: Option<Cpus>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Measures what the machine can do.
pub fn limits(args: &LimitsArgs) -> io::Result<()> {
    let cpus = args.cpus.clone().unwrap_or_default().0;
    let limits = limits::limits(&args.dir, Duration::from_nanos(args.each), &cpus)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&limits)?);
    } else {
        println!("{}", limits::tables(&limits));
    }
    Ok(())
}

/// Arguments of `null-broker`.
#[derive(Args, Clone, Debug)]
pub struct NullBrokerArgs {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Where its file lies
    #[arg(long, default_value = "target/bench-data/null")]
    dir: PathBuf,
}

/// Serves as the null broker until killed.
pub fn null_broker(args: &NullBrokerArgs) -> io::Result<()> {
    null_broker::serve(&args.listen, &args.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores() {
        for (text, expected) in [("0", vec![0]), ("0,2", vec![0, 2]), ("1-3,7", vec![1, 2, 3, 7])] {
            assert_eq!(parse_cpus(text), Ok(Cpus(expected)));
        }
        for text in ["", "a", "3-1", "1,,2", "-1", "5000"] {
            assert!(parse_cpus(text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn what_is_given_beats_the_file() {
        let args = WorkloadArgs {
            rate: parse_rate("max").ok(),
            duration: parse_duration("2s").ok(),
            warm_up: None,
            acks: parse_acks("1").ok(),
            partitions: Some(3),
            idle_connections: None,
        };
        let workload = args.load("steady-1k").expect("of the library");
        assert_eq!((workload.rate, workload.acks, workload.idempotent), (Rate::Max, 1, false));
        assert_eq!((workload.partitions, workload.duration), (3, 2_000_000_000));
        assert!(args.load("no-such-workload").is_err());
        for bad in ["", "0", "-5", "fast"] {
            assert!(parse_rate(bad).is_err(), "{bad:?} was taken");
        }
    }
}
