//! DeleteGroups (key 42, versions 0-2): [`DeleteGroupsRequest`] and [`DeleteGroupsResponse`].
//!
//! Generated from `schema/delete_groups.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DeleteGroups request, versions 0-2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsRequest<'a> {
    /// The groups.
    pub groups_names: Vec<&'a str>,
}

impl<'a> DeleteGroupsRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 42;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let groups_names = r.array(flexible, if flexible { 1 } else { 2 }, |r| r.string(flexible))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { groups_names })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.array("DeleteGroupsRequest.groups_names", flexible, &self.groups_names, |w, each| w.string("DeleteGroupsRequest.groups_names", flexible, each))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// DeleteGroups response, versions 0-2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The groups.
    pub results: Vec<DeletableGroupResult<'a>>,
}

impl<'a> DeleteGroupsResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 42;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let throttle_time_ms = r.i32()?;
        let results = r.array(flexible, 4, |r| DeletableGroupResult::decode(r, version))?;
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
        let flexible = version >= 2;
        w.i32(self.throttle_time_ms);
        w.array("DeleteGroupsResponse.results", flexible, &self.results, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`DeleteGroupsResponse::results`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeletableGroupResult<'a> {
    /// The group.
    pub group_id: &'a str,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
}

impl<'a> DeletableGroupResult<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 2;
        let group_id = r.string(flexible)?;
        let error_code = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { group_id, error_code })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 2;
        w.string("DeletableGroupResult.group_id", flexible, self.group_id)?;
        w.error_code(self.error_code);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
