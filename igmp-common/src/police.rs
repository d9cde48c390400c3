//! The policer between the wire and the ring buffer: a token bucket kept as one number.
//!
//! The generic cell rate algorithm: instead of a fill level and the time of its last update, a bucket is the
//! theoretical arrival time (TAT) of the next conforming message. One 64-bit word is a whole bucket, which one
//! compare-and-swap updates.

/// A bucket's rate and depth.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate {
    /// Nanoseconds one token takes to come back; 0 = no policing.
    pub interval_ns: u64,
    /// Nanoseconds of credit a full bucket holds: depth x interval.
    pub burst_ns: u64,
}

impl Rate {
    /// No policing.
    pub const UNLIMITED: Self = Self {
        interval_ns: 0,
        burst_ns: 0,
    };

    /// `per_second` messages sustained, `depth` at once; `per_second` 0 = no policing.
    #[must_use]
    pub const fn new(per_second: u32, depth: u32) -> Self {
        if per_second == 0 {
            return Self::UNLIMITED;
        }
        let interval_ns = 1_000_000_000 / per_second as u64;
        let depth = if depth == 0 { 1 } else { depth };
        Self {
            interval_ns,
            burst_ns: interval_ns * (depth as u64 - 1),
        }
    }

    /// The bucket after a message at `now_ns`, or `None` when the message exceeds the rate (the bucket stays).
    #[must_use]
    #[inline(always)]
    pub const fn admit(&self, tat_ns: u64, now_ns: u64) -> Option<u64> {
        if self.interval_ns == 0 {
            return Some(tat_ns);
        }
        let tat_ns = if tat_ns > now_ns { tat_ns } else { now_ns };
        if tat_ns - now_ns > self.burst_ns {
            return None;
        }
        Some(tat_ns + self.interval_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages admitted out of `count` that arrive `gap_ns` apart, starting at `start_ns` with bucket `tat`.
    fn admitted(rate: Rate, tat: &mut u64, start_ns: u64, count: u64, gap_ns: u64) -> u64 {
        (0..count)
            .filter(|i| match rate.admit(*tat, start_ns + i * gap_ns) {
                Some(next) => {
                    *tat = next;
                    true
                }
                None => false,
            })
            .count() as u64
    }

    #[test]
    fn a_full_bucket_holds_its_depth_and_refills_at_the_rate() {
        let rate = Rate::new(1000, 50);
        let mut tat = 0;
        assert_eq!(admitted(rate, &mut tat, 5_000_000, 200, 0), 50);
        assert_eq!(admitted(rate, &mut tat, 5_000_000, 10, 0), 0);
        assert_eq!(admitted(rate, &mut tat, 15_000_000, 200, 0), 10);
        assert_eq!(admitted(rate, &mut tat, 10_000_000_000, 200, 0), 50);
    }

    #[test]
    fn traffic_at_the_rate_is_never_refused_and_twice_the_rate_loses_half() {
        let rate = Rate::new(1000, 1);
        let mut tat = 0;
        assert_eq!(admitted(rate, &mut tat, 1, 5000, 1_000_000), 5000);
        let mut tat = 0;
        assert_eq!(admitted(rate, &mut tat, 1, 5000, 500_000), 2500);
    }

    #[test]
    fn rate_zero_admits_everything() {
        let mut tat = 0;
        assert_eq!(admitted(Rate::new(0, 9), &mut tat, 0, 100_000, 0), 100_000);
    }
}
