//! What tests of the proxy ask again and again.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;

use crate::capture::View;
use crate::daemon::{Daemon, describe, rows};
use crate::frame::Frame;
use crate::host::Arrival;
use crate::topology::UPSTREAM;
use crate::wait::wait_until;

/// The network that the source of a [`Topology::behind`](crate::topology::Topology::behind) is in, as a key of the
/// upstream interface.
pub const ALT_SUBNETS: &str = "alt_subnets = [\"10.0.0.0/23\"]";
/// Last Member Query Time 1 s.
pub const IGMP: &str = "last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
/// The Last Member Query Time of [`IGMP`].
pub const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
/// How much later than due something may be on a busy machine.
pub const LATE: Duration = Duration::from_millis(150);
/// For what happens at once.
pub const SOON: Duration = Duration::from_secs(5);

/// What `igmpctl show upstream` says of a group; `None` when it is not joined.
#[track_caller]
pub fn joined_upstream(daemon: &Daemon, group: Ipv4Addr) -> Option<Value> {
    let joined = daemon.ctl(&["show", "upstream"]);
    let group = group.to_string();
    rows(&joined)
        .iter()
        .find(|row| row["group"] == group)
        .cloned()
}

/// Waits until the upstream interface has this state.
#[track_caller]
pub fn wait_for_upstream_state(daemon: &Daemon, state: &str) {
    wait_until(&format!("{UPSTREAM} to be {state}"), SOON, || {
        (daemon.interface(UPSTREAM)["state"] == state).then_some(())
    });
}

/// Puts a configuration in place and has it read.
#[track_caller]
pub fn reload(daemon: &Daemon, config: &str) {
    daemon.rewrite_config(config);
    let output = daemon.ctl_output(&["reload"]);
    assert!(output.status.success(), "{}", describe(&output));
}

/// Sum of a counter over all interfaces.
#[track_caller]
pub fn counter(daemon: &Daemon, name: &str) -> u64 {
    let counters = daemon.ctl(&["show", "counters"]);
    let values = rows(&counters)
        .iter()
        .filter(|row| row["name"] == name)
        .map(|row| row["value"].as_u64().expect("a count"));
    values
        .reduce(|sum, value| sum + value)
        .unwrap_or_else(|| panic!("no counter {name}"))
}

/// The longest time for which a viewer of the stream got nothing of it, on the stream's own clock: a sender that a busy
/// machine keeps waiting is no gap.
///
/// # Panics
/// When fewer than two came.
#[track_caller]
pub fn longest_gap(arrivals: &[Arrival], interval: Duration) -> Duration {
    let steps = arrivals
        .windows(2)
        .map(|pair| pair[1].sequence.saturating_sub(pair[0].sequence));
    let longest = steps.max().expect("two datagrams");
    interval.saturating_mul(u32::try_from(longest).unwrap_or(u32::MAX))
}

/// The first report from the gateway that joins `group`, on the upstream link.
#[track_caller]
pub fn wait_for_upstream_join(link: View<'_>, group: Ipv4Addr) -> Frame {
    link.wait_for("a report upstream", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.joins(group))
    })
}

/// The first message from the gateway that leaves `group`, on the upstream link.
#[track_caller]
pub fn wait_for_upstream_leave(link: View<'_>, group: Ipv4Addr) -> Frame {
    link.wait_for("a leave upstream", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.leaves(group))
    })
}

/// Panics when the gateway left `group`, or leaves it before `duration` has passed.
#[track_caller]
pub fn assert_no_upstream_leave(link: View<'_>, group: Ipv4Addr, duration: Duration) {
    link.assert_none("a leave upstream", duration, |frame| {
        frame.received_igmp(|igmp| igmp.leaves(group))
    });
}
