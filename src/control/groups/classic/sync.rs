//! SyncGroup, Heartbeat and LeaveGroup, and what happens when time is up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::groups::answer::{GroupAnswer, Joined, LeftMember, Synced};
use crate::groups::classic::group::{ClassicGroup, ClassicState, refused_sync};
use crate::groups::command::{GroupAsk, Heartbeat, LeavingMember, SyncGroup};
use crate::groups::error::GroupError;
use crate::groups::timers::{Timer, TimerKind};
use crate::groups::turn::Turn;

impl ClassicGroup {
    /// A member fetches its assignment; the leader brings everybody's.
    pub fn sync(&mut self, ask: GroupAsk, command: SyncGroup, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(&command) {
            return turn.answer(ask, GroupAnswer::Sync(refused_sync(error)));
        }
        let id = command.member_id.as_str();
        match self.state {
            ClassicState::Empty => {
                turn.answer(ask, GroupAnswer::Sync(refused_sync(GroupError::UnknownMemberId)));
            }
            ClassicState::PreparingRebalance => {
                turn.answer(ask, GroupAnswer::Sync(refused_sync(GroupError::RebalanceInProgress)));
            }
            ClassicState::CompletingRebalance => {
                // An earlier request of the same member: its connection is gone.
                self.refuse_sync(id, GroupError::RebalanceInProgress, turn);
                let member = self.members.get_mut(id).expect("the member has been checked");
                member.syncing = Some(ask);
                self.has_synced(id, turn);
                if self.is_leader(id) {
                    self.assign(command.assignments, turn);
                }
            }
            ClassicState::Stable => {
                self.has_synced(id, turn);
                turn.answer(ask, GroupAnswer::Sync(self.synced(id)));
            }
        }
    }

    fn check_sync(&self, command: &SyncGroup) -> Result<(), GroupError> {
        self.check_member(&command.member_id, command.instance_id.as_deref())?;
        let differs = |asked: &Option<String>, ours: &Option<String>| {
            asked.is_some() && ours.is_some() && asked != ours
        };
        if command.generation != self.generation {
            Err(GroupError::IllegalGeneration)
        } else if differs(&command.protocol_type, &self.protocol_type)
            || differs(&command.protocol, &self.protocol)
        {
            Err(GroupError::InconsistentGroupProtocol)
        } else {
            Ok(())
        }
    }

    fn has_synced(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.pending_syncs.remove(id);
        if self.pending_syncs.is_empty() {
            turn.timers.cancel(&mut self.sync_timer);
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            error: None,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: Arc::clone(&self.members[id].assignment),
        }
    }

    /// Stores the leader's assignment and tells it everybody who waits. The answers rest on the store.
    fn assign(&mut self, assignments: Vec<(String, Arc<[u8]>)>, turn: &mut Turn<'_>) {
        let mut by_member: BTreeMap<String, Arc<[u8]>> = assignments.into_iter().collect();
        for member in self.members.values_mut() {
            member.assignment = by_member.remove(&*member.id).unwrap_or_else(|| Arc::from([]));
        }
        let record = self.record();
        if record.size_max() > turn.batch_room() {
            self.refuse_syncs(GroupError::UnknownServerError, turn);
            return self.rebalance_or_complete(turn);
        }
        turn.store(record);
        self.enter(ClassicState::Stable, turn);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.synced(&id);
            let member = self.members.get_mut(&id).expect("nobody leaves meanwhile");
            if let Some(ask) = member.syncing.take() {
                turn.answer(ask, GroupAnswer::Sync(answer));
                self.heard_of(&id, turn);
            }
        }
    }

    /// A member is alive. Does not allocate. Errors: what the member is to do instead of going on.
    pub fn heartbeat(&mut self, command: &Heartbeat, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        self.check_member(&command.member_id, command.instance_id.as_deref())?;
        if command.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.heard_of(&command.member_id, turn);
        match self.state {
            ClassicState::Empty => Err(GroupError::UnknownMemberId),
            ClassicState::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
        }
    }

    /// Members leave. A static member can be removed by its instance id alone.
    pub fn leave(&mut self, members: Vec<LeavingMember>, turn: &mut Turn<'_>) -> Vec<LeftMember> {
        let mut has_left = false;
        let mut left = Vec::with_capacity(members.len());
        for LeavingMember { member_id, instance_id, .. } in members {
            let result = self.leave_one(&member_id, instance_id.as_deref(), turn);
            has_left |= result.is_ok();
            left.push(LeftMember { member_id, instance_id, error: result.err() });
        }
        if has_left {
            match self.state {
                ClassicState::Stable | ClassicState::CompletingRebalance => self.prepare_rebalance(turn),
                ClassicState::PreparingRebalance => self.complete_if_all_joined(turn),
                ClassicState::Empty => {}
            }
        }
        left
    }

    fn leave_one(
        &mut self,
        id: &str,
        instance_id: Option<&str>,
        turn: &mut Turn<'_>,
    ) -> Result<(), GroupError> {
        let id: Arc<str> = if id.is_empty() {
            let member = instance_id.and_then(|name| self.static_members.get(name));
            Arc::clone(member.ok_or(GroupError::UnknownMemberId)?)
        } else {
            if !self.pending_joins.contains_key(id) {
                self.check_member(id, instance_id)?;
            }
            Arc::from(id)
        };
        self.drop_member(&id, turn);
        Ok(())
    }

    /// Takes a member out and tells its waiting requests.
    fn drop_member(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.answer_join(id, Joined::refused(GroupError::UnknownMemberId, String::new()), turn);
        self.refuse_sync(id, GroupError::UnknownMemberId, turn);
        self.remove(id, turn);
    }

    /// A session's timer fired: for a member that has been heard of since, for one that waits for others, or for
    /// one that is gone.
    pub fn on_session_timer(&mut self, id: &str, turn: &mut Turn<'_>) {
        if self.pending_joins.contains_key(id) {
            self.remove(id, turn);
            if self.state == ClassicState::PreparingRebalance && self.has_all_joined() {
                self.complete_join(turn);
            }
            return;
        }
        let Some(member) = self.members.get_mut(id) else { return };
        member.session = None;
        if member.deadline > turn.now.mono {
            let at = member.deadline;
            let kind = TimerKind::Session(Arc::clone(&member.id));
            let timer = Timer { group: Arc::clone(&self.id), kind };
            turn.timers.arm_in(&mut member.session, at, timer);
        } else if !member.is_excused() {
            self.drop_member(id, turn);
            match self.state {
                ClassicState::Stable | ClassicState::CompletingRebalance => self.prepare_rebalance(turn),
                ClassicState::PreparingRebalance if self.has_all_joined() => self.complete_join(turn),
                ClassicState::PreparingRebalance | ClassicState::Empty => {}
            }
        }
    }

    /// Some members did not fetch their assignments in time: the others go on without them.
    pub fn on_sync_timer(&mut self, turn: &mut Turn<'_>) {
        self.sync_timer = None;
        let is_syncing = matches!(self.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        if !is_syncing || self.pending_syncs.is_empty() {
            return;
        }
        for id in core::mem::take(&mut self.pending_syncs) {
            self.drop_member(&id, turn);
        }
        self.prepare_rebalance(turn);
    }

    /// Begins the sessions of a group that has just been loaded.
    pub fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        ids.iter().for_each(|id| self.heard_of(id, turn));
        let room = usize::try_from(turn.settings.member_count_max).unwrap_or(0);
        if self.members.len() > room || self.owes_rebalance {
            self.prepare_rebalance(turn);
        }
    }
}
