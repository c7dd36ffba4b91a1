//! The server-side assignors: who shall have which partition. A pure function of members, subscriptions and the
//! assignment so far.
//!
//! Not here: how members get from what they have to what they shall have, see `reconcile.rs`.

use crate::groups::consumer::assignment::{Assignment, AssignorMember, PartitionCounts};
use crate::groups::consumer::{range, uniform};
use crate::groups::settings::Assignor;

/// What each member shall have, in the order of `members`. Every partition of a topic that somebody subscribes to is
/// given to exactly one subscriber. Panics: if a member's topic has no count.
#[must_use]
pub fn assign(
    assignor: Assignor,
    members: &[AssignorMember<'_>],
    counts: &PartitionCounts,
) -> Vec<Assignment> {
    match assignor {
        Assignor::Uniform => uniform::assign(members, counts),
        Assignor::Range => range::assign(members, counts),
    }
}
