//! The codec against `kafka-protocol`, an independent one generated from Kafka's own definitions: every message, every
//! version, random values. What we encode it decodes and encodes to the same bytes, so the reverse holds as well; and
//! both mean the same by it, field by field, defaults of absent fields included.
//!
//! What the oracle cannot do stands in [`UNKNOWN_TO_ORACLE`], so that a new version of it shows up here.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes, BytesMut};
use corelane_base::rng::Rng;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};

use crate::fuzz::sample::{self, Tags};
use crate::fuzz::{CODECS, Codec};
use crate::header::{RequestHeader, ResponseHeader};
use crate::primitive::{Reader, Writer};

/// Versions of ours that the oracle does not have: message, version.
const UNKNOWN_TO_ORACLE: &[(&str, i16)] = &[
    ("ListOffsetsRequest", 0),
    ("ListOffsetsRequest", 11),
    ("ListOffsetsResponse", 0),
    ("ListOffsetsResponse", 11),
    ("DescribeLogDirsRequest", 5),
    ("DescribeLogDirsResponse", 5),
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
];

/// Fields that the oracle has and we do not: they belong to versions that are not released.
const UNKNOWN_TO_US: &[&str] =
    &["enable_2_pc", "keep_prepared_txn", "ongoing_txn_producer_id", "ongoing_txn_producer_epoch"];

/// Fields that we have and the oracle does not.
const FIELDS_UNKNOWN_TO_ORACLE: &[&str] = &["is_cordoned", "max_num_offsets", "old_style_offsets"];

/// A message as the oracle prints it and encodes it again, or why it cannot.
type Recoded = Result<(String, Vec<u8>), String>;

/// The oracle's side of a message.
struct Oracle {
    name: &'static str,
    versions: (i16, i16),
    header_version: fn(i16) -> i16,
    /// Decodes, prints, encodes again.
    recode: fn(&[u8], i16) -> Recoded,
}

macro_rules! oracles {
    ($($name:ident)*) => {
        &[$(Oracle {
            name: stringify!($name),
            versions: (theirs::$name::VERSIONS.min, theirs::$name::VERSIONS.max),
            header_version: theirs::$name::header_version,
            recode: |bytes, version| {
                let mut bytes = Bytes::copy_from_slice(bytes);
                let value = theirs::$name::decode(&mut bytes, version).map_err(|error| error.to_string())?;
                if bytes.has_remaining() {
                    return Err(format!("{} bytes left", bytes.remaining()));
                }
                let mut encoded = BytesMut::new();
                value.encode(&mut encoded, version).map_err(|error| error.to_string())?;
                Ok((format!("{value:?}"), encoded.to_vec()))
            },
        },)*]
    };
}

static ORACLES: &[Oracle] = oracles! {
    ProduceRequest ProduceResponse FetchRequest FetchResponse ListOffsetsRequest ListOffsetsResponse
    MetadataRequest MetadataResponse ApiVersionsRequest ApiVersionsResponse CreateTopicsRequest CreateTopicsResponse
    DeleteTopicsRequest DeleteTopicsResponse DeleteRecordsRequest DeleteRecordsResponse
    FindCoordinatorRequest FindCoordinatorResponse
    InitProducerIdRequest InitProducerIdResponse OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse
    DescribeConfigsRequest DescribeConfigsResponse AlterConfigsRequest AlterConfigsResponse
    DescribeLogDirsRequest DescribeLogDirsResponse CreatePartitionsRequest CreatePartitionsResponse
    IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse DescribeClusterRequest DescribeClusterResponse
    DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse
    OffsetCommitRequest OffsetCommitResponse OffsetFetchRequest OffsetFetchResponse
    JoinGroupRequest JoinGroupResponse HeartbeatRequest HeartbeatResponse LeaveGroupRequest LeaveGroupResponse
    SyncGroupRequest SyncGroupResponse DescribeGroupsRequest DescribeGroupsResponse ListGroupsRequest ListGroupsResponse
    DeleteGroupsRequest DeleteGroupsResponse OffsetDeleteRequest OffsetDeleteResponse
    ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse
    ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse
    ListConfigResourcesRequest ListConfigResourcesResponse
};

fn oracle(codec: &Codec) -> &'static Oracle {
    ORACLES.iter().find(|each| each.name == codec.name).expect("an oracle for every message")
}

/// Every message in every version that the oracle has.
fn common_versions() -> impl Iterator<Item = (&'static Codec, &'static Oracle, i16)> {
    CODECS.iter().flat_map(|codec| {
        let oracle = oracle(codec);
        (codec.version_min..=codec.version_max)
            .filter(|version| !UNKNOWN_TO_ORACLE.contains(&(codec.name, *version)))
            .map(move |version| (codec, oracle, version))
    })
}

#[test]
fn the_exceptions_are_exactly_what_the_oracle_lacks() {
    for codec in CODECS {
        for version in codec.version_min..=codec.version_max {
            let (min, max) = oracle(codec).versions;
            let lacks = version < min || version > max;
            assert_eq!(
                lacks,
                UNKNOWN_TO_ORACLE.contains(&(codec.name, version)),
                "{} v{version}",
                codec.name
            );
        }
    }
}

#[test]
fn the_same_bytes_and_the_same_meaning() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    for seed in [1, now.as_nanos() as u64] {
        println!("oracle: seed {seed}");
        let mut rng = Rng::new(seed);
        for (codec, oracle, version) in common_versions() {
            let api = sample::api(codec.api_key);
            for round in 0..40 {
                let place = format!("{} v{version}, seed {seed}, round {round}", codec.name);
                let bytes = sample::message(&api, codec.name, version, &mut rng, Tags::Known).bytes;
                let ours = (codec.recode)(&bytes, version);
                assert_eq!(ours.as_ref(), Ok(&bytes), "{place}");
                let (printed, theirs) =
                    (oracle.recode)(&bytes, version).unwrap_or_else(|error| panic!("{place}: {error}"));
                assert_eq!(theirs, bytes, "{place}");
                let ours = (codec.debug)(&bytes, version).expect("decoded before");
                assert_eq!(values(&ours), values(&printed), "{place}");
            }
        }
    }
}

#[test]
fn unknown_tagged_fields_change_nothing() {
    let mut rng = Rng::new(2);
    for (codec, oracle, version) in common_versions() {
        let api = sample::api(codec.api_key);
        for round in 0..10 {
            let place = format!("{} v{version}, round {round}", codec.name);
            let bytes = sample::message(&api, codec.name, version, &mut rng, Tags::Unknown).bytes;
            let ours = (codec.debug)(&bytes, version).unwrap_or_else(|error| panic!("{place}: {error}"));
            let (printed, theirs) =
                (oracle.recode)(&bytes, version).unwrap_or_else(|error| panic!("{place}: {error}"));
            assert_eq!(theirs, bytes, "{place}");
            assert_eq!(values(&ours), values(&without_unknown(&printed)), "{place}");
        }
    }
}

#[test]
fn headers_agree() {
    for (codec, oracle, version) in common_versions() {
        let header_version = (oracle.header_version)(version);
        let mut w = Writer::new();
        let mut expected = BytesMut::new();
        if codec.name.ends_with("Request") {
            let header = RequestHeader {
                api_key: codec.api_key,
                api_version: version,
                correlation_id: -7,
                client_id: Some("client"),
            };
            header.encode(&mut w).expect("a short client id");
            let theirs = theirs::RequestHeader::default()
                .with_request_api_key(codec.api_key)
                .with_request_api_version(version)
                .with_correlation_id(-7)
                .with_client_id(Some("client".into()));
            theirs.encode(&mut expected, header_version).expect("a header");
            assert_eq!(
                RequestHeader::decode(&mut Reader::new(&expected)),
                Ok(header),
                "{} v{version}",
                codec.name
            );
            let peeked = RequestHeader { client_id: None, ..header };
            assert_eq!(RequestHeader::peek(&expected), Ok(peeked), "{} v{version}", codec.name);
        } else {
            let header = ResponseHeader { correlation_id: 99 };
            header.encode(&mut w, codec.api_key, version);
            let theirs = theirs::ResponseHeader::default().with_correlation_id(99);
            theirs.encode(&mut expected, header_version).expect("a header");
            let mut r = Reader::new(&expected);
            assert_eq!(ResponseHeader::decode(&mut r, codec.api_key, version), Ok(header));
            assert_eq!(r.finish(), Ok(()), "{} v{version}", codec.name);
        }
        assert_eq!(w.into_parts().expect("short").0, expected.freeze(), "{} v{version}", codec.name);
    }
}

/// The fields and values of a struct printed with `{:?}`, in order: what two codecs that name fields alike must share.
/// A field that holds several values appears several times; text keeps its quotes; bytes become numbers.
fn values(printed: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut field = String::new();
    let mut rest = printed;
    while let Some(first) = rest.chars().next() {
        if first == '"' || rest.starts_with("b\"") {
            let length = literal(rest);
            let (text, behind) = rest.split_at(length);
            if first == '"' {
                out.push((field.clone(), text.to_owned()));
            } else {
                out.extend(unescaped(&text[2..length - 1]).map(|byte| (field.clone(), byte.to_string())));
            }
            rest = behind;
        } else if first.is_ascii_alphanumeric() || first == '-' {
            let end = rest.find(|each: char| !each.is_ascii_alphanumeric() && !"-_".contains(each));
            let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
            rest = behind;
            if rest.starts_with(": ") {
                field = word.to_owned();
            } else {
                out.extend(scalar(word).into_iter().map(|value| (field.clone(), value)));
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    let skipped = |name: &str| UNKNOWN_TO_US.contains(&name) || FIELDS_UNKNOWN_TO_ORACLE.contains(&name);
    out.retain(|(field, _)| !skipped(field));
    out.sort();
    out
}

/// The values that a bare word stands for: none if it is the name of a type, sixteen if it is a uuid.
fn scalar(word: &str) -> Vec<String> {
    if word.len() == 36 && word.matches('-').count() == 4 {
        let digits = word.replace('-', "");
        let byte = |index: usize| u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).expect("hex");
        return (0..16).map(|index| byte(index).to_string()).collect();
    }
    let number = word.starts_with('-') || word.starts_with(|each: char| each.is_ascii_digit());
    if number || matches!(word, "true" | "false" | "None") { vec![word.to_owned()] } else { Vec::new() }
}

/// The length of the quoted literal at the front, quotes included.
fn literal(text: &str) -> usize {
    let start = text.find('"').expect("a literal") + 1;
    let mut escaped = false;
    for (at, each) in text[start..].char_indices() {
        match each {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return start + at + 1,
            _ => {}
        }
    }
    panic!("a literal without an end: {text}");
}

/// The bytes of a printed byte string.
fn unescaped(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.bytes();
    std::iter::from_fn(move || {
        let byte = rest.next()?;
        if byte != b'\\' {
            return Some(byte);
        }
        Some(match rest.next()? {
            b'0' => 0,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hex")
            }
            other => other,
        })
    })
}

/// Takes the content of `unknown_tagged_fields: {...}` out of what the oracle printed.
fn without_unknown(printed: &str) -> String {
    let mark = "unknown_tagged_fields: {";
    let mut out = String::new();
    let mut rest = printed;
    while let Some(at) = rest.find(mark) {
        let (before, behind) = rest.split_at(at + mark.len());
        out += before;
        rest = behind;
        while !rest.starts_with('}') {
            let step = if rest.starts_with("b\"") { literal(rest) } else { 1 };
            rest = &rest[step..];
        }
    }
    out + rest
}
