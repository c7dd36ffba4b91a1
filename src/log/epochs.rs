//! Which leader epoch wrote from which offset on: what followers and consumers compare to find where logs part.
//!
//! Not the current leader epoch of the partition, which may have written nothing yet. Held in memory whole: an entry
//! (16 bytes) exists only for an epoch that wrote, so there are as many as there were changes of leader within the
//! retention.
//! Source: KIP-101, KIP-279; Kafka `LeaderEpochFileCache`.

use corelane_base::id::{LeaderEpoch, Offset};

use crate::stored::{self, StoredError};

/// "No such epoch" on the wire.
pub const UNDEFINED_EPOCH: LeaderEpoch = LeaderEpoch(-1);
/// "No such offset" on the wire.
pub const UNDEFINED_OFFSET: Offset = Offset(-1);

const KIND: [u8; 4] = *b"CLEP";
const VERSION: u16 = 1;

/// One leader epoch's first offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    /// Whose.
    pub leader_epoch: LeaderEpoch,
    /// The offset of the first record it wrote, inclusive.
    pub start_offset: Offset,
}

/// The leader epochs of one log.
///
/// Invariants: `leader_epoch` and `start_offset` both grow strictly; neither is negative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    starts: Vec<EpochStart>,
}

impl Epochs {
    /// A log without records.
    #[must_use]
    pub fn new() -> Epochs {
        Epochs::default()
    }

    /// Notes that `leader_epoch` wrote from `start_offset` on; true if that changed anything.
    ///
    /// Call for every batch, or for the first of an epoch: an epoch that is known already keeps its earlier start.
    /// Entries that contradict the new one (a later epoch, or the same or a later start) are dropped: the log was
    /// truncated below them. Panics: if either is negative.
    pub fn assign(&mut self, leader_epoch: LeaderEpoch, start_offset: Offset) -> bool {
        assert!(leader_epoch.0 >= 0, "a leader has an epoch");
        assert!(start_offset.0 >= 0, "a record has an offset");
        if let Some(latest) = self.starts.last()
            && latest.leader_epoch == leader_epoch
            && latest.start_offset <= start_offset
        {
            return false;
        }
        while let Some(last) = self.starts.last()
            && (last.leader_epoch >= leader_epoch || last.start_offset >= start_offset)
        {
            self.starts.pop();
        }
        self.starts.push(EpochStart { leader_epoch, start_offset });
        true
    }

    /// The newest epoch that wrote something.
    #[must_use]
    pub fn latest(&self) -> Option<EpochStart> {
        self.starts.last().copied()
    }

    /// All, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// Which epoch wrote `offset`, as far as known. The latest one also answers for offsets not yet written.
    #[must_use]
    pub fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|start| start.start_offset <= offset);
        Some(self.starts[after.checked_sub(1)?].leader_epoch)
    }

    /// Where `requested` ended: the largest epoch at or below it, and the end of that epoch (exclusive).
    ///
    /// As Kafka answers `OffsetForLeaderEpoch`: the latest epoch ends at `log_end_offset`; one before the first
    /// known is answered under its own number with the start of the first known, because its data is gone; one
    /// above the latest is unknown: `(-1, -1)`, as is everything in a log without records.
    #[must_use]
    pub fn end_offset_for(&self, requested: LeaderEpoch, log_end_offset: Offset) -> (LeaderEpoch, Offset) {
        if requested == UNDEFINED_EPOCH {
            return (UNDEFINED_EPOCH, UNDEFINED_OFFSET);
        }
        if self.latest().is_some_and(|latest| latest.leader_epoch == requested) {
            return (requested, log_end_offset);
        }
        let higher = self.starts.partition_point(|start| start.leader_epoch <= requested);
        let Some(next) = self.starts.get(higher) else { return (UNDEFINED_EPOCH, UNDEFINED_OFFSET) };
        match higher.checked_sub(1) {
            Some(floor) => (self.starts[floor].leader_epoch, next.start_offset),
            None => (requested, next.start_offset),
        }
    }

    /// Forgets what lies before `log_start_offset`; the epoch that wrote that offset then starts there.
    pub fn trim_start(&mut self, log_start_offset: Offset) {
        let after = self.starts.partition_point(|start| start.start_offset <= log_start_offset);
        if let Some(keep) = after.checked_sub(1) {
            self.starts[keep].start_offset = log_start_offset;
            self.starts.drain(..keep);
        }
    }

    /// Forgets epochs that start at or behind `log_end_offset`, after a truncation.
    pub fn trim_end(&mut self, log_end_offset: Offset) {
        let keep = self.starts.partition_point(|start| start.start_offset < log_end_offset);
        self.starts.truncate(keep);
    }

    /// Appends the table's bytes to `out`.
    ///
    /// Shape: in the envelope `CLEP`: count u32, then for each epoch i32 and start offset i64.
    pub fn encode(&self, out: &mut Vec<u8>) {
        stored::seal(out, KIND, VERSION, |out| {
            let count = u32::try_from(self.starts.len()).expect("epochs are i32 and grow");
            out.extend_from_slice(&count.to_le_bytes());
            for start in &self.starts {
                out.extend_from_slice(&start.leader_epoch.0.to_le_bytes());
                out.extend_from_slice(&start.start_offset.0.to_le_bytes());
            }
        });
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it.
    pub fn decode(bytes: &[u8]) -> Result<Epochs, StoredError> {
        let mut fields = stored::open(bytes, KIND, VERSION)?;
        let count = fields.count(12)?;
        let mut epochs = Epochs { starts: Vec::with_capacity(count) };
        for _ in 0..count {
            let start =
                EpochStart { leader_epoch: LeaderEpoch(fields.i32()?), start_offset: Offset(fields.i64()?) };
            let last = epochs
                .latest()
                .unwrap_or(EpochStart { leader_epoch: UNDEFINED_EPOCH, start_offset: UNDEFINED_OFFSET });
            if start.leader_epoch <= last.leader_epoch {
                return Err(StoredError::Field("leader_epoch"));
            }
            if start.start_offset <= last.start_offset {
                return Err(StoredError::Field("start_offset"));
            }
            epochs.starts.push(start);
        }
        fields.end()?;
        Ok(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::tests::check_damage;

    fn epochs(starts: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::new();
        for &(leader_epoch, start_offset) in starts {
            epochs.assign(LeaderEpoch(leader_epoch), Offset(start_offset));
        }
        epochs
    }

    fn pairs(epochs: &Epochs) -> Vec<(i32, i64)> {
        epochs.starts().iter().map(|start| (start.leader_epoch.0, start.start_offset.0)).collect()
    }

    #[test]
    fn assign_keeps_first_starts_and_drops_what_contradicts() {
        let check = |starts: &[(i32, i64)], expected: &[(i32, i64)]| {
            assert_eq!(pairs(&epochs(starts)), expected, "{starts:?}");
        };
        check(&[], &[]);
        check(&[(0, 0), (0, 5), (0, 9)], &[(0, 0)]);
        check(&[(0, 0), (1, 5), (4, 9)], &[(0, 0), (1, 5), (4, 9)]);
        check(&[(0, 0), (1, 5), (2, 5)], &[(0, 0), (2, 5)]);
        check(&[(0, 0), (1, 5), (2, 3)], &[(0, 0), (2, 3)]);
        check(&[(0, 0), (3, 5), (2, 7)], &[(0, 0), (2, 7)]);
        check(&[(3, 5), (3, 4)], &[(3, 4)]);
        check(&[(2, 6), (3, 5)], &[(3, 5)]);
    }

    #[test]
    fn end_offsets_as_kafka_answers() {
        let some = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let check = |epochs: &Epochs, requested: i32, expected: (i32, i64)| {
            let (leader_epoch, offset) = epochs.end_offset_for(LeaderEpoch(requested), Offset(42));
            assert_eq!((leader_epoch.0, offset.0), expected, "requested {requested}");
        };
        check(&some, -1, (-1, -1));
        check(&some, 0, (0, 10));
        check(&some, 1, (1, 10));
        check(&some, 2, (2, 20));
        check(&some, 3, (2, 20));
        check(&some, 4, (4, 30));
        check(&some, 6, (4, 30));
        check(&some, 7, (7, 42));
        check(&some, 8, (-1, -1));
        check(&Epochs::new(), 0, (-1, -1));
    }

    #[test]
    fn epoch_of_an_offset() {
        let some = epochs(&[(2, 10), (4, 20)]);
        let check = |offset: i64, expected: Option<i32>| {
            assert_eq!(some.epoch_of(Offset(offset)).map(|epoch| epoch.0), expected, "{offset}");
        };
        check(9, None);
        check(10, Some(2));
        check(19, Some(2));
        check(20, Some(4));
        check(1000, Some(4));
    }

    #[test]
    fn trimming_at_both_ends() {
        let check = |trim: fn(&mut Epochs, Offset), offset: i64, expected: &[(i32, i64)]| {
            let mut some = epochs(&[(2, 10), (4, 20), (7, 30)]);
            trim(&mut some, Offset(offset));
            assert_eq!(pairs(&some), expected, "{offset}");
        };
        check(Epochs::trim_start, 9, &[(2, 10), (4, 20), (7, 30)]);
        check(Epochs::trim_start, 10, &[(2, 10), (4, 20), (7, 30)]);
        check(Epochs::trim_start, 15, &[(2, 15), (4, 20), (7, 30)]);
        check(Epochs::trim_start, 20, &[(4, 20), (7, 30)]);
        check(Epochs::trim_start, 99, &[(7, 99)]);
        check(Epochs::trim_end, 31, &[(2, 10), (4, 20), (7, 30)]);
        check(Epochs::trim_end, 30, &[(2, 10), (4, 20)]);
        check(Epochs::trim_end, 0, &[]);
    }

    #[test]
    fn encodes_whole_and_refuses_damage() {
        for starts in [&[][..], &[(0, 0)], &[(2, 10), (4, 20), (i32::MAX, i64::MAX)]] {
            let mut bytes = Vec::new();
            epochs(starts).encode(&mut bytes);
            assert_eq!(Epochs::decode(&bytes).as_ref().map(pairs), Ok(starts.to_vec()));
            check_damage(&bytes, Epochs::decode);
        }
    }

    #[test]
    fn tables_out_of_order_are_refused() {
        let check = |starts: [(i32, i64); 2], name: &'static str| {
            let starts = starts.map(|(leader_epoch, start_offset)| EpochStart {
                leader_epoch: LeaderEpoch(leader_epoch),
                start_offset: Offset(start_offset),
            });
            let mut bytes = Vec::new();
            Epochs { starts: starts.to_vec() }.encode(&mut bytes);
            assert_eq!(Epochs::decode(&bytes), Err(StoredError::Field(name)));
        };
        check([(1, 0), (1, 5)], "leader_epoch");
        check([(1, 5), (2, 5)], "start_offset");
        check([(-1, 5), (2, 6)], "leader_epoch");
        check([(1, -1), (2, 6)], "start_offset");
    }
}
