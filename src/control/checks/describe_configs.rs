//! DescribeConfigs.

use crate::alter_configs::{IncrementalAlterConfigs, IncrementalResource, KeyChange, OPERATION_SET};
use crate::checks::{assert_result, cluster, create_one, new_topic, run, with_configs};
use crate::configs::broker_definitions::BROKER;
use crate::configs::topic_definitions::TOPIC;
use crate::controller::{Command, Controller};
use crate::describe_configs::{
    DESCRIBED_SETTINGS_MAX, DescribeResource, DescribedConfig, DescribedResource, RESOURCE_BROKER,
    RESOURCE_GROUP, RESOURCE_TOPIC, describe_configs,
};
use crate::error::ErrorKind::{self, InvalidRequest, InvalidTopic, PolicyViolation, UnknownTopicOrPartition};

fn set(controller: &mut Controller, name: &str, key: &str, value: &str) {
    let changes = vec![KeyChange { key: key.into(), operation: OPERATION_SET, value: Some(value.into()) }];
    let resources = vec![IncrementalResource { resource_type: RESOURCE_BROKER, name: name.into(), changes }];
    run(
        controller,
        Command::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only: false }),
    );
}

/// Broker 1 with settings in every layer, and a topic "t" with two of its own.
fn start() -> Controller {
    let pairs = [("log.retention.hours", "2"), ("log.segment.bytes", "2000000"), ("broker.rack", "r")];
    let mut controller = cluster(2, &pairs);
    create_one(
        &mut controller,
        with_configs(new_topic("t", 1, 1), &[("segment.ms", "9"), ("retention.bytes", "10")]),
    );
    set(&mut controller, "", "log.segment.bytes", "3000000");
    set(&mut controller, "1", "log.segment.bytes", "4000000");
    set(&mut controller, "", "max.connections", "77");
    set(&mut controller, "1", "log.retention.bytes", "11");
    controller
}

fn describe(
    controller: &Controller,
    resource_type: i8,
    name: &str,
    keys: Option<&[&str]>,
) -> DescribedResource {
    let keys = keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    let resource = DescribeResource { resource_type, name: name.into(), keys };
    let mut found = describe_configs(&controller.state(), &[resource]);
    assert_eq!((found.len(), found[0].resource_type, found[0].name.as_str()), (1, resource_type, name));
    found.remove(0)
}

/// `value source [synonym=value source, ...]`, with `r` for what only a restart changes.
fn printed(config: &DescribedConfig) -> String {
    let synonyms: Vec<String> = config
        .synonyms
        .iter()
        .map(|synonym| {
            let value = synonym.value.as_deref().unwrap_or("-");
            format!("{}={value} {}", synonym.name, synonym.source.code())
        })
        .collect();
    let value = config.value.as_deref().unwrap_or("-");
    let restart = if config.read_only { " r" } else { "" };
    format!("{value} {}{restart} [{}]", config.source.code(), synonyms.join(", "))
}

#[test]
fn values_sources_and_synonyms() {
    #[track_caller]
    fn check(resource_type: i8, name: &str, key: &str, expected: &str) {
        let controller = start();
        let configs = describe(&controller, resource_type, name, Some(&[key])).result.expect("it exists");
        assert_eq!(configs.iter().map(printed).collect::<Vec<_>>().join("; "), expected);
        assert!(configs.iter().all(|config| !config.sensitive && !config.documentation.is_empty()));
    }
    // Sources: 1 topic, 2 this broker, 3 all brokers, 4 at the start, 5 built in.
    check(RESOURCE_TOPIC, "t", "segment.ms", "9 1 [segment.ms=9 1, log.roll.hours=168 5]");
    check(
        RESOURCE_TOPIC,
        "t",
        "retention.bytes",
        "10 1 [retention.bytes=10 1, log.retention.bytes=11 2, log.retention.bytes=-1 5]",
    );
    check(
        RESOURCE_TOPIC,
        "t",
        "retention.ms",
        "7200000 4 [log.retention.hours=2 4, log.retention.hours=168 5]",
    );
    check(
        RESOURCE_TOPIC,
        "t",
        "segment.bytes",
        "4000000 2 [log.segment.bytes=4000000 2, log.segment.bytes=3000000 3, log.segment.bytes=2000000 4, \
         log.segment.bytes=1073741824 5]",
    );
    check(RESOURCE_TOPIC, "t", "preallocate", "false 5 [log.preallocate=false 5]");
    check(RESOURCE_TOPIC, "t", "follower.replication.throttled.replicas", " 5 []");
    check(RESOURCE_TOPIC, "t", "no.such", "");
    check(
        RESOURCE_BROKER,
        "1",
        "max.connections",
        "77 3 [max.connections=77 3, max.connections=2147483647 5]",
    );
    check(RESOURCE_BROKER, "1", "log.retention.ms", "- 5 []");
    check(
        RESOURCE_BROKER,
        "1",
        "log.retention.hours",
        "2 4 [log.retention.hours=2 4, log.retention.hours=168 5]",
    );
    check(RESOURCE_BROKER, "1", "num.partitions", "1 5 r [num.partitions=1 5]");
    check(RESOURCE_BROKER, "1", "broker.rack", "r 4 r [broker.rack=r 4]");
    check(RESOURCE_BROKER, "1", "advertised.listeners", "- 5 r []");
    check(RESOURCE_BROKER, "", "max.connections", "77 3 [max.connections=77 3]");
    check(RESOURCE_BROKER, "", "log.segment.bytes", "3000000 3 [log.segment.bytes=3000000 3]");
    check(RESOURCE_BROKER, "", "log.retention.bytes", "");
    check(
        RESOURCE_GROUP,
        "g",
        "consumer.heartbeat.interval.ms",
        "5000 5 [group.consumer.heartbeat.interval.ms=5000 5]",
    );
}

#[test]
fn a_groups_own_settings_are_shown() {
    let mut controller = start();
    let changes = vec![KeyChange {
        key: "consumer.session.timeout.ms".into(),
        operation: OPERATION_SET,
        value: Some("50000".into()),
    }];
    let resources = vec![IncrementalResource { resource_type: RESOURCE_GROUP, name: "g".into(), changes }];
    let command = IncrementalAlterConfigs { resources, validate_only: false };
    run(&mut controller, Command::IncrementalAlterConfigs(command));
    let key = Some(&["consumer.session.timeout.ms"][..]);
    let own = describe(&controller, RESOURCE_GROUP, "g", key).result.expect("it can be named");
    assert_eq!(
        printed(&own[0]),
        "50000 8 [consumer.session.timeout.ms=50000 8, group.consumer.session.timeout.ms=45000 5]"
    );
    let other = describe(&controller, RESOURCE_GROUP, "h", None).result.expect("it can be named");
    assert_eq!(other.len(), 3);
    assert!(describe(&controller, RESOURCE_GROUP, "", None).result.is_err());
}

#[test]
fn keys_can_be_chosen() {
    #[track_caller]
    fn check(resource_type: i8, name: &str, keys: Option<&[&str]>, expected: usize) {
        let configs = describe(&start(), resource_type, name, keys).result.expect("it exists");
        assert_eq!(configs.len(), expected);
        assert!(configs.is_sorted_by(|a, b| a.name < b.name));
    }
    check(RESOURCE_TOPIC, "t", None, TOPIC.len());
    check(RESOURCE_TOPIC, "t", Some(&[]), TOPIC.len());
    check(RESOURCE_TOPIC, "t", Some(&["retention.ms", "segment.ms", "retention.ms", "x"]), 2);
    check(RESOURCE_BROKER, "1", None, BROKER.len());
    check(RESOURCE_BROKER, "", None, 2);
}

#[test]
fn resources_that_cannot_be_described() {
    #[track_caller]
    fn check(resource_type: i8, name: &str, expected: (ErrorKind, &str)) {
        assert_result(&describe(&start(), resource_type, name, None).result, Err(expected));
    }
    check(RESOURCE_TOPIC, "u", (UnknownTopicOrPartition, "named 'u'"));
    check(RESOURCE_TOPIC, "", (InvalidTopic, "empty"));
    check(RESOURCE_TOPIC, "../t", (InvalidTopic, "characters"));
    check(RESOURCE_BROKER, "2", (InvalidRequest, "unexpected broker id 2: expected 1 or an empty name"));
    check(RESOURCE_BROKER, "x", (InvalidRequest, "not a number"));
    for other in [0, 8, 127, -1] {
        check(other, "t", (InvalidRequest, "has no settings here"));
    }
}

#[test]
fn an_answer_has_a_bounded_number_of_settings() {
    let controller = start();
    let resource = DescribeResource { resource_type: RESOURCE_TOPIC, name: "t".into(), keys: None };
    let described = describe_configs(&controller.state(), &vec![resource; 20_000]);
    let whole = described.iter().filter_map(|one| one.result.as_ref().ok()).map(Vec::len);
    assert_eq!(whole.clone().count(), DESCRIBED_SETTINGS_MAX / TOPIC.len());
    assert!(whole.clone().all(|count| count == TOPIC.len()), "what is described is whole");
    assert_result(&described[19_999].result, Err((PolicyViolation, "300000 settings")));
}

#[test]
fn types_have_kafkas_codes() {
    let controller = start();
    let configs = describe(&controller, RESOURCE_TOPIC, "t", None).result.expect("it exists");
    let code = |key: &str| configs.iter().find(|config| config.name == key).map(|config| config.kind.code());
    assert_eq!(code("preallocate"), Some(1));
    assert_eq!(code("compression.type"), Some(2));
    assert_eq!(code("segment.bytes"), Some(3));
    assert_eq!(code("retention.ms"), Some(5));
    assert_eq!(code("min.cleanable.dirty.ratio"), Some(6));
    assert_eq!(code("cleanup.policy"), Some(7));
}
