//! How full the tables are, and when that is worth telling.

/// Tells once when a limit is four fifths used, and once when it is reached. It has to fall a tenth below either before
/// it tells again, or one member that comes and goes would tell each time.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum HighWater {
    #[default]
    Low,
    High,
    Full,
}

impl HighWater {
    /// True when it is worth telling that `used` of `allowed` entries are in use.
    pub(super) fn rises(&mut self, used: usize, allowed: usize) -> bool {
        let tenths = |share: usize| used.saturating_mul(10) >= allowed.saturating_mul(share);
        let reached = if tenths(10) {
            Self::Full
        } else if tenths(8) {
            Self::High
        } else {
            Self::Low
        };
        let rises = reached > *self;
        let falls = match *self {
            Self::Low => false,
            Self::High => !tenths(7),
            Self::Full => !tenths(9),
        };
        if rises || falls {
            *self = reached;
        }
        rises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(mut state: HighWater, allowed: usize, history: &[usize]) -> Vec<usize> {
        let rises = |used: &&usize| state.rises(**used, allowed);
        history.iter().filter(rises).copied().collect()
    }

    #[test]
    fn once_at_four_fifths_and_once_when_full() {
        let up: Vec<usize> = (1..=10).collect();
        assert_eq!(told(HighWater::Low, 10, &up), [8, 10]);
    }

    #[test]
    fn coming_and_going_at_the_edge_tells_nothing_more() {
        assert_eq!(told(HighWater::Low, 10, &[8, 7, 8, 7, 8]), [8]);
        assert_eq!(told(HighWater::Low, 10, &[8, 6, 8]), [8, 8]);
        assert_eq!(told(HighWater::Low, 20, &[20, 19, 20, 18, 20]), [20]);
        assert_eq!(told(HighWater::Low, 20, &[20, 17, 20]), [20, 20]);
        assert_eq!(told(HighWater::Low, 20, &[20, 13, 16, 20]), [20, 16, 20]);
    }

    #[test]
    fn a_small_limit_is_reached_in_one_step() {
        assert_eq!(told(HighWater::Low, 1, &[1, 0, 1]), [1, 1]);
        assert_eq!(told(HighWater::Low, 2, &[1, 2, 1, 2]), [2, 2]);
    }

    #[test]
    fn a_lowered_limit_is_reached_without_a_newcomer() {
        let mut state = HighWater::Low;
        assert!(!state.rises(50, 100));
        assert!(state.rises(50, 40));
        assert!(!state.rises(50, 40));
    }
}
