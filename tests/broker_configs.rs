//! Broker settings that change while the broker runs: kafka-configs sets, shows and deletes them for one broker and for
//! all, they hold at once for every shard, and `kill -9` does not lose them.
//!
//! The same can be run against Kafka itself (`CORELANE_TEST_ORACLE=1`), where "at once" means soon.

use std::process::Stdio;
use std::time::{Duration, Instant};

use corelane_wire::api::ApiKey;
use corelane_wire::message::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::harness::{Broker, is_oracle};
use crate::metrics::{http_address, scrape};
use crate::tools::Tools;
use crate::wire_client::{Connection, Heard, batch_of, create_topic, fetch, produce, request};

const CONFIGS: &str = "ConfigCommand";
/// One broker's settings.
const ONE: [&str; 4] = ["--entity-type", "brokers", "--entity-name", "1"];
/// Those of all brokers.
const ALL: [&str; 3] = ["--entity-type", "brokers", "--entity-default"];
/// How long a change may take to show where it is not promised at once.
const CHANGE_MAX: Duration = Duration::from_secs(90);
/// A record that a limit of 200,000 bytes refuses.
const LARGE_BYTES: usize = 300_000;
const TOO_LARGE: &str = "MESSAGE_TOO_LARGE";

struct Rig {
    broker: Broker,
    topic: String,
}

impl Rig {
    /// A broker with a topic whose partitions lie on several shards, without settings of its own.
    fn start(name: &str, settings: &[&str]) -> Rig {
        let options: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        let broker = Broker::start_fixed(name, &options);
        create_topic(&mut Connection::open(broker.address()), "t", 4, &[]);
        Rig { broker, topic: "t".into() }
    }

    fn tools(&self) -> Tools<'_> {
        Tools { broker: &self.broker }
    }

    fn set(&self, entity: &[&str], what: &str) {
        self.tools().check(CONFIGS, &[&["--alter", "--add-config", what], entity].concat(), &["Completed"]);
    }

    fn delete(&self, entity: &[&str], key: &str) {
        self.tools().check(CONFIGS, &[&["--alter", "--delete-config", key], entity].concat(), &["Completed"]);
    }

    fn refused(&self, entity: &[&str], what: &str, expected: &str) {
        self.tools().check_refused(CONFIGS, &[&["--alter", "--add-config", what], entity].concat(), expected);
    }

    /// What a broker makes of a large record, which must be the same for every partition, at once.
    fn check_large(&self, expected: Result<(), &str>) {
        let mut connection = Connection::open(self.broker.address());
        let batch = batch_of(&vec![b'x'; LARGE_BYTES]);
        let end = Instant::now() + CHANGE_MAX;
        for partition in 0..4 {
            loop {
                let seen = produce(&mut connection, -1, &self.topic, partition, &batch).map(drop);
                if seen == expected.map_err(str::to_owned) {
                    break;
                }
                let may_wait = is_oracle() && Instant::now() < end;
                assert!(may_wait, "partition {partition}: {seen:?} instead of {expected:?}");
            }
        }
    }
}

#[test]
fn the_strongest_layer_holds_at_once_and_after_kill() {
    let mut rig = Rig::start("broker-configs-layers", &["message.max.bytes=200000"]);
    rig.check_large(Err(TOO_LARGE));
    rig.set(&ALL, "message.max.bytes=400000");
    rig.check_large(Ok(()));
    rig.set(&ONE, "message.max.bytes=100000,log.retention.ms=86400001");
    rig.check_large(Err(TOO_LARGE));
    let synonyms = "message.max.bytes=100000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:message.max.bytes=100000, \
         DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=400000, STATIC_BROKER_CONFIG:message.max.bytes=200000, \
         DEFAULT_CONFIG:message.max.bytes=1048588}";
    rig.tools().check(
        CONFIGS,
        &[&["--describe"], &ONE[..]].concat(),
        &[synonyms, "log.retention.ms=86400001"],
    );
    let of_all =
        rig.tools().check(CONFIGS, &[&["--describe"], &ALL[..]].concat(), &["message.max.bytes=400000"]);
    assert!(!of_all.contains("log.retention.ms"), "set for one broker only:\n{of_all}");
    let topic = ["--entity-type", "topics", "--entity-name", &rig.topic];
    let of_topic = ["max.message.bytes=100000", "{DYNAMIC_BROKER_CONFIG:message.max.bytes=100000, "];
    rig.tools().check(CONFIGS, &[&["--describe", "--all"], &topic[..]].concat(), &of_topic);
    assert!(of_all.contains("DYNAMIC_DEFAULT_BROKER_CONFIG"), "{of_all}");

    rig.broker.kill();
    rig.broker.launch();
    rig.check_large(Err(TOO_LARGE));
    rig.tools().check(
        CONFIGS,
        &[&["--describe"], &ONE[..]].concat(),
        &[synonyms, "log.retention.ms=86400001"],
    );
    rig.delete(&ONE, "message.max.bytes");
    rig.check_large(Ok(()));
    rig.delete(&ALL, "message.max.bytes");
    rig.check_large(Err(TOO_LARGE));

    rig.refused(&ONE, "num.partitions=3", "InvalidRequestException");
    rig.refused(&ALL, "message.max.bytes=-1", "InvalidRequestException");
    rig.refused(&ALL, "log.retention.ms=soon", "InvalidRequestException");
    if !is_oracle() {
        // Kafka takes any name, for plug-ins of which there are none here.
        rig.refused(&ALL, "log.retention.mss=1", "no broker setting is named 'log.retention.mss'");
    }
    let left = rig.tools().run(CONFIGS, &[&["--describe"], &ONE[..]].concat());
    assert!(left.contains("log.retention.ms=86400001") && !left.contains("message.max.bytes"), "{left}");
}

#[test]
fn retention_and_segments_change_without_a_restart() {
    let rig = Rig::start("broker-configs-retention", &["log.retention.check.interval.ms=200"]);
    let mut connection = Connection::open(rig.broker.address());
    let batch = batch_of(&vec![b'x'; 700_000]);
    let mut produce_two = || {
        let mut one = || {
            let end = Instant::now() + CHANGE_MAX;
            loop {
                match produce(&mut connection, -1, &rig.topic, 0, &batch) {
                    // Kafka may say so of a topic that has just been made.
                    Err(why) if why == "NOT_LEADER_OR_FOLLOWER" && Instant::now() < end => {}
                    taken => return taken.expect("taken"),
                }
            }
        };
        one();
        one()
    };
    assert_eq!(produce_two(), 1);
    // One record to a segment from here on; the newest segment stays whatever its size.
    rig.set(&ALL, "log.segment.bytes=1048576,log.retention.bytes=1");
    assert_eq!(produce_two(), 3);
    rig.wait_for_start(3);
    // Once all are older than that, nothing stays.
    rig.set(&ONE, "log.retention.ms=1");
    rig.wait_for_start(4);
}

impl Rig {
    /// Waits until the partition's log begins at `offset`.
    fn wait_for_start(&self, offset: i64) {
        let mut connection = Connection::open(self.broker.address());
        let end = Instant::now() + CHANGE_MAX;
        let mut reads = |from: i64, ms| fetch(&mut connection, 11, &self.topic, 0, from, ms);
        while reads(offset - 1, 0) != Err("OFFSET_OUT_OF_RANGE".to_owned()) {
            assert!(Instant::now() < end, "record {} is still there", offset - 1);
            // Leaves the cores to the broker for a moment.
            reads(4, 100).expect("reads at the end go on");
        }
        reads(offset, 0).expect("the log begins there");
    }

    /// A connection that is served. Errors: it was closed.
    fn connect(&self) -> Result<Connection, String> {
        let mut connection = Connection::try_open(self.broker.address()).map_err(|e| e.to_string())?;
        connection.try_call(ApiKey::ApiVersions, 0, &question())?;
        Ok(connection)
    }

    /// A connection that has asked something and not been answered yet.
    fn ask(&self) -> Connection {
        let mut connection = Connection::open(self.broker.address());
        connection.send(&question()).expect("it was accepted");
        connection
    }

    /// Opens connections until there are `count`, then shows that there can be no more.
    fn check_limit(&self, count: usize) {
        let end = Instant::now() + CHANGE_MAX;
        let mut open = Vec::new();
        while open.len() < count {
            // Those of a tool may not be quite gone.
            open.extend(self.connect());
            assert!(Instant::now() < end, "{} connections of {count}", open.len());
        }
        assert!(self.connect().is_err(), "one more than {count}");
    }

    /// Waits until so many connections wait for a place. Kafka does not tell.
    fn wait_for_waiting(&self, count: usize) {
        if is_oracle() {
            return;
        }
        let address = http_address(&self.broker);
        let end = Instant::now() + CHANGE_MAX;
        loop {
            let waiting = scrape(&address).1["corelane_connections_waiting"];
            if waiting == count as f64 {
                return;
            }
            assert!(Instant::now() < end, "{waiting} connections wait, not {count}");
        }
    }
}

/// What every client begins with.
fn question() -> Vec<u8> {
    request(ApiKey::ApiVersions, 0, |_, _| Ok(()))
}

#[test]
fn limits_of_an_address_change_without_a_restart() {
    let rig = Rig::start("broker-configs-addresses", &[]);
    let many: Vec<Connection> = (0..40).map(|_| rig.connect().expect("no limit")).collect();
    rig.set(&ALL, "max.connections.per.ip=50");
    drop(many);
    rig.check_limit(50);
    rig.set(&ALL, "max.connections.per.ip.overrides=[127.0.0.1:12]");
    rig.check_limit(12);
    rig.refused(&ALL, "max.connections.per.ip.overrides=[127.0.0.1]", "InvalidRequestException");
}

#[test]
fn clients_beyond_the_limit_wait_until_others_go() {
    const COUNT: usize = 9;
    let rig = Rig::start("broker-configs-connections", &[]);
    rig.set(&ONE, &format!("max.connections={COUNT}"));
    let mut open: Vec<Connection> = (0..COUNT).map(|_| rig.connect().expect("a place")).collect();
    // Those that give up are in nobody's way, whether they have asked for something or not.
    let (silent, asking) = (Connection::open(rig.broker.address()), rig.ask());
    let mut first = rig.ask();
    // One after the other: those that come to several shards at a time come in any order.
    rig.wait_for_waiting(3);
    let second = rig.ask();
    rig.wait_for_waiting(4);
    drop((silent, asking));
    rig.wait_for_waiting(2);
    open.pop();
    assert!(matches!(first.hear(), Heard::Frame(_)), "the first that waits comes first");
    rig.wait_for_waiting(1);
    // It needs two connections, and gets neither before others have gone.
    let mut tool = rig.tools().command("TopicCommand", &["--list"]);
    let mut tool = tool.stdout(Stdio::piped()).spawn().expect("java starts");
    rig.wait_for_waiting(2);
    assert_eq!(tool.try_wait().expect("our child"), None, "it ended without the broker");
    open.truncate(COUNT - 4);
    let listed = tool.wait_with_output().expect("it ends").stdout;
    assert_eq!(String::from_utf8_lossy(&listed).trim(), rig.topic);
    open.extend([first, second]);
    open.extend((open.len()..COUNT).map(|_| rig.connect().expect("a place")));
    let late = [rig.ask(), rig.ask()];
    rig.wait_for_waiting(2);
    let limit = AlterableConfig { name: "max.connections", value: Some("99"), config_operation: 0 };
    let resource = AlterConfigsResource { resource_type: 4, resource_name: "1", configs: vec![limit] };
    let raise = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let frame = request(ApiKey::IncrementalAlterConfigs, 1, |w, version| raise.encode(w, version));
    open[0].try_call(ApiKey::IncrementalAlterConfigs, 1, &frame).expect("an answer");
    for mut connection in late {
        assert!(matches!(connection.hear(), Heard::Frame(_)), "a higher limit lets in who waits");
    }
}
