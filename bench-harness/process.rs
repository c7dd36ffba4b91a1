//! What processes and the machine consume, read from `/proc` once a second: the broker's cost, seen from outside.
//!
//! The broker is not asked and not instrumented. CPU time is in clock ticks (usually 10 ms), which over seconds is exact
//! enough. `others` is what everybody but broker and harness burnt: a figure taken beside a build says so itself.

use std::fs;
use std::ops::Range;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::{self, SECOND};

/// What a process has consumed since it began.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    /// Seconds of CPU time in user mode.
    pub user_s: f64,
    /// Seconds of CPU time in the kernel.
    pub system_s: f64,
    /// Resident memory now, in bytes.
    pub rss: u64,
    /// Bytes it caused to be written to disks.
    pub disk_written: u64,
    /// Bytes it caused to be read from disks.
    pub disk_read: u64,
    /// Open files now.
    pub files: u64,
    /// Threads now.
    pub threads: u64,
}

/// Usage of a process; none if it is gone or belongs to somebody else.
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (user_s, system_s, threads) = parse_stat(&stat)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    Some(Usage {
        user_s,
        system_s,
        rss: field(&status, "VmRSS:").unwrap_or(0) * 1024,
        disk_written: field(&io, "write_bytes:").unwrap_or(0),
        disk_read: field(&io, "read_bytes:").unwrap_or(0),
        files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |dir| dir.count() as u64),
        threads,
    })
}

/// CPU seconds in user mode and in the kernel, and threads, of a line of `/proc/PID/stat`.
fn parse_stat(stat: &str) -> Option<(f64, f64, u64)> {
    // The name in parentheses may hold anything; the fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((ticks(number(11)?), ticks(number(12)?), number(17)?))
}

fn ticks(count: u64) -> f64 {
    count as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Seconds of CPU time that the whole machine was busy, and that its host took away.
fn machine_busy() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let at = |index: usize| ticks(fields.get(index).copied().unwrap_or(0));
    // user nice system idle iowait irq softirq steal
    (at(0) + at(1) + at(2) + at(5) + at(6), at(7))
}

/// One look at everything.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, by the run's clock.
    pub at: u64,
    /// The broker.
    pub broker: Usage,
    /// The harness.
    pub harness: Usage,
    /// Busy seconds of the whole machine.
    pub busy_s: f64,
    /// Seconds taken away by the host.
    pub steal_s: f64,
}

fn sample(broker: Option<u32>) -> Sample {
    let (busy_s, steal_s) = machine_busy();
    Sample {
        at: clock::now(),
        broker: broker.and_then(usage).unwrap_or_default(),
        harness: usage(std::process::id()).unwrap_or_default(),
        busy_s,
        steal_s,
    }
}

/// A thread that looks once a second.
pub struct Sampler {
    thread: JoinHandle<Vec<Sample>>,
    /// Dropped: the thread ends.
    finish: Sender<()>,
}

impl Sampler {
    /// Looks at `start`, and each second after it, until it is finished.
    pub fn start(broker: Option<u32>, start: u64) -> Sampler {
        let (finish, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut samples = Vec::new();
            let mut next = start;
            let until = |next: u64| Duration::from_nanos(next.saturating_sub(clock::now()));
            while told.recv_timeout(until(next)) == Err(RecvTimeoutError::Timeout) {
                samples.push(sample(broker));
                next += SECOND;
            }
            samples.push(sample(broker));
            samples
        });
        Sampler { thread, finish }
    }

    /// All that was seen.
    pub fn finish(self) -> Vec<Sample> {
        drop(self.finish);
        self.thread.join().unwrap_or_default()
    }
}

/// A counter's growth over `window`, between samples taken as evenly growing.
fn growth(samples: &[Sample], window: &Range<u64>, of: impl Fn(&Sample) -> f64) -> f64 {
    let at = |when: u64| {
        let behind = samples.partition_point(|sample| sample.at < when);
        match (behind.checked_sub(1).and_then(|at| samples.get(at)), samples.get(behind)) {
            (Some(before), Some(after)) => {
                let share = (when - before.at) as f64 / (after.at - before.at).max(1) as f64;
                of(before) + (of(after) - of(before)) * share
            }
            (Some(only), None) | (None, Some(only)) => of(only),
            (None, None) => 0.0,
        }
    };
    at(window.end) - at(window.start)
}

/// What broker and harness consumed during `window`, in all and per amount of work.
///
/// `records` and `bytes` are what the broker handled then: records taken in plus records given out.
pub fn cost(samples: &[Sample], window: &Range<u64>, records: u64, bytes: u64) -> Value {
    let over = |of: &dyn Fn(&Sample) -> f64| growth(samples, window, of);
    let user = over(&|s| s.broker.user_s);
    let system = over(&|s| s.broker.system_s);
    let harness = over(&|s| s.harness.user_s + s.harness.system_s);
    let busy = over(&|s| s.busy_s);
    let per = |amount: f64, unit: f64| {
        if amount > 0.0 { json!(round((user + system) / (amount / unit))) } else { Value::Null }
    };
    let inside = || samples.iter().filter(|sample| window.contains(&sample.at));
    json!({
        "cpu_user_s": round(user),
        "cpu_system_s": round(system),
        "cpu_cores": round((user + system) / ((window.end - window.start) as f64 / SECOND as f64)),
        "cpu_s_per_million_records": per(records as f64, 1e6),
        "cpu_s_per_gb": per(bytes as f64, 1e9),
        "rss_max": inside().map(|sample| sample.broker.rss).max(),
        "files_max": inside().map(|sample| sample.broker.files).max(),
        "threads_max": inside().map(|sample| sample.broker.threads).max(),
        "disk_written": over(&|s| s.broker.disk_written as f64) as u64,
        "disk_read": over(&|s| s.broker.disk_read as f64) as u64,
        "harness_cpu_s": round(harness),
        "others_cpu_s": round((busy - user - system - harness).max(0.0)),
        "steal_s": round(over(&|s| s.steal_s)),
    })
}

/// CPU seconds of the broker, user and system, during `window`.
pub fn broker_cpu_s(samples: &[Sample], window: &Range<u64>) -> f64 {
    growth(samples, window, |s| s.broker.user_s + s.broker.system_s)
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines() {
        let line = "1234 (a (b) c) S 1 1 1 0 -1 4194304 1 2 3 4 250 150 0 0 20 0 7 0 100 1 2";
        let (user, system, threads) = parse_stat(line).expect("a whole line");
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        assert!((user - 250.0 * tick).abs() < 1e-9);
        assert!((system - 150.0 * tick).abs() < 1e-9);
        assert_eq!(threads, 7);
        assert!(parse_stat("1234 (x) S 1").is_none());
    }

    #[test]
    fn this_process_can_be_read() {
        let usage = usage(std::process::id()).expect("it is running");
        assert!(usage.rss > 100_000);
        assert!(usage.files > 0);
        assert!(super::usage(u32::MAX).is_none());
    }

    #[test]
    fn growth_is_interpolated_at_the_edges() {
        let at = |at: u64, user_s: f64| Sample {
            at,
            broker: Usage { user_s, ..Usage::default() },
            harness: Usage::default(),
            busy_s: 0.0,
            steal_s: 0.0,
        };
        let samples = [at(0, 0.0), at(100, 10.0), at(200, 10.0), at(300, 40.0)];
        for (window, expected) in
            [(0..300, 40.0), (50..100, 5.0), (100..200, 0.0), (250..300, 15.0), (250..900, 15.0)]
        {
            assert!((broker_cpu_s(&samples, &window) - expected).abs() < 1e-9, "{window:?}");
        }
        assert_eq!(broker_cpu_s(&[], &(0..9)), 0.0);
    }
}
