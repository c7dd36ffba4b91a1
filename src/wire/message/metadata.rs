//! Metadata (key 3, versions 0-13): [`MetadataRequest`] and [`MetadataResponse`].
//!
//! Generated from `schema/metadata.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// Metadata request, versions 0-13.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequest<'a> {
    /// The topics to describe: null for all, empty for none; in version 0 empty for all.
    pub topics: Option<Vec<MetadataRequestTopic<'a>>>,
    /// Whether unknown topics may be created. Versions 4+.
    pub allow_auto_topic_creation: bool,
    /// Whether to say what the client may do with the cluster. Versions 8-10.
    pub include_cluster_authorized_operations: bool,
    /// Whether to say what the client may do with the topics. Versions 8+.
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl<'a> MetadataRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 3;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 13;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        let topics = r.array_or_null(flexible, version >= 1, MetadataRequestTopic::size_min(version), |r| MetadataRequestTopic::decode(r, version))?;
        let allow_auto_topic_creation = if version >= 4 { r.bool()? } else { true };
        let include_cluster_authorized_operations = if (8..=10).contains(&version) { r.bool()? } else { false };
        let include_topic_authorized_operations = if version >= 8 { r.bool()? } else { false };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topics, allow_auto_topic_creation, include_cluster_authorized_operations, include_topic_authorized_operations })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        w.array_or_null("MetadataRequest.topics", flexible, version >= 1, self.topics.as_deref(), |w, each| each.encode(w, version))?;
        if version >= 4 {
            w.bool(self.allow_auto_topic_creation);
        } else if !self.allow_auto_topic_creation {
            return Err(EncodeError::FieldNotInVersion { field: "MetadataRequest.allow_auto_topic_creation", version });
        }
        if (8..=10).contains(&version) {
            w.bool(self.include_cluster_authorized_operations);
        } else if self.include_cluster_authorized_operations {
            return Err(EncodeError::FieldNotInVersion { field: "MetadataRequest.include_cluster_authorized_operations", version });
        }
        if version >= 8 {
            w.bool(self.include_topic_authorized_operations);
        } else if self.include_topic_authorized_operations {
            return Err(EncodeError::FieldNotInVersion { field: "MetadataRequest.include_topic_authorized_operations", version });
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`MetadataRequest::topics`].
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataRequestTopic<'a> {
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// The name of the topic.
    pub name: Option<&'a str>,
}

impl Default for MetadataRequestTopic<'_> {
    fn default() -> Self {
        Self {
            topic_id: [0; 16],
            name: Some(""),
        }
    }
}

impl<'a> MetadataRequestTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=9 => 2,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let name = r.string_or_null(flexible, version >= 10)?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic_id, name })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        w.string_or_null("MetadataRequestTopic.name", flexible, version >= 10, self.name)?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Metadata response, versions 0-13.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponse<'a> {
    /// For how many milliseconds a quota held the request back. Versions 3+.
    pub throttle_time_ms: i32,
    /// The brokers that are alive.
    pub brokers: Vec<MetadataResponseBroker<'a>>,
    /// The id of the cluster. Versions 2+.
    pub cluster_id: Option<&'a str>,
    /// The broker to send administration to, -1 if none. Versions 1+.
    pub controller_id: i32,
    /// The topics.
    pub topics: Vec<MetadataResponseTopic<'a>>,
    /// A bit for each operation allowed on the cluster, the lowest number if not asked for. Versions 8-10.
    pub cluster_authorized_operations: i32,
    /// What went wrong, 0 if nothing. Versions 13+.
    pub error_code: i16,
}

impl Default for MetadataResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: -2_147_483_648,
            error_code: 0,
        }
    }
}

impl<'a> MetadataResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 3;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 13;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        let throttle_time_ms = if version >= 3 { r.i32()? } else { 0 };
        let brokers = r.array(flexible, MetadataResponseBroker::size_min(version), |r| MetadataResponseBroker::decode(r, version))?;
        let cluster_id = if version >= 2 { r.string_or_null(flexible, true)? } else { None };
        let controller_id = if version >= 1 { r.i32()? } else { -1 };
        let topics = r.array(flexible, MetadataResponseTopic::size_min(version), |r| MetadataResponseTopic::decode(r, version))?;
        let cluster_authorized_operations = if (8..=10).contains(&version) { r.i32()? } else { -2_147_483_648 };
        let error_code = if version >= 13 { r.i16()? } else { 0 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { throttle_time_ms, brokers, cluster_id, controller_id, topics, cluster_authorized_operations, error_code })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 9;
        if version >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array("MetadataResponse.brokers", flexible, &self.brokers, |w, each| each.encode(w, version))?;
        if version >= 2 {
            w.string_or_null("MetadataResponse.cluster_id", flexible, true, self.cluster_id)?;
        }
        if version >= 1 {
            w.i32(self.controller_id);
        }
        w.array("MetadataResponse.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if (8..=10).contains(&version) {
            w.i32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            w.error_code(self.error_code);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`MetadataResponse::brokers`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetadataResponseBroker<'a> {
    /// The id of the broker.
    pub node_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// Its rack. Versions 1+.
    pub rack: Option<&'a str>,
}

impl<'a> MetadataResponseBroker<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 10,
            1..=8 => 12,
            _ => 11,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let node_id = r.i32()?;
        let host = r.string(flexible)?;
        let port = r.i32()?;
        let rack = if version >= 1 { r.string_or_null(flexible, true)? } else { None };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.i32(self.node_id);
        w.string("MetadataResponseBroker.host", flexible, self.host)?;
        w.i32(self.port);
        if version >= 1 {
            w.string_or_null("MetadataResponseBroker.rack", flexible, true, self.rack)?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`MetadataResponse::topics`].
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponseTopic<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The name of the topic.
    pub name: Option<&'a str>,
    /// The id of the topic. Versions 10+.
    pub topic_id: [u8; 16],
    /// Whether the topic is one of the cluster's own. Versions 1+.
    pub is_internal: bool,
    /// The partitions.
    pub partitions: Vec<MetadataResponsePartition>,
    /// A bit for each operation allowed on the topic, the lowest number if not asked for. Versions 8+.
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: Some(""),
            topic_id: [0; 16],
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2_147_483_648,
        }
    }
}

impl<'a> MetadataResponseTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 8,
            1..=7 => 9,
            8..=8 => 13,
            9..=9 => 10,
            _ => 26,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let error_code = r.i16()?;
        let name = r.string_or_null(flexible, version >= 12)?;
        let topic_id = if version >= 10 { r.uuid()? } else { [0; 16] };
        let is_internal = if version >= 1 { r.bool()? } else { false };
        let partitions = r.array(flexible, MetadataResponsePartition::size_min(version), |r| MetadataResponsePartition::decode(r, version))?;
        let topic_authorized_operations = if version >= 8 { r.i32()? } else { -2_147_483_648 };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, name, topic_id, is_internal, partitions, topic_authorized_operations })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.error_code(self.error_code);
        w.string_or_null("MetadataResponseTopic.name", flexible, version >= 12, self.name)?;
        if version >= 10 {
            w.uuid(&self.topic_id);
        }
        if version >= 1 {
            w.bool(self.is_internal);
        }
        w.array("MetadataResponseTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if version >= 8 {
            w.i32(self.topic_authorized_operations);
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`MetadataResponseTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataResponsePartition {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The number of the partition.
    pub partition_index: i32,
    /// The broker that leads, -1 if unknown or none.
    pub leader_id: i32,
    /// The epoch of the leader, -1 if unknown. Versions 7+.
    pub leader_epoch: i32,
    /// The brokers that hold the partition.
    pub replica_nodes: Vec<i32>,
    /// Those in sync.
    pub isr_nodes: Vec<i32>,
    /// Those that are gone. Versions 5+.
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl MetadataResponsePartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 18,
            5..=6 => 22,
            7..=8 => 26,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 9;
        let error_code = r.i16()?;
        let partition_index = r.i32()?;
        let leader_id = r.i32()?;
        let leader_epoch = if version >= 7 { r.i32()? } else { -1 };
        let replica_nodes = r.array(flexible, 4, |r| r.i32())?;
        let isr_nodes = r.array(flexible, 4, |r| r.i32())?;
        let offline_replicas = if version >= 5 { r.array(flexible, 4, |r| r.i32())? } else { Vec::new() };
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { error_code, partition_index, leader_id, leader_epoch, replica_nodes, isr_nodes, offline_replicas })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 9;
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        if version >= 7 {
            w.i32(self.leader_epoch);
        }
        w.array("MetadataResponsePartition.replica_nodes", flexible, &self.replica_nodes, |w, each| { w.i32(*each); Ok(()) })?;
        w.array("MetadataResponsePartition.isr_nodes", flexible, &self.isr_nodes, |w, each| { w.i32(*each); Ok(()) })?;
        if version >= 5 {
            w.array("MetadataResponsePartition.offline_replicas", flexible, &self.offline_replicas, |w, each| { w.i32(*each); Ok(()) })?;
        }
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}
