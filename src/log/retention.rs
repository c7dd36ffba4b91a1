//! What disappears: retention by time and size, DeleteRecords; and what happens about once a second: rolls by time,
//! expiry of producers, deleted segments' files.
//!
//! Only whole segments go, from the front. Their files become spares of the shard's pool, but not before a checkpoint
//! is stored that does not count on them: recovery rebuilds the producers' state from the checkpoint and the batches
//! behind it. On a full disk that may not be possible; then the files go at once, and after a crash recovery takes the
//! missing front of the log for what it is, and forgets the producers.

use corelane_base::id::Offset;

use crate::error::ReadError;
use crate::log::{Doomed, Log, LogCx, LogState};
use crate::segment::{Segment, SegmentFile};
use crate::settings::NoticeLevel;

impl Log {
    /// Raises `log_start_offset` to `before` (at most `flushed_offset`); answers what it is then. It never falls.
    /// Durability: once `start_stored` has come so far. Errors: `OutOfRange` beyond `flushed_offset`.
    pub fn delete_records(&mut self, before: Offset, cx: &mut LogCx<'_>) -> Result<Offset, ReadError> {
        match self.state {
            LogState::Opening => return Err(ReadError::Opening),
            LogState::Offline(_) => return Err(ReadError::Offline),
            LogState::Online => {}
        }
        if before > self.flushed_offset || before.0 < 0 {
            return Err(ReadError::OutOfRange);
        }
        self.raise_start(before, cx);
        self.sync_if_wanted(false, cx);
        Ok(self.log_start_offset)
    }

    /// Rolls by time, preparation of the next segment, expiry of producers, another attempt at what was short. Cheap;
    /// about once a second.
    pub fn tick(&mut self, cx: &mut LogCx<'_>) {
        self.give_up(cx);
        self.retry_recovery(cx);
        if self.state != LogState::Online {
            return;
        }
        self.producers.expire(cx.now.wall, self.settings.producer_id_expiration_ms);
        self.retry_room(cx);
        self.roll_by_time(cx);
        self.drop_deleted(cx);
        self.release_doomed(cx);
        self.release_replaced(cx);
        self.sync_if_wanted(true, cx);
        self.prepare_ahead(cx);
        self.close_unused(cx.now.mono);
    }

    /// Retention by time and size: each `log.retention.check.interval.ms`. Returns whether `log_start_offset` has grown.
    pub fn retain(&mut self, cx: &mut LogCx<'_>) -> bool {
        if self.state != LogState::Online || !self.settings.deletes {
            return false;
        }
        let before = self.log_start_offset;
        self.retain_by_time(cx);
        self.retain_by_size(cx);
        self.release_doomed(cx);
        self.log_start_offset != before
    }

    /// A segment whose records are older than `segment.ms` is rolled though nothing arrives, so that retention and
    /// compaction get at it.
    fn roll_by_time(&mut self, cx: &mut LogCx<'_>) {
        let active = self.segments.back().expect("an online log has a segment");
        let since = active.first_timestamp.unwrap_or(active.created);
        let old = cx.now.wall.0.saturating_sub(since.0.max(active.created.0)) > self.settings.segment_ms;
        let filed = !matches!(active.file, SegmentFile::Awaited);
        if active.size > 0 && old && filed && self.short_of.is_none() {
            self.roll(cx);
        }
    }

    fn retain_by_time(&mut self, cx: &mut LogCx<'_>) {
        let retention_ms = self.settings.retention_ms;
        if retention_ms < 0 {
            return;
        }
        let now = cx.now.wall.0;
        let expired = |segment: &Segment| now.saturating_sub(segment.newest().0) > retention_ms;
        let flushed = |segment: &Segment, log: &Log| segment.end() <= log.written;
        let count = self
            .segments
            .iter()
            .take_while(|segment| segment.size > 0 && expired(segment) && flushed(segment, self))
            .count();
        if count == 0 {
            return;
        }
        if count == self.segments.len() {
            let active = self.segments.back().expect("an online log has a segment");
            if matches!(active.file, SegmentFile::Awaited) || self.short_of.is_some() {
                return;
            }
            self.roll(cx);
        }
        let start = self.segments[count].base_offset;
        if start <= self.flushed_offset {
            self.raise_start(start, cx);
        }
    }

    fn retain_by_size(&mut self, cx: &mut LogCx<'_>) {
        let Ok(retention_bytes) = u64::try_from(self.settings.retention_bytes) else { return };
        let mut size = self.size_bytes();
        let mut start = None;
        for pair in 0..self.segments.len().saturating_sub(1) {
            let segment = &self.segments[pair];
            // As Kafka: a segment goes only if what is left still has the size.
            if size < retention_bytes + u64::from(segment.size) || segment.end() > self.written {
                break;
            }
            size -= u64::from(segment.size);
            start = Some(self.segments[pair + 1].base_offset);
        }
        if let Some(start) = start.filter(|&start| start <= self.flushed_offset) {
            self.raise_start(start, cx);
        }
    }

    fn raise_start(&mut self, start: Offset, cx: &mut LogCx<'_>) {
        if start <= self.log_start_offset {
            return;
        }
        self.log_start_offset = start;
        self.epochs.trim_start(start);
        self.changes += 1;
        self.drop_deleted(cx);
    }

    /// Takes out the segments below `log_start_offset` that nothing is under way with. Not before they are synced: until
    /// a checkpoint without them is stored, recovery goes through them, and what it finds damaged ends the log.
    fn drop_deleted(&mut self, cx: &mut LogCx<'_>) {
        while self.segments.len() > 1
            && self.segments[1].base_offset <= self.log_start_offset
            && self.segments[0].end() <= self.written
            && self.segments[0].is_synced()
            && self.segments[0].has_name()
        {
            let segment = self.segments.pop_front().expect("there are two");
            self.changes += 1;
            self.tail.forget(segment.end());
            self.deleted = (self.deleted.0 + 1, self.deleted.1 + u64::from(segment.size));
            self.notice(
                NoticeLevel::Info,
                cx,
                format_args!("segment {} with {} bytes is deleted", segment.base_offset, segment.size),
            );
            self.doomed.push_back(Doomed {
                base_offset: segment.base_offset,
                len: segment.prepared.max(u64::from(segment.size)),
                watches: segment.watches,
                change: self.changes,
            });
        }
    }

    /// Lets go of deleted segments' files, once no stored checkpoint counts on them, or when room is short.
    fn release_doomed(&mut self, cx: &mut LogCx<'_>) {
        let stored = self.stored.changes;
        // A log whose active segment has no file yet keeps one: it is all that tells recovery which offsets were given.
        let awaited = self.segments.back().is_some_and(|active| matches!(active.file, SegmentFile::Awaited));
        let spare_count = usize::from(awaited);
        while self.doomed.front().is_some_and(|doomed| {
            doomed.change <= stored || (self.lacks_space() && self.doomed.len() > spare_count)
        }) {
            let Some(doomed) = self.doomed.pop_front() else { return };
            cx.pool.recycle(&self.dir, doomed.base_offset, doomed.len, doomed.watches, cx.disk);
        }
    }
}
