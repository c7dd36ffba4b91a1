//! The newest bytes of a log in memory: written once by appends, shared by the disk and by readers.
//!
//! Addresses. A *log address* counts the bytes of batches since the log's very first segment, across segments
//! (`segment.start + position`). The tail holds the addresses `[first, end)` in chunks. A chunk's memory offset is
//! congruent to the file position modulo 4096, so whole blocks go to the disk without a copy; a chunk never spans two
//! segments, and a batch never spans two chunks.
//!
//! Bytes are frozen (made shareable, immutable) when a commit takes them; whatever is behind stays private, so a
//! direct write never sees memory change under it: the blocks at a commit's edges, which it shares with bytes that
//! are written earlier or later, are copied into scratch blocks.
//!
//! Rejected: keeping batches as separate allocations. A thousand small batches would be a thousand parts of a write.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer, is_aligned};
use corelane_base::id::Offset;
use corelane_base::time::WallMs;

/// Size of a chunk on an idle log: a thousand idle partitions hold 16 MiB at most.
const CHUNK_BYTES_MIN: usize = 16 * 1024;
/// Size of a chunk under traffic.
const CHUNK_BYTES_MAX: usize = 128 * 1024;

/// Where a batch lies in the tail.
#[derive(Debug, Clone, Copy)]
struct TailBatch {
    base_offset: Offset,
    /// Log address of its first byte.
    at: u64,
    max_timestamp: WallMs,
}

/// One allocation.
#[derive(Debug)]
struct Chunk {
    /// Log address of its first readable byte.
    at: u64,
    /// Log address behind its last byte.
    end: u64,
    /// Bytes allocated.
    capacity: usize,
    /// Frozen, contiguous from `at`.
    pieces: Vec<Piece>,
    /// What is not frozen yet, and the room behind it. Only the last chunk has one.
    open: Option<BytesMut>,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    bytes: Bytes,
}

/// The tail of one log. Invariants: chunks are contiguous in log addresses; `first <= frozen <= end`; a batch entry
/// exists for every batch that starts in a chunk.
#[derive(Debug)]
pub struct Tail {
    chunks: VecDeque<Chunk>,
    batches: VecDeque<TailBatch>,
    /// Log address behind the last byte that is frozen.
    frozen: u64,
    /// Log address behind the last byte.
    end: u64,
    /// Size of the next chunk.
    chunk_bytes: usize,
}

/// What a commit writes.
#[derive(Debug)]
pub struct WriteParts {
    /// Aligned, padded with zeros to whole blocks.
    pub parts: Vec<Bytes>,
    /// The last block, if it is not full: the next commit begins with a copy of it.
    pub last_block: Option<Bytes>,
}

impl Tail {
    /// An empty tail at log address `at`.
    #[must_use]
    pub fn new(at: u64) -> Tail {
        Tail {
            chunks: VecDeque::new(),
            batches: VecDeque::new(),
            frozen: at,
            end: at,
            chunk_bytes: CHUNK_BYTES_MIN,
        }
    }

    /// Log address of the first byte held; equal to `end` if none is.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.chunks.front().map_or(self.end, |chunk| chunk.at)
    }

    /// Log address behind the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Base offset of the first batch held.
    #[must_use]
    pub fn first_offset(&self) -> Option<Offset> {
        self.batches.front().map(|batch| batch.base_offset)
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.capacity as u64).sum()
    }

    /// Copies a batch behind the end and gives the copy for stamping. `position` is where it goes in its segment's
    /// file; `same_segment` tells whether that continues the batch before.
    pub fn push(
        &mut self,
        batch: &[u8],
        base_offset: Offset,
        max_timestamp: WallMs,
        position: u64,
        same_segment: bool,
    ) -> &mut [u8] {
        let fits = same_segment
            && self
                .chunks
                .back()
                .and_then(|chunk| chunk.open.as_ref())
                .is_some_and(|open| open.capacity() - open.len() >= batch.len());
        if !fits {
            self.open_chunk(batch.len(), position);
        }
        self.batches.push_back(TailBatch { base_offset, at: self.end, max_timestamp });
        self.end += batch.len() as u64;
        let chunk = self.chunks.back_mut().expect("a chunk was just found or opened");
        chunk.end = self.end;
        let open = chunk.open.as_mut().expect("the last chunk is open");
        let start = open.len();
        open.extend_from_slice(batch);
        &mut open[start..]
    }

    fn open_chunk(&mut self, batch_bytes: usize, position: u64) {
        self.freeze_open(usize::MAX);
        if let Some(last) = self.chunks.back_mut() {
            last.open = None;
        }
        let skip = (position % BLOCK_BYTES as u64) as usize;
        let capacity = (skip + batch_bytes).next_multiple_of(BLOCK_BYTES).max(self.chunk_bytes);
        self.chunk_bytes = (self.chunk_bytes * 2).min(CHUNK_BYTES_MAX);
        let mut open = aligned_buffer(capacity);
        open.resize(skip, 0);
        let _ = open.split();
        self.chunks.push_back(Chunk {
            at: self.end,
            end: self.end,
            capacity: capacity + BLOCK_BYTES,
            pieces: Vec::new(),
            open: Some(open),
        });
    }

    /// Freezes at most `len` bytes of the open chunk.
    fn freeze_open(&mut self, len: usize) {
        let Some(chunk) = self.chunks.back_mut() else { return };
        let Some(open) = chunk.open.as_mut() else { return };
        let len = len.min(open.len());
        if len == 0 {
            return;
        }
        chunk.pieces.push(Piece { at: self.frozen, bytes: open.split_to(len).freeze() });
        self.frozen += len as u64;
    }

    /// Makes everything below `at` shareable.
    pub fn freeze(&mut self, at: u64) {
        assert!(at <= self.end, "only what was appended can be frozen");
        if at > self.frozen {
            self.freeze_open((at - self.frozen) as usize);
        }
        assert!(self.frozen >= at, "what is not in the open chunk is frozen already");
    }

    /// The largest batch border in `(from, from + bytes_max]`, or the first border behind `from` if that lies further.
    /// `until` is a border that is not crossed. Panics: if `from` is not below `until`.
    #[must_use]
    pub fn border(&self, from: u64, bytes_max: u64, until: u64) -> u64 {
        assert!(from < until, "there is something to take");
        if until - from <= bytes_max {
            return until;
        }
        let next = self.batches.partition_point(|batch| batch.at <= from + bytes_max);
        let border = self.batches[next - 1].at;
        if border > from { border } else { self.batches.get(next).map_or(until, |batch| batch.at.min(until)) }
    }

    /// The offset that a border is the end of: the base offset of the batch that starts there, or `end_offset`.
    #[must_use]
    pub fn offset_at(&self, border: u64, end_offset: Offset) -> Offset {
        let i = self.batches.partition_point(|batch| batch.at < border);
        self.batches.get(i).map_or(end_offset, |batch| batch.base_offset)
    }

    /// Log address of the first batch whose base offset is at least `offset`; `end` if there is none.
    #[must_use]
    pub fn address_of_end(&self, offset: Offset) -> u64 {
        let i = self.batches.partition_point(|batch| batch.base_offset < offset);
        self.batches.get(i).map_or(self.end, |batch| batch.at)
    }

    /// Log address of the last batch whose base offset is at most `offset`, if it is held.
    #[must_use]
    pub fn address_of(&self, offset: Offset) -> Option<u64> {
        let i = self.batches.partition_point(|batch| batch.base_offset <= offset);
        Some(self.batches[i.checked_sub(1)?].at)
    }

    /// Log addresses of the batches from `at` on, in order.
    pub fn borders_from(&self, at: u64) -> impl Iterator<Item = u64> + '_ {
        let i = self.batches.partition_point(|batch| batch.at < at);
        self.batches.iter().skip(i).map(|batch| batch.at)
    }

    /// The largest timestamp of the batches in `[from, to)`, and the first of them that has it: its base offset and log
    /// address. `None` if none has any.
    #[must_use]
    pub fn largest_timestamp(&self, from: u64, to: u64) -> Option<(WallMs, Offset, u64)> {
        let i = self.batches.partition_point(|batch| batch.at < from);
        let mut largest: Option<&TailBatch> = None;
        for batch in self.batches.range(i..).take_while(|batch| batch.at < to) {
            if batch.max_timestamp.0 >= 0
                && largest.is_none_or(|known| batch.max_timestamp > known.max_timestamp)
            {
                largest = Some(batch);
            }
        }
        largest.map(|batch| (batch.max_timestamp, batch.base_offset, batch.at))
    }

    /// The frozen bytes `[from, to)`, in order. Panics: if they are not all held and frozen.
    pub fn slices(&self, from: u64, to: u64) -> Vec<Bytes> {
        assert!(from >= self.first(), "the bytes are held");
        assert!(to <= self.frozen, "the bytes are frozen");
        let mut out = Vec::new();
        let mut at = from;
        let first = self.chunks.partition_point(|chunk| chunk.end <= from);
        for chunk in self.chunks.iter().skip(first) {
            let start = chunk.pieces.partition_point(|piece| piece.at + piece.bytes.len() as u64 <= at);
            for piece in &chunk.pieces[start..] {
                if at >= to {
                    return out;
                }
                let low = (at - piece.at) as usize;
                let high = ((to - piece.at) as usize).min(piece.bytes.len());
                out.push(piece.bytes.slice(low..high));
                at = piece.at + high as u64;
            }
        }
        assert!(at >= to, "chunks are contiguous");
        out
    }

    /// Builds the write of `[from, to)`, which lies in one segment and starts at file position `position`.
    /// `prefix` is what the block of `position` holds before it.
    pub fn write_parts(&mut self, from: u64, to: u64, position: u64, prefix: &[u8]) -> WriteParts {
        assert_eq!(
            prefix.len() as u64,
            position % BLOCK_BYTES as u64,
            "the prefix fills the block up to the write"
        );
        self.freeze(to);
        let mut parts = Vec::new();
        let mut scratch: Option<BytesMut> = None;
        if !prefix.is_empty() {
            scratch_of(&mut scratch).extend_from_slice(prefix);
        }
        for mut bytes in self.slices(from, to) {
            if let Some(block) = scratch.as_mut() {
                let taken = bytes.split_to(bytes.len().min(BLOCK_BYTES - block.len()));
                block.extend_from_slice(&taken);
                if block.len() == BLOCK_BYTES {
                    parts.extend(scratch.take().map(BytesMut::freeze));
                }
            }
            let whole = bytes.split_to(bytes.len() - bytes.len() % BLOCK_BYTES);
            if !whole.is_empty() {
                assert!(is_aligned(&whole), "memory is congruent to the file");
                parts.push(whole);
            }
            if !bytes.is_empty() {
                scratch_of(&mut scratch).extend_from_slice(&bytes);
            }
        }
        let last_block = scratch.take().map(|mut block| {
            let valid = block.len();
            block.resize(BLOCK_BYTES, 0);
            let block = block.freeze();
            parts.push(block.clone());
            block.slice(..valid)
        });
        WriteParts { parts, last_block }
    }

    /// Drops chunks from the front that end at or below `written`, until at most `bytes_keep` of memory are held.
    pub fn evict(&mut self, bytes_keep: u64, written: u64) {
        let mut held = self.memory_bytes();
        while held > bytes_keep {
            let Some(chunk) = self.chunks.front() else { break };
            if chunk.end > written {
                break;
            }
            held -= chunk.capacity as u64;
            self.chunks.pop_front();
        }
        self.drop_borders();
    }

    /// Drops chunks that end at or below `at`, whose batches were deleted.
    pub fn forget(&mut self, at: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.end <= at) {
            self.chunks.pop_front();
        }
        self.drop_borders();
    }

    fn drop_borders(&mut self) {
        if self.chunks.is_empty() {
            self.chunk_bytes = CHUNK_BYTES_MIN;
            self.frozen = self.end;
        }
        let first = self.first();
        let gone = self.batches.partition_point(|batch| batch.at < first);
        self.batches.drain(..gone);
    }

    /// Panics: if the tail contradicts itself.
    pub fn check_invariants(&self) {
        assert!(self.frozen <= self.end);
        let mut at = self.first();
        for chunk in &self.chunks {
            assert_eq!(chunk.at, at, "chunks are contiguous");
            for piece in &chunk.pieces {
                assert_eq!(piece.at, at, "pieces are contiguous");
                at += piece.bytes.len() as u64;
            }
            at += chunk.open.as_ref().map_or(0, |open| open.len() as u64);
            assert_eq!(at, chunk.end, "a chunk ends where its bytes end");
        }
        assert_eq!(at, self.end, "the chunks reach the end");
        assert_eq!(
            self.batches.is_empty(),
            self.chunks.is_empty(),
            "batches are known as long as they are held"
        );
    }
}

fn scratch_of(scratch: &mut Option<BytesMut>) -> &mut BytesMut {
    scratch.get_or_insert_with(|| aligned_buffer(BLOCK_BYTES))
}
