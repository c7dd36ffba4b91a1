//! The admin thread: HTTP for probes and metrics, the stall watchdog, and the signals that end the broker.
//!
//! One ordinary thread with a tokio executor, off the data path. It reads what shards publish and waits for no shard.
//! Figures are only what was counted or measured; nothing is estimated.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use corelane_base::time::Mono;
use hdrhistogram::Histogram;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::rt::port::{Clock, Figures, News, Port};

/// How often each shard is pinged.
const PING_EVERY: Duration = Duration::from_millis(10);
/// When to send another ping while one is not answered.
const PING_REPEAT_MS: u64 = 1_000;
/// Signals within this time of the first are the same wish: some senders reach a process twice.
const SIGNAL_ECHO: Duration = Duration::from_millis(500);
/// Upper bounds of the stall histogram's buckets as exported, in microseconds.
const STALL_BUCKETS_US: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];
/// Stalls are measured from 1 us to 100 s with three significant digits.
const STALL_US_MAX: u64 = 100_000_000;

/// Where the broker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Shards open their logs.
    Starting = 0,
    /// Clients are served.
    Ready = 1,
    /// The end was asked for.
    Draining = 2,
}

/// One shard's answers to pings.
struct Watch {
    /// When the ping that is not answered yet was sent.
    sent: Option<Mono>,
    /// When it was last repeated.
    repeated: Mono,
    /// Time from a ping to the shard's seeing it, in microseconds.
    stalls: Histogram<u64>,
    stall_us_sum: u64,
}

/// What the admin thread knows.
pub struct Admin {
    clock: Clock,
    ports: Vec<Arc<Port>>,
    phase: AtomicU8,
    watches: Mutex<Vec<Watch>>,
}

impl Admin {
    /// An admin for these shards, in phase `Starting`.
    #[must_use]
    pub fn new(clock: Clock, ports: Vec<Arc<Port>>) -> Arc<Admin> {
        let watch = |_| Watch {
            sent: None,
            repeated: Mono(0),
            stalls: Histogram::new_with_bounds(1, STALL_US_MAX, 3)
                .expect("the bounds are constants that fit"),
            stall_us_sum: 0,
        };
        let watches = Mutex::new(ports.iter().map(watch).collect());
        Arc::new(Admin { clock, ports, phase: AtomicU8::new(Phase::Starting as u8), watches })
    }

    /// Tells where the broker stands now.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Acquire) == phase as u8
    }

    /// Starts the thread. It serves `socket`, pings the shards and passes the first signal to `news`; the second ends
    /// the process at once. Errors: the system gives no thread.
    pub fn run(self: &Arc<Admin>, socket: TcpListener, news: SyncSender<News>) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let this = Arc::clone(self);
        // Signals are caught from here on, before anybody is told that the broker runs.
        let signals = runtime.block_on(async { Signals::catch() })?;
        thread::Builder::new().name("corelane-admin".to_string()).spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(signals.wait(news));
                tokio::spawn(watch(Arc::clone(&this)));
                if let Err(e) = serve(this, socket).await {
                    tracing::error!(error = %e, "the http interface has ended");
                }
            });
        })?;
        Ok(())
    }

    /// One look at every shard: takes pongs in and pings again.
    fn tick(&self) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for (watch, port) in watches.iter_mut().zip(&self.ports) {
            let now = self.clock.mono();
            if let Some(sent) = watch.sent {
                let seen = port.pong();
                if seen < sent {
                    // A ping wakes whoever sleeps although there is work, but not whoever falls asleep behind it.
                    if now >= watch.repeated.plus_ms(PING_REPEAT_MS) {
                        watch.repeated = now;
                        port.ping();
                    }
                    continue;
                }
                let us = (seen.since(sent).as_micros() as u64).clamp(1, STALL_US_MAX);
                watch.stalls.saturating_record(us);
                watch.stall_us_sum += us;
            }
            (watch.sent, watch.repeated) = (Some(now), now);
            port.ping();
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn catch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn wait(mut self, news: SyncSender<News>) {
        self.next().await;
        tracing::info!("stopping; a second signal ends the broker at once");
        // Fails if the queue is full of news of an end that is under way already.
        let _ = news.try_send(News::Stop);
        let first = Instant::now();
        self.next().await;
        while first.elapsed() < SIGNAL_ECHO {
            self.next().await;
        }
        tracing::warn!("ended by a second signal; the next start recovers the logs");
        process::exit(1);
    }
}

async fn watch(admin: Arc<Admin>) {
    let mut ticks = tokio::time::interval(PING_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        admin.tick();
    }
}

async fn serve(admin: Arc<Admin>, socket: TcpListener) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    axum::serve(tokio::net::TcpListener::from_std(socket)?, router).await
}

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if admin.is(Phase::Ready) {
        (StatusCode::OK, "ready\n")
    } else if admin.is(Phase::Draining) {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], exposition(&admin))
}

/// A metric of every shard: name, type, help, and its value.
type Row = (&'static str, &'static str, &'static str, fn(&Figures) -> u64);

const ROWS: &[Row] = &[
    ("corelane_connections", "gauge", "Client connections open.", |f| f.connections),
    ("corelane_connections_accepted_total", "counter", "Client connections accepted.", |f| f.ring.accepted),
    (
        "corelane_accepts_refused_total",
        "counter",
        "Times no descriptor or memory was left for a connection.",
        |f| f.ring.accept_refused,
    ),
    ("corelane_received_bytes_total", "counter", "Bytes received from clients.", |f| f.ring.bytes_in),
    ("corelane_sent_bytes_total", "counter", "Bytes sent to clients.", |f| f.ring.bytes_out),
    (
        "corelane_sendfile_bytes_total",
        "counter",
        "Bytes sent to clients straight from the page cache.",
        |f| f.ring.bytes_sendfile,
    ),
    (
        "corelane_receive_starved_total",
        "counter",
        "Times bytes arrived while no receive buffer was free.",
        |f| f.ring.recv_starved,
    ),
    ("corelane_disk_writes_total", "counter", "Direct writes completed.", |f| f.ring.disk_writes),
    ("corelane_disk_written_bytes_total", "counter", "Bytes of direct writes, padding included.", |f| {
        f.ring.disk_write_bytes
    }),
    ("corelane_disk_reads_total", "counter", "Direct reads completed.", |f| f.ring.disk_reads),
    ("corelane_disk_read_bytes_total", "counter", "Bytes of direct reads.", |f| f.ring.disk_read_bytes),
    ("corelane_history_resident_total", "counter", "History reads served from the page cache.", |f| {
        f.ring.history_resident
    }),
    ("corelane_history_missed_total", "counter", "History reads that went to the disk.", |f| {
        f.ring.history_missed
    }),
    ("corelane_file_operations_total", "counter", "File operations off the data path.", |f| f.cold_files),
    ("corelane_shard_events_total", "counter", "Events a shard took in.", |f| f.events),
    ("corelane_shard_turns_total", "counter", "Turns of a shard's loop with at least one event.", |f| {
        f.turns
    }),
    ("corelane_shard_parks_total", "counter", "Times a shard went to sleep.", |f| f.parks),
    ("corelane_shard_yields_total", "counter", "Times a busy shard gave way to background tasks.", |f| {
        f.yields
    }),
    ("corelane_ring_enters_total", "counter", "io_uring_enter system calls.", |f| f.ring.enters),
    ("corelane_ring_completions_total", "counter", "Completions taken from the ring.", |f| {
        f.ring.completions
    }),
    ("corelane_mesh_messages_total", "counter", "Messages to other shards.", |f| f.mesh_sent),
    ("corelane_mesh_overflowed_total", "counter", "Messages that found the other shard's queue full.", |f| {
        f.mesh_overflowed
    }),
    ("corelane_notices_lost_total", "counter", "Log lines dropped because nobody took them in time.", |f| {
        f.notices_lost
    }),
];

/// Everything in Prometheus's text format.
fn exposition(admin: &Admin) -> String {
    let figures: Vec<Figures> = admin.ports.iter().map(|port| port.figures()).collect();
    let mut out = String::with_capacity(16 * 1024);
    let text = &mut out;
    single(
        text,
        "corelane_ready",
        "gauge",
        "Whether clients are served.",
        f64::from(u8::from(admin.is(Phase::Ready))),
    );
    single(text, "corelane_shards", "gauge", "Shards of this broker.", figures.len() as f64);
    let uptime = admin.clock.mono().since(Mono(0)).as_secs_f64();
    single(text, "corelane_uptime_seconds", "gauge", "Time since the start.", uptime);
    process_figures(text);
    for (name, kind, help, value) in ROWS {
        head(text, name, kind, help);
        for (shard, figures) in figures.iter().enumerate() {
            line(text, format_args!("{name}{{shard=\"{shard}\"}} {}", value(figures)));
        }
    }
    head(text, "corelane_shard_turn_seconds_max", "gauge", "Longest turn since the start.");
    for (shard, figures) in figures.iter().enumerate() {
        let seconds = figures.turn_ns_max as f64 / 1e9;
        line(text, format_args!("corelane_shard_turn_seconds_max{{shard=\"{shard}\"}} {seconds}"));
    }
    stalls(text, admin);
    out
}

fn stalls(out: &mut String, admin: &Admin) {
    let watches = admin.watches.lock().unwrap_or_else(PoisonError::into_inner);
    let now = admin.clock.mono();
    let name = "corelane_shard_stall_seconds";
    head(out, name, "histogram", "Time from a ping, sent every 10 ms, to the shard's seeing it.");
    for (shard, watch) in watches.iter().enumerate() {
        for us in STALL_BUCKETS_US {
            let (le, count) = (*us as f64 / 1e6, watch.stalls.count_between(0, *us));
            line(out, format_args!("{name}_bucket{{shard=\"{shard}\",le=\"{le}\"}} {count}"));
        }
        let (count, sum) = (watch.stalls.len(), watch.stall_us_sum as f64 / 1e6);
        line(out, format_args!("{name}_bucket{{shard=\"{shard}\",le=\"+Inf\"}} {count}"));
        line(out, format_args!("{name}_sum{{shard=\"{shard}\"}} {sum}"));
        line(out, format_args!("{name}_count{{shard=\"{shard}\"}} {count}"));
    }
    let name = "corelane_shard_stall_quantile_seconds";
    head(out, name, "gauge", "Quantiles of the same since the start.");
    for (shard, watch) in watches.iter().enumerate().filter(|(_, watch)| !watch.stalls.is_empty()) {
        for quantile in [0.5, 0.99, 0.999, 1.0] {
            let seconds = watch.stalls.value_at_quantile(quantile) as f64 / 1e6;
            line(out, format_args!("{name}{{shard=\"{shard}\",quantile=\"{quantile}\"}} {seconds}"));
        }
    }
    let name = "corelane_shard_unanswered_seconds";
    head(out, name, "gauge", "Age of the ping a shard has not seen yet.");
    for (shard, watch) in watches.iter().enumerate() {
        let waiting = watch.sent.filter(|sent| admin.ports[shard].pong() < *sent);
        let seconds = waiting.map_or(0.0, |sent| now.since(sent).as_secs_f64());
        line(out, format_args!("{name}{{shard=\"{shard}\"}} {seconds}"));
    }
}

/// Memory, processor time and descriptors, under the names that every exporter uses; left out if the kernel hides them.
fn process_figures(out: &mut String) {
    let words = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let statm = words("/proc/self/statm");
    if let Some(pages) = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()) {
        let bytes = pages * rustix::param::page_size() as f64;
        single(out, "process_resident_memory_bytes", "gauge", "Resident memory.", bytes);
    }
    let stat = words("/proc/self/stat");
    // The command's name, which may hold anything, ends with the last parenthesis.
    let fields: Vec<&str> =
        stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (ticks(11), ticks(12)) {
        let seconds = (user + system) / rustix::param::clock_ticks_per_second() as f64;
        single(out, "process_cpu_seconds_total", "counter", "Processor time, user and system.", seconds);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        single(out, "process_open_fds", "gauge", "Open file descriptors.", open.count() as f64);
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn single(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    head(out, name, kind, help);
    line(out, format_args!("{name} {value}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::mpsc::{Receiver, sync_channel};

    use corelane_base::time::Now;
    use corelane_node::event::{Effects, Event, Lifecycle};

    use super::*;
    use crate::machine::Machine;
    use crate::rt::{Launch, Shards};

    /// Does nothing but end.
    struct Idle;

    impl Machine for Idle {
        fn start(&mut self, _now: Now, fx: &mut Effects) {
            fx.lifecycle.push(Lifecycle::Ready);
        }

        fn apply(&mut self, _now: Now, event: Event<'_>, fx: &mut Effects) {
            if matches!(event, Event::Shutdown) {
                fx.lifecycle.push(Lifecycle::Drained);
            }
        }

        fn end_turn(&mut self, _now: Now, _fx: &mut Effects) {}

        fn next_deadline(&self) -> Option<Mono> {
            None
        }
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("the admin thread listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers in text");
        answer
    }

    fn wait_for(news: &Receiver<News>, milestone: &Lifecycle, mut count: u16) {
        while count > 0 {
            match news.recv_timeout(Duration::from_secs(60)) {
                Ok(News::Shard(_, told)) if told == *milestone => count -= 1,
                other => panic!("{other:?} instead of {milestone:?}"),
            }
        }
    }

    #[test]
    fn health_readiness_and_metrics() {
        let (sender, news) = sync_channel(100);
        let launch = Launch {
            shards: 2,
            cores: Vec::new(),
            data_dir: std::env::temp_dir(),
            idle_spin: Duration::ZERO,
            news: sender.clone(),
        };
        let clock = Clock::start();
        let shards = Shards::launch(launch, clock, |_| Idle).expect("threads");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let admin = Admin::new(clock, shards.ports().to_vec());
        admin.run(socket, sender).expect("a thread");
        wait_for(&news, &Lifecycle::Ready, 2);
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 503"));
        admin.enter(Phase::Ready);
        assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/nothing").starts_with("HTTP/1.1 404"));

        // The watchdog wakes sleeping shards and measures how long that takes.
        let end = Instant::now() + Duration::from_secs(60);
        let pinged = |text: &str, shard: u16| {
            let name = format!("corelane_shard_stall_seconds_count{{shard=\"{shard}\"}} ");
            let line =
                text.lines().find_map(|line| line.strip_prefix(&name)).expect("every shard is watched");
            line.parse::<u64>().expect("a count") >= 5
        };
        let mut text = get(address, "/metrics");
        while !(pinged(&text, 0) && pinged(&text, 1)) {
            assert!(Instant::now() < end, "the shards are not pinged:\n{text}");
            text = get(address, "/metrics");
        }
        for line in ["corelane_ready 1", "corelane_shards 2", "corelane_connections{shard=\"1\"} 0"] {
            assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
        }
        let body = text.split("\r\n\r\n").nth(1).expect("a body");
        for line in body.lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
            assert!(value.is_some(), "{line:?} has no value");
        }
        shards.shut_down();
        wait_for(&news, &Lifecycle::Drained, 2);
        shards.stop().expect("no shard panicked");
    }
}
