//! Goes through a segment's batches as recovery does: bytes in, headers out, until the batches end.
//!
//! Judges one place at a time; what the end it finds means (the log's end, a torn tail, damage) is for `recovery.rs`.

use bytes::BytesMut;
use corelane_base::id::{LeaderEpoch, Offset};

use crate::batch::{self, BatchHeader};

/// Bytes asked for at once.
pub const READ_BYTES: u32 = 1 << 20;

/// What is at the scanner's place.
#[derive(Debug)]
pub enum Found {
    /// A valid batch that continues the chain; the scanner stands behind it.
    Batch(BatchHeader),
    /// Not decided: read on at this position, this much.
    More {
        /// Where, in bytes.
        position: u64,
        /// How much, in bytes.
        len: u32,
    },
    /// Nothing but zeros as far as a header reaches, or the end of the file.
    Zeros,
    /// Something that is no batch of this chain.
    Invalid,
}

/// A place in a segment, with the bytes read from there on.
#[derive(Debug)]
pub struct Scanner {
    /// Where it stands, in bytes.
    position: u64,
    /// Length of the file.
    file_bytes: u64,
    /// What was read from `position` on.
    bytes: BytesMut,
    /// The offset the next batch must have, or at least have if `gaps`.
    expected: Offset,
    gaps: bool,
    /// The latest epoch seen; it never falls.
    leader_epoch: LeaderEpoch,
    /// Offsets end here: no segment spans more.
    offset_limit: i64,
    /// The largest batch believed in.
    batch_bytes_max: u64,
    /// The file turned out to be shorter.
    at_end: bool,
}

impl Scanner {
    /// A scanner at `position` of a file of `file_bytes`, where the batch with `expected` starts if there is one.
    #[must_use]
    pub fn new(
        position: u64,
        file_bytes: u64,
        expected: Offset,
        gaps: bool,
        leader_epoch: LeaderEpoch,
        batch_bytes_max: u64,
    ) -> Scanner {
        let bytes = BytesMut::new();
        Scanner {
            position,
            file_bytes,
            bytes,
            expected,
            gaps,
            leader_epoch,
            offset_limit: i64::MAX,
            batch_bytes_max,
            at_end: false,
        }
    }

    /// The same in the segment that starts with `base_offset`: what does not fit into it is no batch of it.
    #[must_use]
    pub fn within(mut self, base_offset: Offset) -> Scanner {
        self.offset_limit = base_offset.0.saturating_add(i64::from(i32::MAX));
        self
    }

    /// Where it stands, in bytes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Takes what was read at the position `next` asked for.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.at_end = bytes.is_empty();
        self.bytes.extend_from_slice(bytes);
    }

    /// Looks at the place and steps behind a batch.
    pub fn next(&mut self) -> Found {
        let unread = self.file_bytes.saturating_sub(self.position + self.bytes.len() as u64);
        let header = match batch::peek(&self.bytes) {
            Ok(Some(header)) => header,
            Ok(None) if unread > 0 && !self.at_end => return self.more(u64::from(READ_BYTES)),
            Ok(None) | Err(_) => {
                let head = &self.bytes[..self.bytes.len().min(batch::HEADER_SIZE)];
                let zeros = head.iter().all(|&byte| byte == 0);
                return if zeros { Found::Zeros } else { Found::Invalid };
            }
        };
        let size = header.size_bytes() as u64;
        let base_offset = header.base_offset();
        let continues = if self.gaps { base_offset >= self.expected } else { base_offset == self.expected };
        let plausible = size <= self.batch_bytes_max
            && self.position + size <= self.file_bytes
            && header.last_offset().0 < self.offset_limit;
        if !continues || !plausible || header.leader_epoch() < self.leader_epoch {
            return Found::Invalid;
        }
        match batch::check_stored(&self.bytes) {
            Ok(Some(header)) => {
                let _ = self.bytes.split_to(header.size_bytes());
                self.position += size;
                self.expected = header.next_offset();
                self.leader_epoch = header.leader_epoch();
                Found::Batch(header)
            }
            Ok(None) if self.at_end => Found::Invalid,
            Ok(None) => self.more(u64::from(READ_BYTES).max(size - self.bytes.len() as u64)),
            Err(_) => Found::Invalid,
        }
    }

    fn more(&self, len: u64) -> Found {
        let position = self.position + self.bytes.len() as u64;
        let len = len.min(self.file_bytes - position);
        Found::More { position, len: u32::try_from(len).expect("a batch is smaller than 2 GiB") }
    }
}
