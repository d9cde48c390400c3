//! Random numbers that a seed reproduces on every machine: SplitMix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014).

use std::hash::{BuildHasher as _, RandomState};

pub(super) struct Random(u64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that is another one each time.
    pub(super) fn fresh_seed() -> u64 {
        RandomState::new().hash_one(0)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// 0 to `end`, without it.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).expect("it is below a u32")
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let place = self.below(u32::try_from(choices.len()).expect("it is a short list"));
        choices[place as usize]
    }

    /// Each with even odds, in their order.
    pub(super) fn some<T: Copy>(&mut self, choices: &[T]) -> Vec<T> {
        let mut chosen = choices.to_vec();
        chosen.retain(|_| self.once_in(2));
        chosen
    }
}
