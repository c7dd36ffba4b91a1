//! Why the group coordinator refuses. Each reason stands for one Kafka error code.

use core::fmt;

/// The reasons. The number is Kafka's error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum GroupError {
    /// `UNKNOWN_SERVER_ERROR`: what should be stored is larger than a batch may be.
    UnknownServerError = -1,
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    UnknownTopicOrPartition = 3,
    /// `OFFSET_METADATA_TOO_LARGE`: a commit's metadata exceed `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge = 12,
    /// `COORDINATOR_LOAD_IN_PROGRESS`: the partition is still being read.
    CoordinatorLoadInProgress = 14,
    /// `COORDINATOR_NOT_AVAILABLE`: not now, perhaps later.
    CoordinatorNotAvailable = 15,
    /// `NOT_COORDINATOR`: this is not, or no longer, the coordinator of the group.
    NotCoordinator = 16,
    /// `ILLEGAL_GENERATION`.
    IllegalGeneration = 22,
    /// `INCONSISTENT_GROUP_PROTOCOL`: no protocol in common with the other members.
    InconsistentGroupProtocol = 23,
    /// `INVALID_GROUP_ID`.
    InvalidGroupId = 24,
    /// `UNKNOWN_MEMBER_ID`.
    UnknownMemberId = 25,
    /// `INVALID_SESSION_TIMEOUT`.
    InvalidSessionTimeout = 26,
    /// `REBALANCE_IN_PROGRESS`.
    RebalanceInProgress = 27,
    /// `INVALID_COMMIT_OFFSET_SIZE`: a commit is larger than a batch may be.
    InvalidCommitOffsetSize = 28,
    /// `UNSUPPORTED_VERSION`: the group's protocol cannot answer this request.
    UnsupportedVersion = 35,
    /// `INVALID_REQUEST`: the request contradicts itself.
    InvalidRequest = 42,
    /// `NON_EMPTY_GROUP`.
    NonEmptyGroup = 68,
    /// `GROUP_ID_NOT_FOUND`.
    GroupIdNotFound = 69,
    /// `MEMBER_ID_REQUIRED`: join again with the member id of the answer.
    MemberIdRequired = 79,
    /// `GROUP_MAX_SIZE_REACHED`.
    GroupMaxSizeReached = 81,
    /// `FENCED_INSTANCE_ID`: another member has taken over the instance id.
    FencedInstanceId = 82,
    /// `GROUP_SUBSCRIBED_TO_TOPIC`.
    GroupSubscribedToTopic = 86,
    /// `UNSTABLE_OFFSET_COMMIT`: an open transaction holds commits back.
    UnstableOffsetCommit = 88,
    /// `UNKNOWN_TOPIC_ID`.
    UnknownTopicId = 100,
    /// `FENCED_MEMBER_EPOCH`.
    FencedMemberEpoch = 110,
    /// `UNRELEASED_INSTANCE_ID`: another member still uses the instance id.
    UnreleasedInstanceId = 111,
    /// `UNSUPPORTED_ASSIGNOR`.
    UnsupportedAssignor = 112,
    /// `STALE_MEMBER_EPOCH`.
    StaleMemberEpoch = 113,
    /// `INVALID_REGULAR_EXPRESSION`.
    InvalidRegularExpression = 128,
}

impl GroupError {
    /// Kafka's error code.
    #[must_use]
    pub fn code(self) -> i16 {
        self as i16
    }
}

/// A refusal of an answer that also has a text for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupRefusal {
    /// What a program looks at.
    pub error: GroupError,
    /// What a person reads: lower case, no full stop; empty if there is nothing to add.
    pub message: String,
}

impl GroupRefusal {
    /// Joins a reason and its text.
    pub fn new(error: GroupError, message: impl Into<String>) -> GroupRefusal {
        GroupRefusal { error, message: message.into() }
    }
}

impl From<GroupError> for GroupRefusal {
    fn from(error: GroupError) -> GroupRefusal {
        GroupRefusal { error, message: String::new() }
    }
}

impl fmt::Display for GroupRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.error, self.message)
    }
}

impl std::error::Error for GroupRefusal {}
