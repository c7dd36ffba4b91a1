//! Checks of whole commands through the public interface, one file per area, many rows each.

mod alter_configs;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_configs;
mod image;
mod membership;
mod records;
mod resources;
mod storm;
mod values;

use corelane_base::id::{BrokerId, TopicId};
use corelane_base::time::Now;

use crate::configs::settings::{Origin, Setting, Settings};
use crate::controller::{Answer, Command, Controller};
use crate::create_topics::{CreateTopicResult, CreateTopics, NewTopic};
use crate::error::{ErrorKind, Refusal};
use crate::image::ClusterImage;
use crate::membership::{FormatCluster, StartBroker};
use crate::record::{BrokerRegistration, Endpoint, MetadataRecord, decode_set, encode_set};

/// Settings given in a file.
pub fn settings(pairs: &[(&str, &str)]) -> Settings {
    let list: Vec<Setting> = pairs
        .iter()
        .map(|(key, value)| Setting { key: (*key).into(), value: (*value).into(), origin: Origin::File })
        .collect();
    Settings::from_list(&list).expect("the settings of a test are valid")
}

pub fn registration(id: i32) -> BrokerRegistration {
    let endpoint = Endpoint { listener: "PLAINTEXT".into(), host: format!("host-{id}"), port: 9092 };
    BrokerRegistration { id: BrokerId(id), endpoints: vec![endpoint], rack: None }
}

/// A formatted cluster of brokers 1 to `brokers`, of which broker 1 is the controller.
pub fn cluster(brokers: i32, pairs: &[(&str, &str)]) -> Controller {
    let mut controller = Controller::new(ClusterImage::new(), BrokerId(1), settings(pairs));
    run(&mut controller, Command::FormatCluster(FormatCluster { cluster_id: "test-cluster".into() }));
    for id in 1..=brokers {
        run(
            &mut controller,
            Command::StartBroker(StartBroker { registration: registration(id), unclean: false }),
        );
    }
    controller
}

/// Handles a command, stores its records as bytes, replays what is read back, and checks on the way that handling
/// changes nothing and that the state stays consistent.
pub fn run(controller: &mut Controller, command: Command) -> Answer {
    run_for_records(controller, command).0
}

/// As [`run`], with the records.
pub fn run_for_records(controller: &mut Controller, command: Command) -> (Answer, Vec<MetadataRecord>) {
    let before = controller.clone();
    let outcome = controller.handle(&command, Now::default());
    assert_eq!(*controller, before, "handling changes nothing");
    assert_eq!(controller.handle(&command, Now::default()), outcome, "handling depends on nothing else");
    let mut bytes = Vec::new();
    encode_set(&outcome.records, &mut bytes);
    let read = decode_set(&bytes).expect("what was written is read");
    assert_eq!(read, outcome.records);
    controller.replay(&read).expect("a controller's records fit its state");
    controller.image().check_invariants();
    (outcome.answer, outcome.records)
}

pub fn new_topic(name: &str, partition_count: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        name: name.into(),
        partition_count,
        replication_factor,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

pub fn with_configs(mut topic: NewTopic, configs: &[(&str, &str)]) -> NewTopic {
    topic.configs = configs.iter().map(|(key, value)| ((*key).into(), Some((*value).into()))).collect();
    topic
}

pub fn create(controller: &mut Controller, topics: Vec<NewTopic>) -> Vec<CreateTopicResult> {
    let seed = controller.image().topic_count() as u64;
    let command = Command::CreateTopics(CreateTopics { topics, validate_only: false, seed });
    match run(controller, command) {
        Answer::CreateTopics(results) => results,
        other => panic!("another command's answer: {other:?}"),
    }
}

/// Creates one topic that must succeed.
pub fn create_one(controller: &mut Controller, topic: NewTopic) -> TopicId {
    let results = create(controller, vec![topic]);
    results[0].result.as_ref().expect("the topic of a test is created").topic_id
}

/// Compares the kind of a refusal, and looks for a part of its text.
#[track_caller]
pub fn assert_result<T: std::fmt::Debug>(
    result: &Result<T, Refusal>,
    expected: Result<(), (ErrorKind, &str)>,
) {
    match (result, expected) {
        (Ok(_), Ok(())) => {}
        (Err(refusal), Err((kind, part))) => {
            assert_eq!(refusal.kind, kind, "{refusal}");
            assert!(refusal.message.contains(part), "'{}' lacks '{part}'", refusal.message);
            assert!(!refusal.message.ends_with('.'), "{}", refusal.message);
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}
