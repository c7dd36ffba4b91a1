//! Plays small scripts against a coordinator: a line of what happens, a line of what is answered.
//!
//! A lower-case client is a dynamic member, an upper-case one is static and has its first letter as instance id, so
//! that `A` and `A2` are two processes of one static member. Clients remember the member id and the generation they
//! are told. Words of the form `key=value` change what a command says; see [`Rig::play`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corelane_base::id::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now, WallMs};

use crate::groups::answer::{
    ConsumerHeartbeatAnswer, DescribedConsumerGroup, GroupAnswer, Joined, NamedPartitions,
};
use crate::groups::bytes::RecordWriter;
use crate::groups::command::{
    Client, CommitOffsets, CommitPartition, CommitTopic, ConsumerHeartbeat, DeleteOffsets, FetchOffsets,
    FetchTopic, GroupAsk, GroupCommand, Heartbeat, JoinGroup, JoinProtocol, LeaveGroup, LeavingMember,
    ListGroups, SyncGroup, TopicPartitions,
};
use crate::groups::consumer::embedded;
use crate::groups::coordinator::{GroupCoordinator, GroupCx};
use crate::groups::effect::{CoordinatorRecord, GroupEffect, WriteId};
use crate::groups::error::GroupError;
use crate::groups::settings::GroupSettings;
use crate::image::ClusterImage;
use crate::record::{MetadataRecord, Partition};

/// What a client has been told.
#[derive(Clone, Debug, Default)]
struct Told {
    member_id: String,
    generation: i32,
    /// The name of the protocol that won.
    protocol: Option<String>,
}

pub struct Rig {
    pub coordinator: GroupCoordinator,
    pub image: ClusterImage,
    pub settings: GroupSettings,
    /// What is stored, in order.
    pub log: Vec<CoordinatorRecord>,
    /// Stores are carried out at once; otherwise by `store`.
    pub stores: bool,
    under_way: Vec<(WriteId, Vec<CoordinatorRecord>)>,
    now: Now,
    rng: Rng,
    next_ask: u64,
    asked_by: BTreeMap<u64, String>,
    told: BTreeMap<String, Told>,
    topic_count: u8,
    group: String,
    answers: Vec<String>,
}

/// A subscription of the consumer protocol.
pub fn subscription(topics: &[&str]) -> Arc<[u8]> {
    let mut writer = RecordWriter::new(1);
    writer.count(topics.len());
    topics.iter().for_each(|topic| writer.string(topic));
    writer.bytes(&[]);
    writer.count(0);
    writer.0.into()
}

/// Runs a script with settings that let tests be short. Each row is a step and the answers it brings, joined by `; `.
#[track_caller]
pub fn check(change: impl FnOnce(&mut GroupSettings), rows: &[(&str, &str)]) {
    let mut rig = Rig::new(change);
    for (at, (step, expected)) in rows.iter().enumerate() {
        let answers = rig.play(step);
        assert_eq!(answers, *expected, "row {at}: {step}");
    }
}

impl Rig {
    pub fn new(change: impl FnOnce(&mut GroupSettings)) -> Rig {
        let mut settings = GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() };
        change(&mut settings);
        let mut rig = Rig {
            coordinator: GroupCoordinator::new(settings.clone()),
            image: ClusterImage::new(),
            settings,
            log: Vec::new(),
            stores: true,
            under_way: Vec::new(),
            now: Now { mono: Mono(1_000_000_000), wall: WallMs(1_700_000_000_000) },
            rng: Rng::new(7),
            next_ask: 0,
            asked_by: BTreeMap::new(),
            told: BTreeMap::new(),
            topic_count: 0,
            group: "g".into(),
            answers: Vec::new(),
        };
        rig.create("t", 4);
        rig.create("u", 2);
        rig.with(|coordinator, cx| coordinator.loaded(cx));
        rig
    }

    pub fn create(&mut self, name: &str, partition_count: usize) -> TopicId {
        self.topic_count += 1;
        let topic_id = TopicId([self.topic_count; 16]);
        let partition = Partition {
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: 0,
            replicas: Box::new([BrokerId(1)]),
            isr: Box::new([BrokerId(1)]),
        };
        let partitions = vec![partition; partition_count];
        let record =
            MetadataRecord::TopicCreated { topic_id, name: name.into(), partitions, configs: Vec::new() };
        self.image.replay(&record).expect("a new topic fits");
        topic_id
    }

    fn with(&mut self, step: impl FnOnce(&mut GroupCoordinator, &mut GroupCx<'_>)) {
        let mut cx = GroupCx { now: self.now, image: &self.image, rng: &mut self.rng };
        step(&mut self.coordinator, &mut cx);
        self.pump();
    }

    /// Carries out what the coordinator wants.
    fn pump(&mut self) {
        while let Some(effect) = self.coordinator.out.pop_front() {
            match effect {
                GroupEffect::Store { write, records } => {
                    assert!(!records.is_empty(), "a store has records");
                    self.under_way.push((write, records));
                    if self.stores {
                        self.store(Ok(()));
                    }
                }
                GroupEffect::Answer { ask, answer } => self.take(ask, answer),
            }
        }
        self.coordinator.check_invariants();
    }

    /// Ends the first store under way.
    fn store(&mut self, result: Result<(), GroupError>) {
        let (write, records) = self.under_way.remove(0);
        if result.is_ok() {
            self.log.extend(records);
        }
        self.coordinator.stored(write, result);
    }

    pub fn ask(&mut self, who: &str, command: GroupCommand) {
        let ask = GroupAsk(self.next_ask);
        self.next_ask += 1;
        self.asked_by.insert(ask.0, who.to_owned());
        self.with(|coordinator, cx| coordinator.handle(ask, command, cx));
    }

    fn take(&mut self, ask: GroupAsk, answer: GroupAnswer) {
        let who = self.asked_by.remove(&ask.0).expect("a command is answered once");
        if let GroupAnswer::Join(joined) = &answer {
            let told = self.told.entry(who.clone()).or_default();
            if joined.error.is_none_or(|error| error == GroupError::MemberIdRequired) {
                told.member_id.clone_from(&joined.member_id);
            }
            if joined.error.is_none() {
                told.generation = joined.generation;
                told.protocol.clone_from(&joined.protocol);
            }
        }
        if let GroupAnswer::ConsumerHeartbeat(Ok(answer)) = &answer {
            let told = self.told.entry(who.clone()).or_default();
            told.member_id.clone_from(&answer.member_id);
            told.generation = answer.member_epoch;
        }
        let text = show(&answer);
        self.answers.push(if who.is_empty() { text } else { format!("{who} {text}") });
    }

    /// Plays one step and tells what was answered.
    pub fn play(&mut self, step: &str) -> String {
        let mut words = step.split_whitespace();
        let verb = words.next().unwrap_or_default();
        let (options, names): (Vec<&str>, Vec<&str>) = words.partition(|word| word.contains('='));
        let options: BTreeMap<&str, &str> = options.iter().filter_map(|word| word.split_once('=')).collect();
        if let Some(group) = options.get("group") {
            self.group = (*group).to_owned();
        }
        match verb {
            "join" | "sync" | "beat" | "leave" | "commit" => self.play_member(verb, &names, &options),
            "hb" | "about" => self.play_consumer(verb, &names, &options),
            "fetch" | "describe" | "list" | "delete" | "forget" => self.play_admin(verb, &names, &options),
            "hold" => self.stores = false,
            "store" => {
                self.store(Ok(()));
                self.pump();
            }
            "fail" => {
                self.store(Err(GroupError::CoordinatorNotAvailable));
                self.pump();
            }
            "resign" => {
                self.coordinator.resigned();
                self.pump();
            }
            "restart" => self.restart(),
            "drop" => self.drop_topic(names[0]),
            "make" => drop(self.create(names[0], 4)),
            _ => self.advance(verb.strip_prefix('+').expect("a verb").parse().expect("milliseconds")),
        }
        self.answers.drain(..).collect::<Vec<_>>().join("; ")
    }

    fn drop_topic(&mut self, name: &str) {
        let topic_id = self.image.topic(name).expect("the topic exists").id;
        self.image.replay(&MetadataRecord::TopicDeleted { topic_id }).expect("it is there");
        self.with(|coordinator, cx| coordinator.on_topics_changed(cx));
    }

    /// Lets time pass, from deadline to deadline.
    pub fn advance(&mut self, ms: u64) {
        let end = self.now.mono.plus_ms(ms);
        while let Some(at) = self.coordinator.next_deadline().filter(|at| *at <= end) {
            self.go_to(at.max(self.now.mono));
            self.with(|coordinator, cx| coordinator.on_timer(cx));
        }
        self.go_to(end);
    }

    fn go_to(&mut self, at: Mono) {
        let passed = at.since(self.now.mono);
        self.now = Now { mono: at, wall: WallMs(self.now.wall.0 + passed.as_millis() as i64) };
    }

    /// The coordinator starts again with what is stored. What waited is lost.
    fn restart(&mut self) {
        self.under_way.clear();
        self.asked_by.clear();
        self.coordinator = GroupCoordinator::new(self.settings.clone());
        for record in self.log.clone() {
            self.coordinator.replay(&record.key, record.value.as_deref()).expect("what was written is read");
        }
        self.with(|coordinator, cx| coordinator.loaded(cx));
    }

    fn play_member(&mut self, verb: &str, names: &[&str], options: &BTreeMap<&str, &str>) {
        let who = names.first().copied().unwrap_or_default().to_owned();
        let told = self.told.get(&who).cloned().unwrap_or_default();
        let number = |key: &str, or: i32| options.get(key).map_or(or, |text| text.parse().expect("a number"));
        let member_id = options.get("id").map_or(told.member_id, |id| (*id).to_owned());
        let generation = number("gen", told.generation);
        let instance_id = instance_of(&who);
        let group = self.group.clone();
        let command = match verb {
            "join" => GroupCommand::Join(join(group, member_id, &who, options, &number)),
            "sync" => GroupCommand::Sync(SyncGroup {
                group,
                member_id,
                instance_id,
                generation,
                protocol_type: options.get("type").map(|text| (*text).to_owned()),
                protocol: options.get("protocol").map(|text| (*text).to_owned()),
                assignments: self.assignments(options),
            }),
            "beat" => GroupCommand::Heartbeat(Heartbeat { group, member_id, instance_id, generation }),
            "leave" => {
                let members = names.iter().map(|name| LeavingMember {
                    member_id: options.get("id").map_or_else(
                        || self.told.get(*name).cloned().unwrap_or_default().member_id,
                        |id| (*id).to_owned(),
                    ),
                    instance_id: instance_of(name),
                    reason: None,
                });
                let members = members.collect();
                GroupCommand::Leave(LeaveGroup { group, members })
            }
            _ => GroupCommand::Commit(CommitOffsets {
                group,
                member_id,
                instance_id,
                generation_or_epoch: if who.is_empty() { number("gen", -1) } else { generation },
                retention_time_ms: options.get("retain").map(|ms| ms.parse().expect("milliseconds")),
                knows_member_epochs: number("v", 9) >= 9,
                topics: commit_topics(options),
            }),
        };
        self.ask(&who, command);
    }

    /// A member of the new protocol is called like its id. `own=1:0,1:1` reports partitions of the topics that were made
    /// first, second and so on.
    fn play_consumer(&mut self, verb: &str, names: &[&str], options: &BTreeMap<&str, &str>) {
        let group = self.group.clone();
        if verb == "about" {
            return self.ask("", GroupCommand::ConsumerDescribe { group });
        }
        let who = names[0].to_owned();
        let told = self.told.get(&who).cloned().unwrap_or_default();
        let epoch = options.get("epoch").map_or(told.generation, |text| text.parse().expect("an epoch"));
        let own = options.get("own").map(|text| {
            let words = text.split(',').filter_map(|word| word.split_once(':'));
            let topics = words.map(|(number, partition)| TopicPartitions {
                topic_id: TopicId([number.parse().expect("a number"); 16]),
                partitions: vec![PartitionIndex(partition.parse().expect("a partition"))],
            });
            topics.collect()
        });
        let topics = options.get("topics").map(|text| text.split(',').map(str::to_owned).collect());
        self.ask(
            &who.clone(),
            GroupCommand::ConsumerHeartbeat(ConsumerHeartbeat {
                group,
                member_epoch: epoch,
                instance_id: instance_of(&who),
                rack_id: None,
                rebalance_timeout_ms: if epoch == 0 { 60_000 } else { -1 },
                subscribed_topic_names: topics.or_else(|| (epoch == 0).then(|| vec!["t".to_owned()])),
                subscribed_topic_regex: options.get("regex").map(|text| (*text).to_owned()),
                server_assignor: None,
                topic_partitions: own.or_else(|| (epoch == 0).then(Vec::new)),
                client: Client { id: who.clone(), host: "/127.0.0.1".into() },
                member_id: who,
                member_id_required: true,
            }),
        );
    }

    /// `a:x b:y` after `give=`: what the leader gives each client.
    fn assignments(&self, options: &BTreeMap<&str, &str>) -> Vec<(String, Arc<[u8]>)> {
        let given = options.get("give").copied().unwrap_or_default();
        let given = given.split(',').filter_map(|word| word.split_once(':'));
        let given = given.map(|(who, what)| (self.told[who].member_id.clone(), assignment(what)));
        given.collect()
    }

    fn play_admin(&mut self, verb: &str, names: &[&str], options: &BTreeMap<&str, &str>) {
        let group = self.group.clone();
        let list = |key: &str| {
            let text = options.get(key).copied().unwrap_or_default();
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        let command = match verb {
            "fetch" => {
                let topics: Vec<FetchTopic> = names.iter().map(|word| self.fetch_topic(word)).collect();
                GroupCommand::Fetch(FetchOffsets {
                    group,
                    member_id: None,
                    member_epoch: -1,
                    topics: (!topics.is_empty()).then_some(topics),
                    require_stable: false,
                    by_topic_id: options.contains_key("ids"),
                })
            }
            "describe" => GroupCommand::Describe { group },
            "list" => GroupCommand::List(ListGroups { states: list("states"), types: list("types") }),
            "delete" => GroupCommand::Delete { group },
            _ => {
                let topics = names.iter().map(|word| {
                    let (topic, partition) = split(word);
                    (topic.to_owned(), vec![partition])
                });
                GroupCommand::OffsetDelete(DeleteOffsets { group, topics: topics.collect() })
            }
        };
        self.ask("", command);
    }

    /// `t:0`, or `#1:0` for the topic that was made first.
    fn fetch_topic(&self, word: &str) -> FetchTopic {
        let (topic, partition) = split(word);
        match topic.strip_prefix('#') {
            Some(number) => FetchTopic {
                name: String::new(),
                id: TopicId([number.parse().expect("a number"); 16]),
                partitions: vec![partition],
            },
            None => FetchTopic { name: topic.into(), id: TopicId::ZERO, partitions: vec![partition] },
        }
    }
}

/// `t.0.1` is an assignment of the consumer protocol, everything else stands for itself.
fn assignment(text: &str) -> Arc<[u8]> {
    let mut words = text.split('.');
    let topic = words.next().unwrap_or_default();
    let partitions: Vec<i32> = words.filter_map(|word| word.parse().ok()).collect();
    if partitions.is_empty() {
        return text.as_bytes().into();
    }
    let mut writer = RecordWriter::new(1);
    writer.count(1);
    writer.string(topic);
    writer.count(partitions.len());
    partitions.iter().for_each(|&partition| writer.i32(partition));
    writer.i32(-1);
    writer.0.into()
}

/// An assignment of the consumer protocol as [`assignment`] reads it, everything else as text.
fn show_assignment(bytes: &[u8]) -> String {
    match embedded::decode_assignment(bytes) {
        Ok(given) if bytes.len() > 4 => {
            let topics = given.partitions.iter().map(|(topic, list)| {
                let list = list.iter().map(|partition| format!(".{partition}"));
                format!("{topic}{}", list.collect::<String>())
            });
            topics.collect::<Vec<_>>().join(" ")
        }
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The topics that were made first, second and so on with their partitions: `1.0.1`.
fn show_partitions<'a>(topics: impl Iterator<Item = (TopicId, &'a [PartitionIndex])>) -> String {
    let topics = topics.map(|(id, list)| {
        let list = list.iter().map(|partition| format!(".{partition}"));
        format!("{}{}", id.0[0], list.collect::<String>())
    });
    topics.collect::<Vec<_>>().join(" ")
}

fn show_heartbeat(answer: &ConsumerHeartbeatAnswer) -> String {
    match &answer.assignment {
        Some(topics) => {
            let topics = topics.iter().map(|topic| (topic.topic_id, topic.partitions.as_slice()));
            format!("at {} has [{}]", answer.member_epoch, show_partitions(topics))
        }
        None => format!("at {}", answer.member_epoch),
    }
}

fn show_consumer_group(group: &DescribedConsumerGroup) -> String {
    let members = group.members.iter().map(|member| {
        let named = |topics: &[NamedPartitions]| {
            show_partitions(topics.iter().map(|topic| (topic.topic_id, topic.partitions.as_slice())))
        };
        let (has, shall) = (named(&member.assignment), named(&member.target_assignment));
        let kind = if member.member_type == 0 { " classic" } else { "" };
        format!("{} at {}{kind} {has}/{shall}", member.client.id, member.member_epoch)
    });
    let members = members.collect::<Vec<_>>().join("; ");
    let (state, epoch, assigned) = (group.state, group.group_epoch, group.assignment_epoch);
    format!("{state} {epoch}/{assigned} {} [{members}]", group.assignor)
}

fn split(word: &str) -> (&str, PartitionIndex) {
    let (topic, partition) = word.split_once(':').expect("topic:partition");
    (topic, PartitionIndex(partition.parse().expect("a partition")))
}

fn instance_of(who: &str) -> Option<String> {
    who.chars().next().filter(char::is_ascii_uppercase).map(|letter| letter.to_string())
}

fn join(
    group: String,
    member_id: String,
    who: &str,
    options: &BTreeMap<&str, &str>,
    number: &dyn Fn(&str, i32) -> i32,
) -> JoinGroup {
    let topics: Vec<&str> = options.get("topics").copied().unwrap_or("t").split(',').collect();
    let metadata = subscription(&topics);
    let names = options.get("protocols").copied().unwrap_or("range");
    let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let protocols =
        names.iter().map(|name| JoinProtocol { name: (*name).to_owned(), metadata: metadata.clone() });
    JoinGroup {
        group,
        member_id,
        instance_id: instance_of(who),
        client: Client { id: who.to_owned(), host: "/127.0.0.1".into() },
        session_timeout_ms: number("session", 10_000),
        rebalance_timeout_ms: number("rebalance", 60_000),
        protocol_type: options.get("type").copied().unwrap_or("consumer").to_owned(),
        protocols: protocols.collect(),
        reason: None,
        member_id_required: number("v", 9) >= 4,
        skip_assignment: number("v", 9) >= 9,
    }
}

/// `t:0=5` commits 5; `meta` and `epoch` go with every partition, `#1` names a topic by its id.
fn commit_topics(options: &BTreeMap<&str, &str>) -> Vec<CommitTopic> {
    let offsets = options.iter().filter(|(key, _)| key.contains(':'));
    let topics = offsets.map(|(key, offset)| {
        let (topic, index) = split(key);
        let id = topic.strip_prefix('#').map(|number| TopicId([number.parse().expect("a number"); 16]));
        let partition = CommitPartition {
            index,
            offset: offset.parse().expect("an offset"),
            leader_epoch: options.get("epoch").map_or(-1, |text| text.parse().expect("an epoch")),
            metadata: options.get("meta").map(|text| (*text).to_owned()),
        };
        CommitTopic {
            name: if id.is_some() { String::new() } else { topic.to_owned() },
            id: id.unwrap_or(TopicId::ZERO),
            partitions: vec![partition],
        }
    });
    topics.collect()
}

/// The client behind a member id.
fn client(id: &str) -> &str {
    id.split('-').next().unwrap_or_default()
}

fn show_error(error: Option<GroupError>) -> String {
    error.map_or_else(|| "ok".to_owned(), |error| format!("{error:?}"))
}

fn show_joined(joined: &Joined) -> String {
    if let Some(error) = joined.error {
        return format!("{error:?}");
    }
    let members: BTreeSet<&str> = joined.members.iter().map(|member| client(&member.member_id)).collect();
    let members = members.into_iter().collect::<Vec<_>>().join(",");
    let skip = if joined.skip_assignment { " skip" } else { "" };
    let protocol = joined.protocol.as_deref().unwrap_or_default();
    format!("in {} {protocol} led by {} [{members}]{skip}", joined.generation, client(&joined.leader))
}

pub fn show(answer: &GroupAnswer) -> String {
    match answer {
        GroupAnswer::Refused(error) => format!("refused {error:?}"),
        GroupAnswer::Join(joined) => show_joined(joined),
        GroupAnswer::Sync(synced) => match synced.error {
            Some(error) => format!("{error:?}"),
            None => format!("has '{}'", show_assignment(&synced.assignment)),
        },
        GroupAnswer::Heartbeat(result) => show_error(result.err()),
        GroupAnswer::Leave(Ok(left)) => {
            left.iter().map(|member| show_error(member.error)).collect::<Vec<_>>().join(",")
        }
        GroupAnswer::Commit(topics) => {
            let errors = topics.iter().flat_map(|topic| &topic.partitions);
            errors.map(|(_, error)| show_error(*error)).collect::<Vec<_>>().join(",")
        }
        GroupAnswer::Fetch(Ok(topics)) => {
            let offsets = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
            let offsets = offsets.map(|(topic, p)| match p.error {
                Some(error) => format!("{}:{} {error:?}", topic.name, p.index),
                None if p.leader_epoch == -1 && p.metadata.is_empty() => {
                    format!("{}:{}={}", topic.name, p.index, p.offset)
                }
                None => {
                    format!(
                        "{}:{}={} epoch {} '{}'",
                        topic.name, p.index, p.offset, p.leader_epoch, p.metadata
                    )
                }
            });
            format!("[{}]", offsets.collect::<Vec<_>>().join(" "))
        }
        GroupAnswer::Describe(group) => {
            let members = group.members.iter().map(|member| {
                let assignment = show_assignment(&member.assignment);
                format!("{}:{}:{assignment}", client(&member.member_id), member.metadata.len())
            });
            let error = group.error.map(|error| format!(" {error:?}")).unwrap_or_default();
            let (kind, protocol) = (&group.protocol_type, &group.protocol);
            let members = members.collect::<Vec<_>>().join(" ");
            format!("{} '{kind}' '{protocol}' [{members}]{error}", group.state)
        }
        GroupAnswer::List(groups) => {
            let groups = groups.iter().map(|group| {
                format!("{}:{}:{}:{}", group.group, group.protocol_type, group.state, group.group_type)
            });
            groups.collect::<Vec<_>>().join(" ")
        }
        GroupAnswer::ConsumerHeartbeat(Err(refusal)) | GroupAnswer::ConsumerDescribe(Err(refusal)) => {
            format!("{:?}", refusal.error)
        }
        GroupAnswer::ConsumerHeartbeat(Ok(answer)) => show_heartbeat(answer),
        GroupAnswer::ConsumerDescribe(Ok(group)) => show_consumer_group(group),
        GroupAnswer::Delete(result) => show_error(result.err()),
        GroupAnswer::OffsetDelete(Ok(topics)) => {
            let errors = topics.iter().flat_map(|topic| &topic.partitions);
            errors.map(|(_, error)| show_error(*error)).collect::<Vec<_>>().join(",")
        }
        other => format!("{other:?}"),
    }
}
