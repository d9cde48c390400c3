//! Asking whether anybody still wants a group or some of its sources (RFC 9776 sections 6.6.1 and 6.6.3).

use std::net::Ipv4Addr;
use std::time::Duration;

use super::group::{Group, Queries};
use super::{Instant, InterfaceParams};

/// A Group-Specific Query, or with sources a Group-and-Source-Specific one, to be sent now.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct SpecificQuery {
    /// The S flag: routers that hear it leave their timers alone, because we have heard an answer already.
    pub(super) suppress: bool,
    pub(super) sources: Vec<Ipv4Addr>,
}

impl Group {
    /// Carries out a table row's "Send Q(...)": lowers the timers, returns what to send now, plans the rest.
    pub(super) fn start_queries(
        &mut self,
        now: Instant,
        params: &InterfaceParams,
        q: &Queries,
    ) -> Vec<SpecificQuery> {
        let mut queries = self.start_source_query(now, params, &q.sources);
        if q.group {
            queries.extend(self.start_group_query(now, params));
        }
        queries
    }

    /// What is due of the queries planned earlier.
    pub(super) fn continue_queries(
        &mut self,
        now: Instant,
        params: &InterfaceParams,
    ) -> Vec<SpecificQuery> {
        let mut queries = Vec::new();
        if self.source_query_at.is_some_and(|at| at <= now) {
            queries = self.source_queries(now, params);
        }
        if self.group_query_at.is_some_and(|at| at <= now) {
            queries.push(self.group_query(now, params));
        }
        queries
    }

    /// When the queries that run are all sent and the last can have been answered.
    pub(super) fn asking_until(&self, now: Instant, params: &InterfaceParams) -> Instant {
        let sources = self.sources.as_slice().iter();
        let left = sources.map(|record| record.queries_left).max();
        let left = left.unwrap_or_default().max(self.group_queries_left);
        now + params
            .last_member_query_interval
            .saturating_mul(u32::from(left) + 1)
    }

    /// Stops asking. Timers that were lowered stay lowered.
    pub(super) fn stop_queries(&mut self) {
        self.group_queries_left = 0;
        self.group_query_at = None;
        self.source_query_at = None;
        for record in self.sources.iter_mut() {
            record.queries_left = 0;
        }
    }

    /// A specific query was sent or heard: the timers of what it asks for end within `last_member_query_time`
    /// (section 6.6.1).
    pub(super) fn lower_timers(
        &mut self,
        now: Instant,
        last_member_query_time: Duration,
        sources: &[Ipv4Addr],
    ) {
        let latest = now + last_member_query_time;
        if sources.is_empty() {
            self.group_timer = self.group_timer.map(|timer| timer.min(latest));
        }
        for &source in sources {
            if let Some(record) = self.sources.get_mut(source) {
                record.timer = record.timer.map(|timer| timer.min(latest));
            }
        }
    }

    /// Send Q(G) (section 6.6.3.1).
    ///
    /// A Leave heard while the group is being checked starts nothing anew (RFC 2236 section 7), so neither repeated
    /// Leave messages nor a flood of them multiply the queries.
    fn start_group_query(
        &mut self,
        now: Instant,
        params: &InterfaceParams,
    ) -> Option<SpecificQuery> {
        if self.checking_membership {
            return None;
        }
        self.checking_membership = true;
        self.lower_timers(now, params.last_member_query_time(), &[]);
        self.group_queries_left = params.last_member_query_count();
        Some(self.group_query(now, params))
    }

    /// Send Q(G,X) (section 6.6.3.2). Sources whose timer is already that low have been asked for.
    fn start_source_query(
        &mut self,
        now: Instant,
        params: &InterfaceParams,
        sources: &[Ipv4Addr],
    ) -> Vec<SpecificQuery> {
        let latest = now + params.last_member_query_time();
        let mut anything_new = false;
        for &source in sources {
            if let Some(record) = self
                .sources
                .get_mut(source)
                .filter(|record| record.timer > Some(latest))
            {
                record.timer = Some(latest);
                record.queries_left = params.last_member_query_count();
                anything_new = true;
            }
        }
        if anything_new {
            self.source_queries(now, params)
        } else {
            Vec::new()
        }
    }

    fn group_query(&mut self, now: Instant, params: &InterfaceParams) -> SpecificQuery {
        self.group_queries_left = self.group_queries_left.saturating_sub(1);
        self.group_query_at =
            (self.group_queries_left > 0).then(|| now + params.last_member_query_interval);
        let suppress = self.group_timer > Some(now + params.last_member_query_time());
        SpecificQuery {
            suppress,
            sources: Vec::new(),
        }
    }

    /// Up to two messages: with the S flag the sources that somebody has asked for meanwhile, without it the others.
    fn source_queries(&mut self, now: Instant, params: &InterfaceParams) -> Vec<SpecificQuery> {
        let latest = now + params.last_member_query_time();
        let (mut answered, mut unanswered) = (Vec::new(), Vec::new());
        let mut more = false;
        for record in self
            .sources
            .iter_mut()
            .filter(|record| record.queries_left > 0)
        {
            record.queries_left -= 1;
            more |= record.queries_left > 0;
            if record.timer > Some(latest) {
                answered.push(record.address);
            } else {
                unanswered.push(record.address);
            }
        }
        self.source_query_at = more.then(|| now + params.last_member_query_interval);
        [(true, answered), (false, unanswered)]
            .into_iter()
            .filter(|(_, sources)| !sources.is_empty())
            .map(|(suppress, sources)| SpecificQuery { suppress, sources })
            .collect()
    }
}

#[cfg(test)]
mod tests;
