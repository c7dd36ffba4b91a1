//! What this machine can do at most, in the units in which brokers are measured.
//!
//! Each figure is taken with the cheapest program that does only that: no broker can be faster, and how far one stays
//! behind is what can still be won. Every part runs for about the same time and tells CPU as well: a rate that costs a
//! whole core is another limit than the same rate for nothing. The ceiling for Produce is not here but a contender:
//! `compare --contenders corelane,null`.

mod disk;
mod network;

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use corelane_base::crc::crc32c;
use serde_json::{Value, json};

use crate::machine;
use crate::process;
use crate::summary::{figure, markdown};

/// Measures everything. `cpus`: the core of the sender and that of the receiver; empty: wherever they run.
///
/// Errors: the directory cannot be written, or has no direct I/O.
pub fn limits(dir: &Path, each: Duration, cpus: &[usize]) -> io::Result<Value> {
    std::fs::create_dir_all(dir)?;
    let machine = machine::describe(dir);
    eprintln!("{}", machine::in_a_line(&machine));
    let memory = memory(each, &[100, 1 << 10, 16 << 10, 1 << 20, 64 << 20]);
    let network = network::measure(dir, each, cpus)?;
    let disk = disk::measure(dir, each)?;
    Ok(json!({ "machine": machine, "memory": memory, "network": network, "disk": disk }))
}

/// CRC-32C and copies, by size.
fn memory(each: Duration, sizes: &[usize]) -> Value {
    let mut rows = Vec::new();
    for &size in sizes {
        let from = vec![7_u8; size];
        let mut to = vec![0_u8; size];
        let crc = gb_per_s(size, each, || {
            black_box(crc32c(black_box(&from)));
        });
        let copy = gb_per_s(size, each, || black_box(&mut to).copy_from_slice(black_box(&from)));
        rows.push(json!({ "size": size, "crc32c_gb_per_s": crc, "copy_gb_per_s": copy }));
    }
    Value::Array(rows)
}

fn gb_per_s(size: usize, each: Duration, mut work: impl FnMut()) -> f64 {
    work();
    let (began, mut times) = (Instant::now(), 0_u64);
    // The clock is looked at every few microseconds, not for every hundred bytes.
    let at_once = (1 << 16) / size + 1;
    while began.elapsed() < each / 4 {
        (0..at_once).for_each(|_| work());
        times += at_once as u64;
    }
    round(times as f64 * size as f64 / began.elapsed().as_secs_f64() / 1e9)
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// CPU seconds of this process so far.
fn cpu_s() -> f64 {
    process::usage(std::process::id()).map_or(0.0, |usage| usage.user_s + usage.system_s)
}

/// The limits as tables for people.
pub fn tables(limits: &Value) -> String {
    let number = |value: &Value| match value.as_u64() {
        Some(whole) => whole.to_string(),
        None => value.as_f64().map_or("-".to_owned(), figure),
    };
    let table = |head: &[&str], rows: &Value, fields: &[&str]| {
        let mut lines = vec![head.iter().map(ToString::to_string).collect::<Vec<String>>()];
        for row in rows.as_array().into_iter().flatten() {
            lines.push(
                fields
                    .iter()
                    .map(|field| match (&row[*field], *field) {
                        (Value::String(text), _) => text.clone(),
                        (size, "size") => bytes(size.as_u64().unwrap_or(0)),
                        (value, _) => number(value),
                    })
                    .collect(),
            );
        }
        markdown(&lines)
    };
    [
        machine::in_a_line(&limits["machine"]),
        table(
            &["memory", "CRC-32C, GB/s", "copy, GB/s"],
            &limits["memory"],
            &["size", "crc32c_gb_per_s", "copy_gb_per_s"],
        ),
        table(
            &["loopback TCP", "step", "GB/s", "CPU s/GB, both ends"],
            &limits["network"]["streams"],
            &["what", "size", "gb_per_s", "cpu_s_per_gb"],
        ),
        table(
            &["round trip", "bytes", "p50, us", "p99, us", "p99.9, us"],
            &limits["network"]["round_trips"],
            &["what", "size", "p50_us", "p99_us", "p99_9_us"],
        ),
        table(
            &["direct write", "size", "depth", "p50, us", "p99, us", "p99.9, us", "writes/s", "MB/s"],
            &limits["disk"],
            &["what", "size", "depth", "p50_us", "p99_us", "p99_9_us", "writes_per_s", "mb_per_s"],
        ),
    ]
    .join("\n\n")
}

fn bytes(size: u64) -> String {
    match size {
        size if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        size if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        size => format!("{size} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_show_what_was_measured() {
        let limits = json!({
            "machine": {},
            "memory": [{ "size": 1024, "crc32c_gb_per_s": 12.5, "copy_gb_per_s": 20.0 }],
            "network": {
                "streams": [{ "what": "sendfile", "size": 65536, "gb_per_s": 3.1, "cpu_s_per_gb": 0.5 }],
                "round_trips": [{ "what": "blocking", "size": 100, "p50_us": 30.0 }],
            },
            "disk": [{ "what": "O_DIRECT + O_DSYNC", "size": 4096, "depth": 1, "p50_us": 100.0, "mb_per_s": 40.0 }],
        });
        let tables = tables(&limits);
        for part in ["1 KiB", "12.5", "sendfile", "64 KiB", "3.10", "blocking", "O_DIRECT + O_DSYNC", "40.0"]
        {
            assert!(tables.contains(part), "{part} is not in\n{tables}");
        }
    }

    #[test]
    fn memory_is_faster_than_nothing() {
        let rows = memory(Duration::from_millis(8), &[100, 4096]);
        assert!(
            rows.as_array()
                .is_some_and(|rows| rows.iter().all(|row| row["copy_gb_per_s"].as_f64() > Some(0.0)))
        );
    }
}
