//! How metadata reaches every shard: the first shard decides, stores and publishes; all apply in the same order.
//!
//! The first publication is special: it carries the whole image and what lies on the disk, and shards open their logs
//! by it. Later ones carry the records of one command; the command is answered when all shards have applied them.

use std::sync::Arc;

use corelane_base::id::{PartitionIndex, ShardId, TopicId};
use corelane_base::time::Now;
use corelane_control::configs::broker::BrokerConfig;
use corelane_control::configs::topic::{
    CompressionType, Durability as TopicDurability, TimestampType as TopicTimestampType, TopicConfig,
};
use corelane_control::controller::{Answer, Command};
use corelane_control::membership::{FormatCluster, StartBroker};
use corelane_control::record::{BrokerRegistration, Endpoint, MetadataRecord};
use corelane_log::batch::{Compression, TimestampType};
use corelane_log::codec::Codec;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken};
use corelane_log::log::Log;
use corelane_log::settings::{Durability, LogSettings};

use crate::event::Effects;
use crate::finding::STORE_SLOT;
use crate::lifecycle::fatal;
use crate::memory::MemoryLimits;
use crate::mesh::{MeshMessage, PartitionKey, Published, StartState};
use crate::metadata_log::{Asker, MetadataLog, Outcome};
use crate::owner::cleaning::cleaner_settings;
use crate::phase::Phase;
use crate::publishing::Waiting;
use crate::shard::{Shard, owner_of};
use crate::slots::SlotId;

impl Shard {
    /// Takes in an answer of the look at the disk.
    pub(crate) fn on_found(
        &mut self,
        now: Now,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        fx: &mut Effects,
    ) {
        let Phase::Finding(finding) = &mut self.phase else { return };
        match finding.on_disk(token, result, &mut fx.disk) {
            Ok(false) => return,
            Ok(true) => {}
            Err(why) => {
                fatal(fx, &why);
                return;
            }
        }
        let finding = core::mem::take(finding);
        self.phase = Phase::Waiting;
        self.publishing.old_files = finding.old_files.iter().cloned().collect();
        self.publishing.start = Some(StartState {
            incarnation: finding.incarnation(),
            clean: finding.clean,
            has_metadata: finding.has_metadata,
            checkpoints: finding.checkpoints,
            directories: finding.topics,
        });
        let config = &self.settings.config;
        self.metadata_log =
            Some(MetadataLog::open(self.broker_id, config, finding.has_metadata, &mut fx.disk));
        self.take_metadata_outcomes(now, fx);
    }

    /// Acts on what the metadata log brought about.
    pub(crate) fn take_metadata_outcomes(&mut self, now: Now, fx: &mut Effects) {
        loop {
            let Some(log) = &mut self.metadata_log else { return };
            match log.out.pop_front() {
                None => break,
                Some(Outcome::Failed(why)) => fatal(fx, &why),
                Some(Outcome::Loaded) => self.register(now, fx),
                Some(Outcome::Publish { records, answer }) => {
                    if self.publishing.start.is_none() {
                        self.publish(now, records, None, answer, fx);
                    }
                }
            }
        }
        // What a start must first write down is durable: the first publication can go out.
        let stored = self.metadata_log.as_ref().is_some_and(|log| log.is_stored());
        if stored && let Some(start) = self.publishing.start.take() {
            let log = self.metadata_log.as_ref().expect("just looked at");
            let records = Arc::new(log.controller().image().snapshot());
            self.remove_orphans(&start, fx);
            self.publish(now, records, Some(Arc::new(start)), None, fx);
        }
    }

    /// Writes down that this broker is here, and on the very first start that the cluster is.
    fn register(&mut self, now: Now, fx: &mut Effects) {
        let unclean = self.publishing.start.as_ref().is_some_and(|start| start.has_metadata && !start.clean);
        let registration = BrokerRegistration {
            id: self.broker_id,
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                host: self.settings.advertised_host.clone(),
                port: self.settings.advertised_port,
            }],
            rack: self.config.rack.clone(),
        };
        let cluster_id = cluster_id(self.rng.bytes16());
        let log = self.metadata_log.as_mut().expect("Loaded comes from it");
        let cx = &mut self.owner.log_cx(now, &mut fx.disk);
        if log.controller().image().cluster_id().is_none() {
            log.submit(Command::FormatCluster(FormatCluster { cluster_id }), None, cx);
        }
        log.submit(Command::StartBroker(StartBroker { registration, unclean }), None, cx);
    }

    /// Directories of topics that the metadata does not know: deletions that the last stop interrupted.
    fn remove_orphans(&self, start: &StartState, fx: &mut Effects) {
        let log = self.metadata_log.as_ref().expect("the caller's");
        let image = log.controller().image();
        for entry in start.directories.iter().filter(|entry| image.topic(&entry.name).is_none()) {
            fx.disk.push(STORE_SLOT, DiskOp::Remove { path: format!("topics/{}", entry.name) });
        }
    }

    pub(crate) fn end_metadata_turn(&mut self, now: Now, fx: &mut Effects) {
        let cx = &mut self.owner.log_cx(now, &mut fx.disk);
        if let Some(log) = &mut self.metadata_log {
            log.end_turn(cx);
            self.take_metadata_outcomes(now, fx);
        }
    }

    /// A command arrives at the first shard.
    pub(crate) fn on_control(
        &mut self,
        now: Now,
        from: ShardId,
        pending: SlotId,
        command: Command,
        fx: &mut Effects,
    ) {
        if !self.is_serving() {
            // The log is sealed for the stop. The asker is about to hear of it too; its client finds the connection
            // closed and may ask the next broker.
            return;
        }
        let log = self.metadata_log.as_mut().expect("commands go to the first shard, after the start");
        let cx = &mut self.owner.log_cx(now, &mut fx.disk);
        log.submit(command, Some((from, pending)), cx);
        self.take_metadata_outcomes(now, fx);
    }

    fn publish(
        &mut self,
        now: Now,
        records: Arc<Vec<MetadataRecord>>,
        start: Option<Arc<StartState>>,
        answer: Option<(Asker, Answer)>,
        fx: &mut Effects,
    ) {
        if records.is_empty() && start.is_none() && self.publishing.waiting.is_empty() {
            if let Some(((shard, pending), answer)) = answer {
                self.tell(now, shard, MeshMessage::ControlDone { pending, answer: Box::new(answer) }, fx);
            }
            return;
        }
        self.publishing.version += 1;
        let version = self.publishing.version;
        let outstanding = self.settings.shard_count;
        self.publishing.waiting.push_back(Waiting { version, outstanding, answer });
        for shard in 0..self.settings.shard_count {
            let published = Published { version, records: Arc::clone(&records), start: start.clone() };
            self.tell(now, ShardId(shard), MeshMessage::Metadata(published), fx);
        }
    }

    /// A shard has applied a publication.
    pub(crate) fn on_metadata_applied(&mut self, now: Now, version: u64, fx: &mut Effects) {
        for waiting in &mut self.publishing.waiting {
            if waiting.version == version {
                waiting.outstanding -= 1;
            }
        }
        while self.publishing.waiting.front().is_some_and(|first| first.outstanding == 0) {
            let first = self.publishing.waiting.pop_front().expect("just looked at");
            if first.version == 1 {
                // Every log is in a checkpoint of this incarnation now.
                for path in core::mem::take(&mut self.publishing.old_files) {
                    fx.disk.push(STORE_SLOT, DiskOp::Remove { path });
                }
            }
            if let Some(((shard, pending), answer)) = first.answer {
                self.tell(now, shard, MeshMessage::ControlDone { pending, answer: Box::new(answer) }, fx);
            }
        }
    }

    /// Applies a publication.
    pub(crate) fn on_metadata(&mut self, now: Now, published: &Published, fx: &mut Effects) {
        assert_eq!(published.version, self.metadata_version + 1, "publications come in order, each once");
        self.metadata_version = published.version;
        if let Err(error) = self.image.replay_set(&published.records) {
            fatal(fx, &error.to_string());
            return;
        }
        let start = published.start.as_deref();
        if start.is_some() {
            // Before the first log opens: what was changed at run time holds from the start on.
            self.take_broker_config();
        }
        for record in published.records.iter() {
            match record {
                MetadataRecord::TopicCreated { topic_id, .. } => {
                    self.resolve_topic_config(*topic_id);
                    self.add_partitions(now, *topic_id, 0, start, fx);
                }
                MetadataRecord::PartitionsAdded { topic_id, first, .. } => {
                    self.add_partitions(now, *topic_id, first.0, start, fx);
                }
                MetadataRecord::TopicDeleted { topic_id } => {
                    self.topic_configs.remove(topic_id);
                    self.unhost_topic(*topic_id);
                    self.owner.remove_topic(*topic_id, now, &mut fx.disk);
                    self.metrics.sent.forget(*topic_id);
                }
                MetadataRecord::TopicConfigChanged { topic_id, .. } => self.change_topic_config(*topic_id),
                MetadataRecord::BrokerConfigChanged { .. } => self.change_broker_config(now, fx),
                MetadataRecord::ClusterFormatted { .. }
                | MetadataRecord::BrokerRegistered { .. }
                | MetadataRecord::BrokerRestarted { .. }
                | MetadataRecord::GroupConfigChanged { .. }
                | MetadataRecord::ClientMetricsConfigChanged { .. }
                | MetadataRecord::ProducerIdsAllocated { .. } => {}
            }
        }
        self.tell_coordinators(now, &published.records);
        match start {
            Some(start) => self.phase = Phase::Opening { incarnation: start.incarnation },
            None => {
                let version = published.version;
                self.tell(now, ShardId(0), MeshMessage::MetadataApplied { version }, fx);
            }
        }
    }

    /// Lets the group coordinators know of what concerns them.
    fn tell_coordinators(&mut self, now: Now, records: &[MetadataRecord]) {
        let topics = |record: &MetadataRecord| {
            matches!(
                record,
                MetadataRecord::TopicCreated { .. }
                    | MetadataRecord::PartitionsAdded { .. }
                    | MetadataRecord::TopicDeleted { .. }
            )
        };
        let settings = |record: &MetadataRecord| {
            matches!(
                record,
                MetadataRecord::TopicConfigChanged { .. } | MetadataRecord::BrokerConfigChanged { .. }
            )
        };
        if records.iter().any(settings) {
            self.groups_settings_changed();
        }
        if records.iter().any(topics) {
            self.groups_topics_changed(now);
        }
    }

    fn resolve_topic_config(&mut self, id: TopicId) {
        // A later record of the same publication may have deleted it.
        if let Some(topic) = self.image.topic_by_id(id) {
            let config = self.config.topic_defaults.with(&topic.overrides);
            self.topic_configs.insert(id, config);
        }
    }

    fn change_topic_config(&mut self, id: TopicId) {
        self.resolve_topic_config(id);
        let Some(config) = self.topic_configs.get(&id) else { return };
        let settings = log_settings(config, &self.config);
        let count = self.image.topic_by_id(id).map_or(0, |topic| topic.partitions.len());
        for partition in 0..count {
            let key = PartitionKey { topic: id, partition: PartitionIndex(partition as i32) };
            self.owner.with(key, |partition| partition.log.set_settings(settings.clone()));
        }
    }

    /// Works with the broker's settings as the image has them, in all but the topics.
    fn take_broker_config(&mut self) {
        self.config = self.image.broker_config(self.broker_id, &self.settings.config);
        let (cleaner, backoff_ms) = cleaner_settings(&self.config, self.settings.shard_count);
        self.owner.set_cleaning(cleaner, backoff_ms);
        self.limits = MemoryLimits::of(self.config.memory_bytes, self.settings.shard_count);
        self.owner.set_limits(self.limits);
    }

    fn change_broker_config(&mut self, now: Now, fx: &mut Effects) {
        self.take_broker_config();
        self.admit_connections(now, fx);
        let ids: Vec<TopicId> = self.image.topics().map(|topic| topic.id).collect();
        for id in ids {
            self.change_topic_config(id);
        }
    }

    fn add_partitions(
        &mut self,
        now: Now,
        id: TopicId,
        first: i32,
        start: Option<&StartState>,
        fx: &mut Effects,
    ) {
        let Some(topic) = self.image.topic_by_id(id) else { return };
        let Some(config) = self.topic_configs.get(&id) else { return };
        let settings = log_settings(config, &self.config);
        for (index, partition) in topic.partitions.iter().enumerate().skip(first as usize) {
            let key = PartitionKey { topic: id, partition: PartitionIndex(index as i32) };
            if owner_of(key, self.settings.shard_count) != self.settings.shard {
                continue;
            }
            let dir = directory(&topic.name, key);
            let settings = settings.clone();
            self.owner.add(
                key,
                partition.leader_epoch,
                dir.clone(),
                now,
                &mut fx.disk,
                |slot, cx| match start {
                    Some(start) => {
                        let checkpoint = start.checkpoints.get(&key).map(|bytes| &bytes[..]);
                        Log::open(slot, dir, settings, checkpoint, start.clean && checkpoint.is_some(), cx)
                    }
                    None => Log::create(slot, dir, settings, cx),
                },
            );
        }
        if self.host_partitions(id, first) {
            self.load_groups(now, fx);
        }
    }
}

/// Where a log's files lie: the topic's name for people, its id so that a topic deleted and made anew under the same
/// name never meets its predecessor's files.
#[must_use]
pub fn directory(topic_name: &str, key: PartitionKey) -> String {
    format!("topics/{topic_name}/{}-{:?}", key.partition, key.topic)
}

/// A cluster id as Kafka writes them: 16 random bytes in URL-safe base 64 without padding.
fn cluster_id(random: [u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(random);
    (0..22)
        .map(|place| {
            let shift = 122i32 - 6 * place;
            let digit = if shift >= 0 { bits >> shift } else { bits << -shift } & 63;
            char::from(DIGITS[digit as usize])
        })
        .collect()
}

/// The settings of one log.
#[must_use]
pub fn log_settings(topic: &TopicConfig, broker: &BrokerConfig) -> LogSettings {
    LogSettings {
        segment_bytes: topic.segment_bytes.max(1) as u32,
        segment_ms: topic.segment_ms,
        retention_bytes: topic.retention_bytes.unwrap_or(-1),
        retention_ms: topic.retention_ms.unwrap_or(-1),
        deletes: topic.cleanup_policy.delete,
        batch_bytes_max: topic.batch_bytes_max.max(0) as u32,
        compression: codec(topic),
        index_interval_bytes: topic.index_interval_bytes.max(0) as u32,
        timestamp_type: match topic.timestamp_type {
            TopicTimestampType::CreateTime => TimestampType::CreateTime,
            TopicTimestampType::LogAppendTime => TimestampType::LogAppendTime,
        },
        timestamp_before_ms_max: topic.timestamp_before_ms_max,
        timestamp_after_ms_max: topic.timestamp_after_ms_max,
        durability: match topic.durability {
            TopicDurability::Sync => Durability::Sync,
            TopicDurability::Write => Durability::Write,
            TopicDurability::Memory => Durability::Memory,
        },
        producer_id_expiration_ms: broker.producer_id_expiration_ms,
        compacted: topic.cleanup_policy.compact,
        delete_retention_ms: topic.delete_retention_ms,
        compaction_lag_ms_min: topic.compaction_lag_ms_min,
        compaction_lag_ms_max: topic.compaction_lag_ms_max,
        cleanable_ratio_min_ppm: (topic.cleanable_dirty_ratio_min * 1e6) as u32,
    }
}

/// What a topic's batches are compressed with; `None` for whatever their producers chose.
fn codec(topic: &TopicConfig) -> Option<Codec> {
    Some(match topic.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => Codec::at_default_level(Compression::None),
        CompressionType::Gzip => {
            Codec { compression: Compression::Gzip, level: topic.compression_gzip_level }
        }
        CompressionType::Snappy => Codec::at_default_level(Compression::Snappy),
        CompressionType::Lz4 => Codec::at_default_level(Compression::Lz4),
        CompressionType::Zstd => {
            Codec { compression: Compression::Zstd, level: topic.compression_zstd_level }
        }
    })
}
