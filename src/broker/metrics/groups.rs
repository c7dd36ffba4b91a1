//! Consumer groups: states, members, committed offsets and lag, under the names of the usual exporter of lag.
//!
//! Lag is counted from the end of what consumers may read, so that a group that has read everything has none. A group
//! that has committed beyond the end, which was then truncated, has none either.

use std::collections::{BTreeMap, HashMap};

use corelane_base::id::PartitionIndex;
use corelane_node::metrics::{CommittedFigures, Snapshot};

use crate::exposition::{Exposition, Kind, Labels};

/// A committed offset that is told.
struct Told<'a> {
    labels: Labels,
    committed: &'a CommittedFigures,
    lag: Option<i64>,
}

/// Tells groups.
pub(super) fn tell(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let count: u64 = snapshots.iter().map(|snapshot| snapshot.groups.count).sum();
    let help = "Groups with members or offsets.";
    out.gauge("kafka_coordinator_group_groupmetadatamanager_numgroups", help, count as f64);
    let untold: u64 = snapshots.iter().map(|snapshot| snapshot.groups.untold_offsets).sum();
    let help = "Committed offsets that are not told here, because there are too many.";
    out.gauge("corelane_group_offsets_untold", help, untold as f64);
    let groups = || snapshots.iter().flat_map(|snapshot| &snapshot.groups.groups);
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for group in groups() {
        *states.entry(group.state).or_default() += 1;
    }
    let mut family = out.family("corelane_groups", Kind::Gauge, "Groups by state.");
    for (state, count) in &states {
        family.int(&Labels::new(&[("state", state)]), *count);
    }
    let mut family = out.family("kafka_consumergroup_members", Kind::Gauge, "Members of a group.");
    for group in groups() {
        family.int(&Labels::new(&[("consumergroup", &group.id)]), group.members.into());
    }
    let told = told(snapshots);
    let help = "The offset a group has committed: where it reads on.";
    let mut family = out.family("kafka_consumergroup_current_offset", Kind::Gauge, help);
    for one in &told {
        family.signed(&one.labels, one.committed.offset.0);
    }
    let help = "Records between a group's committed offset and the end of what it may read.";
    let mut family = out.family("kafka_consumergroup_lag", Kind::Gauge, help);
    for (labels, lag) in told.iter().filter_map(|one| one.lag.map(|lag| (&one.labels, lag))) {
        family.signed(labels, lag);
    }
}

/// The committed offsets, each beside its log's end. A topic that is gone has none.
fn told<'a>(snapshots: &[&'a Snapshot]) -> Vec<Told<'a>> {
    let mut names = HashMap::new();
    for (id, _, name) in snapshots.iter().flat_map(|snapshot| snapshot.topics.iter()) {
        names.insert(id, name);
    }
    let mut ends: HashMap<(&str, PartitionIndex), i64> = HashMap::new();
    for figures in snapshots.iter().flat_map(|snapshot| &snapshot.partitions) {
        if let Some(name) = names.get(&figures.key.topic) {
            ends.insert((name, figures.key.partition), figures.high_watermark.0);
        }
    }
    let mut told = Vec::new();
    for snapshot in snapshots {
        for committed in &snapshot.groups.offsets {
            let group = &snapshot.groups.groups[committed.group as usize];
            let partition = committed.partition.0.to_string();
            let labels = [
                ("consumergroup", &*group.id),
                ("topic", &*committed.topic),
                ("partition", partition.as_str()),
            ];
            let end = ends.get(&(&*committed.topic, committed.partition));
            let lag = end.map(|end| (end - committed.offset.0).max(0));
            told.push(Told { labels: Labels::new(&labels), committed, lag });
        }
    }
    told
}
