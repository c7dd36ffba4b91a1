//! The same produce load by Kafka's own `ProducerPerformance`: a check that our generator does not flatter anybody.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::clock::SECOND;
use crate::cluster::Cluster;
use crate::load::pin_to;
use crate::process;
use crate::run::Target;
use crate::workload::Workload;

/// Runs it for about the workload's duration and gives what its last line says, and what the broker consumed meanwhile.
///
/// Errors: java is absent, or it ended badly.
pub fn producer_performance(
    workload: &Workload,
    target: &Target,
    jars: &Path,
    cpus: &[usize],
    rate: f64,
) -> io::Result<Value> {
    let cluster = Cluster::prepare(&target.bootstrap, "crosscheck", 1, workload.partitions, &[])?;
    let records = (rate * workload.duration as f64 / SECOND as f64) as u64;
    let mut command = Command::new("java");
    command
        .args(["-Xms256m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"])
        .arg(jars.join("*"))
        .args(["org.apache.kafka.tools.ProducerPerformance", "--topic", &cluster.topics[0]])
        .args(["--num-records", &records.to_string(), "--throughput", &format!("{rate:.0}")])
        .args(["--record-size", &workload.bytes_mean().to_string(), "--producer-props"])
        .arg(format!("bootstrap.servers={}", target.bootstrap))
        .arg(format!("acks={}", workload.acks))
        .arg(format!("batch.size={}", workload.batch_bytes))
        .arg(format!("linger.ms={}", workload.linger / 1_000_000))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let before = target.pid.and_then(process::usage);
    let output = thread::scope(|scope| {
        let run = scope.spawn(|| {
            if !cpus.is_empty() {
                pin_to(cpus)?;
            }
            command.output()
        });
        run.join().map_err(|_| io::Error::other("a thread panicked"))?
    })?;
    let after = target.pid.and_then(process::usage);
    let _ = cluster.remove_topics();
    let said = String::from_utf8_lossy(&output.stdout);
    let mut found = parse(&said).ok_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        io::Error::other(format!("producer-perf-test said {:?} {:?}", said.trim(), error.trim()))
    })?;
    if let (Some(before), Some(after)) = (before, after) {
        let cpu = after.user_s + after.system_s - before.user_s - before.system_s;
        found["broker_cpu_s_per_million_records"] = json!((cpu / records as f64 * 1e10).round() / 1e4);
    }
    Ok(found)
}

/// The summary: `N records sent, R records/sec (M MB/sec), A ms avg latency, ...`.
fn parse(said: &str) -> Option<Value> {
    let line = said.lines().rev().find(|line| line.contains("records sent") && line.contains("99.9th"))?;
    let number = |behind: &str| {
        let front = &line[..line.find(behind)?];
        front.trim_end().rsplit([' ', '(']).next()?.parse::<f64>().ok()
    };
    Some(json!({
        "records_per_s": number("records/sec")?,
        "mb_per_s": number("MB/sec")?,
        "mean_ms": number("ms avg latency")?,
        "max_ms": number("ms max latency")?,
        "p50_ms": number("ms 50th")?,
        "p95_ms": number("ms 95th")?,
        "p99_ms": number("ms 99th")?,
        "p99.9_ms": number("ms 99.9th")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        let said = "5000 records sent, 999.8 records/sec (0.98 MB/sec), 1.0 ms avg latency, 9.0 ms max latency.\n\
                    100000 records sent, 19992.003199 records/sec (19.52 MB/sec), 1.23 ms avg latency, \
                    210.00 ms max latency, 1 ms 50th, 2 ms 95th, 14 ms 99th, 41 ms 99.9th.\n";
        let found = parse(said).expect("a summary");
        assert_eq!(found["records_per_s"], 19992.003199);
        assert_eq!(found["mb_per_s"], 19.52);
        assert_eq!(found["p99.9_ms"], 41.0);
        assert_eq!(found["max_ms"], 210.0);
        assert!(parse("nothing of the kind").is_none());
    }
}
