//! One downstream interface: what comes in is admitted, counted and handed to the group it is about.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::admission::Admission;
use super::compat;
use super::group::{Group, Queries, expresses_interest};
use super::querier::Role;
use super::specific_query::SpecificQuery;
use super::timers::{Deadlines, Timer};
use super::{Counter, Counters, FilterMode, IfIndex, Instant, InterfaceParams, Output};
use crate::wire::{self, GroupRecord, Query, Received, RecordType, Repr, Version};

/// Groups an interface holds; reports for more are refused.
pub(super) const MAX_GROUPS: usize = 65_536;
/// Sources a group holds; more are refused. (RFC 9776 section 4.2.17: four full reports.)
pub(super) const MAX_SOURCES_PER_GROUP: usize = 1_024;
/// Sources all groups of an interface hold together: bounds what a flood of reports can cost to a few MiB.
pub(super) const MAX_SOURCES: usize = 131_072;

/// One interface: its parameters, the querier's role, its groups and its counters.
#[derive(Debug)]
pub struct Interface {
    pub(super) configured: InterfaceParams,
    /// `configured`, but for what a non-querier adopted from the elected querier.
    pub(super) params: InterfaceParams,
    /// Never empty.
    pub(super) addresses: Vec<Ipv4Net>,
    pub(super) alt_subnets: Vec<Ipv4Net>,
    pub(super) role: Role,
    pub(super) last_general_query: Option<Instant>,
    /// The deadline of `role` that is armed in the router's `Deadlines`.
    pub(super) role_armed: Option<Instant>,
    pub(super) groups: BTreeMap<Ipv4Addr, Group>,
    /// Sources of all groups together.
    source_count: usize,
    pub(super) counters: Counters,
}

/// The elected querier of a link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Querier {
    /// Its address.
    pub address: Ipv4Addr,
    /// True when it is this router.
    pub is_self: bool,
}

/// When and where something happens, and where its effects go.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) interface: IfIndex,
    pub(super) deadlines: &'a mut Deadlines,
    pub(super) outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    pub(super) fn membership_changed(&mut self, group: Ipv4Addr) {
        self.outputs.push_back(Output::MembershipChanged {
            interface: self.interface,
            group,
        });
    }
}

impl Interface {
    /// The parameters in force: those configured, except that a router that is not the querier uses the Robustness
    /// Variable and the Query Interval of the elected one (RFC 9776 sections 4.1.6 and 4.1.7).
    #[must_use]
    pub const fn params(&self) -> &InterfaceParams {
        &self.params
    }

    /// Who the querier is.
    #[must_use]
    pub fn querier(&self) -> Querier {
        match self.role {
            Role::Querier { .. } => Querier {
                address: self.address(),
                is_self: true,
            },
            Role::NonQuerier { querier, .. } => Querier {
                address: querier,
                is_self: false,
            },
        }
    }

    /// The state of a group; `None` when nobody wants it.
    #[must_use]
    pub fn group(&self, group: Ipv4Addr) -> Option<&Group> {
        self.groups.get(&group)
    }

    /// Every group somebody wants, ordered by address.
    pub fn groups(&self) -> impl Iterator<Item = (Ipv4Addr, &Group)> {
        self.groups.iter().map(|(&address, group)| (address, group))
    }

    /// How many groups somebody wants.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// What happened here.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// An interface that has just become ready: its querier starts (see [`Role`]). `addresses` is not empty.
    pub(super) fn start(
        cx: &mut Context<'_>,
        params: InterfaceParams,
        addresses: Vec<Ipv4Net>,
        alt_subnets: Vec<Ipv4Net>,
    ) -> Self {
        let mut interface = Self {
            role: Role::starting(cx.now, &params),
            configured: params.clone(),
            params,
            addresses,
            alt_subnets,
            last_general_query: None,
            role_armed: None,
            groups: BTreeMap::new(),
            source_count: 0,
            counters: Counters::default(),
        };
        interface.send_general_query(cx);
        interface
    }

    /// Clears all state, as when the interface is gone.
    pub(super) fn stop(mut self, cx: &mut Context<'_>) {
        cx.deadlines
            .set(Timer::Querier(cx.interface), &mut self.role_armed, None);
        for (address, mut group) in self.groups {
            cx.deadlines
                .set(Timer::Group(cx.interface, address), &mut group.armed, None);
            cx.membership_changed(address);
        }
    }

    pub(super) fn receive(&mut self, cx: &mut Context<'_>, packet: Result<Received, wire::Error>) {
        let received = match packet {
            Ok(received) => received,
            Err(error) => return self.counters.count(error.into()),
        };
        self.counters.count(Counter::received(&received.message));
        if let Err(refusal) = self.admission().judge(&received) {
            return self.counters.count(refusal);
        }
        let source = received.source;
        match received.message {
            Repr::Query(query) if query.group.is_unspecified() => {
                self.general_query(cx, source, &query)
            }
            Repr::Query(query) => self.specific_query(cx, &query),
            Repr::ReportV1 { group } => self.older_report(cx, source, group, Version::V1),
            Repr::ReportV2 { group } => self.older_report(cx, source, group, Version::V2),
            Repr::Leave { group } => self.leave(cx, source, group),
            Repr::ReportV3(records) => {
                for GroupRecord {
                    record_type,
                    group,
                    sources,
                } in records
                {
                    self.record(cx, source, group, Version::V3, record_type, sources);
                }
            }
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

    pub(super) fn address(&self) -> Ipv4Addr {
        self.addresses[0].addr()
    }

    pub(super) fn admission(&self) -> Admission<'_> {
        Admission {
            version: self.params.version,
            addresses: &self.addresses,
            alt_subnets: &self.alt_subnets,
        }
    }

    pub(super) const fn is_querier(&self) -> bool {
        matches!(self.role, Role::Querier { .. })
    }

    /// A report of IGMPv1 or IGMPv2 means IS_EX({}) (section 7.3.2).
    fn older_report(
        &mut self,
        cx: &mut Context<'_>,
        reporter: Ipv4Addr,
        group: Ipv4Addr,
        version: Version,
    ) {
        self.record(
            cx,
            reporter,
            group,
            version,
            RecordType::ModeIsExclude,
            Vec::new(),
        );
    }

    /// A Leave means TO_IN({}) (section 7.3.2), and only the querier acts on it (RFC 2236 section 3).
    fn leave(&mut self, cx: &mut Context<'_>, host: Ipv4Addr, group: Ipv4Addr) {
        if !self.is_querier() {
            return self.counters.count(Counter::NotQuerier);
        }
        self.record(
            cx,
            host,
            group,
            Version::V2,
            RecordType::ChangeToInclude,
            Vec::new(),
        );
    }

    /// One group record, or what a message of an older version stands for.
    fn record(
        &mut self,
        cx: &mut Context<'_>,
        reporter: Ipv4Addr,
        address: Ipv4Addr,
        version: Version,
        record_type: RecordType,
        sources: Vec<Ipv4Addr>,
    ) {
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
    fn specific_query(&mut self, cx: &mut Context<'_>, query: &Query) {
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

    /// Sends a query of the interface's version; `group` is 0.0.0.0 for a General Query.
    pub(super) fn send_query(
        &mut self,
        cx: &mut Context<'_>,
        counter: Counter,
        group: Ipv4Addr,
        max_response_time: Duration,
        suppress: bool,
        sources: Vec<Ipv4Addr>,
    ) {
        let version = self.params.version;
        let is_v3 = version == Version::V3;
        let query = Query {
            version,
            max_response_time: if version == Version::V1 {
                V1_MAX_RESPONSE_TIME
            } else {
                max_response_time
            },
            group,
            suppress_router_side_processing: is_v3 && suppress,
            robustness: if is_v3 { self.params.robustness } else { 0 },
            query_interval: if is_v3 {
                self.params.query_interval
            } else {
                Duration::ZERO
            },
            sources,
        };
        self.counters.count(counter);
        cx.outputs.push_back(Output::Transmit {
            interface: cx.interface,
            source: self.address(),
            destination: if group.is_unspecified() {
                wire::ALL_SYSTEMS
            } else {
                group
            },
            message: Repr::Query(query),
        });
    }
}

/// RFC 2236 section 4: what hosts understand by an IGMPv1 query, which has no room to say a time.
const V1_MAX_RESPONSE_TIME: Duration = Duration::from_secs(10);

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
