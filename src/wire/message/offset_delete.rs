//! OffsetDelete (key 47, versions 0): [`OffsetDeleteRequest`] and [`OffsetDeleteResponse`].
//!
//! Generated from `schema/offset_delete.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// OffsetDelete request, versions 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The topics.
    pub topics: Vec<OffsetDeleteRequestTopic<'a>>,
}

impl<'a> OffsetDeleteRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 47;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 0;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let group_id = r.string(false)?;
        let topics = r.array(false, 6, |r| OffsetDeleteRequestTopic::decode(r, version))?;
        Ok(Self { group_id, topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.string("OffsetDeleteRequest.group_id", false, self.group_id)?;
        w.array("OffsetDeleteRequest.topics", false, &self.topics, |w, each| each.encode(w, version))?;
        Ok(())
    }
}

/// Part of [`OffsetDeleteRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl<'a> OffsetDeleteRequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let name = r.string(false)?;
        let partitions = r.array(false, 4, |r| OffsetDeleteRequestPartition::decode(r, version))?;
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("OffsetDeleteRequestTopic.name", false, self.name)?;
        w.array("OffsetDeleteRequestTopic.partitions", false, &self.partitions, |w, each| each.encode(w, version))?;
        Ok(())
    }
}

/// Part of [`OffsetDeleteRequestTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteRequestPartition {
    /// The number of the partition.
    pub partition_index: i32,
}

impl OffsetDeleteRequestPartition {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let partition_index = r.i32()?;
        Ok(Self { partition_index })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        Ok(())
    }
}

/// OffsetDelete response, versions 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponse<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<OffsetDeleteResponseTopic<'a>>,
}

impl<'a> OffsetDeleteResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 47;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 0;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let error_code = r.i16()?;
        let throttle_time_ms = r.i32()?;
        let topics = r.array(false, 6, |r| OffsetDeleteResponseTopic::decode(r, version))?;
        Ok(Self { error_code, throttle_time_ms, topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.error_code(self.error_code);
        w.i32(self.throttle_time_ms);
        w.array("OffsetDeleteResponse.topics", false, &self.topics, |w, each| each.encode(w, version))?;
        Ok(())
    }
}

/// Part of [`OffsetDeleteResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponseTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl<'a> OffsetDeleteResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let name = r.string(false)?;
        let partitions = r.array(false, 6, |r| OffsetDeleteResponsePartition::decode(r, version))?;
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("OffsetDeleteResponseTopic.name", false, self.name)?;
        w.array("OffsetDeleteResponseTopic.partitions", false, &self.partitions, |w, each| each.encode(w, version))?;
        Ok(())
    }
}

/// Part of [`OffsetDeleteResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetDeleteResponsePartition {
    /// The number of the partition.
    pub partition_index: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl OffsetDeleteResponsePartition {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let partition_index = r.i32()?;
        let error_code = r.i16()?;
        Ok(Self { partition_index, error_code })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        Ok(())
    }
}
