//! The header of a Kafka record batch (format v2) as a view, and what is checked of any stored batch.
//!
//! Knows nothing of the records inside: a batch is validated, stamped, stored, replicated and sent as it came. What
//! looks inside is `records.rs`, what a leader demands of producers `produced.rs`. Older formats (magic 0 and 1) are named
//! in errors and otherwise unknown.
//!
//! ```text
//!  byte  field                   type  in the CRC
//!     0  base_offset             i64   no   set by the leader
//!     8  length                  i32   no   bytes that follow this field: the batch is 12 + length long
//!    12  leader_epoch            i32   no   set by the leader
//!    16  magic                   i8    no   2
//!    17  crc                     u32   no   CRC-32C (Castagnoli) of bytes 21 up to the end of the batch
//!    21  attributes              i16   yes  bits 0-2 compression, 3 log append time, 4 transactional, 5 control,
//!                                           6 base_timestamp is a delete horizon
//!    23  last_offset_delta       i32   yes  last_offset - base_offset; also last_sequence - base_sequence
//!    27  base_timestamp          i64   yes  what the records' timestamps are relative to
//!    35  max_timestamp           i64   yes  largest record timestamp, or the time of the append (bit 3)
//!    43  producer_id             i64   yes  -1 for none
//!    51  producer_epoch          i16   yes  -1 for none
//!    53  base_sequence           i32   yes  -1 for none
//!    57  record_count            i32   yes
//!    61  records                       yes  compressed as one piece if attributes say so
//! ```
//!
//! What a leader may change without a new CRC therefore stands before byte 21: offset and leader epoch.

use core::fmt;

use corelane_base::crc::crc32c;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;
use zerocopy::byteorder::big_endian::{I16, I32, I64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Size of the header in bytes, and so the smallest size of a batch.
pub const HEADER_SIZE: usize = 61;

/// Bytes in front of what the length field counts: base offset and the length itself.
pub const LENGTH_OVERHEAD: usize = 12;

/// The only format version there is here.
const MAGIC: i8 = 2;

/// First byte that the CRC covers.
const CRC_START: usize = 21;
const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;

/// The smallest length that a record of format 0 can have: below it nobody looks for the magic.
const OLD_LENGTH_MIN: i32 = 14;

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

const _: () = assert!(size_of::<BatchHeader>() == HEADER_SIZE);

/// A batch's header, copied out of its 61 bytes. It does not change with the bytes it came from: after `stamp`,
/// take the header that `stamp` returns.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BatchHeader {
    base_offset: I64,
    length: I32,
    leader_epoch: I32,
    magic: i8,
    crc: U32,
    attributes: I16,
    last_offset_delta: I32,
    base_timestamp: I64,
    max_timestamp: I64,
    producer_id: I64,
    producer_epoch: I16,
    base_sequence: I32,
    record_count: I32,
}

/// How the records of a batch are compressed, with Kafka's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// Not at all.
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy in Xerial's framing, or bare.
    Snappy = 2,
    /// LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

/// What a batch's max timestamp, and so its records' timestamps, mean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// Set by the producer, each record its own.
    CreateTime,
    /// Set by the leader, all records the batch's max timestamp.
    LogAppendTime,
}

/// Why bytes are no batch that can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// No batch, or one that ends before its length says. Kafka code: INVALID_RECORD.
    Truncated {
        /// What there is.
        size_bytes: usize,
    },
    /// More bytes behind the batch. Kafka code: INVALID_RECORD. (Kafka drops what is no whole batch in silence.)
    TrailingBytes {
        /// How many.
        size_bytes: usize,
    },
    /// A length field that no batch can have. Kafka code: CORRUPT_MESSAGE.
    BadLength {
        /// The field.
        length: i32,
    },
    /// Formats 0 and 1, which ended with Kafka 4. Kafka code: INVALID_RECORD, as Kafka 4 answers.
    OldMagic {
        /// 0 or 1.
        magic: i8,
    },
    /// A format nobody knows. Kafka code: CORRUPT_MESSAGE.
    UnknownMagic {
        /// The byte.
        magic: i8,
    },
    /// The checksum says something else. Kafka code: CORRUPT_MESSAGE.
    BadCrc {
        /// In the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// Larger than the topic allows. Kafka code: MESSAGE_TOO_LARGE.
    TooLarge {
        /// The batch.
        size_bytes: u32,
        /// `max.message.bytes`.
        size_bytes_max: u32,
    },
    /// Larger than a segment. Kafka code: RECORD_LIST_TOO_LARGE.
    LargerThanSegment {
        /// The batch.
        size_bytes: u32,
        /// `segment.bytes`.
        size_bytes_max: u32,
    },
    /// A producer's batch starts at an offset other than 0. Kafka code: INVALID_RECORD.
    BaseOffsetNotZero {
        /// The field.
        base_offset: Offset,
    },
    /// Record count and last offset delta contradict each other or are below one record. Kafka code: INVALID_RECORD.
    BadCount {
        /// The field.
        record_count: i32,
        /// The field.
        last_offset_delta: i32,
    },
    /// A control batch from a client. Kafka code: INVALID_RECORD.
    ControlFromClient,
    /// A compression that Kafka does not know. Kafka code: UNSUPPORTED_COMPRESSION_TYPE.
    UnknownCompression {
        /// The number in the attributes.
        id: u8,
    },
    /// zstd in a request older than version 7. Kafka code: UNSUPPORTED_COMPRESSION_TYPE.
    ZstdTooEarly,
    /// A producer id without a usable epoch or sequence. Kafka code: INVALID_RECORD.
    BadProducer {
        /// The field.
        producer_id: ProducerId,
        /// The field.
        producer_epoch: ProducerEpoch,
        /// The field.
        base_sequence: i32,
    },
    /// A client claims log append time. Kafka code: INVALID_TIMESTAMP. (Where the topic wants create time, Kafka clears
    /// the bit instead and makes a new CRC; no client sets it.)
    AppendTimeFromClient,
    /// A timestamp too far in the past or the future. Kafka code: INVALID_TIMESTAMP.
    TimestampOutOfRange {
        /// Of the header.
        timestamp: WallMs,
        /// The earliest allowed.
        earliest: WallMs,
        /// The latest allowed.
        latest: WallMs,
    },
    /// Offsets that run past the largest there is. Kafka code: CORRUPT_MESSAGE; only from a damaged file.
    OffsetOverflow,
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Truncated { size_bytes } => write!(f, "no whole record batch in {size_bytes} bytes"),
            BatchError::TrailingBytes { size_bytes } => {
                write!(f, "{size_bytes} bytes behind the one record batch that is allowed")
            }
            BatchError::BadLength { length } => write!(f, "impossible batch length {length}"),
            BatchError::OldMagic { magic } => {
                write!(f, "record format with magic {magic} is not supported, only 2")
            }
            BatchError::UnknownMagic { magic } => write!(f, "unknown magic {magic}"),
            BatchError::BadCrc { stored, computed } => {
                write!(f, "batch is corrupt: stored crc {stored:#010x}, computed {computed:#010x}")
            }
            BatchError::TooLarge { size_bytes, size_bytes_max } => {
                write!(
                    f,
                    "batch of {size_bytes} bytes exceeds the topic's max.message.bytes of {size_bytes_max}"
                )
            }
            BatchError::LargerThanSegment { size_bytes, size_bytes_max } => {
                write!(f, "batch of {size_bytes} bytes exceeds the topic's segment.bytes of {size_bytes_max}")
            }
            BatchError::BaseOffsetNotZero { base_offset } => {
                write!(f, "base offset of a produced batch should be 0, but is {base_offset}")
            }
            BatchError::BadCount { record_count, last_offset_delta } => {
                write!(f, "record count {record_count} contradicts last offset delta {last_offset_delta}")
            }
            BatchError::ControlFromClient => f.write_str("clients may not write control records"),
            BatchError::UnknownCompression { id } => write!(f, "unknown compression type {id}"),
            BatchError::ZstdTooEarly => f.write_str("zstd needs a produce request of version 7 or later"),
            BatchError::BadProducer { producer_id, producer_epoch, base_sequence } => write!(
                f,
                "invalid epoch {producer_epoch} or sequence {base_sequence} in a batch of producer {producer_id}"
            ),
            BatchError::AppendTimeFromClient => {
                f.write_str("producers may not set the timestamp type to LogAppendTime")
            }
            BatchError::TimestampOutOfRange { timestamp, earliest, latest } => {
                write!(f, "timestamp {} is out of the range [{}, {}]", timestamp.0, earliest.0, latest.0)
            }
            BatchError::OffsetOverflow => f.write_str("offsets run past the largest possible"),
        }
    }
}

impl fmt::Debug for BatchHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.base_offset.get())
            .field("length", &self.length.get())
            .field("leader_epoch", &self.leader_epoch.get())
            .field("magic", &self.magic)
            .field("crc", &format_args!("{:#010x}", self.crc.get()))
            .field("attributes", &format_args!("{:#06x}", self.attributes.get()))
            .field("last_offset_delta", &self.last_offset_delta.get())
            .field("base_timestamp", &self.base_timestamp.get())
            .field("max_timestamp", &self.max_timestamp.get())
            .field("producer_id", &self.producer_id.get())
            .field("producer_epoch", &self.producer_epoch.get())
            .field("base_sequence", &self.base_sequence.get())
            .field("record_count", &self.record_count.get())
            .finish()
    }
}

impl Compression {
    /// Each of them, in the order of Kafka's numbers.
    pub const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    /// The compression with Kafka's number `id`, if there is one.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Compression> {
        match id {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }
}

impl BatchHeader {
    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(self.base_offset.get())
    }

    /// The whole batch in bytes, header included. At least 61 in every header that `peek` gave.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        usize::try_from(self.length.get()).map_or(0, |length| LENGTH_OVERHEAD + length)
    }

    /// The leader's epoch when it appended the batch.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.leader_epoch.get())
    }

    /// The format version: 2 in every header that `peek` gave.
    #[must_use]
    pub fn magic(&self) -> i8 {
        self.magic
    }

    /// The stored CRC-32C.
    #[must_use]
    pub fn crc(&self) -> u32 {
        self.crc.get()
    }

    /// All attribute bits.
    #[must_use]
    pub fn attributes(&self) -> i16 {
        self.attributes.get()
    }

    /// How the records are compressed. Errors: [`BatchError::UnknownCompression`].
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let id = (self.attributes.get() & COMPRESSION_MASK) as u8;
        Compression::from_id(id).ok_or(BatchError::UnknownCompression { id })
    }

    /// Whose clock the timestamps come from.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes.get() & LOG_APPEND_TIME_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes.get() & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a control record (a transaction's end), which consumers skip.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes.get() & CONTROL_BIT != 0
    }

    /// Whether `base_timestamp` is the time from which compaction may remove the batch's tombstones.
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes.get() & DELETE_HORIZON_BIT != 0
    }

    /// Last offset minus base offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta.get()
    }

    /// What the records' timestamps are relative to, in milliseconds; -1 for none.
    #[must_use]
    pub fn base_timestamp(&self) -> WallMs {
        WallMs(self.base_timestamp.get())
    }

    /// The largest timestamp of the batch, as its producer or, for log append time, its leader says; -1 for none.
    #[must_use]
    pub fn max_timestamp(&self) -> WallMs {
        WallMs(self.max_timestamp.get())
    }

    /// Who wrote it; -1 if the producer is not idempotent.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(self.producer_id.get())
    }

    /// Whether an idempotent or transactional producer wrote it.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id.get() >= 0
    }

    /// The incarnation of that producer; -1 for none.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.producer_epoch.get())
    }

    /// The producer's number of the first record; -1 for none.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        self.base_sequence.get()
    }

    /// How many records the batch holds: after compaction fewer than its offsets.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }

    /// Offset of the last record, inclusive.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.get().saturating_add(i64::from(self.last_offset_delta.get())))
    }

    /// The offset behind the last record: where the next batch starts.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }

    /// The producer's number of the last record; after `i32::MAX` comes 0. -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence.get() {
            -1 => -1,
            base => sequence_plus(base, self.last_offset_delta.get()),
        }
    }

    /// The header of the same batch with other records, its CRC still 0: offsets, leader epoch, producer and kind stay.
    /// Panics: if the batch would exceed 2 GiB.
    #[must_use]
    pub(crate) fn rewritten(mut self, rewrite: &Rewrite) -> BatchHeader {
        let length = i32::try_from(HEADER_SIZE - LENGTH_OVERHEAD + rewrite.records_size);
        self.length.set(length.expect("the format ends at 2 GiB"));
        let kind = self.attributes.get() & !(COMPRESSION_MASK | DELETE_HORIZON_BIT);
        let horizon = if rewrite.delete_horizon { DELETE_HORIZON_BIT } else { 0 };
        self.attributes.set(kind | rewrite.compression as i16 | horizon);
        self.base_timestamp.set(rewrite.base_timestamp.0);
        self.max_timestamp.set(rewrite.max_timestamp.0);
        self.record_count.set(rewrite.record_count);
        self.crc.set(0);
        self
    }

    /// The whole batch: this header with its CRC, and the records as stored. Panics: if they are not of the size that
    /// the header says.
    #[must_use]
    pub(crate) fn with_records(&self, records: &[u8]) -> Vec<u8> {
        let mut batch = Vec::with_capacity(HEADER_SIZE + records.len());
        batch.extend_from_slice(self.as_bytes());
        batch.extend_from_slice(records);
        stamp_crc(&mut batch);
        batch
    }

    /// The header of the same batch elsewhere in a log.
    #[must_use]
    pub fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchHeader {
        self.base_offset.set(base_offset.0);
        self.leader_epoch.set(leader_epoch.0);
        self
    }
}

/// The sequence number `delta` records after `sequence`: after `i32::MAX` comes 0.
#[must_use]
pub fn sequence_plus(sequence: i32, delta: i32) -> i32 {
    ((i64::from(sequence) + i64::from(delta)) & i64::from(i32::MAX)) as i32
}

/// Reads the header at the start of `bytes`, which may hold more or less than the batch.
///
/// `Ok(None)`: fewer bytes than a header, nothing wrong so far. Checks length and magic alone, each as soon as it is
/// there; the batch may end behind `bytes`, and its CRC may be wrong. Errors: `BadLength`, `OldMagic`, `UnknownMagic`.
pub fn peek(bytes: &[u8]) -> Result<Option<BatchHeader>, BatchError> {
    let Some((length, rest)) = bytes.get(LENGTH_AT..).and_then(|rest| rest.split_first_chunk()) else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    if length < OLD_LENGTH_MIN {
        return Err(BatchError::BadLength { length });
    }
    match rest.get(MAGIC_AT - LENGTH_OVERHEAD) {
        None => return Ok(None),
        Some(2) => {}
        Some(&magic @ (0 | 1)) => return Err(BatchError::OldMagic { magic: magic as i8 }),
        Some(&magic) => return Err(BatchError::UnknownMagic { magic: magic as i8 }),
    }
    if (length as usize) < HEADER_SIZE - LENGTH_OVERHEAD {
        return Err(BatchError::BadLength { length });
    }
    Ok(BatchHeader::read_from_prefix(bytes).ok().map(|(header, _)| header))
}

/// Checks the batch at the start of `bytes` as it lies in a segment file: header, CRC, and counts that fit.
///
/// `Ok(None)`: the batch does not end within `bytes`. Behind a torn write, in a recycled file, anything can stand
/// here. Allows what compaction leaves: fewer records than offsets, down to none. Errors: those of `peek`, and
/// `BadCrc`, `BadCount`, `OffsetOverflow`, `UnknownCompression`.
pub fn check_stored(bytes: &[u8]) -> Result<Option<BatchHeader>, BatchError> {
    let Some(header) = peek(bytes)? else { return Ok(None) };
    let Some(batch) = bytes.get(..header.size_bytes()) else { return Ok(None) };
    check_crc(&header, batch)?;
    let (record_count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
    let count_plausible = record_count >= 0 && i64::from(record_count) <= i64::from(last_offset_delta) + 1;
    if last_offset_delta < 0 || !count_plausible {
        return Err(BatchError::BadCount { record_count, last_offset_delta });
    }
    let end = header.base_offset().0.checked_add(i64::from(last_offset_delta) + 1);
    if header.base_offset().0 < 0 || end.is_none() {
        return Err(BatchError::OffsetOverflow);
    }
    header.compression()?;
    Ok(Some(header))
}

/// Errors: `BadCrc`. Panics: if `batch` is not exactly the batch of that header.
pub(crate) fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), BatchError> {
    assert!(batch.len() == header.size_bytes(), "the caller cut the batch out");
    let computed = crc32c(&batch[CRC_START..]);
    if computed == header.crc() { Ok(()) } else { Err(BatchError::BadCrc { stored: header.crc(), computed }) }
}

/// Stamps `base_offset` and `leader_epoch` into a checked batch and returns its new header.
///
/// Shape: writes bytes 0..8 and 12..16, big endian; both lie outside the CRC. Panics: if `batch` is shorter than a
/// header. Source: KIP-98.
pub fn stamp(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) -> BatchHeader {
    let (header, _) = BatchHeader::mut_from_prefix(batch).expect("a checked batch has a header");
    *header = header.at(base_offset, leader_epoch);
    *header
}

/// Makes `now` the timestamp of all records of a checked batch (log append time) and renews the CRC, for which all
/// bytes are read once more. Returns the new header.
///
/// Shape: sets attribute bit 3 and `max_timestamp`; `base_timestamp` stays, as in Kafka. Panics: if `batch` is
/// shorter than a header or not exactly one batch.
pub fn stamp_append_time(batch: &mut [u8], now: WallMs) -> BatchHeader {
    let (header, _) = BatchHeader::mut_from_prefix(batch).expect("a checked batch has a header");
    header.attributes.set(header.attributes.get() | LOG_APPEND_TIME_BIT);
    header.max_timestamp.set(now.0);
    stamp_crc(batch)
}

/// What compaction and recompression change of a header; `length` follows from `records_size`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rewrite {
    pub(crate) compression: Compression,
    /// Whether `base_timestamp` is one.
    pub(crate) delete_horizon: bool,
    pub(crate) base_timestamp: WallMs,
    pub(crate) max_timestamp: WallMs,
    pub(crate) record_count: i32,
    /// As stored, after compression.
    pub(crate) records_size: usize,
}

/// What a header is made from; `length` follows from `records_size`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) base_offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) compression: Compression,
    pub(crate) producer_id: ProducerId,
    pub(crate) producer_epoch: ProducerEpoch,
    pub(crate) base_sequence: i32,
    pub(crate) transactional: bool,
    pub(crate) control: bool,
    /// At least 1; the last offset delta is one less.
    pub(crate) record_count: i32,
    pub(crate) base_timestamp: WallMs,
    pub(crate) max_timestamp: WallMs,
    /// As stored, after compression.
    pub(crate) records_size: usize,
}

impl Parts {
    /// The header, its CRC still 0. Panics: if the batch would exceed 2 GiB.
    pub(crate) fn header(&self) -> BatchHeader {
        let length = i32::try_from(HEADER_SIZE - LENGTH_OVERHEAD + self.records_size);
        let mut attributes = self.compression as i16;
        if self.transactional {
            attributes |= TRANSACTIONAL_BIT;
        }
        if self.control {
            attributes |= CONTROL_BIT;
        }
        BatchHeader {
            base_offset: self.base_offset.0.into(),
            length: length.expect("the format ends at 2 GiB").into(),
            leader_epoch: self.leader_epoch.0.into(),
            magic: MAGIC,
            crc: 0.into(),
            attributes: attributes.into(),
            last_offset_delta: (self.record_count - 1).into(),
            base_timestamp: self.base_timestamp.0.into(),
            max_timestamp: self.max_timestamp.0.into(),
            producer_id: self.producer_id.0.into(),
            producer_epoch: self.producer_epoch.0.into(),
            base_sequence: self.base_sequence.into(),
            record_count: self.record_count.into(),
        }
    }
}

/// Writes the CRC of a finished batch and returns its header. Panics: if `batch` is not exactly one batch by its
/// length field.
pub fn stamp_crc(batch: &mut [u8]) -> BatchHeader {
    assert!(batch.len() >= HEADER_SIZE, "a batch has a header");
    let crc = crc32c(&batch[CRC_START..]);
    let (header, _) = BatchHeader::mut_from_prefix(batch).expect("just compared");
    header.crc.set(crc);
    let header = *header;
    assert!(header.size_bytes() == batch.len(), "exactly one batch");
    header
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::builder::BatchBuilder;

    /// Batches that Kafka's own Java client 4.3.1 wrote, one `name hex` a line: the same four records under each
    /// compression, a transactional batch with log append time, and a transaction's end marker.
    pub(crate) fn golden(name: &str) -> Vec<u8> {
        let lines = include_str!("golden/batches.txt").lines();
        let mut found = lines.filter_map(|line| line.split_once(' ')).filter(|(found, _)| *found == name);
        let (_, hex) = found.next().expect("a golden batch of that name");
        let digits = hex.as_bytes().chunks(2);
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    pub(crate) const NOW: WallMs = WallMs(1_700_000_000_000);

    pub(crate) fn sample() -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.producer_id = ProducerId(7);
        builder.producer_epoch = ProducerEpoch(1);
        builder.base_sequence = 40;
        builder.push(NOW, Some(b"key"), Some(b"value"));
        builder.push(WallMs(NOW.0 + 5), None, Some(b"second value"));
        builder.push(WallMs(NOW.0 + 2), None, None);
        builder.build().to_vec()
    }

    /// A sample with other bytes at `at`, and a CRC that fits them.
    pub(crate) fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut batch = sample();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        let crc = crc32c(&batch[CRC_START..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    #[test]
    fn headers_of_the_java_client() {
        let codecs = [
            ("none", Compression::None),
            ("gzip", Compression::Gzip),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::Lz4),
            ("zstd", Compression::Zstd),
        ];
        for (name, compression) in codecs {
            let batch = golden(name);
            let header = check_stored(&batch).expect(name).expect("whole");
            assert_eq!(header.compression(), Ok(compression));
            assert_eq!(header.size_bytes(), batch.len());
            assert_eq!(header.magic(), 2);
            assert_eq!(
                (header.base_offset(), header.last_offset(), header.next_offset().0),
                (Offset(0), Offset(3), 4)
            );
            assert_eq!((header.base_timestamp(), header.max_timestamp().0), (NOW, NOW.0 + 86_400_000));
            assert_eq!((header.record_count(), header.last_offset_delta()), (4, 3));
            assert_eq!((header.has_producer(), header.last_sequence()), (false, -1));
            assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
            assert!(!header.is_control() && !header.is_transactional() && !header.has_delete_horizon());
        }
        let batch = golden("transactional");
        let header = check_stored(&batch).expect("valid").expect("whole");
        assert_eq!((header.base_offset(), header.last_offset()), (Offset(41), Offset(44)));
        assert_eq!((header.producer_id(), header.producer_epoch()), (ProducerId(4711), ProducerEpoch(3)));
        assert_eq!((header.base_sequence(), header.last_sequence()), (i32::MAX - 1, 1));
        assert_eq!(
            (header.leader_epoch(), header.max_timestamp()),
            (LeaderEpoch(9), WallMs(1_800_000_000_000))
        );
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert!(header.is_transactional() && !header.is_control());
        let header = check_stored(&golden("marker")).expect("valid").expect("whole");
        assert!(header.is_transactional() && header.is_control());
        assert_eq!((header.base_sequence(), header.last_sequence()), (-1, -1));
    }

    #[test]
    fn every_flipped_bit_is_found_but_in_the_fields_outside_the_crc() {
        for mut batch in [sample(), golden("zstd")] {
            for bit in 0..batch.len() * 8 {
                batch[bit / 8] ^= 0x80 >> (bit % 8);
                // The top bit of the base offset makes it negative, that of the length too. A longer length only
                // asks for more bytes, which is no harm.
                let stored = check_stored(&batch);
                let stored_good = (12..16).contains(&(bit / 8)) || (1..64).contains(&bit);
                assert_eq!(matches!(stored, Ok(Some(_))), stored_good, "bit {bit}: {stored:?}");
                batch[bit / 8] ^= 0x80 >> (bit % 8);
            }
        }
    }

    #[test]
    fn stored_batches_end_where_the_bytes_end() {
        let good = sample();
        for len in 0..good.len() {
            assert_eq!(check_stored(&good[..len]).map(|header| header.is_none()), Ok(true), "{len} bytes");
        }
        let followed = [&good[..], &[0xff; 100]].concat();
        assert_eq!(
            check_stored(&followed).map(|header| header.map(|header| header.size_bytes())),
            Ok(Some(good.len()))
        );
        assert_eq!(check_stored(&[0; 4096]).err(), Some(BatchError::BadLength { length: 0 }));
        assert_eq!(
            check_stored(&patched(0, &i64::MAX.to_be_bytes())).err(),
            Some(BatchError::OffsetOverflow)
        );
        assert!(check_stored(&patched(57, &0_i32.to_be_bytes())).is_ok(), "compaction may leave none");
        assert!(check_stored(&patched(57, &4_i32.to_be_bytes())).is_err(), "but never more than offsets");
    }

    #[test]
    fn stamps_change_what_they_say_and_nothing_else() {
        let before = sample();
        let mut batch = before.clone();
        let header = stamp(&mut batch, Offset(1234), LeaderEpoch(5));
        assert_eq!((header.base_offset(), header.leader_epoch()), (Offset(1234), LeaderEpoch(5)));
        assert_eq!(batch[..8], 1234_i64.to_be_bytes());
        assert_eq!(batch[8..12], before[8..12]);
        assert_eq!(batch[12..16], 5_i32.to_be_bytes());
        assert_eq!(batch[16..], before[16..]);
        assert_eq!(
            check_stored(&batch).map(|found| found.map(|found| found.last_offset())),
            Ok(Some(Offset(1236)))
        );
        let header = stamp_append_time(&mut batch, WallMs(99));
        assert_eq!(
            (header.max_timestamp(), header.timestamp_type()),
            (WallMs(99), TimestampType::LogAppendTime)
        );
        assert_eq!((batch[22], &batch[23..35]), (8, &before[23..35]));
        assert_eq!(batch[35..43], 99_i64.to_be_bytes());
        assert_eq!(batch[43..], before[43..]);
        assert!(matches!(check_stored(&batch), Ok(Some(_))), "the CRC fits again");
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let check =
            |sequence: i32, delta: i32, expected: i32| assert_eq!(sequence_plus(sequence, delta), expected);
        check(0, 0, 0);
        check(i32::MAX, 0, i32::MAX);
        check(i32::MAX, 1, 0);
        check(i32::MAX - 1, 3, 1);
        check(i32::MAX, i32::MAX, i32::MAX - 1);
    }
}
