//! The shard's spare segments: files of zeros under `spare/`, ready to be renamed into a log.
//!
//! Where they come from: retention hands a segment's file over instead of removing it. Its blocks are allocated and
//! written, so that writing them again changes no file-system metadata; that is worth keeping. Its content is not: it
//! is overwritten with zeros before the file counts as spare. The reason is subtle. A batch's base offset lies outside
//! the batch's CRC. With batches of equal size, a torn write over an old batch could leave the first block's new header
//! in front of old, CRC-valid records, and neither the CRC nor the chain of base offsets would notice. Zeros ahead of
//! the tail rule that out.
//!
//! ```text
//! spare/<shard>-<n>.log      zeros from end to end
//! spare/<shard>-<n>.dirty    a former segment on its way there
//! ```
//!
//! A file is not overwritten while a reader still holds it: a response may be under way from it. Files leave their logs
//! one after the other, in the order in which they are handed over, so that after a crash a log lacks segments at its
//! front and not between others, and so that the disk is never busy with more than one of them: retention may hand over
//! hundreds at once.

use std::collections::VecDeque;

use corelane_base::id::Offset;

use crate::disk::{DiskError, DiskOp, DiskOutcome, DiskQueue, DiskToken, FileHandle, FileWatch};
use crate::segment::{index_name, log_name};
use crate::settings::{LogNotice, NoticeLevel};

/// Spare files kept; what retention hands over beyond is removed.
const SPARES_MAX: usize = 4;
/// Bytes kept in spare files.
const SPARE_BYTES_MAX: u64 = 2 << 30;
/// Bytes of zeros per operation: short enough that a commit does not wait long behind one.
const ZERO_STEP_BYTES: u64 = 4 << 20;

/// How far a former segment has come.
#[derive(Debug)]
enum Cleaning {
    /// Readers may still hold it.
    Held,
    /// Being opened.
    Opening(DiskToken),
    /// Zeros are written up to a position.
    Zeroing { file: FileHandle, done: u64, token: DiskToken },
    /// Being renamed to its final name.
    Naming(DiskToken),
    /// A file operation failed: left for the next start.
    Failed,
}

#[derive(Debug)]
struct Dirty {
    number: u64,
    len: u64,
    watches: Vec<FileWatch>,
    cleaning: Cleaning,
}

/// A segment that a log has handed over and whose file still has its name there.
#[derive(Debug)]
struct Handover {
    dir: String,
    base_offset: Offset,
    len: u64,
    watches: Vec<FileWatch>,
    leaving: Leaving,
}

/// What is under way for the first handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// Its index is being removed.
    Unindexing,
    /// The file is being removed.
    Removing,
    /// It is being renamed into `spare/`, by that number.
    Naming(u64),
}

#[derive(Debug)]
struct Spare {
    number: u64,
    len: u64,
}

/// One shard's pool. A completion whose token's owner is the pool's slot belongs to [`SegmentPool::on_disk`].
#[derive(Debug)]
pub struct SegmentPool {
    slot: u32,
    shard: u16,
    number_next: u64,
    listing: Option<DiskToken>,
    spares: Vec<Spare>,
    dirty: Vec<Dirty>,
    /// First come, first served.
    handovers: VecDeque<Handover>,
    /// The operation for the first of them.
    leaving: Option<DiskToken>,
    /// Operations whose answer matters to nobody.
    removing: Vec<DiskToken>,
}

impl SegmentPool {
    /// A pool that knows of no file yet; it lists `spare/` at once. `slot` is its own, distinct from every log's;
    /// `shard` names its files.
    pub fn open(slot: u32, shard: u16, disk: &mut DiskQueue) -> SegmentPool {
        let listing = Some(disk.push(slot, DiskOp::List { path: "spare".to_owned() }));
        SegmentPool {
            slot,
            shard,
            number_next: 0,
            listing,
            spares: Vec::new(),
            dirty: Vec::new(),
            handovers: VecDeque::new(),
            leaving: None,
            removing: Vec::new(),
        }
    }

    /// The slot given to `open`.
    #[must_use]
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Takes the largest spare file of at least `bytes_min` and at most `bytes_max`: its path and its length. The caller
    /// renames it; nobody else will be given it.
    pub fn take(&mut self, bytes_min: u64, bytes_max: u64) -> Option<(String, u64)> {
        let fits = |spare: &Spare| (bytes_min..=bytes_max).contains(&spare.len);
        let i =
            (0..self.spares.len()).filter(|&i| fits(&self.spares[i])).max_by_key(|&i| self.spares[i].len)?;
        let spare = self.spares.swap_remove(i);
        Some((self.spare_path(spare.number), spare.len))
    }

    /// Takes over a former segment of the log in `dir`: its file, `len` bytes long, and its index if there is one.
    /// `watches` are the handles that may still be in use.
    pub fn recycle(
        &mut self,
        dir: &str,
        base_offset: Offset,
        len: u64,
        watches: Vec<FileWatch>,
        disk: &mut DiskQueue,
    ) {
        let leaving = Leaving::Unindexing;
        self.handovers.push_back(Handover { dir: dir.to_owned(), base_offset, len, watches, leaving });
        self.go_on(disk);
    }

    /// The next operation for the first handover.
    fn go_on(&mut self, disk: &mut DiskQueue) {
        // Until `spare/` is listed, nobody knows which numbers are free.
        if self.leaving.is_some() || self.listing.is_some() {
            return;
        }
        let Some(first) = self.handovers.front() else { return };
        let file = format!("{}/{}", first.dir, log_name(first.base_offset));
        let op = match first.leaving {
            Leaving::Unindexing => {
                DiskOp::Remove { path: format!("{}/{}", first.dir, index_name(first.base_offset)) }
            }
            Leaving::Removing => DiskOp::Remove { path: file },
            Leaving::Naming(number) => DiskOp::Rename { from: file, to: self.dirty_path(number) },
        };
        self.leaving = Some(disk.push(self.slot, op));
    }

    fn on_left(
        &mut self,
        result: Result<DiskOutcome, DiskError>,
        disk: &mut DiskQueue,
        notices: &mut Vec<LogNotice>,
    ) {
        self.leaving = None;
        let Some(first) = self.handovers.front() else { return };
        let (len, leaving) = (first.len, first.leaving);
        match result {
            Ok(_) if leaving == Leaving::Unindexing => {
                let kept = self.has_room(len);
                let leaving = if kept { Leaving::Naming(self.number()) } else { Leaving::Removing };
                if let Some(first) = self.handovers.front_mut() {
                    first.leaving = leaving;
                }
            }
            Ok(_) => {
                if let Some(Handover { watches, leaving: Leaving::Naming(number), .. }) =
                    self.handovers.pop_front()
                {
                    self.dirty.push(Dirty { number, len, watches, cleaning: Cleaning::Held });
                    self.clean_if_free(self.dirty.len() - 1, disk);
                }
            }
            // The whole log was removed meanwhile.
            Err(DiskError::Missing) => {
                self.handovers.pop_front();
            }
            // `tick` tries again; those behind wait, for the order's sake.
            Err(error) => {
                let name = log_name(first.base_offset);
                let text = format!("{}/{name} could not be moved away: {error}", first.dir);
                notices.push(LogNotice { level: NoticeLevel::Warn, text });
                return;
            }
        }
        self.go_on(disk);
    }

    /// Takes in a completion.
    pub fn on_disk(
        &mut self,
        token: DiskToken,
        result: Result<DiskOutcome, DiskError>,
        disk: &mut DiskQueue,
        notices: &mut Vec<LogNotice>,
    ) {
        if self.listing == Some(token) {
            self.listing = None;
            if let Ok(DiskOutcome::Listed(entries)) = result {
                for entry in entries {
                    self.on_found(&entry.name, entry.len, disk);
                }
            }
            return self.go_on(disk);
        }
        if self.leaving == Some(token) {
            return self.on_left(result, disk, notices);
        }
        if let Some(i) = self.removing.iter().position(|&waiting| waiting == token) {
            self.removing.swap_remove(i);
            return;
        }
        if let Some(i) = self.dirty.iter().position(|dirty| dirty.cleaning.token() == Some(token)) {
            self.on_cleaned(i, result, disk, notices);
        }
    }

    /// Goes on with what waits for readers: call it about once a second.
    pub fn tick(&mut self, disk: &mut DiskQueue) {
        for i in 0..self.dirty.len() {
            self.clean_if_free(i, disk);
        }
        self.go_on(disk);
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.listing.is_none()
            && self.leaving.is_none()
            && self.removing.is_empty()
            && self.dirty.iter().all(|dirty| dirty.cleaning.token().is_none())
    }

    /// How many files are ready.
    #[must_use]
    pub fn spare_count(&self) -> usize {
        self.spares.len()
    }

    fn number(&mut self) -> u64 {
        self.number_next += 1;
        self.number_next
    }

    fn has_room(&self, len: u64) -> bool {
        let lens = self.spares.iter().map(|spare| spare.len).chain(self.dirty.iter().map(|dirty| dirty.len));
        let (count, bytes) = lens.fold((0, 0), |(count, bytes), len| (count + 1, bytes + len));
        count < SPARES_MAX && bytes + len <= SPARE_BYTES_MAX
    }

    fn spare_path(&self, number: u64) -> String {
        format!("spare/{}-{number}.log", self.shard)
    }

    fn dirty_path(&self, number: u64) -> String {
        format!("spare/{}-{number}.dirty", self.shard)
    }

    fn on_found(&mut self, name: &str, len: u64, disk: &mut DiskQueue) {
        let Some((shard, rest)) = name.split_once('-') else { return };
        if shard != self.shard.to_string() {
            return;
        }
        let Some((number, kind)) = rest.split_once('.') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        self.number_next = self.number_next.max(number);
        let room = self.has_room(len);
        match kind {
            "log" if room => self.spares.push(Spare { number, len }),
            "dirty" if room => {
                self.dirty.push(Dirty { number, len, watches: Vec::new(), cleaning: Cleaning::Held });
                self.clean_if_free(self.dirty.len() - 1, disk);
            }
            _ => {
                let token = disk.push(self.slot, DiskOp::Remove { path: format!("spare/{name}") });
                self.removing.push(token);
            }
        }
    }

    fn clean_if_free(&mut self, i: usize, disk: &mut DiskQueue) {
        let path = self.dirty_path(self.dirty[i].number);
        let dirty = &mut self.dirty[i];
        dirty.watches.retain(FileWatch::is_open);
        if matches!(dirty.cleaning, Cleaning::Held) && dirty.watches.is_empty() {
            dirty.cleaning = Cleaning::Opening(disk.push(self.slot, DiskOp::OpenSegment { path }));
        }
    }

    fn on_cleaned(
        &mut self,
        i: usize,
        result: Result<DiskOutcome, DiskError>,
        disk: &mut DiskQueue,
        notices: &mut Vec<LogNotice>,
    ) {
        let slot = self.slot;
        let (dirty_path, spare_path) =
            (self.dirty_path(self.dirty[i].number), self.spare_path(self.dirty[i].number));
        let dirty = &mut self.dirty[i];
        let before = std::mem::replace(&mut dirty.cleaning, Cleaning::Failed);
        match (before, result) {
            (Cleaning::Opening(_), Ok(DiskOutcome::Opened { file, len })) => {
                dirty.len = corelane_base::aligned::block_floor(len);
                dirty.cleaning = next_zeroes(slot, file, 0, dirty.len, disk)
                    .unwrap_or_else(|| Cleaning::Naming(disk.push(slot, rename(&dirty_path, &spare_path))));
            }
            (Cleaning::Zeroing { file, done, .. }, Ok(_)) => {
                dirty.cleaning = next_zeroes(slot, file, done, dirty.len, disk)
                    .unwrap_or_else(|| Cleaning::Naming(disk.push(slot, rename(&dirty_path, &spare_path))));
            }
            // `tick` tries again.
            (Cleaning::Opening(_), Err(DiskError::TooManyFiles)) => dirty.cleaning = Cleaning::Held,
            (Cleaning::Naming(_), Ok(_)) => {
                let dirty = self.dirty.swap_remove(i);
                self.spares.push(Spare { number: dirty.number, len: dirty.len });
            }
            (_, result) => {
                let text = format!("{dirty_path} could not be made a spare segment: {result:?}");
                notices.push(LogNotice { level: NoticeLevel::Warn, text });
                self.dirty.swap_remove(i);
                self.removing.push(disk.push(slot, DiskOp::Remove { path: dirty_path }));
            }
        }
    }
}

impl Cleaning {
    fn token(&self) -> Option<DiskToken> {
        match self {
            Cleaning::Opening(token) | Cleaning::Zeroing { token, .. } | Cleaning::Naming(token) => {
                Some(*token)
            }
            Cleaning::Held | Cleaning::Failed => None,
        }
    }
}

fn rename(from: &str, to: &str) -> DiskOp {
    DiskOp::Rename { from: from.to_owned(), to: to.to_owned() }
}

fn next_zeroes(slot: u32, file: FileHandle, done: u64, len: u64, disk: &mut DiskQueue) -> Option<Cleaning> {
    let step = ZERO_STEP_BYTES.min(len - done);
    if step == 0 {
        return None;
    }
    let token = disk.push(slot, DiskOp::Zero { file: file.clone(), offset: done, len: step });
    Some(Cleaning::Zeroing { file, done: done + step, token })
}
