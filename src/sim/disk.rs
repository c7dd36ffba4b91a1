//! The virtual disk: every operation of the log's seam, carried out later, in another order, and not always.
//!
//! One disk stands for the data directory of one broker; its shards share it. An operation takes effect at one moment
//! between submission and completion, in an order of the disk's own as far as the seam lets it; only a write in flight is
//! seen partly by reads that overlap it. What `sync` and the directory operations promise survives [`VirtualDisk::crash`], everything else
//! survives it wholly, partly or not at all. [`Faults`] say what else goes wrong, and how often.
//!
//! Breaking the rules of direct I/O, using a handle from before a crash, or two overlapping writes in flight are our
//! own mistakes and panic. Silent damage done to stored bytes is recorded in [`VirtualDisk::damage`], so that a checker
//! knows which losses are nobody's fault.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::{BLOCK_BYTES, is_aligned};
use corelane_base::id::ShardId;
use corelane_base::rng::Rng;
use corelane_base::time::Mono;
use corelane_log::disk::{DirEntry, DiskError, DiskOp, DiskOutcome, DiskToken, FileHandle, FileObject};

use crate::hash::StateHash;
use crate::pages::{Fate, FileBytes, Pages};

const PAGE: u64 = BLOCK_BYTES as u64;
const EIO: i32 = 5;
const EISDIR: i32 = 21;
const EFBIG: i32 = 27;

/// What goes wrong, each once in so many operations of its kind; 0 is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// A write fails; any of its sectors may have arrived.
    pub write_error: u32,
    /// A synced write, or a sync, fails: the bytes can be read, but a power failure may take any of them, and no later
    /// sync helps.
    pub sync_error: u32,
    /// A read fails.
    pub read_error: u32,
    /// Creating, renaming, zeroing, opening, listing, or a small file's replacement fails, done or not.
    pub meta_error: u32,
    /// A write is acknowledged, but one bit of it is stored inverted.
    pub bit_flip: u32,
    /// A write is acknowledged, but stored at another block of the same file.
    pub misdirected: u32,
    /// An operation takes [`Latency::stall_ns`].
    pub stall: u32,
    /// There is no descriptor for an operation with a path: it is not begun. No fault, but a refusal that passes.
    pub no_descriptor: u32,
}

/// How long an operation takes, drawn evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// At least.
    pub min_ns: u64,
    /// At most; also the room for reordering.
    pub max_ns: u64,
    /// In a stall.
    pub stall_ns: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { min_ns: 20_000, max_ns: 2_000_000, stall_ns: 500_000_000 }
    }
}

/// How everything ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: completed writes stay, synced or not.
    Kill,
    /// The power fails: unsynced writes are at the mercy of chance.
    PowerLoss,
}

/// Stored bytes that are silently not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file's name when it happened; empty if it had none any more.
    pub path: String,
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes are affected.
    pub len: u64,
}

/// A finished operation.
#[derive(Debug)]
pub struct Completion {
    /// Who asked.
    pub shard: ShardId,
    /// Which operation.
    pub token: DiskToken,
    /// What came of it.
    pub result: Result<DiskOutcome, DiskError>,
}

/// How often each thing happened, for reports and for tests that must not test nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskCounts {
    /// Operations completed.
    pub ops: u64,
    /// Writes among them.
    pub writes: u64,
    /// Writes behind the end of their file, which cost a metadata change each.
    pub writes_extending: u64,
    /// Operations that failed by a fault.
    pub faults: u64,
    /// Operations refused for want of room.
    pub refused_for_space: u64,
    /// Operations refused for want of descriptors.
    pub refused_for_files: u64,
    /// Crashes.
    pub crashes: u64,
    /// Operations in flight at crashes.
    pub cut_off: u64,
}

impl DiskCounts {
    /// How often somebody did not get what he asked for.
    #[must_use]
    pub fn disturbances(&self) -> u64 {
        self.faults + self.refused_for_space + self.refused_for_files
    }

    /// Adds another disk's figures.
    pub fn add(&mut self, other: &DiskCounts) {
        self.ops += other.ops;
        self.writes += other.writes;
        self.writes_extending += other.writes_extending;
        self.faults += other.faults;
        self.refused_for_space += other.refused_for_space;
        self.refused_for_files += other.refused_for_files;
        self.crashes += other.crashes;
        self.cut_off += other.cut_off;
    }
}

type Inode = u64;

/// What a handle holds. The counter's clones tell how many handles are open.
struct OpenFile {
    inode: Inode,
    life: u32,
    _open: Arc<()>,
}

impl FileObject for OpenFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug, Default)]
struct File {
    bytes: FileBytes,
    open: Arc<()>,
}

#[derive(Debug)]
struct InFlight {
    shard: ShardId,
    token: DiskToken,
    op: DiskOp,
}

/// The disk of one broker.
#[derive(Debug)]
pub struct VirtualDisk {
    rng: Rng,
    faults: Faults,
    latency: Latency,
    /// Bytes the file system can hold.
    capacity: u64,
    /// Bytes that somebody else has taken of it.
    taken: u64,
    files: BTreeMap<Inode, File>,
    next_inode: Inode,
    /// Path to inode; durable as soon as it is there, as every operation syncs its directory.
    names: BTreeMap<String, Inode>,
    /// Directories, the data directory itself (empty path) left out.
    dirs: BTreeSet<String>,
    /// By completion time, then by submission.
    in_flight: BTreeMap<(Mono, u64), InFlight>,
    submitted: u64,
    /// Grows at each crash; handles of earlier lives are invalid.
    life: u32,
    damage: Vec<Damage>,
    counts: DiskCounts,
}

impl VirtualDisk {
    /// An empty disk for `capacity` bytes.
    #[must_use]
    pub fn new(rng: Rng, capacity: u64) -> VirtualDisk {
        VirtualDisk {
            rng,
            faults: Faults::default(),
            latency: Latency::default(),
            capacity,
            taken: 0,
            files: BTreeMap::new(),
            next_inode: 1,
            names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            submitted: 0,
            life: 0,
            damage: Vec::new(),
            counts: DiskCounts::default(),
        }
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Changes how long operations submitted from now on take.
    pub fn set_latency(&mut self, latency: Latency) {
        assert!(latency.min_ns <= latency.max_ns, "a range");
        self.latency = latency;
    }

    /// Somebody else takes (or returns) room, down to `free` bytes left for us.
    pub fn leave_free(&mut self, free: u64) {
        self.taken = self.capacity.saturating_sub(self.used()).saturating_sub(free);
    }

    /// Takes over an operation; its completion comes out of [`VirtualDisk::complete`] later.
    pub fn submit(&mut self, now: Mono, shard: ShardId, token: DiskToken, op: DiskOp) {
        self.check_rules(&op);
        let spread = self.latency.max_ns - self.latency.min_ns + 1;
        let mut takes = self.latency.min_ns + self.rng.below(spread);
        if self.hits(self.faults.stall) {
            takes = self.latency.stall_ns;
        }
        self.submitted += 1;
        let bound = |other: &InFlight| other.shard == shard && other.op.is_bound_to(&op);
        let before = self.in_flight.iter().filter(|(_, other)| bound(other)).map(|((due, _), _)| *due).max();
        let due = Mono(now.0 + takes).max(before.unwrap_or_default());
        self.in_flight.insert((due, self.submitted), InFlight { shard, token, op });
    }

    /// When the next completion is due.
    #[must_use]
    pub fn next_completion(&self) -> Option<Mono> {
        self.in_flight.first_key_value().map(|((due, _), _)| *due)
    }

    /// Carries out and returns the next operation due by `now`.
    pub fn complete(&mut self, now: Mono) -> Option<Completion> {
        let entry = self.in_flight.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let InFlight { shard, token, op } = entry.remove();
        self.counts.ops += 1;
        let result = self.carry_out(op);
        Some(Completion { shard, token, result })
    }

    /// Ends a life: what is in flight takes effect in part, in any order, or never, unsynced bytes survive as `crash`
    /// says, and every handle becomes invalid.
    pub fn crash(&mut self, crash: Crash) {
        self.counts.crashes += 1;
        let mut cut_off: Vec<InFlight> = core::mem::take(&mut self.in_flight).into_values().collect();
        self.counts.cut_off += cut_off.len() as u64;
        while !cut_off.is_empty() {
            let next = self.rng.below(cut_off.len() as u64) as usize;
            let InFlight { op, .. } = cut_off.swap_remove(next);
            match op {
                // The kernel still carries the write out, but nobody waits for its sync.
                DiskOp::Write { file, offset, parts, .. } if crash == Crash::Kill => {
                    let fate = Fate::draw(&mut self.rng);
                    let mut rng = self.rng.split();
                    let bytes = &mut self.file_mut(&file).bytes;
                    let arrived = bytes.now().after_write(fate, offset, &joined(&parts), &mut rng);
                    bytes.write_unsynced(offset, &arrived);
                }
                op => self.cut_off(op),
            }
        }
        if crash == Crash::PowerLoss {
            for file in self.files.values_mut() {
                file.bytes.lose_power(&mut self.rng);
            }
        }
        self.life += 1;
        for file in self.files.values_mut() {
            file.open = Arc::new(());
        }
        self.reap();
    }

    /// Ends a life in good order (the process exits). Panics: if content is being written; reads and the clearing away
    /// of files may still be under way.
    pub fn close(&mut self) {
        let writing = self.in_flight.values().find(|op| {
            matches!(
                op.op,
                DiskOp::Write { .. }
                    | DiskOp::Sync { .. }
                    | DiskOp::WriteFile { .. }
                    | DiskOp::CreateSegment { .. }
            )
        });
        assert!(writing.is_none(), "a drained shard writes nothing any more: {writing:?}");
        self.crash(Crash::Kill);
        self.counts.crashes -= 1;
    }

    /// What `sendfile` would send now.
    #[must_use]
    pub fn send_file(&self, file: &FileHandle, offset: u64, len: u64) -> Bytes {
        self.file(file).bytes.now().read(offset, len).freeze()
    }

    /// Operations in flight.
    #[must_use]
    pub fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// Stored bytes damaged so far.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> DiskCounts {
        self.counts
    }

    /// Every file with its length, sorted by path.
    pub fn list_all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().map(|(path, inode)| (path.as_str(), self.files[inode].bytes.now().len()))
    }

    /// The bytes of a file as a reader sees them, if it exists.
    #[must_use]
    pub fn peek(&self, path: &str) -> Option<Bytes> {
        let pages = self.files[self.names.get(path)?].bytes.now();
        Some(pages.read(0, pages.len()).freeze())
    }

    /// Inverts a bit of a stored file, as a failing medium does. Returns false if there is no such byte.
    pub fn flip_bit(&mut self, path: &str, offset: u64, bit: u8) -> bool {
        let Some(inode) = self.names.get(path) else { return false };
        let flipped = self.files.get_mut(inode).is_some_and(|file| file.bytes.flip_bit(offset, bit));
        if flipped {
            self.damage.push(Damage { path: path.to_owned(), offset, len: 1 });
        }
        flipped
    }

    /// Folds everything in: names, bytes, what is in flight, the generator's state.
    pub fn hash_into(&self, hash: &mut StateHash) {
        for (path, inode) in &self.names {
            hash.bytes(path.as_bytes());
            self.files[inode].bytes.hash_into(hash);
        }
        for dir in &self.dirs {
            hash.bytes(dir.as_bytes());
        }
        for ((due, number), op) in &self.in_flight {
            hash.word(due.0);
            hash.word(*number);
            hash.word(op.token.0);
        }
        hash.word(self.submitted);
        hash.word(u64::from(self.life));
        hash.word(self.rng.clone().next_u64());
    }

    fn hits(&mut self, one_in: u32) -> bool {
        let hit = one_in != 0 && self.rng.one_in(u64::from(one_in));
        self.counts.faults += u64::from(hit);
        hit
    }

    fn file(&self, handle: &FileHandle) -> &File {
        let open = handle.get::<OpenFile>();
        assert_eq!(open.life, self.life, "a handle outlived its process");
        &self.files[&open.inode]
    }

    fn file_mut(&mut self, handle: &FileHandle) -> &mut File {
        let open = handle.get::<OpenFile>();
        assert_eq!(open.life, self.life, "a handle outlived its process");
        self.files.get_mut(&open.inode).expect("an open handle keeps its file")
    }

    /// The rules of direct I/O and of our own making. Panics: if `op` breaks one.
    fn check_rules(&self, op: &DiskOp) {
        match op {
            DiskOp::Write { file, offset, parts, .. } => {
                assert!(offset.is_multiple_of(PAGE), "unaligned write offset {offset}");
                assert!(!parts.is_empty(), "a write of nothing");
                for part in parts {
                    assert!(is_aligned(part), "unaligned memory in a write");
                    assert!(part.len().is_multiple_of(BLOCK_BYTES), "unaligned write length {}", part.len());
                    assert!(!part.is_empty(), "an empty part in a write");
                }
                let len = parts.iter().map(|part| part.len() as u64).sum();
                self.check_no_overlap(file, *offset, len);
            }
            DiskOp::Zero { file, offset, len } => {
                assert!(offset.is_multiple_of(PAGE), "unaligned zeroing offset {offset}");
                assert!(len.is_multiple_of(PAGE), "unaligned zeroing length {len}");
                self.check_no_overlap(file, *offset, *len);
            }
            DiskOp::CreateSegment { path, bytes } => {
                assert!(bytes.is_multiple_of(PAGE), "unaligned segment size {bytes}");
                check_path(path);
            }
            DiskOp::Read { file, .. } | DiskOp::ReadHistory { file, .. } | DiskOp::Sync { file } => {
                let _ = self.file(file);
            }
            DiskOp::OpenSegment { path }
            | DiskOp::Remove { path }
            | DiskOp::ReadFile { path, .. }
            | DiskOp::WriteFile { path, .. } => check_path(path),
            DiskOp::Rename { from, to } => {
                check_path(from);
                check_path(to);
            }
            DiskOp::List { path } => {
                if !path.is_empty() {
                    check_path(path);
                }
            }
            DiskOp::Space => {}
        }
    }

    /// Two writes in flight over the same bytes leave either; no caller can want that.
    fn check_no_overlap(&self, file: &FileHandle, offset: u64, len: u64) {
        let _ = self.file(file);
        let inode = file.get::<OpenFile>().inode;
        for other in self.in_flight.values() {
            if let Some((other_inode, other_offset, other_len)) = written_range(&other.op)
                && other_inode == inode
            {
                assert!(
                    other_offset + other_len <= offset || offset + len <= other_offset,
                    "overlapping writes in flight: {offset}+{len} and {other_offset}+{other_len}"
                );
            }
        }
    }

    fn carry_out(&mut self, op: DiskOp) -> Result<DiskOutcome, DiskError> {
        let one_in = u64::from(self.faults.no_descriptor);
        if one_in > 0 && op.paths()[0].is_some() && self.rng.one_in(one_in) {
            self.counts.refused_for_files += 1;
            return Err(DiskError::TooManyFiles);
        }
        match op {
            DiskOp::Write { file, offset, parts, sync } => self.write(&file, offset, &parts, sync),
            DiskOp::Read { file, offset, len } => self.read(&file, offset, len),
            DiskOp::ReadHistory { file, offset, len, .. } => {
                if self.rng.one_in(2) {
                    Ok(DiskOutcome::Resident)
                } else {
                    self.read(&file, offset, len)
                }
            }
            DiskOp::OpenSegment { path } => {
                if self.hits(self.faults.meta_error) {
                    return Err(DiskError::Io(EIO));
                }
                let inode = *self.names.get(&path).ok_or(DiskError::Missing)?;
                Ok(self.opened(inode))
            }
            DiskOp::List { path } => {
                if self.hits(self.faults.meta_error) {
                    return Err(DiskError::Io(EIO));
                }
                Ok(DiskOutcome::Listed(self.list(&path)))
            }
            DiskOp::ReadFile { path, bytes_max } => self.read_file(&path, bytes_max),
            DiskOp::Sync { file } => {
                if self.hits(self.faults.sync_error) {
                    self.file_mut(&file).bytes.fail_sync();
                    return Err(DiskError::Io(EIO));
                }
                self.file_mut(&file).bytes.sync();
                Ok(DiskOutcome::Done)
            }
            DiskOp::Space => {
                let free = self.free();
                Ok(DiskOutcome::Space { total: self.capacity, free })
            }
            DiskOp::CreateSegment { .. }
            | DiskOp::Zero { .. }
            | DiskOp::Rename { .. }
            | DiskOp::Remove { .. }
            | DiskOp::WriteFile { .. } => self.change(op),
        }
    }

    /// Operations that change names or allocate. A fault may strike before or behind the change.
    fn change(&mut self, op: DiskOp) -> Result<DiskOutcome, DiskError> {
        if self.hits(self.faults.meta_error) {
            if self.rng.one_in(2) {
                self.cut_off(op);
            }
            return Err(DiskError::Io(EIO));
        }
        match op {
            DiskOp::CreateSegment { path, bytes } => {
                if self.names.contains_key(&path) || self.dirs.contains(&path) {
                    return Err(DiskError::Exists);
                }
                self.need_room(bytes)?;
                let inode = self.add_file(&path, FileBytes::synced(Pages::zeros(bytes)));
                Ok(self.opened(inode))
            }
            DiskOp::Zero { file, offset, len } => {
                let grown = (offset + len).saturating_sub(self.file(&file).bytes.now().len());
                self.need_room(grown)?;
                self.file_mut(&file).bytes.zero_synced(offset, len);
                Ok(DiskOutcome::Done)
            }
            DiskOp::Rename { from, to } => {
                if self.dirs.contains(&from) || self.dirs.contains(&to) {
                    return Err(DiskError::Io(EISDIR));
                }
                let inode = self.names.remove(&from).ok_or(DiskError::Missing)?;
                self.make_parents(&to);
                self.names.insert(to, inode);
                self.reap();
                Ok(DiskOutcome::Done)
            }
            DiskOp::Remove { path } => {
                let inside = format!("{path}/");
                self.names.retain(|name, _| *name != path && !name.starts_with(&inside));
                self.dirs.retain(|name| *name != path && !name.starts_with(&inside));
                self.reap();
                Ok(DiskOutcome::Done)
            }
            DiskOp::WriteFile { path, data } => {
                self.need_room(data.len() as u64)?;
                self.replace_file(&path, &data);
                Ok(DiskOutcome::Done)
            }
            _ => unreachable!("only operations that change names or allocate come here"),
        }
    }

    /// What an operation in flight leaves behind when everything ends.
    fn cut_off(&mut self, op: DiskOp) {
        match op {
            DiskOp::Write { file, offset, parts, .. } => {
                let fate = Fate::draw(&mut self.rng);
                let data = joined(&parts);
                let mut rng = self.rng.split();
                self.file_mut(&file).bytes.write_synced(fate, offset, &data, &mut rng);
            }
            DiskOp::CreateSegment { path, bytes } => {
                let free = self.free();
                if self.rng.one_in(2) && !self.names.contains_key(&path) && !self.dirs.contains(&path) {
                    let written = if self.rng.one_in(2) { bytes } else { self.rng.below(bytes + 1) };
                    self.add_file(&path, FileBytes::synced(Pages::zeros(written.min(free))));
                }
            }
            DiskOp::Zero { file, offset, len } => {
                let pages = self.rng.below(len / PAGE + 1);
                let grown = (offset + len).saturating_sub(self.file(&file).bytes.now().len());
                if self.need_room(grown).is_ok() {
                    self.file_mut(&file).bytes.zero_synced(offset, pages * PAGE);
                }
            }
            DiskOp::Sync { file } => {
                if self.rng.one_in(2) {
                    self.file_mut(&file).bytes.sync();
                }
            }
            DiskOp::Rename { .. } => {
                if self.rng.one_in(2) {
                    let faults = core::mem::take(&mut self.faults);
                    let _ = self.change(op);
                    self.faults = faults;
                }
            }
            DiskOp::Remove { path } => self.cut_off_remove(&path),
            DiskOp::WriteFile { path, data } => {
                if self.need_room(data.len() as u64).is_err() {
                    return;
                }
                if self.rng.one_in(2) {
                    self.replace_file(&path, &data);
                } else if self.rng.one_in(2) {
                    // The temporary file was on its way.
                    let written = self.rng.below(data.len() as u64 + 1) as usize;
                    self.replace_file(&format!("{path}.tmp"), &data.slice(..written));
                }
            }
            DiskOp::Read { .. }
            | DiskOp::ReadHistory { .. }
            | DiskOp::OpenSegment { .. }
            | DiskOp::List { .. }
            | DiskOp::ReadFile { .. }
            | DiskOp::Space => {}
        }
    }

    /// A directory goes file by file, in any order; the directory itself last.
    fn cut_off_remove(&mut self, path: &str) {
        let inside = format!("{path}/");
        let mut whole = true;
        let rng = &mut self.rng;
        self.names.retain(|name, _| {
            let doomed = name == path || name.starts_with(&inside);
            let kept = !doomed || rng.one_in(2);
            whole &= !(doomed && kept);
            kept
        });
        if whole && rng.one_in(2) {
            self.dirs.retain(|name| *name != path && !name.starts_with(&inside));
        }
        self.reap();
    }

    fn write(
        &mut self,
        handle: &FileHandle,
        offset: u64,
        parts: &[Bytes],
        sync: bool,
    ) -> Result<DiskOutcome, DiskError> {
        self.counts.writes += 1;
        let data = joined(parts);
        let mut rng = self.rng.split();
        let old_len = self.file(handle).bytes.now().len();
        let end = offset + data.len() as u64;
        if end > old_len {
            self.counts.writes_extending += 1;
            self.need_room(end - old_len)?;
        }
        if self.hits(self.faults.write_error) {
            let fate = Fate::draw(&mut rng);
            self.file_mut(handle).bytes.write_synced(fate, offset, &data, &mut rng);
            return Err(DiskError::Io(EIO));
        }
        if sync && self.hits(self.faults.sync_error) {
            let bytes = &mut self.file_mut(handle).bytes;
            bytes.write_unsynced(offset, &data);
            bytes.fail_sync();
            return Err(DiskError::Io(EIO));
        }
        let (offset, data) = self.disturbed(handle, offset, data);
        let bytes = &mut self.file_mut(handle).bytes;
        if sync {
            bytes.write_synced(Fate::Whole, offset, &data, &mut rng);
        } else {
            bytes.write_unsynced(offset, &data);
        }
        Ok(DiskOutcome::Done)
    }

    /// The place and bytes that an acknowledged write really gets: now and then not those it asked for.
    fn disturbed(&mut self, handle: &FileHandle, offset: u64, data: Bytes) -> (u64, Bytes) {
        let len = data.len() as u64;
        if self.hits(self.faults.bit_flip) {
            let mut flipped = BytesMut::from(&data[..]);
            let at = self.rng.below(len);
            flipped[at as usize] ^= 1 << self.rng.below(8);
            self.note_damage(handle, offset + at, 1);
            return (offset, flipped.freeze());
        }
        if self.hits(self.faults.misdirected) {
            let blocks = self.file(handle).bytes.now().len().saturating_sub(len) / PAGE + 1;
            let elsewhere = self.rng.below(blocks) * PAGE;
            if elsewhere != offset {
                self.note_damage(handle, offset, len);
                self.note_damage(handle, elsewhere, len);
            }
            return (elsewhere, data);
        }
        (offset, data)
    }

    fn note_damage(&mut self, handle: &FileHandle, offset: u64, len: u64) {
        let inode = handle.get::<OpenFile>().inode;
        let path = self.names.iter().find(|(_, named)| **named == inode).map(|(path, _)| path.clone());
        self.damage.push(Damage { path: path.unwrap_or_default(), offset, len });
    }

    /// Bytes as stored; sectors of writes in flight may be there already.
    fn read(&mut self, handle: &FileHandle, offset: u64, len: u32) -> Result<DiskOutcome, DiskError> {
        if self.hits(self.faults.read_error) {
            return Err(DiskError::Io(EIO));
        }
        let inode = handle.get::<OpenFile>().inode;
        let mut view = None;
        for other in self.in_flight.values() {
            if let DiskOp::Write { file, offset: at, parts, .. } = &other.op
                && file.get::<OpenFile>().inode == inode
            {
                let data = joined(parts);
                if *at < offset + u64::from(len) && offset < *at + data.len() as u64 {
                    let view = view.get_or_insert_with(|| self.file(handle).bytes.now().clone());
                    let arrived = view.after_write(Fate::Torn, *at, &data, &mut self.rng);
                    view.write(*at, &arrived);
                }
            }
        }
        let pages = view.as_ref().unwrap_or_else(|| self.file(handle).bytes.now());
        Ok(DiskOutcome::Read(pages.read(offset, u64::from(len)).freeze()))
    }

    fn read_file(&mut self, path: &str, bytes_max: u64) -> Result<DiskOutcome, DiskError> {
        if self.hits(self.faults.read_error) {
            return Err(DiskError::Io(EIO));
        }
        if self.dirs.contains(path) {
            return Err(DiskError::Io(EISDIR));
        }
        let Some(inode) = self.names.get(path) else { return Ok(DiskOutcome::File(None)) };
        let pages = self.files[inode].bytes.now();
        if pages.len() > bytes_max {
            return Err(DiskError::Io(EFBIG));
        }
        Ok(DiskOutcome::File(Some(pages.read(0, pages.len()).freeze())))
    }

    fn list(&self, path: &str) -> Vec<DirEntry> {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let child = |name: &str| {
            let rest = name.strip_prefix(prefix.as_str())?;
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let files = self.names.iter().filter_map(|(name, inode)| {
            let len = self.files[inode].bytes.now().len();
            Some(DirEntry { name: child(name)?, len, is_dir: false })
        });
        let dirs =
            self.dirs.iter().filter_map(|name| Some(DirEntry { name: child(name)?, len: 0, is_dir: true }));
        let mut entries: Vec<DirEntry> = files.chain(dirs).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries
    }

    fn opened(&mut self, inode: Inode) -> DiskOutcome {
        let file = &self.files[&inode];
        let open = OpenFile { inode, life: self.life, _open: Arc::clone(&file.open) };
        DiskOutcome::Opened { file: FileHandle::new(open), len: file.bytes.now().len() }
    }

    fn add_file(&mut self, path: &str, bytes: FileBytes) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.files.insert(inode, File { bytes, open: Arc::new(()) });
        self.make_parents(path);
        self.names.insert(path.to_owned(), inode);
        self.reap();
        inode
    }

    fn replace_file(&mut self, path: &str, data: &Bytes) {
        let mut padded = BytesMut::from(&data[..]);
        padded.resize(data.len().next_multiple_of(BLOCK_BYTES), 0);
        let mut pages = Pages::zeros(0);
        pages.write(0, &padded.freeze());
        pages.truncate(data.len() as u64);
        self.add_file(path, FileBytes::synced(pages));
    }

    fn make_parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            self.dirs.insert(path[..at].to_owned());
        }
    }

    /// Forgets files that neither a name nor a handle holds.
    fn reap(&mut self) {
        let named: BTreeSet<Inode> = self.names.values().copied().collect();
        self.files.retain(|inode, file| named.contains(inode) || Arc::strong_count(&file.open) > 1);
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.bytes.now().len().next_multiple_of(PAGE)).sum()
    }

    fn free(&mut self) -> u64 {
        self.reap();
        self.capacity.saturating_sub(self.used()).saturating_sub(self.taken)
    }

    fn need_room(&mut self, bytes: u64) -> Result<(), DiskError> {
        if bytes > 0 && self.free() < bytes {
            self.counts.refused_for_space += 1;
            return Err(DiskError::NoSpace);
        }
        Ok(())
    }
}

/// Panics: if a path is absolute, empty, or leaves the data directory.
fn check_path(path: &str) {
    let sound =
        !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    assert!(sound, "not a relative path inside the data directory: {path:?}");
}

fn written_range(op: &DiskOp) -> Option<(Inode, u64, u64)> {
    match op {
        DiskOp::Write { file, offset, parts, .. } => {
            let len = parts.iter().map(|part| part.len() as u64).sum();
            Some((file.get::<OpenFile>().inode, *offset, len))
        }
        DiskOp::Zero { file, offset, len } => Some((file.get::<OpenFile>().inode, *offset, *len)),
        _ => None,
    }
}

/// A copy of its own: what the caller's memory becomes later must not reach the disk.
fn joined(parts: &[Bytes]) -> Bytes {
    Bytes::from(parts.concat())
}
