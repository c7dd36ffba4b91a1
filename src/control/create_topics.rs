//! Creating topics: on request, with counts or a manual assignment, and by themselves when a client asks for one.
//!
//! Every topic of a request succeeds or fails by itself; the good ones are created in one set. Replicas are spread
//! over the brokers in turn, starting at a broker drawn from the request's seed.

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use corelane_base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Outcome, Records, State, duplicates};
use crate::configs::definition::Overrides;
use crate::configs::layers::Layers;
use crate::configs::topic::{self, TopicConfig};
use crate::configs::topic_definitions;
use crate::describe_configs::{DescribedConfig, describe_defaults, describe_own};
use crate::error::{ErrorKind, Refusal};
use crate::groups::settings::OffsetsTopicSettings;
use crate::record::{MetadataRecord, Partition, REPLICAS_MAX};
use crate::topic_name;

/// Stands for "the broker's default" in counts.
pub const DEFAULT: i32 = -1;

/// Topics to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopics {
    /// Which.
    pub topics: Vec<NewTopic>,
    /// Only tell what would happen.
    pub validate_only: bool,
    /// Random bits, from which topic ids and the first broker are drawn.
    pub seed: u64,
}

/// One topic to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the default or with assignments.
    pub partition_count: i32,
    /// How many replicas; -1 for the default or with assignments.
    pub replication_factor: i16,
    /// Who holds which partition; empty to let the controller choose.
    pub assignments: Vec<Assignment>,
    /// Its own settings. Of a key that is given twice the last one counts.
    pub configs: Vec<(String, Option<String>)>,
}

/// The brokers for one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// The partition's number.
    pub partition: PartitionIndex,
    /// Its replicas, the preferred leader first.
    pub brokers: Vec<BrokerId>,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Debug)]
pub struct CreateTopicResult {
    /// The name as asked for.
    pub name: String,
    /// What was, or would be, created.
    pub result: Result<CreatedTopic, Refusal>,
}

/// A topic as created.
#[derive(Clone, PartialEq, Debug)]
pub struct CreatedTopic {
    /// Its identity; [`TopicId::ZERO`] if nothing was to be created.
    pub topic_id: TopicId,
    /// How many partitions it has.
    pub partition_count: i32,
    /// How many replicas each of them has.
    pub replication_factor: i16,
    /// All its settings.
    pub configs: Vec<DescribedConfig>,
}

/// Names that a client asked for, to be created if they do not exist and that is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AutoCreateTopics {
    /// The names.
    pub names: Vec<String>,
    /// Random bits, as in [`CreateTopics`].
    pub seed: u64,
}

/// What became of one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AutoCreateResult {
    /// The name as asked for.
    pub name: String,
    /// The topic of that name, new or old.
    pub result: Result<TopicId, Refusal>,
}

/// Creates topics. The answer has one result for each distinct name, in the order in which they first occur.
#[must_use]
pub fn create_topics(state: &State<'_>, command: &CreateTopics) -> Outcome<Vec<CreateTopicResult>> {
    let mut creation = Creation::new(state, command.seed);
    let twice = duplicates(command.topics.iter().map(|topic| topic.name.as_str()));
    let mut told = BTreeSet::new();
    let mut answer = Vec::new();
    for (topic, twice) in command.topics.iter().zip(twice) {
        let result = if twice {
            if !told.insert(topic.name.as_str()) {
                continue;
            }
            Err(refuse(ErrorKind::InvalidRequest, format!("topic '{}' occurs more than once", topic.name)))
        } else {
            creation.create(topic, command.validate_only)
        };
        answer.push(CreateTopicResult { name: topic.name.clone(), result });
    }
    let records = if command.validate_only { Vec::new() } else { creation.records.into_vec() };
    Outcome { records, answer }
}

/// Creates the topics among `names` that do not exist, with the defaults for everything. A name that exists is no
/// error. The answer has one result for each name, in order. Errors: `UNKNOWN_TOPIC_OR_PARTITION` where creation is
/// switched off, and for internal topics, which are made by whoever needs them; otherwise as for [`create_topics`].
#[must_use]
pub fn auto_create_topics(state: &State<'_>, command: &AutoCreateTopics) -> Outcome<Vec<AutoCreateResult>> {
    let allowed = state.broker_config().auto_create_topics;
    let mut creation = Creation::new(state, command.seed);
    let mut results: BTreeMap<&str, Result<TopicId, Refusal>> = BTreeMap::new();
    for name in &command.names {
        if results.contains_key(name.as_str()) {
            continue;
        }
        let result = if let Some(topic) = state.image.topic(name) {
            Ok(topic.id)
        } else if let Err(text) = topic_name::check(name) {
            Err(refuse(ErrorKind::InvalidTopic, text))
        } else if !allowed || name == topic_name::TRANSACTION_STATE {
            Err(refuse(ErrorKind::UnknownTopicOrPartition, format!("no topic is named '{name}'")))
        } else {
            let topic = if name == topic_name::CONSUMER_OFFSETS {
                offsets_topic(&state.layers(), state.image.brokers().len())
            } else {
                NewTopic {
                    name: name.clone(),
                    partition_count: DEFAULT,
                    replication_factor: DEFAULT as i16,
                    assignments: Vec::new(),
                    configs: Vec::new(),
                }
            };
            creation.create(&topic, false).map(|created| created.topic_id)
        };
        results.insert(name, result);
    }
    let answer = command
        .names
        .iter()
        .map(|name| AutoCreateResult { name: name.clone(), result: results[name.as_str()].clone() })
        .collect();
    Outcome { records: creation.records.into_vec(), answer }
}

/// The topic in which groups keep their offsets, as Kafka makes it: compacted, in small segments, with as many replicas
/// as are asked for and there are brokers.
#[must_use]
pub fn offsets_topic(layers: &Layers<'_>, broker_count: usize) -> NewTopic {
    let config = OffsetsTopicSettings::resolve(layers);
    let brokers = i16::try_from(broker_count).unwrap_or(i16::MAX).max(1);
    let set = |key: &str, value: String| (key.to_owned(), Some(value));
    NewTopic {
        name: topic_name::CONSUMER_OFFSETS.to_owned(),
        partition_count: config.partition_count,
        replication_factor: config.replication_factor.min(brokers),
        assignments: Vec::new(),
        configs: vec![
            set("cleanup.policy", "compact".to_owned()),
            set("compression.type", "producer".to_owned()),
            set("segment.bytes", config.segment_bytes.to_string()),
        ],
    }
}

/// Partitions `first..first + count` with replicas in turn: the first one's first replica on `brokers[start]`.
pub(crate) fn place(
    brokers: &[BrokerId],
    start: usize,
    count: usize,
    replication_factor: usize,
) -> Vec<Partition> {
    assert!(replication_factor <= brokers.len(), "each replica needs a broker of its own");
    (0..count)
        .map(|at| {
            let turn = |replica: usize| brokers[(start + at + replica) % brokers.len()];
            new_partition((0..replication_factor).map(turn).collect())
        })
        .collect()
}

/// A partition that has not been led yet, with every replica in sync.
pub(crate) fn new_partition(replicas: Box<[BrokerId]>) -> Partition {
    Partition {
        leader: replicas.first().copied(),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        isr: replicas.clone(),
        replicas,
    }
}

/// Checks the brokers of one manually assigned partition; with `factor` their number too.
pub(crate) fn check_assignment(
    state: &State<'_>,
    brokers: &[BrokerId],
    factor: Option<usize>,
) -> Result<(), Refusal> {
    let wrong = |text: String| Err(refuse(ErrorKind::InvalidReplicaAssignment, text));
    if brokers.is_empty() {
        return wrong("the manual assignment has a partition without replicas".into());
    }
    if brokers.len() > REPLICAS_MAX {
        return wrong(format!(
            "the manual assignment has a partition with more than {REPLICAS_MAX} replicas"
        ));
    }
    for (at, broker) in brokers.iter().enumerate() {
        if state.image.broker(*broker).is_none() {
            return wrong(format!("the manual assignment names broker {broker}, which is not registered"));
        }
        if brokers[..at].contains(broker) {
            return wrong(format!(
                "the manual assignment names broker {broker} more than once for a partition"
            ));
        }
    }
    match factor {
        Some(factor) if factor != brokers.len() => wrong(format!(
            "the manual assignment has a partition with {} replicas where others have {factor}",
            brokers.len()
        )),
        _ => Ok(()),
    }
}

/// Checks that so many replicas have as many brokers.
pub(crate) fn check_factor(factor: usize, broker_count: usize) -> Result<(), Refusal> {
    if factor > broker_count.min(REPLICAS_MAX) {
        let text = format!(
            "the replication factor {factor} cannot be reached: {broker_count} brokers are registered, and a \
             partition has at most {REPLICAS_MAX} replicas"
        );
        return Err(refuse(ErrorKind::InvalidReplicationFactor, text));
    }
    Ok(())
}

fn refuse(kind: ErrorKind, text: impl Into<String>) -> Refusal {
    Refusal::new(kind, text)
}

/// The topics of one command on their way. Knows what is already to be created, so that no two of them share an id or
/// collide in their names.
struct Creation<'a> {
    state: &'a State<'a>,
    brokers: Vec<BrokerId>,
    partition_count_default: i32,
    replication_factor_default: i16,
    topic_defaults: TopicConfig,
    /// The settings of a topic without any of its own; described once, for all topics of the command.
    described: Vec<DescribedConfig>,
    rng: Rng,
    records: Records,
    new_ids: BTreeSet<TopicId>,
    new_names: BTreeMap<String, String>,
}

impl<'a> Creation<'a> {
    fn new(state: &'a State<'a>, seed: u64) -> Creation<'a> {
        let config = state.broker_config();
        Creation {
            state,
            brokers: state.image.brokers().map(|broker| broker.id).collect(),
            partition_count_default: config.partition_count_default,
            replication_factor_default: config.replication_factor_default,
            topic_defaults: config.topic_defaults,
            described: describe_defaults(&state.layers()),
            rng: Rng::new(seed),
            records: Records::new(state.image),
            new_ids: BTreeSet::new(),
            new_names: BTreeMap::new(),
        }
    }

    fn create(&mut self, topic: &NewTopic, validate_only: bool) -> Result<CreatedTopic, Refusal> {
        self.check_name(&topic.name)?;
        let overrides = self.check_configs(&topic.configs)?;
        let partitions =
            if topic.assignments.is_empty() { self.spread(topic)? } else { self.assigned(topic)? };
        let topic_id = self.draw_id();
        let created = CreatedTopic {
            topic_id: if validate_only { TopicId::ZERO } else { topic_id },
            partition_count: i32::try_from(partitions.len()).expect("a topic's partitions are far fewer"),
            replication_factor: i16::try_from(partitions[0].replicas.len()).expect("replicas are far fewer"),
            configs: self.described.iter().map(|config| describe_own(config, &overrides)).collect(),
        };
        self.records.push(MetadataRecord::TopicCreated {
            topic_id,
            name: topic.name.clone(),
            partitions,
            configs: overrides.into_iter().collect(),
        })?;
        self.new_ids.insert(topic_id);
        self.new_names.insert(topic_name::collision_key(&topic.name), topic.name.clone());
        Ok(created)
    }

    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        topic_name::check(name).map_err(|text| refuse(ErrorKind::InvalidTopic, text))?;
        if name == topic_name::CLUSTER_METADATA {
            return Err(refuse(
                ErrorKind::InvalidRequest,
                format!("'{name}' is the metadata log, not a topic"),
            ));
        }
        if self.state.image.topic(name).is_some() {
            return Err(refuse(ErrorKind::TopicAlreadyExists, format!("topic '{name}' already exists")));
        }
        let new = self.new_names.get(&topic_name::collision_key(name)).map(String::as_str);
        if let Some(other) = self.state.image.colliding_topic(name).or(new) {
            let text = format!("topic '{name}' collides with topic '{other}': '.' and '_' count as the same");
            return Err(refuse(ErrorKind::InvalidTopic, text));
        }
        Ok(())
    }

    fn check_configs(&self, configs: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
        let invalid = |text: String| refuse(ErrorKind::InvalidConfig, text);
        let mut overrides = Overrides::new();
        for (key, value) in configs {
            let Some(value) = value else {
                return Err(invalid(format!("configuration {key} has a null value")));
            };
            let printed = match topic_definitions::find(key) {
                Some(definition) => {
                    definition.parse(value).map_err(|error| invalid(error.to_string()))?.to_string()
                }
                None => return Err(invalid(format!("no topic setting is named '{key}'"))),
            };
            overrides.insert(key.clone(), printed);
        }
        topic::check_overrides(&self.topic_defaults, &overrides)
            .map_err(|error| invalid(error.to_string()))?;
        Ok(overrides)
    }

    fn assigned(&self, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
        if topic.replication_factor != DEFAULT as i16 || topic.partition_count != DEFAULT {
            let text = "with a manual assignment, partition count and replication factor must be -1";
            return Err(refuse(ErrorKind::InvalidRequest, text));
        }
        self.records.check_partitions(topic.assignments.len())?;
        let wrong = |text: String| Err(refuse(ErrorKind::InvalidReplicaAssignment, text));
        let mut found = BTreeMap::new();
        let factor = topic.assignments[0].brokers.len();
        for assignment in &topic.assignments {
            check_assignment(self.state, &assignment.brokers, Some(factor))?;
            if found
                .insert(assignment.partition, new_partition(assignment.brokers.as_slice().into()))
                .is_some()
            {
                return wrong(format!(
                    "the manual assignment names partition {} twice",
                    assignment.partition
                ));
            }
        }
        if let Some((_, gap)) = (0..).zip(found.keys()).find(|(at, partition)| partition.0 != *at) {
            return wrong(format!(
                "the manual assignment must number partitions from 0 without gaps, not {gap}"
            ));
        }
        Ok(found.into_values().collect())
    }

    fn spread(&mut self, topic: &NewTopic) -> Result<Vec<Partition>, Refusal> {
        let factor = match topic.replication_factor {
            -1 => self.replication_factor_default,
            factor => factor,
        };
        let Some(factor) = usize::try_from(factor).ok().filter(|&factor| factor > 0) else {
            let text =
                format!("the replication factor must be at least 1, or -1 for the default, not {factor}");
            return Err(refuse(ErrorKind::InvalidReplicationFactor, text));
        };
        let count = if topic.partition_count == DEFAULT {
            self.partition_count_default
        } else {
            topic.partition_count
        };
        let Some(count) = usize::try_from(count).ok().filter(|&count| count > 0) else {
            let text =
                format!("the number of partitions must be at least 1, or -1 for the default, not {count}");
            return Err(refuse(ErrorKind::InvalidPartitions, text));
        };
        check_factor(factor, self.brokers.len())?;
        self.records.check_partitions(count)?;
        let start = self.rng.below(self.brokers.len() as u64) as usize;
        Ok(place(&self.brokers, start, count, factor))
    }

    /// A random UUID (version 4) that no topic has and whose printed form does not begin with a dash, which tools
    /// would take for an option.
    fn draw_id(&mut self) -> TopicId {
        loop {
            let mut bytes = self.rng.bytes16();
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = TopicId(bytes);
            let dash = bytes[0] >> 2 == 62;
            if !dash && self.state.image.topic_by_id(id).is_none() && !self.new_ids.contains(&id) {
                return id;
            }
        }
    }
}
