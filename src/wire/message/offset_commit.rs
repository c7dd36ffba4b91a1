//! OffsetCommit (key 8, versions 2-10): [`OffsetCommitRequest`] and [`OffsetCommitResponse`].
//!
//! Generated from `schema/offset_commit.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// OffsetCommit request, versions 2-10.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The generation of a classic group, the member's epoch in a consumer group, -1 outside a group.
    pub generation_id_or_member_epoch: i32,
    /// The member, empty outside a group.
    pub member_id: &'a str,
    /// The static member's own name. Versions 7+.
    pub group_instance_id: Option<&'a str>,
    /// How long to keep the offsets, -1 for the broker's setting. Versions 2-4.
    pub retention_time_ms: i64,
    /// The topics.
    pub topics: Vec<OffsetCommitRequestTopic<'a>>,
}

impl Default for OffsetCommitRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: "",
            generation_id_or_member_epoch: -1,
            member_id: "",
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl<'a> OffsetCommitRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 8;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 10;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 8;
        let group_id = r.string(flexible)?;
        let generation_id_or_member_epoch = r.i32()?;
        let member_id = r.string(flexible)?;
        let group_instance_id = if version >= 7 { r.string_or_null(flexible, true)? } else { None };
        let retention_time_ms = if version <= 4 { r.i64()? } else { -1 };
        let topics = r.array(flexible, OffsetCommitRequestTopic::size_min(version), |r| OffsetCommitRequestTopic::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, generation_id_or_member_epoch, member_id, group_instance_id, retention_time_ms, topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 8;
        w.string("OffsetCommitRequest.group_id", flexible, self.group_id)?;
        w.i32(self.generation_id_or_member_epoch);
        w.string("OffsetCommitRequest.member_id", flexible, self.member_id)?;
        if version >= 7 {
            w.string_or_null("OffsetCommitRequest.group_instance_id", flexible, true, self.group_instance_id)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::FieldNotInVersion { field: "OffsetCommitRequest.group_instance_id", version });
        }
        if version <= 4 {
            w.i64(self.retention_time_ms);
        }
        w.array("OffsetCommitRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetCommitRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitRequestTopic<'a> {
    /// The name of the topic. Versions 2-9.
    pub name: &'a str,
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<OffsetCommitRequestPartition<'a>>,
}

impl<'a> OffsetCommitRequestTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=7 => 6,
            8..=9 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let name = if version <= 9 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(flexible, OffsetCommitRequestPartition::size_min(version), |r| OffsetCommitRequestPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version <= 9 {
            w.string("OffsetCommitRequestTopic.name", flexible, self.name)?;
        }
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        w.array("OffsetCommitRequestTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetCommitRequestTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetCommitRequestPartition<'a> {
    /// The number of the partition.
    pub partition_index: i32,
    /// The next offset to read.
    pub committed_offset: i64,
    /// The leader epoch of the last record read, -1 if unknown. Versions 6+.
    pub committed_leader_epoch: i32,
    /// A text that the client keeps beside it.
    pub committed_metadata: Option<&'a str>,
}

impl Default for OffsetCommitRequestPartition<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: Some(""),
        }
    }
}

impl<'a> OffsetCommitRequestPartition<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=5 => 14,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let partition_index = r.i32()?;
        let committed_offset = r.i64()?;
        let committed_leader_epoch = if version >= 6 { r.i32()? } else { -1 };
        let committed_metadata = r.string_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, committed_metadata })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 6 {
            w.i32(self.committed_leader_epoch);
        }
        w.string_or_null("OffsetCommitRequestPartition.committed_metadata", flexible, true, self.committed_metadata)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// OffsetCommit response, versions 2-10.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 3+.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetCommitResponseTopic<'a>>,
}

impl<'a> OffsetCommitResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 8;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 10;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 8;
        let throttle_time_ms = if version >= 3 { r.i32()? } else { 0 };
        let topics = r.array(flexible, OffsetCommitResponseTopic::size_min(version), |r| OffsetCommitResponseTopic::decode(r, version))?;
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
        let flexible = version >= 8;
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array("OffsetCommitResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetCommitResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponseTopic<'a> {
    /// The name of the topic. Versions 2-9.
    pub name: &'a str,
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl<'a> OffsetCommitResponseTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=7 => 6,
            8..=9 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let name = if version <= 9 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(flexible, OffsetCommitResponsePartition::size_min(version), |r| OffsetCommitResponsePartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        if version <= 9 {
            w.string("OffsetCommitResponseTopic.name", flexible, self.name)?;
        }
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        w.array("OffsetCommitResponseTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetCommitResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitResponsePartition {
    /// The number of the partition.
    pub partition_index: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl OffsetCommitResponsePartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=7 => 6,
            _ => 7,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 8;
        let partition_index = r.i32()?;
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 8;
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
