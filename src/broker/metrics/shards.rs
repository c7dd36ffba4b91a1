//! What the loops of the shards count: sockets, disk, turns, sleep, and how quickly they answer.

use crate::exposition::{Exposition, Kind};
use crate::metrics::shard_label;
use crate::rt::port::Figures;
use crate::watchdog::Watchdog;

/// Upper bounds of the stall histogram's buckets as exported, in microseconds.
const STALL_BUCKETS_US: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// A metric of every shard: name, type, help, and its value.
type Row = (&'static str, Kind, &'static str, fn(&Figures) -> u64);

const ROWS: &[Row] = &[
    ("corelane_connections", Kind::Gauge, "Client connections open.", |f| f.connections),
    ("corelane_connections_accepted_total", Kind::Counter, "Client connections accepted.", |f| {
        f.ring.accepted
    }),
    ("corelane_connections_closed_total", Kind::Counter, "Client connections closed.", |f| f.ring.closed),
    (
        "corelane_accepts_refused_total",
        Kind::Counter,
        "Times no descriptor or memory was left for a connection.",
        |f| f.ring.accept_refused,
    ),
    ("corelane_received_bytes_total", Kind::Counter, "Bytes received from clients.", |f| f.ring.bytes_in),
    ("corelane_sent_bytes_total", Kind::Counter, "Bytes sent to clients.", |f| f.ring.bytes_out),
    (
        "corelane_sendfile_bytes_total",
        Kind::Counter,
        "Bytes sent to clients straight from the page cache.",
        |f| f.ring.bytes_sendfile,
    ),
    (
        "corelane_receive_starved_total",
        Kind::Counter,
        "Times bytes arrived while no receive buffer was free.",
        |f| f.ring.recv_starved,
    ),
    ("corelane_disk_writes_total", Kind::Counter, "Direct writes completed.", |f| f.ring.disk_writes),
    ("corelane_disk_written_bytes_total", Kind::Counter, "Bytes of direct writes, padding included.", |f| {
        f.ring.disk_write_bytes
    }),
    ("corelane_disk_reads_total", Kind::Counter, "Direct reads completed.", |f| f.ring.disk_reads),
    ("corelane_disk_read_bytes_total", Kind::Counter, "Bytes of direct reads.", |f| f.ring.disk_read_bytes),
    ("corelane_file_operations_total", Kind::Counter, "File operations off the data path.", |f| f.cold_files),
    ("corelane_shard_events_total", Kind::Counter, "Events a shard took in.", |f| f.events),
    ("corelane_shard_turns_total", Kind::Counter, "Turns of a shard's loop with at least one event.", |f| {
        f.turns
    }),
    ("corelane_shard_parks_total", Kind::Counter, "Times a shard went to sleep.", |f| f.parks),
    (
        "corelane_shard_yields_total",
        Kind::Counter,
        "Times a shard gave way to the executor, which takes in reports of file operations.",
        |f| f.yields,
    ),
    ("corelane_ring_enters_total", Kind::Counter, "io_uring_enter system calls.", |f| f.ring.enters),
    ("corelane_ring_completions_total", Kind::Counter, "Completions taken from the ring.", |f| {
        f.ring.completions
    }),
    ("corelane_mesh_messages_total", Kind::Counter, "Messages to other shards.", |f| f.mesh_sent),
    (
        "corelane_mesh_overflowed_total",
        Kind::Counter,
        "Messages that found the other shard's queue full.",
        |f| f.mesh_overflowed,
    ),
    (
        "corelane_notices_lost_total",
        Kind::Counter,
        "Log lines dropped because nobody took them in time.",
        |f| f.notices_lost,
    ),
];

/// Tells what the loops count and the watchdog measured.
pub(super) fn tell(out: &mut Exposition, figures: &[Figures], watchdog: &Watchdog) {
    for (name, kind, help, value) in ROWS {
        let mut family = out.family(name, *kind, help);
        for (shard, figures) in figures.iter().enumerate() {
            family.int(&shard_label(shard), value(figures));
        }
    }
    let help = "Time a shard spent in turns with work.";
    let mut family = out.family("corelane_shard_busy_seconds_total", Kind::Counter, help);
    for (shard, figures) in figures.iter().enumerate() {
        family.real(&shard_label(shard), figures.busy_ns as f64 / 1e9);
    }
    let help = "Longest turn since the start.";
    let mut family = out.family("corelane_shard_turn_seconds_max", Kind::Gauge, help);
    for (shard, figures) in figures.iter().enumerate() {
        family.real(&shard_label(shard), figures.turn_ns_max as f64 / 1e9);
    }
    tell_watch(out, figures, watchdog);
}

fn tell_watch(out: &mut Exposition, figures: &[Figures], watchdog: &Watchdog) {
    let ratios: Vec<f64> = watchdog
        .watches
        .iter()
        .zip(figures)
        .map(|(watch, figures)| watch.busy_ratio(figures.lived_ns, figures.busy_ns))
        .collect();
    let help = "How much of the last 10 to 20 seconds a shard was busy, from 0 to 1.";
    let mut family = out.family("corelane_shard_busy_ratio", Kind::Gauge, help);
    for (shard, ratio) in ratios.iter().enumerate() {
        family.real(&shard_label(shard), *ratio);
    }
    let idle = 1.0 - ratios.iter().sum::<f64>() / ratios.len().max(1) as f64;
    out.gauge(
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
        "How much of the last 10 to 20 seconds the shards were idle, from 0 to 1, on average.",
        idle,
    );
    let help = "Time from a ping, sent every 10 ms, to the shard's seeing it.";
    let mut family = out.family("corelane_shard_stall_seconds", Kind::Histogram, help);
    for (shard, watch) in watchdog.watches.iter().enumerate() {
        let labels = shard_label(shard);
        for us in STALL_BUCKETS_US {
            family.bucket(&labels, *us as f64 / 1e6, watch.stalls.count_between(0, *us));
        }
        family.total(&labels, watch.stalls.len(), watch.stall_us_sum as f64 / 1e6);
    }
    let help = "The longest of these since the start.";
    let mut family = out.family("corelane_shard_stall_seconds_max", Kind::Gauge, help);
    for (shard, watch) in watchdog.watches.iter().enumerate() {
        family.real(&shard_label(shard), watch.stalls.max() as f64 / 1e6);
    }
    let help = "Age of the ping a shard has not seen yet.";
    let mut family = out.family("corelane_shard_unanswered_seconds", Kind::Gauge, help);
    for shard in 0..watchdog.watches.len() {
        family.real(&shard_label(shard), watchdog.unanswered_seconds(shard));
    }
}
