use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::super::sim::{A, B, C, G, LAN, Sim, Time as _, changed, general_query, group_query};
use super::super::{
    Counter, FilterMode, GroupState, Input, InterfaceParams, InterfacePolicy, Policy,
};
use crate::wire::RecordType::{AllowNewSources, ChangeToExclude};

use FilterMode::{Exclude, Include};

const HOST: &str = "10.0.0.7";
const G2: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

fn standby() -> Sim {
    Sim::on_standby(InterfaceParams::default(), InterfacePolicy::default())
}

fn restore(sim: &mut Sim, state: GroupState) {
    let interface = LAN;
    sim.input(Input::Restore { interface, state });
}

fn retain(sim: &mut Sim, groups: &[Ipv4Addr]) {
    sim.input(Input::Retain {
        interface: LAN,
        groups: groups.iter().copied().collect(),
    });
}

fn export(sim: &Sim) -> Vec<GroupState> {
    sim.interface().export(sim.now()).collect()
}

/// INCLUDE or EXCLUDE, with 100 s left.
fn state(filter_mode: FilterMode, sources: &[(Ipv4Addr, Option<Duration>)]) -> GroupState {
    GroupState {
        group: G,
        filter_mode,
        group_timer: (filter_mode == Exclude).then(|| 100.s()),
        sources: sources.to_vec(),
        v1_host_present: None,
        v2_host_present: None,
        last_reporter: Some(HOST.parse().unwrap()),
    }
}

/// Sections 6.2, 8.4 and 8.13: 270 s for what was reported, 260 s for the older host.
#[test]
fn what_hosts_brought_about_is_exported_with_what_is_left_of_it() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.at(20.s())
        .host(HOST)
        .report_v3(AllowNewSources, G2, &[B, A]);
    sim.at(30.s());
    let last_reporter = Some(HOST.parse().unwrap());
    let expected = [
        GroupState {
            group: G,
            filter_mode: Exclude,
            group_timer: Some(250.s()),
            sources: vec![],
            v1_host_present: None,
            v2_host_present: Some(240.s()),
            last_reporter,
        },
        GroupState {
            group: G2,
            filter_mode: Include,
            group_timer: None,
            sources: vec![(A, Some(260.s())), (B, Some(260.s()))],
            v1_host_present: None,
            v2_host_present: None,
            last_reporter,
        },
    ];
    assert_eq!(export(&sim), expected);
}

#[test]
fn what_is_static_is_the_operators_and_not_exported() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        static_groups: vec![(G, None), (G2, Some(A))],
        ..InterfacePolicy::default()
    });
    assert_eq!(export(&sim), []);
    sim.at(10.s())
        .host(HOST)
        .report_v3(AllowNewSources, G2, &[B]);
    let exported = export(&sim);
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].sources, [(B, Some(270.s()))]);
}

#[test]
fn a_group_becomes_exactly_what_is_restored() {
    let mut sim = standby();
    sim.at(10.s())
        .host(HOST)
        .report_v3(ChangeToExclude, G, &[C]);
    sim.forget();
    sim.at(20.s());
    restore(&mut sim, state(Exclude, &[(A, Some(60.s())), (B, None)]));
    assert_eq!(sim.state(G), "EXCLUDE@120 a@80 !b");
    sim.expects([changed("20s", G)]);
    restore(&mut sim, state(Include, &[(A, Some(60.s()))]));
    assert_eq!(sim.state(G), "INCLUDE a@80");
    restore(&mut sim, state(Include, &[]));
    assert_eq!(sim.state(G), "none");
    sim.expects([changed("20s", G), changed("20s", G)]);
    restore(&mut sim, state(Include, &[]));
    sim.expects_nothing();
}

#[test]
fn restored_timers_end_when_they_say() {
    let mut sim = standby();
    sim.at(20.s());
    restore(&mut sim, state(Exclude, &[(A, Some(60.s())), (B, None)]));
    sim.forget();
    sim.at(200.s())
        .expects([changed("80s", G), changed("120s", G)]);
    sim.expects_events(["120s nobody left in 239.1.1.1"]);
}

/// Section 7.3.2: in the mode of an IGMPv2 host BLOCK is ignored, in that of an IGMPv1 host Leave too.
#[test]
fn older_hosts_are_restored() {
    let mut sim = standby();
    let older = GroupState {
        v1_host_present: Some(10.s()),
        v2_host_present: Some(20.s()),
        ..state(Exclude, &[])
    };
    restore(&mut sim, older);
    sim.at(9.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@100");
    sim.at(10.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@12");
}

/// RFC 2236 section 7: in Checking Membership a leave starts nothing; a report ends it.
#[test]
fn a_group_that_was_being_asked_for_still_is() {
    let mut sim = standby();
    let asked = GroupState {
        group_timer: Some(2.s()),
        ..state(Exclude, &[])
    };
    restore(&mut sim, asked);
    sim.at(1.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@2");
    sim.host(HOST).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@271");
    sim.at(10.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@12", "no longer checking");
}

#[test]
fn what_was_being_asked_for_is_asked_for_again_by_who_takes_over() {
    let mut sim = standby();
    let asked = GroupState {
        group_timer: Some(2.s()),
        ..state(Exclude, &[])
    };
    restore(&mut sim, asked);
    sim.forget();
    sim.at(1.s()).standby(false);
    sim.expects([general_query("1s"), group_query("1s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@3");
}

/// Sections 8.4 and 8.13: no report makes a timer last longer than 270 s and 260 s.
#[test]
fn nothing_restored_lasts_longer_than_a_report() {
    let mut sim = standby();
    let eternal = GroupState {
        group_timer: Some(Duration::MAX),
        v1_host_present: Some(Duration::MAX),
        v2_host_present: Some(Duration::MAX),
        ..state(Exclude, &[(A, Some(Duration::MAX))])
    };
    restore(&mut sim, eternal);
    let expected = GroupState {
        group_timer: Some(270.s()),
        v1_host_present: Some(260.s()),
        v2_host_present: Some(260.s()),
        ..state(Exclude, &[(A, Some(270.s()))])
    };
    assert_eq!(export(&sim), [expected]);
}

#[test]
fn what_does_not_fit_together_makes_nothing_eternal() {
    let mut sim = standby();
    let without_timer = GroupState {
        group_timer: None,
        ..state(Exclude, &[(A, Some(60.s())), (B, None)])
    };
    restore(&mut sim, without_timer);
    sim.at(1.s());
    assert_eq!(sim.state(G), "INCLUDE a@60");
    let with_timer = GroupState {
        group_timer: Some(60.s()),
        ..state(Include, &[(B, Some(60.s())), (A, None), (B, Some(50.s()))])
    };
    restore(&mut sim, with_timer);
    assert_eq!(sim.state(G), "INCLUDE b@51", "the last of two");
}

#[test]
fn policy_and_limits_hold() {
    let mut sim = Sim::on_standby(
        InterfaceParams::default(),
        InterfacePolicy {
            max_groups: 1,
            max_sources: 2,
            ..InterfacePolicy::default()
        },
    );
    sim.policy(Policy::default());
    for (group, reason) in [
        (Ipv4Addr::new(232, 1, 1, 1), Counter::AnySource),
        (Ipv4Addr::new(10, 1, 1, 1), Counter::GroupNotMulticast),
        (Ipv4Addr::new(224, 0, 0, 5), Counter::GroupLinkLocal),
    ] {
        let refused = GroupState {
            group,
            ..state(Exclude, &[])
        };
        restore(&mut sim, refused);
        assert_eq!(sim.counter(reason), 1, "{group}");
    }
    sim.expects_nothing();
    let sources = [(A, None), (B, None), (C, None)];
    restore(&mut sim, state(Exclude, &sources));
    assert_eq!(sim.state(G), "EXCLUDE@100 !a !b");
    assert_eq!(sim.counter(Counter::SourceLimit), 1);
    restore(&mut sim, state(Exclude, &sources[1..]));
    assert_eq!(sim.state(G), "EXCLUDE@100 !b !c", "the places of a and b");
    let one_more = GroupState {
        group: G2,
        ..state(Exclude, &[])
    };
    restore(&mut sim, one_more);
    assert_eq!(sim.counter(Counter::GroupLimit), 1);
    assert_eq!(sim.state(G2), "none");
}

#[test]
fn who_is_not_on_standby_knows_better() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.forget();
    restore(&mut sim, state(Include, &[(A, Some(60.s()))]));
    retain(&mut sim, &[]);
    sim.expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@280");
}

#[test]
fn what_is_not_retained_goes_and_static_groups_stay() {
    let mut sim = Sim::on_standby(
        InterfaceParams::default(),
        InterfacePolicy {
            static_groups: vec![(G2, None)],
            ..InterfacePolicy::default()
        },
    );
    let third = Ipv4Addr::new(239, 1, 1, 3);
    for group in [G, G2, third] {
        sim.at(10.s()).host(HOST).report_v2(group);
    }
    sim.forget();
    retain(&mut sim, &[G]);
    sim.expects([changed("10s", third)]);
    sim.expects_events([
        "10s nobody left in 239.1.1.2",
        "10s nobody left in 239.1.1.3",
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@280");
    assert_eq!(sim.state(G2), "EXCLUDE static");
    assert_eq!(sim.state(third), "none");
}

#[test]
fn hosts_are_not_known_of_what_is_restored() {
    let mut sim = standby();
    sim.policy(Policy {
        quick_leave: true,
        ..Policy::default()
    });
    sim.at(10.s()).host(HOST).report_v2(G);
    assert_eq!(sim.interface().hosts(G).count(), 1);
    restore(&mut sim, state(Exclude, &[]));
    assert_eq!(sim.interface().hosts(G).count(), 0);
}

#[test]
fn what_lasts_longer_than_it_takes_to_answer_is_not_abandoned() {
    let mut sim = standby();
    sim.policy(Policy {
        quick_leave: true,
        ..Policy::default()
    });
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    let asked = export(&sim).remove(0);
    restore(&mut sim, asked);
    assert_eq!(sim.state(G), "EXCLUDE@22 abandoned");
    sim.expects_nothing();
    restore(&mut sim, state(Exclude, &[]));
    assert_eq!(sim.state(G), "EXCLUDE@120");
    sim.expects([changed("20s", G)]);
}

fn left(longest: u64) -> impl Strategy<Value = Duration> {
    (1..=longest * 1000).prop_map(super::super::sim::Time::ms)
}

/// What a router can have: in INCLUDE mode sources with timers, in EXCLUDE mode a group timer.
fn any_state() -> impl Strategy<Value = GroupState> {
    let source = (0..5_u8).prop_map(|number| Ipv4Addr::new(10, 9, 0, number));
    let sources = prop::collection::btree_map(source, prop::option::of(left(270)), 0..4);
    (
        any::<bool>(),
        left(270),
        sources,
        prop::option::of(left(260)),
        prop::option::of(left(260)),
        prop::option::of(any::<u32>()),
    )
        .prop_filter_map(
            "INCLUDE({}) is no group",
            |(exclude, timer, sources, v1, v2, reporter)| {
                let sources: Vec<_> = sources
                    .into_iter()
                    .filter(|(_, timer)| exclude || timer.is_some())
                    .collect();
                (exclude || !sources.is_empty()).then(|| GroupState {
                    group: G,
                    filter_mode: if exclude { Exclude } else { Include },
                    group_timer: exclude.then_some(timer),
                    sources,
                    v1_host_present: v1,
                    v2_host_present: v2,
                    last_reporter: reporter.map(Ipv4Addr::from_bits),
                })
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_restored_is_what_is_exported(before in any_state(), after in any_state()) {
        let mut sim = standby();
        sim.at(40.s());
        restore(&mut sim, before);
        restore(&mut sim, after.clone());
        prop_assert_eq!(export(&sim), [after.clone()]);
        sim.forget();
        restore(&mut sim, after);
        sim.expects_nothing();
        sim.expects_events::<&str>([]);
    }
}
