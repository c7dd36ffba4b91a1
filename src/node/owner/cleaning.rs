//! Compaction of the owner's logs: which log comes next, and when the cleaner takes its next step.
//!
//! The dirtiest log first, the earlier slot of equals, one log at a time. Looking for one costs a walk over the segments
//! of compacted logs, so it is done when a run has ended, at most once a second when a compacted log has closed a segment,
//! and else each `log.cleaner.backoff.ms`.

use corelane_base::time::{Mono, Now};
use corelane_control::configs::broker::BrokerConfig;
use corelane_log::cleaner::{Cleaner, CleanerSettings, CleanerTotals, PAUSE_NS, Turn};
use corelane_log::disk::{DiskError, DiskOutcome, DiskQueue, DiskToken};
use corelane_log::log::LogCx;
use corelane_log::replacing::Cleanable;

use crate::owner::Owner;

/// The slot of the cleaner's disk operations; logs have small ones.
pub const CLEANER_SLOT: u32 = u32::MAX - 4;

/// A shard's compaction.
#[derive(Debug)]
pub struct Cleaning {
    cleaner: Cleaner,
    backoff_ms: u64,
    /// When to look for a log that is due.
    search_at: Mono,
    /// When the cleaner is to take its next step, until somebody is told.
    step_at: Option<Mono>,
    /// Somebody was told and has not come back.
    awaited: bool,
}

impl Cleaning {
    /// One that does nothing until it is given settings. `seed` is secret.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Cleaning {
        let settings = CleanerSettings {
            enabled: false,
            map_bytes_max: 0,
            map_load_percent: 90,
            io_bytes_per_second: u64::MAX,
        };
        Cleaning {
            cleaner: Cleaner::new(CLEANER_SLOT, seed, settings),
            backoff_ms: 0,
            search_at: Mono(0),
            step_at: None,
            awaited: false,
        }
    }

    /// Whether nothing of any log's directory is being touched.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cleaner.is_idle()
    }

    /// Whether files of a run that was given up are still being made or removed.
    pub(super) fn is_touching(&self) -> bool {
        self.cleaner.has_leftovers()
    }

    fn step_at(&mut self, at: Mono) {
        self.step_at = Some(self.step_at.map_or(at, |known| known.min(at)));
    }
}

impl Owner {
    /// Changes the settings of compaction from here on, and has a log that is due by them looked for soon.
    pub fn set_cleaning(&mut self, settings: CleanerSettings, backoff_ms: u64) {
        self.cleaning.cleaner.set_settings(settings);
        self.cleaning.backoff_ms = backoff_ms;
        self.cleaning.search_at = Mono(0);
    }

    /// What compaction has done since the start.
    #[must_use]
    pub fn cleaner_totals(&self) -> CleanerTotals {
        self.cleaning.cleaner.totals()
    }

    /// When `clean` is to be called; told once.
    pub fn take_cleaning_deadline(&mut self) -> Option<Mono> {
        if self.cleaning.awaited {
            return None;
        }
        let at = self.cleaning.step_at.take()?;
        self.cleaning.awaited = true;
        Some(at)
    }

    /// The moment that `take_cleaning_deadline` told has come.
    pub fn on_cleaning_deadline(&mut self, now: Now, disk: &mut DiskQueue) {
        self.cleaning.awaited = false;
        self.clean(now, disk);
    }

    /// Housekeeping: looks for a log that is due if it is time to.
    pub(super) fn look_for_dirt(&mut self, now: Now, disk: &mut DiskQueue) {
        let mut closed = false;
        for partition in self.partitions.iter_mut().flatten() {
            closed |= partition.log.take_closed();
        }
        if closed {
            self.cleaning.search_at = now.mono;
        }
        if self.cleaning.cleaner.log_slot().is_none() && self.cleaning.search_at <= now.mono {
            self.clean(now, disk);
        }
    }

    /// Takes in a completion of the cleaner's operation.
    pub(super) fn on_cleaner_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        now: Now,
        disk: &mut DiskQueue,
    ) {
        self.cleaning.cleaner.on_disk(
            token,
            result,
            &mut LogCx { now, disk, pool: &mut self.pool, notices: &mut self.notices },
        );
        // Not at once: completions may come fast, and each step takes its time.
        self.cleaning.step_at(Mono(now.mono.0 + PAUSE_NS));
    }

    /// Gives up what is under way on a log, or on any.
    pub(super) fn stop_cleaning(&mut self, slot: Option<u32>, now: Now, disk: &mut DiskQueue) {
        if slot.is_none() || self.cleaning.cleaner.log_slot() == slot {
            self.cleaning.cleaner.abort(&mut LogCx {
                now,
                disk,
                pool: &mut self.pool,
                notices: &mut self.notices,
            });
        }
    }

    /// Takes one step, with the next log if there is none under way.
    fn clean(&mut self, now: Now, disk: &mut DiskQueue) {
        let enabled = self.cleaning.cleaner.settings().enabled && !self.sealed;
        if !enabled {
            return self.stop_cleaning(None, now, disk);
        }
        if self.cleaning.cleaner.log_slot().is_none() && !self.begin_cleaning(now) {
            self.cleaning.search_at = now.mono.plus_ms(self.cleaning.backoff_ms);
            return;
        }
        let Some(slot) = self.cleaning.cleaner.log_slot() else { return };
        let partition = self.partitions.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(partition) = partition.filter(|it| it.is_online() && !it.deleted) else {
            return self.stop_cleaning(None, now, disk);
        };
        let cx = &mut LogCx { now, disk, pool: &mut self.pool, notices: &mut self.notices };
        let aborted = self.cleaning.cleaner.totals().aborted;
        match self.cleaning.cleaner.step(&mut partition.log, cx) {
            Turn::Again(at) => self.cleaning.step_at(at),
            Turn::Waits => {}
            // What stood in its way may still be there.
            Turn::Idle if self.cleaning.cleaner.totals().aborted > aborted => {
                self.cleaning.search_at = now.mono.plus_ms(self.cleaning.backoff_ms);
            }
            Turn::Idle => self.cleaning.step_at(Mono(now.mono.0 + PAUSE_NS)),
        }
    }

    /// Begins with the dirtiest log that is due. False: there is none, or no room to write into.
    fn begin_cleaning(&mut self, now: Now) -> bool {
        if self.disk_full {
            return false;
        }
        let mut dirtiest: Option<(u32, Cleanable)> = None;
        for (slot, partition) in (0..).zip(&self.partitions) {
            let Some(partition) = partition.as_ref().filter(|it| !it.deleted) else { continue };
            let found = partition.log.cleanable(partition.high_watermark(), now.wall);
            let Some(found) = found.filter(|found| found.is_due) else { continue };
            if dirtiest.is_none_or(|(_, known)| found.ratio_ppm() > known.ratio_ppm()) {
                dirtiest = Some((slot, found));
            }
        }
        let Some((slot, found)) = dirtiest else { return false };
        let partition = self.partitions[slot as usize].as_ref().expect("just looked at");
        self.cleaning.cleaner.begin(slot, &partition.log, found, now.wall);
        self.cleaning.cleaner.log_slot().is_some()
    }
}

/// One shard's part of the settings of compaction, and after how long to look for work again, in milliseconds.
#[must_use]
pub fn cleaner_settings(broker: &BrokerConfig, shard_count: u16) -> (CleanerSettings, u64) {
    let parts = u64::from(shard_count.max(1));
    let rate = broker.cleaner_io_bytes_per_second_max / parts as f64;
    let settings = CleanerSettings {
        enabled: broker.cleaner_enabled,
        map_bytes_max: usize::try_from(broker.cleaner_map_bytes.max(0) as u64 / parts).unwrap_or(usize::MAX),
        map_load_percent: (broker.cleaner_map_load * 100.0).clamp(1.0, 99.0) as u8,
        // Rounds to the nearest; more than can be said is as good as no limit.
        io_bytes_per_second: rate.max(1.0) as u64,
    };
    (settings, broker.cleaner_backoff_ms.max(0) as u64)
}
