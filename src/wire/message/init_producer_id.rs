//! InitProducerId (key 22, versions 0-5): [`InitProducerIdRequest`] and [`InitProducerIdResponse`].
//!
//! Generated from `schema/init_producer_id.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// InitProducerId request, versions 0-5.
#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdRequest<'a> {
    /// The transactional id; null for a producer without transactions.
    pub transactional_id: Option<&'a str>,
    /// After how many milliseconds the coordinator aborts an open transaction.
    pub transaction_timeout_ms: i32,
    /// The producer. Versions 3+.
    pub producer_id: i64,
    /// The epoch of the producer. Versions 3+.
    pub producer_epoch: i16,
}

impl Default for InitProducerIdRequest<'_> {
    fn default() -> Self {
        Self {
            transactional_id: Some(""),
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
        }
    }
}

impl<'a> InitProducerIdRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 22;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let transactional_id = r.string_or_null(flexible, true)?;
        let transaction_timeout_ms = r.i32()?;
        let producer_id = if version >= 3 { r.i64()? } else { -1 };
        let producer_epoch = if version >= 3 { r.i16()? } else { -1 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { transactional_id, transaction_timeout_ms, producer_id, producer_epoch })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.string_or_null("InitProducerIdRequest.transactional_id", flexible, true, self.transactional_id)?;
        w.i32(self.transaction_timeout_ms);
        if version >= 3 {
            w.i64(self.producer_id);
        } else if self.producer_id != -1 {
            return Err(EncodeError::FieldNotInVersion { field: "InitProducerIdRequest.producer_id", version });
        }
        if version >= 3 {
            w.i16(self.producer_epoch);
        } else if self.producer_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion { field: "InitProducerIdRequest.producer_epoch", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// InitProducerId response, versions 0-5.
#[derive(Debug, Clone, PartialEq)]
pub struct InitProducerIdResponse {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The producer.
    pub producer_id: i64,
    /// The epoch of the producer.
    pub producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: -1,
            producer_epoch: 0,
        }
    }
}

impl InitProducerIdResponse {
    /// The key of the API.
    pub const API_KEY: i16 = 22;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 5;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        let throttle_time_ms = r.i32()?;
        let error_code = r.i16()?;
        let producer_id = r.i64()?;
        let producer_epoch = r.i16()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, error_code, producer_id, producer_epoch })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 2;
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
