//! The arguments shared by all commands that talk to a broker.

use std::time::Duration;

use crate::args::{HostPort, parse_host_port};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::client::Client;

/// Where the brokers are and how long to wait for them.
#[derive(clap::Args, Clone, Debug)]
pub struct ConnectArgs {
    /// Brokers to start from; one that answers is enough
    #[arg(
        short,
        long,
        global = true,
        value_name = "HOST:PORT,...",
        env = "CORELANE_BOOTSTRAP",
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        value_parser = parse_host_port,
    )]
    pub bootstrap: Vec<HostPort>,

    /// How long one operation may take, repetitions included, such as 500ms, 30s or 2m
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,
}

impl ConnectArgs {
    /// Connects. Errors: exit code 3 if nobody answers.
    pub fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.bootstrap, self.timeout)?)
    }
}

/// What the commands with subcommands give to each of them.
#[derive(clap::Args, Debug)]
pub struct ClientArgs {
    /// The brokers
    #[command(flatten)]
    pub connect: ConnectArgs,

    /// How to print the result
    #[arg(long, value_enum, default_value_t, global = true)]
    pub output: Output,
}

/// Parses `500ms`, `30s`, `2m`, `1h`; a bare number is seconds. Errors: a text for the person who typed it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "expected a time like 500ms, 30s or 2m".to_string())?;
    let ms = match &text[digits.len()..] {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        unit => return Err(format!("{unit:?} is no unit of time; known are ms, s, m, h")),
    };
    match ms {
        Some(ms) if (1..=86_400_000).contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err("expected a time from 1ms to 24h".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000), ("7", 7000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "0", "-1s", "1.5s", "1d", "25h", "18446744073709551615m"] {
            assert!(parse_duration(bad).is_err(), "{bad} was taken");
        }
    }
}
