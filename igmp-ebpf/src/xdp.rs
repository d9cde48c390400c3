//! Frames in XDP: packet pointers only. Every access is checked against `data_end`, as the verifier demands.

use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use igmp_common::frame::{self, ETHERNET_LEN, Link, Multicast, Plain, VLAN_TAG_LEN, group_mac};
use igmp_common::maps::{MAX_FRAME, Port, UNTAGGED};
use igmp_common::{Counter, Octets};

use crate::packet::{self, Packet, opaque};

/// The frame of an XDP context, and its link, which says whose frame it is before it says what.
pub struct XdpFrame<'a> {
    octets: XdpOctets<'a>,
    link: Result<Link, Counter>,
}

struct XdpOctets<'a>(&'a XdpContext);

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

    /// Word by word, the last word overlapping the one before. A plain loop, because `bpf_xdp_load_bytes` came only with
    /// kernel 5.18 (3f364222d032).
    #[inline(always)]
    fn copy_to(&self, _: &Port, to: &mut [u8; MAX_FRAME]) -> usize {
        const WORD: usize = size_of::<u64>();
        let ctx = self.octets.0;
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

/// Writes `bytes` at `offset`; false when they run past the end.
#[inline(always)]
fn write<const N: usize>(ctx: &XdpContext, offset: usize, bytes: [u8; N]) -> bool {
    let at = ctx.data() + offset;
    if at + N > ctx.data_end() {
        return false;
    }
    // SAFETY: `at..at + N` lies between data and data_end, and a byte array has no alignment.
    unsafe { (at as *mut [u8; N]).write(bytes) };
    true
}

/// The device the frame came in on.
#[inline(always)]
pub fn ingress_ifindex(ctx: &XdpContext) -> u32 {
    // SAFETY: the context pointer is the kernel's and valid while the program runs.
    unsafe { (*ctx.ctx).ingress_ifindex }
}

/// Makes the frame what a router sends: without padding, without tag, to the group's Ethernet address, TTL one
/// lower. The source address is the output port's business. False = the frame could not be changed.
#[inline(always)]
pub fn rewrite(ctx: &XdpContext, packet: &Multicast) -> bool {
    if packet.padding > 0 {
        // SAFETY: the context is the kernel's; shrinking by less than the frame's length.
        if unsafe { bpf_xdp_adjust_tail(ctx.ctx, -(packet.padding as i32)) } != 0 {
            return false;
        }
    }
    if packet.ipv4_offset != ETHERNET_LEN {
        let Some(source_mac) = XdpOctets(ctx).read::<[u8; 6]>(6) else {
            return false;
        };
        // SAFETY: the context is the kernel's; taking off one tag's length.
        if unsafe { bpf_xdp_adjust_head(ctx.ctx, VLAN_TAG_LEN as i32) } != 0 {
            return false;
        }
        if !write(ctx, 6, source_mac) || !write(ctx, 12, [0x08, 0x00]) {
            return false;
        }
    }
    let checksum = igmp_common::checksum::after_ttl_decrement(packet.checksum);
    write(ctx, 0, group_mac(packet.group))
        && write(ctx, ETHERNET_LEN + 8, [packet.ttl - 1])
        && write(ctx, ETHERNET_LEN + 10, checksum.to_be_bytes())
}
