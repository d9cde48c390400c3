//! A device with our programs: putting them there, and telling them about it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use igmp_common::maps::{Mac, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_UPSTREAM, Port, UNTAGGED};
use igmp_common::police::Rate;
use tracing::warn;

use super::super::datapath::{AttachError, Attachment, Datapath, Egress, Hook};
use super::super::links::Link;
use super::super::netdev::Features;
use super::super::packet_socket::{Multicast, PacketSocket};
use super::choice::{Choice, Facts};
use super::{ConfiguredPort, PortEvent, foreign};
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
    pub(super) attached_at: Instant,
    attachments: Vec<Attachment>,
}

impl Device {
    /// Copies that were not sent because of the TTL threshold.
    #[must_use]
    pub fn egress_drops(&self) -> u64 {
        let drops = self.egress.as_ref().map(Egress::drops);
        drops.and_then(Result::ok).unwrap_or_default()
    }

    /// The programs on it.
    pub fn attachments_mut(&mut self) -> impl Iterator<Item = &mut Attachment> {
        self.attachments.iter_mut()
    }

    /// Has our programs run instead of those of the igmpd before, where these still do.
    ///
    /// # Errors
    ///
    /// The kernel refuses. The program before runs on.
    pub fn take_over(&mut self, datapath: &mut Datapath) -> Result<(), AttachError> {
        for attachment in &mut self.attachments {
            datapath.take_over(attachment)?;
        }
        self.attached_at = Instant::now();
        Ok(())
    }

    /// Takes the programs off.
    pub(super) fn end(self) {
        for attachment in self.attachments {
            attachment.end();
        }
    }
}

/// What attaching needs besides the port and its device.
pub(super) struct World<'a> {
    pub(super) igmp_rate: Rate,
    pub(super) datapath: &'a mut Datapath,
    pub(super) socket: &'a PacketSocket,
    own_xdp: Option<u32>,
    began: Instant,
    has_attached: bool,
}

/// Attaching to a device waits for several RCU grace periods, some 40 ms; meanwhile nothing else is done.
const ATTACHING_AT_ONCE: Duration = Duration::from_millis(50);

impl<'a> World<'a> {
    pub(super) fn new(
        igmp_rate: Rate,
        datapath: &'a mut Datapath,
        socket: &'a PacketSocket,
    ) -> Self {
        Self {
            igmp_rate,
            datapath,
            socket,
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
    features: Option<Features>,
    world: &mut World<'_>,
) -> Result<Device> {
    world.has_attached = true;
    let mode = port.mode();
    let facts = Facts::new(link, features, world.own_xdp(link)?);
    let foreign = facts.foreign_xdp.map(foreign::describe);
    let choice = Choice::new(mode, link, &facts, foreign.as_deref());
    let choice = choice.map_err(|reason| anyhow!(reason))?;
    receive_multicast(port.config.role, link.index, world.socket)?;
    let attached = attach_what_is_possible(port, link, choice, world);
    let (choice, (egress, attachments)) = attached.inspect_err(|_| {
        release(link.index, port.config.role, world.datapath, world.socket);
    })?;
    port.reason.clone_from(&choice.reason);
    Ok(Device {
        link: link.clone(),
        choice,
        facts,
        mac: link.mac.unwrap_or_default(),
        egress,
        attached_at: Instant::now(),
        attachments,
    })
}

/// Attaches the programs of `choice`, or of the next best.
fn attach_what_is_possible(
    port: &ConfiguredPort,
    link: &Link,
    choice: Choice,
    world: &mut World<'_>,
) -> Result<(Choice, Programs)> {
    let refused = match attach_programs(port, link, &choice, world) {
        Ok(attached) => return Ok((choice, attached)),
        Err(error) => error,
    };
    let (reason, is_tc) = (format!("{refused:#}"), is_tc(&refused));
    let next = match choice.without_tc(&reason) {
        Some(without_tc) if is_tc => without_tc,
        _ if choice.has_xdp() && port.mode() == Mode::Auto => Choice::tc(link, reason),
        _ => return Err(refused),
    };
    let attached = attach_programs(port, link, &next, world)?;
    if is_tc {
        warn!(interface = link.name, "{}", next.reason);
    }
    Ok((next, attached))
}

/// Whether it is TC that was refused.
fn is_tc(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<AttachError>();
    matches!(error, Some(AttachError::Refused { hook: Hook::Tc, .. }))
}

/// What a device has of ours.
type Programs = (Option<Egress>, Vec<Attachment>);

/// The programs read the port's entry with their first frame: it is there before them.
fn attach_programs(
    port: &ConfiguredPort,
    link: &Link,
    choice: &Choice,
    world: &mut World<'_>,
) -> Result<Programs> {
    let entry = entry(port, link, world.igmp_rate, choice.flags);
    world.datapath.put_port(link.index, entry)?;
    let egress = egress(port, link)?;
    // TC first: what XDP leaves to it must not get past it.
    let hooks = choice.hooks.iter().rev();
    let attachments = hooks.map(|hook| world.datapath.attach(link.index, *hook));
    let attachments = attachments.collect::<Result<_, _>>()?;
    Ok((egress, attachments))
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
    world: &mut World<'_>,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = &mut port.device else {
        return;
    };
    device.mac = device.link.mac.unwrap_or_default();
    let link = device.link.clone();
    tell_program(port, world.igmp_rate, world.datapath);
    match (egress(port, &link), &mut port.device) {
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

fn egress(port: &ConfiguredPort, link: &Link) -> Result<Option<Egress>> {
    let load = |mac| Egress::load(mac, port.config.ttl_threshold, UNTAGGED);
    link.mac.map(load).transpose()
}

/// What the kernel programs need to know about a port; `flags` are those of its [`Choice`].
fn entry(port: &ConfiguredPort, link: &Link, igmp_rate: Rate, flags: u32) -> Port {
    let own_flags = [
        (port.config.role == Role::Upstream, PORT_UPSTREAM),
        (port.closed, PORT_CLOSED),
        (
            !port.config.policy.group_filter.is_open(),
            PORT_FILTERS_GROUPS,
        ),
    ];
    let set = own_flags.into_iter().filter(|(is_set, _)| *is_set);
    Port {
        igmp_rate,
        slot: port.slot,
        flags: set.fold(flags, |flags, (_, flag)| flags | flag),
        mac: link.mac.unwrap_or_default(),
        ttl_threshold: port.config.ttl_threshold,
        reserved: 0,
        device: link.index.0,
        tag: UNTAGGED,
    }
}

/// Tells the kernel programs what has changed for them.
pub(super) fn tell_program(port: &ConfiguredPort, igmp_rate: Rate, datapath: &mut Datapath) {
    let Some(device) = &port.device else { return };
    let entry = entry(port, &device.link, igmp_rate, device.choice.flags);
    if let Err(error) = datapath.put_port(device.link.index, entry) {
        warn!(
            interface = port.config.name,
            "kernel map not written: {error}"
        );
    }
}
