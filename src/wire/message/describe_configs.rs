//! DescribeConfigs (key 32, versions 1-4): [`DescribeConfigsRequest`] and [`DescribeConfigsResponse`].
//!
//! Generated from `schema/describe_configs.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DescribeConfigs request, versions 1-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsRequest<'a> {
    /// The resources.
    pub resources: Vec<DescribeConfigsResource<'a>>,
    /// Whether to tell all places a value may come from.
    pub include_synonyms: bool,
    /// Whether to explain each setting. Versions 3+.
    pub include_documentation: bool,
}

impl<'a> DescribeConfigsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 32;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let resources = r.array(flexible, DescribeConfigsResource::size_min(version), |r| DescribeConfigsResource::decode(r, version))?;
        let include_synonyms = r.bool()?;
        let include_documentation = if version >= 3 { r.bool()? } else { false };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { resources, include_synonyms, include_documentation })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.array("DescribeConfigsRequest.resources", flexible, &self.resources, |w, each| each.encode(w, version))?;
        w.bool(self.include_synonyms);
        if version >= 3 {
            w.bool(self.include_documentation);
        } else if self.include_documentation {
            return Err(EncodeError::FieldNotInVersion { field: "DescribeConfigsRequest.include_documentation", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeConfigsRequest::resources`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResource<'a> {
    /// What it is: 2 a topic, 4 a broker.
    pub resource_type: i8,
    /// Its name: a topic, or the number of a broker.
    pub resource_name: &'a str,
    /// The settings to tell, null for all.
    pub configuration_keys: Option<Vec<&'a str>>,
}

impl Default for DescribeConfigsResource<'_> {
    fn default() -> Self {
        Self {
            resource_type: 0,
            resource_name: "",
            configuration_keys: Some(Vec::new()),
        }
    }
}

impl<'a> DescribeConfigsResource<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 7,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let resource_type = r.i8()?;
        let resource_name = r.string(flexible)?;
        let configuration_keys = r.array_or_null(flexible, true, if flexible { 1 } else { 2 }, |r| r.string(flexible))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { resource_type, resource_name, configuration_keys })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.i8(self.resource_type);
        w.string("DescribeConfigsResource.resource_name", flexible, self.resource_name)?;
        w.array_or_null("DescribeConfigsResource.configuration_keys", flexible, true, self.configuration_keys.as_deref(), |w, each| w.string("DescribeConfigsResource.configuration_keys", flexible, each))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// DescribeConfigs response, versions 1-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeConfigsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The results.
    pub results: Vec<DescribeConfigsResult<'a>>,
}

impl<'a> DescribeConfigsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 32;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 1;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let throttle_time_ms = r.i32()?;
        let results = r.array(flexible, DescribeConfigsResult::size_min(version), |r| DescribeConfigsResult::decode(r, version))?;
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
        let flexible = version >= 4;
        w.i32(self.throttle_time_ms);
        w.array("DescribeConfigsResponse.results", flexible, &self.results, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeConfigsResponse::results`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResult<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people.
    pub error_message: Option<&'a str>,
    /// What it is: 2 a topic, 4 a broker.
    pub resource_type: i8,
    /// Its name: a topic, or the number of a broker.
    pub resource_name: &'a str,
    /// The settings.
    pub configs: Vec<DescribeConfigsResourceResult<'a>>,
}

impl Default for DescribeConfigsResult<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: Some(""),
            resource_type: 0,
            resource_name: "",
            configs: Vec::new(),
        }
    }
}

impl<'a> DescribeConfigsResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 11,
            _ => 7,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(flexible, true)?;
        let resource_type = r.i8()?;
        let resource_name = r.string(flexible)?;
        let configs = r.array(flexible, DescribeConfigsResourceResult::size_min(version), |r| DescribeConfigsResourceResult::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, error_message, resource_type, resource_name, configs })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.error_code(self.error_code);
        w.string_or_null("DescribeConfigsResult.error_message", flexible, true, self.error_message)?;
        w.i8(self.resource_type);
        w.string("DescribeConfigsResult.resource_name", flexible, self.resource_name)?;
        w.array("DescribeConfigsResult.configs", flexible, &self.configs, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeConfigsResult::configs`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsResourceResult<'a> {
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
    /// All places the value may come from, the strongest first.
    pub synonyms: Vec<DescribeConfigsSynonym<'a>>,
    /// The type of the value. Versions 3+.
    pub config_type: i8,
    /// What the setting does. Versions 3+.
    pub documentation: Option<&'a str>,
}

impl Default for DescribeConfigsResourceResult<'_> {
    fn default() -> Self {
        Self {
            name: "",
            value: Some(""),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: Some(""),
        }
    }
}

impl<'a> DescribeConfigsResourceResult<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=2 => 11,
            3..=3 => 14,
            _ => 9,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let name = r.string(flexible)?;
        let value = r.string_or_null(flexible, true)?;
        let read_only = r.bool()?;
        let config_source = r.i8()?;
        let is_sensitive = r.bool()?;
        let synonyms = r.array(flexible, DescribeConfigsSynonym::size_min(version), |r| DescribeConfigsSynonym::decode(r, version))?;
        let config_type = if version >= 3 { r.i8()? } else { 0 };
        let documentation = if version >= 3 { r.string_or_null(flexible, true)? } else { Some("") };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, value, read_only, config_source, is_sensitive, synonyms, config_type, documentation })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("DescribeConfigsResourceResult.name", flexible, self.name)?;
        w.string_or_null("DescribeConfigsResourceResult.value", flexible, true, self.value)?;
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.array("DescribeConfigsResourceResult.synonyms", flexible, &self.synonyms, |w, each| each.encode(w, version))?;
        if version >= 3 {
            w.i8(self.config_type);
        }
        if version >= 3 {
            w.string_or_null("DescribeConfigsResourceResult.documentation", flexible, true, self.documentation)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeConfigsResourceResult::synonyms`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeConfigsSynonym<'a> {
    /// The name of the setting.
    pub name: &'a str,
    /// The value.
    pub value: Option<&'a str>,
    /// Where this value comes from.
    pub source: i8,
}

impl Default for DescribeConfigsSynonym<'_> {
    fn default() -> Self {
        Self {
            name: "",
            value: Some(""),
            source: 0,
        }
    }
}

impl<'a> DescribeConfigsSynonym<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 5,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let name = r.string(flexible)?;
        let value = r.string_or_null(flexible, true)?;
        let source = r.i8()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, value, source })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("DescribeConfigsSynonym.name", flexible, self.name)?;
        w.string_or_null("DescribeConfigsSynonym.value", flexible, true, self.value)?;
        w.i8(self.source);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
