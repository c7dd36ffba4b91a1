//! The client against brokers that are old, slow, gone or hostile. Good brokers are the integration tests' business.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::api_versions::{ApiVersion, ApiVersionsResponse};
use corelane_wire::message::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use corelane_wire::primitive::Writer;

use crate::args::HostPort;
use crate::client::{Client, ClientError};

const API_VERSIONS: i16 = 18;
const METADATA: i16 = 3;

/// What a scripted broker does with one request.
enum Reply {
    /// Sends a frame: its length goes in front.
    Frame(Vec<u8>),
    /// Sends these bytes as they are.
    Raw(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Says nothing, and waits until the client goes.
    Silence,
}

/// Starts a broker that answers the n-th request of its life, from 0, by `script(n, header)`.
fn broker(mut script: impl FnMut(usize, RequestHeader<'static>) -> Reply + Send + 'static) -> HostPort {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let mut count = 0;
        for mut stream in listener.incoming().map_while(Result::ok) {
            while let Some(frame) = read_frame(&mut stream) {
                let header = RequestHeader::peek(&frame).expect("our own client sends whole headers");
                let sent = match script(count, header) {
                    Reply::Frame(body) => {
                        let length = (body.len() as u32).to_be_bytes();
                        stream.write_all(&[&length[..], &body].concat())
                    }
                    Reply::Raw(bytes) => stream.write_all(&bytes),
                    Reply::Close => break,
                    Reply::Silence => stream.read(&mut [0]).map(drop),
                };
                count += 1;
                if sent.is_err() {
                    break;
                }
            }
        }
    });
    HostPort { host: "127.0.0.1".to_string(), port }
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// The body of a response with its header.
fn answer(header: &RequestHeader<'_>, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::new();
    ResponseHeader { correlation_id: header.correlation_id }.encode(
        &mut out,
        header.api_key,
        header.api_version,
    );
    body(&mut out);
    out.into_parts().expect("short").0.to_vec()
}

fn versions(header: &RequestHeader<'_>, error_code: i16, api_keys: Vec<ApiVersion>, version: i16) -> Reply {
    let response = ApiVersionsResponse { error_code, api_keys, ..Default::default() };
    Reply::Frame(answer(header, |out| response.encode(out, version).expect("encodes")))
}

fn listed() -> Vec<ApiVersion> {
    vec![
        ApiVersion { api_key: METADATA, min_version: 0, max_version: 12 },
        ApiVersion { api_key: API_VERSIONS, min_version: 0, max_version: 4 },
    ]
}

fn metadata(leader_id: i32) -> MetadataResponse<'static> {
    let partition = MetadataResponsePartition {
        partition_index: 0,
        leader_id,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..Default::default()
    };
    MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id: 1, host: "h", port: 9092, ..Default::default() }],
        cluster_id: Some("c"),
        controller_id: 1,
        topics: vec![MetadataResponseTopic {
            name: Some("t"),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn connect(at: HostPort, timeout_ms: u64) -> Result<Client, ClientError> {
    Client::connect(&[at], Duration::from_millis(timeout_ms))
}

/// Connects to a broker that answers `reply` to everything behind the first question for versions.
fn ask(mut reply: impl FnMut(RequestHeader<'static>) -> Reply + Send + 'static) -> Result<(), ClientError> {
    let at = broker(move |_, header| match header.api_key {
        API_VERSIONS => versions(&header, 0, listed(), header.api_version),
        _ => reply(header),
    });
    let mut client = connect(at, 300)?;
    let deadline = client.deadline();
    client.metadata(None, false, deadline).map(drop)
}

#[test]
fn an_old_broker_names_its_versions_in_version_0() {
    let at = broker(|_, header| match (header.api_key, header.api_version) {
        (API_VERSIONS, 0) => versions(&header, 0, listed(), 0),
        (API_VERSIONS, _) => versions(&header, 35, Vec::new(), 0),
        (_, version) => {
            assert_eq!(version, 12, "the highest that both sides speak");
            Reply::Frame(answer(&header, |out| metadata(1).encode(out, version).expect("encodes")))
        }
    });
    let mut client = connect(at, 5000).expect("connects");
    let deadline = client.deadline();
    let found = client.metadata(Some(&["t"]), false, deadline).expect("answers");
    assert_eq!(found.usable_topic("t").map(|topic| topic.partitions.len()).ok(), Some(1));
    assert!(found.usable_topic("u").is_err());
}

#[test]
fn no_version_in_common() {
    let too_old = vec![ApiVersion { api_key: METADATA, min_version: 0, max_version: 3 }];
    let too_new = vec![ApiVersion { api_key: METADATA, min_version: 90, max_version: 91 }];
    for list in [Vec::new(), too_old, too_new] {
        let at = broker(move |_, header| versions(&header, 0, list.clone(), header.api_version));
        let mut client = connect(at, 5000).expect("connects");
        let deadline = client.deadline();
        let refused = client.metadata(None, false, deadline);
        assert!(matches!(refused, Err(ClientError::NotServed { .. })), "{refused:?}");
    }
}

#[test]
fn answers_that_are_none() {
    let good = |header: &RequestHeader<'_>| {
        answer(header, |out| metadata(1).encode(out, header.api_version).expect("encodes"))
    };
    #[track_caller]
    fn check_protocol(outcome: Result<(), ClientError>) {
        assert!(matches!(outcome, Err(ClientError::Protocol(_))), "{outcome:?}");
    }
    ask(move |header| Reply::Frame(good(&header))).expect("the unharmed answer is taken");
    check_protocol(ask(|_| Reply::Raw(vec![0xff; 8])));
    check_protocol(ask(|_| Reply::Raw(vec![0x7f, 0xff, 0xff, 0xff, 0])));
    check_protocol(ask(|_| Reply::Raw(vec![0, 0, 0, 0])));
    check_protocol(ask(|_| Reply::Frame(vec![9; 30])));
    check_protocol(ask(move |header| Reply::Frame([good(&header), vec![0]].concat())));
    check_protocol(ask(move |header| {
        let body = good(&header);
        Reply::Raw([&(body.len() as u32).to_be_bytes(), &body[..], &[1]].concat())
    }));
    let whole = {
        let header = RequestHeader { api_key: METADATA, api_version: 12, correlation_id: 2, client_id: None };
        good(&header).len()
    };
    for length in 4..whole {
        check_protocol(ask(move |header| Reply::Frame(good(&header)[..length].to_vec())));
    }
}

#[test]
fn hostile_bytes_never_panic() {
    for seed in 0..300 {
        let mut rng = corelane_base::rng::Rng::new(seed);
        let outcome = ask(move |header| {
            let mut body =
                answer(&header, |out| metadata(1).encode(out, header.api_version).expect("encodes"));
            for _ in 0..=rng.below(3) {
                let at = 4 + rng.below(body.len() as u64 - 4) as usize;
                body[at] = rng.next_u64() as u8;
            }
            Reply::Frame(body)
        });
        assert!(matches!(outcome, Ok(()) | Err(ClientError::Protocol(_))), "seed {seed}: {outcome:?}");
    }
}

#[test]
fn gone_silent_and_absent_brokers() {
    let gone = ask(|_| Reply::Close);
    assert!(matches!(gone, Err(ClientError::Lost { .. })), "{gone:?}");
    let began = Instant::now();
    let silent = ask(|_| Reply::Silence);
    assert!(matches!(silent, Err(ClientError::Deadline { .. })), "{silent:?}");
    assert!(began.elapsed() >= Duration::from_millis(300), "it waited for its time");
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").port()
    };
    let absent = connect(HostPort { host: "127.0.0.1".to_string(), port }, 300);
    assert!(matches!(absent, Err(ClientError::Unreachable { .. })), "{absent:?}");
}

#[test]
fn what_passes_is_tried_again_and_nothing_else() {
    let at = broker(|count, header| match (header.api_key, count) {
        (API_VERSIONS, _) => versions(&header, 0, listed(), header.api_version),
        (_, 1) => Reply::Close,
        // The close was no answer and did not count: three answers without a leader, then one with.
        (_, count) => {
            let leader = if count < 5 { -1 } else { 1 };
            Reply::Frame(answer(&header, |out| {
                metadata(leader).encode(out, header.api_version).expect("encodes")
            }))
        }
    });
    let mut client = connect(at, 10_000).expect("connects");
    let deadline = client.deadline();
    let mut attempts = 0;
    let leader = client.retry(deadline, |client| {
        attempts += 1;
        let found = client.metadata(Some(&["t"]), false, deadline)?;
        found.usable_topic("t").map(|topic| topic.partitions[0].leader)
    });
    assert_eq!(leader.ok().flatten(), Some(corelane_base::id::BrokerId(1)));
    assert_eq!(attempts, 5);

    let mut attempts = 0;
    let refused = client.retry(deadline, |_| {
        attempts += 1;
        Err::<(), _>(ClientError::refused("x", 17, None))
    });
    assert!(refused.is_err());
    assert_eq!(attempts, 1, "an invalid topic does not become valid");
}

#[test]
fn negotiation_reads_the_error_before_the_rest() {
    // A broker may answer the refusal with the error code and nothing behind it that version 4 could read.
    let at = broker(|_, header| match header.api_version {
        0 => versions(&header, 0, listed(), 0),
        _ => Reply::Frame(answer(&header, |out| out.i16(35))),
    });
    connect(at, 5000).expect("connects");
    let at = broker(|_, header| Reply::Frame(answer(&header, |out| out.i16(35))));
    let refused = connect(at, 5000);
    assert!(matches!(refused, Err(ClientError::Protocol(_))), "{refused:?}");
}
