//! Seeded fuzzers for everything in this crate that reads bytes from outside: batches, records, compressed records,
//! and the log's own small files. Only built with the feature `fuzz`.
//!
//! [`FUZZERS`] lists them all. Inputs are valid ones, damaged, because noise hardly gets past the first checksum; where a
//! checksum guards the fields, it is made to fit again, as a hostile writer would.
//!
//! What must hold: no panic; no more output than allowed; what decodes encodes to the same bytes.

use corelane_base::fuzz::{Fuzzer, damage};
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;

use crate::batch::{self, BatchHeader, Compression, HEADER_SIZE, TimestampType};
use crate::builder::BatchBuilder;
use crate::codec::{self, Codec};
use crate::epochs::Epochs;
use crate::filter::{self, Filtered, WhenEmpty};
use crate::index::SegmentIndex;
use crate::produced::{ProduceRules, check_produced};
use crate::producers::Producers;
use crate::recompress;
use crate::records;
use crate::scan::{Found, Scanner};

/// Every fuzzer.
pub const FUZZERS: &[Fuzzer] = &[
    Fuzzer { name: "produced batch", run: fuzz_produced },
    Fuzzer { name: "stored batches", run: fuzz_stored },
    Fuzzer { name: "records", run: fuzz_records },
    Fuzzer { name: "compressed records", run: fuzz_compressed },
    Fuzzer { name: "compacted batches", run: fuzz_filter },
    Fuzzer { name: "small files", run: fuzz_small_files },
];

const OUTPUT_MAX: usize = 64 << 10;

/// A valid batch.
fn draw_batch(rng: &mut Rng, base_offset: Offset) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.base_offset = base_offset;
    builder.compression = Compression::ALL[rng.below(5) as usize];
    if rng.one_in(2) {
        builder.producer_id = ProducerId(rng.below(9) as i64);
        builder.producer_epoch = ProducerEpoch(rng.below(3) as i16);
        builder.base_sequence = rng.below(1 << 31) as i32;
    }
    for _ in 0..=rng.below(6) {
        let value = vec![rng.next_u64() as u8; rng.below(200) as usize];
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"name", None), (b"name", Some(b"value"))];
        let count = rng.below(3) as usize;
        let key = rng.one_in(2).then_some(&b"key"[..]);
        builder.push_with_headers(WallMs(rng.below(1 << 41) as i64), key, Some(&value), &headers[..count]);
    }
    builder.build().to_vec()
}

/// Makes length and CRC fit again what damage left, if a header is left.
fn mend(batch: &mut [u8]) {
    if batch.len() >= HEADER_SIZE {
        let length = i32::try_from(batch.len() - batch::LENGTH_OVERHEAD).expect("a short batch");
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch::stamp_crc(batch);
    }
}

fn fuzz_produced(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    let rules = ProduceRules {
        batch_bytes_max: 1 << 20,
        segment_bytes: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        zstd_allowed: true,
    };
    let mut producers = Producers::new(4);
    for iteration in 0..iterations {
        let mut bytes = draw_batch(&mut rng, Offset(0));
        assert!(check_produced(&bytes, &rules, WallMs(0)).is_ok(), "seed {seed} iteration {iteration}");
        damage(&mut rng, &mut bytes);
        if rng.one_in(2) {
            mend(&mut bytes);
        }
        let Ok(header) = check_produced(&bytes, &rules, WallMs(0)) else { continue };
        assert_eq!(header.size_bytes(), bytes.len(), "seed {seed} iteration {iteration}");
        assert!(header.record_count() > 0, "seed {seed} iteration {iteration}");
        let header = batch::stamp(&mut bytes, Offset(iteration as i64 * 1000), LeaderEpoch(1));
        assert!(matches!(batch::check_stored(&bytes), Ok(Some(_))), "what is taken can be read back");
        if producers.check(&header).is_ok() {
            producers.on_appended(&header);
        }
    }
}

fn fuzz_stored(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for iteration in 0..iterations {
        let mut file = Vec::new();
        let mut offset = Offset(0);
        for _ in 0..rng.below(4) {
            let batch = draw_batch(&mut rng, offset);
            offset = header_of(&batch).next_offset();
            file.extend_from_slice(&batch);
        }
        let whole = file.len();
        file.resize(whole + rng.below(200) as usize, 0);
        if rng.one_in(2) {
            damage(&mut rng, &mut file);
        }
        let gaps = rng.one_in(2);
        let mut scanner = Scanner::new(0, file.len() as u64, Offset(0), gaps, LeaderEpoch(-1), 1 << 20);
        let mut index = SegmentIndex::new(Offset(0), 64);
        loop {
            let before = scanner.position();
            match scanner.next() {
                Found::Batch(header) => {
                    assert!(scanner.position() > before, "seed {seed} iteration {iteration}");
                    if !index.fits(header.last_offset()) {
                        break;
                    }
                    index.on_appended(&header, before as u32);
                }
                Found::More { position, len } => {
                    let end = (position as usize + len as usize).min(file.len());
                    scanner.feed(&file[position as usize..end]);
                }
                Found::Zeros | Found::Invalid => break,
            }
        }
        assert!(scanner.position() <= file.len() as u64, "seed {seed} iteration {iteration}");
    }
}

fn header_of(batch: &[u8]) -> BatchHeader {
    batch::peek(batch).expect("our own batch").expect("whole")
}

fn fuzz_records(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for iteration in 0..iterations {
        let mut bytes = draw_batch(&mut rng, Offset(5));
        for _ in 0..rng.below(3) {
            damage(&mut rng, &mut bytes);
        }
        mend(&mut bytes);
        let Ok((header, payload)) = records::payload(&bytes, OUTPUT_MAX) else { continue };
        assert!(payload.len() <= OUTPUT_MAX.max(bytes.len()), "seed {seed} iteration {iteration}");
        let mut count = 0;
        for record in records::iter(&header, &payload).map_while(Result::ok) {
            assert_eq!(record.headers.iter().count(), record.headers.count(), "seed {seed} {iteration}");
            count += 1;
        }
        assert!(count <= header.record_count().max(0), "seed {seed} iteration {iteration}");
        let _ = records::first_at_or_after(&bytes, WallMs(1 << 40), Offset(6), OUTPUT_MAX);
        let _ = records::max_timestamp_record(&bytes, OUTPUT_MAX);
        let _ = records::keyless(&bytes, OUTPUT_MAX, 2);
        let codec = Codec::at_default_level(Compression::ALL[rng.below(5) as usize]);
        if let Ok(batch) = recompress::recompress(&bytes, codec, OUTPUT_MAX) {
            let (_, payload_again) =
                records::payload(&batch, OUTPUT_MAX.max(bytes.len())).expect("just made");
            assert!(payload_again == payload, "seed {seed} iteration {iteration}");
        }
    }
}

fn fuzz_compressed(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for iteration in 0..iterations {
        let compression = Compression::ALL[rng.below(5) as usize];
        let plain = vec![rng.next_u64() as u8; rng.below(OUTPUT_MAX as u64 * 2) as usize];
        let mut bytes = codec::compress(compression, &plain).into_owned();
        match codec::decompress(compression, &bytes, OUTPUT_MAX) {
            Ok(back) => assert!(back == plain, "seed {seed} iteration {iteration}"),
            Err(error) => {
                assert_eq!(error, codec::CodecError::OutputTooLarge, "seed {seed} iteration {iteration}");
                assert!(plain.len() > OUTPUT_MAX, "seed {seed} iteration {iteration}");
            }
        }
        for _ in 0..=rng.below(3) {
            damage(&mut rng, &mut bytes);
            if let Ok(output) = codec::decompress(compression, &bytes, OUTPUT_MAX) {
                assert!(output.len() <= OUTPUT_MAX, "seed {seed} iteration {iteration}");
            }
        }
    }
}

/// Makes the CRC at the end of a sealed table fit again.
fn reseal(bytes: &mut [u8]) {
    if let Some(at) = bytes.len().checked_sub(4) {
        let crc = crc32fast::hash(&bytes[..at]);
        bytes[at..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// What compaction makes of a damaged batch is an error or a valid batch of the same offsets, and what it leaves once it
/// leaves again.
fn fuzz_filter(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for iteration in 0..iterations {
        let mut bytes = draw_batch(&mut rng, Offset(rng_offset(iteration)));
        if rng.one_in(3) {
            damage(&mut rng, &mut bytes);
            mend(&mut bytes);
        }
        let Ok(Some(before)) = batch::check_stored(&bytes) else { continue };
        let when_empty = if rng.one_in(2) { WhenEmpty::Delete } else { WhenEmpty::KeepHeader };
        let (horizon, is_marker) = (WallMs(rng.below(1 << 42) as i64), rng.one_in(9));
        let kept: u64 = rng.next_u64();
        let stays = |record: &records::Record<'_>| kept >> (record.offset.0 & 63) & 1 == 1;
        let left = filter::filter(&bytes, OUTPUT_MAX, when_empty, horizon, is_marker, stays);
        let Ok(Filtered::Rewritten(after)) = left else { continue };
        let place = format!("seed {seed} iteration {iteration}");
        let header = batch::check_stored(&after).expect(&place).expect("whole");
        assert_eq!(header.size_bytes(), after.len(), "{place}");
        assert_eq!(
            (header.base_offset(), header.last_offset()),
            (before.base_offset(), before.last_offset())
        );
        assert_eq!(header.last_sequence(), before.last_sequence(), "{place}");
        assert!(header.record_count() <= before.record_count(), "{place}");
        let (header, payload) = records::payload(&after, OUTPUT_MAX).expect(&place);
        let mut count = 0;
        for record in records::iter(&header, &payload) {
            assert!(stays(&record.expect(&place)), "{place}");
            count += 1;
        }
        assert_eq!(count, header.record_count(), "{place}");
        let again = filter::filter(&after, OUTPUT_MAX, WhenEmpty::KeepHeader, horizon, is_marker, stays);
        assert_eq!(again, Ok(Filtered::Unchanged), "{place}");
    }
}

fn rng_offset(iteration: u64) -> i64 {
    (iteration as i64 % 1000) * 100
}

fn fuzz_small_files(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for iteration in 0..iterations {
        let (mut epochs, mut producers) = (Epochs::new(), Producers::new(4));
        let mut index = SegmentIndex::new(Offset(0), 64);
        for number in 0..rng.below(6) as i32 {
            epochs.assign(LeaderEpoch(number), Offset(i64::from(number) * 7));
            let header =
                header_of(&draw_batch(&mut rng, Offset(0))).at(index.next_offset(), LeaderEpoch(number));
            producers.on_appended(&header);
            index.on_appended(&header, index.end_position());
        }
        let place = format!("seed {seed} iteration {iteration}");
        let sealed = |encode: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = Vec::new();
            encode(&mut bytes);
            bytes
        };
        let mut spoil = |mut bytes: Vec<u8>, recode: &dyn Fn(&[u8]) -> Option<Vec<u8>>| {
            assert!(recode(&bytes).as_ref() == Some(&bytes), "{place}");
            damage(&mut rng, &mut bytes);
            reseal(&mut bytes);
            if let Some(again) = recode(&bytes) {
                assert!(again == bytes, "{place}");
            }
        };
        spoil(sealed(&|out| epochs.encode(out)), &|bytes| {
            Epochs::decode(bytes).ok().map(|back| sealed(&|out| back.encode(out)))
        });
        spoil(sealed(&|out| producers.encode(out)), &|bytes| {
            Producers::decode(bytes, 4).ok().map(|back| sealed(&|out| back.encode(out)))
        });
        spoil(sealed(&|out| index.encode(out)), &|bytes| {
            SegmentIndex::decode(bytes).ok().map(|back| sealed(&|out| back.encode(out)))
        });
    }
}
