//! IGMP to userspace: policed, then copied whole into the ring buffer. The frame itself goes on to the kernel, whose own
//! sockets, bridges and captures keep seeing it.

use core::slice;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use igmp_common::Counter;
use igmp_common::maps::{Port, RecordHeader};

use crate::maps::{EVENTS, POLICERS, RECORD};
use crate::packet::Packet;

/// Copies `frame` to userspace; the counter says how that went.
#[inline(always)]
pub fn to_userspace(frame: &impl Packet, ifindex: u32, port: &Port) -> Counter {
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if !admit(port, now_ns) {
        return Counter::IgmpPoliced;
    }
    let Some(record) = RECORD.get_ptr_mut(0) else {
        return Counter::IgmpRingFull;
    };
    // SAFETY: a per-CPU value that only this program on this CPU uses, and it is not preempted by itself.
    let record = unsafe { &mut *record };
    let frame_len = frame.copy_to(port, &mut record.frame);
    record.header = RecordHeader {
        arrival_ns: now_ns,
        ifindex,
        frame_len: frame_len as u32,
    };
    let len = size_of::<RecordHeader>() + frame_len;
    // SAFETY: `copy_to` returns at most MAX_FRAME, so `len` bytes lie inside the record.
    let bytes = unsafe { slice::from_raw_parts(core::ptr::from_ref(record).cast::<u8>(), len) };
    match EVENTS.output::<[u8]>(bytes, 0) {
        Ok(()) => Counter::IgmpToUserspace,
        Err(_) => Counter::IgmpRingFull,
    }
}

/// Takes one token of the port's bucket. Two CPUs at once may take one token for both: a policer may be a message late,
/// never a lock (and Rust has no atomics for the BPF target).
#[inline(always)]
fn admit(port: &Port, now_ns: u64) -> bool {
    let Some(bucket) = POLICERS.get_ptr_mut(port.slot) else {
        return true;
    };
    // SAFETY: the value is an aligned u64 that lives as long as the map; volatile, because other CPUs write it too.
    let tat_ns = unsafe { bucket.read_volatile() };
    let admitted = port.igmp_rate.admit(tat_ns, now_ns);
    if let Some(tat_ns) = admitted {
        // SAFETY: as above.
        unsafe { bucket.write_volatile(tat_ns) };
    }
    admitted.is_some()
}
