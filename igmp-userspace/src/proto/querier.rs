//! General Queries and the election of the querier (RFC 9776 section 6.6.2, RFC 2236 sections 3 and 7).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::group::Group;
use super::interface::{Context, Interface};
use super::timers::Timer;
use super::{Counter, Instant, InterfaceParams};
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
#[derive(Debug)]
pub(super) enum Role {
    Querier {
        next_query: Instant,
        /// How many of the following queries come at the Startup Query Interval.
        startup_queries_left: u8,
    },
    NonQuerier {
        querier: Ipv4Addr,
        other_querier_present: Instant,
    },
}

impl Role {
    /// A router starts as querier, with [Startup Query Count] queries (sections 8.6 and 8.7).
    pub(super) fn starting(now: Instant, params: &InterfaceParams) -> Self {
        Self::Querier {
            next_query: now,
            startup_queries_left: params.startup_query_count() - 1,
        }
    }

    const fn deadline(&self) -> Instant {
        match *self {
            Self::Querier { next_query, .. } => next_query,
            Self::NonQuerier {
                other_querier_present,
                ..
            } => other_querier_present,
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
        match self.role {
            Role::Querier { .. } => {
                self.params = self.configured.clone();
                if changes_queries {
                    self.send_general_query(cx);
                }
            }
            // The election is decided anew: our address is the lower one now, or the other's is off the link.
            Role::NonQuerier { querier, .. }
                if self.address() <= querier || !self.admission().is_local(querier) =>
            {
                self.become_querier(cx);
            }
            Role::NonQuerier { .. } => {
                // The elected querier's values come back with its next query.
                if changes_queries {
                    self.params = self.configured.clone();
                }
            }
        }
    }

    /// The deadline of the role has come.
    pub(super) fn role_timeout(&mut self, cx: &mut Context<'_>) {
        self.role_armed = None;
        match self.role {
            Role::Querier { .. } => self.send_general_query(cx),
            Role::NonQuerier { .. } => self.become_querier(cx),
        }
    }

    /// Reports were lost: the querier asks again, at once but not more often than hosts have time to answer.
    pub(super) fn messages_lost(&mut self, cx: &mut Context<'_>) {
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
        if source >= self.address() {
            return;
        }
        let was_querier = self.is_querier();
        self.adopt(query);
        self.role = Role::NonQuerier {
            querier: source,
            other_querier_present: cx.now + self.params.other_querier_present_interval(),
        };
        self.arm_role(cx);
        if was_querier {
            self.role_changed(cx);
        }
    }

    /// Sections 4.1.6 and 4.1.7: a router that is not the querier uses the querier's Robustness Variable and Query
    /// Interval; where the query says none, our own configured ones.
    pub(super) fn adopt(&mut self, query: &Query) {
        let configured = &self.configured;
        self.params.robustness = if query.robustness == 0 {
            configured.robustness
        } else {
            query.robustness
        };
        self.params.query_interval = if query.query_interval.is_zero() {
            configured.query_interval
        } else {
            query.query_interval
        };
    }

    pub(super) fn send_general_query(&mut self, cx: &mut Context<'_>) {
        if let Role::Querier {
            next_query,
            startup_queries_left,
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
        self.role = Role::Querier {
            next_query: cx.now,
            startup_queries_left: 0,
        };
        self.send_general_query(cx);
        self.role_changed(cx);
    }

    /// Only the querier of a link forwards to it (RFC 4605 section 4.2), so every group's flows are looked at again.
    fn role_changed(&mut self, cx: &mut Context<'_>) {
        for &group in self.groups.keys() {
            cx.membership_changed(group);
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

#[cfg(test)]
mod tests;
