//! A pair of gateways in front of the same hosts: the master, 10.x.0.1, and its backup, 10.x.0.254.
//!
//! ```text
//!            ┌── wan0  master  lan0 ──┐
//!   src ── switch        sync0      switch ── h1, h2
//!            │             │          │
//!            └── wan0  backup  lan0 ──┘
//! ```
//!
//! The switch in front of the hosts is like a smart link: one of its two uplinks passes frames, and hosts do not notice when
//! it is the other one.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

pub mod faults;
pub mod intruder;
mod keepalived;
pub mod recording;
pub mod scene;
pub mod wire;

pub use keepalived::Keepalived;

use crate::daemon::{Daemon, igmpctl_at, rows};
use crate::host::Arrival;
use crate::netns::Namespace;
use crate::scratch::ScratchDir;
use crate::topology::{Lan, Topology, UPLINK};
use crate::wait::wait_until;

/// The only profile.
pub const PROFILE: &str = "stb";
/// The device between the two gateways.
pub const SYNC: &str = "sync0";
/// The switch's port to the backup.
pub const BACKUP_UPLINK: &str = "r0";

const MASTER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BACKUP_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const PORT: u16 = 7464;
/// For what takes milliseconds on a machine that has nothing else to do.
const SOON: Duration = Duration::from_secs(10);

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gateway {
    /// Configured as master.
    Master,
    /// Configured as backup.
    Backup,
}

/// Both.
pub const GATEWAYS: [Gateway; 2] = [Gateway::Master, Gateway::Backup];

/// Where a gateway listens.
pub fn endpoint(gateway: Gateway) -> SocketAddrV4 {
    let address = match gateway {
        Gateway::Master => MASTER_ADDRESS,
        Gateway::Backup => BACKUP_ADDRESS,
    };
    SocketAddrV4::new(address, PORT)
}

/// A gateway's configuration without TLS.
pub fn insecure(config: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("tls = ") {
            "insecure = true\n".to_owned()
        } else {
            format!("{line}\n")
        }
    };
    config.lines().map(line).collect()
}

/// The network of both; dropping it takes it down.
#[must_use = "dropping it takes the network down"]
pub struct Pair {
    /// Everything but the link between the two.
    pub topology: Topology,
    keys: ScratchDir,
}

impl Pair {
    /// Builds the network, with a key and a certificate for each; the hosts are connected to the master.
    pub fn new() -> Self {
        Self::on(&[Lan::hosts(2)])
    }

    /// The same with these LANs, all of them in the profile.
    pub fn on(lans: &[Lan]) -> Self {
        let topology = Topology::with_rival_on(lans);
        topology.gateway.ip(&format!(
            "link add {SYNC} type veth peer name {SYNC} netns {}\nlink set {SYNC} up\naddr add {MASTER_ADDRESS}/24 dev {SYNC}",
            topology.rival().name()
        ));
        topology.rival().ip(&format!(
            "link set {SYNC} up\naddr add {BACKUP_ADDRESS}/24 dev {SYNC}"
        ));
        let keys = ScratchDir::new();
        make_keys(keys.path());
        let pair = Self { topology, keys };
        pair.connect_hosts_to(Gateway::Master);
        pair
    }

    /// Where a gateway runs.
    pub fn namespace(&self, gateway: Gateway) -> &Namespace {
        match gateway {
            Gateway::Master => &self.topology.gateway,
            Gateway::Backup => self.topology.rival(),
        }
    }

    /// Has the hosts' frames reach this gateway only, and its frames them, without their noticing.
    pub fn connect_hosts_to(&self, gateway: Gateway) {
        for lan in 0..self.topology.downstreams().count() {
            self.connect_lan_to(lan, gateway);
        }
    }

    /// The same for the hosts of one LAN.
    pub fn connect_lan_to(&self, lan: usize, gateway: Gateway) {
        let (open, closed) = match gateway {
            Gateway::Master => (UPLINK, BACKUP_UPLINK),
            Gateway::Backup => (BACKUP_UPLINK, UPLINK),
        };
        let switch = self.topology.switch(lan);
        set_port(switch, closed, false);
        set_port(switch, open, true);
    }

    /// Has the hosts of the first LAN reach both.
    pub fn connect_hosts_to_both(&self) {
        for port in [UPLINK, BACKUP_UPLINK] {
            set_port(self.topology.switch(0), port, true);
        }
    }

    /// The directory with a gateway's key and certificate.
    pub fn keys_of(&self, gateway: Gateway) -> PathBuf {
        self.keys.path().join(match gateway {
            Gateway::Master => "a",
            Gateway::Backup => "b",
        })
    }

    /// A gateway's configuration: `igmp` is the body of the `[igmp]` table, `keys` are further ones of the profile.
    pub fn config(&self, gateway: Gateway, igmp: &str, keys: &str) -> String {
        self.config_with_keys_of(gateway, &self.keys_of(gateway), igmp, keys)
    }

    /// The same with key and certificate from another directory.
    pub fn config_with_keys_of(
        &self,
        gateway: Gateway,
        directory: &Path,
        igmp: &str,
        keys: &str,
    ) -> String {
        let (role, other) = match gateway {
            Gateway::Master => ("master", Gateway::Backup),
            Gateway::Backup => ("backup", Gateway::Master),
        };
        let (listen, peer) = (endpoint(gateway), endpoint(other));
        let lans: Vec<_> = self.topology.downstreams().collect();
        let file = |name: &str| directory.join(name).display().to_string();
        format!(
            "{}[[remote_backup_profile]]\nname = \"{PROFILE}\"\nrole = \"{role}\"\nlisten = \"{listen}\"\n\
             peer = \"{peer}\"\ninterfaces = {lans:?}\n\
             tls = {{ cert = \"{}\", key = \"{}\", ca = \"{}\" }}\n{keys}\n",
            self.topology.config(igmp),
            file("cert.pem"),
            file("key.pem"),
            file("ca.pem"),
        )
    }

    /// Starts both and waits until they hold the same.
    #[track_caller]
    pub fn start(&self, igmp: &str, keys: &str) -> (Daemon, Daemon) {
        self.start_as(&GATEWAYS.map(|gateway| self.config(gateway, igmp, keys)))
    }

    /// The same with a configuration for each, the master's first.
    #[track_caller]
    pub fn start_as(&self, configs: &[String; 2]) -> (Daemon, Daemon) {
        let start = |gateway, config| Daemon::start_with(self.namespace(gateway), config, "info");
        let master = start(Gateway::Master, &configs[0]);
        let backup = start(Gateway::Backup, &configs[1]);
        wait_for_role(&master, "master");
        wait_for_role(&backup, "backup");
        wait_for_sync(&backup);
        (master, backup)
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes keys and certificates of a new authority in `directory`.
#[track_caller]
pub fn make_keys(directory: &Path) {
    let path = directory.display().to_string();
    let made = igmpctl_at(Path::new("/nonexistent"), &["backup", "keygen", &path]);
    assert!(made.status.success(), "{}", crate::daemon::describe(&made));
}

/// A port outside the bridge has a carrier all the same: the gateway at the other end notices nothing.
fn set_port(switch: &Namespace, port: &str, passes: bool) {
    let master = if passes { "master br0" } else { "nomaster" };
    switch.ip(&format!("link set {port} {master}"));
}

/// The row of `show backup`.
#[track_caller]
pub fn profile(daemon: &Daemon) -> Value {
    let shown = daemon.ctl(&["show", "backup"]);
    assert_eq!(rows(&shown).len(), 1, "{shown:#}");
    rows(&shown)[0].clone()
}

/// The row of one of several.
#[track_caller]
pub fn profile_named(daemon: &Daemon, name: &str) -> Value {
    let shown = daemon.ctl(&["show", "backup"]);
    let row = rows(&shown).iter().find(|row| row["profile"] == name);
    row.unwrap_or_else(|| panic!("no profile {name}: {shown:#}"))
        .clone()
}

/// Whether a gateway knows members of a group on an interface.
#[track_caller]
pub fn has_group_on(daemon: &Daemon, interface: &str, group: Ipv4Addr) -> Option<()> {
    daemon.group(interface, group).map(|_| ())
}

/// Has a gateway follow another configuration.
#[track_caller]
pub fn reload(daemon: &Daemon, config: &str) {
    daemon.rewrite_config(config);
    daemon.ctl(&["reload"]);
}

/// Waits until a gateway has this role.
#[track_caller]
pub fn wait_for_role(daemon: &Daemon, role: &str) {
    wait_until(&format!("the gateway to be {role}"), SOON, || {
        (profile(daemon)["role"] == role).then_some(())
    });
}

/// Waits until a gateway holds what its peer does.
#[track_caller]
pub fn wait_for_sync(daemon: &Daemon) {
    wait_until("both gateways to be in sync", SOON, || {
        (profile(daemon)["synced"] == true).then_some(())
    });
}

/// How many datagrams arrived more than once.
pub fn doubles(arrivals: &[Arrival]) -> usize {
    let different: BTreeSet<u64> = arrivals.iter().map(|arrival| arrival.sequence).collect();
    arrivals.len() - different.len()
}

/// Gives a gateway a role, as keepalived's scripts do.
#[track_caller]
pub fn set_role(daemon: &Daemon, role: &str) {
    daemon.ctl(&["backup", "set-role", PROFILE, role]);
}

/// What is known of the hosts' groups: group, filter mode, sources; without timers.
#[track_caller]
pub fn memberships(daemon: &Daemon) -> Vec<Value> {
    let shown = daemon.ctl(&["show", "groups"]);
    let mut groups = rows(&shown).to_vec();
    for group in &mut groups {
        let Value::Object(group) = group else {
            panic!("a group is an object");
        };
        for key in ["timer_ms", "uptime_ms"] {
            group.remove(key);
        }
        if let Some(Value::Array(sources)) = group.get_mut("sources") {
            for source in sources {
                *source = source["address"].clone();
            }
        }
    }
    groups
}
