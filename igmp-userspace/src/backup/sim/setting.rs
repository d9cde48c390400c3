//! Who the two gateways are.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::backup::{Config, InterfacePair, Role};

pub(in crate::backup) const A: usize = 0;
pub(in crate::backup) const B: usize = 1;
/// The links, as A and B call them.
pub(in crate::backup) const LINKS: [[&str; 2]; 2] = [["eth1", "eth3"], ["eth2", "eth2"]];
/// How long a membership lasts: the default Group Membership Interval (RFC 9776 section 8.4).
pub(in crate::backup) const GMI: Duration = Duration::from_secs(260);
/// How long octets are on their way.
pub(in crate::backup) const LATENCY: Duration = Duration::from_millis(1);
pub(in crate::backup) const SWITCH_BACK_DELAY: Duration = Duration::from_secs(20);
/// 239.1.0.0 + `number`.
pub(in crate::backup) fn group(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0xef01_0000 + number)
}

pub(in crate::backup) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(in crate::backup) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(in crate::backup) fn config(gateway: usize) -> Config {
    let role = [Role::Master, Role::Backup][gateway];
    let pairs = LINKS.iter().map(|names| InterfacePair {
        local: names[gateway].to_owned(),
        remote: names[1 - gateway].to_owned(),
    });
    Config {
        profile: "stb".to_owned(),
        role,
        priority: role.default_priority(),
        address: [[192, 0, 2, 1], [192, 0, 2, 2]][gateway].into(),
        interfaces: pairs.collect(),
        dead_after: seconds(1),
        peer_wait: seconds(2),
        switch_back_delay: SWITCH_BACK_DELAY,
    }
}
