//! What a group coordinator wants done: records stored, answers sent.

use core::fmt;

use crate::groups::answer::GroupAnswer;
use crate::groups::command::GroupAsk;

/// Names a store, in the order in which they are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct WriteId(pub u64);

/// A record of `__consumer_offsets`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoordinatorRecord {
    /// The type, and the key's fields.
    pub key: Vec<u8>,
    /// A version and the value's fields; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl CoordinatorRecord {
    /// The most bytes it takes in a batch: lengths and the like are not counted exactly.
    #[must_use]
    pub fn size_max(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len) + 32
    }
}

/// What a coordinator wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupEffect {
    /// Append these records as one batch to the coordinator's partition, behind those of all earlier stores, then tell
    /// the coordinator the outcome. Never empty, and within `batch_bytes_max`.
    Store {
        /// The name of this store.
        write: WriteId,
        /// The records.
        records: Vec<CoordinatorRecord>,
    },
    /// An answer may leave: everything it rests on is durable. Each command is answered exactly once.
    Answer {
        /// The command's name.
        ask: GroupAsk,
        /// The answer.
        answer: GroupAnswer,
    },
}

/// A record that cannot be read. The partition was written by something else, or by a newer broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupReplayError(pub String);

impl fmt::Display for GroupReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group record: {}", self.0)
    }
}

impl std::error::Error for GroupReplayError {}
