//! What each replication set holds, as a plain map.
//!
//! The TC program replicates by it. And the next igmpd reads it, which cannot look into a set that another process made
//! (that takes CAP_SYS_ADMIN). A list is written before a flow names its set and removed when no packet can see the set
//! any more: wherever a process is killed between two writes, flows and lists fit together.

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{HashMap, IterableMap, Map, MapData, MapError, PerCpuArray, ProgramArray};
use aya::programs::SchedClassifier;
use igmp_common::maps::{OUTPUTS_IN_BLOCK, OutputDrops, OutputsBlock, OutputsKey};

use super::pod::Raw;
use crate::fib::sets::SetId;
use crate::proto::IfIndex;

/// The lists, and what the TC program did not send to their members.
pub struct OutputLists {
    blocks: HashMap<MapData, Raw<OutputsKey>, Raw<OutputsBlock>>,
    drops: PerCpuArray<MapData, Raw<OutputDrops>>,
    /// The program array that continues the TC program. The kernel empties it when nobody in userspace holds it any more,
    /// by a file or a pin.
    more: MapData,
}

impl OutputLists {
    /// Takes their maps, and gives the TC program its continuation.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let mut more = super::take(ebpf, "TC_MORE")?;
        let program: &mut SchedClassifier = ebpf
            .program_mut("igmp_tc_more")
            .context("kernel object: no igmp_tc_more")?
            .try_into()?;
        program
            .load()
            .context("loading the TC program's continuation")?;
        ProgramArray::try_from(&mut more)?.set(0, program.fd()?, 0)?;
        let Map::ProgramArray(more) = more else {
            bail!("kernel object: TC_MORE is not a program array");
        };
        Ok(Self {
            more,
            blocks: super::take(ebpf, "OUTPUTS")?.try_into()?,
            drops: super::take(ebpf, "OUTPUT_DROPS")?.try_into()?,
        })
    }

    /// The map of the lists.
    pub fn blocks(&self) -> &MapData {
        self.blocks.map()
    }

    /// The map with the TC program's continuation.
    pub const fn more(&self) -> &MapData {
        &self.more
    }

    /// Writes the list of a set that no packet can see yet.
    pub fn fill(&mut self, set: SetId, outputs: &[IfIndex]) -> Result<(), MapError> {
        for (key, block) in blocks(set, outputs) {
            self.blocks.insert(Raw(key), Raw(block), 0)?;
        }
        Ok(())
    }

    /// Removes the list of a set that no packet can see any more.
    pub fn clear(&mut self, set: SetId, outputs: &[IfIndex]) {
        for (key, _) in blocks(set, outputs) {
            // Missing where filling it failed.
            let _ = self.blocks.remove(&Raw(key));
        }
    }

    /// What was not sent to the output in `slot`, summed over CPUs.
    pub fn drops(&self, slot: u32) -> Result<OutputDrops, MapError> {
        let mut sum = OutputDrops::default();
        for Raw(cpu) in self.drops.get(&slot, 0)?.iter() {
            sum.ttl_threshold += cpu.ttl_threshold;
            sum.gate_closed += cpu.gate_closed;
            sum.mtu_exceeded += cpu.mtu_exceeded;
            sum.not_sent += cpu.not_sent;
        }
        Ok(sum)
    }

    /// Zeroes it.
    pub fn reset_drops(&mut self, slot: u32) -> Result<(), MapError> {
        let zero = super::on_all_cpus(Raw(OutputDrops::default()))?;
        self.drops.set(slot, zero, 0)
    }
}

/// The lists of another igmpd.
pub struct PinnedLists(HashMap<MapData, Raw<OutputsKey>, Raw<OutputsBlock>>);

impl PinnedLists {
    /// Those in this map.
    ///
    /// # Errors
    ///
    /// It is another kind of map.
    pub fn open(map: MapData) -> Result<Self, MapError> {
        Ok(Self(Map::HashMap(map).try_into()?))
    }

    /// The outputs of a set; none when it has no list.
    pub fn get(&self, set: SetId) -> Vec<IfIndex> {
        let key = |block| Raw(OutputsKey { set: set.0, block });
        let blocks = (0..).map_while(|block| self.0.get(&key(block), 0).ok());
        let outputs = blocks.flat_map(|Raw(block)| block.outputs);
        outputs
            .take_while(|output| *output != 0)
            .map(IfIndex)
            .collect()
    }
}

fn blocks(set: SetId, outputs: &[IfIndex]) -> impl Iterator<Item = (OutputsKey, OutputsBlock)> {
    let block = |outputs: &[IfIndex]| {
        let mut block = OutputsBlock::default();
        for (place, output) in block.outputs.iter_mut().zip(outputs) {
            *place = output.0;
        }
        block
    };
    let key = move |block| OutputsKey { set: set.0, block };
    let chunks = outputs.chunks(OUTPUTS_IN_BLOCK);
    (0..).map(key).zip(chunks.map(block))
}
