//! One replica's log: what its callers see, its state, appends, and who gets which disk completion.
//!
//! Not here: group commits (`commit.rs`), files ahead of the tail (`prepare.rs`), reads (`reading.rs`), look-ups by
//! time (`lookup.rs`), what disappears (`retention.rs`), what compaction replaces (`replacing.rs`), what a start after a
//! crash does (`recovery.rs`).
//!
//! ```text
//! append ---> tail memory ---> group commit ---> flushed_offset ---> readers
//!               ^    |            (one write at a time; what arrives meanwhile joins the next)
//!  segment files     +--> evicted once written; then reads go through the segment's index to its file
//!  prepared ahead
//!  of the tail
//! ```
//!
//! State         | becomes  | when
//! --------------|----------|------------------------------------------------------------
//! Opening       | Online   | recovery has checked the log and made its end fit to go on
//! Opening       | Offline  | recovery found damage inside acknowledged data, or a file failed
//! Opening       | Opening  | no descriptor was left: `tick` goes on
//! Online        | Offline  | a write or sync failed, or a file that is needed did
//!
//! **Zeros ahead.** Behind the last commit the active segment's file holds zeros for at least the largest commit, or
//! ends. Files are made of zeros, recycled files are overwritten with zeros before they are used again, and recovery
//! overwrites what it cuts. Otherwise a torn write over an old batch of equal size could put a new header, whose base
//! offset no checksum covers, in front of old records whose checksum is right, and recovery would take the splice for
//! a batch.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use corelane_base::aligned::block_ceil;
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::time::{Mono, Now, WallMs};

use crate::batch::{self, BatchError, BatchHeader, TimestampType};
use crate::checkpoint::Checkpoint;
use crate::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken, FileHandle, FileWatch};
use crate::epochs::Epochs;
use crate::error::{AppendError, OfflineReason, ReadError};
use crate::index::SegmentIndex;
use crate::pool::SegmentPool;
use crate::produced::{ProduceRules, check_produced, check_size};
use crate::producers::{Producers, Verdict};
use crate::recompress;
use crate::records;
use crate::recovering::Recovery;
use crate::segment::{Segment, SegmentFile};
use crate::settings::{LogNotice, LogSettings, NoticeLevel};
use crate::tail::Tail;
use crate::waiting::Reading;

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
    /// What it takes of the log; 0 for a duplicate.
    pub size_bytes: u64,
}

/// Names a read or look-up that waits for the disk. Unique within its log.
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

/// A group commit that has reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Bytes of batches.
    pub bytes: u64,
    /// When it was handed to the disk.
    pub started: Mono,
}

/// What a log has in memory and on the disk, and what it has let go of, for an operator's eyes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Bytes of batches in all segments.
    pub size_bytes: u64,
    /// Bytes of memory held by the tail.
    pub tail_bytes: u64,
    /// Segments, the active one included.
    pub segments: u32,
    /// Producer ids that are remembered.
    pub producers: u32,
    /// Segments deleted since the start, by retention or on demand.
    pub deleted_segments: u64,
    /// Bytes of batches in them.
    pub deleted_bytes: u64,
}

/// What a disk completion brought about.
#[derive(Debug, Default)]
pub struct Progress {
    /// The group commit that this completion ended well.
    pub committed: Option<Committed>,
    /// `flushed_offset` has grown.
    pub flushed_moved: bool,
    /// `state` is another.
    pub state_changed: bool,
    /// Reads that are finished: usually none or one.
    pub reads: Vec<(ReadTicket, Result<LogRead, ReadError>)>,
    /// Look-ups that are finished: usually none or one.
    pub lookups: Vec<(ReadTicket, Result<Option<TimedOffset>, ReadError>)>,
}

/// Log address of a log's first byte. Not 0, because compaction may make what stands before a segment longer.
pub(crate) const FIRST_ADDRESS: u64 = 1 << 48;
/// Bytes that may wait in memory for the disk before appends are refused with `Busy`.
const UNWRITTEN_BYTES_MAX: u64 = 16 << 20;
/// Producers remembered per log.
pub(crate) const PRODUCERS_MAX: usize = 10_000;
/// So many records without a key are named in an error, however small their batch is.
const KEYLESS_NAMED_MIN: usize = 100;
/// Bytes a batch may decompress to where its records must be looked at.
pub(crate) const RECORDS_BYTES_MAX: usize = 64 << 20;

/// What a disk operation was for.
#[derive(Debug)]
pub(crate) enum Job {
    /// The group commit.
    Commit,
    /// The first file of a new log.
    CreateFirst { base_offset: Offset },
    /// Removal of what an earlier attempt to create the first file left behind.
    ClearFirst { base_offset: Offset },
    /// A segment's file is being opened, under the name that it had then.
    Open { base_offset: Offset, cleaned: Option<u32> },
    /// What was written to a segment without a sync, up to a position.
    Sync { base_offset: Offset, to: u32 },
    /// Zeros ahead of the tail.
    Zero { base_offset: Offset, offset: u64, len: u64 },
    /// The next segment's file is on its way.
    Next(NextStep),
    /// `next.log` gets its segment's name.
    NameNext { base_offset: Offset },
    /// The block that the next commit begins in is being read.
    LastBlock { at: u64 },
    /// A small file whose fate matters to nobody.
    Ignored,
    /// A segment's index is being stored; a lost one is rebuilt.
    StoreIndex { base_offset: Offset },
    /// Something a read or a look-up waits for.
    Reading(u64),
    /// A stored index is being read.
    LoadIndex { base_offset: Offset },
    /// An index is being rebuilt.
    ScanIndex { base_offset: Offset, index: SegmentIndex, position: u32 },
    /// The index that described a segment's file before compaction is being removed.
    UnindexCleaned { base_offset: Offset },
    /// A file that compaction made gets its segment's name.
    NameCleaned { base_offset: Offset },
    /// A step of recovery.
    Recovery,
}

/// How `next.log` comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// What an earlier life left under its name is being removed.
    Clear,
    /// A file of zeros is being made.
    Create,
    /// A spare file is being renamed.
    Rename,
    /// The renamed file is being opened.
    Open,
}

/// The segment after the active one.
#[derive(Debug)]
pub(crate) enum NextSegment {
    /// Not wanted yet.
    None,
    /// On its way.
    Preparing,
    /// There.
    Ready { file: FileHandle, len: u64 },
}

/// A group commit under way.
#[derive(Debug)]
pub(crate) struct Commit {
    /// Log address behind it.
    pub end: u64,
    /// Offset behind it.
    pub end_offset: Offset,
    /// Whether it goes beyond what was prepared.
    pub extends: bool,
    /// The segment's `prepared` before it.
    pub prepared_before: u64,
    /// Which segment.
    pub base_offset: Offset,
    /// Whether it is on stable storage when it completes.
    pub sync: bool,
    /// The content of its last block, if that is not full.
    pub last_block: Option<Bytes>,
    /// When it was handed to the disk.
    pub started: Mono,
}

/// A deleted segment whose file is still there.
#[derive(Debug)]
pub(crate) struct Doomed {
    /// Its name.
    pub base_offset: Offset,
    /// Length of its file as far as known, in bytes.
    pub len: u64,
    /// Handles that may still be in use.
    pub watches: Vec<FileWatch>,
    /// The log's `changes` when it was deleted.
    pub change: u64,
}

/// A segment that compaction has replaced, alone or with others, and whose file is still there.
#[derive(Debug)]
pub(crate) struct Replaced {
    /// Its name.
    pub base_offset: Offset,
    /// The segment that holds now what is left of it.
    pub into: Offset,
    /// Length of its file as far as known, in bytes.
    pub len: u64,
    /// Handles that may still be in use.
    pub watches: Vec<FileWatch>,
    /// The log's `changes` when it was replaced.
    pub change: u64,
}

/// How much a checkpoint knows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CheckpointMark {
    /// The log's `written` when it was taken.
    pub written: u64,
    /// The log's `changes` when it was taken.
    pub changes: u64,
    /// The log start in it.
    pub log_start_offset: Offset,
    /// Up to where it vouches for the log.
    pub flushed_offset: Offset,
    /// Whether it allows for writes without a sync behind it.
    pub relaxed: bool,
}

/// What stands before `written` in the block that `written` lies in.
#[derive(Debug)]
pub(crate) enum LastBlock {
    /// Not in memory: it is read before the first commit.
    Unknown,
    /// Being read.
    Reading,
    /// In memory; empty on a block's border.
    Known(Bytes),
}

/// One replica's log. A completion whose token's owner is the log's slot belongs to [`Log::on_disk`].
///
/// Invariants: `log_start_offset <= flushed_offset <= log_end_offset`; `written <= tail.end()`; `tail.first() <=
/// written`; segments are contiguous in log addresses and the last one ends at `tail.end()`; at most one commit and
/// one zeroing are under way.
#[derive(Debug)]
pub struct Log {
    pub(crate) slot: u32,
    /// Relative path, without a slash at the end.
    pub(crate) dir: String,
    pub(crate) settings: LogSettings,
    pub(crate) state: LogState,
    /// Oldest first; never empty once online. The last one is active.
    pub(crate) segments: VecDeque<Segment>,
    /// Deleted, oldest first; their files are let go of once a checkpoint that does not count on them is stored.
    pub(crate) doomed: VecDeque<Doomed>,
    /// Replaced by compaction; their files are let go of once a checkpoint that does not count on them is stored.
    pub(crate) replaced: Vec<Replaced>,
    /// Everything below has been through compaction.
    pub(crate) cleaned_offset: Offset,
    /// The last sequence given to a file that compaction made.
    pub(crate) cleaned_sequence: u32,
    /// A segment was closed since `take_closed` was asked.
    pub(crate) closed: bool,
    /// Compaction met damage: not again before the next start.
    pub(crate) uncleanable: bool,
    pub(crate) tail: Tail,
    pub(crate) producers: Producers,
    pub(crate) epochs: Epochs,
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) flushed_offset: Offset,
    /// Log address below which everything is in the files.
    pub(crate) written: u64,
    /// Offset at `written`.
    pub(crate) written_offset: Offset,
    /// Bytes of batches in the last commit.
    pub(crate) commit_bytes: u64,
    /// Up to this log address the segments' `flushed_max` is made up.
    pub(crate) maxima_to: u64,
    pub(crate) last_block: LastBlock,
    pub(crate) commit: Option<Commit>,
    pub(crate) next: NextSegment,
    /// Below `written` there may be bytes that are not on stable storage.
    pub(crate) unsynced: bool,
    /// What there was none of when a file was last to be made, opened, named or made longer: room, or descriptors.
    /// Appends that need it are refused, and `tick` asks again.
    pub(crate) short_of: Option<DiskError>,
    /// Calls of `tick` with something to try again.
    pub(crate) retry_ticks: u32,
    /// That a segment cannot be read for want of a descriptor has been told since one was opened.
    pub(crate) refusal_told: bool,
    /// No further append: the broker stops.
    pub(crate) stopping: bool,
    /// No further append: the next completion or tick takes the log offline, where the caller looks for it.
    pub(crate) gives_up: Option<OfflineReason>,
    /// Operations under way and what they are for; a handful.
    pub(crate) jobs: Vec<(DiskToken, Job)>,
    pub(crate) recovery: Option<Box<Recovery>>,
    pub(crate) reading: Reading,
    /// What the completion being taken in brought about so far.
    pub(crate) progress: Progress,
    /// Counts what happened, beside appended bytes, that a checkpoint should know.
    pub(crate) changes: u64,
    /// Segments deleted since the start, and the bytes of batches in them.
    pub(crate) deleted: (u64, u64),
    /// What the last checkpoint given out knows.
    pub(crate) taken: CheckpointMark,
    /// What the last one known to be stored knows.
    pub(crate) stored: CheckpointMark,
    /// The newest state that is known to be true of the files.
    pub(crate) snapshot: Option<(Checkpoint, CheckpointMark)>,
    /// A state that will be, once everything it speaks of is written.
    pub(crate) capturing: Option<(Checkpoint, CheckpointMark)>,
}

impl Log {
    /// A new, empty log in a directory that does not exist yet: online at once, its files are made in the background.
    pub fn create(slot: u32, dir: String, settings: LogSettings, cx: &mut LogCx<'_>) -> Log {
        let mut log = Log::new(slot, dir, settings);
        log.begin_empty(Offset(0), cx);
        log
    }

    /// An existing log; an empty checkpoint is none. With `clean` (the broker stopped in order) and the checkpoint of a log at
    /// rest it is online at once, without any I/O; otherwise it recovers.
    pub fn open(
        slot: u32,
        dir: String,
        settings: LogSettings,
        checkpoint: Option<&[u8]>,
        clean: bool,
        cx: &mut LogCx<'_>,
    ) -> Log {
        let mut log = Log::new(slot, dir, settings);
        let checkpoint = checkpoint.filter(|bytes| !bytes.is_empty());
        let checkpoint = checkpoint.and_then(|bytes| match Checkpoint::decode(bytes, PRODUCERS_MAX) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                log.notice(NoticeLevel::Warn, cx, format_args!("{error}; the whole log is read instead"));
                None
            }
        });
        log.snapshot = checkpoint.clone().map(|checkpoint| (checkpoint, CheckpointMark::default()));
        match checkpoint {
            Some(checkpoint) if clean && checkpoint.behind.whole => log.begin_clean(checkpoint),
            checkpoint => log.begin_recovery(checkpoint, cx),
        }
        log
    }

    fn new(slot: u32, dir: String, settings: LogSettings) -> Log {
        Log {
            slot,
            dir,
            settings,
            state: LogState::Opening,
            segments: VecDeque::new(),
            doomed: VecDeque::new(),
            replaced: Vec::new(),
            cleaned_offset: Offset(0),
            cleaned_sequence: 0,
            closed: true,
            uncleanable: false,
            tail: Tail::new(FIRST_ADDRESS),
            producers: Producers::new(PRODUCERS_MAX),
            epochs: Epochs::new(),
            log_start_offset: Offset(0),
            log_end_offset: Offset(0),
            flushed_offset: Offset(0),
            written: FIRST_ADDRESS,
            written_offset: Offset(0),
            commit_bytes: 0,
            maxima_to: 0,
            last_block: LastBlock::Known(Bytes::new()),
            commit: None,
            next: NextSegment::None,
            unsynced: false,
            short_of: None,
            retry_ticks: 0,
            refusal_told: false,
            stopping: false,
            gives_up: None,
            jobs: Vec::new(),
            recovery: None,
            reading: Reading::default(),
            progress: Progress::default(),
            changes: 1,
            deleted: (0, 0),
            taken: CheckpointMark::default(),
            stored: CheckpointMark::default(),
            snapshot: None,
            capturing: None,
        }
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

    /// Appends one record batch (exactly one, magic 2) in memory, compressed anew if the settings ask for it. It is
    /// neither readable nor to be acknowledged before `flushed_offset` is beyond its last offset.
    ///
    /// Errors leave no trace. Panics: if `leader_epoch` is negative. One below the log's latest takes the log offline.
    pub fn append(
        &mut self,
        batch: &[u8],
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        cx: &mut LogCx<'_>,
    ) -> Result<Appended, AppendError> {
        match self.state {
            LogState::Opening => return Err(AppendError::Opening),
            LogState::Offline(_) => return Err(AppendError::Offline),
            LogState::Online if self.gives_up.is_some() => return Err(AppendError::Offline),
            LogState::Online if self.stopping => return Err(AppendError::Busy),
            LogState::Online => {}
        }
        let header = self.check(batch, origin, cx.now.wall)?;
        let follower = origin == AppendOrigin::Follower;
        if !follower
            && let Verdict::Duplicate { base_offset, last_offset, timestamp } =
                self.producers.check(&header)?
        {
            let log_append_time = self.stamps_time().then_some(timestamp);
            return Ok(Appended {
                base_offset,
                last_offset,
                log_append_time,
                duplicate: true,
                size_bytes: 0,
            });
        }
        let (base_offset, leader_epoch) = if follower {
            (header.base_offset(), header.leader_epoch())
        } else {
            (self.log_end_offset, leader_epoch)
        };
        assert!(follower || leader_epoch.0 >= 0, "a leader has an epoch");
        if leader_epoch.0 < 0 {
            return Err(AppendError::NotNext { expected: self.log_end_offset });
        }
        if self.epochs.latest().is_some_and(|latest| latest.leader_epoch > leader_epoch) {
            return Err(self.on_stale_epoch(follower));
        }
        let recompressed = if follower { None } else { self.recompressed(batch, &header)? };
        let (header, batch) =
            recompressed.as_ref().map_or((header, batch), |(header, batch)| (*header, batch));
        let header = header.at(base_offset, leader_epoch);
        self.make_room(&header, cx)?;
        let stamped = self.push(batch, &header, if follower { None } else { Some(cx.now.wall) });
        self.note_batch(&stamped);
        self.prepare_ahead(cx);
        let log_append_time = (!follower && self.stamps_time()).then_some(cx.now.wall);
        let (last_offset, size_bytes) = (stamped.last_offset(), stamped.size_bytes() as u64);
        Ok(Appended { base_offset, last_offset, log_append_time, duplicate: false, size_bytes })
    }

    /// The batch and its header as `compression.type` wants them. `None`: as they are.
    fn recompressed(
        &self,
        batch: &[u8],
        header: &BatchHeader,
    ) -> Result<Option<(BatchHeader, Vec<u8>)>, AppendError> {
        let Some(codec) = self.settings.compression.filter(|codec| recompress::is_due(header, *codec)) else {
            return Ok(None);
        };
        // Whoever hears this comes again with the same batch: that should not cost the work each time.
        if !self.has_write_room(header) {
            return Err(AppendError::Busy);
        }
        let batch = recompress::recompress(batch, codec, RECORDS_BYTES_MAX).map_err(AppendError::Records)?;
        let header = batch::peek(&batch)?.expect("a batch has a header");
        check_size(&header, &self.rules(true))?;
        Ok(Some((header, batch)))
    }

    /// Whether `append` would find this batch of an idempotent producer stored already, and so neither store it nor need
    /// room for it.
    #[must_use]
    pub fn is_stored(&self, batch: &[u8]) -> bool {
        let header = batch::peek(batch).ok().flatten();
        let verdict = header.map(|header| self.producers.check(&header));
        self.state == LogState::Online && matches!(verdict, Some(Ok(Verdict::Duplicate { .. })))
    }

    /// A leader's epochs never fall. If the log knows a later one, a bit of a stored batch's leader epoch has flipped,
    /// which no checksum covers: everything that depends on epochs is wrong from here on.
    fn on_stale_epoch(&mut self, follower: bool) -> AppendError {
        if follower {
            return AppendError::NotNext { expected: self.log_end_offset };
        }
        let active = self.segments.back().expect("an online log has a segment");
        let (path, position) = (active.path(&self.dir), u64::from(active.size));
        self.gives_up = Some(OfflineReason::Corrupt { path, position });
        AppendError::Offline
    }

    fn stamps_time(&self) -> bool {
        self.settings.timestamp_type == TimestampType::LogAppendTime
    }

    fn rules(&self, zstd_allowed: bool) -> ProduceRules {
        ProduceRules {
            batch_bytes_max: self.settings.batch_bytes_max,
            segment_bytes: self.settings.segment_bytes,
            timestamp_type: self.settings.timestamp_type,
            timestamp_before_max_ms: self.settings.timestamp_before_ms_max,
            timestamp_after_max_ms: self.settings.timestamp_after_ms_max,
            zstd_allowed,
        }
    }

    fn check(&self, batch: &[u8], origin: AppendOrigin, now: WallMs) -> Result<BatchHeader, AppendError> {
        match origin {
            AppendOrigin::Client { zstd_allowed } => {
                let header = check_produced(batch, &self.rules(zstd_allowed), now)?;
                if self.settings.compacted {
                    // Uncompressed, a record takes more than four bytes, so all are named. What a small batch
                    // unfolds to may not make a large answer.
                    let named_max = (batch.len() / size_of::<i32>()).max(KEYLESS_NAMED_MIN);
                    let keyless = records::keyless(batch, RECORDS_BYTES_MAX, named_max)
                        .map_err(AppendError::Records)?;
                    if !keyless.is_empty() {
                        return Err(AppendError::RecordsWithoutKey(keyless));
                    }
                }
                Ok(header)
            }
            AppendOrigin::Internal | AppendOrigin::Follower => {
                let size_bytes = batch.len();
                let header = batch::check_stored(batch)?.ok_or(BatchError::Truncated { size_bytes })?;
                if header.size_bytes() < size_bytes {
                    return Err(
                        BatchError::TrailingBytes { size_bytes: size_bytes - header.size_bytes() }.into()
                    );
                }
                let expected = self.log_end_offset;
                let gap_allowed = self.settings.compacted && header.base_offset() >= expected;
                if origin == AppendOrigin::Follower && header.base_offset() != expected && !gap_allowed {
                    return Err(AppendError::NotNext { expected });
                }
                Ok(header)
            }
        }
    }

    /// Whether the batch may join what waits in memory for the disk.
    fn has_write_room(&self, header: &BatchHeader) -> bool {
        let waiting = self.tail.end() - self.written;
        waiting == 0 || waiting + header.size_bytes() as u64 <= UNWRITTEN_BYTES_MAX
    }

    /// Makes sure that the batch may go behind the active segment's end, rolling it if need be.
    fn make_room(&mut self, header: &BatchHeader, cx: &mut LogCx<'_>) -> Result<(), AppendError> {
        if !self.has_write_room(header) {
            return Err(AppendError::Busy);
        }
        let size = header.size_bytes() as u64;
        let rolls = self.must_roll(header, cx.now.wall);
        let active = self.segments.back().expect("an online log has a segment");
        if rolls && matches!(active.file, SegmentFile::Awaited) {
            return Err(if self.short_of.is_some() { AppendError::DiskFull } else { AppendError::Busy });
        }
        if self.short_of.is_some() {
            let lacks_space = self.lacks_space();
            let needs_it = if rolls {
                !matches!(self.next, NextSegment::Ready { len, .. } if size <= len || !lacks_space)
            } else {
                let behind_zeros = block_ceil(u64::from(active.size) + size) > active.prepared;
                active.handle().is_none() || (lacks_space && behind_zeros)
            };
            if needs_it {
                return Err(AppendError::DiskFull);
            }
        }
        if rolls {
            self.roll(cx);
        }
        Ok(())
    }

    fn must_roll(&self, header: &BatchHeader, now: WallMs) -> bool {
        let active = self.segments.back().expect("an online log has a segment");
        if active.size == 0 {
            return false;
        }
        let full =
            u64::from(active.size) + header.size_bytes() as u64 > u64::from(self.settings.segment_bytes);
        let relative_end = header.last_offset().0 - active.base_offset.0;
        // As Kafka does: by the records' own time where they have one, else by the clock.
        let time = if self.stamps_time() { now } else { header.max_timestamp() };
        let age = match active.first_timestamp {
            Some(first) if time.0 >= 0 => time.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(active.created.0),
        };
        full || relative_end >= i64::from(i32::MAX) || age > self.settings.segment_ms
    }

    /// Copies the batch into the tail and stamps the copy. `stamp_time`: the moment, unless it keeps what it has.
    fn push(&mut self, batch: &[u8], header: &BatchHeader, stamp_time: Option<WallMs>) -> BatchHeader {
        let stamps_time = self.stamps_time();
        let active = self.segments.back().expect("an online log has a segment");
        let max_timestamp = stamp_time.filter(|_| stamps_time).unwrap_or(header.max_timestamp());
        let position = u64::from(active.size);
        let copy = self.tail.push(batch, header.base_offset(), max_timestamp, position, active.size > 0);
        if let Some(now) = stamp_time.filter(|_| stamps_time) {
            batch::stamp_append_time(copy, now);
        }
        batch::stamp(copy, header.base_offset(), header.leader_epoch())
    }

    /// Remembers a batch that stands at the end of the active segment: appended, or found by recovery.
    pub(crate) fn note_batch(&mut self, header: &BatchHeader) {
        let active = self.segments.back_mut().expect("an online log has a segment");
        active.on_appended(header, self.settings.index_interval_bytes);
        if header.leader_epoch().0 >= 0
            && self.epochs.latest().is_none_or(|latest| latest.leader_epoch < header.leader_epoch())
        {
            self.epochs.assign(header.leader_epoch(), header.base_offset());
        }
        self.producers.on_appended(header);
        self.log_end_offset = header.next_offset();
    }

    /// Takes in a completion.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) -> Progress {
        let Some(i) = self.jobs.iter().position(|(waiting, _)| *waiting == token) else {
            return Progress::default();
        };
        let (_, job) = self.jobs.swap_remove(i);
        let (flushed, was_online) = (self.flushed_offset, self.state == LogState::Online);
        let was_offline = matches!(self.state, LogState::Offline(_));
        if !was_offline {
            self.on_job(job, result, cx);
            self.give_up(cx);
        }
        let mut progress = std::mem::take(&mut self.progress);
        progress.flushed_moved = self.flushed_offset != flushed;
        progress.state_changed = was_online != (self.state == LogState::Online)
            || was_offline != matches!(self.state, LogState::Offline(_));
        progress
    }

    fn on_job(&mut self, job: Job, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        match job {
            Job::Commit => self.on_written(result, cx),
            Job::LastBlock { at } => self.on_last_block(at, result, cx),
            Job::CreateFirst { base_offset } => self.on_first_created(base_offset, result, cx),
            Job::ClearFirst { base_offset } => self.on_first_cleared(base_offset, result, cx),
            Job::Open { base_offset, cleaned } => self.on_segment_opened(base_offset, cleaned, result, cx),
            Job::Sync { base_offset, to } => self.on_synced(base_offset, to, result, cx),
            Job::Zero { base_offset, offset, len } => self.on_zeroed(base_offset, (offset, len), result, cx),
            Job::Next(step) => self.on_next(step, result, cx),
            Job::NameNext { base_offset } => self.on_next_named(base_offset, result, cx),
            Job::Ignored | Job::StoreIndex { .. } => {}
            Job::Reading(ticket) => self.on_read(ticket, result, cx),
            Job::LoadIndex { base_offset } => self.on_index_loaded(base_offset, result, cx),
            Job::ScanIndex { base_offset, index, position } => {
                self.on_index_scanned(base_offset, index, position, result, cx);
            }
            Job::UnindexCleaned { base_offset } => self.on_cleaned_unindexed(base_offset, result, cx),
            Job::NameCleaned { base_offset } => self.on_cleaned_named(base_offset, result, cx),
            Job::Recovery => self.on_recovery(result, cx),
        }
    }

    pub(crate) fn start(&mut self, job: Job, op: DiskOp, cx: &mut LogCx<'_>) -> DiskToken {
        let token = cx.disk.push(self.slot, op);
        self.jobs.push((token, job));
        token
    }

    pub(crate) fn notice(&self, level: NoticeLevel, cx: &mut LogCx<'_>, text: fmt::Arguments<'_>) {
        cx.notices.push(LogNotice { level, text: format!("{}: {text}", self.dir) });
    }

    /// Does what `gives_up` says.
    pub(crate) fn give_up(&mut self, cx: &mut LogCx<'_>) {
        if let Some(reason) = self.gives_up.take() {
            self.go_offline(reason, cx);
        }
    }

    /// Gives the log up until the next start.
    pub(crate) fn go_offline(&mut self, reason: OfflineReason, cx: &mut LogCx<'_>) {
        if matches!(self.state, LogState::Offline(_)) {
            return;
        }
        self.notice(NoticeLevel::Error, cx, format_args!("offline until the next start: {reason}"));
        self.state = LogState::Offline(reason);
        self.commit = None;
        self.recovery = None;
        self.fail_reading(&ReadError::Offline);
    }

    pub(crate) fn segment_mut(&mut self, base_offset: Offset) -> Option<&mut Segment> {
        let i = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset).ok()?;
        self.segments.get_mut(i)
    }

    /// The first offset a client may read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The offset the next record gets.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything below is as durable as the settings ask, and may be acknowledged and read.
    #[must_use]
    pub fn flushed_offset(&self) -> Offset {
        self.flushed_offset
    }

    /// Bytes of batches in all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.front().map_or(0, |first| self.tail.end() - first.start)
    }

    /// Bytes of memory held by the tail.
    #[must_use]
    pub fn tail_bytes(&self) -> u64 {
        self.tail.memory_bytes()
    }

    /// Sizes and counts; nothing is walked but the tail's chunks.
    #[must_use]
    pub fn figures(&self) -> LogFigures {
        LogFigures {
            size_bytes: self.size_bytes(),
            tail_bytes: self.tail_bytes(),
            segments: self.segments.len() as u32,
            producers: self.producers.count() as u32,
            deleted_segments: self.deleted.0,
            deleted_bytes: self.deleted.1,
        }
    }

    /// The largest leader epoch at or below `leader_epoch` that the log knows, and where it ends (exclusive); epoch
    /// -1 and offset -1 if none.
    #[must_use]
    pub fn end_offset_for_epoch(&self, leader_epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_offset_for(leader_epoch, self.log_end_offset)
    }

    /// The leader epoch that the record at `offset` was, or would have been, written under; `None` for an empty log.
    #[must_use]
    pub fn leader_epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_of(offset)
    }

    /// The leader epoch of the last batch, if any.
    #[must_use]
    pub fn latest_leader_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|latest| latest.leader_epoch)
    }

    /// Gives back the memory of flushed tail chunks until at most `bytes_keep` are held, as far as that is possible.
    pub fn evict_tail(&mut self, bytes_keep: u64) {
        self.tail.evict(bytes_keep, self.written);
    }

    /// Changes the settings from here on.
    pub fn set_settings(&mut self, settings: LogSettings) {
        self.settings = settings;
    }

    /// Prepares for the end: no further append; what is in memory is written, indexes are stored. Wait for `is_idle`,
    /// then take the `checkpoint`. Returns whether `flushed_offset` has grown, as `end_turn` does.
    pub fn seal_for_shutdown(&mut self, cx: &mut LogCx<'_>) -> bool {
        self.stopping = true;
        let moved = self.end_turn(cx);
        self.sync_if_wanted(false, cx);
        self.store_last_index(cx);
        moved
    }

    /// Whether nothing is under way and nothing waits to be written, except for room, or a descriptor, when the end has
    /// begun.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let at_rest = self.written == self.tail.end() && !self.unsynced;
        self.jobs.is_empty() && (at_rest || self.lacks_room() || matches!(self.state, LogState::Offline(_)))
    }

    /// Whether the end has begun and want of room or of descriptors keeps what was appended from being written: it will
    /// not be, and is not to be acknowledged. The checkpoint says that the log is to be recovered.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        self.stopping && self.awaits_room()
    }

    /// Whether want of room or of descriptors keeps what was appended from being written. It is written when there is
    /// some again.
    #[must_use]
    pub fn awaits_room(&self) -> bool {
        let unwritten = self.written < self.tail.end() && self.state == LogState::Online;
        self.short_of.is_some() && unwritten && self.jobs.is_empty() && {
            let target = self.segments.iter().find(|segment| segment.end() > self.written);
            self.lacks_space() || target.is_some_and(|target| target.handle().is_none())
        }
    }

    /// Panics: if the log's state contradicts itself.
    pub fn check_invariants(&self) {
        self.tail.check_invariants();
        if self.state != LogState::Online {
            return;
        }
        assert!(self.log_start_offset <= self.flushed_offset);
        assert!(self.flushed_offset <= self.log_end_offset);
        assert!(self.tail.first() <= self.written);
        assert!(self.written <= self.tail.end());
        assert!(self.segments.iter().zip(self.segments.iter().skip(1)).all(|(a, b)| a.end() == b.start));
        assert!(self.segments.back().is_some_and(|active| active.end() == self.tail.end()));
        assert!(self.jobs.iter().filter(|(_, job)| matches!(job, Job::Commit)).count() <= 1);
        assert!(self.unsynced || self.is_synced(self.written), "what is not synced is known");
    }
}
