//! ConsumerGroupHeartbeat: joining, living and leaving of members of the new protocol.
//!
//! Whatever can be refused is refused before anything changes: records and state are touched only afterwards.

use std::sync::Arc;

use crate::configs::group_definitions;
use crate::groups::answer::ConsumerHeartbeatAnswer;
use crate::groups::classic::join::TEXT_BYTES_MAX;
use crate::groups::command::{ConsumerHeartbeat, TopicPartitions};
use crate::groups::consumer::assignment::Owned;
use crate::groups::consumer::group::{ConsumerGroup, MEMBER_COUNT_MAX};
use crate::groups::consumer::member::{
    CurrentAssignment, EPOCH_LEAVE, EPOCH_STATIC_LEAVE, Member, MemberMetadata, MemberState,
};
use crate::groups::consumer::moved::MovedGroup;
use crate::groups::consumer::reconcile::{MustRejoin, Step};
use crate::groups::consumer::record::ConsumerRecord;
use crate::groups::consumer::topic_regex::TopicRegex;
use crate::groups::error::{GroupError, GroupRefusal};
use crate::groups::settings::{Assignor, GroupSettings};
use crate::groups::turn::Turn;
use corelane_base::id::PartitionIndex;

/// The shortest time to the next heartbeat that is asked for while a target assignment waits for its turn.
const HEARTBEAT_INTERVAL_MS_MIN: i64 = 100;

/// Which member a request is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// One of the group.
    Known(Arc<str>),
    /// One that joins.
    New(Arc<str>),
    /// One that takes the place of another one with the same instance id.
    Replacing {
        /// Who had it.
        old: Arc<str>,
        /// Who has it from now on.
        new: Arc<str>,
    },
}

/// How a member asks to be found.
pub struct Asker<'a> {
    /// Its id; not empty.
    pub id: &'a str,
    /// The static member's own name.
    pub instance_id: Option<&'a str>,
    /// It may be new.
    pub joins: bool,
    /// It speaks the classic protocol, which has no epochs of members.
    pub classic: bool,
    /// The epoch it believes to be in.
    pub epoch: i32,
    /// What it reports to own.
    pub reported: Option<&'a [TopicPartitions]>,
}

/// What a member's new metadata change for the group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changed {
    /// The topics by name.
    pub names: bool,
    /// The pattern.
    pub regex: bool,
}

/// Checks a request by itself. Errors: `INVALID_REQUEST`, `UNSUPPORTED_ASSIGNOR`.
pub fn check_request(request: &ConsumerHeartbeat, settings: &GroupSettings) -> Result<(), GroupRefusal> {
    let refuse = |message: &str| Err(GroupRefusal::new(GroupError::InvalidRequest, message));
    let blank = |text: &str| text.trim().is_empty();
    let epoch = request.member_epoch;
    if (request.member_id_required || epoch > 0 || epoch == EPOCH_LEAVE) && blank(&request.member_id) {
        return refuse("the member id is empty");
    }
    if blank(&request.group) {
        return refuse("the group id is empty");
    }
    if request.instance_id.as_deref().is_some_and(blank) {
        return refuse("the instance id is empty");
    }
    if request.rack_id.as_deref().is_some_and(blank) {
        return refuse("the rack id is empty");
    }
    if !is_storable(request, settings) {
        return Err(GroupRefusal::new(
            GroupError::UnknownServerError,
            "the request is too large to be stored",
        ));
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return refuse("the first request has no rebalance timeout");
        }
        if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return refuse("a member that joins owns partitions");
        }
        if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
            return refuse("the first request has neither topics nor a pattern");
        }
    } else if epoch == EPOCH_STATIC_LEAVE && request.instance_id.is_none() {
        return refuse("a static member that leaves has no instance id");
    } else if epoch < EPOCH_STATIC_LEAVE {
        return refuse("the member epoch is below -2");
    }
    let allowed = |name: &str| {
        Assignor::named(name).is_some_and(|assignor| settings.consumer_assignors.contains(&assignor))
    };
    match &request.server_assignor {
        Some(name) if !allowed(name) => {
            let names: Vec<&str> =
                settings.consumer_assignors.iter().map(|assignor| assignor.name()).collect();
            let message = format!("assignor {name} is not among {}", names.join(", "));
            Err(GroupRefusal::new(GroupError::UnsupportedAssignor, message))
        }
        _ => Ok(()),
    }
}

/// Whether what the request says fits into records.
fn is_storable(request: &ConsumerHeartbeat, settings: &GroupSettings) -> bool {
    let ids = [&request.group, &request.member_id, &request.client.id, &request.client.host];
    let optional = [&request.instance_id, &request.rack_id, &request.subscribed_topic_regex];
    let mut texts = ids.into_iter().chain(optional.into_iter().flatten());
    let topics = request.subscribed_topic_names.iter().flatten();
    let topic_bytes: usize = topics.map(|name| name.len() + 5).sum();
    texts.all(|text| text.len() <= TEXT_BYTES_MAX) && topic_bytes <= settings.batch_room() / 2
}

/// Checks a pattern. Errors: `INVALID_REGULAR_EXPRESSION`.
pub fn check_regex(regex: Option<&str>) -> Result<(), GroupRefusal> {
    match regex.filter(|regex| !regex.is_empty()).map(TopicRegex::new) {
        Some(Err(bad)) => Err(GroupRefusal::new(GroupError::InvalidRegularExpression, bad.0)),
        _ => Ok(()),
    }
}

/// Whether a group of `count` members has no room for another one. Errors: `GROUP_MAX_SIZE_REACHED`.
pub fn check_room(count: usize, settings: &GroupSettings) -> Result<(), GroupRefusal> {
    let most = usize::try_from(settings.consumer_member_count_max).unwrap_or(0).min(MEMBER_COUNT_MAX);
    if count < most {
        return Ok(());
    }
    Err(GroupRefusal::new(GroupError::GroupMaxSizeReached, format!("the group has {count} members")))
}

fn fenced(message: String) -> GroupRefusal {
    GroupRefusal::new(GroupError::FencedMemberEpoch, message)
}

impl ConsumerGroup {
    /// Handles a heartbeat that does not leave; `request` has passed [`check_request`]. Errors: a refusal, and nothing
    /// has changed.
    pub fn heartbeat(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<ConsumerHeartbeatAnswer, GroupRefusal> {
        if !self.state.members.contains_key(&*request.member_id) {
            check_room(self.state.members.len(), turn.settings)?;
        }
        let drawn = if request.member_id.is_empty() { turn.uuid() } else { String::new() };
        let found = self.find(&Asker {
            id: if request.member_id.is_empty() { &drawn } else { &request.member_id },
            instance_id: request.instance_id.as_deref(),
            joins: request.member_epoch == 0,
            classic: false,
            epoch: request.member_epoch,
            reported: request.topic_partitions.as_deref(),
        })?;
        if request
            .subscribed_topic_regex
            .as_deref()
            .is_some_and(|regex| !self.state.regexes.contains_key(regex))
        {
            check_regex(request.subscribed_topic_regex.as_deref())?;
        }
        let id = self.enrol(found, turn);
        // The answer to its last heartbeat was lost, and with it perhaps an assignment.
        let is_late = self.state.members.get(&id).is_some_and(|it| request.member_epoch < it.current.epoch);
        let changed = self.update_member(&id, |told| told_by(told, request), turn);
        let refreshed = self.refresh_regexes(turn);
        let bump = self.state.group.epoch == 0 || changed.names || changed.regex || refreshed;
        self.update_epoch(bump, turn);
        self.update_target(turn);
        let reported = request.topic_partitions.as_deref();
        let news = self
            .reconcile(&id, changed.names || changed.regex, reported, turn)
            .map_err(|MustRejoin| fenced(format!("member {id} is in an unknown state")))?;
        let session_timeout_ms = self.session_timeout_ms(turn);
        self.touch(&id, session_timeout_ms, turn);
        let timers = self.timers.entry(Arc::clone(&id)).or_default();
        turn.timers.cancel(&mut timers.join);
        turn.timers.cancel(&mut timers.sync);

        let full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && reported.is_some();
        let current = &self.state.members[&id].current;
        let tell = request.member_epoch == 0 || full || news || is_late;
        Ok(ConsumerHeartbeatAnswer {
            member_id: id.to_string(),
            member_epoch: current.epoch,
            heartbeat_interval_ms: self.heartbeat_interval_ms(turn),
            assignment: tell.then(|| partitions_of(&current.owned)),
        })
    }

    /// While a target assignment waits for its turn, members are asked to come back right after it.
    fn heartbeat_interval_ms(&self, turn: &Turn<'_>) -> i32 {
        let of_broker = turn.settings.consumer_heartbeat_interval_ms;
        let interval = self.own_setting(group_definitions::HEARTBEAT_INTERVAL_MS, of_broker, turn);
        match self.target_wait_ms(turn) {
            0 => interval,
            wait => {
                i32::try_from(wait.max(HEARTBEAT_INTERVAL_MS_MIN)).map_or(interval, |wait| wait.min(interval))
            }
        }
    }

    /// Handles a heartbeat that leaves; `request` has passed [`check_request`]. With a [`MovedGroup`] this group is no
    /// more. Errors: a refusal, and nothing has changed.
    pub fn leave(
        &mut self,
        request: &ConsumerHeartbeat,
        turn: &mut Turn<'_>,
    ) -> Result<(ConsumerHeartbeatAnswer, Option<MovedGroup>), GroupRefusal> {
        let id = self.member_id(&request.member_id, request.instance_id.as_deref())?;
        let answer = ConsumerHeartbeatAnswer {
            member_id: id.to_string(),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        if request.member_epoch == EPOCH_STATIC_LEAVE {
            // What it has stays with it until its session ends; what it should give up is given up.
            let current = self.state.members[&id].current.clone();
            let current = CurrentAssignment { epoch: EPOCH_STATIC_LEAVE, revoking: Owned::EMPTY, ..current };
            self.store(ConsumerRecord::Current(Arc::clone(&id), Some(current)), turn);
            return Ok((answer, None));
        }
        Ok((answer, self.fence(&[id], turn)))
    }

    /// The member of that id and instance id. Errors: `UNKNOWN_MEMBER_ID`, `FENCED_INSTANCE_ID`.
    pub fn member_id(&self, id: &str, instance_id: Option<&str>) -> Result<Arc<str>, GroupRefusal> {
        let unknown =
            || GroupRefusal::new(GroupError::UnknownMemberId, format!("no member {id} in the group"));
        let Some(instance_id) = instance_id else {
            return self.state.members.get_key_value(id).map(|(id, _)| Arc::clone(id)).ok_or_else(unknown);
        };
        let (owner, _) = self.state.static_member(instance_id).ok_or_else(unknown)?;
        if **owner != *id {
            let message = format!("instance id {instance_id} is with member {owner}");
            return Err(GroupRefusal::new(GroupError::FencedInstanceId, message));
        }
        Ok(Arc::clone(owner))
    }

    /// Finds out which member asks. Errors: `UNKNOWN_MEMBER_ID`, `FENCED_MEMBER_EPOCH`, `FENCED_INSTANCE_ID`,
    /// `UNRELEASED_INSTANCE_ID`.
    pub fn find(&self, asker: &Asker<'_>) -> Result<Found, GroupRefusal> {
        let known = self.state.members.get_key_value(asker.id);
        if let (Some(instance_id), true) = (asker.instance_id, asker.joins) {
            return match self.state.static_member(instance_id) {
                None => {
                    Ok(known
                        .map_or_else(|| Found::New(asker.id.into()), |(id, _)| Found::Known(Arc::clone(id))))
                }
                Some((owner, member)) => {
                    if !asker.classic && !member.is_classic() && member.current.epoch != EPOCH_STATIC_LEAVE {
                        let message = format!("instance id {instance_id} is still with member {owner}");
                        return Err(GroupRefusal::new(GroupError::UnreleasedInstanceId, message));
                    }
                    Ok(Found::Replacing { old: Arc::clone(owner), new: asker.id.into() })
                }
            };
        }
        if known.is_none() && asker.joins {
            return Ok(Found::New(asker.id.into()));
        }
        let id = self.member_id(asker.id, asker.instance_id)?;
        let member = &self.state.members[&id];
        if !asker.classic {
            check_epoch(member, asker)?;
        }
        Ok(Found::Known(id))
    }

    /// Makes sure that the member can be told about: a new static member takes over what the old one has.
    pub fn enrol(&mut self, found: Found, turn: &mut Turn<'_>) -> Arc<str> {
        let (old, new) = match found {
            Found::Known(id) | Found::New(id) => return id,
            Found::Replacing { old, new } => (old, new),
        };
        let Member { metadata, current } = self.state.members[&old].clone();
        let target = self.state.targets.get(&old).cloned().unwrap_or_default();
        self.cancel_timers(&old, turn);
        self.store(ConsumerRecord::Current(Arc::clone(&old), None), turn);
        self.store(ConsumerRecord::TargetMember(Arc::clone(&old), None), turn);
        self.store(ConsumerRecord::Member(old, None), turn);
        let current = CurrentAssignment { epoch: 0, previous_epoch: 0, ..current };
        self.store(ConsumerRecord::Member(Arc::clone(&new), Some(metadata)), turn);
        self.store(ConsumerRecord::TargetMember(Arc::clone(&new), Some(target)), turn);
        self.store(ConsumerRecord::Current(Arc::clone(&new), Some(current)), turn);
        new
    }

    /// Stores what a member tells now, as `told` makes it of what it told before, and looks up a new pattern.
    pub fn update_member(
        &mut self,
        id: &Arc<str>,
        told: impl FnOnce(MemberMetadata) -> MemberMetadata,
        turn: &mut Turn<'_>,
    ) -> Changed {
        let known = self.state.members.get(id).map(|member| Arc::clone(&member.metadata));
        let before = known.clone().unwrap_or_default();
        let metadata = told((*before).clone());
        let changed =
            Changed { names: metadata.topics != before.topics, regex: metadata.regex != before.regex };
        let regex = metadata.regex.clone();
        if known.is_none() || metadata != *before {
            self.store(ConsumerRecord::Member(Arc::clone(id), Some(Arc::new(metadata))), turn);
        }
        if changed.regex {
            self.drop_unused_regexes(turn);
            if let Some(regex) = regex.filter(|regex| !self.state.regexes.contains_key(regex)) {
                let topics = TopicRegex::new(&regex).map(|it| it.resolve(turn.image)).unwrap_or_default();
                self.store_regex(regex, topics, turn);
            }
        }
        changed
    }

    fn drop_unused_regexes(&mut self, turn: &mut Turn<'_>) {
        for regex in self.state.regexes.keys().cloned().collect::<Vec<_>>() {
            if self.state.regex_subscribers(&regex) == 0 {
                self.store(ConsumerRecord::Regex(regex, None), turn);
            }
        }
    }

    /// Takes the member one step towards its target; returns whether what it owns has changed. Errors: [`MustRejoin`].
    pub fn reconcile(
        &mut self,
        id: &Arc<str>,
        subscription_changed: bool,
        reported: Option<&[TopicPartitions]>,
        turn: &mut Turn<'_>,
    ) -> Result<bool, MustRejoin> {
        let member = &self.state.members[id];
        if !subscription_changed && member.current.is_reconciled(self.state.target.epoch) {
            return Ok(false);
        }
        let step = Step {
            target_epoch: self.state.target.epoch,
            target: self.state.target_of(id),
            subscribed: &self.state.topic_ids(&member.metadata, turn.image),
            subscription_changed,
            is_free: &|topic, partition| self.state.is_free(topic, partition),
            reported,
        };
        let next = step.reconcile(&member.current)?;
        if next == member.current {
            return Ok(false);
        }
        let news = next.owned != member.current.owned;
        self.store(ConsumerRecord::Current(Arc::clone(id), Some(next)), turn);
        self.arm_rebalance(id, turn);
        Ok(news)
    }

    /// Drops members, and raises the group's epoch. With a [`MovedGroup`] this group is no more.
    pub fn fence(&mut self, members: &[Arc<str>], turn: &mut Turn<'_>) -> Option<MovedGroup> {
        if members.is_empty() {
            return None;
        }
        if self.may_become_classic(members, turn.settings) {
            return Some(self.become_classic(members, true, turn));
        }
        for id in members {
            self.store(ConsumerRecord::Current(Arc::clone(id), None), turn);
            self.store(ConsumerRecord::TargetMember(Arc::clone(id), None), turn);
            self.store(ConsumerRecord::Member(Arc::clone(id), None), turn);
            self.cancel_timers(id, turn);
        }
        self.drop_unused_regexes(turn);
        self.update_epoch(true, turn);
        None
    }
}

/// Checks the epoch of a known member. Epoch 0 joins again whatever the member has.
fn check_epoch(member: &Member, asker: &Asker<'_>) -> Result<(), GroupRefusal> {
    let Member { current, .. } = member;
    if current.state == MemberState::Unknown && asker.reported.is_none_or(|reported| !reported.is_empty()) {
        return Err(fenced(format!("member {} is in an unknown state", asker.id)));
    }
    let within = |owned: &Owned| {
        asker.reported.is_some_and(|reported| {
            reported
                .iter()
                .all(|it| it.partitions.iter().all(|partition| owned.contains(it.topic_id, partition.0)))
        })
    };
    let epoch = asker.epoch;
    // The answer with the new epoch may have been lost: who owns no more than it said may go on from the old one.
    let late = epoch == current.previous_epoch && within(&current.owned);
    if epoch == 0 || epoch == current.epoch || epoch < current.epoch && late {
        return Ok(());
    }
    Err(fenced(format!("member {} is in epoch {}, not {epoch}", asker.id, current.epoch)))
}

/// What a member has told, after `request`. What the request does not say stays.
fn told_by(before: MemberMetadata, request: &ConsumerHeartbeat) -> MemberMetadata {
    let topics = request.subscribed_topic_names.as_ref().map(|names| {
        let mut topics: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
        topics.sort_unstable();
        topics.dedup();
        topics
    });
    let regex = request.subscribed_topic_regex.as_deref();
    MemberMetadata {
        instance_id: request.instance_id.as_deref().map(Arc::from).or(before.instance_id),
        rack_id: request.rack_id.clone().or(before.rack_id),
        client: request.client.clone(),
        topics: topics.unwrap_or(before.topics),
        regex: regex.map_or(before.regex, |regex| (!regex.is_empty()).then(|| regex.into())),
        rebalance_timeout_ms: match request.rebalance_timeout_ms {
            -1 => before.rebalance_timeout_ms,
            timeout_ms => timeout_ms,
        },
        assignor: request.server_assignor.clone().or(before.assignor),
        classic: None,
    }
}

/// The partitions by topic, as answers say them.
#[must_use]
pub fn partitions_of(owned: &Owned) -> Vec<TopicPartitions> {
    let topics = owned.iter();
    topics
        .map(|(topic_id, list)| TopicPartitions {
            topic_id,
            partitions: list.keys().map(|&partition| PartitionIndex(partition)).collect(),
        })
        .collect()
}
