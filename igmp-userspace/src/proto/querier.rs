//! General Queries and the election of the querier (RFC 9776 section 6.6.2, RFC 2236 sections 3 and 7).

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;

use super::acl::Question;
use super::group::Group;
use super::interface::{Context, Interface};
use super::timers::Timer;
use super::{AclRef, Counter, EventKind, Instant, InterfaceParams};
use crate::wire::Query;

/// What this router is on the link.
///
/// ```text
///            a General Query from a lower address
///  Querier ----------------------------------------> NonQuerier --+  a General Query from a lower address:
///     ^                                                  |   ^----+  Other Querier Present starts again
///     +--------------------------------------------------+
///        Other Querier Present ends, or our own address becomes the lower one: a General Query at once
/// ```
///
/// A router on standby takes no part in it; see [`standby`](super::standby).
///
/// A querier that is asking for groups or sources finishes that first (RFC 2236 section 3): the lower address has not
/// asked, and would not. It finishes what runs when the lower address is first heard, and nothing begun later: on a
/// link where somebody leaves all the time there would be two queriers for ever.
#[derive(Debug)]
pub(super) enum Role {
    Querier {
        next_query: Instant,
        /// How many of the following queries come at the Startup Query Interval.
        startup_queries_left: u8,
        /// A lower address, and when it takes over.
        heir: Option<(Claim, Instant)>,
    },
    NonQuerier {
        querier: Ipv4Addr,
        other_querier_present: Instant,
    },
    Standby {
        /// Who asks.
        heard: Option<Heard>,
        /// When the next query round would begin.
        next_round: Instant,
    },
}

/// A querier that was heard while on standby.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) querier: Ipv4Addr,
    pub(super) other_querier_present: Instant,
}

/// The General Query of a lower address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    querier: Ipv4Addr,
    heard: Instant,
    robustness: u8,
    query_interval: Duration,
}

impl Role {
    /// A router starts as querier, with [Startup Query Count] queries (sections 8.6 and 8.7).
    pub(super) fn starting(now: Instant, params: &InterfaceParams) -> Self {
        Self::Querier {
            next_query: now,
            startup_queries_left: params.startup_query_count() - 1,
            heir: None,
        }
    }

    fn deadline(&self) -> Instant {
        match *self {
            Self::Querier {
                next_query, heir, ..
            } => heir.map_or(next_query, |(_, takes_over)| takes_over.min(next_query)),
            Self::NonQuerier {
                other_querier_present,
                ..
            } => other_querier_present,
            Self::Standby { heard, next_round } => heard.map_or(next_round, |heard| {
                heard.other_querier_present.min(next_round)
            }),
        }
    }
}

impl Interface {
    /// Addresses or parameters changed. Hosts and the other routers learn of it at once; memberships are kept.
    pub(super) fn reconfigure(
        &mut self,
        cx: &mut Context<'_>,
        params: InterfaceParams,
        addresses: Vec<Ipv4Net>,
        alt_subnets: Vec<Ipv4Net>,
    ) {
        let changes_queries = params != self.configured || addresses[0].addr() != self.address();
        if params.version != self.configured.version {
            // What one version may ask another may not; the timers that were lowered stay lowered.
            self.groups.values_mut().for_each(Group::stop_queries);
        }
        self.configured = params;
        self.addresses = addresses;
        self.alt_subnets = alt_subnets;
        let was_querier = self.is_querier();
        self.check_querier(cx);
        if changes_queries {
            // The elected querier's values come back with its next query.
            self.params = self.configured.clone();
            if was_querier {
                self.send_general_query(cx);
            }
        }
    }

    /// Addresses or policy changed: is the elected querier, or the one that is to take over, still the one?
    pub(super) fn check_querier(&mut self, cx: &mut Context<'_>) {
        let is_lower = |other: Ipv4Addr| {
            let review = |list: &AclRef| cx.common.lists.review(list, Question::speaker(other));
            wins(other, self.address()) && self.admission().accepts_querier(other, review)
        };
        match self.role {
            Role::NonQuerier { querier, .. } if !is_lower(querier) => self.become_querier(cx),
            Role::Querier {
                heir: Some((claim, _)),
                ..
            } if !is_lower(claim.querier) => {
                if let Role::Querier { heir, .. } = &mut self.role {
                    *heir = None;
                }
                self.arm_role(cx);
            }
            Role::Querier { .. } | Role::NonQuerier { .. } | Role::Standby { .. } => {}
        }
    }

    /// The deadline of the role has come.
    pub(super) fn role_timeout(&mut self, cx: &mut Context<'_>) {
        self.role_armed = None;
        match self.role {
            Role::Querier {
                heir: Some((claim, takes_over)),
                ..
            } if takes_over <= cx.now => self.yield_to(cx, claim),
            Role::Querier { .. } => self.send_general_query(cx),
            Role::NonQuerier { .. } => self.become_querier(cx),
            Role::Standby { heard, next_round } => self.standby_timeout(cx, heard, next_round),
        }
    }

    /// Reports were lost: the querier asks again, at once but not more often than hosts have time to answer.
    pub(super) fn messages_lost(&mut self, cx: &mut Context<'_>) {
        self.hosts_unknown(cx);
        let response_time = self.params.query_response_interval;
        let earliest = self
            .last_general_query
            .map_or(cx.now, |last| last + response_time);
        if let Role::Querier { next_query, .. } = &mut self.role {
            if earliest <= cx.now {
                self.send_general_query(cx);
            } else {
                *next_query = earliest.min(*next_query);
                self.arm_role(cx);
            }
        }
    }

    /// A General Query of another router.
    pub(super) fn general_query(&mut self, cx: &mut Context<'_>, source: Ipv4Addr, query: &Query) {
        if let Role::Standby { heard, next_round } = self.role {
            return self.hear_querier(cx, source, heard, next_round);
        }
        if !wins(source, self.address()) {
            return;
        }
        let claim = Claim {
            querier: source,
            heard: cx.now,
            robustness: query.robustness,
            query_interval: query.query_interval,
        };
        if let Role::Querier { heir, .. } = &mut self.role {
            let takes_over = heir.map_or(self.asking_until, |(_, takes_over)| takes_over);
            if takes_over > cx.now {
                *heir = Some((claim, takes_over));
                return self.arm_role(cx);
            }
        } else {
            self.forget_silent_hosts(cx.now); // one of their queries is as good as one of ours
        }
        self.yield_to(cx, claim);
    }

    fn yield_to(&mut self, cx: &mut Context<'_>, claim: Claim) {
        self.adopt(claim.robustness, claim.query_interval);
        let role = Role::NonQuerier {
            querier: claim.querier,
            other_querier_present: claim.heard + self.params.other_querier_present_interval(),
        };
        self.change_role(cx, role);
    }

    /// Sections 4.1.6 and 4.1.7: a router that is not the querier uses the querier's Robustness Variable and Query
    /// Interval; where the query says none, our own configured ones.
    pub(super) fn adopt(&mut self, robustness: u8, query_interval: Duration) {
        let configured = &self.configured;
        self.params.robustness = if robustness == 0 {
            configured.robustness
        } else {
            robustness
        };
        self.params.query_interval = if query_interval.is_zero() {
            configured.query_interval
        } else {
            query_interval
        };
    }

    pub(super) fn send_general_query(&mut self, cx: &mut Context<'_>) {
        if let Role::Querier {
            next_query,
            startup_queries_left,
            ..
        } = &mut self.role
        {
            let interval = if *startup_queries_left > 0 {
                *startup_queries_left -= 1;
                self.params.startup_query_interval()
            } else {
                self.params.query_interval
            };
            *next_query = cx.now + interval;
        }
        self.last_general_query = Some(cx.now);
        self.forget_silent_hosts(cx.now);
        self.arm_role(cx);
        let time = self.params.query_response_interval;
        self.send_query(
            cx,
            Counter::SentGeneralQuery,
            Ipv4Addr::UNSPECIFIED,
            time,
            false,
            Vec::new(),
        );
    }

    fn become_querier(&mut self, cx: &mut Context<'_>) {
        self.params = self.configured.clone();
        let role = Role::Querier {
            next_query: cx.now,
            startup_queries_left: 0,
            heir: None,
        };
        self.change_role(cx, role);
    }

    /// The querier starts anew. What was adopted and when who asked is forgotten.
    pub(super) fn restart_election(&mut self, cx: &mut Context<'_>) {
        self.params = self.configured.clone();
        self.asking_until = Instant::START;
        self.change_role(cx, Role::starting(cx.now, &self.params));
    }

    /// A querier asks at once; tells who the querier is, if that is another one and known.
    pub(super) fn change_role(&mut self, cx: &mut Context<'_>, role: Role) {
        let (before, forwarded) = (self.querier(), self.forwards());
        self.role = role;
        if self.is_querier() {
            self.send_general_query(cx);
        } else {
            self.arm_role(cx);
        }
        if let Some(querier) = self.querier().filter(|now| Some(*now) != before) {
            cx.event(EventKind::QuerierChanged {
                querier: querier.address,
                is_self: querier.is_self,
            });
        }
        if self.forwards() != forwarded {
            self.forwarding_changed(cx);
        }
    }

    /// Whether this router forwards onto the link is decided anew, so every group's flows are looked at again.
    pub(super) fn forwarding_changed(&mut self, cx: &mut Context<'_>) {
        for &group in self.groups.keys() {
            cx.membership_changed(group);
        }
    }

    /// After a stall of the whole process nobody's reports may have been received: memberships that ran out meanwhile,
    /// or are about to, last until the hosts have been asked once more.
    pub(super) fn after_stall(&mut self, cx: &mut Context<'_>) {
        let mut answered = self.params.query_response_interval.saturating_mul(2);
        if self.is_querier() {
            self.send_general_query(cx);
        } else {
            answered = answered.saturating_add(self.params.query_interval);
        }
        self.hosts_unknown(cx);
        let earliest = cx.now + answered;
        let groups: Vec<Ipv4Addr> = self.groups.keys().copied().collect();
        for address in groups {
            self.change_group(cx, address, |group, _| {
                group.postpone(earliest);
                group.abandoned = false; // whoever answered may not have been heard
                Vec::new()
            });
        }
    }

    fn arm_role(&mut self, cx: &mut Context<'_>) {
        cx.deadlines.set(
            Timer::Querier(cx.interface),
            &mut self.role_armed,
            Some(self.role.deadline()),
        );
    }
}

/// The lower address is the querier (RFC 9776 section 6.6.2); a router without one, which asks from 0.0.0.0, yields to all.
fn wins(other: Ipv4Addr, own: Ipv4Addr) -> bool {
    other < own || own.is_unspecified()
}

#[cfg(test)]
mod tests;
