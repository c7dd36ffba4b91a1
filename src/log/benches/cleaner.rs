//! How fast a log is compacted when the disk costs nothing, and how long the longest step takes:
//! `cargo bench -p corelane-log --bench cleaner`. Half of the records are of 1,000 keys, so that about all of them go;
//! the other half have keys of their own and stay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_log::batch::Compression;
use corelane_log::builder::BatchBuilder;
use corelane_log::cleaner::{Cleaner, CleanerSettings, Turn};
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, FileHandle, FileObject};
use corelane_log::log::{AppendOrigin, Log, LogCx};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::{LogNotice, LogSettings};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LOG_BYTES: u64 = 32 << 20;
const SEGMENT_BYTES: u32 = 4 << 20;
const NOW: Now = Now { mono: Mono(1), wall: WallMs(1_700_000_000_000) };

type Inode = Arc<Mutex<Vec<u8>>>;
type Files = BTreeMap<String, Inode>;

struct OpenFile(Inode);

impl FileObject for OpenFile {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn settings() -> LogSettings {
    LogSettings {
        compacted: true,
        cleanable_ratio_min_ppm: 0,
        ..LogSettings::keeping_all(SEGMENT_BYTES, 2 << 20)
    }
}

/// A log, its cleaner and a disk that does everything at once.
struct Bench {
    files: Files,
    queue: DiskQueue,
    pool: SegmentPool,
    notices: Vec<LogNotice>,
    log: Option<Log>,
    cleaner: Cleaner,
    longest: Duration,
}

impl Bench {
    fn new(files: Files, checkpoint: Option<&[u8]>) -> Bench {
        let mut queue = DiskQueue::default();
        let pool = SegmentPool::open(1, 0, &mut queue);
        let cleaner = CleanerSettings {
            enabled: true,
            map_bytes_max: 128 << 20,
            map_load_percent: 90,
            io_bytes_per_second: u64::MAX,
        };
        let cleaner = Cleaner::new(2, [1, 2], cleaner);
        let longest = Duration::ZERO;
        let mut bench = Bench { files, queue, pool, notices: Vec::new(), log: None, cleaner, longest };
        let mut log = None;
        bench.with_cx(|cx| {
            let dir = "bench".to_owned();
            log = Some(match checkpoint {
                Some(checkpoint) => Log::open(0, dir, settings(), Some(checkpoint), true, cx),
                None => Log::create(0, dir, settings(), cx),
            });
        });
        bench.log = log;
        bench.settle();
        bench
    }

    fn with_cx(&mut self, f: impl FnOnce(&mut LogCx<'_>)) {
        f(&mut LogCx { now: NOW, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices });
    }

    fn run(&mut self, op: DiskOp) -> Result<DiskOutcome, DiskError> {
        let opened = |file: &Inode| DiskOutcome::Opened {
            len: file.lock().expect("one thread").len() as u64,
            file: FileHandle::new(OpenFile(file.clone())),
        };
        match op {
            DiskOp::CreateSegment { path, bytes } => {
                let file = Arc::new(Mutex::new(vec![0; bytes as usize]));
                let outcome = opened(&file);
                self.files.insert(path, file);
                Ok(outcome)
            }
            DiskOp::OpenSegment { path } => self.files.get(&path).map(opened).ok_or(DiskError::Missing),
            DiskOp::Write { file, offset, parts, .. } => {
                let inode = file.get::<OpenFile>().0.clone();
                let (mut bytes, mut at) = (inode.lock().expect("one thread"), offset as usize);
                for part in parts {
                    if bytes.len() < at + part.len() {
                        bytes.resize(at + part.len(), 0);
                    }
                    bytes[at..at + part.len()].copy_from_slice(&part);
                    at += part.len();
                }
                Ok(DiskOutcome::Done)
            }
            DiskOp::Read { file, offset, len } => {
                let inode = file.get::<OpenFile>().0.clone();
                let bytes = inode.lock().expect("one thread");
                let to = (offset as usize + len as usize).min(bytes.len());
                Ok(DiskOutcome::Read(Bytes::copy_from_slice(&bytes[offset as usize..to])))
            }
            DiskOp::Rename { from, to } => {
                let file = self.files.remove(&from).ok_or(DiskError::Missing)?;
                self.files.insert(to, file);
                Ok(DiskOutcome::Done)
            }
            DiskOp::List { .. } => Ok(DiskOutcome::Listed(Vec::new())),
            DiskOp::ReadFile { .. } => Ok(DiskOutcome::File(None)),
            _ => Ok(DiskOutcome::Done),
        }
    }

    fn settle(&mut self) {
        loop {
            let mut log = self.log.take().expect("made in `new`");
            self.with_cx(|cx| _ = log.end_turn(cx));
            let ops: Vec<_> = self.queue.drain().collect();
            let idle = ops.is_empty();
            for (token, op) in ops {
                let result = self.run(op);
                match token.owner() {
                    0 => self.with_cx(|cx| _ = log.on_disk(token, result, cx)),
                    1 => self.pool.on_disk(token, result, &mut self.queue, &mut self.notices),
                    _ => {
                        let cx = &mut LogCx {
                            now: NOW,
                            disk: &mut self.queue,
                            pool: &mut self.pool,
                            notices: &mut self.notices,
                        };
                        self.cleaner.on_disk(token, result, cx);
                    }
                }
            }
            self.log = Some(log);
            if idle {
                return;
            }
        }
    }

    fn fill(&mut self, compression: Compression, value_bytes: usize) {
        let (mut number, mut batch) = (0_u64, BatchBuilder::new());
        batch.compression = compression;
        while self.log.as_ref().is_some_and(|log| log.size_bytes() < LOG_BYTES) {
            while batch.size_bytes() < 16 << 10 {
                number += 1;
                let key = if number % 2 == 0 { number % 1000 } else { 1_000_000 + number };
                let value: Vec<u8> = (0..value_bytes).map(|i| (number as usize * 7 + i / 9) as u8).collect();
                batch.push(NOW.wall, Some(&key.to_be_bytes()), Some(&value));
            }
            let bytes = batch.build();
            let mut log = self.log.take().expect("made in `new`");
            let origin = AppendOrigin::Client { zstd_allowed: true };
            self.with_cx(|cx| {
                log.append(&bytes, LeaderEpoch(0), origin, cx).expect("the disk keeps up");
            });
            self.log = Some(log);
            self.settle();
        }
    }

    /// Compacts the log. Answers with the bytes read in the second pass.
    fn clean(&mut self) -> u64 {
        let mut log = self.log.take().expect("made in `new`");
        let found = log.cleanable(Offset(i64::MAX), NOW.wall).expect("it has closed segments");
        self.cleaner.begin(0, &log, found, NOW.wall);
        let mut now = NOW;
        loop {
            let start = Instant::now();
            let cx =
                &mut LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            let turn = self.cleaner.step(&mut log, cx);
            self.longest = self.longest.max(start.elapsed());
            match turn {
                Turn::Again(at) => now.mono = at,
                Turn::Waits => {
                    self.log = Some(log);
                    self.settle();
                    log = self.log.take().expect("put there above");
                }
                Turn::Idle => break,
            }
        }
        assert_eq!(self.cleaner.totals().runs, 1, "{:?}", self.notices);
        self.log = Some(log);
        found.dirty_bytes
    }
}

fn compact(c: &mut Criterion) {
    let mut group = c.benchmark_group("cleaner/compact");
    group.sample_size(10);
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    for (compression, value_bytes) in codecs.into_iter().flat_map(|codec| [(codec, 100), (codec, 1000)]) {
        let mut bench = Bench::new(Files::new(), None);
        bench.fill(compression, value_bytes);
        let checkpoint = bench.log.as_mut().expect("made in `new`").checkpoint();
        let files = bench.files;
        let bytes = Bench::new(files.clone(), Some(&checkpoint)).clean();
        group.throughput(Throughput::Bytes(bytes));
        let mut longest = Duration::ZERO;
        let id = BenchmarkId::from_parameter(format!("{compression:?} {value_bytes} B"));
        group.bench_function(id, |b| {
            b.iter_batched(
                || Bench::new(files.clone(), Some(&checkpoint)),
                |mut bench| {
                    bench.clean();
                    longest = longest.max(bench.longest);
                },
                BatchSize::PerIteration,
            );
        });
        println!("longest step: {longest:?}");
    }
    group.finish();
}

criterion_group!(benches, compact);
criterion_main!(benches);
