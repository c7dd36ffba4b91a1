//! How far a group has read: the committed offsets of one group, and which topics all groups have offsets of.

use std::collections::BTreeMap;
use std::sync::Arc;

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::WallMs;

use crate::groups::records::OffsetValue;
use crate::image::ClusterImage;

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// What the client remembers with it.
    pub metadata: Box<str>,
    /// When it was committed.
    pub committed: WallMs,
    /// When it expires, if the commit said so.
    pub expires: Option<WallMs>,
    /// The topic's id; zero if unknown.
    pub topic_id: TopicId,
}

impl CommittedOffset {
    /// What a record says.
    #[must_use]
    pub fn of_record(value: &OffsetValue<'_>) -> CommittedOffset {
        CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            committed: WallMs(value.committed),
            expires: Some(WallMs(value.expires)).filter(|expires| expires.0 != -1),
            topic_id: value.topic_id,
        }
    }

    /// What a record is to say.
    #[must_use]
    pub fn value(&self) -> OffsetValue<'_> {
        OffsetValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: &self.metadata,
            committed: self.committed.0,
            expires: self.expires.map_or(-1, |expires| expires.0),
            topic_id: self.topic_id,
        }
    }

    /// Whether it is of the topic with that id, as far as either is known.
    #[must_use]
    pub fn is_of(&self, topic_id: TopicId) -> bool {
        self.topic_id == TopicId::ZERO || topic_id == TopicId::ZERO || self.topic_id == topic_id
    }
}

/// From when on an offset's retention counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Retention {
    /// It does not: the group has members of which it is not known what they read.
    Holds,
    /// From its commit.
    SinceCommit,
    /// From when the group became empty.
    Since(WallMs),
}

impl Retention {
    /// Whether an offset is over. One with a time of its own is over then and not earlier.
    #[must_use]
    pub fn is_over(self, offset: &CommittedOffset, now: WallMs, retention_ms: i64) -> bool {
        let since = match self {
            Retention::Holds => return false,
            Retention::SinceCommit => offset.committed,
            Retention::Since(since) => since,
        };
        match offset.expires {
            Some(expires) => now >= expires,
            None => now.0.saturating_sub(since.0) >= retention_ms,
        }
    }
}

type Partitions = BTreeMap<PartitionIndex, CommittedOffset>;

/// The offsets of one group. Invariant: a topic that is here has an offset.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupOffsets {
    topics: BTreeMap<Arc<str>, Partitions>,
}

impl GroupOffsets {
    /// The offset of one partition.
    #[must_use]
    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<&CommittedOffset> {
        self.topics.get(topic)?.get(&partition)
    }

    /// Sets the offset of one partition.
    pub fn set(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        offset: CommittedOffset,
        uses: &mut TopicUses,
    ) {
        match self.topics.get_mut(topic) {
            Some(partitions) => drop(partitions.insert(partition, offset)),
            None => drop(self.topics.insert(uses.begin(topic), Partitions::from([(partition, offset)]))),
        }
    }

    /// Takes the offset of one partition away. Says whether there was one.
    pub fn remove(&mut self, topic: &str, partition: PartitionIndex, uses: &mut TopicUses) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let was_there = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.topics.remove(topic);
            uses.end(topic);
        }
        was_there
    }

    /// The topics in the order of their names, each with its partitions.
    pub fn topics(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<PartitionIndex, CommittedOffset>)> {
        self.topics.iter()
    }

    /// The partitions of one topic.
    pub fn partitions(&self, topic: &str) -> impl Iterator<Item = (PartitionIndex, &CommittedOffset)> {
        self.topics.get(topic).into_iter().flatten().map(|(partition, offset)| (*partition, offset))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }
}

/// How many groups have offsets of a topic, and which topic of that name was last seen.
#[derive(Clone, PartialEq, Eq, Debug)]
struct TopicUse {
    groups: usize,
    seen: Option<TopicId>,
}

/// The topics that any group has offsets of. Names are kept once, however many groups read a topic; and a change of
/// the cluster's topics costs a look at each of these, not at each offset.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicUses {
    uses: BTreeMap<Arc<str>, TopicUse>,
}

impl TopicUses {
    fn begin(&mut self, topic: &str) -> Arc<str> {
        if let Some((name, _)) = self.uses.get_key_value(topic) {
            let name = Arc::clone(name);
            self.uses.get_mut(topic).expect("it was just found").groups += 1;
            return name;
        }
        let name: Arc<str> = topic.into();
        self.uses.insert(Arc::clone(&name), TopicUse { groups: 1, seen: None });
        name
    }

    fn end(&mut self, topic: &str) {
        let Some(topic_use) = self.uses.get_mut(topic) else { return };
        topic_use.groups -= 1;
        if topic_use.groups == 0 {
            self.uses.remove(topic);
        }
    }

    /// The topics that are gone, or are others than they were: the name, and the id of the topic that has the name now.
    pub fn look_for_deleted(&mut self, image: &ClusterImage) -> Vec<(Arc<str>, Option<TopicId>)> {
        let mut deleted = Vec::new();
        for (name, topic_use) in &mut self.uses {
            let id = image.topic(name).map(|topic| topic.id);
            if id.is_none() || topic_use.seen.is_some_and(|seen| Some(seen) != id) {
                deleted.push((Arc::clone(name), id));
            }
            topic_use.seen = id;
        }
        deleted
    }

    /// Remembers which topic the first commit was for.
    pub fn saw(&mut self, topic: &str, id: TopicId) {
        if let Some(topic_use) = self.uses.get_mut(topic) {
            topic_use.seen.get_or_insert(id);
        }
    }

    /// Checks that exactly the topics of these groups are here. Panics: if not.
    pub fn check_invariants<'a>(&self, groups: impl Iterator<Item = &'a GroupOffsets>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, partitions) in groups.flat_map(GroupOffsets::topics) {
            assert!(!partitions.is_empty(), "a topic that is here has an offset");
            *counts.entry(name).or_default() += 1;
        }
        let uses: BTreeMap<&str, usize> =
            self.uses.iter().map(|(name, topic_use)| (&**name, topic_use.groups)).collect();
        assert_eq!(counts, uses);
    }
}
