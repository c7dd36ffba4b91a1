//! What a seed draws before a run of a whole broker begins.

use corelane_base::rng::Rng;

use crate::client::Topic;
use crate::disk::{Faults, Latency};
use crate::net::LinkMood;
use crate::producer::Habits;

/// Where topics get their names.
const NAMES: [&str; 4] = ["orders", "clicks", "ledger", "traces"];

/// One run's circumstances.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Shards of the broker.
    pub shard_count: u16,
    /// The broker's settings that are not defaults.
    pub config: Vec<(String, String)>,
    /// The topics.
    pub topics: Vec<Topic>,
    /// Those that retention shortens.
    pub retained: Vec<bool>,
    /// The producers.
    pub producers: Vec<Habits>,
    /// The consumers' partitions.
    pub consumers: Vec<Vec<(usize, i32)>>,
    /// Whether records are deleted by request.
    pub deletes: bool,
    /// Whether a topic comes and goes.
    pub churns: bool,
    /// Whether somebody means harm.
    pub vandal: bool,
    /// How connections behave.
    pub mood: LinkMood,
    /// How slow the disk is.
    pub latency: Latency,
    /// What goes wrong with it when something does.
    pub faults: Faults,
    /// Whether somebody else fills it.
    pub fills: bool,
    /// Whether the wall clock is set now and then.
    pub wall_jumps: bool,
    /// Virtual time between disturbances, at most, in milliseconds.
    pub chaos_ms: u64,
    /// Virtual time before everything comes to its end, in milliseconds.
    pub duration_ms: u64,
}

impl Plan {
    /// Draws everything.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Plan {
        let topic_count = 1 + rng.below(3) as usize;
        let (topics, retained): (Vec<Topic>, Vec<bool>) =
            NAMES[..topic_count].iter().map(|name| draw_topic(rng, name)).unzip();
        let places: Vec<(usize, i32)> = (0..topic_count)
            .flat_map(|topic| (0..topics[topic].partition_count).map(move |partition| (topic, partition)))
            .collect();
        let producers = (0..1 + rng.below(4)).map(|_| draw_habits(rng, &places)).collect();
        let consumers = (0..1 + rng.below(3)).map(|_| some_of(rng, &places)).collect();
        let slow = rng.one_in(4);
        Plan {
            shard_count: 1 + rng.below(4) as u16,
            config: draw_config(rng),
            topics,
            retained,
            producers,
            consumers,
            deletes: rng.one_in(3),
            churns: rng.one_in(2),
            vandal: rng.one_in(3),
            mood: LinkMood {
                delay_ns_max: 1 + rng.below(2_000_000),
                pieces_max: 1 + rng.below(6),
                read_delay_ns_max: if rng.one_in(5) { 50_000_000 } else { 500_000 },
            },
            latency: Latency {
                min_ns: 20_000,
                max_ns: if slow { 20_000_000 } else { 500_000 },
                stall_ns: 3_000_000_000,
            },
            faults: draw_faults(rng),
            fills: rng.one_in(8),
            wall_jumps: rng.one_in(4),
            chaos_ms: 500 << rng.below(5),
            duration_ms: 4000 + rng.below(12_000),
        }
    }
}

fn draw_config(rng: &mut Rng) -> Vec<(String, String)> {
    let mut config = Vec::new();
    let mut set = |name: &str, value: String| config.push((name.to_owned(), value));
    if rng.one_in(2) {
        set("auto.create.topics.enable", "false".to_owned());
    }
    if !rng.one_in(4) {
        set("log.retention.check.interval.ms", (500 << rng.below(4)).to_string());
    }
    if rng.one_in(3) {
        set("max.incremental.fetch.session.cache.slots", "2".to_owned());
    }
    config
}

fn draw_topic(rng: &mut Rng, name: &str) -> (Topic, bool) {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    if rng.one_in(2) {
        set("segment.bytes", "1048576".to_owned());
    }
    if rng.one_in(2) {
        set("segment.ms", (200 << rng.below(5)).to_string());
    }
    if rng.one_in(2) {
        set("index.interval.bytes", (64 << rng.below(6)).to_string());
    }
    let retained = rng.one_in(4);
    if retained {
        if rng.one_in(2) {
            set("retention.ms", (1000 << rng.below(4)).to_string());
        } else {
            set("retention.bytes", (10_000 << rng.below(6)).to_string());
        }
    }
    let append_time = rng.one_in(4);
    if append_time {
        set("message.timestamp.type", "LogAppendTime".to_owned());
    }
    let durability = ["sync", "sync", "sync", "write", "memory"][rng.below(5) as usize];
    if durability != "sync" || rng.one_in(2) {
        set("corelane.durability", durability.to_owned());
    }
    let topic = Topic {
        name: name.to_owned(),
        id: None,
        partition_count: 1 + rng.below(4) as i32,
        settings,
        created: false,
        append_time,
        lost_by_power_loss: durability != "sync",
        lost_by_kill: durability == "memory",
    };
    (topic, retained)
}

fn some_of(rng: &mut Rng, places: &[(usize, i32)]) -> Vec<(usize, i32)> {
    let first = rng.below(places.len() as u64) as usize;
    let mut chosen = vec![places[first]];
    for place in places {
        if *place != places[first] && rng.one_in(2) {
            chosen.push(*place);
        }
    }
    chosen
}

fn draw_habits(rng: &mut Rng, places: &[(usize, i32)]) -> Habits {
    let idempotent = !rng.one_in(3);
    Habits {
        places: some_of(rng, places),
        idempotent,
        acks: if idempotent { -1 } else { [-1, 1, 0][rng.below(3) as usize] },
        records_max: 1 << rng.below(6),
        filler_max: 1 << rng.below(10),
        large: rng.one_in(4),
        pace_ms: 1 + rng.below(40),
    }
}

/// More than half of the runs have a sound disk: its crashes alone must find most mistakes.
fn draw_faults(rng: &mut Rng) -> Faults {
    let none = Faults::default();
    let often = 50 << rng.below(6);
    match rng.below(12) {
        0 => Faults { write_error: often, ..none },
        1 => Faults { sync_error: often, ..none },
        2 => Faults { read_error: often, ..none },
        3 => Faults { meta_error: often, ..none },
        4 => Faults { stall: often, ..none },
        5 => Faults { no_descriptor: 4 << rng.below(7), ..none },
        _ => none,
    }
}
