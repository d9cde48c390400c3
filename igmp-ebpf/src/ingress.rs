//! The straight path of a frame: parse, look up the flow, check where it came from, rewrite, replicate.

use aya_ebpf::bindings::{BPF_F_BROADCAST, BPF_F_EXCLUDE_INGRESS};
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::programs::XdpContext;
use igmp_common::Counter;
use igmp_common::frame::{self, Multicast};
use igmp_common::maps::{
    Control, FlowEntry, FlowKey, GROUP_SERVED, NO_SET, PORT_CLOSED, PORT_FILTERS_GROUPS,
    PORT_UPSTREAM, Port, SOURCE_ACCEPTED, SOURCE_MARTIAN, SourceKey, TOWARDS_UPSTREAM,
};

use crate::maps::{CONTROL, FLOW_STATS, FLOWS, GROUPS, SETS, SOURCES};
use crate::packet::{self, Frame};
use crate::{Verdict, igmp, refusals};

/// Decides what happens to the frame of `ctx`, which came in on `port`.
#[inline(always)]
pub fn classify(ctx: &XdpContext, ifindex: u32, port: &Port) -> Verdict {
    match frame::parse(&Frame(ctx), port.mac) {
        Ok(frame::Frame::Multicast(packet)) => {
            forward(ctx, ifindex, port, &packet).unwrap_or_else(Verdict::pass)
        }
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
) -> Result<Verdict, Counter> {
    // One test for ports that nothing is said about.
    if port.flags & (PORT_CLOSED | PORT_FILTERS_GROUPS) != 0 {
        check_port(ifindex, port, packet.group)?;
    }
    let is_from_upstream = port.flags & PORT_UPSTREAM != 0;
    let control = CONTROL.get(0).ok_or(Counter::PassNoFlow)?;
    let flow = flow(control, packet);
    let (set, counter) = match flow {
        Some(flow) if is_from_upstream => (flow.set_from_upstream, Counter::Forwarded),
        Some(flow) => (flow.set_from_downstream, Counter::Forwarded),
        None if is_from_upstream => return Err(Counter::PassNoFlow),
        None => (
            set_without_flow(control, packet.group)?,
            Counter::ForwardedToUpstream,
        ),
    };
    if let Err(reason) = check_source(ifindex, packet.source) {
        if !matches!(reason, Counter::PassSourceMartian) {
            refusals::tell(ifindex, port, packet, reason);
        }
        return Err(reason);
    }
    if set == NO_SET {
        return Err(Counter::PassNoOutput);
    }
    let set = SETS.get(set).ok_or(Counter::PassNoOutput)?;
    if !packet::rewrite(ctx, packet) {
        return Err(Counter::PassRewriteFailed);
    }
    if let Some(flow) = flow
        && let Some(stats) = FLOW_STATS.get_ptr_mut(flow.stats)
    {
        // SAFETY: a per-CPU value that only this program on this CPU writes.
        unsafe {
            (*stats).packets += 1;
            (*stats).bytes += packet.total_len as u64;
        }
    }
    // A broadcast ignores the key (kernel 5.14, e624d4ed4aa8).
    let flags = u64::from(BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
    let action = set.redirect(0, flags).map_err(|_| Counter::PassNoOutput)?;
    Ok(Verdict { counter, action })
}

/// What `port` says of all data, or of data to `group`, that comes in there.
#[inline(always)]
fn check_port(ifindex: u32, port: &Port, group: [u8; 4]) -> Result<(), Counter> {
    if port.flags & PORT_CLOSED != 0 {
        return Err(Counter::PassClosed);
    }
    check_group(ifindex, group)
}

/// Whether `group` is served under `ifindex`. Filters name every group, so that what is missing is not written yet.
#[inline(always)]
fn check_group(ifindex: u32, group: [u8; 4]) -> Result<(), Counter> {
    let key = Key::new(SourceKey::prefix_len(32), SourceKey::new(ifindex, group));
    match GROUPS.get(&key) {
        Some(&GROUP_SERVED) => Ok(()),
        _ => Err(Counter::PassGroupFilter),
    }
}

/// The most specific flow: (S,G), then (*,G).
#[inline(always)]
fn flow(control: &Control, packet: &Multicast) -> Option<&'static FlowEntry> {
    let group = packet.group;
    if control.source_specific_flows != 0 {
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

/// Where packets from downstream go that nobody else wants: to the upstream nevertheless, because a proxy cannot know who
/// wants them there (RFC 4605 section 4.2).
#[inline(always)]
fn set_without_flow(control: &Control, group: [u8; 4]) -> Result<u32, Counter> {
    if control.set_without_flow == NO_SET {
        return Err(Counter::PassNoFlow);
    }
    if control.filters_towards_upstream != 0 {
        check_group(TOWARDS_UPSTREAM, group)?;
    }
    Ok(control.set_without_flow)
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
