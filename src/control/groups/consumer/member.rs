//! A member of a consumer group: what it told, what it has, and on its way to what it is.
//!
//! Not here: what it shall have (the group's target assignment) and its timers (soft state).

use std::sync::Arc;

use crate::groups::command::{Client, JoinProtocol};
use crate::groups::consumer::assignment::Owned;

/// The epoch of a heartbeat that leaves for good.
pub const EPOCH_LEAVE: i32 = -1;
/// The epoch of a static member that left and is expected back within its session timeout.
pub const EPOCH_STATIC_LEAVE: i32 = -2;

/// What a member told about itself. Invariant: topics are ascending and distinct; the pattern is not empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberMetadata {
    /// The static member's own name.
    pub instance_id: Option<Arc<str>>,
    /// Where the member stands. Assignors do not look at it, as Kafka's do not.
    pub rack_id: Option<String>,
    /// Who it is.
    pub client: Client,
    /// The topics it asked for by name.
    pub topics: Vec<Arc<str>>,
    /// The pattern of the topics it asked for.
    pub regex: Option<Arc<str>>,
    /// How long a rebalance waits for it; -1 if it never said.
    pub rebalance_timeout_ms: i32,
    /// The assignor it wishes for.
    pub assignor: Option<String>,
    /// What only a member of the classic protocol has.
    pub classic: Option<ClassicMetadata>,
}

/// What a member of the classic protocol told in addition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMetadata {
    /// After how long without a sign of life it is dropped.
    pub session_timeout_ms: i32,
    /// The ways to assign that it knows; not empty. Here only their names and the subscription count.
    pub protocols: Vec<JoinProtocol>,
}

/// Where a member stands on its way to the target assignment.
///
/// | from | cause | to |
/// |---|---|---|
/// | any | the target is reached, nothing is missing | `Stable` |
/// | any | it has partitions that it shall not have, and has not yet reported them gone | `Unrevoked` |
/// | any | partitions that it shall have are still with others | `Unreleased` |
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemberState {
    /// It has what it shall have at its epoch.
    #[default]
    Stable,
    /// It has to give up partitions first; its epoch stays behind until it has.
    Unrevoked,
    /// It has what is free of what it shall have.
    Unreleased,
    /// Written by a newer broker. The member starts anew.
    Unknown,
}

impl MemberState {
    /// Its number in records.
    #[must_use]
    pub fn number(self) -> i8 {
        match self {
            MemberState::Stable => 0,
            MemberState::Unrevoked => 1,
            MemberState::Unreleased => 2,
            MemberState::Unknown => 127,
        }
    }

    /// The state of that number.
    #[must_use]
    pub fn from_number(number: i8) -> MemberState {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::Unrevoked,
            2 => MemberState::Unreleased,
            _ => MemberState::Unknown,
        }
    }
}

/// What a member has. Invariant: no partition is both owned and being revoked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CurrentAssignment {
    /// The epoch that the next heartbeat should carry.
    pub epoch: i32,
    /// The epoch before, which a heartbeat carries if the last answer was lost.
    pub previous_epoch: i32,
    /// Where it stands.
    pub state: MemberState,
    /// What it may read.
    pub owned: Owned,
    /// What it was asked to give up. Nobody else gets it until it did.
    pub revoking: Owned,
}

impl Default for CurrentAssignment {
    fn default() -> CurrentAssignment {
        CurrentAssignment {
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            owned: Owned::EMPTY,
            revoking: Owned::EMPTY,
        }
    }
}

impl CurrentAssignment {
    /// Whether nothing is left to be done for the target of `target_epoch`.
    #[must_use]
    pub fn is_reconciled(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }
}

/// A member.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Member {
    /// What it told.
    pub metadata: Arc<MemberMetadata>,
    /// What it has.
    pub current: CurrentAssignment,
}

impl Member {
    /// Whether it speaks the classic protocol.
    #[must_use]
    pub fn is_classic(&self) -> bool {
        self.metadata.classic.is_some()
    }
}
