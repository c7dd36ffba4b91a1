//! Fetch (key 1, versions 4-18): [`FetchRequest`] and [`FetchResponse`].
//!
//! Generated from `schema/fetch.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Records, Writer};

/// Fetch request, versions 4-18.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest<'a> {
    /// The id of the cluster. Versions 12+.
    pub cluster_id: Option<&'a str>,
    /// The follower that asks, -1 for a client. Versions 4-14.
    pub replica_id: i32,
    /// Which follower asks. Versions 15+.
    pub replica_state: ReplicaState,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes to wait for.
    pub min_bytes: i32,
    /// How many bytes the answer may have, though never less than one batch.
    pub max_bytes: i32,
    /// 0 reads everything, 1 only what is committed.
    pub isolation_level: i8,
    /// The fetch session, 0 for none. Versions 7+.
    pub session_id: i32,
    /// The place of this request in its session, -1 for none. Versions 7+.
    pub session_epoch: i32,
    /// The topics.
    pub topics: Vec<FetchTopic<'a>>,
    /// The partitions to take out of the session. Versions 7+.
    pub forgotten_topics_data: Vec<ForgottenTopic<'a>>,
    /// The rack of the consumer. Versions 11+.
    pub rack_id: &'a str,
}

impl Default for FetchRequest<'_> {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 2_147_483_647,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: "",
        }
    }
}

impl<'a> FetchRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 1;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 4;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 18;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 12;
        let replica_id = if version <= 14 { r.i32()? } else { -1 };
        let max_wait_ms = r.i32()?;
        let min_bytes = r.i32()?;
        let max_bytes = r.i32()?;
        let isolation_level = r.i8()?;
        let session_id = if version >= 7 { r.i32()? } else { 0 };
        let session_epoch = if version >= 7 { r.i32()? } else { -1 };
        let topics = r.array(flexible, FetchTopic::size_min(version), |r| FetchTopic::decode(r, version))?;
        let forgotten_topics_data = if version >= 7 { r.array(flexible, ForgottenTopic::size_min(version), |r| ForgottenTopic::decode(r, version))? } else { Vec::new() };
        let rack_id = if version >= 11 { r.string(flexible)? } else { "" };
        let mut cluster_id = None;
        let mut replica_state = ReplicaState::default();
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 => cluster_id = r.string_or_null(true, true)?,
                    1 if version >= 15 => replica_state = ReplicaState::decode(r, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { cluster_id, replica_id, replica_state, max_wait_ms, min_bytes, max_bytes, isolation_level, session_id, session_epoch, topics, forgotten_topics_data, rack_id })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 12;
        if version <= 14 {
            w.i32(self.replica_id);
        } else if self.replica_id != -1 {
            return Err(EncodeError::FieldNotInVersion { field: "FetchRequest.replica_id", version });
        }
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if version >= 7 {
            w.i32(self.session_id);
        }
        if version >= 7 {
            w.i32(self.session_epoch);
        }
        w.array("FetchRequest.topics", flexible, &self.topics, |w, each| each.encode(w, version))?;
        if version >= 7 {
            w.array("FetchRequest.forgotten_topics_data", flexible, &self.forgotten_topics_data, |w, each| each.encode(w, version))?;
        } else if !self.forgotten_topics_data.is_empty() {
            return Err(EncodeError::FieldNotInVersion { field: "FetchRequest.forgotten_topics_data", version });
        }
        if version >= 11 {
            w.string("FetchRequest.rack_id", flexible, self.rack_id)?;
        }
        if version < 15 && self.replica_state != ReplicaState::default() {
            return Err(EncodeError::FieldNotInVersion { field: "FetchRequest.replica_state", version });
        }
        if flexible {
            let cluster_id = self.cluster_id.is_some();
            let replica_state = version >= 15 && self.replica_state != ReplicaState::default();
            w.uvarint(u32::from(cluster_id) + u32::from(replica_state));
            if cluster_id {
                w.tagged("FetchRequest.cluster_id", 0, |w| w.string_or_null("FetchRequest.cluster_id", true, true, self.cluster_id))?;
            }
            if replica_state {
                w.tagged("FetchRequest.replica_state", 1, |w| self.replica_state.encode(w, version))?;
            }
        }
        Ok(())
    }
}

/// Part of [`FetchRequest::replica_state`].
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaState {
    /// The follower that asks, -1 for a client.
    pub replica_id: i32,
    /// The epoch of the follower, -1 if unknown.
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: -1,
            replica_epoch: -1,
        }
    }
}

impl ReplicaState {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let replica_id = r.i32()?;
        let replica_epoch = r.i64()?;
        r.skip_tagged_fields()?;
        Ok(Self { replica_id, replica_epoch })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.replica_id);
        w.i64(self.replica_epoch);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`FetchRequest::topics`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchTopic<'a> {
    /// The name of the topic. Versions 4-12.
    pub topic: &'a str,
    /// The id of the topic. Versions 13+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<FetchPartition>,
}

impl<'a> FetchTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=11 => 6,
            12..=12 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let topic = if version <= 12 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 13 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(flexible, FetchPartition::size_min(version), |r| FetchPartition::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            w.string("FetchTopic.topic", flexible, self.topic)?;
        }
        if version >= 13 {
            w.uuid(&self.topic_id);
        }
        w.array("FetchTopic.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`FetchTopic::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct FetchPartition {
    /// The number of the partition.
    pub partition: i32,
    /// The epoch of the leader as the client knows it, -1 if it does not. Versions 9+.
    pub current_leader_epoch: i32,
    /// The offset to read from.
    pub fetch_offset: i64,
    /// The epoch of the last record the follower has, -1 if it has none. Versions 12+.
    pub last_fetched_epoch: i32,
    /// The first offset of the follower's log, -1 for a client. Versions 5+.
    pub log_start_offset: i64,
    /// How many bytes to read from this partition.
    pub partition_max_bytes: i32,
    /// The log directory of the follower. Versions 17+.
    pub replica_directory_id: [u8; 16],
    /// The high watermark as the follower knows it. Versions 18+.
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: [0; 16],
            high_watermark: 9_223_372_036_854_775_807,
        }
    }
}

impl FetchPartition {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 16,
            5..=8 => 24,
            9..=11 => 28,
            _ => 33,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let partition = r.i32()?;
        let current_leader_epoch = if version >= 9 { r.i32()? } else { -1 };
        let fetch_offset = r.i64()?;
        let last_fetched_epoch = if version >= 12 { r.i32()? } else { -1 };
        let log_start_offset = if version >= 5 { r.i64()? } else { -1 };
        let partition_max_bytes = r.i32()?;
        let mut replica_directory_id = [0; 16];
        let mut high_watermark = 9_223_372_036_854_775_807;
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 if version >= 17 => replica_directory_id = r.uuid()?,
                    1 if version >= 18 => high_watermark = r.i64()?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { partition, current_leader_epoch, fetch_offset, last_fetched_epoch, log_start_offset, partition_max_bytes, replica_directory_id, high_watermark })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        w.i32(self.partition);
        if version >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if version >= 12 {
            w.i32(self.last_fetched_epoch);
        } else if self.last_fetched_epoch != -1 {
            return Err(EncodeError::FieldNotInVersion { field: "FetchPartition.last_fetched_epoch", version });
        }
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        if flexible {
            let replica_directory_id = version >= 17 && self.replica_directory_id != [0; 16];
            let high_watermark = version >= 18 && self.high_watermark != 9_223_372_036_854_775_807;
            w.uvarint(u32::from(replica_directory_id) + u32::from(high_watermark));
            if replica_directory_id {
                w.tagged("FetchPartition.replica_directory_id", 0, |w| { w.uuid(&self.replica_directory_id); Ok(()) })?;
            }
            if high_watermark {
                w.tagged("FetchPartition.high_watermark", 1, |w| { w.i64(self.high_watermark); Ok(()) })?;
            }
        }
        Ok(())
    }
}

/// Part of [`FetchRequest::forgotten_topics_data`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ForgottenTopic<'a> {
    /// The name of the topic. Versions 7-12.
    pub topic: &'a str,
    /// The id of the topic. Versions 13+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<i32>,
}

impl<'a> ForgottenTopic<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=11 => 6,
            12..=12 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let topic = if version <= 12 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 13 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(flexible, 4, |r| r.i32())?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            w.string("ForgottenTopic.topic", flexible, self.topic)?;
        }
        if version >= 13 {
            w.uuid(&self.topic_id);
        }
        w.array("ForgottenTopic.partitions", flexible, &self.partitions, |w, each| { w.i32(*each); Ok(()) })?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Fetch response, versions 4-18.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing. Versions 7+.
    pub error_code: i16,
    /// The fetch session, 0 for none. Versions 7+.
    pub session_id: i32,
    /// The result for each topic.
    pub responses: Vec<FetchableTopicResponse<'a>>,
    /// Where to reach the leaders named in this answer. Versions 16+.
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

impl<'a> FetchResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 1;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 4;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 18;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 12;
        let throttle_time_ms = r.i32()?;
        let error_code = if version >= 7 { r.i16()? } else { 0 };
        let session_id = if version >= 7 { r.i32()? } else { 0 };
        let responses = r.array(flexible, FetchableTopicResponse::size_min(version), |r| FetchableTopicResponse::decode(r, version))?;
        let mut node_endpoints = Vec::new();
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 if version >= 16 => node_endpoints = r.array(true, 11, |r| NodeEndpoint::decode(r, version))?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { throttle_time_ms, error_code, session_id, responses, node_endpoints })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        let flexible = version >= 12;
        w.i32(self.throttle_time_ms);
        if version >= 7 {
            w.error_code(self.error_code);
        }
        if version >= 7 {
            w.i32(self.session_id);
        }
        w.array("FetchResponse.responses", flexible, &self.responses, |w, each| each.encode(w, version))?;
        if flexible {
            let node_endpoints = version >= 16 && !self.node_endpoints.is_empty();
            w.uvarint(u32::from(node_endpoints));
            if node_endpoints {
                w.tagged("FetchResponse.node_endpoints", 0, |w| w.array("FetchResponse.node_endpoints", true, &self.node_endpoints, |w, each| each.encode(w, version)))?;
            }
        }
        Ok(())
    }
}

/// Part of [`FetchResponse::responses`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchableTopicResponse<'a> {
    /// The name of the topic. Versions 4-12.
    pub topic: &'a str,
    /// The id of the topic. Versions 13+.
    pub topic_id: [u8; 16],
    /// The partitions.
    pub partitions: Vec<PartitionData<'a>>,
}

impl<'a> FetchableTopicResponse<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=11 => 6,
            12..=12 => 3,
            _ => 18,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let topic = if version <= 12 { r.string(flexible)? } else { "" };
        let topic_id = if version >= 13 { r.uuid()? } else { [0; 16] };
        let partitions = r.array(flexible, PartitionData::size_min(version), |r| PartitionData::decode(r, version))?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { topic, topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        if version <= 12 {
            w.string("FetchableTopicResponse.topic", flexible, self.topic)?;
        }
        if version >= 13 {
            w.uuid(&self.topic_id);
        }
        w.array("FetchableTopicResponse.partitions", flexible, &self.partitions, |w, each| each.encode(w, version))?;
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`FetchableTopicResponse::partitions`].
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionData<'a> {
    /// The number of the partition.
    pub partition_index: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The end of what consumers may see.
    pub high_watermark: i64,
    /// The end of what is decided: all transactions below it are committed or aborted.
    pub last_stable_offset: i64,
    /// The first offset of the log. Versions 5+.
    pub log_start_offset: i64,
    /// Where the follower and the leader part. Versions 12+.
    pub diverging_epoch: EpochEndOffset,
    /// The leader now, for a client that asked the wrong broker. Versions 12+.
    pub current_leader: LeaderIdAndEpoch,
    /// The snapshot to read instead. Versions 12+.
    pub snapshot_id: SnapshotId,
    /// The aborted transactions among these records, null when everything is read.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The broker to read from instead, -1 for this one. Versions 11+.
    pub preferred_read_replica: i32,
    /// Record batches.
    pub records: Option<Records<'a>>,
}

impl Default for PartitionData<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl<'a> PartitionData<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=4 => 30,
            5..=10 => 38,
            11..=11 => 42,
            _ => 37,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let partition_index = r.i32()?;
        let error_code = r.i16()?;
        let high_watermark = r.i64()?;
        let last_stable_offset = r.i64()?;
        let log_start_offset = if version >= 5 { r.i64()? } else { -1 };
        let aborted_transactions = r.array_or_null(flexible, true, AbortedTransaction::size_min(version), |r| AbortedTransaction::decode(r, version))?;
        let preferred_read_replica = if version >= 11 { r.i32()? } else { -1 };
        let records = r.records_or_null(flexible, true)?;
        let mut diverging_epoch = EpochEndOffset::default();
        let mut current_leader = LeaderIdAndEpoch::default();
        let mut snapshot_id = SnapshotId::default();
        if flexible {
            r.tagged_fields(|tag, r| {
                match tag {
                    0 => diverging_epoch = EpochEndOffset::decode(r, version)?,
                    1 => current_leader = LeaderIdAndEpoch::decode(r, version)?,
                    2 => snapshot_id = SnapshotId::decode(r, version)?,
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
        Ok(Self { partition_index, error_code, high_watermark, last_stable_offset, log_start_offset, diverging_epoch, current_leader, snapshot_id, aborted_transactions, preferred_read_replica, records })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if version >= 5 {
            w.i64(self.log_start_offset);
        }
        w.array_or_null("PartitionData.aborted_transactions", flexible, true, self.aborted_transactions.as_deref(), |w, each| each.encode(w, version))?;
        if version >= 11 {
            w.i32(self.preferred_read_replica);
        }
        w.records_or_null("PartitionData.records", flexible, true, self.records)?;
        if flexible {
            let diverging_epoch = self.diverging_epoch != EpochEndOffset::default();
            let current_leader = self.current_leader != LeaderIdAndEpoch::default();
            let snapshot_id = self.snapshot_id != SnapshotId::default();
            w.uvarint(u32::from(diverging_epoch) + u32::from(current_leader) + u32::from(snapshot_id));
            if diverging_epoch {
                w.tagged("PartitionData.diverging_epoch", 0, |w| self.diverging_epoch.encode(w, version))?;
            }
            if current_leader {
                w.tagged("PartitionData.current_leader", 1, |w| self.current_leader.encode(w, version))?;
            }
            if snapshot_id {
                w.tagged("PartitionData.snapshot_id", 2, |w| self.snapshot_id.encode(w, version))?;
            }
        }
        Ok(())
    }
}

/// Part of [`PartitionData::diverging_epoch`].
#[derive(Debug, Clone, PartialEq)]
pub struct EpochEndOffset {
    /// The epoch, -1 if none.
    pub epoch: i32,
    /// The end of the epoch, -1 if none.
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            epoch: -1,
            end_offset: -1,
        }
    }
}

impl EpochEndOffset {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let epoch = r.i32()?;
        let end_offset = r.i64()?;
        r.skip_tagged_fields()?;
        Ok(Self { epoch, end_offset })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.epoch);
        w.i64(self.end_offset);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`PartitionData::current_leader`].
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The broker that leads, -1 if unknown or none.
    pub leader_id: i32,
    /// The epoch of the leader, -1 if unknown.
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let leader_id = r.i32()?;
        let leader_epoch = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { leader_id, leader_epoch })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`PartitionData::snapshot_id`].
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotId {
    /// The end of the epoch, -1 if none.
    pub end_offset: i64,
    /// The epoch, -1 if none.
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self {
            end_offset: -1,
            epoch: -1,
        }
    }
}

impl SnapshotId {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let end_offset = r.i64()?;
        let epoch = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { end_offset, epoch })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i64(self.end_offset);
        w.i32(self.epoch);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`PartitionData::aborted_transactions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// The first record of the transaction.
    pub first_offset: i64,
}

impl AbortedTransaction {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=11 => 16,
            _ => 17,
        }
    }

    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let flexible = version >= 12;
        let producer_id = r.i64()?;
        let first_offset = r.i64()?;
        if flexible {
            r.skip_tagged_fields()?;
        }
        Ok(Self { producer_id, first_offset })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        w.i64(self.producer_id);
        w.i64(self.first_offset);
        if flexible {
            w.uvarint(0);
        }
        Ok(())
    }
}

/// Part of [`FetchResponse::node_endpoints`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NodeEndpoint<'a> {
    /// The id of the broker.
    pub node_id: i32,
    /// Its host.
    pub host: &'a str,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<&'a str>,
}

impl<'a> NodeEndpoint<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let node_id = r.i32()?;
        let host = r.string(true)?;
        let port = r.i32()?;
        let rack = r.string_or_null(true, true)?;
        r.skip_tagged_fields()?;
        Ok(Self { node_id, host, port, rack })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.i32(self.node_id);
        w.string("NodeEndpoint.host", true, self.host)?;
        w.i32(self.port);
        w.string_or_null("NodeEndpoint.rack", true, true, self.rack)?;
        w.uvarint(0);
        Ok(())
    }
}
