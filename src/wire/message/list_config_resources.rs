//! ListConfigResources (key 74, versions 0-1): [`ListConfigResourcesRequest`] and [`ListConfigResourcesResponse`].
//!
//! Generated from `schema/list_config_resources.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ListConfigResources request, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListConfigResourcesRequest {
    /// Only resources of these types, empty for all. Versions 1+.
    pub resource_types: Vec<i8>,
}

impl ListConfigResourcesRequest {
    /// The key of the API.
    pub const API_KEY: i16 = 74;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let resource_types = if version >= 1 { r.array(true, 1, |r| r.i8())? } else { Vec::new() };
        r.skip_tagged_fields()?;
        Ok(Self { resource_types })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        if version >= 1 {
            w.array("ListConfigResourcesRequest.resource_types", true, &self.resource_types, |w, each| { w.i8(*each); Ok(()) })?;
        } else if !self.resource_types.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "ListConfigResourcesRequest.resource_types", version });
        }
        w.uvarint(0);
        Ok(())
    }
}

/// ListConfigResources response, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListConfigResourcesResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The resources that have a configuration.
    pub config_resources: Vec<ConfigResource<'a>>,
}

impl<'a> ListConfigResourcesResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 74;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let throttle_time_ms = r.i32()?;
        let error_code = r.i16()?;
        let config_resources = r.array(true, ConfigResource::size_min(version), |r| ConfigResource::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { throttle_time_ms, error_code, config_resources })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.array("ListConfigResourcesResponse.config_resources", true, &self.config_resources, |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ListConfigResourcesResponse::config_resources`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigResource<'a> {
    /// The name of the resource.
    pub resource_name: &'a str,
    /// Its type; always client metrics in version 0. Versions 1+.
    pub resource_type: i8,
}

impl Default for ConfigResource<'_> {
    fn default() -> Self {
        Self {
            resource_name: "",
            resource_type: 16,
        }
    }
}

impl<'a> ConfigResource<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 2,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let resource_name = r.string(true)?;
        let resource_type = if version >= 1 { r.i8()? } else { 16 };
        r.skip_tagged_fields()?;
        Ok(Self { resource_name, resource_type })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("ConfigResource.resource_name", true, self.resource_name)?;
        if version >= 1 {
            w.i8(self.resource_type);
        }
        w.uvarint(0);
        Ok(())
    }
}
