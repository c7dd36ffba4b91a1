//! The ring itself: set-up, submission, completions and sleep.
//!
//! The shard sleeps in the ring: one `enter` hands over what is queued and waits for the next completion. Other threads
//! reach it through the doorbell, an eventfd that a multishot poll watches.
//!
//! The traps of a ring with `DEFER_TASKRUN`, each met and measured:
//! - Its descriptor never wakes a poller: whoever waits elsewhere does not hear of completions.
//! - Finished work is only turned into completions by an `enter` with GETEVENTS, which the flag TASKRUN asks for. The
//!   flag may come back at once: it allows one more enter, never a loop on it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::{EnterFlags, IoUring, opcode, squeue, types};

/// Submissions that fit between two enters; a further one enters by itself.
const SUBMISSIONS: u32 = 512;
/// Completions the ring holds; beyond that the kernel keeps them and an enter fetches them.
const COMPLETIONS: u32 = 4096;
/// Threads of the kernel that carry out writes which must wait, as all do that make a file longer. With what the kernel
/// allows by itself 16 logs took 740 MB/s of large commits, with 4, 8, 16 and 64 of them 1,306, 1,521, 1,289 to 1,448
/// and 1,356 MB/s in the same minutes.
const FILE_WORKERS: u32 = 8;

/// What an operation was, stored in the upper byte of its user data; the slot stands in the lower half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Answers of cancellations: their outcome shows elsewhere.
    Ignored = 0,
    Accept = 1,
    Recv = 2,
    Send = 3,
    Writable = 4,
    Disk = 5,
    Doorbell = 6,
}

const KINDS: [Kind; 7] =
    [Kind::Ignored, Kind::Accept, Kind::Recv, Kind::Send, Kind::Writable, Kind::Disk, Kind::Doorbell];

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
    doorbell: Arc<OwnedFd>,
    enters: u64,
}

impl Uring {
    /// A ring that `doorbell`, an eventfd, wakes from [`Uring::sleep`] whenever it is written to.
    pub fn new(doorbell: Arc<OwnedFd>) -> io::Result<Uring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        // The second bound is for sockets and pipes, which never wait in a thread here: 0 leaves it as it is.
        ring.submitter().register_iowq_max_workers(&mut [FILE_WORKERS, 0])?;
        let mut ring = Uring { ring, doorbell, enters: 0 };
        ring.watch_doorbell();
        Ok(ring)
    }

    fn watch_doorbell(&mut self) {
        let fd = types::Fd(self.doorbell.as_raw_fd());
        let poll = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build();
        // SAFETY: the entry points to no memory.
        unsafe { self.push(&poll.user_data(user_data(Kind::Doorbell, 0))) };
    }

    /// The doorbell was rung. Its count is left alone: each further write is a completion of its own.
    pub fn on_doorbell(&mut self, c: Completion) {
        if !c.more() {
            self.watch_doorbell();
        }
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
        pass(entered)
    }

    /// Submits what is queued and waits until a completion is there, for `timeout` at most.
    pub fn sleep(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.enters += 1;
        let wait = timeout.map(types::Timespec::from);
        let mut args = types::SubmitArgs::new();
        if let Some(wait) = &wait {
            args = args.timespec(wait);
        }
        pass(self.ring.submitter().submit_with_args(1, &args))
    }

    /// Moves at most `count_max` completions into `batch`.
    pub fn take(&mut self, batch: &mut Vec<Completion>, count_max: usize) {
        batch.extend(self.ring.completion().take(count_max).map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// Whether a completion waits.
    pub fn has_completion(&mut self) -> bool {
        !self.ring.completion().is_empty() || self.ring.submission().cq_overflow()
    }

    /// Whether there is work that an enter would turn into completions, perhaps.
    pub fn wants_enter(&mut self) -> bool {
        self.ring.submission().taskrun()
    }
}

/// Lets errors pass that mean to come again.
fn pass(entered: io::Result<usize>) -> io::Result<()> {
    const PASSING: [i32; 4] = [libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ETIME];
    match entered {
        Ok(_) => Ok(()),
        // Interrupted, completion queue full (drained next), memory short, slept long enough.
        Err(e) if e.raw_os_error().is_some_and(|code| PASSING.contains(&code)) => Ok(()),
        Err(e) => Err(e),
    }
}
