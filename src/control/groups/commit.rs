//! OffsetCommit, OffsetFetch and OffsetDelete, and the expiry of offsets, on one group.

use std::sync::Arc;

use corelane_base::id::{PartitionIndex, TopicId};
use corelane_base::time::WallMs;

use crate::groups::answer::{CommittedTopic, DeletedOffsets, FetchedOffset, FetchedTopic};
use crate::groups::classic::group::ClassicState;
use crate::groups::command::{CommitOffsets, CommitPartition, CommitTopic, DeleteOffsets, FetchTopic};
use crate::groups::consumer::inquiry::Committer;
use crate::groups::error::GroupError;
use crate::groups::group::{Group, Slot};
use crate::groups::offsets::{CommittedOffset, TopicUses};
use crate::groups::records::{self, OffsetKey};
use crate::groups::turn::Turn;
use crate::image::{ClusterImage, Topic};

/// A commit whose topics have been looked up: what is there, and what is to be answered for each partition.
#[derive(Debug)]
pub struct ResolvedCommit {
    /// The command, topics with name and id as far as they are known.
    pub command: CommitOffsets,
    /// For each topic and partition of the command, why it cannot be committed.
    pub refused: Vec<Vec<Option<GroupError>>>,
}

/// Looks up the topics of a commit.
#[must_use]
pub fn resolve(mut command: CommitOffsets, image: &ClusterImage) -> ResolvedCommit {
    let mut refused = Vec::with_capacity(command.topics.len());
    for topic in &mut command.topics {
        let by_id = topic.name.is_empty() && topic.id != TopicId::ZERO;
        let found = find(&topic.name, topic.id, image);
        let unknown = if by_id { GroupError::UnknownTopicId } else { GroupError::UnknownTopicOrPartition };
        refused.push(match found {
            None => vec![Some(unknown); topic.partitions.len()],
            Some(found) => {
                topic.id = found.id;
                topic.name.clear();
                topic.name.push_str(&found.name);
                let exists = |partition: &CommitPartition| found.partition(partition.index).is_some();
                let refused = topic
                    .partitions
                    .iter()
                    .map(|partition| (!exists(partition)).then_some(GroupError::UnknownTopicOrPartition));
                refused.collect()
            }
        });
    }
    ResolvedCommit { command, refused }
}

fn find<'a>(name: &str, id: TopicId, image: &'a ClusterImage) -> Option<&'a Topic> {
    if name.is_empty() { image.topic_by_id(id) } else { image.topic(name) }
}

impl ResolvedCommit {
    /// Whether there is nothing left to commit.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.iter().flatten().all(Option::is_some)
    }

    /// What has not been refused yet.
    pub fn welcome(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.command.topics.iter().zip(&self.refused).flat_map(|(topic, refused)| {
            let partitions = topic.partitions.iter().zip(refused).filter(|(_, refused)| refused.is_none());
            partitions.map(|(partition, _)| (topic.id, partition.index))
        })
    }

    /// Refuses what has not been refused yet.
    pub fn refuse(&mut self, error: GroupError) {
        self.refused.iter_mut().flatten().for_each(|refused| *refused = refused.or(Some(error)));
    }

    /// The answer.
    #[must_use]
    pub fn answer(self) -> Vec<CommittedTopic> {
        let topics = self.command.topics.into_iter().zip(self.refused);
        let topics = topics.map(|(CommitTopic { name, id, partitions }, refused)| CommittedTopic {
            name,
            id,
            partitions: partitions.into_iter().map(|partition| partition.index).zip(refused).collect(),
        });
        topics.collect()
    }

    /// Commits what is left to a group that welcomes it: stores it, or refuses all of it if it does not fit a batch.
    pub fn apply(&mut self, slot: &mut Slot, uses: &mut TopicUses, turn: &mut Turn<'_>) {
        let bytes_max = usize::try_from(turn.settings.offset_metadata_bytes_max).unwrap_or(0);
        let now = turn.now.wall;
        let expires = self.command.retention_time_ms.filter(|ms| *ms != -1);
        let expires = expires.map(|ms| WallMs(now.0.saturating_add(ms)));
        for (topic, refused) in self.command.topics.iter_mut().zip(&mut self.refused) {
            let partitions = topic.partitions.iter_mut().zip(refused);
            for (partition, refused) in partitions.filter(|(_, refused)| refused.is_none()) {
                let metadata = partition.metadata.take().unwrap_or_default();
                if is_too_long(&metadata, bytes_max, expires.is_some()) {
                    *refused = Some(GroupError::OffsetMetadataTooLarge);
                    continue;
                }
                let offset = CommittedOffset {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: metadata.into(),
                    committed: now,
                    expires,
                    topic_id: topic.id,
                };
                let key =
                    OffsetKey { group: slot.group.id(), topic: &topic.name, partition: partition.index };
                let record = records::offset(key, offset.value());
                if record.size_max() > turn.batch_room() {
                    *refused = Some(GroupError::InvalidCommitOffsetSize);
                    continue;
                }
                turn.store(record);
                slot.offsets.set(&topic.name, partition.index, offset, uses);
                uses.saw(&topic.name, topic.id);
            }
        }
    }
}

/// Whether a commit's metadata are too long. The setting says bytes and, as in Kafka, counts UTF-16 units. What has a
/// time of its own goes into a record whose texts have lengths of 16 bits.
fn is_too_long(metadata: &str, max: usize, has_expiry: bool) -> bool {
    let over = |max: usize| metadata.len() > max && metadata.encode_utf16().count() > max;
    over(max) || has_expiry && i16::try_from(metadata.len()).is_err()
}

impl Slot {
    /// Whether a commit is welcome; a classic member is heard of by it.
    pub fn check_commit(&mut self, resolved: &ResolvedCommit, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        let command = &resolved.command;
        let CommitOffsets { member_id, instance_id, generation_or_epoch, .. } = command;
        match &mut self.group {
            Group::Classic(group) => {
                group.check_commit(member_id, instance_id.as_deref(), *generation_or_epoch)?;
                if matches!(group.state, ClassicState::Stable | ClassicState::PreparingRebalance) {
                    group.heard_of(member_id, turn);
                }
                Ok(())
            }
            Group::Consumer(group) => {
                let committer = Committer {
                    member_id,
                    instance_id: instance_id.as_deref(),
                    epoch: *generation_or_epoch,
                    transactional: false,
                    knows_member_epochs: command.knows_member_epochs,
                };
                group.check_commit(&committer, resolved.welcome())
            }
        }
    }

    /// The offsets of every topic. With `by_topic_id` topics that are gone are left out.
    #[must_use]
    pub fn fetch_all(&self, by_topic_id: bool, image: &ClusterImage) -> Vec<FetchedTopic> {
        let topics = self.offsets.topics().filter_map(|(name, partitions)| {
            let id = image.topic(name).map(|topic| topic.id);
            if by_topic_id && id.is_none() {
                return None;
            }
            let partitions = partitions.iter().map(|(index, offset)| fetched(*index, offset));
            let id = id.unwrap_or(TopicId::ZERO);
            Some(FetchedTopic { name: name.to_string(), id, partitions: partitions.collect() })
        });
        topics.collect()
    }

    /// Deletes offsets that no member reads.
    pub fn delete_offsets(
        &mut self,
        command: DeleteOffsets,
        uses: &mut TopicUses,
        turn: &mut Turn<'_>,
    ) -> Vec<DeletedOffsets> {
        let mut deleted = Vec::with_capacity(command.topics.len());
        for (name, partitions) in command.topics {
            let error = if turn.image.topic(&name).is_none() {
                Some(GroupError::UnknownTopicOrPartition)
            } else if self.group.is_subscribed_to(&name) {
                Some(GroupError::GroupSubscribedToTopic)
            } else {
                partitions.iter().for_each(|partition| self.forget(&name, *partition, uses, turn));
                None
            };
            let partitions = partitions.into_iter().map(|partition| (partition, error)).collect();
            deleted.push(DeletedOffsets { name, partitions });
        }
        deleted
    }

    /// Takes an offset away and stores its tombstone, if it is there.
    fn forget(&mut self, topic: &str, partition: PartitionIndex, uses: &mut TopicUses, turn: &mut Turn<'_>) {
        if self.offsets.remove(topic, partition, uses) {
            let key = OffsetKey { group: self.group.id(), topic, partition };
            turn.store(records::offset_tombstone(key));
        }
    }

    /// Takes every offset away.
    pub fn forget_all(&mut self, uses: &mut TopicUses, turn: &mut Turn<'_>) {
        self.forget_where(uses, turn, |_, _, _| true);
    }

    /// Takes away the offsets of a topic that is gone; `id` is what bears its name now.
    pub fn forget_topic(
        &mut self,
        name: &str,
        id: Option<TopicId>,
        uses: &mut TopicUses,
        turn: &mut Turn<'_>,
    ) {
        let is_of_deleted = |offset: &CommittedOffset| id.is_none_or(|id| offset.topic_id != id);
        let partitions = self.offsets.partitions(name).filter(|(_, offset)| is_of_deleted(offset));
        let partitions: Vec<PartitionIndex> = partitions.map(|(partition, _)| partition).collect();
        partitions.into_iter().for_each(|partition| self.forget(name, partition, uses, turn));
    }

    /// Takes away the offsets whose retention is over.
    pub fn expire(&mut self, uses: &mut TopicUses, turn: &mut Turn<'_>) {
        let (retention, now) = (self.group.retention(), turn.now.wall);
        let retention_ms = turn.settings.offsets_retention_ms;
        self.forget_where(uses, turn, |group, topic, offset| {
            retention.is_over(offset, now, retention_ms) && !group.is_subscribed_to(topic)
        });
    }

    fn forget_where(
        &mut self,
        uses: &mut TopicUses,
        turn: &mut Turn<'_>,
        is_over: impl Fn(&Group, &str, &CommittedOffset) -> bool,
    ) {
        let over = self.offsets.topics().flat_map(|(name, partitions)| {
            let over = partitions.iter().filter(|(_, offset)| is_over(&self.group, name, offset));
            over.map(|(partition, _)| (Arc::clone(name), *partition))
        });
        let over: Vec<(Arc<str>, PartitionIndex)> = over.collect();
        over.into_iter().for_each(|(name, partition)| self.forget(&name, partition, uses, turn));
    }
}

/// The offsets of some partitions; `slot` is `None` for a group that is not there.
#[must_use]
pub fn fetch(topics: Vec<FetchTopic>, slot: Option<&Slot>, image: &ClusterImage) -> Vec<FetchedTopic> {
    let topics = topics.into_iter().map(|FetchTopic { mut name, mut id, partitions }| {
        let by_id = name.is_empty() && id != TopicId::ZERO;
        let topic = find(&name, id, image);
        if let Some(topic) = topic {
            name.replace_range(.., &topic.name);
            id = topic.id;
        }
        let error = (by_id && topic.is_none()).then_some(GroupError::UnknownTopicId);
        let offset = |index| {
            let offset = slot.and_then(|slot| slot.offsets.get(&name, index));
            match offset.filter(|offset| offset.is_of(id)) {
                Some(offset) if error.is_none() => fetched(index, offset),
                _ => nothing_fetched(index, error),
            }
        };
        let partitions = partitions.into_iter().map(offset).collect();
        FetchedTopic { name, id, partitions }
    });
    topics.collect()
}

fn fetched(index: PartitionIndex, offset: &CommittedOffset) -> FetchedOffset {
    FetchedOffset {
        index,
        error: None,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.to_string(),
    }
}

fn nothing_fetched(index: PartitionIndex, error: Option<GroupError>) -> FetchedOffset {
    FetchedOffset { index, error, offset: -1, leader_epoch: -1, metadata: String::new() }
}
