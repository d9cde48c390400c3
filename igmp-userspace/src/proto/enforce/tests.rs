use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{A, B, C, G, LAN, Sim, Time as _, changed, general_query, group_query};
use super::super::{
    Counter, Event, GroupFilter, IfIndex, Input, Instant, InterfaceParams, Output, Policy,
    PromptLeave,
};
use super::*;
use crate::wire::RecordType::{AllowNewSources, ChangeToExclude, ChangeToInclude};
use crate::wire::Version;

const HOST: &str = "10.0.0.7";
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SSM: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);

fn group(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(239, 2, 2, number)
}

fn limited(max_groups: usize, max_sources: usize) -> InterfacePolicy {
    InterfacePolicy {
        max_groups,
        max_sources,
        ..InterfacePolicy::default()
    }
}

fn with_static(groups: &[(Ipv4Addr, Option<Ipv4Addr>)]) -> InterfacePolicy {
    InterfacePolicy {
        static_groups: groups.to_vec(),
        ..InterfacePolicy::default()
    }
}

#[test]
fn groups_that_are_denied_now_go_at_once() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v2(H);
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[A, B]);
    sim.host(HOST).report_v3(ChangeToExclude, group(1), &[B]);
    sim.host(HOST).report_v3(AllowNewSources, group(1), &[A]);
    sim.policy(Policy {
        acls: vec![acl(
            "iptv",
            &["permit 239.1.1.2/32 any", "permit any 10.9.0.1/32"],
        )],
        ..Policy::default()
    });
    sim.forget();
    sim.at(1.s()).interface_policy(InterfacePolicy {
        group_policy: Some(acl_ref("iptv")),
        ..InterfacePolicy::default()
    });
    sim.expects([
        changed("1s", SSM),
        changed("1s", G),
        changed("1s", group(1)),
    ]);
    sim.expects_events(["1s nobody left in 239.1.1.1"]);
    assert_eq!(sim.state(H), "EXCLUDE@270");
    assert_eq!(sim.state(SSM), "INCLUDE a@270");
    assert_eq!(
        sim.state(group(1)),
        "INCLUDE a@270",
        "of any source but b, a stays"
    );
    assert_eq!(
        sim.router.acl_hits(0).unwrap().rules,
        [0, 0],
        "nobody asked for anything"
    );

    // The list changes, the interface does not.
    sim.at(2.s()).policy(Policy {
        acls: vec![acl("iptv", &["permit 239.1.1.2/32 any"])],
        ..Policy::default()
    });
    sim.expects([changed("2s", SSM), changed("2s", group(1))]);
    sim.at(3.s()).policy(Policy::default());
    sim.expects([changed("3s", H)]);
    assert_eq!(sim.interface().group_count(), 0);
}

#[test]
fn a_group_that_becomes_source_specific_or_untracked_goes_at_once() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(AllowNewSources, H, &[A]);
    sim.host(HOST).report_v3(AllowNewSources, group(1), &[A]);
    sim.forget();
    sim.at(1.s()).policy(Policy {
        ssm_ranges: vec!["239.1.0.0/16".parse().unwrap()],
        untracked_groups: vec!["239.2.2.0/24".parse().unwrap()],
        ..Policy::default()
    });
    sim.expects([changed("1s", G), changed("1s", group(1))]);
    assert_eq!(sim.state(H), "INCLUDE a@270");
}

#[test]
fn a_policy_sent_again_changes_nothing() {
    let policy = InterfacePolicy {
        group_policy: Some(acl_ref("iptv")),
        ..with_static(&[(H, None), (SSM, Some(A))])
    };
    let lists = Policy {
        acls: vec![acl("iptv", &["permit any any"])],
        ..Policy::default()
    };
    let mut sim = Sim::with_policy(policy.clone());
    sim.policy(lists.clone());
    sim.host(HOST).report_v2(G);
    sim.forget();
    sim.policy(lists);
    sim.interface_policy(policy);
    sim.expects_nothing();
    sim.expects_events::<&str>([]);
    assert_eq!(sim.router.acl_hits(0).unwrap().rules, [1]);
}

#[test]
fn an_elected_querier_that_is_not_accepted_any_more_is_not_waited_for() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.forget();
    sim.at(10.s()).interface_policy(InterfacePolicy {
        query_sources: Some(acl_ref("routers")),
        ..InterfacePolicy::default()
    });
    sim.expects([general_query("10s")]);
    sim.expects_events(["10s 10.0.0.2 is the querier: self"]);
}

#[test]
fn a_non_querier_forwards_only_where_configured() {
    let mut sim = Sim::started(InterfaceParams::default());
    assert!(sim.interface().forwards());
    sim.host(HOST).report_v2(G);
    sim.host("10.0.0.1").general_query(Version::V3);
    assert!(!sim.interface().forwards());
    sim.forget();
    sim.at(1.s()).interface_policy(InterfacePolicy {
        forward_as_non_querier: true,
        ..InterfacePolicy::default()
    });
    assert!(sim.interface().forwards());
    sim.expects([changed("1s", G)]);
}

/// Row C2 of the fault table.
#[test]
fn the_group_limit_is_exact_and_a_place_can_be_used_again() {
    let mut sim = Sim::with_policy(limited(10, 100));
    for number in 0..9 {
        sim.host(HOST).report_v2(group(number));
    }
    sim.expects_events((0..9).flat_map(|number| {
        let joined = format!("0s 10.0.0.7 joined {}", group(number));
        let told = (number == 7).then(|| "0s max_groups: 8 of 10".to_owned());
        std::iter::once(joined).chain(told)
    }));
    sim.host(HOST).report_v2(group(9));
    sim.host(HOST).report_v2(group(10));
    sim.host(HOST).report_v3(AllowNewSources, group(11), &[A]);
    sim.expects_events(["0s 10.0.0.7 joined 239.2.2.9", "0s max_groups: 10 of 10"]);
    assert_eq!(sim.interface().group_count(), 10);
    assert_eq!(sim.counter(Counter::GroupLimit), 2);

    sim.host(HOST).leave(group(3));
    sim.at(2.s()).host(HOST).report_v2(group(10));
    assert_eq!(sim.state(group(10)), "EXCLUDE@272");
    assert_eq!(sim.counter(Counter::GroupLimit), 2);
}

#[test]
fn a_lowered_limit_refuses_newcomers_and_evicts_nobody() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    for number in 0..5 {
        sim.host(HOST)
            .report_v3(AllowNewSources, group(number), &[A, B]);
    }
    sim.forget();
    sim.at(1.s()).interface_policy(limited(3, 4));
    sim.expects_nothing();
    sim.expects_events(["1s max_groups: 5 of 3", "1s max_sources: 10 of 4"]);
    sim.host(HOST).report_v2(group(5));
    sim.host(HOST)
        .report_v3(AllowNewSources, group(0), &[A, B, C]);
    assert_eq!(sim.state(group(0)), "INCLUDE a@271 b@271");
    assert_eq!(sim.counter(Counter::GroupLimit), 1);
    assert_eq!(sim.counter(Counter::SourceLimit), 1);
    assert_eq!(sim.interface().group_count(), 5);
}

#[test]
fn the_source_limit_is_exact() {
    let mut sim = Sim::with_policy(limited(10, 2));
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.host(HOST).report_v3(AllowNewSources, H, &[C, B]);
    assert_eq!(sim.state(H), "INCLUDE b@270");
    assert_eq!(sim.counter(Counter::SourceLimit), 1);
    sim.expects_events([
        "0s 10.0.0.7 joined 239.1.1.1",
        "0s 10.0.0.7 joined 239.1.1.2",
        "0s max_sources: 2 of 2",
    ]);
}

#[test]
fn all_interfaces_together_have_limits_too() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.policy(Policy {
        max_groups: 2,
        max_sources: 1,
        ..Policy::default()
    });
    sim.host(HOST).report_v2(G);
    sim.forget();
    let other = IfIndex(8);
    let mut ready = Input::InterfaceReady {
        interface: other,
        params: InterfaceParams::default(),
        addresses: vec!["192.0.2.1/24".parse().unwrap()],
        alt_subnets: vec![],
        policy: with_static(&[(SSM, Some(A))]),
    };
    sim.router.handle_input(Instant::START, ready.clone());
    let events =
        std::iter::from_fn(|| sim.router.poll_output()).filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        });
    let high_water = |limit, allowed| Event {
        interface: other,
        kind: EventKind::HighWater {
            limit,
            used: allowed,
            allowed,
        },
    };
    assert!(events.eq([
        high_water("policy.max_groups", 2),
        high_water("policy.max_sources", 1)
    ]));

    sim.host(HOST).report_v2(H);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::GroupLimit), 1);
    assert_eq!(sim.counter(Counter::SourceLimit), 1);

    // What another interface held is free when it has gone, or changed.
    if let Input::InterfaceReady { policy, .. } = &mut ready {
        *policy = InterfacePolicy::default();
    }
    sim.router.handle_input(Instant::START, ready);
    while sim.router.poll_output().is_some() {}
    sim.host(HOST).report_v2(H);
    sim.expects([changed("0s", H)]);
    sim.input(Input::InterfaceGone { interface: LAN });
    assert_eq!(sim.router.interfaces().count(), 1);
}

#[test]
fn static_groups_are_there_from_the_start_and_never_expire() {
    let mut sim = Sim::new();
    sim.interface_policy(with_static(&[(G, None), (SSM, Some(B)), (SSM, Some(A))]));
    sim.expects([general_query("0s"), changed("0s", SSM), changed("0s", G)]);
    sim.expects_events::<&str>([]);
    for time in [0, 1_000] {
        sim.at(time.s());
        assert_eq!(sim.state(G), "EXCLUDE static");
        assert_eq!(sim.state(SSM), "INCLUDE a b static");
    }
    assert_eq!(sim.interface().group_count(), 2);
    assert!(sim.interface().group(G).unwrap().last_reporter().is_none());
}

#[test]
fn static_groups_that_are_listed_no_more_go_and_new_ones_come() {
    let mut sim = Sim::with_policy(with_static(&[(G, None), (H, Some(A))]));
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects_nothing();
    sim.at(1.s())
        .interface_policy(with_static(&[(H, Some(B)), (group(1), None)]));
    sim.expects([changed("1s", G), changed("1s", H), changed("1s", group(1))]);
    assert_eq!(sim.state(G), "INCLUDE a@270", "what hosts joined stays");
    assert_eq!(sim.state(H), "INCLUDE b static");
    sim.interface_policy(InterfacePolicy::default());
    assert_eq!(
        (sim.state(H).as_str(), sim.interface().group_count()),
        ("none", 1)
    );
}

#[test]
fn static_and_learnt_state_are_forwarded_together() {
    let mut sim = Sim::with_policy(with_static(&[(G, Some(B)), (H, None)]));
    let reception = |sim: &Sim, group| {
        let reception = sim.interface().group(group).unwrap().reception();
        (
            reception.filter_mode,
            reception.sources().collect::<Vec<_>>(),
        )
    };
    sim.host(HOST).report_v3(AllowNewSources, G, &[A, C]);
    assert_eq!(reception(&sim, G), (FilterMode::Include, vec![A, B, C]));
    assert_eq!(sim.state(G), "INCLUDE a@270 b c@270 static");
    sim.expects([changed("0s", G)]);
    // A host wants all but a and b, the operator b.
    sim.host(HOST).report_v3(ChangeToExclude, G, &[A, B]);
    sim.forget();
    sim.at(10.s());
    assert_eq!(reception(&sim, G), (FilterMode::Exclude, vec![A]));
    assert_eq!(sim.state(G), "EXCLUDE@270 !a static");
    // In a group that is static for any source, no host changes anything.
    sim.host(HOST).report_v3(ChangeToExclude, H, &[A]);
    sim.host(HOST).report_v3(ChangeToInclude, H, &[B]);
    sim.at(400.s())
        .host(HOST)
        .report_v3(AllowNewSources, H, &[A]);
    assert_eq!(reception(&sim, H), (FilterMode::Exclude, vec![]));
}

#[test]
fn static_groups_survive_leaves_and_their_members_come_and_go() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        ..with_static(&[(G, None)])
    });
    sim.at(40.s()).host(HOST).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@310 static");
    sim.forget();
    sim.at(50.s()).host(HOST).leave(G);
    sim.at(60.s()).host(HOST).leave(G);
    sim.expects([group_query("50s", G), group_query("51s", G)]);
    sim.expects_events([
        "50s 10.0.0.7 leaves 239.1.1.1: query (static group)",
        "52s nobody left in 239.1.1.1",
        "60s 10.0.0.7 leaves 239.1.1.1: ignored (no member)",
    ]);
    assert_eq!(sim.state(G), "EXCLUDE static");
}

#[test]
fn static_groups_count_in_the_limits_and_are_never_refused() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        max_groups: 2,
        max_sources: 1,
        ..with_static(&[(SSM, Some(A)), (G, None), (H, None)])
    });
    assert_eq!(sim.interface().group_count(), 3);
    sim.host(HOST).report_v2(group(1));
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[B]);
    sim.host(HOST).report_v2(G);
    assert_eq!(sim.counter(Counter::GroupLimit), 1);
    assert_eq!(sim.counter(Counter::SourceLimit), 1);
    assert_eq!(sim.state(G), "EXCLUDE@270 static");
}

#[test]
fn a_static_group_that_is_untracked_is_not_installed() {
    let mut sim = Sim::with_policy(with_static(&[(G, None)]));
    sim.at(1.s()).policy(Policy {
        untracked_groups: vec!["239.1.1.1/32".parse().unwrap()],
        ..Policy::default()
    });
    sim.expects([changed("1s", G)]);
    assert_eq!(sim.state(G), "none");
}

/// G is not served, and H is.
fn without_g() -> InterfacePolicy {
    InterfacePolicy {
        group_filter: GroupFilter {
            whitelist: vec!["239.0.0.0/8".parse().unwrap()],
            blacklist: vec!["239.1.1.1/32".parse().unwrap()],
        },
        ..InterfacePolicy::default()
    }
}

#[test]
fn nobody_joins_a_group_that_is_not_served() {
    let mut sim = Sim::with_policy(without_g());
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[A]); // in no list, and there is a whitelist
    sim.host(HOST).leave(G);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::GroupFilter), 3);
    sim.host(HOST).report_v2(H);
    sim.expects([changed("0s", H)]);
}

#[test]
fn groups_that_are_not_served_any_more_go_at_once_static_ones_too() {
    let statics = vec![(G, None), (H, None)];
    let mut sim = Sim::with_policy(InterfacePolicy {
        static_groups: statics.clone(),
        ..InterfacePolicy::default()
    });
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[A]);
    sim.forget();
    sim.interface_policy(InterfacePolicy {
        static_groups: statics.clone(),
        ..without_g()
    });
    sim.expects([changed("0s", SSM), changed("0s", G)]);
    sim.expects_events(["0s nobody left in 232.1.1.1", "0s nobody left in 239.1.1.1"]);
    assert_eq!(sim.interface().group_count(), 1);
    assert_eq!(sim.state(H), "EXCLUDE static");
    // Served again, what is static is there at once, and hosts when they report.
    sim.interface_policy(with_static(&statics));
    sim.expects([changed("0s", G)]);
}
