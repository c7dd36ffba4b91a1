//! Compression and decompression of a batch's records, with a bound on what comes out.
//!
//! Compressed batches pass through untouched, unless their topic wants another compression than their producer
//! (`recompress.rs`). Used besides for time look-ups, compaction, tools and tests.
//!
//! A few kilobytes can claim to be gigabytes, so every decompressor stops at the caller's bound and reserves no more
//! than has come out (gzip, lz4, zstd) or than the bound allows (snappy, whose blocks state their size first).
//! zstd may ask for a window of up to 128 MiB before it gives a byte; that memory is touched only as it fills.
//!
//! Kafka's snappy is a framing of its own (from the Java library of Xerial): a header of 16 bytes
//! `82 "SNAPPY" 00, version i32, compatible version i32`, then blocks, each a length i32 (big endian) and bare
//! snappy. librdkafka and franz-go send bare snappy without the framing; Kafka takes both, and so do we.

use std::borrow::Cow;
use std::io::{Read, Write};

use crate::batch::Compression;

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_HEADER_SIZE: usize = 16;
/// What Xerial's library compresses at once by default.
const XERIAL_BLOCK_SIZE: usize = 32 * 1024;

/// A compression and how hard it tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Codec {
    /// Which.
    pub compression: Compression,
    /// gzip: 1 to 9, or -1 for 6. zstd: -131,072 to 22. The others have no levels: lz4 here is its fast method, which is
    /// also what Kafka uses at its default level.
    pub level: i32,
}

impl Codec {
    /// As Kafka's clients compress if they are not told a level: gzip 6, zstd 3.
    #[must_use]
    pub fn at_default_level(compression: Compression) -> Codec {
        let level = if compression == Compression::Zstd { zstd::DEFAULT_COMPRESSION_LEVEL } else { -1 };
        Codec { compression, level }
    }
}

/// Why compressed bytes gave nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodecError {
    /// They are damaged or end early.
    Damaged,
    /// They hold more than the bound.
    OutputTooLarge,
}

/// What `bytes` hold, at most `output_max` bytes of it.
pub fn decompress(compression: Compression, bytes: &[u8], output_max: usize) -> Result<Vec<u8>, CodecError> {
    match compression {
        Compression::None if bytes.len() > output_max => Err(CodecError::OutputTooLarge),
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => read_bounded(flate2::bufread::MultiGzDecoder::new(bytes), output_max),
        Compression::Snappy => decompress_snappy(bytes, output_max),
        Compression::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(bytes), output_max),
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| CodecError::Damaged)?;
            read_bounded(decoder, output_max)
        }
    }
}

fn read_bounded(mut reader: impl Read, output_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut output = Vec::new();
    let bound = (output_max as u64).saturating_add(1);
    reader.by_ref().take(bound).read_to_end(&mut output).map_err(|_| CodecError::Damaged)?;
    if output.len() > output_max { Err(CodecError::OutputTooLarge) } else { Ok(output) }
}

fn decompress_snappy(bytes: &[u8], output_max: usize) -> Result<Vec<u8>, CodecError> {
    let mut output = Vec::new();
    if !bytes.starts_with(&XERIAL_MAGIC) {
        decompress_snappy_block(bytes, output_max, &mut output)?;
        return Ok(output);
    }
    let mut rest = bytes.get(XERIAL_HEADER_SIZE..).ok_or(CodecError::Damaged)?;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| CodecError::Damaged)?;
        let (block, after) = after.split_at_checked(length).ok_or(CodecError::Damaged)?;
        decompress_snappy_block(block, output_max, &mut output)?;
        rest = after;
    }
    if rest.is_empty() { Ok(output) } else { Err(CodecError::Damaged) }
}

fn decompress_snappy_block(block: &[u8], output_max: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
    let size = snap::raw::decompress_len(block).map_err(|_| CodecError::Damaged)?;
    let start = output.len();
    let end = start.checked_add(size).filter(|&end| end <= output_max).ok_or(CodecError::OutputTooLarge)?;
    output.resize(end, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut output[start..]);
    if written == Ok(size) { Ok(()) } else { Err(CodecError::Damaged) }
}

/// Compresses as Kafka's Java client does by default: gzip level 6, snappy in Xerial's framing, lz4 in independent
/// blocks of 64 KiB, zstd level 3. Not compressed, they are the bytes themselves.
#[must_use]
pub fn compress(compression: Compression, bytes: &[u8]) -> Cow<'_, [u8]> {
    compress_as(Codec::at_default_level(compression), bytes)
}

/// Compresses as `compress` does, at a level.
#[must_use]
pub fn compress_as(codec: Codec, bytes: &[u8]) -> Cow<'_, [u8]> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    Cow::Owned(match codec.compression {
        Compression::None => return Cow::Borrowed(bytes),
        Compression::Gzip => {
            let level =
                u32::try_from(codec.level).map_or(flate2::Compression::default(), flate2::Compression::new);
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Compression::Snappy => compress_xerial(bytes),
        Compression::Lz4 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(bytes).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        // As one piece of known size: a stream at a high level would ask for a window of 128 MiB whatever its size,
        // here and of every reader.
        Compression::Zstd => {
            zstd::bulk::compress(bytes, codec.level).expect("there is room for the worst case")
        }
    })
}

fn compress_xerial(bytes: &[u8]) -> Vec<u8> {
    let mut output = XERIAL_MAGIC.to_vec();
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK_SIZE) {
        let compressed = encoder.compress_vec(block).expect("32 KiB are not too much for snappy");
        let length = i32::try_from(compressed.len()).expect("snappy grows by a sixth at most");
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&compressed);
    }
    output
}
