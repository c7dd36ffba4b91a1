"""The records that every client program writes and expects (see ../README.md), in Python.

Not a client: no Kafka library is imported here.
"""

import struct
from typing import NamedTuple, Optional

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITION_COUNT = 3
TIMESTAMP_BASE = 1_600_000_000_000
POOL_SIZE = 262_144
HEADER_NAMES = ("a", "b", "trace-id", "größe")
KCAT_CHUNK_COUNT = 12
MASK = 0xFFFFFFFF


class Record(NamedTuple):
    """One record; `timestamp` is None where the writer cannot set it."""

    partition: int
    timestamp: Optional[int]
    key: Optional[bytes]
    value: Optional[bytes]
    headers: list


def mix(x):
    """Scrambles 32 bits."""
    x ^= x >> 16
    x = (x * 0x85EBCA6B) & MASK
    x ^= x >> 13
    x = (x * 0xC2B2AE35) & MASK
    return x ^ (x >> 16)


def build_pool():
    """The bytes that values are cut from."""
    words = []
    for w in range(POOL_SIZE // 4):
        repeats = (w >> 6) % 4 != 3
        words.append(mix(w & 63 if repeats else w))
    return struct.pack("<%dI" % len(words), *words)


POOL = build_pool()


def headers_of(h1):
    """The headers of the record with this first hash."""
    headers = []
    for j in range((h1 >> 3) & 3):
        g = mix((h1 + 3 + j) & MASK)
        kind = (g >> 2) & 3
        value = None if kind == 0 else b"" if kind == 1 else b"%08x\xff\x01" % g
        headers.append((HEADER_NAMES[g & 3], value))
    return headers


def record(seed_mixed, seed, i):
    """Record `i`; `seed_mixed` is `mix(seed)`."""
    h1 = mix((seed_mixed + i) & MASK)
    h2 = mix((h1 + 1) & MASK)
    h3 = mix((h1 + 2) & MASK)
    kind = h1 & 7
    if kind == 0:
        key = None
    elif kind == 1:
        key = b""
    elif kind == 2:
        key = h2.to_bytes(4, "big")
    else:
        key = b"key-%d" % ((h2 >> 8) % 5000)
    v = h2 & 4095
    if v < 16:
        value = None if key is not None else b""
    elif v < 32:
        value = b""
    else:
        size = (100_000 + h3 % 100_000 if v < 34 else 8 + (h2 >> 12) % 240) - 8
        start = h3 % (POOL_SIZE - size)
        value = struct.pack(">II", seed, i) + POOL[start : start + size]
    timestamp = TIMESTAMP_BASE + 10 * i + (h3 >> 8) % 64
    return Record((h3 >> 16) % PARTITION_COUNT, timestamp, key, value, headers_of(h1))


def kcat_chunk(i, count):
    """Which run of kcat writes record `i` of `count`."""
    return KCAT_CHUNK_COUNT * i // count


def as_kcat(item, seed_mixed, i, count):
    """What kcat can express of a record."""
    chunk = kcat_chunk(i, count)
    first = -(-chunk * count // KCAT_CHUNK_COUNT)
    key, value = item.key, item.value
    if chunk % 2 == 0:
        key, value = key or None, value or None
    elif value is None:
        value = b""
    if not key and not value:
        key = b"k"
    return Record(0, None, key, value, headers_of(mix((seed_mixed + first) & MASK)))


def generate(seed, count, profile="full"):
    """All records of one topic, in the order in which they are written."""
    seed_mixed = mix(seed)
    items = [record(seed_mixed, seed, i) for i in range(count)]
    if profile == "full":
        return items
    if profile == "nonull":
        return [item._replace(headers=[(name, value or b"") for name, value in item.headers]) for item in items]
    if profile == "kcat":
        return [as_kcat(item, seed_mixed, i, count) for i, item in enumerate(items)]
    raise ValueError("unknown profile " + profile)
