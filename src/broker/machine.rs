//! The state machine that a shell drives.
//!
//! What it is: the calls of the seam in `corelane_node::event` as a trait, so that one shell can carry the real
//! shard and the small machines of the conformance suite. What it is not: an abstraction for more than that; the
//! calls are per event or per turn, so their dynamic dispatch is below what can be measured.

use corelane_base::time::{Mono, Now};
use corelane_node::event::{Effects, Event};
use corelane_node::metrics::Snapshot;
use corelane_node::shard::Shard;

/// One core's logic: events in, effects out. See [`Shard`] for what each call promises.
pub trait Machine {
    /// Begins; called once, before anything else.
    fn start(&mut self, now: Now, fx: &mut Effects);
    /// Takes in one event.
    fn apply(&mut self, now: Now, event: Event<'_>, fx: &mut Effects);
    /// Ends a turn; called once after a batch of `apply`.
    fn end_turn(&mut self, now: Now, fx: &mut Effects);
    /// When [`Event::Timer`] is due next.
    fn next_deadline(&self) -> Option<Mono>;
    /// Fills the next slice of a snapshot of its counters; returns whether that was the last. A machine that counts
    /// nothing has nothing to add.
    fn fill(&self, snapshot: &mut Snapshot) -> bool {
        let _ = snapshot;
        true
    }
}

impl Machine for Shard {
    fn start(&mut self, now: Now, fx: &mut Effects) {
        Shard::start(self, now, fx);
    }

    fn apply(&mut self, now: Now, event: Event<'_>, fx: &mut Effects) {
        Shard::apply(self, now, event, fx);
    }

    fn end_turn(&mut self, now: Now, fx: &mut Effects) {
        Shard::end_turn(self, now, fx);
    }

    fn next_deadline(&self) -> Option<Mono> {
        Shard::next_deadline(self)
    }

    fn fill(&self, snapshot: &mut Snapshot) -> bool {
        Shard::fill(self, snapshot)
    }
}

impl<M: Machine + ?Sized> Machine for Box<M> {
    fn start(&mut self, now: Now, fx: &mut Effects) {
        (**self).start(now, fx);
    }

    fn apply(&mut self, now: Now, event: Event<'_>, fx: &mut Effects) {
        (**self).apply(now, event, fx);
    }

    fn end_turn(&mut self, now: Now, fx: &mut Effects) {
        (**self).end_turn(now, fx);
    }

    fn next_deadline(&self) -> Option<Mono> {
        (**self).next_deadline()
    }

    fn fill(&self, snapshot: &mut Snapshot) -> bool {
        (**self).fill(snapshot)
    }
}
