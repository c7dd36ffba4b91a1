//! The partitions a shard owns, and what other shards (or its own connections) ask of them.
//!
//! Every question comes with its origin and that shard's name for the request; answers are collected in `out` and
//! handed to the origin, by message or, for the own shard, directly. Nothing here knows connections or wire structs.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, PartitionIndex, ShardId, TopicId};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_log::disk::{DiskError, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::error::AppendError;
use corelane_log::log::{AppendOrigin, Log, LogCx, LogState, Progress, ReadTicket};
use corelane_log::pool::SegmentPool;
use corelane_log::settings::LogNotice;
use corelane_wire::error_code::ErrorCode;
use hashbrown::HashMap;

use crate::error::append_error_code;
use crate::memory::MemoryLimits;
use crate::mesh::{
    AppendAsk, AppendResult, FetchAsk, FetchItem, FetchResult, MeshMessage, PartitionKey, QueryResult,
    WatchName,
};
use crate::metrics::{Departed, LogWork};
use crate::owner::cleaning::{CLEANER_SLOT, Cleaning};
use crate::owner::hosted::HostedChange;
use crate::partition::{AppendWaiter, Deferred, Partition, Watcher};
use crate::slots::{SlotId, Slots};

/// The slot of the pool's disk operations; logs have small ones.
pub const POOL_SLOT: u32 = u32::MAX;

/// The tails are looked at each time this fraction of their limit was appended: often enough to keep the limit, too
/// seldom to be felt.
const TAIL_CHECKS: u64 = 8;

/// What is watched for a fetch session, or for a fetch without one while that waits: at most one for each and owner.
#[derive(Debug)]
struct Watch {
    origin: ShardId,
    name: WatchName,
    /// The request that waits for it, and how much it may get, in bytes.
    waits: Option<(SlotId, u32)>,
    /// By place: a session's places are spread over all owners.
    armed: HashMap<u32, Armed, foldhash::fast::FixedState>,
}

/// A watched partition.
#[derive(Debug)]
struct Armed {
    item: FetchItem,
    /// There is something to tell once the high watermark is beyond this.
    beyond: Offset,
    /// Tells this arming from earlier ones, whose watchers may still be about.
    arming: u64,
}

impl Watch {
    /// What the watcher stands for, unless it is out of date.
    fn armed(&self, watcher: &Watcher) -> Option<&Armed> {
        self.armed.get(&watcher.place).filter(|armed| armed.arming == watcher.arming)
    }

    fn arm(&mut self, armed: Armed) {
        self.armed.insert(armed.item.place, armed);
    }

    fn disarm(&mut self, place: u32) {
        self.armed.remove(&place);
    }
}

/// A fetch some of whose items wait for the disk.
#[derive(Debug)]
struct Reading {
    origin: ShardId,
    ask: FetchAsk,
    is_news: bool,
    outstanding: u32,
    results: Vec<FetchResult>,
}

/// Questions some of which wait for the disk.
#[derive(Debug)]
struct QueryAsk {
    origin: ShardId,
    pending: SlotId,
    outstanding: u32,
    results: Vec<(u32, QueryResult)>,
}

/// Whom a disk read is for.
#[derive(Debug)]
enum ReadFor {
    Fetch { reading: SlotId, result: FetchResult },
    Query { ask: SlotId, index: u32, end: Offset },
    Hosted,
}

/// A deletion of records that waits for its new log start to be stored.
#[derive(Debug)]
struct Deletion {
    slot: u32,
    ask: SlotId,
    index: u32,
    low_watermark: Offset,
}

/// What came of an attempt to append.
enum Appending {
    /// Refused, or durable already.
    Done(AppendResult),
    /// In memory; the answer comes with durability.
    Waits,
    /// The log has too much before the disk.
    Busy,
}

/// Topic ids are random, and a fixed hasher keeps runs of the simulator alike.
type TopicMap = HashMap<TopicId, Vec<u32>, foldhash::fast::FixedState>;

const NO_SLOT: u32 = u32::MAX;

/// All partitions of one shard.
///
/// Invariants: `by_topic` names exactly the partitions that are not deleted; a slot is free only when its log has no
/// disk operation under way, so a completion never meets a stranger.
#[derive(Debug)]
pub struct Owner {
    shard: ShardId,
    partitions: Vec<Option<Partition>>,
    free: Vec<u32>,
    by_topic: TopicMap,
    pool: SegmentPool,
    dirty: Vec<u32>,
    opening: u32,
    doomed: Vec<u32>,
    deferred_bytes: usize,
    limits: MemoryLimits,
    /// What the tails held when they were last looked at.
    tail_bytes: u64,
    /// What was appended since.
    appended_bytes: u64,
    /// A completion has come since, so some of it may be given back.
    tails_shrink: bool,
    sealed: bool,
    /// The last checkpoint is taken: nothing that would change a log or touch the disk is taken on.
    closed: bool,
    /// Deletions of records that are answered once a checkpoint with the new start is stored.
    deletions: Vec<Deletion>,
    watches: Slots<Watch>,
    watch_of: BTreeMap<(ShardId, WatchName), SlotId>,
    /// How often a place of a watch was armed.
    armings: u64,
    fetches: Slots<Reading>,
    queries: Slots<QueryAsk>,
    reads: BTreeMap<(u32, ReadTicket), ReadFor>,
    cleaning: Cleaning,
    /// Notices of the logs, for the operator.
    pub notices: Vec<LogNotice>,
    /// Answers, in order; those to the own shard too.
    pub out: Vec<(ShardId, MeshMessage)>,
    /// What became of what the hosted coordinators asked for, in order.
    pub hosted: Vec<(PartitionKey, HostedChange)>,
    /// Produce is refused: the disk is nearly full.
    pub disk_full: bool,
    /// What the logs did.
    pub work: LogWork,
    /// What is left of deleted partitions.
    pub departed: Departed,
}

macro_rules! cx {
    ($self:ident, $now:expr, $disk:expr) => {
        &mut LogCx { now: $now, disk: $disk, pool: &mut $self.pool, notices: &mut $self.notices }
    };
}

pub mod cleaning;
mod figures;
pub mod hosted;
mod reads;

impl Owner {
    /// Owns nothing yet; `start` follows. `seed`: 16 secret bytes.
    #[must_use]
    pub fn new(shard: ShardId, limits: MemoryLimits, seed: [u64; 2]) -> Owner {
        Owner {
            shard,
            partitions: Vec::new(),
            free: Vec::new(),
            by_topic: TopicMap::default(),
            // Stands in until `start`: what it asks of this queue is dropped.
            pool: SegmentPool::open(POOL_SLOT, shard.0, &mut DiskQueue::default()),
            dirty: Vec::new(),
            opening: 0,
            doomed: Vec::new(),
            deferred_bytes: 0,
            limits,
            tail_bytes: 0,
            appended_bytes: 0,
            tails_shrink: false,
            sealed: false,
            closed: false,
            deletions: Vec::new(),
            watches: Slots::default(),
            watch_of: BTreeMap::new(),
            armings: 0,
            fetches: Slots::default(),
            queries: Slots::default(),
            reads: BTreeMap::new(),
            cleaning: Cleaning::new(seed),
            notices: Vec::new(),
            out: Vec::new(),
            hosted: Vec::new(),
            disk_full: false,
            work: LogWork::default(),
            departed: Departed::default(),
        }
    }

    /// Begins: looks for spare segments.
    pub fn start(&mut self, disk: &mut DiskQueue) {
        self.pool = SegmentPool::open(POOL_SLOT, self.shard.0, disk);
    }

    /// Changes what the logs may hold in memory from here on.
    pub fn set_limits(&mut self, limits: MemoryLimits) {
        self.limits = limits;
    }

    /// What calls of a log that is not a partition's need of the shard.
    pub fn log_cx<'a>(&'a mut self, now: Now, disk: &'a mut DiskQueue) -> LogCx<'a> {
        LogCx { now, disk, pool: &mut self.pool, notices: &mut self.notices }
    }

    /// Takes a partition in. `make` opens or creates its log in the slot it is given. Once closed, nothing: the next
    /// start makes what is missing.
    pub fn add(
        &mut self,
        key: PartitionKey,
        leader_epoch: LeaderEpoch,
        dir: String,
        now: Now,
        disk: &mut DiskQueue,
        make: impl FnOnce(u32, &mut LogCx<'_>) -> Log,
    ) {
        if self.closed {
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.partitions.push(None);
            u32::try_from(self.partitions.len() - 1).expect("partitions are far fewer than 2^32")
        });
        let log = make(slot, cx!(self, now, disk));
        if log.is_opening() {
            self.opening += 1;
        }
        let places = self.by_topic.entry(key.topic).or_default();
        let index = key.partition.0 as usize;
        if places.len() <= index {
            places.resize(index + 1, NO_SLOT);
        }
        assert_eq!(places[index], NO_SLOT, "a partition is added once");
        places[index] = slot;
        self.partitions[slot as usize] = Some(Partition::new(key, dir, log, leader_epoch));
    }

    /// Lets a topic's partitions go: waiters hear `UNKNOWN_TOPIC_OR_PARTITION`, the files are removed by the caller
    /// once [`Owner::take_doomed`] names them. Once closed, nothing: the next start finds no topic for the files.
    pub fn remove_topic(&mut self, topic: TopicId, now: Now, disk: &mut DiskQueue) {
        if self.closed {
            return;
        }
        let Some(places) = self.by_topic.remove(&topic) else { return };
        for slot in places {
            if slot == NO_SLOT {
                continue;
            }
            self.stop_cleaning(Some(slot), now, disk);
            self.fail_waiters(slot, ErrorCode::UnknownTopicOrPartition);
            self.fail_deletions(slot, ErrorCode::UnknownTopicOrPartition);
            self.partition(slot).deleted = true;
            self.wake_watchers(slot, now, disk);
            let partition = self.partitions[slot as usize].as_mut().expect("by_topic names live slots");
            self.departed.add(&partition.traffic, &partition.log.figures());
            if partition.log.is_opening() {
                self.opening -= 1;
            }
            partition.log.seal_for_shutdown(cx!(self, now, disk));
            self.doomed.push(slot);
        }
    }

    /// Directories of deleted partitions whose logs have let go of the disk; their slots are free again.
    pub fn take_doomed(&mut self) -> Vec<String> {
        let mut gone = Vec::new();
        let partitions = &mut self.partitions;
        let free = &mut self.free;
        let dirty = &self.dirty;
        let touched = self.cleaning.is_touching();
        self.doomed.retain(|&slot| {
            let partition = partitions[slot as usize].as_ref().expect("doomed partitions are kept");
            let offline = matches!(partition.log.state(), LogState::Offline(_));
            if !(partition.log.is_idle() || offline) || dirty.contains(&slot) || touched {
                return true;
            }
            gone.push(partition.dir.clone());
            if partition.log.is_idle() {
                partitions[slot as usize] = None;
                free.push(slot);
            }
            false
        });
        gone
    }

    /// How many logs are still recovering. Not those for which there was no descriptor: a start does not wait for them.
    #[must_use]
    pub fn opening(&self) -> u32 {
        self.opening
    }

    fn slot_of(&self, key: PartitionKey) -> Option<u32> {
        let places = self.by_topic.get(&key.topic)?;
        let slot = *places.get(usize::try_from(key.partition.0).ok()?)?;
        if slot == NO_SLOT { None } else { Some(slot) }
    }

    fn partition(&mut self, slot: u32) -> &mut Partition {
        self.partitions[slot as usize].as_mut().expect("slots in use are filled")
    }

    /// Calls `f` with every live partition, in slot order.
    pub fn for_each(&mut self, mut f: impl FnMut(&mut Partition)) {
        for partition in self.partitions.iter_mut().flatten() {
            if !partition.deleted {
                f(partition);
            }
        }
    }

    /// Calls `f` with one partition, if it is here.
    pub fn with(&mut self, key: PartitionKey, f: impl FnOnce(&mut Partition)) {
        if let Some(slot) = self.slot_of(key) {
            f(self.partition(slot));
        }
    }

    /// Appends one batch. `None`: the answer comes later through `out`, once it is durable.
    #[allow(clippy::too_many_arguments)]
    pub fn append(
        &mut self,
        origin: ShardId,
        ask: AppendAsk,
        index: u32,
        key: PartitionKey,
        batch: &[u8],
        now: Now,
        disk: &mut DiskQueue,
    ) -> Option<AppendResult> {
        let refused = |error| Some(failed_append(index, error, Offset(-1)));
        let Some(slot) = self.slot_of(key) else { return refused(ErrorCode::NotLeaderOrFollower) };
        let partition = self.partitions[slot as usize].as_mut().expect("by_topic names live slots");
        if !ask.hosted {
            partition.traffic.produce_requests += 1;
        }
        // What coordinators store is little, and without it consumers could not go on: it may use the reserve.
        let no_room = if ask.hosted {
            None
        } else if self.disk_full {
            Some(ErrorCode::KafkaStorageError)
        } else {
            (!self.has_tail_room(batch.len())).then_some(ErrorCode::RequestTimedOut)
        };
        let partition = self.partitions[slot as usize].as_mut().expect("by_topic names live slots");
        // What is stored already needs no room. Were it refused, batches behind it would be stored and acknowledged first,
        // and after five of them the log could no longer tell that it has this one.
        if let Some(error) = no_room.filter(|_| !partition.log.is_stored(batch)) {
            partition.traffic.produce_failed += 1;
            return refused(error);
        }
        if !partition.deferred.is_empty() {
            return self.defer(slot, Deferred { origin, ask, index, batch: Bytes::copy_from_slice(batch) });
        }
        let appended = self.append_now(slot, origin, ask, index, batch, now, disk);
        match appended {
            Appending::Done(result) => Some(result),
            Appending::Waits => None,
            Appending::Busy => {
                self.defer(slot, Deferred { origin, ask, index, batch: Bytes::copy_from_slice(batch) })
            }
        }
    }

    /// Keeps a batch until its log takes it.
    fn defer(&mut self, slot: u32, deferred: Deferred) -> Option<AppendResult> {
        if self.deferred_bytes + deferred.batch.len() > self.limits.deferred || self.sealed {
            return Some(failed_append(deferred.index, ErrorCode::RequestTimedOut, Offset(-1)));
        }
        self.deferred_bytes += deferred.batch.len();
        self.partition(slot).deferred.push_back(deferred);
        None
    }

    /// Appends what was deferred, as far as the log takes it.
    fn retry_deferred(&mut self, slot: u32, now: Now, disk: &mut DiskQueue) {
        while let Some(deferred) = self.partition(slot).deferred.pop_front() {
            let Deferred { origin, ask, index, ref batch } = deferred;
            match self.append_now(slot, origin, ask, index, batch, now, disk) {
                Appending::Busy => {
                    self.partition(slot).deferred.push_front(deferred);
                    return;
                }
                Appending::Done(result) => self.tell_appended(slot, origin, ask, result),
                Appending::Waits => {}
            }
            self.deferred_bytes -= deferred.batch.len();
        }
    }

    fn fail_deferred(&mut self, slot: u32, error: ErrorCode) {
        for deferred in core::mem::take(&mut self.partition(slot).deferred) {
            self.deferred_bytes -= deferred.batch.len();
            let result = failed_append(deferred.index, error, Offset(-1));
            self.tell_appended(slot, deferred.origin, deferred.ask, result);
        }
    }

    /// Tells whoever asked what became of a batch.
    fn tell_appended(&mut self, slot: u32, origin: ShardId, ask: AppendAsk, result: AppendResult) {
        if ask.hosted {
            let key = self.partition(slot).key;
            self.hosted.push((key, HostedChange::Appended { index: result.index, error: result.error }));
        } else {
            push_appended(&mut self.out, origin, ask.pending, result);
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn append_now(
        &mut self,
        slot: u32,
        origin: ShardId,
        ask: AppendAsk,
        index: u32,
        batch: &[u8],
        now: Now,
        disk: &mut DiskQueue,
    ) -> Appending {
        let partition = self.partitions[slot as usize].as_mut().expect("the caller's");
        let epoch = partition.leader_epoch;
        let by = if ask.hosted {
            AppendOrigin::Internal
        } else {
            AppendOrigin::Client { zstd_allowed: ask.zstd_allowed }
        };
        let appended = match partition.log.append(batch, epoch, by, cx!(self, now, disk)) {
            Ok(appended) => appended,
            Err(AppendError::Busy) if !self.sealed => return Appending::Busy,
            Err(error) => {
                partition.traffic.produce_failed += 1;
                let start = partition.log.log_start_offset();
                let failed = failed_append(index, append_error_code(&error), start);
                let keyless = match error {
                    AppendError::RecordsWithoutKey(keyless) => keyless,
                    _ => Vec::new(),
                };
                return Appending::Done(AppendResult { keyless, ..failed });
            }
        };
        if !partition.dirty {
            partition.dirty = true;
            self.dirty.push(slot);
        }
        self.appended_bytes += appended.size_bytes;
        if !appended.duplicate {
            partition.traffic.bytes_in += batch.len() as u64;
            partition.traffic.records_in += (appended.last_offset.0 - appended.base_offset.0 + 1) as u64;
        }
        let result = AppendResult {
            index,
            error: ErrorCode::None,
            base_offset: appended.base_offset,
            log_append_time: appended.log_append_time.unwrap_or(WallMs(-1)),
            log_start_offset: partition.log.log_start_offset(),
            appended: now.mono,
            keyless: Vec::new(),
        };
        if appended.last_offset < partition.high_watermark() {
            return Appending::Done(result);
        }
        partition.wait(AppendWaiter { last_offset: appended.last_offset, origin, ask, result });
        Appending::Waits
    }

    /// Ends the turn of every log that was written to.
    pub fn end_turn(&mut self, now: Now, disk: &mut DiskQueue) {
        if self.appended_bytes > self.limits.tails / TAIL_CHECKS {
            self.bound_tails();
        }
        for slot in core::mem::take(&mut self.dirty) {
            let partition = self.partitions[slot as usize].as_mut().expect("dirty partitions are kept");
            partition.dirty = false;
            if partition.log.end_turn(cx!(self, now, disk)) {
                self.on_flushed(slot, now, disk);
            }
            if !self.partition(slot).deferred.is_empty() {
                self.retry_deferred(slot, now, disk);
            }
        }
    }

    /// Whether `end_turn` has something to do.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes in a completion of one of the logs or of the pool.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        now: Now,
        disk: &mut DiskQueue,
    ) {
        let slot = token.owner();
        if slot == POOL_SLOT {
            self.pool.on_disk(token, result, disk, &mut self.notices);
            return;
        }
        if slot == CLEANER_SLOT {
            return self.on_cleaner_disk(token, result, now, disk);
        }
        let Some(partition) = self.partitions.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        self.tails_shrink = true;
        let was_opening = partition.log.is_opening();
        let progress = partition.log.on_disk(token, result, cx!(self, now, disk));
        let deleted = partition.deleted;
        let is_opening = partition.log.is_opening();
        if !partition.dirty && !deleted {
            // A commit that ends lets the next one begin, which end_turn does.
            partition.dirty = true;
            self.dirty.push(slot);
        }
        if !deleted {
            self.opening = self.opening + u32::from(is_opening) - u32::from(was_opening);
        }
        if progress.state_changed && self.sealed && partition.is_online() && !deleted {
            // It came online when the end had begun.
            partition.log.seal_for_shutdown(cx!(self, now, disk));
        }
        self.work.on_committed(progress.committed, now.mono);
        self.on_progress(slot, progress, now, disk);
    }

    fn on_progress(&mut self, slot: u32, progress: Progress, now: Now, disk: &mut DiskQueue) {
        for (ticket, read) in progress.reads {
            match self.reads.remove(&(slot, ticket)) {
                Some(ReadFor::Fetch { reading, result }) => self.on_fetch_read(slot, reading, result, read),
                Some(ReadFor::Hosted) => self.tell_hosted(slot, HostedChange::Read(read)),
                Some(ReadFor::Query { .. }) | None => {}
            }
        }
        for (ticket, found) in progress.lookups {
            if let Some(ReadFor::Query { ask, index, end }) = self.reads.remove(&(slot, ticket)) {
                let answer = self.found_offset(slot, found, end);
                self.finish_query(ask, index, answer);
            }
        }
        if progress.flushed_moved {
            self.on_flushed(slot, now, disk);
        }
        if progress.state_changed {
            self.tell_hosted(slot, HostedChange::Moved);
        }
        if progress.state_changed && !self.partition(slot).is_online() {
            self.on_offline(slot, now, disk);
        }
        self.fail_unwritable(slot);
    }

    fn on_offline(&mut self, slot: u32, now: Now, disk: &mut DiskQueue) {
        self.fail_waiters(slot, ErrorCode::KafkaStorageError);
        self.fail_deletions(slot, ErrorCode::KafkaStorageError);
        self.wake_watchers(slot, now, disk);
    }

    /// When want of room or of descriptors keeps what was appended from being written, clients do not wait: whether their batches
    /// will be stored is as open as after a timeout. Coordinators wait, unless the end has begun.
    fn fail_unwritable(&mut self, slot: u32) {
        if !self.partition(slot).log.awaits_room() {
            return;
        }
        let sealed = self.sealed;
        if sealed {
            self.fail_deferred(slot, ErrorCode::KafkaStorageError);
        }
        self.fail_appended(slot, ErrorCode::KafkaStorageError, |waiter| sealed || !waiter.ask.hosted);
    }

    fn on_flushed(&mut self, slot: u32, now: Now, disk: &mut DiskQueue) {
        while let Some(waiter) = self.partition(slot).pop_durable() {
            self.tell_appended(slot, waiter.origin, waiter.ask, waiter.result);
        }
        self.tell_hosted(slot, HostedChange::Moved);
        if self.partition(slot).has_watchers() {
            self.wake_watchers(slot, now, disk);
        }
    }

    fn fail_waiters(&mut self, slot: u32, error: ErrorCode) {
        self.fail_deferred(slot, error);
        self.fail_appended(slot, error, |_| true);
    }

    fn fail_appended(&mut self, slot: u32, error: ErrorCode, which: impl Fn(&AppendWaiter) -> bool) {
        for waiter in self.partition(slot).take_waiters(which) {
            let result = failed_append(waiter.result.index, error, Offset(-1));
            self.tell_appended(slot, waiter.origin, waiter.ask, result);
        }
    }

    /// Housekeeping of every log, about once a second: rolls, memory; if due, retention.
    pub fn tick(&mut self, now: Now, retention_due: bool, disk: &mut DiskQueue) {
        self.pool.tick(disk);
        for slot in 0..self.partitions.len() as u32 {
            let Some(partition) = &mut self.partitions[slot as usize] else { continue };
            if partition.deleted {
                continue;
            }
            let was_online = partition.is_online();
            partition.log.tick(cx!(self, now, disk));
            if retention_due {
                partition.log.retain(cx!(self, now, disk));
            }
            if partition.take_start_moved() {
                self.tell_start_moved(slot);
            }
            if was_online && !self.partition(slot).is_online() {
                self.tell_hosted(slot, HostedChange::Moved);
                self.on_offline(slot, now, disk);
            }
        }
        self.bound_tails();
        self.look_for_dirt(now, disk);
    }

    /// Gives back the oldest flushed tail memory of all logs if together they hold more than the shard may.
    fn bound_tails(&mut self) {
        self.appended_bytes = 0;
        self.tails_shrink = false;
        self.tail_bytes = self.tails_held();
        if self.tail_bytes > self.limits.tails {
            let holders = self.logs().filter(|log| log.tail_bytes() > 0).count().max(1) as u64;
            let share = self.limits.tails / 2 / holders;
            for partition in self.partitions.iter_mut().flatten() {
                partition.log.evict_tail(share);
            }
            self.tail_bytes = self.tails_held();
        }
    }

    fn logs(&self) -> impl Iterator<Item = &Log> {
        self.partitions.iter().flatten().map(|partition| &partition.log)
    }

    fn tails_held(&self) -> u64 {
        self.logs().map(Log::tail_bytes).sum()
    }

    /// Whether the tails can hold `bytes` more. They can if they hold nothing, whatever the limit.
    fn has_tail_room(&mut self, bytes: usize) -> bool {
        let over = |owner: &Owner| {
            let held = owner.tail_bytes + owner.appended_bytes;
            held > 0 && held + bytes as u64 > owner.limits.tails
        };
        if over(self) && (self.tails_shrink || self.appended_bytes > 0) {
            self.bound_tails();
        }
        !over(self)
    }

    /// Begins the end: no further append; wait for `is_idle`.
    pub fn seal(&mut self, now: Now, disk: &mut DiskQueue) {
        self.sealed = true;
        self.stop_cleaning(None, now, disk);
        for slot in 0..self.partitions.len() as u32 {
            if self.partitions[slot as usize].is_some() {
                self.fail_deferred(slot, ErrorCode::NotLeaderOrFollower);
            }
        }
        for slot in 0..self.partitions.len() as u32 {
            if let Some(partition) = &mut self.partitions[slot as usize]
                && partition.is_online()
                && !partition.deleted
            {
                if partition.log.seal_for_shutdown(cx!(self, now, disk)) {
                    self.on_flushed(slot, now, disk);
                }
                self.fail_unwritable(slot);
            }
        }
    }

    /// The last checkpoint is about to be taken: from here on everything asked is refused.
    pub fn close(&mut self) {
        assert!(self.sealed && self.is_idle(), "closed once everything rests");
        self.closed = true;
    }

    /// Whether no log and no pool has anything under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let logs_rest = self.partitions.iter().flatten().all(|partition| partition.log.is_idle());
        self.pool.is_idle() && self.cleaning.is_idle() && logs_rest
    }

    /// The shard this is.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        for (topic, places) in &self.by_topic {
            for (index, &slot) in places.iter().enumerate().filter(|&(_, &slot)| slot != NO_SLOT) {
                let partition = self.partitions[slot as usize].as_ref().expect("by_topic names live slots");
                let key = PartitionKey { topic: *topic, partition: PartitionIndex(index as i32) };
                assert_eq!(partition.key, key);
                assert!(!partition.deleted);
            }
        }
        for partition in self.partitions.iter().flatten() {
            partition.check_invariants();
        }
    }
}

fn failed_append(index: u32, error: ErrorCode, log_start_offset: Offset) -> AppendResult {
    AppendResult {
        index,
        error,
        base_offset: Offset(-1),
        log_append_time: WallMs(-1),
        log_start_offset,
        appended: Mono(0),
        keyless: Vec::new(),
    }
}

/// Adds a result to the message before, if that one goes to the same request: a commit usually completes many.
fn push_appended(
    out: &mut Vec<(ShardId, MeshMessage)>,
    origin: ShardId,
    pending: SlotId,
    result: AppendResult,
) {
    if let Some((to, MeshMessage::Appended { pending: same, results })) = out.last_mut()
        && *to == origin
        && *same == pending
    {
        results.push(result);
        return;
    }
    out.push((origin, MeshMessage::Appended { pending, results: vec![result] }));
}
