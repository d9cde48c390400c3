use std::net::Ipv4Addr;

use super::super::acl::tests::{acl, acl_ref};
use super::super::sim::{A, B, C, G, Sim, Time as _, changed, group_query, source_query};
use super::super::{InterfacePolicy, Policy, PromptLeave};
use super::*;
use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";
/// In the default SSM range.
const SSM: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);

/// A querier whose hosts may join what a list of these rules permits.
fn with_rules(rules: &[&str]) -> Sim {
    let mut sim = Sim::with_policy(InterfacePolicy {
        group_policy: Some(acl_ref("iptv")),
        ..InterfacePolicy::default()
    });
    sim.policy(Policy {
        acls: vec![acl("iptv", rules)],
        ..Policy::default()
    });
    sim
}

#[test]
fn a_group_that_is_not_permitted_is_not_joined_in_any_version() {
    let mut sim = with_rules(&["deny 239.1.1.1/32 any", "permit 239.1.0.0/16 any"]);
    let other = Ipv4Addr::new(239, 1, 1, 2);
    sim.host(HOST).report_v1(G);
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(ModeIsExclude, G, &[]);
    sim.host(HOST).report_v3(ChangeToExclude, G, &[A]);
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::GroupPolicy), 5);
    sim.host(HOST).report_v2(other);
    sim.expects([changed("0s", other)]);
    assert_eq!(sim.router.acl_hits(0).unwrap().rules, [5, 1]);
}

#[test]
fn a_list_that_is_missing_or_empty_or_does_not_match_permits_nothing() {
    let mut missing = Sim::with_policy(InterfacePolicy {
        group_policy: Some(acl_ref("iptv")),
        ..InterfacePolicy::default()
    });
    for sim in [
        &mut missing,
        &mut with_rules(&[]),
        &mut with_rules(&["permit 239.2.0.0/16 any"]),
    ] {
        sim.host(HOST).report_v2(G);
        sim.expects_nothing();
        assert_eq!(sim.counter(Counter::GroupPolicy), 1);
    }
}

#[test]
fn sources_that_are_not_permitted_are_left_out() {
    let mut sim = with_rules(&["deny any 10.9.0.2/32", "permit 239.1.0.0/16 10.9.0.0/24"]);
    for record_type in [ModeIsInclude, AllowNewSources, ChangeToInclude] {
        sim.host(HOST).report_v3(record_type, G, &[C, B, A]);
        assert_eq!(sim.state(G), "INCLUDE a@270 c@270");
    }
    sim.expects([changed("0s", G)]);
    assert_eq!(sim.counter(Counter::GroupPolicy), 3);
    // Nothing is left: no group.
    let other = Ipv4Addr::new(239, 1, 1, 2);
    sim.host(HOST).report_v3(AllowNewSources, other, &[B]);
    assert_eq!(sim.state(other), "none");
}

#[test]
fn a_join_for_any_source_needs_a_rule_for_any_source() {
    let mut sim = with_rules(&["permit 239.1.0.0/16 10.9.0.0/24"]);
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(ChangeToExclude, G, &[B]);
    sim.expects_nothing();
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.expects([changed("0s", G)]);
    // Members for one source do not open the group for the others.
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    assert_eq!(sim.state(G), "INCLUDE a@270");
}

#[test]
fn leaving_needs_no_permission() {
    let mut sim = with_rules(&["permit any any"]);
    sim.at(40.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A, B]);
    sim.forget();
    sim.policy(Policy {
        acls: vec![acl(
            "iptv",
            &[
                "permit 239.1.1.1/32 10.9.0.1/32",
                "permit 239.1.1.1/32 10.9.0.2/32",
            ],
        )],
        ..Policy::default()
    });
    sim.at(50.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A, C]);
    sim.at(50_500.ms())
        .host(HOST)
        .report_v3(ChangeToInclude, G, &[C]);
    assert_eq!(sim.counter(Counter::GroupPolicy), 1, "joining c did");
    sim.at(60.s()).expects([
        source_query("50s", G, "a"),
        source_query("50.5s", G, "a b"),
        source_query("51.5s", G, "b"),
        changed("52s", G),
        changed("52.5s", G),
    ]);
}

#[test]
fn members_are_not_looked_up_again() {
    let mut sim = with_rules(&["permit any any"]);
    for _ in 0..3 {
        sim.host(HOST).report_v2(G);
        sim.host(HOST).report_v3(ModeIsExclude, G, &[]);
        sim.host(HOST).report_v3(AllowNewSources, SSM, &[A]);
    }
    assert_eq!(sim.router.acl_hits(0).unwrap().rules, [2]);
}

#[test]
fn untracked_groups_are_nobodys() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.policy(Policy {
        untracked_groups: vec!["239.255.255.250/32".parse().unwrap()],
        ..Policy::default()
    });
    let ssdp = Ipv4Addr::new(239, 255, 255, 250);
    sim.host(HOST).report_v2(ssdp);
    sim.host(HOST).report_v3(AllowNewSources, ssdp, &[A]);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::UntrackedGroup), 2);
}

/// RFC 4604 section 2.2.
#[test]
fn nobody_joins_all_sources_of_a_source_specific_group() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.host(HOST).report_v1(SSM);
    sim.host(HOST).report_v2(SSM);
    sim.host(HOST).report_v3(ModeIsExclude, SSM, &[]);
    sim.host(HOST).report_v3(ChangeToExclude, SSM, &[B]);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::AnySource), 4);
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[A]);
    sim.expects([changed("0s", SSM)]);
    // Neither do older hosts spoil it for the others: BLOCK works on.
    sim.host(OTHER).report_v2(SSM);
    sim.host(HOST).report_v3(BlockOldSources, SSM, &[A]);
    sim.expects([source_query("0s", SSM, "a")]);
}

#[test]
fn a_leave_does_not_end_a_source_specific_group() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        ..InterfacePolicy::default()
    });
    sim.policy(Policy {
        quick_leave: true, // hosts are tracked
        ..Policy::default()
    });
    sim.host(HOST).report_v3(AllowNewSources, SSM, &[A]);
    sim.forget();
    sim.host(OTHER).leave(SSM);
    sim.expects_nothing();
    sim.expects_events(["0s 10.0.0.8 leaves 232.1.1.1: ignored (no member)"]);
    assert_eq!(sim.counter(Counter::AnySource), 1);
    sim.host(HOST).leave(SSM);
    assert_eq!(sim.interface().hosts(SSM).count(), 1, "nobody has left");
}

#[test]
fn the_range_can_be_another_one_or_none() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.policy(Policy {
        ssm_ranges: vec!["239.1.0.0/16".parse().unwrap()],
        ..Policy::default()
    });
    sim.host(HOST).report_v2(G);
    sim.expects_nothing();
    sim.host(HOST).report_v2(SSM);
    sim.expects([changed("0s", SSM)]);
}

fn mapping() -> Policy {
    Policy {
        ssm_mapping: vec![
            ("232.1.1.0/24".parse().unwrap(), vec![B, A]),
            ("232.1.0.0/16".parse().unwrap(), vec![C]),
            ("232.9.0.0/16".parse().unwrap(), vec![]),
        ],
        ..Policy::default()
    }
}

#[test]
fn older_hosts_get_the_mapped_sources() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.policy(mapping());
    let (other, unmapped) = (Ipv4Addr::new(232, 1, 2, 1), Ipv4Addr::new(232, 9, 0, 1));
    sim.host(HOST).report_v2(SSM);
    sim.host(HOST).report_v1(other);
    sim.host(HOST).report_v2(unmapped);
    assert_eq!(sim.state(SSM), "INCLUDE a@270 b@270");
    assert_eq!(sim.state(other), "INCLUDE c@270", "the first match");
    assert_eq!(sim.state(unmapped), "none");
    // A version 3 host can say what it wants, and has to.
    sim.host(HOST).report_v3(ChangeToExclude, SSM, &[]);
    assert_eq!(sim.counter(Counter::AnySource), 2);
}

#[test]
fn mapped_groups_are_left_with_the_normal_procedure_or_promptly() {
    for prompt_leave in [None, Some(PromptLeave::default())] {
        let is_prompt = prompt_leave.is_some();
        let mut sim = Sim::with_policy(InterfacePolicy {
            prompt_leave,
            ..InterfacePolicy::default()
        });
        sim.policy(mapping());
        sim.at(40.s()).host(HOST).report_v2(SSM);
        sim.forget();
        sim.at(50.s()).host(HOST).leave(SSM);
        sim.at(60.s());
        if is_prompt {
            sim.expects([changed("50s", SSM)]);
        } else {
            sim.expects([
                source_query("50s", SSM, "a b"),
                source_query("51s", SSM, "a b"),
                changed("52s", SSM),
            ]);
        }
    }
}

#[test]
fn mapped_sources_are_subject_to_the_group_policy() {
    let mut sim = with_rules(&[]);
    sim.policy(Policy {
        acls: vec![acl("iptv", &["permit 232.0.0.0/8 10.9.0.1/32"])],
        ..mapping()
    });
    sim.host(HOST).report_v2(SSM);
    assert_eq!(sim.state(SSM), "INCLUDE a@270");
}

/// Row C8 of the fault table.
#[test]
fn members_for_all_sources_and_for_one_leave_each_on_their_own() {
    let mut sim = Sim::with_policy(InterfacePolicy::default());
    sim.at(40.s()).host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.host(OTHER).report_v3(AllowNewSources, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@310 a@310");
    sim.forget();
    sim.at(50.s()).host(HOST).report_v3(ChangeToInclude, G, &[]);
    // OTHER answers the Group-and-Source-Specific Query and keeps a; the group's other sources end at LMQT.
    sim.at(50_200.ms())
        .host(OTHER)
        .report_v3(ModeIsInclude, G, &[A]);
    sim.at(52.s()).expects([
        source_query("50s", G, "a"),
        group_query("50s", G),
        source_query("51s", G, "a S"),
        group_query("51s", G),
        changed("52s", G),
    ]);
    assert_eq!(sim.state(G), "INCLUDE a@320.2");
}

#[test]
fn messages_without_router_alert_are_refused_where_it_is_required() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        require_router_alert: true,
        ..InterfacePolicy::default()
    });
    sim.host(HOST).without_router_alert().report_v2(G);
    sim.host("10.0.0.1")
        .without_router_alert()
        .general_query(Version::V3);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::RouterAlert), 2);
    assert!(sim.interface().querier().unwrap().is_self);
    sim.host(HOST).report_v2(G);
    sim.expects([changed("0s", G)]);
}

#[test]
fn who_may_report_and_who_may_query_can_be_listed() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        report_sources: Some(acl_ref("hosts")),
        query_sources: Some(acl_ref("routers")),
        ..InterfacePolicy::default()
    });
    sim.policy(Policy {
        acls: vec![
            acl("hosts", &["deny any 10.0.0.8/32", "permit any 10.0.0.0/8"]),
            acl("routers", &["permit any 0.0.0.0/0"]),
        ],
        ..Policy::default()
    });
    for refused in [OTHER, "192.0.2.7", "0.0.0.0"] {
        sim.host(refused).report_v2(G);
        sim.host(refused).leave(G);
    }
    assert_eq!(sim.counter(Counter::SourceNotAccepted), 6);
    sim.expects_nothing();
    sim.host("10.77.0.7").report_v2(G);
    sim.expects([changed("0s", G)]);
    // Row Q3: a query from 0.0.0.0 never wins, whatever the list says.
    sim.host("0.0.0.0").general_query(Version::V3);
    assert!(sim.interface().querier().unwrap().is_self);
    sim.host("9.0.0.1").general_query(Version::V3);
    assert!(!sim.interface().querier().unwrap().is_self);
}

#[test]
fn a_list_of_speakers_that_is_missing_accepts_nobody() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        report_sources: Some(acl_ref("hosts")),
        query_sources: Some(acl_ref("routers")),
        ..InterfacePolicy::default()
    });
    sim.host(HOST).report_v2(G);
    sim.host("10.0.0.1").general_query(Version::V3);
    sim.expects_nothing();
    assert_eq!(sim.counter(Counter::SourceNotAccepted), 2);
}
