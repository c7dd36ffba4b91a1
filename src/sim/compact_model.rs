//! What one compacted log may and must hold, kept beside it: every record handed in, every promise given, and how far
//! compaction was allowed to look.
//!
//! Knows nothing of segments, files or runs of compaction. A record may be gone only if a later one of its key stands
//! below what compaction was allowed to look at, or if it is a tombstone that has outlived its time. What is there is
//! there as it was appended, at its offset.

use std::collections::BTreeMap;

use crate::batch::{KeyedRecord, Producer, decode_keyed};
use crate::log_stand::{Ending, Model};

/// A batch as it was appended.
#[derive(Debug, Clone)]
pub struct AppendedBatch {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Who wrote it.
    pub producer: Producer,
    /// As the leader stored it.
    pub bytes: Vec<u8>,
}

/// What a read asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// From which offset.
    pub offset: i64,
    /// Up to which, exclusive.
    pub end: i64,
    /// How many bytes at most.
    pub bytes_max: u32,
    /// Whether the first batch is wanted whole even beyond that.
    pub whole_first: bool,
}

#[derive(Debug, Clone)]
struct Appended {
    record: KeyedRecord,
    /// When, by the wall clock at its earliest: a tombstone lives from then on.
    wall_ms: i64,
}

/// One log's model. Invariants: `log_start <= flushed <= log_end`; every offset below `log_end` has a record.
#[derive(Debug, Default)]
pub struct CompactModel {
    records: BTreeMap<i64, Appended>,
    batches: BTreeMap<i64, AppendedBatch>,
    /// The offsets of each key's records.
    keys: BTreeMap<Vec<u8>, Vec<i64>>,
    log_start: i64,
    /// What `log_start` may fall back to: its value in the last checkpoint stored.
    start_stored: i64,
    flushed: i64,
    log_end: i64,
    /// Compaction was allowed to look at everything below.
    seen: i64,
    /// The latest the wall clock has ever said.
    wall_ms_max: i64,
    /// `delete.retention.ms`.
    delete_retention_ms: i64,
    /// The last life ended in order.
    stopped_cleanly: bool,
}

impl CompactModel {
    /// An empty log.
    #[must_use]
    pub fn new(delete_retention_ms: i64) -> CompactModel {
        CompactModel { delete_retention_ms, ..CompactModel::default() }
    }

    /// The largest promise given.
    #[must_use]
    pub fn flushed(&self) -> i64 {
        self.flushed
    }

    /// A producer's last batch.
    #[must_use]
    pub fn last_batch_of(&self, producer_id: i64) -> Option<&AppendedBatch> {
        self.batches.values().rev().find(|batch| batch.producer.id == producer_id)
    }

    /// A batch was appended; `bytes` as stored.
    pub fn on_appended(&mut self, bytes: Vec<u8>, wall_ms: i64) {
        let (batch, records) = decode_keyed(&bytes).expect("what we built is sound").expect("and whole");
        assert_eq!(batch.base_offset, self.log_end, "appended batches are dense");
        assert_eq!(
            records.len() as i64,
            batch.last_offset + 1 - batch.base_offset,
            "and so are their records"
        );
        for (offset, record) in records {
            self.keys.entry(record.key.clone()).or_default().push(offset);
            self.records.insert(offset, Appended { record, wall_ms });
        }
        self.log_end = batch.last_offset + 1;
        let (base_offset, last_offset, producer) = (batch.base_offset, batch.last_offset, batch.producer);
        self.batches.insert(base_offset, AppendedBatch { base_offset, last_offset, producer, bytes });
    }

    /// The wall clock says this.
    pub fn on_wall(&mut self, wall_ms: i64) {
        self.wall_ms_max = self.wall_ms_max.max(wall_ms);
    }

    /// Compaction begins, and may look at everything below `end`.
    pub fn on_compaction(&mut self, end: i64) {
        assert!(end <= self.flushed, "nothing that is not flushed is compacted");
        self.seen = self.seen.max(end);
    }

    /// The log says where it starts. Panics: if it moves back, or beyond what is flushed.
    pub fn on_log_start(&mut self, log_start: i64) {
        assert!(log_start >= self.log_start, "log start fell from {} to {log_start}", self.log_start);
        assert!(log_start <= self.flushed, "log start {log_start} beyond what is flushed, {}", self.flushed);
        self.log_start = log_start;
    }

    /// Whether a record may not be gone.
    fn must_stay(&self, offset: i64) -> bool {
        if offset >= self.seen {
            return true;
        }
        let Some(appended) = self.records.get(&offset) else { return false };
        let offsets = &self.keys[&appended.record.key];
        let later = offsets[offsets.partition_point(|other| *other <= offset)..].first();
        if later.is_some_and(|later| *later < self.seen) {
            return false;
        }
        let old = self.wall_ms_max >= appended.wall_ms + self.delete_retention_ms;
        appended.record.value.is_some() || !old
    }

    /// The first record in `[from, to)` that may not be gone.
    #[must_use]
    pub fn first_that_stays(&self, from: i64, to: i64) -> Option<i64> {
        let from = from.max(self.log_start);
        if from >= to {
            return None;
        }
        self.records.range(from..to).map(|(offset, _)| *offset).find(|offset| self.must_stay(*offset))
    }

    /// Panics: if `bytes` are not what a read from `offset` up to `end` may give. Answers with the offset behind them
    /// and how many records they hold.
    pub fn check_read(
        &self,
        offset: i64,
        end: i64,
        bytes_max: u32,
        whole_first: bool,
        bytes: &[u8],
    ) -> (i64, u64) {
        let (mut rest, mut at, mut count) = (bytes, offset, 0);
        let mut first = None;
        while !rest.is_empty() {
            let found = decode_keyed(rest).unwrap_or_else(|problem| panic!("read from {offset}: {problem}"));
            let Some((batch, records)) = found else { break };
            let size = batch.size_bytes;
            assert!(batch.last_offset >= at, "read from {offset}: batch {} goes back", batch.base_offset);
            assert!(
                batch.base_offset < end,
                "read from {offset}: batch {} is not below {end}",
                batch.base_offset
            );
            first.get_or_insert(size);
            let before = self.first_that_stays(at, batch.base_offset);
            assert_eq!(before, None, "read from {offset}: lost before batch {}", batch.base_offset);
            self.check_batch(&batch.base_offset, batch.last_offset, batch.producer, &records, &rest[..size]);
            count += records.len() as u64;
            at = batch.last_offset + 1;
            rest = &rest[size..];
        }
        let first = first.unwrap_or_else(|| panic!("read from {offset}: not one whole batch"));
        assert!(
            bytes.len() <= bytes_max as usize || (whole_first && first == bytes.len()),
            "read from {offset}: too much"
        );
        (at, count)
    }

    fn check_batch(
        &self,
        base_offset: &i64,
        last_offset: i64,
        producer: Producer,
        records: &[(i64, KeyedRecord)],
        bytes: &[u8],
    ) {
        let appended =
            self.batches.get(base_offset).unwrap_or_else(|| panic!("batch {base_offset} is invented"));
        assert_eq!(appended.last_offset, last_offset, "batch {base_offset}");
        assert_eq!(appended.producer, producer, "batch {base_offset}");
        assert!(
            *base_offset < self.seen || appended.bytes == bytes,
            "batch {base_offset} was not to be touched"
        );
        let mut at = *base_offset;
        for (offset, record) in records {
            assert_eq!(Some(record), self.records.get(offset).map(|it| &it.record), "offset {offset}");
            assert_eq!(self.first_that_stays(at, *offset), None, "lost before {offset}");
            at = offset + 1;
        }
        assert_eq!(
            self.first_that_stays(at, last_offset + 1),
            None,
            "lost at the end of batch {base_offset}"
        );
    }

    /// Panics: if a look-up by time, of the first record at or after `timestamp` below `end`, may not answer so.
    pub fn check_time(&self, timestamp: i64, end: i64, found: Option<(i64, i64)>) {
        let until = found.map_or(end, |(offset, _)| offset);
        if let Some((offset, time)) = found {
            assert!(offset < end && time >= timestamp, "look-up of {timestamp} below {end}: {found:?}");
            assert_eq!(self.records.get(&offset).map(|it| it.record.timestamp_ms), Some(time), "at {offset}");
        }
        let from = self.log_start.min(until);
        let mut earlier =
            self.records.range(from..until).filter(|(_, it)| it.record.timestamp_ms >= timestamp);
        let missed = earlier.find(|(offset, _)| self.must_stay(**offset));
        assert!(missed.is_none(), "look-up of {timestamp} below {end}: {found:?}, not {missed:?}");
    }

    /// Panics: if a record is still there that compaction up to `cleaned` must have removed. `found`: all that is there.
    pub fn check_removed(&self, cleaned: i64, found: &[i64]) {
        for offset in found.iter().filter(|offset| **offset < cleaned) {
            let key = &self.records[offset].record.key;
            let later = self.keys[key].iter().find(|other| **other > *offset && **other < cleaned);
            assert_eq!(later, None, "{offset} is still there, though its key comes again");
        }
    }
}

impl Model for CompactModel {
    type Read = Asked;
    type Lookup = (i64, i64);

    fn log_start(&self) -> i64 {
        self.log_start
    }

    fn log_end(&self) -> i64 {
        self.log_end
    }

    fn on_flushed(&mut self, flushed: i64) {
        assert!(flushed >= self.flushed, "flushed offset fell from {} to {flushed}", self.flushed);
        assert!(flushed <= self.log_end, "flushed offset {flushed} beyond the end {}", self.log_end);
        self.flushed = flushed;
    }

    fn on_checkpoint_stored(&mut self, log_start: i64, _end: i64) {
        self.start_stored = self.start_stored.max(log_start);
    }

    fn on_ending(&mut self, ending: Ending) {
        self.stopped_cleanly = ending == Ending::Clean;
    }

    fn on_recovered(&mut self, log_start: i64, flushed: i64, log_end: i64) {
        let clean = self.stopped_cleanly;
        assert_eq!(flushed, log_end, "right after recovery everything found counts as flushed");
        let kept = if clean { self.log_end } else { self.flushed };
        assert!(log_end >= kept, "recovered up to {log_end} only, promised was {kept}");
        assert!(
            log_end <= self.log_end,
            "recovered up to {log_end}, appended was only up to {}",
            self.log_end
        );
        let boundary = log_end == self.log_end || self.batches.contains_key(&log_end);
        assert!(boundary, "recovered end {log_end} lies inside a batch");
        assert!(log_start >= self.start_stored, "log start {log_start} fell behind {}", self.start_stored);
        assert!(log_start <= self.log_start, "recovery moved log start to {log_start}");
        assert!(!clean || log_start == self.log_start, "a clean stop keeps log start");
        self.records.retain(|offset, _| *offset < log_end);
        self.batches.retain(|base, _| *base < log_end);
        for offsets in self.keys.values_mut() {
            offsets.retain(|offset| *offset < log_end);
        }
        (self.log_start, self.start_stored) = (log_start, log_start);
        (self.flushed, self.log_end) = (log_end, log_end);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::batch::{as_stored, encode_keyed};

    fn record(key: &str, value: Option<&str>) -> KeyedRecord {
        let value = value.map(|text| text.as_bytes().to_vec());
        KeyedRecord { timestamp_ms: 7, key: key.as_bytes().to_vec(), value }
    }

    fn batch(base_offset: i64, records: &[KeyedRecord]) -> Vec<u8> {
        as_stored(&encode_keyed(Producer::NONE, records), base_offset, 0, None)
    }

    /// Offsets 0 a, 1 b | 2 a | 3 c, a tombstone | 4 d; compaction may look below 4.
    fn model() -> (CompactModel, Vec<Vec<u8>>) {
        let batches = vec![
            batch(0, &[record("a", Some("1")), record("b", Some("2"))]),
            batch(2, &[record("a", Some("3"))]),
            batch(3, &[record("c", None)]),
            batch(4, &[record("d", Some("5"))]),
        ];
        let mut model = CompactModel::new(1_000);
        for bytes in &batches {
            model.on_appended(bytes.clone(), 100);
        }
        model.on_flushed(5);
        model.on_compaction(4);
        (model, batches)
    }

    fn fails(what: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(what)).is_err()
    }

    #[test]
    fn what_may_be_gone_and_what_may_not() {
        let (mut model, batches) = model();
        let read = |model: &CompactModel, bytes: &[u8]| model.check_read(0, 5, 10_000, true, bytes);
        read(&model, &batches.concat());
        assert_eq!(model.first_that_stays(0, 5), Some(1), "a comes again at 2");
        assert_eq!(model.first_that_stays(3, 4), Some(3), "a young tombstone");
        assert!(fails(|| _ = read(&model, &batches[1..].concat())), "b is lost");
        assert!(
            fails(|| _ = read(&model, &[&batches[0][..], &batches[2], &batches[3]].concat())),
            "a is lost"
        );
        assert!(
            fails(|| _ = read(&model, &[&batches[0][..], &batches[1], &batches[3]].concat())),
            "c is lost"
        );
        let changed = batch(2, &[record("a", Some("4"))]);
        assert!(fails(|| _ = read(&model, &[&batches[0][..], &changed].concat())), "another value");
        let moved = batch(1, &[record("a", Some("3"))]);
        assert!(fails(|| _ = read(&model, &moved)), "another offset");
        let alone = batch(4, &[record("e", Some("5"))]);
        assert!(fails(|| _ = model.check_read(4, 5, 10_000, true, &alone)), "invented");
        model.on_wall(1_100);
        read(&model, &[&batches[0][..], &batches[1], &batches[3]].concat());
        assert!(fails(|| model.check_removed(4, &[0, 1, 2])), "a at 0 must be gone");
        model.check_removed(4, &[1, 2]);
        model.check_time(7, 5, Some((0, 7)));
        model.check_time(7, 5, Some((1, 7)));
        assert!(fails(|| model.check_time(7, 5, Some((2, 7)))), "b at 1 comes first");
        assert!(fails(|| model.check_time(7, 5, None)), "there is one");
        model.check_time(8, 5, None);
    }

    #[test]
    fn promises() {
        let recover = |log_end: i64, clean: bool| {
            let (mut model, _) = model();
            model.on_appended(batch(5, &[record("e", None)]), 100);
            model.on_ending(if clean { Ending::Clean } else { Ending::Killed });
            fails(|| model.on_recovered(0, log_end, log_end))
        };
        assert!(recover(4, false), "5 was promised");
        assert!(!recover(5, false));
        assert!(!recover(6, false));
        assert!(recover(7, false), "invented");
        assert!(recover(5, true), "nothing may be missing");
    }
}
