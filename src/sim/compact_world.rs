//! Compacted logs on a virtual disk, under one seed: appends with keys and tombstones, compaction in small steps, reads
//! that are sent late, crashes between any two operations.
//!
//! The shard is the one of `log_world`, with a cleaner; what is asked of a log is different enough for a world of its own:
//! nothing is dense, and the model says what may be gone instead of what is there.

use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;
use corelane_log::batch::TimestampType;
use corelane_log::cleaner::{Cleaner, CleanerSettings, Turn};
use corelane_log::disk::{DiskError, DiskOutcome, DiskToken};
use corelane_log::error::AppendError;
use corelane_log::log::{AppendOrigin, LogState, LookupStart, ReadStart, TimedOffset};
use corelane_log::settings::{Durability, LogSettings};

use crate::batch::{KeyedRecord, Producer, as_stored, encode_keyed};
use crate::compact_model::{Asked, CompactModel};
use crate::disk::{Faults, Latency};
use crate::log_stand::{LogShard, Model as _, PATIENCE, Stand};
use crate::trace::Trace;

const CLEANER_SLOT: u32 = 999;
const PRODUCERS: u64 = 3;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactOutcome {
    /// Of everything that happened and of the disk at the end.
    pub hash: u64,
    /// Batches appended.
    pub appended: u64,
    /// Records compared.
    pub compared: u64,
    /// Look-ups by time compared.
    pub lookups: u64,
    /// Times a log came online after a crash.
    pub recoveries: u64,
    /// Groups of segments exchanged.
    pub swaps: u64,
    /// Runs of compaction that were given up.
    pub aborted: u64,
    /// Records that were gone at the end.
    pub removed: u64,
}

impl CompactOutcome {
    /// Adds another run's figures; the hash becomes one of both.
    pub fn add(&mut self, other: &CompactOutcome) {
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        self.appended += other.appended;
        self.compared += other.compared;
        self.lookups += other.lookups;
        self.recoveries += other.recoveries;
        self.swaps += other.swaps;
        self.aborted += other.aborted;
        self.removed += other.removed;
    }
}

/// What a seed draws before its run.
#[derive(Debug)]
struct Plan {
    steps: u64,
    logs: Vec<LogSettings>,
    faults: Faults,
    fills: bool,
    key_count: u64,
    value_bytes_max: u64,
    cleaner: CleanerSettings,
}

struct World {
    plan: Plan,
    stand: Stand<CompactModel>,
    cleaner: Cleaner,
    outcome: CompactOutcome,
}

/// Runs one seed to its end. Panics: at the first broken promise.
pub fn run(seed: u64, trace: Trace) -> CompactOutcome {
    let mut rng = Rng::new(seed ^ 0x00c0_4bac_7ed1_0600);
    let plan = draw(&mut rng);
    let mut world = World::new(plan, rng, trace);
    for _ in 0..world.plan.steps {
        world.step();
    }
    world.finish()
}

fn draw(rng: &mut Rng) -> Plan {
    let none = Faults::default();
    let often = 40 << rng.below(6);
    Plan {
        steps: 300 + rng.below(1500),
        logs: (0..1 + rng.below(2)).map(|_| draw_settings(rng)).collect(),
        faults: match rng.below(12) {
            0 => Faults { write_error: often, ..none },
            1 => Faults { sync_error: often, ..none },
            2 => Faults { read_error: often, ..none },
            3 => Faults { meta_error: often, ..none },
            4 => Faults { bit_flip: often, ..none },
            5 => Faults { stall: often, ..none },
            6 => Faults { no_descriptor: 2 << rng.below(5), ..none },
            _ => none,
        },
        fills: rng.one_in(6),
        key_count: 1 << rng.below(9),
        value_bytes_max: 1 << (3 + rng.below(8)),
        cleaner: CleanerSettings {
            enabled: true,
            map_bytes_max: [24 * 4, 24 * 40, 1 << 20][rng.below(3) as usize],
            map_load_percent: 90,
            io_bytes_per_second: if rng.one_in(3) { 1 << 20 } else { u64::MAX },
        },
    }
}

fn draw_settings(rng: &mut Rng) -> LogSettings {
    let segment_bytes = (8 * 1024) << rng.below(5);
    LogSettings {
        segment_bytes,
        segment_ms: if rng.one_in(2) { 1000 << rng.below(8) } else { i64::MAX },
        retention_bytes: -1,
        retention_ms: -1,
        deletes: false,
        batch_bytes_max: segment_bytes / 2,
        compression: None,
        index_interval_bytes: 1 << (6 + rng.below(8)),
        timestamp_type: if rng.one_in(4) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        timestamp_before_ms_max: i64::MAX,
        timestamp_after_ms_max: 3_600_000,
        durability: Durability::Sync,
        producer_id_expiration_ms: i64::MAX,
        compacted: true,
        delete_retention_ms: 500 << rng.below(8),
        compaction_lag_ms_min: if rng.one_in(4) { 500 << rng.below(4) } else { 0 },
        compaction_lag_ms_max: if rng.one_in(3) { 2000 << rng.below(6) } else { i64::MAX },
        cleanable_ratio_min_ppm: [0, 50_000, 500_000][rng.below(3) as usize],
    }
}

impl World {
    fn new(plan: Plan, mut rng: Rng, trace: Trace) -> World {
        let disk_rng = rng.split();
        let max_ns = if rng.one_in(4) { 50_000_000 } else { 500_000 };
        let latency = Latency { min_ns: 20_000, max_ns, stall_ns: 2_000_000_000 };
        let mut stand = Stand::new(rng, disk_rng, latency, plan.faults, trace);
        stand.ground.trace.line(|| format!("{plan:?}"));
        for settings in &plan.logs {
            stand.create(settings.clone(), CompactModel::new(settings.delete_retention_ms));
        }
        stand.ground.submit();
        let cleaner = Cleaner::new(CLEANER_SLOT, [1, 2], plan.cleaner);
        World { plan, stand, cleaner, outcome: CompactOutcome::default() }
    }

    fn step(&mut self) {
        let host = self.stand.draw_host();
        match self.stand.rng.below(1000) {
            0..260 => {
                for _ in 0..=self.stand.rng.below(8) {
                    self.append(host);
                }
            }
            260..560 => {
                for _ in 0..=self.stand.rng.below(8) {
                    self.complete_one();
                }
            }
            560..740 => {
                self.clean();
            }
            740..820 => self.read(host),
            820..850 => self.look_up(host),
            850..890 => drop(self.send_one()),
            890..930 => {
                let short = !self.stand.rng.one_in(10);
                let ms = self.stand.rng.below(if short { 1500 } else { 60_000 });
                self.deliver_for(ms * 1_000_000);
                self.tick();
            }
            930..960 => self.stand.store_checkpoint(host),
            960..968 => {
                let keep = self.stand.rng.below(64 * 1024);
                if let Some(log) = self.stand.hosts[host].log.as_mut() {
                    log.evict_tail(keep);
                }
            }
            968..972 => self.delete_records(host),
            972..982 => self.disturb(),
            982..997 => self.crash(),
            _ => self.stop_cleanly(),
        }
        self.stand.end_turn();
        self.stand.observe();
    }

    fn finish(mut self) -> CompactOutcome {
        self.stand.ground.set_moody(false);
        self.stand.ground.disk.leave_free(u64::MAX);
        if self.stand.rng.one_in(2) {
            self.crash()
        } else {
            self.stop_cleanly()
        }
        self.settle();
        while self.send_one() {}
        self.clean_everything();
        for host in 0..self.stand.hosts.len() {
            self.read_everything(host);
        }
        let ground = &mut self.stand.ground;
        ground.disk.hash_into(&mut ground.hash);
        self.count_cleaner();
        self.outcome.hash = self.stand.ground.hash.value();
        self.outcome.recoveries = self.stand.recoveries;
        self.outcome
    }

    fn count_cleaner(&mut self) {
        self.outcome.swaps += self.cleaner.totals().swaps;
        self.outcome.aborted += self.cleaner.totals().aborted;
    }

    fn append(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let now = self.stand.ground.clock.now().wall.0;
        let producer = match self.stand.rng.below(PRODUCERS + 1) {
            0 => Producer::NONE,
            id => match at.model.last_batch_of(id as i64) {
                None => Producer { id: id as i64, epoch: 0, base_sequence: 0 },
                Some(last) if self.stand.rng.one_in(30) => {
                    Producer { epoch: last.producer.epoch + 1, base_sequence: 0, ..last.producer }
                }
                Some(last) => {
                    let count = (last.last_offset + 1 - last.base_offset) as i32;
                    Producer { base_sequence: last.producer.base_sequence + count, ..last.producer }
                }
            },
        };
        let records: Vec<KeyedRecord> = (0..=self.stand.rng.below(5))
            .map(|_| KeyedRecord {
                timestamp_ms: now - self.stand.rng.below(5_000) as i64,
                key: format!("k{}", self.stand.rng.below(self.plan.key_count)).into_bytes(),
                value: (!self.stand.rng.one_in(5)).then(|| {
                    vec![
                        self.stand.rng.next_u64() as u8;
                        self.stand.rng.below(self.plan.value_bytes_max) as usize
                    ]
                }),
            })
            .collect();
        let produced = encode_keyed(producer, &records);
        let Some(log) = at.log.as_mut() else { return };
        if produced.len() > at.settings.batch_bytes_max as usize {
            return;
        }
        let origin = AppendOrigin::Client { zstd_allowed: true };
        match log.append(&produced, LeaderEpoch(0), origin, &mut self.stand.ground.cx()) {
            Ok(_) if at.abandoned => {}
            Ok(appended) => {
                assert!(!appended.duplicate, "{}: {producer:?} is no duplicate", at.dir);
                let time = appended.log_append_time.map(|time| time.0);
                at.model.on_appended(as_stored(&produced, appended.base_offset.0, 0, time), now);
                self.outcome.appended += 1;
            }
            Err(AppendError::Opening | AppendError::Offline | AppendError::Busy | AppendError::DiskFull) => {}
            Err(error) => assert!(at.abandoned, "{}: a sound batch is refused: {error:?}", at.dir),
        }
    }

    /// What a shard does with its cleaner when it comes to it. Whether there was something to do.
    fn clean(&mut self) -> bool {
        let now = self.stand.ground.clock.now();
        if self.cleaner.log_slot().is_none() {
            let found = self.stand.hosts.iter_mut().enumerate().find_map(|(number, at)| {
                let log = at.log.as_ref()?;
                let found = log.cleanable(log.flushed_offset(), now.wall).filter(|found| found.is_due)?;
                if !at.abandoned {
                    at.model.on_compaction(found.end.0);
                }
                self.cleaner.begin(number as u32 + 1, log, found, now.wall);
                Some(found)
            });
            if found.is_none() {
                return false;
            }
            self.stand.ground.trace.line(|| format!("compaction begins: {found:?}"));
        }
        let Some(slot) = self.cleaner.log_slot() else { return false };
        let at = &mut self.stand.hosts[slot as usize - 1];
        let Some(log) = at.log.as_mut().filter(|log| *log.state() == LogState::Online) else {
            self.cleaner.abort(&mut self.stand.ground.cx());
            return true;
        };
        if let Turn::Again(due) = self.cleaner.step(log, &mut self.stand.ground.cx())
            && self.stand.rng.one_in(2)
        {
            self.stand.ground.clock.advance_to(due.max(now.mono));
        }
        log.check_invariants();
        self.stand.ground.submit();
        true
    }

    fn read(&mut self, host: usize) {
        let model = &self.stand.hosts[host].model;
        let (start, end) = (model.log_start(), model.flushed());
        if start == end {
            return;
        }
        let offset = start + self.stand.rng.below((end - start) as u64) as i64;
        let end = if self.stand.rng.one_in(2) {
            end
        } else {
            offset + 1 + self.stand.rng.below((end - offset) as u64) as i64
        };
        let bytes_max = 1 << (6 + self.stand.rng.below(12));
        let whole_first = !self.stand.rng.one_in(4);
        self.start_read(host, Asked { offset, end, bytes_max, whole_first });
    }

    fn start_read(&mut self, host: usize, asked: Asked) {
        let at = &mut self.stand.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let (offset, end) = (Offset(asked.offset), Offset(asked.end));
        match log.read(offset, end, asked.bytes_max, asked.whole_first, &mut self.stand.ground.cx()) {
            ReadStart::Ready(read) => self.stand.sending.push((host, asked, read)),
            ReadStart::Pending(ticket) => {
                assert!(at.reads.insert(ticket, asked).is_none(), "{}: {ticket:?} given twice", at.dir);
            }
            ReadStart::Empty => assert!(at.abandoned || !asked.whole_first, "{}: {asked:?} is empty", at.dir),
            ReadStart::OutOfRange => assert!(at.abandoned || at.opening, "{}: {asked:?}", at.dir),
            ReadStart::Failed(error) => self.stand.check_read_error(host, &error),
        }
    }

    /// A read's bytes leave for the client, if one is ready.
    fn send_one(&mut self) -> bool {
        let Some((host, asked, _, bytes)) = self.stand.take_sent() else { return false };
        let at = &self.stand.hosts[host];
        if at.abandoned {
            return true;
        }
        if bytes.is_empty() {
            let lost = at.model.first_that_stays(asked.offset, asked.end);
            assert!(lost.is_none() || !asked.whole_first, "{}: {asked:?}: nothing, not {lost:?}", at.dir);
            return true;
        }
        let Asked { offset, end, bytes_max, whole_first } = asked;
        let (_, count) = at.model.check_read(offset, end, bytes_max, whole_first, &bytes);
        self.outcome.compared += count;
        true
    }

    fn look_up(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let Some(log) = at.log.as_mut() else { return };
        let (end, now) = (at.model.flushed(), self.stand.ground.clock.now().wall.0);
        let time = now - self.stand.rng.below(20_000) as i64;
        match log.offset_for_time(WallMs(time), Offset(end), &mut self.stand.ground.cx()) {
            LookupStart::Ready(found) => self.check_found(host, (time, end), found),
            LookupStart::Pending(ticket) => drop(at.lookups.insert(ticket, (time, end))),
            LookupStart::Failed(error) => self.stand.check_read_error(host, &error),
        }
    }

    fn check_found(&mut self, host: usize, (time, end): (i64, i64), found: Option<TimedOffset>) {
        let found = found.map(|found| (found.offset.0, found.timestamp.0));
        let at = &self.stand.hosts[host];
        if !at.abandoned && !at.opening && found.is_none_or(|(offset, _)| offset >= at.model.log_start()) {
            at.model.check_time(time, end, found);
            self.outcome.lookups += 1;
        }
    }

    fn delete_records(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        let Some(log) = at.log.as_mut().filter(|log| *log.state() == LogState::Online) else { return };
        let span = (log.flushed_offset().0 - log.log_start_offset().0) as u64;
        let before = log.log_start_offset().0 + self.stand.rng.below(span / 4 + 1) as i64;
        let start = log.delete_records(Offset(before), &mut self.stand.ground.cx()).expect("it is online");
        if !at.abandoned {
            at.model.on_log_start(start.0);
        }
    }

    fn disturb(&mut self) {
        match self.stand.rng.below(3) {
            0 if self.plan.fills => self.stand.ground.fill(&mut self.stand.rng),
            1 => self.stand.ground.set_moody(false),
            _ => self.stand.ground.set_moody(true),
        }
    }

    /// Compacts everything that can be, with checkpoints, until nothing is due any more.
    fn clean_everything(&mut self) {
        for _ in 0..PATIENCE {
            if self.clean() {
                if !self.complete_one() {
                    self.stand.ground.clock.advance_by(1_000_000);
                }
                continue;
            }
            for _ in 0..3 {
                for host in 0..self.stand.hosts.len() {
                    self.stand.store_checkpoint(host);
                }
                self.settle();
                self.stand.ground.clock.advance_by(1_000_000_000);
                self.tick();
                self.settle();
            }
            if !self.clean() {
                return;
            }
        }
        panic!("compaction does not end: {:?}", self.cleaner);
    }

    /// Reads a log from its start to its end: nothing is lost, and nothing is there that must be gone.
    fn read_everything(&mut self, host: usize) {
        let at = &self.stand.hosts[host];
        let log = at.log.as_ref().expect("it has come online");
        if at.abandoned || *log.state() != LogState::Online {
            return;
        }
        let cleaned = log.cleaned_offset().0;
        let (mut offset, end) = (at.model.log_start(), at.model.flushed());
        let (start, mut found) = (offset, Vec::new());
        while offset < end {
            self.start_read(host, Asked { offset, end, bytes_max: 1, whole_first: true });
            self.settle();
            let (_, asked, read) = self.stand.sending.pop().expect("a healthy disk answers");
            let bytes = self.stand.ground.bytes_of(&read);
            let model = &self.stand.hosts[host].model;
            let (next, count) = model.check_read(asked.offset, asked.end, 1, true, &bytes);
            let (_, records) = crate::batch::decode_keyed(&bytes).expect("just checked").expect("and whole");
            found.extend(records.iter().map(|(offset, _)| *offset).filter(|offset| *offset >= start));
            self.outcome.compared += count;
            offset = next;
        }
        let model = &self.stand.hosts[host].model;
        model.check_removed(cleaned, &found);
        self.outcome.removed += (end - start) as u64 - found.len() as u64;
    }
}

impl LogShard for World {
    type Model = CompactModel;

    fn stand(&mut self) -> &mut Stand<CompactModel> {
        &mut self.stand
    }

    fn tick_log(&mut self, host: usize) {
        let at = &mut self.stand.hosts[host];
        at.model.on_wall(self.stand.ground.clock.now().wall.0);
        if let Some(log) = at.log.as_mut() {
            log.tick(&mut self.stand.ground.cx());
        }
    }

    fn check_lookup(&mut self, host: usize, asked: (i64, i64), found: Option<TimedOffset>) {
        self.check_found(host, asked, found);
    }

    fn is_at_rest(&self, host: usize) -> bool {
        assert!(self.cleaner.is_idle(), "{:?}", self.cleaner);
        let log = self.stand.hosts[host].log.as_ref();
        log.is_some_and(|log| log.is_idle() && !log.lacks_room() && *log.state() == LogState::Online)
    }

    fn on_foreign(&mut self, slot: u32, token: DiskToken, result: Result<DiskOutcome, DiskError>) {
        assert_eq!(slot, CLEANER_SLOT);
        self.cleaner.on_disk(token, result, &mut self.stand.ground.cx());
    }

    fn on_stop(&mut self) {
        self.cleaner.abort(&mut self.stand.ground.cx());
    }

    fn on_start(&mut self) {
        self.count_cleaner();
        self.cleaner = Cleaner::new(CLEANER_SLOT, [3, 4], self.plan.cleaner);
    }
}
