//! A device with our programs: putting them there, and telling them about it.

use anyhow::{Context, Result};
use igmp_common::maps::{Mac, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_UPSTREAM, Port};
use igmp_common::police::Rate;
use tracing::warn;

use super::super::datapath::{Attachment, Datapath, Egress};
use super::super::links::Link;
use super::super::packet_socket::{Multicast, PacketSocket};
use super::{ConfiguredPort, PortEvent};
use crate::config::Role;
use crate::proto::IfIndex;

/// A device with our programs.
pub struct Device {
    /// The device as netlink last described it.
    pub link: Link,
    pub(super) mac: Mac,
    pub(super) egress: Egress,
    _attachment: Attachment,
}

impl Device {
    /// Copies that were not sent because of the TTL threshold.
    #[must_use]
    pub fn egress_drops(&self) -> u64 {
        self.egress.drops().unwrap_or_default()
    }
}

pub(super) fn attach(
    port: &mut ConfiguredPort,
    link: &Link,
    igmp_rate: Rate,
    datapath: &mut Datapath,
    socket: &PacketSocket,
) -> Result<Device> {
    let (mac, egress) = egress_for(port, link, igmp_rate, datapath)?;
    receive_multicast(port.config.role, link.index, socket)?;
    let attachment = datapath
        .attach(link.index)
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
pub(super) fn receive_multicast(
    role: Role,
    interface: IfIndex,
    socket: &PacketSocket,
) -> Result<()> {
    if role == Role::Downstream {
        socket
            .listen(interface, Multicast::All)
            .context("asking for all multicast")?;
    }
    Ok(())
}

/// Takes back what attaching to a device asked for. What a device that is gone took along is no concern.
pub(super) fn release(
    interface: IfIndex,
    role: Role,
    datapath: &mut Datapath,
    socket: &PacketSocket,
) {
    let _ = datapath.delete_port(interface);
    end_multicast(role, interface, socket);
}

pub(super) fn end_multicast(role: Role, interface: IfIndex, socket: &PacketSocket) {
    if role == Role::Downstream {
        let _ = socket.unlisten(interface, Multicast::All);
    }
}

/// Another egress program, because what it holds as constants has changed.
pub(super) fn load_egress(
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
        reserved: [0; 2],
    }
}

/// Tells the ingress program what has changed for it.
pub(super) fn tell_program(port: &ConfiguredPort, igmp_rate: Rate, datapath: &mut Datapath) {
    let Some(device) = &port.device else { return };
    let entry = entry(port, igmp_rate, device.mac);
    if let Err(error) = datapath.put_port(device.link.index, entry) {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
}
