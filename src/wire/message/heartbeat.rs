//! Heartbeat (key 12, versions 0-4): [`HeartbeatRequest`] and [`HeartbeatResponse`].
//!
//! Generated from `schema/heartbeat.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// Heartbeat request, versions 0-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The generation that the member knows.
    pub generation_id: i32,
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name. Versions 3+.
    pub group_instance_id: Option<&'a str>,
}

impl<'a> HeartbeatRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 12;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let group_id = r.string(flexible)?;
        let generation_id = r.i32()?;
        let member_id = r.string(flexible)?;
        let group_instance_id = if version >= 3 { r.string_or_null(flexible, true)? } else { None };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, generation_id, member_id, group_instance_id })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.string("HeartbeatRequest.group_id", flexible, self.group_id)?;
        w.i32(self.generation_id);
        w.string("HeartbeatRequest.member_id", flexible, self.member_id)?;
        if version >= 3 {
            w.string_or_null("HeartbeatRequest.group_instance_id", flexible, true, self.group_instance_id)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::FieldNotInVersion { field: "HeartbeatRequest.group_instance_id", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Heartbeat response, versions 0-4.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeartbeatResponse {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl HeartbeatResponse {
    /// The key of the API.
    pub const API_KEY: i16 = 12;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 4;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
