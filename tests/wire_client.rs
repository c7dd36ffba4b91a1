//! A Kafka client at its barest: one blocking connection, requests and answers of our own codec, or any bytes at all.
//!
//! No real client would send what the fault tests send. What real clients do is tested with real clients. Reading
//! waits for the answer or for the end of the connection, at most [`ANSWER_DEADLINE`]: a broker that does neither
//! has failed.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, UNIX_EPOCH};

use corelane_base::time::WallMs;
use corelane_log::builder::BatchBuilder;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::fuzz::CODECS;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use corelane_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use corelane_wire::message::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use corelane_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use corelane_wire::primitive::{EncodeError, Reader, Records, Writer};

/// How long an answer may take on a loaded machine. Requests that wait on purpose ask for less.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(20);

/// The longest answer to believe, in bytes.
const ANSWER_BYTES_MAX: usize = 128 << 20;

/// The correlation id of every request: one is under way at a time.
const CORRELATION_ID: i32 = 0x0102_0304;

/// A frame with a request of this API and version. Panics: if `encode` writes what the version cannot carry.
pub fn request(
    api_key: ApiKey,
    version: i16,
    encode: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let mut w = Writer::frame(256);
    let header = RequestHeader {
        api_key: api_key.code(),
        api_version: version,
        correlation_id: CORRELATION_ID,
        client_id: Some("fault test"),
    };
    header.encode(&mut w).expect("a short client id");
    encode(&mut w, version).expect("a request that its version can carry");
    let (bytes, splices) = w.into_parts().expect("shorter than 2 GiB");
    assert!(splices.is_empty(), "tests hold their records themselves");
    bytes.to_vec()
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A whole frame, without its length.
    Frame(Vec<u8>),
    /// The broker closed the connection.
    Closed,
    /// Neither came in time: the broker has failed.
    Nothing,
}

/// One connection to a broker.
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects; panics if the broker does not accept.
    pub fn open(address: &str) -> Connection {
        Connection::try_open(address).expect("the broker accepts connections")
    }

    /// Connects. Errors: what the kernel says.
    pub fn try_open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
        Ok(Connection { stream })
    }

    /// Sends bytes as they are. Errors: the broker may have closed already, which is for `hear` to tell.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends as much of `bytes` as the broker takes without waiting, and says how much that was.
    pub fn send_without_waiting(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).expect("an open socket");
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).expect("an open socket");
        sent
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Waits for a frame or the end. Panics: if the end comes inside a frame.
    pub fn hear(&mut self) -> Heard {
        let mut length = [0; 4];
        let mut have = 0;
        while have < length.len() {
            match self.stream.read(&mut length[have..]) {
                Ok(0) => {
                    assert_eq!(have, 0, "the connection ended inside the length of an answer");
                    return Heard::Closed;
                }
                Ok(count) => have += count,
                Err(error) if is_end(&error) => return Heard::Closed,
                Err(_) => return Heard::Nothing,
            }
        }
        let length = usize::try_from(i32::from_be_bytes(length)).expect("an answer has a length");
        assert!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).expect("the rest of the answer");
        Heard::Frame(frame)
    }

    /// Everything until the end, for protocols without frames. Panics: if the end does not come in time.
    pub fn hear_all(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("an answer and its end");
        bytes
    }

    /// Sends a request and gives the body of its answer. Errors: the connection was closed.
    pub fn try_call(&mut self, api_key: ApiKey, version: i16, frame: &[u8]) -> Result<Vec<u8>, String> {
        self.send(frame).map_err(|error| format!("cannot send: {error}"))?;
        match self.hear() {
            Heard::Frame(answer) => Ok(body(&answer, api_key, version).to_vec()),
            Heard::Closed => Err("closed instead of an answer".into()),
            Heard::Nothing => Err(format!("no answer within {ANSWER_DEADLINE:?}")),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// The body of an answer. Panics: if its header is not the one that belongs to the request.
pub fn body(answer: &[u8], api_key: ApiKey, version: i16) -> &[u8] {
    let mut r = Reader::new(answer);
    let header = ResponseHeader::decode(&mut r, api_key.code(), version).expect("a response header");
    assert_eq!(header.correlation_id, CORRELATION_ID, "the answer belongs to the request");
    &answer[answer.len() - r.remaining()..]
}

/// Every error code in an answer, wherever it stands. Panics: if the body is not a whole answer of that version.
pub fn error_codes(body: &[u8], api_key: ApiKey, version: i16) -> Vec<ErrorCode> {
    let codec = CODECS
        .iter()
        .find(|codec| codec.api_key == api_key.code() && codec.name.ends_with("Response"))
        .expect("an API of ours");
    (codec.recode)(body, version).expect("the answer decodes and nothing is left");
    let text = (codec.debug)(body, version).expect("just decoded");
    let numbers = text.split("error_code: ").skip(1).map(|rest| {
        let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<i16>().expect("an error code is a number")
    });
    numbers.map(|code| ErrorCode::from_code(code).expect("a code of the protocol")).collect()
}

/// A produce request with one batch for one partition.
pub fn produce_request(version: i16, acks: i16, topic: &str, partition: i32, records: &[u8]) -> Vec<u8> {
    let data = PartitionProduceData { index: partition, records: Some(Records::Borrowed(records)) };
    let message = ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData { name: topic, partition_data: vec![data], ..Default::default() }],
        ..Default::default()
    };
    request(ApiKey::Produce, version, |w, version| message.encode(w, version))
}

/// Produces a batch: its base offset, or the error code or the loss of the connection as text.
pub fn produce(
    connection: &mut Connection,
    acks: i16,
    topic: &str,
    partition: i32,
    records: &[u8],
) -> Result<i64, String> {
    const VERSION: i16 = 9;
    let frame = produce_request(VERSION, acks, topic, partition, records);
    let body = connection.try_call(ApiKey::Produce, VERSION, &frame)?;
    let answer = ProduceResponse::decode(&mut Reader::new(&body), VERSION).map_err(|e| e.to_string())?;
    let partition = &answer.responses[0].partition_responses[0];
    match ErrorCode::from_code(partition.error_code) {
        Some(ErrorCode::None) => Ok(partition.base_offset),
        Some(code) => Err(code.name().into()),
        None => Err(format!("unknown error code {}", partition.error_code)),
    }
}

/// A fetch request for one partition, without a session.
pub fn fetch_request(
    version: i16,
    topic: &str,
    partition: i32,
    fetch_offset: i64,
    max_wait_ms: i32,
) -> Vec<u8> {
    let partition =
        FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let message = FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() }],
        ..FetchRequest::default()
    };
    request(ApiKey::Fetch, version, |w, version| message.encode(w, version))
}

/// Fetches from an offset on, in a version up to 12, and waits at most so long for something to be there: record
/// batches, or the error code or the loss of the connection as text.
pub fn fetch(
    connection: &mut Connection,
    version: i16,
    topic: &str,
    partition: i32,
    fetch_offset: i64,
    max_wait_ms: i32,
) -> Result<Vec<u8>, String> {
    let frame = fetch_request(version, topic, partition, fetch_offset, max_wait_ms);
    let body = connection.try_call(ApiKey::Fetch, version, &frame)?;
    let answer = FetchResponse::decode(&mut Reader::new(&body), version).map_err(|e| e.to_string())?;
    let partition = &answer.responses[0].partitions[0];
    match (ErrorCode::from_code(partition.error_code), partition.records) {
        (Some(ErrorCode::None), Some(Records::Borrowed(bytes))) => Ok(bytes.to_vec()),
        (Some(ErrorCode::None), _) => Ok(Vec::new()),
        (Some(code), _) => Err(code.name().into()),
        (None, _) => Err(format!("unknown error code {}", partition.error_code)),
    }
}

/// Creates a topic with settings and waits until each of its partitions has a leader. An existing topic is left as
/// it is. Panics: if the broker refuses.
pub fn create_topic(connection: &mut Connection, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    const VERSION: i16 = 5;
    let topic = CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs
            .iter()
            .map(|&(name, value)| CreatableTopicConfig { name, value: Some(value) })
            .collect(),
        ..CreatableTopic::default()
    };
    let message = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, ..Default::default() };
    let frame = request(ApiKey::CreateTopics, VERSION, |w, version| message.encode(w, version));
    let body = connection.try_call(ApiKey::CreateTopics, VERSION, &frame).expect("an answer to CreateTopics");
    let answer = CreateTopicsResponse::decode(&mut Reader::new(&body), VERSION).expect("an answer");
    let code = ErrorCode::from_code(answer.topics[0].error_code);
    assert!(matches!(code, Some(ErrorCode::None | ErrorCode::TopicAlreadyExists)), "{name}: {answer:?}");
    while topic_id(connection, name).is_none() {}
}

/// Deletes a topic. Panics: if the broker refuses.
pub fn delete_topic(connection: &mut Connection, name: &str) {
    const VERSION: i16 = 6;
    let topics = vec![DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }];
    let message = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let frame = request(ApiKey::DeleteTopics, VERSION, |w, version| message.encode(w, version));
    let body = connection.try_call(ApiKey::DeleteTopics, VERSION, &frame).expect("an answer");
    assert_eq!(error_codes(&body, ApiKey::DeleteTopics, VERSION), [ErrorCode::None]);
}

/// The id of a topic all of whose partitions have a leader.
pub fn topic_id(connection: &mut Connection, name: &str) -> Option<[u8; 16]> {
    const VERSION: i16 = 12;
    let topic = MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() };
    let message = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
    let message = MetadataRequest { allow_auto_topic_creation: false, ..message };
    let frame = request(ApiKey::Metadata, VERSION, |w, version| message.encode(w, version));
    let body = connection.try_call(ApiKey::Metadata, VERSION, &frame).expect("an answer to Metadata");
    let answer = MetadataResponse::decode(&mut Reader::new(&body), VERSION).expect("an answer");
    let topic = &answer.topics[0];
    let ready = topic.error_code == 0 && topic.partitions.iter().all(|each| each.error_code == 0);
    ready.then_some(topic.topic_id)
}

/// A batch of one record with this value and the time of now (older ones the retention would remove), as a producer
/// without idempotence sends it.
pub fn batch_of(value: &[u8]) -> Vec<u8> {
    BatchBuilder::new().push(now(), None, Some(value)).build().to_vec()
}

/// The time of now.
pub fn now() -> WallMs {
    let since = UNIX_EPOCH.elapsed().expect("a clock after 1970");
    WallMs(i64::try_from(since.as_millis()).expect("a date"))
}
