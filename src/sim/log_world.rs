//! Logs alone on a virtual disk, under one seed: appends, reads, look-ups, retention, crashes at any step.
//!
//! The world plays the part of a shard that owns a few logs and a segment pool: it routes completions, stores
//! checkpoints, and marks a clean stop, the way the seam's contract asks for. After everything the log says, the model
//! beside it is asked whether that may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ShardId};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::error::{AppendError, ReadError};
use corelane_log::log::{
    AppendOrigin, Log, LogCx, LogRead, LogSlice, LogState, LookupStart, ReadStart, ReadTicket, TimedOffset,
};
use corelane_log::pool::SegmentPool;
use corelane_log::producers::ProducerError;
use corelane_log::settings::{Durability, LogNotice, LogSettings};

use crate::batch::{Producer, Record, as_stored, encode};
use crate::clock::Clock;
use crate::disk::{Crash, DiskCounts, Faults, VirtualDisk};
use crate::hash::StateHash;
use crate::log_model::{Ending, LogModel, ReadAsked};
use crate::log_plan::{LogPlan, PRODUCERS_PER_LOG};
use crate::trace::Trace;

const SHARD: ShardId = ShardId(0);
/// The pool's slot; logs have those above.
const POOL_SLOT: u32 = 0;
/// Checkpoint writes of log `n` have slot `CHECKPOINT_SLOTS + n`.
const CHECKPOINT_SLOTS: u32 = 1000;
/// Completions after which something that should come to rest has not.
const PATIENCE: u32 = 100_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOutcome {
    /// Of everything that happened and of the disk at the end.
    pub hash: u64,
    /// Batches appended.
    pub appended: u64,
    /// Batches recognised as sent before.
    pub duplicates: u64,
    /// Reads whose bytes were compared.
    pub reads: u64,
    /// Look-ups by time compared.
    pub lookups: u64,
    /// Times a log came online after a crash.
    pub recoveries: u64,
    /// Times a log was found or went offline.
    pub offline: u64,
    /// What the disk saw.
    pub disk: DiskCounts,
}

impl LogOutcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &LogOutcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.appended += other.appended;
        self.duplicates += other.duplicates;
        self.reads += other.reads;
        self.lookups += other.lookups;
        self.recoveries += other.recoveries;
        self.offline += other.offline;
        self.disk.add(&other.disk);
    }
}

/// A read on its way to a client: bytes in files are looked at only when they are sent.
#[derive(Debug)]
struct Sending {
    host: usize,
    asked: ReadAsked,
    read: LogRead,
}

#[derive(Debug, Clone, Copy)]
struct LookupAsked {
    /// `None`: the record with the largest timestamp.
    timestamp: Option<i64>,
    expected: Option<(i64, i64)>,
}

/// One log with what the world knows of it.
#[derive(Debug)]
struct Host {
    dir: String,
    settings: LogSettings,
    log: Option<Log>,
    model: LogModel,
    leader_epoch: i32,
    /// Recovering: the model waits for it.
    opening: bool,
    /// Damaged silently: nobody can tell any more what it must hold.
    abandoned: bool,
    reads: BTreeMap<ReadTicket, ReadAsked>,
    lookups: BTreeMap<ReadTicket, LookupAsked>,
    /// The checkpoint being stored and the log start in it.
    checkpoint: Option<(DiskToken, i64)>,
    /// Whether the last one was stored.
    checkpoint_stored: bool,
}

/// Some logs, their disk, their clock.
#[derive(Debug)]
pub struct LogWorld {
    rng: Rng,
    plan: LogPlan,
    clock: Clock,
    disk: VirtualDisk,
    queue: DiskQueue,
    notices: Vec<LogNotice>,
    pool: SegmentPool,
    hosts: Vec<Host>,
    sending: Vec<Sending>,
    /// Damage and faults already taken into account.
    damage_seen: usize,
    faults_at_start: u64,
    hash: StateHash,
    outcome: LogOutcome,
    trace: Trace,
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> LogOutcome {
    let mut rng = Rng::new(seed);
    let plan = LogPlan::draw(&mut rng);
    let mut world = LogWorld::new(plan, rng, trace);
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.finish()
}

impl LogWorld {
    fn new(plan: LogPlan, mut rng: Rng, trace: Trace) -> LogWorld {
        let mut disk = VirtualDisk::new(rng.split(), plan.disk_bytes);
        disk.set_latency(plan.latency);
        disk.set_faults(plan.faults);
        let mut queue = DiskQueue::default();
        let pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut queue);
        let mut world = LogWorld {
            rng,
            plan,
            clock: Clock::default(),
            disk,
            queue,
            notices: Vec::new(),
            pool,
            hosts: Vec::new(),
            sending: Vec::new(),
            damage_seen: 0,
            faults_at_start: 0,
            hash: StateHash::default(),
            outcome: LogOutcome::default(),
            trace,
        };
        world.trace.line(|| format!("{:?}", world.plan));
        for settings in world.plan.logs.clone() {
            world.create(settings);
        }
        world.submit();
        world
    }

    fn create(&mut self, settings: LogSettings) {
        let number = self.hosts.len() as u32;
        let dir = format!("logs/topic-{number}");
        let mut cx = LogCx {
            now: self.clock.now(),
            disk: &mut self.queue,
            pool: &mut self.pool,
            notices: &mut self.notices,
        };
        let log = Log::create(number + 1, dir.clone(), settings.clone(), &mut cx);
        self.hosts.push(Host {
            dir,
            model: LogModel::new(settings.durability),
            settings,
            log: Some(log),
            leader_epoch: 0,
            opening: false,
            abandoned: false,
            reads: BTreeMap::new(),
            lookups: BTreeMap::new(),
            checkpoint: None,
            checkpoint_stored: false,
        });
    }

    /// One thing happens, drawn by weight.
    fn step(&mut self) {
        let host = self.rng.below(self.hosts.len() as u64) as usize;
        match self.rng.below(1000) {
            0..300 => {
                for _ in 0..=self.rng.below(self.plan.burst) {
                    self.append(host);
                }
            }
            300..700 => self.complete_some(),
            700..820 => self.read(host),
            820..860 => self.look_up(host),
            860..900 => self.send_one(),
            900..930 => self.pass_time(),
            930..945 => self.delete_records(host),
            945..960 => self.store_checkpoint(host),
            960..970 => self.evict(host),
            970..980 => self.check_epochs(host),
            980..990 => self.disturb(),
            990..997 => self.crash(),
            _ => self.stop_cleanly(),
        }
        self.end_turn();
        self.observe();
    }

    /// Ends the run: no more faults, a last crash or stop, everything online, everything read.
    fn finish(mut self) -> LogOutcome {
        self.disk.set_faults(Faults::default());
        self.disk.leave_free(u64::MAX);
        if self.rng.one_in(2) {
            self.crash();
        } else {
            self.stop_cleanly();
        }
        self.settle();
        for host in 0..self.hosts.len() {
            self.check_serves_again(host);
            self.read_everything(host);
        }
        self.settle();
        while !self.sending.is_empty() {
            self.send_one();
        }
        self.disk.hash_into(&mut self.hash);
        self.outcome.hash = self.hash.value();
        self.outcome.disk = self.disk.counts();
        self.outcome
    }

    /// Appends a batch of a random producer: new, or sent once more.
    fn append(&mut self, host: usize) {
        let producer_id = self.rng.below(PRODUCERS_PER_LOG + 1) as i64 - 1;
        if producer_id < 0 {
            let records = self.records(host);
            self.append_batch(host, Producer::NONE, &records, Expected::Appended);
            return;
        }
        let newest = self.hosts[host].model.batches_of(producer_id).next().map(|batch| {
            (
                batch.producer,
                batch.last_offset - batch.base_offset + 1,
                batch.base_offset,
                batch.bytes.clone(),
            )
        });
        let records = self.records(host);
        match newest {
            None => {
                let producer = Producer { id: producer_id, epoch: 0, base_sequence: 0 };
                self.append_batch(host, producer, &records, Expected::Appended);
            }
            Some((producer, count, base_offset, bytes)) => {
                let remembered = base_offset >= self.hosts[host].model.log_start();
                let next = (i64::from(producer.base_sequence) + count) & i64::from(i32::MAX);
                let next = Producer { base_sequence: next as i32, ..producer };
                match self.rng.below(20) {
                    0..3 if remembered => self.append_again(host, &bytes, base_offset),
                    3 if remembered => {
                        let gap = Producer { base_sequence: next.base_sequence + 7, ..next };
                        self.append_batch(host, gap, &records, Expected::OutOfOrder);
                    }
                    4 => {
                        let fresh = Producer { epoch: producer.epoch + 1, base_sequence: 0, ..producer };
                        self.append_batch(host, fresh, &records, Expected::Appended);
                    }
                    5 if remembered && producer.epoch > 0 => {
                        let fenced = Producer { epoch: producer.epoch - 1, base_sequence: 0, ..producer };
                        self.append_batch(host, fenced, &records, Expected::Fenced);
                    }
                    _ => self.append_batch(host, next, &records, Expected::Appended),
                }
            }
        }
    }

    fn records(&mut self, host: usize) -> Vec<Record> {
        let count = match self.rng.below(20) {
            0 => 50,
            1..4 => 10,
            _ => 1,
        };
        let size_max =
            self.plan.record_bytes_max.min(u64::from(self.hosts[host].settings.batch_bytes_max) / 64);
        let now = self.clock.now().wall.0;
        (0..1 + self.rng.below(count))
            .map(|_| Record {
                timestamp_ms: now - self.rng.below(5_000) as i64,
                key: self.rng.one_in(2).then(|| self.rng.next_u64().to_le_bytes().to_vec()),
                value: vec![self.rng.next_u64() as u8; self.rng.below(size_max) as usize],
            })
            .collect()
    }

    fn append_batch(&mut self, host: usize, producer: Producer, records: &[Record], expected: Expected) {
        let produced = encode(producer, records);
        let Some((result, leader_epoch)) = self.hand_in(host, &produced) else { return };
        let at = &mut self.hosts[host];
        match result {
            Ok(_) if at.abandoned => {}
            Ok(appended) => {
                assert_eq!(expected, Expected::Appended, "{} took a batch of {producer:?}", at.dir);
                assert!(!appended.duplicate, "{}: {producer:?} is no duplicate", at.dir);
                let time = appended.log_append_time.map(|time| time.0);
                let stored = as_stored(&produced, appended.base_offset.0, leader_epoch, time);
                at.model.on_appended(stored);
                assert_eq!(appended.last_offset.0 + 1, at.model.log_end());
                self.outcome.appended += 1;
            }
            Err(error) if at.abandoned => drop(error),
            Err(AppendError::Producer(error)) => match (error, expected) {
                (ProducerError::OutOfOrderSequence { .. }, Expected::OutOfOrder)
                | (ProducerError::InvalidProducerEpoch { .. }, Expected::Fenced) => {}
                _ => panic!("{}: {producer:?} refused with {error:?}, expected {expected:?}", at.dir),
            },
            Err(AppendError::Opening) => assert!(at.opening, "{} is online", at.dir),
            Err(AppendError::Offline) => {
                let log = at.log.as_ref().expect("asked a moment ago");
                assert!(matches!(log.state(), LogState::Offline(_)), "{} is not offline", at.dir);
            }
            Err(AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) => panic!("{}: a sound batch is refused: {error:?}", at.dir),
        }
    }

    /// The newest batch of a producer comes once more.
    fn append_again(&mut self, host: usize, stored: &[u8], base_offset: i64) {
        let mut produced = stored.to_vec();
        produced[..8].fill(0);
        if self.hosts[host].settings.timestamp_type == corelane_log::batch::TimestampType::LogAppendTime {
            return;
        }
        let Some((result, _)) = self.hand_in(host, &produced) else { return };
        let at = &self.hosts[host];
        match result {
            Ok(appended) => {
                assert!(at.abandoned || appended.duplicate, "{}: batch {base_offset} taken twice", at.dir);
                assert!(at.abandoned || appended.base_offset.0 == base_offset);
                self.outcome.duplicates += 1;
            }
            Err(AppendError::Opening | AppendError::Offline | AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) if at.abandoned => drop(error),
            Err(error) => panic!("{}: batch {base_offset} not recognised: {error:?}", at.dir),
        }
    }

    fn hand_in(
        &mut self,
        host: usize,
        produced: &[u8],
    ) -> Option<(Result<corelane_log::log::Appended, AppendError>, i32)> {
        let at = &mut self.hosts[host];
        if produced.len() > at.settings.batch_bytes_max.min(at.settings.segment_bytes) as usize {
            return None;
        }
        let mut cx = LogCx {
            now: self.clock.now(),
            disk: &mut self.queue,
            pool: &mut self.pool,
            notices: &mut self.notices,
        };
        let log = at.log.as_mut()?;
        let epoch = at.leader_epoch;
        let origin = AppendOrigin::Client { zstd_allowed: true };
        let result = log.append(produced, LeaderEpoch(epoch), origin, &mut cx);
        let dir = &at.dir;
        self.trace.line(|| {
            let producer = crate::batch::decode(produced).map(|batch| batch.map(|batch| batch.producer));
            format!("append {dir} {} bytes of {producer:?}: {result:?}", produced.len())
        });
        Some((result, epoch))
    }

    fn read(&mut self, host: usize) {
        let model = &self.hosts[host].model;
        let (start, flushed) = (model.log_start(), model.flushed());
        let offset = match self.rng.below(10) {
            0 => start,
            1 => flushed,
            2..5 => flushed - self.rng.below((flushed - start) as u64 / 10 + 1) as i64,
            _ => start + self.rng.below((flushed - start) as u64 + 1) as i64,
        };
        let bytes_max = 1 << (4 + self.rng.below(16));
        let asked = ReadAsked { offset, end: flushed, bytes_max, whole_first_batch: !self.rng.one_in(4) };
        self.start_read(host, asked);
    }

    fn start_read(&mut self, host: usize, asked: ReadAsked) {
        let at = &mut self.hosts[host];
        let mut cx = LogCx {
            now: self.clock.now(),
            disk: &mut self.queue,
            pool: &mut self.pool,
            notices: &mut self.notices,
        };
        let Some(log) = at.log.as_mut() else { return };
        let (offset, end) = (Offset(asked.offset), Offset(asked.end));
        let started = log.read(offset, end, asked.bytes_max, asked.whole_first_batch, &mut cx);
        let dir = &at.dir;
        self.trace.line(|| format!("read {dir} {asked:?}: {}", describe(&started)));
        match started {
            ReadStart::Ready(read) => self.sending.push(Sending { host, asked, read }),
            ReadStart::Pending(ticket) => {
                let before = at.reads.insert(ticket, asked);
                assert!(before.is_none(), "{}: ticket {ticket:?} given twice", at.dir);
            }
            ReadStart::Empty if at.abandoned => {}
            ReadStart::Empty => at.model.check_read_empty(&asked),
            ReadStart::OutOfRange => {
                let inside = (at.model.log_start()..=at.model.log_end()).contains(&asked.offset);
                assert!(at.abandoned || at.opening || !inside, "{}: {asked:?} out of range", at.dir);
            }
            ReadStart::Failed(error) => self.check_read_error(host, &error),
        }
    }

    fn check_read_error(&self, host: usize, error: &ReadError) {
        let at = &self.hosts[host];
        let log = at.log.as_ref().expect("it answered");
        let fair = match error {
            ReadError::Opening => at.opening,
            ReadError::Offline => matches!(log.state(), LogState::Offline(_)),
            ReadError::OutOfRange => true,
            ReadError::Failed(_) => self.plan.faults.read_error > 0 || self.plan.faults.meta_error > 0,
            ReadError::Corrupt => false,
        };
        assert!(fair || at.abandoned, "{}: read failed with {error:?}, log is {:?}", at.dir, log.state());
    }

    /// A read's bytes leave for the client; those in files are taken from the disk only now.
    fn send_one(&mut self) {
        if self.sending.is_empty() {
            return;
        }
        let which = self.rng.below(self.sending.len() as u64) as usize;
        let Sending { host, asked, read } = self.sending.swap_remove(which);
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
        if !at.abandoned {
            assert_eq!(bytes.len() as u64, read.bytes, "{}: {asked:?}", at.dir);
            if bytes.is_empty() {
                at.model.check_read_empty(&asked);
            } else {
                at.model.check_read(&asked, &bytes);
            }
            self.outcome.reads += 1;
        }
    }

    fn look_up(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let end = at.model.flushed();
        let now = self.clock.now();
        let timestamp = (!self.rng.one_in(4)).then(|| now.wall.0 - self.rng.below(self.plan.span_ms) as i64);
        let mut cx = LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
        let (started, expected) = match timestamp {
            Some(time) => {
                (log.offset_for_time(WallMs(time), Offset(end), &mut cx), at.model.offset_for_time(time, end))
            }
            None => {
                (log.offset_of_max_timestamp(Offset(end), &mut cx), at.model.offset_of_max_timestamp(end))
            }
        };
        let asked = LookupAsked { timestamp, expected };
        let dir = &at.dir;
        self.trace.line(|| format!("look up {dir} {asked:?} below {end}: {started:?}"));
        match started {
            LookupStart::Ready(found) => self.check_lookup(host, asked, found),
            LookupStart::Pending(ticket) => {
                let before = at.lookups.insert(ticket, asked);
                assert!(before.is_none(), "{}: ticket {ticket:?} given twice", at.dir);
            }
            LookupStart::Failed(error) => self.check_read_error(host, &error),
        }
    }

    fn check_lookup(&mut self, host: usize, asked: LookupAsked, found: Option<TimedOffset>) {
        let at = &self.hosts[host];
        if at.abandoned || at.opening {
            return;
        }
        self.outcome.lookups += 1;
        let got = found.map(|found| (found.offset.0, found.timestamp.0));
        if let Some((offset, _)) = asked.expected
            && offset < at.model.log_start()
        {
            return; // Removed while the look-up waited.
        }
        if let (None, Some((offset, time))) = (asked.timestamp, got)
            && offset < at.model.log_start()
        {
            // As in Kafka, the record with the largest time may have been deleted, if its segment has not.
            assert_eq!(at.model.time_of(offset), Some(time), "{}", at.dir);
            return;
        }
        assert_eq!(got, asked.expected, "{}: look-up of time {:?}", at.dir, asked.timestamp);
    }

    fn pass_time(&mut self) {
        let ms = match self.rng.below(10) {
            0 => self.rng.below(self.plan.span_ms),
            _ => self.rng.below(1000),
        };
        self.deliver_until(ms * 1_000_000);
        if self.rng.one_in(20) && self.plan.wall_jumps {
            let by = self.rng.below(20_000) as i64 - 10_000;
            self.clock.jump_wall(by);
        }
        self.tick();
    }

    fn tick(&mut self) {
        self.pool.tick(&mut self.queue);
        let now = self.clock.now();
        for at in &mut self.hosts {
            let mut cx =
                LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            let Some(log) = at.log.as_mut() else { continue };
            let before = log.log_start_offset();
            let grown = log.tick(&mut cx);
            assert_eq!(grown, log.log_start_offset() > before, "{}", at.dir);
            if !at.opening && !at.abandoned && *log.state() == LogState::Online {
                at.model.on_log_start(log.log_start_offset().0, false, &at.settings, now.wall.0);
            }
        }
        self.submit();
    }

    fn delete_records(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        if at.opening {
            return;
        }
        let now = self.clock.now();
        let span = (at.model.flushed() - at.model.log_start()) as u64;
        let before = at.model.log_start() + self.rng.below(span / 2 + 1) as i64;
        let mut cx = LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
        let result = log.delete_records(Offset(before), &mut cx);
        let dir = &at.dir;
        self.trace.line(|| format!("delete {dir} below {before}: {result:?}"));
        match result {
            Ok(_) if at.abandoned => {}
            Ok(log_start) => {
                assert_eq!(log_start, log.log_start_offset());
                assert_eq!(log_start.0, before.max(at.model.log_start()), "{}", at.dir);
                at.model.on_log_start(log_start.0, true, &at.settings, now.wall.0);
            }
            Err(error) => self.check_read_error(host, &error),
        }
    }

    fn store_checkpoint(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        if at.opening || at.checkpoint.is_some() || *log.state() != LogState::Online {
            return;
        }
        let data = log.checkpoint();
        let path = checkpoint_path(host);
        let token = self.queue.push(CHECKPOINT_SLOTS + host as u32, DiskOp::WriteFile { path, data });
        at.checkpoint = Some((token, log.log_start_offset().0));
    }

    fn evict(&mut self, host: usize) {
        let keep = self.rng.below(256 * 1024);
        if let Some(log) = self.hosts[host].log.as_mut() {
            log.evict_tail(keep);
        }
    }

    fn check_epochs(&mut self, host: usize) {
        let at = &self.hosts[host];
        let Some(log) = at.log.as_ref() else { return };
        if at.opening || at.abandoned || *log.state() != LogState::Online {
            return;
        }
        for asked in 0..=at.leader_epoch {
            if let Some(expected) = at.model.end_of_epoch(asked) {
                let (epoch, end) = log.end_offset_for_epoch(LeaderEpoch(asked));
                assert_eq!((epoch.0, end.0), expected, "{}: end of epoch {asked}", at.dir);
            }
        }
    }

    /// The surroundings change: room on the disk, faults on or off, leadership.
    fn disturb(&mut self) {
        match self.rng.below(4) {
            0 if self.plan.fills => {
                let free = if self.rng.one_in(2) { self.rng.below(512 * 1024) } else { u64::MAX };
                self.disk.leave_free(free);
                self.trace.line(|| format!("disk has {free} bytes free"));
            }
            1 => self.disk.set_faults(Faults::default()),
            2 => self.disk.set_faults(self.plan.faults),
            _ => {
                let host = self.rng.below(self.hosts.len() as u64) as usize;
                self.hosts[host].leader_epoch += 1;
            }
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
        for at in &mut self.hosts {
            at.model.on_ending(crash.into());
            // What such a log holds after a power failure is promised to nobody: only that it does no harm.
            at.abandoned |= crash == Crash::PowerLoss && at.settings.durability != Durability::Sync;
        }
        self.note_damage();
        self.start(false);
        // Every few times it does not get far.
        for _ in 0..self.rng.below(40) {
            self.complete_one();
        }
        if self.rng.one_in(4) {
            self.crash();
        } else {
            self.await_recovery();
        }
    }

    /// Seals, waits, stores checkpoints, starts again as after a clean stop; or as after a crash if a log could not
    /// be brought to rest.
    fn stop_cleanly(&mut self) {
        self.trace.line(|| "clean stop".to_owned());
        self.await_recovery();
        let now = self.clock.now();
        for at in &mut self.hosts {
            let mut cx =
                LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            if let Some(log) = at.log.as_mut() {
                log.seal_for_shutdown(&mut cx);
            }
        }
        for _ in 0..10 {
            self.settle();
            self.clock.advance_by(1_000_000_000);
            self.tick();
        }
        self.settle();
        self.observe();
        let mut clean = self.disk.counts().faults == self.faults_at_start;
        for host in 0..self.hosts.len() {
            let at = &self.hosts[host];
            let log = at.log.as_ref().expect("between start and crash every host has a log");
            let at_rest = log.is_idle();
            assert!(at_rest || self.plan.fills || at.abandoned, "{} does not come to rest: {log:?}", at.dir);
            if at_rest && *log.state() == LogState::Online && !at.abandoned {
                assert_eq!(log.flushed_offset(), log.log_end_offset(), "{}: sealed but not flushed", at.dir);
            }
            clean &= at_rest && *log.state() == LogState::Online;
            self.store_checkpoint(host);
        }
        self.settle();
        clean &= self.disk.counts().faults == self.faults_at_start;
        clean &= self.hosts.iter().all(|at| at.checkpoint_stored);
        self.disk.close();
        for at in &mut self.hosts {
            at.model.on_ending(if clean { Ending::Clean } else { Ending::Killed });
        }
        self.note_damage();
        self.start(clean);
        if clean {
            for at in &self.hosts {
                let state = at.log.as_ref().map(Log::state);
                assert_eq!(state, Some(&LogState::Online), "{} opens at once after a clean stop", at.dir);
            }
        }
        self.await_recovery();
    }

    /// A new process: pool and logs are opened with what the disk holds.
    fn start(&mut self, clean: bool) {
        let now = self.clock.now();
        self.queue = DiskQueue::default();
        self.sending.clear();
        self.faults_at_start = self.disk.counts().faults;
        self.pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut self.queue);
        for (number, at) in self.hosts.iter_mut().enumerate() {
            at.reads.clear();
            at.lookups.clear();
            at.checkpoint = None;
            at.opening = true;
            at.leader_epoch += i32::from(self.rng.one_in(2));
            let stored = self.disk.peek(&checkpoint_path(number));
            let mut cx =
                LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            let slot = number as u32 + 1;
            let (dir, settings) = (at.dir.clone(), at.settings.clone());
            at.log = Some(Log::open(slot, dir, settings, stored.as_deref(), clean, &mut cx));
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
                // Nothing under way: perhaps something is tried again later.
                self.clock.advance_by(1_000_000_000);
                self.tick();
            }
        }
        let stuck: Vec<_> = self.hosts.iter().filter(|at| at.opening).collect();
        panic!("recovery does not end: {stuck:?}");
    }

    /// Delivers until nothing is in flight, ending turns as a shard does.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            self.end_turn();
            if !self.complete_one() && self.queue.is_empty() {
                return;
            }
        }
        panic!("the disk is never idle");
    }

    fn complete_some(&mut self) {
        for _ in 0..=self.rng.below(8) {
            self.complete_one();
            if self.rng.one_in(2) {
                self.end_turn();
            }
        }
    }

    fn deliver_until(&mut self, ns: u64) {
        let end = corelane_base::time::Mono(self.clock.now().mono.0 + ns);
        while self.disk.next_completion().is_some_and(|due| due <= end) {
            self.complete_one();
            self.end_turn();
        }
        self.clock.advance_to(end);
    }

    /// Advances to the next completion and routes it. Returns whether there was one.
    fn complete_one(&mut self) -> bool {
        let Some(due) = self.disk.next_completion() else { return false };
        let now = self.clock.now().mono;
        self.clock.advance_to(due.max(now));
        let completion = self.disk.complete(self.clock.now().mono).expect("it is due");
        self.note_damage();
        self.hash.word(completion.token.0);
        self.hash.word(self.clock.now().mono.0);
        self.trace.line(|| format!("disk {:?}: {:?}", completion.token, completion.result));
        self.route(completion.token, completion.result);
        self.submit();
        self.notice_online();
        self.observe();
        true
    }

    fn route(&mut self, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        let owner = token.owner();
        if owner == POOL_SLOT {
            self.pool.on_disk(token, result, &mut self.queue, &mut self.notices);
        } else if owner >= CHECKPOINT_SLOTS {
            self.on_checkpoint(owner - CHECKPOINT_SLOTS, token, result.is_ok());
        } else {
            self.on_log(owner as usize - 1, token, result);
        }
    }

    fn on_checkpoint(&mut self, host: u32, token: DiskToken, stored: bool) {
        let at = &mut self.hosts[host as usize];
        let (expected, log_start) = at.checkpoint.take().expect("one was under way");
        assert_eq!(token, expected);
        at.checkpoint_stored = stored;
        if stored {
            at.model.on_checkpoint_stored(log_start);
            if let Some(log) = at.log.as_mut() {
                log.checkpoint_stored();
            }
        }
    }

    fn on_log(&mut self, host: usize, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        let at = &mut self.hosts[host];
        let mut cx = LogCx {
            now: self.clock.now(),
            disk: &mut self.queue,
            pool: &mut self.pool,
            notices: &mut self.notices,
        };
        let log = at.log.as_mut().expect("completions come only between start and crash");
        let (flushed_before, state_before) = (log.flushed_offset(), log.state().clone());
        let progress = log.on_disk(token, result, &mut cx);
        if state_before == LogState::Online {
            let moved = log.flushed_offset() > flushed_before;
            assert_eq!(progress.flushed_moved, moved, "{}: {progress:?}", at.dir);
        }
        assert_eq!(progress.state_changed, *log.state() != state_before, "{}: {progress:?}", at.dir);
        for (ticket, result) in progress.reads {
            let at = &mut self.hosts[host];
            let asked = at.reads.remove(&ticket).expect("a read that was asked for, once");
            match result {
                Ok(read) => self.sending.push(Sending { host, asked, read }),
                Err(error) => self.check_read_error(host, &error),
            }
        }
        for (ticket, result) in progress.lookups {
            let at = &mut self.hosts[host];
            let asked = at.lookups.remove(&ticket).expect("a look-up that was asked for, once");
            match result {
                Ok(found) => self.check_lookup(host, asked, found),
                Err(error) => self.check_read_error(host, &error),
            }
        }
    }

    /// Logs that have come online, or failed to, after a start.
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
                self.outcome.offline += 1;
                continue;
            }
            self.outcome.recoveries += 1;
            if !at.abandoned {
                let (start, flushed) = (log.log_start_offset().0, log.flushed_offset().0);
                let dir = &at.dir;
                self.trace.line(|| format!("online {dir}: {start} to {flushed}"));
                at.model.on_recovered(start, flushed, log.log_end_offset().0);
            }
        }
    }

    /// Looks at every log after something happened.
    fn observe(&mut self) {
        for at in &mut self.hosts {
            let Some(log) = at.log.as_ref() else { continue };
            log.check_invariants();
            if at.opening {
                continue;
            }
            self.hash.word(log.flushed_offset().0 as u64);
            self.hash.word(log.log_end_offset().0 as u64);
            if at.abandoned || *log.state() != LogState::Online {
                continue;
            }
            at.model.on_flushed(log.flushed_offset().0);
            assert_eq!(log.log_end_offset().0, at.model.log_end(), "{}", at.dir);
            assert_eq!(log.log_start_offset().0, at.model.log_start(), "{}", at.dir);
        }
    }

    fn end_turn(&mut self) {
        let now = self.clock.now();
        for at in &mut self.hosts {
            let mut cx =
                LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            if let Some(log) = at.log.as_mut() {
                log.end_turn(&mut cx);
            }
        }
        self.submit();
    }

    /// Hands queued operations to the disk, and the operator's notices to the trace.
    fn submit(&mut self) {
        let now = self.clock.now().mono;
        for (token, op) in self.queue.drain() {
            self.trace.line(|| format!("submit {token:?}: {}", describe_op(&op)));
            self.disk.submit(now, SHARD, token, op);
        }
        for notice in self.notices.drain(..) {
            self.trace.line(|| format!("notice: {notice:?}"));
        }
    }

    /// Logs whose stored bytes the disk has damaged are given up by the model.
    fn note_damage(&mut self) {
        for damage in &self.disk.damage()[self.damage_seen..] {
            let owner = self.hosts.iter_mut().find(|at| {
                damage.path.strip_prefix(at.dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            match owner {
                Some(at) => at.abandoned = true,
                // A spare, whose owner-to-be is unknown.
                None => self.hosts.iter_mut().for_each(|at| at.abandoned = true),
            }
        }
        self.damage_seen = self.disk.damage().len();
    }

    /// Without faults, with room, online: an append must succeed and become flushed.
    fn check_serves_again(&mut self, host: usize) {
        if self.hosts[host].abandoned {
            return;
        }
        for _ in 0..5 {
            self.clock.advance_by(1_000_000_000);
            self.tick();
            self.settle();
        }
        let before = self.hosts[host].model.log_end();
        let records = self.records(host);
        self.append_batch(host, Producer::NONE, &records[..1], Expected::Appended);
        self.settle();
        self.observe();
        let model = &self.hosts[host].model;
        let dir = &self.hosts[host].dir;
        assert_eq!(model.log_end(), before + 1, "{dir} does not take a batch on a healthy disk");
        assert_eq!(model.flushed(), before + 1, "{dir} does not flush on a healthy disk");
    }

    fn read_everything(&mut self, host: usize) {
        if self.hosts[host].abandoned {
            return;
        }
        let model = &self.hosts[host].model;
        let (start, end) = (model.log_start(), model.flushed());
        let bases: Vec<i64> = model.batches_in(start, end).map(|batch| batch.base_offset).collect();
        for base in bases {
            let offset = base.max(start);
            self.start_read(host, ReadAsked { offset, end, bytes_max: 1, whole_first_batch: true });
            self.settle();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Appended,
    OutOfOrder,
    Fenced,
}

fn checkpoint_path(host: usize) -> String {
    format!("checkpoints/{host}")
}

fn describe(started: &ReadStart) -> String {
    match started {
        ReadStart::Ready(read) => format!("{} bytes in {} parts", read.bytes, read.parts.len()),
        other => format!("{other:?}"),
    }
}

fn describe_op(op: &DiskOp) -> String {
    match op {
        DiskOp::Write { offset, parts, sync, .. } => {
            let bytes = parts.iter().map(Bytes::len).sum::<usize>();
            format!("write {bytes} at {offset}, sync {sync}")
        }
        DiskOp::WriteFile { path, data } => format!("write file {path}, {} bytes", data.len()),
        other => format!("{other:?}"),
    }
}
