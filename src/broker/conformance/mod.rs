//! What every shell must do, as scripts that any shell can be put through.
//!
//! What it is: one function per promise of the seam, run against the small machine of [`machine`]. What it is not: a test
//! of the broker's logic, or of this package's shell alone. A shell takes part by implementing [`Stage`]: it runs
//! machines, and gives a script clients whose calls either block (real sockets) or advance a simulated world until
//! they can answer. Nothing here knows threads, clocks, sockets or files.

pub mod machine;

use corelane_base::rng::Rng;

use crate::conformance::machine::{ProbeMachine, pattern, request};
use crate::machine::Machine;

/// A shell under test.
pub trait Stage {
    /// Runs one machine per shard on empty disks, waits until all are ready, lets `script` talk to them, then shuts
    /// them down and waits until all are drained. Panics: if a machine does, or if one does not drain.
    fn run(&mut self, machines: Vec<Box<dyn Machine + Send>>, script: &mut dyn FnMut(&mut dyn Peers));
}

/// A client connection of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub usize);

/// The clients of a script.
pub trait Peers {
    /// Connects to any of the shards.
    fn connect(&mut self) -> Peer;
    /// Hands all bytes to the network.
    fn send(&mut self, peer: Peer, bytes: &[u8]);
    /// The next `len` bytes; fewer only if the stream ends before, by a close or a reset.
    fn receive(&mut self, peer: Peer, len: usize) -> Vec<u8>;
    /// Ends the stream towards the broker; the other direction stays.
    fn half_close(&mut self, peer: Peer);
    /// Ends both directions at once, with a reset: what is under way is lost.
    fn reset(&mut self, peer: Peer);
}

/// A script: its name, how many shards it wants, what it does.
pub type Script = (&'static str, u16, fn(&mut dyn Peers));

/// Every script. Each is run on machines of its own.
pub const SCRIPTS: &[Script] = &[
    ("echo of all sizes", 1, echo_of_all_sizes),
    ("requests in dribbles", 1, requests_in_dribbles),
    ("pipelining", 2, pipelining),
    ("half-close", 1, half_close),
    ("close by the machine", 1, close_by_the_machine),
    ("resets", 2, resets),
    ("pause and resume", 1, pause_and_resume),
    ("slow reader", 2, slow_reader),
    ("a thousand connections", 2, a_thousand_connections),
    ("parts from files", 1, parts_from_files),
    ("durable echo", 2, durable_echo),
    ("many disk operations at once", 1, many_disk_operations_at_once),
    ("timers", 1, timers),
    ("mesh", 3, mesh),
    ("small files", 2, small_files),
    ("shutdown with work under way", 2, shutdown_with_work_under_way),
];

/// Puts `stage` through one script.
pub fn run(stage: &mut dyn Stage, script: &Script) {
    let (_, shards, act) = *script;
    let machines =
        (0..shards).map(|shard| -> Box<dyn Machine + Send> { Box::new(ProbeMachine::new(shard, shards)) });
    stage.run(machines.collect(), &mut |peers| act(peers));
}

/// Sends an echo of `payload` and checks what comes back.
#[track_caller]
fn check_echo(peers: &mut dyn Peers, peer: Peer, payload: &[u8]) {
    peers.send(peer, &request(b'E', payload));
    check_received(peers, peer, payload);
}

/// Receives as many bytes as `expected` has and compares. Says where they differ, not all of them.
#[track_caller]
fn check_received(peers: &mut dyn Peers, peer: Peer, expected: &[u8]) {
    let found = peers.receive(peer, expected.len());
    assert_eq!(found.len(), expected.len(), "the stream ended early");
    if let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) {
        panic!("byte {at} of {} is {:#x} instead of {:#x}", expected.len(), found[at], expected[at]);
    }
}

fn echo_of_all_sizes(peers: &mut dyn Peers) {
    let peer = peers.connect();
    for size in [0, 1, 2, 100, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 20, (4 << 20) - 7, 4 << 20] {
        check_echo(peers, peer, &pattern(size as u64, size));
    }
}

fn requests_in_dribbles(peers: &mut dyn Peers) {
    let (slow, other) = (peers.connect(), peers.connect());
    let payload = pattern(1, 300);
    for byte in request(b'E', &payload) {
        peers.send(slow, &[byte]);
    }
    check_echo(peers, other, &payload);
    check_received(peers, slow, &payload);
}

fn pipelining(peers: &mut dyn Peers) {
    let clients: Vec<Peer> = (0..8).map(|_| peers.connect()).collect();
    let mut rng = Rng::new(11);
    let mut expected = vec![Vec::new(); clients.len()];
    for (peer, expected) in clients.iter().zip(&mut expected) {
        let mut batch = Vec::new();
        for _ in 0..500 {
            let payload = pattern(rng.next_u64(), rng.below(600) as usize);
            // Some answers come later than those asked for behind them; they still leave in order.
            if rng.one_in(7) {
                batch.extend(request(b'T', &[2_u32.to_le_bytes().as_slice(), &payload].concat()));
            } else {
                batch.extend(request(b'E', &payload));
            }
            expected.extend(payload);
        }
        peers.send(*peer, &batch);
    }
    for (peer, expected) in clients.iter().zip(&expected) {
        check_received(peers, *peer, expected);
    }
}

fn half_close(peers: &mut dyn Peers) {
    for size in [1, 1000, 3 << 20] {
        let peer = peers.connect();
        let payload = pattern(7, size);
        peers.send(peer, &request(b'E', &payload));
        peers.half_close(peer);
        check_received(peers, peer, &payload);
        assert!(peers.receive(peer, 1).is_empty(), "the stream ends behind the answer");
    }
}

fn close_by_the_machine(peers: &mut dyn Peers) {
    for size in [0, 1, 1 << 20] {
        let peer = peers.connect();
        let payload = pattern(8, size);
        peers.send(peer, &[request(b'E', &payload), request(b'C', &[])].concat());
        check_received(peers, peer, &payload);
        assert!(peers.receive(peer, 1).is_empty(), "the stream ends behind the answer");
    }
}

fn resets(peers: &mut dyn Peers) {
    let witness = peers.connect();
    for round in 0..60_u32 {
        let peer = peers.connect();
        match round % 4 {
            0 => {}
            1 => peers.send(peer, &request(b'E', b"whole")),
            2 => peers.send(peer, &request(b'E', b"cut off")[..6]),
            _ => {
                peers.send(peer, &request(b'B', &(4_u32 << 20).to_le_bytes()));
                assert_eq!(peers.receive(peer, 1).len(), 1);
            }
        }
        peers.reset(peer);
        check_echo(peers, witness, &round.to_le_bytes());
    }
}

fn pause_and_resume(peers: &mut dyn Peers) {
    let peer = peers.connect();
    let other = peers.connect();
    let payload = pattern(3, 200_000);
    for _ in 0..5 {
        // The pause comes before all of the next request is read.
        let batch = [request(b'P', &20_u32.to_le_bytes()), request(b'E', &payload)].concat();
        peers.send(peer, &batch);
        check_echo(peers, other, b"not paused");
        check_received(peers, peer, &payload);
    }
}

fn slow_reader(peers: &mut dyn Peers) {
    const SIZE: u32 = 10_000_000;
    let (slow, other) = (peers.connect(), peers.connect());
    let expected = pattern(0, SIZE as usize);
    peers.send(slow, &request(b'B', &SIZE.to_le_bytes()));
    let mut rng = Rng::new(5);
    let mut at = 0;
    while at < expected.len() {
        let step = (1 + rng.below(200_000) as usize).min(expected.len() - at);
        check_received(peers, slow, &expected[at..at + step]);
        at += step;
        check_echo(peers, other, b"not delayed");
    }
    check_echo(peers, slow, b"still there");
}

fn a_thousand_connections(peers: &mut dyn Peers) {
    let clients: Vec<Peer> = (0..1000).map(|_| peers.connect()).collect();
    for round in 0..3_u64 {
        for (index, peer) in clients.iter().enumerate() {
            peers.send(*peer, &request(b'E', &pattern(round + index as u64, 100)));
        }
        for (index, peer) in clients.iter().enumerate() {
            check_received(peers, *peer, &pattern(round + index as u64, 100));
        }
    }
    for (index, peer) in clients.iter().enumerate() {
        if index % 2 == 0 { peers.half_close(*peer) } else { peers.reset(*peer) }
    }
    let last = peers.connect();
    check_echo(peers, last, b"slots are free again");
}

fn parts_from_files(peers: &mut dyn Peers) {
    let (peer, other) = (peers.connect(), peers.connect());
    for size in [3_u32, 300, 4096 * 3, 200_001, machine::PATTERN_BYTES as u32] {
        peers.send(peer, &request(b'F', &size.to_le_bytes()));
        check_received(peers, peer, &pattern(0, size as usize));
    }
    // Many at once, to two readers, so that files and memory alternate and sockets fill up.
    let size = machine::PATTERN_BYTES as u32;
    for _ in 0..8 {
        peers.send(peer, &request(b'F', &size.to_le_bytes()));
        peers.send(other, &request(b'F', &size.to_le_bytes()));
    }
    for reader in [peer, other] {
        for _ in 0..8 {
            check_received(peers, reader, &pattern(0, size as usize));
        }
    }
}

fn durable_echo(peers: &mut dyn Peers) {
    let clients: Vec<Peer> = (0..6).map(|_| peers.connect()).collect();
    let mut rng = Rng::new(2);
    for _ in 0..20 {
        let payloads: Vec<Vec<u8>> =
            clients.iter().map(|_| pattern(rng.next_u64(), 1 + rng.below(9000) as usize)).collect();
        for (peer, payload) in clients.iter().zip(&payloads) {
            peers.send(*peer, &request(b'D', payload));
        }
        for (peer, payload) in clients.iter().zip(&payloads) {
            let at = peers.receive(*peer, 4);
            check_received(peers, *peer, payload);
            // What was answered can be read back, at any alignment.
            let len = (payload.len() as u32).to_le_bytes();
            peers.send(*peer, &request(b'R', &[at.as_slice(), &len].concat()));
            check_received(peers, *peer, payload);
        }
    }
    let large = pattern(9, 700_000);
    peers.send(clients[0], &request(b'D', &large));
    peers.receive(clients[0], 4);
    check_received(peers, clients[0], &large);
}

fn many_disk_operations_at_once(peers: &mut dyn Peers) {
    // More than any shell hands to its disk at once.
    const COUNT: u32 = 500;
    let peer = peers.connect();
    peers.send(peer, &request(b'S', &COUNT.to_le_bytes()));
    let first = peers.receive(peer, 4);
    let first = u32::from_le_bytes(first.try_into().expect("four bytes"));
    let expected = pattern(0, COUNT as usize * 4096);
    let mut reads = Vec::new();
    for index in 0..COUNT {
        let at = (first + index * 4096 + index).to_le_bytes();
        reads.extend(request(b'R', &[at.as_slice(), &3000_u32.to_le_bytes()].concat()));
    }
    peers.send(peer, &reads);
    for index in 0..COUNT as usize {
        let at = index * 4096 + index;
        check_received(peers, peer, &expected[at..at + 3000]);
    }
}

fn timers(peers: &mut dyn Peers) {
    let clients: Vec<(Peer, u32)> = [40, 5, 20, 1, 80, 0].map(|ms| (peers.connect(), ms)).to_vec();
    for (peer, ms) in &clients {
        peers.send(*peer, &request(b'W', &ms.to_le_bytes()));
    }
    for (peer, ms) in &clients {
        let waited = peers.receive(*peer, 4);
        let waited = u32::from_le_bytes(waited.try_into().expect("four bytes"));
        assert!(waited >= *ms, "{ms} ms were over after {waited}");
        // A loaded machine may be late, but not by seconds.
        assert!(waited < ms + 5000, "{ms} ms took {waited}");
    }
}

fn mesh(peers: &mut dyn Peers) {
    let clients: Vec<Peer> = (0..12).map(|_| peers.connect()).collect();
    // More than a queue holds, so that the senders have to keep some.
    for (index, peer) in clients.iter().enumerate() {
        let hop = 1 + (index % 2) as u16;
        let ask = [hop.to_le_bytes().as_slice(), &5000_u32.to_le_bytes()].concat();
        peers.send(*peer, &[request(b'M', &ask), request(b'E', b"behind")].concat());
    }
    for peer in &clients {
        check_received(peers, *peer, &5000_u32.to_le_bytes());
        check_received(peers, *peer, b"behind");
    }
}

fn small_files(peers: &mut dyn Peers) {
    let clients: Vec<Peer> = (0..4).map(|_| peers.connect()).collect();
    for round in 0..3_u32 {
        for (index, peer) in clients.iter().enumerate() {
            peers.send(*peer, &request(b'X', &(round * 4 + index as u32).to_le_bytes()));
        }
        for peer in &clients {
            check_received(peers, *peer, b"ok");
        }
    }
}

fn shutdown_with_work_under_way(peers: &mut dyn Peers) {
    // Nobody waits for these answers; the machines drain all the same.
    for _ in 0..10 {
        let peer = peers.connect();
        for size in [10, 5000, 100_000] {
            peers.send(peer, &request(b'D', &pattern(1, size)));
        }
        check_echo_behind(peers, peer);
    }
}

/// Leaves a large answer unread, which must not keep the shell from ending.
fn check_echo_behind(peers: &mut dyn Peers, peer: Peer) {
    let at = peers.receive(peer, 4);
    assert_eq!(at.len(), 4, "the first answer comes");
    peers.send(peer, &request(b'B', &1_000_000_u32.to_le_bytes()));
}
