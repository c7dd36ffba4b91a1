//! One connection: its socket, what is under way for it, and how far its send has come.
//!
//! Not aware of the ring: it says what the next step of its send is, and is told how many bytes went out.

use std::os::fd::OwnedFd;
use std::ptr::null_mut;

use corelane_base::id::ConnId;
use corelane_log::disk::FileHandle;
use corelane_node::send::SendPart;

use crate::ring::disk_io::push_iovec;

/// Where a connection stands; see the table in `sockets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Open,
    Lingering,
    Closing,
}

/// The multishot receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recv {
    /// The kernel knows of none.
    Idle,
    Armed,
    /// A cancellation is under way; the receive is the kernel's until it says that it ended.
    Cancelling,
}

/// A client connection. Boxed by its table: the kernel is given addresses inside it.
pub(super) struct Connection {
    pub socket: OwnedFd,
    pub id: ConnId,
    pub stage: Stage,
    pub recv: Recv,
    /// Whether the peer has ended its stream; acted on in the next turn, once the machine has answered what came
    /// before.
    pub ended: bool,
    /// Whether the machine wants no more bytes for now.
    pub paused: bool,
    /// Whether a send or a wait for writability is the kernel's.
    pub op_under_way: bool,
    /// The send under way; `parts[..part]` are out, and `part_done` bytes of `parts[part]`.
    parts: Vec<SendPart>,
    part: usize,
    part_done: usize,
    /// Whether a send has begun and its end is not yet reported.
    sending: bool,
    /// What the kernel was given; unchanged while `op_under_way`.
    iovecs: Vec<libc::iovec>,
    message: libc::msghdr,
}

/// What to do next for a send.
pub(super) enum Step {
    /// Nothing is to be sent.
    Idle,
    /// All is out; this is said once.
    Done,
    /// Send the gathered memory: `one` if it is a single piece, else `message`.
    Memory { message: *const libc::msghdr, one: Option<libc::iovec>, flags: i32 },
    /// Send from a file.
    File { file: FileHandle, offset: u64, len: u32 },
}

impl Connection {
    pub fn new(socket: OwnedFd, id: ConnId) -> Connection {
        let message = libc::msghdr {
            msg_name: null_mut(),
            msg_namelen: 0,
            msg_iov: null_mut(),
            msg_iovlen: 0,
            msg_control: null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        Connection {
            socket,
            id,
            stage: Stage::Open,
            recv: Recv::Idle,
            ended: false,
            paused: false,
            op_under_way: false,
            parts: Vec::new(),
            part: 0,
            part_done: 0,
            sending: false,
            iovecs: Vec::new(),
            message,
        }
    }

    /// Takes the parts of a send. Panics: if one is under way, which the seam forbids.
    pub fn begin_send(&mut self, parts: Vec<SendPart>) {
        assert!(!self.sending, "one send at a time for each connection");
        assert!(self.parts.is_empty(), "the last send's parts are released");
        self.parts = parts;
        (self.part, self.part_done) = (0, 0);
        self.sending = true;
    }

    pub fn is_sending(&self) -> bool {
        self.sending
    }

    /// Takes in that `count` more bytes are out.
    pub fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let left = self.parts[self.part].len() - self.part_done;
            let step = left.min(count);
            count -= step;
            self.part_done += step;
            if step == left {
                (self.part, self.part_done) = (self.part + 1, 0);
            }
        }
    }

    /// What to do next. Releases the buffers when all is out.
    pub fn next_step(&mut self) -> Step {
        assert!(!self.op_under_way, "the kernel reads what this would change");
        while self.parts.get(self.part).is_some_and(|part| part.len() == self.part_done) {
            (self.part, self.part_done) = (self.part + 1, 0);
        }
        match self.parts.get(self.part) {
            None if self.sending => {
                self.parts.clear();
                self.sending = false;
                Step::Done
            }
            None => Step::Idle,
            Some(SendPart::File { file, offset, len }) => Step::File {
                file: file.clone(),
                offset: offset + self.part_done as u64,
                len: len - self.part_done as u32,
            },
            Some(SendPart::Memory(_)) => self.gather(),
        }
    }

    /// Points the kernel's structures at the memory up to the next file.
    fn gather(&mut self) -> Step {
        self.iovecs.clear();
        let mut skip = self.part_done;
        // Whole sends in one operation where the socket's buffer is full in between; no signal for a lost client.
        let mut flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        for part in &self.parts[self.part..] {
            match part {
                SendPart::Memory(bytes) => {
                    if !push_iovec(&mut self.iovecs, &bytes[skip..]) {
                        break;
                    }
                }
                SendPart::File { len: 0, .. } => {}
                SendPart::File { .. } => {
                    // The header of a file's bytes travels in their first packet.
                    flags |= libc::MSG_MORE;
                    break;
                }
            }
            skip = 0;
        }
        let one = (self.iovecs.len() == 1).then(|| self.iovecs[0]);
        let one = one.filter(|piece| u32::try_from(piece.iov_len).is_ok());
        self.message.msg_iov = self.iovecs.as_mut_ptr();
        self.message.msg_iovlen = self.iovecs.len() as _;
        Step::Memory { message: &raw const self.message, one, flags }
    }
}

// The raw pointers in `iovecs` and `message` point into `parts` and `iovecs` of the same connection; nothing here follows
// them, and a connection never leaves its shard's thread.

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use bytes::Bytes;

    use super::*;

    fn connection() -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stream = TcpStream::connect(listener.local_addr().expect("a bound socket")).expect("a listener");
        Connection::new(stream.into(), ConnId { slot: 0, generation: 1 })
    }

    /// Sends `lens` at most `step` bytes at a time; what each operation was offered must be `expected`.
    #[track_caller]
    fn check(lens: &[usize], step: usize, expected: &[usize]) {
        let mut connection = connection();
        let parts = lens.iter().map(|&len| SendPart::Memory(Bytes::from(vec![1; len])));
        connection.begin_send(parts.collect());
        let mut offered = Vec::new();
        loop {
            match connection.next_step() {
                Step::Done => break,
                Step::Memory { .. } => {
                    let bytes: usize = connection.iovecs.iter().map(|piece| piece.iov_len).sum();
                    offered.push(bytes);
                    connection.advance(bytes.min(step));
                }
                Step::Idle | Step::File { .. } => panic!("there is only memory to send"),
            }
        }
        assert_eq!(offered, expected, "{lens:?} by {step}");
        assert!(matches!(connection.next_step(), Step::Idle), "the end is told once");
    }

    #[test]
    fn partial_sends_go_on_where_they_stopped() {
        check(&[10], 100, &[10]);
        check(&[10, 20], 100, &[30]);
        check(&[10, 20], 7, &[30, 23, 16, 9, 2]);
        check(&[10, 20], 10, &[30, 20, 10]);
        check(&[], 1, &[]);
        check(&[0, 0], 1, &[]);
        check(&[0, 3, 0], 2, &[3, 1]);
    }
}
