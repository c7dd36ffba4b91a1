//! `corelane consume`: records of a topic to standard output.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::connect::ConnectArgs;
use crate::cli::failure::Failure;
use crate::cli::interrupt;
use crate::cli::moment;
use crate::cli::output::{Output, Progress};
use crate::cli::template::{TEMPLATE_HELP, Template, parse_template, record_json};
use crate::client::Client;
use crate::consumer::{ConsumerSettings, Fetcher, Start};
use crate::group_member::{GroupMember, is_fenced};
use crate::groups;
use crate::records::Record;

const EXAMPLES: &str = "\
Examples:
  corelane consume orders                              all there is, then stop
  corelane consume orders --from end --follow          what comes from now on
  corelane consume orders --partition 3 --from 1200 --count 10
  corelane consume orders --from @2026-01-31T12:00:00Z --format '%D %k %s\\n'
  corelane consume orders --from -5 --output json      the last five of each partition
  corelane consume orders --group billing --follow     share the topic with the group's other members

With --group the coordinator gives out the partitions. Reading starts where the group has committed, where nothing is
committed at --from. What was printed is committed every few seconds and at the end: after a crash some records may be
printed again, none is left out.

--from takes: beginning, end, an offset, -N (N before the end), @TIME (milliseconds or like 2023-11-14T22:13:20Z).
";

/// How often a group's member commits.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);
/// After how many heartbeats a member that was given nothing takes it that there is nothing left for it.
const EMPTY_BEATS: u32 = 3;

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

    /// Read as a member of this group and commit what was printed
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partitions")]
    group: Option<String>,

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
    let mut printer = Printer::new(args);
    if let Some(group) = &args.group {
        return share(&mut client, group, settings, &mut printer);
    }
    let mut fetcher = Fetcher::new(&mut client, &settings)?;
    while !printer.has_enough() && !fetcher.is_done() {
        printer.print(&mut client, &mut fetcher)?;
    }
    Ok(())
}

/// Reads as a member of a group until there is enough, the partitions it holds are read to their ends, or a signal.
fn share(
    client: &mut Client,
    group: &str,
    settings: ConsumerSettings,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let interrupt =
        interrupt::watch().map_err(|error| Failure::Local(format!("cannot watch signals: {error}")))?;
    let mut seed = [0; 16];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::Local(format!("the system gives no random numbers: {error}")))?;
    let mut member = GroupMember::new(client, group, &settings.topic, u128::from_ne_bytes(seed))?;
    let mut sharing =
        Sharing { fetcher: Fetcher::idle(&settings.topic), settings, committed: BTreeMap::new() };
    let mut commit_at = Instant::now() + COMMIT_INTERVAL;
    let mut empty_since = Instant::now();
    while !printer.has_enough() && !interrupt.has_come() {
        sharing.follow_group(client, group, &mut member)?;
        if !member.held().is_empty() {
            empty_since = Instant::now();
        }
        if sharing.fetcher.is_done() {
            // A coordinator may take its time to give the first partitions out.
            let had_its_chance =
                !member.held().is_empty() || empty_since.elapsed() > EMPTY_BEATS * member.interval();
            if member.is_settled() && had_its_chance && !sharing.settings.follow {
                break;
            }
            // Nothing to read: the group's next word is all there is to wait for.
            interrupt.wait(member.next_beat());
            continue;
        }
        printer.print(client, &mut sharing.fetcher)?;
        if Instant::now() >= commit_at {
            sharing.commit(client, &mut member)?;
            commit_at = Instant::now() + COMMIT_INTERVAL;
        }
    }
    sharing.commit(client, &mut member)?;
    Ok(member.leave(client)?)
}

/// What a member reads and has committed.
struct Sharing {
    fetcher: Fetcher,
    settings: ConsumerSettings,
    committed: BTreeMap<i32, i64>,
}

impl Sharing {
    /// Says that the member lives, and does what the coordinator wants.
    fn follow_group(
        &mut self,
        client: &mut Client,
        group: &str,
        member: &mut GroupMember,
    ) -> Result<(), Failure> {
        let change = member.beat(client)?;
        if !change.revoked.is_empty() {
            if !change.fenced {
                self.commit(client, member)?;
            }
            self.fetcher.drop_all(&change.revoked);
            self.committed.retain(|partition, _| !change.revoked.contains(partition));
            if !change.fenced {
                member.give_up(&change.revoked);
            }
        }
        if !change.gained.is_empty() {
            let all = groups::committed(client, group)?;
            let of_topic = all.into_iter().filter(|((topic, _), _)| *topic == self.settings.topic);
            let offsets = of_topic.map(|((_, partition), committed)| (partition, committed.offset)).collect();
            self.settings.partitions = change.gained.into_iter().collect();
            self.fetcher.take_in(client, &self.settings, &offsets)?;
            self.committed.extend(offsets);
        }
        Ok(())
    }

    /// Commits what has moved. A member that was fenced learns so from its next heartbeat.
    fn commit(&mut self, client: &mut Client, member: &mut GroupMember) -> Result<(), Failure> {
        let mut moved = self.fetcher.positions();
        moved.retain(|partition, next| {
            member.held().contains(partition) && self.committed.get(partition) != Some(next)
        });
        match member.commit(client, &moved) {
            Ok(()) => self.committed.extend(moved),
            Err(error) if is_fenced(&error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Prints records and knows when there are enough.
struct Printer<'a> {
    args: &'a ConsumeArgs,
    out: io::StdoutLock<'static>,
    progress: Option<Progress>,
    left: u64,
    text: Vec<u8>,
}

impl<'a> Printer<'a> {
    fn new(args: &'a ConsumeArgs) -> Printer<'a> {
        let out = io::stdout().lock();
        // A line of progress between the records on one screen would only be in the way.
        let progress = (!args.quiet && !out.is_terminal()).then(|| Progress::new("records"));
        Printer { args, out, progress, left: args.count.unwrap_or(u64::MAX), text: Vec::new() }
    }

    fn has_enough(&self) -> bool {
        self.left == 0
    }

    /// Fetches once and prints what comes. When it returns, everything it printed has left this process.
    fn print(&mut self, client: &mut Client, fetcher: &mut Fetcher) -> Result<(), Failure> {
        let (mut failure, mut cut) = (None, None);
        let (args, out, left, text) = (self.args, &mut self.out, &mut self.left, &mut self.text);
        let progress = &mut self.progress;
        let notes = fetcher.fetch(client, &mut |partition, records| {
            text.clear();
            let count = usize::try_from(*left).unwrap_or(usize::MAX).min(records.len());
            for record in &records[..count] {
                args.append(partition, record, text);
            }
            *left -= count as u64;
            cut = records.get(count).map(|record| (partition, record.offset.0));
            if let Some(progress) = progress {
                progress.add(count as u64, text.len() as u64);
            }
            match out.write_all(text) {
                Ok(()) if *left > 0 => ControlFlow::Continue(()),
                Ok(()) => ControlFlow::Break(()),
                Err(error) => {
                    failure = Some(Failure::output(error));
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some((partition, offset)) = cut {
            fetcher.rewind(partition, offset);
        }
        for note in notes.iter().filter(|_| !args.quiet) {
            eprintln!("corelane: {note}");
        }
        out.flush().map_err(Failure::output)?;
        failure.map_or(Ok(()), Err)
    }
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
