//! OffsetFetch, versions 1 to 10: one group, and from version 8 on several. Source: KIP-709, KIP-447, KIP-848.

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::Now;
use corelane_control::groups::answer::{FetchedTopic, GroupAnswer};
use corelane_control::groups::command::{FetchOffsets, FetchTopic, GroupCommand};
use corelane_control::groups::error::GroupError;
use corelane_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{body, code};
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

/// The first version that asks for several groups.
const GROUPS_FROM: i16 = 8;

impl Shard {
    pub(crate) fn offset_fetch(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = OffsetFetchRequest::decode(&mut reader, meta.version)?;
        let require_stable = request.require_stable;
        if meta.version >= GROUPS_FROM {
            let commands = request.groups.iter().map(|group| {
                (group.group_id, GroupCommand::Fetch(command(group, require_stable, meta.version)))
            });
            self.ask_groups(now, meta, body, commands, fx);
            return Ok(());
        }
        let topic = |topic: &corelane_wire::message::offset_fetch::OffsetFetchRequestTopic<'_>| FetchTopic {
            name: topic.name.to_owned(),
            id: TopicId::ZERO,
            partitions: topic.partition_indexes.iter().map(|index| PartitionIndex(*index)).collect(),
        };
        let command = FetchOffsets {
            group: request.group_id.to_owned(),
            member_id: None,
            member_epoch: -1,
            topics: request.topics.as_ref().map(|topics| topics.iter().map(topic).collect()),
            require_stable,
            by_topic_id: false,
        };
        self.ask_group(now, meta, body, request.group_id, GroupCommand::Fetch(command), fx);
        Ok(())
    }

    /// Versions 1 to 7.
    pub(crate) fn answer_offset_fetch(&mut self, meta: RequestMeta, body: &[u8], answer: GroupAnswer) {
        let fetched = outcome(answer);
        let response = match &fetched {
            Ok(topics) => OffsetFetchResponse {
                topics: topics.iter().map(topic).collect(),
                ..OffsetFetchResponse::default()
            },
            // Version 1 has no field for the whole.
            Err(error) if meta.version < 2 => refused(meta, body, *error),
            Err(error) => {
                OffsetFetchResponse { error_code: code(Some(*error)), ..OffsetFetchResponse::default() }
            }
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }

    /// Versions 8 and later.
    pub(crate) fn answer_offset_fetches(
        &mut self,
        meta: RequestMeta,
        body: &[u8],
        answers: Vec<GroupAnswer>,
    ) {
        let request =
            OffsetFetchRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
        let outcomes: Vec<_> = answers.into_iter().map(outcome).collect();
        let groups = request.groups.iter().zip(&outcomes).map(|(group, fetched)| OffsetFetchResponseGroup {
            group_id: group.group_id,
            topics: fetched.iter().flatten().map(topic_of_many).collect(),
            error_code: code(fetched.as_ref().err().copied()),
        });
        let response = OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn command(group: &OffsetFetchRequestGroup<'_>, require_stable: bool, version: i16) -> FetchOffsets {
    let topic = |topic: &corelane_wire::message::offset_fetch::OffsetFetchRequestTopics<'_>| FetchTopic {
        name: topic.name.to_owned(),
        id: TopicId(topic.topic_id),
        partitions: topic.partition_indexes.iter().map(|index| PartitionIndex(*index)).collect(),
    };
    FetchOffsets {
        group: group.group_id.to_owned(),
        member_id: group.member_id.map(str::to_owned),
        member_epoch: group.member_epoch,
        topics: group.topics.as_ref().map(|topics| topics.iter().map(topic).collect()),
        require_stable,
        by_topic_id: version >= 10,
    }
}

fn outcome(answer: GroupAnswer) -> Result<Vec<FetchedTopic>, GroupError> {
    match answer {
        GroupAnswer::Fetch(fetched) => fetched,
        GroupAnswer::Refused(error) => Err(error),
        other => unreachable!("{other:?} answers no fetch of offsets"),
    }
}

fn topic(topic: &FetchedTopic) -> OffsetFetchResponseTopic<'_> {
    let partitions = topic.partitions.iter().map(|offset| OffsetFetchResponsePartition {
        partition_index: offset.index.0,
        committed_offset: offset.offset,
        committed_leader_epoch: offset.leader_epoch,
        metadata: Some(&offset.metadata),
        error_code: code(offset.error),
    });
    OffsetFetchResponseTopic { name: &topic.name, partitions: partitions.collect() }
}

fn topic_of_many(topic: &FetchedTopic) -> OffsetFetchResponseTopics<'_> {
    let partitions = topic.partitions.iter().map(|offset| OffsetFetchResponsePartitions {
        partition_index: offset.index.0,
        committed_offset: offset.offset,
        committed_leader_epoch: offset.leader_epoch,
        metadata: Some(&offset.metadata),
        error_code: code(offset.error),
    });
    OffsetFetchResponseTopics { name: &topic.name, topic_id: topic.id.0, partitions: partitions.collect() }
}

fn refused(meta: RequestMeta, body: &[u8], error: GroupError) -> OffsetFetchResponse<'_> {
    let request = OffsetFetchRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
    let topics = request.topics.unwrap_or_default().into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| OffsetFetchResponsePartition {
                partition_index: *index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(""),
                error_code: code(Some(error)),
            })
            .collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), ..OffsetFetchResponse::default() }
}
