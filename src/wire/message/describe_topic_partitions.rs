//! DescribeTopicPartitions (key 75, versions 0): [`DescribeTopicPartitionsRequest`] and [`DescribeTopicPartitionsResponse`].
//!
//! Generated from `schema/describe_topic_partitions.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DescribeTopicPartitions request, versions 0.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsRequest<'a> {
    /// The topics.
    pub topics: Vec<TopicRequest<'a>>,
    /// How many partitions the answer may have.
    pub response_partition_limit: i32,
    /// Where to start.
    pub cursor: Option<Cursor<'a>>,
}

impl Default for DescribeTopicPartitionsRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            response_partition_limit: 2000,
            cursor: None,
        }
    }
}

impl<'a> DescribeTopicPartitionsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 75;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 0;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let topics = r.array(true, 2, |r| TopicRequest::decode(r, version))?;
        let response_partition_limit = r.i32()?;
        let cursor = if r.present()? { Some(Cursor::decode(r, version)?) } else { None };
        r.skip_tagged_fields()?;
        Ok(Self { topics, response_partition_limit, cursor })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.array("DescribeTopicPartitionsRequest.topics", true, &self.topics, |w, each| each.encode(w, version))?;
        w.i32(self.response_partition_limit);
        w.present("DescribeTopicPartitionsRequest.cursor", true, self.cursor.is_some())?;
        if let Some(each) = &self.cursor {
            each.encode(w, version)?;
        }
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicRequest<'a> {
    /// The name of the topic.
    pub name: &'a str,
}

impl<'a> TopicRequest<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true)?;
        r.skip_tagged_fields()?;
        Ok(Self { name })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("TopicRequest.name", true, self.name)?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsRequest::cursor`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cursor<'a> {
    /// The name of the topic.
    pub topic_name: &'a str,
    /// The number of the partition.
    pub partition_index: i32,
}

impl<'a> Cursor<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let topic_name = r.string(true)?;
        let partition_index = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { topic_name, partition_index })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("Cursor.topic_name", true, self.topic_name)?;
        w.i32(self.partition_index);
        w.uvarint(0);
        Ok(())
    }
}

/// DescribeTopicPartitions response, versions 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeTopicPartitionsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    /// Where to go on, null at the end.
    pub next_cursor: Option<Cursor<'a>>,
}

impl<'a> DescribeTopicPartitionsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 75;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 0;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let throttle_time_ms = r.i32()?;
        let topics = r.array(true, 26, |r| DescribeTopicPartitionsResponseTopic::decode(r, version))?;
        let next_cursor = if r.present()? { Some(Cursor::decode(r, version)?) } else { None };
        r.skip_tagged_fields()?;
        Ok(Self { throttle_time_ms, topics, next_cursor })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.i32(self.throttle_time_ms);
        w.array("DescribeTopicPartitionsResponse.topics", true, &self.topics, |w, each| each.encode(w, version))?;
        w.present("DescribeTopicPartitionsResponse.next_cursor", true, self.next_cursor.is_some())?;
        if let Some(each) = &self.next_cursor {
            each.encode(w, version)?;
        }
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsResponse::topics`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The name of the topic.
    pub name: Option<&'a str>,
    /// The id of the topic.
    pub topic_id: [u8; 16],
    /// Whether the topic is one of the cluster's own.
    pub is_internal: bool,
    /// The partitions.
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    /// A bit for each operation allowed on the topic, the lowest number if not asked for.
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: Some(""),
            topic_id: [0; 16],
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2_147_483_648,
        }
    }
}

impl<'a> DescribeTopicPartitionsResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let error_code = r.i16()?;
        let name = r.string_or_null(true, true)?;
        let topic_id = r.uuid()?;
        let is_internal = r.bool()?;
        let partitions = r.array(true, 20, |r| DescribeTopicPartitionsResponsePartition::decode(r, version))?;
        let topic_authorized_operations = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { error_code, name, topic_id, is_internal, partitions, topic_authorized_operations })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.error_code(self.error_code);
        w.string_or_null("DescribeTopicPartitionsResponseTopic.name", true, true, self.name)?;
        w.uuid(&self.topic_id);
        w.bool(self.is_internal);
        w.array("DescribeTopicPartitionsResponseTopic.partitions", true, &self.partitions, |w, each| each.encode(w, version))?;
        w.i32(self.topic_authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribeTopicPartitionsResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeTopicPartitionsResponsePartition {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The number of the partition.
    pub partition_index: i32,
    /// The broker that leads, -1 if unknown or none.
    pub leader_id: i32,
    /// The epoch of the leader, -1 if unknown.
    pub leader_epoch: i32,
    /// The brokers that hold the partition.
    pub replica_nodes: Vec<i32>,
    /// Those in sync.
    pub isr_nodes: Vec<i32>,
    /// Replicas out of sync that may still lead without loss.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// The last of them known.
    pub last_known_elr: Option<Vec<i32>>,
    /// Those that are gone.
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let error_code = r.i16()?;
        let partition_index = r.i32()?;
        let leader_id = r.i32()?;
        let leader_epoch = r.i32()?;
        let replica_nodes = r.array(true, 4, |r| r.i32())?;
        let isr_nodes = r.array(true, 4, |r| r.i32())?;
        let eligible_leader_replicas = r.array_or_null(true, true, 4, |r| r.i32())?;
        let last_known_elr = r.array_or_null(true, true, 4, |r| r.i32())?;
        let offline_replicas = r.array(true, 4, |r| r.i32())?;
        r.skip_tagged_fields()?;
        Ok(Self { error_code, partition_index, leader_id, leader_epoch, replica_nodes, isr_nodes, eligible_leader_replicas, last_known_elr, offline_replicas })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array("DescribeTopicPartitionsResponsePartition.replica_nodes", true, &self.replica_nodes, |w, each| { w.i32(*each); Ok(()) })?;
        w.array("DescribeTopicPartitionsResponsePartition.isr_nodes", true, &self.isr_nodes, |w, each| { w.i32(*each); Ok(()) })?;
        w.array_or_null("DescribeTopicPartitionsResponsePartition.eligible_leader_replicas", true, true, self.eligible_leader_replicas.as_deref(), |w, each| { w.i32(*each); Ok(()) })?;
        w.array_or_null("DescribeTopicPartitionsResponsePartition.last_known_elr", true, true, self.last_known_elr.as_deref(), |w, each| { w.i32(*each); Ok(()) })?;
        w.array("DescribeTopicPartitionsResponsePartition.offline_replicas", true, &self.offline_replicas, |w, each| { w.i32(*each); Ok(()) })?;
        w.uvarint(0);
        Ok(())
    }
}
