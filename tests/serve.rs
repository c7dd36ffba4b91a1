//! `corelane serve` as an operator meets it: what it refuses and how it says so, what it prints, how it ends.
//!
//! Always starts brokers of its own, also when the other tests run against an oracle: nothing here is Kafka's.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::harness::{Broker, TestDir, binary};

/// Runs `corelane serve` with the words of `line` in `dir`, which is expected to refuse, and gives what it said.
#[track_caller]
fn refused(dir: &Path, line: &str, variables: &[(&str, &str)], code: i32) -> String {
    let mut command = Command::new(binary());
    command.arg("serve").args(line.split_whitespace()).current_dir(dir).envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("the binary can be started");
    let said = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(code), "{line}: {said}");
    assert_eq!(String::from_utf8_lossy(&stdout), "", "{line}: nothing is announced");
    said
}

#[track_caller]
fn check_refusal(line: &str, variables: &[(&str, &str)], code: i32, expected: &[&str]) {
    let dir = TestDir::new("serve-refuses");
    let said = refused(dir.path(), line, variables, code);
    for part in expected {
        assert!(said.contains(part), "{line}: {said:?} lacks {part:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    check_refusal("--set log.retention.hour=3", &[], 2, &["log.retention.hours?", "command line"]);
    check_refusal("--set num.partitions=0", &[], 2, &["num.partitions", "at least 1", "command line"]);
    check_refusal("", &[("CORELANE_NUM_PARTITIONS", "many")], 2, &["num.partitions", "environment"]);
    check_refusal("", &[("CORELANE_NO_SUCH", "1")], 2, &["no.such", "environment"]);
    check_refusal("--config absent.toml", &[], 2, &["absent.toml"]);
    check_refusal("--shards 0", &[], 2, &["--shards"]);
    check_refusal("--data-dir /dev/shm/corelane-refused", &[], 1, &["tmpfs", "--data-dir"]);
    // What the last one made before it looked.
    let _ = fs::remove_dir_all("/dev/shm/corelane-refused");
}

#[test]
fn a_file_in_the_current_directory_is_read() {
    let dir = TestDir::new("serve-file");
    fs::write(dir.path().join("corelane.toml"), "listen = '127.0.0.1:0'\nnum.partitions = 0\n")
        .expect("room");
    let said = refused(dir.path(), "", &[], 2);
    assert!(said.contains("num.partitions") && said.contains("configuration file"), "{said}");
    // What is stronger mends it, and the next obstacle is another one.
    fs::write(dir.path().join("corelane.toml"), "num.partitions = 0\nlisten = '192.0.2.1:1'\n")
        .expect("room");
    let said = refused(dir.path(), "--data-dir data", &[("CORELANE_NUM_PARTITIONS", "2")], 1);
    assert!(said.contains("192.0.2.1") && said.contains("--listen"), "{said}");
}

#[test]
fn what_another_broker_uses_is_refused() {
    if std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some() {
        println!("skipped: it needs a broker of its own");
        return;
    }
    let broker = Broker::start("serve-taken");
    let taken = broker.data_dir().display().to_string();
    let said = refused(broker.dir(), &format!("--listen 127.0.0.1:0 --data-dir {taken}"), &[], 1);
    assert!(said.contains(&format!("process {}", broker.pid())), "{said}");
    let said = refused(broker.dir(), &format!("--listen {} --data-dir other", broker.address()), &[], 1);
    assert!(said.contains("in use by another process") && said.contains("--listen"), "{said}");
    let http = http_address(&broker, 1);
    let line = format!("--listen 127.0.0.1:0 --http {http} --data-dir other");
    let said = refused(broker.dir(), &line, &[], 1);
    assert!(said.contains(&http) && said.contains("--http"), "{said}");
}

#[test]
fn it_says_how_it_is_and_ends_in_order() {
    if std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some() {
        println!("skipped: it needs a broker of its own");
        return;
    }
    // More shards than this machine has cores.
    let mut broker = Broker::start_with("serve-ends", &["--shards", "5"]);
    for starts in 1..=2 {
        let http = http_address(&broker, starts);
        assert!(get(&http, "/healthz").contains("\r\n\r\nok"));
        assert!(get(&http, "/readyz").starts_with("HTTP/1.1 200"));
        let metrics = get(&http, "/metrics");
        for part in ["corelane_ready 1\n", "corelane_shards 5\n", "corelane_connections{shard=\"4\"} 0\n"] {
            assert!(metrics.contains(part), "{part:?} is missing in\n{metrics}");
        }
        let log = broker.log_tail();
        assert!(log.contains("shards   5") && log.contains("kcat -b"), "{log}");
        assert_eq!(broker.stop().code(), Some(0));
        assert!(broker.log_tail().contains("stopped cleanly"), "{}", broker.log_tail());
        broker.launch();
    }
}

/// Where the broker said that its metrics are, at its `starts`th start. Waits for the end of what it prints: the
/// harness copies it into the log line by line.
fn http_address(broker: &Broker, starts: usize) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    let mut log = broker.log_tail();
    while log.matches(" -C -e").count() < starts {
        assert!(Instant::now() < end, "the greeting does not come: {log}");
        std::thread::yield_now();
        log = broker.log_tail();
    }
    let line = log.lines().rev().find_map(|line| line.split_once("http://")).expect("it says where");
    line.1.split('/').next().expect("split gives one part at least").to_string()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the admin thread listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    answer
}
