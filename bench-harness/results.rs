//! Results on disk and in a terminal: one folder a run, one table for people.
//!
//! ```text
//! <out>/<time>-<workload>-<label>/
//!   results.json                everything
//!   workload.toml               what was run
//!   publish_delay.hgrm ...      full distributions, for the HdrHistogram tools
//!   perf.data                   where the broker's CPU time went, if it was profiled
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::hdr;
use crate::live::short;
use crate::machine;

/// The results of one run.
pub struct Results {
    /// Everything, as it is stored.
    pub json: Value,
    /// Full distributions by name.
    pub histograms: Vec<(&'static str, Histogram<u64>)>,
    /// The broker's profile, if one was recorded: a file that moves into the folder of the run.
    pub profile: Option<PathBuf>,
}

impl Results {
    /// Writes a folder of its own below `out`; returns it.
    pub fn store(&self, out: &Path) -> io::Result<PathBuf> {
        let text = |value: &Value| value.as_str().unwrap_or("unnamed").replace(['/', ' ', ':'], "-");
        let name = format!(
            "{}-{}-{}",
            text(&self.json["taken_at"]),
            text(&self.json["workload"]["name"]),
            text(&self.json["label"])
        );
        let folder = free_name(out, &name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("results.json"), serde_json::to_vec_pretty(&self.json)?)?;
        fs::write(folder.join("workload.toml"), self.json["workload"]["text"].as_str().unwrap_or_default())?;
        for (name, histogram) in &self.histograms {
            fs::write(folder.join(format!("{name}.hgrm")), hdr::to_hgrm(histogram))?;
        }
        if let Some(profile) = &self.profile {
            fs::rename(profile, folder.join("perf.data"))?;
        }
        Ok(folder)
    }

    /// Whether the broker did everything that was asked: verification passed and nothing failed.
    pub fn is_clean(&self) -> bool {
        is_clean(&self.json)
    }
}

/// Whether nothing failed and verification passed.
pub fn is_clean(json: &Value) -> bool {
    json["verification"]["passed"] == true && json["errors"]["records"] == 0
}

/// A folder name that is not taken: two runs may end in one second.
fn free_name(out: &Path, name: &str) -> PathBuf {
    let names = (1..).map(|n| if n == 1 { name.to_owned() } else { format!("{name}-{n}") });
    names.map(|name| out.join(name)).find(|path| !path.exists()).expect("there are more numbers than folders")
}

/// Reads the results of a run from its folder or its file. Errors: not there, or not results.
pub fn load(path: &Path) -> io::Result<Value> {
    let file = if path.is_dir() { path.join("results.json") } else { path.to_owned() };
    let wrong = |error: String| io::Error::other(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(&file).map_err(|error| wrong(error.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    match json["format"].as_u64() {
        Some(1) => Ok(json),
        _ => Err(wrong("not the results of a run".to_owned())),
    }
}

/// The results as a table for people.
pub fn table(json: &Value) -> String {
    let mut lines = vec![format!(
        "{} · {} · {} s measured after {} s of warm-up",
        json["label"].as_str().unwrap_or_default(),
        json["workload"]["name"].as_str().unwrap_or_default(),
        json["workload"]["window_s"],
        json["workload"]["warm_up_s"],
    )];
    lines.push(format!("  {}", machine::in_a_line(&json["machine"])));
    for (name, what) in [("produced", &json["produced"]), ("consumed", &json["consumed"])] {
        let rate = short(what["records_per_s"].as_f64().unwrap_or(0.0));
        lines.push(format!("  {name:<12} {} records/s, {} MB/s", rate.trim_end(), what["mb_per_s"]));
    }
    lines.push(format!(
        "  {:<20} {}",
        "latency, ms",
        hdr::NAMED.map(|(name, _)| format!("{name:>10}")).join("")
    ));
    for (name, key) in [
        ("publish delay", "publish_delay"),
        ("publish latency", "publish_latency"),
        ("end to end", "end_to_end_latency"),
    ] {
        let of = &json["latency_ms"][key];
        let cells = hdr::NAMED.map(|(name, _)| match of["percentiles"][name].as_f64() {
            Some(ms) if of["count"] != 0 => format!("{ms:>10.3}"),
            _ => format!("{:>10}", "-"),
        });
        lines.push(format!("  {name:<20} {}", cells.join("")));
    }
    lines.extend(cost_lines(json));
    lines.extend(verdict_lines(json));
    lines.join("\n")
}

fn cost_lines(json: &Value) -> Vec<String> {
    let cost = &json["broker_cost"];
    let number = |name: &str| cost[name].as_f64().unwrap_or(0.0);
    let mut lines = Vec::new();
    if number("rss_max") > 0.0 {
        lines.push(format!(
            "  broker       {:.2} cores ({:.2} s user, {:.2} s system), {} CPU s/GB, {} CPU s/million records",
            number("cpu_cores"),
            number("cpu_user_s"),
            number("cpu_system_s"),
            cost["cpu_s_per_gb"],
            cost["cpu_s_per_million_records"],
        ));
        lines.push(format!(
            "               RSS {}B, {} files, {}B written to disk",
            short(number("rss_max")),
            cost["files_max"],
            short(number("disk_written")),
        ));
    }
    if let Some(calls) = cost["system_calls"]["per_thousand_records"].as_f64() {
        let by_name = cost["system_calls"]["by_name"].as_object().into_iter().flatten();
        let mut named: Vec<(f64, &str)> = by_name
            .map(|(name, of)| (of["per_thousand_records"].as_f64().unwrap_or(0.0), name.as_str()))
            .collect();
        named.sort_by(|a, b| b.0.total_cmp(&a.0));
        let named: Vec<String> =
            named.iter().take(6).map(|(calls, name)| format!("{name} {calls}")).collect();
        lines.push(format!("               {calls} system calls per thousand records: {}", named.join(", ")));
    }
    lines.push(format!(
        "  beside it    harness {:.2} s of CPU, everybody else {:.2} s, taken by the host {:.2} s",
        number("harness_cpu_s"),
        number("others_cpu_s"),
        number("steal_s")
    ));
    if json["backlog"].is_object() {
        let backlog = &json["backlog"];
        lines.push(format!(
            "  backlog      {} records, filled at {} MB/s, caught up after {} s",
            backlog["records"], backlog["fill_mb_per_s"], backlog["caught_up_after_s"]
        ));
    }
    lines
}

fn verdict_lines(json: &Value) -> Vec<String> {
    let found = &json["verification"];
    let mut lines = Vec::new();
    let checked = match (&found["content_checked"], &found["order_checked"]) {
        (Value::Bool(true), Value::Bool(true)) => "content and order",
        (Value::Bool(true), _) => "content",
        (_, Value::Bool(true)) => "order",
        _ => "nothing",
    };
    lines.push(format!(
        "  verified     {checked}: {} ({} received, {} corrupt, {} twice, {} out of order, {} missing)",
        if found["passed"] == true { "passed" } else { "FAILED" },
        found["received"],
        found["corrupt"],
        found["duplicates"],
        found["out_of_order"],
        found["missing"],
    ));
    for (what, errors) in [("records", &json["errors"]["by_kind"]), ("fetches", &json["errors"]["fetch"])] {
        for (kind, count) in errors.as_object().into_iter().flatten() {
            lines.push(format!("  FAILED       {count} {what}: {kind}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Value {
        json!({
            "format": 1, "label": "a", "taken_at": "t", "machine": {},
            "workload": { "name": "w", "text": "name = \"w\"", "window_s": 2.0, "warm_up_s": 1.0 },
            "produced": { "records_per_s": 2e6, "mb_per_s": 200.0 },
            "consumed": { "records_per_s": 10.0, "mb_per_s": 1.0 },
            "errors": { "records": 3, "by_kind": { "NotLeaderOrFollower": 3 }, "fetch": {} },
            "verification": { "passed": false, "missing": 7 },
            "latency_ms": { "publish_latency": { "count": 1, "percentiles": { "p99": 1.5 } } },
            "broker_cost": { "rss_max": 1e6, "system_calls": { "per_thousand_records": 9.5, "by_name": {
                "read": { "per_thousand_records": 1.5 }, "io_uring_enter": { "per_thousand_records": 8.0 },
            } } },
        })
    }

    #[test]
    fn the_table_hides_no_failure() {
        let table = table(&sample());
        for part in [
            "2.00 M",
            "1.500",
            "FAILED",
            "7 missing",
            "3 records: NotLeaderOrFollower",
            "RSS 1.00 MB",
            "9.5 system calls per thousand records: io_uring_enter 8, read 1.5",
        ] {
            assert!(table.contains(part), "{part} is not in\n{table}");
        }
        assert!(!Results { json: sample(), histograms: Vec::new(), profile: None }.is_clean());
    }

    #[test]
    fn stored_results_can_be_loaded() {
        let out = std::env::temp_dir().join(format!("corelane-bench-results-{}", std::process::id()));
        let mut results =
            Results { json: sample(), histograms: vec![("publish_delay", hdr::fine())], profile: None };
        let one = results.store(&out).expect("written");
        let profile = out.join("recorded");
        fs::write(&profile, "samples").expect("written");
        results.profile = Some(profile);
        let two = results.store(&out).expect("written");
        assert_eq!(fs::read(two.join("perf.data")).expect("moved there"), b"samples");
        assert_ne!(one, two, "nothing is written over");
        assert_eq!(load(&one).expect("read"), sample());
        assert!(one.join("publish_delay.hgrm").exists());
        let error = load(&out).expect_err("no results there");
        assert!(error.to_string().contains("results.json"), "{error}");
        fs::write(out.join("other.json"), "{}").expect("written");
        assert!(load(&out.join("other.json")).is_err());
        fs::remove_dir_all(&out).expect("removed");
    }
}
