//! FRR: zebra and pimd as the provider's multicast router.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::chown;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Process, QUERY_INTERVAL, QUERY_RESPONSE_INTERVAL, Querier};
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::topology::{ACCESS, TOWARDS_SOURCE, gateway_address};
use crate::wait::wait_until;

/// Where Debian and FRR's own packages put the daemons.
const DAEMONS: &str = "/usr/lib/frr";
/// The user that the packages make; the daemons drop to it.
const USER: &str = "frr";
/// Starting takes less than a second; the rest is for a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A provider's router that forwards from the source's network what IGMP on the link to the gateway asks for: PIM, with
/// itself as rendezvous point.
#[must_use = "dropping it kills FRR"]
pub struct Frr {
    // pimd ends before the zebra that it talks to.
    pimd: Process,
    zebra: Process,
    scratch: ScratchDir,
}

impl Frr {
    /// Starts it in a [`Provider::Router`](crate::topology::Provider::Router) and returns once it is the querier.
    pub fn start(router: &Namespace, igmp_version: u8) -> Self {
        let scratch = ScratchDir::new();
        let path = |name: &str| scratch.path().join(name);
        let (user, group) = frr_ids();
        chown(scratch.path(), Some(user), Some(group)).expect("root may give files away");
        let write =
            |name: &str, text: &str| fs::write(path(name), text).expect("a writable directory");
        write("zebra.conf", "");
        write("pimd.conf", &pimd_configuration(igmp_version));
        let start = |daemon: &str| {
            let mut command = Command::new(format!("{DAEMONS}/{daemon}"));
            command
                .arg("--config_file")
                .arg(path(&format!("{daemon}.conf")));
            command
                .arg("--pid_file")
                .arg(path(&format!("{daemon}.pid")));
            command.arg("--socket").arg(path("zserv.api"));
            command.arg("--vty_socket").arg(scratch.path());
            // Port 0: no TCP port for the terminal.
            command.args(["--vty_port", "0", "--log", "stdout"]);
            Process::start(router, command, path(&format!("{daemon}.log")))
        };
        let zebra = start("zebra");
        wait_until("zebra's socket", START_TIMEOUT, || {
            path("zserv.api").exists().then_some(())
        });
        let mut frr = Self {
            pimd: start("pimd"),
            zebra,
            scratch,
        };
        wait_until("pimd to be the querier", START_TIMEOUT, || {
            frr.pimd.assert_running();
            frr.zebra.assert_running();
            let interface = frr.show(&format!("show ip igmp interface {ACCESS} json"))?;
            (interface[ACCESS]["querier"] == "local").then_some(())
        });
        frr
    }

    /// What a `show ... json` of its terminal prints; `None` while it does not listen.
    fn show(&self, command: &str) -> Option<Value> {
        let output = Command::new("vtysh")
            .arg("--vty_socket")
            .arg(self.scratch.path())
            .args(["-d", "pimd", "-c", command])
            .output()
            .expect("vtysh is installed");
        serde_json::from_slice(&output.stdout).ok()
    }
}

impl Querier for Frr {
    fn groups(&self) -> BTreeSet<Ipv4Addr> {
        let shown = self
            .show("show ip igmp groups json")
            .expect("pimd shows its groups");
        let groups = shown[ACCESS]["groups"].as_array().cloned();
        let address = |group: Value| group["group"].as_str()?.parse().ok();
        groups
            .unwrap_or_default()
            .into_iter()
            .map(|group| address(group).expect("a group has an address"))
            .collect()
    }
}

fn pimd_configuration(igmp_version: u8) -> String {
    // In tenths of a second, before the interval: it must not be the longer of the two.
    let response = QUERY_RESPONSE_INTERVAL.as_millis() / 100;
    let interval = QUERY_INTERVAL.as_secs();
    let rendezvous_point = gateway_address(0);
    format!(
        "ip pim rp {rendezvous_point} 224.0.0.0/4\n\
         interface {TOWARDS_SOURCE}\n ip pim\n\
         interface {ACCESS}\n ip pim\n ip igmp\n ip igmp version {igmp_version}\n \
         ip igmp query-max-response-time {response}\n ip igmp query-interval {interval}\n \
         ip igmp last-member-query-interval 5\n"
    )
}

/// User and group id of [`USER`].
fn frr_ids() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("a system has users");
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(USER));
    let line = line.expect("FRR's package makes a user; cargo xtask setup --tests installs it");
    let mut ids = line
        .split(':')
        .skip(2)
        .map(|id| id.parse().expect("a user has numbers"));
    let mut next = || ids.next().expect("a user has two numbers");
    (next(), next())
}
