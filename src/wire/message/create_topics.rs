//! CreateTopics (key 19, versions 2-7): [`CreateTopicsRequest`] and [`CreateTopicsResponse`].
//!
//! Generated from `schema/create_topics.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// CreateTopics request, versions 2-7.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTopicsRequest<'a> {
    /// The topics.
    pub topics: Vec<CreatableTopic<'a>>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
    /// Whether to check and change nothing.
    pub validate_only: bool,
}

impl Default for CreateTopicsRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            timeout_ms: 60000,
            validate_only: false,
        }
    }
}

impl<'a> CreateTopicsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 19;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 7;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        let topics = r.array(flexible, CreatableTopic::size_min(version), |r| CreatableTopic::decode(r, version))?;
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
        let flexible = version >= 5;
        w.array("CreateTopicsRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreateTopicsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableTopic<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// How many partitions, -1 for the default or when assigned by hand.
    pub num_partitions: i32,
    /// How many replicas, -1 for the default or when assigned by hand.
    pub replication_factor: i16,
    /// Which brokers hold which partition, empty to let the cluster decide.
    pub assignments: Vec<CreatableReplicaAssignment>,
    /// The settings.
    pub configs: Vec<CreatableTopicConfig<'a>>,
}

impl<'a> CreatableTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 16,
            _ => 10,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let name = r.string(flexible)?;
        let num_partitions = r.i32()?;
        let replication_factor = r.i16()?;
        let assignments = r.array(flexible, CreatableReplicaAssignment::size_min(version), |r| CreatableReplicaAssignment::decode(r, version))?;
        let configs = r.array(flexible, CreatableTopicConfig::size_min(version), |r| CreatableTopicConfig::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, num_partitions, replication_factor, assignments, configs })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.string("CreatableTopic.name", flexible, self.name)?;
        w.i32(self.num_partitions);
        w.i16(self.replication_factor);
        w.array("CreatableTopic.assignments", flexible, &self.assignments, |w, each| each.encode(w, version))?;
        w.array("CreatableTopic.configs", flexible, &self.configs, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreatableTopic::assignments`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreatableReplicaAssignment {
    /// The number of the partition.
    pub partition_index: i32,
    /// The brokers, the preferred leader first.
    pub broker_ids: Vec<i32>,
}

impl CreatableReplicaAssignment {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 8,
            _ => 6,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let partition_index = r.i32()?;
        let broker_ids = r.array(flexible, 4, |r| r.i32())?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { partition_index, broker_ids })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.i32(self.partition_index);
        w.array("CreatableReplicaAssignment.broker_ids", flexible, &self.broker_ids, |w, each| { w.i32(*each); Ok(()) })?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreatableTopic::configs`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfig<'a> {
    /// The name of the setting.
    pub name: &'a str,
    /// The value.
    pub value: Option<&'a str>,
}

impl Default for CreatableTopicConfig<'_> {
    fn default() -> Self {
        Self {
            name: "",
            value: Some(""),
        }
    }
}

impl<'a> CreatableTopicConfig<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 4,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let name = r.string(flexible)?;
        let value = r.string_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, value })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.string("CreatableTopicConfig.name", flexible, self.name)?;
        w.string_or_null("CreatableTopicConfig.value", flexible, true, self.value)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// CreateTopics response, versions 2-7.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateTopicsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The topics.
    pub topics: Vec<CreatableTopicResult<'a>>,
}

impl<'a> CreateTopicsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 19;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 2;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 7;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        let throttle_time_ms = r.i32()?;
        let topics = r.array(flexible, CreatableTopicResult::size_min(version), |r| CreatableTopicResult::decode(r, version))?;
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
        let flexible = version >= 5;
        w.i32(self.throttle_time_ms);
        w.array("CreateTopicsResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`CreateTopicsResponse::topics`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicResult<'a> {
    /// The name of the topic.
    pub name: &'a str,
    /// The id of the topic. Versions 7+.
    pub topic_id: [u8; 16],
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people.
    pub error_message: Option<&'a str>,
    /// Why the settings are not told, 0 if they are. Versions 5+.
    pub topic_config_error_code: i16,
    /// How many partitions, -1 for the default or when assigned by hand. Versions 5+.
    pub num_partitions: i32,
    /// How many replicas, -1 for the default or when assigned by hand. Versions 5+.
    pub replication_factor: i16,
    /// The settings. Versions 5+.
    pub configs: Option<Vec<CreatableTopicConfigs<'a>>>,
}

impl Default for CreatableTopicResult<'_> {
    fn default() -> Self {
        Self {
            name: "",
            topic_id: [0; 16],
            error_code: 0,
            error_message: Some(""),
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: Some(Vec::new()),
        }
    }
}

impl<'a> CreatableTopicResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 6,
            5..=6 => 12,
            _ => 28,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let name = r.string(flexible)?;
        let topic_id = if version >= 7 { r.uuid()? } else { [0; 16] };
        let error_code = r.i16()?;
        let error_message = r.string_or_null(flexible, true)?;
        let num_partitions = if version >= 5 { r.i32()? } else { -1 };
        let replication_factor = if version >= 5 { r.i16()? } else { -1 };
        let configs = if version >= 5 { r.array_or_null(flexible, true, 6, |r| CreatableTopicConfigs::decode(r, version))? } else { Some(Vec::new()) };
        let mut topic_config_error_code = 0;
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 => topic_config_error_code = r.i16()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { name, topic_id, error_code, error_message, topic_config_error_code, num_partitions, replication_factor, configs })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.string("CreatableTopicResult.name", flexible, self.name)?;
        if version >= 7 {
            w.uuid(&self.topic_id);
        }
        w.error_code(self.error_code);
        w.string_or_null("CreatableTopicResult.error_message", flexible, true, self.error_message)?;
        if version >= 5 {
            w.i32(self.num_partitions);
        }
        if version >= 5 {
            w.i16(self.replication_factor);
        }
        if version >= 5 {
            w.array_or_null("CreatableTopicResult.configs", flexible, true, self.configs.as_deref(), |w, each| each.encode(w, version))?;
        }
        if flexible {
            let topic_config_error_code = self.topic_config_error_code != 0;
            w.uvarint(u32::from(topic_config_error_code));
            if topic_config_error_code {
                w.tagged("CreatableTopicResult.topic_config_error_code", 0, |w| { w.i16(self.topic_config_error_code); Ok(()) })?;
            }
        }
        Ok(())
    }
}

/// Part of [`CreatableTopicResult::configs`].
#[derive(Debug, Clone, PartialEq)]
pub struct CreatableTopicConfigs<'a> {
    /// The name of the setting.
    pub name: &'a str,
    /// The value.
    pub value: Option<&'a str>,
    /// Whether it cannot be changed.
    pub read_only: bool,
    /// Where the value comes from.
    pub config_source: i8,
    /// Whether the value is a secret and not shown.
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs<'_> {
    fn default() -> Self {
        Self {
            name: "",
            value: Some(""),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
        }
    }
}

impl<'a> CreatableTopicConfigs<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true)?;
        let value = r.string_or_null(true, true)?;
        let read_only = r.bool()?;
        let config_source = r.i8()?;
        let is_sensitive = r.bool()?;
        r.skip_tagged_fields()?;
        Ok(Self { name, value, read_only, config_source, is_sensitive })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("CreatableTopicConfigs.name", true, self.name)?;
        w.string_or_null("CreatableTopicConfigs.value", true, true, self.value)?;
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.uvarint(0);
        Ok(())
    }
}
