//! Quick leave: when the last known member of a group leaves, the group is abandoned until somebody answers its last
//! member procedure. What that means upstream is up to the proxy; the link itself is served as before.

use std::net::Ipv4Addr;

use super::group::Group;
use super::reception::contains;
use super::{FilterMode, Instant, InterfaceParams};
use crate::wire::{GroupRecord, RecordType};

impl Group {
    /// A host of INCLUDE mode leaves by blocking its sources (RFC 9776 section 5.1), a part of those of the group. When
    /// these are all blocked, nothing is left that it could want.
    pub(super) fn is_left_by_blocking(&self, record: &GroupRecord) -> bool {
        let mut sources = self.sources.as_slice().iter();
        self.is_blocked_by(record)
            && sources.all(|source| contains(&record.sources, source.address))
    }

    /// Whether with this record, applied and its queries begun, the last known member left: nothing of the group lasts
    /// longer than its hosts have to answer, and no other host has been heard within a Group Membership Interval.
    pub(super) fn is_abandoned_by(
        &self,
        now: Instant,
        params: &InterfaceParams,
        host: Ipv4Addr,
        record: &GroupRecord,
    ) -> bool {
        let leaves = match record.record_type {
            RecordType::ChangeToInclude => record.sources.is_empty(),
            // Sources that were blocked before count too: a host may leave one after the other.
            _ => self.is_blocked_by(record),
        };
        let answered = now + params.last_member_query_time();
        let interval = params.group_membership_interval();
        leaves
            && !self.is_static()
            && self.ends_by(answered)
            && self.hosts.others(host, now, interval) == 0
    }

    /// A source that somebody wants is blocked. In EXCLUDE mode, who blocks one wants the others.
    fn is_blocked_by(&self, record: &GroupRecord) -> bool {
        let mut blocked = record.sources.iter();
        record.record_type == RecordType::BlockOldSources
            && self.filter_mode == FilterMode::Include
            && blocked.any(|&source| self.sources.get(source).is_some())
    }

    /// No timer of the membership runs beyond `time`.
    pub(super) fn ends_by(&self, time: Instant) -> bool {
        let sources = self.sources.as_slice().iter();
        let mut timers = sources.map(|record| record.timer).chain([self.group_timer]);
        timers.all(|timer| timer.is_none_or(|timer| timer <= time))
    }
}

#[cfg(test)]
mod tests;
