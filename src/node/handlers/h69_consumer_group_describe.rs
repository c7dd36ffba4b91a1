//! ConsumerGroupDescribe, versions 0 and 1. Source: KIP-848, KIP-1099.

use corelane_base::time::Now;
use corelane_control::groups::answer::{
    DescribedConsumerGroup, DescribedConsumerMember, GroupAnswer, NamedPartitions,
};
use corelane_control::groups::command::GroupCommand;
use corelane_control::groups::error::GroupRefusal;
use corelane_wire::message::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member,
    TopicPartitions,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{GROUP_OPERATIONS, body, code};
use crate::handlers::h03_metadata::OPERATIONS_UNASKED;
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn consumer_group_describe(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = ConsumerGroupDescribeRequest::decode(&mut reader, meta.version)?;
        let ids = request.group_ids.iter();
        let commands =
            ids.map(|group| (*group, GroupCommand::ConsumerDescribe { group: (*group).to_owned() }));
        self.ask_groups(now, meta, body, commands, fx);
        Ok(())
    }

    pub(crate) fn answer_consumer_group_describe(
        &mut self,
        meta: RequestMeta,
        body: &[u8],
        answers: Vec<GroupAnswer>,
    ) {
        let request = ConsumerGroupDescribeRequest::decode(&mut Reader::new(body), meta.version)
            .expect("decoded before");
        let operations =
            if request.include_authorized_operations { GROUP_OPERATIONS } else { OPERATIONS_UNASKED };
        let outcomes: Vec<Result<Box<DescribedConsumerGroup>, GroupRefusal>> = answers
            .into_iter()
            .map(|answer| match answer {
                GroupAnswer::ConsumerDescribe(outcome) => outcome,
                GroupAnswer::Refused(error) => Err(GroupRefusal::from(error)),
                other => unreachable!("{other:?} describes no consumer group"),
            })
            .collect();
        let groups = request.group_ids.iter().zip(&outcomes).map(|(group_id, outcome)| match outcome {
            Ok(group) => described_group(group, operations),
            Err(refusal) => DescribedGroup {
                error_code: code(Some(refusal.error)),
                error_message: Some(&refusal.message[..]).filter(|text| !text.is_empty()),
                group_id,
                authorized_operations: OPERATIONS_UNASKED,
                ..DescribedGroup::default()
            },
        });
        let groups = groups.collect();
        let response = ConsumerGroupDescribeResponse { groups, ..ConsumerGroupDescribeResponse::default() };
        let encode = |writer: &mut _, version| response.encode(writer, version);
        let parts = response_parts(meta, 1024, encode, Vec::new());
        self.respond(meta, Some(parts));
    }
}

fn described_group(group: &DescribedConsumerGroup, operations: i32) -> DescribedGroup<'_> {
    DescribedGroup {
        error_code: 0,
        error_message: None,
        group_id: &group.group,
        group_state: group.state,
        group_epoch: group.group_epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: &group.assignor,
        members: group.members.iter().map(member).collect(),
        authorized_operations: operations,
    }
}

fn member(member: &DescribedConsumerMember) -> Member<'_> {
    Member {
        member_id: &member.member_id,
        instance_id: member.instance_id.as_deref(),
        rack_id: member.rack_id.as_deref(),
        member_epoch: member.member_epoch,
        client_id: &member.client.id,
        client_host: &member.client.host,
        subscribed_topic_names: member.subscribed_topic_names.iter().map(String::as_str).collect(),
        subscribed_topic_regex: member.subscribed_topic_regex.as_deref(),
        assignment: assignment(&member.assignment),
        target_assignment: assignment(&member.target_assignment),
        member_type: member.member_type,
    }
}

fn assignment(topics: &[NamedPartitions]) -> Assignment<'_> {
    let topics = topics.iter().map(|topic| TopicPartitions {
        topic_id: topic.topic_id.0,
        topic_name: &topic.topic_name,
        partitions: topic.partitions.iter().map(|index| index.0).collect(),
    });
    Assignment { topic_partitions: topics.collect() }
}
