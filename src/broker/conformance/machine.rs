//! The machine of the conformance scripts: a server with a protocol of its own that uses everything a shell offers.
//!
//! Requests, each answered on its connection in the order of asking:
//!
//! ```text
//! 0  4  length of what follows, little endian, as all numbers
//! 4  1  what to do                       answer
//!    E  payload                          the payload
//!    B  length (4)                       that many bytes of a pattern
//!    D  payload                          its place in the file (4) and the payload, once it is on disk
//!    R  place (4), length (4)            that part of the file, read past the cache
//!    S  count (4)                        the first one's place (4), once so many blocks are written, each by itself,
//!                                        and the file is synced
//!    F  length (4)                       the pattern, its middle third from the file
//!    T  milliseconds (4), payload        the payload, after that time
//!    W  milliseconds (4)                 the time waited (4), after that time
//!    M  hop (2), count (4)               count (4), once so many messages went to the shard `hop` further and back
//!    X  number (4)                       "ok", after a tour of all operations on small files
//!    P  milliseconds (4)                 none; reads no more for that time
//!    C                                   none; closes
//! ```
//!
//! It asserts what it may expect of a shell: events of a connection between `Accepted` and `Closed`, one `Sent` for
//! one `Send`, answers to operations it asked for, messages in order.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer, block_ceil};
use corelane_base::id::{ConnId, ShardId};
use corelane_base::time::{Mono, Now};
use corelane_log::disk::{DiskOp, DiskOutcome, DiskToken, FileHandle};
use corelane_node::event::{Effects, Event, Lifecycle, NetEffect};
use corelane_node::mesh::MeshMessage;
use corelane_node::send::SendPart;

use crate::machine::Machine;

/// How much of the pattern lies in the file.
pub const PATTERN_BYTES: usize = 1 << 20;
/// The file's size; the pattern lies at its end.
const FILE_BYTES: u64 = 16 << 20;
const PATTERN_AT: u64 = FILE_BYTES - PATTERN_BYTES as u64;
/// Larger requests are our own scripts' mistake.
const REQUEST_BYTES_MAX: usize = 8 << 20;

/// Bytes that repeat with no power of two, differently for each seed.
#[must_use]
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| seed.wrapping_add(at)).map(|at| (at % 251) as u8 ^ (at / 251) as u8).collect()
}

/// A request of the protocol above.
#[must_use]
pub fn request(what: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32 + 1).to_le_bytes();
    [len.as_slice(), &[what], payload].concat()
}

/// Names a request over all connections.
type Ask = u64;

#[derive(Debug)]
struct Session {
    id: ConnId,
    inbox: BytesMut,
    /// Answers in the order of the requests; `None` until known.
    answers: VecDeque<(Ask, Option<Vec<SendPart>>)>,
    sending: bool,
    paused: bool,
    /// Close once everything asked before is answered.
    closing: bool,
    closed: bool,
}

/// Whether an operation gave what it must.
type Check = fn(&DiskOutcome) -> bool;

/// What a disk operation was for.
#[derive(Debug)]
enum Purpose {
    Create,
    Pattern,
    Commit(Vec<(Ask, Bytes, u64)>),
    Scattered(Ask),
    Sync { ask: Ask, place: u32 },
    Read(Ask),
    Middle { ask: Ask, len: usize },
    Tour { ask: Ask, check: Check },
}

#[derive(Debug)]
enum Alarm {
    Answer(Ask, Bytes),
    Waited(Ask, Mono),
    Resume(ConnId),
}

/// The machine.
#[derive(Debug)]
pub struct ProbeMachine {
    shard: u16,
    shards: u16,
    sessions: BTreeMap<u32, Session>,
    next_ask: Ask,
    file: Option<FileHandle>,
    operations: BTreeMap<DiskToken, Purpose>,
    /// Waiting for the next group commit.
    to_write: Vec<(Ask, Bytes)>,
    committing: bool,
    write_at: u64,
    alarms: BTreeMap<(Mono, u64), Alarm>,
    /// Messages of a request that came back so far, and how many there are.
    trips: BTreeMap<Ask, (u32, u32)>,
    /// Operations of a tour still to come.
    tours: BTreeMap<Ask, u32>,
    /// Blocks of a scattered write still to come, and the first one's place.
    scattered: BTreeMap<Ask, (u32, u64)>,
    draining: bool,
    drained: bool,
}

impl ProbeMachine {
    /// The machine of `shard` of `shards`.
    #[must_use]
    pub fn new(shard: u16, shards: u16) -> ProbeMachine {
        ProbeMachine {
            shard,
            shards,
            sessions: BTreeMap::new(),
            next_ask: 0,
            file: None,
            operations: BTreeMap::new(),
            to_write: Vec::new(),
            committing: false,
            write_at: 0,
            alarms: BTreeMap::new(),
            trips: BTreeMap::new(),
            tours: BTreeMap::new(),
            scattered: BTreeMap::new(),
            draining: false,
            drained: false,
        }
    }

    fn ask_disk(&mut self, fx: &mut Effects, op: DiskOp, purpose: Purpose) {
        let token = fx.disk.push(u32::from(self.shard), op);
        assert!(self.operations.insert(token, purpose).is_none(), "tokens are fresh");
    }

    fn file(&self) -> FileHandle {
        self.file.clone().expect("requests come after the file is open")
    }

    fn session(&mut self, conn: ConnId) -> &mut Session {
        let session = self.sessions.get_mut(&conn.slot).expect("events come between Accepted and Closed");
        assert_eq!(session.id, conn, "a slot is reused with a new generation");
        session
    }

    fn on_received(&mut self, now: Now, conn: ConnId, bytes: &[u8], fx: &mut Effects) {
        assert!(!bytes.is_empty(), "an event without news");
        let session = self.session(conn);
        if session.closed {
            return;
        }
        session.inbox.extend_from_slice(bytes);
        self.take_requests(now, conn, fx);
    }

    /// Serves the whole requests in the inbox. A paused connection's bytes wait: some may arrive after the pause.
    fn take_requests(&mut self, now: Now, conn: ConnId, fx: &mut Effects) {
        loop {
            let session = self.session(conn);
            if session.paused || session.closing || session.closed || session.inbox.len() < 4 {
                return;
            }
            let len = u32::from_le_bytes(session.inbox[..4].try_into().expect("four bytes")) as usize;
            assert!((1..=REQUEST_BYTES_MAX).contains(&len), "scripts send sound requests");
            if session.inbox.len() < 4 + len {
                session.inbox.reserve(4 + len - session.inbox.len());
                return;
            }
            session.inbox.advance(4);
            let frame = session.inbox.split_to(len).freeze();
            self.on_request(now, conn, frame[0], frame.slice(1..), fx);
        }
    }

    fn on_request(&mut self, now: Now, conn: ConnId, what: u8, mut payload: Bytes, fx: &mut Effects) {
        let ask = self.next_ask;
        self.next_ask += 1;
        let session = self.session(conn);
        match what {
            b'P' => {
                session.paused = true;
                fx.net.push(NetEffect::Pause { conn });
                let at = now.mono.plus_ms(u64::from(payload.get_u32_le()));
                self.alarms.insert((at, ask), Alarm::Resume(conn));
                return;
            }
            b'C' => {
                session.closing = true;
                return;
            }
            _ => session.answers.push_back((ask, None)),
        }
        match what {
            b'E' => self.answer(ask, payload),
            b'B' => self.answer(ask, pattern(0, payload.get_u32_le() as usize).into()),
            b'D' => self.to_write.push((ask, payload)),
            b'R' => {
                let (offset, len) = (u64::from(payload.get_u32_le()), payload.get_u32_le());
                self.ask_disk(fx, DiskOp::Read { file: self.file(), offset, len }, Purpose::Read(ask));
            }
            b'S' => self.scatter(ask, payload.get_u32_le(), fx),
            b'F' => {
                let len = payload.get_u32_le() as usize;
                let (offset, third) = (PATTERN_AT + (len / 3) as u64, (len / 3) as u32);
                let file = self.file();
                let op = DiskOp::ReadHistory { file, offset, len: third, read_ahead: 256 * 1024 };
                self.ask_disk(fx, op, Purpose::Middle { ask, len });
            }
            b'T' => {
                let at = now.mono.plus_ms(u64::from(payload.get_u32_le()));
                self.alarms.insert((at, ask), Alarm::Answer(ask, payload));
            }
            b'W' => {
                let at = now.mono.plus_ms(u64::from(payload.get_u32_le()));
                self.alarms.insert((at, ask), Alarm::Waited(ask, now.mono));
            }
            b'M' => self.send_round(ask, payload.get_u16_le(), payload.get_u32_le(), fx),
            b'X' => self.tour(ask, payload.get_u32_le(), fx),
            other => panic!("scripts do not ask for {other:#x}"),
        }
    }

    fn answer(&mut self, ask: Ask, bytes: Bytes) {
        self.answer_parts(ask, vec![SendPart::Memory(bytes)]);
    }

    /// Notes the answer to a request whose connection may be gone.
    fn answer_parts(&mut self, ask: Ask, parts: Vec<SendPart>) {
        let answers = self.sessions.values_mut().flat_map(|session| &mut session.answers);
        if let Some((_, answer)) = answers.into_iter().find(|(of, _)| *of == ask) {
            assert!(answer.is_none(), "one answer a request");
            *answer = Some(parts);
        }
    }

    fn send_round(&mut self, ask: Ask, hop: u16, count: u32, fx: &mut Effects) {
        assert!(!hop.is_multiple_of(self.shards), "scripts send to other shards");
        let to = ShardId((self.shard + hop) % self.shards);
        self.trips.insert(ask, (0, count));
        for number in 0..count {
            fx.mesh.push((to, MeshMessage::MetadataApplied { version: ask << 32 | u64::from(number) }));
        }
    }

    /// Messages carry the request and a number; those on their way back have the highest bit set.
    fn on_mesh(&mut self, from: ShardId, version: u64, fx: &mut Effects) {
        const BACK: u64 = 1 << 63;
        if version & BACK == 0 {
            fx.mesh.push((from, MeshMessage::MetadataApplied { version: version | BACK }));
            return;
        }
        let (ask, number) = ((version & !BACK) >> 32, version as u32);
        let (seen, count) = self.trips.get_mut(&ask).expect("a message comes back once");
        assert_eq!(*seen, number, "messages keep their order");
        *seen += 1;
        if seen == count {
            let count = *count;
            self.trips.remove(&ask);
            self.answer(ask, Bytes::copy_from_slice(&count.to_le_bytes()));
        }
    }

    /// Writes `count` blocks of the pattern in as many operations, the last one first.
    fn scatter(&mut self, ask: Ask, count: u32, fx: &mut Effects) {
        let size = BLOCK_BYTES * count as usize;
        let mut buffer = aligned_buffer(size);
        buffer.extend_from_slice(&pattern(0, size));
        let (whole, first) = (buffer.freeze(), self.take_room(size as u64));
        self.scattered.insert(ask, (count, first));
        for index in (0..count as usize).rev() {
            let offset = first + (index * BLOCK_BYTES) as u64;
            let parts = vec![whole.slice(index * BLOCK_BYTES..(index + 1) * BLOCK_BYTES)];
            let op = DiskOp::Write { file: self.file(), offset, parts, sync: index % 2 == 0 };
            self.ask_disk(fx, op, Purpose::Scattered(ask));
        }
    }

    /// A fresh part of the file.
    fn take_room(&mut self, size: u64) -> u64 {
        let offset = self.write_at;
        self.write_at += size;
        assert!(self.write_at <= PATTERN_AT, "scripts fit the file");
        offset
    }

    /// Asks for everything at once: the shell keeps operations on the same paths in order.
    fn tour(&mut self, ask: Ask, number: u32, fx: &mut Effects) {
        let dir = format!("tour-{}-{number}", self.shard);
        let (a, b) = (format!("{dir}/a"), format!("{dir}/deep/b"));
        let data = Bytes::from_static(b"content");
        let done: Check = |outcome| matches!(outcome, DiskOutcome::Done);
        let steps: [(DiskOp, Check); 11] = [
            (DiskOp::List { path: dir.clone() }, |o| matches!(o, DiskOutcome::Listed(all) if all.is_empty())),
            (DiskOp::ReadFile { path: a.clone(), bytes_max: 100 }, |o| matches!(o, DiskOutcome::File(None))),
            (DiskOp::WriteFile { path: a.clone(), data: Bytes::from_static(b"old") }, done),
            (DiskOp::WriteFile { path: a.clone(), data }, done),
            (DiskOp::ReadFile { path: a.clone(), bytes_max: 7 }, is_content),
            (DiskOp::Rename { from: a.clone(), to: b.clone() }, done),
            (DiskOp::ReadFile { path: a, bytes_max: 7 }, |o| matches!(o, DiskOutcome::File(None))),
            (DiskOp::ReadFile { path: b, bytes_max: 7 }, is_content),
            (
                DiskOp::List { path: dir.clone() },
                |o| matches!(o, DiskOutcome::Listed(all) if all.len() == 1 && all[0].name == "deep" && all[0].is_dir),
            ),
            (DiskOp::Remove { path: dir }, done),
            (
                DiskOp::Space,
                |o| matches!(o, DiskOutcome::Space { total, free } if free <= total && *total > 0),
            ),
        ];
        self.tours.insert(ask, steps.len() as u32);
        for (op, check) in steps {
            self.ask_disk(fx, op, Purpose::Tour { ask, check });
        }
    }

    fn on_disk(&mut self, token: DiskToken, outcome: DiskOutcome, fx: &mut Effects) {
        match self.operations.remove(&token).expect("each operation is answered once") {
            Purpose::Create => {
                let DiskOutcome::Opened { file, len } = outcome else { panic!("not opened: {outcome:?}") };
                assert_eq!(len, FILE_BYTES);
                self.file = Some(file.clone());
                let mut buffer = aligned_buffer(PATTERN_BYTES);
                buffer.extend_from_slice(&pattern(0, PATTERN_BYTES));
                // Two parts that do not touch in memory's order of asking, one write.
                let tail = buffer.split_off(PATTERN_BYTES / 2);
                let parts = vec![buffer.freeze(), tail.freeze()];
                let op = DiskOp::Write { file, offset: PATTERN_AT, parts, sync: true };
                self.ask_disk(fx, op, Purpose::Pattern);
            }
            Purpose::Pattern => {
                assert!(matches!(outcome, DiskOutcome::Done), "not written: {outcome:?}");
                fx.lifecycle.push(Lifecycle::Ready);
            }
            Purpose::Commit(written) => {
                assert!(matches!(outcome, DiskOutcome::Done), "not written: {outcome:?}");
                self.committing = false;
                for (ask, payload, at) in written {
                    let place = Bytes::copy_from_slice(&(at as u32).to_le_bytes());
                    self.answer_parts(ask, vec![SendPart::Memory(place), SendPart::Memory(payload)]);
                }
            }
            Purpose::Scattered(ask) => {
                assert!(matches!(outcome, DiskOutcome::Done), "not written: {outcome:?}");
                let (left, first) = self.scattered.get_mut(&ask).expect("a scattered write under way");
                *left -= 1;
                if *left == 0 {
                    let place = *first as u32;
                    self.scattered.remove(&ask);
                    self.ask_disk(fx, DiskOp::Sync { file: self.file() }, Purpose::Sync { ask, place });
                }
            }
            Purpose::Sync { ask, place } => {
                assert!(matches!(outcome, DiskOutcome::Done), "not synced: {outcome:?}");
                self.answer(ask, Bytes::copy_from_slice(&place.to_le_bytes()));
            }
            Purpose::Read(ask) => {
                let DiskOutcome::Read(bytes) = outcome else { panic!("not read: {outcome:?}") };
                self.answer(ask, bytes);
            }
            Purpose::Middle { ask, len } => {
                let whole = Bytes::from(pattern(0, len));
                let (start, end) = (len / 3, len / 3 * 2);
                let (offset, len) = (PATTERN_AT + start as u64, (end - start) as u32);
                let middle = match outcome {
                    DiskOutcome::Resident => SendPart::File { file: self.file(), offset, len },
                    DiskOutcome::Read(bytes) => SendPart::Memory(bytes),
                    other => panic!("neither resident nor read: {other:?}"),
                };
                let (head, tail) = (whole.slice(..start), whole.slice(end..));
                self.answer_parts(ask, vec![SendPart::Memory(head), middle, SendPart::Memory(tail)]);
            }
            Purpose::Tour { ask, check } => {
                assert!(check(&outcome), "an operation on small files gave {outcome:?}");
                let left = self.tours.get_mut(&ask).expect("a tour under way");
                *left -= 1;
                if *left == 0 {
                    self.tours.remove(&ask);
                    self.answer(ask, Bytes::from_static(b"ok"));
                }
            }
        }
    }

    /// Writes what has gathered since the last commit began.
    fn commit(&mut self, fx: &mut Effects) {
        if self.committing || self.to_write.is_empty() {
            return;
        }
        self.committing = true;
        let gathered: usize = self.to_write.iter().map(|(_, payload)| payload.len()).sum();
        let size = block_ceil(gathered as u64);
        let mut buffer = aligned_buffer(size as usize);
        let mut written = Vec::new();
        for (ask, payload) in self.to_write.drain(..) {
            let at = self.write_at + buffer.len() as u64;
            buffer.extend_from_slice(&payload);
            written.push((ask, payload, at));
        }
        buffer.resize(size as usize, 0);
        let offset = self.take_room(size);
        let op = DiskOp::Write { file: self.file(), offset, parts: vec![buffer.freeze()], sync: true };
        self.ask_disk(fx, op, Purpose::Commit(written));
    }

    fn on_timer(&mut self, now: Now, fx: &mut Effects) {
        while let Some(alarm) = self.alarms.first_entry().filter(|first| first.key().0 <= now.mono) {
            match alarm.remove() {
                Alarm::Answer(ask, payload) => self.answer(ask, payload),
                Alarm::Waited(ask, since) => {
                    let ms = now.mono.since(since).as_millis() as u32;
                    self.answer(ask, Bytes::copy_from_slice(&ms.to_le_bytes()));
                }
                Alarm::Resume(conn) => {
                    let there = self.sessions.get(&conn.slot).is_some_and(|session| session.id == conn);
                    if there {
                        self.session(conn).paused = false;
                        fx.net.push(NetEffect::Resume { conn });
                        self.take_requests(now, conn, fx);
                    }
                }
            }
        }
    }

    /// Sends the answers whose turn has come.
    fn send(&mut self, fx: &mut Effects) {
        for session in self.sessions.values_mut().filter(|session| !session.closed && !session.sending) {
            let mut parts = Vec::new();
            while session.answers.front().is_some_and(|(_, answer)| answer.is_some()) {
                let (_, answer) = session.answers.pop_front().expect("looked at just before");
                parts.extend(answer.into_iter().flatten());
            }
            let conn = session.id;
            if !parts.is_empty() {
                session.sending = true;
                fx.net.push(NetEffect::Send { conn, parts });
            }
            if session.closing && session.answers.is_empty() {
                session.closed = true;
                fx.net.push(NetEffect::Close { conn });
            }
        }
    }
}

fn is_content(outcome: &DiskOutcome) -> bool {
    matches!(outcome, DiskOutcome::File(Some(bytes)) if bytes == &b"content"[..])
}

impl Machine for ProbeMachine {
    fn start(&mut self, _now: Now, fx: &mut Effects) {
        let path = format!("probe/{}", self.shard);
        self.ask_disk(fx, DiskOp::CreateSegment { path, bytes: FILE_BYTES }, Purpose::Create);
    }

    fn apply(&mut self, now: Now, event: Event<'_>, fx: &mut Effects) {
        match event {
            Event::Accepted { conn, peer } => {
                assert_ne!(peer.port(), 0, "the peer's address is told");
                let session = Session {
                    id: conn,
                    inbox: BytesMut::new(),
                    answers: VecDeque::new(),
                    sending: false,
                    paused: false,
                    closing: false,
                    closed: false,
                };
                assert!(self.sessions.insert(conn.slot, session).is_none(), "slots are not shared");
            }
            Event::Received { conn, bytes } => self.on_received(now, conn, bytes, fx),
            Event::Sent { conn } => {
                let session = self.sessions.get_mut(&conn.slot).expect("Sent comes before Closed");
                assert_eq!(session.id, conn, "Sent names the connection that sends");
                assert!(std::mem::take(&mut session.sending), "one Sent for each Send");
            }
            Event::Closed { conn } => {
                let session = self.sessions.remove(&conn.slot).expect("one Closed for each Accepted");
                assert_eq!(session.id, conn, "Closed names the connection in the slot");
            }
            Event::Disk { token, result } => {
                let outcome = result.expect("the disk of a conformance run is sound");
                self.on_disk(token, outcome, fx);
            }
            Event::Mesh { from, message } => {
                let MeshMessage::MetadataApplied { version } = message else {
                    panic!("nobody sends {message:?}");
                };
                self.on_mesh(from, version, fx);
            }
            Event::Timer => self.on_timer(now, fx),
            Event::Shutdown => self.draining = true,
        }
    }

    fn end_turn(&mut self, _now: Now, fx: &mut Effects) {
        self.commit(fx);
        self.send(fx);
        let idle = self.operations.is_empty() && self.to_write.is_empty() && self.alarms.is_empty();
        if self.draining && !self.drained && idle && self.trips.is_empty() {
            self.drained = true;
            fx.lifecycle.push(Lifecycle::Drained);
        }
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.alarms.first_key_value().map(|((at, _), _)| *at)
    }
}
