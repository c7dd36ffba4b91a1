//! What an owner tells of itself to its operator.

use corelane_log::log::LogFigures;

use super::Owner;
use crate::metrics::{Departed, PartitionFigures, ShardGauges, Traffic};

impl Owner {
    /// Adds the partitions of `slots` slots from `from` on to `out`, opening ones and broken ones too. Returns the slot
    /// to go on from; `None` after the last.
    pub fn add_figures(&self, from: u32, slots: u32, out: &mut Vec<PartitionFigures>) -> Option<u32> {
        let end = from.saturating_add(slots).min(self.partitions.len() as u32);
        let range = from.min(end) as usize..end as usize;
        for partition in self.partitions[range].iter().flatten().filter(|partition| !partition.deleted) {
            out.push(PartitionFigures {
                key: partition.key,
                traffic: partition.traffic,
                log_start_offset: partition.log.log_start_offset(),
                log_end_offset: partition.log.log_end_offset(),
                high_watermark: partition.high_watermark(),
                log: partition.log.figures(),
                online: partition.is_online(),
            });
        }
        if end < self.partitions.len() as u32 { Some(end) } else { None }
    }

    /// How many slots there are for partitions.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.partitions.len()
    }

    /// Fills in what is the owner's.
    pub fn fill_gauges(&self, gauges: &mut ShardGauges) {
        gauges.deferred_bytes = self.deferred_bytes as u64;
        gauges.watches = self.watches.iter().filter(|(_, watch)| watch.waits.is_some()).count() as u64;
        gauges.tail_bytes_max = self.limits.tails;
        gauges.spare_segments = self.pool.spare_count() as u64;
        gauges.disk_full = self.disk_full;
    }
}

impl Departed {
    /// Takes a partition in that is deleted.
    pub fn add(&mut self, traffic: &Traffic, log: &LogFigures) {
        self.traffic.add(traffic);
        self.deleted = (self.deleted.0 + log.deleted_segments, self.deleted.1 + log.deleted_bytes);
    }
}
