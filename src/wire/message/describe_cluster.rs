//! DescribeCluster (key 60, versions 0-2): [`DescribeClusterRequest`] and [`DescribeClusterResponse`].
//!
//! Generated from `schema/describe_cluster.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// DescribeCluster request, versions 0-2.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterRequest {
    /// Whether to say what the client may do with the cluster.
    pub include_cluster_authorized_operations: bool,
    /// 1 for brokers, 2 for controllers. Versions 1+.
    pub endpoint_type: i8,
    /// Whether to list brokers that are fenced. Versions 2+.
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
        }
    }
}

impl DescribeClusterRequest {
    /// The key of the API.
    pub const API_KEY: i16 = 60;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let include_cluster_authorized_operations = r.bool()?;
        let endpoint_type = if version >= 1 { r.i8()? } else { 1 };
        let include_fenced_brokers = if version >= 2 { r.bool()? } else { false };
        r.skip_tagged_fields()?;
        Ok(Self { include_cluster_authorized_operations, endpoint_type, include_fenced_brokers })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            w.i8(self.endpoint_type);
        } else if self.endpoint_type != 1 {
            return Err(EncodeError::FieldNotInVersion { field: "DescribeClusterRequest.endpoint_type", version });
        }
        if version >= 2 {
            w.bool(self.include_fenced_brokers);
        } else if self.include_fenced_brokers {
            return Err(EncodeError::FieldNotInVersion { field: "DescribeClusterRequest.include_fenced_brokers", version });
        }
        w.uvarint(0);
        Ok(())
    }
}

/// DescribeCluster response, versions 0-2.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribeClusterResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// What went wrong, for people.
    pub error_message: Option<&'a str>,
    /// 1 for brokers, 2 for controllers. Versions 1+.
    pub endpoint_type: i8,
    /// The id of the cluster.
    pub cluster_id: &'a str,
    /// The broker to send administration to, -1 if none.
    pub controller_id: i32,
    /// The brokers that are alive.
    pub brokers: Vec<DescribeClusterBroker<'a>>,
    /// A bit for each operation allowed on the cluster, the lowest number if not asked for.
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: "",
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: -2_147_483_648,
        }
    }
}

impl<'a> DescribeClusterResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 60;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 2;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let throttle_time_ms = r.i32()?;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(true, true)?;
        let endpoint_type = if version >= 1 { r.i8()? } else { 1 };
        let cluster_id = r.string(true)?;
        let controller_id = r.i32()?;
        let brokers = r.array(true, DescribeClusterBroker::size_min(version), |r| DescribeClusterBroker::decode(r, version))?;
        let cluster_authorized_operations = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { throttle_time_ms, error_code, error_message, endpoint_type, cluster_id, controller_id, brokers, cluster_authorized_operations })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.string_or_null("DescribeClusterResponse.error_message", true, true, self.error_message)?;
        if version >= 1 {
            w.i8(self.endpoint_type);
        }
        w.string("DescribeClusterResponse.cluster_id", true, self.cluster_id)?;
        w.i32(self.controller_id);
        w.array("DescribeClusterResponse.brokers", true, &self.brokers, |w, each| each.encode(w, version))?;
        w.i32(self.cluster_authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribeClusterResponse::brokers`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeClusterBroker<'a> {
    /// The id of the broker.
    pub broker_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<&'a str>,
    /// Whether the broker is fenced. Versions 2+.
    pub is_fenced: bool,
}

impl<'a> DescribeClusterBroker<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=1 => 11,
            _ => 12,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let broker_id = r.i32()?;
        let host = r.string(true)?;
        let port = r.i32()?;
        let rack = r.string_or_null(true, true)?;
        let is_fenced = if version >= 2 { r.bool()? } else { false };
        r.skip_tagged_fields()?;
        Ok(Self { broker_id, host, port, rack, is_fenced })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.i32(self.broker_id);
        w.string("DescribeClusterBroker.host", true, self.host)?;
        w.i32(self.port);
        w.string_or_null("DescribeClusterBroker.rack", true, true, self.rack)?;
        if version >= 2 {
            w.bool(self.is_fenced);
        }
        w.uvarint(0);
        Ok(())
    }
}
