//! What the rest of the process and a shard say to each other: orders one way, pongs and figures the other.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use corelane_base::id::ShardId;
use corelane_base::time::{Mono, Now, WallMs};
use corelane_node::event::Lifecycle;
use corelane_node::metrics::Snapshot;
use tokio::sync::oneshot;

use crate::ring::RingCounters;
use crate::rt::doorbell::Doorbell;

/// What the thread that waits for the broker's end is told.
#[derive(Debug)]
pub enum News {
    /// A shard reached a milestone.
    Shard(ShardId, Lifecycle),
    /// The operator asks for the end.
    Stop,
}

/// Orders, as bits.
pub(super) const LISTEN: u32 = 1;
pub(super) const SHUT_DOWN: u32 = 2;
pub(super) const STOP: u32 = 4;
pub(super) const PING: u32 = 8;
pub(super) const SNAPSHOT: u32 = 16;

/// The process's clocks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Both clocks.
    #[must_use]
    pub fn now(self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.mono(), wall: WallMs(wall.as_millis() as i64) }
    }

    /// The monotonic clock alone.
    #[must_use]
    pub fn mono(self) -> Mono {
        Mono(self.start.elapsed().as_nanos() as u64)
    }
}

/// What a shard counts, as last published: at every ping, so at most some ten milliseconds old.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// The ring's part.
    pub ring: RingCounters,
    /// Connections open.
    pub connections: u64,
    /// Events applied.
    pub events: u64,
    /// Turns with at least one event.
    pub turns: u64,
    /// Times the shard went to sleep.
    pub parks: u64,
    /// Times it gave way to the executor, which takes in reports of file operations.
    pub yields: u64,
    /// Longest turn since the start, in nanoseconds.
    pub turn_ns_max: u64,
    /// Time spent in turns with at least one event, in nanoseconds.
    pub busy_ns: u64,
    /// Time from the start to the loop's being told to publish, in nanoseconds: what `busy_ns` is a part of.
    pub lived_ns: u64,
    /// Messages sent to other shards.
    pub mesh_sent: u64,
    /// Of these, how many found the target's queue full and waited at the sender.
    pub mesh_overflowed: u64,
    /// File operations that went through the blocking pool.
    pub cold_files: u64,
    /// Notices that nobody could take in time.
    pub notices_lost: u64,
}

/// One shard's orders and figures.
pub struct Port {
    pub(super) doorbell: Doorbell,
    orders: AtomicU32,
    listener: Mutex<Option<OwnedFd>>,
    /// Wakes the shard's task through its executor, in case that has the core and sleeps although it should not.
    waker: Mutex<Option<Waker>>,
    pong: AtomicU64,
    figures: Mutex<Figures>,
    /// Who waits for a snapshot. One at a time: a later one takes the place of an earlier.
    wanted: Mutex<Option<SnapshotSender>>,
}

/// Where a snapshot goes once it is whole.
pub(super) type SnapshotSender = oneshot::Sender<Box<Snapshot>>;

impl Port {
    pub(super) fn new() -> io::Result<Port> {
        Ok(Port {
            doorbell: Doorbell::new()?,
            orders: AtomicU32::new(0),
            listener: Mutex::new(None),
            waker: Mutex::new(None),
            pong: AtomicU64::new(0),
            figures: Mutex::new(Figures::default()),
            wanted: Mutex::new(None),
        })
    }

    pub(super) fn listen(&self, socket: OwnedFd) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        self.order(LISTEN);
    }

    pub(super) fn shut_down(&self) {
        self.order(SHUT_DOWN);
    }

    pub(super) fn stop(&self) {
        self.order(STOP);
    }

    /// Asks the shard to say when it saw this, and to publish its figures.
    pub fn ping(&self) {
        self.order(PING);
    }

    /// Asks for a snapshot of what the shard counted; its figures are published with it. It never comes if the shard has
    /// ended, or if somebody else asks meanwhile.
    pub fn ask_snapshot(&self) -> oneshot::Receiver<Box<Snapshot>> {
        let (sender, receiver) = oneshot::channel();
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.order(SNAPSHOT);
        receiver
    }

    /// Takes who waits for a snapshot.
    pub(super) fn take_wanted(&self) -> Option<SnapshotSender> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// When the shard last saw a ping.
    #[must_use]
    pub fn pong(&self) -> Mono {
        Mono(self.pong.load(Ordering::Acquire))
    }

    /// The figures as last published.
    #[must_use]
    pub fn figures(&self) -> Figures {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: u32) {
        self.orders.fetch_or(order, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
        drop(waker);
        self.doorbell.ring();
    }

    /// Says how to wake the shard's task for orders; `None` once there is no such task any more. Orders given before
    /// are seen by the task's next look.
    pub(super) fn wake_with(&self, waker: Option<Waker>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = waker;
    }

    /// Whether there are orders to take.
    pub(super) fn has_orders(&self) -> bool {
        self.orders.load(Ordering::SeqCst) != 0
    }

    /// Takes the orders given since the last call.
    pub(super) fn take_orders(&self) -> u32 {
        if self.has_orders() { self.orders.swap(0, Ordering::Acquire) } else { 0 }
    }

    pub(super) fn take_listener(&self) -> Option<OwnedFd> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn answer_ping(&self, now: Mono) {
        self.pong.store(now.0, Ordering::Release);
    }

    /// Publishes unless somebody reads just now: a shard waits for nobody.
    pub(super) fn publish(&self, figures: &Figures) {
        if let Ok(mut published) = self.figures.try_lock() {
            *published = *figures;
        }
    }
}
