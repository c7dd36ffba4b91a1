//! The shard's spare segments: files of zeros, ready to be renamed into a log.
//!
//! Being filled; the signatures stand.

use crate::disk::{DiskError, DiskOutcome, DiskQueue, DiskToken};
use crate::settings::LogNotice;

/// One shard's pool. A completion whose token's owner is the pool's slot belongs to [`SegmentPool::on_disk`].
#[derive(Debug)]
pub struct SegmentPool {
    slot: u32,
}

impl SegmentPool {
    /// A pool that knows of no file yet; it lists `spare/` at once. `slot` is its own, distinct from every log's;
    /// `shard` names its files.
    pub fn open(slot: u32, shard: u16, disk: &mut DiskQueue) -> SegmentPool {
        let _ = (shard, disk);
        SegmentPool { slot }
    }

    /// The slot given to `open`.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Takes in a completion.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        disk: &mut DiskQueue,
        notices: &mut Vec<LogNotice>,
    ) {
        let _ = (token, result, disk, notices);
    }

    /// Goes on with what waits: call it about once a second.
    pub fn tick(&mut self, disk: &mut DiskQueue) {
        let _ = disk;
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }
}
