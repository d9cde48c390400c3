//! Memberships x roles -> flows and replication sets; pure.
//!
//! [`Fib`] keeps what is installed in the kernel maps and turns a group's new membership into the shortest list of
//! [`Change`]s. Output lists that are equal share one replication set, reference counted by [`sets::Sets`], so that most
//! joins cost one map write. [`routes`] says what should be installed.

mod change;
pub mod flow_table;
pub mod groups;
pub mod members;
mod paths;
pub mod routes;
pub mod sets;
pub mod sources;
mod upstream;

pub use change::Change;
pub use paths::Path;
pub use upstream::Upstream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::ops::Bound;

use crate::proto::IfIndex;
use paths::Paths;
use routes::{Member, Outputs};
use sets::{SetId, Sets};
use upstream::{ByOrigin, WithoutFlow};

/// Names a flow: `source` `None` is (*,G).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowId {
    /// Multicast group.
    pub group: Ipv4Addr,
    /// One source, or any without a flow of its own.
    pub source: Option<Ipv4Addr>,
}

/// A flow as the kernel has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flow {
    /// Set for packets that come from the upstream interface; `None` = no outputs.
    pub from_upstream: Option<SetId>,
    /// Set for packets that come from a downstream interface; `None` = no outputs.
    pub from_downstream: Option<SetId>,
    /// Who replicates it.
    pub path: Path,
    /// Octets of the largest IPv4 packet that every output takes. Larger ones are replicated by the TC program.
    pub mtu: u16,
}

/// Why a flow that should be there is not.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The flow table is full.
    #[error("flow table full (max_flows)")]
    TableFull,
    /// No spare replication set of a sufficient size; more are being made.
    #[error("no spare replication set")]
    NoSpareSet,
    /// More outputs than the largest replication set holds.
    #[error("more outputs than a replication set holds")]
    TooManyOutputs,
}

/// What [`Fib::end_grace`] may reuse: everything retired before the grace period began.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Retired {
    sets: Vec<SetId>,
    /// How many flows went.
    flows: u32,
}

/// The forwarding table as userspace knows it. The kernel maps are a cache of it.
#[derive(Debug)]
pub struct Fib {
    upstream: Option<Upstream>,
    without_flow: WithoutFlow,
    paths: Paths,
    max_flows: u32,
    flows: BTreeMap<FlowId, Flow>,
    /// What `max_flows` is about: the flows, and those that went no grace period ago.
    places_taken: u32,
    source_specific: usize,
    sets: Sets,
    retired: Retired,
    /// Groups whose flows were refused, to be computed again when there is room.
    refused: BTreeSet<Ipv4Addr>,
    changes: VecDeque<Change>,
}

impl Fib {
    /// An empty table of at most `max_flows` flows.
    #[must_use]
    pub fn new(max_flows: u32) -> Self {
        Self {
            upstream: None,
            without_flow: WithoutFlow::default(),
            paths: Paths::default(),
            max_flows,
            flows: BTreeMap::new(),
            places_taken: 0,
            source_specific: 0,
            sets: Sets::new(),
            retired: Retired::default(),
            refused: BTreeSet::new(),
            changes: VecDeque::new(),
        }
    }

    /// Groups that have a flow or were refused one.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<Ipv4Addr> {
        let installed = self.flows.keys().map(|flow| flow.group);
        installed.chain(self.refused.iter().copied()).collect()
    }

    /// The flows and where they go, in order.
    pub fn flows(&self) -> impl Iterator<Item = (FlowId, Flow)> {
        self.flows.iter().map(|(id, flow)| (*id, *flow))
    }

    /// How many flows are installed.
    #[must_use]
    pub fn flow_count(&self) -> usize {
        self.flows.len()
    }

    /// What `set` replicates to; empty for `None`.
    #[must_use]
    pub fn outputs(&self, set: Option<SetId>) -> &[IfIndex] {
        set.map_or(&[], |set| self.sets.outputs(set))
    }

    /// The replication sets.
    #[must_use]
    pub fn sets(&self) -> &Sets {
        &self.sets
    }

    /// Brings the flows of `group` in line with its `members`. What cannot be installed is refused, remembered and
    /// returned; the flows that are installed stay as they are.
    ///
    /// # Errors
    ///
    /// Why what is missing now is missing.
    pub fn update_group(&mut self, group: Ipv4Addr, members: &[Member]) -> Result<(), Refusal> {
        self.refused.remove(&group);
        let mut wanted = routes::flows(members);
        if self.paths.is_local(group) {
            // Without a flow the upstream alone would get what comes from downstream, and not this host.
            wanted.entry(None).or_default();
        }
        let stale: Vec<FlowId> = self
            .flows_of(group)
            .filter(|id| !wanted.contains_key(&id.source))
            .collect();
        let mut result = Ok(());
        // Sources first: the (*,G) flow must not carry for an instant what a source's own flow keeps back.
        for (source, outputs) in wanted.iter().rev() {
            let id = FlowId {
                group,
                source: *source,
            };
            if let Err(refusal) = self.install(id, outputs) {
                self.refused.insert(group);
                result = Err(refusal);
                break;
            }
        }
        // And (*,G) first when they go.
        for id in stale {
            self.remove(id);
        }
        result
    }

    /// The next map write.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// A map write of `id` failed: the flow is not there. Its group counts as refused.
    pub fn write_failed(&mut self, id: FlowId) {
        // Nor do later writes put it there: it will have other sets by the time it comes.
        self.changes
            .retain(|change| !matches!(change, Change::PutFlow(other, _) | Change::DeleteFlow(other) if *other == id));
        if let Some(flow) = self.flows.remove(&id) {
            self.count_source_specific(id, false);
            self.retire(flow);
            self.refused.insert(id.group);
        }
    }

    /// Takes refused groups, for the caller to update again: as many as there is room for flows, none while the table is
    /// full. A flood of groups that have no room costs nothing here.
    pub fn take_refused(&mut self) -> Vec<Ipv4Addr> {
        let room = (self.max_flows - self.places_taken) as usize;
        let take = room.min(self.refused.len());
        std::iter::from_fn(|| self.refused.pop_first())
            .take(take)
            .collect()
    }

    /// Number of groups whose flows are refused.
    #[must_use]
    pub fn refused_len(&self) -> usize {
        self.refused.len()
    }

    /// Sets to make, by size class; the caller installs them and hands them back through [`Self::add_spares`].
    pub fn request_spares(&mut self) -> Vec<(SetId, u8)> {
        self.sets.request_spares()
    }

    /// The sets made on request are installed, empty.
    pub fn add_spares(&mut self, made: &[(SetId, u8)]) {
        self.sets.add_spares(made);
        self.retry_without_flow();
    }

    /// True when something waits for a grace period to be used again.
    #[must_use]
    pub fn has_retired(&self) -> bool {
        !self.retired.sets.is_empty() || self.retired.flows > 0
    }

    /// Hands out what was retired so far. After an RCU grace period has passed it comes back to [`Self::end_grace`].
    #[must_use]
    pub fn begin_grace(&mut self) -> Retired {
        std::mem::take(&mut self.retired)
    }

    /// No packet can see `retired` any more: its sets are emptied and spare again, the places of its
    /// flows free.
    pub fn end_grace(&mut self, retired: Retired) {
        for set in retired.sets {
            let outputs = self.sets.recycle(set);
            self.changes.push_back(Change::ClearSet { set, outputs });
        }
        self.places_taken -= retired.flows;
        self.retry_without_flow();
    }

    fn flows_of(&self, group: Ipv4Addr) -> impl Iterator<Item = FlowId> {
        let first = FlowId {
            group,
            source: None,
        };
        self.flows
            .range((Bound::Included(first), Bound::Unbounded))
            .map(|(id, _)| *id)
            .take_while(move |id| id.group == group)
    }

    fn install(&mut self, id: FlowId, members: &Outputs) -> Result<(), Refusal> {
        let installed = self.flows.get(&id).copied();
        let outputs = self.by_origin(id.group, members);
        let (path, mtu) = self.handling(id.group, &outputs);
        if let Some(flow) = installed
            && (flow.path, flow.mtu) == (path, mtu)
            && self.outputs(flow.from_upstream) == outputs.from_upstream
            && self.outputs(flow.from_downstream) == outputs.from_downstream
        {
            return Ok(());
        }
        if installed.is_none() && self.places_taken == self.max_flows {
            return Err(Refusal::TableFull);
        }
        let (from_upstream, from_downstream) = self.acquire_pair(&outputs)?;
        let flow = Flow {
            from_upstream,
            from_downstream,
            path,
            mtu,
        };
        if installed.is_none() {
            self.places_taken += 1;
            self.count_source_specific(id, true);
        }
        self.flows.insert(id, flow);
        self.changes.push_back(Change::PutFlow(id, flow));
        if let Some(old) = installed {
            self.release(old.from_upstream);
            self.release(old.from_downstream);
        }
        Ok(())
    }

    fn remove(&mut self, id: FlowId) {
        let Some(flow) = self.flows.remove(&id) else {
            return;
        };
        self.changes.push_back(Change::DeleteFlow(id));
        self.count_source_specific(id, false);
        self.retire(flow);
    }

    /// Tells the kernel when the first (S,G) flow comes (before it does) and the last goes (after it did).
    fn count_source_specific(&mut self, id: FlowId, added: bool) {
        if id.source.is_none() {
            return;
        }
        if added {
            self.source_specific += 1;
            if self.source_specific == 1 {
                self.changes.push_back(Change::SourceSpecific(true));
            }
        } else {
            self.source_specific -= 1;
            if self.source_specific == 0 {
                self.changes.push_back(Change::SourceSpecific(false));
            }
        }
    }

    fn acquire_pair(
        &mut self,
        outputs: &ByOrigin,
    ) -> Result<(Option<SetId>, Option<SetId>), Refusal> {
        let from_upstream = self.acquire(&outputs.from_upstream)?;
        match self.acquire(&outputs.from_downstream) {
            Ok(from_downstream) => Ok((from_upstream, from_downstream)),
            Err(refusal) => {
                self.release(from_upstream);
                Err(refusal)
            }
        }
    }

    fn acquire(&mut self, outputs: &Outputs) -> Result<Option<SetId>, Refusal> {
        if outputs.is_empty() {
            return Ok(None);
        }
        let (set, is_new) = self.sets.acquire(outputs)?;
        if is_new {
            let outputs = outputs.clone();
            self.changes.push_back(Change::FillSet { set, outputs });
        }
        Ok(Some(set))
    }

    fn release(&mut self, set: Option<SetId>) {
        if let Some(set) = set
            && self.sets.release(set)
        {
            self.retired.sets.push(set);
        }
    }

    fn retire(&mut self, flow: Flow) {
        self.release(flow.from_upstream);
        self.release(flow.from_downstream);
        self.retired.flows += 1;
    }
}

#[cfg(test)]
mod tests;
