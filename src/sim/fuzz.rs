//! Every decoder's fuzzer in one registry: the wire codec's own, and those of what lies in files.
//!
//! A fuzzer is a function of a seed and a number of iterations. Inputs are sound ones that were damaged, because
//! noise hardly ever gets past a first length; batches get their checksum renewed half of the time, so that the damage
//! reaches what lies behind it. What must hold: no panic, no output beyond the caller's limit, and whatever decodes
//! encodes to something that decodes to the same.

use bytes::Bytes;
use corelane_base::crc::crc32c;
use corelane_base::id::{LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_control::record::{MetadataRecord, decode_set, encode_set};
use corelane_log::batch::{self, Compression, ProduceRules, TimestampType, check_produced, check_stored};
use corelane_log::builder::BatchBuilder;
use corelane_log::epochs::Epochs;
use corelane_log::index::SegmentIndex;
use corelane_log::producers::Producers;
use corelane_log::records;
use corelane_node::checkpoint;
use corelane_node::mesh::PartitionKey;
use corelane_wire::fuzz::{FUZZERS, Fuzzer};

/// What decompression may give at most in these runs.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
const PRODUCERS_MAX: usize = 100;

/// All fuzzers.
pub fn registry() -> impl Iterator<Item = Fuzzer> {
    let own = [
        Fuzzer { name: "batch", run: fuzz_batch },
        Fuzzer { name: "records", run: fuzz_records },
        Fuzzer { name: "index", run: fuzz_index },
        Fuzzer { name: "epochs", run: fuzz_epochs },
        Fuzzer { name: "producers", run: fuzz_producers },
        Fuzzer { name: "metadata records", run: fuzz_metadata },
        Fuzzer { name: "checkpoint", run: fuzz_checkpoint },
    ];
    FUZZERS.iter().copied().chain(own)
}

/// Damages `bytes` in one of the ways that files and peers do.
fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.extend((0..rng.below(20)).map(|_| rng.next_u64() as u8)),
            2 if at + 4 <= bytes.len() => bytes[at..at + 4].fill(0xff),
            3 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            _ => {}
        }
    }
}

fn sample_batch(rng: &mut Rng) -> Vec<u8> {
    let compressions =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut builder = BatchBuilder::new();
    builder.compression = compressions[rng.below(5) as usize];
    builder.base_offset = Offset(rng.below(1000) as i64);
    if rng.one_in(2) {
        builder.producer_id = ProducerId(rng.below(9) as i64);
        builder.producer_epoch = corelane_base::id::ProducerEpoch(1);
        builder.base_sequence = rng.below(1000) as i32;
    }
    for _ in 0..1 + rng.below(20) {
        let value = vec![rng.next_u64() as u8; rng.below(100) as usize];
        let key = rng.next_u64().to_be_bytes();
        let key = rng.one_in(2).then_some(&key[..]);
        let time = WallMs(1_700_000_000_000 + rng.below(1000) as i64);
        builder.push_with_headers(time, key, Some(&value), &[(b"name", None), (b"name", Some(b"x"))]);
    }
    builder.build().to_vec()
}

/// A damaged batch, its checksum right half of the time.
fn damaged_batch(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = sample_batch(rng);
    damage(rng, &mut bytes);
    if bytes.len() > batch::HEADER_SIZE && rng.one_in(2) {
        let len = (bytes.len() - batch::LENGTH_OVERHEAD) as i32;
        bytes[8..12].copy_from_slice(&len.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn fuzz_batch(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    let rules = ProduceRules {
        batch_bytes_max: 1 << 20,
        segment_bytes: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 1000,
        zstd_allowed: rng.one_in(2),
    };
    for _ in 0..count {
        let bytes = damaged_batch(&mut rng);
        if let Ok(Some(header)) = check_stored(&bytes) {
            assert!(header.size_bytes() <= bytes.len(), "a stored batch ends within its bytes");
            assert!(header.last_offset() >= header.base_offset());
        }
        if let Ok(header) = check_produced(&bytes, &rules, WallMs(1_700_000_000_000)) {
            assert_eq!(header.size_bytes(), bytes.len(), "a produced batch is all of its bytes");
            assert!(header.record_count() >= 1);
        }
    }
}

fn fuzz_records(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let bytes = damaged_batch(&mut rng);
        if let Ok((header, payload)) = records::payload(&bytes, OUTPUT_BYTES_MAX) {
            assert!(payload.len() <= OUTPUT_BYTES_MAX.max(bytes.len()), "{} bytes came out", payload.len());
            let found = records::iter(&header, &payload);
            let sound = found.take_while(Result::is_ok).flatten();
            let read: usize = sound.map(|record| 1 + record.headers.iter().count()).sum();
            assert!(read <= payload.len(), "{read} records and headers in {} bytes", payload.len());
        }
        let time = WallMs(1_700_000_000_000 + rng.below(1000) as i64);
        let _ = records::first_at_or_after(&bytes, time, Offset(3), OUTPUT_BYTES_MAX);
        let _ = records::max_timestamp_record(&bytes, OUTPUT_BYTES_MAX);
        if let Ok(numbers) = records::keyless(&bytes, OUTPUT_BYTES_MAX, 3) {
            assert!(numbers.len() <= 3);
        }
    }
}

fn fuzz_index(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let mut index = SegmentIndex::new(Offset(0), 64);
        let mut position = 0;
        for n in 0..rng.below(8) {
            let bytes = sample_batch(&mut rng);
            let header = batch::peek(&bytes).ok().flatten().expect("a sound batch");
            let header = header.at(Offset(100 * n as i64), LeaderEpoch(0));
            index.on_appended(&header, position);
            position += bytes.len() as u32;
        }
        let mut bytes = Vec::new();
        index.encode(&mut bytes);
        assert!(SegmentIndex::decode(&bytes).is_ok(), "its own bytes");
        damage(&mut rng, &mut bytes);
        if let Ok(decoded) = SegmentIndex::decode(&bytes) {
            let at = decoded.lookup_offset(Offset(rng.below(1000) as i64));
            assert!(at <= decoded.end_position(), "a position within the segment");
            let mut again = Vec::new();
            decoded.encode(&mut again);
            assert_eq!(again, bytes);
        }
    }
}

fn fuzz_epochs(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let mut epochs = Epochs::new();
        for n in 0..rng.below(6) {
            epochs.assign(LeaderEpoch(2 * n as i32), Offset(10 * n as i64));
        }
        let mut bytes = Vec::new();
        epochs.encode(&mut bytes);
        assert_eq!(Epochs::decode(&bytes).expect("its own bytes").starts(), epochs.starts());
        damage(&mut rng, &mut bytes);
        if let Ok(decoded) = Epochs::decode(&bytes) {
            let _ = decoded.end_offset_for(LeaderEpoch(rng.below(9) as i32), Offset(1000));
        }
    }
}

fn fuzz_producers(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let mut producers = Producers::new(PRODUCERS_MAX);
        for n in 0..rng.below(20) {
            let bytes = sample_batch(&mut rng);
            let header = batch::peek(&bytes).ok().flatten().expect("a sound batch");
            producers.on_appended(&header.at(Offset(100 * n as i64), LeaderEpoch(0)));
        }
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        let decoded = Producers::decode(&bytes, PRODUCERS_MAX).expect("its own bytes");
        assert_eq!(decoded.count(), producers.count());
        damage(&mut rng, &mut bytes);
        if let Ok(decoded) = Producers::decode(&bytes, PRODUCERS_MAX) {
            assert!(decoded.count() <= PRODUCERS_MAX);
        }
    }
}

fn fuzz_metadata(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let topic_id = TopicId(rng.bytes16());
        let changes =
            vec![("retention.ms".to_owned(), Some("5".to_owned())), ("segment.ms".to_owned(), None)];
        let set = [
            MetadataRecord::ClusterFormatted { cluster_id: "c".repeat(rng.below(30) as usize) },
            MetadataRecord::TopicConfigChanged { topic_id, changes },
            MetadataRecord::ProducerIdsAllocated { next: ProducerId(rng.below(1 << 40) as i64) },
            MetadataRecord::TopicDeleted { topic_id },
        ];
        let mut bytes = Vec::new();
        encode_set(&set, &mut bytes);
        assert_eq!(decode_set(&bytes).expect("its own bytes"), set);
        damage(&mut rng, &mut bytes);
        if let Ok(decoded) = decode_set(&bytes) {
            let mut again = Vec::new();
            encode_set(&decoded, &mut again);
            assert_eq!(decode_set(&again).expect("its own bytes"), decoded);
        }
    }
}

fn fuzz_checkpoint(seed: u64, count: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..count {
        let content = vec![rng.next_u64() as u8; rng.below(50) as usize];
        let keys: Vec<PartitionKey> = (0..rng.below(5))
            .map(|n| PartitionKey { topic: TopicId(rng.bytes16()), partition: PartitionIndex(n as i32) })
            .collect();
        let file = checkpoint::encode(seed, keys.iter().map(|key| (*key, &content[..])));
        let (incarnation, logs) = checkpoint::decode(&file).expect("its own bytes");
        assert_eq!((incarnation, logs.len()), (seed, keys.len()));
        let mut bytes = file.to_vec();
        damage(&mut rng, &mut bytes);
        if let Some((_, decoded)) = checkpoint::decode(&Bytes::from(bytes)) {
            assert!(decoded.len() <= file.len());
        }
    }
}
