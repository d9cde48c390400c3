//! The programs of the benchmark, which igmpd has no part in: the generator of load, the receivers at the other end, and
//! the least that a broadcast can be.
//!
//! The kernel runs the generators on frames that it makes and recycles as they are (`BPF_F_TEST_XDP_LIVE_FRAMES`). What a
//! router has changed in a frame would still be so when it comes round again, so each frame gets its headers anew first.

#![no_std]
#![no_main]
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "the program macros drop the documentation of what it is on, and want the context by value"
)]

mod program;

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{BPF_F_BROADCAST, TC_ACT_SHOT};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{Array, DevMapHash, PerCpuArray, ProgramArray};
use aya_ebpf::programs::{TcContext, XdpContext};

/// The groups that frames go to, in turn. Written by userspace, as on the wire.
#[map]
static SCHEDULE: Array<[u8; 4]> = Array::with_max_entries(65_536, 0);
/// One less than the length of the schedule, a power of two; and the turn. One CPU generates.
#[map]
static TURN: Array<[u32; 2]> = Array::with_max_entries(1, 0);
/// The XDP program that `generate_into` hands its frames to.
#[map]
static CONTENDER: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// The set that `floor` sends to: index -> device.
#[map]
static FLOOR: DevMapHash = DevMapHash::with_max_entries(1, 0);
/// Copies that have arrived with the TTL that they should have.
#[map]
static RECEIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The TTL that copies have when they arrive. Set when the program is loaded.
#[unsafe(no_mangle)]
static ARRIVAL_TTL: Global<u8> = Global::new(0);

const SOURCE_MAC: [u8; 6] = [0x02, 0, 10, 0, 0, 2];
const TTL: u8 = 64;
const UDP: u8 = 17;
/// Ethernet and IPv4 header.
const HEADERS: usize = 14 + 20;

/// Makes frames and throws them away: what the load costs by itself.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    match stamp(&ctx) {
        Some(()) => XDP_DROP,
        None => XDP_ABORTED,
    }
}

/// Makes frames that come in as from a device.
#[xdp]
pub fn generate_up(ctx: XdpContext) -> u32 {
    match stamp(&ctx) {
        Some(()) => XDP_PASS,
        None => XDP_ABORTED,
    }
}

/// Makes frames for an XDP program.
#[xdp]
pub fn generate_into(ctx: XdpContext) -> u32 {
    if stamp(&ctx).is_some() {
        // SAFETY: userspace puts an XDP program there. The call returns only if there is none.
        unsafe { CONTENDER.tail_call(&ctx, 0) };
    }
    XDP_ABORTED
}

/// Sends each frame to all of a set, whatever it is.
#[xdp]
pub fn floor(_: XdpContext) -> u32 {
    FLOOR
        .redirect(0, BPF_F_BROADCAST.into())
        .unwrap_or(XDP_ABORTED)
}

/// Counts copies, and ends them.
#[xdp]
pub fn receive(ctx: XdpContext) -> u32 {
    count(ctx.data(), ctx.data_end());
    XDP_DROP
}

/// The same without XDP, which would cost a copy that comes as a socket buffer another copy of itself.
#[classifier]
pub fn receive_buffers(ctx: TcContext) -> i32 {
    count(ctx.data(), ctx.data_end());
    TC_ACT_SHOT
}

/// Gives the frame the headers of the next of the schedule, as a host sends it.
#[inline(always)]
fn stamp(ctx: &XdpContext) -> Option<()> {
    let turn = TURN.get_ptr_mut(0)?;
    // SAFETY: only the CPU that generates uses it.
    let [mask, at] = unsafe { *turn };
    // SAFETY: as above.
    unsafe { (*turn)[1] = at.wrapping_add(1) };
    let group = *SCHEDULE.get(at & mask)?;

    let frame = ctx.data();
    if frame + HEADERS > ctx.data_end() {
        return None;
    }
    let [_, b, c, d] = group;
    // SAFETY: all of the headers lie between data and data_end, and none of these types has an alignment that matters
    // to BPF.
    unsafe {
        (frame as *mut [u8; 6]).write([0x01, 0, 0x5e, b & 0x7f, c, d]);
        ((frame + 6) as *mut [u8; 6]).write(SOURCE_MAC);
        let ttl_and_protocol = u32::from(u16::from_ne_bytes([TTL, UDP]));
        let word = |at: usize| ((frame + 14 + at) as *const u32).read_unaligned();
        let sum = u64::from(word(0))
            + u64::from(word(4))
            + u64::from(ttl_and_protocol)
            + u64::from(word(12))
            + u64::from(u32::from_ne_bytes(group));
        ((frame + 14 + 8) as *mut u32)
            .write_unaligned(ttl_and_protocol | u32::from(!fold(sum)) << 16);
        ((frame + 14 + 16) as *mut [u8; 4]).write(group);
    }
    Some(())
}

/// The one's complement sum of all 16-bit words of `sum` (RFC 1071). The byte order of the words is that of the sum.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "three folds leave 16 bits")]
fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[inline(always)]
fn count(data: usize, data_end: usize) {
    if data + HEADERS > data_end {
        return;
    }
    // SAFETY: both lie between data and data_end.
    let (ethertype, ttl_and_protocol) = unsafe {
        (
            ((data + 12) as *const [u8; 2]).read(),
            ((data + 22) as *const [u8; 2]).read(),
        )
    };
    if ethertype == [0x08, 0x00]
        && ttl_and_protocol == [ARRIVAL_TTL.load(), UDP]
        && let Some(received) = RECEIVED.get_ptr_mut(0)
    {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe { *received += 1 }
    }
}
