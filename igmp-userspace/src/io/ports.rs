//! The configured interfaces and the devices behind them: attached when they appear, forgotten when they go, followed
//! when they change.

mod reconfigure;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use igmp_common::maps::{MAX_PORTS, Mac, PORT_UPSTREAM, Port};
use igmp_common::police::Rate;
use ipnet::Ipv4Net;
use tracing::{info, warn};

use super::datapath::{Attachment, BorrowedEgress, Datapath, Egress};
use super::links::{Link, Snapshot};
use super::packet_socket::PacketSocket;
use crate::api::InterfaceState;
use crate::config::{InterfaceConfig, Role};
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

/// What the event loop has to act on.
#[derive(Clone, Debug)]
pub enum PortEvent {
    /// A downstream interface can work, or its addresses or its configuration changed.
    Ready(IfIndex),
    /// A downstream interface, which had this name, can no longer work.
    Gone(IfIndex, String),
    /// Copies out of this device carry another source address now.
    EgressChanged(IfIndex),
    /// The upstream device is another one, or none.
    Upstream(Option<IfIndex>),
}

impl ConfiguredPort {
    fn new(config: InterfaceConfig, slot: u32) -> Self {
        Self {
            config,
            slot,
            device: None,
            reason: "no such device".into(),
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
}

impl Ports {
    /// The interfaces of a configuration, none attached; `disabled` ones are left out.
    ///
    /// # Errors
    ///
    /// More interfaces than the kernel maps have slots for.
    pub fn new(interfaces: Vec<InterfaceConfig>, igmp_rate: Rate) -> Result<Self> {
        let enabled = reconfigure::enabled(interfaces)?;
        let slots = 1..MAX_PORTS;
        let ports = enabled.into_iter().zip(slots);
        let ports = ports.map(|(config, slot)| ConfiguredPort::new(config, slot));
        Ok(Self {
            configured: ports.collect(),
            igmp_rate,
            sources: BTreeMap::new(),
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
        if port.config.role == Role::Upstream {
            events.push(PortEvent::Upstream(None));
        }
    }
    let Some(link) = link else { return };
    if let Some(device) = &mut port.device {
        if link.mac.is_some_and(|mac| mac != device.mac) {
            match egress_for(port.slot, &port.config, link, igmp_rate, datapath) {
                Ok((mac, egress)) => {
                    device.mac = mac;
                    device.egress = egress;
                    events.push(PortEvent::EgressChanged(link.index));
                }
                Err(error) => warn!(
                    interface = link.name,
                    "new address not taken over: {error:#}"
                ),
            }
        }
        device.link = link.clone();
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
            return;
        }
    }
    if port.config.role == Role::Upstream {
        events.push(PortEvent::Upstream(Some(link.index)));
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
    if port.config.role == Role::Downstream && is_news {
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
    let (mac, egress) = egress_for(port.slot, &port.config, link, igmp_rate, datapath)?;
    socket
        .receive_all_multicast(link.index)
        .context("asking for all multicast")?;
    let attachment = datapath
        .attach(link.index)
        .inspect_err(|_| release(link.index, datapath, socket))?;
    port.reason = "driver has native XDP".into();
    Ok(Device {
        link: link.clone(),
        mac,
        egress,
        _attachment: attachment,
    })
}

/// Takes back what attaching to a device asked for. What a device that is gone took along is no concern.
fn release(interface: IfIndex, datapath: &mut Datapath, socket: &PacketSocket) {
    let _ = datapath.delete_port(interface);
    let _ = socket.end_all_multicast(interface);
}

/// Tells the ingress program about the port and loads the egress program for it.
fn egress_for(
    slot: u32,
    config: &InterfaceConfig,
    link: &Link,
    igmp_rate: Rate,
    datapath: &mut Datapath,
) -> Result<(Mac, Egress)> {
    let mac = link
        .mac
        .context("not an Ethernet device, and native XDP needs one")?;
    datapath.put_port(link.index, entry(slot, config.role, igmp_rate, mac))?;
    Ok((mac, Egress::load(mac, config.ttl_threshold)?))
}

/// What the ingress program needs to know about a port.
fn entry(slot: u32, role: Role, igmp_rate: Rate, mac: Mac) -> Port {
    let flags = if role == Role::Upstream {
        PORT_UPSTREAM
    } else {
        0
    };
    Port {
        igmp_rate,
        slot,
        flags,
        mac,
        reserved: [0; 2],
    }
}
