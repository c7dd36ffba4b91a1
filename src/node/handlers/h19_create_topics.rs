//! CreateTopics, versions 2 to 7. Good and bad topics of one request are independent. The answer waits until the topic
//! is durable and every shard serves it; `timeout_ms` is not needed. Source: KIP-4, KIP-464, KIP-525.

use corelane_base::id::{BrokerId, PartitionIndex};
use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::create_topics::{Assignment, CreateTopicResult, CreateTopics, NewTopic};
use corelane_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::control::outcome;
use crate::pending::{PendingBody, RequestMeta};
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn create_topics(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = CreateTopicsRequest::decode(reader, meta.version)?;
        let command = CreateTopics {
            topics: request.topics.iter().map(new_topic).collect(),
            validate_only: request.validate_only,
            seed: self.rng.next_u64(),
        };
        self.command(now, meta, PendingBody::Control, Command::CreateTopics(command), fx);
        Ok(())
    }

    pub(crate) fn answer_create_topics(&mut self, meta: RequestMeta, results: &[CreateTopicResult]) {
        let topics = results.iter().map(topic_result).collect();
        let response = CreateTopicsResponse { topics, ..CreateTopicsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    let assignment = |partition: i32, brokers: &[i32]| Assignment {
        partition: PartitionIndex(partition),
        brokers: brokers.iter().map(|broker| BrokerId(*broker)).collect(),
    };
    NewTopic {
        name: topic.name.to_owned(),
        partition_count: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic.assignments.iter().map(|a| assignment(a.partition_index, &a.broker_ids)).collect(),
        configs: topic.configs.iter().map(|c| (c.name.to_owned(), c.value.map(str::to_owned))).collect(),
    }
}

fn topic_result(topic: &CreateTopicResult) -> CreatableTopicResult<'_> {
    let (error_code, error_message) = outcome(&topic.result);
    let failed = CreatableTopicResult {
        name: &topic.name,
        error_code,
        error_message,
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    };
    let Ok(created) = &topic.result else { return failed };
    let configs = created.configs.iter().map(|config| CreatableTopicConfigs {
        name: config.name,
        value: config.value.as_deref(),
        read_only: config.read_only,
        config_source: config.source.code(),
        is_sensitive: config.sensitive,
    });
    CreatableTopicResult {
        topic_id: created.topic_id.0,
        num_partitions: created.partition_count,
        replication_factor: created.replication_factor,
        configs: Some(configs.collect()),
        ..failed
    }
}
