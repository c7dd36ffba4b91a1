//! Heartbeat, versions 0 to 4. Source: KIP-345.

use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{GroupCommand, Heartbeat};
use corelane_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn heartbeat(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = HeartbeatRequest::decode(reader, meta.version)?;
        let command = Heartbeat {
            group: request.group_id.to_owned(),
            member_id: request.member_id.to_owned(),
            instance_id: request.group_instance_id.map(str::to_owned),
            generation: request.generation_id,
        };
        self.ask_group(now, meta, &[], request.group_id, GroupCommand::Heartbeat(command), fx);
        Ok(())
    }

    pub(crate) fn answer_heartbeat(&mut self, meta: RequestMeta, answer: GroupAnswer) {
        let error = match answer {
            GroupAnswer::Heartbeat(outcome) => outcome.err(),
            GroupAnswer::Refused(error) => Some(error),
            other => unreachable!("{other:?} answers no heartbeat"),
        };
        let response = HeartbeatResponse { error_code: code(error), ..HeartbeatResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
