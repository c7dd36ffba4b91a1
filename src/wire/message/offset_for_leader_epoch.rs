//! OffsetForLeaderEpoch (key 23, versions 2-4): [`OffsetForLeaderEpochRequest`] and [`OffsetForLeaderEpochResponse`].
//!
//! Generated from `schema/offset_for_leader_epoch.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// OffsetForLeaderEpoch request, versions 2-4.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetForLeaderEpochRequest<'a> {
    /// The broker that asks, -1 for a client. Versions 3+.
    pub replica_id: i32,
    /// The topics.
    pub topics: Vec<OffsetForLeaderTopic<'a>>,
}

impl Default for OffsetForLeaderEpochRequest<'_> {
    fn default() -> Self {
        Self {
            replica_id: -2,
            topics: Vec::new(),
        }
    }
}

impl<'a> OffsetForLeaderEpochRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 23;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let replica_id = if version >= 3 { r.i32()? } else { -2 };
        let topics = r.array(flexible, OffsetForLeaderTopic::size_min(version), |r| OffsetForLeaderTopic::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { replica_id, topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        if version >= 3 {
            w.i32(self.replica_id);
        }
        w.array("OffsetForLeaderEpochRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetForLeaderEpochRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderTopic<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The partitions.
    pub partitions: Vec<OffsetForLeaderPartition>,
}

impl<'a> OffsetForLeaderTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let topic = r.string(flexible)?;
        let partitions = r.array(flexible, OffsetForLeaderPartition::size_min(version), |r| OffsetForLeaderPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("OffsetForLeaderTopic.topic", flexible, self.topic)?;
        w.array("OffsetForLeaderTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetForLeaderTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetForLeaderPartition {
    /// The number of the partition.
    pub partition: i32,
    /// The epoch of the leader as the client knows it, -1 if it does not.
    pub current_leader_epoch: i32,
    /// The epoch to find the end of.
    pub leader_epoch: i32,
}

impl Default for OffsetForLeaderPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            leader_epoch: 0,
        }
    }
}

impl OffsetForLeaderPartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 12,
            _ => 13,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let partition = r.i32()?;
        let current_leader_epoch = r.i32()?;
        let leader_epoch = r.i32()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition, current_leader_epoch, leader_epoch })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.i32(self.partition);
        w.i32(self.current_leader_epoch);
        w.i32(self.leader_epoch);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// OffsetForLeaderEpoch response, versions 2-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderEpochResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetForLeaderTopicResult<'a>>,
}

impl<'a> OffsetForLeaderEpochResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 23;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let throttle_time_ms = r.i32()?;
        let topics = r.array(flexible, OffsetForLeaderTopicResult::size_min(version), |r| OffsetForLeaderTopicResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.i32(self.throttle_time_ms);
        w.array("OffsetForLeaderEpochResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetForLeaderEpochResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetForLeaderTopicResult<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The partitions.
    pub partitions: Vec<EpochEndOffset>,
}

impl<'a> OffsetForLeaderTopicResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let topic = r.string(flexible)?;
        let partitions = r.array(flexible, EpochEndOffset::size_min(version), |r| EpochEndOffset::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("OffsetForLeaderTopicResult.topic", flexible, self.topic)?;
        w.array("OffsetForLeaderTopicResult.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetForLeaderTopicResult::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The number of the partition.
    pub partition: i32,
    /// The largest epoch that is not above the one asked for, -1 if none.
    pub leader_epoch: i32,
    /// The end of that epoch, -1 if none.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition: 0,
            leader_epoch: -1,
            end_offset: -1,
        }
    }
}

impl EpochEndOffset {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 18,
            _ => 19,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let error_code = r.i16()?;
        let partition = r.i32()?;
        let leader_epoch = r.i32()?;
        let end_offset = r.i64()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, partition, leader_epoch, end_offset })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.error_code(self.error_code);
        w.i32(self.partition);
        w.i32(self.leader_epoch);
        w.i64(self.end_offset);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
