//! When each record is meant to be sent: open loop, decided before the broker is asked anything.
//!
//! A closed loop waits for an answer before it sends again, so a broker that stalls is asked less, and the stall is
//! measured once instead of by everyone who would have come meanwhile (coordinated omission). Here record `k` has its time
//! whatever happens; a latency counts from there. The total rate is dealt out to the producers in turns, so that
//! together they send evenly.

use crate::clock::SECOND;

/// The schedule of one producer among several.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    start: u64,
    /// Nanoseconds between two records of this producer.
    interval: f64,
    /// Nanoseconds from `start` to its first.
    phase: f64,
}

impl Pace {
    /// Producer `index` of `count`, which together send `rate` records a second from `start` on.
    ///
    /// Panics: if the rate is not positive or the index not below the count.
    pub fn new(start: u64, rate: f64, index: u32, count: u32) -> Pace {
        assert!(rate > 0.0, "a paced load has a rate");
        assert!(index < count, "the index is one of the producers");
        let between = SECOND as f64 / rate;
        Pace { start, interval: between * f64::from(count), phase: between * f64::from(index) }
    }

    /// When record `k` is meant to be sent.
    pub fn intended(&self, k: u64) -> u64 {
        self.start + (self.phase + k as f64 * self.interval) as u64
    }

    /// How many records are meant to have been sent by `now`: the first record that is not due yet.
    pub fn due(&self, now: u64) -> u64 {
        let Some(passed) = now.checked_sub(self.start) else { return 0 };
        let passed = passed as f64 - self.phase;
        if passed < 0.0 { 0 } else { (passed / self.interval) as u64 + 1 }
    }
}

/// The intended times of the records of one batch.
#[derive(Clone, Debug)]
pub enum Times {
    /// Records `first..first + count` of a pace.
    Even {
        /// The schedule.
        pace: Pace,
        /// The first record.
        first: u64,
        /// How many.
        count: u32,
    },
    /// All at one time: as fast as possible, where a record is meant to be sent when there is room for it.
    At {
        /// The time.
        ns: u64,
        /// How many.
        count: u32,
    },
    /// One time for each.
    List(Vec<u64>),
}

impl Times {
    /// How many records.
    pub fn count(&self) -> u32 {
        match self {
            Times::Even { count, .. } | Times::At { count, .. } => *count,
            Times::List(list) => list.len() as u32,
        }
    }

    /// Calls with each time and how many records have it, in order.
    pub fn for_each(&self, mut call: impl FnMut(u64, u64)) {
        match self {
            Times::Even { pace, first, count } => {
                (*first..first + u64::from(*count)).for_each(|k| call(pace.intended(k), 1));
            }
            Times::At { ns, count } => call(*ns, u64::from(*count)),
            Times::List(list) => list.iter().for_each(|&ns| call(ns, 1)),
        }
    }

    /// The time of record `index` of the batch. Panics: behind the last.
    pub fn of(&self, index: u32) -> u64 {
        match self {
            Times::Even { pace, first, .. } => pace.intended(first + u64::from(index)),
            Times::At { ns, .. } => *ns,
            Times::List(list) => list[index as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_due_from_its_time_on() {
        for (rate, index, count) in [(1000.0, 0, 1), (333.0, 2, 7), (1_000_000.0, 3, 4), (0.5, 0, 1)] {
            let pace = Pace::new(5 * SECOND, rate, index, count);
            assert_eq!(pace.due(0), 0);
            assert_eq!(pace.due(5 * SECOND - 1), 0);
            for k in [0, 1, 2, 10, 999, 1_000_000] {
                let at = pace.intended(k);
                // A nanosecond of rounding either way.
                assert!(pace.due(at + 1) > k, "rate {rate}: record {k} is due behind {at}");
                assert!(
                    pace.due(at.saturating_sub(1)) <= k,
                    "rate {rate}: record {k} is not due before {at}"
                );
            }
        }
    }

    #[test]
    fn producers_share_the_rate_evenly() {
        let paces: Vec<Pace> = (0..7).map(|index| Pace::new(0, 10_000.0, index, 7)).collect();
        for seconds in [1, 2, 60] {
            let due: u64 = paces.iter().map(|pace| pace.due(seconds * SECOND - 1)).sum();
            assert_eq!(due, 10_000 * seconds);
        }
        let mut times: Vec<u64> = paces.iter().flat_map(|pace| (0..100).map(|k| pace.intended(k))).collect();
        times.sort_unstable();
        assert!(times.windows(2).all(|pair| (99_999..=100_001).contains(&(pair[1] - pair[0]))));
    }

    #[test]
    fn a_stall_does_not_move_the_times() {
        let pace = Pace::new(0, 100.0, 0, 1);
        let before = pace.intended(50);
        assert_eq!(pace.due(10 * SECOND), 1001, "what fell due meanwhile is still to be sent");
        assert_eq!(pace.intended(50), before);
    }

    #[test]
    fn times_of_a_batch() {
        let pace = Pace::new(0, 1000.0, 0, 1);
        let even = Times::Even { pace, first: 10, count: 3 };
        assert_eq!((even.count(), even.of(0), even.of(2)), (3, 10_000_000, 12_000_000));
        let list = Times::List(vec![4, 9]);
        assert_eq!((list.count(), list.of(1)), (2, 9));
        for (times, expected) in [
            (even, vec![(10_000_000, 1), (11_000_000, 1), (12_000_000, 1)]),
            (list, vec![(4, 1), (9, 1)]),
            (Times::At { ns: 7, count: 5 }, vec![(7, 5)]),
        ] {
            let mut seen = Vec::new();
            times.for_each(|ns, count| seen.push((ns, count)));
            assert_eq!(seen, expected);
        }
    }
}
