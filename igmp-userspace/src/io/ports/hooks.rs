//! Our programs by where they are. A device has one of each kind, whatever ports it carries: put there for the first, taken
//! off with the last.

use std::collections::{BTreeMap, BTreeSet};

use igmp_common::maps::VlanKey;
use tracing::warn;

use super::super::datapath::{AttachError, Attachment, Datapath, Hook, Place, interface_name};
use crate::proto::IfIndex;

/// All of them.
#[derive(Debug, Default)]
pub struct Hooks {
    places: BTreeMap<Place, Shared>,
    /// The device and tag of each port's frames, by the port's index.
    seats: BTreeMap<IfIndex, VlanKey>,
    /// Ports of programs that could not be put back.
    without: BTreeSet<IfIndex>,
}

/// A program and the ports that need it.
#[derive(Debug)]
struct Shared {
    attachment: Attachment,
    ports: BTreeSet<IfIndex>,
}

impl Hooks {
    /// A port's frames come and go there from now on.
    pub fn seat(&mut self, port: IfIndex, seat: VlanKey) {
        self.seats.insert(port, seat);
    }

    /// Where the frames of a port come and go.
    pub fn seat_of(&self, port: IfIndex) -> Option<VlanKey> {
        self.seats.get(&port).copied()
    }

    /// Devices that more than one port's frames come and go through.
    pub fn shared_devices(&self) -> BTreeSet<u32> {
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for seat in self.seats.values() {
            if !once.insert(seat.device) {
                twice.insert(seat.device);
            }
        }
        twice
    }

    /// Has a program run on a port's device, unless it does already.
    ///
    /// # Errors
    ///
    /// See [`AttachError`].
    pub fn attach(
        &mut self,
        port: IfIndex,
        place: Place,
        datapath: &mut Datapath,
    ) -> Result<(), AttachError> {
        if let Some(shared) = self.places.get_mut(&place) {
            shared.ports.insert(port);
            return Ok(());
        }
        let attachment = datapath.attach(place.interface, place.hook)?;
        let ports = BTreeSet::from([port]);
        self.places.insert(place, Shared { attachment, ports });
        Ok(())
    }

    /// A port is no more: programs that no other port needs are taken off.
    pub fn release(&mut self, port: IfIndex) {
        self.seats.remove(&port);
        self.without.remove(&port);
        let last = self.places.extract_if(.., |_, shared| {
            shared.ports.remove(&port) && shared.ports.is_empty()
        });
        for (_, shared) in last {
            shared.attachment.end();
        }
    }

    /// The programs.
    pub fn attachments_mut(&mut self) -> impl Iterator<Item = &mut Attachment> {
        self.places
            .values_mut()
            .map(|shared| &mut shared.attachment)
    }

    /// Puts back what somebody took off (`bpftool link detach`), of which the kernel does not tell. Says whether anything was;
    /// [`is_without`](Self::is_without) then names the ports that have to do without.
    pub fn put_back(&mut self, datapath: &mut Datapath) -> bool {
        let mut is_changed = false;
        let without = &mut self.without;
        let gone = self.places.extract_if(.., |place, shared| {
            let Place { interface, hook } = *place;
            let result = datapath.put_back(&mut shared.attachment);
            if let Ok(false) = result {
                return false;
            }
            is_changed = true;
            let interface = interface_name(interface.0).unwrap_or_default();
            let kind = kind(hook);
            match &result {
                Ok(_) => warn!(interface, "somebody took our {kind} program off: put back"),
                Err(error) => warn!(interface, "somebody took our {kind} program off: {error}"),
            }
            result.is_err()
        });
        for (_, shared) in gone {
            without.extend(shared.ports);
        }
        is_changed
    }

    /// Whether a program that the port had could not be put back; asked once.
    pub fn is_without(&mut self, port: IfIndex) -> bool {
        self.without.remove(&port)
    }
}

const fn kind(hook: Hook) -> &'static str {
    match hook {
        Hook::XdpNative | Hook::XdpGeneric => "XDP",
        Hook::Tc => "TC",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_shared_while_two_ports_are_on_it() {
        let seat = |device, tag| VlanKey { device, tag };
        let mut hooks = Hooks::default();
        hooks.seat(IfIndex(7), seat(7, 0));
        hooks.seat(IfIndex(8), seat(8, 0));
        hooks.seat(IfIndex(9), seat(8, 0x8100_0064));
        assert_eq!(hooks.shared_devices(), BTreeSet::from([8]));
        assert_eq!(hooks.seat_of(IfIndex(9)), Some(seat(8, 0x8100_0064)));
        // A VLAN device that is handled by itself now.
        hooks.seat(IfIndex(9), seat(9, 0));
        assert_eq!(hooks.shared_devices(), BTreeSet::new());
        hooks.seat(IfIndex(9), seat(7, 0x8100_0064));
        assert_eq!(hooks.shared_devices(), BTreeSet::from([7]));
        hooks.release(IfIndex(7));
        assert_eq!(hooks.shared_devices(), BTreeSet::new());
        assert_eq!(hooks.seat_of(IfIndex(7)), None);
    }
}
