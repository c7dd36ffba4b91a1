//! Counts another process's system calls, in all and by name, with `perf stat` while something happens.
//!
//! All calls are counted by one event, the usual ones by an event each; what those leave is `other`, so no call is lost by not
//! being in the list. Counters in the kernel, nothing is recorded: a call costs the process about 0.1 us more, so
//! figures of latency are never taken at the same time. Rejected: recording each call (`perf trace`, `perf record`) costs over 1 us
//! and loses some; a histogram in the kernel (`hist:keys=id`) costs least, but many kernels are built without.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::perf::Perf;

/// What counts every call.
const ALL: &str = "raw_syscalls:sys_enter";

/// Where the kernel tells which events it has.
const EVENTS: [&str; 2] =
    ["/sys/kernel/tracing/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls"];

/// What brokers call while they serve, as the kernel names it. Each costs a little at every change of threads, so not all 360.
const NAMES: &[&str] = &[
    "io_uring_enter",
    "epoll_wait",
    "epoll_pwait",
    "epoll_ctl",
    "poll",
    "ppoll",
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendfile64",
    "splice",
    "accept4",
    "futex",
    "sched_yield",
    "nanosleep",
    "clock_nanosleep",
    "timerfd_settime",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fallocate",
    "ftruncate",
    "openat",
    "close",
    "unlink",
    "unlinkat",
    "rename",
    "newfstatat",
    "statx",
    "mmap",
    "munmap",
    "mprotect",
    "madvise",
];

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calls {
    /// All calls.
    pub count: u64,
    /// Those of each name that was called, and `other`; the most frequent first. Together `count`.
    pub by_name: Vec<(String, u64)>,
}

impl Calls {
    /// Counts, and calls per thousand of `records`, in all and by name.
    pub fn to_json(&self, records: u64) -> Value {
        let per_thousand = |count: u64| (count as f64 / records.max(1) as f64 * 1e5).round() / 100.0;
        let row = |count: u64| json!({ "count": count, "per_thousand_records": per_thousand(count) });
        let by_name: Map<String, Value> =
            self.by_name.iter().map(|(name, count)| (name.clone(), row(*count))).collect();
        let mut all = row(self.count);
        all["by_name"] = Value::Object(by_name);
        all
    }
}

/// A running count.
pub struct Counting(Perf);

impl Counting {
    /// Begins to count the calls of all threads of a process. Errors: perf is absent or not allowed.
    pub fn start(pid: u32) -> io::Result<Counting> {
        let has =
            |name: &str| EVENTS.iter().any(|dir| Path::new(dir).join(format!("sys_enter_{name}")).exists());
        let named = NAMES.iter().filter(|name| has(name)).map(|name| format!("syscalls:sys_enter_{name}"));
        let events: Vec<String> = std::iter::once(ALL.to_owned()).chain(named).collect();
        Perf::count(pid, &events).map(Counting)
    }

    /// Ends the count. Errors: what perf said instead of a number.
    pub fn stop(self) -> io::Result<Calls> {
        let said = self.0.finish()?;
        parse(&said).ok_or_else(|| io::Error::other(format!("perf said: {said}")))
    }
}

/// Reads lines such as `29,,syscalls:sys_enter_read,981370,100.00,,`; a process that never ran has `<not counted>`.
fn parse(said: &str) -> Option<Calls> {
    let (mut count, mut by_name) = (None, Vec::new());
    for line in said.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let [number, _, event, ..] = fields[..] else { continue };
        let number = if number == "<not counted>" { 0 } else { number.parse::<u64>().ok()? };
        match event.strip_prefix("syscalls:sys_enter_") {
            _ if event == ALL => count = Some(number),
            Some(name) if number > 0 => by_name.push((name.to_owned(), number)),
            _ => {}
        }
    }
    let count = count?;
    let named: u64 = by_name.iter().map(|(_, number)| number).sum();
    if count > named {
        by_name.push(("other".to_owned(), count - named));
    }
    by_name.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    // Events are switched on one after the other: a call in between is counted by name only.
    Some(Calls { count: count.max(named), by_name })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Events disabled\nEvents enabled\n\
        100,,raw_syscalls:sys_enter,981370,100.00,,\n\
        30,,syscalls:sys_enter_read,981370,100.00,,\n\
        60,,syscalls:sys_enter_io_uring_enter,981370,100.00,,\n\
        <not counted>,,syscalls:sys_enter_write,0,100.00,,\n";

    #[test]
    fn counts_by_name_add_up_to_all() {
        let calls = parse(SAID).expect("counts");
        let row = |name: &str, count| (name.to_owned(), count);
        assert_eq!(calls.count, 100);
        assert_eq!(calls.by_name, [row("io_uring_enter", 60), row("read", 30), row("other", 10)]);
        let json = calls.to_json(2000);
        assert_eq!(json["per_thousand_records"], 50.0);
        assert_eq!(json["by_name"]["io_uring_enter"], json!({ "count": 60, "per_thousand_records": 30.0 }));
    }

    #[test]
    fn what_is_no_count_is_refused() {
        assert_eq!(parse("Error: No permission to enable the event"), None);
        assert_eq!(parse("<not supported>,,raw_syscalls:sys_enter,0,100.00,,"), None);
        let idle = parse("<not counted>,,raw_syscalls:sys_enter,0,100.00,,").expect("a process that slept");
        assert_eq!((idle.count, idle.by_name.len()), (0, 0));
    }
}
