//! Debian's igmpproxy, which forwards through the kernel's multicast router.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use super::Process;
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::topology::{Topology, UPSTREAM};
use crate::wait::wait_until;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running igmpproxy, where igmpd would run.
#[must_use = "dropping it kills igmpproxy"]
pub struct IgmpProxy {
    _process: Process,
    _scratch: ScratchDir,
}

impl IgmpProxy {
    /// Starts it in the gateway of `topology`, with quick leave, and returns once it routes on every interface.
    /// `alt_subnets` are accepted on the upstream.
    pub fn start(topology: &Topology, alt_subnets: &[&str]) -> Self {
        // Its sockets are the kernel's: 20 groups upstream were all.
        topology
            .gateway
            .set_sysctl("net.ipv4.igmp_max_memberships", 20_000);
        let mut configuration = format!("quickleave\nphyint {UPSTREAM} upstream\n");
        for network in alt_subnets {
            let _ = writeln!(configuration, " altnet {network}");
        }
        let devices: Vec<String> = topology.downstreams().collect();
        for device in &devices {
            let _ = writeln!(configuration, "phyint {device} downstream");
        }
        let scratch = ScratchDir::new();
        let file = scratch.path().join("igmpproxy.conf");
        fs::write(&file, configuration).expect("the scratch directory is writable");
        let mut command = Command::new("igmpproxy");
        command.arg("-n").arg(&file);
        let log = scratch.path().join("igmpproxy.log");
        let mut process = Process::start(&topology.gateway, command, log);
        wait_until("igmpproxy to route", START_TIMEOUT, || {
            process.assert_running();
            routes_on(&topology.gateway, devices.len() + 1).then_some(())
        });
        Self {
            _process: process,
            _scratch: scratch,
        }
    }
}

/// Whether the kernel's multicast router has that many interfaces.
fn routes_on(gateway: &Namespace, interfaces: usize) -> bool {
    let table = gateway.run(&["cat", "/proc/net/ip_mr_vif"]);
    // The first line names the columns.
    table.lines().count() == interfaces + 1
}
