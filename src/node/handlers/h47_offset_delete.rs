//! OffsetDelete, version 0. Source: KIP-496.

use corelane_base::id::PartitionIndex;
use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{DeleteOffsets, GroupCommand};
use corelane_wire::message::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn offset_delete(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = OffsetDeleteRequest::decode(reader, meta.version)?;
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|partition| PartitionIndex(partition.partition_index));
            (topic.name.to_owned(), partitions.collect())
        });
        let command = DeleteOffsets { group: request.group_id.to_owned(), topics: topics.collect() };
        self.ask_group(now, meta, &[], request.group_id, GroupCommand::OffsetDelete(command), fx);
        Ok(())
    }

    pub(crate) fn answer_offset_delete(&mut self, meta: RequestMeta, answer: GroupAnswer) {
        let outcome = match answer {
            GroupAnswer::OffsetDelete(outcome) => outcome,
            GroupAnswer::Refused(error) => Err(error),
            other => unreachable!("{other:?} deletes no offsets"),
        };
        let topics = outcome.iter().flatten().map(|topic| OffsetDeleteResponseTopic {
            name: &topic.name,
            partitions: topic
                .partitions
                .iter()
                .map(|(index, error)| OffsetDeleteResponsePartition {
                    partition_index: index.0,
                    error_code: code(*error),
                })
                .collect(),
        });
        let response = OffsetDeleteResponse {
            error_code: code(outcome.as_ref().err().copied()),
            topics: topics.collect(),
            ..OffsetDeleteResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
