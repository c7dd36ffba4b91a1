//! What stands behind a file handle in this shell: one descriptor of a segment, or two, and the thread that closes them.
//!
//! Writes and reads of the log go past the page cache through the direct descriptor; `sendfile` and read-ahead use the
//! buffered one, which is opened when it is first asked for: most logs are read from memory only, and descriptors are what
//! bounds the number of partitions. Read-ahead waits for request slots, and closing the last descriptor of a removed file
//! frees its blocks: both happen on one helper thread per broker, and on a shard only while that has `ERRANDS_MAX` errands
//! to do.
//!
//! Freeing blocks holds up everybody's writes for as long as it takes, some 0.2 ms for each MiB (see `src/README.md`). So the
//! helper shortens a removed file bit by bit before it closes it. It must be the last that has the file open: whoever
//! opens one shares a lock on it (`flock`), and only who can have the lock alone shortens it.

use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use std::{io, thread};

use corelane_log::disk::{FileHandle, FileObject};
use corelane_tuning::needs::FILES_RESERVE;
use rustix::fs::{Advice, FlockOperation, fadvise, flock, fstat, ftruncate};
use rustix::process::{Resource, getrlimit};

/// Errands that may wait. Beyond it read-ahead is skipped (it is only advice) and files are closed where they are.
const ERRANDS_MAX: usize = 1024;

/// How much of a removed file is freed at once; smaller ones are freed whole. Files are cut at multiples of it, and so
/// never inside the largest piece of the page cache: the kernel would put zeros into the rest of a piece that is cut, which
/// may be on its way to a consumer.
const FREE_STEP_BYTES: u64 = 2 << 20;
/// Removed files kept open at most: for more to come, steps follow each other without a pause.
const FREEING_MAX: usize = 64;
/// Behind each step the disk is left alone for so many times as long as it took,
const FREE_PAUSE_FACTOR: u32 = 3;
/// unless more than this is still to be freed: then room is what matters.
const FREE_HURRY_BYTES: u64 = 8 << 30;

enum Errand {
    Close(Descriptors),
    ReadAhead { file: Arc<OwnedFd>, offset: u64, len: u64 },
}

/// The way to the helper thread. The thread ends when the last clone is gone.
#[derive(Clone)]
pub struct Helper {
    errands: SyncSender<Errand>,
}

impl Helper {
    /// Starts the thread. Errors: the system has no thread left.
    pub fn start() -> io::Result<Helper> {
        let (errands, inbox) = sync_channel(ERRANDS_MAX);
        thread::Builder::new().name("corelane-files".to_string()).spawn(move || run(&inbox))?;
        Ok(Helper { errands })
    }
}

fn run(inbox: &Receiver<Errand>) {
    let mut freeing = Freeing::default();
    let mut step_next = Instant::now();
    loop {
        let errand = if freeing.is_empty() {
            inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            let now = Instant::now();
            if step_next <= now {
                step_next = now + freeing.step();
            }
            inbox.recv_timeout(step_next.saturating_duration_since(Instant::now()))
        };
        match errand {
            Ok(Errand::Close(Descriptors { direct, buffered })) => {
                drop(buffered);
                freeing.close(direct);
            }
            Ok(Errand::ReadAhead { file, offset, len }) => {
                // Advice that cannot be followed costs nothing but speed.
                let _ = fadvise(&*file, offset, std::num::NonZeroU64::new(len), Advice::WillNeed);
            }
            Err(RecvTimeoutError::Timeout) => {}
            // What is still to be freed the kernel frees.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Removed files that nobody has open any more, each with the length it still has.
#[derive(Default)]
struct Freeing {
    files: VecDeque<(OwnedFd, u64)>,
    /// In all of them.
    bytes: u64,
}

impl Freeing {
    fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Closes a file, now or, if that frees much, after having freed it step by step.
    fn close(&mut self, direct: OwnedFd) {
        let removed_len =
            fstat(&direct).ok().filter(|stat| stat.st_nlink == 0).map(|stat| stat.st_size as u64);
        if let Some(len) = removed_len.filter(|&len| len > FREE_STEP_BYTES)
            && flock(&direct, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            while self.files.len() >= FREEING_MAX {
                self.step();
            }
            self.bytes += len;
            self.files.push_back((direct, len));
        }
    }

    /// Frees a bit: how long to wait before the next.
    fn step(&mut self) -> Duration {
        let Some((file, len)) = self.files.front_mut() else { return Duration::ZERO };
        let began = Instant::now();
        let rest = len.saturating_sub(1) / FREE_STEP_BYTES * FREE_STEP_BYTES;
        self.bytes -= *len - rest;
        *len = rest;
        // If it cannot be shortened, closing it frees it.
        if ftruncate(file, rest).is_err() || rest == 0 {
            self.bytes -= rest;
            self.files.pop_front();
        }
        if self.bytes > FREE_HURRY_BYTES { Duration::ZERO } else { began.elapsed() * FREE_PAUSE_FACTOR }
    }
}

struct Descriptors {
    direct: OwnedFd,
    /// Set once.
    buffered: OnceLock<Arc<OwnedFd>>,
}

/// Leaves the last descriptors to others: without connections nobody could make this better, and without its own small
/// files a broker could not go on. The kernel gives the lowest free number, so that of a new one, which `opened` must be,
/// tells how many are taken. Errors: `EMFILE`.
pub fn check_reserve(opened: &File) -> io::Result<()> {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    let taken = opened.as_raw_fd() as u64 + 1;
    let enough = taken + FILES_RESERVE.min(limit / 4) <= limit;
    if enough { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EMFILE)) }
}

impl Descriptors {
    /// Opens the file once more if nobody has asked before: whatever its name is by now, and even if it has none. That
    /// takes microseconds and no disk, for an open file is in the kernel's memory.
    fn buffered(&self) -> io::Result<&Arc<OwnedFd>> {
        if let Some(opened) = self.buffered.get() {
            return Ok(opened);
        }
        let opened = File::open(format!("/proc/self/fd/{}", self.direct.as_raw_fd()))?;
        check_reserve(&opened)?;
        // The helper reads ahead on purpose; the kernel doing so by itself would do it on the shard.
        fadvise(&opened, 0, None, Advice::Random)?;
        Ok(self.buffered.get_or_init(|| Arc::new(opened.into())))
    }
}

/// An open segment.
pub struct SegmentFile {
    /// `None` only while it is being dropped.
    descriptors: Option<Descriptors>,
    /// Where the last read-ahead ended, in bytes.
    ahead_end: AtomicU64,
    helper: Helper,
}

impl SegmentFile {
    /// Opens `path`; gives the handle and the file's length. While the handle lives, the file keeps its content even if
    /// it is removed. Errors: `EINVAL` if the file system has no direct I/O, `EMFILE` if it would take one of the last
    /// descriptors.
    pub fn open(path: &Path, helper: &Helper) -> io::Result<(FileHandle, u64)> {
        let direct = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
        check_reserve(&direct)?;
        // Nobody has it alone as long as it has a name.
        flock(&direct, FlockOperation::NonBlockingLockShared)?;
        let len = direct.metadata()?.len();
        let file = SegmentFile {
            descriptors: Some(Descriptors { direct: direct.into(), buffered: OnceLock::new() }),
            ahead_end: AtomicU64::new(0),
            helper: helper.clone(),
        };
        Ok((FileHandle::new(file), len))
    }

    /// Keeps a file that is about to be removed, if it is a large one: when this goes, the helper frees it bit by bit.
    #[must_use]
    pub fn hold_doomed(path: &Path, helper: &Helper) -> Option<FileHandle> {
        let found = std::fs::symlink_metadata(path).ok()?;
        let large = found.is_file() && found.len() > FREE_STEP_BYTES;
        if large { SegmentFile::open(path, helper).ok().map(|(file, _)| file) } else { None }
    }

    fn descriptors(&self) -> &Descriptors {
        self.descriptors.as_ref().expect("only drop takes them")
    }

    /// The descriptor for reads and writes past the page cache.
    #[must_use]
    pub fn direct(&self) -> BorrowedFd<'_> {
        self.descriptors().direct.as_fd()
    }

    /// The descriptor for reads through the page cache. Errors: no descriptor is left, the first time.
    pub fn buffered(&self) -> io::Result<BorrowedFd<'_>> {
        self.descriptors().buffered().map(|opened| opened.as_fd())
    }

    /// Has the helper bring `[offset, offset + len)` into the page cache, unless most of it was asked for just before.
    pub fn read_ahead(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        let asked = self.ahead_end.load(Ordering::Relaxed);
        let fresh = (offset..=end).contains(&asked);
        if fresh && end - asked < len / 2 {
            return;
        }
        let start = if fresh { asked } else { offset };
        let Ok(file) = self.descriptors().buffered() else { return };
        let errand = Errand::ReadAhead { file: Arc::clone(file), offset: start, len: end - start };
        if end > start && self.helper.errands.try_send(errand).is_ok() {
            self.ahead_end.store(end, Ordering::Relaxed);
        }
    }
}

impl FileObject for SegmentFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        // A read-ahead under way has the buffered descriptor, too, and is in front.
        if let Some(descriptors) = self.descriptors.take() {
            let _ = self.helper.errands.try_send(Errand::Close(descriptors));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::ring::residency::is_resident;

    /// A new file of `bytes` ones.
    fn written(name: &str, bytes: usize) -> PathBuf {
        // Not the folder for temporary files, which may lie in memory. Cargo may have been told to build elsewhere.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder).expect("a folder beside the sources");
        let path = folder.join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, vec![1; bytes]).expect("room for a few megabytes");
        path
    }

    #[test]
    fn a_removed_file_is_freed_step_by_step_by_the_last_that_has_it_open() {
        let path = written("freed", (6 << 20) + 4096);
        let direct = || {
            let file = File::options().read(true).write(true).open(&path).expect("the file just written");
            flock(&file, FlockOperation::NonBlockingLockShared).expect("nobody has it alone");
            OwnedFd::from(file)
        };
        let (named, first, last) = (direct(), direct(), direct());
        let watch = File::open(&path).expect("the file just written");
        let mut freeing = Freeing::default();
        freeing.close(named);
        assert!(freeing.is_empty(), "it has its name");
        std::fs::remove_file(&path).expect("the file just written");
        freeing.close(first);
        assert!(freeing.is_empty(), "somebody else has it open");
        freeing.close(last);
        let mut lens = Vec::new();
        while !freeing.is_empty() {
            freeing.step();
            lens.push(watch.metadata().expect("an open file").len());
        }
        assert_eq!(lens, [6 << 20, 4 << 20, 2 << 20, 0], "cut where no piece of the page cache is cut");
        assert_eq!(freeing.bytes, 0);
    }

    #[test]
    fn readers_of_a_removed_file_keep_its_content() {
        let helper = Helper::start().expect("a thread");
        let paths = [written("read", 3 << 20), written("unread", 3 << 20)];
        let watches = paths.each_ref().map(|path| File::open(path).expect("the file just written"));
        let len = |i: usize| watches[i].metadata().expect("an open file").len();
        let wait_until_freed = |i: usize| {
            let end = Instant::now() + Duration::from_secs(60);
            while len(i) > 0 {
                assert!(Instant::now() < end, "the helper does not free file {i}");
                thread::yield_now();
            }
        };
        let (reader, _) = SegmentFile::open(&paths[0], &helper).expect("the file just written");
        for path in &paths {
            let _doomed = SegmentFile::hold_doomed(path, &helper).expect("a large file");
            std::fs::remove_file(path).expect("the file just written");
        }
        // Errands are run in order.
        wait_until_freed(1);
        assert_eq!(len(0), 3 << 20, "somebody reads it");
        drop(reader);
        wait_until_freed(0);
    }

    #[test]
    fn read_ahead_makes_a_range_resident() {
        let path = written("ahead", 4 << 20);
        let helper = Helper::start().expect("a thread");
        let (handle, len) = SegmentFile::open(&path, &helper).expect("the file just written");
        assert_eq!(len, 4 << 20);
        std::fs::remove_file(&path).expect("the file just written");
        let file = handle.get::<SegmentFile>();
        assert!(
            file.descriptors().buffered.get().is_none(),
            "one descriptor as long as nobody asks for the other"
        );
        let buffered = file.buffered().expect("a removed file can still be opened once more");
        let again = file.buffered().expect("it is open");
        assert_eq!(again.as_raw_fd(), buffered.as_raw_fd(), "once");
        // Clean pages can be dropped, so what was just written is not in the way.
        rustix::fs::fsync(buffered).expect("a sound disk");
        fadvise(buffered, 0, None, Advice::DontNeed).expect("advice");
        assert!(!is_resident(buffered, 1 << 20, 1 << 20), "nothing has read it yet");
        file.read_ahead(1 << 20, 1 << 20);
        let end = Instant::now() + Duration::from_secs(60);
        while !is_resident(buffered, 1 << 20, 1 << 20) {
            assert!(Instant::now() < end, "the helper does not read ahead");
            thread::yield_now();
        }
        assert!(!is_resident(buffered, 3 << 20, 4096), "no more than was asked for");
        // What was asked for just before is not asked for again, and what lies behind it is.
        file.read_ahead((1 << 20) + 4096, 1 << 20);
        assert_eq!(file.ahead_end.load(Ordering::Relaxed), 2 << 20);
        file.read_ahead((1 << 20) + (600 << 10), 1 << 20);
        assert_eq!(file.ahead_end.load(Ordering::Relaxed), (2 << 20) + (600 << 10));
    }
}
