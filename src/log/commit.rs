//! Group commits: the bytes that arrived since the last write go to the disk as one write.
//!
//! One write at a time per log. While it is under way, everything that arrives joins the next one, so the disk's own
//! latency decides how much shares a write. A commit lies in one segment, begins at the block that holds the last
//! byte written (whose content is kept in memory for this) and is padded with zeros to a whole block.
//!
//! A failed write poisons the log: what reached the disk is unknown, so nothing is retried and nothing appended. The
//! one exception is "no space left" behind what is prepared: a direct write that finds no room has written nothing that the same write, done
//! again, would not overwrite with the same bytes, nothing of it was acknowledged, and a full disk is to heal by
//! itself. The bytes wait in memory, appends are refused, and `tick` tries again.

use bytes::Bytes;
use corelane_base::aligned::{BLOCK_BYTES, block_ceil, block_floor};
use corelane_base::id::Offset;

use crate::disk::{DiskError, DiskOp, DiskOutcome};
use crate::error::OfflineReason;
use crate::index::MaxTimestamp;
use crate::log::{Commit, Committed, Job, LastBlock, Log, LogCx, LogState};
use crate::segment::SegmentFile;
use crate::settings::{Durability, NoticeLevel};

/// The largest commit, unless one batch is larger. At 3 GB/s it takes a third of a millisecond.
pub(crate) const COMMIT_BYTES_MAX: u64 = 1 << 20;

impl Log {
    /// Ends a turn: starts a group commit if there is something to write and none under way. To be called once a turn
    /// for every log that saw `append`, `on_disk` or `tick` in it. Returns whether `flushed_offset` has grown, which it
    /// does here with `Durability::Memory` only.
    pub fn end_turn(&mut self, cx: &mut LogCx<'_>) -> bool {
        if self.state != LogState::Online {
            return false;
        }
        let mut moved = false;
        if self.settings.durability == Durability::Memory && self.flushed_offset < self.log_end_offset {
            self.tail.freeze(self.tail.end());
            self.flushed_offset = self.log_end_offset;
            self.publish_maxima();
            moved = true;
        }
        self.start_commit(cx);
        moved
    }

    /// Starts the next commit if it can start. What it waits for otherwise leads here again when it is done.
    pub(crate) fn start_commit(&mut self, cx: &mut LogCx<'_>) {
        if self.commit.is_some() || self.state != LogState::Online || self.written == self.tail.end() {
            return;
        }
        let i = self.segments.partition_point(|segment| segment.end() <= self.written);
        let segment = &self.segments[i];
        let base_offset = segment.base_offset;
        let file = match &segment.file {
            SegmentFile::Open(file) => file.clone(),
            // `tick` opens it.
            SegmentFile::Closed if self.short_of == Some(DiskError::TooManyFiles) => return,
            SegmentFile::Closed => return self.open_segment(base_offset, cx),
            SegmentFile::Awaited | SegmentFile::Opening => return,
        };
        let position = self.written - segment.start;
        let Some(prefix) = self.prefix(position, base_offset, cx) else { return };
        let segment = &self.segments[i];
        // Zeros are being written from `prepared` on: nothing may be written there before they are done.
        let room =
            if segment.zeroing.is_some() { segment.prepared.saturating_sub(position) } else { u64::MAX };
        let end = self.tail.border(self.written, COMMIT_BYTES_MAX.min(room), segment.end());
        if end - self.written > room {
            return;
        }
        if self.lacks_space() && block_ceil(end - segment.start) > segment.prepared {
            return;
        }
        self.capture_if_due();
        let end_offset = self.tail.offset_at(end, self.log_end_offset);
        let write = self.tail.write_parts(self.written, end, position, &prefix);
        let (durability, may_leave_unsynced) = (self.settings.durability, self.may_leave_unsynced());
        let segment = &mut self.segments[i];
        let prepared_before = segment.prepared;
        let sync = durability == Durability::Sync || !may_leave_unsynced;
        segment.prepared = segment.prepared.max(block_ceil(end - segment.start));
        segment.prepare_to = segment.prepare_to.max(segment.prepared);
        self.commit = Some(Commit {
            end,
            end_offset,
            extends: segment.prepared > prepared_before,
            prepared_before,
            base_offset,
            sync,
            last_block: write.last_block,
            started: cx.now.mono,
        });
        let op = DiskOp::Write { file, offset: block_floor(position), parts: write.parts, sync };
        self.start(Job::Commit, op, cx);
    }

    /// What the block of `position` holds before it; `None` while it must be read first.
    fn prefix(&mut self, position: u64, base_offset: Offset, cx: &mut LogCx<'_>) -> Option<Bytes> {
        if position.is_multiple_of(BLOCK_BYTES as u64) {
            return Some(Bytes::new());
        }
        match &self.last_block {
            LastBlock::Known(bytes) => Some(bytes.clone()),
            LastBlock::Reading => None,
            LastBlock::Unknown => {
                let file = self.segment_mut(base_offset)?.handle()?.clone();
                let offset = block_floor(position);
                let len = (position - offset) as u32;
                self.last_block = LastBlock::Reading;
                self.start(Job::LastBlock { at: self.written }, DiskOp::Read { file, offset, len }, cx);
                None
            }
        }
    }

    pub(crate) fn on_last_block(
        &mut self,
        at: u64,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        assert_eq!(at, self.written, "nothing is written before the block is known");
        let active = self.segments.iter().find(|segment| segment.end() > at);
        let (path, start) =
            active.map_or((String::new(), 0), |segment| (segment.path(&self.dir), segment.start));
        let len = ((at - start) % BLOCK_BYTES as u64) as usize;
        match result {
            Ok(DiskOutcome::Read(bytes)) if bytes.len() == len => {
                self.last_block = LastBlock::Known(bytes);
                self.start_commit(cx);
            }
            Ok(_) => self.go_offline(OfflineReason::Corrupt { path, position: at - start }, cx),
            Err(error) => self.go_offline(OfflineReason::FileFailed { path, error }, cx),
        }
    }

    pub(crate) fn on_written(&mut self, result: Result<DiskOutcome, DiskError>, cx: &mut LogCx<'_>) {
        let commit = self.commit.take().expect("a write's completion belongs to the commit under way");
        match result {
            Ok(_) => {}
            Err(DiskError::NoSpace) if commit.extends => {
                if let Some(segment) = self.segment_mut(commit.base_offset) {
                    segment.prepared = commit.prepared_before;
                }
                return self.on_shortage(DiskError::NoSpace, cx);
            }
            Err(error) => return self.go_offline(OfflineReason::WriteFailed(error), cx),
        }
        assert!(commit.end > self.written, "a commit writes something");
        if let Some((timestamp, base_offset, at)) = self.tail.largest_timestamp(self.written, commit.end)
            && let Some(segment) = self.segment_mut(commit.base_offset)
            && segment.unflushed_max.is_none_or(|known| timestamp > known.timestamp)
        {
            let position = (at - segment.start) as u32;
            segment.unflushed_max = Some(MaxTimestamp { timestamp, base_offset, position });
        }
        self.commit_bytes = commit.end - self.written;
        self.progress.committed = Some(Committed { bytes: self.commit_bytes, started: commit.started });
        self.note_synced(&commit);
        self.written = commit.end;
        self.written_offset = commit.end_offset;
        self.last_block = LastBlock::Known(commit.last_block.unwrap_or_default());
        match self.settings.durability {
            Durability::Sync if self.unsynced => {}
            Durability::Sync | Durability::Write => {
                self.flushed_offset = self.flushed_offset.max(commit.end_offset);
            }
            Durability::Memory => {}
        }
        self.publish_maxima();
        self.publish_captured();
        self.on_segments_written(cx);
        self.sync_if_wanted(false, cx);
        self.store_last_index(cx);
        self.prepare_ahead(cx);
    }

    /// Makes the largest timestamps of what is flushed for everybody to see: of all that there is, or of all that is
    /// written.
    pub(crate) fn publish_maxima(&mut self) {
        let all = self.flushed_offset == self.log_end_offset;
        if !all && self.flushed_offset < self.written_offset {
            return;
        }
        let to = if all { self.tail.end() } else { self.written };
        let end = self.segments.partition_point(|segment| segment.start < to);
        for segment in self.segments.range_mut(..end).rev() {
            if segment.end() <= self.maxima_to {
                break;
            }
            let unflushed = segment.unflushed_max.take();
            let found = if all { segment.max_timestamp } else { unflushed };
            let known = segment.flushed_max;
            let larger = |max: &MaxTimestamp| known.is_none_or(|known| max.timestamp > known.timestamp);
            segment.flushed_max = found.filter(larger).or(known);
        }
        // When less than all counts as flushed from now on, it may be beyond what is written.
        self.maxima_to = self.maxima_to.max(to);
    }

    /// Notes that there was no room, or no descriptor; `tick` asks again. Want of room is what counts if both are short.
    pub(crate) fn on_shortage(&mut self, error: DiskError, cx: &mut LogCx<'_>) {
        assert!(error.is_shortage(), "nothing else passes by itself");
        if self.short_of != Some(DiskError::NoSpace) && self.short_of != Some(error) {
            self.notice(NoticeLevel::Warn, cx, format_args!("{error}; appends that need it are refused"));
            self.short_of = Some(error);
        }
    }

    /// Whether the file system had no room when it was last asked for some.
    pub(crate) fn lacks_space(&self) -> bool {
        self.short_of == Some(DiskError::NoSpace)
    }
}
