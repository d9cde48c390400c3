//! The kernel's bridge as a querier that forwards to ports with members only.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{QUERY_INTERVAL, QUERY_RESPONSE_INTERVAL, Querier, group_membership_interval};
use crate::netns::Namespace;
use crate::topology::{ACCESS, BRIDGE};

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
        // Until members have had time to answer its first query, the kernel floods; nothing shows when that ends.
        thread::sleep(QUERY_RESPONSE_INTERVAL + Duration::from_millis(100));
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
