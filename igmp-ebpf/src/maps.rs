//! Every map of the programs on incoming interfaces: who writes it, who reads it, why it has its size.

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::btf_maps::{ArrayOfMaps, DevMapHash};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{
    Array, DevMap, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf,
};
use igmp_common::Counter;
use igmp_common::flow_table::{BucketStats, FlowBucket};
use igmp_common::maps::{
    ACCEPTED_SOURCES, AcceptedSource, Control, MAX_GROUP_PREFIXES, MAX_OUTPUTS_BLOCKS, MAX_PORTS,
    MAX_SETS, MAX_SOURCE_PREFIXES, MAX_TOLD_SOURCES, OutputDrops, OutputsBlock, OutputsKey,
    PORT_ROWS, Port, PortRow, REFUSAL_RING_BYTES, RING_BYTES, Record, SoleOutput, SourceKey,
    VlanKey, port_row,
};

use crate::tc::Leg;

/// Index -> port. Written by userspace when a device is attached or its address changes; read once a frame, in TC
/// once a copy too.
#[map]
static PORTS: HashMap<u32, Port> = HashMap::with_max_entries(MAX_PORTS, 0);

/// The same for most ports in an array, whose look-up is inlined. Written by userspace with [`PORTS`].
#[map]
static NEAR_PORTS: Array<PortRow> = Array::with_max_entries(PORT_ROWS, 0);

/// The port with this index. Its row is rewritten while packets read it, but given to another port only when nothing comes
/// from or goes to the one before: the most that a packet can see is an address of which half is the former one.
#[inline(always)]
pub fn port(index: u32) -> Option<&'static Port> {
    let row = NEAR_PORTS.get(port_row(index))?;
    if row.index == index {
        return Some(&row.port);
    }
    far_port(index)
}

/// The same by the hash alone, for what is unusual: there the verifier has enough to follow without a second kind of value.
#[inline(always)]
pub fn far_port(index: u32) -> Option<&'static Port> {
    // SAFETY: the entries are replaced whole and never removed while their device has a program.
    unsafe { PORTS.get(index) }
}

/// {device, tag} -> index of [`PORTS`]: the VLANs that are ports of their own. Written by userspace when such a port comes
/// or goes; read once a tagged frame.
#[map]
pub static VLANS: HashMap<VlanKey, u32> = HashMap::with_max_entries(MAX_PORTS, 0);

/// Number -> bucket of the flow table (`igmp_common::flow_table`). Written by userspace, a word or two a change; read once a
/// multicast packet, or a little more, and as often again while (S,G) entries exist. Userspace writes it through memory that
/// it maps (kernel 5.5, fc9702273e2e); such a map begins with a page, which puts a bucket on a cache line.
#[map]
pub static FLOWS: Array<FlowBucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Packets and bytes: a row a CPU, in it bucket by bucket of [`FLOWS`]. Written here, read by userspace. No per-CPU array,
/// whose rows are reached by a pointer a value: with many flows that is one more cache miss a packet.
#[map]
pub static FLOW_STATS: Array<BucketStats> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// [`Spread::homes`](igmp_common::flow_table::Spread::homes) of [`FLOWS`]. Set when the programs are loaded.
#[unsafe(no_mangle)]
pub static FLOW_HOMES: Global<u32> = Global::new(1);

/// [`Spread::seed`](igmp_common::flow_table::Spread::seed) of [`FLOWS`]. Set when the programs are loaded.
#[unsafe(no_mangle)]
pub static FLOW_SEED: Global<u64> = Global::new(1);

/// {ifindex, source prefix} -> `SOURCE_*`: the incoming-interface rule. Written by userspace when addresses change.
#[map]
pub static SOURCES: LpmTrie<SourceKey, u32> = LpmTrie::with_max_entries(MAX_SOURCE_PREFIXES, 0);

/// What [`SOURCES`] has accepted lately, on this CPU. Written and read here only; [`Control::sources_generation`] ends what
/// no longer holds.
#[map]
pub static ACCEPTED: PerCpuArray<AcceptedSource> =
    PerCpuArray::with_max_entries(ACCEPTED_SOURCES, 0);

/// {ifindex, group prefix} -> `GROUP_*`: which groups are forwarded from an interface, and under `TOWARDS_UPSTREAM` which
/// are sent there without a flow. Written by userspace when the configuration changes; read only where there is a filter.
#[map]
pub static GROUPS: LpmTrie<SourceKey, u32> = LpmTrie::with_max_entries(MAX_GROUP_PREFIXES, 0);

/// Set id -> replication set, a devmap of output ifindexes. Slots are filled from a pool ahead of need, because writing
/// one waits for an RCU grace period. The template has one slot; installed sets have any power of two.
#[btf_map]
pub static SETS: ArrayOfMaps<DevMapHash<1>, { MAX_SETS as usize }> = ArrayOfMaps::new();

/// Set id -> its output, for sets of one that needs no egress program. Written by userspace with [`SETS`].
#[map]
pub static SOLE_OUTPUTS: Array<SoleOutput> = Array::with_max_entries(MAX_SETS, 0);

/// Port slot -> device, for [`SOLE_OUTPUTS`]. Written by userspace when a port comes.
#[map]
pub static DEVICES: DevMap = DevMap::with_max_entries(MAX_PORTS, 0);

/// The same sets as lists, for the TC program: {set id, number of block} -> some outputs. Written by userspace with
/// [`SETS`], for every set, so that a flow changes its path with its own entry alone. Not preallocated: sets are few.
#[map]
pub static OUTPUTS: HashMap<OutputsKey, OutputsBlock> =
    HashMap::with_max_entries(MAX_OUTPUTS_BLOCKS, BPF_F_NO_PREALLOC);

/// Slot of an output port -> copies that the TC program did not send there. Written there, read by userspace.
#[map]
pub static OUTPUT_DROPS: PerCpuArray<OutputDrops> = PerCpuArray::with_max_entries(MAX_PORTS, 0);

/// The program that goes on where `igmp_tc` stops, and where it stopped. Userspace writes the one before anything is
/// attached; the other is used within one frame's processing.
#[map]
pub static TC_MORE: ProgramArray = ProgramArray::with_max_entries(1, 0);
#[map]
pub static NEXT_LEG: PerCpuArray<Leg> = PerCpuArray::with_max_entries(1, 0);

/// Facts about the whole table, and where packets without a flow go. Written by userspace.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Port slot -> one 64-bit count a [`Counter`]. Written here, read by userspace.
#[map]
static COUNTERS: PerCpuArray<[u64; Counter::COUNT]> = PerCpuArray::with_max_entries(MAX_PORTS, 0);

/// Port slot -> the IGMP policer's bucket (see `igmp_common::police`). Written here only.
#[map]
pub static POLICERS: Array<u64> = Array::with_max_entries(MAX_PORTS, 0);

/// IGMP messages on their way to userspace. One ring for all CPUs: a membership state machine needs their order.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// Where a ring record is put together; too large for the stack. The programs run in softirq context, one at a time on a CPU.
#[map]
pub static RECORD: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

/// Refused sources on their way to userspace. A ring of its own, so that data can never crowd IGMP out of [`EVENTS`].
#[map]
pub static REFUSALS: RingBuf = RingBuf::with_byte_size(REFUSAL_RING_BYTES, 0);

/// {ifindex, source} -> when `REFUSALS` was last told of it, in nanoseconds. Written here only. The least recently told
/// one makes room.
#[map]
pub static TOLD: LruHashMap<SourceKey, u64> = LruHashMap::with_max_entries(MAX_TOLD_SOURCES, 0);

/// Port slot -> the bucket of what its interface may tell (see `igmp_common::police`). Written here only.
#[map]
pub static REFUSAL_POLICERS: Array<u64> = Array::with_max_entries(MAX_PORTS, 0);

/// Bumps `counter` of the port in `slot` on this CPU.
#[inline(always)]
pub fn count(slot: u32, counter: Counter) {
    if let Some(counts) = COUNTERS.get_ptr_mut(slot) {
        // SAFETY: a per-CPU value that only this program on this CPU writes, and the index is below its length.
        unsafe { (*counts)[counter as usize] += 1 }
    }
}
