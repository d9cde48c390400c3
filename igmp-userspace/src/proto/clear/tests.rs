use std::net::Ipv4Addr;

use super::super::sim::{G, LAN, Sim, Time as _, changed, general_query, query};
use super::super::{IfIndex, Input, InterfaceParams, InterfacePolicy, PromptLeave};
use super::*;

const HOST: &str = "10.0.0.7";
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

/// A member of G and H since 10 s, where H is static; it is 20 s.
fn members() -> Sim {
    let mut sim = Sim::with_policy(InterfacePolicy {
        static_groups: vec![(H, None)],
        ..InterfacePolicy::default()
    });
    sim.at(10.s()).host(HOST).report_v2(G);
    sim.host(HOST).report_v2(H);
    sim.at(20.s()).forget();
    sim
}

fn clear(sim: &mut Sim, interface: Option<IfIndex>, group: Option<Ipv4Addr>) {
    sim.input(Input::Clear { interface, group });
}

#[test]
fn one_group_is_forgotten_and_asked_for() {
    for interface in [None, Some(LAN)] {
        let mut sim = members();
        clear(&mut sim, interface, Some(G));
        sim.expects([
            changed("20s", G),
            "20s 10.0.0.2 > 239.1.1.1: v3 query 239.1.1.1 S, max 1s, qrv 2, qqi 125s".to_owned(),
        ]);
        sim.expects_events(["20s nobody left in 239.1.1.1"]);
        assert_eq!(
            (&*sim.state(G), &*sim.state(H)),
            ("none", "EXCLUDE@280 static")
        );
        assert_eq!(sim.counter(Counter::SentGroupQuery), 1);
        // Nothing is left of its timers, and H lives on.
        sim.at(290.s());
        sim.expects(["31.25s", "156.25s", "281.25s"].map(general_query));
        sim.expects_events(["280s nobody left in 239.1.1.2"]);
    }
}

#[test]
fn every_group_is_forgotten_and_static_ones_stay() {
    let mut sim = members();
    clear(&mut sim, None, None);
    sim.expects([changed("20s", G), general_query("20s")]);
    sim.expects_events([
        "20s nobody left in 239.1.1.1",
        "20s nobody left in 239.1.1.2",
    ]);
    assert_eq!((&*sim.state(G), &*sim.state(H)), ("none", "EXCLUDE static"));
    sim.at(21.s()).host(HOST).report_v2(G);
    sim.expects([changed("21s", G)]);
    assert_eq!(sim.state(G), "EXCLUDE@291");
}

#[test]
fn another_interface_or_group_is_not_concerned() {
    let mut sim = members();
    clear(&mut sim, Some(IfIndex(8)), None);
    clear(&mut sim, Some(IfIndex(8)), Some(G));
    clear(&mut sim, None, Some(Ipv4Addr::new(239, 1, 1, 3)));
    clear(&mut sim, None, Some(Ipv4Addr::UNSPECIFIED));
    sim.expects_nothing();
    sim.expects_events::<&str>([]);
}

#[test]
fn only_the_querier_asks() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    for group in [None, Some(G)] {
        sim.host(HOST).report_v2(G);
        sim.forget();
        clear(&mut sim, None, group);
        sim.expects([changed("1s", G)]);
    }
}

#[test]
fn a_version_1_router_has_general_queries_only() {
    let mut sim = Sim::started(InterfaceParams {
        version: Version::V1,
        ..InterfaceParams::default()
    });
    sim.host(HOST).report_v1(G);
    sim.forget();
    clear(&mut sim, None, Some(G));
    let query = "0s 10.0.0.2 > 224.0.0.1: v1 general query, max 10s";
    sim.expects([changed("0s", G), query.to_owned()]);
}

#[test]
fn tracked_hosts_have_to_be_learnt_again() {
    for input in [
        Input::Restart,
        Input::Clear {
            interface: None,
            group: Some(G),
        },
    ] {
        let mut sim = Sim::with_policy(InterfacePolicy {
            prompt_leave: Some(PromptLeave {
                tracked: true,
                ..PromptLeave::default()
            }),
            ..InterfacePolicy::default()
        });
        sim.at(300.s()).host(HOST).report_v2(G);
        sim.input(input);
        assert_eq!(sim.interface().hosts(G).count(), 0);
        sim.host(HOST).report_v2(G);
        sim.forget();
        sim.at(301.s()).host(HOST).leave(G);
        sim.expects_events(["301s 10.0.0.7 leaves 239.1.1.1: query (still learning hosts)"]);
    }
}

#[test]
fn restarted_it_asks_like_an_interface_that_became_ready() {
    let mut sim = members();
    let counted = sim.counter(Counter::SentGeneralQuery);
    sim.input(Input::Restart);
    sim.expects([changed("20s", G), general_query("20s")]);
    sim.expects_events([
        "20s nobody left in 239.1.1.1",
        "20s nobody left in 239.1.1.2",
    ]);
    assert_eq!((&*sim.state(G), &*sim.state(H)), ("none", "EXCLUDE static"));
    // RFC 9776 sections 8.6 and 8.7: two startup queries, a quarter of the Query Interval apart.
    sim.at(200.s());
    sim.expects(["51.25s", "176.25s"].map(general_query));
    assert_eq!(sim.counter(Counter::SentGeneralQuery), counted + 3);
    assert_eq!(sim.counter(Counter::ReceivedReportV2), 2);
}

#[test]
fn restarted_it_knows_no_other_querier() {
    let mut sim = members();
    let mut rivals = query(Version::V3, Ipv4Addr::UNSPECIFIED);
    (rivals.robustness, rivals.query_interval) = (5, 60.s());
    sim.host("10.0.0.1").query(rivals);
    assert_eq!(sim.interface().params().query_interval, 60.s());
    sim.forget();
    sim.input(Input::Restart);
    assert_eq!(*sim.interface().params(), InterfaceParams::default());
    // Whether we forward what is static has changed too.
    sim.expects([changed("20s", G), general_query("20s"), changed("20s", H)]);
    sim.expects_events([
        "20s nobody left in 239.1.1.1",
        "20s nobody left in 239.1.1.2",
        "20s 10.0.0.2 is the querier: self",
    ]);
    // A lower address takes over as after any start.
    sim.at(30.s()).host("10.0.0.1").general_query(Version::V3);
    assert!(!sim.interface().querier().unwrap().is_self);
}
