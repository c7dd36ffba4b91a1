//! One broker: its shards, driven as the real shell drives them, on the virtual disk, network and mesh.
//!
//! A turn applies what has arrived for one shard, ends, and carries out the effects in the order network, disk, mesh.
//! Which shard comes next, how much it is given at once and how long messages between shards take is drawn; what the
//! seam promises (order per connection, per pair of shards) is kept. Dropping the shards and crashing the disk is a
//! crash; everything the process held is gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use corelane_base::id::ShardId;
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, Now};
use corelane_control::configs::settings::Settings;
use corelane_log::disk::{DiskError, DiskOutcome, DiskToken};
use corelane_node::event::{Effects, Event, Lifecycle};
use corelane_node::mesh::MeshMessage;
use corelane_node::shard::{Shard, ShardSettings};

use crate::disk::{Crash, VirtualDisk};
use crate::hash::StateHash;
use crate::net::{Arrival, LinkId, LinkMood, Network, ToShard};
use crate::trace::Trace;

/// Lies in the data directory after a clean stop.
const CLEAN_PATH: &str = "clean";
/// Events a shard is given in one turn, at most.
const TURN_EVENTS_MAX: u64 = 64;
/// Turns at one moment after which a shard is held to be spinning.
const TURNS_PER_MOMENT_MAX: u32 = 10_000;

/// Where a broker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Not there.
    Down,
    /// Shards are opening; listeners are closed.
    Starting,
    /// Every shard has said that it is ready.
    Serving,
    /// Told to stop in order.
    Draining,
}

/// What the world hears of a broker.
#[derive(Debug, PartialEq, Eq)]
pub enum BrokerNews {
    /// Every shard is ready.
    Ready,
    /// Every shard has drained.
    Drained,
    /// A shard gives up, with its sentence.
    Fatal(String),
    /// Bytes for a client.
    Bytes(LinkId, Vec<u8>),
    /// A client's connection is gone.
    Gone(LinkId),
}

#[derive(Debug)]
enum Inbound {
    Net(ToShard),
    Disk(DiskToken, Result<DiskOutcome, DiskError>),
    Mesh(ShardId, MeshMessage),
    Shutdown,
}

#[derive(Debug)]
struct Core {
    shard: Shard,
    /// Lives as long as the shard, as its queue numbers the disk operations.
    fx: Effects,
    inbox: VecDeque<Inbound>,
    ready: bool,
    drained: bool,
    /// Busy with something else until then; makes queues grow and orders differ.
    busy_until: Mono,
}

/// The broker and all it stands on.
#[derive(Debug)]
pub struct Broker {
    rng: Rng,
    /// The data directory.
    pub disk: VirtualDisk,
    /// The connections.
    pub net: Network,
    shard_count: u16,
    config: Arc<Settings>,
    cores: Vec<Core>,
    mesh: BTreeMap<(Mono, u64), (ShardId, ShardId, MeshMessage)>,
    mesh_due: BTreeMap<(ShardId, ShardId), Mono>,
    mesh_number: u64,
    life: Life,
    started_at: Mono,
    /// Of everything that went in and out.
    hash: StateHash,
    trace: Trace,
    turns_at: (Mono, u32),
    turns: u64,
}

impl Broker {
    /// A broker that is not running, on an empty disk.
    #[must_use]
    pub fn new(mut rng: Rng, shard_count: u16, config: Settings, disk_bytes: u64, trace: Trace) -> Broker {
        let disk = VirtualDisk::new(rng.split(), disk_bytes);
        let net = Network::new(rng.split());
        Broker {
            rng,
            disk,
            net,
            shard_count,
            config: Arc::new(config),
            cores: Vec::new(),
            mesh: BTreeMap::new(),
            mesh_due: BTreeMap::new(),
            mesh_number: 0,
            life: Life::Down,
            started_at: Mono(0),
            hash: StateHash::default(),
            trace,
            turns_at: (Mono(0), 0),
            turns: 0,
        }
    }

    /// Where it is in its life.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// Whether the process that clients are served by was there at that moment already.
    #[must_use]
    pub fn serves_since(&self, at: Mono) -> bool {
        self.life == Life::Serving && self.started_at <= at
    }

    /// Turns taken so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The process starts. Panics: if it runs.
    pub fn start(&mut self, now: Now, news: &mut Vec<BrokerNews>) {
        assert_eq!(self.life, Life::Down, "one process at a time");
        self.life = Life::Starting;
        self.started_at = now.mono;
        for number in 0..self.shard_count {
            let settings = ShardSettings {
                shard: ShardId(number),
                shard_count: self.shard_count,
                seed: self.rng.next_u64(),
                advertised_host: "broker.example".to_owned(),
                advertised_port: 9092,
                config: Arc::clone(&self.config),
                data_dir: "data".to_owned(),
            };
            self.cores.push(Core {
                shard: Shard::new(settings),
                fx: Effects::default(),
                inbox: VecDeque::new(),
                ready: false,
                drained: false,
                busy_until: Mono(0),
            });
        }
        for number in 0..self.shard_count {
            let core = &mut self.cores[usize::from(number)];
            core.shard.start(now, &mut core.fx);
            core.shard.end_turn(now, &mut core.fx);
            self.carry_out(now, ShardId(number), news);
        }
    }

    /// The process or the machine dies. Whatever its shards held is gone.
    pub fn crash(&mut self, now: Now, crash: Crash) {
        self.trace.line(|| format!("{:?}: {crash:?}", now.mono));
        self.cores.clear();
        self.mesh.clear();
        self.mesh_due.clear();
        self.net.drop_all(now.mono);
        self.disk.crash(crash);
        self.life = Life::Down;
    }

    /// Asks every shard to stop in order.
    pub fn shut_down(&mut self) {
        assert_ne!(self.life, Life::Down, "nobody to ask");
        self.life = Life::Draining;
        for core in &mut self.cores {
            core.inbox.push_back(Inbound::Shutdown);
        }
    }

    /// The process ends after all shards have drained. Whether it says that the stop was clean. Panics: if it says so,
    /// but has not come to rest.
    pub fn exit(&mut self, now: Now) -> bool {
        assert!(self.cores.iter().all(|core| core.drained), "not drained");
        self.cores.clear();
        self.mesh.clear();
        self.mesh_due.clear();
        self.net.drop_all(now.mono);
        let clean = self.disk.peek(CLEAN_PATH).is_some();
        if clean {
            self.disk.close();
        } else {
            self.disk.crash(Crash::Kill);
        }
        self.life = Life::Down;
        clean
    }

    /// A client connects to one of the shards, as the kernel picks. `None` while nobody listens.
    pub fn connect(&mut self, now: Now, mood: LinkMood) -> Option<LinkId> {
        if self.life != Life::Serving {
            return None;
        }
        let shard = ShardId(self.rng.below(u64::from(self.shard_count)) as u16);
        Some(self.net.connect(now.mono, shard, mood))
    }

    /// When something happens next.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        let mesh = self.mesh.first_key_value().map(|((due, _), _)| *due);
        let timers = self.cores.iter().filter_map(|core| {
            let due = if core.inbox.is_empty() { core.shard.next_deadline() } else { Some(Mono(0)) };
            due.map(|due| due.max(core.busy_until))
        });
        [self.disk.next_completion(), self.net.next_due(), mesh].into_iter().flatten().chain(timers).min()
    }

    /// Lets everything due by `now` happen once: deliveries, then a turn for each shard with something to do.
    pub fn advance(&mut self, now: Now, news: &mut Vec<BrokerNews>) {
        self.deliver(now, news);
        let mut order: Vec<u16> = (0..self.cores.len() as u16).collect();
        while !order.is_empty() {
            let next = order.swap_remove(self.rng.below(order.len() as u64) as usize);
            if usize::from(next) < self.cores.len() {
                self.turn(now, ShardId(next), news);
            }
        }
    }

    /// While the broker is down: lets clients learn what was on its way to them.
    pub fn advance_net(&mut self, now: Now, news: &mut Vec<BrokerNews>) {
        assert!(self.cores.is_empty(), "nobody is there");
        self.deliver(now, news);
    }

    /// Folds in what went in and out, and the disk.
    pub fn hash_into(&self, hash: &mut StateHash) {
        hash.word(self.hash.value());
        self.disk.hash_into(hash);
        self.net.hash_into(hash);
        hash.word(self.turns);
    }

    fn deliver(&mut self, now: Now, news: &mut Vec<BrokerNews>) {
        while let Some(done) = self.disk.complete(now.mono) {
            self.hash.word(now.mono.0);
            self.hash.word(done.token.0);
            let (shard, token) = (done.shard, done.token);
            self.trace.line(|| format!("{:?} shard {shard} disk {token:?}: {:?}", now.mono, done.result));
            let core = &mut self.cores[usize::from(done.shard.0)];
            core.inbox.push_back(Inbound::Disk(done.token, done.result));
        }
        let mut arrivals = Vec::new();
        while self.net.advance(now.mono, &self.disk, &mut arrivals).is_some() {}
        for arrival in arrivals {
            match arrival {
                Arrival::Shard(shard, what) => {
                    self.cores[usize::from(shard.0)].inbox.push_back(Inbound::Net(what));
                }
                Arrival::Bytes(link, bytes) => {
                    self.hash.word(link.0);
                    self.hash.bytes(&bytes);
                    news.push(BrokerNews::Bytes(link, bytes));
                }
                Arrival::Gone(link) => news.push(BrokerNews::Gone(link)),
            }
        }
        while let Some(entry) = self.mesh.first_entry()
            && entry.key().0 <= now.mono
        {
            let (from, to, message) = entry.remove();
            self.cores[usize::from(to.0)].inbox.push_back(Inbound::Mesh(from, message));
        }
    }

    /// One turn of one shard, if it has something to do and is not busy.
    fn turn(&mut self, now: Now, shard: ShardId, news: &mut Vec<BrokerNews>) {
        let core = &mut self.cores[usize::from(shard.0)];
        if core.busy_until > now.mono {
            return;
        }
        let timer_due = core.shard.next_deadline().is_some_and(|due| due <= now.mono);
        if core.inbox.is_empty() && !timer_due {
            return;
        }
        if timer_due {
            core.shard.apply(now, Event::Timer, &mut core.fx);
        }
        let mut closed = Vec::new();
        for _ in 0..=self.rng.below(TURN_EVENTS_MAX) {
            let Some(inbound) = core.inbox.pop_front() else { break };
            self.trace.line(|| format!("{:?} shard {shard} {}", now.mono, describe(&inbound)));
            if let Inbound::Net(ToShard::Closed { conn }) = &inbound {
                closed.push(*conn);
            }
            apply(&mut core.shard, now, inbound, &mut core.fx);
        }
        core.shard.end_turn(now, &mut core.fx);
        core.shard.check_invariants();
        if self.rng.one_in(50) {
            core.busy_until = Mono(now.mono.0 + self.rng.below(20_000_000));
        }
        self.turns += 1;
        self.turns_at =
            if self.turns_at.0 == now.mono { (now.mono, self.turns_at.1 + 1) } else { (now.mono, 0) };
        assert!(self.turns_at.1 < TURNS_PER_MOMENT_MAX, "shard {shard} spins: timer due {timer_due}");
        self.carry_out(now, shard, news);
        // Only now: what the shard wanted of them earlier in the turn is in order.
        for conn in closed {
            self.net.closed_applied(shard, conn);
        }
    }

    fn carry_out(&mut self, now: Now, shard: ShardId, news: &mut Vec<BrokerNews>) {
        let mut fx = core::mem::take(&mut self.cores[usize::from(shard.0)].fx);
        for effect in fx.net.drain(..) {
            self.trace.line(|| format!("{:?} shard {shard} net {effect:?}", now.mono));
            self.net.apply(now.mono, shard, effect);
        }
        for (token, op) in fx.disk.drain() {
            self.trace.line(|| format!("{:?} shard {shard} disk {token:?} {op:?}", now.mono));
            self.disk.submit(now.mono, shard, token, op);
        }
        for (to, message) in fx.mesh.drain(..) {
            assert!(to.0 < self.shard_count, "a message for shard {to} of {}", self.shard_count);
            let mut due = Mono(now.mono.0 + 1 + self.rng.below(200_000));
            let last = self.mesh_due.entry((shard, to)).or_default();
            due = due.max(*last);
            *last = due;
            self.mesh_number += 1;
            self.mesh.insert((due, self.mesh_number), (shard, to, message));
        }
        for milestone in fx.lifecycle.drain(..) {
            self.trace.line(|| format!("{:?} shard {shard} {milestone:?}", now.mono));
            self.on_milestone(shard, milestone, news);
        }
        self.cores[usize::from(shard.0)].fx = fx;
    }

    fn on_milestone(&mut self, shard: ShardId, milestone: Lifecycle, news: &mut Vec<BrokerNews>) {
        let core = &mut self.cores[usize::from(shard.0)];
        match milestone {
            Lifecycle::Ready => {
                assert!(!core.ready, "shard {shard} is ready twice");
                core.ready = true;
                if self.cores.iter().all(|core| core.ready) && self.life == Life::Starting {
                    self.life = Life::Serving;
                    news.push(BrokerNews::Ready);
                }
            }
            Lifecycle::Drained => {
                assert!(!core.drained, "shard {shard} has drained twice");
                assert_eq!(self.life, Life::Draining, "shard {shard} drained unasked");
                core.drained = true;
                if self.cores.iter().all(|core| core.drained) {
                    news.push(BrokerNews::Drained);
                }
            }
            Lifecycle::Fatal(sentence) => news.push(BrokerNews::Fatal(sentence)),
            Lifecycle::Notice { .. } | Lifecycle::LogFilter(_) => {}
        }
    }
}

fn apply(shard: &mut Shard, now: Now, inbound: Inbound, fx: &mut Effects) {
    match inbound {
        Inbound::Net(ToShard::Accepted { conn, peer }) => {
            shard.apply(now, Event::Accepted { conn, peer }, fx)
        }
        Inbound::Net(ToShard::Received { conn, bytes }) => {
            shard.apply(now, Event::Received { conn, bytes: &bytes }, fx);
        }
        Inbound::Net(ToShard::Sent { conn }) => shard.apply(now, Event::Sent { conn }, fx),
        Inbound::Net(ToShard::Closed { conn }) => shard.apply(now, Event::Closed { conn }, fx),
        Inbound::Disk(token, result) => shard.apply(now, Event::Disk { token, result }, fx),
        Inbound::Mesh(from, message) => shard.apply(now, Event::Mesh { from, message }, fx),
        Inbound::Shutdown => shard.apply(now, Event::Shutdown, fx),
    }
}

fn describe(inbound: &Inbound) -> String {
    match inbound {
        Inbound::Net(ToShard::Received { conn, bytes }) => {
            format!("received {} bytes on {conn:?}", bytes.len())
        }
        Inbound::Net(other) => format!("{other:?}"),
        Inbound::Disk(token, _) => format!("completion {token:?}"),
        Inbound::Mesh(from, message) => format!("from {from}: {message:?}"),
        Inbound::Shutdown => "shutdown".to_owned(),
    }
}
