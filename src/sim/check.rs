//! What clients were promised, and whether the broker keeps it.
//!
//! Every batch that any client sends has a number of its own inside its records, so that whatever is fetched can be
//! told apart. A batch is *placed* once its offset is known: by its acknowledgement, or because a consumer was shown
//! it. From then on it must stand there, alone and byte for byte, through every crash, until retention or a client
//! removes it from the front. A batch that turns up at two offsets, or at an offset beyond the high watermark, or after
//! it was refused, is a broken promise as much as one that is missing.
//!
//! A topic may promise less: with `corelane.durability=write` a power failure may take what was acknowledged, with
//! `memory` the end of the process too. Even then what is left is a prefix: once one batch is seen to be gone, all that
//! stood behind it must be, and once one is seen again, all before it are there. Nothing that is served may be damage.

use std::collections::{BTreeMap, BTreeSet};

use corelane_wire::error_code::ErrorCode;

use crate::batch::{Batch, as_stored, decode};
use crate::hash::StateHash;

/// Bytes in front of a record's value that say which batch and which record of it this is.
pub const VALUE_PREFIX_BYTES: usize = 12;

/// A partition as the simulation names it: number of the topic, number of the partition.
pub type Place = (usize, i32);

/// A batch's number, unique in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNo(pub usize);

/// What is known of a batch's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not answered, or answered in a way that leaves it open.
    Open,
    /// Acknowledged.
    Acked,
    /// Refused for good: it must never be seen.
    Refused,
    /// Acknowledged, and lost as it might be: it must never be seen again.
    Gone,
}

/// A batch that was sent.
#[derive(Debug)]
pub struct SentBatch {
    /// Where to.
    pub place: Place,
    /// As it left the client.
    pub bytes: Vec<u8>,
    /// How many records.
    pub count: i64,
    /// What came of it.
    pub verdict: Verdict,
    /// Its offset, once known.
    pub base_offset: Option<i64>,
    /// The broker's life in which that became known.
    since: u32,
}

/// What a partition has shown. Invariants: placed batches do not overlap; `log_start <= high_watermark`.
#[derive(Debug, Default)]
pub struct PartitionRecord {
    placed: BTreeMap<i64, BatchNo>,
    /// Offsets of placed batches that a crash may have taken: of these, any number from the end on. That they are
    /// deleted later does not answer whether they still were there then.
    doubtful: BTreeSet<i64>,
    /// How often acknowledged batches may have been lost.
    losses: u32,
    /// The broker's life that began after the last time.
    loss_life: u32,
    /// The largest seen; a later request must be told at least this.
    high_watermark: i64,
    /// The largest seen in this life of the broker.
    log_start: i64,
    /// The largest offset that a client has asked to delete up to.
    deleted_before: i64,
    /// The largest offset that a client was told is deleted up to: nothing brings it back.
    deleted_for_good: i64,
    /// Whether retention may move the start by itself.
    pub retained: bool,
}

/// Everything all clients know together.
#[derive(Debug, Default)]
pub struct Checker {
    sent: Vec<SentBatch>,
    partitions: BTreeMap<Place, PartitionRecord>,
    /// How often the broker has died.
    life: u32,
    /// Records compared.
    pub compared: u64,
    /// Batches acknowledged.
    pub acked: u64,
}

/// What was known of a partition when a request was sent: its answer must know at least as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Floor {
    /// The largest high watermark seen.
    pub high_watermark: i64,
    /// The largest log start seen in this life of the broker.
    pub log_start: i64,
    /// The largest offset that a client was told is deleted up to.
    pub deleted_for_good: i64,
    /// Which life: a log start that retention has raised since the last checkpoint may be forgotten in a crash.
    pub life: u32,
}

/// What a fetch brought from one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Where a consumer goes on.
    pub next_offset: i64,
    /// Batches seen.
    pub batches: u64,
}

impl PartitionRecord {
    /// Whether the log may by now start behind `offset`.
    #[must_use]
    pub fn may_start_beyond(&self, offset: i64) -> bool {
        self.retained || self.deleted_before > offset
    }

    /// How often acknowledged batches may have been lost: a producer that finds this changed knows nothing any more of
    /// what the broker remembers of it.
    #[must_use]
    pub fn losses(&self) -> u32 {
        self.losses
    }
}

impl Checker {
    /// A partition that clients may use.
    pub fn add_partition(&mut self, place: Place, retained: bool) {
        self.partitions.insert(place, PartitionRecord { retained, ..PartitionRecord::default() });
    }

    /// A partition's record.
    #[must_use]
    pub fn partition(&self, place: Place) -> &PartitionRecord {
        &self.partitions[&place]
    }

    /// The number that the next batch will have: it goes into its records before they are sent.
    #[must_use]
    pub fn next_no(&self) -> BatchNo {
        BatchNo(self.sent.len())
    }

    /// A batch is about to be sent.
    pub fn on_sent(&mut self, place: Place, bytes: Vec<u8>, count: i64) -> BatchNo {
        let no = self.next_no();
        self.sent.push(SentBatch {
            place,
            bytes,
            count,
            verdict: Verdict::Open,
            base_offset: None,
            since: 0,
        });
        no
    }

    /// A batch that was sent.
    #[must_use]
    pub fn batch(&self, no: BatchNo) -> &SentBatch {
        &self.sent[no.0]
    }

    /// How often the broker has died: goes with a request, so that its answer is held for true of that life only. It
    /// may come when that is over.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.life
    }

    /// An acknowledgement that carries an offset, of a request sent in that life.
    pub fn on_acked(&mut self, no: BatchNo, base_offset: i64, life: u32) {
        let place = self.sent[no.0].place;
        assert!(base_offset >= 0, "{place:?}: {no:?} acknowledged at {base_offset}");
        self.place(no, base_offset, life);
        let batch = &mut self.sent[no.0];
        assert_ne!(batch.verdict, Verdict::Refused, "{no:?} was refused");
        // Where something may have been lost since, it may be gone or not.
        if batch.base_offset.is_some() {
            batch.verdict = Verdict::Acked;
        }
        self.acked += 1;
        let end = base_offset + batch.count;
        let record = self.partitions.get_mut(&place).expect("batches go to known partitions");
        if life >= record.loss_life {
            record.high_watermark = record.high_watermark.max(end);
        }
    }

    /// An answer that says for certain that the batch is not in the log.
    pub fn on_refused(&mut self, no: BatchNo) {
        let batch = &mut self.sent[no.0];
        assert_eq!(batch.base_offset, None, "{no:?} is in the log, but refused");
        batch.verdict = Verdict::Refused;
    }

    /// Whether this answer to a produce request says for certain that nothing was appended.
    #[must_use]
    pub fn is_refusal(error: ErrorCode) -> bool {
        matches!(
            error,
            ErrorCode::MessageTooLarge
                | ErrorCode::RecordListTooLarge
                | ErrorCode::InvalidRecord
                | ErrorCode::InvalidTimestamp
                | ErrorCode::InvalidRequiredAcks
        )
    }

    /// What a request sent now must at least be told.
    #[must_use]
    pub fn floor(&self, place: Place) -> Floor {
        let PartitionRecord { high_watermark, log_start, deleted_for_good, .. } = self.partitions[&place];
        Floor { high_watermark, log_start, deleted_for_good, life: self.life }
    }

    /// A client asks to delete everything before an offset.
    pub fn on_delete_asked(&mut self, place: Place, before: i64) {
        let record = self.partitions.get_mut(&place).expect("a known partition");
        record.deleted_before = record.deleted_before.max(before);
    }

    /// A client is told that everything before an offset is deleted.
    pub fn on_deleted(&mut self, place: Place, low_watermark: i64) {
        let record = self.partitions.get_mut(&place).expect("a known partition");
        record.deleted_for_good = record.deleted_for_good.max(low_watermark);
    }

    /// The broker tells a partition's bounds in answer to a request sent when `floor` held. -1 tells nothing.
    pub fn on_bounds(&mut self, place: Place, floor: Floor, high_watermark: i64, log_start: i64) {
        let record = self.partitions.get_mut(&place).expect("a known partition");
        if high_watermark >= 0 {
            let known = if floor.life == self.life { floor.high_watermark } else { 0 };
            assert!(high_watermark >= known, "{place:?}: high watermark {high_watermark} after {known}");
            if floor.life >= record.loss_life {
                record.high_watermark = record.high_watermark.max(high_watermark);
            }
        }
        if log_start >= 0 {
            let known = floor.deleted_for_good;
            assert!(log_start >= known, "{place:?}: log start {log_start} though deleted up to {known}");
        }
        if log_start >= 0 && floor.life == self.life {
            assert!(
                log_start >= floor.log_start,
                "{place:?}: log start {log_start} after {}",
                floor.log_start
            );
            let allowed = record.retained || log_start <= record.deleted_before;
            assert!(
                allowed,
                "{place:?}: log start {log_start}, deleted is only up to {}",
                record.deleted_before
            );
            record.log_start = record.log_start.max(log_start);
            record.high_watermark = record.high_watermark.max(log_start);
            assert!(
                high_watermark < 0 || log_start <= high_watermark,
                "{place:?}: {log_start} > {high_watermark}"
            );
        }
    }

    /// The broker died. A log start that retention has raised since the last checkpoint may be forgotten; where `loses`
    /// says so, also what was acknowledged, from some offset on that is not below what was deleted for good.
    pub fn on_crash(&mut self, loses: impl Fn(Place) -> bool) {
        self.life += 1;
        for (place, record) in &mut self.partitions {
            record.log_start = 0;
            if loses(*place) {
                record.losses += 1;
                record.loss_life = self.life;
                record.high_watermark = record.deleted_for_good;
                // The batch in whose middle a deletion ended may be taken whole. What was in doubt before stays so, deleted
                // or not: since then another may stand in its place that reaches behind what is deleted.
                let deleted = record.deleted_for_good;
                let reaches = |(base, no): &(&i64, &BatchNo)| **base + self.sent[no.0].count > deleted;
                let cut = record.placed.range(..deleted).next_back().filter(reaches);
                let behind = record.placed.range(deleted..);
                record.doubtful.extend(cut.into_iter().chain(behind).map(|(base, _)| *base));
            }
        }
    }

    /// Bytes fetched from `asked` on; whole batches, the last may be cut short. Panics: if any is not what was sent,
    /// stands elsewhere than before, or lies beyond the high watermark told with it. The request was sent in that life.
    pub fn on_fetched(
        &mut self,
        place: Place,
        asked: i64,
        high_watermark: i64,
        bytes: &[u8],
        life: u32,
    ) -> Fetched {
        let mut fetched = Fetched { next_offset: asked, batches: 0 };
        let mut rest = bytes;
        while !rest.is_empty() {
            let batch = match decode(rest) {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => panic!("{place:?}: fetched from {asked}: {error}"),
            };
            let (this, behind) = rest.split_at(batch.size_bytes);
            if fetched.batches == 0 {
                assert!(
                    batch.base_offset <= asked,
                    "{place:?}: asked for {asked}, got {}",
                    batch.base_offset
                );
                assert!(
                    batch.last_offset >= asked,
                    "{place:?}: asked for {asked}, got up to {}",
                    batch.last_offset
                );
            } else {
                assert_eq!(batch.base_offset, fetched.next_offset, "{place:?}: offsets are dense");
            }
            assert!(batch.last_offset < high_watermark, "{place:?}: {} is unflushed", batch.last_offset);
            self.on_shown(place, &batch, this, life);
            fetched = Fetched { next_offset: batch.last_offset + 1, batches: fetched.batches + 1 };
            rest = behind;
        }
        fetched
    }

    /// After everything: the whole log, read in one go from its start. Panics: if an acknowledged batch is missing.
    pub fn check_complete(&mut self, place: Place, log_start: i64, high_watermark: i64) {
        while let Some(beyond) = self.doubtful_within(place, high_watermark, i64::MAX) {
            self.lose(place, beyond, u32::MAX);
        }
        let unseen = self.doubtful_within(place, log_start, i64::MAX);
        assert_eq!(unseen, None, "{place:?}: everything was read, and this was not seen");
        let record = &self.partitions[&place];
        for (base, no) in &record.placed {
            let batch = &self.sent[no.0];
            assert_eq!(batch.base_offset, Some(*base));
            assert!(
                *base + batch.count <= high_watermark,
                "{place:?}: {no:?} at {base} is beyond {high_watermark}"
            );
        }
        let mut covered = match record.placed.range(..=log_start).next_back() {
            Some((base, no)) if base + self.sent[no.0].count > log_start => *base,
            _ => log_start,
        };
        for (base, no) in record.placed.range(covered..) {
            assert_eq!(*base, covered, "{place:?}: a hole before {no:?}");
            covered = base + self.sent[no.0].count;
        }
        assert!(covered >= high_watermark, "{place:?}: nobody knows what is in {covered}..{high_watermark}");
    }

    /// Folds in what is known.
    pub fn hash_into(&self, hash: &mut StateHash) {
        for (place, record) in &self.partitions {
            hash.word(place.0 as u64);
            hash.word(place.1 as u64);
            hash.word(record.high_watermark as u64);
            for (base, no) in &record.placed {
                hash.word(*base as u64);
                hash.word(no.0 as u64);
            }
        }
    }

    /// A batch was shown to a consumer.
    fn on_shown(&mut self, place: Place, batch: &Batch, bytes: &[u8], life: u32) {
        self.compared += batch.records.len() as u64;
        let no = number_of(batch).unwrap_or_else(|| panic!("{place:?}: a batch nobody sent: {batch:?}"));
        let sent = self.sent.get(no.0).unwrap_or_else(|| panic!("{place:?}: {no:?} was never sent"));
        assert_eq!(sent.place, place, "{no:?} turns up elsewhere");
        assert_ne!(
            sent.verdict,
            Verdict::Refused,
            "{place:?}: {no:?} was refused, but is at {}",
            batch.base_offset
        );
        let gone = sent.verdict == Verdict::Gone && life >= self.partitions[&place].loss_life;
        assert!(!gone, "{place:?}: {no:?} was gone, but is at {}", batch.base_offset);
        let time = batch.is_append_time.then_some(batch.max_timestamp_ms);
        let expected = as_stored(&sent.bytes, batch.base_offset, batch.leader_epoch, time);
        assert!(expected == bytes, "{place:?}: {no:?} at {} is not as it was sent", batch.base_offset);
        self.place(no, batch.base_offset, life);
    }

    /// What stood at `base_offset` is gone: it was there in the life `since`, so a later crash has taken it, and with it
    /// all behind it that was there then.
    fn lose(&mut self, place: Place, base_offset: i64, since: u32) {
        let record = self.partitions.get_mut(&place).expect("a known partition");
        let behind: Vec<i64> = record.doubtful.range(base_offset..).copied().collect();
        for base in behind {
            let batch = &mut self.sent[record.placed[&base].0];
            if batch.since <= since {
                record.doubtful.remove(&base);
                record.placed.remove(&base);
                batch.base_offset = None;
                if batch.verdict == Verdict::Acked {
                    batch.verdict = Verdict::Gone;
                }
            }
        }
    }

    /// The batch at `base_offset` is there, and was since it became known: no crash has taken what was before it then
    /// or became known later.
    fn confirm(&mut self, place: Place, base_offset: i64) {
        let record = self.partitions.get_mut(&place).expect("a known partition");
        let since = self.sent[record.placed[&base_offset].0].since;
        record.doubtful.retain(|base| *base > base_offset || self.sent[record.placed[base].0].since < since);
    }

    /// A batch that may be gone and that stood somewhere in `[base_offset, end)`.
    fn doubtful_within(&self, place: Place, base_offset: i64, end: i64) -> Option<i64> {
        let record = &self.partitions[&place];
        let reaches = |base: &&i64| *base + self.sent[record.placed[base].0].count > base_offset;
        let before = record.doubtful.range(..base_offset).next_back().filter(reaches);
        before.or_else(|| record.doubtful.range(base_offset..end).next()).copied()
    }

    fn place(&mut self, no: BatchNo, base_offset: i64, life: u32) {
        let batch = &self.sent[no.0];
        let place = batch.place;
        let end = base_offset + batch.count;
        let record = self.partitions.get_mut(&place).expect("batches go to known partitions");
        if life < record.loss_life {
            // It was there before something may have been lost: now it may be there, if nothing else is.
            let before = record.placed.range(..end).next_back();
            let free = before.is_none_or(|(base, other)| base + self.sent[other.0].count <= base_offset);
            if free && batch.base_offset.is_none() && batch.verdict != Verdict::Gone {
                record.placed.insert(base_offset, no);
                record.doubtful.insert(base_offset);
                self.sent[no.0].base_offset = Some(base_offset);
                self.sent[no.0].since = life;
            }
            return;
        }
        if let Some(known) = batch.base_offset {
            if known == base_offset {
                return self.confirm(place, base_offset);
            }
            let may_be_lost = record.doubtful.contains(&known);
            assert!(may_be_lost, "{place:?}: {no:?} is at {known} and {base_offset}: twice, or it has moved");
            self.lose(place, known, self.sent[no.0].since);
        }
        // A batch that stood in this one's place must be gone.
        while let Some(other) = self.doubtful_within(place, base_offset, end) {
            self.lose(place, other, self.sent[self.partitions[&place].placed[&other].0].since);
        }
        self.sent[no.0].base_offset = Some(base_offset);
        self.sent[no.0].since = life;
        let record = self.partitions.get_mut(&place).expect("batches go to known partitions");
        if let Some((before, other)) = record.placed.range(..end).next_back() {
            let other_end = before + self.sent[other.0].count;
            assert!(
                other_end <= base_offset,
                "{place:?}: {no:?} at {base_offset}..{end} overlaps {other:?} at {before}..{other_end}"
            );
        }
        record.placed.insert(base_offset, no);
    }
}

/// The values of a batch's records, which say where they come from.
#[must_use]
pub fn value_of(no: BatchNo, index: usize, filler: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(VALUE_PREFIX_BYTES + filler);
    value.extend((no.0 as u64).to_be_bytes());
    value.extend((index as u32).to_be_bytes());
    value.resize(VALUE_PREFIX_BYTES + filler, no.0 as u8);
    value
}

fn number_of(batch: &Batch) -> Option<BatchNo> {
    let (number, _) = batch.records.first()?.value.split_first_chunk::<8>()?;
    Some(BatchNo(usize::try_from(u64::from_be_bytes(*number)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Producer, Record, encode};

    fn send(checker: &mut Checker, count: usize) -> BatchNo {
        let no = checker.next_no();
        let record = |index| Record { timestamp_ms: 5, key: None, value: value_of(no, index, 3) };
        let records: Vec<Record> = (0..count).map(record).collect();
        checker.on_sent((0, 0), encode(Producer::NONE, &records), count as i64)
    }

    fn stored(checker: &Checker, no: BatchNo, base_offset: i64) -> Vec<u8> {
        as_stored(&checker.batch(no).bytes, base_offset, 4, None)
    }

    fn broken(act: impl FnOnce(&mut Checker) + std::panic::UnwindSafe) -> bool {
        let mut checker = Checker::default();
        checker.add_partition((0, 0), false);
        std::panic::catch_unwind(move || act(&mut checker)).is_err()
    }

    #[test]
    fn promises_kept_pass() {
        assert!(!broken(|checker| {
            let (a, b) = (send(checker, 2), send(checker, 3));
            checker.on_acked(a, 0, checker.life());
            let bytes = [stored(checker, a, 0), stored(checker, b, 2)].concat();
            let fetched = checker.on_fetched((0, 0), 1, 5, &bytes, checker.life());
            assert_eq!(fetched, Fetched { next_offset: 5, batches: 2 });
            checker.check_complete((0, 0), 0, 5);
        }));
    }

    #[test]
    fn each_broken_promise_is_found() {
        assert!(broken(|c| {
            let a = send(c, 2);
            c.on_acked(a, 0, c.life());
            c.check_complete((0, 0), 0, 0);
        }));
        assert!(broken(|c| {
            let (a, b) = (send(c, 2), send(c, 2));
            c.on_acked(a, 0, c.life());
            c.on_acked(b, 1, c.life());
        }));
        assert!(broken(|c| {
            let a = send(c, 1);
            c.on_acked(a, 0, c.life());
            let bytes = stored(c, a, 1);
            c.on_fetched((0, 0), 1, 9, &bytes, c.life());
        }));
        assert!(broken(|c| {
            let a = send(c, 1);
            let bytes = stored(c, a, 0);
            c.on_fetched((0, 0), 0, 0, &bytes, c.life());
        }));
        assert!(broken(|c| {
            let a = send(c, 1);
            c.on_refused(a);
            let bytes = stored(c, a, 0);
            c.on_fetched((0, 0), 0, 1, &bytes, c.life());
        }));
        assert!(broken(|c| {
            let a = send(c, 1);
            let mut bytes = stored(c, a, 0);
            *bytes.last_mut().unwrap() ^= 1;
            c.on_fetched((0, 0), 0, 1, &bytes, c.life());
        }));
        let floor = |high_watermark| Floor { high_watermark, log_start: 0, deleted_for_good: 0, life: 0 };
        assert!(broken(|c| c.on_bounds((0, 0), floor(7), 6, 0)));
        assert!(broken(|c| c.on_bounds((0, 0), floor(0), 9, 3)));
        assert!(broken(|c| {
            c.on_delete_asked((0, 0), 3);
            c.on_deleted((0, 0), 3);
            c.on_crash(|_| false);
            c.on_bounds((0, 0), c.floor((0, 0)), 9, 2);
        }));
        assert!(broken(|c| {
            let (a, b) = (send(c, 1), send(c, 1));
            let bytes = [stored(c, a, 0), stored(c, b, 2)].concat();
            c.on_fetched((0, 0), 0, 9, &bytes, c.life());
        }));
    }

    /// Three batches of two records acknowledged, then a crash that may take them.
    fn three_in_doubt(c: &mut Checker) -> [BatchNo; 3] {
        let sent = [send(c, 2), send(c, 2), send(c, 2)];
        for (at, no) in sent.iter().enumerate() {
            c.on_acked(*no, 2 * at as i64, c.life());
        }
        c.on_crash(|_| true);
        sent
    }

    /// Three batches of two records acknowledged, deleted up to an offset, then a crash that may take the rest.
    fn deleted_then_crash(c: &mut Checker, before: i64) -> [BatchNo; 3] {
        let sent = [send(c, 2), send(c, 2), send(c, 2)];
        for (at, no) in sent.iter().enumerate() {
            c.on_acked(*no, 2 * at as i64, c.life());
        }
        c.on_delete_asked((0, 0), before);
        c.on_deleted((0, 0), before);
        c.on_crash(|_| true);
        sent
    }

    #[test]
    fn deletions_and_losses_meet() {
        // The log ends and begins in the middle of a batch that is gone.
        assert!(!broken(|c| {
            deleted_then_crash(c, 3);
            c.check_complete((0, 0), 3, 3);
        }));
        assert!(!broken(|c| {
            deleted_then_crash(c, 3);
            let fresh = send(c, 4);
            c.on_acked(fresh, 3, c.life());
            c.check_complete((0, 0), 3, 7);
        }));
        // It is still there.
        assert!(!broken(|c| {
            let [_, second, third] = deleted_then_crash(c, 3);
            let bytes = [stored(c, second, 2), stored(c, third, 4)].concat();
            c.on_fetched((0, 0), 3, 6, &bytes, c.life());
            c.check_complete((0, 0), 3, 6);
        }));
        // A batch was taken, another stood in its place and was cut by a deletion, all before that one was seen.
        assert!(!broken(|c| {
            let [first, ..] = three_in_doubt(c);
            let (unseen, cut) = (send(c, 1), send(c, 3));
            c.on_delete_asked((0, 0), 5);
            c.on_deleted((0, 0), 5);
            c.on_crash(|_| true);
            let bytes = stored(c, cut, 3);
            c.on_fetched((0, 0), 5, 6, &bytes, c.life());
            c.check_complete((0, 0), 5, 6);
            assert_eq!(c.batch(first).base_offset, Some(0));
            assert_eq!(c.batch(unseen).base_offset, None);
        }));
    }

    #[test]
    fn what_may_be_lost_is_lost_from_some_offset_on() {
        assert!(!broken(|c| {
            let [first, ..] = three_in_doubt(c);
            let fresh = send(c, 1);
            c.on_acked(fresh, 2, c.life());
            let bytes = [stored(c, first, 0), stored(c, fresh, 2)].concat();
            c.on_fetched((0, 0), 0, 3, &bytes, c.life());
            c.check_complete((0, 0), 0, 3);
        }));
        assert!(!broken(|c| {
            three_in_doubt(c);
            c.check_complete((0, 0), 0, 0);
        }));
        assert!(broken(|c| {
            three_in_doubt(c);
            c.check_complete((0, 0), 0, 4);
        }));
        // One behind another that is gone is there.
        assert!(broken(|c| {
            let [_, _, third] = three_in_doubt(c);
            let fresh = send(c, 2);
            c.on_acked(fresh, 2, c.life());
            let bytes = stored(c, third, 4);
            c.on_fetched((0, 0), 4, 6, &bytes, c.life());
            c.check_complete((0, 0), 0, 6);
        }));
        // One is gone in front of another that was seen again.
        assert!(broken(|c| {
            let [_, _, third] = three_in_doubt(c);
            let bytes = stored(c, third, 4);
            c.on_fetched((0, 0), 4, 6, &bytes, c.life());
            let fresh = send(c, 2);
            c.on_acked(fresh, 2, c.life());
        }));
        // What was deleted for good is given out anew.
        assert!(broken(|c| {
            deleted_then_crash(c, 2);
            let fresh = send(c, 2);
            c.on_acked(fresh, 1, c.life());
        }));
        // One in whose middle a deletion ended is neither there nor gone.
        assert!(broken(|c| {
            deleted_then_crash(c, 3);
            let fresh = send(c, 2);
            c.on_acked(fresh, 4, c.life());
            c.check_complete((0, 0), 3, 6);
        }));
        // What survives everything is lost.
        assert!(broken(|c| {
            let a = send(c, 2);
            c.on_acked(a, 0, c.life());
            c.on_crash(|_| false);
            let b = send(c, 2);
            c.on_acked(b, 0, c.life());
        }));
    }
}
