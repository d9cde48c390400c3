//! Which program replicates a flow: XDP where it can, TC where an output or this host itself asks for it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::upstream::ByOrigin;
use super::{Change, Fib};
use crate::proto::IfIndex;

/// Who replicates the packets of a flow, all of them, wherever they come in and go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Path {
    /// The XDP program, by one redirect.
    #[default]
    Xdp,
    /// The TC program, copy by copy.
    Tc,
    /// The TC program, which then lets the packet go on to the sockets of this host.
    TcAndLocal,
}

/// What flows are kept from XDP by.
#[derive(Debug, Default)]
pub(super) struct Paths {
    tc_outputs: BTreeSet<IfIndex>,
    local_groups: BTreeSet<Ipv4Addr>,
}

impl Paths {
    pub(super) fn is_local(&self, group: Ipv4Addr) -> bool {
        self.local_groups.contains(&group)
    }

    fn of(&self, group: Ipv4Addr, outputs: impl Iterator<Item = IfIndex>) -> Path {
        if self.is_local(group) {
            Path::TcAndLocal
        } else {
            self.without_group(outputs)
        }
    }

    /// The path of packets of any group.
    pub(super) fn without_group(&self, mut outputs: impl Iterator<Item = IfIndex>) -> Path {
        if outputs.any(|output| self.tc_outputs.contains(&output)) {
            Path::Tc
        } else {
            Path::Xdp
        }
    }
}

impl Fib {
    /// Sets which outputs no XDP redirect reaches. Flows that have one go by TC as a whole; those that are installed
    /// change at once.
    pub fn set_tc_outputs(&mut self, outputs: BTreeSet<IfIndex>) {
        if self.paths.tc_outputs == outputs {
            return;
        }
        self.paths.tc_outputs = outputs;
        let mut flows = std::mem::take(&mut self.flows);
        for (id, flow) in &mut flows {
            let outputs = [flow.from_upstream, flow.from_downstream].map(|set| self.outputs(set));
            let path = (self.paths).of(id.group, outputs.into_iter().flatten().copied());
            if flow.path != path {
                flow.path = path;
                self.changes.push_back(Change::PutFlow(*id, *flow));
            }
        }
        self.flows = flows;
        self.retry_without_flow();
    }

    /// Sets which groups sockets of this host have joined: their packets go on to the kernel as well. Returns the groups
    /// that came or went, each of which the caller then updates.
    #[must_use]
    pub fn set_local_groups(&mut self, groups: BTreeSet<Ipv4Addr>) -> Vec<Ipv4Addr> {
        let before = std::mem::replace(&mut self.paths.local_groups, groups);
        (self.paths.local_groups)
            .symmetric_difference(&before)
            .copied()
            .collect()
    }

    pub(super) fn path(&self, group: Ipv4Addr, outputs: &ByOrigin) -> Path {
        let outputs = outputs.from_upstream.iter().chain(&outputs.from_downstream);
        self.paths.of(group, outputs.copied())
    }
}

#[cfg(test)]
mod tests;
