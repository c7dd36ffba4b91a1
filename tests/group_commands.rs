//! Apache Kafka's tools for groups: kafka-consumer-groups with every verb, kafka-groups, kafka-console-consumer,
//! kafka-consumer-perf-test, the verifiable producer and consumer, kafka-configs and kafka-client-metrics for brokers,
//! groups and client metrics, and the formatters that take `__consumer_offsets` apart; and kcat as a member (`kcat -G`).
//!
//! The same can be run against Kafka itself (`CORELANE_TEST_ORACLE=1`), which is where the expected words come from.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use corelane_base::time::WallMs;
use corelane_log::builder::BatchBuilder;
use serde_json::Value;

use crate::clients::output_of;
use crate::groups::member::{Client, Member, Place, Program};
use crate::groups::watch::Watch;
use crate::harness::Broker;
use crate::tools::Tools;
use crate::wire_client::{self, Connection};

const GROUPS: &str = "ConsumerGroupCommand";
/// Records in each of the two partitions.
const RECORD_COUNT: i64 = 50;
/// So many of them are an hour old.
const OLD_COUNT: i64 = 25;
const HOUR_MS: i64 = 3_600_000;

/// A broker on which groups settle soon.
fn start(name: &str) -> Broker {
    let settings = [
        "group.initial.rebalance.delay.ms=0",
        "group.consumer.min.heartbeat.interval.ms=100",
        "group.consumer.heartbeat.interval.ms=500",
    ];
    let options: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
    Broker::start_fixed(name, &options)
}

/// Creates a topic of two partitions with `RECORD_COUNT` records each: the first are an hour older than the rest.
fn fill(broker: &Broker, topic: &str) {
    let mut connection = Connection::open(broker.address());
    wire_client::create_topic(&mut connection, topic, 2, &[]);
    for partition in 0..2 {
        for (range, age) in [(0..OLD_COUNT, HOUR_MS), (OLD_COUNT..RECORD_COUNT, 0)] {
            let time = WallMs(wire_client::now().0 - age);
            let mut builder = BatchBuilder::new();
            for number in range {
                builder.push(time, None, Some(format!("{partition}-{number}").as_bytes()));
            }
            let stored = wire_client::produce(&mut connection, -1, topic, partition, &builder.build());
            stored.expect("the broker takes a batch");
        }
    }
}

/// A group with one member that has read everything.
struct Read<'a> {
    tools: Tools<'a>,
    topic: String,
    group: String,
    member: Option<Member>,
}

fn read_all<'a>(broker: &'a Broker, name: &str, protocol: &'static str) -> Read<'a> {
    let suffix = std::process::id();
    let (topic, group) = (format!("{name}-topic-{suffix}"), format!("{name}-group-{suffix}"));
    fill(broker, &topic);
    let client = Client { name: "confluent", program: Program::Python("confluent_member.py"), protocol };
    let place = Place {
        bootstrap: broker.address().to_owned(),
        topic: topic.clone(),
        group: group.clone(),
        commit: "after",
        session_ms: 45_000,
        dir: broker.dir().to_owned(),
    };
    let watch: Arc<Watch> = Arc::default();
    let member = Member::start(client, &place, &watch, "reader", "");
    watch.wait("everything is read and committed", |state| {
        state.processed() == 2 * RECORD_COUNT.unsigned_abs()
            && [0, 1].iter().all(|partition| state.committed.get(partition) == Some(&RECORD_COUNT))
    });
    Read { tools: Tools { broker }, topic, group, member: Some(member) }
}

/// The cells of each line of a table that begins with `head`.
fn rows<'a>(said: &'a str, head: &str) -> Vec<Vec<&'a str>> {
    let lines = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.filter(|cells| cells.first() == Some(&head)).collect()
}

impl Read<'_> {
    /// The member leaves.
    fn leave(&mut self) {
        self.member.take().expect("it has not left before").leave();
    }

    fn with<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [arguments, &["--group", &self.group]].concat()
    }

    /// Current offset and lag of each partition, as the tool describes them.
    fn described(&self) -> Vec<(i64, i64)> {
        let said = self.tools.run(GROUPS, &self.with(&["--describe"]));
        let mut found: Vec<Vec<&str>> = rows(&said, &self.group);
        found.retain(|cells| cells[1] == self.topic);
        found.sort_by_key(|cells| cells[2].to_owned());
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} is a number in\n{said}"));
        found.iter().map(|cells| (number(cells[3]), number(cells[5]))).collect()
    }

    /// Resets offsets as told and looks what the tool says and what is committed then.
    fn reset(&self, how: &[&str], expected: [i64; 2]) {
        let scope = [&["--reset-offsets", "--topic", &self.topic], how].concat();
        let said = self.tools.run(GROUPS, &self.with(&[&scope[..], &["--execute"]].concat()));
        let mut told: Vec<Vec<&str>> = rows(&said, &self.group);
        told.sort_by_key(|cells| cells[2].to_owned());
        let told: Vec<&str> = told.iter().filter_map(|cells| cells.get(3).copied()).collect();
        assert_eq!(told, expected.map(|offset| offset.to_string()), "{how:?} printed\n{said}");
        let described = self.described();
        assert_eq!(described, expected.map(|offset| (offset, RECORD_COUNT - offset)), "after {how:?}");
    }
}

#[test]
fn kafka_list_describe_and_delete_classic_groups() {
    let broker = start("group-commands-classic");
    let mut read = read_all(&broker, "classic", "classic");
    let tools = &read.tools;
    tools.check(GROUPS, &["--list"], &[&read.group]);
    let listed = tools.run(GROUPS, &["--list", "--state"]);
    assert_eq!(rows(&listed, &read.group), [[read.group.as_str(), "Stable"]], "{listed}");
    let none = tools.run(GROUPS, &["--list", "--state", "empty"]);
    assert!(!none.contains(&read.group), "it is not empty:\n{none}");
    let listed = tools.run("GroupsCommand", &["--list"]);
    assert_eq!(rows(&listed, &read.group), [[read.group.as_str(), "Classic", "consumer"]], "{listed}");
    assert_eq!(read.described(), [(RECORD_COUNT, 0); 2]);
    let members = tools.run(GROUPS, &read.with(&["--describe", "--members", "--verbose"]));
    let row = &rows(&members, &read.group)[0];
    assert!(row[1].starts_with("reader-"), "{members}");
    assert_eq!(row[2].trim_start_matches('/'), "127.0.0.1", "{members}");
    assert_eq!(row[3], "reader", "{members}");
    assert!(members.contains(&format!("{}:0,1", read.topic)), "the assignment:\n{members}");
    let state = tools.run(GROUPS, &read.with(&["--describe", "--state"]));
    let words = ["range", "Stable", "1"];
    assert!(words.iter().all(|word| rows(&state, &read.group)[0].contains(word)), "{state}");
    let scope = ["--reset-offsets", "--to-earliest", "--execute", "--topic", &read.topic];
    tools.check_refused(GROUPS, &read.with(&scope), "only be reset if the group");
    tools.check_refused(GROUPS, &read.with(&["--delete"]), "GroupNotEmptyException");
    let scope = ["--delete-offsets", "--topic", &read.topic];
    tools.check_refused(GROUPS, &read.with(&scope), "GroupSubscribedToTopicException");
    tools.check_refused(GROUPS, &["--describe", "--group", "nobody"], "GroupIdNotFoundException");

    read.leave();
    check_empty_group(&read);
}

/// What can be done with a group once its last member has left, down to its end.
fn check_empty_group(read: &Read<'_>) {
    let Read { tools, topic, group, .. } = read;
    let run = |arguments: &[&str], expected: &[&str]| tools.check(GROUPS, &read.with(arguments), expected);
    let state = run(&["--describe", "--state"], &[]);
    assert!(rows(&state, group)[0].contains(&"Empty"), "{state}");
    run(&["--describe"], &["has no active members"]);
    // One partition's offset, the other stays.
    let one = format!("{topic}:1");
    run(&["--delete-offsets", "--topic", &one], &["Successful"]);
    let left = run(&["--describe"], &[]);
    let left: Vec<&str> = rows(&left, group).iter().map(|cells| cells[2]).collect();
    assert_eq!(left, ["0"], "only partition 0 has an offset");
    run(&["--delete"], &["was successful"]);
    let listed = tools.run(GROUPS, &["--list"]);
    assert!(!listed.contains(group.as_str()), "it is deleted:\n{listed}");
    tools.check_refused(GROUPS, &["--delete", "--group", group], "GroupIdNotFoundException");
}

#[test]
fn kafka_describe_consumer_groups() {
    let broker = start("group-commands-consumer");
    let mut read = read_all(&broker, "consumer", "consumer");
    let tools = &read.tools;
    let listed = tools.run(GROUPS, &["--list", "--type"]);
    assert_eq!(rows(&listed, &read.group), [[read.group.as_str(), "Consumer"]], "{listed}");
    let listed = tools.run("GroupsCommand", &["--list", "--group-type", "consumer"]);
    assert_eq!(rows(&listed, &read.group), [[read.group.as_str(), "Consumer", "consumer"]], "{listed}");
    assert_eq!(read.described(), [(RECORD_COUNT, 0); 2]);
    let members = tools.run(GROUPS, &read.with(&["--describe", "--members", "--verbose"]));
    assert!(rows(&members, &read.group)[0].contains(&"reader"), "{members}");
    assert!(members.contains(&format!("{}:0,1", read.topic)), "the assignment:\n{members}");
    assert!(members.contains("CURRENT-EPOCH") && members.contains("TARGET-ASSIGNMENT"), "{members}");
    let state = tools.run(GROUPS, &read.with(&["--describe", "--state", "--verbose"]));
    let words = ["uniform", "Stable", "1"];
    assert!(words.iter().all(|word| rows(&state, &read.group)[0].contains(word)), "{state}");
    tools.check_refused(GROUPS, &read.with(&["--delete"]), "GroupNotEmptyException");
    read.leave();
    read.tools.check(GROUPS, &["--delete", "--group", &read.group], &["was successful"]);
}

#[test]
fn kafka_reset_offsets() {
    let broker = start("group-commands-reset");
    let mut read = read_all(&broker, "reset", "classic");
    read.leave();
    let file = broker.dir().join("offsets.csv");
    let path = file.to_str().expect("test paths are text").to_owned();
    let dry = ["--reset-offsets", "--topic", &read.topic, "--to-earliest", "--dry-run"];
    let said = read.tools.run(GROUPS, &read.with(&dry));
    assert_eq!(rows(&said, &read.group).len(), 2, "{said}");
    assert_eq!(read.described(), [(RECORD_COUNT, 0); 2], "a dry run changes nothing");
    read.reset(&["--to-earliest"], [0, 0]);
    read.reset(&["--shift-by", "9"], [9, 9]);
    read.reset(&["--shift-by", "-4"], [5, 5]);
    read.reset(&["--to-offset", "33"], [33, 33]);
    read.reset(&["--to-current"], [33, 33]);
    read.reset(&["--by-duration", "PT30M"], [OLD_COUNT, OLD_COUNT]);
    read.reset(&["--to-latest"], [RECORD_COUNT, RECORD_COUNT]);
    read.reset(&["--to-datetime", "2001-01-01T00:00:00.000"], [0, 0]);
    read.reset(&["--to-offset", "999"], [RECORD_COUNT, RECORD_COUNT]);
    let one = format!("{}:1", read.topic);
    let only = ["--reset-offsets", "--topic", &one, "--to-offset", "7", "--execute"];
    read.tools.run(GROUPS, &read.with(&only));
    assert_eq!(read.described(), [(RECORD_COUNT, 0), (7, RECORD_COUNT - 7)]);
    let export = ["--reset-offsets", "--all-topics", "--to-current", "--dry-run", "--export"];
    let exported = read.tools.run(GROUPS, &read.with(&export));
    let lines: Vec<&str> = exported.lines().filter(|line| line.contains(&read.topic)).collect();
    assert_eq!(lines.len(), 2, "{exported}");
    fs::write(&file, lines.join("\n") + "\n").expect("writes a file of its own");
    let all = ["--reset-offsets", "--all-topics", "--to-earliest", "--execute"];
    read.tools.run(GROUPS, &read.with(&all));
    assert_eq!(read.described(), [(0, RECORD_COUNT); 2]);
    let from_file = ["--reset-offsets", "--from-file", &path, "--execute"];
    read.tools.run(GROUPS, &read.with(&from_file));
    assert_eq!(read.described(), [(RECORD_COUNT, 0), (7, RECORD_COUNT - 7)]);
    // Unknown groups get offsets too.
    let fresh = format!("{}-fresh", read.group);
    let arguments =
        ["--group", &fresh, "--reset-offsets", "--topic", &read.topic, "--to-latest", "--execute"];
    read.tools.run(GROUPS, &arguments);
    read.tools.check(GROUPS, &["--list", "--state", "empty"], &[&fresh]);
}

/// What a formatter printed: one value behind the other, and then what is not JSON.
fn values(said: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(said).into_iter().map_while(Result::ok).collect()
}

/// The JSON lines of a verifiable tool whose field `name` is `event`.
fn events(said: &str, event: &str) -> Vec<Value> {
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["name"] == event).collect()
}

#[test]
fn kafka_console_perf_and_verifiable_clients() {
    let broker = start("group-commands-clients");
    let tools = Tools { broker: &broker };
    let topic = format!("group-commands-clients-{}", std::process::id());
    wire_client::create_topic(&mut Connection::open(broker.address()), &topic, 3, &[]);
    let produce = ["--topic", &topic, "--max-messages", "1000", "--repeating-keys", "97"];
    let said = tools.run("VerifiableProducer", &produce);
    let summary = events(&said, "tool_data");
    assert_eq!((&summary[0]["sent"], &summary[0]["acked"]), (&1000.into(), &1000.into()), "{said}");

    for protocol in ["classic", "consumer"] {
        let group = format!("console-{protocol}");
        let property = format!("group.protocol={protocol}");
        let console =
            ["--topic", &topic, "--group", &group, "--command-property", &property, "--from-beginning"];
        let mut values = BTreeSet::new();
        // The second goes on where the first has stopped.
        for count in ["600", "400"] {
            let said = tools.run("ConsoleConsumer", &[&console[..], &["--max-messages", count]].concat());
            let numbers: Vec<u32> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
            assert_eq!(numbers.len().to_string(), count, "{said}");
            assert!(numbers.iter().all(|number| values.insert(*number)), "a value twice in\n{said}");
        }
        assert_eq!(values, (0..1000).collect(), "every value once");

        let group = format!("verifiable-{protocol}");
        let consumer =
            ["--topic", &topic, "--group-id", &group, "--group-protocol", protocol, "--max-messages", "1000"];
        let said = tools.run("VerifiableConsumer", &consumer);
        let consumed: i64 =
            events(&said, "records_consumed").iter().filter_map(|e| e["count"].as_i64()).sum();
        assert_eq!(consumed, 1000, "{said}");
        let assigned: usize = events(&said, "partitions_assigned")
            .iter()
            .map(|e| e["partitions"].as_array().map_or(0, Vec::len))
            .sum();
        assert_eq!(assigned, 3, "{said}");
        let committed = events(&said, "offsets_committed");
        assert!(!committed.is_empty() && committed.iter().all(|event| event["success"] == true), "{said}");
        assert_eq!(events(&said, "shutdown_complete").len(), 1, "{said}");
        let described = tools.run(GROUPS, &["--describe", "--group", &group]);
        let lags: Vec<&str> = rows(&described, &group).iter().map(|cells| cells[5]).collect();
        assert_eq!(lags, ["0"; 3], "{described}");
    }

    let perf = ["--topic", &topic, "--num-records", "1000", "--group", "perf", "--hide-header"];
    let said = tools.run("ConsumerPerformance", &perf);
    let counts = said.lines().filter_map(|line| line.split(", ").nth(4)?.parse::<u64>().ok());
    assert_eq!(counts.max(), Some(1000), "{said}");
}

#[test]
fn kafka_read_the_offsets_topic() {
    let mut broker = start("group-commands-offsets");
    let mut read = read_all(&broker, "offsets", "classic");
    read.leave();
    let (topic, group) = (read.topic.clone(), read.group.clone());
    drop(read);
    // What is read must have been on disk.
    broker.kill();
    broker.launch();
    let tools = Tools { broker: &broker };
    let console = ["--topic", "__consumer_offsets", "--from-beginning", "--timeout-ms", "10000"];
    let class = "org.apache.kafka.tools.consumer";
    let offsets = format!("{class}.OffsetsMessageFormatter");
    let (said, _) = tools.try_run("ConsoleConsumer", &[&console[..], &["--formatter", &offsets]].concat());
    let lines = values(&said);
    let last = |partition: i64| {
        let of = |line: &&Value| {
            let key = &line["key"]["data"];
            key["group"] == group.as_str() && key["topic"] == topic.as_str() && key["partition"] == partition
        };
        lines.iter().rfind(of).map(|line| line["value"]["data"]["offset"].clone())
    };
    assert_eq!([last(0), last(1)], [Some(RECORD_COUNT.into()), Some(RECORD_COUNT.into())], "{said}");
    let metadata = format!("{class}.GroupMetadataMessageFormatter");
    let (said, _) = tools.try_run("ConsoleConsumer", &[&console[..], &["--formatter", &metadata]].concat());
    let lines = values(&said);
    let of_group = |line: &&Value| line["key"]["data"]["group"] == group.as_str();
    let states: Vec<&Value> = lines.iter().filter(of_group).map(|line| &line["value"]["data"]).collect();
    assert!(states.iter().any(|state| state["members"][0]["clientId"] == "reader"), "{said}");
    assert!(states.iter().any(|state| state["protocol"] == "range"), "{said}");
    let last = states.last().unwrap_or_else(|| panic!("records of {group}:\n{said}"));
    assert_eq!(last["members"].as_array().map(Vec::len), Some(0), "empty at the end:\n{said}");
    tools.check(
        "TopicCommand",
        &["--describe", "--topic", "__consumer_offsets"],
        &["cleanup.policy=compact"],
    );
}

#[test]
fn kcat_lists_and_is_a_member() {
    let broker = start("group-commands-kcat");
    let topic = format!("group-commands-kcat-{}", std::process::id());
    fill(&broker, &topic);
    let kcat = |arguments: &[&str]| {
        let mut command = Command::new("kcat");
        command.args(["-b", broker.address()]).args(arguments).stdin(Stdio::null());
        let (said, failed) = output_of(&mut command);
        assert!(!failed, "kcat {arguments:?} failed:\n{said}");
        said
    };
    let said = kcat(&["-L"]);
    assert!(said.contains(&format!("topic \"{topic}\" with 2 partitions")), "{said}");
    for strategy in ["range", "cooperative-sticky"] {
        let group = format!("kcat-{strategy}");
        let strategy = format!("partition.assignment.strategy={strategy}");
        let settings = ["-X", &strategy, "-X", "auto.offset.reset=earliest", "-f", "value %s\\n", "-e"];
        let said = kcat(&[&["-G", &group, &topic], &settings[..]].concat());
        let values = said.lines().filter(|line| line.starts_with("value "));
        assert_eq!(values.count() as i64, 2 * RECORD_COUNT, "{said}");
        assert!(said.contains(&format!("Group {group} rebalanced")), "{said}");
        assert!(said.contains(&format!("{topic} [0]")) && said.contains(&format!("{topic} [1]")), "{said}");
        // Everything was committed when it left.
        let said = kcat(&[&["-G", &group, &topic], &settings[..]].concat());
        assert_eq!(said.lines().filter(|line| line.starts_with("value ")).count(), 0, "{said}");
    }
}

#[test]
fn kafka_configs_of_brokers_groups_and_client_metrics() {
    let broker = start("group-commands-configs");
    let tools = Tools { broker: &broker };
    let configs = "ConfigCommand";
    let check = |entity: &[&str], add: &str, delete: &str, seen: &str| {
        tools.check(configs, &[&["--alter", "--add-config", add], entity].concat(), &["Completed updating"]);
        tools.check(configs, &[&["--describe"], entity].concat(), &[seen]);
        tools.check(
            configs,
            &[&["--alter", "--delete-config", delete], entity].concat(),
            &["Completed updating"],
        );
        let left = tools.run(configs, &[&["--describe"], entity].concat());
        assert!(!left.contains(seen), "{delete} is the default again:\n{left}");
    };
    let retention = "log.retention.ms=123456789";
    check(&["--entity-type", "brokers", "--entity-default"], retention, "log.retention.ms", retention);
    check(&["--entity-type", "brokers", "--entity-name", "1"], retention, "log.retention.ms", retention);
    let session = "consumer.session.timeout.ms=50000";
    let group = ["--entity-type", "groups", "--entity-name", "some-group"];
    check(&group, session, "consumer.session.timeout.ms", session);
    let interval = "interval.ms=10000";
    let metrics = ["--entity-type", "client-metrics", "--entity-name", "some-metrics"];
    check(&metrics, interval, "interval.ms", interval);
    let wrong = [&["--alter", "--add-config", "consumer.session.timeout.ms=1"], &group[..]].concat();
    tools.check_refused(configs, &wrong, "InvalidConfigurationException");
    let wrong = [&["--alter", "--add-config", "nonsense=1"], &metrics[..]].concat();
    tools.check_refused(configs, &wrong, "InvalidRequestException");

    let named = ["--name", "other-metrics"];
    let alter = ["--alter", "--metrics", "org.apache.kafka.consumer.", "--interval", "20000"];
    tools.check("ClientMetricsCommand", &[&alter[..], &named].concat(), &["Altered client metrics config"]);
    tools.check("ClientMetricsCommand", &["--list"], &["other-metrics"]);
    tools.check("ClientMetricsCommand", &[&["--describe"], &named[..]].concat(), &["interval.ms=20000"]);
    tools.check("ClientMetricsCommand", &[&["--delete"], &named[..]].concat(), &["Deleted client metrics"]);
    let left = tools.run("ClientMetricsCommand", &["--list"]);
    assert!(!left.contains("other-metrics"), "{left}");
}
