//! What a log must know to open without reading its segments, as bytes.
//!
//! ```text
//! version u16 = 2 | crc u32 (CRC-32 IEEE of all that follows) | flags u8 | log_start_offset i64
//! flushed_offset i64 |
//! first segment's log address u64 | segment count u32 | per segment:
//!     base_offset i64 | size u32 | created i64 | first_timestamp i64 (-1 none)
//!     | max timestamp i64 (-1 none) | its base offset i64 | its position u32
//!     | sequence in its file's name u32, where compaction has made it and it has no other name yet; else 0
//! doomed count u32 | per doomed segment: base_offset i64
//! cleaned_offset i64 | last sequence given u32 | replaced count u32 | per replaced file: base_offset i64
//! epochs length u32 | epochs | producers length u32 | producers
//! ```
//! Big endian. Flags: 1 whole, 2 relaxed. It describes the log up to `flushed_offset` and no byte further: what it says
//! of producers must be in the segments after a crash, or a producer's retry would be taken for a duplicate of something
//! that is lost.

use core::fmt;

use corelane_base::id::Offset;
use corelane_base::time::WallMs;

use crate::epochs::Epochs;
use crate::index::MaxTimestamp;
use crate::producers::Producers;

const VERSION: u16 = 2;
const HEAD_BYTES: usize = 6;
const FLAG_WHOLE: u8 = 1;
const FLAG_RELAXED: u8 = 2;
const SEGMENT_BYTES: usize = 52;

/// One segment as the checkpoint knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointSegment {
    /// Its first offset.
    pub base_offset: Offset,
    /// Bytes of batches.
    pub size: u32,
    /// When it was begun.
    pub created: WallMs,
    /// Its first batch's time.
    pub first_timestamp: Option<WallMs>,
    /// Its largest time.
    pub max_timestamp: Option<MaxTimestamp>,
    /// The sequence in its file's name, if compaction made it and it has no other name yet.
    pub cleaned: Option<u32>,
}

/// What a checkpoint says of the log behind its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    /// Nothing stood there when it was taken. Only of such a log a clean stop says that it need not be recovered: a
    /// full disk may have kept another from coming to rest.
    pub whole: bool,
    /// What is written there may not have been synced: a power failure may have taken any part of it.
    pub relaxed: bool,
}

/// The content of a checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What stands behind its end.
    pub behind: Behind,
    /// The first offset a client may read.
    pub log_start_offset: Offset,
    /// Up to where the checkpoint describes the log.
    pub flushed_offset: Offset,
    /// Log address of the first segment.
    pub start: u64,
    /// All segments, the last one being active.
    pub segments: Vec<CheckpointSegment>,
    /// Deleted segments whose files are still there.
    pub doomed: Vec<Offset>,
    /// Everything below has been through compaction.
    pub cleaned_offset: Offset,
    /// The last sequence given to a file that compaction made.
    pub cleaned_sequence: u32,
    /// Segments that were cleaned into others, whose files are still there.
    pub replaced: Vec<Offset>,
    /// The leader epochs.
    pub epochs: Epochs,
    /// The producers.
    pub producers: Producers,
}

/// The bytes are no checkpoint, or are damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointError;

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("checkpoint is damaged or of an unknown version")
    }
}

impl Checkpoint {
    /// Its bytes, with a `log_start_offset` that may have grown since, and with what stands behind its end now.
    #[must_use]
    pub fn encode(&self, log_start_offset: Offset, behind: Behind) -> Vec<u8> {
        let log_start_offset = self.log_start_offset.max(log_start_offset);
        let mut out = vec![0; HEAD_BYTES];
        out[..2].copy_from_slice(&VERSION.to_be_bytes());
        out.push((u8::from(behind.whole) * FLAG_WHOLE) | (u8::from(behind.relaxed) * FLAG_RELAXED));
        out.extend_from_slice(&log_start_offset.0.to_be_bytes());
        out.extend_from_slice(&self.flushed_offset.0.to_be_bytes());
        out.extend_from_slice(&self.start.to_be_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_be_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.base_offset.0.to_be_bytes());
            out.extend_from_slice(&segment.size.to_be_bytes());
            out.extend_from_slice(&segment.created.0.to_be_bytes());
            out.extend_from_slice(&segment.first_timestamp.map_or(-1, |time| time.0).to_be_bytes());
            let max = segment.max_timestamp.unwrap_or(MaxTimestamp {
                timestamp: WallMs(-1),
                base_offset: Offset(-1),
                position: 0,
            });
            out.extend_from_slice(&max.timestamp.0.to_be_bytes());
            out.extend_from_slice(&max.base_offset.0.to_be_bytes());
            out.extend_from_slice(&max.position.to_be_bytes());
            out.extend_from_slice(&segment.cleaned.unwrap_or(0).to_be_bytes());
        }
        encode_offsets(&mut out, &self.doomed);
        out.extend_from_slice(&self.cleaned_offset.0.to_be_bytes());
        out.extend_from_slice(&self.cleaned_sequence.to_be_bytes());
        encode_offsets(&mut out, &self.replaced);
        encode_part(&mut out, |out| self.epochs.encode(out));
        encode_part(&mut out, |out| self.producers.encode(out));
        let crc = crc32fast::hash(&out[HEAD_BYTES..]);
        out[2..HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8], producers_max: usize) -> Result<Checkpoint, CheckpointError> {
        let mut rest = bytes;
        let version = u16::from_be_bytes(take(&mut rest)?);
        let crc = u32::from_be_bytes(take(&mut rest)?);
        if version != VERSION || crc32fast::hash(rest) != crc {
            return Err(CheckpointError);
        }
        let [flags] = take::<1>(&mut rest)?;
        let log_start_offset = Offset(i64::from_be_bytes(take(&mut rest)?));
        let flushed_offset = Offset(i64::from_be_bytes(take(&mut rest)?));
        let start = u64::from_be_bytes(take(&mut rest)?);
        let count = u32::from_be_bytes(take(&mut rest)?) as usize;
        if count == 0 || count > rest.len() / SEGMENT_BYTES {
            return Err(CheckpointError);
        }
        let mut segments = Vec::with_capacity(count);
        for _ in 0..count {
            segments.push(decode_segment(&mut rest)?);
        }
        let doomed = decode_offsets(&mut rest)?;
        let cleaned_offset = Offset(i64::from_be_bytes(take(&mut rest)?));
        let cleaned_sequence = u32::from_be_bytes(take(&mut rest)?);
        let replaced = decode_offsets(&mut rest)?;
        let epochs = Epochs::decode(take_part(&mut rest)?).map_err(|_| CheckpointError)?;
        let producers =
            Producers::decode(take_part(&mut rest)?, producers_max).map_err(|_| CheckpointError)?;
        if !rest.is_empty()
            || flags & !(FLAG_WHOLE | FLAG_RELAXED) != 0
            || !segments.is_sorted_by(|a, b| a.base_offset < b.base_offset)
        {
            return Err(CheckpointError);
        }
        let behind = Behind { whole: flags & FLAG_WHOLE != 0, relaxed: flags & FLAG_RELAXED != 0 };
        Ok(Checkpoint {
            behind,
            log_start_offset,
            flushed_offset,
            start,
            segments,
            doomed,
            cleaned_offset,
            cleaned_sequence,
            replaced,
            epochs,
            producers,
        })
    }
}

fn encode_offsets(out: &mut Vec<u8>, offsets: &[Offset]) {
    out.extend_from_slice(&(offsets.len() as u32).to_be_bytes());
    for offset in offsets {
        out.extend_from_slice(&offset.0.to_be_bytes());
    }
}

fn decode_offsets(rest: &mut &[u8]) -> Result<Vec<Offset>, CheckpointError> {
    let count = u32::from_be_bytes(take(rest)?) as usize;
    if count > rest.len() / size_of::<i64>() {
        return Err(CheckpointError);
    }
    (0..count).map(|_| Ok(Offset(i64::from_be_bytes(take(rest)?)))).collect()
}

fn encode_part(out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
    let mut part = Vec::new();
    encode(&mut part);
    out.extend_from_slice(&(part.len() as u32).to_be_bytes());
    out.extend_from_slice(&part);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], CheckpointError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(CheckpointError)?;
    *rest = tail;
    Ok(*head)
}

fn take_part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], CheckpointError> {
    let len = u32::from_be_bytes(take(rest)?) as usize;
    let (part, tail) = rest.split_at_checked(len).ok_or(CheckpointError)?;
    *rest = tail;
    Ok(part)
}

fn decode_segment(rest: &mut &[u8]) -> Result<CheckpointSegment, CheckpointError> {
    let base_offset = Offset(i64::from_be_bytes(take(rest)?));
    let size = u32::from_be_bytes(take(rest)?);
    let created = WallMs(i64::from_be_bytes(take(rest)?));
    let first = i64::from_be_bytes(take(rest)?);
    let timestamp = WallMs(i64::from_be_bytes(take(rest)?));
    let max_base_offset = Offset(i64::from_be_bytes(take(rest)?));
    let position = u32::from_be_bytes(take(rest)?);
    let max = MaxTimestamp { timestamp, base_offset: max_base_offset, position };
    let cleaned = Some(u32::from_be_bytes(take(rest)?)).filter(|&sequence| sequence != 0);
    Ok(CheckpointSegment {
        base_offset,
        size,
        created,
        first_timestamp: (first >= 0).then_some(WallMs(first)),
        max_timestamp: (timestamp.0 >= 0).then_some(max),
        cleaned,
    })
}
