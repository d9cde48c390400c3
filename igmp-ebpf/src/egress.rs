//! The egress program: runs on each copy of a packet, just before an output port sends it.
//!
//! It is loaded once per port with that port's constants, so rewriting costs no map lookup, and what a port does not need
//! the verifier removes.

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
use aya_ebpf::helpers::bpf_xdp_adjust_head;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use igmp_common::maps::{EGRESS_DROP_GATE, EGRESS_DROP_TTL, GATE_OPEN, UNTAGGED};

/// The port's Ethernet address, which routed frames carry as their source. Set when the program is loaded.
#[unsafe(no_mangle)]
static SOURCE_MAC: Global<[u8; 6]> = Global::new([0; 6]);

/// Packets are sent when their TTL was above this on arrival; 1 = all, because the ingress program forwards nothing else.
/// Set when the program is loaded.
#[unsafe(no_mangle)]
static TTL_THRESHOLD: Global<u8> = Global::new(1);

/// The tag that copies get, as [`igmp_common::maps::vlan_tag`] makes it; 0 = none. Set when the program is loaded.
#[unsafe(no_mangle)]
static TAG: Global<u32> = Global::new(UNTAGGED);

/// Whether [`GATE`] is asked at all: true for ports that another gateway may serve. Set when the program is loaded.
#[unsafe(no_mangle)]
static HAS_GATE: Global<u8> = Global::new(0);

/// [`GATE_OPEN`] while this gateway serves the port's hosts. Written by userspace.
#[map]
static GATE: Array<u32> = Array::with_max_entries(1, 0);

/// Copies that were not sent, by reason (`EGRESS_DROP_*`). Written here, read by userspace.
#[map]
static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

/// Offset of the Ethernet source address.
const SOURCE_AT: usize = 6;
/// Length of the Ethernet addresses, which a tag comes behind.
const ADDRESSES: usize = 12;
const TAG_LEN: usize = 4;
/// By how much a frame begins earlier with a tag.
const TAG_ROOM: i32 = -4;
/// Offset of the TTL: the ingress program leaves no tag before the IPv4 header.
const TTL_AT: usize = 14 + 8;

/// Entry point, chained to the port's entries in the replication sets.
#[xdp(map = "devmap")]
pub fn igmp_egress(ctx: XdpContext) -> u32 {
    let data = ctx.data();
    if data + TTL_AT + 1 > ctx.data_end() {
        return XDP_DROP;
    }
    if HAS_GATE.load() != 0 && !is_open() {
        count_drop(EGRESS_DROP_GATE);
        return XDP_DROP;
    }
    let threshold = TTL_THRESHOLD.load();
    if threshold > 1 {
        // SAFETY: the byte lies between data and data_end.
        let ttl = unsafe { ((data + TTL_AT) as *const u8).read() };
        // The ingress program has taken one off: the TTL on arrival was not above the threshold.
        if ttl < threshold {
            count_drop(EGRESS_DROP_TTL);
            return XDP_DROP;
        }
    }
    // SAFETY: the six bytes lie between data and data_end, and a byte array has no alignment.
    unsafe { ((data + SOURCE_AT) as *mut [u8; 6]).write(SOURCE_MAC.load()) };
    let tag = TAG.load();
    if tag != UNTAGGED && !push(&ctx, tag) {
        return XDP_DROP;
    }
    XDP_PASS
}

/// Moves the addresses to the front and puts `tag` behind them, with priority 0 (IEEE 802.1Q section 9.6). False = there is
/// no room before the frame: no driver leaves so little.
#[inline(always)]
fn push(ctx: &XdpContext, tag: u32) -> bool {
    // SAFETY: the context is the kernel's.
    if unsafe { bpf_xdp_adjust_head(ctx.ctx, TAG_ROOM) } != 0 {
        return false;
    }
    let data = ctx.data();
    if data + ADDRESSES + TAG_LEN > ctx.data_end() {
        return false;
    }
    // SAFETY: all of these bytes lie between data and data_end, and byte arrays have no alignment.
    unsafe {
        let addresses = ((data + TAG_LEN) as *const [u8; ADDRESSES]).read();
        (data as *mut [u8; ADDRESSES]).write(addresses);
        ((data + ADDRESSES) as *mut [u8; TAG_LEN]).write(tag.to_be_bytes());
    }
    true
}

#[inline(always)]
fn is_open() -> bool {
    GATE.get(0) == Some(&GATE_OPEN)
}

#[inline(always)]
fn count_drop(reason: u32) {
    if let Some(drops) = DROPS.get_ptr_mut(reason) {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe { *drops += 1 }
    }
}
