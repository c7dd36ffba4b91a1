//! What is asked about a consumer group: its description, and whether commits and fetches of offsets are welcome.

use corelane_base::id::{PartitionIndex, TopicId};

use crate::groups::answer::{DescribedConsumerGroup, DescribedConsumerMember, NamedPartitions};
use crate::groups::consumer::assignment::Assignment;
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::member::Member;
use crate::groups::error::GroupError;
use crate::groups::settings::GroupSettings;
use crate::image::ClusterImage;

/// Who commits offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committer<'a> {
    /// Its id; empty if it is no member.
    pub member_id: &'a str,
    /// The static member's own name.
    pub instance_id: Option<&'a str>,
    /// The epoch or generation it believes to be in; -1 if it is no member.
    pub epoch: i32,
    /// It commits as part of a transaction.
    pub transactional: bool,
    /// It understands the errors of consumer groups: OffsetCommit from version 9 on.
    pub knows_member_epochs: bool,
}

impl ConsumerGroup {
    /// Whether a commit is welcome. A member may still commit for what it has if its heartbeat was slower than the last
    /// change of its epoch: an old epoch counts as long as the partition was the member's in it. Errors:
    /// `UNKNOWN_MEMBER_ID`, `UNSUPPORTED_VERSION`; for a wrong epoch `STALE_MEMBER_EPOCH`, or `ILLEGAL_GENERATION` for
    /// a classic member.
    pub fn check_commit(
        &self,
        committer: &Committer<'_>,
        mut partitions: impl Iterator<Item = (TopicId, PartitionIndex)>,
    ) -> Result<(), GroupError> {
        let Committer { member_id, instance_id, epoch, transactional, knows_member_epochs } = *committer;
        let nobody = epoch == -1 && member_id.is_empty() && instance_id.is_none();
        if epoch < 0 && self.is_empty() || transactional && nobody {
            return Ok(());
        }
        let member = self.state.members.get(member_id).ok_or(GroupError::UnknownMemberId)?;
        if !transactional && !member.is_classic() && !knows_member_epochs {
            return Err(GroupError::UnsupportedVersion);
        }
        let current = &member.current;
        let was_assigned = |(topic, PartitionIndex(partition))| {
            let since = current.owned.epoch_of(topic, partition);
            since.or_else(|| current.revoking.epoch_of(topic, partition)).is_some_and(|since| epoch >= since)
        };
        if epoch == current.epoch || epoch < current.epoch && partitions.all(was_assigned) {
            return Ok(());
        }
        Err(wrong_epoch(member))
    }

    /// Whether a fetch of offsets is welcome; `member_id` is `None` for who is no member. Errors: as of a commit.
    pub fn check_fetch(&self, member_id: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let member =
            member_id.and_then(|id| self.state.members.get(id)).ok_or(GroupError::UnknownMemberId)?;
        if epoch == member.current.epoch { Ok(()) } else { Err(wrong_epoch(member)) }
    }

    /// Describes the group. Partitions of topics that are gone are left out.
    #[must_use]
    pub fn describe(&self, image: &ClusterImage, settings: &GroupSettings) -> DescribedConsumerGroup {
        let named = |assignment: &Assignment| {
            let topics = assignment.iter().filter_map(|(id, list)| Some((image.topic_by_id(id)?, list)));
            topics
                .map(|(topic, partitions)| NamedPartitions {
                    topic_id: topic.id,
                    topic_name: topic.name.to_string(),
                    partitions: partitions.iter().map(|&partition| PartitionIndex(partition)).collect(),
                })
                .collect()
        };
        let members =
            self.state.members.iter().map(|(id, Member { metadata, current })| DescribedConsumerMember {
                member_id: id.to_string(),
                instance_id: metadata.instance_id.as_deref().map(str::to_owned),
                rack_id: metadata.rack_id.clone(),
                member_epoch: current.epoch,
                client: metadata.client.clone(),
                subscribed_topic_names: metadata.topics.iter().map(ToString::to_string).collect(),
                subscribed_topic_regex: metadata.regex.as_deref().map(str::to_owned),
                assignment: named(&current.owned.assignment()),
                target_assignment: named(self.state.target_of(id)),
                member_type: i8::from(metadata.classic.is_none()),
            });
        DescribedConsumerGroup {
            group: self.id.to_string(),
            state: self.state.name(),
            group_epoch: self.state.group.epoch,
            assignment_epoch: self.state.target.epoch,
            assignor: self.assignor(settings).name().to_owned(),
            members: members.collect(),
        }
    }
}

fn wrong_epoch(member: &Member) -> GroupError {
    if member.is_classic() { GroupError::IllegalGeneration } else { GroupError::StaleMemberEpoch }
}
