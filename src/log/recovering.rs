//! How far a recovery has come: the state that `recovery.rs` moves.

use std::collections::VecDeque;

use corelane_base::id::Offset;

use crate::checkpoint::Checkpoint;
use crate::disk::{DiskOp, FileHandle};
use crate::scan::Scanner;
use crate::segment::{NEXT_NAME, log_name};

/// A segment's file that was found.
#[derive(Debug)]
pub struct Candidate {
    /// By its name.
    pub base_offset: Offset,
    /// In bytes.
    pub len: u64,
}

/// What stands behind the last batch, as far as it was looked at.
#[derive(Debug, Clone, Copy)]
pub struct TailCheck {
    /// Where the last batch ends, in bytes.
    pub end: u64,
    /// Looked at up to here.
    pub looked: u64,
    /// To be looked at up to here.
    pub until: u64,
    /// The last byte that is not zero.
    pub last_nonzero: Option<u64>,
    /// What may not be on stable storage is written again up to here; `None` before that has begun.
    pub rewritten: Option<u64>,
}

/// What the operation under way is for.
#[derive(Debug)]
pub enum Phase {
    /// The directory's files.
    Listing,
    /// A segment's file is being opened.
    Opening,
    /// Batches are being read.
    Scanning,
    /// A `next.log` that holds batches gets its name.
    Naming,
    /// The index of a file that is no segment is being removed.
    RemovingIndex,
    /// A file that is no segment is being removed.
    Removing,
    /// The index of a segment that compaction has replaced is being removed.
    UnindexingCleaned {
        /// Which segment.
        base_offset: Offset,
        /// In the name of the file that replaces it.
        sequence: u32,
    },
    /// What compaction made of a segment gets its name.
    NamingCleaned,
    /// What stands behind the last batch is being read.
    Behind(TailCheck),
    /// What may not be on stable storage is being read.
    Rereading(TailCheck),
    /// It is being written again, with zeros behind the end.
    Rewriting(TailCheck),
    /// The rest of a torn write is being overwritten.
    Zeroing,
    /// The active segment's stored index is being removed.
    Unindexing,
}

/// A recovery under way.
#[derive(Debug)]
pub struct Recovery {
    /// Until the directory is known.
    pub checkpoint: Option<Checkpoint>,
    /// Files not gone through yet, by offset.
    pub candidates: VecDeque<Candidate>,
    /// The segments that have a stored index.
    pub indexed: Vec<Offset>,
    /// There is a `next.log` that was not looked at.
    pub has_next: bool,
    /// The file being looked at is `next.log`.
    pub named_next: bool,
    /// The base offset in the name of the file being looked at, unless that is `next.log`.
    pub open_offset: Offset,
    /// The file being looked at is no segment of the log so far.
    pub extra: bool,
    /// That file.
    pub extra_file: Option<FileHandle>,
    /// Length of the file being looked at.
    pub file_bytes: u64,
    /// The place in the file being looked at.
    pub scanner: Option<Scanner>,
    /// Where going through the last segment began: what lies before is as the checkpoint says.
    pub scan_start: u64,
    /// What is being written again belongs to a segment that another continues.
    pub sealing: bool,
    /// Where the batches of the last segment end.
    pub end_position: u64,
    /// They end at something that is no batch, not at zeros.
    pub ends_invalid: bool,
    /// Behind the checkpoint there may be writes without a sync: any damage is cut.
    pub relaxed: bool,
    /// What the operation under way is for.
    pub phase: Phase,
    /// That operation, if it needs a descriptor: it is done again when there was none.
    pub op: Option<DiskOp>,
    /// There was none when it was last asked for.
    pub refused: bool,
}

impl Recovery {
    /// One that waits for the list of files. `relaxed`: what to hold the log for without a checkpoint that tells.
    #[must_use]
    pub fn new(checkpoint: Option<Checkpoint>, relaxed: bool) -> Recovery {
        Recovery {
            relaxed,
            checkpoint,
            candidates: VecDeque::new(),
            indexed: Vec::new(),
            has_next: false,
            named_next: false,
            open_offset: Offset(0),
            extra: false,
            extra_file: None,
            file_bytes: 0,
            scanner: None,
            scan_start: 0,
            sealing: false,
            end_position: 0,
            ends_invalid: false,
            phase: Phase::Listing,
            op: None,
            refused: false,
        }
    }

    /// Path of the file being looked at.
    #[must_use]
    pub fn path(&self, dir: &str) -> String {
        if self.named_next {
            format!("{dir}/{NEXT_NAME}")
        } else {
            format!("{dir}/{}", log_name(self.open_offset))
        }
    }
}
