//! What a snapshot says about one group.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::proto::FilterMode;

/// The state of one group on one interface, with timers as what is left of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupState {
    /// Which group.
    pub group: Ipv4Addr,
    /// INCLUDE or EXCLUDE.
    pub filter_mode: FilterMode,
    /// What is left of the group timer; `None` when it does not run.
    pub group_timer: Option<Duration>,
    /// Each source with what is left of its timer; `None`: blocked.
    pub sources: Vec<(Ipv4Addr, Option<Duration>)>,
    /// What is left of the IGMPv1-Host-Present Timer (RFC 9776 section 7.3.2).
    pub v1_host_present: Option<Duration>,
    /// What is left of the IGMPv2-Host-Present Timer.
    pub v2_host_present: Option<Duration>,
    /// The host that last reported interest.
    pub last_reporter: Option<Ipv4Addr>,
}
