//! A running hash over everything a simulation does and holds: two runs of one seed must agree on it.
//!
//! Not a checksum of any format and not collision-resistant: it only has to make an accidental difference (a hash
//! map's iteration order, an address, a real clock) visible.

/// Folds words and bytes in order into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash(u64);

impl Default for StateHash {
    fn default() -> StateHash {
        StateHash(0x51ab_1e5e_ed00_d1ce)
    }
}

impl StateHash {
    /// Folds in a number.
    pub fn word(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    /// Folds in bytes, their count included.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    /// The hash so far.
    #[must_use]
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::StateHash;

    #[test]
    fn order_and_boundaries_count() {
        let of = |parts: &[&[u8]]| {
            let mut hash = StateHash::default();
            parts.iter().for_each(|part| hash.bytes(part));
            hash.value()
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"c", b"ab"]));
        assert_ne!(of(&[&[0; 8]]), of(&[&[0; 9]]));
    }
}
