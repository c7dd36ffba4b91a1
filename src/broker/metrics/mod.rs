//! Everything the broker tells Prometheus, from snapshots of the shards to text.
//!
//! Names are Kafka's where the meaning is the same, as the usual rules of the JMX exporter write them
//! (`kafka_server_brokertopicmetrics_messagesin_total`), or, for groups, as the usual exporter of lag does; the rest is
//! `corelane_`. The number of lines is bounded: partitions and committed offsets beyond a limit are counted, not told.

mod figures;
mod groups;
mod process;
mod requests;
mod shards;
mod topics;

use std::sync::Arc;

use corelane_node::metrics::Snapshot;

use crate::exposition::{Exposition, Labels};
use crate::rt::port::Figures;
use crate::watchdog::Watchdog;

/// What is to be told.
pub struct Facts<'a> {
    /// Whether clients are served.
    pub ready: bool,
    /// Kafka's number for the state the broker is in: 1 starting, 3 running, 6 stopping in order.
    pub state: u8,
    /// Since the start, in seconds.
    pub uptime_seconds: f64,
    /// What the loops count, shard by shard.
    pub figures: &'a [Figures],
    /// What the shards count, as far as they have answered.
    pub snapshots: &'a [Option<Arc<Snapshot>>],
    /// Shards whose last snapshot is older than this scrape, because they did not answer in time.
    pub stale: usize,
}

/// Everything in Prometheus's text format, without what the watchdog knows.
#[must_use]
pub fn render(facts: &Facts<'_>, watchdog: &Watchdog) -> String {
    let snapshots: Vec<&Snapshot> = facts.snapshots.iter().flatten().map(Arc::as_ref).collect();
    let partitions: usize = snapshots.iter().map(|snapshot| snapshot.partitions.len()).sum();
    let mut out = Exposition::with_capacity(64 * 1024 + 1024 * partitions);
    process::tell(&mut out, facts);
    shards::tell(&mut out, facts.figures, watchdog);
    requests::tell(&mut out, &snapshots);
    figures::tell(&mut out, facts, &snapshots);
    topics::tell(&mut out, &snapshots);
    groups::tell(&mut out, &snapshots);
    out.into_text()
}

/// The label of a shard.
fn shard_label(shard: usize) -> Labels {
    Labels::new(&[("shard", &shard.to_string())])
}
