use super::super::acl::tests::{acl, acl_ref};
use super::super::membership::MAX_TRACKED_HOSTS;
use super::super::sim::{A, B, G, Sim, Time as _, changed, group_query};
use super::super::{Counter, Input, InterfacePolicy, Policy, PromptLeave};
use super::*;
use crate::wire::RecordType::{AllowNewSources, ChangeToInclude, ModeIsExclude, ModeIsInclude};

const HOST: &str = "10.0.0.7";
const OTHER: &str = "10.0.0.8";

fn prompt(prompt_leave: PromptLeave) -> InterfacePolicy {
    InterfacePolicy {
        prompt_leave: Some(prompt_leave),
        ..InterfacePolicy::default()
    }
}

fn tracked() -> PromptLeave {
    PromptLeave {
        tracked: true,
        v3: true,
        ..PromptLeave::default()
    }
}

/// Past one Group Membership Interval of listening, with two members of G heard at 290 s.
fn tracked_pair() -> Sim {
    let mut sim = Sim::with_policy(prompt(tracked()));
    sim.at(290.s()).host(HOST).report_v2(G);
    sim.host(OTHER).report_v2(G);
    sim.forget();
    sim
}

fn hosts(sim: &Sim) -> String {
    let host = |host: Host| {
        let at = host.last_heard.since_start().as_secs();
        format!("{} {:?}@{at}", host.address, host.filter_mode)
    };
    let hosts: Vec<_> = sim.interface().hosts(G).map(host).collect();
    hosts.join(", ")
}

#[test]
fn tracked_the_group_goes_with_the_last_known_host() {
    let mut sim = tracked_pair();
    assert_eq!(hosts(&sim), "10.0.0.7 Exclude@290, 10.0.0.8 Exclude@290");
    sim.at(295.s()).host(HOST).leave(G);
    assert_eq!(hosts(&sim), "10.0.0.8 Exclude@290");
    sim.expects([group_query("295s", G)]);
    sim.at(295_300.ms()).host(OTHER).report_v2(G);
    sim.at(300.s()).forget();
    assert_eq!(sim.state(G), "EXCLUDE@565.3");
    sim.host(OTHER).leave(G);
    sim.expects([changed("300s", G)]);
    sim.expects_events([
        "300s 10.0.0.8 leaves 239.1.1.1: prompt (no policy)",
        "300s nobody left in 239.1.1.1",
    ]);
}

/// Row L3: a leave somebody else forged, or sent for himself, does not cut the one who stays.
#[test]
fn tracked_a_leave_of_a_stranger_asks_the_members() {
    let mut sim = tracked_pair();
    sim.at(295.s()).host("10.0.0.66").leave(G);
    sim.expects([group_query("295s", G)]);
    sim.expects_events(["295s 10.0.0.66 leaves 239.1.1.1: query (2 other hosts)"]);
}

#[test]
fn tracked_hosts_are_asked_during_the_first_group_membership_interval() {
    let mut sim = Sim::with_policy(prompt(tracked()));
    sim.at(269.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.at(269_999.ms()).host(HOST).leave(G);
    sim.expects_events(["269.999s 10.0.0.7 leaves 239.1.1.1: query (still learning hosts)"]);
    sim.at(270.s()).host(HOST).report_v2(G);
    sim.forget();
    sim.host(HOST).leave(G);
    sim.expects([changed("270s", G)]);
}

#[test]
fn what_may_have_been_missed_has_to_be_learnt_again() {
    let mut sim = tracked_pair();
    sim.at(295.s()).host(OTHER).leave(G);
    sim.at(295_500.ms()).host(HOST).report_v2(G);
    sim.input(Input::MessagesLost);
    sim.forget();
    sim.at(300.s()).host(HOST).leave(G);
    sim.expects_events(["300s 10.0.0.7 leaves 239.1.1.1: query (still learning hosts)"]);
}

#[test]
fn tracking_that_is_switched_on_starts_to_learn_and_off_forgets() {
    let mut sim = Sim::with_policy(prompt(PromptLeave::default()));
    sim.at(300.s()).host(HOST).report_v2(G);
    assert_eq!(hosts(&sim), "");
    sim.interface_policy(prompt(tracked()));
    sim.host(HOST).report_v2(G);
    sim.forget();
    sim.at(301.s()).host(HOST).leave(G);
    sim.expects_events(["301s 10.0.0.7 leaves 239.1.1.1: query (still learning hosts)"]);
    sim.host(HOST).report_v2(G);
    sim.interface_policy(prompt(PromptLeave::default()));
    assert_eq!(hosts(&sim), "");
}

#[test]
fn a_silent_host_is_nobody_after_a_group_membership_interval() {
    let mut sim = tracked_pair();
    for round in 1..=3 {
        sim.at((290 + 100 * round).s()).host(HOST).report_v2(G);
    }
    sim.forget();
    // OTHER was last heard at 290 s, and the General Query that forgets it comes at 656.25 s.
    assert_eq!(hosts(&sim), "10.0.0.7 Exclude@590, 10.0.0.8 Exclude@290");
    sim.host(HOST).leave(G);
    sim.expects([changed("590s", G)]);
    let mut sim = tracked_pair();
    for round in 1..=4 {
        sim.at((290 + 100 * round).s()).host(HOST).report_v2(G);
    }
    assert_eq!(hosts(&sim), "10.0.0.7 Exclude@690");
}

#[test]
fn a_host_without_an_address_may_be_many() {
    let mut sim = Sim::with_policy(prompt(tracked()));
    sim.at(280.s()).host("0.0.0.0").report_v2(G);
    sim.forget();
    sim.host("0.0.0.0").leave(G);
    sim.expects_events(["280s 0.0.0.0 leaves 239.1.1.1: query (1 other hosts)"]);
}

#[test]
fn the_mode_of_a_tracked_host_is_what_it_reported() {
    let mut sim = Sim::with_policy(prompt(tracked()));
    sim.host(HOST).report_v3(AllowNewSources, G, &[A]);
    sim.host(OTHER).report_v3(ModeIsExclude, G, &[A]);
    // The answer of an EXCLUDE host to a query for sources (RFC 9776 section 5.2).
    sim.host(OTHER).report_v3(ModeIsInclude, G, &[B]);
    assert_eq!(hosts(&sim), "10.0.0.7 Include@0, 10.0.0.8 Exclude@0");
    sim.host(OTHER).report_v3(ChangeToInclude, G, &[B]);
    assert_eq!(hosts(&sim), "10.0.0.7 Include@0, 10.0.0.8 Include@0");
    sim.host(OTHER).report_v3(ChangeToInclude, G, &[]);
    assert_eq!(hosts(&sim), "10.0.0.7 Include@0");
}

#[test]
fn hosts_beyond_the_limit_are_not_tracked_and_nobody_is_cut_for_it() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        report_sources: Some(acl_ref("all")),
        ..prompt(tracked())
    });
    sim.policy(Policy {
        acls: vec![acl("all", &["permit any any"])],
        ..Policy::default()
    });
    let host = |number: u32| Ipv4Addr::from_bits(0x0b00_0000 + number).to_string();
    let limit = u32::try_from(MAX_TRACKED_HOSTS).unwrap();
    for number in 0..=limit {
        sim.at(280.s()).host(&host(number)).report_v2(G);
    }
    assert_eq!(sim.interface().hosts(G).count(), limit as usize);
    assert_eq!(sim.counter(Counter::HostLimit), 1);
    sim.forget();
    sim.at(281.s()).host(&host(0)).leave(G);
    sim.expects([group_query("281s", G)]);
    sim.expects_events(["281s 11.0.0.0 leaves 239.1.1.1: query (still learning hosts)"]);
    // The place of the one that left is there again.
    sim.host(&host(limit)).report_v2(G);
    assert_eq!(sim.counter(Counter::HostLimit), 1);
}
