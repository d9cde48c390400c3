//! All access to frame memory. Every read and write is checked against `data_end`, as the verifier demands.

use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use igmp_common::Octets;
use igmp_common::frame::{ETHERNET_LEN, Multicast, Plain, VLAN_TAG_LEN, group_mac};

/// The frame of an XDP context as a byte source.
pub struct Frame<'a>(pub &'a XdpContext);

impl Octets for Frame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        opaque(self.0.data_end() - self.0.data())
    }

    #[inline(always)]
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        let at = self.0.data() + offset;
        if at + size_of::<T>() > self.0.data_end() {
            return None;
        }
        // SAFETY: the bytes lie between data and data_end, and any bit pattern of them is a value.
        Some(unsafe { (at as *const T).read_unaligned() })
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

/// A number whose origin LLVM no longer knows. Otherwise it moves the terms of sums between the check of a packet pointer
/// and its use, or adds unbounded numbers to one, and verifiers cannot follow.
#[inline(always)]
pub fn opaque(number: usize) -> usize {
    // SAFETY: reading a variable of our own.
    unsafe { (&raw const number).read_volatile() }
}

/// The interface the frame came in on.
#[inline(always)]
pub fn ingress_ifindex(ctx: &XdpContext) -> u32 {
    // SAFETY: the context pointer is the kernel's and valid while the program runs.
    unsafe { (*ctx.ctx).ingress_ifindex }
}

/// Makes the frame what a router sends: without padding, without priority tag, to the group's Ethernet address, TTL one
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
        let Some(source_mac) = Frame(ctx).read::<[u8; 6]>(6) else {
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
