//! What stands behind a file handle in this shell: two descriptors of one segment, and the thread that closes them.
//!
//! Writes and reads of the log go past the page cache through the direct descriptor; `sendfile` and read-ahead use the
//! buffered one. Closing the last descriptor of a removed file frees its blocks, which can take milliseconds: that,
//! and read-ahead (it waits for request slots), happen on one helper thread per broker, never on a shard.

use std::any::Any;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::{io, thread};

use corelane_log::disk::{FileHandle, FileObject};
use rustix::fs::{Advice, fadvise};

/// Errands that may wait. Beyond it read-ahead is skipped (it is only advice) and files are closed where they are.
const ERRANDS_MAX: usize = 1024;

enum Errand {
    Close(OwnedFd, OwnedFd),
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
    while let Ok(errand) = inbox.recv() {
        match errand {
            Errand::Close(direct, buffered) => drop((direct, buffered)),
            Errand::ReadAhead { file, offset, len } => {
                // Advice that cannot be followed costs nothing but speed.
                let _ = fadvise(&*file, offset, std::num::NonZeroU64::new(len), Advice::WillNeed);
            }
        }
    }
}

/// An open segment.
pub struct SegmentFile {
    /// `None` only while it is being dropped.
    direct: Option<OwnedFd>,
    buffered: Arc<OwnedFd>,
    /// Where the last read-ahead ended, in bytes.
    ahead_end: AtomicU64,
    helper: Helper,
}

impl SegmentFile {
    /// Opens `path` for direct and for buffered I/O; gives the handle and the file's length. Errors: `EINVAL` if the
    /// file system has no direct I/O.
    pub fn open(path: &Path, helper: &Helper) -> io::Result<(FileHandle, u64)> {
        let direct = File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
        let buffered = File::open(path)?;
        let len = buffered.metadata()?.len();
        // The helper reads ahead on purpose; the kernel doing so by itself would do it on the shard.
        fadvise(&buffered, 0, None, Advice::Random)?;
        let file = SegmentFile {
            direct: Some(direct.into()),
            buffered: Arc::new(buffered.into()),
            ahead_end: AtomicU64::new(0),
            helper: helper.clone(),
        };
        Ok((FileHandle::new(file), len))
    }

    /// The descriptor for reads and writes past the page cache.
    #[must_use]
    pub fn direct(&self) -> BorrowedFd<'_> {
        self.direct.as_ref().expect("only drop takes it").as_fd()
    }

    /// The descriptor for reads through the page cache.
    #[must_use]
    pub fn buffered(&self) -> BorrowedFd<'_> {
        self.buffered.as_fd()
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
        let errand = Errand::ReadAhead { file: Arc::clone(&self.buffered), offset: start, len: end - start };
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
        let Some(direct) = self.direct.take() else { return };
        // A read-ahead under way holds the buffered descriptor on the helper thread and closes it there.
        if let Ok(buffered) = self.buffered.try_clone() {
            let _ = self.helper.errands.try_send(Errand::Close(direct, buffered));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::ring::residency::is_resident;

    #[test]
    fn read_ahead_makes_a_range_resident() {
        // Not the folder for temporary files, which may lie in memory. Cargo may have been told to build elsewhere.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder).expect("a folder beside the sources");
        let path = folder.join(format!("ahead-{}", std::process::id()));
        std::fs::write(&path, vec![1; 4 << 20]).expect("room for four megabytes");
        let helper = Helper::start().expect("a thread");
        let (handle, len) = SegmentFile::open(&path, &helper).expect("the file just written");
        assert_eq!(len, 4 << 20);
        std::fs::remove_file(&path).expect("the file just written");
        let file = handle.get::<SegmentFile>();
        // Clean pages can be dropped, so what was just written is not in the way.
        rustix::fs::fsync(file.buffered()).expect("a sound disk");
        fadvise(file.buffered(), 0, None, Advice::DontNeed).expect("advice");
        assert!(!is_resident(file.buffered(), 1 << 20, 1 << 20), "nothing has read it yet");
        file.read_ahead(1 << 20, 1 << 20);
        let end = Instant::now() + Duration::from_secs(60);
        while !is_resident(file.buffered(), 1 << 20, 1 << 20) {
            assert!(Instant::now() < end, "the helper does not read ahead");
            thread::yield_now();
        }
        assert!(!is_resident(file.buffered(), 3 << 20, 4096), "no more than was asked for");
        // What was asked for just before is not asked for again, and what lies behind it is.
        file.read_ahead((1 << 20) + 4096, 1 << 20);
        assert_eq!(file.ahead_end.load(Ordering::Relaxed), 2 << 20);
        file.read_ahead((1 << 20) + (600 << 10), 1 << 20);
        assert_eq!(file.ahead_end.load(Ordering::Relaxed), (2 << 20) + (600 << 10));
    }
}
