//! Histograms that cost an addition or two: fixed buckets, plain integers, one owner.
//!
//! Two buckets per doubling, so a quantile read from them is off by at most a quarter of itself on average and a half
//! at worst. A logarithmic index needs no table and no search, which is why the bounds are not the round decimal ones
//! that Prometheus's examples show; hdrhistogram is finer but a hundred times larger, too large for one per API and
//! stage on every shard. Not here: names, labels, text; nor any clock, the caller says what took how long.

/// Bounds of a histogram; one more bucket takes what is beyond the last.
pub const BOUNDS: usize = 43;

/// Counts of values in buckets.
///
/// Shape: bucket 0 ends at `UNIT`, then 1.5, 2, 3, 4, 6, 8... times `UNIT`; each bound belongs to the bucket below it.
/// The last bound is 2^21 times `UNIT`. Units: the caller's; `UNIT` must be even.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<const UNIT: u64> {
    counts: [u64; BOUNDS + 1],
    sum: u64,
}

/// Of times in nanoseconds: from 16 microseconds to 33 seconds.
pub type Durations = Histogram<16_000>;

/// Of sizes in bytes: from a block of 4 KiB to 8 GiB.
pub type Sizes = Histogram<4096>;

impl<const UNIT: u64> Default for Histogram<UNIT> {
    fn default() -> Self {
        const { assert!(UNIT >= 2) };
        const { assert!(UNIT.is_multiple_of(2)) };
        Histogram { counts: [0; BOUNDS + 1], sum: 0 }
    }
}

impl<const UNIT: u64> Histogram<UNIT> {
    /// Counts one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        self.counts[Self::bucket(value)] += 1;
        self.sum = self.sum.wrapping_add(value);
    }

    /// Counts `count` values of zero at once.
    pub fn record_zeros(&mut self, count: u64) {
        self.counts[0] += count;
    }

    #[inline]
    fn bucket(value: u64) -> usize {
        // In halves of the unit, less one so that a bound stays below itself.
        let halves = value.saturating_sub(1) / (UNIT / 2);
        if halves < 2 {
            return 0;
        }
        let doubling = halves.ilog2() as usize;
        let upper = (halves >> (doubling - 1)) & 1;
        (2 * (doubling - 1) + upper as usize + 1).min(BOUNDS)
    }

    /// The inclusive upper bound of a bucket. Panics: from [`BOUNDS`] on, where there is none.
    #[must_use]
    pub fn bound(index: usize) -> u64 {
        assert!(index < BOUNDS, "the last bucket has no bound");
        let doublings = index.div_ceil(2) as u32;
        if index.is_multiple_of(2) { UNIT << doublings } else { (UNIT << doublings) / 4 * 3 }
    }

    /// How many values each bucket holds; the last one those beyond every bound.
    #[must_use]
    pub fn counts(&self) -> &[u64; BOUNDS + 1] {
        &self.counts
    }

    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Adds another's values.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.counts.iter_mut().zip(&other.counts) {
            *own += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Small = Histogram<4>;

    #[test]
    fn bounds_rise_and_belong_to_the_bucket_below() {
        assert_eq!((0..7).map(Small::bound).collect::<Vec<u64>>(), [4, 6, 8, 12, 16, 24, 32]);
        assert_eq!(Durations::bound(BOUNDS - 1), 16_000 << 21);
        for index in 0..BOUNDS {
            let bound = Small::bound(index);
            assert_eq!(Small::bucket(bound), index);
            assert_eq!(Small::bucket(bound + 1), index + 1);
            let (bound, odd) = (Durations::bound(index), Durations::bound(index) - 1);
            assert_eq!((Durations::bucket(bound), Durations::bucket(odd)), (index, index));
            assert_eq!(Durations::bucket(bound + 1), index + 1);
        }
        assert_eq!((Small::bucket(0), Small::bucket(u64::MAX)), (0, BOUNDS));
    }

    #[test]
    fn values_are_counted_and_merged() {
        let (mut one, mut other) = (Small::default(), Small::default());
        for value in [0, 4, 5, 100] {
            one.record(value);
        }
        other.record(7);
        other.record_zeros(2);
        one.merge(&other);
        assert_eq!((one.count(), one.sum()), (7, 116));
        assert_eq!(one.counts()[..3], [4, 1, 1]);
    }
}
