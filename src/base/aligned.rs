//! Memory whose address is a multiple of 4096, as direct I/O wants it, without unsafe code: a little more is
//! allocated than asked for and the front is skipped.

use bytes::BytesMut;

/// The alignment of direct I/O in memory and in files, and the size of the block a commit pads to. Devices report
/// 512, but 4096 is what flash and file systems work in.
pub const BLOCK_BYTES: usize = 4096;

/// The smallest multiple of [`BLOCK_BYTES`] that is at least `n`.
#[must_use]
pub const fn block_ceil(n: u64) -> u64 {
    n.next_multiple_of(BLOCK_BYTES as u64)
}

/// The largest multiple of [`BLOCK_BYTES`] that is at most `n`.
#[must_use]
pub const fn block_floor(n: u64) -> u64 {
    n - n % BLOCK_BYTES as u64
}

/// An empty buffer that starts at an aligned address and takes exactly `capacity` bytes without moving. The memory
/// behind its end is as it was found: clearing what is written over anyway costs as much as the copy.
///
/// Shape: `split_to`/`split` of what was written gives shareable, immutable pieces of the same memory; what is
/// written later goes on behind them.
#[must_use]
pub fn aligned_buffer(capacity: usize) -> BytesMut {
    let mut whole = BytesMut::with_capacity(capacity + BLOCK_BYTES);
    let misaligned_by = whole.as_ptr() as usize % BLOCK_BYTES;
    let mut buffer = whole.split_off((BLOCK_BYTES - misaligned_by) % BLOCK_BYTES);
    // Exactly as much as asked for, however much was skipped: what fits must not depend on an address.
    let _ = buffer.split_off(capacity);
    assert!(is_aligned(&buffer), "what is in front was split off");
    assert!(buffer.capacity() == capacity, "the front skipped is shorter than a block");
    buffer
}

/// Whether a buffer starts at an address fit for direct I/O.
#[must_use]
pub fn is_aligned(bytes: &[u8]) -> bool {
    (bytes.as_ptr() as usize).is_multiple_of(BLOCK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_do_not_move_while_filled() {
        for capacity in [1, 4095, 4096, 4097, 131_072] {
            let mut buffer = aligned_buffer(capacity);
            let start = buffer.as_ptr();
            assert_eq!(buffer.capacity(), capacity);
            buffer.extend_from_slice(&vec![7; capacity]);
            assert_eq!(buffer.as_ptr(), start);
            assert!(is_aligned(&buffer));
        }
    }

    #[test]
    fn rounding_to_blocks() {
        assert_eq!((block_ceil(0), block_ceil(1), block_ceil(4096)), (0, 4096, 4096));
        assert_eq!((block_floor(4095), block_floor(4096), block_floor(4097)), (0, 4096, 4096));
    }
}
