//! Groups: commits per second, the start behind many commits, and how long a large group takes to settle.
//!
//! The members here answer at once. What is measured is the coordinator; a real group adds up to one heartbeat interval
//! of its clients until all have heard.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use corelane_wire::api::ApiKey;
use corelane_wire::message::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use corelane_wire::message::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use corelane_wire::message::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use corelane_wire::message::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use corelane_wire::message::leave_group::LeaveGroupRequest;
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use corelane_wire::message::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
use corelane_wire::message::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use corelane_wire::primitive::{DecodeError, Reader};

use crate::Common;
use crate::broker::{Broker, fresh};
use crate::connection::{Connection, body, request};

const TOPIC: &str = "grouped";
/// Versions that name topics and carry one group in a request.
const COMMIT_VERSION: i16 = 7;
const FETCH_VERSION: i16 = 7;
/// Version 3 does not send a new member away to come back with an id.
const JOIN_VERSION: i16 = 3;
const SYNC_VERSION: i16 = 2;
const BEAT_VERSION: i16 = 2;
const LEAVE_VERSION: i16 = 2;
const COORDINATOR_VERSION: i16 = 3;
/// Kafka's code for a coordinator that still reads its partition.
const LOAD_IN_PROGRESS: i16 = 14;
const NOT_AVAILABLE: i16 = 15;
/// What the coordinator of a consumer group is asked at most until the group has settled, as a guard.
const ROUNDS_MAX: u32 = 1000;

/// See the subcommand's help.
pub fn groups(common: &Common, groups: u32, commits: u32, members: usize) -> io::Result<()> {
    let dir = fresh(common, "groups")?;
    let data = dir.join("data");
    let broker = Broker::start(common, &data)?;
    let mut connection = Connection::open(&broker.address)?;
    connection.create_topic(TOPIC, 2 * members as i32)?;
    find_coordinator(&mut connection)?;
    commit_rate(common, &broker, &mut connection)?;
    settle_classic(&broker.address, members)?;
    settle_consumer(&broker.address, members)?;

    let partitions = (commits / groups).clamp(1, 2 * members as u32);
    let began = Instant::now();
    let frames = (0..groups).map(|group| commit_request(&format!("load-{group}"), partitions, 7));
    pipelined(&mut connection, frames, 64)?;
    let stored = u64::from(groups) * u64::from(partitions);
    println!(
        "{groups} groups committed {stored} offsets in {:.1} s, {partitions} in each request",
        began.elapsed().as_secs_f64()
    );
    broker.kill()?;
    let began = Instant::now();
    let broker = Broker::start(common, &data)?;
    let mut connection = Connection::open(&broker.address)?;
    for group in 0..groups {
        await_loaded(&mut connection, &format!("load-{group}"), partitions)?;
    }
    println!(
        "after kill -9: ready {:.0} ms after exec, all {groups} groups answered with their offsets {:.0} ms after exec",
        broker.ready.as_secs_f64() * 1e3,
        began.elapsed().as_secs_f64() * 1e3
    );
    broker.stop()?;
    std::fs::remove_dir_all(&dir)
}

/// Sends one request and gives what `take` makes of the answer.
fn exchange<T>(
    connection: &mut Connection,
    frame: &[u8],
    key: ApiKey,
    version: i16,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> io::Result<T> {
    connection.send(frame)?;
    receive(connection, key, version, take)
}

fn receive<T>(
    connection: &mut Connection,
    key: ApiKey,
    version: i16,
    take: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> io::Result<T> {
    let mut reader = body(connection.receive()?, key, version)?;
    take(&mut reader).map_err(io::Error::other)
}

fn refused(what: &str, code: i16) -> io::Error {
    io::Error::other(format!("{what} was refused with code {code}"))
}

/// The first such request makes the topic of the offsets.
fn find_coordinator(connection: &mut Connection) -> io::Result<()> {
    let message = FindCoordinatorRequest { key: "any", ..FindCoordinatorRequest::default() };
    let frame =
        request(ApiKey::FindCoordinator, COORDINATOR_VERSION, |w, version| message.encode(w, version));
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let code = exchange(connection, &frame, ApiKey::FindCoordinator, COORDINATOR_VERSION, |reader| {
            Ok(FindCoordinatorResponse::decode(reader, COORDINATOR_VERSION)?.error_code)
        })?;
        match code {
            0 => return Ok(()),
            NOT_AVAILABLE if Instant::now() < end => {}
            code => return Err(refused("FindCoordinator", code)),
        }
    }
}

fn commit_request(group: &str, partitions: u32, offset: i64) -> Vec<u8> {
    let rows = (0..partitions as i32).map(|partition_index| OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(""),
    });
    let topic = OffsetCommitRequestTopic { name: TOPIC, partitions: rows.collect(), topic_id: [0; 16] };
    let message = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    request(ApiKey::OffsetCommit, COMMIT_VERSION, |w, version| message.encode(w, version))
}

/// Sends commits, `depth` under way; each must be taken.
fn pipelined(
    connection: &mut Connection,
    frames: impl Iterator<Item = Vec<u8>>,
    depth: usize,
) -> io::Result<()> {
    let mut under_way = 0;
    for frame in frames {
        connection.send(&frame)?;
        under_way += 1;
        if under_way == depth {
            committed(connection)?;
            under_way -= 1;
        }
    }
    (0..under_way).try_for_each(|_| committed(connection))
}

fn committed(connection: &mut Connection) -> io::Result<()> {
    let code = receive(connection, ApiKey::OffsetCommit, COMMIT_VERSION, |reader| {
        let answer = OffsetCommitResponse::decode(reader, COMMIT_VERSION)?;
        let mut codes = answer.topics.iter().flat_map(|topic| &topic.partitions).map(|row| row.error_code);
        Ok(codes.find(|code| *code != 0))
    })?;
    code.map_or(Ok(()), |code| Err(refused("OffsetCommit", code)))
}

fn commit_rate(common: &Common, broker: &Broker, connection: &mut Connection) -> io::Result<()> {
    const COMMITS: u32 = 50_000;
    for (partitions, commits) in [(1, COMMITS), (10, COMMITS / 10)] {
        let frames: Vec<Vec<u8>> =
            (0..100).map(|group| commit_request(&format!("rate-{group}"), partitions, 5)).collect();
        let (cpu, began) = (broker.cpu()?, Instant::now());
        pipelined(connection, (0..commits).map(|n| frames[n as usize % frames.len()].clone()), 64)?;
        let (cpu, took) = (broker.cpu()? - cpu, began.elapsed());
        println!(
            "commits of {partitions} offsets, depth 64, {} shards: {:.0} commits/s, {:.1} us of broker CPU each: {:.0} commits/s per core",
            common.shards,
            f64::from(commits) / took.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / f64::from(commits),
            f64::from(commits) / cpu.as_secs_f64(),
        );
    }
    Ok(())
}

fn await_loaded(connection: &mut Connection, group: &str, partitions: u32) -> io::Result<()> {
    let message = OffsetFetchRequest { group_id: group, topics: None, ..OffsetFetchRequest::default() };
    let frame = request(ApiKey::OffsetFetch, FETCH_VERSION, |w, version| message.encode(w, version));
    loop {
        let (code, rows) = exchange(connection, &frame, ApiKey::OffsetFetch, FETCH_VERSION, |reader| {
            let answer = OffsetFetchResponse::decode(reader, FETCH_VERSION)?;
            let rows = answer.topics.iter().flat_map(|topic| &topic.partitions);
            Ok((answer.error_code, rows.filter(|row| row.committed_offset == 7).count()))
        })?;
        match code {
            0 if rows == partitions as usize => return Ok(()),
            0 => return Err(io::Error::other(format!("{group} has {rows} offsets of {partitions}"))),
            LOAD_IN_PROGRESS => {}
            code => return Err(refused("OffsetFetch", code)),
        }
    }
}

/// A member of a classic group.
struct Classic {
    connection: Connection,
    id: String,
    generation: i32,
    leads: bool,
}

impl Classic {
    fn send_join(&mut self, group: &str) -> io::Result<()> {
        let message = JoinGroupRequest {
            group_id: group,
            session_timeout_ms: 30_000,
            rebalance_timeout_ms: 60_000,
            member_id: &self.id,
            protocol_type: "consumer",
            protocols: vec![JoinGroupRequestProtocol { name: "range", metadata: b"m" }],
            ..JoinGroupRequest::default()
        };
        let frame = request(ApiKey::JoinGroup, JOIN_VERSION, |w, version| message.encode(w, version));
        self.connection.send(&frame)
    }

    /// Takes the answer to a join. Gives the members, to the leader alone.
    fn joined(&mut self) -> io::Result<Vec<String>> {
        let (code, generation, id, leader, members) =
            receive(&mut self.connection, ApiKey::JoinGroup, JOIN_VERSION, |reader| {
                let answer = JoinGroupResponse::decode(reader, JOIN_VERSION)?;
                let members = answer.members.iter().map(|member| member.member_id.to_string()).collect();
                let (id, leader) = (answer.member_id.to_string(), answer.leader.to_string());
                Ok((answer.error_code, answer.generation_id, id, leader, members))
            })?;
        if code != 0 {
            return Err(refused("JoinGroup", code));
        }
        self.leads = id == leader;
        (self.id, self.generation) = (id, generation);
        Ok(members)
    }

    fn send_sync(&mut self, group: &str, members: &[String]) -> io::Result<()> {
        let each = members
            .iter()
            .map(|member_id| SyncGroupRequestAssignment { member_id, assignment: b"partitions" });
        let message = SyncGroupRequest {
            group_id: group,
            generation_id: self.generation,
            member_id: &self.id,
            assignments: each.collect(),
            ..SyncGroupRequest::default()
        };
        let frame = request(ApiKey::SyncGroup, SYNC_VERSION, |w, version| message.encode(w, version));
        self.connection.send(&frame)
    }

    fn synced(&mut self) -> io::Result<()> {
        let code = receive(&mut self.connection, ApiKey::SyncGroup, SYNC_VERSION, |reader| {
            Ok(SyncGroupResponse::decode(reader, SYNC_VERSION)?.error_code)
        })?;
        if code == 0 { Ok(()) } else { Err(refused("SyncGroup", code)) }
    }

    fn beat(&mut self, group: &str) -> io::Result<i16> {
        let message = HeartbeatRequest {
            group_id: group,
            generation_id: self.generation,
            member_id: &self.id,
            ..HeartbeatRequest::default()
        };
        let frame = request(ApiKey::Heartbeat, BEAT_VERSION, |w, version| message.encode(w, version));
        exchange(&mut self.connection, &frame, ApiKey::Heartbeat, BEAT_VERSION, |reader| {
            Ok(HeartbeatResponse::decode(reader, BEAT_VERSION)?.error_code)
        })
    }
}

/// One rebalance: all join, the leader assigns, all learn what they have. What is left when it returns is a stable group.
fn rebalance(members: &mut [Classic], group: &str) -> io::Result<()> {
    members.iter_mut().try_for_each(|member| member.send_join(group))?;
    let mut all = Vec::new();
    for member in &mut *members {
        let told = member.joined()?;
        if member.leads {
            all = told;
        }
    }
    members.iter_mut().try_for_each(|member| {
        let assigned = if member.leads { all.as_slice() } else { &[] };
        member.send_sync(group, assigned)
    })?;
    members.iter_mut().try_for_each(Classic::synced)
}

fn settle_classic(address: &str, count: usize) -> io::Result<()> {
    const GROUP: &str = "settle-classic";
    let mut members = Vec::new();
    for _ in 0..count {
        let connection = Connection::open(address)?;
        members.push(Classic { connection, id: String::new(), generation: -1, leads: false });
    }
    rebalance(&mut members, GROUP)?;
    // Those who came after the group's first moment made it begin anew.
    while members
        .iter_mut()
        .map(|member| member.beat(GROUP))
        .collect::<io::Result<Vec<i16>>>()?
        .iter()
        .any(|code| *code != 0)
    {
        rebalance(&mut members, GROUP)?;
    }
    let mut gone = members.swap_remove(count - 1);
    let began = Instant::now();
    let message = LeaveGroupRequest { group_id: GROUP, member_id: &gone.id, ..LeaveGroupRequest::default() };
    let frame = request(ApiKey::LeaveGroup, LEAVE_VERSION, |w, version| message.encode(w, version));
    gone.connection.send(&frame)?;
    gone.connection.receive()?;
    for member in &mut members {
        member.beat(GROUP)?;
    }
    rebalance(&mut members, GROUP)?;
    println!(
        "a classic group of {count} settles {:.1} ms after one has left, if all others answer at once",
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

/// A member of a consumer group.
struct Modern {
    connection: Connection,
    id: String,
    epoch: i32,
    topic_id: [u8; 16],
    held: Vec<i32>,
    /// The coordinator has yet to be told what is held.
    changed: bool,
}

impl Modern {
    fn beat(&mut self, group: &str, epoch: i32) -> io::Result<()> {
        let joins = epoch == 0;
        let held = match self.held.is_empty() {
            true => Vec::new(),
            false => vec![TopicPartitions { topic_id: self.topic_id, partitions: self.held.clone() }],
        };
        let message = ConsumerGroupHeartbeatRequest {
            group_id: group,
            member_id: &self.id,
            member_epoch: epoch,
            rebalance_timeout_ms: if joins { 60_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC]),
            topic_partitions: (joins || self.changed).then_some(held),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        let frame = request(ApiKey::ConsumerGroupHeartbeat, 0, |w, version| message.encode(w, version));
        let told = exchange(&mut self.connection, &frame, ApiKey::ConsumerGroupHeartbeat, 0, |reader| {
            let answer = ConsumerGroupHeartbeatResponse::decode(reader, 0)?;
            let given = answer.assignment.map(|assignment| {
                let topics = assignment.topic_partitions.into_iter();
                topics.map(|topic| (topic.topic_id, topic.partitions)).next()
            });
            let id = answer.member_id.map(str::to_string);
            Ok((answer.error_code, answer.member_epoch, id, given))
        })?;
        let (code, epoch, id, given) = told;
        if code != 0 {
            return Err(refused("ConsumerGroupHeartbeat", code));
        }
        self.id = id.unwrap_or_else(|| std::mem::take(&mut self.id));
        (self.epoch, self.changed) = (epoch, false);
        if let Some(given) = given {
            let (topic_id, partitions) = given.unwrap_or((self.topic_id, Vec::new()));
            self.changed = partitions != self.held;
            (self.topic_id, self.held) = (topic_id, partitions);
        }
        Ok(())
    }
}

/// Lets all members send heartbeats until everything is given out and told.
fn beat_until_settled(members: &mut [Modern], group: &str, partitions: usize) -> io::Result<u32> {
    for round in 1..=ROUNDS_MAX {
        for member in &mut *members {
            let epoch = member.epoch;
            member.beat(group, epoch)?;
        }
        let mut owners: BTreeMap<i32, usize> = BTreeMap::new();
        members
            .iter()
            .flat_map(|member| &member.held)
            .for_each(|held| *owners.entry(*held).or_default() += 1);
        let told = members.iter().all(|member| !member.changed && member.epoch == members[0].epoch);
        if told && owners.len() == partitions && owners.values().all(|count| *count == 1) {
            return Ok(round);
        }
    }
    Err(io::Error::other("the consumer group does not settle"))
}

fn settle_consumer(address: &str, count: usize) -> io::Result<()> {
    const GROUP: &str = "settle-consumer";
    let mut members = Vec::new();
    for _ in 0..count {
        let mut member = Modern {
            connection: Connection::open(address)?,
            id: String::new(),
            epoch: 0,
            topic_id: [0; 16],
            held: Vec::new(),
            changed: false,
        };
        member.beat(GROUP, 0)?;
        members.push(member);
    }
    beat_until_settled(&mut members, GROUP, 2 * count)?;
    let mut gone = members.swap_remove(count - 1);
    let began = Instant::now();
    gone.beat(GROUP, -1)?;
    let rounds = beat_until_settled(&mut members, GROUP, 2 * count)?;
    println!(
        "a consumer group of {count} settles {:.1} ms after one has left, in {rounds} heartbeats of each member sent one after the other",
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}
