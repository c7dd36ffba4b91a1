//! Writes record batches from prepared records: nothing is built or allocated per record while the load runs.
//!
//! Records without keys come from a [`Template`]: the records of the largest batch, encoded once. A batch of `n` records is
//! the template's front up to the end of record `n` (a record names only its distance from the first), with the
//! stamps written over, a header in front and a CRC. Records with keys differ from batch to batch and are encoded one
//! by one from the pool. A compressed load compresses each batch: stamps could not be written into compressed bytes.

use corelane_base::rng::Rng;
use corelane_log::batch::{self, Compression, HEADER_SIZE};
use corelane_log::codec;

use crate::content::{self, Pool, STAMP_SIZE};
use crate::keys::{KEY_SIZE, Keys};
use crate::pacing::Times;

/// Sizes are drawn once, so many, and used in turn; a power of two.
const SIZES: usize = 1 << 12;

/// The most a record takes beyond key and value: lengths and deltas as varints, attributes, no headers.
const RECORD_OVERHEAD_MAX: usize = 24;

/// The sizes of values, in turn.
pub struct Sizes(Vec<u32>);

impl Sizes {
    /// Sizes from `min` to `max`, both included, evenly spread. Panics: if there is nothing between them.
    pub fn new(seed: u64, min: usize, max: usize) -> Sizes {
        assert!(min <= max, "the workload was checked");
        let mut rng = Rng::new(seed);
        let span = (max - min) as u64 + 1;
        Sizes((0..SIZES).map(|_| (min as u64 + rng.below(span)) as u32).collect())
    }

    /// The size of record `k`.
    pub fn of(&self, k: u64) -> usize {
        self.0[k as usize & (SIZES - 1)] as usize
    }
}

/// Who writes batches.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The harness's own number of the producer, in every stamp.
    pub producer: u32,
    /// The broker's id for an idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// How to compress.
    pub compression: Compression,
}

/// What a batch says of itself beside its records.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The stamp's sequence of the first record.
    pub sequence: u64,
    /// The batch's base sequence, or -1.
    pub base_sequence: i32,
    /// Timestamp of all records, milliseconds since 1970.
    pub wall_ms: i64,
}

/// The records of a largest batch, ready to be sent in part or whole.
pub struct Template {
    records: Vec<u8>,
    /// Where each record ends.
    ends: Vec<u32>,
    /// Where each record's value begins.
    values: Vec<u32>,
    /// Bytes of the values up to each record, that record included.
    value_bytes: Vec<u64>,
}

impl Template {
    /// As many records as fit into a batch of `batch_bytes`, at least one; `variant` makes different ones.
    pub fn new(pool: &Pool, sizes: &Sizes, batch_bytes: usize, variant: u64) -> Template {
        let mut template =
            Template { records: Vec::new(), ends: Vec::new(), values: Vec::new(), value_bytes: Vec::new() };
        loop {
            let index = template.ends.len();
            let size = sizes.of(variant.wrapping_mul(977) + index as u64);
            let before = template.records.len();
            let fill = pool.fill(variant << 32 | index as u64, size);
            let value = write_record(&mut template.records, index, None, size, fill, pool);
            if index > 0 && HEADER_SIZE + template.records.len() > batch_bytes {
                template.records.truncate(before);
                return template;
            }
            template.ends.push(template.records.len() as u32);
            template.values.push(value as u32);
            let upto = template.value_bytes.last().copied().unwrap_or(0);
            template.value_bytes.push(upto + size as u64);
        }
    }

    /// How many records a full batch has.
    pub fn count(&self) -> u32 {
        self.ends.len() as u32
    }

    /// Size of a batch of the first `count` records, uncompressed. Panics: if there are fewer.
    pub fn batch_size(&self, count: u32) -> usize {
        HEADER_SIZE + self.ends[count as usize - 1] as usize
    }

    /// Bytes of the first `count` values. Panics: if there are fewer.
    pub fn value_bytes(&self, count: u32) -> u64 {
        self.value_bytes[count as usize - 1]
    }
}

/// Appends a batch of the template's first records, as many as there are times.
pub fn write_template(out: &mut Vec<u8>, template: &Template, times: &Times, origin: &Origin, place: Place) {
    let count = times.count();
    let records_size = template.batch_size(count) - HEADER_SIZE;
    let at = begin(out, count, records_size, origin, place);
    let records = out.len();
    out.extend_from_slice(&template.records[..records_size]);
    for index in 0..count {
        let value = &mut out[records + template.values[index as usize] as usize..][..STAMP_SIZE];
        content::stamp(value, place.sequence + u64::from(index), times.of(index), origin.producer);
    }
    finish(out, at, origin);
}

/// What keyed records are made of.
pub struct Keyed<'a> {
    /// The keys.
    pub keys: &'a Keys,
    /// The sizes of the values.
    pub sizes: &'a Sizes,
    /// The bytes of the values.
    pub pool: &'a Pool,
}

impl Keyed<'_> {
    /// The most that record `k` takes in a batch.
    pub fn record_size_max(&self, k: u64) -> usize {
        self.sizes.of(k) + KEY_SIZE + RECORD_OVERHEAD_MAX
    }
}

/// Appends a batch of keyed records: for each its number in the producer's load, which decides key and size.
pub fn write_keyed(
    out: &mut Vec<u8>,
    what: &Keyed<'_>,
    records: &[u64],
    times: &Times,
    origin: &Origin,
    place: Place,
) {
    assert!(records.len() == times.count() as usize, "one time for each record");
    let at = begin(out, times.count(), 0, origin, place);
    let start = out.len();
    for (index, &k) in records.iter().enumerate() {
        let key = what.keys.bytes(what.keys.pick(origin.producer, k));
        let size = what.sizes.of(k);
        let value = write_record(out, index, Some(key), size, what.pool.fill(k, size), what.pool);
        let sequence = place.sequence + index as u64;
        content::stamp(&mut out[value..], sequence, times.of(index as u32), origin.producer);
    }
    let records_size = out.len() - start;
    out[at + 8..at + 12].copy_from_slice(&length_field(records_size));
    finish(out, at, origin);
}

/// Appends a header without a CRC; returns where it begins.
fn begin(out: &mut Vec<u8>, count: u32, records_size: usize, origin: &Origin, place: Place) -> usize {
    let at = out.len();
    let mut header = [0; HEADER_SIZE];
    header[8..12].copy_from_slice(&length_field(records_size));
    header[12..16].copy_from_slice(&(-1_i32).to_be_bytes());
    header[16] = 2;
    header[21..23].copy_from_slice(&(origin.compression as i16).to_be_bytes());
    header[23..27].copy_from_slice(&(count as i32 - 1).to_be_bytes());
    header[27..35].copy_from_slice(&place.wall_ms.to_be_bytes());
    header[35..43].copy_from_slice(&place.wall_ms.to_be_bytes());
    header[43..51].copy_from_slice(&origin.producer_id.to_be_bytes());
    header[51..53].copy_from_slice(&origin.producer_epoch.to_be_bytes());
    header[53..57].copy_from_slice(&place.base_sequence.to_be_bytes());
    header[57..61].copy_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&header);
    at
}

fn length_field(records_size: usize) -> [u8; 4] {
    ((HEADER_SIZE - batch::LENGTH_OVERHEAD + records_size) as i32).to_be_bytes()
}

/// Compresses if asked to, and writes the CRC of the batch that begins at `at` and ends with `out`.
fn finish(out: &mut Vec<u8>, at: usize, origin: &Origin) {
    if origin.compression != Compression::None {
        let compressed = codec::compress(origin.compression, &out[at + HEADER_SIZE..]).into_owned();
        out.truncate(at + HEADER_SIZE);
        out.extend_from_slice(&compressed);
        out[at + 8..at + 12].copy_from_slice(&length_field(compressed.len()));
    }
    batch::stamp_crc(&mut out[at..]);
}

/// Appends record number `index` of a batch; returns where its value begins.
fn write_record(
    out: &mut Vec<u8>,
    index: usize,
    key: Option<&[u8]>,
    value_size: usize,
    fill: u32,
    pool: &Pool,
) -> usize {
    let key_size = key.map_or(0, <[u8]>::len);
    let key_length = key.map_or(-1, |key| key.len() as i64);
    let size = 1
        + varint_size(0)
        + varint_size(index as i64)
        + varint_size(key_length)
        + key_size
        + varint_size(value_size as i64)
        + value_size
        + varint_size(0);
    put_varint(out, size as i64);
    out.push(0);
    put_varint(out, 0);
    put_varint(out, index as i64);
    put_varint(out, key_length);
    out.extend_from_slice(key.unwrap_or_default());
    put_varint(out, value_size as i64);
    let value = out.len();
    pool.write_value(out, fill);
    put_varint(out, 0);
    value
}

fn varint_size(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - zigzag.leading_zeros() as usize).div_ceil(7).max(1)
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use corelane_log::records;

    use super::*;
    use crate::content::Stamp;

    const PLACE: Place = Place { sequence: 500, base_sequence: 500, wall_ms: 1_700_000_000_000 };

    fn origin(compression: Compression) -> Origin {
        Origin { producer: 3, producer_id: 77, producer_epoch: 1, compression }
    }

    /// Reads a batch with the log's own reader: keys, values, and that everything else is as it should be.
    fn read(bytes: &[u8], pool: &Pool) -> Vec<(Option<Vec<u8>>, Stamp, usize)> {
        let header = batch::check_stored(bytes).expect("a sound batch").expect("a whole batch");
        assert_eq!(header.size_bytes(), bytes.len());
        assert_eq!(header.base_sequence(), 500);
        assert_eq!(header.max_timestamp().0, 1_700_000_000_000);
        let (header, payload) = records::payload(bytes, 1 << 24).expect("readable");
        let mut found = Vec::new();
        for record in records::iter(&header, &payload) {
            let record = record.expect("sound records");
            let value = record.value.expect("a value");
            let stamp = Stamp::read(value).expect("a stamp");
            assert!(pool.holds(&stamp, value));
            found.push((record.key.map(<[u8]>::to_vec), stamp, value.len()));
        }
        assert_eq!(found.len(), header.record_count() as usize);
        found
    }

    #[test]
    fn every_front_of_a_template_is_a_batch() {
        let pool = Pool::new(1, 0.5);
        for (min, max, batch_bytes) in [(100, 100, 16_384), (24, 900, 16_384), (5000, 5000, 1024)] {
            let sizes = Sizes::new(2, min, max);
            let template = Template::new(&pool, &sizes, batch_bytes, 5);
            assert!(template.batch_size(template.count()) <= batch_bytes.max(HEADER_SIZE + 5024));
            for count in [1, 2, 63, 64, 65, template.count()] {
                if count > template.count() {
                    continue;
                }
                for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
                    let mut out = vec![9; 3];
                    let times = Times::List((0..u64::from(count)).map(|i| 1000 + i).collect());
                    write_template(&mut out, &template, &times, &origin(compression), PLACE);
                    let found = read(&out[3..], &pool);
                    if compression == Compression::None {
                        assert_eq!(out.len() - 3, template.batch_size(count));
                    }
                    for (index, (key, stamp, size)) in found.iter().enumerate() {
                        assert_eq!(*key, None);
                        assert_eq!((stamp.sequence, stamp.producer), (500 + index as u64, 3));
                        assert_eq!(stamp.intended, 1000 + index as u64);
                        assert!((min..=max).contains(size));
                    }
                }
            }
        }
    }

    #[test]
    fn keyed_batches() {
        let (pool, sizes, keys) = (Pool::new(1, 1.0), Sizes::new(2, 30, 60), Keys::new(4, 50, 0.9, 8));
        let what = Keyed { keys: &keys, sizes: &sizes, pool: &pool };
        let numbers = [3, 8, 1_000_000];
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let mut out = Vec::new();
            let times = Times::List(vec![10, 20, 30]);
            write_keyed(&mut out, &what, &numbers, &times, &origin(compression), PLACE);
            let found = read(&out, &pool);
            for ((key, stamp, size), k) in found.iter().zip(numbers) {
                assert_eq!(key.as_deref(), Some(keys.bytes(keys.pick(3, k))));
                assert_eq!(*size, sizes.of(k));
                assert!(stamp.intended.is_multiple_of(10));
            }
        }
    }
}
