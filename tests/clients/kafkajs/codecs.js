// The codecs that kafkajs leaves to its users. Snappy is framed as the Java client frames it (Xerial): a header of 16
// bytes, then blocks, each with its size. kafkajs hands over and expects Buffers.
'use strict'

const lz4 = require('lz4js')
const snappy = require('snappyjs')
const zstd = require('@bokuweb/zstd-wasm')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00, 0, 0, 0, 1, 0, 0, 0, 1])
const XERIAL_BLOCK_SIZE = 32 * 1024
const XERIAL_MAGIC_SIZE = 8

function snappyCompress(bytes) {
  const parts = [XERIAL]
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_SIZE) {
    const block = Buffer.from(snappy.compress(bytes.subarray(at, at + XERIAL_BLOCK_SIZE)))
    const size = Buffer.alloc(4)
    size.writeUInt32BE(block.length)
    parts.push(size, block)
  }
  return Buffer.concat(parts)
}

function snappyDecompress(bytes) {
  if (!bytes.subarray(0, XERIAL_MAGIC_SIZE).equals(XERIAL.subarray(0, XERIAL_MAGIC_SIZE))) {
    return Buffer.from(snappy.uncompress(bytes))
  }
  const parts = []
  for (let at = XERIAL.length; at < bytes.length; ) {
    const size = bytes.readUInt32BE(at)
    parts.push(Buffer.from(snappy.uncompress(bytes.subarray(at + 4, at + 4 + size))))
    at += 4 + size
  }
  return Buffer.concat(parts)
}

/** An LZ4 frame of independent blocks of at most 64 KiB, which is what Kafka demands. Written here, because lz4js chains
 * its blocks and ends them with a match, which other decoders refuse; for reading it serves well. */
const LZ4_HEAD = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82])
const LZ4_BLOCK_SIZE = 64 * 1024
const LZ4_UNCOMPRESSED = 0x80000000
// By the format: a match has at least 4 bytes, starts 12 or more before the block's end, and ends 5 or more before it.
const LZ4_MATCH_MIN = 4
const LZ4_MATCH_START_LIMIT = 12
const LZ4_LITERALS_LAST = 5
const lz4Table = new Int32Array(1 << 14)
const lz4Block = Buffer.alloc(LZ4_BLOCK_SIZE + LZ4_BLOCK_SIZE / 128 + 64)

/** Appends a length's bytes beyond what its four bits hold; returns where to go on. */
function lz4Length(at, length) {
  if (length < 15) return at
  for (length -= 15; length >= 255; length -= 255) lz4Block[at++] = 255
  lz4Block[at++] = length
  return at
}

/** One sequence: literals [from, to) of `plain`, then a match, unless `length` is 0. */
function lz4Sequence(at, plain, from, to, distance, length) {
  const more = length === 0 ? 0 : length - LZ4_MATCH_MIN
  lz4Block[at++] = (Math.min(to - from, 15) << 4) | Math.min(more, 15)
  at = lz4Length(at, to - from)
  at += plain.copy(lz4Block, at, from, to)
  if (length === 0) return at
  at = lz4Block.writeUInt16LE(distance, at)
  return lz4Length(at, more)
}

/** Compresses one block into `lz4Block`; returns its size, or 0 if it does not become smaller. */
function lz4CompressBlock(plain) {
  const startEnd = plain.length - LZ4_MATCH_START_LIMIT
  const matchEnd = plain.length - LZ4_LITERALS_LAST
  let [at, anchor] = [0, 0]
  lz4Table.fill(-1)
  for (let i = 0; i < startEnd; ) {
    const word = plain.readInt32LE(i)
    const slot = Math.imul(word, 0x9e3779b1) >>> 18
    const before = lz4Table[slot]
    lz4Table[slot] = i
    if (before < 0 || i - before > 0xffff || plain.readInt32LE(before) !== word) {
      i++
      continue
    }
    let end = i + LZ4_MATCH_MIN
    while (end < matchEnd && plain[end] === plain[before + end - i]) end++
    at = lz4Sequence(at, plain, anchor, i, i - before, end - i)
    i = anchor = end
    if (at + (plain.length - anchor) >= plain.length) return 0
  }
  at = lz4Sequence(at, plain, anchor, plain.length, 0, 0)
  return at < plain.length ? at : 0
}

function lz4Compress(bytes) {
  const parts = [LZ4_HEAD]
  for (let at = 0; at < bytes.length; at += LZ4_BLOCK_SIZE) {
    const plain = bytes.subarray(at, at + LZ4_BLOCK_SIZE)
    const compressed = lz4CompressBlock(plain)
    const fits = compressed > 0
    const size = Buffer.alloc(4)
    size.writeUInt32LE(fits ? compressed : plain.length + LZ4_UNCOMPRESSED)
    parts.push(size, fits ? Buffer.from(lz4Block.subarray(0, compressed)) : plain)
  }
  parts.push(Buffer.alloc(4))
  return Buffer.concat(parts)
}

/** Registers snappy, lz4 and zstd with kafkajs. */
async function install(kafkajs) {
  const { CompressionTypes, CompressionCodecs } = kafkajs
  await zstd.init()
  CompressionCodecs[CompressionTypes.Snappy] = () => ({
    compress: async encoder => snappyCompress(encoder.buffer),
    decompress: async bytes => snappyDecompress(bytes),
  })
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async encoder => lz4Compress(encoder.buffer),
    decompress: async bytes => Buffer.from(lz4.decompress(bytes)),
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from(zstd.compress(encoder.buffer, 3)),
    decompress: async bytes => Buffer.from(zstd.decompress(bytes)),
  })
}

module.exports = { install }
