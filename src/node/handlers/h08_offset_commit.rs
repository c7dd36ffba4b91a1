//! OffsetCommit, versions 2 to 10. A commit is answered when it is durable. Source: KIP-211, KIP-848.

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::Now;
use corelane_control::groups::answer::{CommittedTopic, GroupAnswer};
use corelane_control::groups::command::{CommitOffsets, CommitPartition, CommitTopic, GroupCommand};
use corelane_control::groups::error::GroupError;
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestTopic, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{body, code};
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn offset_commit(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = OffsetCommitRequest::decode(&mut reader, meta.version)?;
        let command = CommitOffsets {
            group: request.group_id.to_owned(),
            member_id: request.member_id.to_owned(),
            instance_id: request.group_instance_id.map(str::to_owned),
            generation_or_epoch: request.generation_id_or_member_epoch,
            retention_time_ms: Some(request.retention_time_ms).filter(|&ms| ms >= 0),
            knows_member_epochs: meta.version >= 9,
            topics: request.topics.iter().map(topic).collect(),
        };
        self.ask_group(now, meta, body, request.group_id, GroupCommand::Commit(command), fx);
        Ok(())
    }

    pub(crate) fn answer_offset_commit(&mut self, meta: RequestMeta, body: &[u8], answer: GroupAnswer) {
        let response = match &answer {
            GroupAnswer::Commit(topics) => {
                let topics = topics.iter().map(committed).collect();
                OffsetCommitResponse { topics, ..OffsetCommitResponse::default() }
            }
            GroupAnswer::Refused(error) => refused(meta, body, *error),
            other => unreachable!("{other:?} answers no commit"),
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn topic(topic: &OffsetCommitRequestTopic<'_>) -> CommitTopic {
    let partition = |partition: &corelane_wire::message::offset_commit::OffsetCommitRequestPartition<'_>| {
        CommitPartition {
            index: PartitionIndex(partition.partition_index),
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.map(str::to_owned),
        }
    };
    CommitTopic {
        name: topic.name.to_owned(),
        id: TopicId(topic.topic_id),
        partitions: topic.partitions.iter().map(partition).collect(),
    }
}

fn committed(topic: &CommittedTopic) -> OffsetCommitResponseTopic<'_> {
    let partition = |(index, error): &(PartitionIndex, Option<GroupError>)| OffsetCommitResponsePartition {
        partition_index: index.0,
        error_code: code(*error),
    };
    OffsetCommitResponseTopic {
        name: &topic.name,
        topic_id: topic.id.0,
        partitions: topic.partitions.iter().map(partition).collect(),
    }
}

/// The request's own partitions, all with the error: there is no field for the whole.
fn refused(meta: RequestMeta, body: &[u8], error: GroupError) -> OffsetCommitResponse<'_> {
    let request = OffsetCommitRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
    let topics = request.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code(Some(error)),
            })
            .collect(),
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}
