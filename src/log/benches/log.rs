//! What a log costs without its disk: `cargo bench -p corelane-log --bench log`. Every operation completes at once.

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_log::builder::BatchBuilder;
use corelane_log::disk::{DiskOp, DiskOutcome, DiskQueue, FileHandle, FileObject};
use corelane_log::log::{AppendOrigin, Log, LogCx, ReadStart};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::{LogNotice, LogSettings};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

struct Nowhere;

impl FileObject for Nowhere {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct Bench {
    queue: DiskQueue,
    pool: SegmentPool,
    notices: Vec<LogNotice>,
    log: Log,
}

const NOW: Now = Now { mono: Mono(1), wall: WallMs(1_700_000_000_000) };

impl Bench {
    fn new() -> Bench {
        let mut queue = DiskQueue::default();
        let mut pool = SegmentPool::open(1, 0, &mut queue);
        let mut notices = Vec::new();
        let settings = LogSettings {
            retention_bytes: 1 << 30,
            deletes: true,
            ..LogSettings::keeping_all(1 << 30, 2 << 20)
        };
        let cx = &mut LogCx { now: NOW, disk: &mut queue, pool: &mut pool, notices: &mut notices };
        let log = Log::create(0, "bench".to_owned(), settings, cx);
        let mut bench = Bench { queue, pool, notices, log };
        bench.complete();
        bench
    }

    fn append(&mut self, batch: &Bytes) {
        let cx =
            &mut LogCx { now: NOW, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
        let origin = AppendOrigin::Client { zstd_allowed: true };
        self.log.append(batch, LeaderEpoch(0), origin, cx).expect("the disk keeps up");
    }

    /// Ends the turn and completes every operation.
    fn complete(&mut self) {
        loop {
            let cx = &mut LogCx {
                now: NOW,
                disk: &mut self.queue,
                pool: &mut self.pool,
                notices: &mut self.notices,
            };
            self.log.end_turn(cx);
            let ops: Vec<_> = self.queue.drain().collect();
            if ops.is_empty() {
                return;
            }
            for (token, op) in ops {
                let outcome = match op {
                    DiskOp::CreateSegment { bytes, .. } => {
                        DiskOutcome::Opened { file: FileHandle::new(Nowhere), len: bytes }
                    }
                    DiskOp::List { .. } => DiskOutcome::Listed(Vec::new()),
                    _ => DiskOutcome::Done,
                };
                if token.owner() == 0 {
                    let cx = &mut LogCx {
                        now: NOW,
                        disk: &mut self.queue,
                        pool: &mut self.pool,
                        notices: &mut self.notices,
                    };
                    self.log.on_disk(token, Ok(outcome), cx);
                } else {
                    self.pool.on_disk(token, Ok(outcome), &mut self.queue, &mut self.notices);
                }
            }
        }
    }
}

fn batch_of(size: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value = vec![b'v'; size];
    builder.push(NOW.wall, None, Some(&value));
    builder.build()
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("log/append_and_commit");
    for (size, per_commit) in [(100, 1), (100, 64), (4 << 10, 1), (4 << 10, 16), (64 << 10, 1)] {
        let batch = batch_of(size);
        let mut bench = Bench::new();
        let mut since_eviction = 0;
        group.throughput(Throughput::Bytes((batch.len() * per_commit) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{size}x{per_commit}")), |b| {
            b.iter(|| {
                for _ in 0..per_commit {
                    bench.append(&batch);
                }
                bench.complete();
                since_eviction += batch.len() * per_commit;
                if since_eviction > 4 << 20 {
                    since_eviction = 0;
                    bench.log.evict_tail(1 << 20);
                }
            });
        });
    }
    group.finish();
}

fn tail_read(c: &mut Criterion) {
    let batch = batch_of(1_000);
    let mut bench = Bench::new();
    for _ in 0..4_000 {
        bench.append(&batch);
        if bench.log.log_end_offset().0 % 16 == 0 {
            bench.complete();
        }
    }
    bench.complete();
    let end = bench.log.flushed_offset();
    let mut offset = 0;
    let mut read = || {
        offset = (offset + 61) % (end.0 - 100);
        let cx = &mut LogCx {
            now: NOW,
            disk: &mut bench.queue,
            pool: &mut bench.pool,
            notices: &mut bench.notices,
        };
        match bench.log.read(Offset(offset), end, 64 << 10, true, cx) {
            ReadStart::Ready(read) => read,
            other => panic!("{other:?}"),
        }
    };
    let mut group = c.benchmark_group("log/read_tail");
    // Batches are of one size, so every read gives as much as this one.
    group.throughput(Throughput::Bytes(read().bytes));
    group.bench_function("64k", |b| b.iter(&mut read));
    group.finish();
}

criterion_group!(benches, append, tail_read);
criterion_main!(benches);
