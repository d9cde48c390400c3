//! The flow table in the kernel, and what its flows have counted.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use aya::maps::{Map, MapData, MapError};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfLoader};
use igmp_common::flow_table::{FlowEntry, FlowKey, FlowStats, SLOTS, Spread, buckets, homes};

use super::memory::Words;
use super::{flow_flags, set_index, take};
use crate::fib::flow_table::{FlowTable, NoSlot};
use crate::fib::sets::SetId;
use crate::fib::{Flow, FlowId};

/// Why a change is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The kernel refuses a write to a map.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The flow table has no room where the flow would be looked for.
    #[error(transparent)]
    NoSlot(#[from] NoSlot),
    /// The flow is not in the table.
    #[error("no such flow")]
    NoSuchFlow,
}

/// How large the maps are, and how flows are spread over them.
#[derive(Clone, Copy)]
pub struct Plan {
    spread: Spread,
    buckets: u32,
    stats: u32,
}

impl Plan {
    /// For `max_flows` flows, with a seed of its own.
    ///
    /// # Errors
    ///
    /// The machine has more CPUs than a map has room for so many flows' counts.
    pub fn new(max_flows: u32) -> Result<Self> {
        let homes = homes(max_flows);
        let buckets = buckets(homes);
        let cpus = nr_cpus().map_err(|(_, error)| error);
        let cpus = cpus.context("counting CPUs")?;
        let stats = u32::try_from(cpus).ok();
        let stats = stats.and_then(|cpus| cpus.checked_mul(buckets));
        Ok(Self {
            spread: Spread {
                homes,
                // Of the standard library's per-process keys, which come from the kernel.
                seed: RandomState::new().build_hasher().finish() | 1,
            },
            buckets,
            stats: stats.with_context(|| {
                format!("max_flows: no map counts {max_flows} flows on {cpus} CPUs")
            })?,
        })
    }

    /// Gives the kernel object these sizes.
    pub fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader
            .map_max_entries("FLOWS", self.buckets)
            .map_max_entries("FLOW_STATS", self.stats)
            .override_global("FLOW_HOMES", &self.spread.homes, true)
            .override_global("FLOW_SEED", &self.spread.seed, true);
    }
}

/// The flow table of the loaded programs.
pub struct Flows {
    map: MapData,
    table: FlowTable<Words>,
    counts: Counts,
}

impl Flows {
    /// Takes the maps, which have been made by `plan`.
    ///
    /// # Errors
    ///
    /// The kernel object is another, or the maps do not become memory of this process.
    pub fn take(ebpf: &mut Ebpf, plan: &Plan) -> Result<Self> {
        let map = take_array(ebpf, "FLOWS")?;
        let words = Words::of(&map).context("FLOWS")?;
        let counts = Words::of(&take_array(ebpf, "FLOW_STATS")?).context("FLOW_STATS")?;
        Ok(Self {
            map,
            table: FlowTable::new(words, plan.spread),
            counts: Counts::new(counts, plan.buckets * SLOTS),
        })
    }

    /// The map of the table.
    pub const fn map(&self) -> &MapData {
        &self.map
    }

    /// Installs or replaces a flow. A new one has counted nothing.
    ///
    /// # Errors
    ///
    /// [`NoSlot`].
    pub fn put(&mut self, id: FlowId, flow: Flow) -> Result<(), NoSlot> {
        let counts = &mut self.counts;
        let begin = |slot| counts.begin(slot);
        self.table.put(flow_key(id), flow_entry(flow), begin)
    }

    /// Removes a flow.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoSuchFlow`].
    pub fn delete(&mut self, id: FlowId) -> Result<(), WriteError> {
        if !self.table.remove(flow_key(id)) {
            return Err(WriteError::NoSuchFlow);
        }
        Ok(())
    }

    /// What a flow has counted since it was installed; `None` = it is not in the table.
    pub fn stats(&self, id: FlowId) -> Option<FlowStats> {
        let (slot, _) = self.table.get(flow_key(id))?;
        Some(self.counts.since_begin(slot))
    }
}

/// `FLOW_STATS`: a row a CPU. The kernel programs alone write it, because their additions are not atomic and would undo a
/// zero; so it is remembered where each slot's flow began.
struct Counts {
    words: Words,
    beginnings: Vec<FlowStats>,
}

impl Counts {
    fn new(words: Words, slots: u32) -> Self {
        Self {
            words,
            beginnings: vec![FlowStats::default(); slots as usize],
        }
    }

    fn begin(&mut self, slot: u32) {
        self.beginnings[slot as usize] = self.sum(slot);
    }

    fn since_begin(&self, slot: u32) -> FlowStats {
        let (now, then) = (self.sum(slot), self.beginnings[slot as usize]);
        FlowStats {
            packets: now.packets - then.packets,
            bytes: now.bytes - then.bytes,
        }
    }

    /// All that was ever counted on a slot, on all CPUs.
    fn sum(&self, slot: u32) -> FlowStats {
        const WORDS: usize = size_of::<FlowStats>() / size_of::<AtomicU64>();
        let row_words = self.beginnings.len() * WORDS;
        let mut sum = FlowStats::default();
        for row in self.words.chunks_exact(row_words) {
            let [packets, bytes] = [0, 1].map(|word| &row[slot as usize * WORDS + word]);
            sum.packets += packets.load(Ordering::Relaxed);
            sum.bytes += bytes.load(Ordering::Relaxed);
        }
        sum
    }
}

fn take_array(ebpf: &mut Ebpf, name: &str) -> Result<MapData> {
    match take(ebpf, name)? {
        Map::Array(map) => Ok(map),
        _ => bail!("kernel object: {name} is not an array"),
    }
}

fn flow_key(id: FlowId) -> FlowKey {
    FlowKey {
        source: id.source.map_or([0; 4], |source| source.octets()),
        group: id.group.octets(),
    }
}

fn flow_entry(flow: Flow) -> FlowEntry {
    FlowEntry {
        set_from_upstream: set_number(flow.from_upstream),
        set_from_downstream: set_number(flow.from_downstream),
        flags: flow_flags(flow.path, flow.mtu),
    }
}

fn set_number(set: Option<SetId>) -> u16 {
    u16::try_from(set_index(set)).expect("ids of sets are below MAX_SETS")
}
