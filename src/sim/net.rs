//! The virtual network between simulated clients and the shards of one broker: byte streams that are cut anywhere,
//! delayed, reset, and sometimes never heard of again.
//!
//! Each stream keeps its order; nothing else is promised. The network also polices the seam: one send in flight per
//! connection, no effect for a connection that the shard knows is closed, `Closed` exactly once and last.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use bytes::Bytes;
use corelane_base::id::{ConnId, ShardId};
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_node::event::NetEffect;
use corelane_node::send::SendPart;

use crate::disk::VirtualDisk;
use crate::hash::StateHash;

/// Bytes that leave in one piece, at most.
const PIECE_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that a peer who has vanished still seems to take.
const WINDOW_BYTES: u64 = 128 * 1024;
/// How long a send to such a peer hangs before the connection fails.
const SEND_TIMEOUT_MS: u64 = 20_000;

/// A connection as its client names it; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// How a connection behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkMood {
    /// Delay of a piece, at most.
    pub delay_ns_max: u64,
    /// Pieces a client's bytes are cut into, at most.
    pub pieces_max: u64,
    /// Delay of each piece towards the client, at most: large for a slow consumer.
    pub read_delay_ns_max: u64,
}

/// Something for a shard.
#[derive(Debug)]
pub enum ToShard {
    /// As the event of the same name.
    Accepted {
        /// The connection.
        conn: ConnId,
        /// The client.
        peer: SocketAddr,
    },
    /// As the event of the same name.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// As the event of the same name.
    Sent {
        /// The connection.
        conn: ConnId,
    },
    /// As the event of the same name.
    Closed {
        /// The connection.
        conn: ConnId,
    },
}

/// Something that has arrived.
#[derive(Debug)]
pub enum Arrival {
    /// At a shard.
    Shard(ShardId, ToShard),
    /// At a client: bytes.
    Bytes(LinkId, Vec<u8>),
    /// At a client: its connection is gone.
    Gone(LinkId),
}

/// What happens at a moment.
#[derive(Debug)]
enum Step {
    Accept,
    Up(Vec<u8>),
    /// What was held back by a pause goes on, in front of what arrives later.
    Unhold,
    UpEnd,
    Send,
    Down(Vec<u8>),
    DownEnd,
    Fail,
}

/// What the shard has been sent of a connection's life. Accepted at most once, closed at most once, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    NotYet,
    Open,
    Closed,
}

#[derive(Debug)]
struct Link {
    shard: ShardId,
    conn: ConnId,
    mood: LinkMood,
    known: Known,
    /// The shard has asked for its end.
    closing: bool,
    /// Broken: nothing moves any more, the shard may not know yet.
    broken: bool,
    paused: bool,
    held: VecDeque<Vec<u8>>,
    /// The client has vanished without a word.
    vanished: bool,
    /// The send in flight, and how much of it is left.
    sending: Option<VecDeque<SendPart>>,
    sent_bytes: u64,
    up_due: Mono,
    down_due: Mono,
}

/// How often each thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetCounts {
    /// Connections made.
    pub connections: u64,
    /// Pieces delivered to shards.
    pub pieces: u64,
    /// Sends finished.
    pub sends: u64,
    /// Bytes of files sent.
    pub file_bytes: u64,
}

impl NetCounts {
    /// Adds another network's figures.
    pub fn add(&mut self, other: &NetCounts) {
        self.connections += other.connections;
        self.pieces += other.pieces;
        self.sends += other.sends;
        self.file_bytes += other.file_bytes;
    }
}

/// All connections of one broker.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    links: BTreeMap<LinkId, Link>,
    by_conn: BTreeMap<(ShardId, ConnId), LinkId>,
    /// Per shard: free slots and the generations of all.
    slots: BTreeMap<ShardId, Slots>,
    steps: BTreeMap<(Mono, u64), (LinkId, Step)>,
    next_step: u64,
    next_link: u64,
    counts: NetCounts,
}

#[derive(Debug, Default)]
struct Slots {
    generations: Vec<u32>,
    free: Vec<u32>,
}

impl Network {
    /// A network without connections.
    #[must_use]
    pub fn new(rng: Rng) -> Network {
        Network {
            rng,
            links: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            slots: BTreeMap::new(),
            steps: BTreeMap::new(),
            next_step: 0,
            next_link: 1,
            counts: NetCounts::default(),
        }
    }

    /// A client connects to a shard.
    pub fn connect(&mut self, now: Mono, shard: ShardId, mood: LinkMood) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 1;
        let slots = self.slots.entry(shard).or_default();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.generations.push(0);
            slots.generations.len() as u32 - 1
        });
        slots.generations[slot as usize] += 1;
        let conn = ConnId { slot, generation: slots.generations[slot as usize] };
        self.links.insert(link, Link::new(shard, conn, mood, now));
        self.by_conn.insert((shard, conn), link);
        self.counts.connections += 1;
        let due = self.up_due(link, now);
        self.at(due, link, Step::Accept);
        link
    }

    /// A client sends bytes. They are lost if the connection is broken.
    pub fn send(&mut self, now: Mono, link: LinkId, bytes: &[u8]) {
        let Some(state) = self.links.get(&link) else { return };
        if state.vanished || state.broken || bytes.is_empty() {
            return;
        }
        let pieces = 1 + self.rng.below(state.mood.pieces_max.min(bytes.len() as u64));
        let mut cuts: Vec<usize> = (1..pieces).map(|_| self.rng.below(bytes.len() as u64) as usize).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut from = 0;
        for to in cuts {
            if from < to {
                let due = self.up_due(link, now);
                self.at(due, link, Step::Up(bytes[from..to].to_vec()));
                from = to;
            }
        }
    }

    /// A client closes its connection, or resets it, which also takes what is on the way.
    pub fn hang_up(&mut self, now: Mono, link: LinkId, reset: bool) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.vanished {
            return;
        }
        if reset {
            state.broken = true;
        }
        let due = self.up_due(link, now);
        self.at(due, link, Step::UpEnd);
    }

    /// A client's machine is gone: the broker is told nothing.
    pub fn vanish(&mut self, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link) {
            state.vanished = true;
        }
    }

    /// A shard wants something. Panics: if the shard breaks the seam's rules.
    pub fn apply(&mut self, now: Mono, shard: ShardId, effect: NetEffect) {
        let conn = match &effect {
            NetEffect::Send { conn, .. }
            | NetEffect::Close { conn }
            | NetEffect::Pause { conn }
            | NetEffect::Resume { conn } => *conn,
        };
        let link =
            *self.by_conn.get(&(shard, conn)).unwrap_or_else(|| panic!("{effect:?} for nobody on {shard}"));
        let Some(state) = self.links.get_mut(&link) else { return };
        assert_ne!(state.known, Known::NotYet, "{effect:?} for a connection that the shard cannot know");
        if state.known == Known::Closed {
            return; // The shard is about to hear of it.
        }
        match effect {
            NetEffect::Send { parts, .. } => {
                assert!(state.sending.is_none(), "two sends in flight on {conn:?}");
                assert!(!state.closing, "a send after close on {conn:?}");
                assert!(parts.iter().any(|part| !part.is_empty()), "a send of nothing on {conn:?}");
                state.sending = Some(parts.into());
                let due = self.down_due(link, now);
                self.at(due, link, Step::Send);
            }
            NetEffect::Close { .. } => {
                state.closing = true;
                if state.sending.is_none() {
                    self.at(Mono(now.0 + 1), link, Step::Fail);
                }
            }
            NetEffect::Pause { .. } => state.paused = true,
            NetEffect::Resume { .. } => {
                state.paused = false;
                self.at(Mono(now.0 + 1), link, Step::Unhold);
            }
        }
    }

    /// The shard has taken in `Closed`: it must never name this connection again, and the slot may be reused.
    pub fn closed_applied(&mut self, shard: ShardId, conn: ConnId) {
        self.by_conn.remove(&(shard, conn)).expect("Closed is applied once");
        self.slots.entry(shard).or_default().free.push(conn.slot);
    }

    /// The broker is gone: every connection breaks, and clients learn of it sooner or later.
    pub fn drop_all(&mut self, now: Mono) {
        let open: Vec<LinkId> = self.links.keys().copied().collect();
        self.steps.retain(|_, (_, step)| matches!(step, Step::Down(_) | Step::DownEnd));
        for link in open {
            let state = self.links.get_mut(&link).expect("just listed");
            state.known = Known::Closed;
            state.broken = true;
            let due = self.down_due(link, now);
            self.at(due, link, Step::DownEnd);
        }
        self.by_conn.clear();
        self.slots.clear();
    }

    /// When the next thing happens.
    #[must_use]
    pub fn next_due(&self) -> Option<Mono> {
        self.steps.first_key_value().map(|((due, _), _)| *due)
    }

    /// Lets the next thing due by `now` happen; `None` when all have. What arrives is added to `out`.
    pub fn advance(&mut self, now: Mono, disk: &VirtualDisk, out: &mut Vec<Arrival>) -> Option<()> {
        let entry = self.steps.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let (link, step) = entry.remove();
        self.happen(now, link, step, disk, out);
        Some(())
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> NetCounts {
        self.counts
    }

    /// Folds in what is on the way.
    pub fn hash_into(&self, hash: &mut StateHash) {
        for ((due, number), (link, _)) in &self.steps {
            hash.word(due.0);
            hash.word(*number);
            hash.word(link.0);
        }
        hash.word(self.next_link);
        hash.word(self.rng.clone().next_u64());
    }

    fn happen(&mut self, now: Mono, link: LinkId, step: Step, disk: &VirtualDisk, out: &mut Vec<Arrival>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let (shard, conn) = (state.shard, state.conn);
        match step {
            Step::Accept => {
                state.known = Known::Open;
                let peer = SocketAddr::from(([127, 0, 0, 1], 1024 + (link.0 % 60_000) as u16));
                out.push(Arrival::Shard(shard, ToShard::Accepted { conn, peer }));
            }
            Step::Up(_) if state.broken || state.closing => {}
            Step::Up(bytes) if state.paused && !self.rng.one_in(8) => state.held.push_back(bytes),
            Step::Up(bytes) if !state.held.is_empty() => state.held.push_back(bytes),
            Step::Up(bytes) => {
                self.counts.pieces += 1;
                out.push(Arrival::Shard(shard, ToShard::Received { conn, bytes }));
            }
            Step::Unhold if state.paused || state.broken || state.closing => {}
            Step::Unhold => {
                for bytes in state.held.drain(..) {
                    out.push(Arrival::Shard(shard, ToShard::Received { conn, bytes }));
                }
            }
            Step::UpEnd | Step::Fail => self.close(now, link, out),
            Step::Send => self.send_piece(now, link, disk, out),
            Step::Down(bytes) => {
                if !state.vanished {
                    out.push(Arrival::Bytes(link, bytes));
                }
            }
            Step::DownEnd => {
                let vanished = state.vanished;
                self.links.remove(&link);
                if !vanished {
                    out.push(Arrival::Gone(link));
                }
            }
        }
    }

    /// The connection ends for the shard, which is told unless it has been; then for the client.
    fn close(&mut self, now: Mono, link: LinkId, out: &mut Vec<Arrival>) {
        let state = self.links.get_mut(&link).expect("looked up by the caller");
        state.broken = true;
        state.sending = None;
        let (shard, conn) = (state.shard, state.conn);
        if state.known == Known::Open {
            state.known = Known::Closed;
            out.push(Arrival::Shard(shard, ToShard::Closed { conn }));
            let due = self.down_due(link, now);
            self.at(due, link, Step::DownEnd);
        }
    }

    /// One piece of the send in flight leaves; bytes in files are read at this very moment.
    fn send_piece(&mut self, now: Mono, link: LinkId, disk: &VirtualDisk, out: &mut Vec<Arrival>) {
        let state = self.links.get_mut(&link).expect("looked up by the caller");
        if state.broken {
            return;
        }
        if state.vanished && state.sent_bytes > WINDOW_BYTES {
            let due = now.plus_ms(SEND_TIMEOUT_MS);
            self.at(due, link, Step::Fail);
            return;
        }
        let parts = state.sending.as_mut().expect("a send is in flight");
        let piece_max = 1 + self.rng.below(PIECE_BYTES_MAX);
        let Some(piece) = take_piece(parts, piece_max, disk) else {
            let (shard, conn, closing) = (state.shard, state.conn, state.closing);
            state.sending = None;
            self.counts.sends += 1;
            if closing {
                self.at(Mono(now.0 + 1), link, Step::Fail);
            } else {
                out.push(Arrival::Shard(shard, ToShard::Sent { conn }));
            }
            return;
        };
        if piece.from_file {
            self.counts.file_bytes += piece.bytes.len() as u64;
        }
        state.sent_bytes += piece.bytes.len() as u64;
        let due = self.down_due(link, now);
        self.at(due, link, Step::Down(piece.bytes.to_vec()));
        let next = Mono(due.0 + 1);
        self.at(next, link, Step::Send);
    }

    fn at(&mut self, due: Mono, link: LinkId, step: Step) {
        self.next_step += 1;
        self.steps.insert((due, self.next_step), (link, step));
    }

    fn up_due(&mut self, link: LinkId, now: Mono) -> Mono {
        let state = self.links.get_mut(&link).expect("the caller has it");
        let due = now.0 + 1 + self.rng.below(state.mood.delay_ns_max);
        state.up_due = state.up_due.max(Mono(due));
        state.up_due
    }

    fn down_due(&mut self, link: LinkId, now: Mono) -> Mono {
        let state = self.links.get_mut(&link).expect("the caller has it");
        let due = now.0 + 1 + self.rng.below(state.mood.read_delay_ns_max);
        state.down_due = state.down_due.max(Mono(due));
        state.down_due
    }
}

impl Link {
    fn new(shard: ShardId, conn: ConnId, mood: LinkMood, now: Mono) -> Link {
        Link {
            shard,
            conn,
            mood,
            known: Known::NotYet,
            closing: false,
            broken: false,
            paused: false,
            held: VecDeque::new(),
            vanished: false,
            sending: None,
            sent_bytes: 0,
            up_due: now,
            down_due: now,
        }
    }
}

struct Piece {
    bytes: Bytes,
    from_file: bool,
}

/// The next bytes of a send, at most `piece_max`; `None` when nothing is left.
fn take_piece(parts: &mut VecDeque<SendPart>, piece_max: u64, disk: &VirtualDisk) -> Option<Piece> {
    while parts.front()?.is_empty() {
        parts.pop_front();
    }
    match parts.front_mut()? {
        SendPart::Memory(bytes) => {
            let len = bytes.len().min(piece_max as usize);
            Some(Piece { bytes: bytes.split_to(len), from_file: false })
        }
        SendPart::File { file, offset, len } => {
            let take = piece_max.min(u64::from(*len));
            let bytes = disk.send_file(file, *offset, take);
            assert_eq!(bytes.len() as u64, take, "a response reaches beyond its segment");
            *offset += take;
            *len -= take as u32;
            Some(Piece { bytes, from_file: true })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOOD: LinkMood = LinkMood { delay_ns_max: 1000, pieces_max: 9, read_delay_ns_max: 1000 };

    struct Bench {
        net: Network,
        disk: VirtualDisk,
        now: Mono,
    }

    impl Bench {
        fn new(seed: u64) -> Bench {
            let disk = VirtualDisk::new(Rng::new(seed), 1 << 20);
            Bench { net: Network::new(Rng::new(seed)), disk, now: Mono(0) }
        }

        fn drain(&mut self) -> Vec<Arrival> {
            let mut out = Vec::new();
            while let Some(due) = self.net.next_due() {
                self.now = due;
                self.net.advance(due, &self.disk, &mut out);
            }
            out
        }

        fn open(&mut self) -> (LinkId, ConnId) {
            let link = self.net.connect(self.now, ShardId(0), MOOD);
            match self.drain().pop() {
                Some(Arrival::Shard(_, ToShard::Accepted { conn, .. })) => (link, conn),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn streams_keep_their_bytes_and_order_in_pieces() {
        let mut bench = Bench::new(1);
        let (link, conn) = bench.open();
        let sent: Vec<u8> = (0..2000).map(|n| n as u8).collect();
        bench.net.send(bench.now, link, &sent[..700]);
        bench.net.send(bench.now, link, &sent[700..]);
        let mut got = Vec::new();
        let mut pieces = 0;
        for arrival in bench.drain() {
            let Arrival::Shard(ShardId(0), ToShard::Received { conn: at, bytes }) = arrival else { panic!() };
            assert_eq!(at, conn);
            got.extend(bytes);
            pieces += 1;
        }
        assert_eq!(got, sent);
        assert!(pieces > 2, "{pieces}");
    }

    #[test]
    fn a_send_is_told_once_and_a_close_waits_for_it() {
        let mut bench = Bench::new(2);
        let (link, conn) = bench.open();
        let parts = vec![
            SendPart::Memory(Bytes::from(vec![1; 200_000])),
            SendPart::Memory(Bytes::from_static(b"end")),
        ];
        bench.net.apply(bench.now, ShardId(0), NetEffect::Send { conn, parts });
        bench.net.apply(bench.now, ShardId(0), NetEffect::Close { conn });
        let mut got = Vec::new();
        let mut ends = Vec::new();
        for arrival in bench.drain() {
            match arrival {
                Arrival::Bytes(at, bytes) => {
                    assert_eq!(at, link);
                    got.extend(bytes);
                }
                other => ends.push(format!("{other:?}")),
            }
        }
        assert_eq!(got.len(), 200_003);
        assert_eq!(ends.len(), 2, "{ends:?}");
        assert!(ends[0].contains("Closed") && ends[1].contains("Gone"), "{ends:?}");
    }

    #[test]
    fn a_vanished_client_blocks_a_large_send_until_it_times_out() {
        let mut bench = Bench::new(3);
        let (link, conn) = bench.open();
        bench.net.vanish(link);
        let parts = vec![SendPart::Memory(Bytes::from(vec![1; 1 << 20]))];
        bench.net.apply(bench.now, ShardId(0), NetEffect::Send { conn, parts });
        let arrivals = bench.drain();
        assert!(matches!(arrivals[..], [Arrival::Shard(_, ToShard::Closed { .. })]), "{arrivals:?}");
        assert!(bench.now >= Mono(0).plus_ms(SEND_TIMEOUT_MS));
    }

    #[test]
    fn a_pause_holds_bytes_back_without_changing_their_order() {
        let mut bench = Bench::new(5);
        let (link, conn) = bench.open();
        let sent: Vec<u8> = (0..3000).map(|n| (n / 7) as u8).collect();
        bench.net.apply(bench.now, ShardId(0), NetEffect::Pause { conn });
        bench.net.send(bench.now, link, &sent[..2000]);
        let mut arrivals = bench.drain();
        bench.net.send(bench.now, link, &sent[2000..]);
        bench.net.apply(bench.now, ShardId(0), NetEffect::Resume { conn });
        arrivals.extend(bench.drain());
        let got = arrivals.into_iter().flat_map(|arrival| match arrival {
            Arrival::Shard(_, ToShard::Received { bytes, .. }) => bytes,
            other => panic!("{other:?}"),
        });
        assert_eq!(got.collect::<Vec<u8>>(), sent);
    }

    #[test]
    fn closed_comes_once_and_slots_are_used_again_with_a_new_generation() {
        let mut bench = Bench::new(4);
        let (link, conn) = bench.open();
        bench.net.hang_up(bench.now, link, true);
        bench.net.apply(bench.now, ShardId(0), NetEffect::Close { conn });
        let closed =
            bench.drain().iter().filter(|a| matches!(a, Arrival::Shard(_, ToShard::Closed { .. }))).count();
        assert_eq!(closed, 1);
        bench.net.closed_applied(ShardId(0), conn);
        let (_, again) = bench.open();
        assert_eq!(again.slot, conn.slot);
        assert_ne!(again.generation, conn.generation);
    }
}
