//! Which well-formed messages an interface listens to at all. Each refusal is a counter.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::Counter;
use crate::wire::{self, Received, Repr, Version};

/// What admission needs to know of an interface.
pub(super) struct Admission<'a> {
    pub(super) version: Version,
    pub(super) addresses: &'a [Ipv4Net],
    pub(super) alt_subnets: &'a [Ipv4Net],
}

impl Admission<'_> {
    /// `Err` is the counter the message is refused under.
    pub(super) fn judge(&self, received: &Received) -> Result<(), Counter> {
        if version(&received.message) > self.version {
            return Err(Counter::VersionDisabled);
        }
        if self.is_own(received.source) {
            return Err(Counter::OwnAddress);
        }
        if !self.accepts_source(received) {
            return Err(Counter::SourceNotAccepted);
        }
        if !self.accepts_destination(received) {
            return Err(Counter::WrongDestination);
        }
        Ok(())
    }

    /// A host that has no address yet reports from 0.0.0.0 (RFC 9776 section 4.2.14), and so do snooping switches. A
    /// query from there is no router's: it must not win an election (RFC 4541 section 2.1.1).
    fn accepts_source(&self, received: &Received) -> bool {
        if received.source.is_unspecified() {
            return !matches!(received.message, Repr::Query(_));
        }
        self.is_local(received.source)
    }

    /// On a subnet of the interface, or on one configured as if it were.
    pub(super) fn is_local(&self, source: Ipv4Addr) -> bool {
        self.addresses
            .iter()
            .chain(self.alt_subnets)
            .any(|subnet| subnet.contains(&source))
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
                destination == *group || self.is_own(destination)
            }
            // RFC 2236 section 3: some hosts send the Leave to the group.
            Repr::Leave { group } => destination == wire::ALL_ROUTERS || destination == *group,
            Repr::ReportV3(_) => destination == wire::ALL_IGMPV3_ROUTERS,
        }
    }

    fn is_own(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|own| own.addr() == address)
    }
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
