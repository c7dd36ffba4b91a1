//! Direct writes and reads of segments on the ring.
//!
//! Writes go on after a short write; reads are widened to whole blocks and cut to what was asked for. A history read
//! asks the page cache first. Nothing here orders operations: completions come as the device gives them.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;

use bytes::{Bytes, BytesMut};
use corelane_base::aligned::{BLOCK_BYTES, aligned_buffer, block_ceil, block_floor, is_aligned};
use corelane_log::disk::{DiskError, DiskOp, DiskOutcome, DiskToken, FileHandle};
use corelane_node::event::Event;
use corelane_tuning::profile::Bounds;
use io_uring::{opcode, types};

use crate::ring::RingCounters;
use crate::ring::residency::{byte_is_ready, is_resident};
use crate::ring::segment_file::SegmentFile;
use crate::ring::uring::{Completion, Kind, Uring, user_data};

/// `IOV_MAX`: how many pieces one write may have; the rest follows as after a short write.
const IOVECS_MAX: usize = 1024;

/// What the kernel says of a failed operation, in the log's words.
pub fn disk_error(errno: i32) -> DiskError {
    match errno {
        libc::ENOSPC | libc::EDQUOT => DiskError::NoSpace,
        libc::EMFILE | libc::ENFILE => DiskError::TooManyFiles,
        libc::ENOENT => DiskError::Missing,
        libc::EEXIST => DiskError::Exists,
        other => DiskError::Io(other),
    }
}

enum Work {
    Write {
        parts: Vec<Bytes>,
        len: usize,
        sync: bool,
        /// What the kernel was given; unchanged until its completion.
        iovecs: Vec<libc::iovec>,
    },
    Read {
        /// Aligned; its capacity is at least `wide`.
        buffer: BytesMut,
        /// Bytes to read from the widened start.
        wide: usize,
        /// Where in the buffer the asked bytes begin, and how many they are.
        skip: usize,
        len: usize,
    },
}

/// An operation under way.
struct Job {
    token: DiskToken,
    file: FileHandle,
    /// Start of the (widened) range in the file.
    offset: u64,
    /// Bytes completed so far.
    done: usize,
    work: Work,
}

type Answer = (DiskToken, Result<DiskOutcome, DiskError>);

/// The disk operations of one shard.
pub(super) struct Disk {
    /// Operations of one kind that the kernel works on at once; more wait here, first come first served.
    bounds: Bounds,
    jobs: Vec<Option<Job>>,
    free: Vec<u32>,
    /// Answers that needed no disk.
    ready: VecDeque<Answer>,
    writes: Lane,
    reads: Lane,
}

/// Operations of one kind, by their slots.
#[derive(Default)]
struct Lane {
    /// What the kernel works on.
    under_way: usize,
    waiting: VecDeque<u32>,
}

impl Disk {
    pub fn new(bounds: Bounds) -> Disk {
        Disk {
            bounds,
            jobs: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            writes: Lane::default(),
            reads: Lane::default(),
        }
    }

    pub fn carry_out(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        token: DiskToken,
        op: DiskOp,
    ) -> Option<(DiskToken, DiskOp)> {
        match op {
            DiskOp::Write { file, offset, parts, sync } => {
                assert!(offset.is_multiple_of(BLOCK_BYTES as u64), "direct writes begin at a block");
                for part in &parts {
                    assert!(is_aligned(part), "direct writes come from aligned memory");
                    assert!(part.len().is_multiple_of(BLOCK_BYTES), "direct writes are whole blocks");
                }
                let len = parts.iter().map(Bytes::len).sum();
                if len == 0 {
                    self.ready.push_back((token, Ok(DiskOutcome::Done)));
                } else {
                    let work = Work::Write { parts, len, sync, iovecs: Vec::new() };
                    self.begin(uring, Job { token, file, offset, done: 0, work });
                }
            }
            DiskOp::Read { file, offset, len } => self.read(uring, token, file, offset, len),
            DiskOp::ReadHistory { file, offset, len, read_ahead } => {
                let segment = file.get::<SegmentFile>();
                // Without a descriptor for the page cache it is a read like any other.
                let resident = segment.buffered().is_ok_and(|cached| {
                    let end = offset.saturating_add(u64::from(len));
                    if read_ahead > 0 && !byte_is_ready(cached, end + u64::from(read_ahead / 2)) {
                        segment.read_ahead(end, u64::from(read_ahead));
                    }
                    is_resident(cached, offset, u64::from(len))
                });
                if resident {
                    counters.history_resident += 1;
                    self.ready.push_back((token, Ok(DiskOutcome::Resident)));
                } else {
                    counters.history_missed += 1;
                    self.read(uring, token, file, offset, len);
                }
            }
            other => return Some((token, other)),
        }
        None
    }

    fn read(&mut self, uring: &mut Uring, token: DiskToken, file: FileHandle, offset: u64, len: u32) {
        let start = block_floor(offset);
        let (skip, len) = ((offset - start) as usize, len as usize);
        let wide = block_ceil((skip + len) as u64) as usize;
        if len == 0 {
            self.ready.push_back((token, Ok(DiskOutcome::Read(Bytes::new()))));
            return;
        }
        let work = Work::Read { buffer: aligned_buffer(wide), wide, skip, len };
        self.begin(uring, Job { token, file, offset: start, done: 0, work });
    }

    fn begin(&mut self, uring: &mut Uring, job: Job) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            (self.jobs.len() - 1) as u32
        });
        let (lane, count_max) = self.lane(&job.work);
        if lane.under_way < count_max {
            lane.under_way += 1;
            self.jobs[slot as usize] = Some(job);
            self.submit(uring, slot);
        } else {
            lane.waiting.push_back(slot);
            self.jobs[slot as usize] = Some(job);
        }
    }

    fn lane(&mut self, work: &Work) -> (&mut Lane, usize) {
        match work {
            Work::Write { .. } => (&mut self.writes, self.bounds.writes_max as usize),
            Work::Read { .. } => (&mut self.reads, self.bounds.reads_max as usize),
        }
    }

    /// Lets the next of the same kind begin in the place of a finished one.
    fn next(&mut self, uring: &mut Uring, finished: &Work) {
        let (lane, _) = self.lane(finished);
        match lane.waiting.pop_front() {
            Some(slot) => self.submit(uring, slot),
            None => lane.under_way -= 1,
        }
    }

    /// Submits what of the job in `slot` is not done.
    fn submit(&mut self, uring: &mut Uring, slot: u32) {
        let job = self.jobs[slot as usize].as_mut().expect("submitted for a job under way");
        let fd = types::Fd(job.file.get::<SegmentFile>().direct().as_raw_fd());
        let at = job.offset + job.done as u64;
        let entry = match &mut job.work {
            Work::Write { parts, sync, iovecs, .. } => {
                gather(iovecs, parts, job.done);
                let flags = if *sync { libc::RWF_DSYNC } else { 0 };
                opcode::Writev::new(fd, iovecs.as_ptr(), iovecs.len() as u32)
                    .offset(at)
                    .rw_flags(flags)
                    .build()
            }
            Work::Read { buffer, wide, .. } => {
                let free = &mut buffer.spare_capacity_mut()[..*wide - job.done];
                opcode::Read::new(fd, free.as_mut_ptr().cast(), free.len() as u32).offset(at).build()
            }
        };
        // SAFETY: buffers, iovecs and the open file belong to the job, which stays in its slot until the completion.
        unsafe { uring.push(&entry.user_data(user_data(Kind::Disk, slot))) };
    }

    pub fn on_completion(
        &mut self,
        uring: &mut Uring,
        counters: &mut RingCounters,
        c: Completion,
        sink: &mut dyn FnMut(Event<'_>),
    ) {
        let slot = c.slot();
        let job = self.jobs[slot as usize].as_mut().expect("a completion belongs to a job under way");
        if matches!(-c.result, libc::EINTR | libc::EAGAIN) {
            self.submit(uring, slot);
            return;
        }
        let result = match usize::try_from(c.result) {
            Err(_) => Err(disk_error(-c.result)),
            Ok(count) => {
                if job.advance(count) {
                    self.submit(uring, slot);
                    return;
                }
                Ok(())
            }
        };
        let job = self.jobs[slot as usize].take().expect("looked at just before");
        self.free.push(slot);
        self.next(uring, &job.work);
        let token = job.token;
        let result = result.and_then(|()| job.finish(counters));
        sink(Event::Disk { token, result });
    }

    /// Hands over the answers that needed no disk.
    pub fn take_ready(&mut self, sink: &mut dyn FnMut(Event<'_>)) -> bool {
        let any = !self.ready.is_empty();
        for (token, result) in self.ready.drain(..) {
            sink(Event::Disk { token, result });
        }
        any
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether the kernel works on nothing.
    pub fn is_quiet(&self) -> bool {
        self.jobs.len() == self.free.len()
    }

    /// Keeps the memory of what is under way for ever.
    pub fn leak(&mut self) {
        std::mem::take(&mut self.jobs).into_iter().flatten().for_each(std::mem::forget);
    }
}

impl Job {
    /// Takes in `count` completed bytes. Returns whether to go on.
    fn advance(&mut self, count: usize) -> bool {
        self.done += count;
        match &mut self.work {
            Work::Write { len, .. } => {
                assert!(self.done <= *len, "the kernel writes no more than it was given");
                count > 0 && self.done < *len
            }
            Work::Read { buffer, wide, .. } => {
                assert!(self.done <= *wide, "the kernel reads no more than it was asked");
                // SAFETY: the kernel has filled this many bytes of the spare capacity, checked above.
                unsafe { buffer.set_len(self.done) };
                // A count that is no whole block is the file's end; a device may otherwise read short.
                count > 0 && count.is_multiple_of(BLOCK_BYTES) && self.done < *wide
            }
        }
    }

    fn finish(self, counters: &mut RingCounters) -> Result<DiskOutcome, DiskError> {
        match self.work {
            Work::Write { len, .. } if self.done < len => Err(DiskError::Io(libc::EIO)),
            Work::Write { len, .. } => {
                counters.disk_writes += 1;
                counters.disk_write_bytes += len as u64;
                Ok(DiskOutcome::Done)
            }
            Work::Read { buffer, skip, len, .. } => {
                counters.disk_reads += 1;
                counters.disk_read_bytes += self.done as u64;
                let bytes = buffer.freeze();
                let (start, end) = (skip.min(bytes.len()), (skip + len).min(bytes.len()));
                Ok(DiskOutcome::Read(bytes.slice(start..end)))
            }
        }
    }
}

/// Points `iovecs` at what of `parts` lies behind the first `done` bytes, merging neighbours in memory.
fn gather(iovecs: &mut Vec<libc::iovec>, parts: &[Bytes], done: usize) {
    iovecs.clear();
    let mut skip = done;
    for part in parts {
        let rest = &part[skip.min(part.len())..];
        skip = skip.saturating_sub(part.len());
        if !push_iovec(iovecs, rest) {
            return;
        }
    }
}

/// Adds `bytes`, to the last piece if they lie right behind it in memory. Returns false when no piece fits any more.
pub(super) fn push_iovec(iovecs: &mut Vec<libc::iovec>, bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    if let Some(last) = iovecs.last_mut()
        && last.iov_base as usize + last.iov_len == bytes.as_ptr() as usize
    {
        last.iov_len += bytes.len();
        return true;
    }
    if iovecs.len() == IOVECS_MAX {
        return false;
    }
    iovecs.push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use corelane_base::time::Mono;

    use super::*;
    use crate::ring::Ring;
    use crate::ring::segment_file::Helper;

    #[track_caller]
    fn check(lens: &[usize], done: usize, expected: &[usize]) {
        let mut iovecs = Vec::new();
        let parts: Vec<Bytes> = lens.iter().map(|&len| Bytes::from(vec![1; len])).collect();
        gather(&mut iovecs, &parts, done);
        let found: Vec<usize> = iovecs.iter().map(|iovec| iovec.iov_len).collect();
        assert_eq!(found, expected, "{lens:?} behind {done}");
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        check(&[4096, 8192], 0, &[4096, 8192]);
        check(&[4096, 8192], 512, &[3584, 8192]);
        check(&[4096, 8192], 4096, &[8192]);
        check(&[4096, 8192], 12287, &[1]);
        check(&[0, 5, 0], 0, &[5]);
    }

    #[test]
    fn neighbours_in_memory_become_one_piece() {
        let whole = Bytes::from(vec![0; 100]);
        let mut iovecs = Vec::new();
        gather(&mut iovecs, &[whole.slice(..40), whole.slice(40..60), whole.slice(70..)], 10);
        assert_eq!(iovecs.iter().map(|iovec| iovec.iov_len).collect::<Vec<_>>(), [50, 30]);
    }

    #[test]
    fn no_more_pieces_than_the_kernel_takes() {
        let parts: Vec<Bytes> = (0..IOVECS_MAX + 5).map(|_| Bytes::from(vec![0; 3])).collect();
        let mut iovecs = Vec::new();
        gather(&mut iovecs, &parts, 0);
        assert_eq!(iovecs.len(), IOVECS_MAX);
    }

    /// Gives the ring more operations than `bounds` allow; checks that as many as allowed and no more are with the
    /// kernel at once, and that all are done in the end.
    fn check_bounds(bounds: Bounds) {
        const COUNT: usize = 20;
        // Not the folder for temporary files, which may lie in memory. Cargo may have been told to build elsewhere.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder).expect("a folder beside the sources");
        let path = folder.join(format!("bounds-{}-{}", std::process::id(), bounds.writes_max));
        std::fs::write(&path, vec![1; COUNT * BLOCK_BYTES]).expect("room");
        let (file, _) = SegmentFile::open(&path, &Helper::start().expect("a thread")).expect("just written");
        std::fs::remove_file(&path).expect("just written");
        let doorbell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("a descriptor");
        let mut ring = Ring::new(Arc::new(doorbell), bounds).expect("a kernel with io_uring");
        let mut block = aligned_buffer(BLOCK_BYTES);
        block.resize(BLOCK_BYTES, 2);
        let block = block.freeze();
        for index in 0..COUNT {
            let offset = (index * BLOCK_BYTES) as u64;
            let (file, parts) = (file.clone(), vec![block.clone()]);
            let write = DiskOp::Write { file: file.clone(), offset, parts, sync: true };
            assert!(ring.disk(DiskToken(2 * index as u64), write).is_none());
            let read = DiskOp::Read { file, offset, len: BLOCK_BYTES as u32 };
            assert!(ring.disk(DiskToken(2 * index as u64 + 1), read).is_none());
        }
        let (writes_max, reads_max) = (bounds.writes_max as usize, bounds.reads_max as usize);
        assert_eq!(ring.disk.writes.under_way, writes_max.min(COUNT));
        assert_eq!(ring.disk.reads.under_way, reads_max.min(COUNT));
        let (mut done, end) = (0, Instant::now() + Duration::from_secs(60));
        while done < 2 * COUNT {
            assert!(Instant::now() < end, "{done} of {} were done", 2 * COUNT);
            let mut sink = |event: Event<'_>| match event {
                Event::Disk { result, .. } => {
                    assert!(result.is_ok(), "{result:?}");
                    done += 1;
                }
                other => panic!("nobody asked for {other:?}"),
            };
            if !ring.turn(Mono(1), &mut sink).expect("a sound ring") {
                std::thread::yield_now();
            }
            assert!(ring.disk.writes.under_way <= writes_max);
            assert!(ring.disk.reads.under_way <= reads_max);
        }
        assert!(ring.disk.is_quiet());
    }

    #[test]
    fn the_kernel_works_on_no_more_than_the_bounds() {
        check_bounds(Bounds { writes_max: 3, reads_max: 1 });
        check_bounds(Bounds { writes_max: 1, reads_max: 5 });
        check_bounds(Bounds::UNMEASURED);
    }
}
