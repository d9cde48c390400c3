//! Replication in TC: clones, for what an XDP redirect cannot reach or must not take from the kernel.
//!
//! `bpf_clone_redirect` copies the head of the frame it is called on anyway (it keeps the program's frame unshared), so
//! the source address of each output is written into our frame before it is cloned, and costs no further copy. Its tag
//! goes beside the frame, not into it.
//!
//! The verifier follows every branch of every round of a loop, so `igmp_tc` does what is usual: it sends a packet that fits
//! through every output, to some of them. `igmp_tc_more` does the rest.

use aya_ebpf::bindings::bpf_check_mtu_flags::BPF_MTU_CHK_SEGS;
use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{bpf_check_mtu, bpf_clone_redirect, bpf_redirect};
use aya_ebpf::programs::TcContext;
use igmp_common::Counter;
use igmp_common::maps::{
    FLOW_LOCAL, FLOW_MTU_SHIFT, OUTPUTS_IN_BLOCK, OutputDrops, OutputsBlock, OutputsKey,
    PORT_GATE_CLOSED,
};

use crate::ingress::Route;
use crate::maps::{NEXT_LEG, OUTPUT_DROPS, OUTPUTS, TC_MORE, far_port, port};
use crate::skb::{Before, SkbFrame};

/// The frame goes on: to the next program of the device, then to the kernel.
pub const NEXT: i32 = TC_ACT_UNSPEC;

/// Outputs that one program run sends to. With the 32 calls that every kernel allows, more than the largest set has.
const OUTPUTS_IN_LEG: usize = 4 * OUTPUTS_IN_BLOCK;
const _: () = assert!(32 * OUTPUTS_IN_LEG >= igmp_common::maps::MAX_OUTPUTS);

/// Where the replication of one frame is. Whole words: of smaller ones LLVM writes two at once, wherever they lie, which
/// the verifier does not take on the stack.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Leg {
    /// What the frame was when it came in.
    before: Before,
    set: usize,
    /// The next block of the set.
    block: usize,
    /// The output whose copy the frame is ready to be, and its device; 0 = none.
    ready: usize,
    device: usize,
    /// The port it came in on.
    ifindex: usize,
    total_len: usize,
    /// On arrival.
    ttl: usize,
    /// `FLOW_*`.
    flags: usize,
}

impl Leg {
    /// Makes `frame`, which came in on `ifindex`, what a router sends; `Err` = it is not sent, and why.
    #[inline(always)]
    pub fn first(frame: &SkbFrame, ifindex: u32, route: &Route) -> Result<Self, Counter> {
        if outputs(route.set, 0).is_none() {
            return Err(Counter::PassNoOutput);
        }
        let before = frame.rewrite(&route.packet);
        Ok(Self {
            before: before.ok_or(Counter::PassRewriteFailed)?,
            set: route.set as usize,
            block: 0,
            ready: 0,
            device: 0,
            ifindex: ifindex as usize,
            total_len: route.packet.total_len,
            ttl: usize::from(route.packet.ttl),
            flags: route.flags as usize,
        })
    }

    /// Takes up where the program before this one left off.
    #[inline(always)]
    pub fn next() -> Option<Self> {
        let leg = NEXT_LEG.get_ptr_mut(0)?;
        // SAFETY: a per-CPU value; the program that wrote it has ended by calling this one.
        Some(unsafe { *leg })
    }

    /// Sends copies, and tells the kernel what to do with the frame. A program that does not `ask_devices` whether they take
    /// the packet leaves those to the next one that may be too large.
    #[inline(always)]
    pub fn run(mut self, ctx: &TcContext, frame: &SkbFrame, ask_devices: bool) -> i32 {
        let is_unfinished =
            (!ask_devices && !self.fits(frame)) || self.send_to_some(frame, ask_devices);
        if is_unfinished && let Some(leg) = NEXT_LEG.get_ptr_mut(0) {
            // SAFETY: a per-CPU value that only this program on this CPU uses.
            unsafe { *leg = self };
            // SAFETY: userspace puts a program of this type there. The call returns only if it fails: then the outputs
            // that are left get nothing.
            unsafe { TC_MORE.tail_call(ctx, 0) };
        }
        self.end(frame)
    }

    /// Whether every output of the flow takes the packet.
    #[inline(always)]
    fn fits(&self, frame: &SkbFrame) -> bool {
        self.total_len <= self.flags >> FLOW_MTU_SHIFT && !frame.is_segmented_later()
    }

    /// Sends copies to one leg's outputs but the last, which the frame is ready for; true = there are more outputs.
    #[inline(always)]
    fn send_to_some(&mut self, frame: &SkbFrame, ask_devices: bool) -> bool {
        let mut sent = 0;
        while sent < OUTPUTS_IN_LEG {
            let Some(block) = outputs(self.set as u32, self.block as u32) else {
                return false;
            };
            self.block += 1;
            let mut at = 0;
            while at < OUTPUTS_IN_BLOCK {
                let output = block.outputs[at];
                if output == 0 {
                    return false;
                }
                self.send_to(frame, output, ask_devices);
                at += 1;
            }
            sent += OUTPUTS_IN_BLOCK;
        }
        true
    }

    /// Sends the copy that the frame is ready for, and makes it ready for `output`.
    #[inline(always)]
    fn send_to(&mut self, frame: &SkbFrame, output: u32, ask_devices: bool) {
        if output as usize == self.ifindex {
            return;
        }
        // What `igmp_tc_more` does is unusual.
        let port = if ask_devices {
            far_port(output)
        } else {
            port(output)
        };
        let Some(port) = port else {
            return;
        };
        if self.ttl <= usize::from(port.ttl_threshold) {
            count_drop(port.slot, |drops| {
                if port.flags & PORT_GATE_CLOSED == 0 {
                    &mut drops.ttl_threshold
                } else {
                    &mut drops.gate_closed
                }
            });
            return;
        }
        if ask_devices {
            match check_mtu(frame, port.device, self.total_len as u32) {
                0 => {}
                1.. => return count_drop(port.slot, |drops| &mut drops.mtu_exceeded),
                _ => return count_drop(port.slot, |drops| &mut drops.not_sent),
            }
        }
        self.send_clone(frame);
        if frame.address_from(port) {
            self.ready = output as usize;
            self.device = port.device as usize;
        } else {
            self.ready = 0;
            count_drop(port.slot, |drops| &mut drops.not_sent);
        }
    }

    /// Sends the copy that the frame is ready for.
    #[inline(always)]
    fn send_clone(&self, frame: &SkbFrame) {
        if self.ready == 0 {
            return;
        }
        // SAFETY: the context is the kernel's.
        let result = unsafe { bpf_clone_redirect(frame.skb(), self.device as u32, 0) };
        if result < 0
            && let Some(port) = far_port(self.ready as u32)
        {
            count_drop(port.slot, |drops| &mut drops.not_sent);
        }
    }

    /// The last copy, and what becomes of the frame.
    #[inline(always)]
    fn end(&self, frame: &SkbFrame) -> i32 {
        if self.flags & FLOW_LOCAL as usize != 0 {
            self.send_clone(frame);
            // Sockets of this host see what came in, or nothing.
            let is_restored = frame.restore(&self.before);
            return if is_restored { NEXT } else { TC_ACT_SHOT };
        }
        if self.ready == 0 {
            // As an XDP redirect without any output: there is nothing in it for the kernel.
            return TC_ACT_SHOT;
        }
        // SAFETY: the helper has no preconditions. The last copy is the frame itself.
        unsafe { bpf_redirect(self.device as u32, 0) as i32 }
    }
}

/// A block of the outputs of `set`.
#[inline(always)]
fn outputs(set: u32, block: u32) -> Option<&'static OutputsBlock> {
    // SAFETY: userspace changes a set only when no packet can see it any more.
    unsafe { OUTPUTS.get(OutputsKey { set, block }) }
}

/// Whether a packet fits through `device`: 0 = yes, above 0 = no, below 0 = there is no such device.
#[inline(always)]
fn check_mtu(frame: &SkbFrame, device: u32, total_len: u32) -> i64 {
    // With a length the packet is checked; without, and then with the flag, each of its segments.
    let (mut len, flags) = if frame.is_segmented_later() {
        (0, BPF_MTU_CHK_SEGS)
    } else {
        (total_len, 0)
    };
    // SAFETY: the context is the kernel's; `len` is a variable of ours.
    unsafe { bpf_check_mtu(frame.skb().cast(), device, &raw mut len, 0, flags.into()) }
}

#[inline(always)]
fn count_drop(slot: u32, reason: impl FnOnce(&mut OutputDrops) -> &mut u64) {
    if let Some(drops) = OUTPUT_DROPS.get_ptr_mut(slot) {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe { *reason(&mut *drops) += 1 }
    }
}
