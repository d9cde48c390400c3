//! Hosts in VLANs behind a trunk, made of frames: the kernel here need not know VLANs.

use std::net::Ipv4Addr;

use crate::capture::View;
use crate::fixtures::datagram::Datagram;
use crate::frame::{Direction, Frame, IgmpPacket, Payload};
use crate::host::{DEVICE, FrameSender, Host};
use crate::igmp::{Igmp, Record, RecordType};
use crate::netns::{Namespace, mac_of};
use crate::stream::{PORT, payload, sequence_of};

/// EtherType of an 802.1Q tag.
pub const CUSTOMER: u16 = 0x8100;
/// EtherType of an 802.1ad tag.
pub const SERVICE: u16 = 0x88a8;
const ADDRESSES: usize = 12;

/// A host in one VLAN. Every message and datagram that it sends is tagged.
pub struct TaggedHost {
    /// The EtherType of its tags, and its VLAN.
    pub tag: (u16, u16),
    /// Its address.
    pub address: Ipv4Addr,
    sender: FrameSender,
}

impl TaggedHost {
    /// One in the 802.1Q VLAN `id`, behind the device of `trunk`: 10.x.0.9, where x is the identifier's low octet.
    pub fn new(trunk: &Host, id: u16) -> Self {
        Self::with_tag(trunk, (CUSTOMER, id))
    }

    /// One whose tags have this EtherType.
    pub fn with_tag(trunk: &Host, tag: (u16, u16)) -> Self {
        let [_, network] = tag.1.to_be_bytes();
        Self {
            tag,
            address: Ipv4Addr::new(10, network, 0, 9),
            sender: trunk.frame_sender(),
        }
    }

    /// Reports that it wants `group` from any source.
    #[track_caller]
    pub fn join(&self, group: Ipv4Addr) {
        self.report(Record::new(RecordType::ToEx, group, &[]));
    }

    /// Reports that it wants `group` no longer.
    #[track_caller]
    pub fn leave(&self, group: Ipv4Addr) {
        self.report(Record::new(RecordType::ToIn, group, &[]));
    }

    #[track_caller]
    fn report(&self, record: Record) {
        const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
        let packet = IgmpPacket {
            source_mac: mac_of(self.address),
            source: self.address,
            destination: ALL_ROUTERS,
            ttl: 1,
            message: Igmp::ReportV3(vec![record]).encode(),
        };
        self.send(&packet.frame());
    }

    /// Sends one datagram of a stream to `group`.
    #[track_caller]
    pub fn send_data(&self, group: Ipv4Addr, sequence: u64) {
        const SIZE: usize = 100;
        let [p0, p1] = PORT.to_be_bytes();
        // Ports, length, no checksum (RFC 768).
        let mut datagram = vec![p0, p1, p0, p1, 0, 8 + 100, 0, 0];
        datagram.extend(payload(sequence, SIZE));
        let datagram = Datagram {
            source: self.address,
            payload: datagram,
            ..Datagram::to(group)
        };
        self.send(&datagram.frame());
    }

    #[track_caller]
    fn send(&self, frame: &[u8]) {
        let (ethertype, id) = self.tag;
        let (addresses, rest) = frame.split_at(ADDRESSES);
        let tag = [ethertype.to_be_bytes(), id.to_be_bytes()].concat();
        self.sender.send(&[addresses, &tag, rest].concat());
    }

    /// Whether `frame` reached it: came in with its tag.
    pub fn is_reached_by(&self, frame: &Frame) -> bool {
        frame.direction == Direction::In && tag_of(frame) == Some(self.tag)
    }

    /// The numbers of the stream's datagrams to `group` that reached it.
    pub fn arrivals(&self, seen: View<'_>, group: Ipv4Addr) -> Vec<u64> {
        let frames = seen.frames(|frame| self.is_reached_by(frame) && frame.is_copy_for(group));
        let number = |frame: &Frame| match &frame.packet.as_ref()?.payload {
            Payload::Udp { data, .. } => sequence_of(data),
            _ => None,
        };
        let numbers = frames
            .iter()
            .map(|frame| number(frame).expect("what was sent"));
        numbers.collect()
    }
}

/// The tag of a frame: EtherType and VLAN.
pub fn tag_of(frame: &Frame) -> Option<(u16, u16)> {
    let word = |at: usize| {
        Some(u16::from_be_bytes(
            frame.bytes.get(at..at + 2)?.try_into().ok()?,
        ))
    };
    let ethertype = word(ADDRESSES).filter(|ethertype| [CUSTOMER, SERVICE].contains(ethertype))?;
    Some((ethertype, word(ADDRESSES + 2)? & 0xfff))
}

/// Makes a cable carry tags as they are: neither end takes them off, or leaves them to the other to put on.
pub fn carry_tags(gateway: &Namespace, device: &str, host: &Host) {
    const OFFLOADS: [&str; 4] = [
        "rx-vlan-hw-parse",
        "tx-vlan-hw-insert",
        "rx-vlan-stag-hw-parse",
        "tx-vlan-stag-hw-insert",
    ];
    for (namespace, device) in [(gateway, device), (&host.namespace, DEVICE)] {
        let mut command = vec!["ethtool", "-K", device];
        for offload in OFFLOADS {
            command.extend([offload, "off"]);
        }
        namespace.run(&command);
    }
}
