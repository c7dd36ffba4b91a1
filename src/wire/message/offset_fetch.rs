//! OffsetFetch (key 9, versions 1-10): [`OffsetFetchRequest`] and [`OffsetFetchResponse`].
//!
//! Generated from `schema/offset_fetch.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// OffsetFetch request, versions 1-10.
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequest<'a> {
    /// The group. Versions 1-7.
    pub group_id: &'a str,
    /// The topics, null for all. Versions 1-7.
    pub topics: Option<Vec<OffsetFetchRequestTopic<'a>>>,
    /// The groups. Versions 8+.
    pub groups: Vec<OffsetFetchRequestGroup<'a>>,
    /// Whether offsets of open transactions are an error. Versions 7+.
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: "",
            topics: Some(Vec::new()),
            groups: Vec::new(),
            require_stable: false,
        }
    }
}

impl<'a> OffsetFetchRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 9;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 10;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let group_id = if version <= 7 { r.string(flexible)? } else { "" };
        let topics = if version <= 7 { r.array_or_null(flexible, version >= 2, OffsetFetchRequestTopic::size_min(version), |r| OffsetFetchRequestTopic::decode(r, version))? } else { Some(Vec::new()) };
        let groups = if version >= 8 { r.array(flexible, OffsetFetchRequestGroup::size_min(version), |r| OffsetFetchRequestGroup::decode(r, version))? } else { Vec::new() };
        let require_stable = if version >= 7 { r.bool()? } else { false };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, topics, groups, require_stable })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        if version <= 7 {
            w.string("OffsetFetchRequest.group_id", flexible, self.group_id)?;
        } else if !self.group_id.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "OffsetFetchRequest.group_id", version });
        }
        if version <= 7 {
            w.array_or_null("OffsetFetchRequest.topics", flexible, version >= 2, self.topics.as_deref(), |w, each| each.encode(w, version))?;
        } else if self.topics.as_ref().is_none_or(|each| !each.is_empty()) {
            return Err(EncodeError::FieldNotInVersion { field: "OffsetFetchRequest.topics", version });
        }
        if version >= 8 {
            w.array("OffsetFetchRequest.groups", flexible, &self.groups, |w, each| each.encode(w, version))?;
        } else if !self.groups.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "OffsetFetchRequest.groups", version });
        }
        if version >= 7 {
            w.bool(self.require_stable);
        } else if self.require_stable {
            return Err(EncodeError::FieldNotInVersion { field: "OffsetFetchRequest.require_stable", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetFetchRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchRequestTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The numbers of the partitions.
    pub partition_indexes: Vec<i32>,
}

impl<'a> OffsetFetchRequestTopic<'a> {
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
        let partition_indexes = r.array(flexible, 4, |r| r.i32())?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partition_indexes })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("OffsetFetchRequestTopic.name", flexible, self.name)?;
        w.array("OffsetFetchRequestTopic.partition_indexes", flexible, &self.partition_indexes, |w, each| { w.i32(*each); Ok(()) })?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetFetchRequest::groups`].
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchRequestGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The member that asks. Versions 9+.
    pub member_id: Option<&'a str>,
    /// Its epoch. Versions 9+.
    pub member_epoch: i32,
    /// The topics, null for all.
    pub topics: Option<Vec<OffsetFetchRequestTopics<'a>>>,
}

impl Default for OffsetFetchRequestGroup<'_> {
    fn default() -> Self {
        Self {
            group_id: "",
            member_id: None,
            member_epoch: -1,
            topics: Some(Vec::new()),
        }
    }
}

impl<'a> OffsetFetchRequestGroup<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=8 => 3,
            _ => 8,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let group_id = r.string(true)?;
        let member_id = if version >= 9 { r.string_or_null(true, true)? } else { None };
        let member_epoch = if version >= 9 { r.i32()? } else { -1 };
        let topics = r.array_or_null(true, true, OffsetFetchRequestTopics::size_min(version), |r| OffsetFetchRequestTopics::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { group_id, member_id, member_epoch, topics })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("OffsetFetchRequestGroup.group_id", true, self.group_id)?;
        if version >= 9 {
            w.string_or_null("OffsetFetchRequestGroup.member_id", true, true, self.member_id)?;
        }
        if version >= 9 {
            w.i32(self.member_epoch);
        }
        w.array_or_null("OffsetFetchRequestGroup.topics", true, true, self.topics.as_deref(), |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`OffsetFetchRequestGroup::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchRequestTopics<'a> {
    /// The name of the topic. Versions 8-9.
    pub name: &'a str,
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// The numbers of the partitions.
    pub partition_indexes: Vec<i32>,
}

impl<'a> OffsetFetchRequestTopics<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=9 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let name = if version <= 9 { r.string(true)? } else { "" };
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let partition_indexes = r.array(true, 4, |r| r.i32())?;
        r.skip_tagged_fields()?;
        Ok(Self { name, topic_id, partition_indexes })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if version <= 9 {
            w.string("OffsetFetchRequestTopics.name", true, self.name)?;
        }
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        w.array("OffsetFetchRequestTopics.partition_indexes", true, &self.partition_indexes, |w, each| { w.i32(*each); Ok(()) })?;
        w.uvarint(0);
        Ok(())
    }
}

/// OffsetFetch response, versions 1-10.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 3+.
    pub throttle_time_ms: i32,
    /// The topics. Versions 1-7.
    pub topics: Vec<OffsetFetchResponseTopic<'a>>,
    /// What went wrong, 0 if nothing. Versions 2-7.
    pub error_code: i16,
    /// The groups. Versions 8+.
    pub groups: Vec<OffsetFetchResponseGroup<'a>>,
}

impl<'a> OffsetFetchResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 9;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 10;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let throttle_time_ms = if version >= 3 { r.i32()? } else { 0 };
        let topics = if version <= 7 { r.array(flexible, OffsetFetchResponseTopic::size_min(version), |r| OffsetFetchResponseTopic::decode(r, version))? } else { Vec::new() };
        let error_code = if (2..=7).contains(&version) { r.i16()? } else { 0 };
        let groups = if version >= 8 { r.array(flexible, 5, |r| OffsetFetchResponseGroup::decode(r, version))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, topics, error_code, groups })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        if version <= 7 {
            w.array("OffsetFetchResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        }
        if (2..=7).contains(&version) {
            w.error_code(self.error_code);
        }
        if version >= 8 {
            w.array("OffsetFetchResponse.groups", flexible, &self.groups, |w, each| each.encode(w, version))?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetFetchResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<OffsetFetchResponsePartition<'a>>,
}

impl<'a> OffsetFetchResponseTopic<'a> {
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
        let partitions = r.array(flexible, OffsetFetchResponsePartition::size_min(version), |r| OffsetFetchResponsePartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("OffsetFetchResponseTopic.name", flexible, self.name)?;
        w.array("OffsetFetchResponseTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetFetchResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchResponsePartition<'a> {
    /// The number of the partition.
    pub partition_index: i32,
    /// The next offset to read, -1 if none is committed.
    pub committed_offset: i64,
    /// The leader epoch of the last record read, -1 if unknown. Versions 5+.
    pub committed_leader_epoch: i32,
    /// The text that the client keeps beside it.
    pub metadata: Option<&'a str>,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(""),
            error_code: 0,
        }
    }
}

impl<'a> OffsetFetchResponsePartition<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 16,
            _ => 20,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let partition_index = r.i32()?;
        let committed_offset = r.i64()?;
        let committed_leader_epoch = if version >= 5 { r.i32()? } else { -1 };
        let metadata = r.string_or_null(flexible, true)?;
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, metadata, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if version >= 5 {
            w.i32(self.committed_leader_epoch);
        }
        w.string_or_null("OffsetFetchResponsePartition.metadata", flexible, true, self.metadata)?;
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`OffsetFetchResponse::groups`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The topics.
    pub topics: Vec<OffsetFetchResponseTopics<'a>>,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl<'a> OffsetFetchResponseGroup<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let group_id = r.string(true)?;
        let topics = r.array(true, OffsetFetchResponseTopics::size_min(version), |r| OffsetFetchResponseTopics::decode(r, version))?;
        let error_code = r.i16()?;
        r.skip_tagged_fields()?;
        Ok(Self { group_id, topics, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("OffsetFetchResponseGroup.group_id", true, self.group_id)?;
        w.array("OffsetFetchResponseGroup.topics", true, &self.topics, |w, each| each.encode(w, version))?;
        w.error_code(self.error_code);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`OffsetFetchResponseGroup::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchResponseTopics<'a> {
    /// The name of the topic. Versions 8-9.
    pub name: &'a str,
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<OffsetFetchResponsePartitions<'a>>,
}

impl<'a> OffsetFetchResponseTopics<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=9 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let name = if version <= 9 { r.string(true)? } else { "" };
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(true, 20, |r| OffsetFetchResponsePartitions::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { name, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if version <= 9 {
            w.string("OffsetFetchResponseTopics.name", true, self.name)?;
        }
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        w.array("OffsetFetchResponseTopics.partitions", true, &self.partitions, |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`OffsetFetchResponseTopics::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct OffsetFetchResponsePartitions<'a> {
    /// The number of the partition.
    pub partition_index: i32,
    /// The next offset to read, -1 if none is committed.
    pub committed_offset: i64,
    /// The leader epoch of the last record read, -1 if unknown.
    pub committed_leader_epoch: i32,
    /// The text that the client keeps beside it.
    pub metadata: Option<&'a str>,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(""),
            error_code: 0,
        }
    }
}

impl<'a> OffsetFetchResponsePartitions<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let partition_index = r.i32()?;
        let committed_offset = r.i64()?;
        let committed_leader_epoch = r.i32()?;
        let metadata = r.string_or_null(true, true)?;
        let error_code = r.i16()?;
        r.skip_tagged_fields()?;
        Ok(Self { partition_index, committed_offset, committed_leader_epoch, metadata, error_code })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        w.i32(self.committed_leader_epoch);
        w.string_or_null("OffsetFetchResponsePartitions.metadata", true, true, self.metadata)?;
        w.error_code(self.error_code);
        w.uvarint(0);
        Ok(())
    }
}
