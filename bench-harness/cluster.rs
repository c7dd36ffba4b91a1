//! The brokers under load, as their answers describe them: versions, leaders, topics made and removed.
//!
//! Everything here may wait for its answer; the load itself does not pass through here.

use std::io;
use std::time::Duration;

use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use corelane_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::message::delete_topics::DeleteTopicsRequest;
use corelane_wire::message::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use corelane_wire::message::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use corelane_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};

use crate::connection::{Connection, body, request};
use crate::patience::ask_until_answered;

/// Metadata in this version names topics and is served by every broker since Kafka 1.0.
const METADATA_VERSION: i16 = 5;
const CREATE_VERSION: i16 = 4;
const DELETE_VERSION: i16 = 3;
const INIT_PRODUCER_VERSION: i16 = 1;
const LIST_OFFSETS_VERSION: i16 = 1;
/// Asks for the end of the log.
const LATEST: i64 = -1;

/// How long topics may take until every partition has a leader.
const LEADERS_DEADLINE: Duration = Duration::from_secs(180);

/// Partitions created with one request: a broker may refuse thousands at once.
const CREATE_PARTITIONS_MAX: u32 = 2000;

/// The brokers, the versions to speak with them and where each partition is led.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Addresses of the brokers that lead something, `HOST:PORT`.
    pub leaders: Vec<String>,
    /// Topic names.
    pub topics: Vec<String>,
    /// Partitions of each topic.
    pub partitions: u32,
    /// For each slot (topic times partitions plus partition) an index into `leaders`.
    pub leader_of: Vec<u16>,
    /// Version of Produce to use.
    pub produce_version: i16,
    /// Version of Fetch to use.
    pub fetch_version: i16,
    /// Where the cluster was asked.
    pub bootstrap: String,
}

impl Cluster {
    /// Makes `count` topics and waits until all of their partitions are led.
    ///
    /// Errors: no connection, a refusal, no common version, or a partition without a leader in time.
    pub fn prepare(
        bootstrap: &str,
        prefix: &str,
        topics: u32,
        partitions: u32,
        settings: &[(String, String)],
    ) -> io::Result<Cluster> {
        let mut connection = Connection::open(bootstrap)?;
        let (produce_version, fetch_version) = versions(&mut connection)?;
        let topics: Vec<String> = (0..topics).map(|n| format!("{prefix}-{n}")).collect();
        let at_once = (CREATE_PARTITIONS_MAX / partitions).max(1) as usize;
        for some in topics.chunks(at_once) {
            create(&mut connection, some, partitions, settings)?;
        }
        let mut cluster = Cluster {
            leaders: Vec::new(),
            leader_of: Vec::new(),
            partitions,
            topics,
            produce_version,
            fetch_version,
            bootstrap: bootstrap.to_owned(),
        };
        let led = ask_until_answered(LEADERS_DEADLINE, || {
            Ok((cluster.look_up(&mut connection)? && cluster.is_serving()?).then_some(()))
        })?;
        led.ok_or_else(|| io::Error::other("partitions are still without a leader"))?;
        Ok(cluster)
    }

    /// Asks for the leaders; whether every partition has one.
    fn look_up(&mut self, connection: &mut Connection) -> io::Result<bool> {
        let wish = |name| MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() };
        let topics = self.topics.iter().map(|name| wish(name.as_str())).collect();
        let message = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        connection.send(&request(ApiKey::Metadata, METADATA_VERSION, |w, v| message.encode(w, v)))?;
        let mut reader = body(connection.receive()?, ApiKey::Metadata, METADATA_VERSION)?;
        let answer = MetadataResponse::decode(&mut reader, METADATA_VERSION).map_err(io::Error::other)?;
        let mut led = vec![None; self.topics.len() * self.partitions as usize];
        self.leaders.clear();
        for topic in &answer.topics {
            let Some(at) = self.topics.iter().position(|name| Some(name.as_str()) == topic.name) else {
                continue;
            };
            for partition in &topic.partitions {
                let Some(broker) = answer.brokers.iter().find(|b| b.node_id == partition.leader_id) else {
                    continue;
                };
                let address = format!("{}:{}", broker.host, broker.port);
                let known = self.leaders.iter().position(|known| *known == address);
                let leader = known.unwrap_or_else(|| {
                    self.leaders.push(address);
                    self.leaders.len() - 1
                });
                let slot = at * self.partitions as usize + partition.partition_index as usize;
                if let Some(place) = led.get_mut(slot) {
                    *place = Some(leader as u16);
                }
            }
        }
        self.leader_of = led.iter().flatten().copied().collect();
        Ok(self.leader_of.len() == led.len())
    }

    /// Whether every leader serves what it leads: metadata may name a leader a moment before it knows of it.
    fn is_serving(&self) -> io::Result<bool> {
        for (leader, address) in self.leaders.iter().enumerate() {
            let mut connection = Connection::open(address)?;
            let led = |slot: &usize| usize::from(self.leader_of[*slot]) == leader;
            let asked = |slot: usize| ListOffsetsPartition {
                partition_index: (slot % self.partitions as usize) as i32,
                timestamp: LATEST,
                ..ListOffsetsPartition::default()
            };
            let topics = self.topics.iter().enumerate().map(|(at, name)| {
                let first = at * self.partitions as usize;
                let partitions = (first..first + self.partitions as usize).filter(led).map(asked).collect();
                ListOffsetsTopic { name, partitions }
            });
            let message = ListOffsetsRequest {
                replica_id: -1,
                topics: topics.filter(|topic| !topic.partitions.is_empty()).collect(),
                ..ListOffsetsRequest::default()
            };
            let frame = request(ApiKey::ListOffsets, LIST_OFFSETS_VERSION, |w, v| message.encode(w, v));
            connection.send(&frame)?;
            let mut reader = body(connection.receive()?, ApiKey::ListOffsets, LIST_OFFSETS_VERSION)?;
            let answer =
                ListOffsetsResponse::decode(&mut reader, LIST_OFFSETS_VERSION).map_err(io::Error::other)?;
            if answer.topics.iter().flat_map(|topic| &topic.partitions).any(|one| one.error_code != 0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the topics.
    pub fn remove_topics(&self) -> io::Result<()> {
        let mut connection = Connection::open(&self.bootstrap)?;
        let names = self.topics.iter().map(String::as_str).collect();
        let message =
            DeleteTopicsRequest { topic_names: names, timeout_ms: 60_000, ..DeleteTopicsRequest::default() };
        connection.send(&request(ApiKey::DeleteTopics, DELETE_VERSION, |w, v| message.encode(w, v)))?;
        connection.receive().map(drop)
    }

    /// A producer id and its epoch. Errors: the refusal.
    pub fn producer_id(&self) -> io::Result<(i64, i16)> {
        let mut connection = Connection::open(&self.bootstrap)?;
        let message = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let frame = request(ApiKey::InitProducerId, INIT_PRODUCER_VERSION, |w, v| message.encode(w, v));
        let mut refusal = 0;
        // A broker that has just started is not ready to give them out.
        let given = ask_until_answered(LEADERS_DEADLINE, || {
            connection.send(&frame)?;
            let mut reader = body(connection.receive()?, ApiKey::InitProducerId, INIT_PRODUCER_VERSION)?;
            let answer = InitProducerIdResponse::decode(&mut reader, INIT_PRODUCER_VERSION)
                .map_err(io::Error::other)?;
            refusal = answer.error_code;
            Ok((refusal == 0).then_some((answer.producer_id, answer.producer_epoch)))
        })?;
        given.ok_or_else(|| io::Error::other(format!("no producer id: {}", error_name(refusal))))
    }
}

/// What a Kafka error code is called.
pub fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("code {code}"), |known| format!("{known:?}"))
}

/// The versions of Produce and Fetch to use: the highest that name topics, as far as the broker has them.
fn versions(connection: &mut Connection) -> io::Result<(i16, i16)> {
    let message = ApiVersionsRequest::default();
    connection.send(&request(ApiKey::ApiVersions, 0, |w, v| message.encode(w, v)))?;
    let mut reader = body(connection.receive()?, ApiKey::ApiVersions, 0)?;
    let answer = ApiVersionsResponse::decode(&mut reader, 0).map_err(io::Error::other)?;
    let pick = |key: ApiKey, lowest: i16, highest: i16| {
        let served = answer.api_keys.iter().find(|served| served.api_key == key.code());
        let version = served.map(|served| highest.min(served.max_version));
        version
            .filter(|&version| version >= lowest && served.is_some_and(|s| s.min_version <= version))
            .ok_or_else(|| {
                io::Error::other(format!("the broker has no version {lowest} to {highest} of {}", key.name()))
            })
    };
    Ok((pick(ApiKey::Produce, 7, 9)?, pick(ApiKey::Fetch, 7, 12)?))
}

fn create(
    connection: &mut Connection,
    topics: &[String],
    partitions: u32,
    settings: &[(String, String)],
) -> io::Result<()> {
    let configs = || settings.iter().map(|(name, value)| CreatableTopicConfig { name, value: Some(value) });
    let topic = |name| CreatableTopic {
        name,
        num_partitions: partitions as i32,
        replication_factor: 1,
        configs: configs().collect(),
        ..CreatableTopic::default()
    };
    let message = CreateTopicsRequest {
        topics: topics.iter().map(|name| topic(name.as_str())).collect(),
        timeout_ms: 120_000,
        ..CreateTopicsRequest::default()
    };
    connection.send(&request(ApiKey::CreateTopics, CREATE_VERSION, |w, v| message.encode(w, v)))?;
    let mut reader = body(connection.receive()?, ApiKey::CreateTopics, CREATE_VERSION)?;
    let answer = CreateTopicsResponse::decode(&mut reader, CREATE_VERSION).map_err(io::Error::other)?;
    match answer.topics.iter().find(|topic| topic.error_code != 0) {
        None => Ok(()),
        Some(topic) => Err(io::Error::other(format!(
            "topic {} was not created: {} {}",
            topic.name,
            error_name(topic.error_code),
            topic.error_message.unwrap_or_default()
        ))),
    }
}
