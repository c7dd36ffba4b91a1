//! Members of the classic protocol in a consumer group: JoinGroup, SyncGroup, Heartbeat and LeaveGroup against it.
//!
//! Such a member does not assign, and nobody waits for it. It joins, is given what it has in the form that SyncGroup
//! knows, and is told to join again whenever there is something to give up or to take.
//! Its epoch is its generation.

use std::sync::Arc;

use crate::groups::answer::{Joined, LeftMember, Synced};
use crate::groups::command::{Heartbeat, JoinGroup, LeavingMember, SyncGroup, TopicPartitions};
use crate::groups::consumer::embedded::{self, PROTOCOL_TYPE, Subscription};
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::heartbeat::{Asker, check_room};
use crate::groups::consumer::member::{ClassicMetadata, Member, MemberMetadata, MemberState};
use crate::groups::consumer::moved::MovedGroup;
use crate::groups::error::GroupError;
use crate::groups::settings::MigrationPolicy;
use crate::groups::timers::TimerKind;
use crate::groups::turn::Turn;
use corelane_base::id::PartitionIndex;

impl ConsumerGroup {
    /// Handles JoinGroup. With a [`MovedGroup`] this group is no more: the member that joins has replaced the last one
    /// of the new protocol.
    pub fn join(&mut self, request: &JoinGroup, turn: &mut Turn<'_>) -> (Joined, Option<MovedGroup>) {
        let unknown = request.member_id.is_empty();
        let id = if unknown { turn.uuid() } else { request.member_id.clone() };
        match self.join_as(&id, unknown, request, turn) {
            Ok((member, moved)) => {
                let joined = Joined {
                    error: None,
                    member_id: id,
                    generation: member.current.epoch,
                    protocol_type: Some(PROTOCOL_TYPE.to_owned()),
                    protocol: request.protocols.first().map(|protocol| protocol.name.clone()),
                    leader: String::new(),
                    skip_assignment: false,
                    members: Vec::new(),
                };
                (joined, moved)
            }
            Err(error) => (Joined::refused(error, id), None),
        }
    }

    fn join_as(
        &mut self,
        id: &str,
        unknown: bool,
        request: &JoinGroup,
        turn: &mut Turn<'_>,
    ) -> Result<(Member, Option<MovedGroup>), GroupError> {
        let subscription = self.check_join(id, unknown, request, turn)?;
        let asker = Asker {
            id,
            instance_id: request.instance_id.as_deref(),
            // A dynamic member that comes with an id may have been forgotten; a static one may not.
            joins: unknown || request.instance_id.is_none(),
            classic: true,
            epoch: 0,
            reported: None,
        };
        let found = self.find(&asker).map_err(|refusal| refusal.error)?;
        let replaced =
            request.instance_id.as_deref().and_then(|instance_id| self.state.static_member(instance_id));
        let replaced = replaced.filter(|(_, member)| !member.is_classic()).map(|(id, _)| Arc::clone(id));
        let downgrade = replaced.is_some_and(|replaced| {
            let count = self.state.members.len();
            let fits = usize::try_from(turn.settings.member_count_max).is_ok_and(|most| count <= most);
            fits && turn.settings.consumer_migration.downgrades() && self.all_are_classic_except(&[replaced])
        });

        let id = self.enrol(found, turn);
        let changed = self.update_member(&id, |before| told_by(before, request, &subscription), turn);
        let refreshed = self.refresh_regexes(turn);
        let bump = changed.names || changed.regex || refreshed;
        self.update_epoch(bump, turn);
        if !downgrade {
            self.update_target(turn);
        }
        let reported = reported_by(&subscription, turn);
        if !downgrade || self.state.group.epoch == self.state.target.epoch {
            // In a state that this broker does not know the member keeps what it has and is asked to join again.
            let _ = self.reconcile(&id, bump, Some(&reported), turn);
        }
        let timers = self.timers.entry(Arc::clone(&id)).or_default();
        turn.timers.cancel(&mut timers.join);
        let member = self.state.members[&id].clone();
        if downgrade {
            // Nobody would tell the others what they have still to get or to give up.
            let rebalance = self.state.group.epoch > self.state.target.epoch || !self.state.is_reconciled();
            return Ok((member, Some(self.become_classic(&[], rebalance, turn))));
        }
        self.touch(&id, request.session_timeout_ms, turn);
        let group = Arc::clone(&self.id);
        let timers = self.timers.entry(Arc::clone(&id)).or_default();
        turn.arm_in(&mut timers.sync, request.rebalance_timeout_ms, &group, TimerKind::ConsumerSync(id));
        Ok((member, None))
    }

    /// What can be refused before the member is looked for.
    fn check_join(
        &self,
        id: &str,
        unknown: bool,
        request: &JoinGroup,
        turn: &Turn<'_>,
    ) -> Result<Subscription, GroupError> {
        if turn.settings.consumer_migration == MigrationPolicy::Disabled {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if !self.state.members.contains_key(id) {
            check_room(self.state.members.len(), turn.settings).map_err(|refusal| refusal.error)?;
        }
        if !self.supports(&request.protocol_type, request) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if unknown && request.member_id_required && request.instance_id.is_none() {
            return Err(GroupError::MemberIdRequired);
        }
        // All ways of assigning carry the same subscription.
        let metadata = request.protocols.first().ok_or(GroupError::InconsistentGroupProtocol)?;
        embedded::decode_subscription(&metadata.metadata).map_err(|_| GroupError::InconsistentGroupProtocol)
    }

    /// Whether all classic members know one of the ways of assigning, which nobody will use.
    fn supports(&self, protocol_type: &str, request: &JoinGroup) -> bool {
        let classic = || self.state.members.values().filter_map(|member| member.metadata.classic.as_ref());
        protocol_type == PROTOCOL_TYPE
            && request
                .protocols
                .iter()
                .any(|known| classic().all(|other| other.protocols.iter().any(|it| it.name == known.name)))
    }

    /// Handles SyncGroup.
    pub fn sync(&mut self, request: &SyncGroup, turn: &mut Turn<'_>) -> Result<Synced, GroupError> {
        let id = self.classic_member(&request.member_id, request.instance_id.as_deref())?;
        let Member { metadata, current } = self.state.members[&id].clone();
        let classic = metadata.classic.as_ref().ok_or(GroupError::UnknownMemberId)?;
        if current.epoch != request.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let first = classic.protocols.first();
        let other_type = request.protocol_type.as_deref().is_some_and(|it| it != PROTOCOL_TYPE);
        let other_way =
            request.protocol.as_deref().is_some_and(|it| first.is_none_or(|known| known.name != it));
        if other_type || other_way {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if self.state.target.epoch > current.epoch && current.state != MemberState::Unrevoked {
            self.arm_join(&id, turn);
            return Err(GroupError::RebalanceInProgress);
        }
        let timers = self.timers.entry(Arc::clone(&id)).or_default();
        turn.timers.cancel(&mut timers.sync);
        self.touch(&id, classic.session_timeout_ms, turn);
        let version = first.map_or(0, |it| embedded::subscription_version(&it.metadata).unwrap_or(0));
        Ok(Synced {
            error: None,
            protocol_type: request.protocol_type.clone(),
            protocol: request.protocol.clone(),
            assignment: embedded::encode_assignment(&current.owned.assignment(), version, turn.image),
        })
    }

    /// Handles Heartbeat. Errors: `REBALANCE_IN_PROGRESS` tells the member to join again.
    pub fn classic_heartbeat(&mut self, request: &Heartbeat, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        let id = self.classic_member(&request.member_id, request.instance_id.as_deref())?;
        let Member { metadata, current } = self.state.members[&id].clone();
        let classic = metadata.classic.as_ref().ok_or(GroupError::UnknownMemberId)?;
        if current.epoch != request.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.touch(&id, classic.session_timeout_ms, turn);
        // In a group of which all others speak the classic protocol, too, nobody else would.
        let refreshed = self.refresh_regexes(turn);
        self.update_epoch(refreshed, turn);
        self.update_target(turn);
        let joins_again = current.epoch < self.state.target.epoch
            || current.state == MemberState::Unrevoked
            || current.state == MemberState::Unreleased && !self.waits_for_others(&id);
        if joins_again {
            self.arm_join(&id, turn);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether something that the member shall have is still with others.
    fn waits_for_others(&self, id: &str) -> bool {
        let owned = |topic, partition| {
            self.state.members.get(id).is_some_and(|member| member.current.owned.contains(topic, partition))
        };
        self.state.target_of(id).iter().any(|(topic, partitions)| {
            partitions.iter().any(|&p| !owned(topic, p) && !self.state.is_free(topic, p))
        })
    }

    /// Handles LeaveGroup. With a [`MovedGroup`] this group is no more. Members of the new protocol can be removed that
    /// way, too.
    pub fn classic_leave(
        &mut self,
        members: &[LeavingMember],
        turn: &mut Turn<'_>,
    ) -> (Vec<LeftMember>, Option<MovedGroup>) {
        let mut leaving: Vec<Arc<str>> = Vec::new();
        let mut answers = Vec::with_capacity(members.len());
        for member in members {
            let instance_id = member.instance_id.as_deref();
            // An administrator removes a static member by its instance id alone.
            let found = match instance_id.filter(|_| member.member_id.is_empty()) {
                Some(instance_id) => {
                    let owner = self.state.static_member(instance_id).map(|(id, _)| Arc::clone(id));
                    owner.ok_or(GroupError::UnknownMemberId)
                }
                None => self.member_id(&member.member_id, instance_id).map_err(|refusal| refusal.error),
            };
            let error = found.as_ref().err().copied();
            leaving.extend(found.ok().filter(|id| !leaving.contains(id)));
            answers.push(LeftMember {
                member_id: member.member_id.clone(),
                instance_id: member.instance_id.clone(),
                error,
            });
        }
        let moved = self.fence(&leaving, turn);
        (answers, moved)
    }

    /// A classic member of that id. Errors: `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID`.
    fn classic_member(&self, id: &str, instance_id: Option<&str>) -> Result<Arc<str>, GroupError> {
        let id = self.member_id(id, instance_id).map_err(|refusal| refusal.error)?;
        if self.state.members[&id].is_classic() { Ok(id) } else { Err(GroupError::UnknownMemberId) }
    }
}

/// What a classic member has told, after `request`.
fn told_by(before: MemberMetadata, request: &JoinGroup, subscription: &Subscription) -> MemberMetadata {
    MemberMetadata {
        instance_id: request.instance_id.as_deref().map(Arc::from).or(before.instance_id),
        rack_id: subscription.rack_id.clone().or(before.rack_id),
        client: request.client.clone(),
        topics: subscription.topics.clone(),
        regex: None,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        assignor: before.assignor,
        classic: Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}

/// What a classic member reports to own.
fn reported_by(subscription: &Subscription, turn: &Turn<'_>) -> Vec<TopicPartitions> {
    let topics = subscription.owned.iter();
    topics
        .filter_map(|(name, partitions)| {
            let topic_id = turn.image.topic(name)?.id;
            Some(TopicPartitions {
                topic_id,
                partitions: partitions.iter().map(|&p| PartitionIndex(p)).collect(),
            })
        })
        .collect()
}
