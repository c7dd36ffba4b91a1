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
