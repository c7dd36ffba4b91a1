//! Compaction: keeps the latest value of each key in a log's closed segments, one log at a time, in small steps.
//!
//! ```text
//! idle --begin--> mapping ---------> cleaning a group ----> swapping it in ---> next group ... ---> idle
//!                 the dirty stretch:  its segments' batches:  log::replacing
//!                 key -> last offset  filtered into one file
//!                 until it is through
//!                 or the map is full
//! ```
//!
//! The first pass goes through what compaction has not seen yet and notes the last offset of each key. The second goes
//! through everything from the log's start on and drops each record whose key the map knows at a later offset, and
//! tombstones whose time is over. Neighbouring segments of which little is left become one. The active segment is never
//! touched. What an interruption at any place leaves is a log of which some groups are compacted and others are not;
//! the next run starts with the same dirty stretch.
//!
//! What a run knows and what it does with the bytes it has read is in `cleaning`; this starts the operations, keeps to the
//! rate and carries on.
//!
//! A shard must not be felt to do this. A step looks at [`STEP_BYTES`] of batches and then asks to be called later; one
//! disk operation of 256 KiB is under way at a time; operations keep to a rate, if one is set. A batch is the smallest
//! unit: a compressed one of a megabyte takes as long as it takes.
//!
//! Memory: the map, of a size that is set but no larger than the stretch has offsets; the bytes read, 256 KiB or one batch;
//! a batch being rebuilt; the bytes to be written.
//!
//! Batches in files are not believed: their checksum and offsets are checked again. One that is damaged ends the run
//! with a notice, and the log is not compacted any more until a start has looked at it. Nothing is removed.
//! Source: Kafka `LogCleaner`, `Cleaner`, KIP-58, KIP-354, KIP-534.

use corelane_base::time::{Mono, WallMs};

use crate::cleaning::{Awaits, Fault, Reader, Run, Stage};
use crate::disk::{DiskError, DiskOp, DiskOutcome, DiskToken};
use crate::log::{Log, LogCx};
use crate::offset_map::OffsetMap;
use crate::output::FIRST_BYTES;
use crate::replacing::{Cleanable, CleanedSegment, Swap};
use crate::settings::NoticeLevel;
use crate::sip::Seed;
use crate::txn_cleaning::CleanedTransactions;

/// Bytes of batches looked at in one step, about 100 us' worth; what is compressed counts several times.
pub const STEP_BYTES: usize = 64 << 10;
/// How long after a step that has more to do the next one is to come: compaction takes a fifth of a core at most.
pub const PAUSE_NS: u64 = 400_000;
/// How often a swap that something is in the way of is tried.
const SWAP_RETRY_MS: u64 = 10;
/// Bytes asked for at once.
const READ_BYTES: u32 = 256 << 10;
/// What a batch costs however small it is, in bytes looked at.
const BATCH_COST: usize = 256;
/// What is set from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// This shard's part of `log.cleaner.dedupe.buffer.size`, in bytes.
    pub map_bytes_max: usize,
    /// `log.cleaner.io.buffer.load.factor`, in percent.
    pub map_load_percent: u8,
    /// This shard's part of `log.cleaner.io.max.bytes.per.second`, read and written.
    pub io_bytes_per_second: u64,
}

/// What compaction has done since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanerTotals {
    /// Runs that came to their end.
    pub runs: u64,
    /// Runs that were given up.
    pub aborted: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Records looked at in the second pass.
    pub records_read: u64,
    /// Records that stayed.
    pub records_kept: u64,
    /// Groups of segments exchanged.
    pub swaps: u64,
}

/// What is to happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// No log is being compacted.
    Idle,
    /// The disk is: `on_disk` will tell.
    Waits,
    /// Call `step` again at this moment.
    Again(Mono),
}

/// A shard's compaction. A completion whose token's owner is the cleaner's slot belongs to [`Cleaner::on_disk`].
#[derive(Debug)]
pub struct Cleaner {
    slot: u32,
    seed: Seed,
    settings: CleanerSettings,
    totals: CleanerTotals,
    run: Option<Box<Run>>,
    /// The run's operation under way.
    op: Option<DiskToken>,
    /// Removals of files that are of no use, and what an aborted run had under way.
    removing: Vec<DiskToken>,
    /// The file that an operation of an aborted run may be making.
    orphan: Option<String>,
    /// The rate allows no operation before.
    next_io: Mono,
}

/// How a step goes on.
enum Flow {
    On,
    Waits,
    Again(Mono),
    /// The run is at its end.
    Done,
    /// The run is given up; the log has changed under it, or was told why.
    Abort,
}

impl Cleaner {
    /// One that does nothing yet. `slot` is its own, distinct from every log's; `seed` is secret.
    #[must_use]
    pub fn new(slot: u32, seed: Seed, settings: CleanerSettings) -> Cleaner {
        Cleaner {
            slot,
            seed,
            settings,
            totals: CleanerTotals::default(),
            run: None,
            op: None,
            removing: Vec::new(),
            orphan: None,
            next_io: Mono(0),
        }
    }

    /// Changes the settings from here on; the map's from the next run on.
    pub fn set_settings(&mut self, settings: CleanerSettings) {
        self.settings = settings;
    }

    /// The settings that hold.
    #[must_use]
    pub fn settings(&self) -> &CleanerSettings {
        &self.settings
    }

    /// What has been done.
    #[must_use]
    pub fn totals(&self) -> CleanerTotals {
        self.totals
    }

    /// The slot of the log that is being compacted.
    #[must_use]
    pub fn log_slot(&self) -> Option<u32> {
        self.run.as_ref().map(|run| run.log_slot)
    }

    /// Bytes of memory that the run under way holds, its map most of all.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.run.as_ref().map_or(0, |run| run.map.memory_bytes() + run.reader.bytes.capacity())
    }

    /// Whether no operation is under way, so that nothing of a log's directory is touched any more.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.run.is_none() && self.op.is_none() && self.removing.is_empty()
    }

    /// Whether files of a run that was given up are still being made or removed.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        !self.removing.is_empty()
    }

    /// Begins with a log. `step` follows. Panics: if another one is under way.
    pub fn begin(&mut self, log_slot: u32, log: &Log, cleanable: Cleanable, now: WallMs) {
        assert!(self.run.is_none(), "one log at a time");
        let sources = log.sources(cleanable.end);
        let first = sources.iter().position(|source| source.next_base > cleanable.first_dirty);
        let Some(first) = first else { return };
        let keys_max = u64::try_from(cleanable.end.0 - cleanable.first_dirty.0).unwrap_or(0);
        let (bytes_max, load) = (self.settings.map_bytes_max, self.settings.map_load_percent);
        let map = OffsetMap::new(self.seed, bytes_max, keys_max, load);
        self.run = Some(Box::new(Run::new(log_slot, cleanable, sources, first, map, now)));
    }

    /// Gives the run up, if there is one: its file is removed.
    pub fn abort(&mut self, cx: &mut LogCx<'_>) {
        let Some(run) = self.run.take() else { return };
        self.totals.aborted += 1;
        let path = run.output.map(|output| output.path).or(run.cleaned.map(|cleaned| cleaned.path));
        match (self.op.take(), path) {
            // What is under way may be making the file: it is removed when that is done.
            (Some(op), path) => {
                self.removing.push(op);
                self.orphan = path;
            }
            (None, Some(path)) => self.remove(path, cx),
            (None, None) => {}
        }
    }

    fn remove(&mut self, path: String, cx: &mut LogCx<'_>) {
        self.removing.push(cx.disk.push(self.slot, DiskOp::Remove { path }));
    }

    /// Takes in a completion; `step` follows.
    pub fn on_disk(&mut self, token: DiskToken, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        if self.op == Some(token) {
            self.op = None;
            if let Some(run) = &mut self.run {
                run.outcome = Some(result);
            }
            return;
        }
        if let Some(i) = self.removing.iter().position(|&waiting| waiting == token) {
            self.removing.swap_remove(i);
            if let Some(path) = self.orphan.take() {
                self.remove(path, cx);
            }
        }
    }

    /// Goes on for a little while. `log` is the one `log_slot` names.
    pub fn step(&mut self, log: &mut Log, cx: &mut LogCx<'_>) -> Turn {
        let mut work = 0;
        loop {
            if self.run.is_none() {
                return Turn::Idle;
            }
            if self.op.is_some() {
                return Turn::Waits;
            }
            if work >= STEP_BYTES {
                return Turn::Again(Mono(cx.now.mono.0 + PAUSE_NS));
            }
            match self.advance(log, &mut work, cx) {
                Flow::On => {}
                Flow::Waits => return Turn::Waits,
                Flow::Again(at) => return Turn::Again(at),
                Flow::Done => self.finish(log, cx),
                Flow::Abort => self.abort(cx),
            }
        }
    }

    fn advance(&mut self, log: &mut Log, work: &mut usize, cx: &mut LogCx<'_>) -> Flow {
        let mut run = self.run.take().expect("the caller looked");
        let result = self.advance_run(&mut run, log, work, cx);
        let (source, position) = (run.reader.base_offset(&run.sources), run.reader.position);
        self.run = Some(run);
        match result {
            Ok(flow) => flow,
            Err(Fault::Changed) => Flow::Abort,
            Err(Fault::Damaged(why)) => {
                log.on_uncleanable(source, u64::from(position), &why, cx);
                Flow::Abort
            }
            Err(Fault::Disk(error)) if error.is_shortage() => {
                log.notice(
                    NoticeLevel::Warn,
                    cx,
                    format_args!("compaction stopped: {error}; it is tried again"),
                );
                Flow::Abort
            }
            Err(Fault::Disk(error)) => {
                log.on_uncleanable(source, u64::from(position), &error.to_string(), cx);
                Flow::Abort
            }
        }
    }

    fn advance_run(
        &mut self,
        run: &mut Run,
        log: &mut Log,
        work: &mut usize,
        cx: &mut LogCx<'_>,
    ) -> Result<Flow, Fault> {
        run.take_outcome(log)?;
        match run.stage {
            Stage::Mapping => self.map_some(run, log, work, cx),
            Stage::Cleaning => self.clean_some(run, log, work, cx),
            Stage::Swapping => Ok(self.swap(run, log, cx)),
        }
    }

    /// Starts an operation of `bytes` of traffic. The caller has asked `throttled` before.
    fn start(&mut self, bytes: u64, op: DiskOp, cx: &mut LogCx<'_>) -> Flow {
        let rate = self.settings.io_bytes_per_second.max(1);
        let takes_ns = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
        let from = self.next_io.max(cx.now.mono);
        self.next_io = Mono(from.0.saturating_add(u64::try_from(takes_ns).unwrap_or(u64::MAX)));
        self.op = Some(cx.disk.push(self.slot, op));
        Flow::Waits
    }

    /// When the rate allows the next operation, if not now.
    fn throttled(&self, cx: &LogCx<'_>) -> Option<Flow> {
        (cx.now.mono < self.next_io).then_some(Flow::Again(self.next_io))
    }

    /// Brings the next batch of the reader's source into memory. `None`: it is there, or the source is through.
    fn fetch(&mut self, run: &mut Run, log: &Log, cx: &mut LogCx<'_>) -> Result<Option<Flow>, Fault> {
        let source = run.sources[run.reader.source];
        let Some(file) = run.reader.file.clone() else {
            let path = log.source_path(&source).ok_or(Fault::Changed)?;
            run.awaits = Some(Awaits::Open);
            return Ok(Some(self.start(0, DiskOp::OpenSegment { path }, cx)));
        };
        let left = (source.size - run.reader.position) as usize;
        let held = run.reader.bytes.len() - run.reader.used;
        let needed = run.reader.needed()?;
        if left == 0 || held >= needed {
            return Ok(None);
        }
        if needed > left {
            return Err(Fault::Damaged("a batch ends behind its segment".to_owned()));
        }
        if let Some(throttled) = self.throttled(cx) {
            return Ok(Some(throttled));
        }
        let len = (READ_BYTES as usize).max(needed - held).min(left - held) as u32;
        let offset = u64::from(run.reader.position) + held as u64;
        run.awaits = Some(Awaits::Read);
        self.totals.bytes_read += u64::from(len);
        Ok(Some(self.start(u64::from(len), DiskOp::Read { file, offset, len }, cx)))
    }

    fn map_some(
        &mut self,
        run: &mut Run,
        log: &mut Log,
        work: &mut usize,
        cx: &mut LogCx<'_>,
    ) -> Result<Flow, Fault> {
        if let Some(flow) = self.fetch(run, log, cx)? {
            return Ok(flow);
        }
        let source = run.sources[run.reader.source];
        if run.reader.position < source.size {
            let header = run.reader.check(&source)?;
            let full = run.map_batch(&header)?;
            *work += BATCH_COST + header.size_bytes() + std::mem::take(&mut run.extra_cost);
            run.reader.step_behind(&header);
            if !full {
                return Ok(Flow::On);
            }
        } else {
            run.map_end = run.map_end.max(source.next_base);
            if run.reader.source + 1 < run.sources.len() {
                run.reader = Reader::at(run.reader.source + 1, &run.sources);
                return Ok(Flow::On);
            }
        }
        run.transactions = CleanedTransactions::new(Vec::new());
        run.begin_group(0, log);
        Ok(if run.group.is_empty() { Flow::Done } else { Flow::On })
    }

    fn clean_some(
        &mut self,
        run: &mut Run,
        log: &mut Log,
        work: &mut usize,
        cx: &mut LogCx<'_>,
    ) -> Result<Flow, Fault> {
        let output = run.output.as_mut().expect("a group being cleaned has a file");
        let Some(file) = output.file.clone() else {
            let path = output.path.clone();
            run.awaits = Some(Awaits::Create);
            return Ok(self.start(0, DiskOp::CreateSegment { path, bytes: FIRST_BYTES }, cx));
        };
        if let Some(throttled) = self.throttled(cx) {
            return Ok(throttled);
        }
        let source = run.sources[run.reader.source];
        let through = run.reader.source + 1 == run.group.end && run.reader.position == source.size;
        let last = through && run.group_ends(log.segment_bytes_max());
        let output = run.output.as_mut().expect("a group being cleaned has a file");
        let single = run.group.len() == 1;
        let skips = last && single && !output.changed;
        if let Some((offset, parts)) = if skips { None } else { output.take(last) } {
            let len = parts.iter().map(|part| part.len() as u64).sum();
            run.awaits = Some(Awaits::Write);
            self.totals.bytes_written += len;
            return Ok(self.start(len, DiskOp::Write { file, offset, parts, sync: false }, cx));
        }
        if !skips && output.wants_sync(last) {
            run.awaits = Some(Awaits::Sync);
            return Ok(self.start(0, DiskOp::Sync { file }, cx));
        }
        if last {
            return self.end_group(run, log, skips, cx);
        }
        if let Some(flow) = self.fetch(run, log, cx)? {
            return Ok(flow);
        }
        if run.reader.position == source.size {
            run.reader = Reader::at(run.reader.source + 1, &run.sources);
            return Ok(Flow::On);
        }
        let header = run.reader.check(&source)?;
        self.totals.records_read += header.record_count() as u64;
        self.totals.records_kept += run.clean_batch(log, &header)?;
        *work += BATCH_COST + header.size_bytes() + std::mem::take(&mut run.extra_cost);
        run.reader.step_behind(&header);
        Ok(Flow::On)
    }

    /// The group's file is written, or is of no use because it would be what there is already.
    fn end_group(
        &mut self,
        run: &mut Run,
        log: &mut Log,
        skips: bool,
        cx: &mut LogCx<'_>,
    ) -> Result<Flow, Fault> {
        let output = run.output.take().expect("a group being cleaned has a file");
        if skips {
            self.remove(output.path, cx);
            return Ok(next_group(run, log));
        }
        let group_end = run.sources[run.group.end - 1].next_base;
        if output.index.next_offset() != group_end {
            let path = output.path;
            self.remove(path, cx);
            return Err(Fault::Damaged(format!("its segment does not end at offset {group_end}")));
        }
        let len = output.file_bytes();
        let (sequence, size, first_timestamp) = (output.sequence, output.size, output.first_timestamp);
        let file = output.file.expect("it was written to");
        let (max_timestamp, index) = (output.index.max_timestamp(), output.index);
        run.cleaned = Some(Box::new(CleanedSegment {
            sequence,
            path: output.path,
            file,
            len,
            size,
            first_timestamp,
            max_timestamp,
            index,
        }));
        run.stage = Stage::Swapping;
        Ok(Flow::On)
    }

    fn swap(&mut self, run: &mut Run, log: &mut Log, cx: &mut LogCx<'_>) -> Flow {
        let cleaned = run.cleaned.take().expect("a group being swapped has its file");
        let path = cleaned.path.clone();
        // The last handle on the last source; its file may be let go of soon.
        run.reader = Reader::default();
        match log.swap_in(&run.sources[run.group.clone()], cleaned) {
            Swap::Done => {
                self.totals.swaps += 1;
                next_group(run, log)
            }
            Swap::NotYet(cleaned) => {
                run.cleaned = Some(cleaned);
                Flow::Again(cx.now.mono.plus_ms(SWAP_RETRY_MS))
            }
            Swap::Changed => {
                self.remove(path, cx);
                Flow::Abort
            }
        }
    }

    fn finish(&mut self, log: &mut Log, cx: &mut LogCx<'_>) {
        let Some(run) = self.run.take() else { return };
        self.totals.runs += 1;
        log.on_cleaned(run.map_end);
        log.notice(
            NoticeLevel::Info,
            cx,
            format_args!(
                "compacted up to offset {}: {} bytes became {}, {} keys in offsets {} to {}",
                run.map_end,
                run.bytes_before,
                run.bytes_after,
                run.map.count(),
                run.cleanable.first_dirty,
                run.map_end,
            ),
        );
    }
}

fn next_group(run: &mut Run, log: &mut Log) -> Flow {
    run.begin_group(run.group.end, log);
    if run.group.is_empty() { Flow::Done } else { Flow::On }
}
