//! The targets that Corelane has set itself, measured one after the other and judged: `compare --suite targets`.
//!
//! Each target is measured by the workloads named in it, on the same cores and the same disk as everything else in this
//! program, and ends as rows of what was asked, what was seen and whether that is enough. A target that is missed or could
//! not be measured is a row like any other. `soak` is a suite of its own because it takes more than an hour.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use crate::compare::{Bench, store};
use crate::contender::{Contender, Running};
use crate::limits;
use crate::results;
use crate::summary::{Spread, by_label, figure, markdown};
use crate::workload::{Rate, Workload};

/// What is to be measured, and for how long.
pub struct Order<'a> {
    /// The shared means.
    pub bench: &'a Bench,
    /// Rounds of each measurement.
    pub rounds: u32,
    /// Numbers of the targets; empty: all.
    pub only: &'a [u32],
    /// Reads a workload of the library with the command line's changes.
    pub workload: &'a dyn Fn(&str) -> io::Result<Workload>,
}

/// One judged row.
struct Row {
    target: u32,
    what: String,
    asked: String,
    seen: String,
    /// None: it could not be measured.
    is_met: Option<bool>,
}

/// What has been measured so far.
struct Session<'a> {
    order: &'a Order<'a>,
    rows: Vec<Row>,
    runs: Vec<Value>,
}

const COST: &str = "/broker_cost/cpu_s_per_million_records";
const COST_GB: &str = "/broker_cost/cpu_s_per_gb";
const E2E_P99: &str = "/latency_ms/end_to_end_latency/percentiles/p99";
const E2E_P999: &str = "/latency_ms/end_to_end_latency/percentiles/p99.9";
const PUBLISH_P999: &str = "/latency_ms/publish_latency/percentiles/p99.9";

/// Measures the targets; whether all of them are met. Errors: results could not be stored.
pub fn targets(order: &Order<'_>) -> io::Result<bool> {
    let steps: [Step; 6] =
        [(1, cost), (2, latency), (3, highest_rate), (4, ceilings), (5, scaling), (6, disturbances)];
    run(order, &steps)
}

/// Measures a long run; whether it stayed flat. Errors: results could not be stored.
pub fn soak(order: &Order<'_>) -> io::Result<bool> {
    run(order, &[(7, flat)])
}

type Step = (u32, fn(&mut Session<'_>) -> io::Result<()>);

fn run(order: &Order<'_>, steps: &[Step]) -> io::Result<bool> {
    let mut session = Session { order, rows: Vec::new(), runs: Vec::new() };
    for (number, step) in steps {
        if !order.only.is_empty() && !order.only.contains(number) {
            continue;
        }
        if let Err(error) = step(&mut session) {
            session.rows.push(Row {
                target: *number,
                what: "the rest of this target".to_owned(),
                asked: "-".to_owned(),
                seen: format!("not measured: {error}"),
                is_met: None,
            });
        }
        println!("{}\n", table(&session.rows));
    }
    let judged: Vec<Value> = session.rows.iter().map(Row::to_json).collect();
    store(&order.bench.out, &json!({ "targets": judged }), &session.runs)?;
    Ok(session.rows.iter().all(|row| row.is_met == Some(true)))
}

impl Row {
    fn to_json(&self) -> Value {
        json!({
            "target": self.target, "what": self.what, "asked": self.asked, "seen": self.seen, "met": self.is_met,
        })
    }
}

fn table(rows: &[Row]) -> String {
    let mut cells = vec![["target", "what", "asked", "seen", ""].map(str::to_owned).to_vec()];
    for row in rows {
        let verdict = match row.is_met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        let number = row.target.to_string();
        cells.push(vec![number, row.what.clone(), row.asked.clone(), row.seen.clone(), verdict.to_owned()]);
    }
    markdown(&cells)
}

impl Session<'_> {
    fn workload(&self, name: &str) -> io::Result<Workload> {
        (self.order.workload)(name)
    }

    /// All rounds of a workload; what could not be measured becomes rows.
    fn measure(&mut self, target: u32, workload: &Workload, contenders: &[&str]) -> Vec<Value> {
        let contenders: Vec<Contender> = contenders.iter().map(|name| known(name)).collect();
        let found = self.order.bench.rounds(workload, &contenders, self.order.rounds);
        for failure in found.failures {
            let (what, asked) = (workload.name.clone(), "to be measured".to_owned());
            self.rows.push(Row { target, what, asked, seen: failure, is_met: None });
        }
        for run in found.runs.iter().filter(|run| !results::is_clean(run)) {
            self.rows.push(Row {
                target,
                what: format!("{} {}", run["label"].as_str().unwrap_or_default(), workload.name),
                asked: "nothing lost, nothing refused".to_owned(),
                seen: format!(
                    "{} errors, verification {}",
                    run["errors"]["records"], run["verification"]["passed"]
                ),
                is_met: Some(false),
            });
        }
        self.runs.extend(found.runs.iter().cloned());
        found.runs
    }

    /// A row about how a figure of `one` stands to the same figure of `other`.
    fn judge_ratio(
        &mut self,
        target: u32,
        what: &str,
        one: Option<Spread>,
        other: Option<Spread>,
        limit: Limit,
    ) {
        let (Some(one), Some(other)) = (one, other) else {
            let what = what.to_owned();
            let seen = "no figure".to_owned();
            return self.rows.push(Row { target, what, asked: limit.text(), seen, is_met: None });
        };
        if other.median == 0.0 {
            let seen = format!("{} against nothing", one.text());
            let what = what.to_owned();
            return self.rows.push(Row { target, what, asked: limit.text(), seen, is_met: None });
        }
        let ratio = one.median / other.median;
        self.rows.push(Row {
            target,
            what: what.to_owned(),
            asked: limit.text(),
            seen: format!("{}: {} against {}", figure(ratio), one.text(), other.text()),
            is_met: Some(limit.holds(ratio)),
        });
    }
}

/// What a ratio may be.
#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

impl Limit {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Limit::AtMost(limit) => ratio <= limit,
            Limit::AtLeast(limit) => ratio >= limit,
            Limit::Below(limit) => ratio < limit,
        }
    }

    fn text(self) -> String {
        match self {
            Limit::AtMost(limit) => format!("at most x{limit}"),
            Limit::AtLeast(limit) => format!("at least x{limit}"),
            Limit::Below(limit) => format!("below x{limit}"),
        }
    }
}

fn known(name: &str) -> Contender {
    name.parse().expect("a name from the table in contender.rs")
}

/// A figure of one contender's runs.
fn figure_of(runs: &[Value], label: &str, pointer: &str) -> Option<Spread> {
    let groups = by_label(runs);
    let (_, group) = groups.iter().find(|(known, _)| known == label)?;
    Spread::of_runs(group, pointer)
}

/// 1: CPU per record and per byte, in and out.
fn cost(session: &mut Session<'_>) -> io::Result<()> {
    let rows = [
        ("produce-100b", COST, "CPU per million 100 B records in"),
        ("produce-1k", COST_GB, "CPU per GB of 1 KiB records in"),
        ("drain-100b", COST, "CPU per million 100 B records out"),
        ("drain-1k", COST_GB, "CPU per GB of 1 KiB records out"),
        ("steady-1k", COST_GB, "CPU per GB in and out at once"),
    ];
    for (name, pointer, what) in rows {
        let runs = session.measure(1, &session.workload(name)?, &["corelane", "kafka"]);
        let (one, other) = (figure_of(&runs, "corelane", pointer), figure_of(&runs, "kafka", pointer));
        session.judge_ratio(1, &format!("{what}, against Kafka"), one, other, Limit::AtMost(0.25));
    }
    Ok(())
}

/// 2: latency at the rate at which Kafka is at half of what it can do.
fn latency(session: &mut Session<'_>) -> io::Result<()> {
    let workload = session.workload("steady-1k")?;
    let bench = session.order.bench;
    let kafka = Running::start(&known("kafka"), &bench.place)?;
    let best = bench.highest_rate(&workload, &kafka.target, 10_000.0, 100.0)?;
    kafka.stop()?;
    let rate = best.as_ref().and_then(|run| run["workload"]["rate"].as_f64()).unwrap_or(10_000.0) / 2.0;
    let half = Workload { rate: Rate::PerSecond(rate), ..workload };
    let runs = session.measure(2, &half, &["corelane", "kafka", "kafka-fsync"]);
    for (kind, name) in [("publish_latency", "publish"), ("end_to_end_latency", "end to end")] {
        for percentile in ["p50", "p99", "p99.9", "p99.99"] {
            let pointer = format!("/latency_ms/{kind}/percentiles/{percentile}");
            let of = |label| figure_of(&runs, label, &pointer);
            let what =
                format!("{name} {percentile} at {} records/s, against Kafka without fsync", figure(rate));
            session.judge_ratio(2, &what, of("corelane"), of("kafka"), Limit::Below(1.0));
            if percentile == "p99.9" {
                let what = format!("{name} p99.9, against Kafka with fsync");
                session.judge_ratio(2, &what, of("corelane"), of("kafka-fsync"), Limit::AtMost(0.1));
            }
        }
    }
    Ok(())
}

/// 3: the highest rate with an end-to-end p99 below 10 ms.
fn highest_rate(session: &mut Session<'_>) -> io::Result<()> {
    let bench = session.order.bench;
    for (name, first) in [("steady-100b", 50_000.0), ("steady-1k", 10_000.0)] {
        let workload = session.workload(name)?;
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..session.order.rounds {
            for (rates, label) in rates.iter_mut().zip(["corelane", "kafka"]) {
                let running = Running::start(&known(label), &bench.place)?;
                let best = bench.highest_rate(&workload, &running.target, first, 10.0)?;
                running.stop()?;
                rates.push(
                    best.as_ref().and_then(|run| run["produced"]["records_per_s"].as_f64()).unwrap_or(0.0),
                );
                session.runs.extend(best);
            }
        }
        let [one, other] = rates.map(|rates| Spread::of(&rates));
        session.judge_ratio(
            3,
            &format!("highest rate of {name}, against Kafka"),
            one,
            other,
            Limit::AtLeast(3.0),
        );
    }
    // The whole machine for broker and load together.
    let workload = session.workload("ramp-1m")?;
    let mut whole = bench.place.clone();
    whole.cpus = Vec::new();
    let running = Running::start(&known("corelane"), &whole)?;
    let mut conduct = bench.conduct.clone();
    conduct.cpus = Vec::new();
    let run = crate::run::run(&workload, &running.target, &conduct)?.json;
    running.stop()?;
    let seen = run["produced"]["records_per_s"].as_f64().unwrap_or(0.0);
    let p99 = run.pointer(E2E_P99).and_then(Value::as_f64).unwrap_or(f64::MAX);
    session.rows.push(Row {
        target: 3,
        what: "100 B records/s, durable, on all cores".to_owned(),
        asked: "at least 1,000,000 with p99 below 10 ms".to_owned(),
        seen: format!("{} with p99 {} ms", figure(seen), figure(p99)),
        is_met: Some(seen >= 980_000.0 && p99 < 10.0 && results::is_clean(&run)),
    });
    session.runs.push(run);
    Ok(())
}

/// 4: what the machine allows.
fn ceilings(session: &mut Session<'_>) -> io::Result<()> {
    for name in ["max-1k", "max-100b"] {
        let runs = session.measure(4, &session.workload(name)?, &["corelane", "null"]);
        let of = |label| figure_of(&runs, label, "/produced/mb_per_s");
        let what = format!("{name}, MB/s against the null broker");
        session.judge_ratio(4, &what, of("corelane"), of("null"), Limit::AtLeast(0.7));
    }
    let drained = session.measure(4, &session.workload("drain-1k")?, &["corelane"]);
    let bench = session.order.bench;
    let cpus: Vec<usize> = bench.place.cpus.iter().chain(&bench.conduct.cpus).copied().collect();
    let machine = limits::limits(&bench.place.dir, Duration::from_secs(3), &cpus)?;
    let streams = machine["network"]["streams"].as_array().cloned().unwrap_or_default();
    let sendfile: Vec<f64> = streams
        .iter()
        .filter(|stream| stream["what"] == "sendfile" && stream["size"] == 64 << 10)
        .filter_map(|stream| stream["gb_per_s"].as_f64())
        .map(|gb| gb * 1000.0)
        .collect();
    let one = figure_of(&drained, "corelane", "/consumed/mb_per_s");
    let what = "drain-1k, MB/s against a sendfile loop of 64 KiB steps";
    session.judge_ratio(4, what, one, Spread::of(&sendfile), Limit::AtLeast(0.8));
    Ok(())
}

/// 5: partitions and connections.
fn scaling(session: &mut Session<'_>) -> io::Result<()> {
    for size in ["1k", "100b"] {
        let first = session.measure(5, &session.workload(&format!("partitions-1-{size}"))?, &["corelane"]);
        for partitions in [16, 100, 1000, 10_000] {
            let name = format!("partitions-{partitions}-{size}");
            let runs = session.measure(5, &session.workload(&name)?, &["corelane"]);
            let of = |runs: &[Value], pointer| figure_of(runs, "corelane", pointer);
            let what = format!("{name}, CPU per record against 1 partition");
            session.judge_ratio(5, &what, of(&runs, COST), of(&first, COST), Limit::Below(1.5));
            let what = format!("{name}, end to end p99 against 1 partition");
            session.judge_ratio(5, &what, of(&runs, E2E_P99), of(&first, E2E_P99), Limit::Below(2.0));
        }
    }
    let quiet = session.measure(5, &session.workload("steady-1k")?, &["corelane"]);
    let idle = session.measure(5, &session.workload("idle-5000")?, &["corelane"]);
    for (pointer, what) in [(COST, "CPU per record"), (E2E_P99, "end to end p99")] {
        let of = |runs: &[Value]| figure_of(runs, "corelane", pointer);
        let what = format!("5,000 idle connections, {what} against none");
        // No change: what two runs of the same on this machine differ by anyhow.
        session.judge_ratio(5, &what, of(&idle), of(&quiet), Limit::Below(1.2));
    }
    Ok(())
}

/// 6: what else the broker does meanwhile.
fn disturbances(session: &mut Session<'_>) -> io::Result<()> {
    let quiet = session.measure(6, &session.workload("steady-1k")?, &["corelane"]);
    for name in ["retention-1k", "history-1k", "compaction-1k"] {
        let runs = session.measure(6, &session.workload(name)?, &["corelane"]);
        for (pointer, what) in [(PUBLISH_P999, "publish p99.9"), (E2E_P999, "end to end p99.9")] {
            let of = |runs: &[Value]| figure_of(runs, "corelane", pointer);
            let what = format!("{name}, {what} against steady-1k");
            session.judge_ratio(6, &what, of(&runs), of(&quiet), Limit::AtMost(1.5));
        }
    }
    Ok(())
}

/// 7: the last quarter of a long run against its first.
fn flat(session: &mut Session<'_>) -> io::Result<()> {
    let workload = session.workload("soak-1k")?;
    let run = session.order.bench.measure(&workload, &known("corelane"), 0)?;
    for (what, value, limit) in SOAK {
        let [first, last] = ends(&run, *value);
        session.judge_ratio(
            7,
            &format!("{what}, last quarter against first"),
            last,
            first,
            Limit::AtMost(*limit),
        );
    }
    let is_clean = results::is_clean(&run);
    let (what, asked) = ("soak-1k".to_owned(), "nothing lost, nothing refused".to_owned());
    let seen = run["verification"].to_string();
    session.rows.push(Row { target: 7, what, asked, seen, is_met: Some(is_clean) });
    session.runs.push(run);
    Ok(())
}

type OfSecond = fn(&Value) -> Option<f64>;

/// What must stay flat, and how much more the end may have than the beginning.
const SOAK: &[(&str, OfSecond, f64)] = &[
    ("end to end p99 of a second", |row| row["end_to_end"][1].as_f64(), 1.2),
    ("publish p99 of a second", |row| row["publish"][1].as_f64(), 1.2),
    ("memory", |row| row["rss"].as_f64(), 1.05),
    ("open files", |row| row["files"].as_f64(), 1.05),
    ("CPU", |row| row["cpu"].as_f64(), 1.1),
];

/// The first and last quarter of the measured seconds.
fn ends(run: &Value, of: OfSecond) -> [Option<Spread>; 2] {
    let rows = run["series"].as_array().map_or(&[][..], Vec::as_slice);
    let values: Vec<f64> = rows.iter().filter(|row| row["measured"] == true).filter_map(of).collect();
    let quarter = (values.len() / 4).max(1).min(values.len());
    [Spread::of(&values[..quarter]), Spread::of(&values[values.len() - quarter..])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_ratios() {
        for (limit, ratio, expected) in [
            (Limit::AtMost(0.25), 0.25, true),
            (Limit::AtMost(0.25), 0.26, false),
            (Limit::AtLeast(3.0), 2.9, false),
            (Limit::Below(1.0), 1.0, false),
            (Limit::Below(1.0), f64::NAN, false),
        ] {
            assert_eq!(limit.holds(ratio), expected, "{} of {ratio}", limit.text());
        }
    }

    #[test]
    fn a_missed_target_is_a_row_that_says_so() {
        let row = |is_met| Row {
            target: 2,
            what: "p99".to_owned(),
            asked: "below x1".to_owned(),
            seen: "1.5".to_owned(),
            is_met,
        };
        let table = table(&[row(Some(true)), row(Some(false)), row(None)]);
        let ends: Vec<bool> = table
            .lines()
            .skip(2)
            .zip(["met |", "MISSED |", "not measured |"])
            .map(|(l, e)| l.ends_with(e))
            .collect();
        assert_eq!(ends, [true; 3], "{table}");
    }

    #[test]
    fn the_ends_of_a_long_run() {
        let row = |s: u64, measured: bool| json!({ "measured": measured, "rss": s });
        let mut series: Vec<Value> = (0..5).map(|s| row(s, false)).collect();
        series.extend((100..140).map(|s| row(s, true)));
        let [first, last] = ends(&json!({ "series": series }), |row| row["rss"].as_f64());
        assert_eq!(first, Some(Spread { median: 104.5, min: 100.0, max: 109.0 }));
        assert_eq!(last, Some(Spread { median: 134.5, min: 130.0, max: 139.0 }));
        assert_eq!(ends(&json!({}), |row| row["rss"].as_f64()), [None, None]);
    }
}
