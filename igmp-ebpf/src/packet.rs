//! What a hook must offer so that one straight path serves all: a frame to parse and to copy.

use igmp_common::frame::{Frame, Plain};
use igmp_common::maps::{MAX_FRAME, Port};
use igmp_common::{Counter, Octets};

/// A frame where a hook found it.
pub trait Packet: Octets {
    /// The VLAN it is in, as [`igmp_common::maps::vlan_tag`] makes it.
    fn tag(&self) -> u32;

    /// Tells what it is to `port`; `Err` = it is left to the kernel, and why.
    fn parse(&self, port: &Port) -> Result<Frame, Counter>;

    /// Copies an IGMP message from its Ethernet header on and returns its length; what does not fit is cut off, which
    /// userspace notices by the IPv4 total length.
    fn copy_to(&self, port: &Port, to: &mut [u8; MAX_FRAME]) -> usize;
}

/// Reads at `offset` what lies between `data` and `data_end`, as the verifier demands.
#[inline(always)]
pub fn read<T: Plain>(data: usize, data_end: usize, offset: usize) -> Option<T> {
    let at = data + offset;
    if at + size_of::<T>() > data_end {
        return None;
    }
    // SAFETY: the bytes lie between data and data_end, and any bit pattern of them is a value.
    Some(unsafe { (at as *const T).read_unaligned() })
}

/// A number whose origin LLVM no longer knows. Otherwise it moves the terms of sums between the check of a packet pointer
/// and its use, or adds unbounded numbers to one, and verifiers cannot follow.
#[inline(always)]
pub fn opaque(number: usize) -> usize {
    // SAFETY: reading a variable of our own.
    unsafe { (&raw const number).read_volatile() }
}
