//! The cluster's metadata as it stands after the records replayed so far. Each shard holds one and replays the same
//! records, so that no look-up leaves the core.
//!
//! An image decides nothing: [`ClusterImage::replay`] does what a record says, and refuses only records that do not
//! fit, which a log written by this code does not contain. The same records give the same image everywhere.

use core::fmt;
use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use crate::configs::broker::BrokerConfig;
use crate::configs::definition::Overrides;
use crate::configs::layers::Layers;
use crate::configs::settings::Settings;
use crate::record::{BrokerRegistration, ConfigChange, MetadataRecord, Partition};
use crate::topic_name;

/// A topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its identity.
    pub id: TopicId,
    /// Its name.
    pub name: Arc<str>,
    /// Its partitions; the position is the partition's number. Never empty.
    pub partitions: Vec<Partition>,
    /// Its own settings.
    pub overrides: Overrides,
}

impl Topic {
    /// The partition of that number, if there is one.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        usize::try_from(index.0).ok().and_then(|at| self.partitions.get(at))
    }

    /// Whether the broker itself owns what is in it.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        topic_name::is_internal(&self.name)
    }

    /// How many replicas its partitions were made with.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions[0].replicas.len()
    }
}

/// A record that does not fit the image: the log was not written by this code, or is not this cluster's.
/// The image it was meant for is to be dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayError(pub String);

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metadata record does not fit: {}", self.0)
    }
}

impl std::error::Error for ReplayError {}

/// All metadata. Invariants: `ids_by_name` and `topics` name the same topics; `names_by_collision_key` holds exactly
/// the names with `.` or `_`; `partition_count` is the sum over all topics.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClusterImage {
    cluster_id: Option<Arc<str>>,
    brokers: BTreeMap<BrokerId, BrokerRegistration>,
    topics: BTreeMap<TopicId, Topic>,
    ids_by_name: BTreeMap<Arc<str>, TopicId>,
    names_by_collision_key: BTreeMap<String, Arc<str>>,
    partition_count: usize,
    broker_overrides: BTreeMap<BrokerId, Overrides>,
    default_overrides: Overrides,
    group_overrides: BTreeMap<Arc<str>, Overrides>,
    client_metrics: BTreeMap<Arc<str>, Overrides>,
    next_producer_id: ProducerId,
}

static NOTHING: Overrides = Overrides::new();

impl ClusterImage {
    /// The image before the first record.
    #[must_use]
    pub fn new() -> ClusterImage {
        ClusterImage::default()
    }

    /// The cluster's id; `None` before it was formatted.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The brokers, by ascending id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerRegistration> {
        self.brokers.values()
    }

    /// The broker of that id.
    #[must_use]
    pub fn broker(&self, id: BrokerId) -> Option<&BrokerRegistration> {
        self.brokers.get(&id)
    }

    /// The topics in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.ids_by_name.values().map(|id| &self.topics[id])
    }

    /// The topics named `from` or later, in the order of their names.
    pub fn topics_from(&self, from: &str) -> impl Iterator<Item = &Topic> {
        let range = (Bound::Included(from), Bound::Unbounded);
        self.ids_by_name.range::<str, _>(range).map(|(_, id)| &self.topics[id])
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.ids_by_name.get(name).map(|id| &self.topics[id])
    }

    /// The topic of that id.
    #[must_use]
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id)
    }

    /// An existing topic that `name` cannot be told from once `.` and `_` are the same; perhaps `name` itself.
    #[must_use]
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        if !topic_name::may_collide(name) {
            return None;
        }
        self.names_by_collision_key.get(&topic_name::collision_key(name)).map(AsRef::as_ref)
    }

    /// The first producer id that is not handed out.
    #[must_use]
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The dynamic settings of one broker, or with `None` of all brokers.
    #[must_use]
    pub fn broker_overrides(&self, broker: Option<BrokerId>) -> &Overrides {
        match broker {
            Some(id) => self.broker_overrides.get(&id).unwrap_or(&NOTHING),
            None => &self.default_overrides,
        }
    }

    /// A group's own settings.
    #[must_use]
    pub fn group_overrides(&self, group: &str) -> &Overrides {
        self.group_overrides.get(group).unwrap_or(&NOTHING)
    }

    /// The groups with settings of their own, in the order of their names.
    pub fn configured_groups(&self) -> impl Iterator<Item = &str> {
        self.group_overrides.keys().map(AsRef::as_ref)
    }

    /// The settings of a subscription to clients' metrics; empty if there is none of that name.
    #[must_use]
    pub fn client_metrics(&self, subscription: &str) -> &Overrides {
        self.client_metrics.get(subscription).unwrap_or(&NOTHING)
    }

    /// The subscriptions to clients' metrics, in the order of their names.
    pub fn client_metrics_subscriptions(&self) -> impl Iterator<Item = &str> {
        self.client_metrics.keys().map(AsRef::as_ref)
    }

    /// How many groups and subscriptions have settings of their own.
    #[must_use]
    pub fn named_resource_count(&self) -> usize {
        self.group_overrides.len() + self.client_metrics.len()
    }

    /// The layers of settings of broker `id`, which was started with `settings`.
    #[must_use]
    pub fn layers<'a>(&'a self, id: BrokerId, settings: &'a Settings) -> Layers<'a> {
        Layers {
            dynamic_broker: self.broker_overrides(Some(id)),
            dynamic_default: self.broker_overrides(None),
            settings,
        }
    }

    /// What holds for broker `id`, which was started with `settings`. Not free: keep the result until a record
    /// changes the brokers' settings. What holds for a topic is `topic_defaults.with(&topic.overrides)` of it.
    #[must_use]
    pub fn broker_config(&self, id: BrokerId, settings: &Settings) -> BrokerConfig {
        BrokerConfig::resolve(&self.layers(id, settings))
    }

    /// Replays a set of records in order. Errors: the first record that does not fit; the image is then to be
    /// dropped.
    pub fn replay_set(&mut self, records: &[MetadataRecord]) -> Result<(), ReplayError> {
        records.iter().try_for_each(|record| self.replay(record))
    }

    /// Does what one record says. Errors: it does not fit; nothing has changed.
    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::ClusterFormatted { cluster_id } => {
                if self.cluster_id.is_some() {
                    return Err(ReplayError("the cluster is formatted already".into()));
                }
                self.cluster_id = Some(cluster_id.as_str().into());
            }
            MetadataRecord::BrokerRegistered { registration } => {
                self.brokers.insert(registration.id, registration.clone());
            }
            MetadataRecord::BrokerRestarted { broker } => self.replay_restart(*broker)?,
            MetadataRecord::TopicCreated { topic_id, name, partitions, configs } => {
                self.replay_created(*topic_id, name, partitions, configs)?;
            }
            MetadataRecord::TopicDeleted { topic_id } => self.replay_deleted(*topic_id)?,
            MetadataRecord::PartitionsAdded { topic_id, first, partitions } => {
                check_partitions(partitions)?;
                let topic = topic_mut(&mut self.topics, *topic_id)?;
                if usize::try_from(first.0) != Ok(topic.partitions.len()) {
                    let count = topic.partitions.len();
                    return Err(ReplayError(format!("{} has {count} partitions, not {first}", topic.name)));
                }
                topic.partitions.extend_from_slice(partitions);
                self.partition_count += partitions.len();
            }
            MetadataRecord::TopicConfigChanged { topic_id, changes } => {
                change(&mut topic_mut(&mut self.topics, *topic_id)?.overrides, changes);
            }
            MetadataRecord::BrokerConfigChanged { broker: None, changes } => {
                change(&mut self.default_overrides, changes);
            }
            MetadataRecord::BrokerConfigChanged { broker: Some(broker), changes } => {
                change(self.broker_overrides.entry(*broker).or_default(), changes);
                self.broker_overrides.retain(|_, overrides| !overrides.is_empty());
            }
            MetadataRecord::GroupConfigChanged { group, changes } => {
                change(self.group_overrides.entry(group.as_str().into()).or_default(), changes);
                self.group_overrides.retain(|_, overrides| !overrides.is_empty());
            }
            MetadataRecord::ClientMetricsConfigChanged { subscription, changes } => {
                change(self.client_metrics.entry(subscription.as_str().into()).or_default(), changes);
                self.client_metrics.retain(|_, overrides| !overrides.is_empty());
            }
            MetadataRecord::ProducerIdsAllocated { next } => {
                if *next < self.next_producer_id {
                    let handed_out = self.next_producer_id;
                    return Err(ReplayError(format!(
                        "producer ids below {handed_out} are taken, not only {next}"
                    )));
                }
                self.next_producer_id = *next;
            }
        }
        Ok(())
    }

    /// The fewest records that make an image equal to this one from nothing.
    #[must_use]
    pub fn snapshot(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::with_capacity(self.topics.len() + self.brokers.len() + 4);
        if let Some(cluster_id) = &self.cluster_id {
            records.push(MetadataRecord::ClusterFormatted { cluster_id: cluster_id.to_string() });
        }
        for registration in self.brokers.values() {
            records.push(MetadataRecord::BrokerRegistered { registration: registration.clone() });
        }
        let set = |overrides: &Overrides| -> Vec<ConfigChange> {
            overrides.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
        };
        if !self.default_overrides.is_empty() {
            let changes = set(&self.default_overrides);
            records.push(MetadataRecord::BrokerConfigChanged { broker: None, changes });
        }
        for (broker, overrides) in &self.broker_overrides {
            let changes = set(overrides);
            records.push(MetadataRecord::BrokerConfigChanged { broker: Some(*broker), changes });
        }
        for (group, overrides) in &self.group_overrides {
            let changes = set(overrides);
            records.push(MetadataRecord::GroupConfigChanged { group: group.to_string(), changes });
        }
        for (subscription, overrides) in &self.client_metrics {
            let (subscription, changes) = (subscription.to_string(), set(overrides));
            records.push(MetadataRecord::ClientMetricsConfigChanged { subscription, changes });
        }
        if self.next_producer_id != ProducerId::default() {
            records.push(MetadataRecord::ProducerIdsAllocated { next: self.next_producer_id });
        }
        for topic in self.topics() {
            records.push(MetadataRecord::TopicCreated {
                topic_id: topic.id,
                name: topic.name.to_string(),
                partitions: topic.partitions.clone(),
                configs: topic.overrides.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            });
        }
        records
    }

    /// Checks the invariants. Panics: if one is broken.
    pub fn check_invariants(&self) {
        assert_eq!(self.ids_by_name.len(), self.topics.len());
        for (name, id) in &self.ids_by_name {
            let topic = &self.topics[id];
            assert_eq!(*name, topic.name);
            assert_eq!(*id, topic.id);
            assert!(!topic.partitions.is_empty(), "{name} has partitions");
            check_partitions(&topic.partitions).expect("partitions of an image are consistent");
        }
        let may_collide = self.ids_by_name.keys().filter(|name| topic_name::may_collide(name)).count();
        assert_eq!(self.names_by_collision_key.len(), may_collide);
        assert_eq!(self.partition_count, self.topics.values().map(|topic| topic.partitions.len()).sum());
        assert!(self.broker_overrides.values().all(|overrides| !overrides.is_empty()));
        assert!(self.group_overrides.values().all(|overrides| !overrides.is_empty()));
        assert!(self.client_metrics.values().all(|overrides| !overrides.is_empty()));
    }

    fn replay_restart(&mut self, broker: BrokerId) -> Result<(), ReplayError> {
        let all = || self.topics.values().flat_map(|topic| &topic.partitions);
        if all().any(|p| p.leader == Some(broker) && p.leader_epoch.0.max(p.partition_epoch) == i32::MAX) {
            return Err(ReplayError(format!("an epoch of a partition led by broker {broker} is exhausted")));
        }
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.leader == Some(broker) {
                partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0 + 1);
                partition.partition_epoch += 1;
            }
        }
        Ok(())
    }

    fn replay_created(
        &mut self,
        id: TopicId,
        name: &str,
        partitions: &[Partition],
        configs: &[(String, String)],
    ) -> Result<(), ReplayError> {
        if let Err(problem) = topic_name::check(name) {
            return Err(ReplayError(problem));
        }
        if self.ids_by_name.contains_key(name) || self.topics.contains_key(&id) {
            return Err(ReplayError(format!("topic {name} ({id:?}) exists already")));
        }
        if let Some(other) = self.colliding_topic(name) {
            return Err(ReplayError(format!("topic {name} collides with {other}")));
        }
        if partitions.is_empty() {
            return Err(ReplayError(format!("topic {name} has no partitions")));
        }
        check_partitions(partitions)?;
        let name: Arc<str> = name.into();
        if topic_name::may_collide(&name) {
            self.names_by_collision_key.insert(topic_name::collision_key(&name), Arc::clone(&name));
        }
        self.ids_by_name.insert(Arc::clone(&name), id);
        self.partition_count += partitions.len();
        let overrides = configs.iter().cloned().collect();
        self.topics.insert(id, Topic { id, name, partitions: partitions.to_vec(), overrides });
        Ok(())
    }

    fn replay_deleted(&mut self, id: TopicId) -> Result<(), ReplayError> {
        let topic = self.topics.remove(&id).ok_or_else(|| ReplayError(format!("no topic has id {id:?}")))?;
        self.ids_by_name.remove(&topic.name);
        if topic_name::may_collide(&topic.name) {
            self.names_by_collision_key.remove(&topic_name::collision_key(&topic.name));
        }
        self.partition_count -= topic.partitions.len();
        Ok(())
    }
}

fn topic_mut(topics: &mut BTreeMap<TopicId, Topic>, id: TopicId) -> Result<&mut Topic, ReplayError> {
    topics.get_mut(&id).ok_or_else(|| ReplayError(format!("no topic has id {id:?}")))
}

fn change(overrides: &mut Overrides, changes: &[ConfigChange]) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(overrides.insert(key.clone(), value.clone())),
            None => drop(overrides.remove(key)),
        }
    }
}

/// Checks the invariants of [`Partition`].
fn check_partitions(partitions: &[Partition]) -> Result<(), ReplayError> {
    for partition in partitions {
        let replicas = &partition.replicas;
        let distinct = replicas.iter().enumerate().all(|(at, id)| !replicas[..at].contains(id));
        let holds = !replicas.is_empty()
            && distinct
            && partition.isr.iter().all(|id| replicas.contains(id))
            && partition.leader.is_none_or(|leader| partition.isr.contains(&leader));
        if !holds {
            return Err(ReplayError(format!(
                "replicas, in-sync set and leader contradict each other: {partition:?}"
            )));
        }
    }
    Ok(())
}
