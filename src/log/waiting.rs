//! Reads and look-ups that wait for the disk, and where the last reads ended.

use std::collections::VecDeque;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

/// How many readers' places are remembered.
const PLACES_MAX: usize = 8;

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Want {
    /// Batches.
    Batches {
        /// In the first batch.
        offset: Offset,
        /// Exclusive.
        end: Offset,
        /// Limit of the answer.
        bytes_max: u32,
        /// Which the first batch may exceed.
        whole_first_batch: bool,
    },
    /// The first record with this time or later.
    Time {
        /// The time.
        timestamp: WallMs,
        /// Exclusive.
        end: Offset,
        /// Segments from this offset on are still to be looked at.
        from: Offset,
    },
    /// The first record with the largest time.
    LargestTime {
        /// Exclusive.
        end: Offset,
        /// The segment that has it.
        segment: Offset,
        /// Where its batch starts.
        position: u32,
    },
}

/// What the disk operation under way is for.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// None is: a file or an index is awaited that others wait for too.
    Blocked,
    /// Finding the batch that holds the offset, by headers from `position` on.
    Locate {
        /// Which segment.
        segment: Offset,
        /// Where, in bytes.
        position: u32,
    },
    /// The answer's bytes.
    Fetch {
        /// Which segment.
        segment: Offset,
        /// Where, in bytes.
        position: u32,
        /// Behind the last byte.
        to: u32,
        /// The offset of the batch that starts at `to`, if one is known to.
        next_offset: Option<Offset>,
    },
    /// Something in a file that compaction has replaced since: when it is done, everything begins anew.
    Stale,
    /// Going through batches in search of a time.
    Search {
        /// Which segment.
        segment: Offset,
        /// Where, in bytes.
        position: u32,
    },
}

/// One that waits.
#[derive(Debug)]
pub struct Wait {
    /// Its name.
    pub ticket: u64,
    /// What is wanted.
    pub want: Want,
    /// How far it is.
    pub step: Step,
}

/// The place where a read ended, so that the next one need not search.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The offset that is next.
    pub offset: Offset,
    /// Which segment.
    pub segment: Offset,
    /// Where its batch starts.
    pub position: u32,
}

/// A log's waiting reads.
#[derive(Debug, Default)]
pub struct Reading {
    ticket_last: u64,
    /// In no particular order; bounded by what the node lets in.
    pub waits: Vec<Wait>,
    places: VecDeque<Place>,
}

impl Reading {
    /// The segments from `base_offset` up to `end_offset` (exclusive) are one now, with other places.
    pub fn on_replaced(&mut self, base_offset: Offset, end_offset: Offset) {
        let replaced = base_offset..end_offset;
        self.places.retain(|place| !replaced.contains(&place.segment));
        for wait in &mut self.waits {
            match &mut wait.want {
                Want::Time { from, .. } if replaced.contains(from) => *from = base_offset,
                // Of no segment: it is looked for anew.
                Want::LargestTime { segment, .. } if replaced.contains(segment) => *segment = Offset(-1),
                Want::Batches { .. } | Want::Time { .. } | Want::LargestTime { .. } => {}
            }
            match wait.step {
                Step::Locate { segment, .. } | Step::Fetch { segment, .. } | Step::Search { segment, .. }
                    if replaced.contains(&segment) =>
                {
                    wait.step = Step::Stale;
                }
                Step::Blocked
                | Step::Stale
                | Step::Locate { .. }
                | Step::Fetch { .. }
                | Step::Search { .. } => {}
            }
        }
    }

    /// A new name.
    pub fn ticket(&mut self) -> u64 {
        self.ticket_last += 1;
        self.ticket_last
    }

    /// Takes one out.
    pub fn take(&mut self, ticket: u64) -> Option<Wait> {
        let i = self.waits.iter().position(|wait| wait.ticket == ticket)?;
        Some(self.waits.swap_remove(i))
    }

    /// Remembers where a read ended.
    pub fn note_place(&mut self, place: Place) {
        self.places.retain(|known| known.offset != place.offset);
        if self.places.len() == PLACES_MAX {
            self.places.pop_front();
        }
        self.places.push_back(place);
    }

    /// Where the batch that starts with `offset` is, if a read ended there.
    #[must_use]
    pub fn place(&self, offset: Offset) -> Option<Place> {
        self.places.iter().rev().find(|place| place.offset == offset).copied()
    }
}
