//! Tests of the log as its callers see it, on the disk of `rig_test.rs`.

use bytes::Bytes;
use corelane_base::aligned::block_ceil;
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::rng::Rng;
use corelane_base::time::{Mono, WallMs};

use crate::batch::{self, BatchError, Compression, TimestampType};
use crate::builder::BatchBuilder;
use crate::checkpoint::Checkpoint;
use crate::codec::Codec;
use crate::disk::{DiskError, DiskOp};
use crate::error::{AppendError, OfflineReason, ReadError};
use crate::log::{AppendOrigin, LogCx, LogState, ReadStart};
use crate::prepare::DESCRIPTOR_RETRY_TICKS;
use crate::records::RecordError;
use crate::rig_test::{Rig, base_offsets, cx, inode, seed, settings};
use crate::settings::{Durability, LogSettings};

#[test]
fn appended_batches_are_read_back_once_flushed() {
    let mut rig = Rig::new(1, settings());
    let appended = rig.append(100).unwrap();
    assert_eq!(appended.base_offset, Offset(0));
    assert!(matches!(rig.log.read(Offset(0), Offset(9), 1000, true, cx!(rig)), ReadStart::Empty));
    rig.settle();
    assert_eq!(rig.log.flushed_offset(), rig.log.log_end_offset());
    rig.check_all(1 << 20);
    rig.log.evict_tail(0);
    rig.check_all(1 << 20);
    let end = rig.log.log_end_offset();
    assert!(matches!(rig.log.read(end, end, 1000, true, cx!(rig)), ReadStart::Empty));
    assert!(matches!(rig.log.read(end.plus(1), end.plus(9), 1000, true, cx!(rig)), ReadStart::OutOfRange));
}

fn random_settings(rng: &mut Rng) -> LogSettings {
    LogSettings {
        segment_bytes: [20_000, 66_000, 300_000, 2_000_000][rng.below(4) as usize],
        index_interval_bytes: [100, 4096][rng.below(2) as usize],
        batch_bytes_max: 1 << 20,
        compression: rng.one_in(3).then(|| Codec::at_default_level(Compression::ALL[rng.below(5) as usize])),
        timestamp_type: if rng.one_in(4) { TimestampType::LogAppendTime } else { TimestampType::CreateTime },
        ..settings()
    }
}

/// One random life of a log, `steps` steps long, with clean and unclean restarts.
fn random_life(seed: u64, steps: u64, crashes: bool) -> Rig {
    let mut rng = Rng::new(seed);
    let mut rig = Rig::new(rng.next_u64(), random_settings(&mut rng));
    for _ in 0..steps {
        match rng.below(100) {
            0..40 => {
                let payload_max = [20, 300, 3_000, 15_000][rng.below(4) as usize];
                match rig.append(payload_max) {
                    Ok(_) | Err(AppendError::Busy) => {}
                    Err(AppendError::Batch(BatchError::LargerThanSegment { .. })) => {}
                    Err(error) => panic!("{error:?} {:?} {:?}", rig.log.state(), rig.notices),
                }
            }
            40..55 => rig.end_turn(),
            55..80 => {
                rig.complete_one();
            }
            80..88 => rig.check_read(),
            88..92 => rig.check_time(),
            92..94 => rig.log.evict_tail(rng.below(100_000)),
            94..96 => {
                rig.now.mono = Mono(rig.now.mono.0 + 1_000_000_000);
                rig.now.wall = WallMs(rig.now.wall.0 + 10);
                rig.log.tick(cx!(rig));
                rig.log.retain(cx!(rig));
            }
            96 => rig.store_checkpoint(),
            97 if rng.one_in(4) => rig.clean_restart(),
            98 if crashes && rng.one_in(2) => rig.crash_restart(),
            99 if rng.one_in(10) => {
                let (start, flushed) = (rig.log.log_start_offset().0, rig.log.flushed_offset().0);
                let before = Offset(start + rng.below((flushed - start) as u64 + 1) as i64);
                assert_eq!(rig.log.delete_records(before, cx!(rig)), Ok(before));
            }
            _ => {}
        }
    }
    rig.settle();
    assert_eq!(*rig.log.state(), LogState::Online, "{:?}", rig.notices);
    assert_eq!(rig.log.flushed_offset(), rig.log.log_end_offset());
    rig.check_zeros_ahead();
    rig.check_all(50_000);
    rig.log.evict_tail(0);
    rig.check_all(30_000);
    rig.check_largest_time();
    rig
}

/// The fixed seeds and some fresh ones: `CORELANE_LIVES` of them. Only one if `CORELANE_LIFE` names it.
fn lives(test: &str, fixed: std::ops::Range<u64>) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(life) = number("CORELANE_LIFE") {
        return vec![life];
    }
    let mut seeds = Rng::new(seed(test));
    fixed.chain((0..number("CORELANE_LIVES").unwrap_or(15)).map(|_| seeds.next_u64())).collect()
}

#[test]
fn random_lives_without_crashes() {
    for seed in lives("random_lives_without_crashes", 0..30) {
        println!("seed {seed}");
        random_life(seed, 600, false);
    }
}

#[test]
fn random_lives_with_crashes_lose_nothing_acknowledged() {
    for seed in lives("random_lives_with_crashes", 1000..1060) {
        println!("seed {seed}");
        random_life(seed, 800, true);
    }
}

/// A fixed life of a few segments up to its `n`th write, which is under way; `None` if there are fewer.
fn life_up_to_write(n: u64) -> Option<Rig> {
    let mut rig = Rig::new(77, LogSettings { segment_bytes: 40_000, ..settings() });
    for round in 0..16 {
        for _ in 0..=round % 3 {
            rig.append(6_000).unwrap();
        }
        loop {
            rig.end_turn();
            match rig.write_under_way() {
                Some(_) if rig.disk.writes_done == n => return Some(rig),
                Some(i) => rig.complete(i),
                None if rig.complete_one() => {}
                None => break,
            }
        }
    }
    None
}

#[test]
fn a_crash_at_every_write_with_every_number_of_its_blocks() {
    let mut crashes = 0;
    for n in 0.. {
        for kept in 0.. {
            let Some(mut rig) = life_up_to_write(n) else {
                assert!(n > 15 && crashes > 50, "{crashes} crashes at {n} writes");
                return;
            };
            if !rig.tear_write(kept) {
                break;
            }
            rig.recover_and_compare();
            rig.check_zeros_ahead();
            rig.check_all(20_000);
            rig.append(6_000).unwrap();
            rig.settle();
            rig.check_all(20_000);
            crashes += 1;
        }
    }
}

#[test]
fn a_failed_write_poisons_the_log() {
    let mut rig = Rig::new(2, settings());
    rig.append(100).unwrap();
    rig.settle();
    rig.disk.broken = true;
    rig.append(100).unwrap();
    rig.settle();
    assert!(matches!(rig.log.state(), LogState::Offline(OfflineReason::WriteFailed(_))));
    assert_eq!(rig.append(100), Err(AppendError::Offline));
    let read = rig.log.read(Offset(0), Offset(1), 1000, true, cx!(rig));
    assert!(matches!(read, ReadStart::Failed(ReadError::Offline)));
    rig.disk.broken = false;
    let writes = rig.disk.writes_done;
    rig.settle();
    rig.log.tick(cx!(rig));
    rig.settle();
    assert_eq!(rig.disk.writes_done, writes, "nothing is retried");
    assert!(rig.log.is_idle());
    rig.crash_restart();
}

#[test]
fn a_full_disk_refuses_and_heals() {
    let mut rig = Rig::new(3, settings());
    rig.settle();
    rig.disk.capacity = Some(200 << 10);
    let mut refused = 0;
    for _ in 0..400 {
        match rig.append(3_000) {
            Ok(_) => {}
            Err(AppendError::DiskFull) => refused += 1,
            Err(error) => panic!("{error:?} {:?} {:?}", rig.log.state(), rig.notices),
        }
        rig.settle();
        rig.log.tick(cx!(rig));
        rig.settle();
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(*rig.log.state(), LogState::Online);
    rig.check_all(10_000);
    rig.disk.capacity = None;
    rig.log.tick(cx!(rig));
    rig.settle();
    rig.append(3_000).unwrap();
    rig.settle();
    assert_eq!(rig.log.flushed_offset(), rig.log.log_end_offset());
    rig.check_all(10_000);
    rig.crash_restart();
    rig.check_all(10_000);
}

/// Takes all descriptors away behind `prepare`, which leaves a log at rest; gives them back after a while. `taken` batches
/// are taken in meanwhile, which may not be acknowledged before.
fn check_without_descriptors(what: &str, taken: usize, prepare: impl FnOnce(&mut Rig)) {
    let mut rig = Rig::new(4, LogSettings { segment_bytes: 40_000, ..settings() });
    rig.disk.no_descriptor = true;
    prepare(&mut rig);
    let flushed = rig.log.flushed_offset();
    let mut appended = 0;
    for _ in 0..20 {
        match rig.append(3_000) {
            Ok(_) => appended += 1,
            Err(AppendError::DiskFull | AppendError::Opening) => {}
            Err(error) => panic!("{what}: {error:?} {:?} {:?}", rig.log.state(), rig.notices),
        }
        rig.settle();
        rig.log.tick(cx!(rig));
        rig.settle();
    }
    assert_eq!(appended, taken, "{what}: {:?}", rig.notices);
    let told = rig.notices.iter().filter(|notice| notice.text.contains("too many open files")).count();
    assert_eq!(told, 1, "{what}: once, not each time that it is tried: {:?}", rig.notices);
    assert_eq!(rig.log.awaits_room(), rig.log.flushed_offset() < rig.log.log_end_offset(), "{what}");
    if taken == 0 {
        assert_eq!(rig.log.flushed_offset(), flushed, "{what}");
    }
    heal(&mut rig);
    assert_eq!(*rig.log.state(), LogState::Online, "{what}: {:?}", rig.notices);
    rig.append(3_000).unwrap();
    rig.settle();
    assert_eq!(rig.log.flushed_offset(), rig.log.log_end_offset(), "{what}");
    rig.check_all(10_000);
    rig.crash_restart();
    rig.check_all(10_000);
}

/// Gives the descriptors back, and waits until the log has asked for them.
fn heal(rig: &mut Rig) {
    rig.disk.no_descriptor = false;
    for _ in 0..3 * DESCRIPTOR_RETRY_TICKS {
        rig.log.tick(cx!(rig));
        rig.settle();
    }
}

/// Appends `count` batches, each to its end, with descriptors.
fn fill(rig: &mut Rig, count: usize) {
    heal(rig);
    rig.notices.clear();
    for _ in 0..count {
        rig.append(3_000).unwrap();
        rig.settle();
    }
}

#[test]
fn want_of_descriptors_refuses_and_heals() {
    check_without_descriptors("a new log", 0, Rig::settle);
    // Of random sizes, but the seed is fixed.
    check_without_descriptors("an open segment is filled, the next one has no file", 9, |rig| {
        fill(rig, 1);
        rig.disk.no_descriptor = true;
    });
    check_without_descriptors("a segment that a clean start has not opened", 1, |rig| {
        fill(rig, 2);
        rig.clean_restart();
        rig.disk.no_descriptor = true;
        rig.settle();
    });
    for with_checkpoint in [true, false] {
        check_without_descriptors("recovery", 0, |rig| {
            fill(rig, 20);
            rig.store_checkpoint();
            if !with_checkpoint {
                rig.checkpoint = None;
            }
            rig.reopen(false);
            rig.disk.no_descriptor = true;
            rig.settle();
            assert_eq!((rig.log.state(), rig.log.is_opening()), (&LogState::Opening, false));
            assert!(rig.log.is_idle(), "a stop does not wait for it");
        });
    }
}

#[test]
fn a_segment_that_cannot_be_opened_fails_its_readers_and_tells_once() {
    let mut rig = Rig::new(5, LogSettings { segment_bytes: 40_000, ..settings() });
    fill(&mut rig, 40);
    rig.log.evict_tail(0);
    rig.clean_restart();
    let end = rig.log.flushed_offset();
    for (no_descriptor, told) in [(true, 1), (true, 1), (false, 1), (true, 2)] {
        rig.now.mono = Mono(rig.now.mono.0 + 3_600_000_000_000);
        rig.log.tick(cx!(rig));
        rig.settle();
        rig.disk.no_descriptor = no_descriptor;
        let start = rig.log.read(Offset(0), end, 1000, true, cx!(rig));
        let ReadStart::Pending(ticket) = start else { panic!("{start:?}") };
        rig.settle();
        let refused = matches!(rig.reads[&ticket.0], Err(ReadError::Failed(DiskError::TooManyFiles)));
        assert_eq!(refused, no_descriptor);
        let tells = rig.notices.iter().filter(|notice| notice.text.contains("too many open files"));
        assert_eq!(tells.count(), told);
    }
    assert_eq!(*rig.log.state(), LogState::Online);
    rig.disk.no_descriptor = false;
    rig.check_all(10_000);
}

/// Appends one batch with a value of `value_bytes` and brings everything to its end: the zeros ahead of the tail, in
/// bytes, and how often zeros were asked for so far.
fn commit_of(rig: &mut Rig, value_bytes: usize) -> (u64, u64) {
    let mut builder = BatchBuilder::new();
    builder.push(WallMs(1_000_000), None, Some(&vec![7; value_bytes]));
    rig.append_bytes(&builder.build(), &[1_000_000]).unwrap();
    rig.settle();
    let active = rig.log.segments.back().unwrap();
    let len = inode(active.handle().unwrap()).lock().unwrap().len() as u64;
    (len - block_ceil(u64::from(active.size)), rig.disk.ops_done.get("Zero").copied().unwrap_or(0))
}

#[test]
fn small_commits_find_zeros_and_large_ones_extend_the_file() {
    const SEGMENT_BYTES: u32 = 4 << 20;
    let mut rig = Rig::new(5, LogSettings { segment_bytes: SEGMENT_BYTES, ..settings() });
    for _ in 0..20 {
        let (ahead, _) = commit_of(&mut rig, 4_000);
        assert!(ahead >= 16 << 10, "the next small commit finds zeros, {ahead} bytes");
    }
    // The first large commits use up what there is.
    while commit_of(&mut rig, 256 << 10).0 > 0 {}
    let zeroed = rig.disk.ops_done["Zero"];
    let active = rig.log.segments.back().unwrap().base_offset;
    while !rig.disk.files.contains_key("t-0/next.log") {
        assert_eq!(commit_of(&mut rig, 256 << 10), (0, zeroed), "extended by the commit alone");
    }
    assert_eq!(rig.log.segments.back().unwrap().base_offset, active, "ready before the roll");
    assert_eq!(
        rig.disk.files["t-0/next.log"].lock().unwrap().len(),
        64 << 10,
        "no zeros that a roll waits for"
    );
    for _ in 0..10 {
        rig.append(200_000).unwrap();
        rig.end_turn();
        rig.crash_restart();
    }
    rig.check_all(1 << 20);
    commit_of(&mut rig, 4_000);
    let (ahead, zeroed_again) = commit_of(&mut rig, 4_000);
    assert!(ahead > 0 && zeroed_again > zeroed, "small commits find zeros again");
}

#[test]
fn a_roll_that_waits_for_its_file_waits_for_no_zeros() {
    let mut rig = Rig::new(6, LogSettings { segment_bytes: 4 << 20, segment_ms: 1_000, ..settings() });
    for _ in 0..200 {
        commit_of(&mut rig, 4_000);
    }
    assert!(!rig.disk.files.contains_key("t-0/next.log"), "the segment is far from full");
    let mut builder = BatchBuilder::new();
    builder.push(WallMs(1_005_000), None, Some(b"it is time"));
    rig.append_bytes(&builder.build(), &[1_005_000]).unwrap();
    rig.take_ops();
    let created = rig.disk.under_way.iter().find_map(|(_, op)| match op {
        DiskOp::CreateSegment { bytes, .. } => Some(*bytes),
        _ => None,
    });
    assert_eq!(created, Some(64 << 10), "the commit waits for this");
    rig.settle();
    rig.check_all(1 << 20);
}

#[test]
fn retention_by_size_and_time_deletes_whole_segments_which_are_recycled() {
    let settings = LogSettings { segment_bytes: 70_000, retention_bytes: 150_000, ..settings() };
    let mut rig = Rig::new(4, settings);
    let mut starts = 0;
    for _ in 0..600 {
        rig.append(3_000).unwrap();
        rig.settle();
        starts += u64::from(rig.log.retain(cx!(rig)));
        rig.log.tick(cx!(rig));
        rig.store_checkpoint();
        rig.pool.tick(&mut rig.queue);
        assert!(rig.log.size_bytes() >= 150_000.min(rig.model.iter().map(|s| s.bytes.len() as u64).sum()));
    }
    assert!(starts > 10);
    assert!(rig.log.size_bytes() < 150_000 + 140_000, "{}", rig.log.size_bytes());
    let figures = rig.log.figures();
    assert!(figures.deleted_segments > 0);
    let stored: u64 = rig.model.iter().map(|s| s.bytes.len() as u64).sum();
    assert_eq!(figures.deleted_bytes + figures.size_bytes, stored, "what is deleted is told");
    assert!(rig.disk.files.len() < 16, "{:?}", rig.disk.files.keys());
    assert!(rig.disk.ops_done["CreateSegment"] < 8, "recycled instead: {:?}", rig.disk.ops_done);
    rig.check_zeros_ahead();
    rig.check_all(20_000);
    rig.store_checkpoint();
    rig.crash_restart();
    rig.check_all(20_000);
    let old = rig.log.log_end_offset();
    rig.settings.retention_ms = 10_000;
    rig.log.set_settings(rig.settings.clone());
    rig.now.wall = WallMs(1_000_000 + 5_000 + 10_001);
    assert!(rig.log.retain(cx!(rig)));
    rig.settle();
    assert_eq!(rig.log.log_start_offset(), old, "the active segment is rolled and goes too");
    assert_eq!(rig.log.size_bytes(), 0);
    rig.append(10).unwrap();
    rig.settle();
    rig.check_all(20_000);
    rig.clean_restart();
    rig.check_all(20_000);
}

#[test]
fn a_new_header_over_an_old_batch_of_a_recycled_file_is_not_taken_for_a_batch() {
    // Batches of one size, a segment's worth of them, so that a recycled file would line up exactly.
    let settings = LogSettings { segment_bytes: 64 << 10, retention_bytes: 0, ..settings() };
    let mut rig = Rig::new(5, settings);
    let value = vec![7; 8_000];
    let batch = Rig::producer_batch(-1, -1, 1, &value);
    for _ in 0..200 {
        rig.append_bytes(&batch, &[1_000_000]).unwrap();
        rig.settle();
        rig.store_checkpoint();
        rig.log.retain(cx!(rig));
        rig.log.tick(cx!(rig));
        rig.pool.tick(&mut rig.queue);
        rig.settle();
        rig.check_zeros_ahead();
        if rig.log.segments.len() > 1 {
            continue;
        }
        // The next write is torn behind its first block.
        rig.append_bytes(&batch, &[1_000_000]).unwrap();
        rig.end_turn();
        rig.store_checkpoint();
        rig.crash_restart();
    }
}

#[test]
fn a_producers_retry_is_recognised_across_restarts_and_not_after_losing_it() {
    let mut rig = Rig::new(6, settings());
    let first = Rig::producer_batch(40, 0, 3, b"a");
    let second = Rig::producer_batch(40, 3, 2, b"b");
    rig.append_bytes(&first, &[0; 3]).unwrap();
    rig.settle();
    let again = rig.append_bytes(&first, &[0; 3]).unwrap();
    assert_eq!((again.duplicate, again.base_offset, again.last_offset), (true, Offset(0), Offset(2)));
    rig.append_bytes(&second, &[0; 2]).unwrap();
    rig.store_checkpoint();
    // The second was never written: after the crash it is new.
    rig.disk.under_way.clear();
    rig.queue = Default::default();
    rig.reopen(false);
    rig.settle();
    rig.model.truncate(1);
    assert_eq!(rig.log.log_end_offset(), Offset(3));
    assert!(rig.append_bytes(&first, &[0; 3]).unwrap().duplicate);
    assert!(!rig.append_bytes(&second, &[0; 2]).unwrap().duplicate);
    rig.settle();
    rig.clean_restart();
    assert!(rig.append_bytes(&second, &[0; 2]).unwrap().duplicate);
    rig.reopen(false);
    rig.settle();
    assert!(rig.append_bytes(&second, &[0; 2]).unwrap().duplicate);
    assert!(matches!(
        rig.append_bytes(&Rig::producer_batch(40, 9, 1, b"c"), &[0]),
        Err(AppendError::Producer(_))
    ));
}

#[test]
fn damage_inside_acknowledged_data_is_never_cut_off() {
    let settings = LogSettings { segment_bytes: 16 << 20, batch_bytes_max: 64 << 10, ..settings() };
    let mut rig = Rig::new(7, settings);
    while rig.log.size_bytes() < 3 << 20 {
        rig.append(15_000).unwrap();
        rig.settle();
    }
    let file = rig.disk.files["t-0/00000000000000000000.log"].clone();
    let end = rig.log.size_bytes() as usize;
    // Near the end it looks like a torn write, further in front it cannot be one.
    for (at, offline) in [(end / 4, true), (end / 2, true), (end - 10_000, false)] {
        let before = file.lock().unwrap().clone();
        file.lock().unwrap()[at] ^= 0x40;
        rig.reopen(false);
        rig.settle();
        let is_offline = matches!(rig.log.state(), LogState::Offline(OfflineReason::Corrupt { .. }));
        assert_eq!(is_offline, offline, "at {at} of {end}: {:?}", rig.notices);
        *file.lock().unwrap() = before;
    }
}

#[test]
fn a_missing_segment_between_others_is_told() {
    let settings = LogSettings { segment_bytes: 50_000, ..settings() };
    let mut rig = Rig::new(8, settings);
    for _ in 0..60 {
        rig.append(5_000).unwrap();
        rig.settle();
    }
    let names: Vec<String> = rig
        .disk
        .files
        .keys()
        .filter(|name| name.ends_with("0.log") || name.ends_with(".log"))
        .cloned()
        .collect();
    let segments: Vec<String> = names.into_iter().filter(|name| name.starts_with("t-0/0")).collect();
    assert!(segments.len() > 4);
    rig.store_checkpoint();
    let checkpoint = rig.checkpoint.clone();
    for kept in [checkpoint, None] {
        rig.checkpoint = kept;
        let file = rig.disk.files.remove(&segments[1]).unwrap();
        rig.reopen(false);
        rig.settle();
        let reason = rig.log.state().clone();
        assert!(matches!(reason, LogState::Offline(OfflineReason::SegmentMissing { .. })), "{reason:?}");
        rig.disk.files.insert(segments[1].clone(), file);
    }
    rig.reopen(false);
    rig.settle();
    assert_eq!(*rig.log.state(), LogState::Online);
    rig.check_all(10_000);
}

#[test]
fn memory_durability_shows_at_the_end_of_the_turn_and_writes_behind() {
    let mut rig = Rig::new(9, LogSettings { durability: Durability::Memory, ..settings() });
    for _ in 0..50 {
        rig.append(2_000).unwrap();
        assert!(rig.log.end_turn(cx!(rig)));
        assert_eq!(rig.log.flushed_offset(), rig.log.log_end_offset());
        rig.check_read();
        rig.check_time();
    }
    rig.settle();
    rig.clean_restart();
    rig.check_all(10_000);
}

#[test]
fn a_log_start_once_stored_stands_in_every_later_checkpoint() {
    let mut rig = Rig::new(12, LogSettings { durability: Durability::Write, ..settings() });
    // Until a checkpoint says that the log is relaxed its commits are synced.
    rig.append(500).unwrap();
    rig.append(500).unwrap();
    rig.settle();
    let start = rig.log.delete_records(Offset(1), cx!(rig)).unwrap();
    // Something waits to be written, so the checkpoint describes the log as it was.
    rig.append(500).unwrap();
    rig.store_checkpoint();
    assert_eq!((start, rig.log.start_stored()), (Offset(1), Offset(1)));
    rig.end_turn();
    let write = rig.write_under_way().expect("a commit");
    rig.complete(write);
    assert!(rig.log.unsynced);
    let stored = rig.log.checkpoint();
    let checkpoint = Checkpoint::decode(&stored, 10).expect("just encoded");
    assert_eq!(checkpoint.log_start_offset, Offset(1));
}

#[test]
fn the_leaders_batches_are_kept_as_they_are() {
    let mut leader = Rig::new(10, settings());
    for _ in 0..20 {
        leader.append(500).unwrap();
    }
    leader.settle();
    let mut follower = Rig::new(11, settings());
    for stored in leader.model.clone() {
        let appended = follower
            .log
            .append(&stored.bytes, LeaderEpoch(0), AppendOrigin::Follower, cx!(follower))
            .unwrap();
        assert_eq!(appended.base_offset.0, stored.base);
        follower.model.push(stored);
    }
    follower.settle();
    follower.check_all(10_000);
    assert_eq!(follower.log.latest_leader_epoch(), Some(LeaderEpoch(3)));
    let skipped: Bytes = leader.model[5].bytes.clone();
    assert!(matches!(
        follower.log.append(&skipped, LeaderEpoch(0), AppendOrigin::Follower, cx!(follower)),
        Err(AppendError::NotNext { .. })
    ));
    assert_eq!(base_offsets(&skipped), [leader.model[5].base]);
}

/// The log's settings with a compression of its own.
fn compressed(compression: Compression) -> LogSettings {
    LogSettings { compression: Some(Codec::at_default_level(compression)), ..settings() }
}

#[test]
fn a_retry_of_a_recompressed_batch_is_recognised_across_restarts() {
    let mut rig = Rig::new(12, compressed(Compression::Zstd));
    let first = Rig::producer_batch(40, 0, 3, &[b'a'; 900]);
    let appended = rig.append_bytes(&first, &[1_000_000; 3]).unwrap();
    assert!(appended.size_bytes < first.len() as u64 / 4);
    for clean in [true, false] {
        rig.settle();
        let again = rig.append_bytes(&first, &[1_000_000; 3]).unwrap();
        assert_eq!((again.duplicate, again.base_offset, again.last_offset), (true, Offset(0), Offset(2)));
        assert_eq!(again.size_bytes, 0);
        rig.store_checkpoint();
        rig.reopen(clean);
    }
    rig.settle();
    rig.check_all(10_000);
}

#[test]
fn what_recompression_refuses_leaves_no_trace() {
    let mut rig = Rig::new(13, LogSettings { batch_bytes_max: 1000, ..compressed(Compression::None) });
    let mut builder = BatchBuilder::new();
    builder.compression = Compression::Gzip;
    let large = builder.push(WallMs(1_000_000), None, Some(&[0; 2000])).build();
    let refused = rig.append_bytes(&large, &[1_000_000]);
    let Err(AppendError::Batch(BatchError::TooLarge { size_bytes, size_bytes_max: 1000 })) = refused else {
        panic!("{refused:?}")
    };
    assert!(size_bytes > 2000, "as it would be stored");
    let mut damaged = large.to_vec();
    damaged[batch::HEADER_SIZE..].fill(0xa5);
    batch::stamp_crc(&mut damaged);
    let refused = rig.append_bytes(&damaged.into(), &[1_000_000]);
    assert_eq!(refused, Err(AppendError::Records(RecordError::Decompression)));
    assert_eq!((rig.log.log_end_offset(), rig.log.size_bytes()), (Offset(0), 0));
    // Without a compression of its own the log looks into neither.
    rig.settings = LogSettings { compression: None, ..rig.settings.clone() };
    rig.log.set_settings(rig.settings.clone());
    rig.append_bytes(&large, &[1_000_000]).unwrap();
    rig.settle();
    rig.check_all(10_000);
}

#[test]
fn a_follower_keeps_the_leaders_compression() {
    let mut leader = Rig::new(14, compressed(Compression::Lz4));
    for _ in 0..5 {
        leader.append(500).unwrap();
    }
    let mut follower = Rig::new(15, compressed(Compression::Gzip));
    for stored in leader.model.clone() {
        let by = AppendOrigin::Follower;
        follower.log.append(&stored.bytes, LeaderEpoch(0), by, cx!(follower)).unwrap();
        follower.model.push(stored);
    }
    follower.settle();
    follower.check_all(10_000);
}
