//! Which leader epoch wrote from which offset on: what followers and consumers compare to find where logs part.
//!
//! Not the current leader epoch of the partition, which may have written nothing yet.
//! Source: KIP-101, KIP-279; Kafka `LeaderEpochFileCache`.

use core::fmt;

use corelane_base::id::{LeaderEpoch, Offset};

/// "No such epoch" on the wire.
pub const UNDEFINED_EPOCH: LeaderEpoch = LeaderEpoch(-1);
/// "No such offset" on the wire.
pub const UNDEFINED_OFFSET: Offset = Offset(-1);

/// One leader epoch's first offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// Whose.
    pub leader_epoch: LeaderEpoch,
    /// The offset of the first record it wrote, inclusive.
    pub start_offset: Offset,
}

/// The leader epochs of one log.
///
/// Invariants: `leader_epoch` and `start_offset` both grow strictly; neither is negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    starts: Vec<EpochStart>,
}

/// Why bytes are no table of epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpochsError {
    /// Not as long as the count says.
    Length,
    /// Written by a version this one does not know.
    Version(u16),
    /// The checksum says something else.
    Crc,
    /// Epochs or offsets that do not grow.
    Order,
}

impl Epochs {
    /// A log without records.
    #[must_use]
    pub fn new() -> Epochs {
        Epochs::default()
    }

    /// Notes that `leader_epoch` wrote from `start_offset` on; true if that is news.
    ///
    /// Entries that contradict the new one (a later or equal epoch, or a later or equal start) are dropped: the
    /// log was truncated below them. Panics: if either is negative.
    pub fn assign(&mut self, leader_epoch: LeaderEpoch, start_offset: Offset) -> bool {
        todo!("{leader_epoch} {start_offset}")
    }

    /// The newest epoch that wrote something.
    #[must_use]
    pub fn latest(&self) -> Option<EpochStart> {
        self.starts.last().copied()
    }

    /// All, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// Which epoch wrote `offset`, as far as known.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        todo!("{offset}")
    }

    /// Where `requested` ended: the largest epoch at or below it, and the end of that epoch (exclusive).
    ///
    /// As Kafka answers `OffsetForLeaderEpoch`: the latest epoch ends at `log_end_offset`; an epoch before the
    /// first known ends where the first known starts and is answered under its own number; one above the latest is
    /// unknown: `(-1, -1)`.
    #[must_use]
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end_offset: Offset) -> (LeaderEpoch, Offset) {
        todo!("{requested} {log_end_offset}")
    }

    /// Forgets what lies before `log_start_offset`; the epoch that wrote that offset then starts there.
    pub fn trim_start(&mut self, log_start_offset: Offset) {
        todo!("{log_start_offset}")
    }

    /// Forgets epochs that start at or behind `log_end_offset`, after a truncation.
    pub fn trim_end(&mut self, log_end_offset: Offset) {
        todo!("{log_end_offset}")
    }

    /// Appends the table's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        todo!("{}", out.len())
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Epochs, EpochsError> {
        todo!("{}", bytes.len())
    }
}

impl fmt::Display for EpochsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EpochsError::Length => f.write_str("leader epoch table has the wrong length"),
            EpochsError::Version(version) => write!(f, "leader epoch table has unknown version {version}"),
            EpochsError::Crc => f.write_str("leader epoch table fails its checksum"),
            EpochsError::Order => f.write_str("leader epoch table is out of order"),
        }
    }
}
