//! One segment's sparse index: from an offset or a time to a place in the file to start reading.

use core::fmt;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;

/// The batch with a segment's largest timestamp (the first of them if several have it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxTimestamp {
    /// The timestamp.
    pub timestamp: WallMs,
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Where the batch starts in the file.
    pub position: u32,
}

/// Index of one segment, at most 4 GiB long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    base_offset: Offset,
    interval_bytes: u32,
}

/// Why bytes are no index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IndexError {
    /// Not as long as the count says.
    Length,
    /// Written by a version this one does not know.
    Version(u16),
    /// The checksum says something else.
    Crc,
    /// Entries that do not grow.
    Order,
}

impl SegmentIndex {
    /// The index of an empty segment that starts at `base_offset`; one entry per `interval_bytes` of batches.
    #[must_use]
    pub fn new(base_offset: Offset, interval_bytes: u32) -> SegmentIndex {
        SegmentIndex { base_offset, interval_bytes }
    }

    /// The segment's first offset.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Whether a batch ending at `last_offset` can be in this segment: offsets are kept relative to the base.
    #[must_use]
    pub fn fits(&self, last_offset: Offset) -> bool {
        last_offset
            .0
            .checked_sub(self.base_offset.0)
            .is_some_and(|delta| (0..=i64::from(i32::MAX)).contains(&delta))
    }

    /// Notes the batch stored at `position`. Call for every batch in order. Panics: if it does not fit, or
    /// positions or offsets go back.
    pub fn on_appended(&mut self, header: &BatchHeader, position: u32) {
        todo!("{header:?} {position} {}", self.interval_bytes)
    }

    /// Where to start reading to find `offset`: a batch starts there, and it starts at or before the one with
    /// `offset`. The segment's first batch if nothing better is known.
    #[must_use]
    pub fn lookup_offset(&self, offset: Offset) -> u32 {
        todo!("{offset}")
    }

    /// Where to start reading to find the first record with `timestamp` or later: no batch before that place has
    /// one. `None`: the whole segment has none.
    #[must_use]
    pub fn lookup_time(&self, timestamp: WallMs) -> Option<u32> {
        todo!("{timestamp:?}")
    }

    /// The segment's largest timestamp; `None` if no batch has any.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<MaxTimestamp> {
        todo!()
    }

    /// Goes back to what was known at the last entry at or before `position`, after a truncation to there. Returns
    /// that entry's position: the caller reads the batches from there up to `position` and calls `on_appended` anew.
    pub fn rewind(&mut self, position: u32) -> u32 {
        todo!("{position}")
    }

    /// Keeps only entries that lie at least `interval_bytes` apart, to save memory in segments that are full.
    pub fn thin(&mut self, interval_bytes: u32) {
        todo!("{interval_bytes}")
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        todo!()
    }

    /// Appends the index's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        todo!("{}", out.len())
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<SegmentIndex, IndexError> {
        todo!("{}", bytes.len())
    }
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::Length => f.write_str("segment index has the wrong length"),
            IndexError::Version(version) => write!(f, "segment index has unknown version {version}"),
            IndexError::Crc => f.write_str("segment index fails its checksum"),
            IndexError::Order => f.write_str("segment index is out of order"),
        }
    }
}
