//! AlterConfigs and IncrementalAlterConfigs.

use crate::alter_configs::{
    AlterConfigs, AlterResource, IncrementalAlterConfigs, IncrementalResource, KeyChange, OPERATION_APPEND,
    OPERATION_DELETE, OPERATION_SET, OPERATION_SUBTRACT,
};
use crate::checks::{assert_result, cluster, create_one, new_topic, run, run_for_records, with_configs};
use crate::configs::definition::Overrides;
use crate::controller::{Answer, Command, Controller};
use crate::describe_configs::{RESOURCE_BROKER, RESOURCE_GROUP, RESOURCE_TOPIC};
use crate::error::ErrorKind::{
    self, InvalidConfig, InvalidRequest, InvalidTopic, PolicyViolation, UnknownTopicOrPartition,
};
use crate::error::Refusal;
use corelane_base::id::BrokerId;

const SET: i8 = OPERATION_SET;
const DELETE: i8 = OPERATION_DELETE;
const APPEND: i8 = OPERATION_APPEND;
const SUBTRACT: i8 = OPERATION_SUBTRACT;

/// A topic "t" with two settings of its own.
fn start() -> Controller {
    let mut controller = cluster(1, &[("log.cleaner.max.compaction.lag.ms", "1000")]);
    let topic = with_configs(new_topic("t", 1, 1), &[("retention.ms", "5"), ("cleanup.policy", "compact")]);
    create_one(&mut controller, topic);
    controller
}

fn printed(overrides: &Overrides) -> String {
    overrides.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

/// The own settings of a resource after a command.
fn own(controller: &Controller, resource_type: i8, name: &str) -> String {
    let image = controller.image();
    printed(match (resource_type, name) {
        (RESOURCE_TOPIC, name) => &image.topic(name).expect("it exists").overrides,
        (RESOURCE_GROUP, name) => image.group_overrides(name),
        (_, "") => image.broker_overrides(None),
        (_, _) => image.broker_overrides(Some(BrokerId(1))),
    })
}

fn change(key: &str, operation: i8, value: Option<&str>) -> KeyChange {
    KeyChange { key: key.into(), operation, value: value.map(Into::into) }
}

fn incremental(
    controller: &mut Controller,
    resource_type: i8,
    name: &str,
    changes: &[(&str, i8, Option<&str>)],
) -> Result<(), Refusal> {
    let changes = changes.iter().map(|(key, operation, value)| change(key, *operation, *value)).collect();
    let resources = vec![IncrementalResource { resource_type, name: name.into(), changes }];
    let command =
        Command::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only: false });
    let Answer::IncrementalAlterConfigs(mut results) = run(controller, command) else { panic!() };
    assert_eq!((results.len(), results[0].resource_type, results[0].name.as_str()), (1, resource_type, name));
    results.remove(0).result
}

#[test]
fn incremental_changes_of_a_topic() {
    #[track_caller]
    fn check(changes: &[(&str, i8, Option<&str>)], expected: Result<&str, (ErrorKind, &str)>) {
        let mut controller = start();
        let before = controller.image().clone();
        let result = incremental(&mut controller, RESOURCE_TOPIC, "t", changes);
        assert_result(&result, expected.map(|_| ()));
        match expected {
            Ok(after) => assert_eq!(own(&controller, RESOURCE_TOPIC, "t"), after),
            Err(_) => assert_eq!(*controller.image(), before),
        }
    }
    const OLD: &str = "cleanup.policy=compact retention.ms=5";
    check(&[], Ok(OLD));
    check(&[("retention.ms", SET, Some("6"))], Ok("cleanup.policy=compact retention.ms=6"));
    check(&[("retention.ms", SET, Some(" 6 "))], Ok("cleanup.policy=compact retention.ms=6"));
    check(&[("retention.ms", SET, Some("5"))], Ok(OLD));
    check(&[("retention.ms", DELETE, None)], Ok("cleanup.policy=compact"));
    check(&[("retention.ms", DELETE, Some("whatever"))], Ok("cleanup.policy=compact"));
    check(&[("segment.ms", DELETE, None)], Ok(OLD));
    check(&[("no.such.key", DELETE, None)], Ok(OLD));
    check(&[("segment.ms", SET, Some("9"))], Ok("cleanup.policy=compact retention.ms=5 segment.ms=9"));
    check(&[("cleanup.policy", APPEND, Some("delete"))], Ok("cleanup.policy=compact,delete retention.ms=5"));
    check(&[("cleanup.policy", APPEND, Some("compact"))], Ok(OLD));
    check(&[("cleanup.policy", APPEND, Some(""))], Ok(OLD));
    check(&[("cleanup.policy", SUBTRACT, Some("compact"))], Ok("cleanup.policy= retention.ms=5"));
    check(&[("cleanup.policy", SUBTRACT, Some("delete"))], Ok(OLD));
    check(
        &[("leader.replication.throttled.replicas", APPEND, Some("0:1,1:1"))],
        Ok("cleanup.policy=compact leader.replication.throttled.replicas=0:1,1:1 retention.ms=5"),
    );
    check(
        &[("retention.ms", DELETE, None), ("segment.ms", SET, Some("9"))],
        Ok("cleanup.policy=compact segment.ms=9"),
    );
    check(&[("retention.ms", SET, Some("x"))], Err((InvalidConfig, "'x' for configuration retention.ms")));
    check(&[("segment.ms", SET, Some("0"))], Err((InvalidConfig, "at least 1")));
    check(&[("no.such.key", SET, Some("1"))], Err((InvalidConfig, "named 'no.such.key'")));
    check(&[("log.retention.ms", SET, Some("1"))], Err((InvalidConfig, "named 'log.retention.ms'")));
    check(&[("cleanup.policy", APPEND, Some("archive"))], Err((InvalidConfig, "compact, delete")));
    check(&[("retention.ms", APPEND, Some("1"))], Err((InvalidConfig, "is not a list")));
    check(&[("retention.ms", SUBTRACT, Some("1"))], Err((InvalidConfig, "is not a list")));
    check(&[("no.such.key", APPEND, Some("1"))], Err((InvalidConfig, "named 'no.such.key'")));
    check(&[("retention.ms", SET, None)], Err((InvalidRequest, "retention.ms has a null value")));
    check(&[("cleanup.policy", APPEND, None)], Err((InvalidRequest, "null value")));
    check(&[("retention.ms", 4, Some("1"))], Err((InvalidRequest, "operation 4")));
    check(&[("retention.ms", -1, Some("1"))], Err((InvalidRequest, "operation -1")));
    check(
        &[("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)],
        Err((InvalidRequest, "more than once")),
    );
    // Nothing of a resource changes if one key is wrong.
    check(&[("segment.ms", SET, Some("9")), ("retention.ms", SET, Some("x"))], Err((InvalidConfig, "'x'")));
    // Checked against the broker's setting of 1000.
    check(&[("min.compaction.lag.ms", SET, Some("1001"))], Err((InvalidConfig, "which is 1000")));
    check(
        &[("min.compaction.lag.ms", SET, Some("1001")), ("max.compaction.lag.ms", SET, Some("2000"))],
        Ok("cleanup.policy=compact max.compaction.lag.ms=2000 min.compaction.lag.ms=1001 retention.ms=5"),
    );
}

#[test]
fn appending_begins_with_the_default() {
    let mut controller = cluster(1, &[]);
    create_one(&mut controller, new_topic("t", 1, 1));
    incremental(&mut controller, RESOURCE_TOPIC, "t", &[("cleanup.policy", APPEND, Some("compact"))])
        .expect("valid");
    assert_eq!(own(&controller, RESOURCE_TOPIC, "t"), "cleanup.policy=delete,compact");
    incremental(&mut controller, RESOURCE_TOPIC, "t", &[("cleanup.policy", SUBTRACT, Some("delete"))])
        .expect("valid");
    assert_eq!(own(&controller, RESOURCE_TOPIC, "t"), "cleanup.policy=compact");
}

#[test]
fn incremental_changes_of_brokers() {
    #[track_caller]
    fn check(name: &str, changes: &[(&str, i8, Option<&str>)], expected: Result<&str, (ErrorKind, &str)>) {
        let mut controller = start();
        let result = incremental(&mut controller, RESOURCE_BROKER, name, changes);
        assert_result(&result, expected.map(|_| ()));
        assert_eq!(own(&controller, RESOURCE_BROKER, name), expected.unwrap_or_default());
        let other = if name.is_empty() { "1" } else { "" };
        assert_eq!(own(&controller, RESOURCE_BROKER, other), "");
    }
    check("", &[("log.retention.ms", SET, Some("7"))], Ok("log.retention.ms=7"));
    check("1", &[("log.retention.ms", SET, Some("7"))], Ok("log.retention.ms=7"));
    check("1", &[("max.connections", SET, Some("0"))], Ok("max.connections=0"));
    check("", &[("log.cleanup.policy", APPEND, Some("compact"))], Ok("log.cleanup.policy=delete,compact"));
    check("", &[("corelane.durability", SET, Some("write"))], Ok("corelane.durability=write"));
    check("1", &[("corelane.memory.bytes", SET, Some("67108864"))], Ok("corelane.memory.bytes=67108864"));
    check(
        "",
        &[("corelane.memory.bytes", SET, Some("67108863"))],
        Err((InvalidRequest, "at least 67108864")),
    );
    check("", &[("max.connections.per.ip", SET, Some("0"))], Err((InvalidRequest, "above 0 unless")));
    check(
        "",
        &[
            ("max.connections.per.ip", SET, Some("0")),
            ("max.connections.per.ip.overrides", SET, Some("127.0.0.1:9")),
        ],
        Ok("max.connections.per.ip=0 max.connections.per.ip.overrides=127.0.0.1:9"),
    );
    check(
        "",
        &[("max.connections.per.ip.overrides", SET, Some("nobody:9"))],
        Err((InvalidRequest, "'nobody:9' must be an IP address and a number")),
    );
    check(
        "",
        &[("num.partitions", SET, Some("2"))],
        Err((InvalidRequest, "cannot change while the broker runs")),
    );
    check("1", &[("listeners", SET, Some("A://h:1"))], Err((InvalidRequest, "cannot change")));
    check("1", &[("node.id", DELETE, None)], Ok(""));
    check(
        "",
        &[("max.connections", SET, Some("-1"))],
        Err((InvalidRequest, "'-1' for configuration max.connections")),
    );
    check("", &[("no.such", SET, Some("1"))], Err((InvalidConfig, "no broker setting is named 'no.such'")));
    check("", &[("retention.ms", SET, Some("1"))], Err((InvalidConfig, "named 'retention.ms'")));
    check("", &[("max.connections", APPEND, Some("1"))], Err((InvalidConfig, "is not a list")));
    check(
        "",
        &[("log.cleaner.min.compaction.lag.ms", SET, Some("1001"))],
        Err((InvalidRequest, "which is 1000")),
    );
    check(
        "",
        &[
            ("log.cleaner.min.compaction.lag.ms", SET, Some("1001")),
            ("log.cleaner.max.compaction.lag.ms", SET, Some("1002")),
        ],
        Ok("log.cleaner.max.compaction.lag.ms=1002 log.cleaner.min.compaction.lag.ms=1001"),
    );
}

#[test]
fn incremental_changes_of_groups() {
    #[track_caller]
    fn check(changes: &[(&str, i8, Option<&str>)], expected: Result<&str, (ErrorKind, &str)>) {
        let mut controller = start();
        let result = incremental(&mut controller, RESOURCE_GROUP, "g", changes);
        assert_result(&result, expected.map(|_| ()));
        assert_eq!(own(&controller, RESOURCE_GROUP, "g"), expected.unwrap_or_default());
        assert_eq!(own(&controller, RESOURCE_GROUP, "h"), "");
    }
    let session = "consumer.session.timeout.ms";
    let heartbeat = "consumer.heartbeat.interval.ms";
    check(&[(session, SET, Some("50000"))], Ok("consumer.session.timeout.ms=50000"));
    check(&[("consumer.assignment.interval.ms", SET, Some("0"))], Ok("consumer.assignment.interval.ms=0"));
    check(
        &[(heartbeat, SET, Some("6000")), (heartbeat, SET, Some("7"))],
        Err((InvalidRequest, "more than once")),
    );
    check(&[(heartbeat, DELETE, None)], Ok(""));
    // The broker's limits: 45 to 60 s, and 5 to 15 s.
    check(&[(session, SET, Some("44999"))], Err((InvalidConfig, "between 45000 and 60000")));
    check(&[(session, SET, Some("60001"))], Err((InvalidConfig, "between 45000 and 60000")));
    check(&[(heartbeat, SET, Some("4999"))], Err((InvalidConfig, "between 5000 and 15000")));
    check(&[(heartbeat, SET, Some("x"))], Err((InvalidConfig, "whole number")));
    check(
        &[("retention.ms", SET, Some("1"))],
        Err((InvalidConfig, "no group setting is named 'retention.ms'")),
    );
    let mut controller = cluster(1, &[("group.consumer.min.session.timeout.ms", "100")]);
    let result = incremental(&mut controller, RESOURCE_GROUP, "g", &[(session, SET, Some("5000"))]);
    assert_result(
        &result,
        Err((InvalidConfig, "must be more than consumer.heartbeat.interval.ms, which is 5000")),
    );
    incremental(&mut controller, RESOURCE_GROUP, "g", &[(session, SET, Some("5001"))]).expect("valid");
    incremental(&mut controller, RESOURCE_GROUP, "g", &[(session, DELETE, None)]).expect("valid");
    assert_eq!(controller.image().configured_groups().count(), 0);
}

#[test]
fn resources_that_do_not_exist() {
    #[track_caller]
    fn check(resource_type: i8, name: &str, expected: (ErrorKind, &str)) {
        let mut controller = start();
        assert_result(&incremental(&mut controller, resource_type, name, &[]), Err(expected));
    }
    check(RESOURCE_TOPIC, "", (InvalidRequest, "must be named"));
    check(RESOURCE_TOPIC, "u", (UnknownTopicOrPartition, "named 'u'"));
    check(RESOURCE_TOPIC, "a/b", (InvalidTopic, "characters"));
    check(RESOURCE_BROKER, "2", (InvalidRequest, "unexpected broker id 2: expected 1"));
    check(RESOURCE_BROKER, "-1", (InvalidRequest, "-1"));
    check(RESOURCE_BROKER, "one", (InvalidRequest, "'one' is not a number"));
    check(RESOURCE_BROKER, "99999999999", (InvalidRequest, "not a number"));
    check(RESOURCE_GROUP, "", (InvalidRequest, "must be named"));
    for other in [0, 1, 3, 8, -128, 127] {
        check(other, "t", (InvalidRequest, "has no settings here"));
    }
}

#[test]
fn whole_replacement() {
    #[track_caller]
    fn check(
        resource_type: i8,
        name: &str,
        configs: &[(&str, Option<&str>)],
        expected: Result<&str, (ErrorKind, &str)>,
    ) {
        let mut controller = start();
        incremental(&mut controller, RESOURCE_BROKER, "", &[("log.roll.ms", SET, Some("3"))]).expect("valid");
        let before = controller.image().clone();
        let configs = configs.iter().map(|(key, value)| ((*key).into(), value.map(Into::into))).collect();
        let resources = vec![AlterResource { resource_type, name: name.into(), configs }];
        let command = Command::AlterConfigs(AlterConfigs { resources, validate_only: false });
        let Answer::AlterConfigs(results) = run(&mut controller, command) else { panic!() };
        assert_result(&results[0].result, expected.map(|_| ()));
        match expected {
            Ok(after) => assert_eq!(own(&controller, resource_type, name), after),
            Err(_) => assert_eq!(*controller.image(), before),
        }
    }
    check(RESOURCE_TOPIC, "t", &[], Ok(""));
    check(RESOURCE_TOPIC, "t", &[("segment.ms", Some("9"))], Ok("segment.ms=9"));
    check(RESOURCE_TOPIC, "t", &[("retention.ms", Some("5"))], Ok("retention.ms=5"));
    check(RESOURCE_TOPIC, "t", &[("segment.ms", Some("0"))], Err((InvalidConfig, "at least 1")));
    check(RESOURCE_TOPIC, "t", &[("no.such", Some("0"))], Err((InvalidConfig, "named 'no.such'")));
    check(RESOURCE_TOPIC, "t", &[("segment.ms", None)], Err((InvalidRequest, "null value")));
    check(
        RESOURCE_TOPIC,
        "t",
        &[("segment.ms", Some("1")), ("segment.ms", Some("2"))],
        Err((InvalidRequest, "more than once")),
    );
    check(RESOURCE_BROKER, "", &[], Ok(""));
    check(RESOURCE_BROKER, "", &[("log.retention.ms", Some("4"))], Ok("log.retention.ms=4"));
    check(RESOURCE_BROKER, "1", &[("log.retention.ms", Some("4"))], Ok("log.retention.ms=4"));
    check(RESOURCE_BROKER, "", &[("node.id", Some("4"))], Err((InvalidRequest, "cannot change")));
    check(RESOURCE_BROKER, "7", &[], Err((InvalidRequest, "unexpected broker id 7")));
}

#[test]
fn several_resources() {
    let mut controller = start();
    create_one(&mut controller, new_topic("u", 1, 1));
    create_one(&mut controller, new_topic("v", 1, 1));
    let resource = |resource_type, name: &str, key: &str| IncrementalResource {
        resource_type,
        name: name.into(),
        changes: vec![change(key, SET, Some("8"))],
    };
    let resources = vec![
        resource(RESOURCE_TOPIC, "u", "segment.ms"),
        resource(RESOURCE_TOPIC, "v", "segment.ms"),
        resource(RESOURCE_TOPIC, "nobody", "segment.ms"),
        resource(RESOURCE_TOPIC, "v", "retention.ms"),
        resource(RESOURCE_BROKER, "", "log.roll.ms"),
        resource(RESOURCE_BROKER, "1", "no.such"),
    ];
    let validate = IncrementalAlterConfigs { resources: resources.clone(), validate_only: true };
    let (Answer::IncrementalAlterConfigs(would), records) =
        run_for_records(&mut controller, Command::IncrementalAlterConfigs(validate))
    else {
        panic!()
    };
    assert_eq!(records, []);
    let command =
        Command::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only: false });
    let (Answer::IncrementalAlterConfigs(results), records) = run_for_records(&mut controller, command)
    else {
        panic!()
    };
    assert_eq!(would, results);
    assert_eq!(records.len(), 2);
    let expected = [
        Ok(()),
        Err((InvalidRequest, "the resource occurs more than once")),
        Err((UnknownTopicOrPartition, "")),
        Err((InvalidRequest, "the resource occurs more than once")),
        Ok(()),
        Err((InvalidConfig, "")),
    ];
    for (found, expected) in results.iter().zip(expected) {
        assert_result(&found.result, expected);
    }
    assert_eq!(own(&controller, RESOURCE_TOPIC, "u"), "segment.ms=8");
    assert_eq!(own(&controller, RESOURCE_TOPIC, "v"), "");
    assert_eq!(own(&controller, RESOURCE_BROKER, ""), "log.roll.ms=8");
}

#[test]
fn unchanged_settings_make_no_record() {
    let mut controller = start();
    let resources = vec![AlterResource {
        resource_type: RESOURCE_TOPIC,
        name: "t".into(),
        configs: vec![
            ("cleanup.policy".into(), Some("compact".into())),
            ("retention.ms".into(), Some("5".into())),
        ],
    }];
    let command = Command::AlterConfigs(AlterConfigs { resources, validate_only: false });
    let (_, records) = run_for_records(&mut controller, command);
    assert_eq!(records, []);
}

#[test]
fn one_request_changes_a_bounded_number_of_bytes() {
    let mut controller = cluster(1, &[]);
    let names: Vec<String> = (0..200).map(|n| format!("t{n}")).collect();
    crate::checks::create(&mut controller, names.iter().map(|name| new_topic(name, 1, 1)).collect());
    let value = vec!["1000:1000"; 3200].join(",");
    let resources = names
        .iter()
        .map(|name| IncrementalResource {
            resource_type: RESOURCE_TOPIC,
            name: name.clone(),
            changes: vec![change("leader.replication.throttled.replicas", SET, Some(&value))],
        })
        .collect();
    let command =
        Command::IncrementalAlterConfigs(IncrementalAlterConfigs { resources, validate_only: false });
    let Answer::IncrementalAlterConfigs(results) = run(&mut controller, command) else { panic!() };
    let good = results.iter().filter(|result| result.result.is_ok()).count();
    assert_eq!(good, 4 * 1024 * 1024 / 32_070, "as many as fit");
    assert_result(&results[199].result, Err((PolicyViolation, "4194304 bytes of metadata")));
}
