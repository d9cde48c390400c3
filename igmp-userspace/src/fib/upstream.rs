//! The upstream's part in forwarding (RFC 4605 section 4.2): what comes in there goes to members; what comes in downstream
//! goes out there too, whether or not it has a flow.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::routes::{self, Outputs};
use super::sets::SetId;
use super::{Change, Fib, Path, Refusal, groups};
use crate::proto::{GroupFilter, IfIndex};

/// The upstream interface, as far as forwarding is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Upstream {
    /// Which one.
    pub interface: IfIndex,
    /// Groups forwarded from and to it.
    pub filter: GroupFilter,
    /// Groups that never have a flow and are not sent there without one: `untracked_groups`.
    pub untracked: Vec<Ipv4Net>,
}

/// Where the packets of one flow go, by where they come from.
#[derive(Debug)]
pub(super) struct ByOrigin {
    pub(super) from_upstream: Outputs,
    pub(super) from_downstream: Outputs,
}

/// What the kernel does with packets from downstream that have no flow.
#[derive(Debug)]
pub(super) struct WithoutFlow {
    set: Option<SetId>,
    path: Path,
    mtu: u16,
    is_filtered: bool,
}

impl Default for WithoutFlow {
    /// They go nowhere.
    fn default() -> Self {
        Self {
            set: None,
            path: Path::Xdp,
            mtu: u16::MAX,
            is_filtered: false,
        }
    }
}

impl Fib {
    /// Sets the upstream interface. The caller then updates each of [`Self::groups`].
    ///
    /// # Errors
    ///
    /// Why packets without a flow do not go there yet. They do as soon as there are sets.
    pub fn set_upstream(&mut self, upstream: Option<Upstream>) -> Result<(), Refusal> {
        self.upstream = upstream;
        self.update_without_flow()
    }

    /// The upstream interface.
    #[must_use]
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstream.as_ref()
    }

    /// Where packets of a flow with these members go. From the upstream never back to it: the kernel program relies on it.
    pub(super) fn by_origin(&self, group: Ipv4Addr, members: &Outputs) -> ByOrigin {
        match &self.upstream {
            Some(upstream) if upstream.filter.serves(group) => ByOrigin {
                from_upstream: routes::without(members, upstream.interface),
                from_downstream: routes::with_upstream(members, upstream.interface),
            },
            Some(_) => ByOrigin {
                from_upstream: Outputs::new(),
                from_downstream: members.clone(),
            },
            None => ByOrigin {
                from_upstream: members.clone(),
                from_downstream: members.clone(),
            },
        }
    }

    /// Tries again what had no set the last time.
    pub(super) fn retry_without_flow(&mut self) {
        // It stays refused, and sets are on order.
        let _ = self.update_without_flow();
    }

    /// Brings the kernel's treatment of packets without a flow in line with the upstream. On a refusal they go nowhere:
    /// never to what is no longer the upstream.
    fn update_without_flow(&mut self) -> Result<(), Refusal> {
        let outputs: Outputs = self.upstream.iter().map(|up| up.interface).collect();
        let is_filtered = self.upstream.as_ref().is_some_and(groups::restricts);
        // A filter comes before the packets it is for and goes after them.
        if is_filtered {
            self.filter_without_flow(true);
        }
        let handling = self.paths.without_group(outputs.iter().copied());
        let is_same = self.outputs(self.without_flow.set) == outputs;
        let result = if is_same && (self.without_flow.path, self.without_flow.mtu) == handling {
            Ok(())
        } else {
            self.replace_without_flow(&outputs, handling)
        };
        if !is_filtered {
            self.filter_without_flow(false);
        }
        result
    }

    fn replace_without_flow(
        &mut self,
        outputs: &Outputs,
        (path, mtu): (Path, u16),
    ) -> Result<(), Refusal> {
        let (set, result) = match self.acquire(outputs) {
            Ok(set) => (set, Ok(())),
            Err(refusal) => (None, Err(refusal)),
        };
        let without_flow = &mut self.without_flow;
        let old = (without_flow.set, without_flow.path, without_flow.mtu);
        (without_flow.set, without_flow.path, without_flow.mtu) = (set, path, mtu);
        if old != (set, path, mtu) {
            let change = Change::SetWithoutFlow(set, path, mtu);
            self.changes.push_back(change);
        }
        self.release(old.0);
        result
    }

    fn filter_without_flow(&mut self, is_filtered: bool) {
        if self.without_flow.is_filtered != is_filtered {
            self.without_flow.is_filtered = is_filtered;
            let change = Change::FilterWithoutFlow(is_filtered);
            self.changes.push_back(change);
        }
    }
}

#[cfg(test)]
mod tests;
