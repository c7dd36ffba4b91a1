//! What classic consumers put into JoinGroup and SyncGroup: the subscription and the assignment of the protocol type
//! `consumer`. The broker reads and writes them only where classic members live in a consumer group, and to know the
//! topics of a group.
//!
//! ```text
//! subscription = version:i16  topics:[text]  user data:bytes?          from version 0
//!                owned:[ topic:text partitions:[i32] ]                from version 1
//!                generation:i32                                        from version 2
//!                rack:text?                                            from version 3
//! assignment   = version:i16  partitions:[ topic:text partitions:[i32] ]  user data:bytes?
//! ```
//!
//! Lengths and counts have four bytes, those of texts two. A newer version than 3 is read as version 3: it may only
//! have added fields at the end.

use std::sync::Arc;

use crate::groups::bytes::{RecordReader, RecordWriter};
use crate::groups::consumer::assignment::Assignment;
use crate::groups::effect::GroupReplayError;
use crate::image::ClusterImage;

/// The protocol type of consumers.
pub const PROTOCOL_TYPE: &str = "consumer";
/// The newest version that this broker knows.
const VERSION_MAX: i16 = 3;

/// What a classic consumer subscribes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Subscription {
    /// The topics, ascending and distinct.
    pub topics: Vec<Arc<str>>,
    /// What it says it owns: topics with partitions.
    pub owned: Vec<(String, Vec<i32>)>,
    /// Where it stands.
    pub rack_id: Option<String>,
}

/// What a classic consumer was given.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GivenPartitions {
    /// Topics with partitions.
    pub partitions: Vec<(String, Vec<i32>)>,
    /// Whether the assignor added something of its own, which a broker could not keep.
    pub has_user_data: bool,
}

/// Reads a version. Errors: it is negative.
fn version(reader: &mut RecordReader<'_>) -> Result<i16, GroupReplayError> {
    match reader.i16()? {
        version @ 0.. => Ok(version.min(VERSION_MAX)),
        version => Err(GroupReplayError(format!("version {version} of a subscription"))),
    }
}

/// The version of a subscription. Errors: it has none.
pub fn subscription_version(bytes: &[u8]) -> Result<i16, GroupReplayError> {
    version(&mut RecordReader::new(bytes))
}

fn partitions(reader: &mut RecordReader<'_>) -> Result<Vec<(String, Vec<i32>)>, GroupReplayError> {
    // A topic takes the lengths of its name and of its list.
    let count = reader.count(6)?;
    let mut topics = Vec::with_capacity(count);
    for _ in 0..count {
        let name = reader.string()?.to_owned();
        let count = reader.count(4)?;
        let list = (0..count).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        topics.push((name, list));
    }
    Ok(topics)
}

/// Reads a subscription. Errors: [`GroupReplayError`].
pub fn decode_subscription(bytes: &[u8]) -> Result<Subscription, GroupReplayError> {
    let mut reader = RecordReader::new(bytes);
    let version = version(&mut reader)?;
    let count = reader.count(2)?;
    let mut topics = (0..count).map(|_| reader.string().map(Arc::from)).collect::<Result<Vec<_>, _>>()?;
    topics.sort_unstable();
    topics.dedup();
    let mut subscription = Subscription { topics, ..Subscription::default() };
    reader.bytes()?;
    if version >= 1 {
        subscription.owned = partitions(&mut reader)?;
    }
    if version >= 2 {
        reader.i32()?;
    }
    if version >= 3 {
        subscription.rack_id = reader.optional_string()?.map(str::to_owned);
    }
    Ok(subscription)
}

/// Reads an assignment; that of a member which was never given one is empty. Errors: [`GroupReplayError`].
pub fn decode_assignment(bytes: &[u8]) -> Result<GivenPartitions, GroupReplayError> {
    if bytes.is_empty() {
        return Ok(GivenPartitions::default());
    }
    let mut reader = RecordReader::new(bytes);
    version(&mut reader)?;
    let partitions = partitions(&mut reader)?;
    let has_user_data = !reader.bytes()?.is_empty();
    Ok(GivenPartitions { partitions, has_user_data })
}

/// Writes an assignment, without topics that no longer exist, for a member that subscribed with `version`.
#[must_use]
pub fn encode_assignment(assignment: &Assignment, version: i16, image: &ClusterImage) -> Arc<[u8]> {
    let named: Vec<(&str, &[i32])> = assignment
        .iter()
        .filter_map(|(id, partitions)| Some((&*image.topic_by_id(id)?.name, partitions)))
        .collect();
    let mut out = RecordWriter::new(version);
    out.count(named.len());
    for (name, partitions) in named {
        out.string(name);
        out.count(partitions.len());
        partitions.iter().for_each(|&partition| out.i32(partition));
    }
    // No user data.
    out.i32(-1);
    out.0.into()
}

/// The partitions by topic ids; topics that do not exist are left out.
#[must_use]
pub fn by_topic_id(partitions: &[(String, Vec<i32>)], image: &ClusterImage) -> Assignment {
    Assignment::from_pairs(
        partitions.iter().filter_map(|(name, list)| Some((image.topic(name)?.id, list.clone()))),
    )
}
