//! Lets aya read and write the map types of `igmp-common`, which knows nothing of aya.

use aya::Pod;
use igmp_common::maps::{
    Control, OutputDrops, OutputsBlock, OutputsKey, Port, PortRow, SoleOutput, SourceKey, VlanKey,
};

/// A map key or value of `igmp-common`.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Raw<T>(pub T);

macro_rules! pod {
    ($($type:ty),+) => {
        // SAFETY: `repr(C)` without padding (sizes asserted where they are defined), any bit pattern is a value.
        $(unsafe impl Pod for Raw<$type> {})+
    };
}

pod!(
    Control,
    OutputDrops,
    OutputsBlock,
    OutputsKey,
    Port,
    PortRow,
    SoleOutput,
    SourceKey,
    VlanKey
);
