//! LeaveGroup (key 13, versions 0-5): [`LeaveGroupRequest`] and [`LeaveGroupResponse`].
//!
//! Generated from `schema/leave_group.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// LeaveGroup request, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The member that leaves. Versions 0-2.
    pub member_id: &'a str,
    /// The members that leave. Versions 3+.
    pub members: Vec<MemberIdentity<'a>>,
}

impl<'a> LeaveGroupRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 13;
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
        let member_id = if version <= 2 { r.string(flexible)? } else { "" };
        let members = if version >= 3 { r.array(flexible, MemberIdentity::size_min(version), |r| MemberIdentity::decode(r, version))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, member_id, members })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 4;
        w.string("LeaveGroupRequest.group_id", flexible, self.group_id)?;
        if version <= 2 {
            w.string("LeaveGroupRequest.member_id", flexible, self.member_id)?;
        } else if !self.member_id.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "LeaveGroupRequest.member_id", version });
        }
        if version >= 3 {
            w.array("LeaveGroupRequest.members", flexible, &self.members, |w, each| each.encode(w, version))?;
        } else if !self.members.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "LeaveGroupRequest.members", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`LeaveGroupRequest::members`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberIdentity<'a> {
    /// The member, empty to name it by its instance.
    pub member_id: &'a str,
    /// The static member's own name.
    pub group_instance_id: Option<&'a str>,
    /// Why it leaves, for people. Versions 5+.
    pub reason: Option<&'a str>,
}

impl<'a> MemberIdentity<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 4,
            4..=4 => 3,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let member_id = r.string(flexible)?;
        let group_instance_id = r.string_or_null(flexible, true)?;
        let reason = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { member_id, group_instance_id, reason })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("MemberIdentity.member_id", flexible, self.member_id)?;
        w.string_or_null("MemberIdentity.group_instance_id", flexible, true, self.group_instance_id)?;
        if version >= 5 {
            w.string_or_null("MemberIdentity.reason", flexible, true, self.reason)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// LeaveGroup response, versions 0-5.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LeaveGroupResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The members. Versions 3+.
    pub members: Vec<MemberResponse<'a>>,
}

impl<'a> LeaveGroupResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 13;
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
        let members = if version >= 3 { r.array(flexible, MemberResponse::size_min(version), |r| MemberResponse::decode(r, version))? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, members })
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
        if version >= 3 {
            w.array("LeaveGroupResponse.members", flexible, &self.members, |w, each| each.encode(w, version))?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`LeaveGroupResponse::members`].
#[derive(Debug, Clone, PartialEq)]
pub struct MemberResponse<'a> {
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name.
    pub group_instance_id: Option<&'a str>,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl Default for MemberResponse<'_> {
    fn default() -> Self {
        Self {
            member_id: "",
            group_instance_id: Some(""),
            error_code: 0,
        }
    }
}

impl<'a> MemberResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 6,
            _ => 5,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 4;
        let member_id = r.string(flexible)?;
        let group_instance_id = r.string_or_null(flexible, true)?;
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { member_id, group_instance_id, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 4;
        w.string("MemberResponse.member_id", flexible, self.member_id)?;
        w.string_or_null("MemberResponse.group_instance_id", flexible, true, self.group_instance_id)?;
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
