//! The broker under measurement: started, looked at, stopped.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Common;
use crate::patience::ended_within;

/// A running broker. Dropped: killed.
pub struct Broker {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// From exec to the line that says so.
    pub ready: Duration,
}

impl Broker {
    /// Starts the broker on `data` and waits until it listens.
    pub fn start(common: &Common, data: &Path) -> io::Result<Broker> {
        let shards = common.shards.to_string();
        let began = Instant::now();
        let mut child = Command::new(&common.broker)
            .args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--shards", &shards])
            .arg("--data-dir")
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", common.broker.display())))?;
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut address = None;
        while address.is_none() {
            let Some(line) = lines.next().transpose()? else {
                return Err(io::Error::other("the broker ended before it was ready"));
            };
            address = line.strip_prefix("listening on ").map(str::to_owned);
        }
        let ready = began.elapsed();
        // The rest of what it prints is read so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Broker { child, address: address.expect("the loop ended"), ready })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system CPU time so far.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // The name in parentheses may hold anything; fields 14 and 15 are counted from behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64((ticks(11) + ticks(12)) as f64 / per_second as f64))
    }

    /// Lets so much time pass. Errors: the broker ended meanwhile.
    pub fn outlives(&mut self, time: Duration) -> io::Result<()> {
        match ended_within(&mut self.child, time)? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("the broker ended with {status}"))),
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the broker ended with {status}")))
        }
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Ends without error if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fresh, empty directory below the measurement's.
pub fn fresh(common: &Common, name: &str) -> io::Result<PathBuf> {
    let dir = common.dir.join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}
