//! What the shards of one broker tell each other: owned data, moved, in order per pair of shards.
//!
//! A request that touches partitions of several shards sends at most one message to each and gets at most one answer
//! from each (plus, for a waiting fetch, what arrives later). A shard treats itself like any other owner, only
//! without the message.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use corelane_base::id::{ConnId, LeaderEpoch, Offset, PartitionIndex, TopicId};
use corelane_base::time::{Mono, WallMs};
use corelane_control::controller::{Answer, Command};
use corelane_control::groups::answer::GroupAnswer;
use corelane_control::groups::command::GroupCommand;
use corelane_control::record::MetadataRecord;
use corelane_log::disk::DirEntry;
use corelane_wire::error_code::ErrorCode;

use crate::connections::{Connection, LimitBroken};
use crate::loggers::Loggers;
use crate::send::SendPart;
use crate::slots::SlotId;

/// A partition, wherever it lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartitionKey {
    /// The topic's identity.
    pub topic: TopicId,
    /// The partition within it.
    pub partition: PartitionIndex,
}

/// What all batches of one produce have in common.
#[derive(Clone, Copy, Debug)]
pub struct AppendAsk {
    /// The asker's request.
    pub pending: SlotId,
    /// The request's version knows zstd.
    pub zstd_allowed: bool,
    /// From the group coordinator on the owner's shard: the outcome goes there.
    pub hosted: bool,
}

/// One batch for one partition. `index` is the asker's name for it, echoed in the answer.
#[derive(Debug)]
pub struct AppendItem {
    /// The asker's name.
    pub index: u32,
    /// Where to.
    pub key: PartitionKey,
    /// The batch, owned: it crosses shards.
    pub batch: Bytes,
}

/// What became of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendResult {
    /// The asker's name.
    pub index: u32,
    /// `None` when appended and as durable as asked.
    pub error: ErrorCode,
    /// The first record's offset; -1 with an error.
    pub base_offset: Offset,
    /// The broker's time, if the topic stamps it; else -1.
    pub log_append_time: WallMs,
    /// Where the log begins now; -1 if unknown.
    pub log_start_offset: Offset,
    /// When it was in the log's memory; zero if it is not.
    pub appended: Mono,
    /// If it was refused because of records without a key, their numbers in the batch.
    pub keyless: Vec<i32>,
}

/// Names what an owner watches for an asker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WatchName {
    /// The partitions of a fetch session, for as long as the session lives.
    Session(i32),
    /// Those of one fetch without a session, for as long as it waits.
    Fetch(SlotId),
}

/// What all partitions of one fetch have in common.
#[derive(Clone, Copy, Debug)]
pub struct FetchAsk {
    /// The asker's request.
    pub pending: SlotId,
    /// Over all items, in bytes: at most, at least.
    pub bytes: (u32, u32),
    /// Watch the partitions that have nothing under this name; `None`: they are not watched.
    pub watch: Option<WatchName>,
    /// The request waits: whatever is watched under its name is read for it as soon as there is something.
    pub waits: bool,
}

/// One partition of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchItem {
    /// The asker's name: its place in the session, or in the fetch if there is none.
    pub place: u32,
    /// Which of the asker's wishes for that place this is; echoed.
    pub stamp: u64,
    /// Where the asker's request has it; echoed. News may come to a later request, which has it elsewhere.
    pub index: u32,
    /// Where from.
    pub key: PartitionKey,
    /// The first offset wanted.
    pub offset: Offset,
    /// At most so many bytes, except for the first batch.
    pub bytes_max: u32,
    /// The epoch the client believes in, or -1.
    pub current_leader_epoch: LeaderEpoch,
    /// The epoch of the last record the client has, or -1.
    pub last_fetched_epoch: LeaderEpoch,
}

/// One partition's part of a fetch response.
#[derive(Debug)]
pub struct FetchResult {
    /// The item's.
    pub place: u32,
    /// The item's.
    pub stamp: u64,
    /// The item's.
    pub index: u32,
    /// `None` if records, possibly none yet, can be told.
    pub error: ErrorCode,
    /// End of what may be read.
    pub high_watermark: Offset,
    /// Where the log begins.
    pub log_start_offset: Offset,
    /// Whole batches from memory or the page cache.
    pub records: Vec<SendPart>,
    /// Their length in bytes.
    pub bytes: u32,
    /// Where the client's history departs from the log's, if it does.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The partition is watched: the asker hears of it once there is more.
    pub watching: bool,
    /// The disk had to be asked.
    pub from_disk: bool,
}

impl FetchResult {
    /// Nothing read, nothing known of the log.
    pub fn nothing((place, stamp, index): (u32, u64, u32), error: ErrorCode) -> FetchResult {
        FetchResult {
            place,
            stamp,
            index,
            error,
            high_watermark: Offset(-1),
            log_start_offset: Offset(-1),
            records: Vec::new(),
            bytes: 0,
            diverging: None,
            watching: false,
            from_disk: false,
        }
    }

    /// Whether it tells of an earlier time than `other`, of the same partition: what a log ends and begins with only
    /// grows, and an error is not taken back within a fetch.
    #[must_use]
    pub fn is_older_than(&self, other: &FetchResult) -> bool {
        let has_grown =
            other.high_watermark > self.high_watermark || other.log_start_offset > self.log_start_offset;
        !self.is_urgent() && (other.is_urgent() || has_grown)
    }

    /// Whether the client must hear of it at once, however little was read.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.error != ErrorCode::None || self.diverging.is_some()
    }
}

/// Whether an owner's results alone answer a fetch that wants at least `bytes_min`: then it waits no longer, and the
/// owner does not wait to be told.
#[must_use]
pub fn suffices(results: &[FetchResult], bytes_min: u32) -> bool {
    let bytes: u64 = results.iter().map(|result| u64::from(result.bytes)).sum();
    bytes >= u64::from(bytes_min) || results.iter().any(FetchResult::is_urgent)
}

/// A question about one partition's log.
#[derive(Debug, Clone, Copy)]
pub enum Query {
    /// An offset by time or by one of Kafka's special values; the leader epoch the client believes in.
    ListOffset {
        /// Milliseconds, or -1 latest, -2 earliest, -3 maximum timestamp, -4 earliest local, -5 latest tiered.
        timestamp: i64,
        /// Or -1.
        current_leader_epoch: LeaderEpoch,
    },
    /// Where an epoch ended.
    EpochEnd {
        /// The epoch asked about.
        leader_epoch: LeaderEpoch,
        /// The epoch the client believes in, or -1.
        current_leader_epoch: LeaderEpoch,
    },
    /// Moves the log's start up to an offset, or to the high watermark for -1.
    DeleteRecords {
        /// The new first offset.
        before: Offset,
    },
    /// Size and lag of a log.
    LogSize,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryResult {
    /// To `ListOffset`. Offset -1 if nothing matches.
    ListOffset {
        /// `None` if the rest counts.
        error: ErrorCode,
        /// The offset found.
        offset: Offset,
        /// Its record's timestamp, or -1.
        timestamp: WallMs,
        /// Its epoch, or -1.
        leader_epoch: LeaderEpoch,
    },
    /// To `EpochEnd`.
    EpochEnd {
        /// `None` if the rest counts.
        error: ErrorCode,
        /// The largest epoch at or below the one asked about, or -1.
        leader_epoch: LeaderEpoch,
        /// Where it ended, or -1.
        end_offset: Offset,
    },
    /// To `DeleteRecords`.
    DeleteRecords {
        /// `None` if the log begins there now.
        error: ErrorCode,
        /// Where the log begins, or -1.
        low_watermark: Offset,
    },
    /// To `LogSize`.
    LogSize {
        /// `KafkaStorageError` for a log that is offline.
        error: ErrorCode,
        /// Bytes of records.
        bytes: u64,
    },
}

/// What a shard tells of its own log files' checkpoints at start: newest first wins. Key: the partition.
pub type Checkpoints = BTreeMap<PartitionKey, Bytes>;

/// Metadata as the first shard publishes it.
#[derive(Debug, Clone)]
pub struct Published {
    /// Counts publications from 1; every shard applies every one, in order.
    pub version: u64,
    /// The records, to be replayed whole.
    pub records: Arc<Vec<MetadataRecord>>,
    /// Only with the first: how the logs stood.
    pub start: Option<Arc<StartState>>,
}

/// What the first shard found on disk, for all shards to open their logs with.
#[derive(Debug)]
pub struct StartState {
    /// Counts the broker's starts.
    pub incarnation: u64,
    /// Whether the last stop left the clean-shutdown marker.
    pub clean: bool,
    /// There was metadata: this is not the first start.
    pub has_metadata: bool,
    /// The newest checkpoint of each log.
    pub checkpoints: Checkpoints,
    /// Log directories that exist, to be matched against the metadata.
    pub directories: Vec<DirEntry>,
}

/// A message from one shard to another.
#[derive(Debug)]
pub enum MeshMessage {
    /// Append these; answer each when it is durable.
    Append {
        /// What they have in common.
        ask: AppendAsk,
        /// Where and what.
        items: Vec<AppendItem>,
    },
    /// Some or all of an `Append` are done.
    Appended {
        /// The asker's request.
        pending: SlotId,
        /// In any order; every index once.
        results: Vec<AppendResult>,
    },
    /// Read these.
    Fetch {
        /// What they have in common.
        ask: FetchAsk,
        /// What to read.
        items: Vec<FetchItem>,
    },
    /// The answer to a `Fetch`, with every item once.
    Fetched {
        /// The asker's request.
        pending: SlotId,
        /// Where its partitions are watched, if they are.
        watch: Option<WatchName>,
        /// In any order.
        results: Vec<FetchResult>,
    },
    /// Watched partitions have news for a request that waits: read from the offset of the original item.
    FetchNews {
        /// The asker's request.
        pending: SlotId,
        /// Where they are watched.
        watch: WatchName,
        /// In any order.
        results: Vec<FetchResult>,
    },
    /// The asker's request waits no longer.
    FetchCancel {
        /// The request.
        pending: SlotId,
        /// Where its partitions are watched.
        watch: WatchName,
    },
    /// Partitions of a session are to be looked at again, and are not watched until then.
    FetchDue {
        /// The session.
        session: i32,
        /// Their places and stamps.
        places: Vec<(u32, u64)>,
    },
    /// The session does not ask for these any more.
    FetchForget {
        /// The session.
        session: i32,
        /// Their places and stamps.
        places: Vec<(u32, u64)>,
    },
    /// The session is over: nothing is watched for it any more.
    FetchEnd {
        /// The session.
        session: i32,
    },
    /// Answer these.
    Query {
        /// The asker's request.
        pending: SlotId,
        /// The asker's names, where, what.
        items: Vec<(u32, PartitionKey, Query)>,
    },
    /// All answers to a `Query`.
    QueryResults {
        /// The asker's request.
        pending: SlotId,
        /// The asker's names with answers.
        results: Vec<(u32, QueryResult)>,
    },
    /// Ask the coordinators of these groups.
    Groups {
        /// The asker's request.
        pending: SlotId,
        /// The asker's names, the partitions of `__consumer_offsets`, what to do.
        items: Vec<(u32, PartitionIndex, GroupCommand)>,
    },
    /// Some or all answers to `Groups`; some may come much later.
    GroupAnswers {
        /// The asker's request.
        pending: SlotId,
        /// The asker's names with answers; every name once.
        answers: Vec<(u32, GroupAnswer)>,
    },
    /// To the first shard: decide this.
    Control {
        /// The asker's request.
        pending: SlotId,
        /// What to decide.
        command: Box<Command>,
    },
    /// Decided, durable and applied on every shard.
    ControlDone {
        /// The asker's request.
        pending: SlotId,
        /// The answer.
        answer: Box<Answer>,
    },
    /// To the first shard: a client has connected.
    Connected(Connection),
    /// To the first shard: a client of which it was told is gone.
    Disconnected(Connection),
    /// From the first shard: serve this connection, or close it.
    Admission {
        /// The receiver's name of it.
        conn: ConnId,
        /// Why it cannot stay.
        verdict: Result<(), LimitBroken>,
    },
    /// From the shard that was asked to change them: the levels of all loggers.
    Loggers(Loggers),
    /// From the first shard: new metadata.
    Metadata(Published),
    /// To the first shard: the disk had no room for my first checkpoint, those of earlier incarnations must stay.
    FirstCheckpointMissing,
    /// To the first shard: applied.
    MetadataApplied {
        /// Which publication.
        version: u64,
    },
    /// To the first shard: I have stopped.
    Drained {
        /// Whether everything of mine is on disk: without that, the broker's stop is not clean.
        clean: bool,
    },
}
