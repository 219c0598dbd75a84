//! How often values fell into which range, for those who watch over a node.

/// Ranges. The last has no upper bound.
const RANGES: usize = 26;

/// Counts of values by their size, in ranges each of which reaches twice as far as the one before: up
/// to 1, 2, 4, and so on, to 2^24 (16.8 million; with microseconds, as many seconds), and beyond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; RANGES],
    sum: u64,
}

impl Histogram {
    /// Counts a value.
    pub fn note(&mut self, value: u64) {
        let bits = u64::BITS - value.saturating_sub(1).leading_zeros();
        let last = RANGES - 1;
        self.counts[(bits as usize).min(last)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// How many values fell into each range, with its upper bound; the last has none.
    pub fn ranges(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let counts = self.counts.into_iter().enumerate();
        counts.map(|(bits, count)| ((bits < RANGES - 1).then_some(1 << bits), count))
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_range_that_reaches_it() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 5, 1 << 24, (1 << 24) + 1, u64::MAX >> 1] {
            histogram.note(value);
        }
        let filled: Vec<_> = histogram.ranges().filter(|(_, count)| *count > 0).collect();
        let expected = [
            (Some(1), 2),
            (Some(2), 1),
            (Some(4), 2),
            (Some(8), 1),
            (Some(1 << 24), 1),
            (None, 2),
        ];
        assert_eq!(filled, expected);
        assert_eq!(histogram.sum(), 16 + (2 << 24) + (u64::MAX >> 1));
    }
}
