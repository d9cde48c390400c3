//! The configured interfaces and the devices behind them: attached when they appear, forgotten when they go, followed
//! when they change.

mod choice;
mod device;
mod follow;
mod foreign;
mod hooks;
mod reconfigure;
mod trunk;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use igmp_common::police::Rate;
use ipnet::Ipv4Net;
use tracing::warn;

use super::datapath::{Attachment, Datapath, Hook, Output};
use super::links::Snapshot;
use super::netdev::Devices;
use super::packet_socket::PacketSocket;
use super::vlan;
use crate::api::{self, InterfaceState};
use crate::config::pattern::is_pattern;
use crate::config::{InterfaceConfig, Mode, Role};
use crate::fib::Upstream;
use crate::fib::groups::{self, GroupPrefix};
use crate::fib::sources::{self, InterfaceSources, SourcePrefix};
use crate::proto::IfIndex;
use choice::Choice;
pub use device::Device;
use device::{World, load_egress, set_gate, tell_program};
use follow::{follow_device, follow_state};
use hooks::Hooks;

/// One configured interface.
pub struct ConfiguredPort {
    /// Its configuration.
    pub config: InterfaceConfig,
    /// Its index into the kernel's counters, for as long as it is configured.
    pub slot: u32,
    /// The device, while there is one and we are attached to it.
    pub device: Option<Device>,
    /// Why there is no device, or why the one there has the programs it has.
    reason: String,
    /// Why no XDP redirect reaches the device; `None` = it does.
    no_redirect: Option<&'static str>,
    /// What keeps its frames from any program, and what to do about it.
    drops_frames: Option<String>,
    /// Frames of other ports come and go through the same device.
    shares_device: bool,
    /// Another router forwards on the link: nothing that comes in is forwarded.
    closed: bool,
    /// Whether another gateway may serve its hosts, and does.
    gate: Gate,
    /// When its last address went, while it is up.
    address_lost: Option<Instant>,
    /// The addresses the router runs on it with; `None` while it does not.
    running: Option<Vec<Ipv4Net>>,
    /// Its configuration is another one than the router was told.
    reconfigured: bool,
}

/// Between the flows of an interface and its hosts: nothing goes either way while another gateway serves them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Gate {
    /// No other gateway can: nothing asks for a gate.
    #[default]
    None,
    /// This gateway serves them.
    Open,
    /// The other one does.
    Closed,
}

/// What the event loop has to act on.
#[derive(Clone, Debug)]
pub enum PortEvent {
    /// An interface can work, or its addresses or its configuration changed.
    Ready(IfIndex),
    /// An interface, which had this name, can no longer work.
    Gone(IfIndex, String),
    /// Copies out of this device carry another source address now.
    EgressChanged(IfIndex),
}

impl ConfiguredPort {
    fn new(config: InterfaceConfig, slot: u32) -> Self {
        Self {
            config,
            slot,
            device: None,
            reason: "no such device".into(),
            no_redirect: None,
            drops_frames: None,
            shares_device: false,
            closed: false,
            gate: Gate::None,
            address_lost: None,
            running: None,
            reconfigured: false,
        }
    }

    /// How packets that come in there are to be handled.
    fn mode(&self) -> Mode {
        self.config.mode.unwrap_or_default()
    }

    /// What handles packets that come in there.
    #[must_use]
    pub fn datapath(&self) -> api::Datapath {
        let device = self.device.as_ref();
        device.map_or(api::Datapath::None, |device| device.choice.datapath())
    }

    /// Why that does, and why copies to it do not go by XDP if they do not.
    #[must_use]
    pub fn datapath_reason(&self) -> String {
        [
            Some(&*self.reason),
            self.no_redirect,
            self.drops_frames.as_deref(),
            (self.gate == Gate::Closed).then_some("closed: another gateway serves its hosts"),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
    }

    /// Whether copies of what comes in there in native XDP must be made in TC. A redirect to a set of devices leaves out the
    /// one that the packet came in on, and so every port on it; what comes in upstream never goes back there.
    fn leaves_replicating_to_tc(&self, choice: &Choice) -> bool {
        self.shares_device
            && self.config.role == Role::Downstream
            && matches!(choice.hooks, [Hook::XdpNative, Hook::Tc])
    }

    /// Looks what becomes of copies that are sent there.
    fn follow_outputs(&mut self, snapshot: &Snapshot) {
        let seat = self.device.as_ref().and_then(|device| {
            let link = snapshot.by_index(IfIndex(device.choice.seat.device))?;
            Some((device, link))
        });
        self.no_redirect = seat.and_then(|(device, link)| {
            let shares_device = self.shares_device;
            device.choice.no_redirect(self.mode(), link, shares_device)
        });
        self.drops_frames = seat.and_then(|(device, link)| {
            vlan::of_index(device.link.index)?;
            let feature = link.tag_offload.filtering(device.choice.seat.tag)?;
            let name = &link.name;
            Some(format!(
                "{name} drops frames of VLANs without a device: `ethtool -K {name} {feature} off`"
            ))
        });
    }

    /// What it is able to do now.
    #[must_use]
    pub fn state(&self) -> InterfaceState {
        match &self.device {
            None => InterfaceState::Absent,
            Some(device) if !device.link.up => InterfaceState::Down,
            Some(_) if self.running.is_none() => InterfaceState::NoAddress,
            Some(_) => InterfaceState::Ready,
        }
    }

    /// The addresses that the router runs on it with; `None` while it does not.
    #[must_use]
    pub fn running(&self) -> Option<&[Ipv4Net]> {
        self.running.as_deref()
    }

    /// The device's index.
    #[must_use]
    pub fn index(&self) -> Option<IfIndex> {
        self.device.as_ref().map(|device| device.link.index)
    }
}

/// All of them.
#[derive(Default)]
pub struct Ports {
    /// What is configured: names and patterns, those left alone too.
    rules: Vec<InterfaceConfig>,
    /// A port for each interface that those stand for.
    configured: Vec<ConfiguredPort>,
    igmp_rate: Rate,
    /// What the kernel says that devices can do, if it does.
    features: Option<Devices>,
    /// Devices that match, and that there is no room for.
    left_out: usize,
    gates: BTreeMap<String, Gate>,
    is_unfinished: bool,
    hooks: Hooks,
    sources: BTreeMap<SourcePrefix, u32>,
    groups: BTreeMap<GroupPrefix, u32>,
}

impl Ports {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The interfaces in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &ConfiguredPort> {
        self.configured.iter()
    }

    /// Our programs on the devices.
    pub fn attachments_mut(&mut self) -> impl Iterator<Item = &mut Attachment> {
        self.hooks.attachments_mut()
    }

    /// Puts back programs that somebody has taken off; true = [`reconcile`](Self::reconcile) has something to follow.
    pub fn put_back(&mut self, datapath: &mut Datapath) -> bool {
        self.hooks.put_back(datapath)
    }

    /// The interface whose device has this index.
    #[must_use]
    pub fn by_index(&self, index: IfIndex) -> Option<&ConfiguredPort> {
        self.configured
            .iter()
            .find(|port| port.index() == Some(index))
    }

    /// How copies leave through a port in XDP.
    #[must_use]
    pub fn egress(&self, index: IfIndex) -> Option<Output<'_>> {
        let port = self.by_index(index)?;
        let device = port.device.as_ref()?;
        let egress = device.egress.as_ref()?;
        Some(Output {
            device: IfIndex(device.choice.seat.device),
            program: egress.fd()?,
            sole: egress.sole_output(port.slot),
        })
    }

    /// Brings the ports in line with the devices there are.
    pub fn reconcile(
        &mut self,
        snapshot: &Snapshot,
        datapath: &mut Datapath,
        socket: &PacketSocket,
        now: Instant,
    ) -> Vec<PortEvent> {
        let mut events = Vec::new();
        let snapshot = &self.complete(snapshot, &self.rules);
        let hooks = std::mem::take(&mut self.hooks);
        let mut world = World::new(self.igmp_rate, hooks, datapath, socket);
        self.take_over(snapshot, &mut BTreeMap::new(), &mut world, &mut events);
        self.is_unfinished = false;
        for port in &mut self.configured {
            let is_done = follow_device(port, snapshot, &mut world, &mut events);
            self.is_unfinished |= !is_done;
            follow_state(port, snapshot, now, &mut events);
        }
        self.hooks = world.hooks;
        self.follow_outputs(snapshot, datapath);
        self.update_sources(snapshot, datapath);
        events
    }

    /// What there is, for `rules`: with what devices can do, and with VLANs that have none.
    fn complete(&self, snapshot: &Snapshot, rules: &[InterfaceConfig]) -> Snapshot {
        let mut snapshot = snapshot.clone();
        for link in snapshot.links.values_mut() {
            let features = self.features.as_ref();
            link.features = features.and_then(|features| features.get(&link.index).copied());
        }
        vlan::add_to(&mut snapshot, rules);
        snapshot
    }

    /// Looks which ports have come to share a device, and which are alone again, and what becomes of copies to each.
    fn follow_outputs(&mut self, snapshot: &Snapshot, datapath: &mut Datapath) {
        let shared = self.hooks.shared_devices();
        for port in &mut self.configured {
            let device = port.device.as_ref();
            let shares_device =
                device.is_some_and(|device| shared.contains(&device.choice.seat.device));
            if port.shares_device != shares_device {
                port.shares_device = shares_device;
                tell_program(port, self.igmp_rate, datapath);
            }
            port.follow_outputs(snapshot);
        }
    }

    /// Takes over what the kernel says that devices can do; `None` = it does not. [`reconcile`](Self::reconcile) then acts
    /// on it.
    pub fn set_features(&mut self, features: Option<Devices>) {
        self.features = features;
    }

    /// The devices that no XDP redirect reaches.
    #[must_use]
    pub fn tc_outputs(&self) -> BTreeSet<IfIndex> {
        let ports = self.iter().filter(|port| port.no_redirect.is_some());
        ports.filter_map(ConfiguredPort::index).collect()
    }

    /// The MTUs of the devices.
    #[must_use]
    pub fn output_mtus(&self) -> BTreeMap<IfIndex, usize> {
        let devices = self.iter().filter_map(|port| port.device.as_ref());
        let mtus = devices.map(|device| (device.link.index, device.link.mtu));
        mtus.collect()
    }

    /// The upstream interface.
    #[must_use]
    pub fn upstream(&self) -> Option<&ConfiguredPort> {
        self.iter().find(|port| port.config.role == Role::Upstream)
    }

    /// The patterns that no device matches.
    pub fn idle_patterns(&self) -> impl Iterator<Item = &InterfaceConfig> {
        let is_idle = |rule: &&InterfaceConfig| {
            let mut ports = self.configured.iter();
            let matches = |port: &ConfiguredPort| port.config.pattern.as_ref() == Some(&rule.name);
            rule.is_used() && is_pattern(&rule.name) && !ports.any(matches)
        };
        self.rules.iter().filter(is_idle)
    }

    /// True while there are devices to attach to, for [`reconcile`](Self::reconcile) to go on with.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// True while an interface waits for an address to come back before its state is cleared.
    #[must_use]
    pub fn has_address_grace(&self) -> bool {
        self.configured
            .iter()
            .any(|port| port.address_lost.is_some())
    }

    /// Brings the kernel's group prefixes in line with the filters of the interfaces.
    pub fn update_groups(&mut self, upstream: Option<&Upstream>, datapath: &mut Datapath) {
        let filters: Vec<_> = self
            .configured
            .iter()
            .filter_map(|port| Some((port.index()?, &port.config.policy.group_filter)))
            .collect();
        let wanted = groups::prefixes(&filters, upstream);
        for (prefix, class) in &wanted {
            if self.groups.get(prefix) != Some(class)
                && let Err(error) = datapath.put_group(*prefix, *class)
            {
                warn!(network = %prefix.network, "group prefix not written: {error}");
            }
        }
        for prefix in self.groups.keys() {
            if !wanted.contains_key(prefix)
                && let Err(error) = datapath.delete_group(*prefix)
            {
                warn!(network = %prefix.network, "group prefix not removed: {error}");
            }
        }
        self.groups = wanted;
    }

    /// Says for each interface what its gate is; those that are not named have none. Opening and closing is one write to
    /// the egress program's map, and one to that of the ports.
    pub fn set_gates(
        &mut self,
        gates: BTreeMap<String, Gate>,
        datapath: &mut Datapath,
        socket: &PacketSocket,
    ) -> Vec<PortEvent> {
        self.gates = gates;
        let mut events = Vec::new();
        let hooks = std::mem::take(&mut self.hooks);
        let mut world = World::new(self.igmp_rate, hooks, datapath, socket);
        for port in &mut self.configured {
            let gate = gate_of(&self.gates, &port.config);
            let is_new = (gate == Gate::None) != (port.gate == Gate::None);
            if is_new {
                port.gate = gate;
                load_egress(port, &mut world, &mut events);
            } else if gate != port.gate {
                set_gate(port, gate, self.igmp_rate, world.datapath);
            }
        }
        self.hooks = world.hooks;
        events
    }

    /// Says for each downstream device whether what comes in there is forwarded.
    pub fn open_where(&mut self, datapath: &mut Datapath, is_open: impl Fn(IfIndex) -> bool) {
        for port in &mut self.configured {
            let Some(index) = port.index() else { continue };
            let closed = port.config.role == Role::Downstream && !is_open(index);
            if port.closed != closed {
                port.closed = closed;
                tell_program(port, self.igmp_rate, datapath);
            }
        }
    }

    fn update_sources(&mut self, snapshot: &Snapshot, datapath: &mut Datapath) {
        let interfaces: Vec<InterfaceSources> = self
            .configured
            .iter()
            .filter_map(|port| {
                let link = &port.device.as_ref()?.link;
                Some(InterfaceSources {
                    interface: link.index,
                    addresses: link.addresses.clone(),
                    alt_subnets: port.config.alt_subnets.clone(),
                })
            })
            .collect();
        let wanted = sources::prefixes(&interfaces, &snapshot.own_addresses());
        for (prefix, class) in &wanted {
            if self.sources.get(prefix) != Some(class)
                && let Err(error) = datapath.put_source(*prefix, *class)
            {
                warn!(network = %prefix.network, "source prefix not written: {error}");
            }
        }
        for prefix in self.sources.keys() {
            if !wanted.contains_key(prefix)
                && let Err(error) = datapath.delete_source(*prefix)
            {
                warn!(network = %prefix.network, "source prefix not removed: {error}");
            }
        }
        self.sources = wanted;
    }
}

fn gate_of(gates: &BTreeMap<String, Gate>, config: &InterfaceConfig) -> Gate {
    gates.get(&config.name).copied().unwrap_or_default()
}
