//! Logs alone on a virtual disk, under one seed: appends, reads, look-ups, retention, crashes at any step.
//!
//! The shard that owns them is `LogShard`'s; this says what happens to it, and how often. After everything the log says,
//! the model beside it is asked whether that may be.

use corelane_base::rng::Rng;
use corelane_log::log::{LogState, TimedOffset};
use corelane_log::settings::Durability;

use crate::disk::DiskCounts;
use crate::log_model::{LogModel, LookupAsked};
use crate::log_plan::LogPlan;
use crate::log_stand::{LogShard, Stand};
use crate::trace::Trace;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOutcome {
    /// Of everything that happened and of the disk at the end.
    pub hash: u64,
    /// Batches appended.
    pub appended: u64,
    /// Batches recognised as sent before.
    pub duplicates: u64,
    /// Reads whose bytes were compared.
    pub reads: u64,
    /// Look-ups by time compared.
    pub lookups: u64,
    /// Times a log came online after a crash.
    pub recoveries: u64,
    /// Times a log was found or went offline.
    pub offline: u64,
    /// What the disk saw.
    pub disk: DiskCounts,
}

impl LogOutcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &LogOutcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.appended += other.appended;
        self.duplicates += other.duplicates;
        self.reads += other.reads;
        self.lookups += other.lookups;
        self.recoveries += other.recoveries;
        self.offline += other.offline;
        self.disk.add(&other.disk);
    }
}

/// Some logs, their disk, their clock.
#[derive(Debug)]
pub struct LogWorld {
    pub(crate) plan: LogPlan,
    pub(crate) stand: Stand<LogModel>,
    pub(crate) outcome: LogOutcome,
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> LogOutcome {
    let mut rng = Rng::new(seed);
    let plan = LogPlan::draw(&mut rng);
    let mut world = LogWorld::new(plan, rng, trace);
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.finish()
}

impl LogWorld {
    fn new(plan: LogPlan, mut rng: Rng, trace: Trace) -> LogWorld {
        let disk_rng = rng.split();
        let mut stand = Stand::new(rng, disk_rng, plan.latency, plan.faults, trace);
        stand.ground.trace.line(|| format!("{plan:?}"));
        for settings in &plan.logs {
            stand.create(settings.clone(), LogModel::new(settings.durability));
        }
        stand.ground.submit();
        LogWorld { plan, stand, outcome: LogOutcome::default() }
    }

    /// One thing happens, drawn by weight.
    fn step(&mut self) {
        let host = self.stand.draw_host();
        match self.stand.rng.below(1000) {
            0..300 => {
                for _ in 0..=self.stand.rng.below(self.plan.burst) {
                    self.append(host);
                }
            }
            300..700 => self.complete_some(),
            700..820 => self.read(host),
            820..860 => self.look_up(host),
            860..900 => drop(self.send_one()),
            900..930 => self.pass_time(),
            930..945 => self.delete_records(host),
            945..960 => self.stand.store_checkpoint(host),
            960..970 => self.evict(host),
            970..980 => self.check_epochs(host),
            980..990 => self.disturb(),
            990..997 => self.crash(),
            _ => self.stop_cleanly(),
        }
        self.stand.end_turn();
        self.stand.observe();
    }

    /// Ends the run: no more faults, a last crash or stop, everything online, everything read.
    fn finish(mut self) -> LogOutcome {
        self.stand.ground.set_moody(false);
        self.stand.ground.disk.leave_free(u64::MAX);
        if self.stand.rng.one_in(2) {
            self.crash();
        } else {
            self.stop_cleanly();
        }
        self.settle();
        for host in 0..self.stand.hosts.len() {
            self.check_serves_again(host);
            self.read_everything(host);
        }
        self.settle();
        while self.send_one() {}
        let ground = &mut self.stand.ground;
        ground.disk.hash_into(&mut ground.hash);
        self.outcome.hash = self.stand.ground.hash.value();
        self.outcome.recoveries = self.stand.recoveries;
        self.outcome.offline = self.stand.offline;
        self.outcome.disk = self.stand.ground.disk.counts();
        self.outcome
    }

    fn pass_time(&mut self) {
        let ms = match self.stand.rng.below(10) {
            0 => self.stand.rng.below(self.plan.span_ms),
            _ => self.stand.rng.below(1000),
        };
        self.deliver_for(ms * 1_000_000);
        if self.stand.rng.one_in(20) && self.plan.wall_jumps {
            let by = self.stand.rng.below(20_000) as i64 - 10_000;
            self.stand.ground.clock.jump_wall(by);
        }
        self.tick();
    }

    /// The surroundings change: room on the disk, faults on or off, leadership.
    fn disturb(&mut self) {
        match self.stand.rng.below(5) {
            3 => self.change_durability(),
            0 if self.plan.fills => self.stand.ground.fill(&mut self.stand.rng),
            1 => self.stand.ground.set_moody(false),
            2 => self.stand.ground.set_moody(true),
            _ => {
                let host = self.stand.draw_host();
                self.stand.hosts[host].model.leader_epoch += 1;
            }
        }
    }

    /// A log's setting changes under way.
    fn change_durability(&mut self) {
        let host = self.stand.draw_host();
        let at = &mut self.stand.hosts[host];
        let choices = [Durability::Sync, Durability::Write, Durability::Memory];
        let durability = choices[self.stand.rng.below(3) as usize];
        self.stand.ground.trace.line(|| format!("{} is {durability:?} from here on", at.dir));
        at.settings.durability = durability;
        at.model.set_durability(durability);
        if let Some(log) = at.log.as_mut() {
            log.set_settings(at.settings.clone());
        }
    }

    fn complete_some(&mut self) {
        for _ in 0..=self.stand.rng.below(8) {
            self.complete_one();
            if self.stand.rng.one_in(2) {
                self.stand.end_turn();
            }
        }
    }
}

impl LogShard for LogWorld {
    type Model = LogModel;

    fn stand(&mut self) -> &mut Stand<LogModel> {
        &mut self.stand
    }

    fn tick_log(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let is_checked = at.is_checked();
        let Some(log) = at.log.as_mut() else { return };
        let mut cx = self.stand.ground.cx();
        let before = log.log_start_offset();
        log.tick(&mut cx);
        let grown = log.retain(&mut cx);
        assert_eq!(grown, log.log_start_offset() > before, "{}", at.dir);
        if is_checked && *log.state() == LogState::Online {
            at.model.on_log_start(log.log_start_offset().0, false, &at.settings, cx.now.wall.0);
        }
    }

    fn check_lookup(&mut self, host: usize, asked: LookupAsked, found: Option<TimedOffset>) {
        self.check_found(host, asked, found);
    }

    fn is_at_rest(&self, host: usize) -> bool {
        let at = &self.stand.hosts[host];
        let log = at.log.as_ref().expect("between start and crash every host has a log");
        assert!(log.is_idle() || at.abandoned, "{} does not come to rest: {log:?}", at.dir);
        let may_lack = self.plan.fills || self.plan.faults.no_descriptor > 0;
        assert!(!log.lacks_room() || may_lack, "{} lacks room: {log:?}", at.dir);
        if at.is_checked() && !log.lacks_room() {
            assert_eq!(log.flushed_offset(), log.log_end_offset(), "{}: sealed but not flushed", at.dir);
        }
        log.is_idle() && *log.state() == LogState::Online
    }

    fn on_start(&mut self) {
        for at in &mut self.stand.hosts {
            at.model.leader_epoch += i32::from(self.stand.rng.one_in(2));
        }
    }
}
