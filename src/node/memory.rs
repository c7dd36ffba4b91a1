//! How a shard's share of `corelane.memory.bytes` is divided.
//!
//! Bounded by it: what grows with what clients send and leave lying. Not counted: the program, its metadata, indexes and
//! the receive buffers, which grow with topics and shards. The page cache is the kernel's.

/// The least a shard works with, in bytes, whatever the setting says: some of the largest batches and answers at once.
const SHARE_BYTES_MIN: u64 = 32 << 20;

/// One shard's limits, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The tails of all logs, flushed or not; beyond it the oldest flushed parts are given back, and what cannot be
    /// held is refused as a time-out, which producers retry.
    pub tails: u64,
    /// Incomplete and waiting frames of all connections. At the limit the connection that holds most is closed: waiting
    /// would let slow peers hold everybody's memory.
    pub inbox: usize,
    /// Answers that slow readers have not taken. Beyond it, whoever has not taken an answer gets no further one.
    pub unsent: usize,
    /// Batches that wait for their log to take them; beyond it they are refused as a time-out.
    pub deferred: usize,
}

impl MemoryLimits {
    /// The limits of one of `shard_count` shards of a broker that may take `bytes`.
    #[must_use]
    pub fn of(bytes: u64, shard_count: u16) -> MemoryLimits {
        let share = (bytes / u64::from(shard_count.max(1))).max(SHARE_BYTES_MIN);
        let quarter = usize::try_from(share / 4).unwrap_or(usize::MAX);
        MemoryLimits { tails: share / 4, inbox: quarter, unsent: quarter, deferred: quarter / 2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_stay_below_the_whole_and_never_vanish() {
        for (bytes, shards) in [(0, 1), (64 << 20, 2), (1 << 30, 3), (2 << 30, 16), (u64::MAX, 1)] {
            let limits = MemoryLimits::of(bytes, shards);
            let parts = limits.tails as u128 + (limits.inbox + limits.unsent + limits.deferred) as u128;
            let whole = u128::from(bytes).max(u128::from(SHARE_BYTES_MIN) * u128::from(shards));
            assert!(parts * u128::from(shards) <= whole, "{limits:?} of {bytes} for {shards}");
            assert!(limits.tails >= SHARE_BYTES_MIN / 4);
        }
    }
}
