//! What the seeded fuzzers of all crates share: how one is called, and how bytes are damaged.
//!
//! A fuzzer is an ordinary function of a seed and a number of iterations: the same seed does the same everywhere, and a
//! failure panics with what is needed to repeat it. The crates list theirs, the simulator runs them all.

use crate::rng::Rng;

/// A fuzzer.
#[derive(Debug, Clone, Copy)]
pub struct Fuzzer {
    /// What it feeds.
    pub name: &'static str,
    /// Runs it: seed, iterations. Panics: if what must hold does not.
    pub run: fn(u64, u64),
}

/// Changes one thing about some bytes: a bit, a byte, four bytes at once, or their number.
pub fn damage(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let Some(last) = bytes.len().checked_sub(1) else { return bytes.push(rng.next_u64() as u8) };
    let at = rng.below(last as u64 + 1) as usize;
    match rng.below(7) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next_u64() as u8,
        2 => bytes[at] = [0x00, 0x01, 0x7f, 0x80, 0xff][rng.below(5) as usize],
        3 => {
            let number = [0, -1, 1, i32::MAX, i32::MIN, 0xffff][rng.below(6) as usize];
            for (byte, new) in bytes[at..].iter_mut().zip(number.to_be_bytes()) {
                *byte = new;
            }
        }
        4 => bytes.truncate(at),
        5 => drop(bytes.remove(at)),
        _ => bytes.insert(at, rng.next_u64() as u8),
    }
}
