//! One header parser for both sides: from an Ethernet frame to what the datapath must do with it.
//!
//! The order of the checks is the order of the kernel's own: link layer, IPv4 header, destination, then the options.
//! Everything that is not plainly multicast data that may be forwarded is left to the kernel with a reason.

#[cfg(test)]
mod tests;

use crate::Counter;
use crate::checksum;
use crate::maps::{Mac, UNTAGGED, vlan_tag};

/// Types that are plain bytes: any bit pattern is a value.
///
/// # Safety
///
/// The implementor has no padding, no references and no invalid values.
pub unsafe trait Plain: Copy {}

// SAFETY: arrays of integers.
unsafe impl<const N: usize> Plain for [u8; N] {}
// SAFETY: arrays of integers.
unsafe impl<const N: usize> Plain for [u16; N] {}
// SAFETY: arrays of integers.
unsafe impl<const N: usize> Plain for [u32; N] {}

/// A source of bytes with bounds checks: a slice on the host, packet pointers in the kernel.
pub trait Octets {
    /// Bytes in the frame.
    fn len(&self) -> usize;

    /// True when there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes at `offset` as they lie there; `None` when they run past the end. Words come in the byte order of the
    /// machine: their `to_ne_bytes` are the bytes of the frame.
    fn read<T: Plain>(&self, offset: usize) -> Option<T>;
}

impl Octets for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        let bytes = self.get(offset..offset.checked_add(size_of::<T>())?)?;
        // SAFETY: `bytes` has the size of `T`, of which any bit pattern is a value.
        Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
    }
}

/// Length of an Ethernet header.
pub const ETHERNET_LEN: usize = 14;
/// Length of an 802.1Q tag.
pub const VLAN_TAG_LEN: usize = 4;

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of an 802.1Q tag.
pub const ETHERTYPE_VLAN: u16 = 0x8100;
/// EtherType of an 802.1ad tag.
pub const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;
/// The VLAN identifier in a tag; identifier 0 is a priority tag, which names no VLAN (IEEE 802.1Q section 9.6).
pub const VLAN_ID_MASK: u16 = 0x0fff;

const IPV4_MIN_HEADER: usize = 20;
const IPV4_MAX_OPTIONS: usize = 40;
const PROTOCOL_IGMP: u8 = 2;

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
    /// Offset of the IPv4 header: [`ETHERNET_LEN`], plus a tag's [`VLAN_TAG_LEN`]; 0 without link header.
    pub ipv4_offset: usize,
    /// Octets of the IPv4 header.
    pub header_len: usize,
    /// IPv4 total length.
    pub total_len: usize,
    /// Bytes of the frame after the packet.
    pub padding: usize,
    /// IPv4 source.
    pub source: [u8; 4],
    /// IPv4 group.
    pub group: [u8; 4],
    /// Time to live, above 1.
    pub ttl: u8,
    /// The header checksum, verified.
    pub checksum: u16,
}

/// An Ethernet header: destination, source, EtherType.
type Ethernet = [u16; ETHERNET_LEN / 2];

/// What a frame has before its packet.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The VLAN that the frame is in, as [`vlan_tag`] makes it; [`UNTAGGED`] = none.
    pub tag: u32,
    ethernet: Ethernet,
    /// What follows, and where.
    ethertype: u16,
    offset: usize,
}

impl Link {
    /// Reads the Ethernet header of `frame`, and the first tag.
    ///
    /// # Errors
    ///
    /// They are not all there.
    #[inline(always)]
    pub fn read(frame: &impl Octets) -> Result<Self, Counter> {
        let link = Self::read_behind(UNTAGGED, frame)?;
        match link.ethertype {
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
                let tag: [u16; 2] = frame.read(link.offset).ok_or(Counter::PassTruncated)?;
                Ok(Self {
                    tag: vlan(link.ethertype, u16::from_be(tag[0])),
                    ethertype: u16::from_be(tag[1]),
                    offset: link.offset + VLAN_TAG_LEN,
                    ..link
                })
            }
            _ => Ok(link),
        }
    }

    /// Reads the Ethernet header of a `frame` whose tag, which named the VLAN `tag`, has been taken out.
    ///
    /// # Errors
    ///
    /// It is not all there.
    #[inline(always)]
    pub fn read_behind(tag: u32, frame: &impl Octets) -> Result<Self, Counter> {
        let ethernet: Ethernet = frame.read(0).ok_or(Counter::PassTruncated)?;
        Ok(Self {
            tag,
            ethernet,
            ethertype: u16::from_be(ethernet[6]),
            offset: ETHERNET_LEN,
        })
    }

    /// Tells what `frame`, whose link this is, is to a station with the address `own` in the VLAN `tag`. A second tag makes
    /// it another network's.
    ///
    /// # Errors
    ///
    /// Why the frame is left to the kernel.
    #[inline(always)]
    pub fn parse(&self, frame: &impl Octets, own: Mac, tag: u32) -> Result<Frame, Counter> {
        if self.tag != tag {
            return Err(Counter::PassVlan);
        }
        match self.ethertype {
            ETHERTYPE_IPV4 => parse_ipv4(frame, Some((self.ethernet, own)), self.offset),
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => Err(Counter::PassVlan),
            _ => Err(Counter::PassNotIpv4),
        }
    }
}

/// The VLAN that a tag puts a frame in; an 802.1Q tag without identifier is about priority only (IEEE 802.1Q section 9.6).
#[must_use]
#[inline(always)]
pub const fn vlan(ethertype: u16, tag_control: u16) -> u32 {
    match (ethertype, tag_control & VLAN_ID_MASK) {
        (ETHERTYPE_VLAN, 0) => UNTAGGED,
        (_, id) => vlan_tag(ethertype, id),
    }
}

/// What nearly all multicast data looks like: no tag, no options, no padding, sound, and to be forwarded. `None` says
/// nothing: [`Link::parse`] finds out. Where this has an answer it is that one's, from a handful of tests.
#[must_use]
#[inline(always)]
pub fn usual(frame: &impl Octets) -> Option<Multicast> {
    const VERSION_4_WITHOUT_OPTIONS: u8 = 0x45;
    // First what reaches furthest into the frame.
    let header: [u32; IPV4_MIN_HEADER / 4] = frame.read(ETHERNET_LEN)?;
    let ethernet: Ethernet = frame.read(0)?;
    let group = header[4].to_ne_bytes();
    let [version_and_len, _, total_len_high, total_len_low] = header[0].to_ne_bytes();
    let [ttl, protocol, checksum_high, checksum_low] = header[2].to_ne_bytes();
    let total_len = usize::from(u16::from_be_bytes([total_len_high, total_len_low]));
    let is_usual = group[0] & 0xf0 == 0xe0
        && ethernet[6] == ETHERTYPE_IPV4.to_be()
        && ethernet[0].to_ne_bytes()[0] & 1 != 0
        && version_and_len == VERSION_4_WITHOUT_OPTIONS
        && protocol != PROTOCOL_IGMP
        && ttl > 1
        && !is_link_local(group)
        && ETHERNET_LEN + total_len == frame.len()
        && checksum::folds_to_ones(checksum::sum_words(header));
    is_usual.then_some(Multicast {
        ipv4_offset: ETHERNET_LEN,
        header_len: IPV4_MIN_HEADER,
        total_len,
        padding: 0,
        source: header[3].to_ne_bytes(),
        group,
        ttl,
        checksum: u16::from_be_bytes([checksum_high, checksum_low]),
    })
}

/// 224.0.0.0/24, which no router forwards (RFC 5771 section 4).
#[inline(always)]
const fn is_link_local(group: [u8; 4]) -> bool {
    group[0] == 224 && group[1] == 0 && group[2] == 0
}

/// Tells what `packet` is, received on a device without a link layer: it begins with its IPv4 header.
///
/// # Errors
///
/// Why the packet is left to the kernel.
#[inline(always)]
pub fn parse_without_link_header(packet: &impl Octets) -> Result<Frame, Counter> {
    parse_ipv4(packet, None, 0)
}

#[inline(always)]
fn parse_ipv4(
    frame: &impl Octets,
    link: Option<(Ethernet, Mac)>,
    offset: usize,
) -> Result<Frame, Counter> {
    let header: [u32; IPV4_MIN_HEADER / 4] = frame.read(offset).ok_or(Counter::PassTruncated)?;
    let [version_and_len, _, total_len_high, total_len_low] = header[0].to_ne_bytes();
    let [ttl, protocol, checksum_high, checksum_low] = header[2].to_ne_bytes();
    let group = header[4].to_ne_bytes();
    let is_igmp = protocol == PROTOCOL_IGMP;
    // Unicast is most of a gateway's traffic and leaves here.
    if group[0] & 0xf0 != 0xe0 && !is_igmp {
        return Err(Counter::PassUnicast);
    }
    if version_and_len >> 4 != 4 {
        return Err(Counter::PassBadHeader);
    }
    if let Some((ethernet, own)) = link
        && ethernet[0].to_ne_bytes()[0] & 1 == 0
        && !to_station(ethernet, own)
    {
        return Err(Counter::PassOtherHost);
    }
    if is_igmp {
        return Ok(Frame::Igmp);
    }

    let header_len = usize::from(version_and_len & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([total_len_high, total_len_low]));
    let frame_len = frame.len();
    if header_len < IPV4_MIN_HEADER || total_len < header_len || offset + total_len > frame_len {
        return Err(Counter::PassBadHeader);
    }
    let mut sum = checksum::sum_words(header);
    if header_len > IPV4_MIN_HEADER {
        sum += inert_options(frame, offset + IPV4_MIN_HEADER, offset + header_len)?;
    }
    if !checksum::folds_to_ones(sum) {
        return Err(Counter::PassBadChecksum);
    }
    if is_link_local(group) {
        return Err(Counter::PassLinkLocalGroup);
    }
    if ttl <= 1 {
        return Err(Counter::PassTtlExpired);
    }
    Ok(Frame::Multicast(Multicast {
        ipv4_offset: offset,
        header_len,
        total_len,
        padding: frame_len - offset - total_len,
        source: header[3].to_ne_bytes(),
        group,
        ttl,
        checksum: u16::from_be_bytes([checksum_high, checksum_low]),
    }))
}

#[inline(always)]
fn to_station(ethernet: Ethernet, own: Mac) -> bool {
    // Word by word: `==` on arrays becomes a call, which the kernel has not got.
    ethernet[0] == u16::from_ne_bytes([own[0], own[1]])
        && ethernet[1] == u16::from_ne_bytes([own[2], own[3]])
        && ethernet[2] == u16::from_ne_bytes([own[4], own[5]])
}

/// The checksum's share of the options between `start` and `end`, when a router forwards a packet with them unchanged:
/// NOP, End of List, and Router Alert where everybody puts it, at a word of its own. Source routes must not be forwarded,
/// Record Route and Timestamp would have to be filled in: all of that is the kernel's business.
#[inline(always)]
fn inert_options(frame: &impl Octets, start: usize, end: usize) -> Result<u64, Counter> {
    /// Clear in every byte that is an End of List (0) or a NOP (1).
    const NOT_PADDING: u32 = 0xfefe_fefe;
    const WORD: usize = size_of::<u32>();
    let mut sum = 0;
    let mut at = 0;
    while at < IPV4_MAX_OPTIONS {
        if start + at >= end {
            break;
        }
        let [word]: [u32; 1] = frame.read(start + at).ok_or(Counter::PassBadHeader)?;
        let [kind, len, ..] = word.to_ne_bytes();
        let is_router_alert = kind == OPTION_ROUTER_ALERT && len == OPTION_ROUTER_ALERT_LEN;
        if word & NOT_PADDING != 0 && !is_router_alert {
            return Err(Counter::PassOptions);
        }
        sum += u64::from(word);
        at += WORD;
    }
    Ok(sum)
}

/// The Ethernet address of an IPv4 group: 01:00:5e and the low 23 bits (RFC 1112 section 6.4).
#[must_use]
#[inline(always)]
pub const fn group_mac(group: [u8; 4]) -> Mac {
    [0x01, 0x00, 0x5e, group[1] & 0x7f, group[2], group[3]]
}
