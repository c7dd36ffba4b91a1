//! What a log remembers of each idempotent producer, so that a batch sent twice is stored once.
//!
//! Source: KIP-98; Kafka `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`.

use core::fmt;

use corelane_base::id::{Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;

/// How many batches per producer can be recognised when they are sent again: as many as a producer may have under
/// way at once.
pub const BATCHES_KEPT: usize = 5;

/// What to do with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is new: append it.
    Append,
    /// It is in the log already: answer as the first time, once `last_offset` is durable.
    Duplicate {
        /// Its first offset.
        base_offset: Offset,
        /// Its last offset, inclusive.
        last_offset: Offset,
        /// Its max timestamp.
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

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    todo: (),
}

impl ProducerEntry {
    /// Its id.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        todo!("{:?}", self.todo)
    }

    /// Its newest epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        todo!()
    }

    /// The last batches, oldest first; none after a new epoch began without data.
    #[must_use]
    pub fn batches(&self) -> &[ProducedBatch] {
        todo!()
    }

    /// Timestamp of its last batch, which decides when it is forgotten.
    #[must_use]
    pub fn last_timestamp(&self) -> WallMs {
        todo!()
    }
}

/// The producers of one log, at most `count_max`.
#[derive(Clone, Debug)]
pub struct Producers {
    count_max: usize,
}

impl Producers {
    /// A log without producers. Panics: if `count_max` is 0.
    #[must_use]
    pub fn new(count_max: usize) -> Producers {
        Producers { count_max }
    }

    /// Decides on a client's batch; changes nothing. A batch without producer id is always appended.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, ProducerError> {
        todo!("{header:?} {}", self.count_max)
    }

    /// Remembers an appended batch: `header` as stamped. Call for every batch, from a client, from a leader or read
    /// back during recovery; nothing is checked again. A new producer beyond the cap displaces the one that has
    /// been silent longest.
    pub fn on_appended(&mut self, header: &BatchHeader) {
        todo!("{header:?}")
    }

    /// Forgets producers whose last batch is `producer_id_expiration_ms` old or older. Returns how many.
    pub fn expire(&mut self, now: WallMs, producer_id_expiration_ms: i64) -> usize {
        todo!("{now:?} {producer_id_expiration_ms}")
    }

    /// How many producers are known.
    #[must_use]
    pub fn count(&self) -> usize {
        todo!()
    }

    /// What is known of one producer.
    #[must_use]
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        todo!("{producer_id}")
    }

    /// All, longest silent first.
    pub fn iter(&self) -> impl Iterator<Item = &ProducerEntry> {
        [].iter()
    }

    /// Appends the state's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        todo!("{}", out.len())
    }

    /// Reads what `encode` wrote; all of `bytes` must belong to it.
    pub fn decode(bytes: &[u8], count_max: usize) -> Result<Producers, ProducersDecodeError> {
        todo!("{} {count_max}", bytes.len())
    }
}

/// Why bytes are no producer state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProducersDecodeError {
    /// Not as long as the counts say.
    Length,
    /// Written by a version this one does not know.
    Version(u16),
    /// The checksum says something else.
    Crc,
    /// A field outside its range.
    Field,
}

impl fmt::Display for ProducersDecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProducersDecodeError::Length => f.write_str("producer state has the wrong length"),
            ProducersDecodeError::Version(version) => {
                write!(f, "producer state has unknown version {version}")
            }
            ProducersDecodeError::Crc => f.write_str("producer state fails its checksum"),
            ProducersDecodeError::Field => f.write_str("producer state has a field out of range"),
        }
    }
}
