//! LeaveGroup, versions 0 to 5: one member, and from version 3 on several. Source: KIP-345, KIP-800.

use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{GroupCommand, LeaveGroup, LeavingMember};
use corelane_wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberResponse};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

/// The first version that names several members.
const MEMBERS_FROM: i16 = 3;

impl Shard {
    pub(crate) fn leave_group(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = LeaveGroupRequest::decode(reader, meta.version)?;
        let one = |member_id: &str, instance_id: Option<&str>, reason: Option<&str>| LeavingMember {
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            reason: reason.map(str::to_owned),
        };
        let members = if meta.version >= MEMBERS_FROM {
            let several = request.members.iter();
            several.map(|member| one(member.member_id, member.group_instance_id, member.reason)).collect()
        } else {
            vec![one(request.member_id, None, None)]
        };
        let command = LeaveGroup { group: request.group_id.to_owned(), members };
        self.ask_group(now, meta, &[], request.group_id, GroupCommand::Leave(command), fx);
        Ok(())
    }

    pub(crate) fn answer_leave_group(&mut self, meta: RequestMeta, answer: GroupAnswer) {
        let outcome = match answer {
            GroupAnswer::Leave(outcome) => outcome,
            GroupAnswer::Refused(error) => Err(error),
            other => unreachable!("{other:?} answers no leave"),
        };
        let members = outcome.iter().flatten();
        // Before version 3 the one member's error is that of the whole.
        let alone = members.clone().next().filter(|_| meta.version < MEMBERS_FROM);
        let error = outcome.as_ref().err().copied().or(alone.and_then(|member| member.error));
        let members = members.filter(|_| meta.version >= MEMBERS_FROM).map(|member| MemberResponse {
            member_id: &member.member_id,
            group_instance_id: member.instance_id.as_deref(),
            error_code: code(member.error),
        });
        let response = LeaveGroupResponse {
            error_code: code(error),
            members: members.collect(),
            ..LeaveGroupResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
