//! CreatePartitions, versions 0 to 3: the new total per topic. Source: KIP-195, KIP-599.

use corelane_base::id::BrokerId;
use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::create_partitions::{CreatePartitions, CreatePartitionsResult, TopicToGrow};
use corelane_wire::message::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::control::outcome;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn create_partitions(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = CreatePartitionsRequest::decode(reader, meta.version)?;
        let topics = request.topics.iter().map(|topic| TopicToGrow {
            name: topic.name.to_owned(),
            count: topic.count,
            assignments: topic.assignments.as_ref().map(|all| {
                all.iter()
                    .map(|one| one.broker_ids.iter().map(|broker| BrokerId(*broker)).collect())
                    .collect()
            }),
        });
        let command = CreatePartitions { topics: topics.collect(), validate_only: request.validate_only };
        self.command(now, meta, PendingBody::Control, Command::CreatePartitions(command), fx);
        Ok(())
    }

    pub(crate) fn answer_create_partitions(&mut self, meta: RequestMeta, results: &[CreatePartitionsResult]) {
        let results = results
            .iter()
            .map(|topic| {
                let (error_code, error_message) = outcome(&topic.result);
                CreatePartitionsTopicResult { name: &topic.name, error_code, error_message }
            })
            .collect();
        let response = CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
