//! Compression and decompression of a batch's records, with a bound on what comes out.
//!
//! Not on the produce or fetch path: compressed batches pass through untouched. Used for time look-ups, compaction,
//! tools and tests.
//!
//! A few kilobytes can claim to be gigabytes, so every decompressor stops at the caller's bound and reserves no more
//! than has come out (gzip, lz4, zstd) or than the bound allows (snappy, whose blocks state their size first).
//! zstd may ask for a window of up to 128 MiB before it gives a byte; that memory is touched only as it fills.
//!
//! Kafka's snappy is a framing of its own (from the Java library of Xerial): a header of 16 bytes
//! `82 "SNAPPY" 00, version i32, compatible version i32`, then blocks, each a length i32 (big endian) and bare
//! snappy. librdkafka and franz-go send bare snappy without the framing; Kafka takes both, and so do we.

use std::io::{Read, Write};

use crate::batch::Compression;

const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const XERIAL_HEADER_SIZE: usize = 16;
/// What Xerial's library compresses at once by default.
const XERIAL_BLOCK_SIZE: usize = 32 * 1024;

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
/// blocks of 64 KiB, zstd level 3.
#[must_use]
pub fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
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
        Compression::Zstd => zstd::stream::encode_all(bytes, 3).expect(IN_MEMORY),
    }
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
