//! Tests of the log's parts by themselves: tail memory, checkpoint bytes, the scanner, the pool of spare segments.

use bytes::Bytes;
use corelane_base::aligned::{BLOCK_BYTES, is_aligned};
use corelane_base::id::{LeaderEpoch, Offset};
use corelane_base::rng::Rng;
use corelane_base::time::WallMs;

use crate::batch;
use crate::checkpoint::{Behind, Checkpoint, CheckpointSegment};
use crate::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken};
use crate::epochs::Epochs;
use crate::index::MaxTimestamp;
use crate::pool::SegmentPool;
use crate::producers::Producers;
use crate::rig_test::{Rig, seed};
use crate::scan::{Found, Scanner};
use crate::tail::Tail;

/// What a file would hold after the writes that a tail gives for random appends, freezes and evictions.
#[test]
fn tail_writes_and_reads_give_back_what_was_pushed() {
    let mut seeds = Rng::new(seed("tail"));
    for _ in 0..100 {
        let mut rng = Rng::new(seeds.next_u64());
        let mut tail = Tail::new(0);
        let (mut file, mut all) = (Vec::new(), Vec::new());
        let (mut written, mut offset) = (0_u64, 0);
        let mut last_block = Bytes::new();
        for _ in 0..200 {
            match rng.below(10) {
                0..6 => {
                    let len = [10, 500, 5_000, 40_000][rng.below(4) as usize] + rng.below(100) as usize;
                    let bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8 | 1).collect();
                    let copy = tail.push(&bytes, Offset(offset), WallMs(offset), all.len() as u64, true);
                    assert_eq!(copy, bytes);
                    all.extend_from_slice(&bytes);
                    offset += 1;
                }
                6..9 if written < tail.end() => {
                    let end = tail.border(written, rng.below(100_000), tail.end());
                    assert!(written < end && end <= tail.end());
                    let write = tail.write_parts(written, end, written, &last_block);
                    file.truncate(written as usize - last_block.len());
                    for part in &write.parts {
                        assert!(is_aligned(part));
                        assert_eq!(part.len() % BLOCK_BYTES, 0);
                        file.extend_from_slice(part);
                    }
                    assert!(file[end as usize..].iter().all(|&byte| byte == 0), "padded with zeros");
                    last_block = write.last_block.unwrap_or_default();
                    written = end;
                }
                _ => tail.evict(rng.below(60_000), written),
            }
            tail.check_invariants();
            assert_eq!(file.get(..written as usize), all.get(..written as usize));
            let from = tail.first();
            if from < written {
                let shown: Vec<u8> = tail.slices(from, written).concat();
                assert_eq!(shown, all[from as usize..written as usize]);
            }
        }
    }
}

#[test]
fn an_idle_tail_gives_everything_back() {
    let mut tail = Tail::new(5_000);
    tail.push(&[1; 100], Offset(0), WallMs(0), 5_000, false);
    let write = tail.write_parts(5_000, 5_100, 5_000, &[2; 904]);
    assert_eq!(write.parts.len(), 1);
    assert_eq!(write.last_block.map(|block| block.len()), Some(1_004));
    tail.evict(0, 5_100);
    assert_eq!((tail.memory_bytes(), tail.first(), tail.end()), (0, 5_100, 5_100));
    tail.push(&[3; 10], Offset(1), WallMs(0), 5_100, true);
    assert_eq!(tail.first_offset(), Some(Offset(1)));
}

fn checkpoint() -> Checkpoint {
    let mut epochs = Epochs::new();
    epochs.assign(LeaderEpoch(2), Offset(10));
    let mut producers = Producers::new(10);
    let batch = Rig::producer_batch(5, 0, 3, b"x");
    producers.on_appended(&batch::peek(&batch).unwrap().unwrap().at(Offset(10), LeaderEpoch(2)));
    let max = MaxTimestamp { timestamp: WallMs(77), base_offset: Offset(11), position: 9 };
    let segment = |base: i64, max_timestamp| CheckpointSegment {
        base_offset: Offset(base),
        size: 100,
        created: WallMs(5),
        first_timestamp: Some(WallMs(6)),
        max_timestamp,
        cleaned: max_timestamp.map(|_| 7),
    };
    Checkpoint {
        behind: Behind::default(),
        log_start_offset: Offset(12),
        flushed_offset: Offset(40),
        start: 1_000,
        segments: vec![segment(10, Some(max)), segment(30, None)],
        doomed: vec![Offset(0), Offset(5)],
        cleaned_offset: Offset(30),
        cleaned_sequence: 9,
        replaced: vec![Offset(10), Offset(20)],
        epochs,
        producers,
    }
}

#[test]
fn checkpoint_round_trip_and_every_truncation() {
    let stored = checkpoint();
    for (whole, relaxed) in [(false, true), (true, false), (true, true)] {
        let behind = Behind { whole, relaxed };
        let found = Checkpoint::decode(&stored.encode(Offset(3), behind), 10).unwrap();
        assert_eq!(found.behind, behind);
    }
    let bytes = stored.encode(Offset(3), Behind::default());
    let found = Checkpoint::decode(&bytes, 10).unwrap();
    assert_eq!((found.log_start_offset, found.flushed_offset, found.start), (Offset(12), Offset(40), 1_000));
    assert_eq!(found.segments, stored.segments);
    assert_eq!(found.doomed, stored.doomed);
    assert_eq!((found.cleaned_offset, found.cleaned_sequence), (Offset(30), 9));
    assert_eq!(found.replaced, stored.replaced);
    assert_eq!(found.epochs, stored.epochs);
    assert_eq!(found.encode(Offset(0), found.behind), bytes);
    let later = stored.encode(Offset(20), Behind::default());
    assert_eq!(Checkpoint::decode(&later, 10).unwrap().log_start_offset, Offset(20));
    for len in 0..bytes.len() {
        assert!(Checkpoint::decode(&bytes[..len], 10).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Checkpoint::decode(&damaged, 10).is_err(), "flipped at {at}");
    }
}

#[test]
fn hostile_checkpoint_lengths_with_a_right_checksum() {
    let bytes = checkpoint().encode(Offset(0), Behind::default());
    for at in 6..bytes.len() - 3 {
        for value in [u32::MAX, i32::MAX as u32, 0x0100_0000] {
            let mut damaged = bytes.clone();
            damaged[at..at + 4].copy_from_slice(&value.to_be_bytes());
            let crc = crc32fast::hash(&damaged[6..]);
            damaged[2..6].copy_from_slice(&crc.to_be_bytes());
            // Whatever it says, it is decided without a panic and without reserving what is not there.
            let _ = Checkpoint::decode(&damaged, 10);
        }
    }
}

/// Feeds a scanner from `file` in pieces of `piece` bytes; gives the offsets found, where it ended and how.
fn scan(file: &[u8], expected: i64, piece: usize) -> (Vec<i64>, u64, bool) {
    let mut scanner = Scanner::new(0, file.len() as u64, Offset(expected), false, LeaderEpoch(-1), 1 << 20);
    let mut offsets = Vec::new();
    for _ in 0..100_000 {
        match scanner.next() {
            Found::Batch(header) => offsets.push(header.base_offset().0),
            Found::More { position, len } => {
                let from = position as usize;
                scanner.feed(&file[from..(from + piece.min(len as usize)).min(file.len())]);
            }
            Found::Zeros => return (offsets, scanner.position(), true),
            Found::Invalid => return (offsets, scanner.position(), false),
        }
    }
    panic!("does not end");
}

#[test]
fn the_scanner_ends_where_the_chain_ends() {
    let mut file = Vec::new();
    let mut ends = vec![0];
    for i in 0..20 {
        let mut batch = Rig::producer_batch(-1, -1, 2, &vec![9; 50 * i as usize]).to_vec();
        batch::stamp(&mut batch, Offset(100 + 2 * i), LeaderEpoch(1));
        file.extend_from_slice(&batch);
        ends.push(file.len() as u64);
    }
    file.resize(file.len() + 4096, 0);
    let all: Vec<i64> = (0..20).map(|i| 100 + 2 * i).collect();
    for piece in [1, 60, 61, 1000, 1 << 20] {
        assert_eq!(scan(&file, 100, piece), (all.clone(), ends[20], true), "pieces of {piece}");
    }
    assert_eq!(scan(&file, 99, 1000), (vec![], 0, false), "another chain");
    assert!(scan(&file[..ends[20] as usize], 100, 1000).2, "the file's end is an end");
    for (i, at) in [(3_usize, 30_u64), (7, 70), (19, 5)] {
        let mut damaged = file.clone();
        damaged[(ends[i] + at) as usize] ^= 4;
        let (offsets, position, zeros) = scan(&damaged, 100, 1000);
        assert_eq!((offsets.len(), position, zeros), (i, ends[i], false));
    }
    for cut in [ends[5] + 1, ends[5] + 40, ends[6] - 2] {
        let mut torn = file.clone();
        torn[cut as usize..].fill(0);
        let (offsets, position, _) = scan(&torn, 100, 1000);
        assert_eq!((offsets.len(), position), (5, ends[5]), "torn at {cut}");
    }
}

/// The one operation queued, by its text.
fn only(queue: &mut DiskQueue) -> (DiskToken, String) {
    let mut ops: Vec<_> = queue.drain().map(|(token, op)| (token, text(&op))).collect();
    assert_eq!(ops.len(), 1, "{ops:?}");
    ops.remove(0)
}

fn text(op: &DiskOp) -> String {
    match op {
        DiskOp::Rename { from, to } => format!("rename {from} {to}"),
        DiskOp::Remove { path } => format!("remove {path}"),
        DiskOp::OpenSegment { path } => format!("open {path}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_pool_takes_over_in_order_and_numbers_only_what_is_free() {
    let mut queue = DiskQueue::default();
    let mut pool = SegmentPool::open(9, 2, &mut queue);
    let mut notices = Vec::new();
    let (listing, _) = only(&mut queue);
    for base_offset in 1..=5 {
        pool.recycle("a", Offset(base_offset), 65_536, Vec::new(), &mut queue);
    }
    assert!(queue.is_empty(), "not before spare/ is known");
    let entry = |name: &str| DirEntry { name: name.to_owned(), len: 65_536, is_dir: false };
    let found = vec![entry("1-9.log"), entry("2-7.log"), entry("2-x.log"), entry("junk")];
    pool.on_disk(listing, Ok(DiskOutcome::Listed(found)), &mut queue, &mut notices);
    assert_eq!(pool.spare_count(), 1, "its own, and no other shard's");
    let name = |base_offset: u8| format!("a/0000000000000000000{base_offset}");
    let mut next = |queue: &mut DiskQueue, expected: String, result| {
        let ops: Vec<_> = queue.drain().map(|(token, op)| (token, text(&op))).collect();
        let (token, op) = ops.last().expect("one after the other");
        assert_eq!(*op, expected);
        pool.on_disk(*token, result, queue, &mut notices);
        if queue.is_empty() {
            pool.tick(queue);
        }
    };
    let done = || Ok(DiskOutcome::Done);
    next(&mut queue, format!("remove {}.index", name(1)), done());
    next(&mut queue, format!("rename {}.log spare/2-8.dirty", name(1)), Err(DiskError::Io(5)));
    next(&mut queue, format!("rename {}.log spare/2-8.dirty", name(1)), done());
    next(&mut queue, format!("remove {}.index", name(2)), done());
    next(&mut queue, format!("rename {}.log spare/2-9.dirty", name(2)), Err(DiskError::Missing));
    next(&mut queue, format!("remove {}.index", name(3)), done());
    next(&mut queue, format!("rename {}.log spare/2-10.dirty", name(3)), done());
    next(&mut queue, format!("remove {}.index", name(4)), done());
    next(&mut queue, format!("rename {}.log spare/2-11.dirty", name(4)), done());
    next(&mut queue, format!("remove {}.index", name(5)), done());
    next(&mut queue, format!("remove {}.log", name(5)), done());
    assert_eq!(notices.len(), 1, "what failed, once");
    assert_eq!(pool.take(4096, 65_536), Some(("spare/2-7.log".to_owned(), 65_536)));
    assert_eq!(pool.take(4096, 65_536), None);
}
