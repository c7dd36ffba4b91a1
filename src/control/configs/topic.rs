//! A topic's settings, checked and typed: what the log and the handlers of a partition work with.

use crate::configs::definition::{ConfigError, Overrides, Value};
use crate::configs::layers::Layers;
use crate::configs::topic_definitions;

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

/// How a topic asks for its batches to be compressed. They are stored as the producer sent them all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompressionType {
    /// Whatever the producer chose.
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
    /// `compression.type`.
    pub compression_type: CompressionType,
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
    /// The settings that hold for a topic with these overrides on a broker with these layers.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>, overrides: &Overrides) -> TopicConfig {
        let reader = Reader { layers, overrides };
        let policies = reader.list("cleanup.policy");
        let has = |word| policies.iter().any(|policy| policy == word);
        TopicConfig {
            cleanup_policy: CleanupPolicy { delete: has("delete"), compact: has("compact") },
            compression_type: match reader.text("compression.type").as_str() {
                "uncompressed" => CompressionType::Uncompressed,
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::Producer,
            },
            durability: match reader.text("corelane.durability").as_str() {
                "memory" => Durability::Memory,
                "write" => Durability::Write,
                _ => Durability::Sync,
            },
            delete_retention_ms: reader.long("delete.retention.ms"),
            file_delete_delay_ms: reader.long("file.delete.delay.ms"),
            flush_interval_records: reader.long("flush.messages"),
            flush_interval_ms: reader.long("flush.ms"),
            index_interval_bytes: reader.int("index.interval.bytes"),
            compaction_lag_ms_max: reader.long("max.compaction.lag.ms"),
            batch_bytes_max: reader.int("max.message.bytes"),
            timestamp_after_ms_max: reader.long("message.timestamp.after.max.ms"),
            timestamp_before_ms_max: reader.long("message.timestamp.before.max.ms"),
            timestamp_type: match reader.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            cleanable_dirty_ratio_min: reader.double("min.cleanable.dirty.ratio"),
            compaction_lag_ms_min: reader.long("min.compaction.lag.ms"),
            insync_replicas_min: reader.int("min.insync.replicas"),
            preallocate: reader.flag("preallocate"),
            retention_bytes: Some(reader.long("retention.bytes")).filter(|&bytes| bytes >= 0),
            retention_ms: Some(reader.long("retention.ms")).filter(|&ms| ms >= 0),
            segment_bytes: reader.int("segment.bytes"),
            segment_index_bytes: reader.int("segment.index.bytes"),
            segment_jitter_ms: reader.long("segment.jitter.ms"),
            segment_ms: reader.long("segment.ms"),
            unclean_leader_election: reader.flag("unclean.leader.election.enable"),
        }
    }
}

/// Checks a topic's overrides one by one and against each other, as they will hold on a broker with these layers.
/// Errors: the first key or value that is wrong.
pub fn check_overrides(layers: &Layers<'_>, overrides: &Overrides) -> Result<(), ConfigError> {
    for (key, text) in overrides {
        match topic_definitions::find(key) {
            Some(definition) => drop(definition.parse(text)?),
            None => return Err(ConfigError::new(key, None, "no topic setting has this name")),
        }
    }
    let config = TopicConfig::resolve(layers, overrides);
    if config.compaction_lag_ms_min > config.compaction_lag_ms_max {
        let problem =
            format!("must not be above max.compaction.lag.ms, which is {}", config.compaction_lag_ms_max);
        let value = config.compaction_lag_ms_min.to_string();
        return Err(ConfigError::new("min.compaction.lag.ms", Some(&value), problem));
    }
    Ok(())
}

/// Looks up one key after another. Panics: if a key is not in the registry or of another type, which the test that
/// resolves the defaults excludes.
struct Reader<'a> {
    layers: &'a Layers<'a>,
    overrides: &'a Overrides,
}

impl Reader<'_> {
    fn value(&self, key: &str) -> Value {
        let definition = topic_definitions::find(key).expect("resolve names only keys of the registry");
        self.layers.topic_value(self.overrides, definition).0
    }

    fn long(&self, key: &str) -> i64 {
        match self.value(key) {
            Value::Int(value) => value,
            other => unreachable!("{key} is a number, not {other:?}"),
        }
    }

    fn int(&self, key: &str) -> i32 {
        i32::try_from(self.long(key)).expect("the range of an Int key is that of i32")
    }

    fn double(&self, key: &str) -> f64 {
        match self.value(key) {
            Value::Double(value) => value,
            other => unreachable!("{key} is a double, not {other:?}"),
        }
    }

    fn flag(&self, key: &str) -> bool {
        match self.value(key) {
            Value::Bool(value) => value,
            other => unreachable!("{key} is a boolean, not {other:?}"),
        }
    }

    fn text(&self, key: &str) -> String {
        match self.value(key) {
            Value::Text(value) => value,
            other => unreachable!("{key} is a text, not {other:?}"),
        }
    }

    fn list(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Value::List(values) => values,
            other => unreachable!("{key} is a list, not {other:?}"),
        }
    }
}
