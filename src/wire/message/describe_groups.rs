//! DescribeGroups (key 15, versions 0-6): [`DescribeGroupsRequest`] and [`DescribeGroupsResponse`].
//!
//! Generated from `schema/describe_groups.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DescribeGroups request, versions 0-6.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsRequest<'a> {
    /// The groups.
    pub groups: Vec<&'a str>,
    /// Whether to say what the client may do with the groups. Versions 3+.
    pub include_authorized_operations: bool,
}

impl<'a> DescribeGroupsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 15;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        let groups = r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))?;
        let include_authorized_operations = if version >= 3 { r.bool()? } else { false };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { groups, include_authorized_operations })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        w.array("DescribeGroupsRequest.groups", flexible, &self.groups, |w, each| w.string("DescribeGroupsRequest.groups", flexible, each))?;
        if version >= 3 {
            w.bool(self.include_authorized_operations);
        } else if self.include_authorized_operations {
            return Err(EncodeError::FieldNotInVersion { field: "DescribeGroupsRequest.include_authorized_operations", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// DescribeGroups response, versions 0-6.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeGroupsResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 1+.
    pub throttle_time_ms: i32,
    /// The groups.
    pub groups: Vec<DescribedGroup<'a>>,
}

impl<'a> DescribeGroupsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 15;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 6;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        let throttle_time_ms = if version >= 1 { r.i32()? } else { 0 };
        let groups = r.array(flexible, DescribedGroup::size_min(version), |r| DescribedGroup::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, groups })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 5;
        if version >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.array("DescribeGroupsResponse.groups", flexible, &self.groups, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribeGroupsResponse::groups`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The same for people. Versions 6+.
    pub error_message: Option<&'a str>,
    /// The group.
    pub group_id: &'a str,
    /// Its state.
    pub group_state: &'a str,
    /// What kind of group it is.
    pub protocol_type: &'a str,
    /// The protocol that was chosen.
    pub protocol_data: &'a str,
    /// The members.
    pub members: Vec<DescribedGroupMember<'a>>,
    /// A bit for each operation allowed, the lowest number if not asked for. Versions 3+.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: "",
            group_state: "",
            protocol_type: "",
            protocol_data: "",
            members: Vec::new(),
            authorized_operations: -2_147_483_648,
        }
    }
}

impl<'a> DescribedGroup<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=2 => 14,
            3..=4 => 18,
            5..=5 => 12,
            _ => 13,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let error_code = r.i16()?;
        let error_message = if version >= 6 { r.string_or_null(flexible, true)? } else { None };
        let group_id = r.string(flexible)?;
        let group_state = r.string(flexible)?;
        let protocol_type = r.string(flexible)?;
        let protocol_data = r.string(flexible)?;
        let members = r.array(flexible, DescribedGroupMember::size_min(version), |r| DescribedGroupMember::decode(r, version))?;
        let authorized_operations = if version >= 3 { r.i32()? } else { -2_147_483_648 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, error_message, group_id, group_state, protocol_type, protocol_data, members, authorized_operations })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.error_code(self.error_code);
        if version >= 6 {
            w.string_or_null("DescribedGroup.error_message", flexible, true, self.error_message)?;
        }
        w.string("DescribedGroup.group_id", flexible, self.group_id)?;
        w.string("DescribedGroup.group_state", flexible, self.group_state)?;
        w.string("DescribedGroup.protocol_type", flexible, self.protocol_type)?;
        w.string("DescribedGroup.protocol_data", flexible, self.protocol_data)?;
        w.array("DescribedGroup.members", flexible, &self.members, |w, each| each.encode(w, version))?;
        if version >= 3 {
            w.i32(self.authorized_operations);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DescribedGroup::members`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribedGroupMember<'a> {
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name. Versions 4+.
    pub group_instance_id: Option<&'a str>,
    /// The name of the client.
    pub client_id: &'a str,
    /// Where it comes from.
    pub client_host: &'a str,
    /// What it said under the protocol.
    pub member_metadata: &'a [u8],
    /// What it was given.
    pub member_assignment: &'a [u8],
}

impl<'a> DescribedGroupMember<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=3 => 14,
            4..=4 => 16,
            _ => 7,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 5;
        let member_id = r.string(flexible)?;
        let group_instance_id = if version >= 4 { r.string_or_null(flexible, true)? } else { None };
        let client_id = r.string(flexible)?;
        let client_host = r.string(flexible)?;
        let member_metadata = r.bytes(flexible)?;
        let member_assignment = r.bytes(flexible)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { member_id, group_instance_id, client_id, client_host, member_metadata, member_assignment })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 5;
        w.string("DescribedGroupMember.member_id", flexible, self.member_id)?;
        if version >= 4 {
            w.string_or_null("DescribedGroupMember.group_instance_id", flexible, true, self.group_instance_id)?;
        }
        w.string("DescribedGroupMember.client_id", flexible, self.client_id)?;
        w.string("DescribedGroupMember.client_host", flexible, self.client_host)?;
        w.bytes("DescribedGroupMember.member_metadata", flexible, self.member_metadata)?;
        w.bytes("DescribedGroupMember.member_assignment", flexible, self.member_assignment)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
