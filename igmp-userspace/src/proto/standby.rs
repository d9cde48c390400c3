//! Standby: this router is the backup of another gateway, which serves the same hosts.
//!
//! ```text
//!            enter_standby                             take_over
//!  any role ---------------> Standby, with the groups -----------> Querier, startup queries at once
//!                            and timers of a querier
//! ```
//!
//! On standby the router is a querier without a voice. It is fed what the other gateway accepts, lowers timers as that
//! one does when it asks, and so has the same groups at any time. It plans the same queries too, but does not send them
//! ([`send_query`](Interface::send_query)). No election: whoever asks on the link, the peers agree between them who of
//! them is in charge.

use std::net::Ipv4Addr;

use super::group::{Group, Queries};
use super::interface::{Context, Interface};
use super::querier::{Heard, Role};
use super::specific_query::SpecificQuery;
use super::{Counter, Instant, InterfaceParams};
use crate::wire::Version;

impl Interface {
    pub(super) fn set_standby(&mut self, cx: &mut Context<'_>, standby: bool) {
        match (self.is_standby(), standby) {
            (false, true) => self.enter_standby(cx),
            (true, false) => self.take_over(cx),
            (true, true) | (false, false) => {}
        }
    }

    /// Falls silent, and begins to listen for who asks. What was adopted from an elected querier is forgotten: the other
    /// gateway is configured as this one is.
    pub(super) fn enter_standby(&mut self, cx: &mut Context<'_>) {
        self.params = self.configured.clone();
        let role = Role::Standby {
            heard: None,
            next_round: cx.now + self.params.query_interval,
        };
        self.change_role(cx, role);
    }

    /// The other gateway is gone: this one asks like a querier that starts (RFC 9776 sections 8.6 and 8.7). Every
    /// membership lasts until hosts have been asked, by this router.
    fn take_over(&mut self, cx: &mut Context<'_>) {
        self.change_role(cx, Role::starting(cx.now, &self.params));
        self.hosts_unknown(cx); // the last messages may not have been copied
        let groups: Vec<Ipv4Addr> = self.groups.keys().copied().collect();
        let now = cx.now;
        for group in groups {
            self.change_group(cx, group, |group, params| group.ask_again(now, params));
        }
    }

    /// A General Query heard on standby. Of several queriers the lowest address is the one (section 6.6.2).
    pub(super) fn hear_querier(
        &mut self,
        cx: &mut Context<'_>,
        querier: Ipv4Addr,
        heard: Option<Heard>,
        next_round: Instant,
    ) {
        self.counters.count(Counter::QueryWhileStandby);
        if heard.is_some_and(|known| known.querier < querier) {
            return;
        }
        let heard = Some(Heard {
            querier,
            other_querier_present: cx.now + self.params.other_querier_present_interval(),
        });
        self.change_role(cx, Role::Standby { heard, next_round });
    }

    /// The querier has fallen silent, or a Query Interval is over: the other gateway has asked, wherever that was heard.
    pub(super) fn standby_timeout(
        &mut self,
        cx: &mut Context<'_>,
        heard: Option<Heard>,
        mut next_round: Instant,
    ) {
        if next_round <= cx.now {
            self.forget_silent_hosts(cx.now);
            next_round = cx.now + self.params.query_interval;
        }
        let heard = heard.filter(|heard| heard.other_querier_present > cx.now);
        self.change_role(cx, Role::Standby { heard, next_round });
    }
}

impl Group {
    /// Nothing ends before hosts have had the chance to answer the new querier. What is being asked for may have been
    /// answered to the one that asked: its last member procedure begins again (section 6.6.3). The rest lasts until the
    /// General Query is answered.
    fn ask_again(&mut self, now: Instant, params: &InterfaceParams) -> Vec<SpecificQuery> {
        let soon = now + params.last_member_query_time();
        let sources = self.sources.as_slice().iter();
        let asked = Queries {
            group: params.version > Version::V1 && self.checking_membership,
            sources: sources
                .filter(|record| record.timer.is_some_and(|timer| timer <= soon))
                .filter(|_| params.version == Version::V3)
                .map(|record| record.address)
                .collect(),
        };
        self.stop_queries();
        self.checking_membership = false;
        self.postpone(now + params.query_response_interval.saturating_mul(2));
        // As if reported now: asking lowers only timers that are higher.
        let gmi = Some(now + params.group_membership_interval());
        if asked.group {
            self.group_timer = gmi;
        }
        for &source in &asked.sources {
            self.sources.set(source, gmi);
        }
        self.start_queries(now, params, &asked)
    }
}

#[cfg(test)]
mod tests;
