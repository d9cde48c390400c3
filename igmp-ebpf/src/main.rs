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

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::bindings::{BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_log_ebpf::debug;
use igmp_common::Counter;
use igmp_common::maps::{
    FLOW_MTU_SHIFT, FLOW_TC, PORT_LOCAL_SENDERS, PORT_REPLICATES_IN_TC, PORT_TC, PORT_UPSTREAM,
    Port,
};
use igmp_common::udp::has_unfinished_checksum;

use crate::ingress::{Route, classify, port_of};
use crate::maps::{PORTS, SETS, count};
use crate::packet::Packet;
use crate::skb::SkbFrame;
use crate::tc::Leg;
use crate::xdp::XdpFrame;

/// Entry point in XDP. A port without a `PORTS` entry is being set up or taken down: its frames belong to the kernel.
#[xdp]
pub fn igmp_ingress(ctx: XdpContext) -> u32 {
    let frame = XdpFrame::new(&ctx);
    let ifindex = port_of(&frame, xdp::ingress_ifindex(&ctx));
    // SAFETY: PORTS entries are replaced whole and never removed while their device has this program.
    let Some(port) = (unsafe { PORTS.get(ifindex) }) else {
        return XDP_PASS;
    };
    if port.flags & PORT_TC != 0 {
        return XDP_PASS;
    }
    let sent = classify(&frame, ifindex, port, true)
        .and_then(|route| Ok((redirect(&ctx, &frame, port, &route)?, route.counter)));
    let (action, counter) = sent.unwrap_or_else(|reason| (XDP_PASS, reason));
    count(port.slot, counter);
    debug!(
        &ctx,
        "port {}: reason {} action {}", ifindex, counter as u32, action
    );
    action
}

/// Hands the packet of `route` to its replication set; `Err` = it is left to the kernel or to TC, and why.
#[inline(always)]
fn redirect(
    ctx: &XdpContext,
    frame: &XdpFrame,
    port: &Port,
    route: &Route,
) -> Result<u32, Counter> {
    if is_replicated_in_tc(frame, port, route) {
        return Err(Counter::PassToTc);
    }
    let set = SETS.get(route.set).ok_or(Counter::PassNoOutput)?;
    if !xdp::rewrite(ctx, &route.packet) {
        return Err(Counter::PassRewriteFailed);
    }
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

/// Whether the packet is left to TC.
#[inline(always)]
fn is_replicated_in_tc(frame: &impl Packet, port: &Port, route: &Route) -> bool {
    const FLAGS: u32 = PORT_TC | PORT_REPLICATES_IN_TC | PORT_LOCAL_SENDERS;
    route.flags & FLOW_TC != 0
        || route.packet.total_len > (route.flags >> FLOW_MTU_SHIFT) as usize
        || (port.flags & FLAGS != 0
            && (port.flags & (PORT_TC | PORT_REPLICATES_IN_TC) != 0
                || has_unfinished_checksum(frame, &route.packet)))
}

/// Entry point in TC. Where XDP has been before it ([`PORT_TC`] is not set) it replicates whatever XDP let pass and counts no
/// frame a second time. It does not ask why: a flow may have changed since XDP looked, and what XDP replicates never comes
/// here.
#[classifier]
pub fn igmp_tc(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(ctx.skb.skb);
    let ifindex = port_of(&frame, frame.device());
    // SAFETY: PORTS entries are replaced whole and never removed while their device has this program.
    let Some(port) = (unsafe { PORTS.get(ifindex) }) else {
        return tc::NEXT;
    };
    let is_first = port.flags & PORT_TC != 0;
    let leg = classify(&frame, ifindex, port, is_first).and_then(|route| {
        let leg = Leg::first(&frame, ifindex, &route)?;
        route.count();
        Ok((leg, route.counter))
    });
    let counter = match &leg {
        Ok((_, counter)) | Err(counter) => *counter,
    };
    if is_first {
        count(port.slot, counter);
        debug!(&ctx, "port {}: reason {} in TC", ifindex, counter as u32);
    }
    match leg {
        Ok((leg, _)) => leg.run(&ctx, &frame),
        Err(_) => tc::NEXT,
    }
}

/// Entry point for the outputs that [`igmp_tc`] has left.
#[classifier]
pub fn igmp_tc_more(ctx: TcContext) -> i32 {
    let frame = SkbFrame::new(ctx.skb.skb);
    Leg::next().map_or(tc::NEXT, |leg| leg.run(&ctx, &frame))
}
