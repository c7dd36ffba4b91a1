//! A broker that runs out of descriptors: partitions without a file refuse with an error that clients retry, all others,
//! new connections and reads go on, and more descriptors, or those of a deleted topic, are used without a restart.
//!
//! The limit of the running broker is lowered and raised from outside, so that it holds for a broker of root, too, which
//! raises its own at the start.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use corelane_log::{batch, records};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{self, Broker};
use crate::wire_client::{Connection, batch_of, create_topic, delete_topic, fetch, produce, topic_id};

/// Descriptors that the broker may have, of which it keeps a quarter for connections.
const FILES: u64 = 200;

/// Partitions of a topic: more than there are descriptors.
const PARTITIONS: i32 = 200;

/// Connections at once, within what is kept for them.
const CONNECTIONS: usize = 20;

/// How long healing may take, on a loaded machine.
const PHASE_MAX: Duration = Duration::from_secs(120);

/// What a partition without a file answers: clients try again.
const REFUSED: &str = "KAFKA_STORAGE_ERROR";

/// Limits what a running broker may have open.
fn limit(broker: &Broker, files: Option<u64>) {
    let pid = Pid::from_raw(broker.pid().cast_signed()).expect("a process has a number");
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current: files.or(maximum), maximum };
    prlimit(Some(pid), Resource::Nofile, limit).expect("the broker is this user's");
}

/// The value of a partition's records.
fn value(partition: i32) -> Vec<u8> {
    format!("of partition {partition}").into_bytes()
}

/// Writes to every partition once: the offset of each acknowledged record. Panics: at another refusal.
fn produce_all(connection: &mut Connection, topic: &str) -> BTreeMap<i32, i64> {
    let mut acknowledged = BTreeMap::new();
    for partition in 0..PARTITIONS {
        match produce(connection, -1, topic, partition, &batch_of(&value(partition))) {
            Ok(offset) => drop(acknowledged.insert(partition, offset)),
            Err(why) => assert_eq!(why, REFUSED, "{topic}-{partition}"),
        }
    }
    acknowledged
}

/// Writes until every partition takes it. Panics: if they do not in time.
fn heal(connection: &mut Connection, topic: &str) -> BTreeMap<i32, i64> {
    let end = Instant::now() + PHASE_MAX;
    loop {
        let acknowledged = produce_all(connection, topic);
        if acknowledged.len() == PARTITIONS as usize {
            return acknowledged;
        }
        assert!(Instant::now() < end, "only {} partitions of {topic} have a file", acknowledged.len());
    }
}

/// Reads every acknowledged record.
fn check(connection: &mut Connection, topic: &str, acknowledged: &BTreeMap<i32, i64>) {
    for (&partition, &offset) in acknowledged {
        let bytes = fetch(connection, 11, topic, partition, offset, 500).expect("reads go on");
        let header = batch::check_stored(&bytes).expect("a batch").expect("a whole one");
        let (_, payload) = records::payload(&bytes, 1 << 20).expect("uncompressed");
        let record = records::iter(&header, &payload).next().expect("one record").expect("well-formed");
        assert_eq!((record.offset.0, record.value), (offset, Some(&value(partition)[..])), "{partition}");
    }
}

#[test]
fn a_broker_without_descriptors_refuses_writes_serves_others_and_heals() {
    let _busy = harness::busy();
    if std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some() {
        println!("skipped: the broker under test is not ours to limit");
        return;
    }
    let mut broker = Broker::start("descriptors");
    limit(&broker, Some(FILES));
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "first", PARTITIONS, &[]);
    let first = produce_all(&mut connection, "first");
    println!("{} of {PARTITIONS} partitions have a file", first.len());
    assert!(first.len() > 50, "what there is is used: {}", first.len());
    assert!(first.len() < FILES as usize * 3 / 4, "a quarter is kept: {}", first.len());
    let again = produce_all(&mut connection, "first");
    assert!(first.keys().all(|partition| again.contains_key(partition)), "who has a file goes on");
    assert!(again.len() < FILES as usize * 3 / 4, "the others go on refusing: {}", again.len());

    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| Connection::open(broker.address())).collect();
    for connection in &mut connections {
        check(connection, "first", &first);
    }
    drop(connections);

    create_topic(&mut connection, "second", PARTITIONS, &[]);
    let left = produce_all(&mut connection, "second");
    assert!(left.len() < 10, "next to nothing is left: {}", left.len());
    delete_topic(&mut connection, "first");
    let end = Instant::now() + PHASE_MAX;
    let second = loop {
        let second = produce_all(&mut connection, "second");
        if second.len() > 50 {
            break second;
        }
        assert!(Instant::now() < end, "the descriptors of a deleted topic are not used");
    };
    check(&mut connection, "second", &second);

    limit(&broker, None);
    let healed = heal(&mut connection, "second");
    check(&mut connection, "second", &second);
    check(&mut connection, "second", &healed);
    broker.kill();
    broker.launch();
    let mut connection = Connection::open(broker.address());
    while topic_id(&mut connection, "second").is_none() {}
    check(&mut connection, "second", &second);
    check(&mut connection, "second", &healed);
    broker.kill();
}
