//! Records as the command line handles them: owned, out of a batch and into one.
//!
//! The layout and its checks live in `corelane-log`; here they are joined to a client's needs: whole answers of several
//! batches, checksums verified, a bound on what compressed records may unfold to. The broker itself never takes a
//! batch apart, and nothing here is on its path.

use std::fmt;

use corelane_base::id::{Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;
use corelane_log::batch::{self, BatchError, Compression};
use corelane_log::builder::BatchBuilder;
use corelane_log::records::{self, RecordError};

/// One header of a record. The protocol says UTF-8 for its key and nobody checks: bytes it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// Not unique within a record.
    pub key: Vec<u8>,
    /// `None` is null, which is not empty.
    pub value: Option<Vec<u8>>,
}

/// One record, on its way in or out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Its place in the log; of no meaning before the broker has assigned it.
    pub offset: Offset,
    /// When it was made, or when it was appended if the topic says so.
    pub timestamp: WallMs,
    /// Decides the partition, and what compaction keeps.
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In order.
    pub headers: Vec<Header>,
}

impl Record {
    /// How many bytes it takes in an uncompressed batch, at the most.
    pub fn encoded_bytes_max(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|each| 10 + each.key.len() + length(&each.value)).sum();
        32 + length(&self.key) + length(&self.value) + headers
    }
}

/// Who sends a batch, for duplicate detection. The default is nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Producer {
    /// Given by the broker; -1 for none.
    pub id: ProducerId,
    /// Given with it; -1 for none.
    pub epoch: ProducerEpoch,
    /// The number of the batch's first record among this producer's records for the partition; -1 for none.
    pub base_sequence: i32,
}

impl Default for Producer {
    fn default() -> Producer {
        Producer { id: ProducerId(-1), epoch: ProducerEpoch(-1), base_sequence: -1 }
    }
}

/// Why bytes are not batches of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsError {
    /// The batch itself is wrong.
    Batch(BatchError),
    /// What is inside is wrong.
    Record(RecordError),
    /// The header promises another number of records than there are.
    Counts,
}

impl fmt::Display for RecordsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordsError::Batch(error) => write!(out, "{error}"),
            RecordsError::Record(error) => write!(out, "{error}"),
            RecordsError::Counts => out.write_str("the batch header contradicts its records"),
        }
    }
}

impl std::error::Error for RecordsError {}

/// Makes one batch. Panics: if there is no record.
pub fn encode_batch(records: &[Record], compression: Compression, producer: Producer) -> bytes::Bytes {
    assert!(!records.is_empty(), "a batch holds at least one record");
    let mut builder = BatchBuilder::new();
    builder.compression = compression;
    builder.producer_id = producer.id;
    builder.producer_epoch = producer.epoch;
    builder.base_sequence = producer.base_sequence;
    for record in records {
        let headers: Vec<_> =
            record.headers.iter().map(|header| (header.key.as_slice(), header.value.as_deref())).collect();
        builder.push_with_headers(record.timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    builder.build()
}

/// One batch taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    /// Where reading goes on behind this batch, whatever records it holds.
    pub next_offset: Offset,
    /// How its records were compressed.
    pub compression: Compression,
    /// Whether its records are markers of transactions, which no application sees.
    pub control: bool,
    /// In order of their offsets; a compacted batch has gaps.
    pub records: Vec<Record>,
}

/// Takes the batch at the front of `bytes` apart and says how many bytes it took. `None`: what is left is no whole
/// batch, which is how an answer that was cut at its size limit ends.
///
/// Errors: what is wrong with the batch or a record; records may unfold to at most `bytes_max` bytes.
pub fn decode_batch(bytes: &[u8], bytes_max: usize) -> Result<Option<(Batch, usize)>, RecordsError> {
    let Some(header) = batch::check_stored(bytes).map_err(RecordsError::Batch)? else { return Ok(None) };
    let size = header.size_bytes();
    let (header, payload) = records::payload(&bytes[..size], bytes_max).map_err(RecordsError::Record)?;
    let mut found = Vec::new();
    for record in records::iter(&header, &payload) {
        let record = record.map_err(RecordsError::Record)?;
        let headers = record.headers.iter();
        found.push(Record {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers
                .map(|(key, value)| Header { key: key.to_vec(), value: value.map(<[u8]>::to_vec) })
                .collect(),
        });
    }
    if found.len() as i64 != i64::from(header.record_count()) {
        return Err(RecordsError::Counts);
    }
    let compression = header.compression().map_err(RecordsError::Batch)?;
    let batch = Batch {
        next_offset: header.next_offset(),
        compression,
        control: header.is_control(),
        records: found,
    };
    Ok(Some((batch, size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_base::crc::crc32c;
    use corelane_base::rng::Rng;

    const CRC_START: usize = 21;
    const BYTES_MAX: usize = 1 << 20;

    fn sample(count: usize) -> Vec<Record> {
        let mut rng = Rng::new(count as u64);
        let mut bytes = |bound: u64| (0..rng.below(bound)).map(|_| rng.next_u64() as u8).collect::<Vec<u8>>();
        (0..count)
            .map(|index| Record {
                offset: Offset(index as i64),
                timestamp: WallMs(1_700_000_000_000 + 7 * index as i64 - 3),
                key: (index % 3 != 0).then(|| bytes(20)),
                value: (index % 5 != 4).then(|| bytes(200)),
                headers: (0..index % 4)
                    .map(|n| Header { key: format!("h{n}").into_bytes(), value: (n != 1).then(|| bytes(9)) })
                    .collect(),
            })
            .collect()
    }

    fn encode(records: &[Record], compression: Compression) -> Vec<u8> {
        encode_batch(records, compression, Producer::default()).to_vec()
    }

    #[test]
    fn round_trips() {
        for compression in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            for count in [1, 2, 500] {
                let records = sample(count);
                let bytes = encode(&records, compression);
                let (batch, taken) = decode_batch(&bytes, BYTES_MAX).expect("decodes").expect("is whole");
                assert_eq!(taken, bytes.len());
                assert_eq!(batch.records, records, "{compression:?} {count}");
                assert_eq!((batch.compression, batch.control), (compression, false));
                assert_eq!(batch.next_offset, Offset(count as i64));
                let room: usize = records.iter().map(Record::encoded_bytes_max).sum();
                assert!(compression != Compression::None || bytes.len() <= batch::HEADER_SIZE + room);
            }
        }
    }

    /// One record, key "k", value "v", at time 1000: computed by hand from the layout above.
    #[test]
    fn golden_bytes() {
        let record = Record {
            timestamp: WallMs(1000),
            key: Some(b"k".to_vec()),
            value: Some(b"v".to_vec()),
            ..Record::default()
        };
        let bytes = encode(&[record], Compression::None);
        let mut expected = vec![0; 8];
        expected.extend([0, 0, 0, 58, 0xff, 0xff, 0xff, 0xff, 2]);
        expected.extend(crc32c(&bytes[21..]).to_be_bytes());
        expected.extend([0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 3, 0xe8]);
        expected.extend([0xff; 14]);
        expected.extend([0, 0, 0, 1]);
        expected.extend([16, 0, 0, 0, 2, b'k', 2, b'v', 0]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_truncation_is_no_whole_batch() {
        let bytes = encode(&sample(5), Compression::None);
        for end in 0..bytes.len() {
            assert!(matches!(decode_batch(&bytes[..end], BYTES_MAX), Ok(None)), "{end}");
        }
    }

    #[test]
    fn every_flipped_bit_behind_the_checksum_is_found() {
        let bytes = encode(&sample(3), Compression::None);
        for bit in 17 * 8..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = decode_batch(&bad, BYTES_MAX);
            assert!(
                matches!(refused, Err(RecordsError::Batch(BatchError::BadCrc { .. }))),
                "{bit}: {refused:?}"
            );
        }
    }

    /// Damage with a matching checksum, as a hostile peer would send it: an error or a decoding, never a panic.
    #[test]
    fn hostile_bytes_with_a_right_checksum() {
        let mut rng = Rng::new(3);
        for round in 0..20_000 {
            let mut bytes = encode(&sample(1 + round % 4), Compression::None);
            for _ in 0..=rng.below(3) {
                let at = CRC_START + rng.below((bytes.len() - CRC_START) as u64) as usize;
                bytes[at] = rng.next_u64() as u8;
            }
            let crc = crc32c(&bytes[CRC_START..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            if let Ok(Some((batch, taken))) = decode_batch(&bytes, BYTES_MAX) {
                assert_eq!(taken, bytes.len());
                assert!(batch.records.len() <= bytes.len());
            }
        }
    }

    #[test]
    fn contradictions_are_errors() {
        #[track_caller]
        fn check(change: impl Fn(&mut Vec<u8>)) {
            let mut bytes = encode(&sample(3), Compression::None);
            change(&mut bytes);
            let crc = crc32c(&bytes[CRC_START..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
            assert!(decode_batch(&bytes, BYTES_MAX).is_err());
        }
        check(|bytes| bytes[8..12].copy_from_slice(&(-1_i32).to_be_bytes()));
        check(|bytes| bytes[8..12].copy_from_slice(&48_i32.to_be_bytes()));
        check(|bytes| bytes[16] = 1);
        check(|bytes| bytes[22] = 6);
        check(|bytes| bytes[23..27].copy_from_slice(&1_i32.to_be_bytes()));
        check(|bytes| bytes[23..27].copy_from_slice(&(-1_i32).to_be_bytes()));
        check(|bytes| bytes[57..61].copy_from_slice(&i32::MAX.to_be_bytes()));
        check(|bytes| bytes[57..61].copy_from_slice(&(-1_i32).to_be_bytes()));
        check(|bytes| bytes[57..61].copy_from_slice(&2_i32.to_be_bytes()));
    }

    #[test]
    fn log_append_time_and_control() {
        let mut bytes = encode(&sample(3), Compression::None);
        bytes[22] |= 0x28;
        bytes[35..43].copy_from_slice(&42_i64.to_be_bytes());
        let crc = crc32c(&bytes[CRC_START..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        let (batch, _) = decode_batch(&bytes, BYTES_MAX).expect("decodes").expect("is whole");
        assert!(batch.control);
        assert!(batch.records.iter().all(|record| record.timestamp == WallMs(42)));
    }
}
