//! What one gateway tells another of a group, to begin from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::compat::OlderHosts;
use super::group::Group;
use super::interface::{Context, Interface};
use super::membership::within_limits;
use super::{Counter, FilterMode, Instant, InterfaceParams};
use crate::wire::{self, GroupRecord, RecordType, Version};

/// What hosts brought about of a group (RFC 9776 section 6.2), with what is left of each timer.
///
/// Nothing of an operator's, and not which hosts they are. What does not fit together has a meaning nevertheless: it may
/// come from another gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupState {
    /// The group.
    pub group: Ipv4Addr,
    /// INCLUDE or EXCLUDE.
    pub filter_mode: FilterMode,
    /// Until EXCLUDE mode ends; in INCLUDE mode `None`, and without meaning.
    pub group_timer: Option<Duration>,
    /// Its sources, each with its source timer; `None` in EXCLUDE mode: blocked. In INCLUDE mode there is none without.
    pub sources: Vec<(Ipv4Addr, Option<Duration>)>,
    /// IGMPv1-Host-Present Timer (section 7.3.2).
    pub v1_host_present: Option<Duration>,
    /// IGMPv2-Host-Present Timer.
    pub v2_host_present: Option<Duration>,
    /// The host that last reported interest.
    pub last_reporter: Option<Ipv4Addr>,
}

impl Interface {
    /// What hosts brought about of each group, by address; groups that are static and nothing else are left out.
    pub fn export(&self, now: Instant) -> impl Iterator<Item = GroupState> {
        let groups = self.groups.iter().filter(|(_, group)| !group.is_empty());
        groups.map(move |(&address, group)| group.export(now, address))
    }

    /// The group is `state` from now on. It is admitted as a report of it would be, by policy and limits, and what is not
    /// admitted changes nothing. Nor does a timer last longer than one that a report starts. Hosts that were known of it
    /// are not any more.
    pub(super) fn restore(&mut self, cx: &mut Context<'_>, state: &GroupState) {
        if !self.is_standby() {
            return;
        }
        if let Err(refusal) = wire::check_group(state.group) {
            return self.counters.count(refusal.into());
        }
        let is_exclude = state.filter_mode == FilterMode::Exclude;
        let timers: BTreeMap<Ipv4Addr, Option<Duration>> = state
            .sources
            .iter()
            .copied()
            .filter(|(_, timer)| is_exclude || timer.is_some())
            .collect();
        let record = GroupRecord {
            record_type: if is_exclude {
                RecordType::ModeIsExclude
            } else {
                RecordType::ModeIsInclude
            },
            group: state.group,
            sources: timers.keys().copied().collect(),
        };
        let Some(record) = self.screen(cx, Version::V3, record) else {
            return;
        };
        let is_empty = !is_exclude && record.sources.is_empty();
        let is_new = !self.groups.contains_key(&state.group);
        if is_new && (is_empty || self.group_limit_reached(cx)) {
            return;
        }
        let (now, spare) = (cx.now, self.spare_sources(cx));
        let mut refused = 0;
        self.change_group(cx, state.group, |group, params| {
            // The list is replaced, whatever the mode.
            let sources = within_limits(group, RecordType::ModeIsExclude, &record.sources, spare);
            refused = record.sources.len() - sources.len();
            let sources = sources.iter().map(|source| (*source, timers[source]));
            group.restore(now, params, state, sources);
            Vec::new()
        });
        self.counters.add(Counter::SourceLimit, refused as u64);
        self.hosts_unknown(cx);
    }

    /// What hosts brought about of all other groups goes.
    pub(super) fn retain(&mut self, cx: &mut Context<'_>, groups: &BTreeSet<Ipv4Addr>) {
        if !self.is_standby() {
            return;
        }
        let others = self.groups.keys().filter(|group| !groups.contains(group));
        let others: Vec<Ipv4Addr> = others.copied().collect();
        for group in others {
            self.forget_members(cx, group);
        }
    }
}

impl Group {
    fn export(&self, now: Instant, group: Ipv4Addr) -> GroupState {
        let left = |timer: Option<Instant>| timer.map(|timer| timer.saturating_since(now));
        let sources = self.sources.as_slice().iter();
        GroupState {
            group,
            filter_mode: self.filter_mode,
            group_timer: left(self.group_timer),
            sources: sources
                .map(|record| (record.address, left(record.timer)))
                .collect(),
            v1_host_present: left(self.older_hosts.v1()),
            v2_host_present: left(self.older_hosts.v2()),
            last_reporter: self.last_reporter,
        }
    }

    /// `sources` are those of `state` that are let in.
    fn restore(
        &mut self,
        now: Instant,
        params: &InterfaceParams,
        state: &GroupState,
        sources: impl Iterator<Item = (Ipv4Addr, Option<Duration>)>,
    ) {
        let gmi = params.group_membership_interval();
        let older_host_present = params.older_host_present_interval();
        let answered = now + params.last_member_query_time();
        let older = |left: Option<Duration>| left.map(|left| now + left.min(older_host_present));
        let statics = self.statics.take();
        let was_abandoned = self.abandoned;
        *self = Self {
            filter_mode: state.filter_mode,
            older_hosts: OlderHosts::until(
                older(state.v1_host_present),
                older(state.v2_host_present),
            ),
            last_reporter: state.last_reporter,
            statics,
            armed: self.armed,
            ..Self::new(self.since)
        };
        if self.filter_mode == FilterMode::Exclude {
            // EXCLUDE mode without a timer is as good as over.
            let timer = now + state.group_timer.unwrap_or_default().min(gmi);
            self.group_timer = Some(timer);
            // As low as that, it is where a query has lowered it to.
            self.checking_membership = timer <= answered;
        }
        for (source, left) in sources {
            self.sources
                .set(source, left.map(|left| now + left.min(gmi)));
        }
        // Somebody has answered when it lasts longer.
        self.abandoned = was_abandoned && self.ends_by(answered);
    }
}

#[cfg(test)]
mod tests;
