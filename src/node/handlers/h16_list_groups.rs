//! ListGroups, versions 0 to 5: the groups of every coordinator. Source: KIP-518, KIP-848.

use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{GroupCommand, ListGroups};
use corelane_control::groups::error::GroupError;
use corelane_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::code;
use crate::pending::RequestMeta;
use crate::requests::{Handled, response_parts};
use crate::shard::Shard;

impl Shard {
    pub(crate) fn list_groups(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let request = ListGroupsRequest::decode(reader, meta.version)?;
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let command =
            ListGroups { states: owned(&request.states_filter), types: owned(&request.types_filter) };
        self.ask_all_groups(now, meta, &GroupCommand::List(command), fx);
        Ok(())
    }

    pub(crate) fn answer_list_groups(&mut self, meta: RequestMeta, answers: Vec<GroupAnswer>) {
        let mut error = None;
        let mut groups = Vec::new();
        for answer in &answers {
            match answer {
                GroupAnswer::List(listed) => groups.extend(listed.iter().map(|group| ListedGroup {
                    group_id: &group.group,
                    protocol_type: &group.protocol_type,
                    group_state: group.state,
                    group_type: group.group_type,
                })),
                // Coordinated elsewhere by now: its broker lists it.
                GroupAnswer::Refused(GroupError::NotCoordinator) => {}
                GroupAnswer::Refused(refusal) => error = Some(*refusal),
                other => unreachable!("{other:?} lists no groups"),
            }
        }
        if error.is_some() {
            // Half a list would pass for a whole one.
            groups.clear();
        }
        let capacity = 64 + 64 * groups.len();
        let response =
            ListGroupsResponse { error_code: code(error), groups, ..ListGroupsResponse::default() };
        let encode = |writer: &mut _, version| response.encode(writer, version);
        let parts = response_parts(meta, capacity, encode, Vec::new());
        self.respond(meta, Some(parts));
    }
}
