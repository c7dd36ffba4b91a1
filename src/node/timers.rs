//! Deadlines of one shard: a heap of moments with what to do then.
//!
//! Nothing is ever removed early: an entry names its subject by a generation-checked id, and one whose subject is
//! gone does nothing. That keeps completion of a request free of heap surgery; the heap is bounded by requests
//! started within the longest wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use corelane_base::time::Mono;

use crate::slots::SlotId;

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deadline {
    /// A pending request runs out of time.
    Pending(SlotId),
    /// The shard's housekeeping: retention, idle connections, checkpoints.
    Housekeeping,
    /// Compaction takes its next step.
    Cleaning,
    /// The disk is filling up: time to look at it again.
    Space,
    /// Coordinators that are being loaded go on.
    Groups,
}

/// The heap. Entries of one moment fire in the order of their kinds and ids, so runs repeat.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Mono, Deadline)>>,
}

impl Timers {
    /// Adds a deadline.
    pub fn add(&mut self, at: Mono, deadline: Deadline) {
        self.heap.push(Reverse((at, deadline)));
    }

    /// When the next one is due.
    #[must_use]
    pub fn next(&self) -> Option<Mono> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes one that is due at `now`.
    pub fn pop_due(&mut self, now: Mono) -> Option<Deadline> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, deadline))| deadline)
    }
}
