//! Replication in TC: clones, for what an XDP redirect cannot reach or must not take from the kernel.
//!
//! `bpf_clone_redirect` copies the head of the frame it is called on anyway (it keeps the program's frame unshared), so
//! the source address of each output is written into our frame before it is cloned, and costs no further copy.

use aya_ebpf::bindings::bpf_check_mtu_flags::BPF_MTU_CHK_SEGS;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{bpf_check_mtu, bpf_clone_redirect, bpf_redirect};
use igmp_common::Counter;
use igmp_common::frame::Multicast;
use igmp_common::maps::{
    FLOW_LOCAL, MAX_OUTPUTS, OUTPUTS_IN_BLOCK, OutputsBlock, OutputsKey, Port,
};

use crate::ingress::Route;
use crate::maps::{OUTPUT_DROPS, OUTPUTS, PORTS};
use crate::skb::SkbFrame;

/// The frame goes on: to the next program of the device, then to the kernel.
pub const NEXT: i32 = TC_ACT_UNSPEC;

/// Sends the packet of `route` to each of its outputs but `ifindex`, where it came in; `Err` = it was not sent, and why.
#[inline(always)]
pub fn replicate(frame: &SkbFrame, ifindex: u32, route: &Route) -> Result<i32, Counter> {
    let first = outputs(route.set, 0).ok_or(Counter::PassNoOutput)?;
    let before = frame
        .rewrite(&route.packet)
        .ok_or(Counter::PassRewriteFailed)?;
    route.count();
    let last = send_all_but_last(frame, ifindex, route, first);
    if route.flags & FLOW_LOCAL != 0 {
        if let Some((output, port)) = last {
            send_clone(frame, output, port);
        }
        // Its sockets see what came in, or nothing.
        let is_restored = frame.put_head(&before);
        return Ok(if is_restored { NEXT } else { TC_ACT_SHOT });
    }
    Ok(match last {
        // The last one takes the frame itself. SAFETY: the helper has no preconditions.
        Some((output, _)) => unsafe { bpf_redirect(output, 0) as i32 },
        // As an XDP redirect without any output: there is nothing in it for the kernel.
        None => TC_ACT_SHOT,
    })
}

/// Sends clones to all outputs but the last, which is returned: the frame has its source address.
#[inline(always)]
fn send_all_but_last(
    frame: &SkbFrame,
    ifindex: u32,
    route: &Route,
    first: &'static OutputsBlock,
) -> Option<(u32, &'static Port)> {
    let mut last = None;
    let mut block = first;
    let mut at = 0;
    while at < MAX_OUTPUTS {
        let in_block = at % OUTPUTS_IN_BLOCK;
        if in_block == 0 && at != 0 {
            let Some(next) = outputs(route.set, (at / OUTPUTS_IN_BLOCK) as u32) else {
                break;
            };
            block = next;
        }
        let output = block.outputs[in_block];
        if output == 0 {
            break;
        }
        at += 1;
        if output == ifindex {
            continue;
        }
        // SAFETY: PORTS entries are replaced whole.
        let Some(port) = (unsafe { PORTS.get(output) }) else {
            continue;
        };
        if !may_send(frame, output, port, &route.packet) {
            continue;
        }
        if let Some((output, port)) = last {
            send_clone(frame, output, port);
        }
        if !frame.put_source_mac(&port.mac) {
            last = None;
            drop_copy(port, |drops| &mut drops.not_sent);
            continue;
        }
        last = Some((output, port));
    }
    last
}

/// A block of the outputs of `set`.
#[inline(always)]
fn outputs(set: u32, block: u32) -> Option<&'static OutputsBlock> {
    // SAFETY: userspace changes a set only when no packet can see it any more.
    unsafe { OUTPUTS.get(OutputsKey { set, block }) }
}

/// Whether the output takes such a packet. What it does not is counted.
#[inline(always)]
fn may_send(frame: &SkbFrame, output: u32, port: &Port, packet: &Multicast) -> bool {
    if packet.ttl <= port.ttl_threshold {
        drop_copy(port, |drops| &mut drops.ttl_threshold);
        return false;
    }
    // With a length: that of the packet. Without, and only then with the flag: that of each segment.
    let (mut len, flags) = if frame.is_segmented_later() {
        (0, BPF_MTU_CHK_SEGS)
    } else {
        (packet.total_len as u32, 0)
    };
    // SAFETY: the context is the kernel's; `len` is a variable of ours.
    let result = unsafe {
        bpf_check_mtu(
            frame.skb().cast(),
            output,
            &raw mut len,
            0,
            u64::from(flags),
        )
    };
    if result > 0 {
        drop_copy(port, |drops| &mut drops.mtu_exceeded);
    } else if result < 0 {
        drop_copy(port, |drops| &mut drops.not_sent);
    }
    result == 0
}

#[inline(always)]
fn send_clone(frame: &SkbFrame, output: u32, port: &Port) {
    // SAFETY: the context is the kernel's.
    if unsafe { bpf_clone_redirect(frame.skb(), output, 0) } < 0 {
        drop_copy(port, |drops| &mut drops.not_sent);
    }
}

#[inline(always)]
fn drop_copy(port: &Port, reason: impl FnOnce(&mut igmp_common::maps::OutputDrops) -> &mut u64) {
    if let Some(drops) = OUTPUT_DROPS.get_ptr_mut(port.slot) {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe { *reason(&mut *drops) += 1 }
    }
}
