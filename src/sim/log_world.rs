//! Logs alone on a virtual disk, under one seed: appends, reads, look-ups, retention, crashes at any step.
//!
//! The world plays the part of a shard that owns a few logs and a segment pool: it routes completions, stores
//! checkpoints, and marks a clean stop, the way the seam's contract asks for. After everything the log says, the model
//! beside it is asked whether that may be.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelane_base::id::ShardId;
use corelane_base::rng::Rng;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::log::{Log, LogCx, LogRead, LogState, ReadTicket};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::{Durability, LogNotice, LogSettings};

use crate::clock::Clock;
use crate::disk::{Crash, DiskCounts, Faults, VirtualDisk};
use crate::hash::StateHash;
use crate::log_model::{Ending, LogModel, ReadAsked};
use crate::log_plan::LogPlan;
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
pub(crate) struct Sending {
    pub(crate) host: usize,
    pub(crate) asked: ReadAsked,
    pub(crate) read: LogRead,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupAsked {
    /// `None`: the record with the largest timestamp.
    pub(crate) timestamp: Option<i64>,
    pub(crate) expected: Option<(i64, i64)>,
}

/// One log with what the world knows of it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) dir: String,
    pub(crate) settings: LogSettings,
    pub(crate) log: Option<Log>,
    pub(crate) model: LogModel,
    pub(crate) leader_epoch: i32,
    /// Recovering: the model waits for it.
    pub(crate) opening: bool,
    /// Damaged silently: nobody can tell any more what it must hold.
    pub(crate) abandoned: bool,
    pub(crate) reads: BTreeMap<ReadTicket, ReadAsked>,
    pub(crate) lookups: BTreeMap<ReadTicket, LookupAsked>,
    /// The checkpoint being stored.
    pub(crate) checkpoint: Option<DiskToken>,
    /// Whether the last one was stored.
    pub(crate) checkpoint_stored: bool,
}

/// Some logs, their disk, their clock.
#[derive(Debug)]
pub struct LogWorld {
    pub(crate) rng: Rng,
    pub(crate) plan: LogPlan,
    pub(crate) clock: Clock,
    pub(crate) disk: VirtualDisk,
    pub(crate) queue: DiskQueue,
    pub(crate) notices: Vec<LogNotice>,
    pub(crate) pool: SegmentPool,
    pub(crate) hosts: Vec<Host>,
    pub(crate) sending: Vec<Sending>,
    /// Damage and faults already taken into account.
    pub(crate) damage_seen: usize,
    pub(crate) faults_at_start: u64,
    pub(crate) hash: StateHash,
    pub(crate) outcome: LogOutcome,
    pub(crate) trace: Trace,
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

    pub(crate) fn tick(&mut self) {
        self.pool.tick(&mut self.queue);
        let now = self.clock.now();
        for at in &mut self.hosts {
            let mut cx =
                LogCx { now, disk: &mut self.queue, pool: &mut self.pool, notices: &mut self.notices };
            let Some(log) = at.log.as_mut() else { continue };
            let before = log.log_start_offset();
            log.tick(&mut cx);
            let grown = log.retain(&mut cx);
            assert_eq!(grown, log.log_start_offset() > before, "{}", at.dir);
            if !at.opening && !at.abandoned && *log.state() == LogState::Online {
                at.model.on_log_start(log.log_start_offset().0, false, &at.settings, now.wall.0);
            }
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
        let path = checkpoint_path(host);
        let token = self.queue.push(CHECKPOINT_SLOTS + host as u32, DiskOp::WriteFile { path, data });
        at.checkpoint = Some(token);
    }

    /// The surroundings change: room on the disk, faults on or off, leadership.
    fn disturb(&mut self) {
        match self.rng.below(5) {
            3 => self.change_durability(),
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

    /// A log's setting changes under way.
    fn change_durability(&mut self) {
        let host = self.rng.below(self.hosts.len() as u64) as usize;
        let at = &mut self.hosts[host];
        let choices = [Durability::Sync, Durability::Write, Durability::Memory];
        let durability = choices[self.rng.below(3) as usize];
        self.trace.line(|| format!("{} is {durability:?} from here on", at.dir));
        at.settings.durability = durability;
        at.model.set_durability(durability);
        if let Some(log) = at.log.as_mut() {
            log.set_settings(at.settings.clone());
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
        let mut whole = Vec::new();
        for host in 0..self.hosts.len() {
            let at = &self.hosts[host];
            let log = at.log.as_ref().expect("between start and crash every host has a log");
            assert!(log.is_idle() || at.abandoned, "{} does not come to rest: {log:?}", at.dir);
            assert!(!log.lacks_room() || self.plan.fills, "{} lacks room: {log:?}", at.dir);
            if *log.state() == LogState::Online && !log.lacks_room() && !at.abandoned {
                assert_eq!(log.flushed_offset(), log.log_end_offset(), "{}: sealed but not flushed", at.dir);
            }
            clean &= log.is_idle() && *log.state() == LogState::Online;
            whole.push(!log.lacks_room());
            self.store_checkpoint(host);
        }
        self.settle();
        clean &= self.disk.counts().faults == self.faults_at_start;
        clean &= self.hosts.iter().all(|at| at.checkpoint_stored);
        self.disk.close();
        for (at, whole) in self.hosts.iter_mut().zip(&whole) {
            at.model.on_ending(if clean && *whole { Ending::Clean } else { Ending::Killed });
        }
        self.note_damage();
        self.start(clean);
        for (at, _) in self.hosts.iter().zip(&whole).filter(|(_, whole)| clean && **whole) {
            let state = at.log.as_ref().map(Log::state);
            assert_eq!(state, Some(&LogState::Online), "{} opens at once after a clean stop", at.dir);
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
    pub(crate) fn settle(&mut self) {
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
        let expected = at.checkpoint.take().expect("one was under way");
        assert_eq!(token, expected);
        at.checkpoint_stored = stored;
        if let Some(log) = at.log.as_mut().filter(|_| stored) {
            log.checkpoint_stored();
            if !at.abandoned {
                at.model.on_checkpoint_stored(log.start_stored().0, log.end_stored().0);
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
    pub(crate) fn observe(&mut self) {
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
}

fn checkpoint_path(host: usize) -> String {
    format!("checkpoints/{host}")
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
