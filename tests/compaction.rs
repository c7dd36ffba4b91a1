//! Compaction as users see it: the last value of each key stays and the others go within seconds of `segment.ms`,
//! offsets stay, tombstones go in the end, and neither `kill -9` nor a stop in order changes what is there.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use corelane_log::batch::{self, Compression};
use corelane_log::builder::BatchBuilder;
use corelane_log::records;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::produce::ProduceResponse;
use corelane_wire::primitive::Reader;

use crate::harness::{Broker, binary, busy};
use crate::wire_client::{Connection, create_topic, fetch, now, produce, produce_request};

const TOPIC: &str = "compacted";
/// How long a change may take to show on a loaded machine.
const CHANGE_MAX: Duration = Duration::from_secs(90);

/// By offset: key, and value if it is no tombstone.
type Rows = BTreeMap<i64, (String, Option<String>)>;

fn batch_of(compression: Compression, rows: &[(&str, Option<&str>)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.compression = compression;
    for (key, value) in rows {
        builder.push(now(), Some(key.as_bytes()), value.map(str::as_bytes));
    }
    builder.build().to_vec()
}

fn read_all(connection: &mut Connection) -> Rows {
    let (mut rows, mut at) = (Rows::new(), 0);
    loop {
        let bytes = fetch(connection, 11, TOPIC, 0, at, 0).expect("reads go on");
        if bytes.is_empty() {
            return rows;
        }
        let mut rest = &bytes[..];
        while let Ok(Some(header)) = batch::check_stored(rest) {
            let (_, payload) = records::payload(rest, 1 << 20).expect("it decodes");
            for record in records::iter(&header, &payload) {
                let record = record.expect("it decodes");
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let key = text(record.key.expect("only records with keys were sent"));
                rows.insert(record.offset.0, (key, record.value.map(text)));
            }
            at = header.next_offset().0;
            rest = &rest[header.size_bytes()..];
        }
    }
}

/// Leaves the cores to the broker for a moment: a fetch that waits for a record that nobody sends.
fn wait_at_end(connection: &mut Connection, ms: i32) {
    let end = read_all(connection).last_key_value().map_or(0, |(offset, _)| offset + 1);
    fetch(connection, 11, TOPIC, 0, end, ms).expect("reads go on");
}

/// Reads again until what is there is as it should be.
fn wait_for(connection: &mut Connection, what: &str, holds: impl Fn(&Rows) -> bool) -> Rows {
    let end = Instant::now() + CHANGE_MAX;
    loop {
        let rows = read_all(connection);
        if holds(&rows) {
            return rows;
        }
        assert!(Instant::now() < end, "{what}: still {rows:?}");
        wait_at_end(connection, 100);
    }
}

#[test]
fn a_compacted_topic_keeps_the_last_value_of_each_key() {
    let _busy = busy();
    let mut broker = Broker::start_with("compaction", &["--shards", "2"]);
    let mut connection = Connection::open(broker.address());
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "200"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "500"),
    ];
    create_topic(&mut connection, TOPIC, 1, &configs);
    let refused = produce(&mut connection, -1, TOPIC, 0, &crate::wire_client::batch_of(b"no key"));
    assert_eq!(refused, Err("INVALID_RECORD".to_owned()), "a record without a key");
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    let mut latest = BTreeMap::new();
    for round in 0..50 {
        let keys: Vec<String> = (0..10).map(|key| format!("key-{key}")).collect();
        let value = format!("value-{round}-{}", "x".repeat(200));
        let rows: Vec<_> = keys.iter().map(|key| (&key[..], Some(&value[..]))).collect();
        let base =
            produce(&mut connection, -1, TOPIC, 0, &batch_of(codecs[round % 5], &rows)).expect("taken");
        for (offset, key) in (base..).zip(keys) {
            latest.insert(key, (offset, value.clone()));
        }
    }
    let expected: Rows =
        latest.into_iter().map(|(key, (offset, value))| (offset, (key, Some(value)))).collect();
    wait_for(&mut connection, "the last value of each key", |rows| *rows == expected);
    broker.kill();
    broker.launch();
    let mut connection = Connection::open(broker.address());
    // What was exchanged since the last checkpoint is back, and goes once more.
    let rows = read_all(&mut connection);
    assert!(expected.iter().all(|(offset, row)| rows.get(offset) == Some(row)), "after kill -9: {rows:?}");
    wait_for(&mut connection, "after kill -9", |rows| *rows == expected);
    assert!(broker.stop().success());
    broker.launch();
    let mut connection = Connection::open(broker.address());
    assert_eq!(read_all(&mut connection), expected, "after a stop in order");
    produce(&mut connection, -1, TOPIC, 0, &batch_of(Compression::None, &[("key-3", None)])).expect("taken");
    let mut number = 0;
    let mut touch = |connection: &mut Connection| {
        // A tombstone goes when compaction comes by after its time, and it comes where something is new.
        number += 1;
        let value = format!("{number}");
        let batch = batch_of(Compression::None, &[("key-4", Some(&value))]);
        produce(connection, -1, TOPIC, 0, &batch).expect("taken");
    };
    let end = Instant::now() + CHANGE_MAX;
    loop {
        let rows = read_all(&mut connection);
        if rows.values().all(|(key, _)| key != "key-3") {
            break;
        }
        assert!(Instant::now() < end, "the tombstone stays: {rows:?}");
        touch(&mut connection);
        wait_at_end(&mut connection, 300);
    }
    assert!(broker.stop().success());
    let verified = Command::new(binary()).args(["log", "verify"]).arg(broker.data_dir()).output();
    let verified = verified.expect("the binary runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

/// Which records of a batch the broker names when it refuses them for want of a key.
fn refused(connection: &mut Connection, partition: i32, batch: &[u8]) -> Vec<i32> {
    const VERSION: i16 = 9;
    let frame = produce_request(VERSION, -1, TOPIC, partition, batch);
    let body = connection.try_call(ApiKey::Produce, VERSION, &frame).expect("an answer");
    let answer = ProduceResponse::decode(&mut Reader::new(&body), VERSION).expect("a response");
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::InvalidRecord.code(), -1));
    assert!(answer.error_message.is_some_and(|text| text.contains("key")), "{:?}", answer.error_message);
    answer.record_errors.iter().map(|record| record.batch_index).collect()
}

#[test]
fn records_without_a_key_are_named() {
    let broker = Broker::start_with("compaction-keys", &["--shards", "2"]);
    let mut connection = Connection::open(broker.address());
    // Of both shards.
    const PARTITIONS: i32 = 4;
    create_topic(&mut connection, TOPIC, PARTITIONS, &[("cleanup.policy", "compact")]);
    let mixed = |compression, count: usize, has_key: fn(usize) -> bool| {
        let mut builder = BatchBuilder::new();
        builder.compression = compression;
        for index in 0..count {
            builder.push(now(), has_key(index).then_some(b"key"), Some(b"value"));
        }
        builder.build().to_vec()
    };
    for partition in 0..PARTITIONS {
        for compression in [Compression::None, Compression::Zstd] {
            let batch = mixed(compression, 5, |index| index % 2 == 0);
            assert_eq!(refused(&mut connection, partition, &batch), [1, 3]);
        }
    }
    let all = refused(&mut connection, 0, &mixed(Compression::None, 5_000, |_| false));
    assert_eq!(all, Vec::from_iter(0..5_000));
    // Equal records take no room once compressed: the answer may not grow far beyond the request.
    let batch = mixed(Compression::Zstd, 5_000, |_| false);
    let some = refused(&mut connection, 0, &batch);
    assert!(some.len() >= 100 && some.len() <= batch.len(), "{} named of {} bytes", some.len(), batch.len());
    let taken = produce(&mut connection, -1, TOPIC, 0, &mixed(Compression::None, 2, |_| true));
    assert_eq!(taken, Ok(0), "nothing of what was refused is there");
}
