//! The kernel's bridge as a querier that forwards to ports with members only.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{QUERY_INTERVAL, QUERY_RESPONSE_INTERVAL, Querier, group_membership_interval};
use crate::netns::Namespace;
use crate::stream::PORT;
use crate::topology::{ACCESS, BRIDGE, PROVIDER};
use crate::wait::wait_until;

const NOBODYS_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 255);
/// Well above the Query Response Interval.
const SOON: Duration = Duration::from_secs(5);

/// IGMP snooping and the querier of a provider's switch.
pub struct BridgeQuerier {
    /// Name of its namespace.
    switch: String,
}

impl BridgeQuerier {
    /// Turns both on in a [`Provider::Switch`](crate::topology::Provider::Switch) and returns when it no longer floods.
    pub fn start(switch: &Namespace, igmp_version: u8) -> Self {
        // The kernel takes hundredths of a second.
        let interval = QUERY_INTERVAL.as_millis() / 10;
        let response = QUERY_RESPONSE_INTERVAL.as_millis() / 10;
        let membership = group_membership_interval().as_millis() / 10;
        // The querier last and by itself: of one message the kernel takes it first, with the default intervals.
        switch.ip(&format!(
            "link set {BRIDGE} type bridge mcast_snooping 1 mcast_igmp_version {igmp_version} \
             mcast_query_interval {interval} mcast_query_response_interval {response} \
             mcast_membership_interval {membership} mcast_last_member_interval 50 \
             mcast_last_member_count 2 mcast_startup_query_interval 100 mcast_startup_query_count 2\n\
             link set {BRIDGE} type bridge mcast_query_use_ifaddr 1 mcast_querier 1"
        ));
        // Until members have had time to answer its first query, the kernel floods, and only a probe shows when that ends.
        let probe = switch
            .enter(|| UdpSocket::bind((PROVIDER, 0)))
            .expect("the bridge has this address");
        wait_until("the switch to flood no more", SOON, || {
            let before = switch.sent_frames(ACCESS);
            probe
                .send_to(&[], (NOBODYS_GROUP, PORT))
                .expect("the bridge is up");
            (switch.sent_frames(ACCESS) == before).then_some(())
        });
        Self {
            switch: switch.name().to_owned(),
        }
    }
}

impl Querier for BridgeQuerier {
    fn groups(&self) -> BTreeSet<Ipv4Addr> {
        let output = Command::new("bridge")
            .args([
                "-netns",
                &self.switch,
                "-json",
                "mdb",
                "show",
                "dev",
                BRIDGE,
            ])
            .output()
            .expect("bridge is installed");
        let shown: Value = serde_json::from_slice(&output.stdout).expect("bridge prints JSON");
        let entries = shown[0]["mdb"].as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["port"] == ACCESS)
            .filter_map(|entry| entry["grp"].as_str()?.parse().ok())
            .collect()
    }
}
