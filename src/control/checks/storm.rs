//! Random commands by seed. After each one a second image that replays the stored records is the same; now and then
//! an image made of a snapshot is the same too; and what the answers promise is what the state holds.

use corelane_base::id::{BrokerId, PartitionIndex, TopicId};
use corelane_base::rng::Rng;

use crate::alter_configs::{
    AlterConfigs, AlterResource, IncrementalAlterConfigs, IncrementalResource, KeyChange,
};
use crate::checks::{cluster, registration, run_for_records};
use crate::configs::topic::TopicConfig;
use crate::controller::{Answer, Command, Controller};
use crate::create_partitions::{CreatePartitions, TopicToGrow};
use crate::create_topics::{Assignment, AutoCreateTopics, CreateTopics, NewTopic};
use crate::delete_topics::{DeleteTopics, TopicToDelete};
use crate::describe_configs::{
    DescribeResource, DescribedConfig, RESOURCE_BROKER, RESOURCE_TOPIC, describe_configs,
};
use crate::image::ClusterImage;
use crate::membership::StartBroker;

const NAMES: &[&str] = &[
    "a",
    "b",
    "c.d",
    "c_d",
    "orders",
    "x-y",
    "__consumer_offsets",
    "",
    "..",
    "bad name",
    "__cluster_metadata",
];
const KEYS: &[&str] = &[
    "retention.ms",
    "cleanup.policy",
    "segment.bytes",
    "min.compaction.lag.ms",
    "max.compaction.lag.ms",
    "corelane.durability",
    "log.retention.ms",
    "log.retention.hours",
    "log.cleanup.policy",
    "num.partitions",
    "no.such",
];
const VALUES: &[&str] =
    &["", "-1", "1", "2000000", "compact", "delete", "compact,delete", "sync", "write", "x"];

struct Storm {
    rng: Rng,
    ids: Vec<TopicId>,
}

impl Storm {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.below(from.len() as u64) as usize]
    }

    fn name(&mut self) -> String {
        self.pick(NAMES).to_owned()
    }

    /// From `low` to `high`, both included.
    fn number(&mut self, low: i32, high: i32) -> i32 {
        low + self.rng.below((high - low + 1) as u64) as i32
    }

    fn value(&mut self) -> Option<String> {
        if self.rng.one_in(12) { None } else { Some(self.pick(VALUES).to_owned()) }
    }

    fn several<T>(&mut self, make: impl Fn(&mut Storm) -> T) -> Vec<T> {
        (0..self.rng.below(4)).map(|_| make(self)).collect()
    }

    fn brokers(&mut self) -> Vec<BrokerId> {
        self.several(|storm| BrokerId(storm.number(0, 4)))
    }

    fn resource(&mut self) -> (i8, String) {
        match self.rng.below(8) {
            0..=4 => (RESOURCE_TOPIC, self.name()),
            5 => (RESOURCE_BROKER, String::new()),
            6 => (RESOURCE_BROKER, self.number(1, 2).to_string()),
            _ => (self.number(-1, 33) as i8, self.name()),
        }
    }

    fn new_topic(&mut self) -> NewTopic {
        let manual = self.rng.one_in(4);
        let assignments = if manual {
            self.several(|storm| Assignment {
                partition: PartitionIndex(storm.number(-1, 3)),
                brokers: storm.brokers(),
            })
        } else {
            Vec::new()
        };
        let counted = assignments.is_empty() || self.rng.one_in(8);
        NewTopic {
            name: self.name(),
            partition_count: if counted { self.number(-2, 6) } else { -1 },
            replication_factor: if counted { self.number(-1, 3) as i16 } else { -1 },
            assignments,
            configs: self.several(|storm| (storm.pick(KEYS).to_owned(), storm.value())),
        }
    }

    fn topic_to_grow(&mut self) -> TopicToGrow {
        let assignments = if self.rng.one_in(3) { Some(self.several(Storm::brokers)) } else { None };
        TopicToGrow { name: self.name(), count: self.number(-1, 12), assignments }
    }

    fn topic_to_delete(&mut self) -> TopicToDelete {
        let known = self.ids.get(self.rng.below(self.ids.len() as u64 + 1) as usize);
        let topic_id = if self.rng.one_in(2) { known.copied().unwrap_or_default() } else { TopicId::ZERO };
        let named = topic_id == TopicId::ZERO || self.rng.one_in(8);
        TopicToDelete { name: if named { Some(self.name()) } else { None }, topic_id }
    }

    fn command(&mut self) -> Command {
        let validate_only = self.rng.one_in(8);
        match self.rng.below(20) {
            0..=4 => Command::CreateTopics(CreateTopics {
                topics: self.several(Storm::new_topic),
                validate_only,
                seed: self.rng.next_u64(),
            }),
            5 | 6 => Command::AutoCreateTopics(AutoCreateTopics {
                names: self.several(Storm::name),
                seed: self.rng.next_u64(),
            }),
            7 | 8 => Command::DeleteTopics(DeleteTopics { topics: self.several(Storm::topic_to_delete) }),
            9 | 10 => Command::CreatePartitions(CreatePartitions {
                topics: self.several(Storm::topic_to_grow),
                validate_only,
            }),
            11 | 12 => Command::AlterConfigs(AlterConfigs {
                resources: self.several(|storm| {
                    let (resource_type, name) = storm.resource();
                    let configs = storm.several(|storm| (storm.pick(KEYS).to_owned(), storm.value()));
                    AlterResource { resource_type, name, configs }
                }),
                validate_only,
            }),
            13..=16 => Command::IncrementalAlterConfigs(IncrementalAlterConfigs {
                resources: self.several(|storm| {
                    let (resource_type, name) = storm.resource();
                    let changes = storm.several(|storm| KeyChange {
                        key: storm.pick(KEYS).to_owned(),
                        operation: storm.number(-1, 4) as i8,
                        value: storm.value(),
                    });
                    IncrementalResource { resource_type, name, changes }
                }),
                validate_only,
            }),
            17 => {
                let mut registration = registration(self.number(1, 3));
                registration.endpoints[0].port = 9092 + self.rng.below(2) as u16;
                Command::StartBroker(StartBroker { registration, unclean: self.rng.one_in(2) })
            }
            _ => Command::AllocateProducerIds,
        }
    }
}

/// Checks that what an answer says was done can be seen.
fn check_answer(answer: &Answer, changes: bool, controller: &Controller) {
    let image = controller.image();
    match answer {
        Answer::CreateTopics(results) if changes => {
            for result in results {
                if let Ok(created) = &result.result {
                    let topic = image.topic(&result.name).expect("a created topic exists");
                    assert_eq!(topic.id, created.topic_id);
                    assert_eq!(topic.partitions.len(), created.partition_count as usize);
                    let described = describe_topic(controller, &result.name);
                    assert_eq!(created.configs, described);
                }
            }
        }
        Answer::AutoCreateTopics(results) => {
            for result in results.iter().filter(|result| result.result.is_ok()) {
                assert_eq!(
                    image.topic(&result.name).map(|topic| topic.id),
                    result.result.as_ref().ok().copied()
                );
            }
        }
        Answer::DeleteTopics(results) => {
            for result in results.iter().filter(|result| result.result.is_ok()) {
                assert!(image.topic_by_id(result.topic_id).is_none());
                assert!(result.name.as_deref().is_some_and(|name| image.topic(name).is_none()));
            }
        }
        _ => {}
    }
}

fn describe_topic(controller: &Controller, name: &str) -> Vec<DescribedConfig> {
    let resource = DescribeResource { resource_type: RESOURCE_TOPIC, name: name.into(), keys: None };
    describe_configs(&controller.state(), &[resource]).remove(0).result.expect("it exists")
}

fn storm(seed: u64, steps: usize) -> usize {
    let mut storm = Storm { rng: Rng::new(seed), ids: Vec::new() };
    let mut controller = cluster(2, &[("num.partitions", "3")]);
    let mut follower = ClusterImage::new();
    follower.replay_set(&controller.image().snapshot()).expect("a snapshot fits an empty image");
    let mut changed = 0;
    for step in 0..steps {
        let command = storm.command();
        let (answer, records) = run_for_records(&mut controller, command);
        follower.replay_set(&records).unwrap_or_else(|error| panic!("seed {seed}, step {step}: {error}"));
        assert_eq!(follower, *controller.image(), "seed {seed}, step {step}");
        check_answer(&answer, !records.is_empty(), &controller);
        changed += usize::from(!records.is_empty());
        storm.ids = follower.topics().map(|topic| topic.id).collect();
        if step % 50 == 0 {
            let mut again = ClusterImage::new();
            again.replay_set(&follower.snapshot()).expect("a snapshot fits an empty image");
            assert_eq!(again, follower, "seed {seed}, step {step}");
            for topic in follower.topics() {
                let config = controller.state().broker_config();
                let fast = config.topic_defaults.with(&topic.overrides);
                assert_eq!(fast, TopicConfig::resolve(&controller.state().layers(), &topic.overrides));
            }
        }
    }
    changed
}

#[test]
fn random_commands_leave_every_image_the_same() {
    let changed: usize = (0..20).map(|seed| storm(seed, 500)).sum();
    assert!(changed > 2000, "the storm must do something: {changed} of 10000 commands changed the state");
}
