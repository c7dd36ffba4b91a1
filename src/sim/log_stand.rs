//! What logs under test stand on: a disk, a clock, a pool of segments; and a shard's part towards them, as far as it is
//! the same whatever the logs are used for.
//!
//! A `Stand` holds the logs with a model beside each. `LogShard` is the shard: it routes completions, stores
//! checkpoints, crashes, stops in order and starts again, the way the seam's contract asks for. A world on top of it
//! says what clients do and holds the answers against its model.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelane_base::id::ShardId;
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::error::ReadError;
use corelane_log::log::{Log, LogCx, LogRead, LogSlice, LogState, ReadTicket, TimedOffset};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::{LogNotice, LogSettings};

use crate::clock::Clock;
use crate::disk::{Completion, Crash, Faults, Latency, VirtualDisk};
use crate::hash::StateHash;
use crate::trace::Trace;

const SHARD: ShardId = ShardId(0);
/// How large the disk is.
const DISK_BYTES: u64 = 1 << 30;
/// The pool's slot; logs have those above.
const POOL_SLOT: u32 = 0;
/// Checkpoint writes of log `n` have slot `CHECKPOINT_SLOTS + n`.
const CHECKPOINT_SLOTS: u32 = 1000;
/// Completions after which something that should come to rest has not.
pub(crate) const PATIENCE: u32 = 200_000;

/// How the last life ended, at its worst since the log was last online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// In order: nothing may be missing.
    Clean,
    /// The process was killed.
    Killed,
    /// The power failed.
    PowerLost,
}

impl From<Crash> for Ending {
    fn from(crash: Crash) -> Ending {
        match crash {
            Crash::Kill => Ending::Killed,
            Crash::PowerLoss => Ending::PowerLost,
        }
    }
}

/// What one log must hold. Each `on_` panics if what the log says breaks a promise.
pub trait Model {
    /// A read that was asked for.
    type Read: core::fmt::Debug;
    /// A look-up by time that was asked for.
    type Lookup: core::fmt::Debug;

    /// The first readable offset.
    fn log_start(&self) -> i64;
    /// Behind the last batch appended.
    fn log_end(&self) -> i64;
    /// The log says what is flushed.
    fn on_flushed(&mut self, flushed: i64);
    /// A checkpoint is on stable storage: this start and this end are safe with it.
    fn on_checkpoint_stored(&mut self, log_start: i64, end: i64);
    /// The process ended.
    fn on_ending(&mut self, ending: Ending);
    /// The log is online again with these offsets.
    fn on_recovered(&mut self, log_start: i64, flushed: i64, log_end: i64);
}

/// One log with what is known of it.
#[derive(Debug)]
pub(crate) struct Host<M: Model> {
    pub(crate) dir: String,
    pub(crate) settings: LogSettings,
    pub(crate) log: Option<Log>,
    pub(crate) model: M,
    /// Recovering: the model waits for it.
    pub(crate) opening: bool,
    /// Damaged silently: nobody can tell any more what it must hold.
    pub(crate) abandoned: bool,
    pub(crate) reads: BTreeMap<ReadTicket, M::Read>,
    pub(crate) lookups: BTreeMap<ReadTicket, M::Lookup>,
    /// The checkpoint being stored.
    checkpoint: Option<DiskToken>,
    /// Whether the last one was stored.
    checkpoint_stored: bool,
    /// At the last stop in order it had nowhere to put all of what it was given.
    lacked_room: bool,
}

impl<M: Model> Host<M> {
    /// The log, if it is online and the model knows what it must hold.
    pub(crate) fn is_checked(&self) -> bool {
        let online = self.log.as_ref().is_some_and(|log| *log.state() == LogState::Online);
        online && !self.opening && !self.abandoned
    }
}

/// What the logs stand on.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) clock: Clock,
    pub(crate) disk: VirtualDisk,
    pub(crate) queue: DiskQueue,
    pub(crate) pool: SegmentPool,
    notices: Vec<LogNotice>,
    /// What goes wrong when something does.
    faults: Faults,
    /// Damage and faults already taken into account.
    damage_seen: usize,
    faults_at_start: u64,
    pub(crate) hash: StateHash,
    pub(crate) trace: Trace,
}

impl Ground {
    pub(crate) fn cx(&mut self) -> LogCx<'_> {
        LogCx {
            now: self.clock.now(),
            disk: &mut self.queue,
            pool: &mut self.pool,
            notices: &mut self.notices,
        }
    }

    /// Hands queued operations to the disk, and the operator's notices to the trace.
    pub(crate) fn submit(&mut self) {
        let now = self.clock.now().mono;
        for (token, op) in self.queue.drain() {
            self.trace.line(|| format!("submit {token:?}: {}", describe_op(&op)));
            self.disk.submit(now, SHARD, token, op);
        }
        for notice in self.notices.drain(..) {
            self.trace.line(|| format!("notice: {notice:?}"));
        }
    }

    /// Advances to the next completion, if there is one.
    fn next_completion(&mut self) -> Option<Completion> {
        let due = self.disk.next_completion()?;
        let now = self.clock.now().mono;
        self.clock.advance_to(due.max(now));
        let completion = self.disk.complete(self.clock.now().mono).expect("it is due");
        self.hash.word(completion.token.0);
        self.hash.word(self.clock.now().mono.0);
        self.trace.line(|| format!("disk {:?}: {:?}", completion.token, completion.result));
        Some(completion)
    }

    /// Whether the disk has failed somebody in this life.
    fn is_disturbed(&self) -> bool {
        self.disk.counts().faults > self.faults_at_start
    }

    /// Somebody else takes room on the disk, or gives it back.
    pub(crate) fn fill(&mut self, rng: &mut Rng) {
        let free = if rng.one_in(2) { rng.below(512 * 1024) } else { u64::MAX };
        self.disk.leave_free(free);
        self.trace.line(|| format!("disk has {free} bytes free"));
    }

    /// The disk's moods begin or end.
    pub(crate) fn set_moody(&mut self, moody: bool) {
        self.disk.set_faults(if moody { self.faults } else { Faults::default() });
    }

    /// The bytes of a read; those in files are taken from the disk only now.
    pub(crate) fn bytes_of(&self, read: &LogRead) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &read.parts {
            match part {
                LogSlice::Memory(memory) => bytes.extend_from_slice(memory),
                LogSlice::File { file, offset, len } => {
                    bytes.extend_from_slice(&self.disk.send_file(file, *offset, u64::from(*len)));
                }
            }
        }
        bytes
    }
}

/// Some logs, their models, and what they stand on.
#[derive(Debug)]
pub(crate) struct Stand<M: Model> {
    pub(crate) rng: Rng,
    pub(crate) ground: Ground,
    pub(crate) hosts: Vec<Host<M>>,
    /// Reads on their way to a client: whose, what was asked, what was answered.
    pub(crate) sending: Vec<(usize, M::Read, LogRead)>,
    /// Times a log came online after a crash.
    pub(crate) recoveries: u64,
    /// Times a log was found or went offline.
    pub(crate) offline: u64,
}

impl<M: Model> Stand<M> {
    /// `disk_rng` is the disk's chance.
    pub(crate) fn new(rng: Rng, disk_rng: Rng, latency: Latency, faults: Faults, trace: Trace) -> Self {
        let mut disk = VirtualDisk::new(disk_rng, DISK_BYTES);
        disk.set_latency(latency);
        disk.set_faults(faults);
        let mut queue = DiskQueue::default();
        let pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut queue);
        let ground = Ground {
            clock: Clock::default(),
            disk,
            queue,
            pool,
            notices: Vec::new(),
            faults,
            damage_seen: 0,
            faults_at_start: 0,
            hash: StateHash::default(),
            trace,
        };
        Stand { rng, ground, hosts: Vec::new(), sending: Vec::new(), recoveries: 0, offline: 0 }
    }

    pub(crate) fn create(&mut self, settings: LogSettings, model: M) {
        let number = self.hosts.len() as u32;
        let dir = format!("logs/topic-{number}");
        let log = Log::create(number + 1, dir.clone(), settings.clone(), &mut self.ground.cx());
        self.hosts.push(Host {
            dir,
            settings,
            log: Some(log),
            model,
            opening: false,
            abandoned: false,
            reads: BTreeMap::new(),
            lookups: BTreeMap::new(),
            checkpoint: None,
            checkpoint_stored: false,
            lacked_room: false,
        });
    }

    /// One of the logs.
    pub(crate) fn draw_host(&mut self) -> usize {
        self.rng.below(self.hosts.len() as u64) as usize
    }

    pub(crate) fn store_checkpoint(&mut self, host: usize) {
        let at = &mut self.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        if at.opening || at.checkpoint.is_some() || *log.state() != LogState::Online {
            return;
        }
        let op = DiskOp::WriteFile { path: checkpoint_path(host), data: log.checkpoint() };
        at.checkpoint = Some(self.ground.queue.push(CHECKPOINT_SLOTS + host as u32, op));
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

    /// Takes a read that is ready out of the queue and its bytes from memory and disk. `None`: nothing is ready.
    pub(crate) fn take_sent(&mut self) -> Option<(usize, M::Read, u64, Vec<u8>)> {
        if self.sending.is_empty() {
            return None;
        }
        let which = self.rng.below(self.sending.len() as u64) as usize;
        let (host, asked, read) = self.sending.swap_remove(which);
        let bytes = self.ground.bytes_of(&read);
        self.ground.hash.bytes(&bytes);
        Some((host, asked, read.bytes, bytes))
    }

    /// Panics: if a read may not fail like that.
    pub(crate) fn check_read_error(&self, host: usize, error: &ReadError) {
        let at = &self.hosts[host];
        let log = at.log.as_ref().expect("it answered");
        let Faults { read_error, meta_error, no_descriptor, .. } = self.ground.faults;
        let fair = match error {
            ReadError::Opening => at.opening,
            ReadError::Offline => matches!(log.state(), LogState::Offline(_)),
            ReadError::OutOfRange => true,
            ReadError::Failed(DiskError::TooManyFiles) => no_descriptor > 0,
            ReadError::Failed(_) => read_error > 0 || meta_error > 0,
            ReadError::Corrupt => false,
        };
        assert!(fair || at.abandoned, "{}: read failed with {error:?}, log is {:?}", at.dir, log.state());
    }

    /// A new process: pool and logs are opened with what the disk holds.
    fn start(&mut self, clean: bool) {
        self.sending.clear();
        let ground = &mut self.ground;
        ground.queue = DiskQueue::default();
        ground.faults_at_start = ground.disk.counts().faults;
        ground.pool = SegmentPool::open(POOL_SLOT, SHARD.0, &mut ground.queue);
        for (number, at) in self.hosts.iter_mut().enumerate() {
            at.reads.clear();
            at.lookups.clear();
            at.checkpoint = None;
            at.opening = true;
            let stored = ground.disk.peek(&checkpoint_path(number));
            let (slot, dir, settings) = (number as u32 + 1, at.dir.clone(), at.settings.clone());
            at.log = Some(Log::open(slot, dir, settings, stored.as_deref(), clean, &mut ground.cx()));
        }
        ground.submit();
        self.notice_online();
    }

    /// Logs that have come online, or failed to, after a start.
    fn notice_online(&mut self) {
        for at in &mut self.hosts {
            let Some(log) = at.log.as_ref() else { continue };
            if !at.opening || *log.state() == LogState::Opening {
                continue;
            }
            at.opening = false;
            let dir = &at.dir;
            if let LogState::Offline(reason) = log.state() {
                let fair = self.ground.is_disturbed() || at.abandoned;
                assert!(fair, "{dir} is offline for no reason: {reason:?}");
                self.offline += 1;
                continue;
            }
            self.recoveries += 1;
            if !at.abandoned {
                let (start, flushed) = (log.log_start_offset().0, log.flushed_offset().0);
                self.ground.trace.line(|| format!("online {dir}: {start} to {flushed}"));
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
            if let LogState::Offline(reason) = log.state() {
                let fair = self.ground.is_disturbed() || at.abandoned;
                assert!(fair, "{} went offline for no reason: {reason:?}", at.dir);
            }
            let (flushed, log_end) = (log.flushed_offset().0, log.log_end_offset().0);
            self.ground.hash.word(flushed as u64);
            self.ground.hash.word(log_end as u64);
            if at.abandoned || *log.state() != LogState::Online {
                continue;
            }
            at.model.on_flushed(flushed);
            assert_eq!(log_end, at.model.log_end(), "{}", at.dir);
            assert_eq!(log.log_start_offset().0, at.model.log_start(), "{}", at.dir);
        }
    }

    pub(crate) fn end_turn(&mut self) {
        for log in self.hosts.iter_mut().filter_map(|at| at.log.as_mut()) {
            log.end_turn(&mut self.ground.cx());
        }
        self.ground.submit();
    }

    /// Logs whose stored bytes the disk has damaged are given up by the model.
    fn note_damage(&mut self) {
        let damage = self.ground.disk.damage();
        for damage in &damage[self.ground.damage_seen..] {
            let owner = self.hosts.iter_mut().find(|at| {
                damage.path.strip_prefix(at.dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            match owner {
                Some(at) => at.abandoned = true,
                // A spare, whose owner-to-be is unknown.
                None => self.hosts.iter_mut().for_each(|at| at.abandoned = true),
            }
        }
        self.ground.damage_seen = damage.len();
    }
}

/// A shard that owns the logs of a [`Stand`].
pub(crate) trait LogShard {
    type Model: Model;

    fn stand(&mut self) -> &mut Stand<Self::Model>;

    /// A log does what is due.
    fn tick_log(&mut self, host: usize);

    /// A look-up by time is answered.
    fn check_lookup(
        &mut self,
        host: usize,
        asked: <Self::Model as Model>::Lookup,
        found: Option<TimedOffset>,
    );

    /// Whether a log that was brought to rest counts as stopped in order.
    fn is_at_rest(&self, host: usize) -> bool;

    /// A completion for a slot above the logs'.
    fn on_foreign(&mut self, slot: u32, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        panic!("nobody has slot {slot}: {token:?} ends with {result:?}");
    }

    /// A stop in order begins.
    fn on_stop(&mut self) {}

    /// A new process begins.
    fn on_start(&mut self) {}

    fn tick(&mut self) {
        let ground = &mut self.stand().ground;
        ground.pool.tick(&mut ground.queue);
        for host in 0..self.stand().hosts.len() {
            self.tick_log(host);
        }
        self.stand().ground.submit();
    }

    /// Delivers until so much time has passed.
    fn deliver_for(&mut self, ns: u64) {
        let end = Mono(self.stand().ground.clock.now().mono.0 + ns);
        while self.stand().ground.disk.next_completion().is_some_and(|due| due <= end) {
            self.complete_one();
            self.stand().end_turn();
        }
        self.stand().ground.clock.advance_to(end);
    }

    /// Delivers until nothing is in flight, ending turns as a shard does.
    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            self.stand().end_turn();
            if !self.complete_one() && self.stand().ground.queue.is_empty() {
                return;
            }
        }
        panic!("the disk is never idle");
    }

    /// Advances to the next completion and routes it. Returns whether there was one.
    fn complete_one(&mut self) -> bool {
        let Some(Completion { token, result, .. }) = self.stand().ground.next_completion() else {
            return false;
        };
        self.stand().note_damage();
        let logs = self.stand().hosts.len() as u32;
        match token.owner() {
            POOL_SLOT => {
                let Ground { pool, queue, notices, .. } = &mut self.stand().ground;
                pool.on_disk(token, result, queue, notices);
            }
            slot if slot <= logs => self.on_log(slot as usize - 1, token, result),
            slot if slot < CHECKPOINT_SLOTS => self.on_foreign(slot, token, result),
            slot => self.stand().on_checkpoint(slot - CHECKPOINT_SLOTS, token, result.is_ok()),
        }
        let stand = self.stand();
        stand.ground.submit();
        stand.notice_online();
        stand.observe();
        true
    }

    fn on_log(&mut self, host: usize, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        let stand = self.stand();
        let at = &mut stand.hosts[host];
        let log = at.log.as_mut().expect("completions come only between start and crash");
        let (flushed_before, state_before) = (log.flushed_offset(), log.state().clone());
        let progress = log.on_disk(token, result, &mut stand.ground.cx());
        if state_before == LogState::Online {
            let moved = log.flushed_offset() > flushed_before;
            assert_eq!(progress.flushed_moved, moved, "{}: {progress:?}", at.dir);
        }
        assert_eq!(progress.state_changed, *log.state() != state_before, "{}: {progress:?}", at.dir);
        for (ticket, result) in progress.reads {
            let asked = stand.hosts[host].reads.remove(&ticket).expect("a read that was asked for, once");
            match result {
                Ok(read) => stand.sending.push((host, asked, read)),
                Err(error) => stand.check_read_error(host, &error),
            }
        }
        for (ticket, result) in progress.lookups {
            let lookups = &mut self.stand().hosts[host].lookups;
            let asked = lookups.remove(&ticket).expect("a look-up that was asked for, once");
            match result {
                Ok(found) => self.check_lookup(host, asked, found),
                Err(error) => self.stand().check_read_error(host, &error),
            }
        }
    }

    fn crash(&mut self) {
        let stand = self.stand();
        let crash = if stand.rng.one_in(2) { Crash::Kill } else { Crash::PowerLoss };
        stand.ground.trace.line(|| format!("crash: {crash:?}"));
        if stand.rng.one_in(2) {
            let _ = stand.ground.queue.drain();
        }
        stand.ground.submit();
        stand.ground.disk.crash(crash);
        for at in &mut stand.hosts {
            at.model.on_ending(crash.into());
        }
        stand.note_damage();
        self.on_start();
        self.stand().start(false);
        // Every few times it does not get far.
        for _ in 0..self.stand().rng.below(40) {
            self.complete_one();
        }
        if self.stand().rng.one_in(4) {
            self.crash();
        } else {
            self.await_recovery();
        }
    }

    /// Seals, waits, stores checkpoints, starts again as after a clean stop; or as after a crash if a log could not
    /// be brought to rest.
    fn stop_cleanly(&mut self) {
        self.stand().ground.trace.line(|| "clean stop".to_owned());
        self.await_recovery();
        self.on_stop();
        let Stand { hosts, ground, .. } = self.stand();
        for log in hosts.iter_mut().filter_map(|at| at.log.as_mut()) {
            log.seal_for_shutdown(&mut ground.cx());
        }
        for _ in 0..10 {
            self.settle();
            self.stand().ground.clock.advance_by(1_000_000_000);
            self.tick();
        }
        self.settle();
        self.stand().observe();
        let mut clean = !self.stand().ground.is_disturbed();
        for host in 0..self.stand().hosts.len() {
            clean &= self.is_at_rest(host);
            let at = &mut self.stand().hosts[host];
            at.lacked_room = at.log.as_ref().is_some_and(Log::lacks_room);
            self.stand().store_checkpoint(host);
        }
        self.settle();
        let stand = self.stand();
        clean &= !stand.ground.is_disturbed();
        clean &= stand.hosts.iter().all(|at| at.checkpoint_stored);
        stand.ground.disk.close();
        for at in &mut stand.hosts {
            at.model.on_ending(if clean && !at.lacked_room { Ending::Clean } else { Ending::Killed });
        }
        stand.note_damage();
        self.on_start();
        self.stand().start(clean);
        // For want of a descriptor a segment may not have its name yet, which recovery gives it.
        let named = self.stand().ground.faults.no_descriptor == 0;
        for at in self.stand().hosts.iter().filter(|at| clean && named && !at.lacked_room) {
            let state = at.log.as_ref().map(Log::state);
            assert_eq!(state, Some(&LogState::Online), "{} opens at once after a clean stop", at.dir);
        }
        self.await_recovery();
    }

    fn await_recovery(&mut self) {
        for _ in 0..PATIENCE {
            if self.stand().hosts.iter().all(|at| !at.opening) {
                return;
            }
            if !self.complete_one() {
                // Nothing under way: perhaps something is tried again later.
                self.stand().ground.clock.advance_by(1_000_000_000);
                self.tick();
            }
        }
        let stuck: Vec<_> = self.stand().hosts.iter().filter(|at| at.opening).map(|at| &at.dir).collect();
        panic!("recovery does not end: {stuck:?}");
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
