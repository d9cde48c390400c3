//! The straight path of a frame: parse, look up the flow, check where it came from, rewrite, replicate.

use aya_ebpf::bindings::{BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::programs::XdpContext;
use igmp_common::Counter;
use igmp_common::frame::{self, Multicast};
use igmp_common::maps::{
    FlowEntry, FlowKey, NO_SET, PORT_UPSTREAM, Port, SOURCE_ACCEPTED, SOURCE_MARTIAN, SourceKey,
};

use crate::maps::{CONTROL, FLOW_STATS, FLOWS, SETS, SOURCES};
use crate::packet::{self, Frame};
use crate::{Verdict, igmp};

/// Decides what happens to the frame of `ctx`, which came in on `port`.
#[inline(always)]
pub fn classify(ctx: &XdpContext, ifindex: u32, port: &Port) -> Verdict {
    match frame::parse(&Frame(ctx), port.mac) {
        Ok(frame::Frame::Multicast(packet)) => match forward(ctx, ifindex, port, &packet) {
            Ok(action) => Verdict {
                counter: Counter::Forwarded,
                action,
            },
            Err(reason) => Verdict::pass(reason),
        },
        Ok(frame::Frame::Igmp) => Verdict::pass(igmp::to_userspace(ctx, ifindex, port)),
        Err(reason) => Verdict::pass(reason),
    }
}

/// Replicates `packet`; `Err` = not forwarded, and why.
#[inline(always)]
fn forward(
    ctx: &XdpContext,
    ifindex: u32,
    port: &Port,
    packet: &Multicast,
) -> Result<u32, Counter> {
    let flow = flow(packet).ok_or(Counter::PassNoFlow)?;
    check_source(ifindex, packet.source)?;
    let set = if port.flags & PORT_UPSTREAM != 0 {
        flow.set_from_upstream
    } else {
        flow.set_from_downstream
    };
    if set == NO_SET {
        return Err(Counter::PassNoOutput);
    }
    let set = SETS.get(set).ok_or(Counter::PassNoOutput)?;
    if !packet::rewrite(ctx, packet) {
        return Err(Counter::PassRewriteFailed);
    }
    if let Some(stats) = FLOW_STATS.get_ptr_mut(flow.stats) {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe {
            (*stats).packets += 1;
            (*stats).bytes += packet.total_len as u64;
        }
    }
    // A broadcast ignores the key (kernel 5.14, e624d4ed4aa8).
    let flags = u64::from(BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
    set.redirect(0, flags).map_err(|_| Counter::PassNoOutput)
}

/// The most specific flow: (S,G), then (*,G).
#[inline(always)]
fn flow(packet: &Multicast) -> Option<&'static FlowEntry> {
    let group = packet.group;
    if CONTROL.get(0)?.source_specific_flows != 0 {
        let key = FlowKey {
            source: packet.source,
            group,
        };
        // SAFETY: the entry may be reused while we read it; every value it can hold is a valid one, and userspace
        // frees set and statistics index only after a grace period.
        if let Some(flow) = unsafe { FLOWS.get(key) } {
            return Some(flow);
        }
    }
    let key = FlowKey {
        source: [0; 4],
        group,
    };
    // SAFETY: as above.
    unsafe { FLOWS.get(key) }
}

/// The incoming-interface rule: may `source` send through this interface?
#[inline(always)]
fn check_source(ifindex: u32, source: [u8; 4]) -> Result<(), Counter> {
    let key = Key::new(SourceKey::prefix_len(32), SourceKey::new(ifindex, source));
    match SOURCES.get(&key) {
        Some(&SOURCE_ACCEPTED) => Ok(()),
        Some(&SOURCE_MARTIAN) => Err(Counter::PassSourceMartian),
        Some(_) => Err(Counter::PassWrongInterface),
        None => Err(Counter::PassSourceUnknown),
    }
}
