//! Which well-formed messages the upstream interface, where this router is a host, listens to. Each refusal is a counter.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::Counter;
use super::admission::{is_on_link, is_own};
use crate::wire::{self, Received, Repr};

/// What admission needs to know of the upstream interface.
pub(super) struct UpstreamAdmission<'a> {
    pub(super) addresses: &'a [Ipv4Net],
    pub(super) alt_subnets: &'a [Ipv4Net],
}

impl UpstreamAdmission<'_> {
    /// `Err` is the counter the message is refused under. `SourceNotAccepted` always means that `alt_subnets` would let
    /// it in.
    ///
    /// The version is no reason: a host answers a query of a higher version than its own as one of its own (RFC 2236
    /// section 2.5).
    pub(super) fn judge(&self, received: &Received) -> Result<(), Counter> {
        if is_own(self.addresses, received.source) {
            return Err(Counter::OwnAddress);
        }
        let is_for_us = match &received.message {
            Repr::Query(query) => self.is_asked(query.group, received.destination),
            // What silences our own report is one that the whole link has heard (RFC 2236 section 6).
            Repr::ReportV1 { group } | Repr::ReportV2 { group } => received.destination == *group,
            Repr::ReportV3(_) | Repr::Leave { .. } => return Err(Counter::ForRouters),
        };
        if !is_on_link(self.addresses, self.alt_subnets, received.source) {
            return Err(Counter::SourceNotAccepted);
        }
        if !is_for_us {
            return Err(Counter::WrongDestination);
        }
        Ok(())
    }

    /// A host must answer a query sent to any address of the interface (RFC 9776 section 4.1.12). All it brings about is
    /// a report.
    fn is_asked(&self, group: Ipv4Addr, destination: Ipv4Addr) -> bool {
        destination == wire::ALL_SYSTEMS
            || is_own(self.addresses, destination)
            || (destination == group && !group.is_unspecified())
    }
}

#[cfg(test)]
mod tests;
