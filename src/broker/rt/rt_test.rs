//! This package's shell under the conformance scripts, and what only this shell can get wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corelane_base::id::ShardId;
use corelane_base::time::{Mono, Now};
use corelane_log::disk::DiskOp;
use corelane_node::event::{Effects, Event, Lifecycle};
use corelane_node::mesh::MeshMessage;
use corelane_tuning::profile::Bounds;

use crate::conformance::machine::{ProbeMachine, pattern, request};
use crate::conformance::{self, Peer, Peers, SCRIPTS, Stage};
use crate::machine::Machine;
use crate::probe;
use crate::rt::port::{Clock, Figures, News};
use crate::rt::{Launch, Shards};

/// Far beyond what anything here takes on a machine that also builds.
const PATIENCE: Duration = Duration::from_secs(120);

type BoxedMachine = Box<dyn Machine + Send>;

/// A directory below the build's, on a real file system.
struct DataDir(PathBuf);

impl DataDir {
    fn new() -> DataDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("target/tmp/shell-{}-{count}", std::process::id());
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        std::fs::create_dir_all(&path).expect("a directory below the build's");
        DataDir(path)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Running shards with their listeners.
struct Broker {
    shards: Shards,
    news: Receiver<News>,
    address: SocketAddr,
    count: u16,
    dir: DataDir,
}

impl Broker {
    fn start(machines: Vec<BoxedMachine>) -> Broker {
        Broker::start_with(machines, Duration::ZERO)
    }

    fn start_with(machines: Vec<BoxedMachine>, idle_spin: Duration) -> Broker {
        let count = machines.len() as u16;
        let dir = DataDir::new();
        let (sender, news) = sync_channel(100);
        let launch = Launch {
            shards: count,
            cores: Vec::new(),
            data_dir: dir.0.clone(),
            idle_spin,
            disk: Bounds::UNMEASURED,
            news: sender,
        };
        let machines: Vec<Option<BoxedMachine>> = machines.into_iter().map(Some).collect();
        let machines = Arc::new(Mutex::new(machines));
        let make = move |shard: ShardId| -> BoxedMachine {
            machines.lock().expect("no shard panics here")[usize::from(shard.0)].take().expect("one each")
        };
        let shards = Shards::launch(launch, Clock::start(), make).expect("threads and descriptors");
        let sockets = probe::bind("127.0.0.1:0".parse().expect("an address"), count).expect("a free port");
        let address = probe::local_address(&sockets[0]).expect("a bound socket");
        let broker = Broker { shards, news, address, count, dir };
        broker.wait_for(&Lifecycle::Ready);
        probe::open(&sockets).expect("nobody else has the port");
        broker.shards.listen(sockets);
        broker
    }

    #[track_caller]
    fn wait_for(&self, milestone: &Lifecycle) {
        let mut left = self.count;
        while left > 0 {
            match self.news.recv_timeout(PATIENCE) {
                Ok(News::Shard(_, told)) if told == *milestone => left -= 1,
                other => panic!("{other:?} instead of {milestone:?}"),
            }
        }
    }

    fn stop(self) -> Vec<Figures> {
        self.shards.shut_down();
        self.wait_for(&Lifecycle::Drained);
        let ports = self.shards.ports().to_vec();
        self.shards.stop().expect("no shard panicked");
        ports.iter().map(|port| port.figures()).collect()
    }
}

/// Blocking sockets.
struct Sockets {
    address: SocketAddr,
    streams: BTreeMap<usize, TcpStream>,
    connected: usize,
}

impl Sockets {
    fn new(address: SocketAddr) -> Sockets {
        Sockets { address, streams: BTreeMap::new(), connected: 0 }
    }
}

impl Peers for Sockets {
    fn connect(&mut self) -> Peer {
        let stream = TcpStream::connect(self.address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        self.streams.insert(self.connected, stream);
        self.connected += 1;
        Peer(self.connected - 1)
    }

    fn send(&mut self, peer: Peer, bytes: &[u8]) {
        let mut stream = &self.streams[&peer.0];
        stream.write_all(bytes).expect("the broker reads");
    }

    fn receive(&mut self, peer: Peer, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        let mut stream = (&self.streams[&peer.0]).take(len as u64);
        match stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(e) => panic!("{} of {len} bytes came, then: {e}", bytes.len()),
        }
        bytes
    }

    fn half_close(&mut self, peer: Peer) {
        self.streams[&peer.0].shutdown(Shutdown::Write).expect("a connected socket");
    }

    fn reset(&mut self, peer: Peer) {
        let stream = self.streams.remove(&peer.0).expect("a connected socket");
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket option");
    }
}

/// The shell as a stage; keeps what the shards counted.
#[derive(Default)]
struct ThisShell {
    idle_spin: Duration,
    figures: Vec<Figures>,
}

impl Stage for ThisShell {
    fn run(&mut self, machines: Vec<BoxedMachine>, script: &mut dyn FnMut(&mut dyn Peers)) {
        let broker = Broker::start_with(machines, self.idle_spin);
        let mut sockets = Sockets::new(broker.address);
        script(&mut sockets);
        self.figures = broker.stop();
    }
}

#[test]
fn the_shell_conforms() {
    for script in SCRIPTS {
        println!("{}", script.0);
        let mut shell = ThisShell::default();
        conformance::run(&mut shell, script);
        for figures in &shell.figures {
            assert_eq!(figures.ring.accepted, figures.ring.closed, "{}: every connection ends", script.0);
        }
    }
}

#[test]
fn the_shell_conforms_while_it_spins() {
    let mut shell = ThisShell { idle_spin: Duration::from_micros(50), ..ThisShell::default() };
    for script in
        SCRIPTS.iter().filter(|script| ["pipelining", "durable echo", "mesh", "timers"].contains(&script.0))
    {
        conformance::run(&mut shell, script);
    }
}

#[test]
fn resident_history_goes_out_by_sendfile() {
    let broker = Broker::start(vec![Box::new(ProbeMachine::new(0, 1))]);
    // Reads the file through the page cache, as nothing of the shell has done so far.
    std::fs::read(broker.dir.0.join("probe/0")).expect("the machine's file");
    let mut sockets = Sockets::new(broker.address);
    let peer = sockets.connect();
    for size in [9000_u32, 999_999] {
        sockets.send(peer, &request(b'F', &size.to_le_bytes()));
        assert!(sockets.receive(peer, size as usize) == pattern(0, size as usize));
    }
    let figures = broker.stop();
    assert_eq!(figures[0].ring.history_resident, 2);
    assert_eq!(figures[0].ring.bytes_sendfile, 3000 + 333_333);
}

#[test]
fn descriptors_of_closed_connections_are_free_again() {
    let broker = Broker::start(vec![Box::new(ProbeMachine::new(0, 1))]);
    let open = || std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count();
    let mut sockets = Sockets::new(broker.address);
    let witness = sockets.connect();
    sockets.send(witness, &request(b'E', b"x"));
    assert_eq!(sockets.receive(witness, 1), b"x");
    let before = open();
    for _ in 0..300 {
        let peer = sockets.connect();
        sockets.send(peer, &request(b'E', b"y"));
        assert_eq!(sockets.receive(peer, 1), b"y");
        sockets.half_close(peer);
        assert!(sockets.receive(peer, 1).is_empty());
        sockets.streams.remove(&peer.0);
    }
    // Other tests run beside this one; 300 leaked descriptors would show all the same.
    assert!(open() < before + 200, "{} descriptors after, {before} before", open());
    broker.stop();
}

/// Sends one message around all shards again and again, each shard sleeping in between.
struct Courier {
    shard: u16,
    shards: u16,
    rounds: u64,
    done: bool,
    draining: bool,
}

impl Courier {
    fn pass_on(&mut self, version: u64, fx: &mut Effects) {
        let to = ShardId((self.shard + 1) % self.shards);
        fx.mesh.push((to, MeshMessage::MetadataApplied { version }));
    }
}

impl Machine for Courier {
    fn start(&mut self, _now: Now, fx: &mut Effects) {
        fx.lifecycle.push(Lifecycle::Ready);
        if self.shard == 0 {
            self.pass_on(0, fx);
        }
    }

    fn apply(&mut self, _now: Now, event: Event<'_>, fx: &mut Effects) {
        match event {
            Event::Mesh { message: MeshMessage::MetadataApplied { version }, .. } => {
                // The last round ends everywhere.
                self.done = version + u64::from(self.shards) > self.rounds;
                if version < self.rounds {
                    self.pass_on(version + 1, fx);
                }
            }
            Event::Shutdown => self.draining = true,
            other => panic!("nobody sends {other:?}"),
        }
    }

    fn end_turn(&mut self, _now: Now, fx: &mut Effects) {
        if self.draining && self.done {
            self.draining = false;
            fx.lifecycle.push(Lifecycle::Drained);
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }
}

#[test]
fn no_wake_up_is_lost() {
    // A lost wake-up ends the chain for good: nothing else rings these doorbells.
    for (shards, rounds, idle_spin) in [(2_u16, 20_000, 0), (5, 10_000, 0), (3, 20_000, 5)] {
        let courier = |shard| -> BoxedMachine {
            Box::new(Courier { shard, shards, rounds, done: false, draining: false })
        };
        let broker = Broker::start_with((0..shards).map(courier).collect(), Duration::from_micros(idle_spin));
        let figures = broker.stop();
        let sent: u64 = figures.iter().map(|one| one.mesh_sent).sum();
        assert_eq!(sent, rounds + 1, "{shards} shards");
        let parks: u64 = figures.iter().map(|one| one.parks).sum();
        println!("{shards} shards, spin {idle_spin} us: {sent} messages, {parks} parks");
    }
}

/// Asks for one file operation after the other, most of them with another under way.
struct Clerk {
    left: u64,
    under_way: u64,
    draining: bool,
}

impl Clerk {
    fn ask(&mut self, fx: &mut Effects) {
        if self.left > 0 {
            self.left -= 1;
            self.under_way += 1;
            fx.disk.push(0, DiskOp::Space);
        }
    }
}

impl Machine for Clerk {
    fn start(&mut self, _now: Now, fx: &mut Effects) {
        fx.lifecycle.push(Lifecycle::Ready);
        self.ask(fx);
        self.ask(fx);
    }

    fn apply(&mut self, _now: Now, event: Event<'_>, fx: &mut Effects) {
        match event {
            Event::Disk { result, .. } => {
                result.expect("there is a file system");
                self.under_way -= 1;
                self.ask(fx);
            }
            Event::Shutdown => self.draining = true,
            other => panic!("nobody sends {other:?}"),
        }
    }

    fn end_turn(&mut self, _now: Now, fx: &mut Effects) {
        if self.draining && self.left + self.under_way == 0 {
            self.draining = false;
            fx.lifecycle.push(Lifecycle::Drained);
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }
}

#[test]
fn file_operations_do_not_run_out() {
    // Several times what the executor's queue of reports has room for.
    const COUNT: u64 = 15_000;
    let broker = Broker::start(vec![Box::new(Clerk { left: COUNT, under_way: 0, draining: false })]);
    let figures = broker.stop();
    assert_eq!(figures.iter().map(|one| one.cold_files).sum::<u64>(), COUNT);
    let yields: u64 = figures.iter().map(|one| one.yields).sum();
    println!("{COUNT} operations, {yields} times the executor got the core");
    assert!(yields < COUNT / 10, "it seldom gets the core");
}
