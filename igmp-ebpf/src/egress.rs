//! The egress program: runs on each copy of a packet, just before an output port sends it.
//!
//! It is loaded once per port with that port's constants, so rewriting costs no map lookup.

#![no_std]
#![no_main]
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "the #[xdp] macro drops the documentation of what it is on, and wants the context by value"
)]

mod program;

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// The port's Ethernet address, which routed frames carry as their source. Set when the program is loaded.
#[unsafe(no_mangle)]
static SOURCE_MAC: Global<[u8; 6]> = Global::new([0; 6]);

/// Entry point, chained to the port's entries in the replication sets.
#[xdp(map = "devmap")]
pub fn igmp_egress(ctx: XdpContext) -> u32 {
    const AT: usize = 6;
    let mac = SOURCE_MAC.load();
    let at = ctx.data() + AT;
    if at + mac.len() > ctx.data_end() {
        return XDP_DROP;
    }
    // SAFETY: the six bytes lie between data and data_end, and a byte array has no alignment.
    unsafe { (at as *mut [u8; 6]).write(mac) };
    XDP_PASS
}
