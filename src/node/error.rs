//! Domain errors to Kafka's codes: the one table. Exhaustive, without a catch-all arm, so that a new error cannot
//! slip through unconsidered.

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
