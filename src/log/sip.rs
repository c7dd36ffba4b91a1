//! SipHash-2-4 with 128 bits of output: the name under which compaction knows a key.
//!
//! Two keys of one name would be taken for one, and the older one's value would be lost. With 128 bits that does not
//! happen by chance, and with a secret seed nobody who chooses keys can bring it about, which a plain hash (Kafka uses
//! MD5) does not promise. Not for the data path, and not for passwords.
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", and the authors' 128-bit variant.

/// 16 secret bytes as two little-endian words.
pub type Seed = [u64; 2];

/// The name of `bytes` under `seed`.
#[must_use]
pub fn hash128(seed: Seed, bytes: &[u8]) -> [u64; 2] {
    let mut state = [
        seed[0] ^ 0x736f_6d65_7073_6575,
        seed[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        seed[0] ^ 0x6c79_6765_6e65_7261,
        seed[1] ^ 0x7465_6462_7974_6573,
    ];
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        absorb(&mut state, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    absorb(&mut state, u64::from_le_bytes(last));
    state[2] ^= 0xee;
    rounds(&mut state, 4);
    let low = state[0] ^ state[1] ^ state[2] ^ state[3];
    state[1] ^= 0xdd;
    rounds(&mut state, 4);
    [low, state[0] ^ state[1] ^ state[2] ^ state[3]]
}

fn absorb(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    rounds(state, 2);
    state[0] ^= word;
}

fn rounds(state: &mut [u64; 4], count: u32) {
    let [mut a, mut b, mut c, mut d] = *state;
    for _ in 0..count {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
    }
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The authors' vectors: the key is 00 01 .. 0f, the input its first bytes.
    #[test]
    fn published_vectors() {
        let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let check = |length: u8, expected: u128| {
            let input: Vec<u8> = (0..length).collect();
            let [low, high] = hash128(seed, &input);
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&low.to_le_bytes());
            bytes[8..].copy_from_slice(&high.to_le_bytes());
            assert_eq!(u128::from_be_bytes(bytes), expected, "length {length}");
        };
        check(0, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293);
        check(1, 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45);
    }

    #[test]
    fn every_byte_and_the_length_count() {
        let one = hash128([1, 2], b"0123456789");
        assert_ne!(one, hash128([1, 2], b"0123456780"));
        assert_ne!(one, hash128([1, 2], b"1123456789"));
        assert_ne!(one, hash128([1, 3], b"0123456789"));
        assert_ne!(hash128([1, 2], b""), hash128([1, 2], b"\0"));
        assert_ne!(hash128([1, 2], b"\0"), hash128([1, 2], b"\0\0"));
    }
}
