//! DeleteRecords (key 21, versions 0-2): [`DeleteRecordsRequest`] and [`DeleteRecordsResponse`].
//!
//! Generated from `schema/delete_records.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DeleteRecords request, versions 0-2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsRequest<'a> {
    /// The topics.
    pub topics: Vec<DeleteRecordsTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
}

impl<'a> DeleteRecordsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 21;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let topics = r.array(flexible, DeleteRecordsTopic::size_min(version), |r| DeleteRecordsTopic::decode(r, version))?;
        let timeout_ms = r.i32()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topics, timeout_ms })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.array("DeleteRecordsRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        w.i32(self.timeout_ms);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteRecordsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl<'a> DeleteRecordsTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let name = r.string(flexible)?;
        let partitions = r.array(flexible, DeleteRecordsPartition::size_min(version), |r| DeleteRecordsPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("DeleteRecordsTopic.name", flexible, self.name)?;
        w.array("DeleteRecordsTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteRecordsTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsPartition {
    /// The number of the partition.
    pub partition_index: i32,
    /// The first offset to keep, -1 to delete all.
    pub offset: i64,
}

impl DeleteRecordsPartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 12,
            _ => 13,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let partition_index = r.i32()?;
        let offset = r.i64()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, offset })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.i32(self.partition_index);
        w.i64(self.offset);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// DeleteRecords response, versions 0-2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<DeleteRecordsTopicResult<'a>>,
}

impl<'a> DeleteRecordsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 21;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let throttle_time_ms = r.i32()?;
        let topics = r.array(flexible, DeleteRecordsTopicResult::size_min(version), |r| DeleteRecordsTopicResult::decode(r, version))?;
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
        let flexible = version >= 2;
        w.i32(self.throttle_time_ms);
        w.array("DeleteRecordsResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteRecordsResponse::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsTopicResult<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl<'a> DeleteRecordsTopicResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let name = r.string(flexible)?;
        let partitions = r.array(flexible, DeleteRecordsPartitionResult::size_min(version), |r| DeleteRecordsPartitionResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("DeleteRecordsTopicResult.name", flexible, self.name)?;
        w.array("DeleteRecordsTopicResult.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteRecordsTopicResult::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteRecordsPartitionResult {
    /// The number of the partition.
    pub partition_index: i32,
    /// The first offset that is left.
    pub low_watermark: i64,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl DeleteRecordsPartitionResult {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 14,
            _ => 15,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let partition_index = r.i32()?;
        let low_watermark = r.i64()?;
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, low_watermark, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.i32(self.partition_index);
        w.i64(self.low_watermark);
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
