//! Compacted logs on a virtual disk, under one seed: appends with keys and tombstones, compaction in small steps, reads
//! that are sent late, crashes between any two operations.
//!
//! The world plays the part of a shard as `log_world` does; what is asked of a log is different enough for a world of its
//! own: nothing is dense, and the model says what may be gone instead of what is there.

use std::collections::BTreeMap;

use corelane_base::id::{LeaderEpoch, Offset, ShardId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_log::batch::TimestampType;
use corelane_log::cleaner::{Cleaner, CleanerSettings, Turn};
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::error::{AppendError, ReadError};
use corelane_log::log::{
    AppendOrigin, Log, LogCx, LogRead, LogSlice, LogState, LookupStart, ReadStart, ReadTicket,
};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::{Durability, LogNotice, LogSettings};

use crate::batch::{KeyedRecord, Producer, as_stored, encode_keyed};
use crate::clock::Clock;
use crate::compact_model::CompactModel;
use crate::disk::{Crash, Faults, Latency, VirtualDisk};
use crate::hash::StateHash;
use crate::trace::Trace;

const SHARD: ShardId = ShardId(0);
const POOL_SLOT: u32 = 0;
const CLEANER_SLOT: u32 = 999;
const CHECKPOINT_SLOTS: u32 = 1000;
const PATIENCE: u32 = 200_000;
const PRODUCERS: u64 = 3;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactOutcome {
    /// Of everything that happened and of the disk at the end.
    pub hash: u64,
    /// Batches appended.
    pub appended: u64,
    /// Records compared.
    pub compared: u64,
    /// Look-ups by time compared.
    pub lookups: u64,
    /// Times a log came online after a crash.
    pub recoveries: u64,
    /// Groups of segments exchanged.
    pub swaps: u64,
    /// Runs of compaction that were given up.
    pub aborted: u64,
    /// Records that were gone at the end.
    pub removed: u64,
}

impl CompactOutcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &CompactOutcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.appended += other.appended;
        self.compared += other.compared;
        self.lookups += other.lookups;
        self.recoveries += other.recoveries;
        self.swaps += other.swaps;
        self.aborted += other.aborted;
        self.removed += other.removed;
    }
}

/// What a seed draws before its run.
#[derive(Debug)]
struct Plan {
    steps: u64,
    logs: Vec<LogSettings>,
    faults: Faults,
    fills: bool,
    key_count: u64,
    value_bytes_max: u64,
    cleaner: CleanerSettings,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    offset: i64,
    end: i64,
    bytes_max: u32,
    whole_first: bool,
}

#[derive(Debug)]
struct Host {
    dir: String,
    settings: LogSettings,
    log: Option<Log>,
    model: CompactModel,
    opening: bool,
    /// Damaged silently: nobody can tell any more what it must hold.
    abandoned: bool,
    clean: bool,
    reads: BTreeMap<ReadTicket, Asked>,
    lookups: BTreeMap<ReadTicket, (i64, i64)>,
    checkpoint: Option<(DiskToken, i64)>,
    checkpoint_stored: bool,
}

struct World {
    rng: Rng,
    plan: Plan,
    clock: Clock,
    disk: VirtualDisk,
    queue: DiskQueue,
    notices: Vec<LogNotice>,
    pool: SegmentPool,
    cleaner: Cleaner,
    hosts: Vec<Host>,
    sending: Vec<(usize, Asked, LogRead)>,
    damage_seen: usize,
    faults_at_start: u64,
    hash: StateHash,
    outcome: CompactOutcome,
    trace: Trace,
}

macro_rules! cx {
    ($world:expr) => {
        &mut LogCx {
            now: $world.clock.now(),
            disk: &mut $world.queue,
            pool: &mut $world.pool,
            notices: &mut $world.notices,
        }
    };
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> CompactOutcome {
    let mut rng = Rng::new(seed ^ 0x00c0_4bac_7ed1_0600);
    let plan = draw(&mut rng);
    let mut world = World::new(plan, rng, trace);
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.finish()
}

fn draw(rng: &mut Rng) -> Plan {
    let none = Faults::default();
    let often = 40 << rng.below(6);
    Plan {
        steps: 300 + rng.below(1500),
        logs: (0..1 + rng.below(2)).map(|_| draw_settings(rng)).collect(),
        faults: match rng.below(12) {
            0 => Faults { write_error: often, ..none },
            1 => Faults { sync_error: often, ..none },
            2 => Faults { read_error: often, ..none },
            3 => Faults { meta_error: often, ..none },
            4 => Faults { bit_flip: often, ..none },
            5 => Faults { stall: often, ..none },
            _ => none,
        },
        fills: rng.one_in(6),
        key_count: 1 << rng.below(9),
        value_bytes_max: 1 << (3 + rng.below(8)),
        cleaner: CleanerSettings {
            enabled: true,
            map_bytes_max: [24 * 4, 24 * 40, 1 << 20][rng.below(3) as usize],
            map_load_percent: 90,
            io_bytes_per_second: if rng.one_in(3) { 1 << 20 } else { u64::MAX },
        },
    }
}

fn draw_settings(rng: &mut Rng) -> LogSettings {
    let segment_bytes = (8 * 1024) << rng.below(5);
    LogSettings {
        segment_bytes,
        segment_ms: if rng.one_in(2) { 1000 << rng.below(8) } else { i64::MAX },
        retention_bytes: -1,
        retention_ms: -1,
        deletes: false,
        batch_bytes_max: segment_bytes / 2,
        index_interval_bytes: 1 << (6 + rng.below(8)),
        timestamp_type: if rng.one_in(4) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        durability: Durability::Sync,
        producer_id_expiration_ms: i64::MAX,
        compacted: true,
        delete_retention_ms: 500 << rng.below(8),
        compaction_lag_ms_min: if rng.one_in(4) { 500 << rng.below(4) } else { 0 },
        compaction_lag_ms_max: if rng.one_in(3) { 2000 << rng.below(6) } else { i64::MAX },
        cleanable_ratio_min_ppm: [0, 50_000, 500_000][rng.below(3) as usize],
    }
}

impl World {
    fn new(plan: Plan, mut rng: Rng, trace: Trace) -> World {
        let mut disk = VirtualDisk::new(rng.split(), 1 << 30);
        let max_ns = if rng.one_in(4) { 50_000_000 } else { 500_000 };
        disk.set_latency(Latency { min_ns: 20_000, max_ns, stall_ns: 2_000_000_000 });
        disk.set_faults(plan.faults);
        let mut queue = DiskQueue::default();
        let pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut queue);
        let cleaner = Cleaner::new(CLEANER_SLOT, [1, 2], plan.cleaner);
        let mut world = World {
            rng,
            plan,
            clock: Clock::default(),
            disk,
            queue,
            notices: Vec::new(),
            pool,
            cleaner,
            hosts: Vec::new(),
            sending: Vec::new(),
            damage_seen: 0,
            faults_at_start: 0,
            hash: StateHash::default(),
            outcome: CompactOutcome::default(),
            trace,
        };
        world.trace.line(|| format!("{:?}", world.plan));
        for (number, settings) in world.plan.logs.clone().into_iter().enumerate() {
            let dir = format!("logs/topic-{number}");
            let log = Log::create(number as u32 + 1, dir.clone(), settings.clone(), cx!(world));
            world.hosts.push(Host {
                dir,
                model: CompactModel::new(settings.delete_retention_ms),
                settings,
                log: Some(log),
                opening: false,
                abandoned: false,
                clean: false,
                reads: BTreeMap::new(),
                lookups: BTreeMap::new(),
                checkpoint: None,
                checkpoint_stored: false,
            });
        }
        world.submit();
        world
    }

    fn step(&mut self) {
        let host = self.rng.below(self.hosts.len() as u64) as usize;
        match self.rng.below(1000) {
            0..260 => {
                for _ in 0..=self.rng.below(8) {
                    self.append(host);
                }
            }
            260..560 => {
                for _ in 0..=self.rng.below(8) {
                    self.complete_one();
                }
            }
            560..740 => {
                self.clean();
            }
            740..820 => self.read(host),
            820..850 => self.look_up(host),
            850..890 => self.send_one(),
            890..930 => self.pass_time(),
            930..960 => self.store_checkpoint(host),
            960..968 => {
                let keep = self.rng.below(64 * 1024);
                if let Some(log) = self.hosts[host].log.as_mut() {
                    log.evict_tail(keep);
                }
            }
            968..972 => self.delete_records(host),
            972..982 => self.disturb(),
            982..997 => self.crash(),
            _ => self.stop_cleanly(),
        }
        self.end_turn();
        self.observe();
    }

    fn finish(mut self) -> CompactOutcome {
        self.disk.set_faults(Faults::default());
        self.disk.leave_free(u64::MAX);
        if self.rng.one_in(2) {
            self.crash()
        } else {
            self.stop_cleanly()
        }
        self.settle();
        while !self.sending.is_empty() {
            self.send_one();
        }
        self.clean_everything();
        for host in 0..self.hosts.len() {
            self.read_everything(host);
        }
        self.disk.hash_into(&mut self.hash);
        self.count_cleaner();
        self.outcome.hash = self.hash.value();
        self.outcome
    }

    fn count_cleaner(&mut self) {
        self.outcome.swaps += self.cleaner.totals().swaps;
        self.outcome.aborted += self.cleaner.totals().aborted;
    }

    fn append(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let now = self.clock.now().wall.0;
        let producer = match self.rng.below(PRODUCERS + 1) {
            0 => Producer::NONE,
            id => match at.model.last_batch_of(id as i64) {
                None => Producer { id: id as i64, epoch: 0, base_sequence: 0 },
                Some(last) if self.rng.one_in(30) => {
                    Producer { epoch: last.producer.epoch + 1, base_sequence: 0, ..last.producer }
                }
                Some(last) => {
                    let count = (last.last_offset + 1 - last.base_offset) as i32;
                    Producer { base_sequence: last.producer.base_sequence + count, ..last.producer }
                }
            },
        };
        let records: Vec<KeyedRecord> = (0..=self.rng.below(5))
            .map(|_| KeyedRecord {
                timestamp_ms: now - self.rng.below(5_000) as i64,
                key: format!("k{}", self.rng.below(self.plan.key_count)).into_bytes(),
                value: (!self.rng.one_in(5)).then(|| {
                    vec![self.rng.next_u64() as u8; self.rng.below(self.plan.value_bytes_max) as usize]
                }),
            })
            .collect();
        let produced = encode_keyed(producer, &records);
        let Some(log) = at.log.as_mut() else { return };
        if produced.len() > at.settings.batch_bytes_max as usize {
            return;
        }
        let origin = AppendOrigin::Client { zstd_allowed: true };
        match log.append(&produced, LeaderEpoch(0), origin, cx!(self)) {
            Ok(_) if at.abandoned => {}
            Ok(appended) => {
                assert!(!appended.duplicate, "{}: {producer:?} is no duplicate", at.dir);
                let time = appended.log_append_time.map(|time| time.0);
                at.model.on_appended(as_stored(&produced, appended.base_offset.0, 0, time), now);
                self.outcome.appended += 1;
            }
            Err(AppendError::Opening | AppendError::Offline | AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) => assert!(at.abandoned, "{}: a sound batch is refused: {error:?}", at.dir),
        }
    }

    /// What a shard does with its cleaner when it comes to it. Whether there was something to do.
    fn clean(&mut self) -> bool {
        let now = self.clock.now();
        if self.cleaner.log_slot().is_none() {
            let found = self.hosts.iter_mut().enumerate().find_map(|(number, at)| {
                let log = at.log.as_ref()?;
                let found = log.cleanable(log.flushed_offset(), now.wall).filter(|found| found.is_due)?;
                if !at.abandoned {
                    at.model.on_compaction(found.end.0);
                }
                self.cleaner.begin(number as u32 + 1, log, found, now.wall);
                Some(found)
            });
            if found.is_none() {
                return false;
            }
            self.trace.line(|| format!("compaction begins: {found:?}"));
        }
        let Some(slot) = self.cleaner.log_slot() else { return false };
        let at = &mut self.hosts[slot as usize - 1];
        let Some(log) = at.log.as_mut().filter(|log| *log.state() == LogState::Online) else {
            self.cleaner.abort(cx!(self));
            return true;
        };
        if let Turn::Again(due) = self.cleaner.step(log, cx!(self))
            && self.rng.one_in(2)
        {
            self.clock.advance_to(due.max(now.mono));
        }
        log.check_invariants();
        self.submit();
        true
    }

    fn read(&mut self, host: usize) {
        let model = &self.hosts[host].model;
        let (start, end) = (model.log_start(), model.flushed());
        if start == end {
            return;
        }
        let offset = start + self.rng.below((end - start) as u64) as i64;
        let end =
            if self.rng.one_in(2) { end } else { offset + 1 + self.rng.below((end - offset) as u64) as i64 };
        let bytes_max = 1 << (6 + self.rng.below(12));
        let whole_first = !self.rng.one_in(4);
        self.start_read(host, Asked { offset, end, bytes_max, whole_first });
    }

    fn start_read(&mut self, host: usize, asked: Asked) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let (offset, end) = (Offset(asked.offset), Offset(asked.end));
        match log.read(offset, end, asked.bytes_max, asked.whole_first, cx!(self)) {
            ReadStart::Ready(read) => self.sending.push((host, asked, read)),
            ReadStart::Pending(ticket) => {
                assert!(at.reads.insert(ticket, asked).is_none(), "{}: {ticket:?} given twice", at.dir);
            }
            ReadStart::Empty => assert!(at.abandoned || !asked.whole_first, "{}: {asked:?} is empty", at.dir),
            ReadStart::OutOfRange => assert!(at.abandoned || at.opening, "{}: {asked:?}", at.dir),
            ReadStart::Failed(error) => self.check_read_error(host, &error),
        }
    }

    fn check_read_error(&self, host: usize, error: &ReadError) {
        let at = &self.hosts[host];
        let offline = at.log.as_ref().is_some_and(|log| matches!(log.state(), LogState::Offline(_)));
        let fair = match error {
            ReadError::Opening => at.opening,
            ReadError::Offline => offline,
            ReadError::OutOfRange => true,
            ReadError::Failed(_) => self.plan.faults.read_error > 0 || self.plan.faults.meta_error > 0,
            ReadError::Corrupt => false,
        };
        assert!(fair || at.abandoned, "{}: read failed with {error:?}", at.dir);
    }

    /// A read's bytes leave for the client; those in files are taken from the disk only now.
    fn send_one(&mut self) {
        if self.sending.is_empty() {
            return;
        }
        let which = self.rng.below(self.sending.len() as u64) as usize;
        let (host, asked, read) = self.sending.swap_remove(which);
        let mut bytes = Vec::new();
        for part in &read.parts {
            match part {
                LogSlice::Memory(memory) => bytes.extend_from_slice(memory),
                LogSlice::File { file, offset, len } => {
                    bytes.extend_from_slice(&self.disk.send_file(file, *offset, u64::from(*len)));
                }
            }
        }
        self.hash.bytes(&bytes);
        let at = &self.hosts[host];
        if at.abandoned {
            return;
        }
        if bytes.is_empty() {
            let lost = at.model.first_that_stays(asked.offset, asked.end);
            assert!(lost.is_none() || !asked.whole_first, "{}: {asked:?}: nothing, not {lost:?}", at.dir);
            return;
        }
        let Asked { offset, end, bytes_max, whole_first } = asked;
        let (_, count) = at.model.check_read(offset, end, bytes_max, whole_first, &bytes);
        self.outcome.compared += count;
    }

    fn look_up(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let (end, now) = (at.model.flushed(), self.clock.now().wall.0);
        let time = now - self.rng.below(20_000) as i64;
        match log.offset_for_time(WallMs(time), Offset(end), cx!(self)) {
            LookupStart::Ready(found) => {
                let found = found.map(|found| (found.offset.0, found.timestamp.0));
                self.check_lookup(host, (time, end), found);
            }
            LookupStart::Pending(ticket) => drop(at.lookups.insert(ticket, (time, end))),
            LookupStart::Failed(error) => self.check_read_error(host, &error),
        }
    }

    fn check_lookup(&mut self, host: usize, (time, end): (i64, i64), found: Option<(i64, i64)>) {
        let at = &self.hosts[host];
        if !at.abandoned && !at.opening && found.is_none_or(|(offset, _)| offset >= at.model.log_start()) {
            at.model.check_time(time, end, found);
            self.outcome.lookups += 1;
        }
    }

    fn delete_records(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut().filter(|log| *log.state() == LogState::Online) else { return };
        let span = (log.flushed_offset().0 - log.log_start_offset().0) as u64;
        let before = log.log_start_offset().0 + self.rng.below(span / 4 + 1) as i64;
        let start = log.delete_records(Offset(before), cx!(self)).expect("it is online");
        if !at.abandoned {
            at.model.on_log_start(start.0);
        }
    }

    fn pass_time(&mut self) {
        let ms = if self.rng.one_in(10) { self.rng.below(60_000) } else { self.rng.below(1500) };
        let end = corelane_base::time::Mono(self.clock.now().mono.0 + ms * 1_000_000);
        while self.disk.next_completion().is_some_and(|due| due <= end) {
            self.complete_one();
            self.end_turn();
        }
        self.clock.advance_to(end);
        self.tick();
    }

    fn tick(&mut self) {
        self.pool.tick(&mut self.queue);
        for number in 0..self.hosts.len() {
            let at = &mut self.hosts[number];
            at.model.on_wall(self.clock.now().wall.0);
            let Some(log) = at.log.as_mut() else { continue };
            log.tick(cx!(self));
        }
        self.submit();
    }

    fn store_checkpoint(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        if at.opening || at.checkpoint.is_some() || *log.state() != LogState::Online {
            return;
        }
        let data = log.checkpoint();
        let path = format!("checkpoints/{host}");
        let token = self.queue.push(CHECKPOINT_SLOTS + host as u32, DiskOp::WriteFile { path, data });
        at.checkpoint = Some((token, log.log_start_offset().0));
    }

    fn disturb(&mut self) {
        match self.rng.below(3) {
            0 if self.plan.fills => {
                let free = if self.rng.one_in(2) { self.rng.below(512 * 1024) } else { u64::MAX };
                self.disk.leave_free(free);
            }
            1 => self.disk.set_faults(Faults::default()),
            _ => self.disk.set_faults(self.plan.faults),
        }
    }

    fn crash(&mut self) {
        let crash = if self.rng.one_in(2) { Crash::Kill } else { Crash::PowerLoss };
        self.trace.line(|| format!("crash: {crash:?}"));
        if self.rng.one_in(2) {
            let _ = self.queue.drain();
        }
        self.submit();
        self.disk.crash(crash);
        self.note_damage();
        self.start(false);
        for _ in 0..self.rng.below(40) {
            self.complete_one();
        }
        if self.rng.one_in(4) {
            self.crash();
        } else {
            self.await_recovery();
        }
    }

    fn stop_cleanly(&mut self) {
        self.trace.line(|| "clean stop".to_owned());
        self.await_recovery();
        self.cleaner.abort(cx!(self));
        for at in &mut self.hosts {
            if let Some(log) = at.log.as_mut() {
                log.seal_for_shutdown(cx!(self));
            }
        }
        for _ in 0..10 {
            self.settle();
            self.clock.advance_by(1_000_000_000);
            self.tick();
        }
        self.settle();
        assert!(self.cleaner.is_idle(), "{:?}", self.cleaner);
        let mut clean = self.disk.counts().faults == self.faults_at_start;
        for host in 0..self.hosts.len() {
            let log = self.hosts[host].log.as_ref().expect("between start and crash every host has a log");
            clean &= log.is_idle() && !log.lacks_room() && *log.state() == LogState::Online;
            self.store_checkpoint(host);
        }
        self.settle();
        clean &= self.disk.counts().faults == self.faults_at_start;
        clean &= self.hosts.iter().all(|at| at.checkpoint_stored);
        self.disk.close();
        self.note_damage();
        self.start(clean);
        self.await_recovery();
    }

    fn start(&mut self, clean: bool) {
        self.count_cleaner();
        self.queue = DiskQueue::default();
        self.sending.clear();
        self.faults_at_start = self.disk.counts().faults;
        self.pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut self.queue);
        self.cleaner = Cleaner::new(CLEANER_SLOT, [3, 4], self.plan.cleaner);
        for number in 0..self.hosts.len() {
            let stored = self.disk.peek(&format!("checkpoints/{number}"));
            let at = &mut self.hosts[number];
            at.reads.clear();
            at.lookups.clear();
            at.checkpoint = None;
            at.opening = true;
            at.clean = clean;
            let (dir, settings) = (at.dir.clone(), at.settings.clone());
            let slot = number as u32 + 1;
            at.log = Some(Log::open(slot, dir, settings, stored.as_deref(), clean, cx!(self)));
        }
        self.submit();
        self.notice_online();
    }

    fn await_recovery(&mut self) {
        for _ in 0..PATIENCE {
            if self.hosts.iter().all(|at| !at.opening) {
                return;
            }
            if !self.complete_one() {
                self.clock.advance_by(1_000_000_000);
                self.tick();
            }
        }
        panic!("recovery does not end");
    }

    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            self.end_turn();
            if !self.complete_one() && self.queue.is_empty() {
                return;
            }
        }
        panic!("the disk is never idle");
    }

    fn complete_one(&mut self) -> bool {
        let Some(due) = self.disk.next_completion() else { return false };
        let now = self.clock.now().mono;
        self.clock.advance_to(due.max(now));
        let completion = self.disk.complete(self.clock.now().mono).expect("it is due");
        self.note_damage();
        self.hash.word(completion.token.0);
        self.trace.line(|| format!("disk {:?}: {:?}", completion.token, completion.result));
        self.route(completion.token, completion.result);
        self.submit();
        self.notice_online();
        self.observe();
        true
    }

    fn route(&mut self, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        match token.owner() {
            POOL_SLOT => self.pool.on_disk(token, result, &mut self.queue, &mut self.notices),
            CLEANER_SLOT => self.cleaner.on_disk(token, result, cx!(self)),
            owner if owner >= CHECKPOINT_SLOTS => {
                let at = &mut self.hosts[(owner - CHECKPOINT_SLOTS) as usize];
                let (_, log_start) = at.checkpoint.take().expect("one was under way");
                at.checkpoint_stored = result.is_ok();
                if result.is_ok() {
                    at.model.on_checkpoint_stored(log_start);
                    at.log.as_mut().expect("it gave it").checkpoint_stored();
                }
            }
            owner => self.on_log(owner as usize - 1, token, result),
        }
    }

    fn on_log(&mut self, host: usize, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        let at = &mut self.hosts[host];
        let log = at.log.as_mut().expect("completions come only between start and crash");
        let progress = log.on_disk(token, result, cx!(self));
        for (ticket, result) in progress.reads {
            let asked = self.hosts[host].reads.remove(&ticket).expect("a read that was asked for, once");
            match result {
                Ok(read) => self.sending.push((host, asked, read)),
                Err(error) => self.check_read_error(host, &error),
            }
        }
        for (ticket, result) in progress.lookups {
            let asked = self.hosts[host].lookups.remove(&ticket).expect("a look-up that was asked for, once");
            match result {
                Ok(found) => {
                    let found = found.map(|found| (found.offset.0, found.timestamp.0));
                    self.check_lookup(host, asked, found);
                }
                Err(error) => self.check_read_error(host, &error),
            }
        }
    }

    fn notice_online(&mut self) {
        for at in &mut self.hosts {
            let Some(log) = at.log.as_ref() else { continue };
            if !at.opening || *log.state() == LogState::Opening {
                continue;
            }
            at.opening = false;
            if let LogState::Offline(reason) = log.state() {
                let disturbed = self.disk.counts().faults > self.faults_at_start;
                assert!(disturbed || at.abandoned, "{} is offline for no reason: {reason:?}", at.dir);
                continue;
            }
            self.outcome.recoveries += 1;
            if !at.abandoned {
                let (start, flushed) = (log.log_start_offset().0, log.flushed_offset().0);
                at.model.on_recovered(start, flushed, log.log_end_offset().0, at.clean);
            }
        }
    }

    fn observe(&mut self) {
        for at in &mut self.hosts {
            let Some(log) = at.log.as_ref() else { continue };
            log.check_invariants();
            if at.opening || at.abandoned || *log.state() != LogState::Online {
                continue;
            }
            self.hash.word(log.flushed_offset().0 as u64);
            at.model.on_flushed(log.flushed_offset().0);
            assert_eq!(log.log_end_offset().0, at.model.log_end(), "{}", at.dir);
            assert_eq!(log.log_start_offset().0, at.model.log_start(), "{}", at.dir);
        }
    }

    fn end_turn(&mut self) {
        for at in &mut self.hosts {
            if let Some(log) = at.log.as_mut() {
                log.end_turn(cx!(self));
            }
        }
        self.submit();
    }

    fn submit(&mut self) {
        let now = self.clock.now().mono;
        for (token, op) in self.queue.drain() {
            self.trace.line(|| format!("submit {token:?}: {op:?}"));
            self.disk.submit(now, SHARD, token, op);
        }
        for notice in self.notices.drain(..) {
            self.trace.line(|| format!("notice: {notice:?}"));
        }
    }

    fn note_damage(&mut self) {
        for damage in &self.disk.damage()[self.damage_seen..] {
            let owner = self.hosts.iter_mut().find(|at| {
                damage.path.strip_prefix(at.dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            match owner {
                Some(at) => at.abandoned = true,
                None => self.hosts.iter_mut().for_each(|at| at.abandoned = true),
            }
        }
        self.damage_seen = self.disk.damage().len();
    }

    /// Compacts everything that can be, with checkpoints, until nothing is due any more.
    fn clean_everything(&mut self) {
        for _ in 0..PATIENCE {
            if self.clean() {
                if !self.complete_one() {
                    self.clock.advance_by(1_000_000);
                }
                continue;
            }
            for _ in 0..3 {
                for host in 0..self.hosts.len() {
                    self.store_checkpoint(host);
                }
                self.settle();
                self.clock.advance_by(1_000_000_000);
                self.tick();
                self.settle();
            }
            if !self.clean() {
                return;
            }
        }
        panic!("compaction does not end: {:?}", self.cleaner);
    }

    /// Reads a log from its start to its end: nothing is lost, and nothing is there that must be gone.
    fn read_everything(&mut self, host: usize) {
        let at = &self.hosts[host];
        let log = at.log.as_ref().expect("it has come online");
        if at.abandoned || *log.state() != LogState::Online {
            return;
        }
        let cleaned = log.cleaned_offset().0;
        let (mut offset, end) = (at.model.log_start(), at.model.flushed());
        let (start, mut found) = (offset, Vec::new());
        while offset < end {
            self.start_read(host, Asked { offset, end, bytes_max: 1, whole_first: true });
            self.settle();
            let (_, asked, read) = self.sending.pop().expect("a healthy disk answers");
            let mut bytes = Vec::new();
            for part in &read.parts {
                match part {
                    LogSlice::Memory(memory) => bytes.extend_from_slice(memory),
                    LogSlice::File { file, offset, len } => {
                        bytes.extend_from_slice(&self.disk.send_file(file, *offset, u64::from(*len)));
                    }
                }
            }
            let model = &self.hosts[host].model;
            let (next, count) = model.check_read(asked.offset, asked.end, 1, true, &bytes);
            let (_, records) = crate::batch::decode_keyed(&bytes).expect("just checked").expect("and whole");
            found.extend(records.iter().map(|(offset, _)| *offset).filter(|offset| *offset >= start));
            self.outcome.compared += count;
            offset = next;
        }
        let model = &self.hosts[host].model;
        model.check_removed(cleaned, &found);
        self.outcome.removed += (end - start) as u64 - found.len() as u64;
    }
}
