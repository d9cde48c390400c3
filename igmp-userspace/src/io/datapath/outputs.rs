//! Replication sets as lists of outputs, which the TC program reads.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, PerCpuArray, ProgramArray};
use aya::programs::SchedClassifier;
use igmp_common::maps::{OUTPUTS_IN_BLOCK, OutputDrops, OutputsBlock, OutputsKey};

use super::pod::Raw;
use crate::fib::sets::SetId;
use crate::proto::IfIndex;

/// The lists, and what the TC program did not send to their members.
pub struct OutputLists {
    blocks: HashMap<MapData, Raw<OutputsKey>, Raw<OutputsBlock>>,
    drops: PerCpuArray<MapData, Raw<OutputDrops>>,
    /// The kernel empties it when nobody in userspace holds it any more.
    _more: ProgramArray<MapData>,
}

impl OutputLists {
    /// Takes their maps, and gives the TC program its continuation.
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        let mut more: ProgramArray<MapData> = super::take(ebpf, "TC_MORE")?.try_into()?;
        let program: &mut SchedClassifier = ebpf
            .program_mut("igmp_tc_more")
            .context("kernel object: no igmp_tc_more")?
            .try_into()?;
        program
            .load()
            .context("loading the TC program's continuation")?;
        more.set(0, program.fd()?, 0)?;
        Ok(Self {
            _more: more,
            blocks: super::take(ebpf, "OUTPUTS")?.try_into()?,
            drops: super::take(ebpf, "OUTPUT_DROPS")?.try_into()?,
        })
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
