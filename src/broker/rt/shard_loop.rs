//! The loop of one shard: take in what has come, let the machine think, carry out what it wants, sleep when idle.
//!
//! ```text
//! turn:  ring (submit, drain) -> blocking files -> mesh -> orders -> timer -> end_turn -> net, disk, mesh, lifecycle
//! no work: look for `idle_spin`, then sleep in the ring
//! reports of file operations to take: give way to the executor, at once when idle, after SLICE when busy
//! ```
//!
//! The loop sleeps in the ring itself, in the `enter` that submits what the turn wanted: the executor's own park costs
//! about four system calls more for each wake-up. Other shards' messages, finished file operations and orders, the
//! watchdog's pings among them, ring the doorbell, which the ring watches.
//!
//! The executor gets the core when file operations have left it enough to take in (see `cold`). Giving way is a wait for the doorbell, rung before: the
//! executor looks at everything it has and comes back at once. A mere yield would keep it from its rings as long as this
//! task can run, and can meet the hazard; the watchdog's pings wake the executor too (see `rt`).

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::task::Poll;
use std::time::Duration;

use corelane_base::id::ShardId;
use corelane_base::time::{Mono, Now};
use corelane_node::event::{Effects, Event, Lifecycle};
use corelane_node::metrics::Snapshot;
use corelane_tuning::profile::Bounds;
use glommio::io::{PollState, PollableFd};

use crate::machine::Machine;
use crate::ring::Ring;
use crate::rt::cold::ColdFiles;
use crate::rt::mesh::MeshEnd;
use crate::rt::port::{Clock, Figures, LISTEN, News, PING, Port, SHUT_DOWN, SNAPSHOT, STOP, SnapshotSender};

/// How long a busy shard keeps the core while the executor has reports of file operations to take.
const SLICE: Duration = Duration::from_micros(250);
/// When to look again for room in a full queue to another shard.
const OVERFLOW_RETRY_MS: u64 = 1;
/// How long connections may take to end once the shard is told to stop.
const WIND_DOWN_MS: u64 = 2_000;
/// How long to wait for the ends of what was cut off, and of file operations that nobody waits for any more.
const CUT_OFF_MS: u64 = 1_000;
/// Notices kept while nobody takes them.
const BACKLOG_MAX: usize = 256;

/// What a loop is given.
pub(super) struct Parts {
    pub port: Arc<Port>,
    pub mesh: MeshEnd,
    pub cold: ColdFiles,
    pub clock: Clock,
    pub idle_spin: Duration,
    pub disk: Bounds,
}

/// Tells milestones without ever waiting for the listener.
pub(super) struct Herald {
    pub shard: ShardId,
    pub news: SyncSender<News>,
    /// What did not fit yet, in order.
    pub backlog: VecDeque<Lifecycle>,
    /// Notices dropped because the backlog was full.
    pub lost: u64,
}

impl Herald {
    fn tell(&mut self, milestone: Lifecycle) {
        if self.backlog.len() >= BACKLOG_MAX && matches!(milestone, Lifecycle::Notice { .. }) {
            self.lost += 1;
            return;
        }
        self.backlog.push_back(milestone);
        self.flush();
    }

    fn flush(&mut self) {
        while let Some(milestone) = self.backlog.pop_front() {
            match self.news.try_send(News::Shard(self.shard, milestone)) {
                Ok(()) => {}
                Err(TrySendError::Full(news)) => {
                    if let News::Shard(_, milestone) = news {
                        self.backlog.push_front(milestone);
                    }
                    return;
                }
                // Nobody listens any more: the process is ending.
                Err(TrySendError::Disconnected(_)) => self.backlog.clear(),
            }
        }
    }
}

impl Drop for Herald {
    /// A shard that panics takes the broker down instead of leaving it with a part missing.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell(Lifecycle::Fatal("a shard panicked; the message stands above".to_string()));
        }
    }
}

/// The doorbell as the executor sees it.
struct Bell {
    fd: PollableFd<Arc<OwnedFd>>,
    /// The executor's registration, kept when something else ended the wait.
    state: PollState,
}

/// One shard at work.
pub(super) struct ShardLoop<M> {
    machine: M,
    fx: Effects,
    ring: Ring,
    parts: Parts,
    herald: Herald,
    figures: Figures,
    /// A snapshot that is being filled, a slice each turn, and where it goes.
    snapshot: Option<(Box<Snapshot>, SnapshotSender)>,
    /// Set by the order to stop.
    stopping: bool,
}

impl<M: Machine> ShardLoop<M> {
    /// Runs until told to stop; a failure of the ring is told as fatal.
    pub async fn run(machine: M, parts: Parts, mut herald: Herald) {
        let ring = match Ring::new(Arc::clone(parts.port.doorbell.fd()), parts.disk) {
            Ok(ring) => ring,
            Err(e) => {
                let hint = match e.raw_os_error() {
                    Some(libc::ENOMEM) => {
                        "; more memory must be lockable, see limits.memlock in 'corelane tune check'"
                    }
                    _ => "",
                };
                herald
                    .tell(Lifecycle::Fatal(format!("a shard could not set up its io_uring ring: {e}{hint}")));
                return;
            }
        };
        let (fx, figures) = (Effects::default(), Figures::default());
        let mut this =
            ShardLoop { machine, fx, ring, parts, herald, figures, snapshot: None, stopping: false };
        let served = this.serve().await;
        this.parts.port.wake_with(None);
        if let Err(e) = served {
            this.herald.tell(Lifecycle::Fatal(format!("a shard's io_uring ring failed: {e}")));
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        let fd = Arc::clone(self.parts.port.doorbell.fd());
        let mut bell = Bell { fd: PollableFd::new(fd).map_err(io::Error::other)?, state: PollState::new() };
        self.parts.port.wake_with(Some(std::future::poll_fn(|cx| Poll::Ready(cx.waker().clone())).await));
        let now = self.parts.clock.now();
        self.machine.start(now, &mut self.fx);
        self.machine.end_turn(now, &mut self.fx);
        self.carry_out(now);
        let mut slice_start = now.mono;
        while !self.stopping {
            let now = self.parts.clock.now();
            self.turn(now)?;
            let busy = self.stopping || self.has_work() || self.spin()?;
            if self.parts.cold.wants_executor() && (!busy || now.mono.since(slice_start) >= SLICE) {
                self.ring.submit()?;
                self.give_way(&mut bell).await?;
            } else if !busy {
                self.sleep()?;
            } else {
                continue;
            }
            slice_start = self.parts.clock.mono();
        }
        self.wind_down(&mut bell).await
    }

    /// Takes in what has come and carries out what follows from it; what the ring is to do begins with the next turn or
    /// sleep.
    fn turn(&mut self, now: Now) -> io::Result<()> {
        let Self { machine, fx, parts, .. } = self;
        let mut events = 0_u64;
        let mut sink = |event: Event<'_>| {
            events += 1;
            machine.apply(now, event, fx);
        };
        self.ring.turn(now.mono, &mut sink)?;
        parts.cold.take_answers(&mut sink);
        parts.mesh.receive(&mut sink);
        let orders = parts.port.take_orders();
        if orders & SHUT_DOWN != 0 {
            self.ring.stop_listening();
            sink(Event::Shutdown);
        }
        if self.machine.next_deadline().is_some_and(|at| at <= now.mono) {
            events += 1;
            self.machine.apply(now, Event::Timer, &mut self.fx);
        }
        self.obey(orders);
        if events > 0 {
            self.machine.end_turn(now, &mut self.fx);
            self.carry_out(now);
            self.figures.events += events;
            self.figures.turns += 1;
            let took = self.parts.clock.mono().since(now.mono).as_nanos() as u64;
            self.figures.turn_ns_max = self.figures.turn_ns_max.max(took);
            self.figures.busy_ns += took;
        }
        self.fill_snapshot();
        Ok(())
    }

    fn obey(&mut self, orders: u32) {
        if orders == 0 {
            return;
        }
        if orders & LISTEN != 0
            && let Some(socket) = self.parts.port.take_listener()
        {
            self.ring.listen(socket);
        }
        if orders & PING != 0 {
            // Read anew: the turn may have begun before the ping was sent.
            self.parts.port.answer_ping(self.parts.clock.mono());
            self.publish();
        }
        if orders & SNAPSHOT != 0
            && let Some(asker) = self.parts.port.take_wanted()
        {
            self.snapshot = Some((Box::default(), asker));
        }
        self.stopping |= orders & STOP != 0;
    }

    /// Fills a slice of the snapshot that somebody waits for.
    fn fill_snapshot(&mut self) {
        let Some((mut snapshot, asker)) = self.snapshot.take() else { return };
        if self.machine.fill(&mut snapshot) {
            self.publish();
            // Whoever asked may have given up.
            let _ = asker.send(snapshot);
        } else {
            self.snapshot = Some((snapshot, asker));
        }
    }

    /// Carries out what the machine wants, in the order the seam promises.
    fn carry_out(&mut self, now: Now) {
        for effect in self.fx.net.drain(..) {
            self.ring.net(now.mono, effect);
        }
        for (token, op) in self.fx.disk.drain() {
            if let Some((token, op)) = self.ring.disk(token, op) {
                self.parts.cold.ask(token, op);
            }
        }
        self.parts.cold.begin();
        for (to, message) in self.fx.mesh.drain(..) {
            self.parts.mesh.send(to, message);
        }
        self.parts.mesh.flush();
        for milestone in self.fx.lifecycle.drain(..) {
            self.herald.tell(milestone);
        }
    }

    fn has_work(&mut self) -> bool {
        self.ring.has_work()
            || self.snapshot.is_some()
            || self.parts.port.has_orders()
            || self.parts.mesh.has_mail()
            || self.parts.cold.has_answers()
    }

    /// Looks for work for as long as is configured. Returns whether there is some.
    fn spin(&mut self) -> io::Result<bool> {
        if self.parts.idle_spin.is_zero() {
            return Ok(false);
        }
        self.ring.submit()?;
        let start = self.parts.clock.mono();
        while self.parts.clock.mono().since(start) < self.parts.idle_spin {
            if self.has_work() || self.ring.wants_enter() {
                return Ok(true);
            }
            std::hint::spin_loop();
        }
        Ok(false)
    }

    /// Sleeps until something has come or a deadline is reached, unless there is work after all.
    fn sleep(&mut self) -> io::Result<()> {
        let now = self.parts.clock.mono();
        self.parts.mesh.flush();
        self.herald.flush();
        let retry = self.parts.mesh.has_overflow() || !self.herald.backlog.is_empty();
        let retry_at = retry.then(|| now.plus_ms(OVERFLOW_RETRY_MS));
        let deadline = [self.machine.next_deadline(), retry_at].into_iter().flatten().min();
        self.sleep_until(now, deadline)
    }

    fn sleep_until(&mut self, now: Mono, deadline: Option<Mono>) -> io::Result<()> {
        self.parts.port.doorbell.fall_asleep();
        if !self.has_work() {
            self.figures.parks += 1;
            self.ring.sleep(now, deadline)?;
        }
        self.parts.port.doorbell.wake_up();
        Ok(())
    }

    /// Leaves the core to the executor, so that it looks at what it has. The wait may end before it did: whoever calls this
    /// asks again whether something is left.
    async fn give_way(&mut self, bell: &mut Bell) -> io::Result<()> {
        self.figures.yields += 1;
        self.parts.port.doorbell.ring_always();
        let port = &self.parts.port;
        let rung = std::future::poll_fn(|cx| match bell.fd.poll_readable(cx, &mut bell.state) {
            Poll::Pending if port.has_orders() => Poll::Ready(Ok(false)),
            other => other.map_ok(|()| true),
        });
        if rung.await.map_err(io::Error::other)? {
            port.doorbell.clear();
        }
        Ok(())
    }

    /// Ends connections and operations, for as long as they may take.
    async fn wind_down(&mut self, bell: &mut Bell) -> io::Result<()> {
        let end = self.parts.clock.mono().plus_ms(WIND_DOWN_MS);
        loop {
            let now = self.parts.clock.mono();
            self.parts.cold.take_answers(&mut |_| {});
            // Whoever has not taken its answers by then is cut off; that takes effect at once.
            let quiet = self.ring.wind_down(now, now >= end)? && self.parts.cold.is_quiet();
            let ended = !self.parts.cold.has_unended();
            if quiet && ended || now >= end.plus_ms(CUT_OFF_MS) {
                break;
            }
            if quiet {
                self.give_way(bell).await?;
            } else {
                self.sleep_until(now, Some(now.plus_ms(100)))?;
            }
        }
        self.publish();
        Ok(())
    }

    fn publish(&mut self) {
        self.figures.ring = self.ring.counters();
        self.figures.lived_ns = self.parts.clock.mono().0;
        self.figures.connections = self.ring.connections() as u64;
        self.figures.mesh_sent = self.parts.mesh.sent;
        self.figures.mesh_overflowed = self.parts.mesh.overflowed;
        self.figures.cold_files = self.parts.cold.asked;
        self.figures.notices_lost = self.herald.lost;
        self.parts.port.publish(&self.figures);
    }
}
