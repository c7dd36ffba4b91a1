//! What one log must contain, kept beside it: every batch handed in, every promise given, and what a crash may take.
//!
//! Knows nothing of segments, blocks or files. A promise is `flushed_offset`: what lay below it once is there for ever
//! (as far as the durability setting went when it moved there), until retention or a client removes it from the front.
//! What was appended behind it may survive a crash as a prefix, batch by batch, never with a hole. Whatever the setting,
//! what a stored checkpoint vouches for and what a recovery has found survives everything.

use std::collections::BTreeMap;

use corelane_log::settings::{Durability, LogSettings};

use crate::batch::{Producer, decode};
use crate::log_stand::{Ending, Model};

/// A batch as the log must hold it.
#[derive(Debug, Clone)]
pub struct StoredBatch {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Who wrote it.
    pub producer: Producer,
    /// The epoch it was appended under.
    pub leader_epoch: i32,
    /// Its bytes, stamped.
    pub bytes: Vec<u8>,
    /// Its records' timestamps as readers see them.
    pub timestamps: Vec<i64>,
}

/// What a read asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadAsked {
    /// From which offset.
    pub offset: i64,
    /// Up to which, exclusive.
    pub end: i64,
    /// How many bytes at most.
    pub bytes_max: u32,
    /// Whether the first batch is wanted whole even beyond that.
    pub whole_first_batch: bool,
}

/// What a look-up by time asked for, and what the model says to that.
#[derive(Debug, Clone, Copy)]
pub struct LookupAsked {
    /// `None`: the record with the largest timestamp.
    pub timestamp: Option<i64>,
    /// Its offset and time.
    pub expected: Option<(i64, i64)>,
}

/// One log's model. Invariants: `start_stored <= log_start <= flushed <= log_end`; batches are dense from the first
/// appended to `log_end`.
#[derive(Debug)]
pub struct LogModel {
    /// Every batch, by base offset, also those that retention has removed.
    batches: BTreeMap<i64, StoredBatch>,
    /// The first readable offset.
    log_start: i64,
    /// What `log_start` may fall back to in a crash: its value in the last checkpoint stored.
    start_stored: i64,
    /// What not even a power failure takes.
    safe_from_power_loss: i64,
    /// What the end of the process does not take.
    safe_from_kill: i64,
    /// The largest `flushed_offset` seen.
    flushed: i64,
    /// Behind the last batch.
    log_end: i64,
    durability: Durability,
    ending: Ending,
    /// The epoch of the next batch.
    pub leader_epoch: i32,
}

impl LogModel {
    /// An empty log.
    #[must_use]
    pub fn new(durability: Durability) -> LogModel {
        LogModel {
            batches: BTreeMap::new(),
            log_start: 0,
            start_stored: 0,
            safe_from_power_loss: 0,
            safe_from_kill: 0,
            flushed: 0,
            log_end: 0,
            durability,
            ending: Ending::Clean,
            leader_epoch: 0,
        }
    }

    /// The largest promise given.
    #[must_use]
    pub fn flushed(&self) -> i64 {
        self.flushed
    }

    /// The batches that a reader can find in `[from, to)`, the first of which holds `from`.
    pub fn batches_in(&self, from: i64, to: i64) -> impl DoubleEndedIterator<Item = &StoredBatch> {
        let first = self.batches.range(..=from).next_back().map_or(from, |(base, _)| *base);
        self.batches
            .range(first..to.max(first))
            .map(|(_, batch)| batch)
            .filter(move |batch| batch.last_offset >= from)
    }

    /// The last batches of a producer, newest first.
    pub fn batches_of(&self, producer_id: i64) -> impl Iterator<Item = &StoredBatch> {
        self.batches.values().rev().filter(move |batch| batch.producer.id == producer_id)
    }

    /// A batch was appended; `bytes` as stored.
    pub fn on_appended(&mut self, bytes: Vec<u8>) {
        let batch = decode(&bytes).expect("what we built is sound").expect("and whole");
        assert_eq!(batch.base_offset, self.log_end, "appended batches are dense");
        self.log_end = batch.last_offset + 1;
        let stored = StoredBatch {
            base_offset: batch.base_offset,
            last_offset: batch.last_offset,
            producer: batch.producer,
            leader_epoch: batch.leader_epoch,
            bytes,
            timestamps: batch.records.iter().map(|record| record.timestamp_ms).collect(),
        };
        self.batches.insert(stored.base_offset, stored);
    }

    /// Nothing takes what lies below `end`.
    fn on_safe(&mut self, end: i64) {
        self.safe_from_power_loss = self.safe_from_power_loss.max(end);
        self.safe_from_kill = self.safe_from_kill.max(end);
    }

    /// What the log promises from here on.
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// The log says where it starts. `by_request` if a client asked for it. Panics: if it moves back, beyond what is
    /// flushed, or further than retention allows.
    pub fn on_log_start(&mut self, log_start: i64, by_request: bool, settings: &LogSettings, wall_ms: i64) {
        assert!(log_start >= self.log_start, "log start fell from {} to {log_start}", self.log_start);
        assert!(log_start <= self.flushed, "log start {log_start} beyond what is flushed, {}", self.flushed);
        if log_start > self.log_start && !by_request {
            self.check_retention(log_start, settings, wall_ms);
        }
        self.log_start = log_start;
    }

    /// Panics: if `bytes` are not what a read of `asked` may give.
    pub fn check_read(&self, asked: &ReadAsked, bytes: &[u8]) {
        let expected: Vec<&StoredBatch> = self.batches_in(asked.offset, asked.end).collect();
        let first = expected.first().unwrap_or_else(|| panic!("{asked:?}: bytes where nothing is"));
        assert!(
            first.base_offset <= asked.offset,
            "{asked:?}: the first batch starts at {}",
            first.base_offset
        );
        assert!(bytes.len() >= first.bytes.len(), "{asked:?}: not even the first batch");
        if bytes.len() > asked.bytes_max as usize {
            assert!(asked.whole_first_batch, "{asked:?}: {} bytes", bytes.len());
            assert_eq!(bytes.len(), first.bytes.len(), "{asked:?}: more than the first batch");
        }
        let mut rest = bytes;
        for batch in expected {
            let len = rest.len().min(batch.bytes.len());
            let (got, behind) = rest.split_at(len);
            if got != &batch.bytes[..len] {
                let at = got.iter().zip(&batch.bytes).position(|(a, b)| a != b);
                panic!("{asked:?}: batch {} differs at byte {at:?}: {:?}", batch.base_offset, decode(got));
            }
            rest = behind;
        }
        assert!(rest.is_empty(), "{asked:?}: {} bytes beyond the end", rest.len());
    }

    /// Panics: if reading nothing is no answer to `asked`.
    pub fn check_read_empty(&self, asked: &ReadAsked) {
        if let Some(first) = self.batches_in(asked.offset, asked.end).next() {
            let too_large = first.bytes.len() > asked.bytes_max as usize && !asked.whole_first_batch;
            assert!(too_large, "{asked:?}: nothing, though batch {} is there", first.base_offset);
        }
    }

    /// The first record at or after `timestamp` in `[log_start, end)`.
    #[must_use]
    pub fn offset_for_time(&self, timestamp: i64, end: i64) -> Option<(i64, i64)> {
        self.records_in(end).find(|(_, record_time)| *record_time >= timestamp)
    }

    /// The first record with the largest timestamp in `[log_start, end)`.
    #[must_use]
    pub fn offset_of_max_timestamp(&self, end: i64) -> Option<(i64, i64)> {
        let largest = self.records_in(end).map(|(_, time)| time).max()?;
        self.records_in(end).find(|(_, time)| *time == largest)
    }

    /// Where `leader_epoch` ends, as far as the batches tell for certain. As in Kafka, an epoch larger than any known
    /// has no end: (-1, -1).
    #[must_use]
    pub fn end_of_epoch(&self, leader_epoch: i32) -> Option<(i32, i64)> {
        let batches = || self.batches_in(self.log_start, self.log_end);
        let latest = batches().next_back()?.leader_epoch;
        if leader_epoch > latest {
            return Some((-1, -1));
        }
        let found = batches().map(|batch| batch.leader_epoch).filter(|epoch| *epoch <= leader_epoch).max()?;
        let mut later = batches().filter(|batch| batch.leader_epoch > found);
        Some((found, later.next().map_or(self.log_end, |batch| batch.base_offset)))
    }

    /// The time of a record, removed from the front or not.
    #[must_use]
    pub fn time_of(&self, offset: i64) -> Option<i64> {
        let (base, batch) = self.batches.range(..=offset).next_back()?;
        batch.timestamps.get((offset - base) as usize).copied()
    }

    fn records_in(&self, end: i64) -> impl Iterator<Item = (i64, i64)> {
        let log_start = self.log_start;
        self.batches_in(log_start, end).flat_map(move |batch| {
            let offsets = batch.base_offset..;
            offsets.zip(batch.timestamps.iter().copied()).filter(move |(offset, _)| *offset >= log_start)
        })
    }

    /// Retention takes whole segments from the front: while what stays is at least `retention.bytes`, or while
    /// everything in them is older than `retention.ms`.
    fn check_retention(&self, log_start: i64, settings: &LogSettings, wall_ms: i64) {
        assert!(settings.deletes, "retention moved log start to {log_start} though nothing is to be deleted");
        let kept_bytes = |from: i64| -> i64 {
            self.batches.range(from..self.log_end).map(|(_, batch)| batch.bytes.len() as i64).sum()
        };
        for batch in self.batches_in(self.log_start, log_start) {
            let by_size = settings.retention_bytes >= 0
                && kept_bytes(batch.last_offset + 1) >= settings.retention_bytes;
            let newest = batch.timestamps.iter().max().copied().unwrap_or(-1);
            let by_time = settings.retention_ms >= 0 && newest < wall_ms - settings.retention_ms;
            assert!(
                by_size || by_time,
                "retention removed batch {} of time {newest} at {wall_ms}, leaving {} bytes: {settings:?}",
                batch.base_offset,
                kept_bytes(batch.last_offset + 1)
            );
        }
    }
}

impl Model for LogModel {
    type Read = ReadAsked;
    type Lookup = LookupAsked;

    fn log_start(&self) -> i64 {
        self.log_start
    }

    fn log_end(&self) -> i64 {
        self.log_end
    }

    fn on_flushed(&mut self, flushed: i64) {
        assert!(flushed >= self.flushed, "flushed offset fell from {} to {flushed}", self.flushed);
        assert!(flushed <= self.log_end, "flushed offset {flushed} beyond the end {}", self.log_end);
        let boundary = flushed == self.log_end || self.batches.contains_key(&flushed);
        assert!(boundary, "flushed offset {flushed} lies inside a batch");
        if flushed > self.flushed {
            match self.durability {
                Durability::Sync => self.on_safe(flushed),
                Durability::Write => self.safe_from_kill = self.safe_from_kill.max(flushed),
                Durability::Memory => {}
            }
        }
        self.flushed = flushed;
    }

    fn on_checkpoint_stored(&mut self, log_start: i64, end: i64) {
        self.start_stored = self.start_stored.max(log_start);
        self.on_safe(log_start.max(end));
    }

    fn on_ending(&mut self, ending: Ending) {
        self.ending = self.ending.max(ending);
    }

    fn on_recovered(&mut self, log_start: i64, flushed: i64, log_end: i64) {
        assert!(log_start <= flushed && flushed <= log_end, "{log_start} <= {flushed} <= {log_end}");
        assert_eq!(flushed, log_end, "right after recovery everything found counts as flushed");
        let kept = match self.ending {
            Ending::Clean => self.log_end,
            Ending::Killed => self.safe_from_kill,
            Ending::PowerLost => self.safe_from_power_loss,
        };
        assert!(
            log_end >= kept,
            "{:?} with {:?}: recovered up to {log_end} only, promised was {kept} (end was {})",
            self.ending,
            self.durability,
            self.log_end
        );
        assert!(
            log_end <= self.log_end,
            "recovered up to {log_end}, appended was only up to {}",
            self.log_end
        );
        let boundary = log_end == self.log_end || self.batches.contains_key(&log_end) || log_end == log_start;
        assert!(boundary, "recovered end {log_end} lies inside a batch");
        assert!(
            log_start >= self.start_stored,
            "log start {log_start} fell behind the stored {}",
            self.start_stored
        );
        assert!(
            log_start <= self.log_start,
            "recovery moved log start from {} to {log_start}",
            self.log_start
        );
        if self.ending == Ending::Clean {
            assert_eq!(log_start, self.log_start, "a clean stop keeps log start");
        }
        self.batches.retain(|base, _| *base < log_end);
        self.log_start = log_start;
        self.start_stored = log_start;
        self.log_end = log_end;
        self.flushed = log_end;
        // Less than was promised may be left after a failure of what was promised less.
        (self.safe_from_kill, self.safe_from_power_loss) = (log_end, log_end);
        self.ending = Ending::Clean;
    }
}
