//! What disturbs the group storm, and what is asked of everybody when it is over.
//!
//! Wider storms have upheavals beside: a group's processes are restarted one by one and speak the other protocol from then
//! on, so that the group is upgraded or downgraded under way; and topics are deleted and made anew.

use std::collections::{BTreeMap, BTreeSet};

use crate::group_member::{Member, Phase, Purpose};
use crate::group_topics::{NAMES, PARTITION_COUNT, Place};
use crate::group_world::{Asked, Event, GroupKind, GroupWorld, SESSION_MS_MAX};

/// How far apart upheavals are, at most.
const UPHEAVAL_MS_MAX: u64 = 15_000;
/// How long it takes to restart all of a group's processes, at most.
const ROLL_MS_MAX: u64 = 20_000;

impl GroupWorld {
    pub(crate) fn chaos(&mut self) {
        if !self.is_storm {
            return;
        }
        let delay = 1 + self.rng.below(4_000);
        self.at(delay, Event::Chaos);
        let number = self.rng.below(self.members.len() as u64) as usize;
        match self.rng.below(20) {
            0..=5 => self.start(number),
            6..=9 => {
                if self.members[number].phase != Phase::Down {
                    self.trace.line(|| format!("{} m{number} crashes", self.now_ms));
                    self.outcome.departures += 1;
                    self.members[number].stop();
                    // A static member's next process is there before its session ends, or after.
                    let delay = self.rng.below(40_000);
                    self.at(delay, Event::Start(number));
                }
            }
            10..=14 => {
                if self.members[number].is_in() {
                    self.outcome.departures += 1;
                    self.send(number, Purpose::Leave);
                    self.members[number].stop();
                }
            }
            15..=17 => {
                let delay = self.rng.below(2 * SESSION_MS_MAX);
                self.members[number].stalled_until_ms = self.now_ms + delay;
            }
            18 => {
                if self.coordinator.is_some() && self.rng.one_in(2) {
                    self.trace.line(|| format!("{} the coordinator crashes", self.now_ms));
                    self.crash(true);
                }
            }
            _ => {
                // Members of one group start together.
                let group = self.members[number].group;
                let waiting: Vec<usize> =
                    (0..self.members.len()).filter(|&at| self.members[at].group == group).collect();
                waiting.into_iter().for_each(|at| self.start(at));
            }
        }
    }

    /// Something happens to a whole group, or to a topic.
    pub(crate) fn upheaval(&mut self) {
        let delay = 1 + self.wide.below(UPHEAVAL_MS_MAX);
        self.at(delay, Event::Upheaval);
        if self.changes_topics && self.wide.one_in(2) {
            return self.change_topic();
        }
        let group = self.wide.below(self.kinds.len() as u64) as usize;
        if self.kinds[group] != GroupKind::Mixed {
            return;
        }
        let is_consumer = self.wide.one_in(2);
        let span_ms = 1 + self.wide.below(ROLL_MS_MAX);
        self.trace.line(|| format!("{} group {group} moves, to consumers: {is_consumer}", self.now_ms));
        for number in 0..self.members.len() {
            let Member { group: theirs, life, is_consumer: before, .. } = self.members[number];
            if theirs == group && before != is_consumer {
                let delay = self.wide.below(span_ms);
                self.at(delay, Event::Roll(number, life, is_consumer));
            }
        }
    }

    /// A process ends, in order or not; the next one speaks the other protocol.
    pub(crate) fn roll(&mut self, number: usize, is_consumer: bool) {
        if self.members[number].is_in() && !self.wide.one_in(4) {
            self.send(number, Purpose::Leave);
        }
        let runs = self.members[number].phase != Phase::Down;
        self.members[number].stop();
        self.members[number].is_consumer = is_consumer;
        if runs {
            self.outcome.rolls += 1;
            let delay = self.wide.below(2_000);
            self.at(delay, Event::Start(number));
        }
    }

    /// A topic goes, comes, or goes and comes at once.
    fn change_topic(&mut self) {
        let name = self.wide.below(NAMES as u64) as usize;
        let was_there = self.topics.living()[name].is_some();
        if was_there {
            self.topics.delete(name, &mut self.image);
        }
        // A coordinator that comes back takes what is left of a topic for the next one's of that name.
        if (!was_there || self.wide.one_in(2)) && self.coordinator.is_some() {
            self.topics.create(name, &mut self.image);
            self.created_ms = self.now_ms;
        }
        self.outcome.topic_changes += 1;
        self.trace.line(|| format!("{} topics are {:?}", self.now_ms, self.topics.living()));
        // The coordinator hears of both at once, or of one after the other.
        self.with(|coordinator, cx| coordinator.on_topics_changed(cx));
    }

    pub(crate) fn calm_down(&mut self) {
        self.trace.line(|| format!("{} calm", self.now_ms));
        self.is_storm = false;
        self.members.iter_mut().for_each(|member| member.stalled_until_ms = 0);
        self.events.retain(|_, event| {
            !matches!(event, Event::Start(_) | Event::Chaos | Event::Upheaval | Event::Roll(..))
        });
    }

    /// Everybody alive has its part, and the parts are everything that anybody wants.
    pub(crate) fn check_calm(&mut self) {
        let coordinator = self.coordinator.as_ref().expect("a coordinator is loaded in time");
        coordinator.check_invariants();
        self.check_floors(coordinator);
        let living = self.topics.living();
        let mut owned: BTreeMap<usize, Vec<Place>> = BTreeMap::new();
        let mut wanted: BTreeMap<usize, BTreeSet<Place>> = BTreeMap::new();
        let mut generations: BTreeMap<usize, i32> = BTreeMap::new();
        for member in self.members.iter().filter(|member| member.phase != Phase::Down) {
            let Member { number, group, phase, .. } = member;
            assert_eq!(*phase, Phase::Reading, "m{number} of group {group} has its part in time");
            assert_eq!(member.target, None, "m{number} of group {group} has its part in time");
            let generation = generations.entry(*group).or_insert(member.generation);
            assert_eq!(*generation, member.generation, "m{number} is in the group's generation");
            owned.entry(*group).or_default().extend(member.owned.keys());
            let topics = member.topics.iter().filter_map(|name| living[*name]);
            let places =
                topics.flat_map(|topic| (0..PARTITION_COUNT).map(move |partition| (topic, partition)));
            wanted.entry(*group).or_default().extend(places);
        }
        for (group, mut places) in owned {
            places.sort_unstable();
            let wanted: Vec<Place> = wanted.remove(&group).unwrap_or_default().into_iter().collect();
            assert_eq!(places, wanted, "the parts of group {group} are everything, once");
        }
        // A second is more than any store takes.
        let is_forgotten = |asked: &&Asked| asked.owed && self.now_ms - asked.sent_ms > 1_000;
        let owed = self.asked.values().filter(is_forgotten).count();
        assert_eq!(owed, 0, "nothing is left without an answer");
    }
}
