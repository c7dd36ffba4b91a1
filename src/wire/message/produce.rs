//! Produce (key 0, versions 3-13): [`ProduceRequest`] and [`ProduceResponse`].
//!
//! Generated from `schema/produce.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Records, Writer};

/// Produce request, versions 3-13.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceRequest<'a> {
    /// The transactional id; null for a producer without transactions.
    pub transactional_id: Option<&'a str>,
    /// How many replicas must have the records before the answer: 0, 1, or -1 for all in sync.
    pub acks: i16,
    /// How long to wait for the replicas, in milliseconds.
    pub timeout_ms: i32,
    /// The topics to write to.
    pub topic_data: Vec<TopicProduceData<'a>>,
}

impl<'a> ProduceRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 0;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 3;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 13;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        let transactional_id = r.string_or_null(flexible, true)?;
        let acks = r.i16()?;
        let timeout_ms = r.i32()?;
        let topic_data = r.array(flexible, TopicProduceData::size_min(version), |r| TopicProduceData::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { transactional_id, acks, timeout_ms, topic_data })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        w.string_or_null("ProduceRequest.transactional_id", flexible, true, self.transactional_id)?;
        w.i16(self.acks);
        w.i32(self.timeout_ms);
        w.array("ProduceRequest.topic_data", flexible, &self.topic_data, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ProduceRequest::topic_data`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceData<'a> {
    /// The name of the topic. Versions 3-12.
    pub name: &'a str,
    /// The id of the topic. Versions 13+.
    pub topic_id: [u8; 16],
    /// The partitions to write to.
    pub partition_data: Vec<PartitionProduceData<'a>>,
}

impl<'a> TopicProduceData<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=8 => 6,
            9..=12 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let name = if version <= 12 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 13 { r.uuid()? } else { [0; 16] };
        let partition_data = r.array(flexible, PartitionProduceData::size_min(version), |r| PartitionProduceData::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partition_data })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version <= 12 {
            w.string("TopicProduceData.name", flexible, self.name)?;
        }
        if version >= 13 {
            w.uuid(&self.topic_id);
        }
        w.array("TopicProduceData.partition_data", flexible, &self.partition_data, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`TopicProduceData::partition_data`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionProduceData<'a> {
    /// The number of the partition.
    pub index: i32,
    /// Record batches.
    pub records: Option<Records<'a>>,
}

impl<'a> PartitionProduceData<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=8 => 8,
            _ => 6,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let index = r.i32()?;
        let records = r.records_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { index, records })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.i32(self.index);
        w.records_or_null("PartitionProduceData.records", flexible, true, self.records)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Produce response, versions 3-13.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProduceResponse<'a> {
    /// The result for each topic.
    pub responses: Vec<TopicProduceResponse<'a>>,
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// Where to reach the leaders named in this answer. Versions 10+.
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

impl<'a> ProduceResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 0;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 3;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 13;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        let responses = r.array(flexible, TopicProduceResponse::size_min(version), |r| TopicProduceResponse::decode(r, version))?;
        let throttle_time_ms = r.i32()?;
        let mut node_endpoints = Vec::new();
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 if version >= 10 => node_endpoints = r.array(true, 11, |r| NodeEndpoint::decode(r, version))?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { responses, throttle_time_ms, node_endpoints })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        w.array("ProduceResponse.responses", flexible, &self.responses, |w, each| each.encode(w, version))?;
        w.i32(self.throttle_time_ms);
        if flexible {
            let node_endpoints = version >= 10 && !self.node_endpoints.is_empty();
            w.uvarint(u32::from(node_endpoints));
            if node_endpoints {
                w.tagged("ProduceResponse.node_endpoints", 0, |w| w.array("ProduceResponse.node_endpoints", true, &self.node_endpoints, |w, each| each.encode(w, version)))?;
            }
        }
        Ok(())
    }
}

/// Part of [`ProduceResponse::responses`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicProduceResponse<'a> {
    /// The name of the topic. Versions 3-12.
    pub name: &'a str,
    /// The id of the topic. Versions 13+.
    pub topic_id: [u8; 16],
    /// The result for each partition.
    pub partition_responses: Vec<PartitionProduceResponse<'a>>,
}

impl<'a> TopicProduceResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=8 => 6,
            9..=12 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let name = if version <= 12 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 13 { r.uuid()? } else { [0; 16] };
        let partition_responses = r.array(flexible, PartitionProduceResponse::size_min(version), |r| PartitionProduceResponse::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partition_responses })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version <= 12 {
            w.string("TopicProduceResponse.name", flexible, self.name)?;
        }
        if version >= 13 {
            w.uuid(&self.topic_id);
        }
        w.array("TopicProduceResponse.partition_responses", flexible, &self.partition_responses, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`TopicProduceResponse::partition_responses`].
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionProduceResponse<'a> {
    /// The number of the partition.
    pub index: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The offset of the first record written.
    pub base_offset: i64,
    /// When the broker wrote the records, -1 if the records keep the time of their producer.
    pub log_append_time_ms: i64,
    /// The first offset of the log. Versions 5+.
    pub log_start_offset: i64,
    /// The records that made the broker refuse the batch. Versions 8+.
    pub record_errors: Vec<BatchIndexAndErrorMessage<'a>>,
    /// What went wrong, for people. Versions 8+.
    pub error_message: Option<&'a str>,
    /// The leader now, for a client that asked the wrong broker. Versions 10+.
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse<'_> {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl<'a> PartitionProduceResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 22,
            5..=7 => 30,
            8..=8 => 36,
            _ => 33,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let index = r.i32()?;
        let error_code = r.i16()?;
        let base_offset = r.i64()?;
        let log_append_time_ms = r.i64()?;
        let log_start_offset = if version >= 5 { r.i64()? } else { -1 };
        let record_errors = if version >= 8 { r.array(flexible, 6, |r| BatchIndexAndErrorMessage::decode(r, version))? } else { Vec::new() };
        let error_message = if version >= 8 { r.string_or_null(flexible, true)? } else { None };
        let mut current_leader = LeaderIdAndEpoch::default();
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 if version >= 10 => current_leader = LeaderIdAndEpoch::decode(r, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { index, error_code, base_offset, log_append_time_ms, log_start_offset, record_errors, error_message, current_leader })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.i32(self.index);
        w.error_code(self.error_code);
        w.i64(self.base_offset);
        w.i64(self.log_append_time_ms);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        if version >= 8 {
            w.array("PartitionProduceResponse.record_errors", flexible, &self.record_errors, |w, each| each.encode(w, version))?;
        }
        if version >= 8 {
            w.string_or_null("PartitionProduceResponse.error_message", flexible, true, self.error_message)?;
        }
        if flexible {
            let current_leader = version >= 10 && self.current_leader != LeaderIdAndEpoch::default();
            w.uvarint(u32::from(current_leader));
            if current_leader {
                w.tagged("PartitionProduceResponse.current_leader", 0, |w| self.current_leader.encode(w, version))?;
            }
        }
        Ok(())
    }
}

/// Part of [`PartitionProduceResponse::record_errors`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchIndexAndErrorMessage<'a> {
    /// Which record of the batch.
    pub batch_index: i32,
    /// What is wrong with it.
    pub batch_index_error_message: Option<&'a str>,
}

impl<'a> BatchIndexAndErrorMessage<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let batch_index = r.i32()?;
        let batch_index_error_message = r.string_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { batch_index, batch_index_error_message })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.i32(self.batch_index);
        w.string_or_null("BatchIndexAndErrorMessage.batch_index_error_message", flexible, true, self.batch_index_error_message)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`PartitionProduceResponse::current_leader`].
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The broker that leads, -1 if unknown or none.
    pub leader_id: i32,
    /// The epoch of the leader, -1 if unknown.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let leader_id = r.i32()?;
        let leader_epoch = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { leader_id, leader_epoch })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ProduceResponse::node_endpoints`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEndpoint<'a> {
    /// The id of the broker.
    pub node_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<&'a str>,
}

impl<'a> NodeEndpoint<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let node_id = r.i32()?;
        let host = r.string(true)?;
        let port = r.i32()?;
        let rack = r.string_or_null(true, true)?;
        r.skip_tagged_fields()?;
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.node_id);
        w.string("NodeEndpoint.host", true, self.host)?;
        w.i32(self.port);
        w.string_or_null("NodeEndpoint.rack", true, true, self.rack)?;
        w.uvarint(0);
        Ok(())
    }
}
