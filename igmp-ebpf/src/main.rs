//! The ingress program: runs on every port, decides each frame's fate.
//!
//! `ingress` classifies and forwards, `igmp` copies IGMP to userspace, `refusals` tells it of sources, `packet` holds all access to frame memory, `maps`
//! every map, `program` what every kernel program must carry. Here is only the entry point: one verdict, one counter,
//! one action.

#![no_std]
#![no_main]
#![allow(
    missing_docs,
    clippy::needless_pass_by_value,
    reason = "the #[xdp] macro drops the documentation of what it is on, and wants the context by value"
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

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::debug;
use igmp_common::Counter;

use crate::maps::{PORTS, count};

/// What happens to a frame: the counter that says why, and the XDP action.
struct Verdict {
    counter: Counter,
    action: u32,
}

impl Verdict {
    /// The frame goes on to the kernel.
    #[inline(always)]
    const fn pass(counter: Counter) -> Self {
        Self {
            counter,
            action: XDP_PASS,
        }
    }
}

/// Entry point. A device without a `PORTS` entry is being set up or taken down: its frames belong to the kernel.
#[xdp]
pub fn igmp_ingress(ctx: XdpContext) -> u32 {
    let ifindex = packet::ingress_ifindex(&ctx);
    // SAFETY: PORTS entries are replaced whole and never removed while their device has this program.
    let Some(port) = (unsafe { PORTS.get(ifindex) }) else {
        return XDP_PASS;
    };
    let Verdict { counter, action } = ingress::classify(&ctx, ifindex, port);
    count(port.slot, counter);
    debug!(
        &ctx,
        "port {}: reason {} action {}", ifindex, counter as u32, action
    );
    action
}
