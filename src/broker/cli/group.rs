//! `corelane group`: what groups there are, how far they are, and setting or deleting their offsets.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::cli::connect::ClientArgs;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table, print_json, print_text};
use crate::cli::reset::{self, ResetArgs};
use crate::client::{Client, ClientError, error_name};
use crate::groups::{self, Committed, Group, Member, TopicPartition};
use crate::offsets::{LATEST, list_offsets};

const EXAMPLES: &str = "\
Examples:
  corelane group list --state stable
  corelane group describe billing --output json
  corelane group reset-offsets billing --topic orders --to-earliest
  corelane group reset-offsets billing --topic orders:0,2 --to-datetime 2026-01-31T12:00:00Z --execute
  corelane group reset-offsets billing --all-topics --to-current --export > billing.csv
  corelane group delete billing";

/// The arguments of `corelane group`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,

    #[command(flatten)]
    shared: ClientArgs,
}

#[derive(Subcommand, Debug)]
enum GroupCommand {
    /// List the groups
    List {
        /// Only groups in this state (stable, empty, preparingrebalance, ...), as often as needed
        #[arg(long = "state", value_name = "STATE")]
        states: Vec<String>,
        /// Only groups of this type (classic, consumer), as often as needed
        #[arg(long = "type", value_name = "TYPE")]
        kinds: Vec<String>,
    },
    /// Show members, their partitions, committed offsets and lag
    Describe {
        /// Which groups; all of them if none is named
        groups: Vec<String>,
    },
    /// Set the offsets of a group without members; shows what would be done unless told to do it
    ResetOffsets(ResetArgs),
    /// Forget what a group has committed for topics that none of its members reads
    DeleteOffsets {
        /// Which group
        group: String,
        /// A topic, or some of its partitions as TOPIC:0,3; as often as needed
        #[arg(long = "topic", value_name = "TOPIC[:N,...]", required = true, value_parser = reset::parse_scope)]
        topics: Vec<reset::Scope>,
    },
    /// Delete groups without members
    Delete {
        /// Which groups
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

/// Runs the command.
pub fn run(args: &GroupArgs) -> Result<(), Failure> {
    let mut client = args.shared.connect.connect()?;
    let output = args.shared.output;
    match &args.command {
        GroupCommand::List { states, kinds } => list(&mut client, states, kinds, output),
        GroupCommand::Describe { groups } => describe(&mut client, groups, output),
        GroupCommand::ResetOffsets(reset) => reset::run(&mut client, reset, output),
        GroupCommand::DeleteOffsets { group, topics } => {
            let scope = reset::partitions_of(&mut client, topics)?;
            let codes = groups::delete_offsets(&mut client, group, &scope)?;
            let rows =
                codes.into_iter().map(|((topic, partition), code)| (format!("{topic}:{partition}"), code));
            finish("partition", rows.collect(), "forgotten", output)
        }
        GroupCommand::Delete { groups } => {
            let mut rows = Vec::new();
            for group in groups {
                rows.push((group.clone(), groups::delete(&mut client, group)?));
            }
            finish("group", rows, "deleted", output)
        }
    }
}

/// Prints what became of each of some things.
pub(super) fn finish(
    what: &str,
    rows: Vec<(String, i16)>,
    done: &str,
    output: Output,
) -> Result<(), Failure> {
    match output {
        Output::Json => {
            let each = rows
                .iter()
                .map(|(name, code)| json!({what: name, "error": (*code != 0).then(|| error_name(*code))}));
            print_json(&each.collect())?;
        }
        Output::Human => {
            for (name, _) in rows.iter().filter(|(_, code)| *code == 0) {
                print_text(&format!("{name}: {done}\n"))?;
            }
        }
    }
    let refused = rows.iter().filter(|(_, code)| *code != 0);
    let texts: Vec<String> =
        refused.map(|(name, code)| ClientError::refused(name, *code, None).to_string()).collect();
    match texts.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(texts.join("\ncorelane: "))),
    }
}

fn list(client: &mut Client, states: &[String], kinds: &[String], output: Output) -> Result<(), Failure> {
    let deadline = client.deadline();
    let mut groups = groups::list(client, deadline)?;
    let matches = |wanted: &[String], is: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(is))
    };
    groups.retain(|group| matches(states, &group.state) && matches(kinds, &group.kind));
    if output == Output::Json {
        let rows = groups.iter().map(|group| {
            json!({
                "group": group.name,
                "type": group.kind,
                "protocol_type": group.protocol_type,
                "state": group.state,
            })
        });
        return print_json(&rows.collect());
    }
    if groups.is_empty() {
        return print_text("There is no such group.\n");
    }
    let mut table = Table::new(&["GROUP", "TYPE", "PROTOCOL", "STATE"]);
    for group in groups {
        table.row(vec![group.name, group.kind, group.protocol_type, group.state]);
    }
    print_text(&table.render())
}

/// A partition that a group has committed or reads.
#[derive(Debug)]
struct Place {
    partition: TopicPartition,
    committed: Option<Committed>,
    /// Absent if the partition is gone.
    end: Option<i64>,
    /// Which member reads it, by its place in the list.
    member: Option<usize>,
}

impl Place {
    fn lag(&self) -> Option<i64> {
        Some((self.end? - self.committed.as_ref()?.offset).max(0))
    }
}

fn describe(client: &mut Client, names: &[String], output: Output) -> Result<(), Failure> {
    let mut names = names.to_vec();
    if names.is_empty() {
        let deadline = client.deadline();
        names.extend(groups::list(client, deadline)?.into_iter().map(|group| group.name));
    }
    let (mut described, mut refused) = (Vec::new(), Vec::new());
    for name in &names {
        match groups::describe(client, name) {
            Ok(group) => {
                let places = places(client, &group)?;
                described.push((group, places));
            }
            Err(error @ ClientError::Refused { .. }) => refused.push(error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    match output {
        Output::Json => {
            print_json(&described.iter().map(|(group, places)| to_json(group, places)).collect())?
        }
        Output::Human => {
            let texts: Vec<String> = described.iter().map(|(group, places)| to_text(group, places)).collect();
            print_text(&texts.join("\n"))?;
        }
    }
    match refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(refused.join("\ncorelane: "))),
    }
}

/// Everything the group has to do with, in order.
fn places(client: &mut Client, group: &Group) -> Result<Vec<Place>, ClientError> {
    let mut committed = groups::committed(client, &group.name)?;
    let mut readers: BTreeMap<TopicPartition, usize> = BTreeMap::new();
    for (index, member) in group.members.iter().enumerate() {
        readers.extend(member.assignment.iter().map(|partition| (partition.clone(), index)));
    }
    let mut all: Vec<TopicPartition> = committed.keys().chain(readers.keys()).cloned().collect();
    all.sort();
    all.dedup();
    let ends = ends(client, &all)?;
    let places = all.into_iter().map(|partition| Place {
        committed: committed.remove(&partition),
        end: ends.get(&partition).copied(),
        member: readers.get(&partition).copied(),
        partition,
    });
    Ok(places.collect())
}

/// Where the partitions end; those that are not there any longer are left out.
fn ends(
    client: &mut Client,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, i64>, ClientError> {
    let existing = reset::existing(client, partitions)?;
    let mut ends = BTreeMap::new();
    for (topic, wanted) in existing {
        let deadline = client.deadline();
        let wanted = wanted.into_iter().map(|partition| (partition, LATEST)).collect();
        let found = list_offsets(client, &topic, &wanted, deadline)?;
        ends.extend(found.into_iter().map(|(partition, found)| ((topic.clone(), partition), found.offset)));
    }
    Ok(ends)
}

fn to_json(group: &Group, places: &[Place]) -> Value {
    let members = group.members.iter().map(|member| {
        let assignment = member
            .assignment
            .iter()
            .map(|(topic, partition)| json!({"topic": topic, "partition": partition}));
        json!({
            "member": member.id,
            "instance": member.instance,
            "client": member.client,
            "host": member.host,
            "assignment": assignment.collect::<Value>(),
        })
    });
    let offsets = places.iter().map(|place| {
        json!({
            "topic": place.partition.0,
            "partition": place.partition.1,
            "committed": place.committed.as_ref().map(|committed| committed.offset),
            "metadata": place.committed.as_ref().map(|committed| &committed.metadata),
            "end": place.end,
            "lag": place.lag(),
            "member": place.member.map(|index| &group.members[index].id),
        })
    });
    json!({
        "group": group.name,
        "type": group.kind,
        "state": group.state,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "epoch": group.epoch,
        "members": members.collect::<Value>(),
        "offsets": offsets.collect::<Value>(),
    })
}

fn to_text(group: &Group, places: &[Place]) -> String {
    let Group { name, kind, state, assignor, coordinator, members, .. } = group;
    let assignor = if assignor.is_empty() { "-" } else { assignor };
    let lag: i64 = places.iter().filter_map(Place::lag).sum();
    let count = members.len();
    let mut text = format!(
        "{name} ({kind}, {state}), assignor {assignor}, coordinator {coordinator}, members {count}, lag {lag}\n"
    );
    if !members.is_empty() {
        let mut table = Table::new(&["MEMBER", "CLIENT", "HOST", "PARTITIONS"]);
        for member in members {
            table.row(vec![
                shown(member),
                member.client.clone(),
                member.host.clone(),
                member.assignment.len().to_string(),
            ]);
        }
        text += &table.render();
    }
    if !places.is_empty() {
        let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"]);
        let number = |value: Option<i64>| value.map_or("-".to_string(), |value| value.to_string());
        for place in places {
            table.row(vec![
                place.partition.0.clone(),
                place.partition.1.to_string(),
                number(place.committed.as_ref().map(|committed| committed.offset)),
                number(place.end),
                number(place.lag()),
                place.member.map_or("-".to_string(), |index| shown(&members[index])),
            ]);
        }
        text += &table.render();
    }
    text
}

/// A member's own name if it has one, else the id it was given.
fn shown(member: &Member) -> String {
    member.instance.clone().unwrap_or_else(|| member.id.clone())
}
