//! A policy that changes applies at once: what is there and not allowed any more goes, static groups come and go.

use std::net::Ipv4Addr;

use super::acl::Question;
use super::interface::{Context, Interface};
use super::reception::Statics;
use super::tracking::Hosts;
use super::{Counter, EventKind, FilterMode, InterfacePolicy};

impl Interface {
    pub(super) fn set_policy(&mut self, cx: &mut Context<'_>, policy: InterfacePolicy) {
        if policy == self.policy {
            return;
        }
        let forwarded = self.forwards();
        self.policy = policy;
        self.enforce(cx);
        if self.forwards() != forwarded {
            self.forwarding_changed(cx);
        }
    }

    /// Looks at everything there is with the policies in force now. Idempotent.
    pub(super) fn enforce(&mut self, cx: &mut Context<'_>) {
        self.enforce_tracking(cx);
        let addresses: Vec<Ipv4Addr> = self.groups.keys().copied().collect();
        for address in addresses {
            self.enforce_on(cx, address);
        }
        self.install_statics(cx);
        self.check_limits(cx);
        self.check_querier(cx);
    }

    fn enforce_tracking(&mut self, cx: &Context<'_>) {
        let tracked = self.tracks_hosts;
        let prompt_leave = self.policy.prompt_leave.as_ref();
        self.tracks_hosts =
            cx.common.policy.quick_leave || prompt_leave.is_some_and(|leave| leave.tracked);
        if !self.tracks_hosts {
            self.groups
                .values_mut()
                .for_each(|group| group.hosts = Hosts::default());
            self.host_count = 0;
        } else if !tracked {
            self.hosts_unknown(cx);
        }
    }

    fn enforce_on(&mut self, cx: &mut Context<'_>, address: Ipv4Addr) {
        let Some(group) = self.groups.get(&address) else {
            return;
        };
        let may = |question: Question| {
            let list = self.policy.group_policy.as_ref();
            list.is_none_or(|list| cx.common.lists.review(list, question).permits())
        };
        let is_refused = self.is_refused(cx, address);
        let resumes = group.abandoned && !cx.common.policy.quick_leave;
        let is_exclude = group.filter_mode == FilterMode::Exclude;
        let any_source = is_exclude
            && !cx.common.is_source_specific(address)
            && may(Question::any_source(address));
        let keeps_all = any_source && !is_refused; // a join for any source covers each
        let denied: Vec<Ipv4Addr> = group
            .sources
            .as_slice()
            .iter()
            .map(|record| record.address)
            .filter(|_| !keeps_all)
            .filter(|&source| is_refused || !may(Question::source(address, source)))
            .collect();
        let ends_exclude = is_exclude && !keeps_all;
        if !ends_exclude && denied.is_empty() && !resumes {
            return;
        }
        self.change_group(cx, address, |group, _| {
            if resumes {
                group.abandoned = false;
            }
            if ends_exclude {
                group.end_exclude();
            }
            group
                .sources
                .retain(|record| denied.binary_search(&record.address).is_err());
            Vec::new()
        });
    }

    /// A group that no host may join and that is never static here.
    fn is_refused(&self, cx: &Context<'_>, group: Ipv4Addr) -> bool {
        cx.common.is_untracked(group) || !self.policy.group_filter.serves(group)
    }

    fn install_statics(&mut self, cx: &mut Context<'_>) {
        let mut listed = Statics::by_group(&self.policy.static_groups);
        listed.retain(|&group, _| !self.is_refused(cx, group));
        let dropped: Vec<Ipv4Addr> = self
            .groups
            .iter()
            .filter(|(address, group)| group.is_static() && !listed.contains_key(address))
            .map(|(&address, _)| address)
            .collect();
        let changes = dropped.into_iter().map(|address| (address, None)).chain(
            listed
                .into_iter()
                .map(|(address, statics)| (address, Some(statics))),
        );
        for (address, statics) in changes {
            let group = self.groups.get(&address);
            if group.and_then(|group| group.statics.as_ref()) != statics.as_ref() {
                self.change_group(cx, address, |group, _| {
                    group.statics = statics;
                    group.abandoned &= !group.is_static();
                    Vec::new()
                });
            }
        }
    }

    /// Tells when a limit is nearly, or entirely, used.
    pub(super) fn check_limits(&mut self, cx: &mut Context<'_>) {
        let common = &mut *cx.common;
        let checks = [
            (
                &mut self.groups_water,
                "max_groups",
                self.groups.len(),
                self.policy.max_groups,
            ),
            (
                &mut self.sources_water,
                "max_sources",
                self.source_count,
                self.policy.max_sources,
            ),
            (
                &mut common.groups_water,
                "policy.max_groups",
                common.groups,
                common.policy.max_groups,
            ),
            (
                &mut common.sources_water,
                "policy.max_sources",
                common.sources,
                common.policy.max_sources,
            ),
        ];
        let mut reached = Vec::new();
        for (water, limit, used, allowed) in checks {
            if water.rises(used, allowed) {
                reached.push(EventKind::HighWater {
                    limit,
                    used,
                    allowed,
                });
            }
        }
        for kind in reached {
            cx.event(kind);
        }
    }

    /// True when there is no room for one more group.
    pub(super) fn group_limit_reached(&mut self, cx: &Context<'_>) -> bool {
        let reached = self.groups.len() >= self.policy.max_groups
            || cx.common.groups >= cx.common.policy.max_groups;
        if reached {
            self.counters.count(Counter::GroupLimit);
        }
        reached
    }

    /// How many more sources there is room for.
    pub(super) fn spare_sources(&self, cx: &Context<'_>) -> usize {
        let here = self.policy.max_sources.saturating_sub(self.source_count);
        let everywhere = cx
            .common
            .policy
            .max_sources
            .saturating_sub(cx.common.sources);
        here.min(everywhere)
    }
}

#[cfg(test)]
mod tests;
