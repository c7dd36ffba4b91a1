//! `perf` beside another process: known to be attached before anything is measured, ended in order.
//!
//! perf begins with its events switched off (`-D -1`), is told through its standard input to switch them on and answers
//! on its standard output when they are (`--control`, since perf 5.10). So nobody has to guess how long attaching takes.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// How often a profile looks: often enough for a thousand samples a second of CPU time, and not in step with a clock's tick.
const SAMPLES_PER_SECOND: &str = "997";

/// A perf that watches a process. Dropped: killed.
pub struct Perf {
    child: Child,
    /// Kept open: perf ends its control when this end is closed.
    control: ChildStdin,
}

impl Perf {
    /// Attaches `perf stat` to all threads of a process; `events` are counted from now on.
    ///
    /// Errors: perf is absent, too old or not allowed; what it said.
    pub fn count(pid: u32, events: &[String]) -> io::Result<Perf> {
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", &events.join(",")]);
        Perf::start(command, pid)
    }

    /// Attaches `perf record` to all threads of a process; samples of where its CPU time goes, with call chains by frame
    /// pointers, are written to `file` from now on. Errors: as `count` says.
    pub fn record(pid: u32, file: &Path) -> io::Result<Perf> {
        let mut command = Command::new("perf");
        command.args(["record", "-e", "cpu-clock", "-F", SAMPLES_PER_SECOND, "--call-graph", "fp", "-o"]);
        command.arg(file);
        Perf::start(command, pid)
    }

    fn start(mut command: Command, pid: u32) -> io::Result<Perf> {
        command.args(["-D", "-1", "--control", "fd:0,1", "-p", &pid.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let how = "Debian: apt-get install linux-perf, Ubuntu: apt-get install linux-tools-generic";
                io::Error::other(format!("perf is not installed ({how})"))
            }
            _ => error,
        })?;
        let control = child.stdin.take().expect("asked for as a pipe");
        let mut answers = child.stdout.take().expect("asked for as a pipe");
        let mut perf = Perf { child, control };
        // A perf that has ended already says why below.
        let asked = perf.control.write_all(b"enable\n");
        let mut answer = [0; 4];
        match asked.and_then(|()| answers.read_exact(&mut answer)) {
            Ok(()) if answer == *b"ack\n" => Ok(perf),
            _ => Err(perf.refusal()),
        }
    }

    /// Ends it; what it printed on its standard error, where `perf stat` prints its counts. Errors: it cannot be told to.
    pub fn finish(mut self) -> io::Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        self.said()
    }

    fn said(&mut self) -> io::Result<String> {
        let mut said = Vec::new();
        self.child.stderr.take().expect("asked for as a pipe").read_to_end(&mut said)?;
        self.child.wait()?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn refusal(&mut self) -> io::Error {
        // Ends without error if it has ended already.
        let _ = self.child.kill();
        match self.said() {
            Ok(said) => io::Error::other(format!("perf cannot watch the broker, it said: {said}")),
            Err(error) => error,
        }
    }
}

impl Drop for Perf {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
