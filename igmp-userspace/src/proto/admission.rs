//! Which well-formed messages an interface listens to at all. Each refusal is a counter.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::acl::{AccessLists, Question, Verdict};
use super::{AclRef, Counter, InterfacePolicy};
use crate::wire::{self, Received, Repr, Version};

/// What admission needs to know of an interface.
pub(super) struct Admission<'a> {
    pub(super) version: Version,
    pub(super) addresses: &'a [Ipv4Net],
    pub(super) alt_subnets: &'a [Ipv4Net],
    pub(super) policy: &'a InterfacePolicy,
}

impl Admission<'_> {
    /// `Err` is the counter the message is refused under.
    pub(super) fn judge(
        &self,
        lists: &mut AccessLists,
        received: &Received,
    ) -> Result<(), Counter> {
        if version(&received.message) > self.version {
            return Err(Counter::VersionDisabled);
        }
        if is_own(self.addresses, received.source) {
            return Err(Counter::OwnAddress);
        }
        let source = Question::speaker(received.source);
        let is_accepted = if matches!(received.message, Repr::Query(_)) {
            self.accepts_querier(received.source, |list| lists.judge(list, source))
        } else {
            match &self.policy.report_sources {
                Some(list) => lists.judge(list, source).permits(),
                None => is_on_link(self.addresses, self.alt_subnets, received.source),
            }
        };
        if !is_accepted {
            return Err(Counter::SourceNotAccepted);
        }
        if !self.accepts_destination(received) {
            return Err(Counter::WrongDestination);
        }
        if self.policy.require_router_alert && !received.router_alert {
            return Err(Counter::RouterAlert);
        }
        Ok(())
    }

    /// A query from 0.0.0.0 is no router's, whatever the list says: it must not win an election (RFC 4541 section 2.1.1).
    pub(super) fn accepts_querier(
        &self,
        source: Ipv4Addr,
        ask: impl FnOnce(&AclRef) -> Verdict,
    ) -> bool {
        if source.is_unspecified() {
            return false;
        }
        match &self.policy.query_sources {
            Some(list) => ask(list).permits(),
            None => self.addresses.iter().any(|own| own.contains(&source)),
        }
    }

    /// Queries go where RFC 9776 section 4.1.12 sends them. It would also take one sent to our own address, but such a
    /// query reaches no host: all it could do is take the querier's role or starve members who never heard it.
    fn accepts_destination(&self, received: &Received) -> bool {
        let destination = received.destination;
        match &received.message {
            Repr::Query(query) if query.group.is_unspecified() => destination == wire::ALL_SYSTEMS,
            Repr::Query(query) => destination == query.group,
            // Section 4.2.15 also wants version 1 and 2 reports taken that were sent to an address of the interface.
            Repr::ReportV1 { group } | Repr::ReportV2 { group } => {
                destination == *group || is_own(self.addresses, destination)
            }
            // RFC 2236 section 3: some hosts send the Leave to the group.
            Repr::Leave { group } => destination == wire::ALL_ROUTERS || destination == *group,
            Repr::ReportV3(_) => destination == wire::ALL_IGMPV3_ROUTERS,
        }
    }
}

/// One of the interface's own addresses. 0.0.0.0 is nobody's, also where it stands for the address we lack.
pub(super) fn is_own(addresses: &[Ipv4Net], address: Ipv4Addr) -> bool {
    !address.is_unspecified() && addresses.iter().any(|own| own.addr() == address)
}

/// On a subnet of the interface, or on one configured as if it were. A host that has no address yet reports from
/// 0.0.0.0 (RFC 9776 section 4.2.14), and snooping switches report and ask from there (RFC 4541 section 2.1.1).
pub(super) fn is_on_link(addresses: &[Ipv4Net], alt_subnets: &[Ipv4Net], source: Ipv4Addr) -> bool {
    let mut subnets = addresses.iter().chain(alt_subnets);
    source.is_unspecified() || subnets.any(|subnet| subnet.contains(&source))
}

const fn version(message: &Repr) -> Version {
    match message {
        Repr::Query(query) => query.version,
        Repr::ReportV1 { .. } => Version::V1,
        Repr::ReportV2 { .. } | Repr::Leave { .. } => Version::V2,
        Repr::ReportV3(_) => Version::V3,
    }
}

#[cfg(test)]
mod tests;
