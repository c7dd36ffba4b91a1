//! A small blocking client for the command line: one request at a time, plain sockets, our own codec.
//!
//! It is meant to be correct and short, not fast: whoever needs throughput uses one of the well-known client
//! libraries. It works against any Kafka broker. What it does: negotiates versions, follows leaders and controllers
//! by metadata, and tries again what may be tried again until a deadline. What it does not: pipelining, groups,
//! transactions, TLS.
//!
//! | state of a connection | next |
//! |---|---|
//! | none | `dial` opens a socket and asks for the versions |
//! | open | a request and its answer, any number of times |
//! | open, then any error of the socket or the codec | none: the connection is dropped, never used half-read |

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use corelane_base::id::BrokerId;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::frame::{FrameError, Split, split};
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use corelane_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use corelane_wire::primitive::{DecodeError, EncodeError, Reader, Writer};

use crate::args::HostPort;

/// The largest answer that is accepted, in bytes. A fetch asks for far less; a single batch may be larger than asked.
const ANSWER_BYTES_MAX: u32 = 256 << 20;
/// How much is read at once; the buffer grows with what has arrived, not with what a length promises.
const READ_BYTES: usize = 64 << 10;
/// The pause before the first repetition; doubles up to `RETRY_PAUSE_MAX`.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(20);
const RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// How long "no such topic" is taken for "not yet": news of a creation travels, but a typing error should not take long.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(2);
const CLIENT_ID: &str = "corelane-cli";

/// Why a request has no good answer.
#[derive(Debug)]
pub enum ClientError {
    /// No connection to any of the addresses.
    Unreachable {
        /// What was tried.
        address: String,
        /// What the system said last.
        error: io::Error,
    },
    /// A connection broke. Whether the request was carried out is not known.
    Lost {
        /// The other end.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// Time is up.
    Deadline {
        /// What was being waited for.
        waiting_for: String,
    },
    /// The broker answered with an error.
    Refused {
        /// What was asked.
        what: String,
        /// Kafka's error code.
        code: i16,
        /// What the broker adds for people.
        message: Option<String>,
    },
    /// Broker and client have no version in common, or the broker does not know the request at all.
    NotServed {
        /// The API.
        api: ApiKey,
    },
    /// The answer is not what the protocol says.
    Protocol(String),
}

impl ClientError {
    /// A refusal with this code.
    pub fn refused(what: impl Into<String>, code: i16, message: Option<&str>) -> ClientError {
        ClientError::Refused { what: what.into(), code, message: message.map(str::to_string) }
    }

    fn is_unknown_topic(&self) -> bool {
        matches!(self, ClientError::Refused { code, .. } if *code == ErrorCode::UnknownTopicOrPartition as i16)
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } | ClientError::Lost { .. } => true,
            ClientError::Refused { code, .. } => {
                ErrorCode::from_code(*code).is_some_and(ErrorCode::is_retriable)
            }
            ClientError::Deadline { .. } | ClientError::NotServed { .. } | ClientError::Protocol(_) => false,
        }
    }
}

/// Kafka's name of an error code, or its number where it has none.
pub fn error_name(code: i16) -> String {
    match ErrorCode::from_code(code) {
        Some(known) => known.name().to_string(),
        None => format!("error {code}"),
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Unreachable { address, error } => write!(out, "cannot reach {address}: {error}"),
            ClientError::Lost { address, error } => write!(out, "lost the connection to {address}: {error}"),
            ClientError::Deadline { waiting_for } => write!(out, "no answer in time to {waiting_for}"),
            ClientError::Refused { what, code, message } => {
                let text = ErrorCode::from_code(*code).map(ErrorCode::text);
                let text = message.as_deref().or(text).unwrap_or("unknown error");
                write!(out, "{what}: {} ({text})", error_name(*code))
            }
            ClientError::NotServed { api } => write!(out, "the broker does not serve {}", api.name()),
            ClientError::Protocol(text) => write!(out, "the broker breaks the protocol: {text}"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<DecodeError> for ClientError {
    fn from(error: DecodeError) -> ClientError {
        ClientError::Protocol(error.to_string())
    }
}

impl From<EncodeError> for ClientError {
    fn from(error: EncodeError) -> ClientError {
        // Only what the user typed can be at fault: a text too long for the protocol.
        ClientError::refused(error.to_string(), ErrorCode::InvalidRequest as i16, None)
    }
}

/// A request type with the answer that belongs to it.
pub trait Exchange {
    /// The answer, borrowing from the bytes received.
    type Response<'a>;
    /// The API.
    const API: ApiKey;
    /// The versions this client speaks.
    const VERSIONS: (i16, i16);
    /// Writes the request's body.
    fn encode(&self, out: &mut Writer, version: i16) -> Result<(), EncodeError>;
    /// Reads the answer's body.
    fn decode<'a>(body: &mut Reader<'a>, version: i16) -> Result<Self::Response<'a>, DecodeError>;
}

/// Joins a request and its answer, for all versions that the codec knows or for some of them.
macro_rules! exchange {
    ($request:ident, $response:ident, $api:ident) => {
        crate::client::exchange!($request, $response, $api, $request::VERSION_MIN, $request::VERSION_MAX);
    };
    ($request:ident, $response:ident, $api:ident, $version_min:expr, $version_max:expr) => {
        impl crate::client::Exchange for $request<'_> {
            type Response<'a> = $response<'a>;
            const API: corelane_wire::api::ApiKey = corelane_wire::api::ApiKey::$api;
            const VERSIONS: (i16, i16) = ($version_min, $version_max);
            fn encode(
                &self,
                out: &mut corelane_wire::primitive::Writer,
                version: i16,
            ) -> Result<(), corelane_wire::primitive::EncodeError> {
                $request::encode(self, out, version)
            }
            fn decode<'a>(
                body: &mut corelane_wire::primitive::Reader<'a>,
                version: i16,
            ) -> Result<$response<'a>, corelane_wire::primitive::DecodeError> {
                $response::decode(body, version)
            }
        }
    };
}
pub(crate) use exchange;

exchange!(ApiVersionsRequest, ApiVersionsResponse, ApiVersions);
// Versions below 4 create topics without asking and cannot be told not to: they are not spoken.
exchange!(MetadataRequest, MetadataResponse, Metadata, 4, MetadataRequest::VERSION_MAX);

/// The bytes of an answer, to be decoded where they are kept.
#[derive(Debug)]
pub struct Answer<Q> {
    body: Vec<u8>,
    version: i16,
    request: std::marker::PhantomData<Q>,
}

impl<Q: Exchange> Answer<Q> {
    /// Decodes the whole answer. Errors: `Protocol`.
    pub fn decode(&self) -> Result<Q::Response<'_>, ClientError> {
        let mut reader = Reader::new(&self.body);
        ResponseHeader::decode(&mut reader, Q::API.code(), self.version)?;
        let response = Q::decode(&mut reader, self.version)?;
        reader.finish()?;
        Ok(response)
    }
}

/// One socket to one broker, with the versions it serves.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    address: String,
    correlation_id: i32,
    /// Lowest and highest version by key; empty until the broker has been asked.
    versions: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects to the first of the host's addresses that answers and asks for the versions.
    fn dial(at: &HostPort, deadline: Instant) -> Result<Connection, ClientError> {
        let address = at.to_string();
        let unreachable = |error| ClientError::Unreachable { address: address.clone(), error };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for socket in at.resolve().map_err(unreachable)? {
            match Connection::open(socket, deadline) {
                Ok(stream) => {
                    let mut connection =
                        Connection { stream, address, correlation_id: 0, versions: BTreeMap::new() };
                    connection.negotiate(deadline)?;
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    fn open(socket: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
        let left = deadline.saturating_duration_since(Instant::now());
        let stream = TcpStream::connect_timeout(&socket, left.max(Duration::from_millis(1)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Asks with the newest version; a broker that does not know it answers in version 0 with its own list.
    fn negotiate(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "corelane",
            client_software_version: env!("CARGO_PKG_VERSION"),
        };
        let mut version = ApiVersionsRequest::VERSION_MAX;
        for _ in 0..2 {
            self.send(&request, version, deadline)?;
            let body = self.receive(deadline, ApiKey::ApiVersions)?;
            let mut reader = Reader::new(&body);
            ResponseHeader::decode(&mut reader, ApiKey::ApiVersions.code(), version)?;
            let code = Reader::new(&body[body.len() - reader.remaining()..]).i16()?;
            if code == ErrorCode::UnsupportedVersion as i16 && version > 0 {
                version = 0;
                continue;
            }
            let response = ApiVersionsResponse::decode(&mut reader, version)?;
            if response.error_code != 0 {
                return Err(ClientError::refused("asking for versions", response.error_code, None));
            }
            let rows = response.api_keys.iter();
            self.versions = rows.map(|row| (row.api_key, (row.min_version, row.max_version))).collect();
            return Ok(());
        }
        Err(ClientError::Protocol("version 0 of ApiVersions is refused".to_string()))
    }

    /// The newest version that both sides speak. Errors: `NotServed`.
    fn version_of<Q: Exchange>(&self) -> Result<i16, ClientError> {
        let (theirs_min, theirs_max) =
            *self.versions.get(&Q::API.code()).ok_or(ClientError::NotServed { api: Q::API })?;
        let version = theirs_max.min(Q::VERSIONS.1);
        match version >= theirs_min.max(Q::VERSIONS.0) {
            true => Ok(version),
            false => Err(ClientError::NotServed { api: Q::API }),
        }
    }

    fn send<Q: Exchange>(&mut self, request: &Q, version: i16, deadline: Instant) -> Result<(), ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key: Q::API.code(),
            api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(CLIENT_ID),
        };
        let mut frame = Writer::frame(1024);
        header.encode(&mut frame)?;
        request.encode(&mut frame, version)?;
        let (frame, _) = frame.into_parts()?;
        let left = time_left(deadline, Q::API.name())?;
        self.stream
            .set_write_timeout(Some(left))
            .and_then(|()| self.stream.write_all(&frame))
            .map_err(|error| self.lost(error, Q::API))
    }

    /// Reads one frame, which must answer the request sent last.
    fn receive(&mut self, deadline: Instant, api: ApiKey) -> Result<Vec<u8>, ClientError> {
        let mut buffer = Vec::new();
        let mut piece = vec![0; READ_BYTES];
        loop {
            match split(&buffer, ANSWER_BYTES_MAX).map_err(|error: FrameError| protocol(error))? {
                Split::Frame { body, consumed } => {
                    if consumed != buffer.len() {
                        return Err(ClientError::Protocol("an answer nobody asked for".to_string()));
                    }
                    let correlation_id = Reader::new(body).i32()?;
                    if correlation_id != self.correlation_id {
                        return Err(ClientError::Protocol("answers out of order".to_string()));
                    }
                    buffer.drain(..corelane_wire::frame::LENGTH_BYTES);
                    return Ok(buffer);
                }
                Split::NeedMore { .. } => {}
            }
            let left = time_left(deadline, api.name())?;
            let read = self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut piece));
            match read {
                Ok(0) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into(), api)),
                Ok(count) => buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error, api)),
            }
        }
    }

    fn lost(&self, error: io::Error, api: ApiKey) -> ClientError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Deadline { waiting_for: api.name().to_string() }
            }
            _ => ClientError::Lost { address: self.address.clone(), error },
        }
    }
}

fn protocol(error: impl fmt::Display) -> ClientError {
    ClientError::Protocol(error.to_string())
}

fn time_left(deadline: Instant, waiting_for: &str) -> Result<Duration, ClientError> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ClientError::Deadline { waiting_for: waiting_for.to_string() }),
        false => Ok(left),
    }
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Node {
    /// Whichever answers first.
    Any,
    /// The one with this number, as metadata named it.
    Broker(BrokerId),
    /// The one that decides about topics, as metadata named it; any if nobody is named.
    Controller,
}

/// A cluster as this client knows it.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<HostPort>,
    timeout: Duration,
    brokers: BTreeMap<BrokerId, HostPort>,
    controller: Option<BrokerId>,
    connections: BTreeMap<Node, Connection>,
}

impl Client {
    /// Connects to the first of `bootstrap` that answers. `timeout` bounds each later operation with its repetitions.
    /// Errors: `Unreachable` and the like, without repetition: an address with a typing error should not take long.
    pub fn connect(bootstrap: &[HostPort], timeout: Duration) -> Result<Client, ClientError> {
        let mut client = Client {
            bootstrap: bootstrap.to_vec(),
            timeout,
            brokers: BTreeMap::new(),
            controller: None,
            connections: BTreeMap::new(),
        };
        let deadline = client.deadline();
        client.connection(Node::Any, deadline)?;
        Ok(client)
    }

    /// When an operation that starts now has to be done.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.timeout
    }

    /// The time an operation has, in milliseconds, for requests that carry it.
    pub fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Sends one request and waits for the answer.
    pub fn call<Q: Exchange>(
        &mut self,
        node: Node,
        request: &Q,
        deadline: Instant,
    ) -> Result<Answer<Q>, ClientError> {
        let node = self.known(node);
        let connection = self.connection(node, deadline)?;
        let version = connection.version_of::<Q>()?;
        let sent = connection.send(request, version, deadline);
        match sent.and_then(|()| connection.receive(deadline, Q::API)) {
            Ok(body) => Ok(Answer { body, version, request: std::marker::PhantomData }),
            Err(error) => {
                self.connections.remove(&node);
                Err(error)
            }
        }
    }

    /// Sends a request that has no answer (produce with acks=0).
    pub fn tell<Q: Exchange>(
        &mut self,
        node: Node,
        request: &Q,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let connection = self.connection(node, deadline)?;
        let version = connection.version_of::<Q>()?;
        let sent = connection.send(request, version, deadline);
        if sent.is_err() {
            self.connections.remove(&node);
        }
        sent
    }

    /// Runs `attempt` until it succeeds, fails for good, or the deadline has passed.
    pub fn retry<T>(
        &mut self,
        deadline: Instant,
        mut attempt: impl FnMut(&mut Client) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut pause = RETRY_PAUSE_MIN;
        let patience_ends = deadline.min(Instant::now() + UNKNOWN_TOPIC_PATIENCE);
        loop {
            let error = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let end = if error.is_unknown_topic() { patience_ends } else { deadline };
            if !error.is_retriable() || Instant::now() + pause >= end {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Asks for the cluster and the named topics, all of them for `None`. Each topic's and partition's own error is
    /// left to the caller.
    pub fn metadata(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
        deadline: Instant,
    ) -> Result<Metadata, ClientError> {
        let rows = topics.map(|names| {
            let rows = names.iter().map(|&name| MetadataRequestTopic { topic_id: [0; 16], name: Some(name) });
            rows.collect()
        });
        let request =
            MetadataRequest { topics: rows, allow_auto_topic_creation: create, ..Default::default() };
        let answer = self.call(Node::Any, &request, deadline)?;
        let response = answer.decode()?;
        let metadata = Metadata::from_response(&response)?;
        self.brokers = metadata.brokers.clone();
        self.controller = metadata.controller;
        Ok(metadata)
    }

    fn known(&self, node: Node) -> Node {
        match node {
            Node::Controller => match self.controller {
                Some(id) if self.brokers.contains_key(&id) => Node::Broker(id),
                _ => Node::Any,
            },
            other => other,
        }
    }

    fn connection(&mut self, node: Node, deadline: Instant) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&node) {
            let connection = self.dial(node, deadline)?;
            self.connections.insert(node, connection);
        }
        Ok(self.connections.get_mut(&node).expect("it was there or has just been put there"))
    }

    fn dial(&self, node: Node, deadline: Instant) -> Result<Connection, ClientError> {
        if let Node::Broker(id) = node {
            let at = self.brokers.get(&id).ok_or_else(|| {
                let code = ErrorCode::BrokerNotAvailable as i16;
                ClientError::refused(format!("finding broker {id}"), code, None)
            })?;
            return Connection::dial(at, deadline);
        }
        let mut last = ClientError::Protocol("no address to connect to".to_string());
        // What metadata taught serves when the addresses given at the start are gone.
        for at in self.bootstrap.iter().chain(self.brokers.values()) {
            match Connection::dial(at, deadline) {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// What a cluster says about itself and some topics.
#[derive(Clone, Debug)]
pub struct Metadata {
    /// The cluster's name for itself, if it has one.
    pub cluster_id: Option<String>,
    /// Who decides about topics.
    pub controller: Option<BrokerId>,
    /// Where each broker is.
    pub brokers: BTreeMap<BrokerId, HostPort>,
    /// The topics, in the broker's order.
    pub topics: Vec<TopicMetadata>,
}

/// One topic.
#[derive(Clone, Debug)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Its identity; all zero from old brokers.
    pub id: [u8; 16],
    /// 0, or why nothing is known of it.
    pub error_code: i16,
    /// Whether the broker keeps its own records in it.
    pub internal: bool,
    /// By their numbers.
    pub partitions: Vec<PartitionMetadata>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct PartitionMetadata {
    /// Its number.
    pub index: i32,
    /// 0, or why it cannot be used now.
    pub error_code: i16,
    /// Who leads it.
    pub leader: Option<BrokerId>,
    /// How often the leader has changed; -1 if not known.
    pub leader_epoch: i32,
    /// All brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those of them in sync.
    pub isr: Vec<i32>,
    /// Those of them that are away.
    pub offline: Vec<i32>,
}

impl Metadata {
    fn from_response(response: &MetadataResponse<'_>) -> Result<Metadata, ClientError> {
        let broker = |id: i32| (id >= 0).then_some(BrokerId(id));
        let mut brokers = BTreeMap::new();
        for row in &response.brokers {
            let port = u16::try_from(row.port).map_err(|_| protocol(format!("port {}", row.port)))?;
            brokers.insert(BrokerId(row.node_id), HostPort { host: row.host.to_string(), port });
        }
        let topics = response.topics.iter().map(|topic| {
            let mut partitions: Vec<_> = topic
                .partitions
                .iter()
                .map(|partition| PartitionMetadata {
                    index: partition.partition_index,
                    error_code: partition.error_code,
                    leader: broker(partition.leader_id),
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replica_nodes.clone(),
                    isr: partition.isr_nodes.clone(),
                    offline: partition.offline_replicas.clone(),
                })
                .collect();
            partitions.sort_by_key(|partition| partition.index);
            TopicMetadata {
                name: topic.name.unwrap_or_default().to_string(),
                id: topic.topic_id,
                error_code: topic.error_code,
                internal: topic.is_internal,
                partitions,
            }
        });
        Ok(Metadata {
            cluster_id: response.cluster_id.map(str::to_string),
            controller: broker(response.controller_id),
            topics: topics.collect(),
            brokers,
        })
    }

    /// The one topic that was asked for, ready to be used. Errors: `Refused`, with the topic's own error, or
    /// `LEADER_NOT_AVAILABLE` while a partition has no leader.
    pub fn usable_topic(&self, name: &str) -> Result<&TopicMetadata, ClientError> {
        let unknown = ErrorCode::UnknownTopicOrPartition as i16;
        let topic = self.topics.iter().find(|topic| topic.name == name);
        let topic = topic.ok_or_else(|| ClientError::refused(format!("topic {name}"), unknown, None))?;
        let without_leader = topic.partitions.iter().any(|partition| partition.leader.is_none());
        let code = match topic.error_code {
            0 if without_leader || topic.partitions.is_empty() => ErrorCode::LeaderNotAvailable as i16,
            code => code,
        };
        match code {
            0 => Ok(topic),
            code => Err(ClientError::refused(format!("topic {name}"), code, None)),
        }
    }
}
