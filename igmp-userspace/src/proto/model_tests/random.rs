//! What tests draw from random numbers.

use std::hash::{BuildHasher as _, RandomState};

pub(super) use super::super::random::Random;

impl Random {
    /// A seed that is another one each time.
    pub(super) fn fresh_seed() -> u64 {
        RandomState::new().hash_one(0)
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
