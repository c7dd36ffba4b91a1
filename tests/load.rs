//! The load harness against a real broker: a short run measures and verifies, and verification fails when it should.
//!
//! To make it fail, a proxy stands between harness and broker: the broker advertises the proxy's address, so everything
//! passes through it, and once it lies. Which lies there are is [`Lie`].

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use corelane_wire::api::ApiKey;
use corelane_wire::header::{RequestHeader, ResponseHeader};
use corelane_wire::message::produce::{
    PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use corelane_wire::primitive::{Reader, Writer};
use serde_json::Value;

use crate::harness::Broker;

/// One producer, one request under way: the proxy can answer in the broker's place without mixing up the order.
const WORKLOAD: &str = r#"
name = "short"
about = "two seconds"
[topics]
partitions = 3
[records]
bytes = 500
[producers]
count = 1
rate = 500
in_flight = 1
idempotent = false
linger = "10 ms"
[phases]
warm_up = "0 s"
duration = "2 s"
"#;

/// What the proxy does wrong, once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Flips a bit in the last record of a fetch answer.
    Tamper,
    /// Answers a Produce request itself, and the broker never hears of it.
    Swallow,
}

/// The built harness. Cargo builds the programs of this package only, so it is asked for the other one.
static HARNESS: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "corelane-bench", "--bin", "corelane-bench"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the harness builds");
    Path::new(env!("CARGO_BIN_EXE_corelane")).with_file_name("corelane-bench")
});

/// Runs the workload; the exit code and the results.
fn run(broker: &Broker, bootstrap: &str) -> (Option<i32>, Value, PathBuf) {
    let file = broker.dir().join("short.toml");
    fs::write(&file, WORKLOAD).expect("writes the workload");
    let out = broker.dir().join("results");
    let output = Command::new(&*HARNESS)
        .args([
            "run",
            "--quiet",
            "--json",
            "--bootstrap",
            bootstrap,
            "--pid",
            &broker.pid().to_string(),
            "--out",
        ])
        .arg(&out)
        .arg(&file)
        .output()
        .expect("the harness starts");
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let folder = fs::read_dir(&out).expect("results").next().expect("one run").expect("its folder").path();
    (output.status.code(), json, folder)
}

#[test]
fn a_short_load_is_measured_and_verified() {
    let broker = Broker::start("load");
    let (code, results, folder) = run(&broker, broker.address());
    assert_eq!(code, Some(0), "{results:#}");
    assert_eq!(results["meant"]["sent"], 1000);
    assert_eq!(results["meant"]["acknowledged"], 1000);
    let verification = &results["verification"];
    assert_eq!(
        (&verification["passed"], &verification["received"]),
        (&Value::Bool(true), &Value::from(1000))
    );
    for kind in ["publish_delay", "publish_latency", "end_to_end_latency"] {
        let latency = &results["latency_ms"][kind];
        assert_eq!(latency["count"], 1000, "{kind}: one value for each record");
        let at = |name: &str| latency["percentiles"][name].as_f64().expect("a number");
        assert!(0.0 < at("p50"), "{kind}");
        assert!(at("p50") <= at("p99") && at("p99") <= at("max"), "{kind}");
        assert!(folder.join(format!("{kind}.hgrm")).exists());
    }
    assert!(results["broker_cost"]["rss_max"].as_u64().expect("a number") > 1 << 20);
    let produced: u64 =
        results["series"].as_array().expect("a list").iter().filter_map(|row| row["produced"].as_u64()).sum();
    assert_eq!(produced, 1000, "the seconds add up");
    let stored: Value =
        serde_json::from_slice(&fs::read(folder.join("results.json")).expect("stored")).expect("JSON");
    assert_eq!(stored, results);
}

#[test]
fn a_tampered_record_fails_the_run() {
    let (code, results) = run_through(Lie::Tamper);
    assert_eq!(code, Some(3), "{results:#}");
    assert_eq!(results["verification"]["passed"], false);
    assert!(results["verification"]["corrupt"].as_u64() > Some(0), "{:#}", results["verification"]);
}

#[test]
fn a_missing_record_fails_the_run() {
    let (code, results) = run_through(Lie::Swallow);
    assert_eq!(code, Some(3), "{results:#}");
    let verification = &results["verification"];
    assert_eq!(verification["passed"], false);
    assert!(verification["missing"].as_u64() > Some(0), "{verification:#}");
    assert_eq!(verification["missing"], 1000 - verification["received"].as_u64().expect("a number"));
    assert_eq!(results["errors"]["records"], 0, "everything was acknowledged");
}

fn run_through(lie: Lie) -> (Option<i32>, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let proxy = listener.local_addr().expect("it is bound").to_string();
    let advertised = format!("advertised.listeners=PLAINTEXT://{proxy}");
    let broker = Broker::start_with("load-proxy", &["--set", &advertised]);
    let address = broker.address().to_string();
    // Ends with the process: it waits for connections that no longer come.
    thread::spawn(move || serve_proxy(&listener, &address, lie));
    let (code, results, _) = run(&broker, &proxy);
    (code, results)
}

fn serve_proxy(listener: &TcpListener, broker: &str, lie: Lie) {
    let seen = Arc::new(AtomicU64::new(0));
    for client in listener.incoming().map_while(Result::ok) {
        let Ok(server) = TcpStream::connect(broker) else { return };
        let ways = [(client.try_clone(), server.try_clone(), true), (Ok(server), Ok(client), false)];
        for (from, to, is_request) in ways {
            let (from, to) = (from.expect("a socket"), to.expect("a socket"));
            let seen = Arc::clone(&seen);
            // A closed connection ends its thread with an error; that is no failure.
            thread::spawn(move || pass_on(from, to, is_request, lie, &seen));
        }
    }
}

/// Passes frames on; the fifth that could be lied about is.
fn pass_on(
    mut from: TcpStream,
    mut to: TcpStream,
    is_request: bool,
    lie: Lie,
    seen: &AtomicU64,
) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut frame)?;
        let is_produce = is_request && frame.starts_with(&ApiKey::Produce.code().to_be_bytes());
        let has_records = !is_request && frame.len() > 500;
        let fits = if lie == Lie::Swallow { is_produce } else { has_records };
        if fits && seen.fetch_add(1, Ordering::Relaxed) == 4 {
            if lie == Lie::Swallow {
                from.write_all(&false_answer(&frame))?;
                continue;
            }
            // Near the end of the last value: what follows it are a few bytes of the record's and the answer's end.
            let at = frame.len() - 20;
            frame[at] ^= 1;
        }
        to.write_all(&[&length[..], &frame].concat())?;
    }
}

/// The answer of a broker that has stored everything.
fn false_answer(frame: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).expect("the harness sends sound headers");
    let request = ProduceRequest::decode(&mut reader, header.api_version).expect("and sound requests");
    let responses = request.topic_data.iter().map(|topic| {
        let partition = |index| PartitionProduceResponse { index, ..PartitionProduceResponse::default() };
        TopicProduceResponse {
            name: topic.name,
            partition_responses: topic.partition_data.iter().map(|data| partition(data.index)).collect(),
            ..TopicProduceResponse::default()
        }
    });
    let answer = ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() };
    let mut writer = Writer::frame(64);
    ResponseHeader { correlation_id: header.correlation_id }.encode(
        &mut writer,
        header.api_key,
        header.api_version,
    );
    answer.encode(&mut writer, header.api_version).expect("a sound answer");
    writer.into_parts().expect("short").0.to_vec()
}
