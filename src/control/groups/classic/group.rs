//! A classic group: its state, its members, and what can be asked of it. How it changes is in `join.rs` and `sync.rs`.
//!
//! | from | to | cause |
//! |---|---|---|
//! | Empty | PreparingRebalance | the first member joins |
//! | PreparingRebalance | CompletingRebalance | everybody has joined, or the time is over |
//! | PreparingRebalance | Empty | nobody is left |
//! | CompletingRebalance | Stable | the leader has assigned |
//! | CompletingRebalance, Stable | PreparingRebalance | a member comes, goes, changes or is late |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corelane_base::time::{Now, WallMs};

use crate::groups::answer::{GroupAnswer, Joined, Synced};
use crate::groups::classic::member::ClassicMember;
use crate::groups::classic::subscription;
use crate::groups::command::{GroupAsk, JoinProtocol};
use crate::groups::error::GroupError;
use crate::groups::timers::{TimerId, TimerKind, Timers};
use crate::groups::turn::Turn;

/// The most members of a group, and the most that were only given an id, whatever `group.max.size` says.
pub const MEMBER_COUNT_MAX: usize = 10_000;

/// Where a group is between rebalances.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassicState {
    /// No members; perhaps offsets.
    Empty,
    /// Members are joining.
    PreparingRebalance,
    /// The leader is assigning.
    CompletingRebalance,
    /// Everybody has, or can fetch, its assignment.
    Stable,
}

impl ClassicState {
    /// Kafka's spelling.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ClassicState::Empty => "Empty",
            ClassicState::PreparingRebalance => "PreparingRebalance",
            ClassicState::CompletingRebalance => "CompletingRebalance",
            ClassicState::Stable => "Stable",
        }
    }
}

/// How an empty group's first rebalance waits for further members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InitialDelay {
    /// How long the present step waits, in milliseconds.
    pub delay_ms: i32,
    /// How long all further steps may wait together.
    pub remaining_ms: i32,
}

/// A classic group. Invariants: see [`ClassicGroup::check_invariants`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicGroup {
    /// Its id.
    pub id: Arc<str>,
    /// Where it is.
    pub state: ClassicState,
    /// Where it was before.
    pub previous: ClassicState,
    /// Since when; unknown in records of old.
    pub state_since: Option<WallMs>,
    /// How often it has been rebalanced.
    pub generation: i32,
    /// What kind of group; `None` for offsets without members.
    pub protocol_type: Option<String>,
    /// The way of assigning of the present generation.
    pub protocol: Option<String>,
    /// The member that assigns.
    pub leader: Option<Arc<str>>,
    /// It was a consumer group, and what members have may not be what this generation gives them.
    pub owes_rebalance: bool,
    /// The members by id.
    pub members: BTreeMap<Arc<str>, ClassicMember>,
    /// The member of each instance id.
    pub static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Ids that were given out and have not joined yet, with their timers.
    pub pending_joins: BTreeMap<Arc<str>, Option<TimerId>>,
    /// Members that have not fetched their assignment of this generation.
    pub pending_syncs: BTreeSet<Arc<str>>,
    /// How many members know each way of assigning; none of them is zero.
    pub supported: BTreeMap<String, usize>,
    /// How many members' JoinGroup waits.
    pub joining_count: usize,
    /// Somebody came while the first rebalance waits.
    pub member_added: bool,
    /// What the members subscribe to, if that can be read.
    pub subscribed: Option<BTreeSet<String>>,
    /// The first rebalance's delay.
    pub initial: Option<InitialDelay>,
    /// The timer that ends the joining.
    pub join_timer: Option<TimerId>,
    /// The timer that ends the fetching of assignments.
    pub sync_timer: Option<TimerId>,
}

impl ClassicGroup {
    /// An empty group.
    #[must_use]
    pub fn new(id: Arc<str>, now: Now) -> ClassicGroup {
        ClassicGroup {
            id,
            state: ClassicState::Empty,
            previous: ClassicState::Empty,
            state_since: Some(now.wall),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            owes_rebalance: false,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_joins: BTreeMap::new(),
            pending_syncs: BTreeSet::new(),
            supported: BTreeMap::new(),
            joining_count: 0,
            member_added: false,
            subscribed: None,
            initial: None,
            join_timer: None,
            sync_timer: None,
        }
    }

    /// Whether it has no members. Ids that were only given out do not count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state == ClassicState::Empty
    }

    /// Whether it is nothing but a place for offsets.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none() && self.is_empty() && self.pending_joins.is_empty()
    }

    /// Whether its members are consumers.
    #[must_use]
    pub fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    /// Whether its members read that topic; if that cannot be known, consumers may read any.
    #[must_use]
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// Whether that member assigns.
    #[must_use]
    pub fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    /// How long a rebalance waits: as long as the most patient member.
    #[must_use]
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Whether everybody's JoinGroup is there.
    #[must_use]
    pub fn has_all_joined(&self) -> bool {
        self.members.len() == self.joining_count && self.pending_joins.is_empty()
    }

    /// Whether a member with these ways of assigning can be among the others.
    #[must_use]
    pub fn supports(&self, protocol_type: &str, protocols: &[JoinProtocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|known| self.supported.get(&known.name) == Some(&self.members.len()))
    }

    /// Whether a member is who it says it is. Errors: `UNKNOWN_MEMBER_ID`; `FENCED_INSTANCE_ID` if another member
    /// has its instance id.
    pub fn check_member(&self, member: &str, instance_id: Option<&str>) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if **owner != *member => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// Whether a commit is welcome. Errors: as the group's state wants them.
    pub fn check_commit(
        &self,
        member: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), GroupError> {
        if generation < 0 && self.is_empty() {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance_id.is_some() {
            self.check_member(member, instance_id)?;
            if generation != self.generation {
                return Err(GroupError::IllegalGeneration);
            }
        } else {
            return Err(GroupError::UnknownMemberId);
        }
        match self.state {
            ClassicState::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// The way of assigning that most members prefer among those that all know. `None`: there is no member, or no way
    /// in common, which joining excludes.
    #[must_use]
    pub fn elect_protocol(&self) -> Option<String> {
        let everybody = self.members.len();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote =
                member.protocols.iter().find(|known| self.supported.get(&known.name) == Some(&everybody))?;
            *votes.entry(&vote.name).or_default() += 1;
        }
        votes.into_iter().max_by_key(|&(_, count)| count).map(|(name, _)| name.to_owned())
    }

    /// Reads the topics of all members' subscriptions.
    #[must_use]
    pub fn read_subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        let mut topics = BTreeSet::new();
        if !self.members.is_empty() {
            let protocol = self.protocol.as_deref()?;
            for member in self.members.values() {
                subscription::add_topics(member.metadata(protocol), &mut topics).ok()?;
            }
        }
        Some(topics)
    }

    /// Adds a member whose ways of assigning fit the group. Its instance id is free.
    pub fn add(&mut self, member: ClassicMember) {
        assert!(!self.members.contains_key(&member.id), "a member is added once");
        if let Some(instance_id) = &member.instance_id {
            let before = self.static_members.insert(Arc::clone(instance_id), Arc::clone(&member.id));
            assert!(before.is_none(), "an instance id has one member");
        }
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
        self.joining_count += usize::from(member.joining.is_some());
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&member.id));
        }
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Takes a member out, or an id that was only given out, with its timer. What it waited for is answered by the
    /// caller. If it led, another member leads.
    pub fn remove(&mut self, id: &str, turn: &mut Turn<'_>) {
        if let Some(mut timer) = self.pending_joins.remove(id) {
            turn.timers.cancel(&mut timer);
        }
        self.pending_syncs.remove(id);
        let Some(mut member) = self.members.remove(id) else { return };
        turn.timers.cancel(&mut member.session);
        self.forget_protocols(&member.protocols);
        self.joining_count -= usize::from(member.joining.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Exchanges the ways of assigning of a member. Panics: if there is no such member.
    pub fn set_protocols(&mut self, id: &str, protocols: Vec<JoinProtocol>) {
        let member = self.members.get_mut(id).expect("the caller has found the member");
        let before = core::mem::replace(&mut member.protocols, protocols);
        for protocol in &member.protocols {
            *self.supported.entry(protocol.name.clone()).or_default() += 1;
        }
        self.forget_protocols(&before);
    }

    fn forget_protocols(&mut self, protocols: &[JoinProtocol]) {
        for protocol in protocols {
            let count = self.supported.get_mut(&protocol.name).expect("a member's protocols are counted");
            *count -= 1;
            if *count == 0 {
                self.supported.remove(&protocol.name);
            }
        }
    }

    /// Answers a member's JoinGroup, if one waits.
    pub fn answer_join(&mut self, id: &str, answer: Joined, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(ask) = member.joining.take() {
            self.joining_count -= 1;
            turn.answer(ask, GroupAnswer::Join(Box::new(answer)));
        }
    }

    /// Refuses a member's SyncGroup, if one waits.
    pub fn refuse_sync(&mut self, id: &str, error: GroupError, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(ask) = member.syncing.take() {
            turn.answer(ask, GroupAnswer::Sync(refused_sync(error)));
        }
    }

    /// Moves the moment at which a member is given up.
    pub fn touch(&mut self, id: &str, timeout_ms: i32, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let deadline = turn.in_ms(timeout_ms);
        let is_late = member.session.is_none_or(|timer| timer.at() > deadline);
        member.deadline = deadline;
        if is_late {
            let kind = TimerKind::Session(Arc::clone(&member.id));
            turn.arm_in(&mut member.session, timeout_ms, &self.id, kind);
        }
    }

    /// Hears of a member: its session begins anew.
    pub fn heard_of(&mut self, id: &str, turn: &mut Turn<'_>) {
        if let Some(member) = self.members.get(id) {
            let timeout_ms = member.session_timeout_ms;
            self.touch(id, timeout_ms, turn);
        }
    }

    /// Goes to another state.
    pub fn enter(&mut self, state: ClassicState, turn: &Turn<'_>) {
        self.previous = self.state;
        self.state = state;
        self.state_since = Some(turn.now.wall);
    }

    /// Stops every timer: the group goes away, or becomes one of the other kind.
    pub fn cancel_timers(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(&mut self.join_timer);
        turn.timers.cancel(&mut self.sync_timer);
        self.pending_joins.values_mut().for_each(|timer| turn.timers.cancel(timer));
        self.members.values_mut().for_each(|member| turn.timers.cancel(&mut member.session));
    }

    /// Refuses everything that waits: the coordinator goes away.
    pub fn refuse_all(&mut self, mut refuse: impl FnMut(GroupAsk)) {
        for member in self.members.values_mut() {
            member.joining.take().into_iter().chain(member.syncing.take()).for_each(&mut refuse);
        }
        self.joining_count = 0;
    }

    /// Checks the invariants. Panics: if one is broken.
    pub fn check_invariants(&self) {
        assert!(!self.is_empty() || self.members.is_empty(), "an empty group has no members");
        let joining = self.members.values().filter(|member| member.joining.is_some()).count();
        assert_eq!(joining, self.joining_count);
        let mut supported: BTreeMap<String, usize> = BTreeMap::new();
        for (id, member) in &self.members {
            assert_eq!(*id, member.id);
            assert!(!self.pending_joins.contains_key(id), "{id} has joined");
            for protocol in &member.protocols {
                *supported.entry(protocol.name.clone()).or_default() += 1;
            }
            if let Some(instance_id) = &member.instance_id {
                assert_eq!(self.static_members.get(instance_id), Some(id));
            }
        }
        assert_eq!(supported, self.supported);
        let static_count = self.members.values().filter(|member| member.instance_id.is_some()).count();
        assert_eq!(static_count, self.static_members.len());
        assert_eq!(self.leader.is_some(), !self.members.is_empty(), "members have a leader");
        assert!(self.leader.as_ref().is_none_or(|leader| self.members.contains_key(leader)));
        assert!(self.pending_syncs.iter().all(|id| self.members.contains_key(id)));
        let must_elect = matches!(self.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        assert!(!must_elect || self.protocol.is_some(), "an assigned group has a protocol");
        assert!(self.state == ClassicState::PreparingRebalance || joining == 0, "joins wait while preparing");
        let syncing = self.members.values().filter(|member| member.syncing.is_some()).count();
        assert!(
            self.state == ClassicState::CompletingRebalance || syncing == 0,
            "syncs wait while completing"
        );
        let waits = self.state == ClassicState::PreparingRebalance;
        assert_eq!(self.join_timer.is_some(), waits, "joining has an end");
    }

    /// Checks that whoever can be given up has a timer, and that every timer is armed. Panics: if not.
    pub fn check_timers(&self, timers: &Timers) {
        let of_group = [self.join_timer, self.sync_timer].into_iter().flatten();
        let of_members = self.members.values().filter_map(|member| member.session);
        let of_pending = self.pending_joins.values().map(|timer| timer.expect("an id given out expires"));
        for id in of_group.chain(of_members).chain(of_pending) {
            assert!(timers.armed(id).is_some_and(|timer| timer.group == self.id), "{id:?} is armed");
        }
        for member in self.members.values() {
            assert!(member.session.is_none_or(|timer| timer.at() <= member.deadline), "no timer is late");
            assert!(member.session.is_some() || member.is_excused(), "{} is looked after", member.id);
        }
    }
}

/// A refused SyncGroup.
#[must_use]
pub fn refused_sync(error: GroupError) -> Synced {
    Synced { error: Some(error), protocol_type: None, protocol: None, assignment: Arc::from([]) }
}
