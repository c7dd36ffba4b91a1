//! What records hold: a stamp that says who wrote them, as which and when, then bytes that can be checked.
//!
//! ```text
//!  byte  field      type
//!     0  sequence   u64   counts the records of one producer in one partition, from 0
//!     8  intended   u64   the time it was meant to be sent, by the run's clock
//!    16  producer   u32
//!    20  fill       u32   12 bits: where in the pool the bytes behind come from; 20 bits: the size of the value
//!    24  bytes            of the pool, as many as the value has left
//! ```
//! All big endian. The pool is drawn from a seed, so whoever knows the seed can check every byte. Record bytes prepared
//! once can be sent again and again: only sequence, time and producer are written anew.

use corelane_base::rng::Rng;

/// Size of the stamp, and so of the smallest value.
pub const STAMP_SIZE: usize = 24;

/// The largest value; its size fits into the stamp's 20 bits.
pub const VALUE_SIZE_MAX: usize = 1 << 19;

/// Where a value's bytes may begin in the pool: every so many bytes, at so many places.
const PLACE_STEP: usize = 128;
const PLACES: usize = 1 << 12;

const POOL_SIZE: usize = PLACES * PLACE_STEP + VALUE_SIZE_MAX;
const SIZE_BITS: u32 = 20;
const _: () = assert!(VALUE_SIZE_MAX < 1 << SIZE_BITS);
const _: () = assert!(PLACES == 1 << (32 - SIZE_BITS));

/// Compressible bytes come in pieces of this size, part of each drawn, the rest zero.
const PIECE: usize = 64;

/// The bytes that values are filled with.
pub struct Pool {
    bytes: Vec<u8>,
}

impl Pool {
    /// Draws the bytes. `randomness` from 0 (all zero) to 1 (nothing to compress).
    pub fn new(seed: u64, randomness: f64) -> Pool {
        let mut rng = Rng::new(seed);
        let drawn = (PIECE as f64 * randomness.clamp(0.0, 1.0)).round() as usize;
        let mut bytes = vec![0; POOL_SIZE];
        for piece in bytes.chunks_mut(PIECE) {
            for byte in &mut piece[..drawn] {
                *byte = rng.next_u64() as u8;
            }
        }
        Pool { bytes }
    }

    /// The fill of a value of `size` bytes; another for another number, mostly. Panics: beyond the largest value.
    pub fn fill(&self, number: u64, size: usize) -> u32 {
        assert!((STAMP_SIZE..=VALUE_SIZE_MAX).contains(&size), "the workload was checked");
        let place = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 12)) as u32;
        place << SIZE_BITS | size as u32
    }

    /// The bytes behind the stamp of a value of that fill; none if there is no such value.
    fn bytes_of(&self, fill: u32) -> Option<&[u8]> {
        let size = (fill & ((1 << SIZE_BITS) - 1)) as usize;
        let place = (fill >> SIZE_BITS) as usize * PLACE_STEP;
        let behind = size.checked_sub(STAMP_SIZE).filter(|_| size <= VALUE_SIZE_MAX)?;
        self.bytes.get(place..place + behind)
    }

    /// Appends the value of a fill, stamped with nothing else.
    pub fn write_value(&self, out: &mut Vec<u8>, fill: u32) {
        out.extend_from_slice(&[0; STAMP_SIZE - 4]);
        out.extend_from_slice(&fill.to_be_bytes());
        out.extend_from_slice(self.bytes_of(fill).expect("fills come from `fill`"));
    }

    /// Whether a value's bytes, all of them and no more, are those that its stamp promises.
    pub fn holds(&self, stamp: &Stamp, value: &[u8]) -> bool {
        self.bytes_of(stamp.fill).is_some_and(|bytes| value[STAMP_SIZE..] == *bytes)
    }
}

/// The stamp of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Counts the records of one producer in one partition.
    pub sequence: u64,
    /// When it was meant to be sent, nanoseconds of the run's clock.
    pub intended: u64,
    /// Who wrote it.
    pub producer: u32,
    /// Where its bytes come from.
    pub fill: u32,
}

impl Stamp {
    /// The stamp of a value; none if it is too short to have one.
    pub fn read(value: &[u8]) -> Option<Stamp> {
        let (sequence, rest) = value.split_first_chunk()?;
        let (intended, rest) = rest.split_first_chunk()?;
        let (producer, rest) = rest.split_first_chunk()?;
        let (fill, _) = rest.split_first_chunk()?;
        Some(Stamp {
            sequence: u64::from_be_bytes(*sequence),
            intended: u64::from_be_bytes(*intended),
            producer: u32::from_be_bytes(*producer),
            fill: u32::from_be_bytes(*fill),
        })
    }
}

/// Writes all of a stamp but its fill over the front of a value. Panics: if the value is shorter than a stamp.
pub fn stamp(value: &mut [u8], sequence: u64, intended: u64, producer: u32) {
    value[..8].copy_from_slice(&sequence.to_be_bytes());
    value[8..16].copy_from_slice(&intended.to_be_bytes());
    value[16..20].copy_from_slice(&producer.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_hold_what_their_stamp_says() {
        let pool = Pool::new(7, 1.0);
        for size in [STAMP_SIZE, 100, 1024, VALUE_SIZE_MAX] {
            let mut value = Vec::new();
            pool.write_value(&mut value, pool.fill(size as u64, size));
            stamp(&mut value, 41, 42, 43);
            assert_eq!(value.len(), size);
            let read = Stamp::read(&value).expect("long enough");
            assert_eq!((read.sequence, read.intended, read.producer), (41, 42, 43));
            assert!(pool.holds(&read, &value));
            for at in STAMP_SIZE..size.min(200) {
                value[at] ^= 1;
                assert!(!pool.holds(&read, &value), "a flipped bit at {at} shows");
                value[at] ^= 1;
            }
            assert!(!pool.holds(&Stamp { fill: u32::MAX, ..read }, &value));
            value.push(0);
            assert!(!pool.holds(&read, &value), "one byte too many");
            value.truncate(size - 1);
            assert!(size == STAMP_SIZE || !pool.holds(&read, &value), "one byte too few");
        }
        assert_eq!(Stamp::read(&[0; STAMP_SIZE - 1]), None);
    }

    #[test]
    fn randomness_decides_how_much_can_be_compressed() {
        let zeros = |randomness| Pool::new(1, randomness).bytes.iter().filter(|&&byte| byte == 0).count();
        assert_eq!(zeros(0.0), POOL_SIZE);
        assert!((POOL_SIZE / 2..POOL_SIZE * 51 / 100).contains(&zeros(0.5)));
        assert!(zeros(1.0) < POOL_SIZE / 100);
    }
}
