//! Measures a data directory the way the broker uses it, and derives how much at once its disk should be given.
//!
//! One file is filled once and then overwritten in place (`O_DIRECT | O_DSYNC`, as commits are) and read past the page
//! cache (`O_DIRECT`, as history is). A depth of N is N threads with one operation each: a thread more or less is nothing
//! beside a synced write, and no ring is needed here. The file has no name from the moment it is open, so however the
//! measurement ends nothing is left of it.
//!
//! How the bounds come about: writes get the smallest depth that gives nearly the best rate of small synced writes,
//! since more only wait inside the device. Reads get the same of large reads, then fewer until a commit beside them is
//! not held up much.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use corelane_base::aligned::aligned_buffer;
use corelane_base::rng::Rng;
use hdrhistogram::Histogram;
use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::durable;
use crate::profile::{Bounds, FILE};
use crate::root::Root;

/// Sizes of commits that are measured one at a time, in bytes.
const SIZES: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Depths of small synced writes.
const WRITE_DEPTHS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Depths of large reads.
const READ_DEPTHS: [u32; 6] = [1, 2, 4, 8, 16, 32];
/// What a read of history asks for, in bytes.
const READ_BYTES: usize = 128 << 10;
/// How many fewer and fewer reads are tried beside commits.
const MIXED_MAX: u32 = 5;
/// Slices of time that filling the file may take.
const FILL_SLICES: u32 = 4;
/// Parts that the whole time is cut into: filling, sizes, depths, two bandwidths, reads, mixed.
const SLICES: u32 =
    FILL_SLICES + SIZES.len() as u32 + WRITE_DEPTHS.len() as u32 + 2 + READ_DEPTHS.len() as u32 + MIXED_MAX;

/// The smallest file that says anything, in bytes.
pub const BYTES_MIN: u64 = 16 << 20;
/// How much of the free space the file may take: one part in this many.
const FREE_PARTS: u64 = 2;

/// A depth is enough when it gives this much of the best rate, in per cent.
const ENOUGH_PERCENT: f64 = 90.0;
/// How much longer a commit's p99 may be beside reads.
const HELD_UP_MAX: f64 = 3.0;
/// However serial a device is, a small commit should not stand behind a large one, nor a reader behind another.
const FLOOR: Bounds = Bounds { writes_max: 4, reads_max: 2 };

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The data directory.
    pub dir: PathBuf,
    /// How long all of it may take, but for the last operations under way.
    pub duration: Duration,
    /// How large the file becomes; at least [`BYTES_MIN`].
    pub bytes: u64,
}

/// How one kind of operation went for a while.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Bytes of each operation.
    pub bytes: usize,
    /// How many were under way at once.
    pub depth: u32,
    /// How many there were.
    pub count: u64,
    /// How long it went on.
    pub seconds: f64,
    /// Microseconds: median, 99 %, 99.9 %, longest.
    pub us: [u64; 4],
}

/// Commits beside reads.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// Small synced writes, one at a time.
    pub writes: Sample,
    /// Large reads.
    pub reads: Sample,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Processes that ran or waited to, on average over the minute before; `None` if the kernel does not say. More than
    /// there are cores, and what was measured is their doing as well.
    pub load: Option<f64>,
    /// Synced writes one at a time, by size.
    pub sizes: Vec<Sample>,
    /// Small synced writes by depth.
    pub depths: Vec<Sample>,
    /// Synced writes of 1 MiB, several at a time.
    pub write_bandwidth: Sample,
    /// Reads of 1 MiB, several at a time.
    pub read_bandwidth: Sample,
    /// Reads by depth.
    pub reads: Vec<Sample>,
    /// Commits beside fewer and fewer reads; the last is what was chosen.
    pub mixed: Vec<Mixed>,
    /// What follows for the broker.
    pub bounds: Bounds,
}

/// Why nothing could be measured.
#[derive(Debug)]
pub enum BenchError {
    /// Not enough room: asked for, and free (bytes).
    Room(u64, u64),
    /// An operation failed.
    Io(PathBuf, io::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Room(asked, free) => write!(
                out,
                "a file of {asked} bytes would take more than half of the {free} bytes that are free: ask for less with \
                 --size"
            ),
            BenchError::Io(path, e) => {
                write!(
                    out,
                    "{} cannot be measured ({e}): it must be a writable directory on a disk",
                    path.display()
                )
            }
        }
    }
}

impl Sample {
    /// Operations a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds.max(1e-9)
    }

    /// Bytes a second.
    #[must_use]
    pub fn flow(&self) -> f64 {
        self.rate() * self.bytes as f64
    }

    /// For programs; the names carry the units.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "bytes": self.bytes,
            "depth": self.depth,
            "count": self.count,
            "per_second": self.rate().round() as u64,
            "p50_us": self.us[0],
            "p99_us": self.us[1],
            "p999_us": self.us[2],
            "max_us": self.us[3],
        })
    }
}

impl Report {
    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let all = |samples: &[Sample]| samples.iter().map(Sample::json).collect::<Vec<Value>>();
        let mixed: Vec<Value> = self
            .mixed
            .iter()
            .map(|mixed| json!({"writes": mixed.writes.json(), "reads": mixed.reads.json()}))
            .collect();
        json!({
            "file_bytes": self.bytes,
            "load_before": self.load,
            "sync_by_size": all(&self.sizes),
            "sync_by_depth": all(&self.depths),
            "write_bandwidth": self.write_bandwidth.json(),
            "read_bandwidth": self.read_bandwidth.json(),
            "read_by_depth": all(&self.reads),
            "mixed": mixed,
            "bounds": {"writes_max": self.bounds.writes_max, "reads_max": self.bounds.reads_max},
        })
    }

    /// The text of `disk.toml`.
    #[must_use]
    pub fn profile(&self) -> String {
        let row = |sample: &Sample| {
            let [p50, p99, p999, max] = sample.us;
            let (bytes, depth, rate) = (sample.bytes, sample.depth, sample.rate().round());
            format!(
                "{{ bytes = {bytes}, depth = {depth}, per_second = {rate:.0}, p50_us = {p50}, p99_us = {p99}, \
                 p999_us = {p999}, max_us = {max} }}"
            )
        };
        let rows =
            |samples: &[Sample]| samples.iter().map(|one| format!("  {},\n", row(one))).collect::<String>();
        let mixed = |mixed: &Mixed| {
            format!("  {{ writes = {}, reads = {} }},\n", row(&mixed.writes), row(&mixed.reads))
        };
        let Bounds { writes_max, reads_max } = self.bounds;
        format!(
            "# Written by 'corelane tune disk'; the broker reads [bounds] when it starts. Measure again after a move to\n\
             # another disk. Without this file the broker keeps to its defaults.\n\
             version = 1\n\n\
             [bounds]\n\
             # Operations that the disk works on at once, for all shards together.\n\
             writes_max = {writes_max}\n\
             reads_max = {reads_max}\n\n\
             [measured]\n\
             file_bytes = {}\n\
             {}\
             sync_by_size = [\n{}]\n\
             sync_by_depth = [\n{}]\n\
             write_bandwidth = {}\n\
             read_bandwidth = {}\n\
             read_by_depth = [\n{}]\n\
             mixed = [\n{}]\n",
            self.bytes,
            self.load.map_or(String::new(), |load| format!("load_before = {load:.2}\n")),
            rows(&self.sizes),
            rows(&self.depths),
            row(&self.write_bandwidth),
            row(&self.read_bandwidth),
            rows(&self.reads),
            self.mixed.iter().map(mixed).collect::<String>(),
        )
    }

    /// Puts the text into a data directory. Durability: on disk when it returns. Errors: the old file is unchanged.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        durable::replace(&dir.join(FILE), &self.profile())
    }
}

/// Where a phase may be told: how many parts are done, of how many, and what comes next.
pub type Progress<'a> = &'a mut dyn FnMut(u32, u32, &str);

/// Measures. Errors: see [`BenchError`]; nothing is left behind.
pub fn measure(plan: &Plan, progress: Progress<'_>) -> Result<Report, BenchError> {
    let wrong = |e: io::Error| BenchError::Io(plan.dir.clone(), e);
    let space = rustix::fs::statvfs(&plan.dir).map_err(|e| wrong(e.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let asked = plan.bytes.max(BYTES_MIN);
    if asked > free / FREE_PARTS {
        return Err(BenchError::Room(asked, free));
    }
    Rig::open(&plan.dir, plan.duration / SLICES).and_then(|rig| rig.run(asked, progress)).map_err(wrong)
}

/// What is done in a phase.
#[derive(Clone, Copy)]
enum Kind {
    SyncedWrite,
    Read,
}

/// Operations of one kind for a while, within a part of the file.
#[derive(Clone, Copy)]
struct Load {
    kind: Kind,
    bytes: usize,
    depth: u32,
    /// Start and length, in bytes.
    area: (u64, u64),
}

/// The file, opened as the broker opens its segments.
struct Rig {
    plain: File,
    synced: File,
    slice: Duration,
}

impl Rig {
    fn open(dir: &Path, slice: Duration) -> io::Result<Rig> {
        let path = dir.join(format!(".tune-disk-{}", std::process::id()));
        let open = |flags: OFlags, new: bool| {
            let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
            File::options().read(true).write(true).create_new(new).custom_flags(flags).open(&path)
        };
        let plain = open(OFlags::DIRECT, true)?;
        let synced = open(OFlags::DIRECT | OFlags::DSYNC, false);
        // No name from here on: nothing has to be tidied up, whatever happens.
        fs::remove_file(&path)?;
        Ok(Rig { plain, synced: synced?, slice })
    }

    fn run(&self, asked: u64, progress: Progress<'_>) -> io::Result<Report> {
        let load = Root::new(Path::new("/")).text("/proc/loadavg").ok();
        let load = load.and_then(|text| text.split(' ').next()?.parse().ok());
        let mut done = 0;
        let mut tell = |slices: u32, what: &str| {
            progress(done, SLICES, what);
            done += slices;
        };
        tell(FILL_SLICES, "filling the file");
        let bytes = self.fill(asked)?;
        let area = (0, bytes);
        let mut one = |kind: Kind, size: usize, depth: u32, what: &str| {
            tell(1, &format!("{what} of {} KiB, {depth} at a time", size >> 10));
            let load = Load { kind, bytes: size, depth, area };
            Ok::<Sample, io::Error>(self.load(&[load])?.remove(0))
        };
        let (writes, reads) = ("synced writes", "reads");
        let sizes: Vec<Sample> =
            SIZES.iter().map(|size| one(Kind::SyncedWrite, *size, 1, writes)).collect::<io::Result<_>>()?;
        let depths: Vec<Sample> = WRITE_DEPTHS
            .iter()
            .map(|depth| one(Kind::SyncedWrite, SIZES[0], *depth, writes))
            .collect::<io::Result<_>>()?;
        let write_bandwidth = one(Kind::SyncedWrite, 1 << 20, 4, writes)?;
        let read_bandwidth = one(Kind::Read, 1 << 20, 4, reads)?;
        let reads: Vec<Sample> = READ_DEPTHS
            .iter()
            .map(|depth| one(Kind::Read, READ_BYTES, *depth, reads))
            .collect::<io::Result<_>>()?;
        let mut depth = enough(&reads);
        let mut mixed: Vec<Mixed> = Vec::new();
        while (mixed.len() as u32) < MIXED_MAX {
            tell(1, &format!("commits beside {depth} reads"));
            mixed.push(self.beside(depth, bytes)?);
            if !held_up(&sizes[0], &mixed[mixed.len() - 1].writes) || depth <= FLOOR.reads_max {
                break;
            }
            depth = (depth / 2).max(FLOOR.reads_max);
        }
        progress(SLICES, SLICES, "done");
        let bounds = Bounds {
            writes_max: enough(&depths).max(FLOOR.writes_max),
            reads_max: depth.max(FLOOR.reads_max),
        };
        Ok(Report { bytes, load, sizes, depths, write_bandwidth, read_bandwidth, reads, mixed, bounds })
    }

    /// One small commit at a time in the first half of the file beside `depth` reads in the second.
    fn beside(&self, depth: u32, bytes: u64) -> io::Result<Mixed> {
        let half = bytes / 2;
        let writes = Load { kind: Kind::SyncedWrite, bytes: SIZES[0], depth: 1, area: (0, half) };
        let reads = Load { kind: Kind::Read, bytes: READ_BYTES, depth, area: (half, half) };
        let mut samples = self.load(&[writes, reads])?;
        let reads = samples.remove(1);
        Ok(Mixed { writes: samples.remove(0), reads })
    }

    /// Writes the file once, so that every block is allocated and later writes only overwrite. Returns how large it
    /// became: less than `asked` if the time is up.
    fn fill(&self, asked: u64) -> io::Result<u64> {
        let end = Instant::now() + self.slice * FILL_SLICES;
        let buffer = noise(1 << 20, 1);
        let mut at = 0;
        while at < asked && (at < BYTES_MIN || Instant::now() < end) {
            self.plain.write_all_at(&buffer, at)?;
            at += buffer.len() as u64;
        }
        self.plain.sync_all()?;
        Ok(at)
    }

    /// Runs several loads side by side for a slice of time; one sample each, in their order.
    fn load(&self, loads: &[Load]) -> io::Result<Vec<Sample>> {
        let start = Instant::now();
        let (end, failed) = (start + self.slice, AtomicBool::new(false));
        thread::scope(|scope| {
            let failed = &failed;
            let threads: Vec<Vec<_>> = loads
                .iter()
                .map(|load| {
                    (0..load.depth)
                        .map(|index| scope.spawn(move || self.operate(*load, index, end, failed)))
                        .collect()
                })
                .collect();
            let of_load =
                |(load, threads): (&Load, Vec<thread::ScopedJoinHandle<'_, io::Result<Histogram<u64>>>>)| {
                    let mut all = histogram();
                    for thread in threads {
                        let part =
                            thread.join().map_err(|_| io::Error::other("a measuring thread panicked"))??;
                        all.add(&part).map_err(io::Error::other)?;
                    }
                    let seconds = start.elapsed().as_secs_f64();
                    Ok(sample(load, &all, seconds))
                };
            loads.iter().zip(threads).map(of_load).collect()
        })
    }

    /// One thread of a load: at least one operation, then more until `end` or until another failed.
    fn operate(
        &self,
        load: Load,
        index: u32,
        end: Instant,
        failed: &AtomicBool,
    ) -> io::Result<Histogram<u64>> {
        let mut times = histogram();
        let mut buffer = noise(load.bytes, u64::from(index) + 2);
        let mut rng = Rng::new(u64::from(index));
        // Each thread writes a stretch of its own, as each log does; reads go anywhere.
        let size = load.bytes as u64;
        let places = (load.area.1 / size).max(1);
        let own = (places / u64::from(load.depth)).max(1);
        let mut turn = 0;
        loop {
            let begun = Instant::now();
            let done = match load.kind {
                Kind::SyncedWrite => {
                    let place = (u64::from(index) * own + turn % own) % places;
                    self.synced.write_all_at(&buffer, load.area.0 + place * size)
                }
                Kind::Read => self.plain.read_exact_at(&mut buffer, load.area.0 + rng.below(places) * size),
            };
            done.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            times.saturating_record(begun.elapsed().as_nanos() as u64);
            turn += 1;
            if Instant::now() >= end || failed.load(Ordering::Relaxed) {
                return Ok(times);
            }
        }
    }
}

/// Nanoseconds, three digits of them, up to ten minutes.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 600_000_000_000, 3).expect("three digits of such numbers are allowed")
}

/// Aligned memory full of bytes that no device can compress.
fn noise(len: usize, seed: u64) -> BytesMut {
    let mut rng = Rng::new(seed);
    let mut buffer = aligned_buffer(len);
    while buffer.len() < len {
        buffer.extend_from_slice(&rng.next_u64().to_le_bytes());
    }
    buffer
}

fn sample(load: &Load, times: &Histogram<u64>, seconds: f64) -> Sample {
    let us = |quantile: f64| times.value_at_quantile(quantile) / 1000;
    let us = [us(0.5), us(0.99), us(0.999), times.max() / 1000];
    Sample { bytes: load.bytes, depth: load.depth, count: times.len(), seconds, us }
}

/// The smallest depth that gives nearly the best rate.
fn enough(samples: &[Sample]) -> u32 {
    let best = samples.iter().map(Sample::rate).fold(0.0, f64::max);
    let good = samples.iter().find(|sample| sample.rate() * 100.0 >= best * ENOUGH_PERCENT);
    good.map_or(1, |sample| sample.depth)
}

/// Whether commits wait too long beside reads.
fn held_up(quiet: &Sample, beside: &Sample) -> bool {
    beside.us[1] as f64 > quiet.us[1].max(1) as f64 * HELD_UP_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(depth: u32, rate: u64) -> Sample {
        Sample { bytes: 4096, depth, count: rate, seconds: 1.0, us: [1, 10, 20, 30] }
    }

    #[test]
    fn the_smallest_depth_with_nearly_the_best_rate() {
        for (rates, expected) in [
            (&[100, 200, 390, 400][..], 4),
            (&[100, 100, 100, 100], 1),
            (&[100, 200, 400, 800], 8),
            (&[100, 89, 90, 50], 1),
            (&[0, 0], 1),
            (&[], 1),
        ] {
            let samples: Vec<Sample> =
                rates.iter().enumerate().map(|(index, rate)| rated(1 << index, *rate)).collect();
            assert_eq!(enough(&samples), expected, "{rates:?}");
        }
    }

    #[test]
    fn commits_are_held_up_beyond_three_times() {
        let quiet = rated(1, 1);
        for (p99, expected) in [(10, false), (30, false), (31, true)] {
            assert_eq!(held_up(&quiet, &Sample { us: [1, p99, 50, 60], ..quiet.clone() }), expected);
        }
    }

    #[test]
    fn a_directory_is_measured_and_nothing_is_left() {
        // Not the folder for temporary files, which may lie in memory. Cargo may have been told to build elsewhere.
        let dir =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/bench-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder beside the sources");
        let plan = Plan { dir: dir.clone(), duration: Duration::from_millis(300), bytes: BYTES_MIN };
        let mut told = Vec::new();
        let report = measure(&plan, &mut |done, of, what| {
            assert!(done <= of, "{done} of {of}");
            told.push(what.to_string());
        });
        let report = report.expect("a disk with direct I/O");
        assert_eq!(fs::read_dir(&dir).expect("it is there").count(), 0, "the test file is gone");
        assert!(told.len() > 20 && told[0] == "filling the file", "{told:?}");
        assert_eq!(report.bytes, BYTES_MIN);
        let samples = report.sizes.iter().chain(&report.depths).chain(&report.reads);
        for sample in samples.chain([&report.write_bandwidth, &report.read_bandwidth]) {
            assert!(sample.count >= u64::from(sample.depth), "{sample:?}");
            assert!(sample.us.is_sorted(), "{sample:?}");
            assert!(sample.us[3] > 0, "a synced write of no microseconds: {sample:?}");
        }
        report.store(&dir).expect("room");
        assert_eq!(Bounds::read(&dir), Ok(Some(report.bounds)), "{}", report.profile());
        fs::remove_dir_all(&dir).expect("our own");
    }

    #[test]
    fn too_little_room_is_told() {
        let plan =
            Plan { dir: std::env::temp_dir(), duration: Duration::from_millis(1), bytes: u64::MAX / 2 };
        let why = measure(&plan, &mut |_, _, _| {}).expect_err("no disk is that large").to_string();
        assert!(why.contains("--size"), "{why}");
        let plan = Plan { dir: "/no/such/place".into(), ..plan };
        let why = measure(&plan, &mut |_, _, _| {}).expect_err("it is not there").to_string();
        assert!(why.contains("/no/such/place"), "{why}");
    }
}
