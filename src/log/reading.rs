//! Reads of batches: from the tail's memory, else from the segments.
//!
//! A read of history starts at a batch and, where that is cheap, ends at one: the segment's index knows batch borders.
//! So the range can be sent from the page cache without anybody having looked at it, and the next read of the same
//! consumer starts at a place that is known. Only the first read of a consumer searches: it goes through headers from
//! the index entry before its offset.
//!
//! ```text
//! file open? --no--> open it          (others that wait for it go on too)
//! index there? --no--> load or rebuild it
//! place known? --no--> Locate: headers from the index entry on
//! Fetch: resident in the page cache --> a range of the file; else --> bytes
//! ```

use core::time::Duration;

use bytes::Bytes;
use corelane_base::id::Offset;
use corelane_base::time::Mono;

use crate::batch;
use crate::disk::{DiskError, DiskOp, DiskOutcome, FileHandle};
use crate::error::ReadError;
use crate::log::{Job, Log, LogCx, LogRead, LogSlice, LogState, ReadStart, ReadTicket};
use crate::segment::{IndexState, SegmentFile};
use crate::waiting::{Place, Step, Wait, Want};

/// Bytes read to find a batch by headers.
const LOCATE_BYTES: u32 = 16 << 10;
/// How far ahead of a sequential reader the disk may read, in reads of its size, and at most.
const READ_AHEAD_READS: u32 = 4;
const READ_AHEAD_BYTES_MAX: u32 = 8 << 20;
/// Segments but the active one whose file is open or whose index is in memory.
const SEALED_OPEN_MAX: usize = 8;
/// After how long nobody is taken to read a sealed segment any more.
const SEALED_UNUSED: Duration = Duration::from_secs(60);

impl Log {
    /// Reads batches from the one that holds `offset` up to `end` (exclusive: the high watermark or the last stable
    /// offset; at most `flushed_offset`). At most `bytes_max` bytes, but the first batch whole if `whole_first_batch`.
    pub fn read(
        &mut self,
        offset: Offset,
        end: Offset,
        bytes_max: u32,
        whole_first_batch: bool,
        cx: &mut LogCx<'_>,
    ) -> ReadStart {
        match self.state {
            LogState::Opening => return ReadStart::Failed(ReadError::Opening),
            LogState::Offline(_) => return ReadStart::Failed(ReadError::Offline),
            LogState::Online => {}
        }
        if offset < self.log_start_offset || offset > self.log_end_offset {
            return ReadStart::OutOfRange;
        }
        let end = end.min(self.flushed_offset);
        if offset >= end || (bytes_max == 0 && !whole_first_batch) {
            return ReadStart::Empty;
        }
        if self.tail.first_offset().is_some_and(|first| first <= offset) {
            return self.read_tail(offset, end, bytes_max, whole_first_batch);
        }
        let want = Want::Batches { offset, end, bytes_max, whole_first_batch };
        let ticket = self.reading.ticket();
        let mut wait = Wait { ticket, want, step: Step::Blocked };
        match self.step_read(&mut wait, cx) {
            None => {
                self.reading.waits.push(wait);
                ReadStart::Pending(ReadTicket(ticket))
            }
            Some(Ok(read)) => ReadStart::Ready(read),
            Some(Err(ReadError::OutOfRange)) => ReadStart::OutOfRange,
            Some(Err(error)) => ReadStart::Failed(error),
        }
    }

    fn read_tail(&self, offset: Offset, end: Offset, bytes_max: u32, whole_first_batch: bool) -> ReadStart {
        let from = self.tail.address_of(offset).expect("the tail holds the offset");
        let until = self.tail.address_of_end(end);
        let to = self.tail.border(from, u64::from(bytes_max), until);
        if to - from > u64::from(bytes_max) && !whole_first_batch {
            return ReadStart::Empty;
        }
        let parts = self.tail.slices(from, to).into_iter().map(LogSlice::Memory).collect();
        ReadStart::Ready(LogRead { parts, bytes: to - from })
    }

    /// Takes in the completion of a waiting read's or look-up's own operation.
    pub(crate) fn on_read(
        &mut self,
        ticket: u64,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) {
        let Some(mut wait) = self.reading.take(ticket) else { return };
        if matches!(wait.step, Step::Stale) {
            wait.step = Step::Blocked;
            self.reading.waits.push(wait);
            return self.step_reading(cx);
        }
        match wait.want {
            Want::Batches { .. } => match self.on_read_step(&mut wait, result, cx) {
                Some(done) => self.progress.reads.push((ReadTicket(ticket), done)),
                None => self.reading.waits.push(wait),
            },
            Want::Time { .. } | Want::LargestTime { .. } => {
                match self.on_search_step(&mut wait, result, cx) {
                    Some(done) => self.progress.lookups.push((ReadTicket(ticket), done)),
                    None => self.reading.waits.push(wait),
                }
            }
        }
    }

    /// Goes on with everything that waited for a file or an index.
    pub(crate) fn step_reading(&mut self, cx: &mut LogCx<'_>) {
        let blocked: Vec<u64> = self
            .reading
            .waits
            .iter()
            .filter(|wait| matches!(wait.step, Step::Blocked))
            .map(|wait| wait.ticket)
            .collect();
        for ticket in blocked {
            let Some(mut wait) = self.reading.take(ticket) else { continue };
            match wait.want {
                Want::Batches { .. } => match self.step_read(&mut wait, cx) {
                    Some(done) => self.progress.reads.push((ReadTicket(ticket), done)),
                    None => self.reading.waits.push(wait),
                },
                Want::Time { .. } | Want::LargestTime { .. } => match self.step_search(&mut wait, cx) {
                    Some(done) => self.progress.lookups.push((ReadTicket(ticket), done)),
                    None => self.reading.waits.push(wait),
                },
            }
        }
    }

    pub(crate) fn fail_reading(&mut self, error: &ReadError) {
        for wait in self.reading.waits.drain(..) {
            match wait.want {
                Want::Batches { .. } => {
                    self.progress.reads.push((ReadTicket(wait.ticket), Err(error.clone())))
                }
                Want::Time { .. } | Want::LargestTime { .. } => {
                    self.progress.lookups.push((ReadTicket(wait.ticket), Err(error.clone())));
                }
            }
        }
    }

    /// The segment that holds `offset`, by its base offset.
    pub(crate) fn segment_of(&self, offset: Offset) -> Option<Offset> {
        let i = self.segments.partition_point(|segment| segment.base_offset <= offset);
        Some(self.segments[i.checked_sub(1)?].base_offset)
    }

    /// A segment's open file; `None` while it is being opened.
    pub(crate) fn ready_file(&mut self, base_offset: Offset, cx: &mut LogCx<'_>) -> Option<FileHandle> {
        let now = cx.now.mono;
        let segment = self.segment_mut(base_offset)?;
        segment.used = now;
        match &segment.file {
            SegmentFile::Open(file) => Some(file.clone()),
            SegmentFile::Closed => {
                self.open_segment(base_offset, cx);
                self.close_sealed();
                None
            }
            SegmentFile::Awaited | SegmentFile::Opening => None,
        }
    }

    pub(crate) fn fail_blocked(&mut self, base_offset: Offset, failure: &ReadError) {
        let failed: Vec<u64> = self
            .reading
            .waits
            .iter()
            .filter(|wait| matches!(wait.step, Step::Blocked))
            .filter(|wait| match wait.want {
                Want::Batches { offset, .. } => self.segment_of(offset) == Some(base_offset),
                Want::Time { .. } | Want::LargestTime { .. } => true,
            })
            .map(|wait| wait.ticket)
            .collect();
        for ticket in failed {
            let Some(wait) = self.reading.take(ticket) else { continue };
            match wait.want {
                Want::Batches { .. } => self.progress.reads.push((ReadTicket(ticket), Err(failure.clone()))),
                Want::Time { .. } | Want::LargestTime { .. } => {
                    self.progress.lookups.push((ReadTicket(ticket), Err(failure.clone())));
                }
            }
        }
    }

    /// Closes the sealed segments that were not used for longest, beyond a bound.
    pub(crate) fn close_sealed(&mut self) {
        let written = self.written;
        let sealed_count = self.segments.len().saturating_sub(1);
        let mut open: Vec<_> = self
            .segments
            .iter()
            .take(sealed_count)
            .filter(|segment| segment.end() <= written && segment.may_close())
            .filter(|segment| segment.handle().is_some() || matches!(segment.index, IndexState::Whole(_)))
            .map(|segment| (segment.used, segment.base_offset))
            .collect();
        if open.len() <= SEALED_OPEN_MAX {
            return;
        }
        open.sort_unstable();
        let excess = open.len() - SEALED_OPEN_MAX;
        for (_, base_offset) in open.into_iter().take(excess) {
            if let Some(segment) = self.segment_mut(base_offset) {
                segment.close();
            }
        }
    }

    /// Closes the sealed segments that nobody has read for a while.
    pub(crate) fn close_unused(&mut self, now: Mono) {
        let written = self.written;
        let sealed_count = self.segments.len().saturating_sub(1);
        for segment in self.segments.iter_mut().take(sealed_count) {
            let unused = now.since(segment.used) > SEALED_UNUSED;
            if unused && segment.end() <= written && segment.may_close() {
                segment.close();
            }
        }
    }

    /// How far a segment can be read from its file, and the offset there.
    fn limit(&self, base_offset: Offset) -> Option<(u32, Offset)> {
        let i = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset).ok()?;
        let segment = &self.segments[i];
        let tail_first = self.tail.first();
        if let Some(first_offset) = self.tail.first_offset()
            && segment.start < tail_first
            && tail_first < segment.end()
        {
            return Some(((tail_first - segment.start) as u32, first_offset));
        }
        let end_offset = self.segments.get(i + 1).map_or(self.log_end_offset, |next| next.base_offset);
        assert!(segment.end() <= self.written, "what is not written is in the tail");
        Some((segment.size, end_offset))
    }

    /// Begins a read, or goes on when what it was blocked on has come.
    fn step_read(&mut self, wait: &mut Wait, cx: &mut LogCx<'_>) -> Option<Result<LogRead, ReadError>> {
        let Want::Batches { offset, .. } = wait.want else { return None };
        wait.step = Step::Blocked;
        if offset < self.log_start_offset {
            return Some(Err(ReadError::OutOfRange));
        }
        let Some(segment) = self.segment_of(offset) else { return Some(Err(ReadError::OutOfRange)) };
        let file = self.ready_file(segment, cx);
        if !self.ready_index_of_open(segment, file.is_some(), cx) {
            return None;
        }
        file?;
        if offset == segment {
            return self.fetch(wait, segment, 0, None, cx);
        }
        if let Some(place) = self.reading.place(offset).filter(|place| place.segment == segment) {
            return self.fetch(wait, segment, place.position, None, cx);
        }
        let position = match self.segment_mut(segment).map(|segment| &segment.index) {
            Some(IndexState::Whole(index)) => index.lookup_offset(offset),
            _ => return None,
        };
        self.locate(wait, segment, position, cx)
    }

    /// An index is rebuilt from the file, so the file is opened first.
    pub(crate) fn ready_index_of_open(&mut self, segment: Offset, open: bool, cx: &mut LogCx<'_>) -> bool {
        open && self.ready_index(segment, cx)
    }

    fn locate(
        &mut self,
        wait: &mut Wait,
        segment: Offset,
        position: u32,
        cx: &mut LogCx<'_>,
    ) -> Option<Result<LogRead, ReadError>> {
        let Some((limit, _)) = self.limit(segment) else { return Some(Err(ReadError::OutOfRange)) };
        if position >= limit {
            return Some(Err(ReadError::Corrupt));
        }
        wait.step = Step::Blocked;
        let file = self.ready_file(segment, cx)?;
        wait.step = Step::Locate { segment, position };
        let len = LOCATE_BYTES.min(limit - position);
        self.start(Job::Reading(wait.ticket), DiskOp::Read { file, offset: u64::from(position), len }, cx);
        None
    }

    /// Asks for the answer's bytes from the batch at `position` on, whose size is `first_bytes` if known.
    fn fetch(
        &mut self,
        wait: &mut Wait,
        segment: Offset,
        position: u32,
        first_bytes: Option<u32>,
        cx: &mut LogCx<'_>,
    ) -> Option<Result<LogRead, ReadError>> {
        let Want::Batches { offset, end, bytes_max, whole_first_batch } = wait.want else { return None };
        let Some((limit, limit_offset)) = self.limit(segment) else {
            return Some(Err(ReadError::OutOfRange));
        };
        if position >= limit {
            return Some(Err(ReadError::Corrupt));
        }
        let wanted = position.saturating_add(bytes_max);
        let border = match self.segment_mut(segment).map(|segment| &segment.index) {
            Some(IndexState::Whole(index)) => index.border(wanted).filter(|&(_, border)| border > position),
            _ => None,
        };
        let (to, next_offset) = match (border, first_bytes) {
            _ if wanted >= limit => (limit, Some(limit_offset)),
            (Some((next_offset, border)), _) => (border, Some(next_offset)),
            (None, Some(first)) if first <= bytes_max => (wanted, None),
            (None, Some(first)) if whole_first_batch => (position.saturating_add(first), None),
            (None, Some(_)) => return Some(Ok(LogRead::default())),
            (None, None) => return self.locate(wait, segment, position, cx),
        };
        let to = to.min(limit);
        wait.step = Step::Blocked;
        let file = self.ready_file(segment, cx)?;
        // Without a border that is known to lie before `end`, batches must be looked at before they are shown.
        let trim = next_offset.is_none_or(|next| next > end);
        wait.step = Step::Fetch { segment, position, to, next_offset };
        let len = to - position;
        let sequential = self.reading.place(offset).is_some();
        let ahead_max = len.saturating_mul(READ_AHEAD_READS).min(READ_AHEAD_BYTES_MAX);
        let read_ahead = if sequential { ahead_max.min(limit - to) } else { 0 };
        let offset = u64::from(position);
        let op = if trim {
            DiskOp::Read { file, offset, len }
        } else {
            DiskOp::ReadHistory { file, offset, len, read_ahead }
        };
        self.start(Job::Reading(wait.ticket), op, cx);
        None
    }

    fn on_read_step(
        &mut self,
        wait: &mut Wait,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) -> Option<Result<LogRead, ReadError>> {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return Some(Err(ReadError::Failed(error))),
        };
        match (wait.step, outcome) {
            (Step::Locate { segment, position }, DiskOutcome::Read(bytes)) => {
                self.on_located(wait, segment, position, &bytes, cx)
            }
            (Step::Fetch { segment, position, to, next_offset }, DiskOutcome::Resident) => {
                if let Some(offset) = next_offset {
                    self.reading.note_place(Place { offset, segment, position: to });
                }
                // Closed in between: open it and ask again.
                let Some(file) = self.ready_file(segment, cx) else {
                    wait.step = Step::Blocked;
                    return None;
                };
                let (offset, len) = (u64::from(position), to - position);
                let parts = vec![LogSlice::File { file, offset, len }];
                Some(Ok(LogRead { parts, bytes: u64::from(len) }))
            }
            (Step::Fetch { segment, position, .. }, DiskOutcome::Read(bytes)) => {
                Some(self.on_fetched(wait.want, segment, position, bytes))
            }
            _ => Some(Err(ReadError::Failed(DiskError::Io(0)))),
        }
    }

    fn on_located(
        &mut self,
        wait: &mut Wait,
        segment: Offset,
        position: u32,
        bytes: &Bytes,
        cx: &mut LogCx<'_>,
    ) -> Option<Result<LogRead, ReadError>> {
        let Want::Batches { offset, .. } = wait.want else { return None };
        let mut at = 0;
        loop {
            let header = match batch::peek(bytes.get(at..).unwrap_or_default()) {
                Ok(Some(header)) => header,
                Ok(None) if at > 0 => {
                    let next = u64::from(position) + at as u64;
                    let Ok(next) = u32::try_from(next) else { return Some(Err(ReadError::Corrupt)) };
                    return self.locate(wait, segment, next, cx);
                }
                Ok(None) | Err(_) => return Some(Err(ReadError::Corrupt)),
            };
            if header.last_offset() >= offset {
                let place = u32::try_from(u64::from(position) + at as u64);
                let size = u32::try_from(header.size_bytes());
                let (Ok(place), Ok(size)) = (place, size) else { return Some(Err(ReadError::Corrupt)) };
                return self.fetch(wait, segment, place, Some(size), cx);
            }
            at += header.size_bytes();
        }
    }

    /// Cuts what was read at `end` and behind the last whole batch.
    fn on_fetched(
        &mut self,
        want: Want,
        segment: Offset,
        position: u32,
        bytes: Bytes,
    ) -> Result<LogRead, ReadError> {
        let Want::Batches { offset: wanted, end, .. } = want else { return Err(ReadError::Corrupt) };
        let mut at = 0;
        let mut next = None;
        while let Ok(Some(header)) = batch::peek(&bytes[at..]) {
            if at == 0 && header.last_offset() < wanted {
                return Err(ReadError::Corrupt);
            }
            if at == 0 && header.base_offset() >= end {
                // Compaction has left nothing between the offset asked for and the end.
                return Ok(LogRead::default());
            }
            let behind = at + header.size_bytes();
            if header.base_offset() >= end || behind > bytes.len() {
                break;
            }
            at = behind;
            next = Some(header.next_offset());
        }
        let Some(offset) = next else { return Err(ReadError::Corrupt) };
        self.reading.note_place(Place { offset, segment, position: position + at as u32 });
        Ok(LogRead { parts: vec![LogSlice::Memory(bytes.slice(..at))], bytes: at as u64 })
    }
}
