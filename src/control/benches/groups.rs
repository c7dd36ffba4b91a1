//! What a coordinator costs for a large consumer group: the assignors alone, and a group of 100 members on 1,000
//! partitions through the coordinator. Prints a table; `cargo bench -p corelane-control --bench groups`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use corelane_base::id::{BrokerId, LeaderEpoch, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now, WallMs};
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::{Client, ConsumerHeartbeat, GroupAsk, GroupCommand, TopicPartitions};
use corelane_control::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};
use corelane_control::groups::consumer::assignor::assign;
use corelane_control::groups::coordinator::{GroupCoordinator, GroupCx};
use corelane_control::groups::effect::GroupEffect;
use corelane_control::groups::settings::{Assignor, GroupSettings};
use corelane_control::image::ClusterImage;
use corelane_control::record::{MetadataRecord, Partition};

const MEMBERS: usize = 100;
const TOPICS: usize = 10;
const PARTITIONS: i32 = 100;
const ROUNDS: u32 = 50;

fn topic_id(at: usize) -> TopicId {
    TopicId([at as u8 + 1; 16])
}

fn row(what: &str, each: Duration) {
    println!("{what:<72} {each:>12.1?}");
}

/// The mean of some rounds, after one that does not count.
fn timed(mut round: impl FnMut()) -> Duration {
    round();
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| round());
    start.elapsed() / ROUNDS
}

fn assignors() {
    let counts: PartitionCounts = (0..TOPICS).map(|at| (topic_id(at), PARTITIONS)).collect();
    let all: Vec<TopicId> = counts.keys().copied().collect();
    let ids: Vec<String> = (0..MEMBERS).map(|at| format!("member-{at:03}")).collect();
    let members = |topics: &dyn Fn(usize) -> usize, targets: &[Assignment]| {
        let members = (0..targets.len()).map(|at| (at, topics(at)));
        let members =
            members.map(|(at, count)| (ids[at].clone(), all[..count].to_vec(), targets[at].clone()));
        members.collect::<Vec<_>>()
    };
    let run = |assignor: Assignor, members: &[(String, Vec<TopicId>, Assignment)]| {
        let members: Vec<AssignorMember<'_>> = members
            .iter()
            .map(|(id, topics, target)| AssignorMember { id, instance_id: None, topics, target })
            .collect();
        assign(assignor, &members, &counts)
    };
    let nothing = vec![Assignment::EMPTY; MEMBERS];
    let equal = |_: usize| TOPICS;
    let mixed = |at: usize| at % TOPICS + 1;
    for (assignor, name) in [(Assignor::Uniform, "uniform"), (Assignor::Range, "range")] {
        let fresh = members(&equal, &nothing);
        row(&format!("{name}, from nothing"), timed(|| drop(black_box(run(assignor, &fresh)))));
        let left = members(&equal, &run(assignor, &fresh)[..MEMBERS - 1]);
        row(&format!("{name}, one of 100 has left"), timed(|| drop(black_box(run(assignor, &left)))));
        let fresh = members(&mixed, &nothing);
        row(
            &format!("{name}, ten different subscriptions"),
            timed(|| drop(black_box(run(assignor, &fresh)))),
        );
    }
}

struct Host {
    coordinator: GroupCoordinator,
    image: ClusterImage,
    rng: Rng,
    now_ms: u64,
    stored_bytes: usize,
}

impl Host {
    fn new() -> Host {
        let partition = Partition {
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: [BrokerId(1)].into(),
            isr: [BrokerId(1)].into(),
        };
        let mut image = ClusterImage::new();
        for at in 0..TOPICS {
            let record = MetadataRecord::TopicCreated {
                topic_id: topic_id(at),
                name: format!("topic-{at}"),
                partitions: vec![partition.clone(); PARTITIONS as usize],
                configs: Vec::new(),
            };
            image.replay(&record).expect("a new topic fits");
        }
        let coordinator = GroupCoordinator::new(GroupSettings::default());
        let mut host = Host { coordinator, image, rng: Rng::new(1), now_ms: 1_000_000, stored_bytes: 0 };
        host.with(|coordinator, cx| coordinator.loaded(cx));
        host
    }

    fn with(&mut self, step: impl FnOnce(&mut GroupCoordinator, &mut GroupCx<'_>)) -> Option<GroupAnswer> {
        let now = Now { mono: Mono(self.now_ms * 1_000_000), wall: WallMs(self.now_ms as i64) };
        step(&mut self.coordinator, &mut GroupCx { now, image: &self.image, rng: &mut self.rng });
        let mut last = None;
        while let Some(effect) = self.coordinator.out.pop_front() {
            match effect {
                GroupEffect::Store { write, records } => {
                    self.stored_bytes += records.iter().map(|record| record.size_max()).sum::<usize>();
                    self.coordinator.stored(write, Ok(()));
                }
                GroupEffect::Answer { answer, .. } => last = Some(answer),
            }
        }
        last
    }

    /// One heartbeat; true if it brought news.
    fn heartbeat(&mut self, member: &mut Member, epoch: i32) -> bool {
        let joins = epoch == 0;
        let command = GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat {
            group: "group".into(),
            member_id: member.id.clone(),
            member_epoch: epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| (0..TOPICS).map(|at| format!("topic-{at}")).collect()),
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: Some(if joins { Vec::new() } else { member.owned.clone() }),
            client: Client { id: "bench".into(), host: "/127.0.0.1".into() },
            member_id_required: true,
        });
        match self.with(|coordinator, cx| coordinator.handle(GroupAsk(0), command, cx)) {
            Some(GroupAnswer::ConsumerHeartbeat(Ok(answer))) => {
                let news = answer.assignment.is_some() || answer.member_epoch != member.epoch;
                member.epoch = answer.member_epoch;
                member.owned = answer.assignment.unwrap_or(core::mem::take(&mut member.owned));
                news
            }
            other => panic!("a heartbeat is answered, not {other:?}"),
        }
    }
}

struct Member {
    id: String,
    epoch: i32,
    owned: Vec<TopicPartitions>,
}

/// Rounds of heartbeats until nobody hears anything new; returns how many rounds it took.
fn settle(host: &mut Host, members: &mut [Member]) -> usize {
    for round in 0.. {
        host.now_ms += 1_000;
        let mut news = false;
        for member in members.iter_mut() {
            let epoch = member.epoch;
            news |= host.heartbeat(member, epoch);
        }
        if !news {
            return round;
        }
    }
    unreachable!("a group settles")
}

fn group() {
    let mut host = Host::new();
    let mut members: Vec<Member> = (0..MEMBERS)
        .map(|at| Member { id: format!("member-{at:03}"), epoch: 0, owned: Vec::new() })
        .collect();
    let start = Instant::now();
    for member in &mut members {
        host.heartbeat(member, 0);
    }
    let rounds = settle(&mut host, &mut members);
    row(
        &format!("100 members join within a second and settle, {rounds} rounds of heartbeats"),
        start.elapsed(),
    );

    let mut gone = members.pop().expect("100 members");
    let before = host.stored_bytes;
    let start = Instant::now();
    host.heartbeat(&mut gone, -1);
    let rounds = settle(&mut host, &mut members);
    let bytes = host.stored_bytes - before;
    row(&format!("one leaves, the others settle, {rounds} rounds, {bytes} bytes stored"), start.elapsed());

    let steady = timed(|| {
        for member in &mut members {
            let epoch = member.epoch;
            host.heartbeat(member, epoch);
        }
    });
    row("a heartbeat without news, group of 99", steady / 99);
}

fn main() {
    assignors();
    group();
}
