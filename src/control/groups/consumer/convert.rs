//! Consumer groups that become classic groups, and classic groups that become consumer groups.

use std::sync::Arc;

use crate::groups::consumer::assignment::{Assignment, Owned};
use crate::groups::consumer::embedded::{self, PROTOCOL_TYPE};
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::heartbeat::check_room;
use crate::groups::consumer::member::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
use crate::groups::consumer::moved::{MovedGroup, MovedMember};
use crate::groups::consumer::record::{ConsumerRecord, TargetEpoch};
use crate::groups::error::{GroupError, GroupRefusal};
use crate::groups::settings::GroupSettings;
use crate::groups::turn::Turn;
use crate::image::ClusterImage;

fn refuse(message: impl Into<String>) -> GroupRefusal {
    GroupRefusal::new(GroupError::GroupIdNotFound, message)
}

/// Whether a classic group with these members may become a consumer group; call it before anything is stored. Errors:
/// `GROUP_ID_NOT_FOUND` with the reason; `GROUP_MAX_SIZE_REACHED` if there is no room for the one that joins.
pub fn check_upgrade(
    moved: &MovedGroup,
    protocol_type: Option<&str>,
    image: &ClusterImage,
    settings: &GroupSettings,
) -> Result<(), GroupRefusal> {
    if !settings.consumer_migration.upgrades() {
        return Err(refuse("the classic group cannot be upgraded: the migration policy does not allow it"));
    }
    if protocol_type != Some(PROTOCOL_TYPE) {
        return Err(refuse("the classic group cannot be upgraded: it is not one of consumers"));
    }
    let most = usize::try_from(settings.consumer_member_count_max).unwrap_or(0);
    if moved.members.len() > most {
        return Err(refuse("the classic group cannot be upgraded: it has too many members"));
    }
    check_room(moved.members.len(), settings)?;
    moved.members.iter().try_for_each(|member| read_member(member, moved, image).map(drop))
}

/// Reads what a classic member put into its requests, and what it was given.
fn read_member(
    member: &MovedMember,
    moved: &MovedGroup,
    image: &ClusterImage,
) -> Result<(MemberMetadata, Assignment), GroupRefusal> {
    let malformed =
        |_| refuse("the classic group cannot be upgraded: a subscription or assignment is malformed");
    let given = embedded::decode_assignment(&member.assignment).map_err(malformed)?;
    if given.has_user_data {
        return Err(refuse("the classic group cannot be upgraded: it uses an assignor of its own"));
    }
    let chosen = member.protocols.iter().find(|it| Some(&it.name) == moved.protocol.as_ref());
    let chosen = chosen.or(member.protocols.first()).map_or(&[][..], |protocol| &protocol.metadata);
    let subscription = embedded::decode_subscription(chosen).map_err(malformed)?;
    let metadata = MemberMetadata {
        instance_id: member.instance_id.clone(),
        rack_id: subscription.rack_id,
        client: member.client.clone(),
        topics: subscription.topics,
        regex: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    };
    Ok((metadata, embedded::by_topic_id(&given.partitions, image)))
}

impl ConsumerGroup {
    /// Makes a consumer group of a classic one that [`check_upgrade`] has let through, with its records. Everybody has
    /// what the last generation gave them; who joins now starts a rebalance. Errors: as of the check.
    pub fn from_classic(moved: &MovedGroup, turn: &mut Turn<'_>) -> Result<ConsumerGroup, GroupRefusal> {
        let mut read = Vec::with_capacity(moved.members.len());
        let mut given = Owned::EMPTY;
        for member in &moved.members {
            let (metadata, assignment) = read_member(member, moved, turn.image)?;
            // An assignor may have given one partition to two: here it belongs to the first.
            let mine = assignment.iter().map(|(topic, partitions)| {
                let free = partitions.iter().copied().filter(|&partition| !given.contains(topic, partition));
                (topic, free.collect())
            });
            let mine = Assignment::from_pairs(mine.collect::<Vec<_>>());
            Owned::since(&mine, 0)
                .partitions()
                .for_each(|(topic, partition, _)| given.insert(topic, partition, 0));
            read.push((member, metadata, Arc::new(mine)));
        }
        let mut group = ConsumerGroup::new(Arc::clone(&moved.id));
        for (member, metadata, _) in &read {
            let metadata = Arc::new(metadata.clone());
            group.store(ConsumerRecord::Member(Arc::clone(&member.id), Some(metadata)), turn);
        }
        group.begin_at(moved.generation, turn);
        for (member, _, assignment) in &read {
            let target = Some(Arc::clone(assignment));
            group.store(ConsumerRecord::TargetMember(Arc::clone(&member.id), target), turn);
        }
        let target = TargetEpoch { epoch: moved.generation, timestamp: 0 };
        group.store(ConsumerRecord::Target(Some(target)), turn);
        for (member, _, assignment) in &read {
            let current = CurrentAssignment {
                epoch: moved.generation,
                previous_epoch: moved.generation,
                state: MemberState::Stable,
                owned: Owned::since(assignment, moved.generation),
                revoking: Owned::EMPTY,
            };
            group.store(ConsumerRecord::Current(Arc::clone(&member.id), Some(current)), turn);
            group.touch(&member.id, member.session_timeout_ms, turn);
        }
        Ok(group)
    }

    /// Whether everybody but these speaks the classic protocol.
    pub fn all_are_classic_except(&self, except: &[Arc<str>]) -> bool {
        self.state.members.iter().all(|(id, member)| member.is_classic() || except.contains(id))
    }

    /// Whether the group becomes a classic one when these members are gone.
    pub fn may_become_classic(&self, leaving: &[Arc<str>], settings: &GroupSettings) -> bool {
        let left = self.state.members.len() - leaving.len();
        left > 0
            && usize::try_from(settings.member_count_max).is_ok_and(|most| left <= most)
            && settings.consumer_migration.downgrades()
            && self.all_are_classic_except(leaving)
    }

    /// Stores the tombstones of this group and returns what remains of it without the members that leave. Everybody is
    /// given what they shall have.
    pub fn become_classic(
        &mut self,
        leaving: &[Arc<str>],
        rebalance: bool,
        turn: &mut Turn<'_>,
    ) -> MovedGroup {
        let mut members = Vec::with_capacity(self.state.members.len());
        for (id, member) in self.state.members.iter().filter(|(id, _)| !leaving.contains(id)) {
            let Some(classic) = &member.metadata.classic else { continue };
            let version = classic.protocols.first().map(|it| embedded::subscription_version(&it.metadata));
            let version = version.and_then(Result::ok).unwrap_or(0);
            members.push(MovedMember {
                id: Arc::clone(id),
                instance_id: member.metadata.instance_id.clone(),
                client: member.metadata.client.clone(),
                session_timeout_ms: classic.session_timeout_ms,
                rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
                protocols: classic.protocols.clone(),
                assignment: embedded::encode_assignment(self.state.target_of(id), version, turn.image),
            });
        }
        let generation = self.state.group.epoch;
        self.bury(turn);
        MovedGroup { id: Arc::clone(&self.id), generation, protocol: None, members, rebalance }
    }
}
