//! A consumer group: its lasting state, its timers, and what follows for the whole group when something changes.
//!
//! A heartbeat goes through four stages, each of which costs nothing when there is nothing new: what the member told,
//! the group's epoch, the target assignment, the member's own step. Members, topics or patterns that change raise the
//! group's epoch; a target assignment is made for the newest epoch, at most once in
//! `group.consumer.assignment.interval.ms`; members follow by themselves, see `reconcile.rs`.
//!
//! Timers are not stored: after a restart every member has its whole time again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corelane_base::id::TopicId;
use corelane_base::time::Mono;

use crate::configs::group_definitions;
use crate::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};
use crate::groups::consumer::assignor;
use crate::groups::consumer::member::{Member, MemberMetadata, MemberState};
use crate::groups::consumer::record::{ConsumerRecord, GroupEpoch, TargetEpoch};
use crate::groups::consumer::state::GroupState;
use crate::groups::consumer::topic_regex::{ResolvedRegex, TopicRegex};
use crate::groups::settings::{Assignor, GroupSettings};
use crate::groups::timers::{Timer, TimerId, TimerKind};
use crate::groups::turn::Turn;

/// The most members of a group, whatever `group.consumer.max.size` says.
pub const MEMBER_COUNT_MAX: usize = 10_000;

/// The most bytes that a topic takes in a record, beside its name and its partitions.
const TOPIC_BYTES_MAX: usize = 32;
/// The bytes of a partition in a record: its number and its epoch.
const PARTITION_BYTES: usize = 8;

/// A member's timers.
#[derive(Clone, Debug, Default)]
pub struct MemberTimers {
    /// When the member is taken for dead. Moves with every heartbeat; the timer follows when it fires.
    pub session_deadline: Mono,
    /// Fires at the session deadline or before.
    pub session: Option<TimerId>,
    /// Runs while the member has to give something up, with the epoch it began in.
    pub rebalance: Option<(TimerId, i32)>,
    /// Runs until a classic member that was told so joins again.
    pub join: Option<TimerId>,
    /// Runs until a classic member that joined fetches its assignment.
    pub sync: Option<TimerId>,
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    /// Its id.
    pub id: Arc<str>,
    /// What is stored of it.
    pub state: GroupState,
    /// By member; a member without an entry has no timer yet.
    pub timers: BTreeMap<Arc<str>, MemberTimers>,
    /// The topics have not changed since the group last looked.
    topics_seen: bool,
    /// When the patterns were last looked up.
    regexes_seen: Mono,
}

impl ConsumerGroup {
    /// A group without members.
    #[must_use]
    pub fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup {
            id,
            state: GroupState::default(),
            timers: BTreeMap::new(),
            topics_seen: false,
            regexes_seen: Mono::default(),
        }
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.members.is_empty()
    }

    /// Whether anybody in it subscribes to that topic.
    #[must_use]
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        let matched = || self.state.regexes.values().any(|regex| regex.topics.contains(topic));
        let named = |member: &Member| member.metadata.topics.iter().any(|name| &**name == topic);
        self.state.members.values().any(named) || matched()
    }

    /// Topics were created, deleted or grew. The next heartbeat of any member looks.
    pub fn on_topics_changed(&mut self) {
        self.topics_seen = false;
    }

    /// Ends the loading: everybody's session begins, and the time to give up what has to be given up.
    pub fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.state.members.keys().cloned().collect();
        for id in ids {
            let session_timeout_ms = self.session_timeout_ms(turn);
            self.touch(&id, session_timeout_ms, turn);
            self.arm_rebalance(&id, turn);
        }
    }

    /// What the group has set for itself, else what holds for all groups.
    #[must_use]
    pub fn own_setting(&self, key: &str, of_broker: i32, turn: &Turn<'_>) -> i32 {
        let own = turn.image.group_overrides(&self.id).get(key);
        own.and_then(|text| text.parse().ok()).unwrap_or(of_broker)
    }

    /// After how long without a heartbeat a member is dropped.
    #[must_use]
    pub fn session_timeout_ms(&self, turn: &Turn<'_>) -> i32 {
        let of_broker = turn.settings.consumer_session_timeout_ms;
        self.own_setting(group_definitions::SESSION_TIMEOUT_MS, of_broker, turn)
    }

    /// Stores and applies a record.
    pub fn store(&mut self, record: ConsumerRecord, turn: &mut Turn<'_>) {
        turn.store(record.encode(&self.id));
        self.state.apply(&record);
    }

    fn timers_of(&mut self, member: &Arc<str>) -> &mut MemberTimers {
        self.timers.entry(Arc::clone(member)).or_default()
    }

    /// The member is alive: its session begins anew.
    pub fn touch(&mut self, member: &Arc<str>, timeout_ms: i32, turn: &mut Turn<'_>) {
        let deadline = turn.in_ms(timeout_ms);
        let group = Arc::clone(&self.id);
        let timers = self.timers_of(member);
        let earlier = deadline < timers.session_deadline;
        timers.session_deadline = deadline;
        if timers.session.is_none() || earlier {
            turn.arm_in(
                &mut timers.session,
                timeout_ms,
                &group,
                TimerKind::ConsumerSession(Arc::clone(member)),
            );
        }
    }

    /// The member has to give up partitions: its time for that begins. Or it has not: it ends.
    pub fn arm_rebalance(&mut self, member: &Arc<str>, turn: &mut Turn<'_>) {
        let Some(Member { metadata, current }) = self.state.members.get(member) else { return };
        let (timeout_ms, epoch) = (metadata.rebalance_timeout_ms, current.epoch);
        // Members of the classic protocol have the timers of joining and fetching instead.
        let wanted = current.state == MemberState::Unrevoked && metadata.classic.is_none();
        let group = Arc::clone(&self.id);
        let timers = self.timers_of(member);
        turn.timers.cancel(&mut timers.rebalance.take().map(|(id, _)| id));
        if wanted {
            let timer = Timer { group, kind: TimerKind::ConsumerRebalance(Arc::clone(member)) };
            timers.rebalance = Some((turn.timers.arm(turn.in_ms(timeout_ms), timer), epoch));
        }
    }

    /// A classic member was told to join again: its time for that begins, if it has not already.
    pub fn arm_join(&mut self, member: &Arc<str>, turn: &mut Turn<'_>) {
        let Some(timeout_ms) = self.state.members.get(member).map(|it| it.metadata.rebalance_timeout_ms)
        else {
            return;
        };
        let group = Arc::clone(&self.id);
        let timers = self.timers_of(member);
        if timers.join.is_none() {
            turn.arm_in(&mut timers.join, timeout_ms, &group, TimerKind::ConsumerJoin(Arc::clone(member)));
        }
    }

    /// Forgets a member's timers.
    pub fn cancel_timers(&mut self, member: &str, turn: &mut Turn<'_>) {
        if let Some(mut timers) = self.timers.remove(member) {
            turn.timers.cancel(&mut timers.session);
            turn.timers.cancel(&mut timers.rebalance.map(|(id, _)| id));
            turn.timers.cancel(&mut timers.join);
            turn.timers.cancel(&mut timers.sync);
        }
    }

    /// Forgets everybody's timers: the group goes, or becomes another one.
    pub fn cancel_all_timers(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.timers.keys().cloned().collect();
        ids.iter().for_each(|id| self.cancel_timers(id, turn));
    }

    /// Stores the group's tombstones and stops its timers: it goes away.
    pub fn bury(&mut self, turn: &mut Turn<'_>) {
        self.cancel_all_timers(turn);
        for tombstone in self.state.tombstones() {
            self.store(tombstone, turn);
        }
    }

    /// Whether the patterns are due for another look at the topics.
    fn regexes_due(&self, turn: &Turn<'_>) -> bool {
        let refresh_ms = u64::try_from(turn.settings.consumer_regex_refresh_ms).unwrap_or(0);
        !self.topics_seen || turn.now.mono >= self.regexes_seen.plus_ms(refresh_ms)
    }

    /// Looks up the patterns again if that is due; returns whether one stands for other topics now.
    pub fn refresh_regexes(&mut self, turn: &mut Turn<'_>) -> bool {
        if !self.regexes_due(turn) {
            return false;
        }
        self.regexes_seen = turn.now.mono;
        let mut changed = false;
        let regexes: BTreeSet<Arc<str>> =
            self.state.members.values().filter_map(|member| member.metadata.regex.clone()).collect();
        for regex in regexes {
            // A pattern that another broker accepted and this one does not stands for nothing.
            let topics =
                TopicRegex::new(&regex).map(|compiled| compiled.resolve(turn.image)).unwrap_or_default();
            if self.state.regexes.get(&regex).is_none_or(|resolved| resolved.topics != topics) {
                self.store_regex(regex, topics, turn);
                changed = true;
            }
        }
        changed
    }

    /// Stores what a pattern stands for. What no batch can hold is not stored: the pattern goes on to stand for what it
    /// stood for, at first for nothing.
    pub fn store_regex(&mut self, regex: Arc<str>, topics: BTreeSet<Arc<str>>, turn: &mut Turn<'_>) {
        let bytes: usize = topics.iter().map(|topic| topic.len() + TOPIC_BYTES_MAX).sum();
        if bytes + regex.len() > turn.batch_room() {
            return;
        }
        let resolved = ResolvedRegex { topics, version: 0, timestamp: turn.now.wall.0 };
        self.store(ConsumerRecord::Regex(regex, Some(resolved)), turn);
    }

    /// A group that was of another kind begins at `epoch`. Its topics count as never seen: the first heartbeat raises the
    /// epoch, because nobody knows whether what the members have is still what they should have.
    pub fn begin_at(&mut self, epoch: i32, turn: &mut Turn<'_>) {
        self.store(ConsumerRecord::Group(Some(GroupEpoch { epoch, metadata_hash: 0 })), turn);
    }

    /// Raises the group's epoch if `bump` says so or the subscribed topics are not those of before.
    pub fn update_epoch(&mut self, bump: bool, turn: &mut Turn<'_>) {
        if !bump && self.topics_seen {
            return;
        }
        self.topics_seen = true;
        let metadata_hash = metadata_hash(&self.state, turn);
        if bump || metadata_hash != self.state.group.metadata_hash {
            let epoch = self.state.group.epoch.saturating_add(1);
            self.store(ConsumerRecord::Group(Some(GroupEpoch { epoch, metadata_hash })), turn);
        }
        if self.state.has_topics_record {
            self.store(ConsumerRecord::Topics(false), turn);
        }
    }

    /// For how many milliseconds a new target assignment has still to wait; 0 if there is none to be made.
    #[must_use]
    pub fn target_wait_ms(&self, turn: &Turn<'_>) -> i64 {
        let of_broker = turn.settings.consumer_assignment_interval_ms;
        let interval =
            i64::from(self.own_setting(group_definitions::ASSIGNMENT_INTERVAL_MS, of_broker, turn));
        let made = self.state.target.timestamp;
        if self.state.group.epoch <= self.state.target.epoch || made == 0 || interval == 0 {
            return 0;
        }
        made.saturating_add(interval).saturating_sub(turn.now.wall.0).max(0)
    }

    /// Makes a new target assignment if the group's epoch is ahead of it and the last one is old enough. One that gives
    /// a member more than a record can say is not made: the group stays with the last one.
    pub fn update_target(&mut self, turn: &mut Turn<'_>) {
        if self.state.group.epoch <= self.state.target.epoch || self.target_wait_ms(turn) > 0 {
            return;
        }
        let targets = compute_target(&self.state, turn);
        let bytes = |it: &Assignment| it.iter().len() * TOPIC_BYTES_MAX + it.count() * PARTITION_BYTES;
        // What the member has can be as much again, while it gives that up.
        if targets.iter().any(|(_, target)| 2 * bytes(target) > turn.batch_room()) {
            return;
        }
        for (id, target) in targets {
            if self.state.targets.get(&id).is_none_or(|before| **before != target) {
                self.store(ConsumerRecord::TargetMember(id, Some(Arc::new(target))), turn);
            }
        }
        let target = TargetEpoch { epoch: self.state.group.epoch, timestamp: turn.now.wall.0 };
        self.store(ConsumerRecord::Target(Some(target)), turn);
    }

    /// The assignor that most members wish for, else the default.
    #[must_use]
    pub fn assignor(&self, settings: &GroupSettings) -> Assignor {
        preferred_assignor(&self.state, settings)
    }
}

/// The assignor that most members wish for, among those that are allowed; on a tie the first of the settings.
fn preferred_assignor(state: &GroupState, settings: &GroupSettings) -> Assignor {
    let wishes = |assignor: Assignor| {
        let wished = |member: &&Member| member.metadata.assignor.as_deref() == Some(assignor.name());
        state.members.values().filter(wished).count()
    };
    let mut best = (settings.consumer_assignors.first().copied().unwrap_or(Assignor::Uniform), 0);
    for &assignor in &settings.consumer_assignors {
        let count = wishes(assignor);
        if count > best.1 {
            best = (assignor, count);
        }
    }
    best.0
}

/// What a subscription consists of.
fn key(metadata: &MemberMetadata) -> (&[Arc<str>], Option<&str>) {
    (&metadata.topics, metadata.regex.as_deref())
}

/// What everybody shall have from now on.
fn compute_target(state: &GroupState, turn: &Turn<'_>) -> Vec<(Arc<str>, Assignment)> {
    // Members mostly subscribe to the same: each different subscription is looked up once.
    let mut subscriptions: BTreeMap<_, Vec<TopicId>> = BTreeMap::new();
    let mut counts = PartitionCounts::new();
    for member in state.members.values() {
        subscriptions.entry(key(&member.metadata)).or_insert_with(|| {
            let ids = state.topic_ids(&member.metadata, turn.image);
            for topic in ids.iter().filter_map(|&id| turn.image.topic_by_id(id)) {
                counts.insert(topic.id, i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
            }
            ids
        });
    }
    let members: Vec<AssignorMember<'_>> = state
        .members
        .iter()
        .map(|(id, member)| AssignorMember {
            id,
            instance_id: member.metadata.instance_id.as_deref(),
            topics: &subscriptions[&key(&member.metadata)],
            target: state.target_of(id),
        })
        .collect();
    let targets = assignor::assign(preferred_assignor(state, turn.settings), &members, &counts);
    state.members.keys().cloned().zip(targets).collect()
}

/// A fingerprint (FNV-1a) of the subscribed topics that exist: names, ids and numbers of partitions. Kafka's own hash
/// differs; a broker that finds a foreign one raises the group's epoch once.
fn metadata_hash(state: &GroupState, turn: &Turn<'_>) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut any = false;
    for topic in state.subscribed().into_iter().filter_map(|name| turn.image.topic(name)) {
        any = true;
        let count = (topic.partitions.len() as u64).to_be_bytes();
        for &byte in topic.name.as_bytes().iter().chain(&[0]).chain(&topic.id.0).chain(&count) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    if any { hash.cast_signed() } else { 0 }
}
