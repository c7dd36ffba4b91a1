//! The measurements, one function each; see the subcommands' help.

pub mod catch_up;
pub mod cost;
pub mod groups;
pub mod latency;
pub mod rest;

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of nanoseconds up to a minute, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

fn record(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.saturating_record(took.as_nanos() as u64);
}

/// One line of percentiles in microseconds.
fn percentiles(name: &str, histogram: &Histogram<u64>) -> String {
    let at = |percentile: f64| histogram.value_at_percentile(percentile) as f64 / 1000.0;
    format!(
        "{name:<34} p50 {:>9.1} us  p90 {:>9.1} us  p99 {:>9.1} us  p99.9 {:>9.1} us",
        at(50.0),
        at(90.0),
        at(99.0),
        at(99.9)
    )
}
