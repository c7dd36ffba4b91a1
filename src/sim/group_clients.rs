//! The clients of the group storm: what they send, what they make of the answers, and what is checked of each answer.

use std::collections::{BTreeMap, BTreeSet};

use corelane_control::groups::answer::{ConsumerHeartbeatAnswer, FetchedTopic, GroupAnswer};
use corelane_control::groups::command::GroupAsk;
use corelane_control::groups::error::GroupError;

use crate::group_member::{Member, Phase, Purpose, Wish, refusal};
use crate::group_topics::Place;
use crate::group_wire::assigned;
use crate::group_world::{Asked, Event, GroupWorld, HEARTBEAT_MS, REBALANCE_MS_MAX};

impl GroupWorld {
    pub(crate) fn send(&mut self, number: usize, purpose: Purpose) {
        let member = &mut self.members[number];
        if let Purpose::Commit(positions) = &purpose {
            for (place, position) in positions {
                let ceiling = self.ceilings.entry((member.group, *place)).or_insert(-1);
                *ceiling = (*ceiling).max(*position);
            }
        }
        let command = member.request(&purpose, &self.topics);
        let (ask, sent_ms) = (GroupAsk(self.next_ask), self.now_ms);
        self.next_ask += 1;
        let asked = Asked {
            member: number,
            life: member.life,
            purpose,
            command: Some(command),
            owed: false,
            sent_ms,
        };
        self.asked.insert(ask, asked);
        let delay = self.rng.below(5);
        self.at(delay, Event::Deliver(ask));
    }

    pub(crate) fn start(&mut self, number: usize) {
        if self.members[number].phase == Phase::Down {
            self.members[number].start();
            self.send(number, Purpose::Join);
            let (delay, life) = (self.rng.below(HEARTBEAT_MS), self.members[number].life);
            self.at(delay, Event::Tick(number, life));
        }
    }

    /// Every now and then a process shows that it is alive, reads on and commits.
    pub(crate) fn tick(&mut self, number: usize) {
        let life = self.members[number].life;
        self.at(HEARTBEAT_MS, Event::Tick(number, life));
        if self.members[number].stalled_until_ms > self.now_ms {
            return;
        }
        if self.members[number].is_in() && !self.members[number].beats {
            self.send(number, Purpose::Beat);
        }
        if self.members[number].is_consumer {
            self.reconcile(number);
        }
        let member = &mut self.members[number];
        let is_reading = member.phase == Phase::Reading && !member.is_consumer;
        if is_reading && self.changes_topics && member.sees_other_topics(&self.topics.living()) {
            let wish = member.join_again();
            return self.grant(number, wish);
        }
        let member = &mut self.members[number];
        if member.phase == Phase::Reading && !member.owned.is_empty() && !member.commits {
            for position in member.owned.values_mut() {
                *position += self.rng.below(10) as i64;
            }
            if self.rng.one_in(3) {
                let positions = member.owned.clone();
                self.send(number, Purpose::Commit(positions));
            }
        }
    }

    pub(crate) fn answered(&mut self, ask: GroupAsk, answer: GroupAnswer) {
        let asked = self.asked.remove(&ask).expect("a request is answered once");
        self.hash.word(ask.0);
        let error = refusal(&answer);
        self.hash.word(error.map_or(0, |error| error.code() as u64));
        self.outcome.refused += u64::from(error.is_some());
        if let (Purpose::Commit(positions), None) = (&asked.purpose, error) {
            // Acknowledged, whether or not anybody is left to hear it.
            self.outcome.commits += 1;
            let group = self.members[asked.member].group;
            for (place, position) in positions {
                let floor = self.floors.entry((group, *place)).or_insert(-1);
                *floor = (*floor).max(*position);
            }
        }
        let member = &mut self.members[asked.member];
        if member.life != asked.life {
            return;
        }
        if member.is_consumer {
            return self.consumer_answered(asked.member, asked.purpose, answer);
        }
        let wish = match (asked.purpose, answer) {
            (Purpose::Join, GroupAnswer::Join(joined)) if member.phase == Phase::Joining => {
                member.on_joined(*joined)
            }
            (Purpose::Join, _) if member.phase == Phase::Joining => {
                member.phase = Phase::Out;
                Wish::JoinSoon
            }
            (Purpose::Sync, GroupAnswer::Sync(synced)) if member.phase == Phase::Syncing => match error {
                Some(error) => member.on_error(error),
                None => return self.assigned(asked.member, &synced.assignment),
            },
            (Purpose::Fetch(floors), GroupAnswer::Fetch(Ok(topics))) if member.phase == Phase::Fetching => {
                return self.fetched(asked.member, &floors, &topics);
            }
            (Purpose::Commit(_), _) => {
                member.commits = false;
                Wish::Nothing
            }
            (Purpose::Beat, _) if error.is_none() => {
                self.outcome.heartbeats += 1;
                Wish::Nothing
            }
            (Purpose::Leave, _) => Wish::Nothing,
            (Purpose::Beat | Purpose::Sync | Purpose::Fetch(_), _) if member.is_in() => {
                on_trouble(member, error.unwrap_or(GroupError::NotCoordinator))
            }
            _ => Wish::Nothing,
        };
        self.grant(asked.member, wish);
    }

    pub(crate) fn grant(&mut self, number: usize, wish: Wish) {
        match wish {
            Wish::Nothing => {}
            Wish::Send(purpose) => self.send(number, purpose),
            Wish::JoinSoon => {
                let member = &self.members[number];
                let life = member.life;
                // Now and then a member is too slow for the rebalance.
                let slow = self.is_storm && self.rng.one_in(20);
                let delay = if slow { self.rng.below(2 * REBALANCE_MS_MAX) } else { self.rng.below(300) };
                self.at(delay, Event::Join(number, life));
            }
        }
    }

    /// A member has its part: nobody else has any of it in this generation.
    pub(crate) fn assigned(&mut self, number: usize, assignment: &[u8]) {
        self.outcome.assigned += 1;
        let member = &mut self.members[number];
        let (group, generation) = (member.group, member.generation);
        let places = assigned(assignment, &self.topics.living());
        self.trace.line(|| format!("{} m{number} has {places:?} in {generation}", self.now_ms));
        self.own(number, group, generation, places.iter().copied());
        let member = &mut self.members[number];
        member.owned = places.iter().map(|place| (*place, 0)).collect();
        if places.is_empty() {
            member.phase = Phase::Reading;
            return;
        }
        member.phase = Phase::Fetching;
        let floor = |place: &Place| self.floors.get(&(group, *place)).copied().unwrap_or(-1);
        let floors = places.iter().map(|place| (*place, floor(place))).collect();
        self.send(number, Purpose::Fetch(floors));
    }

    pub(crate) fn fetched(&mut self, number: usize, floors: &BTreeMap<Place, i64>, topics: &[FetchedTopic]) {
        let group = self.members[number].group;
        let offsets = self.check_fetched(group, floors, topics);
        let member = &mut self.members[number];
        if member.owned.keys().all(|place| floors.contains_key(place)) {
            member.on_fetched(&offsets);
        }
    }

    /// Nobody else has any of these in this generation.
    pub(crate) fn own(
        &mut self,
        number: usize,
        group: usize,
        generation: i32,
        places: impl Iterator<Item = Place>,
    ) {
        let identity = self.members[number].identity();
        for place in places {
            let key = (group, generation, place);
            let owner = self.owners.entry(key).or_insert_with(|| identity.clone());
            assert_eq!(*owner, identity, "{key:?} has one owner");
        }
    }

    /// Nobody is told less than was known when it asked.
    pub(crate) fn check_fetched(
        &mut self,
        group: usize,
        floors: &BTreeMap<Place, i64>,
        topics: &[FetchedTopic],
    ) -> BTreeMap<Place, i64> {
        let mut offsets = BTreeMap::new();
        for topic in topics {
            let number = self.topics.number_of(topic.id);
            for partition in &topic.partitions {
                let is_gone = !self.topics.is_living(number);
                assert!(partition.error.is_none() || is_gone, "{:?} of topic {number}", partition.error);
                offsets.insert((number, partition.index.0), partition.offset);
            }
        }
        assert_eq!(offsets.len(), floors.len(), "everything asked for is answered");
        for (place, floor) in floors.iter().filter(|(place, _)| self.topics.is_living(place.0)) {
            self.outcome.fetched += 1;
            let told = offsets[place];
            assert!(told >= *floor, "group {group} was told {floor} of {place:?} before, now {told}");
            let ceiling = self.ceilings.get(&(group, *place)).copied().unwrap_or(-1);
            let is_heir = self.heirs.contains(&place.0);
            assert!(
                told <= ceiling || is_heir,
                "group {group} is told {told} of {place:?}, of which it read {ceiling}"
            );
            let known = self.floors.entry((group, *place)).or_insert(-1);
            *known = (*known).max(told);
        }
        offsets
    }

    // Members of consumer groups.

    pub(crate) fn consumer_answered(&mut self, number: usize, purpose: Purpose, answer: GroupAnswer) {
        let member = &mut self.members[number];
        match (purpose, answer) {
            (Purpose::Commit(_), _) => {
                member.commits = false;
                self.reconcile(number);
            }
            (Purpose::Fetch(floors), answer) => {
                member.fetches = false;
                if let GroupAnswer::Fetch(Ok(topics)) = answer {
                    self.consumer_fetched(number, &floors, &topics);
                }
            }
            (purpose @ (Purpose::Join | Purpose::Beat), answer) => {
                member.beats = false;
                match answer {
                    GroupAnswer::ConsumerHeartbeat(Ok(answer)) => self.consumer_told(number, &answer),
                    GroupAnswer::ConsumerHeartbeat(Err(refusal)) => {
                        self.consumer_refused(number, &purpose, refusal.error);
                    }
                    _ => self.consumer_refused(number, &purpose, GroupError::NotCoordinator),
                }
            }
            _ => {}
        }
    }

    pub(crate) fn consumer_refused(&mut self, number: usize, purpose: &Purpose, error: GroupError) {
        let member = &mut self.members[number];
        match error {
            GroupError::FencedInstanceId | GroupError::UnreleasedInstanceId => {
                // Fatal for a client; whoever runs it starts it again.
                member.stop();
                if self.is_storm {
                    self.at(HEARTBEAT_MS, Event::Start(number));
                }
            }
            GroupError::FencedMemberEpoch | GroupError::UnknownMemberId | GroupError::GroupIdNotFound => {
                member.start_again();
                let (life, delay) = (member.life, self.rng.below(300));
                self.at(delay, Event::Join(number, life));
                self.at(delay + HEARTBEAT_MS, Event::Tick(number, life));
            }
            _ => {
                member.says_all = true;
                if *purpose == Purpose::Join {
                    member.phase = Phase::Out;
                    self.grant(number, Wish::JoinSoon);
                }
            }
        }
    }

    pub(crate) fn consumer_told(&mut self, number: usize, answer: &ConsumerHeartbeatAnswer) {
        self.outcome.heartbeats += 1;
        let member = &mut self.members[number];
        member.phase = Phase::Reading;
        member.says_all = false;
        let (before, epoch) = (member.generation, answer.member_epoch);
        assert!(epoch >= before, "m{number} goes back from epoch {before} to {epoch}");
        member.generation = epoch;
        let Some(assignment) = &answer.assignment else { return };
        self.outcome.assigned += 1;
        let topics = &self.topics;
        let places = assignment.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |partition| (topics.number_of(topic.topic_id), partition.0))
        });
        let places: BTreeSet<Place> = places.collect();
        self.trace
            .line(|| format!("{} m{number} is to have {places:?} in {}", self.now_ms, answer.member_epoch));
        let group = self.members[number].group;
        self.own(number, group, answer.member_epoch, places.iter().copied());
        self.members[number].target = Some(places);
        self.reconcile(number);
    }

    /// Goes a step towards what the member is to own: gives up what it shall not have, and asks where to go on with
    /// what is new.
    pub(crate) fn reconcile(&mut self, number: usize) {
        let member = &mut self.members[number];
        let Some(target) = member.target.clone().filter(|_| !member.commits && !member.fetches) else {
            return;
        };
        member.owned.retain(|place, _| target.contains(place));
        let new: Vec<Place> =
            target.iter().filter(|place| !member.owned.contains_key(place)).copied().collect();
        if new.is_empty() {
            member.target = None;
            return;
        }
        member.fetches = true;
        let group = member.group;
        let floor = |place: &Place| self.floors.get(&(group, *place)).copied().unwrap_or(-1);
        let floors = new.iter().map(|place| (*place, floor(place))).collect();
        self.send(number, Purpose::Fetch(floors));
    }

    pub(crate) fn consumer_fetched(
        &mut self,
        number: usize,
        floors: &BTreeMap<Place, i64>,
        topics: &[FetchedTopic],
    ) {
        let offsets = self.check_fetched(self.members[number].group, floors, topics);
        let member = &mut self.members[number];
        if let Some(target) = &member.target {
            for (place, offset) in offsets.into_iter().filter(|(place, _)| target.contains(place)) {
                member.owned.insert(place, offset.max(0));
            }
        }
        self.reconcile(number);
    }
}

/// What a member does when a heartbeat or the like is refused.
fn on_trouble(member: &mut Member, error: GroupError) -> Wish {
    match error {
        // The coordinator moved or is loading: the membership is none the worse for it.
        GroupError::NotCoordinator
        | GroupError::CoordinatorLoadInProgress
        | GroupError::CoordinatorNotAvailable
            if member.phase == Phase::Reading =>
        {
            Wish::Nothing
        }
        error => member.on_error(error),
    }
}
