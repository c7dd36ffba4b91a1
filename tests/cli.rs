//! The command line as a user or a script meets it: arguments in, text, JSON and exit codes out, against a real broker.
//!
//! Runs against any other broker as well (`CORELANE_TEST_BOOTSTRAP`): what is said here of topics and records is
//! Kafka's behaviour. What looks into segment files then has nothing to look at and says so.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use corelane_base::rng::Rng;
use serde_json::{Value, json};

use crate::harness::{Broker, TestDir, binary};

/// For topics with old timestamps, which retention would soon take.
const KEEP: &str = "--set retention.ms=-1";

/// How a command ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Panics: unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Done {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        self.stdout.lines().map(parse).collect()
    }
}

pub fn command(address: &str, line: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(line.split_whitespace()).env("CORELANE_BOOTSTRAP", address);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `corelane` with the words of `line` and `input` on its standard input.
pub fn run(address: &str, line: &str, input: &[u8]) -> Done {
    finish(command(address, line), input)
}

fn finish(mut command: Command, input: &[u8]) -> Done {
    let mut child = command.spawn().expect("the binary can be started");
    let mut stdin = child.stdin.take().expect("asked for as a pipe");
    let input = input.to_vec();
    // A command that fails early does not read to the end: that is its right.
    let writer = thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().expect("the command can be waited for");
    writer.join().expect("the writer does not panic");
    Done {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// What `corelane log inspect` says of a stopped broker's batches of a topic: their compression and number of records.
pub fn inspected(broker: &Broker, topic: &str) -> Vec<(String, u64)> {
    let line =
        format!("log inspect {} --output json", broker.data_dir().join("topics").join(topic).display());
    let rows = run("127.0.0.1:1", &line, b"").expect_code(0).json_lines();
    let said = |row: &Value| Some((row["compression"].as_str()?.to_owned(), row["records_count"].as_u64()?));
    rows.iter().filter_map(said).collect()
}

/// A topic name of its own for each call, because the broker may outlive the test.
pub fn fresh(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = time.expect("the clock is past 1970").as_millis();
    format!("cli-{name}-{}-{ms}-{count}", std::process::id())
}

/// Whether the broker's files can be looked at.
pub fn is_ours() -> bool {
    let ours = std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_none();
    if !ours {
        eprintln!("skipped in part: the broker under test is not ours, its files are elsewhere");
    }
    ours
}

#[test]
fn cli_usage_errors_end_with_2() {
    for line in [
        "",
        "nonsense",
        "serve --shards 0",
        "serve --listen nowhere",
        "serve --set novalue",
        "topic",
        "topic create",
        "topic create t --partitions 0",
        "topic create t --set novalue",
        "topic describe --output xml",
        "group",
        "group reset-offsets g",
        "group reset-offsets g --to-earliest --to-latest",
        "group delete-offsets g",
        "consume t --group g --partition 1",
        "config",
        "config describe",
        "config describe table t",
        "config describe topic",
        "config describe broker one",
        "config alter topic t",
        "config alter topic t --set novalue",
        "produce",
        "produce t --acks 2",
        "produce t --compression bzip2",
        "produce t --partition -1",
        "produce t --delimiter ab",
        "produce t --input json --key-separator :",
        "consume",
        "consume t --from yesterday",
        "consume t --format %q",
        "consume t --timeout 0",
        "log",
        "log verify",
    ] {
        let done = run("127.0.0.1:1", line, b"").expect_code(2);
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{line}: {done:?}");
    }
}

#[test]
fn cli_help_has_examples() {
    for line in ["topic", "produce", "consume", "config", "log", "serve"] {
        let help = run("127.0.0.1:1", &format!("{line} --help"), b"").expect_code(0).stdout;
        assert!(help.contains("Examples:"), "{line}: {help}");
        assert!(help.contains(&format!("corelane {line}")), "{line}: {help}");
    }
    assert!(run("127.0.0.1:1", "--help", b"").expect_code(0).stdout.contains("Exit codes:"));
    assert!(run("127.0.0.1:1", "--version", b"").expect_code(0).stdout.starts_with("corelane "));
}

#[test]
fn cli_without_a_broker_ends_with_3() {
    // Nobody listens on port 1, and nobody without privileges could.
    for line in ["topic list", "consume t", "produce t"] {
        let done = run("127.0.0.1:1", line, b"x\n").expect_code(3);
        assert!(done.stderr.contains("127.0.0.1:1"), "{done:?}");
    }
}

#[test]
fn cli_topics_live_and_die() {
    let broker = Broker::start("cli-topics");
    let at = broker.address();
    let topic = fresh("life");
    let done = run(at, &format!("topic create {topic} -p 3 --set retention.ms=86400000"), b"").expect_code(0);
    assert_eq!(done.stdout, format!("{topic}: created\n"));
    let again = run(at, &format!("topic create {topic}"), b"").expect_code(1);
    assert!(again.stderr.contains("TOPIC_ALREADY_EXISTS"), "{again:?}");
    run(at, &format!("topic create {topic} --if-not-exists"), b"").expect_code(0);

    let listed =
        run("127.0.0.1:1", &format!("topic list --output json --bootstrap {at}"), b"").expect_code(0).json();
    let row = listed.as_array().and_then(|rows| rows.iter().find(|row| row["topic"] == json!(topic)));
    assert_eq!(row.expect("the topic is listed")["partitions"], json!(3));

    run(at, &format!("topic alter {topic} -p 5 --set max.message.bytes=5000 --unset retention.ms"), b"")
        .expect_code(0);
    let fewer = run(at, &format!("topic alter {topic} -p 2"), b"").expect_code(1);
    assert!(fewer.stderr.contains("INVALID_PARTITIONS"), "{fewer:?}");
    let bad = run(at, &format!("topic alter {topic} --set nonsense=1"), b"").expect_code(1);
    assert!(bad.stderr.contains("INVALID_CONFIG"), "{bad:?}");
    run(at, &format!("topic alter {topic}"), b"").expect_code(2);

    let described = run(at, &format!("topic describe {topic} --output json"), b"").expect_code(0).json();
    assert_eq!(described[0]["settings"], json!({"max.message.bytes": "5000"}));
    let partitions = described[0]["partitions"].as_array().expect("partitions");
    assert_eq!(partitions.len(), 5);
    for (index, partition) in partitions.iter().enumerate() {
        assert_eq!(partition["partition"], json!(index));
        assert_eq!((&partition["log_start_offset"], &partition["high_watermark"]), (&json!(0), &json!(0)));
        assert_eq!(partition["error"], Value::Null);
    }

    run(at, &format!("topic delete {topic}"), b"").expect_code(0);
    let gone = run(at, &format!("topic delete {topic}"), b"").expect_code(1);
    assert!(gone.stderr.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{gone:?}");
    run(at, &format!("topic delete {topic} --if-exists"), b"").expect_code(0);
    let unknown = run(at, &format!("topic describe {topic}"), b"").expect_code(1);
    assert!(unknown.stderr.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{unknown:?}");
}

#[test]
fn cli_settings_change_while_the_broker_runs() {
    let broker = Broker::start("cli-config");
    let at = broker.address();
    let topic = fresh("config");
    run(at, &format!("topic create {topic}"), b"").expect_code(0);
    let produce = |code| run(at, &format!("produce {topic}"), &[b'x'; 5000]).expect_code(code);
    let held = |entity: &str| -> BTreeMap<String, (Value, Value)> {
        let line = format!("config describe {entity} --output json");
        let rows = run(at, &line, b"").expect_code(0).json();
        let row = |row: &Value| {
            (row["name"].as_str().expect("a name").into(), (row["value"].clone(), row["from"].clone()))
        };
        rows.as_array().expect("rows").iter().map(row).collect()
    };
    let limit = "message.max.bytes";
    let altered = run(at, &format!("config alter broker --set {limit}=4000"), b"").expect_code(0);
    assert_eq!(altered.stdout, "all brokers: altered\n");
    assert_eq!(held("broker 1")[limit], (json!("4000"), json!("all brokers")));
    assert!(produce(1).stderr.contains("MESSAGE_TOO_LARGE"));
    run(at, &format!("config alter broker 1 --set {limit}=9000 --validate-only"), b"").expect_code(0);
    produce(1);
    let altered = run(at, &format!("config alter broker 1 --set {limit}=9000"), b"").expect_code(0);
    assert_eq!(altered.stdout, "broker 1: altered\n");
    assert_eq!(held("broker 1")[limit], (json!("9000"), json!("broker")));
    assert_eq!(held(&format!("topic {topic}"))["max.message.bytes"], (json!("9000"), json!("broker")));
    produce(0);
    run(at, &format!("config alter broker 1 --unset {limit}"), b"").expect_code(0);
    run(at, &format!("config alter broker --unset {limit}"), b"").expect_code(0);
    assert!(!held("broker 1").contains_key(limit), "it is the default again");
    let table = run(at, "config describe broker 1 --all-settings", b"").expect_code(0).stdout;
    for row in [&[limit, "1048588", "default"][..], &["num.partitions", "1", "default", "changes"]] {
        let cells = |line: &str| line.split_whitespace().take(row.len()).eq(row.iter().copied());
        assert!(table.lines().any(cells), "{row:?}\n{table}");
    }

    run(at, "config alter group g --set consumer.session.timeout.ms=50000", b"").expect_code(0);
    assert_eq!(held("group g")["consumer.session.timeout.ms"], (json!("50000"), json!("group")));
    assert!(held("broker-logger 1").contains_key("root"));
    for (line, why) in [
        ("alter broker --set num.partitions=3", "INVALID_REQUEST"),
        ("alter broker 1 --set log.retention.ms=soon", "whole number"),
        ("describe broker 7", "BROKER_NOT_AVAILABLE"),
        ("describe topic nobody", "UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        let refused = run(at, &format!("config {line}"), b"").expect_code(1);
        assert!(refused.stderr.contains(why), "{line}: {refused:?}");
    }
}

#[test]
fn cli_good_and_bad_topics_in_one_request() {
    let broker = Broker::start("cli-mixed");
    let (good, check) = (fresh("good"), fresh("check"));
    let line = format!("topic create {good} in/valid --output json");
    let done = run(broker.address(), &line, b"").expect_code(1);
    let rows = done.json();
    assert_eq!((&rows[0]["topic"], &rows[0]["error"]), (&json!(good), &Value::Null), "{rows}");
    assert_eq!(rows[1]["error"], json!("INVALID_TOPIC_EXCEPTION"), "{rows}");
    run(broker.address(), &format!("topic create {check} --validate-only"), b"").expect_code(0);
    run(broker.address(), &format!("topic describe {check}"), b"").expect_code(1);
}

#[test]
fn cli_records_return_under_every_codec_and_acks() {
    let broker = Broker::start("cli-codecs");
    let at = broker.address();
    let input: String = (0..5000).map(|n| format!("key-{n}\tvalue {n} {}\n", "x".repeat(n % 97))).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let topic = fresh(codec);
            run(at, &format!("topic create {topic} {KEEP}"), b"").expect_code(0);
            let line = format!(
                "produce {topic} -z {codec} -a {acks} -k \\t -H source=test --timestamp 1700000000000 --batch-bytes 20000"
            );
            run(at, &line, input.as_bytes()).expect_code(0);
            // With acks=0 nobody says when the records are there: ask for all 5,000 and wait for them.
            let line = format!("consume {topic} --follow --count 5000 --format %k\\t%s\\n");
            assert_eq!(run(at, &line, b"").expect_code(0).stdout, input, "{codec} {acks}");
            let line = format!("consume {topic} --from 4321 --count 1 --output json");
            let expected = json!({
                "topic": topic, "partition": 0, "offset": 4321, "timestamp": 1_700_000_000_000_i64,
                "key": "key-4321", "value": format!("value 4321 {}", "x".repeat(4321 % 97)),
                "headers": [{"key": "source", "value": "test"}],
            });
            assert_eq!(run(at, &line, b"").expect_code(0).json(), expected, "{codec} {acks}");
        }
    }
}

#[test]
fn cli_stored_batches_have_the_codec_asked_for() {
    if !is_ours() {
        return;
    }
    let mut broker = Broker::start("cli-stored");
    let input = "the same line again and again\n".repeat(2000);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        run(broker.address(), &format!("produce stored-{codec} -z {codec}"), input.as_bytes()).expect_code(0);
    }
    broker.stop();
    let data = broker.data_dir();
    let line = format!("log inspect {} --output json", data.display());
    let batches = run("127.0.0.1:1", &line, b"").expect_code(0).json_lines();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let found = batches.iter().filter(|batch| batch["compression"] == json!(codec));
        let records: i64 = found.filter_map(|batch| batch["records_count"].as_i64()).sum();
        assert!(records >= 2000, "{records} records under {codec}");
    }
}

#[test]
fn cli_bytes_nulls_and_headers_return_as_json() {
    let broker = Broker::start("cli-json");
    let (topic, copy) = (fresh("json"), fresh("copy"));
    let lines = [
        json!({"key": "k", "value": "v", "timestamp": 1, "partition": 0, "headers": []}),
        json!({"key": null, "value": "grüße", "timestamp": 2, "partition": 1,
            "headers": [{"key": "a", "value": "1"}, {"key": "a", "value": null}]}),
        json!({"key_hex": "00ff", "value": null, "timestamp": 3, "partition": 1, "headers": []}),
        json!({"key": "", "value_hex": "80", "timestamp": 4, "partition": 1,
            "headers": [{"key": "b", "value_hex": "fe"}]}),
    ];
    for topic in [&topic, &copy] {
        run(broker.address(), &format!("topic create {topic} -p 2 {KEEP}"), b"").expect_code(0);
    }
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let done = run(broker.address(), &format!("produce {topic} -i json --output json"), input.as_bytes());
    assert_eq!(done.expect_code(0).json()["records"], json!(4));
    let first = run(broker.address(), &format!("consume {topic} --output json"), b"").expect_code(0);
    run(broker.address(), &format!("produce {copy} -i json"), first.stdout.as_bytes()).expect_code(0);
    let second = run(broker.address(), &format!("consume {copy} --output json"), b"").expect_code(0);
    for (name, done) in [(&topic, first), (&copy, second)] {
        let mut records = done.json_lines();
        records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
        let expected: Vec<Value> = lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let mut line = line.clone();
                line["topic"] = json!(name);
                line["offset"] = json!(if index == 0 { 0 } else { index - 1 });
                line
            })
            .collect();
        assert_eq!(records, expected);
    }
}

#[test]
fn cli_reading_starts_where_it_is_told() {
    let broker = Broker::start("cli-start");
    let at = broker.address();
    let topic = fresh("start");
    run(at, &format!("topic create {topic} {KEEP}"), b"").expect_code(0);
    for (time, values) in [("1000", "a\nb\n"), ("2000", "c\nd\n"), ("3000", "e\n")] {
        run(at, &format!("produce {topic} --timestamp {time}"), values.as_bytes()).expect_code(0);
    }
    let check = |arguments: &str, expected: &str| {
        let done = run(at, &format!("consume {topic} --format %s {arguments}"), b"").expect_code(0);
        assert_eq!(done.stdout, expected, "{arguments}");
    };
    check("", "abcde");
    check("--from beginning", "abcde");
    check("--from end", "");
    check("--from 0", "abcde");
    check("--from 3", "de");
    check("--from 5", "");
    check("--from -2", "de");
    check("--from -99", "abcde");
    check("--from @0", "abcde");
    check("--from @1001", "cde");
    check("--from @2000", "cde");
    check("--from @1970-01-01T00:00:02.001Z", "e");
    check("--from @3001", "");
    check("--from 1 --count 2", "bc");
    check("--count 0", "");
    check("--partition 0", "abcde");
    let behind = run(at, &format!("consume {topic} --from 6"), b"").expect_code(1);
    assert!(behind.stderr.contains("OFFSET_OUT_OF_RANGE"), "{behind:?}");
    let partition = run(at, &format!("consume {topic} --partition 1"), b"").expect_code(1);
    assert!(partition.stderr.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{partition:?}");
}

#[test]
fn cli_follow_sees_what_is_written_later() {
    let broker = Broker::start("cli-follow");
    let topic = fresh("follow");
    run(broker.address(), &format!("topic create {topic}"), b"").expect_code(0);
    let line = format!("consume {topic} --follow --count 3");
    let mut reader = command(broker.address(), &line).spawn().expect("the binary can be started");
    let mut lines = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    // One producer with an open standard input: each line must arrive before the next is written.
    let line = format!("produce {topic} --quiet");
    let mut writer = command(broker.address(), &line).spawn().expect("the binary can be started");
    let mut stdin = writer.stdin.take().expect("a pipe");
    for value in ["one", "two", "three"] {
        writeln!(stdin, "{value}").expect("the producer reads");
        let line = lines.next().expect("a line comes").expect("it is text");
        assert_eq!(line, value);
    }
    drop(stdin);
    assert!(writer.wait().expect("the producer ends").success());
    assert!(reader.wait().expect("the consumer ends").success());
}

#[test]
fn cli_bad_input_keeps_what_came_before() {
    let broker = Broker::start("cli-input");
    let at = broker.address();
    let topic = fresh("input");
    run(at, &format!("topic create {topic}"), b"").expect_code(0);
    let done = run(at, &format!("produce {topic} -k :"), b"a:1\nb:2\nc\nd:4\n").expect_code(4);
    assert!(done.stderr.contains("line 3"), "{done:?}");
    let done = run(at, &format!("produce {topic} -i json"), b"{\"value\":\"3\"}\n{\"valve\":1}\n");
    assert!(done.expect_code(4).stderr.contains("line 2"));
    run(at, &format!("produce {topic} --partition 7"), b"x\n").expect_code(1);
    let done = run(at, &format!("consume {topic} --format %s"), b"").expect_code(0);
    assert_eq!(done.stdout, "123");
}

#[test]
fn cli_a_refused_record_is_told() {
    let broker = Broker::start("cli-refused");
    let topic = fresh("refused");
    let at = broker.address();
    run(at, &format!("topic create {topic} --set max.message.bytes=1000"), b"").expect_code(0);
    let done = run(at, &format!("produce {topic}"), &[b'x'; 2000]).expect_code(1);
    assert!(done.stderr.contains("MESSAGE_TOO_LARGE"), "{done:?}");
    assert!(run(at, &format!("consume {topic}"), b"").expect_code(0).stdout.is_empty());
}

#[test]
fn cli_a_closed_pipe_is_no_failure() {
    let broker = Broker::start("cli-pipe");
    let topic = fresh("pipe");
    let input = "a line of some length\n".repeat(50_000);
    run(broker.address(), &format!("produce {topic}"), input.as_bytes()).expect_code(0);
    let mut child = command(broker.address(), &format!("consume {topic}")).spawn().expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line comes");
    drop(stdout);
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn verify(data: &Path) -> Done {
    let mut command = command("127.0.0.1:1", "log verify --records --output json");
    command.arg(data);
    finish(command, b"")
}

/// All segment files below `data` that hold at least `bytes` of something.
fn segments(data: &Path, bytes: u64) -> Vec<Value> {
    let rows = verify(data).json();
    let rows = rows.as_array().expect("a list").iter();
    rows.filter(|row| row["bytes"].as_u64() >= Some(bytes)).cloned().collect()
}

#[test]
fn cli_verify_accepts_what_the_broker_leaves_and_finds_damage() {
    if !is_ours() {
        return;
    }
    let mut broker = Broker::start("cli-verify");
    let input: String = (0..20_000).map(|n| format!("{n}:value {n}\n")).collect();
    run(broker.address(), "topic create kept -p 2", b"").expect_code(0);
    run(broker.address(), "produce kept -k : -z lz4 --batch-bytes 10000", input.as_bytes()).expect_code(0);
    broker.kill();
    verify(&broker.data_dir()).expect_code(0);
    broker.launch();
    run(broker.address(), "produce kept -k :", input.as_bytes()).expect_code(0);
    assert!(broker.stop().success());
    let data = broker.data_dir();
    let done = verify(&data).expect_code(0);
    let records: i64 = segments(&data, 20_000).iter().filter_map(|row| row["records"].as_i64()).sum();
    assert_eq!(records, 40_000, "{done:?}");

    // One bit of a batch in the middle.
    let victim = segments(&data, 20_000)[0]["file"].as_str().expect("a path").to_string();
    let mut bytes = std::fs::read(&victim).expect("a segment can be read");
    bytes[1000] ^= 4;
    std::fs::write(&victim, bytes).expect("a segment can be written");
    let done = verify(&data).expect_code(5);
    assert!(done.stderr.contains("one segment is damaged"), "{done:?}");
    let empty = TestDir::new("cli-verify-empty");
    verify(empty.path()).expect_code(4);
}

/// Stands between clients and a broker and cuts connections after a number of bytes of answers, until told to stop.
struct Scissors {
    address: String,
    cutting: Arc<AtomicBool>,
    cuts: Arc<AtomicU32>,
}

impl Scissors {
    /// Binds a port. `target` is asked for the broker's address with each connection: the broker starts later.
    fn open(target: Arc<Mutex<String>>) -> Scissors {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (cutting, cuts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
        let (switch, count) = (cutting.clone(), cuts.clone());
        // Ends with the test process: nothing waits for it.
        thread::spawn(move || {
            let mut rng = Rng::new(2026);
            for client in listener.incoming().map_while(Result::ok) {
                let target = target.lock().expect("nobody panics with it").clone();
                let Ok(broker) = TcpStream::connect(target) else { continue };
                let limit = if switch.load(Ordering::Relaxed) { 600 + rng.below(1500) } else { u64::MAX };
                relay(client, broker, limit, count.clone());
            }
        });
        Scissors { address, cutting, cuts }
    }
}

/// Copies both ways until one side ends, or `limit` bytes of answers went through.
fn relay(client: TcpStream, broker: TcpStream, limit: u64, cuts: Arc<AtomicU32>) {
    let mut up = (client.try_clone().expect("clones"), broker.try_clone().expect("clones"));
    thread::spawn(move || {
        let _ = std::io::copy(&mut up.0, &mut up.1);
        let _ = up.1.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let copied = std::io::copy(&mut (&broker).take(limit), &mut &client);
        if copied.is_ok_and(|copied| copied == limit) {
            cuts.fetch_add(1, Ordering::Relaxed);
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = broker.shutdown(Shutdown::Both);
    });
}

/// Answers get lost all the time; requests are sent again; every record is stored once and in order all the same.
#[test]
fn cli_lost_answers_store_nothing_twice() {
    if !is_ours() {
        return;
    }
    let target = Arc::new(Mutex::new(String::new()));
    let scissors = Scissors::open(target.clone());
    let advertised = format!("advertised.listeners=PLAINTEXT://{}", scissors.address);
    let broker = Broker::start_with("cli-lost", &["--set", &advertised]);
    broker.address().clone_into(&mut target.lock().expect("nobody panics with it"));

    run(broker.address(), "topic create once", b"").expect_code(0);
    let input: String = (0..6000).map(|n| format!("{n} {}\n", "x".repeat(n % 50))).collect();
    let done = run(&scissors.address, "produce once --batch-bytes 1000 --output json", input.as_bytes());
    let done = done.expect_code(0);
    assert_eq!(done.json()["records"], json!(6000));
    let cuts = scissors.cuts.load(Ordering::Relaxed);
    assert!(cuts >= 10, "only {cuts} connections were cut: this test has tested nothing");
    scissors.cutting.store(false, Ordering::Relaxed);
    // An old connection may still carry its limit: the reader has its own.
    assert_eq!(run(broker.address(), "consume once", b"").expect_code(0).stdout, input);
}
