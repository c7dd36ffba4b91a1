//! Keys of records: how many there are, how unevenly they are used, and which partition each belongs to.
//!
//! The picks are drawn once and used in turn: nothing is drawn while the load runs.

use corelane_base::rng::Rng;

/// How many picks are drawn; a power of two.
const PICKS: usize = 1 << 16;

/// The keys of a load.
pub struct Keys {
    /// Every key's bytes.
    names: Vec<[u8; KEY_SIZE]>,
    /// The partition of each, of one topic.
    partitions: Vec<u32>,
    picks: Vec<u32>,
}

/// Size of each key in bytes.
pub const KEY_SIZE: usize = 12;

impl Keys {
    /// `count` keys; key number `i` is used with a weight of `1 / (i + 1)^skew`: 0 for all alike.
    pub fn new(seed: u64, count: u32, skew: f64, partitions: u32) -> Keys {
        let names: Vec<[u8; KEY_SIZE]> = (0..count).map(name).collect();
        let partitions = names.iter().map(|name| partition(name, partitions)).collect();
        let mut total = 0.0;
        let upto: Vec<f64> = (0..count)
            .map(|i| {
                total += (f64::from(i) + 1.0).powf(-skew);
                total
            })
            .collect();
        let mut rng = Rng::new(seed);
        let picks = (0..PICKS).map(|_| {
            let at = rng.next_u64() as f64 / u64::MAX as f64 * total;
            (upto.partition_point(|&end| end < at) as u32).min(count - 1)
        });
        Keys { names, partitions, picks: picks.collect() }
    }

    /// The key of a producer's record `k`.
    pub fn pick(&self, producer: u32, k: u64) -> u32 {
        let at = k.wrapping_add(u64::from(producer).wrapping_mul(0x9e37_79b9)) as usize;
        self.picks[at & (PICKS - 1)]
    }

    /// The bytes of a key. Panics: if there is no such key.
    pub fn bytes(&self, key: u32) -> &[u8] {
        &self.names[key as usize]
    }

    /// The partition that a key belongs to. Panics: if there is no such key.
    pub fn partition(&self, key: u32) -> u32 {
        self.partitions[key as usize]
    }
}

fn name(number: u32) -> [u8; KEY_SIZE] {
    let mut name = *b"key-00000000";
    let mut rest = number;
    for digit in name[4..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    name
}

/// Kafka's default partition of a key: murmur2, sign dropped, modulo. Source: Kafka `BuiltInPartitioner`.
fn partition(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafkas_client() {
        // Kafka's own test vectors (UtilsTest.testMurmur2).
        let rows: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (key, expected) in rows {
            assert_eq!(murmur2(key) as i32, expected, "of {key:?}");
        }
    }

    #[test]
    fn skew_prefers_the_first_keys() {
        let share_of_first = |skew| {
            let keys = Keys::new(3, 100, skew, 4);
            keys.picks.iter().filter(|&&key| key == 0).count() as f64 / PICKS as f64
        };
        assert!((0.005..0.02).contains(&share_of_first(0.0)));
        assert!((0.15..0.25).contains(&share_of_first(1.0)));
        assert!(share_of_first(3.0) > 0.8);
    }

    #[test]
    fn keys_differ_and_stay_in_range() {
        let keys = Keys::new(3, 1000, 0.5, 16);
        assert_eq!(keys.bytes(0xab), b"key-000000ab");
        for k in 0..100_000 {
            let key = keys.pick(9, k);
            assert!(key < 1000);
            assert!(keys.partition(key) < 16);
        }
    }
}
