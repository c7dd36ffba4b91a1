//! ListOffsets, versions 1 to 11, and 0 for those who ask in it without being told that it is there.
//!
//! By time: the first record at or after it, exact also within compressed batches; offset -1 if there is none. -1
//! latest (the high watermark), -2 earliest, -3 the record with the largest timestamp (from version 7), -4 earliest
//! local (8), -5 latest tiered (9): nothing is tiered, so the earliest local is the earliest and the latest tiered does
//! not exist. Version 0 answers with one offset at most, where Kafka once gave the first offsets of several segments. -6, earliest pending upload (11), does not exist either. Source: KIP-79, KIP-734, KIP-405, KIP-1005.

use corelane_base::id::{LeaderEpoch, Offset, TopicId};
use corelane_base::time::{Now, WallMs};
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::query::{Questions, by_topic};
use crate::mesh::{Query, QueryResult};
use crate::pending::{PendingQuery, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

/// The first version that knows a special timestamp.
fn version_of_special(timestamp: i64) -> Option<i16> {
    match timestamp {
        -1 | -2 => Some(0),
        -3 => Some(7),
        -4 => Some(8),
        -5 => Some(9),
        -6 => Some(11),
        at if at >= 0 => Some(0),
        _ => None,
    }
}

impl Shard {
    pub(crate) fn list_offsets(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = ListOffsetsRequest::decode(reader, meta.version)?;
        let mut questions = Questions::default();
        for topic in &request.topics {
            questions.topic(topic.name, TopicId::ZERO);
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let supported =
                    version_of_special(partition.timestamp).is_some_and(|from| meta.version >= from);
                match self.find_partition(topic.name, index) {
                    _ if !supported => questions.known(index, failed(ErrorCode::UnsupportedVersion)),
                    Ok(key) => {
                        let current_leader_epoch = LeaderEpoch(partition.current_leader_epoch);
                        questions.ask(
                            key,
                            Query::ListOffset { timestamp: partition.timestamp, current_leader_epoch },
                        );
                    }
                    Err(error) => questions.known(index, failed(error)),
                }
            }
        }
        self.ask(now, meta, questions, fx);
        Ok(())
    }

    pub(crate) fn answer_list_offsets(&mut self, meta: RequestMeta, query: &PendingQuery) {
        let topics = by_topic(query)
            .map(|(topic, partitions)| ListOffsetsTopicResponse {
                name: &topic.name,
                partitions: partitions.iter().map(|each| partition_response(each, meta.version)).collect(),
            })
            .collect();
        let response = ListOffsetsResponse { topics, ..ListOffsetsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn failed(error: ErrorCode) -> QueryResult {
    let (offset, timestamp, leader_epoch) = (Offset(-1), WallMs(-1), LeaderEpoch(-1));
    QueryResult::ListOffset { error, offset, timestamp, leader_epoch }
}

fn partition_response(
    (partition, answer): &(i32, Option<QueryResult>),
    version: i16,
) -> ListOffsetsPartitionResponse {
    let answer = answer.unwrap_or_else(|| failed(ErrorCode::RequestTimedOut));
    let QueryResult::ListOffset { error, offset, timestamp, leader_epoch } = answer else {
        unreachable!("answers match their questions")
    };
    ListOffsetsPartitionResponse {
        partition_index: *partition,
        error_code: error.code(),
        // What version 0 says instead of the offset; in all others it is not sent.
        old_style_offsets: Some(offset.0).filter(|offset| version == 0 && *offset >= 0).into_iter().collect(),
        timestamp: timestamp.0,
        offset: offset.0,
        leader_epoch: leader_epoch.0,
    }
}
