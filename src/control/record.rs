//! What the metadata log holds: the changes of the cluster's metadata, and their bytes.
//!
//! A command's records are one set, stored as one value, so that they are applied whole or not at all; the checksum
//! is that of whatever stores the value. Own encoding rather than Kafka's record schemas: only brokers of this kind
//! read it, and one record per topic instead of one per partition makes a topic of 10,000 partitions some 80 KB.
//!
//! ```text
//! set       = 0x01 (layout)  count:varint  count * ( length:varint  record )
//! record    = type:u8  version:u8  body            length counts type, version and body
//! varint    = base 128, low bits first, at most 10 bytes, no padding
//! text      = length:varint  UTF-8
//! broker    = id:varint                            optional: 0 for none, else id + 1
//! partition = leader:optional broker  leader_epoch:varint  partition_epoch:varint
//!             replicas:( count:varint  broker* )  isr:( count:varint  broker* )
//! changes   = count:varint  ( key:text  0x00 | key:text  0x01 value:text )*
//! ```
//!
//! A reader refuses types and versions it does not know: state that is understood by half is no state.

use core::fmt;

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

use crate::configs::definition::VALUE_BYTES_MAX;
use crate::topic_name;

/// The layout of a set, its first byte.
const SET_LAYOUT: u8 = 1;
/// The only version of every record type so far.
const VERSION: u8 = 0;
/// The longest text other than a topic's name or a config value: ids, hosts, racks, keys.
pub const TEXT_BYTES_MAX: usize = 1024;
/// The most replicas of a partition.
pub const REPLICAS_MAX: usize = 64;

const TYPE_CLUSTER_FORMATTED: u8 = 1;
const TYPE_BROKER_REGISTERED: u8 = 2;
const TYPE_BROKER_RESTARTED: u8 = 3;
const TYPE_TOPIC_CREATED: u8 = 4;
const TYPE_TOPIC_DELETED: u8 = 5;
const TYPE_PARTITIONS_ADDED: u8 = 6;
const TYPE_TOPIC_CONFIG_CHANGED: u8 = 7;
const TYPE_BROKER_CONFIG_CHANGED: u8 = 8;
const TYPE_PRODUCER_IDS_ALLOCATED: u8 = 9;
const TYPE_GROUP_CONFIG_CHANGED: u8 = 10;
const TYPE_CLIENT_METRICS_CONFIG_CHANGED: u8 = 11;

/// One partition of a topic. Invariants: replicas are distinct and at least one; the in-sync ones and the leader are
/// among them; a leader is in sync.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    /// Who leads; `None` while nobody can.
    pub leader: Option<BrokerId>,
    /// How often the leader has changed; starts at 0.
    pub leader_epoch: LeaderEpoch,
    /// How often anything about the partition has changed; starts at 0.
    pub partition_epoch: i32,
    /// Who holds a copy, the preferred leader first.
    pub replicas: Box<[BrokerId]>,
    /// Who has everything that was acknowledged to acks=all.
    pub isr: Box<[BrokerId]>,
}

/// An address at which a broker serves clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// A host that clients can reach.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// A broker as the cluster knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerRegistration {
    /// Its number.
    pub id: BrokerId,
    /// Its addresses, one per listener.
    pub endpoints: Vec<Endpoint>,
    /// Its rack or zone.
    pub rack: Option<String>,
}

/// A config key with its new value; `None` takes the key away.
pub type ConfigChange = (String, Option<String>);

/// One change of the metadata.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MetadataRecord {
    /// The cluster came into being. Always the first record.
    ClusterFormatted {
        /// The cluster's id, as clients see it.
        cluster_id: String,
    },
    /// A broker joined, or came back with other addresses. Replaces an earlier registration of the id.
    BrokerRegistered {
        /// The broker.
        registration: BrokerRegistration,
    },
    /// A broker started again without having stopped cleanly: each partition it leads begins its next leader epoch,
    /// by which consumers notice a tail that was lost.
    BrokerRestarted {
        /// The broker.
        broker: BrokerId,
    },
    /// A topic with all its partitions and settings.
    TopicCreated {
        /// Its identity.
        topic_id: TopicId,
        /// Its name.
        name: String,
        /// Partitions 0, 1, 2 and so on.
        partitions: Vec<Partition>,
        /// Its own settings; distinct keys.
        configs: Vec<(String, String)>,
    },
    /// A topic is gone, with partitions and settings.
    TopicDeleted {
        /// Which.
        topic_id: TopicId,
    },
    /// A topic has more partitions.
    PartitionsAdded {
        /// Which topic.
        topic_id: TopicId,
        /// The number of the first new one: how many there were.
        first: PartitionIndex,
        /// The new ones.
        partitions: Vec<Partition>,
    },
    /// Some of a topic's settings changed.
    TopicConfigChanged {
        /// Which topic.
        topic_id: TopicId,
        /// The keys that change; distinct.
        changes: Vec<ConfigChange>,
    },
    /// Some of the brokers' dynamic settings changed.
    BrokerConfigChanged {
        /// Which broker; `None` for the default of all.
        broker: Option<BrokerId>,
        /// The keys that change; distinct.
        changes: Vec<ConfigChange>,
    },
    /// Some of a group's settings changed. The group need not be there.
    GroupConfigChanged {
        /// Which group.
        group: String,
        /// The keys that change; distinct.
        changes: Vec<ConfigChange>,
    },
    /// Some of the settings of a subscription to clients' metrics changed.
    ClientMetricsConfigChanged {
        /// Its name, at most [`VALUE_BYTES_MAX`].
        subscription: String,
        /// The keys that change; distinct.
        changes: Vec<ConfigChange>,
    },
    /// Producer ids below `next` are handed out.
    ProducerIdsAllocated {
        /// The first id that is still free.
        next: ProducerId,
    },
}

/// Bytes that are not a set of records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes end in the middle of a field.
    Truncated,
    /// A length or count is larger than what remains, or than its limit.
    TooLarge,
    /// A number does not fit its field, or a varint is padded.
    BadNumber,
    /// A text is not UTF-8.
    BadText,
    /// An option is neither present nor absent.
    BadTag,
    /// Bytes follow the end.
    TrailingBytes,
    /// A layout, type or version of a newer broker, or no metadata at all.
    Unknown,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Truncated => "metadata records end in the middle of a field",
            DecodeError::TooLarge => "a length in the metadata records is too large",
            DecodeError::BadNumber => "a number in the metadata records does not fit",
            DecodeError::BadText => "a text in the metadata records is not UTF-8",
            DecodeError::BadTag => "an option in the metadata records is neither present nor absent",
            DecodeError::TrailingBytes => "bytes follow the metadata records",
            DecodeError::Unknown => {
                "the metadata records are of a type or version that this broker does not know"
            }
        })
    }
}

impl std::error::Error for DecodeError {}

/// Appends a set of records to `out`. The set may be empty. Panics: if a text is longer, or a partition has more
/// replicas, than [`decode_set`] would accept.
pub fn encode_set(records: &[MetadataRecord], out: &mut Vec<u8>) {
    out.push(SET_LAYOUT);
    put_varint(out, records.len() as u64);
    let mut one = Vec::new();
    for record in records {
        one.clear();
        encode_record(record, &mut one);
        put_varint(out, one.len() as u64);
        out.extend_from_slice(&one);
    }
}

/// Reads a set that [`encode_set`] wrote; `bytes` must hold exactly that. Memory stays within a small multiple of
/// the input whatever it claims. Errors: [`DecodeError`]; none of them panics.
pub fn decode_set(bytes: &[u8]) -> Result<Vec<MetadataRecord>, DecodeError> {
    let mut reader = Reader { rest: bytes };
    if reader.u8()? != SET_LAYOUT {
        return Err(DecodeError::Unknown);
    }
    // Length, type, version and an empty body.
    let count = reader.count(3, usize::MAX)?;
    let mut records = Vec::new();
    for _ in 0..count {
        let length = reader.length(usize::MAX)?;
        let mut one = Reader { rest: reader.take(length)? };
        records.push(decode_record(&mut one)?);
        one.end()?;
    }
    reader.end()?;
    Ok(records)
}

fn encode_record(record: &MetadataRecord, out: &mut Vec<u8>) {
    let start = |out: &mut Vec<u8>, kind: u8| out.extend_from_slice(&[kind, VERSION]);
    match record {
        MetadataRecord::ClusterFormatted { cluster_id } => {
            start(out, TYPE_CLUSTER_FORMATTED);
            put_text(out, cluster_id, TEXT_BYTES_MAX);
        }
        MetadataRecord::BrokerRegistered { registration } => {
            start(out, TYPE_BROKER_REGISTERED);
            put_broker(out, registration.id);
            put_varint(out, registration.endpoints.len() as u64);
            for endpoint in &registration.endpoints {
                put_text(out, &endpoint.listener, TEXT_BYTES_MAX);
                put_text(out, &endpoint.host, TEXT_BYTES_MAX);
                put_varint(out, u64::from(endpoint.port));
            }
            put_optional_text(out, registration.rack.as_deref(), TEXT_BYTES_MAX);
        }
        MetadataRecord::BrokerRestarted { broker } => {
            start(out, TYPE_BROKER_RESTARTED);
            put_broker(out, *broker);
        }
        MetadataRecord::TopicCreated { topic_id, name, partitions, configs } => {
            start(out, TYPE_TOPIC_CREATED);
            out.extend_from_slice(&topic_id.0);
            put_text(out, name, topic_name::NAME_BYTES_MAX);
            put_partitions(out, partitions);
            put_varint(out, configs.len() as u64);
            for (key, value) in configs {
                put_text(out, key, TEXT_BYTES_MAX);
                put_text(out, value, VALUE_BYTES_MAX);
            }
        }
        MetadataRecord::TopicDeleted { topic_id } => {
            start(out, TYPE_TOPIC_DELETED);
            out.extend_from_slice(&topic_id.0);
        }
        MetadataRecord::PartitionsAdded { topic_id, first, partitions } => {
            start(out, TYPE_PARTITIONS_ADDED);
            out.extend_from_slice(&topic_id.0);
            put_i32(out, first.0);
            put_partitions(out, partitions);
        }
        MetadataRecord::TopicConfigChanged { topic_id, changes } => {
            start(out, TYPE_TOPIC_CONFIG_CHANGED);
            out.extend_from_slice(&topic_id.0);
            put_changes(out, changes);
        }
        MetadataRecord::BrokerConfigChanged { broker, changes } => {
            start(out, TYPE_BROKER_CONFIG_CHANGED);
            put_optional_broker(out, *broker);
            put_changes(out, changes);
        }
        MetadataRecord::GroupConfigChanged { group, changes } => {
            start(out, TYPE_GROUP_CONFIG_CHANGED);
            put_text(out, group, VALUE_BYTES_MAX);
            put_changes(out, changes);
        }
        MetadataRecord::ClientMetricsConfigChanged { subscription, changes } => {
            start(out, TYPE_CLIENT_METRICS_CONFIG_CHANGED);
            put_text(out, subscription, VALUE_BYTES_MAX);
            put_changes(out, changes);
        }
        MetadataRecord::ProducerIdsAllocated { next } => {
            start(out, TYPE_PRODUCER_IDS_ALLOCATED);
            put_varint(out, u64::try_from(next.0).expect("producer ids are not negative"));
        }
    }
}

fn decode_record(reader: &mut Reader<'_>) -> Result<MetadataRecord, DecodeError> {
    let kind = reader.u8()?;
    if reader.u8()? != VERSION {
        return Err(DecodeError::Unknown);
    }
    Ok(match kind {
        TYPE_CLUSTER_FORMATTED => {
            MetadataRecord::ClusterFormatted { cluster_id: reader.text(TEXT_BYTES_MAX)? }
        }
        TYPE_BROKER_REGISTERED => MetadataRecord::BrokerRegistered { registration: reader.registration()? },
        TYPE_BROKER_RESTARTED => MetadataRecord::BrokerRestarted { broker: reader.broker()? },
        TYPE_TOPIC_CREATED => MetadataRecord::TopicCreated {
            topic_id: reader.topic_id()?,
            name: reader.text(topic_name::NAME_BYTES_MAX)?,
            partitions: reader.partitions()?,
            configs: reader.configs()?,
        },
        TYPE_TOPIC_DELETED => MetadataRecord::TopicDeleted { topic_id: reader.topic_id()? },
        TYPE_PARTITIONS_ADDED => MetadataRecord::PartitionsAdded {
            topic_id: reader.topic_id()?,
            first: PartitionIndex(reader.i32()?),
            partitions: reader.partitions()?,
        },
        TYPE_TOPIC_CONFIG_CHANGED => {
            MetadataRecord::TopicConfigChanged { topic_id: reader.topic_id()?, changes: reader.changes()? }
        }
        TYPE_BROKER_CONFIG_CHANGED => MetadataRecord::BrokerConfigChanged {
            broker: reader.optional_broker()?,
            changes: reader.changes()?,
        },
        TYPE_GROUP_CONFIG_CHANGED => MetadataRecord::GroupConfigChanged {
            group: reader.text(VALUE_BYTES_MAX)?,
            changes: reader.changes()?,
        },
        TYPE_CLIENT_METRICS_CONFIG_CHANGED => MetadataRecord::ClientMetricsConfigChanged {
            subscription: reader.text(VALUE_BYTES_MAX)?,
            changes: reader.changes()?,
        },
        TYPE_PRODUCER_IDS_ALLOCATED => {
            let next = i64::try_from(reader.varint()?).map_err(|_| DecodeError::BadNumber)?;
            MetadataRecord::ProducerIdsAllocated { next: ProducerId(next) }
        }
        _ => return Err(DecodeError::Unknown),
    })
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Panics: if `value` is negative; ids and epochs in records are not.
fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_varint(out, u64::try_from(value).expect("ids, epochs and indices in records are not negative"));
}

fn put_text(out: &mut Vec<u8>, text: &str, limit: usize) {
    assert!(text.len() <= limit, "a text of {} bytes would not be read back", text.len());
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>, limit: usize) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text, limit);
    }
}

fn put_broker(out: &mut Vec<u8>, broker: BrokerId) {
    put_i32(out, broker.0);
}

fn put_optional_broker(out: &mut Vec<u8>, broker: Option<BrokerId>) {
    let id = broker.map_or(0, |broker| u64::try_from(broker.0).expect("broker ids are not negative") + 1);
    put_varint(out, id);
}

fn put_brokers(out: &mut Vec<u8>, brokers: &[BrokerId]) {
    assert!(brokers.len() <= REPLICAS_MAX, "{} replicas would not be read back", brokers.len());
    put_varint(out, brokers.len() as u64);
    for broker in brokers {
        put_broker(out, *broker);
    }
}

fn put_partitions(out: &mut Vec<u8>, partitions: &[Partition]) {
    put_varint(out, partitions.len() as u64);
    for partition in partitions {
        put_optional_broker(out, partition.leader);
        put_i32(out, partition.leader_epoch.0);
        put_i32(out, partition.partition_epoch);
        put_brokers(out, &partition.replicas);
        put_brokers(out, &partition.isr);
    }
}

fn put_changes(out: &mut Vec<u8>, changes: &[ConfigChange]) {
    put_varint(out, changes.len() as u64);
    for (key, value) in changes {
        put_text(out, key, TEXT_BYTES_MAX);
        put_optional_text(out, value.as_deref(), VALUE_BYTES_MAX);
    }
}

/// Takes fields off the front of the bytes that remain.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::BadNumber);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // One number has one form, so that equal sets are equal bytes.
                return if byte == 0 && shift > 0 { Err(DecodeError::BadNumber) } else { Ok(value) };
            }
        }
        Err(DecodeError::BadNumber)
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        i32::try_from(self.varint()?).map_err(|_| DecodeError::BadNumber)
    }

    /// A byte length of at most `limit`, and of at most what remains.
    fn length(&mut self, limit: usize) -> Result<usize, DecodeError> {
        self.count(1, limit)
    }

    /// A number of elements that take at least `element_bytes_min` each.
    fn count(&mut self, element_bytes_min: usize, limit: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::TooLarge)?;
        if count > limit || count > self.rest.len() / element_bytes_min {
            return Err(DecodeError::TooLarge);
        }
        Ok(count)
    }

    fn text(&mut self, limit: usize) -> Result<String, DecodeError> {
        let length = self.length(limit)?;
        let bytes = self.take(length)?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::BadText)
    }

    fn optional_text(&mut self, limit: usize) -> Result<Option<String>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text(limit).map(Some),
            _ => Err(DecodeError::BadTag),
        }
    }

    fn topic_id(&mut self) -> Result<TopicId, DecodeError> {
        let bytes = self.take(16)?;
        Ok(TopicId(bytes.try_into().expect("16 bytes were taken")))
    }

    fn broker(&mut self) -> Result<BrokerId, DecodeError> {
        self.i32().map(BrokerId)
    }

    fn optional_broker(&mut self) -> Result<Option<BrokerId>, DecodeError> {
        match self.varint()?.checked_sub(1) {
            None => Ok(None),
            Some(id) => i32::try_from(id).map(|id| Some(BrokerId(id))).map_err(|_| DecodeError::BadNumber),
        }
    }

    fn brokers(&mut self) -> Result<Box<[BrokerId]>, DecodeError> {
        let count = self.count(1, REPLICAS_MAX)?;
        (0..count).map(|_| self.broker()).collect()
    }

    fn partitions(&mut self) -> Result<Vec<Partition>, DecodeError> {
        // Leader, two epochs, two counts.
        let count = self.count(5, usize::MAX)?;
        (0..count)
            .map(|_| {
                Ok(Partition {
                    leader: self.optional_broker()?,
                    leader_epoch: LeaderEpoch(self.i32()?),
                    partition_epoch: self.i32()?,
                    replicas: self.brokers()?,
                    isr: self.brokers()?,
                })
            })
            .collect()
    }

    fn configs(&mut self) -> Result<Vec<(String, String)>, DecodeError> {
        let count = self.count(2, usize::MAX)?;
        (0..count).map(|_| Ok((self.text(TEXT_BYTES_MAX)?, self.text(VALUE_BYTES_MAX)?))).collect()
    }

    fn changes(&mut self) -> Result<Vec<ConfigChange>, DecodeError> {
        let count = self.count(2, usize::MAX)?;
        (0..count).map(|_| Ok((self.text(TEXT_BYTES_MAX)?, self.optional_text(VALUE_BYTES_MAX)?))).collect()
    }

    fn registration(&mut self) -> Result<BrokerRegistration, DecodeError> {
        let id = self.broker()?;
        let count = self.count(3, usize::MAX)?;
        let endpoints = (0..count)
            .map(|_| {
                Ok(Endpoint {
                    listener: self.text(TEXT_BYTES_MAX)?,
                    host: self.text(TEXT_BYTES_MAX)?,
                    port: u16::try_from(self.varint()?).map_err(|_| DecodeError::BadNumber)?,
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        Ok(BrokerRegistration { id, endpoints, rack: self.optional_text(TEXT_BYTES_MAX)? })
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }
}
