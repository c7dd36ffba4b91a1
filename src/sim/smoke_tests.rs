//! The simulator's part of `cargo test`: seeds that once failed, and a few that nobody has seen.
//!
//! A seed that failed says so in the panic. The same seed must give the same hash: if it does not, something below
//! reads an address, a hash map's order or a clock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::trace::Trace;
use crate::{compact_world, fuzz, group_world, log_world, world};

/// Seeds whose runs have found mistakes of logs; the mistakes are gone, the runs stay.
const LOG_SEEDS: &[u64] = &[
    1, 12, 19, 27, 56, 75, 84, 97, 103, 120, 122, 140, 143, 155, 163, 169, 191, 196, 201, 61_208, 72_905,
    81_765, 402_217,
];
/// The same for logs under compaction.
const COMPACT_SEEDS: &[u64] = &[1, 2, 3, 60_892, 593_780_711];
/// The same for whole brokers.
const BROKER_SEEDS: &[u64] = &[
    12, 14, 34, 40, 61, 124, 169, 212, 452, 821, 1007, 1495, 3884, 20_810, 35_390, 35_419, 38_336, 39_530,
    103_299, 920_017,
];
/// How many seeds nobody has seen.
const LOG_SEEDS_FRESH: u64 = 20;
const COMPACT_SEEDS_FRESH: u64 = 20;
const BROKER_SEEDS_FRESH: u64 = 3;
/// The same for groups.
const GROUP_SEEDS: &[u64] = &[1, 2, 3, 903, 905, 810_394, 820_409, 830_790, 351_484_870];
const GROUP_SEEDS_FRESH: u64 = 3;
const FUZZ_ITERATIONS: u64 = 2_000;

fn entropy() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_nanos() as u64 % 1_000_000_007
}

/// Runs `run` and, should it panic, says under which seed.
fn named<T>(what: &str, seed: u64, run: impl FnOnce(u64) -> T) -> T {
    println!("{what} seed {seed}");
    catch_unwind(AssertUnwindSafe(|| run(seed))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_default();
        let repeat = format!("--only {what} --start {seed} --seeds 1 --trace");
        panic!("{what} seed {seed}: {text}\nrepeat: cargo run --release -p corelane-sim -- {repeat}")
    })
}

#[test]
fn smoke_of_logs_with_known_seeds() {
    let mut sum = log_world::LogOutcome::default();
    for seed in LOG_SEEDS {
        sum.add(&named("log", *seed, |seed| log_world::run(seed, Trace::default())));
    }
    assert!(sum.appended > 1000 && sum.reads > 1000 && sum.lookups > 100, "the runs do something: {sum:?}");
    assert!(sum.duplicates > 10 && sum.recoveries > 100 && sum.disk.cut_off > 100, "and crash: {sum:?}");
}

#[test]
fn smoke_of_logs_with_fresh_seeds() {
    let start = entropy();
    for seed in start..start + LOG_SEEDS_FRESH {
        named("log", seed, |seed| log_world::run(seed, Trace::default()));
    }
}

#[test]
fn smoke_of_compacted_logs() {
    let mut sum = compact_world::CompactOutcome::default();
    let start = entropy();
    for seed in COMPACT_SEEDS.iter().copied().chain(start..start + COMPACT_SEEDS_FRESH) {
        sum.add(&named("log", seed, |seed| compact_world::run(seed, Trace::default())));
    }
    assert!(sum.swaps > 100 && sum.compared > 1000 && sum.lookups > 100, "the runs do something: {sum:?}");
    assert!(sum.recoveries > 100 && sum.removed > 1000, "and crash: {sum:?}");
}

#[test]
fn smoke_of_brokers_with_known_seeds() {
    let mut sum = world::Outcome::default();
    for seed in BROKER_SEEDS {
        sum.add(&named("broker", *seed, |seed| world::run(seed, Trace::default())));
    }
    // Each run ends with a crash, an audit of every partition, a clean stop and another audit.
    let runs = BROKER_SEEDS.len() as u64;
    assert!(sum.acked > 100 * runs && sum.compared > 1000 * runs, "the runs do something: {sum:?}");
    assert!(
        sum.disk.crashes >= runs && sum.clean_stops >= runs && sum.audited >= 2 * runs,
        "and restart: {sum:?}"
    );
    assert!(sum.net.file_bytes > 0, "some of it from files: {sum:?}");
}

#[test]
fn smoke_of_brokers_with_fresh_seeds() {
    let start = entropy();
    for seed in start..start + BROKER_SEEDS_FRESH {
        named("broker", seed, |seed| world::run(seed, Trace::default()));
    }
}

#[test]
fn smoke_of_groups_with_known_seeds() {
    let mut sum = group_world::GroupOutcome::default();
    for seed in GROUP_SEEDS {
        sum.add(&named("groups", *seed, |seed| group_world::run(seed, Trace::default())));
    }
    assert!(sum.assigned > 100 && sum.commits > 100 && sum.fetched > 1000, "the runs do something: {sum:?}");
    assert!(sum.departures > 10 && sum.crashes > 1, "and are disturbed: {sum:?}");
    assert!(sum.rolls > 10 && sum.moves > 2 && sum.topic_changes > 5, "groups move, topics change: {sum:?}");
}

#[test]
fn smoke_of_groups_with_fresh_seeds() {
    let start = entropy();
    for seed in start..start + GROUP_SEEDS_FRESH {
        named("groups", seed, |seed| group_world::run(seed, Trace::default()));
    }
}

#[test]
fn the_same_seed_gives_the_same_state() {
    let seed = entropy();
    let log = |seed| log_world::run(seed, Trace::default());
    assert_eq!(named("log", seed, log), named("log", seed, log), "seed {seed}");
    let groups = |seed| group_world::run(seed, Trace::default());
    assert_eq!(named("groups", seed, groups), named("groups", seed, groups), "seed {seed}");
    let compacted = |seed| compact_world::run(seed, Trace::default());
    assert_eq!(named("log", seed, compacted), named("log", seed, compacted), "seed {seed}");
    let broker = |seed| world::run(seed, Trace::default());
    let first = named("broker", seed, broker);
    assert_eq!(first, named("broker", seed, broker), "seed {seed}");
    assert_ne!(first.hash, named("broker", seed + 1, broker).hash, "seed {seed}");
}

#[test]
fn smoke_of_every_fuzzer() {
    for seed in [1, entropy()] {
        for fuzzer in fuzz::registry() {
            named(fuzzer.name, seed, |seed| (fuzzer.run)(seed, FUZZ_ITERATIONS));
        }
    }
}
