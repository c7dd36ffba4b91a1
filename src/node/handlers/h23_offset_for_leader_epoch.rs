//! OffsetForLeaderEpoch, versions 2 to 4: where a leader epoch ended, by which a consumer finds out whether what it has
//! read was cut off. Source: KIP-320; Kafka `Partition.lastOffsetForLeaderEpoch`.

use corelane_base::id::{LeaderEpoch, Offset, TopicId};
use corelane_base::time::Now;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::query::{Questions, by_topic};
use crate::mesh::{Query, QueryResult};
use crate::pending::{PendingQuery, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn offset_for_leader_epoch(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = OffsetForLeaderEpochRequest::decode(reader, meta.version)?;
        let mut questions = Questions::default();
        for topic in &request.topics {
            questions.topic(topic.topic, TopicId::ZERO);
            for partition in &topic.partitions {
                match self.find_partition(topic.topic, partition.partition) {
                    Ok(key) => questions.ask(
                        key,
                        Query::EpochEnd {
                            leader_epoch: LeaderEpoch(partition.leader_epoch),
                            current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
                        },
                    ),
                    Err(error) => questions.known(partition.partition, failed(error)),
                }
            }
        }
        self.ask(now, meta, questions, fx);
        Ok(())
    }

    pub(crate) fn answer_epochs(&mut self, meta: RequestMeta, query: &PendingQuery) {
        let topics = by_topic(query)
            .map(|(topic, partitions)| OffsetForLeaderTopicResult {
                topic: &topic.name,
                partitions: partitions.iter().map(partition_result).collect(),
            })
            .collect();
        let response = OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn failed(error: ErrorCode) -> QueryResult {
    QueryResult::EpochEnd { error, leader_epoch: LeaderEpoch(-1), end_offset: Offset(-1) }
}

fn partition_result((partition, answer): &(i32, Option<QueryResult>)) -> EpochEndOffset {
    let answer = answer.unwrap_or_else(|| failed(ErrorCode::RequestTimedOut));
    let QueryResult::EpochEnd { error, leader_epoch, end_offset } = answer else {
        unreachable!("answers match their questions")
    };
    EpochEndOffset {
        error_code: error.code(),
        partition: *partition,
        leader_epoch: leader_epoch.0,
        end_offset: end_offset.0,
    }
}
