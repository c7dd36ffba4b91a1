//! Key to last offset, in memory of a fixed size: what compaction goes by.
//!
//! A key is known by the 16 bytes of its hash (`sip.rs`), so an entry takes 24 bytes whatever the key. Open addressing
//! with linear steps; nothing is ever removed. The map is filled from one stretch of a log, then asked.
//! Source: Kafka `SkimpyOffsetMap`.

use corelane_base::id::Offset;

use crate::sip::{self, Seed};

/// Bytes per entry.
pub const ENTRY_BYTES: usize = 24;

/// The map.
///
/// Invariant: `count <= count_max < entries.len()`, so a search always ends at an empty entry.
#[derive(Debug)]
pub struct OffsetMap {
    seed: Seed,
    /// Hash and offset + 1; all zeros is empty.
    entries: Vec<[u64; 3]>,
    count: usize,
    count_max: usize,
}

impl OffsetMap {
    /// An empty map of at most `bytes_max`, and no larger than `key_count_max` keys need. At most `load_percent` of its
    /// entries are used. It holds one key at least, whatever is said.
    #[must_use]
    pub fn new(seed: Seed, bytes_max: usize, key_count_max: u64, load_percent: u8) -> OffsetMap {
        let load = u64::from(load_percent.clamp(1, 99));
        let wanted = key_count_max.saturating_mul(100) / load + 2;
        let len = (bytes_max / ENTRY_BYTES).min(usize::try_from(wanted).unwrap_or(usize::MAX)).max(2);
        let count_max = ((len as u64 * load / 100) as usize).clamp(1, len - 1);
        OffsetMap { seed, entries: vec![[0; 3]; len], count: 0, count_max }
    }

    /// Notes that `key` is at `offset`, which is at least every offset noted before. False: there is no room for
    /// another key, and nothing is noted.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let (i, found) = self.find(key);
        if found.is_none() && self.count == self.count_max {
            return false;
        }
        let [low, high] = sip::hash128(self.seed, key);
        let stored = u64::try_from(offset.0).expect("offsets start at 0") + 1;
        self.entries[i] = [low, high, stored];
        self.count += usize::from(found.is_none());
        true
    }

    /// The last offset noted for `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        self.find(key).1
    }

    /// How many keys there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.entries.len() * ENTRY_BYTES
    }

    /// The key's entry with its offset, or the empty entry it would take.
    fn find(&self, key: &[u8]) -> (usize, Option<Offset>) {
        let [low, high] = sip::hash128(self.seed, key);
        // The high bits of a product spread over any length without a division.
        let mut i = ((u128::from(low) * self.entries.len() as u128) >> 64) as usize;
        loop {
            let entry = &self.entries[i];
            if entry[2] == 0 {
                return (i, None);
            }
            if entry[0] == low && entry[1] == high {
                return (i, Some(Offset((entry[2] - 1) as i64)));
            }
            i = if i + 1 == self.entries.len() { 0 } else { i + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use corelane_base::rng::Rng;

    use super::*;

    #[test]
    fn agrees_with_an_ordinary_map_until_it_is_full() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let key_count = 1 + rng.below(300);
            let bytes_max = 2 * ENTRY_BYTES + rng.below(300 * ENTRY_BYTES as u64) as usize;
            let mut map = OffsetMap::new([seed, 7], bytes_max, key_count, 90);
            assert!(map.memory_bytes() <= bytes_max);
            let mut model: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
            for offset in 0..600 {
                let key = rng.below(key_count).to_le_bytes()[..1 + rng.below(4) as usize].to_vec();
                let known = model.contains_key(&key);
                if map.put(&key, Offset(offset)) {
                    model.insert(key, offset);
                } else {
                    assert!(!known, "a known key always has room");
                    assert!(map.count() == map.count_max);
                }
            }
            assert_eq!(map.count(), model.len());
            for (key, &offset) in &model {
                assert_eq!(map.get(key), Some(Offset(offset)), "seed {seed}");
            }
            assert_eq!(map.get(b"never put"), None);
        }
    }

    #[test]
    fn sizes() {
        let check = |bytes_max: usize, keys: u64, expected: usize| {
            assert_eq!(OffsetMap::new([0, 0], bytes_max, keys, 90).entries.len(), expected);
        };
        check(0, 0, 2);
        check(240, u64::MAX, 10);
        check(1 << 20, 9, 12);
        check(1 << 20, 0, 2);
        let mut smallest = OffsetMap::new([0, 0], 0, 0, 90);
        assert!(smallest.put(b"a", Offset(0)));
        assert!(smallest.put(b"a", Offset(1)));
        assert!(!smallest.put(b"b", Offset(2)));
        assert_eq!(smallest.get(b"a"), Some(Offset(1)));
    }
}
