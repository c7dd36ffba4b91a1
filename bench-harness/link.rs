//! A connection that never waits: bytes out as far as the socket takes them, frames in as they become whole.
//!
//! For the load itself. What may wait (topics, metadata) uses `connection.rs`.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use corelane_wire::frame::{LENGTH_BYTES, Split, split};

/// The largest frame taken from a broker.
const FRAME_BYTES_MAX: u32 = 256 << 20;

/// Room for incoming bytes to begin with, and the least room a read is given.
const INBOUND_BYTES: usize = 64 << 10;

/// See the module.
pub struct Link {
    stream: TcpStream,
    inbound: Vec<u8>,
    /// What of `inbound` has been given out as frames, and what has been received: `taken <= filled`.
    taken: usize,
    filled: usize,
    /// What waits to be sent. Written by the owner, behind what is there.
    pub outbound: Vec<u8>,
    sent: usize,
}

impl Link {
    /// Connects. Errors: as the system says.
    pub fn open(address: &str) -> io::Result<Link> {
        Link::over(TcpStream::connect(address)?)
    }

    /// Takes a connection over. Errors: as the system says.
    pub fn over(stream: TcpStream) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Link {
            stream,
            inbound: vec![0; INBOUND_BYTES],
            taken: 0,
            filled: 0,
            outbound: Vec::new(),
            sent: 0,
        })
    }

    /// The socket, to be watched.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes that the socket has not taken yet.
    pub fn unsent(&self) -> usize {
        self.outbound.len() - self.sent
    }

    /// Sends what the socket takes. Errors: the connection is lost.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.outbound.len() {
            match self.stream.write(&self.outbound[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outbound.clear();
        self.sent = 0;
        Ok(())
    }

    /// Receives once; whether there may be more. Errors: the connection is lost or was closed.
    pub fn receive(&mut self) -> io::Result<bool> {
        self.make_room();
        loop {
            let room = self.inbound.len() - self.filled;
            match self.stream.read(&mut self.inbound[self.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => {
                    self.filled += received;
                    return Ok(received == room);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next whole frame, as a range for [`Link::bytes`], without its length. Errors: it is no frame.
    pub fn next_frame(&mut self) -> io::Result<Option<Range<usize>>> {
        match split(&self.inbound[self.taken..self.filled], FRAME_BYTES_MAX).map_err(io::Error::other)? {
            Split::NeedMore { .. } => Ok(None),
            Split::Frame { consumed, .. } => {
                let start = self.taken + LENGTH_BYTES;
                self.taken += consumed;
                Ok(Some(start..self.taken))
            }
        }
    }

    /// The bytes of a frame; valid until the next `receive`.
    pub fn bytes(&self, frame: Range<usize>) -> &[u8] {
        &self.inbound[frame]
    }

    /// Moves the unfinished frame to the front and gives it room to be finished.
    fn make_room(&mut self) {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        let unfinished = &self.inbound[self.taken..self.filled];
        // A length that is no length is found by `next_frame`.
        let wanted = match split(unfinished, FRAME_BYTES_MAX) {
            Ok(Split::NeedMore { known_len: Some(len) }) => LENGTH_BYTES + len as usize,
            _ => 0,
        };
        let wanted = wanted.max(unfinished.len() + INBOUND_BYTES / 2).max(INBOUND_BYTES);
        if self.taken + wanted > self.inbound.len() {
            self.inbound.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        if wanted > self.inbound.len() {
            self.inbound.resize(wanted.next_power_of_two(), 0);
        }
    }
}
