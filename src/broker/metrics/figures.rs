//! What the shards count besides requests and topics: group commits, reads, memory by owner, disk, purgatory, sessions.

use corelane_base::histogram::{Durations, Sizes};
use corelane_log::cleaner::CleanerTotals;
use corelane_node::metrics::{ShardGauges, Snapshot};

use crate::exposition::{Exposition, Kind, Labels};
use crate::metrics::{Facts, shard_label};
use crate::ring;

/// Tells it.
pub(super) fn tell(out: &mut Exposition, facts: &Facts<'_>, snapshots: &[&Snapshot]) {
    commits(out, snapshots);
    reads(out, facts, snapshots);
    memory(out, snapshots);
    disk(out, snapshots);
    compaction(out, snapshots);
    waiting(out, snapshots);
}

/// Sum of one gauge over the shards.
fn sum(snapshots: &[&Snapshot], value: fn(&ShardGauges) -> u64) -> u64 {
    snapshots.iter().map(|snapshot| value(&snapshot.gauges)).sum()
}

fn commits(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let (mut times, mut bytes) = (Durations::default(), Sizes::default());
    for snapshot in snapshots {
        times.merge(&snapshot.work.commit_times);
        bytes.merge(&snapshot.work.commit_bytes);
    }
    let help = "From handing a group commit to the disk to its completion.";
    let mut family = out.family("corelane_group_commit_seconds", Kind::Histogram, help);
    family.histogram(&Labels::default(), &times, 1e9, 1);
    let help = "Bytes of batches in a group commit.";
    let mut family = out.family("corelane_group_commit_bytes", Kind::Histogram, help);
    family.histogram(&Labels::default(), &bytes, 1.0, 2);
}

fn reads(out: &mut Exposition, facts: &Facts<'_>, snapshots: &[&Snapshot]) {
    let tail: u64 = snapshots.iter().map(|snapshot| snapshot.work.tail_reads).sum();
    let resident: u64 = facts.figures.iter().map(|figures| figures.ring.history_resident).sum();
    let cold: u64 = facts.figures.iter().map(|figures| figures.ring.history_missed).sum();
    let help = "Reads of logs by where the records were: tail memory, page cache (resident), disk (cold).";
    let mut family = out.family("corelane_log_reads_total", Kind::Counter, help);
    for (source, count) in [("tail", tail), ("resident", resident), ("cold", cold)] {
        family.int(&Labels::new(&[("source", source)]), count);
    }
    let bytes = snapshots.iter().map(|snapshot| snapshot.work.tail_read_bytes).sum();
    out.counter("corelane_tail_read_bytes_total", "Bytes read from tail memory.", bytes);
}

fn memory(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let tails = |snapshot: &Snapshot| {
        snapshot.partitions.iter().map(|partition| partition.log.tail_bytes).sum::<u64>()
    };
    type Owner = (&'static str, fn(&ShardGauges) -> u64);
    const OWNERS: &[Owner] = &[
        ("incomplete_requests", |g| g.inbox_bytes),
        ("pending_requests", |g| g.request_bytes),
        ("deferred_batches", |g| g.deferred_bytes),
        ("unsent_responses", |g| g.unsent_bytes),
        ("receive_buffers", |_| ring::RECEIVE_BUFFER_BYTES),
        ("sessions", |g| g.session_bytes),
    ];
    let help =
        "Memory by what holds it. Pending requests are the frames' lengths, their batches are in the tail.";
    let mut family = out.family("corelane_memory_bytes", Kind::Gauge, help);
    for (shard, snapshot) in snapshots.iter().map(|snapshot| (snapshot.shard.0.to_string(), snapshot)) {
        family.int(&Labels::new(&[("owner", "tail"), ("shard", &shard)]), tails(snapshot));
        for (owner, value) in OWNERS {
            family.int(&Labels::new(&[("owner", owner), ("shard", &shard)]), value(&snapshot.gauges));
        }
    }
    let help = "Tail memory beyond which the oldest of it is given back.";
    let mut family = out.family("corelane_tail_bytes_max", Kind::Gauge, help);
    for snapshot in snapshots {
        family.int(&shard_label(snapshot.shard.0.into()), snapshot.gauges.tail_bytes_max);
    }
}

fn disk(out: &mut Exposition, snapshots: &[&Snapshot]) {
    // Every shard asks the same file system.
    let newest = snapshots.iter().map(|snapshot| &snapshot.gauges).find(|gauges| gauges.disk_total_bytes > 0);
    if let Some(gauges) = newest {
        let (total, free) = (gauges.disk_total_bytes as f64, gauges.disk_free_bytes as f64);
        out.gauge("corelane_disk_total_bytes", "Size of the file system of the logs.", total);
        out.gauge("corelane_disk_free_bytes", "What is free on it.", free);
    }
    let full = sum(snapshots, |gauges| u64::from(gauges.disk_full)) as f64;
    out.gauge("corelane_disk_full_shards", "Shards that refuse produce for want of room.", full);
    let offline: usize = snapshots
        .iter()
        .map(|snapshot| snapshot.partitions.iter().filter(|partition| !partition.online).count())
        .sum();
    let help = "Partitions whose log does not serve: it is opening, or failed and waits for the next start.";
    out.gauge("kafka_server_replicamanager_offlinereplicacount", help, offline as f64);
    let logs = || snapshots.iter().flat_map(|snapshot| &snapshot.partitions).map(|partition| &partition.log);
    let size: u64 = logs().map(|log| log.size_bytes).sum();
    out.gauge("corelane_log_size_bytes", "Bytes of batches in all logs.", size as f64);
    let segments: u64 = logs().map(|log| u64::from(log.segments)).sum();
    out.gauge("corelane_log_segments", "Segments of all logs.", segments as f64);
    let spare = sum(snapshots, |gauges| gauges.spare_segments) as f64;
    out.gauge("corelane_spare_segments", "Recycled segments that wait for use.", spare);
    let departed = |of: fn(&(u64, u64)) -> u64| -> u64 {
        snapshots.iter().map(|snapshot| of(&snapshot.departed.deleted)).sum()
    };
    let deleted: u64 = logs().map(|log| log.deleted_segments).sum::<u64>() + departed(|deleted| deleted.0);
    let help = "Segments deleted by retention or on demand.";
    out.counter("corelane_deleted_segments_total", help, deleted);
    let deleted: u64 = logs().map(|log| log.deleted_bytes).sum::<u64>() + departed(|deleted| deleted.1);
    out.counter("corelane_deleted_segment_bytes_total", "Bytes of batches in them.", deleted);
    let producers: u64 = logs().map(|log| u64::from(log.producers)).sum();
    let help = "Producer ids that are remembered, each partition's for itself.";
    out.gauge("kafka_server_replicamanager_produceridcount", help, producers as f64);
}

fn compaction(out: &mut Exposition, snapshots: &[&Snapshot]) {
    type Row = (&'static str, &'static str, fn(&CleanerTotals) -> u64);
    const ROWS: &[Row] = &[
        ("corelane_compaction_runs_total", "Compactions of a log that came to their end.", |t| t.runs),
        ("corelane_compaction_aborted_total", "Compactions that were given up.", |t| t.aborted),
        ("corelane_compaction_read_bytes_total", "Bytes read by compaction.", |t| t.bytes_read),
        ("corelane_compaction_written_bytes_total", "Bytes written by compaction.", |t| t.bytes_written),
        ("corelane_compaction_records_total", "Records that compaction looked at.", |t| t.records_read),
        ("corelane_compaction_records_kept_total", "Of these, how many stayed.", |t| t.records_kept),
    ];
    for (name, help, value) in ROWS {
        let total = snapshots.iter().map(|snapshot| value(&snapshot.compaction)).sum();
        out.counter(name, help, total);
    }
}

fn waiting(out: &mut Exposition, snapshots: &[&Snapshot]) {
    let help = "Requests that wait: for durability, for records, for anything else.";
    let mut family = out.family("kafka_server_delayedoperationpurgatory_purgatorysize", Kind::Gauge, help);
    for (kind, operation) in ["Produce", "Fetch", "Other"].iter().enumerate() {
        let count = snapshots.iter().map(|snapshot| snapshot.gauges.pending[kind]).sum();
        family.int(&Labels::new(&[("delayedoperation", operation)]), count);
    }
    let watches = sum(snapshots, |gauges| gauges.watches) as f64;
    out.gauge("corelane_fetch_watches", "Fetches that wait for records, each owner's for itself.", watches);
    let sessions = sum(snapshots, |gauges| gauges.fetch_sessions) as f64;
    let help = "Incremental fetch sessions.";
    out.gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", help, sessions);
    let partitions = sum(snapshots, |gauges| gauges.fetch_session_partitions) as f64;
    let help = "Partitions in them.";
    out.gauge("kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", help, partitions);
    let connections = sum(snapshots, |gauges| gauges.connections_waiting) as f64;
    let help = "Connections beyond max.connections, not served until others go.";
    out.gauge("corelane_connections_waiting", help, connections);
    let refused = sum(snapshots, |gauges| gauges.refused_total);
    let help = "Connections closed for what they sent, or because there were too many.";
    out.counter("corelane_connections_refused_total", help, refused);
    let idle = sum(snapshots, |gauges| gauges.idle_closed_total);
    let help = "Connections closed because nothing moved on them.";
    out.counter("corelane_connections_idle_closed_total", help, idle);
    let versions = snapshots.iter().map(|snapshot| snapshot.gauges.metadata_version);
    let lag = versions.clone().max().unwrap_or(0) - versions.min().unwrap_or(0);
    let help = "Publications of metadata that the slowest shard has yet to apply.";
    out.gauge("corelane_metadata_lag", help, lag as f64);
}
