//! Runs a load from beginning to end: starts the threads, follows them second by second, ends when everything has
//! arrived or no longer will, and settles what was found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use rustix::thread::CpuSet;

use crate::clock::{self, SECOND};
use crate::consumer::share;
use crate::lane::{Lane, Outcome, Progress, Task, Told};
use crate::plan::Plan;
use crate::tally::{Second, Totals};
use crate::verify::Findings;

/// After the last record was due: how long answers and consumers may take to finish ...
const FINISH_DEADLINE: u64 = 60 * SECOND;

/// ... and how long nothing may move before the rest is given up.
const STILL_DEADLINE: u64 = 10 * SECOND;

/// Between two looks at the threads' counters once the load is over: they are plain stores, since waking somebody for each
/// would disturb the load.
const LOOK: u64 = SECOND / 50;

/// Tells when it is dropped, so that a thread that panics is noticed too.
struct Ending(Sender<Told>);

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody listens any more only when the run is being abandoned.
        let _ = self.0.send(Told::Ended);
    }
}

/// What a load brought.
pub struct Loaded {
    /// All threads' counts.
    pub totals: Totals,
    /// What verification found; settled against what was acknowledged.
    pub findings: Findings,
    /// Acknowledged records by producer number and slot.
    pub acknowledged: Vec<(u32, Vec<u64>)>,
    /// When the load began and ended, by the run's clock.
    pub span: std::ops::Range<u64>,
}

/// Runs `plan` on one thread per core of `cpus`, or of this process if none are given.
///
/// `earlier` holds what loads before this one on the same topics were acknowledged: their records have to arrive too.
/// `watch` is called with every second that is over. Errors: connections that could not be had.
pub fn run(
    plan: Arc<Plan>,
    cpus: &[usize],
    consume: bool,
    earlier: &[(u32, Vec<u64>)],
    mut watch: impl FnMut(&Second),
) -> io::Result<Loaded> {
    let (sender, told) = mpsc::channel();
    let finish = Arc::new(AtomicBool::new(false));
    let lanes = if cpus.is_empty() { thread::available_parallelism()?.get() } else { cpus.len() };
    let mut tasks: Vec<Task> = (0..lanes)
        .map(|_| Task {
            plan: Arc::clone(&plan),
            producers: Vec::new(),
            consumers: Vec::new(),
            progress: Arc::new(Progress::default()),
            finish: Arc::clone(&finish),
            told: sender.clone(),
        })
        .collect();
    drop(sender);
    deal(&plan, consume, &mut tasks);
    let progress: Vec<Arc<Progress>> = tasks.iter().map(|task| Arc::clone(&task.progress)).collect();
    let threads: Vec<_> = tasks
        .into_iter()
        .enumerate()
        .map(|(at, task)| {
            let cpu = cpus.get(at).copied();
            thread::spawn(move || {
                let _ending = Ending(task.told.clone());
                pin(cpu)?;
                Lane::open(task)?.run()
            })
        })
        .collect();
    let mut collector = Collector { open: Vec::new(), lanes };
    let fan_out = if consume && plan.workload.consumers > 0 { u64::from(plan.workload.fan_out) } else { 0 };
    let before: u64 = earlier.iter().flat_map(|(_, slots)| slots).sum();
    let mut end = End { moved_at: clock::now(), sum: 0 };
    // Until every thread has dropped its sender.
    loop {
        let wait = Duration::from_nanos(End::next_look(&plan, fan_out).saturating_sub(clock::now()));
        match told.recv_timeout(wait) {
            Ok(Told::Second(second)) => collector.take(*second, &mut watch),
            Ok(Told::Ended) => finish.store(true, Ordering::Relaxed),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if end.has_come(&plan, &progress, fan_out, before) {
            finish.store(true, Ordering::Relaxed);
        }
    }
    collector.flush(&mut watch);
    let outcomes = threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| io::Error::other("a thread of the load panicked"))?)
        .collect::<io::Result<Vec<Outcome>>>()?;
    Ok(settle(&plan, outcomes, earlier))
}

/// Pins the calling thread to a core.
pub fn pin(cpu: Option<usize>) -> io::Result<()> {
    if let Some(cpu) = cpu {
        pin_to(&[cpu])?;
    }
    Ok(())
}

/// Lets the calling thread, and what it starts, run on those cores only.
pub fn pin_to(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Gives every thread its part of the producers and consumers.
fn deal(plan: &Plan, consume: bool, tasks: &mut [Task]) {
    let workload = &plan.workload;
    let lanes = tasks.len();
    for producer in 0..workload.producers {
        tasks[producer as usize % lanes].producers.push(producer);
    }
    let mut next = 0;
    let mut give = |slots: Vec<u32>, is_measured: bool| {
        // Backwards, so that one producer and one consumer on two threads do not share one.
        tasks[lanes - 1 - next % lanes].consumers.push((slots, is_measured));
        next += 1;
    };
    if consume {
        for _ in 0..workload.fan_out {
            for consumer in 0..workload.consumers {
                give(share(0..workload.slots(), consumer, workload.consumers), true);
            }
        }
        (0..workload.history_readers).for_each(|_| give((0..workload.slots()).collect(), false));
    }
}

/// Decides when a load is over.
struct End {
    moved_at: u64,
    sum: u64,
}

impl End {
    /// Whether the load may be over before its time is: with a number of records to send, or nothing but a backlog to read.
    fn may_come_early(plan: &Plan, fan_out: u64) -> bool {
        plan.records_max.is_some() || (plan.workload.drain_only && fan_out > 0)
    }

    /// When it is worth looking whether the end has come.
    fn next_look(plan: &Plan, fan_out: u64) -> u64 {
        let soon = clock::now() + LOOK;
        if End::may_come_early(plan, fan_out) { soon } else { soon.max(plan.stop) }
    }

    fn has_come(&mut self, plan: &Plan, progress: &[Arc<Progress>], fan_out: u64, before: u64) -> bool {
        let sum_of = |counter: fn(&Progress) -> u64| progress.iter().map(|lane| counter(lane)).sum::<u64>();
        let acknowledged = sum_of(|lane| lane.acknowledged.load(Ordering::Relaxed));
        let received = sum_of(|lane| lane.received.load(Ordering::Relaxed));
        let is_sent = progress.iter().all(|lane| lane.is_done.load(Ordering::Relaxed));
        let now = clock::now();
        if acknowledged + received != self.sum {
            (self.moved_at, self.sum) = (now, acknowledged + received);
        }
        let is_over = now >= plan.stop || End::may_come_early(plan, fan_out);
        let is_whole = is_sent && received >= (acknowledged + before) * fan_out;
        let given_up = now > self.moved_at + STILL_DEADLINE
            || now > plan.stop.saturating_add(FINISH_DEADLINE)
            || (now > plan.stop && !is_sent && now > plan.stop + FINISH_DEADLINE / 2);
        (is_over && is_whole) || (now > plan.start && (now >= plan.stop || is_over) && given_up)
    }
}

/// Puts the threads' seconds together. A second is complete when every thread has begun a later one.
struct Collector {
    open: Vec<(Second, usize)>,
    lanes: usize,
}

impl Collector {
    fn take(&mut self, second: Second, watch: &mut impl FnMut(&Second)) {
        match self.open.iter_mut().find(|(open, _)| open.number == second.number) {
            Some((open, parts)) => {
                open.add(&second);
                *parts += 1;
            }
            None => self.open.push((second, 1)),
        }
        self.open.sort_by_key(|(second, _)| second.number);
        // A thread that slept through a second reports none: three seconds later nobody waits for it.
        let newest = self.open.last().map_or(0, |(second, _)| second.number);
        let lanes = self.lanes;
        while self.open.first().is_some_and(|(second, parts)| *parts == lanes || second.number + 3 <= newest)
        {
            watch(&self.open.remove(0).0);
        }
    }

    fn flush(&mut self, watch: &mut impl FnMut(&Second)) {
        self.open.drain(..).for_each(|(second, _)| watch(&second));
    }
}

fn settle(plan: &Plan, outcomes: Vec<Outcome>, earlier: &[(u32, Vec<u64>)]) -> Loaded {
    let (mut totals, mut findings) = (Totals::new(), Findings::default());
    let mut acknowledged = earlier.to_vec();
    let mut checkers = Vec::new();
    for outcome in outcomes {
        totals.add(&outcome.totals);
        acknowledged.extend(outcome.acknowledged);
        checkers.extend(outcome.checkers);
    }
    acknowledged.sort_by_key(|(producer, _)| *producer);
    for (slots, checker) in &mut checkers {
        for (member, slot) in slots.iter().enumerate() {
            let of_producer = |number: u32| {
                let found = acknowledged.binary_search_by_key(&number, |(producer, _)| *producer);
                found.map_or(0, |at| acknowledged[at].1[*slot as usize])
            };
            checker.settle(member, (0..plan.producers_total).map(of_producer));
        }
        findings.add(checker.findings());
    }
    Loaded { totals, findings, acknowledged, span: plan.start..clock::now() }
}
