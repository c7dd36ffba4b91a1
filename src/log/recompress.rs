//! What a topic's `compression.type` makes of a batch that was compressed otherwise: the same records, compressed anew.
//!
//! Everything but the records' bytes, their length and the checksum stays: offsets, timestamps, producer fields, the
//! kind of the batch. A batch that has the right compression already is never looked into, at whatever level its
//! producer compressed it. Source: Kafka `LogValidator`; deviation: Kafka numbers the records from 0 again, here a batch
//! whose records are numbered otherwise keeps their numbers, as it does without recompression.

use crate::batch::{BatchHeader, Compression, Rewrite};
use crate::codec::{self, Codec};
use crate::records::{self, RecordError};

/// Whether a batch with this header, which was checked, is to be compressed anew. One without records is not, and an
/// uncompressed control batch stays so, as in Kafka.
#[must_use]
pub fn is_due(header: &BatchHeader, codec: Codec) -> bool {
    let stays_plain = header.is_control() && header.compression() == Ok(Compression::None);
    header.compression() != Ok(codec.compression) && header.record_count() > 0 && !stays_plain
}

/// The batch at the start of `batch`, which was checked, with its records compressed by `codec`.
/// Errors: not every record decodes, or they are compressed and more than `output_max` bytes.
pub fn recompress(batch: &[u8], codec: Codec, output_max: usize) -> Result<Vec<u8>, RecordError> {
    let (header, payload) = records::payload(batch, output_max)?;
    for record in records::iter(&header, &payload) {
        record?;
    }
    let records = codec::compress_as(codec, &payload);
    let rewrite = Rewrite {
        compression: codec.compression,
        delete_horizon: header.has_delete_horizon(),
        base_timestamp: header.base_timestamp(),
        max_timestamp: header.max_timestamp(),
        record_count: header.record_count(),
        records_size: records.len(),
    };
    Ok(header.rewritten(&rewrite).with_records(&records))
}

#[cfg(test)]
mod tests {
    use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
    use corelane_base::rng::Rng;
    use corelane_base::time::WallMs;

    use super::*;
    use crate::batch::{self, HEADER_SIZE};
    use crate::builder::BatchBuilder;
    use crate::codec::decompress;

    const OUTPUT_MAX: usize = 1 << 20;

    fn header(batch: &[u8]) -> BatchHeader {
        batch::check_stored(batch).expect("valid").expect("whole")
    }

    /// Records with and without key, value and headers, of a transactional producer.
    fn sample(compression: Compression) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.base_offset = Offset(41);
        builder.leader_epoch = LeaderEpoch(3);
        builder.compression = compression;
        builder.producer_id = ProducerId(7);
        builder.producer_epoch = ProducerEpoch(2);
        builder.base_sequence = i32::MAX - 1;
        builder.transactional = true;
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"trace", Some(&[1, 2, 3])), (b"none", None)];
        builder.push_with_headers(WallMs(1_000), Some(b"key-1"), Some(b"value-1"), &headers);
        builder.push(WallMs(999), None, Some(&[b'a'; 70_000]));
        builder.push(WallMs(5_000), Some(b""), None);
        builder.push(WallMs(-1), Some(b"key-4"), Some(b""));
        builder.build().to_vec()
    }

    /// Recompresses, and compares everything that is to stay.
    fn check(before: &[u8], codec: Codec) -> Vec<u8> {
        assert!(is_due(&header(before), codec));
        let after = recompress(before, codec, OUTPUT_MAX).expect("valid");
        let (was, is) = (header(before), header(&after));
        assert_eq!(is.compression(), Ok(codec.compression));
        assert!(!is_due(&is, codec));
        assert_eq!(is.size_bytes(), after.len());
        // Base offset, leader epoch and magic; then all from the last offset delta to the record count.
        assert_eq!((&after[..8], &after[12..17]), (&before[..8], &before[12..17]));
        assert_eq!(after[23..HEADER_SIZE], before[23..HEADER_SIZE]);
        assert_eq!(is.attributes() ^ codec.compression as i16, was.attributes() & !7);
        let (_, old) = records::payload(before, OUTPUT_MAX).expect("valid");
        let (_, new) = records::payload(&after, OUTPUT_MAX).expect("valid");
        let (old, new) = (records::iter(&was, &old), records::iter(&is, &new));
        let headers = |record: &records::Record<'_>| {
            record.headers.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
        };
        let mut count = 0;
        for (old, new) in old.zip(new) {
            let (old, new) = (old.expect("valid"), new.expect("valid"));
            assert_eq!((old.offset, old.timestamp), (new.offset, new.timestamp));
            assert_eq!((old.key, old.value), (new.key, new.value));
            let (old, new): (Vec<_>, Vec<_>) = (headers(&old), headers(&new));
            assert_eq!(old, new);
            count += 1;
        }
        assert_eq!(count, was.record_count());
        after
    }

    #[test]
    fn between_every_two_compressions_only_the_compression_changes() {
        for from in Compression::ALL {
            for to in Compression::ALL.into_iter().filter(|to| *to != from) {
                let before = sample(from);
                let there = check(&before, Codec::at_default_level(to));
                let back = check(&there, Codec::at_default_level(from));
                assert_eq!(back, before, "{from:?} to {to:?} and back");
                for name in ["none", "gzip", "snappy", "lz4", "zstd"] {
                    let golden = batch::tests::golden(name);
                    if header(&golden).compression() != Ok(to) {
                        check(&golden, Codec::at_default_level(to));
                    }
                }
            }
            assert!(!is_due(&header(&sample(from)), Codec { compression: from, level: 9 }), "at any level");
        }
    }

    #[test]
    fn append_time_stays() {
        let after = check(&batch::tests::golden("transactional"), Codec::at_default_level(Compression::Zstd));
        let header = header(&after);
        assert!(header.is_transactional());
        assert_eq!(header.timestamp_type(), batch::TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp(), WallMs(1_800_000_000_000));
    }

    #[test]
    fn control_batches_stay_uncompressed_and_bare_headers_bare() {
        let marker = batch::tests::golden("marker");
        let mut builder = BatchBuilder::new();
        builder.control = true;
        builder.compression = Compression::Gzip;
        let compressed = builder.push(WallMs(1), Some(&[0, 0, 0, 1]), Some(&[0; 6])).build();
        let bare = header(&sample(Compression::Lz4)).rewritten(&Rewrite {
            compression: Compression::None,
            delete_horizon: false,
            base_timestamp: WallMs(-1),
            max_timestamp: WallMs(5_000),
            record_count: 0,
            records_size: 0,
        });
        for compression in Compression::ALL {
            let codec = Codec::at_default_level(compression);
            assert!(!is_due(&header(&marker), codec));
            assert!(!is_due(&bare, codec));
        }
        assert!(header(&check(&compressed, Codec::at_default_level(Compression::None))).is_control());
    }

    #[test]
    fn levels_are_tried() {
        let mut rng = Rng::new(1);
        let words: Vec<Vec<u8>> =
            (0..500).map(|_| (0..=rng.below(9)).map(|_| rng.next_u64() as u8).collect()).collect();
        let text: Vec<u8> =
            (0..40_000).flat_map(|_| words[rng.below(500).min(rng.below(500)) as usize].clone()).collect();
        let size = |compression, level| {
            let bytes = codec::compress_as(Codec { compression, level }, &text);
            assert_eq!(decompress(compression, &bytes, OUTPUT_MAX).as_deref(), Ok(&text[..]));
            bytes.len()
        };
        use Compression::{Gzip, Lz4, Zstd};
        assert!(size(Gzip, 9) < size(Gzip, 1));
        assert_eq!(size(Gzip, -1), size(Gzip, 6));
        assert!(size(Zstd, 22) < size(Zstd, 3));
        assert!(size(Zstd, 3) < size(Zstd, -50));
        assert_eq!(size(Zstd, 0), size(Zstd, 3));
        assert!(size(Zstd, -131_072) >= size(Zstd, -50));
        assert_eq!(size(Lz4, 1), size(Lz4, 17), "one method");
    }

    #[test]
    fn damage_is_an_error_and_bombs_are_bounded() {
        let mut rng = Rng::new(2);
        for from in Compression::ALL {
            let codec = Codec::at_default_level(Compression::ALL[(from as usize + 1) % 5]);
            let batch = sample(from);
            for _ in 0..200 {
                let mut damaged = batch.clone();
                let at = HEADER_SIZE + rng.below((batch.len() - HEADER_SIZE) as u64) as usize;
                damaged[at] ^= 1 << rng.below(8);
                // Whatever comes of it is a valid batch or an error.
                if let Ok(after) = recompress(&damaged, codec, OUTPUT_MAX) {
                    header(&after);
                }
            }
            let mut garbage = batch[..HEADER_SIZE + 40].to_vec();
            garbage[8..12].copy_from_slice(&(HEADER_SIZE as i32 + 40 - 12).to_be_bytes());
            garbage[HEADER_SIZE..].fill(0xa5);
            let expected = match from {
                Compression::None => RecordError::Malformed { index: 0 },
                _ => RecordError::Decompression,
            };
            assert_eq!(recompress(&garbage, codec, OUTPUT_MAX), Err(expected), "{from:?}");
            if from != Compression::None {
                let refused = recompress(&batch, codec, 70_000);
                assert_eq!(refused, Err(RecordError::OutputTooLarge { size_bytes_max: 70_000 }));
            }
        }
    }
}
