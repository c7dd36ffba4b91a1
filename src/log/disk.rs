//! The seam between the log and whatever stores bytes: operations out, completions in.
//!
//! The broker's shell carries operations out on io_uring and on helper threads, the simulator on a virtual disk
//! that loses, tears and corrupts. Paths are relative to the data directory and use `/`.

use std::any::Any;
use std::sync::{Arc, Weak};
use std::{fmt, io};

use bytes::Bytes;

/// An open file. Cloning shares it; it closes when the last clone is dropped, so a response that is still being
/// sent from a segment keeps the segment readable after retention has removed its name.
#[derive(Clone)]
pub struct FileHandle(Arc<dyn FileObject>);

/// What a shell puts behind a [`FileHandle`]: its own descriptor type, found again with [`FileHandle::get`].
pub trait FileObject: Any + Send + Sync {
    /// For the shell's downcast.
    fn as_any(&self) -> &dyn Any;
}

impl FileHandle {
    /// Wraps the shell's descriptor.
    pub fn new(object: impl FileObject) -> FileHandle {
        FileHandle(Arc::new(object))
    }

    /// Watches this handle and its clones.
    #[must_use]
    pub fn watch(&self) -> FileWatch {
        FileWatch(Arc::downgrade(&self.0))
    }

    /// The shell's own type. Panics: if the handle came from another shell, which is our own mistake.
    #[must_use]
    pub fn get<T: 'static>(&self) -> &T {
        self.0.as_any().downcast_ref().expect("file handles never change shells")
    }
}

/// Tells whether a file is still in use somewhere, without keeping it open.
#[derive(Clone)]
pub struct FileWatch(Weak<dyn FileObject>);

impl FileWatch {
    /// Whether any clone of the handle exists.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl fmt::Debug for FileWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileWatch({})", self.is_open())
    }
}

impl fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHandle({:p})", Arc::as_ptr(&self.0))
    }
}

/// Names one operation until its completion. The upper half names the owner (a log's slot on its shard), so that a
/// completion is routed without a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DiskToken(pub u64);

impl DiskToken {
    /// The slot given to [`DiskQueue::push`].
    #[must_use]
    pub fn owner(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// One thing to do with the disk. Every operation is answered by exactly one completion under its token.
///
/// Order: of two operations of one shard that touch a common path ([`DiskOp::touches`]), the later one begins when the
/// earlier one is done. All others run in any order, also together.
#[derive(Debug, Clone)]
pub enum DiskOp {
    /// Writes `parts` one behind the other at `offset` of a file opened by [`DiskOp::OpenSegment`].
    ///
    /// Shape: `offset`, each part's address and each part's length are multiples of 4096. Completed only when all
    /// bytes are written (the shell goes on after a short write). Durability: with `sync`, on stable storage
    /// (`RWF_DSYNC`) when it completes; without, it survives the process but not the power supply.
    Write {
        /// The segment.
        file: FileHandle,
        /// Where in the file, in bytes.
        offset: u64,
        /// What, in order.
        parts: Vec<Bytes>,
        /// Whether completion means stable storage.
        sync: bool,
    },
    /// Reads exactly `len` bytes at `offset` (any alignment; the shell widens) past the page cache.
    /// Answer: [`DiskOutcome::Read`], shorter only at the end of the file.
    Read {
        /// The segment.
        file: FileHandle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u32,
    },
    /// As `Read`, for a range that is about to be sent to a client: if it is resident in the page cache, answers
    /// [`DiskOutcome::Resident`] at once, and the range may be sent with `sendfile` without blocking. The shell may
    /// start read-ahead behind the range, up to `read_ahead` bytes.
    ReadHistory {
        /// The segment.
        file: FileHandle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u32,
        /// How far behind the range it is useful to read ahead.
        read_ahead: u32,
    },
    /// Opens an existing segment for direct I/O. Answer: [`DiskOutcome::Opened`].
    OpenSegment {
        /// Relative path.
        path: String,
    },
    /// Creates `path` (replacing nothing: an existing file is an error), writes `bytes` zeros, syncs file and
    /// directory, opens it as `OpenSegment` does. Missing parent directories are made. Answer: [`DiskOutcome::Opened`].
    CreateSegment {
        /// Relative path.
        path: String,
        /// Size in bytes, a multiple of 4096.
        bytes: u64,
    },
    /// Brings what completed writes have left in caches to stable storage, whichever process wrote it. Writes under way
    /// are not covered. Durability: everything written before is on stable storage when it completes. After an error
    /// nothing is known of it, and trying again proves nothing.
    Sync {
        /// The segment.
        file: FileHandle,
    },
    /// Writes zeros over `[offset, offset + len)` and syncs; extends the file where needed. Both multiples of 4096.
    Zero {
        /// The segment.
        file: FileHandle,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes.
        len: u64,
    },
    /// Renames a file, replacing an existing target, makes the target's parents, and syncs the directories. The room of
    /// what was replaced may come back a little later.
    Rename {
        /// Relative path, from.
        from: String,
        /// Relative path, to.
        to: String,
    },
    /// Removes a file, or a directory with all it holds, and syncs its parent. Their room may come back a little later,
    /// not before nobody has them open. A missing one is no error.
    Remove {
        /// Relative path.
        path: String,
    },
    /// Lists the plain files and directories of a directory. Answer: [`DiskOutcome::Listed`], empty if missing.
    List {
        /// Relative path; empty for the data directory itself.
        path: String,
    },
    /// Reads a whole small file. Answer: [`DiskOutcome::File`], `None` if missing. An error beyond `bytes_max`.
    ReadFile {
        /// Relative path.
        path: String,
        /// The largest size to accept.
        bytes_max: u64,
    },
    /// Replaces a small file as one atomic step: temporary file, sync, rename, directory sync.
    WriteFile {
        /// Relative path.
        path: String,
        /// The new content.
        data: Bytes,
    },
    /// Asks for the file system's room. Answer: [`DiskOutcome::Space`].
    Space,
}

impl DiskOp {
    /// The paths it takes: those of files and directories, not those of open segments.
    #[must_use]
    pub fn paths(&self) -> [Option<&str>; 2] {
        match self {
            DiskOp::OpenSegment { path }
            | DiskOp::CreateSegment { path, .. }
            | DiskOp::Remove { path }
            | DiskOp::List { path }
            | DiskOp::ReadFile { path, .. }
            | DiskOp::WriteFile { path, .. } => [Some(path), None],
            DiskOp::Rename { from, to } => [Some(from), Some(to)],
            DiskOp::Write { .. }
            | DiskOp::Read { .. }
            | DiskOp::ReadHistory { .. }
            | DiskOp::Zero { .. }
            | DiskOp::Sync { .. }
            | DiskOp::Space => [None, None],
        }
    }

    /// Whether one of its paths equals, contains or lies below `path`.
    #[must_use]
    pub fn touches(&self, path: &str) -> bool {
        let below = |path: &str, of: &str| {
            of.is_empty()
                || path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.paths().into_iter().flatten().any(|own| below(own, path) || below(path, own))
    }

    /// Whether both touch a common path: they must not overtake each other.
    #[must_use]
    pub fn is_bound_to(&self, other: &DiskOp) -> bool {
        self.paths().into_iter().flatten().any(|path| other.touches(path))
    }
}

/// What an operation gave.
#[derive(Debug, Clone)]
pub enum DiskOutcome {
    /// Done, nothing to tell.
    Done,
    /// The bytes.
    Read(Bytes),
    /// The range can be sent from the page cache.
    Resident,
    /// The file is open and this long, in bytes.
    Opened {
        /// The handle.
        file: FileHandle,
        /// The file's length in bytes.
        len: u64,
    },
    /// Directory entries, sorted by name.
    Listed(Vec<DirEntry>),
    /// A small file's content.
    File(Option<Bytes>),
    /// Room on the file system, in bytes.
    Space {
        /// Size of the file system.
        total: u64,
        /// What an ordinary user may still write.
        free: u64,
    },
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Without its directory.
    pub name: String,
    /// In bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Why an operation failed. Nothing is known about how much of a failed write reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// No room (ENOSPC, EDQUOT).
    NoSpace,
    /// No descriptor is left (EMFILE, ENFILE). Nothing of the operation that matters was done: it may be asked for again.
    TooManyFiles,
    /// The file is missing or exists already where it must not.
    Missing,
    /// Exists already.
    Exists,
    /// Any other error number.
    Io(i32),
}

impl DiskError {
    /// Whether it ends by itself once somebody gives back what is short, room or descriptors.
    #[must_use]
    pub fn is_shortage(self) -> bool {
        matches!(self, DiskError::NoSpace | DiskError::TooManyFiles)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::NoSpace => f.write_str("no space left on device"),
            DiskError::TooManyFiles => {
                f.write_str("too many open files: raise the limit (LimitNOFILE=, ulimit -n)")
            }
            DiskError::Missing => f.write_str("no such file"),
            DiskError::Exists => f.write_str("file exists"),
            DiskError::Io(0) => f.write_str("an operation was answered as if it were another"),
            DiskError::Io(errno) => io::Error::from_raw_os_error(*errno).fmt(f),
        }
    }
}

/// Collects a shard's disk operations during a turn; the shell takes them with [`DiskQueue::drain`].
#[derive(Debug, Default)]
pub struct DiskQueue {
    sequence: u32,
    ops: Vec<(DiskToken, DiskOp)>,
}

impl DiskQueue {
    /// Queues `op` for the owner with slot `owner` and names it.
    pub fn push(&mut self, owner: u32, op: DiskOp) -> DiskToken {
        self.sequence = self.sequence.wrapping_add(1);
        let token = DiskToken((u64::from(owner) << 32) | u64::from(self.sequence));
        self.ops.push((token, op));
        token
    }

    /// Takes what was queued, in order.
    pub fn drain(&mut self) -> std::vec::Drain<'_, (DiskToken, DiskOp)> {
        self.ops.drain(..)
    }

    /// Whether nothing waits to be taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_bound_when_a_path_of_one_lies_below_one_of_the_other() {
        let list = |path: &str| DiskOp::List { path: path.to_owned() };
        let renaming = |from: &str, to: &str| DiskOp::Rename { from: from.to_owned(), to: to.to_owned() };
        for (a, b, expected) in [
            (list("t/0"), list("t/0"), true),
            (list("t/0"), list("t/0/a"), true),
            (list("t"), list("t/0/a"), true),
            (list("t/0"), list("t/01"), false),
            (list("t/0/a"), list("t/0/b"), false),
            (list(""), list("t"), true),
            (renaming("a", "b"), list("b"), true),
            (renaming("a", "b"), renaming("c", "a"), true),
            (renaming("a", "b"), renaming("c", "d"), false),
            (list("t"), DiskOp::Space, false),
        ] {
            assert_eq!(a.is_bound_to(&b), expected, "{a:?} and {b:?}");
            assert_eq!(b.is_bound_to(&a), expected, "{b:?} and {a:?}");
        }
    }
}
