//! What the pure parts of the log cost: `cargo bench -p corelane-log --bench blocks`.

use std::hint::black_box;

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_log::batch::{self, Compression, TimestampType};
use corelane_log::builder::BatchBuilder;
use corelane_log::codec::Codec;
use corelane_log::index::SegmentIndex;
use corelane_log::produced::{ProduceRules, check_produced};
use corelane_log::producers::{Producers, Verdict};
use corelane_log::recompress::recompress;
use corelane_log::records;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const NOW: WallMs = WallMs(1_700_000_000_000);

const RULES: ProduceRules = ProduceRules {
    batch_bytes_max: 8 << 20,
    segment_bytes: 1 << 30,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: 3_600_000,
    zstd_allowed: true,
};

/// A batch of about `size` bytes in records of 100 bytes.
fn batch_of(size: usize, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.compression = compression;
    let mut rng = Rng::new(1);
    while builder.size_bytes() < size {
        let value: Vec<u8> = (0..100).map(|_| b'a' + rng.below(16) as u8).collect();
        builder.push(NOW, Some(b"key"), Some(&value));
    }
    builder.build()
}

fn validation(c: &mut Criterion) {
    let mut group = c.benchmark_group("batch/check_produced");
    for size in [256, 4 << 10, 64 << 10, 1 << 20] {
        let bytes = batch_of(size, Compression::None);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &bytes, |b, bytes| {
            b.iter(|| check_produced(black_box(bytes), &RULES, NOW));
        });
    }
    group.finish();
    let mut bytes = batch_of(4 << 10, Compression::None).to_vec();
    // Its cost does not depend on the batch's size.
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(1));
    group.bench_function("stamp", |b| {
        b.iter(|| batch::stamp(black_box(&mut bytes), Offset(77), LeaderEpoch(3)));
    });
    group.finish();
}

fn producer_state(c: &mut Criterion) {
    let mut builder = BatchBuilder::new();
    builder.producer_epoch = ProducerEpoch(0);
    let headers: Vec<_> = (0..1000)
        .map(|id| {
            builder.producer_id = ProducerId(id);
            builder.base_sequence = 0;
            let bytes = builder.push(NOW, None, None).build();
            batch::peek(&bytes).expect("valid").expect("whole")
        })
        .collect();
    let mut producers = Producers::new(10_000);
    headers.iter().for_each(|header| producers.on_appended(header));
    let mut rng = Rng::new(2);
    let mut group = c.benchmark_group("producers");
    group.throughput(Throughput::Elements(1));
    group.bench_function("duplicate of one in 1000", |b| {
        b.iter(|| {
            let verdict = producers.check(black_box(&headers[rng.below(1000) as usize]));
            assert!(matches!(verdict, Ok(Verdict::Duplicate { .. })));
        });
    });
    group.bench_function("append of one in 1000", |b| {
        b.iter(|| producers.on_appended(black_box(&headers[rng.below(1000) as usize])));
    });
    group.finish();
}

fn index(c: &mut Criterion) {
    let batch = batch_of(4 << 10, Compression::None);
    let header = batch::peek(&batch).expect("valid").expect("whole");
    let size = batch.len() as u32;
    let count = (1 << 30) / size;
    let mut index = SegmentIndex::new(Offset(0), 4096);
    let append = |index: &mut SegmentIndex| {
        let header = header.at(index.next_offset(), LeaderEpoch(0));
        index.on_appended(&header, index.end_position());
    };
    (0..count).for_each(|_| append(&mut index));
    let offsets = index.next_offset().0 as u64;
    let mut rng = Rng::new(3);
    let mut group = c.benchmark_group("index of a segment of 1 GiB");
    group.throughput(Throughput::Elements(1));
    group.bench_function("lookup_offset", |b| {
        b.iter(|| index.lookup_offset(black_box(Offset(rng.below(offsets) as i64))));
    });
    group.bench_function("lookup_time", |b| b.iter(|| index.lookup_time(black_box(NOW))));
    group.throughput(Throughput::Elements(u64::from(count)));
    group.bench_function("on_appended", |b| {
        b.iter(|| {
            let mut index = SegmentIndex::new(Offset(0), 4096);
            (0..count).for_each(|_| append(&mut index));
            index
        });
    });
    group.finish();
}

fn time_look_up(c: &mut Criterion) {
    let mut group = c.benchmark_group("records/first_at_or_after, none there");
    for compression in Compression::ALL {
        let bytes = batch_of(16 << 10, compression);
        group.throughput(Throughput::Bytes(16 << 10));
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{compression:?}")),
            &bytes,
            |b, bytes| {
                b.iter(|| records::first_at_or_after(black_box(bytes), WallMs(i64::MAX), Offset(0), 1 << 20));
            },
        );
    }
    group.finish();
}

/// How long a shard's core is busy with a batch of 64 KiB, and with the worst that 1 MiB can unfold to.
fn recompression(c: &mut Criterion) {
    let mut group = c.benchmark_group("recompress");
    for from in Compression::ALL {
        let bytes = batch_of(64 << 10, from);
        group.throughput(Throughput::Bytes(64 << 10));
        for to in Compression::ALL.into_iter().filter(|to| *to != from) {
            let codec = Codec::at_default_level(to);
            group.bench_function(BenchmarkId::from_parameter(format!("{from:?} to {to:?}")), |b| {
                b.iter(|| recompress(black_box(&bytes), codec, 64 << 20));
            });
        }
    }
    group.sample_size(10);
    let mut bomb = BatchBuilder::new();
    bomb.compression = Compression::Gzip;
    let bomb = bomb.push(NOW, None, Some(&vec![0; 63 << 20])).build();
    group.throughput(Throughput::Bytes(63 << 20));
    for level in [3, 22] {
        let codec = Codec { compression: Compression::Zstd, level };
        group.bench_function(BenchmarkId::from_parameter(format!("bomb to Zstd {level}")), |b| {
            b.iter(|| recompress(black_box(&bomb), codec, 64 << 20));
        });
    }
    group.finish();
}

criterion_group!(benches, validation, producer_state, index, time_look_up, recompression);
criterion_main!(benches);
