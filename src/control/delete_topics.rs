//! Deleting topics, by name or by id.

use corelane_base::id::TopicId;
use std::collections::BTreeMap;

use crate::command::{Outcome, Records, State};
use crate::error::{ErrorKind, Refusal};
use crate::record::MetadataRecord;

/// Topics to delete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopics {
    /// Which.
    pub topics: Vec<TopicToDelete>,
}

/// One topic to delete: exactly one of name and id is to be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicToDelete {
    /// Its name.
    pub name: Option<String>,
    /// Its id; [`TopicId::ZERO`] for none.
    pub topic_id: TopicId,
}

/// What became of one topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteTopicResult {
    /// Its name, as given or as found by id.
    pub name: Option<String>,
    /// Its id, as given or as found by name; [`TopicId::ZERO`] if unknown.
    pub topic_id: TopicId,
    /// Whether it is deleted. Errors: `TOPIC_DELETION_DISABLED` (which requests before version 3 do not know: they
    /// get `INVALID_REQUEST`), `UNKNOWN_TOPIC_OR_PARTITION`, `UNKNOWN_TOPIC_ID`, `INVALID_REQUEST`.
    pub result: Result<(), Refusal>,
}

/// Deletes topics. The answer has one result per element, in order; of elements that mean the same topic none is
/// carried out.
#[must_use]
pub fn delete_topics(state: &State<'_>, command: &DeleteTopics) -> Outcome<Vec<DeleteTopicResult>> {
    let enabled = state.broker_config().delete_topics;
    let mut records = Records::new(state.image);
    let mut times: BTreeMap<TopicId, usize> = BTreeMap::new();
    for topic in &command.topics {
        if let Ok((id, _)) = find(state, topic) {
            *times.entry(id).or_default() += 1;
        }
    }
    let answer = command
        .topics
        .iter()
        .map(|topic| {
            let found = if enabled {
                find(state, topic)
            } else {
                Err(Refusal::new(ErrorKind::TopicDeletionDisabled, "delete.topic.enable is false"))
            };
            match found {
                Ok((topic_id, name)) => {
                    let result = if times[&topic_id] > 1 {
                        Err(Refusal::new(
                            ErrorKind::InvalidRequest,
                            format!("topic '{name}' occurs more than once"),
                        ))
                    } else {
                        records.push(MetadataRecord::TopicDeleted { topic_id })
                    };
                    DeleteTopicResult { name: Some(name), topic_id, result }
                }
                Err(refusal) => DeleteTopicResult {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    result: Err(refusal),
                },
            }
        })
        .collect();
    Outcome { records: records.into_vec(), answer }
}

fn find(state: &State<'_>, topic: &TopicToDelete) -> Result<(TopicId, String), Refusal> {
    let found = match (&topic.name, topic.topic_id) {
        (None, TopicId::ZERO) => {
            return Err(Refusal::new(ErrorKind::InvalidRequest, "neither topic name nor topic id is given"));
        }
        (Some(name), TopicId::ZERO) => state.image.topic(name).ok_or_else(|| {
            Refusal::new(ErrorKind::UnknownTopicOrPartition, format!("no topic is named '{name}'"))
        }),
        (None, id) => state
            .image
            .topic_by_id(id)
            .ok_or_else(|| Refusal::new(ErrorKind::UnknownTopicId, format!("no topic has the id {id:?}"))),
        (Some(_), _) => {
            return Err(Refusal::new(ErrorKind::InvalidRequest, "both topic name and topic id are given"));
        }
    };
    found.map(|topic| (topic.id, topic.name.to_string()))
}
