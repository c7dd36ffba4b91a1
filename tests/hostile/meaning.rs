//! Requests that are well-formed and wrong: batches that no leader may take, offsets and names that cannot be, sizes
//! that nobody can serve. The codes are those that Apache Kafka 4.3 gives; cases that differ say why.

use corelane_base::id::{ProducerEpoch, ProducerId};
use corelane_base::time::WallMs;
use corelane_log::batch::{self, Compression};
use corelane_log::builder::BatchBuilder;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::alter_configs as alter;
use corelane_wire::message::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use corelane_wire::message::create_topics as create;
use corelane_wire::message::delete_records as delete;
use corelane_wire::message::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use corelane_wire::message::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelane_wire::message::describe_topic_partitions as describe;
use corelane_wire::message::fetch::{FetchPartition, FetchRequest, FetchTopic};
use corelane_wire::message::incremental_alter_configs as incremental;
use corelane_wire::message::init_producer_id::InitProducerIdRequest;
use corelane_wire::message::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelane_wire::message::metadata::{MetadataRequest, MetadataRequestTopic};
use corelane_wire::message::offset_for_leader_epoch as epochs;
use corelane_wire::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelane_wire::primitive::Records;

use super::{Case, Expected};
use crate::wire_client::{Connection, create_topic, now, produce_request, request, topic_id};

/// Names that no topic may have.
fn bad_names() -> Vec<String> {
    let names = [
        "../",
        "../../etc/passwd",
        "a/b",
        ".",
        "..",
        "",
        "a b",
        "a:b",
        "a\\b",
        "a\0b",
        "ü",
        "a\nb",
        "%2e%2e",
    ];
    let mut names: Vec<String> = names.map(String::from).to_vec();
    names.push("x".repeat(250));
    names.push("x".repeat(30_000));
    names
}

/// A batch of three records now, to be spoilt.
fn sample() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.push(now(), Some(b"key"), Some(b"value"));
    builder.push(now(), None, Some(b"second")).push(now(), Some(b"k"), None);
    builder.build().to_vec()
}

/// A sample with other bytes at `at` and, if the length allows, a CRC that fits them.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = sample();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let length = i32::from_be_bytes([batch[8], batch[9], batch[10], batch[11]]);
    if length == batch.len() as i32 - 12 {
        batch::stamp_crc(&mut batch);
    }
    batch
}

fn produced(name: impl Into<String>, records: &[u8], expected: Expected) -> Case {
    Case::new(name, (ApiKey::Produce, 9), produce_request(9, -1, "target", 0, records), expected)
}

/// Batches that a leader refuses.
pub fn batches(address: &str) -> Vec<Case> {
    let mut connection = Connection::open(address);
    create_topic(&mut connection, "target", 2, &[]);
    create_topic(&mut connection, "small", 1, &[("max.message.bytes", "1000")]);
    create_topic(&mut connection, "poison", 1, &[]);
    let mut cases = broken_batches();
    cases.extend(contradicting_batches());
    cases.extend(idempotence());
    cases.extend(produce_targets(&mut connection));
    cases.extend(opaque_batches());
    cases
}

fn broken_batches() -> Vec<Case> {
    use ErrorCode::{CorruptMessage, InvalidRecord};
    let good = sample();
    let mut cases = vec![
        produced("no batch", &[], Expected::Code(InvalidRecord)),
        produced("zeros", &[0; 61], Expected::Code(CorruptMessage)),
        produced("two batches", &[&good[..], &good[..]].concat(), Expected::Code(InvalidRecord)),
        // Kafka drops what is no whole batch in silence.
        produced("a byte behind", &[&good[..], &[0]].concat(), Expected::Code(InvalidRecord)).not_on_kafka(),
        produced("noise", &[0xa5; 200], Expected::Code(CorruptMessage)),
    ];
    for count in [1, 11, 12, 16, 17, 60, 61, good.len() - 1] {
        let name = format!("{count} bytes of a batch");
        cases.push(produced(name, &good[..count], Expected::Code(InvalidRecord)));
    }
    for magic in [0, 1] {
        cases.push(produced(format!("magic {magic}"), &patched(16, &[magic]), Expected::Code(InvalidRecord)));
    }
    for magic in [3, 4, 127, 128, 255] {
        cases.push(produced(
            format!("magic {magic}"),
            &patched(16, &[magic]),
            Expected::Code(CorruptMessage),
        ));
    }
    for length in [i32::MIN, -1, 0, 1, 13] {
        let name = format!("batch length {length}");
        cases.push(produced(name, &patched(8, &length.to_be_bytes()), Expected::Code(CorruptMessage)));
    }
    for length in [good.len() as i32 - 11, 1 << 20, i32::MAX - 12, i32::MAX] {
        let name = format!("batch length {length}");
        let case = produced(name, &patched(8, &length.to_be_bytes()), Expected::Code(InvalidRecord));
        // The largest runs over in Kafka and ends as UNKNOWN_SERVER_ERROR.
        cases.push(if length == i32::MAX { case.not_on_kafka() } else { case });
    }
    for at in [17, 21, 27, 35, 43, 57, 61, good.len() - 1] {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        cases.push(produced(format!("a wrong bit at {at}"), &damaged, Expected::Code(CorruptMessage)));
    }
    let mut damaged = good;
    damaged[17] ^= 1;
    let frame = produce_request(9, 0, "target", 0, &damaged);
    cases.push(Case::new("a wrong CRC with acks=0", (ApiKey::Produce, 9), frame, Expected::Close));
    cases
}

fn contradicting_batches() -> Vec<Case> {
    use ErrorCode::{InvalidRecord, InvalidTimestamp, MessageTooLarge, UnsupportedCompressionType};
    let mut cases = Vec::new();
    for count in [0, -1, 2, 4, i32::MAX, i32::MIN] {
        let bytes = patched(57, &i32::to_be_bytes(count));
        cases.push(produced(format!("record count {count}"), &bytes, Expected::Code(InvalidRecord)));
    }
    for delta in [-1, 0, 1, 3, i32::MAX, i32::MIN] {
        let bytes = patched(23, &i32::to_be_bytes(delta));
        cases.push(produced(format!("last offset delta {delta}"), &bytes, Expected::Code(InvalidRecord)));
    }
    for offset in [1, -1, i64::MAX, i64::MIN] {
        let bytes = patched(0, &i64::to_be_bytes(offset));
        cases.push(produced(format!("base offset {offset}"), &bytes, Expected::Code(InvalidRecord)));
    }
    cases.push(produced("control batch", &patched(21, &[0, 0x20]), Expected::Code(InvalidRecord)));
    for id in [5, 6, 7] {
        // Kafka has no better code than UNKNOWN_SERVER_ERROR here.
        let case = produced(
            format!("compression {id}"),
            &patched(21, &[0, id]),
            Expected::Code(UnsupportedCompressionType),
        );
        cases.push(case.not_on_kafka());
    }
    let mut zstd = BatchBuilder::new();
    zstd.compression = Compression::Zstd;
    let zstd = zstd.push(now(), None, Some(b"value")).build();
    let frame = produce_request(6, -1, "target", 0, &zstd);
    let expected = Expected::Code(UnsupportedCompressionType);
    cases.push(Case::new("zstd in Produce v6", (ApiKey::Produce, 6), frame, expected));
    // Kafka clears the bit where the topic wants the producer's time. No client sets it.
    let append_time = produced("log append time", &patched(21, &[0, 8]), Expected::Code(InvalidTimestamp));
    cases.push(append_time.not_on_kafka());
    let mut tomorrow = BatchBuilder::new();
    let tomorrow = tomorrow.push(WallMs(now().0 + 86_400_000), None, Some(b"value")).build();
    cases.push(produced("a record from tomorrow", &tomorrow, Expected::Code(InvalidTimestamp)));
    let mut large = BatchBuilder::new();
    let large = large.push(now(), None, Some(&vec![7; 2 << 20])).build();
    cases.push(produced("a batch of 2 MiB", &large, Expected::Code(MessageTooLarge)));
    let mut large = BatchBuilder::new();
    let large = large.push(now(), None, Some(&[7; 1000])).build();
    let frame = produce_request(9, -1, "small", 0, &large);
    let expected = Expected::Code(MessageTooLarge);
    cases.push(Case::new("above the topic's max.message.bytes", (ApiKey::Produce, 9), frame, expected));
    cases
}

/// One batch of an idempotent producer.
fn of_producer(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.producer_id = ProducerId(producer_id);
    builder.producer_epoch = ProducerEpoch(producer_epoch);
    builder.base_sequence = base_sequence;
    builder.push(now(), None, Some(b"value")).build().to_vec()
}

fn idempotence() -> Vec<Case> {
    use ErrorCode::{InvalidProducerEpoch, InvalidRecord, None, OutOfOrderSequenceNumber};
    // In this order: the cases before make the state that the later ones offend.
    let id = 1_000_000 + i64::from(std::process::id());
    vec![
        produced("producer without sequence", &of_producer(id, 3, -1), Expected::Code(InvalidRecord)),
        produced("its first batch", &of_producer(id, 3, 0), Expected::Code(None)),
        produced("the same again", &of_producer(id, 3, 0), Expected::Code(None)),
        produced("a gap", &of_producer(id, 3, 2), Expected::Code(OutOfOrderSequenceNumber)),
        produced("far ahead", &of_producer(id, 3, i32::MAX), Expected::Code(OutOfOrderSequenceNumber)),
        produced("an old epoch", &of_producer(id, 2, 1), Expected::Code(InvalidProducerEpoch)),
        produced("a new epoch not from 0", &of_producer(id, 4, 1), Expected::Code(OutOfOrderSequenceNumber)),
        produced("a new epoch", &of_producer(id, 4, 0), Expected::Code(None)),
        produced("the old epoch now", &of_producer(id, 3, 1), Expected::Code(InvalidProducerEpoch)),
    ]
}

fn produce_targets(connection: &mut Connection) -> Vec<Case> {
    use ErrorCode::{InvalidRequiredAcks, UnknownTopicId, UnknownTopicOrPartition};
    let good = sample();
    let mut cases = Vec::new();
    for acks in [2, -2, 127, i16::MAX, i16::MIN] {
        let frame = produce_request(9, acks, "target", 0, &good);
        let expected = Expected::Code(InvalidRequiredAcks);
        cases.push(Case::new(format!("acks={acks}"), (ApiKey::Produce, 9), frame, expected));
    }
    for partition in [-1, 2, i32::MAX, i32::MIN] {
        let frame = produce_request(9, -1, "target", partition, &good);
        let expected = Expected::Code(UnknownTopicOrPartition);
        cases.push(Case::new(
            format!("produce to partition {partition}"),
            (ApiKey::Produce, 9),
            frame,
            expected,
        ));
    }
    for name in bad_names() {
        let frame = produce_request(9, -1, &name, 0, &good);
        let expected = Expected::OneOf(&[UnknownTopicOrPartition, ErrorCode::InvalidTopicException]);
        let name = format!("produce to {:?}", &name[..name.len().min(40)]);
        cases.push(Case::new(name, (ApiKey::Produce, 9), frame, expected));
    }
    for topic_id in [[0; 16], [7; 16], [255; 16]] {
        let data = PartitionProduceData { index: 0, records: Some(Records::Borrowed(&good)) };
        let topic = TopicProduceData { topic_id, partition_data: vec![data], ..Default::default() };
        let message =
            ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
        let frame = request(ApiKey::Produce, 13, |w, version| message.encode(w, version));
        let name = format!("produce to topic id {:?}", &topic_id[..2]);
        cases.push(Case::new(name, (ApiKey::Produce, 13), frame, Expected::Code(UnknownTopicId)));
    }
    let known = topic_id(connection, "target").expect("it was created");
    let many = |records: Option<Records<'static>>, count: i32| {
        let data = (0..count).map(|index| PartitionProduceData { index: index % 2, records }).collect();
        let topic = TopicProduceData { topic_id: known, partition_data: data, ..Default::default() };
        let message =
            ProduceRequest { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
        request(ApiKey::Produce, 13, |w, version| message.encode(w, version))
    };
    // Kafka never answers these.
    for (name, count) in [("null records", 1), ("100,000 times null records", 100_000)] {
        let case = Case::new(name, (ApiKey::Produce, 13), many(None, count), Expected::Anything);
        cases.push(case.not_on_kafka());
    }
    let empty = Some(Records::Borrowed(&[]));
    let expected = Expected::Code(ErrorCode::InvalidRecord);
    cases.push(Case::new("100,000 times no batch", (ApiKey::Produce, 13), many(empty, 100_000), expected));
    cases
}

/// What only a look inside would find. Corelane stores batches unopened: it takes these, and their readers must find
/// errors in their own hands and not in the broker.
fn opaque_batches() -> Vec<Case> {
    let codecs = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut cases = Vec::new();
    let mut poison = |name: String, records: &[u8]| {
        let frame = produce_request(9, -1, "poison", 0, records);
        cases.push(Case::new(name, (ApiKey::Produce, 9), frame, Expected::Anything));
    };
    for codec in codecs {
        let mut garbage = patched(21, &[0, codec as u8]);
        garbage[61..].fill(0xa5);
        batch::stamp_crc(&mut garbage);
        poison(format!("{codec:?} of garbage"), &garbage);
        let mut bomb = BatchBuilder::new();
        bomb.compression = codec;
        let bomb = bomb.push(now(), None, Some(&vec![0; 128 << 20])).build();
        poison(format!("a {codec:?} bomb, {} bytes of 128 MiB", bomb.len()), &bomb);
    }
    let mut malformed = sample();
    malformed[61..].fill(0xff);
    batch::stamp_crc(&mut malformed);
    poison("records that are none".into(), &malformed);
    for timestamp in [0, 1, now().0, i64::MAX, -3] {
        let frame = list_offsets_request("poison", 0, -1, timestamp);
        let name = format!("ListOffsets at {timestamp} among poison");
        cases.push(Case::new(name, (ApiKey::ListOffsets, 7), frame, Expected::Anything));
    }
    cases
}

fn list_offsets_request(
    name: &str,
    partition_index: i32,
    current_leader_epoch: i32,
    timestamp: i64,
) -> Vec<u8> {
    let default = ListOffsetsPartition::default();
    let partition = ListOffsetsPartition { partition_index, current_leader_epoch, timestamp, ..default };
    let topics = vec![ListOffsetsTopic { name, partitions: vec![partition] }];
    let message = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    request(ApiKey::ListOffsets, 7, |w, version| message.encode(w, version))
}

/// Fetches, look-ups and metadata that cannot be.
pub fn reads(address: &str) -> Vec<Case> {
    let mut connection = Connection::open(address);
    create_topic(&mut connection, "target", 2, &[]);
    let mut cases = fetches();
    cases.extend(look_ups());
    cases.extend(metadata());
    cases
}

fn fetch_case(name: impl Into<String>, topic: &str, partition: FetchPartition, expected: Expected) -> Case {
    fetch_with(name, topic, partition, expected, FetchRequest::default())
}

fn fetch_with(
    name: impl Into<String>,
    topic: &str,
    partition: FetchPartition,
    expected: Expected,
    message: FetchRequest<'_>,
) -> Case {
    let topics = vec![FetchTopic { topic, partitions: vec![partition], ..FetchTopic::default() }];
    let message = FetchRequest { topics, ..message };
    let frame = request(ApiKey::Fetch, 11, |w, version| message.encode(w, version));
    Case::new(name, (ApiKey::Fetch, 11), frame, expected)
}

fn fetches() -> Vec<Case> {
    use ErrorCode::{
        FetchSessionIdNotFound, InvalidFetchSessionEpoch, None, OffsetOutOfRange, UnknownLeaderEpoch,
        UnknownTopicOrPartition,
    };
    let good: fn() -> FetchPartition =
        || FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let mut cases = Vec::new();
    for partition in [-1, 2, i32::MAX, i32::MIN] {
        let expected = Expected::Code(UnknownTopicOrPartition);
        let case = FetchPartition { partition, ..good() };
        cases.push(fetch_case(format!("fetch from partition {partition}"), "target", case, expected));
    }
    for fetch_offset in [-1, -2, i64::MIN, 1 << 40, i64::MAX] {
        let case = FetchPartition { fetch_offset, ..good() };
        let expected = Expected::Code(OffsetOutOfRange);
        cases.push(fetch_case(format!("fetch from offset {fetch_offset}"), "target", case, expected));
    }
    for name in bad_names() {
        let expected = Expected::OneOf(&[UnknownTopicOrPartition, ErrorCode::InvalidTopicException]);
        let shown = format!("fetch from {:?}", &name[..name.len().min(40)]);
        cases.push(fetch_case(shown, &name, good(), expected));
    }
    let case = FetchPartition { current_leader_epoch: 999, ..good() };
    cases.push(fetch_case(
        "fetch of a leader epoch to come",
        "target",
        case,
        Expected::Code(UnknownLeaderEpoch),
    ));
    for (session_id, session_epoch) in [(12_345, 1), (-1, 1), (0, 7)] {
        let message = FetchRequest { session_id, session_epoch, ..FetchRequest::default() };
        let name = format!("fetch session {session_id} epoch {session_epoch}");
        let expected = Expected::OneOf(&[FetchSessionIdNotFound, InvalidFetchSessionEpoch]);
        cases.push(fetch_with(name, "target", good(), expected, message));
    }
    for max in [0, -1, i32::MIN] {
        let case = FetchPartition { partition_max_bytes: max, ..good() };
        let message =
            FetchRequest { max_bytes: max, min_bytes: max, max_wait_ms: max, ..FetchRequest::default() };
        let expected = if max < 0 { Expected::Anything } else { Expected::Code(None) };
        cases.push(fetch_with(format!("fetch of {max} bytes"), "target", case, expected, message));
    }
    let message = FetchRequest { min_bytes: i32::MAX, max_wait_ms: 10, ..FetchRequest::default() };
    cases.push(fetch_with("fetch of at least 2 GiB", "target", good(), Expected::Code(None), message));
    for isolation_level in [2, -1, 127] {
        let message = FetchRequest { isolation_level, ..FetchRequest::default() };
        let name = format!("fetch with isolation level {isolation_level}");
        cases.push(fetch_with(name, "target", good(), Expected::Anything, message));
    }
    for replica_id in [0, 1, 5, i32::MAX] {
        let message = FetchRequest { replica_id, ..FetchRequest::default() };
        let name = format!("fetch as follower {replica_id}");
        cases.push(fetch_with(name, "target", good(), Expected::Anything, message));
    }
    cases.extend(fetches_of_topics(good));
    cases
}

fn fetches_of_topics(good: fn() -> FetchPartition) -> Vec<Case> {
    use ErrorCode::{UnknownTopicId, UnknownTopicOrPartition};
    let mut cases = Vec::new();
    for topic_id in [[0; 16], [7; 16]] {
        let topics = vec![FetchTopic { topic_id, partitions: vec![good()], ..FetchTopic::default() }];
        let message = FetchRequest { topics, ..FetchRequest::default() };
        let frame = request(ApiKey::Fetch, 13, |w, version| message.encode(w, version));
        let name = format!("fetch from topic id {:?}", &topic_id[..2]);
        cases.push(Case::new(name, (ApiKey::Fetch, 13), frame, Expected::Code(UnknownTopicId)));
    }
    let partitions =
        (0..100_000).map(|partition| FetchPartition { partition: partition + 2, ..good() }).collect();
    let topics = vec![FetchTopic { topic: "target", partitions, ..FetchTopic::default() }];
    let message = FetchRequest { topics, ..FetchRequest::default() };
    let frame = request(ApiKey::Fetch, 11, |w, version| message.encode(w, version));
    let expected = Expected::Code(UnknownTopicOrPartition);
    cases.push(Case::new("fetch from 100,000 partitions", (ApiKey::Fetch, 11), frame, expected));
    cases
}

fn look_ups() -> Vec<Case> {
    use ErrorCode::{UnknownLeaderEpoch, UnknownTopicOrPartition};
    let mut cases = Vec::new();
    let mut list =
        |name: String, topic: &str, partition: i32, epoch: i32, timestamp: i64, expected: Expected| {
            let frame = list_offsets_request(topic, partition, epoch, timestamp);
            cases.push(Case::new(name, (ApiKey::ListOffsets, 7), frame, expected));
        };
    for partition in [-1, 2, i32::MAX] {
        let expected = Expected::Code(UnknownTopicOrPartition);
        list(format!("ListOffsets of partition {partition}"), "target", partition, -1, -1, expected);
    }
    for name in bad_names() {
        let expected = Expected::OneOf(&[UnknownTopicOrPartition, ErrorCode::InvalidTopicException]);
        list(format!("ListOffsets of {:?}", &name[..name.len().min(40)]), &name, 0, -1, -1, expected);
    }
    list(
        "ListOffsets of a leader epoch to come".into(),
        "target",
        0,
        999,
        -1,
        Expected::Code(UnknownLeaderEpoch),
    );
    for timestamp in [-99, i64::MIN, i64::MAX] {
        list(format!("ListOffsets at {timestamp}"), "target", 0, -1, timestamp, Expected::Anything);
    }
    let mut epoch =
        |name: String, topic: &str, partition: i32, current: i32, leader_epoch: i32, code: Expected| {
            let partition =
                epochs::OffsetForLeaderPartition { partition, current_leader_epoch: current, leader_epoch };
            let topics = vec![epochs::OffsetForLeaderTopic { topic, partitions: vec![partition] }];
            let message = epochs::OffsetForLeaderEpochRequest { topics, replica_id: -1 };
            let frame = request(ApiKey::OffsetForLeaderEpoch, 4, |w, version| message.encode(w, version));
            cases.push(Case::new(name, (ApiKey::OffsetForLeaderEpoch, 4), frame, code));
        };
    for partition in [-1, 2, i32::MAX] {
        let expected = Expected::Code(UnknownTopicOrPartition);
        epoch(format!("leader epoch of partition {partition}"), "target", partition, -1, 0, expected);
    }
    epoch("leader epoch to come".into(), "target", 0, 999, 0, Expected::Code(UnknownLeaderEpoch));
    for leader_epoch in [-1, -5, 999, i32::MAX, i32::MIN] {
        epoch(
            format!("end of leader epoch {leader_epoch}"),
            "target",
            0,
            -1,
            leader_epoch,
            Expected::Anything,
        );
    }
    cases
}

fn metadata() -> Vec<Case> {
    use ErrorCode::{InvalidTopicException, UnknownTopicId};
    let mut cases = Vec::new();
    let mut ask = |shown: String, version: i16, topics: Vec<MetadataRequestTopic<'_>>, expected: Expected| {
        let message = MetadataRequest { topics: Some(topics), ..MetadataRequest::default() };
        let frame = request(ApiKey::Metadata, version, |w, version| message.encode(w, version));
        cases.push(Case::new(shown, (ApiKey::Metadata, version), frame, expected));
    };
    for name in bad_names() {
        let topic = MetadataRequestTopic { name: Some(&name), ..MetadataRequestTopic::default() };
        let shown = format!("metadata of {:?}", &name[..name.len().min(40)]);
        ask(shown, 9, vec![topic], Expected::Code(InvalidTopicException));
    }
    for id in [7, 255] {
        let topic = MetadataRequestTopic { topic_id: [id; 16], name: None };
        ask(format!("metadata of topic id {id}"), 12, vec![topic], Expected::Code(UnknownTopicId));
    }
    ask("metadata of nothing".into(), 12, vec![MetadataRequestTopic::default()], Expected::Anything);
    let name = "x".repeat(249);
    let message = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let topic = MetadataRequestTopic { name: Some(&name), ..MetadataRequestTopic::default() };
    let message = MetadataRequest { topics: Some(vec![topic; 20_000]), ..message };
    let frame = request(ApiKey::Metadata, 9, |w, version| message.encode(w, version));
    let expected = Expected::OneOf(&[ErrorCode::UnknownTopicOrPartition, ErrorCode::LeaderNotAvailable]);
    cases.push(Case::new("metadata of 20,000 times one topic", (ApiKey::Metadata, 9), frame, expected));
    let topics = ["../", "nobody"].map(|name| describe::TopicRequest { name });
    for (limit, partition_index) in [(0, 0), (-1, 0), (i32::MIN, -1), (1, i32::MAX)] {
        let cursor = Some(describe::Cursor { topic_name: "nobody", partition_index });
        let topics = topics.to_vec();
        let message =
            describe::DescribeTopicPartitionsRequest { topics, response_partition_limit: limit, cursor };
        let frame = request(ApiKey::DescribeTopicPartitions, 0, |w, version| message.encode(w, version));
        let name = format!("DescribeTopicPartitions with limit {limit} from {partition_index}");
        cases.push(Case::new(name, (ApiKey::DescribeTopicPartitions, 0), frame, Expected::Anything));
    }
    cases
}

/// Topics, partitions and settings that cannot be.
pub fn administration(address: &str) -> Vec<Case> {
    let mut connection = Connection::open(address);
    create_topic(&mut connection, "target", 2, &[]);
    let mut cases = creations();
    cases.extend(deletions());
    cases.extend(settings());
    cases.extend(producer_ids());
    cases
}

fn create_case(name: impl Into<String>, topics: Vec<create::CreatableTopic<'_>>, expected: Expected) -> Case {
    let message = create::CreateTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let frame = request(ApiKey::CreateTopics, 7, |w, version| message.encode(w, version));
    Case::new(name, (ApiKey::CreateTopics, 7), frame, expected)
}

fn creations() -> Vec<Case> {
    use ErrorCode::{InvalidPartitions, InvalidReplicationFactor, InvalidTopicException, PolicyViolation};
    let mut cases = Vec::new();
    let good = fresh();
    for name in bad_names() {
        let topic = create::CreatableTopic { name: &name, ..good.clone() };
        let shown = format!("create {:?}", &name[..name.len().min(40)]);
        cases.push(create_case(shown, vec![topic], Expected::Code(InvalidTopicException)));
    }
    for num_partitions in [0, -2, i32::MIN] {
        let topic = create::CreatableTopic { num_partitions, ..good.clone() };
        let shown = format!("create with {num_partitions} partitions");
        cases.push(create_case(shown, vec![topic], Expected::Code(InvalidPartitions)));
    }
    for num_partitions in [10_000_000, i32::MAX] {
        let topic = create::CreatableTopic { num_partitions, ..good.clone() };
        let shown = format!("create with {num_partitions} partitions");
        let expected = Expected::OneOf(&[InvalidPartitions, PolicyViolation]);
        // Kafka has no bound and dies of it.
        cases.push(create_case(shown, vec![topic], expected).not_on_kafka());
    }
    for replication_factor in [0, -2, 2, i16::MAX, i16::MIN] {
        let topic = create::CreatableTopic { replication_factor, ..good.clone() };
        let shown = format!("create with {replication_factor} replicas");
        cases.push(create_case(shown, vec![topic], Expected::Code(InvalidReplicationFactor)));
    }
    cases.extend(assignments());
    cases
}

/// A topic that could be created.
fn fresh() -> create::CreatableTopic<'static> {
    create::CreatableTopic { name: "fresh", num_partitions: 1, replication_factor: 1, ..Default::default() }
}

/// Partition and brokers.
type Assignment = (i32, &'static [i32]);

fn assignments() -> Vec<Case> {
    use ErrorCode::{
        InvalidConfig, InvalidPartitions, InvalidReplicaAssignment, InvalidReplicationFactor, InvalidRequest,
        TopicAlreadyExists,
    };
    let mut cases = Vec::new();
    let good = fresh();
    let assigned = |assignments: &[Assignment], num_partitions: i32| {
        let assignments = assignments.iter().map(|&(partition_index, broker_ids)| {
            create::CreatableReplicaAssignment { partition_index, broker_ids: broker_ids.to_vec() }
        });
        let (assignments, replication_factor) = (assignments.collect(), -1);
        vec![create::CreatableTopic { assignments, num_partitions, replication_factor, ..good.clone() }]
    };
    let bad: [(&str, &[Assignment]); 5] = [
        ("nowhere", &[(0, &[])]),
        ("a broker that is not", &[(0, &[999])]),
        ("a negative broker", &[(0, &[-1])]),
        ("a partition left out", &[(1, &[1])]),
        ("a negative partition", &[(-1, &[1])]),
    ];
    for (name, assignments) in bad {
        let expected =
            Expected::OneOf(&[InvalidReplicaAssignment, InvalidPartitions, InvalidReplicationFactor]);
        cases.push(create_case(format!("assignment to {name}"), assigned(assignments, -1), expected));
    }
    let both = assigned(&[(0, &[1])], 1);
    cases.push(create_case("assignment and count", both, Expected::Code(InvalidRequest)));
    let again = create::CreatableTopic { name: "target", ..good.clone() };
    cases.push(create_case("create again", vec![again], Expected::Code(TopicAlreadyExists)));
    let twice = vec![good.clone(), good.clone()];
    cases.push(create_case("create twice in one request", twice, Expected::Code(InvalidRequest)));
    let bad_settings = [
        ("no.such.setting", Some("1")),
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("cleanup.policy", Some("burn")),
        ("max.message.bytes", Some("-1")),
        ("min.insync.replicas", Some("0")),
        ("segment.bytes", Some("99999999999999999999")),
        ("retention.ms", None),
        ("", Some("")),
    ];
    for (name, value) in bad_settings {
        let configs = vec![create::CreatableTopicConfig { name, value }];
        let topic = create::CreatableTopic { configs, ..good.clone() };
        let expected = Expected::OneOf(&[InvalidConfig, InvalidRequest]);
        cases.push(create_case(format!("create with {name}={value:?}"), vec![topic], expected));
    }
    cases
}

fn deletions() -> Vec<Case> {
    use ErrorCode::{InvalidPartitions, OffsetOutOfRange, UnknownTopicId, UnknownTopicOrPartition};
    let mut cases = Vec::new();
    for (name, count, expected) in [
        ("target", 0, InvalidPartitions),
        ("target", -1, InvalidPartitions),
        ("target", 1, InvalidPartitions),
        ("target", 2, InvalidPartitions),
        ("target", i32::MIN, InvalidPartitions),
        ("nobody", 3, UnknownTopicOrPartition),
        ("../", 3, UnknownTopicOrPartition),
        ("target", i32::MAX, ErrorCode::PolicyViolation),
    ] {
        let topics = vec![CreatePartitionsTopic { name, count, assignments: None }];
        let message = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
        let frame = request(ApiKey::CreatePartitions, 3, |w, version| message.encode(w, version));
        let shown = format!("{count} partitions for {name}");
        let case = Case::new(shown, (ApiKey::CreatePartitions, 3), frame, Expected::Code(expected));
        // Kafka has no bound and dies of it.
        cases.push(if count == i32::MAX { case.not_on_kafka() } else { case });
    }
    let names = bad_names();
    for name in names.iter().map(String::as_str).chain(["nobody"]) {
        let topics = vec![DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }];
        let message = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
        let frame = request(ApiKey::DeleteTopics, 6, |w, version| message.encode(w, version));
        let shown = format!("delete {:?}", &name[..name.len().min(40)]);
        let expected = Expected::OneOf(&[UnknownTopicOrPartition, ErrorCode::InvalidTopicException]);
        cases.push(Case::new(shown, (ApiKey::DeleteTopics, 6), frame, expected));
    }
    let topics = vec![DeleteTopicState { name: None, topic_id: [7; 16] }];
    let message = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
    let frame = request(ApiKey::DeleteTopics, 6, |w, version| message.encode(w, version));
    cases.push(Case::new("delete by id", (ApiKey::DeleteTopics, 6), frame, Expected::Code(UnknownTopicId)));
    for (name, partition_index, offset, expected) in [
        ("nobody", 0, 0, UnknownTopicOrPartition),
        ("../", 0, 0, UnknownTopicOrPartition),
        ("target", -1, 0, UnknownTopicOrPartition),
        ("target", 2, 0, UnknownTopicOrPartition),
        ("target", 1, 1 << 40, OffsetOutOfRange),
        ("target", 1, -2, OffsetOutOfRange),
        ("target", 1, i64::MIN, OffsetOutOfRange),
        ("target", 1, i64::MAX, OffsetOutOfRange),
    ] {
        let partitions = vec![delete::DeleteRecordsPartition { partition_index, offset }];
        let topics = vec![delete::DeleteRecordsTopic { name, partitions }];
        let message = delete::DeleteRecordsRequest { topics, timeout_ms: 10_000 };
        let frame = request(ApiKey::DeleteRecords, 2, |w, version| message.encode(w, version));
        let shown = format!("delete records of {name}-{partition_index} before {offset}");
        cases.push(Case::new(shown, (ApiKey::DeleteRecords, 2), frame, Expected::Code(expected)));
    }
    cases
}

fn settings() -> Vec<Case> {
    const REFUSED: Expected = Expected::OneOf(&[
        ErrorCode::InvalidConfig,
        ErrorCode::InvalidRequest,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::InvalidTopicException,
    ]);
    let mut cases = Vec::new();
    for (resource_type, resource_name) in
        [(0, "x"), (99, "x"), (-1, "x"), (2, "nobody"), (2, "../"), (4, "x"), (4, "999")]
    {
        let resource = DescribeConfigsResource { resource_type, resource_name, ..Default::default() };
        let message = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let frame = request(ApiKey::DescribeConfigs, 4, |w, version| message.encode(w, version));
        let shown = format!("describe the settings of {resource_type} {resource_name:?}");
        cases.push(Case::new(shown, (ApiKey::DescribeConfigs, 4), frame, REFUSED));
    }
    let bad = [
        (2, "nobody", "retention.ms", Some("1")),
        (2, "../", "retention.ms", Some("1")),
        (2, "target", "no.such.setting", Some("1")),
        (2, "target", "retention.ms", Some("soon")),
        (2, "target", "cleanup.policy", Some("burn")),
        (2, "target", "retention.ms", None),
        (4, "x", "log.retention.ms", Some("1")),
        (4, "999", "log.retention.ms", Some("1")),
        (77, "x", "retention.ms", Some("1")),
    ];
    for (resource_type, resource_name, name, value) in bad {
        let configs = vec![alter::AlterableConfig { name, value }];
        let resources = vec![alter::AlterConfigsResource { resource_type, resource_name, configs }];
        let message = alter::AlterConfigsRequest { resources, validate_only: false };
        let frame = request(ApiKey::AlterConfigs, 2, |w, version| message.encode(w, version));
        let shown = format!("set {name}={value:?} of {resource_type} {resource_name:?}");
        cases.push(Case::new(shown.clone(), (ApiKey::AlterConfigs, 2), frame, REFUSED));
        let configs = vec![incremental::AlterableConfig { name, config_operation: 0, value }];
        let resources = vec![incremental::AlterConfigsResource { resource_type, resource_name, configs }];
        let message = incremental::IncrementalAlterConfigsRequest { resources, validate_only: false };
        let frame = request(ApiKey::IncrementalAlterConfigs, 1, |w, version| message.encode(w, version));
        cases.push(Case::new(format!("{shown}, one"), (ApiKey::IncrementalAlterConfigs, 1), frame, REFUSED));
    }
    for config_operation in [4, -1, 127] {
        let one = incremental::AlterableConfig { name: "retention.ms", config_operation, value: Some("1") };
        let (resource_type, resource_name) = (2, "target");
        let resource = incremental::AlterConfigsResource { resource_type, resource_name, configs: vec![one] };
        let message =
            incremental::IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let frame = request(ApiKey::IncrementalAlterConfigs, 1, |w, version| message.encode(w, version));
        let name = format!("settings operation {config_operation}");
        // Kafka trips over them: UNKNOWN_SERVER_ERROR.
        cases.push(Case::new(name, (ApiKey::IncrementalAlterConfigs, 1), frame, REFUSED).not_on_kafka());
    }
    cases
}

fn producer_ids() -> Vec<Case> {
    let mut cases = Vec::new();
    for (transactional_id, timeout, producer_id, producer_epoch) in [
        (Some(""), 1000, -1, -1),
        (Some("t"), 0, -1, -1),
        (Some("t"), i32::MAX, -1, -1),
        (None, -1, 5, -1),
        (None, 1000, -1, 5),
        (None, 1000, i64::MIN, i16::MIN),
    ] {
        let message = InitProducerIdRequest {
            transactional_id,
            transaction_timeout_ms: timeout,
            producer_id,
            producer_epoch,
        };
        let frame = request(ApiKey::InitProducerId, 4, |w, version| message.encode(w, version));
        let name = format!("producer id for {transactional_id:?} {timeout} {producer_id} {producer_epoch}");
        cases.push(Case::new(name, (ApiKey::InitProducerId, 4), frame, Expected::Anything));
    }
    cases
}
