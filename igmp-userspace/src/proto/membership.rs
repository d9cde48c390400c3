//! What reports, leaves and specific queries do to the groups of an interface.

use std::net::Ipv4Addr;

use super::compat;
use super::group::{Group, Queries, expresses_interest};
use super::interface::{Context, Interface};
use super::specific_query::SpecificQuery;
use super::timers::Timer;
use super::{Counter, FilterMode, InterfaceParams};
use crate::wire::{GroupRecord, Query, RecordType, Version};

/// Groups an interface holds; reports for more are refused.
pub(super) const MAX_GROUPS: usize = 65_536;
/// Sources a group holds; more are refused.
pub(super) const MAX_SOURCES_PER_GROUP: usize = 1_024;
/// Sources all groups of an interface hold together: bounds what a flood of reports can cost to a few MiB.
pub(super) const MAX_SOURCES: usize = 131_072;

impl Interface {
    /// A Leave means TO_IN({}) (section 7.3.2), and only the querier acts on it (RFC 2236 section 3).
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, host: Ipv4Addr, group: Ipv4Addr) {
        if self.is_querier() {
            let record = older_record(RecordType::ChangeToInclude, group);
            self.record(cx, host, Version::V2, record);
        } else {
            self.counters.count(Counter::NotQuerier);
        }
    }

    /// One group record of a message of `version`, or what a message of an older version stands for.
    pub(super) fn record(
        &mut self,
        cx: &mut Context<'_>,
        reporter: Ipv4Addr,
        version: Version,
        record: GroupRecord,
    ) {
        let GroupRecord {
            record_type,
            group: address,
            sources,
        } = record;
        let interest = expresses_interest(record_type, &sources);
        if !self.groups.contains_key(&address) {
            if !interest {
                return; // INCLUDE({}) stays INCLUDE({}), and there is nobody to ask
            }
            if self.groups.len() >= MAX_GROUPS {
                return self.counters.count(Counter::GroupLimit);
            }
        }
        let (now, is_querier) = (cx.now, self.is_querier());
        let spare = MAX_SOURCES.saturating_sub(self.source_count);
        let mut ignored = false;
        let mut refused = 0;
        self.change_group(cx, address, |group, params| {
            if interest {
                group.last_reporter = Some(reporter);
                group
                    .older_hosts
                    .heard(version, now + params.older_host_present_interval());
                if params.version < Version::V3 {
                    group.stop_queries(); // RFC 2236 section 7; it has no S flag to go on asking with
                }
            }
            let Some((record_type, sources)) =
                compat::in_mode(group.compatibility(), record_type, &sources)
            else {
                ignored = true;
                return Vec::new();
            };
            let (sources, left_out) = within_limits(group, record_type, sources, spare);
            refused = left_out;
            let gmi = now + params.group_membership_interval();
            let queries = group.apply(record_type, &sources, gmi);
            // Only the querier asks (section 6.6.2); the others lower their timers when they hear it ask.
            if is_querier && params.version > Version::V1 {
                return group.start_queries(
                    now,
                    params,
                    &without_sources_before_v3(params, queries),
                );
            }
            Vec::new()
        });
        if ignored {
            self.counters.count(Counter::OlderHostPresent);
        }
        self.counters.add(Counter::SourceLimit, refused);
    }

    /// A Group-Specific or Group-and-Source-Specific Query of another router (section 6.6.1).
    pub(super) fn specific_query(&mut self, cx: &mut Context<'_>, query: &Query) {
        if self.is_querier() {
            return self.counters.count(Counter::QueryWhileQuerier);
        }
        self.adopt(query);
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
    fn change_group(
        &mut self,
        cx: &mut Context<'_>,
        address: Ipv4Addr,
        change: impl FnOnce(&mut Group, &InterfaceParams) -> Vec<SpecificQuery>,
    ) {
        let group = self
            .groups
            .entry(address)
            .or_insert_with(|| Group::new(cx.now));
        let before = reception(group);
        let sources_before = group.sources.len();
        let queries = change(group, &self.params);
        let changed = reception(group) != before;
        self.source_count = self.source_count - sources_before + group.sources.len();

        let is_empty = group.is_empty();
        let deadline = if is_empty {
            None
        } else {
            group.next_deadline()
        };
        cx.deadlines.set(
            Timer::Group(cx.interface, address),
            &mut group.armed,
            deadline,
        );
        if is_empty {
            self.groups.remove(&address);
        }
        if changed {
            cx.membership_changed(address);
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
        let (now, is_querier) = (cx.now, self.is_querier());
        self.change_group(cx, address, |group, params| {
            group.expire(now);
            if is_querier {
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

/// What decides about forwarding, to be compared.
fn reception(group: &Group) -> (FilterMode, Vec<Ipv4Addr>) {
    (group.filter_mode, group.reception().sources().collect())
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

/// The sources of a record, sorted, each once, without those beyond the limits; and how many were left out.
///
/// Leaving a source out is safe whatever the record: a newcomer is not forwarded (INCLUDE), or not blocked (EXCLUDE).
fn within_limits(
    group: &Group,
    record_type: RecordType,
    sources: &[Ipv4Addr],
    spare: usize,
) -> (Vec<Ipv4Addr>, u64) {
    let mut sources = sources.to_vec();
    sources.sort_unstable();
    sources.dedup();
    let held = group.sources.len();
    let mut room = MAX_SOURCES_PER_GROUP.min(held + spare);
    let before = sources.len();
    if matches!(
        record_type,
        RecordType::ModeIsExclude | RecordType::ChangeToExclude
    ) {
        sources.truncate(room); // these replace the list
    } else {
        room = room.saturating_sub(held);
        sources.retain(|&source| {
            if group.sources.get(source).is_some() {
                return true;
            }
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        });
    }
    let left_out = before - sources.len();
    (sources, left_out as u64)
}

#[cfg(test)]
mod tests;
