//! ListGroups (key 16, versions 0-5): [`ListGroupsRequest`] and [`ListGroupsResponse`].
//!
//! Generated from `schema/list_groups.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ListGroups request, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsRequest<'a> {
    /// Only groups in these states, empty for all. Versions 4+.
    pub states_filter: Vec<&'a str>,
    /// Only groups of these types, empty for all. Versions 5+.
    pub types_filter: Vec<&'a str>,
}

impl<'a> ListGroupsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 16;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let states_filter = if version >= 4 { r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))? } else { Vec::new() };
        let types_filter = if version >= 5 { r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { states_filter, types_filter })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        if version >= 4 {
            w.array("ListGroupsRequest.states_filter", flexible, &self.states_filter, |w, each| w.string("ListGroupsRequest.states_filter", flexible, each))?;
        } else if !self.states_filter.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "ListGroupsRequest.states_filter", version });
        }
        if version >= 5 {
            w.array("ListGroupsRequest.types_filter", flexible, &self.types_filter, |w, each| w.string("ListGroupsRequest.types_filter", flexible, each))?;
        } else if !self.types_filter.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "ListGroupsRequest.types_filter", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// ListGroups response, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListGroupsResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The groups.
    pub groups: Vec<ListedGroup<'a>>,
}

impl<'a> ListGroupsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 16;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 3;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let error_code = r.i16()?;
        let groups = r.array(flexible, ListedGroup::size_min(version), |r| ListedGroup::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, groups })
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
        w.error_code(self.error_code);
        w.array("ListGroupsResponse.groups", flexible, &self.groups, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`ListGroupsResponse::groups`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListedGroup<'a> {
    /// The group.
    pub group_id: &'a str,
    /// What kind of group it is.
    pub protocol_type: &'a str,
    /// Its state. Versions 4+.
    pub group_state: &'a str,
    /// Its type: `classic`, `consumer`. Versions 5+.
    pub group_type: &'a str,
}

impl<'a> ListedGroup<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=2 => 4,
            3..=3 => 3,
            4..=4 => 4,
            _ => 5,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 3;
        let group_id = r.string(flexible)?;
        let protocol_type = r.string(flexible)?;
        let group_state = if version >= 4 { r.string(flexible)? } else { "" };
        let group_type = if version >= 5 { r.string(flexible)? } else { "" };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, protocol_type, group_state, group_type })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 3;
        w.string("ListedGroup.group_id", flexible, self.group_id)?;
        w.string("ListedGroup.protocol_type", flexible, self.protocol_type)?;
        if version >= 4 {
            w.string("ListedGroup.group_state", flexible, self.group_state)?;
        }
        if version >= 5 {
            w.string("ListedGroup.group_type", flexible, self.group_type)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
