//! IncrementalAlterConfigs (key 44, versions 0-1): [`IncrementalAlterConfigsRequest`] and [`IncrementalAlterConfigsResponse`].
//!
//! Generated from `schema/incremental_alter_configs.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// IncrementalAlterConfigs request, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IncrementalAlterConfigsRequest<'a> {
    /// The resources.
    pub resources: Vec<AlterConfigsResource<'a>>,
    /// Whether to check and change nothing.
    pub validate_only: bool,
}

impl<'a> IncrementalAlterConfigsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 44;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 1;
        let resources = r.array(flexible, AlterConfigsResource::size_min(version), |r| AlterConfigsResource::decode(r, version))?;
        let validate_only = r.bool()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { resources, validate_only })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 1;
        w.array("IncrementalAlterConfigsRequest.resources", flexible, &self.resources, |w, each| each.encode(w, version))?;
        w.bool(self.validate_only);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`IncrementalAlterConfigsRequest::resources`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlterConfigsResource<'a> {
    /// What it is: 2 a topic, 4 a broker.
    pub resource_type: i8,
    /// Its name: a topic, or the number of a broker.
    pub resource_name: &'a str,
    /// The settings.
    pub configs: Vec<AlterableConfig<'a>>,
}

impl<'a> AlterConfigsResource<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 7,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let resource_type = r.i8()?;
        let resource_name = r.string(flexible)?;
        let configs = r.array(flexible, AlterableConfig::size_min(version), |r| AlterableConfig::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { resource_type, resource_name, configs })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        w.i8(self.resource_type);
        w.string("AlterConfigsResource.resource_name", flexible, self.resource_name)?;
        w.array("AlterConfigsResource.configs", flexible, &self.configs, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`AlterConfigsResource::configs`].
#[derive(Debug, Clone, PartialEq)]
pub struct AlterableConfig<'a> {
    /// The name of the setting.
    pub name: &'a str,
    /// 0 set, 1 delete, 2 append, 3 subtract.
    pub config_operation: i8,
    /// The value.
    pub value: Option<&'a str>,
}

impl Default for AlterableConfig<'_> {
    fn default() -> Self {
        Self {
            name: "",
            config_operation: 0,
            value: Some(""),
        }
    }
}

impl<'a> AlterableConfig<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 5,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let name = r.string(flexible)?;
        let config_operation = r.i8()?;
        let value = r.string_or_null(flexible, true)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, config_operation, value })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        w.string("AlterableConfig.name", flexible, self.name)?;
        w.i8(self.config_operation);
        w.string_or_null("AlterableConfig.value", flexible, true, self.value)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// IncrementalAlterConfigs response, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IncrementalAlterConfigsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The result for each resource.
    pub responses: Vec<AlterConfigsResourceResponse<'a>>,
}

impl<'a> IncrementalAlterConfigsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 44;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 1;
        let throttle_time_ms = r.i32()?;
        let responses = r.array(flexible, AlterConfigsResourceResponse::size_min(version), |r| AlterConfigsResourceResponse::decode(r, version))?;
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
        let flexible = version >= 1;
        w.i32(self.throttle_time_ms);
        w.array("IncrementalAlterConfigsResponse.responses", flexible, &self.responses, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`IncrementalAlterConfigsResponse::responses`].
#[derive(Debug, Clone, PartialEq)]
pub struct AlterConfigsResourceResponse<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people.
    pub error_message: Option<&'a str>,
    /// What it is: 2 a topic, 4 a broker.
    pub resource_type: i8,
    /// Its name: a topic, or the number of a broker.
    pub resource_name: &'a str,
}

impl Default for AlterConfigsResourceResponse<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: Some(""),
            resource_type: 0,
            resource_name: "",
        }
    }
}

impl<'a> AlterConfigsResourceResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 7,
            _ => 6,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 1;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(flexible, true)?;
        let resource_type = r.i8()?;
        let resource_name = r.string(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, error_message, resource_type, resource_name })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 1;
        w.error_code(self.error_code);
        w.string_or_null("AlterConfigsResourceResponse.error_message", flexible, true, self.error_message)?;
        w.i8(self.resource_type);
        w.string("AlterConfigsResourceResponse.resource_name", flexible, self.resource_name)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
