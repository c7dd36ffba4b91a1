//! Consumer groups as the command line sees them: who is in one, what is committed, and how far behind that is.
//!
//! Works against any Kafka broker from 3.0 on. What it is not: a member of a group.

use std::collections::BTreeMap;
use std::time::Instant;

use corelane_base::id::BrokerId;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};
use corelane_wire::message::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use corelane_wire::message::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use corelane_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use corelane_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use corelane_wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetDeleteResponse,
};
use corelane_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};
use corelane_wire::primitive::{DecodeError, Reader};

use crate::client::{Client, ClientError, Node, exchange};

exchange!(ListGroupsRequest, ListGroupsResponse, ListGroups);
// Below version 4 a request has one key, in another field.
exchange!(FindCoordinatorRequest, FindCoordinatorResponse, FindCoordinator, 4, 6);
exchange!(DescribeGroupsRequest, DescribeGroupsResponse, DescribeGroups);
exchange!(ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupDescribe);
// Below version 8 a request has one group, in other fields; from version 10 on topics have ids instead of names.
exchange!(OffsetFetchRequest, OffsetFetchResponse, OffsetFetch, 8, 9);
exchange!(OffsetCommitRequest, OffsetCommitResponse, OffsetCommit, 2, 9);
exchange!(OffsetDeleteRequest, OffsetDeleteResponse, OffsetDelete);
exchange!(DeleteGroupsRequest, DeleteGroupsResponse, DeleteGroups);

/// A topic and the number of a partition.
pub type TopicPartition = (String, i32);

/// A group in a list.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ListedGroup {
    /// Its name.
    pub name: String,
    /// `classic` or `consumer`; empty from brokers that do not say.
    pub kind: String,
    /// What its members speak: `consumer`, `connect`; empty for a group that only ever committed offsets.
    pub protocol_type: String,
    /// `Stable`, `Empty` and so on.
    pub state: String,
}

/// A group with its members.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// `Stable`, `Empty`, `Dead` and so on.
    pub state: String,
    /// The assignor in use; empty if there is none.
    pub assignor: String,
    /// The broker that coordinates it.
    pub coordinator: i32,
    /// The epoch of a consumer group.
    pub epoch: Option<i32>,
    /// The members.
    pub members: Vec<Member>,
}

/// A member of a group.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// The id that the coordinator or the member chose.
    pub id: String,
    /// The name of a static member.
    pub instance: Option<String>,
    /// The name of its client.
    pub client: String,
    /// Where it comes from.
    pub host: String,
    /// What it reads.
    pub assignment: Vec<TopicPartition>,
}

/// What is committed for a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The next offset to read.
    pub offset: i64,
    /// The text that the client keeps beside it.
    pub metadata: String,
}

/// All groups of all brokers, by name.
pub fn list(client: &mut Client, deadline: Instant) -> Result<Vec<ListedGroup>, ClientError> {
    let mut groups = client.retry(deadline, |client| {
        let metadata = client.metadata(Some(&[]), false, deadline)?;
        let mut groups = Vec::new();
        for broker in metadata.brokers.keys() {
            let request = ListGroupsRequest::default();
            let answer = client.call(Node::Broker(*broker), &request, deadline)?;
            let response = answer.decode()?;
            if response.error_code != 0 {
                return Err(ClientError::refused("listing groups", response.error_code, None));
            }
            groups.extend(response.groups.iter().map(|group| ListedGroup {
                name: group.group_id.to_string(),
                kind: group.group_type.to_lowercase(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
            }));
        }
        Ok(groups)
    })?;
    groups.sort();
    Ok(groups)
}

/// The broker that coordinates a group. Errors: none is available by `deadline`.
pub fn coordinator(client: &mut Client, group: &str, deadline: Instant) -> Result<BrokerId, ClientError> {
    client.retry(deadline, |client| {
        client.metadata(Some(&[]), false, deadline)?;
        let request = FindCoordinatorRequest { coordinator_keys: vec![group], ..Default::default() };
        let answer = client.call(Node::Any, &request, deadline)?;
        let response = answer.decode()?;
        let found = response.coordinators.first();
        let found = found.ok_or_else(|| ClientError::Protocol("no coordinator in the answer".to_string()))?;
        match found.error_code {
            0 => Ok(BrokerId(found.node_id)),
            code => Err(refused(group, code, found.error_message)),
        }
    })
}

fn refused(group: &str, code: i16, message: Option<&str>) -> ClientError {
    ClientError::refused(format!("group {group}"), code, message)
}

/// Asks a group's coordinator, again when the group has moved or is being loaded.
fn ask<T>(
    client: &mut Client,
    group: &str,
    mut attempt: impl FnMut(&mut Client, BrokerId, Instant) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let deadline = client.deadline();
    client.retry(deadline, |client| {
        let broker = coordinator(client, group, deadline)?;
        attempt(client, broker, deadline)
    })
}

/// Describes a group of either kind. Errors: `GROUP_ID_NOT_FOUND` and the like.
pub fn describe(client: &mut Client, group: &str) -> Result<Group, ClientError> {
    ask(client, group, |client, broker, deadline| {
        match describe_consumer(client, group, broker, deadline) {
            Err(ClientError::NotServed { .. }) => {}
            Err(ClientError::Refused { code, .. }) if code == ErrorCode::GroupIdNotFound as i16 => {}
            other => return other,
        }
        describe_classic(client, group, broker, deadline)
    })
}

fn describe_consumer(
    client: &mut Client,
    group: &str,
    broker: BrokerId,
    deadline: Instant,
) -> Result<Group, ClientError> {
    let request =
        ConsumerGroupDescribeRequest { group_ids: vec![group], include_authorized_operations: false };
    let answer = client.call(Node::Broker(broker), &request, deadline)?;
    let response = answer.decode()?;
    let found = response.groups.first().ok_or_else(missing)?;
    if found.error_code != 0 {
        return Err(refused(group, found.error_code, found.error_message));
    }
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.instance_id.map(str::to_string),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: partitions_of(&member.assignment),
    });
    Ok(Group {
        name: group.to_string(),
        kind: "consumer",
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        coordinator: broker.0,
        epoch: Some(found.group_epoch),
        members: members.collect(),
    })
}

fn partitions_of(assignment: &Assignment<'_>) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.iter();
    let each = topics.flat_map(|topic| {
        topic.partitions.iter().map(|partition| (topic.topic_name.to_string(), *partition))
    });
    let mut all: Vec<TopicPartition> = each.collect();
    all.sort();
    all
}

fn describe_classic(
    client: &mut Client,
    group: &str,
    broker: BrokerId,
    deadline: Instant,
) -> Result<Group, ClientError> {
    let request = DescribeGroupsRequest { groups: vec![group], include_authorized_operations: false };
    let answer = client.call(Node::Broker(broker), &request, deadline)?;
    let response = answer.decode()?;
    let found = response.groups.first().ok_or_else(missing)?;
    if found.error_code != 0 {
        return Err(refused(group, found.error_code, found.error_message));
    }
    if found.group_state == "Dead" {
        // What brokers say of a group they do not know, before version 6.
        return Err(refused(group, ErrorCode::GroupIdNotFound as i16, None));
    }
    let is_consumer = found.protocol_type == "consumer";
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(str::to_string),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        // What other kinds of groups put there is theirs to read.
        assignment: match is_consumer {
            true => decode_assignment(member.member_assignment).unwrap_or_default(),
            false => Vec::new(),
        },
    });
    Ok(Group {
        name: group.to_string(),
        kind: "classic",
        state: found.group_state.to_string(),
        assignor: found.protocol_data.to_string(),
        coordinator: broker.0,
        epoch: None,
        members: members.collect(),
    })
}

fn missing() -> ClientError {
    ClientError::Protocol("the answer leaves out the group".to_string())
}

/// Reads the assignment of a classic consumer: a version, topics with their partitions, and bytes of the assignor.
pub fn decode_assignment(bytes: &[u8]) -> Result<Vec<TopicPartition>, DecodeError> {
    let mut all = Vec::new();
    if bytes.is_empty() {
        return Ok(all);
    }
    let mut reader = Reader::new(bytes);
    reader.i16()?;
    let topics = reader.array(false, 6, |reader| {
        let topic = reader.string(false)?;
        let partitions = reader.array(false, 4, Reader::i32)?;
        Ok((topic, partitions))
    })?;
    for (topic, partitions) in topics {
        all.extend(partitions.into_iter().map(|partition| (topic.to_string(), partition)));
    }
    all.sort();
    Ok(all)
}

/// Everything that a group has committed.
pub fn committed(
    client: &mut Client,
    group: &str,
) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
    ask(client, group, |client, broker, deadline| {
        let wanted =
            OffsetFetchRequestGroup { group_id: group, member_id: None, member_epoch: -1, topics: None };
        let request = OffsetFetchRequest { groups: vec![wanted], ..Default::default() };
        let answer = client.call(Node::Broker(broker), &request, deadline)?;
        let response = answer.decode()?;
        let found = response.groups.first().ok_or_else(missing)?;
        if found.error_code != 0 {
            return Err(refused(group, found.error_code, None));
        }
        let mut all = BTreeMap::new();
        for (topic, row) in
            found.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |row| (topic.name, row)))
        {
            if row.error_code != 0 {
                let what = format!("offset of group {group} in partition {} of {topic}", row.partition_index);
                return Err(ClientError::refused(what, row.error_code, None));
            }
            if row.committed_offset >= 0 {
                let metadata = row.metadata.unwrap_or_default().to_string();
                let committed = Committed { offset: row.committed_offset, metadata };
                all.insert((topic.to_string(), row.partition_index), committed);
            }
        }
        Ok(all)
    })
}

/// Sets a group's offsets from outside; only a group without members takes that. Gives the code for each partition.
pub fn commit(
    client: &mut Client,
    group: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i16>, ClientError> {
    ask(client, group, |client, broker, deadline| {
        let mut topics: Vec<OffsetCommitRequestTopic<'_>> = Vec::new();
        for ((name, partition), offset) in offsets {
            let row = OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: -1,
                committed_metadata: Some(""),
            };
            match topics.last_mut().filter(|topic| topic.name == name) {
                Some(topic) => topic.partitions.push(row),
                None => {
                    topics.push(OffsetCommitRequestTopic { name, topic_id: [0; 16], partitions: vec![row] })
                }
            }
        }
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            member_id: "",
            group_instance_id: None,
            retention_time_ms: -1,
            topics,
        };
        let answer = client.call(Node::Broker(broker), &request, deadline)?;
        let response = answer.decode()?;
        let rows = response
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |row| (topic.name, row)))
            .map(|(topic, row)| ((topic.to_string(), row.partition_index), row.error_code));
        outcome(group, rows.collect())
    })
}

/// Forgets what a group has committed. Gives the code for each partition.
pub fn delete_offsets(
    client: &mut Client,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, i16>, ClientError> {
    ask(client, group, |client, broker, deadline| {
        let mut topics: Vec<OffsetDeleteRequestTopic<'_>> = Vec::new();
        for (name, partition) in partitions {
            let row = OffsetDeleteRequestPartition { partition_index: *partition };
            match topics.last_mut().filter(|topic| topic.name == name) {
                Some(topic) => topic.partitions.push(row),
                None => topics.push(OffsetDeleteRequestTopic { name, partitions: vec![row] }),
            }
        }
        let request = OffsetDeleteRequest { group_id: group, topics };
        let answer = client.call(Node::Broker(broker), &request, deadline)?;
        let response = answer.decode()?;
        if response.error_code != 0 {
            return Err(refused(group, response.error_code, None));
        }
        let rows = response
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |row| (topic.name, row)))
            .map(|(topic, row)| ((topic.to_string(), row.partition_index), row.error_code));
        outcome(group, rows.collect())
    })
}

/// A coordinator that has moved says so for every partition alike: worth another attempt as a whole.
fn outcome(
    group: &str,
    rows: BTreeMap<TopicPartition, i16>,
) -> Result<BTreeMap<TopicPartition, i16>, ClientError> {
    match rows.values().find(|code| is_passing(**code)) {
        Some(code) => Err(refused(group, *code, None)),
        None => Ok(rows),
    }
}

/// Whether it is about the coordinator and not about what was asked.
fn is_passing(code: i16) -> bool {
    let known = ErrorCode::from_code(code);
    known.is_some_and(|known| known.is_retriable() && known != ErrorCode::UnknownTopicOrPartition)
}

/// Deletes a group without members, with all it has committed. Gives the code.
pub fn delete(client: &mut Client, group: &str) -> Result<i16, ClientError> {
    ask(client, group, |client, broker, deadline| {
        let request = DeleteGroupsRequest { groups_names: vec![group] };
        let answer = client.call(Node::Broker(broker), &request, deadline)?;
        let response = answer.decode()?;
        let code = response.results.first().ok_or_else(missing)?.error_code;
        match is_passing(code) {
            true => Err(refused(group, code, None)),
            false => Ok(code),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_read_and_damage_is_told() {
        // Version 1, topic "ab" with partitions 2 and 0, no bytes of the assignor.
        let bytes =
            [0, 1, 0, 0, 0, 1, 0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 255, 255, 255, 255];
        let expected = vec![("ab".to_string(), 0), ("ab".to_string(), 2)];
        assert_eq!(decode_assignment(&bytes).expect("a whole assignment"), expected);
        assert_eq!(decode_assignment(&[]).expect("nothing is assigned"), Vec::new());
        for len in 1..bytes.len() - 4 {
            assert!(decode_assignment(&bytes[..len]).is_err(), "{len} bytes were taken");
        }
    }
}
