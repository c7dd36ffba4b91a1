//! A group of either kind with its offsets, and the questions that the coordinator asks of both.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::groups::answer::ListedGroup;
use crate::groups::classic::group::{ClassicGroup, ClassicState};
use crate::groups::classic::subscription::CONSUMER;
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::effect::WriteId;
use crate::groups::error::GroupError;
use crate::groups::offsets::{GroupOffsets, Retention};
use crate::groups::records;
use crate::groups::turn::Turn;

/// A group.
#[derive(Debug)]
pub enum Group {
    /// Of the classic protocol, or nothing but offsets.
    Classic(ClassicGroup),
    /// Of the new protocol; members of the classic one can be among them.
    Consumer(ConsumerGroup),
}

/// A group with all that belongs to it.
#[derive(Debug)]
pub struct Slot {
    /// The group.
    pub group: Group,
    /// How far it has read.
    pub offsets: GroupOffsets,
    /// The last store of its records: answers rest on it.
    pub last_write: Option<WriteId>,
}

/// All groups of a coordinator, by id.
pub type Groups = BTreeMap<Arc<str>, Slot>;

impl Slot {
    /// A group without offsets, of which nothing is stored.
    #[must_use]
    pub fn new(group: Group) -> Slot {
        Slot { group, offsets: GroupOffsets::default(), last_write: None }
    }
}

impl Group {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        match self {
            Group::Classic(group) => &group.id,
            Group::Consumer(group) => &group.id,
        }
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether it may go when it has neither members nor offsets.
    #[must_use]
    pub fn may_go(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty() && group.pending_joins.is_empty(),
            Group::Consumer(group) => group.is_empty(),
        }
    }

    /// Its state in Kafka's spelling.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Group::Classic(group) => group.state.name(),
            Group::Consumer(group) => group.state.name(),
        }
    }

    /// Its line in ListGroups.
    #[must_use]
    pub fn listed(&self) -> ListedGroup {
        let (protocol_type, group_type) = match self {
            Group::Classic(group) => (group.protocol_type.as_deref().unwrap_or_default(), "classic"),
            Group::Consumer(_) => (CONSUMER, "consumer"),
        };
        ListedGroup {
            group: self.id().to_string(),
            protocol_type: protocol_type.to_owned(),
            state: self.state(),
            group_type,
        }
    }

    /// Whether its members read a topic.
    #[must_use]
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// From when on the retention of its offsets counts.
    #[must_use]
    pub fn retention(&self) -> Retention {
        match self {
            Group::Classic(group) if group.protocol_type.is_none() => Retention::SinceCommit,
            Group::Classic(group) if group.is_empty() => {
                group.state_since.map_or(Retention::SinceCommit, Retention::Since)
            }
            Group::Classic(group)
                if group.state == ClassicState::Stable
                    && group.is_of_consumers()
                    && group.subscribed.is_some() =>
            {
                Retention::SinceCommit
            }
            Group::Classic(_) => Retention::Holds,
            Group::Consumer(_) => Retention::SinceCommit,
        }
    }

    /// Whether offsets can be deleted. Errors: `NON_EMPTY_GROUP`, for members of which it is not known what they read.
    pub fn check_offset_delete(&self) -> Result<(), GroupError> {
        match self {
            Group::Classic(group) if !group.is_empty() && !group.is_of_consumers() => {
                Err(GroupError::NonEmptyGroup)
            }
            Group::Classic(_) | Group::Consumer(_) => Ok(()),
        }
    }

    /// Stores the group's tombstones and stops its timers: it goes away. Its offsets are another matter.
    pub fn bury(&mut self, turn: &mut Turn<'_>) {
        match self {
            Group::Classic(group) => {
                group.cancel_timers(turn);
                turn.store(records::group_tombstone(&group.id));
            }
            Group::Consumer(group) => group.bury(turn),
        }
    }
}
