//! Several runs side by side: medians, ranges and ratios of what they measured, as a table and as JSON.
//!
//! One run on a shared machine says little; so each figure is the median of the rounds with the lowest and highest beside
//! it, and a ratio is of medians.

use serde_json::{Value, json};

use crate::results;

/// A figure that runs are compared by.
pub struct Metric {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Where it stands in the results.
    pub pointer: &'static str,
}

/// What every comparison shows, in this order; what a run does not have is left out.
pub const METRICS: &[Metric] = &[
    Metric { name: "produced, records/s", pointer: "/produced/records_per_s" },
    Metric { name: "produced, MB/s", pointer: "/produced/mb_per_s" },
    Metric { name: "consumed, records/s", pointer: "/consumed/records_per_s" },
    Metric { name: "consumed, MB/s", pointer: "/consumed/mb_per_s" },
    Metric { name: "publish p50, ms", pointer: "/latency_ms/publish_latency/percentiles/p50" },
    Metric { name: "publish p99, ms", pointer: "/latency_ms/publish_latency/percentiles/p99" },
    Metric { name: "publish p99.9, ms", pointer: "/latency_ms/publish_latency/percentiles/p99.9" },
    Metric { name: "publish p99.99, ms", pointer: "/latency_ms/publish_latency/percentiles/p99.99" },
    Metric { name: "publish max, ms", pointer: "/latency_ms/publish_latency/percentiles/max" },
    Metric { name: "end to end p50, ms", pointer: "/latency_ms/end_to_end_latency/percentiles/p50" },
    Metric { name: "end to end p99, ms", pointer: "/latency_ms/end_to_end_latency/percentiles/p99" },
    Metric { name: "end to end p99.9, ms", pointer: "/latency_ms/end_to_end_latency/percentiles/p99.9" },
    Metric { name: "end to end p99.99, ms", pointer: "/latency_ms/end_to_end_latency/percentiles/p99.99" },
    Metric { name: "end to end max, ms", pointer: "/latency_ms/end_to_end_latency/percentiles/max" },
    Metric { name: "broker CPU, cores", pointer: "/broker_cost/cpu_cores" },
    Metric { name: "broker CPU s/million records", pointer: "/broker_cost/cpu_s_per_million_records" },
    Metric { name: "broker CPU s/GB", pointer: "/broker_cost/cpu_s_per_gb" },
    Metric { name: "broker RSS, bytes", pointer: "/broker_cost/rss_max" },
    Metric { name: "disk written, bytes", pointer: "/broker_cost/disk_written" },
    Metric { name: "system calls/1000 records", pointer: "/broker_cost/system_calls/per_thousand_records" },
    Metric { name: "backlog caught up, s", pointer: "/backlog/caught_up_after_s" },
    Metric { name: "failed records", pointer: "/errors/records" },
    Metric { name: "perf-test records/s", pointer: "/producer_performance/records_per_s" },
    Metric { name: "perf-test p99, ms", pointer: "/producer_performance/p99_ms" },
    Metric { name: "perf-test p99.9, ms", pointer: "/producer_performance/p99.9_ms" },
    Metric {
        name: "perf-test broker CPU s/M",
        pointer: "/producer_performance/broker_cpu_s_per_million_records",
    },
    Metric { name: "others' CPU, s", pointer: "/broker_cost/others_cpu_s" },
];

/// Median, lowest and highest of a figure over rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of values; none without any.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Spread { median, min, max })
    }

    /// A figure of several runs.
    pub fn of_runs(runs: &[&Value], pointer: &str) -> Option<Spread> {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.pointer(pointer)?.as_f64()).collect();
        Spread::of(&values)
    }

    /// `1.2 (1.1–1.4)`.
    pub fn text(&self) -> String {
        if self.min == self.max {
            return figure(self.median);
        }
        format!("{} ({}–{})", figure(self.median), figure(self.min), figure(self.max))
    }

    /// As JSON.
    pub fn to_json(self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

/// A number with about three digits that count.
pub fn figure(value: f64) -> String {
    match value.abs() {
        _ if value == 0.0 => "0".to_owned(),
        size if size >= 1e9 => format!("{:.2} G", value / 1e9),
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The runs of each contender, in the order of their first appearance.
pub fn by_label(runs: &[Value]) -> Vec<(String, Vec<&Value>)> {
    let mut groups: Vec<(String, Vec<&Value>)> = Vec::new();
    for run in runs {
        let label = run["label"].as_str().unwrap_or_default();
        match groups.iter_mut().find(|(known, _)| known == label) {
            Some((_, group)) => group.push(run),
            None => groups.push((label.to_owned(), vec![run])),
        }
    }
    groups
}

/// A Markdown table of all metrics that any run has; behind each figure its ratio to the first contender's.
pub fn table(runs: &[Value]) -> String {
    let groups = by_label(runs);
    let mut rows = vec![vec!["median (range)".to_owned()]];
    rows[0].extend(groups.iter().map(|(label, group)| format!("{label} ({})", rounds(group.len()))));
    for metric in METRICS {
        let spreads: Vec<Option<Spread>> =
            groups.iter().map(|(_, group)| Spread::of_runs(group, metric.pointer)).collect();
        if spreads.iter().all(Option::is_none) {
            continue;
        }
        let first = spreads[0].map(|spread| spread.median);
        let mut row = vec![metric.name.to_owned()];
        row.extend(spreads.iter().enumerate().map(|(at, spread)| match (spread, first) {
            (None, _) => "-".to_owned(),
            (Some(spread), Some(first)) if at > 0 && first > 0.0 && spread.median > 0.0 => {
                format!("{}, x{}", spread.text(), figure(spread.median / first))
            }
            (Some(spread), _) => spread.text(),
        }));
        rows.push(row);
    }
    let verdict = |group: &[&Value]| {
        let failed = group.iter().filter(|run| run["verification"]["passed"] != true).count();
        if failed == 0 { "passed".to_owned() } else { format!("FAILED in {failed}") }
    };
    let mut row = vec!["verification".to_owned()];
    row.extend(groups.iter().map(|(_, group)| verdict(group)));
    rows.push(row);
    markdown(&rows)
}

fn rounds(count: usize) -> String {
    if count == 1 { "1 round".to_owned() } else { format!("{count} rounds") }
}

/// Rows as a Markdown table whose columns line up; the first row is the head.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &'_ [String], at: usize| row.get(at).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0).max(3))
        .collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = (0..columns)
            .map(|at| {
                let text = cell(row, at);
                let gap = " ".repeat(widths[at] - text.chars().count());
                if at == 0 { format!("{text}{gap}") } else { format!("{gap}{text}") }
            })
            .collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule =
        |at: usize| if at == 0 { "-".repeat(widths[at]) } else { format!("{}:", "-".repeat(widths[at] - 1)) };
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        lines.push(line(row));
        if at == 0 {
            lines.push(format!("| {} |", (0..columns).map(rule).collect::<Vec<_>>().join(" | ")));
        }
    }
    lines.join("\n")
}

/// All metrics of all contenders, and where the runs are stored.
pub fn to_json(runs: &[Value]) -> Value {
    let mut contenders = serde_json::Map::new();
    for (label, group) in by_label(runs) {
        let mut metrics = serde_json::Map::new();
        for metric in METRICS {
            if let Some(spread) = Spread::of_runs(&group, metric.pointer) {
                metrics.insert(metric.name.to_owned(), spread.to_json());
            }
        }
        let clean = group.iter().filter(|run| results::is_clean(run)).count();
        contenders.insert(label, json!({ "rounds": group.len(), "clean_rounds": clean, "metrics": metrics }));
    }
    Value::Object(contenders)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(label: &str, p99: f64, passed: bool) -> Value {
        json!({
            "label": label,
            "latency_ms": { "publish_latency": { "percentiles": { "p99": p99 } } },
            "verification": { "passed": passed },
            "errors": { "records": 0 },
        })
    }

    #[test]
    fn spreads() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(Spread::of(&[2.0, 2.0]).map(|spread| spread.text()), Some("2.00".to_owned()));
    }

    #[test]
    fn figures() {
        for (value, expected) in [
            (0.0, "0"),
            (0.01234, "0.0123"),
            (1.234, "1.23"),
            (45.67, "45.7"),
            (5432.1, "5432"),
            (2.5e6, "2.50 M"),
        ] {
            assert_eq!(figure(value), expected);
        }
    }

    #[test]
    fn the_table_has_medians_ranges_ratios_and_verdicts() {
        let runs = [
            run("a", 1.0, true),
            run("b", 4.0, true),
            run("a", 3.0, true),
            run("b", 8.0, false),
            run("a", 2.0, true),
        ];
        let table = table(&runs);
        for part in ["a (3 rounds)", "2.00 (1.00–3.00)", "6.00 (4.00–8.00), x3.00", "FAILED in 1", "passed"]
        {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "columns line up:\n{table}");
        let json = to_json(&runs);
        assert_eq!(json["a"]["metrics"]["publish p99, ms"]["max"], 3.0);
        assert_eq!((&json["b"]["rounds"], &json["b"]["clean_rounds"]), (&json!(2), &json!(1)));
    }
}
