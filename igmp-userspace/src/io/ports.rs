//! The configured interfaces and the devices behind them: attached when they appear, forgotten when they go, followed
//! when they change.

mod reconfigure;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use igmp_common::maps::{MAX_PORTS, Mac, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_UPSTREAM, Port};
use igmp_common::police::Rate;
use ipnet::Ipv4Net;
use tracing::{info, warn};

use super::datapath::{Attachment, BorrowedEgress, Datapath, Egress, Hook};
use super::links::{Link, Snapshot};
use super::packet_socket::{Multicast, PacketSocket};
use crate::api::InterfaceState;
use crate::config::{InterfaceConfig, Role};
use crate::fib::Upstream;
use crate::fib::groups::{self, GroupPrefix};
use crate::fib::sources::{self, InterfaceSources, SourcePrefix};
use crate::proto::IfIndex;

/// An address that goes and comes back within this time (a changed prefix, a DHCP renewal) costs no memberships.
const ADDRESS_GRACE: Duration = Duration::from_secs(1);

/// One configured interface.
pub struct ConfiguredPort {
    /// Its configuration.
    pub config: InterfaceConfig,
    /// Its index into the kernel's counters, for as long as it is configured.
    pub slot: u32,
    /// The device, while there is one and we are attached to it.
    pub device: Option<Device>,
    /// Why there is no device, or what the one there is like.
    pub reason: String,
    /// Another router forwards on the link: nothing that comes in is forwarded.
    closed: bool,
    /// When its last address went, while it is up.
    address_lost: Option<Instant>,
    /// The addresses the router runs on it with; `None` while it does not.
    running: Option<Vec<Ipv4Net>>,
    /// Its configuration is another one than the router was told.
    reconfigured: bool,
}

/// A device with our programs.
pub struct Device {
    /// The device as netlink last described it.
    pub link: Link,
    mac: Mac,
    egress: Egress,
    _attachment: Attachment,
}

impl Device {
    /// Copies that were not sent because of the TTL threshold.
    #[must_use]
    pub fn egress_drops(&self) -> u64 {
        self.egress.drops().unwrap_or_default()
    }
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
            closed: false,
            address_lost: None,
            running: None,
            reconfigured: false,
        }
    }

    /// What it is able to do now.
    #[must_use]
    pub fn state(&self) -> InterfaceState {
        match &self.device {
            None => InterfaceState::Absent,
            Some(device) if !device.link.up => InterfaceState::Down,
            Some(device) if device.link.addresses.is_empty() => InterfaceState::NoAddress,
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
pub struct Ports {
    configured: Vec<ConfiguredPort>,
    igmp_rate: Rate,
    sources: BTreeMap<SourcePrefix, u32>,
    groups: BTreeMap<GroupPrefix, u32>,
}

impl Ports {
    /// These interfaces, none attached.
    ///
    /// # Errors
    ///
    /// More interfaces than the kernel maps have slots for.
    pub fn new(interfaces: Vec<InterfaceConfig>, igmp_rate: Rate) -> Result<Self> {
        reconfigure::check_number(&interfaces)?;
        let ports = interfaces.into_iter().zip(1..MAX_PORTS);
        let ports = ports.map(|(config, slot)| ConfiguredPort::new(config, slot));
        Ok(Self {
            configured: ports.collect(),
            igmp_rate,
            sources: BTreeMap::new(),
            groups: BTreeMap::new(),
        })
    }

    /// The interfaces in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &ConfiguredPort> {
        self.configured.iter()
    }

    /// The interface whose device has this index.
    #[must_use]
    pub fn by_index(&self, index: IfIndex) -> Option<&ConfiguredPort> {
        self.configured
            .iter()
            .find(|port| port.index() == Some(index))
    }

    /// The egress program of a device.
    #[must_use]
    pub fn egress(&self, index: IfIndex) -> Option<BorrowedEgress<'_>> {
        self.by_index(index)?.device.as_ref()?.egress.fd()
    }

    /// Attaches to every configured device of `snapshot`; the first refusal is an error that names the device.
    ///
    /// # Errors
    ///
    /// What keeps the first device that cannot be attached from it; its name comes first.
    pub fn attach_all(
        &mut self,
        snapshot: &Snapshot,
        datapath: &mut Datapath,
        socket: &PacketSocket,
    ) -> Result<()> {
        for port in &mut self.configured {
            if let Some(link) = snapshot.links.get(&port.config.name) {
                let device = attach(port, link, self.igmp_rate, datapath, socket);
                port.device = Some(device.with_context(|| port.config.name.clone())?);
            } else {
                warn!(interface = port.config.name, "no such device yet");
            }
        }
        Ok(())
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
        for port in &mut self.configured {
            let link = snapshot.links.get(&port.config.name);
            follow_device(port, link, self.igmp_rate, datapath, socket, &mut events);
            let flapped = port
                .index()
                .is_some_and(|index| snapshot.flapped.contains(&index));
            follow_state(port, flapped, now, &mut events);
        }
        self.update_sources(snapshot, datapath);
        events
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

/// Attaches to a device that appeared, lets go of one that went, takes over what changed.
fn follow_device(
    port: &mut ConfiguredPort,
    link: Option<&Link>,
    igmp_rate: Rate,
    datapath: &mut Datapath,
    socket: &PacketSocket,
    events: &mut Vec<PortEvent>,
) {
    if let Some(device) = &port.device
        && link.is_none_or(|link| link.index != device.link.index)
    {
        let index = device.link.index;
        info!(
            interface = port.config.name,
            ifindex = index.0,
            "device gone"
        );
        stop(port, events);
        port.device = None;
        port.reason = "no such device".into();
        // The device took its attachment along; its entry is ours to remove.
        let _ = datapath.delete_port(index);
    }
    let Some(link) = link else { return };
    if let Some(device) = &mut port.device {
        let is_other_mac = link.mac.is_some_and(|mac| mac != device.mac);
        device.link = link.clone();
        if is_other_mac {
            load_egress(port, igmp_rate, datapath, events);
        }
        return;
    }
    match attach(port, link, igmp_rate, datapath, socket) {
        Ok(device) => {
            info!(interface = link.name, ifindex = link.index.0, "attached");
            port.device = Some(device);
        }
        Err(error) => {
            let reason = format!("{error:#}");
            if port.reason != reason {
                warn!(interface = link.name, "not attached: {reason}");
                port.reason = reason;
            }
        }
    }
}

/// Starts and stops the router on an interface as its device can and cannot work.
fn follow_state(
    port: &mut ConfiguredPort,
    flapped: bool,
    now: Instant,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = &port.device else { return };
    let link = device.link.clone();
    if !link.up || flapped {
        stop(port, events);
    }
    if !link.up {
        port.address_lost = None;
        return;
    }
    if link.addresses.is_empty() {
        let lost = *port.address_lost.get_or_insert(now);
        if now.duration_since(lost) >= ADDRESS_GRACE {
            stop(port, events);
            port.address_lost = None;
        }
        return;
    }
    port.address_lost = None;
    let is_news = port.reconfigured || port.running.as_ref() != Some(&link.addresses);
    if is_news {
        port.running = Some(link.addresses);
        port.reconfigured = false;
        events.push(PortEvent::Ready(link.index));
    }
}

fn stop(port: &mut ConfiguredPort, events: &mut Vec<PortEvent>) {
    if port.running.take().is_some()
        && let Some(index) = port.index()
    {
        events.push(PortEvent::Gone(index, port.config.name.clone()));
    }
}

fn attach(
    port: &mut ConfiguredPort,
    link: &Link,
    igmp_rate: Rate,
    datapath: &mut Datapath,
    socket: &PacketSocket,
) -> Result<Device> {
    let (mac, egress) = egress_for(port, link, igmp_rate, datapath)?;
    receive_multicast(port.config.role, link.index, socket)?;
    let attachment = datapath
        .attach(link.index, Hook::XdpNative)
        .inspect_err(|_| release(link.index, port.config.role, datapath, socket))?;
    port.reason = "driver has native XDP".into();
    Ok(Device {
        link: link.clone(),
        mac,
        egress,
        _attachment: attachment,
    })
}

/// Downstream every group may come in: reports are sent to the group they are about, and every source is sent upstream.
/// Upstream only what was joined may: `MulticastFilter` asks for it.
fn receive_multicast(role: Role, interface: IfIndex, socket: &PacketSocket) -> Result<()> {
    if role == Role::Downstream {
        socket
            .listen(interface, Multicast::All)
            .context("asking for all multicast")?;
    }
    Ok(())
}

/// Takes back what attaching to a device asked for. What a device that is gone took along is no concern.
fn release(interface: IfIndex, role: Role, datapath: &mut Datapath, socket: &PacketSocket) {
    let _ = datapath.delete_port(interface);
    end_multicast(role, interface, socket);
}

fn end_multicast(role: Role, interface: IfIndex, socket: &PacketSocket) {
    if role == Role::Downstream {
        let _ = socket.unlisten(interface, Multicast::All);
    }
}

/// Another egress program, because what it holds as constants has changed.
fn load_egress(
    port: &mut ConfiguredPort,
    igmp_rate: Rate,
    datapath: &mut Datapath,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = &port.device else { return };
    let link = device.link.clone();
    match egress_for(port, &link, igmp_rate, datapath) {
        Ok((mac, egress)) => {
            if let Some(device) = &mut port.device {
                device.mac = mac;
                device.egress = egress;
            }
            events.push(PortEvent::EgressChanged(link.index));
        }
        Err(error) => warn!(
            interface = link.name,
            "egress program not replaced: {error:#}"
        ),
    }
}

/// Tells the ingress program about the port and loads the egress program for it.
fn egress_for(
    port: &ConfiguredPort,
    link: &Link,
    igmp_rate: Rate,
    datapath: &mut Datapath,
) -> Result<(Mac, Egress)> {
    let mac = link
        .mac
        .context("not an Ethernet device, and native XDP needs one")?;
    datapath.put_port(link.index, entry(port, igmp_rate, mac))?;
    Ok((mac, Egress::load(mac, port.config.ttl_threshold)?))
}

/// What the ingress program needs to know about a port.
fn entry(port: &ConfiguredPort, igmp_rate: Rate, mac: Mac) -> Port {
    let flags = [
        (port.config.role == Role::Upstream, PORT_UPSTREAM),
        (port.closed, PORT_CLOSED),
        (
            !port.config.policy.group_filter.is_open(),
            PORT_FILTERS_GROUPS,
        ),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    Port {
        igmp_rate,
        slot: port.slot,
        flags: set.fold(0, |flags, (_, flag)| flags | flag),
        mac,
        ttl_threshold: port.config.ttl_threshold,
        reserved: 0,
    }
}

/// Tells the ingress program what has changed for it.
fn tell_program(port: &ConfiguredPort, igmp_rate: Rate, datapath: &mut Datapath) {
    let Some(device) = &port.device else { return };
    let entry = entry(port, igmp_rate, device.mac);
    if let Err(error) = datapath.put_port(device.link.index, entry) {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
}
