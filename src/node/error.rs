//! Domain errors to Kafka's codes: the one table. Exhaustive, without a catch-all arm, so that a new error cannot
//! slip through unconsidered.

use corelane_control::groups::error::GroupError;
use corelane_log::batch::BatchError;
use corelane_log::error::{AppendError, ReadError};
use corelane_log::producers::ProducerError;
use corelane_log::records::RecordError;
use corelane_wire::error_code::ErrorCode;

/// What a producer hears.
#[must_use]
pub fn append_error_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Opening => ErrorCode::LeaderNotAvailable,
        AppendError::Offline | AppendError::DiskFull => ErrorCode::KafkaStorageError,
        AppendError::Batch(error) => batch_error_code(error),
        AppendError::RecordsWithoutKey(_) => ErrorCode::InvalidRecord,
        AppendError::Records(error) => record_error_code(error),
        AppendError::Producer(error) => producer_error_code(error),
        // Only followers' appends can meet this, and clients are none.
        AppendError::NotNext { .. } => ErrorCode::UnknownServerError,
        AppendError::Busy => ErrorCode::RequestTimedOut,
    }
}

/// What the producer of a bad batch hears.
#[must_use]
pub fn batch_error_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Truncated { .. }
        | BatchError::TrailingBytes { .. }
        | BatchError::OldMagic { .. }
        | BatchError::BaseOffsetNotZero { .. }
        | BatchError::BadCount { .. }
        | BatchError::ControlFromClient
        | BatchError::BadProducer { .. } => ErrorCode::InvalidRecord,
        BatchError::BadLength { .. }
        | BatchError::UnknownMagic { .. }
        | BatchError::BadCrc { .. }
        | BatchError::OffsetOverflow => ErrorCode::CorruptMessage,
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        BatchError::UnknownCompression { .. } | BatchError::ZstdTooEarly => {
            ErrorCode::UnsupportedCompressionType
        }
        BatchError::AppendTimeFromClient | BatchError::TimestampOutOfRange { .. } => {
            ErrorCode::InvalidTimestamp
        }
    }
}

fn record_error_code(error: &RecordError) -> ErrorCode {
    match error {
        RecordError::Batch(error) => batch_error_code(error),
        RecordError::Decompression => ErrorCode::CorruptMessage,
        RecordError::Malformed { .. } | RecordError::TrailingBytes => ErrorCode::InvalidRecord,
        RecordError::OutputTooLarge { .. } => ErrorCode::MessageTooLarge,
    }
}

fn producer_error_code(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
    }
}

/// What a reader hears.
#[must_use]
pub fn read_error_code(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::Opening => ErrorCode::LeaderNotAvailable,
        ReadError::Offline | ReadError::Failed(_) => ErrorCode::KafkaStorageError,
        ReadError::OutOfRange => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt => ErrorCode::CorruptMessage,
    }
}

/// What a member of a group hears.
#[must_use]
pub fn group_error_code(error: GroupError) -> ErrorCode {
    match error {
        GroupError::UnknownServerError => ErrorCode::UnknownServerError,
        GroupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::InvalidCommitOffsetSize => ErrorCode::InvalidCommitOffsetSize,
        GroupError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
        GroupError::InvalidRequest => ErrorCode::InvalidRequest,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::UnstableOffsetCommit => ErrorCode::UnstableOffsetCommit,
        GroupError::UnknownTopicId => ErrorCode::UnknownTopicId,
        GroupError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
    }
}

/// What a coordinator is told of a batch of its own. Source: Kafka's table for appends to `__consumer_offsets`.
pub fn store_error(error: ErrorCode) -> Result<(), GroupError> {
    match error {
        ErrorCode::None => Ok(()),
        ErrorCode::NotLeaderOrFollower
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::KafkaStorageError => Err(GroupError::NotCoordinator),
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => Err(GroupError::UnknownServerError),
        _ => Err(GroupError::CoordinatorNotAvailable),
    }
}
