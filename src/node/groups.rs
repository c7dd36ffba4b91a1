//! The group coordinators of a shard: one for each partition of `__consumer_offsets` that it owns.
//!
//! A coordinator is pure; this is its world. It is loaded from its partition's log, is handed commands that connections
//! of any shard sent, and its records go into the log. Its answers leave when it says so, which it does once what they
//! rest on is durable. The half that connections see (finding the coordinator, gathering answers) is in
//! `handlers/groups`.
//!
//! ```text
//! Loading --end of the log--> Active         commands are carried out
//! Active --a store failed--> Loading         what waits has been refused; the log is the truth
//! any --the log is offline--> Failed         until the next start
//! ```
//!
//! Stores of one coordinator that come while a batch is on its way to the disk share the next batch: the disk's latency
//! sets how many commits make one, and the log stays short.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use corelane_base::id::{Offset, PartitionIndex, ShardId, TopicId};
use corelane_base::time::{Mono, Now};
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::coordinator::GroupCoordinator;
use corelane_control::groups::effect::{CoordinatorRecord, WriteId};
use corelane_control::groups::settings::GroupSettings;
use corelane_log::batch::Compression;
use corelane_log::disk::DiskToken;
use corelane_log::log::{LogRead, LogSlice};

use crate::mesh::PartitionKey;
use crate::slots::{SlotId, Slots};

/// The slot of the reads that fetch what lies in the page cache while loading.
pub const GROUPS_SLOT: u32 = u32::MAX - 5;

/// How much of a log one step of loading reads, in bytes: some 2,000 commits, a millisecond or two of work.
pub const LOAD_BYTES: u32 = 256 << 10;

/// How many coordinators of a shard load at the same time. Bounds the memory of loading, and with [`LOAD_BYTES`] the
/// work that may come due in one turn; enough that the disk is never waited for.
pub const LOADS_MAX: usize = 4;

/// Steps of loading that may follow each other in one turn when the log is in memory.
pub const LOAD_STEPS_MAX: u32 = 4;

/// The topic of offsets as this shard knows it.
#[derive(Debug, Clone, Copy)]
pub struct OffsetsTopic {
    /// Its identity.
    pub id: TopicId,
    /// How many partitions groups are dealt over. Fixed from the moment at which the shard first sees the topic: with
    /// another number groups would look for their offsets elsewhere. Source: Kafka, which reads it once at its start.
    pub partition_count: i32,
}

impl OffsetsTopic {
    /// The partition of a group: Java's hash of the name, without its sign. Source: Kafka
    /// `GroupCoordinatorService.partitionFor`.
    #[must_use]
    pub fn partition_of(&self, group: &str) -> PartitionIndex {
        let hash =
            group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
        PartitionIndex(hash.checked_abs().unwrap_or(0) % self.partition_count)
    }
}

/// Whom an answer is for.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// The shard of the connection.
    pub shard: ShardId,
    /// Its request.
    pub pending: SlotId,
    /// Its name for the question.
    pub index: u32,
}

/// A batch on its way to the disk.
#[derive(Debug)]
pub struct Flight {
    /// Its name at the owner.
    pub index: u32,
    /// What is stored by it, in order.
    pub writes: Vec<WriteId>,
}

/// How far a coordinator has been loaded.
#[derive(Debug, Default)]
pub struct Loading {
    /// The next offset to replay.
    pub next: Offset,
    /// It has one of the [`LOADS_MAX`] places.
    pub started: bool,
    /// A read is under way.
    pub reading: bool,
    /// A read whose parts partly lie in files.
    pub gathering: Option<Gathering>,
    /// How many records were replayed.
    pub record_count: u64,
}

/// The parts of a read on their way into one piece of memory.
#[derive(Debug)]
pub struct Gathering {
    /// Still to come.
    pub parts: VecDeque<LogSlice>,
    /// What is there.
    pub bytes: BytesMut,
}

impl Gathering {
    /// Begins with nothing.
    #[must_use]
    pub fn new(read: LogRead) -> Gathering {
        let bytes = BytesMut::with_capacity(read.bytes as usize);
        Gathering { parts: read.parts.into(), bytes }
    }

    /// Takes in what is in memory. The part that must be read from a file next, if any.
    pub fn step(&mut self) -> Option<LogSlice> {
        while let Some(part) = self.parts.pop_front() {
            match part {
                LogSlice::Memory(bytes) => self.bytes.extend_from_slice(&bytes),
                part @ LogSlice::File { .. } => return Some(part),
            }
        }
        None
    }
}

/// Where a hosted coordinator stands; see the table at the top.
#[derive(Debug)]
pub enum HostState {
    /// Reading the log.
    Loading(Loading),
    /// Serving.
    Active,
    /// The log is offline.
    Failed,
}

/// One coordinator with what it waits for.
#[derive(Debug)]
pub struct Hosted {
    /// Its partition.
    pub key: PartitionKey,
    /// Where it stands.
    pub state: HostState,
    /// The state machine.
    pub coordinator: GroupCoordinator,
    /// Stores that are not in a batch yet, in order.
    pub queued: VecDeque<(WriteId, Vec<CoordinatorRecord>)>,
    /// Batches that are not durable yet, in order.
    pub flights: VecDeque<Flight>,
    next_flight: u32,
}

impl Hosted {
    /// A coordinator that is to be loaded.
    #[must_use]
    pub fn new(key: PartitionKey, settings: GroupSettings) -> Hosted {
        Hosted {
            key,
            state: HostState::Loading(Loading::default()),
            coordinator: GroupCoordinator::new(settings),
            queued: VecDeque::new(),
            flights: VecDeque::new(),
            next_flight: 0,
        }
    }

    /// Begins again with an empty coordinator. What was on its way concerns nobody any more.
    pub fn reload(&mut self, settings: GroupSettings) {
        self.state = HostState::Loading(Loading::default());
        self.coordinator = GroupCoordinator::new(settings);
        self.queued.clear();
        self.flights.clear();
    }

    /// A name for the next batch.
    pub fn flight(&mut self, writes: Vec<WriteId>) -> u32 {
        let index = self.next_flight;
        self.next_flight = self.next_flight.wrapping_add(1);
        self.flights.push_back(Flight { index, writes });
        index
    }
}

/// All coordinators of a shard.
///
/// Invariants: `loading_count` is the number of coordinators whose loading has started; `asks` holds one entry for each
/// command that a coordinator has not answered.
#[derive(Debug)]
pub struct Groups {
    /// The topic, once there is one.
    pub topic: Option<OffsetsTopic>,
    /// How their batches are compressed.
    pub compression: Compression,
    /// By partition.
    pub hosted: BTreeMap<PartitionIndex, Hosted>,
    /// Whom to answer.
    pub asks: Slots<Asker>,
    /// Answers of this turn, in order.
    pub answers: Vec<(Asker, GroupAnswer)>,
    /// Coordinators with stores that may be appended.
    pub dirty: Vec<PartitionIndex>,
    /// File reads of loading.
    pub reads: BTreeMap<DiskToken, PartitionIndex>,
    /// How many coordinators load at the moment.
    pub loading_count: usize,
    /// Steps of loading taken in this turn.
    pub load_steps: u32,
    /// What has been loaded since the last coordinator was idle: records, and since when.
    pub loaded: Option<(u64, Mono)>,
    /// When the first of the coordinators has something to do.
    pub next_deadline: Option<Mono>,
}

impl Default for Groups {
    fn default() -> Groups {
        Groups {
            topic: None,
            compression: Compression::None,
            hosted: BTreeMap::new(),
            asks: Slots::default(),
            answers: Vec::new(),
            dirty: Vec::new(),
            reads: BTreeMap::new(),
            loading_count: 0,
            load_steps: 0,
            loaded: None,
            next_deadline: None,
        }
    }
}

impl Groups {
    /// Looks for the next deadline among all coordinators. Cheap: there are some tens.
    pub fn refresh_deadline(&mut self) {
        self.next_deadline = self
            .hosted
            .values()
            .filter(|hosted| matches!(hosted.state, HostState::Active))
            .filter_map(|hosted| hosted.coordinator.next_deadline())
            .min();
    }

    /// Whether nothing is left to be appended or sent.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.dirty.is_empty() && self.answers.is_empty()
    }

    /// The coordinators that are due.
    #[must_use]
    pub fn due(&self, now: Now) -> Vec<PartitionIndex> {
        if self.next_deadline.is_none_or(|at| at > now.mono) {
            return Vec::new();
        }
        let due = |hosted: &Hosted| {
            matches!(hosted.state, HostState::Active)
                && hosted.coordinator.next_deadline().is_some_and(|at| at <= now.mono)
        };
        self.hosted.iter().filter(|(_, hosted)| due(hosted)).map(|(index, _)| *index).collect()
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        let started = |hosted: &&Hosted| matches!(&hosted.state, HostState::Loading(l) if l.started);
        assert_eq!(self.hosted.values().filter(started).count(), self.loading_count);
        for (index, hosted) in &self.hosted {
            assert_eq!(*index, hosted.key.partition);
            let active = matches!(hosted.state, HostState::Active);
            assert!(active || hosted.flights.is_empty(), "only what serves stores");
        }
    }
}

/// A piece of a log as one piece of memory, if it is one already.
#[must_use]
pub fn whole(read: &LogRead) -> Option<Bytes> {
    match &read.parts[..] {
        [LogSlice::Memory(bytes)] => Some(bytes.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lie_where_kafka_looks_for_them() {
        // Values of Java: Math.abs(name.hashCode()) % 50, the lowest number counting as 0.
        #[track_caller]
        fn check(group: &str, expected: i32) {
            let topic = OffsetsTopic { id: TopicId::ZERO, partition_count: 50 };
            assert_eq!(topic.partition_of(group), PartitionIndex(expected), "{group}");
        }
        check("", 0);
        check("a", 47);
        check("test", 48);
        check("polygenelubricants", 0);
        check("ü\u{1F600}", 21);
    }
}
