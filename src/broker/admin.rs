//! The admin thread: HTTP for probes and metrics, the watchdog's clock, and the signals that end the broker.
//!
//! One ordinary thread with a tokio executor, off the data path. A scrape asks every shard for a snapshot and waits a
//! moment for it; probes and signals wait for no shard.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, process, thread};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use corelane_base::time::Mono;
use corelane_node::metrics::Snapshot;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::exposition;
use crate::logging::LogControl;
use crate::metrics::{self, Facts};
use crate::rt::port::{Clock, Figures, News, Port};
use crate::watchdog::Watchdog;

/// How often each shard is pinged.
const PING_EVERY: Duration = Duration::from_millis(10);
/// How long a scrape waits for the shards; one that stalls for so long is told with what it said last.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(1);
/// Signals within this time of the first are the same wish: some senders reach a process twice.
const SIGNAL_ECHO: Duration = Duration::from_millis(500);
/// The longest body of a request, in bytes.
const BODY_BYTES_MAX: usize = 8 << 10;
/// For Grafana and Prometheus, as they are in the repository.
const DASHBOARD: &str = include_str!("dashboard/corelane.json");
const RULES: &str = include_str!("dashboard/corelane.rules.yml");

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

/// What the admin thread knows.
pub struct Admin {
    clock: Clock,
    ports: Vec<Arc<Port>>,
    log_control: LogControl,
    phase: AtomicU8,
    watchdog: Mutex<Watchdog>,
    /// What each shard told last.
    snapshots: tokio::sync::Mutex<Vec<Option<Arc<Snapshot>>>>,
}

impl Admin {
    /// An admin for these shards, in phase `Starting`.
    #[must_use]
    pub fn new(clock: Clock, ports: Vec<Arc<Port>>, log_control: LogControl) -> Arc<Admin> {
        let watchdog = Mutex::new(Watchdog::new(clock, ports.clone()));
        let snapshots = tokio::sync::Mutex::new(vec![None; ports.len()]);
        let phase = AtomicU8::new(Phase::Starting as u8);
        Arc::new(Admin { clock, ports, log_control, phase, watchdog, snapshots })
    }

    /// Tells where the broker stands now.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Prints from now on what `filter` lets through.
    pub fn set_log_filter(&self, filter: &str) {
        match self.log_control.set_filter(filter) {
            Ok(()) => tracing::info!(filter, "which log lines are printed has changed"),
            Err(why) => tracing::error!("{why}"),
        }
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

    fn watchdog(&self) -> MutexGuard<'_, Watchdog> {
        self.watchdog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All metrics as text, after asking every shard. One scrape at a time: a later one waits for an earlier.
    async fn scrape(&self) -> String {
        let mut snapshots = self.snapshots.lock().await;
        let asked: Vec<_> = self.ports.iter().map(|port| port.ask_snapshot()).collect();
        let end = tokio::time::Instant::now() + SNAPSHOT_DEADLINE;
        let mut stale = 0;
        for (last, answer) in snapshots.iter_mut().zip(asked) {
            match tokio::time::timeout_at(end, answer).await {
                Ok(Ok(snapshot)) => *last = Some(Arc::from(snapshot)),
                // It stalls, or has ended.
                _ => stale += 1,
            }
        }
        let figures: Vec<Figures> = self.ports.iter().map(|port| port.figures()).collect();
        let ready = self.is(Phase::Ready);
        let facts = Facts {
            ready,
            state: if ready { 3 } else { 1 + 5 * u8::from(self.is(Phase::Draining)) },
            uptime_seconds: self.clock.mono().since(Mono(0)).as_secs_f64(),
            figures: &figures,
            snapshots: &snapshots,
            stale,
        };
        metrics::render(&facts, &self.watchdog())
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
        admin.watchdog().tick();
    }
}

async fn serve(admin: Arc<Admin>, socket: TcpListener) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/log-level", get(log_level).put(set_log_level))
        .route("/dashboard.json", get(|| file("application/json", DASHBOARD)))
        .route("/rules.yml", get(|| file("application/yaml", RULES)))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
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

async fn log_level(State(admin): State<Arc<Admin>>) -> String {
    admin.log_control.filter() + "\n"
}

/// Takes a filter as the body, as `log.level` takes it. It holds until the next change or the end of the process.
async fn set_log_level(State(admin): State<Arc<Admin>>, filter: String) -> impl IntoResponse {
    match admin.log_control.set_filter(&filter) {
        Ok(()) => {
            let filter = admin.log_control.filter();
            tracing::info!(filter, "which log lines are printed has changed");
            (StatusCode::OK, filter + "\n")
        }
        Err(why) => (StatusCode::BAD_REQUEST, why + "\n"),
    }
}

async fn file(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, content_type)], text)
}

async fn scrape(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], admin.scrape().await)
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
            disk: corelane_tuning::profile::Bounds::UNMEASURED,
            news: sender.clone(),
        };
        let clock = Clock::start();
        let shards = Shards::launch(launch, clock, |_| Idle).expect("threads");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let log_control = LogControl::start(&[], None).expect("defaults make sense");
        let admin = Admin::new(clock, shards.ports().to_vec(), log_control);
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
