//! Starts the built broker as users start it, and stops it again.
//!
//! It is no client: tests talk to `Broker::address` with real clients or with raw sockets. Nothing here waits
//! for a fixed time: the broker says on its standard output that it serves (`listening on HOST:PORT`), and
//! the harness reads that pipe with a deadline. Ports are chosen by the broker (`--listen 127.0.0.1:0`), so
//! tests run side by side. Which binary is started: `CORELANE_TEST_BIN` if set (`tests/run` sets it to the
//! release build, which is what users run), else the one Cargo built for this test run.
//!
//! The same client tests run against any other broker when `CORELANE_TEST_BOOTSTRAP=HOST:PORT` is set: then nothing
//! is started. With `CORELANE_TEST_ORACLE=1` every broker that a test starts is an Apache Kafka (`tests/kafka/run`),
//! which is told the same settings and can be killed and started again like ours.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a broker may take to say that it serves. Far above the promise (100 ms), because a loaded
/// two-core machine builds and tests at the same time; the promise itself is measured elsewhere.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The same for the oracle, which needs seconds on a machine that does nothing else.
const ORACLE_DEADLINE: Duration = Duration::from_secs(300);

/// How long a broker may take to drain after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Numbers the directories of one test process.
static DIRECTORY_COUNT: AtomicU32 = AtomicU32::new(0);

/// Ports for brokers that come back on the port they had. Below the range from which the kernel takes ports for outgoing
/// connections: while the broker is down no such connection can take its port, or even connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How far the search for a free port has come; begins at a place that depends on the process.
static PORT_COUNT: AtomicU16 = AtomicU16::new(0);

/// Who keeps the cores busy (readers) and who measures time (writers).
static MACHINE: RwLock<()> = RwLock::new(());

thread_local! {
    /// How many `Busy` this thread holds: it may ask again, and must not wait for a writer who waits for it.
    static BUSY_COUNT: Cell<u32> = const { Cell::new(0) };
}

/// Held while a test keeps the machine busy for long. Belongs to the thread that asked.
pub struct Busy(#[allow(dead_code, reason = "held, not looked at")] Option<RwLockReadGuard<'static, ()>>);

/// Waits until nobody measures time. May be asked for again by a thread that has it.
pub fn busy() -> Busy {
    let held = BUSY_COUNT.replace(BUSY_COUNT.get() + 1);
    // A test that failed while it held the lock left nothing half done behind it.
    Busy((held == 0).then(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner)))
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY_COUNT.set(BUSY_COUNT.get() - 1);
    }
}

/// Held by a test that measures time: busy tests wait meanwhile.
pub fn quiet() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// A directory of its own for one test, below Cargo's target directory (a real file system, not tmpfs: the
/// broker wants `O_DIRECT`). Removed at the end of a test that passed, kept after one that failed.
pub struct TestDir {
    path: PathBuf,
}

impl TestDir {
    /// Creates an empty directory whose name begins with `name`.
    pub fn new(name: &str) -> TestDir {
        let count = DIRECTORY_COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("creates a directory below target/tmp");
        TestDir { path }
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept for a look: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("could not remove {}: {error}", self.path.display());
        }
    }
}

/// One started process that said it listens.
///
/// Invariant: `child` is a process this value started and has not yet waited for, so its pid cannot be
/// anybody else's.
struct Process {
    child: Child,
    /// Lines of standard output after the ready line; the reading thread ends with the pipe.
    lines: Receiver<String>,
    address: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` and waits for its ready line. Standard output and error end up in `log`, which is
    /// appended to. Errors: the text says what happened and holds the end of the log.
    fn start(command: &mut Command, log: &Path, deadline: Duration) -> Result<Process, String> {
        let file = File::options().create(true).append(true).open(log).map_err(|e| format!("{e}"))?;
        let errors = file.try_clone().map_err(|e| format!("{e}"))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("cannot start {command:?}: {e}"))?;
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || copy_lines(stdout, file, &sender));
        let mut process = Process { child, lines, address: String::new(), log: log.to_path_buf() };
        match process.wait_ready(deadline) {
            Ok(address) => {
                process.address = address;
                Ok(process)
            }
            Err(why) => {
                process.kill();
                Err(format!("{why}; its log ends:\n{}", tail_of(log)))
            }
        }
    }

    /// Reads lines until one names the address. Other lines (the greeting) may come before it.
    fn wait_ready(&mut self, deadline: Duration) -> Result<String, String> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(address) = address_in(&line) {
                        return Ok(address);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Err(format!("not ready within {deadline:?}")),
                Err(RecvTimeoutError::Disconnected) => {
                    // The pipe is closed: the process ends, or will never speak again. A kill does not change
                    // the status of one that is ending.
                    let _ = self.child.kill();
                    let status = self.child.wait().map_err(|e| format!("{e}"))?;
                    return Err(format!("ended before it was ready: {status}"));
                }
            }
        }
    }

    /// Kills (SIGKILL) by the handle and reaps: after this nothing of the process runs any more.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Copies the process's standard output into its log and hands on each line. A full disk or a test that no
/// longer listens does not stop it: the pipe must be drained, or the process would block.
fn copy_lines(stdout: impl io::Read, mut log: File, sender: &mpsc::Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let _ = writeln!(log, "{line}");
        let _ = sender.send(line);
    }
}

/// The address in a line `... listening on HOST:PORT ...`, if it is one.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let address = rest.split_whitespace().next()?.trim_end_matches([',', '.', ';']);
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    (!host.is_empty() && port != 0).then(|| address.to_string())
}

/// The last part of a log file, for a failure's message.
fn tail_of(log: &Path) -> String {
    const TAIL_SIZE_MAX: usize = 8 * 1024;
    let bytes = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_SIZE_MAX)..]).into_owned()
}

/// A running broker with a data directory of its own, or the broker named by `CORELANE_TEST_BOOTSTRAP`.
///
/// Dropped: killed by its pid, never by name. Its log is shown when the test failed.
pub struct Broker {
    process: Option<Process>,
    address: String,
    options: Vec<String>,
    /// The port to listen on, if it is to be the same after a restart.
    port: Option<u16>,
    dir: TestDir,
}

impl Broker {
    /// Starts a broker on an empty data directory with defaults; panics with the broker's log if it cannot.
    pub fn start(name: &str) -> Broker {
        Broker::start_with(name, &[])
    }

    /// As `start`, with more command-line options (`--shards 1`, `--set KEY=VALUE`).
    pub fn start_with(name: &str, options: &[&str]) -> Broker {
        Broker::start_on(name, options, is_oracle().then(free_port))
    }

    /// As `start_with`, on a port that stays the same with every `launch`: clients that live through a restart find
    /// their broker again. Panics: if `CORELANE_TEST_BOOTSTRAP` is set.
    pub fn start_fixed(name: &str, options: &[&str]) -> Broker {
        let outside = std::env::var_os("CORELANE_TEST_BOOTSTRAP").is_some();
        assert!(!outside, "a broker from outside cannot be killed: use CORELANE_TEST_ORACLE=1");
        Broker::start_on(name, options, Some(free_port()))
    }

    fn start_on(name: &str, options: &[&str], port: Option<u16>) -> Broker {
        let dir = TestDir::new(name);
        let options = options.iter().map(ToString::to_string).collect();
        let mut broker = Broker { process: None, address: String::new(), options, port, dir };
        match std::env::var("CORELANE_TEST_BOOTSTRAP") {
            Ok(address) => broker.address = address,
            Err(_) => broker.launch(),
        }
        broker
    }

    /// `HOST:PORT` for clients. Changes with every `launch`, unless the port was fixed.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The data directory, which outlives the process.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The test's directory: data, logs, and room for what the test itself writes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The process id. Panics: if the broker is not running or is somebody else's.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a broker that this test started and did not stop").child.id()
    }

    /// Starts the broker on its data directory, which may hold data. Panics: if it runs, or does not become
    /// ready.
    pub fn launch(&mut self) {
        if let Err(why) = self.try_launch() {
            panic!("the broker did not start: {why}");
        }
    }

    /// As `launch`, for tests that expect a refusal. Errors: the end of the broker's log.
    pub fn try_launch(&mut self) -> Result<(), String> {
        assert!(self.process.is_none(), "the broker runs already");
        let mut command = if is_oracle() { self.oracle() } else { self.corelane() };
        command.current_dir(self.dir.path());
        let deadline = if is_oracle() { ORACLE_DEADLINE } else { READY_DEADLINE };
        let process = Process::start(&mut command, &self.log(), deadline)?;
        self.address.clone_from(&process.address);
        self.process = Some(process);
        Ok(())
    }

    fn corelane(&self) -> Command {
        let mut command = Command::new(binary());
        let listen = format!("127.0.0.1:{}", self.port.unwrap_or(0));
        command.args(["serve", "--listen", &listen, "--http", "127.0.0.1:0", "--data-dir"]);
        command.arg(self.data_dir()).args(&self.options);
        command
    }

    /// Apache Kafka with the same settings. Panics: if there are options that only ours has.
    fn oracle(&self) -> Command {
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/run"));
        let port = self.port.expect("the oracle's port is always chosen here");
        command.arg(port.to_string()).arg(self.data_dir());
        for pair in self.options.chunks(2) {
            assert_eq!(pair[0], "--set", "the oracle knows settings and nothing else");
            command.arg(&pair[1]);
        }
        command
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// SIGTERM, and waits for the clean end. Panics: if it does not come.
    pub fn stop(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("a running broker");
        let pid = process.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill(1) is there");
        assert!(sent.success(), "SIGTERM reached the broker");
        let end = Instant::now() + STOP_DEADLINE;
        // The pipe closes when the process ends; that, not a timer, is what is waited for.
        while let Ok(_line) = process.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {}
        match process.child.try_wait() {
            Ok(Some(status)) => status,
            _ if Instant::now() < end => process.child.wait().expect("the broker can be waited for"),
            _ => {
                process.kill();
                panic!("the broker did not stop within {STOP_DEADLINE:?}; its log ends:\n{}", self.log_tail())
            }
        }
    }

    /// The end of what the broker printed.
    pub fn log_tail(&self) -> String {
        tail_of(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the broker's log ends:\n{}", self.log_tail());
        }
    }
}

/// Whether the brokers are Apache Kafka's.
pub fn is_oracle() -> bool {
    std::env::var_os("CORELANE_TEST_ORACLE").is_some()
}

/// A port on which nobody listens, nor on the next one (the oracle's controller takes that).
pub fn free_port() -> u16 {
    let width = PORTS.end - PORTS.start;
    let begin = (std::process::id() % u32::from(width)) as u16;
    for _ in 0..width {
        let step = PORT_COUNT.fetch_add(2, Ordering::Relaxed);
        let port = PORTS.start + begin.wrapping_add(step) % (width - 1);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 1) {
            return port;
        }
    }
    panic!("no free port from {} to {}", PORTS.start, PORTS.end);
}

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("CORELANE_TEST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_corelane").into(), PathBuf::from)
}

/// A shell command that plays the broker, for the harness's own tests.
fn play(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn harness_reads_the_ready_line_among_others() {
    let dir = TestDir::new("harness-ready");
    let script = "echo hello; echo 'corelane listening on 127.0.0.1:4242, 2 shards'; exec tail -f /dev/null";
    let mut process = Process::start(&mut play(script), &dir.path().join("log"), READY_DEADLINE)
        .expect("it says it is ready");
    assert_eq!(process.address, "127.0.0.1:4242");
    assert_eq!(process.child.try_wait().expect("a child"), None, "it runs until it is killed");
    process.kill();
}

#[test]
fn harness_tells_how_a_broker_failed() {
    let dir = TestDir::new("harness-fails");
    let log = dir.path().join("log");
    let check = |script: &str, deadline: Duration, expected: &[&str]| {
        let why = Process::start(&mut play(script), &log, deadline).err().expect("it cannot become ready");
        for part in expected {
            assert!(why.contains(part), "{why:?} should contain {part:?}");
        }
    };
    check("echo no io_uring here >&2; exit 3", READY_DEADLINE, &["exit status: 3", "no io_uring here"]);
    check("echo listening on 127.0.0.1:0; exit 0", READY_DEADLINE, &["ended before it was ready"]);
    check("exec tail -f /dev/null", Duration::from_millis(50), &["not ready within 50ms"]);
}
