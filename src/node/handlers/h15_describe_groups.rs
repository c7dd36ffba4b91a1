//! DescribeGroups, versions 0 to 6. A group that does not exist is described as dead, from version 6 on with
//! `GROUP_ID_NOT_FOUND`. Source: KIP-430, KIP-1043.

use corelane_base::time::Now;
use corelane_control::groups::answer::{DescribedGroup as Described, GroupAnswer};
use corelane_control::groups::command::GroupCommand;
use corelane_control::groups::error::GroupError;
use corelane_wire::message::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{GROUP_OPERATIONS, body, code};
use crate::handlers::h03_metadata::OPERATIONS_UNASKED;
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

/// From this version on a group that does not exist is an error.
const NOT_FOUND_FROM: i16 = 6;
const DEAD: &str = "Dead";

impl Shard {
    pub(crate) fn describe_groups(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = DescribeGroupsRequest::decode(&mut reader, meta.version)?;
        let commands = request
            .groups
            .iter()
            .map(|group| (*group, GroupCommand::Describe { group: (*group).to_owned() }));
        self.ask_groups(now, meta, body, commands, fx);
        Ok(())
    }

    pub(crate) fn answer_describe_groups(
        &mut self,
        meta: RequestMeta,
        body: &[u8],
        answers: Vec<GroupAnswer>,
    ) {
        let request =
            DescribeGroupsRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
        let operations =
            if request.include_authorized_operations { GROUP_OPERATIONS } else { OPERATIONS_UNASKED };
        let groups = request.groups.iter().zip(&answers).map(|(group, answer)| match answer {
            GroupAnswer::Describe(described) => described_group(described, meta.version, operations),
            GroupAnswer::Refused(error) => DescribedGroup {
                error_code: code(Some(*error)),
                group_id: group,
                ..DescribedGroup::default()
            },
            other => unreachable!("{other:?} describes no group"),
        });
        let response =
            DescribeGroupsResponse { groups: groups.collect(), ..DescribeGroupsResponse::default() };
        let encode = |writer: &mut _, version| response.encode(writer, version);
        let parts = response_parts(meta, 1024, encode, Vec::new());
        self.respond(meta, Some(parts));
    }
}

fn described_group(group: &Described, version: i16, operations: i32) -> DescribedGroup<'_> {
    let absent = group.state == DEAD && matches!(group.error, None | Some(GroupError::GroupIdNotFound));
    let error = match group.error {
        _ if absent => (version >= NOT_FOUND_FROM).then_some(GroupError::GroupIdNotFound),
        error => error,
    };
    let members = group.members.iter().map(|member| DescribedGroupMember {
        member_id: &member.member_id,
        group_instance_id: member.instance_id.as_deref(),
        client_id: &member.client.id,
        client_host: &member.client.host,
        member_metadata: &member.metadata,
        member_assignment: &member.assignment,
    });
    DescribedGroup {
        error_code: code(error),
        error_message: group.error_message.as_deref().filter(|_| error.is_some()),
        group_id: &group.group,
        group_state: group.state,
        protocol_type: &group.protocol_type,
        protocol_data: &group.protocol,
        members: members.collect(),
        authorized_operations: if error.is_none() { operations } else { OPERATIONS_UNASKED },
    }
}
