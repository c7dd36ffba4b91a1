//! JoinGroup, versions 0 to 9. The answer comes when the group has gathered. Source: KIP-345, KIP-394, KIP-800, KIP-814.

use corelane_base::time::Now;
use corelane_control::groups::answer::{GroupAnswer, Joined};
use corelane_control::groups::command::{GroupCommand, JoinGroup, JoinProtocol};
use corelane_wire::message::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{body, code};
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn join_group(
        &mut self,
        now: Now,
        meta: RequestMeta,
        client_id: Option<&str>,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = JoinGroupRequest::decode(&mut reader, meta.version)?;
        let rebalance_timeout_ms =
            if meta.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        let protocols = request.protocols.iter().map(|protocol| JoinProtocol {
            name: protocol.name.to_owned(),
            metadata: protocol.metadata.into(),
        });
        let command = JoinGroup {
            group: request.group_id.to_owned(),
            member_id: request.member_id.to_owned(),
            instance_id: request.group_instance_id.map(str::to_owned),
            client: self.client(meta, client_id),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms,
            protocol_type: request.protocol_type.to_owned(),
            protocols: protocols.collect(),
            reason: request.reason.map(str::to_owned),
            member_id_required: meta.version >= 4,
            skip_assignment: meta.version >= 9,
        };
        self.ask_group(now, meta, body, request.group_id, GroupCommand::Join(command), fx);
        Ok(())
    }

    pub(crate) fn answer_join_group(&mut self, meta: RequestMeta, body: &[u8], answer: GroupAnswer) {
        let joined = match answer {
            GroupAnswer::Join(joined) => joined,
            GroupAnswer::Refused(error) => {
                let request =
                    JoinGroupRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
                Box::new(Joined::refused(error, request.member_id.to_owned()))
            }
            other => unreachable!("{other:?} answers no join"),
        };
        let members = joined.members.iter().map(|member| JoinGroupResponseMember {
            member_id: &member.member_id,
            group_instance_id: member.instance_id.as_deref(),
            metadata: &member.metadata,
        });
        let response = JoinGroupResponse {
            error_code: code(joined.error),
            generation_id: joined.generation,
            protocol_type: joined.protocol_type.as_deref(),
            // Not to be absent before version 7.
            protocol_name: joined.protocol.as_deref().or(if meta.version < 7 { Some("") } else { None }),
            leader: &joined.leader,
            skip_assignment: joined.skip_assignment,
            member_id: &joined.member_id,
            members: members.collect(),
            ..JoinGroupResponse::default()
        };
        let capacity = 256 + joined.members.iter().map(|member| 96 + member.metadata.len()).sum::<usize>();
        let encode = |writer: &mut _, version| response.encode(writer, version);
        let parts = response_parts(meta, capacity, encode, Vec::new());
        self.respond(meta, Some(parts));
    }
}
