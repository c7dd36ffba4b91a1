//! What a request costs inside the shard: from the frame to the bytes to be sent, without network and disk.

mod frames;
mod instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use instant::Instant;

fn produce(c: &mut Criterion) {
    let mut group = c.benchmark_group("produce");
    for (records, bytes) in [(1, 100), (1, 10_000), (100, 100), (1000, 1000)] {
        let mut world = Instant::start();
        world.request(&frames::create_topic(1));
        let frame = frames::produce(records, bytes);
        group.throughput(Throughput::Bytes(frame.len() as u64));
        let name = format!("{records} x {bytes} B");
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| world.request(&frame)));
    }
    group.finish();
}

fn fetch(c: &mut Criterion) {
    let mut group = c.benchmark_group("fetch");
    for (others, bytes_max) in [(0, 1024), (0, 64 << 10), (99, 64 << 10)] {
        let mut world = Instant::start();
        world.request(&frames::create_topic(others + 1));
        let frame = frames::produce(10, 100);
        for _ in 0..64 {
            world.request(&frame);
        }
        let frame = frames::fetch(0, bytes_max, others);
        group.throughput(Throughput::Elements(1));
        let name = format!("{} partitions, {bytes_max} B", others + 1);
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| world.request(&frame)));
    }
    group.finish();
}

criterion_group!(benches, produce, fetch);
criterion_main!(benches);
