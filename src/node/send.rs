//! What goes out on a connection: pieces of memory and of segments, sent in order without being copied together.

use bytes::Bytes;
use corelane_log::disk::FileHandle;
use corelane_log::log::LogSlice;
use corelane_wire::primitive::ErrorTally;

/// A piece of a response.
#[derive(Debug, Clone)]
pub enum SendPart {
    /// Bytes in memory, shared.
    Memory(Bytes),
    /// A range of a segment that is resident in the page cache, to be sent with `sendfile`.
    File {
        /// The segment.
        file: FileHandle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
}

impl SendPart {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            SendPart::Memory(bytes) => bytes.len(),
            SendPart::File { len, .. } => *len as usize,
        }
    }

    /// Whether it carries nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A response as a handler leaves it.
#[derive(Debug)]
pub struct Reply {
    /// The whole frame.
    pub parts: Vec<SendPart>,
    /// The errors it tells.
    pub errors: ErrorTally,
}

impl From<LogSlice> for SendPart {
    fn from(slice: LogSlice) -> SendPart {
        match slice {
            LogSlice::Memory(bytes) => SendPart::Memory(bytes),
            LogSlice::File { file, offset, len } => SendPart::File { file, offset, len },
        }
    }
}
