//! SyncGroup, versions 0 to 5. The answer comes when the leader has assigned. Source: KIP-345, KIP-559.

use corelane_base::time::Now;
use corelane_control::groups::answer::{GroupAnswer, Synced};
use corelane_control::groups::command::{GroupCommand, SyncGroup};
use corelane_control::groups::error::GroupError;
use corelane_wire::message::sync_group::{SyncGroupRequest, SyncGroupResponse};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

/// From this version on the member must repeat what the join answered.
const NAMES_FROM: i16 = 5;

impl Shard {
    pub(crate) fn sync_group(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = SyncGroupRequest::decode(reader, meta.version)?;
        let named = request.protocol_type.is_some() && request.protocol_name.is_some();
        if meta.version >= NAMES_FROM && !named {
            self.answer_sync_group(meta, GroupAnswer::Refused(GroupError::InconsistentGroupProtocol));
            return Ok(());
        }
        let assignments = request.assignments.iter();
        let command = SyncGroup {
            group: request.group_id.to_owned(),
            member_id: request.member_id.to_owned(),
            instance_id: request.group_instance_id.map(str::to_owned),
            generation: request.generation_id,
            protocol_type: request.protocol_type.map(str::to_owned),
            protocol: request.protocol_name.map(str::to_owned),
            assignments: assignments
                .map(|each| (each.member_id.to_owned(), each.assignment.into()))
                .collect(),
        };
        self.ask_group(now, meta, &[], request.group_id, GroupCommand::Sync(command), fx);
        Ok(())
    }

    pub(crate) fn answer_sync_group(&mut self, meta: RequestMeta, answer: GroupAnswer) {
        let synced = match answer {
            GroupAnswer::Sync(synced) => synced,
            GroupAnswer::Refused(error) => {
                Synced { error: Some(error), protocol_type: None, protocol: None, assignment: [].into() }
            }
            other => unreachable!("{other:?} answers no sync"),
        };
        let response = SyncGroupResponse {
            error_code: code(synced.error),
            protocol_type: synced.protocol_type.as_deref(),
            protocol_name: synced.protocol.as_deref(),
            assignment: &synced.assignment,
            ..SyncGroupResponse::default()
        };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
