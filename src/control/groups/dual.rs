//! What both kinds of groups have to do with each other: requests of one protocol that meet a group of the other, and
//! groups that change their kind.
//!
//! | a group of this kind | meets | and |
//! |---|---|---|
//! | classic, empty | ConsumerGroupHeartbeat of a member that joins | becomes a consumer group |
//! | classic, of consumers | the same | becomes a consumer group with its members, if the policy allows it |
//! | consumer, empty | JoinGroup | becomes a classic group |
//! | consumer | JoinGroup | has one more member, which speaks the classic protocol |
//! | consumer | the end of its last member of the new protocol | becomes a classic group, if the policy allows it |
//!
//! Offsets stay where they are.

use std::sync::Arc;

use crate::groups::answer::{ConsumerHeartbeatAnswer, GroupAnswer, Joined, LeftMember};
use crate::groups::classic::group::{ClassicGroup, ClassicState, refused_sync};
use crate::groups::classic::member::ClassicMember;
use crate::groups::classic::subscription::CONSUMER;
use crate::groups::command::{ConsumerHeartbeat, GroupAsk, Heartbeat, JoinGroup, LeavingMember, SyncGroup};
use crate::groups::consumer::convert;
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::heartbeat::{check_regex, check_room};
use crate::groups::consumer::moved::{MovedGroup, MovedMember};
use crate::groups::error::{GroupError, GroupRefusal};
use crate::groups::group::{Group, Slot};
use crate::groups::records;
use crate::groups::timers::TimerKind;
use crate::groups::turn::Turn;
use corelane_base::time::Mono;

impl Slot {
    /// Handles JoinGroup.
    pub fn join(&mut self, ask: GroupAsk, command: JoinGroup, turn: &mut Turn<'_>) {
        if let Group::Consumer(group) = &mut self.group {
            if !group.is_empty() {
                let (joined, moved) = group.join(&command, turn);
                turn.answer(ask, GroupAnswer::Join(Box::new(joined)));
                return self.settle(moved, turn);
            }
            self.group.bury(turn);
            self.group = Group::Classic(ClassicGroup::new(Arc::clone(self.group.id()), turn.now));
        }
        if let Group::Classic(group) = &mut self.group {
            group.join(ask, command, turn);
        }
    }

    /// Handles SyncGroup.
    pub fn sync(&mut self, ask: GroupAsk, command: SyncGroup, turn: &mut Turn<'_>) {
        match &mut self.group {
            Group::Classic(group) => group.sync(ask, command, turn),
            Group::Consumer(group) => {
                let synced = group.sync(&command, turn).unwrap_or_else(refused_sync);
                turn.answer(ask, GroupAnswer::Sync(synced));
            }
        }
    }

    /// Handles Heartbeat.
    pub fn heartbeat(&mut self, command: &Heartbeat, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        match &mut self.group {
            Group::Classic(group) => group.heartbeat(command, turn),
            Group::Consumer(group) => group.classic_heartbeat(command, turn),
        }
    }

    /// Handles LeaveGroup.
    pub fn leave(&mut self, members: Vec<LeavingMember>, turn: &mut Turn<'_>) -> Vec<LeftMember> {
        match &mut self.group {
            Group::Classic(group) => group.leave(members, turn),
            Group::Consumer(group) => {
                let (left, moved) = group.classic_leave(&members, turn);
                self.settle(moved, turn);
                left
            }
        }
    }

    /// Handles ConsumerGroupHeartbeat; `request` has been checked by itself. Errors: a refusal, and nothing has changed.
    pub fn consumer_heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, GroupRefusal> {
        if request.member_epoch == 0 {
            self.become_consumer(request, turn)?;
        }
        let Group::Consumer(group) = &mut self.group else {
            let message = format!("group {} is not a consumer group", self.group.id());
            return Err(GroupRefusal::new(GroupError::GroupIdNotFound, message));
        };
        if request.member_epoch >= 0 {
            return group.heartbeat(request, turn);
        }
        let (answer, moved) = group.leave(request, turn)?;
        self.settle(moved, turn);
        Ok(answer)
    }

    /// A timer of the group has fired.
    pub fn on_timer(&mut self, kind: TimerKind, turn: &mut Turn<'_>) {
        match (&mut self.group, kind) {
            (Group::Classic(group), TimerKind::Join) => group.on_join_timer(turn),
            (Group::Classic(group), TimerKind::Sync) => group.on_sync_timer(turn),
            (Group::Classic(group), TimerKind::Session(member)) => group.on_session_timer(&member, turn),
            // A timer of the kind of group that this one was.
            (Group::Classic(_), _) => {}
            (Group::Consumer(group), kind) => {
                let moved = group.on_timer(kind, turn);
                self.settle(moved, turn);
            }
        }
    }

    /// A classic group that may, becomes a consumer group: a member of the new protocol joins it. Everything for which
    /// that member could be refused afterwards is looked at before. Errors: a refusal, and nothing has changed.
    fn become_consumer(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<(), GroupRefusal> {
        let Group::Classic(group) = &mut self.group else { return Ok(()) };
        check_regex(request.subscribed_topic_regex.as_deref())?;
        let id = Arc::clone(&group.id);
        if group.is_empty() {
            check_room(0, turn.settings)?;
            group.cancel_timers(turn);
            // What is nothing but a place for offsets has no record.
            if !group.is_simple() {
                turn.store(records::group_tombstone(&id));
            }
            self.group = Group::Consumer(ConsumerGroup::new(id));
            return Ok(());
        }
        let moved = moved_of(group);
        convert::check_upgrade(&moved, group.protocol_type.as_deref(), turn.image, turn.settings)?;
        refuse_waiting(group, turn);
        group.cancel_timers(turn);
        turn.store(records::group_tombstone(&id));
        self.group = Group::Consumer(ConsumerGroup::from_classic(&moved, turn)?);
        Ok(())
    }

    /// Makes a classic group of what remains of a consumer group, with its record.
    fn settle(&mut self, moved: Option<MovedGroup>, turn: &mut Turn<'_>) {
        let Some(moved) = moved else { return };
        let mut group = ClassicGroup::new(Arc::clone(&moved.id), turn.now);
        group.generation = moved.generation;
        group.protocol_type = Some(CONSUMER.to_owned());
        moved.members.into_iter().for_each(|member| group.add(classic_member(member)));
        group.protocol = Some(group.elect_protocol().unwrap_or_default());
        group.subscribed = group.read_subscriptions();
        group.state = ClassicState::Stable;
        group.previous = ClassicState::CompletingRebalance;
        // Told by the record, too: whoever loads the group without it would wait for somebody to join.
        group.owes_rebalance = moved.rebalance;
        turn.store(group.record());
        let ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
        ids.iter().for_each(|id| group.heard_of(id, turn));
        if moved.rebalance {
            group.prepare_rebalance(turn);
        }
        self.group = Group::Classic(group);
    }
}

/// Whoever waits for the other members is asked to join again.
fn refuse_waiting(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    let ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
    for id in ids {
        let refused = Joined::refused(GroupError::RebalanceInProgress, id.to_string());
        group.answer_join(&id, refused, turn);
        group.refuse_sync(&id, GroupError::RebalanceInProgress, turn);
    }
}

/// A classic group without its protocol.
fn moved_of(group: &ClassicGroup) -> MovedGroup {
    let members = group.members.values().map(|member| MovedMember {
        id: Arc::clone(&member.id),
        instance_id: member.instance_id.clone(),
        client: member.client.clone(),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        protocols: member.protocols.clone(),
        assignment: Arc::clone(&member.assignment),
    });
    MovedGroup {
        id: Arc::clone(&group.id),
        generation: group.generation,
        protocol: group.protocol.clone(),
        members: members.collect(),
        rebalance: false,
    }
}

fn classic_member(member: MovedMember) -> ClassicMember {
    ClassicMember {
        id: member.id,
        instance_id: member.instance_id,
        client: member.client,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        session_timeout_ms: member.session_timeout_ms,
        protocols: member.protocols,
        assignment: member.assignment,
        joining: None,
        syncing: None,
        is_new: false,
        deadline: Mono::default(),
        session: None,
    }
}
