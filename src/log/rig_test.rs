//! What the log's tests share: a small disk in memory that completes operations in any order, runs full, fails and
//! crashes, and a rig that drives one log on it beside a model of what the log must hold.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now, WallMs};

use crate::batch::{Compression, peek};
use crate::builder::BatchBuilder;
use crate::cleaner::{Cleaner, CleanerSettings};
use crate::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken, FileHandle, FileObject};
use crate::error::{AppendError, ReadError};
use crate::log::{
    AppendOrigin, Appended, Log, LogCx, LogRead, LogSlice, LogState, LookupStart, ReadStart, TimedOffset,
};
use crate::pool::SegmentPool;
use crate::recompress;
use crate::settings::{LogNotice, LogSettings};

pub const SLOT: u32 = 7;
pub const POOL_SLOT: u32 = 8;
pub const CLEANER_SLOT: u32 = 9;
const BLOCK: usize = 4096;

type Inode = Arc<Mutex<Vec<u8>>>;

struct OpenFile(Inode);

impl FileObject for OpenFile {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A disk: what is complete is durable, what is under way at a crash is done in part.
#[derive(Default)]
pub struct Disk {
    pub files: BTreeMap<String, Inode>,
    pub under_way: Vec<(DiskToken, DiskOp)>,
    /// Bytes that files may have together.
    pub capacity: Option<usize>,
    /// Writes fail with an I/O error.
    pub broken: bool,
    /// Nothing can be opened.
    pub no_descriptor: bool,
    /// Ranges are said to be resident once in so many reads; 0: never.
    pub resident_one_in: u64,
    pub writes_done: u64,
    pub ops_done: BTreeMap<&'static str, u64>,
}

pub fn inode(file: &FileHandle) -> Inode {
    file.get::<OpenFile>().0.clone()
}

impl Disk {
    fn used(&self) -> usize {
        self.files.values().map(|file| file.lock().unwrap().len()).sum()
    }

    fn grow(&self, file: &Inode, to: usize) -> Result<(), DiskError> {
        let len = file.lock().unwrap().len();
        if to <= len {
            return Ok(());
        }
        if self.capacity.is_some_and(|capacity| self.used() + (to - len) > capacity) {
            return Err(DiskError::NoSpace);
        }
        file.lock().unwrap().resize(to, 0);
        Ok(())
    }

    fn write(&mut self, file: &FileHandle, offset: u64, parts: Vec<Bytes>) -> Result<DiskOutcome, DiskError> {
        if self.broken {
            return Err(DiskError::Io(5));
        }
        let len: usize = parts.iter().map(Bytes::len).sum();
        assert_eq!(offset as usize % BLOCK, 0);
        for part in &parts {
            assert_eq!(part.as_ptr() as usize % BLOCK, 0, "aligned memory");
            assert_eq!(part.len() % BLOCK, 0, "whole blocks");
        }
        let file = inode(file);
        self.grow(&file, offset as usize + len)?;
        let mut at = offset as usize;
        for part in parts {
            file.lock().unwrap()[at..at + part.len()].copy_from_slice(&part);
            at += part.len();
        }
        self.writes_done += 1;
        Ok(DiskOutcome::Done)
    }

    /// Carries the operation out.
    pub fn run(&mut self, op: DiskOp, rng: &mut Rng) -> Result<DiskOutcome, DiskError> {
        let name = name_of(&op);
        *self.ops_done.entry(name).or_default() += 1;
        if self.no_descriptor && op.paths()[0].is_some() {
            return Err(DiskError::TooManyFiles);
        }
        match op {
            DiskOp::Write { file, offset, parts, .. } => self.write(&file, offset, parts),
            DiskOp::Read { file, offset, len } => Ok(DiskOutcome::Read(read(&inode(&file), offset, len))),
            DiskOp::ReadHistory { file, offset, len, .. } => {
                if self.resident_one_in > 0 && rng.one_in(self.resident_one_in) {
                    return Ok(DiskOutcome::Resident);
                }
                Ok(DiskOutcome::Read(read(&inode(&file), offset, len)))
            }
            DiskOp::OpenSegment { path } => {
                let file = self.files.get(&path).ok_or(DiskError::Missing)?.clone();
                let len = file.lock().unwrap().len() as u64;
                Ok(DiskOutcome::Opened { file: FileHandle::new(OpenFile(file)), len })
            }
            DiskOp::CreateSegment { path, bytes } => {
                assert_eq!(bytes as usize % BLOCK, 0);
                if self.files.contains_key(&path) {
                    return Err(DiskError::Exists);
                }
                let file = Inode::default();
                self.files.insert(path, file.clone());
                self.grow(&file, bytes as usize)?;
                Ok(DiskOutcome::Opened { file: FileHandle::new(OpenFile(file)), len: bytes })
            }
            DiskOp::Zero { file, offset, len } => {
                assert_eq!((offset as usize % BLOCK, len as usize % BLOCK), (0, 0));
                let file = inode(&file);
                self.grow(&file, (offset + len) as usize)?;
                file.lock().unwrap()[offset as usize..(offset + len) as usize].fill(0);
                Ok(DiskOutcome::Done)
            }
            DiskOp::Rename { from, to } => {
                let file = self.files.remove(&from).ok_or(DiskError::Missing)?;
                self.files.insert(to, file);
                Ok(DiskOutcome::Done)
            }
            DiskOp::Remove { path } => {
                let folder = format!("{path}/");
                self.files.retain(|name, _| *name != path && !name.starts_with(&folder));
                Ok(DiskOutcome::Done)
            }
            DiskOp::List { path } => {
                let folder = format!("{path}/");
                let entries = self.files.iter().filter_map(|(name, file)| {
                    let name = name.strip_prefix(&folder)?.to_owned();
                    Some(DirEntry { name, len: file.lock().unwrap().len() as u64, is_dir: false })
                });
                Ok(DiskOutcome::Listed(entries.collect()))
            }
            DiskOp::ReadFile { path, .. } => Ok(DiskOutcome::File(
                self.files.get(&path).map(|file| Bytes::from(file.lock().unwrap().clone())),
            )),
            DiskOp::WriteFile { path, data } => {
                self.files.insert(path, Arc::new(Mutex::new(data.to_vec())));
                Ok(DiskOutcome::Done)
            }
            DiskOp::Sync { .. } => Ok(DiskOutcome::Done),
            DiskOp::Space => Ok(DiskOutcome::Space { total: 0, free: 0 }),
        }
    }

    /// The power fails: of each operation under way nothing, everything or, of a write, any set of blocks is done.
    pub fn crash(&mut self, rng: &mut Rng) {
        for (_, op) in std::mem::take(&mut self.under_way) {
            match op {
                DiskOp::Write { file, offset, parts, .. } => {
                    let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
                    let blocks = bytes.len() / BLOCK;
                    let keep = rng.below(4);
                    let prefix = rng.below(blocks as u64 + 1) as usize;
                    let file = inode(&file);
                    for (i, block) in bytes.chunks(BLOCK).enumerate() {
                        let kept = match keep {
                            0 => false,
                            1 => i < prefix,
                            2 => rng.one_in(2),
                            _ => true,
                        };
                        let at = offset as usize + i * BLOCK;
                        if kept && self.grow(&file, at + BLOCK).is_ok() {
                            file.lock().unwrap()[at..at + BLOCK].copy_from_slice(block);
                        }
                    }
                }
                op @ (DiskOp::Zero { .. }
                | DiskOp::Rename { .. }
                | DiskOp::Remove { .. }
                | DiskOp::WriteFile { .. }
                | DiskOp::CreateSegment { .. })
                    if rng.one_in(2) =>
                {
                    let _ = self.run(op, rng);
                }
                _ => {}
            }
        }
    }
}

fn name_of(op: &DiskOp) -> &'static str {
    match op {
        DiskOp::Write { .. } => "Write",
        DiskOp::Read { .. } => "Read",
        DiskOp::ReadHistory { .. } => "ReadHistory",
        DiskOp::OpenSegment { .. } => "OpenSegment",
        DiskOp::CreateSegment { .. } => "CreateSegment",
        DiskOp::Zero { .. } => "Zero",
        DiskOp::Rename { .. } => "Rename",
        _ => "other",
    }
}

fn read(file: &Inode, offset: u64, len: u32) -> Bytes {
    let bytes = file.lock().unwrap();
    let from = (offset as usize).min(bytes.len());
    let to = (offset as usize + len as usize).min(bytes.len());
    Bytes::copy_from_slice(&bytes[from..to])
}

/// A batch that the log must hold.
#[derive(Clone, Debug)]
pub struct Stored {
    pub base: i64,
    pub next: i64,
    pub bytes: Bytes,
    pub records: Vec<(i64, i64)>,
}

pub struct Rig {
    pub rng: Rng,
    pub disk: Disk,
    pub queue: DiskQueue,
    pub pool: SegmentPool,
    pub notices: Vec<LogNotice>,
    pub now: Now,
    pub settings: LogSettings,
    pub log: Log,
    pub cleaner: Cleaner,
    pub model: Vec<Stored>,
    /// The latest stored checkpoint, and what it must not be ahead of.
    pub checkpoint: Option<Bytes>,
    /// Everything below was acknowledged.
    pub acked: i64,
    pub reads: BTreeMap<u64, Result<LogRead, ReadError>>,
    pub lookups: BTreeMap<u64, Result<Option<TimedOffset>, ReadError>>,
}

pub fn settings() -> LogSettings {
    LogSettings { deletes: true, ..LogSettings::keeping_all(256 << 10, 1 << 20) }
}

fn new_cleaner() -> Cleaner {
    let settings = CleanerSettings {
        enabled: true,
        map_bytes_max: 1 << 20,
        map_load_percent: 90,
        io_bytes_per_second: u64::MAX,
    };
    Cleaner::new(CLEANER_SLOT, [1, 2], settings)
}

/// A seed that differs from run to run, unless `CORELANE_SEED` gives one; printed.
pub fn seed(test: &str) -> u64 {
    let seed = std::env::var("CORELANE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
    println!("{test}: CORELANE_SEED={seed}");
    seed
}

macro_rules! cx {
    ($rig:expr) => {
        &mut LogCx { now: $rig.now, disk: &mut $rig.queue, pool: &mut $rig.pool, notices: &mut $rig.notices }
    };
}
pub(crate) use cx;

impl Rig {
    pub fn new(seed: u64, settings: LogSettings) -> Rig {
        let mut queue = DiskQueue::default();
        let mut pool = SegmentPool::open(POOL_SLOT, 0, &mut queue);
        let mut notices = Vec::new();
        let now = Now { mono: Mono(1), wall: WallMs(1_000_000) };
        let cx = &mut LogCx { now, disk: &mut queue, pool: &mut pool, notices: &mut notices };
        let log = Log::create(SLOT, "t-0".to_owned(), settings.clone(), cx);
        Rig {
            rng: Rng::new(seed),
            disk: Disk { resident_one_in: 3, ..Disk::default() },
            queue,
            pool,
            notices,
            now,
            settings,
            log,
            cleaner: new_cleaner(),
            model: Vec::new(),
            checkpoint: None,
            acked: 0,
            reads: BTreeMap::new(),
            lookups: BTreeMap::new(),
        }
    }

    pub fn take_ops(&mut self) {
        self.disk.under_way.extend(self.queue.drain());
    }

    /// Completes one operation, any of those under way. False if there is none.
    pub fn complete_one(&mut self) -> bool {
        self.take_ops();
        if self.disk.under_way.is_empty() {
            return false;
        }
        let i = self.rng.below(self.disk.under_way.len() as u64) as usize;
        self.complete(i);
        true
    }

    /// Completes one of the operations under way.
    pub fn complete(&mut self, i: usize) {
        let (token, op) = self.disk.under_way.swap_remove(i);
        let result = self.disk.run(op, &mut self.rng);
        if token.owner() == POOL_SLOT {
            self.pool.on_disk(token, result, &mut self.queue, &mut self.notices);
        } else if token.owner() == CLEANER_SLOT {
            self.cleaner.on_disk(token, result, cx!(self));
        } else {
            let progress = self.log.on_disk(token, result, cx!(self));
            for (ticket, read) in progress.reads {
                assert!(self.reads.insert(ticket.0, read).is_none(), "answered once");
            }
            for (ticket, found) in progress.lookups {
                assert!(self.lookups.insert(ticket.0, found).is_none(), "answered once");
            }
        }
        self.log.check_invariants();
        self.acked = self.acked.max(self.log.flushed_offset().0);
    }

    /// Which of the operations under way is a commit's write.
    pub fn write_under_way(&mut self) -> Option<usize> {
        self.take_ops();
        self.disk.under_way.iter().position(|(_, op)| matches!(op, DiskOp::Write { .. }))
    }

    /// The power fails: of the write under way exactly the first `kept` blocks are done, of all else nothing. False if
    /// the write has fewer blocks.
    pub fn tear_write(&mut self, kept: usize) -> bool {
        let i = self.write_under_way().expect("a write is under way");
        let (_, op) = self.disk.under_way.swap_remove(i);
        let DiskOp::Write { file, offset, parts, .. } = op else { panic!("just found to be a write") };
        let bytes: Vec<u8> = parts.concat();
        if kept * BLOCK > bytes.len() {
            return false;
        }
        let (from, file) = (offset as usize, inode(&file));
        self.disk.grow(&file, from + kept * BLOCK).unwrap();
        file.lock().unwrap()[from..from + kept * BLOCK].copy_from_slice(&bytes[..kept * BLOCK]);
        true
    }

    pub fn end_turn(&mut self) {
        self.log.end_turn(cx!(self));
        self.log.check_invariants();
        self.take_ops();
        self.acked = self.acked.max(self.log.flushed_offset().0);
    }

    /// Until nothing is under way and nothing waits.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            self.end_turn();
            if !self.complete_one() {
                return;
            }
        }
        panic!("does not settle: {:?}", self.log);
    }

    pub fn batch(&mut self, payload_max: u64) -> (Bytes, Vec<i64>) {
        let mut builder = BatchBuilder::new();
        builder.compression = match self.rng.below(8) {
            0 => Compression::Lz4,
            1 => Compression::Zstd,
            _ => Compression::None,
        };
        let mut times = Vec::new();
        for _ in 0..=self.rng.below(4) {
            let time = 1_000_000 + self.rng.below(5_000) as i64;
            times.push(time);
            let value: Vec<u8> =
                (0..self.rng.below(payload_max + 1)).map(|_| self.rng.next_u64() as u8).collect();
            builder.push(WallMs(time), Some(b"k"), Some(&value));
        }
        (builder.build(), times)
    }

    pub fn append(&mut self, payload_max: u64) -> Result<Appended, AppendError> {
        let (batch, times) = self.batch(payload_max);
        self.append_bytes(&batch, &times)
    }

    pub fn append_bytes(&mut self, batch: &Bytes, times: &[i64]) -> Result<Appended, AppendError> {
        let origin = AppendOrigin::Client { zstd_allowed: true };
        let end = self.log.log_end_offset().0;
        let appended = self.log.append(batch, LeaderEpoch(3), origin, cx!(self))?;
        if appended.duplicate {
            return Ok(appended);
        }
        assert_eq!(appended.base_offset.0, end, "offsets are dense");
        let mut bytes = match self.settings.compression {
            Some(codec) if recompress::is_due(&peek(batch).unwrap().unwrap(), codec) => {
                recompress::recompress(batch, codec, usize::MAX).unwrap()
            }
            _ => batch.to_vec(),
        };
        assert_eq!(appended.size_bytes, bytes.len() as u64);
        if let Some(now) = appended.log_append_time {
            crate::batch::stamp_append_time(&mut bytes, now);
        }
        crate::batch::stamp(&mut bytes, appended.base_offset, LeaderEpoch(3));
        let time = |time: i64| appended.log_append_time.map_or(time, |now| now.0);
        let records = times.iter().enumerate().map(|(i, &t)| (end + i as i64, time(t))).collect();
        let next = appended.last_offset.0 + 1;
        self.model.push(Stored { base: end, next, bytes: bytes.into(), records });
        Ok(appended)
    }

    pub fn bytes_of(read: &LogRead) -> Vec<u8> {
        let mut out = Vec::new();
        for part in &read.parts {
            match part {
                LogSlice::Memory(bytes) => out.extend_from_slice(bytes),
                LogSlice::File { file, offset, len } => {
                    let file = inode(file);
                    let bytes = file.lock().unwrap();
                    out.extend_from_slice(&bytes[*offset as usize..*offset as usize + *len as usize]);
                }
            }
        }
        assert_eq!(out.len() as u64, read.bytes, "the sum is right");
        out
    }

    /// Reads to the end and gives the bytes; `None` for an empty answer.
    pub fn read(&mut self, offset: i64, end: i64, bytes_max: u32, whole: bool) -> Option<Vec<u8>> {
        let start = self.log.read(Offset(offset), Offset(end), bytes_max, whole, cx!(self));
        match start {
            ReadStart::Ready(read) => Some(Rig::bytes_of(&read)),
            ReadStart::Empty => None,
            ReadStart::Pending(ticket) => loop {
                if let Some(read) = self.reads.remove(&ticket.0) {
                    return Some(Rig::bytes_of(&read.expect("history reads")));
                }
                assert!(self.complete_one(), "the read waits for something");
            },
            other => panic!("{other:?} for {offset}..{end} in {:?}", self.log),
        }
    }

    /// Reads at random and compares with the model.
    pub fn check_read(&mut self) {
        let (start, flushed) = (self.log.log_start_offset().0, self.log.flushed_offset().0);
        if start == flushed {
            return;
        }
        let offset = start + self.rng.below((flushed - start) as u64) as i64;
        let end = offset + 1 + self.rng.below((flushed - offset) as u64) as i64;
        let end = if self.rng.one_in(2) { flushed } else { self.border(end) };
        let bytes_max = [100, 5_000, 70_000, 1 << 20][self.rng.below(4) as usize];
        self.check_read_of(offset, end, bytes_max);
    }

    fn border(&self, offset: i64) -> i64 {
        self.model.iter().find(|stored| stored.next >= offset).map_or(offset, |stored| stored.next)
    }

    /// Checks one read; gives the offset behind it.
    pub fn check_read_of(&mut self, offset: i64, end: i64, bytes_max: u32) -> i64 {
        let got = self.read(offset, end, bytes_max, true).expect("the first batch is always given");
        let mut at = 0;
        let first = self.model.iter().position(|stored| stored.next > offset).expect("in the model");
        let mut next = offset;
        for stored in &self.model[first..] {
            if at == got.len() {
                break;
            }
            assert!(stored.base < end, "nothing beyond the end is shown");
            assert!(got.len() - at >= stored.bytes.len(), "whole batches");
            assert!(got[at..at + stored.bytes.len()] == stored.bytes[..], "batch {} differs", stored.base);
            at += stored.bytes.len();
            next = stored.next;
        }
        assert_eq!(at, got.len(), "nothing else");
        assert!(at > 0, "progress");
        let single = self.model[first].bytes.len() == got.len();
        assert!(single || got.len() <= bytes_max as usize, "within the limit");
        next
    }

    /// Reads everything in order.
    pub fn check_all(&mut self, bytes_max: u32) {
        let mut at = self.log.log_start_offset().0;
        let end = self.log.flushed_offset().0;
        while at < end {
            at = self.check_read_of(at, end, bytes_max);
        }
        assert_eq!(at, end);
    }

    pub fn lookup(&mut self, start: LookupStart) -> Option<TimedOffset> {
        match start {
            LookupStart::Ready(found) => found,
            LookupStart::Pending(ticket) => loop {
                if let Some(found) = self.lookups.remove(&ticket.0) {
                    return found.expect("history reads");
                }
                assert!(self.complete_one(), "the look-up waits for something");
            },
            LookupStart::Failed(error) => panic!("{error:?}"),
        }
    }

    pub fn check_time(&mut self) {
        let time = 1_000_000 + self.rng.below(5_200) as i64 - 100;
        let (start, end) = (self.log.log_start_offset().0, self.log.flushed_offset().0);
        let expected = self
            .model
            .iter()
            .flat_map(|stored| &stored.records)
            .find(|&&(offset, at)| at >= time && offset >= start && offset < end)
            .copied();
        let asked = self.log.offset_for_time(WallMs(time), Offset(end), cx!(self));
        let found = self.lookup(asked);
        assert_eq!(found.map(|found| (found.offset.0, found.timestamp.0)), expected, "time {time}");
        if let Some(found) = found {
            assert_eq!(found.leader_epoch, LeaderEpoch(3));
        }
    }

    /// The whole log flushed: the first record with the largest time, as in Kafka of all in the segments that are left.
    pub fn check_largest_time(&mut self) {
        let end = self.log.flushed_offset();
        let expected = self
            .model
            .iter()
            .flat_map(|stored| &stored.records)
            .filter(|&&(offset, _)| offset >= self.log.segments[0].base_offset.0)
            .fold(None, |best: Option<(i64, i64)>, &(offset, time)| match best {
                Some((_, known)) if known >= time => best,
                _ => Some((offset, time)),
            });
        let asked = self.log.offset_of_max_timestamp(end, cx!(self));
        let found = self.lookup(asked);
        assert_eq!(found.map(|found| (found.offset.0, found.timestamp.0)), expected);
    }

    /// A new process: opens what is on the disk.
    pub fn reopen(&mut self, clean: bool) {
        self.disk.under_way.clear();
        self.queue = DiskQueue::default();
        self.pool = SegmentPool::open(POOL_SLOT, 0, &mut self.queue);
        self.cleaner = new_cleaner();
        self.reads.clear();
        self.lookups.clear();
        let checkpoint = self.checkpoint.clone();
        let settings = self.settings.clone();
        self.log = Log::open(SLOT, "t-0".to_owned(), settings, checkpoint.as_deref(), clean, cx!(self));
    }

    /// Stops in order and opens again.
    pub fn clean_restart(&mut self) {
        self.log.seal_for_shutdown(cx!(self));
        self.settle();
        assert!(self.log.is_idle());
        self.checkpoint = Some(self.log.checkpoint());
        let end = self.log.log_end_offset();
        let start = self.log.log_start_offset();
        self.reopen(true);
        assert_eq!(*self.log.state(), LogState::Online, "at once");
        assert!(self.queue.drain().all(|(token, _)| token.owner() == POOL_SLOT), "without I/O");
        self.pool = SegmentPool::open(POOL_SLOT, 0, &mut self.queue);
        assert_eq!(self.log.log_end_offset(), end);
        assert_eq!(self.log.flushed_offset(), end);
        assert_eq!(self.log.log_start_offset(), start);
        self.log.check_invariants();
    }

    /// Crashes, recovers and compares.
    pub fn crash_restart(&mut self) {
        self.take_ops();
        let mut rng = self.rng.split();
        self.disk.crash(&mut rng);
        let start = self.log.log_start_offset().0;
        if self.rng.one_in(4) {
            self.checkpoint = None;
        }
        self.recover_and_compare();
        assert!(self.log.log_start_offset().0 <= start);
    }

    /// The power fails, and what is left is recovered, with the last checkpoint or without any.
    pub fn crash_restart_as(&mut self, with_checkpoint: bool) {
        self.take_ops();
        let mut rng = self.rng.split();
        self.disk.crash(&mut rng);
        if !with_checkpoint {
            self.checkpoint = None;
        }
        self.recover();
    }

    /// Once in a while nothing is left of it.
    pub fn checkpoint_may_be_lost(&mut self) -> bool {
        self.rng.one_in(4)
    }

    /// Opens what is on the disk after a crash: everything acknowledged and whole batches only.
    pub fn recover_and_compare(&mut self) {
        let end = self.recover();
        self.model.retain(|stored| stored.next <= end);
        assert_eq!(self.model.last().map_or(0, |stored| stored.next), end, "whole batches are recovered");
    }

    /// Opens what is on the disk: everything acknowledged is there. Gives the log's end.
    fn recover(&mut self) -> i64 {
        self.reopen(false);
        self.settle();
        assert_eq!(*self.log.state(), LogState::Online, "{:?}", self.notices);
        let (end, acked) = (self.log.log_end_offset().0, self.acked);
        assert!(end >= acked, "acknowledged up to {acked}, recovered up to {end}: {:?}", self.notices);
        assert_eq!(self.log.flushed_offset().0, end);
        self.acked = end;
        end
    }

    pub fn store_checkpoint(&mut self) {
        self.checkpoint = Some(self.log.checkpoint());
        self.log.checkpoint_stored();
    }

    /// Bytes behind the last batch in the active segment's file are zeros.
    pub fn check_zeros_ahead(&self) {
        let active = self.log.segments.back().expect("online");
        if let Some(file) = active.handle() {
            let bytes = inode(file);
            let bytes = bytes.lock().unwrap();
            let at = (self.log.written.max(active.start) - active.start) as usize;
            assert!(
                bytes[at..].iter().all(|&byte| byte == 0),
                "zeros behind byte {at} of {}",
                active.path("t-0")
            );
        }
    }

    pub fn producer_batch(id: i64, sequence: i32, count: i32, value: &[u8]) -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.producer_id = ProducerId(id);
        builder.producer_epoch = ProducerEpoch(0);
        builder.base_sequence = sequence;
        for _ in 0..count {
            builder.push(WallMs(1_000_000), None, Some(value));
        }
        builder.build()
    }
}

/// The base offsets of the batches in `bytes`.
pub fn base_offsets(mut bytes: &[u8]) -> Vec<i64> {
    let mut out = Vec::new();
    while let Some(header) = peek(bytes).expect("a batch") {
        out.push(header.base_offset().0);
        bytes = &bytes[header.size_bytes()..];
    }
    out
}
