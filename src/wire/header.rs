//! Request and response headers.
//!
//! ```text
//! request v1:   api_key i16 | api_version i16 | correlation_id i32 | client_id nullable string
//! request v2:   the same, then tagged fields
//! response v0:  correlation_id i32
//! response v1:  the same, then tagged fields
//! ```
//! Which one it is follows from the API's first flexible version. The client id has the old two-byte length in both
//! forms. ApiVersions is the exception: its response always has header v0, because the client cannot know yet which
//! versions the broker speaks. For the same reason key, version and correlation id can be read from any request:
//! [`RequestHeader::peek`].

use crate::api::ApiKey;
use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// What every request starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestHeader<'a> {
    /// Which API; may be one that we do not know.
    pub api_key: i16,
    /// Which version of it; may be one that we do not know.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// How the client calls itself.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads the first eight bytes of a request: key, version, correlation id. Works for every API and version, also
    /// for those that do not exist. `client_id` stays `None`.
    pub fn peek(frame: &[u8]) -> Result<RequestHeader<'static>, DecodeError> {
        let mut r = Reader::new(frame);
        Ok(RequestHeader {
            api_key: r.i16()?,
            api_version: r.i16()?,
            correlation_id: r.i32()?,
            client_id: None,
        })
    }

    /// Reads the whole header and leaves the reader at the request's body. An unknown API is taken for one that is not
    /// flexible; an unknown version follows the API's rule.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let header = Self {
            api_key: r.i16()?,
            api_version: r.i16()?,
            correlation_id: r.i32()?,
            client_id: r.string_or_null(false, true)?,
        };
        if is_flexible(header.api_key, header.api_version) {
            r.skip_tagged_fields()?;
        }
        Ok(header)
    }

    /// Writes the header that goes before a request of this key and version.
    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.i16(self.api_key);
        w.i16(self.api_version);
        w.i32(self.correlation_id);
        w.string_or_null("RequestHeader.client_id", false, true, self.client_id)?;
        if is_flexible(self.api_key, self.api_version) {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// What every response starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseHeader {
    /// The request that this answers.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Reads the header of a response to a request of this key and version.
    pub fn decode(r: &mut Reader<'_>, api_key: i16, api_version: i16) -> Result<Self, DecodeError> {
        let header = Self { correlation_id: r.i32()? };
        if has_flexible_response_header(api_key, api_version) {
            r.skip_tagged_fields()?;
        }
        Ok(header)
    }

    /// Writes the header of a response to a request of this key and version.
    pub fn encode(&self, w: &mut Writer, api_key: i16, api_version: i16) {
        w.i32(self.correlation_id);
        if has_flexible_response_header(api_key, api_version) {
            w.uvarint(0);
        }
    }
}

fn is_flexible(api_key: i16, api_version: i16) -> bool {
    ApiKey::from_code(api_key).is_some_and(|key| key.info().is_flexible(api_version))
}

fn has_flexible_response_header(api_key: i16, api_version: i16) -> bool {
    api_key != ApiKey::ApiVersions.code() && is_flexible(api_key, api_version)
}
