//! What a request costs inside the shard: from the frame to the bytes to be sent, without network and disk. And for how
//! long a scrape of the metrics keeps requests waiting.

mod frames;
mod instant;

use std::time::Duration;

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

/// The longest of the turns in which a scrape asks a shard with so many partitions, and all of them together.
fn scrape(c: &mut Criterion) {
    let mut group = c.benchmark_group("scrape");
    for partitions in [1_000, 10_000] {
        let mut world = Instant::start();
        world.request(&frames::create_topic(partitions));
        for (name, of) in [("longest turn", longest as fn(&[Duration]) -> Duration), ("all turns", all)] {
            let name = format!("{name}, {partitions} partitions");
            group.bench_function(BenchmarkId::from_parameter(name), |b| {
                b.iter_custom(|count| (0..count).map(|_| of(&world.scrape())).sum());
            });
        }
    }
    group.finish();
}

fn longest(turns: &[Duration]) -> Duration {
    turns.iter().copied().max().unwrap_or_default()
}

fn all(turns: &[Duration]) -> Duration {
    turns.iter().sum()
}

criterion_group!(benches, produce, fetch, scrape);
criterion_main!(benches);
