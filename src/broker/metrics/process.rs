//! The process: what is running, since when, and what the kernel says it takes.

use std::fs;

use crate::exposition::{Exposition, Kind, Labels};
use crate::metrics::Facts;

/// Tells the broker's state, its build, and the process's memory, time and descriptors, the latter under the names that
/// every exporter uses; left out if the kernel hides them.
pub(super) fn tell(out: &mut Exposition, facts: &Facts<'_>) {
    out.gauge("corelane_ready", "Whether clients are served.", f64::from(u8::from(facts.ready)));
    out.gauge(
        "kafka_server_kafkaserver_brokerstate",
        "Kafka's number for the broker's state: 1 starting, 3 running, 6 stopping in order.",
        f64::from(facts.state),
    );
    out.gauge("corelane_shards", "Shards of this broker.", facts.figures.len() as f64);
    out.gauge("corelane_uptime_seconds", "Time since the start.", facts.uptime_seconds);
    let build = Labels::new(&[
        ("version", env!("CARGO_PKG_VERSION")),
        ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }),
        ("arch", std::env::consts::ARCH),
    ]);
    out.family("corelane_build_info", Kind::Gauge, "What is running; always 1.").int(&build, 1);
    out.gauge(
        "corelane_scrape_shards_stale",
        "Shards that did not answer this scrape in time; what they told last is told again.",
        facts.stale as f64,
    );
    let words = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let statm = words("/proc/self/statm");
    if let Some(pages) = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()) {
        let bytes = pages * rustix::param::page_size() as f64;
        out.gauge("process_resident_memory_bytes", "Resident memory.", bytes);
    }
    let stat = words("/proc/self/stat");
    // The command's name, which may hold anything, ends with the last parenthesis.
    let fields: Vec<&str> =
        stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        let seconds = (user + system) / rustix::param::clock_ticks_per_second() as f64;
        let mut family =
            out.family("process_cpu_seconds_total", Kind::Counter, "Processor time, user and system.");
        family.real(&Labels::default(), seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        out.gauge("process_open_fds", "Open file descriptors.", open.count() as f64);
    }
    if let Some(most) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        out.gauge("process_max_fds", "How many file descriptors may be open.", most as f64);
    }
}
