//! Waiting for many sockets: epoll, edge-triggered, each socket with a token.
//!
//! Edge-triggered, so a socket is registered once and never again: whoever gets a token receives until nothing is left
//! and sends what is waiting.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{Timespec, epoll};

/// How many sockets are reported at once.
const EVENTS_MAX: usize = 256;

/// See the module.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Poll> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poll { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), flags)?;
        Ok(())
    }

    /// Waits at most so many nanoseconds and collects the tokens of sockets on which something happened.
    pub fn wait(&mut self, ns: u64, tokens: &mut Vec<u64>) -> io::Result<()> {
        tokens.clear();
        self.events.clear();
        let timeout = Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        tokens.extend(self.events.iter().map(|event| event.data.u64()));
        Ok(())
    }
}
