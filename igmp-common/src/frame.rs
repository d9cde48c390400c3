//! One header parser for both sides: from an Ethernet frame to what the datapath must do with it.
//!
//! The order of the checks is the order of the kernel's own: link layer, IPv4 header, destination, then the options.
//! Everything that is not plainly multicast data that may be forwarded is left to the kernel with a reason.

use crate::Counter;
use crate::checksum;
use crate::maps::Mac;

/// A source of bytes with bounds checks: a slice on the host, packet pointers in the kernel.
pub trait Octets {
    /// Bytes in the frame.
    fn len(&self) -> usize;

    /// True when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `N` bytes at `offset`; `None` when they run past the end.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Octets for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..offset.checked_add(N)?)?.try_into().ok()
    }
}

/// Length of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
/// Length of an 802.1Q tag.
pub const VLAN_TAG_LEN: usize = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
/// The VLAN identifier in a tag; identifier 0 is a priority tag, which names no VLAN (IEEE 802.1Q section 9.6).
const VLAN_ID_MASK: u16 = 0x0fff;

const IPV4_MIN_HEADER: usize = 20;
const PROTOCOL_IGMP: u8 = 2;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
/// Router Alert (RFC 2113): copied, class 0, number 20, length 4.
const OPTION_ROUTER_ALERT: u8 = 148;
const OPTION_ROUTER_ALERT_LEN: u8 = 4;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frame {
    /// An IGMP message of whatever validity: userspace judges it.
    Igmp,
    /// Multicast data whose headers are sound.
    Multicast(Multicast),
}

/// Where things are in a multicast frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Multicast {
    /// Offset of the IPv4 header: [`ETHERNET_LEN`], plus a priority tag's [`VLAN_TAG_LEN`].
    pub ipv4_offset: usize,
    /// IPv4 total length; the frame may be longer by its padding.
    pub total_len: usize,
    /// IPv4 source.
    pub source: [u8; 4],
    /// IPv4 group.
    pub group: [u8; 4],
    /// Time to live, above 1.
    pub ttl: u8,
    /// The header checksum, verified.
    pub checksum: u16,
}

/// Tells what `frame` is, received by a station whose address is `own`.
///
/// # Errors
///
/// Why the frame is left to the kernel.
#[inline(always)]
pub fn parse(frame: &impl Octets, own: Mac) -> Result<Frame, Counter> {
    let ethernet: [u8; ETHERNET_LEN] = frame.read(0).ok_or(Counter::PassTruncated)?;
    let mut ethertype = u16::from_be_bytes([ethernet[12], ethernet[13]]);
    let mut offset = ETHERNET_LEN;
    if ethertype == ETHERTYPE_VLAN {
        let tag: [u8; VLAN_TAG_LEN] = frame.read(offset).ok_or(Counter::PassTruncated)?;
        if u16::from_be_bytes([tag[0], tag[1]]) & VLAN_ID_MASK != 0 {
            return Err(Counter::PassVlan);
        }
        ethertype = u16::from_be_bytes([tag[2], tag[3]]);
        offset += VLAN_TAG_LEN;
    }
    match ethertype {
        ETHERTYPE_IPV4 => parse_ipv4(frame, &ethernet, own, offset),
        ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => Err(Counter::PassVlan),
        _ => Err(Counter::PassNotIpv4),
    }
}

#[inline(always)]
fn parse_ipv4(
    frame: &impl Octets,
    ethernet: &[u8; ETHERNET_LEN],
    own: Mac,
    offset: usize,
) -> Result<Frame, Counter> {
    let header: [u8; IPV4_MIN_HEADER] = frame.read(offset).ok_or(Counter::PassTruncated)?;
    let destination = [header[16], header[17], header[18], header[19]];
    let is_igmp = header[9] == PROTOCOL_IGMP;
    // Unicast is most of a gateway's traffic and leaves here.
    if destination[0] & 0xf0 != 0xe0 && !is_igmp {
        return Err(Counter::PassUnicast);
    }
    if header[0] >> 4 != 4 {
        return Err(Counter::PassBadHeader);
    }
    if ethernet[0] & 1 == 0 && !to_station(ethernet, own) {
        return Err(Counter::PassOtherHost);
    }
    if is_igmp {
        return Ok(Frame::Igmp);
    }

    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header_len < IPV4_MIN_HEADER || total_len < header_len || offset + total_len > frame.len() {
        return Err(Counter::PassBadHeader);
    }
    let mut sum = checksum::sum_fixed_header(&header);
    if header_len > IPV4_MIN_HEADER {
        let (start, end) = (offset + IPV4_MIN_HEADER, offset + header_len);
        sum += checksum::sum_options(frame, start, end).ok_or(Counter::PassBadHeader)?;
        if !options_are_inert(frame, start, end) {
            return Err(Counter::PassOptions);
        }
    }
    if checksum::fold(sum) != 0xffff {
        return Err(Counter::PassBadChecksum);
    }
    if destination[0] == 224 && destination[1] == 0 && destination[2] == 0 {
        return Err(Counter::PassLinkLocalGroup);
    }
    let ttl = header[8];
    if ttl <= 1 {
        return Err(Counter::PassTtlExpired);
    }
    Ok(Frame::Multicast(Multicast {
        ipv4_offset: offset,
        total_len,
        source: [header[12], header[13], header[14], header[15]],
        group: destination,
        ttl,
        checksum: u16::from_be_bytes([header[10], header[11]]),
    }))
}

#[inline(always)]
fn to_station(ethernet: &[u8; ETHERNET_LEN], own: Mac) -> bool {
    // Two words rather than six bytes: `==` on arrays becomes a call, which the kernel has not got.
    let high = |mac: &[u8]| u32::from_ne_bytes([mac[0], mac[1], mac[2], mac[3]]);
    let low = |mac: &[u8]| u16::from_ne_bytes([mac[4], mac[5]]);
    high(ethernet) == high(&own) && low(ethernet) == low(&own)
}

/// True when a router forwards a packet with these options unchanged: NOP, End of List and Router Alert. Source routes
/// must not be forwarded, Record Route and Timestamp would have to be filled in: both are the kernel's business.
#[inline(always)]
fn options_are_inert(frame: &impl Octets, start: usize, end: usize) -> bool {
    let mut at = 0;
    let mut inside_option = 0_u8;
    while at < 40 {
        if start + at >= end {
            return inside_option == 0;
        }
        let Some([byte]) = frame.read(start + at) else {
            return false;
        };
        at += 1;
        if inside_option > 0 {
            inside_option -= 1;
            continue;
        }
        match byte {
            OPTION_END => return true,
            OPTION_NOP => {}
            OPTION_ROUTER_ALERT => {
                let Some([len]) = frame.read(start + at) else {
                    return false;
                };
                if len != OPTION_ROUTER_ALERT_LEN {
                    return false;
                }
                inside_option = OPTION_ROUTER_ALERT_LEN - 1;
            }
            _ => return false,
        }
    }
    inside_option == 0
}

/// The Ethernet address of an IPv4 group: 01:00:5e and the low 23 bits (RFC 1112 section 6.4).
#[must_use]
#[inline(always)]
pub const fn group_mac(group: [u8; 4]) -> Mac {
    [0x01, 0x00, 0x5e, group[1] & 0x7f, group[2], group[3]]
}
