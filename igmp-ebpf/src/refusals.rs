//! Refused sources to userspace, which names the `alt_subnets` line that would accept them.
//!
//! A source is told once a minute, and an interface tells only a few sources a second: whoever makes up source addresses
//! makes us look at one word a packet, not write to a hash or wake userspace. What is not told is still counted.

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use igmp_common::Counter;
use igmp_common::frame::Multicast;
use igmp_common::maps::{Port, REFUSAL_INTERVAL_NS, REFUSAL_RATE, Refusal, SourceKey};

use crate::maps::{REFUSAL_POLICERS, REFUSALS, TOLD};

/// Tells userspace that `packet` was refused for the reason `counter`, unless that is no news or too much of it.
#[inline(always)]
pub fn tell(ifindex: u32, port: &Port, packet: &Multicast, counter: Counter) {
    let Some(bucket) = REFUSAL_POLICERS.get_ptr_mut(port.slot) else {
        return;
    };
    // SAFETY: the helper has no preconditions. Its clock stands still for a tick, which matters to no limit here.
    let now_ns = unsafe { bpf_ktime_get_coarse_ns() };
    // SAFETY: the value is an aligned u64 that lives as long as the map; volatile, because other CPUs write it too.
    let tat_ns = unsafe { bucket.read_volatile() };
    // The token is taken only when there is something to tell: one stream must not use up the others' tokens.
    let Some(tat_ns) = REFUSAL_RATE.admit(tat_ns, now_ns) else {
        return;
    };
    if !claim(SourceKey::new(ifindex, packet.source), now_ns) {
        return;
    }
    // SAFETY: as above.
    unsafe { bucket.write_volatile(tat_ns) };
    let refusal = Refusal {
        ifindex,
        counter: counter as u32,
        source: packet.source,
        group: packet.group,
    };
    // A full ring means that userspace is not reading; the counter still says that there is something.
    let _ = REFUSALS.output::<Refusal>(&refusal, 0);
}

/// Whether it is this packet that tells of `source`. Of a new source's packets on several CPUs at once only one does;
/// after a minute two might.
#[inline(always)]
fn claim(source: SourceKey, now_ns: u64) -> bool {
    // SAFETY: the value may be reused for another source while we read it; we would tell a source too often or too late.
    let flags = match unsafe { TOLD.get(source) } {
        // A clock of another CPU may be a tick ahead.
        Some(told_ns) if now_ns.saturating_sub(*told_ns) < REFUSAL_INTERVAL_NS => return false,
        Some(_) => BPF_ANY,
        None => BPF_NOEXIST,
    };
    TOLD.insert(source, now_ns, u64::from(flags)).is_ok()
}
