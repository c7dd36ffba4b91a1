//! One blocking connection: requests out, frames in, nothing clever.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use corelane_base::time::WallMs;
use corelane_log::builder::BatchBuilder;
use corelane_wire::api::ApiKey;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use corelane_wire::message::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use corelane_wire::primitive::{EncodeError, Reader, Records, Writer};

/// Produce in this version names topics.
pub const PRODUCE_VERSION: i16 = 9;
/// Fetch in this version names topics.
pub const FETCH_VERSION: i16 = 11;

/// Thousands of partitions are not made in a moment.
const ANSWER_DEADLINE: Duration = Duration::from_secs(180);

/// A connection.
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
        Ok(Connection { stream, answer: Vec::new() })
    }

    /// The bare socket.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame)
    }

    /// Waits for a frame; without its length.
    pub fn receive(&mut self) -> io::Result<&[u8]> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        self.answer.resize(u32::from_be_bytes(length) as usize, 0);
        self.stream.read_exact(&mut self.answer)?;
        Ok(&self.answer)
    }

    /// Creates a topic.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> io::Result<()> {
        let topic = CreatableTopic {
            name,
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let message =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 60_000, ..CreateTopicsRequest::default() };
        self.send(&request(ApiKey::CreateTopics, 5, |w, version| message.encode(w, version)))?;
        let mut reader = body(self.receive()?, ApiKey::CreateTopics, 5)?;
        let answer = CreateTopicsResponse::decode(&mut reader, 5).map_err(io::Error::other)?;
        match answer.topics.first() {
            Some(topic) if topic.error_code == 0 => Ok(()),
            other => Err(io::Error::other(format!("the topic was not created: {other:?}"))),
        }
    }

    /// Waits for a produce's answer. Errors: any refusal.
    pub fn produced(&mut self) -> io::Result<()> {
        let mut reader = body(self.receive()?, ApiKey::Produce, PRODUCE_VERSION)?;
        let answer = ProduceResponse::decode(&mut reader, PRODUCE_VERSION).map_err(io::Error::other)?;
        for topic in &answer.responses {
            for partition in &topic.partition_responses {
                if partition.error_code != 0 {
                    return Err(io::Error::other(format!(
                        "produce was refused with code {}",
                        partition.error_code
                    )));
                }
            }
        }
        Ok(())
    }
}

/// A frame with a request.
pub fn request(
    key: ApiKey,
    version: i16,
    encode: impl FnOnce(&mut Writer, i16) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let mut writer = Writer::frame(256);
    let header = RequestHeader {
        api_key: key.code(),
        api_version: version,
        correlation_id: 1,
        client_id: Some("bench"),
    };
    header.encode(&mut writer).expect("a short client id");
    encode(&mut writer, version).expect("only fields of that version are used");
    writer.into_parts().expect("far below 2 GiB").0.to_vec()
}

/// A reader at the body of an answer.
pub fn body(answer: &[u8], key: ApiKey, version: i16) -> io::Result<Reader<'_>> {
    let mut reader = Reader::new(answer);
    ResponseHeader::decode(&mut reader, key.code(), version).map_err(io::Error::other)?;
    Ok(reader)
}

/// A produce request, acks=all, with one batch of `records` records of `bytes` bytes each.
pub fn produce_request(topic: &str, partition: i32, records: u32, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let value = vec![b'v'; bytes];
    // Of now: retention would take records of long ago away under the measurement.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    for _ in 0..records {
        builder.push(WallMs(now), None, Some(&value));
    }
    let batch = builder.build();
    let data = PartitionProduceData { index: partition, records: Some(Records::Borrowed(&batch)) };
    let topic = TopicProduceData { name: topic, partition_data: vec![data], ..TopicProduceData::default() };
    let message =
        ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..ProduceRequest::default() };
    request(ApiKey::Produce, PRODUCE_VERSION, |w, version| message.encode(w, version))
}

/// A fetch request for one partition.
pub fn fetch_request(topic: &str, partition: i32, offset: i64, bytes: i32, wait_ms: i32) -> Vec<u8> {
    let wish = FetchPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: bytes,
        current_leader_epoch: -1,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic, partitions: vec![wish], ..FetchTopic::default() };
    let message = FetchRequest {
        replica_id: -1,
        max_wait_ms: wait_ms,
        min_bytes: 1,
        max_bytes: bytes,
        session_epoch: -1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    request(ApiKey::Fetch, FETCH_VERSION, |w, version| message.encode(w, version))
}
