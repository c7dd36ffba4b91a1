//! Sets of partitions, grouped by topic: what a member shall have, and what it has since when.
//!
//! Ordered maps, so that equal sets compare equal, and so that records and answers come out in one order everywhere.

use std::collections::BTreeMap;

use corelane_base::id::TopicId;

/// The partitions that a member shall have. Invariant: every list is ascending, distinct and not empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Assignment {
    topics: BTreeMap<TopicId, Vec<i32>>,
}

impl Assignment {
    /// No partition.
    pub const EMPTY: Assignment = Assignment { topics: BTreeMap::new() };

    /// The partitions named by `pairs`, in any order; what is named twice is in it once.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (TopicId, Vec<i32>)>) -> Assignment {
        let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, partitions) in pairs {
            topics.entry(topic).or_default().extend(partitions);
        }
        topics.retain(|_, partitions| {
            partitions.sort_unstable();
            partitions.dedup();
            !partitions.is_empty()
        });
        Assignment { topics }
    }

    /// Adds a partition that is larger than every one of its topic so far. Panics: if it is not.
    pub fn push(&mut self, topic: TopicId, partition: i32) {
        let partitions = self.topics.entry(topic).or_default();
        assert!(partitions.last().is_none_or(|&last| last < partition), "partitions come in order");
        partitions.push(partition);
    }

    /// The topics, each with its partitions ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TopicId, &[i32])> {
        self.topics.iter().map(|(&topic, partitions)| (topic, partitions.as_slice()))
    }

    /// The partitions of one topic, ascending.
    #[must_use]
    pub fn of(&self, topic: TopicId) -> &[i32] {
        self.topics.get(&topic).map_or(&[], Vec::as_slice)
    }

    /// Whether it has that partition.
    #[must_use]
    pub fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.of(topic).binary_search(&partition).is_ok()
    }

    /// Whether there is no partition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// How many partitions there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }
}

/// The partitions that a member has, each with the member epoch at which it was assigned. Invariant: no topic is empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owned {
    topics: BTreeMap<TopicId, BTreeMap<i32, i32>>,
}

impl Owned {
    /// No partition.
    pub const EMPTY: Owned = Owned { topics: BTreeMap::new() };

    /// All of `assignment`, assigned at `epoch`.
    #[must_use]
    pub fn since(assignment: &Assignment, epoch: i32) -> Owned {
        let mut owned = Owned::EMPTY;
        for (topic, partitions) in assignment.iter() {
            partitions.iter().for_each(|&partition| owned.insert(topic, partition, epoch));
        }
        owned
    }

    /// Adds a partition, or changes its epoch.
    pub fn insert(&mut self, topic: TopicId, partition: i32, epoch: i32) {
        self.topics.entry(topic).or_default().insert(partition, epoch);
    }

    /// The epoch at which the partition was assigned; `None` if it is not in the set.
    #[must_use]
    pub fn epoch_of(&self, topic: TopicId, partition: i32) -> Option<i32> {
        self.topics.get(&topic)?.get(&partition).copied()
    }

    /// Whether the partition is in the set.
    #[must_use]
    pub fn contains(&self, topic: TopicId, partition: i32) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    /// The topics, each with its partitions and their epochs, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TopicId, &BTreeMap<i32, i32>)> {
        self.topics.iter().map(|(&topic, partitions)| (topic, partitions))
    }

    /// Every partition with its epoch.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicId, i32, i32)> {
        self.iter()
            .flat_map(|(topic, list)| list.iter().map(move |(&partition, &epoch)| (topic, partition, epoch)))
    }

    /// Whether there is no partition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The partitions without their epochs.
    #[must_use]
    pub fn assignment(&self) -> Assignment {
        let topics = self.topics.iter();
        Assignment { topics: topics.map(|(&topic, list)| (topic, list.keys().copied().collect())).collect() }
    }
}

/// A member as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub struct AssignorMember<'a> {
    /// Its id; distinct within a group.
    pub id: &'a str,
    /// The id that survives its restarts, if it is static.
    pub instance_id: Option<&'a str>,
    /// The topics it subscribes to: ascending, distinct, all of them in the list of topics.
    pub topics: &'a [TopicId],
    /// What it should have had so far.
    pub target: &'a Assignment,
}

/// How many partitions each subscribed topic has.
pub type PartitionCounts = BTreeMap<TopicId, i32>;
