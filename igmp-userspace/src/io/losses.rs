//! Which ring buffer losses are new since the last look.

use std::collections::BTreeMap;

/// Losses already seen, by port slot.
#[derive(Debug, Default)]
pub struct Losses(BTreeMap<u32, u64>);

impl Losses {
    /// How many of the `count` losses of `slot` are new. A count below the last one has been started anew.
    pub fn new_since_last(&mut self, slot: u32, count: u64) -> u64 {
        let seen = self.0.insert(slot, count).unwrap_or(0);
        count.checked_sub(seen).unwrap_or(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_seen_before_is_new() {
        let mut losses = Losses::default();
        assert_eq!(losses.new_since_last(1, 0), 0);
        assert_eq!(losses.new_since_last(1, 5), 5);
        assert_eq!(losses.new_since_last(2, 3), 3);
        assert_eq!(losses.new_since_last(1, 5), 0);
        assert_eq!(losses.new_since_last(1, 9), 4);
    }

    #[test]
    fn a_slot_that_was_given_to_another_interface_counts_from_zero() {
        let mut losses = Losses::default();
        losses.new_since_last(1, 100);
        assert_eq!(losses.new_since_last(1, 0), 0);
        assert_eq!(losses.new_since_last(1, 2), 2);
    }
}
