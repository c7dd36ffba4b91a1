//! One segment of a log: what is known of its content and of its file.
//!
//! ```text
//! <dir>/00000000000000000000.log     batches from position 0, then zeros
//! <dir>/00000000000000000000.index   offset and time index of a sealed segment
//! <dir>/next.log                     zeros: the segment after the active one, waiting for its base offset
//! <dir>/00000000000000000000.7.cleaned   what compaction made of a segment, until that has the segment's name
//! ```

use corelane_base::id::Offset;
use corelane_base::time::{Mono, WallMs};

use crate::batch::BatchHeader;
use crate::disk::{DiskToken, FileHandle, FileWatch};
use crate::index::{MaxTimestamp, SegmentIndex};

/// Name of the prepared segment whose base offset is not known yet.
pub const NEXT_NAME: &str = "next.log";

/// File name of the segment that starts at `base_offset`.
#[must_use]
pub fn log_name(base_offset: Offset) -> String {
    format!("{:020}.log", base_offset.0)
}

/// File name of that segment's index.
#[must_use]
pub fn index_name(base_offset: Offset) -> String {
    format!("{:020}.index", base_offset.0)
}

/// File name of what compaction made of the segments from `base_offset` on, the `sequence`th of its kind in this log.
#[must_use]
pub fn cleaned_name(base_offset: Offset, sequence: u32) -> String {
    format!("{:020}.{sequence}.cleaned", base_offset.0)
}

/// The base offset and the sequence in a name that [`cleaned_name`] gave.
#[must_use]
pub fn parse_cleaned_name(name: &str) -> Option<(Offset, u32)> {
    let (base_offset, sequence) = name.strip_suffix(".cleaned")?.split_once('.')?;
    Some((parse(base_offset, "")?, sequence.parse().ok()?))
}

/// The base offset in a name that [`log_name`] gave.
#[must_use]
pub fn parse_log_name(name: &str) -> Option<Offset> {
    parse(name, ".log")
}

/// The base offset in a name that [`index_name`] gave.
#[must_use]
pub fn parse_index_name(name: &str) -> Option<Offset> {
    parse(name, ".index")
}

fn parse(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}

/// A segment's file as this process sees it.
#[derive(Debug, Clone)]
pub enum SegmentFile {
    /// Not there yet: it is the `next.log` being prepared, or the first file being made.
    Awaited,
    /// On disk, not open.
    Closed,
    /// On disk, being opened.
    Opening,
    /// Open.
    Open(FileHandle),
}

/// A segment's index as far as it is in memory.
#[derive(Debug, Clone)]
pub enum IndexState {
    /// Nothing.
    Missing,
    /// Being loaded or rebuilt; meanwhile the batches from a position on are noted.
    Loading(Option<SegmentIndex>),
    /// The batches from a position on, not those before it.
    Partial(SegmentIndex),
    /// All batches.
    Whole(SegmentIndex),
}

/// One segment. `start + size` of a segment is the `start` of the next.
#[derive(Debug)]
pub struct Segment {
    /// Offset of its first record, and its name.
    pub base_offset: Offset,
    /// Log address of its position 0.
    pub start: u64,
    /// Bytes of batches, those that only stand in memory included.
    pub size: u32,
    /// The first batch's max timestamp, if it has one: from it `segment.ms` counts.
    pub first_timestamp: Option<WallMs>,
    /// The batch with the largest timestamp.
    pub max_timestamp: Option<MaxTimestamp>,
    /// The same of what is flushed.
    pub flushed_max: Option<MaxTimestamp>,
    /// The same of what is in the file and was not flushed when it came there.
    pub unflushed_max: Option<MaxTimestamp>,
    /// When it was begun; stands in for the timestamps when there are none.
    pub created: WallMs,
    /// Its file.
    pub file: SegmentFile,
    /// Every handle that was ever opened on its file and may still be in use.
    pub watches: Vec<FileWatch>,
    /// Whether its file is still called [`NEXT_NAME`].
    pub named_next: bool,
    /// The sequence in the name of its file, as long as that is one that [`cleaned_name`] gave.
    pub cleaned: Option<u32>,
    /// How far the file holds batches or zeros, in bytes; known once it has been open.
    pub prepared: u64,
    /// How far it is to be prepared.
    pub prepare_to: u64,
    /// Zeros being written at `prepared`.
    pub zeroing: Option<DiskToken>,
    /// Where the last write without a sync ended, in bytes.
    pub unsynced_to: u32,
    /// Up to where a sync has made up for that, in bytes.
    pub synced_to: u32,
    /// A sync is under way.
    pub syncing: bool,
    /// Its index.
    pub index: IndexState,
    /// When a read last needed it.
    pub used: Mono,
}

impl Segment {
    /// An empty segment whose file is not there yet.
    #[must_use]
    pub fn new(base_offset: Offset, start: u64, created: WallMs, index_interval_bytes: u32) -> Segment {
        Segment {
            base_offset,
            start,
            size: 0,
            first_timestamp: None,
            max_timestamp: None,
            flushed_max: None,
            unflushed_max: None,
            created,
            file: SegmentFile::Awaited,
            watches: Vec::new(),
            named_next: false,
            cleaned: None,
            prepared: 0,
            prepare_to: 0,
            zeroing: None,
            unsynced_to: 0,
            synced_to: 0,
            syncing: false,
            index: IndexState::Whole(SegmentIndex::new(base_offset, index_interval_bytes)),
            used: Mono(0),
        }
    }

    /// Log address behind its last batch.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + u64::from(self.size)
    }

    /// Position behind the last byte that is read from the file and not from the tail, which begins at the address
    /// `tail_first`.
    #[must_use]
    pub fn file_end(&self, tail_first: u64) -> u32 {
        u64::from(self.size).min(tail_first.saturating_sub(self.start)) as u32
    }

    /// Its file's path.
    #[must_use]
    pub fn path(&self, dir: &str) -> String {
        match self.cleaned {
            _ if self.named_next => format!("{dir}/{NEXT_NAME}"),
            Some(sequence) => format!("{dir}/{}", cleaned_name(self.base_offset, sequence)),
            None => format!("{dir}/{}", log_name(self.base_offset)),
        }
    }

    /// Whether its file has the name it is to keep.
    #[must_use]
    pub fn has_name(&self) -> bool {
        !self.named_next && self.cleaned.is_none()
    }

    /// The time that stands for the segment's age: its largest timestamp, or when it was begun.
    #[must_use]
    pub fn newest(&self) -> WallMs {
        self.max_timestamp.map_or(self.created, |max| max.timestamp)
    }

    /// Whether it was begun before there was a file for it.
    #[must_use]
    pub fn awaits_next(&self) -> bool {
        self.named_next && matches!(self.file, SegmentFile::Awaited)
    }

    /// Notes a batch at the end.
    pub fn on_appended(&mut self, header: &BatchHeader, index_interval_bytes: u32) {
        let position = self.size;
        match &mut self.index {
            IndexState::Whole(index) | IndexState::Partial(index) | IndexState::Loading(Some(index)) => {
                index.on_appended(header, position);
            }
            IndexState::Missing => {
                let mut index = SegmentIndex::new(self.base_offset, index_interval_bytes);
                index.on_appended(header, position);
                self.index = IndexState::Partial(index);
            }
            IndexState::Loading(slot @ None) => {
                let mut index = SegmentIndex::new(self.base_offset, index_interval_bytes);
                index.on_appended(header, position);
                *slot = Some(index);
            }
        }
        let timestamp = header.max_timestamp();
        if timestamp.0 >= 0 && header.record_count() > 0 {
            self.first_timestamp.get_or_insert(timestamp);
            if self.max_timestamp.is_none_or(|max| timestamp > max.timestamp) {
                self.max_timestamp =
                    Some(MaxTimestamp { timestamp, base_offset: header.base_offset(), position });
            }
        }
        self.size += u32::try_from(header.size_bytes()).expect("a segment is smaller than 4 GiB");
    }

    /// Takes an opened file.
    pub fn on_opened(&mut self, file: FileHandle, len: u64) {
        self.watches.retain(FileWatch::is_open);
        self.watches.push(file.watch());
        self.file = SegmentFile::Open(file);
        self.prepared = self.prepared.max(corelane_base::aligned::block_floor(len));
        self.prepare_to = self.prepare_to.max(self.prepared);
    }

    /// Whether nothing is going on, or still to be done, that needs the handle.
    #[must_use]
    pub fn may_close(&self) -> bool {
        self.has_name() && self.zeroing.is_none() && self.is_synced()
    }

    /// Whether all that is written is on stable storage.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced_to >= self.unsynced_to
    }

    /// Lets go of what can be had again: the handle and, its index being stored, the index. For sealed segments.
    pub fn close(&mut self) {
        if matches!(self.file, SegmentFile::Open(_)) {
            self.file = SegmentFile::Closed;
        }
        if self.size > 0 && matches!(self.index, IndexState::Whole(_)) {
            self.index = IndexState::Missing;
        }
    }

    /// The open handle, if there is one.
    #[must_use]
    pub fn handle(&self) -> Option<&FileHandle> {
        match &self.file {
            SegmentFile::Open(file) => Some(file),
            _ => None,
        }
    }
}
