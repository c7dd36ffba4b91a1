//! Fills a snapshot of what a shard counted, a slice per turn.
//!
//! One slice looks at so many partitions or topics at most, whose memory is cold as a rule: the rest waits for later
//! turns, so that requests do not. A snapshot is therefore not of one moment; each counter in it is true of some moment
//! since it was asked for.

use corelane_base::id::PartitionIndex;

use crate::fetch_session::FetchSessions;
use crate::mesh::PartitionKey;
use crate::metrics::{Filled, ShardGauges, Snapshot};
use crate::pending::PendingBody;
use crate::session::Session;
use crate::shard::Shard;

/// Partitions or topics in one slice: at three to five cache misses each, some tens of microseconds.
const SLICE: usize = 128;

impl Shard {
    /// Fills the next slice. Returns whether the snapshot is whole.
    pub fn fill(&self, snapshot: &mut Snapshot) -> bool {
        snapshot.filled = match snapshot.filled {
            Filled::Nothing => {
                self.fill_totals(snapshot);
                Filled::Partitions(0)
            }
            Filled::Partitions(from) => {
                match self.owner.add_figures(from, SLICE as u32, &mut snapshot.partitions) {
                    Some(next) => Filled::Partitions(next),
                    None => Filled::Sent(0),
                }
            }
            Filled::Sent(from) => self.fill_sent(from, snapshot),
            Filled::Groups(from) => self.fill_groups(from, snapshot),
            Filled::Topics => self.fill_topics(snapshot),
            Filled::Everything => Filled::Everything,
        };
        snapshot.filled == Filled::Everything
    }

    fn fill_totals(&self, snapshot: &mut Snapshot) {
        snapshot.shard = self.settings.shard;
        snapshot.shard_count = self.settings.shard_count;
        snapshot.apis = self.metrics.apis();
        snapshot.errors = self.metrics.errors();
        snapshot.gauges = self.gauges();
        snapshot.work = self.owner.work.clone();
        snapshot.compaction = self.owner.cleaner_totals();
        snapshot.departed = self.owner.departed;
        snapshot.partitions.reserve(self.owner.slot_count());
    }

    fn gauges(&self) -> ShardGauges {
        let mut gauges = ShardGauges {
            serving: self.is_serving(),
            metadata_version: self.metadata_version,
            connections: self.session_count as u64,
            connections_waiting: self.connections.waiting_count() as u64,
            inbox_bytes: self.inbox_bytes as u64,
            unsent_bytes: self.unsent_bytes as u64,
            fetch_sessions: self.fetch_sessions.len() as u64,
            fetch_session_partitions: self.fetch_sessions.partition_count() as u64,
            disk_total_bytes: self.disk_total_bytes,
            disk_free_bytes: if self.disk_total_bytes > 0 { self.disk_free_bytes } else { 0 },
            refused_total: self.metrics.refused_total,
            idle_closed_total: self.metrics.idle_closed_total,
            departed_sent_bytes: self.metrics.sent.departed,
            ..ShardGauges::default()
        };
        for (_, pending) in self.pending.iter() {
            let kind = match pending.body {
                PendingBody::Produce(_) => 0,
                PendingBody::Fetch(_) => 1,
                _ => 2,
            };
            gauges.pending[kind] += 1;
        }
        for session in self.sessions.iter().flatten() {
            gauges.request_bytes += session.request_bytes() as u64;
        }
        let wishes = gauges.fetch_session_partitions as usize * FetchSessions::PARTITION_BYTES;
        gauges.session_bytes = (self.sessions.capacity() * size_of::<Option<Session>>() + wishes) as u64;
        self.owner.fill_gauges(&mut gauges);
        gauges
    }

    fn fill_sent(&self, from: usize, snapshot: &mut Snapshot) -> Filled {
        let topics = self.metrics.sent.topics();
        let end = topics.len().min(from + SLICE);
        // Topics may have gone since the last slice.
        for (topic, partitions) in &topics[from.min(end)..end] {
            for (index, bytes) in partitions.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
                let partition = PartitionIndex(index as i32);
                snapshot.sent.push((PartitionKey { topic: *topic, partition }, *bytes));
            }
        }
        if end < topics.len() { Filled::Sent(end) } else { Filled::Groups(PartitionIndex(0)) }
    }

    /// Takes in the groups of one coordinator, the first from partition `from` on.
    fn fill_groups(&self, from: PartitionIndex, snapshot: &mut Snapshot) -> Filled {
        if let Some((partition, hosted)) = self.groups.hosted.range(from..).next() {
            snapshot.groups.add(hosted.coordinator.groups());
            return Filled::Groups(PartitionIndex(partition.0 + 1));
        }
        if self.settings.shard.0 == 0 { Filled::Topics } else { Filled::Everything }
    }

    fn fill_topics(&self, snapshot: &mut Snapshot) -> Filled {
        let last = snapshot.topics.last().map(str::to_owned);
        let skip = last.as_deref();
        let mut topics =
            self.image.topics_from(skip.unwrap_or("")).filter(|topic| Some(&*topic.name) != skip);
        for topic in topics.by_ref().take(SLICE) {
            snapshot.topics.push(topic.id, topic.partitions.len() as u32, &topic.name);
        }
        if topics.next().is_some() { Filled::Topics } else { Filled::Everything }
    }
}
