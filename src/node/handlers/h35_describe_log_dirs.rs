//! DescribeLogDirs, versions 1 to 5: sizes of logs, and the room on the data directory's file system. The directory is
//! never cordoned. Source: KIP-113, KIP-827.

use corelane_base::id::TopicId;
use corelane_base::time::Now;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::query::{Questions, by_topic};
use crate::mesh::{Query, QueryResult};
use crate::pending::{PendingQuery, RequestMeta};
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn describe_log_dirs(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = DescribeLogDirsRequest::decode(reader, meta.version)?;
        let mut questions = Questions::default();
        match &request.topics {
            None => {
                for topic in self.image.topics() {
                    questions.topic(&topic.name, TopicId::ZERO);
                    for index in 0..topic.partitions.len() {
                        questions.ask(self.owner_of(topic.id, index as i32).0, Query::LogSize);
                    }
                }
            }
            Some(topics) => {
                for topic in topics {
                    questions.topic(topic.topic, TopicId::ZERO);
                    // What does not exist has no log here; Kafka leaves it out.
                    let found =
                        topic.partitions.iter().filter_map(|i| self.find_partition(topic.topic, *i).ok());
                    found.for_each(|key| questions.ask(key, Query::LogSize));
                }
            }
        }
        self.ask(now, meta, questions, fx);
        Ok(())
    }

    pub(crate) fn answer_log_dirs(&mut self, meta: RequestMeta, query: &PendingQuery) {
        let topics = by_topic(query)
            .filter(|(_, partitions)| !partitions.is_empty())
            .map(|(topic, partitions)| DescribeLogDirsTopic {
                name: &topic.name,
                partitions: partitions.iter().filter_map(partition_size).collect(),
            })
            .collect();
        let parts = {
            let result = DescribeLogDirsResult {
                error_code: ErrorCode::None.code(),
                log_dir: &self.settings.data_dir,
                topics,
                total_bytes: i64::try_from(self.disk_total_bytes).unwrap_or(i64::MAX),
                usable_bytes: i64::try_from(self.disk_free_bytes).unwrap_or(i64::MAX),
                ..DescribeLogDirsResult::default()
            };
            let response =
                DescribeLogDirsResponse { results: vec![result], ..DescribeLogDirsResponse::default() };
            let capacity = 256 + 32 * query.partitions.len();
            response_parts(meta, capacity, |writer, version| response.encode(writer, version), Vec::new())
        };
        self.respond(meta, Some(parts));
    }
}

fn partition_size((partition, answer): &(i32, Option<QueryResult>)) -> Option<DescribeLogDirsPartition> {
    let Some(QueryResult::LogSize { error: ErrorCode::None, bytes }) = answer else { return None };
    Some(DescribeLogDirsPartition {
        partition_index: *partition,
        partition_size: i64::try_from(*bytes).unwrap_or(i64::MAX),
        ..DescribeLogDirsPartition::default()
    })
}
