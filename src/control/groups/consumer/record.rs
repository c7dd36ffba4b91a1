//! The records of a consumer group in `__consumer_offsets`, in Kafka's formats.
//!
//! ```text
//! key   = type:i16  group:text  member or pattern:text        where the type has one
//! value = version:i16 (0)  compact fields  tagged fields
//!
//!  3 group             epoch:i32  #0 metadata hash:i64
//!  4 topics            no more written; tombstones only
//!  5 member            instance? rack? client id, host, topics, pattern?, rebalance timeout:i32, assignor?
//!                      #0 ( session timeout:i32  protocols:[ name metadata:bytes ] )?   of a classic member
//!  6 target            epoch:i32  #0 time of the assignment:i64
//!  7 member's target   [ topic id  [partition] ]
//!  8 member's current  epoch:i32 previous:i32 state:i8  owned  revoking, each [ topic id [partition] #0 [epoch] ]
//! 16 pattern           [topic]  version:i64  time:i64
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::groups::bytes::{RecordReader, RecordWriter};
use crate::groups::command::{Client, JoinProtocol};
use crate::groups::consumer::assignment::{Assignment, Owned};
use crate::groups::consumer::member::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
use crate::groups::consumer::topic_regex::ResolvedRegex;
use crate::groups::effect::{CoordinatorRecord, GroupReplayError};

const TYPE_GROUP: i16 = 3;
const TYPE_TOPICS: i16 = 4;
const TYPE_MEMBER: i16 = 5;
const TYPE_TARGET: i16 = 6;
const TYPE_TARGET_MEMBER: i16 = 7;
const TYPE_CURRENT: i16 = 8;
const TYPE_REGEX: i16 = 16;
/// The only version of every value.
const VERSION: i16 = 0;
/// The tag of the only tagged field of each struct.
const TAG: u32 = 0;

/// How far a group has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GroupEpoch {
    /// How often members or their topics have changed.
    pub epoch: i32,
    /// A fingerprint of the subscribed topics, to notice after a restart that they have changed.
    pub metadata_hash: i64,
}

/// Which target assignment is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TargetEpoch {
    /// The group epoch that it was made for.
    pub epoch: i32,
    /// When it was made, in milliseconds of wall-clock time; 0 if unknown.
    pub timestamp: i64,
}

/// A record of a consumer group. `None` is a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConsumerRecord {
    /// The group itself. Its tombstone is the last record of a group.
    Group(Option<GroupEpoch>),
    /// What brokers before 4.1 wrote about topics: `true` for a value, `false` for a tombstone.
    Topics(bool),
    /// What a member told.
    Member(Arc<str>, Option<Arc<MemberMetadata>>),
    /// The target assignment's epoch.
    Target(Option<TargetEpoch>),
    /// What a member shall have.
    TargetMember(Arc<str>, Option<Arc<Assignment>>),
    /// What a member has.
    Current(Arc<str>, Option<CurrentAssignment>),
    /// What a pattern stands for.
    Regex(Arc<str>, Option<ResolvedRegex>),
}

/// Whether a key of that type is read here.
#[must_use]
pub fn is_consumer_type(key_type: i16) -> bool {
    matches!(key_type, TYPE_GROUP..=TYPE_CURRENT | TYPE_REGEX)
}

impl ConsumerRecord {
    /// The record as it is stored for group `group`. Panics: for [`ConsumerRecord::Topics`] with a value, which is never
    /// written.
    #[must_use]
    pub fn encode(&self, group: &str) -> CoordinatorRecord {
        CoordinatorRecord { key: self.key(group), value: self.value() }
    }

    fn key(&self, group: &str) -> Vec<u8> {
        let (key_type, second) = match self {
            ConsumerRecord::Group(_) => (TYPE_GROUP, None),
            ConsumerRecord::Topics(_) => (TYPE_TOPICS, None),
            ConsumerRecord::Member(member, _) => (TYPE_MEMBER, Some(member)),
            ConsumerRecord::Target(_) => (TYPE_TARGET, None),
            ConsumerRecord::TargetMember(member, _) => (TYPE_TARGET_MEMBER, Some(member)),
            ConsumerRecord::Current(member, _) => (TYPE_CURRENT, Some(member)),
            ConsumerRecord::Regex(regex, _) => (TYPE_REGEX, Some(regex)),
        };
        let mut key = RecordWriter::new(key_type);
        key.string(group);
        if let Some(second) = second {
            key.string(second);
        }
        key.0
    }

    fn value(&self) -> Option<Vec<u8>> {
        let mut out = RecordWriter::new(VERSION);
        match self {
            ConsumerRecord::Group(group) => put_group(&mut out, (*group)?),
            ConsumerRecord::Topics(value) => {
                assert!(!value, "topics are not written any more");
                return None;
            }
            ConsumerRecord::Member(_, member) => put_member(&mut out, member.as_deref()?),
            ConsumerRecord::Target(target) => put_target(&mut out, (*target)?),
            ConsumerRecord::TargetMember(_, target) => put_assignment(&mut out, target.as_deref()?),
            ConsumerRecord::Current(_, current) => put_current(&mut out, current.as_ref()?),
            ConsumerRecord::Regex(_, regex) => put_regex(&mut out, regex.as_ref()?),
        }
        Some(out.0)
    }

    /// Reads a record and the group it belongs to. Errors: [`GroupReplayError`]; a type that [`is_consumer_type`] refuses is
    /// an unknown version.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<(Arc<str>, ConsumerRecord), GroupReplayError> {
        let mut key = RecordReader::new(key);
        let key_type = key.i16()?;
        let group = key.string()?.into();
        let mut value = value.map(RecordReader::new);
        if let Some(value) = &mut value
            && let version = value.i16()?
            && version != VERSION
        {
            return Err(unknown_version(version));
        }
        let value = value.as_mut();
        let record = match key_type {
            TYPE_GROUP => ConsumerRecord::Group(value.map(read_group).transpose()?),
            TYPE_TOPICS => ConsumerRecord::Topics(value.is_some()),
            TYPE_MEMBER => ConsumerRecord::Member(
                key.string()?.into(),
                value.map(read_member).transpose()?.map(Arc::new),
            ),
            TYPE_TARGET => ConsumerRecord::Target(value.map(read_target).transpose()?),
            TYPE_TARGET_MEMBER => {
                let target = value.map(read_assignment).transpose()?;
                ConsumerRecord::TargetMember(key.string()?.into(), target.map(Arc::new))
            }
            TYPE_CURRENT => {
                ConsumerRecord::Current(key.string()?.into(), value.map(read_current).transpose()?)
            }
            TYPE_REGEX => ConsumerRecord::Regex(key.string()?.into(), value.map(read_regex).transpose()?),
            other => return Err(unknown_version(other)),
        };
        Ok((group, record))
    }
}

fn unknown_version(version: i16) -> GroupReplayError {
    GroupReplayError(format!("unknown type or version {version}"))
}

/// The only tagged field of a struct.
fn put_tag(out: &mut RecordWriter, field: &[u8]) {
    out.uvarint(1);
    out.uvarint(TAG);
    out.uvarint(u32::try_from(field.len()).expect("fields of records are bounded by the coordinator"));
    out.0.extend_from_slice(field);
}

fn put_group(out: &mut RecordWriter, group: GroupEpoch) {
    out.i32(group.epoch);
    put_tagged_i64(out, group.metadata_hash);
}

fn read_group(reader: &mut RecordReader<'_>) -> Result<GroupEpoch, GroupReplayError> {
    Ok(GroupEpoch { epoch: reader.i32()?, metadata_hash: read_tagged_i64(reader)? })
}

fn put_target(out: &mut RecordWriter, target: TargetEpoch) {
    out.i32(target.epoch);
    put_tagged_i64(out, target.timestamp);
}

fn read_target(reader: &mut RecordReader<'_>) -> Result<TargetEpoch, GroupReplayError> {
    Ok(TargetEpoch { epoch: reader.i32()?, timestamp: read_tagged_i64(reader)? })
}

/// A number that is left out if it is 0.
fn put_tagged_i64(out: &mut RecordWriter, number: i64) {
    match number {
        0 => out.no_tags(),
        number => put_tag(out, &number.to_be_bytes()),
    }
}

fn read_tagged_i64(reader: &mut RecordReader<'_>) -> Result<i64, GroupReplayError> {
    let mut number = 0;
    reader.tags(|tag, field| {
        if tag == TAG {
            number = field.i64()?;
        }
        Ok(())
    })?;
    Ok(number)
}

fn put_member(out: &mut RecordWriter, member: &MemberMetadata) {
    out.optional_compact_string(member.instance_id.as_deref());
    out.optional_compact_string(member.rack_id.as_deref());
    out.compact_string(&member.client.id);
    out.compact_string(&member.client.host);
    out.compact_count(member.topics.len());
    member.topics.iter().for_each(|topic| out.compact_string(topic));
    // Kafka writes an empty text for a member without a pattern.
    out.compact_string(member.regex.as_deref().unwrap_or(""));
    out.i32(member.rebalance_timeout_ms);
    out.optional_compact_string(member.assignor.as_deref());
    // Kafka writes the field for members without one, too: a mark that nothing follows.
    let Some(classic) = &member.classic else { return put_tag(out, &[0]) };
    let mut field = RecordWriter(vec![1]);
    field.i32(classic.session_timeout_ms);
    field.compact_count(classic.protocols.len());
    for protocol in &classic.protocols {
        field.compact_string(&protocol.name);
        field.compact_bytes(&protocol.metadata);
        field.no_tags();
    }
    field.no_tags();
    put_tag(out, &field.0);
}

fn read_member(reader: &mut RecordReader<'_>) -> Result<MemberMetadata, GroupReplayError> {
    let instance_id = reader.optional_compact_string()?.map(Arc::from);
    let rack_id = reader.optional_compact_string()?.map(str::to_owned);
    let client =
        Client { id: reader.compact_string()?.to_owned(), host: reader.compact_string()?.to_owned() };
    let mut topics = read_texts(reader)?;
    topics.sort_unstable();
    topics.dedup();
    let regex = reader.optional_compact_string()?.filter(|regex| !regex.is_empty()).map(Arc::from);
    let rebalance_timeout_ms = reader.i32()?;
    let assignor = reader.optional_compact_string()?.map(str::to_owned);
    let mut classic = None;
    reader.tags(|tag, field| {
        if tag == TAG && field.i8()? > 0 {
            classic = Some(read_classic(field)?);
        }
        Ok(())
    })?;
    Ok(MemberMetadata {
        instance_id,
        rack_id,
        client,
        topics,
        regex,
        rebalance_timeout_ms,
        assignor,
        classic,
    })
}

fn read_texts(reader: &mut RecordReader<'_>) -> Result<Vec<Arc<str>>, GroupReplayError> {
    let count = reader.compact_count(1)?;
    (0..count).map(|_| reader.compact_string().map(Arc::from)).collect()
}

fn read_classic(reader: &mut RecordReader<'_>) -> Result<ClassicMetadata, GroupReplayError> {
    let session_timeout_ms = reader.i32()?;
    let mut protocols = Vec::new();
    for _ in 0..reader.compact_count(3)? {
        let name = reader.compact_string()?.to_owned();
        let metadata = reader.compact_bytes()?.into();
        reader.tags(|_, _| Ok(()))?;
        protocols.push(JoinProtocol { name, metadata });
    }
    reader.tags(|_, _| Ok(()))?;
    Ok(ClassicMetadata { session_timeout_ms, protocols })
}

fn put_assignment(out: &mut RecordWriter, assignment: &Assignment) {
    out.compact_count(assignment.iter().len());
    for (topic, partitions) in assignment.iter() {
        out.uuid(topic);
        out.compact_count(partitions.len());
        partitions.iter().for_each(|&partition| out.i32(partition));
        out.no_tags();
    }
    out.no_tags();
}

fn read_assignment(reader: &mut RecordReader<'_>) -> Result<Assignment, GroupReplayError> {
    let mut topics = Vec::new();
    for _ in 0..reader.compact_count(18)? {
        let topic = reader.uuid()?;
        let count = reader.compact_count(4)?;
        topics.push((topic, (0..count).map(|_| reader.i32()).collect::<Result<Vec<_>, _>>()?));
        reader.tags(|_, _| Ok(()))?;
    }
    reader.tags(|_, _| Ok(()))?;
    Ok(Assignment::from_pairs(topics))
}

fn put_current(out: &mut RecordWriter, current: &CurrentAssignment) {
    out.i32(current.epoch);
    out.i32(current.previous_epoch);
    out.i8(current.state.number());
    put_owned(out, &current.owned);
    put_owned(out, &current.revoking);
    out.no_tags();
}

fn read_current(reader: &mut RecordReader<'_>) -> Result<CurrentAssignment, GroupReplayError> {
    let epoch = reader.i32()?;
    let previous_epoch = reader.i32()?;
    let state = MemberState::from_number(reader.i8()?);
    let owned = read_owned(reader, epoch)?;
    let revoking = read_owned(reader, epoch)?;
    reader.tags(|_, _| Ok(()))?;
    Ok(CurrentAssignment { epoch, previous_epoch, state, owned, revoking })
}

fn put_owned(out: &mut RecordWriter, owned: &Owned) {
    out.compact_count(owned.iter().len());
    for (topic, partitions) in owned.iter() {
        out.uuid(topic);
        out.compact_count(partitions.len());
        partitions.keys().for_each(|&partition| out.i32(partition));
        let mut epochs = RecordWriter::default();
        epochs.compact_count(partitions.len());
        partitions.values().for_each(|&epoch| epochs.i32(epoch));
        put_tag(out, &epochs.0);
    }
}

/// Brokers before 4.3 wrote no epochs of partitions: the member's own stands for them.
fn read_owned(reader: &mut RecordReader<'_>, member_epoch: i32) -> Result<Owned, GroupReplayError> {
    let mut owned = Owned::EMPTY;
    for _ in 0..reader.compact_count(18)? {
        let topic = reader.uuid()?;
        let count = reader.compact_count(4)?;
        let partitions = (0..count).map(|_| reader.i32()).collect::<Result<Vec<_>, _>>()?;
        let mut epochs: Vec<i32> = Vec::new();
        reader.tags(|tag, field| {
            if tag == TAG {
                let count = field.compact_count(4)?;
                epochs = (0..count).map(|_| field.i32()).collect::<Result<_, _>>()?;
            }
            Ok(())
        })?;
        if epochs.len() != partitions.len() {
            epochs = vec![member_epoch.max(0); partitions.len()];
        }
        partitions
            .into_iter()
            .zip(epochs)
            .for_each(|(partition, epoch)| owned.insert(topic, partition, epoch));
    }
    Ok(owned)
}

fn put_regex(out: &mut RecordWriter, regex: &ResolvedRegex) {
    out.compact_count(regex.topics.len());
    regex.topics.iter().for_each(|topic| out.compact_string(topic));
    out.i64(regex.version);
    out.i64(regex.timestamp);
    out.no_tags();
}

fn read_regex(reader: &mut RecordReader<'_>) -> Result<ResolvedRegex, GroupReplayError> {
    let topics: BTreeSet<Arc<str>> = read_texts(reader)?.into_iter().collect();
    let (version, timestamp) = (reader.i64()?, reader.i64()?);
    reader.tags(|_, _| Ok(()))?;
    Ok(ResolvedRegex { topics, version, timestamp })
}
