//! Wakes a sleeping shard from another thread.
//!
//! A ring of the bell costs a system call only when the shard sleeps: it says so in a flag before its last look for
//! work, and whoever brings work looks at the flag after it has put the work where the shard will see it. Both put a
//! full fence in between, so at least one of them sees the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

/// One shard's bell.
pub struct Doorbell {
    fd: Arc<OwnedFd>,
    asleep: AtomicBool,
}

impl Doorbell {
    /// A bell that nobody has rung. Errors: the process has no descriptor left.
    pub fn new() -> io::Result<Doorbell> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Doorbell { fd: Arc::new(fd), asleep: AtomicBool::new(false) })
    }

    /// The descriptor that becomes readable when the bell is rung.
    #[must_use]
    pub fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Wakes the shard if it sleeps or is about to. Call it after the work was put in place.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.ring_always();
        }
    }

    /// Makes the descriptor readable whether or not anybody sleeps.
    pub fn ring_always(&self) {
        // Fails only when the counter is full, and then it is readable.
        let _ = rustix::io::write(&*self.fd, &1_u64.to_ne_bytes());
    }

    /// Says that the shard is about to sleep. It must look for work once more after this.
    pub fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Says that the shard runs.
    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }

    /// Makes the descriptor unreadable until the next ring.
    pub fn clear(&self) {
        let mut count = [0; 8];
        // Fails if nobody rang, which is as good.
        let _ = rustix::io::read(&*self.fd, &mut count);
    }
}
