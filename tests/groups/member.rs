//! Member processes: the programs in `tests/clients/` that join a group, one process per member, so that each can be
//! killed. What they print is entered into a `Watch`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;

use crate::clients::{self, installed, tests_dir};
use crate::groups::watch::Watch;

/// How a program is started.
#[derive(Clone, Copy)]
pub enum Program {
    /// A file of `clients/python`.
    Python(&'static str),
    /// A Go program.
    Built(&'static str),
    /// kafkajs.
    Node,
    /// The Java client.
    Java,
}

/// One client with one way to take part in groups.
#[derive(Clone, Copy)]
pub struct Client {
    /// For messages and names of topics.
    pub name: &'static str,
    /// Its program.
    pub program: Program,
    /// classic, cooperative or consumer.
    pub protocol: &'static str,
}

impl Client {
    fn command(self) -> Command {
        let directory = tests_dir().join("clients");
        match self.program {
            Program::Python(file) => {
                let mut command = Command::new(installed("python/bin/python"));
                command.arg("-B").arg(directory.join("python").join(file));
                command
            }
            Program::Built(name) => {
                let mut command = Command::new(installed("bin").join(name));
                command.arg("group");
                command
            }
            Program::Node => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", installed("kafkajs/node_modules"));
                command.arg(directory.join("kafkajs/member.js"));
                command
            }
            Program::Java => {
                let mut command = clients::java();
                // Members are many and short: none needs the second compiler.
                command.args(["-XX:TieredStopAtLevel=1", "-Xmx128m", "Member"]);
                command
            }
        }
    }
}

/// Where a member joins and how it behaves.
#[derive(Clone, Debug)]
pub struct Place {
    /// `HOST:PORT`.
    pub bootstrap: String,
    /// The topic it subscribes to.
    pub topic: String,
    /// Its group.
    pub group: String,
    /// Commit before or after processing.
    pub commit: &'static str,
    /// The session's length, for clients that choose it.
    pub session_ms: u32,
    /// Where members' standard error goes.
    pub dir: PathBuf,
}

/// One running member. Dropped: killed.
pub struct Member {
    /// Its name in the watch.
    pub name: String,
    child: Child,
    /// Closing it asks the member to leave.
    stdin: Option<ChildStdin>,
    watch: Arc<Watch>,
    log: PathBuf,
}

impl Member {
    /// Starts a member; it joins in its own time. `instance` is a static member's id, or empty.
    pub fn start(client: Client, place: &Place, watch: &Arc<Watch>, name: &str, instance: &str) -> Member {
        let mut command = client.command();
        command.args(["--bootstrap", &place.bootstrap, "--topic", &place.topic, "--group", &place.group]);
        command.args(["--member", name, "--protocol", client.protocol, "--commit", place.commit]);
        command.args(["--session-ms", &place.session_ms.to_string()]);
        if !instance.is_empty() {
            command.args(["--instance", instance]);
        }
        let log = place.dir.join(format!("{}-{name}.log", place.group));
        let errors =
            File::options().create(true).append(true).open(&log).expect("a file in the test's directory");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        println!("{name}: {command:?}");
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let (entered, own) = (Arc::clone(watch), name.to_owned());
        watch.enter(name, r#"{"event":"assigned","partitions":[]}"#);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                entered.enter(&own, &line);
            }
            entered.ended(&own);
        });
        let stdin = child.stdin.take();
        Member { name: name.to_owned(), child, stdin, watch: Arc::clone(watch), log }
    }

    /// Asks it to leave and waits until it has. Panics: if it does not end well.
    pub fn leave(mut self) {
        self.stdin = None;
        let name = self.name.clone();
        self.watch.wait(&format!("{name} leaves"), |state| state.members[&name].ended);
        let status = self.child.wait().expect("a child can be waited for");
        let closed = self.watch.look(|state| state.members[&name].closed);
        assert!(status.success() && closed, "{name} ended with {status}, closed: {closed}");
    }

    /// `kill -9`, and waits until all it said is entered.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(20).collect();
            eprintln!(
                "{} said at last:\n{}",
                self.name,
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}
