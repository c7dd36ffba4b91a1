//! Latency histograms: HdrHistograms of nanoseconds, their percentiles as a table, a curve, JSON and an `.hgrm` file.
//!
//! Two sizes: `fine` for a whole run (three digits, 100 ns to an hour), `coarse` for one second of it (two digits, 1 us
//! to an hour), of which there are many.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

const HOUR_NS: u64 = 3_600_000_000_000;

/// The percentiles that tables and comparisons name.
pub const NAMED: [(&str, f64); 7] = [
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];

/// A histogram for a whole run.
pub fn fine() -> Histogram<u64> {
    Histogram::new_with_bounds(100, HOUR_NS, 3).expect("the bounds are in order")
}

/// A histogram for one second.
pub fn coarse() -> Histogram<u64> {
    Histogram::new_with_bounds(1000, HOUR_NS, 2).expect("the bounds are in order")
}

/// Adds one histogram to another of the same kind.
pub fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("both have the same bounds");
}

/// A value at a percentile, in milliseconds; 0 of an empty histogram.
pub fn at_ms(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    if histogram.is_empty() { 0.0 } else { histogram.value_at_percentile(percentile) as f64 / 1e6 }
}

/// Count, mean, named percentiles and the whole curve, in milliseconds.
pub fn to_json(histogram: &Histogram<u64>) -> Value {
    let mut named = serde_json::Map::new();
    for (name, percentile) in NAMED {
        // Where nothing was measured there is no figure, above all not a zero.
        let value = if histogram.is_empty() { Value::Null } else { rounded(at_ms(histogram, percentile)) };
        named.insert(name.to_owned(), value);
    }
    // `[percentile, milliseconds]`, five steps for each halving of what is left above: what a log axis can show.
    let curve: Vec<Value> = histogram
        .iter_quantiles(5)
        .map(|step| {
            json!([step.quantile_iterated_to() * 100.0, rounded(step.value_iterated_to() as f64 / 1e6)])
        })
        .collect();
    json!({
        "count": histogram.len(),
        "mean": rounded(histogram.mean() / 1e6),
        "min": rounded(if histogram.is_empty() { 0.0 } else { histogram.min() as f64 / 1e6 }),
        "percentiles": named,
        "curve": curve,
    })
}

/// A number to four digits behind the point: nobody measures tenths of a nanosecond.
fn rounded(ms: f64) -> Value {
    json!((ms * 1e4).round() / 1e4)
}

/// The percentile distribution in the text format of the HdrHistogram tools, values in milliseconds.
pub fn to_hgrm(histogram: &Histogram<u64>) -> String {
    let mut out =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut below = 0;
    for step in histogram.iter_quantiles(5) {
        below += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / 1e6;
        let quantile = step.quantile_iterated_to();
        let _ = write!(out, "{value:>12.4} {quantile:>14.12} {below:>10}");
        let _ =
            if quantile < 1.0 { writeln!(out, " {:>14.2}", 1.0 / (1.0 - quantile)) } else { writeln!(out) };
    }
    let (mean, deviation, max) = (histogram.mean(), histogram.stdev(), histogram.max());
    let _ = writeln!(out, "#[Mean    = {:>12.4}, StdDeviation   = {:>12.4}]", mean / 1e6, deviation / 1e6);
    let _ =
        writeln!(out, "#[Max     = {:>12.4}, Total count    = {:>12}]", max as f64 / 1e6, histogram.len());
    let _ = writeln!(
        out,
        "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
        histogram.buckets(),
        1_u64 << (64 - (2 * 10_u64.pow(u32::from(histogram.sigfig())) - 1).leading_zeros())
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Histogram<u64> {
        let mut histogram = fine();
        for us in 1..=10_000 {
            histogram.record(us * 1000).expect("within an hour");
        }
        histogram
    }

    #[test]
    fn percentiles_in_milliseconds() {
        let histogram = sample();
        for (percentile, expected) in [(50.0, 5.0), (99.0, 9.9), (100.0, 10.0)] {
            let seen = at_ms(&histogram, percentile);
            assert!((seen - expected).abs() < expected / 500.0, "p{percentile} is {seen}");
        }
        assert_eq!(at_ms(&fine(), 99.0), 0.0);
    }

    #[test]
    fn json_holds_named_percentiles_and_a_rising_curve() {
        let json = to_json(&sample());
        assert_eq!(json["count"], 10_000);
        assert!((json["percentiles"]["p99.9"].as_f64().expect("a number") - 9.99).abs() < 0.02);
        let curve = json["curve"].as_array().expect("a list");
        assert!(curve.len() > 20);
        let points: Vec<(f64, f64)> =
            curve.iter().map(|p| (p[0].as_f64().unwrap(), p[1].as_f64().unwrap())).collect();
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1));
        assert_eq!(points.last().map(|point| point.0), Some(100.0));
        let nothing = to_json(&fine());
        assert_eq!((&nothing["count"], &nothing["percentiles"]["p99"]), (&json!(0), &Value::Null));
    }

    #[test]
    fn hgrm_has_the_columns_that_the_tools_read() {
        let text = to_hgrm(&sample());
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        assert!(rows.iter().rev().skip(1).all(|row| row.len() == 4));
        let last = rows.last().expect("rows");
        assert_eq!((last[1], last[2]), (1.0, 10_000.0));
        assert!(text.contains("#[Max     =      10.0"), "{text}");
        assert!(text.contains("SubBuckets     =         2048"), "{text}");
    }
}
