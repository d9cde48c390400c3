//! The straight path of a frame, the same in every hook: parse, look up the flow, check where it came from.

use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_coarse_ns};
use aya_ebpf::maps::lpm_trie::Key;
use igmp_common::Counter;
use igmp_common::flow_table::{
    self, Bucket, BucketStats, FlowBucket, FlowEntry, FlowKey, FlowStats, Spread,
};
use igmp_common::frame::{Frame, Multicast};
use igmp_common::maps::{
    AcceptedSource, Control, GROUP_SERVED, NO_SET, PORT_CLOSED, PORT_FILTERS_GROUPS, PORT_UPSTREAM,
    Port, SOURCE_ACCEPTED, SOURCE_ANYWHERE, SOURCE_MARTIAN, SourceKey, TOWARDS_UPSTREAM, UNTAGGED,
    VlanKey,
};

use crate::maps::{
    ACCEPTED, CONTROL, FLOW_HOMES, FLOW_SEED, FLOW_STATS, FLOWS, GROUPS, SOURCES, VLANS,
};
use crate::packet::Packet;
use crate::{igmp, refusals};

/// Where a packet that may be forwarded goes.
pub struct Route {
    /// The packet.
    pub packet: Multicast,
    /// Its replication set.
    pub set: u32,
    /// `FLOW_*`.
    pub flags: u32,
    /// The counter it bumps once it is on its way.
    pub counter: Counter,
    /// What this CPU has counted on its flow.
    stats: Option<*mut FlowStats>,
}

impl Route {
    /// Counts the packet on its flow.
    #[inline(always)]
    pub fn count(&self) {
        if let Some(stats) = self.stats {
            // SAFETY: a value in this CPU's row, which only these programs on this CPU write.
            unsafe {
                (*stats).packets += 1;
                (*stats).bytes += self.packet.total_len as u64;
            }
        }
    }
}

/// The port that `frame`, which came in on `device`, is of: that of its VLAN, otherwise the device's own.
#[inline(always)]
pub fn port_of(frame: &impl Packet, device: u32) -> u32 {
    let tag = frame.tag();
    if tag == UNTAGGED {
        return device;
    }
    // SAFETY: userspace removes a VLAN before the number of its port can be another one's.
    let port = unsafe { VLANS.get(VlanKey { device, tag }) };
    port.copied().unwrap_or(device)
}

/// Decides what happens to `frame`, which came in on `port`; `Err` = it is not forwarded, and why. Only the program that
/// `is_first` to see the frames of the port tells userspace of them.
#[inline(always)]
pub fn classify(
    frame: &impl Packet,
    ifindex: u32,
    port: &Port,
    is_first: bool,
) -> Result<Route, Counter> {
    match frame.parse(port)? {
        Frame::Multicast(packet) => route(ifindex, port, packet, is_first),
        Frame::Igmp if is_first => Err(igmp::to_userspace(frame, ifindex, port)),
        Frame::Igmp => Err(Counter::IgmpToUserspace),
    }
}

#[inline(always)]
fn route(ifindex: u32, port: &Port, packet: Multicast, is_first: bool) -> Result<Route, Counter> {
    // One test for ports that nothing is said about.
    if port.flags & (PORT_CLOSED | PORT_FILTERS_GROUPS) != 0 {
        check_port(ifindex, port, packet.group)?;
    }
    let is_from_upstream = port.flags & PORT_UPSTREAM != 0;
    let control = CONTROL.get(0).ok_or(Counter::PassNoFlow)?;
    check_alive(control)?;
    let flow = flow(control, &packet);
    let (set, flags, counter) = match flow {
        Some((_, flow)) if is_from_upstream => (
            flow.set_from_upstream.into(),
            flow.flags,
            Counter::Forwarded,
        ),
        Some((_, flow)) => (
            flow.set_from_downstream.into(),
            flow.flags,
            Counter::Forwarded,
        ),
        None if is_from_upstream => return Err(Counter::PassNoFlow),
        None => (
            set_without_flow(control, packet.group)?,
            control.flags_without_flow,
            Counter::ForwardedToUpstream,
        ),
    };
    if let Err(reason) = check_source(control, ifindex, packet.source) {
        if is_first && !matches!(reason, Counter::PassSourceMartian) {
            refusals::tell(ifindex, port, &packet, reason);
        }
        return Err(reason);
    }
    if set == NO_SET {
        return Err(Counter::PassNoOutput);
    }
    Ok(Route {
        packet,
        set,
        flags,
        counter,
        stats: flow.map(|(stats, _)| stats),
    })
}

/// Whether igmpd lives, or has not been gone for too long: nobody takes back what a dead one left.
#[inline(always)]
fn check_alive(control: &Control) -> Result<(), Counter> {
    if control.alive_until_ns == 0 {
        return Ok(());
    }
    // SAFETY: the helper has no preconditions. Coarse, because it costs a load and not a read of the hardware's clock.
    if unsafe { bpf_ktime_get_coarse_ns() } <= control.alive_until_ns {
        return Ok(());
    }
    Err(Counter::PassExpired)
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

/// The most specific flow, (S,G) or else (*,G), and what this CPU has counted on it.
#[inline(always)]
fn flow(control: &Control, packet: &Multicast) -> Option<(*mut FlowStats, FlowEntry)> {
    let group = packet.group;
    if control.source_specific_flows != 0 {
        let source = packet.source;
        let flow = look_up(FlowKey { source, group });
        if flow.is_some() {
            return flow;
        }
    }
    let source = [0; 4];
    look_up(FlowKey { source, group })
}

#[inline(always)]
fn look_up(key: FlowKey) -> Option<(*mut FlowStats, FlowEntry)> {
    let spread = Spread {
        homes: FLOW_HOMES.load(),
        seed: FLOW_SEED.load(),
    };
    // SAFETY: the helper has no preconditions.
    let row = unsafe { bpf_get_smp_processor_id() } * flow_table::buckets(spread.homes);
    let bucket = |number| BucketInMap::new(row, number);
    let (bucket, slot, entry) = flow_table::look_up(spread, key.to_word(), bucket)?;
    // SAFETY: the slots of a bucket are as many as [`Bucket`] says.
    let stats = unsafe { bucket.stats.cast::<FlowStats>().add(slot as usize) };
    Some((stats, entry))
}

/// A bucket that userspace may be changing, and what this CPU has counted on its slots.
struct BucketInMap {
    flows: *const FlowBucket,
    stats: *mut BucketStats,
}

impl BucketInMap {
    /// The bucket with a number; the counts of this CPU begin with `row`.
    #[inline(always)]
    fn new(row: u32, number: u32) -> Option<Self> {
        let stats = FLOW_STATS.get_ptr_mut(row + number)?;
        // With many flows neither line is in the caches: so both are fetched at once.
        // SAFETY: a live value, which begins with a word.
        unsafe { stats.cast::<u64>().read_volatile() };
        let flows = FLOWS.get_ptr(number)?;
        Some(Self { flows, stats })
    }
}

impl Bucket for BucketInMap {
    #[inline(always)]
    fn key(&self, slot: u32) -> u64 {
        // SAFETY: the bucket is a map's, which stays; its slots are as many as [`Bucket`] says.
        unsafe {
            let keys: *const u64 = (&raw const (*self.flows).keys).cast();
            keys.add(slot as usize).read_volatile()
        }
    }

    #[inline(always)]
    fn entry(&self, slot: u32) -> u64 {
        // SAFETY: as above.
        unsafe {
            let entries: *const u64 = (&raw const (*self.flows).entries).cast();
            entries.add(slot as usize).read_volatile()
        }
    }
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

/// The incoming-interface rule: may `source` send through this interface? Why not is asked only of those that may not.
///
/// A longest-prefix match is the most expensive step of the path, and a stream's source stays the same: those that were
/// accepted are remembered.
#[inline(always)]
fn check_source(control: &Control, ifindex: u32, source: [u8; 4]) -> Result<(), Counter> {
    let this = AcceptedSource {
        ifindex,
        source,
        // SAFETY: a field of a live value; volatile, because it must be read before the prefixes are.
        generation: unsafe { (&raw const control.sources_generation).read_volatile() },
    };
    let remembered = ACCEPTED.get_ptr_mut(this.slot());
    // SAFETY: a per-CPU value that only these programs on this CPU use, one at a time.
    if remembered.is_some_and(|remembered| unsafe { *remembered } == this) {
        return Ok(());
    }
    let class = source_class(ifindex, source);
    match class.or_else(|| source_class(SOURCE_ANYWHERE, source)) {
        Some(&SOURCE_ACCEPTED) => {
            if let Some(remembered) = remembered {
                // SAFETY: as above.
                unsafe { *remembered = this }
            }
            Ok(())
        }
        Some(&SOURCE_MARTIAN) => Err(Counter::PassSourceMartian),
        Some(_) => Err(Counter::PassWrongInterface),
        None => Err(Counter::PassSourceUnknown),
    }
}

/// The longest prefix of an interface that contains `source`.
#[inline(always)]
fn source_class(ifindex: u32, source: [u8; 4]) -> Option<&'static u32> {
    let key = Key::new(SourceKey::prefix_len(32), SourceKey::new(ifindex, source));
    SOURCES.get(&key)
}
