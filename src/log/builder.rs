//! Builds record batches: for the broker's own logs, the command line, the simulator, benches and tests.

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;

use crate::batch::Compression;

/// Collects records and gives one batch. Set the fields, add records with [`BatchBuilder::push`], then [`BatchBuilder::build`].
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Offset of the first record: 0 for a batch that a leader will stamp.
    pub base_offset: Offset,
    /// -1 unless the caller is the leader.
    pub leader_epoch: LeaderEpoch,
    /// How to compress.
    pub compression: Compression,
    /// -1 for none.
    pub producer_id: ProducerId,
    /// -1 for none.
    pub producer_epoch: ProducerEpoch,
    /// -1 for none.
    pub base_sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether it holds a control record.
    pub control: bool,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder {
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            compression: Compression::None,
            producer_id: ProducerId(-1),
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            transactional: false,
            control: false,
            records: Vec::new(),
        }
    }
}

impl BatchBuilder {
    /// An empty, uncompressed batch of no particular producer.
    #[must_use]
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Adds a record at the next offset.
    pub fn push(&mut self, timestamp: WallMs, key: Option<&[u8]>, value: Option<&[u8]>) -> &mut BatchBuilder {
        self.push_with_headers(timestamp, key, value, &[])
    }

    /// Adds a record with headers at the next offset.
    pub fn push_with_headers(
        &mut self,
        timestamp: WallMs,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> &mut BatchBuilder {
        todo!("{timestamp:?} {key:?} {value:?} {headers:?} {:?}", self.records)
    }

    /// How many records were added.
    #[must_use]
    pub fn count(&self) -> usize {
        todo!()
    }

    /// Size of the records so far, uncompressed, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        todo!()
    }

    /// The finished batch, CRC included; the builder is empty again, its fields stay. Panics: without a record.
    #[must_use]
    pub fn build(&mut self) -> Bytes {
        todo!()
    }
}
