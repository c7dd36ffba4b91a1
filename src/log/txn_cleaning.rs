//! What compaction must know of transactions while it goes through a log: which batches an aborted one wrote, and when
//! a marker that ends one has nothing left to end.
//!
//! Which transactions were aborted comes from outside, by first offset; markers are met on the way. Until there are
//! transactions that list is empty, and every transactional batch counts as committed.
//! Source: Kafka `CleanedTransactionMetadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corelane_base::id::{Offset, ProducerId};

use crate::batch::BatchHeader;

/// An aborted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first record.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
}

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKind {
    /// The transaction is undone.
    Abort,
    /// The transaction holds.
    Commit,
    /// Something else, which stays.
    Other,
}

impl ControlKind {
    /// Reads a control record's key: version i16, kind i16, big endian.
    #[must_use]
    pub fn of_key(key: Option<&[u8]>) -> ControlKind {
        match key.and_then(|key| key.get(2..4)) {
            Some([0, 0]) => ControlKind::Abort,
            Some([0, 1]) => ControlKind::Commit,
            _ => ControlKind::Other,
        }
    }
}

/// The transactions that are open at the place in the log. Batches are to be shown in the log's order.
#[derive(Debug, Default)]
pub struct CleanedTransactions {
    /// Not begun yet at the place, by first offset.
    aborted: VecDeque<AbortedTransaction>,
    /// Begun, committed later, with a batch seen.
    committed: BTreeSet<ProducerId>,
    /// Begun, aborted later, and whether a batch of it was seen.
    aborting: BTreeMap<ProducerId, bool>,
}

impl CleanedTransactions {
    /// At a place before all of `aborted`.
    #[must_use]
    pub fn new(mut aborted: Vec<AbortedTransaction>) -> CleanedTransactions {
        aborted.sort_by_key(|transaction| transaction.first_offset);
        CleanedTransactions { aborted: aborted.into(), ..CleanedTransactions::default() }
    }

    /// Steps over a batch of records. True: an aborted transaction wrote it, nobody will ever be shown it.
    pub fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some(seen) = self.aborting.get_mut(&header.producer_id()) {
            *seen = true;
            return true;
        }
        self.committed.insert(header.producer_id());
        false
    }

    /// Steps over a control batch; `kind` of its record, `None` if it has none any more. True: nothing of its
    /// transaction is left, so the marker may go once its time has come.
    pub fn on_control(&mut self, header: &BatchHeader, kind: Option<ControlKind>) -> bool {
        self.begin_up_to(header.last_offset());
        match kind {
            Some(ControlKind::Abort) => self.aborting.remove(&header.producer_id()) != Some(true),
            Some(ControlKind::Commit) => !self.committed.remove(&header.producer_id()),
            Some(ControlKind::Other) => false,
            None => true,
        }
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while let Some(first) = self.aborted.front().filter(|first| first.first_offset <= offset) {
            self.aborting.entry(first.producer_id).or_insert(false);
            self.aborted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use corelane_base::id::{LeaderEpoch, ProducerEpoch};
    use corelane_base::time::WallMs;

    use super::*;
    use crate::batch;
    use crate::builder::BatchBuilder;

    fn header(producer_id: i64, offset: i64, transactional: bool) -> BatchHeader {
        let mut builder = BatchBuilder::new();
        builder.producer_id = ProducerId(producer_id);
        builder.producer_epoch = ProducerEpoch(0);
        builder.base_sequence = 0;
        builder.transactional = transactional;
        builder.push(WallMs(0), Some(b"k"), None);
        let header = batch::peek(&builder.build()).expect("valid").expect("whole");
        header.at(Offset(offset), LeaderEpoch(0))
    }

    #[test]
    fn markers_go_when_their_transaction_has_gone() {
        let (abort, commit) = (Some(ControlKind::Abort), Some(ControlKind::Commit));
        let aborted = |producer_id, first, last| AbortedTransaction {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(first),
            last_offset: Offset(last),
        };
        let mut state = CleanedTransactions::new(vec![aborted(2, 30, 33), aborted(1, 10, 20)]);
        assert!(!state.on_batch(&header(1, 5, false)), "not of a transaction");
        assert!(!state.on_batch(&header(3, 6, true)), "committed later");
        assert!(state.on_batch(&header(1, 10, true)), "aborted later");
        assert!(!state.on_control(&header(3, 11, true), commit), "a batch of it is left");
        assert!(state.on_control(&header(3, 12, true), commit), "nothing of it is left");
        assert!(!state.on_control(&header(1, 20, true), abort), "a batch of it is left");
        assert!(!state.on_batch(&header(1, 21, true)), "the next one of the same producer is another");
        assert!(state.on_control(&header(2, 33, true), abort), "nothing of it is left");
        assert!(state.on_control(&header(9, 40, true), None), "emptied before");
        assert!(!state.on_control(&header(9, 41, true), Some(ControlKind::Other)));
    }

    #[test]
    fn kinds() {
        let check =
            |key: Option<&[u8]>, expected: ControlKind| assert_eq!(ControlKind::of_key(key), expected);
        check(Some(&[0, 0, 0, 0]), ControlKind::Abort);
        check(Some(&[0, 0, 0, 1]), ControlKind::Commit);
        check(Some(&[0, 0, 0, 2]), ControlKind::Other);
        check(Some(&[0, 0]), ControlKind::Other);
        check(None, ControlKind::Other);
        let marker = batch::tests::golden("marker");
        let (header, payload) = crate::records::payload(&marker, 1000).expect("valid");
        let record = crate::records::iter(&header, &payload).next().expect("one").expect("valid");
        assert_eq!(ControlKind::of_key(record.key), ControlKind::Commit);
    }
}
