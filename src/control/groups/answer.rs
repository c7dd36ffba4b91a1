//! What a group coordinator answers: domain values that the host puts into wire structs.

use std::sync::Arc;

use corelane_base::id::{PartitionIndex, TopicId};

use crate::groups::command::{Client, TopicPartitions};
use crate::groups::error::{GroupError, GroupRefusal};

/// The answer to the command of the same name. A coordinator that resigns or fails to store answers every kind of
/// command with [`GroupAnswer::Refused`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupAnswer {
    /// To any command: not here, or not now. The host fills the whole response with it.
    Refused(GroupError),
    /// JoinGroup.
    Join(Box<Joined>),
    /// SyncGroup.
    Sync(Synced),
    /// Heartbeat.
    Heartbeat(Result<(), GroupError>),
    /// LeaveGroup.
    Leave(Result<Vec<LeftMember>, GroupError>),
    /// OffsetCommit.
    Commit(Vec<CommittedTopic>),
    /// OffsetFetch.
    Fetch(Result<Vec<FetchedTopic>, GroupError>),
    /// DescribeGroups.
    Describe(Box<DescribedGroup>),
    /// ListGroups.
    List(Vec<ListedGroup>),
    /// DeleteGroups.
    Delete(Result<(), GroupError>),
    /// OffsetDelete.
    OffsetDelete(Result<Vec<DeletedOffsets>, GroupError>),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(Result<ConsumerHeartbeatAnswer, GroupRefusal>),
    /// ConsumerGroupDescribe.
    ConsumerDescribe(Result<Box<DescribedConsumerGroup>, GroupRefusal>),
}

/// The answer to JoinGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// What went wrong.
    pub error: Option<GroupError>,
    /// The member; with `MEMBER_ID_REQUIRED` the id to join again with.
    pub member_id: String,
    /// The generation; -1 with an error.
    pub generation: i32,
    /// What kind of group.
    pub protocol_type: Option<String>,
    /// The way of assigning that won; before version 7 `None` is written as an empty text.
    pub protocol: Option<String>,
    /// The member that assigns; empty with an error.
    pub leader: String,
    /// The leader must not assign: the assignment of before holds.
    pub skip_assignment: bool,
    /// To the leader alone: every member's subscription.
    pub members: Vec<JoinedMember>,
}

impl Joined {
    /// A refusal.
    #[must_use]
    pub fn refused(error: GroupError, member_id: String) -> Joined {
        Joined {
            error: Some(error),
            member_id,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    /// The member.
    pub member_id: Arc<str>,
    /// The static member's own name.
    pub instance_id: Option<Arc<str>>,
    /// What it said to the protocol that won.
    pub metadata: Arc<[u8]>,
}

/// The answer to SyncGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synced {
    /// What went wrong.
    pub error: Option<GroupError>,
    /// What kind of group.
    pub protocol_type: Option<String>,
    /// The way of assigning.
    pub protocol: Option<String>,
    /// What the leader gave the member.
    pub assignment: Arc<[u8]>,
}

/// One member of the answer to LeaveGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftMember {
    /// As asked.
    pub member_id: String,
    /// As asked.
    pub instance_id: Option<String>,
    /// What went wrong.
    pub error: Option<GroupError>,
}

/// One topic of the answer to OffsetCommit, in the order of the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedTopic {
    /// As asked, or as found.
    pub name: String,
    /// As asked, or as found.
    pub id: TopicId,
    /// The partitions, in the order of the command.
    pub partitions: Vec<(PartitionIndex, Option<GroupError>)>,
}

/// One topic of the answer to OffsetFetch, in the order of the command or, of all topics, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedTopic {
    /// As asked, or as found.
    pub name: String,
    /// As asked, or as found.
    pub id: TopicId,
    /// The partitions.
    pub partitions: Vec<FetchedOffset>,
}

/// One partition of the answer to OffsetFetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchedOffset {
    /// Which.
    pub index: PartitionIndex,
    /// What went wrong.
    pub error: Option<GroupError>,
    /// The next offset to read; -1 if nothing was committed.
    pub offset: i64,
    /// As committed; -1 if unknown.
    pub leader_epoch: i32,
    /// As committed.
    pub metadata: String,
}

/// The answer to DescribeGroups for one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedGroup {
    /// What went wrong.
    pub error: Option<GroupError>,
    /// The same for people.
    pub error_message: Option<String>,
    /// The group.
    pub group: String,
    /// In Kafka's spelling, e.g. `PreparingRebalance`; `Dead` for a group that is not there.
    pub state: &'static str,
    /// What kind of group.
    pub protocol_type: String,
    /// The way of assigning.
    pub protocol: String,
    /// The members.
    pub members: Vec<DescribedMember>,
}

/// One member of a described group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedMember {
    /// The member.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// Who it is.
    pub client: Client,
    /// Its subscription, in a stable group.
    pub metadata: Arc<[u8]>,
    /// What it was given, in a stable group.
    pub assignment: Arc<[u8]>,
}

/// One group of the answer to ListGroups.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedGroup {
    /// The group.
    pub group: String,
    /// What kind of group; empty for offsets without members.
    pub protocol_type: String,
    /// In Kafka's spelling.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub group_type: &'static str,
}

/// One topic of the answer to OffsetDelete, in the order of the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedOffsets {
    /// The topic.
    pub name: String,
    /// Its partitions.
    pub partitions: Vec<(PartitionIndex, Option<GroupError>)>,
}

/// The answer to ConsumerGroupHeartbeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeatAnswer {
    /// The member's id.
    pub member_id: String,
    /// The epoch it is in.
    pub member_epoch: i32,
    /// When to send the next heartbeat.
    pub heartbeat_interval_ms: i32,
    /// What the member shall own from now on; `None` if unchanged.
    pub assignment: Option<Vec<TopicPartitions>>,
}

/// A described consumer group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumerGroup {
    /// The group.
    pub group: String,
    /// In Kafka's spelling, e.g. `Reconciling`.
    pub state: &'static str,
    /// How often members or their topics have changed.
    pub group_epoch: i32,
    /// Of which group epoch the target assignment is.
    pub assignment_epoch: i32,
    /// The assignor.
    pub assignor: String,
    /// The members.
    pub members: Vec<DescribedConsumerMember>,
}

/// One member of a described consumer group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DescribedConsumerMember {
    /// The member.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// Where it stands.
    pub rack_id: Option<String>,
    /// The epoch it is in.
    pub member_epoch: i32,
    /// Who it is.
    pub client: Client,
    /// The topics it asked for.
    pub subscribed_topic_names: Vec<String>,
    /// The pattern it asked for.
    pub subscribed_topic_regex: Option<String>,
    /// What it owns: id, name and partitions.
    pub assignment: Vec<NamedPartitions>,
    /// What it shall own.
    pub target_assignment: Vec<NamedPartitions>,
    /// -1 unknown, 0 a member of the classic protocol, 1 of the consumer protocol.
    pub member_type: i8,
}

/// Some partitions of one topic, by id and name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPartitions {
    /// The topic's id.
    pub topic_id: TopicId,
    /// Its name.
    pub topic_name: String,
    /// The partitions.
    pub partitions: Vec<PartitionIndex>,
}
