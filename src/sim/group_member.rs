//! A member of a group as clients behave: it joins, reads what it is given and commits. In a classic group it assigns
//! if it leads, and is eager: who joins again gives up everything first. In a consumer group it goes step by step to
//! what it is told to own, and gives a partition up only when no commit is under way.
//!
//! A member trusts nobody but the answers it gets; what must hold
//! among all members is the world's to check.

use std::collections::{BTreeMap, BTreeSet};

use corelane_base::id::PartitionIndex;
use corelane_control::groups::answer::{GroupAnswer, Joined, JoinedMember};
use corelane_control::groups::command::{
    Client, CommitOffsets, CommitPartition, CommitTopic, ConsumerHeartbeat, FetchOffsets, FetchTopic,
    GroupCommand, Heartbeat, JoinGroup, JoinProtocol, LeaveGroup, LeavingMember, SyncGroup, TopicPartitions,
};
use corelane_control::groups::error::GroupError;

use crate::group_topics::{GroupTopics, Living, Place, topic_name};
use crate::group_wire::{assign, subscription};

/// Where a member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Its process does not run.
    Down,
    /// It is about to join.
    Out,
    /// Its JoinGroup is under way.
    Joining,
    /// Its SyncGroup is under way.
    Syncing,
    /// It asks where to go on.
    Fetching,
    /// It reads.
    Reading,
}

/// What a request was for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// JoinGroup.
    Join,
    /// SyncGroup.
    Sync,
    /// Heartbeat.
    Beat,
    /// OffsetCommit of these positions.
    Commit(BTreeMap<Place, i64>),
    /// OffsetFetch, with the least that each offset may be.
    Fetch(BTreeMap<Place, i64>),
    /// LeaveGroup.
    Leave,
}

/// What a member wants after an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// To send a request at once.
    Send(Purpose),
    /// To join (again) in a moment.
    JoinSoon,
}

/// One client.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number in the world, and its client id.
    pub number: usize,
    /// Its group's number.
    pub group: usize,
    /// The static member's own name.
    pub instance_id: Option<String>,
    /// The topics it reads, by the numbers of their names.
    pub topics: Vec<usize>,
    /// Its session timeout.
    pub session_ms: i32,
    /// Its rebalance timeout.
    pub rebalance_ms: i32,
    /// Whether it speaks the newest version.
    pub is_new_client: bool,
    /// It speaks the protocol of consumer groups.
    pub is_consumer: bool,
    /// In a consumer group: what it is to own, as long as it does not.
    pub target: Option<BTreeSet<Place>>,
    /// In a consumer group: its heartbeat is under way.
    pub beats: bool,
    /// In a consumer group: the next heartbeat says everything.
    pub says_all: bool,
    /// In a consumer group: it asks where to go on with new partitions.
    pub fetches: bool,
    /// Where it is.
    pub phase: Phase,
    /// How often its process has started: answers to an earlier one go nowhere.
    pub life: u32,
    /// What the coordinator calls it.
    pub member_id: String,
    /// The generation it is in.
    pub generation: i32,
    /// What it owns, with its positions.
    pub owned: BTreeMap<Place, i64>,
    /// A commit is under way.
    pub commits: bool,
    /// The process does nothing until then, in milliseconds.
    pub stalled_until_ms: u64,
    /// In a classic group: it leads, and looks after the topics.
    watches: bool,
    /// What there was when it assigned; `None` if another process has.
    assigned_for: Option<Living>,
    leads: bool,
    joined: Vec<JoinedMember>,
}

impl Member {
    /// A client that does not run yet.
    #[must_use]
    pub fn new(number: usize, group: usize, topics: Vec<usize>) -> Member {
        Member {
            number,
            group,
            instance_id: None,
            topics,
            session_ms: 10_000,
            rebalance_ms: 30_000,
            is_new_client: true,
            is_consumer: false,
            target: None,
            beats: false,
            says_all: false,
            fetches: false,
            phase: Phase::Down,
            life: 0,
            member_id: String::new(),
            generation: -1,
            owned: BTreeMap::new(),
            commits: false,
            stalled_until_ms: 0,
            watches: false,
            assigned_for: None,
            leads: false,
            joined: Vec::new(),
        }
    }

    /// Who owns what this member owns: a static member's processes are one.
    #[must_use]
    pub fn identity(&self) -> String {
        self.instance_id.clone().unwrap_or_else(|| self.member_id.clone())
    }

    /// Starts the process.
    pub fn start(&mut self) {
        self.life += 1;
        self.phase = Phase::Out;
        self.forget();
        if self.is_consumer {
            self.member_id = format!("c{}-{}", self.number, self.life);
        }
    }

    /// The group has dropped it: it joins again under the same id, as if it had just started.
    pub fn start_again(&mut self) {
        let member_id = core::mem::take(&mut self.member_id);
        self.start();
        self.member_id = member_id;
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.life += 1;
        self.phase = Phase::Down;
        self.forget();
    }

    fn forget(&mut self) {
        self.member_id.clear();
        self.generation = -1;
        self.owned.clear();
        self.commits = false;
        self.target = None;
        self.beats = false;
        self.says_all = false;
        self.fetches = false;
        self.stalled_until_ms = 0;
        self.watches = false;
    }

    /// Whether it is part of a generation.
    #[must_use]
    pub fn is_in(&self) -> bool {
        matches!(self.phase, Phase::Syncing | Phase::Fetching | Phase::Reading)
    }

    /// Makes a request.
    pub fn request(&mut self, purpose: &Purpose, topics: &GroupTopics) -> GroupCommand {
        match purpose {
            Purpose::Join | Purpose::Beat | Purpose::Leave if self.is_consumer => {
                self.consumer_heartbeat(purpose, topics)
            }
            _ => self.classic_request(purpose, topics),
        }
    }

    fn consumer_heartbeat(&mut self, purpose: &Purpose, topics: &GroupTopics) -> GroupCommand {
        let joins = *purpose == Purpose::Join;
        if joins {
            self.phase = Phase::Joining;
            self.owned.clear();
        }
        self.beats = true;
        let all = joins || self.says_all;
        let names = self.topics.iter().map(|name| topic_name(*name));
        GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat {
            group: format!("group-{}", self.group),
            member_id: self.member_id.clone(),
            member_epoch: match purpose {
                Purpose::Join => 0,
                Purpose::Leave if self.instance_id.is_some() => -2,
                Purpose::Leave => -1,
                _ => self.generation,
            },
            instance_id: self.instance_id.clone(),
            rack_id: None,
            rebalance_timeout_ms: if all { self.rebalance_ms } else { -1 },
            subscribed_topic_names: all.then(|| names.collect()),
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: Some(self.owned_by_topic(topics)),
            client: Client { id: format!("m{}", self.number), host: "/10.0.0.1".into() },
            member_id_required: true,
        })
    }

    fn owned_by_topic(&self, topics: &GroupTopics) -> Vec<TopicPartitions> {
        let of_topic = |topic: usize| self.owned.keys().filter(move |place| place.0 == topic);
        let numbers: BTreeSet<usize> = self.owned.keys().map(|place| place.0).collect();
        let by_topic = numbers.into_iter().map(|topic| TopicPartitions {
            topic_id: topics.id(topic),
            partitions: of_topic(topic).map(|place| PartitionIndex(place.1)).collect(),
        });
        by_topic.collect()
    }

    fn classic_request(&mut self, purpose: &Purpose, topics: &GroupTopics) -> GroupCommand {
        let group = format!("group-{}", self.group);
        let (member_id, instance_id) = (self.member_id.clone(), self.instance_id.clone());
        let generation = self.generation;
        match purpose {
            Purpose::Join => {
                self.phase = Phase::Joining;
                self.owned.clear();
                GroupCommand::Join(JoinGroup {
                    group,
                    member_id,
                    instance_id,
                    client: Client { id: format!("m{}", self.number), host: "/10.0.0.1".into() },
                    session_timeout_ms: self.session_ms,
                    rebalance_timeout_ms: self.rebalance_ms,
                    protocol_type: "consumer".into(),
                    protocols: vec![JoinProtocol {
                        name: "range".into(),
                        metadata: subscription(&self.topics),
                    }],
                    reason: None,
                    member_id_required: self.is_new_client,
                    skip_assignment: self.is_new_client,
                })
            }
            Purpose::Sync => {
                let mut assignments = Vec::new();
                if self.leads {
                    assignments = assign(&self.joined, &topics.living());
                    self.assigned_for = Some(topics.living());
                }
                GroupCommand::Sync(SyncGroup {
                    group,
                    member_id,
                    instance_id,
                    generation,
                    protocol_type: Some("consumer".into()),
                    protocol: Some("range".into()),
                    assignments,
                })
            }
            Purpose::Beat => GroupCommand::Heartbeat(Heartbeat { group, member_id, instance_id, generation }),
            Purpose::Leave => {
                let member = LeavingMember { member_id, instance_id, reason: None };
                GroupCommand::Leave(LeaveGroup { group, members: vec![member] })
            }
            Purpose::Commit(positions) => {
                self.commits = true;
                GroupCommand::Commit(CommitOffsets {
                    group,
                    member_id,
                    instance_id,
                    generation_or_epoch: generation,
                    retention_time_ms: None,
                    knows_member_epochs: true,
                    topics: positions.iter().map(|place| committed(place, topics)).collect(),
                })
            }
            Purpose::Fetch(floors) => GroupCommand::Fetch(FetchOffsets {
                group,
                member_id: None,
                member_epoch: -1,
                topics: Some(floors.keys().map(|place| fetched(*place, topics)).collect()),
                require_stable: true,
                by_topic_id: true,
            }),
        }
    }

    /// Takes the answer to its JoinGroup.
    pub fn on_joined(&mut self, joined: Joined) -> Wish {
        match joined.error {
            None => {
                self.watches = joined.leader == joined.member_id;
                self.leads = self.watches && !joined.skip_assignment;
                self.assigned_for = None;
                self.member_id = joined.member_id;
                self.generation = joined.generation;
                self.joined = joined.members;
                self.phase = Phase::Syncing;
                Wish::Send(Purpose::Sync)
            }
            Some(GroupError::MemberIdRequired) => {
                self.member_id = joined.member_id;
                Wish::Send(Purpose::Join)
            }
            Some(error) => self.on_error(error),
        }
    }

    /// Takes what an answer refuses.
    pub fn on_error(&mut self, error: GroupError) -> Wish {
        match error {
            GroupError::FencedInstanceId => {
                // Another process has taken over.
                self.stop();
                return Wish::Nothing;
            }
            GroupError::UnknownMemberId => {
                self.member_id.clear();
                self.generation = -1;
            }
            _ => {}
        }
        self.join_again()
    }

    /// Gives everything up and joins again, under the same id.
    pub fn join_again(&mut self) -> Wish {
        self.phase = Phase::Out;
        self.owned.clear();
        self.watches = false;
        Wish::JoinSoon
    }

    /// Whether it leads a classic group and there are other topics than those it has assigned.
    #[must_use]
    pub fn sees_other_topics(&self, living: &Living) -> bool {
        self.watches && self.assigned_for != Some(*living)
    }

    /// Takes the answer to its OffsetFetch.
    pub fn on_fetched(&mut self, offsets: &BTreeMap<Place, i64>) {
        for (place, position) in &mut self.owned {
            *position = offsets.get(place).copied().unwrap_or(-1).max(0);
        }
        self.phase = Phase::Reading;
    }
}

fn committed((&(topic, index), &offset): (&Place, &i64), topics: &GroupTopics) -> CommitTopic {
    let index = PartitionIndex(index);
    let partition = CommitPartition { index, offset, leader_epoch: 0, metadata: None };
    CommitTopic { name: String::new(), id: topics.id(topic), partitions: vec![partition] }
}

fn fetched((topic, index): Place, topics: &GroupTopics) -> FetchTopic {
    FetchTopic { name: String::new(), id: topics.id(topic), partitions: vec![PartitionIndex(index)] }
}

/// Why an answer is no, if it is.
#[must_use]
pub fn refusal(answer: &GroupAnswer) -> Option<GroupError> {
    match answer {
        GroupAnswer::Refused(error) | GroupAnswer::Heartbeat(Err(error)) | GroupAnswer::Fetch(Err(error)) => {
            Some(*error)
        }
        GroupAnswer::ConsumerHeartbeat(Err(refusal)) => Some(refusal.error),
        GroupAnswer::Sync(synced) => synced.error,
        GroupAnswer::Commit(topics) => {
            topics.iter().flat_map(|topic| &topic.partitions).find_map(|(_, e)| *e)
        }
        _ => None,
    }
}
