//! Metadata, versions 0 to 13.
//!
//! Topics `null` (an empty list in version 0) means all, an empty list none. A missing topic is created if the client
//! and `auto.create.topics.enable` allow it, and the answer waits until it serves, so that `LEADER_NOT_AVAILABLE` is
//! not needed; Kafka answers at once and lets the client ask again. Source: KIP-4, KIP-430, KIP-516.

use corelane_base::id::TopicId;
use corelane_base::time::Now;
use corelane_control::controller::Command;
use corelane_control::create_topics::{AutoCreateResult, AutoCreateTopics};
use corelane_control::image::Topic;
use corelane_control::topic_name;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::metadata::{
    MetadataRequest, MetadataResponse, MetadataResponseBroker, MetadataResponsePartition,
    MetadataResponseTopic,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::pending::{PendingAutoCreate, PendingBody, RequestMeta};
use crate::requests::{Handled, response_parts};
use crate::send::Reply;
use crate::shard::Shard;

/// Stands for "not asked" where a response has authorised operations.
pub(crate) const OPERATIONS_UNASKED: i32 = i32::MIN;
/// All operations on a topic, one bit each: without an authoriser everybody may do everything.
pub(crate) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;
/// All operations on the cluster.
pub(crate) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

impl Shard {
    pub(crate) fn metadata(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = MetadataRequest::decode(reader, meta.version)?;
        let wants = Wants {
            topic_operations: request.include_topic_authorized_operations,
            cluster_operations: request.include_cluster_authorized_operations,
        };
        let asked = match request.topics {
            Some(topics) if !topics.is_empty() || meta.version >= 1 => topics,
            _ => {
                let topics = self.image.topics().map(|topic| topic_response(topic, &wants)).collect();
                let parts = self.metadata_parts(meta, topics, &wants);
                self.respond(meta, Some(parts));
                return Ok(());
            }
        };
        let missing: Vec<String> = asked
            .iter()
            .filter_map(|topic| topic.name)
            .filter(|name| self.image.topic(name).is_none() && topic_name::check(name).is_ok())
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() && request.allow_auto_topic_creation && self.config.auto_create_topics {
            let names = asked.iter().filter_map(|topic| topic.name).map(Box::from).collect();
            let body = PendingBody::AutoCreate(PendingAutoCreate {
                names,
                include_topic_operations: wants.topic_operations,
            });
            let command = AutoCreateTopics { names: missing, seed: self.rng.next_u64() };
            self.command(now, meta, body, Command::AutoCreateTopics(command), fx);
            return Ok(());
        }
        let topics = asked
            .iter()
            .map(|topic| match topic.name {
                Some(name) => self.named(name, &wants),
                None => self.identified(topic.topic_id, &wants),
            })
            .collect();
        let parts = self.metadata_parts(meta, topics, &wants);
        self.respond(meta, Some(parts));
        Ok(())
    }

    /// The topics that a metadata request made came into being, or not.
    pub(crate) fn answer_auto_created(
        &mut self,
        meta: RequestMeta,
        state: &PendingAutoCreate,
        results: &[AutoCreateResult],
    ) {
        let wants = Wants { topic_operations: state.include_topic_operations, cluster_operations: false };
        let topics = state
            .names
            .iter()
            .map(|name| {
                let mut response = self.named(name, &wants);
                let refused = results.iter().find(|result| *result.name == **name);
                if let Some(AutoCreateResult { result: Err(refusal), .. }) = refused
                    && response.error_code != 0
                {
                    response.error_code = refusal.kind.code();
                }
                response
            })
            .collect();
        let parts = self.metadata_parts(meta, topics, &wants);
        self.respond(meta, Some(parts));
    }

    fn named<'a>(&self, name: &'a str, wants: &Wants) -> MetadataResponseTopic<'a> {
        if let Some(topic) = self.image.topic(name) {
            return MetadataResponseTopic { name: Some(name), ..topic_response_unnamed(topic, wants) };
        }
        let error = if topic_name::check(name).is_ok() {
            ErrorCode::UnknownTopicOrPartition
        } else {
            ErrorCode::InvalidTopicException
        };
        MetadataResponseTopic {
            error_code: error.code(),
            name: Some(name),
            topic_authorized_operations: OPERATIONS_UNASKED,
            ..MetadataResponseTopic::default()
        }
    }

    fn identified(&self, id: [u8; 16], wants: &Wants) -> MetadataResponseTopic<'_> {
        match self.image.topic_by_id(TopicId(id)) {
            Some(topic) => topic_response(topic, wants),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                topic_id: id,
                topic_authorized_operations: OPERATIONS_UNASKED,
                ..MetadataResponseTopic::default()
            },
        }
    }

    fn metadata_parts(
        &self,
        meta: RequestMeta,
        topics: Vec<MetadataResponseTopic<'_>>,
        wants: &Wants,
    ) -> Reply {
        let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
        let capacity = 256 + 64 * topics.len() + 48 * partitions;
        let response = MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: self.broker_id.0,
                host: &self.settings.advertised_host,
                port: i32::from(self.settings.advertised_port),
                rack: self.config.rack.as_deref(),
            }],
            cluster_id: self.image.cluster_id(),
            controller_id: self.broker_id.0,
            topics,
            cluster_authorized_operations: if wants.cluster_operations {
                CLUSTER_OPERATIONS
            } else {
                OPERATIONS_UNASKED
            },
            ..MetadataResponse::default()
        };
        response_parts(meta, capacity, |writer, version| response.encode(writer, version), Vec::new())
    }
}

struct Wants {
    topic_operations: bool,
    cluster_operations: bool,
}

fn topic_response<'a>(topic: &'a Topic, wants: &Wants) -> MetadataResponseTopic<'a> {
    MetadataResponseTopic { name: Some(&topic.name), ..topic_response_unnamed(topic, wants) }
}

fn topic_response_unnamed(topic: &Topic, wants: &Wants) -> MetadataResponseTopic<'static> {
    let ids = |brokers: &[corelane_base::id::BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    let partitions =
        topic.partitions.iter().enumerate().map(|(index, partition)| MetadataResponsePartition {
            error_code: if partition.leader.is_some() { 0 } else { ErrorCode::LeaderNotAvailable.code() },
            partition_index: index as i32,
            leader_id: partition.leader.map_or(-1, |leader| leader.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: ids(&partition.replicas),
            isr_nodes: ids(&partition.isr),
            offline_replicas: Vec::new(),
        });
    MetadataResponseTopic {
        error_code: 0,
        name: None,
        topic_id: topic.id.0,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: if wants.topic_operations {
            TOPIC_OPERATIONS
        } else {
            OPERATIONS_UNASKED
        },
    }
}
