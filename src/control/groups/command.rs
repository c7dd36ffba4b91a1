//! What a group coordinator is asked. Owned values, one group each, so that a command can travel between shards.
//!
//! The numbers are as the client sent them: ranges, lengths and names are checked by the coordinator. What an older
//! version of a request cannot say is filled in by the host as the documentation of the fields tells.

use std::sync::Arc;

use corelane_base::id::{PartitionIndex, TopicId};

/// The host's name for a command: it comes back with the answer. Opaque here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupAsk(pub u64);

/// One request concerning one group, or for [`GroupCommand::List`] all groups of this coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupCommand {
    /// JoinGroup.
    Join(JoinGroup),
    /// SyncGroup.
    Sync(SyncGroup),
    /// Heartbeat.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// OffsetCommit.
    Commit(CommitOffsets),
    /// OffsetFetch, one group of it.
    Fetch(FetchOffsets),
    /// DescribeGroups, one group of it.
    Describe {
        /// Which.
        group: String,
    },
    /// ListGroups.
    List(ListGroups),
    /// DeleteGroups, one group of it.
    Delete {
        /// Which.
        group: String,
    },
    /// OffsetDelete.
    OffsetDelete(DeleteOffsets),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// ConsumerGroupDescribe, one group of it.
    ConsumerDescribe {
        /// Which.
        group: String,
    },
}

/// Who sends a request, for the descriptions of members.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Client {
    /// The client id of the request's header; empty if there was none.
    pub id: String,
    /// The address, in Kafka's form: `/127.0.0.1`.
    pub host: String,
}

/// A way to assign partitions that a classic member knows, with what it wants to tell the assigning leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinProtocol {
    /// Its name, e.g. `range`.
    pub name: String,
    /// The member's subscription, opaque but for the consumer protocol's topics.
    pub metadata: Arc<[u8]>,
}

/// JoinGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroup {
    /// The group.
    pub group: String,
    /// Empty for a member that has none yet.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// Who joins.
    pub client: Client,
    /// After how long without a sign of life the member is dropped.
    pub session_timeout_ms: i32,
    /// How long a rebalance waits for the member; before version 1 the session timeout.
    pub rebalance_timeout_ms: i32,
    /// What kind of group, e.g. `consumer`.
    pub protocol_type: String,
    /// In the order of preference.
    pub protocols: Vec<JoinProtocol>,
    /// Why the member joins, for the log.
    pub reason: Option<String>,
    /// From version 4 on a new dynamic member first gets an id and joins again with it.
    pub member_id_required: bool,
    /// From version 9 on a leader can be told not to assign.
    pub skip_assignment: bool,
}

/// SyncGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroup {
    /// The group.
    pub group: String,
    /// The member.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// The generation that the join answered.
    pub generation: i32,
    /// As the join answered; `None` before version 5.
    pub protocol_type: Option<String>,
    /// As the join answered; `None` before version 5.
    pub protocol: Option<String>,
    /// From the leader: member ids and what they are given.
    pub assignments: Vec<(String, Arc<[u8]>)>,
}

/// Heartbeat of a classic member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    /// The group.
    pub group: String,
    /// The member.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// The generation it is in.
    pub generation: i32,
}

/// LeaveGroup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveGroup {
    /// The group.
    pub group: String,
    /// Who leaves; before version 3 the one member of the request.
    pub members: Vec<LeavingMember>,
}

/// One member that leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeavingMember {
    /// Empty to remove a static member by its instance id alone.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// OffsetCommit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitOffsets {
    /// The group; may be empty for a simple consumer of old.
    pub group: String,
    /// Empty if the committer is no member.
    pub member_id: String,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// The generation, or the member's epoch in a consumer group; -1 if the committer is no member.
    pub generation_or_epoch: i32,
    /// From versions 2 to 4: how long to keep the offsets; `None` for the broker's setting (also for -1).
    pub retention_time_ms: Option<i64>,
    /// From version 9 on the client understands the errors of consumer groups.
    pub knows_member_epochs: bool,
    /// What is committed.
    pub topics: Vec<CommitTopic>,
}

/// One topic of a commit. By name or, from version 10 on, by id: then the name is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitTopic {
    /// The name; empty to find it by the id.
    pub name: String,
    /// The id; zero to find it by the name.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// One partition of a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitPartition {
    /// Which.
    pub index: PartitionIndex,
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// What the client wants to remember with it.
    pub metadata: Option<String>,
}

/// OffsetFetch for one group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchOffsets {
    /// The group.
    pub group: String,
    /// From version 9 on: the member, `None` if the asker is none.
    pub member_id: Option<String>,
    /// From version 9 on: its epoch; -1 if the asker is no member.
    pub member_epoch: i32,
    /// `None` for every topic that has an offset.
    pub topics: Option<Vec<FetchTopic>>,
    /// Whether offsets that an open transaction may change are held back.
    pub require_stable: bool,
    /// From version 10 on topics are named by ids: topics that are gone are left out of a fetch of all.
    pub by_topic_id: bool,
}

/// One topic of an OffsetFetch. By name or by id, as in a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchTopic {
    /// The name; empty to find it by the id.
    pub name: String,
    /// The id; zero to find it by the name.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: Vec<PartitionIndex>,
}

/// ListGroups. An empty list of filters lets everything through.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListGroups {
    /// States, in any case.
    pub states: Vec<String>,
    /// Types, in any case: `classic`, `consumer`.
    pub types: Vec<String>,
}

/// OffsetDelete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeleteOffsets {
    /// The group.
    pub group: String,
    /// Topics by name, with partitions.
    pub topics: Vec<(String, Vec<PartitionIndex>)>,
}

/// Some partitions of one topic, by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicPartitions {
    /// The topic.
    pub topic_id: TopicId,
    /// The partitions.
    pub partitions: Vec<PartitionIndex>,
}

/// ConsumerGroupHeartbeat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group: String,
    /// The member; empty before version 1 for a member that has none yet.
    pub member_id: String,
    /// 0 to join, -1 to leave, -2 for a static member that leaves for a while.
    pub member_epoch: i32,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// Where the member stands.
    pub rack_id: Option<String>,
    /// How long a rebalance waits for the member; -1 if unchanged.
    pub rebalance_timeout_ms: i32,
    /// The topics; `None` if unchanged.
    pub subscribed_topic_names: Option<Vec<String>>,
    /// The topics' pattern; `None` if unchanged, empty for none.
    pub subscribed_topic_regex: Option<String>,
    /// The assignor; `None` if unchanged.
    pub server_assignor: Option<String>,
    /// What the member owns; `None` if unchanged.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
    /// Who sends it.
    pub client: Client,
    /// From version 1 on the client draws its own member id and an empty one is refused.
    pub member_id_required: bool,
}
