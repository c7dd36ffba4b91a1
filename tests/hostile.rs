//! Hostile input against a running broker: each case must get the Kafka error or the clean close that it deserves, and
//! a healthy client on the same broker must notice nothing.
//!
//! The cases come from tables: frames and headers (here), every length field of every API, every API that is not
//! served, every version that does not exist (`hostile/forms.rs`), requests that are well-formed and wrong
//! (`hostile/meaning.rs`), and connections that behave badly (`hostile/crowd.rs`). Each case has a connection of its
//! own. Against Apache Kafka (`CORELANE_TEST_BOOTSTRAP`) the same tables hold, but for the cases that say so.

mod crowd;
mod forms;
mod healthy;
mod meaning;

use std::fs;
use std::time::Instant;

use corelane_base::rng::Rng;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;

use crate::harness::Broker;
use crate::metrics;
use crate::wire_client::{Connection, Heard, body, error_codes, request};
use healthy::Healthy;

/// What a case must get.
enum Expected {
    /// The connection is closed without an answer.
    Close,
    /// An answer that decodes, all of whose error codes are this one or success, and at least one is this one.
    Code(ErrorCode),
    /// As `Code`, with a choice.
    OneOf(&'static [ErrorCode]),
    /// An answer that decodes, whatever it says.
    Answer,
    /// An answer that decodes, whatever it says, or a close: what matters is that something comes, and what it costs.
    Anything,
}

/// One hostile input.
struct Case {
    name: String,
    /// Sent as it is; then nothing more.
    bytes: Vec<u8>,
    /// How the answer, if any, is to be read.
    api: (ApiKey, i16),
    expected: Expected,
    /// Whether sending is ended behind the bytes (the other direction stays open).
    finish: bool,
    /// Whether Apache Kafka does the same; where not, the case says why it stands there.
    kafka: bool,
}

impl Case {
    fn new(name: impl Into<String>, api: (ApiKey, i16), bytes: Vec<u8>, expected: Expected) -> Case {
        Case { name: name.into(), bytes, api, expected, finish: false, kafka: true }
    }

    /// Bytes that are no request at all.
    fn garbage(name: impl Into<String>, bytes: Vec<u8>) -> Case {
        Case::new(name, (ApiKey::ApiVersions, 0), bytes, Expected::Close)
    }

    fn finish(mut self) -> Case {
        self.finish = true;
        self
    }

    fn not_on_kafka(mut self) -> Case {
        self.kafka = false;
        self
    }

    /// Runs the case on a connection of its own. Errors: what happened instead, as text.
    fn run(&self, address: &str) -> Result<(), String> {
        let mut connection = Connection::open(address);
        // The broker may close before all is sent.
        let _ = connection.send(&self.bytes);
        if self.finish {
            connection.finish();
        }
        let (api_key, version) = self.api;
        let heard = connection.hear();
        let codes = match &heard {
            Heard::Nothing => return Err(format!("{}: neither an answer nor a close", self.name)),
            Heard::Closed => None,
            Heard::Frame(frame) => Some(error_codes(body(frame, api_key, version), api_key, version)),
        };
        let only = |allowed: &[ErrorCode]| {
            let Some(codes) = &codes else { return false };
            let right = codes.iter().all(|code| *code == ErrorCode::None || allowed.contains(code));
            right && codes.iter().any(|code| allowed.contains(code))
        };
        let good = match &self.expected {
            Expected::Close => codes.is_none(),
            Expected::Code(code) => only(&[*code]),
            Expected::OneOf(allowed) => only(allowed),
            Expected::Answer => codes.is_some(),
            Expected::Anything => true,
        };
        let expected = match &self.expected {
            Expected::Close => "a close".to_string(),
            Expected::Code(code) => code.name().to_string(),
            Expected::OneOf(allowed) => format!("{allowed:?}"),
            Expected::Answer => "an answer".to_string(),
            Expected::Anything => "anything".to_string(),
        };
        let found = codes.map_or("a close".to_string(), |codes| format!("{codes:?}"));
        if good { Ok(()) } else { Err(format!("{}: expected {expected}, got {found}", self.name)) }
    }
}

/// Whether the broker is not ours but the oracle.
fn is_on_kafka() -> bool {
    std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some()
}

/// A frame with this body.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len()).expect("a short frame");
    [&length.to_be_bytes(), body].concat()
}

/// Runs all cases of a table; which failed, and how.
fn run_all(table: &str, cases: &[Case], address: &str, healthy: &Healthy) -> Vec<String> {
    let began = Instant::now();
    let run: Vec<&Case> = cases.iter().filter(|case| case.kafka || !is_on_kafka()).collect();
    let failed: Vec<String> = run.iter().filter_map(|case| case.run(address).err()).collect();
    let (right, took) = (run.len() - failed.len(), began.elapsed());
    let slowest = healthy.check_alive(table);
    println!(
        "{table}: {right} of {} cases right, in {took:?}; the healthy client's slowest {slowest:?}",
        run.len()
    );
    failed
}

/// Resident memory of a process and its peak, in bytes.
fn memory(pid: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field of the status file");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number of KiB");
        kib * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Frames and headers that are none.
fn frames() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [i32::MIN, -2, -1, 0, 1, 2, 3, (100 << 20) + 1, i32::MAX] {
        cases.push(Case::garbage(format!("frame length {length}"), length.to_be_bytes().to_vec()).finish());
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 64]);
        cases.push(Case::garbage(format!("frame length {length} and bytes"), bytes).finish());
    }
    for count in 0..4 {
        cases.push(Case::garbage(format!("{count} bytes of a length"), vec![0; count]).finish());
    }
    let whole = request(ApiKey::Metadata, 1, |w, _| {
        w.i32(-1);
        Ok(())
    });
    for count in [4, 5, 8, 12, whole.len() - 1] {
        cases.push(Case::garbage(format!("{count} bytes of a request"), whole[..count].to_vec()).finish());
    }
    let greetings: [(&str, &[u8]); 5] = [
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("TLS", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 7, 7, 7, 7, 7]),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
        ("redis", b"*1\r\n$4\r\nPING\r\n"),
        ("text", b"hello, is this the broker?\n"),
    ];
    for (name, bytes) in greetings {
        cases.push(Case::garbage(format!("a {name} client"), bytes.to_vec()).finish());
    }
    for seed in 0..32 {
        let mut rng = Rng::new(seed);
        let noise: Vec<u8> = (0..=rng.below(300)).map(|_| rng.next_u64() as u8).collect();
        cases.push(Case::garbage(format!("unframed noise of seed {seed}"), noise).finish());
    }
    cases
}

/// Headers that are none, in frames that are right.
fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for count in 0..10 {
        let name = format!("{count} bytes of a header");
        cases.push(Case::garbage(name, framed(&[0, 3, 0, 1, 0, 0, 0, 7, 0, 9][..count])));
    }
    let metadata =
        |version: u8, client_id: &[u8]| framed(&[&[0, 3, 0, version, 0, 0, 0, 7], client_id].concat());
    for length in [-2, i16::MIN, 6, i16::MAX] {
        let client_id = [&i16::to_be_bytes(length)[..], b"name"].concat();
        cases.push(Case::garbage(format!("client id of length {length}"), metadata(1, &client_id)));
        cases.push(Case::garbage(format!("client id of length {length}, v9"), metadata(9, &client_id)));
    }
    let tags: [(&str, &[u8]); 4] = [
        ("many tags", &[0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("an endless tag count", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("a tag with a huge size", &[0xff, 0xff, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ("no tags where they belong", &[0xff, 0xff]),
    ];
    for (name, bytes) in tags {
        cases.push(Case::garbage(format!("header with {name}"), metadata(9, bytes)));
    }
    for seed in 0..32 {
        let mut rng = Rng::new(seed);
        let noise: Vec<u8> = (0..rng.below(300)).map(|_| rng.next_u64() as u8).collect();
        cases.push(Case::garbage(format!("framed noise of seed {seed}"), framed(&noise)));
    }
    cases
}

/// What the broker is told to keep to, and may grow by, in bytes, while it is attacked.
const MEMORY_BYTES: u64 = 512 << 20;

/// What the broker may log about all this, in bytes: peers who send garbage may not fill the disk with its log.
const LOG_BYTES_MAX: u64 = 256 << 10;

/// Makes the cases of a table; what they need is made on the broker at this address.
type Table = fn(&str) -> Vec<Case>;

#[test]
fn hostile_input_gets_what_it_deserves_and_nobody_else_notices() {
    let broker = Broker::start_with("hostile", &["--set", &format!("corelane.memory.bytes={MEMORY_BYTES}")]);
    let address = broker.address().to_string();
    let http = (!is_on_kafka()).then(|| metrics::http_address(&broker));
    let healthy = Healthy::start(&address);
    healthy.check_alive("start");
    let before = if is_on_kafka() { (0, 0) } else { memory(broker.pid()) };
    let tables: [(&str, Table); 10] = [
        ("frames", |_| frames()),
        ("headers", |_| headers()),
        ("unserved APIs", |_| forms::unserved_apis()),
        ("versions", |_| forms::unknown_versions()),
        ("lengths", |_| forms::impossible_lengths()),
        ("truncations", |_| forms::truncations()),
        ("bytes behind", |_| forms::bytes_behind()),
        ("batches", meaning::batches),
        ("reads", meaning::reads),
        ("administration", meaning::administration),
    ];
    let mut count = 0;
    let mut failed = Vec::new();
    for (name, table) in tables {
        let cases = table(&address);
        count += cases.len();
        failed.extend(run_all(name, &cases, &address, &healthy));
    }
    assert!(failed.is_empty(), "{} of {count} cases failed:\n{}", failed.len(), failed.join("\n"));
    crowd::run(&address, &healthy);
    if let Some(http) = http {
        crowd::http(&http, &healthy);
    }
    let slowest = healthy.stop();
    println!("{count} cases; the healthy client's slowest round trip took {slowest:?}");
    assert!(count >= 200, "the table is as long as promised");
    if !is_on_kafka() {
        let (now, peak) = memory(broker.pid());
        println!("memory in MiB: {} before, {} now, {} at most", before.0 >> 20, now >> 20, peak >> 20);
        let grown = peak - before.0;
        assert!(grown <= MEMORY_BYTES, "memory grew by {} MiB", grown >> 20);
        let logged = fs::metadata(broker.dir().join("broker.log")).expect("the broker's log").len();
        assert!(logged <= LOG_BYTES_MAX, "garbage made the broker log {logged} bytes");
    }
}
