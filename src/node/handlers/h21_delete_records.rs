//! DeleteRecords, versions 0 to 2: raises where a log starts, to an offset or with -1 to the high watermark. The
//! answer leaves once the new start is on stable storage; Kafka answers before its next checkpoint of log starts, so
//! that what was deleted may come back after a crash. Source: KIP-107.

use corelane_base::id::{Offset, TopicId};
use corelane_base::time::Now;
use corelane_control::topic_name;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::query::{Questions, by_topic};
use crate::mesh::{Query, QueryResult};
use crate::pending::{PendingQuery, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn delete_records(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = DeleteRecordsRequest::decode(reader, meta.version)?;
        let mut questions = Questions::default();
        for topic in &request.topics {
            questions.topic(topic.name, TopicId::ZERO);
            let is_internal = topic_name::is_internal(topic.name);
            let deletes = self
                .image
                .topic(topic.name)
                .and_then(|topic| self.topic_configs.get(&topic.id))
                .is_none_or(|config| config.cleanup_policy.delete);
            for partition in &topic.partitions {
                let index = partition.partition_index;
                match self.find_partition(topic.name, index) {
                    Ok(_) if is_internal => questions.known(index, failed(ErrorCode::InvalidTopicException)),
                    // Kafka: a topic that is only compacted keeps its latest values.
                    Ok(_) if !deletes => questions.known(index, failed(ErrorCode::PolicyViolation)),
                    Ok(key) => questions.ask(key, Query::DeleteRecords { before: Offset(partition.offset) }),
                    Err(error) => questions.known(index, failed(error)),
                }
            }
        }
        self.ask(now, meta, questions, fx);
        Ok(())
    }

    pub(crate) fn answer_delete_records(&mut self, meta: RequestMeta, query: &PendingQuery) {
        let topics = by_topic(query)
            .map(|(topic, partitions)| DeleteRecordsTopicResult {
                name: &topic.name,
                partitions: partitions.iter().map(partition_result).collect(),
            })
            .collect();
        let response = DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn failed(error: ErrorCode) -> QueryResult {
    QueryResult::DeleteRecords { error, low_watermark: Offset(-1) }
}

fn partition_result((partition, answer): &(i32, Option<QueryResult>)) -> DeleteRecordsPartitionResult {
    let answer = answer.unwrap_or_else(|| failed(ErrorCode::RequestTimedOut));
    let QueryResult::DeleteRecords { error, low_watermark } = answer else {
        unreachable!("answers match their questions")
    };
    DeleteRecordsPartitionResult {
        partition_index: *partition,
        low_watermark: low_watermark.0,
        error_code: error.code(),
    }
}
