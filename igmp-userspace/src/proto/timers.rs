//! Deadlines of the whole router (or host) in one ordered set: arming, moving and cancelling cost O(log n).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{IfIndex, Instant};

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Timer {
    /// The next General Query, or the end of Other Querier Present.
    Querier(IfIndex),
    /// The earliest of everything one group waits for.
    Group(IfIndex, Ipv4Addr),
}

/// The deadlines that are armed. Their owners keep a copy of their own, so that moving one needs no search.
#[derive(Debug)]
pub(super) struct Deadlines<T = Timer>(BTreeSet<(Instant, T)>);

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T: Copy + Ord> Deadlines<T> {
    /// Moves `timer` from `armed` (the owner's copy, updated) to `deadline`; `None` is "not armed".
    pub(super) fn set(&mut self, timer: T, armed: &mut Option<Instant>, deadline: Option<Instant>) {
        if *armed == deadline {
            return;
        }
        if let Some(old) = *armed {
            self.0.remove(&(old, timer));
        }
        if let Some(new) = deadline {
            self.0.insert((new, timer));
        }
        *armed = deadline;
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|&(deadline, _)| deadline)
    }

    /// Takes out what is due at `now`, earliest first. The owners must forget their copies.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        while self.next().is_some_and(|deadline| deadline <= now) {
            due.extend(self.0.pop_first().map(|(_, timer)| timer));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn earliest_first_moved_and_cancelled() {
        let [a, b] = [1, 2].map(|index| Timer::Querier(IfIndex(index)));
        let group = Timer::Group(IfIndex(1), Ipv4Addr::new(239, 1, 1, 1));
        let (mut armed_a, mut armed_b, mut armed_group) = (None, None, None);
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.set(a, &mut armed_a, Some(at(30)));
        deadlines.set(b, &mut armed_b, Some(at(10)));
        deadlines.set(group, &mut armed_group, Some(at(20)));
        assert_eq!(deadlines.next(), Some(at(10)));

        deadlines.set(b, &mut armed_b, None);
        assert_eq!((deadlines.next(), armed_b), (Some(at(20)), None));
        deadlines.set(a, &mut armed_a, Some(at(15)));
        assert_eq!(deadlines.take_due(at(14)), []);
        assert_eq!(
            deadlines.take_due(at(20)),
            [a, group],
            "due includes the deadline itself"
        );
        assert_eq!(deadlines.next(), None);
    }
}
