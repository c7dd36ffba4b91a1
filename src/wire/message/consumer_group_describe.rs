//! ConsumerGroupDescribe (key 69, versions 0-1): [`ConsumerGroupDescribeRequest`] and [`ConsumerGroupDescribeResponse`].
//!
//! Generated from `schema/consumer_group_describe.kmsg` by `cargo run -p corelane-wiregen`; change that file, not this one.

use crate::primitive::{DecodeError, EncodeError, Reader, Writer};

/// ConsumerGroupDescribe request, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConsumerGroupDescribeRequest<'a> {
    /// The groups.
    pub group_ids: Vec<&'a str>,
    /// Whether to say what the client may do with the groups.
    pub include_authorized_operations: bool,
}

impl<'a> ConsumerGroupDescribeRequest<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 69;
    /// The lowest version that can be decoded and encoded.
    pub const VERSION_MIN: i16 = 0;
    /// The highest version that can be decoded and encoded.
    pub const VERSION_MAX: i16 = 1;

    /// Reads the body of a message of this version; what follows it stays in the reader.
    pub fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let group_ids = r.array(true, 1, |r| r.string(true))?;
        let include_authorized_operations = r.bool()?;
        r.skip_tagged_fields()?;
        Ok(Self { group_ids, include_authorized_operations })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.array("ConsumerGroupDescribeRequest.group_ids", true, &self.group_ids, |w, each| w.string("ConsumerGroupDescribeRequest.group_ids", true, each))?;
        w.bool(self.include_authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

/// ConsumerGroupDescribe response, versions 0-1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConsumerGroupDescribeResponse<'a> {
    /// For how many milliseconds a quota held the request back.
    pub throttle_time_ms: i32,
    /// The groups.
    pub groups: Vec<DescribedGroup<'a>>,
}

impl<'a> ConsumerGroupDescribeResponse<'a> {
    /// The key of the API.
    pub const API_KEY: i16 = 69;
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
        let groups = r.array(true, 20, |r| DescribedGroup::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { throttle_time_ms, groups })
    }

    /// Writes the body of a message of this version.
    pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::VERSION_MIN..=Self::VERSION_MAX).contains(&version) {
            return Err(EncodeError::UnsupportedVersion(version));
        }
        w.i32(self.throttle_time_ms);
        w.array("ConsumerGroupDescribeResponse.groups", true, &self.groups, |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`ConsumerGroupDescribeResponse::groups`].
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup<'a> {
    /// What went wrong, 0 if nothing.
    pub error_code: i16,
    /// The same for people.
    pub error_message: Option<&'a str>,
    /// The group.
    pub group_id: &'a str,
    /// Its state.
    pub group_state: &'a str,
    /// Its epoch.
    pub group_epoch: i32,
    /// The epoch of the target assignment.
    pub assignment_epoch: i32,
    /// The assignor in use.
    pub assignor_name: &'a str,
    /// The members.
    pub members: Vec<Member<'a>>,
    /// A bit for each operation allowed, the lowest number if not asked for.
    pub authorized_operations: i32,
}

impl Default for DescribedGroup<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: "",
            group_state: "",
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: "",
            members: Vec::new(),
            authorized_operations: -2_147_483_648,
        }
    }
}

impl<'a> DescribedGroup<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let error_code = r.i16()?;
        let error_message = r.string_or_null(true, true)?;
        let group_id = r.string(true)?;
        let group_state = r.string(true)?;
        let group_epoch = r.i32()?;
        let assignment_epoch = r.i32()?;
        let assignor_name = r.string(true)?;
        let members = r.array(true, Member::size_min(version), |r| Member::decode(r, version))?;
        let authorized_operations = r.i32()?;
        r.skip_tagged_fields()?;
        Ok(Self { error_code, error_message, group_id, group_state, group_epoch, assignment_epoch, assignor_name, members, authorized_operations })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.error_code(self.error_code);
        w.string_or_null("DescribedGroup.error_message", true, true, self.error_message)?;
        w.string("DescribedGroup.group_id", true, self.group_id)?;
        w.string("DescribedGroup.group_state", true, self.group_state)?;
        w.i32(self.group_epoch);
        w.i32(self.assignment_epoch);
        w.string("DescribedGroup.assignor_name", true, self.assignor_name)?;
        w.array("DescribedGroup.members", true, &self.members, |w, each| each.encode(w, version))?;
        w.i32(self.authorized_operations);
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`DescribedGroup::members`].
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// The member.
    pub member_id: &'a str,
    /// The static member's own name.
    pub instance_id: Option<&'a str>,
    /// Where the member is.
    pub rack_id: Option<&'a str>,
    /// Its epoch.
    pub member_epoch: i32,
    /// The name of the client.
    pub client_id: &'a str,
    /// Where it comes from.
    pub client_host: &'a str,
    /// The topics subscribed to.
    pub subscribed_topic_names: Vec<&'a str>,
    /// The pattern subscribed to.
    pub subscribed_topic_regex: Option<&'a str>,
    /// What it holds.
    pub assignment: Assignment<'a>,
    /// What it is to hold.
    pub target_assignment: Assignment<'a>,
    /// 0 for a member of the classic protocol, 1 for one of the consumer protocol, -1 if unknown. Versions 1+.
    pub member_type: i8,
}

impl Default for Member<'_> {
    fn default() -> Self {
        Self {
            member_id: "",
            instance_id: None,
            rack_id: None,
            member_epoch: 0,
            client_id: "",
            client_host: "",
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            assignment: Assignment::default(),
            target_assignment: Assignment::default(),
            member_type: -1,
        }
    }
}

impl<'a> Member<'a> {
    /// The smallest number of bytes that this takes on the wire.
    const fn size_min(version: i16) -> usize {
        match version {
            ..=0 => 16,
            _ => 17,
        }
    }

    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let member_id = r.string(true)?;
        let instance_id = r.string_or_null(true, true)?;
        let rack_id = r.string_or_null(true, true)?;
        let member_epoch = r.i32()?;
        let client_id = r.string(true)?;
        let client_host = r.string(true)?;
        let subscribed_topic_names = r.array(true, 1, |r| r.string(true))?;
        let subscribed_topic_regex = r.string_or_null(true, true)?;
        let assignment = Assignment::decode(r, version)?;
        let target_assignment = Assignment::decode(r, version)?;
        let member_type = if version >= 1 { r.i8()? } else { -1 };
        r.skip_tagged_fields()?;
        Ok(Self { member_id, instance_id, rack_id, member_epoch, client_id, client_host, subscribed_topic_names, subscribed_topic_regex, assignment, target_assignment, member_type })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.string("Member.member_id", true, self.member_id)?;
        w.string_or_null("Member.instance_id", true, true, self.instance_id)?;
        w.string_or_null("Member.rack_id", true, true, self.rack_id)?;
        w.i32(self.member_epoch);
        w.string("Member.client_id", true, self.client_id)?;
        w.string("Member.client_host", true, self.client_host)?;
        w.array("Member.subscribed_topic_names", true, &self.subscribed_topic_names, |w, each| w.string("Member.subscribed_topic_names", true, each))?;
        w.string_or_null("Member.subscribed_topic_regex", true, true, self.subscribed_topic_regex)?;
        self.assignment.encode(w, version)?;
        self.target_assignment.encode(w, version)?;
        if version >= 1 {
            w.i8(self.member_type);
        }
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`Member::assignment`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment<'a> {
    /// The partitions by topic.
    pub topic_partitions: Vec<TopicPartitions<'a>>,
}

impl<'a> Assignment<'a> {
    fn decode(r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {
        let topic_partitions = r.array(true, 19, |r| TopicPartitions::decode(r, version))?;
        r.skip_tagged_fields()?;
        Ok(Self { topic_partitions })
    }

    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        w.array("Assignment.topic_partitions", true, &self.topic_partitions, |w, each| each.encode(w, version))?;
        w.uvarint(0);
        Ok(())
    }
}

/// Part of [`Assignment::topic_partitions`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopicPartitions<'a> {
    /// The id of the topic.
    pub topic_id: [u8; 16],
    /// The name of the topic.
    pub topic_name: &'a str,
    /// The numbers of the partitions.
    pub partitions: Vec<i32>,
}

impl<'a> TopicPartitions<'a> {
    fn decode(r: &mut Reader<'a>, _version: i16) -> Result<Self, DecodeError> {
        let topic_id = r.uuid()?;
        let topic_name = r.string(true)?;
        let partitions = r.array(true, 4, |r| r.i32())?;
        r.skip_tagged_fields()?;
        Ok(Self { topic_id, topic_name, partitions })
    }

    fn encode(&self, w: &mut Writer, _version: i16) -> Result<(), EncodeError> {
        w.uuid(&self.topic_id);
        w.string("TopicPartitions.topic_name", true, self.topic_name)?;
        w.array("TopicPartitions.partitions", true, &self.partitions, |w, each| { w.i32(*each); Ok(()) })?;
        w.uvarint(0);
        Ok(())
    }
}
