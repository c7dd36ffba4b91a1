//! Seeded fuzzers for every decoder, and the machinery that the codec's tests share with them. Only built for tests and
//! with the feature `fuzz`.
//!
//! [`FUZZERS`] lists them all. Inputs are samples that obey the message definition (see [`sample`]) and then are damaged,
//! because random bytes hardly ever get past the first length.
//!
//! What must hold for any input: no panic; memory for arrays in proportion to the input; whatever decodes can be encoded
//! and decodes to the same again; a strict prefix never decodes.

pub mod sample;

use corelane_base::fuzz::{Fuzzer, damage};
use corelane_base::rng::Rng;

use crate::api::APIS;
use crate::frame::{self, Split};
use crate::header::{RequestHeader, ResponseHeader};
use crate::message;
use crate::primitive::{DecodeError, Reader, Writer};

/// Whether a message could be decoded, and the bytes of memory that its arrays took on the way.
pub type Measured = (Result<(), DecodeError>, usize);

/// Decoder and encoder of one message, without its type.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// The struct's name.
    pub name: &'static str,
    /// The API's key.
    pub api_key: i16,
    /// The lowest version.
    pub version_min: i16,
    /// The highest version.
    pub version_max: i16,
    /// Decodes a whole message and encodes it again. Panics: if what it decodes does not survive that.
    pub recode: fn(&[u8], i16) -> Result<Vec<u8>, DecodeError>,
    /// Decodes a message from the front.
    pub decode: fn(&[u8], i16) -> Measured,
    /// Decodes a message and prints it.
    pub debug: fn(&[u8], i16) -> Result<String, DecodeError>,
    /// Encodes the default of the message. Errors: as text.
    pub encode_default: fn(i16) -> Result<Vec<u8>, String>,
}

/// No array element takes more memory than this many times its smallest encoding.
const MEMORY_PER_BYTE_MAX: usize = 64;

macro_rules! codec {
    ($module:ident, $name:ident) => {
        Codec {
            name: stringify!($name),
            api_key: message::$module::$name::API_KEY,
            version_min: message::$module::$name::VERSION_MIN,
            version_max: message::$module::$name::VERSION_MAX,
            recode: |bytes, version| {
                let mut r = Reader::new(bytes);
                let first = message::$module::$name::decode(&mut r, version)?;
                r.finish()?;
                let mut w = Writer::new();
                first.encode(&mut w, version).expect("what was decoded can be encoded");
                let (encoded, splices) = w.into_parts().expect("no longer than what was decoded");
                assert!(splices.is_empty(), "decoded records are borrowed");
                let mut r = Reader::new(&encoded);
                let second = message::$module::$name::decode(&mut r, version).expect("own encoding");
                r.finish().expect("own encoding ends");
                // Text, not the values: a struct with a float that is not a number differs from itself.
                assert!(format!("{first:?}") == format!("{second:?}"), "{first:?} became {second:?}");
                Ok(encoded.to_vec())
            },
            decode: |bytes, version| {
                let mut r = Reader::new(bytes);
                let result = message::$module::$name::decode(&mut r, version).map(|_| ());
                (result, Reader::MEMORY_MAX - r.memory_left())
            },
            debug: |bytes, version| {
                message::$module::$name::decode(&mut Reader::new(bytes), version)
                    .map(|each| format!("{each:?}"))
            },
            encode_default: |version| {
                let mut w = Writer::new();
                let default = message::$module::$name::default();
                default.encode(&mut w, version).map_err(|error| error.to_string())?;
                Ok(w.into_parts().map_err(|error| error.to_string())?.0.to_vec())
            },
        }
    };
}

macro_rules! codecs {
    ($($module:ident $request:ident $response:ident,)*) => {
        /// Every message: request and response of each API, by rising key.
        pub static CODECS: &[Codec] = &[$(
            codec!($module, $request),
            codec!($module, $response),
        )*];

        /// Every fuzzer.
        pub static FUZZERS: &[Fuzzer] = &[
            Fuzzer { name: "frame", run: fuzz_frame },
            Fuzzer { name: "header", run: fuzz_header },
            $(
                Fuzzer { name: stringify!($request), run: |seed, count| {
                    fuzz_message(&codec!($module, $request), seed, count);
                } },
                Fuzzer { name: stringify!($response), run: |seed, count| {
                    fuzz_message(&codec!($module, $response), seed, count);
                } },
            )*
        ];

        /// The definitions of all messages, as written.
        pub static SCHEMAS: &[&str] = &[$(
            include_str!(concat!("schema/", stringify!($module), ".kmsg")),
        )*];
    };
}

codecs! {
    produce ProduceRequest ProduceResponse,
    fetch FetchRequest FetchResponse,
    list_offsets ListOffsetsRequest ListOffsetsResponse,
    metadata MetadataRequest MetadataResponse,
    offset_commit OffsetCommitRequest OffsetCommitResponse,
    offset_fetch OffsetFetchRequest OffsetFetchResponse,
    find_coordinator FindCoordinatorRequest FindCoordinatorResponse,
    join_group JoinGroupRequest JoinGroupResponse,
    heartbeat HeartbeatRequest HeartbeatResponse,
    leave_group LeaveGroupRequest LeaveGroupResponse,
    sync_group SyncGroupRequest SyncGroupResponse,
    describe_groups DescribeGroupsRequest DescribeGroupsResponse,
    list_groups ListGroupsRequest ListGroupsResponse,
    api_versions ApiVersionsRequest ApiVersionsResponse,
    create_topics CreateTopicsRequest CreateTopicsResponse,
    delete_topics DeleteTopicsRequest DeleteTopicsResponse,
    delete_records DeleteRecordsRequest DeleteRecordsResponse,
    init_producer_id InitProducerIdRequest InitProducerIdResponse,
    offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
    describe_configs DescribeConfigsRequest DescribeConfigsResponse,
    alter_configs AlterConfigsRequest AlterConfigsResponse,
    describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse,
    create_partitions CreatePartitionsRequest CreatePartitionsResponse,
    delete_groups DeleteGroupsRequest DeleteGroupsResponse,
    incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
    offset_delete OffsetDeleteRequest OffsetDeleteResponse,
    describe_cluster DescribeClusterRequest DescribeClusterResponse,
    consumer_group_heartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
    consumer_group_describe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    list_config_resources ListConfigResourcesRequest ListConfigResourcesResponse,
    describe_topic_partitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
}

/// Frames cut from streams of whole frames, and from garbage.
fn fuzz_frame(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..iterations {
        let max = rng.below(64) as u32 + 4;
        let bodies: Vec<Vec<u8>> =
            (0..rng.below(4)).map(|_| sample::noise(&mut rng, 4, max as usize)).collect();
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend_from_slice(&(body.len() as i32).to_be_bytes());
            stream.extend_from_slice(body);
        }
        let cut = rng.below(stream.len() as u64 + 1) as usize;
        let mut rest = &stream[..cut];
        let mut whole = 0;
        while let Split::Frame { body, consumed } = frame::split(rest, max).expect("lengths are right") {
            assert_eq!(body, bodies[whole], "seed {seed}");
            rest = &rest[consumed..];
            whole += 1;
        }
        if cut == stream.len() {
            assert_eq!((whole, rest.len()), (bodies.len(), 0), "seed {seed}");
        }
        let garbage = sample::noise(&mut rng, 0, 16);
        if let Ok(Split::Frame { body, consumed }) = frame::split(&garbage, max) {
            assert!(body.len() <= max as usize, "seed {seed}");
            assert_eq!(consumed, body.len() + 4, "seed {seed}");
        }
    }
}

/// Request and response headers of known and unknown APIs, whole and damaged.
fn fuzz_header(seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    for _ in 0..iterations {
        let known = &APIS[rng.below(APIS.len() as u64) as usize];
        let client_id = sample::text(&mut rng, 12);
        let header = RequestHeader {
            api_key: if rng.one_in(4) { rng.next_u64() as i16 } else { known.key.code() },
            api_version: rng.below(20) as i16 - 2,
            correlation_id: rng.next_u64() as i32,
            client_id: (!rng.one_in(3)).then_some(client_id.as_str()),
        };
        let mut w = Writer::new();
        header.encode(&mut w).expect("a short client id");
        let (mut bytes, _) = w.into_parts().map(|(bytes, at)| (bytes.to_vec(), at)).expect("short");
        let mut r = Reader::new(&bytes);
        assert_eq!(RequestHeader::decode(&mut r), Ok(header), "seed {seed}");
        assert_eq!(r.finish(), Ok(()), "seed {seed}");
        for cut in 0..bytes.len() {
            assert!(RequestHeader::decode(&mut Reader::new(&bytes[..cut])).is_err(), "seed {seed}");
        }
        damage(&mut rng, &mut bytes);
        let _ = RequestHeader::decode(&mut Reader::new(&bytes));
        let _ = RequestHeader::peek(&bytes);
        let _ = ResponseHeader::decode(&mut Reader::new(&bytes), header.api_key, header.api_version);
    }
}

/// One message: samples as they are, cut, and damaged.
fn fuzz_message(codec: &Codec, seed: u64, iterations: u64) {
    let mut rng = Rng::new(seed);
    let api = sample::api(codec.api_key);
    for iteration in 0..iterations {
        let span = (codec.version_max - codec.version_min) as u64 + 1;
        let version = codec.version_min + rng.below(span) as i16;
        let place = format!("{} v{version}, seed {seed}, iteration {iteration}", codec.name);
        let sample = sample::message(&api, codec.name, version, &mut rng, sample::Tags::Known);
        let recoded = (codec.recode)(&sample.bytes, version);
        assert_eq!(recoded.as_ref(), Ok(&sample.bytes), "{place}");
        let mut bytes = sample.bytes;
        if !bytes.is_empty() {
            let cut = rng.below(bytes.len() as u64) as usize;
            assert!((codec.decode)(&bytes[..cut], version).0.is_err(), "{place}, cut {cut}");
        }
        for _ in 0..4 {
            damage(&mut rng, &mut bytes);
            let (_, memory) = (codec.decode)(&bytes, version);
            assert!(memory <= bytes.len() * MEMORY_PER_BYTE_MAX, "{place}: {memory} bytes");
            let _ = (codec.recode)(&bytes, version);
        }
    }
}
