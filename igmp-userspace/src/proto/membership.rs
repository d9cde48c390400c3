//! What reports, leaves and specific queries do to the groups of an interface.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::compat;
use super::group::{Group, Queries, expresses_interest};
use super::interface::{Context, Interface};
use super::specific_query::SpecificQuery;
use super::timers::Timer;
use super::{Counter, EventKind, IgnoreCause, Instant, InterfaceParams, LeaveDecision};
use crate::wire::{GroupRecord, Query, RecordType, Version};

/// Sources a group holds; more are refused.
pub(super) const MAX_SOURCES_PER_GROUP: usize = 1_024;
/// Hosts tracked for all groups of an interface together: bounds what a flood of reports from forged addresses can cost
/// to a few MiB.
pub(super) const MAX_TRACKED_HOSTS: usize = 131_072;

impl Interface {
    /// One group record of a message of `version`, or what a message of an older version stands for. True when it was
    /// acted upon.
    pub(super) fn record(
        &mut self,
        cx: &mut Context<'_>,
        reporter: Ipv4Addr,
        version: Version,
        record: GroupRecord,
    ) -> bool {
        let is_leave =
            record.record_type == RecordType::ChangeToInclude && record.sources.is_empty();
        if is_leave {
            match self.leave(cx, reporter, version, record.group) {
                LeaveDecision::Query(_) => {}
                // Ignored or not, who left is no longer a member.
                LeaveDecision::Prompt(_) | LeaveDecision::Ignored(IgnoreCause::OlderHost) => {
                    return true;
                }
                LeaveDecision::Ignored(IgnoreCause::NoMember | IgnoreCause::NotQuerier) => {
                    return false;
                }
            }
        }
        self.screen(cx, version, record)
            .is_some_and(|record| self.apply(cx, Some(reporter), version, &record))
    }

    /// What [`screen`](Self::screen) has let in; without a reporter nobody knows who wants it. True when it was acted
    /// upon, even if that changed nothing but timers.
    pub(super) fn apply(
        &mut self,
        cx: &mut Context<'_>,
        reporter: Option<Ipv4Addr>,
        version: Version,
        record: &GroupRecord,
    ) -> bool {
        let GroupRecord {
            record_type,
            group: address,
            ref sources,
        } = *record;
        let interest = expresses_interest(record_type, sources);
        let is_new = !self.groups.contains_key(&address);
        if is_new {
            if !interest {
                return false; // INCLUDE({}) stays INCLUDE({}), and there is nobody to ask
            }
            if self.group_limit_reached(cx) {
                return false;
            }
        }
        let (now, acts_as_querier) = (cx.now, self.acts_as_querier());
        let spare = self.spare_sources(cx);
        let (tracks_hosts, quick_leave) = (self.tracks_hosts, cx.common.policy.quick_leave);
        let has_room = self.host_count < MAX_TRACKED_HOSTS;
        let mut untracked = false;
        let mut ignored = false;
        let mut refused = 0;
        self.change_group(cx, address, |group, params| {
            if interest {
                group.abandoned = false;
                group.last_reporter = reporter.or(group.last_reporter);
                group
                    .older_hosts
                    .heard(version, now + params.older_host_present_interval());
                if params.version < Version::V3 {
                    group.stop_queries(); // RFC 2236 section 7; it has no S flag to go on asking with
                }
                if let Some(reporter) = reporter.filter(|_| tracks_hosts) {
                    untracked = !group.hosts.heard(now, reporter, record_type, has_room);
                }
            }
            let Some((record_type, sources)) =
                compat::in_mode(group.compatibility(), record_type, sources)
            else {
                ignored = true;
                return Vec::new();
            };
            let sources = within_limits(group, record_type, sources, spare);
            refused = record.sources.len() - sources.len();
            if let Some(reporter) = reporter.filter(|_| group.is_left_by_blocking(record)) {
                group.hosts.left(reporter);
            }
            let gmi = now + params.group_membership_interval();
            let queries = group.apply(record_type, &sources, gmi);
            // Only the querier asks (section 6.6.2); the others lower their timers when they hear it ask.
            if !acts_as_querier || params.version == Version::V1 {
                return Vec::new();
            }
            let queries = without_sources_before_v3(params, queries);
            let queries = group.start_queries(now, params, &queries);
            if let Some(reporter) = reporter.filter(|_| quick_leave) {
                group.abandoned |= group.is_abandoned_by(now, params, reporter, record);
            }
            queries
        });
        if ignored {
            self.counters.count(Counter::OlderHostPresent);
        }
        if untracked {
            self.counters.count(Counter::HostLimit);
            self.hosts_unknown(cx);
        }
        self.counters.add(Counter::SourceLimit, refused as u64);
        let says_something = record_type == RecordType::ChangeToInclude || !sources.is_empty();
        let acted = interest || (says_something && !ignored);
        acted && (!is_new || self.groups.contains_key(&address))
    }

    /// Hosts are tracked from now on, or one may have been missed: until every host has had to report again, a leave
    /// may not be the last member's.
    pub(super) fn hosts_unknown(&mut self, cx: &Context<'_>) {
        self.hosts_known_at = cx.now + self.params.group_membership_interval();
    }

    /// Once a query round: hosts that were switched off never leave.
    pub(super) fn forget_silent_hosts(&mut self, now: Instant) {
        if self.host_count == 0 {
            return;
        }
        let interval = self.params.group_membership_interval();
        self.host_count = 0;
        for group in self.groups.values_mut() {
            group.hosts.forget_silent(now, interval);
            self.host_count += group.hosts.len();
        }
    }

    /// A Group-Specific or Group-and-Source-Specific Query of another router (section 6.6.1).
    ///
    /// On standby too: with the S flag clear the querier says that its own timers are that low (section 6.6.3.1), so this
    /// can only bring ours nearer to them. Where the leave was copied they are that low already.
    pub(super) fn specific_query(&mut self, cx: &mut Context<'_>, query: &Query) {
        if self.is_querier() {
            return self.counters.count(Counter::QueryWhileQuerier);
        }
        if !self.is_standby() {
            self.adopt(query.robustness, query.query_interval);
        }
        if query.suppress_router_side_processing || !self.groups.contains_key(&query.group) {
            return;
        }
        let now = cx.now;
        self.change_group(cx, query.group, |group, params| {
            let time = match query.version {
                Version::V3 => params.last_member_query_time(),
                // RFC 2236 section 3: [Last Member Query Count] times the Max Response Time in the message.
                Version::V1 | Version::V2 => query
                    .max_response_time
                    .saturating_mul(u32::from(params.last_member_query_count())),
            };
            group.lower_timers(now, time, &query.sources);
            Vec::new()
        });
    }

    /// Changes the state of a group, created when it is not there and deleted when nothing is left of it; tells what
    /// that means for forwarding, sends the queries that `change` returns, and arms the group's deadline.
    pub(super) fn change_group(
        &mut self,
        cx: &mut Context<'_>,
        address: Ipv4Addr,
        change: impl FnOnce(&mut Group, &InterfaceParams) -> Vec<SpecificQuery>,
    ) {
        let groups_before = self.groups.len();
        let group = self
            .groups
            .entry(address)
            .or_insert_with(|| Group::new(cx.now));
        let had_members = !group.is_empty();
        let hosts_before = group.hosts.len();
        let sources_before = group.source_count();
        let mode_before = group.filter_mode();
        let was_abandoned = group.abandoned;
        self.scratch.clear();
        self.scratch.extend(group.reception().sources());

        let queries = change(group, &self.params);

        let has_members = !group.is_empty();
        if !has_members {
            group.forget_members();
        }
        let reception = group.reception();
        let changed = group.abandoned != was_abandoned
            || reception.filter_mode != mode_before
            || !reception.sources().eq(self.scratch.iter().copied());
        let sources = group.source_count();
        self.host_count = self.host_count - hosts_before + group.hosts.len();
        self.source_count = self.source_count - sources_before + sources;
        cx.common.sources = cx.common.sources - sources_before + sources;
        if !queries.is_empty() {
            let done = group.asking_until(cx.now, &self.params);
            self.asking_until = self.asking_until.max(done);
        }
        let deadline = if has_members {
            group.next_deadline()
        } else {
            None
        };
        cx.deadlines.set(
            Timer::Group(cx.interface, address),
            &mut group.armed,
            deadline,
        );
        let reporter = group.last_reporter;
        if !has_members && !group.is_static() {
            self.groups.remove(&address);
        }
        cx.common.groups = cx.common.groups - groups_before + self.groups.len();
        if changed {
            cx.membership_changed(address);
        }
        match (had_members, has_members) {
            (false, true) => cx.event(EventKind::Joined {
                group: address,
                host: reporter.unwrap_or(Ipv4Addr::UNSPECIFIED),
            }),
            (true, false) => cx.event(EventKind::Left { group: address }),
            (true, true) | (false, false) => {}
        }
        if (sources, self.groups.len()) != (sources_before, groups_before) {
            self.check_limits(cx);
        }
        for SpecificQuery { suppress, sources } in queries {
            let counter = if sources.is_empty() {
                Counter::SentGroupQuery
            } else {
                Counter::SentGroupAndSourceQuery
            };
            let time = self.params.last_member_query_interval;
            self.send_query(cx, counter, address, time, suppress, sources);
        }
    }

    /// The deadline of a group has come.
    pub(super) fn group_timeout(&mut self, cx: &mut Context<'_>, address: Ipv4Addr) {
        let Some(group) = self.groups.get_mut(&address) else {
            return;
        };
        group.armed = None;
        let (now, acts_as_querier) = (cx.now, self.acts_as_querier());
        self.change_group(cx, address, |group, params| {
            group.expire(now);
            if acts_as_querier {
                return group.continue_queries(now, params);
            }
            group.stop_queries();
            Vec::new()
        });
    }
}

/// The record without sources that a message of IGMPv1 or IGMPv2 stands for.
pub(super) const fn older_record(record_type: RecordType, group: Ipv4Addr) -> GroupRecord {
    GroupRecord {
        record_type,
        group,
        sources: Vec::new(),
    }
}

/// Group-and-Source-Specific Queries exist in version 3 only: an interface set to an older version while groups still
/// have sources lets their timers run out.
fn without_sources_before_v3(params: &InterfaceParams, queries: Queries) -> Queries {
    if params.version == Version::V3 {
        queries
    } else {
        Queries {
            sources: Vec::new(),
            ..queries
        }
    }
}

/// The sources of a record (sorted, each once) without those beyond the limits.
///
/// Leaving a source out is safe whatever the record: a newcomer is not forwarded (INCLUDE), or not blocked (EXCLUDE).
pub(super) fn within_limits<'a>(
    group: &Group,
    record_type: RecordType,
    sources: &'a [Ipv4Addr],
    spare: usize,
) -> Cow<'a, [Ipv4Addr]> {
    let held = group.sources.len();
    let room = MAX_SOURCES_PER_GROUP.min(held + spare);
    if matches!(
        record_type,
        RecordType::ModeIsExclude | RecordType::ChangeToExclude
    ) {
        return Cow::Borrowed(&sources[..room.min(sources.len())]); // these replace the list
    }
    let mut room = room.saturating_sub(held);
    let is_new = |source: &Ipv4Addr| group.sources.get(*source).is_none();
    if sources.len() <= room || sources.iter().filter(|source| is_new(source)).count() <= room {
        return Cow::Borrowed(sources);
    }
    let mut sources = sources.to_vec();
    sources.retain(|source| {
        if !is_new(source) {
            return true;
        }
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits
    });
    Cow::Owned(sources)
}

#[cfg(test)]
mod tests;
