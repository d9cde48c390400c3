//! The timers and counters of RFC 9776 section 8. What the RFC derives is computed here, never typed.

use std::time::Duration;

use crate::wire::Version;

/// Parameters of one interface; the defaults are RFC 9776 section 8's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceParams {
    /// The version this router speaks; messages of a higher version are refused.
    pub version: Version,
    /// Robustness Variable (section 8.1), 1..=7.
    pub robustness: u8,
    /// Query Interval (section 8.2).
    pub query_interval: Duration,
    /// Query Response Interval (section 8.3), less than the Query Interval.
    pub query_response_interval: Duration,
    /// Last Member Query Interval (section 8.8).
    pub last_member_query_interval: Duration,
    /// Last Member Query Count (section 8.9); `None` = the Robustness Variable.
    pub last_member_query_count: Option<u8>,
    /// Startup Query Interval (section 8.6); `None` = a quarter of the Query Interval.
    pub startup_query_interval: Option<Duration>,
    /// Startup Query Count (section 8.7); `None` = the Robustness Variable.
    pub startup_query_count: Option<u8>,
}

impl Default for InterfaceParams {
    fn default() -> Self {
        Self {
            version: Version::V3,
            robustness: 2,
            query_interval: Duration::from_secs(125),
            query_response_interval: Duration::from_secs(10),
            last_member_query_interval: Duration::from_secs(1),
            last_member_query_count: None,
            startup_query_interval: None,
            startup_query_count: None,
        }
    }
}

/// The derived values. Durations saturate: no setting can make them panic.
impl InterfaceParams {
    /// Group Membership Interval (section 8.4): how long a membership lasts without being reported again.
    ///
    /// RFC 3376 added one Query Response Interval; RFC 9776 adds two.
    #[must_use]
    pub const fn group_membership_interval(&self) -> Duration {
        self.robust_query_interval()
            .saturating_add(self.query_response_interval.saturating_mul(2))
    }

    /// Other Querier Present Interval (section 8.5): how long a silent elected querier is believed to be there.
    #[must_use]
    pub fn other_querier_present_interval(&self) -> Duration {
        self.robust_query_interval()
            .saturating_add(self.query_response_interval / 2)
    }

    /// Startup Query Interval (section 8.6): between the General Queries a querier starts with.
    #[must_use]
    pub fn startup_query_interval(&self) -> Duration {
        self.startup_query_interval
            .unwrap_or(self.query_interval / 4)
    }

    /// Startup Query Count (section 8.7), at least one.
    #[must_use]
    pub fn startup_query_count(&self) -> u8 {
        self.startup_query_count.unwrap_or(self.robustness).max(1)
    }

    /// Last Member Query Count (section 8.9), at least one.
    #[must_use]
    pub fn last_member_query_count(&self) -> u8 {
        self.last_member_query_count
            .unwrap_or(self.robustness)
            .max(1)
    }

    /// Last Member Query Time (section 8.10): the leave latency.
    #[must_use]
    pub fn last_member_query_time(&self) -> Duration {
        self.last_member_query_interval
            .saturating_mul(u32::from(self.last_member_query_count()))
    }

    /// Older Host Present Interval (section 8.13): how long one IGMPv1 or IGMPv2 report keeps a group in that mode.
    #[must_use]
    pub const fn older_host_present_interval(&self) -> Duration {
        self.robust_query_interval()
            .saturating_add(self.query_response_interval)
    }

    const fn robust_query_interval(&self) -> Duration {
        self.query_interval.saturating_mul(self.robustness as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that follow from section 8's defaults.
    #[test]
    fn derived_defaults_are_those_of_rfc_9776() {
        let params = InterfaceParams::default();
        assert_eq!(
            params.group_membership_interval(),
            Duration::from_secs(270),
            "2 x 125 s + 2 x 10 s"
        );
        assert_eq!(
            params.other_querier_present_interval(),
            Duration::from_secs(255),
            "2 x 125 s + 10 s / 2"
        );
        assert_eq!(
            params.startup_query_interval(),
            Duration::from_millis(31_250),
            "125 s / 4"
        );
        assert_eq!(params.startup_query_count(), 2);
        assert_eq!(params.last_member_query_count(), 2);
        assert_eq!(
            params.last_member_query_time(),
            Duration::from_secs(2),
            "2 x 1 s"
        );
        assert_eq!(
            params.older_host_present_interval(),
            Duration::from_secs(260),
            "2 x 125 s + 10 s"
        );
    }

    #[test]
    fn absurd_settings_saturate() {
        let params = InterfaceParams {
            robustness: 7,
            query_interval: Duration::MAX,
            query_response_interval: Duration::MAX,
            last_member_query_interval: Duration::MAX,
            last_member_query_count: Some(0),
            startup_query_count: Some(0),
            ..InterfaceParams::default()
        };
        assert_eq!(params.group_membership_interval(), Duration::MAX);
        assert_eq!(params.other_querier_present_interval(), Duration::MAX);
        assert_eq!(params.older_host_present_interval(), Duration::MAX);
        assert_eq!(params.last_member_query_count(), 1);
        assert_eq!(params.startup_query_count(), 1);
    }
}
