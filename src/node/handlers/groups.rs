//! Questions to the coordinators of groups, shared by the APIs that ask them: find the shard, ask, gather, answer.
//!
//! A question about one group goes to its coordinator as it is. One about several sends a single message to each shard
//! concerned. What a response repeats from its request is read again from the request's body, which is kept for it:
//! one copy instead of many small ones.

use bytes::Bytes;
use corelane_base::id::{PartitionIndex, ShardId};
use corelane_base::time::{Mono, Now};
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{Client, GroupCommand};
use corelane_control::groups::error::GroupError;
use corelane_wire::api::ApiKey;
use corelane_wire::primitive::{DecodeError, Reader};

use crate::error::group_error_code;
use crate::event::Effects;
use crate::groups::Asker;
use crate::mesh::MeshMessage;
use crate::pending::{Pending, PendingBody, PendingGroups, RequestMeta};
use crate::shard::Shard;
use crate::slots::SlotId;

/// All operations on a group, one bit each. Source: Kafka `AclEntry.supportedOperations`.
pub(crate) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

/// The rest of the frame: what a body is decoded from, twice if need be.
pub(crate) fn body<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    reader.take(reader.remaining())
}

/// The code of an outcome.
pub(crate) fn code(error: Option<GroupError>) -> i16 {
    error.map_or(0, |error| group_error_code(error).code())
}

impl Shard {
    /// Who sends this request.
    pub(crate) fn client(&mut self, meta: RequestMeta, client_id: Option<&str>) -> Client {
        let host =
            self.session_mut(meta.conn).map_or(String::new(), |session| format!("/{}", session.peer.ip()));
        Client { id: client_id.unwrap_or_default().to_owned(), host }
    }

    /// The coordinator of a group; `None` while there is no topic of offsets.
    fn coordinator_of(&self, group: &str) -> Option<(PartitionIndex, ShardId)> {
        let topic = self.groups.topic?;
        let partition = topic.partition_of(group);
        Some((partition, self.owner_of(topic.id, partition.0).1))
    }

    /// Asks the coordinator of one group. The request is answered by its answer, or refused with the same means.
    pub(crate) fn ask_group(
        &mut self,
        now: Now,
        meta: RequestMeta,
        body: &[u8],
        group: &str,
        command: GroupCommand,
        fx: &mut Effects,
    ) {
        let body = PendingBody::Group(Bytes::copy_from_slice(body));
        // Without a deadline: a join takes as long as it takes, and every command is answered in the end.
        let pending = self.pending.insert(Pending { meta, deadline: Mono(u64::MAX), body });
        match self.coordinator_of(group) {
            None => self.on_group_answer(now, pending, 0, GroupAnswer::Refused(GroupError::NotCoordinator)),
            Some((partition, shard)) if shard == self.id() => {
                self.command_group(now, Asker { shard, pending, index: 0 }, partition, command);
            }
            Some((partition, shard)) => {
                let items = vec![(0, partition, command)];
                fx.mesh.push((shard, MeshMessage::Groups { pending, items }));
            }
        }
    }

    /// Asks the coordinators of several groups, each with a command of its own.
    pub(crate) fn ask_groups<'a>(
        &mut self,
        now: Now,
        meta: RequestMeta,
        body: &[u8],
        commands: impl Iterator<Item = (&'a str, GroupCommand)>,
        fx: &mut Effects,
    ) {
        let located = commands.map(|(group, command)| (self.coordinator_of(group), command)).collect();
        self.ask_located(now, meta, body, located, fx);
    }

    /// Asks every coordinator there is.
    pub(crate) fn ask_all_groups(
        &mut self,
        now: Now,
        meta: RequestMeta,
        command: &GroupCommand,
        fx: &mut Effects,
    ) {
        let topic = self.groups.topic;
        let partitions = 0..topic.map_or(0, |topic| topic.partition_count);
        let located = partitions
            .map(|partition| {
                let id = topic.expect("without one the range is empty").id;
                let shard = self.owner_of(id, partition).1;
                (Some((PartitionIndex(partition), shard)), command.clone())
            })
            .collect();
        self.ask_located(now, meta, &[], located, fx);
    }

    fn ask_located(
        &mut self,
        now: Now,
        meta: RequestMeta,
        body: &[u8],
        located: Vec<(Option<(PartitionIndex, ShardId)>, GroupCommand)>,
        fx: &mut Effects,
    ) {
        let state = PendingGroups {
            body: Bytes::copy_from_slice(body),
            answers: located.iter().map(|_| None).collect(),
            outstanding: located.len() as u32,
        };
        let nothing = located.is_empty();
        let body = PendingBody::Groups(state);
        let pending = self.pending.insert(Pending { meta, deadline: Mono(u64::MAX), body });
        if nothing {
            self.finish_groups(pending);
        }
        let mut remote: Vec<(ShardId, Vec<_>)> = Vec::new();
        for (index, (place, command)) in (0u32..).zip(located) {
            match place {
                None => {
                    let answer = GroupAnswer::Refused(GroupError::NotCoordinator);
                    self.on_group_answer(now, pending, index, answer);
                }
                Some((partition, shard)) if shard == self.id() => {
                    self.command_group(now, Asker { shard, pending, index }, partition, command);
                }
                Some((partition, shard)) => {
                    let item = (index, partition, command);
                    match remote.iter_mut().find(|(to, _)| *to == shard) {
                        Some((_, items)) => items.push(item),
                        None => remote.push((shard, vec![item])),
                    }
                }
            }
        }
        for (shard, items) in remote {
            fx.mesh.push((shard, MeshMessage::Groups { pending, items }));
        }
    }

    /// Takes in a coordinator's answer; the request is answered with its last.
    pub(crate) fn on_group_answer(&mut self, now: Now, id: SlotId, index: u32, answer: GroupAnswer) {
        let Some(pending) = self.pending.get_mut(id) else { return };
        match &mut pending.body {
            PendingBody::Group(_) => {
                let Some(Pending { meta, body: PendingBody::Group(body), .. }) = self.take_pending(id) else {
                    return;
                };
                self.finish_group(now, meta, &body, answer);
            }
            PendingBody::Groups(state) => {
                let place = &mut state.answers[index as usize];
                assert!(place.is_none(), "a question is answered once");
                *place = Some(answer);
                state.outstanding -= 1;
                if state.outstanding == 0 {
                    self.finish_groups(id);
                }
            }
            _ => {}
        }
    }

    fn finish_group(&mut self, _now: Now, meta: RequestMeta, body: &[u8], answer: GroupAnswer) {
        match ApiKey::from_code(meta.api_key) {
            Some(ApiKey::OffsetCommit) => self.answer_offset_commit(meta, body, answer),
            Some(ApiKey::OffsetFetch) => self.answer_offset_fetch(meta, body, answer),
            Some(ApiKey::JoinGroup) => self.answer_join_group(meta, body, answer),
            Some(ApiKey::Heartbeat) => self.answer_heartbeat(meta, answer),
            Some(ApiKey::LeaveGroup) => self.answer_leave_group(meta, answer),
            Some(ApiKey::SyncGroup) => self.answer_sync_group(meta, answer),
            Some(ApiKey::OffsetDelete) => self.answer_offset_delete(meta, answer),
            Some(ApiKey::ConsumerGroupHeartbeat) => self.answer_consumer_group_heartbeat(meta, answer),
            other => unreachable!("{other:?} asks no single group"),
        }
    }

    fn finish_groups(&mut self, id: SlotId) {
        let Some(Pending { meta, body: PendingBody::Groups(state), .. }) = self.take_pending(id) else {
            return;
        };
        let answers = state.answers.into_iter().map(|answer| answer.expect("all are in")).collect();
        match ApiKey::from_code(meta.api_key) {
            Some(ApiKey::OffsetFetch) => self.answer_offset_fetches(meta, &state.body, answers),
            Some(ApiKey::DescribeGroups) => self.answer_describe_groups(meta, &state.body, answers),
            Some(ApiKey::ListGroups) => self.answer_list_groups(meta, answers),
            Some(ApiKey::DeleteGroups) => self.answer_delete_groups(meta, &state.body, answers),
            Some(ApiKey::ConsumerGroupDescribe) => {
                self.answer_consumer_group_describe(meta, &state.body, answers)
            }
            other => unreachable!("{other:?} asks no groups"),
        }
    }
}
