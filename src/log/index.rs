//! One segment's sparse index: from an offset or a time to a place in the file to start reading.
//!
//! Not exact: both look-ups give the start of a batch at or before the one wanted, and the reader goes on from there
//! by batch headers. One table answers both questions, because each entry also holds the largest timestamp before
//! it; Kafka keeps two files.
//!
//! Memory: 24 bytes an entry. With `index.interval.bytes` of 4096 that is 6 MiB for a full segment of 1 GiB, too
//! much for thousands of full segments, where a look-up costs a disk read anyway: [`SegmentIndex::thin`] brings
//! it to 384 KiB at one entry per 64 KiB.

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;
use crate::stored::{self, StoredError};

const KIND: [u8; 4] = *b"CLIX";
const VERSION: u16 = 1;
const ENTRY_SIZE: usize = 24;

/// The batch with a segment's largest timestamp (the first of them if several have it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaxTimestamp {
    /// The timestamp.
    pub timestamp: WallMs,
    /// The batch's base offset.
    pub base_offset: Offset,
    /// Where the batch starts in the file.
    pub position: u32,
}

/// The largest timestamp so far and the batch that has it. Timestamps below 0 do not count, -1 is "none".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Max {
    timestamp: i64,
    relative_offset: u32,
    position: u32,
}

const NO_MAX: Max = Max { timestamp: -1, relative_offset: 0, position: 0 };

/// A batch that can be found without reading what stands before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    /// Base offset of the batch, relative to the segment's.
    relative_offset: u32,
    /// Where the batch starts in the file.
    position: u32,
    /// Of all batches before this one.
    max_before: Max,
}

const _: () = assert!(size_of::<Entry>() == ENTRY_SIZE);

/// Index of one segment, at most 4 GiB and 2^31 offsets long.
///
/// Invariants: entries grow strictly in `position` and `relative_offset`; their `max_before` does not fall; the
/// first entry is the segment's first batch; all lie before `end_position`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentIndex {
    base_offset: Offset,
    interval_bytes: u32,
    /// Relative to `base_offset`: behind the last offset noted.
    next_relative_offset: u32,
    /// Behind the last batch noted.
    end_position: u32,
    max: Max,
    entries: Vec<Entry>,
}

impl SegmentIndex {
    /// The index of an empty segment that starts at `base_offset`; one entry per `interval_bytes` of batches.
    #[must_use]
    pub fn new(base_offset: Offset, interval_bytes: u32) -> SegmentIndex {
        assert!(base_offset.0 >= 0, "offsets start at 0");
        SegmentIndex {
            base_offset,
            interval_bytes,
            next_relative_offset: 0,
            end_position: 0,
            max: NO_MAX,
            entries: Vec::new(),
        }
    }

    /// The segment's first offset.
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset behind the last batch noted.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.next_relative_offset))
    }

    /// Where the last batch noted ends in the file; 0 if there is none.
    #[must_use]
    pub fn end_position(&self) -> u32 {
        self.end_position
    }

    /// Whether a batch ending at `last_offset` can be in this segment: offsets are kept relative to the base.
    #[must_use]
    pub fn fits(&self, last_offset: Offset) -> bool {
        let relative = last_offset.0.checked_sub(self.base_offset.0);
        relative.is_some_and(|relative| (0..i64::from(i32::MAX)).contains(&relative))
    }

    /// Notes the batch stored at `position`. Call for every batch in order, and during recovery only after `fits`
    /// and a look at `end_position` and `next_offset`. Panics: if it does not fit, overlaps its predecessor, or goes
    /// back in offsets.
    pub fn on_appended(&mut self, header: &BatchHeader, position: u32) {
        let (base_offset, last_offset) = (header.base_offset(), header.last_offset());
        assert!(self.fits(last_offset), "the caller rolls the segment first");
        assert!(base_offset >= self.next_offset(), "offsets grow");
        assert!(base_offset <= last_offset, "a checked batch has a last offset");
        assert!(position >= self.end_position, "batches do not overlap");
        let size_bytes = u32::try_from(header.size_bytes()).expect("12 + i32::MAX fits");
        let relative_offset = (base_offset.0 - self.base_offset.0) as u32;
        let due = self.entries.last().is_none_or(|last| position - last.position >= self.interval_bytes);
        if due {
            self.entries.push(Entry { relative_offset, position, max_before: self.max });
        }
        // A batch that compaction has emptied has a time, but no record of that time.
        if header.max_timestamp().0 > self.max.timestamp && header.record_count() > 0 {
            self.max = Max { timestamp: header.max_timestamp().0, relative_offset, position };
        }
        self.next_relative_offset = (last_offset.0 - self.base_offset.0) as u32 + 1;
        self.end_position = position.checked_add(size_bytes).expect("a segment stays below 4 GiB");
    }

    /// Where to start reading to find `offset`: a batch starts there, and it starts at or before the one with
    /// `offset`. The segment's first batch if nothing better is known, 0 if there is none at all.
    #[must_use]
    pub fn lookup_offset(&self, offset: Offset) -> u32 {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        let after = self.entries.partition_point(|entry| i64::from(entry.relative_offset) <= relative);
        self.position_of(after.saturating_sub(1))
    }

    /// Where to start reading to find the first record with `timestamp` or later: no batch before that place has
    /// one. `None`: the whole segment has none.
    #[must_use]
    pub fn lookup_time(&self, timestamp: WallMs) -> Option<u32> {
        if self.max == NO_MAX || self.max.timestamp < timestamp.0 {
            return None;
        }
        let after = self.entries.partition_point(|entry| entry.max_before.timestamp < timestamp.0);
        Some(self.position_of(after.saturating_sub(1)))
    }

    /// The last place known to be a batch's start at or before `position`: the batch's base offset and where it starts.
    #[must_use]
    pub fn border(&self, position: u32) -> Option<(Offset, u32)> {
        let after = self.entries.partition_point(|entry| entry.position <= position);
        let entry = self.entries.get(after.checked_sub(1)?)?;
        Some((self.base_offset.plus(i64::from(entry.relative_offset)), entry.position))
    }

    /// Goes on with an index of the same segment that begins where this one ends. Panics: if it does not. Returns whether
    /// its offsets do: they do not if this one was made from a damaged file, and then nothing changes.
    #[must_use]
    pub fn join(&mut self, behind: &SegmentIndex) -> bool {
        assert!(self.base_offset == behind.base_offset, "one segment");
        let Some(first) = behind.entries.first() else { return true };
        assert!(first.position == self.end_position, "the second begins where the first ends");
        if first.relative_offset < self.next_relative_offset {
            return false;
        }
        let max = self.max;
        let larger = |of: Max| if of.timestamp > max.timestamp { of } else { max };
        self.entries.extend(
            behind.entries.iter().map(|entry| Entry { max_before: larger(entry.max_before), ..*entry }),
        );
        self.max = larger(behind.max);
        self.next_relative_offset = behind.next_relative_offset;
        self.end_position = behind.end_position;
        true
    }

    /// Where the first batch noted starts.
    #[must_use]
    pub fn first_position(&self) -> Option<u32> {
        self.entries.first().map(|entry| entry.position)
    }

    fn position_of(&self, index: usize) -> u32 {
        self.entries.get(index).map_or(0, |entry| entry.position)
    }

    /// The segment's largest timestamp; `None` if no batch has any.
    #[must_use]
    pub fn max_timestamp(&self) -> Option<MaxTimestamp> {
        (self.max != NO_MAX).then(|| MaxTimestamp {
            timestamp: WallMs(self.max.timestamp),
            base_offset: self.base_offset.plus(i64::from(self.max.relative_offset)),
            position: self.max.position,
        })
    }

    /// Goes back to what was known at the last entry before `position`, after a truncation to there. Returns that
    /// entry's position: the caller reads the batches from there up to `position`, if any, and calls `on_appended`
    /// for each anew. `position` itself if the index is empty.
    pub fn rewind(&mut self, position: u32) -> u32 {
        let after = self.entries.partition_point(|entry| entry.position < position);
        let index = after.saturating_sub(1);
        let Some(&entry) = self.entries.get(index) else { return position };
        self.entries.truncate(index);
        self.max = entry.max_before;
        (self.next_relative_offset, self.end_position) = match index {
            0 => (0, 0),
            _ => (entry.relative_offset, entry.position),
        };
        entry.position
    }

    /// Keeps only entries that lie at least `interval_bytes` apart, to save memory in segments that are full.
    pub fn thin(&mut self, interval_bytes: u32) {
        self.interval_bytes = self.interval_bytes.max(interval_bytes);
        let mut kept: Option<u32> = None;
        self.entries.retain(|entry| {
            let keep = kept.is_none_or(|kept| entry.position - kept >= interval_bytes);
            if keep {
                kept = Some(entry.position);
            }
            keep
        });
        self.entries.shrink_to_fit();
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Appends the index's bytes to `out`.
    ///
    /// Shape: in the envelope `CLIX`: base offset i64, interval u32, next relative offset u32, end position u32, max,
    /// count u32, then the entries: relative offset u32, position u32, max. A max is a timestamp i64, relative
    /// offset u32 and position u32.
    pub fn encode(&self, out: &mut Vec<u8>) {
        stored::seal(out, KIND, VERSION, |out| {
            out.reserve(self.entries.len() * ENTRY_SIZE + 64);
            out.extend_from_slice(&self.base_offset.0.to_le_bytes());
            out.extend_from_slice(&self.interval_bytes.to_le_bytes());
            out.extend_from_slice(&self.next_relative_offset.to_le_bytes());
            out.extend_from_slice(&self.end_position.to_le_bytes());
            self.max.encode(out);
            let count = u32::try_from(self.entries.len()).expect("positions are u32 and grow");
            out.extend_from_slice(&count.to_le_bytes());
            for entry in &self.entries {
                out.extend_from_slice(&entry.relative_offset.to_le_bytes());
                out.extend_from_slice(&entry.position.to_le_bytes());
                entry.max_before.encode(out);
            }
        });
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<SegmentIndex, StoredError> {
        let mut fields = stored::open(bytes, KIND, VERSION)?;
        let base_offset = Offset(fields.i64()?);
        if !(0..=i64::MAX - i64::from(u32::MAX)).contains(&base_offset.0) {
            return Err(StoredError::Field("base_offset"));
        }
        let mut index = SegmentIndex::new(base_offset, fields.u32()?);
        index.next_relative_offset = fields.u32()?;
        index.end_position = fields.u32()?;
        index.max = Max::decode(&mut fields)?;
        let count = fields.count(ENTRY_SIZE)?;
        index.entries.reserve_exact(count);
        for _ in 0..count {
            let relative_offset = fields.u32()?;
            let position = fields.u32()?;
            index.entries.push(Entry { relative_offset, position, max_before: Max::decode(&mut fields)? });
        }
        fields.end()?;
        index.check_order()?;
        Ok(index)
    }

    fn check_order(&self) -> Result<(), StoredError> {
        for pair in self.entries.windows(2) {
            if pair[0].position >= pair[1].position {
                return Err(StoredError::Field("position"));
            }
            if pair[0].relative_offset >= pair[1].relative_offset {
                return Err(StoredError::Field("relative_offset"));
            }
            if pair[0].max_before.timestamp > pair[1].max_before.timestamp {
                return Err(StoredError::Field("max_before"));
            }
        }
        let Some(last) = self.entries.last() else { return Ok(()) };
        if last.position >= self.end_position {
            return Err(StoredError::Field("end_position"));
        }
        if last.relative_offset >= self.next_relative_offset || self.next_relative_offset > i32::MAX as u32 {
            return Err(StoredError::Field("next_relative_offset"));
        }
        if last.max_before.timestamp > self.max.timestamp {
            return Err(StoredError::Field("max"));
        }
        Ok(())
    }
}

impl Max {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_le_bytes());
        out.extend_from_slice(&self.relative_offset.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
    }

    fn decode(fields: &mut stored::Fields<'_>) -> Result<Max, StoredError> {
        Ok(Max { timestamp: fields.i64()?, relative_offset: fields.u32()?, position: fields.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use corelane_base::id::LeaderEpoch;
    use corelane_base::rng::Rng;

    use super::*;
    use crate::batch;
    use crate::builder::BatchBuilder;
    use crate::stored::tests::check_damage;

    const BASE: i64 = 1000;

    /// A batch as the index sees it.
    #[derive(Clone, Copy, Debug)]
    struct Seen {
        header: BatchHeader,
        position: u32,
    }

    fn seen(rng: &mut Rng, base_offset: i64, position: u32) -> Seen {
        let mut builder = BatchBuilder::new();
        for _ in 0..=rng.below(5) {
            let timestamp = if rng.one_in(10) { -1 } else { rng.below(500) as i64 };
            builder.push(WallMs(timestamp), None, Some(&vec![0; rng.below(300) as usize]));
        }
        let header = batch::peek(&builder.build()).expect("valid").expect("whole");
        Seen { header: header.at(Offset(base_offset), LeaderEpoch(0)), position }
    }

    fn draw(seed: u64) -> (SegmentIndex, Vec<Seen>) {
        let mut rng = Rng::new(seed);
        let mut index = SegmentIndex::new(Offset(BASE), rng.below(2000) as u32);
        let (mut offset, mut position) = (BASE + rng.below(3) as i64, rng.below(2) as u32 * 4096);
        let mut all = Vec::new();
        for _ in 0..rng.below(60) {
            let one = seen(&mut rng, offset, position);
            index.on_appended(&one.header, position);
            offset = one.header.next_offset().0 + rng.below(2) as i64;
            position += one.header.size_bytes() as u32;
            all.push(one);
        }
        (index, all)
    }

    /// An index with some entries whose timestamps grow between them.
    fn draw_long() -> SegmentIndex {
        let drawn = (0..).map(|seed| draw(seed).0);
        let mut long = drawn.filter(|index| index.entry_count() > 3 && index.entries[2].max_before != NO_MAX);
        long.next().expect("some seed has")
    }

    /// Holds every look-up against a walk over all batches.
    fn check(index: &SegmentIndex, all: &[Seen]) {
        let first = all.first().map_or(0, |one| one.position);
        let end = all.last().map_or(BASE, |one| one.header.next_offset().0);
        assert_eq!(index.next_offset(), Offset(end));
        for offset in BASE - 2..end + 2 {
            let found = index.lookup_offset(Offset(offset));
            let wanted = all.iter().rev().find(|one| one.header.base_offset().0 <= offset);
            assert!(found <= wanted.map_or(first, |one| one.position));
            assert!(found == first || all.iter().any(|one| one.position == found), "a batch starts there");
            let skipped = wanted.map_or(0, |one| one.position - found);
            assert!(skipped <= index.interval_bytes + 2000, "the index is as dense as it says");
        }
        for timestamp in 0..502 {
            let found = index.lookup_time(WallMs(timestamp));
            let wanted = all.iter().find(|one| one.header.max_timestamp().0 >= timestamp);
            assert_eq!(found.is_some(), wanted.is_some());
            if let (Some(found), Some(wanted)) = (found, wanted) {
                assert!(found <= wanted.position);
                assert!(all.iter().any(|one| one.position == found), "a batch starts there");
            }
        }
        let timestamp = all.iter().map(|one| one.header.max_timestamp()).max().filter(|max| max.0 >= 0);
        let one = all.iter().find(|one| Some(one.header.max_timestamp()) == timestamp);
        let expected = one.map(|one| (one.header.max_timestamp(), one.header.base_offset(), one.position));
        let found = index.max_timestamp().map(|max| (max.timestamp, max.base_offset, max.position));
        assert_eq!(found, expected);
    }

    #[test]
    fn look_ups_agree_with_a_walk_over_all_batches() {
        for seed in 0..200 {
            let (index, all) = draw(seed);
            check(&index, &all);
            let mut thin = index.clone();
            thin.thin(5000);
            assert!(thin.entry_count() <= index.entry_count());
            check(&thin, &all);
            let mut bytes = Vec::new();
            thin.encode(&mut bytes);
            assert_eq!(SegmentIndex::decode(&bytes), Ok(thin));
        }
    }

    #[test]
    fn rewinding_and_appending_anew_is_as_never_having_gone_further() {
        for seed in 0..200 {
            let (index, all) = draw(seed);
            for cut in 0..all.len() {
                let mut rewound = index.clone();
                let from = rewound.rewind(all[cut].position);
                assert!(from <= all[cut].position);
                for one in all[..cut].iter().filter(|one| one.position >= from) {
                    rewound.on_appended(&one.header, one.position);
                }
                check(&rewound, &all[..cut]);
                let mut straight = SegmentIndex::new(Offset(BASE), index.interval_bytes);
                all[..cut].iter().for_each(|one| straight.on_appended(&one.header, one.position));
                assert_eq!(rewound, straight, "seed {seed} cut {cut}");
            }
        }
        assert_eq!(SegmentIndex::new(Offset(0), 1).rewind(4096), 4096);
    }

    #[test]
    fn encodes_whole_and_refuses_damage() {
        let mut bytes = Vec::new();
        draw_long().encode(&mut bytes);
        check_damage(&bytes, SegmentIndex::decode);
    }

    #[test]
    fn tables_out_of_order_are_refused() {
        let check = |spoil: fn(&mut SegmentIndex), name: &'static str| {
            let mut index = draw_long();
            spoil(&mut index);
            let mut bytes = Vec::new();
            index.encode(&mut bytes);
            assert_eq!(SegmentIndex::decode(&bytes).err(), Some(StoredError::Field(name)));
        };
        check(|index| index.entries[1].position = index.entries[2].position, "position");
        check(|index| index.entries[1].relative_offset = index.entries[0].relative_offset, "relative_offset");
        check(|index| index.entries[1].max_before.timestamp = i64::MAX, "max_before");
        check(|index| index.end_position = index.entries[2].position, "end_position");
        check(|index| index.next_relative_offset = u32::MAX, "next_relative_offset");
        check(|index| index.next_relative_offset = 0, "next_relative_offset");
        check(|index| index.max = NO_MAX, "max");
    }

    #[test]
    fn what_fits_into_a_segment() {
        let index = SegmentIndex::new(Offset(BASE), 4096);
        let check = |offset: i64, fits: bool| assert_eq!(index.fits(Offset(offset)), fits, "{offset}");
        check(BASE - 1, false);
        check(BASE, true);
        check(BASE + i64::from(i32::MAX) - 1, true);
        check(BASE + i64::from(i32::MAX), false);
        check(i64::MAX, false);
        check(i64::MIN, false);
    }
}
