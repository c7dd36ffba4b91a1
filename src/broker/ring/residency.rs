//! Whether a range of a file can be sent from the page cache without waiting for the disk.
//!
//! `cachestat(2)` (Linux 6.5) counts pages that are present, which includes pages a read is still filling; so the
//! range's first and last byte are also read with `RWF_NOWAIT`, which refuses to wait for such a page. Between this
//! answer and the `sendfile` a page may be dropped again: then the send waits for one disk read, which is rare and
//! bounded. `mincore` would be exact but needs a mapping per segment.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{ReadWriteFlags, preadv2};

/// The system call's number; the same on every architecture since the tables were unified.
const SYS_CACHESTAT: libc::c_long = 451;
const PAGE_BYTES: u64 = 4096;

/// The kernel's `struct cachestat_range`.
#[repr(C)]
struct Range {
    offset: u64,
    len: u64,
}

/// The kernel's `struct cachestat`, all counts in pages.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Set once the kernel said that it does not know the call.
static UNKNOWN: AtomicBool = AtomicBool::new(false);

/// Whether `[offset, offset + len)` can be read without waiting. Never waits itself.
pub(super) fn is_resident(file: BorrowedFd<'_>, offset: u64, len: u64) -> bool {
    if len == 0 {
        return true;
    }
    let (first, last) = (offset / PAGE_BYTES, (offset + len - 1) / PAGE_BYTES);
    match cached_pages(file, offset, len) {
        Some(pages) => {
            pages > last - first
                && byte_is_ready(file, offset)
                && (last == first || byte_is_ready(file, offset + len - 1))
        }
        None => (first..=last).all(|page| byte_is_ready(file, (page * PAGE_BYTES).max(offset))),
    }
}

/// How many pages of the range are in the page cache, if the kernel can tell.
fn cached_pages(file: BorrowedFd<'_>, offset: u64, len: u64) -> Option<u64> {
    if UNKNOWN.load(Ordering::Relaxed) {
        return None;
    }
    let (range, mut counts) = (Range { offset, len }, Counts::default());
    // SAFETY: both structures have the kernel's layout and outlive the call; the descriptor is borrowed.
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut counts, 0) };
    if result == 0 {
        return Some(counts.cached);
    }
    UNKNOWN.store(true, Ordering::Relaxed);
    None
}

/// Whether the byte at `offset` is there without waiting.
pub(super) fn byte_is_ready(file: BorrowedFd<'_>, offset: u64) -> bool {
    let mut byte = [0];
    preadv2(file, &mut [IoSliceMut::new(&mut byte)], offset, ReadWriteFlags::NOWAIT) == Ok(1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn written_pages_are_resident_and_what_lies_behind_the_end_is_not() {
        let path = std::env::temp_dir().join(format!("corelane-residency-{}", std::process::id()));
        let mut file = std::fs::File::create_new(&path).expect("a new temporary file");
        let reader = std::fs::File::open(&path).expect("the file just made");
        std::fs::remove_file(&path).expect("the file just made");
        file.write_all(&[7; 3 * 4096]).expect("room for three pages");
        for (offset, len, expected) in [
            (0, 0, true),
            (0, 1, true),
            (0, 12288, true),
            (4095, 2, true),
            (0, 12289, false),
            (40960, 1, false),
        ] {
            assert_eq!(is_resident(reader.as_fd(), offset, len), expected, "{len} bytes at {offset}");
        }
    }
}
