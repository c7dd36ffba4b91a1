//! `corelane topic describe`: partitions with their leaders and offsets, and the topic's settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::escape::to_hex;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, Table, print_json, print_text};
use crate::client::{Client, ClientError, Node, PartitionMetadata, TopicMetadata, error_name};
use crate::configs::{self, Resource, SOURCE_TOPIC, Setting};
use crate::offsets::{EARLIEST, LATEST, list_offsets};

/// A topic with all that is told about it.
#[derive(Debug)]
struct Description {
    topic: TopicMetadata,
    /// First and next offset by partition; absent where the leader did not say.
    offsets: BTreeMap<i32, (i64, i64)>,
    settings: Vec<Setting>,
}

/// Describes the named topics, all that are not internal if none is named.
pub fn run(client: &mut Client, names: &[String], all_settings: bool, output: Output) -> Result<(), Failure> {
    let deadline = client.deadline();
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let wanted = (!wanted.is_empty()).then_some(wanted.as_slice());
    let metadata = client.retry(deadline, |client| client.metadata(wanted, false, deadline))?;
    let mut topics = metadata.topics;
    topics.retain(|topic| wanted.is_some() || !topic.internal);
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let (good, bad): (Vec<_>, Vec<_>) = topics.into_iter().partition(|topic| topic.error_code == 0);
    let mut descriptions = Vec::new();
    for topic in good {
        let offsets = offsets(client, &topic)?;
        let settings = settings(client, &topic.name)?;
        descriptions.push(Description { topic, offsets, settings });
    }
    match output {
        Output::Json => print_json(&descriptions.iter().map(|each| each.json(all_settings)).collect())?,
        Output::Human => {
            let texts: Vec<String> = descriptions.iter().map(|each| each.text(all_settings)).collect();
            print_text(&texts.join("\n"))?;
        }
    }
    let refusals: Vec<String> = bad
        .iter()
        .map(|topic| ClientError::refused(&topic.name, topic.error_code, None).to_string())
        .collect();
    match refusals.is_empty() {
        true => Ok(()),
        false => Err(Failure::Refused(refusals.join("\ncorelane: "))),
    }
}

fn offsets(client: &mut Client, topic: &TopicMetadata) -> Result<BTreeMap<i32, (i64, i64)>, ClientError> {
    let led = || topic.partitions.iter().filter(|partition| partition.leader.is_some());
    let ask = |timestamp| led().map(|partition| (partition.index, timestamp)).collect();
    let (first, next): (BTreeMap<i32, i64>, BTreeMap<i32, i64>) = (ask(EARLIEST), ask(LATEST));
    let deadline = client.deadline();
    let first = list_offsets(client, &topic.name, &first, deadline)?;
    let next = list_offsets(client, &topic.name, &next, deadline)?;
    let both =
        first.iter().filter_map(|(index, first)| Some((*index, (first.offset, next.get(index)?.offset))));
    Ok(both.collect())
}

fn settings(client: &mut Client, topic: &str) -> Result<Vec<Setting>, ClientError> {
    match configs::describe(client, &Resource::topic(topic, Node::Any)) {
        // A broker without this API can still describe its partitions.
        Err(ClientError::NotServed { .. }) => Ok(Vec::new()),
        other => other,
    }
}

impl Description {
    fn shown(&self, all_settings: bool) -> impl Iterator<Item = &Setting> {
        self.settings.iter().filter(move |setting| all_settings || setting.source == SOURCE_TOPIC)
    }

    fn json(&self, all_settings: bool) -> Value {
        let partitions = self.topic.partitions.iter().map(|partition| {
            let offsets = self.offsets.get(&partition.index);
            json!({
                "partition": partition.index,
                "error": (partition.error_code != 0).then(|| error_name(partition.error_code)),
                "leader": partition.leader.map(|leader| leader.0),
                "leader_epoch": partition.leader_epoch,
                "replicas": partition.replicas,
                "isr": partition.isr,
                "offline": partition.offline,
                "log_start_offset": offsets.map(|offsets| offsets.0),
                "high_watermark": offsets.map(|offsets| offsets.1),
            })
        });
        let settings = self.shown(all_settings).map(|setting| (setting.name.clone(), json!(setting.value)));
        json!({
            "topic": self.topic.name,
            "id": to_hex(&self.topic.id),
            "internal": self.topic.internal,
            "partitions": partitions.collect::<Value>(),
            "settings": settings.collect::<Map<_, _>>(),
        })
    }

    fn text(&self, all_settings: bool) -> String {
        let mut text = format!("{} (id {})\n", self.topic.name, to_hex(&self.topic.id));
        for setting in self.shown(all_settings) {
            text += &format!("  {}={}\n", setting.name, setting.value.as_deref().unwrap_or(""));
        }
        let mut table =
            Table::new(&["PARTITION", "LEADER", "REPLICAS", "IN SYNC", "START", "END", "RECORDS", "NOTE"]);
        for partition in &self.topic.partitions {
            table.row(self.row(partition));
        }
        text + &table.render()
    }

    fn row(&self, partition: &PartitionMetadata) -> Vec<String> {
        let numbers = |list: &[i32]| list.iter().map(i32::to_string).collect::<Vec<_>>().join(",");
        let note = match partition.error_code {
            0 => String::new(),
            code => error_name(code),
        };
        let (start, end, records) = match self.offsets.get(&partition.index) {
            Some((start, end)) => (start.to_string(), end.to_string(), (end - start).to_string()),
            None => ("-".to_string(), "-".to_string(), "-".to_string()),
        };
        vec![
            partition.index.to_string(),
            partition.leader.map_or("-".to_string(), |leader| leader.to_string()),
            numbers(&partition.replicas),
            numbers(&partition.isr),
            start,
            end,
            records,
            note,
        ]
    }
}
