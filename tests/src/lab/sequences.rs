//! Which numbers of a stream have arrived.

use std::collections::BTreeSet;

/// The numbered datagrams of one stream that one receiver got, from the first one on.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    /// The number after the highest seen; `None` before the first.
    next: Option<u64>,
    missing: BTreeSet<u64>,
    received: u64,
    duplicates: u64,
}

impl Sequences {
    /// Notes an arrival.
    pub fn record(&mut self, number: u64) {
        let next = self.next.unwrap_or(number);
        if number >= next {
            self.missing.extend(next..number);
            self.next = Some(number + 1);
        } else if !self.missing.remove(&number) {
            // Seen already, or sent before the first one seen: neither may come now.
            self.duplicates += 1;
            return;
        }
        self.received += 1;
    }

    /// Numbers that arrived, each counted once.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Arrivals of a number that had arrived before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Numbers from the first that arrived up to, not including, `end` that did not arrive; all from `begin` on when none
    /// did.
    pub fn lost(&self, begin: u64, end: u64) -> u64 {
        self.missing.len() as u64 + end.saturating_sub(self.next.unwrap_or(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(numbers: &[u64]) -> Sequences {
        let mut sequences = Sequences::default();
        for number in numbers {
            sequences.record(*number);
        }
        sequences
    }

    #[test]
    fn gaps_and_a_missing_tail_are_lost() {
        let sequences = seen(&[5, 6, 9]);
        assert_eq!(
            (
                sequences.received(),
                sequences.lost(0, 10),
                sequences.lost(0, 12)
            ),
            (3, 2, 4)
        );
    }

    #[test]
    fn what_comes_late_is_not_lost() {
        let sequences = seen(&[5, 7, 6]);
        assert_eq!(
            (
                sequences.received(),
                sequences.lost(0, 8),
                sequences.duplicates()
            ),
            (3, 0, 0)
        );
    }

    #[test]
    fn what_comes_twice_is_a_duplicate() {
        let sequences = seen(&[5, 6, 6]);
        assert_eq!((sequences.received(), sequences.duplicates()), (2, 1));
    }

    #[test]
    fn when_nothing_came_everything_is_lost() {
        assert_eq!(seen(&[]).lost(3, 10), 7);
    }
}
