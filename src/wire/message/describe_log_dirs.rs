//! DescribeLogDirs (key 35, versions 1-5): [`DescribeLogDirsRequest`] and [`DescribeLogDirsResponse`].
//!
//! Generated from `schema/describe_log_dirs.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DescribeLogDirs request, versions 1-5.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeLogDirsRequest<'a> {
    /// The topics to describe, null for all.
    pub topics: Option<Vec<DescribableLogDirTopic<'a>>>,
}

impl Default for DescribeLogDirsRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
        }
    }
}

impl<'a> DescribeLogDirsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 35;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let topics = r.array_or_null(flexible, true, DescribableLogDirTopic::size_min(version), |r| DescribableLogDirTopic::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topics })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.array_or_null("DescribeLogDirsRequest.topics", flexible, true, self.topics.as_deref(), |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeLogDirsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribableLogDirTopic<'a> {
    /// The name of the topic.
    pub topic: &'a str,
    /// The partitions.
    pub partitions: Vec<i32>,
}

impl<'a> DescribableLogDirTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let topic = r.string(flexible)?;
        let partitions = r.array(flexible, 4, |r| r.i32())?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("DescribableLogDirTopic.topic", flexible, self.topic)?;
        w.array("DescribableLogDirTopic.partitions", flexible, &self.partitions, |w, each| { w.i32(*each); Ok(()) })?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// DescribeLogDirs response, versions 1-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing. Versions 3+.
    pub error_code: i16,
    /// The log directories.
    pub results: Vec<DescribeLogDirsResult<'a>>,
}

impl<'a> DescribeLogDirsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 35;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let throttle_time_ms = r.i32()?;
        let error_code = if version >= 3 { r.i16()? } else { 0 };
        let results = r.array(flexible, DescribeLogDirsResult::size_min(version), |r| DescribeLogDirsResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, results })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.i32(self.throttle_time_ms);
        if version >= 3 {
            w.error_code(self.error_code);
        }
        w.array("DescribeLogDirsResponse.results", flexible, &self.results, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeLogDirsResponse::results`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeLogDirsResult<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The path of the log directory.
    pub log_dir: &'a str,
    /// The topics.
    pub topics: Vec<DescribeLogDirsTopic<'a>>,
    /// The size of the volume, -1 if unknown. Versions 4+.
    pub total_bytes: i64,
    /// What is free on the volume, -1 if unknown. Versions 4+.
    pub usable_bytes: i64,
    /// Whether the directory takes no new partitions. Versions 5+.
    pub is_cordoned: bool,
}

impl Default for DescribeLogDirsResult<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            log_dir: "",
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
            is_cordoned: false,
        }
    }
}

impl<'a> DescribeLogDirsResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 8,
            2..=3 => 5,
            4..=4 => 21,
            _ => 22,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let error_code = r.i16()?;
        let log_dir = r.string(flexible)?;
        let topics = r.array(flexible, DescribeLogDirsTopic::size_min(version), |r| DescribeLogDirsTopic::decode(r, version))?;
        let total_bytes = if version >= 4 { r.i64()? } else { -1 };
        let usable_bytes = if version >= 4 { r.i64()? } else { -1 };
        let is_cordoned = if version >= 5 { r.bool()? } else { false };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, log_dir, topics, total_bytes, usable_bytes, is_cordoned })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.error_code(self.error_code);
        w.string("DescribeLogDirsResult.log_dir", flexible, self.log_dir)?;
        w.array("DescribeLogDirsResult.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if version >= 4 {
            w.i64(self.total_bytes);
        }
        if version >= 4 {
            w.i64(self.usable_bytes);
        }
        if version >= 5 {
            w.bool(self.is_cordoned);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeLogDirsResult::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The partitions.
    pub partitions: Vec<DescribeLogDirsPartition>,
}

impl<'a> DescribeLogDirsTopic<'a> {
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
        let partitions = r.array(flexible, DescribeLogDirsPartition::size_min(version), |r| DescribeLogDirsPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("DescribeLogDirsTopic.name", flexible, self.name)?;
        w.array("DescribeLogDirsTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeLogDirsTopic::partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsPartition {
    /// The number of the partition.
    pub partition_index: i32,
    /// How many bytes the log has on disk.
    pub partition_size: i64,
    /// How far the log is behind.
    pub offset_lag: i64,
    /// Whether this log is to take the place of another.
    pub is_future_key: bool,
}

impl DescribeLogDirsPartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 21,
            _ => 22,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let partition_index = r.i32()?;
        let partition_size = r.i64()?;
        let offset_lag = r.i64()?;
        let is_future_key = r.bool()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, partition_size, offset_lag, is_future_key })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.i32(self.partition_index);
        w.i64(self.partition_size);
        w.i64(self.offset_lag);
        w.bool(self.is_future_key);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
