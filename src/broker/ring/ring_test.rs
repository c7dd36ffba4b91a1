//! The ring without an executor: turned by hand, with a clock by hand, against blocking sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelane_base::id::ConnId;
use corelane_node::send::SendPart;
use rustix::event::{EventfdFlags, eventfd};

use super::*;
use crate::ring::sockets::LINGER_MS;

/// A ring with a listener, and what its events said.
struct Rig {
    ring: Ring,
    doorbell: Arc<OwnedFd>,
    address: SocketAddr,
    now: Mono,
    /// Bytes received of each connection that is open.
    received: BTreeMap<ConnId, Vec<u8>>,
    sent: usize,
    closed: usize,
}

impl Rig {
    fn new() -> Rig {
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor");
        let doorbell = Arc::new(doorbell);
        let mut ring = Ring::new(Arc::clone(&doorbell), Bounds::UNMEASURED).expect("a kernel with io_uring");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        ring.listen(listener.into());
        Rig { ring, doorbell, address, now: Mono(1), received: BTreeMap::new(), sent: 0, closed: 0 }
    }

    /// Turns until `reached`.
    #[track_caller]
    fn turn_until(&mut self, reached: impl Fn(&Rig) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !reached(self) {
            assert!(Instant::now() < end, "it does not come");
            let Rig { ring, received, sent, closed, .. } = self;
            let mut sink = |event: Event<'_>| match event {
                Event::Accepted { conn, .. } => assert_eq!(received.insert(conn, Vec::new()), None),
                Event::Received { conn, bytes } => {
                    received.get_mut(&conn).expect("open").extend_from_slice(bytes);
                }
                Event::Sent { .. } => *sent += 1,
                Event::Closed { conn } => {
                    received.remove(&conn).expect("closed once, after it was accepted");
                    *closed += 1;
                }
                other => panic!("nobody asked for {other:?}"),
            };
            if !ring.turn(self.now, &mut sink).expect("a sound ring") {
                std::thread::yield_now();
            }
        }
    }

    fn connect(&mut self) -> (TcpStream, ConnId) {
        let before: Vec<ConnId> = self.received.keys().copied().collect();
        let stream = TcpStream::connect(self.address).expect("the ring listens");
        self.turn_until(|rig| rig.received.len() > before.len());
        let conn = *self.received.keys().find(|conn| !before.contains(conn)).expect("one more");
        (stream, conn)
    }

    fn total(&self) -> usize {
        self.received.values().map(Vec::len).sum()
    }
}

#[test]
fn more_bytes_than_buffers_all_arrive() {
    const SIZE: usize = 100_000;
    let mut rig = Rig::new();
    let mut streams: Vec<(TcpStream, ConnId)> = (0..150).map(|_| rig.connect()).collect();
    // Everything is in the sockets before the ring is entered again, twice as much as there are buffers.
    for (index, (stream, _)) in streams.iter_mut().enumerate() {
        stream.write_all(&vec![index as u8; SIZE]).expect("it fits the sockets' buffers");
    }
    rig.turn_until(|rig| rig.total() == 150 * SIZE);
    for (index, (_, conn)) in streams.iter().enumerate() {
        assert!(rig.received[conn].iter().all(|byte| *byte == index as u8), "bytes of another connection");
    }
    assert!(rig.ring.counters().recv_starved > 0, "the buffers did not run dry, so this shows nothing");
    drop(streams);
    rig.turn_until(|rig| rig.closed == 150);
}

#[test]
fn a_paused_connection_slows_its_peer() {
    const SIZE: usize = 64 << 20;
    let mut rig = Rig::new();
    let (mut stream, conn) = rig.connect();
    rig.ring.net(rig.now, NetEffect::Pause { conn });
    let writer = std::thread::spawn(move || {
        stream.write_all(&vec![5; SIZE]).expect("in the end it is read");
        stream
    });
    // Another connection shows that turns go by; the paused one gives no more than was under way.
    let (mut other, witness) = rig.connect();
    for round in 1..=200 {
        other.write_all(b"x").expect("it is read");
        rig.turn_until(|rig| rig.received[&witness].len() == round);
    }
    assert!(
        rig.received[&conn].len() <= 1 << 20,
        "{} bytes came during the pause",
        rig.received[&conn].len()
    );
    assert!(!writer.is_finished(), "the peer can send on");
    rig.ring.net(rig.now, NetEffect::Resume { conn });
    rig.turn_until(|rig| rig.received[&conn].len() == SIZE);
    drop(writer.join().expect("the writer wrote all"));
    drop(other);
    rig.turn_until(|rig| rig.closed == 2);
}

#[test]
fn a_peer_that_takes_no_answer_is_cut_off() {
    const SIZE: usize = 64 << 20;
    let mut rig = Rig::new();
    let (mut stuck, conn) = rig.connect();
    let parts = vec![SendPart::Memory(Bytes::from(vec![1; SIZE]))];
    rig.ring.net(rig.now, NetEffect::Send { conn, parts });
    rig.ring.net(rig.now, NetEffect::Close { conn });
    let (_other, _) = rig.connect();
    assert_eq!((rig.sent, rig.closed), (0, 0), "the answer is larger than all buffers");
    assert_eq!(rig.ring.next_deadline(), Some(rig.now.plus_ms(LINGER_MS)));
    rig.now = rig.now.plus_ms(LINGER_MS);
    rig.turn_until(|rig| rig.closed == 1);
    assert_eq!(rig.sent, 0, "a send that failed is not reported as done");
    let mut rest = Vec::new();
    // Ends, by an end of stream or a reset.
    let _ = stuck.read_to_end(&mut rest);
    assert!(rest.len() < SIZE, "part of it was never sent");
}

#[test]
fn a_slot_is_reused_under_a_new_generation() {
    let mut rig = Rig::new();
    let (first, old) = rig.connect();
    drop(first);
    rig.turn_until(|rig| rig.closed == 1);
    let (mut second, new) = rig.connect();
    assert_eq!(old.slot, new.slot);
    assert_ne!(old.generation, new.generation);
    // What was meant for the old one touches nobody.
    rig.ring.net(
        rig.now,
        NetEffect::Send { conn: old, parts: vec![SendPart::Memory(Bytes::from_static(b"old"))] },
    );
    rig.ring.net(rig.now, NetEffect::Close { conn: old });
    rig.ring.net(
        rig.now,
        NetEffect::Send { conn: new, parts: vec![SendPart::Memory(Bytes::from_static(b"new"))] },
    );
    rig.turn_until(|rig| rig.sent == 1);
    let mut answer = [0; 3];
    second.read_exact(&mut answer).expect("the answer");
    assert_eq!(&answer, b"new");
}

#[test]
fn a_sleep_ends_with_the_doorbell_a_completion_or_the_deadline() {
    let mut rig = Rig::new();
    let (mut stream, conn) = rig.connect();
    while rig.ring.turn(rig.now, &mut |_| {}).expect("a sound ring") {}
    rig.ring.sleep(rig.now, Some(rig.now.plus_ms(1))).expect("a sound ring");
    assert!(!rig.ring.has_work(), "only the deadline has come");

    let doorbell = Arc::clone(&rig.doorbell);
    let ringer = std::thread::spawn(move || rustix::io::write(&*doorbell, &1_u64.to_ne_bytes()));
    rig.ring.sleep(rig.now, None).expect("a sound ring");
    ringer.join().expect("the ringer rings").expect("a count that is not full");
    // Its count was never read: each further write is news all the same.
    for _ in 0..3 {
        while rig.ring.turn(rig.now, &mut |_| {}).expect("a sound ring") {}
        assert!(!rig.ring.has_work(), "the last ring is taken in");
        rustix::io::write(&*rig.doorbell, &1_u64.to_ne_bytes()).expect("a count that is not full");
        rig.ring.sleep(rig.now, None).expect("a sound ring");
    }

    while rig.ring.turn(rig.now, &mut |_| {}).expect("a sound ring") {}
    stream.write_all(b"work").expect("a socket's buffer");
    rig.ring.sleep(rig.now, None).expect("a sound ring");
    rig.turn_until(|rig| rig.received[&conn] == b"work");
}
