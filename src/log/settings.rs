//! What a log is told from outside (its settings, already checked), and what it tells the operator.
//!
//! Not the parsing of settings: names, defaults and ranges are the configuration's business.

use crate::batch::TimestampType;
use crate::codec::Codec;

/// When an appended batch counts as flushed, so that it may be acknowledged and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Once it is on stable storage: survives the power supply.
    Sync,
    /// Once the disk write has completed: survives the process.
    Write,
    /// Once it stands in the tail memory; written behind. Survives nothing.
    Memory,
}

/// One log's settings. `-1` means "no limit" where Kafka's setting of the same name says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// `segment.bytes`: a segment is rolled before it would become larger.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its records span more, in milliseconds.
    pub segment_ms: i64,
    /// `retention.bytes`, or -1.
    pub retention_bytes: i64,
    /// `retention.ms`, or -1.
    pub retention_ms: i64,
    /// Whether `cleanup.policy` holds `delete`: without it neither limit of retention applies.
    pub deletes: bool,
    /// `max.message.bytes`: the largest batch taken from a client.
    pub batch_bytes_max: u32,
    /// `compression.type` and its level: batches that come otherwise are compressed anew. `None` (`producer`): batches
    /// stay as they come.
    pub compression: Option<Codec>,
    /// `index.interval.bytes`: how many bytes of batches lie between two index entries.
    pub index_interval_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    /// `corelane.durability`.
    pub durability: Durability,
    /// `producer.id.expiration.ms`: how long an idle producer's state is kept.
    pub producer_id_expiration_ms: i64,
    /// Whether `cleanup.policy` holds `compact`: offsets may then have gaps, and records need keys.
    pub compacted: bool,
    /// `delete.retention.ms`: how long a tombstone lives after it was first cleaned.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: how long a record stays uncompacted at least.
    pub compaction_lag_ms_min: i64,
    /// `max.compaction.lag.ms`: after how long it is compacted whatever the ratio.
    pub compaction_lag_ms_max: i64,
    /// `min.cleanable.dirty.ratio`, in millionths: which share of the log must be uncompacted before it is compacted.
    pub cleanable_ratio_min_ppm: u32,
}

impl LogSettings {
    /// A log that takes what fits, keeps all of it and is durable: no limit of retention, no compaction, otherwise
    /// Kafka's defaults.
    pub fn keeping_all(segment_bytes: u32, batch_bytes_max: u32) -> LogSettings {
        LogSettings {
            segment_bytes,
            segment_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: -1,
            deletes: false,
            batch_bytes_max,
            compression: None,
            index_interval_bytes: 4096,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_ms_max: i64::MAX,
            timestamp_after_ms_max: i64::MAX,
            durability: Durability::Sync,
            producer_id_expiration_ms: i64::MAX,
            compacted: false,
            delete_retention_ms: 86_400_000,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: i64::MAX,
            cleanable_ratio_min_ppm: 500_000,
        }
    }
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeLevel {
    /// A human must look.
    Error,
    /// We coped.
    Warn,
    /// Lifecycle.
    Info,
}

/// Something an operator should read, with the log's directory in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNotice {
    /// How much it matters.
    pub level: NoticeLevel,
    /// The sentence.
    pub text: String,
}
