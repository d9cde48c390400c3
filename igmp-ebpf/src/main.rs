//! The programs on incoming interfaces: they decide each frame's fate. `igmp_ingress` runs in XDP, `igmp_tc` in TC.
//!
//! `ingress` is the straight path of both: it classifies, over what `packet` says a hook must offer and `xdp` and `skb`
//! do. `igmp` copies IGMP to userspace, `refusals` tells it of sources. XDP replicates by one redirect, `tc` copy by copy.
//! `maps` holds every map, `program` what every kernel program must carry. Here are only the entry points: one verdict,
//! one counter, one action.

#![no_std]
#![no_main]
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "the program macros drop the documentation of what it is on, and want the context by value"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "lengths within a frame, which are below a page"
)]

mod igmp;
mod ingress;
mod maps;
mod packet;
mod program;
mod refusals;
mod skb;
mod tc;
mod xdp;

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::bindings::{BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS, xdp_md};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::debug;
use igmp_common::Counter;
use igmp_common::maps::{
    FLOW_MTU_SHIFT, FLOW_TC, PORT_LOCAL_SENDERS, PORT_REPLICATES_IN_TC, PORT_TC, PORT_UPSTREAM,
    Port, SoleOutput,
};
use igmp_common::udp::has_unfinished_checksum;

use crate::ingress::{Route, classify, port_of};
use crate::maps::{DEVICES, SETS, SOLE_OUTPUTS, count, far_port, port};
use crate::packet::Packet;
use crate::skb::SkbFrame;
use crate::tc::Leg;
use crate::xdp::{UsualFrame, XdpFrame, rewrite};

/// Entry point in XDP. What is usual has a copy of the path to itself, from which LLVM has removed what it cannot need.
#[xdp]
pub fn igmp_ingress(ctx: XdpContext) -> u32 {
    match UsualFrame::new(&ctx) {
        Some(frame) => handle(&ctx, &frame, port),
        None => handle_unusual(ctx.ctx),
    }
}

#[inline(never)]
fn handle_unusual(ctx: *mut xdp_md) -> u32 {
    let ctx = XdpContext::new(ctx);
    handle(&ctx, &XdpFrame::new(&ctx), far_port)
}

/// Decides and does what becomes of a frame in XDP. A port without a `PORTS` entry is being set up or taken down: its frames
/// belong to the kernel.
#[inline(always)]
fn handle(
    ctx: &XdpContext,
    frame: &impl Packet,
    port: impl Fn(u32) -> Option<&'static Port>,
) -> u32 {
    let ifindex = port_of(frame, xdp::ingress_ifindex(ctx));
    let Some(port) = port(ifindex) else {
        return XDP_PASS;
    };
    if port.flags & PORT_TC != 0 {
        return XDP_PASS;
    }
    let sent = classify(frame, ifindex, port, true)
        .and_then(|route| Ok((redirect(ctx, frame, port, &route)?, route.counter)));
    let (action, counter) = sent.unwrap_or_else(|reason| (XDP_PASS, reason));
    count(port.slot, counter);
    debug!(
        ctx,
        "port {}: reason {} action {}", ifindex, counter as u32, action
    );
    action
}

/// Hands the packet of `route` to its replication set; `Err` = it is left to the kernel or to TC, and why.
#[inline(always)]
fn redirect(
    ctx: &XdpContext,
    frame: &impl Packet,
    port: &Port,
    route: &Route,
) -> Result<u32, Counter> {
    if is_replicated_in_tc(frame, port, route) {
        return Err(Counter::PassToTc);
    }
    if let Some(output) = sole_output(port, route) {
        return rewrite(ctx, &route.packet, Some(output.mac)).map(|()| {
            route.count();
            // What its device would not take any more is lost, as from a set.
            let action = DEVICES.redirect(output.slot.into(), 0);
            action.unwrap_or(XDP_DROP)
        });
    }
    let set = SETS.get(route.set).ok_or(Counter::PassNoOutput)?;
    rewrite(ctx, &route.packet, None)?;
    route.count();
    let mut flags = BPF_F_BROADCAST;
    // The flag is about devices. What comes from the upstream never goes there, and may go to other ports of its device.
    if port.flags & PORT_UPSTREAM == 0 {
        flags |= BPF_F_EXCLUDE_INGRESS;
    }
    // A broadcast ignores the key (kernel 5.14, e624d4ed4aa8).
    set.redirect(0, flags.into())
        .map_err(|_| Counter::PassNoOutput)
}

/// The output of a set that has no other, if it needs no more than its address in the frame; most sets of most gateways are
/// such. It spares the packet the way through the set, and the egress program.
#[inline(always)]
fn sole_output(port: &Port, route: &Route) -> Option<&'static SoleOutput> {
    let output = SOLE_OUTPUTS.get(route.set)?;
    // What would go back where it came from is the set's business.
    let is_one = output.slot != 0 && u32::from(output.slot) != port.slot;
    is_one.then_some(output)
}

/// Whether the packet is left to TC.
#[inline(always)]
fn is_replicated_in_tc(frame: &impl Packet, port: &Port, route: &Route) -> bool {
    const FLAGS: u32 = PORT_REPLICATES_IN_TC | PORT_LOCAL_SENDERS;
    route.flags & FLOW_TC != 0
        || route.packet.total_len > (route.flags >> FLOW_MTU_SHIFT) as usize
        || (port.flags & FLAGS != 0
            && (port.flags & PORT_REPLICATES_IN_TC != 0
                || has_unfinished_checksum(frame, &route.packet)))
}

/// Entry point in TC. Where XDP has been before it ([`PORT_TC`] is not set) it replicates whatever XDP let pass and counts no
/// frame a second time. It does not ask why: a flow may have changed since XDP looked, and what XDP replicates never comes
/// here.
#[classifier]
pub fn igmp_tc(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(ctx.skb.skb);
    let ifindex = port_of(&frame, frame.device());
    let Some(port) = port(ifindex) else {
        return tc::NEXT;
    };
    let is_first = port.flags & PORT_TC != 0;
    let note = |counter| {
        if is_first {
            count(port.slot, counter);
            debug!(&ctx, "port {}: reason {} in TC", ifindex, counter as u32);
        }
    };
    // Each way by itself: where they meet LLVM reads of a leg what is not there, which kernels before 6.3 refuse.
    let leg = classify(&frame, ifindex, port, is_first).and_then(|route| {
        let leg = Leg::first(&frame, ifindex, &route)?;
        route.count();
        Ok((leg, route.counter))
    });
    match leg {
        Ok((leg, counter)) => {
            note(counter);
            leg.run(&ctx, &frame, false)
        }
        Err(reason) => {
            note(reason);
            tc::NEXT
        }
    }
}

/// Entry point for the packets and the outputs that [`igmp_tc`] has left.
#[classifier]
pub fn igmp_tc_more(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(ctx.skb.skb);
    Leg::next().map_or(tc::NEXT, |leg| leg.run(&ctx, &frame, true))
}
