//! Pings every shard and measures how long each takes to see it, and how much of the time it is busy.
//!
//! The ping goes through the executor's own wake-up, so it also reaches a shard that sleeps although there is work. What
//! it measures is what a request would have waited, had it come just then. Not here: the thread that calls `tick`.

use std::sync::Arc;

use corelane_base::time::Mono;
use hdrhistogram::Histogram;

use crate::rt::port::{Clock, Port};

/// When to send another ping while one is not answered.
const PING_REPEAT_MS: u64 = 1_000;
/// Stalls are measured from 1 us to 100 s with three significant digits.
const STALL_US_MAX: u64 = 100_000_000;
/// The busy ratio is of at least so long, and at most twice that.
const RATIO_MS: u64 = 10_000;

/// One shard's answers to pings.
#[derive(Debug)]
pub struct Watch {
    /// When the ping that is not answered yet was sent.
    sent: Option<Mono>,
    /// When it was last repeated.
    repeated: Mono,
    /// Time from a ping to the shard's seeing it, in microseconds.
    pub stalls: Histogram<u64>,
    /// Their sum.
    pub stall_us_sum: u64,
    /// Time alive and busy, in nanoseconds, as it stood at the last two marks, the older first.
    marks: [(u64, u64); 2],
}

impl Watch {
    /// How much of the last seconds the shard was busy, from 0 to 1, given its figures now.
    #[must_use]
    pub fn busy_ratio(&self, lived_ns: u64, busy_ns: u64) -> f64 {
        let (lived, busy) = self.marks[0];
        let passed = lived_ns.saturating_sub(lived).max(1);
        (busy_ns.saturating_sub(busy) as f64 / passed as f64).min(1.0)
    }
}

/// All shards under watch.
pub struct Watchdog {
    clock: Clock,
    ports: Vec<Arc<Port>>,
    /// In the order of the shards.
    pub watches: Vec<Watch>,
}

impl Watchdog {
    /// Watches these shards.
    #[must_use]
    pub fn new(clock: Clock, ports: Vec<Arc<Port>>) -> Watchdog {
        let watch = |_| Watch {
            sent: None,
            repeated: Mono(0),
            stalls: Histogram::new_with_bounds(1, STALL_US_MAX, 3)
                .expect("the bounds are constants that fit"),
            stall_us_sum: 0,
            marks: [(0, 0); 2],
        };
        let watches = ports.iter().map(watch).collect();
        Watchdog { clock, ports, watches }
    }

    /// One look at every shard: takes pongs in and pings again.
    pub fn tick(&mut self) {
        for (watch, port) in self.watches.iter_mut().zip(&self.ports) {
            let now = self.clock.mono();
            if let Some(sent) = watch.sent {
                let seen = port.pong();
                if seen < sent {
                    // A ping wakes whoever sleeps although there is work, but not whoever falls asleep behind it.
                    if now >= watch.repeated.plus_ms(PING_REPEAT_MS) {
                        watch.repeated = now;
                        port.ping();
                    }
                    continue;
                }
                let us = (seen.since(sent).as_micros() as u64).clamp(1, STALL_US_MAX);
                watch.stalls.saturating_record(us);
                watch.stall_us_sum += us;
            }
            (watch.sent, watch.repeated) = (Some(now), now);
            port.ping();
            if now >= Mono(watch.marks[1].0).plus_ms(RATIO_MS) {
                let figures = port.figures();
                watch.marks = [watch.marks[1], (figures.lived_ns, figures.busy_ns)];
            }
        }
    }

    /// Age of the ping that a shard has not seen yet, in seconds; zero if it has.
    #[must_use]
    pub fn unanswered_seconds(&self, shard: usize) -> f64 {
        let now = self.clock.mono();
        let waiting = self.watches[shard].sent.filter(|sent| self.ports[shard].pong() < *sent);
        waiting.map_or(0.0, |sent| now.since(sent).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_of_the_time_since_the_older_mark() {
        let watchdog = Watchdog::new(Clock::start(), Vec::new());
        assert!(watchdog.watches.is_empty());
        let stalls = Histogram::new_with_bounds(1, STALL_US_MAX, 3).expect("constants");
        let marks = [(1_000, 500), (2_000, 900)];
        let watch = Watch { sent: None, repeated: Mono(0), stalls, stall_us_sum: 0, marks };
        assert_eq!(watch.busy_ratio(3_000, 1_000), 0.25);
        assert_eq!((watch.busy_ratio(1_000, 500), watch.busy_ratio(0, 0)), (0.0, 0.0));
        assert_eq!(watch.busy_ratio(1_001, 9_000), 1.0);
    }
}
