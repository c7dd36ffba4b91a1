//! Checkpoints of a log that is being written to.
//!
//! A checkpoint must be exact: what it says of producers has to be in the files up to its end, all of it and nothing
//! else, or a retry after a crash is taken for new or a new batch for a retry. Under traffic the state in memory is
//! always ahead of the files. So the state is captured when a commit starts, with everything appended by then, and
//! published when all of that is written. Rejected: leaving out of today's state what is not written yet. What it
//! displaced (a producer's older batches, its former epoch) is gone.

use bytes::Bytes;
use corelane_base::id::Offset;

use crate::checkpoint::{Behind, Checkpoint, CheckpointSegment};
use crate::log::{CheckpointMark, Log, LogState};

/// Bytes behind the last checkpoint that are worth a new one: what a start after a crash reads of a log.
const CHECKPOINT_BYTES: u64 = 64 << 20;

impl Log {
    /// What `open` wants to be given: describes the log up to some offset at or below `flushed_offset`; up to its end
    /// if nothing waits to be written. Of a log that is not online, as much as is known for certain: empty for nothing.
    ///
    /// What is given never falls behind what was given before, so that files may be let go of once a checkpoint without
    /// them is stored.
    #[must_use]
    pub fn checkpoint(&mut self) -> Bytes {
        let online = self.state == LogState::Online;
        let written = self.written == self.tail.end() && !self.unsynced;
        let whole = online && written && self.files_named(self.written);
        if whole {
            self.capture_at_rest();
        }
        let Some((captured, mark)) = &self.snapshot else {
            self.taken = CheckpointMark::default();
            return Bytes::new();
        };
        let relaxed = self.is_relaxed() || (!online && (captured.behind.relaxed || self.stored.relaxed));
        let log_start_offset = self.start_storable().max(captured.log_start_offset);
        self.taken = CheckpointMark { log_start_offset, relaxed, ..*mark };
        captured.encode(log_start_offset, Behind { whole, relaxed }).into()
    }

    /// The log start that is on stable storage: whatever befalls the broker, the log will not start before it.
    #[must_use]
    pub fn start_stored(&self) -> Offset {
        self.stored.log_start_offset
    }

    /// The log start that `checkpoint` would hold now. Never beyond what a power failure leaves: a log that begins
    /// behind its own end could give offsets twice. Never before what is stored already, whatever is unsynced since.
    #[must_use]
    pub fn start_storable(&self) -> Offset {
        let safe = if self.unsynced {
            self.snapshot
                .as_ref()
                .map_or(self.stored.log_start_offset, |(captured, _)| captured.flushed_offset)
        } else {
            self.written_offset
        };
        self.log_start_offset.min(safe.max(self.stored.log_start_offset))
    }

    /// The end that the last stored checkpoint vouches for: not even a power failure takes what lies before it.
    #[must_use]
    pub fn end_stored(&self) -> Offset {
        self.stored.flushed_offset
    }

    /// Whether enough has changed since `checkpoint_stored` that a new checkpoint is worth its bytes.
    #[must_use]
    pub fn checkpoint_due(&self) -> bool {
        self.state == LogState::Online && self.is_behind(self.stored)
    }

    /// Tells that what `checkpoint` gave last is on stable storage.
    pub fn checkpoint_stored(&mut self) {
        let log_start_offset = self.stored.log_start_offset.max(self.taken.log_start_offset);
        self.stored = CheckpointMark { log_start_offset, ..self.taken };
    }

    fn is_behind(&self, mark: CheckpointMark) -> bool {
        self.changes != mark.changes
            || self.is_relaxed() != mark.relaxed
            || self.written.saturating_sub(mark.written) >= CHECKPOINT_BYTES
    }

    /// Whether recovery finds everything below the log address `at` under its segment's name.
    fn files_named(&self, at: u64) -> bool {
        self.segments.iter().all(|segment| !segment.named_next || segment.start >= at)
    }

    /// When nothing is ahead of the files: the state as it is is true of them.
    pub(crate) fn capture_at_rest(&mut self) {
        assert_eq!(self.written, self.tail.end(), "nothing waits to be written");
        self.snapshot = Some(self.capture());
    }

    /// The state as it is, everything appended included.
    fn capture(&self) -> (Checkpoint, CheckpointMark) {
        let segments = self.segments.iter().map(|segment| CheckpointSegment {
            base_offset: segment.base_offset,
            size: segment.size,
            created: segment.created,
            first_timestamp: segment.first_timestamp,
            max_timestamp: segment.max_timestamp,
            cleaned: segment.cleaned,
        });
        let captured = Checkpoint {
            behind: Behind::default(),
            log_start_offset: self.log_start_offset,
            flushed_offset: self.log_end_offset,
            start: self.segments.front().map_or(0, |first| first.start),
            segments: segments.collect(),
            doomed: self.doomed.iter().map(|doomed| doomed.base_offset).collect(),
            cleaned_offset: self.cleaned_offset,
            cleaned_sequence: self.cleaned_sequence,
            replaced: self.replaced.iter().map(|replaced| replaced.base_offset).collect(),
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
        };
        let mark = CheckpointMark {
            written: self.tail.end(),
            changes: self.changes,
            log_start_offset: self.log_start_offset,
            flushed_offset: self.log_end_offset,
            relaxed: self.is_relaxed(),
        };
        (captured, mark)
    }

    /// When a commit starts: captures the state if the last capture is too old.
    pub(crate) fn capture_if_due(&mut self) {
        let known = self.snapshot.as_ref().map_or(self.stored, |(_, mark)| *mark);
        if self.capturing.is_none() && self.is_behind(known) {
            self.capturing = Some(self.capture());
        }
    }

    /// When something has been written or named: publishes what was captured, once it is true of the files.
    pub(crate) fn publish_captured(&mut self) {
        let end = self.capturing.as_ref().map(|(_, mark)| mark.written);
        if let Some(end) = end.filter(|&end| end <= self.written)
            && self.files_named(end)
            && (!self.unsynced || self.is_synced(end))
        {
            let captured = self.capturing.take();
            let newer = |known: CheckpointMark, mark: CheckpointMark| {
                mark.written >= known.written && mark.changes >= known.changes
            };
            let known = self.snapshot.as_ref().map_or(CheckpointMark::default(), |(_, mark)| *mark);
            if captured.as_ref().is_some_and(|(_, mark)| newer(known, *mark)) {
                self.snapshot = captured;
            }
        }
    }
}
