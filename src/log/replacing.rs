//! What compaction does to a log: which part of it is worth compacting, and the exchange of segments for what is left of
//! them.
//!
//! The exchange must be whole or not at all, whatever crash comes. A log's checkpoint is what says of which files it
//! consists, so the checkpoint is what decides:
//!
//! ```text
//!                        files                              the log reads      a crash leaves
//! cleaned file is synced A.log B.log A.7.cleaned            A.log, B.log       A and B; A.7.cleaned is removed
//! swap_in                "                                  A.7.cleaned        the same
//! a checkpoint with it   "                                  "                  A.7.cleaned, which becomes A.log
//! is stored
//! index removed, renamed A.log B.log                        A.log              A; B is in no checkpoint, removed
//! B is let go of         A.log                              "                  A
//! ```
//!
//! Without any checkpoint (its file is damaged) a start reads whole segments, by their names. It finds either A and B,
//! or the new A, which ends where the segment behind B starts, and maybe B. For this the last batch of what is replaced
//! stays in any case, if only as a header: a segment always ends where the next one begins. Gaps are inside.
//!
//! Memory: what stands of the replaced segments in the tail is forgotten. Readers of a file keep their handle. Places
//! inside the replaced files are forgotten too.
//!
//! Log addresses: what stands behind keeps its addresses, what stands before is moved up or down.

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;
use crate::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, FileHandle, FileWatch};
use crate::error::OfflineReason;
use crate::index::{MaxTimestamp, SegmentIndex};
use crate::log::{Job, Log, LogCx, LogState, Replaced};
use crate::recovering::Phase;
use crate::segment::{IndexState, Segment, cleaned_name, index_name, log_name, parse_cleaned_name};
use crate::settings::NoticeLevel;

/// A stretch of a log that may be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// The first offset that compaction has not seen.
    pub first_dirty: Offset,
    /// Up to here it may look (exclusive); a segment starts here.
    pub end: Offset,
    /// Bytes before `first_dirty`.
    pub clean_bytes: u64,
    /// Bytes from there to `end`.
    pub dirty_bytes: u64,
    /// It should be done now: its share is large enough, or it has waited too long.
    pub is_due: bool,
}

impl Cleanable {
    /// The share of what was not compacted, in millionths.
    #[must_use]
    pub fn ratio_ppm(&self) -> u32 {
        let total = u128::from((self.clean_bytes + self.dirty_bytes).max(1));
        (u128::from(self.dirty_bytes) * 1_000_000 / total) as u32
    }
}

/// A segment that is read to be compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub base_offset: Offset,
    /// The next segment's.
    pub next_base: Offset,
    /// Bytes of batches.
    pub size: u32,
    pub created: WallMs,
}

/// What compaction made of some segments: a file that is written and synced.
#[derive(Debug)]
pub(crate) struct CleanedSegment {
    /// In its name.
    pub sequence: u32,
    pub path: String,
    pub file: FileHandle,
    /// Length of the file, in bytes.
    pub len: u64,
    /// Bytes of batches.
    pub size: u32,
    pub first_timestamp: Option<WallMs>,
    pub max_timestamp: Option<MaxTimestamp>,
    pub index: SegmentIndex,
}

/// Whether segments were exchanged.
#[derive(Debug)]
pub(crate) enum Swap {
    Done,
    /// Something is under way in one of them: ask again.
    NotYet(Box<CleanedSegment>),
    /// They are not what they were: the new file is of no use.
    Changed,
}

impl Log {
    /// The stretch that may be compacted, if there is any. `stable_end`: nothing beyond may be looked at (the high
    /// watermark or the last stable offset).
    #[must_use]
    pub fn cleanable(&self, stable_end: Offset, now: WallMs) -> Option<Cleanable> {
        let settings = &self.settings;
        let may = self.state == LogState::Online && settings.compacted && !self.stopping;
        if !may
            || self.uncleanable
            || self.short_of.is_some()
            || self.segments.iter().any(|one| one.cleaned.is_some())
        {
            return None;
        }
        let stable_end = stable_end.min(self.flushed_offset);
        let first_dirty = self.cleaned_offset.clamp(self.log_start_offset, self.log_end_offset);
        let (mut clean_bytes, mut dirty_bytes, mut overdue) = (0, 0, false);
        let mut end = None;
        for (segment, next) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            let ready = next.base_offset <= stable_end && segment.end() <= self.written;
            if !ready || segment.named_next || next.named_next {
                break;
            }
            if next.base_offset <= first_dirty {
                clean_bytes += u64::from(segment.size);
                continue;
            }
            let lag = settings.compaction_lag_ms_min;
            if lag > 0 && segment.newest().0 > now.0.saturating_sub(lag) {
                break;
            }
            dirty_bytes += u64::from(segment.size);
            let since = segment.first_timestamp.unwrap_or(segment.created);
            overdue |= since.0 > 0 && now.0.saturating_sub(since.0) > settings.compaction_lag_ms_max;
            end = Some(next.base_offset);
        }
        let mut found = Cleanable { first_dirty, end: end?, clean_bytes, dirty_bytes, is_due: false };
        found.is_due = dirty_bytes > 0 && (overdue || found.ratio_ppm() > settings.cleanable_ratio_min_ppm);
        Some(found)
    }

    /// Whether this is a compacted log that has closed a segment since this was asked: `cleanable` may have more to
    /// say. Only when nothing is in the way of compaction.
    pub fn take_closed(&mut self) -> bool {
        let may = self.settings.compacted && self.replaced.is_empty();
        may && std::mem::take(&mut self.closed)
    }

    /// Everything below has been through compaction.
    #[must_use]
    pub fn cleaned_offset(&self) -> Offset {
        self.cleaned_offset
    }

    /// The segments that start before `end`, where another one starts.
    pub(crate) fn sources(&self, end: Offset) -> Vec<Source> {
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        pairs
            .take_while(|(segment, _)| segment.base_offset < end)
            .map(|(segment, next)| Source {
                base_offset: segment.base_offset,
                next_base: next.base_offset,
                size: segment.size,
                created: segment.created,
            })
            .collect()
    }

    /// A segment's path. Its file is opened by somebody else, too: `watch` keeps it from being recycled under them.
    pub(crate) fn source_path(&self, source: &Source) -> Option<String> {
        Some(self.segments[self.source_index(source)?].path(&self.dir))
    }

    pub(crate) fn watch_source(&mut self, source: &Source, watch: FileWatch) -> bool {
        let Some(i) = self.source_index(source) else { return false };
        self.segments[i].watches.push(watch);
        true
    }

    fn source_index(&self, source: &Source) -> Option<usize> {
        let i = self.segments.binary_search_by_key(&source.base_offset, |one| one.base_offset).ok()?;
        let next = self.segments.get(i + 1)?;
        (self.segments[i].size == source.size && next.base_offset == source.next_base).then_some(i)
    }

    /// Whether a stored batch is the last that is known of its producer, which has to stay readable from the log.
    pub(crate) fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let entry = if header.has_producer() { self.producers.get(header.producer_id()) } else { None };
        entry.is_some_and(|entry| match entry.batches().last() {
            Some(last) => last.last_offset == header.last_offset(),
            None => header.is_control() && entry.producer_epoch() == header.producer_epoch(),
        })
    }

    /// `delete.retention.ms`.
    pub(crate) fn delete_retention_ms(&self) -> i64 {
        self.settings.delete_retention_ms
    }

    /// `segment.bytes`.
    pub(crate) fn segment_bytes_max(&self) -> u32 {
        self.settings.segment_bytes
    }

    /// `index.interval.bytes`.
    pub(crate) fn index_interval_bytes(&self) -> u32 {
        self.settings.index_interval_bytes
    }

    /// The path of a new file for what is left of the segments from `base_offset` on, and the sequence in it.
    pub(crate) fn next_cleaned_path(&mut self, base_offset: Offset) -> (String, u32) {
        self.cleaned_sequence += 1;
        let sequence = self.cleaned_sequence;
        (format!("{}/{}", self.dir, cleaned_name(base_offset, sequence)), sequence)
    }

    /// Compaction has seen everything below `end`.
    pub(crate) fn on_cleaned(&mut self, end: Offset) {
        self.cleaned_offset = self.cleaned_offset.max(end);
        self.changes += 1;
    }

    /// Exchanges neighbouring segments for one. Its file is synced; until a checkpoint with it is stored, a crash
    /// brings the old ones back.
    pub(crate) fn swap_in(&mut self, sources: &[Source], cleaned: Box<CleanedSegment>) -> Swap {
        let (first, last) = (sources[0], sources[sources.len() - 1]);
        let Some(i) = self.source_index(&first) else { return Swap::Changed };
        let end = i + sources.len();
        if self.state != LogState::Online || sources.iter().any(|source| self.source_index(source).is_none())
        {
            return Swap::Changed;
        }
        let replaced = first.base_offset..last.next_base;
        let busy = self.jobs.iter().any(|(_, job)| match job {
            Job::Open { base_offset, .. }
            | Job::LoadIndex { base_offset }
            | Job::ScanIndex { base_offset, .. }
            | Job::NameNext { base_offset }
            | Job::Zero { base_offset, .. } => replaced.contains(base_offset),
            _ => false,
        });
        if busy {
            return Swap::NotYet(cleaned);
        }
        self.reading.on_replaced(first.base_offset, last.next_base);
        let end_address = self.segments[end - 1].end();
        self.tail.forget(end_address);
        self.changes += 1;
        let created = sources.iter().map(|source| source.created).max().unwrap_or(first.created);
        let start = end_address - u64::from(cleaned.size);
        let segment = self.cleaned_segment(first.base_offset, start, created, *cleaned);
        let old: Vec<Segment> = self.segments.drain(i..end).collect();
        self.segments.insert(i, segment);
        for i in (0..i).rev() {
            self.segments[i].start = self.segments[i + 1].start - u64::from(self.segments[i].size);
        }
        for segment in old {
            self.replaced.push(Replaced {
                base_offset: segment.base_offset,
                into: first.base_offset,
                len: segment.prepared.max(u64::from(segment.size)),
                watches: segment.watches,
                change: self.changes,
            });
        }
        Swap::Done
    }

    fn cleaned_segment(
        &self,
        base_offset: Offset,
        start: u64,
        created: WallMs,
        cleaned: CleanedSegment,
    ) -> Segment {
        let mut segment = Segment::new(base_offset, start, created, self.settings.index_interval_bytes);
        segment.size = cleaned.size;
        segment.first_timestamp = cleaned.first_timestamp;
        segment.max_timestamp = cleaned.max_timestamp;
        segment.flushed_max = cleaned.max_timestamp;
        segment.index = IndexState::Whole(cleaned.index);
        segment.cleaned = Some(cleaned.sequence);
        segment.on_opened(cleaned.file, cleaned.len);
        segment
    }

    /// Goes on with files that compaction made and that a stored checkpoint knows: one after the other gets its
    /// segment's name.
    pub(crate) fn release_replaced(&mut self, cx: &mut LogCx<'_>) {
        let stored = self.stored.changes;
        let first = self.replaced.iter().find(|replaced| replaced.base_offset == replaced.into);
        let Some(first) = first.filter(|first| first.change <= stored) else {
            return self.release_leftovers(cx);
        };
        let base_offset = first.into;
        // An index of the old file that is still being stored must not outlive the removal.
        let busy = self.jobs.iter().any(|(_, job)| match job {
            Job::StoreIndex { base_offset: of } => *of == base_offset,
            Job::UnindexCleaned { .. } | Job::NameCleaned { .. } => true,
            _ => false,
        });
        if busy {
            return;
        }
        if self.segment_mut(base_offset).is_none_or(|segment| segment.cleaned.is_none()) {
            return self.on_cleaned_has_name(base_offset, cx);
        }
        let path = format!("{}/{}", self.dir, index_name(base_offset));
        self.start(Job::UnindexCleaned { base_offset }, DiskOp::Remove { path }, cx);
    }

    pub(crate) fn on_cleaned_unindexed(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let dir = self.dir.clone();
        let Some(segment) = self.segment_mut(base_offset) else { return };
        if result.is_err() || segment.cleaned.is_none() {
            // `tick` tries again, or there is nothing to do any more.
            return;
        }
        let op = DiskOp::Rename { from: segment.path(&dir), to: format!("{dir}/{}", log_name(base_offset)) };
        self.start(Job::NameCleaned { base_offset }, op, cx);
    }

    pub(crate) fn on_cleaned_named(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        match result {
            Ok(_) => self.on_cleaned_has_name(base_offset, cx),
            // `tick` tries again.
            Err(error) if error.is_shortage() => {}
            Err(error) => {
                let Some(segment) = self.segment_mut(base_offset) else { return };
                if segment.cleaned.is_none() {
                    return;
                }
                let dir = self.dir.clone();
                let path = self.segment_mut(base_offset).map_or(String::new(), |one| one.path(&dir));
                self.go_offline(OfflineReason::FileFailed { path, error }, cx);
            }
        }
    }

    /// What compaction made has its segment's name: its index goes beside it, and what it replaced may go.
    pub(crate) fn on_cleaned_has_name(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) {
        if let Some(segment) = self.segment_mut(base_offset) {
            segment.cleaned = None;
        }
        self.changes += 1;
        if let Ok(i) = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset) {
            self.store_index(i, cx);
        }
        // The one whose name it has got was replaced by the renaming itself.
        self.replaced.retain(|replaced| replaced.base_offset != base_offset);
        self.release_leftovers(cx);
        self.release_replaced(cx);
    }

    /// Lets go of files whose content is in a segment that has its name.
    fn release_leftovers(&mut self, cx: &mut LogCx<'_>) {
        let stored = self.stored.changes;
        let mut waits = Vec::new();
        for replaced in std::mem::take(&mut self.replaced) {
            let named = self.segment_mut(replaced.into).is_none_or(|segment| segment.cleaned.is_none());
            if replaced.change > stored || !named || replaced.base_offset == replaced.into {
                waits.push(replaced);
                continue;
            }
            cx.pool.recycle(&self.dir, replaced.base_offset, replaced.len, replaced.watches, cx.disk);
        }
        self.replaced = waits;
    }

    /// When a start has listed the directory: files that compaction made and that the checkpoint knows get their names
    /// before anything else, one by one; those it does not know are removed. True: the directory is listed again.
    pub(crate) fn settle_cleaned_files(&mut self, entries: &[DirEntry], cx: &mut LogCx<'_>) -> bool {
        let Some(recovery) = self.recovery.as_mut() else { return false };
        let known = recovery.checkpoint.as_ref();
        let is_known = |base_offset: Offset, sequence: u32| {
            known.is_some_and(|known| {
                known
                    .segments
                    .iter()
                    .any(|one| (one.base_offset, one.cleaned) == (base_offset, Some(sequence)))
            })
        };
        let mut wanted = None;
        let mut unknown = Vec::new();
        for entry in entries {
            let Some((base_offset, sequence)) = parse_cleaned_name(&entry.name) else { continue };
            self.cleaned_sequence = self.cleaned_sequence.max(sequence);
            if is_known(base_offset, sequence) {
                wanted = Some((base_offset, sequence));
            } else {
                unknown.push(format!("{}/{}", self.dir, entry.name));
            }
        }
        if let Some((base_offset, sequence)) = wanted {
            let path = format!("{}/{}", self.dir, index_name(base_offset));
            let phase = Phase::UnindexingCleaned { base_offset, sequence };
            self.recover_with(phase, DiskOp::Remove { path }, cx);
            return true;
        }
        if let Some(checkpoint) = recovery.checkpoint.as_mut() {
            // Those that are not there have their names already.
            checkpoint.segments.iter_mut().for_each(|segment| segment.cleaned = None);
        }
        for path in unknown {
            self.start(Job::Ignored, DiskOp::Remove { path }, cx);
        }
        false
    }

    pub(crate) fn name_cleaned(&mut self, base_offset: Offset, sequence: u32, cx: &mut LogCx<'_>) {
        let from = format!("{}/{}", self.dir, cleaned_name(base_offset, sequence));
        let to = format!("{}/{}", self.dir, log_name(base_offset));
        self.recover_with(Phase::NamingCleaned, DiskOp::Rename { from, to }, cx);
    }

    pub(crate) fn list_again(&mut self, cx: &mut LogCx<'_>) {
        self.recover_with(Phase::Listing, DiskOp::List { path: self.dir.clone() }, cx);
    }

    /// Compaction met something that is no batch: not again before the next start has looked at the log.
    pub(crate) fn on_uncleanable(
        &mut self,
        base_offset: Offset,
        position: u64,
        why: &str,
        cx: &mut LogCx<'_>,
    ) {
        self.uncleanable = true;
        self.notice(
            NoticeLevel::Error,
            cx,
            format_args!(
                "no longer compacted: segment {base_offset} cannot be read at byte {position}: {why}; nothing was removed"
            ),
        );
    }
}
