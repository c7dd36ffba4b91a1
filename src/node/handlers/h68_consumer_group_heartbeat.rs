//! ConsumerGroupHeartbeat, versions 0 and 1: joins, follows, leaves a group whose partitions the broker assigns.
//! Source: KIP-848.

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::Now;
use corelane_control::groups::answer::{ConsumerHeartbeatAnswer, GroupAnswer};
use corelane_control::groups::command::{ConsumerHeartbeat, GroupCommand, TopicPartitions as Owned};
use corelane_control::groups::error::GroupRefusal;
use corelane_wire::message::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn consumer_group_heartbeat(
        &mut self,
        now: Now,
        meta: RequestMeta,
        client_id: Option<&str>,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = ConsumerGroupHeartbeatRequest::decode(reader, meta.version)?;
        let names = request.subscribed_topic_names.as_ref();
        let command = ConsumerHeartbeat {
            group: request.group_id.to_owned(),
            member_id: request.member_id.to_owned(),
            member_epoch: request.member_epoch,
            instance_id: request.instance_id.map(str::to_owned),
            rack_id: request.rack_id.map(str::to_owned),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            subscribed_topic_names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            subscribed_topic_regex: request.subscribed_topic_regex.map(str::to_owned),
            server_assignor: request.server_assignor.map(str::to_owned),
            topic_partitions: request
                .topic_partitions
                .as_ref()
                .map(|topics| topics.iter().map(owned).collect()),
            client: self.client(meta, client_id),
            member_id_required: meta.version >= 1,
        };
        self.ask_group(now, meta, &[], request.group_id, GroupCommand::ConsumerHeartbeat(command), fx);
        Ok(())
    }

    pub(crate) fn answer_consumer_group_heartbeat(&mut self, meta: RequestMeta, answer: GroupAnswer) {
        let outcome = match answer {
            GroupAnswer::ConsumerHeartbeat(outcome) => outcome,
            GroupAnswer::Refused(error) => Err(GroupRefusal::from(error)),
            other => unreachable!("{other:?} answers no heartbeat of a consumer group"),
        };
        let response = match &outcome {
            Ok(answer) => ConsumerGroupHeartbeatResponse {
                member_id: Some(&answer.member_id),
                member_epoch: answer.member_epoch,
                heartbeat_interval_ms: answer.heartbeat_interval_ms,
                assignment: assignment(answer),
                ..ConsumerGroupHeartbeatResponse::default()
            },
            Err(refusal) => ConsumerGroupHeartbeatResponse {
                error_code: code(Some(refusal.error)),
                error_message: Some(&refusal.message[..]).filter(|text| !text.is_empty()),
                ..ConsumerGroupHeartbeatResponse::default()
            },
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}

fn owned(topic: &TopicPartitions) -> Owned {
    Owned {
        topic_id: TopicId(topic.topic_id),
        partitions: topic.partitions.iter().map(|index| PartitionIndex(*index)).collect(),
    }
}

fn assignment(answer: &ConsumerHeartbeatAnswer) -> Option<Assignment> {
    let topics = answer.assignment.as_ref()?.iter().map(|topic| TopicPartitions {
        topic_id: topic.topic_id.0,
        partitions: topic.partitions.iter().map(|index| index.0).collect(),
    });
    Some(Assignment { topic_partitions: topics.collect() })
}
