//! What a log remembers of each idempotent producer, so that a batch sent twice is stored once.
//!
//! Not transactions: a batch's transactional bit is not looked at here. A control batch moves its producer's epoch
//! and nothing else.
//!
//! The rules, for a client's batch of a producer with an id:
//!
//! | the log knows | the batch | verdict |
//! |---|---|---|
//! | nothing of the producer | any sequence | append: what came before may have been deleted by retention |
//! | the same epoch | first and last sequence of one of the last five batches | duplicate |
//! | the same epoch | first sequence is the last known one + 1 (0 after `i32::MAX`) | append |
//! | the same epoch, no batch yet | first sequence 0 | append |
//! | the same epoch | else | out of order |
//! | an older epoch | first sequence 0 | append |
//! | an older epoch | else | out of order |
//! | a newer epoch | any | invalid epoch |
//!
//! Kafka 4 answers neither DUPLICATE_SEQUENCE_NUMBER nor UNKNOWN_PRODUCER_ID to a produce request any more; clients
//! treat OUT_OF_ORDER_SEQUENCE_NUMBER as what those said.
//!
//! Memory: about 220 bytes a producer, all kinds of batches alike. The number of producers is bounded; Kafka's is not,
//! and clients that make a new producer per record have brought brokers down. A displaced producer that comes back is
//! one the log knows nothing of: accepted, without protection for its first batch.
//! Source: KIP-98; Kafka `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`.

use core::fmt;
use std::collections::BTreeMap;

use corelane_base::id::{Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;
use crate::stored::{self, StoredError};

/// How many batches per producer can be recognised when they are sent again: as many as a producer may have under
/// way at once.
pub const BATCHES_KEPT: usize = 5;

const KIND: [u8; 4] = *b"CLPR";
const VERSION: u16 = 1;
const ENTRY_SIZE_MIN: usize = 19;

/// No slot.
const NIL: u32 = u32::MAX;

/// What to do with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is new: append it.
    Append,
    /// It is in the log already: answer as the first time, once `last_offset` is as durable as the client asks.
    Duplicate {
        /// Its first offset.
        base_offset: Offset,
        /// Its last offset, inclusive.
        last_offset: Offset,
        /// Its max timestamp: the log append time to answer where the topic has that.
        timestamp: WallMs,
    },
}

/// Why a producer's batch is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProducerError {
    /// Records in between are missing, or the batch is a repetition older than the last five.
    /// Kafka code: OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrderSequence {
        /// Who.
        producer_id: ProducerId,
        /// The batch's base sequence.
        base_sequence: i32,
        /// The last sequence in the log; -1 for none.
        last_sequence: i32,
    },
    /// A newer incarnation of the producer has written already. Kafka code: INVALID_PRODUCER_EPOCH.
    InvalidProducerEpoch {
        /// Who.
        producer_id: ProducerId,
        /// The batch's.
        producer_epoch: ProducerEpoch,
        /// The newest in the log.
        current_epoch: ProducerEpoch,
    },
}

impl fmt::Display for ProducerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProducerError::OutOfOrderSequence { producer_id, base_sequence, last_sequence } => {
                write!(f, "producer {producer_id} sent sequence {base_sequence} after {last_sequence}")
            }
            ProducerError::InvalidProducerEpoch { producer_id, producer_epoch, current_epoch } => {
                write!(f, "producer {producer_id} has epoch {producer_epoch}, the log {current_epoch}")
            }
        }
    }
}

/// One batch that a producer wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducedBatch {
    /// First sequence number.
    pub base_sequence: i32,
    /// Last sequence number, inclusive.
    pub last_sequence: i32,
    /// First offset.
    pub base_offset: Offset,
    /// Last offset, inclusive.
    pub last_offset: Offset,
    /// Max timestamp.
    pub timestamp: WallMs,
}

const NO_BATCH: ProducedBatch = ProducedBatch {
    base_sequence: -1,
    last_sequence: -1,
    base_offset: Offset(-1),
    last_offset: Offset(-1),
    timestamp: WallMs(-1),
};

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    last_timestamp: WallMs,
    /// The first `batch_count` are filled, oldest first, all of `producer_epoch`; the rest is `NO_BATCH`.
    batches: [ProducedBatch; BATCHES_KEPT],
    batch_count: u8,
}

impl ProducerEntry {
    fn new(producer_id: ProducerId) -> ProducerEntry {
        ProducerEntry {
            producer_id,
            producer_epoch: ProducerEpoch(-1),
            last_timestamp: WallMs(-1),
            batches: [NO_BATCH; BATCHES_KEPT],
            batch_count: 0,
        }
    }

    /// Its id.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        self.producer_id
    }

    /// Its newest epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        self.producer_epoch
    }

    /// The last batches, oldest first; none after a new epoch began without data.
    #[must_use]
    pub fn batches(&self) -> &[ProducedBatch] {
        &self.batches[..usize::from(self.batch_count)]
    }

    /// Its last sequence number; -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(-1, |batch| batch.last_sequence)
    }

    /// Timestamp of its last batch, which decides when it is forgotten.
    #[must_use]
    pub fn last_timestamp(&self) -> WallMs {
        self.last_timestamp
    }

    fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        let (producer_id, producer_epoch) = (header.producer_id(), header.producer_epoch());
        let (base_sequence, last_sequence) = (header.base_sequence(), header.last_sequence());
        if producer_epoch < self.producer_epoch {
            let current_epoch = self.producer_epoch;
            return Err(ProducerError::InvalidProducerEpoch { producer_id, producer_epoch, current_epoch });
        }
        let known = if producer_epoch == self.producer_epoch { self.batches() } else { &[] };
        let same = |batch: &&ProducedBatch| {
            (batch.base_sequence, batch.last_sequence) == (base_sequence, last_sequence)
        };
        if let Some(&ProducedBatch { base_offset, last_offset, timestamp, .. }) = known.iter().find(same) {
            return Ok(Verdict::Duplicate { base_offset, last_offset, timestamp });
        }
        let expected = match known.last() {
            None => 0,
            Some(last) if last.last_sequence == i32::MAX => 0,
            Some(last) => last.last_sequence + 1,
        };
        if base_sequence == expected {
            Ok(Verdict::Append)
        } else {
            let last_sequence = self.last_sequence();
            Err(ProducerError::OutOfOrderSequence { producer_id, base_sequence, last_sequence })
        }
    }

    fn on_appended(&mut self, header: &BatchHeader) {
        self.last_timestamp = header.max_timestamp();
        if self.producer_epoch != header.producer_epoch() {
            self.producer_epoch = header.producer_epoch();
            self.batches = [NO_BATCH; BATCHES_KEPT];
            self.batch_count = 0;
        }
        if header.is_control() {
            return;
        }
        self.push(ProducedBatch {
            base_sequence: header.base_sequence(),
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp(),
        });
    }

    fn push(&mut self, batch: ProducedBatch) {
        if usize::from(self.batch_count) == BATCHES_KEPT {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[usize::from(self.batch_count)] = batch;
        self.batch_count += 1;
    }
}

/// An entry in the list that runs from the longest silent producer to the one that wrote last.
#[derive(Clone, Debug)]
struct Slot {
    entry: ProducerEntry,
    older: u32,
    newer: u32,
}

/// The producers of one log, at most `count_max`.
///
/// Invariants: `slots` of every producer in the map hang in one list from `oldest` to `newest`; `free` names the
/// others; the map holds at most `count_max`.
#[derive(Clone, Debug)]
pub struct Producers {
    count_max: usize,
    by_id: BTreeMap<ProducerId, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
}

impl Producers {
    /// A log without producers. Panics: if `count_max` is 0 or does not fit into 32 bits.
    #[must_use]
    pub fn new(count_max: usize) -> Producers {
        assert!(count_max > 0, "a producer that writes must have room");
        assert!(
            u32::try_from(count_max).is_ok_and(|count_max| count_max < NIL),
            "slots are numbered in 32 bits"
        );
        Producers {
            count_max,
            by_id: BTreeMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            oldest: NIL,
            newest: NIL,
        }
    }

    /// Decides on a client's checked batch; changes nothing. A batch without producer id is always appended.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        if !header.has_producer() {
            return Ok(Verdict::Append);
        }
        self.get(header.producer_id()).map_or(Ok(Verdict::Append), |entry| entry.check(header))
    }

    /// Remembers an appended batch: `header` as stamped. Call for every batch, from a client, from a leader or read
    /// back during recovery; nothing is checked again. A new producer beyond the cap displaces the one that has
    /// been silent longest.
    pub fn on_appended(&mut self, header: &BatchHeader) {
        if header.has_producer() {
            self.touch(header.producer_id()).on_appended(header);
        }
    }

    /// Forgets producers whose last batch is `producer_id_expiration_ms` old or older. Returns how many.
    pub fn expire(&mut self, now: WallMs, producer_id_expiration_ms: i64) -> usize {
        let is_old =
            |entry: &ProducerEntry| now.0.saturating_sub(entry.last_timestamp.0) >= producer_id_expiration_ms;
        let old: Vec<ProducerId> =
            self.iter().filter(|entry| is_old(entry)).map(ProducerEntry::producer_id).collect();
        for &producer_id in &old {
            let slot = self.by_id.remove(&producer_id).expect("iter gives what the map holds");
            self.unlink(slot);
            self.free.push(slot);
        }
        if self.by_id.is_empty() {
            *self = Producers::new(self.count_max);
        }
        old.len()
    }

    /// How many producers are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// What is known of one producer.
    #[must_use]
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.by_id.get(&producer_id).map(|&slot| &self.slots[slot as usize].entry)
    }

    /// All, longest silent first.
    pub fn iter(&self) -> impl Iterator<Item = &ProducerEntry> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let slot = self.slots.get(next as usize)?;
            next = slot.newer;
            Some(&slot.entry)
        })
    }

    /// Appends the state's bytes to `out`, longest silent producer first.
    ///
    /// Shape: in the envelope `CLPR`: count u32, then for each producer id i64, epoch i16, last timestamp i64, count
    /// u8 of batches, and for each batch base sequence i32, last sequence i32, base offset i64, last offset i64,
    /// timestamp i64.
    pub fn encode(&self, out: &mut Vec<u8>) {
        stored::seal(out, KIND, VERSION, |out| {
            let count = u32::try_from(self.count()).expect("the cap fits");
            out.extend_from_slice(&count.to_le_bytes());
            for entry in self.iter() {
                out.extend_from_slice(&entry.producer_id.0.to_le_bytes());
                out.extend_from_slice(&entry.producer_epoch.0.to_le_bytes());
                out.extend_from_slice(&entry.last_timestamp.0.to_le_bytes());
                out.push(entry.batch_count);
                for batch in entry.batches() {
                    out.extend_from_slice(&batch.base_sequence.to_le_bytes());
                    out.extend_from_slice(&batch.last_sequence.to_le_bytes());
                    out.extend_from_slice(&batch.base_offset.0.to_le_bytes());
                    out.extend_from_slice(&batch.last_offset.0.to_le_bytes());
                    out.extend_from_slice(&batch.timestamp.0.to_le_bytes());
                }
            }
        });
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it. If it holds more than `count_max` producers (the
    /// cap was lowered), the longest silent ones are left out.
    pub fn decode(bytes: &[u8], count_max: usize) -> Result<Producers, StoredError> {
        let mut fields = stored::open(bytes, KIND, VERSION)?;
        let count = fields.count(ENTRY_SIZE_MIN)?;
        let mut producers = Producers::new(count_max);
        for _ in 0..count {
            let producer_id = ProducerId(fields.i64()?);
            if producer_id.0 < 0 || producers.by_id.contains_key(&producer_id) {
                return Err(StoredError::Field("producer_id"));
            }
            let entry = producers.touch(producer_id);
            entry.producer_epoch = ProducerEpoch(fields.i16()?);
            entry.last_timestamp = WallMs(fields.i64()?);
            let batch_count = fields.u8()?;
            if usize::from(batch_count) > BATCHES_KEPT {
                return Err(StoredError::Field("batch_count"));
            }
            for _ in 0..batch_count {
                entry.push(ProducedBatch::decode(&mut fields)?);
            }
        }
        fields.end()?;
        Ok(producers)
    }

    /// The producer's entry, made if need be, as the newest of the list.
    fn touch(&mut self, producer_id: ProducerId) -> &mut ProducerEntry {
        let slot = match self.by_id.get(&producer_id) {
            Some(&slot) => {
                if slot != self.newest {
                    self.unlink(slot);
                    self.link_newest(slot);
                }
                slot
            }
            None => self.insert(producer_id),
        };
        &mut self.slots[slot as usize].entry
    }

    fn insert(&mut self, producer_id: ProducerId) -> u32 {
        if self.by_id.len() == self.count_max {
            let displaced = self.oldest;
            self.by_id.remove(&self.slots[displaced as usize].entry.producer_id);
            self.unlink(displaced);
            self.free.push(displaced);
        }
        let slot = Slot { entry: ProducerEntry::new(producer_id), older: NIL, newer: NIL };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                u32::try_from(self.slots.len() - 1).expect("no more slots than the cap")
            }
        };
        self.by_id.insert(producer_id, index);
        self.link_newest(index);
        index
    }

    fn unlink(&mut self, index: u32) {
        let Slot { older, newer, .. } = self.slots[index as usize];
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
    }

    fn link_newest(&mut self, index: u32) {
        let older = self.newest;
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = index,
            None => self.oldest = index,
        }
        self.slots[index as usize].older = older;
        self.slots[index as usize].newer = NIL;
        self.newest = index;
    }
}

impl ProducedBatch {
    fn decode(fields: &mut stored::Fields<'_>) -> Result<ProducedBatch, StoredError> {
        let batch = ProducedBatch {
            base_sequence: fields.i32()?,
            last_sequence: fields.i32()?,
            base_offset: Offset(fields.i64()?),
            last_offset: Offset(fields.i64()?),
            timestamp: WallMs(fields.i64()?),
        };
        if batch.base_offset.0 < 0 || batch.last_offset < batch.base_offset {
            return Err(StoredError::Field("last_offset"));
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use corelane_base::id::LeaderEpoch;
    use corelane_base::rng::Rng;

    use super::*;
    use crate::batch;
    use crate::builder::BatchBuilder;
    use crate::stored::tests::check_damage;

    /// A stamped batch of `record_count` records.
    fn header(producer: (i64, i16), base_sequence: i32, record_count: i32, base_offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new();
        builder.producer_id = ProducerId(producer.0);
        builder.producer_epoch = ProducerEpoch(producer.1);
        builder.base_sequence = base_sequence;
        for _ in 0..record_count {
            builder.push(WallMs(base_offset), None, None);
        }
        let header = batch::peek(&builder.build()).expect("valid").expect("whole");
        header.at(Offset(base_offset), LeaderEpoch(0))
    }

    fn control(producer: (i64, i16), base_offset: i64) -> BatchHeader {
        let mut builder = BatchBuilder::new();
        builder.producer_id = ProducerId(producer.0);
        builder.producer_epoch = ProducerEpoch(producer.1);
        builder.control = true;
        builder.push(WallMs(base_offset), None, None);
        let header = batch::peek(&builder.build()).expect("valid").expect("whole");
        header.at(Offset(base_offset), LeaderEpoch(0))
    }

    #[derive(PartialEq, Debug)]
    enum Short {
        Append,
        Duplicate(i64, i64),
        OutOfOrder,
        BadEpoch,
    }

    fn short(verdict: Result<Verdict, ProducerError>) -> Short {
        match verdict {
            Ok(Verdict::Append) => Short::Append,
            Ok(Verdict::Duplicate { base_offset, last_offset, .. }) => {
                Short::Duplicate(base_offset.0, last_offset.0)
            }
            Err(ProducerError::OutOfOrderSequence { .. }) => Short::OutOfOrder,
            Err(ProducerError::InvalidProducerEpoch { .. }) => Short::BadEpoch,
        }
    }

    #[test]
    fn verdicts_after_seven_batches_of_ten() {
        let mut producers = Producers::new(10);
        for number in 0..7 {
            producers.on_appended(&header((7, 2), number * 10, 10, 100 + i64::from(number) * 10));
        }
        let check = |producer: (i64, i16), base_sequence: i32, record_count: i32, expected: Short| {
            let found = short(producers.check(&header(producer, base_sequence, record_count, 0)));
            assert_eq!(found, expected, "{producer:?} {base_sequence} {record_count}");
        };
        check((7, 2), 70, 1, Short::Append);
        check((7, 2), 71, 1, Short::OutOfOrder);
        check((7, 2), 69, 1, Short::OutOfOrder);
        check((7, 2), 60, 10, Short::Duplicate(160, 169));
        check((7, 2), 20, 10, Short::Duplicate(120, 129));
        check((7, 2), 10, 10, Short::OutOfOrder);
        check((7, 2), 60, 9, Short::OutOfOrder);
        check((7, 2), 60, 11, Short::OutOfOrder);
        check((7, 2), 0, 10, Short::OutOfOrder);
        check((7, 3), 0, 10, Short::Append);
        check((7, 3), 70, 10, Short::OutOfOrder);
        check((7, 1), 70, 10, Short::BadEpoch);
        check((7, 1), 60, 10, Short::BadEpoch);
        check((8, 0), 0, 1, Short::Append);
        check((8, 0), 12345, 1, Short::Append);
        check((-1, -1), -1, 1, Short::Append);
    }

    #[test]
    fn sequences_wrap_and_a_wrapped_batch_is_recognised() {
        let mut producers = Producers::new(10);
        producers.on_appended(&header((7, 0), i32::MAX - 1, 4, 0));
        assert_eq!(producers.get(ProducerId(7)).map(ProducerEntry::last_sequence), Some(1));
        assert_eq!(short(producers.check(&header((7, 0), i32::MAX - 1, 4, 0))), Short::Duplicate(0, 3));
        assert_eq!(short(producers.check(&header((7, 0), 2, 1, 0))), Short::Append);
        producers.on_appended(&header((7, 0), i32::MAX, 1, 4));
        assert_eq!(short(producers.check(&header((7, 0), 0, 1, 0))), Short::Append);
    }

    #[test]
    fn a_control_batch_moves_the_epoch_and_then_sequences_start_at_zero() {
        let mut producers = Producers::new(10);
        producers.on_appended(&header((7, 0), 5, 5, 0));
        producers.on_appended(&control((7, 0), 5));
        assert_eq!(short(producers.check(&header((7, 0), 10, 1, 0))), Short::Append);
        producers.on_appended(&control((7, 1), 6));
        assert_eq!(short(producers.check(&header((7, 1), 10, 1, 0))), Short::OutOfOrder);
        assert_eq!(short(producers.check(&header((7, 1), 0, 1, 0))), Short::Append);
        assert_eq!(short(producers.check(&header((7, 0), 10, 1, 0))), Short::BadEpoch);
    }

    #[test]
    fn the_longest_silent_producer_gives_way() {
        let mut producers = Producers::new(3);
        for (offset, id) in [1, 2, 3, 1, 4, 5].into_iter().enumerate() {
            producers.on_appended(&header((id, 0), 0, 1, offset as i64));
            assert!(producers.count() <= 3);
        }
        let ids: Vec<i64> = producers.iter().map(|entry| entry.producer_id().0).collect();
        assert_eq!(ids, [1, 4, 5]);
        assert!(producers.slots.len() <= 3, "slots are used again");
    }

    #[test]
    fn silent_producers_expire() {
        let mut producers = Producers::new(10);
        for (id, time) in [(1, 100), (2, 50), (3, 200)] {
            producers.on_appended(&header((id, 0), 0, 1, time));
        }
        assert_eq!(producers.expire(WallMs(149), 100), 0);
        assert_eq!(producers.expire(WallMs(150), 100), 1);
        assert_eq!(producers.get(ProducerId(2)), None);
        assert_eq!(producers.expire(WallMs(299), 100), 1);
        assert_eq!(producers.iter().map(|entry| entry.producer_id().0).collect::<Vec<_>>(), [3]);
        assert_eq!(producers.expire(WallMs(i64::MAX), 100), 1);
        assert_eq!((producers.count(), producers.iter().count()), (0, 0));
    }

    /// Id, epoch, and first sequence, last sequence and base offset of all batches ever, newest last.
    type Known = (i64, i16, Vec<(i32, i32, i64)>);

    /// The rules in the plainest words; the producers in order of writing.
    #[derive(Default)]
    struct Model {
        producers: VecDeque<Known>,
    }

    impl Model {
        fn check(&self, header: &BatchHeader) -> Short {
            let id = header.producer_id().0;
            let Some((_, epoch, batches)) = self.producers.iter().find(|known| known.0 == id) else {
                return Short::Append;
            };
            let range = (header.base_sequence(), header.last_sequence());
            if header.producer_epoch().0 < *epoch {
                return Short::BadEpoch;
            }
            if header.producer_epoch().0 > *epoch {
                return if range.0 == 0 { Short::Append } else { Short::OutOfOrder };
            }
            if let Some(same) = batches.iter().rev().take(5).rev().find(|batch| (batch.0, batch.1) == range) {
                return Short::Duplicate(same.2, same.2 + i64::from(header.last_offset_delta()));
            }
            let next = batches.last().map_or(0, |last| (i64::from(last.1) + 1) % (1 << 31));
            if i64::from(range.0) == next { Short::Append } else { Short::OutOfOrder }
        }

        fn on_appended(&mut self, header: &BatchHeader, count_max: usize) {
            let (id, epoch) = (header.producer_id().0, header.producer_epoch().0);
            let known = self.producers.iter().position(|known| known.0 == id);
            let mut entry = known.and_then(|at| self.producers.remove(at)).unwrap_or((id, epoch, Vec::new()));
            if entry.1 != epoch {
                entry = (id, epoch, Vec::new());
            }
            entry.2.push((header.base_sequence(), header.last_sequence(), header.base_offset().0));
            self.producers.push_back(entry);
            if self.producers.len() > count_max {
                self.producers.pop_front();
            }
        }
    }

    #[test]
    fn agrees_with_the_model_over_random_histories() {
        let mut seen = [0; 4];
        for seed in 0..60 {
            let mut rng = Rng::new(seed);
            let count_max = 1 + rng.below(6) as usize;
            let mut producers = Producers::new(count_max);
            let mut model = Model::default();
            let mut next = [(0_i16, if seed % 2 == 0 { 0 } else { i32::MAX - 20 }); 8];
            let mut offset = 0;
            for _ in 0..400 {
                let id = rng.below(8) as usize;
                let (epoch, sequence) = next[id];
                let count = 1 + rng.below(3) as i32;
                let back = if rng.one_in(3) { rng.below(20) as i32 } else { 0 };
                let sequence = batch::sequence_plus(sequence, -back);
                let epoch = if rng.one_in(20) { epoch + rng.below(3) as i16 - 1 } else { epoch };
                let batch = header((id as i64, epoch.max(0)), sequence, count, offset);
                let verdict = producers.check(&batch);
                let expected = model.check(&batch);
                seen[match expected {
                    Short::Append => 0,
                    Short::Duplicate(..) => 1,
                    Short::OutOfOrder => 2,
                    Short::BadEpoch => 3,
                }] += 1;
                assert_eq!(short(verdict), expected, "seed {seed} {batch:?}");
                // What a follower or a recovery sees is not checked, so now and then append regardless.
                if verdict == Ok(Verdict::Append) || rng.one_in(50) {
                    producers.on_appended(&batch);
                    model.on_appended(&batch, count_max);
                    next[id] = (batch.producer_epoch().0, batch::sequence_plus(batch.last_sequence(), 1));
                    offset += i64::from(count);
                } else if rng.one_in(3) {
                    next[id] = (epoch.max(0) + 1, 0);
                }
            }
            let order: Vec<i64> = producers.iter().map(|entry| entry.producer_id().0).collect();
            assert_eq!(order, model.producers.iter().map(|known| known.0).collect::<Vec<_>>(), "seed {seed}");
            let mut bytes = Vec::new();
            producers.encode(&mut bytes);
            let back = Producers::decode(&bytes, count_max).expect("as written");
            assert!(back.iter().eq(producers.iter()), "seed {seed}");
        }
        assert!(seen.iter().all(|&count| count > 100), "every verdict was met: {seen:?}");
    }

    #[test]
    fn encodes_whole_and_refuses_damage() {
        let mut producers = Producers::new(10);
        for id in 0..4 {
            for number in 0..=id {
                producers.on_appended(&header((id, 1), number as i32 * 2, 2, 10 * id + number));
            }
        }
        let mut bytes = Vec::new();
        producers.encode(&mut bytes);
        check_damage(&bytes, |bytes| Producers::decode(bytes, 10));
        let fewer = Producers::decode(&bytes, 2).expect("a lower cap is no damage");
        assert_eq!(fewer.iter().map(|entry| entry.producer_id().0).collect::<Vec<_>>(), [2, 3]);
        bytes.clear();
        stored::seal(&mut bytes, KIND, VERSION, |out| {
            out.extend_from_slice(&1_u32.to_le_bytes());
            out.extend_from_slice(&[0xff; 19]);
        });
        assert_eq!(Producers::decode(&bytes, 10).err(), Some(StoredError::Field("producer_id")));
    }
}
