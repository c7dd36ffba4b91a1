//! Long-running programs that tests run beside a broker (Kafka Streams, Kafka Connect, Burrow), and what it takes to talk to
//! them: their lines, a bare HTTP request, and a reader of whole topics. No client library.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use corelane_log::{batch, records};
use serde_json::Value;

use crate::fetched;
use crate::wire_client::{self, Connection};

/// How long a condition may take to come true on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long to wait before a condition is looked at again, unless the program says something earlier.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest batch of a topic that is read, in bytes.
const BATCH_BYTES_MAX: usize = 1 << 24;

/// A running program. Dropped: killed.
pub struct Companion {
    name: String,
    child: Child,
    /// Closing it asks some programs to end.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Companion {
    /// Starts a program; all it says is in `<name>.log` in `dir`.
    pub fn start(name: &str, dir: &Path, command: &mut Command) -> Companion {
        let log = dir.join(format!("{name}.log"));
        let mut file =
            File::options().create(true).append(true).open(&log).expect("a file in the test's directory");
        let errors = file.try_clone().expect("a file can be shared");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        println!("{name}: {command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = writeln!(file, "{line}");
                let _ = sender.send(line);
            }
        });
        let stdin = child.stdin.take();
        Companion { name: name.to_owned(), child, stdin, lines, log }
    }

    /// Waits for a condition while the program runs. Panics: if it does not come true in time, or the program ends.
    pub fn wait(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        println!("waiting: {what}");
        let end = Instant::now() + DEADLINE;
        while !condition() {
            assert!(Instant::now() < end, "{}: not within {DEADLINE:?}: {what}", self.name);
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status} while waiting: {what}", self.name);
            }
            let _ = self.lines.recv_timeout(PAUSE);
        }
    }

    /// Closes its standard input, for programs that end then, and waits until it has ended.
    pub fn close(mut self) {
        self.stdin = None;
        self.reap();
    }

    /// Sends SIGTERM and waits until it has ended.
    pub fn terminate(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill(1) is there");
        assert!(sent.success(), "SIGTERM reached {}", self.name);
        self.reap();
    }

    fn reap(&mut self) {
        let end = Instant::now() + DEADLINE;
        while self.lines.recv_timeout(end.saturating_duration_since(Instant::now())).is_ok() {}
        assert!(Instant::now() < end, "{} did not end within {DEADLINE:?}", self.name);
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(40).collect();
            eprintln!(
                "{} said at last:\n{}",
                self.name,
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

/// One HTTP request with a JSON body, or none: the status and the JSON of the answer. Errors: nobody answers yet.
pub fn http(address: &str, method: &str, path: &str, body: &str) -> Result<(u16, Value), String> {
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(|error| error.to_string())?;
    // HTTP 1.0, so that the answer ends with the connection.
    let head = format!("{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let json = serde_json::from_str(body).unwrap_or(Value::Null);
    Ok((status.ok_or_else(|| format!("no status: {head:?}"))?, json))
}

/// Reads a topic's records as they come, as text.
pub struct TopicReader {
    topic: String,
    /// The offset to read next, by partition.
    next: Vec<i64>,
}

impl TopicReader {
    /// From the beginning.
    pub fn new(topic: &str, partitions: usize) -> TopicReader {
        TopicReader { topic: topic.to_owned(), next: vec![0; partitions] }
    }

    /// Keys and values of what has been written since the last call.
    pub fn poll(&mut self, address: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let ends = fetched::ends(address, &self.topic);
        let mut connection = Connection::open(address);
        for (partition, next) in (0..).zip(&mut self.next) {
            while ends.get(partition as usize).is_some_and(|end| *next < *end) {
                let bytes = wire_client::fetch(&mut connection, 11, &self.topic, partition, *next, 0)
                    .expect("what is stored can be read");
                let before = *next;
                read_batches(&bytes, next, &mut found);
                assert!(*next > before, "{} {partition}: nothing at {before}", self.topic);
            }
        }
        found
    }
}

fn read_batches(bytes: &[u8], next: &mut i64, found: &mut Vec<(String, String)>) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let mut at = 0;
    while let Ok(Some(header)) = batch::check_stored(&bytes[at..]) {
        let (header_again, payload) = records::payload(&bytes[at..], BATCH_BYTES_MAX).expect("a whole batch");
        for record in records::iter(&header_again, &payload) {
            let record = record.expect("a whole record");
            if record.offset.0 >= *next {
                found.push((text(record.key), text(record.value)));
            }
        }
        *next = (*next).max(header.last_offset().0 + 1);
        at += header.size_bytes();
    }
}
