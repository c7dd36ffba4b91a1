//! `corelane group reset-offsets`: where a group shall go on, as a plan that is shown before it is carried out.
//!
//! Offsets outside of what a partition holds are brought to its nearest end, as Kafka's own tool does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::moment;
use crate::cli::output::{Output, Table, print_json, print_text};
use crate::client::{Client, ClientError, error_name};
use crate::groups::{self, TopicPartition};
use crate::offsets::{EARLIEST, LATEST, list_offsets};

/// A topic, or some of its partitions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    topic: String,
    /// All of them if empty.
    partitions: Vec<i32>,
}

/// Parses `TOPIC` or `TOPIC:0,3`. Errors: a text for the person who typed it.
pub fn parse_scope(text: &str) -> Result<Scope, String> {
    let (topic, numbers) = text.split_once(':').unwrap_or((text, ""));
    let partitions = numbers.split(',').filter(|_| text.contains(':')).map(|number| {
        number
            .parse::<i32>()
            .ok()
            .filter(|&number| number >= 0)
            .ok_or_else(|| format!("{number:?} is no partition; expected TOPIC or TOPIC:0,3"))
    });
    let partitions = partitions.collect::<Result<Vec<i32>, String>>()?;
    match topic.is_empty() {
        true => Err("the topic's name is missing".to_string()),
        false => Ok(Scope { topic: topic.to_string(), partitions }),
    }
}

/// The arguments of `corelane group reset-offsets`.
#[derive(Args, Debug)]
pub struct ResetArgs {
    /// Which group
    group: String,
    /// A topic, or some of its partitions as TOPIC:0,3; as often as needed
    #[arg(long = "topic", value_name = "TOPIC[:N,...]", value_parser = parse_scope, conflicts_with = "all_topics")]
    topics: Vec<Scope>,
    /// Everything that the group has committed
    #[arg(long)]
    all_topics: bool,
    #[command(flatten)]
    target: TargetArgs,
    /// Do it
    #[arg(long)]
    execute: bool,
    /// Print the plan as lines of TOPIC,PARTITION,OFFSET, to be read with --from-file
    #[arg(long, conflicts_with = "output")]
    export: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// To the first record there is
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record
    #[arg(long)]
    to_latest: bool,
    /// To where it is now: with --export, a copy of its offsets
    #[arg(long)]
    to_current: bool,
    /// To this offset
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// By so many records forward, or back if negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To the first record of this time or later (milliseconds or like 2023-11-14T22:13:20Z)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to_datetime: Option<i64>,
    /// To the first record not older than this, such as 30m, 12h, 7d or PT30M
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    by_duration: Option<i64>,
    /// To the offsets in a file of lines TOPIC,PARTITION,OFFSET
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// Where the offsets go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    /// To what ListOffsets finds for this time, or the end if there is nothing that young.
    Time(i64),
    Offset(i64),
    Shift(i64),
}

fn parse_time(text: &str) -> Result<i64, String> {
    match moment::parse(text)?.0 {
        time if time >= 0 => Ok(time),
        _ => Err("a record is never older than 1970".to_string()),
    }
}

/// Parses `30m`, `12h`, `7d` or the ISO form `P1DT2H30M` into milliseconds.
fn parse_age(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no duration; expected one like 30m, 12h, 7d or P1DT12H");
    let upper = text.to_uppercase();
    let (date, time) = match upper.strip_prefix('P') {
        Some(iso) => iso.split_once('T').unwrap_or((iso, "")),
        None => ("", upper.as_str()),
    };
    let mut total = Some(0_i64);
    let mut count = 0;
    for (part, units) in [(date, "WD"), (time, "DHMS")] {
        let mut rest = part;
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
            let unit =
                rest[digits..].chars().next().filter(|unit| units.contains(*unit)).ok_or_else(wrong)?;
            let unit_ms = match unit {
                'W' => 604_800_000,
                'D' => 86_400_000,
                'H' => 3_600_000,
                'M' => 60_000,
                _ => 1000,
            };
            let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
            total = total.zip(number.checked_mul(unit_ms)).and_then(|(sum, more)| sum.checked_add(more));
            rest = &rest[digits + 1..];
            count += 1;
        }
    }
    total.filter(|_| count > 0).ok_or_else(wrong)
}

/// Reads lines of topic, partition and offset; empty lines do not count. Errors: which line is wrong.
fn parse_plan(text: &str) -> Result<BTreeMap<TopicPartition, i64>, String> {
    let mut plan = BTreeMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
        let mut row = || {
            let (topic, partition) = (fields.next()?, fields.next()?.parse::<i32>().ok()?);
            let offset = fields.next()?.parse::<i64>().ok()?;
            let whole = fields.next().is_none() && !topic.is_empty() && partition >= 0 && offset >= 0;
            whole.then(|| ((topic.to_string(), partition), offset))
        };
        let (partition, offset) =
            row().ok_or_else(|| format!("line {}: expected TOPIC,PARTITION,OFFSET", index + 1))?;
        if plan.insert(partition, offset).is_some() {
            return Err(format!("line {}: the partition stands there twice", index + 1));
        }
    }
    Ok(plan)
}

/// Those of `partitions` that exist, by topic.
pub(super) fn existing(
    client: &mut Client,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<String, BTreeSet<i32>>, ClientError> {
    let mut topics: Vec<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    topics.dedup();
    let deadline = client.deadline();
    let metadata = client.retry(deadline, |client| client.metadata(Some(&topics), false, deadline))?;
    let mut found: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for topic in metadata.topics.iter().filter(|topic| topic.error_code == 0) {
        let there = topic.partitions.iter().map(|partition| partition.index);
        let there: BTreeSet<i32> =
            there.filter(|index| partitions.contains(&(topic.name.clone(), *index))).collect();
        if !there.is_empty() {
            found.insert(topic.name.clone(), there);
        }
    }
    Ok(found)
}

/// The partitions that some scopes name. Errors: a topic or a partition that is not there.
pub(super) fn partitions_of(client: &mut Client, scopes: &[Scope]) -> Result<Vec<TopicPartition>, Failure> {
    let mut all = Vec::new();
    for Scope { topic, partitions } in scopes {
        let deadline = client.deadline();
        let known = client.retry(deadline, |client| {
            let metadata = client.metadata(Some(&[topic]), false, deadline)?;
            Ok(metadata.usable_topic(topic)?.partitions.iter().map(|one| one.index).collect::<Vec<i32>>())
        })?;
        if let Some(unknown) = partitions.iter().find(|partition| !known.contains(partition)) {
            return Err(Failure::Refused(format!("topic {topic} has no partition {unknown}")));
        }
        let chosen = if partitions.is_empty() { &known } else { partitions };
        all.extend(chosen.iter().map(|partition| (topic.clone(), *partition)));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// A row of the plan.
#[derive(Debug)]
struct Row {
    partition: TopicPartition,
    current: Option<i64>,
    new: i64,
}

/// Runs the command.
pub fn run(client: &mut Client, args: &ResetArgs, output: Output) -> Result<(), Failure> {
    let rows = plan(client, args)?;
    if rows.is_empty() {
        return Err(Failure::Refused(format!("group {} has nothing to reset", args.group)));
    }
    let mut codes = BTreeMap::new();
    if args.execute {
        if let Ok(group) = groups::describe(client, &args.group)
            && !group.members.is_empty()
        {
            let why = format!(
                "group {} has {} members ({}): stop them first",
                args.group,
                group.members.len(),
                group.state
            );
            return Err(Failure::Refused(why));
        }
        let offsets = rows.iter().map(|row| (row.partition.clone(), row.new)).collect();
        codes = groups::commit(client, &args.group, &offsets)?;
    }
    show(args, &rows, &codes, output)?;
    let refused = codes.iter().filter(|(_, code)| **code != 0).map(|((topic, partition), code)| {
        ClientError::refused(format!("partition {partition} of {topic}"), *code, None).to_string()
    });
    let refused: Vec<String> = refused.collect();
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(refused.join("\ncorelane: "))),
    }
}

fn plan(client: &mut Client, args: &ResetArgs) -> Result<Vec<Row>, Failure> {
    let committed = groups::committed(client, &args.group)?;
    let current = |partition: &TopicPartition| committed.get(partition).map(|committed| committed.offset);
    let from_file = match &args.target.from_file {
        None => None,
        Some(path) => {
            let local = |why: String| Failure::Local(format!("{}: {why}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| local(error.to_string()))?;
            Some(parse_plan(&text).map_err(local)?)
        }
    };
    let partitions = match (&from_file, args.all_topics, args.topics.is_empty()) {
        (_, _, false) => partitions_of(client, &args.topics)?,
        (_, true, _) => committed.keys().cloned().collect(),
        (Some(file), ..) => file.keys().cloned().collect(),
        (None, false, true) => {
            return Err(Failure::Usage("say for what: give --topic or --all-topics".to_string()));
        }
    };
    let mut wanted: BTreeMap<TopicPartition, Target> = BTreeMap::new();
    for partition in partitions {
        let target = match &from_file {
            Some(file) => file.get(&partition).copied().map(Target::Offset),
            None => target_of(&args.target, current(&partition)),
        };
        if let Some(target) = target {
            wanted.insert(partition, target);
        }
    }
    let mut rows = Vec::new();
    for (partition, new) in resolve(client, &wanted)? {
        rows.push(Row { current: current(&partition), partition, new });
    }
    Ok(rows)
}

/// What the flags mean for a partition; `None` leaves it out: nothing is committed that could be kept or shifted.
fn target_of(args: &TargetArgs, current: Option<i64>) -> Option<Target> {
    if args.to_earliest {
        return Some(Target::Time(EARLIEST));
    }
    if args.to_latest {
        return Some(Target::Time(LATEST));
    }
    if args.to_current {
        return current.map(Target::Offset).or(Some(Target::Time(LATEST)));
    }
    if let Some(offset) = args.to_offset {
        return Some(Target::Offset(offset));
    }
    if let Some(by) = args.shift_by {
        return current.map(|current| Target::Shift(current.saturating_add(by)));
    }
    if let Some(time) = args.to_datetime {
        return Some(Target::Time(time));
    }
    let age = args.by_duration?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
    Some(Target::Time(now.saturating_sub(age).max(0)))
}

/// The offsets that the targets stand for, within what the partitions hold.
fn resolve(
    client: &mut Client,
    wanted: &BTreeMap<TopicPartition, Target>,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let mut topics: BTreeMap<&str, Vec<(i32, Target)>> = BTreeMap::new();
    for ((topic, partition), target) in wanted {
        topics.entry(topic).or_default().push((*partition, *target));
    }
    let mut resolved = BTreeMap::new();
    for (topic, targets) in topics {
        let deadline = client.deadline();
        let mut ask = |time: &dyn Fn(Target) -> i64| {
            let times = targets.iter().map(|(partition, target)| (*partition, time(*target))).collect();
            list_offsets(client, topic, &times, deadline)
        };
        let first = ask(&|_| EARLIEST)?;
        let last = ask(&|_| LATEST)?;
        let at = ask(&|target| match target {
            Target::Time(time) => time,
            Target::Offset(_) | Target::Shift(_) => LATEST,
        })?;
        for (partition, target) in &targets {
            let (first, last) = (first[partition].offset, last[partition].offset);
            let offset = match target {
                Target::Time(_) if at[partition].offset < 0 => last,
                Target::Time(_) => at[partition].offset,
                Target::Offset(offset) | Target::Shift(offset) => *offset,
            };
            resolved.insert((topic.to_string(), *partition), offset.clamp(first, last.max(first)));
        }
    }
    Ok(resolved)
}

fn show(
    args: &ResetArgs,
    rows: &[Row],
    codes: &BTreeMap<TopicPartition, i16>,
    output: Output,
) -> Result<(), Failure> {
    if args.export {
        let lines = rows.iter().map(|row| format!("{},{},{}\n", row.partition.0, row.partition.1, row.new));
        return print_text(&lines.collect::<String>());
    }
    if output == Output::Json {
        let each = rows.iter().map(|row| {
            let code = codes.get(&row.partition).copied().unwrap_or(0);
            json!({
                "topic": row.partition.0,
                "partition": row.partition.1,
                "current": row.current,
                "new": row.new,
                "executed": args.execute && code == 0,
                "error": (code != 0).then(|| error_name(code)),
            })
        });
        return print_json(&each.collect());
    }
    let mut table = Table::new(&["TOPIC", "PARTITION", "CURRENT", "NEW"]);
    for row in rows {
        table.row(vec![
            row.partition.0.clone(),
            row.partition.1.to_string(),
            row.current.map_or("-".to_string(), |current| current.to_string()),
            row.new.to_string(),
        ]);
    }
    let note = if args.execute { "" } else { "Nothing is changed yet; add --execute to do it.\n" };
    print_text(&(table.render() + note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes() {
        let scope = |topic: &str, partitions: &[i32]| Scope {
            topic: topic.to_string(),
            partitions: partitions.to_vec(),
        };
        assert_eq!(parse_scope("orders"), Ok(scope("orders", &[])));
        assert_eq!(parse_scope("orders:0,12"), Ok(scope("orders", &[0, 12])));
        for bad in ["", ":0", "orders:", "orders:x", "orders:-1", "orders:0,"] {
            assert!(parse_scope(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn ages() {
        for (text, ms) in [
            ("30m", 1_800_000),
            ("12h", 43_200_000),
            ("7d", 604_800_000),
            ("90s", 90_000),
            ("PT30M", 1_800_000),
            ("P1DT2H", 93_600_000),
            ("P2W", 1_209_600_000),
        ] {
            assert_eq!(parse_age(text), Ok(ms), "{text}");
        }
        for bad in
            ["", "P", "PT", "5", "m", "-5m", "5x", "P5M", "99999999999999999999d", "9223372036854775807d"]
        {
            assert!(parse_age(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn plans_in_files() {
        let plan = parse_plan("a,0,5\n\n\"b.c\", 3 ,0\n").expect("a correct file");
        assert_eq!(plan, BTreeMap::from([(("a".to_string(), 0), 5), (("b.c".to_string(), 3), 0)]));
        for (bad, line) in
            [("a,0", 1), ("a,0,1\na,0,2", 2), ("a,0,1,2", 1), (",0,1", 1), ("a,-1,1", 1), ("a,0,-1", 1)]
        {
            let why = parse_plan(bad).expect_err("a wrong file");
            assert!(why.starts_with(&format!("line {line}:")), "{why}");
        }
    }
}
