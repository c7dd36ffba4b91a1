//! What the broker asks of a host, in figures. The broker refuses to start below the first two; the checks, the sysctl
//! file and the systemd unit are held against all of them.

/// The oldest kernel whose io_uring has all that the broker's ring uses (deferred task work, multishot receive).
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// What the broker asks for whatever the number of shards, in bytes of memory that may be locked.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// What the rings of one shard lock, in bytes. Found by lowering the limit until a broker did not start: 320 to 340 KiB
/// a shard with 4, 8 and 16 of them, on Linux 6.18.
const MEMLOCK_BYTES_SHARD: u64 = 384 * 1024;

/// How much memory a broker must be allowed to lock, in bytes. Root is allowed as much as it likes.
#[must_use]
pub fn memlock_bytes(shards: u64) -> u64 {
    MEMLOCK_BYTES_MIN.max(MEMLOCK_BYTES_SHARD.saturating_mul(shards))
}

/// Open files below which a broker with a few hundred partitions has none left for connections.
pub const FILES_MIN: u64 = 4096;

/// Open files for some ten thousand partitions (a descriptor each, one for the segment after it, and two for a segment
/// whose history is read) and as many connections.
pub const FILES_GOOD: u64 = 65_536;

/// Descriptors that segments leave to connections and small files, or a quarter of what may be open if that is less.
pub const FILES_RESERVE: u64 = 256;

/// Open files that a broker which may raise its own limit takes: what the unit and the container files give it.
pub const FILES_WANTED: u64 = 1 << 20;

/// Connections that wait to be accepted, a listener; the kernel cuts it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// What the broker asks for as a socket's send buffer, in bytes: half of what Linux then lets unsent bytes grow to. The
/// kernel cuts it to `net.core.wmem_max`. Measured to feed `sendfile` well.
pub const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// Disk operations that a shard hands the kernel at once, unless `disk.toml` says otherwise. A device queues 128 or
/// more; beyond its queue the kernel would hand each submission to a thread of its own, and history reads would stand
/// in the way of commits.
pub const WRITES_MAX: u32 = 64;
/// See [`WRITES_MAX`].
pub const READS_MAX: u32 = 16;

/// What the broker may hold in memory of what clients send (`corelane.memory.bytes`), in bytes.
pub const MEMORY_BYTES: u64 = 2 << 30;
