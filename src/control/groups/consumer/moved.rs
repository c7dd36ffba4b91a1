//! A group on its way between the protocols: what both kinds of groups have in common.
//!
//! A classic group becomes a consumer group when the first member of the new protocol joins it; a consumer group
//! becomes a classic one when its last member of the new protocol leaves. Members that stay notice a rebalance and no
//! more. Only groups of consumers can move, and only if the policy allows it.

use std::sync::Arc;

use crate::groups::command::{Client, JoinProtocol};

/// A group without its protocol. Its records are those of the new kind; the tombstones of the old kind's are stored in
/// front of them, in the same step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedGroup {
    /// The group.
    pub id: Arc<str>,
    /// The generation, or the group's epoch.
    pub generation: i32,
    /// The way of assigning, if a classic group had agreed on one.
    pub protocol: Option<String>,
    /// The members.
    pub members: Vec<MovedMember>,
    /// A classic group has to be rebalanced at once: a member is gone, or what they have is not what they shall have.
    pub rebalance: bool,
}

/// A member of it, which speaks the classic protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovedMember {
    /// Its id.
    pub id: Arc<str>,
    /// The static member's own name.
    pub instance_id: Option<Arc<str>>,
    /// Who it is.
    pub client: Client,
    /// After how long without a sign of life it is dropped.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// The ways to assign that it knows, each with its subscription.
    pub protocols: Vec<JoinProtocol>,
    /// What it was given, as SyncGroup says it.
    pub assignment: Arc<[u8]>,
}
