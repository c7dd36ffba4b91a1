//! A consumer group under test: clock, topics, timers and a log of its records; and every step checked on the way.

use std::sync::Arc;

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now, WallMs};

use crate::groups::answer::ConsumerHeartbeatAnswer;
use crate::groups::command::{Client, ConsumerHeartbeat, TopicPartitions};
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::heartbeat::check_request;
use crate::groups::consumer::moved::MovedGroup;
use crate::groups::consumer::record::ConsumerRecord;
use crate::groups::consumer::state::GroupState;
use crate::groups::effect::CoordinatorRecord;
use crate::groups::error::GroupRefusal;
use crate::groups::settings::GroupSettings;
use crate::groups::timers::Timers;
use crate::groups::turn::Turn;
use crate::image::ClusterImage;
use crate::record::{MetadataRecord, Partition};

/// A group with everything around it.
pub struct Rig {
    pub group: ConsumerGroup,
    pub image: ClusterImage,
    pub settings: GroupSettings,
    pub timers: Timers,
    pub rng: Rng,
    pub now_ms: u64,
    /// Everything stored so far.
    pub log: Vec<CoordinatorRecord>,
    /// What the last timers led to.
    pub moved: Option<MovedGroup>,
}

/// The id of the topic of that name.
pub fn topic_id(name: &str) -> TopicId {
    let mut id = [0; 16];
    id[16 - name.len()..].copy_from_slice(name.as_bytes());
    TopicId(id)
}

fn partitions(count: i32) -> Vec<Partition> {
    let one = Partition {
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: [BrokerId(1)].into(),
        isr: [BrokerId(1)].into(),
    };
    (0..count).map(|_| one.clone()).collect()
}

impl Rig {
    /// A group without members; every heartbeat may make a new target.
    pub fn new(topics: &[(&str, i32)]) -> Rig {
        let settings = GroupSettings { consumer_assignment_interval_ms: 0, ..GroupSettings::default() };
        let mut rig = Rig {
            group: ConsumerGroup::new("g".into()),
            image: ClusterImage::new(),
            settings,
            timers: Timers::default(),
            rng: Rng::new(1),
            now_ms: 1_000_000,
            log: Vec::new(),
            moved: None,
        };
        topics.iter().for_each(|&(name, count)| rig.create_topic(name, count));
        rig
    }

    pub fn create_topic(&mut self, name: &str, count: i32) {
        let record = MetadataRecord::TopicCreated {
            topic_id: topic_id(name),
            name: name.into(),
            partitions: partitions(count),
            configs: Vec::new(),
        };
        self.image.replay(&record).unwrap();
        self.group.on_topics_changed();
    }

    pub fn grow_topic(&mut self, name: &str, more: i32) {
        let topic = self.image.topic(name).unwrap();
        let first = PartitionIndex(topic.partitions.len() as i32);
        let record =
            MetadataRecord::PartitionsAdded { topic_id: topic.id, first, partitions: partitions(more) };
        self.image.replay(&record).unwrap();
        self.group.on_topics_changed();
    }

    pub fn delete_topic(&mut self, name: &str) {
        self.image.replay(&MetadataRecord::TopicDeleted { topic_id: topic_id(name) }).unwrap();
        self.group.on_topics_changed();
    }

    /// One step of the group; checks that the records lead to the state and that the state is sound.
    pub fn step<R>(&mut self, step: impl FnOnce(&mut ConsumerGroup, &mut Turn<'_>) -> R) -> R {
        let mut records = Vec::new();
        let mut turn = Turn {
            now: Now { mono: Mono(self.now_ms * 1_000_000), wall: WallMs(self.now_ms as i64) },
            image: &self.image,
            rng: &mut self.rng,
            settings: &self.settings,
            timers: &mut self.timers,
            records: &mut records,
            answers: &mut Vec::new(),
        };
        let result = step(&mut self.group, &mut turn);
        self.log.extend(records);
        self.group.state.check_invariants();
        result
    }

    /// The state that the log says.
    pub fn replayed(&self) -> GroupState {
        let mut state = GroupState::default();
        for record in &self.log {
            let (group, record) = ConsumerRecord::decode(&record.key, record.value.as_deref()).unwrap();
            assert_eq!(&*group, "g");
            state.apply(&record);
        }
        state
    }

    /// The broker starts again: the group is what the log says, and everybody's time begins anew.
    pub fn restart(&mut self) {
        let state = self.replayed();
        assert_eq!(state, self.group.state, "what is stored is what was");
        self.timers = Timers::default();
        self.group = ConsumerGroup::new("g".into());
        self.group.state = state;
        self.step(ConsumerGroup::loaded);
    }

    pub fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatAnswer, GroupRefusal> {
        check_request(request, &self.settings)?;
        if request.member_epoch < 0 {
            let (answer, moved) = self.step(|group, turn| group.leave(request, turn))?;
            self.moved = moved;
            return Ok(answer);
        }
        let before = (self.group.state.clone(), self.log.len());
        let result = self.step(|group, turn| group.heartbeat(request, turn));
        if result.is_err() {
            assert_eq!(
                (&self.group.state, self.log.len()),
                (&before.0, before.1),
                "a refusal changes nothing"
            );
        }
        result
    }

    /// Lets time pass, with everything that is due on the way.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(due) = self.timers.next_deadline().filter(|due| due.0 <= end * 1_000_000) {
            self.now_ms = self.now_ms.max(due.0.div_ceil(1_000_000));
            while let Some(timer) = self.timers.take_due(Mono(self.now_ms * 1_000_000)) {
                assert_eq!(&*timer.group, "g");
                let moved = self.step(|group, turn| group.on_timer(timer.kind, turn));
                self.moved = self.moved.take().or(moved);
            }
        }
        self.now_ms = end;
    }
}

/// The first request of a member that subscribes to `topics`.
pub fn joining(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        member_id: member.into(),
        member_epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(topics.iter().map(|&topic| topic.to_owned()).collect()),
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: Some(Vec::new()),
        client: Client { id: "client".into(), host: "/127.0.0.1".into() },
        member_id_required: true,
    }
}

/// A later request that says nothing new.
pub fn alive(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        member_epoch: epoch,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        topic_partitions: None,
        ..joining(member, &[])
    }
}

/// A later request that reports what the member owns, as `a0-2 b1`.
pub fn owning(member: &str, epoch: i32, owned: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat { topic_partitions: Some(parse(owned)), ..alive(member, epoch) }
}

/// Reads `a0-2 b1`.
pub fn parse(text: &str) -> Vec<TopicPartitions> {
    text.split_whitespace()
        .map(|word| {
            let (first, last) = word[1..].split_once('-').unwrap_or((&word[1..], &word[1..]));
            let range = first.parse::<i32>().unwrap()..=last.parse().unwrap();
            TopicPartitions {
                topic_id: topic_id(&word[..1]),
                partitions: range.map(PartitionIndex).collect(),
            }
        })
        .collect()
}

/// Writes `a0-2 b1`.
pub fn show(partitions: &[TopicPartitions]) -> String {
    let words = partitions.iter().flat_map(|topic| {
        topic.partitions.chunk_by(|a, b| a.0 + 1 == b.0).map(move |run| match run {
            [one] => format!("{}{one}", char::from(topic.topic_id.0[15])),
            _ => format!("{}{}-{}", char::from(topic.topic_id.0[15]), run[0], run[run.len() - 1]),
        })
    });
    words.collect::<Vec<_>>().join(" ")
}

/// An answer in short: the epoch and, if there is one, the assignment; or the error.
pub fn brief(answer: &Result<ConsumerHeartbeatAnswer, GroupRefusal>) -> String {
    match answer {
        Ok(answer) => match &answer.assignment {
            Some(partitions) => format!("{} [{}]", answer.member_epoch, show(partitions)),
            None => format!("{}", answer.member_epoch),
        },
        Err(refusal) => format!("{:?}", refusal.error),
    }
}

/// A member id.
pub fn id(text: &str) -> Arc<str> {
    text.into()
}
