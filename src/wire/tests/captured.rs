//! Frames that real clients and Apache Kafka 4.3 exchanged, recorded between them on a loopback connection: all decode to
//! the end and encode to the same bytes again.
//!
//! `captured.txt` holds one frame a line, without its length: who was talking to Kafka, API, version, direction, bytes.
//! The clients were kcat, confluent-kafka, kafka-python, aiokafka, kafkajs, franz-go, sarama, and the Java client with
//! its command-line tools; each created topics, produced a dozen records in each compression, and read them back.

use crate::api::{APIS, ApiKey};
use crate::fuzz::{CODECS, Codec};
use crate::header::{RequestHeader, ResponseHeader};
use crate::primitive::{Reader, Writer};

/// A line of the file.
struct Frame {
    line: usize,
    client: &'static str,
    api: ApiKey,
    version: i16,
    is_request: bool,
    bytes: Vec<u8>,
}

fn frames() -> impl Iterator<Item = Frame> {
    include_str!("captured.txt").lines().enumerate().filter(|(_, text)| !text.starts_with('#')).map(
        |(index, text)| {
            let words: Vec<&str> = text.split(' ').collect();
            let &[client, api, version, direction, hex] = words.as_slice() else {
                panic!("line {}: not five words", index + 1);
            };
            let pairs = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
            Frame {
                line: index + 1,
                client,
                api: APIS.iter().find(|each| each.name == api).expect("a known API").key,
                version: version.parse().expect("a number"),
                is_request: direction == "request",
                bytes: pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect(),
            }
        },
    )
}

fn codec(frame: &Frame) -> &'static Codec {
    let side = if frame.is_request { "Request" } else { "Response" };
    let found = CODECS.iter().find(|each| each.api_key == frame.api.code() && each.name.ends_with(side));
    found.expect("a codec for every API that clients used")
}

/// Decodes header and body, and encodes both again.
fn recoded(frame: &Frame) -> Vec<u8> {
    let mut r = Reader::new(&frame.bytes);
    let mut w = Writer::new();
    let key = frame.api.code();
    if frame.is_request {
        let header = RequestHeader::decode(&mut r).expect("a request header");
        assert_eq!((header.api_key, header.api_version), (key, frame.version), "line {}", frame.line);
        assert!(header.client_id.is_some(), "line {}", frame.line);
        header.encode(&mut w).expect("as decoded");
    } else {
        let header = ResponseHeader::decode(&mut r, key, frame.version).expect("a response header");
        header.encode(&mut w, key, frame.version);
    }
    let body = &frame.bytes[frame.bytes.len() - r.remaining()..];
    let body = (codec(frame).recode)(body, frame.version)
        .unwrap_or_else(|error| panic!("line {}, {}: {error}", frame.line, frame.client));
    [w.into_parts().expect("short").0.to_vec(), body].concat()
}

#[test]
fn frames_of_real_clients_are_understood_and_said_the_same_way() {
    let mut count = 0;
    for frame in frames() {
        let side = if frame.is_request { "request" } else { "response" };
        let place =
            format!("line {}: {} {} v{} {side}", frame.line, frame.client, frame.api.name(), frame.version);
        assert_eq!(recoded(&frame), frame.bytes, "{place}");
        count += 1;
    }
    assert!(count >= 100, "only {count} frames");
}
