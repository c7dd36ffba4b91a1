//! What a seed draws before a run of logs alone begins: their settings, the disk's moods, the length of the run.

use corelane_base::rng::Rng;
use corelane_log::batch::TimestampType;
use corelane_log::settings::{Durability, LogSettings};

use crate::disk::{Faults, Latency};

/// Idempotent producers that write to each log.
pub const PRODUCERS_PER_LOG: u64 = 3;

const HOUR_MS: i64 = 3_600_000;

/// One run's circumstances.
#[derive(Debug, Clone)]
pub struct LogPlan {
    /// Steps before the end.
    pub steps: u64,
    /// The logs.
    pub logs: Vec<LogSettings>,
    /// How slow it is.
    pub latency: Latency,
    /// What goes wrong when something does.
    pub faults: Faults,
    /// Whether somebody else fills the disk now and then.
    pub fills: bool,
    /// Whether the wall clock is set now and then.
    pub wall_jumps: bool,
    /// Appends in a row, at most.
    pub burst: u64,
    /// Size of a record's value, at most.
    pub record_bytes_max: u64,
    /// How much time may pass in one step, and how far back look-ups by time go, in milliseconds.
    pub span_ms: u64,
}

impl LogPlan {
    /// Draws everything.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> LogPlan {
        let logs = (0..1 + rng.below(3)).map(|_| draw_settings(rng)).collect();
        let slow = rng.one_in(4);
        LogPlan {
            steps: 200 + rng.below(1500),
            logs,
            latency: Latency {
                min_ns: 20_000,
                max_ns: if slow { 50_000_000 } else { 500_000 },
                stall_ns: 2_000_000_000,
            },
            faults: draw_faults(rng),
            fills: rng.one_in(5),
            wall_jumps: rng.one_in(3),
            burst: 1 << rng.below(5),
            record_bytes_max: 1 << (4 + rng.below(9)),
            span_ms: 1000 << rng.below(7),
        }
    }
}

fn draw_settings(rng: &mut Rng) -> LogSettings {
    let segment_bytes = (16 * 1024) << rng.below(7);
    let retains = rng.one_in(2);
    LogSettings {
        segment_bytes,
        segment_ms: if rng.one_in(2) { 1000 << rng.below(8) } else { 7 * 24 * HOUR_MS },
        retention_bytes: if retains && rng.one_in(2) {
            rng.below(8 * u64::from(segment_bytes)) as i64
        } else {
            -1
        },
        retention_ms: if retains && rng.one_in(2) { 1000 << rng.below(8) } else { -1 },
        deletes: true,
        batch_bytes_max: segment_bytes.min(1 << 20) >> rng.below(2),
        compression: None,
        index_interval_bytes: 1 << (6 + rng.below(8)),
        timestamp_type: if rng.one_in(4) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: HOUR_MS,
        durability: match rng.below(6) {
            0 => Durability::Write,
            1 => Durability::Memory,
            _ => Durability::Sync,
        },
        producer_id_expiration_ms: 30 * 24 * HOUR_MS,
        compacted: false,
        delete_retention_ms: 86_400_000,
        compaction_lag_ms_min: 0,
        compaction_lag_ms_max: i64::MAX,
        cleanable_ratio_min_ppm: 500_000,
    }
}

/// More than half of the runs have a sound disk: its crashes alone must find most mistakes.
fn draw_faults(rng: &mut Rng) -> Faults {
    let none = Faults::default();
    let often = 20 << rng.below(6);
    match rng.below(12) {
        0 => Faults { write_error: often, ..none },
        1 => Faults { sync_error: often, ..none },
        2 => Faults { read_error: often, ..none },
        3 => Faults { meta_error: often, ..none },
        4 => Faults { bit_flip: often, ..none },
        5 => Faults { misdirected: often, ..none },
        6 => Faults { stall: often, ..none },
        7 => Faults { no_descriptor: 2 << rng.below(5), ..none },
        _ => none,
    }
}
