//! What the blocking file operations do. Runs on threads that may wait; knows nothing of shards.
//!
//! Every path is relative to the data directory and stays below it. A change of a name is on stable storage, by a sync
//! of its directory, before it is reported. The directory is opened before the change: who is told that no descriptor was
//! left may count on nothing having changed.

use std::cell::Cell;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer};
use corelane_log::disk::{DirEntry, DiskError, DiskOp, DiskOutcome};
use rustix::thread::CpuSet;

use crate::ring::disk_io::disk_error;
use crate::ring::segment_file::{Helper, SegmentFile, check_reserve};

/// How much is zeroed in one write; behind each the device is left alone for as long as the write took. Commits beside it
/// are as fast as with smaller steps, which take several times the CPU time (see `src/README.md`).
const ZERO_STEP_BYTES: usize = 256 * 1024;
/// Begins the names of files that `WriteFile` has not finished.
const UNFINISHED: &str = ".unfinished-";

/// Where the files lie and what handling them needs.
pub(super) struct Site {
    pub root: PathBuf,
    pub helper: Helper,
    /// The cores this process may use: pool threads would otherwise inherit their shard's single core.
    pub affinity: CpuSet,
}

thread_local! {
    static UNPINNED: Cell<bool> = const { Cell::new(false) };
}

/// Carries `op` out. Panics: on the operations that belong to the ring.
pub(super) fn perform(site: &Site, op: DiskOp) -> Result<DiskOutcome, DiskError> {
    if !UNPINNED.replace(true) {
        // Without it the thread is as correct, only less welcome on its shard's core.
        let _ = rustix::thread::sched_setaffinity(None, &site.affinity);
    }
    let done = match op {
        DiskOp::OpenSegment { path } => site.open(&path),
        DiskOp::CreateSegment { path, bytes } => site.create(&path, bytes),
        DiskOp::Zero { file, offset, len } => {
            zero(file.get::<SegmentFile>(), offset, len).map(|()| DiskOutcome::Done)
        }
        DiskOp::Sync { file } => sync(file.get::<SegmentFile>()).map(|()| DiskOutcome::Done),
        DiskOp::Rename { from, to } => site.rename(&from, &to),
        DiskOp::Remove { path } => site.remove(&path),
        DiskOp::List { path } => site.list(&path),
        DiskOp::ReadFile { path, bytes_max } => site.read(&path, bytes_max),
        DiskOp::WriteFile { path, data } => site.write(&path, &data),
        DiskOp::Space => site.space(),
        DiskOp::Write { .. } | DiskOp::Read { .. } | DiskOp::ReadHistory { .. } => {
            unreachable!("the ring takes these")
        }
    };
    done.map_err(|e| disk_error(e.raw_os_error().unwrap_or(libc::EIO)))
}

impl Site {
    /// The full path of `path`. Errors: `EINVAL` if it would leave the data directory.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if inside { Ok(self.root.join(path)) } else { Err(errno(libc::EINVAL)) }
    }

    fn open(&self, path: &str) -> io::Result<DiskOutcome> {
        let (file, len) = SegmentFile::open(&self.at(path)?, &self.helper)?;
        Ok(DiskOutcome::Opened { file, len })
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<DiskOutcome> {
        let full = self.at(path)?;
        let above = self.make_parents(&full)?;
        let parent = self.parent(&full)?;
        check_reserve(&parent)?;
        File::options().write(true).create_new(true).open(&full)?;
        let filled = || {
            let (file, _) = SegmentFile::open(&full, &self.helper)?;
            write_zeros(file.get::<SegmentFile>(), 0, bytes)?;
            sync_dirs(&above)?;
            sync(file.get::<SegmentFile>())?;
            parent.sync_all()?;
            Ok(DiskOutcome::Opened { file, len: bytes })
        };
        filled().inspect_err(|_| {
            // Half a segment is none. If even this fails, the next start finds and removes it.
            let _ = fs::remove_file(&full);
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<DiskOutcome> {
        let (from, to) = (self.at(from)?, self.at(to)?);
        let above = self.make_parents(&to)?;
        let parent = self.parent(&to)?;
        let other = if from.parent() == to.parent() { None } else { Some(self.parent(&from)?) };
        let _replaced = SegmentFile::hold_doomed(&to, &self.helper);
        fs::rename(&from, &to)?;
        sync_dirs(&above)?;
        parent.sync_all()?;
        if let Some(other) = other {
            other.sync_all()?;
        }
        Ok(DiskOutcome::Done)
    }

    fn remove(&self, path: &str) -> io::Result<DiskOutcome> {
        let full = self.at(path)?;
        if full == self.root {
            return Err(errno(libc::EINVAL));
        }
        let is_dir = match fs::symlink_metadata(&full) {
            Ok(found) => found.is_dir(),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(DiskOutcome::Done),
            Err(e) => return Err(e),
        };
        let parent = self.parent(&full)?;
        if is_dir {
            self.remove_dir(&full)?
        } else {
            self.remove_file(&full)?
        }
        parent.sync_all()?;
        Ok(DiskOutcome::Done)
    }

    fn remove_dir(&self, full: &Path) -> io::Result<()> {
        for entry in fs::read_dir(full)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.remove_dir(&entry.path())?;
            } else {
                self.remove_file(&entry.path())?;
            }
        }
        fs::remove_dir(full)
    }

    /// Takes a file's name away; its room comes back a little later.
    fn remove_file(&self, full: &Path) -> io::Result<()> {
        let _removed = SegmentFile::hold_doomed(full, &self.helper);
        fs::remove_file(full)
    }

    fn list(&self, path: &str) -> io::Result<DiskOutcome> {
        let mut entries = Vec::new();
        let found = match fs::read_dir(self.at(path)?) {
            Ok(found) => found,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(DiskOutcome::Listed(entries)),
            Err(e) => return Err(e),
        };
        for entry in found {
            let entry = entry?;
            let meta = entry.metadata()?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with(UNFINISHED) && (meta.is_dir() || meta.is_file()) {
                let is_dir = meta.is_dir();
                entries.push(DirEntry { name, len: if is_dir { 0 } else { meta.len() }, is_dir });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(DiskOutcome::Listed(entries))
    }

    fn read(&self, path: &str, bytes_max: u64) -> io::Result<DiskOutcome> {
        let file = match File::open(self.at(path)?) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(DiskOutcome::File(None)),
            Err(e) => return Err(e),
        };
        let mut content = Vec::new();
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > bytes_max {
            return Err(errno(libc::EFBIG));
        }
        Ok(DiskOutcome::File(Some(Bytes::from(content))))
    }

    fn write(&self, path: &str, data: &[u8]) -> io::Result<DiskOutcome> {
        let full = self.at(path)?;
        let name = full.file_name().ok_or_else(|| errno(libc::EINVAL))?.to_string_lossy();
        let unfinished = full.with_file_name(format!("{UNFINISHED}{name}"));
        let above = self.make_parents(&full)?;
        let parent = self.parent(&full)?;
        let written = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(data)?;
            file.sync_data()?;
            fs::rename(&unfinished, &full)
        };
        written().inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        sync_dirs(&above)?;
        parent.sync_all()?;
        Ok(DiskOutcome::Done)
    }

    fn space(&self) -> io::Result<DiskOutcome> {
        let room = rustix::fs::statvfs(&self.root)?;
        let of = |blocks: u64| blocks.saturating_mul(room.f_frsize);
        Ok(DiskOutcome::Space { total: of(room.f_blocks), free: of(room.f_bavail) })
    }

    /// Makes the directories above `full` that are missing. Gives the directories they were made in, to be synced once
    /// all else is written, but first: others make theirs in them meanwhile, so that this sync is the one that commits
    /// the journal, and those of the file and its own directory find nothing left to do.
    fn make_parents(&self, full: &Path) -> io::Result<Vec<File>> {
        let Some(parent) = full.parent() else { return Ok(Vec::new()) };
        if parent == self.root || parent.is_dir() {
            return Ok(Vec::new());
        }
        let mut changed = self.make_parents(parent)?;
        let above = self.parent(parent)?;
        match DirBuilder::new().mode(0o750).create(parent) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e),
            _ => {
                changed.push(above);
                Ok(changed)
            }
        }
    }

    /// The directory that `full` is in.
    fn parent(&self, full: &Path) -> io::Result<File> {
        File::open(full.parent().unwrap_or(&self.root))
    }
}

/// Writes zeros past the page cache, at half the rate that the device would take them, and syncs.
fn zero(file: &SegmentFile, offset: u64, len: u64) -> io::Result<()> {
    write_zeros(file, offset, len)?;
    sync(file)
}

fn write_zeros(file: &SegmentFile, offset: u64, len: u64) -> io::Result<()> {
    let whole = [offset, len].iter().all(|n| n.is_multiple_of(BLOCK_BYTES as u64));
    if !whole {
        return Err(errno(libc::EINVAL));
    }
    let mut zeros = aligned_buffer(ZERO_STEP_BYTES);
    zeros.resize(ZERO_STEP_BYTES, 0);
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let step = (end - at).min(ZERO_STEP_BYTES as u64) as usize;
        let began = Instant::now();
        match rustix::io::pwrite(file.direct(), &zeros[..step], at) {
            Ok(0) => return Err(errno(libc::EIO)),
            Ok(count) => {
                at += count as u64;
                thread::sleep(began.elapsed());
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The file's data, and of its metadata what reading it needs; the device's own cache included.
fn sync(file: &SegmentFile) -> io::Result<()> {
    Ok(rustix::fs::fdatasync(file.direct())?)
}

fn sync_dirs(dirs: &[File]) -> io::Result<()> {
    dirs.iter().try_for_each(File::sync_all)
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}
