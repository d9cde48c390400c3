//! Following one interface: its device comes, goes and changes, its addresses too.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use tracing::{info, warn};

use super::super::links::{Link, Snapshot};
use super::super::vlan;
use super::choice::Facts;
use super::device::{World, attach, load_egress, release};
use super::trunk::Trunk;
use super::{ConfiguredPort, PortEvent};
use crate::config::Mode;

/// An address that goes and comes back within this time (a changed prefix, a DHCP renewal) costs no memberships. And a
/// device that has just come up has so long to be given one.
const ADDRESS_GRACE: Duration = Duration::from_secs(1);

/// The address of a router that has none. Its queries win no election, and switches that snoop do not take the port they
/// come from for a router's (RFC 4541 section 2.1.1).
const NO_ADDRESS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 32);

/// Attaches to a device that appeared, lets go of one that went, takes over what changed. False: there was no time to
/// attach, it is to be called again.
pub(super) fn follow_device(
    port: &mut ConfiguredPort,
    snapshot: &Snapshot,
    world: &mut World<'_>,
    events: &mut Vec<PortEvent>,
) -> bool {
    let link = snapshot.links.get(&port.config.name);
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
        // It took its programs along, unless it is a VLAN; its entries are ours to remove.
        release(index, port.config.role, world);
    }
    let Some(link) = link else {
        port.reason = vlan::absence(&port.config, snapshot);
        return true;
    };
    if let Some(device) = &mut port.device {
        let is_other_mac = link.mac.is_some_and(|mac| mac != device.mac);
        device.link = link.clone();
        if is_other_mac {
            load_egress(port, world, events);
        }
        if let Some(why) = reason_to_attach_again(port, snapshot, world) {
            warn!(interface = link.name, "{why}: attaching again");
            attach_again(port, snapshot, world, events);
        }
    } else if !world.has_time() {
        return false;
    } else {
        match attach(port, link, snapshot, world) {
            Ok(device) => {
                let how = &device.choice.reason;
                info!(
                    interface = link.name,
                    ifindex = link.index.0,
                    "attached: {how}"
                );
                port.device = Some(device);
            }
            Err(error) => refused(port, &error),
        }
    }
    true
}

/// Why the programs on a device should be put there anew; `None` = they are there, and the right ones.
fn reason_to_attach_again(
    port: &ConfiguredPort,
    snapshot: &Snapshot,
    world: &mut World<'_>,
) -> Option<&'static str> {
    let device = port.device.as_ref()?;
    if world.hooks.is_without(device.link.index) {
        return Some("its program could not be put back");
    }
    let trunk = Trunk::of(port.mode(), &device.link, snapshot);
    let facts = Facts::new(&trunk, world.own_xdp(trunk.link).ok()?);
    if device.choice.has_xdp() {
        let is_other = facts.hides_tags != device.facts.hides_tags;
        return is_other.then_some("VLAN tags are treated in another way now");
    }
    let may_change = port.mode() == Mode::Auto && device.link.mac.is_some();
    (may_change && facts != device.facts).then_some("another program may suit it now")
}

/// Puts the programs on a device anew. Memberships stay.
pub(super) fn attach_again(
    port: &mut ConfiguredPort,
    snapshot: &Snapshot,
    world: &mut World<'_>,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = port.device.take() else {
        return;
    };
    let link = device.link;
    // A device has one program a hook: the old ones go first.
    release(link.index, port.config.role, world);
    match attach(port, &link, snapshot, world) {
        Ok(device) => {
            port.device = Some(device);
            events.push(PortEvent::EgressChanged(link.index));
        }
        Err(error) => {
            refused(port, &error);
            if port.running.take().is_some() {
                events.push(PortEvent::Gone(link.index, link.name));
            }
        }
    }
}

/// Says once why a device has no programs of ours.
fn refused(port: &mut ConfiguredPort, error: &anyhow::Error) {
    let reason = format!("{error:#}");
    if port.reason != reason {
        warn!(interface = port.config.name, "not attached: {reason}");
        port.reason = reason;
    }
}

/// Starts and stops the router on an interface as its device can and cannot work.
pub(super) fn follow_state(
    port: &mut ConfiguredPort,
    snapshot: &Snapshot,
    now: Instant,
    events: &mut Vec<PortEvent>,
) {
    let Some(device) = &port.device else { return };
    let (index, is_up) = (device.link.index, device.link.up);
    let mut addresses = addresses(port, &device.link, snapshot);
    if !is_up || snapshot.flapped.contains(&index) {
        stop(port, events);
    }
    if !is_up {
        port.address_lost = None;
        return;
    }
    if addresses.is_empty() && port.running() != Some(&[NO_ADDRESS]) {
        let lost = *port.address_lost.get_or_insert(now);
        if now.duration_since(lost) < ADDRESS_GRACE {
            return;
        }
        if port.config.pattern.is_none() {
            stop(port, events);
            port.address_lost = None;
            return;
        }
        warn!(
            interface = port.config.name,
            "no address, and none to borrow (`unnumbered`): queries are sent from 0.0.0.0"
        );
    }
    port.address_lost = None;
    if addresses.is_empty() {
        addresses.push(NO_ADDRESS);
    }
    if port.reconfigured || port.running() != Some(&addresses) {
        port.running = Some(addresses);
        port.reconfigured = false;
        events.push(PortEvent::Ready(index));
    }
}

/// The interface's own addresses, or else the one that it borrows, without the lender's network.
fn addresses(port: &ConfiguredPort, link: &Link, snapshot: &Snapshot) -> Vec<Ipv4Net> {
    if !link.addresses.is_empty() {
        return link.addresses.clone();
    }
    let lender = port.config.lender();
    let borrowed = lender.and_then(|lender| snapshot.links.get(lender)?.addresses.first());
    let host = borrowed.map(|address| Ipv4Net::from(address.addr()));
    host.into_iter().collect()
}

/// Stops the router on an interface.
pub(super) fn stop(port: &mut ConfiguredPort, events: &mut Vec<PortEvent>) {
    if port.running.take().is_some()
        && let Some(index) = port.index()
    {
        events.push(PortEvent::Gone(index, port.config.name.clone()));
    }
}
