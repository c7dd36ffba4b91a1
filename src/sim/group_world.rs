//! A storm of groups of both protocols under one seed: members come, go, crash and stall, the coordinator crashes and
//! loads again. In wider storms groups change their protocol under way, and topics are deleted and made anew; see
//! `group_storm`.
//!
//! One coordinator with the records it has stored stands for a partition of `__consumer_offsets`; requests and answers
//! take their time. A crash loses what is not stored, and keeps some of what is stored but not yet acknowledged. A
//! restart replays the records, compacted now and then. Checked are the promises that users build on:
//!
//! - within a generation, or an epoch, a partition has one owner;
//! - the epochs that a member of the new protocol is told do not go back;
//! - committed offsets never go back: nobody is told less than was acknowledged before the question, nor more than
//!   anybody wanted to commit, of this topic and not of one that had its name before;
//! - when the storm is over, every living member has its part within a bounded time, and the parts are everything;
//! - every request to a coordinator that lives is answered, once.

use std::collections::{BTreeMap, BTreeSet};

use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now, WallMs};
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{GroupAsk, GroupCommand};
use corelane_control::groups::consumer::record::ConsumerRecord;
use corelane_control::groups::coordinator::{GroupCoordinator, GroupCx};
use corelane_control::groups::effect::{CoordinatorRecord, GroupEffect, WriteId};
use corelane_control::groups::error::GroupError;
use corelane_control::groups::records;
use corelane_control::groups::settings::GroupSettings;
use corelane_control::image::ClusterImage;

use crate::group_member::{Member, Phase, Purpose};
use crate::group_topics::{GroupTopics, NAMES, Place, topic_name};
use crate::hash::StateHash;
use crate::trace::Trace;

/// The most members of a run, in all its groups.
const MEMBERS_MAX: u64 = 200;
/// What the wider storms are drawn from, beside the seed: those of old keep what they draw.
const WIDE: u64 = 0x31_de57_0a85;
pub(crate) const HEARTBEAT_MS: u64 = 2_000;
/// The longest session and rebalance timeouts of members.
pub(crate) const SESSION_MS_MAX: u64 = 20_000;
pub(crate) const REBALANCE_MS_MAX: u64 = 30_000;
/// How long after the storm everybody must have its part: a rebalance that waits for somebody who is gone, a session
/// that ends in the middle of it and starts another one, and the first rebalance's delay.
const CALM_MS: u64 = 3 * (SESSION_MS_MAX + REBALANCE_MS_MAX);

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupOutcome {
    /// Of everything that was answered and stored.
    pub hash: u64,
    /// Members that got their part.
    pub assigned: u64,
    /// Commits acknowledged.
    pub commits: u64,
    /// Offsets fetched and compared.
    pub fetched: u64,
    /// Heartbeats answered.
    pub heartbeats: u64,
    /// Requests refused.
    pub refused: u64,
    /// Members that crashed or left.
    pub departures: u64,
    /// Coordinators that crashed or failed to store.
    pub crashes: u64,
    /// Records replayed.
    pub replayed: u64,
    /// Processes that came back with another protocol.
    pub rolls: u64,
    /// Groups with members that were upgraded or downgraded.
    pub moves: u64,
    /// Topics that went or came.
    pub topic_changes: u64,
}

impl GroupOutcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &GroupOutcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.assigned += other.assigned;
        self.commits += other.commits;
        self.fetched += other.fetched;
        self.heartbeats += other.heartbeats;
        self.refused += other.refused;
        self.departures += other.departures;
        self.crashes += other.crashes;
        self.replayed += other.replayed;
        self.rolls += other.rolls;
        self.moves += other.moves;
        self.topic_changes += other.topic_changes;
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A request reaches the broker.
    Deliver(GroupAsk),
    /// An answer reaches the client.
    Answer(GroupAsk, GroupAnswer),
    /// A store ends well; of that coordinator.
    Stored(WriteId, u32),
    /// The coordinator has something to do; that coordinator.
    Timer(u32),
    /// The coordinator is loaded.
    Load,
    /// A member's process of that life sends a heartbeat, reads and commits.
    Tick(usize, u32),
    /// A member's process of that life joins.
    Join(usize, u32),
    /// A member's process starts.
    Start(usize),
    /// Something happens.
    Chaos,
    /// Something happens that only wider storms know.
    Upheaval,
    /// A member's process of that life ends, and the next one speaks the new protocol, or not.
    Roll(usize, u32, bool),
}

/// What a group's members speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GroupKind {
    /// The classic protocol.
    Classic,
    /// The new one.
    Consumer,
    /// Either, and another one after a restart.
    Mixed,
}

/// A request under way.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) member: usize,
    pub(crate) life: u32,
    pub(crate) purpose: Purpose,
    pub(crate) command: Option<GroupCommand>,
    /// A coordinator has it and owes an answer.
    pub(crate) owed: bool,
    /// When it was sent.
    pub(crate) sent_ms: u64,
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> GroupOutcome {
    let mut world = GroupWorld::new(seed, trace);
    let rounds = 1 + world.rng.below(3);
    for _ in 0..rounds {
        let storm_ms = 20_000 + world.rng.below(100_000);
        world.is_storm = true;
        world.at(0, Event::Chaos);
        if world.changes_topics || world.kinds.contains(&GroupKind::Mixed) {
            world.at(0, Event::Upheaval);
        }
        world.run_for(storm_ms);
        world.calm_down();
        world.run_for(CALM_MS);
        world.check_calm();
    }
    world.outcome.hash = world.hash.value();
    world.outcome
}

/// A coordinator, its log, its clients.
#[derive(Debug)]
pub(crate) struct GroupWorld {
    pub(crate) rng: Rng,
    pub(crate) trace: Trace,
    pub(crate) hash: StateHash,
    pub(crate) outcome: GroupOutcome,
    pub(crate) now_ms: u64,
    pub(crate) events: BTreeMap<(u64, u64), Event>,
    pub(crate) event_count: u64,
    pub(crate) image: ClusterImage,
    pub(crate) topics: GroupTopics,
    pub(crate) settings: GroupSettings,
    pub(crate) coordinator: Option<GroupCoordinator>,
    pub(crate) incarnation: u32,
    /// What is stored, in order.
    pub(crate) log: Vec<CoordinatorRecord>,
    /// What is being stored.
    pub(crate) storing: BTreeMap<WriteId, Vec<CoordinatorRecord>>,
    /// When the last store ends: they end in order.
    pub(crate) stored_ms: u64,
    pub(crate) timer_ms: Option<u64>,
    pub(crate) members: Vec<Member>,
    pub(crate) asked: BTreeMap<GroupAsk, Asked>,
    pub(crate) next_ask: u64,
    /// Who owns each partition in each generation of each group.
    pub(crate) owners: BTreeMap<(usize, i32, Place), String>,
    /// What has been acknowledged or told, per group.
    pub(crate) floors: BTreeMap<(usize, Place), i64>,
    /// The most that anybody has wanted to commit, per group: nobody is told more.
    pub(crate) ceilings: BTreeMap<(usize, Place), i64>,
    /// The generation or epoch of each group that was stored last.
    pub(crate) generations: BTreeMap<String, i32>,
    pub(crate) kinds: Vec<GroupKind>,
    /// Topics are deleted and made anew.
    pub(crate) changes_topics: bool,
    /// When a name last got another topic.
    pub(crate) created_ms: u64,
    /// Topics that may have inherited offsets.
    pub(crate) heirs: BTreeSet<usize>,
    /// What the wider storms draw from.
    pub(crate) wide: Rng,
    pub(crate) is_storm: bool,
}

impl GroupWorld {
    fn new(seed: u64, trace: Trace) -> GroupWorld {
        let mut rng = Rng::new(seed);
        let mut image = ClusterImage::new();
        let topics = GroupTopics::new(&mut image);
        let settings = GroupSettings {
            initial_rebalance_delay_ms: [0, 500, 3_000][rng.below(3) as usize],
            session_timeout_ms_min: 1_000,
            offsets_retention_check_ms: 30_000,
            consumer_session_timeout_ms: 12_000,
            consumer_heartbeat_interval_ms: HEARTBEAT_MS as i32,
            consumer_assignment_interval_ms: [0, 1_000][rng.below(2) as usize],
            ..GroupSettings::default()
        };
        let member_count = if rng.one_in(2) { MEMBERS_MAX } else { 1 + rng.below(40) };
        let group_count = 1 + rng.below(4) as usize;
        let mut kinds: Vec<GroupKind> = (0..group_count)
            .map(|_| if rng.one_in(2) { GroupKind::Consumer } else { GroupKind::Classic })
            .collect();
        let members = (0..member_count as usize).map(|number| draw_member(number, &kinds, &mut rng));
        let mut members: Vec<Member> = members.collect();
        let mut wide = Rng::new(seed ^ WIDE);
        let changes_topics = widen(&mut kinds, &mut members, &mut wide);
        let mut world = GroupWorld {
            rng,
            trace,
            hash: StateHash::default(),
            outcome: GroupOutcome::default(),
            now_ms: 1_000,
            events: BTreeMap::new(),
            event_count: 0,
            image,
            topics,
            settings,
            coordinator: None,
            incarnation: 0,
            log: Vec::new(),
            storing: BTreeMap::new(),
            stored_ms: 0,
            timer_ms: None,
            members,
            asked: BTreeMap::new(),
            next_ask: 0,
            owners: BTreeMap::new(),
            floors: BTreeMap::new(),
            ceilings: BTreeMap::new(),
            generations: BTreeMap::new(),
            kinds,
            changes_topics,
            wide,
            created_ms: 0,
            heirs: BTreeSet::new(),
            is_storm: true,
        };
        world.at(0, Event::Load);
        for number in 0..world.members.len() {
            let delay = world.rng.below(20_000);
            world.at(delay, Event::Start(number));
        }
        world
    }

    pub(crate) fn at(&mut self, delay_ms: u64, event: Event) {
        self.event_count += 1;
        self.events.insert((self.now_ms + delay_ms, self.event_count), event);
    }

    fn run_for(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= end) {
            self.now_ms = next.key().0;
            let event = next.remove();
            self.take(event);
        }
        self.now_ms = end;
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Deliver(ask) => self.deliver(ask),
            Event::Answer(ask, answer) => self.answered(ask, answer),
            Event::Stored(write, incarnation) if incarnation == self.incarnation => self.stored(write),
            Event::Timer(incarnation) if incarnation == self.incarnation => {
                self.timer_ms = None;
                self.with(|coordinator, cx| coordinator.on_timer(cx));
            }
            Event::Stored(..) | Event::Timer(_) => {}
            Event::Load => self.load(),
            Event::Tick(number, life) if self.members[number].life == life => self.tick(number),
            Event::Join(number, life) if self.members[number].life == life => {
                let member = &self.members[number];
                if member.phase == Phase::Out && member.commits && !member.is_consumer {
                    // What it wanted to commit goes first: all of a client's requests take one way.
                    self.at(1, Event::Join(number, life));
                } else if member.phase == Phase::Out {
                    self.send(number, Purpose::Join);
                }
            }
            Event::Tick(..) | Event::Join(..) => {}
            Event::Start(number) => self.start(number),
            Event::Chaos => self.chaos(),
            Event::Upheaval => self.upheaval(),
            Event::Roll(number, life, is_consumer) => {
                if self.members[number].life == life {
                    self.roll(number, is_consumer);
                }
            }
        }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.now_ms * 1_000_000), wall: WallMs(1_700_000_000_000 + self.now_ms as i64) }
    }

    // The coordinator.

    pub(crate) fn with(&mut self, step: impl FnOnce(&mut GroupCoordinator, &mut GroupCx<'_>)) {
        let now = self.now();
        let Some(coordinator) = &mut self.coordinator else { return };
        step(coordinator, &mut GroupCx { now, image: &self.image, rng: &mut self.rng });
        if self.rng.one_in(16) {
            coordinator.check_invariants();
        }
        self.carry_out();
    }

    /// Takes the coordinator's wishes, and looks when it next has something to do.
    fn carry_out(&mut self) {
        let Some(coordinator) = &mut self.coordinator else { return };
        let effects: Vec<GroupEffect> = coordinator.out.drain(..).collect();
        let deadline = coordinator.next_deadline().map(|at| at.0.div_ceil(1_000_000));
        for effect in effects {
            match effect {
                GroupEffect::Store { write, records } => {
                    self.storing.insert(write, records);
                    self.stored_ms = self.stored_ms.max(self.now_ms) + self.rng.below(3);
                    let delay = self.stored_ms - self.now_ms;
                    self.at(delay, Event::Stored(write, self.incarnation));
                }
                GroupEffect::Answer { ask, answer } => {
                    let asked = self.asked.get_mut(&ask).expect("only what was asked is answered, once");
                    assert!(asked.owed, "a request is answered once");
                    asked.owed = false;
                    let delay = self.rng.below(5);
                    self.at(delay, Event::Answer(ask, answer));
                }
            }
        }
        if let Some(deadline) = deadline.filter(|at| self.timer_ms.is_none_or(|timer| *at < timer)) {
            self.timer_ms = Some(deadline);
            self.at(deadline.saturating_sub(self.now_ms), Event::Timer(self.incarnation));
        }
    }

    fn stored(&mut self, write: WriteId) {
        let records = self.storing.remove(&write).expect("a store ends once");
        if self.is_storm && self.rng.one_in(2_000) {
            self.trace.line(|| format!("{} store fails", self.now_ms));
            // The host drops a coordinator that could not store and loads another one.
            self.with(|coordinator, _| coordinator.stored(write, Err(GroupError::CoordinatorNotAvailable)));
            return self.crash(false);
        }
        self.append(records);
        self.with(|coordinator, _| coordinator.stored(write, Ok(())));
    }

    fn append(&mut self, records: Vec<CoordinatorRecord>) {
        let mut over: BTreeMap<String, i32> = BTreeMap::new();
        for record in &records {
            self.hash.bytes(&record.key);
            self.hash.bytes(record.value.as_deref().unwrap_or_default());
            match generation_of(record) {
                Some((group, Some(generation))) => {
                    // A group that changes its kind goes on with its generations.
                    let goes_on = over.get(&group).is_some_and(|before| generation >= *before);
                    if goes_on {
                        over.remove(&group);
                        self.outcome.moves += 1;
                    }
                    self.generations.insert(group, generation);
                }
                Some((group, None)) => {
                    let before = self.generations.get(&group).copied().unwrap_or_default();
                    over.insert(group, before);
                }
                None => {}
            }
        }
        // A group that is forgotten, or has had no members, begins again.
        self.owners.retain(|(group, ..), _| !over.contains_key(&format!("group-{group}")));
        self.log.extend(records);
    }

    /// The coordinator is gone; what was being stored may be there nevertheless, but not without what was before it.
    pub(crate) fn crash(&mut self, keeps_some: bool) {
        self.outcome.crashes += 1;
        // The tombstones of a topic's offsets may be lost; records do not say of which topic of a name an offset is.
        if self.created_ms + 1_000 > self.now_ms {
            self.heirs.extend(self.topics.living().into_iter().flatten());
        }
        let kept = if keeps_some { self.rng.below(self.storing.len() as u64 + 1) as usize } else { 0 };
        let storing = core::mem::take(&mut self.storing);
        self.append(storing.into_values().take(kept).flatten().collect());
        self.coordinator = None;
        self.incarnation += 1;
        self.timer_ms = None;
        let lost: Vec<GroupAsk> =
            self.asked.iter().filter(|(_, asked)| asked.owed).map(|(ask, _)| *ask).collect();
        for ask in lost {
            self.asked.get_mut(&ask).expect("it was just seen").owed = false;
            let delay = self.rng.below(200);
            self.at(delay, Event::Answer(ask, GroupAnswer::Refused(GroupError::NotCoordinator)));
        }
        let delay = self.rng.below(4_000);
        self.at(delay, Event::Load);
    }

    fn load(&mut self) {
        if self.coordinator.is_some() {
            return;
        }
        if self.rng.one_in(3) {
            self.log = compacted(&self.log);
        }
        let mut coordinator = GroupCoordinator::new(self.settings.clone());
        for record in &self.log {
            coordinator.replay(&record.key, record.value.as_deref()).expect("what was written is read");
        }
        self.outcome.replayed += self.log.len() as u64;
        self.trace.line(|| format!("{} loaded {} records", self.now_ms, self.log.len()));
        self.check_floors(&coordinator);
        self.coordinator = Some(coordinator);
        self.with(|coordinator, cx| coordinator.loaded(cx));
    }

    /// What was acknowledged is there.
    pub(crate) fn check_floors(&self, coordinator: &GroupCoordinator) {
        let known = |((_, (topic, _)), floor): &(&(usize, Place), &i64)| {
            **floor >= 0 && self.topics.is_living(*topic)
        };
        for (&(group, (topic, partition)), &floor) in self.floors.iter().filter(known) {
            let slot = coordinator.group(&format!("group-{group}")).expect("a group with offsets is kept");
            let index = corelane_base::id::PartitionIndex(partition);
            let name = topic_name(self.topics.name_of(topic));
            let stored = slot.offsets.get(&name, index).map_or(-1, |offset| offset.offset);
            assert!(
                stored >= floor,
                "group {group} was told {floor} of {topic}-{partition}, stored is {stored}"
            );
        }
    }

    fn deliver(&mut self, ask: GroupAsk) {
        let asked = self.asked.get_mut(&ask).expect("requests arrive once");
        let command = asked.command.take().expect("requests arrive once");
        if self.coordinator.is_none() {
            let delay = self.rng.below(5);
            let answer = GroupAnswer::Refused(GroupError::CoordinatorLoadInProgress);
            return self.at(delay, Event::Answer(ask, answer));
        }
        asked.owed = true;
        self.with(|coordinator, cx| coordinator.handle(ask, command, cx));
    }
}

fn draw_member(number: usize, kinds: &[GroupKind], rng: &mut Rng) -> Member {
    let group = rng.below(kinds.len() as u64) as usize;
    let mut topics: Vec<usize> = (0..NAMES).filter(|_| rng.one_in(2)).collect();
    if topics.is_empty() {
        topics.push(rng.below(NAMES as u64) as usize);
    }
    let mut member = Member::new(number, group, topics);
    member.is_consumer = kinds[group] == GroupKind::Consumer;
    member.session_ms = 5_000 + rng.below(SESSION_MS_MAX - 5_000) as i32;
    member.rebalance_ms = 5_000 + rng.below(REBALANCE_MS_MAX - 5_000) as i32;
    member.is_new_client = !rng.one_in(4);
    if rng.one_in(4) {
        // Now and then two processes claim to be the same member.
        member.instance_id = Some(format!("static{}", number - number % (1 + rng.below(2) as usize)));
    }
    member
}

/// Makes a wider storm of most: some groups are mixed, and in half of the runs topics change, which is returned.
fn widen(kinds: &mut [GroupKind], members: &mut [Member], wide: &mut Rng) -> bool {
    let is_wide = !wide.one_in(4);
    let changes_topics = is_wide && wide.one_in(2);
    for kind in kinds.iter_mut().filter(|_| is_wide) {
        if wide.one_in(2) {
            *kind = GroupKind::Mixed;
        }
    }
    for member in members.iter_mut().filter(|member| kinds[member.group] == GroupKind::Mixed) {
        member.is_consumer = wide.one_in(2);
    }
    align_subscriptions(members, kinds);
    if changes_topics {
        members.iter_mut().for_each(|member| be_watchful(member, kinds[member.group]));
    }
    changes_topics
}

/// Processes that are one static member of a group that is, or may be, classic subscribe to the same topics. A stable group takes over a
/// static member that comes back without a rebalance, whatever it subscribes to by then, as Kafka does
/// (`GroupMetadataManager.updateStaticMemberThenRebalanceOrCompleteJoin`): nobody would be given the partitions of a
/// topic that only the new process wants until something else starts a rebalance.
fn align_subscriptions(members: &mut [Member], kinds: &[GroupKind]) {
    let mut first: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for member in members.iter_mut().filter(|member| kinds[member.group] != GroupKind::Consumer) {
        if let Some(instance_id) = member.instance_id.clone() {
            let topics = first.entry((member.group, instance_id)).or_insert_with(|| member.topics.clone());
            member.topics.clone_from(topics);
        }
    }
}

/// Makes a member one of those that notice changed topics. In a classic group that is the leader's duty, and two kinds of
/// members do not know that it is theirs, with Kafka's coordinator as with ours: a static leader that comes back and
/// speaks no version that says so (KIP-814), and whoever leads a group that became classic because a static member came
/// back with the old protocol, which is not rebalanced.
fn be_watchful(member: &mut Member, kind: GroupKind) {
    member.is_new_client |= member.instance_id.is_some();
    if kind == GroupKind::Mixed {
        member.instance_id = None;
    }
}

/// Of a group's own record: which group, and its generation or epoch. `None` in its place: the group is gone.
fn generation_of(record: &CoordinatorRecord) -> Option<(String, Option<i32>)> {
    let text = |id: &[u8]| String::from_utf8(id.to_vec()).expect("our own id");
    let value = record.value.as_deref();
    if let Some(id) = record.key.strip_prefix(&[0, 2, 0, 7]) {
        let group = value.map(|value| records::read_group(value).expect("what was written is read"));
        return Some((text(id), group.map(|group| group.generation)));
    }
    let id = record.key.strip_prefix(&[0, 3, 0, 7])?;
    match ConsumerRecord::decode(&record.key, value).expect("what was written is read").1 {
        ConsumerRecord::Group(group) => Some((text(id), group.map(|group| group.epoch))),
        other => panic!("{other:?} under the key of a group"),
    }
}

/// The records that compaction leaves: the last of each key, tombstones only if they are young.
fn compacted(log: &[CoordinatorRecord]) -> Vec<CoordinatorRecord> {
    let mut last: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (at, record) in log.iter().enumerate() {
        last.insert(&record.key, at);
    }
    let young = log.len() - log.len() / 4;
    let is_kept = |at: usize, record: &CoordinatorRecord| {
        last[record.key.as_slice()] == at && (record.value.is_some() || at >= young)
    };
    let kept = log.iter().enumerate().filter(|(at, record)| is_kept(*at, record));
    kept.map(|(_, record)| record.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use corelane_control::groups::answer::{ConsumerHeartbeatAnswer, FetchedTopic};
    use corelane_control::groups::consumer::record::GroupEpoch;

    use super::*;

    /// A world whose coordinator does not matter, and whether `act` breaks a promise in it.
    fn is_caught(act: impl FnOnce(&mut GroupWorld)) -> bool {
        let mut world = GroupWorld::new(1, Trace::default());
        catch_unwind(AssertUnwindSafe(|| act(&mut world))).is_err()
    }

    #[test]
    fn broken_promises_are_noticed() {
        let place = (0, 5);
        let id = |world: &mut GroupWorld, number: usize, id: &str| {
            world.members[number].instance_id = None;
            world.members[number].member_id = id.into();
        };
        assert!(!is_caught(|world| {
            id(world, 0, "a");
            id(world, 1, "b");
            world.own(0, 0, 1, [place].into_iter());
            world.own(0, 0, 1, [place].into_iter());
            world.own(1, 0, 2, [place].into_iter());
        }));
        assert!(is_caught(|world| {
            id(world, 0, "a");
            id(world, 1, "b");
            world.own(0, 0, 1, [place].into_iter());
            world.own(1, 0, 1, [place].into_iter());
        }));
        let told = |world: &mut GroupWorld, offset: i64| {
            let partition = corelane_control::groups::answer::FetchedOffset {
                index: corelane_base::id::PartitionIndex(place.1),
                error: None,
                offset,
                leader_epoch: -1,
                metadata: String::new(),
            };
            let id = world.topics.id(place.0);
            let topic = FetchedTopic { name: String::new(), id, partitions: vec![partition] };
            world.check_fetched(0, &BTreeMap::from([(place, 7)]), &[topic]);
        };
        let told = |world: &mut GroupWorld, offset: i64| {
            world.ceilings.insert((0, place), 8);
            told(world, offset);
        };
        assert!(!is_caught(|world| told(world, 7)));
        assert!(!is_caught(|world| told(world, 8)));
        assert!(is_caught(|world| told(world, 6)), "a committed offset went back");
        assert!(is_caught(|world| told(world, 9)), "nobody has committed that");
        assert!(!is_caught(|world| {
            world.topics.delete(0, &mut world.image);
            told(world, -1);
        }));
        let epoch = |world: &mut GroupWorld, member_epoch: i32| {
            let answer = ConsumerHeartbeatAnswer {
                member_id: String::new(),
                member_epoch,
                heartbeat_interval_ms: 0,
                assignment: None,
            };
            world.consumer_told(0, &answer);
        };
        assert!(!is_caught(|world| [3, 3, 4].into_iter().for_each(|told| epoch(world, told))));
        assert!(is_caught(|world| [3, 2].into_iter().for_each(|told| epoch(world, told))));
        assert!(is_caught(|world| {
            world.floors.insert((0, place), 7);
            world.check_floors(&GroupCoordinator::new(GroupSettings::default()));
        }));
        assert!(is_caught(|world| {
            world.run_for(30_000);
            world.calm_down();
            world.run_for(CALM_MS);
            let member = world.members.iter_mut().find(|member| !member.owned.is_empty());
            member.expect("somebody reads").owned.pop_first();
            world.check_calm();
        }));
    }

    #[test]
    fn owners_are_kept_as_long_as_a_group_goes_on() {
        let is_kept = |after: Option<i32>| {
            let mut world = GroupWorld::new(1, Trace::default());
            let group = |epoch: i32| {
                let epoch = GroupEpoch { epoch, metadata_hash: 0 };
                ConsumerRecord::Group(Some(epoch)).encode("group-0")
            };
            world.append(vec![group(5)]);
            world.own(0, 0, 5, [(0, 5)].into_iter());
            let mut records = vec![ConsumerRecord::Group(None).encode("group-0")];
            records.extend(after.map(group));
            world.append(records);
            !world.owners.is_empty()
        };
        assert!(is_kept(Some(5)), "it has changed its kind");
        assert!(!is_kept(Some(1)), "it has begun again");
        assert!(!is_kept(None), "it is gone");
    }
}
