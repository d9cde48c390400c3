use std::net::Ipv4Addr;

use super::super::sim::{A, G, LAN, Sim, Time as _, changed, general_query};
use super::super::{IfIndex, Input, Instant, InterfaceParams, InterfacePolicy, Output};
use super::*;
use crate::wire::RecordType::AllowNewSources;
use crate::wire::{self, Received, Repr, Version};

fn ready(interface: IfIndex, address: &str) -> Input {
    Input::InterfaceReady {
        interface,
        params: InterfaceParams::default(),
        addresses: vec![address.parse().unwrap()],
        alt_subnets: vec![],
        policy: InterfacePolicy::default(),
    }
}

fn report(interface: IfIndex, source: [u8; 4]) -> Input {
    let packet = Ok(Received {
        source: source.into(),
        destination: G,
        router_alert: true,
        message: Repr::ReportV2 { group: G },
    });
    Input::Received { interface, packet }
}

/// What comes out, but for the events.
fn drain(router: &mut Router) -> Vec<Output> {
    std::iter::from_fn(|| router.poll_output())
        .filter(|output| !matches!(output, Output::Event(_)))
        .collect()
}

#[test]
fn interfaces_are_independent() {
    let (first, second) = (IfIndex(3), IfIndex(4));
    let at = |seconds: u64| Instant::from_start(seconds.s());
    let mut router = Router::new();
    assert_eq!(router.poll_timeout(), None);
    router.handle_input(at(0), ready(second, "10.0.2.1/24"));
    router.handle_input(at(5), ready(first, "10.0.1.1/24"));
    drain(&mut router);
    assert!(
        router
            .interfaces()
            .map(|(index, _)| index)
            .eq([first, second])
    );
    assert_eq!(
        router.poll_timeout(),
        Some(Instant::from_start(31_250.ms()))
    );

    router.handle_input(at(6), report(first, [10, 0, 1, 7]));
    assert_eq!(
        drain(&mut router),
        [Output::MembershipChanged {
            interface: first,
            group: G
        }]
    );
    assert!(router.interface(first).unwrap().group(G).is_some());
    assert!(router.interface(second).unwrap().group(G).is_none());

    router.handle_input(at(7), Input::InterfaceGone { interface: first });
    assert_eq!(
        drain(&mut router),
        [Output::MembershipChanged {
            interface: first,
            group: G
        }]
    );
    assert_eq!(
        router.poll_timeout(),
        Some(Instant::from_start(31_250.ms())),
        "the second one's"
    );
    router.handle_timeout(Instant::from_start(31_250.ms()));
    let [
        Output::Transmit {
            interface,
            source,
            destination,
            ..
        },
    ] = drain(&mut router)[..]
    else {
        panic!()
    };
    assert_eq!(
        (interface, source, destination),
        (second, Ipv4Addr::new(10, 0, 2, 1), wire::ALL_SYSTEMS)
    );
}

#[test]
fn a_timeout_called_early_does_nothing() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.host("10.0.0.7").report_v2(G);
    sim.forget();
    let before = sim.router.poll_timeout();
    sim.router.handle_timeout(Instant::from_start(31_249.ms()));
    assert_eq!(sim.router.poll_output(), None);
    assert_eq!(sim.router.poll_timeout(), before);
}

#[test]
fn after_a_long_stall_hosts_are_asked_once_before_anything_expires() {
    let mut sim = Sim::started(InterfaceParams::default());
    let other = Ipv4Addr::new(239, 1, 1, 2);
    sim.host("10.0.0.7").report_v2(G);
    sim.host("10.0.0.7").report_v3(AllowNewSources, other, &[A]);
    sim.forget();
    sim.late(1_000.s()).at(1_000.s());
    sim.at(1_010.s()).host("10.0.0.7").report_v2(G);
    // Nobody answered for the other within two Query Response Intervals.
    sim.at(1_125.s()).expects([
        general_query("1000s"),
        changed("1020s", other),
        general_query("1125s"),
    ]);
    assert_eq!(sim.state(G), "EXCLUDE@1280");
}

#[test]
fn a_non_querier_that_stalled_waits_for_the_queriers_next_query() {
    let mut sim = Sim::non_querier(InterfaceParams::default());
    sim.host("10.0.0.7").report_v2(G);
    sim.late(200.s())
        .host("10.0.0.1")
        .general_query(Version::V3);
    sim.forget();
    // Its reports of 125 s were lost, and the group's 271 s are over.
    sim.late(290.s()).at(300.s()).expects_nothing();
    sim.at(500.s()).expects([
        // 290 s + 125 s + 2 x 10 s
        changed("435s", G),
        // 200 s + 255 s
        general_query("455s"),
    ]);
}

#[test]
fn a_timeout_that_is_a_little_late_is_no_stall() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.host("10.0.0.7").report_v2(G);
    sim.at(260.s()).forget();
    sim.late(280.s()).at(280.s());
    sim.expects([changed("280s", G)]);
}

#[test]
fn an_interface_without_an_address_is_gone() {
    let mut sim = Sim::started(InterfaceParams::default());
    sim.ready(InterfaceParams::default(), &[]);
    assert!(sim.router.interface(LAN).is_none());
    assert_eq!(sim.router.poll_timeout(), None);
    sim.ready(InterfaceParams::default(), &[]);
    sim.expects_nothing();
}

#[test]
fn a_query_interval_of_zero_does_not_hang() {
    let mut router = Router::new();
    let mut input = ready(LAN, "10.0.0.2/24");
    if let Input::InterfaceReady { params, .. } = &mut input {
        params.query_interval = 0.s();
        params.startup_query_count = Some(1);
    }
    router.handle_input(Instant::START, input);
    for _ in 0..3 {
        drain(&mut router);
        router.handle_timeout(Instant::START);
        assert_eq!(drain(&mut router).len(), 1);
    }
}
