//! DeleteTopics.

use corelane_base::id::TopicId;

use crate::checks::{assert_result, cluster, create_one, new_topic, run};
use crate::controller::{Answer, Command, Controller};
use crate::delete_topics::{DeleteTopicResult, DeleteTopics, TopicToDelete};
use crate::error::ErrorKind::{
    InvalidRequest, TopicDeletionDisabled, UnknownTopicId, UnknownTopicOrPartition,
};

fn by_name(name: &str) -> TopicToDelete {
    TopicToDelete { name: Some(name.into()), topic_id: TopicId::ZERO }
}

fn by_id(topic_id: TopicId) -> TopicToDelete {
    TopicToDelete { name: None, topic_id }
}

fn delete(controller: &mut Controller, topics: Vec<TopicToDelete>) -> Vec<DeleteTopicResult> {
    match run(controller, Command::DeleteTopics(DeleteTopics { topics })) {
        Answer::DeleteTopics(results) => results,
        other => panic!("another command's answer: {other:?}"),
    }
}

#[test]
fn by_name_and_by_id() {
    let mut controller = cluster(1, &[]);
    let ids: Vec<TopicId> = ["a", "b.1", "c", "d", "e"]
        .iter()
        .map(|name| create_one(&mut controller, new_topic(name, 2, 1)))
        .collect();
    let stranger = TopicId([1; 16]);
    let results = delete(
        &mut controller,
        vec![
            by_name("a"),
            by_id(ids[1]),
            by_name("no"),
            by_id(stranger),
            by_id(TopicId::ZERO),
            TopicToDelete { name: Some("c".into()), topic_id: ids[2] },
            by_name("d"),
            by_id(ids[3]),
        ],
    );
    let expected = [
        (Some("a"), ids[0], Ok(())),
        (Some("b.1"), ids[1], Ok(())),
        (Some("no"), TopicId::ZERO, Err((UnknownTopicOrPartition, "named 'no'"))),
        (None, stranger, Err((UnknownTopicId, "no topic has the id"))),
        (None, TopicId::ZERO, Err((InvalidRequest, "neither"))),
        (Some("c"), ids[2], Err((InvalidRequest, "both"))),
        (Some("d"), ids[3], Err((InvalidRequest, "more than once"))),
        (Some("d"), ids[3], Err((InvalidRequest, "more than once"))),
    ];
    assert_eq!(results.len(), expected.len());
    for (found, (name, id, result)) in results.iter().zip(expected) {
        assert_eq!((found.name.as_deref(), found.topic_id), (name, id));
        assert_result(&found.result, result);
    }
    let left: Vec<&str> = controller.image().topics().map(|topic| topic.name.as_ref()).collect();
    assert_eq!(left, ["c", "d", "e"]);
    assert_eq!(controller.image().partition_count(), 6);
    // The name is free again, under a new id, and so is what it collided with.
    assert_ne!(create_one(&mut controller, new_topic("a", 1, 1)), ids[0]);
    create_one(&mut controller, new_topic("b_1", 1, 1));
}

#[test]
fn switched_off() {
    let mut controller = cluster(1, &[("delete.topic.enable", "false")]);
    create_one(&mut controller, new_topic("a", 1, 1));
    let results = delete(&mut controller, vec![by_name("a"), by_name("b")]);
    for result in &results {
        assert_result(&result.result, Err((TopicDeletionDisabled, "delete.topic.enable")));
    }
    assert_eq!(controller.image().topic_count(), 1);
}
