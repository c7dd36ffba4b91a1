//! One log's run of compaction: what it knows, and what becomes of the batches it has read.
//!
//! Nothing here starts an operation: what a run waits for, when it may go on and how the disk is asked is the
//! [`Cleaner`](crate::cleaner::Cleaner)'s.

use core::ops::Range;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::{self, BatchHeader, Compression};
use crate::disk::{DiskError, DiskOutcome, FileHandle};
use crate::filter::{self, Filtered, WhenEmpty};
use crate::log::{Log, RECORDS_BYTES_MAX};
use crate::offset_map::OffsetMap;
use crate::output::Output;
use crate::records::{self, Record, RecordError};
use crate::replacing::{Cleanable, CleanedSegment, Source};
use crate::txn_cleaning::{CleanedTransactions, ControlKind};

/// What a byte that was compressed costs, counted as it is unfolded: to look at, and to compress again.
const UNFOLDED_COST: usize = 2;
const REBUILT_COST: usize = 8;

/// One log being compacted.
#[derive(Debug)]
pub(crate) struct Run {
    /// The log's slot.
    pub(crate) log_slot: u32,
    pub(crate) cleanable: Cleanable,
    /// All segments up to the stretch's end.
    pub(crate) sources: Vec<Source>,
    pub(crate) map: OffsetMap,
    /// The map knows everything below.
    pub(crate) map_end: Offset,
    pub(crate) transactions: CleanedTransactions,
    pub(crate) stage: Stage,
    /// The sources that are being made one.
    pub(crate) group: Range<usize>,
    /// No further one comes to them: the file's last piece may have been padded.
    group_ended: bool,
    /// Their file, while it is filled.
    pub(crate) output: Option<Box<Output>>,
    /// Their file, when it is full.
    pub(crate) cleaned: Option<Box<CleanedSegment>>,
    pub(crate) reader: Reader,
    /// What the operation under way is for.
    pub(crate) awaits: Option<Awaits>,
    /// What the last operation gave.
    pub(crate) outcome: Option<Result<DiskOutcome, DiskError>>,
    pub(crate) started: WallMs,
    pub(crate) bytes_before: u64,
    pub(crate) bytes_after: u64,
    /// What the batch just looked at cost beyond its size.
    pub(crate) extra_cost: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Filling the map from one source after the other.
    Mapping,
    /// Filtering the group's sources into its file.
    Cleaning,
    /// The group's file is written.
    Swapping,
}

/// A place in a source.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Which source.
    pub(crate) source: usize,
    pub(crate) file: Option<FileHandle>,
    /// Where `bytes[used]` stands in the file.
    pub(crate) position: u32,
    pub(crate) bytes: Vec<u8>,
    /// What of `bytes` was looked at.
    pub(crate) used: usize,
    /// The next batch's offset is at least this.
    pub(crate) expected: Offset,
}

/// What the operation under way is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    Open,
    Read,
    Create,
    Write,
    Sync,
}

/// Why a run is given up.
pub(crate) enum Fault {
    /// What it reads is not what it should be.
    Damaged(String),
    /// The disk failed.
    Disk(DiskError),
    /// The log is not what it was.
    Changed,
}

impl Run {
    /// A run over `sources`, of which the one at `first` is the first that compaction has not seen to its end.
    pub(crate) fn new(
        log_slot: u32,
        cleanable: Cleanable,
        sources: Vec<Source>,
        first: usize,
        map: OffsetMap,
        started: WallMs,
    ) -> Run {
        Run {
            log_slot,
            cleanable,
            map,
            map_end: cleanable.first_dirty,
            transactions: CleanedTransactions::new(Vec::new()),
            stage: Stage::Mapping,
            group: 0..0,
            group_ended: false,
            output: None,
            cleaned: None,
            reader: Reader::at(first, &sources),
            sources,
            awaits: None,
            outcome: None,
            started,
            bytes_before: 0,
            bytes_after: 0,
            extra_cost: 0,
        }
    }

    /// Takes in what the operation before has given.
    pub(crate) fn take_outcome(&mut self, log: &mut Log) -> Result<(), Fault> {
        let Some(outcome) = self.outcome.take() else { return Ok(()) };
        let awaits = self.awaits.take();
        match (awaits, outcome) {
            (Some(Awaits::Open), Ok(DiskOutcome::Opened { file, .. })) => {
                if !log.watch_source(&self.sources[self.reader.source], file.watch()) {
                    return Err(Fault::Changed);
                }
                self.reader.file = Some(file);
                Ok(())
            }
            // Deleted meanwhile, or damage: the log knows which.
            (Some(Awaits::Open), Err(DiskError::Missing)) => {
                let source = &self.sources[self.reader.source];
                Err(if log.source_path(source).is_none() {
                    Fault::Changed
                } else {
                    Fault::Disk(DiskError::Missing)
                })
            }
            (Some(Awaits::Read), Ok(DiskOutcome::Read(bytes))) if !bytes.is_empty() => {
                self.reader.feed(&bytes);
                Ok(())
            }
            (Some(Awaits::Read), Ok(DiskOutcome::Read(_))) => {
                Err(Fault::Damaged("the file is shorter than its segment".to_owned()))
            }
            (Some(Awaits::Create), Ok(DiskOutcome::Opened { file, .. })) => {
                if let Some(output) = &mut self.output {
                    output.file = Some(file);
                }
                Ok(())
            }
            // Of an earlier life that a clean start did not look for: the next name is free.
            (Some(Awaits::Create), Err(DiskError::Exists)) => {
                self.begin_group(self.group.start, log);
                Ok(())
            }
            (Some(Awaits::Write), Ok(_)) => Ok(()),
            (Some(Awaits::Sync), Ok(_)) => {
                if let Some(output) = &mut self.output {
                    output.on_synced();
                }
                Ok(())
            }
            (_, Err(error)) => Err(Fault::Disk(error)),
            (_, Ok(_)) => Err(Fault::Disk(DiskError::Io(0))),
        }
    }

    /// Notes the keys of the batch the reader stands at. True: the map is full.
    pub(crate) fn map_batch(&mut self, header: &BatchHeader) -> Result<bool, Fault> {
        let batch = self.reader.batch(header);
        let (discards, _) = self.transactions.judge(header, batch)?;
        if !discards && !header.is_control() && header.last_offset() >= self.cleanable.first_dirty {
            let (header, payload) = records::payload(batch, RECORDS_BYTES_MAX).map_err(damaged)?;
            if header.compression() != Ok(Compression::None) {
                self.extra_cost = payload.len() * UNFOLDED_COST;
            }
            for record in records::iter(&header, &payload) {
                let record = record.map_err(damaged)?;
                if record.offset < self.cleanable.first_dirty {
                    continue;
                }
                if let Some(key) = record.key
                    && !self.map.put(key, record.offset)
                {
                    return Ok(true);
                }
                self.map_end = record.offset.plus(1);
            }
        }
        self.map_end = self.map_end.max(header.next_offset());
        Ok(false)
    }

    /// Filters the batch the reader stands at into the group's file; returns how many records stay.
    pub(crate) fn clean_batch(&mut self, log: &Log, header: &BatchHeader) -> Result<u64, Fault> {
        let batch = self.reader.batch(header);
        let (discards, is_marker) = self.transactions.judge(header, batch)?;
        let group_end = self.sources[self.group.end - 1].next_base;
        let keeps_header = header.next_offset() == group_end || log.is_last_of_producer(header);
        let when_empty = if keeps_header { WhenEmpty::KeepHeader } else { WhenEmpty::Delete };
        let now = self.started;
        let horizon = WallMs(now.0.saturating_add(log.delete_retention_ms()));
        let tombstones_stay = !header.has_delete_horizon() || now < header.base_timestamp();
        let discards = discards && (!header.is_control() || !tombstones_stay);
        let (map, map_end) = (&self.map, self.map_end);
        let mut unfolded = 0;
        let stays = |record: &Record<'_>| {
            unfolded += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
            if discards {
                return false;
            }
            if header.is_control() || record.offset >= map_end {
                return true;
            }
            let Some(key) = record.key else { return false };
            let is_latest = map.get(key).is_none_or(|latest| record.offset >= latest);
            is_latest && (record.value.is_some() || tombstones_stay)
        };
        let left = filter::filter(batch, RECORDS_BYTES_MAX, when_empty, horizon, is_marker, stays);
        let output = self.output.as_mut().expect("a group being cleaned has a file");
        self.bytes_before += header.size_bytes() as u64;
        let left = left.map_err(damaged)?;
        if header.compression() != Ok(Compression::None) {
            let rebuilt = matches!(left, Filtered::Rewritten(_));
            self.extra_cost = unfolded * if rebuilt { REBUILT_COST } else { UNFOLDED_COST };
        }
        let rewritten;
        let (kept, bytes) = match left {
            Filtered::Unchanged => (*header, batch),
            Filtered::Gone => {
                output.changed = true;
                return Ok(0);
            }
            Filtered::Rewritten(bytes) => {
                output.changed = true;
                rewritten = bytes;
                let header = batch::peek(&rewritten).ok().flatten().expect("it was just built");
                (header, &rewritten[..])
            }
        };
        if !output.fits(&kept) {
            return Err(Fault::Damaged("what is left does not fit into a segment".to_owned()));
        }
        output.push(&kept, bytes);
        self.bytes_after += bytes.len() as u64;
        Ok(kept.record_count() as u64)
    }

    /// Begins with the group that starts with the source `from`. It is empty if compaction is through.
    pub(crate) fn begin_group(&mut self, from: usize, log: &mut Log) {
        let known = self.sources.get(from).is_some_and(|first| first.base_offset < self.map_end);
        self.group = from..from + usize::from(known);
        self.group_ended = false;
        if self.group.is_empty() {
            return;
        }
        let base_offset = self.sources[from].base_offset;
        let (path, sequence) = log.next_cleaned_path(base_offset);
        let output = Output::new(path, sequence, base_offset, log.index_interval_bytes());
        self.output = Some(Box::new(output));
        self.reader = Reader::at(from, &self.sources);
        self.stage = Stage::Cleaning;
    }

    /// Whether the group, looked through to its end, ends there. It does not if the map knows all of the next source and
    /// that fits behind what is left of the others: the fewer files are exchanged, the less the file system's journal
    /// has to do.
    pub(crate) fn group_ends(&mut self, segment_bytes: u32) -> bool {
        if self.group_ended {
            return true;
        }
        let fits = |next: &&Source| {
            let left = self.output.as_ref().map_or(0, |output| u64::from(output.size));
            let span = next.next_base.0 - self.sources[self.group.start].base_offset.0;
            // A full segment still goes behind the little that often is left of those before.
            let bytes_max = u64::from(segment_bytes) / 2 * 3;
            let known = next.base_offset < self.map_end;
            known && left + u64::from(next.size) <= bytes_max && span < i64::from(i32::MAX)
        };
        self.group_ended = self.sources.get(self.group.end).filter(fits).is_none();
        self.group.end += usize::from(!self.group_ended);
        self.group_ended
    }
}

impl CleanedTransactions {
    /// Steps over a batch: whether an aborted transaction wrote it or, of a marker, its transaction has gone; and
    /// whether it is such a marker.
    pub(crate) fn judge(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(bool, bool), Fault> {
        if !header.is_control() {
            return Ok((self.on_batch(header), false));
        }
        let (header, payload) = records::payload(batch, RECORDS_BYTES_MAX).map_err(damaged)?;
        let kind = match records::iter(&header, &payload).next() {
            Some(record) => Some(ControlKind::of_key(record.map_err(damaged)?.key)),
            None => None,
        };
        let ended = self.on_control(&header, kind);
        Ok((ended, ended))
    }
}

impl Reader {
    pub(crate) fn at(source: usize, sources: &[Source]) -> Reader {
        Reader { source, expected: sources[source].base_offset, ..Reader::default() }
    }

    pub(crate) fn base_offset(&self, sources: &[Source]) -> Offset {
        sources.get(self.source).map_or(Offset(0), |source| source.base_offset)
    }

    /// How many bytes from the place on are needed to look at the batch there.
    pub(crate) fn needed(&self) -> Result<usize, Fault> {
        match batch::peek(&self.bytes[self.used..]) {
            Ok(Some(header)) => Ok(header.size_bytes()),
            Ok(None) => Ok(batch::HEADER_SIZE),
            Err(error) => Err(Fault::Damaged(error.to_string())),
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The header of the batch at the place, which is in memory: what is wrong with it ends the run.
    pub(crate) fn check(&self, source: &Source) -> Result<BatchHeader, Fault> {
        let header = match batch::check_stored(&self.bytes[self.used..]) {
            Ok(Some(header)) => header,
            Ok(None) => return Err(Fault::Damaged("a batch ends early".to_owned())),
            Err(error) => return Err(Fault::Damaged(error.to_string())),
        };
        if header.base_offset() < self.expected || header.next_offset() > source.next_base {
            return Err(Fault::Damaged(format!("offset {} is out of place", header.base_offset())));
        }
        Ok(header)
    }

    pub(crate) fn batch(&self, header: &BatchHeader) -> &[u8] {
        &self.bytes[self.used..self.used + header.size_bytes()]
    }

    pub(crate) fn step_behind(&mut self, header: &BatchHeader) {
        self.used += header.size_bytes();
        self.position += header.size_bytes() as u32;
        self.expected = header.next_offset();
    }
}

fn damaged(error: RecordError) -> Fault {
    Fault::Damaged(error.to_string())
}
