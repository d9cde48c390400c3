//! Sending IGMP, and asking the NIC for multicast: one AF_PACKET socket.
//!
//! A packet socket sends out of exactly the interface named, with exactly the source given, whatever routes, address
//! changes or firewall output rules there are; the kernel adds the link-layer header of the device's kind. What it asks of
//! NICs is undone by the kernel when the socket closes.

#![allow(
    clippy::cast_possible_truncation,
    reason = "constants and sizes of the kernel's interface, all of which fit"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use igmp_common::frame::{ETHERTYPE_IPV4, group_mac};
use igmp_common::maps::Mac;

use super::links::Vlan;
use super::vlan;
use crate::proto::IfIndex;

// libc has these as plain ints, the kernel's structures as narrower ones.
const FAMILY: u16 = libc::AF_PACKET.cast_unsigned() as u16;
const ALL_MULTICAST: u16 = libc::PACKET_MR_ALLMULTI.cast_unsigned() as u16;
const ONE_MULTICAST: u16 = libc::PACKET_MR_MULTICAST.cast_unsigned() as u16;
const MAC_LEN: u8 = size_of::<Mac>() as u8;

const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// Frames a device may be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Multicast {
    /// Every multicast frame, as the kernel's own multicast router asks for (`vif_add`).
    All,
    /// Those to one Ethernet address.
    Address(Mac),
}

/// The socket. It receives nothing.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens it. Needs CAP_NET_RAW.
    ///
    /// # Errors
    ///
    /// No CAP_NET_RAW, or no descriptor left.
    pub fn open() -> io::Result<Self> {
        const NO_PROTOCOL: libc::c_int = 0; // bound to none: nothing is queued to us
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes plain integers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, NO_PROTOCOL) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { fd })
    }

    /// Sends an IPv4 packet to `group` out of `interface`, tagged where that is a VLAN without a device.
    ///
    /// # Errors
    ///
    /// The device is gone or down, or its queue is full.
    pub fn send(&self, interface: IfIndex, group: Ipv4Addr, packet: &[u8]) -> io::Result<()> {
        let Some(Vlan { device, tag }) = vlan::of_index(interface) else {
            return self.send_as(ETHERTYPE_IPV4, interface, group, packet);
        };
        // To the kernel the tag but for its EtherType is payload.
        let [_, _, control @ ..] = tag.to_be_bytes();
        let packet = [&control, &ETHERTYPE_IPV4.to_be_bytes()[..], packet].concat();
        self.send_as((tag >> 16) as u16, device, group, &packet)
    }

    fn send_as(
        &self,
        ethertype: u16,
        device: IfIndex,
        group: Ipv4Addr,
        packet: &[u8],
    ) -> io::Result<()> {
        let mac = group_mac(group.octets());
        // SAFETY: an all-zero sockaddr_ll is valid.
        let mut to: libc::sockaddr_ll = unsafe { zeroed() };
        to.sll_family = FAMILY;
        to.sll_protocol = ethertype.to_be();
        to.sll_ifindex = device.0.cast_signed();
        to.sll_halen = MAC_LEN;
        to.sll_addr[..mac.len()].copy_from_slice(&mac);
        // SAFETY: packet and address are valid for the lengths given and outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const to).cast(),
                socklen::<libc::sockaddr_ll>(),
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Makes the device, which a VLAN without one shares, hand up these frames until [`unlisten`](Self::unlisten), or until the device or this socket goes.
    /// The kernel counts how often each was asked for.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn listen(&self, interface: IfIndex, what: Multicast) -> io::Result<()> {
        self.membership(interface, what, libc::PACKET_ADD_MEMBERSHIP)
    }

    /// Takes back what [`listen`](Self::listen) asked for.
    ///
    /// # Errors
    ///
    /// The device is gone, or was never asked.
    pub fn unlisten(&self, interface: IfIndex, what: Multicast) -> io::Result<()> {
        self.membership(interface, what, libc::PACKET_DROP_MEMBERSHIP)
    }

    fn membership(
        &self,
        interface: IfIndex,
        what: Multicast,
        action: libc::c_int,
    ) -> io::Result<()> {
        // SAFETY: an all-zero packet_mreq is valid.
        let mut request: libc::packet_mreq = unsafe { zeroed() };
        request.mr_ifindex = vlan::device(interface).0.cast_signed();
        match what {
            Multicast::All => request.mr_type = ALL_MULTICAST,
            Multicast::Address(mac) => {
                request.mr_type = ONE_MULTICAST;
                request.mr_alen = u16::from(MAC_LEN);
                request.mr_address[..mac.len()].copy_from_slice(&mac);
            }
        }
        // SAFETY: the request is valid for the length given and outlives the call.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                action,
                (&raw const request).cast(),
                socklen::<libc::packet_mreq>(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}
