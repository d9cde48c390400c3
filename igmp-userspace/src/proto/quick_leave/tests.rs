use std::net::Ipv4Addr;

use super::super::sim::{
    A, B, G, Sim, Time as _, changed, general_query, group_query, source_query,
};
use super::super::{Input, InterfaceParams, InterfacePolicy, Policy, PromptLeave};
use crate::wire::RecordType::{AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude};
use crate::wire::Version;

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";

fn quick_leave(quick_leave: bool) -> Policy {
    Policy {
        quick_leave,
        ..Policy::default()
    }
}

fn with_policy(policy: InterfacePolicy) -> Sim {
    let mut sim = Sim::with_policy(policy);
    sim.policy(quick_leave(true));
    sim.forget();
    sim
}

/// Two members since 10 s, or those of these hosts.
fn members(hosts: &[&str]) -> Sim {
    let mut sim = with_policy(InterfacePolicy::default());
    sim.at(10.s());
    for host in hosts {
        sim.host(host).report_v2(G);
    }
    sim.forget();
    sim
}

fn members_of_sources(hosts: &[&str], sources: &[Ipv4Addr]) -> Sim {
    let mut sim = with_policy(InterfacePolicy::default());
    sim.at(10.s());
    for host in hosts {
        sim.host(host).report_v3(AllowNewSources, G, sources);
    }
    sim.forget();
    sim
}

/// It does not wait until every member can be known, a Group Membership Interval after the start.
#[test]
fn when_the_last_known_member_leaves_the_group_is_abandoned() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects([changed("20s", G), group_query("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22 abandoned");
    // The link is served until Last Member Query Time has passed.
    sim.at(30.s())
        .expects([group_query("21s", G), changed("22s", G)]);
    assert_eq!(sim.state(G), "none");
    sim.host(HOST).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@300");
}

#[test]
fn without_quick_leave_nothing_is() {
    let mut sim = members(&[HOST]);
    sim.policy(quick_leave(false));
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects([group_query("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22");
    assert_eq!(sim.interface().hosts(G).count(), 0);
}

/// Hosts of IGMPv1 and IGMPv2 that were silent because another was faster are not known until they are asked.
#[test]
fn a_member_that_was_not_known_answers() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.at(20_500.ms()).host(OTHER).report_v2(G);
    sim.expects([changed("20.5s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@290.5");
}

#[test]
fn while_another_member_is_known_nothing_is() {
    let mut sim = members(&[HOST, OTHER]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects([group_query("20s", G)]);
    // It leaves as well, before it had to answer: the members are being asked already.
    sim.at(20_500.ms()).host(OTHER).leave(G);
    sim.expects([changed("20.5s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22 abandoned");
}

#[test]
fn a_leave_repeated_changes_nothing() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.at(20_100.ms()).host(HOST).leave(G);
    sim.host(OTHER).leave(G);
    sim.expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@22 abandoned");
}

#[test]
fn a_member_that_was_silent_for_a_group_membership_interval_is_nobody() {
    for (leaves, state) in [
        (279_999.ms(), "EXCLUDE@281.999"),
        (280.s(), "EXCLUDE@282 abandoned"),
    ] {
        let mut sim = members(&[OTHER]);
        sim.at(200.s()).host(HOST).report_v2(G);
        sim.at(leaves).host(HOST).leave(G);
        assert_eq!(sim.state(G), state);
    }
}

#[test]
fn a_host_without_an_address_may_be_many() {
    let mut sim = members(&["0.0.0.0"]);
    sim.at(20.s()).host("0.0.0.0").leave(G);
    sim.expects([group_query("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22");
    let mut sim = members(&["0.0.0.0", HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@22");
}

#[test]
fn a_static_group_is_never_abandoned() {
    let listed = InterfacePolicy {
        static_groups: vec![(G, None)],
        ..InterfacePolicy::default()
    };
    let mut sim = with_policy(listed.clone());
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects([group_query("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22 static");

    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.interface_policy(listed);
    sim.expects([changed("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22 static");
}

#[test]
fn a_version_3_host_leaves_with_to_in_of_nothing() {
    let mut sim = with_policy(InterfacePolicy::default());
    sim.at(10.s()).host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.forget();
    sim.at(20.s()).host(HOST).report_v3(ChangeToInclude, G, &[]);
    sim.expects([changed("20s", G), group_query("20s", G)]);
    // It is back, for one source.
    sim.at(20_500.ms())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A]);
    sim.expects([changed("20.5s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22 a@290.5");
}

/// A host that turns to sources has not left.
#[test]
fn to_in_with_sources_is_no_leave() {
    let mut sim = members(&[HOST]);
    sim.at(280.s()).forget();
    assert_eq!(sim.state(G), "none");
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.forget();
    sim.host(HOST).report_v3(ChangeToInclude, G, &[A]);
    sim.expects([group_query("280s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@282 a@550");
}

#[test]
fn a_source_specific_host_leaves_by_blocking_its_last_source() {
    let mut sim = members_of_sources(&[HOST], &[A, B]);
    sim.at(20.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    sim.expects([source_query("20s", G, "a")]);
    assert_eq!(sim.state(G), "INCLUDE a@22 b@280");
    sim.at(20_500.ms())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[B]);
    // RFC 9776 section 6.4.2: queries for more sources are merged with those that are pending.
    sim.expects([changed("20.5s", G), source_query("20.5s", G, "a b")]);
    assert_eq!(sim.state(G), "INCLUDE a@22 b@22.5 abandoned");
}

#[test]
fn of_two_source_specific_hosts_the_second_is_the_last() {
    let mut sim = members_of_sources(&[HOST, OTHER], &[A]);
    sim.at(20.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    sim.expects([source_query("20s", G, "a")]);
    assert_eq!(sim.state(G), "INCLUDE a@22");
    let hosts: Vec<_> = sim.interface().hosts(G).collect();
    assert_eq!(hosts.len(), 1);
    assert_eq!(hosts[0].address.to_string(), OTHER);
    sim.at(20_500.ms())
        .host(OTHER)
        .report_v3(BlockOldSources, G, &[A]);
    sim.expects([changed("20.5s", G)]);
    assert_eq!(sim.state(G), "INCLUDE a@22 abandoned");
}

/// Sources that no other host is known to want keep the group as well.
#[test]
fn blocking_what_is_not_all_of_it_abandons_nothing() {
    let mut sim = members_of_sources(&[HOST], &[A, B]);
    sim.at(20.s())
        .host(OTHER)
        .report_v3(BlockOldSources, G, &[A]);
    assert_eq!(sim.state(G), "INCLUDE a@22 b@280");
    // Who blocks a source of a group in EXCLUDE mode wants the others.
    let mut sim = members(&[]);
    sim.host(HOST).report_v3(ChangeToExclude, G, &[]);
    sim.at(20.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@280 a@22");
}

#[test]
fn only_the_querier_abandons() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.policy(quick_leave(true));
    sim.at(10.s())
        .host(HOST)
        .report_v3(AllowNewSources, G, &[A]);
    sim.forget();
    sim.at(20.s())
        .host(HOST)
        .report_v3(BlockOldSources, G, &[A]);
    sim.host(HOST).leave(G);
    sim.expects_nothing();
    assert_eq!(sim.state(G), "INCLUDE a@280");
}

#[test]
fn another_querier_takes_over_meanwhile() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.at(20_500.ms())
        .host("10.0.0.1")
        .general_query(Version::V3);
    // It takes over when the queries are done, and that is when the group ends.
    sim.at(30.s());
    sim.expects([group_query("21s", G), changed("22s", G), changed("22s", G)]);
    assert_eq!(sim.state(G), "none");
}

#[test]
fn switched_off_it_ends_at_once() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.policy(quick_leave(false));
    sim.expects([changed("20s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@22");
    sim.policy(quick_leave(false));
    sim.expects_nothing();
}

#[test]
fn prompt_leave_ends_the_group_itself() {
    let mut sim = with_policy(InterfacePolicy {
        prompt_leave: Some(PromptLeave::default()),
        ..InterfacePolicy::default()
    });
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects([changed("20s", G)]);
    assert_eq!(sim.state(G), "none");
}

/// An interface that was set to version 2 cannot ask for the sources a group still has.
#[test]
fn where_nobody_is_asked_nothing_is_abandoned() {
    let mut sim = members_of_sources(&[HOST], &[A]);
    let version_2 = InterfaceParams {
        version: Version::V2,
        ..InterfaceParams::default()
    };
    sim.ready(version_2, &["10.0.0.2/24"]);
    sim.forget();
    sim.at(20.s()).host(HOST).leave(G);
    sim.expects_nothing();
    assert_eq!(sim.state(G), "INCLUDE a@280");
}

/// The answers may have come while the process was stopped: what lasts longer for that is wanted again.
#[test]
fn after_a_stall_it_is_not_believed_any_more() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.forget();
    sim.late(40.s()).at(40.s());
    assert_eq!(sim.seen()[..2], [general_query("40s"), changed("40s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@60");
}

#[test]
fn cleared_it_is_gone() {
    let mut sim = members(&[HOST]);
    sim.at(20.s()).host(HOST).leave(G);
    sim.input(Input::Restart);
    assert_eq!(sim.state(G), "none");
    sim.host(HOST).report_v2(G);
    assert_eq!(sim.state(G), "EXCLUDE@290");
}
