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
