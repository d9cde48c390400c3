//! A device with our programs: putting them there, and telling them about it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use igmp_common::maps::{
    Mac, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_GATE_CLOSED, PORT_REPLICATES_IN_TC, PORT_UPSTREAM,
    Port, TTL_OF_NOTHING, UNTAGGED,
};
use igmp_common::police::Rate;
use tracing::warn;

use super::super::datapath::{
    AttachError, Datapath, Egress, EgressConstants, EgressDrops, Hook, Place,
};
use super::super::links::{Link, Snapshot};
use super::super::packet_socket::{Multicast, PacketSocket};
use super::super::vlan;
use super::choice::{Choice, Facts};
use super::hooks::Hooks;
use super::trunk::Trunk;
use super::{ConfiguredPort, Gate, PortEvent, foreign};
use crate::config::{Mode, Role};
use crate::proto::IfIndex;

/// A device with our programs.
pub struct Device {
    /// The device as netlink last described it.
    pub link: Link,
    /// Which programs, and why.
    pub choice: Choice,
    pub(super) facts: Facts,
    pub(super) mac: Mac,
    /// `None`: copies without an Ethernet header have nothing to rewrite.
    pub(super) egress: Option<Egress>,
}

impl Device {
    /// Copies that the egress program did not send.
    #[must_use]
    pub fn egress_drops(&self) -> EgressDrops {
        let drops = self.egress.as_ref().map(Egress::drops);
        drops.and_then(Result::ok).unwrap_or_default()
    }
}

/// What attaching needs besides the port and its device.
pub(super) struct World<'a> {
    pub(super) igmp_rate: Rate,
    pub(super) datapath: &'a mut Datapath,
    pub(super) socket: &'a PacketSocket,
    /// The ports', for as long as this lives.
    pub(super) hooks: Hooks,
    own_xdp: Option<u32>,
    began: Instant,
    has_attached: bool,
}

/// Attaching to a device waits for several RCU grace periods, some 40 ms; meanwhile nothing else is done.
const ATTACHING_AT_ONCE: Duration = Duration::from_millis(50);

impl<'a> World<'a> {
    pub(super) fn new(
        igmp_rate: Rate,
        hooks: Hooks,
        datapath: &'a mut Datapath,
        socket: &'a PacketSocket,
    ) -> Self {
        Self {
            igmp_rate,
            datapath,
            socket,
            hooks,
            own_xdp: None,
            began: Instant::now(),
            has_attached: false,
        }
    }

    /// Whether there is time to attach to one more device before others have their turn.
    pub(super) fn has_time(&self) -> bool {
        !self.has_attached || self.began.elapsed() < ATTACHING_AT_ONCE
    }

    /// The id of the XDP program on a device that is not somebody else's: ours, or that of the igmpd before.
    pub(super) fn own_xdp(&mut self, link: &Link) -> Result<u32> {
        if let Some(id) = link.xdp
            && self.datapath.is_inherited_xdp(id)
        {
            return Ok(id);
        }
        if let Some(id) = self.own_xdp {
            return Ok(id);
        }
        let id = self.datapath.ingress()?.info()?.id();
        self.own_xdp = Some(id);
        Ok(id)
    }
}

/// Attaches the programs that the port's mode asks for.
pub(super) fn attach(
    port: &mut ConfiguredPort,
    link: &Link,
    snapshot: &Snapshot,
    world: &mut World<'_>,
) -> Result<Device> {
    world.has_attached = true;
    check_vlan(port, link, snapshot)?;
    let mode = port.mode();
    let trunk = Trunk::of(mode, link, snapshot);
    let facts = Facts::new(&trunk, world.own_xdp(trunk.link)?);
    let foreign = facts.foreign_xdp.map(foreign::describe);
    let choice = Choice::new(mode, link, &trunk, &facts, foreign.as_deref());
    let choice = choice.map_err(|reason| anyhow!(reason))?;
    receive_multicast(port.config.role, link.index, world.socket)?;
    let attached = attach_what_is_possible(port, link, &trunk, choice, world);
    let (choice, egress) = attached.inspect_err(|_| {
        end_multicast(port.config.role, link.index, world.socket);
    })?;
    port.reason.clone_from(&choice.reason);
    Ok(Device {
        link: link.clone(),
        choice,
        facts,
        mac: link.mac.unwrap_or_default(),
        egress,
    })
}

/// A device may have the name that we give to a VLAN.
fn check_vlan(port: &ConfiguredPort, link: &Link, snapshot: &Snapshot) -> Result<()> {
    let Some(wanted) = &port.config.vlan else {
        return Ok(());
    };
    ensure!(
        link.mac.is_some(),
        "not an Ethernet device: it has no VLANs"
    );
    let is_wanted = link.vlan.is_some_and(|vlan| {
        let device = snapshot.by_index(vlan.device);
        vlan.tag == wanted.tag && device.is_some_and(|device| device.name == wanted.device)
    });
    ensure!(
        is_wanted,
        "{} is another device than VLAN {} of {}; give it another name",
        link.name,
        vlan::describe(wanted.tag),
        wanted.device
    );
    Ok(())
}

/// Attaches the programs of `choice`, or of the next best.
fn attach_what_is_possible(
    port: &mut ConfiguredPort,
    link: &Link,
    trunk: &Trunk<'_>,
    choice: Choice,
    world: &mut World<'_>,
) -> Result<(Choice, Option<Egress>)> {
    let refused = match attach_programs(port, link, &choice, world) {
        Ok(egress) => return Ok((choice, egress)),
        Err(error) => error,
    };
    let (reason, is_tc) = (format!("{refused:#}"), is_tc(&refused));
    let next = match choice.without_tc(&reason) {
        Some(without_tc) if is_tc => without_tc,
        _ if choice.has_xdp() && port.mode() == Mode::Auto => Choice::tc(link, trunk, reason),
        _ => return Err(refused),
    };
    let egress = attach_programs(port, link, &next, world)?;
    if is_tc {
        warn!(interface = link.name, "{}", next.reason);
    }
    Ok((next, egress))
}

/// Whether it is TC that was refused.
fn is_tc(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<AttachError>();
    matches!(error, Some(AttachError::Refused { hook: Hook::Tc, .. }))
}

/// The programs read the port's entry with their first frame: it is there before them. On an error nothing stays.
fn attach_programs(
    port: &mut ConfiguredPort,
    link: &Link,
    choice: &Choice,
    world: &mut World<'_>,
) -> Result<Option<Egress>> {
    let mut attach = || {
        let seat = choice.seat;
        world.hooks.seat(link.index, seat);
        port.shares_device = world.hooks.shared_devices().contains(&seat.device);
        let entry = entry(port, link, world.igmp_rate, choice);
        world.datapath.put_port(link.index, entry)?;
        if seat.tag != UNTAGGED {
            world.datapath.put_vlan(seat, link.index)?;
        }
        let egress = egress(port, link, seat.tag)?;
        // TC first: what XDP leaves to it must not get past it.
        for hook in choice.hooks.iter().rev() {
            let place = Place {
                interface: IfIndex(seat.device),
                hook: *hook,
            };
            world.hooks.attach(link.index, place, world.datapath)?;
        }
        Ok(egress)
    };
    attach().inspect_err(|_| take_programs_off(link.index, world))
}

/// Has a port's frames left to the kernel: its programs go, unless they are other ports' too.
fn take_programs_off(index: IfIndex, world: &mut World<'_>) {
    if let Some(seat) = world.hooks.seat_of(index)
        && seat.tag != UNTAGGED
    {
        let _ = world.datapath.delete_vlan(seat);
    }
    world.hooks.release(index);
    let _ = world.datapath.delete_port(index);
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
pub(super) fn release(interface: IfIndex, role: Role, world: &mut World<'_>) {
    take_programs_off(interface, world);
    end_multicast(role, interface, world.socket);
}

pub(super) fn end_multicast(role: Role, interface: IfIndex, socket: &PacketSocket) {
    if role == Role::Downstream {
        let _ = socket.unlisten(interface, Multicast::All);
    }
}

/// Another egress program, because what it holds as constants has changed.
pub(super) fn load_egress(
    port: &mut ConfiguredPort,
    world: &mut World<'_>,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = &mut port.device else {
        return;
    };
    device.mac = device.link.mac.unwrap_or_default();
    let (link, tag) = (device.link.clone(), device.choice.seat.tag);
    tell_program(port, world.igmp_rate, world.datapath);
    match (egress(port, &link, tag), &mut port.device) {
        (Ok(egress), Some(device)) => {
            device.egress = egress;
            events.push(PortEvent::EgressChanged(link.index));
        }
        (Err(error), _) => warn!(
            interface = link.name,
            "egress program not replaced: {error:#}"
        ),
        (Ok(_), None) => {}
    }
}

fn egress(port: &ConfiguredPort, link: &Link, tag: u32) -> Result<Option<Egress>> {
    let Some(source) = link.mac else {
        return Ok(None);
    };
    let mut egress = Egress::load(EgressConstants {
        source,
        ttl_threshold: port.config.ttl_threshold,
        tag,
        has_gate: port.gate != Gate::None,
    })?;
    egress.set_gate(port.gate == Gate::Open)?;
    Ok(Some(egress))
}

/// Opens or closes the gate of a port that has one.
pub(super) fn set_gate(
    port: &mut ConfiguredPort,
    gate: Gate,
    igmp_rate: Rate,
    datapath: &mut Datapath,
) {
    port.gate = gate;
    let egress = port
        .device
        .as_mut()
        .and_then(|device| device.egress.as_mut());
    if let Some(egress) = egress
        && let Err(error) = egress.set_gate(gate == Gate::Open)
    {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
    tell_program(port, igmp_rate, datapath);
}

/// What the kernel programs need to know about a port.
fn entry(port: &ConfiguredPort, link: &Link, igmp_rate: Rate, choice: &Choice) -> Port {
    let is_gate_closed = port.gate == Gate::Closed;
    let own_flags = [
        (port.config.role == Role::Upstream, PORT_UPSTREAM),
        (port.closed || is_gate_closed, PORT_CLOSED),
        (is_gate_closed, PORT_GATE_CLOSED),
        (
            !port.config.policy.group_filter.is_open(),
            PORT_FILTERS_GROUPS,
        ),
        (port.leaves_replicating_to_tc(choice), PORT_REPLICATES_IN_TC),
    ];
    let set = own_flags.into_iter().filter(|(is_set, _)| *is_set);
    Port {
        igmp_rate,
        slot: port.slot,
        flags: set.fold(choice.flags, |flags, (_, flag)| flags | flag),
        mac: link.mac.unwrap_or_default(),
        ttl_threshold: if is_gate_closed {
            TTL_OF_NOTHING
        } else {
            port.config.ttl_threshold
        },
        reserved: 0,
        device: choice.seat.device,
        tag: choice.seat.tag,
    }
}

/// Tells the kernel programs what has changed for them.
pub(super) fn tell_program(port: &ConfiguredPort, igmp_rate: Rate, datapath: &mut Datapath) {
    let Some(device) = &port.device else { return };
    let entry = entry(port, &device.link, igmp_rate, &device.choice);
    if let Err(error) = datapath.put_port(device.link.index, entry) {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
}
