//! The keys that a topic can set, with Kafka's names, types, ranges and defaults.
//!
//! What Corelane does not do (tiered storage, old message formats) is not listed: a key that is listed is honoured,
//! or says in its documentation what it means here. `remote.storage.enable` and its relatives are absent for that
//! reason.

use crate::configs::definition::{ConfigType, Definition, Synonym, Update, Valid};

const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

/// The words of `cleanup.policy`.
pub const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];
/// The words of `compression.type`.
pub const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
/// The words of `message.timestamp.type`.
pub const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];
/// The words of `corelane.durability`.
pub const DURABILITIES: &[&str] = &["sync", "write", "memory"];

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;

const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit_ms: 1 }
}

const fn in_units(name: &'static str, unit_ms: i64) -> Synonym {
    Synonym { name, unit_ms }
}

const fn key(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    valid: Valid,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    Definition { name, kind, default: Some(default), valid, update: Update::ClusterWide, synonyms, doc }
}

/// The definition of a topic key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    TOPIC.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|at| &TOPIC[at])
}

/// Every topic key, in the order of their names.
pub static TOPIC: &[Definition] = &[
    key(
        "cleanup.policy",
        ConfigType::List,
        "delete",
        Valid::EachOneOf(CLEANUP_POLICIES),
        &[same("log.cleanup.policy")],
        "What happens to old segments: 'delete' drops them by age and size, 'compact' keeps the latest \
         record of each key. Both may be given; an empty list keeps everything.",
    ),
    key(
        "compression.gzip.level",
        ConfigType::Int,
        "-1",
        Valid::RangeOr(1, 9, -1),
        &[same("compression.gzip.level")],
        "The level at which the broker compresses where 'compression.type' is 'gzip'; -1 is the library's \
         choice, 6.",
    ),
    key(
        "compression.lz4.level",
        ConfigType::Int,
        "9",
        Valid::Range(1, 17),
        &[same("compression.lz4.level")],
        "Changes nothing: where 'compression.type' is 'lz4' the broker compresses by lz4's fast method, \
         which is also Kafka's at the default level.",
    ),
    key(
        "compression.type",
        ConfigType::String,
        "producer",
        Valid::OneOf(COMPRESSION_TYPES),
        &[same("compression.type")],
        "How the topic's batches are stored: 'producer' keeps each byte for byte as its producer compressed \
         it, otherwise the broker compresses anew what comes with another compression.",
    ),
    key(
        "compression.zstd.level",
        ConfigType::Int,
        "3",
        Valid::Range(-131_072, 22),
        &[same("compression.zstd.level")],
        "The level at which the broker compresses where 'compression.type' is 'zstd'; 0 is the library's \
         choice, 3.",
    ),
    key(
        "corelane.durability",
        ConfigType::String,
        "sync",
        Valid::OneOf(DURABILITIES),
        &[same("corelane.durability")],
        "What an acknowledgement stands for: 'sync' means on stable storage, 'write' means handed to the \
         kernel, 'memory' means in the broker's memory. Anything but 'sync' can lose acknowledged records.",
    ),
    key(
        "delete.retention.ms",
        ConfigType::Long,
        "86400000",
        Valid::Range(0, LONG_MAX),
        &[same("log.cleaner.delete.retention.ms")],
        "How long compaction keeps a record without a value, so that readers from the start still learn of \
         the deletion.",
    ),
    key(
        "file.delete.delay.ms",
        ConfigType::Long,
        "60000",
        Valid::Range(0, LONG_MAX),
        &[same("log.segment.delete.delay.ms")],
        "How long a segment that retention has dropped stays on disk before its space is taken back.",
    ),
    key(
        "flush.messages",
        ConfigType::Long,
        "9223372036854775807",
        Valid::Range(1, LONG_MAX),
        &[same("log.flush.interval.messages")],
        "After how many records the log is forced to disk. With 'corelane.durability=sync' every batch is \
         on disk before it is acknowledged, so any value is met.",
    ),
    key(
        "flush.ms",
        ConfigType::Long,
        "9223372036854775807",
        Valid::Range(0, LONG_MAX),
        &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")],
        "After how many milliseconds the log is forced to disk. With 'corelane.durability=sync' every batch \
         is on disk before it is acknowledged, so any value is met.",
    ),
    key(
        "follower.replication.throttled.replicas",
        ConfigType::List,
        "",
        Valid::ThrottledReplicas,
        &[],
        "The replicas whose catching up is throttled, as partition:broker, or '*' for all. A broker on its \
         own has no followers to throttle.",
    ),
    key(
        "index.interval.bytes",
        ConfigType::Int,
        "4096",
        Valid::Range(0, INT_MAX),
        &[same("log.index.interval.bytes")],
        "How many bytes of log lie between two entries of the offset index. Smaller finds offsets with less \
         reading and makes a larger index.",
    ),
    key(
        "leader.replication.throttled.replicas",
        ConfigType::List,
        "",
        Valid::ThrottledReplicas,
        &[],
        "The replicas whose reading by followers is throttled, as partition:broker, or '*' for all. A \
         broker on its own has no followers to throttle.",
    ),
    key(
        "max.compaction.lag.ms",
        ConfigType::Long,
        "9223372036854775807",
        Valid::Range(1, LONG_MAX),
        &[same("log.cleaner.max.compaction.lag.ms")],
        "The longest a record may stay uncompacted. Applies to compacted topics only.",
    ),
    key(
        "max.message.bytes",
        ConfigType::Int,
        "1048588",
        Valid::Range(0, INT_MAX),
        &[same("message.max.bytes")],
        "The largest record batch that is accepted, as it is sent, after compression.",
    ),
    key(
        "message.timestamp.after.max.ms",
        ConfigType::Long,
        "3600000",
        Valid::Range(0, LONG_MAX),
        &[same("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may lie in the future of the broker's clock before the record is \
         refused. Not looked at under LogAppendTime.",
    ),
    key(
        "message.timestamp.before.max.ms",
        ConfigType::Long,
        "9223372036854775807",
        Valid::Range(0, LONG_MAX),
        &[same("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may lie in the past of the broker's clock before the record is \
         refused. Not looked at under LogAppendTime.",
    ),
    key(
        "message.timestamp.type",
        ConfigType::String,
        "CreateTime",
        Valid::OneOf(TIMESTAMP_TYPES),
        &[same("log.message.timestamp.type")],
        "Whose clock a record's timestamp is from: the producer's (CreateTime) or the broker's at the \
         moment of appending (LogAppendTime).",
    ),
    key(
        "min.cleanable.dirty.ratio",
        ConfigType::Double,
        "0.5",
        Valid::DoubleRange(0.0, 1.0),
        &[same("log.cleaner.min.cleanable.ratio")],
        "Which share of a log must be uncompacted before compaction takes it up. Smaller wastes less disk \
         and compacts more often.",
    ),
    key(
        "min.compaction.lag.ms",
        ConfigType::Long,
        "0",
        Valid::Range(0, LONG_MAX),
        &[same("log.cleaner.min.compaction.lag.ms")],
        "The shortest a record stays uncompacted. Applies to compacted topics only.",
    ),
    key(
        "min.insync.replicas",
        ConfigType::Int,
        "1",
        Valid::Range(1, INT_MAX),
        &[same("min.insync.replicas")],
        "How many replicas, the leader among them, must have a batch before a producer with acks=all gets \
         its answer. With fewer in sync such a producer is refused.",
    ),
    key(
        "preallocate",
        ConfigType::Boolean,
        "false",
        Valid::Any,
        &[same("log.preallocate")],
        "Whether a segment's space is taken when it is begun. Segments are always written in advance here, \
         so either value behaves like true.",
    ),
    key(
        "retention.bytes",
        ConfigType::Long,
        "-1",
        Valid::Range(i64::MIN, LONG_MAX),
        &[same("log.retention.bytes")],
        "How large a partition may grow before its oldest segments are deleted; negative means without \
         limit. Applies under the policy 'delete'.",
    ),
    key(
        "retention.ms",
        ConfigType::Long,
        "604800000",
        Valid::Range(-1, LONG_MAX),
        &[
            same("log.retention.ms"),
            in_units("log.retention.minutes", MINUTE_MS),
            in_units("log.retention.hours", HOUR_MS),
        ],
        "How long records are kept before their segment is deleted; -1 means for ever. Applies under the \
         policy 'delete'.",
    ),
    key(
        "segment.bytes",
        ConfigType::Int,
        "1073741824",
        Valid::Range(1_048_576, INT_MAX),
        &[same("log.segment.bytes")],
        "The size at which a segment is closed and the next one begun. Retention and compaction work on \
         closed segments only.",
    ),
    key(
        "segment.index.bytes",
        ConfigType::Int,
        "10485760",
        Valid::Range(4, INT_MAX),
        &[same("log.index.size.max.bytes")],
        "The largest offset index of a segment; a full index closes the segment.",
    ),
    key(
        "segment.jitter.ms",
        ConfigType::Long,
        "0",
        Valid::Range(0, LONG_MAX),
        &[same("log.roll.jitter.ms"), in_units("log.roll.jitter.hours", HOUR_MS)],
        "The most that is taken at random from 'segment.ms', so that many partitions do not close their \
         segments at the same moment.",
    ),
    key(
        "segment.ms",
        ConfigType::Long,
        "604800000",
        Valid::Range(1, LONG_MAX),
        &[same("log.roll.ms"), in_units("log.roll.hours", HOUR_MS)],
        "The age at which a segment is closed even if it is not full, so that retention and compaction can \
         reach its records.",
    ),
    key(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        "false",
        Valid::Any,
        &[same("unclean.leader.election.enable")],
        "Whether a replica that is not in sync may become leader when no other is left, at the price of the \
         records it lacks.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configs::{broker_definitions, definition};

    #[test]
    fn the_table_is_sorted_and_consistent() {
        assert!(TOPIC.is_sorted_by(|a, b| a.name < b.name), "binary search needs strictly ascending names");
        for topic in TOPIC {
            assert!(find(topic.name).is_some_and(|found| found.name == topic.name));
            let default = topic.default_value().expect("every topic key has a default");
            assert!(topic.doc.ends_with('.') && topic.doc.len() > 40, "{} lacks documentation", topic.name);
            for synonym in topic.synonyms {
                let broker = broker_definitions::find(synonym.name).expect(synonym.name);
                assert_eq!(broker.update, Update::ClusterWide, "{}", broker.name);
                let Some(definition::Value::Int(units)) = broker.default_value() else { continue };
                let definition::Value::Int(default) = default else { panic!("{} is a number", topic.name) };
                assert_eq!(units * synonym.unit_ms, default, "{} and {}", topic.name, broker.name);
            }
        }
        assert!(find("remote.storage.enable").is_none());
    }
}
