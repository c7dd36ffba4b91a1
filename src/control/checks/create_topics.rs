//! CreateTopics and the creation of topics by themselves.

use std::collections::BTreeSet;

use corelane_base::id::{BrokerId, PartitionIndex, TopicId};

use crate::checks::{
    assert_result, cluster, create, create_one, new_topic, run, run_for_records, with_configs,
};
use crate::command::{CREATED_PARTITIONS_MAX, PARTITION_COUNT_MAX};
use crate::configs::layers::ConfigSource;
use crate::controller::{Answer, Command, Controller};
use crate::create_topics::{Assignment, AutoCreateTopics, CreateTopics, NewTopic};
use crate::error::ErrorKind::{
    self, InvalidConfig, InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor,
    InvalidRequest, InvalidTopic, PolicyViolation, TopicAlreadyExists, UnknownTopicOrPartition,
};

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments
        .iter()
        .map(|(partition, brokers)| Assignment {
            partition: PartitionIndex(*partition),
            brokers: brokers.iter().map(|&id| BrokerId(id)).collect(),
        })
        .collect();
    NewTopic { assignments, ..new_topic(name, -1, -1) }
}

/// Three brokers with a topic "old.topic".
fn three() -> Controller {
    let mut controller = cluster(3, &[("num.partitions", "4"), ("default.replication.factor", "2")]);
    create_one(&mut controller, new_topic("old.topic", 1, 1));
    controller
}

/// Creates one topic beside "old.topic" on three brokers, and looks at what is stored of it.
#[track_caller]
fn check(topic: NewTopic, expected: Result<(i32, i16), (ErrorKind, &str)>) {
    let mut controller = three();
    let before = controller.image().clone();
    let result = create(&mut controller, vec![topic.clone()]).remove(0).result;
    assert_result(&result, expected.map(|_| ()));
    match (result, expected) {
        (Ok(created), Ok((count, factor))) => {
            assert_eq!((created.partition_count, created.replication_factor), (count, factor));
            let stored = controller.image().topic(&topic.name).expect("it was created");
            assert_eq!(stored.id, created.topic_id);
            assert_eq!(stored.partitions.len(), count as usize);
            for partition in &stored.partitions {
                assert_eq!(partition.replicas.len(), factor as usize);
                assert_eq!(
                    (partition.leader, &partition.isr),
                    (Some(partition.replicas[0]), &partition.replicas)
                );
                assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (0, 0));
            }
        }
        _ => assert_eq!(*controller.image(), before),
    }
}

#[test]
fn counts() {
    check(new_topic("t", 1, 1), Ok((1, 1)));
    check(new_topic("t", 7, 3), Ok((7, 3)));
    check(new_topic("t", -1, -1), Ok((4, 2)));
    check(new_topic("t", -1, 3), Ok((4, 3)));
    check(new_topic("t", 2, -1), Ok((2, 2)));
    check(new_topic("t", 0, 1), Err((InvalidPartitions, "at least 1, or -1 for the default, not 0")));
    check(new_topic("t", -2, 1), Err((InvalidPartitions, "not -2")));
    check(new_topic("t", i32::MIN, 1), Err((InvalidPartitions, "not -2147483648")));
    check(new_topic("t", 1, 0), Err((InvalidReplicationFactor, "at least 1, or -1 for the default, not 0")));
    check(new_topic("t", 1, -2), Err((InvalidReplicationFactor, "not -2")));
    check(new_topic("t", 0, 0), Err((InvalidReplicationFactor, "not 0")));
    check(new_topic("t", 1, 4), Err((InvalidReplicationFactor, "3 brokers are registered")));
    check(new_topic("t", 1, i16::MAX), Err((InvalidReplicationFactor, "32767 cannot be reached")));
    check(new_topic("t", CREATED_PARTITIONS_MAX as i32, 1), Ok((CREATED_PARTITIONS_MAX as i32, 1)));
    check(
        new_topic("t", CREATED_PARTITIONS_MAX as i32 + 1, 1),
        Err((PolicyViolation, "10000 partitions, not 10001")),
    );
    check(new_topic("t", i32::MAX, 1), Err((PolicyViolation, "not 2147483647")));
}

#[test]
fn names() {
    check(new_topic("", 1, 1), Err((InvalidTopic, "empty")));
    check(new_topic("..", 1, 1), Err((InvalidTopic, "'..' is not allowed")));
    check(new_topic("../x", 1, 1), Err((InvalidTopic, "characters other than")));
    check(new_topic(&"x".repeat(249), 1, 1), Ok((1, 1)));
    check(new_topic(&"x".repeat(250), 1, 1), Err((InvalidTopic, "250 is above the limit of 249")));
    check(new_topic("old.topic", 1, 1), Err((TopicAlreadyExists, "'old.topic' already exists")));
    check(new_topic("old_topic", 1, 1), Err((InvalidTopic, "collides with topic 'old.topic'")));
    check(new_topic("old-topic", 1, 1), Ok((1, 1)));
    check(new_topic("__cluster_metadata", 1, 1), Err((InvalidRequest, "metadata log")));
    check(new_topic("__consumer_offsets", 50, 1), Ok((50, 1)));
}

#[test]
fn assignments() {
    check(assigned("t", &[(0, &[1]), (1, &[2])]), Ok((2, 1)));
    check(assigned("t", &[(1, &[2, 3]), (0, &[3, 1])]), Ok((2, 2)));
    check(assigned("t", &[(0, &[1, 1])]), Err((InvalidReplicaAssignment, "broker 1 more than once")));
    check(assigned("t", &[(0, &[4])]), Err((InvalidReplicaAssignment, "broker 4, which is not registered")));
    check(assigned("t", &[(0, &[-1])]), Err((InvalidReplicaAssignment, "broker -1")));
    check(assigned("t", &[(0, &[])]), Err((InvalidReplicaAssignment, "without replicas")));
    check(assigned("t", &[(0, &[1]), (1, &[])]), Err((InvalidReplicaAssignment, "without replicas")));
    check(
        assigned("t", &[(0, &[1]), (1, &[1, 2])]),
        Err((InvalidReplicaAssignment, "2 replicas where others have 1")),
    );
    check(assigned("t", &[(0, &[1]), (0, &[2])]), Err((InvalidReplicaAssignment, "partition 0 twice")));
    check(assigned("t", &[(1, &[1])]), Err((InvalidReplicaAssignment, "without gaps, not 1")));
    check(assigned("t", &[(0, &[1]), (2, &[1])]), Err((InvalidReplicaAssignment, "without gaps, not 2")));
    check(assigned("t", &[(-1, &[1]), (0, &[1])]), Err((InvalidReplicaAssignment, "without gaps, not -1")));
    check(
        NewTopic { partition_count: 1, ..assigned("t", &[(0, &[1])]) },
        Err((InvalidRequest, "must be -1")),
    );
    check(
        NewTopic { replication_factor: 1, ..assigned("t", &[(0, &[1])]) },
        Err((InvalidRequest, "must be -1")),
    );
}

#[test]
fn settings_of_new_topics() {
    check(with_configs(new_topic("t", 1, 1), &[("retention.ms", "5")]), Ok((1, 1)));
    check(
        with_configs(new_topic("t", 1, 1), &[("retention.ms", "x")]),
        Err((InvalidConfig, "'x' for configuration")),
    );
    check(with_configs(new_topic("t", 1, 1), &[("no.such", "x")]), Err((InvalidConfig, "named 'no.such'")));
    check(
        with_configs(new_topic("t", 1, 1), &[("min.compaction.lag.ms", "2"), ("max.compaction.lag.ms", "1")]),
        Err((InvalidConfig, "must not be above")),
    );
    check(
        NewTopic { configs: vec![("retention.ms".into(), None)], ..new_topic("t", 1, 1) },
        Err((InvalidConfig, "retention.ms has a null value")),
    );
}

#[test]
fn assignments_are_kept_as_given() {
    let mut controller = three();
    create_one(&mut controller, assigned("t", &[(1, &[2, 3]), (0, &[3, 1])]));
    let topic = controller.image().topic("t").expect("it was created");
    let replicas: Vec<Vec<i32>> =
        topic.partitions.iter().map(|p| p.replicas.iter().map(|id| id.0).collect()).collect();
    assert_eq!(replicas, [[3, 1], [2, 3]]);
}

#[test]
fn replicas_are_spread_evenly() {
    let mut controller = three();
    create_one(&mut controller, new_topic("t", 9, 2));
    let topic = controller.image().topic("t").expect("it was created");
    for id in 1..=3 {
        let led = topic.partitions.iter().filter(|p| p.leader == Some(BrokerId(id))).count();
        let held = topic.partitions.iter().filter(|p| p.replicas.contains(&BrokerId(id))).count();
        assert_eq!((led, held), (3, 6), "broker {id}");
    }
    // Topics of one partition do not all go to the same broker.
    create(&mut controller, (0..30).map(|n| new_topic(&format!("one-{n}"), 1, 1)).collect());
    let leaders: BTreeSet<_> = controller.image().topics().map(|topic| topic.partitions[0].leader).collect();
    assert_eq!(leaders.len(), 3);
}

#[test]
fn no_brokers_no_topics() {
    let mut controller = cluster(0, &[]);
    let results = create(&mut controller, vec![new_topic("t", 1, 1)]);
    assert_result(&results[0].result, Err((InvalidReplicationFactor, "0 brokers")));
}

#[test]
fn good_and_bad_topics_of_one_request() {
    let mut controller = three();
    let results = create(
        &mut controller,
        vec![
            new_topic("good-1", 1, 1),
            new_topic("bad/name", 1, 1),
            new_topic("twice", 1, 1),
            new_topic("old.topic", 1, 1),
            new_topic("a.b", 1, 1),
            new_topic("twice", 2, 1),
            new_topic("a_b", 1, 1),
            new_topic("good-2", 2, 2),
            new_topic("factor", 1, 9),
        ],
    );
    let expected = [
        ("good-1", Ok(())),
        ("bad/name", Err((InvalidTopic, "characters"))),
        ("twice", Err((InvalidRequest, "more than once"))),
        ("old.topic", Err((TopicAlreadyExists, ""))),
        ("a.b", Ok(())),
        ("a_b", Err((InvalidTopic, "collides with topic 'a.b'"))),
        ("good-2", Ok(())),
        ("factor", Err((InvalidReplicationFactor, ""))),
    ];
    assert_eq!(results.len(), expected.len());
    for (found, (name, result)) in results.iter().zip(expected) {
        assert_eq!(found.name, name);
        assert_result(&found.result, result);
    }
    let names: Vec<&str> = controller.image().topics().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(names, ["a.b", "good-1", "good-2", "old.topic"]);
}

#[test]
fn validation_alone_creates_nothing() {
    let mut controller = three();
    let topics = vec![new_topic("t", 3, 2), new_topic("old.topic", 1, 1)];
    let command = Command::CreateTopics(CreateTopics { topics, validate_only: true, seed: 1 });
    let (Answer::CreateTopics(results), records) = run_for_records(&mut controller, command) else {
        panic!()
    };
    assert_eq!(records, []);
    let created = results[0].result.as_ref().expect("it could be created");
    assert_eq!(
        (created.topic_id, created.partition_count, created.replication_factor),
        (TopicId::ZERO, 3, 2)
    );
    assert_result(&results[1].result, Err((TopicAlreadyExists, "")));
}

#[test]
fn settings_are_stored_printed_and_told() {
    let mut controller = cluster(1, &[("log.retention.hours", "2")]);
    let topic = with_configs(
        new_topic("t", 1, 1),
        &[("cleanup.policy", "compact , delete"), ("preallocate", "TRUE")],
    );
    let result = create(&mut controller, vec![topic]).remove(0).result.expect("it is created");
    let find = |key: &str| {
        let found = result.configs.iter().find(|config| config.name == key).expect("every key is told");
        (found.value.as_deref(), found.source)
    };
    assert_eq!(find("cleanup.policy"), (Some("compact,delete"), ConfigSource::Topic));
    assert_eq!(find("preallocate"), (Some("true"), ConfigSource::Topic));
    assert_eq!(find("retention.ms"), (Some("7200000"), ConfigSource::StaticBroker));
    assert_eq!(find("segment.bytes"), (Some("1073741824"), ConfigSource::Default));
    assert!(result.configs.is_sorted_by(|a, b| a.name < b.name));
    let overrides = &controller.image().topic("t").expect("it was created").overrides;
    assert_eq!(overrides.get("cleanup.policy").map(String::as_str), Some("compact,delete"));
    assert_eq!(overrides.len(), 2);
}

#[test]
fn of_a_setting_given_twice_the_last_counts() {
    let mut controller = cluster(1, &[]);
    create_one(
        &mut controller,
        with_configs(new_topic("t", 1, 1), &[("retention.ms", "1"), ("retention.ms", "2")]),
    );
    let overrides = &controller.image().topic("t").expect("it was created").overrides;
    assert_eq!(overrides.get("retention.ms").map(String::as_str), Some("2"));
}

#[test]
fn ids_are_random_uuids() {
    let mut controller = cluster(1, &[]);
    let results = create(&mut controller, (0..500).map(|n| new_topic(&format!("t{n}"), 1, 1)).collect());
    let ids: BTreeSet<TopicId> =
        results.iter().map(|r| r.result.as_ref().expect("created").topic_id).collect();
    assert_eq!(ids.len(), 500);
    for TopicId(bytes) in ids {
        assert_eq!((bytes[6] >> 4, bytes[8] >> 6), (4, 2), "version 4");
        assert_ne!(bytes[0] >> 2, 62, "the printed form would begin with a dash");
    }
}

#[test]
fn limits_of_a_request_and_of_the_cluster() {
    let mut controller = cluster(1, &[]);
    let half = CREATED_PARTITIONS_MAX as i32 / 2;
    let results = create(
        &mut controller,
        vec![
            new_topic("a", half, 1),
            new_topic("b", half + 1, 1),
            new_topic("c", half, 1),
            new_topic("d", 1, 1),
        ],
    );
    assert_result(&results[0].result, Ok(()));
    assert_result(&results[1].result, Err((PolicyViolation, "not 10001")));
    assert_result(&results[2].result, Ok(()));
    assert_result(&results[3].result, Err((PolicyViolation, "not 10001")));
    let mut n = 0;
    while controller.image().partition_count() < PARTITION_COUNT_MAX {
        n += 1;
        create_one(&mut controller, new_topic(&format!("t{n}"), CREATED_PARTITIONS_MAX as i32, 1));
    }
    let results = create(&mut controller, vec![new_topic("e", 1, 1)]);
    assert_result(&results[0].result, Err((PolicyViolation, "exceed the limit of 100000")));
}

#[test]
fn topics_that_create_themselves() {
    fn ask(controller: &mut Controller, names: &[&str]) -> Vec<Result<TopicId, ErrorKind>> {
        let asked: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let command = Command::AutoCreateTopics(AutoCreateTopics { names: asked, seed: 3 });
        let Answer::AutoCreateTopics(results) = run(controller, command) else { panic!() };
        assert!(results.iter().map(|result| result.name.as_str()).eq(names.iter().copied()));
        results.into_iter().map(|result| result.result.map_err(|refusal| refusal.kind)).collect()
    }
    let mut controller = three();
    let old = controller.image().topic("old.topic").expect("it exists").id;
    let results = ask(
        &mut controller,
        &["new", "old.topic", "a b", "new", "__consumer_offsets", "__transaction_state", "old_topic"],
    );
    let new = controller.image().topic("new").expect("it was created");
    assert_eq!((new.partitions.len(), new.replication_factor()), (4, 2));
    let unknown = Err(UnknownTopicOrPartition);
    let invalid = Err(InvalidTopic);
    let offsets = controller.image().topic("__consumer_offsets").expect("it was created");
    assert_eq!((offsets.partitions.len(), offsets.replication_factor()), (50, 3));
    let set: Vec<_> = offsets.overrides.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(set, ["cleanup.policy=compact", "compression.type=producer", "segment.bytes=104857600"]);
    assert_eq!(results, [Ok(new.id), Ok(old), invalid, Ok(new.id), Ok(offsets.id), unknown, invalid]);
    assert_eq!(controller.image().topic_count(), 3);

    let mut controller = cluster(1, &[("auto.create.topics.enable", "false")]);
    let old = create_one(&mut controller, new_topic("old", 1, 1));
    assert_eq!(ask(&mut controller, &["old", "new", "a b"]), [Ok(old), unknown, invalid]);

    let mut controller = cluster(1, &[("default.replication.factor", "2")]);
    assert_eq!(ask(&mut controller, &["new"]), [Err(InvalidReplicationFactor)]);
}
