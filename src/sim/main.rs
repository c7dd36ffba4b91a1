//! Runs many seeds by hand: `cargo run --release -p corelane-sim --bin corelane-sim -- --seeds 10000 [--start N]
//! [--only log|broker|groups] [--trace]`. Stops at the first failure and prints the seed and the command that repeats it.
//!
//! The only part of the simulator that reads arguments, the clock (for progress) and entropy (for a start).
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use corelane_sim::compact_world;
use corelane_sim::group_world;
use corelane_sim::log_world;
use corelane_sim::trace::Trace;
use corelane_sim::world;

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// For the panic hook: what is running.
static SEED: AtomicU64 = AtomicU64::new(0);
static WORLD: AtomicU8 = AtomicU8::new(0);
/// The names of the worlds, as `--only` takes them.
const WORLDS: [&str; 3] = ["log", "broker", "groups"];

#[derive(Debug)]
struct Args {
    seeds: u64,
    start: u64,
    trace: bool,
    /// The only world to run, as an index into [`WORLDS`]; `None` for all.
    only: Option<usize>,
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(problem) => {
            eprintln!("{problem}");
            eprintln!("usage: corelane-sim [--seeds N] [--start N] [--only log|broker|groups] [--trace]");
            return ExitCode::from(2);
        }
    };
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        let seed = SEED.load(Ordering::Relaxed);
        let only = WORLDS[usize::from(WORLD.load(Ordering::Relaxed))];
        eprintln!("seed {seed} failed; repeat with");
        eprintln!("  cargo run --release -p corelane-sim -- --only {only} --start {seed} --seeds 1 --trace");
        std::process::exit(1);
    }));
    println!("seeds {} to {}", args.start, args.start.saturating_add(args.seeds - 1));
    for (world, run) in [run_logs, run_brokers, run_groups].into_iter().enumerate() {
        if args.only.is_none_or(|only| only == world) {
            WORLD.store(world as u8, Ordering::Relaxed);
            run(&args);
        }
    }
    ExitCode::SUCCESS
}

fn run_logs(args: &Args) {
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut sum = log_world::LogOutcome::default();
    let mut compacted = compact_world::CompactOutcome::default();
    for done in 0..args.seeds {
        let seed = args.start.wrapping_add(done);
        SEED.store(seed, Ordering::Relaxed);
        let outcome = log_world::run(seed, trace(args));
        sum.add(&outcome);
        let outcome = compact_world::run(seed, trace(args));
        compacted.add(&outcome);
        progress(done + 1, args.seeds, &began, &mut told, || format!("{sum:?} {compacted:?}"));
    }
}

fn run_brokers(args: &Args) {
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut sum = world::Outcome::default();
    for done in 0..args.seeds {
        let seed = args.start.wrapping_add(done);
        SEED.store(seed, Ordering::Relaxed);
        let outcome = world::run(seed, trace(args));
        sum.add(&outcome);
        progress(done + 1, args.seeds, &began, &mut told, || format!("{sum:?}"));
    }
}

fn run_groups(args: &Args) {
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut sum = group_world::GroupOutcome::default();
    for done in 0..args.seeds {
        let seed = args.start.wrapping_add(done);
        SEED.store(seed, Ordering::Relaxed);
        let outcome = group_world::run(seed, trace(args));
        sum.add(&outcome);
        progress(done + 1, args.seeds, &began, &mut told, || format!("{sum:?}"));
    }
}

fn trace(args: &Args) -> Trace {
    if args.trace { Trace::to(|line| println!("{line}")) } else { Trace::default() }
}

/// Tells how far a run is, every few seconds and at its end.
fn progress(done: u64, all: u64, began: &Instant, told: &mut Instant, sum: impl FnOnce() -> String) {
    if done == all || told.elapsed() >= PROGRESS_EVERY {
        *told = Instant::now();
        println!("{done}/{all} in {:.1} s: {}", began.elapsed().as_secs_f64(), sum());
        let _ = std::io::stdout().flush();
    }
}

fn parse(args: impl Iterator<Item = String>) -> Result<Args, String> {
    let entropy = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64 % 1_000_000_007);
    let mut parsed = Args { seeds: 1000, start: entropy, trace: false, only: None };
    let mut args = args;
    while let Some(name) = args.next() {
        if name == "--trace" {
            parsed.trace = true;
            continue;
        }
        let value = args.next().ok_or(format!("{name} needs a value"))?;
        match (name.as_str(), value.as_str()) {
            ("--seeds", number) => {
                parsed.seeds = number.parse().map_err(|error| format!("--seeds: {error}"))?
            }
            ("--start", number) => {
                parsed.start = number.parse().map_err(|error| format!("--start: {error}"))?
            }
            ("--only", world) if WORLDS.contains(&world) => {
                parsed.only = WORLDS.iter().position(|known| *known == world);
            }
            _ => return Err(format!("unknown argument {name} {value}")),
        }
    }
    if parsed.seeds == 0 { Err("--seeds must be at least 1".to_owned()) } else { Ok(parsed) }
}
