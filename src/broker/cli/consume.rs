//! `corelane consume`: records of a topic to standard output.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use clap::Args;

use crate::cli::connect::ConnectArgs;
use crate::cli::failure::Failure;
use crate::cli::moment;
use crate::cli::output::{Output, Progress};
use crate::cli::template::{TEMPLATE_HELP, Template, parse_template, record_json};
use crate::consumer::{ConsumerSettings, Fetcher, Start};
use crate::records::Record;

const EXAMPLES: &str = "\
Examples:
  corelane consume orders                              all there is, then stop
  corelane consume orders --from end --follow          what comes from now on
  corelane consume orders --partition 3 --from 1200 --count 10
  corelane consume orders --from @2026-01-31T12:00:00Z --format '%D %k %s\\n'
  corelane consume orders --from -5 --output json      the last five of each partition

--from takes: beginning, end, an offset, -N (N before the end), @TIME (milliseconds or like 2023-11-14T22:13:20Z).
";

/// The arguments of `corelane consume`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n{TEMPLATE_HELP}"))]
pub struct ConsumeArgs {
    /// From where
    topic: String,

    #[command(flatten)]
    connect: ConnectArgs,

    /// Which partition, as often as needed; all of them if not given
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,

    /// Where to start in each partition
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "beginning",
        allow_hyphen_values = true,
        value_parser = parse_start,
    )]
    from: Start,

    /// Stop after this many records
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,

    /// Go on at the end and wait for more
    #[arg(short, long)]
    follow: bool,

    /// How a record is printed
    #[arg(long, value_name = "TEMPLATE", default_value = "%s\\n", value_parser = parse_template)]
    format: Template,

    /// Print a JSON object per line instead
    #[arg(long, value_enum, default_value_t, conflicts_with = "format")]
    output: Output,

    /// What stands for a null key or value
    #[arg(long, value_name = "TEXT", default_value = "")]
    null_marker: String,

    /// No notes and no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Parses `beginning`, `end`, an offset, `-N` or `@TIME`. Errors: a text for the person who typed it.
fn parse_start(text: &str) -> Result<Start, String> {
    if let Some(time) = text.strip_prefix('@') {
        return match moment::parse(time)?.0 {
            negative if negative < 0 => Err("a record is never older than 1970".to_string()),
            time => Ok(Start::Time(time)),
        };
    }
    match (text, text.parse::<i64>()) {
        ("beginning" | "earliest", _) => Ok(Start::Beginning),
        ("end" | "latest", _) => Ok(Start::End),
        (_, Ok(offset)) if offset >= 0 => Ok(Start::Offset(offset)),
        (_, Ok(offset)) if offset > i64::MIN => Ok(Start::Last(-offset)),
        _ => Err("expected beginning, end, an offset, -N or @TIME".to_string()),
    }
}

/// Runs the command.
pub fn run(args: &ConsumeArgs) -> Result<(), Failure> {
    let settings = ConsumerSettings {
        topic: args.topic.clone(),
        partitions: args.partitions.clone(),
        start: args.from,
        follow: args.follow,
    };
    let mut client = args.connect.connect()?;
    let mut fetcher = Fetcher::new(&mut client, &settings)?;
    let mut out = io::stdout().lock();
    // A line of progress between the records on one screen would only be in the way.
    let mut progress = (!args.quiet && !out.is_terminal()).then(|| Progress::new("records"));
    let mut left = args.count.unwrap_or(u64::MAX);
    let (mut text, mut failure) = (Vec::new(), None);
    while left > 0 && failure.is_none() && !fetcher.is_done() {
        let notes = fetcher.fetch(&mut |partition, records| {
            text.clear();
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(records.len());
            for record in &records[..count] {
                args.append(partition, record, &mut text);
            }
            left -= count as u64;
            if let Some(progress) = &mut progress {
                progress.add(count as u64, text.len() as u64);
            }
            match out.write_all(&text) {
                Ok(()) if left > 0 => ControlFlow::Continue(()),
                Ok(()) => ControlFlow::Break(()),
                Err(error) => {
                    failure = Some(Failure::output(error));
                    ControlFlow::Break(())
                }
            }
        })?;
        for note in notes.iter().filter(|_| !args.quiet) {
            eprintln!("corelane: {note}");
        }
        out.flush().map_err(Failure::output)?;
    }
    failure.map_or(Ok(()), Err)
}

impl ConsumeArgs {
    fn append(&self, partition: i32, record: &Record, text: &mut Vec<u8>) {
        match self.output {
            Output::Human => self.format.render(&self.topic, partition, record, &self.null_marker, text),
            Output::Json => {
                text.extend_from_slice(record_json(&self.topic, partition, record).to_string().as_bytes());
                text.push(b'\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts() {
        for (text, expected) in [
            ("beginning", Start::Beginning),
            ("end", Start::End),
            ("0", Start::Offset(0)),
            ("1200", Start::Offset(1200)),
            ("-5", Start::Last(5)),
            ("@0", Start::Time(0)),
            ("@2023-11-14T22:13:20Z", Start::Time(1_700_000_000_000)),
        ] {
            assert_eq!(parse_start(text), Ok(expected), "{text}");
        }
        for bad in ["", "@", "@-1", "x", "1.5", "-", "9223372036854775808", "-9223372036854775808"] {
            assert!(parse_start(bad).is_err(), "{bad} was taken");
        }
    }
}
