//! Which multicast the upstream device hands up: each group's Ethernet address, or all of it when there are many.
//!
//! 32 groups share an Ethernet address (RFC 1112 section 6.4), which is asked for once.

use std::collections::BTreeMap;
use std::io;

use igmp_common::frame::group_mac;
use igmp_common::maps::Mac;
use std::net::Ipv4Addr;

use super::packet_socket::{Multicast, PacketSocket};
use crate::proto::IfIndex;

/// What is asked of the device.
#[derive(Debug)]
pub struct MulticastFilter {
    /// More addresses than this and all multicast is asked for.
    limit: usize,
    interface: Option<IfIndex>,
    /// How many groups want it.
    addresses: BTreeMap<Mac, usize>,
    takes_all: bool,
}

impl MulticastFilter {
    /// Nothing is asked for yet.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            interface: None,
            addresses: BTreeMap::new(),
            takes_all: false,
        }
    }

    /// `group` is wanted from `interface`, or no longer. What cannot be taken back because the device has gone went
    /// with it.
    ///
    /// # Errors
    ///
    /// The device does not take it.
    pub fn listen(
        &mut self,
        socket: &PacketSocket,
        interface: IfIndex,
        group: Ipv4Addr,
        wanted: bool,
    ) -> io::Result<()> {
        if self.interface != Some(interface) {
            self.release(socket);
            self.interface = Some(interface);
        }
        let address = group_mac(group.octets());
        if wanted {
            let groups = self.addresses.entry(address).or_default();
            *groups += 1;
            if *groups > 1 {
                return Ok(());
            }
            if !self.takes_all && self.addresses.len() <= self.limit {
                return socket.listen(interface, Multicast::Address(address));
            }
        } else {
            let Some(groups) = self.addresses.get_mut(&address) else {
                return Ok(());
            };
            *groups -= 1;
            if *groups > 0 {
                return Ok(());
            }
            self.addresses.remove(&address);
            if !self.takes_all {
                let _ = socket.unlisten(interface, Multicast::Address(address));
            }
        }
        self.follow_limit(socket)
    }

    /// Another limit from now on.
    ///
    /// # Errors
    ///
    /// The device does not take what follows.
    pub fn set_limit(&mut self, socket: &PacketSocket, limit: usize) -> io::Result<()> {
        self.limit = limit;
        self.follow_limit(socket)
    }

    /// Takes everything back.
    pub fn release(&mut self, socket: &PacketSocket) {
        let Some(interface) = self.interface.take() else {
            return;
        };
        if std::mem::take(&mut self.takes_all) {
            let _ = socket.unlisten(interface, Multicast::All);
        } else {
            for &address in self.addresses.keys() {
                let _ = socket.unlisten(interface, Multicast::Address(address));
            }
        }
        self.addresses.clear();
    }

    /// Changes over between addresses and all; the new before the old goes, so that nothing is missed. Back to addresses
    /// only at half the limit: zapping about the limit is no reason to reprogram the device each time.
    fn follow_limit(&mut self, socket: &PacketSocket) -> io::Result<()> {
        let Some(interface) = self.interface else {
            return Ok(());
        };
        if !self.takes_all && self.addresses.len() > self.limit {
            socket.listen(interface, Multicast::All)?;
            self.takes_all = true;
            for &address in self.addresses.keys() {
                // The one that broke the limit was never asked for.
                let _ = socket.unlisten(interface, Multicast::Address(address));
            }
        } else if self.takes_all && self.addresses.len() <= self.limit / 2 && self.limit > 0 {
            for &address in self.addresses.keys() {
                socket.listen(interface, Multicast::Address(address))?;
            }
            self.takes_all = false;
            let _ = socket.unlisten(interface, Multicast::All);
        }
        Ok(())
    }
}
