//! A topic's settings, checked and typed: what the log and the handlers of a partition work with.

use crate::configs::definition::{ConfigError, Overrides, Value};
use crate::configs::layers::Layers;
use crate::configs::topic_definitions::{self, TOPIC};

/// What happens to old segments. Both may hold, and neither: then everything is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// Drop segments by age and size.
    pub delete: bool,
    /// Keep the latest record of each key.
    pub compact: bool,
}

/// Whose clock stamps a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's when it appends.
    LogAppendTime,
}

/// What an acknowledgement stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// In the broker's memory.
    Memory,
    /// Handed to the kernel.
    Write,
    /// On stable storage.
    Sync,
}

/// How a topic's batches are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// Each as its producer compressed it.
    Producer,
    /// Not at all.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// The settings of one topic. Values are within the registry's ranges, so `i32` and `i64` fields are not negative
/// where nothing else is said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `compression.gzip.level`: 1 to 9, or -1 for the library's choice.
    pub compression_gzip_level: i32,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `compression.zstd.level`: -131,072 to 22.
    pub compression_zstd_level: i32,
    /// `corelane.durability`.
    pub durability: Durability,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`, in records; at least 1.
    pub flush_interval_records: i64,
    /// `flush.ms`.
    pub flush_interval_ms: i64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.compaction.lag.ms`; at least 1.
    pub compaction_lag_ms_max: i64,
    /// `max.message.bytes`: the largest batch, header included.
    pub batch_bytes_max: i32,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub cleanable_dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_ms_min: i64,
    /// `min.insync.replicas`; at least 1.
    pub insync_replicas_min: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`; `None` without limit.
    pub retention_bytes: Option<i64>,
    /// `retention.ms`; `None` for ever.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`; at least 1 MiB.
    pub segment_bytes: i32,
    /// `segment.index.bytes`; at least 4.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`; at least 1.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}

impl TopicConfig {
    /// The registry's defaults: what holds on a broker without any settings.
    pub const BUILT_IN: TopicConfig = TopicConfig {
        cleanup_policy: CleanupPolicy { delete: true, compact: false },
        compression_gzip_level: -1,
        compression_type: CompressionType::Producer,
        compression_zstd_level: 3,
        durability: Durability::Sync,
        delete_retention_ms: 86_400_000,
        file_delete_delay_ms: 60_000,
        flush_interval_records: i64::MAX,
        flush_interval_ms: i64::MAX,
        index_interval_bytes: 4096,
        compaction_lag_ms_max: i64::MAX,
        batch_bytes_max: 1_048_588,
        timestamp_after_ms_max: 3_600_000,
        timestamp_before_ms_max: i64::MAX,
        timestamp_type: TimestampType::CreateTime,
        cleanable_dirty_ratio_min: 0.5,
        compaction_lag_ms_min: 0,
        insync_replicas_min: 1,
        preallocate: false,
        retention_bytes: None,
        retention_ms: Some(604_800_000),
        segment_bytes: 1_073_741_824,
        segment_index_bytes: 10_485_760,
        segment_jitter_ms: 0,
        segment_ms: 604_800_000,
        unclean_leader_election: false,
    };

    /// The settings of a topic without any of its own, on a broker with these layers. Looks up every key: keep the
    /// result until the brokers' settings change.
    #[must_use]
    pub fn defaults(layers: &Layers<'_>) -> TopicConfig {
        let nothing = Overrides::new();
        let mut config = TopicConfig::BUILT_IN;
        for definition in TOPIC {
            config.set(definition.name, layers.topic_value(&nothing, definition).0);
        }
        config
    }

    /// These settings with a topic's own above them; costs as much as there are of those.
    #[must_use]
    pub fn with(&self, overrides: &Overrides) -> TopicConfig {
        let mut config = *self;
        for (key, text) in overrides {
            if let Some(definition) = topic_definitions::find(key)
                && let Ok(value) = definition.parse(text)
            {
                config.set(definition.name, value);
            }
        }
        config
    }

    /// The settings that hold for a topic with these overrides on a broker with these layers.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>, overrides: &Overrides) -> TopicConfig {
        TopicConfig::defaults(layers).with(overrides)
    }

    /// Sets the field of a key. Panics: if the value is not of the key's type, or out of its range, which
    /// `Definition::parse` excludes.
    fn set(&mut self, key: &'static str, value: Value) {
        let is_limit = |value: &i64| *value >= 0;
        match (key, value) {
            ("cleanup.policy", Value::List(words)) => {
                let has = |policy| words.iter().any(|word| word == policy);
                self.cleanup_policy = CleanupPolicy { delete: has("delete"), compact: has("compact") };
            }
            ("compression.gzip.level", Value::Int(level)) => self.compression_gzip_level = narrow(level),
            ("compression.type", Value::Text(word)) => self.compression_type = compression(&word),
            ("compression.zstd.level", Value::Int(level)) => self.compression_zstd_level = narrow(level),
            ("corelane.durability", Value::Text(word)) => self.durability = durability(&word),
            ("delete.retention.ms", Value::Int(ms)) => self.delete_retention_ms = ms,
            ("file.delete.delay.ms", Value::Int(ms)) => self.file_delete_delay_ms = ms,
            ("flush.messages", Value::Int(records)) => self.flush_interval_records = records,
            ("flush.ms", Value::Int(ms)) => self.flush_interval_ms = ms,
            ("index.interval.bytes", Value::Int(bytes)) => self.index_interval_bytes = narrow(bytes),
            ("max.compaction.lag.ms", Value::Int(ms)) => self.compaction_lag_ms_max = ms,
            ("max.message.bytes", Value::Int(bytes)) => self.batch_bytes_max = narrow(bytes),
            ("message.timestamp.after.max.ms", Value::Int(ms)) => self.timestamp_after_ms_max = ms,
            ("message.timestamp.before.max.ms", Value::Int(ms)) => self.timestamp_before_ms_max = ms,
            ("message.timestamp.type", Value::Text(word)) => self.timestamp_type = timestamp_type(&word),
            ("min.cleanable.dirty.ratio", Value::Double(ratio)) => self.cleanable_dirty_ratio_min = ratio,
            ("min.compaction.lag.ms", Value::Int(ms)) => self.compaction_lag_ms_min = ms,
            ("min.insync.replicas", Value::Int(count)) => self.insync_replicas_min = narrow(count),
            ("preallocate", Value::Bool(on)) => self.preallocate = on,
            ("retention.bytes", Value::Int(bytes)) => self.retention_bytes = Some(bytes).filter(is_limit),
            ("retention.ms", Value::Int(ms)) => self.retention_ms = Some(ms).filter(is_limit),
            ("segment.bytes", Value::Int(bytes)) => self.segment_bytes = narrow(bytes),
            ("segment.index.bytes", Value::Int(bytes)) => self.segment_index_bytes = narrow(bytes),
            ("segment.jitter.ms", Value::Int(ms)) => self.segment_jitter_ms = ms,
            ("segment.ms", Value::Int(ms)) => self.segment_ms = ms,
            ("unclean.leader.election.enable", Value::Bool(on)) => self.unclean_leader_election = on,
            // Known to the registry, without a field: lz4 has one level here and followers are not throttled.
            (
                "compression.lz4.level"
                | "follower.replication.throttled.replicas"
                | "leader.replication.throttled.replicas",
                _,
            ) => {}
            (key, value) => unreachable!("{key} is not of the type of {value:?}"),
        }
    }
}

fn narrow(value: i64) -> i32 {
    i32::try_from(value).expect("the range of an Int key is that of i32")
}

fn compression(word: &str) -> CompressionType {
    match word {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip,
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4,
        "zstd" => CompressionType::Zstd,
        "producer" => CompressionType::Producer,
        other => unreachable!("{other} is not in the range of compression.type"),
    }
}

fn durability(word: &str) -> Durability {
    match word {
        "memory" => Durability::Memory,
        "write" => Durability::Write,
        "sync" => Durability::Sync,
        other => unreachable!("{other} is not in the range of corelane.durability"),
    }
}

fn timestamp_type(word: &str) -> TimestampType {
    match word {
        "CreateTime" => TimestampType::CreateTime,
        "LogAppendTime" => TimestampType::LogAppendTime,
        other => unreachable!("{other} is not in the range of message.timestamp.type"),
    }
}

/// Checks a topic's overrides one by one and against each other, as they will hold above `defaults`.
/// Errors: the first key or value that is wrong.
pub fn check_overrides(defaults: &TopicConfig, overrides: &Overrides) -> Result<(), ConfigError> {
    for (key, text) in overrides {
        match topic_definitions::find(key) {
            Some(definition) => drop(definition.parse(text)?),
            None => return Err(ConfigError::new(key, None, "no topic setting has this name")),
        }
    }
    let config = defaults.with(overrides);
    if config.compaction_lag_ms_min > config.compaction_lag_ms_max {
        let problem =
            format!("must not be above max.compaction.lag.ms, which is {}", config.compaction_lag_ms_max);
        let value = config.compaction_lag_ms_min.to_string();
        return Err(ConfigError::new("min.compaction.lag.ms", Some(&value), problem));
    }
    Ok(())
}
