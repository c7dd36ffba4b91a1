//! Checks what consumers receive against what producers were told is stored: content, order, completeness.
//!
//! Every record carries its producer and a number that counts that producer's records in that partition. Per partition
//! and producer a [`Cell`] holds the next number to come. Nothing is kept per record.
//!
//! | a number that is  | means                                                                         |
//! |-------------------|-------------------------------------------------------------------------------|
//! | the next          | in order                                                                      |
//! | above the next    | records in between are absent so far: a gap                                   |
//! | below, in a gap   | arrived late: out of order                                                    |
//! | below, no gap     | arrived twice                                                                 |
//!
//! A batch that was refused leaves a gap by right; so gaps are held against refusals, and what is missing in the end
//! against what was acknowledged.

use serde_json::{Value, json};

use crate::content::{Pool, Stamp};

/// The most cells that one group of consumers may need, 16 bytes each.
pub const CELLS_MAX: u64 = 16 << 20;

/// Switches of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checks {
    /// Every byte and every batch's CRC.
    pub content: bool,
    /// Order, completeness, doubles.
    pub order: bool,
}

/// What was found; counts of records.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Findings {
    /// Received with a readable stamp.
    pub received: u64,
    /// With a wrong CRC, unreadable, or other bytes than the stamp promises.
    pub corrupt: u64,
    /// Received a second time.
    pub duplicates: u64,
    /// Received behind a record with a higher number.
    pub out_of_order: u64,
    /// Acknowledged and never received, by the end of the run.
    pub missing: u64,
    /// Neither acknowledged nor refused, and yet never received: allowed, but told.
    pub gaps: u64,
}

impl Findings {
    /// Adds what another consumer found.
    pub fn add(&mut self, other: &Findings) {
        self.received += other.received;
        self.corrupt += other.corrupt;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.missing += other.missing;
        self.gaps += other.gaps;
    }

    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.corrupt + self.duplicates + self.out_of_order + self.missing == 0
    }

    /// As part of the results.
    pub fn to_json(&self, checks: Checks) -> Value {
        json!({
            "content_checked": checks.content,
            "order_checked": checks.order,
            "passed": self.passed(),
            "received": self.received,
            "corrupt": self.corrupt,
            "duplicates": self.duplicates,
            "out_of_order": self.out_of_order,
            "missing": self.missing,
            "gaps": self.gaps,
        })
    }
}

/// One producer in one partition. `absent` counts the numbers below `next` that have not come.
#[derive(Clone, Copy, Default)]
struct Cell {
    next: u64,
    absent: u64,
}

/// The state of one consumer's partitions.
pub struct Checker {
    checks: Checks,
    producers: u32,
    cells: Vec<Cell>,
    findings: Findings,
}

impl Checker {
    /// For `partitions` partitions, each written by up to `producers` producers.
    pub fn new(checks: Checks, partitions: usize, producers: u32) -> Checker {
        let cells = if checks.order { partitions * producers as usize } else { 0 };
        Checker { checks, producers, cells: vec![Cell::default(); cells], findings: Findings::default() }
    }

    /// Takes note of a record in the consumer's partition number `partition`. Returns its stamp if it is to be counted;
    /// none if it is corrupt.
    pub fn on_record(&mut self, partition: usize, value: &[u8], pool: &Pool) -> Option<Stamp> {
        let stamp = Stamp::read(value);
        let sound = |stamp: &Stamp| {
            stamp.producer < self.producers && (!self.checks.content || pool.holds(stamp, value))
        };
        let Some(stamp) = stamp.filter(sound) else {
            self.findings.corrupt += 1;
            return None;
        };
        self.findings.received += 1;
        if self.checks.order {
            let cell = &mut self.cells[partition * self.producers as usize + stamp.producer as usize];
            if stamp.sequence >= cell.next {
                cell.absent += stamp.sequence - cell.next;
                cell.next = stamp.sequence + 1;
            } else if cell.absent > 0 {
                cell.absent -= 1;
                self.findings.out_of_order += 1;
            } else {
                self.findings.duplicates += 1;
            }
        }
        Some(stamp)
    }

    /// Takes note of records that could not be read at all.
    pub fn on_corrupt(&mut self, records: u64) {
        self.findings.corrupt += records;
    }

    /// Closes the account of partition number `partition` with what its producers were acknowledged, one count each.
    pub fn settle(&mut self, partition: usize, acknowledged: impl Iterator<Item = u64>) {
        if !self.checks.order {
            return;
        }
        let cells = &self.cells[partition * self.producers as usize..][..self.producers as usize];
        for (cell, acknowledged) in cells.iter().zip(acknowledged) {
            let received = cell.next - cell.absent;
            self.findings.missing += acknowledged.saturating_sub(received);
            self.findings.gaps += cell.absent;
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content;

    const ALL: Checks = Checks { content: true, order: true };

    /// Feeds numbers of producer 1 in partition 2 and settles with so many acknowledged.
    fn check(numbers: &[u64], acknowledged: u64, expected: Findings) {
        let pool = Pool::new(1, 1.0);
        let mut checker = Checker::new(ALL, 3, 2);
        for &number in numbers {
            let mut value = Vec::new();
            pool.write_value(&mut value, pool.fill(number, 60));
            content::stamp(&mut value, number, 5, 1);
            assert!(checker.on_record(2, &value, &pool).is_some());
        }
        checker.settle(2, [0, acknowledged].into_iter());
        assert_eq!(*checker.findings(), expected, "of {numbers:?}");
    }

    #[test]
    fn order_and_completeness() {
        let all = |received| Findings { received, ..Findings::default() };
        check(&[0, 1, 2], 3, all(3));
        check(&[0, 1, 2, 3], 3, all(4));
        check(&[0, 1, 1, 2], 3, Findings { duplicates: 1, ..all(4) });
        check(&[0, 2, 1], 3, Findings { out_of_order: 1, ..all(3) });
        check(&[0, 1], 3, Findings { missing: 1, ..all(2) });
        check(&[0, 3], 4, Findings { missing: 2, gaps: 2, ..all(2) });
        // Two records were refused: the gap is as it should be.
        check(&[0, 3], 2, Findings { gaps: 2, ..all(2) });
        check(&[], 1, Findings { missing: 1, ..all(0) });
    }

    #[test]
    fn only_losses_and_lies_fail() {
        let verdict = |findings: Findings| findings.passed();
        assert!(verdict(Findings { received: 9, gaps: 3, ..Findings::default() }));
        assert!(!verdict(Findings { missing: 1, ..Findings::default() }));
        assert!(!verdict(Findings { corrupt: 1, ..Findings::default() }));
        assert!(!verdict(Findings { duplicates: 1, ..Findings::default() }));
        assert!(!verdict(Findings { out_of_order: 1, ..Findings::default() }));
    }

    #[test]
    fn tampered_records_are_found() {
        let pool = Pool::new(1, 1.0);
        let mut value = Vec::new();
        pool.write_value(&mut value, pool.fill(1, 60));
        content::stamp(&mut value, 0, 5, 1);
        let found = |value: &[u8], checks| {
            let mut checker = Checker::new(checks, 1, 2);
            let stamp = checker.on_record(0, value, &pool);
            (stamp.is_some(), checker.findings().corrupt)
        };
        assert_eq!(found(&value, ALL), (true, 0));
        value[40] ^= 4;
        assert_eq!(found(&value, ALL), (false, 1));
        assert_eq!(
            found(&value, Checks { content: false, ..ALL }),
            (true, 0),
            "unchecked content is not seen"
        );
        value[40] ^= 4;
        assert_eq!(found(&value[..59], ALL), (false, 1), "a byte is gone");
        assert_eq!(found(&value[..20], ALL), (false, 1));
        content::stamp(&mut value, 0, 5, 2);
        assert_eq!(found(&value, ALL), (false, 1), "nobody has that number");
    }
}
