//! The flow table: a hash table of our own in two array maps, laid out for the caches of the CPU that looks up.
//!
//! With many flows a look-up costs what it waits for memory. Key and entry of a flow are 16 octets, four of them fill a
//! cache line ([`FlowBucket`]), and the table is three quarters full with [`homes`]: nearly nine of ten flows are found in
//! the first line that is read, most others in the next. A flow's packet and byte counts have the place in their own line
//! ([`BucketStats`]) that the flow has in its bucket: that line can be on its way before it is known which. A search begins
//! at the key's home and goes on by ever longer steps, 1, 2, 3 buckets, so that searches from homes nearby part; there are
//! buckets behind the last home, so that it never wraps around.
//!
//! One writer changes single words while packets are looked up. An entry is one word. A flow never moves; its slot gets the
//! entry before the key, and loses the key first. A search ends at a bucket with a slot that was never used since somebody
//! last went past it: a flow that others went past leaves a tombstone.

use crate::maps::MAX_SETS;

/// Key of a flow. An all-zero `source` is (*,G): any source without an entry of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowKey {
    /// IPv4 source, as on the wire; zero = any.
    pub source: [u8; 4],
    /// IPv4 group, as on the wire.
    pub group: [u8; 4],
}

impl FlowKey {
    /// The key of a slot that no search needs to go past: what a map begins with. It would be (*, 224.0.0.0), which is never
    /// forwarded.
    pub const EMPTY: u64 = 0;
    /// The key of a slot without a flow, in a bucket that searches have to go past. It would be (255.255.255.255, 224.0.0.0).
    pub const TOMBSTONE: u64 = 0xffff_ffff;

    /// As it stands in a slot: group and source, without the four bits that all groups have in common. The highest bit is
    /// never set.
    #[must_use]
    #[inline(always)]
    pub const fn to_word(self) -> u64 {
        let group = u32::from_be_bytes(self.group) & !CLASS_D;
        (group as u64) << 32 | u32::from_be_bytes(self.source) as u64
    }

    /// The flow of a slot; `None` = it has none.
    #[must_use]
    pub const fn from_word(word: u64) -> Option<Self> {
        if matches!(word, Self::EMPTY | Self::TOMBSTONE) {
            return None;
        }
        let [a, b, c, d, source @ ..] = word.to_be_bytes();
        let group = CLASS_D | u32::from_be_bytes([a, b, c, d]);
        Some(Self {
            source,
            group: group.to_be_bytes(),
        })
    }
}

/// What every group begins with: 224.0.0.0/4 (RFC 5771 section 3).
const CLASS_D: u32 = 0xe000_0000;

/// Where the packets of a flow go, by where they came from (RFC 4605 section 4.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowEntry {
    /// Replication set for packets from the upstream interface; [`NO_SET`](crate::maps::NO_SET) = nobody.
    pub set_from_upstream: u16,
    /// Replication set for packets from a downstream interface; [`NO_SET`](crate::maps::NO_SET) = nobody.
    pub set_from_downstream: u16,
    /// `FLOW_*`, and in the upper half (from bit [`FLOW_MTU_SHIFT`](crate::maps::FLOW_MTU_SHIFT)) octets of the largest IPv4 packet that every output
    /// takes: the TC program replicates larger ones.
    pub flags: u32,
}
const _: () = assert!(MAX_SETS - 1 <= u16::MAX as u32, "sets are named by 16 bits");

impl FlowEntry {
    /// As it stands in a slot.
    #[must_use]
    pub const fn to_word(self) -> u64 {
        let sets = self.set_from_upstream as u64 | (self.set_from_downstream as u64) << 16;
        sets | (self.flags as u64) << 32
    }

    /// What stands in a slot.
    #[must_use]
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "parts of the word")]
    pub const fn from_word(word: u64) -> Self {
        Self {
            set_from_upstream: word as u16,
            set_from_downstream: (word >> 16) as u16,
            flags: (word >> 32) as u32,
        }
    }
}

/// Value of `FLOWS`: a cache line, where the map begins with a page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowBucket {
    /// What [`FlowKey::to_word`] makes of the flows, [`FlowKey::EMPTY`] or [`FlowKey::TOMBSTONE`].
    pub keys: [u64; SLOTS as usize],
    /// What [`FlowEntry::to_word`] makes of their entries.
    pub entries: [u64; SLOTS as usize],
}
const _: () = assert!(size_of::<FlowBucket>() == 64);

/// Slots of a bucket.
pub const SLOTS: u32 = 4;
/// What one CPU has counted on a slot, since the table was made.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FlowStats {
    /// Packets forwarded (counted once, not per copy).
    pub packets: u64,
    /// Their IPv4 total lengths.
    pub bytes: u64,
}
const _: () = assert!(size_of::<FlowStats>() == 16);

/// Value of `FLOW_STATS`: what one CPU has counted on the slots of a bucket; a cache line.
pub type BucketStats = [FlowStats; SLOTS as usize];
const _: () = assert!(size_of::<BucketStats>() == 64);

/// Buckets that a search reads at most. It takes 25 to find the farthest of a million flows in a table as full as it gets;
/// each further one makes it less than half as likely that a flow finds no slot.
pub const MAX_PROBES: u32 = 32;

/// Buckets that are home to keys, in a table of `max_flows` flows: one for every three.
#[must_use]
pub const fn homes(max_flows: u32) -> u32 {
    let homes = max_flows.div_ceil(SLOTS - 1);
    if homes == 0 { 1 } else { homes }
}

/// Buckets of a table with so many homes. [`SLOTS`] times that is how many slots it has.
#[must_use]
#[inline(always)]
pub const fn buckets(homes: u32) -> u32 {
    probe(homes - 1, MAX_PROBES - 1) + 1
}

/// The bucket that the search from `home` reads after `step` others.
#[must_use]
#[inline(always)]
pub const fn probe(home: u32, step: u32) -> u32 {
    home + step * (step + 1) / 2
}

/// How keys are spread over a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spread {
    /// Buckets that are home to keys; above 0.
    pub homes: u32,
    /// An odd number that nobody outside knows, so that nobody can choose groups that all have the same home.
    pub seed: u64,
}

impl Spread {
    /// The bucket at which the search for a key begins: two rounds of multiply and xorshift, and a range by multiplication,
    /// because BPF divides slowly.
    #[must_use]
    #[inline(always)]
    pub const fn home(self, key: u64) -> u32 {
        // Without structure: 2^64 divided by the golden ratio.
        const FIXED: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = (key ^ (key >> 32)).wrapping_mul(self.seed);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(FIXED);
        (((mixed >> 32) * self.homes as u64) >> 32) as u32
    }
}

/// A bucket where a look-up has found it. Each call reads one word, in the order of the calls: userspace may be changing it.
pub trait Bucket {
    /// The key in `slot`, which is below [`SLOTS`].
    fn key(&self, slot: u32) -> u64;
    /// The entry in `slot`, which is below [`SLOTS`].
    fn entry(&self, slot: u32) -> u64;
}

/// The bucket that has `key`, in which slot, and its entry. `bucket` gives the bucket with a number, if there is one.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "steps are few")]
pub fn look_up<B: Bucket>(
    spread: Spread,
    key: u64,
    bucket: impl Fn(u32) -> Option<B>,
) -> Option<(B, u32, FlowEntry)> {
    // [`probe`] without its multiplication.
    let mut number = spread.home(key);
    let mut step: u64 = 0;
    while step < u64::from(MAX_PROBES) {
        let bucket = bucket(number)?;
        let slot = slot_of(&bucket, key);
        // If the slot is this flow's before its entry is read, and after, then it is this flow's entry.
        let before = bucket.key(slot);
        let entry = bucket.entry(slot);
        let after = bucket.key(slot);
        if (before ^ key) | (after ^ key) == 0 {
            return Some((bucket, slot, FlowEntry::from_word(entry)));
        }
        if (0..SLOTS).any(|slot| bucket.key(slot) == FlowKey::EMPTY) {
            return None;
        }
        step += 1;
        number += step as u32;
    }
    None
}

/// The slot that has `key`; the last one, if none has. Without branches: which slot it is cannot be predicted.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "at most three")]
fn slot_of(bucket: &impl Bucket, key: u64) -> u32 {
    let not_0 = differ(bucket.key(0), key);
    let not_01 = not_0 & differ(bucket.key(1), key);
    let not_012 = not_01 & differ(bucket.key(2), key);
    (not_0 + not_01 + not_012) as u32
}

/// 1 = they are not equal. The highest bit is set in neither.
#[inline(always)]
const fn differ(one: u64, other: u64) -> u64 {
    // A comparison would be a branch in BPF.
    ((one ^ other) + (u64::MAX >> 1)) >> 63
}

#[cfg(test)]
mod tests;
