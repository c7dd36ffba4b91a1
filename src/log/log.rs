//! One replica's log: appends into memory, group commits, reads, look-ups, retention.
//!
//! Being filled; the signatures stand.

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::time::{Now, WallMs};

use crate::disk::{DiskError, DiskOutcome, DiskQueue, DiskToken, FileHandle};
use crate::error::{AppendError, OfflineReason, ReadError};
use crate::pool::SegmentPool;
use crate::settings::{LogNotice, LogSettings};

/// What every call needs of the shard. Borrowed for the call.
#[derive(Debug)]
pub struct LogCx<'a> {
    /// Both clocks, read once a turn.
    pub now: Now,
    /// Takes the operations.
    pub disk: &'a mut DiskQueue,
    /// The shard's spare segments.
    pub pool: &'a mut SegmentPool,
    /// Takes what an operator should read.
    pub notices: &'a mut Vec<LogNotice>,
}

/// Whether a log serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogState {
    /// Recovering.
    Opening,
    /// Serving.
    Online,
    /// Given up until the next start.
    Offline(OfflineReason),
}

/// Who hands a batch in, which decides what is checked and stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's produce request: everything is checked.
    Client {
        /// From version 7 of the request on.
        zstd_allowed: bool,
    },
    /// The broker itself (group offsets, control batches): well-formed by construction, stamped as a client's.
    Internal,
    /// The leader's stored batch: keeps its offset and leader epoch.
    Follower,
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its first record's offset.
    pub base_offset: Offset,
    /// Its last record's offset. It is flushed once `flushed_offset` is beyond it.
    pub last_offset: Offset,
    /// The time stamped into it, with `LogAppendTime`.
    pub log_append_time: Option<WallMs>,
    /// The producer had sent it before: these are the offsets of that time, and nothing was appended.
    pub duplicate: bool,
}

/// Names a read that waits for the disk. Unique within its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadTicket(pub u64);

/// A run of stored bytes.
#[derive(Debug, Clone)]
pub enum LogSlice {
    /// In memory.
    Memory(Bytes),
    /// In a segment, resident in the page cache.
    File {
        /// The segment.
        file: FileHandle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
}

/// What a read found: whole batches, the first of which holds the offset asked for; the last may be cut short.
#[derive(Debug, Clone, Default)]
pub struct LogRead {
    /// In order.
    pub parts: Vec<LogSlice>,
    /// Their sum, in bytes.
    pub bytes: u64,
}

/// A read's beginning, often its end.
#[derive(Debug)]
pub enum ReadStart {
    /// Here it is.
    Ready(LogRead),
    /// [`Progress::reads`] will hold it.
    Pending(ReadTicket),
    /// The offset is below `log_start_offset` or above `log_end_offset`.
    OutOfRange,
    /// Nothing to show between the offset and the end given, or no batch within `bytes_max` and a whole first one
    /// was not asked for.
    Empty,
    /// Not now.
    Failed(ReadError),
}

/// A record found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: WallMs,
    /// The leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
}

/// A look-up's beginning, often its end.
#[derive(Debug)]
pub enum LookupStart {
    /// The answer; `None` if no record matches.
    Ready(Option<TimedOffset>),
    /// [`Progress::lookups`] will hold it.
    Pending(ReadTicket),
    /// Not now.
    Failed(ReadError),
}

/// What a disk completion brought about.
#[derive(Debug, Default)]
pub struct Progress {
    /// `flushed_offset` has grown.
    pub flushed_moved: bool,
    /// `state` is another.
    pub state_changed: bool,
    /// Reads that are finished: usually none or one.
    pub reads: Vec<(ReadTicket, Result<LogRead, ReadError>)>,
    /// Look-ups that are finished: usually none or one.
    pub lookups: Vec<(ReadTicket, Result<Option<TimedOffset>, ReadError>)>,
}

/// One replica's log. A completion whose token's owner is the log's slot belongs to [`Log::on_disk`].
#[derive(Debug)]
pub struct Log {
    slot: u32,
    state: LogState,
}

impl Log {
    /// A new, empty log in a directory that does not exist yet: online at once, its files are made in the background.
    pub fn create(slot: u32, dir: String, settings: LogSettings, cx: &mut LogCx<'_>) -> Log {
        let _ = (dir, settings, cx);
        Log { slot, state: LogState::Online }
    }

    /// An existing log. With `clean` (the broker stopped in order) and its checkpoint it is online at once, without
    /// any I/O; otherwise it recovers.
    pub fn open(
        slot: u32,
        dir: String,
        settings: LogSettings,
        checkpoint: Option<&[u8]>,
        clean: bool,
        cx: &mut LogCx<'_>,
    ) -> Log {
        let _ = (dir, settings, checkpoint, clean, cx);
        Log { slot, state: LogState::Opening }
    }

    /// Its slot, the upper half of its tokens.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Whether it serves.
    #[must_use]
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Appends one record batch (exactly one, magic 2) in memory. It is neither readable nor to be acknowledged
    /// before `flushed_offset` is beyond its last offset.
    pub fn append(
        &mut self,
        batch: &[u8],
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        cx: &mut LogCx<'_>,
    ) -> Result<Appended, AppendError> {
        let _ = (batch, leader_epoch, origin, cx);
        todo!()
    }

    /// Ends a turn: starts a group commit if there is something to write and none under way. Returns whether
    /// `flushed_offset` has grown, which it does here with `Durability::Memory` only.
    pub fn end_turn(&mut self, cx: &mut LogCx<'_>) -> bool {
        let _ = cx;
        todo!()
    }

    /// Takes in a completion.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) -> Progress {
        let _ = (token, result, cx);
        todo!()
    }

    /// The first offset a client may read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }

    /// The offset the next record gets.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }

    /// Everything below is as durable as the settings ask, and may be acknowledged and read.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        todo!()
    }

    /// Bytes of batches in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }

    /// Bytes of memory held by the tail.
    #[must_use]
    pub fn tail_bytes(&self) -> u64 {
        todo!()
    }

    /// Reads batches from the one that holds `offset` up to `end` (exclusive: the high watermark or the last stable
    /// offset; at most `flushed_offset`). At most `bytes_max` bytes, but the first batch whole if `whole_first_batch`.
    pub fn read(
        &mut self,
        offset: Offset,
        end: Offset,
        bytes_max: u32,
        whole_first_batch: bool,
        cx: &mut LogCx<'_>,
    ) -> ReadStart {
        let _ = (offset, end, bytes_max, whole_first_batch, cx);
        todo!()
    }

    /// The first record at or after `timestamp` and below `end`, record-precise.
    pub fn offset_for_time(&mut self, timestamp: WallMs, end: Offset, cx: &mut LogCx<'_>) -> LookupStart {
        let _ = (timestamp, end, cx);
        todo!()
    }

    /// The first record with the largest timestamp below `end`.
    pub fn offset_of_max_timestamp(&mut self, end: Offset, cx: &mut LogCx<'_>) -> LookupStart {
        let _ = (end, cx);
        todo!()
    }

    /// The largest leader epoch at or below `leader_epoch` that the log knows, and where it ends (exclusive); epoch
    /// -1 and offset -1 if none.
    #[must_use]
    pub fn end_offset_for_epoch(&self, leader_epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let _ = leader_epoch;
        todo!()
    }

    /// The leader epoch of the last batch, if any.
    #[must_use]
    pub fn latest_leader_epoch(&self) -> Option<LeaderEpoch> {
        todo!()
    }

    /// Raises `log_start_offset` to `before` (at most `flushed_offset`); answers what it is then. It never falls.
    /// Durability: with the next checkpoint that is stored. Errors: `OutOfRange` beyond `flushed_offset`.
    pub fn delete_records(&mut self, before: Offset, cx: &mut LogCx<'_>) -> Result<Offset, ReadError> {
        let _ = (before, cx);
        todo!()
    }

    /// Rolls by time, retention, preparation of the next segment, expiry of producers. Cheap; about once a second.
    /// Returns whether `log_start_offset` has grown.
    pub fn tick(&mut self, cx: &mut LogCx<'_>) -> bool {
        let _ = cx;
        todo!()
    }

    /// Gives back the memory of flushed tail chunks until at most `bytes_keep` are held, as far as that is possible.
    pub fn evict_tail(&mut self, bytes_keep: u64) {
        let _ = bytes_keep;
        todo!()
    }

    /// Changes the settings from here on.
    pub fn set_settings(&mut self, settings: LogSettings) {
        let _ = settings;
        todo!()
    }

    /// What `open` wants to be given: describes the log up to `flushed_offset`.
    #[must_use]
    pub fn checkpoint(&self) -> Bytes {
        todo!()
    }

    /// Whether enough has changed since `checkpoint_stored` that a new checkpoint is worth its bytes.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        todo!()
    }

    /// Tells that the bytes `checkpoint` gave at the moment of this call's `flushed_offset` are on stable storage.
    pub fn checkpoint_stored(&mut self) {
        todo!()
    }

    /// Prepares for the end: no further append; what is in memory is written, indexes are stored. Wait for `is_idle`,
    /// then take the `checkpoint`.
    pub fn seal_for_shutdown(&mut self, cx: &mut LogCx<'_>) {
        let _ = cx;
        todo!()
    }

    /// Whether nothing is under way and nothing waits to be written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        todo!()
    }

    /// Panics: if the log's state contradicts itself.
    pub fn check_invariants(&self) {}
}
