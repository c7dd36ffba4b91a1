//! The buffers that multishot receives fill: a ring of provided buffers shared with the kernel.
//!
//! The kernel takes a buffer when bytes arrive, not when a receive is armed, so a thousand idle connections hold none.
//! Measured: 64 buffers of 64 KiB never ran dry, 2 of 4 KiB starved connections.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::ring::uring::Uring;

const COUNT: u16 = 64;
const SIZE: usize = 64 * 1024;
/// All of them, in bytes.
pub(super) const TOTAL_BYTES: u64 = COUNT as u64 * SIZE as u64;
/// The group's name in receive operations.
pub(super) const GROUP: u16 = 0;

const _: () = assert!(COUNT.is_power_of_two());

/// Invariant: each buffer is either published (the kernel's) or lent by [`RecvBuffers::bytes`] and not yet recycled.
pub(super) struct RecvBuffers {
    /// `COUNT` entries, page aligned, shared with the kernel.
    entries: NonNull<BufRingEntry>,
    /// `COUNT * SIZE` bytes, page aligned.
    memory: NonNull<u8>,
    /// Entries ever published, modulo 2^16.
    tail: u16,
    /// Set when the kernel may still write: then nothing is freed.
    leaked: bool,
}

const ENTRIES: Layout = layout(COUNT as usize * size_of::<BufRingEntry>());
const MEMORY: Layout = layout(COUNT as usize * SIZE);

const fn layout(bytes: usize) -> Layout {
    match Layout::from_size_align(bytes, 4096) {
        Ok(layout) => layout,
        Err(_) => panic!("a size below isize::MAX and a power of two"),
    }
}

fn allocate<T>(layout: Layout) -> NonNull<T> {
    // SAFETY: both layouts above have a size that is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout))
}

impl RecvBuffers {
    /// Allocates the buffers and registers them with `uring`.
    pub fn new(uring: &Uring) -> io::Result<RecvBuffers> {
        let mut buffers =
            RecvBuffers { entries: allocate(ENTRIES), memory: allocate(MEMORY), tail: 0, leaked: false };
        let address = buffers.entries.as_ptr() as u64;
        // SAFETY: the entries live until after the ring is gone: they are freed by `drop` below, which the ring's
        // owner runs last, or never.
        unsafe { uring.submitter().register_buf_ring_with_flags(address, COUNT, GROUP, 0) }?;
        (0..COUNT).for_each(|id| buffers.recycle(id));
        Ok(buffers)
    }

    /// The `len` bytes the kernel put into buffer `id`.
    pub fn bytes(&self, id: u16, len: usize) -> &[u8] {
        assert!(id < COUNT, "the kernel names buffers we gave it");
        assert!(len <= SIZE, "the kernel stays inside a buffer");
        // SAFETY: within the allocation by the assertions, initialised (zeroed at first), and not the kernel's until
        // `recycle`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(usize::from(id) * SIZE), len) }
    }

    /// Gives buffer `id` back to the kernel, visibly at once.
    pub fn recycle(&mut self, id: u16) {
        assert!(id < COUNT, "the kernel names buffers we gave it");
        let index = usize::from(self.tail % COUNT);
        // SAFETY: `index` lies inside the entries; the kernel reads an entry only below the tail, published next.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(index);
            entry.set_addr(self.memory.as_ptr().add(usize::from(id) * SIZE) as u64);
            entry.set_len(SIZE as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the kernel's tail is a field of the first entry; it is written here alone and only read there.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Keeps the memory for ever: the kernel may still write into it.
    pub fn leak(&mut self) {
        self.leaked = true;
    }
}

impl Drop for RecvBuffers {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        // SAFETY: allocated with these layouts in `new`; no receive is under way, or `leak` would have been called.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), ENTRIES);
            dealloc(self.memory.as_ptr(), MEMORY);
        }
    }
}
