//! CreatePartitions.

use corelane_base::id::BrokerId;

use crate::checks::{assert_result, cluster, create_one, new_topic, run, run_for_records};
use crate::controller::{Answer, Command, Controller};
use crate::create_partitions::{CreatePartitions, TopicToGrow};
use crate::error::ErrorKind::{
    self, InvalidPartitions, InvalidReplicaAssignment, InvalidRequest, PolicyViolation,
    UnknownTopicOrPartition,
};

fn grow(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> TopicToGrow {
    let assignments =
        assignments.map(|rows| rows.iter().map(|row| row.iter().map(|&id| BrokerId(id)).collect()).collect());
    TopicToGrow { name: name.into(), count, assignments }
}

fn three() -> Controller {
    let mut controller = cluster(3, &[]);
    create_one(&mut controller, new_topic("t", 2, 2));
    controller
}

#[test]
fn one_topic() {
    #[track_caller]
    fn check(topic: TopicToGrow, expected: Result<usize, (ErrorKind, &str)>) {
        let mut controller = three();
        let before = controller.image().clone();
        let command =
            Command::CreatePartitions(CreatePartitions { topics: vec![topic], validate_only: false });
        let Answer::CreatePartitions(results) = run(&mut controller, command) else { panic!() };
        assert_result(&results[0].result, expected.map(|_| ()));
        match expected {
            Ok(count) => {
                let topic = controller.image().topic("t").expect("it exists");
                assert_eq!(topic.partitions.len(), count);
                assert_eq!(topic.partitions[..2], before.topic("t").expect("it existed").partitions);
                assert!(
                    topic.partitions.iter().all(|p| p.replicas.len() == 2 && p.leader == Some(p.replicas[0]))
                );
            }
            Err(_) => assert_eq!(*controller.image(), before),
        }
    }
    check(grow("t", 3, None), Ok(3));
    check(grow("t", 100, None), Ok(100));
    check(grow("t", 2, None), Err((InvalidPartitions, "has 2 partitions; 2 would not be an increase")));
    check(grow("t", 1, None), Err((InvalidPartitions, "1 would not be an increase")));
    check(grow("t", 0, None), Err((InvalidPartitions, "")));
    check(grow("t", -1, None), Err((InvalidPartitions, "-1 would not be an increase")));
    check(grow("t", 10_003, None), Err((PolicyViolation, "not 10001")));
    check(grow("t", i32::MAX, None), Err((PolicyViolation, "not 2147483645")));
    check(grow("u", 3, None), Err((UnknownTopicOrPartition, "named 'u'")));
    check(grow("", 3, None), Err((UnknownTopicOrPartition, "")));
    check(grow("t", 4, Some(&[&[1, 2], &[3, 1]])), Ok(4));
    check(
        grow("t", 4, Some(&[&[1, 2]])),
        Err((InvalidReplicaAssignment, "2 partitions are to be added, but 1 are")),
    );
    check(grow("t", 3, Some(&[])), Err((InvalidReplicaAssignment, "but 0 are assigned")));
    check(grow("t", 3, Some(&[&[1]])), Err((InvalidReplicaAssignment, "1 replicas where others have 2")));
    check(grow("t", 3, Some(&[&[1, 1]])), Err((InvalidReplicaAssignment, "broker 1 more than once")));
    check(grow("t", 3, Some(&[&[1, 9]])), Err((InvalidReplicaAssignment, "broker 9")));
    check(grow("t", 3, Some(&[&[]])), Err((InvalidReplicaAssignment, "without replicas")));
}

#[test]
fn leaders_go_on_in_turn() {
    let mut controller = three();
    let command = Command::CreatePartitions(CreatePartitions {
        topics: vec![grow("t", 9, None)],
        validate_only: false,
    });
    run(&mut controller, command);
    let topic = controller.image().topic("t").expect("it exists");
    for id in 1..=3 {
        assert_eq!(
            topic.partitions.iter().filter(|p| p.leader == Some(BrokerId(id))).count(),
            3,
            "broker {id}"
        );
    }
}

#[test]
fn several_topics() {
    let mut controller = three();
    create_one(&mut controller, new_topic("u", 1, 1));
    create_one(&mut controller, new_topic("v", 1, 1));
    let topics = vec![
        grow("t", 3, None),
        grow("u", 2, None),
        grow("t", 4, None),
        grow("x", 2, None),
        grow("v", 5, None),
    ];
    let validate =
        Command::CreatePartitions(CreatePartitions { topics: topics.clone(), validate_only: true });
    let (Answer::CreatePartitions(would), records) = run_for_records(&mut controller, validate) else {
        panic!()
    };
    assert_eq!(records, []);
    let command = Command::CreatePartitions(CreatePartitions { topics, validate_only: false });
    let Answer::CreatePartitions(results) = run(&mut controller, command) else { panic!() };
    assert_eq!(would, results);
    let expected = [
        ("t", Err((InvalidRequest, "more than once"))),
        ("u", Ok(())),
        ("t", Err((InvalidRequest, "more than once"))),
        ("x", Err((UnknownTopicOrPartition, ""))),
        ("v", Ok(())),
    ];
    for (found, (name, result)) in results.iter().zip(expected) {
        assert_eq!(found.name, name);
        assert_result(&found.result, result);
    }
    let counts: Vec<usize> = controller.image().topics().map(|topic| topic.partitions.len()).collect();
    assert_eq!(counts, [2, 2, 5]);
}
