//! DeleteGroups, versions 0 to 2. Source: KIP-229.

use corelane_base::time::Now;
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::GroupCommand;
use corelane_wire::message::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use corelane_wire::primitive::Reader;

use crate::event::Effects;
use crate::handlers::groups::{body, code};
use crate::pending::RequestMeta;
use crate::requests::Handled;
use crate::shard::Shard;

impl Shard {
    pub(crate) fn delete_groups(
        &mut self,
        now: Now,
        meta: RequestMeta,
        reader: &mut Reader<'_>,
        fx: &mut Effects,
    ) -> Handled {
        let body = body(reader)?;
        let mut reader = Reader::new(body);
        let request = DeleteGroupsRequest::decode(&mut reader, meta.version)?;
        let names = request.groups_names.iter();
        let commands = names.map(|group| (*group, GroupCommand::Delete { group: (*group).to_owned() }));
        self.ask_groups(now, meta, body, commands, fx);
        Ok(())
    }

    pub(crate) fn answer_delete_groups(&mut self, meta: RequestMeta, body: &[u8], answers: Vec<GroupAnswer>) {
        let request =
            DeleteGroupsRequest::decode(&mut Reader::new(body), meta.version).expect("decoded before");
        let results = request.groups_names.iter().zip(&answers).map(|(group_id, answer)| {
            let error = match answer {
                GroupAnswer::Delete(outcome) => outcome.err(),
                GroupAnswer::Refused(error) => Some(*error),
                other => unreachable!("{other:?} deletes no group"),
            };
            DeletableGroupResult { group_id, error_code: code(error) }
        });
        let response = DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() };
        self.respond_with(meta, |writer, version| response.encode(writer, version));
    }
}
