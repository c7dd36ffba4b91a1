//! CreatePartitions (key 37, versions 0-3): [`CreatePartitionsRequest`] and [`CreatePartitionsResponse`].
//!
//! Generated from `schema/create_partitions.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// CreatePartitions request, versions 0-3.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsRequest<'a> {
    /// The topics.
    pub topics: Vec<CreatePartitionsTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
    /// Whether to check and change nothing.
    pub validate_only: bool,
}

impl<'a> CreatePartitionsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 37;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 3;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let topics = r.array(flexible, CreatePartitionsTopic::size_min(version), |r| CreatePartitionsTopic::decode(r, version))?;
        let timeout_ms = r.i32()?;
        let validate_only = r.bool()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topics, timeout_ms, validate_only })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.array("CreatePartitionsRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreatePartitionsRequest::topics`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePartitionsTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// How many partitions the topic shall have.
    pub count: i32,
    /// The brokers of each new partition, null to let the cluster decide.
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Default for CreatePartitionsTopic<'_> {
    fn default() -> Self {
        Self {
            name: "",
            count: 0,
            assignments: Some(Vec::new()),
        }
    }
}

impl<'a> CreatePartitionsTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 10,
            _ => 7,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let name = r.string(flexible)?;
        let count = r.i32()?;
        let assignments = r.array_or_null(flexible, true, CreatePartitionsAssignment::size_min(version), |r| CreatePartitionsAssignment::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, count, assignments })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("CreatePartitionsTopic.name", flexible, self.name)?;
        w.i32(self.count);
        w.array_or_null("CreatePartitionsTopic.assignments", flexible, true, self.assignments.as_deref(), |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreatePartitionsTopic::assignments`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsAssignment {
    /// The brokers, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

impl CreatePartitionsAssignment {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 4,
            _ => 2,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let broker_ids = r.array(flexible, 4, |r| r.i32())?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { broker_ids })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.array("CreatePartitionsAssignment.broker_ids", flexible, &self.broker_ids, |w, each| { w.i32(*each); Ok(()) })?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// CreatePartitions response, versions 0-3.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The results.
    pub results: Vec<CreatePartitionsTopicResult<'a>>,
}

impl<'a> CreatePartitionsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 37;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 3;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let throttle_time_ms = r.i32()?;
        let results = r.array(flexible, CreatePartitionsTopicResult::size_min(version), |r| CreatePartitionsTopicResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, results })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.i32(self.throttle_time_ms);
        w.array("CreatePartitionsResponse.results", flexible, &self.results, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreatePartitionsResponse::results`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatePartitionsTopicResult<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people.
    pub error_message: Option<&'a str>,
}

impl<'a> CreatePartitionsTopicResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 6,
            _ => 5,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let name = r.string(flexible)?;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, error_code, error_message })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("CreatePartitionsTopicResult.name", flexible, self.name)?;
        w.error_code(self.error_code);
        w.string_or_null("CreatePartitionsTopicResult.error_message", flexible, true, self.error_message)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
