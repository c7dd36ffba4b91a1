//! Unmodified Kafka clients against the broker: each writes 500,000 records and reads them back (and one
//! other client reads them too), every byte compared.
//!
//! The work is done by the programs in `tests/clients/` (what they do exactly: `tests/clients/README.md`);
//! here is only which program runs when, and what it must report. Covered per client: every compression with
//! 100,000 records, every acks with 166,667 of these 500,000 (acks=all the first third of each topic, 1 the
//! second, 0 the last; so each compression meets each acks with 33,333 records), reading from earliest, from
//! an offset and from a timestamp. On a broker of its own per client, so that one failure does not hide
//! another.
//!
//! `CORELANE_TEST_RECORDS` sets the number of records for each compression: with 300,000 each compression meets each acks
//! with 100,000.
//!
//! After the programs, the stored batches are looked at: what a client was told to compress must be stored
//! compressed, unless the broker is told to compress otherwise.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use crate::cli;
use crate::fetched::{self, Codec};
use crate::harness::{self, Broker};

/// Records in each of a program's five topics, unless `CORELANE_TEST_RECORDS` says otherwise.
const RECORD_COUNT: u64 = 100_000;

/// Programs that may run at the same time, whatever number of threads the tests have: each keeps a core busy,
/// and so does the broker.
const PROGRAM_COUNT_MAX: u32 = 2;

/// How long a program may take: several times what the slowest needs beside another one.
const PROGRAM_TIME_MAX: Duration = Duration::from_secs(900);
/// How long it may take to say where it stands.
const LAST_WORDS_TIME_MAX: Duration = Duration::from_secs(10);

/// A client program: how to start it, and what the records it writes look like to others.
#[derive(Clone, Copy)]
struct Program {
    name: &'static str,
    start: Start,
    /// The profile of `tests/clients/README.md` that a reader of its topics must expect.
    profile: &'static str,
}

#[derive(Clone, Copy)]
enum Start {
    Python(&'static str),
    Built(&'static str),
    Node,
    Java,
}

const KCAT: Program = Program { name: "kcat", start: Start::Python("kcat.py"), profile: "kcat" };
const CONFLUENT: Program =
    Program { name: "confluent", start: Start::Python("confluent.py"), profile: "full" };
const KAFKA_PYTHON: Program =
    Program { name: "kafka-python", start: Start::Python("kafkapython.py"), profile: "nonull" };
const AIOKAFKA: Program = Program { name: "aiokafka", start: Start::Python("aio.py"), profile: "full" };
const KAFKAJS: Program = Program { name: "kafkajs", start: Start::Node, profile: "kafkajs" };
const FRANZ: Program = Program { name: "franz-go", start: Start::Built("franz"), profile: "full" };
const SARAMA: Program = Program { name: "sarama", start: Start::Built("sarama"), profile: "full" };
const JAVA: Program = Program { name: "java", start: Start::Java, profile: "full" };

/// Records in each of a program's topics.
fn record_count() -> u64 {
    let asked = std::env::var("CORELANE_TEST_RECORDS").ok();
    asked.map_or(RECORD_COUNT, |n| n.parse().expect("CORELANE_TEST_RECORDS is a number"))
}

/// `tests/`, wherever the test was started.
pub fn tests_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Something that `tests/setup` installs; panics with what to do if it is not there.
pub fn installed(path: &str) -> PathBuf {
    let path = tests_dir().join(".deps").join(path);
    assert!(
        path.exists(),
        "{} is missing: run tests/setup, which installs what the tests need",
        path.display()
    );
    path
}

/// `java` with our classes and Kafka's on its class path, saying only errors.
pub fn java() -> Command {
    let mut command = Command::new("java");
    let class_path = format!("{}:{}/*", installed("java-classes").display(), installed("java").display());
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4"]);
    command.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", &class_path]);
    command
}

impl Program {
    fn command(self) -> Command {
        let clients = tests_dir().join("clients");
        match self.start {
            Start::Python(file) => {
                let mut command = Command::new(installed("python/bin/python"));
                command.arg("-B").arg(clients.join("python").join(file));
                command
            }
            Start::Built(name) => Command::new(installed("bin").join(name)),
            Start::Node => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", installed("kafkajs/node_modules"));
                command.arg(clients.join("kafkajs/main.js"));
                command
            }
            Start::Java => {
                let mut command = java();
                command.arg("Roundtrip");
                command
            }
        }
    }

    /// Runs the program and returns its report. Panics with all it said if it fails.
    fn run(self, broker: &Broker, run: &Run, mode: &str, writer: &str) -> String {
        let mut command = self.command();
        command.stdin(Stdio::null());
        command.args(["--bootstrap", broker.address(), "--prefix", &run.prefix]);
        command.args(["--seed", &run.seed.to_string(), "--records", &record_count().to_string()]);
        command.args(["--mode", mode, "--writer", writer]);
        let _turn = Turn::take();
        println!("{} {mode}: {command:?}", self.name);
        let (said, failed) = output_of(&mut command);
        println!("{said}");
        assert!(!failed, "{} in mode {mode} failed:\n{said}", self.name);
        said
    }
}

/// Runs a command to its end: everything it printed, and whether it failed. One that hangs is asked where it stands, which
/// Java, Go and Python tell, and ended.
pub fn output_of(command: &mut Command) -> (String, bool) {
    let _busy = harness::busy();
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = started.unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let pid = child.id().to_string();
    let (ended, wait) = mpsc::channel::<()>();
    let watcher = thread::spawn(move || {
        for (limit, signal) in [(PROGRAM_TIME_MAX, "-QUIT"), (LAST_WORDS_TIME_MAX, "-KILL")] {
            if wait.recv_timeout(limit) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            Command::new("kill").args([signal, &pid]).status().expect("kill(1) is there");
        }
    });
    let output = child.wait_with_output().expect("it was started");
    drop(ended);
    watcher.join().expect("does not panic");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (said, !output.status.success())
}

/// The number behind `"field":` in a program's JSON line.
fn reported(report: &str, field: &str) -> u64 {
    let (_, rest) = report
        .split_once(&format!("\"{field}\":"))
        .unwrap_or_else(|| panic!("no field {field:?} in the report {report:?}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|error| panic!("field {field:?} in {report:?}: {error}"))
}

/// Lets `PROGRAM_COUNT_MAX` programs run at a time.
struct Turn;

static RUNNING: Mutex<u32> = Mutex::new(0);
static FINISHED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Turn {
        let running = RUNNING.lock().expect("no holder panics");
        let mut running =
            FINISHED.wait_while(running, |count| *count >= PROGRAM_COUNT_MAX).expect("no holder panics");
        *running += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().expect("no holder panics") -= 1;
        FINISHED.notify_one();
    }
}

/// Names and seed of one round trip; distinct even on an outside broker that other runs have used before.
struct Run {
    prefix: String,
    seed: u32,
}

impl Run {
    fn new(program: Program) -> Run {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        Run {
            prefix: format!("{}-{pid}-{count}", program.name),
            seed: 1000 + 100 * count + pid % 1000 * 10_000,
        }
    }

    fn topic(&self, codec: Codec) -> String {
        format!("{}-{codec}", self.prefix)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topics {}-*, seed {}", self.prefix, self.seed)
    }
}

/// `writer` writes and reads; `reader` reads the same; then the stored batches are looked at.
fn check_client(writer: Program, reader: Program) {
    let broker = Broker::start(&format!("client-{}", writer.name));
    let run = round_trip(&broker, writer, reader);
    for codec in Codec::ALL {
        check_stored(&broker, &run.topic(codec), codec);
    }
}

/// `writer` writes and reads; `reader` reads the same.
fn round_trip(broker: &Broker, writer: Program, reader: Program) -> Run {
    let run = Run::new(writer);
    println!("{run}");
    let written = Codec::ALL.len() as u64 * record_count();

    let report = writer.run(broker, &run, "roundtrip", writer.profile);
    assert_eq!(reported(&report, "produced"), written);
    assert_eq!(reported(&report, "earliest"), written, "read and compared from the earliest offset");
    assert!(reported(&report, "offset") >= written / 2, "read and compared from an offset");
    assert!(reported(&report, "timestamp") >= written / 4, "read and compared from a timestamp");

    let report = reader.run(broker, &run, "read", writer.profile);
    assert_eq!(reported(&report, "earliest"), written, "read and compared by {}", reader.name);
    run
}

/// Everything a client was told to compress is stored so. Clients may leave a batch alone that would not
/// become smaller (librdkafka does so with the small batches at the end of a run), never choose another
/// codec.
fn check_stored(broker: &Broker, topic: &str, codec: Codec) {
    let batches = fetched::batches(broker.address(), topic);
    let total: u64 = batches.iter().map(|batch| batch.record_count).sum();
    let written = record_count();
    assert_eq!(total, written, "records in the batches of {topic}");
    let wrong = batches.iter().find(|batch| batch.codec != codec && batch.codec != Codec::None);
    assert!(wrong.is_none(), "{topic} holds {wrong:?}");
    let as_told: u64 =
        batches.iter().filter(|batch| batch.codec == codec).map(|batch| batch.record_count).sum();
    assert!(
        as_told * 100 >= written * 95,
        "only {as_told} of {written} records of {topic} are stored with {codec}"
    );
}

#[test]
fn kcat_round_trip() {
    check_client(KCAT, FRANZ);
}

#[test]
fn confluent_kafka_round_trip() {
    check_client(CONFLUENT, SARAMA);
}

#[test]
fn kafka_python_round_trip() {
    check_client(KAFKA_PYTHON, JAVA);
}

#[test]
fn aiokafka_round_trip() {
    check_client(AIOKAFKA, KCAT);
}

#[test]
fn kafkajs_round_trip() {
    check_client(KAFKAJS, FRANZ);
}

#[test]
fn franz_go_round_trip() {
    check_client(FRANZ, AIOKAFKA);
}

#[test]
fn sarama_round_trip() {
    check_client(SARAMA, CONFLUENT);
}

#[test]
fn java_round_trip() {
    check_client(JAVA, KAFKAJS);
}

/// The broker compresses anew what does not come as zstd: both clients see no difference.
#[test]
fn confluent_kafka_round_trip_through_recompression() {
    if !cli::is_ours() {
        return;
    }
    let mut broker = Broker::start_with("client-recompressed", &["--set", "compression.type=zstd"]);
    let run = round_trip(&broker, CONFLUENT, JAVA);
    assert!(broker.stop().success());
    for codec in Codec::ALL {
        let topic = run.topic(codec);
        let batches = cli::inspected(&broker, &topic);
        assert!(batches.iter().all(|(compression, _)| compression == "zstd"), "{topic}: {batches:?}");
        let total: u64 = batches.iter().map(|(_, records)| records).sum();
        assert_eq!(total, record_count(), "records in the batches of {topic}");
    }
}
