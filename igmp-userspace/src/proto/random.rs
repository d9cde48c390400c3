//! Random numbers that a seed reproduces on every machine: SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014). Good enough to spread reports over time, and for tests; not for secrets.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A delay out of (0, `longest`], in whole microseconds; zero when `longest` is.
    pub(super) fn delay(&mut self, longest: Duration) -> Duration {
        match u64::try_from(longest.as_micros()).unwrap_or(u64::MAX) {
            0 => Duration::ZERO,
            micros => Duration::from_micros(1 + self.next() % micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_the_range_and_never_leave_it() {
        let mut random = Random::seeded(1);
        let longest = Duration::from_micros(4);
        let mut seen = [0; 5];
        for _ in 0..400 {
            seen[usize::try_from(random.delay(longest).as_micros()).unwrap()] += 1;
        }
        assert_eq!(seen[0], 0, "zero is not in (0, 4]");
        assert!(seen[1..].iter().all(|&count| count > 50), "{seen:?}");
        assert_eq!(random.delay(Duration::ZERO), Duration::ZERO);
    }
}
