//! Deadlines of groups and members: one ordered map for the whole coordinator.
//!
//! Arming and cancelling cost a look-up among all armed timers, however far off they are. A heartbeat does not even
//! do that: it moves the deadline that the member remembers, and the timer, when it fires too early, is armed again
//! for what is left. So a member costs one map entry per session timeout rather than one per heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::time::Mono;

/// What a timer is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TimerKind {
    /// The phase in which members of a classic group join ends.
    Join,
    /// The phase in which members of a classic group fetch their assignment ends.
    Sync,
    /// A classic member, or one that was only given an id, has not been heard of.
    Session(Arc<str>),
    /// A member of a consumer group has not been heard of.
    ConsumerSession(Arc<str>),
    /// A member of a consumer group has not given up what it should.
    ConsumerRebalance(Arc<str>),
    /// A classic member of a consumer group has not joined again.
    ConsumerJoin(Arc<str>),
    /// A classic member of a consumer group has not fetched its assignment.
    ConsumerSync(Arc<str>),
}

/// A timer: whose, and what for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timer {
    /// The group.
    pub group: Arc<str>,
    /// The reason.
    pub kind: TimerKind,
}

/// An armed timer's name; whoever armed it keeps it to cancel it. It is used up when the timer fires.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TimerId {
    at: Mono,
    number: u64,
}

impl TimerId {
    /// When it fires.
    #[must_use]
    pub fn at(self) -> Mono {
        self.at
    }
}

/// All armed timers.
#[derive(Debug, Default)]
pub struct Timers {
    armed: BTreeMap<TimerId, Timer>,
    number: u64,
}

impl Timers {
    /// Arms a timer.
    pub fn arm(&mut self, at: Mono, timer: Timer) -> TimerId {
        self.number += 1;
        let id = TimerId { at, number: self.number };
        self.armed.insert(id, timer);
        id
    }

    /// Arms a timer in `slot`, in place of the one that was there.
    pub fn arm_in(&mut self, slot: &mut Option<TimerId>, at: Mono, timer: Timer) {
        self.cancel(slot);
        *slot = Some(self.arm(at, timer));
    }

    /// Cancels the timer in `slot`, if there is one.
    pub fn cancel(&mut self, slot: &mut Option<TimerId>) {
        if let Some(id) = slot.take() {
            self.armed.remove(&id);
        }
    }

    /// Takes out the earliest timer that is due. Its holder must forget its id.
    pub fn take_due(&mut self, now: Mono) -> Option<Timer> {
        let first = self.armed.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// When the earliest timer is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.armed.first_key_value().map(|(id, _)| id.at)
    }

    /// How many timers are armed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.armed.len()
    }

    /// Whether a timer of that name is armed, and for what.
    #[must_use]
    pub fn armed(&self, id: TimerId) -> Option<&Timer> {
        self.armed.get(&id)
    }
}
