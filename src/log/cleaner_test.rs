//! Tests of compaction on the disk of `rig_test.rs`: what stays, what goes, and that no crash changes either.

use std::collections::BTreeMap;

use bytes::Bytes;
use corelane_base::id::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, WallMs};

use crate::batch::{self, Compression};
use crate::builder::BatchBuilder;
use crate::cleaner::{CleanerSettings, Turn};
use crate::error::AppendError;
use crate::log::{AppendOrigin, LogCx, LogState};
use crate::offset_map::ENTRY_BYTES;
use crate::records;
use crate::rig_test::{Rig, cx, seed, settings};
use crate::settings::LogSettings;

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    time: i64,
}

/// A rig whose records have keys, with everything that was ever appended.
struct Keyed {
    rig: Rig,
    /// By offset.
    rows: BTreeMap<i64, Row>,
    key_count: u64,
    codecs: usize,
    sequences: BTreeMap<i64, i32>,
    /// Compaction has seen nothing beyond.
    seen: i64,
}

fn compacted() -> LogSettings {
    LogSettings {
        segment_bytes: 20_000,
        batch_bytes_max: 20_000,
        deletes: false,
        compacted: true,
        delete_retention_ms: 1_000,
        cleanable_ratio_min_ppm: 100_000,
        ..settings()
    }
}

impl Keyed {
    fn new(seed: u64, settings: LogSettings) -> Keyed {
        let rig = Rig::new(seed, settings);
        Keyed { rig, rows: BTreeMap::new(), key_count: 20, codecs: 5, sequences: BTreeMap::new(), seen: 0 }
    }

    fn append_rows(&mut self, rows: &[Row], producer: i64) -> Result<(), AppendError> {
        let mut builder = BatchBuilder::new();
        builder.compression = Compression::ALL[self.rig.rng.below(self.codecs as u64) as usize];
        if producer >= 0 {
            builder.producer_id = ProducerId(producer);
            builder.producer_epoch = ProducerEpoch(0);
            builder.base_sequence = *self.sequences.entry(producer).or_default();
        }
        for row in rows {
            builder.push(WallMs(row.time), Some(&row.key), row.value.as_deref());
        }
        self.append_bytes(&builder.build(), rows, producer)
    }

    fn append_bytes(&mut self, batch: &Bytes, rows: &[Row], producer: i64) -> Result<(), AppendError> {
        let origin = AppendOrigin::Client { zstd_allowed: true };
        let appended = self.rig.log.append(batch, LeaderEpoch(3), origin, cx!(self.rig))?;
        assert!(!appended.duplicate);
        for (offset, row) in (appended.base_offset.0..).zip(rows) {
            self.rows.insert(offset, row.clone());
        }
        if producer >= 0 {
            *self.sequences.entry(producer).or_default() += rows.len() as i32;
        }
        Ok(())
    }

    /// A batch of a few random records.
    fn append(&mut self, value_max: u64) -> Result<(), AppendError> {
        let rng = &mut self.rig.rng;
        let rows: Vec<Row> = (0..=rng.below(6))
            .map(|_| Row {
                key: format!("key-{}", rng.below(self.key_count)).into_bytes(),
                value: (!rng.one_in(6)).then(|| {
                    let byte = rng.next_u64();
                    (0..rng.below(value_max + 1)).map(|i| (byte ^ i) as u8).collect()
                }),
                time: 1_000_000 + rng.below(5_000) as i64,
            })
            .collect();
        let producer = rng.below(4) as i64 - 1;
        self.append_rows(&rows, producer)
    }

    fn append_segments(&mut self, count: usize) {
        let until = self.rig.log.segments.len() + count;
        while self.rig.log.segments.len() < until {
            match self.append(400) {
                Ok(()) | Err(AppendError::Busy) => self.rig.settle(),
                Err(error) => panic!("{error:?}"),
            }
        }
        self.rig.settle();
    }

    /// What a shard does now and then: begins if it is due, else goes on.
    fn clean_some(&mut self) -> Turn {
        let now = self.rig.now.wall;
        if self.rig.cleaner.log_slot().is_none() {
            let found = self.rig.log.cleanable(Offset(i64::MAX), now).filter(|found| found.is_due);
            let Some(found) = found else { return Turn::Idle };
            self.seen = self.seen.max(found.end.0);
            self.rig.cleaner.begin(crate::rig_test::SLOT, &self.rig.log, found, now);
        }
        let turn = self.rig.cleaner.step(&mut self.rig.log, cx!(self.rig));
        self.rig.log.check_invariants();
        turn
    }

    /// Cleans until there is no more to do, or no more can be done.
    fn clean_until_idle(&mut self) {
        for _ in 0..10_000 {
            match self.clean_some() {
                Turn::Idle => break,
                Turn::Waits => assert!(self.rig.complete_one(), "something is under way"),
                Turn::Again(at) => self.rig.now.mono = at,
            }
        }
        self.rig.settle();
    }

    /// Compacts until there is nothing to be done, storing checkpoints.
    fn clean_all(&mut self) {
        for _ in 0..100_000 {
            match self.clean_some() {
                Turn::Idle => {
                    self.let_go();
                    if self.rig.log.cleanable(Offset(i64::MAX), self.rig.now.wall).is_none_or(|it| !it.is_due)
                    {
                        return;
                    }
                }
                Turn::Waits => assert!(self.rig.complete_one(), "something is under way"),
                Turn::Again(at) => self.rig.now.mono = self.rig.now.mono.max(at),
            }
        }
        panic!("compaction does not end: {:?}", self.rig.cleaner);
    }

    /// Everything that a stored checkpoint allows to go goes.
    fn let_go(&mut self) {
        for _ in 0..6 {
            self.rig.settle();
            self.rig.store_checkpoint();
            self.rig.log.tick(cx!(self.rig));
            self.rig.pool.tick(&mut self.rig.queue);
        }
        self.rig.settle();
    }

    fn read_all(&mut self) -> BTreeMap<i64, Row> {
        let mut found = BTreeMap::new();
        let (mut at, end) = (self.rig.log.log_start_offset().0, self.rig.log.flushed_offset().0);
        while at < end {
            let bytes = self.rig.read(at, end, 30_000, true).expect("batches reach up to the end");
            let mut rest = &bytes[..];
            assert!(!rest.is_empty(), "nothing at {at} below {end}");
            while let Ok(Some(header)) = batch::check_stored(rest) {
                assert!(header.last_offset().0 >= at, "progress");
                let (_, payload) = records::payload(rest, 1 << 20).expect("decodes");
                for record in records::iter(&header, &payload) {
                    let record = record.expect("decodes");
                    let row = Row {
                        key: record.key.expect("has a key").to_vec(),
                        value: record.value.map(<[u8]>::to_vec),
                        time: record.timestamp.0,
                    };
                    assert!(found.insert(record.offset.0, row).is_none(), "each record once");
                }
                at = header.next_offset().0;
                rest = &rest[header.size_bytes()..];
            }
            assert!(rest.is_empty(), "whole batches");
        }
        assert_eq!(at, end, "the last batch ends at the end");
        found
    }

    /// The offset of each key's last record.
    fn latest(&self, end: i64) -> BTreeMap<&[u8], i64> {
        self.rows.range(..end).map(|(offset, row)| (&row.key[..], *offset)).collect()
    }

    /// What is there was appended as it is; each key's last record is there, unless it is a tombstone.
    fn check(&mut self) -> BTreeMap<i64, Row> {
        let found = self.read_all();
        let end = self.rig.log.flushed_offset().0;
        self.rows.retain(|offset, _| *offset < end);
        for (offset, row) in &found {
            assert_eq!(self.rows.get(offset), Some(row), "offset {offset}");
        }
        for (key, offset) in self.latest(end) {
            let row = &self.rows[&offset];
            assert!(row.value.is_none() || found.contains_key(&offset), "{key:?} at {offset} is lost");
        }
        for offset in self.rows.range(self.seen..).map(|(offset, _)| offset) {
            assert!(found.contains_key(offset), "{offset} was not compacted yet");
        }
        found
    }

    /// As `check`, and of what was compacted only the last of each key is there.
    fn check_cleaned(&mut self) -> BTreeMap<i64, Row> {
        let found = self.check();
        let cleaned = self.rig.log.cleaned_offset.0;
        let latest = self.latest(cleaned);
        for (offset, row) in found.range(..cleaned) {
            assert_eq!(latest[&row.key[..]], *offset, "{:?} at {offset} is not the last", row.key);
        }
        found
    }

    fn files(&self, suffix: &str) -> Vec<String> {
        let names = self.rig.disk.files.keys();
        names.filter(|name| name.starts_with("t-0/") && name.ends_with(suffix)).cloned().collect()
    }
}

#[test]
fn the_last_value_of_each_key_stays_and_small_segments_become_one() {
    for seed in 0..6 {
        let mut log = Keyed::new(seed, compacted());
        log.append_segments(8);
        let bytes = log.rig.log.size_bytes();
        log.clean_all();
        assert_eq!(log.rig.log.cleaned_offset, log.rig.log.segments.back().unwrap().base_offset);
        let found = log.check_cleaned();
        assert!(found.len() < log.rows.len() / 3, "{} of {}", found.len(), log.rows.len());
        assert!(log.rig.log.size_bytes() < bytes / 2);
        assert_eq!(log.files(".cleaned"), Vec::<String>::new());
        let segment_files = log.files(".log").iter().filter(|name| !name.ends_with("next.log")).count();
        assert_eq!(segment_files, log.rig.log.segments.len(), "{:?}", log.files(".log"));
        // Later look-ups, restarts and further runs find the same.
        log.rig.clean_restart();
        assert_eq!(log.check_cleaned(), found);
        log.rig.crash_restart_as(true);
        assert_eq!(log.check_cleaned(), found);
        log.rig.crash_restart_as(false);
        assert_eq!(log.check(), found);
        let segments = log.rig.log.segments.len();
        log.append_segments(3);
        log.clean_all();
        log.check_cleaned();
        assert!(log.rig.log.segments.len() <= segments, "{segments} before: what is left of three fits in");
    }
}

#[test]
fn full_segments_of_which_little_is_left_become_one() {
    let mut log = Keyed::new(13, compacted());
    log.codecs = 1;
    let mut life = 0;
    while log.rig.log.segments.len() < 7 {
        life += 1;
        let row = Row { key: vec![life % 4], value: Some(vec![life; 2_000]), time: 1_000_000 };
        match log.append_rows(&[row], -1) {
            Ok(()) | Err(AppendError::Busy) => log.rig.settle(),
            Err(error) => panic!("{error:?}"),
        }
    }
    log.rig.settle();
    log.clean_all();
    log.check_cleaned();
    // No two of the six that were closed fit into one file as they were.
    assert_eq!(log.rig.log.segments.len(), 2, "what is left of them, and the active one");
}

#[test]
fn tombstones_live_until_their_horizon() {
    let mut log = Keyed::new(11, compacted());
    let row = |key: &str, value: Option<&[u8]>| Row {
        key: key.as_bytes().to_vec(),
        value: value.map(<[u8]>::to_vec),
        time: 1_000_000,
    };
    log.append_rows(&[row("gone", Some(b"a")), row("kept", Some(b"b"))], -1).unwrap();
    log.append_rows(&[row("gone", None)], -1).unwrap();
    log.append_segments(2);
    log.clean_all();
    let found = log.check_cleaned();
    assert_eq!((found.get(&0), found.get(&2)), (None, Some(&row("gone", None))));
    let roll = |log: &mut Keyed| {
        log.append_segments(2);
        log.clean_all();
        log.check_cleaned()
    };
    log.rig.now.wall = WallMs(log.rig.now.wall.0 + 999);
    assert!(roll(&mut log).contains_key(&2), "a moment before the horizon");
    log.rig.crash_restart_as(true);
    log.rig.now.wall = WallMs(log.rig.now.wall.0 + 1);
    assert!(!roll(&mut log).contains_key(&2), "at the horizon");
}

#[test]
fn a_producers_last_batch_stays_readable() {
    let mut log = Keyed::new(12, compacted());
    let row = |value: u8| Row { key: b"same".to_vec(), value: Some(vec![value; 10]), time: 1_000_000 };
    log.append_rows(&[row(1)], 77).unwrap();
    log.append_rows(&[row(2), row(3)], 77).unwrap();
    log.append_segments(3);
    log.append_rows(&[row(4)], -1).unwrap();
    log.append_segments(2);
    log.clean_all();
    let found = log.check_cleaned();
    assert!(!found.contains_key(&0) && !found.contains_key(&1) && !found.contains_key(&2));
    // All that is known of the producer comes from the log.
    log.rig.checkpoint = None;
    log.rig.reopen(false);
    log.rig.settle();
    let mut again = BatchBuilder::new();
    again.producer_id = ProducerId(77);
    again.producer_epoch = ProducerEpoch(0);
    again.base_sequence = 1;
    again.push(WallMs(1_000_000), Some(b"same"), None);
    again.push(WallMs(1_000_000), Some(b"same"), None);
    let origin = AppendOrigin::Client { zstd_allowed: true };
    let appended = log.rig.log.append(&again.build(), LeaderEpoch(3), origin, cx!(log.rig)).unwrap();
    assert_eq!((appended.duplicate, appended.base_offset), (true, Offset(1)));
}

#[test]
fn a_small_map_takes_several_runs() {
    for entries in [2, 5, 9] {
        let mut log = Keyed::new(13, compacted());
        let settings = *log.rig.cleaner.settings();
        let map_bytes_max = entries * ENTRY_BYTES;
        log.rig.cleaner.set_settings(CleanerSettings { map_bytes_max, ..settings });
        log.rig.settings.cleanable_ratio_min_ppm = 0;
        log.rig.log.set_settings(log.rig.settings.clone());
        log.append_segments(4);
        log.clean_all();
        assert!(log.rig.cleaner.totals().runs > 3, "{:?}", log.rig.cleaner.totals());
        assert_eq!(log.rig.log.cleaned_offset, log.rig.log.segments.back().unwrap().base_offset);
        log.check_cleaned();
    }
}

#[test]
fn what_is_due() {
    let check = |settings: LogSettings, now: i64, expected: Option<bool>| {
        let mut log = Keyed::new(14, settings);
        log.append_segments(3);
        let found = log.rig.log.cleanable(Offset(i64::MAX), WallMs(now));
        assert_eq!(found.map(|found| found.is_due), expected, "{found:?}");
        found
    };
    check(compacted(), 1_010_000, Some(true));
    check(LogSettings { compacted: false, ..compacted() }, 1_010_000, None);
    check(LogSettings { cleanable_ratio_min_ppm: 1_000_000, ..compacted() }, 1_010_000, Some(false));
    let lagging = LogSettings { compaction_lag_ms_min: 20_000, ..compacted() };
    check(lagging.clone(), 1_010_000, None);
    check(lagging, 1_030_000, Some(true));
    let overdue =
        LogSettings { cleanable_ratio_min_ppm: 1_000_000, compaction_lag_ms_max: 10_000, ..compacted() };
    check(overdue.clone(), 1_010_000, Some(false));
    check(overdue, 1_016_000, Some(true));
    let mut log = Keyed::new(14, compacted());
    log.append_segments(3);
    let second = log.rig.log.segments[1].base_offset;
    let found = log.rig.log.cleanable(Offset(second.0 + 1), WallMs(1_010_000)).expect("the first segment");
    assert_eq!(found.end, second, "nothing beyond what is stable");
    assert!(log.rig.log.cleanable(Offset(second.0 - 1), WallMs(1_010_000)).is_none());
}

#[test]
fn damage_ends_compaction_and_loses_nothing() {
    for (seed, at) in [(0, 0), (1, 30), (2, 5_000), (3, 12_000)] {
        let mut log = Keyed::new(100 + seed, compacted());
        log.append_segments(5);
        let name = log.files(".log")[2].clone();
        let file = log.rig.disk.files[&name].clone();
        file.lock().unwrap()[at + 20] ^= 0x11;
        log.rig.log.evict_tail(0);
        log.clean_until_idle();
        assert_eq!(log.rig.cleaner.totals().aborted, 1, "{name} at {at}");
        assert!(log.rig.notices.iter().any(|notice| notice.text.contains("no longer compacted")));
        assert!(log.rig.log.cleanable(Offset(i64::MAX), log.rig.now.wall).is_none());
        assert_eq!(log.files(".cleaned"), Vec::<String>::new());
        file.lock().unwrap()[at + 20] ^= 0x11;
        assert_eq!(log.check().len(), log.rows.len(), "nothing was removed");
    }
}

#[test]
fn random_damage_never_loses_what_is_not_damaged() {
    let mut seeds = Rng::new(seed("random_damage_under_compaction"));
    let (mut aborted, mut noticed) = (0, 0);
    for life in (0..20).chain((0..20).map(|_| seeds.next_u64())) {
        println!("life {life}");
        let mut rng = Rng::new(life);
        let mut log = Keyed::new(life, compacted());
        log.append_segments(5);
        log.rig.log.evict_tail(0);
        let name = log.files(".log")[rng.below(4) as usize].clone();
        let file = log.rig.disk.files[&name].clone();
        let before = file.lock().unwrap().clone();
        let used = before.iter().rposition(|&byte| byte != 0).unwrap_or(0);
        for _ in 0..=rng.below(3) {
            let at = rng.below(used as u64 + 1) as usize;
            let mut bytes = file.lock().unwrap();
            match rng.below(3) {
                0 => bytes[at] ^= 1 << rng.below(8),
                1 => bytes[at] = rng.next_u64() as u8,
                _ => {
                    let to = (at + 1 + rng.below(5_000) as usize).min(used);
                    bytes[at.min(to)..to].fill(rng.next_u64() as u8);
                }
            }
        }
        let is_damaged = *file.lock().unwrap() != before;
        log.clean_until_idle();
        aborted += log.rig.cleaner.totals().aborted;
        noticed += u64::from(log.rig.notices.iter().any(|it| it.text.contains("no longer compacted")));
        // A leader epoch is in no checksum: such a flip is none of compaction's business.
        *file.lock().unwrap() = before;
        if is_damaged && log.rig.cleaner.totals().swaps == 0 {
            assert_eq!(log.check().len(), log.rows.len(), "nothing was removed");
        }
    }
    assert_eq!(aborted, noticed, "who is given up is told of");
    assert!(aborted > 20, "{aborted}");
}

#[test]
fn reads_and_look_ups_go_on_while_segments_are_exchanged() {
    let mut log = Keyed::new(15, LogSettings { index_interval_bytes: 100, ..compacted() });
    log.append_segments(12);
    log.rig.log.evict_tail(0);
    let mut rng = Rng::new(5);
    let (mut reads, mut lookups) = (0, 0);
    for _ in 0..20_000 {
        let end = log.rig.log.flushed_offset().0;
        if rng.one_in(3) {
            let offset = rng.below(end as u64) as i64;
            let to = offset + 1 + rng.below((end - offset) as u64) as i64;
            let started = log.rig.log.read(Offset(offset), Offset(to), 3_000, true, cx!(log.rig));
            if let crate::log::ReadStart::Pending(ticket) = started {
                reads += 1;
                if rng.one_in(4) {
                    while !log.rig.reads.contains_key(&ticket.0) {
                        assert!(log.rig.complete_one());
                    }
                }
            }
        }
        if rng.one_in(5) {
            let time = WallMs(1_000_000 + rng.below(5_000) as i64);
            let started = log.rig.log.offset_for_time(time, Offset(end), cx!(log.rig));
            lookups += u64::from(matches!(started, crate::log::LookupStart::Pending(_)));
        }
        match log.clean_some() {
            Turn::Idle => break,
            Turn::Waits => assert!(log.rig.complete_one()),
            Turn::Again(at) => log.rig.now.mono = at,
        }
    }
    log.rig.settle();
    assert!(reads > 20 && lookups > 5, "{reads} {lookups}");
    for read in std::mem::take(&mut log.rig.reads).into_values() {
        let bytes = Rig::bytes_of(&read.expect("no read fails"));
        let mut rest = &bytes[..];
        while let Ok(Some(header)) = batch::check_stored(rest) {
            rest = &rest[header.size_bytes()..];
        }
        assert!(rest.is_empty(), "whole batches with right checksums");
    }
    for found in std::mem::take(&mut log.rig.lookups).into_values() {
        let found = found.expect("no look-up fails").expect("there is such a record");
        assert_eq!(log.rows[&found.offset.0].time, found.timestamp.0);
    }
    log.let_go();
    log.check_cleaned();
    // Offsets that are gone lead to the next record that is there.
    let end = log.rig.log.flushed_offset().0;
    for offset in 0..end {
        let bytes = log.rig.read(offset, end, 1, true).expect("a batch follows");
        let header = batch::check_stored(&bytes).unwrap().expect("whole");
        assert!(header.last_offset().0 >= offset);
        let alone = log.rig.read(offset, offset + 1, 1, true).unwrap_or_default();
        let header = batch::check_stored(&alone).unwrap();
        assert!(
            header.is_none_or(|header| (header.base_offset().0..=header.last_offset().0).contains(&offset))
        );
    }
}

#[test]
fn times_are_found_in_what_is_left() {
    let mut log = Keyed::new(16, compacted());
    log.append_segments(5);
    log.clean_all();
    let found = log.check_cleaned();
    let end = log.rig.log.flushed_offset();
    for time in (1_000_000..1_005_100).step_by(37) {
        let expected =
            found.iter().find(|(_, row)| row.time >= time).map(|(offset, row)| (*offset, row.time));
        let asked = log.rig.log.offset_for_time(WallMs(time), end, cx!(log.rig));
        let got = log.rig.lookup(asked).map(|found| (found.offset.0, found.timestamp.0));
        assert_eq!(got, expected, "time {time}");
    }
    let largest = found.values().map(|row| row.time).max();
    let asked = log.rig.log.offset_of_max_timestamp(end, cx!(log.rig));
    assert_eq!(log.rig.lookup(asked).map(|found| found.timestamp.0), largest);
}

#[test]
fn a_log_that_is_no_longer_compacted_keeps_its_gaps() {
    let mut log = Keyed::new(17, compacted());
    log.append_segments(6);
    log.clean_all();
    let found = log.check_cleaned();
    log.rig.settings.compacted = false;
    log.rig.crash_restart_as(true);
    assert_eq!(log.check(), found);
    log.rig.crash_restart_as(false);
    assert_eq!(log.check(), found);
}

#[test]
fn a_segment_deleted_meanwhile_ends_the_run() {
    let mut log = Keyed::new(18, compacted());
    log.append_segments(6);
    let third = log.rig.log.segments[3].base_offset;
    for _ in 0..5 {
        if log.clean_some() == Turn::Waits {
            log.rig.complete_one();
        }
    }
    log.rig.log.delete_records(third, cx!(log.rig)).unwrap();
    log.rows = log.rows.split_off(&third.0);
    log.clean_all();
    assert!(log.rig.cleaner.totals().aborted > 0);
    log.check_cleaned();
    assert_eq!(log.files(".cleaned"), Vec::<String>::new());
}

#[test]
fn the_rate_is_kept() {
    let mut log = Keyed::new(19, compacted());
    log.append_segments(10);
    let settings = *log.rig.cleaner.settings();
    log.rig.cleaner.set_settings(CleanerSettings { io_bytes_per_second: 100_000, ..settings });
    let before = log.rig.now.mono;
    log.clean_all();
    let totals = log.rig.cleaner.totals();
    let seconds = log.rig.now.mono.since(before).as_secs_f64();
    let bytes = (totals.bytes_read + totals.bytes_written) as f64;
    assert!(bytes / seconds < 110_000.0, "{bytes} bytes in {seconds} s");
    log.check_cleaned();
}

/// One random life with compaction, `steps` steps long, crashes included.
fn random_life(seed: u64, steps: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let settings = LogSettings {
        segment_bytes: [8_000, 20_000, 70_000][rng.below(3) as usize],
        index_interval_bytes: [100, 4096][rng.below(2) as usize],
        cleanable_ratio_min_ppm: [0, 100_000, 500_000][rng.below(3) as usize],
        batch_bytes_max: 8_000,
        ..compacted()
    };
    let mut log = Keyed::new(rng.next_u64(), settings);
    log.key_count = 1 + rng.below(200);
    log.codecs = 1 + rng.below(5) as usize;
    let map_bytes_max = [200, 2_000, 1 << 20][rng.below(3) as usize];
    let (mut swaps, mut crashes) = (0, 0);
    for _ in 0..steps {
        let before = *log.rig.cleaner.settings();
        log.rig.cleaner.set_settings(CleanerSettings { map_bytes_max, ..before });
        match rng.below(200) {
            0..60 => match log.append([10, 300][rng.below(2) as usize]) {
                Ok(()) | Err(AppendError::Busy) => {}
                Err(error) => panic!("{error:?} {:?}", log.rig.log.state()),
            },
            60..85 => log.rig.end_turn(),
            85..140 => drop(log.rig.complete_one()),
            140..180 => {
                if let Turn::Again(at) = log.clean_some() {
                    log.rig.now.mono = log.rig.now.mono.max(at);
                }
            }
            180..186 => {
                log.rig.now.mono = Mono(log.rig.now.mono.0 + 1_000_000_000);
                log.rig.now.wall = WallMs(log.rig.now.wall.0 + 300);
                log.rig.log.tick(cx!(log.rig));
                log.rig.pool.tick(&mut log.rig.queue);
            }
            186..191 => log.rig.store_checkpoint(),
            191..193 => log.rig.log.evict_tail(rng.below(50_000)),
            193 if rng.one_in(4) => {
                log.rig.cleaner.abort(cx!(log.rig));
                swaps += log.rig.cleaner.totals().swaps;
                log.rig.clean_restart();
                log.check();
            }
            194..196 => {
                swaps += log.rig.cleaner.totals().swaps;
                crashes += 1;
                log.crash();
            }
            _ => {}
        }
    }
    log.rig.settle();
    assert_eq!(*log.rig.log.state(), LogState::Online, "{:?}", log.rig.notices);
    log.check();
    log.clean_all();
    log.check_cleaned();
    log.rig.log.evict_tail(0);
    log.check_cleaned();
    (swaps, crashes)
}

impl Keyed {
    fn crash(&mut self) {
        let lost = self.rig.checkpoint_may_be_lost();
        self.rig.crash_restart_as(!lost);
        let end = self.rig.log.log_end_offset().0;
        self.rows.retain(|offset, _| *offset < end);
        // What the log knows of producers after a crash is what it has of them.
        for (producer, sequence) in &mut self.sequences {
            *sequence = self
                .rig
                .log
                .producers
                .get(ProducerId(*producer))
                .map_or(*sequence, |entry| entry.last_sequence() + 1);
        }
        self.check();
    }
}

#[test]
fn random_lives_with_crashes_keep_the_last_value_of_each_key() {
    let mut seeds = Rng::new(seed("random_lives_of_compacted_logs"));
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let lives: Vec<u64> = match number("CORELANE_LIFE") {
        Some(life) => vec![life],
        None => {
            (0..40).chain((0..number("CORELANE_LIVES").unwrap_or(10)).map(|_| seeds.next_u64())).collect()
        }
    };
    let count = lives.len();
    let (mut swaps, mut crashes) = (0, 0);
    for life in lives {
        println!("life {life}");
        let (swapped, crashed) = random_life(life, 3_000);
        swaps += swapped;
        crashes += crashed;
    }
    assert!(count == 1 || (swaps > 100 && crashes > 100), "{swaps} swaps, {crashes} crashes");
}
