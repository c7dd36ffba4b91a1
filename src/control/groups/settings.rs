//! What a group coordinator is told by the broker's settings.

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
    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Assignor> {
        [Assignor::Uniform, Assignor::Range].into_iter().find(|assignor| assignor.name() == name)
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
