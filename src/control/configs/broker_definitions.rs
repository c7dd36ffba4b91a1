//! The keys that a broker can be started with, and those of them that may change while it runs.
//!
//! Kafka's names, types, ranges and defaults; where a default differs (`listeners`, `log.dir`, `node.id`) it is so
//! that `serve` works out of the box on one machine. Only what is honoured or harmlessly meaningful is listed.

use crate::configs::connection_limits;
use crate::configs::definition::{ConfigType, Definition, Synonym, Update, Valid};
use crate::configs::listener;

const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];

const ASSIGNORS: &[&str] = &["uniform", "range"];
const MIGRATION_POLICIES: &[&str] = &["disabled", "downgrade", "upgrade", "bidirectional"];

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;
const SHORT_MAX: i64 = i16::MAX as i64;
const ANY_LONG: Valid = Valid::Range(i64::MIN, LONG_MAX);

const RETENTION: &[Synonym] = &[
    Synonym { name: "log.retention.ms", unit_ms: 1 },
    Synonym { name: "log.retention.minutes", unit_ms: 60_000 },
    Synonym { name: "log.retention.hours", unit_ms: 3_600_000 },
];
const ROLL: &[Synonym] =
    &[Synonym { name: "log.roll.ms", unit_ms: 1 }, Synonym { name: "log.roll.hours", unit_ms: 3_600_000 }];
const ROLL_JITTER: &[Synonym] = &[
    Synonym { name: "log.roll.jitter.ms", unit_ms: 1 },
    Synonym { name: "log.roll.jitter.hours", unit_ms: 3_600_000 },
];
const FLUSH: &[Synonym] = &[
    Synonym { name: "log.flush.interval.ms", unit_ms: 1 },
    Synonym { name: "log.flush.scheduler.interval.ms", unit_ms: 1 },
];

/// A key that only a restart changes.
const fn fixed(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    valid: Valid,
    doc: &'static str,
) -> Definition {
    Definition { name, kind, default, valid, update: Update::ReadOnly, synonyms: &[], doc }
}

/// A key that may change at run time.
const fn dynamic(
    name: &'static str,
    kind: ConfigType,
    default: Option<&'static str>,
    valid: Valid,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> Definition {
    Definition { name, kind, default, valid, update: Update::ClusterWide, synonyms, doc }
}

/// The definition of a broker key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    BROKER.binary_search_by(|definition| definition.name.cmp(name)).ok().map(|at| &BROKER[at])
}

fn check_listeners(text: &str) -> Result<(), String> {
    listener::parse_listeners(text).map(|_| ())
}

fn check_advertised(text: &str) -> Result<(), String> {
    listener::parse_advertised(text).map(|_| ())
}

fn check_connection_overrides(text: &str) -> Result<(), String> {
    connection_limits::parse_overrides(text).map(|_| ())
}

fn check_protocols(text: &str) -> Result<(), String> {
    listener::parse_protocols(text).map(|_| ())
}

fn check_rack(text: &str) -> Result<(), String> {
    if text.len() <= 255 { Ok(()) } else { Err("must be at most 255 bytes long".into()) }
}

fn check_one_directory(text: &str) -> Result<(), String> {
    match text.split(',').map(str::trim).filter(|part| !part.is_empty()).count() {
        1 => Ok(()),
        0 => Err("must name a directory".into()),
        count => Err(format!("must name one directory, not {count}: several are not supported")),
    }
}

fn check_assignors(text: &str) -> Result<(), String> {
    let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_twice = |at: usize| names[..at].contains(&names[at]);
    match names.iter().find(|name| !ASSIGNORS.contains(name)) {
        Some(_) => Err(format!("must be a list of {}", ASSIGNORS.join(", "))),
        None if names.is_empty() => Err("must name an assignor".into()),
        None if (0..names.len()).any(is_twice) => Err("must name each assignor once".into()),
        None => Ok(()),
    }
}

fn check_migration(text: &str) -> Result<(), String> {
    if MIGRATION_POLICIES.iter().any(|policy| policy.eq_ignore_ascii_case(text)) {
        Ok(())
    } else {
        Err(format!("must be one of {}", MIGRATION_POLICIES.join(", ")))
    }
}

/// Every broker key, in the order of their names.
pub static BROKER: &[Definition] = &[
    fixed(
        "advertised.listeners",
        ConfigType::String,
        None,
        Valid::Checked(check_advertised),
        "The addresses that clients are told to connect to, as NAME://host:port, one for each listener. \
         Without it the addresses of 'listeners' are told.",
    ),
    fixed(
        "auto.create.topics.enable",
        ConfigType::Boolean,
        Some("true"),
        Valid::Any,
        "Whether a topic that a client asks for by name is created when it does not exist.",
    ),
    fixed(
        "broker.id",
        ConfigType::Int,
        Some("1"),
        Valid::Range(0, INT_MAX),
        "The older name of 'node.id'; either sets both.",
    ),
    fixed(
        "broker.rack",
        ConfigType::String,
        None,
        Valid::Checked(check_rack),
        "The rack or zone this broker stands in, which clients are told and replicas are spread over.",
    ),
    dynamic(
        "compression.gzip.level",
        ConfigType::Int,
        Some("-1"),
        Valid::RangeOr(1, 9, -1),
        &[],
        "The default of the topic setting of the same name.",
    ),
    dynamic(
        "compression.lz4.level",
        ConfigType::Int,
        Some("9"),
        Valid::Range(1, 17),
        &[],
        "The default of the topic setting of the same name.",
    ),
    dynamic(
        "compression.type",
        ConfigType::String,
        Some("producer"),
        Valid::OneOf(COMPRESSION_TYPES),
        &[],
        "The default of the topic setting of the same name.",
    ),
    dynamic(
        "compression.zstd.level",
        ConfigType::Int,
        Some("3"),
        Valid::Range(-131_072, 22),
        &[],
        "The default of the topic setting of the same name.",
    ),
    fixed(
        "connections.max.idle.ms",
        ConfigType::Long,
        Some("600000"),
        ANY_LONG,
        "How long a connection may be silent before the broker closes it; negative means for ever.",
    ),
    dynamic(
        "corelane.durability",
        ConfigType::String,
        Some("sync"),
        Valid::OneOf(&["sync", "write", "memory"]),
        &[],
        "The default of the topic setting of the same name. Anything but 'sync' can lose acknowledged \
         records.",
    ),
    fixed(
        "corelane.http.listen",
        ConfigType::String,
        Some("127.0.0.1:9644"),
        Valid::NonEmpty,
        "The address, host:port, of the HTTP interface for administration and metrics.",
    ),
    fixed(
        "corelane.idle.spin.us",
        ConfigType::Int,
        Some("0"),
        Valid::Range(0, 1_000_000),
        "How many microseconds an idle shard polls for work before it sleeps. 0 saves CPU; some tens on \
         dedicated cores save a wake-up per request.",
    ),
    dynamic(
        "corelane.memory.bytes",
        ConfigType::Long,
        Some("2147483648"),
        Valid::Range(64 << 20, i64::MAX),
        &[],
        "What the broker may hold in memory of what clients send and have not taken yet, in bytes, all shards \
         together: the logs' tails, unfinished requests, answers, waiting batches. At the limit producers are told \
         to try again, readers get less at once, and connections with unfinished requests are closed.",
    ),
    fixed(
        "corelane.shards",
        ConfigType::Int,
        Some("0"),
        Valid::Range(0, 1024),
        "How many cores the broker uses, one shard on each; 0 means every core it may run on, fewer under a container's CPU quota.",
    ),
    fixed(
        "default.replication.factor",
        ConfigType::Int,
        Some("1"),
        Valid::Range(1, SHORT_MAX),
        "How many replicas a topic gets that is created without saying so.",
    ),
    fixed(
        "delete.topic.enable",
        ConfigType::Boolean,
        Some("true"),
        Valid::Any,
        "Whether topics can be deleted at all.",
    ),
    fixed(
        "fetch.max.bytes",
        ConfigType::Int,
        Some("57671680"),
        Valid::Range(1024, INT_MAX),
        "The most record bytes in the answer to one fetch request, whatever the client asks for.",
    ),
    dynamic(
        "group.consumer.assignment.interval.ms",
        ConfigType::Int,
        Some("1000"),
        Valid::Range(0, INT_MAX),
        &[],
        "How long a consumer group's next assignment waits after the last one, so that members that \
         come together are assigned together.",
    ),
    fixed(
        "group.consumer.assignors",
        ConfigType::List,
        Some("uniform,range"),
        Valid::Checked(check_assignors),
        "The server-side assignors of consumer groups, 'uniform' and 'range'. The first is taken for \
         members that name none.",
    ),
    fixed(
        "group.consumer.heartbeat.interval.ms",
        ConfigType::Int,
        Some("5000"),
        Valid::Range(1, INT_MAX),
        "How often the members of consumer groups are told to send heartbeats.",
    ),
    fixed(
        "group.consumer.max.assignment.interval.ms",
        ConfigType::Int,
        Some("15000"),
        Valid::Range(0, INT_MAX),
        "The highest value of 'group.consumer.assignment.interval.ms'.",
    ),
    fixed(
        "group.consumer.max.heartbeat.interval.ms",
        ConfigType::Int,
        Some("15000"),
        Valid::Range(1, INT_MAX),
        "The highest value of 'group.consumer.heartbeat.interval.ms'.",
    ),
    fixed(
        "group.consumer.max.session.timeout.ms",
        ConfigType::Int,
        Some("60000"),
        Valid::Range(1, INT_MAX),
        "The highest value of 'group.consumer.session.timeout.ms'.",
    ),
    fixed(
        "group.consumer.max.size",
        ConfigType::Int,
        Some("2147483647"),
        Valid::Range(1, INT_MAX),
        "How many members a consumer group may have. Groups of the classic protocol have \
         'group.max.size'.",
    ),
    fixed(
        "group.consumer.migration.policy",
        ConfigType::String,
        Some("bidirectional"),
        Valid::Checked(check_migration),
        "Which groups may change their protocol while they have members: 'upgrade' from classic to \
         consumer, 'downgrade' back, 'bidirectional' both, 'disabled' none.",
    ),
    fixed(
        "group.consumer.min.assignment.interval.ms",
        ConfigType::Int,
        Some("0"),
        Valid::Range(0, INT_MAX),
        "The lowest value of 'group.consumer.assignment.interval.ms'.",
    ),
    fixed(
        "group.consumer.min.heartbeat.interval.ms",
        ConfigType::Int,
        Some("5000"),
        Valid::Range(1, INT_MAX),
        "The lowest value of 'group.consumer.heartbeat.interval.ms'.",
    ),
    fixed(
        "group.consumer.min.session.timeout.ms",
        ConfigType::Int,
        Some("45000"),
        Valid::Range(1, INT_MAX),
        "The lowest value of 'group.consumer.session.timeout.ms'.",
    ),
    fixed(
        "group.consumer.regex.refresh.interval.ms",
        ConfigType::Int,
        Some("600000"),
        Valid::Range(10_000, INT_MAX),
        "How often the regular expressions of a consumer group are compared with the topics again, \
         beside whenever topics change.",
    ),
    fixed(
        "group.consumer.session.timeout.ms",
        ConfigType::Int,
        Some("45000"),
        Valid::Range(1, INT_MAX),
        "After how long without a heartbeat a member of a consumer group is dropped.",
    ),
    fixed(
        "group.initial.rebalance.delay.ms",
        ConfigType::Int,
        Some("3000"),
        Valid::Range(0, INT_MAX),
        "How long the first member of an empty group waits for others to join.",
    ),
    fixed(
        "group.max.session.timeout.ms",
        ConfigType::Int,
        Some("1800000"),
        Valid::Range(1, INT_MAX),
        "The longest session timeout that a group member may ask for.",
    ),
    fixed(
        "group.max.size",
        ConfigType::Int,
        Some("2147483647"),
        Valid::Range(1, INT_MAX),
        "How many members a group of the classic protocol may have; 10000 is the end in any case.",
    ),
    fixed(
        "group.min.session.timeout.ms",
        ConfigType::Int,
        Some("6000"),
        Valid::Range(1, INT_MAX),
        "The shortest session timeout that a group member may ask for.",
    ),
    fixed(
        "listener.security.protocol.map",
        ConfigType::String,
        Some("PLAINTEXT:PLAINTEXT"),
        Valid::Checked(check_protocols),
        "Which protocol each listener name stands for, as NAME:PROTOCOL. PLAINTEXT is the only protocol \
         served.",
    ),
    fixed(
        "listeners",
        ConfigType::String,
        Some("PLAINTEXT://127.0.0.1:9092"),
        Valid::Checked(check_listeners),
        "The addresses to listen on, as NAME://host:port; no host means every interface.",
    ),
    dynamic(
        "log.cleaner.backoff.ms",
        ConfigType::Long,
        Some("15000"),
        Valid::Range(0, LONG_MAX),
        &[],
        "How long compaction sleeps when there is nothing to do. A compacted log that closes a segment wakes \
         it earlier.",
    ),
    dynamic(
        "log.cleaner.dedupe.buffer.size",
        ConfigType::Long,
        Some("134217728"),
        Valid::Range(0, LONG_MAX),
        &[],
        "How many bytes of memory compaction may take to tell keys apart, all shards together: 24 bytes a key. \
         What does not fit takes more than one run.",
    ),
    dynamic(
        "log.cleaner.delete.retention.ms",
        ConfigType::Long,
        Some("86400000"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'delete.retention.ms'.",
    ),
    fixed(
        "log.cleaner.enable",
        ConfigType::Boolean,
        Some("true"),
        Valid::Any,
        "Whether topics with cleanup.policy=compact are compacted. Without it they grow for ever.",
    ),
    dynamic(
        "log.cleaner.io.buffer.load.factor",
        ConfigType::Double,
        Some("0.9"),
        Valid::DoubleRange(0.01, 0.99),
        &[],
        "How full the memory of 'log.cleaner.dedupe.buffer.size' may become.",
    ),
    dynamic(
        "log.cleaner.io.max.bytes.per.second",
        ConfigType::Double,
        Some("1.7976931348623157E308"),
        Valid::DoubleRange(1.0, f64::MAX),
        &[],
        "How many bytes compaction may read and write per second, all shards together.",
    ),
    dynamic(
        "log.cleaner.max.compaction.lag.ms",
        ConfigType::Long,
        Some("9223372036854775807"),
        Valid::Range(1, LONG_MAX),
        &[],
        "The default of the topic setting 'max.compaction.lag.ms'.",
    ),
    dynamic(
        "log.cleaner.min.cleanable.ratio",
        ConfigType::Double,
        Some("0.5"),
        Valid::DoubleRange(0.0, 1.0),
        &[],
        "The default of the topic setting 'min.cleanable.dirty.ratio'.",
    ),
    dynamic(
        "log.cleaner.min.compaction.lag.ms",
        ConfigType::Long,
        Some("0"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'min.compaction.lag.ms'.",
    ),
    dynamic(
        "log.cleanup.policy",
        ConfigType::List,
        Some("delete"),
        Valid::EachOneOf(&["compact", "delete"]),
        &[],
        "The default of the topic setting 'cleanup.policy'.",
    ),
    fixed(
        "log.dir",
        ConfigType::String,
        Some("./corelane-data"),
        Valid::NonEmpty,
        "The directory of all data, when 'log.dirs' is not set.",
    ),
    fixed(
        "log.dirs",
        ConfigType::String,
        None,
        Valid::Checked(check_one_directory),
        "The directory of all data. One directory is supported.",
    ),
    dynamic(
        "log.flush.interval.messages",
        ConfigType::Long,
        Some("9223372036854775807"),
        Valid::Range(1, LONG_MAX),
        &[],
        "The default of the topic setting 'flush.messages'.",
    ),
    dynamic(
        "log.flush.interval.ms",
        ConfigType::Long,
        None,
        Valid::Range(0, LONG_MAX),
        FLUSH,
        "The default of the topic setting 'flush.ms'. Unset, 'log.flush.scheduler.interval.ms' counts.",
    ),
    dynamic(
        "log.flush.scheduler.interval.ms",
        ConfigType::Long,
        Some("9223372036854775807"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'flush.ms' when 'log.flush.interval.ms' is not set.",
    ),
    dynamic(
        "log.index.interval.bytes",
        ConfigType::Int,
        Some("4096"),
        Valid::Range(0, INT_MAX),
        &[],
        "The default of the topic setting 'index.interval.bytes'.",
    ),
    dynamic(
        "log.index.size.max.bytes",
        ConfigType::Int,
        Some("10485760"),
        Valid::Range(4, INT_MAX),
        &[],
        "The default of the topic setting 'segment.index.bytes'.",
    ),
    dynamic(
        "log.message.timestamp.after.max.ms",
        ConfigType::Long,
        Some("3600000"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'message.timestamp.after.max.ms'.",
    ),
    dynamic(
        "log.message.timestamp.before.max.ms",
        ConfigType::Long,
        Some("9223372036854775807"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'message.timestamp.before.max.ms'.",
    ),
    dynamic(
        "log.message.timestamp.type",
        ConfigType::String,
        Some("CreateTime"),
        Valid::OneOf(&["CreateTime", "LogAppendTime"]),
        &[],
        "The default of the topic setting 'message.timestamp.type'.",
    ),
    dynamic(
        "log.preallocate",
        ConfigType::Boolean,
        Some("false"),
        Valid::Any,
        &[],
        "The default of the topic setting 'preallocate'.",
    ),
    dynamic(
        "log.retention.bytes",
        ConfigType::Long,
        Some("-1"),
        ANY_LONG,
        &[],
        "The default of the topic setting 'retention.bytes'.",
    ),
    fixed(
        "log.retention.check.interval.ms",
        ConfigType::Long,
        Some("300000"),
        Valid::Range(1, LONG_MAX),
        "How often the broker looks for segments that retention lets it delete.",
    ),
    dynamic(
        "log.retention.hours",
        ConfigType::Int,
        Some("168"),
        Valid::Range(-1, INT_MAX),
        RETENTION,
        "The default of the topic setting 'retention.ms', in hours, when neither 'log.retention.ms' nor \
         'log.retention.minutes' is set; -1 means for ever.",
    ),
    dynamic(
        "log.retention.minutes",
        ConfigType::Int,
        None,
        Valid::Range(-1, INT_MAX),
        RETENTION,
        "The default of the topic setting 'retention.ms', in minutes, when 'log.retention.ms' is not set; \
         -1 means for ever.",
    ),
    dynamic(
        "log.retention.ms",
        ConfigType::Long,
        None,
        Valid::Range(-1, LONG_MAX),
        RETENTION,
        "The default of the topic setting 'retention.ms'; -1 means for ever.",
    ),
    dynamic(
        "log.roll.hours",
        ConfigType::Int,
        Some("168"),
        Valid::Range(1, INT_MAX),
        ROLL,
        "The default of the topic setting 'segment.ms', in hours, when 'log.roll.ms' is not set.",
    ),
    dynamic(
        "log.roll.jitter.hours",
        ConfigType::Int,
        Some("0"),
        Valid::Range(0, INT_MAX),
        ROLL_JITTER,
        "The default of the topic setting 'segment.jitter.ms', in hours, when 'log.roll.jitter.ms' is not \
         set.",
    ),
    dynamic(
        "log.roll.jitter.ms",
        ConfigType::Long,
        None,
        Valid::Range(0, LONG_MAX),
        ROLL_JITTER,
        "The default of the topic setting 'segment.jitter.ms'.",
    ),
    dynamic(
        "log.roll.ms",
        ConfigType::Long,
        None,
        Valid::Range(1, LONG_MAX),
        ROLL,
        "The default of the topic setting 'segment.ms'.",
    ),
    dynamic(
        "log.segment.bytes",
        ConfigType::Int,
        Some("1073741824"),
        Valid::Range(1_048_576, INT_MAX),
        &[],
        "The default of the topic setting 'segment.bytes'.",
    ),
    dynamic(
        "log.segment.delete.delay.ms",
        ConfigType::Long,
        Some("60000"),
        Valid::Range(0, LONG_MAX),
        &[],
        "The default of the topic setting 'file.delete.delay.ms'.",
    ),
    dynamic(
        "max.connections",
        ConfigType::Int,
        Some("2147483647"),
        Valid::Range(0, INT_MAX),
        &[],
        "How many client connections the broker serves at the same time; further ones wait until others go. A lower limit \
         closes none.",
    ),
    dynamic(
        "max.connections.per.ip",
        ConfigType::Int,
        Some("2147483647"),
        Valid::Range(0, INT_MAX),
        &[],
        "How many client connections the broker serves from one address; further ones are closed at once. 0 takes \
         none but those that 'max.connections.per.ip.overrides' names.",
    ),
    dynamic(
        "max.connections.per.ip.overrides",
        ConfigType::String,
        Some(""),
        Valid::Checked(check_connection_overrides),
        &[],
        "Limits for single addresses in place of 'max.connections.per.ip', as address:count with commas between.",
    ),
    fixed(
        "max.incremental.fetch.session.cache.slots",
        ConfigType::Int,
        Some("1000"),
        Valid::Range(0, INT_MAX),
        "How many incremental fetch sessions the broker remembers; clients beyond that send whole requests.",
    ),
    fixed(
        "max.request.partition.size.limit",
        ConfigType::Int,
        Some("2000"),
        Valid::Range(1, INT_MAX),
        "The most partitions described in one answer to DescribeTopicPartitions.",
    ),
    dynamic(
        "message.max.bytes",
        ConfigType::Int,
        Some("1048588"),
        Valid::Range(0, INT_MAX),
        &[],
        "The default of the topic setting 'max.message.bytes'.",
    ),
    dynamic(
        "min.insync.replicas",
        ConfigType::Int,
        Some("1"),
        Valid::Range(1, INT_MAX),
        &[],
        "The default of the topic setting of the same name.",
    ),
    fixed(
        "node.id",
        ConfigType::Int,
        Some("1"),
        Valid::Range(0, INT_MAX),
        "This broker's number in the cluster. It is written into the data directory and may not change \
         afterwards.",
    ),
    fixed(
        "num.partitions",
        ConfigType::Int,
        Some("1"),
        Valid::Range(1, INT_MAX),
        "How many partitions a topic gets that is created without saying so.",
    ),
    fixed(
        "offset.metadata.max.bytes",
        ConfigType::Int,
        Some("4096"),
        Valid::Range(0, INT_MAX),
        "The longest text that a client may have remembered with a committed offset.",
    ),
    fixed(
        "offsets.retention.check.interval.ms",
        ConfigType::Long,
        Some("600000"),
        Valid::Range(1, LONG_MAX),
        "How often the broker looks for committed offsets whose retention is over.",
    ),
    fixed(
        "offsets.retention.minutes",
        ConfigType::Int,
        Some("10080"),
        Valid::Range(1, INT_MAX),
        "How long a group's offsets outlive its last member.",
    ),
    fixed(
        "offsets.topic.compression.codec",
        ConfigType::Int,
        Some("0"),
        Valid::Range(0, 4),
        "How batches in the topic of group offsets are compressed: 0 not at all, 1 gzip, 2 snappy, 3 \
         lz4, 4 zstd.",
    ),
    fixed(
        "offsets.topic.num.partitions",
        ConfigType::Int,
        Some("50"),
        Valid::Range(1, INT_MAX),
        "How many partitions the topic of group offsets gets.",
    ),
    fixed(
        "offsets.topic.replication.factor",
        ConfigType::Short,
        Some("3"),
        Valid::Range(1, SHORT_MAX),
        "How many replicas the topic of group offsets gets, as far as there are brokers.",
    ),
    fixed(
        "offsets.topic.segment.bytes",
        ConfigType::Int,
        Some("104857600"),
        Valid::Range(1_048_576, INT_MAX),
        "The segment size of the topic of group offsets: small ones are compacted and loaded faster.",
    ),
    dynamic(
        "producer.id.expiration.ms",
        ConfigType::Int,
        Some("86400000"),
        Valid::Range(1, INT_MAX),
        &[],
        "How long a partition remembers an idempotent producer that has stopped writing.",
    ),
    fixed(
        "socket.request.max.bytes",
        ConfigType::Int,
        Some("104857600"),
        Valid::Range(1, INT_MAX),
        "The largest request that is accepted; a connection that announces a larger one is closed.",
    ),
    dynamic(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        Some("false"),
        Valid::Any,
        &[],
        "The default of the topic setting of the same name.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_consistent() {
        assert!(BROKER.is_sorted_by(|a, b| a.name < b.name), "binary search needs strictly ascending names");
        for broker in BROKER {
            assert!(find(broker.name).is_some_and(|found| found.name == broker.name));
            assert_eq!(broker.default_value().is_some(), broker.default.is_some(), "{}", broker.name);
            assert!(
                broker.doc.ends_with('.') && broker.doc.len() > 30,
                "{} lacks documentation",
                broker.name
            );
            for synonym in broker.synonyms {
                assert!(find(synonym.name).is_some(), "{} of {}", synonym.name, broker.name);
            }
        }
    }
}
