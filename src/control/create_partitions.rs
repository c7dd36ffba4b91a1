//! Giving topics more partitions. There is no way to have fewer.

use corelane_base::id::{BrokerId, PartitionIndex};

use crate::command::{Outcome, Records, State, duplicates};
use crate::create_topics::{check_assignment, check_factor, new_partition, place};
use crate::error::{ErrorKind, Refusal};
use crate::record::{MetadataRecord, Partition};

/// Topics that are to grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    /// Which, and how far.
    pub topics: Vec<TopicToGrow>,
    /// Only tell what would happen.
    pub validate_only: bool,
}

/// One topic that is to grow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicToGrow {
    /// Its name.
    pub name: String,
    /// How many partitions it shall have in all.
    pub count: i32,
    /// The brokers of each new partition; `None` to let the controller choose.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitionsResult {
    /// The name as asked for.
    pub name: String,
    /// Whether it has grown, or would.
    pub result: Result<(), Refusal>,
}

/// Gives topics more partitions. The answer has one result per element, in order; a name that occurs more than once
/// is refused each time.
#[must_use]
pub fn create_partitions(
    state: &State<'_>,
    command: &CreatePartitions,
) -> Outcome<Vec<CreatePartitionsResult>> {
    let mut records = Records::new(state.image);
    let twice = duplicates(command.topics.iter().map(|topic| topic.name.as_str()));
    let answer = command
        .topics
        .iter()
        .zip(twice)
        .map(|(topic, twice)| {
            let result = if twice {
                let text = format!("topic '{}' occurs more than once", topic.name);
                Err(Refusal::new(ErrorKind::InvalidRequest, text))
            } else {
                grow(state, topic, &records).and_then(|record| records.push(record))
            };
            CreatePartitionsResult { name: topic.name.clone(), result }
        })
        .collect();
    let records = if command.validate_only { Vec::new() } else { records.into_vec() };
    Outcome { records, answer }
}

fn grow(state: &State<'_>, request: &TopicToGrow, records: &Records) -> Result<MetadataRecord, Refusal> {
    let Some(topic) = state.image.topic(&request.name) else {
        let text = format!("no topic is named '{}'", request.name);
        return Err(Refusal::new(ErrorKind::UnknownTopicOrPartition, text));
    };
    let now = topic.partitions.len();
    let additional = match usize::try_from(request.count) {
        Ok(count) if count > now => count - now,
        _ => {
            let text = format!(
                "topic '{}' has {now} partitions; {} would not be an increase",
                request.name, request.count
            );
            return Err(Refusal::new(ErrorKind::InvalidPartitions, text));
        }
    };
    records.check_partitions(additional)?;
    let factor = topic.replication_factor();
    let partitions: Vec<Partition> = match &request.assignments {
        Some(assignments) if assignments.len() != additional => {
            let text =
                format!("{additional} partitions are to be added, but {} are assigned", assignments.len());
            return Err(Refusal::new(ErrorKind::InvalidReplicaAssignment, text));
        }
        Some(assignments) => assignments
            .iter()
            .map(|brokers| {
                check_assignment(state, brokers, Some(factor))?;
                Ok(new_partition(brokers.as_slice().into()))
            })
            .collect::<Result<_, Refusal>>()?,
        None => {
            let brokers: Vec<BrokerId> = state.image.brokers().map(|broker| broker.id).collect();
            check_factor(factor, brokers.len())?;
            // Goes on in turn where the creation of the topic began.
            let origin = brokers.iter().position(|id| *id == topic.partitions[0].replicas[0]).unwrap_or(0);
            place(&brokers, origin + now, additional, factor)
        }
    };
    let first = PartitionIndex(i32::try_from(now).expect("a topic's partitions are far fewer"));
    Ok(MetadataRecord::PartitionsAdded { topic_id: topic.id, first, partitions })
}
