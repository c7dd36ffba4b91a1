//! A whole run: one broker, its clients, and everything that can befall them, under one seed.
//!
//! First the world is hard: crashes, faults, jumps of the clock, rude clients. Then it is kind, and the broker must
//! make good on everything: each idempotent producer gets its answers, every partition is read from end to end and
//! held against all acknowledgements, and once more after a stop in order.

use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_control::configs::settings::{Origin, Setting, Settings};

use crate::admin::Admin;
use crate::auditor::Auditor;
use crate::broker::{Broker, BrokerNews, Life};
use crate::check::{Checker, Place};
use crate::client::{Actor, Cx, Topic};
use crate::clock::Clock;
use crate::consumer::Consumer;
use crate::disk::{Crash, DiskCounts, Faults};
use crate::hash::StateHash;
use crate::net::NetCounts;
use crate::plan::Plan;
use crate::producer::Producer;
use crate::trace::Trace;
use crate::vandal::Vandal;

/// Room on the disk: far more than a run needs, as the broker keeps a reserve.
const DISK_BYTES: u64 = 1 << 40;
/// Virtual time in which a broker must have opened or drained, in milliseconds.
const PATIENCE_MS: u64 = 120_000;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Of everything.
    pub hash: u64,
    /// Batches acknowledged.
    pub acked: u64,
    /// Records compared with what was sent.
    pub compared: u64,
    /// Turns taken by shards.
    pub turns: u64,
    /// Times the broker started.
    pub starts: u64,
    /// Stops in order.
    pub clean_stops: u64,
    /// Partitions audited.
    pub audited: u64,
    /// What the disk saw.
    pub disk: DiskCounts,
    /// What the network saw.
    pub net: NetCounts,
}

impl Outcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &Outcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.acked += other.acked;
        self.compared += other.compared;
        self.turns += other.turns;
        self.starts += other.starts;
        self.clean_stops += other.clean_stops;
        self.audited += other.audited;
        self.disk.add(&other.disk);
        self.net.add(&other.net);
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    rng: Rng,
    plan: Plan,
    clock: Clock,
    broker: Broker,
    checker: Checker,
    topics: Vec<Topic>,
    actors: Vec<Box<dyn Actor>>,
    /// When the broker's state must have changed.
    patience_until: Mono,
    restart_at: Option<Mono>,
    chaos_at: Mono,
    /// Disturbances still happen.
    hard: bool,
    drained: bool,
    disturbances_at_start: u64,
    outcome: Outcome,
    trace: Trace,
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> Outcome {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    trace.line(|| format!("{plan:?}"));
    let mut world = World::new(plan, rng, trace);
    world.start();
    world.run_until(|world| world.clock.now().mono >= world.end_of_hardship());
    world.make_good();
    world.finish()
}

impl World {
    fn new(plan: Plan, mut rng: Rng, trace: Trace) -> World {
        let list: Vec<Setting> = plan
            .config
            .iter()
            .map(|(key, value)| Setting { key: key.clone(), value: value.clone(), origin: Origin::Flag })
            .collect();
        let settings = Settings::from_list(&list).expect("the plan's settings are valid");
        let mut broker = Broker::new(rng.split(), plan.shard_count, settings, DISK_BYTES, trace);
        broker.disk.set_latency(plan.latency);
        let mut checker = Checker::default();
        for (number, topic) in plan.topics.iter().enumerate() {
            for partition in 0..topic.partition_count {
                checker.add_partition((number, partition), plan.retained[number]);
            }
        }
        let mut actors: Vec<Box<dyn Actor>> = vec![Box::new(Admin::new(50, plan.deletes, plan.churns))];
        for habits in &plan.producers {
            actors.push(Box::new(Producer::new(habits.clone())));
        }
        for places in &plan.consumers {
            actors.push(Box::new(Consumer::new(places.clone(), 1 + rng.below(30), rng.one_in(2))));
        }
        if plan.vandal {
            actors.push(Box::new(Vandal::default()));
        }
        World {
            topics: plan.topics.clone(),
            chaos_at: Mono(2_000_000_000),
            patience_until: Mono(u64::MAX),
            rng,
            plan,
            clock: Clock::default(),
            broker,
            checker,
            actors,
            restart_at: None,
            hard: true,
            drained: false,
            disturbances_at_start: 0,
            outcome: Outcome::default(),
            trace,
        }
    }

    fn end_of_hardship(&self) -> Mono {
        Clock::default().now().mono.plus_ms(self.plan.duration_ms)
    }

    fn places(&self) -> Vec<Place> {
        let topics = self.topics.iter().enumerate();
        topics
            .flat_map(|(topic, info)| (0..info.partition_count).map(move |partition| (topic, partition)))
            .collect()
    }

    fn start(&mut self) {
        let now = self.clock.now();
        self.trace.line(|| format!("{:?}: the broker starts", now.mono));
        self.restart_at = None;
        self.drained = false;
        self.disturbances_at_start = self.broker.disk.counts().disturbances();
        self.outcome.starts += 1;
        let mut news = Vec::new();
        self.broker.start(now, &mut news);
        self.patience_until = now.mono.plus_ms(PATIENCE_MS);
        self.hear(news);
    }

    fn crash(&mut self, crash: Crash) {
        let now = self.clock.now();
        self.broker.crash(now, crash);
        let topics = &self.topics;
        self.checker.on_crash(|place| match crash {
            Crash::Kill => topics[place.0].lost_by_kill,
            Crash::PowerLoss => topics[place.0].lost_by_power_loss,
        });
        self.patience_until = Mono(u64::MAX);
        let soon = self.rng.below(300_000_000);
        self.restart_at = Some(Mono(now.mono.0 + soon));
    }

    /// Steps until `done`.
    fn run_until(&mut self, done: impl Fn(&World) -> bool) {
        while !done(self) {
            self.step();
        }
    }

    /// Steps until `done`. Panics: if that takes longer than patience.
    fn await_that(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let until = self.clock.now().mono.plus_ms(2 * PATIENCE_MS);
        while !done(self) {
            assert!(self.clock.now().mono < until, "{what} does not come: {}", self.describe());
            self.step();
        }
    }

    fn describe(&self) -> String {
        let unsettled = self.actors.iter().filter(|actor| !actor.is_settled());
        let mut text = format!("{:?}, unsettled {:?}", self.broker.life(), unsettled.collect::<Vec<_>>());
        text.truncate(3000);
        text
    }

    /// Goes to the next moment and lets everything due happen.
    fn step(&mut self) {
        let wakes = self.actors.iter().map(|actor| actor.wake_at()).min();
        let chaos = self.hard.then_some(self.chaos_at);
        let due = [self.broker.next_due(), wakes, chaos, self.restart_at].into_iter().flatten().min();
        let now = self.clock.now().mono;
        self.clock.advance_to(due.expect("somebody always wants to act").max(now));
        let now = self.clock.now();
        assert!(now.mono < self.patience_until, "the broker is {:?} for too long", self.broker.life());
        if self.restart_at.is_some_and(|at| at <= now.mono) {
            self.start();
        }
        let mut news = Vec::new();
        if self.broker.life() != Life::Down {
            self.broker.advance(now, &mut news);
        } else {
            self.broker.advance_net(now, &mut news);
        }
        self.hear(news);
        for number in 0..self.actors.len() {
            if self.actors[number].wake_at() <= now.mono {
                self.act(number, |actor, cx| actor.wake(cx));
            }
        }
        if self.hard && self.chaos_at <= now.mono {
            self.chaos();
        }
    }

    fn act(&mut self, number: usize, act: impl FnOnce(&mut dyn Actor, &mut Cx<'_>)) {
        let mut cx = Cx {
            now: self.clock.now(),
            rng: &mut self.rng,
            broker: &mut self.broker,
            checker: &mut self.checker,
            topics: &mut self.topics,
            mood: self.plan.mood,
            rude: self.hard,
        };
        act(&mut *self.actors[number], &mut cx);
    }

    fn hear(&mut self, news: Vec<BrokerNews>) {
        for piece in news {
            match piece {
                BrokerNews::Ready => {
                    self.patience_until = Mono(u64::MAX);
                    self.trace.line(|| "serving".to_owned());
                }
                BrokerNews::Drained => self.on_drained(),
                BrokerNews::Fatal(sentence) => self.on_fatal(&sentence),
                BrokerNews::Bytes(link, bytes) => {
                    if let Some(number) = self.actors.iter().position(|actor| actor.link() == Some(link)) {
                        self.act(number, |actor, cx| actor.on_bytes(cx, &bytes));
                    }
                }
                BrokerNews::Gone(link) => {
                    if let Some(number) = self.actors.iter().position(|actor| actor.link() == Some(link)) {
                        self.act(number, |actor, cx| actor.on_gone(cx));
                    }
                }
            }
        }
    }

    fn on_drained(&mut self) {
        if self.broker.life() != Life::Draining {
            return;
        }
        let now = self.clock.now();
        let clean = self.broker.exit(now);
        let disturbed = self.broker.disk.counts().disturbances() > self.disturbances_at_start;
        assert!(clean || disturbed, "a stop that is not clean for no reason");
        if disturbed {
            // A log that was given up is not checkpointed: for it, this was a crash.
            let topics = &self.topics;
            self.checker.on_crash(|place| topics[place.0].lost_by_kill);
        }
        self.outcome.clean_stops += u64::from(clean);
        self.drained = true;
        self.patience_until = Mono(u64::MAX);
        self.restart_at = Some(now.mono.plus_ms(1 + self.rng.below(200)));
    }

    /// A shard gives up: the process ends, as it does in the real shell. It needs a reason.
    fn on_fatal(&mut self, sentence: &str) {
        let disturbed = self.broker.disk.counts().disturbances() > self.disturbances_at_start;
        assert!(disturbed, "fatal for no reason: {sentence}");
        let passes = sentence.contains("too many open files");
        assert!(self.broker.life() != Life::Serving || !passes, "it could have waited: {sentence}");
        self.trace.line(|| format!("fatal: {sentence}"));
        if self.broker.life() != Life::Down {
            self.crash(Crash::Kill);
        }
    }

    /// Something happens to the broker.
    fn chaos(&mut self) {
        let now = self.clock.now();
        self.chaos_at = Mono(now.mono.0 + 1 + self.rng.below(self.plan.chaos_ms * 1_000_000));
        match self.rng.below(10) {
            0..3 if self.broker.life() != Life::Down => {
                let crash = if self.rng.one_in(2) { Crash::Kill } else { Crash::PowerLoss };
                self.crash(crash);
            }
            3 if self.broker.life() == Life::Serving => {
                self.trace.line(|| format!("{:?}: stop", now.mono));
                self.broker.shut_down();
                self.patience_until = now.mono.plus_ms(PATIENCE_MS);
            }
            4 if self.plan.wall_jumps => {
                let by = self.rng.below(20_000) as i64 - 10_000;
                self.clock.jump_wall(by);
            }
            5 => self.broker.disk.set_faults(self.plan.faults),
            6 => self.broker.disk.set_faults(Faults::default()),
            7 if self.plan.fills => {
                let free = if self.rng.one_in(2) { self.rng.below(64 << 20) } else { u64::MAX };
                self.broker.disk.leave_free(free);
            }
            _ => {}
        }
    }

    /// The world turns kind.
    fn make_good(&mut self) {
        self.hard = false;
        self.broker.disk.set_faults(Faults::default());
        self.broker.disk.leave_free(u64::MAX);
        self.trace.line(|| "from here on the world is kind".to_owned());
        self.await_that("a running broker", |world| world.broker.life() == Life::Serving);
        // What was given up for a fault stays so until a restart.
        let crash = if self.rng.one_in(2) { Crash::Kill } else { Crash::PowerLoss };
        self.crash(crash);
        self.await_that("a broker after the last crash", |world| world.broker.life() == Life::Serving);
        for actor in &mut self.actors {
            actor.wind_up();
        }
        self.await_that("rest", |world| world.actors.iter().all(|actor| actor.is_settled()));
        self.audit();
        let now = self.clock.now();
        self.broker.shut_down();
        self.patience_until = now.mono.plus_ms(PATIENCE_MS);
        self.await_that("the end of a drain", |world| world.drained);
        self.await_that("a broker after a clean stop", |world| world.broker.life() == Life::Serving);
        self.audit();
    }

    fn audit(&mut self) {
        let places = self.places().into_iter().filter(|place| self.topics[place.0].created);
        self.actors.push(Box::new(Auditor::new(places.collect::<Vec<_>>().into_iter())));
        let before = self.outcome.audited;
        self.await_that("the audit's end", |world| world.actors.iter().all(|actor| actor.is_settled()));
        self.actors.pop();
        self.outcome.audited = before + self.places().len() as u64;
    }

    fn finish(mut self) -> Outcome {
        let mut hash = StateHash::default();
        self.broker.hash_into(&mut hash);
        self.checker.hash_into(&mut hash);
        hash.word(self.clock.now().mono.0);
        hash.word(self.rng.next_u64());
        self.outcome.hash = hash.value();
        self.outcome.acked = self.checker.acked;
        self.outcome.compared = self.checker.compared;
        self.outcome.turns = self.broker.turns();
        self.outcome.disk = self.broker.disk.counts();
        self.outcome.net = self.broker.net.counts();
        self.outcome
    }
}
