//! The `corelane` command line: the root command, its exit codes, and the hand-over to each subcommand.
//!
//! What it is not: the broker. `serve` is handed to [`crate::serve`]; everything else here is an ordinary client program.

pub mod escape;
pub mod failure;
pub mod interrupt;
pub mod moment;

pub mod connect;
pub mod output;
pub mod template;

pub mod input;

pub mod config;
pub mod consume;
pub mod describe;
pub mod reset;

pub mod group;
pub mod log;
pub mod produce;
pub mod topic;
pub mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::args::ServeArgs;
use crate::cli::config::ConfigArgs;
use crate::cli::consume::ConsumeArgs;
use crate::cli::failure::Failure;
use crate::cli::group::GroupArgs;
use crate::cli::log::LogArgs;
use crate::cli::produce::ProduceArgs;
use crate::cli::topic::TopicArgs;
use crate::cli::tune::TuneArgs;

const ROOT_HELP: &str = "\
Exit codes:
  0  done
  1  the broker refused, or part of the work failed; serve: the broker could not start
  2  the command line is wrong
  3  no broker could be reached, or the deadline passed
  4  reading or writing a local file, standard input or standard output failed
  5  a check found damage, or something bad";

/// A Kafka-wire-compatible broker for latency-critical Linux deployments, and the tools to use it.
#[derive(Parser, Debug)]
#[command(name = "corelane", version, after_help = ROOT_HELP, disable_help_subcommand = true)]
pub struct Root {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start a broker and serve Kafka clients until SIGTERM or SIGINT
    Serve(ServeArgs),
    /// Create, list, describe, alter and delete topics
    Topic(TopicArgs),
    /// Write records from standard input to a topic
    Produce(ProduceArgs),
    /// Write records of a topic to standard output
    Consume(ConsumeArgs),
    /// List, describe, reset and delete consumer groups
    Group(GroupArgs),
    /// Show and change settings of brokers, topics and groups
    Config(ConfigArgs),
    /// Look into segment files, and check them
    Log(LogArgs),
    /// Check this host, change what can be put back, measure the disk
    Tune(TuneArgs),
}

/// Parses the process's arguments and runs what they ask for.
pub fn run() -> ExitCode {
    let outcome = match Root::parse().command {
        Command::Serve(args) => return crate::serve::run(args),
        Command::Topic(args) => topic::run(&args),
        Command::Produce(args) => produce::run(&args),
        Command::Consume(args) => consume::run(&args),
        Command::Group(args) => group::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Tune(args) => tune::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => Failure::report(&failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Root::command().debug_assert();
    }

    #[test]
    fn serve_takes_its_flags() {
        let line = "corelane serve --data-dir d --listen [::1]:1 --http h:2 --shards 3 --config c --set a=b --set c=d";
        let root = Root::try_parse_from(line.split(' ')).expect("a correct command line");
        let Command::Serve(args) = root.command else { panic!("serve, not {root:?}") };
        assert_eq!(args.data_dir.as_deref(), Some(std::path::Path::new("d")));
        assert_eq!(args.listen.map(|at| at.port), Some(1));
        assert_eq!(args.http.map(|at| at.host), Some("h".to_string()));
        assert_eq!(args.shards, Some(3));
        assert_eq!(args.settings.len(), 2);
    }

    #[test]
    fn serve_refuses_zero_shards() {
        assert!(Root::try_parse_from(["corelane", "serve", "--shards", "0"]).is_err());
    }
}
