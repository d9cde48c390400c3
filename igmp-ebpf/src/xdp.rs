//! Frames in XDP: packet pointers only. Every access is checked against `data_end`, as the verifier demands.

use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use igmp_common::frame::{
    self, ETHERNET_LEN, ETHERTYPE_IPV4, Link, Multicast, Plain, VLAN_TAG_LEN, group_mac,
};
use igmp_common::maps::{MAX_FRAME, Mac, Port, UNTAGGED};
use igmp_common::{Counter, Octets};

use crate::packet::{self, Packet, opaque};

/// The frame of an XDP context, and its link, which says whose frame it is before it says what.
pub struct XdpFrame<'a> {
    octets: XdpOctets<'a>,
    link: Result<Link, Counter>,
}

struct XdpOctets<'a>(&'a XdpContext);

/// A frame that holds a usual packet.
pub struct UsualFrame<'a> {
    octets: XdpOctets<'a>,
    packet: Multicast,
}

impl<'a> UsualFrame<'a> {
    /// The frame of `ctx`, if it is one.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Option<Self> {
        let octets = XdpOctets(ctx);
        let packet = frame::usual(&octets)?;
        Some(Self { octets, packet })
    }
}

impl<'a> XdpFrame<'a> {
    /// The frame of `ctx`.
    #[inline(always)]
    pub fn new(ctx: &'a XdpContext) -> Self {
        let octets = XdpOctets(ctx);
        let link = Link::read(&octets);
        Self { octets, link }
    }
}

impl Octets for XdpOctets<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        opaque(self.0.data_end() - self.0.data())
    }

    #[inline(always)]
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        packet::read(self.0.data(), self.0.data_end(), offset)
    }
}

impl Octets for XdpFrame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.octets.len()
    }

    #[inline(always)]
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        self.octets.read(offset)
    }
}

impl Packet for XdpFrame<'_> {
    #[inline(always)]
    fn tag(&self) -> u32 {
        self.link.map_or(UNTAGGED, |link| link.tag)
    }

    #[inline(always)]
    fn parse(&self, port: &Port) -> Result<frame::Frame, Counter> {
        self.link?.parse(self, port.mac, port.tag)
    }

    #[inline(always)]
    fn copy_to(&self, _: &Port, to: &mut [u8; MAX_FRAME]) -> usize {
        self.octets.copy_to(to)
    }
}

impl Octets for UsualFrame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.octets.len()
    }

    #[inline(always)]
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        self.octets.read(offset)
    }
}

impl Packet for UsualFrame<'_> {
    #[inline(always)]
    fn tag(&self) -> u32 {
        UNTAGGED
    }

    #[inline(always)]
    fn parse(&self, port: &Port) -> Result<frame::Frame, Counter> {
        if port.tag != UNTAGGED {
            return Err(Counter::PassVlan);
        }
        Ok(frame::Frame::Multicast(self.packet))
    }

    #[inline(always)]
    fn copy_to(&self, _: &Port, to: &mut [u8; MAX_FRAME]) -> usize {
        self.octets.copy_to(to)
    }
}

impl XdpOctets<'_> {
    /// Word by word, the last word overlapping the one before. A plain loop, because `bpf_xdp_load_bytes` came only with
    /// kernel 5.18 (3f364222d032).
    #[inline(always)]
    fn copy_to(&self, to: &mut [u8; MAX_FRAME]) -> usize {
        const WORD: usize = size_of::<u64>();
        let ctx = self.0;
        let (data, data_end) = (ctx.data(), ctx.data_end());
        let len = (data_end - data).clamp(WORD, MAX_FRAME);
        let to = to.as_mut_ptr();
        let copy_word = |at: usize| {
            let in_frame = data + at + WORD <= data_end;
            if in_frame {
                // SAFETY: the word lies before `data_end`, and callers keep `at` a word below the end of `to`.
                unsafe {
                    let word = ((data + at) as *const u64).read_unaligned();
                    to.add(at).cast::<u64>().write_unaligned(word);
                }
            }
            in_frame
        };
        let mut at = 0;
        while at <= MAX_FRAME - WORD && copy_word(at) {
            at += WORD;
        }
        copy_word(opaque(len - WORD));
        len
    }
}

/// The device the frame came in on.
#[inline(always)]
pub fn ingress_ifindex(ctx: &XdpContext) -> u32 {
    // SAFETY: the context pointer is the kernel's and valid while the program runs.
    unsafe { (*ctx.ctx).ingress_ifindex }
}

/// Makes the frame what a router sends: without padding, without tag, to the group's Ethernet address, TTL one
/// lower. Without a `source` address that one is the egress program's business. `Err` = the frame could not be changed.
#[inline(always)]
pub fn rewrite(ctx: &XdpContext, packet: &Multicast, source: Option<Mac>) -> Result<(), Counter> {
    if packet.padding > 0 {
        // SAFETY: the context is the kernel's; shrinking by less than the frame's length.
        if unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(packet.padding as i32)) } != 0 {
            return Err(Counter::PassRewriteFailed);
        }
    }
    if packet.ipv4_offset != ETHERNET_LEN {
        let Some(source_mac) = XdpOctets(ctx).read::<[u8; 6]>(6) else {
            return Err(Counter::PassRewriteFailed);
        };
        // SAFETY: the context is the kernel's; taking off one tag's length.
        if unsafe { bpf_xdp_adjust_head(ctx.ctx, VLAN_TAG_LEN as i32) } != 0 {
            return Err(Counter::PassRewriteFailed);
        }
        let data = ctx.data();
        if data + ETHERNET_LEN > ctx.data_end() {
            return Err(Counter::PassRewriteFailed);
        }
        // SAFETY: all of it lies between data and data_end, and byte arrays have no alignment.
        unsafe {
            ((data + 6) as *mut [u8; 6]).write(source_mac);
            ((data + 12) as *mut [u8; 2]).write(ETHERTYPE_IPV4.to_be_bytes());
        }
    }
    let data = ctx.data();
    if data + ETHERNET_LEN + 12 > ctx.data_end() {
        return Err(Counter::PassRewriteFailed);
    }
    let checksum = igmp_common::checksum::after_ttl_decrement(packet.checksum);
    // SAFETY: all of it lies between data and data_end, and byte arrays have no alignment.
    unsafe {
        (data as *mut [u8; 6]).write(group_mac(packet.group));
        if let Some(source) = source {
            ((data + 6) as *mut [u8; 6]).write(source);
        }
        ((data + ETHERNET_LEN + 8) as *mut u8).write(packet.ttl - 1);
        ((data + ETHERNET_LEN + 10) as *mut [u8; 2]).write(checksum.to_be_bytes());
    }
    Ok(())
}
