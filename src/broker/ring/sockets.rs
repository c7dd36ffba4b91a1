//! The connections of one shard: accept, receive, send, close.
//!
//! A connection's way, with what moves it on:
//!
//! | state | cause | next |
//! |---|---|---|
//! | open | end of stream, or `Close` while a send is under way | lingering |
//! | open | error, or `Close` otherwise | closing |
//! | lingering | the send is out, failed, or took `LINGER_MS` | closing |
//! | closing | the last operation has completed | gone: `Event::Closed`, slot free |
//!
//! A peer that has shut down its writing half still gets the response that is under way, and nothing after it, as
//! with Kafka. One operation at a time sends on a connection: a vectored send for memory, `sendfile` on the
//! non-blocking socket for files, and a wait for writability when that would block. Files are served round robin,
//! [`FILE_STEP_BYTES`] a connection and turn, so that a catch-up reader delays its neighbours by microseconds.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use corelane_base::id::ConnId;
use corelane_base::time::Mono;
use corelane_node::event::{Event, NetEffect};
use io_uring::{opcode, squeue, types};
use rustix::io::Errno;

use crate::ring::RingCounters;
use crate::ring::connection::{Connection, Recv, Stage, Step};
use crate::ring::recv_buffers::{GROUP, RecvBuffers};
use crate::ring::segment_file::SegmentFile;
use crate::ring::uring::{Completion, Kind, Uring, user_data};

/// How much of a file goes out in one step. Measured: larger steps are no faster and delay the neighbours.
const FILE_STEP_BYTES: u32 = 64 * 1024;
/// How long a response under way may take once its connection is to be closed.
pub(super) const LINGER_MS: u64 = 30_000;
/// How long to wait before accepting again when descriptors or memory ran out.
const ACCEPT_RETRY_MS: u64 = 100;

#[derive(Default)]
struct Slot {
    /// How often the slot was taken.
    generation: u32,
    connection: Option<Box<Connection>>,
}

/// The listener of a shard.
struct Listener {
    socket: OwnedFd,
    /// Whether an accept is under way.
    armed: bool,
    /// No new connections; gone once the accept has ended.
    stopping: bool,
    /// When to accept again after descriptors ran out.
    retry_at: Option<Mono>,
}

/// All connections of a shard.
pub(super) struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
    buffers: RecvBuffers,
    listener: Option<Listener>,
    /// Slots whose receive ended and is to be armed again, first come first served.
    rearm: VecDeque<u32>,
    /// Slots with a step to take that needs no completion: a file to send, an empty send to report.
    steps: VecDeque<u32>,
    /// When lingering connections are cut off, in order.
    linger: VecDeque<(Mono, ConnId)>,
}

impl Sockets {
    pub fn new(uring: &Uring) -> io::Result<Sockets> {
        Ok(Sockets {
            slots: Vec::new(),
            free: Vec::new(),
            buffers: RecvBuffers::new(uring)?,
            listener: None,
            rearm: VecDeque::new(),
            steps: VecDeque::new(),
            linger: VecDeque::new(),
        })
    }

    pub fn listen(&mut self, uring: &mut Uring, socket: OwnedFd) {
        assert!(self.listener.is_none(), "a shard has one listener");
        self.listener = Some(Listener { socket, armed: false, stopping: false, retry_at: None });
        self.arm_accept(uring);
    }

    pub fn stop_listening(&mut self, uring: &mut Uring) {
        let Some(listener) = &mut self.listener else { return };
        if listener.armed && !listener.stopping {
            listener.stopping = true;
            cancel(uring, user_data(Kind::Accept, 0));
        } else if !listener.armed {
            self.listener = None;
        }
    }

    pub fn carry_out(&mut self, uring: &mut Uring, now: Mono, effect: NetEffect) {
        match effect {
            NetEffect::Send { conn, parts } => {
                let Some(connection) = self.find(conn) else { return };
                if connection.stage == Stage::Open {
                    connection.begin_send(parts);
                    self.steps.push_back(conn.slot);
                }
            }
            NetEffect::Close { conn } => {
                let Some(connection) = self.find(conn) else { return };
                if connection.stage == Stage::Open {
                    self.close_after_send(uring, now, conn);
                }
            }
            NetEffect::Pause { conn } => {
                let Some(connection) = self.find(conn) else { return };
                connection.paused = true;
                if connection.recv == Recv::Armed {
                    connection.recv = Recv::Cancelling;
                    cancel(uring, user_data(Kind::Recv, conn.slot));
                }
            }
            NetEffect::Resume { conn } => {
                let Some(connection) = self.find(conn) else { return };
                connection.paused = false;
                self.rearm.push_back(conn.slot);
            }
        }
    }

    pub fn on_accept(
        &mut self,
        uring: &mut Uring,
        now: Mono,
        counters: &mut RingCounters,
        c: Completion,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let Some(listener) = &mut self.listener else { return };
        listener.armed = c.more();
        let stopping = listener.stopping;
        if stopping && !c.more() {
            self.listener = None;
        }
        if c.result < 0 {
            let short = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM].contains(&-c.result);
            if short {
                counters.accept_refused += 1;
                if let Some(listener) = &mut self.listener {
                    listener.retry_at = Some(now.plus_ms(ACCEPT_RETRY_MS));
                }
                return;
            }
        } else {
            // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
            let socket = unsafe { OwnedFd::from_raw_fd(c.result) };
            if !stopping {
                self.open(uring, counters, socket, sink);
            }
        }
        if !stopping && !c.more() {
            self.arm_accept(uring);
        }
    }

    fn open(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        socket: OwnedFd,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        // Fails if the peer has gone already: then nobody came.
        let Ok(Some(Ok(peer))) = rustix::net::getpeername(&socket).map(|peer| peer.map(TryInto::try_into))
        else {
            return;
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let conn = ConnId { slot: index, generation: slot.generation };
        slot.connection = Some(Box::new(Connection::new(socket, conn)));
        counters.accepted += 1;
        sink(Event::Accepted { conn, peer });
        self.arm_recv(uring, index);
    }

    pub fn on_recv(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        c: Completion,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let index = c.slot();
        let connection = self.at(index);
        let (conn, stage) = (connection.id, connection.stage);
        if !c.more() {
            connection.recv = Recv::Idle;
        }
        if let Some(buffer) = c.buffer() {
            let len = usize::try_from(c.result).unwrap_or(0);
            counters.bytes_in += len as u64;
            if stage == Stage::Open && len > 0 {
                sink(Event::Received { conn, bytes: self.buffers.bytes(buffer, len) });
            }
            self.buffers.recycle(buffer);
        }
        match -c.result {
            _ if stage == Stage::Closing => self.finish_if_quiet(counters, index, sink),
            // The end of the stream. What came before it may be answered in this turn, so the close waits for the next.
            0 => {
                self.at(index).ended = true;
                self.steps.push_back(index);
            }
            libc::ENOBUFS => {
                counters.recv_starved += 1;
                self.rearm.push_back(index);
            }
            error if error > 0 && ![libc::ECANCELED, libc::EINTR, libc::EAGAIN].contains(&error) => {
                self.close_now(uring, index);
                self.finish_if_quiet(counters, index, sink);
            }
            _ if !c.more() => self.rearm.push_back(index),
            _ => {}
        }
    }

    pub fn on_send(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        c: Completion,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let index = c.slot();
        let connection = self.at(index);
        connection.op_under_way = false;
        match usize::try_from(c.result) {
            Ok(count) => {
                counters.bytes_out += count as u64;
                connection.advance(count);
            }
            Err(_) if matches!(-c.result, libc::EINTR | libc::EAGAIN) => {}
            Err(_) => self.close_now(uring, index),
        }
        self.step(uring, counters, index, sink);
    }

    pub fn on_writable(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        c: Completion,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        self.at(c.slot()).op_under_way = false;
        self.step(uring, counters, c.slot(), sink);
    }

    /// Takes the steps that wait for no completion. Returns whether there was any.
    pub fn pump(
        &mut self,
        uring: &mut Uring,
        now: Mono,
        counters: &mut RingCounters,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> bool {
        self.on_time(uring, now, counters, sink);
        let count = self.steps.len();
        for _ in 0..count {
            let index = self.steps.pop_front().expect("counted just before");
            let connection = self.slots[index as usize].connection.as_deref();
            if let Some(connection) = connection.filter(|one| one.ended && one.stage == Stage::Open) {
                let conn = connection.id;
                self.close_after_send(uring, now, conn);
            }
            self.step(uring, counters, index, sink);
        }
        count > 0
    }

    /// Cuts off what lingered too long, and accepts again after a pause.
    fn on_time(
        &mut self,
        uring: &mut Uring,
        now: Mono,
        counters: &mut RingCounters,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        while let Some(&(at, conn)) = self.linger.front()
            && at <= now
        {
            self.linger.pop_front();
            if self.find(conn).is_some_and(|connection| connection.stage == Stage::Lingering) {
                self.close_now(uring, conn.slot);
                self.finish_if_quiet(counters, conn.slot, sink);
            }
        }
        if let Some(listener) = &mut self.listener
            && listener.retry_at.is_some_and(|at| at <= now)
        {
            listener.retry_at = None;
            self.arm_accept(uring);
        }
    }

    /// Does the next thing for the connection in `index`, if nothing is under way for it.
    fn step(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        index: u32,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let Some(connection) = self.slots[index as usize].connection.as_deref_mut() else { return };
        if connection.op_under_way {
            return;
        }
        if connection.stage == Stage::Closing {
            self.finish_if_quiet(counters, index, sink);
            return;
        }
        let fd = types::Fd(connection.socket.as_raw_fd());
        match connection.next_step() {
            Step::Idle => {}
            Step::Done => {
                let conn = connection.id;
                if connection.stage == Stage::Lingering {
                    self.close_now(uring, index);
                    self.finish_if_quiet(counters, index, sink);
                } else {
                    sink(Event::Sent { conn });
                }
            }
            Step::Memory { message, one, flags } => {
                let entry = match one {
                    Some(bytes) => opcode::Send::new(fd, bytes.iov_base.cast(), bytes.iov_len as u32)
                        .flags(flags)
                        .build(),
                    None => opcode::SendMsg::new(fd, message).flags(flags as u32).build(),
                };
                push(uring, connection, entry, Kind::Send);
            }
            Step::File { file, offset, len } => {
                let mut at = offset;
                let step = len.min(FILE_STEP_BYTES) as usize;
                // Open since the range was found resident, unless the log has opened the file anew.
                let source = file.get::<SegmentFile>().buffered();
                let sent = source
                    .map_err(|_| Errno::IO)
                    .and_then(|source| rustix::fs::sendfile(&connection.socket, source, Some(&mut at), step));
                match sent {
                    Ok(0) => self.close_now(uring, index),
                    Ok(count) => {
                        counters.bytes_out += count as u64;
                        counters.bytes_sendfile += count as u64;
                        connection.advance(count);
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => {
                        let entry = opcode::PollAdd::new(fd, libc::POLLOUT as u32).build();
                        push(uring, connection, entry, Kind::Writable);
                        return;
                    }
                    Err(_) => self.close_now(uring, index),
                }
                self.steps.push_back(index);
            }
        }
    }

    /// Closes once the send under way, if any, is out.
    fn close_after_send(&mut self, uring: &mut Uring, now: Mono, conn: ConnId) {
        let connection = self.at(conn.slot);
        if connection.is_sending() {
            connection.stage = Stage::Lingering;
            self.linger.push_back((now.plus_ms(LINGER_MS), conn));
        } else {
            self.close_now(uring, conn.slot);
            // Reported from the next turn: effects are carried out where no events can be given.
            self.steps.push_back(conn.slot);
        }
    }

    /// Ends the connection: what is under way completes soon, because the socket is shut down both ways.
    fn close_now(&mut self, uring: &mut Uring, index: u32) {
        let connection = self.at(index);
        connection.stage = Stage::Closing;
        // A reset socket says that it is not connected; its operations end by themselves.
        let _ = rustix::net::shutdown(&connection.socket, rustix::net::Shutdown::Both);
        if connection.recv == Recv::Armed {
            connection.recv = Recv::Cancelling;
            cancel(uring, user_data(Kind::Recv, index));
        }
    }

    /// Frees a closing connection for which nothing is under way any more.
    fn finish_if_quiet(&mut self, counters: &mut RingCounters, index: u32, sink: &mut dyn FnMut(Event<'_>)) {
        let slot = &mut self.slots[index as usize];
        let quiet = slot.connection.as_ref().is_some_and(|connection| {
            connection.stage == Stage::Closing && connection.recv == Recv::Idle && !connection.op_under_way
        });
        if !quiet {
            return;
        }
        if let Some(connection) = slot.connection.take() {
            let conn = connection.id;
            drop(connection);
            self.free.push(index);
            counters.closed += 1;
            sink(Event::Closed { conn });
        }
    }

    /// Arms the receives that ended; call it after buffers were recycled.
    pub fn rearm(&mut self, uring: &mut Uring) {
        while let Some(index) = self.rearm.pop_front() {
            self.arm_recv(uring, index);
        }
    }

    fn arm_recv(&mut self, uring: &mut Uring, index: u32) {
        let Some(connection) = self.slots[index as usize].connection.as_deref_mut() else { return };
        if connection.recv == Recv::Idle
            && !connection.paused
            && !connection.ended
            && connection.stage == Stage::Open
        {
            connection.recv = Recv::Armed;
            let fd = types::Fd(connection.socket.as_raw_fd());
            let entry = opcode::RecvMulti::new(fd, GROUP).build().user_data(user_data(Kind::Recv, index));
            // SAFETY: the kernel writes only into provided buffers; the socket stays open until this has completed.
            unsafe { uring.push(&entry) };
        }
    }

    fn arm_accept(&mut self, uring: &mut Uring) {
        let Some(listener) = &mut self.listener else { return };
        listener.armed = true;
        let fd = types::Fd(listener.socket.as_raw_fd());
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let entry = opcode::AcceptMulti::new(fd).flags(flags).build().user_data(user_data(Kind::Accept, 0));
        // SAFETY: no memory is passed; the listener stays open until the accept has ended.
        unsafe { uring.push(&entry) };
    }

    /// Begins to close everything, the listener included; does not wait for sends if `cut_off`.
    pub fn close_all(&mut self, uring: &mut Uring, now: Mono, cut_off: bool) {
        self.stop_listening(uring);
        for index in 0..self.slots.len() {
            let Some(connection) = self.slots[index].connection.as_deref() else { continue };
            match connection.stage {
                Stage::Open => self.close_after_send(uring, now, connection.id),
                Stage::Lingering if cut_off => {
                    self.close_now(uring, index as u32);
                    self.steps.push_back(index as u32);
                }
                Stage::Lingering | Stage::Closing => {}
            }
        }
    }

    /// Whether no connection is left and the kernel accepts for nobody.
    pub fn is_quiet(&self) -> bool {
        self.open_count() == 0 && self.listener.as_ref().is_none_or(|listener| !listener.armed)
    }

    pub fn open_count(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn has_work(&self) -> bool {
        !self.steps.is_empty() || !self.rearm.is_empty()
    }

    /// When `pump` has something to do because of the time.
    pub fn next_deadline(&self) -> Option<Mono> {
        let retry_at = self.listener.as_ref().and_then(|listener| listener.retry_at);
        [self.linger.front().map(|first| first.0), retry_at].into_iter().flatten().min()
    }

    /// Keeps the memory of what is under way for ever.
    pub fn leak(&mut self) {
        self.buffers.leak();
        std::mem::take(&mut self.slots).into_iter().for_each(std::mem::forget);
    }

    /// The connection of a completion's slot, which lives until its last completion.
    fn at(&mut self, index: u32) -> &mut Connection {
        let connection = self.slots[index as usize].connection.as_deref_mut();
        connection.expect("a slot is freed only when nothing is under way for it")
    }

    /// The connection called `conn`, unless it is gone.
    fn find(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        slot.connection.as_deref_mut().filter(|connection| connection.id == conn)
    }
}

/// Submits the one sending operation of a connection.
fn push(uring: &mut Uring, connection: &mut Connection, entry: squeue::Entry, kind: Kind) {
    connection.op_under_way = true;
    // SAFETY: parts, iovecs, message header and socket belong to the boxed connection, which is given up only when no
    // operation is under way for it.
    unsafe { uring.push(&entry.user_data(user_data(kind, connection.id.slot))) };
}

/// Asks the kernel to end an operation early; how it ended shows in its own completion.
fn cancel(uring: &mut Uring, target: u64) {
    let entry = opcode::AsyncCancel::new(target).build().user_data(user_data(Kind::Ignored, 0));
    // SAFETY: no memory is passed.
    unsafe { uring.push(&entry) };
}
