//! A member of a classic group.

use std::sync::Arc;

use corelane_base::time::Mono;

use crate::groups::answer::{DescribedMember, JoinedMember};
use crate::groups::command::{Client, GroupAsk, JoinProtocol};
use crate::groups::timers::TimerId;

/// A member. Invariant: protocol names are distinct.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMember {
    /// Its id.
    pub id: Arc<str>,
    /// The static member's own name.
    pub instance_id: Option<Arc<str>>,
    /// Who it is.
    pub client: Client,
    /// How long a rebalance waits for it.
    pub rebalance_timeout_ms: i32,
    /// After how long without a sign of life it is dropped.
    pub session_timeout_ms: i32,
    /// The ways of assigning that it knows, in the order of preference.
    pub protocols: Vec<JoinProtocol>,
    /// What the leader gave it; empty for nothing.
    pub assignment: Arc<[u8]>,
    /// Its JoinGroup that waits for the others.
    pub joining: Option<GroupAsk>,
    /// Its SyncGroup that waits for the leader.
    pub syncing: Option<GroupAsk>,
    /// It has not been through a rebalance yet: nobody but the coordinator knows its id.
    pub is_new: bool,
    /// When it is given up.
    pub deadline: Mono,
    /// The timer that looks at the deadline, never later than it.
    pub session: Option<TimerId>,
}

impl ClassicMember {
    /// Whether it cannot send heartbeats because a request of its waits, and so is alive without. A new member is not:
    /// its client may have gone away and joined again under another id.
    #[must_use]
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// What it says to one protocol; nothing if it does not know it.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> &[u8] {
        let found = self.protocols.iter().find(|known| known.name == protocol);
        found.map_or(&[], |known| &known.metadata)
    }

    fn shared_metadata(&self, protocol: &str) -> Arc<[u8]> {
        let found = self.protocols.iter().find(|known| known.name == protocol);
        found.map_or_else(|| Arc::from([]), |known| Arc::clone(&known.metadata))
    }

    /// As the leader sees it.
    #[must_use]
    pub fn joined(&self, protocol: &str) -> JoinedMember {
        JoinedMember {
            member_id: Arc::clone(&self.id),
            instance_id: self.instance_id.clone(),
            metadata: self.shared_metadata(protocol),
        }
    }

    /// As DescribeGroups shows it; subscriptions only of a stable group's protocol.
    #[must_use]
    pub fn described(&self, protocol: Option<&str>) -> DescribedMember {
        DescribedMember {
            member_id: self.id.to_string(),
            instance_id: self.instance_id.as_deref().map(str::to_owned),
            client: self.client.clone(),
            metadata: protocol.map_or_else(|| Arc::from([]), |protocol| self.shared_metadata(protocol)),
            assignment: Arc::clone(&self.assignment),
        }
    }
}
