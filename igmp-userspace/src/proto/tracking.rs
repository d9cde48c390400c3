//! Explicit host tracking: who reported a group, so that the leave of one is not taken for the leave of all.
//!
//! It knows those it has heard. Hosts of IGMPv1 and IGMPv2 suppress their reports when another host of the link was
//! faster; where they hear each other, some members stay unknown.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{FilterMode, Instant};
use crate::wire::RecordType;

/// A host that reported a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Host {
    /// Its address; 0.0.0.0 stands for all hosts that have none yet.
    pub address: Ipv4Addr,
    /// The mode it reported last.
    pub filter_mode: FilterMode,
    /// When it last reported the group.
    pub last_heard: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    filter_mode: FilterMode,
    last_heard: Instant,
}

impl Entry {
    fn is_heard(&self, now: Instant, interval: Duration) -> bool {
        now.saturating_since(self.last_heard) < interval
    }
}

/// The hosts heard of one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(BTreeMap<Ipv4Addr, Entry>);

impl Hosts {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Host> {
        self.0.iter().map(|(&address, entry)| Host {
            address,
            filter_mode: entry.filter_mode,
            last_heard: entry.last_heard,
        })
    }

    /// `host` reported interest. False when it would be one more and there is no room.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        host: Ipv4Addr,
        record_type: RecordType,
        has_room: bool,
    ) -> bool {
        let known = self.0.get(&host).map(|entry| entry.filter_mode);
        if known.is_none() && !has_room {
            return false;
        }
        let filter_mode = match record_type {
            RecordType::ModeIsExclude | RecordType::ChangeToExclude => FilterMode::Exclude,
            RecordType::ChangeToInclude => FilterMode::Include,
            // A host in EXCLUDE mode says IS_IN in answer to a query for sources (RFC 9776 section 5.2).
            RecordType::ModeIsInclude
            | RecordType::AllowNewSources
            | RecordType::BlockOldSources => known.unwrap_or(FilterMode::Include),
        };
        self.0.insert(
            host,
            Entry {
                filter_mode,
                last_heard: now,
            },
        );
        true
    }

    /// `host` left. Of hosts without an address one leaves, and nobody knows which.
    pub(super) fn left(&mut self, host: Ipv4Addr) {
        if !host.is_unspecified() {
            self.0.remove(&host);
        }
    }

    /// How many but `leaving` have been heard less than `interval` ago.
    pub(super) fn others(&self, leaving: Ipv4Addr, now: Instant, interval: Duration) -> usize {
        self.0
            .iter()
            .filter(|(host, entry)| {
                entry.is_heard(now, interval) && (**host != leaving || leaving.is_unspecified())
            })
            .count()
    }

    /// Forgets those not heard for `interval`.
    pub(super) fn forget_silent(&mut self, now: Instant, interval: Duration) {
        self.0.retain(|_, entry| entry.is_heard(now, interval));
    }
}

#[cfg(test)]
mod tests;
