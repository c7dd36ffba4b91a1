//! Direct writes into a file of zeros, by size and depth, with and without `O_DSYNC`: what a log can hope for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use corelane_base::aligned::aligned_buffer;
use hdrhistogram::Histogram;
use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::hdr;

use super::round;

/// Each writer's part of the file; it is written around and around.
const PART_BYTES: u64 = 64 << 20;

pub(super) fn measure(dir: &Path, each: Duration) -> io::Result<Value> {
    let path = dir.join("limits-disk");
    let depth_max = 4;
    let mut zeros = File::create(&path)?;
    let step = vec![0; 1 << 20];
    for _ in 0..(PART_BYTES * depth_max) >> 20 {
        zeros.write_all(&step)?;
    }
    zeros.sync_all()?;
    let mut rows = Vec::new();
    let synced = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20].map(|size| (true, size, 1));
    let deep = [(true, 4 << 10, depth_max), (true, 64 << 10, depth_max)];
    let bare = [(false, 4 << 10, 1), (false, 1 << 20, 1)];
    for (sync, size, depth) in synced.into_iter().chain(deep).chain(bare) {
        rows.push(writes(&path, sync, size, depth, each)?);
    }
    fs::remove_file(&path)?;
    Ok(Value::Array(rows))
}

/// `depth` threads write for a while, each one write at a time.
fn writes(path: &Path, sync: bool, size: usize, depth: u64, each: Duration) -> io::Result<Value> {
    let flags = if sync { OFlags::DIRECT | OFlags::DSYNC } else { OFlags::DIRECT };
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let writers: Vec<_> = (0..depth)
            .map(|part| {
                scope.spawn(move || -> io::Result<Histogram<u64>> {
                    let file = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path)?;
                    let mut block = aligned_buffer(size);
                    block.resize(size, b'w');
                    let (mut latencies, mut at) = (hdr::fine(), 0);
                    while began.elapsed() < each {
                        let before = Instant::now();
                        file.write_all_at(&block, part * PART_BYTES + at)?;
                        latencies.saturating_record(before.elapsed().as_nanos() as u64);
                        at = (at + size as u64) % PART_BYTES;
                    }
                    Ok(latencies)
                })
            })
            .collect();
        let mut all = hdr::fine();
        for writer in writers {
            let one = writer.join().map_err(|_| io::Error::other("a thread panicked"))??;
            hdr::merge(&mut all, &one);
        }
        Ok::<_, io::Error>(all)
    })?;
    let per_s = latencies.len() as f64 / began.elapsed().as_secs_f64();
    let us = |percentile| round(hdr::at_ms(&latencies, percentile) * 1000.0);
    Ok(json!({
        "what": if sync { "O_DIRECT + O_DSYNC" } else { "O_DIRECT" },
        "size": size,
        "depth": depth,
        "p50_us": us(50.0),
        "p99_us": us(99.0),
        "p99_9_us": us(99.9),
        "writes_per_s": round(per_s),
        "mb_per_s": round(per_s * size as f64 / 1e6),
    }))
}
