//! The simplest router there can be: groups that always exist, timers that count seconds down one by one as RFC 9776
//! section 6.2 describes them, and the tables of section 6.4 as operations on sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::super::sim::G;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{GroupRecord, Query, RecordType, Version};

type Set = BTreeSet<Ipv4Addr>;

pub(super) const GROUPS: [Ipv4Addr; 2] = [G, Ipv4Addr::new(239, 1, 1, 2)];

// Short timers, all of whole seconds, so that histories of a minute cross every deadline.
pub(super) const QUERY_RESPONSE_INTERVAL: u32 = 4;
const QUERY_INTERVAL: u32 = 10;
const ROBUSTNESS: u32 = 2;
const LMQC: u32 = ROBUSTNESS;
const LMQT: u32 = LMQC; // the Last Member Query Interval is 1 s

/// What happens next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Wait { seconds: u32 },
    ReportV1(Ipv4Addr),
    ReportV2(Ipv4Addr),
    Leave(Ipv4Addr),
    Record(GroupRecord),
    Query { from: Ipv4Addr, query: Query },
    MessagesLost,
}

/// A group of the reference; one that nobody wants is `INCLUDE({})`. Timers are seconds left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ReferenceGroup {
    pub(super) exclude: bool,
    pub(super) group_timer: u32,
    pub(super) sources: BTreeMap<Ipv4Addr, u32>,
    pub(super) v1_host_present: u32,
    pub(super) v2_host_present: u32,
}

/// The right half of a table row.
#[derive(Default)]
struct Row {
    exclude: bool,
    x: Set,
    y: Set,
    /// `(set) = to`.
    set: Set,
    to: u32,
    /// Group Timer=GMI.
    restart: bool,
    /// Send Q(G, ask).
    ask: Set,
    /// Send Q(G).
    ask_group: bool,
}

impl ReferenceGroup {
    /// What section 6.3 forwards (INCLUDE) or blocks (EXCLUDE).
    pub(super) fn reception(&self) -> (bool, Vec<Ipv4Addr>) {
        let listed = self
            .sources
            .iter()
            .filter(|(_, timer)| !self.exclude || **timer == 0);
        (self.exclude, listed.map(|(source, _)| *source).collect())
    }

    pub(super) fn mode(&self) -> Version {
        match (self.v1_host_present, self.v2_host_present) {
            (1.., _) => Version::V1,
            (0, 1..) => Version::V2,
            (0, 0) => Version::V3,
        }
    }

    fn second_passes(&mut self) {
        let timers = [
            &mut self.group_timer,
            &mut self.v1_host_present,
            &mut self.v2_host_present,
        ];
        for timer in timers.into_iter().chain(self.sources.values_mut()) {
            *timer = timer.saturating_sub(1);
        }
        self.settle();
    }

    /// What follows from timers at zero (sections 6.2.2 and 6.3).
    fn settle(&mut self) {
        if self.group_timer == 0 {
            self.exclude = false;
        }
        if !self.exclude {
            self.sources.retain(|_, timer| *timer > 0);
            if self.sources.is_empty() {
                *self = Self::default(); // the record is deleted
            }
        }
    }

    /// Applies a record as section 7.3.2 lets it through.
    fn record(&mut self, record_type: RecordType, list: &[Ipv4Addr], gmi: u32, is_querier: bool) {
        let list: Set = match (self.mode(), record_type) {
            (Version::V1 | Version::V2, BlockOldSources) | (Version::V1, ChangeToInclude) => return,
            (Version::V1 | Version::V2, ChangeToExclude) => Set::new(),
            _ => list.iter().copied().collect(),
        };
        let row = self.row(record_type, &list, gmi);
        let old = std::mem::take(&mut self.sources);
        for source in row.x {
            let kept = old.get(&source).copied().unwrap_or_default();
            self.sources.insert(
                source,
                if row.set.contains(&source) {
                    row.to
                } else {
                    kept
                },
            );
        }
        self.sources
            .extend(row.y.into_iter().map(|source| (source, 0)));
        self.exclude = row.exclude;
        if row.restart {
            self.group_timer = gmi;
        }
        if is_querier {
            self.lower(LMQT, &row.ask);
            if row.ask_group {
                self.group_timer = self.group_timer.min(LMQT);
            }
        }
        self.settle();
    }

    /// Sections 6.4.1 and 6.4.2, column by column. In INCLUDE mode `x` is the RFC's A, `y` is empty and `list` is B.
    fn row(&self, record_type: RecordType, list: &Set, gmi: u32) -> Row {
        let with = |zero: bool| -> Set {
            let sources = self
                .sources
                .iter()
                .filter(|(_, timer)| (**timer == 0) == zero);
            sources.map(|(source, _)| *source).collect()
        };
        let (x, y) = (&with(false), &with(true));
        let include = Row::default();
        let exclude = Row {
            exclude: true,
            ..Row::default()
        };
        let heard = Row {
            x: x | list,
            set: list.clone(),
            to: gmi,
            ..Row::default()
        };
        match (self.exclude, record_type) {
            (false, ModeIsInclude | AllowNewSources) => heard,
            (false, ModeIsExclude) => Row {
                x: x & list,
                y: list - x,
                restart: true,
                ..exclude
            },
            (false, ChangeToExclude) => Row {
                x: x & list,
                y: list - x,
                ask: x & list,
                restart: true,
                ..exclude
            },
            (false, BlockOldSources) => Row {
                x: x.clone(),
                ask: x & list,
                ..include
            },
            (false, ChangeToInclude) => Row {
                ask: x - list,
                ..heard
            },
            (true, ModeIsInclude | AllowNewSources) => Row {
                exclude: true,
                y: y - list,
                ..heard
            },
            (true, ModeIsExclude) => {
                let new = &(list - x) - y;
                Row {
                    x: list - y,
                    y: y & list,
                    set: new,
                    to: gmi,
                    restart: true,
                    ..exclude
                }
            }
            (true, ChangeToExclude) => {
                let new = &(list - x) - y;
                let (to, ask) = (self.group_timer, list - y);
                Row {
                    x: list - y,
                    y: y & list,
                    set: new,
                    to,
                    ask,
                    restart: true,
                    ..exclude
                }
            }
            (true, BlockOldSources) => {
                let (new, to, ask) = (&(list - x) - y, self.group_timer, list - y);
                Row {
                    x: x | &(list - y),
                    y: y.clone(),
                    set: new,
                    to,
                    ask,
                    ..exclude
                }
            }
            (true, ChangeToInclude) => Row {
                exclude: true,
                y: y - list,
                ask: x - list,
                ask_group: true,
                ..heard
            },
        }
    }

    fn lower(&mut self, time: u32, sources: &Set) {
        for (source, timer) in &mut self.sources {
            if sources.contains(source) {
                *timer = (*timer).min(time);
            }
        }
    }
}

/// The reference of one interface, whose address is 10.0.0.2.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) groups: BTreeMap<Ipv4Addr, ReferenceGroup>,
    other_querier_present: u32,
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
            other_querier_present: 0,
            robustness: ROBUSTNESS,
            query_interval: QUERY_INTERVAL,
        }
    }

    pub(super) fn is_querier(&self) -> bool {
        self.other_querier_present == 0
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

    pub(super) fn take(&mut self, step: &Step) {
        let is_querier = self.is_querier();
        let interval = self.robustness * self.query_interval;
        let gmi = interval + 2 * QUERY_RESPONSE_INTERVAL;
        let older_host_present = interval + QUERY_RESPONSE_INTERVAL;
        match step {
            Step::Wait { seconds } => {
                for _ in 0..*seconds {
                    self.groups
                        .values_mut()
                        .for_each(ReferenceGroup::second_passes);
                    if self.other_querier_present == 1 {
                        (self.robustness, self.query_interval) = (ROBUSTNESS, QUERY_INTERVAL);
                    }
                    self.other_querier_present = self.other_querier_present.saturating_sub(1);
                }
            }
            Step::ReportV1(group) => {
                let state = self.groups.get_mut(group).unwrap();
                state.v1_host_present = older_host_present;
                state.record(ModeIsExclude, &[], gmi, is_querier);
            }
            Step::ReportV2(group) => {
                let state = self.groups.get_mut(group).unwrap();
                state.v2_host_present = older_host_present;
                state.record(ModeIsExclude, &[], gmi, is_querier);
            }
            Step::Leave(group) if is_querier => {
                self.groups
                    .get_mut(group)
                    .unwrap()
                    .record(ChangeToInclude, &[], gmi, is_querier);
            }
            Step::Record(GroupRecord {
                record_type,
                group,
                sources,
            }) => {
                self.groups
                    .get_mut(group)
                    .unwrap()
                    .record(*record_type, sources, gmi, is_querier);
            }
            Step::Query { from, query } if query.group.is_unspecified() => {
                if *from < Ipv4Addr::new(10, 0, 0, 2) {
                    self.adopt(query);
                    self.other_querier_present =
                        self.robustness * self.query_interval + QUERY_RESPONSE_INTERVAL / 2;
                }
            }
            Step::Query { query, .. } if !is_querier => {
                self.adopt(query);
                if !query.suppress_router_side_processing {
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
            Step::Leave(_) | Step::Query { .. } | Step::MessagesLost => {}
        }
    }
}
