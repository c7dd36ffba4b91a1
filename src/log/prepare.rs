//! Files ahead of the tail: the first file of a new log, zeros in front of the active segment's end, and the next
//! segment, so that a small commit finds blocks that are allocated and written, and a roll never waits for a file. Large
//! commits that have caught up with the zeros extend the file themselves, and the next segment is then begun small.
//!
//! ```text
//! next: None ----(active three quarters full, or rolled)----> Preparing ----> Ready ----(roll)----> None
//!                                                              |  spare file renamed to next.log, opened
//!                                                              |  or next.log made of zeros
//! ```
//!
//! A roll uses the open file at once and gives it its name meanwhile: recovery finds a `next.log` that holds batches.
//! Nothing here takes a log offline for want of room or descriptors: that is a notice, and `tick` tries again.

use corelane_base::aligned::{block_ceil, block_floor};
use corelane_base::id::Offset;

use crate::disk::{DiskError, DiskOp, DiskOutcome, FileHandle};
use crate::error::{OfflineReason, ReadError};
use crate::log::{Job, Log, LogCx, LogState, NextSegment, NextStep};
use crate::segment::{IndexState, NEXT_NAME, Segment, SegmentFile};
use crate::settings::NoticeLevel;

/// Size of a new log's first file: a thousand empty partitions take 64 MiB.
const FIRST_BYTES: u64 = 64 << 10;
/// Zeros kept ahead of the tail at most.
const AHEAD_BYTES_MAX: u64 = 64 << 20;
/// Zeros per operation: a commit that needs them waits for no more. The nearer the tail is, the fewer they are.
const ZERO_STEP_BYTES: u64 = 4 << 20;
const ZERO_STEP_BYTES_MIN: u64 = 256 << 10;
/// A commit of this size may extend the file: that costs little more than writing over zeros, and less than both.
const EXTENDING_BYTES_MIN: u64 = 128 << 10;
/// What found no descriptor is tried again with one tick in so many.
pub(crate) const DESCRIPTOR_RETRY_TICKS: u32 = 4;

impl Log {
    /// Begins with nothing at `base_offset`; the file follows.
    pub(crate) fn begin_empty(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) {
        assert!(self.segments.is_empty(), "only a log without segments begins");
        let start = self.tail.end();
        self.segments.push_back(Segment::new(
            base_offset,
            start,
            cx.now.wall,
            self.settings.index_interval_bytes,
        ));
        self.log_start_offset = base_offset;
        self.stored.log_start_offset = base_offset;
        self.log_end_offset = base_offset;
        self.flushed_offset = base_offset;
        self.written_offset = base_offset;
        self.state = LogState::Online;
        self.capture_at_rest();
        self.create_first(base_offset, cx);
    }

    fn segment_bytes(&self) -> u64 {
        block_ceil(u64::from(self.settings.segment_bytes).max(1))
    }

    fn create_first(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) {
        let path = format!("{}/{}", self.dir, crate::segment::log_name(base_offset));
        let bytes = FIRST_BYTES.min(self.segment_bytes());
        self.start(Job::CreateFirst { base_offset }, DiskOp::CreateSegment { path, bytes }, cx);
    }

    pub(crate) fn on_first_created(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let dir = self.dir.clone();
        let Some(segment) = self.segment_mut(base_offset) else { return };
        match result {
            Ok(DiskOutcome::Opened { file, len }) => {
                segment.on_opened(file, len);
                self.on_room(cx);
                self.start_commit(cx);
                self.step_reading(cx);
            }
            Err(error) if error.is_shortage() => self.on_shortage(error, cx),
            other => {
                let path = segment.path(&dir);
                let error = other.err().unwrap_or(DiskError::Io(0));
                self.go_offline(OfflineReason::FileFailed { path, error }, cx);
            }
        }
    }

    pub(crate) fn on_first_cleared(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        if result.is_ok() {
            self.create_first(base_offset, cx);
        }
    }

    /// Opens a segment's file unless that is under way.
    pub(crate) fn open_segment(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) {
        let dir = self.dir.clone();
        let Some(segment) = self.segment_mut(base_offset) else { return };
        if !matches!(segment.file, SegmentFile::Closed) {
            return;
        }
        let path = segment.path(&dir);
        segment.file = SegmentFile::Opening;
        let cleaned = segment.cleaned;
        self.start(Job::Open { base_offset, cleaned }, DiskOp::OpenSegment { path }, cx);
    }

    pub(crate) fn on_segment_opened(
        &mut self,
        base_offset: Offset,
        asked: Option<u32>,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let dir = self.dir.clone();
        let is_active = self.segments.back().is_some_and(|active| active.base_offset == base_offset);
        let written = self.written;
        let Some(segment) = self.segment_mut(base_offset) else { return self.step_reading(cx) };
        let path = segment.path(&dir);
        let held = written.clamp(segment.start, segment.end()) - segment.start;
        match result {
            Ok(DiskOutcome::Opened { file, len }) if len >= held => {
                segment.on_opened(file, len);
                self.refusal_told = false;
                if is_active && !self.lacks_space() {
                    self.on_room(cx);
                }
                self.start_commit(cx);
                self.step_reading(cx);
            }
            // It was given its segment's name meanwhile.
            Err(DiskError::Missing) if segment.cleaned != asked => {
                segment.file = SegmentFile::Closed;
                self.open_segment(base_offset, cx);
            }
            // What compaction made has its segment's name already: it got it after the checkpoint was taken.
            Err(DiskError::Missing) if segment.cleaned.is_some() => {
                segment.file = SegmentFile::Closed;
                self.on_cleaned_has_name(base_offset, cx);
                self.open_segment(base_offset, cx);
            }
            // It was begun when there was no room for a file, and the broker stopped.
            Err(DiskError::Missing) if held == 0 => {
                segment.file = SegmentFile::Awaited;
                self.create_first(base_offset, cx);
            }
            Ok(DiskOutcome::Opened { len, .. }) => {
                self.go_offline(OfflineReason::Corrupt { path, position: len }, cx);
            }
            other => {
                let error = other.err().unwrap_or(DiskError::Io(0));
                segment.file = SegmentFile::Closed;
                let is_written_to = is_active && self.written < self.tail.end();
                let lacks_descriptor = error == DiskError::TooManyFiles;
                if is_written_to && lacks_descriptor {
                    self.on_shortage(error, cx);
                } else if is_written_to {
                    return self.go_offline(OfflineReason::FileFailed { path, error }, cx);
                } else if !(lacks_descriptor && self.refusal_told) {
                    self.refusal_told = lacks_descriptor;
                    self.notice(NoticeLevel::Error, cx, format_args!("{path} cannot be opened: {error}"));
                }
                // Whoever reads there fails, the log goes on.
                self.fail_blocked(base_offset, &ReadError::Failed(error));
            }
        }
    }

    /// Makes the active segment an older one and begins the next.
    pub(crate) fn roll(&mut self, cx: &mut LogCx<'_>) {
        let mut segment = Segment::new(
            self.log_end_offset,
            self.tail.end(),
            cx.now.wall,
            self.settings.index_interval_bytes,
        );
        segment.named_next = true;
        match std::mem::replace(&mut self.next, NextSegment::None) {
            NextSegment::Ready { file, len } => segment.on_opened(file, len),
            other => self.next = other,
        }
        self.segments.push_back(segment);
        self.changes += 1;
        self.closed = true;
        self.name_next(cx);
        self.prepare_ahead(cx);
    }

    /// Gives `next.log`, once it is a segment, that segment's name.
    pub(crate) fn name_next(&mut self, cx: &mut LogCx<'_>) {
        if self.jobs.iter().any(|(_, job)| matches!(job, Job::NameNext { .. })) {
            return;
        }
        let Some(segment) = self.segments.iter().find(|segment| segment.named_next) else { return };
        if segment.handle().is_none() {
            return;
        }
        let base_offset = segment.base_offset;
        let op = DiskOp::Rename {
            from: segment.path(&self.dir),
            to: format!("{}/{}", self.dir, crate::segment::log_name(base_offset)),
        };
        self.start(Job::NameNext { base_offset }, op, cx);
    }

    pub(crate) fn on_next_named(
        &mut self,
        base_offset: Offset,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        match result {
            Ok(_) => {
                if let Some(segment) = self.segment_mut(base_offset) {
                    segment.named_next = false;
                }
                self.publish_captured();
                self.on_room(cx);
                self.prepare_ahead(cx);
            }
            Err(error) if error.is_shortage() => self.on_shortage(error, cx),
            Err(error) => {
                let path = format!("{}/{NEXT_NAME}", self.dir);
                self.go_offline(OfflineReason::FileFailed { path, error }, cx);
            }
        }
    }

    /// Starts what should be prepared by now. Cheap when there is nothing to do.
    pub(crate) fn prepare_ahead(&mut self, cx: &mut LogCx<'_>) {
        if self.lacks_space() || self.state != LogState::Online {
            return;
        }
        self.zero_ahead(cx);
        if self.short_of.is_some() {
            return;
        }
        let Some(active) = self.segments.back() else { return };
        let awaited = active.awaits_next();
        let nearly_full = u64::from(active.size) * 4 >= u64::from(self.settings.segment_bytes) * 3;
        if !matches!(self.next, NextSegment::None) || !(awaited || nearly_full) {
            return;
        }
        let name_free = awaited || self.segments.iter().all(|segment| !segment.named_next);
        let name_taken = self.segments.iter().any(|segment| segment.named_next && segment.handle().is_some());
        if name_free && !name_taken {
            self.prepare_next(cx);
        }
    }

    /// Extends the zeros in the segment that commits go to. Not when large commits have caught up with them: zeros would
    /// take half of what the disk can do from writers that need all of it, so commits extend the file themselves.
    fn zero_ahead(&mut self, cx: &mut LogCx<'_>) {
        let Some(active) = self.segments.back() else { return };
        let ahead = active.prepared.saturating_sub(u64::from(active.size));
        if !self.commits_extend() || self.largest_commit() <= ahead {
            self.zero_step(cx);
        }
    }

    /// Bytes of the last commit or, if that is more, of the next.
    fn largest_commit(&self) -> u64 {
        self.commit_bytes.max(self.tail.end() - self.written)
    }

    /// Whether commits are of a size that may extend the file.
    fn commits_extend(&self) -> bool {
        self.largest_commit() >= EXTENDING_BYTES_MIN
    }

    /// Starts the next zeros, if any are wanted and none are under way.
    fn zero_step(&mut self, cx: &mut LogCx<'_>) {
        let cap = self.segment_bytes();
        let Some(active) = self.segments.back_mut() else { return };
        let Some(file) = active.handle().cloned() else { return };
        if active.zeroing.is_some() {
            return;
        }
        let ahead = active.prepared.saturating_sub(u64::from(active.size));
        if ahead < (active.prepared / 2).min(AHEAD_BYTES_MAX / 2) {
            let wanted = active.prepared + active.prepared.clamp(FIRST_BYTES, AHEAD_BYTES_MAX);
            active.prepare_to = active.prepare_to.max(wanted.min(cap));
        }
        if active.prepare_to <= active.prepared {
            return;
        }
        let base_offset = active.base_offset;
        let step = block_floor(ahead / 4).clamp(ZERO_STEP_BYTES_MIN, ZERO_STEP_BYTES);
        let (offset, len) = (active.prepared, step.min(active.prepare_to - active.prepared));
        let token =
            self.start(Job::Zero { base_offset, offset, len }, DiskOp::Zero { file, offset, len }, cx);
        if let Some(active) = self.segment_mut(base_offset) {
            active.zeroing = Some(token);
        }
    }

    pub(crate) fn on_zeroed(
        &mut self,
        base_offset: Offset,
        (offset, len): (u64, u64),
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        if let Some(segment) = self.segment_mut(base_offset) {
            segment.zeroing = None;
            // Not where a commit in front of them, which was to extend the file, has found no room.
            if result.is_ok() && offset <= segment.prepared {
                segment.prepared = segment.prepared.max(offset + len);
            } else {
                segment.prepare_to = segment.prepared;
            }
        }
        match result {
            Ok(_) => {
                if self.lacks_space() {
                    self.on_room(cx);
                }
                self.prepare_ahead(cx);
            }
            Err(DiskError::NoSpace) => self.on_shortage(DiskError::NoSpace, cx),
            // Nobody knows what stands ahead of the tail now.
            Err(error) => return self.go_offline(OfflineReason::WriteFailed(error), cx),
        }
        self.start_commit(cx);
    }

    fn prepare_next(&mut self, cx: &mut LogCx<'_>) {
        self.next = NextSegment::Preparing;
        let to = format!("{}/{NEXT_NAME}", self.dir);
        let cap = self.segment_bytes();
        match cx.pool.take(FIRST_BYTES.min(cap), cap) {
            Some((from, _)) => {
                self.start(Job::Next(NextStep::Rename), DiskOp::Rename { from, to }, cx);
            }
            None => self.create_next(cx),
        }
    }

    fn create_next(&mut self, cx: &mut LogCx<'_>) {
        let path = format!("{}/{NEXT_NAME}", self.dir);
        let last = self.segments.iter().rev().take(2).map(|segment| u64::from(segment.size));
        // Commits that extend the file need no zeros, and a roll that waits for them is felt.
        let awaited = self.segments.back().is_some_and(Segment::awaits_next);
        let size = if awaited || self.commits_extend() { 0 } else { last.max().unwrap_or(0) };
        let bytes = block_ceil(size).clamp(FIRST_BYTES, AHEAD_BYTES_MAX).min(self.segment_bytes());
        self.start(Job::Next(NextStep::Create), DiskOp::CreateSegment { path, bytes }, cx);
    }

    pub(crate) fn on_next(
        &mut self,
        step: NextStep,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let path = format!("{}/{NEXT_NAME}", self.dir);
        match (step, result) {
            (NextStep::Create | NextStep::Open, Ok(DiskOutcome::Opened { file, len })) => {
                self.on_next_ready(file, len, cx);
            }
            (NextStep::Rename, Ok(_)) => {
                self.start(Job::Next(NextStep::Open), DiskOp::OpenSegment { path }, cx);
            }
            (NextStep::Clear, Ok(_)) => self.create_next(cx),
            (_, Err(error)) if error.is_shortage() => {
                self.next = NextSegment::None;
                self.on_shortage(error, cx);
            }
            // What an earlier attempt or an earlier life left behind.
            (NextStep::Create, Err(DiskError::Exists)) | (NextStep::Rename, Err(DiskError::Missing)) => {
                self.start(Job::Next(NextStep::Clear), DiskOp::Remove { path }, cx);
            }
            (_, other) => {
                let error = other.err().unwrap_or(DiskError::Io(0));
                self.go_offline(OfflineReason::FileFailed { path, error }, cx);
            }
        }
    }

    fn on_next_ready(&mut self, file: FileHandle, len: u64, cx: &mut LogCx<'_>) {
        self.on_room(cx);
        let active = self.segments.back_mut().expect("an online log has a segment");
        if active.named_next && matches!(active.file, SegmentFile::Awaited) {
            self.next = NextSegment::None;
            active.on_opened(file, len);
            self.name_next(cx);
            self.start_commit(cx);
        } else {
            self.next = NextSegment::Ready { file, len: block_floor(len) };
        }
    }

    /// Something that needed what is short got it.
    fn on_room(&mut self, cx: &mut LogCx<'_>) {
        let again = match self.short_of.take() {
            None => return,
            Some(DiskError::TooManyFiles) => "files can be opened again",
            Some(_) => "there is space again",
        };
        self.notice(NoticeLevel::Info, cx, format_args!("{again}"));
    }

    /// Whether it is this log's turn to ask for a descriptor again: one that is refused costs some 50 us, and thousands of
    /// logs may be. To be asked once a tick.
    pub(crate) fn is_retry_due(&mut self) -> bool {
        self.retry_ticks = self.retry_ticks.wrapping_add(1);
        self.retry_ticks.wrapping_add(self.slot).is_multiple_of(DESCRIPTOR_RETRY_TICKS)
    }

    /// Tries again what found no room, or no descriptor.
    pub(crate) fn retry_room(&mut self, cx: &mut LogCx<'_>) {
        if self.short_of.is_none() || (!self.lacks_space() && !self.is_retry_due()) {
            return;
        }
        // Asks for exactly one thing, whose success ends the refusal; its failure leaves everything as it is.
        let fileless = self
            .segments
            .iter()
            .find(|segment| matches!(segment.file, SegmentFile::Awaited) && !segment.named_next);
        if let Some(segment) = fileless {
            let (base_offset, path) = (segment.base_offset, segment.path(&self.dir));
            let waits = self
                .jobs
                .iter()
                .any(|(_, job)| matches!(job, Job::CreateFirst { .. } | Job::ClearFirst { .. }));
            if !waits {
                self.start(Job::ClearFirst { base_offset }, DiskOp::Remove { path }, cx);
            }
            return;
        }
        let waits = self.jobs.iter().any(|(_, job)| {
            matches!(job, Job::Zero { .. } | Job::Next(_) | Job::NameNext { .. } | Job::Open { .. })
        });
        if waits {
            return;
        }
        if self.segments.iter().any(|segment| segment.named_next && segment.handle().is_some()) {
            return self.name_next(cx);
        }
        let lacks_space = self.lacks_space();
        let closed = self.segments.back().filter(|active| matches!(active.file, SegmentFile::Closed));
        if let Some(base_offset) = closed.map(|active| active.base_offset).filter(|_| !lacks_space) {
            return self.open_segment(base_offset, cx);
        }
        let cap = self.segment_bytes();
        let active = self.segments.back_mut().expect("an online log has a segment");
        if lacks_space && active.handle().is_some() && active.prepared < cap {
            active.prepare_to = active.prepare_to.max((active.prepared + FIRST_BYTES).min(cap));
            self.zero_step(cx);
        } else if matches!(self.next, NextSegment::None) {
            self.prepare_next(cx);
        } else {
            self.on_room(cx);
        }
    }

    /// Ends the life of segments as commit targets once they are written: stores their index.
    pub(crate) fn on_segments_written(&mut self, cx: &mut LogCx<'_>) {
        let sealed_count = self.segments.len().saturating_sub(1);
        let i = self.segments.partition_point(|segment| segment.end() < self.written);
        if i < sealed_count && self.segments[i].end() == self.written {
            self.last_block = crate::log::LastBlock::Known(bytes::Bytes::new());
            self.store_index(i, cx);
            self.start_sync(i, cx);
            self.close_sealed();
        }
    }

    /// When the broker stops: stores the active segment's index, once everything it speaks of is in the file.
    pub(crate) fn store_last_index(&mut self, cx: &mut LogCx<'_>) {
        if self.stopping && self.state == LogState::Online && self.written == self.tail.end() {
            self.store_index(self.segments.len() - 1, cx);
        }
    }

    /// Stores a segment's index beside it, if all of it is in memory. Not while another file has the segment's name: after
    /// a crash the index might be taken for that one's.
    pub(crate) fn store_index(&mut self, i: usize, cx: &mut LogCx<'_>) {
        let segment = &mut self.segments[i];
        if segment.cleaned.is_some() {
            return;
        }
        let IndexState::Whole(index) = &mut segment.index else { return };
        if index.end_position() == 0 {
            return;
        }
        index.thin(INDEX_INTERVAL_SEALED);
        let mut data = Vec::new();
        index.encode(&mut data);
        let base_offset = segment.base_offset;
        let path = format!("{}/{}", self.dir, crate::segment::index_name(base_offset));
        self.start(Job::StoreIndex { base_offset }, DiskOp::WriteFile { path, data: data.into() }, cx);
    }
}

/// Bytes between index entries of a sealed segment: a look-up there costs a disk read anyway.
const INDEX_INTERVAL_SEALED: u32 = 64 << 10;
