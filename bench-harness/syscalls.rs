//! Counts another process's system calls with `perf stat`, while something happens.
//!
//! Counting costs the process a little on every call, so figures of latency are never taken at the same time.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running count.
pub struct Counting(Child);

impl Counting {
    /// Begins to count the calls of all threads of a process. Errors: perf is absent or not allowed.
    pub fn start(pid: u32) -> io::Result<Counting> {
        let perf = Command::new("perf")
            .args(["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // perf has no sign of being attached; what it misses in its first moments is a fraction of a per cent.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Counting(perf))
    }

    /// Ends the count. Errors: what perf said instead of a number.
    pub fn stop(self) -> io::Result<u64> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        let said = self.0.wait_with_output()?.stderr;
        let said = String::from_utf8_lossy(&said);
        let count = said.lines().find_map(|line| line.split(',').next()?.trim().parse().ok());
        count.ok_or_else(|| io::Error::other(format!("perf said: {}", said.trim())))
    }
}
