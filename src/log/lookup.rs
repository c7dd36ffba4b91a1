//! Look-ups by time, record-precise, as Kafka's ListOffsets answers them.
//!
//! Segments know their largest timestamp, their indexes narrow the place down, batch headers are gone through from
//! there, and in the first batch that can hold the answer the records are looked at, compressed or not. Batches in the
//! tail are looked at in memory.

use bytes::Bytes;
use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::{self, BatchHeader};
use crate::disk::{DiskError, DiskOp, DiskOutcome};
use crate::error::ReadError;
use crate::index::MaxTimestamp;
use crate::log::{Job, Log, LogCx, LogState, LookupStart, RECORDS_BYTES_MAX, ReadTicket, TimedOffset};
use crate::records;
use crate::segment::IndexState;
use crate::waiting::{Step, Wait, Want};

/// Bytes read at once in search of a time.
const SEARCH_BYTES: u32 = 128 << 10;

/// A look-up's answer, once it is there.
type Answer = Result<Option<TimedOffset>, ReadError>;

impl Log {
    /// The first record at or after `timestamp` and below `end`, record-precise.
    pub fn offset_for_time(&mut self, timestamp: WallMs, end: Offset, cx: &mut LogCx<'_>) -> LookupStart {
        let end = end.min(self.flushed_offset);
        let from = self.segments.front().map_or(Offset(0), |first| first.base_offset);
        self.start_search(Want::Time { timestamp, end, from }, cx)
    }

    /// The first record with the largest timestamp below `end`.
    pub fn offset_of_max_timestamp(&mut self, end: Offset, cx: &mut LogCx<'_>) -> LookupStart {
        let end = end.min(self.flushed_offset);
        match self.largest_time(end) {
            None => match self.state {
                LogState::Online => LookupStart::Ready(None),
                LogState::Opening => LookupStart::Failed(ReadError::Opening),
                LogState::Offline(_) => LookupStart::Failed(ReadError::Offline),
            },
            Some((segment, max)) => {
                self.start_search(Want::LargestTime { end, segment, position: max.position }, cx)
            }
        }
    }

    /// The segment with the largest timestamp below `end`, and the batch that has it.
    fn largest_time(&self, end: Offset) -> Option<(Offset, MaxTimestamp)> {
        let mut largest: Option<(Offset, MaxTimestamp)> = None;
        for segment in &self.segments {
            // The second, where the first is of a batch that is not flushed yet.
            let maxima = [segment.max_timestamp, segment.flushed_max];
            let Some(max) = maxima.into_iter().flatten().find(|max| max.base_offset < end) else { continue };
            if largest.is_none_or(|(_, known)| max.timestamp > known.timestamp) {
                largest = Some((segment.base_offset, max));
            }
        }
        largest
    }

    fn start_search(&mut self, want: Want, cx: &mut LogCx<'_>) -> LookupStart {
        match self.state {
            LogState::Opening => return LookupStart::Failed(ReadError::Opening),
            LogState::Offline(_) => return LookupStart::Failed(ReadError::Offline),
            LogState::Online => {}
        }
        let ticket = self.reading.ticket();
        let mut wait = Wait { ticket, want, step: Step::Blocked };
        match self.step_search(&mut wait, cx) {
            None => {
                self.reading.waits.push(wait);
                LookupStart::Pending(ReadTicket(ticket))
            }
            Some(Ok(found)) => LookupStart::Ready(found),
            Some(Err(error)) => LookupStart::Failed(error),
        }
    }

    /// Begins a look-up, or goes on when what it was blocked on has come.
    pub(crate) fn step_search(&mut self, wait: &mut Wait, cx: &mut LogCx<'_>) -> Option<Answer> {
        wait.step = Step::Blocked;
        match wait.want {
            Want::Batches { .. } => None,
            Want::LargestTime { segment, position, .. } => {
                self.search_at(wait, segment, position, SEARCH_BYTES, cx)
            }
            Want::Time { timestamp, end, from } => {
                let start = self.log_start_offset;
                let i = self.segments.partition_point(|segment| segment.base_offset < from);
                let candidate = (i..self.segments.len()).find(|&i| {
                    let segment = &self.segments[i];
                    let end = self.segments.get(i + 1).map_or(self.log_end_offset, |next| next.base_offset);
                    end > start && segment.max_timestamp.is_some_and(|max| max.timestamp >= timestamp)
                });
                let Some(i) = candidate else { return Some(Ok(None)) };
                let (segment, address) = (self.segments[i].base_offset, self.segments[i].start);
                if segment >= end {
                    return Some(Ok(None));
                }
                if address >= self.tail.first() {
                    return Some(self.search_tail(wait.want, address));
                }
                let open = self.ready_file(segment, cx).is_some();
                if !self.ready_index_of_open(segment, open, cx) {
                    return None;
                }
                let position = match self.segment_mut(segment).map(|segment| &segment.index) {
                    Some(IndexState::Whole(index)) => index.lookup_time(timestamp),
                    _ => return None,
                };
                // The segment says it has such a record; an index that does not know of it is no help.
                self.search_at(wait, segment, position.unwrap_or(0), SEARCH_BYTES, cx)
            }
        }
    }

    /// Looks on from a batch's start in a segment: in memory, or by reading `len` bytes.
    fn search_at(
        &mut self,
        wait: &mut Wait,
        segment: Offset,
        position: u32,
        len: u32,
        cx: &mut LogCx<'_>,
    ) -> Option<Answer> {
        let tail_first = self.tail.first();
        let Some(known) = self.segment_mut(segment) else { return self.search_elsewhere(wait, cx) };
        let address = known.start + u64::from(position);
        if address >= tail_first && position < known.size {
            return Some(self.search_tail(wait.want, address));
        }
        if position >= known.size {
            return self.search_behind(wait, segment, cx);
        }
        let until = known.file_end(tail_first);
        wait.step = Step::Blocked;
        let file = self.ready_file(segment, cx)?;
        wait.step = Step::Search { segment, position };
        let len = len.min(until - position);
        self.start(Job::Reading(wait.ticket), DiskOp::Read { file, offset: u64::from(position), len }, cx);
        None
    }

    /// The segment is gone by now: what is left of the log is looked at anew.
    fn search_elsewhere(&mut self, wait: &mut Wait, cx: &mut LogCx<'_>) -> Option<Answer> {
        match wait.want {
            Want::Time { .. } => self.step_search(wait, cx),
            Want::Batches { .. } => Some(Ok(None)),
            Want::LargestTime { end, .. } => {
                let Some((segment, max)) = self.largest_time(end) else { return Some(Ok(None)) };
                wait.want = Want::LargestTime { end, segment, position: max.position };
                self.step_search(wait, cx)
            }
        }
    }

    /// Nothing in this segment: on with the next.
    fn search_behind(&mut self, wait: &mut Wait, segment: Offset, cx: &mut LogCx<'_>) -> Option<Answer> {
        match &mut wait.want {
            Want::Time { from, .. } => {
                *from = segment.plus(1);
                self.step_search(wait, cx)
            }
            Want::LargestTime { .. } | Want::Batches { .. } => Some(Err(ReadError::Corrupt)),
        }
    }

    fn search_tail(&self, want: Want, address: u64) -> Answer {
        let mut borders = self.tail.borders_from(address).peekable();
        while let Some(at) = borders.next() {
            let behind = borders.peek().copied().unwrap_or(self.tail.end());
            if let Want::Time { end, .. } = want
                && self.tail.offset_at(at, self.log_end_offset) >= end
            {
                return Ok(None);
            }
            // Below `end` everything is frozen; a largest time is looked for at a batch below its `end`.
            let batch: Bytes = self.tail.slices(at, behind).into_iter().next().unwrap_or_default();
            let Ok(Some(header)) = batch::peek(&batch) else { return Err(ReadError::Corrupt) };
            match self.look_into(want, &header, &batch)? {
                Looked::Found(found) => return Ok(Some(found)),
                Looked::End => return Ok(None),
                Looked::NotHere => {}
            }
        }
        Ok(None)
    }

    pub(crate) fn on_search_step(
        &mut self,
        wait: &mut Wait,
        result: Result<DiskOutcome, DiskError>,
        cx: &mut LogCx<'_>,
    ) -> Option<Answer> {
        let (Step::Search { segment, position }, Ok(DiskOutcome::Read(bytes))) = (wait.step, &result) else {
            return Some(Err(ReadError::Failed(result.err().unwrap_or(DiskError::Io(0)))));
        };
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let place = position.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            let header = match batch::peek(rest) {
                Ok(Some(header)) => header,
                Ok(None) if at > 0 => return self.search_at(wait, segment, place, SEARCH_BYTES, cx),
                Ok(None) | Err(_) => return Some(Err(ReadError::Corrupt)),
            };
            let size = header.size_bytes();
            if !self.may_hold(wait.want, &header) {
                if let Want::Time { end, .. } = wait.want
                    && header.base_offset() >= end
                {
                    return Some(Ok(None));
                }
                at += size;
                continue;
            }
            if rest.len() < size {
                // A batch lies within its segment; one that claims more would be read for ever.
                let tail_first = self.tail.first();
                let Some(known) = self.segment_mut(segment) else { return self.search_elsewhere(wait, cx) };
                let within = |len: &u32| *len <= known.file_end(tail_first).saturating_sub(place);
                let Some(len) = u32::try_from(size).ok().filter(within) else {
                    return Some(Err(ReadError::Corrupt));
                };
                return self.search_at(wait, segment, place, len.max(SEARCH_BYTES), cx);
            }
            match self.look_into(wait.want, &header, &rest[..size]) {
                Err(error) => return Some(Err(error)),
                Ok(Looked::Found(found)) => return Some(Ok(Some(found))),
                Ok(Looked::End) => return Some(Ok(None)),
                Ok(Looked::NotHere) => at += size,
            }
        }
    }

    fn may_hold(&self, want: Want, header: &BatchHeader) -> bool {
        match want {
            Want::Time { timestamp, end, .. } => {
                header.base_offset() < end
                    && header.max_timestamp() >= timestamp
                    && header.last_offset() >= self.log_start_offset
            }
            Want::LargestTime { .. } => true,
            Want::Batches { .. } => false,
        }
    }

    fn look_into(&self, want: Want, header: &BatchHeader, batch: &[u8]) -> Result<Looked, ReadError> {
        if !self.may_hold(want, header) {
            return Ok(Looked::NotHere);
        }
        let leader_epoch = header.leader_epoch();
        let found = match want {
            Want::LargestTime { .. } => records::max_timestamp_record(batch, RECORDS_BYTES_MAX),
            Want::Time { timestamp, .. } => {
                records::first_at_or_after(batch, timestamp, self.log_start_offset, RECORDS_BYTES_MAX)
            }
            Want::Batches { .. } => return Ok(Looked::End),
        };
        match (found, want) {
            (Err(_), _) => Err(ReadError::Corrupt),
            (Ok(None), Want::LargestTime { .. }) => Ok(Looked::End),
            (Ok(None), _) => Ok(Looked::NotHere),
            (Ok(Some((offset, _))), Want::Time { end, .. }) if offset >= end => Ok(Looked::End),
            (Ok(Some((offset, timestamp))), _) => {
                Ok(Looked::Found(TimedOffset { offset, timestamp, leader_epoch }))
            }
        }
    }
}

/// What a batch had to say.
enum Looked {
    /// The answer.
    Found(TimedOffset),
    /// Nothing: on with the next.
    NotHere,
    /// There is no answer.
    End,
}
