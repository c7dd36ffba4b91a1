//! Requests and responses written out byte by byte from the protocol guide, so that neither the generator nor the
//! oracle is the only witness.

use crate::error_code::ErrorCode;
use crate::frame::{self, FrameError, Split};
use crate::header::{RequestHeader, ResponseHeader};
use crate::message::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use crate::message::metadata::{MetadataRequest, MetadataRequestTopic};
use crate::message::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use crate::primitive::{Reader, Records, Writer};

/// Bytes from hexadecimal text; `'x'` quotes ASCII; blanks part.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        match word.strip_prefix('\'') {
            Some(quoted) => out.extend_from_slice(quoted.trim_end_matches('\'').as_bytes()),
            None => {
                assert!(word.len().is_multiple_of(2), "{word}");
                let pairs = (0..word.len()).step_by(2).map(|at| &word[at..at + 2]);
                out.extend(pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")));
            }
        }
    }
    out
}

/// One framed request: header, then what `encode` writes.
fn request(header: &RequestHeader<'_>, encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::frame(64);
    header.encode(&mut w).expect("a header");
    encode(&mut w);
    w.into_parts().expect("a short frame").0.to_vec()
}

#[test]
fn api_versions_v0_as_old_clients_send_it() {
    let expected = bytes("00000013 0012 0000 00000001 0009 'rdkafka-x'");
    let header =
        RequestHeader { api_key: 18, api_version: 0, correlation_id: 1, client_id: Some("rdkafka-x") };
    let made = request(&header, |w| ApiVersionsRequest::default().encode(w, 0).expect("empty"));
    assert_eq!(made, expected);
    let Ok(Split::Frame { body, consumed: 23 }) = frame::split(&expected, 100) else {
        panic!("a whole frame");
    };
    let mut r = Reader::new(body);
    assert_eq!(RequestHeader::decode(&mut r), Ok(header));
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn api_versions_v3_has_a_flexible_header_and_compact_strings() {
    let expected = bytes("0000001c 0012 0003 00000007 0004 'test' 00 06 'franz' 06 '1.2.3' 00");
    let header = RequestHeader { api_key: 18, api_version: 3, correlation_id: 7, client_id: Some("test") };
    let body = ApiVersionsRequest { client_software_name: "franz", client_software_version: "1.2.3" };
    assert_eq!(request(&header, |w| body.encode(w, 3).expect("short")), expected);
    let mut r = Reader::new(&expected[4..]);
    assert_eq!(RequestHeader::decode(&mut r), Ok(header));
    assert_eq!(ApiVersionsRequest::decode(&mut r, 3), Ok(body));
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn api_versions_answers_have_the_old_header_in_every_version() {
    let body = ApiVersionsResponse {
        api_keys: vec![ApiVersion { api_key: 0, min_version: 0, max_version: 13 }],
        finalized_features_epoch: 2,
        ..ApiVersionsResponse::default()
    };
    let check = |version, expected: &str| {
        let mut w = Writer::frame(64);
        ResponseHeader { correlation_id: 7 }.encode(&mut w, 18, version);
        body.encode(&mut w, version).expect("short");
        assert_eq!(w.into_parts().expect("short").0, bytes(expected), "v{version}");
    };
    check(0, "00000010 00000007 0000 00000001 0000 0000 000d");
    check(1, "00000014 00000007 0000 00000001 0000 0000 000d 00000000");
    let tags = "01 01 08 0000000000000002";
    check(3, &format!("0000001d 00000007 0000 02 0000 0000 000d 00 00000000 {tags}"));
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    // What Kafka 4.3 says to franz-go, which begins with version 5: no throttle time, no tags, one line.
    let recorded = bytes("00000000 0023 00000001 0012 0000 0004");
    let body = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
        ..ApiVersionsResponse::default()
    };
    let mut w = Writer::new();
    ResponseHeader { correlation_id: 0 }.encode(&mut w, 18, 5);
    body.encode(&mut w, 0).expect("short");
    assert_eq!(w.into_parts().expect("short").0, recorded);
    let mut r = Reader::new(&recorded);
    assert_eq!(ResponseHeader::decode(&mut r, 18, 5), Ok(ResponseHeader { correlation_id: 0 }));
    assert_eq!(ApiVersionsResponse::decode(&mut r, 0), Ok(body));
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn metadata_null_and_empty_are_not_the_same() {
    let check = |version, expected: &str, topics: Option<Vec<MetadataRequestTopic<'_>>>| {
        let body = MetadataRequest { topics, ..MetadataRequest::default() };
        let mut w = Writer::new();
        body.encode(&mut w, version).expect("short");
        let (made, _) = w.into_parts().expect("short");
        assert_eq!(made, bytes(expected), "v{version}");
        assert_eq!(MetadataRequest::decode(&mut Reader::new(&made), version), Ok(body));
    };
    check(0, "00000000", Some(Vec::new()));
    check(1, "ffffffff", None);
    check(5, "00000000 01", Some(Vec::new()));
    check(12, "00 01 00 00", None);
    check(12, "01 01 00 00", Some(Vec::new()));
    let id = [0x11; 16];
    let by_id = MetadataRequestTopic { topic_id: id, name: None };
    check(12, &format!("02 {} 00 00 01 00 00", "11".repeat(16)), Some(vec![by_id]));
    let by_name = MetadataRequestTopic { topic_id: [0; 16], name: Some("ab") };
    check(4, "00000001 0002 'ab' 01", Some(vec![by_name]));
}

#[test]
fn produce_v7_and_v13() {
    let partition = PartitionProduceData { index: 2, records: Some(Records::Borrowed(b"RRR")) };
    let named = TopicProduceData {
        name: "ab",
        partition_data: vec![partition.clone()],
        ..TopicProduceData::default()
    };
    let identified = TopicProduceData { topic_id: [0x22; 16], name: "", partition_data: vec![partition] };
    let check = |version, topic: TopicProduceData<'_>, expected: &str| {
        let body =
            ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 1500, topic_data: vec![topic] };
        let mut w = Writer::new();
        body.encode(&mut w, version).expect("short");
        assert_eq!(w.into_parts().expect("short").0, bytes(expected));
        let expected = bytes(expected);
        assert_eq!(ProduceRequest::decode(&mut Reader::new(&expected), version), Ok(body));
    };
    check(7, named, "ffff ffff 000005dc 00000001 0002 'ab' 00000001 00000002 00000003 'RRR'");
    let id = "22".repeat(16);
    check(13, identified, &format!("00 ffff 000005dc 02 {id} 02 00000002 04 'RRR' 00 00 00"));
}

#[test]
fn frames() {
    let check = |text: &str, expected: Result<Split<'_>, FrameError>| {
        assert_eq!(frame::split(&bytes(text), 16), expected, "{text}");
    };
    let need = |known_len| Ok(Split::NeedMore { known_len });
    check("", need(None));
    check("000000", need(None));
    check("00000004", need(Some(4)));
    check("00000004 010203", need(Some(4)));
    check("00000004 01020304", Ok(Split::Frame { body: &[1, 2, 3, 4], consumed: 8 }));
    check("00000004 01020304 05", Ok(Split::Frame { body: &[1, 2, 3, 4], consumed: 8 }));
    check("00000010", need(Some(16)));
    check("00000011", Err(FrameError::TooLarge { len: 17, max: 16 }));
    check("7fffffff", Err(FrameError::TooLarge { len: 0x7fff_ffff, max: 16 }));
    check("ffffffff", Err(FrameError::Negative { len: -1 }));
    check("80000000", Err(FrameError::Negative { len: i32::MIN }));
    check("00000000", Err(FrameError::TooSmall { len: 0 }));
    check("00000003 010203", Err(FrameError::TooSmall { len: 3 }));
    // The words of an HTTP client and the first bytes of TLS are lengths, too.
    check("'GET' 20", Err(FrameError::TooLarge { len: 0x4745_5420, max: 16 }));
    check("16030100", Err(FrameError::TooLarge { len: 0x1603_0100, max: 16 }));
}

#[test]
fn any_request_tells_its_key_version_and_correlation_id() {
    let check = |text: &str, expected: Option<(i16, i16, i32)>| {
        let found = RequestHeader::peek(&bytes(text)).ok();
        assert_eq!(found.map(|each| (each.api_key, each.api_version, each.correlation_id)), expected);
    };
    check("0012 007f 00000009 0001 'x' 00", Some((18, 127, 9)));
    check("7fff 8000 ffffffff", Some((i16::MAX, i16::MIN, -1)));
    check("0012 007f 000000", None);
}
