//! File operations off the data path, on the executor's blocking pool.
//!
//! Order: operations begin in the order they were asked for, with two exceptions. At most [`QUICK_MAX`] and
//! [`LONG_MAX`] run at once, and the long ones (creating and zeroing segments) have a queue of their own, so that a
//! segment being prepared delays no look-up. But two operations whose paths are equal, or of which one lies below the
//! other, never overtake each other and never run together. Operations on handles (`Zero`) have no path; whoever asks
//! for one waits for it before renaming or removing the file.
//!
//! A pool thread that has ended an operation reports to the executor, too, and the executor takes its reports only when it
//! has the core. They have room for a bounded number: then the threads would wait for good. So the loop gives way
//! to the executor before that, see [`ColdFiles::wants_executor`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken};
use corelane_node::event::Event;
use rustix::thread::CpuSet;

use crate::ring::segment_file::Helper;
use crate::rt::files::{self, Site};
use crate::rt::port::Port;

/// Quick operations at once.
const QUICK_MAX: usize = 2;
/// Long operations at once: one sequential writer fills a device.
const LONG_MAX: usize = 1;

/// Reports that the executor has not taken, before it gets the core; its queue has room for 4,096.
const REPORTS_MAX: usize = 64;

/// An operation with its place in the order of asking.
struct Ask {
    number: u64,
    token: DiskToken,
    op: DiskOp,
}

struct Answer {
    number: u64,
    token: DiskToken,
    result: Result<DiskOutcome, DiskError>,
}

/// An operation under way.
struct Running {
    number: u64,
    long: bool,
    paths: Vec<String>,
}

/// One shard's blocking file operations.
pub(super) struct ColdFiles {
    site: Arc<Site>,
    port: Arc<Port>,
    quick: VecDeque<Ask>,
    long: VecDeque<Ask>,
    /// At most `QUICK_MAX + LONG_MAX`.
    running: Vec<Running>,
    /// Bounded by what runs.
    answers: (Sender<Answer>, Receiver<Answer>),
    /// Taken from the channel, not yet handed over.
    arrived: VecDeque<Answer>,
    /// Operations ever asked for.
    pub asked: u64,
    /// Operations whose thread's report the executor has not taken yet.
    unended: Rc<Cell<usize>>,
}

impl ColdFiles {
    pub fn new(root: PathBuf, helper: Helper, affinity: CpuSet, port: Arc<Port>) -> ColdFiles {
        ColdFiles {
            site: Arc::new(Site { root, helper, affinity }),
            port,
            quick: VecDeque::new(),
            long: VecDeque::new(),
            running: Vec::new(),
            answers: channel(),
            arrived: VecDeque::new(),
            asked: 0,
            unended: Rc::default(),
        }
    }

    /// Takes an operation; [`ColdFiles::begin`] starts it when its turn has come.
    pub fn ask(&mut self, token: DiskToken, op: DiskOp) {
        self.asked += 1;
        let ask = Ask { number: self.asked, token, op };
        if is_long(&ask.op) { self.long.push_back(ask) } else { self.quick.push_back(ask) }
    }

    /// Starts what may start.
    pub fn begin(&mut self) {
        while let Some(ask) = self.next() {
            self.unended.set(self.unended.get() + 1);
            let unended = Rc::clone(&self.unended);
            self.running.push(Running {
                number: ask.number,
                long: is_long(&ask.op),
                paths: ask.op.paths().into_iter().flatten().map(str::to_string).collect(),
            });
            let (site, answers, port) =
                (Arc::clone(&self.site), self.answers.0.clone(), Arc::clone(&self.port));
            // It begins at once: a new task runs up to its first wait. The answer comes back through the doorbell, not
            // through the executor, which seldom has the core.
            glommio::spawn_local(async move {
                let work = move || {
                    let result = files::perform(&site, ask.op);
                    // Fails only when the shard is gone, and with it whoever asked.
                    let _ = answers.send(Answer { number: ask.number, token: ask.token, result });
                    port.doorbell.ring();
                    port
                };
                let port = glommio::executor().spawn_blocking(work).await;
                unended.set(unended.get() - 1);
                // A shard that winds down may sleep until this.
                port.doorbell.ring();
            })
            .detach();
        }
    }

    /// Takes the next operation that may run now.
    fn next(&mut self) -> Option<Ask> {
        let running = |long| self.running.iter().filter(|running| running.long == long).count();
        let may = |queue: &VecDeque<Ask>, other: &VecDeque<Ask>| {
            let Some(first) = queue.front() else { return false };
            let free =
                !self.running.iter().flat_map(|running| &running.paths).any(|path| first.op.touches(path));
            let mut earlier = other.iter().take_while(|ask| ask.number < first.number);
            free && !earlier.any(|ask| first.op.is_bound_to(&ask.op))
        };
        if running(false) < QUICK_MAX && may(&self.quick, &self.long) {
            self.quick.pop_front()
        } else if running(true) < LONG_MAX && may(&self.long, &self.quick) {
            self.long.pop_front()
        } else {
            None
        }
    }

    /// Whether the executor should get the core, to take the reports of operations that have answered.
    pub fn wants_executor(&self) -> bool {
        self.unended.get() >= self.running.len() + REPORTS_MAX
    }

    /// Whether there are operations whose thread's report the executor has not taken: the thread panics if the executor
    /// goes before.
    pub fn has_unended(&self) -> bool {
        self.unended.get() > 0
    }

    /// Whether an answer has come.
    pub fn has_answers(&mut self) -> bool {
        self.arrived.extend(self.answers.1.try_iter());
        !self.arrived.is_empty()
    }

    /// Hands the answers over.
    pub fn take_answers(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if self.running.is_empty() || !self.has_answers() {
            return;
        }
        while let Some(Answer { number, token, result }) = self.arrived.pop_front() {
            self.running.retain(|running| running.number != number);
            sink(Event::Disk { token, result });
        }
        self.begin();
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_quiet(&self) -> bool {
        self.running.is_empty() && self.quick.is_empty() && self.long.is_empty()
    }
}

fn is_long(op: &DiskOp) -> bool {
    matches!(op, DiskOp::CreateSegment { .. } | DiskOp::Zero { .. })
}
