//! Builds record batches: for the broker's own logs, the command line, the simulator, benches and tests.
//!
//! Not for what clients send: that is stored as it came.

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;

use crate::batch::{self, Compression};
use crate::codec;
use crate::records::put_varlong;

/// Collects records and gives one batch: set the fields, add records with `push`, then `build`.
///
/// Panics: in `push` and `build` if a length exceeds what the format can say (2 GiB), which no caller's data does.
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
    record_count: i32,
    base_timestamp: WallMs,
    max_timestamp: WallMs,
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
            record_count: 0,
            base_timestamp: WallMs(-1),
            max_timestamp: WallMs(-1),
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
        if self.record_count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let mut body = vec![0];
        put_varlong(&mut body, timestamp.0.wrapping_sub(self.base_timestamp.0));
        put_varlong(&mut body, i64::from(self.record_count));
        put_nullable(&mut body, key);
        put_nullable(&mut body, value);
        put_length(&mut body, headers.len());
        for &(name, value) in headers {
            put_nullable(&mut body, Some(name));
            put_nullable(&mut body, value);
        }
        put_length(&mut self.records, body.len());
        self.records.extend_from_slice(&body);
        self.record_count += 1;
        self
    }

    /// How many records were added.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.record_count).expect("it counts up from 0")
    }

    /// Size of the records so far, uncompressed, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.records.len()
    }

    /// The finished batch, CRC included; the builder is empty again, its fields stay. Panics: without a record.
    #[must_use]
    pub fn build(&mut self) -> Bytes {
        assert!(self.record_count > 0, "a batch has a record");
        let records = codec::compress(self.compression, &self.records);
        let header = batch::Parts {
            base_offset: self.base_offset,
            leader_epoch: self.leader_epoch,
            compression: self.compression,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            transactional: self.transactional,
            control: self.control,
            record_count: self.record_count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            records_size: records.len(),
        }
        .header();
        let batch = header.with_records(&records);
        self.records.clear();
        self.record_count = 0;
        Bytes::from(batch)
    }
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varlong(out, i64::from(i32::try_from(length).expect("the format ends at 2 GiB")));
}
