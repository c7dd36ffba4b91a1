//! What the stored records of a consumer group say: the whole of its lasting state.
//!
//! [`GroupState::apply`] is the only way it changes, while the group lives and while its records are read again, so
//! that a group loaded again is the group that was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corelane_base::id::TopicId;

use crate::groups::consumer::assignment::{Assignment, Owned};
use crate::groups::consumer::member::{CurrentAssignment, EPOCH_LEAVE, Member, MemberMetadata};
use crate::groups::consumer::record::{ConsumerRecord, GroupEpoch, TargetEpoch};
use crate::groups::consumer::topic_regex::ResolvedRegex;
use crate::image::ClusterImage;

static NOTHING: Assignment = Assignment::EMPTY;

/// The lasting state. Invariants: see [`GroupState::check_invariants`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupState {
    /// How far it has come.
    pub group: GroupEpoch,
    /// Which target assignment is in force.
    pub target: TargetEpoch,
    /// The members by id.
    pub members: BTreeMap<Arc<str>, Member>,
    /// The member of each instance id.
    pub static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// What each member shall have.
    pub targets: BTreeMap<Arc<str>, Arc<Assignment>>,
    /// What the patterns stand for.
    pub regexes: BTreeMap<Arc<str>, ResolvedRegex>,
    /// An older broker's record about topics is still in the log.
    pub has_topics_record: bool,
    /// Who owns a partition or has still to give it up.
    owners: BTreeMap<TopicId, BTreeMap<i32, Arc<str>>>,
}

impl GroupState {
    /// Does what a record says.
    pub fn apply(&mut self, record: &ConsumerRecord) {
        match record {
            ConsumerRecord::Group(group) => self.group = group.unwrap_or_default(),
            ConsumerRecord::Topics(present) => self.has_topics_record = *present,
            ConsumerRecord::Target(target) => self.target = target.unwrap_or_default(),
            ConsumerRecord::Member(id, Some(metadata)) => self.put_member(id, metadata),
            ConsumerRecord::Member(id, None) => self.remove_member(id),
            ConsumerRecord::TargetMember(id, Some(target)) => {
                self.targets.insert(Arc::clone(id), Arc::clone(target));
            }
            ConsumerRecord::TargetMember(id, None) => drop(self.targets.remove(id)),
            ConsumerRecord::Current(id, current) => self.put_current(id, current.clone()),
            ConsumerRecord::Regex(regex, Some(resolved)) => {
                self.regexes.insert(Arc::clone(regex), resolved.clone());
            }
            ConsumerRecord::Regex(regex, None) => drop(self.regexes.remove(regex)),
        }
    }

    fn put_member(&mut self, id: &Arc<str>, metadata: &Arc<MemberMetadata>) {
        let member = self.members.entry(Arc::clone(id)).or_default();
        let before = core::mem::replace(&mut member.metadata, Arc::clone(metadata));
        if before.instance_id != metadata.instance_id {
            self.remove_static(id, &before);
        }
        if let Some(instance_id) = &metadata.instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(id));
        }
    }

    fn remove_static(&mut self, id: &Arc<str>, metadata: &MemberMetadata) {
        if let Some(instance_id) = &metadata.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    fn remove_member(&mut self, id: &Arc<str>) {
        if let Some(member) = self.members.remove(id) {
            self.release(id, &member.current);
            self.remove_static(id, &member.metadata);
        }
    }

    /// A tombstone of what nobody has is no news.
    fn put_current(&mut self, id: &Arc<str>, current: Option<CurrentAssignment>) {
        if current.is_none() && !self.members.contains_key(id) {
            return;
        }
        let gone = || CurrentAssignment {
            epoch: EPOCH_LEAVE,
            previous_epoch: EPOCH_LEAVE,
            ..CurrentAssignment::default()
        };
        let current = current.unwrap_or_else(gone);
        for (topic, partition, _) in current.owned.partitions().chain(current.revoking.partitions()) {
            self.owners.entry(topic).or_default().insert(partition, Arc::clone(id));
        }
        let member = self.members.entry(Arc::clone(id)).or_default();
        let before = core::mem::replace(&mut member.current, current);
        let kept = member.current.clone();
        self.release_unless(id, &before, |topic, partition| {
            kept.owned.contains(topic, partition) || kept.revoking.contains(topic, partition)
        });
    }

    fn release(&mut self, id: &Arc<str>, before: &CurrentAssignment) {
        self.release_unless(id, before, |_, _| false);
    }

    fn release_unless(
        &mut self,
        id: &Arc<str>,
        before: &CurrentAssignment,
        kept: impl Fn(TopicId, i32) -> bool,
    ) {
        for (topic, partition, _) in before.owned.partitions().chain(before.revoking.partitions()) {
            if !kept(topic, partition)
                && let Some(owners) = self.owners.get_mut(&topic)
                && owners.get(&partition) == Some(id)
            {
                owners.remove(&partition);
                if owners.is_empty() {
                    self.owners.remove(&topic);
                }
            }
        }
    }

    /// Whether nobody owns the partition or has still to give it up.
    #[must_use]
    pub fn is_free(&self, topic: TopicId, partition: i32) -> bool {
        self.owners.get(&topic).is_none_or(|owners| !owners.contains_key(&partition))
    }

    /// What a member shall have.
    #[must_use]
    pub fn target_of(&self, member: &str) -> &Assignment {
        self.targets.get(member).map_or(&NOTHING, |target| target)
    }

    /// The member of an instance id.
    #[must_use]
    pub fn static_member(&self, instance_id: &str) -> Option<(&Arc<str>, &Member)> {
        let id = self.static_members.get(instance_id)?;
        self.members.get_key_value(id)
    }

    /// How many members subscribe to that pattern.
    #[must_use]
    pub fn regex_subscribers(&self, regex: &str) -> usize {
        self.members.values().filter(|member| member.metadata.regex.as_deref() == Some(regex)).count()
    }

    /// All topics that anybody subscribes to, whether they exist or not.
    #[must_use]
    pub fn subscribed(&self) -> BTreeSet<&str> {
        let named = self.members.values().flat_map(|member| &member.metadata.topics);
        named.chain(self.regexes.values().flat_map(|regex| &regex.topics)).map(|name| &**name).collect()
    }

    /// The topics of a subscription that exist, ascending by id.
    #[must_use]
    pub fn topic_ids(&self, metadata: &MemberMetadata, image: &ClusterImage) -> Vec<TopicId> {
        let matched = metadata.regex.as_ref().and_then(|regex| self.regexes.get(regex));
        let names = metadata.topics.iter().chain(matched.iter().flat_map(|regex| &regex.topics));
        let mut ids: Vec<TopicId> = names.filter_map(|name| Some(image.topic(name)?.id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// In Kafka's spelling.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.group.epoch > self.target.epoch {
            "Assigning"
        } else if self.is_reconciled() {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether everybody has what the last target gives them.
    #[must_use]
    pub fn is_reconciled(&self) -> bool {
        self.members.values().all(|member| member.current.is_reconciled(self.target.epoch))
    }

    /// The tombstones of everything, the group's own last.
    #[must_use]
    pub fn tombstones(&self) -> Vec<ConsumerRecord> {
        let ids = || self.members.keys().cloned();
        let targets: BTreeSet<Arc<str>> = ids().chain(self.targets.keys().cloned()).collect();
        let mut records: Vec<ConsumerRecord> = ids().map(|id| ConsumerRecord::Current(id, None)).collect();
        records.extend(targets.into_iter().map(|id| ConsumerRecord::TargetMember(id, None)));
        records.push(ConsumerRecord::Target(None));
        records.extend(ids().map(|id| ConsumerRecord::Member(id, None)));
        records.extend(self.regexes.keys().map(|regex| ConsumerRecord::Regex(Arc::clone(regex), None)));
        records.push(ConsumerRecord::Topics(false));
        records.push(ConsumerRecord::Group(None));
        records
    }

    /// The records that make an equal group from nothing.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ConsumerRecord> {
        let members = || self.members.iter();
        let mut records: Vec<ConsumerRecord> = members()
            .map(|(id, member)| ConsumerRecord::Member(Arc::clone(id), Some(Arc::clone(&member.metadata))))
            .collect();
        records.push(ConsumerRecord::Group(Some(self.group)));
        records.extend(
            self.regexes.iter().map(|(regex, it)| ConsumerRecord::Regex(Arc::clone(regex), Some(it.clone()))),
        );
        records.extend(
            self.targets
                .iter()
                .map(|(id, target)| ConsumerRecord::TargetMember(Arc::clone(id), Some(Arc::clone(target)))),
        );
        records.push(ConsumerRecord::Target(Some(self.target)));
        records.extend(
            members()
                .map(|(id, member)| ConsumerRecord::Current(Arc::clone(id), Some(member.current.clone()))),
        );
        records
    }

    /// Checks the invariants: nobody owns what another one owns or has still to give up; owners are exactly those who
    /// have; targets do not overlap and belong to members; instance ids lead to the members that have them. Panics: if
    /// one is broken.
    pub fn check_invariants(&self) {
        let mut owners: BTreeMap<TopicId, BTreeMap<i32, Arc<str>>> = BTreeMap::new();
        for (id, member) in &self.members {
            let has = |owned: &Owned| owned.partitions().map(|(topic, p, _)| (topic, p)).collect::<Vec<_>>();
            for (topic, partition) in
                has(&member.current.owned).into_iter().chain(has(&member.current.revoking))
            {
                let other = owners.entry(topic).or_default().insert(partition, Arc::clone(id));
                assert_eq!(other, None, "{topic:?}-{partition} is also {id}'s");
            }
            assert!(member.current.epoch <= self.group.epoch, "{id} is ahead of its group");
            if let Some(instance_id) = &member.metadata.instance_id {
                assert_eq!(
                    self.static_members.get(instance_id),
                    Some(id),
                    "{instance_id} leads to its member"
                );
            }
        }
        assert_eq!(owners, self.owners, "owners are those who have");
        assert!(self.target.epoch <= self.group.epoch, "the target is not ahead");
        let mut targets = BTreeSet::new();
        for (id, target) in &self.targets {
            assert!(self.members.contains_key(id), "{id} has a target and is no member");
            for (topic, partitions) in target.iter() {
                let once = partitions.iter().all(|&partition| targets.insert((topic, partition)));
                // A crash can have lost the second half of a new target; the next heartbeat makes another.
                assert!(once || self.group.epoch > self.target.epoch, "targets overlap at {id}");
            }
        }
        for (instance_id, id) in &self.static_members {
            let member = self.members.get(id);
            let theirs = member.and_then(|member| member.metadata.instance_id.as_ref());
            assert_eq!(theirs, Some(instance_id), "{instance_id} leads to {id}");
        }
    }
}
