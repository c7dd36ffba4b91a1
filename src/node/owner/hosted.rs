//! What the host of the group coordinators needs of the partitions of `__consumer_offsets`: reading them from the
//! start, appending to them, and hearing how they fare.
//!
//! Coordinators live on the shard that owns their partition, so nothing here crosses shards. What takes time is told
//! in [`Owner::hosted`], in order.

use corelane_base::id::Offset;
use corelane_base::time::Now;
use corelane_log::disk::DiskQueue;
use corelane_log::error::ReadError;
use corelane_log::log::{LogCx, LogRead, LogState, ReadStart};
use corelane_wire::error_code::ErrorCode;

use super::{Owner, ReadFor};
use crate::mesh::{AppendAsk, PartitionKey};
use crate::slots::SlotId;

/// Stands for the request of an append that no connection waits for.
const NOBODY: SlotId = SlotId { slot: u32::MAX, generation: u32::MAX };

/// Something that a hosted partition brought about.
#[derive(Debug)]
pub enum HostedChange {
    /// A batch is durable, or is not going to be.
    Appended {
        /// The host's name for it.
        index: u32,
        /// `None` if it is durable.
        error: ErrorCode,
    },
    /// A read that waited for the disk.
    Read(Result<LogRead, ReadError>),
    /// The log has opened, gone offline, or more of it is flushed.
    Moved,
}

/// What a step of loading found.
#[derive(Debug)]
pub enum HostedRead {
    /// Batches.
    Ready(LogRead),
    /// [`HostedChange::Read`] follows.
    Pending,
    /// There will be something after the next [`HostedChange::Moved`].
    NotYet,
    /// Everything has been read.
    End,
    /// The log is offline or gone.
    Failed,
}

impl Owner {
    /// Tells the host of a coordinator from now on how this partition fares.
    pub fn host(&mut self, key: PartitionKey) {
        self.with(key, |partition| partition.hosted = true);
    }

    /// Reads on from `offset`, about `bytes_max` bytes.
    pub fn read_hosted(
        &mut self,
        key: PartitionKey,
        offset: Offset,
        bytes_max: u32,
        now: Now,
        disk: &mut DiskQueue,
    ) -> HostedRead {
        let Some(slot) = self.slot_of(key) else { return HostedRead::Failed };
        let partition = self.partitions[slot as usize].as_mut().expect("by_topic names live slots");
        match partition.log.state() {
            LogState::Opening => return HostedRead::NotYet,
            LogState::Offline(_) => return HostedRead::Failed,
            LogState::Online => {}
        }
        let offset = offset.max(partition.log.log_start_offset());
        let end = partition.log.flushed_offset();
        if offset >= end {
            let at_end = offset >= partition.log.log_end_offset();
            return if at_end { HostedRead::End } else { HostedRead::NotYet };
        }
        match partition.log.read(offset, end, bytes_max, true, cx!(self, now, disk)) {
            ReadStart::Ready(read) => HostedRead::Ready(read),
            ReadStart::Pending(ticket) => {
                self.reads.insert((slot, ticket), ReadFor::Hosted);
                HostedRead::Pending
            }
            // Compaction has left nothing between here and the end.
            ReadStart::Empty => HostedRead::End,
            ReadStart::OutOfRange | ReadStart::Failed(_) => HostedRead::Failed,
        }
    }

    /// Appends a coordinator's batch; [`HostedChange::Appended`] with this `index` follows.
    pub fn append_hosted(
        &mut self,
        key: PartitionKey,
        index: u32,
        batch: &[u8],
        now: Now,
        disk: &mut DiskQueue,
    ) {
        let ask = AppendAsk { pending: NOBODY, zstd_allowed: false, hosted: true };
        if let Some(result) = self.append(self.shard, ask, index, key, batch, now, disk) {
            self.hosted.push((key, HostedChange::Appended { index, error: result.error }));
        }
    }

    pub(super) fn tell_hosted(&mut self, slot: u32, change: HostedChange) {
        let partition = self.partition(slot);
        if partition.hosted && !partition.deleted {
            let key = partition.key;
            self.hosted.push((key, change));
        }
    }
}
