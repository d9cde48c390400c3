//! IGMP to userspace: policed, then copied whole into the ring buffer. The frame itself goes on to the kernel, whose own
//! sockets, bridges and captures keep seeing it.

use core::slice;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::programs::XdpContext;
use igmp_common::Counter;
use igmp_common::maps::{MAX_FRAME, Port, RecordHeader};

use crate::maps::{EVENTS, POLICERS, RECORD};
use crate::packet::opaque;

/// Copies the frame of `ctx` to userspace; the counter says how that went.
#[inline(always)]
pub fn to_userspace(ctx: &XdpContext, ifindex: u32, port: &Port) -> Counter {
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
    let frame_len = copy_frame(ctx, &mut record.frame);
    record.header = RecordHeader {
        arrival_ns: now_ns,
        ifindex,
        frame_len: frame_len as u32,
    };
    let len = size_of::<RecordHeader>() + frame_len;
    // SAFETY: `copy_frame` returns at most MAX_FRAME, so `len` bytes lie inside the record.
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

/// Copies the frame word by word, the last word overlapping the one before, and returns its length; a frame that does not
/// fit is cut off, which userspace notices by its IPv4 total length. A plain loop, because `bpf_xdp_load_bytes` came only
/// with kernel 5.18 (3f364222d032).
#[inline(always)]
fn copy_frame(ctx: &XdpContext, to: &mut [u8; MAX_FRAME]) -> usize {
    const WORD: usize = size_of::<u64>();
    let (data, data_end) = (ctx.data(), ctx.data_end());
    let len = (data_end - data).clamp(WORD, MAX_FRAME);
    let to = to.as_mut_ptr();
    let copy_word = |at: usize| {
        let in_frame = data + at + WORD <= data_end;
        if in_frame {
            // SAFETY: the word lies before `data_end`, and callers keep `at` a word below the end of `to`.
            unsafe {
                let word = ((data + at) as *const u64).read_unaligned();
                to.add(at).cast::<u64>().write_unaligned(word);
            }
        }
        in_frame
    };
    let mut at = 0;
    while at <= MAX_FRAME - WORD && copy_word(at) {
        at += WORD;
    }
    copy_word(opaque(len - WORD));
    len
}
