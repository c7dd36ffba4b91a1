//! `compression.type` as users see it: whatever a producer's compression, batches are stored with that of their topic, and
//! nothing else of them changes. What unmodified clients make of it stands in `clients.rs`.
//!
//! Runs against Kafka as well (`CORELANE_TEST_ORACLE=1`).

use corelane_base::id::{ProducerEpoch, ProducerId};
use corelane_log::batch::{self, BatchHeader, Compression, HEADER_SIZE};
use corelane_log::builder::BatchBuilder;
use corelane_log::records;

use crate::cli::{inspected, is_ours, run};
use crate::harness::{Broker, is_oracle};
use crate::wire_client::{Connection, create_topic, fetch, now, produce};

const FETCH_VERSION: i16 = 11;
const PRODUCER: ProducerId = ProducerId(4_000_000);

/// The values of `compression.type` that name one.
const TYPES: [(&str, Compression); 5] = [
    ("uncompressed", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Three records of an idempotent producer, among them one with headers and a tombstone.
fn numbered(compression: Compression, base_sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression = compression;
    builder.producer_id = PRODUCER;
    builder.producer_epoch = ProducerEpoch(2);
    builder.base_sequence = base_sequence;
    let headers: [(&[u8], Option<&[u8]>); 2] = [(b"trace", Some(&[1, 2, 3])), (b"none", None)];
    builder.push_with_headers(now(), Some(b"key"), Some(&[b'x'; 700]), &headers);
    builder.push(now(), None, Some(b"value"));
    builder.push(now(), Some(b"gone"), None);
    builder.build().to_vec()
}

/// One record of `size` zeros.
fn zeros(compression: Compression, size: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression = compression;
    builder.push(now(), None, Some(&vec![0; size])).build().to_vec()
}

/// The first batch at `offset`, by itself.
fn stored(connection: &mut Connection, topic: &str, offset: i64) -> (BatchHeader, Vec<u8>) {
    let mut bytes = fetch(connection, FETCH_VERSION, topic, 0, offset, 0).expect("reads go on");
    let header = batch::check_stored(&bytes).expect("a sound batch").expect("a whole batch");
    bytes.truncate(header.size_bytes());
    (header, bytes)
}

/// What is stored at `offset` is what was `sent`, but for its compression.
#[track_caller]
fn check_stored(
    connection: &mut Connection,
    topic: &str,
    offset: i64,
    sent: &[u8],
    compression: Compression,
) {
    let (header, bytes) = stored(connection, topic, offset);
    assert_eq!(header.compression(), Ok(compression), "{topic} at {offset}");
    assert_eq!(header.base_offset().0, offset);
    // All from the last offset delta to the record count: timestamps, producer and sequence among them.
    assert_eq!(bytes[23..HEADER_SIZE], sent[23..HEADER_SIZE], "{topic} at {offset}");
    let (_, before) = records::payload(sent, 1 << 20).expect("our own");
    let (_, after) = records::payload(&bytes, 1 << 20).expect("it decodes");
    assert_eq!(after, before, "{topic} at {offset}");
}

#[test]
fn batches_are_stored_as_their_topic_says_whatever_they_came_as() {
    let mut broker = Broker::start("recompression");
    let mut connection = Connection::open(broker.address());
    for (name, to) in TYPES {
        create_topic(&mut connection, name, 1, &[("compression.type", name)]);
        let batches: Vec<Vec<u8>> =
            (0..).step_by(3).zip(Compression::ALL).map(|(at, from)| numbered(from, at)).collect();
        for (at, batch) in (0..).step_by(3).zip(&batches) {
            assert_eq!(produce(&mut connection, -1, name, 0, batch), Ok(at));
            assert_eq!(produce(&mut connection, -1, name, 0, batch), Ok(at), "sent again");
        }
        for (at, batch) in (0..).step_by(3).zip(&batches) {
            assert_eq!(produce(&mut connection, -1, name, 0, batch), Ok(at), "sent again, later");
            check_stored(&mut connection, name, at, batch, to);
        }
    }
    broker.kill();
    broker.launch();
    let mut connection = Connection::open(broker.address());
    for (name, to) in TYPES {
        let last = numbered(Compression::Zstd, 12);
        assert_eq!(produce(&mut connection, -1, name, 0, &last), Ok(12), "sent again after kill -9");
        let next = numbered(Compression::Gzip, 15);
        assert_eq!(produce(&mut connection, -1, name, 0, &next), Ok(15));
        check_stored(&mut connection, name, 15, &next, to);
    }
    if is_oracle() {
        return;
    }
    assert!(broker.stop().success());
    for (name, to) in TYPES {
        let expected = (format!("{to:?}").to_lowercase(), 3);
        assert_eq!(inspected(&broker, name), vec![expected; 6], "{name}");
    }
}

#[test]
fn the_setting_holds_from_the_next_batch_on() {
    let broker = Broker::start("recompression-changes");
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "t", 1, &[]);
    let mut at = 0;
    let mut check = |line: &str, expected: Compression| {
        run(broker.address(), line, b"").expect_code(0);
        let sent = numbered(Compression::Gzip, at as i32);
        assert_eq!(produce(&mut connection, -1, "t", 0, &sent), Ok(at));
        check_stored(&mut connection, "t", at, &sent, expected);
        if expected == Compression::Gzip {
            let (_, bytes) = stored(&mut connection, "t", at);
            // Base offset, length; leader epoch; the rest is byte for byte what was sent.
            assert_eq!((&bytes[8..12], &bytes[16..]), (&sent[8..12], &sent[16..]));
        }
        at += 3;
    };
    check("topic describe t", Compression::Gzip);
    check("topic alter t --set compression.type=zstd --set compression.zstd.level=19", Compression::Zstd);
    check("topic alter t --set compression.type=uncompressed", Compression::None);
    check("topic alter t --set compression.type=producer", Compression::Gzip);
    check("config alter broker --set compression.type=lz4", Compression::Gzip);
    check("topic alter t --unset compression.type", Compression::Lz4);
}

#[test]
fn what_does_not_decode_or_fit_is_refused_and_nothing_is_stored() {
    let broker = Broker::start_with("recompression-refused", &["--set", "compression.type=zstd"]);
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "zstd", 1, &[]);
    create_topic(&mut connection, "plain", 1, &[("compression.type", "uncompressed")]);
    let mut check = |topic: &str, batch: &[u8], expected: Result<i64, &str>| {
        let seen = produce(&mut connection, -1, topic, 0, batch);
        assert_eq!(seen, expected.map_err(str::to_owned), "{topic}");
    };
    for from in [Compression::Gzip, Compression::Snappy, Compression::Lz4] {
        let mut damaged = numbered(from, 0);
        damaged[HEADER_SIZE..].fill(0xa5);
        batch::stamp_crc(&mut damaged);
        if !is_oracle() {
            // Kafka has no better code than UNKNOWN_SERVER_ERROR here.
            check("zstd", &damaged, Err("CORRUPT_MESSAGE"));
            check("zstd", &zeros(from, 128 << 20), Err("MESSAGE_TOO_LARGE"));
        }
        check("plain", &zeros(from, 2 << 20), Err("MESSAGE_TOO_LARGE"));
    }
    let mut malformed = numbered(Compression::None, 0);
    // The first record's length: more than there is.
    malformed[HEADER_SIZE..][..2].copy_from_slice(&[0xfe, 0x7f]);
    batch::stamp_crc(&mut malformed);
    check("zstd", &malformed, Err("INVALID_RECORD"));
    // 2 MiB that fit as they come and as they are stored.
    check("zstd", &zeros(Compression::Gzip, 2 << 20), Ok(0));
    check("plain", &numbered(Compression::Gzip, 0), Ok(0));
}

#[test]
fn committed_offsets_are_compressed_as_the_broker_is_told() {
    if is_oracle() || !is_ours() {
        return;
    }
    // The setting of Kafka's own topics is a number; 4 is zstd.
    let mut broker =
        Broker::start_with("offsets-compressed", &["--set", "offsets.topic.compression.codec=4"]);
    run(broker.address(), "produce t", b"one\ntwo\n").expect_code(0);
    run(broker.address(), "group reset-offsets g --topic t --to-latest --execute", b"").expect_code(0);
    assert!(broker.stop().success());
    let batches = inspected(&broker, "__consumer_offsets");
    assert!(!batches.is_empty());
    assert!(batches.iter().all(|(compression, _)| compression == "zstd"), "{batches:?}");
}
