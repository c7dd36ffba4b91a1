//! JoinGroup, and the rebalance that it starts.
//!
//! A rebalance waits until everybody has joined again, at most as long as the most patient member allows; who is late
//! is out, but for static members, which keep their place until their session ends. An empty group waits longer, in
//! steps, so that a deployment's members find themselves in the first generation together.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::groups::answer::{GroupAnswer, Joined};
use crate::groups::classic::group::{ClassicGroup, ClassicState, InitialDelay, MEMBER_COUNT_MAX};
use crate::groups::classic::member::ClassicMember;
use crate::groups::command::{GroupAsk, JoinGroup, JoinProtocol};
use crate::groups::error::GroupError;
use crate::groups::settings::GroupSettings;
use crate::groups::timers::TimerKind;
use crate::groups::turn::Turn;

/// How long a new member's JoinGroup waits before the member is given up: its client may be gone, and it cannot send
/// heartbeats because it does not know its id.
const NEW_MEMBER_TIMEOUT_MS: i32 = 300_000;
/// The longest text of a request that gets into a record, whose lengths are 16 bits wide.
pub const TEXT_BYTES_MAX: usize = 16 * 1024;
/// The most ways of assigning of a member.
const PROTOCOL_COUNT_MAX: usize = 256;

/// Checks what can be checked without the group. Errors: as Kafka's, and `UNKNOWN_SERVER_ERROR` for what could never
/// be stored.
pub fn check(command: &JoinGroup, settings: &GroupSettings) -> Result<(), GroupError> {
    let allowed = settings.session_timeout_ms_min..=settings.session_timeout_ms_max;
    if !allowed.contains(&command.session_timeout_ms) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    let texts = [&command.member_id, &command.client.id, &command.client.host, &command.protocol_type];
    let texts = texts.into_iter().chain(&command.instance_id);
    let names = command.protocols.iter().map(|protocol| &protocol.name);
    let metadata_bytes: usize = command.protocols.iter().map(|protocol| protocol.metadata.len()).sum();
    let is_storable = texts.chain(names).all(|text| text.len() <= TEXT_BYTES_MAX)
        && command.protocols.len() <= PROTOCOL_COUNT_MAX
        && metadata_bytes <= settings.batch_room();
    if is_storable { Ok(()) } else { Err(GroupError::UnknownServerError) }
}

impl ClassicGroup {
    /// A member joins, or joins again.
    pub fn join(&mut self, ask: GroupAsk, mut command: JoinGroup, turn: &mut Turn<'_>) {
        let mut seen = BTreeSet::new();
        command.protocols.retain(|protocol| seen.insert(protocol.name.clone()));
        if !self.accepts(&command.member_id, turn) {
            self.refuse_everything_of(&command.member_id, GroupError::GroupMaxSizeReached, turn);
            let id = core::mem::take(&mut command.member_id);
            self.remove(&id, turn);
            refuse(ask, GroupError::GroupMaxSizeReached, String::new(), turn);
        } else if !self.supports(&command.protocol_type, &command.protocols) {
            refuse(ask, GroupError::InconsistentGroupProtocol, command.member_id, turn);
        } else if command.member_id.is_empty() {
            self.join_new(ask, command, turn);
        } else {
            self.join_known(ask, command, turn);
        }
    }

    /// Whether there is room for a member. While members join, those that have joined count: a group that has become
    /// too large sheds the last to join.
    fn accepts(&self, id: &str, turn: &Turn<'_>) -> bool {
        let configured = usize::try_from(turn.settings.member_count_max).unwrap_or(0);
        let room = configured.min(MEMBER_COUNT_MAX);
        let pending = self.pending_joins.len() < MEMBER_COUNT_MAX || self.pending_joins.contains_key(id);
        pending
            && match self.state {
                ClassicState::Empty => true,
                ClassicState::PreparingRebalance => {
                    let is_waiting = self.members.get(id).is_some_and(|member| member.joining.is_some());
                    is_waiting || self.joining_count < room
                }
                ClassicState::CompletingRebalance | ClassicState::Stable => {
                    self.members.contains_key(id) || self.members.len() < room
                }
            }
    }

    fn refuse_everything_of(&mut self, id: &str, error: GroupError, turn: &mut Turn<'_>) {
        self.answer_join(id, Joined::refused(error, id.to_owned()), turn);
        self.refuse_sync(id, error, turn);
    }

    fn join_new(&mut self, ask: GroupAsk, command: JoinGroup, turn: &mut Turn<'_>) {
        let front = command.instance_id.as_deref().unwrap_or(&command.client.id);
        let id: Arc<str> = format!("{front}-{}", turn.uuid()).into();
        let replaced = command.instance_id.as_deref().and_then(|name| self.static_members.get(name).cloned());
        if let Some(replaced) = replaced {
            self.replace_static(ask, command, &replaced, id, turn);
        } else if command.instance_id.is_none() && command.member_id_required {
            let mut timer = None;
            turn.arm_in(
                &mut timer,
                command.session_timeout_ms,
                &self.id,
                TimerKind::Session(Arc::clone(&id)),
            );
            refuse(ask, GroupError::MemberIdRequired, id.to_string(), turn);
            self.pending_joins.insert(id, timer);
        } else {
            self.add_and_rebalance(ask, command, id, turn);
        }
    }

    fn join_known(&mut self, ask: GroupAsk, command: JoinGroup, turn: &mut Turn<'_>) {
        let id = command.member_id.as_str();
        if self.pending_joins.contains_key(id) {
            if command.instance_id.is_some() {
                return refuse(ask, GroupError::UnknownServerError, command.member_id, turn);
            }
            let mut timer = self.pending_joins.remove(id).flatten();
            turn.timers.cancel(&mut timer);
            let id = Arc::from(id);
            return self.add_and_rebalance(ask, command, id, turn);
        }
        if let Err(error) = self.check_member(id, command.instance_id.as_deref()) {
            return refuse(ask, error, command.member_id, turn);
        }
        let is_same = self.members[id].protocols == command.protocols;
        match self.state {
            ClassicState::PreparingRebalance => self.update_and_rebalance(ask, command, turn),
            // The answer to its join was lost.
            ClassicState::CompletingRebalance if is_same => {
                self.answer_present(ask, id, self.is_leader(id), turn)
            }
            // A leader that joins again wants to assign again: it knows of something that the others do not.
            ClassicState::Stable if is_same && !self.is_leader(id) => {
                self.answer_present(ask, id, false, turn);
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.update_and_rebalance(ask, command, turn);
            }
            ClassicState::Empty => refuse(ask, GroupError::UnknownMemberId, command.member_id, turn),
        }
    }

    /// Answers with the present generation.
    fn answer_present(&self, ask: GroupAsk, id: &str, with_members: bool, turn: &mut Turn<'_>) {
        turn.answer(ask, GroupAnswer::Join(Box::new(self.joined(id, with_members))));
    }

    /// The present generation as a member is told it.
    fn joined(&self, id: &str, with_members: bool) -> Joined {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = if with_members { Some(&self.members) } else { None };
        Joined {
            error: None,
            member_id: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment: false,
            members: members.into_iter().flat_map(|all| all.values()).map(|m| m.joined(protocol)).collect(),
        }
    }

    /// A static member came back under a new id. In a stable group whose way of assigning stays the same nothing else
    /// changes: the member takes over the assignment.
    fn replace_static(
        &mut self,
        ask: GroupAsk,
        command: JoinGroup,
        old: &str,
        new: Arc<str>,
        turn: &mut Turn<'_>,
    ) {
        let leader_before = self.leader.as_deref().unwrap_or_default().to_owned();
        self.rename(old, Arc::clone(&new), turn);
        let skips = command.skip_assignment;
        self.update(
            ask,
            &new,
            command.protocols,
            command.rebalance_timeout_ms,
            command.session_timeout_ms,
            turn,
        );
        self.heard_of(&new, turn);
        match self.state {
            ClassicState::Stable => {
                let record = self.record();
                if self.elect_protocol() != self.protocol || record.size_max() > turn.batch_room() {
                    return self.rebalance_or_complete(turn);
                }
                turn.store(record);
                let is_leader = self.is_leader(&new);
                let mut answer = self.joined(&new, is_leader && skips);
                if skips {
                    answer.skip_assignment = is_leader;
                } else {
                    // A leader that cannot be told to skip the assignment must not learn that it leads.
                    answer.leader = leader_before;
                }
                self.answer_join(&new, answer, turn);
            }
            // The leader may be assigning to the old id at this moment.
            ClassicState::CompletingRebalance => self.prepare_rebalance(turn),
            ClassicState::PreparingRebalance | ClassicState::Empty => self.complete_if_all_joined(turn),
        }
    }

    /// Gives a static member a new id. Whoever still uses the old one is fenced.
    fn rename(&mut self, old: &str, new: Arc<str>, turn: &mut Turn<'_>) {
        self.refuse_everything_of(old, GroupError::FencedInstanceId, turn);
        let mut member = self.members.remove(old).expect("an instance id names a member");
        turn.timers.cancel(&mut member.session);
        if self.is_leader(old) {
            self.leader = Some(Arc::clone(&new));
        }
        // The new one has no assignment to fetch in this generation.
        self.pending_syncs.remove(old);
        let instance_id = member.instance_id.clone().expect("a static member has an instance id");
        self.static_members.insert(instance_id, Arc::clone(&new));
        member.id = Arc::clone(&new);
        member.is_new = false;
        self.members.insert(new, member);
    }

    fn add_and_rebalance(&mut self, ask: GroupAsk, command: JoinGroup, id: Arc<str>, turn: &mut Turn<'_>) {
        if self.state == ClassicState::PreparingRebalance && self.previous == ClassicState::Empty {
            self.member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(command.protocol_type);
        }
        self.add(ClassicMember {
            id: Arc::clone(&id),
            instance_id: command.instance_id.map(Arc::from),
            client: command.client,
            rebalance_timeout_ms: command.rebalance_timeout_ms,
            session_timeout_ms: command.session_timeout_ms,
            protocols: command.protocols,
            assignment: Arc::from([]),
            joining: Some(ask),
            syncing: None,
            is_new: true,
            deadline: turn.now.mono,
            session: None,
        });
        self.touch(&id, NEW_MEMBER_TIMEOUT_MS, turn);
        self.rebalance_or_complete(turn);
    }

    fn update_and_rebalance(&mut self, ask: GroupAsk, command: JoinGroup, turn: &mut Turn<'_>) {
        let JoinGroup { member_id, protocols, rebalance_timeout_ms, session_timeout_ms, .. } = command;
        self.update(ask, &member_id, protocols, rebalance_timeout_ms, session_timeout_ms, turn);
        self.rebalance_or_complete(turn);
    }

    /// Takes over what a known member's JoinGroup says, which now waits in place of an earlier one.
    fn update(
        &mut self,
        ask: GroupAsk,
        id: &str,
        protocols: Vec<JoinProtocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
        turn: &mut Turn<'_>,
    ) {
        self.answer_join(id, Joined::refused(GroupError::RebalanceInProgress, id.to_owned()), turn);
        self.set_protocols(id, protocols);
        let member = self.members.get_mut(id).expect("the caller has found the member");
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        member.joining = Some(ask);
        self.joining_count += 1;
    }

    /// Starts a rebalance, or ends the one that is under way if this was what it waited for.
    pub fn rebalance_or_complete(&mut self, turn: &mut Turn<'_>) {
        match self.state {
            ClassicState::PreparingRebalance => self.complete_if_all_joined(turn),
            _ => self.prepare_rebalance(turn),
        }
    }

    /// Starts a rebalance.
    pub fn prepare_rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == ClassicState::CompletingRebalance {
            self.refuse_syncs(GroupError::RebalanceInProgress, turn);
        }
        self.pending_syncs.clear();
        turn.timers.cancel(&mut self.sync_timer);
        let was_empty = self.is_empty();
        self.enter(ClassicState::PreparingRebalance, turn);
        if was_empty {
            let delay_ms = turn.settings.initial_rebalance_delay_ms;
            let remaining_ms = self.rebalance_timeout_ms().saturating_sub(delay_ms).max(0);
            self.initial = Some(InitialDelay { delay_ms, remaining_ms });
            self.arm_join(delay_ms, turn);
        } else if self.has_all_joined() {
            self.complete_join(turn);
        } else {
            self.arm_join(self.rebalance_timeout_ms(), turn);
        }
    }

    fn arm_join(&mut self, ms: i32, turn: &mut Turn<'_>) {
        turn.arm_in(&mut self.join_timer, ms, &self.id, TimerKind::Join);
    }

    /// Takes every member's assignment away and has those that wait for one join again.
    pub fn refuse_syncs(&mut self, error: GroupError, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let member = self.members.get_mut(&id).expect("nobody leaves meanwhile");
            member.assignment = Arc::from([]);
            if member.syncing.is_some() {
                self.refuse_sync(&id, error, turn);
                self.heard_of(&id, turn);
            }
        }
    }

    /// Ends the joining if nobody is missing. An empty group's first rebalance is ended by its timer alone.
    pub fn complete_if_all_joined(&mut self, turn: &mut Turn<'_>) {
        if self.state == ClassicState::PreparingRebalance
            && self.previous != ClassicState::Empty
            && self.has_all_joined()
        {
            self.complete_join(turn);
        }
    }

    /// The joining has lasted as long as it may.
    pub fn on_join_timer(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        match self.initial {
            Some(InitialDelay { delay_ms, remaining_ms }) if self.member_added && remaining_ms != 0 => {
                self.member_added = false;
                let next_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
                let remaining_ms = remaining_ms.saturating_sub(delay_ms).max(0);
                self.initial = Some(InitialDelay { delay_ms: next_ms, remaining_ms });
                self.arm_join(next_ms, turn);
            }
            _ => self.complete_join(turn),
        }
    }

    /// Begins the next generation with those who are here.
    pub fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(&mut self.join_timer);
        self.initial = None;
        self.member_added = false;
        let late = self.members.values().filter(|m| m.joining.is_none() && m.instance_id.is_none());
        let late: Vec<Arc<str>> = late.map(|member| Arc::clone(&member.id)).collect();
        late.iter().for_each(|id| self.remove(id, turn));
        if !self.members.is_empty() && !self.leads_somebody_here() {
            // Static members alone are missing; their sessions decide.
            return self.arm_join(self.rebalance_timeout_ms(), turn);
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        self.owes_rebalance = false;
        self.pending_syncs.clear();
        self.protocol = self.elect_protocol();
        self.subscribed = self.read_subscriptions();
        if self.members.is_empty() {
            self.enter(ClassicState::Empty, turn);
            turn.store(self.record());
            return;
        }
        self.enter(ClassicState::CompletingRebalance, turn);
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            let answer = self.joined(&id, self.is_leader(&id));
            self.answer_join(&id, answer, turn);
            self.heard_of(&id, turn);
            self.members.get_mut(&id).expect("nobody leaves meanwhile").is_new = false;
            self.pending_syncs.insert(id);
        }
        let ms = self.rebalance_timeout_ms();
        turn.arm_in(&mut self.sync_timer, ms, &self.id, TimerKind::Sync);
    }

    /// Sees to it that the leader is somebody who has joined.
    fn leads_somebody_here(&mut self) -> bool {
        let is_here = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.leader.as_ref().is_some_and(is_here) {
            return true;
        }
        let elected = self.members.values().find(|member| member.joining.is_some());
        match elected {
            Some(member) => {
                self.leader = Some(Arc::clone(&member.id));
                true
            }
            None => false,
        }
    }
}

/// Refuses a JoinGroup.
pub fn refuse(ask: GroupAsk, error: GroupError, member_id: String, turn: &mut Turn<'_>) {
    turn.answer(ask, GroupAnswer::Join(Box::new(Joined::refused(error, member_id))));
}
