//! What the broker asks of a host, in figures. The broker refuses to start below the first two; the checks, the sysctl
//! file and the systemd unit are held against all of them.

/// The oldest kernel whose io_uring has all that the broker's ring uses (deferred task work, multishot receive).
pub const KERNEL_MIN: (u32, u32) = (6, 1);

/// What the executors lock at least, in bytes.
pub const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

/// With this much lockable memory, in bytes, no number of shards that a machine has comes near the limit.
pub const MEMLOCK_BYTES_GOOD: u64 = 8 << 20;

/// Open files below which a broker with a few hundred partitions has none left for connections.
pub const FILES_MIN: u64 = 4096;

/// Open files for some ten thousand partitions (two descriptors each, and two for the segment after it) and as many
/// connections.
pub const FILES_GOOD: u64 = 65_536;

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
