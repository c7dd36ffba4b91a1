//! What the broker tells Prometheus, against what was done to it, and against Prometheus's own programs.
//!
//! Always starts brokers of its own: nothing here is Kafka's.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use corelane_log::builder::BatchBuilder;
use corelane_wire::api::ApiKey;
use corelane_wire::error_code::ErrorCode;
use corelane_wire::message::find_coordinator::FindCoordinatorRequest;
use corelane_wire::message::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::harness::Broker;
use crate::wire_client::{Connection, create_topic, error_codes, fetch, now, produce, request};

/// Samples by name and labels as they stand in the text.
pub type Samples = BTreeMap<String, f64>;

/// Asks over HTTP: the status line and the body. Panics: if the broker does not answer.
pub fn http(address: &str, request: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("the admin thread listens");
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") {
        panic!("no answer here is long enough to be chunked")
    } else {
        body.to_owned()
    };
    (head.lines().next().unwrap_or_default().to_owned(), body)
}

/// Where the broker says that its metrics are.
pub fn http_address(broker: &Broker) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let log = broker.log_tail();
        // Up to the end of the line: the harness copies the greeting into the log line by line.
        let found = log.split_once("http://").and_then(|(_, rest)| rest.split_once("/metrics\n"));
        if let Some((address, _)) = found {
            return address.to_owned();
        }
        assert!(Instant::now() < end, "the greeting does not come: {log}");
        std::thread::yield_now();
    }
}

/// The metrics: as they come, and sample by sample. Panics: if they do not come.
pub fn scrape(address: &str) -> (String, Samples) {
    let (status, text) = http(address, "GET /metrics", "");
    assert!(status.contains("200"), "{status}");
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line:?} has no value")))
    });
    let samples = samples.collect();
    (text, samples)
}

/// Scrapes until every request that was answered is counted: the last is on its way when its answer is here already.
fn scrape_after(address: &str, request: &str, count: f64) -> (String, Samples) {
    let end = Instant::now() + Duration::from_secs(60);
    let name = format!("corelane_request_seconds_count{{request=\"{request}\"}}");
    loop {
        let (text, samples) = scrape(address);
        if samples.get(&name).is_some_and(|found| *found >= count) {
            return (text, samples);
        }
        assert!(Instant::now() < end, "{name} is {:?}, not {count}", samples.get(&name));
    }
}

#[track_caller]
fn check(samples: &Samples, name: &str, expected: f64) {
    let family = name.split('{').next().unwrap_or_default();
    let near: Vec<_> = samples.keys().filter(|key| key.starts_with(family)).collect();
    assert_eq!(samples.get(name), Some(&expected), "{name}; there are {near:?}");
}

/// A batch of so many records of 100 bytes.
fn batch_of_many(records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.push(now(), None, Some(&[b'v'; 100]));
    }
    builder.build().to_vec()
}

/// Whether a histogram's buckets rise and its last equals its count.
fn check_histograms(text: &str) {
    let mut last: Option<(String, f64)> = None;
    let mut seen = 0;
    for line in text.lines().filter(|line| line.contains("_bucket{")) {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value: f64 = value.parse().expect("a number");
        let series = name.split("le=\"").next().unwrap_or_default().to_owned();
        if let Some((before, count)) = &last
            && *before == series
        {
            assert!(value >= *count, "{line} is less than the bucket before");
        }
        last = Some((series, value));
        seen += 1;
    }
    assert!(seen > 100, "only {seen} buckets");
}

/// What is told of the partitions of `orders`, which hold 77 records and so many bytes each.
fn check_partitions(samples: &Samples, bytes: &[u64]) {
    let told = |name: &str, labels: &str| format!("{name}{labels}");
    for (partition, bytes) in bytes.iter().enumerate() {
        let labels = format!("{{topic=\"orders\",partition=\"{partition}\"}}");
        check(samples, &told("kafka_log_log_logendoffset", &labels), 77.0);
        check(samples, &told("kafka_log_log_logstartoffset", &labels), 0.0);
        check(samples, &told("corelane_partition_high_watermark", &labels), 77.0);
        check(samples, &told("kafka_log_log_size", &labels), *bytes as f64);
        check(samples, &told("corelane_partition_bytes_in_total", &labels), *bytes as f64);
        check(samples, &told("corelane_partition_records_in_total", &labels), 77.0);
    }
}

#[test]
fn what_is_told_is_what_was_done() {
    let broker = Broker::start_with("metrics", &["--shards", "2"]);
    let http = http_address(&broker);
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "orders", 3, &[]);
    create_topic(&mut connection, "other.topic-1", 1, &[]);
    let (few, many) = (batch_of_many(3), batch_of_many(50));
    let mut bytes = [0_u64; 3];
    for round in 0..10 {
        for partition in 0..3 {
            let batch = if round == 0 { &many } else { &few };
            produce(&mut connection, -1, "orders", partition, batch).expect("there is room");
            bytes[partition as usize] += batch.len() as u64;
        }
    }
    produce(&mut connection, -1, "orders", 7, &few).expect_err("there is no such partition");
    let mut broken = few.clone();
    *broken.last_mut().expect("a batch is long") ^= 1;
    let error = produce(&mut connection, -1, "orders", 0, &broken).expect_err("its checksum is wrong");
    assert!(error.contains(ErrorCode::CorruptMessage.name()), "{error}");
    let (mut fetched, mut fetches) = (0, 0.0);
    while fetched < bytes[1] {
        fetched += fetch(&mut connection, 11, "orders", 1, 0, 1).expect("it is there").len() as u64;
        fetches += 1.0;
    }

    let (text, samples) = scrape_after(&http, "Fetch", fetches);
    let told = |name: &str, labels: &str| format!("{name}{labels}");
    for (family, expected) in [("messagesin", 231.0), ("bytesin", bytes.iter().sum::<u64>() as f64)] {
        let name = format!("kafka_server_brokertopicmetrics_{family}_total");
        check(&samples, &told(&name, "{topic=\"orders\"}"), expected);
        check(&samples, &told(&name, "{topic=\"other.topic-1\"}"), 0.0);
        check(&samples, &name, expected);
    }
    let requests = "kafka_server_brokertopicmetrics_totalproducerequests_total{topic=\"orders\"}";
    check(&samples, requests, 31.0);
    check(&samples, &requests.replace("totalproduce", "failedproduce"), 1.0);
    check(&samples, "kafka_server_brokertopicmetrics_bytesout_total{topic=\"orders\"}", fetched as f64);
    check_partitions(&samples, &bytes);
    let produced: f64 = samples
        .iter()
        .filter(|(name, _)| {
            name.starts_with("kafka_network_requestmetrics_requests_total{request=\"Produce\"")
        })
        .map(|(_, value)| value)
        .sum();
    assert_eq!(produced, 32.0);
    let errors = "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=";
    check(&samples, &format!("{errors}\"UNKNOWN_TOPIC_OR_PARTITION\"}}"), 1.0);
    check(&samples, &format!("{errors}\"CORRUPT_MESSAGE\"}}"), 1.0);
    check(&samples, "corelane_request_seconds_count{request=\"Produce\"}", 32.0);
    check(&samples, "corelane_request_stage_seconds_count{request=\"Produce\",stage=\"disk\"}", 32.0);
    check(&samples, "kafka_controller_kafkacontroller_globaltopiccount", 2.0);
    check(&samples, "kafka_server_replicamanager_partitioncount", 4.0);
    check(&samples, "kafka_server_replicamanager_offlinereplicacount", 0.0);
    check(&samples, "kafka_server_kafkaserver_brokerstate", 3.0);
    check(&samples, "corelane_scrape_shards_stale", 0.0);
    let tail = samples["corelane_log_reads_total{source=\"tail\"}"];
    assert!(tail >= 1.0, "{tail}");
    assert!(samples["corelane_group_commit_seconds_count"] >= 10.0);
    assert_eq!(samples["corelane_group_commit_bytes_sum"], bytes.iter().sum::<u64>() as f64);
    assert!(samples["corelane_disk_free_bytes"] > 0.0);
    check_histograms(&text);
}

/// Commits an offset as a consumer without a group's protocol does, as often as it takes for the coordinator to be there.
fn commit(connection: &mut Connection, group: &str, topic: &str, partition: i32, offset: i64) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let find = FindCoordinatorRequest { key: group, ..FindCoordinatorRequest::default() };
        let frame = request(ApiKey::FindCoordinator, 3, |w, version| find.encode(w, version));
        connection.try_call(ApiKey::FindCoordinator, 3, &frame).expect("it is answered");
        let partition = OffsetCommitRequestPartition {
            partition_index: partition,
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic,
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let message = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let frame = request(ApiKey::OffsetCommit, 8, |w, version| message.encode(w, version));
        let body = connection.try_call(ApiKey::OffsetCommit, 8, &frame).expect("it is answered");
        let codes = error_codes(&body, ApiKey::OffsetCommit, 8);
        if codes.iter().all(|code| *code == ErrorCode::None) {
            return;
        }
        assert!(Instant::now() < end, "{codes:?}");
        std::thread::yield_now();
    }
}

#[test]
fn lag_is_told() {
    let broker = Broker::start_with("metrics-lag", &["--shards", "2"]);
    let http = http_address(&broker);
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "read", 2, &[]);
    for partition in 0..2 {
        produce(&mut connection, -1, "read", partition, &batch_of_many(30)).expect("there is room");
    }
    for (group, partition, offset) in [("one", 0, 30), ("one", 1, 12), ("two \"x\"", 0, 40)] {
        commit(&mut connection, group, "read", partition, offset);
    }
    let (_, samples) = scrape(&http);
    for (group, partition, offset, lag) in
        [("one", 0, 30.0, 0.0), ("one", 1, 12.0, 18.0), ("two \\\"x\\\"", 0, 40.0, 0.0)]
    {
        let labels = format!("{{consumergroup=\"{group}\",topic=\"read\",partition=\"{partition}\"}}");
        check(&samples, &format!("kafka_consumergroup_current_offset{labels}"), offset);
        check(&samples, &format!("kafka_consumergroup_lag{labels}"), lag);
        check(&samples, &format!("kafka_consumergroup_members{{consumergroup=\"{group}\"}}"), 0.0);
    }
    check(&samples, "kafka_coordinator_group_groupmetadatamanager_numgroups", 2.0);
    check(&samples, "corelane_groups{state=\"Empty\"}", 2.0);
    check(&samples, "corelane_group_offsets_untold", 0.0);
}

#[test]
fn log_lines_change_while_the_broker_runs() {
    let mut broker = Broker::start_with("metrics-log", &["--log-format", "json", "--log-level", "warn"]);
    let address = http_address(&broker);
    assert_eq!(http(&address, "GET /log-level", "").1, "warn\n");
    let (status, said) = http(&address, "PUT /log-level", "loud");
    assert!(status.contains("400") && said.contains("loud"), "{status} {said}");
    assert_eq!(http(&address, "GET /log-level", "").1, "warn\n");
    // A frame that is none: the shard says at `info` why it closes the connection.
    let refuse = || {
        let mut connection = Connection::open(broker.address());
        connection.send(b"GET / HTTP/1.1\r\n\r\n").expect("the broker listens");
        connection.hear_all();
    };
    refuse();
    assert!(!broker.log_tail().contains("closing the connection"), "{}", broker.log_tail());
    let (status, said) = http(&address, "PUT /log-level", "warn,corelane::shard=info");
    assert!(status.contains("200") && said == "warn,corelane::shard=info\n", "{status} {said}");
    refuse();
    let end = Instant::now() + Duration::from_secs(60);
    while !broker.log_tail().contains("closing the connection") {
        assert!(Instant::now() < end, "{}", broker.log_tail());
        std::thread::yield_now();
    }
    let log = broker.log_tail();
    let line = log.lines().find(|line| line.contains("closing the connection")).expect("just seen");
    let line: serde_json::Value = serde_json::from_str(line).expect("a line is a JSON object");
    assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"corelane::shard".into()), "{line}");
    assert!(line["shard"].is_u64() && line["timestamp"].is_string(), "{line}");
    assert_eq!(broker.stop().code(), Some(0));
}

/// What stands under `tests/.deps`, as `tests/setup` puts it there, or what the machine has.
fn promtool() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.deps/prometheus/usr/bin/promtool");
    if path.exists() { path } else { PathBuf::from("promtool") }
}

#[track_caller]
fn check_with_promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new(promtool());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool: run tests/setup, which installs what the tests need");
    child.stdin.take().expect("asked for as a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

/// Every name in the expressions of a dashboard or of rules that looks like a metric's.
fn metric_names(text: &str) -> Vec<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':'));
    let is_metric = |word: &&str| {
        ["corelane_", "kafka_", "process_"].iter().any(|head| word.starts_with(head)) && !word.contains(':')
    };
    let mut names: Vec<String> = words.filter(is_metric).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn prometheus_and_the_dashboard_understand_it() {
    let broker = Broker::start("metrics-promtool");
    let address = http_address(&broker);
    let mut connection = Connection::open(broker.address());
    create_topic(&mut connection, "seen", 2, &[]);
    produce(&mut connection, -1, "seen", 0, &batch_of_many(5)).expect("there is room");
    let (text, _) = scrape_after(&address, "Produce", 1.0);
    check_with_promtool(&["check", "metrics"], &text);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/broker/dashboard");
    let rules = folder.join("corelane.rules.yml").display().to_string();
    check_with_promtool(&["check", "rules", &rules], "");
    let tests = folder.join("corelane.rules-test.yml").display().to_string();
    check_with_promtool(&["test", "rules", &tests], "");

    let (rules, dashboard) =
        (http(&address, "GET /rules.yml", "").1, http(&address, "GET /dashboard.json", "").1);
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let expressions = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<&str> = expressions.filter_map(|target| target["expr"].as_str()).collect();
    assert!(expressions.len() > 30, "{} expressions", expressions.len());
    let mut names = metric_names(&expressions.join("\n"));
    names.extend(metric_names(&rules));
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let told = [Some(name.as_str()), bare].into_iter().flatten();
        let known = told.into_iter().any(|name| text.contains(&format!("# TYPE {name} ")));
        assert!(known, "{name} is not told");
    }
}
