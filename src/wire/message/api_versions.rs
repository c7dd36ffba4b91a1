//! ApiVersions (key 18, versions 0-4): [`ApiVersionsRequest`] and [`ApiVersionsResponse`].
//!
//! Generated from `schema/api_versions.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ApiVersions request, versions 0-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersionsRequest<'a> {
    /// The name of the client library. Versions 3+.
    pub client_software_name: &'a str,
    /// Its version. Versions 3+.
    pub client_software_version: &'a str,
}

impl<'a> ApiVersionsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 18;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let client_software_name = if version >= 3 { r.string(flexible)? } else { "" };
        let client_software_version = if version >= 3 { r.string(flexible)? } else { "" };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { client_software_name, client_software_version })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        if version >= 3 {
            w.string("ApiVersionsRequest.client_software_name", flexible, self.client_software_name)?;
        }
        if version >= 3 {
            w.string("ApiVersionsRequest.client_software_version", flexible, self.client_software_version)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// ApiVersions response, versions 0-4.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiVersionsResponse<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The APIs served.
    pub api_keys: Vec<ApiVersion>,
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// The features that the broker knows; below version 4 only those with a lowest version above 0. Versions 3+.
    pub supported_features: Vec<SupportedFeatureKey<'a>>,
    /// The epoch of the features in force, -1 if unknown. Versions 3+.
    pub finalized_features_epoch: i64,
    /// The features in force. Versions 3+.
    pub finalized_features: Vec<FinalizedFeatureKey<'a>>,
    /// A leftover of the move away from ZooKeeper. Versions 3+.
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl<'a> ApiVersionsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 18;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let error_code = r.i16()?;
        let api_keys = r.array(flexible, ApiVersion::size_min(version), |r| ApiVersion::decode(r, version))?;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let mut supported_features = Vec::new();
        let mut finalized_features_epoch = -1;
        let mut finalized_features = Vec::new();
        let mut zk_migration_ready = false;
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 => supported_features = r.array(true, 6, |r| SupportedFeatureKey::decode(r, version))?,
                    1 => finalized_features_epoch = r.i64()?,
                    2 => finalized_features = r.array(true, 6, |r| FinalizedFeatureKey::decode(r, version))?,
                    3 => zk_migration_ready = r.bool()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { error_code, api_keys, throttle_time_ms, supported_features, finalized_features_epoch, finalized_features, zk_migration_ready })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        w.error_code(self.error_code);
        w.array("ApiVersionsResponse.api_keys", flexible, &self.api_keys, |w, each| each.encode(w, version))?;
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if flexible {
            let supported_features = !self.supported_features.is_empty();
            let finalized_features_epoch = self.finalized_features_epoch != -1;
            let finalized_features = !self.finalized_features.is_empty();
            let zk_migration_ready = self.zk_migration_ready;
            w.uvarint(u32::from(supported_features) + u32::from(finalized_features_epoch) + u32::from(finalized_features) + u32::from(zk_migration_ready));
            if supported_features {
                w.tagged("ApiVersionsResponse.supported_features", 0, |w| w.array("ApiVersionsResponse.supported_features", true, &self.supported_features, |w, each| each.encode(w, version)))?;
            }
            if finalized_features_epoch {
                w.tagged("ApiVersionsResponse.finalized_features_epoch", 1, |w| { w.i64(self.finalized_features_epoch); Ok(()) })?;
            }
            if finalized_features {
                w.tagged("ApiVersionsResponse.finalized_features", 2, |w| w.array("ApiVersionsResponse.finalized_features", true, &self.finalized_features, |w, each| each.encode(w, version)))?;
            }
            if zk_migration_ready {
                w.tagged("ApiVersionsResponse.zk_migration_ready", 3, |w| { w.bool(self.zk_migration_ready); Ok(()) })?;
            }
        }
        Ok(())
    }
}

/// Part of [`ApiVersionsResponse::api_keys`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersion {
    /// The key of the API.
    pub api_key: i16,
    /// The lowest version.
    pub min_version: i16,
    /// The highest version.
    pub max_version: i16,
}

impl ApiVersion {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=2 => 6,
            _ => 7,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let api_key = r.i16()?;
        let min_version = r.i16()?;
        let max_version = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { api_key, min_version, max_version })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        w.i16(self.api_key);
        w.i16(self.min_version);
        w.i16(self.max_version);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ApiVersionsResponse::supported_features`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SupportedFeatureKey<'a> {
    /// The name of the feature.
    pub name: &'a str,
    /// The lowest version.
    pub min_version: i16,
    /// The highest version.
    pub max_version: i16,
}

impl<'a> SupportedFeatureKey<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true)?;
        let min_version = r.i16()?;
        let max_version = r.i16()?;
        r.skip_tagged_fields()?;
        Ok(Self { name, min_version, max_version })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("SupportedFeatureKey.name", true, self.name)?;
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ApiVersionsResponse::finalized_features`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FinalizedFeatureKey<'a> {
    /// The name of the feature.
    pub name: &'a str,
    /// The highest level in force.
    pub max_version_level: i16,
    /// The lowest level in force.
    pub min_version_level: i16,
}

impl<'a> FinalizedFeatureKey<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let name = r.string(true)?;
        let max_version_level = r.i16()?;
        let min_version_level = r.i16()?;
        r.skip_tagged_fields()?;
        Ok(Self { name, max_version_level, min_version_level })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("FinalizedFeatureKey.name", true, self.name)?;
        w.i16(self.max_version_level);
        w.i16(self.min_version_level);
        w.uvarint(0);
        Ok(())
    }
}
