//! The simplest router there can be: groups that always exist, and time that passes second by second.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::history::{GROUPS, Rules, Says, Step};
use super::reference_group::{LMQC, LMQT, ReferenceGroup, Set};
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{GroupRecord, Query, RecordType, Version};

// Short timers, all of whole seconds, so that histories of a minute cross every deadline.
pub(super) const QUERY_RESPONSE_INTERVAL: u32 = 4;
const QUERY_INTERVAL: u32 = 10;
const ROBUSTNESS: u32 = 2;

/// A lower address that is to become the querier.
#[derive(Debug)]
struct Heir {
    query: Query,
    heard_ago: u32,
    takes_over_in: u32,
}

/// The reference of one interface, whose address is 10.0.0.2.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) groups: BTreeMap<Ipv4Addr, ReferenceGroup>,
    pub(super) rules: Rules,
    other_querier_present: u32,
    /// How long the specific queries that were begun still take.
    asking: u32,
    heir: Option<Heir>,
    robustness: u32,
    query_interval: u32,
}

impl Reference {
    pub(super) fn new() -> Self {
        let groups = GROUPS
            .map(|group| (group, ReferenceGroup::default()))
            .into();
        Self {
            groups,
            rules: Rules::NONE,
            other_querier_present: 0,
            asking: 0,
            heir: None,
            robustness: ROBUSTNESS,
            query_interval: QUERY_INTERVAL,
        }
    }

    pub(super) fn is_querier(&self) -> bool {
        self.other_querier_present == 0
    }

    /// The static group, unless it is not served.
    fn static_group(&self) -> Option<(Ipv4Addr, Option<Ipv4Addr>)> {
        let served = |(group, _): &(Ipv4Addr, _)| self.rules.refused_group != Some(*group);
        self.rules.static_group.filter(served)
    }

    pub(super) fn is_static(&self, group: Ipv4Addr) -> bool {
        self.static_group().is_some_and(|(own, _)| own == group)
    }

    /// What a change of has to be told.
    pub(super) fn told(&self, group: Ipv4Addr) -> (bool, (bool, Vec<Ipv4Addr>)) {
        (self.groups[&group].abandoned, self.reception(group))
    }

    /// What is forwarded of a group: what hosts asked for, and what is static.
    pub(super) fn reception(&self, group: Ipv4Addr) -> (bool, Vec<Ipv4Addr>) {
        let (exclude, mut sources) = self.groups[&group].reception();
        match self.static_group().filter(|(own, _)| *own == group) {
            None => {}
            Some((_, None)) => return (true, vec![]),
            Some((_, Some(source))) => {
                sources.retain(|each| *each != source);
                if !exclude {
                    sources.push(source);
                    sources.sort();
                }
            }
        }
        (exclude, sources)
    }

    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::Wait { seconds } => (0..*seconds).for_each(|_| self.second_passes()),
            Step::Host { from, says } => self.host(*from, says),
            Step::Query { from, query } if query.group.is_unspecified() => {
                self.general_query(*from, query);
            }
            Step::Query { query, .. } => self.specific_query(query),
            Step::Adopt { record } => {
                let GroupRecord {
                    record_type,
                    group,
                    sources,
                } = record;
                self.message(None, Version::V3, *record_type, *group, sources);
            }
            Step::MessagesLost => {}
            Step::Clear { group } => {
                for address in GROUPS {
                    if group.is_none_or(|only| only == address) {
                        self.groups.insert(address, ReferenceGroup::default());
                    }
                }
            }
            Step::Restart => {
                let rules = self.rules.clone();
                *self = Self {
                    rules,
                    ..Self::new()
                };
            }
            Step::Rules(rules) => {
                self.rules = rules.clone();
                self.enforce();
            }
        }
    }

    fn host(&mut self, host: Ipv4Addr, says: &Says) {
        let host = Some(host);
        match says {
            Says::ReportV1(group) => self.message(host, Version::V1, ModeIsExclude, *group, &[]),
            Says::ReportV2(group) => self.message(host, Version::V2, ModeIsExclude, *group, &[]),
            Says::Leave(group) => self.message(host, Version::V2, ChangeToInclude, *group, &[]),
            Says::Record(GroupRecord {
                record_type,
                group,
                sources,
            }) => self.message(host, Version::V3, *record_type, *group, sources),
        }
    }

    fn second_passes(&mut self) {
        let groups = self.groups.values_mut();
        groups.for_each(ReferenceGroup::second_passes);
        self.asking = self.asking.saturating_sub(1);
        if self.other_querier_present == 1 {
            (self.robustness, self.query_interval) = (ROBUSTNESS, QUERY_INTERVAL);
        }
        self.other_querier_present = self.other_querier_present.saturating_sub(1);
        if let Some(mut heir) = self.heir.take() {
            heir.heard_ago += 1;
            heir.takes_over_in -= 1;
            if heir.takes_over_in == 0 {
                self.yield_to(&heir.query, heir.heard_ago);
            } else {
                self.heir = Some(heir);
            }
        }
    }

    fn message(
        &mut self,
        host: Option<Ipv4Addr>,
        version: Version,
        record_type: RecordType,
        address: Ipv4Addr,
        list: &[Ipv4Addr],
    ) {
        if self.rules.refused_group == Some(address) {
            return;
        }
        let is_source_specific = self.rules.source_specific && address == GROUPS[1];
        let is_mapped =
            is_source_specific && version < Version::V3 && !self.rules.mapped.is_empty();
        if record_type == ChangeToInclude && list.is_empty() {
            if is_source_specific && version < Version::V3 && !is_mapped {
                return;
            }
            if let Some(host) = host {
                self.groups.get_mut(&address).unwrap().forget_host(host);
            }
            let group = &self.groups[&address];
            if !self.is_querier() || group.is_empty() || group.mode() == Version::V1 {
                return;
            }
            let prompt_for_v3 = self.rules.prompt_leave;
            if prompt_for_v3.is_some_and(|v3| v3 || version < Version::V3)
                && !self.rules.never_prompt.contains(&address)
                && !self.is_static(address)
            {
                *self.groups.get_mut(&address).unwrap() = ReferenceGroup::default();
                return;
            }
        }
        let any_source = matches!(record_type, ModeIsExclude | ChangeToExclude);
        if any_source && is_mapped {
            let mapped = self.rules.mapped.clone();
            let mapped = mapped.into_iter().collect();
            return self.record(host, version, ModeIsInclude, address, mapped);
        }
        if any_source && is_source_specific {
            return;
        }
        let list = list.iter().copied().collect();
        self.record(host, version, record_type, address, list);
    }

    fn record(
        &mut self,
        host: Option<Ipv4Addr>,
        version: Version,
        record_type: RecordType,
        address: Ipv4Addr,
        mut list: Set,
    ) {
        let group = &self.groups[&address];
        let any_source = matches!(record_type, ModeIsExclude | ChangeToExclude);
        if any_source && !group.exclude && !self.rules.any_source {
            return;
        }
        if matches!(
            record_type,
            ModeIsInclude | ChangeToInclude | AllowNewSources
        ) {
            list.retain(|source| {
                group.sources.get(source).is_some_and(|timer| *timer > 0)
                    || !self.rules.denied_sources.contains(source)
            });
        }
        let wants = any_source || record_type != BlockOldSources && !list.is_empty();
        let is_there = |(address, group): (&Ipv4Addr, &ReferenceGroup)| {
            !group.is_empty() || self.is_static(*address)
        };
        if !is_there((&address, group)) {
            let held = self.groups.iter().filter(|each| is_there(*each)).count();
            if !wants || held >= self.rules.max_groups {
                return;
            }
        }
        let statics = usize::from(matches!(self.static_group(), Some((_, Some(_)))));
        let held: usize = self.groups.values().map(|group| group.sources.len()).sum();
        let spare = self.rules.max_sources.saturating_sub(held + statics);
        let interval = self.robustness * self.query_interval;
        let is_querier = self.is_querier();
        let is_abandoned_for_leaves =
            self.rules.quick_leave && is_querier && !self.is_static(address);
        let tracks_hosts = self.rules.quick_leave;
        let group = self.groups.get_mut(&address).unwrap();
        if wants {
            group.abandoned = false;
            if let Some(host) = host.filter(|_| tracks_hosts) {
                group.heard_ago.insert(host, 0);
            }
            let older_host_present = interval + QUERY_RESPONSE_INTERVAL;
            match version {
                Version::V1 => group.v1_host_present = older_host_present,
                Version::V2 => group.v2_host_present = older_host_present,
                Version::V3 => {}
            }
        }
        let gmi = interval + 2 * QUERY_RESPONSE_INTERVAL;
        // A host of sources leaves by blocking them, and when those are all there are, it surely has.
        let blocks =
            record_type == BlockOldSources && !group.exclude && group.mode() == Version::V3;
        let is_about_it = group.sources.keys().any(|source| list.contains(source));
        if let Some(host) = host
            && blocks
            && group.sources.keys().all(|source| list.contains(source))
        {
            group.forget_host(host);
        }
        let leaves = blocks && is_about_it || record_type == ChangeToInclude && list.is_empty();
        if group.record(record_type, &list, gmi, is_querier, spare) {
            self.asking = LMQT;
        }
        if let Some(host) = host
            && is_abandoned_for_leaves
            && leaves
            && group.ends_within(LMQT)
            && group.others(host, gmi) == 0
        {
            group.abandoned = true;
        }
    }

    /// A policy applies at once to what is there.
    fn enforce(&mut self) {
        let static_group = self.static_group().map(|(group, _)| group);
        for (address, group) in &mut self.groups {
            if self.rules.refused_group == Some(*address) {
                *group = ReferenceGroup::default();
            }
            if !self.rules.quick_leave {
                group.heard_ago.clear();
            }
            group.abandoned &= self.rules.quick_leave && static_group != Some(*address);
            let is_source_specific = self.rules.source_specific && *address == GROUPS[1];
            if group.exclude && (is_source_specific || !self.rules.any_source) {
                group.group_timer = 0;
                group.settle();
            }
            if !group.exclude {
                let denied = &self.rules.denied_sources;
                group.sources.retain(|source, _| !denied.contains(source));
                group.settle();
            }
        }
    }

    fn adopt(&mut self, query: &Query) {
        let seconds = u32::try_from(query.query_interval.as_secs()).unwrap();
        self.robustness = if query.robustness == 0 {
            ROBUSTNESS
        } else {
            query.robustness.into()
        };
        self.query_interval = if seconds == 0 {
            QUERY_INTERVAL
        } else {
            seconds
        };
    }

    fn yield_to(&mut self, query: &Query, heard_ago: u32) {
        self.adopt(query);
        let interval = self.robustness * self.query_interval + QUERY_RESPONSE_INTERVAL / 2;
        self.other_querier_present = interval - heard_ago;
    }

    fn general_query(&mut self, from: Ipv4Addr, query: &Query) {
        if from > Ipv4Addr::new(10, 0, 0, 2) {
            return;
        }
        let waits = self.heir.as_ref().map(|heir| heir.takes_over_in);
        let waits = waits.unwrap_or(self.asking);
        if self.is_querier() && waits > 0 {
            self.heir = Some(Heir {
                query: query.clone(),
                heard_ago: 0,
                takes_over_in: waits,
            });
        } else {
            if !self.is_querier() {
                // Hosts have been asked: who is silent is forgotten.
                let gmi = self.robustness * self.query_interval + 2 * QUERY_RESPONSE_INTERVAL;
                let groups = self.groups.values_mut();
                groups.for_each(|group| group.heard_ago.retain(|_, ago| *ago < gmi));
            }
            self.yield_to(query, 0);
        }
    }

    fn specific_query(&mut self, query: &Query) {
        if self.is_querier() {
            return;
        }
        self.adopt(query);
        if query.suppress_router_side_processing {
            return;
        }
        let state = self.groups.get_mut(&query.group).unwrap();
        let time = if query.version == Version::V2 {
            LMQC * 3
        } else {
            LMQT
        };
        if query.sources.is_empty() {
            state.group_timer = state.group_timer.min(time);
        }
        state.lower(time, &query.sources.iter().copied().collect());
    }
}
