//! The file that compaction writes: batches one behind the other, in aligned pieces, with their index.
//!
//! It is synced now and then and at its end, before a log takes it for its own. Only the last piece is padded.

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::{aligned_buffer, block_ceil};
use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::batch::BatchHeader;
use crate::disk::FileHandle;
use crate::index::SegmentIndex;

/// Bytes per piece, and about as many per write.
pub const PIECE_BYTES: usize = 256 << 10;
/// Bytes written between syncs. Each sync of a file that grows is a commit of the file system's journal, which
/// everybody else's commits can meet; each makes the device take in what it holds, which they wait for.
const SYNC_BYTES: u64 = 1 << 20;
/// Size of the file to begin with: what can be used again as a spare.
pub const FIRST_BYTES: u64 = 64 << 10;

/// A file being written.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub path: String,
    /// In its name.
    pub sequence: u32,
    /// Once it is there.
    pub file: Option<FileHandle>,
    /// What is in it differs from what it was made from.
    pub changed: bool,
    /// Bytes of batches.
    pub size: u32,
    /// The first batch's time.
    pub first_timestamp: Option<WallMs>,
    /// Of all batches.
    pub index: SegmentIndex,
    /// Full pieces, not written yet.
    pieces: Vec<Bytes>,
    piece: BytesMut,
    written: u64,
    synced: u64,
}

impl Output {
    /// An empty one for the segment that starts with `base_offset`.
    #[must_use]
    pub fn new(path: String, sequence: u32, base_offset: Offset, index_interval_bytes: u32) -> Output {
        Output {
            path,
            sequence,
            file: None,
            changed: false,
            size: 0,
            first_timestamp: None,
            index: SegmentIndex::new(base_offset, index_interval_bytes),
            pieces: Vec::new(),
            piece: aligned_buffer(PIECE_BYTES),
            written: 0,
            synced: 0,
        }
    }

    /// Whether a batch can be put behind what is there.
    #[must_use]
    pub fn fits(&self, header: &BatchHeader) -> bool {
        let continues = header.base_offset() >= self.index.next_offset();
        let end = u64::from(self.size) + header.size_bytes() as u64;
        continues && self.index.fits(header.last_offset()) && end <= u64::from(u32::MAX)
    }

    /// Puts a batch behind what is there. Panics: if it does not fit.
    pub fn push(&mut self, header: &BatchHeader, mut batch: &[u8]) {
        assert!(self.fits(header), "the caller asked");
        assert_eq!(batch.len(), header.size_bytes(), "exactly one batch");
        self.index.on_appended(header, self.size);
        if header.max_timestamp().0 >= 0 && header.record_count() > 0 {
            self.first_timestamp.get_or_insert(header.max_timestamp());
        }
        self.size += u32::try_from(batch.len()).expect("it fits");
        while !batch.is_empty() {
            let (now, later) = batch.split_at(batch.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(now);
            batch = later;
            if self.piece.len() == PIECE_BYTES {
                let full = std::mem::replace(&mut self.piece, aligned_buffer(PIECE_BYTES));
                self.pieces.push(full.freeze());
            }
        }
    }

    /// Takes what is to be written next, where, if there is enough of it: all that is left if `last`.
    pub fn take(&mut self, last: bool) -> Option<(u64, Vec<Bytes>)> {
        if last && !self.piece.is_empty() {
            let mut end = std::mem::replace(&mut self.piece, BytesMut::new());
            end.resize(block_ceil(end.len() as u64) as usize, 0);
            self.pieces.push(end.freeze());
        }
        if self.pieces.is_empty() {
            return None;
        }
        let parts = std::mem::take(&mut self.pieces);
        let at = self.written;
        self.written += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        Some((at, parts))
    }

    /// Whether what was taken, once it is written, is to be synced before anything else: each [`SYNC_BYTES`], and all of
    /// it if `last`.
    #[must_use]
    pub fn wants_sync(&self, last: bool) -> bool {
        let unsynced = self.written - self.synced;
        unsynced >= if last { 1 } else { SYNC_BYTES }
    }

    /// What was taken before a sync began is on stable storage.
    pub fn on_synced(&mut self) {
        self.synced = self.written;
    }

    /// Length of the file, in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.written.max(FIRST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use corelane_base::aligned::is_aligned;
    use corelane_base::id::LeaderEpoch;

    use super::*;
    use crate::batch;
    use crate::builder::BatchBuilder;

    #[test]
    fn pieces_are_aligned_and_hold_everything() {
        let mut output = Output::new("x".to_owned(), 1, Offset(10), 4096);
        let mut expected = Vec::new();
        let mut written = Vec::new();
        for (i, size) in [10, 300_000, 5, 600_000, 4096, 0].into_iter().enumerate() {
            let mut builder = BatchBuilder::new();
            builder.push(WallMs(100 + i as i64), None, Some(&vec![i as u8 + 1; size]));
            let mut bytes = builder.build().to_vec();
            let header = batch::stamp(&mut bytes, Offset(12 + 3 * i as i64), LeaderEpoch(0));
            output.push(&header, &bytes);
            expected.extend_from_slice(&bytes);
            assert_eq!(output.size as usize, expected.len());
            if let Some((at, parts)) = output.take(false) {
                assert_eq!(at as usize, written.len());
                assert!(parts.iter().all(|part| is_aligned(part) && part.len() == PIECE_BYTES));
                written.extend(parts.concat());
            }
        }
        let (at, parts) = output.take(true).expect("something is left");
        assert_eq!(at as usize, written.len());
        assert!(parts.iter().all(|part| is_aligned(part)));
        written.extend(parts.concat());
        assert_eq!(written.len() as u64, block_ceil(expected.len() as u64));
        assert_eq!(written[..expected.len()], expected);
        assert!(written[expected.len()..].iter().all(|&byte| byte == 0));
        assert!(output.take(true).is_none());
        assert_eq!(output.file_bytes(), written.len() as u64);
        assert_eq!((output.index.end_position(), output.index.next_offset()), (output.size, Offset(28)));
        assert_eq!(output.first_timestamp, Some(WallMs(100)));
    }
}
