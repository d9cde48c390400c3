use std::net::Ipv4Addr;

use super::super::sim::{A, B, G, LAN, Sim, Time as _, changed, general_query, group_query};
use super::super::{Counter, FilterMode, IfIndex, Input, InterfaceParams, InterfacePolicy, Policy};

use FilterMode::{Exclude, Include};

const HOST: &str = "10.0.0.7";

fn adopt(sim: &mut Sim, group: Ipv4Addr, filter_mode: FilterMode, sources: &[Ipv4Addr]) {
    sim.input(Input::Adopt {
        interface: LAN,
        group,
        filter_mode,
        sources: sources.to_vec(),
    });
}

/// RFC 9776 section 8.4: 2 x 125 s + 2 x 10 s from the adoption on.
#[test]
fn what_nobody_confirms_ends_after_a_group_membership_interval() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.at(1.s());
    adopt(&mut sim, G, Exclude, &[]);
    sim.expects([changed("1s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@271");
    let group = sim.interface().group(G).unwrap();
    assert_eq!(group.last_reporter(), None);

    sim.at(270.s());
    sim.forget();
    sim.at(271.s());
    sim.expects([changed("271s", G)]);
    sim.expects_events(["271s nobody left in 239.1.1.1"]);
}

#[test]
fn what_a_host_confirms_stays_and_nobody_notices() {
    let mut sim = Sim::started(InterfaceParams::default());
    adopt(&mut sim, G, Exclude, &[]);
    sim.forget();
    sim.at(9.s()).host(HOST).report_v2(G);
    sim.expects_nothing();
    assert_eq!(sim.state(G), "EXCLUDE@279");
}

/// Section 6.4.1: IS_EX (B) makes INCLUDE () EXCLUDE ({}, B); IS_IN (B) makes it INCLUDE (B).
#[test]
fn sources_are_adopted_as_they_were_forwarded() {
    let mut sim = Sim::started(InterfaceParams::default());
    adopt(&mut sim, G, Exclude, &[A]);
    assert_eq!(sim.state(G), "EXCLUDE@270 !a");
    let mut sim = Sim::started(InterfaceParams::default());
    adopt(&mut sim, G, Include, &[B, A]);
    assert_eq!(sim.state(G), "INCLUDE a@270 b@270");
    adopt(&mut sim, G, Include, &[]);
    assert_eq!(sim.state(G), "INCLUDE a@270 b@270");
}

#[test]
fn a_leave_is_asked_about_although_no_member_is_known() {
    let mut sim = Sim::started(InterfaceParams::default());
    adopt(&mut sim, G, Exclude, &[]);
    sim.forget();
    sim.at(1.s()).host(HOST).leave(G);
    sim.expects([group_query("1s", G)]);
    sim.at(4.s()).forget();
    assert_eq!(sim.state(G), "none", "2 x 1 s after the leave");
}

#[test]
fn the_rules_of_today_hold() {
    let mut sim = Sim::with_policy(InterfacePolicy {
        max_groups: 1,
        ..InterfacePolicy::default()
    });
    sim.policy(Policy {
        ssm_ranges: vec!["239.2.0.0/16".parse().unwrap()],
        ..Policy::default()
    });
    sim.forget();
    adopt(&mut sim, Ipv4Addr::new(239, 2, 0, 1), Exclude, &[]);
    assert_eq!(sim.counter(Counter::AnySource), 1);
    adopt(&mut sim, G, Exclude, &[]);
    adopt(&mut sim, Ipv4Addr::new(239, 1, 1, 2), Exclude, &[]);
    assert_eq!(sim.counter(Counter::GroupLimit), 1);
    sim.expects([changed("0s", G)]);
}

#[test]
fn an_interface_that_is_not_ready_adopts_nothing() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.input(Input::Adopt {
        interface: IfIndex(8),
        group: G,
        filter_mode: Exclude,
        sources: vec![],
    });
    sim.expects_nothing();
    sim.at(31_250.ms());
    sim.expects([general_query("31.25s")]);
}
