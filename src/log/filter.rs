//! What compaction leaves of one batch.
//!
//! A batch of which every record stays is left byte for byte as it is. Otherwise it is built anew from the records that
//! stay: same base offset, last offset, leader epoch, producer fields and compression, so that offsets never change and a
//! producer's sequence numbers stay readable from it. A batch of which nothing stays is gone, or, where somebody still
//! needs to know of it, a bare header.
//!
//! Tombstones (and markers that end nothing any more) live for a while after they were first cleaned. When that while
//! ends is written into the batch, in the place of its base timestamp: the *delete horizon*. The records' timestamps,
//! which are relative to it, are written anew then.
//! Source: Kafka `MemoryRecords.filterTo`, KIP-534.

use corelane_base::time::WallMs;

use crate::batch::{BatchHeader, Compression, HEADER_SIZE, Rewrite, TimestampType};
use crate::codec;
use crate::records::{self, Record, RecordError};

/// What becomes of a batch none of whose records stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenEmpty {
    /// It goes.
    Delete,
    /// Its header stays.
    KeepHeader,
}

/// What was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// Everything: the batch as it is.
    Unchanged,
    /// This batch instead.
    Rewritten(Vec<u8>),
    /// Nothing.
    Gone,
}

/// Filters the batch at the start of `batch`, which was checked, and whose records are at most `output_max` bytes when
/// decompressed. `horizon` is given to a batch in which a tombstone stays and that has none yet, and to any such batch
/// if `is_marker`. Errors: the records do not decode.
pub fn filter(
    batch: &[u8],
    output_max: usize,
    when_empty: WhenEmpty,
    horizon: WallMs,
    is_marker: bool,
    mut stays: impl FnMut(&Record<'_>) -> bool,
) -> Result<Filtered, RecordError> {
    let (header, payload) = records::payload(batch, output_max)?;
    let mut kept = Kept::default();
    let mut iter = records::iter(&header, &payload);
    loop {
        let before = iter.rest();
        let Some(record) = iter.next() else { break };
        let record = record?;
        if stays(&record) {
            let size = before.len() - iter.rest().len();
            kept.push(&record, payload.len() - before.len(), size);
        }
    }
    if kept.count == 0 {
        let is_bare = header.size_bytes() == HEADER_SIZE && header.record_count() == 0;
        return Ok(match when_empty {
            WhenEmpty::Delete => Filtered::Gone,
            WhenEmpty::KeepHeader if is_bare => Filtered::Unchanged,
            WhenEmpty::KeepHeader => Filtered::Rewritten(bare(&header)),
        });
    }
    let wants_horizon = (kept.tombstones || is_marker) && !header.has_delete_horizon();
    let rebased = if wants_horizon { rebase(&header, &payload, &kept, horizon) } else { None };
    if kept.count == header.record_count() && rebased.is_none() {
        return Ok(Filtered::Unchanged);
    }
    let has_horizon = rebased.is_some();
    let bytes = rebased.unwrap_or_else(|| kept.copy(&payload));
    let base_timestamp = if has_horizon { horizon } else { header.base_timestamp() };
    Ok(Filtered::Rewritten(build(&header, &kept, &bytes, base_timestamp, has_horizon)))
}

/// The records that stay, as ranges of the payload; neighbours are one range.
#[derive(Debug, Default)]
struct Kept {
    ranges: Vec<(usize, usize)>,
    count: i32,
    tombstones: bool,
    max_timestamp: Option<WallMs>,
}

impl Kept {
    fn push(&mut self, record: &Record<'_>, at: usize, size: usize) {
        self.count += 1;
        self.tombstones |= record.value.is_none();
        self.max_timestamp = self.max_timestamp.max(Some(record.timestamp));
        match self.ranges.last_mut() {
            Some((_, end)) if *end == at => *end = at + size,
            _ => self.ranges.push((at, at + size)),
        }
    }

    fn copy(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.ranges.iter().map(|(from, to)| to - from).sum());
        for &(from, to) in &self.ranges {
            out.extend_from_slice(&payload[from..to]);
        }
        out
    }
}

/// The records that stay, with timestamps relative to `horizon`. `None`: one of them is too far from it to be said.
fn rebase(header: &BatchHeader, payload: &[u8], kept: &Kept, horizon: WallMs) -> Option<Vec<u8>> {
    let shift = header.base_timestamp().0.checked_sub(horizon.0)?;
    let mut out = Vec::with_capacity(payload.len() + 8);
    for &(from, to) in &kept.ranges {
        let mut rest = &payload[from..to];
        while !rest.is_empty() {
            rest = records::shift_timestamp(rest, shift, &mut out)?;
        }
    }
    Some(out)
}

fn build(
    header: &BatchHeader,
    kept: &Kept,
    records: &[u8],
    base_timestamp: WallMs,
    new_horizon: bool,
) -> Vec<u8> {
    let compression = header.compression().expect("its records were read");
    let records = codec::compress(compression, records);
    let max_timestamp = match header.timestamp_type() {
        TimestampType::CreateTime => kept.max_timestamp.unwrap_or(header.max_timestamp()),
        TimestampType::LogAppendTime => header.max_timestamp(),
    };
    let rewrite = Rewrite {
        compression,
        delete_horizon: new_horizon || header.has_delete_horizon(),
        base_timestamp,
        max_timestamp,
        record_count: kept.count,
        records_size: records.len(),
    };
    header.rewritten(&rewrite).with_records(&records)
}

/// A batch of which only the header is left.
fn bare(header: &BatchHeader) -> Vec<u8> {
    let rewrite = Rewrite {
        compression: Compression::None,
        delete_horizon: false,
        base_timestamp: WallMs(-1),
        max_timestamp: header.max_timestamp(),
        record_count: 0,
        records_size: 0,
    };
    header.rewritten(&rewrite).with_records(&[])
}

#[cfg(test)]
mod tests {
    use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
    use corelane_base::rng::Rng;

    use super::*;
    use crate::batch;
    use crate::builder::BatchBuilder;

    const OUTPUT_MAX: usize = 1 << 20;
    const HORIZON: WallMs = WallMs(90_000);

    type Row = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, usize);

    fn rows(batch: &[u8]) -> Vec<Row> {
        let (header, payload) = records::payload(batch, OUTPUT_MAX).expect("valid");
        records::iter(&header, &payload)
            .map(|record| {
                let record = record.expect("valid");
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                let (key, value) = (owned(record.key), owned(record.value));
                (record.offset.0, record.timestamp.0, key, value, record.headers.count())
            })
            .collect()
    }

    /// Records 0 to 5 of producer 7 at offset 100, the second and the fifth being tombstones.
    fn sample(compression: Compression) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        builder.compression = compression;
        builder.base_offset = Offset(100);
        builder.leader_epoch = LeaderEpoch(3);
        builder.producer_id = ProducerId(7);
        builder.producer_epoch = ProducerEpoch(2);
        builder.base_sequence = 40;
        for i in 0..6_i64 {
            let value = (i % 3 != 1).then(|| vec![b'v'; 20 * i as usize]);
            let headers: [(&[u8], Option<&[u8]>); 1] = [(b"h", Some(b"x"))];
            let count = usize::from(i == 2);
            let key = [b'k', i as u8];
            builder.push_with_headers(WallMs(1_000 + i * 7), Some(&key), value.as_deref(), &headers[..count]);
        }
        builder.build().to_vec()
    }

    fn run(batch: &[u8], when_empty: WhenEmpty, is_marker: bool, stays: &[i64]) -> Filtered {
        filter(batch, OUTPUT_MAX, when_empty, HORIZON, is_marker, |record| stays.contains(&record.offset.0))
            .expect("valid")
    }

    #[test]
    fn what_stays_keeps_everything_but_its_neighbours() {
        for compression in Compression::ALL {
            let batch = sample(compression);
            let before = batch::check_stored(&batch).expect("valid").expect("whole");
            let check = |stays: &[i64], horizon: bool| {
                let Filtered::Rewritten(after) = run(&batch, WhenEmpty::Delete, false, stays) else {
                    panic!("{stays:?} is a part")
                };
                let header = batch::check_stored(&after).expect("valid").expect("whole");
                assert_eq!(header.size_bytes(), after.len());
                assert_eq!(header.base_offset(), before.base_offset());
                assert_eq!(header.last_offset(), before.last_offset());
                assert_eq!(header.last_sequence(), before.last_sequence());
                assert_eq!(
                    (header.producer_id(), header.producer_epoch()),
                    (ProducerId(7), ProducerEpoch(2))
                );
                assert_eq!(header.leader_epoch(), LeaderEpoch(3));
                assert_eq!(header.compression(), Ok(compression));
                assert_eq!(header.record_count() as usize, stays.len());
                assert_eq!(header.has_delete_horizon(), horizon);
                assert_eq!(header.base_timestamp(), if horizon { HORIZON } else { WallMs(1_000) });
                let expected: Vec<Row> =
                    rows(&batch).into_iter().filter(|row| stays.contains(&row.0)).collect();
                let last = expected.last().expect("something stays").1;
                assert_eq!(header.max_timestamp(), WallMs(last));
                assert_eq!(rows(&after), expected);
                after
            };
            check(&[100], false);
            check(&[102, 103], false);
            check(&[100, 105], false);
            let tombstone = check(&[101, 103], true);
            // The horizon is given once and stays, also when another record goes.
            assert_eq!(run(&tombstone, WhenEmpty::Delete, false, &[101, 103]), Filtered::Unchanged);
            let later = |_: &Record<'_>| true;
            let again = filter(&tombstone, OUTPUT_MAX, WhenEmpty::Delete, WallMs(1), false, later);
            assert_eq!(again, Ok(Filtered::Unchanged));
            let Filtered::Rewritten(one) = run(&tombstone, WhenEmpty::Delete, false, &[103]) else {
                panic!()
            };
            let header = batch::check_stored(&one).expect("valid").expect("whole");
            assert!(header.has_delete_horizon());
            assert_eq!(rows(&one), rows(&batch)[3..4]);
            let all = check(&[100, 101, 102, 103, 104, 105], true);
            assert_eq!(
                run(&all, WhenEmpty::Delete, true, &[100, 101, 102, 103, 104, 105]),
                Filtered::Unchanged
            );
        }
    }

    #[test]
    fn nothing_stays() {
        for compression in Compression::ALL {
            let batch = sample(compression);
            assert_eq!(run(&batch, WhenEmpty::Delete, false, &[]), Filtered::Gone);
            let Filtered::Rewritten(bare) = run(&batch, WhenEmpty::KeepHeader, false, &[]) else { panic!() };
            let header = batch::check_stored(&bare).expect("valid").expect("whole");
            assert_eq!((bare.len(), header.record_count()), (HEADER_SIZE, 0));
            assert_eq!((header.base_offset(), header.last_offset()), (Offset(100), Offset(105)));
            assert_eq!((header.base_sequence(), header.last_sequence()), (40, 45));
            assert_eq!((header.max_timestamp(), header.base_timestamp()), (WallMs(1_035), WallMs(-1)));
            assert_eq!(header.compression(), Ok(Compression::None));
            assert_eq!(run(&bare, WhenEmpty::KeepHeader, false, &[]), Filtered::Unchanged);
            assert_eq!(run(&bare, WhenEmpty::Delete, false, &[]), Filtered::Gone);
        }
    }

    #[test]
    fn a_batch_with_append_time_keeps_it() {
        let batch = batch::tests::golden("transactional");
        let Filtered::Rewritten(after) = run(&batch, WhenEmpty::Delete, false, &[41, 43]) else { panic!() };
        let header = batch::check_stored(&after).expect("valid").expect("whole");
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp(), WallMs(1_800_000_000_000));
        assert!(header.is_transactional());
        let expected: Vec<Row> = rows(&batch).into_iter().filter(|row| [41, 43].contains(&row.0)).collect();
        assert_eq!(rows(&after), expected);
    }

    #[test]
    fn a_marker_gets_a_horizon() {
        let marker = batch::tests::golden("marker");
        let all = |_: &Record<'_>| true;
        assert_eq!(
            filter(&marker, OUTPUT_MAX, WhenEmpty::Delete, HORIZON, false, all),
            Ok(Filtered::Unchanged),
            "its value is no tombstone"
        );
        let Ok(Filtered::Rewritten(after)) =
            filter(&marker, OUTPUT_MAX, WhenEmpty::Delete, HORIZON, true, all)
        else {
            panic!()
        };
        let header = batch::check_stored(&after).expect("valid").expect("whole");
        assert!(header.is_control() && header.has_delete_horizon());
        assert_eq!(header.base_timestamp(), HORIZON);
        assert_eq!(rows(&after), rows(&marker));
    }

    #[test]
    fn timestamps_too_far_from_the_horizon_go_without_one() {
        let mut builder = BatchBuilder::new();
        builder.push(WallMs(i64::MIN), Some(b"k"), None);
        let batch = builder.build();
        let all = |_: &Record<'_>| true;
        let left = filter(&batch, OUTPUT_MAX, WhenEmpty::Delete, HORIZON, false, all);
        assert_eq!(left, Ok(Filtered::Unchanged));
    }

    #[test]
    fn damage_is_an_error_and_bombs_are_bounded() {
        let mut rng = Rng::new(3);
        for compression in Compression::ALL {
            let batch = sample(compression);
            for _ in 0..200 {
                let mut damaged = batch.clone();
                let at = HEADER_SIZE + rng.below((batch.len() - HEADER_SIZE) as u64) as usize;
                damaged[at] ^= 1 << rng.below(8);
                // Whatever comes of it, it is a valid batch or an error.
                if let Ok(Filtered::Rewritten(after)) =
                    filter(&damaged, OUTPUT_MAX, WhenEmpty::KeepHeader, HORIZON, false, |_| rng.one_in(2))
                {
                    assert!(matches!(batch::check_stored(&after), Ok(Some(_))));
                    rows(&after);
                }
            }
        }
        let mut builder = BatchBuilder::new();
        builder.compression = Compression::Zstd;
        builder.push(WallMs(0), Some(b"k"), Some(&vec![0; 1 << 20]));
        let bomb = builder.build();
        let left = filter(&bomb, 1000, WhenEmpty::Delete, HORIZON, false, |_| true);
        assert_eq!(left, Err(RecordError::OutputTooLarge { size_bytes_max: 1000 }));
    }
}
