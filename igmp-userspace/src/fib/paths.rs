//! Which program replicates a flow: XDP where it can, TC where an output or this host itself asks for it; and packets
//! that are too large for an output always TC, which knows how large each may be.

use std::collections::{BTreeMap, BTreeSet};
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
    mtus: BTreeMap<IfIndex, usize>,
    local_groups: BTreeSet<Ipv4Addr>,
}

impl Paths {
    pub(super) fn is_local(&self, group: Ipv4Addr) -> bool {
        self.local_groups.contains(&group)
    }

    fn of(&self, group: Ipv4Addr, outputs: impl Iterator<Item = IfIndex>) -> (Path, u16) {
        let (path, mtu) = self.without_group(outputs);
        if self.is_local(group) {
            (Path::TcAndLocal, mtu)
        } else {
            (path, mtu)
        }
    }

    /// The path of packets of any group, and the smallest MTU of their outputs. An unknown one is no limit, nor is one that
    /// no IPv4 packet reaches.
    pub(super) fn without_group(&self, outputs: impl Iterator<Item = IfIndex>) -> (Path, u16) {
        let mut handling = (Path::Xdp, u16::MAX);
        for output in outputs {
            if self.tc_outputs.contains(&output) {
                handling.0 = Path::Tc;
            }
            let mtu = self.mtus.get(&output).copied().unwrap_or(usize::MAX);
            handling.1 = handling.1.min(u16::try_from(mtu).unwrap_or(u16::MAX));
        }
        handling
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
        self.follow_paths();
    }

    /// Sets the MTUs of outputs. Packets that are larger than a flow's smallest one go by TC; flows that are installed
    /// change at once.
    pub fn set_output_mtus(&mut self, mtus: BTreeMap<IfIndex, usize>) {
        if self.paths.mtus == mtus {
            return;
        }
        self.paths.mtus = mtus;
        self.follow_paths();
    }

    fn follow_paths(&mut self) {
        let mut flows = std::mem::take(&mut self.flows);
        for (id, flow) in &mut flows {
            let outputs = [flow.from_upstream, flow.from_downstream].map(|set| self.outputs(set));
            let handling = (self.paths).of(id.group, outputs.into_iter().flatten().copied());
            if (flow.path, flow.mtu) != handling {
                (flow.path, flow.mtu) = handling;
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

    pub(super) fn handling(&self, group: Ipv4Addr, outputs: &ByOrigin) -> (Path, u16) {
        let outputs = outputs.from_upstream.iter().chain(&outputs.from_downstream);
        self.paths.of(group, outputs.copied())
    }
}

#[cfg(test)]
mod tests;
