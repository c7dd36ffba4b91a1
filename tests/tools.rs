//! Apache Kafka's own command-line tools against the broker, run as the classes that its shell scripts run:
//! kafka-topics, kafka-configs, kafka-get-offsets, kafka-delete-records, kafka-log-dirs,
//! kafka-console-producer and kafka-producer-perf-test, the last two with 100,000 records each.
//!
//! What is compared is what the tools print, word for word where it matters; against Kafka itself
//! (`CORELANE_TEST_BOOTSTRAP`) the same test passes.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::clients::{java, output_of};
use crate::fetched;
use crate::harness::Broker;

/// Records that each producing tool writes.
const RECORD_COUNT: u64 = 100_000;
/// Where the log of partition 0 begins after `kafka-delete-records`.
const DELETED_BEFORE: i64 = 1_234;

/// Runs tools against a broker.
pub struct Tools<'a> {
    /// The broker.
    pub broker: &'a Broker,
}

/// A few of them have packages of their own.
fn package(class: &str) -> &'static str {
    match class {
        "ConfigCommand" => "kafka.admin",
        "ConsoleConsumer" => "org.apache.kafka.tools.consumer",
        "ConsumerGroupCommand" => "org.apache.kafka.tools.consumer.group",
        _ => "org.apache.kafka.tools",
    }
}

impl Tools<'_> {
    /// One tool, to be run.
    pub fn command(&self, class: &str, arguments: &[&str]) -> Command {
        let mut command = java();
        command.arg(format!("{}.{class}", package(class)));
        command.args(["--bootstrap-server", self.broker.address()]).args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs one tool; what it printed, and whether it failed.
    pub fn try_run(&self, class: &str, arguments: &[&str]) -> (String, bool) {
        let (said, failed) = output_of(&mut self.command(class, arguments));
        println!("$ {class} {}\n{said}", arguments.join(" "));
        (said, failed)
    }

    /// Runs one tool that must end well.
    pub fn run(&self, class: &str, arguments: &[&str]) -> String {
        let (said, failed) = self.try_run(class, arguments);
        assert!(!failed, "{class} {arguments:?} failed:\n{said}");
        said
    }

    /// As `run`; the output must hold every one of `expected`.
    pub fn check(&self, class: &str, arguments: &[&str], expected: &[&str]) -> String {
        let said = self.run(class, arguments);
        for part in expected {
            assert!(said.contains(part), "{class} {arguments:?} should print {part:?}, printed:\n{said}");
        }
        said
    }

    /// As `try_run`; the tool must fail and say `expected`.
    pub fn check_refused(&self, class: &str, arguments: &[&str], expected: &str) {
        let (said, _) = self.try_run(class, arguments);
        assert!(said.contains(expected), "{class} {arguments:?} should print {expected:?}, printed:\n{said}");
    }

    /// `kafka-get-offsets`: partition to offset.
    pub fn offsets(&self, topic: &str, time: &str) -> HashMap<i32, i64> {
        let said = self.run("GetOffsetShell", &["--topic", topic, "--time", time]);
        let mut found = HashMap::new();
        for line in said.lines() {
            let parts: Vec<&str> = line.split(':').collect();
            if let [name, partition, offset] = parts[..]
                && name == topic
                && let (Ok(partition), Ok(offset)) = (partition.parse(), offset.parse())
            {
                found.insert(partition, offset);
            }
        }
        found
    }
}

/// A topic name of this test, distinct even on an outside broker that was used before.
fn topic(name: &str) -> String {
    format!("tools-{name}-{}", std::process::id())
}

#[test]
fn kafka_configs_of_loggers() {
    let broker = Broker::start("tools-loggers");
    let tools = Tools { broker: &broker };
    let configs = "ConfigCommand";
    let entity = ["--entity-type", "broker-loggers", "--entity-name", "1"];
    let set = |level: &'static str| [&["--alter", "--add-config", level], &entity[..]].concat();
    tools.check(configs, &set("root=DEBUG"), &["Completed updating config for broker-logger"]);
    tools.check(configs, &[&["--describe"], &entity[..]].concat(), &["root=DEBUG"]);
    tools.check_refused(configs, &set("root=LOUD"), "InvalidConfigurationException");
    tools.check_refused(configs, &set("no.such.logger=INFO"), "Invalid broker logger(s)");
    tools.check(configs, &set("root=INFO"), &["Completed updating config for broker-logger"]);
    tools.check(configs, &[&["--describe"], &entity[..]].concat(), &["root=INFO"]);
}

#[test]
fn kafka_topics_and_configs() {
    let broker = Broker::start("tools-topics");
    let tools = Tools { broker: &broker };
    let (one, two) = (topic("one"), topic("two"));
    let topics = "TopicCommand";
    let create = ["--create", "--topic", &one, "--partitions", "3", "--replication-factor", "1"];
    let with_config = [&create[..], &["--config", "retention.ms=3600000"]].concat();
    tools.check(topics, &with_config, &[&format!("Created topic {one}.")]);
    tools.check_refused(topics, &create, "TopicExistsException");
    tools.check(topics, &[&create[..], &["--if-not-exists"]].concat(), &[]);
    tools.check(topics, &["--create", "--topic", &two], &[&format!("Created topic {two}.")]);
    tools.check(topics, &["--list"], &[&one, &two]);
    let described =
        ["PartitionCount: 3", "ReplicationFactor: 1", "retention.ms=3600000", "Partition: 2\tLeader: 1"];
    tools.check(topics, &["--describe", "--topic", &one], &described);
    tools.check(topics, &["--alter", "--topic", &one, "--partitions", "5"], &[]);
    tools.check(topics, &["--describe", "--topic", &one], &["PartitionCount: 5", "Partition: 4\tLeader: 1"]);
    tools.check_refused(
        topics,
        &["--alter", "--topic", &one, "--partitions", "2"],
        "InvalidPartitionsException",
    );

    let configs = "ConfigCommand";
    let entity = ["--entity-type", "topics", "--entity-name", &one];
    let add = [&["--alter", "--add-config", "retention.ms=7200000,max.message.bytes=2000000"], &entity[..]]
        .concat();
    tools.check(configs, &add, &["Completed updating config for topic"]);
    let describe = [&["--describe"], &entity[..]].concat();
    let dynamic = ["retention.ms=7200000", "max.message.bytes=2000000", "DYNAMIC_TOPIC_CONFIG"];
    tools.check(configs, &describe, &dynamic);
    let all = ["cleanup.policy=delete", "retention.ms=7200000", "min.insync.replicas=1", "DEFAULT_CONFIG"];
    tools.check(configs, &[&describe[..], &["--all"]].concat(), &all);
    let remove = [&["--alter", "--delete-config", "retention.ms"], &entity[..]].concat();
    tools.check(configs, &remove, &["Completed updating config for topic"]);
    let left = tools.check(configs, &describe, &["max.message.bytes=2000000"]);
    assert!(!left.contains("retention.ms="), "retention.ms is the default again:\n{left}");
    let wrong = [&["--alter", "--add-config", "retention.ms=soon"], &entity[..]].concat();
    tools.check_refused(configs, &wrong, "InvalidConfigurationException");
    let broker_entity = ["--describe", "--all", "--entity-type", "brokers", "--entity-name", "1"];
    tools.check(configs, &broker_entity, &["num.partitions=", "log.retention.hours="]);

    tools.check(topics, &["--delete", "--topic", &one], &[]);
    let left = tools.check(topics, &["--list"], &[&two]);
    assert!(!left.contains(&one), "{one} is deleted:\n{left}");
    tools.check_refused(topics, &["--delete", "--topic", &one], "does not exist as expected");
    tools.check(topics, &["--delete", "--topic", &two], &[]);
}

#[test]
fn kafka_producers_offsets_deletes_and_log_dirs() {
    let broker = Broker::start("tools-records");
    let tools = Tools { broker: &broker };
    let topic = topic("records");
    tools.run(
        "TopicCommand",
        &["--create", "--topic", &topic, "--partitions", "2", "--replication-factor", "1"],
    );

    let count = RECORD_COUNT.to_string();
    let perf = ["--topic", &topic, "--num-records", &count, "--record-size", "200", "--throughput", "-1"];
    tools.check("ProducerPerformance", &perf, &["100000 records sent", "99.9th"]);
    let sum = |offsets: &HashMap<i32, i64>| offsets.values().sum::<i64>().unsigned_abs();
    let ends = tools.offsets(&topic, "latest");
    assert_eq!((ends.len(), sum(&ends)), (2, RECORD_COUNT), "{ends:?}");
    assert_eq!(tools.offsets(&topic, "earliest"), HashMap::from([(0, 0), (1, 0)]));
    // Far in the future nothing is found: the tool then prints no offset.
    assert_eq!(tools.offsets(&topic, "9999999999999"), HashMap::new());
    assert_eq!(tools.offsets(&topic, "0"), HashMap::from([(0, 0), (1, 0)]), "everything is newer than 1970");

    check_console_producer(&tools, &broker, &topic);
    let stored: u64 = fetched::batches(broker.address(), &topic).iter().map(|batch| batch.record_count).sum();
    assert_eq!(stored, 2 * RECORD_COUNT);
    check_delete_records(&tools, broker.dir(), &topic);
    check_log_dirs(&tools, &topic);
    tools.run("TopicCommand", &["--delete", "--topic", &topic]);
}

/// 100,000 lines through `kafka-console-producer`.
fn check_console_producer(tools: &Tools<'_>, broker: &Broker, topic: &str) {
    let mut lines = String::new();
    for number in 0..RECORD_COUNT {
        writeln!(lines, "key-{}\tvalue number {number}", number % 1000).expect("a String takes everything");
    }
    let file = broker.dir().join("lines");
    fs::write(&file, lines).expect("writes a file of its own");
    let mut command = java();
    command.args(["org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", broker.address()]);
    command.args(["--topic", topic, "--reader-property", "parse.key=true", "--compression-codec", "zstd"]);
    command.stdin(fs::File::open(&file).expect("opens the file just written"));
    let (said, failed) = output_of(&mut command);
    assert!(!failed, "ConsoleProducer failed:\n{said}");
    let sum: i64 = tools.offsets(topic, "latest").values().sum();
    assert_eq!(sum.unsigned_abs(), 2 * RECORD_COUNT, "ConsoleProducer said:\n{said}");
}

/// `kafka-delete-records` moves the log's begin, and only where it was told to.
fn check_delete_records(tools: &Tools<'_>, dir: &Path, topic: &str) {
    let file = dir.join("delete.json");
    let partition = |offset: i64| {
        format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":{offset}}}],"version":1}}"#)
    };
    fs::write(&file, partition(DELETED_BEFORE)).expect("writes a file of its own");
    let path = file.to_str().expect("test paths are text");
    let expected = format!("partition: {topic}-0\tlow_watermark: {DELETED_BEFORE}");
    tools.check("DeleteRecordsCommand", &["--offset-json-file", path], &[&expected]);
    assert_eq!(tools.offsets(topic, "earliest"), HashMap::from([(0, DELETED_BEFORE), (1, 0)]));
    fs::write(&file, partition(i64::MAX)).expect("writes a file of its own");
    let beyond = "OffsetOutOfRangeException";
    tools.check_refused("DeleteRecordsCommand", &["--offset-json-file", path], beyond);
    fs::write(&file, partition(-1)).expect("writes a file of its own");
    let ends = tools.offsets(topic, "latest");
    tools.run("DeleteRecordsCommand", &["--offset-json-file", path]);
    assert_eq!(
        tools.offsets(topic, "earliest"),
        HashMap::from([(0, ends[&0]), (1, 0)]),
        "-1 deletes up to the end"
    );
}

/// `kafka-log-dirs` prints JSON with both partitions and a size above what partition 1 holds.
fn check_log_dirs(tools: &Tools<'_>, topic: &str) {
    let said = tools.run("LogDirsCommand", &["--describe", "--topic-list", topic]);
    for part in [format!("\"partition\":\"{topic}-0\""), format!("\"partition\":\"{topic}-1\"")] {
        assert!(said.contains(&part), "kafka-log-dirs should print {part:?}, printed:\n{said}");
    }
    let sizes = said.split("\"size\":").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().expect("a size is a number")
    });
    let largest = sizes.max().expect("at least one size");
    assert!(largest > 1_000_000, "the records of partition 1 take megabytes, not {largest} bytes");
    assert!(said.contains("\"error\":null"), "no error in the directory:\n{said}");
}
