//! DescribeTopicPartitions, version 0: topics page by page with a cursor. Source: KIP-966.

use corelane_base::id::{BrokerId, PartitionIndex};
use corelane_control::image::Topic;
use corelane_control::paging::{Cursor as PageCursor, Entry, page};
use corelane_control::topic_name;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use corelane_wire::primitive::Reader;

use crate::handlers::h03_metadata::{OPERATIONS_UNASKED, TOPIC_OPERATIONS};
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn describe_topic_partitions(
        &mut self,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
    ) -> Handled {
        let request = DescribeTopicPartitionsRequest::decode(reader, meta.version)?;
        let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_owned()).collect();
        let cursor = request.cursor.as_ref().map(|cursor| PageCursor {
            topic: cursor.topic_name.to_owned(),
            partition: PartitionIndex(cursor.partition_index),
        });
        let limit = self.config.described_partition_count_max.min(request.response_partition_limit).max(1);
        let parts = {
            let page = page(&self.image, &names, cursor.as_ref(), limit as usize);
            let next_cursor = page
                .next
                .as_ref()
                .map(|next| Cursor { topic_name: &next.topic, partition_index: next.partition.0 });
            let topics = page.entries.iter().map(topic_response).collect();
            let response = DescribeTopicPartitionsResponse { topics, next_cursor, ..Default::default() };
            response_parts(meta, 1024, |writer, version| response.encode(writer, version), Vec::new())
        };
        self.respond(meta, Some(parts));
        Ok(())
    }
}

fn topic_response<'a>(entry: &'a Entry<'a>) -> DescribeTopicPartitionsResponseTopic<'a> {
    match entry {
        Entry::Topic { topic, partitions } => DescribeTopicPartitionsResponseTopic {
            error_code: 0,
            name: Some(&topic.name),
            topic_id: topic.id.0,
            is_internal: topic.is_internal(),
            partitions: partitions.clone().map(|index| partition_response(topic, index)).collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
        },
        Entry::Unknown { name } => {
            let error = if topic_name::check(name).is_ok() {
                ErrorCode::UnknownTopicOrPartition
            } else {
                ErrorCode::InvalidTopicException
            };
            DescribeTopicPartitionsResponseTopic {
                error_code: error.code(),
                name: Some(name),
                topic_authorized_operations: OPERATIONS_UNASKED,
                ..Default::default()
            }
        }
    }
}

fn partition_response(topic: &Topic, index: usize) -> DescribeTopicPartitionsResponsePartition {
    let partition = &topic.partitions[index];
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    DescribeTopicPartitionsResponsePartition {
        error_code: if partition.leader.is_some() { 0 } else { ErrorCode::LeaderNotAvailable.code() },
        partition_index: index as i32,
        leader_id: partition.leader.map_or(-1, |leader| leader.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        // Empty, not null: the Java client takes null for granted never to come.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}
