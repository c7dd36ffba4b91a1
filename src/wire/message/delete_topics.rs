//! DeleteTopics (key 20, versions 1-6): [`DeleteTopicsRequest`] and [`DeleteTopicsResponse`].
//!
//! Generated from `schema/delete_topics.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DeleteTopics request, versions 1-6.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsRequest<'a> {
    /// The topics. Versions 6+.
    pub topics: Vec<DeleteTopicState<'a>>,
    /// The names of the topics. Versions 1-5.
    pub topic_names: Vec<&'a str>,
    /// How long the broker may take, in milliseconds.
    pub timeout_ms: i32,
}

impl<'a> DeleteTopicsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 20;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let topics = if version >= 6 { r.array(flexible, 18, |r| DeleteTopicState::decode(r, version))? } else { Vec::new() };
        let topic_names = if version <= 5 { r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))? } else { Vec::new() };
        let timeout_ms = r.i32()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topics, topic_names, timeout_ms })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        if version >= 6 {
            w.array("DeleteTopicsRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        } else if !self.topics.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "DeleteTopicsRequest.topics", version });
        }
        if version <= 5 {
            w.array("DeleteTopicsRequest.topic_names", flexible, &self.topic_names, |w, each| w.string("DeleteTopicsRequest.topic_names", flexible, each))?;
        }
        w.i32(self.timeout_ms);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteTopicsRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicState<'a> {
    /// The name of the topic.
    pub name: Option<&'a str>,
    /// The id of the topic.
    pub topic_id: [u8; 16],
}

impl<'a> DeleteTopicState<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string_or_null(true, true)?;
        let topic_id = r.uuid()?;
        r.skip_tagged_fields()?;
        Ok(Self { name, topic_id })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string_or_null("DeleteTopicState.name", true, true, self.name)?;
        w.uuid(&self.topic_id);
        w.uvarint(0);
        Ok(())
    }
}

/// DeleteTopics response, versions 1-6.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteTopicsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The result for each topic.
    pub responses: Vec<DeletableTopicResult<'a>>,
}

impl<'a> DeleteTopicsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 20;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let throttle_time_ms = r.i32()?;
        let responses = r.array(flexible, DeletableTopicResult::size_min(version), |r| DeletableTopicResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, responses })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.i32(self.throttle_time_ms);
        w.array("DeleteTopicsResponse.responses", flexible, &self.responses, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteTopicsResponse::responses`].
#[derive(Debug, Clone, PartialEq)]
pub struct DeletableTopicResult<'a> {
    /// The name of the topic.
    pub name: Option<&'a str>,
    /// The id of the topic. Versions 6+.
    pub topic_id: [u8; 16],
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people. Versions 5+.
    pub error_message: Option<&'a str>,
}

impl Default for DeletableTopicResult<'_> {
    fn default() -> Self {
        Self {
            name: Some(""),
            topic_id: [0; 16],
            error_code: 0,
            error_message: None,
        }
    }
}

impl<'a> DeletableTopicResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 4,
            5..=5 => 5,
            _ => 21,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let name = r.string_or_null(flexible, version >= 6)?;
        let topic_id = if version >= 6 { r.uuid()? } else { [0; 16] };
        let error_code = r.i16()?;
        let error_message = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, topic_id, error_code, error_message })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string_or_null("DeletableTopicResult.name", flexible, version >= 6, self.name)?;
        if version >= 6 {
            w.uuid(&self.topic_id);
        }
        w.error_code(self.error_code);
        if version >= 5 {
            w.string_or_null("DeletableTopicResult.error_message", flexible, true, self.error_message)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
