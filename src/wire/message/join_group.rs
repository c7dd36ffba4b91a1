//! JoinGroup (key 11, versions 0-9): [`JoinGroupRequest`] and [`JoinGroupResponse`].
//!
//! Generated from `schema/join_group.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// JoinGroup request, versions 0-9.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// A member not heard of for so many milliseconds is dead.
    pub session_timeout_ms: i32,
    /// How many milliseconds the member may take to join again. Versions 1+.
    pub rebalance_timeout_ms: i32,
    /// The member, empty the first time.
    pub member_id: &'a str,
    /// The static member's own name. Versions 5+.
    pub group_instance_id: Option<&'a str>,
    /// What kind of group it is: `consumer`, `connect`.
    pub protocol_type: &'a str,
    /// The member's protocols, the most wanted first.
    pub protocols: Vec<JoinGroupRequestProtocol<'a>>,
    /// Why the member joins, for people. Versions 8+.
    pub reason: Option<&'a str>,
}

impl Default for JoinGroupRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: "",
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: "",
            group_instance_id: None,
            protocol_type: "",
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl<'a> JoinGroupRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 11;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 9;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let group_id = r.string(flexible)?;
        let session_timeout_ms = r.i32()?;
        let rebalance_timeout_ms = if version >= 1 { r.i32()? } else { -1 };
        let member_id = r.string(flexible)?;
        let group_instance_id = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let protocol_type = r.string(flexible)?;
        let protocols = r.array(flexible, JoinGroupRequestProtocol::size_min(version), |r| JoinGroupRequestProtocol::decode(r, version))?;
        let reason = if version >= 8 { r.string_or_null(flexible, true)? } else { None };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, session_timeout_ms, rebalance_timeout_ms, member_id, group_instance_id, protocol_type, protocols, reason })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        w.string("JoinGroupRequest.group_id", flexible, self.group_id)?;
        w.i32(self.session_timeout_ms);
        if version >= 1 {
            w.i32(self.rebalance_timeout_ms);
        }
        w.string("JoinGroupRequest.member_id", flexible, self.member_id)?;
        if version >= 5 {
            w.string_or_null("JoinGroupRequest.group_instance_id", flexible, true, self.group_instance_id)?;
        } else if self.group_instance_id.is_some() {
            return Err(EncodeError::FieldNotInVersion { field: "JoinGroupRequest.group_instance_id", version });
        }
        w.string("JoinGroupRequest.protocol_type", flexible, self.protocol_type)?;
        w.array("JoinGroupRequest.protocols", flexible, &self.protocols, |w, each| each.encode(w, version))?;
        if version >= 8 {
            w.string_or_null("JoinGroupRequest.reason", flexible, true, self.reason)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`JoinGroupRequest::protocols`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupRequestProtocol<'a> {
    /// The name of the protocol.
    pub name: &'a str,
    /// What the member says under it.
    pub metadata: &'a [u8],
}

impl<'a> JoinGroupRequestProtocol<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=5 => 6,
            _ => 3,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let name = r.string(flexible)?;
        let metadata = r.bytes(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { name, metadata })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("JoinGroupRequestProtocol.name", flexible, self.name)?;
        w.bytes("JoinGroupRequestProtocol.metadata", flexible, self.metadata)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// JoinGroup response, versions 0-9.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinGroupResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 2+.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The generation of the group.
    pub generation_id: i32,
    /// What kind of group it is. Versions 7+.
    pub protocol_type: Option<&'a str>,
    /// The protocol that was chosen.
    pub protocol_name: Option<&'a str>,
    /// The member that assigns.
    pub leader: &'a str,
    /// Whether the leader need not assign. Versions 9+.
    pub skip_assignment: bool,
    /// The member itself.
    pub member_id: &'a str,
    /// For the leader alone: all members.
    pub members: Vec<JoinGroupResponseMember<'a>>,
}

impl Default for JoinGroupResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(""),
            leader: "",
            skip_assignment: false,
            member_id: "",
            members: Vec::new(),
        }
    }
}

impl<'a> JoinGroupResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 11;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 9;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        let throttle_time_ms = if version >= 2 { r.i32()? } else { 0 };
        let error_code = r.i16()?;
        let generation_id = r.i32()?;
        let protocol_type = if version >= 7 { r.string_or_null(flexible, true)? } else { None };
        let protocol_name = r.string_or_null(flexible, version >= 7)?;
        let leader = r.string(flexible)?;
        let skip_assignment = if version >= 9 { r.bool()? } else { false };
        let member_id = r.string(flexible)?;
        let members = r.array(flexible, JoinGroupResponseMember::size_min(version), |r| JoinGroupResponseMember::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, generation_id, protocol_type, protocol_name, leader, skip_assignment, member_id, members })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 6;
        if version >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.i32(self.generation_id);
        if version >= 7 {
            w.string_or_null("JoinGroupResponse.protocol_type", flexible, true, self.protocol_type)?;
        }
        w.string_or_null("JoinGroupResponse.protocol_name", flexible, version >= 7, self.protocol_name)?;
        w.string("JoinGroupResponse.leader", flexible, self.leader)?;
        if version >= 9 {
            w.bool(self.skip_assignment);
        }
        w.string("JoinGroupResponse.member_id", flexible, self.member_id)?;
        w.array("JoinGroupResponse.members", flexible, &self.members, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`JoinGroupResponse::members`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JoinGroupResponseMember<'a> {
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name. Versions 5+.
    pub group_instance_id: Option<&'a str>,
    /// What it says under the protocol.
    pub metadata: &'a [u8],
}

impl<'a> JoinGroupResponseMember<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 6,
            5..=5 => 8,
            _ => 4,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 6;
        let member_id = r.string(flexible)?;
        let group_instance_id = if version >= 5 { r.string_or_null(flexible, true)? } else { None };
        let metadata = r.bytes(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { member_id, group_instance_id, metadata })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 6;
        w.string("JoinGroupResponseMember.member_id", flexible, self.member_id)?;
        if version >= 5 {
            w.string_or_null("JoinGroupResponseMember.group_instance_id", flexible, true, self.group_instance_id)?;
        }
        w.bytes("JoinGroupResponseMember.metadata", flexible, self.metadata)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
