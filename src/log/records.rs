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

impl<'a> RecordIter<'a> {
    /// The bytes of the payload that were not read yet: what lies before them and behind the place before a record is
    /// that record.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.cursor.bytes
    }
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

/// Copies the record at the start of `bytes` to `out` with `shift` added to its timestamp delta; answers with what
/// stands behind it. `None`: it is malformed, or the sum is more than the format can say.
pub(crate) fn shift_timestamp<'a>(bytes: &'a [u8], shift: i64, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut cursor = Cursor { bytes };
    let length = usize::try_from(cursor.varint()?).ok()?;
    let mut body = Cursor { bytes: cursor.take(length)? };
    let attributes = body.take(1)?;
    let delta = body.varlong()?.checked_add(shift)?;
    let length = 1 + varlong_size(delta) + body.bytes.len();
    put_varlong(out, i64::from(i32::try_from(length).ok()?));
    out.extend_from_slice(attributes);
    put_varlong(out, delta);
    out.extend_from_slice(body.bytes);
    Some(cursor.bytes)
}

/// Appends a zigzag-coded varlong.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn varlong_size(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
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

#[cfg(test)]
mod tests {
    use corelane_base::rng::Rng;

    use super::*;
    use crate::batch::tests::golden;
    use crate::builder::BatchBuilder;

    const OUTPUT_MAX: usize = 1 << 20;
    const CODECS: [(&str, Compression); 5] = [
        ("none", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];

    /// What the golden batches hold, built by our own builder.
    fn golden_records(compression: Compression) -> bytes::Bytes {
        let time = 1_700_000_000_000;
        let mut builder = BatchBuilder::new();
        builder.compression = compression;
        let headers: [(&[u8], Option<&[u8]>); 3] =
            [(b"trace", Some(&[1, 2, 3])), (b"none", None), (b"trace", Some(b""))];
        builder.push_with_headers(WallMs(time), Some(b"key-1"), Some(b"value-1"), &headers);
        builder.push(WallMs(time + 86_400_000), None, Some(&[b'a'; 300]));
        builder.push(WallMs(time - 1000), Some(b"key-3"), None);
        builder.push(WallMs(time + 86_400_000), Some(b""), Some(b""));
        builder.build()
    }

    fn read_all(batch: &[u8]) -> Result<usize, RecordError> {
        let (header, payload) = payload(batch, OUTPUT_MAX)?;
        iter(&header, &payload).map(|record| record.map(|record| record.headers.iter().count())).sum()
    }

    #[test]
    fn reads_what_the_java_client_wrote_under_every_compression() {
        for (name, compression) in CODECS {
            let ours = golden_records(compression);
            for batch in [golden(name), ours.to_vec()] {
                let (header, payload) = payload(&batch, OUTPUT_MAX).expect(name);
                let records: Vec<Record<'_>> =
                    iter(&header, &payload).map(|record| record.expect(name)).collect();
                let offsets: Vec<i64> = records.iter().map(|record| record.offset.0).collect();
                assert_eq!(offsets, [0, 1, 2, 3]);
                let times: Vec<i64> =
                    records.iter().map(|record| record.timestamp.0 - 1_700_000_000_000).collect();
                assert_eq!(times, [0, 86_400_000, -1000, 86_400_000]);
                assert_eq!((records[0].key, records[0].value), (Some(&b"key-1"[..]), Some(&b"value-1"[..])));
                assert_eq!((records[1].key, records[1].value), (None, Some(&[b'a'; 300][..])));
                assert_eq!((records[2].key, records[2].value), (Some(&b"key-3"[..]), None));
                assert_eq!((records[3].key, records[3].value), (Some(&b""[..]), Some(&b""[..])));
                let headers: Vec<_> = records[0].headers.iter().collect();
                assert_eq!(
                    headers,
                    [(&b"trace"[..], Some(&[1, 2, 3][..])), (b"none", None), (b"trace", Some(b""))]
                );
                assert_eq!((records[0].headers.count(), records[1].headers.count()), (3, 0));
            }
        }
        assert_eq!(golden_records(Compression::None), golden("none"), "uncompressed, byte for byte");
    }

    #[test]
    fn log_append_time_is_every_records_time() {
        let batch = golden("transactional");
        let found = first_at_or_after(&batch, WallMs(1_800_000_000_000), Offset(0), OUTPUT_MAX);
        assert_eq!(found, Ok(Some((Offset(41), WallMs(1_800_000_000_000)))));
        let found = first_at_or_after(&batch, WallMs(0), Offset(43), OUTPUT_MAX);
        assert_eq!(found, Ok(Some((Offset(43), WallMs(1_800_000_000_000)))));
        assert_eq!(first_at_or_after(&batch, WallMs(1_800_000_000_001), Offset(0), OUTPUT_MAX), Ok(None));
    }

    #[test]
    fn look_ups_by_time() {
        let time = 1_700_000_000_000;
        for (_, compression) in CODECS {
            let batch = golden_records(compression);
            let check = |timestamp: i64, min_offset: i64, expected: Option<(i64, i64)>| {
                let found = first_at_or_after(&batch, WallMs(timestamp), Offset(min_offset), OUTPUT_MAX);
                assert_eq!(
                    found,
                    Ok(expected.map(|(offset, timestamp)| (Offset(offset), WallMs(timestamp))))
                );
            };
            check(i64::MIN, 0, Some((0, time)));
            check(time, 0, Some((0, time)));
            check(time + 1, 0, Some((1, time + 86_400_000)));
            check(time + 86_400_000, 2, Some((3, time + 86_400_000)));
            check(0, 2, Some((2, time - 1000)));
            check(time + 86_400_001, 0, None);
            check(0, 4, None);
            assert_eq!(
                max_timestamp_record(&batch, OUTPUT_MAX),
                Ok(Some((Offset(1), WallMs(time + 86_400_000))))
            );
            assert_eq!(keyless(&batch, OUTPUT_MAX, 10), Ok(vec![1]));
            assert_eq!(keyless(&batch, OUTPUT_MAX, 0), Ok(vec![]));
        }
    }

    /// A batch with these record bytes, uncompressed, and this record count.
    fn raw(records: &[u8], record_count: i32) -> Vec<u8> {
        let mut batch = golden("none")[..HEADER_SIZE].to_vec();
        batch.extend_from_slice(records);
        let length = i32::try_from(batch.len() - 12).unwrap();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[57..61].copy_from_slice(&record_count.to_be_bytes());
        batch::stamp_crc(&mut batch);
        batch
    }

    #[test]
    fn malformed_records() {
        let check = |records: &[u8], record_count: i32, expected: Result<usize, RecordError>| {
            assert_eq!(read_all(&raw(records, record_count)), expected, "{records:?}");
        };
        let malformed = Err(RecordError::Malformed { index: 0 });
        // Zigzag: 2 is 1, 1 is -1. The smallest record: length 6, attributes, deltas, no key, no value, no headers.
        let good = [12, 0, 0, 0, 1, 1, 0];
        check(&good, 1, Ok(0));
        check(&[], 0, Ok(0));
        check(&good, 0, Err(RecordError::TrailingBytes));
        check(&[&good[..], &[0]].concat(), 1, Err(RecordError::TrailingBytes));
        check(&[&good[..], &good[..]].concat(), 3, Err(RecordError::Malformed { index: 2 }));
        for len in 0..good.len() {
            check(&good[..len], 1, malformed);
        }
        check(&[1, 0, 0, 0, 1, 1, 0], 1, malformed);
        check(&[10, 0, 0, 0, 1, 1, 0], 1, malformed);
        check(&[14, 0, 0, 0, 1, 1, 0, 0], 1, malformed);
        check(&[12, 0, 0, 1, 1, 1, 0], 1, malformed);
        check(&[12, 0, 0, 8, 1, 1, 0], 1, malformed);
        check(&[12, 0, 0, 0, 3, 1, 0], 1, malformed);
        check(&[12, 0, 0, 0, 1, 2, 0], 1, malformed);
        check(&[12, 0, 0, 0, 1, 1, 1], 1, malformed);
        check(&[12, 0, 0, 0, 1, 1, 2], 1, malformed);
        check(&[16, 0, 0, 0, 1, 1, 2, 1, 1], 1, malformed);
        check(&[16, 0, 0, 0, 1, 1, 2, 0, 1], 1, Ok(1));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 1, malformed);
        check(&[0xfe, 0xff, 0xff, 0xff, 0x0f], 1, malformed);
        check(&[0xfe, 0xff, 0xff, 0xff, 0x1f], 1, malformed);
    }

    #[test]
    fn varints_at_their_ends() {
        let check = |bytes: &[u8], expected: Option<i64>| {
            assert_eq!(Cursor { bytes }.varlong(), expected, "{bytes:?}");
        };
        check(&[0], Some(0));
        check(&[1], Some(-1));
        check(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Some(i64::MAX));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], Some(i64::MIN));
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], None);
        check(&[0x80; 11], None);
        check(&[0x80], None);
        check(&[], None);
        assert_eq!(Cursor { bytes: &[0xfe, 0xff, 0xff, 0xff, 0x0f] }.varint(), Some(i32::MAX));
        assert_eq!(Cursor { bytes: &[0x80, 0x80, 0x80, 0x80, 0x10] }.varint(), None);
    }

    #[test]
    fn damage_gives_errors_or_other_records_but_no_panic() {
        for (name, _) in CODECS {
            let batch = golden(name);
            for len in 0..batch.len() {
                assert!(read_all(&batch[..len]).is_err(), "{name} truncated to {len}");
            }
            let mut found_bad = 0;
            for bit in 8 * 57..batch.len() * 8 {
                let mut damaged = batch.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                found_bad += u32::from(read_all(&damaged).is_err());
                let _ = first_at_or_after(&damaged, WallMs(i64::MAX), Offset(0), OUTPUT_MAX);
                let _ = max_timestamp_record(&damaged, OUTPUT_MAX);
            }
            assert!(found_bad > 100, "{name}: only {found_bad}");
        }
    }

    #[test]
    fn what_comes_out_is_bounded() {
        for (name, compression) in CODECS {
            let mut builder = BatchBuilder::new();
            builder.compression = compression;
            builder.push(WallMs(1), None, Some(&vec![0; 8 << 20]));
            let batch = builder.build();
            let (header, whole) = payload(&batch, 9 << 20).expect(name);
            let size = whole.len();
            assert_eq!(iter(&header, &whole).filter(Result::is_ok).count(), 1);
            if compression != Compression::None {
                assert!(batch.len() < size / 15, "{name} compresses zeros");
                for size_bytes_max in [0, 1, 65_536, size - 1] {
                    let bounded = payload(&batch, size_bytes_max).map(|_| ());
                    assert_eq!(bounded, Err(RecordError::OutputTooLarge { size_bytes_max }), "{name}");
                }
                assert!(payload(&batch, size).is_ok());
            }
        }
        // Twelve bytes that claim to be four gigabytes.
        let mut batch = raw(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0, 0, 0], 1);
        batch[22] = Compression::Snappy as u8;
        let expected = RecordError::OutputTooLarge { size_bytes_max: OUTPUT_MAX };
        assert_eq!(payload(&batch, OUTPUT_MAX).err(), Some(expected));
    }

    #[test]
    fn snappy_with_and_without_framing() {
        let plain = b"bare snappy as librdkafka sends it, as librdkafka sends it".repeat(1000);
        let bare = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert_eq!(codec::decompress(Compression::Snappy, &bare, OUTPUT_MAX), Ok(plain.clone()));
        let framed = codec::compress(Compression::Snappy, &plain).into_owned();
        assert_eq!(codec::decompress(Compression::Snappy, &framed, OUTPUT_MAX), Ok(plain));
        for len in [9, 15, 17, 19, 20, framed.len() - 1] {
            assert_eq!(
                codec::decompress(Compression::Snappy, &framed[..len], OUTPUT_MAX),
                Err(CodecError::Damaged)
            );
        }
    }

    /// What a random record was made from: time, key, value, header name and value.
    type Drawn = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

    fn draw_bytes(rng: &mut Rng, len_max: u64) -> Option<Vec<u8>> {
        let len = rng.below(len_max);
        (!rng.one_in(5)).then(|| (0..len).map(|_| rng.below(7) as u8).collect())
    }

    fn draw(rng: &mut Rng) -> Drawn {
        let headers =
            (0..rng.below(4)).map(|_| (vec![b'h'; rng.below(4) as usize], draw_bytes(rng, 9))).collect();
        (rng.next_u64() as i64 >> (24 + rng.below(40)), draw_bytes(rng, 20), draw_bytes(rng, 2000), headers)
    }

    #[test]
    fn random_batches_come_back_as_they_were() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let drawn: Vec<Drawn> = (0..=rng.below(40)).map(|_| draw(&mut rng)).collect();
            let mut builder = BatchBuilder::new();
            builder.base_offset = Offset(rng.below(1 << 40) as i64);
            builder.compression = CODECS[rng.below(5) as usize].1;
            for (time, key, value, headers) in &drawn {
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
                builder.push_with_headers(WallMs(*time), key.as_deref(), value.as_deref(), &headers);
            }
            let batch = builder.build();
            let header = batch::check_stored(&batch).expect("valid").expect("whole");
            let (_, payload) = payload(&batch, OUTPUT_MAX).expect("our own codecs");
            let back: Vec<Drawn> = iter(&header, &payload)
                .map(|record| record.expect("well-formed"))
                .map(|record| {
                    let headers =
                        record.headers.iter().map(|(n, v)| (n.to_vec(), v.map(<[u8]>::to_vec))).collect();
                    (
                        record.timestamp.0,
                        record.key.map(<[u8]>::to_vec),
                        record.value.map(<[u8]>::to_vec),
                        headers,
                    )
                })
                .collect();
            assert_eq!(back, drawn, "seed {seed}");
            assert_eq!(
                header.max_timestamp().0,
                drawn.iter().map(|drawn| drawn.0).max().unwrap(),
                "seed {seed}"
            );
            let first =
                drawn.iter().position(|d| d.0 >= 0).map(|index| header.base_offset().plus(index as i64));
            let found = first_at_or_after(&batch, WallMs(0), Offset(0), OUTPUT_MAX).expect("well-formed");
            assert_eq!(found.map(|(offset, _)| offset), first, "seed {seed}");
        }
    }
}
