//! FindCoordinator (key 10, versions 0-6): [`FindCoordinatorRequest`] and [`FindCoordinatorResponse`].
//!
//! Generated from `schema/find_coordinator.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// FindCoordinator request, versions 0-6.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FindCoordinatorRequest<'a> {
    /// The group or the transactional id. Versions 0-3.
    pub key: &'a str,
    /// What is looked for: 0 a group, 1 a transaction, 2 a share group. Versions 1+.
    pub key_type: i8,
    /// The groups or transactional ids. Versions 4+.
    pub coordinator_keys: Vec<&'a str>,
}

impl<'a> FindCoordinatorRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 10;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let key = if version <= 3 { r.string(flexible)? } else { "" };
        let key_type = if version >= 1 { r.i8()? } else { 0 };
        let coordinator_keys = if version >= 4 { r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { key, key_type, coordinator_keys })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        if version <= 3 {
            w.string("FindCoordinatorRequest.key", flexible, self.key)?;
        } else if !self.key.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "FindCoordinatorRequest.key", version });
        }
        if version >= 1 {
            w.i8(self.key_type);
        } else if self.key_type != 0 {
            return Err(EncodeError::FieldNotInVersion { field: "FindCoordinatorRequest.key_type", version });
        }
        if version >= 4 {
            w.array("FindCoordinatorRequest.coordinator_keys", flexible, &self.coordinator_keys, |w, each| w.string("FindCoordinatorRequest.coordinator_keys", flexible, each))?;
        } else if !self.coordinator_keys.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "FindCoordinatorRequest.coordinator_keys", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// FindCoordinator response, versions 0-6.
#[derive(Debug, Clone, PartialEq)]
pub struct FindCoordinatorResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing. Versions 0-3.
    pub error_code: i16,
    /// The same for people. Versions 1-3.
    pub error_message: Option<&'a str>,
    /// The broker that coordinates. Versions 0-3.
    pub node_id: i32,
    /// Its host. Versions 0-3.
    pub host: &'a str,
    /// Its port. Versions 0-3.
    pub port: i32,
    /// One for each key. Versions 4+.
    pub coordinators: Vec<Coordinator<'a>>,
}

impl Default for FindCoordinatorResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: Some(""),
            node_id: 0,
            host: "",
            port: 0,
            coordinators: Vec::new(),
        }
    }
}

impl<'a> FindCoordinatorResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 10;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let error_code = if version <= 3 { r.i16()? } else { 0 };
        let error_message = if (1..=3).contains(&version) { r.string_or_null(flexible, true)? } else { Some("") };
        let node_id = if version <= 3 { r.i32()? } else { 0 };
        let host = if version <= 3 { r.string(flexible)? } else { "" };
        let port = if version <= 3 { r.i32()? } else { 0 };
        let coordinators = if version >= 4 { r.array(flexible, 14, |r| Coordinator::decode(r, version))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, error_message, node_id, host, port, coordinators })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if version <= 3 {
            w.error_code(self.error_code);
        }
        if (1..=3).contains(&version) {
            w.string_or_null("FindCoordinatorResponse.error_message", flexible, true, self.error_message)?;
        }
        if version <= 3 {
            w.i32(self.node_id);
        }
        if version <= 3 {
            w.string("FindCoordinatorResponse.host", flexible, self.host)?;
        }
        if version <= 3 {
            w.i32(self.port);
        }
        if version >= 4 {
            w.array("FindCoordinatorResponse.coordinators", flexible, &self.coordinators, |w, each| each.encode(w, version))?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`FindCoordinatorResponse::coordinators`].
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinator<'a> {
    /// The group or the transactional id.
    pub key: &'a str,
    /// The broker that coordinates.
    pub node_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The same for people.
    pub error_message: Option<&'a str>,
}

impl Default for Coordinator<'_> {
    fn default() -> Self {
        Self {
            key: "",
            node_id: 0,
            host: "",
            port: 0,
            error_code: 0,
            error_message: Some(""),
        }
    }
}

impl<'a> Coordinator<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let key = r.string(true)?;
        let node_id = r.i32()?;
        let host = r.string(true)?;
        let port = r.i32()?;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(true, true)?;
        r.skip_tagged_fields()?;
        Ok(Self { key, node_id, host, port, error_code, error_message })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.string("Coordinator.key", true, self.key)?;
        w.i32(self.node_id);
        w.string("Coordinator.host", true, self.host)?;
        w.i32(self.port);
        w.error_code(self.error_code);
        w.string_or_null("Coordinator.error_message", true, true, self.error_message)?;
        w.uvarint(0);
        Ok(())
    }
}
