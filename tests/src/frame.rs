//! Ethernet frames: what a capture saw, and what a test sends by hand.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::SystemTime;

use etherparse::{EtherType, Ethernet2Slice, Ipv4Slice, SingleVlanSlice, UdpSlice};

use crate::igmp::{self, Igmp, checksum};

/// The Router Alert option (RFC 2113).
pub const ROUTER_ALERT: [u8; 4] = [0x94, 0x04, 0, 0];
const ETHERTYPE_IPV4: u16 = 0x0800;
const PROTOCOL_UDP: u8 = 17;

/// Which way a frame went, seen from the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Came in from the wire.
    In,
    /// Was sent by the host that owns the device.
    Out,
}

/// A captured frame.
#[derive(Clone)]
pub struct Frame {
    /// When the kernel saw it.
    pub at: SystemTime,
    /// Which way it went.
    pub direction: Direction,
    /// All of it, from the Ethernet header on, as on the wire: with its tag.
    pub bytes: Vec<u8>,
    /// What it is, when it is IPv4 with a sound header, at most behind one tag.
    pub packet: Option<Packet>,
}

/// An IPv4 packet in a frame.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// Ethernet destination.
    pub destination_mac: [u8; 6],
    /// IPv4 source.
    pub source: Ipv4Addr,
    /// IPv4 destination.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// The whole second byte: DSCP and ECN.
    pub tos: u8,
    /// IPv4 options.
    pub options: Vec<u8>,
    /// Whether the header checksum is right.
    pub checksum_good: bool,
    /// What is inside.
    pub payload: Payload,
}

/// What an IPv4 packet carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A sound IGMP message.
    Igmp(Igmp),
    /// Protocol 2, but not a sound message: what is wrong.
    BadIgmp(String),
    /// A UDP datagram.
    Udp {
        /// Destination port.
        port: u16,
        /// Whether the checksum is there and right.
        checksum_good: bool,
        /// The data.
        data: Vec<u8>,
    },
    /// Anything else.
    Other,
}

impl Frame {
    /// Takes a frame apart.
    pub fn new(at: SystemTime, direction: Direction, bytes: &[u8]) -> Self {
        Self {
            at,
            direction,
            bytes: bytes.to_vec(),
            packet: decode(bytes),
        }
    }

    /// The IGMP message in it.
    pub fn igmp(&self) -> Option<&Igmp> {
        match &self.packet.as_ref()?.payload {
            Payload::Igmp(message) => Some(message),
            _ => None,
        }
    }

    /// True for an IGMP message that came in and that `is_wanted` accepts.
    pub fn received_igmp(&self, is_wanted: impl Fn(&Igmp) -> bool) -> bool {
        self.direction == Direction::In && self.igmp().is_some_and(is_wanted)
    }

    /// True for an IGMP message that this host sent and that `is_wanted` accepts.
    pub fn sent_igmp(&self, is_wanted: impl Fn(&Igmp) -> bool) -> bool {
        self.direction == Direction::Out && self.igmp().is_some_and(is_wanted)
    }

    /// True for a packet from this address.
    pub fn is_from(&self, source: Ipv4Addr) -> bool {
        let packet = self.packet.as_ref();
        packet.is_some_and(|packet| packet.source == source)
    }

    /// True for a query that came in from this address.
    pub fn is_query_from(&self, source: Ipv4Addr) -> bool {
        self.is_from(source) && self.received_igmp(|igmp| matches!(igmp, Igmp::Query { .. }))
    }

    /// The same of a General Query.
    pub fn is_general_query_from(&self, source: Ipv4Addr) -> bool {
        self.is_from(source) && self.received_igmp(Igmp::is_general_query)
    }

    /// True for a datagram to `group` that came in from the wire: a copy of a stream.
    pub fn is_copy_for(&self, group: Ipv4Addr) -> bool {
        self.direction == Direction::In
            && self.packet.as_ref().is_some_and(|packet| {
                packet.destination == group && matches!(packet.payload, Payload::Udp { .. })
            })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self
            .at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        write!(
            f,
            "{:03}.{:06} {:?} ",
            since.as_secs() % 1000,
            since.subsec_micros(),
            self.direction
        )?;
        let Some(packet) = &self.packet else {
            return write!(f, "{} bytes, not IPv4", self.bytes.len());
        };
        write!(
            f,
            "{} > {} ttl {} ",
            packet.source, packet.destination, packet.ttl
        )?;
        match &packet.payload {
            Payload::Igmp(message) => write!(f, "{message}"),
            Payload::BadIgmp(reason) => write!(f, "bad IGMP: {reason}"),
            Payload::Udp { port, data, .. } => write!(f, "UDP port {port}, {} bytes", data.len()),
            Payload::Other => write!(f, "other"),
        }
    }
}

fn decode(bytes: &[u8]) -> Option<Packet> {
    let ethernet = Ethernet2Slice::from_slice_without_fcs(bytes).ok()?;
    let payload = match ethernet.ether_type() {
        EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING => {
            SingleVlanSlice::from_slice(ethernet.payload_slice())
                .ok()?
                .payload_slice()
        }
        _ => ethernet.payload_slice(),
    };
    let ipv4 = Ipv4Slice::from_slice(payload).ok()?;
    let header = ipv4.header();
    let data = ipv4.payload().payload;
    let payload = match header.protocol().0 {
        igmp::PROTOCOL => Igmp::decode(data).map_or_else(Payload::BadIgmp, Payload::Igmp),
        PROTOCOL_UDP if !header.is_fragmenting_payload() => {
            UdpSlice::from_slice(data).map_or(Payload::Other, |udp| {
                let right = udp.to_header().calc_checksum_ipv4_raw(
                    header.source(),
                    header.destination(),
                    udp.payload(),
                );
                Payload::Udp {
                    port: udp.destination_port(),
                    checksum_good: right.is_ok_and(|right| right == udp.checksum()),
                    data: udp.payload().to_vec(),
                }
            })
        }
        _ => Payload::Other,
    };
    Some(Packet {
        source_mac: ethernet.source(),
        destination_mac: ethernet.destination(),
        source: header.source_addr(),
        destination: header.destination_addr(),
        ttl: header.ttl(),
        tos: header.slice()[1],
        options: header.options().to_vec(),
        checksum_good: checksum(header.slice()) == 0,
        payload,
    })
}

/// The Ethernet address of an IPv4 group: 01:00:5e and its low 23 bits (RFC 1112 section 6.4).
pub fn multicast_mac(group: Ipv4Addr) -> [u8; 6] {
    let [_, b, c, d] = group.octets();
    [0x01, 0x00, 0x5e, b & 0x7f, c, d]
}

/// An IGMP packet to be sent by hand; every field may be made wrong.
#[derive(Clone)]
pub struct IgmpPacket {
    /// Ethernet source.
    pub source_mac: [u8; 6],
    /// IPv4 source.
    pub source: Ipv4Addr,
    /// IPv4 destination; the Ethernet destination follows from it.
    pub destination: Ipv4Addr,
    /// Time to live; right is 1.
    pub ttl: u8,
    /// The message, checksum included.
    pub message: Vec<u8>,
}

impl IgmpPacket {
    /// The frame: TTL as said, TOS 0xc0, Router Alert, right header checksum.
    pub fn frame(&self) -> Vec<u8> {
        let mut header = vec![
            0x46,
            0xc0,
            0,
            0,
            0,
            0,
            0x40,
            0,
            self.ttl,
            igmp::PROTOCOL,
            0,
            0,
        ];
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(ROUTER_ALERT);
        let length = u16::try_from(header.len() + self.message.len()).expect("fits an IPv4 packet");
        header[2..4].copy_from_slice(&length.to_be_bytes());
        seal_header(&mut header);

        let mut frame = multicast_mac(self.destination).to_vec();
        frame.extend(self.source_mac);
        frame.extend(ETHERTYPE_IPV4.to_be_bytes());
        frame.extend(header);
        frame.extend(&self.message);
        frame
    }
}

/// Writes the right checksum into an IPv4 header.
pub fn seal_header(header: &mut [u8]) {
    header[10..12].fill(0);
    let sum = checksum(header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}
