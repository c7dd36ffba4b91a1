//! What a thread of the load counts: totals over the run, and one second at a time for everybody who watches.
//!
//! A record belongs to the measurement if it was **meant to be sent** within it, however late it was sent, acknowledged or
//! read. Rates are counted by when things happened. An error is counted as an error and leaves no latency.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;

use crate::clock::SECOND;
use crate::hdr;

/// What happened in one second of the run.
#[derive(Clone)]
pub struct Second {
    /// Seconds since the load began.
    pub number: u32,
    /// Records acknowledged (acks=0: sent).
    pub produced: u64,
    /// Bytes of their values.
    pub produced_bytes: u64,
    /// Records received by measured consumers.
    pub consumed: u64,
    /// Bytes of their values.
    pub consumed_bytes: u64,
    /// Records refused, lost or unanswered.
    pub failed: u64,
    /// Intended to acknowledged.
    pub publish: Histogram<u64>,
    /// Intended to received.
    pub end_to_end: Histogram<u64>,
}

impl Second {
    /// An empty second.
    pub fn new(number: u32) -> Second {
        Second {
            number,
            produced: 0,
            produced_bytes: 0,
            consumed: 0,
            consumed_bytes: 0,
            failed: 0,
            publish: hdr::coarse(),
            end_to_end: hdr::coarse(),
        }
    }

    /// Adds another thread's account of the same second.
    pub fn add(&mut self, other: &Second) {
        self.produced += other.produced;
        self.produced_bytes += other.produced_bytes;
        self.consumed += other.consumed;
        self.consumed_bytes += other.consumed_bytes;
        self.failed += other.failed;
        hdr::merge(&mut self.publish, &other.publish);
        hdr::merge(&mut self.end_to_end, &other.end_to_end);
    }
}

/// What happened in the whole run.
pub struct Totals {
    /// Meant to be sent until handed to the socket.
    pub delay: Histogram<u64>,
    /// Meant to be sent until acknowledged.
    pub publish: Histogram<u64>,
    /// Request handed to the socket until answered; one value a request.
    pub request: Histogram<u64>,
    /// Meant to be sent until received by a consumer.
    pub end_to_end: Histogram<u64>,
    /// Records sent that belong to the measurement.
    pub sent: u64,
    /// ... of them acknowledged.
    pub acknowledged: u64,
    /// Acknowledged while it was measured, whenever meant to be sent: records, and bytes of their values.
    pub produced: (u64, u64),
    /// Received while it was measured: records, and bytes of their values.
    pub consumed: (u64, u64),
    /// Requests answered, produce and fetch, while it was measured.
    pub requests: (u64, u64),
    /// Records failed, by what was said; of the whole run.
    pub errors: BTreeMap<String, u64>,
    /// Failed fetches, by what was said; of the whole run.
    pub fetch_errors: BTreeMap<String, u64>,
}

impl Totals {
    /// Nothing counted.
    pub fn new() -> Totals {
        Totals {
            delay: hdr::fine(),
            publish: hdr::fine(),
            request: hdr::fine(),
            end_to_end: hdr::fine(),
            sent: 0,
            acknowledged: 0,
            produced: (0, 0),
            consumed: (0, 0),
            requests: (0, 0),
            errors: BTreeMap::new(),
            fetch_errors: BTreeMap::new(),
        }
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Totals) {
        hdr::merge(&mut self.delay, &other.delay);
        hdr::merge(&mut self.publish, &other.publish);
        hdr::merge(&mut self.request, &other.request);
        hdr::merge(&mut self.end_to_end, &other.end_to_end);
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        for (mine, theirs) in [
            (&mut self.produced, other.produced),
            (&mut self.consumed, other.consumed),
            (&mut self.requests, other.requests),
        ] {
            mine.0 += theirs.0;
            mine.1 += theirs.1;
        }
        for (mine, theirs) in
            [(&mut self.errors, &other.errors), (&mut self.fetch_errors, &other.fetch_errors)]
        {
            for (what, count) in theirs {
                *mine.entry(what.clone()).or_default() += count;
            }
        }
    }

    /// Records that failed, whatever the reason.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// One thread's account.
pub struct Tally {
    /// When the load began.
    start: u64,
    /// When it is measured.
    window: Range<u64>,
    /// The current second.
    pub second: Second,
    /// The run.
    pub totals: Totals,
}

impl Tally {
    /// An account that begins at `start` and measures during `window`.
    pub fn new(start: u64, window: Range<u64>) -> Tally {
        Tally { start, window, second: Second::new(0), totals: Totals::new() }
    }

    /// Whether something that happens now is measured.
    pub fn measures(&self, now: u64) -> bool {
        self.window.contains(&now)
    }

    /// The second that is over, if one is.
    pub fn turn(&mut self, now: u64) -> Option<Second> {
        let number = (now.saturating_sub(self.start) / SECOND) as u32;
        (number > self.second.number).then(|| std::mem::replace(&mut self.second, Second::new(number)))
    }

    /// So many records meant for `intended` were handed to the socket at `sent`.
    pub fn on_sent(&mut self, intended: u64, count: u64, sent: u64) {
        if self.window.contains(&intended) {
            self.totals.sent += count;
            self.totals.delay.saturating_record_n(sent.saturating_sub(intended), count);
        }
    }

    /// So many records meant for `intended` were acknowledged at `now`.
    pub fn on_acknowledged(&mut self, intended: u64, count: u64, now: u64) {
        let took = now.saturating_sub(intended);
        self.second.publish.saturating_record_n(took, count);
        if self.window.contains(&intended) {
            self.totals.acknowledged += count;
            self.totals.publish.saturating_record_n(took, count);
        }
    }

    /// Records of so many bytes were acknowledged at `now`.
    pub fn on_produced(&mut self, records: u64, bytes: u64, now: u64) {
        self.second.produced += records;
        self.second.produced_bytes += bytes;
        if self.measures(now) {
            self.totals.produced.0 += records;
            self.totals.produced.1 += bytes;
        }
    }

    /// A record of so many bytes, meant for `intended`, was received at `now`.
    pub fn on_received(&mut self, intended: u64, bytes: u64, now: u64) {
        let took = now.saturating_sub(intended);
        self.second.consumed += 1;
        self.second.consumed_bytes += bytes;
        self.second.end_to_end.saturating_record(took);
        if self.window.contains(&intended) {
            self.totals.end_to_end.saturating_record(took);
        }
        if self.window.contains(&now) {
            self.totals.consumed.0 += 1;
            self.totals.consumed.1 += bytes;
        }
    }

    /// Records failed.
    pub fn on_failed(&mut self, what: &str, records: u64) {
        self.second.failed += records;
        count(&mut self.totals.errors, what, records);
    }

    /// A fetch failed.
    pub fn on_fetch_failed(&mut self, what: &str) {
        count(&mut self.totals.fetch_errors, what, 1);
    }
}

fn count(into: &mut BTreeMap<String, u64>, what: &str, more: u64) {
    match into.get_mut(what) {
        Some(count) => *count += more,
        None => drop(into.insert(what.to_owned(), more)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_meant_decides_what_is_measured() {
        let mut tally = Tally::new(0, 10..20);
        for (intended, now) in [(9, 15), (10, 500), (19, 21), (20, 22)] {
            tally.on_sent(intended, 1, now);
            tally.on_acknowledged(intended, 1, now);
            tally.on_received(intended, 100, now);
        }
        assert_eq!((tally.totals.sent, tally.totals.acknowledged), (2, 2));
        assert_eq!(tally.totals.publish.len(), 2);
        assert_eq!(tally.totals.end_to_end.len(), 2);
        assert_eq!(tally.totals.consumed, (1, 100), "the rate counts by when it happened");
        assert_eq!(tally.second.publish.len(), 4, "the series shows everything");
    }

    #[test]
    fn an_error_leaves_no_latency() {
        let mut tally = Tally::new(0, 0..100);
        tally.on_sent(5, 1, 6);
        tally.on_failed("NotLeaderOrFollower", 1);
        assert_eq!((tally.totals.publish.len(), tally.totals.acknowledged, tally.totals.failed()), (0, 0, 1));
        assert_eq!(tally.second.failed, 1);
    }

    #[test]
    fn seconds_are_handed_over_once() {
        let mut tally = Tally::new(0, 0..100);
        tally.on_produced(3, 300, 1);
        assert!(tally.turn(SECOND - 1).is_none());
        let over = tally.turn(3 * SECOND).expect("a second is over");
        assert_eq!((over.number, over.produced), (0, 3));
        assert_eq!((tally.second.number, tally.second.produced), (3, 0));
    }

    #[test]
    fn totals_add_up() {
        let (mut one, mut two) = (Tally::new(0, 0..100), Tally::new(0, 0..100));
        one.on_failed("a", 1);
        two.on_failed("a", 2);
        two.on_failed("b", 3);
        two.on_acknowledged(1, 1, 2);
        one.totals.add(&two.totals);
        assert_eq!(one.totals.failed(), 6);
        assert_eq!(one.totals.errors.len(), 2);
        assert_eq!(one.totals.publish.len(), 1);
    }
}
