//! Groups through the whole of two shards: a client's frames in, answers out, with a disk that does everything at once.
//!
//! What a coordinator decides is tested where it lives; here it is routing, every version of every API, durability
//! before answers, and what a shard does when it is not, or no longer, the place to ask.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use corelane_base::id::{ConnId, ShardId};
use corelane_base::time::{Mono, Now, WallMs};
use corelane_control::configs::settings::{Origin, Setting, Settings};
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, FileHandle, FileObject};
use corelane_node::event::{Effects, Event, NetEffect};
use corelane_node::mesh::MeshMessage;
use corelane_node::send::SendPart;
use corelane_node::shard::{Shard, ShardSettings};
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use corelane_wire::message::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use corelane_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use corelane_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use corelane_wire::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use corelane_wire::message::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use corelane_wire::message::list_groups::{ListGroupsRequest, ListGroupsResponse};
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use corelane_wire::message::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use corelane_wire::message::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use corelane_wire::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use corelane_wire::primitive::{DecodeError, EncodeError, Reader, Writer};

/// A file of which only the existence matters.
struct Nothing;

impl FileObject for Nothing {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Some shards, a mesh, a disk, and one client at each shard.
struct World {
    shards: Vec<Shard>,
    effects: Vec<Effects>,
    now: Now,
    mesh: VecDeque<(ShardId, ShardId, MeshMessage)>,
    mesh_count: usize,
    sent: Vec<Vec<u8>>,
    /// Writes are kept waiting: nothing becomes durable.
    slow: bool,
    /// Writes fail.
    broken: bool,
    held: Vec<(usize, corelane_log::disk::DiskToken, DiskOp)>,
}

impl World {
    fn start(shard_count: u16) -> World {
        let set = |key: &str, value: &str| Setting {
            key: key.to_owned(),
            value: value.to_owned(),
            origin: Origin::Flag,
        };
        let config = Settings::from_list(&[
            set("group.initial.rebalance.delay.ms", "0"),
            set("offsets.topic.num.partitions", "8"),
        ])
        .expect("valid");
        let shard = |shard| {
            Shard::new(ShardSettings {
                shard: ShardId(shard),
                shard_count,
                seed: u64::from(shard) + 1,
                advertised_host: "localhost".to_owned(),
                advertised_port: 9092,
                config: Arc::new(config.clone()),
                data_dir: "nowhere".to_owned(),
            })
        };
        let mut world = World {
            shards: (0..shard_count).map(shard).collect(),
            effects: (0..shard_count).map(|_| Effects::default()).collect(),
            now: Now { mono: Mono(1), wall: WallMs(1_800_000_000_000) },
            mesh: VecDeque::new(),
            mesh_count: 0,
            sent: vec![Vec::new(); shard_count.into()],
            slow: false,
            broken: false,
            held: Vec::new(),
        };
        for at in 0..shard_count.into() {
            world.shards[at].start(world.now, &mut world.effects[at]);
        }
        world.settle();
        let peer = ([127, 0, 0, 1], 1).into();
        for at in 0..shard_count.into() {
            let accepted = Event::Accepted { conn: CONN, peer };
            world.shards[at].apply(world.now, accepted, &mut world.effects[at]);
        }
        world.settle();
        world
    }

    /// Turns until nothing happens any more.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for at in 0..self.shards.len() {
                quiet &= self.turn(at);
                if self.shards[at].next_deadline().is_some_and(|due| due <= self.now.mono) {
                    quiet = false;
                    self.shards[at].apply(self.now, Event::Timer, &mut self.effects[at]);
                }
            }
            while let Some((from, to, message)) = self.mesh.pop_front() {
                quiet = false;
                let at = usize::from(to.0);
                self.shards[at].apply(self.now, Event::Mesh { from, message }, &mut self.effects[at]);
            }
            if quiet {
                self.shards.iter().for_each(Shard::check_invariants);
                return;
            }
        }
    }

    fn turn(&mut self, at: usize) -> bool {
        self.shards[at].end_turn(self.now, &mut self.effects[at]);
        let fx = std::mem::take(&mut self.effects[at]);
        let Effects { net, mut disk, mesh, .. } = fx;
        let mut quiet = net.is_empty() && mesh.is_empty();
        for (to, message) in mesh {
            self.mesh_count += 1;
            self.mesh.push_back((ShardId(at as u16), to, message));
        }
        let ops: Vec<_> = disk.drain().collect();
        quiet &= ops.is_empty();
        self.effects[at].disk = disk;
        for effect in net {
            if let NetEffect::Send { conn, parts } = effect {
                for part in parts {
                    let SendPart::Memory(bytes) = part else { panic!("nothing lies in files here") };
                    self.sent[at].extend_from_slice(&bytes);
                }
                self.shards[at].apply(self.now, Event::Sent { conn }, &mut self.effects[at]);
            }
        }
        for (token, op) in ops {
            if self.slow && matches!(op, DiskOp::Write { .. }) {
                self.held.push((at, token, op));
                continue;
            }
            let result = self.carry_out(&op);
            self.shards[at].apply(self.now, Event::Disk { token, result }, &mut self.effects[at]);
        }
        quiet
    }

    fn carry_out(&self, op: &DiskOp) -> Result<DiskOutcome, DiskError> {
        Ok(match op {
            DiskOp::Write { .. } if self.broken => return Err(DiskError::Io(5)),
            DiskOp::List { .. } => DiskOutcome::Listed(Vec::new()),
            DiskOp::ReadFile { .. } => DiskOutcome::File(None),
            DiskOp::Space => DiskOutcome::Space { total: 1 << 40, free: 1 << 40 },
            DiskOp::CreateSegment { bytes, .. } => {
                DiskOutcome::Opened { file: FileHandle::new(Nothing), len: *bytes }
            }
            _ => DiskOutcome::Done,
        })
    }

    /// The disk goes on.
    fn release(&mut self) {
        self.slow = false;
        for (at, token, op) in std::mem::take(&mut self.held) {
            let result = self.carry_out(&op);
            self.shards[at].apply(self.now, Event::Disk { token, result }, &mut self.effects[at]);
        }
        self.settle();
    }

    /// Sends a request to a shard; what it answers is collected.
    fn send(
        &mut self,
        shard: usize,
        key: ApiKey,
        version: i16,
        encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) {
        let mut writer = Writer::frame(256);
        let header = RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id: 7,
            client_id: Some("test"),
        };
        header.encode(&mut writer).expect("a short client id");
        encode(&mut writer).expect("only fields of that version are used");
        let frame = writer.into_parts().expect("far below 2 GiB").0;
        let received = Event::Received { conn: CONN, bytes: &frame };
        self.shards[shard].apply(self.now, received, &mut self.effects[shard]);
        self.settle();
    }

    /// The one answer that a shard has sent since the last look.
    fn answer<T>(
        &mut self,
        shard: usize,
        key: ApiKey,
        version: i16,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> T {
        let bytes = std::mem::take(&mut self.sent[shard]);
        assert!(bytes.len() > 4, "{key:?} v{version} is answered");
        let len = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
        assert_eq!(len + 4, bytes.len(), "one answer");
        let mut reader = Reader::new(&bytes[4..]);
        ResponseHeader::decode(&mut reader, key.code(), version).expect("a header");
        let value = decode(&mut reader).expect("a response of that version");
        reader.finish().expect("nothing behind it");
        value
    }
}

const CONN: ConnId = ConnId { slot: 0, generation: 0 };

/// Sends a request and evaluates `$look` with its answer as `$response`.
macro_rules! ask {
    ($world:expr, $shard:expr, $key:ident, $version:expr, $request:expr, $answer:ident, |$response:ident| $look:expr) => {{
        let version = $version;
        let request = $request;
        $world.send($shard, ApiKey::$key, version, |writer| request.encode(writer, version));
        $world.answer($shard, ApiKey::$key, version, |reader| {
            let $response = $answer::decode(reader, version)?;
            Ok($look)
        })
    }};
}

fn find(world: &mut World, shard: usize) {
    let request = FindCoordinatorRequest { key: "g", ..FindCoordinatorRequest::default() };
    let found = ask!(world, shard, FindCoordinator, 3, request, FindCoordinatorResponse, |r| (
        r.error_code,
        r.node_id,
        r.port
    ));
    assert_eq!(found, (0, 1, 9092));
}

fn join_request<'a>(group: &'a str, member: &'a str, version: i16) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id: group,
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: if version == 0 { -1 } else { 10_000 },
        member_id: member,
        protocol_type: "consumer",
        protocols: vec![JoinGroupRequestProtocol { name: "range", metadata: b"\0\0\0\0\0\0\0\0\0\0" }],
        ..JoinGroupRequest::default()
    }
}

/// Joins as the only member; gives its id.
fn join(world: &mut World, shard: usize, group: &str, version: i16) -> String {
    let mut member = String::new();
    loop {
        let request = join_request(group, &member, version);
        let (error, id, leader, generation) =
            ask!(world, shard, JoinGroup, version, request, JoinGroupResponse, |r| {
                (r.error_code, r.member_id.to_owned(), r.leader.to_owned(), r.generation_id)
            });
        if error == ErrorCode::MemberIdRequired.code() && member.is_empty() {
            member = id;
            continue;
        }
        assert_eq!((error, generation), (0, 1), "v{version}");
        assert_eq!(id, leader);
        return id;
    }
}

fn sync(world: &mut World, shard: usize, group: &str, member: &str, version: i16) -> (i16, Vec<u8>) {
    let request = SyncGroupRequest {
        group_id: group,
        generation_id: 1,
        member_id: member,
        protocol_type: Some("consumer"),
        protocol_name: Some("range"),
        assignments: vec![SyncGroupRequestAssignment { member_id: member, assignment: b"mine" }],
        ..SyncGroupRequest::default()
    };
    ask!(world, shard, SyncGroup, version, request, SyncGroupResponse, |r| (
        r.error_code,
        r.assignment.to_vec()
    ))
}

fn heartbeat(world: &mut World, shard: usize, group: &str, member: &str, version: i16) -> i16 {
    let request = HeartbeatRequest {
        group_id: group,
        generation_id: 1,
        member_id: member,
        ..HeartbeatRequest::default()
    };
    ask!(world, shard, Heartbeat, version, request, HeartbeatResponse, |r| r.error_code)
}

fn commit_request<'a>(group: &'a str, member: &'a str, offset: i64) -> OffsetCommitRequest<'a> {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some("note"),
    };
    OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: if member.is_empty() { -1 } else { 1 },
        member_id: member,
        topics: vec![OffsetCommitRequestTopic {
            name: "topic",
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    }
}

fn commit(world: &mut World, shard: usize, group: &str, member: &str, offset: i64, version: i16) -> i16 {
    let request = commit_request(group, member, offset);
    ask!(world, shard, OffsetCommit, version, request, OffsetCommitResponse, |r| {
        r.topics[0].partitions[0].error_code
    })
}

/// The offset of `topic`-0 and the error of the group.
fn fetch(world: &mut World, shard: usize, group: &str, version: i16) -> (i64, i16) {
    if version >= 8 {
        let topic = OffsetFetchRequestTopics {
            name: "topic",
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        };
        let asked = OffsetFetchRequestGroup {
            group_id: group,
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![asked], ..OffsetFetchRequest::default() };
        return ask!(world, shard, OffsetFetch, version, request, OffsetFetchResponse, |r| {
            let topics = &r.groups[0].topics;
            (topics.first().map_or(-2, |topic| topic.partitions[0].committed_offset), r.groups[0].error_code)
        });
    }
    let topic = OffsetFetchRequestTopic { name: "topic", partition_indexes: vec![0] };
    let request =
        OffsetFetchRequest { group_id: group, topics: Some(vec![topic]), ..OffsetFetchRequest::default() };
    ask!(world, shard, OffsetFetch, version, request, OffsetFetchResponse, |r| {
        let partition = r.topics.first().map(|topic| &topic.partitions[0]);
        let of_partition = partition.map_or(0, |partition| partition.error_code);
        (partition.map_or(-2, |partition| partition.committed_offset), r.error_code.max(of_partition))
    })
}

fn create_topic(world: &mut World) {
    use corelane_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
    let topic = CreatableTopic {
        name: "topic",
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let error = ask!(world, 0, CreateTopics, 5, request, CreateTopicsResponse, |r| r.topics[0].error_code);
    assert_eq!(error, 0);
}

fn versions(key: ApiKey) -> impl Iterator<Item = i16> {
    key.info().version_min..=key.info().version_max
}

#[test]
fn without_a_topic_of_offsets_there_is_no_coordinator_until_one_is_looked_for() {
    let mut world = World::start(2);
    let not_here = ErrorCode::NotCoordinator.code();
    for version in versions(ApiKey::Heartbeat) {
        assert_eq!(heartbeat(&mut world, 0, "g", "m", version), not_here);
    }
    for version in versions(ApiKey::OffsetCommit).filter(|version| *version < 10) {
        assert_eq!(commit(&mut world, 0, "g", "", 1, version), not_here, "v{version}");
    }
    for version in versions(ApiKey::OffsetFetch).filter(|version| *version < 10) {
        assert_eq!(fetch(&mut world, 0, "g", version).1, not_here, "v{version}");
    }
    find(&mut world, 1);
    assert_eq!(heartbeat(&mut world, 0, "g", "m", 4), ErrorCode::UnknownMemberId.code());
}

#[test]
fn a_member_s_life_in_every_version_from_every_shard() {
    let mut world = World::start(2);
    create_topic(&mut world);
    find(&mut world, 0);
    for round in 0..12i16 {
        for shard in 0..2 {
            let group = format!("group-{round}-{shard}");
            let of = |key: ApiKey| (key.info().version_min + round).min(key.info().version_max);
            let member = join(&mut world, shard, &group, of(ApiKey::JoinGroup));
            let version = of(ApiKey::SyncGroup);
            assert_eq!(
                sync(&mut world, shard, &group, &member, version),
                (0, b"mine".to_vec()),
                "v{version}"
            );
            assert_eq!(heartbeat(&mut world, shard, &group, &member, of(ApiKey::Heartbeat)), 0);
            let version = of(ApiKey::OffsetCommit).min(9);
            assert_eq!(commit(&mut world, shard, &group, &member, 40 + i64::from(round), version), 0);
            let version = of(ApiKey::OffsetFetch).min(9);
            assert_eq!(
                fetch(&mut world, 1 - shard, &group, version),
                (40 + i64::from(round), 0),
                "v{version}"
            );
            describe(&mut world, shard, &group, &member, of(ApiKey::DescribeGroups));
            leave(&mut world, shard, &group, &member, of(ApiKey::LeaveGroup));
            list(&mut world, shard, &group, of(ApiKey::ListGroups));
            delete(&mut world, shard, &group, of(ApiKey::DeleteGroups));
        }
    }
    assert_eq!(world.shards[0].pending_count() + world.shards[1].pending_count(), 0);
}

fn describe(world: &mut World, shard: usize, group: &str, member: &str, version: i16) {
    let request =
        DescribeGroupsRequest { groups: vec![group, "nobody"], include_authorized_operations: version >= 3 };
    let (found, absent) = ask!(world, shard, DescribeGroups, version, request, DescribeGroupsResponse, |r| {
        let group = &r.groups[0];
        let member = &group.members[0];
        let host = member.client_host.to_owned();
        let found = (group.error_code, group.group_state.to_owned(), member.member_id.to_owned(), host);
        (found, (r.groups[1].error_code, r.groups[1].group_state.to_owned()))
    });
    assert_eq!(found, (0, "Stable".to_owned(), member.to_owned(), "/127.0.0.1".to_owned()));
    let not_found = if version >= 6 { ErrorCode::GroupIdNotFound.code() } else { 0 };
    assert_eq!(absent, (not_found, "Dead".to_owned()), "v{version}");
}

fn leave(world: &mut World, shard: usize, group: &str, member: &str, version: i16) {
    let mut request = LeaveGroupRequest { group_id: group, ..LeaveGroupRequest::default() };
    if version >= 3 {
        let member = MemberIdentity { member_id: member, ..MemberIdentity::default() };
        request.members = vec![member];
    } else {
        request.member_id = member;
    }
    let errors = ask!(world, shard, LeaveGroup, version, request.clone(), LeaveGroupResponse, |r| {
        (r.error_code, r.members.iter().map(|member| member.error_code).collect::<Vec<_>>())
    });
    assert_eq!(errors, (0, if version >= 3 { vec![0] } else { vec![] }), "v{version}");
    let unknown = ErrorCode::UnknownMemberId.code();
    let errors = ask!(world, shard, LeaveGroup, version, request, LeaveGroupResponse, |r| {
        (r.error_code, r.members.iter().map(|member| member.error_code).collect::<Vec<_>>())
    });
    assert_eq!(errors, if version >= 3 { (0, vec![unknown]) } else { (unknown, vec![]) }, "v{version}");
}

fn list(world: &mut World, shard: usize, group: &str, version: i16) {
    let states = if version >= 4 { vec!["Empty"] } else { vec![] };
    let request = ListGroupsRequest { states_filter: states, ..ListGroupsRequest::default() };
    let listed = ask!(world, shard, ListGroups, version, request, ListGroupsResponse, |r| {
        assert_eq!(r.error_code, 0);
        r.groups.iter().map(|group| group.group_id.to_owned()).collect::<Vec<_>>()
    });
    assert_eq!(listed, [group]);
}

fn delete(world: &mut World, shard: usize, group: &str, version: i16) {
    use corelane_wire::message::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let topics = vec![OffsetDeleteRequestTopic { name: "topic", partitions }];
    let request = OffsetDeleteRequest { group_id: group, topics };
    let errors = ask!(world, shard, OffsetDelete, 0, request, OffsetDeleteResponse, |r| {
        (r.error_code, r.topics[0].partitions[0].error_code)
    });
    assert_eq!(errors, (0, 0));
    assert_eq!(fetch(world, shard, group, 5), (-1, 0));
    let request = DeleteGroupsRequest { groups_names: vec![group, "nobody"] };
    let errors = ask!(world, shard, DeleteGroups, version, request, DeleteGroupsResponse, |r| {
        r.results.iter().map(|result| (result.group_id.to_owned(), result.error_code)).collect::<Vec<_>>()
    });
    // Without offsets and members a group may be gone before it is deleted.
    assert!([0, ErrorCode::GroupIdNotFound.code()].contains(&errors[0].1), "{errors:?}");
    assert_eq!(errors[1], ("nobody".to_owned(), ErrorCode::GroupIdNotFound.code()));
}

#[test]
fn a_consumer_group_s_member_is_assigned_and_described() {
    use corelane_wire::message::consumer_group_describe::{
        ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    };
    use corelane_wire::message::consumer_group_heartbeat::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    };
    for version in versions(ApiKey::ConsumerGroupHeartbeat) {
        let mut world = World::start(2);
        create_topic(&mut world);
        find(&mut world, 0);
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "g",
            member_id: if version == 0 { "" } else { "AAAAAAAAAAAAAAAAAAAAAA" },
            rebalance_timeout_ms: 10_000,
            subscribed_topic_names: Some(vec!["topic"]),
            topic_partitions: Some(Vec::new()),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let (error, member, epoch) =
            ask!(world, 0, ConsumerGroupHeartbeat, version, request, ConsumerGroupHeartbeatResponse, |r| {
                (r.error_code, r.member_id.map(str::to_owned), r.member_epoch)
            });
        assert_eq!((error, epoch > 0), (0, true), "v{version}");
        let member = member.expect("a member has an id");
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "g",
            member_id: &member,
            member_epoch: epoch,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let error =
            ask!(world, 1, ConsumerGroupHeartbeat, version, request, ConsumerGroupHeartbeatResponse, |r| {
                r.error_code
            });
        assert_eq!(error, 0);
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec!["g", "nobody"],
            ..ConsumerGroupDescribeRequest::default()
        };
        let described =
            ask!(world, 1, ConsumerGroupDescribe, version, request, ConsumerGroupDescribeResponse, |r| {
                let member = &r.groups[0].members[0];
                let topics = &member.target_assignment.topic_partitions;
                let name = topics.first().map(|topic| topic.topic_name.to_owned());
                (r.groups[0].error_code, member.member_id.to_owned(), name, r.groups[1].error_code)
            });
        let not_found = ErrorCode::GroupIdNotFound.code();
        assert_eq!(described, (0, member, Some("topic".to_owned()), not_found), "v{version}");
    }
}

#[test]
fn resources_with_settings_are_listed() {
    use corelane_wire::message::list_config_resources::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
    };
    let mut world = World::start(2);
    create_topic(&mut world);
    let mut list = |version: i16, types: &[i8]| {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
        ask!(world, 1, ListConfigResources, version, request, ListConfigResourcesResponse, |r| {
            let names = r.config_resources.iter();
            (
                r.error_code,
                names.map(|each| (each.resource_type, each.resource_name.to_owned())).collect::<Vec<_>>(),
            )
        })
    };
    assert_eq!(list(0, &[]), (0, vec![]));
    assert_eq!(list(1, &[]), (0, vec![(2, "topic".to_owned()), (4, "1".to_owned()), (8, "1".to_owned())]));
    assert_eq!(list(1, &[4, 4, 32]), (0, vec![(4, "1".to_owned())]));
    assert_eq!(list(1, &[2, 99]), (ErrorCode::UnsupportedVersion.code(), vec![]));
}

#[test]
fn a_heartbeat_is_one_message_there_and_one_back_at_most() {
    let mut world = World::start(2);
    find(&mut world, 0);
    let member = join(&mut world, 0, "g", 4);
    sync(&mut world, 0, "g", &member, 3);
    let mut messages = Vec::new();
    for shard in 0..2 {
        let before = world.mesh_count;
        assert_eq!(heartbeat(&mut world, shard, "g", &member, 4), 0);
        messages.push(world.mesh_count - before);
    }
    messages.sort_unstable();
    assert_eq!(messages, [0, 2], "from the coordinator's own shard, and from the other");
}

#[test]
fn commits_are_answered_when_they_are_durable_and_share_a_batch() {
    let mut world = World::start(1);
    create_topic(&mut world);
    find(&mut world, 0);
    world.slow = true;
    for offset in 1..=20 {
        let request = commit_request("g", "", offset);
        world.send(0, ApiKey::OffsetCommit, 7, |writer| request.encode(writer, 7));
    }
    assert!(world.sent[0].is_empty(), "nothing is on disk");
    let writes = world.held.len();
    assert_eq!(writes, 1, "the rest waits for the first");
    world.release();
    let answers = std::mem::take(&mut world.sent[0]);
    assert!(!answers.is_empty());
    let one = answers.len() / 20;
    assert_eq!(answers.len(), 20 * one, "all twenty are answered");
    assert_eq!(fetch(&mut world, 0, "g", 5), (20, 0));
}

#[test]
fn a_heartbeat_passes_what_waits_on_another_connection() {
    let mut world = World::start(2);
    create_topic(&mut world);
    find(&mut world, 0);
    let member = join(&mut world, 0, "g", 4);
    sync(&mut world, 0, "g", &member, 3);
    // A second member's join waits for the first to join again, which it does not do.
    let request = join_request("g", "", 3);
    world.send(0, ApiKey::JoinGroup, 3, |writer| request.encode(writer, 3));
    assert!(world.sent[0].is_empty());
    let rebalance = ErrorCode::RebalanceInProgress.code();
    assert_eq!(heartbeat(&mut world, 1, "g", &member, 4), rebalance);
    // And ends with the time the first is given.
    world.now.mono = world.now.mono.plus_ms(10_001);
    world.settle();
    let generation = world.answer(0, ApiKey::JoinGroup, 3, |reader| {
        JoinGroupResponse::decode(reader, 3).map(|response| response.generation_id)
    });
    assert_eq!(generation, 2);
}

#[test]
fn a_log_that_fails_takes_its_groups_with_it_and_no_others() {
    let mut world = World::start(1);
    create_topic(&mut world);
    find(&mut world, 0);
    world.broken = true;
    assert_eq!(commit(&mut world, 0, "g", "", 1, 7), ErrorCode::NotCoordinator.code());
    world.broken = false;
    assert_eq!(commit(&mut world, 0, "g", "", 1, 7), ErrorCode::CoordinatorNotAvailable.code());
    assert_eq!(commit(&mut world, 0, "h", "", 1, 7), 0, "in another partition");
}

#[test]
fn a_stop_answers_what_waits() {
    let mut world = World::start(2);
    find(&mut world, 0);
    let member = join(&mut world, 0, "g", 4);
    let request = join_request("g", "", 3);
    world.send(1, ApiKey::JoinGroup, 3, |writer| request.encode(writer, 3));
    assert!(!member.is_empty() && world.sent[1].is_empty());
    for at in 0..2 {
        world.shards[at].apply(world.now, Event::Shutdown, &mut world.effects[at]);
    }
    world.settle();
    let error = world.answer(1, ApiKey::JoinGroup, 3, |reader| {
        JoinGroupResponse::decode(reader, 3).map(|response| response.error_code)
    });
    assert_eq!(error, ErrorCode::NotCoordinator.code());
}
