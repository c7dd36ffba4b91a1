//! Tests of the virtual disk: an instrument that lies must be found out before it is believed.

use bytes::Bytes;
use corelane_base::aligned::aligned_buffer;
use corelane_base::id::ShardId;
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken, FileHandle};

use crate::disk::{Crash, Faults, VirtualDisk};
use crate::hash::StateHash;

const BLOCK: u64 = 4096;

struct Bench {
    disk: VirtualDisk,
    now: Mono,
    tokens: u64,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        Bench { disk: VirtualDisk::new(Rng::new(seed), 64 * BLOCK), now: Mono(0), tokens: 0 }
    }

    fn submit(&mut self, op: DiskOp) -> DiskToken {
        self.tokens += 1;
        let token = DiskToken(self.tokens);
        self.disk.submit(self.now, ShardId(0), token, op);
        token
    }

    fn finish(&mut self) -> Vec<(DiskToken, Result<DiskOutcome, DiskError>)> {
        let mut done = Vec::new();
        while let Some(due) = self.disk.next_completion() {
            self.now = due;
            while let Some(completion) = self.disk.complete(due) {
                done.push((completion.token, completion.result));
            }
        }
        done
    }

    fn run(&mut self, op: DiskOp) -> Result<DiskOutcome, DiskError> {
        self.submit(op);
        let mut done = self.finish();
        assert_eq!(done.len(), 1);
        done.remove(0).1
    }

    fn create(&mut self, path: &str, blocks: u64) -> Result<FileHandle, DiskError> {
        match self.run(DiskOp::CreateSegment { path: path.into(), bytes: blocks * BLOCK })? {
            DiskOutcome::Opened { file, len } => {
                assert_eq!(len, blocks * BLOCK);
                Ok(file)
            }
            other => panic!("not opened: {other:?}"),
        }
    }

    fn first_bytes(&self, path: &str) -> Vec<u8> {
        self.disk.peek(path).expect("exists").chunks(BLOCK as usize).map(|block| block[0]).collect()
    }
}

fn write(file: &FileHandle, block: u64, fill: u8, sync: bool) -> DiskOp {
    let mut buffer = aligned_buffer(BLOCK as usize);
    buffer.resize(BLOCK as usize, fill);
    DiskOp::Write { file: file.clone(), offset: block * BLOCK, parts: vec![buffer.freeze()], sync }
}

#[test]
fn completions_come_in_another_order_and_the_same_under_the_same_seed() {
    let order = |seed| {
        let mut bench = Bench::new(seed);
        let file = bench.create("a/0.log", 20).unwrap();
        let sent: Vec<DiskToken> = (0..20).map(|n| bench.submit(write(&file, n, n as u8, true))).collect();
        let got: Vec<DiskToken> = bench.finish().into_iter().map(|(token, _)| token).collect();
        assert_ne!(sent, got);
        assert_eq!(bench.first_bytes("a/0.log"), (0..20).collect::<Vec<u8>>());
        let mut hash = StateHash::default();
        bench.disk.hash_into(&mut hash);
        (got, hash.value())
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn what_completed_synced_survives_and_what_was_in_flight_may() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut bench = Bench::new(seed);
        let file = bench.create("a/0.log", 3).unwrap();
        assert!(bench.run(write(&file, 0, 1, true)).is_ok());
        assert!(bench.run(write(&file, 1, 2, false)).is_ok());
        bench.submit(write(&file, 2, 3, true));
        bench.disk.crash(Crash::PowerLoss);
        assert!(bench.finish().is_empty(), "nobody is told");
        let bytes = bench.first_bytes("a/0.log");
        assert_eq!(bytes[0], 1);
        seen.insert(bytes[1..].to_vec());
    }
    assert_eq!(seen.len(), 4, "every combination of lost and kept: {seen:?}");
}

#[test]
fn a_killed_process_loses_no_completed_write() {
    for seed in 0..50 {
        let mut bench = Bench::new(seed);
        let file = bench.create("a/0.log", 2).unwrap();
        assert!(bench.run(write(&file, 1, 2, false)).is_ok());
        bench.disk.crash(Crash::Kill);
        assert_eq!(bench.first_bytes("a/0.log"), [0, 2]);
    }
}

#[test]
fn what_a_killed_process_was_writing_can_be_read_but_not_relied_on() {
    let mut lost_later = 0;
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        let file = bench.create("a/0.log", 1).unwrap();
        bench.submit(write(&file, 0, 9, true));
        bench.disk.crash(Crash::Kill);
        let read = bench.disk.peek("a/0.log").unwrap();
        bench.disk.crash(Crash::PowerLoss);
        lost_later += usize::from(bench.disk.peek("a/0.log").unwrap() != read);
    }
    assert!(lost_later > 5, "{lost_later}");
}

#[test]
fn small_files_are_replaced_whole_or_not_at_all() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut bench = Bench::new(seed);
        let old = Bytes::from_static(b"old");
        let new = Bytes::from(vec![b'n'; 10_000]);
        assert!(bench.run(DiskOp::WriteFile { path: "m/meta".into(), data: old.clone() }).is_ok());
        bench.submit(DiskOp::WriteFile { path: "m/meta".into(), data: new.clone() });
        bench.disk.crash(Crash::PowerLoss);
        let got = bench.disk.peek("m/meta").unwrap();
        assert!(got == old || got == new, "neither old nor new: {} bytes", got.len());
        seen.insert(got.len());
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn names_move_whole_and_directories_go_file_by_file() {
    let mut left = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let mut bench = Bench::new(seed);
        for name in ["d/1", "d/2", "d/sub/3", "dd/4"] {
            bench.create(name, 1).unwrap();
        }
        bench.submit(DiskOp::Rename { from: "dd/4".into(), to: "e/5".into() });
        bench.submit(DiskOp::Remove { path: "d".into() });
        bench.disk.crash(Crash::PowerLoss);
        let names: Vec<String> = bench.disk.list_all().map(|(name, _)| name.to_owned()).collect();
        let moved = usize::from(names.contains(&"e/5".into())) + usize::from(names.contains(&"dd/4".into()));
        assert_eq!(moved, 1);
        left.insert(names);
    }
    assert!(left.len() > 8, "{left:?}");
}

#[test]
fn room_is_counted_honestly_and_comes_back_with_the_last_handle() {
    let mut bench = Bench::new(3);
    let file = bench.create("a/0.log", 60).unwrap();
    let free = |bench: &mut Bench| match bench.run(DiskOp::Space) {
        Ok(DiskOutcome::Space { total, free }) => {
            assert_eq!(total, 64 * BLOCK);
            free / BLOCK
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(free(&mut bench), 4);
    assert_eq!(bench.create("a/1.log", 5).unwrap_err(), DiskError::NoSpace);
    assert!(bench.run(write(&file, 59, 1, true)).is_ok(), "overwriting needs no room");
    assert!(bench.run(DiskOp::Remove { path: "a/0.log".into() }).is_ok());
    assert_eq!(free(&mut bench), 4, "still open");
    assert_eq!(&bench.disk.send_file(&file, 59 * BLOCK, 2)[..], [1, 1]);
    drop(file);
    assert_eq!(free(&mut bench), 64);
    bench.disk.leave_free(BLOCK);
    assert_eq!(free(&mut bench), 1);
    assert_eq!(bench.create("a/1.log", 2).unwrap_err(), DiskError::NoSpace);
    bench.disk.leave_free(3 * BLOCK);
    assert!(bench.create("a/1.log", 2).is_ok());
    assert_eq!(bench.create("a/1.log", 1).unwrap_err(), DiskError::Exists);
}

#[test]
fn faults_strike_and_silent_ones_are_recorded() {
    let mut bench = Bench::new(4);
    let file = bench.create("a/0.log", 8).unwrap();
    let faults = Faults::default();
    bench.disk.set_faults(Faults { write_error: 1, ..faults });
    assert_eq!(bench.run(write(&file, 0, 1, true)).unwrap_err(), DiskError::Io(5));
    bench.disk.set_faults(Faults { read_error: 1, ..faults });
    let read = DiskOp::Read { file: file.clone(), offset: 10, len: 10 };
    assert_eq!(bench.run(read).unwrap_err(), DiskError::Io(5));
    assert!(bench.disk.damage().is_empty());
    bench.disk.set_faults(Faults { misdirected: 1, ..faults });
    while bench.disk.damage().is_empty() {
        assert!(bench.run(write(&file, 7, 9, true)).is_ok());
    }
    let damage = bench.disk.damage().to_vec();
    assert_eq!(damage.len(), 2);
    assert_eq!((damage[0].path.as_str(), damage[0].offset), ("a/0.log", 7 * BLOCK));
    assert_eq!(bench.first_bytes("a/0.log")[(damage[1].offset / BLOCK) as usize], 9);
    bench.disk.set_faults(Faults { bit_flip: 1, ..faults });
    assert!(bench.run(write(&file, 6, 0, true)).is_ok());
    let bytes = bench.disk.peek("a/0.log").unwrap();
    let ones: u32 = bytes[6 * 4096..7 * 4096].iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(ones, 1);
}

#[test]
fn a_failed_sync_can_be_read_but_not_relied_on() {
    let mut kept = [0, 0];
    for seed in 0..60 {
        let mut bench = Bench::new(seed);
        let file = bench.create("a/0.log", 1).unwrap();
        bench.disk.set_faults(Faults { sync_error: 1, ..Faults::default() });
        assert!(bench.run(write(&file, 0, 7, true)).is_err());
        assert_eq!(bench.first_bytes("a/0.log"), [7]);
        bench.disk.crash(Crash::PowerLoss);
        kept[usize::from(bench.first_bytes("a/0.log")[0] == 7)] += 1;
    }
    assert!(kept[0] > 5 && kept[1] > 5, "{kept:?}");
}

#[test]
fn listing_shows_one_level_and_reading_stops_at_the_end() {
    let mut bench = Bench::new(5);
    let file = bench.create("t/p-0/0.log", 1).unwrap();
    assert!(bench.run(DiskOp::WriteFile { path: "t/meta".into(), data: Bytes::from_static(b"abc") }).is_ok());
    let Ok(DiskOutcome::Listed(entries)) = bench.run(DiskOp::List { path: "t".into() }) else { panic!() };
    let shown: Vec<(&str, u64, bool)> = entries.iter().map(|e| (e.name.as_str(), e.len, e.is_dir)).collect();
    assert_eq!(shown, [("meta", 3, false), ("p-0", 0, true)]);
    let Ok(DiskOutcome::Listed(missing)) = bench.run(DiskOp::List { path: "x".into() }) else { panic!() };
    assert!(missing.is_empty());
    let Ok(DiskOutcome::Read(bytes)) = bench.run(DiskOp::Read { file, offset: 4090, len: 100 }) else {
        panic!()
    };
    assert_eq!(bytes.len(), 6);
    let read = |path: &str, bytes_max| DiskOp::ReadFile { path: path.into(), bytes_max };
    let Ok(DiskOutcome::File(Some(meta))) = bench.run(read("t/meta", 3)) else { panic!() };
    assert_eq!(&meta[..], b"abc");
    assert!(bench.run(read("t/meta", 2)).is_err());
    assert!(matches!(bench.run(read("t/none", 2)), Ok(DiskOutcome::File(None))));
}
