//! Relaxed durability: which written bytes are not on stable storage yet, and when they are brought there.
//!
//! With `Durability::Sync` every commit is synced and nothing here ever happens. With the others a commit completes
//! without a sync, and a power failure may take any of what was written so, in any order of sectors. Two things must
//! not be taken in by that:
//!
//! - A checkpoint vouches for all bytes before its end: recovery does not read them. So they are synced first, segment
//!   by segment, when a segment is full and when a checkpoint waits for it.
//! - Recovery holds damage in front of the last write for a failing disk and takes the log offline, unless it knows that
//!   the log was relaxed; then it cuts. The setting does not tell: it may have changed since. The checkpoint does. So a
//!   commit goes without its sync only while the last checkpoint, stored and under way, says `relaxed`.
//!
//! What the caller is promised follows the setting at the time: see `Log::on_written`.

use corelane_base::id::Offset;

use crate::disk::{DiskError, DiskOp, DiskOutcome};
use crate::error::OfflineReason;
use crate::log::{Commit, Job, Log, LogCx, LogState};
use crate::settings::Durability;

impl Log {
    /// Whether writes without a sync are asked for, or have been and are not made up for.
    pub(crate) fn is_relaxed(&self) -> bool {
        let under_way = self.commit.as_ref().is_some_and(|commit| !commit.sync);
        self.settings.durability != Durability::Sync || self.unsynced || under_way
    }

    /// Whether a commit may go without its sync: recovery would know.
    pub(crate) fn may_leave_unsynced(&self) -> bool {
        self.stored.relaxed && self.taken.relaxed
    }

    /// Whether everything below the log address `to` is on stable storage.
    pub(crate) fn is_synced(&self, to: u64) -> bool {
        let mut before = self.segments.iter().take_while(|segment| segment.start < to);
        before.all(|segment| segment.is_synced() || segment.start + u64::from(segment.synced_to) >= to)
    }

    /// A commit has completed.
    pub(crate) fn note_synced(&mut self, commit: &Commit) {
        if let Some(segment) = self.segment_mut(commit.base_offset).filter(|_| !commit.sync) {
            segment.unsynced_to = (commit.end - segment.start) as u32;
            self.unsynced = true;
        }
    }

    /// Syncs what something waits for: a checkpoint, a log start, the end, or a setting that has become strict.
    /// `housekeeping`: also for a checkpoint that is due while nothing is being written.
    pub(crate) fn sync_if_wanted(&mut self, housekeeping: bool, cx: &mut LogCx<'_>) {
        if !self.unsynced || self.state != LogState::Online {
            return;
        }
        if housekeeping {
            // Compaction may have put a synced copy in a segment's place.
            self.unsynced = !self.is_synced(self.written);
        }
        let at_rest = self.written == self.tail.end();
        let captured = self.capturing.as_ref().is_some_and(|(_, mark)| mark.written <= self.written);
        let wanted = captured
            || self.settings.durability == Durability::Sync
            || self.log_start_offset > self.start_storable()
            || (self.stopping && at_rest)
            || (housekeeping && at_rest && self.checkpoint_due());
        if wanted {
            for i in 0..self.segments.len() {
                self.start_sync(i, cx);
            }
        }
    }

    /// Syncs what is written of a segment, unless it is synced or a sync is under way.
    pub(crate) fn start_sync(&mut self, i: usize, cx: &mut LogCx<'_>) {
        let segment = &mut self.segments[i];
        if segment.syncing || segment.is_synced() {
            return;
        }
        let file = segment.handle().cloned().expect("a segment is not closed before it is synced");
        segment.syncing = true;
        let (base_offset, to) = (segment.base_offset, segment.unsynced_to);
        self.start(Job::Sync { base_offset, to }, DiskOp::Sync { file }, cx);
    }

    pub(crate) fn on_synced(
        &mut self,
        base_offset: Offset,
        to: u32,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        if let Err(error) = result {
            return self.go_offline(OfflineReason::WriteFailed(error), cx);
        }
        if let Some(segment) = self.segment_mut(base_offset) {
            segment.syncing = false;
            segment.synced_to = to;
        }
        self.unsynced = !self.is_synced(self.written);
        if !self.unsynced && self.settings.durability == Durability::Sync {
            self.flushed_offset = self.flushed_offset.max(self.written_offset);
            self.publish_maxima();
        }
        self.publish_captured();
        self.sync_if_wanted(false, cx);
    }
}
