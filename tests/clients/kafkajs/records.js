// The records that every client program writes and expects (see ../README.md), in JavaScript. Not a client.
'use strict'

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const PARTITION_COUNT = 3
const TIMESTAMP_BASE = 1600000000000
const POOL_SIZE = 262144
const HEADER_NAMES = ['a', 'b', 'trace-id', 'größe']
const EMPTY = Buffer.alloc(0)

/** Scrambles 32 bits. */
function mix(x) {
  x ^= x >>> 16
  x = Math.imul(x, 0x85ebca6b)
  x ^= x >>> 13
  x = Math.imul(x, 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

function buildPool() {
  const pool = Buffer.alloc(POOL_SIZE)
  for (let w = 0; w < POOL_SIZE / 4; w++) {
    pool.writeUInt32LE(mix((w >>> 6) % 4 !== 3 ? w & 63 : w), 4 * w)
  }
  return pool
}

const POOL = buildPool()

function headersOf(h1) {
  const headers = []
  for (let j = 0; j < ((h1 >>> 3) & 3); j++) {
    const g = mix((h1 + 3 + j) >>> 0)
    const kind = (g >>> 2) & 3
    const text = Buffer.concat([Buffer.from(g.toString(16).padStart(8, '0')), Buffer.from([0xff, 0x01])])
    headers.push([HEADER_NAMES[g & 3], kind === 0 ? null : kind === 1 ? EMPTY : text])
  }
  return headers
}

function record(seed, i) {
  const h1 = mix((mix(seed) + i) >>> 0)
  const h2 = mix((h1 + 1) >>> 0)
  const h3 = mix((h1 + 2) >>> 0)
  const kind = h1 & 7
  let key = null
  if (kind === 1) {
    key = EMPTY
  } else if (kind === 2) {
    key = Buffer.alloc(4)
    key.writeUInt32BE(h2)
  } else if (kind > 2) {
    key = Buffer.from('key-' + ((h2 >>> 8) % 5000))
  }
  const v = h2 & 4095
  let value = EMPTY
  if (v < 16 && key !== null) {
    value = null
  } else if (v >= 32) {
    const size = v < 34 ? 100000 + (h3 % 100000) : 8 + ((h2 >>> 12) % 240)
    const start = h3 % (POOL_SIZE - (size - 8))
    value = Buffer.allocUnsafe(size)
    value.writeUInt32BE(seed, 0)
    value.writeUInt32BE(i, 4)
    POOL.copy(value, 8, start, start + size - 8)
  }
  const timestamp = TIMESTAMP_BASE + 10 * i + ((h3 >>> 8) % 64)
  return { partition: (h3 >>> 16) % PARTITION_COUNT, timestamp, key, value, headers: headersOf(h1) }
}

/** All records of one topic. Profiles: full, nonull, kafkajs (for this program the last two are the same: it
 * compares headers by name, because that is how kafkajs returns them). */
function generate(seed, count, profile) {
  const items = []
  for (let i = 0; i < count; i++) {
    const item = record(seed, i)
    if (profile !== 'full') item.headers = item.headers.map(([name, value]) => [name, value === null ? EMPTY : value])
    items.push(item)
  }
  return items
}

module.exports = { CODECS, TIMESTAMP_BASE, generate }
