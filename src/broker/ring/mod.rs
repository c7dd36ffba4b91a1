//! One `io-uring` ring per shard that carries its sockets and segment files.
//!
//! What it is: the only place that names io_uring and the only place with `unsafe`. [`Ring`] takes network and disk
//! effects and gives events; it knows nothing of requests, logs or glommio. What it is not: a runtime. It blocks in
//! [`Ring::sleep`] and nowhere else.
//!
//! The memory rule, owned by this folder: what the kernel reads or writes (buffers, iovecs, message headers, timespecs)
//! lives in a connection, a disk job or the ring itself, and those are given up only after the completion that ends
//! the operation. A ring that is dropped with operations under way leaks their memory instead of freeing it.

mod recv_buffers;
mod residency;
mod uring;

pub mod segment_file;

pub mod disk_io;
mod connection;
mod sockets;

#[cfg(test)]
mod ring_test;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use corelane_base::time::Mono;
use corelane_log::disk::{DiskOp, DiskToken};
use corelane_node::event::{Event, NetEffect};
use corelane_tuning::profile::Bounds;

use crate::ring::disk_io::Disk;
use crate::ring::sockets::Sockets;
use crate::ring::uring::{Completion, Kind, Uring};

/// How many completions one turn takes in before the machine's turn ends: large enough to make batches, small enough
/// that the effects of the first do not wait long for the last.
const TURN_COMPLETIONS_MAX: usize = 256;

/// Memory for receiving that each ring holds, in bytes.
pub const RECEIVE_BUFFER_BYTES: u64 = recv_buffers::TOTAL_BYTES;

/// What a ring counts. Grows only; written by its shard, published by the loop.
#[derive(Debug, Default, Clone, Copy)]
pub struct RingCounters {
    /// `io_uring_enter` calls.
    pub enters: u64,
    /// Completions taken in.
    pub completions: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed.
    pub closed: u64,
    /// Times `accept` failed for want of descriptors or memory.
    pub accept_refused: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes of those that went out through `sendfile`.
    pub bytes_sendfile: u64,
    /// Times a receive found no free buffer.
    pub recv_starved: u64,
    /// Direct writes completed.
    pub disk_writes: u64,
    /// Bytes of direct writes.
    pub disk_write_bytes: u64,
    /// Direct reads completed.
    pub disk_reads: u64,
    /// Bytes of direct reads.
    pub disk_read_bytes: u64,
    /// History reads answered from the page cache.
    pub history_resident: u64,
    /// History reads that had to go to the disk.
    pub history_missed: u64,
}

/// The I/O of one shard. Lives on the thread that made it.
pub struct Ring {
    uring: Uring,
    sockets: Sockets,
    disk: Disk,
    batch: Vec<Completion>,
    counters: RingCounters,
}

impl Ring {
    /// Sets the ring up on this thread; `doorbell`, an eventfd, ends [`Ring::sleep`] when it is written to, and no more
    /// disk operations than `bounds` are with the kernel at once. Errors: what the kernel said, see the start-up probes
    /// for its meaning.
    pub fn new(doorbell: Arc<OwnedFd>, bounds: Bounds) -> io::Result<Ring> {
        let uring = Uring::new(doorbell)?;
        Ok(Ring {
            sockets: Sockets::new(&uring)?,
            disk: Disk::new(bounds),
            batch: Vec::with_capacity(TURN_COMPLETIONS_MAX),
            counters: RingCounters::default(),
            uring,
        })
    }

    /// Accepts connections from `listener`, a listening socket of this shard's own.
    pub fn listen(&mut self, listener: OwnedFd) {
        self.sockets.listen(&mut self.uring, listener);
    }

    /// Stops accepting; connections go on.
    pub fn stop_listening(&mut self) {
        self.sockets.stop_listening(&mut self.uring);
    }

    /// Carries out one network effect; its events come from later turns.
    pub fn net(&mut self, now: Mono, effect: NetEffect) {
        self.sockets.carry_out(&mut self.uring, now, effect);
    }

    /// Carries out `op` if it is one of the data path (`Write`, `Read`, `ReadHistory`), else gives it back.
    pub fn disk(&mut self, token: DiskToken, op: DiskOp) -> Option<(DiskToken, DiskOp)> {
        self.disk.carry_out(&mut self.uring, &mut self.counters, token, op)
    }

    /// Submits what was asked for and hands each event that has come to `sink`, first come first served.
    /// Returns whether there was any. Errors: the ring cannot be entered any more, which no broker survives.
    pub fn turn(&mut self, now: Mono, sink: &mut dyn FnMut(Event<'_>)) -> io::Result<bool> {
        let mut any = self.disk.take_ready(sink);
        any |= self.sockets.pump(&mut self.uring, now, &mut self.counters, sink);
        self.uring.enter()?;
        let mut batch = std::mem::take(&mut self.batch);
        self.uring.take(&mut batch, TURN_COMPLETIONS_MAX);
        self.counters.completions += batch.len() as u64;
        self.counters.enters = self.uring.enters();
        for completion in &batch {
            any |= self.on_completion(now, *completion, sink);
        }
        batch.clear();
        self.batch = batch;
        self.sockets.rearm(&mut self.uring);
        Ok(any)
    }

    /// Whether the next turn has something to do. What was asked for since the last one does not count, nor what the
    /// kernel has yet to finish: [`Ring::sleep`] begins the one and finishes the other.
    pub fn has_work(&mut self) -> bool {
        self.uring.has_completion() || self.sockets.has_work() || self.disk.has_ready()
    }

    /// Whether the kernel asks to be entered: for those who wait without sleeping.
    pub fn wants_enter(&mut self) -> bool {
        self.uring.wants_enter()
    }

    /// Begins what was asked for since the last turn. Errors: as [`Ring::turn`].
    pub fn submit(&mut self) -> io::Result<()> {
        self.uring.enter()
    }

    /// Begins what was asked for and blocks the thread until something has come, the doorbell was rung or `deadline` is
    /// reached. Look for work of other sources before, after having asked them to ring. Errors: as [`Ring::turn`].
    pub fn sleep(&mut self, now: Mono, deadline: Option<Mono>) -> io::Result<()> {
        let deadline = [deadline, self.sockets.next_deadline()].into_iter().flatten().min();
        self.uring.sleep(deadline.map(|at| at.since(now)))
    }

    /// When the ring itself wants a turn, at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.sockets.next_deadline()
    }

    /// What was counted so far.
    #[must_use]
    pub fn counters(&self) -> RingCounters {
        self.counters
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sockets.open_count()
    }

    /// Closes every connection once its send under way is out, or at once if `cut_off`; gives no events. Returns
    /// whether all is quiet: no connection and no operation is left.
    pub fn wind_down(&mut self, now: Mono, cut_off: bool) -> io::Result<bool> {
        self.sockets.close_all(&mut self.uring, now, cut_off);
        self.turn(now, &mut |_| {})?;
        Ok(self.sockets.is_quiet() && self.disk.is_quiet())
    }

    fn on_completion(&mut self, now: Mono, c: Completion, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        let (uring, counters) = (&mut self.uring, &mut self.counters);
        match c.kind() {
            Kind::Accept => self.sockets.on_accept(uring, now, counters, c, sink),
            Kind::Recv => self.sockets.on_recv(uring, counters, c, sink),
            Kind::Send => self.sockets.on_send(uring, counters, c, sink),
            Kind::Writable => self.sockets.on_writable(uring, counters, c, sink),
            Kind::Disk => self.disk.on_completion(uring, counters, c, sink),
            Kind::Doorbell => uring.on_doorbell(c),
            Kind::Ignored => return false,
        }
        true
    }
}

/// Sets a ring up and takes it down again. Errors: what the kernel said.
pub fn probe() -> io::Result<()> {
    let doorbell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
    Ring::new(Arc::new(doorbell), Bounds::UNMEASURED).map(drop)
}

impl Drop for Ring {
    fn drop(&mut self) {
        if !(self.sockets.is_quiet() && self.disk.is_quiet()) {
            // The kernel may still write into what these own.
            self.sockets.leak();
            self.disk.leak();
        }
    }
}
