//! SyncGroup (key 14, versions 0-5): [`SyncGroupRequest`] and [`SyncGroupResponse`].
//!
//! Generated from `schema/sync_group.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// SyncGroup request, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The generation that the member knows.
    pub generation_id: i32,
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name. Versions 3+.
    pub group_instance_id: Option<&'a str>,
    /// What kind of group it is. Versions 5+.
    pub protocol_type: Option<&'a str>,
    /// The protocol that was chosen. Versions 5+.
    pub protocol_name: Option<&'a str>,
    /// From the leader alone: what each member gets.
    pub assignments: Vec<SyncGroupRequestAssignment<'a>>,
}

impl<'a> SyncGroupRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 14;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

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
        let protocol_type = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let protocol_name = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let assignments = r.array(flexible, SyncGroupRequestAssignment::size_min(version), |r| SyncGroupRequestAssignment::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, generation_id, member_id, group_instance_id, protocol_type, protocol_name, assignments })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.string("SyncGroupRequest.group_id", flexible, self.group_id)?;
        w.i32(self.generation_id);
        w.string("SyncGroupRequest.member_id", flexible, self.member_id)?;
        if version >= 3 {
            w.string_or_null("SyncGroupRequest.group_instance_id", flexible, true, self.group_instance_id)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::FieldNotInVersion { field: "SyncGroupRequest.group_instance_id", version });
        }
        if version >= 5 {
            w.string_or_null("SyncGroupRequest.protocol_type", flexible, true, self.protocol_type)?;
        }
        if version >= 5 {
            w.string_or_null("SyncGroupRequest.protocol_name", flexible, true, self.protocol_name)?;
        }
        w.array("SyncGroupRequest.assignments", flexible, &self.assignments, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`SyncGroupRequest::assignments`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupRequestAssignment<'a> {
    /// The member.
    pub member_id: &'a str,
    /// What it gets.
    pub assignment: &'a [u8],
}

impl<'a> SyncGroupRequestAssignment<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let member_id = r.string(flexible)?;
        let assignment = r.bytes(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { member_id, assignment })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("SyncGroupRequestAssignment.member_id", flexible, self.member_id)?;
        w.bytes("SyncGroupRequestAssignment.assignment", flexible, self.assignment)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// SyncGroup response, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncGroupResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What kind of group it is. Versions 5+.
    pub protocol_type: Option<&'a str>,
    /// The protocol that was chosen. Versions 5+.
    pub protocol_name: Option<&'a str>,
    /// What the member gets.
    pub assignment: &'a [u8],
}

impl<'a> SyncGroupResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 14;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let error_code = r.i16()?;
        let protocol_type = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let protocol_name = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let assignment = r.bytes(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, protocol_type, protocol_name, assignment })
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
        if version >= 5 {
            w.string_or_null("SyncGroupResponse.protocol_type", flexible, true, self.protocol_type)?;
        }
        if version >= 5 {
            w.string_or_null("SyncGroupResponse.protocol_name", flexible, true, self.protocol_name)?;
        }
        w.bytes("SyncGroupResponse.assignment", flexible, self.assignment)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
