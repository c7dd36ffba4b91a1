//! The coordinator of the groups whose records lie in one partition of `__consumer_offsets`.
//!
//! A step changes the state in memory at once and asks for records to be stored; an answer leaves when everything it
//! rests on has been stored. After a failed store the state in memory is ahead of the log: the coordinator refuses
//! everything from then on, and its host drops it and loads a new one. The rejected alternative keeps two states, one
//! of them durable, and is what Kafka does: twice the memory for the sake of a failure after which a restart is due.

use core::ops::Bound;
use std::collections::VecDeque;
use std::sync::Arc;

use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};

use crate::groups::answer::{CommittedTopic, DescribedGroup, GroupAnswer, Joined, LeftMember};
use crate::groups::bytes::RecordReader;
use crate::groups::classic::group::{ClassicGroup, ClassicState, refused_sync};
use crate::groups::classic::join;
use crate::groups::command::{
    CommitOffsets, ConsumerHeartbeat, DeleteOffsets, FetchOffsets, GroupAsk, GroupCommand, Heartbeat,
    JoinGroup, LeaveGroup, ListGroups, SyncGroup,
};
use crate::groups::commit;
use crate::groups::consumer::group::ConsumerGroup;
use crate::groups::consumer::heartbeat;
use crate::groups::consumer::record::{ConsumerRecord, is_consumer_type};
use crate::groups::effect::{CoordinatorRecord, GroupEffect, GroupReplayError, WriteId};
use crate::groups::error::{GroupError, GroupRefusal};
use crate::groups::group::{Group, Groups, Slot};
use crate::groups::offsets::{CommittedOffset, TopicUses};
use crate::groups::outbox::Outbox;
use crate::groups::records::{self, KEY_GROUP, KEY_OFFSETS};
use crate::groups::settings::GroupSettings;
use crate::groups::timers::{Timer, Timers};
use crate::groups::turn::Turn;
use crate::image::ClusterImage;

/// The most groups of one coordinator; further ones are refused as if the coordinator were not there.
pub const GROUP_COUNT_MAX: usize = 100_000;
/// The most tombstones of one step of expiry; the rest follows in the next turn.
const EXPIRED_PER_STEP_MAX: usize = 5_000;

/// What a step may look at: the clocks, the topics, chance.
#[derive(Debug)]
pub struct GroupCx<'a> {
    /// The time of this turn.
    pub now: Now,
    /// The topics that exist.
    pub image: &'a ClusterImage,
    /// Chance, for member ids.
    pub rng: &'a mut Rng,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupCoordinator {
    /// What is to be done, in order. The host empties it after every call.
    pub out: VecDeque<GroupEffect>,
    settings: GroupSettings,
    groups: Groups,
    uses: TopicUses,
    timers: Timers,
    outbox: Outbox,
    /// Why everything is refused.
    over: Option<GroupError>,
    /// When offsets expire next; `None` before the loading is over.
    expiry: Option<Mono>,
    /// Where an expiry goes on that was too much for one step.
    expiry_from: Option<Arc<str>>,
    /// Buffers of the step under way; empty in between.
    records: Vec<CoordinatorRecord>,
    answers: Vec<(GroupAsk, GroupAnswer)>,
}

impl GroupCoordinator {
    /// A coordinator that knows no group yet: [`GroupCoordinator::replay`] the partition, then call
    /// [`GroupCoordinator::loaded`].
    #[must_use]
    pub fn new(settings: GroupSettings) -> GroupCoordinator {
        GroupCoordinator {
            out: VecDeque::new(),
            settings,
            groups: Groups::new(),
            uses: TopicUses::default(),
            timers: Timers::default(),
            outbox: Outbox::default(),
            over: None,
            expiry: None,
            expiry_from: None,
            records: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes over changed settings. They hold from the next step on.
    pub fn set_settings(&mut self, settings: GroupSettings) {
        self.settings = settings;
    }

    /// Applies one record of the partition, while loading, in the order of offsets. Records of types that this broker
    /// does not know are skipped, as they are a newer broker's. Errors: [`GroupReplayError`], for bytes that are not
    /// the record their key says; the state is as before, and the host may go on behind it.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), GroupReplayError> {
        let whole = key;
        let mut key = RecordReader::new(key);
        match key.i16()? {
            kind if KEY_OFFSETS.contains(&kind) => self.replay_offset(&mut key, value),
            KEY_GROUP => self.replay_group(&mut key, value),
            kind if is_consumer_type(kind) => self.replay_consumer(whole, value),
            _ => Ok(()),
        }
    }

    fn replay_consumer(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), GroupReplayError> {
        let (id, record) = ConsumerRecord::decode(key, value)?;
        let is_consumer = |slot: &Slot| matches!(slot.group, Group::Consumer(_));
        if value.is_none() && !self.groups.get(&id).is_some_and(is_consumer) {
            return Ok(());
        }
        if record == ConsumerRecord::Group(None) {
            self.replay_end_of(&id);
            return Ok(());
        }
        let slot = simple_group(&mut self.groups, &id, Now::default());
        if !is_consumer(slot) {
            slot.group = Group::Consumer(ConsumerGroup::new(id));
        }
        if let Group::Consumer(group) = &mut slot.group {
            group.state.apply(&record);
        }
        Ok(())
    }

    fn replay_offset(
        &mut self,
        key: &mut RecordReader<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), GroupReplayError> {
        let key = records::read_offset_key(key)?;
        match value {
            Some(value) => {
                let offset = CommittedOffset::of_record(&records::read_offset(value)?);
                let slot = simple_group(&mut self.groups, key.group, Now::default());
                slot.offsets.set(key.topic, key.partition, offset, &mut self.uses);
            }
            None => {
                if let Some(slot) = self.groups.get_mut(key.group) {
                    slot.offsets.remove(key.topic, key.partition, &mut self.uses);
                }
            }
        }
        Ok(())
    }

    fn replay_group(
        &mut self,
        key: &mut RecordReader<'_>,
        value: Option<&[u8]>,
    ) -> Result<(), GroupReplayError> {
        let id: Arc<str> = key.string()?.into();
        match value {
            Some(value) => {
                let group = ClassicGroup::of_record(Arc::clone(&id), &records::read_group(value)?);
                simple_group(&mut self.groups, &id, Now::default()).group = Group::Classic(group);
            }
            None => self.replay_end_of(&id),
        }
        Ok(())
    }

    /// A group is gone. Offsets whose tombstones were lost to compaction before it keep their place.
    fn replay_end_of(&mut self, id: &Arc<str>) {
        let Some(slot) = self.groups.get_mut(id) else { return };
        if slot.offsets.is_empty() {
            self.groups.remove(id);
        } else {
            slot.group = Group::Classic(ClassicGroup::new(Arc::clone(id), Now::default()));
        }
    }

    /// Ends the loading: the session timers of known members begin, and offsets of topics that went away meanwhile go.
    pub fn loaded(&mut self, cx: &mut GroupCx<'_>) {
        self.expiry =
            Some(cx.now.mono.plus_ms(u64::try_from(self.settings.offsets_retention_check_ms).unwrap_or(0)));
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.step(&id, cx, |slot, _, turn| match &mut slot.group {
                Group::Classic(group) => group.loaded(turn),
                Group::Consumer(group) => group.loaded(turn),
            });
        }
        self.on_topics_changed(cx);
    }

    /// Takes a command. Its answer may come at once, after a store, or when a rebalance is over.
    pub fn handle(&mut self, ask: GroupAsk, command: GroupCommand, cx: &mut GroupCx<'_>) {
        if let Some(error) = self.over {
            return self.refuse(ask, error);
        }
        match command {
            GroupCommand::Join(command) => self.join(ask, command, cx),
            GroupCommand::Sync(command) => self.sync(ask, command, cx),
            GroupCommand::Heartbeat(command) => self.heartbeat(ask, &command, cx),
            GroupCommand::Leave(command) => self.leave(ask, command, cx),
            GroupCommand::Commit(command) => self.commit(ask, command, cx),
            GroupCommand::Fetch(command) => self.fetch(ask, command, cx),
            GroupCommand::Describe { group } => self.describe(ask, group),
            GroupCommand::List(command) => self.list(ask, &command),
            GroupCommand::Delete { group } => self.delete(ask, &group, cx),
            GroupCommand::OffsetDelete(command) => self.offset_delete(ask, command, cx),
            GroupCommand::ConsumerHeartbeat(command) => self.consumer_heartbeat(ask, &command, cx),
            GroupCommand::ConsumerDescribe { group } => self.consumer_describe(ask, &group, cx),
        }
    }

    /// Tells the outcome of a store, in the order of the stores. After an error the coordinator answers everything that
    /// waits with it, and the host has to load a new one.
    pub fn stored(&mut self, write: WriteId, result: Result<(), GroupError>) {
        match result {
            _ if self.over.is_some() => {}
            Ok(()) => self.outbox.stored(write, &mut self.out),
            Err(error) => self.end(error),
        }
    }

    /// Carries out what is due.
    pub fn on_timer(&mut self, cx: &mut GroupCx<'_>) {
        if self.over.is_some() {
            return;
        }
        while let Some(Timer { group, kind }) = self.timers.take_due(cx.now.mono) {
            self.step(&group, cx, |slot, _, turn| slot.on_timer(kind, turn));
        }
        if self.expiry.is_some_and(|expiry| expiry <= cx.now.mono) {
            self.expire(cx);
        }
    }

    /// When [`GroupCoordinator::on_timer`] has something to do. Includes the expiry of offsets.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        if self.over.is_some() {
            return None;
        }
        self.timers.next_deadline().into_iter().chain(self.expiry).min()
    }

    /// Topics were created, deleted or got more partitions: `cx.image` is the state after it. The offsets of deleted
    /// topics go.
    pub fn on_topics_changed(&mut self, cx: &mut GroupCx<'_>) {
        for slot in self.groups.values_mut() {
            if let Group::Consumer(group) = &mut slot.group {
                group.on_topics_changed();
            }
        }
        let deleted = self.uses.look_for_deleted(cx.image);
        if deleted.is_empty() || self.over.is_some() {
            return;
        }
        let ids: Vec<Arc<str>> = self.groups.keys().cloned().collect();
        for id in ids {
            self.step(&id, cx, |slot, uses, turn| {
                deleted.iter().for_each(|(name, now)| slot.forget_topic(name, *now, uses, turn));
            });
        }
    }

    /// This broker leads the partition no more: answers everything that waits with `NOT_COORDINATOR`. Everything later
    /// is answered the same.
    pub fn resigned(&mut self) {
        self.end(GroupError::NotCoordinator);
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// A group of that id.
    #[must_use]
    pub fn group(&self, id: &str) -> Option<&Slot> {
        self.groups.get(id)
    }

    /// All groups in the order of their ids, for metrics.
    pub fn groups(&self) -> impl Iterator<Item = &Slot> {
        self.groups.values()
    }

    /// Checks the invariants. Panics: if one is broken.
    pub fn check_invariants(&self) {
        assert!(self.records.is_empty(), "a step stores its records");
        assert!(self.answers.is_empty(), "a step gives its answers");
        self.uses.check_invariants(self.groups.values().map(|slot| &slot.offsets));
        for (id, slot) in &self.groups {
            assert_eq!(id, slot.group.id());
            match &slot.group {
                Group::Classic(group) if self.over.is_none() && self.expiry.is_some() => {
                    group.check_invariants();
                    group.check_timers(&self.timers);
                }
                Group::Classic(_) => {}
                Group::Consumer(group) => group.state.check_invariants(),
            }
        }
    }

    fn end(&mut self, error: GroupError) {
        if self.over.is_some() {
            return;
        }
        self.over = Some(error);
        let mut refused: Vec<GroupAsk> = self.outbox.give_up().collect();
        for slot in self.groups.values_mut() {
            match &mut slot.group {
                Group::Classic(group) => group.refuse_all(|ask| refused.push(ask)),
                // Nothing waits for other members.
                Group::Consumer(_) => {}
            }
        }
        refused.into_iter().for_each(|ask| self.refuse(ask, error));
    }

    fn refuse(&mut self, ask: GroupAsk, error: GroupError) {
        self.out.push_back(GroupEffect::Answer { ask, answer: GroupAnswer::Refused(error) });
    }

    fn answer(&mut self, ask: GroupAsk, answer: GroupAnswer, rests_on: Option<WriteId>) {
        self.outbox.answer(ask, answer, rests_on, &mut self.out);
    }

    /// One step of a group that is there. Says what the step says; `None` if the group is not there.
    fn step<T>(
        &mut self,
        id: &str,
        cx: &mut GroupCx<'_>,
        step: impl FnOnce(&mut Slot, &mut TopicUses, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let slot = self.groups.get_mut(id)?;
        let mut turn = Turn {
            now: cx.now,
            image: cx.image,
            rng: cx.rng,
            settings: &self.settings,
            timers: &mut self.timers,
            records: &mut self.records,
            answers: &mut self.answers,
        };
        let result = step(slot, &mut self.uses, &mut turn);
        let room = turn.batch_room();
        let write = self.outbox.store(&mut self.records, room, &mut self.out);
        slot.last_write = write.or(slot.last_write);
        for (ask, answer) in self.answers.drain(..) {
            self.outbox.answer(ask, answer, slot.last_write, &mut self.out);
        }
        Some(result)
    }

    /// Whether there is room for one more group.
    fn has_room(&self) -> bool {
        self.groups.len() < GROUP_COUNT_MAX
    }

    fn join(&mut self, ask: GroupAsk, command: JoinGroup, cx: &mut GroupCx<'_>) {
        let is_new = !self.groups.contains_key(command.group.as_str());
        let checked = check_id(&command.group).and_then(|()| join::check(&command, &self.settings));
        let error = match checked {
            Err(error) => Some(error),
            Ok(()) if is_new && !command.member_id.is_empty() => Some(GroupError::UnknownMemberId),
            Ok(()) if is_new && !self.has_room() => Some(GroupError::CoordinatorNotAvailable),
            Ok(()) => None,
        };
        if let Some(error) = error {
            let answer = GroupAnswer::Join(Box::new(Joined::refused(error, command.member_id)));
            return self.answer(ask, answer, None);
        }
        let id: Arc<str> = command.group.as_str().into();
        simple_group(&mut self.groups, &id, cx.now);
        self.step(&id, cx, |slot, _, turn| {
            slot.join(ask, command, turn);
            if let Group::Classic(group) = &slot.group
                && is_new
                && turn.records.is_empty()
            {
                turn.store(group.founding_record());
            }
        });
    }

    fn sync(&mut self, ask: GroupAsk, command: SyncGroup, cx: &mut GroupCx<'_>) {
        let error = match check_id(&command.group) {
            Ok(()) if self.groups.contains_key(command.group.as_str()) => None,
            Ok(()) => Some(GroupError::UnknownMemberId),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            return self.answer(ask, GroupAnswer::Sync(refused_sync(error)), None);
        }
        let id = command.group.clone();
        self.step(&id, cx, |slot, _, turn| slot.sync(ask, command, turn));
    }

    /// Answers at once, whatever is being stored.
    fn heartbeat(&mut self, ask: GroupAsk, command: &Heartbeat, cx: &mut GroupCx<'_>) {
        let result = check_id(&command.group).and_then(|()| {
            let heard = self.step(&command.group, cx, |slot, _, turn| slot.heartbeat(command, turn));
            heard.unwrap_or(Err(GroupError::UnknownMemberId))
        });
        self.answer(ask, GroupAnswer::Heartbeat(result), None);
    }

    fn leave(&mut self, ask: GroupAsk, command: LeaveGroup, cx: &mut GroupCx<'_>) {
        let LeaveGroup { group, members } = command;
        if let Err(error) = check_id(&group) {
            return self.answer(ask, GroupAnswer::Leave(Err(error)), None);
        }
        if !self.groups.contains_key(group.as_str()) {
            let error = Some(GroupError::UnknownMemberId);
            let left = members.into_iter().map(|member| LeftMember {
                member_id: member.member_id,
                instance_id: member.instance_id,
                error,
            });
            let answer = GroupAnswer::Leave(Ok(left.collect()));
            return self.answer(ask, answer, None);
        }
        self.step(&group, cx, |slot, _, turn| {
            let left = slot.leave(members, turn);
            turn.answer(ask, GroupAnswer::Leave(Ok(left)));
        });
    }

    fn commit(&mut self, ask: GroupAsk, command: CommitOffsets, cx: &mut GroupCx<'_>) {
        let mut resolved = commit::resolve(command, cx.image);
        if resolved.is_refused() {
            return self.answer(ask, GroupAnswer::Commit(resolved.answer()), None);
        }
        let command = &resolved.command;
        if let Err(error) = self.check_commit_group(command) {
            return self.refuse_commit(ask, resolved, error);
        }
        let id: Arc<str> = command.group.as_str().into();
        simple_group(&mut self.groups, &id, cx.now);
        self.step(&id, cx, |slot, uses, turn| {
            match slot.check_commit(&resolved, turn) {
                Ok(()) => resolved.apply(slot, uses, turn),
                Err(error) => resolved.refuse(error),
            }
            turn.answer(ask, GroupAnswer::Commit(resolved.answer()));
        });
    }

    /// Whether there is, or may be, a group to commit to. Who is no member may commit to a group that is not there.
    fn check_commit_group(&self, command: &CommitOffsets) -> Result<(), GroupError> {
        if command.group.len() > join::TEXT_BYTES_MAX {
            Err(GroupError::InvalidGroupId)
        } else if self.groups.contains_key(command.group.as_str()) {
            Ok(())
        } else if command.generation_or_epoch < 0 {
            if self.has_room() { Ok(()) } else { Err(GroupError::CoordinatorNotAvailable) }
        } else if command.knows_member_epochs {
            Err(GroupError::GroupIdNotFound)
        } else {
            Err(GroupError::IllegalGeneration)
        }
    }

    fn refuse_commit(&mut self, ask: GroupAsk, mut resolved: commit::ResolvedCommit, error: GroupError) {
        resolved.refuse(error);
        let topics: Vec<CommittedTopic> = resolved.answer();
        self.answer(ask, GroupAnswer::Commit(topics), None);
    }

    fn fetch(&mut self, ask: GroupAsk, command: FetchOffsets, cx: &mut GroupCx<'_>) {
        let slot = self.groups.get(command.group.as_str());
        if let Some(Slot { group: Group::Consumer(group), last_write, .. }) = slot
            && let Err(error) = group.check_fetch(command.member_id.as_deref(), command.member_epoch)
        {
            return self.answer(ask, GroupAnswer::Fetch(Err(error)), *last_write);
        }
        let fetched = match command.topics {
            Some(topics) => commit::fetch(topics, slot, cx.image),
            None => slot.map(|slot| slot.fetch_all(command.by_topic_id, cx.image)).unwrap_or_default(),
        };
        let rests_on = slot.and_then(|slot| slot.last_write);
        self.answer(ask, GroupAnswer::Fetch(Ok(fetched)), rests_on);
    }

    fn describe(&mut self, ask: GroupAsk, id: String) {
        let slot = self.groups.get(id.as_str());
        let rests_on = slot.and_then(|slot| slot.last_write);
        let described = match slot.map(|slot| &slot.group) {
            Some(Group::Classic(group)) => described(group),
            Some(Group::Consumer(_)) => not_described(id, "is not a classic group"),
            None => not_described(id, "not found"),
        };
        self.answer(ask, GroupAnswer::Describe(Box::new(described)), rests_on);
    }

    fn consumer_heartbeat(&mut self, ask: GroupAsk, command: &ConsumerHeartbeat, cx: &mut GroupCx<'_>) {
        let is_new = !self.groups.contains_key(command.group.as_str());
        let checked = heartbeat::check_request(command, &self.settings).and_then(|()| match is_new {
            true if command.member_epoch != 0 => {
                let message = format!("group {} not found", command.group);
                Err(GroupRefusal::new(GroupError::GroupIdNotFound, message))
            }
            true if !self.has_room() => Err(GroupError::CoordinatorNotAvailable.into()),
            _ => Ok(()),
        });
        if let Err(refusal) = checked {
            return self.answer(ask, GroupAnswer::ConsumerHeartbeat(Err(refusal)), None);
        }
        let id: Arc<str> = command.group.as_str().into();
        simple_group(&mut self.groups, &id, cx.now);
        let refused = self.step(&id, cx, |slot, _, turn| {
            let answer = slot.consumer_heartbeat(command, turn);
            let refused = answer.is_err();
            turn.answer(ask, GroupAnswer::ConsumerHeartbeat(answer));
            refused
        });
        if is_new && refused == Some(true) {
            self.groups.remove(&id);
        }
    }

    fn consumer_describe(&mut self, ask: GroupAsk, id: &str, cx: &GroupCx<'_>) {
        let slot = self.groups.get(id);
        let rests_on = slot.and_then(|slot| slot.last_write);
        let described = match slot.map(|slot| &slot.group) {
            Some(Group::Consumer(group)) => Ok(Box::new(group.describe(cx.image, &self.settings))),
            Some(Group::Classic(_)) => Err(format!("group {id} is not a consumer group")),
            None => Err(format!("group {id} not found")),
        };
        let described = described.map_err(|message| GroupRefusal::new(GroupError::GroupIdNotFound, message));
        self.answer(ask, GroupAnswer::ConsumerDescribe(described), rests_on);
    }

    fn list(&mut self, ask: GroupAsk, command: &ListGroups) {
        let passes = |filters: &[String], value: &str| {
            filters.is_empty() || filters.iter().any(|filter| filter.trim().eq_ignore_ascii_case(value))
        };
        let listed = self.groups.values().map(|slot| slot.group.listed());
        let listed = listed
            .filter(|group| passes(&command.states, group.state) && passes(&command.types, group.group_type));
        let answer = GroupAnswer::List(listed.collect());
        self.answer(ask, answer, self.outbox.under_way());
    }

    fn delete(&mut self, ask: GroupAsk, id: &str, cx: &mut GroupCx<'_>) {
        let error = match self.groups.get(id) {
            None => Some(GroupError::GroupIdNotFound),
            Some(slot) if !slot.group.is_empty() => Some(GroupError::NonEmptyGroup),
            Some(_) => None,
        };
        if let Some(error) = error {
            return self.answer(ask, GroupAnswer::Delete(Err(error)), None);
        }
        self.step(id, cx, |slot, uses, turn| {
            slot.forget_all(uses, turn);
            slot.group.bury(turn);
            turn.answer(ask, GroupAnswer::Delete(Ok(())));
        });
        self.groups.remove(id);
    }

    fn offset_delete(&mut self, ask: GroupAsk, command: DeleteOffsets, cx: &mut GroupCx<'_>) {
        let id = command.group.clone();
        let checked = check_id(&id).and_then(|()| {
            let slot = self.groups.get(id.as_str()).ok_or(GroupError::GroupIdNotFound)?;
            slot.group.check_offset_delete()
        });
        if let Err(error) = checked {
            return self.answer(ask, GroupAnswer::OffsetDelete(Err(error)), None);
        }
        self.step(&id, cx, |slot, uses, turn| {
            let deleted = slot.delete_offsets(command, uses, turn);
            turn.answer(ask, GroupAnswer::OffsetDelete(Ok(deleted)));
        });
    }

    /// Takes away offsets whose retention is over and groups that are left with neither members nor offsets.
    fn expire(&mut self, cx: &mut GroupCx<'_>) {
        let from = self.expiry_from.take();
        let from = from.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let ids = self.groups.range::<str, _>((from, Bound::Unbounded));
        let ids: Vec<Arc<str>> = ids.map(|(id, _)| Arc::clone(id)).collect();
        let mut expired = 0;
        for id in ids {
            if expired >= EXPIRED_PER_STEP_MAX {
                self.expiry_from = Some(id);
                self.expiry = Some(cx.now.mono);
                return;
            }
            let outcome = self.step(&id, cx, |slot, uses, turn| {
                slot.expire(uses, turn);
                let is_over = slot.offsets.is_empty() && slot.group.may_go();
                if is_over {
                    slot.group.bury(turn);
                }
                (turn.records.len(), is_over)
            });
            let (records, is_over) = outcome.unwrap_or_default();
            expired += records;
            if is_over {
                self.groups.remove(&id);
            }
        }
        let wait_ms = u64::try_from(self.settings.offsets_retention_check_ms).unwrap_or(0);
        self.expiry = Some(cx.now.mono.plus_ms(wait_ms));
    }
}

/// Checks the id of a group that has, or may get, members. Errors: `INVALID_GROUP_ID`.
fn check_id(id: &str) -> Result<(), GroupError> {
    if id.is_empty() || id.len() > join::TEXT_BYTES_MAX { Err(GroupError::InvalidGroupId) } else { Ok(()) }
}

/// The group of that id, made if it is not there.
fn simple_group<'a>(groups: &'a mut Groups, id: &str, now: Now) -> &'a mut Slot {
    if !groups.contains_key(id) {
        let id: Arc<str> = id.into();
        let group = ClassicGroup::new(Arc::clone(&id), now);
        groups.insert(id.clone(), Slot::new(Group::Classic(group)));
    }
    groups.get_mut(id).expect("it is there or was just made")
}

fn described(group: &ClassicGroup) -> DescribedGroup {
    let protocol = group.protocol.as_deref().filter(|_| group.state == ClassicState::Stable);
    DescribedGroup {
        error: None,
        error_message: None,
        group: group.id.to_string(),
        state: group.state.name(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol: protocol.unwrap_or_default().to_owned(),
        members: group.members.values().map(|member| member.described(protocol)).collect(),
    }
}

fn not_described(group: String, why: &str) -> DescribedGroup {
    DescribedGroup {
        error: Some(GroupError::GroupIdNotFound),
        error_message: Some(format!("group {group} {why}")),
        group,
        state: "Dead",
        protocol_type: String::new(),
        protocol: String::new(),
        members: Vec::new(),
    }
}
