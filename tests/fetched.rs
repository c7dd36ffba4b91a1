//! Looks at batches as the broker stores and sends them: a fetch by hand over a raw socket, headers only.
//!
//! Not a client library: it knows exactly three requests in one old version each (ListOffsets 1, Fetch 4, and
//! the framing around them), because no client tells its user how a batch was compressed. An old version on
//! purpose: both ends of the version ranges are used by somebody.

use std::fmt;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const LIST_OFFSETS: i16 = 2;
const FETCH: i16 = 1;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// How long one answer may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of records asked for at a time.
const FETCH_SIZE_MAX: i32 = 4 << 20;
/// Bytes of a version 2 batch before its records.
const BATCH_HEADER_SIZE: usize = 61;
/// Partitions tried for a topic; the first unknown one ends the list.
const PARTITION_COUNT_MAX: i32 = 64;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// In the order of their numbers in the batch attributes.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        })
    }
}

/// What the header of a stored batch says.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// Compression.
    pub codec: Codec,
    /// Records in it.
    pub record_count: u64,
}

/// The end offset of each partition of a topic. Panics: if the broker answers anything but that.
pub fn ends(address: &str, topic: &str) -> Vec<i64> {
    let mut connection = Connection::open(address);
    (0..PARTITION_COUNT_MAX).map_while(|partition| connection.offset(topic, partition, LATEST)).collect()
}

/// All batches of all partitions of a topic, in order. Panics: if the broker answers anything but that.
pub fn batches(address: &str, topic: &str) -> Vec<Batch> {
    let mut connection = Connection::open(address);
    let mut found = Vec::new();
    for partition in 0..PARTITION_COUNT_MAX {
        let Some(end) = connection.offset(topic, partition, LATEST) else {
            assert!(partition > 0, "the broker does not know {topic}");
            return found;
        };
        let mut next = connection.offset(topic, partition, EARLIEST).expect("a partition that has an end");
        while next < end {
            let records = connection.fetch(topic, partition, next);
            let before = next;
            next = read_headers(&records, next, &mut found);
            assert!(next > before, "{topic} partition {partition} gives nothing at offset {before} of {end}");
        }
        assert_eq!(next, end, "the last batch of {topic} partition {partition} ends where the log ends");
    }
    panic!("{topic} has more than {PARTITION_COUNT_MAX} partitions");
}

/// Appends the headers of all whole batches; returns the offset after the last one.
fn read_headers(records: &[u8], from: i64, found: &mut Vec<Batch>) -> i64 {
    let mut next = from;
    let mut rest = records;
    while rest.len() >= BATCH_HEADER_SIZE {
        let size = 12 + usize::try_from(i32_at(rest, 8)).expect("a batch length is not negative");
        if rest.len() < size {
            break;
        }
        assert_eq!(rest[16], 2, "magic");
        let attributes = i16::from_be_bytes([rest[21], rest[22]]);
        let codec = Codec::ALL[usize::from(attributes.unsigned_abs() & 7)];
        let base_offset = i64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
        let record_count = u64::try_from(i32_at(rest, 57)).expect("a record count is not negative");
        assert_eq!(base_offset, next, "batches are dense");
        next = base_offset + i64::from(i32_at(rest, 23)) + 1;
        found.push(Batch { codec, record_count });
        rest = &rest[size..];
    }
    next
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// One connection; requests one after another.
struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).expect("the broker accepts a connection");
        stream.set_read_timeout(Some(ANSWER_DEADLINE)).expect("a deadline that is not zero");
        Connection { stream, correlation_id: 0 }
    }

    /// Sends one request with a version 1 header and returns the answer's body.
    fn ask(&mut self, api_key: i16, api_version: i16, body: &[u8]) -> Vec<u8> {
        self.correlation_id += 1;
        let mut frame = Vec::new();
        frame.extend(api_key.to_be_bytes());
        frame.extend(api_version.to_be_bytes());
        frame.extend(self.correlation_id.to_be_bytes());
        put_string(&mut frame, "corelane-test");
        frame.extend(body);
        let size = u32::try_from(frame.len()).expect("a small request");
        self.stream.write_all(&size.to_be_bytes()).expect("the broker reads");
        self.stream.write_all(&frame).expect("the broker reads");
        let mut head = [0; 8];
        self.stream.read_exact(&mut head).expect("the broker answers");
        assert_eq!(i32_at(&head, 4), self.correlation_id, "correlation id");
        let mut answer = vec![0; usize::try_from(i32_at(&head, 0)).expect("a size") - 4];
        self.stream.read_exact(&mut answer).expect("the broker sends all of its answer");
        answer
    }

    /// An offset by time, or `None` if the partition is unknown.
    fn offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> Option<i64> {
        const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
        let mut body = Vec::new();
        body.extend((-1_i32).to_be_bytes());
        put_partition(&mut body, topic, partition);
        body.extend(timestamp.to_be_bytes());
        let answer = self.ask(LIST_OFFSETS, 1, &body);
        // One topic, its name, one partition, its number; then the error, a timestamp and the offset.
        let at = 4 + 2 + topic.len() + 4 + 4;
        match i16::from_be_bytes([answer[at], answer[at + 1]]) {
            0 => Some(i64::from_be_bytes(answer[at + 10..at + 18].try_into().expect("eight bytes"))),
            UNKNOWN_TOPIC_OR_PARTITION => None,
            code => panic!("ListOffsets of {topic} partition {partition} answers error {code}"),
        }
    }

    /// The record bytes from `offset` on.
    fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend((-1_i32).to_be_bytes());
        body.extend(1000_i32.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        body.extend(FETCH_SIZE_MAX.to_be_bytes());
        body.push(0);
        put_partition(&mut body, topic, partition);
        body.extend(offset.to_be_bytes());
        body.extend(FETCH_SIZE_MAX.to_be_bytes());
        let answer = self.ask(FETCH, 4, &body);
        // Throttle time, one topic, its name, one partition, its number; then error, high watermark, last
        // stable offset, the aborted transactions (none, or null), and the records with their size.
        let at = 4 + 4 + 2 + topic.len() + 4 + 4;
        let error = i16::from_be_bytes([answer[at], answer[at + 1]]);
        assert_eq!(error, 0, "Fetch of {topic} partition {partition} offset {offset}");
        let aborted = i32_at(&answer, at + 18);
        assert!(aborted <= 0, "no transaction was ever aborted, the answer lists {aborted}");
        let size = usize::try_from(i32_at(&answer, at + 22)).expect("records, not null");
        answer[at + 26..at + 26 + size].to_vec()
    }
}

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(i16::try_from(text.len()).expect("a short string").to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// A list of one topic with a list of one partition, up to the partition's number.
fn put_partition(bytes: &mut Vec<u8>, topic: &str, partition: i32) {
    bytes.extend(1_i32.to_be_bytes());
    put_string(bytes, topic);
    bytes.extend(1_i32.to_be_bytes());
    bytes.extend(partition.to_be_bytes());
}
