//! The state of the router against the reference, after every step of a random history.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::sim::{A, B, C, D, LAN, Time as _, query};
use super::super::{FilterMode, Input, Instant, InterfaceParams, Output, Router};
use super::reference::{GROUPS, QUERY_RESPONSE_INTERVAL, Reference, ReferenceGroup, Step};
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{self, GroupRecord, Received, Repr, Version};

fn params() -> InterfaceParams {
    InterfaceParams {
        query_interval: 10.s(),
        query_response_interval: u64::from(QUERY_RESPONSE_INTERVAL).s(),
        last_member_query_count: Some(2),
        startup_query_interval: Some(3.s()),
        ..InterfaceParams::default()
    }
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

/// The router under test (10.0.0.2), and its time in whole seconds.
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_leads_to_the_state_the_tables_say(steps in prop::collection::vec(step(), 1..80)) {
        let (mut subject, mut reference) = (Subject::new(), Reference::new());
        for step in &steps {
            let before = GROUPS.map(|group| reference.groups[&group].reception());
            let was_querier = reference.is_querier();
            let outputs = subject.take(step);
            reference.take(step);

            for (group, before) in GROUPS.into_iter().zip(before) {
                let expected = &reference.groups[&group];
                prop_assert_eq!(&subject.group(group, expected), expected);
                let reception = expected.reception();
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
