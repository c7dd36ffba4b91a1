//! Sets of cores as the kernel writes them: lists (`0-3,8`) and hexadecimal masks (`00000001,0000000f`).

use std::collections::BTreeSet;
use std::fmt;

/// More than any kernel is built for; keeps a damaged list from filling the memory.
const CORES_MAX: usize = 8192;

/// A set of cores by their numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cpus(pub BTreeSet<usize>);

impl Cpus {
    /// The set with these cores.
    pub fn of(cores: impl IntoIterator<Item = usize>) -> Cpus {
        Cpus(cores.into_iter().collect())
    }

    /// Reads a list; an empty text is the empty set. `None`: it is no list.
    #[must_use]
    pub fn of_list(text: &str) -> Option<Cpus> {
        let mut cores = BTreeSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            if first > last || last >= CORES_MAX {
                return None;
            }
            cores.extend(first..=last);
        }
        Some(Cpus(cores))
    }

    /// Reads a mask. `None`: it is no mask.
    #[must_use]
    pub fn of_mask(text: &str) -> Option<Cpus> {
        let digits: Vec<u32> = text
            .trim()
            .chars()
            .filter(|char| *char != ',')
            .map(|char| char.to_digit(16))
            .collect::<Option<_>>()?;
        if digits.is_empty() || digits.len() > CORES_MAX / 4 {
            return None;
        }
        let bits = digits.iter().rev().enumerate();
        let cores = bits.flat_map(|(index, digit)| {
            (0..4).filter(move |bit| digit >> bit & 1 == 1).map(move |bit| index * 4 + bit)
        });
        Some(Cpus(cores.collect()))
    }

    /// The mask to write, in groups of 32 bits.
    #[must_use]
    pub fn mask(&self) -> String {
        let groups = self.0.last().map_or(1, |last| last / 32 + 1);
        let group = |index: usize| -> u32 {
            self.0.iter().filter(|core| **core / 32 == index).map(|core| 1 << (core % 32)).sum()
        };
        (0..groups).rev().map(|index| format!("{:08x}", group(index))).collect::<Vec<String>>().join(",")
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Cpus) -> Cpus {
        Cpus(self.0.difference(&other.0).copied().collect())
    }

    /// Whether all of them are in `other`.
    #[must_use]
    pub fn within(&self, other: &Cpus) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether none of them is in `other`.
    #[must_use]
    pub fn apart_from(&self, other: &Cpus) -> bool {
        self.0.is_disjoint(&other.0)
    }
}

impl fmt::Display for Cpus {
    /// As a list.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores: Vec<usize> = self.0.iter().copied().collect();
        let mut parts = Vec::new();
        for run in cores.chunk_by(|a, b| a + 1 == *b) {
            parts.push(match run {
                [first, .., last] => format!("{first}-{last}"),
                single => single[0].to_string(),
            });
        }
        out.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_masks() {
        for (list, mask, cores) in [
            ("0-1", "00000003", vec![0, 1]),
            ("0,2-4", "0000001d", vec![0, 2, 3, 4]),
            ("1,33", "00000002,00000002", vec![1, 33]),
            ("", "00000000", vec![]),
        ] {
            let cores = Cpus::of(cores);
            assert_eq!(Cpus::of_list(list), Some(cores.clone()), "{list:?}");
            assert_eq!(Cpus::of_mask(mask), Some(cores.clone()), "{mask:?}");
            assert_eq!((cores.to_string().as_str(), cores.mask().as_str()), (list, mask));
        }
        assert_eq!(Cpus::of_mask("3"), Some(Cpus::of([0, 1])));
    }

    #[test]
    fn what_is_no_set_is_none() {
        for bad in ["a", "1-", "-1", "3-1", "0-99999999999", "8192", "1,x"] {
            assert_eq!(Cpus::of_list(bad), None, "{bad:?}");
        }
        let long = "f".repeat(5000);
        for bad in ["", "x", "0x3", "3 3", long.as_str()] {
            assert_eq!(Cpus::of_mask(bad), None, "{bad:?}");
        }
    }
}
