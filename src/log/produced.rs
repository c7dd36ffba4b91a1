//! What a leader demands of a batch that a producer sent, before it appends it.
//!
//! Looks at the header and its checksum (`batch.rs`), at no record; `records.rs` does.

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::{BatchError, BatchHeader, Compression, TimestampType, check_crc, peek};

/// What `check_produced` holds a client's batch against: settings of the topic and version of the request.
#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    /// `max.message.bytes`: the largest batch, header included, in bytes.
    pub batch_bytes_max: u32,
    /// `segment.bytes`: what no batch may exceed, because it could be put nowhere.
    pub segment_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far a timestamp may lie in the past.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far a timestamp may lie in the future.
    pub timestamp_after_max_ms: i64,
    /// Whether zstd is allowed: from version 7 of the produce request on.
    pub zstd_allowed: bool,
}

/// Checks a batch from a client as Kafka's leader does before it appends: `batch` must be exactly one batch.
///
/// Looks at the header and at every byte for the CRC, at no record: what Kafka finds in the records themselves
/// (malformed varints, a max timestamp that no record has, keyless records for a compacted topic) is not found
/// here; `records.rs` has checks for those who need them. Timestamps are judged by the header's two, of which the
/// smaller need not be the smallest of the records'. Order of the checks as in Kafka, so that of two faults the same
/// one is named. Errors: every variant but `OffsetOverflow`.
/// Source: Kafka `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`.
pub fn check_produced(batch: &[u8], rules: &ProduceRules, now: WallMs) -> Result<BatchHeader, BatchError> {
    let Some(header) = peek(batch)? else { return Err(BatchError::Truncated { size_bytes: batch.len() }) };
    if header.size_bytes() > batch.len() {
        return Err(BatchError::Truncated { size_bytes: batch.len() });
    }
    let compression = header.compression()?;
    if compression == Compression::Zstd && !rules.zstd_allowed {
        return Err(BatchError::ZstdTooEarly);
    }
    if header.size_bytes() < batch.len() {
        return Err(BatchError::TrailingBytes { size_bytes: batch.len() - header.size_bytes() });
    }
    if header.base_offset() != Offset(0) {
        return Err(BatchError::BaseOffsetNotZero { base_offset: header.base_offset() });
    }
    check_size(&header, rules)?;
    check_crc(&header, batch)?;
    check_client_fields(&header)?;
    check_timestamps(&header, rules, now)?;
    Ok(header)
}

/// Errors: `TooLarge`, `LargerThanSegment`.
pub(crate) fn check_size(header: &BatchHeader, rules: &ProduceRules) -> Result<(), BatchError> {
    let size_bytes = u32::try_from(header.size_bytes()).expect("12 + i32::MAX fits");
    if size_bytes > rules.batch_bytes_max {
        return Err(BatchError::TooLarge { size_bytes, size_bytes_max: rules.batch_bytes_max });
    }
    if size_bytes > rules.segment_bytes {
        return Err(BatchError::LargerThanSegment { size_bytes, size_bytes_max: rules.segment_bytes });
    }
    Ok(())
}

fn check_client_fields(header: &BatchHeader) -> Result<(), BatchError> {
    let (record_count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
    if record_count <= 0 || last_offset_delta < 0 || record_count - 1 != last_offset_delta {
        return Err(BatchError::BadCount { record_count, last_offset_delta });
    }
    if header.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    if header.has_producer() && (header.base_sequence() < 0 || header.producer_epoch().0 < 0) {
        return Err(BatchError::BadProducer {
            producer_id: header.producer_id(),
            producer_epoch: header.producer_epoch(),
            base_sequence: header.base_sequence(),
        });
    }
    Ok(())
}

/// -1 stands for "no timestamp" and is always allowed.
fn check_timestamps(header: &BatchHeader, rules: &ProduceRules, now: WallMs) -> Result<(), BatchError> {
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::AppendTimeFromClient);
    }
    if rules.timestamp_type == TimestampType::LogAppendTime {
        return Ok(());
    }
    let earliest = WallMs(now.0.saturating_sub(rules.timestamp_before_max_ms));
    let latest = WallMs(now.0.saturating_add(rules.timestamp_after_max_ms));
    for timestamp in [header.base_timestamp(), header.max_timestamp()] {
        if timestamp != WallMs(-1) && !(earliest..=latest).contains(&timestamp) {
            return Err(BatchError::TimestampOutOfRange { timestamp, earliest, latest });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::stamp_crc;
    use crate::batch::tests::{NOW, golden, patched, sample};

    const RULES: ProduceRules = ProduceRules {
        batch_bytes_max: 1_048_588,
        segment_bytes: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        zstd_allowed: true,
    };

    #[test]
    fn batches_of_the_java_client_are_taken() {
        for name in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let rules = ProduceRules { timestamp_after_max_ms: 86_400_000, ..RULES };
            let header = check_produced(&golden(name), &rules, NOW).expect(name);
            assert_eq!(header.record_count(), 4);
        }
    }

    #[test]
    fn what_a_leader_refuses() {
        let check = |batch: &[u8], rules: &ProduceRules, expected: BatchError| {
            assert_eq!(check_produced(batch, rules, NOW).err(), Some(expected));
        };
        let good = sample();
        assert_eq!(check_produced(&good, &RULES, NOW).map(|header| header.record_count()), Ok(3));
        check(&[], &RULES, BatchError::Truncated { size_bytes: 0 });
        for size_bytes in 1..good.len() {
            check(&good[..size_bytes], &RULES, BatchError::Truncated { size_bytes });
        }
        let twice = [&good[..], &good[..]].concat();
        check(&twice, &RULES, BatchError::TrailingBytes { size_bytes: good.len() });
        check(&[&good[..], &[0]].concat(), &RULES, BatchError::TrailingBytes { size_bytes: 1 });
        for length in [i32::MIN, -1, 0, 13, 14, 48] {
            check(&patched(8, &length.to_be_bytes()), &RULES, BatchError::BadLength { length });
        }
        let size_bytes = good.len();
        check(&patched(8, &i32::MAX.to_be_bytes()), &RULES, BatchError::Truncated { size_bytes });
        for magic in [0, 1] {
            check(&patched(16, &[magic]), &RULES, BatchError::OldMagic { magic: magic as i8 });
        }
        for magic in [3, 127, 128, 255] {
            check(&patched(16, &[magic]), &RULES, BatchError::UnknownMagic { magic: magic as i8 });
        }
        for id in [5, 6, 7] {
            check(&patched(21, &[0, id]), &RULES, BatchError::UnknownCompression { id });
        }
        check(
            &patched(21, &[0, 4]),
            &ProduceRules { zstd_allowed: false, ..RULES },
            BatchError::ZstdTooEarly,
        );
        check(&patched(21, &[0, 0x20]), &RULES, BatchError::ControlFromClient);
        check(&patched(21, &[0, 0x08]), &RULES, BatchError::AppendTimeFromClient);
        let base_offset = Offset(1);
        check(&patched(0, &1_i64.to_be_bytes()), &RULES, BatchError::BaseOffsetNotZero { base_offset });
        let (size_bytes, size_bytes_max) = (size_bytes as u32, size_bytes as u32 - 1);
        let small = ProduceRules { batch_bytes_max: size_bytes_max, ..RULES };
        check(&good, &small, BatchError::TooLarge { size_bytes, size_bytes_max });
        let small = ProduceRules { segment_bytes: size_bytes_max, ..RULES };
        check(&good, &small, BatchError::LargerThanSegment { size_bytes, size_bytes_max });
        let just = ProduceRules { batch_bytes_max: size_bytes, segment_bytes: size_bytes, ..RULES };
        assert!(check_produced(&good, &just, NOW).is_ok());
    }

    #[test]
    fn counts_and_producers_that_contradict_themselves() {
        let counts =
            [(0, -1), (0, 0), (-1, -2), (2, 2), (4, 2), (i32::MIN, i32::MAX), (1, i32::MAX), (3, -3)];
        for (record_count, last_offset_delta) in counts {
            let mut batch = patched(57, &i32::to_be_bytes(record_count));
            batch[23..27].copy_from_slice(&i32::to_be_bytes(last_offset_delta));
            stamp_crc(&mut batch);
            let expected = BatchError::BadCount { record_count, last_offset_delta };
            assert_eq!(check_produced(&batch, &RULES, NOW).err(), Some(expected));
        }
        let check = |producer_id: i64, producer_epoch: i16, base_sequence: i32, good: bool| {
            let mut batch = patched(43, &producer_id.to_be_bytes());
            batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
            batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
            stamp_crc(&mut batch);
            let found = check_produced(&batch, &RULES, NOW);
            assert_eq!(found.is_ok(), good, "{producer_id} {producer_epoch} {base_sequence}");
        };
        check(0, 0, 0, true);
        check(i64::MAX, i16::MAX, i32::MAX, true);
        check(-1, -1, -1, true);
        check(7, 0, -1, false);
        check(7, -1, 0, false);
        check(7, 0, i32::MIN, false);
    }

    #[test]
    fn timestamps_within_bounds() {
        let rules = ProduceRules { timestamp_before_max_ms: 1000, timestamp_after_max_ms: 500, ..RULES };
        let append_time = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules };
        let check = |base: i64, max: i64, bad: Option<i64>| {
            let mut batch = patched(27, &base.to_be_bytes());
            batch[35..43].copy_from_slice(&max.to_be_bytes());
            stamp_crc(&mut batch);
            let expected = bad.map(|timestamp| BatchError::TimestampOutOfRange {
                timestamp: WallMs(timestamp),
                earliest: WallMs(NOW.0 - 1000),
                latest: WallMs(NOW.0 + 500),
            });
            assert_eq!(check_produced(&batch, &rules, NOW).err(), expected);
            assert!(check_produced(&batch, &append_time, NOW).is_ok(), "the leader's clock counts");
        };
        check(NOW.0, NOW.0, None);
        check(NOW.0 - 1000, NOW.0 + 500, None);
        check(-1, -1, None);
        check(NOW.0 - 1001, NOW.0, Some(NOW.0 - 1001));
        check(NOW.0, NOW.0 + 501, Some(NOW.0 + 501));
        check(i64::MIN, NOW.0, Some(i64::MIN));
        check(NOW.0, i64::MAX, Some(i64::MAX));
        let anything = ProduceRules { timestamp_after_max_ms: i64::MAX, ..RULES };
        for timestamp in [NOW.0 - i64::MAX, -2, 0, i64::MAX] {
            let batch = patched(35, &timestamp.to_be_bytes());
            assert!(check_produced(&batch, &anything, NOW).is_ok(), "no bounds are set: {timestamp}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found_but_in_the_leader_epoch() {
        for mut batch in [sample(), golden("zstd")] {
            let rules = ProduceRules { timestamp_after_max_ms: i64::MAX, ..RULES };
            for bit in 0..batch.len() * 8 {
                batch[bit / 8] ^= 0x80 >> (bit % 8);
                let good = (12..16).contains(&(bit / 8));
                assert_eq!(check_produced(&batch, &rules, NOW).is_ok(), good, "bit {bit}");
                batch[bit / 8] ^= 0x80 >> (bit % 8);
            }
        }
    }
}
