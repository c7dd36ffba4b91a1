//! The records inside a batch: for time look-ups, compaction, tools and tests. Not for the produce or fetch path.
//!
//! Nothing here is trusted: a batch with a right CRC can still hold anything, because its producer made the CRC.
//!
//! ```text
//!  record   length            varint   bytes that follow
//!           attributes        i8       unused
//!           timestamp delta   varlong  to the batch's base timestamp
//!           offset delta      varint   to the batch's base offset
//!           key length, key   varint   -1 for none
//!           value length, value varint -1 for none: a tombstone
//!           header count      varint
//!           headers           each: name length varint, name; value length varint (-1 for none), value
//! ```
//!
//! Varints are zigzag-coded and little endian in groups of seven bits: five bytes at most, varlongs ten.

use core::fmt;
use std::borrow::Cow;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::{self, BatchError, BatchHeader, Compression, HEADER_SIZE, TimestampType};
use crate::codec::{self, CodecError};

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

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Batch(error) => error.fmt(f),
            RecordError::Decompression => f.write_str("compressed records are damaged"),
            RecordError::OutputTooLarge { size_bytes_max } => {
                write!(f, "compressed records hold more than {size_bytes_max} bytes")
            }
            RecordError::Malformed { index } => write!(f, "record {index} of the batch is malformed"),
            RecordError::TrailingBytes => f.write_str("bytes behind the last record of the batch"),
        }
    }
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

    /// Name (UTF-8 by convention, unchecked) and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let mut cursor = Cursor { bytes: self.bytes };
        std::iter::from_fn(move || cursor.header())
    }
}

/// The record bytes of the batch at the start of `batch`, decompressed if need be, at most `output_max` bytes, with
/// the batch's header. The CRC is not checked again: it was, before the batch got into the log.
pub fn payload(batch: &[u8], output_max: usize) -> Result<(BatchHeader, Cow<'_, [u8]>), RecordError> {
    let truncated = RecordError::Batch(BatchError::Truncated { size_bytes: batch.len() });
    let header = batch::peek(batch).map_err(RecordError::Batch)?.ok_or(truncated)?;
    let records = batch.get(HEADER_SIZE..header.size_bytes()).ok_or(truncated)?;
    let compression = header.compression().map_err(RecordError::Batch)?;
    if compression == Compression::None || header.record_count() == 0 {
        return Ok((header, Cow::Borrowed(records)));
    }
    match codec::decompress(compression, records, output_max) {
        Ok(output) => Ok((header, Cow::Owned(output))),
        Err(CodecError::Damaged) => Err(RecordError::Decompression),
        Err(CodecError::OutputTooLarge) => Err(RecordError::OutputTooLarge { size_bytes_max: output_max }),
    }
}

/// The records of a batch, from its header and its `payload`: as many as the header says, nothing left over. Ends
/// after the first error.
#[must_use]
pub fn iter<'a>(header: &BatchHeader, payload: &'a [u8]) -> RecordIter<'a> {
    RecordIter { header: *header, cursor: Cursor { bytes: payload }, index: 0 }
}

/// Iterates over records; made by [`iter`].
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    header: BatchHeader,
    cursor: Cursor<'a>,
    /// The next record's number; negative when there is none any more.
    index: i32,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        if self.index < 0 {
            return None;
        }
        if self.index >= self.header.record_count() {
            self.index = -1;
            return (!self.cursor.bytes.is_empty()).then_some(Err(RecordError::TrailingBytes));
        }
        match self.cursor.record(&self.header) {
            Some(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            None => {
                let index = self.index;
                self.index = -1;
                Some(Err(RecordError::Malformed { index }))
            }
        }
    }
}

/// The first record of the batch at or behind `min_offset` with `timestamp` or later: its offset and time.
/// Source: Kafka `FileRecords.searchForTimestamp`.
pub fn first_at_or_after(
    batch: &[u8],
    timestamp: WallMs,
    min_offset: Offset,
    output_max: usize,
) -> Result<Option<(Offset, WallMs)>, RecordError> {
    let (header, payload) = payload(batch, output_max)?;
    for record in iter(&header, &payload) {
        let record = record?;
        if record.timestamp >= timestamp && record.offset >= min_offset {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// The first record of the batch with the largest timestamp of its records: its offset and time. `None`: no records.
pub fn max_timestamp_record(
    batch: &[u8],
    output_max: usize,
) -> Result<Option<(Offset, WallMs)>, RecordError> {
    let (header, payload) = payload(batch, output_max)?;
    let mut max: Option<(Offset, WallMs)> = None;
    for record in iter(&header, &payload) {
        let record = record?;
        if max.is_none_or(|(_, timestamp)| record.timestamp > timestamp) {
            max = Some((record.offset, record.timestamp));
        }
    }
    Ok(max)
}

/// The numbers (from 0) of the first `count_max` records without a key, which a compacted topic refuses.
pub fn keyless(batch: &[u8], output_max: usize, count_max: usize) -> Result<Vec<i32>, RecordError> {
    let (header, payload) = payload(batch, output_max)?;
    let mut found = Vec::new();
    for (index, record) in (0..).zip(iter(&header, &payload)) {
        if record?.key.is_none() && found.len() < count_max {
            found.push(index);
        }
    }
    Ok(found)
}

/// Reads a record's parts; `None` means malformed.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn record(&mut self, header: &BatchHeader) -> Option<Record<'a>> {
        let length = usize::try_from(self.varint()?).ok()?;
        let mut body = Cursor { bytes: self.take(length)? };
        body.take(1)?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        if !(0..=header.last_offset_delta()).contains(&offset_delta) {
            return None;
        }
        let key = body.nullable()?;
        let value = body.nullable()?;
        let count = u32::try_from(body.varint()?).ok()?;
        let headers = Headers { bytes: body.bytes, count };
        for _ in 0..count {
            body.header()?;
        }
        if !body.bytes.is_empty() {
            return None;
        }
        let timestamp = match header.timestamp_type() {
            TimestampType::CreateTime => WallMs(header.base_timestamp().0.checked_add(timestamp_delta)?),
            TimestampType::LogAppendTime => header.max_timestamp(),
        };
        let offset = Offset(header.base_offset().0.checked_add(i64::from(offset_delta))?);
        Some(Record { offset, timestamp, key, value, headers })
    }

    fn header(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        let name = self.nullable()??;
        Some((name, self.nullable()?))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// A length and so many bytes; -1 is none, other negative lengths are malformed.
    fn nullable(&mut self) -> Option<Option<&'a [u8]>> {
        match self.varint()? {
            -1 => Some(None),
            length => Some(Some(self.take(usize::try_from(length).ok()?)?)),
        }
    }

    fn varint(&mut self) -> Option<i32> {
        i32::try_from(self.varlong()?).ok()
    }

    fn varlong(&mut self) -> Option<i64> {
        let mut value = 0_u64;
        for (index, &byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if index == 9 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.bytes = &self.bytes[index + 1..];
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        None
    }
}
