//! Contenders one after the other, in several rounds: the same workload, cores, disk and warm-up for each.
//!
//! Rounds interleave, and each begins with another contender, so that the machine's moods meet all of them. Every run begins
//! with a fresh process on an empty directory. A contender that cannot be measured is reported and does not stop the
//! others.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::clock;
use crate::contender::{Contender, Place, Running};
use crate::crosscheck;
use crate::report;
use crate::results;
use crate::run::{self, Conduct, Target};
use crate::summary;
use crate::workload::{Rate, Workload};

/// What all measurements of a comparison share.
pub struct Bench {
    /// Where everything is.
    pub place: Place,
    /// How the load is run.
    pub conduct: Conduct,
    /// This comparison's folder.
    pub out: PathBuf,
    /// Whether Kafka's producer-perf-test loads each contender too.
    pub cross_check: bool,
}

impl Bench {
    /// Measures one contender once. Errors: it could not be measured.
    pub fn measure(&self, workload: &Workload, contender: &Contender, round: u32) -> io::Result<Value> {
        let running = Running::start(contender, &self.place)?;
        let measured = self.measure_running(workload, &running.target, round)?;
        running.stop()?;
        Ok(measured)
    }

    /// Measures what is running already.
    pub fn measure_running(&self, workload: &Workload, target: &Target, round: u32) -> io::Result<Value> {
        let produce_only;
        let mut workload = workload;
        if target.bare_answers {
            // A null broker keeps nothing that could be read.
            produce_only = Workload { consumers: 0, history_readers: 0, ..workload.clone() };
            workload = &produce_only;
        }
        let mut results = run::run(workload, target, &self.conduct)?;
        results.json["round"] = json!(round);
        if self.cross_check && workload.producers > 0 && !target.bare_answers {
            let achieved = results.json["produced"]["records_per_s"].as_f64().unwrap_or(1000.0);
            let rate = workload.rate_per_second().unwrap_or(achieved).max(1.0);
            let (jars, cpus) = (&self.place.kafka_jars, &self.conduct.cpus);
            results.json["producer_performance"] =
                match crosscheck::producer_performance(workload, target, jars, cpus, rate) {
                    Ok(found) => found,
                    Err(error) => json!({ "error": error.to_string() }),
                };
        }
        results.store(&self.out.join("runs"))?;
        if !self.conduct.is_quiet {
            eprintln!("{}", results::table(&results.json));
        }
        Ok(results.json)
    }

    /// All rounds of one workload; failures are told and left out.
    pub fn rounds(&self, workload: &Workload, contenders: &[Contender], rounds: u32) -> Rounds {
        let mut found = Rounds { runs: Vec::new(), failures: Vec::new() };
        for round in 0..rounds {
            for step in 0..contenders.len() {
                let contender = &contenders[(step + round as usize) % contenders.len()];
                match self.measure(workload, contender, round) {
                    Ok(json) => found.runs.push(json),
                    Err(error) => {
                        let failure = format!("{} {} round {round}: {error}", workload.name, contender.label);
                        eprintln!("corelane-bench: {failure}");
                        found.failures.push(failure);
                    }
                }
            }
        }
        let position = |run: &Value| contenders.iter().position(|c| run["label"] == c.label.as_str());
        found.runs.sort_by_key(position);
        found
    }

    /// The highest rate at which a contender keeps what is asked of it: nothing fails, the rate is held, and the end-to-end
    /// p99 stays below `p99_ms`. Doubles from `first` until it does not, then halves the gap until it is below a tenth.
    ///
    /// Gives the last run that kept it; none if not even the first did.
    pub fn highest_rate(
        &self,
        workload: &Workload,
        target: &Target,
        first: f64,
        p99_ms: f64,
    ) -> io::Result<Option<Value>> {
        let mut search = Search::new(first);
        let mut best = None;
        while let Some(rate) = search.next() {
            let probe = Workload { rate: Rate::PerSecond(rate), ..workload.clone() };
            let run = run::run(&probe, target, &self.conduct)?.json;
            let keeps = keeps(&run, rate, p99_ms);
            eprintln!(
                "{}: {} records/s {}: produced {}, end to end p99 {} ms",
                target.label,
                summary::figure(rate),
                if keeps { "kept" } else { "not kept" },
                run["produced"]["records_per_s"],
                run["latency_ms"]["end_to_end_latency"]["percentiles"]["p99"],
            );
            search.on_answer(keeps);
            if keeps {
                best = Some(run);
            }
        }
        Ok(best)
    }
}

/// Whether a run held its rate without failures and its end-to-end p99 below the limit.
pub fn keeps(run: &Value, rate: f64, p99_ms: f64) -> bool {
    let number = |pointer: &str| run.pointer(pointer).and_then(Value::as_f64);
    let p99 = number("/latency_ms/end_to_end_latency/percentiles/p99").unwrap_or(f64::MAX);
    let held = number("/produced/records_per_s").unwrap_or(0.0) >= 0.98 * rate;
    let read = run["latency_ms"]["end_to_end_latency"]["count"] != 0;
    results::is_clean(run) && held && read && p99 < p99_ms
}

/// Looks for the highest value that holds: doubles it, or halves it until one holds, then halves the gap.
struct Search {
    first: f64,
    /// The highest that held.
    low: Option<f64>,
    /// The lowest that did not.
    high: Option<f64>,
    tried: u32,
}

impl Search {
    /// So many attempts are enough for a factor of a million; a mood of the machine must not search for ever.
    const TRIES_MAX: u32 = 24;
    /// What holds not even this part of the first value holds nothing.
    const PART_MIN: f64 = 1.0 / 64.0;

    fn new(first: f64) -> Search {
        Search { first, low: None, high: None, tried: 0 }
    }

    /// The next value to try; none when it is known to a tenth.
    fn next(&self) -> Option<f64> {
        match (self.low, self.high) {
            _ if self.tried >= Search::TRIES_MAX => None,
            (None, None) => Some(self.first),
            (Some(low), None) => Some(low * 2.0),
            (None, Some(high)) => Some(high / 2.0).filter(|half| *half >= self.first * Search::PART_MIN),
            (Some(low), Some(high)) => Some(f64::midpoint(low, high)).filter(|_| high / low > 1.1),
        }
    }

    fn on_answer(&mut self, holds: bool) {
        let Some(value) = self.next() else { return };
        self.tried += 1;
        *(if holds { &mut self.low } else { &mut self.high }) = Some(value);
    }
}

/// What several rounds brought.
pub struct Rounds {
    /// Results, contender by contender.
    pub runs: Vec<Value>,
    /// What could not be measured, and why.
    pub failures: Vec<String>,
}

/// Compares contenders on several workloads; prints tables, stores everything and a report.
pub fn compare(
    bench: &Bench,
    workloads: &[Workload],
    contenders: &[Contender],
    rounds: u32,
) -> io::Result<bool> {
    let mut all = Vec::new();
    let mut summaries = serde_json::Map::new();
    let mut is_whole = true;
    for workload in workloads {
        let found = bench.rounds(workload, contenders, rounds);
        is_whole &= found.failures.is_empty() && found.runs.iter().all(results::is_clean);
        println!("\n{}: {}\n\n{}", workload.name, workload.about, summary::table(&found.runs));
        found.failures.iter().for_each(|failure| println!("not measured: {failure}"));
        let summary = json!({ "contenders": summary::to_json(&found.runs), "failures": found.failures });
        summaries.insert(workload.name.clone(), summary);
        all.extend(found.runs);
    }
    store(&bench.out, &Value::Object(summaries), &all)?;
    Ok(is_whole)
}

/// Finds every contender's highest rate in several rounds; prints a table, stores the runs that kept it.
pub fn highest_rates(
    bench: &Bench,
    workloads: &[Workload],
    contenders: &[Contender],
    rounds: u32,
    p99_ms: f64,
) -> io::Result<bool> {
    let mut best = Vec::new();
    let mut is_whole = true;
    for workload in workloads {
        let first = workload.rate_per_second().unwrap_or(10_000.0);
        for round in 0..rounds {
            for step in 0..contenders.len() {
                let contender = &contenders[(step + round as usize) % contenders.len()];
                let found = Running::start(contender, &bench.place).and_then(|running| {
                    let found = bench.highest_rate(workload, &running.target, first, p99_ms)?;
                    running.stop().map(|()| found)
                });
                match found {
                    Ok(Some(mut run)) => {
                        run["round"] = json!(round);
                        best.push(run);
                    }
                    Ok(None) => println!("{} {}: not even {first} records/s", contender.label, workload.name),
                    Err(error) => eprintln!("corelane-bench: {} {}: {error}", contender.label, workload.name),
                }
                is_whole &= best.last().is_some_and(|run| run["label"] == contender.label.as_str());
            }
        }
        let position = |run: &Value| contenders.iter().position(|c| run["label"] == c.label.as_str());
        let mut of_this: Vec<Value> =
            best.iter().filter(|run| run["workload"]["name"] == workload.name.as_str()).cloned().collect();
        of_this.sort_by_key(position);
        println!("\n{}: highest rate with end to end p99 below {p99_ms} ms\n", workload.name);
        println!("{}", summary::table(&of_this));
    }
    store(&bench.out, &summary::to_json(&best), &best)?;
    Ok(is_whole)
}

/// Writes `comparison.json` and `report.html` into the comparison's folder, and says so.
pub fn store(out: &Path, summary: &Value, runs: &[Value]) -> io::Result<()> {
    fs::create_dir_all(out)?;
    let whole = json!({ "taken_at": clock::utc_name(), "summary": summary });
    fs::write(out.join("comparison.json"), serde_json::to_vec_pretty(&whole)?)?;
    fs::write(out.join("report.html"), report::page(runs)?)?;
    println!("\nresults      {}\nreport       {}", out.display(), out.join("report.html").display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_ends_near_what_holds() {
        for limit in [16.0, 120.0, 900.0, 1000.0, 7300.0, 1_234_567.0] {
            let mut search = Search::new(1000.0);
            while let Some(value) = search.next() {
                search.on_answer(value <= limit);
            }
            let (low, high) =
                (search.low.expect("some value holds"), search.high.expect("and some does not"));
            assert!(low <= limit && limit < high, "{limit} is not between {low} and {high}");
            assert!(low * 1.1 >= high, "{limit} is between {low} and {high}");
        }
        let mut vain = Search::new(1000.0);
        while vain.next().is_some() {
            vain.on_answer(false);
        }
        assert_eq!((vain.low, vain.tried), (None, 7));
        let mut endless = Search::new(1.0);
        while endless.next().is_some() {
            endless.on_answer(true);
        }
        assert_eq!(endless.tried, Search::TRIES_MAX);
    }

    #[test]
    fn what_keeps_a_rate() {
        let run = |rate: f64, p99: f64, failed: u64, passed: bool| {
            json!({
                "produced": { "records_per_s": rate },
                "latency_ms": { "end_to_end_latency": { "count": 5, "percentiles": { "p99": p99 } } },
                "errors": { "records": failed },
                "verification": { "passed": passed },
            })
        };
        assert!(keeps(&run(1000.0, 9.9, 0, true), 1000.0, 10.0));
        assert!(!keeps(&run(1000.0, 10.1, 0, true), 1000.0, 10.0), "too slow");
        assert!(!keeps(&run(900.0, 1.0, 0, true), 1000.0, 10.0), "the rate was not held");
        assert!(!keeps(&run(1000.0, 1.0, 1, true), 1000.0, 10.0), "a record failed");
        assert!(!keeps(&run(1000.0, 1.0, 0, false), 1000.0, 10.0), "something is missing");
        assert!(!keeps(&json!({}), 1000.0, 10.0));
    }
}
