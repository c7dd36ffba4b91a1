//! One partition's leader on its owner shard: the log, who waits for it to become durable, who waits for it to grow.
//!
//! The only file that will join log and replication; with one replica the high watermark is what is flushed.

use std::collections::VecDeque;

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ShardId};
use corelane_log::log::{Log, LogState};

use crate::mesh::{AppendAsk, AppendResult, PartitionKey};
use crate::metrics::Traffic;
use crate::slots::SlotId;

/// Somebody whose batch is in memory but not yet durable.
#[derive(Debug)]
pub struct AppendWaiter {
    /// Due once the high watermark is beyond this.
    pub last_offset: Offset,
    /// Who asked.
    pub origin: ShardId,
    /// On behalf of what.
    pub ask: AppendAsk,
    /// What to say when due.
    pub result: AppendResult,
}

/// A batch that waits because the log has as much before the disk as it may. Its producer is slowed by the answer that
/// does not come, not by an error that it would have to repeat.
#[derive(Debug)]
pub struct Deferred {
    /// Who asked.
    pub origin: ShardId,
    /// On behalf of what.
    pub ask: AppendAsk,
    /// The asker's name for it.
    pub index: u32,
    /// The batch.
    pub batch: Bytes,
}

/// Somebody who is told of more records: a place of a watch.
#[derive(Debug, Clone, Copy)]
pub struct Watcher {
    /// The watch; it may be gone by now.
    pub watch: SlotId,
    /// Which of its places.
    pub place: u32,
    /// Which arming of that place; it may have been armed anew, or disarmed, by now.
    pub arming: u64,
}

/// A partition's leader.
///
/// Invariants: `waiters` is sorted by `last_offset`, and every entry is at or beyond the high watermark.
#[derive(Debug)]
pub struct Partition {
    /// Its identity.
    pub key: PartitionKey,
    /// Where its files lie.
    pub dir: String,
    /// Its data.
    pub log: Log,
    /// The epoch of this leadership.
    pub leader_epoch: LeaderEpoch,
    /// In the list of logs to end the turn of.
    pub dirty: bool,
    /// The topic is deleted; kept only until the disk lets go.
    pub deleted: bool,
    /// What clients did to it.
    pub traffic: Traffic,
    /// A group coordinator lives here and is told how the log fares.
    pub hosted: bool,
    /// In order of arrival; appended before anything that arrives later.
    pub deferred: VecDeque<Deferred>,
    waiters: VecDeque<AppendWaiter>,
    watchers: Vec<Watcher>,
    watchers_swept_len: usize,
    /// Where the log began when somebody looked last.
    start_seen: Offset,
}

impl Partition {
    /// A leader for `log`.
    #[must_use]
    pub fn new(key: PartitionKey, dir: String, log: Log, leader_epoch: LeaderEpoch) -> Partition {
        let start_seen = log.log_start_offset();
        Partition {
            key,
            dir,
            log,
            leader_epoch,
            dirty: false,
            deleted: false,
            traffic: Traffic::default(),
            hosted: false,
            deferred: VecDeque::new(),
            waiters: VecDeque::new(),
            watchers: Vec::new(),
            watchers_swept_len: 0,
            start_seen,
        }
    }

    /// End of what consumers may read: with one replica, what is flushed.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.log.flushed_offset()
    }

    /// Whether the log serves.
    #[must_use]
    pub fn is_online(&self) -> bool {
        matches!(self.log.state(), LogState::Online)
    }

    /// Adds a waiter. Duplicates of an idempotent producer may wait for an offset before the last one's.
    pub fn wait(&mut self, waiter: AppendWaiter) {
        assert!(waiter.last_offset >= self.high_watermark(), "what is durable does not wait");
        let at = self.waiters.partition_point(|other| other.last_offset <= waiter.last_offset);
        self.waiters.insert(at, waiter);
    }

    /// Takes the next waiter whose batch is durable.
    pub fn pop_durable(&mut self) -> Option<AppendWaiter> {
        if self.waiters.front()?.last_offset < self.high_watermark() {
            self.waiters.pop_front()
        } else {
            None
        }
    }

    /// Takes the waiters that `which` holds for: their batches will not be durable soon.
    pub fn take_waiters(&mut self, which: impl Fn(&AppendWaiter) -> bool) -> VecDeque<AppendWaiter> {
        let (taken, kept) = core::mem::take(&mut self.waiters).into_iter().partition(which);
        self.waiters = kept;
        taken
    }

    /// Whether the log has come to begin elsewhere since this was asked last.
    pub fn take_start_moved(&mut self) -> bool {
        let start = self.log.log_start_offset();
        core::mem::replace(&mut self.start_seen, start) != start
    }

    /// Takes all watchers, to be asked one by one; those not yet satisfied are put back with `watch`.
    pub fn take_watchers(&mut self) -> Vec<Watcher> {
        self.watchers_swept_len = 0;
        core::mem::take(&mut self.watchers)
    }

    /// Whether anybody watches.
    #[must_use]
    pub fn has_watchers(&self) -> bool {
        !self.watchers.is_empty()
    }

    /// Adds a watcher. `lives` tells whether one still counts: fetches that timed out leave their watchers behind,
    /// and an idle partition would collect one per poll; sweeping at each doubling keeps that at a constant cost.
    pub fn watch(&mut self, watcher: Watcher, lives: impl Fn(&Watcher) -> bool) {
        if self.watchers.len() >= 8.max(2 * self.watchers_swept_len) {
            self.watchers.retain(lives);
            self.watchers_swept_len = self.watchers.len();
        }
        self.watchers.push(watcher);
    }

    /// Panics: if the state contradicts itself.
    pub fn check_invariants(&self) {
        self.log.check_invariants();
        let mut previous = self.high_watermark();
        for waiter in &self.waiters {
            assert!(waiter.last_offset >= previous, "waiters are sorted and not yet durable");
            previous = waiter.last_offset;
        }
    }
}
