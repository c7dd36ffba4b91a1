//! The ring itself: set-up, submission, completions, the doorbell gate and the sleep timer.
//!
//! The traps of a ring with `DEFER_TASKRUN`, each met and measured:
//! - Its descriptor never wakes a poller, so an eventfd is registered. Completions found at submission signal it too:
//!   it is disabled while the shard runs, enabled before sleep, and everything is looked at once more after that.
//! - Finished work is only turned into completions by an `enter` with GETEVENTS, which the flag TASKRUN asks for. The
//!   flag may come back at once: it allows one more enter, never a loop on it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use corelane_base::time::Mono;
use io_uring::{EnterFlags, IoUring, opcode, squeue, types};

/// Submissions that fit between two enters; a further one enters by itself.
const SUBMISSIONS: u32 = 512;
/// Completions the ring holds; beyond that the kernel keeps them and an enter fetches them.
const COMPLETIONS: u32 = 4096;

/// What an operation was, stored in the upper byte of its user data; the slot stands in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Answers of cancellations and timer updates: their outcome shows elsewhere.
    Ignored = 0,
    Accept = 1,
    Recv = 2,
    Send = 3,
    Writable = 4,
    Disk = 5,
    Timer = 6,
}

const KINDS: [Kind; 7] =
    [Kind::Ignored, Kind::Accept, Kind::Recv, Kind::Send, Kind::Writable, Kind::Disk, Kind::Timer];

/// The user data of an operation of `kind` that belongs to `slot`.
pub(super) const fn user_data(kind: Kind, slot: u32) -> u64 {
    ((kind as u64) << 56) | slot as u64
}

/// One completion, copied out of the queue so that handling it may submit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    user_data: u64,
    /// Not negative: the operation's count. Negative: an error number.
    pub result: i32,
    /// The kernel's flags (buffer id, F_MORE).
    pub flags: u32,
}

impl Completion {
    pub fn kind(self) -> Kind {
        KINDS[(self.user_data >> 56) as usize]
    }

    pub fn slot(self) -> u32 {
        self.user_data as u32
    }

    /// Whether a multishot operation goes on.
    pub fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }

    /// The provided buffer that was filled, if one was.
    pub fn buffer(self) -> Option<u16> {
        io_uring::cqueue::buffer_select(self.flags)
    }
}

/// A ring and its doorbell.
pub(super) struct Uring {
    ring: IoUring,
    /// Registered with the ring; kept open as long as it is.
    _doorbell: Arc<OwnedFd>,
    /// The moment the kernel's timer will fire, if one is set.
    timer_at: Option<Mono>,
    /// What the next enter tells the kernel of the timer. Unchanged from `arm_timer` to that enter.
    timer_wait: Box<types::Timespec>,
    enters: u64,
}

impl Uring {
    pub fn new(doorbell: Arc<OwnedFd>) -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        ring.submitter().register_eventfd(doorbell.as_raw_fd())?;
        let mut ring = Uring {
            ring,
            _doorbell: doorbell,
            timer_at: None,
            timer_wait: Box::new(types::Timespec::new()),
            enters: 0,
        };
        ring.disable_doorbell();
        Ok(ring)
    }

    /// For registrations.
    pub fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    pub fn enters(&self) -> u64 {
        self.enters
    }

    /// Queues an operation for the next enter.
    ///
    /// # Safety
    ///
    /// Whatever memory `entry` points to stays valid and in place until the operation's last completion was taken.
    pub unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's promise is the one that `push` asks for.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            // Full: hand over what is there. A kernel that is out of memory is waited for: there is nothing else
            // this thread could usefully do, and the condition passes.
            if let Err(e) = self.enter() {
                panic!("a ring that worked cannot be entered any more: {e}");
            }
        }
    }

    /// Submits what is queued and lets the kernel finish what it can; no system call if there is neither.
    pub fn enter(&mut self) -> io::Result<()> {
        let (queued, wanted) = {
            let queue = self.ring.submission();
            (queue.len() as u32, queue.taskrun() || queue.cq_overflow())
        };
        if queued == 0 && !wanted {
            return Ok(());
        }
        self.enters += 1;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed, and the submitted entries keep the promise given to `push`.
        let entered = unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, 0, flags, None) };
        match entered {
            Ok(_) => Ok(()),
            // Each of these passes: interrupted, completion queue full (drained next), memory short.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Moves at most `count_max` completions into `batch`.
    pub fn take(&mut self, batch: &mut Vec<Completion>, count_max: usize) {
        batch.extend(self.ring.completion().take(count_max).map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// Whether a completion waits, or work that an enter would turn into one.
    pub fn has_work(&mut self) -> bool {
        if !self.ring.completion().is_empty() {
            return true;
        }
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow() || !queue.is_empty()
    }

    /// Completions signal the doorbell from here on; look for work once more after this.
    pub fn enable_doorbell(&mut self) {
        self.ring.completion().enable_eventfd();
        // Pairs with the kernel, which publishes work first and looks at this flag second.
        fence(Ordering::SeqCst);
    }

    pub fn disable_doorbell(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Makes the kernel complete a timer at `deadline` or earlier, with the next enter. Call it once between enters.
    pub fn arm_timer(&mut self, now: Mono, deadline: Mono) {
        if self.timer_at.is_some_and(|at| at <= deadline) {
            return;
        }
        *self.timer_wait = types::Timespec::from(deadline.since(now));
        let wait: *const types::Timespec = &raw const *self.timer_wait;
        let timer = user_data(Kind::Timer, 0);
        let entry = match self.timer_at {
            None => opcode::Timeout::new(wait).build().user_data(timer),
            // If it fires before the update arrives, its completion leads to a new one.
            Some(_) => opcode::TimeoutUpdate::new(timer, wait).build().user_data(user_data(Kind::Ignored, 0)),
        };
        self.timer_at = Some(deadline);
        // SAFETY: the kernel reads the timespec during the enter that submits the entry; the box outlives the ring.
        unsafe { self.push(&entry) };
    }

    /// The kernel's timer has fired.
    pub fn on_timer(&mut self) {
        self.timer_at = None;
    }
}
