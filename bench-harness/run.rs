//! One run: prepares topics, fills a backlog if the workload has one, loads, measures, and gives the results as JSON.
//!
//! The results' shape is described in `README.md`. Whoever prints or draws them reads that JSON, whether it was made a
//! moment or a year ago.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use corelane_wire::api::ApiKey;
use corelane_wire::message::api_versions::ApiVersionsRequest;
use serde_json::{Value, json};

use crate::clock::{self, SECOND};
use crate::cluster::Cluster;
use crate::connection::{Connection, request};
use crate::hdr;
use crate::live::Live;
use crate::load::{self, Loaded};
use crate::machine;
use crate::perf::Perf;
use crate::plan::{Material, Plan};
use crate::process::{self, Sample, Sampler};
use crate::results::Results;
use crate::syscalls::Counting;
use crate::tally::Second;
use crate::workload::{Rate, Workload};

/// Between preparing and the first record.
const LEAD: u64 = SECOND / 5;

/// The results' format; changed when a reader would misunderstand an older one.
const FORMAT: u32 = 1;

/// What is loaded, and how that is watched.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the results call it.
    pub label: String,
    /// `HOST:PORT` of a broker.
    pub bootstrap: String,
    /// The broker's process, if it runs on this machine and is to be watched.
    pub pid: Option<u32>,
    /// What is known about it: version, command, settings, cores.
    pub about: Value,
    /// Whether its answers to Produce hold nothing: a null broker.
    pub bare_answers: bool,
}

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// Cores for the load, one thread each; empty: all this process may use.
    pub cpus: Vec<usize>,
    /// The directory whose disk is described with the machine.
    pub dir: std::path::PathBuf,
    /// Whether system calls are counted, which costs the broker something.
    pub count_syscalls: bool,
    /// Where the broker's profile is recorded with perf meanwhile, if it is to be; then it is moved to the results.
    pub profile: Option<std::path::PathBuf>,
    /// Whether topics stay afterwards.
    pub keep_topics: bool,
    /// Whether nothing is drawn meanwhile.
    pub is_quiet: bool,
}

/// Runs a workload. Errors: what prevented a measurement; a failed record is a result, not an error.
pub fn run(workload: &Workload, target: &Target, conduct: &Conduct) -> io::Result<Results> {
    let prefix = format!("bench-{}-{}-{}", workload.name, clock::utc_name(), std::process::id());
    let machine = machine::describe(&conduct.dir);
    let cluster = Cluster::prepare(
        &target.bootstrap,
        &prefix,
        workload.topics,
        workload.partitions,
        &workload.topic_settings,
    )?;
    let ran = run_on(workload, target, conduct, &cluster, machine);
    if !conduct.keep_topics {
        // Results that were taken are not thrown away because topics stay behind.
        let _ = cluster.remove_topics();
    }
    ran
}

fn run_on(
    workload: &Workload,
    target: &Target,
    conduct: &Conduct,
    cluster: &Cluster,
    machine: Value,
) -> io::Result<Results> {
    let backlog = fill(workload, target, conduct, cluster)?;
    let earlier = backlog.as_ref().map_or(&[][..], |backlog| &backlog.acknowledged);
    // Before anything is due: thousands of connections take their time.
    let idle = (0..workload.idle_connections)
        .map(|_| idle_connection(&cluster.leaders[0]))
        .collect::<io::Result<Vec<TcpStream>>>()?;
    let plan = main_plan(workload, target, cluster, backlog.is_some());
    let mut live = Live::new(
        &format!("{} {}", target.label, workload.name),
        (workload.warm_up / SECOND) as u32,
        (workload.duration / SECOND) as u32,
        conduct.is_quiet,
    );
    let mut seconds = Vec::new();
    let sampler = Sampler::start(target.pid, plan.start);
    let counting = match (conduct.count_syscalls, target.pid) {
        (true, Some(pid)) => Some(Counting::start(pid)),
        _ => None,
    };
    let recording = conduct.profile.as_deref().map(|file| record(target, file)).transpose()?;
    let plan = Arc::new(plan);
    let loaded = load::run(Arc::clone(&plan), &conduct.cpus, true, earlier, |second| {
        live.on_second(second);
        seconds.push(second.clone());
    });
    drop(idle);
    let samples = sampler.finish();
    let syscalls = counting.map(|counting| counting.and_then(Counting::stop));
    let loaded = loaded?;
    recording.map(Perf::finish).transpose()?;
    let taken =
        Taken { workload, target, plan: &plan, loaded: &loaded, seconds: &seconds, samples: &samples };
    let mut json = taken.to_json();
    json["machine"] = machine;
    if let Some(backlog) = &backlog {
        json["backlog"] = backlog_json(workload, backlog, &loaded, &seconds);
    }
    if let Some(counted) = syscalls {
        // Counted from before the load until after it, so held against all of it.
        let records = seconds.iter().map(|second| second.produced + second.consumed).sum();
        json["broker_cost"]["system_calls"] = match counted {
            Ok(calls) => calls.to_json(records),
            Err(error) => json!({ "unknown": error.to_string() }),
        };
    }
    Ok(Results {
        json,
        histograms: vec![
            ("publish_delay", loaded.totals.delay),
            ("publish_latency", loaded.totals.publish),
            ("request_latency", loaded.totals.request),
            ("end_to_end_latency", loaded.totals.end_to_end),
        ],
        profile: conduct.profile.clone(),
    })
}

/// Begins to record where the broker's CPU time goes. Errors: its process is not known, or what `Perf` says.
fn record(target: &Target, file: &std::path::Path) -> io::Result<Perf> {
    let pid = target.pid.ok_or_else(|| {
        io::Error::other(format!("{} cannot be profiled without its process: give --pid", target.label))
    })?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Perf::record(pid, file)
}

/// A connection that has said hello and says no more.
fn idle_connection(address: &str) -> io::Result<TcpStream> {
    let mut connection = Connection::open(address)?;
    let hello = ApiVersionsRequest::default();
    connection.send(&request(ApiKey::ApiVersions, 0, |w, v| hello.encode(w, v)))?;
    connection.receive()?;
    Ok(connection.into_stream())
}

/// Writes the backlog that consumers will have to catch up with.
fn fill(
    workload: &Workload,
    target: &Target,
    conduct: &Conduct,
    cluster: &Cluster,
) -> io::Result<Option<Loaded>> {
    if workload.backlog_bytes == 0 {
        return Ok(None);
    }
    let producers = workload.producers.max(1);
    let records =
        (workload.backlog_bytes as f64 / workload.bytes_mean() / f64::from(producers)).ceil() as u64;
    let filling =
        Workload { rate: Rate::Max, producers, idle_connections: 0, drain_only: false, ..workload.clone() };
    let start = clock::now() + LEAD;
    let plan = Plan {
        material: Material::new(&filling, 1),
        cluster: cluster.clone(),
        start,
        window: start..u64::MAX,
        stop: u64::MAX,
        records_max: Some(records),
        producer_base: 0,
        producers_total: producers * 2,
        bare_answers: target.bare_answers,
        workload: filling,
    };
    let mut live = Live::new(&format!("{} filling", target.label), 0, 0, conduct.is_quiet);
    load::run(Arc::new(plan), &conduct.cpus, false, &[], |second| live.on_second(second)).map(Some)
}

fn main_plan(workload: &Workload, target: &Target, cluster: &Cluster, has_backlog: bool) -> Plan {
    let mut workload = workload.clone();
    let producers = workload.producers.max(1);
    if workload.drain_only {
        (workload.producers, workload.warm_up) = (0, 0);
    }
    // Connections of many producers take a moment: nothing is due before they can be expected to stand.
    let connecting = u64::from(workload.producers + workload.consumers) * 500_000;
    let start = clock::now() + LEAD + connecting;
    let begin = start + workload.warm_up;
    Plan {
        // The same seed: a backlog's records are checked with the bytes they were made of.
        material: Material::new(&workload, 1),
        cluster: cluster.clone(),
        start,
        window: begin..begin + workload.duration,
        stop: begin + workload.duration,
        records_max: None,
        producer_base: if has_backlog { producers } else { 0 },
        producers_total: producers * if has_backlog { 2 } else { 1 },
        bare_answers: target.bare_answers,
        workload,
    }
}

/// Everything that was taken during the main load.
struct Taken<'a> {
    workload: &'a Workload,
    target: &'a Target,
    plan: &'a Plan,
    loaded: &'a Loaded,
    seconds: &'a [Second],
    samples: &'a [Sample],
}

impl Taken<'_> {
    fn to_json(&self) -> Value {
        let totals = &self.loaded.totals;
        // A drain is over when everything has arrived.
        let window = if self.workload.drain_only {
            self.loaded.span.start..self.loaded.span.end
        } else {
            self.plan.window.clone()
        };
        let window_s = (window.end - window.start) as f64 / SECOND as f64;
        let sum = |of: fn(&Second) -> u64| self.seconds.iter().map(of).sum::<u64>();
        let (produced, consumed) = if self.workload.drain_only {
            ((0, 0), (sum(|s| s.consumed), sum(|s| s.consumed_bytes)))
        } else {
            (totals.produced, totals.consumed)
        };
        let amounts = |what: (u64, u64)| {
            json!({
                "records": what.0,
                "bytes": what.1,
                "records_per_s": (what.0 as f64 / window_s).round(),
                "mb_per_s": (what.1 as f64 / window_s / 1e4).round() / 100.0,
            })
        };
        json!({
            "format": FORMAT,
            "label": self.target.label,
            "taken_at": clock::utc_name(),
            "target": self.target.about,
            "workload": {
                "name": self.workload.name,
                "about": self.workload.about,
                "text": self.workload.text,
                "rate": self.workload.rate_per_second(),
                "topics": self.workload.topics,
                "partitions": self.workload.partitions,
                "bytes_mean": self.workload.bytes_mean(),
                "acks": self.workload.acks,
                "producers": self.workload.producers,
                "consumers": self.workload.consumers,
                "fan_out": self.workload.fan_out,
                "idle_connections": self.workload.idle_connections,
                "warm_up_s": self.workload.warm_up as f64 / SECOND as f64,
                "window_s": window_s,
            },
            "produced": amounts(produced),
            "consumed": amounts(consumed),
            "meant": { "sent": totals.sent, "acknowledged": totals.acknowledged },
            "requests": { "produce": totals.requests.0, "fetch": totals.requests.1 },
            "errors": { "records": totals.failed(), "by_kind": totals.errors, "fetch": totals.fetch_errors },
            "verification": self.loaded.findings.to_json(self.workload.checks),
            "latency_ms": {
                "publish_delay": hdr::to_json(&totals.delay),
                "publish_latency": hdr::to_json(&totals.publish),
                "request_latency": hdr::to_json(&totals.request),
                "end_to_end_latency": hdr::to_json(&totals.end_to_end),
            },
            "broker_cost":
                process::cost(self.samples, &window, produced.0 + consumed.0, produced.1 + consumed.1),
            "series": self.series(),
        })
    }

    /// One row a second.
    fn series(&self) -> Vec<Value> {
        let row = |second: &Second| {
            let begin = self.plan.start + u64::from(second.number) * SECOND;
            let cpu = process::broker_cpu_s(self.samples, &(begin..begin + SECOND));
            let near = self.samples.iter().find(|sample| sample.at >= begin + SECOND).or(self.samples.last());
            let four =
                |histogram| [50.0, 99.0, 99.9, 100.0].map(|p| (hdr::at_ms(histogram, p) * 1e3).round() / 1e3);
            json!({
                "s": second.number,
                "measured": self.plan.window.contains(&(begin + SECOND / 2)),
                "produced": second.produced,
                "consumed": second.consumed,
                "failed": second.failed,
                "publish": four(&second.publish),
                "end_to_end": four(&second.end_to_end),
                "cpu": (cpu * 1e3).round() / 1e3,
                "rss": near.map(|sample| sample.broker.rss),
                "files": near.map(|sample| sample.broker.files),
                "disk_written": near.map(|sample| sample.broker.disk_written),
            })
        };
        self.seconds.iter().map(row).collect()
    }
}

fn backlog_json(workload: &Workload, backlog: &Loaded, loaded: &Loaded, seconds: &[Second]) -> Value {
    let records: u64 = backlog.acknowledged.iter().flat_map(|(_, slots)| slots).sum();
    let fill_s = (backlog.span.end - backlog.span.start) as f64 / SECOND as f64;
    let due = records * u64::from(workload.fan_out);
    let (mut produced, mut consumed) = (0, 0);
    // Caught up: everything written so far has been read as often as there are groups.
    let caught_up = seconds.iter().find(|second| {
        produced += second.produced * u64::from(workload.fan_out);
        consumed += second.consumed;
        consumed >= due + produced
    });
    json!({
        "records": records,
        "failed": backlog.totals.failed(),
        "fill_s": fill_s,
        "fill_mb_per_s": (records as f64 * workload.bytes_mean() / fill_s / 1e4).round() / 100.0,
        "caught_up_after_s": caught_up.map(|second| second.number + 1),
        "load_s": (loaded.span.end - loaded.span.start) as f64 / SECOND as f64,
    })
}
