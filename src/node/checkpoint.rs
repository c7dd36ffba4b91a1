//! The file in which a shard keeps the checkpoints of all its logs, so that a start reads a few files instead of
//! thousands.
//!
//! ```text
//! checkpoints/<incarnation>-<shard>
//!   magic "CLCP"  u32 version  u64 incarnation  u32 count
//!   count times: [16] topic id  i32 partition  u32 length  [length] the log's own checkpoint
//!   u32 CRC-32 (IEEE) of everything before
//! ```
//! All numbers little endian. A file is replaced whole and atomically. When the number of shards changes between two
//! starts, every partition is found in one of the files; the newest incarnation wins, since each start writes all of
//! them anew before it serves.

use bytes::Bytes;
use corelane_base::id::{PartitionIndex, TopicId};

use crate::mesh::{Checkpoints, PartitionKey};

/// The directory of these files.
pub const DIRECTORY: &str = "checkpoints";

/// The largest file accepted: 100,000 partitions with a thousand producers each stay below.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

const MAGIC: &[u8; 4] = b"CLCP";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 20;
const ENTRY_HEAD_BYTES: usize = 24;

/// Where a shard's file lies.
#[must_use]
pub fn path(incarnation: u64, shard: u16) -> String {
    format!("{DIRECTORY}/{incarnation}-{shard}")
}

/// The incarnation in a file's name, if it is one of ours.
#[must_use]
pub fn incarnation_of(name: &str) -> Option<u64> {
    let (incarnation, shard) = name.split_once('-')?;
    shard.parse::<u16>().ok()?;
    incarnation.parse().ok()
}

/// Writes the file's bytes.
#[must_use]
pub fn encode<'a>(incarnation: u64, logs: impl Iterator<Item = (PartitionKey, &'a [u8])>) -> Bytes {
    let mut out = Vec::with_capacity(4096);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&incarnation.to_le_bytes());
    out.extend_from_slice(&0u32.to_le_bytes());
    let mut count = 0u32;
    for (key, checkpoint) in logs {
        let length = u32::try_from(checkpoint.len()).expect("a log's checkpoint is far below 4 GiB");
        out.extend_from_slice(&key.topic.0);
        out.extend_from_slice(&key.partition.0.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(checkpoint);
        count += 1;
    }
    out[HEAD_BYTES - 4..HEAD_BYTES].copy_from_slice(&count.to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Bytes::from(out)
}

/// Reads a file's bytes. `None`: damaged, or of another version; the logs are then recovered by scanning.
#[must_use]
pub fn decode(file: &Bytes) -> Option<(u64, Checkpoints)> {
    let body_end = file.len().checked_sub(4)?;
    let crc = u32::from_le_bytes(file[body_end..].try_into().ok()?);
    let body = file.slice(..body_end);
    if body.len() < HEAD_BYTES || crc32fast::hash(&body) != crc || &body[..4] != MAGIC {
        return None;
    }
    let u32_at = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
    if u32_at(4)? != VERSION {
        return None;
    }
    let incarnation = u64::from_le_bytes(body[8..16].try_into().ok()?);
    let count = u32_at(16)?;
    let mut logs = Checkpoints::new();
    let mut at = HEAD_BYTES;
    for _ in 0..count {
        let topic = TopicId(body.get(at..at + 16)?.try_into().ok()?);
        let partition = PartitionIndex(i32::from_le_bytes(body.get(at + 16..at + 20)?.try_into().ok()?));
        let end = (at + ENTRY_HEAD_BYTES).checked_add(u32_at(at + 20)? as usize)?;
        if end > body.len() {
            return None;
        }
        logs.insert(PartitionKey { topic, partition }, body.slice(at + ENTRY_HEAD_BYTES..end));
        at = end;
    }
    if at == body.len() { Some((incarnation, logs)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> PartitionKey {
        PartitionKey { topic: TopicId([n; 16]), partition: PartitionIndex(i32::from(n)) }
    }

    #[test]
    fn round_trip_and_every_damage_is_seen() {
        let logs: Vec<(PartitionKey, &[u8])> = vec![(key(1), b"one"), (key(2), b""), (key(3), b"three")];
        let file = encode(7, logs.iter().copied());
        let (incarnation, read) = decode(&file).unwrap();
        assert_eq!(incarnation, 7);
        let read: Vec<_> = read.iter().map(|(key, bytes)| (*key, &bytes[..])).collect();
        assert_eq!(read, logs);
        for end in 0..file.len() {
            assert!(decode(&file.slice(..end)).is_none(), "cut at {end}");
        }
        for at in 0..file.len() {
            let mut damaged = file.to_vec();
            damaged[at] ^= 0x40;
            assert!(decode(&Bytes::from(damaged)).is_none(), "flipped at {at}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(incarnation_of("12-3"), Some(12));
        assert_eq!(incarnation_of("12-3.tmp"), None);
        assert_eq!(incarnation_of("x"), None);
    }
}
