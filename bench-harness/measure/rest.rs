//! Start-up time, idle CPU, disk taken by empty partitions.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::catch_up::fill;
use super::{histogram, percentiles, record};
use crate::Common;
use crate::broker::{Broker, fresh};
use crate::connection::Connection;

/// See the subcommand's help.
pub fn start(common: &Common, rounds: u32, partitions: i32, mib: u64) -> io::Result<()> {
    let mut empty = histogram();
    for _ in 0..rounds {
        let dir = fresh(common, "start")?;
        let broker = Broker::start(common, &dir)?;
        record(&mut empty, broker.ready);
        broker.stop()?;
    }
    println!("{}", percentiles(&format!("empty directory, {rounds} starts"), &empty));
    let dir = fresh(common, "start")?;
    let broker = Broker::start(common, &dir)?;
    Connection::open(&broker.address)?.create_topic("many", partitions)?;
    broker.stop()?;
    let broker = Broker::start(common, &dir)?;
    println!("clean stop, {partitions} partitions: {:?}", broker.ready);
    fill(&broker.address, "large", mib)?;
    broker.kill()?;
    let broker = Broker::start(common, &dir)?;
    println!("kill -9 behind {mib} MiB and {partitions} partitions: {:?}", broker.ready);
    broker.stop()?;
    fs::remove_dir_all(&dir)
}

/// See the subcommand's help.
pub fn idle(common: &Common, seconds: u64) -> io::Result<()> {
    let dir = fresh(common, "idle")?;
    let mut broker = Broker::start(common, &dir)?;
    // What the start leaves to do is done within the first second.
    broker.outlives(Duration::from_secs(1))?;
    let before = broker.cpu()?;
    broker.outlives(Duration::from_secs(seconds))?;
    let cpu = broker.cpu()? - before;
    let percent = 100.0 * cpu.as_secs_f64() / seconds as f64;
    let shards = f64::from(common.shards);
    println!("{seconds} s idle: {cpu:?} of CPU, {percent:.2} % in all, {:.2} % per shard", percent / shards);
    broker.stop()?;
    fs::remove_dir_all(&dir)
}

/// See the subcommand's help.
pub fn room(common: &Common, partitions: i32) -> io::Result<()> {
    let dir = fresh(common, "room")?;
    let broker = Broker::start(common, &dir)?;
    Connection::open(&broker.address)?.create_topic("empty", partitions)?;
    broker.stop()?;
    let bytes = disk_bytes(&dir)?;
    println!("{partitions} empty partitions: {:.1} MB on disk", bytes as f64 / 1e6);
    fs::remove_dir_all(&dir)
}

/// Bytes of blocks allocated below a directory.
fn disk_bytes(path: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::symlink_metadata(path)?;
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            bytes += disk_bytes(&entry?.path())?;
        }
    }
    Ok(bytes)
}
