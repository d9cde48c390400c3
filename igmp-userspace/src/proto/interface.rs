//! One downstream interface: what comes in is admitted, counted and handed to the group it is about.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::admission::Admission;
use super::common::Common;
use super::group::Group;
use super::limits::HighWater;
use super::membership::older_record;
use super::querier::Role;
use super::timers::{Deadlines, Timer};
use super::{
    Counter, Counters, Event, EventKind, Host, IfIndex, Instant, InterfaceParams, InterfacePolicy,
    Output,
};
use crate::wire::{self, Query, Received, RecordType, Repr, Version};

/// One interface: its parameters, the querier's role, its groups and its counters.
#[derive(Debug)]
pub struct Interface {
    pub(super) configured: InterfaceParams,
    /// `configured`, but for what a non-querier adopted from the elected querier.
    pub(super) params: InterfaceParams,
    /// Never empty.
    pub(super) addresses: Vec<Ipv4Net>,
    pub(super) alt_subnets: Vec<Ipv4Net>,
    pub(super) policy: InterfacePolicy,
    pub(super) role: Role,
    pub(super) last_general_query: Option<Instant>,
    /// When the specific queries that run now are done, and their answers are in.
    pub(super) asking_until: Instant,
    /// The deadline of `role` that is armed in the router's `Deadlines`.
    pub(super) role_armed: Option<Instant>,
    pub(super) groups: BTreeMap<Ipv4Addr, Group>,
    pub(super) groups_water: HighWater,
    /// Sources of all groups together, static ones included.
    pub(super) source_count: usize,
    pub(super) sources_water: HighWater,
    /// Tracked hosts of all groups together.
    pub(super) host_count: usize,
    /// For prompt-leave or quick leave; [`enforce`](Self::enforce) says.
    pub(super) tracks_hosts: bool,
    /// From when on every member that reports is known, where hosts are tracked.
    pub(super) hosts_known_at: Instant,
    /// Holds the reception of a group while it changes: kept, so that a report allocates nothing.
    pub(super) scratch: Vec<Ipv4Addr>,
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
    pub(super) common: &'a mut Common,
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

    pub(super) fn event(&mut self, kind: EventKind) {
        self.outputs.push_back(Output::Event(Event {
            interface: self.interface,
            kind,
        }));
    }
}

impl Interface {
    /// The parameters in force: those configured, except that a router that is not the querier uses the Robustness
    /// Variable and the Query Interval of the elected one (RFC 9776 sections 4.1.6 and 4.1.7).
    #[must_use]
    pub const fn params(&self) -> &InterfaceParams {
        &self.params
    }

    /// Who the querier is. On standby that is who is heard asking, which may be nobody: then it is not known.
    #[must_use]
    pub fn querier(&self) -> Option<Querier> {
        let (address, is_self) = match self.role {
            Role::Querier { .. } => (self.address(), true),
            Role::NonQuerier { querier, .. } => (querier, false),
            Role::Standby { heard, .. } => (heard?.querier, false),
        };
        Some(Querier { address, is_self })
    }

    /// True while this router is the backup of another gateway here ([`Input::Standby`](super::Input::Standby)).
    #[must_use]
    pub const fn is_standby(&self) -> bool {
        matches!(self.role, Role::Standby { .. })
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

    /// True when this router forwards onto the link: it is the querier (RFC 4605 section 4.2) or on standby, ready to
    /// forward from one moment to the next, or forwards also when it is neither.
    #[must_use]
    pub const fn forwards(&self) -> bool {
        self.acts_as_querier() || self.policy.forward_as_non_querier
    }

    /// The hosts heard of a group, ordered by address; none where hosts are not tracked: it takes
    /// [`PromptLeave::tracked`](super::PromptLeave::tracked) or [`Policy::quick_leave`](super::Policy::quick_leave).
    /// One that falls silent is forgotten with the first General Query after a Group Membership Interval.
    pub fn hosts(&self, group: Ipv4Addr) -> impl Iterator<Item = Host> {
        let group = self.groups.get(&group);
        group.into_iter().flat_map(|group| group.hosts.iter())
    }

    /// What happened here.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// An interface that is to be [started](Self::start). `addresses` is not empty.
    pub(super) fn new(
        cx: &Context<'_>,
        params: InterfaceParams,
        addresses: Vec<Ipv4Net>,
        alt_subnets: Vec<Ipv4Net>,
        policy: InterfacePolicy,
    ) -> Self {
        Self {
            role: Role::starting(cx.now, &params),
            configured: params.clone(),
            params,
            addresses,
            alt_subnets,
            policy,
            last_general_query: None,
            asking_until: Instant::START,
            role_armed: None,
            groups: BTreeMap::new(),
            groups_water: HighWater::default(),
            source_count: 0,
            sources_water: HighWater::default(),
            host_count: 0,
            tracks_hosts: false,
            hosts_known_at: Instant::START,
            scratch: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The interface has just become ready: its querier starts (see [`Role`]), or it is on standby.
    pub(super) fn start(&mut self, cx: &mut Context<'_>, standby: bool) {
        self.hosts_unknown(cx);
        if standby {
            self.enter_standby(cx);
        } else {
            self.send_general_query(cx);
        }
        self.enforce(cx);
    }

    /// Clears all state, as when the interface is gone.
    pub(super) fn stop(mut self, cx: &mut Context<'_>) {
        cx.deadlines
            .set(Timer::Querier(cx.interface), &mut self.role_armed, None);
        cx.common.groups -= self.groups.len();
        cx.common.sources -= self.source_count;
        for (address, mut group) in self.groups {
            cx.deadlines
                .set(Timer::Group(cx.interface, address), &mut group.armed, None);
            cx.membership_changed(address);
            if !group.is_empty() {
                cx.event(EventKind::Left { group: address });
            }
        }
    }

    pub(super) fn receive(&mut self, cx: &mut Context<'_>, packet: Result<Received, wire::Error>) {
        let received = match packet {
            Ok(received) => received,
            Err(error) => return self.counters.count(error.into()),
        };
        self.counters.count(Counter::received(&received.message));
        if let Err(refusal) = self.admission().judge(&mut cx.common.lists, &received) {
            return self.refused(cx, &received, refusal);
        }
        let source = received.source;
        let accepted = match received.message {
            Repr::Query(query) => {
                if query.group.is_unspecified() {
                    self.general_query(cx, source, &query);
                } else {
                    self.specific_query(cx, &query);
                }
                false
            }
            // What these mean in version 3: IS_EX({}), IS_EX({}) and TO_IN({}) (RFC 9776 section 7.3.2).
            Repr::ReportV1 { group } => {
                let record = older_record(RecordType::ModeIsExclude, group);
                self.record(cx, source, Version::V1, record)
            }
            Repr::ReportV2 { group } => {
                let record = older_record(RecordType::ModeIsExclude, group);
                self.record(cx, source, Version::V2, record)
            }
            Repr::Leave { group } => {
                let record = older_record(RecordType::ChangeToInclude, group);
                self.record(cx, source, Version::V2, record)
            }
            Repr::ReportV3(records) => {
                let mut accepted = false;
                for record in records {
                    accepted |= self.record(cx, source, Version::V3, record);
                }
                accepted
            }
        };
        if accepted && self.policy.tell_accepted && !self.is_standby() {
            let interface = cx.interface;
            cx.outputs.push_back(Output::Accepted { interface });
        }
    }

    fn refused(&mut self, cx: &mut Context<'_>, received: &Received, refusal: Counter) {
        self.counters.count(refusal);
        // `alt_subnets` lets hosts in, no routers; and what a list refuses it does not.
        let is_query = matches!(received.message, Repr::Query(_));
        if refusal == Counter::SourceNotAccepted
            && !is_query
            && self.policy.report_sources.is_none()
        {
            let source = received.source;
            cx.event(EventKind::SourceRefused { source });
        }
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.addresses[0].addr()
    }

    pub(super) fn admission(&self) -> Admission<'_> {
        Admission {
            version: self.params.version,
            addresses: &self.addresses,
            alt_subnets: &self.alt_subnets,
            policy: &self.policy,
        }
    }

    pub(super) const fn is_querier(&self) -> bool {
        matches!(self.role, Role::Querier { .. })
    }

    /// The querier, or its like on standby: leaves are acted upon, and timers lowered with what is asked.
    pub(super) const fn acts_as_querier(&self) -> bool {
        self.is_querier() || self.is_standby()
    }

    /// Sends a query of the interface's version; `group` is 0.0.0.0 for a General Query. On standby nothing is sent: it
    /// is the other gateway that asks.
    pub(super) fn send_query(
        &mut self,
        cx: &mut Context<'_>,
        counter: Counter,
        group: Ipv4Addr,
        max_response_time: Duration,
        suppress: bool,
        sources: Vec<Ipv4Addr>,
    ) {
        if self.is_standby() {
            return;
        }
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

#[cfg(test)]
mod tests;
