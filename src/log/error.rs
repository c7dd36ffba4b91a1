//! Why a log refuses something, or serves no longer.
//!
//! Not Kafka's error codes: one table in the node maps these onto them.

use core::fmt;

use corelane_base::id::Offset;

use crate::batch::BatchError;
use crate::disk::DiskError;
use crate::producers::ProducerError;
use crate::records::RecordError;

/// Why a log is offline. It stays so until the broker restarts and recovers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfflineReason {
    /// A write or sync failed: what reached the disk is unknown.
    WriteFailed(DiskError),
    /// A file could not be opened, created, renamed or read.
    FileFailed {
        /// Which.
        path: String,
        /// How.
        error: DiskError,
    },
    /// Recovery found damage inside data that had been acknowledged.
    Corrupt {
        /// The segment's path.
        path: String,
        /// Where in it, in bytes.
        position: u64,
    },
    /// A segment between others, or the one that held the checkpoint's end, is missing.
    SegmentMissing {
        /// The offset that no segment starts with.
        expected: Offset,
    },
}

impl fmt::Display for OfflineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OfflineReason::WriteFailed(error) => write!(f, "a write failed: {error}"),
            OfflineReason::FileFailed { path, error } => write!(f, "{path}: {error}"),
            OfflineReason::Corrupt { path, position } => {
                write!(f, "{path}: damaged at byte {position}, with valid data behind")
            }
            OfflineReason::SegmentMissing { expected } => {
                write!(f, "no segment starts at offset {expected}, though later ones exist")
            }
        }
    }
}

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendError {
    /// Still recovering: try again.
    Opening,
    /// The log is offline.
    Offline,
    /// The batch is not what may be appended here.
    Batch(BatchError),
    /// Records without a key for a compacted log: their numbers in the batch; if it unfolds to many times its size,
    /// only the first of them.
    /// Kafka code: INVALID_RECORD.
    RecordsWithoutKey(Vec<i32>),
    /// The records inside do not decode, where they had to be looked at.
    Records(RecordError),
    /// The idempotent producer's state forbids it.
    Producer(ProducerError),
    /// A follower's batch does not continue the log.
    NotNext {
        /// The base offset it would have to have.
        expected: Offset,
    },
    /// Too much is waiting for the disk: try again.
    Busy,
    /// No room on the file system, or no descriptor for a file: try again later.
    DiskFull,
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> AppendError {
        AppendError::Batch(error)
    }
}

impl From<ProducerError> for AppendError {
    fn from(error: ProducerError) -> AppendError {
        AppendError::Producer(error)
    }
}

/// Why something asked about stored data cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Still recovering: try again.
    Opening,
    /// The log is offline.
    Offline,
    /// The offset lies outside the log (by now, when a waiting read is answered with it).
    OutOfRange,
    /// The disk failed to read, or gave what is no batch. The log stays online for what is in memory.
    Failed(DiskError),
    /// A stored batch does not decode.
    Corrupt,
}
