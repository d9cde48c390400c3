//! The host side of IGMP on the upstream interface (RFC 9776 section 5, RFC 2236 section 6).
//!
//! ```text
//! handle_subscription --+-- version_3: change, response ---+
//! handle_query          |                                  +--> poll_output
//! handle_report_heard --+-- older_versions: older ---------+
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;

use super::super::compat::OlderHosts;
use super::super::random::Random;
use super::super::timers::Deadlines;
use super::super::{Instant, InterfaceParams};
use super::member::Member;
use super::{Membership, State, Subscription};
use crate::wire::{ALL_IGMPV3_ROUTERS, GroupRecord, Query, Repr, Version};

mod older_versions;
mod version_3;

/// What the world must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send `message` out of the upstream interface. A version 3 report may need [`split`](crate::wire::split()).
    Transmit {
        /// IPv4 destination, from which the link-layer address follows.
        destination: Ipv4Addr,
        /// The message.
        message: Repr,
    },
}

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Timer {
    /// The earliest of the Older Version Querier Present timers.
    OlderQueriers,
    /// The interface timer of section 5.2: the response to a General Query.
    GeneralResponse,
    /// The earliest of everything one group waits for.
    Group(Ipv4Addr),
}

/// The host on one upstream interface.
///
/// State changes only through the `handle_` calls; after each the caller drains [`poll_output`](Self::poll_output) to
/// `None` and sleeps until [`poll_timeout`](Self::poll_timeout). What is drained together goes out together: a thousand
/// groups joined between two drains are one version 3 report.
#[derive(Debug)]
pub struct Host {
    params: InterfaceParams,
    random: Random,
    /// The IGMPv1- and IGMPv2-Querier-Present timers (RFC 9776 section 7.2.1), which are like those of older hosts.
    older_queriers: OlderHosts,
    older_queriers_armed: Option<Instant>,
    querier: Option<Ipv4Addr>,
    groups: BTreeMap<Ipv4Addr, Member>,
    general_response: Option<Instant>,
    deadlines: Deadlines<Timer>,
    /// When it was drawn, and when what was first reported then is reported again.
    retransmission: Option<(Instant, Instant)>,
    records: Vec<GroupRecord>,
    older_messages: VecDeque<Output>,
}

impl Host {
    /// A host without memberships. Of `params` it uses the version, which is the highest it speaks, the Robustness
    /// Variable and the Query Interval. `seed` decides the random delays, so it must differ from host to host.
    #[must_use]
    pub fn new(params: InterfaceParams, seed: u64) -> Self {
        Self {
            params,
            random: Random::seeded(seed),
            older_queriers: OlderHosts::default(),
            older_queriers_armed: None,
            querier: None,
            groups: BTreeMap::new(),
            general_response: None,
            deadlines: Deadlines::default(),
            retransmission: None,
            records: Vec::new(),
            older_messages: VecDeque::new(),
        }
    }

    /// Host Compatibility Mode (RFC 9776 section 7.2.1): the version of the reports.
    #[must_use]
    pub fn mode(&self) -> Version {
        self.older_queriers.mode().min(self.params.version)
    }

    /// Who sent the last General Query.
    #[must_use]
    pub const fn querier(&self) -> Option<Ipv4Addr> {
        self.querier
    }

    /// The groups that we are a member of, by address.
    pub fn memberships(&self) -> impl Iterator<Item = Membership<'_>> {
        self.members().map(|(group, member)| {
            let waits = self.general_response.is_some() || member.next_deadline().is_some();
            Membership {
                group,
                state: if waits { State::Delaying } else { State::Idle },
                subscription: &member.subscription,
            }
        })
    }

    /// Whether anything is wanted of `group`.
    #[must_use]
    pub fn is_member(&self, group: Ipv4Addr) -> bool {
        let member = self.groups.get(&group);
        member.is_some_and(|member| !member.subscription.is_nothing())
    }

    /// `wanted` is what is wanted of `group` from now on; `None` is nothing (so is INCLUDE of no source).
    pub fn handle_subscription(
        &mut self,
        now: Instant,
        group: Ipv4Addr,
        wanted: Option<Subscription>,
    ) {
        let wanted = wanted.unwrap_or_else(Subscription::nothing);
        if wanted.is_nothing() && !self.groups.contains_key(&group) {
            return;
        }
        let member = self.groups.entry(group).or_default();
        if member.subscription == wanted {
            return;
        }
        let before = std::mem::replace(&mut member.subscription, wanted);
        if member.subscription.is_nothing() {
            member.response = None;
        }
        if self.mode() == Version::V3 {
            self.report_change(now, group, &before);
        } else {
            self.report_older_change(now, group, &before);
        }
    }

    /// `query` was received from `source`. Whether it may be (its TTL, its Router Alert option, who sends queries
    /// there) was judged before.
    pub fn handle_query(&mut self, now: Instant, query: &Query, source: Ipv4Addr) {
        if query.group.is_unspecified() {
            self.querier = Some(source);
            self.note_version(now, query);
        }
        if self.mode() == Version::V3 {
            self.schedule_response(now, query);
        } else {
            self.schedule_older_reports(now, query);
        }
    }

    /// A version 1 or 2 report of another host for `group` was received.
    pub fn handle_report_heard(&mut self, group: Ipv4Addr) {
        // In version 3 nobody's report silences another's (RFC 9776 section 5).
        if self.mode() == Version::V3 {
            return;
        }
        if let Some(member) = self.groups.get_mut(&group) {
            member.older.report_heard();
            self.settle(group);
        }
    }

    /// The link is up again, or has another address: whoever is there may know nothing of us, so every membership is
    /// reported as if it were new. The Older Version Querier Present timers run on, for it may be the same querier.
    pub fn handle_link_up(&mut self, now: Instant) {
        self.set_general_response(None);
        let groups: Vec<_> = self.members().map(|(group, _)| group).collect();
        for group in groups {
            if let Some(member) = self.groups.get_mut(&group) {
                member.response = None;
            }
            if self.mode() == Version::V3 {
                self.report_change(now, group, &Subscription::nothing());
            } else {
                self.report_older_change(now, group, &Subscription::nothing());
            }
        }
    }

    /// Carries out what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for timer in self.deadlines.take_due(now) {
            match timer {
                Timer::OlderQueriers => {
                    self.older_queriers_armed = None;
                    self.change_mode(|queriers| queriers.expire(now));
                }
                // It can have been cancelled by what was due before it; the same holds for groups.
                Timer::GeneralResponse => {
                    if self.general_response.take_if(|at| *at <= now).is_some() {
                        self.respond_to_general_query();
                    }
                }
                Timer::Group(group) => self.group_timeout(now, group),
            }
        }
    }

    /// The next thing to do, until there is nothing.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.records.is_empty() {
            return self.older_messages.pop_front();
        }
        Some(Output::Transmit {
            destination: ALL_IGMPV3_ROUTERS,
            message: Repr::ReportV3(std::mem::take(&mut self.records)),
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; every `handle_` call may change it.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Without the groups that are only still being left.
    fn members(&self) -> impl Iterator<Item = (Ipv4Addr, &Member)> {
        let groups = self.groups.iter().map(|(&group, member)| (group, member));
        groups.filter(|(_, member)| !member.subscription.is_nothing())
    }

    /// Older Version Querier Present (RFC 9776 sections 7.2.1 and 8.12), set by General Queries alone.
    fn note_version(&mut self, now: Instant, query: &Query) {
        let InterfaceParams {
            query_interval,
            robustness,
            ..
        } = self.params;
        let until = query_interval
            .saturating_mul(u32::from(robustness))
            .saturating_add(query.max_response_time.saturating_mul(10));
        self.change_mode(|queriers| queriers.heard(query.version, now + until));
    }

    /// Whenever the mode changes, pending responses and retransmissions are cancelled (RFC 9776 section 7.2.1).
    fn change_mode(&mut self, change: impl FnOnce(&mut OlderHosts)) {
        let before = self.mode();
        change(&mut self.older_queriers);
        self.deadlines.set(
            Timer::OlderQueriers,
            &mut self.older_queriers_armed,
            self.older_queriers.next_deadline(),
        );
        if self.mode() == before {
            return;
        }
        self.set_general_response(None);
        let groups: Vec<_> = self.groups.keys().copied().collect();
        for group in groups {
            if let Some(member) = self.groups.get_mut(&group) {
                member.cancel(before);
            }
            self.settle(group);
        }
    }

    fn group_timeout(&mut self, now: Instant, group: Ipv4Addr) {
        let Some(member) = self.groups.get_mut(&group) else {
            return;
        };
        member.armed = None;
        let reports = member.older.expire(now, &mut self.random);
        let response = member.response.take_if(|response| response.at <= now);
        if let Some(response) = response {
            let record = response.record(group, &member.subscription);
            self.records.extend(record);
        }
        let changed = member.change.at.is_some_and(|at| at <= now);
        if reports {
            self.send_older_report(group);
        }
        if changed {
            self.send_change(now, group);
        }
        self.settle(group);
    }

    /// Arms the deadline of a group that has changed, or forgets it when there is nothing left to do.
    fn settle(&mut self, group: Ipv4Addr) {
        let Some(member) = self.groups.get_mut(&group) else {
            return;
        };
        let deadline = member.next_deadline();
        self.deadlines
            .set(Timer::Group(group), &mut member.armed, deadline);
        if deadline.is_none() && member.subscription.is_nothing() {
            self.groups.remove(&group);
        }
    }
}

#[cfg(test)]
mod tests;
