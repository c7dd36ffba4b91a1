//! What every client goes through as members of a group. Nothing here depends on a client.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

use crate::clients::{installed, output_of, tests_dir};
use crate::fetched;
use crate::groups::load::{self, Acknowledged, Load};
use crate::groups::member::{Client, Member, Place};
use crate::groups::watch::{GroupState, Watch};
use crate::harness::{self, Broker};
use crate::wire_client::{self, Connection};

/// A multiple of every number of members that a scenario has at a time: each then owns the same number.
const PARTITION_COUNT: i32 = 6;
/// Short, so that a killed member is missed soon; long enough for a machine that is busy with something else.
const SESSION_MS: u32 = 6_000;
/// Longer than a static member needs to come back.
const STATIC_SESSION_MS: u32 = 45_000;
/// Long enough to show what holds until it ends, short enough to wait for its end.
const KILLED_SESSION_MS: u32 = 15_000;
/// Records that one member may have taken and not yet processed: one poll (kafkajs takes a whole fetch of up to 8 KiB).
const TAKEN_MAX: u64 = 500;

/// One group of one client on a broker of its own.
struct Run {
    client: Client,
    broker: Broker,
    place: Place,
    watch: Arc<Watch>,
    acknowledged: Acknowledged,
}

impl Run {
    fn start(client: Client, kind: &str, commit: &'static str, session_ms: u32) -> Run {
        let name = format!("group-{}-{kind}", client.name);
        let session = format!("group.consumer.session.timeout.ms={session_ms}");
        let settings = [
            "group.initial.rebalance.delay.ms=0",
            "group.min.session.timeout.ms=1000",
            "group.consumer.min.session.timeout.ms=1000",
            &session,
            "group.consumer.min.heartbeat.interval.ms=100",
            "group.consumer.heartbeat.interval.ms=500",
        ];
        let options: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        let broker = Broker::start_fixed(&name, &options);
        let suffix = std::process::id();
        let (topic, group) = (format!("{name}-topic-{suffix}"), format!("{name}-{suffix}"));
        wire_client::create_topic(&mut Connection::open(broker.address()), &topic, PARTITION_COUNT, &[]);
        let (bootstrap, dir) = (broker.address().to_owned(), broker.dir().to_owned());
        let place = Place { bootstrap, topic, group, commit, session_ms, dir };
        Run { client, broker, place, watch: Arc::default(), acknowledged: BTreeMap::new() }
    }

    /// A member starts.
    fn join(&self, name: &str) -> Member {
        Member::start(self.client, &self.place, &self.watch, name, "")
    }

    fn join_as(&self, name: &str, instance: &str) -> Member {
        Member::start(self.client, &self.place, &self.watch, name, instance)
    }

    /// Waits until these members share all partitions evenly.
    fn settled(&self, members: &[&Member]) {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let each = PARTITION_COUNT as usize / names.len();
        println!("waiting for {names:?} to settle");
        self.watch.wait(&format!("{names:?} own {each} partitions each"), |state| {
            let mut all = BTreeMap::new();
            for name in &names {
                let owned = &state.members[*name].owned;
                owned.iter().for_each(|partition| *all.entry(*partition).or_insert(0) += 1);
                if owned.len() != each {
                    return false;
                }
            }
            all.len() == PARTITION_COUNT as usize
        });
    }

    /// Waits until each of these members has processed more, under a running load.
    fn progress(&self, members: &[&Member]) {
        let before: Vec<(&str, u64)> = self.watch.look(|state| {
            members.iter().map(|m| (m.name.as_str(), state.members[&m.name].records)).collect()
        });
        self.watch.wait("each member processes more", |state| {
            before.iter().all(|(name, count)| state.members[*name].records > count + 50)
        });
    }

    fn load(&self) -> Load {
        Load::start(&self.place.bootstrap, &self.place.topic, PARTITION_COUNT, &self.watch)
    }

    fn restart_broker(&mut self) {
        println!("kill -9 of the broker");
        self.broker.kill();
        self.broker.launch();
    }

    fn ends(&self) -> Vec<i64> {
        fetched::ends(&self.place.bootstrap, &self.place.topic)
    }

    /// Waits until all that was written is processed, but for `lost_max` records.
    fn drained(&self, lost_max: u64) -> Vec<i64> {
        let ends = self.ends();
        assert_eq!(ends.len(), PARTITION_COUNT as usize, "{ends:?}");
        let total = ends.iter().sum::<i64>().unsigned_abs();
        let last = |state: &GroupState| {
            (0..).zip(&ends).all(|(partition, end)| *end == 0 || state.value(partition, end - 1).is_some())
        };
        println!("waiting for {total} records to be processed");
        self.watch.wait(&format!("all {total} records are processed"), |state| {
            state.processed() + lost_max >= total && (lost_max == 0 || last(state))
        });
        ends
    }

    /// What a new member is told that asks to join as this instance.
    fn knock(&self, connection: &mut Connection, instance: &str) -> ErrorCode {
        const VERSION: i16 = 1;
        let message = ConsumerGroupHeartbeatRequest {
            group_id: &self.place.group,
            member_id: "a-member-id-of-22-char",
            instance_id: Some(instance),
            rebalance_timeout_ms: 45_000,
            subscribed_topic_names: Some(vec![&self.place.topic]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        let api_key = ApiKey::ConsumerGroupHeartbeat;
        let frame = wire_client::request(api_key, VERSION, |w, version| message.encode(w, version));
        let body = connection.try_call(api_key, VERSION, &frame).expect("an answer");
        wire_client::error_codes(&body, api_key, VERSION)[0]
    }

    /// What the broker says is committed, by a client that is no member.
    fn committed(&self) -> Vec<i64> {
        let mut command = Command::new(installed("python/bin/python"));
        command.arg("-B").arg(tests_dir().join("clients/python/committed.py"));
        command.args([&self.place.bootstrap, &self.place.group, &self.place.topic]);
        command.arg(PARTITION_COUNT.to_string());
        let (said, failed) = output_of(&mut command);
        assert!(!failed, "asking for the committed offsets failed:\n{said}");
        let found: BTreeMap<i32, i64> = serde_json::from_str(said.trim()).expect("one line of JSON");
        (0..PARTITION_COUNT).map(|partition| found.get(&partition).copied().unwrap_or(-1)).collect()
    }

    /// Every acknowledged record was processed with its value.
    fn check_values(&self) {
        self.watch.look(|state| {
            for ((partition, offset), value) in &self.acknowledged {
                let read = state.value(*partition, *offset);
                assert!(
                    read.is_none_or(|read| read == value),
                    "{partition}:{offset} holds {value:?}, read {read:?}"
                );
            }
        });
    }

    /// Ends the load and, once all is processed but for `lost_max` records, the members: what was processed is committed
    /// and was what was written. Gives the ends of the partitions.
    fn finish(&mut self, load: Load, members: impl IntoIterator<Item = Member>, lost_max: u64) -> Vec<i64> {
        self.acknowledged.extend(load.stop());
        let ends = self.drained(lost_max);
        members.into_iter().for_each(Member::leave);
        assert_eq!(self.committed(), ends, "everything is committed once the members have left");
        self.check_values();
        ends
    }

    /// What is to be said at a scenario's end.
    fn report(&self, what: &str) {
        let (processed, doubled) = self.watch.look(|state| (state.processed(), state.doubled));
        println!("{} {what}: {processed} records, {doubled} more than once", self.client.name);
    }
}

/// Commit after processing, under load: members join, leave and are killed, and so is the broker. No record is lost or
/// skipped; committed offsets and lag are right afterwards and stay so over another kill.
pub fn at_least_once(client: Client) {
    let _busy = harness::busy();
    let mut run = Run::start(client, "after", "after", SESSION_MS);
    let load = run.load();
    let (a, b) = (run.join("a"), run.join("b"));
    run.settled(&[&a, &b]);
    run.progress(&[&a, &b]);
    let c = run.join("c");
    run.settled(&[&a, &b, &c]);
    run.progress(&[&a, &b, &c]);
    a.leave();
    run.settled(&[&b, &c]);
    run.progress(&[&b, &c]);
    println!("kill -9 of b");
    b.kill();
    run.settled(&[&c]);
    let d = run.join("d");
    run.settled(&[&c, &d]);
    run.progress(&[&c, &d]);
    run.restart_broker();
    run.progress(&[&c, &d]);
    run.settled(&[&c, &d]);
    let ends = run.finish(load, [c, d], 0);
    // Nobody is there, so everything more is lag, and no kill takes a committed offset back.
    let more = load::write_once(&run.place.bootstrap, &run.place.topic, PARTITION_COUNT, 2, &run.watch);
    let lag = more.len() as i64;
    run.acknowledged.extend(more);
    run.restart_broker();
    assert_eq!(run.committed(), ends, "committed offsets after kill -9 of the broker");
    let before = run.watch.look(|state| (state.processed(), state.doubled));
    let ends = run.ends();
    assert_eq!(ends.iter().sum::<i64>(), before.0 as i64 + lag, "the lag");
    let e = run.join("e");
    assert_eq!(run.drained(0), ends);
    let after = run.watch.look(|state| (state.processed(), state.doubled));
    assert_eq!(
        (after.0, after.1),
        (before.0 + lag.unsigned_abs(), before.1),
        "the lag and nothing else is processed"
    );
    e.leave();
    assert_eq!(run.committed(), ends, "the lag is committed");
    run.check_values();
    run.report("at least once");
}

/// Commit before processing, under load, with kills of members and broker: no record twice; lost is at most what the killed
/// members had taken.
pub fn at_most_once(client: Client) {
    let _busy = harness::busy();
    let mut run = Run::start(client, "before", "before", SESSION_MS);
    let load = run.load();
    let (a, b) = (run.join("a"), run.join("b"));
    run.settled(&[&a, &b]);
    run.progress(&[&a, &b]);
    println!("kill -9 of a");
    a.kill();
    run.settled(&[&b]);
    let c = run.join("c");
    run.settled(&[&b, &c]);
    run.progress(&[&b, &c]);
    run.restart_broker();
    run.progress(&[&b, &c]);
    b.leave();
    run.settled(&[&c]);
    let ends = run.finish(load, [c], TAKEN_MAX);
    let (lost, examples) = run.watch.look(|state| state.missing(&ends));
    assert!(lost <= TAKEN_MAX, "{lost} records are lost, {examples:?} among them");
    let doubles = run.watch.look(|state| state.doubles());
    assert_eq!(doubles, [], "records that were processed twice");
    println!("{} records lost with the killed member", lost);
    run.report("at most once");
}

/// A static member that goes and comes back within its session owns what it owned, and nobody else notices. In the classic
/// protocol it is killed; in the newer one it closes: `static_member_killed` is what happens otherwise.
pub fn static_member(client: Client) {
    let _busy = harness::busy();
    let mut run = Run::start(client, "static", "after", STATIC_SESSION_MS);
    let load = run.load();
    let (a, b) = (run.join_as("a", "instance-a"), run.join_as("b", "instance-b"));
    run.settled(&[&a, &b]);
    run.progress(&[&a, &b]);
    let before = run.watch.look(|state| (state.members["a"].owned.clone(), state.members["b"].moves));
    println!("a goes and comes back");
    match client.protocol {
        "consumer" => a.leave(),
        _ => a.kill(),
    }
    let again = run.join_as("again", "instance-a");
    run.watch.wait("the static member owns what it owned", |state| state.members["again"].owned == before.0);
    run.progress(&[&again, &b]);
    let moves = run.watch.look(|state| state.members["b"].moves);
    assert_eq!(moves, before.1, "nobody else is rebalanced");
    run.finish(load, [again, b], 0);
    run.report("static member");
}

/// In the newer protocol a static member that is killed has not released its instance (KIP-848): until its session ends
/// nobody is given its partitions, and whoever comes with the same instance is refused. Then the others take over, and it
/// may come back.
pub fn static_member_killed(client: Client) {
    let _busy = harness::busy();
    let mut run = Run::start(client, "static-killed", "after", KILLED_SESSION_MS);
    let load = run.load();
    let (a, b) = (run.join_as("a", "instance-a"), run.join_as("b", "instance-b"));
    run.settled(&[&a, &b]);
    run.progress(&[&a, &b]);
    let before = run.watch.look(|state| state.members["b"].moves);
    println!("kill -9 of a");
    a.kill();
    let killed = Instant::now();
    let mut connection = Connection::open(run.broker.address());
    let answer = run.knock(&mut connection, "instance-a");
    run.progress(&[&b]);
    let moves = run.watch.look(|state| state.members["b"].moves);
    if killed.elapsed() < Duration::from_millis(KILLED_SESSION_MS.into()) / 2 {
        assert_eq!(answer, ErrorCode::UnreleasedInstanceId, "the instance of a killed member");
        assert_eq!(moves, before, "nobody is given its partitions");
    } else {
        println!(
            "what holds until the session ends was not looked at: the machine took {:?}",
            killed.elapsed()
        );
    }
    run.settled(&[&b]);
    let again = run.join_as("again", "instance-a");
    run.settled(&[&again, &b]);
    run.progress(&[&again, &b]);
    run.finish(load, [again, b], 0);
    run.report("killed static member");
}
