//! `corelane serve`: from arguments to a running broker and back to an exit code.
//!
//! The order matters and is this: settings, probes, lock, ports, shards, and only when every shard has opened its logs
//! the listeners. Whatever is wrong is said in one sentence before anything runs.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use corelane_base::id::ShardId;
use corelane_control::configs::broker::BrokerConfig;
use corelane_control::configs::listener::Listener;
use corelane_control::configs::settings::{Setting, Settings};
use corelane_node::event::{Lifecycle, Severity};
use corelane_node::loggers::Loggers;
use corelane_node::shard::{Shard, ShardSettings};
use corelane_tuning::profile::Bounds;

use crate::admin::{Admin, Phase};
use crate::args::{self, ServeArgs};
use crate::config_file;
use crate::logging::{self, LogControl, SHARD_TARGET};
use crate::probe;
use crate::rt::port::{Clock, News};
use crate::rt::{Launch, Shards};

/// How long the shards may take to finish what they accepted.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// News of the shards that may wait for the main thread.
const NEWS_MAX: usize = 1024;

/// Exit codes: wrong settings, and everything else that keeps a broker from running.
const WRONG_SETTINGS: u8 = 2;

/// What the shell itself needs to know of the settings.
struct Plan {
    listen: args::HostPort,
    http: args::HostPort,
    data_dir: PathBuf,
    shards: u16,
    idle_spin: Duration,
    /// Where clients are told to connect to, if not where we listen.
    advertised: Option<Listener>,
    config: Arc<Settings>,
}

/// Runs a broker until it is told to stop.
pub fn run(args: ServeArgs) -> ExitCode {
    let clock = Clock::start();
    let given = match config_file::gather(&args, std::env::vars_os()) {
        Ok(given) => given,
        Err(why) => return refuse(WRONG_SETTINGS, &why),
    };
    let log_control = match LogControl::start(&given, std::env::var("RUST_LOG").ok()) {
        Ok(control) => control,
        Err(why) => return refuse(WRONG_SETTINGS, &why),
    };
    let plan = match plan(&given) {
        Ok(plan) => plan,
        Err(why) => return refuse(WRONG_SETTINGS, &why),
    };
    match serve(plan, clock, log_control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => refuse(1, &why),
    }
}

fn refuse(code: u8, why: &str) -> ExitCode {
    eprintln!("corelane: {why}");
    ExitCode::from(code)
}

/// Checks what was given. Errors: one line for each setting that is wrong.
fn plan(given: &[Setting]) -> Result<Plan, String> {
    let own = |one: &&Setting| !logging::KEYS.contains(&one.key.as_str());
    let broker: Vec<Setting> = given.iter().filter(own).cloned().collect();
    let settings = Settings::from_list(&broker).map_err(|errors| {
        errors.iter().map(ToString::to_string).collect::<Vec<String>>().join("\ncorelane: ")
    })?;
    if let Some(unknown) = settings.unknown().first() {
        let guess = Settings::nearest_known(&unknown.key).map(|known| format!("; did you mean {known}?"));
        let guess = guess.unwrap_or_default();
        return Err(format!("{} is not a setting (from the {}){guess}", unknown.key, unknown.origin));
    }
    let config = BrokerConfig::of_settings(&settings);
    let [listener] = config.listeners.as_slice() else {
        return Err("listeners: one listener is supported, not several".to_string());
    };
    let host = if listener.host.is_empty() { "0.0.0.0" } else { listener.host.as_str() };
    let shards = match config.shard_count {
        Some(count) => usize::from(count),
        None => probe::shards_by_default(probe::cores()?.len()),
    };
    Ok(Plan {
        listen: args::HostPort { host: host.to_string(), port: listener.port },
        http: args::parse_host_port(&config.http_listen)
            .map_err(|why| format!("corelane.http.listen: {why}"))?,
        data_dir: PathBuf::from(&config.data_dir),
        shards: u16::try_from(shards).map_err(|_| format!("corelane.shards: {shards} are too many"))?,
        idle_spin: Duration::from_micros(u64::from(config.idle_spin_us)),
        advertised: config.advertised_listeners.and_then(|all| all.into_iter().next()),
        config: Arc::new(settings),
    })
}

fn serve(plan: Plan, clock: Clock, log_control: LogControl) -> Result<(), String> {
    probe::machine(plan.shards)?;
    let _lock = probe::lock_data_dir(&plan.data_dir)?;
    probe::direct_io(&plan.data_dir)?;
    let address = resolve(&plan.listen, "--listen")?;
    let sockets = probe::bind(address, plan.shards)?;
    let address = probe::local_address(&sockets[0]).map_err(|e| e.to_string())?;
    let http = resolve(&plan.http, "--http")?;
    let http = TcpListener::bind(http)
        .map_err(|e| format!("cannot listen on {http} ({e}): choose another with --http"))?;
    let http_address = http.local_addr().map_err(|e| e.to_string())?;

    let cores = pinnable(probe::cores()?, plan.shards);
    let (news, inbox) = sync_channel(NEWS_MAX);
    let launch = Launch {
        shards: plan.shards,
        cores: cores.clone(),
        data_dir: plan.data_dir.clone(),
        idle_spin: plan.idle_spin,
        disk: disk_bounds(&plan.data_dir, plan.shards),
        news: news.clone(),
    };
    let settings = shard_settings(&plan, address);
    let loggers = Loggers::of_filter(&log_control.filter());
    let make = move |shard: ShardId| {
        let seed = settings.seed ^ (u64::from(shard.0) << 48);
        let mut shard = Shard::new(ShardSettings { shard, seed, ..settings.clone() });
        shard.set_loggers(loggers);
        shard
    };
    let shards =
        Shards::launch(launch, clock, make).map_err(|e| format!("the shards cannot be started: {e}"))?;
    let admin = Admin::new(clock, shards.ports().to_vec(), log_control);
    admin.run(http, news).map_err(|e| format!("the admin thread cannot be started: {e}"))?;

    if wait_for(&inbox, plan.shards, &Lifecycle::Ready, None, &admin)? == Waited::Reached {
        probe::open(&sockets)?;
        shards.listen(sockets);
        admin.enter(Phase::Ready);
        greet(&plan, &cores, address, http_address);
        // Only an order to stop or a fatal shard ends this: nobody is drained before being told to.
        wait_for(&inbox, plan.shards, &Lifecycle::Drained, None, &admin)?;
    }
    admin.enter(Phase::Draining);
    shards.shut_down();
    let deadline = Some(Instant::now() + DRAIN_DEADLINE);
    while wait_for(&inbox, plan.shards, &Lifecycle::Drained, deadline, &admin)? != Waited::Reached {}
    shards.stop().map_err(|e| format!("a shard ended badly: {e}"))?;
    tracing::info!("stopped cleanly");
    Ok(())
}

/// The first address of a host; IPv4 before IPv6, as clients that know no better expect of `localhost`.
fn resolve(at: &args::HostPort, flag: &str) -> Result<SocketAddr, String> {
    let found = at.resolve().map_err(|e| format!("{at} is no address ({e}): choose another with {flag}"))?;
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("{at} has no address"))
}

/// The cores to pin shards to; none when there are more shards than cores, which then share them all.
fn pinnable(cores: Vec<usize>, shards: u16) -> Vec<usize> {
    if usize::from(shards) <= cores.len() {
        return cores.into_iter().take(usize::from(shards)).collect();
    }
    tracing::warn!(
        shards,
        cores = cores.len(),
        "more shards than cores: none is pinned, latency will suffer"
    );
    Vec::new()
}

/// How much of the disk each shard uses at once: its share of what was measured, or the default.
fn disk_bounds(dir: &Path, shards: u16) -> Bounds {
    let share = match Bounds::read(dir) {
        Ok(None) => return Bounds::UNMEASURED,
        Ok(Some(measured)) => measured.share(shards),
        Err(why) => {
            tracing::warn!("{why}; until then each shard uses the disk as if nobody had measured it");
            return Bounds::UNMEASURED;
        }
    };
    tracing::info!(
        writes_max = share.writes_max,
        reads_max = share.reads_max,
        "each shard uses its share of what disk.toml says"
    );
    share
}

fn shard_settings(plan: &Plan, address: SocketAddr) -> ShardSettings {
    let any = address.ip().is_unspecified();
    let (host, port) = match &plan.advertised {
        Some(told) => (told.host.clone(), told.port),
        None if any => (rustix::system::uname().nodename().to_string_lossy().into_owned(), address.port()),
        None => (plan.listen.host.clone(), address.port()),
    };
    let mut seed = [0; 8];
    // A kernel without entropy yet: the clock is a poor seed, but ids carry 128 bits and are checked when made.
    if rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).is_err() {
        seed = Clock::start().now().wall.0.to_le_bytes();
    }
    ShardSettings {
        shard: ShardId(0),
        shard_count: plan.shards,
        seed: u64::from_le_bytes(seed),
        advertised_host: host,
        advertised_port: port,
        config: Arc::clone(&plan.config),
        data_dir: full_path(&plan.data_dir),
    }
}

fn full_path(dir: &Path) -> String {
    std::fs::canonicalize(dir).as_deref().unwrap_or(dir).display().to_string()
}

#[derive(PartialEq, Eq)]
enum Waited {
    /// Every shard has told the milestone.
    Reached,
    /// The operator asks for the end.
    Stopped,
}

/// Takes news in until all shards have told `milestone`. Errors: a shard cannot go on, or `deadline` has passed.
fn wait_for(
    inbox: &Receiver<News>,
    shards: u16,
    milestone: &Lifecycle,
    deadline: Option<Instant>,
    admin: &Admin,
) -> Result<Waited, String> {
    let mut left = shards;
    while left > 0 {
        let patience = deadline.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
        match inbox.recv_timeout(patience) {
            Ok(News::Stop) => return Ok(Waited::Stopped),
            Ok(News::Shard(shard, Lifecycle::Notice { severity, text })) => log(shard, severity, &text),
            Ok(News::Shard(shard, Lifecycle::Fatal(why))) => return Err(format!("shard {shard}: {why}")),
            Ok(News::Shard(_, Lifecycle::LogFilter(filter))) => admin.set_log_filter(&filter),
            Ok(News::Shard(_, told)) if told == *milestone => left -= 1,
            Ok(News::Shard(..)) => {}
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!(
                    "{left} shards did not finish within {DRAIN_DEADLINE:?}; the next start recovers their logs"
                ));
            }
            Err(RecvTimeoutError::Disconnected) => return Err("every shard has ended".to_string()),
        }
    }
    Ok(Waited::Reached)
}

fn log(shard: ShardId, severity: Severity, text: &str) {
    let shard = shard.0;
    match severity {
        Severity::Error => tracing::error!(target: SHARD_TARGET, shard, "{text}"),
        Severity::Warn => tracing::warn!(target: SHARD_TARGET, shard, "{text}"),
        Severity::Info => tracing::info!(target: SHARD_TARGET, shard, "{text}"),
        Severity::Debug => tracing::debug!(target: SHARD_TARGET, shard, "{text}"),
    }
}

/// Says on standard output what runs where, and what to try next.
fn greet(plan: &Plan, cores: &[usize], address: SocketAddr, http: SocketAddr) {
    let pinned = match cores {
        [] => "not pinned".to_string(),
        [core] => format!("on core {core}"),
        [first, .., last] => format!("on cores {first} to {last}"),
    };
    let dir = full_path(&plan.data_dir);
    let mut near = address;
    if address.ip().is_unspecified() {
        near.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    let text = format!(
        "corelane {} is ready\n\
         listening on {address}\n  \
           shards   {}, {pinned}\n  \
           data     {dir}\n  \
           metrics  http://{http}/metrics\n  \
           try      echo hello | kcat -b {near} -t greetings -P\n           \
                    kcat -b {near} -t greetings -C -e\n",
        env!("CARGO_PKG_VERSION"),
        plan.shards,
    );
    let mut out = io::stdout().lock();
    // Nobody reading it is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
