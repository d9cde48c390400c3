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
//! then are switches that both hang on; [`Topology::with_rival_on`] does so with several LANs.
//!
//! [`Topology::behind`] puts a provider's router or switch between the source and `wan0`, whose network then is not the
//! source's:
//!
//! ```text
//!   src ── eth0 10.0.0.2 ── src0 10.0.0.1  provider  acc0 192.0.2.1 ── wan0 192.0.2.2  gateway ── lan0 ...
//! ```

use std::fmt::Write as _;
use std::iter;
use std::net::Ipv4Addr;

use crate::capture::Capture;
use crate::host::{DEVICE, Host};
use crate::netns::Namespace;

mod parts;

use parts::{configure, connect, connect_to_switch, new_gateway, new_host, new_switch};

/// The gateway's device towards the source.
pub const UPSTREAM: &str = "wan0";
/// A bridge inside a switch namespace.
pub const BRIDGE: &str = "br0";
/// The switch's port to the gateway; those to its hosts are `p1`, `p2` ...
pub const UPLINK: &str = "p0";
/// The provider's device towards the gateway.
pub const ACCESS: &str = "acc0";
/// The provider's router's device towards the source.
pub const TOWARDS_SOURCE: &str = "src0";
/// The provider's address on the link to the gateway.
pub const PROVIDER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The gateway's address there.
pub const WAN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
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

/// What a provider has between the source and the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provider {
    /// A router: nothing passes until something in its namespace routes multicast.
    Router,
    /// A switch with an address, [`PROVIDER`]: it floods until something turns its IGMP snooping on.
    Switch,
}

/// What is between the source and the gateways.
enum Upstream {
    Cable,
    /// For both gateways.
    Switch(Namespace),
    Provider(Provider, Namespace),
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
    upstream: Upstream,
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
        Self::without_lans(None).with_lans(lans)
    }

    /// Builds the network with a provider between the source and the gateway.
    pub fn behind(provider: Provider, lans: &[Lan]) -> Self {
        let mut topology = Self::without_lans(None);
        let namespace = match provider {
            Provider::Router => {
                let router = new_gateway("isp");
                let source = &topology.source;
                connect(
                    &router,
                    TOWARDS_SOURCE,
                    gateway_address(0),
                    &source.namespace,
                    DEVICE,
                );
                configure(source);
                router
            }
            Provider::Switch => {
                let switch = new_switch(std::slice::from_ref(&topology.source));
                switch.ip(&format!("addr add {PROVIDER}/24 dev {BRIDGE}"));
                switch
            }
        };
        topology.upstream = Upstream::Provider(provider, namespace);
        topology.with_lans(lans)
    }

    /// Builds the network with one LAN and a second gateway on it: `wan0` 10.0.0.254 and `lan0` 10.1.0.254.
    ///
    /// # Panics
    /// When the LAN has one host only: such a LAN has no switch.
    pub fn with_rival(lan: Lan) -> Self {
        Self::with_rival_on(&[lan])
    }

    /// The same with several LANs, all of which the second gateway is on.
    ///
    /// # Panics
    /// When one has one host only.
    pub fn with_rival_on(lans: &[Lan]) -> Self {
        let mut topology = Self::without_lans(Some(new_gateway("rival")));
        let switch = new_switch(std::slice::from_ref(&topology.source));
        connect_to_switch(
            topology.rival(),
            UPSTREAM,
            rival_address(0),
            &switch,
            RIVAL_UPLINK,
        );
        topology.upstream = Upstream::Switch(switch);
        let topology = topology.with_lans(lans);
        for lan in 0..lans.len() {
            connect_to_switch(
                topology.rival(),
                &downstream(lan),
                rival_address(lan + 1),
                topology.switch(lan),
                RIVAL_UPLINK,
            );
        }
        topology
    }

    fn without_lans(rival: Option<Namespace>) -> Self {
        Self {
            source: new_host("src", Self::SOURCE),
            gateway: new_gateway("gw"),
            receivers: Vec::new(),
            rival,
            lans: Vec::new(),
            upstream: Upstream::Cable,
        }
    }

    fn with_lans(mut self, lans: &[Lan]) -> Self {
        let topology = &mut self;
        topology.connect_upstream();
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

    /// The provider's router or switch.
    ///
    /// # Panics
    /// When there is none.
    pub fn provider(&self) -> &Namespace {
        match &self.upstream {
            Upstream::Provider(_, namespace) => namespace,
            Upstream::Cable | Upstream::Switch(_) => panic!("a topology without a provider"),
        }
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
        self.proxy_config(igmp, "", keys)
    }

    /// The same with further keys for the upstream interface.
    pub fn proxy_config(&self, igmp: &str, upstream: &str, keys: &[&str]) -> String {
        let mut config =
            format!("[igmp]\n{igmp}\n[[interface]]\nname = \"{UPSTREAM}\"\nrole = \"upstream\"\n");
        for key in upstream.lines() {
            let _ = writeln!(config, "{key}");
        }
        for (name, keys) in self.downstreams().zip(keys.iter().chain(iter::repeat(&""))) {
            let _ = write!(
                config,
                "[[interface]]\nname = \"{name}\"\nrole = \"downstream\"\n{keys}\n"
            );
        }
        config
    }

    /// Makes the upstream device, which [`new`](Self::new) does first; again after it was deleted. Without a provider the
    /// source's end was deleted with it.
    pub fn connect_upstream(&self) {
        match &self.upstream {
            Upstream::Cable => {
                let source = &self.source;
                connect(
                    &self.gateway,
                    UPSTREAM,
                    gateway_address(0),
                    &source.namespace,
                    DEVICE,
                );
                configure(source);
            }
            Upstream::Switch(switch) => {
                connect_to_switch(&self.gateway, UPSTREAM, gateway_address(0), switch, UPLINK);
            }
            Upstream::Provider(Provider::Router, router) => {
                connect(&self.gateway, UPSTREAM, WAN_ADDRESS, router, ACCESS);
                router.ip(&format!("addr add {PROVIDER}/24 dev {ACCESS}"));
            }
            Upstream::Provider(Provider::Switch, switch) => {
                connect_to_switch(&self.gateway, UPSTREAM, WAN_ADDRESS, switch, ACCESS);
            }
        }
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
