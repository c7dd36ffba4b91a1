//! Requests as clients send them.

use corelane_base::time::WallMs;
use corelane_log::builder::BatchBuilder;
use corelane_wire::api::ApiKey;
use corelane_wire::header::RequestHeader;
use corelane_wire::message::create_topics::{CreatableTopic, CreateTopicsRequest};
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use corelane_wire::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelane_wire::primitive::{EncodeError, Records, Writer};

const TOPIC: &str = "bench";

fn request(
    key: ApiKey,
    version: i16,
    encode: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
) -> Vec<u8> {
    let mut writer = Writer::frame(256);
    let header = RequestHeader {
        api_key: key.code(),
        api_version: version,
        correlation_id: 7,
        client_id: Some("bench"),
    };
    header.encode(&mut writer).expect("a short client id");
    encode(&mut writer).expect("only fields of that version are used");
    writer.into_parts().expect("far below 2 GiB").0.to_vec()
}

/// Creates the topic that the others use.
pub fn create_topic(partitions: i32) -> Vec<u8> {
    let topic = CreatableTopic {
        name: TOPIC,
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let message =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..CreateTopicsRequest::default() };
    request(ApiKey::CreateTopics, 5, |writer| message.encode(writer, 5))
}

/// Produces one batch to partition 0, acks=all.
pub fn produce(records: usize, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.push(WallMs(1_800_000_000_000), None, Some(&vec![b'v'; bytes]));
    }
    let batch = builder.build();
    let data = PartitionProduceData { index: 0, records: Some(Records::Borrowed(&batch)) };
    let topic = TopicProduceData { name: TOPIC, partition_data: vec![data], ..TopicProduceData::default() };
    let message =
        ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..ProduceRequest::default() };
    request(ApiKey::Produce, 9, |writer| message.encode(writer, 9))
}

/// Fetches from `offset` of partition 0 and from the start of `others` further, empty ones.
pub fn fetch(offset: i64, bytes_max: i32, others: i32) -> Vec<u8> {
    let wish = |partition, fetch_offset| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: bytes_max,
        current_leader_epoch: -1,
        ..FetchPartition::default()
    };
    let mut partitions = vec![wish(0, offset)];
    partitions.extend((1..=others).map(|partition| wish(partition, 0)));
    let message = FetchRequest {
        replica_id: -1,
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: bytes_max,
        session_epoch: -1,
        topics: vec![FetchTopic { topic: TOPIC, partitions, ..FetchTopic::default() }],
        ..FetchRequest::default()
    };
    request(ApiKey::Fetch, 11, |writer| message.encode(writer, 11))
}
