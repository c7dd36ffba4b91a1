//! The brokers that are compared: how each is started on an empty directory, pinned, found ready and stopped.
//!
//! | name          | what it is                                                                            |
//! |---------------|---------------------------------------------------------------------------------------|
//! | `corelane`    | the built broker, its defaults: acknowledged means synced                              |
//! | `kafka`       | Apache Kafka in KRaft mode, its defaults: acknowledged means in the page cache          |
//! | `kafka-fsync` | the same with `log.flush.interval.messages=1`, the default of every topic's `flush.messages` |
//! | `null`        | the ceiling: this program's `null-broker`, which writes what it receives and answers    |
//! | NAME=HOST:PORT | any other that is running already; not started, not stopped, not pinned               |
//!
//! Kafka's defaults are those of its code. Added is only what one broker alone needs: roles, listeners, one replica for
//! internal topics. Its JVM gets what Kafka's own start script gives it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::load::pin_to;
use crate::patience::{ask_until_answered, ended_within};
use crate::run::Target;

/// A JVM on one busy core takes its time.
const READY_DEADLINE: Duration = Duration::from_secs(180);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// What Kafka's start script gives its JVM.
const JVM: [&str; 8] = [
    "-Xms1g",
    "-Xmx1g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];

/// Which broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The built broker.
    Corelane,
    /// Apache Kafka; whether it syncs before it acknowledges.
    Kafka {
        /// See the module.
        fsync: bool,
    },
    /// The ceiling.
    Null,
    /// One that runs already.
    Running {
        /// `HOST:PORT`.
        bootstrap: String,
    },
}

/// A broker and what it is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contender {
    /// In tables and results.
    pub label: String,
    /// Which.
    pub kind: Kind,
}

impl FromStr for Contender {
    type Err = String;

    fn from_str(text: &str) -> Result<Contender, String> {
        let kind = match text.split_once('=') {
            Some((_, bootstrap)) if bootstrap.contains(':') => {
                Kind::Running { bootstrap: bootstrap.to_owned() }
            }
            Some(_) => return Err("expected NAME=HOST:PORT".to_owned()),
            None => match text {
                "corelane" => Kind::Corelane,
                "kafka" => Kind::Kafka { fsync: false },
                "kafka-fsync" => Kind::Kafka { fsync: true },
                "null" => Kind::Null,
                _ => return Err("expected corelane, kafka, kafka-fsync, null or NAME=HOST:PORT".to_owned()),
            },
        };
        Ok(Contender { label: text.split('=').next().unwrap_or(text).to_owned(), kind })
    }
}

/// Where everything is, and which cores brokers get.
#[derive(Clone, Debug)]
pub struct Place {
    /// Corelane's binary.
    pub corelane: PathBuf,
    /// More arguments for `corelane serve`.
    pub corelane_args: Vec<String>,
    /// The folder with Kafka's jars.
    pub kafka_jars: PathBuf,
    /// More settings for Kafka, `KEY=VALUE`.
    pub kafka_settings: Vec<String>,
    /// Where data directories are made: the disk that is measured.
    pub dir: PathBuf,
    /// Cores of the broker; empty: all.
    pub cpus: Vec<usize>,
}

/// A started broker. Dropped: killed.
pub struct Running {
    child: Option<Child>,
    data: Option<PathBuf>,
    /// How the load finds it.
    pub target: Target,
}

impl Running {
    /// Starts a contender on an empty directory and waits until it serves.
    ///
    /// Errors: it cannot be started, or is not ready in time; where its log lies is said.
    pub fn start(contender: &Contender, place: &Place) -> io::Result<Running> {
        let label = contender.label.as_str();
        if let Kind::Running { bootstrap } = &contender.kind {
            let about = json!({ "bootstrap": bootstrap });
            return Ok(Running {
                child: None,
                data: None,
                target: target(label, bootstrap.clone(), None, about),
            });
        }
        fs::create_dir_all(&place.dir)?;
        let data = place.dir.canonicalize()?.join(format!("{label}-{}", std::process::id()));
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let started = match contender.kind {
            Kind::Kafka { fsync } => start_kafka(label, fsync, place, &data),
            _ => start_by_line(label, &contender.kind, place, &data),
        };
        let (child, mut target) = started?;
        target.bare_answers = contender.kind == Kind::Null;
        Ok(Running { child: Some(child), data: Some(data), target })
    }

    /// Ends it in order, and removes its data. Errors: it did not end in time, or badly.
    pub fn stop(mut self) -> io::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        kill_process(Pid::from_child(child), Signal::TERM)?;
        match ended_within(child, STOP_DEADLINE)? {
            Some(_) => Ok(()),
            None => Err(io::Error::other(format!("{} did not end after SIGTERM", self.target.label))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Ends without error if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(data) = &self.data {
            let _ = fs::remove_dir_all(data);
        }
    }
}

fn target(label: &str, bootstrap: String, pid: Option<u32>, about: Value) -> Target {
    Target { label: label.to_owned(), bootstrap, pid, about, bare_answers: false }
}

/// Starts a command on the brokers' cores: a child inherits them from the thread that starts it.
fn spawn(command: &mut Command, cpus: &[usize]) -> io::Result<Child> {
    thread::scope(|scope| {
        let spawned = scope.spawn(|| {
            if !cpus.is_empty() {
                pin_to(cpus)?;
            }
            command.spawn()
        });
        spawned.join().map_err(|_| io::Error::other("a thread panicked"))?
    })
}

/// Corelane and the null broker say `listening on HOST:PORT` when they are ready.
fn start_by_line(label: &str, kind: &Kind, place: &Place, data: &Path) -> io::Result<(Child, Target)> {
    let shards =
        if place.cpus.is_empty() { thread::available_parallelism()?.get() } else { place.cpus.len() };
    let program = if *kind == Kind::Null { std::env::current_exe()? } else { place.corelane.clone() };
    let mut command = Command::new(&program);
    if *kind == Kind::Null {
        command.args(["null-broker", "--listen", "127.0.0.1:0", "--dir"]).arg(data);
    } else {
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command
            .arg("--shards")
            .arg(shards.to_string())
            .arg("--data-dir")
            .arg(data)
            .args(&place.corelane_args);
    }
    let about = json!({ "command": said(&command), "cpus": place.cpus, "version": version_of(&program) });
    let log = place.dir.join(format!("{label}.log"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
    let mut child = spawn(&mut command, &place.cpus)
        .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
    let mut lines = BufReader::new(child.stdout.take().expect("asked for as a pipe")).lines();
    let address = loop {
        match lines.next().transpose()? {
            Some(line) => match line.strip_prefix("listening on ") {
                Some(address) => break address.split_whitespace().next().unwrap_or_default().to_owned(),
                None => continue,
            },
            None => {
                let status = child.wait()?;
                let log = log.display();
                return Err(io::Error::other(format!(
                    "{label} ended before it was ready ({status}), see {log}"
                )));
            }
        }
    };
    // The rest of what it prints is read so that it never waits for us.
    thread::spawn(move || lines.for_each(drop));
    let pid = child.id();
    Ok((child, target(label, address, Some(pid), about)))
}

fn said(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    // The data directory is this run's alone.
    let args: Vec<_> = args.map(|arg| if arg.contains('/') { "...".into() } else { arg }).collect();
    format!("{program} {}", args.join(" "))
}

fn version_of(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn start_kafka(label: &str, fsync: bool, place: &Place, data: &Path) -> io::Result<(Child, Target)> {
    let version = kafka_version(&place.kafka_jars)?;
    let (port, controller_port) = (free_port()?, free_port()?);
    let bootstrap = format!("127.0.0.1:{port}");
    let mut settings = vec![
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.voters=1@127.0.0.1:{controller_port}"),
        format!("listeners=PLAINTEXT://{bootstrap},CONTROLLER://127.0.0.1:{controller_port}"),
        format!("advertised.listeners=PLAINTEXT://{bootstrap}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
        format!("log.dirs={}", data.join("logs").display()),
        "offsets.topic.replication.factor=1".to_owned(),
        "transaction.state.log.replication.factor=1".to_owned(),
        "transaction.state.log.min.isr=1".to_owned(),
    ];
    settings.extend(fsync.then(|| "log.flush.interval.messages=1".to_owned()));
    settings.extend(place.kafka_settings.iter().cloned());
    let properties = data.join("server.properties");
    fs::write(&properties, settings.join("\n"))?;
    let log = place.dir.join(format!("{label}.log"));
    let java = |main: &[&str]| -> io::Result<Command> {
        let mut command = Command::new("java");
        command.args(JVM).arg("-cp").arg(place.kafka_jars.join("*")).args(main).arg(&properties);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdout(file.try_clone()?).stderr(file);
        Ok(command)
    };
    // Any 16 bytes in base64 make a cluster id.
    let format = [
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        "MkU3OEVBNTcwNTJENDM2Qk",
        "--ignore-formatted",
        "--config",
    ];
    if !java(&format)?.status()?.success() {
        return Err(io::Error::other(format!(
            "{label}: its storage could not be formatted, see {}",
            log.display()
        )));
    }
    let mut child = spawn(&mut java(&["kafka.Kafka"])?, &place.cpus)?;
    let ready = ask_until_answered(READY_DEADLINE, || {
        if let Some(status) = child.try_wait()? {
            let log = log.display();
            return Err(io::Error::other(format!("{label} ended before it was ready ({status}), see {log}")));
        }
        // Ready is who can make a topic that has a leader, and give out a producer id.
        let cluster = Cluster::prepare(&bootstrap, "ready", 1, 1, &[]);
        Ok(cluster.and_then(|cluster| cluster.producer_id()).ok())
    })?;
    if ready.is_none() {
        let _ = child.kill();
        return Err(io::Error::other(format!("{label} was not ready in time, see {}", log.display())));
    }
    let about = json!({
        "version": format!("Apache Kafka {version}"),
        "java": java_version(),
        "jvm": JVM.join(" "),
        "cpus": place.cpus,
        "settings": settings.iter().filter(|line| !line.contains(['/', '@'])).collect::<Vec<_>>(),
    });
    let pid = child.id();
    Ok((child, target(label, bootstrap, Some(pid), about)))
}

fn java_version() -> Option<String> {
    let output = Command::new("java").arg("-version").output().ok()?;
    String::from_utf8_lossy(&output.stderr).lines().nth(1).map(str::to_owned)
}

/// The version in the name of a jar. Errors: there are no jars, and how to get them.
fn kafka_version(jars: &Path) -> io::Result<String> {
    let names = fs::read_dir(jars).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let version = |name: &std::ffi::OsString| {
        Some(name.to_str()?.strip_prefix("kafka-server-")?.strip_suffix(".jar")?.to_owned())
            .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    names.filter_map(|name| version(&name)).next().ok_or_else(|| {
        io::Error::other(format!(
            "no Kafka in {}: run tests/setup, or give --kafka-home the folder of an unpacked distribution",
            jars.display()
        ))
    })
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let kind = |text: &str| text.parse::<Contender>().map(|contender| contender.kind);
        assert_eq!(kind("corelane"), Ok(Kind::Corelane));
        assert_eq!(kind("kafka-fsync"), Ok(Kind::Kafka { fsync: true }));
        let other = "red=10.0.0.5:9092".parse::<Contender>().expect("a running one");
        assert_eq!(other.label, "red");
        assert_eq!(other.kind, Kind::Running { bootstrap: "10.0.0.5:9092".to_owned() });
        for bad in ["", "redpanda", "red=5"] {
            assert!(kind(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn missing_jars_are_explained() {
        let error = kafka_version(Path::new("no/such/folder")).expect_err("nothing there");
        assert!(error.to_string().contains("tests/setup"), "{error}");
    }
}
