//! The records of `__consumer_offsets` that both kinds of groups share, and those of classic groups, in Kafka's
//! formats.
//!
//! ```text
//! offset key     = 0:i16 or 1:i16  group:string  topic:string  partition:i32
//! offset value   = version:i16  offset:i64  [3+ leader_epoch:i32]  metadata:string  committed:i64  [1 expires:i64]
//!                  [4+ tags: 0 = topic id]
//! group key      = 2:i16  group:string
//! group value    = version:i16  protocol_type:string  generation:i32  protocol:string?  leader:string?
//!                  [2+ state_since:i64]  count:i32  count * member  [4+ tags]
//! member         = id:string  [3+ instance_id:string?]  client_id:string  client_host:string
//!                  [1+ rebalance_timeout_ms:i32]  session_timeout_ms:i32  subscription:bytes  assignment:bytes  [4+ tags]
//! ```
//!
//! From version 4 on strings, bytes and arrays are compact. All versions are read. Written are version 3 of both, and
//! of an offset with its own expiry version 1, as Kafka did before 4.1: since then it writes version 4 of offsets,
//! which lag monitors of old (Burrow 1.2) drop without a word. What is lost with it is the topic's id, which only
//! matters for a topic that is deleted and created again while the coordinator is down, or goes down before the
//! tombstones of its offsets are stored: the old offsets then count as the new topic's, as they do in Kafka.

use corelane_base::id::{PartitionIndex, TopicId};

use crate::groups::bytes::{RecordReader, RecordWriter};
use crate::groups::effect::{CoordinatorRecord, GroupReplayError};

/// The key types of offsets: the older one differs in nothing.
pub const KEY_OFFSETS: [i16; 2] = [0, 1];
/// The key type of a classic group.
pub const KEY_GROUP: i16 = 2;
/// The first version with compact fields.
const FLEXIBLE: i16 = 4;

/// The key of an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetKey<'a> {
    /// The group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: PartitionIndex,
}

/// The value of an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetValue<'a> {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// What the client remembers with it.
    pub metadata: &'a str,
    /// When it was committed, in milliseconds since 1970.
    pub committed: i64,
    /// When it expires; -1 if the broker's settings say so.
    pub expires: i64,
    /// The topic's id; zero if unknown.
    pub topic_id: TopicId,
}

/// The value of a classic group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupValue<'a> {
    /// What kind of group; empty for none.
    pub protocol_type: &'a str,
    /// How often it has been rebalanced.
    pub generation: i32,
    /// The way of assigning.
    pub protocol: Option<&'a str>,
    /// The member that assigns.
    pub leader: Option<&'a str>,
    /// When the group came into its present state, in milliseconds since 1970; -1 if unknown.
    pub state_since: i64,
    /// The members.
    pub members: Vec<MemberValue<'a>>,
}

/// One member in the value of a classic group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberValue<'a> {
    /// Its id.
    pub id: &'a str,
    /// The static member's own name.
    pub instance_id: Option<&'a str>,
    /// The client's id.
    pub client_id: &'a str,
    /// The client's address.
    pub client_host: &'a str,
    /// How long a rebalance waits for it; -1 for as long as its session.
    pub rebalance_timeout_ms: i32,
    /// Its session timeout.
    pub session_timeout_ms: i32,
    /// What it says to the group's way of assigning.
    pub subscription: &'a [u8],
    /// What it was given.
    pub assignment: &'a [u8],
}

fn offset_key(key: OffsetKey<'_>) -> Vec<u8> {
    let mut writer = RecordWriter::new(KEY_OFFSETS[1]);
    writer.string(key.group);
    writer.string(key.topic);
    writer.i32(key.partition.0);
    writer.0
}

fn group_key(group: &str) -> Vec<u8> {
    let mut writer = RecordWriter::new(KEY_GROUP);
    writer.string(group);
    writer.0
}

/// The record of a committed offset.
#[must_use]
pub fn offset(key: OffsetKey<'_>, value: OffsetValue<'_>) -> CoordinatorRecord {
    let version = match value {
        OffsetValue { metadata, .. } if i16::try_from(metadata.len()).is_err() => 4,
        OffsetValue { expires: -1, .. } => 3,
        _ => 1,
    };
    let mut writer = RecordWriter::new(version);
    writer.i64(value.offset);
    if version >= 3 {
        writer.i32(value.leader_epoch);
    }
    if version >= FLEXIBLE {
        writer.compact_string(value.metadata)
    } else {
        writer.string(value.metadata)
    }
    writer.i64(value.committed);
    if version == 1 {
        writer.i64(value.expires);
    }
    if version >= FLEXIBLE && value.topic_id == TopicId::ZERO {
        writer.no_tags();
    } else if version >= FLEXIBLE {
        writer.uvarint(1);
        writer.uvarint(0);
        writer.uvarint(16);
        writer.uuid(value.topic_id);
    }
    CoordinatorRecord { key: offset_key(key), value: Some(writer.0) }
}

/// The tombstone of a committed offset.
#[must_use]
pub fn offset_tombstone(key: OffsetKey<'_>) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(key), value: None }
}

/// The record of a classic group.
#[must_use]
pub fn group(id: &str, value: &GroupValue<'_>) -> CoordinatorRecord {
    let mut writer = RecordWriter::new(3);
    writer.string(value.protocol_type);
    writer.i32(value.generation);
    writer.optional_string(value.protocol);
    writer.optional_string(value.leader);
    writer.i64(value.state_since);
    writer.count(value.members.len());
    for member in &value.members {
        writer.string(member.id);
        writer.optional_string(member.instance_id);
        writer.string(member.client_id);
        writer.string(member.client_host);
        writer.i32(member.rebalance_timeout_ms);
        writer.i32(member.session_timeout_ms);
        writer.bytes(member.subscription);
        writer.bytes(member.assignment);
    }
    CoordinatorRecord { key: group_key(id), value: Some(writer.0) }
}

/// The tombstone of a classic group.
#[must_use]
pub fn group_tombstone(id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(id), value: None }
}

/// Reads the key of an offset behind its type.
pub fn read_offset_key<'a>(reader: &mut RecordReader<'a>) -> Result<OffsetKey<'a>, GroupReplayError> {
    let (group, topic) = (reader.string()?, reader.string()?);
    Ok(OffsetKey { group, topic, partition: PartitionIndex(reader.i32()?) })
}

fn known_version(reader: &mut RecordReader<'_>) -> Result<i16, GroupReplayError> {
    match reader.i16()? {
        version @ 0..=4 => Ok(version),
        version => Err(GroupReplayError(format!("a value is of the unknown version {version}"))),
    }
}

/// Reads the value of an offset.
pub fn read_offset(value: &[u8]) -> Result<OffsetValue<'_>, GroupReplayError> {
    let mut reader = RecordReader::new(value);
    let version = known_version(&mut reader)?;
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
    let metadata = if version >= FLEXIBLE { reader.compact_string()? } else { reader.string()? };
    let committed = reader.i64()?;
    let expires = if version == 1 { reader.i64()? } else { -1 };
    let mut topic_id = TopicId::ZERO;
    if version >= FLEXIBLE {
        reader.tags(|tag, field| {
            if tag == 0 {
                topic_id = field.uuid()?;
            }
            Ok(())
        })?;
    }
    Ok(OffsetValue { offset, leader_epoch, metadata, committed, expires, topic_id })
}

/// Reads the value of a classic group.
pub fn read_group(value: &[u8]) -> Result<GroupValue<'_>, GroupReplayError> {
    let mut reader = RecordReader::new(value);
    let version = known_version(&mut reader)?;
    let is_flexible = version >= FLEXIBLE;
    let protocol_type = text(&mut reader, is_flexible)?.unwrap_or_default();
    let generation = reader.i32()?;
    let protocol = text(&mut reader, is_flexible)?;
    let leader = text(&mut reader, is_flexible)?;
    let state_since = if version >= 2 { reader.i64()? } else { -1 };
    let count = if is_flexible { reader.compact_count(8)? } else { reader.count(18)? };
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(read_member(&mut reader, version)?);
    }
    if is_flexible {
        reader.tags(|_, _| Ok(()))?;
    }
    Ok(GroupValue { protocol_type, generation, protocol, leader, state_since, members })
}

fn text<'a>(reader: &mut RecordReader<'a>, is_flexible: bool) -> Result<Option<&'a str>, GroupReplayError> {
    if is_flexible { reader.optional_compact_string() } else { reader.optional_string() }
}

fn read_member<'a>(reader: &mut RecordReader<'a>, version: i16) -> Result<MemberValue<'a>, GroupReplayError> {
    let is_flexible = version >= FLEXIBLE;
    let required = |text: Option<&'a str>| text.ok_or_else(|| GroupReplayError("a text is null".into()));
    let id = required(text(reader, is_flexible)?)?;
    let instance_id = if version >= 3 { text(reader, is_flexible)? } else { None };
    let client_id = required(text(reader, is_flexible)?)?;
    let client_host = required(text(reader, is_flexible)?)?;
    let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
    let session_timeout_ms = reader.i32()?;
    let mut bytes = || if is_flexible { reader.compact_bytes() } else { reader.bytes() };
    let (subscription, assignment) = (bytes()?, bytes()?);
    if is_flexible {
        reader.tags(|_, _| Ok(()))?;
    }
    Ok(MemberValue {
        id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms,
        session_timeout_ms,
        subscription,
        assignment,
    })
}
