//! Keys and values of the BPF maps. Writer and reader of each map are listed in `docs/datapath.md`.

#[cfg(doc)]
use crate::flow_table::{FlowBucket, FlowEntry};
use crate::police::Rate;

/// Ethernet address.
pub type Mac = [u8; 6];

/// Declares that a type is plain bytes without padding, of exactly this size.
macro_rules! assert_layout {
    ($type:ty, $size:expr) => {
        const _: () = assert!(size_of::<$type>() == $size);
        const _: () = assert!(align_of::<$type>() <= 8);
    };
}

/// [`FlowEntry::flags`]: the TC program replicates, wherever the packets come in.
pub const FLOW_TC: u32 = 1;
/// [`FlowEntry::flags`]: the packets go on to the kernel too, for sockets of this host. With [`FLOW_TC`] only.
pub const FLOW_LOCAL: u32 = 1 << 1;
/// Where the MTU in [`FlowEntry::flags`] begins.
pub const FLOW_MTU_SHIFT: u32 = 16;

/// Replication set 0 is never installed: a flow that names it has no outputs.
pub const NO_SET: u32 = 0;

/// Version of what the next igmpd reads when it takes over: [`FlowBucket`], [`OutputsKey`], [`OutputsBlock`], [`Control`]
/// and [`RecordHeader`]. Another one has to be given to any change of these after a release.
pub const LAYOUT_VERSION: u32 = 2;

/// Key of `OUTPUTS`: one of the blocks that list a replication set's outputs, for the TC program and for the next igmpd.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OutputsKey {
    /// The replication set.
    pub set: u32,
    /// Number of the block, from 0 without gaps.
    pub block: u32,
}
assert_layout!(OutputsKey, 8);

/// Value of `OUTPUTS`: ifindexes, ended by a zero or the end of the last block.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutputsBlock {
    /// Output interfaces.
    pub outputs: [u32; OUTPUTS_IN_BLOCK],
}
assert_layout!(OutputsBlock, 64);

/// Per-CPU value of `OUTPUT_DROPS`, by the output port's slot: copies that the TC program did not send there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OutputDrops {
    /// TTL not above the port's threshold.
    pub ttl_threshold: u64,
    /// Another gateway serves the hosts ([`PORT_GATE_CLOSED`]).
    pub gate_closed: u64,
    /// Larger than the device's MTU.
    pub mtu_exceeded: u64,
    /// The kernel refused: the device is down or gone, or there was no memory.
    pub not_sent: u64,
}
assert_layout!(OutputDrops, 32);

/// Value of `PORTS`: what the kernel programs need to know about an interface, as input and as output. Its key, the port's
/// index, is the ifindex of its device, also where frames are handled on the device below it; for a VLAN without a
/// device of its own it is a number that no device has. Wherever else a map or record names an interface, it is by this index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Port {
    /// IGMP policing on this port.
    pub igmp_rate: Rate,
    /// Index into `COUNTERS` and `POLICERS`.
    pub slot: u32,
    /// `PORT_*`, or zero.
    pub flags: u32,
    /// The device's own address: frames to other unicast addresses are not for us.
    pub mac: Mac,
    /// Copies leave through here when the packet's TTL was above this on arrival; 0 and 1 = all. For copies of the TC
    /// program: the egress program has its own.
    pub ttl_threshold: u8,
    /// Zero; keeps the layout free of padding.
    pub reserved: u8,
    /// Device that its frames come and go through. The port's own index, except for a VLAN. Copies to ports that share a
    /// device are the TC program's ([`FLOW_TC`]): the kernel gathers the frames that XDP redirects to a device, and
    /// passes all of them to the egress program of the first (`bq_enqueue`).
    pub device: u32,
    /// Its VLAN on that device, as [`vlan_tag`] makes it; [`UNTAGGED`] = none.
    pub tag: u32,
}
assert_layout!(Port, 40);

/// A row of `NEAR_PORTS`, for all ports whose indexes are the same modulo [`PORT_ROWS`]: one of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PortRow {
    /// The port; 0 = the row is free.
    pub index: u32,
    /// Zero; keeps the layout free of padding.
    pub reserved: u32,
    /// What `PORTS` says of it.
    pub port: Port,
}
assert_layout!(PortRow, 48);

/// Rows of `NEAR_PORTS`. Indexes mostly follow each other, so that hardly any two ports want the same.
pub const PORT_ROWS: u32 = 4 * MAX_PORTS;
const _: () = assert!(PORT_ROWS.is_power_of_two());

/// The row for the port with this index.
#[must_use]
#[inline(always)]
pub const fn port_row(index: u32) -> u32 {
    index & (PORT_ROWS - 1)
}

/// [`Port::tag`]: frames of this port have no tag, or a priority tag.
pub const UNTAGGED: u32 = 0;

/// Value of `SOLE_OUTPUTS`, by replication set: what a packet needs to leave through the only output of a set without asking
/// the set, if that output has nothing to say about it. One word, so that it is replaced at once.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SoleOutput {
    /// Its [`Port::slot`], which is its key in `DEVICES` too; 0 = the set has several outputs, or one that copies reach only
    /// by way of its egress program.
    pub slot: u16,
    /// The Ethernet source address of what leaves there.
    pub mac: Mac,
}
assert_layout!(SoleOutput, 8);
const _: () = assert!(MAX_PORTS <= u16::MAX as u32);

/// A VLAN on a device: the EtherType of its tag in the upper half, its identifier (1 to 4094) in the lower one.
#[must_use]
#[inline(always)]
pub const fn vlan_tag(ethertype: u16, vlan_id: u16) -> u32 {
    (ethertype as u32) << 16 | vlan_id as u32
}

/// Key of `VLANS`, whose values are indexes of `PORTS`: the VLANs that are ports of their own. Read for tagged frames only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct VlanKey {
    /// Device the frame came in on.
    pub device: u32,
    /// Its tag, as [`vlan_tag`] makes it.
    pub tag: u32,
}
assert_layout!(VlanKey, 8);

/// [`Port::flags`]: packets from here take `set_from_upstream`.
pub const PORT_UPSTREAM: u32 = 1;
/// [`Port::flags`]: nothing that comes in here is forwarded: another router is the querier of the link (RFC 4605 section
/// 4.2).
pub const PORT_CLOSED: u32 = 1 << 1;
/// [`Port::flags`]: `GROUPS` says which groups are forwarded from here.
pub const PORT_FILTERS_GROUPS: u32 = 1 << 2;
/// [`Port::flags`]: the TC program does everything that the XDP program does elsewhere, and an XDP program that may be
/// there too does nothing. Without it the TC program, if there is one, only replicates what XDP leaves to it.
pub const PORT_TC: u32 = 1 << 3;
/// [`Port::flags`]: the XDP program leaves replicating to the TC program, whatever the flow: XDP runs in generic mode.
pub const PORT_REPLICATES_IN_TC: u32 = 1 << 4;
/// [`Port::flags`]: packets come without a link-layer header (tun, ppp, wireguard). With [`PORT_TC`] only.
pub const PORT_NO_LINK_HEADER: u32 = 1 << 5;
/// [`Port::flags`]: senders may be on this very host, behind a veth, and leave UDP checksums to be filled in by a device
/// that never comes. Such packets are the TC program's, which has the kernel fill them in.
pub const PORT_LOCAL_SENDERS: u32 = 1 << 6;
/// [`Port::flags`]: no copy of the TC program leaves through here: another gateway serves the hosts. Looked at where the
/// TTL is too low, so that an open port does not pay for it: with [`TTL_OF_NOTHING`] only.
pub const PORT_GATE_CLOSED: u32 = 1 << 7;

/// [`Port::ttl_threshold`] that no packet passes.
pub const TTL_OF_NOTHING: u8 = u8::MAX;

/// Data part of a `SOURCES` key, a longest-prefix match of interface and source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SourceKey {
    /// Incoming interface, big endian so that all of it is matched before the source.
    pub ifindex: [u8; 4],
    /// IPv4 source.
    pub source: [u8; 4],
}
assert_layout!(SourceKey, 8);

impl SourceKey {
    /// The key of `source` arriving on `ifindex`.
    #[must_use]
    #[inline(always)]
    pub const fn new(ifindex: u32, source: [u8; 4]) -> Self {
        Self {
            ifindex: ifindex.to_be_bytes(),
            source,
        }
    }

    /// Bits of a key that name the interface and `prefix_len` bits of the source.
    #[must_use]
    #[inline(always)]
    pub const fn prefix_len(prefix_len: u8) -> u32 {
        32 + prefix_len as u32
    }
}

/// The interface of a `SOURCES` key that stands for all: asked when the prefixes of the incoming one do not contain the
/// source. It says why the source is refused, never that it is accepted.
pub const SOURCE_ANYWHERE: u32 = 0;
/// `SOURCES` value: sources in this prefix may send through this interface.
pub const SOURCE_ACCEPTED: u32 = 1;
/// `SOURCES` value: no host may have such a source: 0/8, 127/8, multicast, broadcast, or an address of our own.
pub const SOURCE_MARTIAN: u32 = 2;
/// `SOURCES` value: the prefix is another interface's own subnet (the reverse-path check).
pub const SOURCE_WRONG_INTERFACE: u32 = 3;

/// The interface of a `GROUPS` key that stands for "out of the upstream": groups that packets from downstream without a
/// flow may be sent to.
pub const TOWARDS_UPSTREAM: u32 = 0;
/// `GROUPS` value: groups in this prefix are served. A `GROUPS` key is a [`SourceKey`] with a group for a source.
pub const GROUP_SERVED: u32 = 1;
/// `GROUPS` value: groups in this prefix are not.
pub const GROUP_REFUSED: u32 = 2;

/// Keys of the egress program's `DROPS`, copies that were not sent: their TTL was not above the port's threshold.
pub const EGRESS_DROP_TTL: u32 = 0;
/// Another gateway serves the hosts.
pub const EGRESS_DROP_GATE: u32 = 1;
/// Value of the egress program's `GATE`: copies are sent. Anything else: they are not.
pub const GATE_OPEN: u32 = 1;

/// Value of `CONTROL`, a one-element array.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Control {
    /// Nonzero while `FLOWS` holds any (S,G) entry; while zero the program goes straight to (*,G).
    pub source_specific_flows: u32,
    /// Replication set for packets from a downstream interface that have no flow: the upstream (RFC 4605 section 4.2);
    /// [`NO_SET`] = there is none.
    pub set_without_flow: u32,
    /// Nonzero while `GROUPS` has entries under [`TOWARDS_UPSTREAM`].
    pub filters_towards_upstream: u32,
    /// [`FlowEntry::flags`] for packets that take `set_without_flow`.
    pub flags_without_flow: u32,
    /// CLOCK_MONOTONIC nanoseconds up to which packets are forwarded; 0 = for ever. igmpd moves it ahead as long as it
    /// lives, so that what it leaves behind ends by itself.
    pub alive_until_ns: u64,
    /// Another number after every change of `SOURCES`: what [`AcceptedSource`] remembers holds for one only.
    pub sources_generation: u32,
    /// Zero; keeps the layout free of padding.
    pub reserved: u32,
}
assert_layout!(Control, 32);

/// Value of `ACCEPTED`: a source that `SOURCES` has accepted, so that its next packet needs no longest-prefix match.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AcceptedSource {
    /// Port it came in on; never 0 in an entry that is in use.
    pub ifindex: u32,
    /// IPv4 source.
    pub source: [u8; 4],
    /// [`Control::sources_generation`] before it was looked up.
    pub generation: u32,
}
assert_layout!(AcceptedSource, 12);

impl AcceptedSource {
    /// Which of the [`ACCEPTED_SOURCES`] it is remembered in.
    #[must_use]
    #[inline(always)]
    pub const fn slot(&self) -> u32 {
        // Every bit of the address has its part in the upper bits of the product (Knuth, multiplicative hashing).
        let mixed = u32::from_ne_bytes(self.source).wrapping_mul(0x9e37_79b1) >> 24;
        (mixed ^ self.ifindex) & (ACCEPTED_SOURCES - 1)
    }
}

/// A record of the `REFUSALS` ring buffer: a packet was not forwarded because of its source. At most one a source and
/// minute, and not more a second than the interface's share.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    /// Port it came in on.
    pub ifindex: u32,
    /// `Counter::PassSourceUnknown` or `Counter::PassWrongInterface`.
    pub counter: u32,
    /// IPv4 source.
    pub source: [u8; 4],
    /// IPv4 group.
    pub group: [u8; 4],
}
assert_layout!(Refusal, 16);

/// What precedes each frame in the `EVENTS` ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RecordHeader {
    /// CLOCK_MONOTONIC nanoseconds when the program saw the frame.
    pub arrival_ns: u64,
    /// Port the frame came in on.
    pub ifindex: u32,
    /// Bytes of frame that follow.
    pub frame_len: u32,
}
assert_layout!(RecordHeader, 16);

/// The longest frame the ring buffer carries whole. Native XDP without fragments has at most one page per frame.
pub const MAX_FRAME: usize = 4096;

/// A ring buffer record as the program builds it.
#[repr(C)]
pub struct Record {
    /// Interface, time and length.
    pub header: RecordHeader,
    /// The frame from its Ethernet header on.
    pub frame: [u8; MAX_FRAME],
}
assert_layout!(Record, 16 + MAX_FRAME);

/// Ports that can have counters of their own; the length of `COUNTERS` and `POLICERS`. Slot 0 is never given away.
pub const MAX_PORTS: u32 = 1024;
/// Capacity of `SOURCES`.
pub const MAX_SOURCE_PREFIXES: u32 = 65_536;
/// Accepted sources that a CPU remembers: more than send at once through most gateways, and a page. A power of two.
pub const ACCEPTED_SOURCES: u32 = 256;
/// Capacity of `GROUPS`.
pub const MAX_GROUP_PREFIXES: u32 = 65_536;
/// Capacity of `SETS`, hence of distinct output sets.
pub const MAX_SETS: u32 = 65_536;
/// The most outputs of a replication set.
pub const MAX_OUTPUTS: usize = 1024;
/// Outputs in one block of `OUTPUTS`: one cache line.
pub const OUTPUTS_IN_BLOCK: usize = 16;
/// Capacity of `OUTPUTS`: twice the sets, because most sets have at most one block.
pub const MAX_OUTPUTS_BLOCKS: u32 = 2 * MAX_SETS;
/// Bytes of the `EVENTS` ring: about 90,000 IGMPv2 messages.
pub const RING_BYTES: u32 = 8 << 20;
/// Bytes of the `REFUSALS` ring: about 2,700 records, the bursts of 50 interfaces.
pub const REFUSAL_RING_BYTES: u32 = 64 << 10;
/// A source is told once in this time.
pub const REFUSAL_INTERVAL_NS: u64 = 60_000_000_000;
/// What an interface may tell: 10 sources a second, 50 at once.
pub const REFUSAL_RATE: Rate = Rate::new(10, 50);
/// Sources of which the kernel remembers when it told them: all that ten interfaces can tell in a minute. A source that is
/// forgotten early is told once more.
pub const MAX_TOLD_SOURCES: u32 = 8192;
