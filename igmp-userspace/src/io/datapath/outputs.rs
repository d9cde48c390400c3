//! What each replication set holds, as a plain map.
//!
//! A process cannot read a set that another one made: looking into a map of maps takes CAP_SYS_ADMIN. A list beside it,
//! written before a flow names the set and removed when no packet can see the set any more, is what the next igmpd reads;
//! wherever a process is killed between two writes, flows and lists fit together.

use aya::maps::{HashMap, Map, MapData, MapError};
use igmp_common::maps::{MAX_OUTPUTS_BLOCKS, OUTPUTS_IN_BLOCK, OutputsBlock, OutputsKey};

use super::pod::Raw;
use crate::fib::sets::SetId;
use crate::proto::IfIndex;

/// Sets are few: no memory for those that are not there (`BPF_F_NO_PREALLOC`).
const NO_PREALLOC: u32 = 1;

/// The outputs of every replication set.
pub struct OutputLists {
    map: HashMap<MapData, Raw<OutputsKey>, Raw<OutputsBlock>>,
}

impl OutputLists {
    /// A map without sets.
    ///
    /// # Errors
    ///
    /// The kernel refuses a map.
    pub fn create() -> Result<Self, MapError> {
        let map = HashMap::create(MAX_OUTPUTS_BLOCKS, NO_PREALLOC)?;
        Ok(Self { map })
    }

    /// Somebody else's.
    ///
    /// # Errors
    ///
    /// It is another kind of map.
    pub fn open(map: MapData) -> Result<Self, MapError> {
        let map = Map::HashMap(map).try_into()?;
        Ok(Self { map })
    }

    /// The map itself.
    #[must_use]
    pub fn map(&self) -> &MapData {
        aya::maps::IterableMap::map(&self.map)
    }

    /// Lists the outputs of a set that no flow names yet.
    ///
    /// # Errors
    ///
    /// The map is full, or the kernel refuses.
    pub fn put(&mut self, set: SetId, outputs: &[IfIndex]) -> Result<(), MapError> {
        for (number, part) in (0..).zip(outputs.chunks(OUTPUTS_IN_BLOCK)) {
            let mut block = OutputsBlock::default();
            for (place, output) in block.outputs.iter_mut().zip(part) {
                *place = output.0;
            }
            self.map.insert(key(set, number), Raw(block), 0)?;
        }
        Ok(())
    }

    /// Removes the list of a set of so many outputs.
    pub fn remove(&mut self, set: SetId, outputs: usize) {
        for (number, _) in (0..).zip((0..outputs).step_by(OUTPUTS_IN_BLOCK)) {
            // Not there when writing it failed.
            let _ = self.map.remove(&key(set, number));
        }
    }

    /// The outputs of a set; none when it has no list.
    #[must_use]
    pub fn get(&self, set: SetId) -> Vec<IfIndex> {
        let blocks = (0..).map_while(|number| self.map.get(&key(set, number), 0).ok());
        let outputs = blocks.flat_map(|Raw(block)| block.outputs);
        outputs
            .take_while(|output| *output != 0)
            .map(IfIndex)
            .collect()
    }
}

const fn key(set: SetId, block: u32) -> Raw<OutputsKey> {
    Raw(OutputsKey { set: set.0, block })
}
