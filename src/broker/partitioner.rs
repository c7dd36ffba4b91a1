//! Which partition a record goes to: the one it asks for, the one its key hashes to, or any.
//!
//! Keys hash as in the Java client (murmur2), so that this command and an application agree on where a key lives.
//! Records without a key stay on one partition until a batch is full and then move on: few large batches.

use std::num::NonZeroU32;

/// Kafka's murmur2. Source: the 32-bit MurmurHash2 with Kafka's seed, little endian.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of `partitions` where a key lives.
pub fn partition_of_key(key: &[u8], partitions: NonZeroU32) -> i32 {
    // The Java client drops the sign bit before it divides.
    ((murmur2(key) & 0x7fff_ffff) % partitions) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures that the Java client's own tests give for its hash.
    #[test]
    fn murmur2_agrees_with_the_java_client() {
        for (text, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        }
    }

    #[test]
    fn keys_stay_within_the_partitions() {
        let partitions = NonZeroU32::new(7).expect("seven");
        let mut hit = [false; 7];
        for number in 0..100_u32 {
            hit[partition_of_key(&number.to_be_bytes(), partitions) as usize] = true;
        }
        assert_eq!(hit, [true; 7]);
    }
}
