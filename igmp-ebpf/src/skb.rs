//! Frames in TC: packet pointers to read, helpers to write.
//!
//! A program that writes through packet pointers gets a prologue from the verifier that unshares every frame, ours or not;
//! `bpf_skb_store_bytes` unshares the one it writes to.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::{
    bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data,
    bpf_skb_store_bytes, bpf_skb_vlan_pop, bpf_skb_vlan_push,
};
use igmp_common::frame::{
    self, ETHERNET_LEN, ETHERTYPE_IPV4, ETHERTYPE_SERVICE_VLAN, ETHERTYPE_VLAN, Link, Multicast,
    Plain, VLAN_TAG_LEN, group_mac, vlan,
};
use igmp_common::maps::{MAX_FRAME, PORT_NO_LINK_HEADER, Port};
use igmp_common::{Counter, Octets};

use crate::packet::{self, Packet, opaque};

/// Bytes that the parser may look at: Ethernet header, tag, the longest IPv4 header.
const LONGEST_HEADERS: u32 = (ETHERNET_LEN + VLAN_TAG_LEN + 60) as u32;
/// Offset of the Ethernet source address.
const SOURCE_AT: u32 = 6;
/// Offset of a tag that is in the frame.
const TAG_AT: usize = 12;

/// The part of a frame that a router changes: the Ethernet header, and the IPv4 header up to its checksum. Some more,
/// and aligned, so that LLVM moves it in whole words, which the verifier wants aligned on the stack.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Head([u8; 32]);

/// What a frame was before it was rewritten, but for what means nothing: padding.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Before {
    head: Head,
    /// As [`SkbFrame::whole_tag`] has it.
    tag: usize,
}

/// The frame of a TC context.
pub struct SkbFrame(*mut __sk_buff);

impl SkbFrame {
    /// The frame of `skb`, with its headers where packet pointers reach them. Drivers that receive into pages leave only
    /// a part of them there.
    #[inline(always)]
    pub fn new(skb: *mut __sk_buff) -> Self {
        let frame = Self(skb);
        let headers = (frame.len() as u32).min(LONGEST_HEADERS);
        let (data, data_end) = frame.bounds();
        if data_end - data < headers as usize {
            // SAFETY: the context is the kernel's. When there is no memory for it, the frame is a truncated one.
            unsafe { bpf_skb_pull_data(skb, headers) };
        }
        frame
    }

    /// The device the frame came in on.
    #[inline(always)]
    pub fn device(&self) -> u32 {
        // SAFETY: the context pointer is the kernel's and valid while the program runs.
        unsafe { (*self.0).ifindex }
    }

    /// The context.
    #[inline(always)]
    pub fn skb(&self) -> *mut __sk_buff {
        self.0
    }

    /// Whether it is several packets in one, which the kernel takes apart on the way out.
    #[inline(always)]
    pub fn is_segmented_later(&self) -> bool {
        // SAFETY: as in `device`.
        unsafe { (*self.0).gso_size != 0 }
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: as in `device`.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }

    /// A tag that the kernel or the device has taken out of the frame.
    #[inline(always)]
    fn has_tag_aside(&self) -> bool {
        // SAFETY: as in `device`.
        unsafe { (*self.0).vlan_present != 0 }
    }

    /// The tag that the frame has, aside or not: its EtherType in the upper half, the rest in the lower one; 0 = none.
    #[inline(always)]
    fn whole_tag(&self) -> u32 {
        // SAFETY: as in `device`.
        let (tag_protocol, tag, protocol) =
            unsafe { ((*self.0).vlan_proto, (*self.0).vlan_tci, (*self.0).protocol) };
        if self.has_tag_aside() {
            return u32::from(host_order(tag_protocol)) << 16 | tag;
        }
        // Asked first, because a packet without link header has something else there.
        match host_order(protocol) {
            ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => {
                // What it does not name the type of is no tag.
                let tag: Option<[u16; 3]> = self.read(TAG_AT);
                tag.map_or(0, |[ethertype, control, _]| {
                    u32::from(u16::from_be(ethertype)) << 16 | u32::from(u16::from_be(control))
                })
            }
            _ => 0,
        }
    }

    /// Gives the frame, which has no tag in it, this one aside instead of the one it has there; 0 = none. Aside costs next
    /// to nothing: the kernel puts it in on the way out. False = it could not.
    #[inline(always)]
    fn set_tag(&self, tag: u32) -> bool {
        // SAFETY: the context is the kernel's.
        if self.has_tag_aside() && unsafe { bpf_skb_vlan_pop(self.0) } != 0 {
            return false;
        }
        if tag == 0 {
            return true;
        }
        let [protocol, control] = [(tag >> 16) as u16, tag as u16];
        // SAFETY: the context is the kernel's.
        unsafe { bpf_skb_vlan_push(self.0, protocol.to_be(), control) == 0 }
    }

    /// Makes the frame what a router sends: with an Ethernet header, without padding, without tag, to the group's address,
    /// TTL one lower. Source address and tag are the output's business. Returns what was there before, for
    /// [`Self::restore`]; `None` = the frame could not be changed.
    #[inline(always)]
    pub fn rewrite(&self, packet: &Multicast) -> Option<Before> {
        let tag = self.whole_tag() as usize;
        if packet.padding > 0 {
            let len = (packet.ipv4_offset + packet.total_len) as u32;
            // SAFETY: the context is the kernel's.
            if unsafe { bpf_skb_change_tail(self.0, len, 0) } != 0 {
                return None;
            }
        }
        // SAFETY: the context is the kernel's.
        if tag != 0 && unsafe { bpf_skb_vlan_pop(self.0) } != 0 {
            return None;
        }
        if packet.ipv4_offset == 0 {
            // SAFETY: the context is the kernel's. Where the header is not wanted the kernel takes it off again.
            if unsafe { bpf_skb_change_head(self.0, ETHERNET_LEN as u32, 0) } != 0 {
                return None;
            }
        }
        let head = self.head()?;
        let before = Before { head, tag };
        let mut after = before.head;
        let head = &mut after.0;
        let [c0, c1] = igmp_common::checksum::after_ttl_decrement(packet.checksum).to_be_bytes();
        let [d0, d1, d2, d3, d4, d5] = group_mac(packet.group);
        [head[0], head[1], head[2], head[3], head[4], head[5]] = [d0, d1, d2, d3, d4, d5];
        [head[12], head[13]] = ETHERTYPE_IPV4.to_be_bytes();
        head[ETHERNET_LEN + 8] = packet.ttl - 1;
        [head[ETHERNET_LEN + 10], head[ETHERNET_LEN + 11]] = [c0, c1];
        self.put_head(&after).then_some(before)
    }

    #[inline(always)]
    fn head(&self) -> Option<Head> {
        let mut head = Head([0; 32]);
        // SAFETY: the context is the kernel's, and `head` has the length that is given.
        let result = unsafe {
            bpf_skb_load_bytes(
                self.0.cast(),
                0,
                head.0.as_mut_ptr().cast(),
                head.0.len() as u32,
            )
        };
        (result == 0).then_some(head)
    }

    /// Writes the changeable part of the frame; false = it cannot be written to. The sum over a packet that a device may
    /// have taken stays right: the header checksum makes up for the TTL, and the Ethernet header is not in it.
    #[inline(always)]
    fn put_head(&self, head: &Head) -> bool {
        self.store(0, &head.0)
    }

    /// Makes the frame what came in; false = it cannot be changed.
    #[inline(always)]
    pub fn restore(&self, before: &Before) -> bool {
        self.set_tag(before.tag as u32) && self.put_head(&before.head)
    }

    /// Gives the rewritten frame the tag of an output port, and its address as the Ethernet source; false = it cannot be
    /// changed.
    #[inline(always)]
    pub fn address_from(&self, port: &Port) -> bool {
        self.set_tag(port.tag) && self.store(SOURCE_AT, &port.mac)
    }

    #[inline(always)]
    fn store<const N: usize>(&self, offset: u32, bytes: &[u8; N]) -> bool {
        // SAFETY: the context is the kernel's, and `bytes` has the length that is given.
        unsafe { bpf_skb_store_bytes(self.0, offset, bytes.as_ptr().cast(), N as u32, 0) == 0 }
    }
}

impl Octets for SkbFrame {
    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context pointer is the kernel's and valid while the program runs.
        opaque(unsafe { (*self.0).len } as usize)
    }

    #[inline(always)]
    fn read<T: Plain>(&self, offset: usize) -> Option<T> {
        let (data, data_end) = self.bounds();
        packet::read(data, data_end, offset)
    }
}

impl Packet for SkbFrame {
    #[inline(always)]
    fn tag(&self) -> u32 {
        let tag = self.whole_tag();
        vlan((tag >> 16) as u16, tag as u16)
    }

    #[inline(always)]
    fn parse(&self, port: &Port) -> Result<frame::Frame, Counter> {
        if port.flags & PORT_NO_LINK_HEADER != 0 {
            // SAFETY: the context pointer is the kernel's and valid while the program runs.
            if host_order(unsafe { (*self.0).protocol }) != ETHERTYPE_IPV4 {
                return Err(Counter::PassNotIpv4);
            }
            return frame::parse_without_link_header(self);
        }
        let link = if self.has_tag_aside() {
            Link::read_behind(self.tag(), self)
        } else {
            Link::read(self)
        };
        link?.parse(self, port.mac, port.tag)
    }

    /// A message from a device without link header gets one of zero addresses.
    #[inline(always)]
    fn copy_to(&self, port: &Port, to: &mut [u8; MAX_FRAME]) -> usize {
        /// An IPv4 header, which the parser has seen.
        const SHORTEST: usize = 20;
        const LONGEST: usize = MAX_FRAME - ETHERNET_LEN;
        let len = self.len().clamp(SHORTEST, LONGEST);
        let at = if port.flags & PORT_NO_LINK_HEADER != 0 {
            [to[12], to[13]] = ETHERTYPE_IPV4.to_be_bytes();
            for byte in &mut to[..12] {
                *byte = 0;
            }
            ETHERNET_LEN
        } else {
            0
        };
        // SAFETY: the context is the kernel's, and `to` has `len` bytes after the header.
        let result = unsafe {
            let to = to.as_mut_ptr().add(at);
            bpf_skb_load_bytes(self.0.cast(), 0, to.cast(), len as u32)
        };
        if result == 0 { at + len } else { at }
    }
}

/// An EtherType as the context has it: a big-endian number in the low half of a word.
#[inline(always)]
const fn host_order(ethertype: u32) -> u16 {
    u16::from_be(ethertype as u16)
}
