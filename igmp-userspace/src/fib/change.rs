//! What the kernel maps are told.

use super::routes::Outputs;
use super::sets::SetId;
use super::{Flow, FlowId, Path};

/// One write to the kernel maps. Applied in the order given, a packet never sees a flow half done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Put `outputs` into the spare set `set`.
    FillSet {
        /// A set no flow names yet.
        set: SetId,
        /// What it will replicate to.
        outputs: Outputs,
    },
    /// Take `outputs` out of `set`, which no packet can see any more.
    ClearSet {
        /// A retired set.
        set: SetId,
        /// What it holds.
        outputs: Outputs,
    },
    /// Install or replace a flow.
    PutFlow(FlowId, Flow),
    /// Remove a flow.
    DeleteFlow(FlowId),
    /// Say whether any (S,G) flow exists.
    SourceSpecific(bool),
    /// Say where packets from downstream go that have no flow, on which path, and the MTU there; `None` = nowhere.
    SetWithoutFlow(Option<SetId>, Path, u16),
    /// Say whether [`groups`](super::groups) restricts which packets without a flow go there.
    FilterWithoutFlow(bool),
}

impl Change {
    /// How many elements of kernel maps it writes or removes.
    #[must_use]
    pub fn map_writes(&self) -> usize {
        match self {
            Self::FillSet { outputs, .. } | Self::ClearSet { outputs, .. } => outputs.len(),
            Self::PutFlow(..)
            | Self::DeleteFlow(_)
            | Self::SourceSpecific(_)
            | Self::SetWithoutFlow(..)
            | Self::FilterWithoutFlow(_) => 1,
        }
    }
}
