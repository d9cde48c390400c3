//! The test network.
//!
//! ```text
//!   src ── eth0 10.0.0.2 (and .3)
//!           │
//!         wan0 10.0.0.1
//!   gateway ── lan0 10.1.0.1 ── eth0 10.1.0.2  h1
//!           ── lan1 10.2.0.1 ── switch ─┬─ eth0 10.2.0.2  h2
//!                                       └─ eth0 10.2.0.3  h3
//! ```
//!
//! [`Topology::with_rival`] puts a second gateway beside the first: the networks in front of `wan0` and behind `lan0`
//! then are switches that both hang on.

use std::fmt::Write as _;
use std::iter;
use std::net::Ipv4Addr;

use crate::capture::Capture;
use crate::host::{DEVICE, Host};
use crate::netns::{Namespace, mac_text};

/// The gateway's device towards the source.
pub const UPSTREAM: &str = "wan0";
/// A bridge inside a switch namespace.
pub const BRIDGE: &str = "br0";
/// The switch's port to the gateway; those to its hosts are `p1`, `p2` ...
pub const UPLINK: &str = "p0";
/// The switch's port to the second gateway.
const RIVAL_UPLINK: &str = "r0";
/// The second gateway's last octet: on every link the first has the lower address.
const RIVAL: u8 = 254;

/// What hangs on one downstream port of the gateway.
#[derive(Clone, Copy)]
#[must_use = "a LAN is built by `Topology::new`"]
pub struct Lan {
    hosts: u8,
    igmp_version: u32,
}

impl Lan {
    /// One host on a cable of its own, speaking IGMPv3.
    pub fn host() -> Self {
        Self::hosts(1)
    }

    /// Several hosts behind a switch that floods multicast, as one without IGMP snooping does.
    pub fn hosts(hosts: u8) -> Self {
        Self {
            hosts,
            igmp_version: 3,
        }
    }

    /// The same with hosts that speak this version.
    pub fn igmp_version(self, igmp_version: u32) -> Self {
        Self {
            igmp_version,
            ..self
        }
    }
}

/// A gateway with a source upstream and receivers downstream; all of it vanishes on drop.
#[must_use = "dropping it takes the network down"]
pub struct Topology {
    /// The host that streams, 10.0.0.2, with the second address [`Topology::SECOND_SOURCE`].
    pub source: Host,
    /// The gateway.
    pub gateway: Namespace,
    /// h1, h2 ... in the order of the LANs.
    pub receivers: Vec<Host>,
    rival: Option<Namespace>,
    lans: Vec<LanParts>,
    /// Between the source and both gateways.
    upstream_switch: Option<Namespace>,
}

struct LanParts {
    switch: Option<Namespace>,
    /// Indices into `receivers`.
    receivers: std::ops::Range<usize>,
}

impl Topology {
    /// The source's primary address.
    pub const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    /// The source's other address.
    pub const SECOND_SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

    /// Builds the network.
    pub fn new(lans: &[Lan]) -> Self {
        let topology = Self::without_lans(None);
        connect(
            &topology.gateway,
            UPSTREAM,
            gateway_address(0),
            &topology.source.namespace,
            DEVICE,
        );
        configure(&topology.source);
        topology.with_lans(lans)
    }

    /// Builds the network with one LAN and a second gateway on it: `wan0` 10.0.0.254 and `lan0` 10.1.0.254.
    ///
    /// # Panics
    /// When the LAN has one host only: such a LAN has no switch.
    pub fn with_rival(lan: Lan) -> Self {
        let mut topology = Self::without_lans(Some(new_gateway("rival")));
        let switch = new_switch(std::slice::from_ref(&topology.source));
        connect_to_switch(
            &topology.gateway,
            UPSTREAM,
            gateway_address(0),
            &switch,
            UPLINK,
        );
        connect_to_switch(
            topology.rival(),
            UPSTREAM,
            rival_address(0),
            &switch,
            RIVAL_UPLINK,
        );
        topology.upstream_switch = Some(switch);
        let topology = topology.with_lans(&[lan]);
        connect_to_switch(
            topology.rival(),
            &downstream(0),
            rival_address(1),
            topology.switch(0),
            RIVAL_UPLINK,
        );
        topology
    }

    fn without_lans(rival: Option<Namespace>) -> Self {
        Self {
            source: new_host("src", Self::SOURCE),
            gateway: new_gateway("gw"),
            receivers: Vec::new(),
            rival,
            lans: Vec::new(),
            upstream_switch: None,
        }
    }

    fn with_lans(mut self, lans: &[Lan]) -> Self {
        let topology = &mut self;
        topology
            .source
            .namespace
            .ip(&format!("addr add {}/24 dev {DEVICE}", Self::SECOND_SOURCE));

        for (index, lan) in lans.iter().enumerate() {
            let first = topology.receivers.len();
            for number in 0..lan.hosts {
                let name = format!("h{}", first + usize::from(number) + 1);
                topology
                    .receivers
                    .push(new_host(&name, address(index + 1, 2 + number)));
            }
            let switch = (lan.hosts > 1).then(|| new_switch(&topology.receivers[first..]));
            topology.lans.push(LanParts {
                switch,
                receivers: first..topology.receivers.len(),
            });
            topology.connect_lan(index);
            topology
                .lan_receivers(index)
                .iter()
                .for_each(|host| host.force_igmp_version(lan.igmp_version));
        }
        self
    }

    /// The second gateway.
    ///
    /// # Panics
    /// When there is none.
    pub fn rival(&self) -> &Namespace {
        self.rival.as_ref().expect("a topology with a rival")
    }

    /// The hosts on one LAN.
    pub fn lan_receivers(&self, lan: usize) -> &[Host] {
        &self.receivers[self.lans[lan].receivers.clone()]
    }

    /// The switch of a LAN with several hosts.
    pub fn switch(&self, lan: usize) -> &Namespace {
        self.lans[lan]
            .switch
            .as_ref()
            .expect("a LAN of one host has no switch")
    }

    /// The gateway's downstream devices: `lan0`, `lan1` ...
    pub fn downstreams(&self) -> impl Iterator<Item = String> {
        (0..self.lans.len()).map(downstream)
    }

    /// Captures on one of the gateway's devices. What XDP redirects is not seen there.
    pub fn capture_gateway(&self, device: &str) -> Capture {
        Capture::start(&self.gateway, device)
    }

    /// Deletes a downstream device of the gateway and makes it again: same name and addresses, new index. The hosts'
    /// ends go with it when they have no switch, and so do their memberships.
    pub fn recreate_downstream(&self, lan: usize) {
        self.gateway.ip(&format!("link del {}", downstream(lan)));
        self.connect_lan(lan);
    }

    /// An igmpd configuration for this network: `igmp` is the body of the `[igmp]` table.
    pub fn config(&self, igmp: &str) -> String {
        self.config_with(igmp, &[])
    }

    /// The same with further keys for the downstream interfaces, one text each from `lan0` on.
    pub fn config_with(&self, igmp: &str, keys: &[&str]) -> String {
        let mut config =
            format!("[igmp]\n{igmp}\n[[interface]]\nname = \"{UPSTREAM}\"\nrole = \"upstream\"\n");
        for (name, keys) in self.downstreams().zip(keys.iter().chain(iter::repeat(&""))) {
            let _ = write!(
                config,
                "[[interface]]\nname = \"{name}\"\nrole = \"downstream\"\n{keys}\n"
            );
        }
        config
    }

    fn connect_lan(&self, lan: usize) {
        let gateway_port = downstream(lan);
        let hosts = self.lan_receivers(lan);
        if let Some(switch) = &self.lans[lan].switch {
            connect_to_switch(
                &self.gateway,
                &gateway_port,
                gateway_address(lan + 1),
                switch,
                UPLINK,
            );
        } else {
            connect(
                &self.gateway,
                &gateway_port,
                gateway_address(lan + 1),
                &hosts[0].namespace,
                DEVICE,
            );
            configure(&hosts[0]);
        }
    }
}

/// A cable from a new device of a gateway to a new device elsewhere.
fn connect(
    gateway: &Namespace,
    device: &str,
    address: Ipv4Addr,
    peer: &Namespace,
    peer_device: &str,
) {
    gateway.ip(&format!(
        "link add {device} address {} type veth peer name {peer_device} netns {}",
        mac_text(address),
        peer.name(),
    ));
    // A veth tells its peer that it takes redirected frames only when GRO is turned on while it is up.
    peer.ip(&format!("link set {peer_device} up"));
    peer.behave_like_hardware(peer_device);
    gateway.behave_like_hardware(device);
    gateway.ip(&format!(
        "addr add {address}/24 dev {device}\nlink set {device} up"
    ));
}

/// The same to a new port of a switch.
fn connect_to_switch(
    gateway: &Namespace,
    device: &str,
    address: Ipv4Addr,
    switch: &Namespace,
    port: &str,
) {
    connect(gateway, device, address, switch, port);
    switch.ip(&format!("link set {port} master {BRIDGE}"));
}

/// Name of the gateway's downstream device for the LAN with this index.
pub fn downstream(lan: usize) -> String {
    format!("lan{lan}")
}

/// The gateway's address on the downstream with index `network - 1`; network 0 is the upstream.
pub fn gateway_address(network: usize) -> Ipv4Addr {
    address(network, 1)
}

fn address(network: usize, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(
        10,
        u8::try_from(network).expect("at most 255 networks"),
        0,
        host,
    )
}

/// The second gateway's address there.
pub fn rival_address(network: usize) -> Ipv4Addr {
    address(network, RIVAL)
}

fn new_gateway(label: &str) -> Namespace {
    let gateway = Namespace::new(label);
    gateway.set_sysctl("net.ipv4.ip_forward", 1);
    disable_reverse_path_filter(&gateway);
    gateway
}

fn new_host(name: &str, address: Ipv4Addr) -> Host {
    let namespace = Namespace::new(name);
    disable_reverse_path_filter(&namespace);
    // The kernel's limits are 20 groups and 10 sources for one socket.
    namespace.set_sysctl("net.ipv4.igmp_max_memberships", 20_000);
    namespace.set_sysctl("net.ipv4.igmp_max_msf", 1_000);
    Host {
        name: name.to_owned(),
        namespace,
        address,
    }
}

/// Gives a host's device its addresses.
fn configure(host: &Host) {
    let [a, b, c, _] = host.address.octets();
    host.namespace.ip(&format!(
        "link set {DEVICE} address {}\n\
         addr add {}/24 dev {DEVICE}\n\
         link set {DEVICE} up\n\
         route add default via {a}.{b}.{c}.1 dev {DEVICE}\n",
        mac_text(host.address),
        host.address,
    ));
}

fn new_switch(hosts: &[Host]) -> Namespace {
    let switch = Namespace::new("switch");
    switch.ip(&format!(
        "link add {BRIDGE} type bridge mcast_snooping 0\nlink set {BRIDGE} up"
    ));
    for (index, host) in hosts.iter().enumerate() {
        let port = format!("p{}", index + 1);
        switch.ip(&format!(
            "link add {port} type veth peer name {DEVICE} netns {}\nlink set {port} master {BRIDGE} up",
            host.namespace.name(),
        ));
        host.namespace.ip(&format!("link set {DEVICE} up"));
        switch.behave_like_hardware(&port);
        host.namespace.behave_like_hardware(DEVICE);
        configure(host);
    }
    switch
}

/// The receivers have no route back to every source, and need none to receive.
fn disable_reverse_path_filter(namespace: &Namespace) {
    namespace.set_sysctl("net.ipv4.conf.all.rp_filter", 0);
    namespace.set_sysctl("net.ipv4.conf.default.rp_filter", 0);
}
