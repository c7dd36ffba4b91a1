//! ListOffsets (key 2, versions 0-11): [`ListOffsetsRequest`] and [`ListOffsetsResponse`].
//!
//! Generated from `schema/list_offsets.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ListOffsets request, versions 0-11.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsRequest<'a> {
    /// The broker that asks, -1 for a client.
    pub replica_id: i32,
    /// 0 reads everything, 1 only what is committed. Versions 2+.
    pub isolation_level: i8,
    /// The topics.
    pub topics: Vec<ListOffsetsTopic<'a>>,
    /// How long the broker may take, in milliseconds. Versions 10+.
    pub timeout_ms: i32,
}

impl<'a> ListOffsetsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 2;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 11;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let replica_id = r.i32()?;
        let isolation_level = if version >= 2 { r.i8()? } else { 0 };
        let topics = r.array(flexible, ListOffsetsTopic::size_min(version), |r| ListOffsetsTopic::decode(r, version))?;
        let timeout_ms = if version >= 10 { r.i32()? } else { 0 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { replica_id, isolation_level, topics, timeout_ms })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        w.i32(self.replica_id);
        if version >= 2 {
            w.i8(self.isolation_level);
        } else if self.isolation_level != 0 {
            return Err(EncodeError::FieldNotInVersion { field: "ListOffsetsRequest.isolation_level", version });
        }
        w.array("ListOffsetsRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if version >= 10 {
            w.i32(self.timeout_ms);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ListOffsetsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<ListOffsetsPartition>,
}

impl<'a> ListOffsetsTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=5 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let name = r.string(flexible)?;
        let partitions = r.array(flexible, ListOffsetsPartition::size_min(version), |r| ListOffsetsPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("ListOffsetsTopic.name", flexible, self.name)?;
        w.array("ListOffsetsTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ListOffsetsTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartition {
    /// The number of the partition.
    pub partition_index: i32,
    /// The epoch of the leader as the client knows it, -1 if it does not. Versions 4+.
    pub current_leader_epoch: i32,
    /// The time to look for, or -1 latest, -2 earliest, -3 highest time, -4 earliest local, -5 latest tiered.
    pub timestamp: i64,
    /// How many offsets at most. Versions 0.
    pub max_num_offsets: i32,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            current_leader_epoch: -1,
            timestamp: 0,
            max_num_offsets: 1,
        }
    }
}

impl ListOffsetsPartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 16,
            1..=3 => 12,
            4..=5 => 16,
            _ => 17,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let partition_index = r.i32()?;
        let current_leader_epoch = if version >= 4 { r.i32()? } else { -1 };
        let timestamp = r.i64()?;
        let max_num_offsets = if version <= 0 { r.i32()? } else { 1 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, current_leader_epoch, timestamp, max_num_offsets })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.i32(self.partition_index);
        if version >= 4 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.timestamp);
        if version <= 0 {
            w.i32(self.max_num_offsets);
        } else if self.max_num_offsets != 1 {
            return Err(EncodeError::FieldNotInVersion { field: "ListOffsetsPartition.max_num_offsets", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// ListOffsets response, versions 0-11.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 2+.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<ListOffsetsTopicResponse<'a>>,
}

impl<'a> ListOffsetsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 2;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 11;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let throttle_time_ms = if version >= 2 { r.i32()? } else { 0 };
        let topics = r.array(flexible, ListOffsetsTopicResponse::size_min(version), |r| ListOffsetsTopicResponse::decode(r, version))?;
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
        let flexible = version >= 6;
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.array("ListOffsetsResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ListOffsetsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListOffsetsTopicResponse<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl<'a> ListOffsetsTopicResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=5 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let name = r.string(flexible)?;
        let partitions = r.array(flexible, ListOffsetsPartitionResponse::size_min(version), |r| ListOffsetsPartitionResponse::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("ListOffsetsTopicResponse.name", flexible, self.name)?;
        w.array("ListOffsetsTopicResponse.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ListOffsetsTopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    /// The number of the partition.
    pub partition_index: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The offsets, falling. Versions 0.
    pub old_style_offsets: Vec<i64>,
    /// The time of the record at the offset, -1 if none. Versions 1+.
    pub timestamp: i64,
    /// The offset, -1 if none. Versions 1+.
    pub offset: i64,
    /// The epoch of the leader, -1 if unknown. Versions 4+.
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            old_style_offsets: Vec::new(),
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        }
    }
}

impl ListOffsetsPartitionResponse {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 10,
            1..=3 => 22,
            4..=5 => 26,
            _ => 27,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let partition_index = r.i32()?;
        let error_code = r.i16()?;
        let old_style_offsets = if version <= 0 { r.array(flexible, 8, |r| r.i64())? } else { Vec::new() };
        let timestamp = if version >= 1 { r.i64()? } else { -1 };
        let offset = if version >= 1 { r.i64()? } else { -1 };
        let leader_epoch = if version >= 4 { r.i32()? } else { -1 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, error_code, old_style_offsets, timestamp, offset, leader_epoch })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        if version <= 0 {
            w.array("ListOffsetsPartitionResponse.old_style_offsets", flexible, &self.old_style_offsets, |w, each| { w.i64(*each); Ok(()) })?;
        }
        if version >= 1 {
            w.i64(self.timestamp);
        }
        if version >= 1 {
            w.i64(self.offset);
        }
        if version >= 4 {
            w.i32(self.leader_epoch);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
