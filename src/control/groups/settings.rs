//! What the broker's settings say about groups and the topic of their offsets.

use crate::configs::broker::Reader;
use crate::configs::layers::Layers;

/// The settings of all groups. Times in milliseconds. The defaults are Kafka's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the most members of a classic group.
    pub member_count_max: i32,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_ms: i64,
    /// The most bytes of one batch in `__consumer_offsets`, by that topic's `max.message.bytes`.
    pub batch_bytes_max: i32,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.max.size`: the most members of a consumer group.
    pub consumer_member_count_max: i32,
    /// `group.consumer.assignors`: the names, the first is the default. Never empty.
    pub consumer_assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub consumer_migration: MigrationPolicy,
    /// `group.consumer.assignment.interval.ms`: how long a new target assignment waits after the last one.
    pub consumer_assignment_interval_ms: i32,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub consumer_regex_refresh_ms: i32,
}

/// What a batch takes beside its records, generously.
const BATCH_OVERHEAD_BYTES: usize = 128;

impl GroupSettings {
    /// The settings that hold with these layers.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> GroupSettings {
        let reader = Reader { layers };
        let assignors = reader.text("group.consumer.assignors").unwrap_or_default();
        let assignors = assignors.split(',').filter_map(|name| Assignor::named(name.trim()));
        let policy = reader.text("group.consumer.migration.policy").unwrap_or_default();
        GroupSettings {
            session_timeout_ms_min: reader.int("group.min.session.timeout.ms"),
            session_timeout_ms_max: reader.int("group.max.session.timeout.ms"),
            initial_rebalance_delay_ms: reader.int("group.initial.rebalance.delay.ms"),
            member_count_max: reader.int("group.max.size"),
            offset_metadata_bytes_max: reader.int("offset.metadata.max.bytes"),
            offsets_retention_ms: reader.long("offsets.retention.minutes") * 60_000,
            offsets_retention_check_ms: reader.long("offsets.retention.check.interval.ms"),
            batch_bytes_max: reader.int("message.max.bytes"),
            consumer_session_timeout_ms: reader.int("group.consumer.session.timeout.ms"),
            consumer_heartbeat_interval_ms: reader.int("group.consumer.heartbeat.interval.ms"),
            consumer_member_count_max: reader.int("group.consumer.max.size"),
            consumer_assignors: assignors.collect(),
            consumer_migration: MigrationPolicy::named(&policy),
            consumer_assignment_interval_ms: reader.int("group.consumer.assignment.interval.ms"),
            consumer_regex_refresh_ms: reader.int("group.consumer.regex.refresh.interval.ms"),
        }
    }

    /// How many bytes the records of one batch may take together.
    #[must_use]
    pub fn batch_room(&self) -> usize {
        usize::try_from(self.batch_bytes_max).unwrap_or(0).saturating_sub(BATCH_OVERHEAD_BYTES)
    }
}

/// How a consumer group's partitions are assigned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Assignor {
    /// `uniform`.
    Uniform,
    /// `range`.
    Range,
}

impl Assignor {
    /// The assignor of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }
}

/// How the topic of group offsets is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetsTopicSettings {
    /// `offsets.topic.num.partitions`; at least 1.
    pub partition_count: i32,
    /// `offsets.topic.replication.factor`; at least 1.
    pub replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: i32,
    /// `offsets.topic.compression.codec`, as the number in a batch's attributes.
    pub compression: u8,
}

impl OffsetsTopicSettings {
    /// The settings that hold with these layers.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> OffsetsTopicSettings {
        let reader = Reader { layers };
        OffsetsTopicSettings {
            partition_count: reader.int("offsets.topic.num.partitions"),
            replication_factor: i16::try_from(reader.int("offsets.topic.replication.factor"))
                .expect("its range ends at that of i16"),
            segment_bytes: reader.int("offsets.topic.segment.bytes"),
            compression: u8::try_from(reader.int("offsets.topic.compression.codec"))
                .expect("its range is 0 to 4"),
        }
    }
}

/// Which way groups may change their protocol while they have members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// Classic to consumer.
    Upgrade,
    /// Consumer to classic.
    Downgrade,
    /// Not at all.
    Disabled,
}

impl MigrationPolicy {
    /// The policy of that name, in any case; what is none of them disables.
    #[must_use]
    pub fn named(name: &str) -> MigrationPolicy {
        match name.to_ascii_lowercase().as_str() {
            "bidirectional" => MigrationPolicy::Bidirectional,
            "upgrade" => MigrationPolicy::Upgrade,
            "downgrade" => MigrationPolicy::Downgrade,
            _ => MigrationPolicy::Disabled,
        }
    }

    /// Whether a classic group may become a consumer group.
    #[must_use]
    pub fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade)
    }

    /// Whether a consumer group may become a classic group.
    #[must_use]
    pub fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade)
    }
}

impl Default for GroupSettings {
    fn default() -> GroupSettings {
        GroupSettings {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            member_count_max: i32::MAX,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60_000,
            offsets_retention_check_ms: 600_000,
            batch_bytes_max: 1_048_588,
            consumer_session_timeout_ms: 45_000,
            consumer_heartbeat_interval_ms: 5_000,
            consumer_member_count_max: i32::MAX,
            consumer_assignors: vec![Assignor::Uniform, Assignor::Range],
            consumer_migration: MigrationPolicy::Bidirectional,
            consumer_assignment_interval_ms: 1_000,
            consumer_regex_refresh_ms: 600_000,
        }
    }
}
