//! Members come, go, change their minds, fall silent, lose answers and give up partitions late; topics grow; the
//! coordinator starts again. Whatever happens, nobody reads what another one reads, epochs do not go back, and when
//! the storm is over everybody has what it shall have after a few heartbeats.
//!
//! More seeds by hand: `CORELANE_GROUP_SEEDS=20000 cargo test -p corelane-control storms_end`, from the one in
//! `CORELANE_GROUP_SEED_FIRST` on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::rng::Rng;

use crate::groups::bytes::RecordWriter;
use crate::groups::command::{
    Client, ConsumerHeartbeat, Heartbeat, JoinGroup, JoinProtocol, SyncGroup, TopicPartitions,
};
use crate::groups::consumer::embedded;
use crate::groups::consumer::rig_test::{Rig, alive, joining, topic_id};
use crate::groups::consumer::topic_regex::TopicRegex;
use crate::groups::error::GroupError;
use crate::groups::settings::{Assignor, MigrationPolicy};
use crate::image::Topic;

const TOPICS: [&str; 4] = ["a", "b", "ab", "c"];
/// So many heartbeats of each member are enough to settle: one to learn of the epoch, one to have given up, and the
/// same again for those who wait, with room for two changes of mind of the group.
const ROUNDS_MAX: usize = 10;

type Partitions = BTreeSet<(TopicId, i32)>;

/// Which protocol a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Modern,
    Cooperative,
    Eager,
}

/// A consumer.
#[derive(Clone, Debug)]
struct Process {
    kind: Kind,
    id: String,
    instance_id: Option<String>,
    /// It has an epoch or generation.
    joined: bool,
    epoch: i32,
    /// What it reads.
    owned: Partitions,
    /// What it was told to read and does not yet.
    told: Option<Partitions>,
    topics: Vec<String>,
    regex: Option<String>,
    /// The coordinator knows this subscription.
    said: bool,
    /// A classic one joined and has still to fetch its assignment.
    must_sync: bool,
    silent: bool,
    /// The coordinator has dropped it while it read something, and it has not noticed yet: a classic one that joins
    /// again under its old id goes on reading until it has fetched its assignment.
    zombie: bool,
}

fn partitions_of(list: &[TopicPartitions]) -> Partitions {
    list.iter().flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, p.0))).collect()
}

fn by_topic(partitions: &Partitions) -> BTreeMap<TopicId, Vec<i32>> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    partitions.iter().for_each(|&(topic, partition)| topics.entry(topic).or_default().push(partition));
    topics
}

fn reported(partitions: &Partitions) -> Vec<TopicPartitions> {
    let topics = by_topic(partitions).into_iter();
    topics
        .map(|(topic_id, list)| TopicPartitions {
            topic_id,
            partitions: list.into_iter().map(PartitionIndex).collect(),
        })
        .collect()
}

impl Process {
    fn forget(&mut self) {
        self.joined = false;
        self.must_sync = false;
        self.zombie = false;
        self.owned.clear();
        self.told = None;
        self.said = false;
    }

    /// Begins to read what it was told, and stops reading the rest.
    fn follow(&mut self) {
        if let Some(told) = self.told.take() {
            self.owned = told;
        }
    }

    fn beat(&mut self, rig: &mut Rig, lost: bool) {
        if self.kind != Kind::Modern {
            return self.beat_classic(rig, lost);
        }
        // After a change, and after an answer that was lost, everything is said.
        let request = ConsumerHeartbeat {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            rebalance_timeout_ms: if self.said { -1 } else { 10_000 },
            subscribed_topic_names: (!self.said).then(|| self.topics.clone()),
            subscribed_topic_regex: (!self.said).then(|| self.regex.clone().unwrap_or_default()),
            topic_partitions: Some(reported(&self.owned)),
            ..if self.joined { alive("", self.epoch) } else { joining("", &[]) }
        };
        let answer = rig.heartbeat(&request);
        if lost {
            // It asks again with everything. What the answer before gave it does not begin to read now: the lost one may
            // have taken it away. (Real clients may, until their next heartbeat; the protocol does not prevent that.)
            self.said = false;
            self.told = None;
            return;
        }
        match answer {
            Ok(answer) => {
                self.joined = true;
                self.said = true;
                self.epoch = answer.member_epoch;
                self.told = answer.assignment.as_deref().map(partitions_of).or(self.told.take());
            }
            Err(refusal) => match refusal.error {
                GroupError::FencedMemberEpoch | GroupError::UnknownMemberId => self.forget(),
                GroupError::UnreleasedInstanceId => {}
                GroupError::FencedInstanceId => {
                    self.forget();
                    self.silent = true;
                }
                other => panic!("{other:?}: {}", refusal.message),
            },
        }
    }

    fn subscription(&self, rig: &Rig) -> Arc<[u8]> {
        let mut writer = RecordWriter::new(1);
        writer.count(self.topics.len());
        self.topics.iter().for_each(|topic| writer.string(topic));
        writer.i32(-1);
        let owned = by_topic(&self.owned);
        let owned: Vec<_> =
            owned.iter().filter_map(|(topic, list)| Some((rig.image.topic_by_id(*topic)?, list))).collect();
        writer.count(owned.len());
        for (topic, list) in owned {
            writer.string(&topic.name);
            writer.count(list.len());
            list.iter().for_each(|&partition| writer.i32(partition));
        }
        writer.0.into()
    }

    fn beat_classic(&mut self, rig: &mut Rig, lost: bool) {
        if !self.joined {
            return self.join_classic(rig, lost);
        }
        if self.must_sync {
            return self.sync_classic(rig, lost);
        }
        let beat = Heartbeat {
            group: "g".into(),
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.epoch,
        };
        match rig.step(|group, turn| group.classic_heartbeat(&beat, turn)) {
            _ if lost => {}
            Ok(()) if self.said => {}
            Ok(()) | Err(GroupError::RebalanceInProgress) => self.joined = false,
            Err(GroupError::IllegalGeneration) => self.forget(),
            Err(_) => {
                self.forget();
                self.id.clear();
            }
        }
    }

    fn join_classic(&mut self, rig: &mut Rig, lost: bool) {
        if self.kind == Kind::Eager {
            self.owned.clear();
        }
        let metadata = self.subscription(rig);
        let request = JoinGroup {
            group: "g".into(),
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client: Client::default(),
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 20_000,
            protocol_type: "consumer".into(),
            protocols: vec![JoinProtocol { name: "range".into(), metadata }],
            reason: None,
            member_id_required: true,
            skip_assignment: false,
        };
        let (joined, moved) = rig.step(|group, turn| group.join(&request, turn));
        assert_eq!(moved, None, "this group may not become a classic one");
        match joined.error {
            _ if lost => {}
            None => {
                self.id = joined.member_id;
                self.epoch = joined.generation;
                self.joined = true;
                self.said = true;
                self.must_sync = true;
            }
            Some(GroupError::MemberIdRequired) => self.id = joined.member_id,
            Some(GroupError::UnknownMemberId) => {
                self.forget();
                self.id.clear();
            }
            Some(GroupError::FencedInstanceId) => {
                self.forget();
                self.silent = true;
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn sync_classic(&mut self, rig: &mut Rig, lost: bool) {
        let request = SyncGroup {
            group: "g".into(),
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.epoch,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments: Vec::new(),
        };
        match rig.step(|group, turn| group.sync(&request, turn)) {
            _ if lost => {}
            Ok(synced) => {
                let given = embedded::decode_assignment(&synced.assignment).unwrap();
                let given = given
                    .partitions
                    .iter()
                    .flat_map(|(topic, list)| list.iter().map(|&partition| (topic_id(topic), partition)));
                let given: Partitions = given.collect();
                // Who had to give something up joins again at once.
                self.joined = self.owned.is_subset(&given);
                self.owned = given;
                self.zombie = false;
                self.must_sync = false;
            }
            Err(GroupError::RebalanceInProgress) => {
                self.joined = false;
                self.must_sync = false;
            }
            Err(GroupError::IllegalGeneration) => self.forget(),
            Err(_) => {
                self.forget();
                self.id.clear();
            }
        }
    }

    /// Leaves in order; a static one for a while, if it is lucky.
    fn leave(&mut self, rig: &mut Rig, for_good: bool) {
        if self.kind == Kind::Modern && self.joined {
            let epoch = if self.instance_id.is_some() && !for_good { -2 } else { -1 };
            let request =
                ConsumerHeartbeat { instance_id: self.instance_id.clone(), ..alive(&self.id, epoch) };
            // Refused if it was fenced without noticing.
            let _ = rig.heartbeat(&request);
        }
        self.forget();
        self.silent = true;
    }
}

struct Storm {
    rig: Rig,
    rng: Rng,
    processes: Vec<Process>,
    started: usize,
    /// Epochs so far: the group's, and each member's.
    group_epoch: i32,
    epochs: BTreeMap<Arc<str>, i32>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut rng = Rng::new(seed);
        let mut rig = Rig::new(&[("a", 6), ("b", 3)]);
        rig.settings.consumer_assignment_interval_ms = [0, 1_000][rng.below(2) as usize];
        rig.settings.consumer_migration = MigrationPolicy::Upgrade;
        if rng.one_in(3) {
            rig.settings.consumer_assignors = vec![Assignor::Range];
        }
        Storm { rig, rng, processes: Vec::new(), started: 0, group_epoch: 0, epochs: BTreeMap::new() }
    }

    fn draw_topics(&mut self) -> (Vec<String>, Option<String>) {
        let topics = TOPICS.iter().filter(|_| self.rng.one_in(2)).map(|&topic| topic.to_owned());
        let topics: Vec<String> = topics.collect();
        let regex = self.rng.one_in(4).then(|| ["a.*", "b|c", ".*"][self.rng.below(3) as usize].to_owned());
        (topics, regex)
    }

    fn start(&mut self) {
        self.started += 1;
        let kind = match self.rng.below(6) {
            0 => Kind::Cooperative,
            1 => Kind::Eager,
            _ => Kind::Modern,
        };
        let (topics, regex) = self.draw_topics();
        let instance_id = self.rng.one_in(3).then(|| format!("i{}", self.rng.below(4)));
        // One process of an instance at a time; the one before may have gone without a word.
        let same = |other: &Process| other.instance_id.is_some() && other.instance_id == instance_id;
        if let Some(other) = self.processes.iter_mut().find(|other| same(other) && !other.silent) {
            let for_good = self.rng.one_in(2);
            other.leave(&mut self.rig, for_good);
        }
        self.processes.push(Process {
            kind,
            id: if kind == Kind::Modern { format!("m{}", self.started) } else { String::new() },
            instance_id,
            joined: false,
            epoch: 0,
            owned: Partitions::new(),
            told: None,
            topics,
            regex: regex.filter(|_| kind == Kind::Modern),
            said: false,
            must_sync: false,
            silent: false,
            zombie: false,
        });
    }

    fn act(&mut self) {
        let count = self.processes.len();
        let at = if count == 0 { 0 } else { self.rng.below(count as u64) as usize };
        match self.rng.below(40) {
            0..=3 if count < 8 => self.start(),
            4 if count > 0 => {
                let for_good = self.rng.one_in(2);
                self.processes[at].leave(&mut self.rig, for_good);
            }
            5 if count > 0 => self.processes[at].silent = true,
            6 if count > 0 => {
                (self.processes[at].topics, self.processes[at].regex) = self.draw_topics();
                self.processes[at].said = false;
                if self.processes[at].kind != Kind::Modern {
                    self.processes[at].regex = None;
                }
            }
            7 => {
                let name = TOPICS[self.rng.below(4) as usize];
                if self.rig.image.topic(name).is_some() {
                    self.rig.grow_topic(name, 1);
                } else {
                    self.rig.create_topic(name, 3);
                }
            }
            8 => self.rig.restart(),
            9 => self.rig.pass_ms(self.rng.below(40_000)),
            10..=15 => self.rig.pass_ms(self.rng.below(2_000)),
            16..=22 if count > 0 => self.processes[at].follow(),
            _ if count > 0 && !self.processes[at].silent => {
                let lost = self.rng.one_in(8);
                self.processes[at].beat(&mut self.rig, lost);
            }
            _ => {}
        }
        self.processes.retain(|process| !process.silent || !process.owned.is_empty());
        self.check();
    }

    /// What must hold after every step; that of the state itself is checked by the rig.
    fn check(&mut self) {
        let state = &self.rig.group.state;
        assert!(state.group.epoch >= self.group_epoch, "the group's epoch goes back");
        self.group_epoch = state.group.epoch;
        for (id, member) in &state.members {
            let epoch = member.current.epoch;
            if let Some(&before) = self.epochs.get(id).filter(|&&before| before > 0 && epoch > 0) {
                assert!(epoch >= before, "{id} goes back from {before} to {epoch}");
            }
        }
        self.epochs =
            state.members.iter().map(|(id, member)| (Arc::clone(id), member.current.epoch)).collect();
        for process in &mut self.processes {
            let Some(member) = state.members.get(process.id.as_str()) else {
                process.zombie = !process.owned.is_empty();
                continue;
            };
            for &(topic, partition) in process.owned.iter().filter(|_| !process.zombie) {
                let current = &member.current;
                let has =
                    current.owned.contains(topic, partition) || current.revoking.contains(topic, partition);
                assert!(has, "{} reads {topic:?}-{partition}, which is not its own", process.id);
            }
        }
    }

    /// The storm is over: everybody alive heartbeats until all is quiet.
    fn settle(&mut self) {
        // Whoever is silent is found out.
        for _ in 0..30 {
            self.round();
            self.rig.pass_ms(2_000);
            self.check();
        }
        self.processes.retain(|process| !process.silent);
        let mut rounds = 0;
        while !self.is_settled() {
            rounds += 1;
            assert!(rounds <= ROUNDS_MAX, "not settled: {:#?}\n{:#?}", self.processes, self.rig.group.state);
            self.round();
            self.rig.pass_ms(1_000);
            self.check();
        }
        let state = &self.rig.group.state;
        let mut read = Partitions::new();
        for process in &self.processes {
            let target = state.target_of(&process.id).iter();
            let target: Partitions = target
                .flat_map(|(topic, list)| list.iter().map(move |&partition| (topic, partition)))
                .collect();
            assert_eq!(process.owned, target, "{} reads what it shall", process.id);
            assert!(process.owned.iter().all(|&partition| read.insert(partition)), "one reader each");
        }
        let is_wanted = |topic: &Topic| {
            let matches = |regex: &String| TopicRegex::new(regex).is_ok_and(|it| it.matches(&topic.name));
            let named = |process: &Process| process.topics.iter().any(|name| *name == *topic.name);
            self.processes.iter().any(|process| named(process) || process.regex.as_ref().is_some_and(matches))
        };
        let wanted = self.rig.image.topics().filter(|topic| is_wanted(topic));
        let all: Partitions = wanted
            .flat_map(|topic| (0..topic.partitions.len() as i32).map(move |partition| (topic.id, partition)))
            .collect();
        assert_eq!(read, all, "everything is read");
    }

    fn round(&mut self) {
        for process in self.processes.iter_mut().filter(|process| !process.silent) {
            process.beat(&mut self.rig, false);
            process.follow();
        }
        self.check();
    }

    fn is_settled(&self) -> bool {
        let quiet = |process: &Process| process.joined && process.said && !process.must_sync;
        let name = self.rig.group.state.name();
        matches!(name, "Stable" | "Empty")
            && self.processes.iter().all(quiet)
            && self.rig.group.state.members.len() == self.processes.len()
            && self.rig.group.state.group.epoch == self.rig.group.state.target.epoch.max(self.group_epoch)
    }
}

fn run(seed: u64) {
    let mut storm = Storm::new(seed);
    for _ in 0..250 {
        storm.act();
    }
    storm.settle();
    storm.rig.restart();
    storm.settle();
}

/// A number from the environment.
fn asked_for(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn storms_end_well() {
    let fresh = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as u64);
    let seeds: Vec<u64> = match asked_for("CORELANE_GROUP_SEEDS") {
        Some(count) => {
            let first = asked_for("CORELANE_GROUP_SEED_FIRST").unwrap_or(0);
            (first..first + count).collect()
        }
        // The ones by themselves have found something, in the group or in the storm.
        None => (0..17).chain([48, 129, 10_092]).chain(fresh..fresh + 12).collect(),
    };
    println!("fresh seeds from {fresh}");
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "seed {seed}");
    }
}
