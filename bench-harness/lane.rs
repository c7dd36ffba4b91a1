//! One thread of the load: its producers and consumers, one epoll loop, no locks.
//!
//! A turn: send what is due, ask where nothing is asked, wait until a socket speaks or something is due, take it in.
//! What others want to know leaves once a second through a channel, and through a few counters that only this thread
//! writes.

use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crate::clock::{self, SECOND};
use crate::consumer::Consumer;
use crate::plan::Plan;
use crate::poll::Poll;
use crate::producer::Producer;
use crate::tally::{Second, Tally, Totals};
use crate::verify::Checker;

/// The longest wait, so that deadlines and the end of the run are noticed.
const WAIT_MAX: u64 = SECOND / 100;

/// Bits of a token that number a leader; the rest numbers the producer or consumer.
const LEADER_BITS: u32 = 16;

/// What a thread tells while it runs.
#[derive(Default)]
pub struct Progress {
    /// Records acknowledged since the load began.
    pub acknowledged: AtomicU64,
    /// Records received by measured consumers.
    pub received: AtomicU64,
    /// Whether all that was due has been sent and answered.
    pub is_done: AtomicBool,
}

/// What a thread tells of itself.
pub enum Told {
    /// A second is over for it.
    Second(Box<Second>),
    /// It has ended, well or not.
    Ended,
}

/// What a thread has to do.
pub struct Task {
    /// The load.
    pub plan: Arc<Plan>,
    /// Producers of the plan's workload that live here.
    pub producers: Vec<u32>,
    /// Consumers: their slots, and whether they are measured.
    pub consumers: Vec<(Vec<u32>, bool)>,
    /// Counters to keep.
    pub progress: Arc<Progress>,
    /// Raised when the run is over.
    pub finish: Arc<AtomicBool>,
    /// Where seconds go.
    pub told: Sender<Told>,
}

/// What a thread brings home.
pub struct Outcome {
    /// What it counted.
    pub totals: Totals,
    /// Its producers: number, and acknowledged records by slot.
    pub acknowledged: Vec<(u32, Vec<u64>)>,
    /// Its measured consumers: slots, and what was found there.
    pub checkers: Vec<(Vec<u32>, Checker)>,
}

/// The producers, consumers and connections of one thread.
pub struct Lane {
    task: Task,
    poll: Poll,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
    tally: Tally,
    received: u64,
    acknowledged: u64,
}

impl Lane {
    /// Opens all connections. Errors: a connection or a producer id that could not be had.
    pub fn open(task: Task) -> io::Result<Lane> {
        // A wait ends when it is meant to, not up to 50 us later.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let poll = Poll::new()?;
        let token = |number: usize| (number as u64) << LEADER_BITS;
        let mut producers = Vec::new();
        for (at, &index) in task.producers.iter().enumerate() {
            producers.push(Producer::open(&task.plan, index, token(at), &poll)?);
        }
        let mut consumers = Vec::new();
        for (at, (slots, is_measured)) in task.consumers.iter().enumerate() {
            let token = token(producers.len() + at);
            consumers.push(Consumer::open(&task.plan, slots.clone(), *is_measured, token, &poll)?);
        }
        let tally = Tally::new(task.plan.start, task.plan.window.clone());
        Ok(Lane { task, poll, producers, consumers, tally, received: 0, acknowledged: 0 })
    }

    /// Runs until it is told to finish. Errors: the thread cannot wait for sockets any more.
    pub fn run(mut self) -> io::Result<Outcome> {
        let mut tokens = Vec::new();
        while !self.task.finish.load(Ordering::Relaxed) {
            let now = clock::now();
            self.report(now);
            let mut wake = now + WAIT_MAX;
            for producer in &mut self.producers {
                wake = wake.min(producer.turn(now, &mut self.tally, &self.poll));
            }
            for consumer in &mut self.consumers {
                wake = wake.min(consumer.turn(now, &mut self.tally, &self.poll));
            }
            let wait = wake.saturating_sub(clock::now());
            self.poll.wait(wait, &mut tokens)?;
            for token in &tokens {
                let (number, line) = ((token >> LEADER_BITS) as usize, (token & 0xffff) as usize);
                match self.producers.get_mut(number) {
                    Some(producer) => producer.on_ready(line, &mut self.tally),
                    None => self.consumers[number - self.producers.len()].on_ready(line, &mut self.tally),
                }
            }
        }
        Ok(self.end())
    }

    fn report(&mut self, now: u64) {
        if let Some(over) = self.tally.turn(now) {
            self.acknowledged += over.produced;
            self.received += over.consumed;
            // Nobody listens any more only when the run is being abandoned.
            let _ = self.task.told.send(Told::Second(Box::new(over)));
        }
        let progress = &self.task.progress;
        progress.acknowledged.store(self.acknowledged + self.tally.second.produced, Ordering::Relaxed);
        progress.received.store(self.received + self.tally.second.consumed, Ordering::Relaxed);
        progress
            .is_done
            .store(self.producers.iter().all(|producer| producer.is_done(now)), Ordering::Relaxed);
    }

    fn end(mut self) -> Outcome {
        for producer in &mut self.producers {
            producer.give_up(&mut self.tally);
        }
        let _ = self.task.told.send(Told::Second(Box::new(self.tally.second)));
        let acknowledged = self
            .producers
            .iter()
            .map(|producer| (producer.number(), producer.acknowledged().to_vec()))
            .collect();
        let checkers = self.consumers.into_iter().filter_map(Consumer::into_checker).collect();
        Outcome { totals: self.tally.totals, acknowledged, checkers }
    }
}
