//! The records inside a batch: for time look-ups, compaction, tools and tests. Not for the produce or fetch path.

use std::borrow::Cow;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::{BatchError, BatchHeader};

/// Why a batch's records cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// The bytes are no whole batch. Kafka code: CORRUPT_MESSAGE.
    Batch(BatchError),
    /// The compressed bytes are damaged. Kafka code: CORRUPT_MESSAGE.
    Decompression,
    /// They hold more than the caller allows. Kafka code: MESSAGE_TOO_LARGE.
    OutputTooLarge {
        /// What the caller allows.
        size_bytes_max: usize,
    },
    /// A record contradicts itself or ends behind the batch. Kafka code: INVALID_RECORD.
    Malformed {
        /// Which record of the batch, from 0.
        index: i32,
    },
    /// Bytes are left behind the last record. Kafka code: INVALID_RECORD.
    TrailingBytes,
}

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its offset in the log.
    pub offset: Offset,
    /// Its time: its own, or the batch's for log append time.
    pub timestamp: WallMs,
    /// Its key, if any.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
}

/// The headers of a record, checked, in order; names may repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl<'a> Headers<'a> {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        todo!("{:?}", self.bytes);
        #[allow(unreachable_code)]
        std::iter::empty()
    }
}

/// The record bytes of a batch, decompressed if need be, at most `output_max` bytes.
pub fn payload<'a>(batch: &'a [u8], output_max: usize) -> Result<(BatchHeader, Cow<'a, [u8]>), RecordError> {
    todo!("{} {output_max}", batch.len())
}

/// The records of a batch, from its header and its `payload`. Ends after the first error.
pub fn iter<'a>(header: &BatchHeader, payload: &'a [u8]) -> RecordIter<'a> {
    RecordIter { header: *header, rest: payload }
}

/// Iterates over records; made by [`iter`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    rest: &'a [u8],
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        todo!("{:?} {:?}", self.header, self.rest)
    }
}

/// The first record of a batch with `timestamp` or later: its offset and time.
pub fn first_at_or_after(
    batch: &[u8],
    timestamp: WallMs,
    output_max: usize,
) -> Result<Option<(Offset, WallMs)>, RecordError> {
    todo!("{} {timestamp:?} {output_max}", batch.len())
}

/// The first record of a batch with the batch's largest timestamp: its offset and time. `None`: no records.
pub fn max_timestamp_record(
    batch: &[u8],
    output_max: usize,
) -> Result<Option<(Offset, WallMs)>, RecordError> {
    todo!("{} {output_max}", batch.len())
}

/// The numbers (from 0) of the first `count_max` records without a key, which a compacted topic refuses.
pub fn keyless(batch: &[u8], output_max: usize, count_max: usize) -> Result<Vec<i32>, RecordError> {
    todo!("{} {output_max} {count_max}", batch.len())
}
