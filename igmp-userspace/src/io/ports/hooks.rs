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
    /// Gives a port the frames of a device that have this tag; `Err` = another port has them.
    pub fn seat(&mut self, port: IfIndex, seat: VlanKey) -> Result<(), IfIndex> {
        let mut others = self.seats.iter().filter(|(other, _)| **other != port);
        if let Some((other, _)) = others.find(|(_, taken)| **taken == seat) {
            return Err(*other);
        }
        self.seats.insert(port, seat);
        Ok(())
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
