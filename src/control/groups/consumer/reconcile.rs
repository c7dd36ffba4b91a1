//! One step of a member towards its target: what it has after a heartbeat.
//!
//! A partition moves from one member to another in four steps, each in a heartbeat of the member concerned: the old
//! owner is told to give it up (it stays behind in its epoch), reports it gone (it reaches the target's epoch), the
//! coordinator finds it free, the new owner is given it. Members that are not concerned go on reading. The new owner
//! reaches the target's epoch at once and waits in it for what is not free yet.

use crate::groups::command::TopicPartitions;
use crate::groups::consumer::assignment::{Assignment, Owned};
use crate::groups::consumer::member::{CurrentAssignment, MemberState};
use corelane_base::id::TopicId;

/// What a step depends on beside the member itself.
pub struct Step<'a> {
    /// The epoch of the target.
    pub target_epoch: i32,
    /// What the member shall have.
    pub target: &'a Assignment,
    /// The topics that the member subscribes to and that exist, ascending.
    pub subscribed: &'a [TopicId],
    /// Whether the heartbeat changed the subscription: what does not fit it is taken away at once, before there is a
    /// new target.
    pub subscription_changed: bool,
    /// Whether nobody owns a partition or has still to give it up.
    pub is_free: &'a dyn Fn(TopicId, i32) -> bool,
    /// What the member reports to own; `None` if it does not say.
    pub reported: Option<&'a [TopicPartitions]>,
}

/// A member in a state that only a newer broker knows still owns something: it has to give up everything and to join
/// anew (`FENCED_MEMBER_EPOCH`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MustRejoin;

impl Step<'_> {
    /// What the member has after the step; equal to `current` if there is nothing to do. Errors: [`MustRejoin`].
    pub fn reconcile(&self, current: &CurrentAssignment) -> Result<CurrentAssignment, MustRejoin> {
        Ok(match current.state {
            MemberState::Stable if current.epoch != self.target_epoch => self.next(current),
            MemberState::Stable => self.narrowed(current),
            MemberState::Unrevoked if self.still_owns(&current.revoking) => self.narrowed(current),
            MemberState::Unrevoked | MemberState::Unreleased => self.next(current),
            MemberState::Unknown if self.reported.is_none_or(|reported| !reported.is_empty()) => {
                return Err(MustRejoin);
            }
            MemberState::Unknown => {
                self.next(&CurrentAssignment { epoch: self.target_epoch, ..current.clone() })
            }
        })
    }

    /// Whether the member owns any of `partitions`. Who does not say owns them.
    fn still_owns(&self, partitions: &Owned) -> bool {
        self.reported.is_none_or(|reported| {
            reported.iter().any(|topic| {
                topic.partitions.iter().any(|partition| partitions.contains(topic.topic_id, partition.0))
            })
        })
    }

    /// Takes away the topics that the member no longer subscribes to, if it just said so.
    fn narrowed(&self, current: &CurrentAssignment) -> CurrentAssignment {
        let fits = |topic: TopicId| self.subscribed.binary_search(&topic).is_ok();
        if !self.subscription_changed || current.owned.iter().all(|(topic, _)| fits(topic)) {
            return current.clone();
        }
        let mut next =
            CurrentAssignment { previous_epoch: current.epoch, owned: Owned::EMPTY, ..current.clone() };
        for (topic, partition, epoch) in current.owned.partitions() {
            let to = if fits(topic) { &mut next.owned } else { &mut next.revoking };
            to.insert(topic, partition, epoch);
        }
        if self.still_owns(&next.revoking) {
            next.state = MemberState::Unrevoked;
        } else {
            next.revoking = current.revoking.clone();
        }
        next
    }

    /// The step proper: keep, revoke or receive.
    fn next(&self, current: &CurrentAssignment) -> CurrentAssignment {
        let fits = |topic: TopicId| self.subscribed.binary_search(&topic).is_ok();
        let (mut kept, mut revoking) = (Owned::EMPTY, Owned::EMPTY);
        for (topic, partition, epoch) in current.owned.partitions() {
            let keep = fits(topic) && self.target.contains(topic, partition);
            if keep { &mut kept } else { &mut revoking }.insert(topic, partition, epoch);
        }
        if !revoking.is_empty() && self.still_owns(&revoking) {
            return CurrentAssignment {
                epoch: current.epoch,
                previous_epoch: current.epoch,
                state: MemberState::Unrevoked,
                owned: kept,
                revoking,
            };
        }
        let mut state = MemberState::Stable;
        for (topic, partitions) in self.target.iter().filter(|(topic, _)| fits(*topic)) {
            for &partition in
                partitions.iter().filter(|&&partition| !current.owned.contains(topic, partition))
            {
                if (self.is_free)(topic, partition) || current.revoking.contains(topic, partition) {
                    kept.insert(topic, partition, self.target_epoch);
                } else {
                    state = MemberState::Unreleased;
                }
            }
        }
        CurrentAssignment {
            epoch: self.target_epoch,
            previous_epoch: current.epoch,
            state,
            owned: kept,
            revoking: Owned::EMPTY,
        }
    }
}
