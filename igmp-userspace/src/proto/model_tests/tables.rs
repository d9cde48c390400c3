//! The state of the router against a reference that counts decrementing timers down second by second, as RFC 9776
//! section 6.2 describes them, and writes the tables of section 6.4 as operations on sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::sim::{A, B, C, D, G, LAN, Time as _, query};
use super::super::{FilterMode, Input, Instant, InterfaceParams, Output, Router};
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{self, GroupRecord, Query, Received, RecordType, Repr, Version};

type Set = BTreeSet<Ipv4Addr>;

const GROUPS: [Ipv4Addr; 2] = [G, Ipv4Addr::new(239, 1, 1, 2)];

// Short timers, all of whole seconds, so that histories of a minute cross every deadline.
const QUERY_RESPONSE_INTERVAL: u32 = 4;
const LMQC: u32 = 2;
const LMQT: u32 = LMQC; // Last Member Query Interval is 1 s

fn params() -> InterfaceParams {
    InterfaceParams {
        query_interval: 10.s(),
        query_response_interval: u64::from(QUERY_RESPONSE_INTERVAL).s(),
        last_member_query_count: Some(2),
        startup_query_interval: Some(3.s()),
        ..InterfaceParams::default()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait { seconds: u32 },
    ReportV1(Ipv4Addr),
    ReportV2(Ipv4Addr),
    Leave(Ipv4Addr),
    Record(GroupRecord),
    Query { from: Ipv4Addr, query: Query },
    MessagesLost,
}

fn sources() -> impl Strategy<Value = Vec<Ipv4Addr>> {
    subsequence(vec![A, B, C, D], 0..=4)
}

fn step() -> impl Strategy<Value = Step> {
    let group = || select(GROUPS.to_vec());
    let record_types = vec![
        ModeIsInclude,
        ModeIsExclude,
        ChangeToInclude,
        ChangeToExclude,
        AllowNewSources,
        BlockOldSources,
    ];
    let rival = select(vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 3)]);
    let general = (
        rival.clone(),
        select(vec![Version::V1, Version::V2, Version::V3]),
        0..4_u8,
        0..3_u64,
    )
        .prop_map(|(from, version, robustness, units)| {
            let mut query = query(version, Ipv4Addr::UNSPECIFIED);
            if version == Version::V3 {
                query.robustness = robustness;
                query.query_interval = (units * 6).s();
            }
            Step::Query { from, query }
        });
    let specific = (rival, group(), sources(), any::<bool>(), any::<bool>()).prop_map(
        |(from, group, sources, suppress, is_v3)| {
            let version = if is_v3 { Version::V3 } else { Version::V2 };
            let mut query = query(version, group);
            if is_v3 {
                query.sources = sources;
                query.suppress_router_side_processing = suppress;
            } else {
                query.max_response_time = 3.s();
            }
            Step::Query { from, query }
        },
    );
    prop_oneof![
        3 => (0..4_u32).prop_map(|seconds| Step::Wait { seconds }),
        2 => (0..40_u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => group().prop_map(Step::ReportV1),
        2 => group().prop_map(Step::ReportV2),
        2 => group().prop_map(Step::Leave),
        9 => (select(record_types), group(), sources())
            .prop_map(|(record_type, group, sources)| Step::Record(GroupRecord { record_type, group, sources })),
        1 => general,
        1 => specific,
        1 => Just(Step::MessagesLost),
    ]
}

/// A group of the reference; one that nobody wants is `INCLUDE({})`. Timers are seconds left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct ReferenceGroup {
    exclude: bool,
    group_timer: u32,
    sources: BTreeMap<Ipv4Addr, u32>,
    v1_host_present: u32,
    v2_host_present: u32,
}

impl ReferenceGroup {
    fn mode(&self) -> Version {
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

    /// Sections 6.4.1 and 6.4.2, column by column.
    fn record(&mut self, record_type: RecordType, list: &[Ipv4Addr], gmi: u32, is_querier: bool) {
        let list: Set = match (self.mode(), record_type) {
            (Version::V1 | Version::V2, BlockOldSources) | (Version::V1, ChangeToInclude) => return,
            (Version::V1 | Version::V2, ChangeToExclude) => Set::new(),
            _ => list.iter().copied().collect(),
        };
        let with = |zero: bool| -> Set {
            self.sources
                .iter()
                .filter(|(_, timer)| (**timer == 0) == zero)
                .map(|(source, _)| *source)
                .collect()
        };
        let (x, y) = (with(false), with(true)); // in INCLUDE mode x is the RFC's A and y is empty
        let none = Set::new();
        // (EXCLUDE?, x, y, which get a timer, of how much, Group Timer=GMI?, Q(G, these), Q(G)?)
        let (exclude, new_x, new_y, set, timer, restart, asked, ask_group) =
            match (self.exclude, record_type) {
                (false, ModeIsInclude | AllowNewSources) => (
                    false,
                    &x | &list,
                    none.clone(),
                    list.clone(),
                    gmi,
                    false,
                    none,
                    false,
                ),
                (false, ModeIsExclude) => (
                    true,
                    &x & &list,
                    &list - &x,
                    none.clone(),
                    0,
                    true,
                    none,
                    false,
                ),
                (false, ChangeToExclude) => (
                    true,
                    &x & &list,
                    &list - &x,
                    none,
                    0,
                    true,
                    &x & &list,
                    false,
                ),
                (false, BlockOldSources) => (
                    false,
                    x.clone(),
                    none.clone(),
                    none,
                    0,
                    false,
                    &x & &list,
                    false,
                ),
                (false, ChangeToInclude) => (
                    false,
                    &x | &list,
                    none,
                    list.clone(),
                    gmi,
                    false,
                    &x - &list,
                    false,
                ),
                (true, ModeIsInclude | AllowNewSources) => (
                    true,
                    &x | &list,
                    &y - &list,
                    list.clone(),
                    gmi,
                    false,
                    none,
                    false,
                ),
                (true, ModeIsExclude) => (
                    true,
                    &list - &y,
                    &y & &list,
                    &(&list - &x) - &y,
                    gmi,
                    true,
                    none,
                    false,
                ),
                (true, ChangeToExclude) => (
                    true,
                    &list - &y,
                    &y & &list,
                    &(&list - &x) - &y,
                    self.group_timer,
                    true,
                    &list - &y,
                    false,
                ),
                (true, BlockOldSources) => (
                    true,
                    &x | &(&list - &y),
                    y.clone(),
                    &(&list - &x) - &y,
                    self.group_timer,
                    false,
                    &list - &y,
                    false,
                ),
                (true, ChangeToInclude) => (
                    true,
                    &x | &list,
                    &y - &list,
                    list.clone(),
                    gmi,
                    false,
                    &x - &list,
                    true,
                ),
            };
        let old = std::mem::take(&mut self.sources);
        for source in new_x {
            let kept = old.get(&source).copied().unwrap_or_default();
            self.sources
                .insert(source, if set.contains(&source) { timer } else { kept });
        }
        self.sources
            .extend(new_y.into_iter().map(|source| (source, 0)));
        self.exclude = exclude;
        if restart {
            self.group_timer = gmi;
        }
        if is_querier {
            self.lower(LMQT, &asked.into_iter().collect::<Vec<_>>());
            if ask_group {
                self.group_timer = self.group_timer.min(LMQT);
            }
        }
        self.settle();
    }

    fn lower(&mut self, time: u32, sources: &[Ipv4Addr]) {
        for (source, timer) in &mut self.sources {
            if sources.contains(source) {
                *timer = (*timer).min(time);
            }
        }
    }
}

/// The reference of one interface, whose address is 10.0.0.2.
#[derive(Debug)]
struct Reference {
    groups: BTreeMap<Ipv4Addr, ReferenceGroup>,
    other_querier_present: u32,
    robustness: u32,
    query_interval: u32,
}

impl Reference {
    fn new() -> Self {
        let groups = GROUPS
            .map(|group| (group, ReferenceGroup::default()))
            .into();
        Self {
            groups,
            other_querier_present: 0,
            robustness: 2,
            query_interval: 10,
        }
    }

    fn is_querier(&self) -> bool {
        self.other_querier_present == 0
    }

    fn adopt(&mut self, query: &Query) {
        let seconds = u32::try_from(query.query_interval.as_secs()).unwrap();
        self.robustness = if query.robustness == 0 {
            2
        } else {
            query.robustness.into()
        };
        self.query_interval = if seconds == 0 { 10 } else { seconds };
    }

    fn take(&mut self, step: &Step) {
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
                        (self.robustness, self.query_interval) = (2, 10);
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
                    state.lower(time, &query.sources);
                }
            }
            Step::Leave(_) | Step::Query { .. } | Step::MessagesLost => {}
        }
    }
}

/// The router under test, and its time in whole seconds.
struct Subject {
    router: Router,
    now: u32,
}

impl Subject {
    fn new() -> Self {
        let mut router = Router::new();
        let addresses = vec!["10.0.0.2/24".parse().unwrap()];
        let ready = Input::InterfaceReady {
            interface: LAN,
            params: params(),
            addresses,
            alt_subnets: vec![],
        };
        router.handle_input(Instant::START, ready);
        while router.poll_output().is_some() {}
        Self { router, now: 0 }
    }

    fn instant(&self) -> Instant {
        Instant::from_start(u64::from(self.now).s())
    }

    fn take(&mut self, step: &Step) -> Vec<Output> {
        let host = Ipv4Addr::new(10, 0, 0, 7);
        let (source, destination, message) = match step.clone() {
            Step::Wait { seconds } => {
                self.now += seconds;
                let mut outputs = Vec::new();
                while let Some(due) = self
                    .router
                    .poll_timeout()
                    .filter(|due| *due <= self.instant())
                {
                    self.router.handle_timeout(due);
                    outputs.extend(std::iter::from_fn(|| self.router.poll_output()));
                }
                return outputs;
            }
            Step::MessagesLost => {
                self.router
                    .handle_input(self.instant(), Input::MessagesLost);
                return std::iter::from_fn(|| self.router.poll_output()).collect();
            }
            Step::ReportV1(group) => (host, group, Repr::ReportV1 { group }),
            Step::ReportV2(group) => (host, group, Repr::ReportV2 { group }),
            Step::Leave(group) => (host, wire::ALL_ROUTERS, Repr::Leave { group }),
            Step::Record(record) => (host, wire::ALL_IGMPV3_ROUTERS, Repr::ReportV3(vec![record])),
            Step::Query { from, query } => {
                let to = if query.group.is_unspecified() {
                    wire::ALL_SYSTEMS
                } else {
                    query.group
                };
                (from, to, Repr::Query(query))
            }
        };
        let packet = Ok(Received {
            source,
            destination,
            router_alert: true,
            message,
        });
        self.router.handle_input(
            self.instant(),
            Input::Received {
                interface: LAN,
                packet,
            },
        );
        std::iter::from_fn(|| self.router.poll_output()).collect()
    }

    /// The state of a group in the reference's terms, with the timers of older hosts taken from it: of those only the
    /// mode can be seen.
    fn group(&self, address: Ipv4Addr, like: &ReferenceGroup) -> ReferenceGroup {
        let Some(group) = self.router.interface(LAN).unwrap().group(address) else {
            return ReferenceGroup::default();
        };
        let left = |timer: Option<Instant>| {
            let left = timer.map_or(0.s(), |timer| timer.saturating_since(self.instant()));
            assert_eq!(left.subsec_nanos(), 0);
            u32::try_from(left.as_secs()).unwrap()
        };
        assert_eq!(group.compatibility(), like.mode());
        ReferenceGroup {
            exclude: group.filter_mode() == FilterMode::Exclude,
            group_timer: left(group.group_timer()),
            sources: group
                .sources()
                .map(|source| (source.address, left(source.timer)))
                .collect(),
            ..like.clone()
        }
    }

    fn reception(&self, address: Ipv4Addr) -> (bool, Vec<Ipv4Addr>) {
        self.router
            .interface(LAN)
            .unwrap()
            .group(address)
            .map_or((false, vec![]), |group| {
                let reception = group.reception();
                (
                    reception.filter_mode == FilterMode::Exclude,
                    reception.sources().collect(),
                )
            })
    }
}

/// What section 6.3 forwards (INCLUDE) or blocks (EXCLUDE).
fn reference_reception(group: &ReferenceGroup) -> (bool, Vec<Ipv4Addr>) {
    let listed = group
        .sources
        .iter()
        .filter(|(_, timer)| !group.exclude || **timer == 0);
    (group.exclude, listed.map(|(source, _)| *source).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_leads_to_the_state_the_tables_say(steps in prop::collection::vec(step(), 1..80)) {
        let (mut subject, mut reference) = (Subject::new(), Reference::new());
        for step in &steps {
            let before = GROUPS.map(|group| reference_reception(&reference.groups[&group]));
            let was_querier = reference.is_querier();
            let outputs = subject.take(step);
            reference.take(step);

            for (group, before) in GROUPS.into_iter().zip(before) {
                let expected = &reference.groups[&group];
                prop_assert_eq!(&subject.group(group, expected), expected);
                let reception = reference_reception(expected);
                prop_assert_eq!(&subject.reception(group), &reception);
                if reception != before {
                    let change = Output::MembershipChanged { interface: LAN, group };
                    prop_assert!(outputs.contains(&change), "{} changed in silence", group);
                }
            }
            let interface = subject.router.interface(LAN).unwrap();
            prop_assert_eq!(interface.querier().is_self, reference.is_querier());
            if !was_querier && !reference.is_querier() {
                let silent = outputs.iter().all(|output| matches!(output, Output::MembershipChanged { .. }));
                prop_assert!(silent, "a non-querier sent {:?}", outputs);
            }
            prop_assert!(subject.router.poll_timeout().is_some_and(|due| due > subject.instant()));
        }
    }
}
