//! The sending half of `corelane produce`: batches per partition, one request at a time, repeated until acknowledged.
//!
//! With acks=all (the default) it is an idempotent producer: a batch that has to be sent again, because its answer was
//! lost, carries the same sequence numbers and is stored once. One request is in flight at a time, so order holds.
//!
//! ```text
//! push ──► pending[partition], until a batch is full ──► ready[partition] ──► flush: one batch of each partition
//!                                                                             per round, one request per leader
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Instant;

use bytes::Bytes;
use corelane_base::id::{BrokerId, ProducerEpoch, ProducerId};
use corelane_log::batch::{Compression, sequence_plus};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use corelane_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use corelane_wire::primitive::{DecodeError, EncodeError, Reader, Records, Writer};

use crate::client::{Client, ClientError, Exchange, Node, exchange};
use crate::partitioner::partition_of_key;
use crate::records::{Producer, Record, encode_batch};

// From version 13 on topics are named by their ids; this client keeps to names.
exchange!(ProduceRequest, ProduceResponse, Produce, 3, 12);

impl Exchange for InitProducerIdRequest<'_> {
    type Response<'a> = InitProducerIdResponse;
    const API: ApiKey = ApiKey::InitProducerId;
    const VERSIONS: (i16, i16) = (InitProducerIdRequest::VERSION_MIN, InitProducerIdRequest::VERSION_MAX);

    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError> {
        InitProducerIdRequest::encode(self, out, version)
    }

    fn decode(body: &mut Reader<'_>, version: i16) -> Result<InitProducerIdResponse, DecodeError> {
        InitProducerIdResponse::decode(body, version)
    }
}

/// All batches of one round together, in bytes: far below what brokers take in one request (100 MiB).
const ROUND_BYTES_MAX: usize = 8 << 20;

/// When a broker answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(i16)]
pub enum Acks {
    /// Not at all.
    None = 0,
    /// When the leader has written the records.
    Leader = 1,
    /// When every in-sync replica has.
    All = -1,
}

/// What to do with records on the way.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// Where to.
    pub topic: String,
    /// Which partition; by key if none is given.
    pub partition: Option<i32>,
    /// When a batch counts as sent.
    pub acks: Acks,
    /// How batches are compressed.
    pub compression: Compression,
    /// A batch is closed before it would grow beyond this, uncompressed; a single record may be larger.
    pub batch_bytes: usize,
}

/// What was written to one partition.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// How many records.
    pub records: u64,
    /// Offset of the first; `None` if the broker did not say (acks=0).
    pub first_offset: Option<i64>,
    /// Offset of the last, inclusive.
    pub last_offset: Option<i64>,
}

/// A batch on its way.
#[derive(Clone, Debug)]
struct Ready {
    bytes: Bytes,
    records: u32,
}

#[derive(Debug, Default)]
struct Pending {
    records: Vec<Record>,
    bytes: usize,
    /// Closed batches, the oldest first.
    ready: VecDeque<Ready>,
    /// The sequence number of the next batch's first record.
    sequence: i32,
}

/// Sends records to one topic.
#[derive(Debug)]
pub struct Sender<'a> {
    client: &'a mut Client,
    settings: ProducerSettings,
    leaders: BTreeMap<i32, BrokerId>,
    /// How many partitions the topic has.
    partitions: NonZeroU32,
    /// Id and epoch, with acks=all.
    identity: Option<(ProducerId, ProducerEpoch)>,
    pending: BTreeMap<i32, Pending>,
    pending_bytes: usize,
    /// Where records without a key go until the next flush.
    sticky: i32,
    written: BTreeMap<i32, Written>,
}

impl<'a> Sender<'a> {
    /// Finds the topic (a broker may create it now) and, with acks=all, asks for a producer id.
    pub fn new(client: &'a mut Client, settings: ProducerSettings) -> Result<Sender<'a>, ClientError> {
        let deadline = client.deadline();
        let leaders = client.retry(deadline, |client| leaders(client, &settings.topic, deadline))?;
        let partitions = NonZeroU32::new(leaders.len() as u32).expect("a usable topic has partitions");
        if let Some(partition) = settings.partition.filter(|partition| !leaders.contains_key(partition)) {
            let what = format!("partition {partition} of {}", settings.topic);
            return Err(ClientError::refused(what, ErrorCode::UnknownTopicOrPartition as i16, None));
        }
        let identity = match settings.acks {
            Acks::All => client.retry(deadline, |client| producer_identity(client, deadline))?,
            Acks::None | Acks::Leader => None,
        };
        Ok(Sender {
            client,
            settings,
            leaders,
            partitions,
            identity,
            pending: BTreeMap::new(),
            pending_bytes: 0,
            sticky: 0,
            written: BTreeMap::new(),
        })
    }

    /// Takes a record. `partition` is its own wish, stronger than key and settings. Nothing is sent yet.
    /// Errors: `Refused`, if there is no such partition.
    pub fn push(&mut self, record: Record, partition: Option<i32>) -> Result<(), ClientError> {
        let partition = partition.or(self.settings.partition).unwrap_or_else(|| match &record.key {
            Some(key) => partition_of_key(key, self.partitions),
            None => self.sticky,
        });
        if !self.leaders.contains_key(&partition) {
            let what = format!("partition {partition} of {}", self.settings.topic);
            return Err(ClientError::refused(what, ErrorCode::UnknownTopicOrPartition as i16, None));
        }
        let bytes = record.encoded_bytes_max();
        let pending = self.pending.entry(partition).or_default();
        if !pending.records.is_empty() && pending.bytes + bytes > self.settings.batch_bytes {
            self.close(partition);
            if self.sticky == partition {
                self.sticky = (partition + 1) % self.partitions.get() as i32;
            }
        }
        let pending = self.pending.entry(partition).or_default();
        pending.bytes += bytes;
        pending.records.push(record);
        self.pending_bytes += bytes;
        Ok(())
    }

    /// How much waits for a flush, in bytes before compression.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Makes a batch of what a partition has.
    fn close(&mut self, partition: i32) {
        let Some(pending) = self.pending.get_mut(&partition).filter(|pending| !pending.records.is_empty())
        else {
            return;
        };
        let producer = match self.identity {
            Some((id, epoch)) => Producer { id, epoch, base_sequence: pending.sequence },
            None => Producer::default(),
        };
        let records = std::mem::take(&mut pending.records);
        let bytes = encode_batch(&records, self.settings.compression, producer);
        let count = records.len() as u32;
        pending.sequence = sequence_plus(pending.sequence, count as i32);
        pending.bytes = 0;
        pending.ready.push_back(Ready { bytes, records: count });
    }

    /// Sends everything and waits until it is acknowledged. Errors: what could not be repeated any longer; the records
    /// concerned, and all behind them, are not known to be stored.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let partitions: Vec<i32> = self.pending.keys().copied().collect();
        for partition in partitions {
            self.close(partition);
        }
        self.pending_bytes = 0;
        self.sticky = (self.sticky + 1) % self.partitions.get() as i32;
        loop {
            let (mut round, mut bytes) = (BTreeMap::new(), 0);
            for (&partition, pending) in &mut self.pending {
                if let Some(ready) = pending.ready.front()
                    && (round.is_empty() || bytes + ready.bytes.len() <= ROUND_BYTES_MAX)
                {
                    bytes += ready.bytes.len();
                    round.extend(pending.ready.pop_front().map(|ready| (partition, ready)));
                }
            }
            if round.is_empty() {
                return Ok(());
            }
            self.send_round(round)?;
        }
    }

    /// What was acknowledged so far, by partition.
    pub fn written(&self) -> &BTreeMap<i32, Written> {
        &self.written
    }

    fn send_round(&mut self, mut round: BTreeMap<i32, Ready>) -> Result<(), ClientError> {
        let deadline = self.client.deadline();
        let (settings, known, written) = (&self.settings, &mut self.leaders, &mut self.written);
        let mut stale = false;
        self.client.retry(deadline, |client| {
            if std::mem::replace(&mut stale, true) {
                *known = leaders(client, &settings.topic, deadline)?;
            }
            let mut by_leader: BTreeMap<BrokerId, Vec<i32>> = BTreeMap::new();
            for partition in round.keys() {
                let leader = known.get(partition).ok_or_else(|| {
                    let what = format!("partition {partition} of {}", settings.topic);
                    ClientError::refused(what, ErrorCode::UnknownTopicOrPartition as i16, None)
                })?;
                by_leader.entry(*leader).or_default().push(*partition);
            }
            for (leader, partitions) in by_leader {
                send_to_leader(client, settings, leader, &partitions, &mut round, written, deadline)?;
            }
            Ok(())
        })
    }
}

/// The leader of each partition of a topic that can be used.
fn leaders(
    client: &mut Client,
    topic: &str,
    deadline: Instant,
) -> Result<BTreeMap<i32, BrokerId>, ClientError> {
    let metadata = client.metadata(Some(&[topic]), true, deadline)?;
    let partitions = metadata.usable_topic(topic)?.partitions.iter();
    Ok(partitions.filter_map(|partition| Some((partition.index, partition.leader?))).collect())
}

fn producer_identity(
    client: &mut Client,
    deadline: Instant,
) -> Result<Option<(ProducerId, ProducerEpoch)>, ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: client.timeout_ms(),
        producer_id: -1,
        producer_epoch: -1,
    };
    let answer = client.call(Node::Any, &request, deadline)?;
    let response = answer.decode()?;
    match response.error_code {
        0 => Ok(Some((ProducerId(response.producer_id), ProducerEpoch(response.producer_epoch)))),
        code => Err(ClientError::refused("asking for a producer id", code, None)),
    }
}

/// Sends the batches of `partitions` to their leader and takes out of `round` what is done.
fn send_to_leader(
    client: &mut Client,
    settings: &ProducerSettings,
    leader: BrokerId,
    partitions: &[i32],
    round: &mut BTreeMap<i32, Ready>,
    written: &mut BTreeMap<i32, Written>,
    deadline: Instant,
) -> Result<(), ClientError> {
    let topic = settings.topic.as_str();
    let batches: Vec<(i32, Bytes)> =
        partitions.iter().map(|index| (*index, round[index].bytes.clone())).collect();
    let partition_data = batches.iter().map(|(index, bytes)| PartitionProduceData {
        index: *index,
        records: Some(Records::Borrowed(bytes)),
    });
    let request = ProduceRequest {
        transactional_id: None,
        acks: settings.acks as i16,
        timeout_ms: client.timeout_ms(),
        topic_data: vec![TopicProduceData {
            name: topic,
            topic_id: [0; 16],
            partition_data: partition_data.collect(),
        }],
    };
    if settings.acks == Acks::None {
        client.tell(Node::Broker(leader), &request, deadline)?;
        for partition in partitions {
            let done = round.remove(partition).map_or(0, |ready| ready.records);
            written.entry(*partition).or_default().records += u64::from(done);
        }
        return Ok(());
    }
    let answer = client.call(Node::Broker(leader), &request, deadline)?;
    let response = answer.decode()?;
    let mut failed = None;
    for row in
        response.responses.iter().filter(|row| row.name == topic).flat_map(|row| &row.partition_responses)
    {
        // A repetition of what was stored already is what the sequence numbers are for.
        let repeated = row.error_code == ErrorCode::DuplicateSequenceNumber as i16;
        if row.error_code == 0 || repeated {
            let Some(done) = round.remove(&row.index) else { continue };
            let entry = written.entry(row.index).or_default();
            entry.records += u64::from(done.records);
            if row.base_offset >= 0 && !repeated {
                entry.first_offset.get_or_insert(row.base_offset);
                entry.last_offset = Some(row.base_offset + i64::from(done.records) - 1);
            }
            continue;
        }
        let record = row.record_errors.iter().find_map(|record| record.batch_index_error_message);
        let message = row.error_message.or(record);
        let what = format!("partition {} of {topic}", row.index);
        let error = ClientError::refused(what, row.error_code, message);
        // What cannot be mended by trying again decides.
        if failed.as_ref().is_none_or(ClientError::is_retriable) {
            failed = Some(error);
        }
    }
    match failed {
        Some(error) => Err(error),
        None if partitions.iter().any(|partition| round.contains_key(partition)) => {
            Err(ClientError::Protocol("the answer to Produce leaves out partitions".to_string()))
        }
        None => Ok(()),
    }
}
