//! ConsumerGroupHeartbeat (key 68, versions 0-1): [`ConsumerGroupHeartbeatRequest`] and [`ConsumerGroupHeartbeatResponse`].
//!
//! Generated from `schema/consumer_group_heartbeat.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ConsumerGroupHeartbeat request, versions 0-1.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerGroupHeartbeatRequest<'a> {
    /// The group.
    pub group_id: &'a str,
    /// The member; in version 0 empty the first time, later made by the client.
    pub member_id: &'a str,
    /// Its epoch: 0 to join, -1 to leave, -2 to leave as a static member for a while.
    pub member_epoch: i32,
    /// The static member's own name.
    pub instance_id: Option<&'a str>,
    /// Where the member is.
    pub rack_id: Option<&'a str>,
    /// How many milliseconds it may take to give partitions up, -1 if unchanged.
    pub rebalance_timeout_ms: i32,
    /// The topics subscribed to, null if unchanged.
    pub subscribed_topic_names: Option<Vec<&'a str>>,
    /// The pattern subscribed to, null if unchanged. Versions 1+.
    pub subscribed_topic_regex: Option<&'a str>,
    /// The assignor wanted, null if unchanged.
    pub server_assignor: Option<&'a str>,
    /// What the member holds, null if unchanged.
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

impl Default for ConsumerGroupHeartbeatRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: "",
            member_id: "",
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
        }
    }
}

impl<'a> ConsumerGroupHeartbeatRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 68;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let group_id = r.string(true)?;
        let member_id = r.string(true)?;
        let member_epoch = r.i32()?;
        let instance_id = r.string_or_null(true, true)?;
        let rack_id = r.string_or_null(true, true)?;
        let rebalance_timeout_ms = r.i32()?;
        let subscribed_topic_names = r.array_or_null(true, true, 1, |r| r.string(true))?;
        let subscribed_topic_regex = if version >= 1 { r.string_or_null(true, true)? } else { None };
        let server_assignor = r.string_or_null(true, true)?;
        let topic_partitions = r.array_or_null(true, true, 18, |r| TopicPartitions::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { group_id, member_id, member_epoch, instance_id, rack_id, rebalance_timeout_ms, subscribed_topic_names, subscribed_topic_regex, server_assignor, topic_partitions })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.string("ConsumerGroupHeartbeatRequest.group_id", true, self.group_id)?;
        w.string("ConsumerGroupHeartbeatRequest.member_id", true, self.member_id)?;
        w.i32(self.member_epoch);
        w.string_or_null("ConsumerGroupHeartbeatRequest.instance_id", true, true, self.instance_id)?;
        w.string_or_null("ConsumerGroupHeartbeatRequest.rack_id", true, true, self.rack_id)?;
        w.i32(self.rebalance_timeout_ms);
        w.array_or_null("ConsumerGroupHeartbeatRequest.subscribed_topic_names", true, true, self.subscribed_topic_names.as_deref(), |w, each| w.string("ConsumerGroupHeartbeatRequest.subscribed_topic_names", true, each))?;
        if version >= 1 {
            w.string_or_null("ConsumerGroupHeartbeatRequest.subscribed_topic_regex", true, true, self.subscribed_topic_regex)?;
        } else if self.subscribed_topic_regex.is_some() {
            return Err(EncodeError::FieldNotInVersion { field: "ConsumerGroupHeartbeatRequest.subscribed_topic_regex", version });
        }
        w.string_or_null("ConsumerGroupHeartbeatRequest.server_assignor", true, true, self.server_assignor)?;
        w.array_or_null("ConsumerGroupHeartbeatRequest.topic_partitions", true, true, self.topic_partitions.as_deref(), |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ConsumerGroupHeartbeatRequest::topic_partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicPartitions {
    /// The id of the topic.
    pub topic_id: [u8; 16],
    /// The numbers of the partitions.
    pub partitions: Vec<i32>,
}

impl TopicPartitions {
    fn decode(r: &mut Reader<'_>, _version: i16) -> Result<Self, DecodeError> {
        let topic_id = r.uuid()?;
        let partitions = r.array(true, 4, |r| r.i32())?;
        r.skip_tagged_fields()?;
        Ok(Self { topic_id, partitions })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.uuid(&self.topic_id);
        w.array("TopicPartitions.partitions", true, &self.partitions, |w, each| { w.i32(*each); Ok(()) })?;
        w.uvarint(0);
        Ok(())
    }
}

/// ConsumerGroupHeartbeat response, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConsumerGroupHeartbeatResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The same for people.
    pub error_message: Option<&'a str>,
    /// The member itself.
    pub member_id: Option<&'a str>,
    /// Its epoch.
    pub member_epoch: i32,
    /// How often to say so again.
    pub heartbeat_interval_ms: i32,
    /// What the member is to hold, null if unchanged.
    pub assignment: Option<Assignment>,
}

impl<'a> ConsumerGroupHeartbeatResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 68;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let throttle_time_ms = r.i32()?;
        let error_code = r.i16()?;
        let error_message = r.string_or_null(true, true)?;
        let member_id = r.string_or_null(true, true)?;
        let member_epoch = r.i32()?;
        let heartbeat_interval_ms = r.i32()?;
        let assignment = if r.present()? { Some(Assignment::decode(r, version)?) } else { None };
        r.skip_tagged_fields()?;
        Ok(Self { throttle_time_ms, error_code, error_message, member_id, member_epoch, heartbeat_interval_ms, assignment })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.string_or_null("ConsumerGroupHeartbeatResponse.error_message", true, true, self.error_message)?;
        w.string_or_null("ConsumerGroupHeartbeatResponse.member_id", true, true, self.member_id)?;
        w.i32(self.member_epoch);
        w.i32(self.heartbeat_interval_ms);
        w.present("ConsumerGroupHeartbeatResponse.assignment", true, self.assignment.is_some())?;
        if let Some(each) = &self.assignment {
            each.encode(w, version)?;
        }
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ConsumerGroupHeartbeatResponse::assignment`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment {
    /// The partitions by topic.
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Assignment {
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let topic_partitions = r.array(true, 18, |r| TopicPartitions::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { topic_partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.array("Assignment.topic_partitions", true, &self.topic_partitions, |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}
