//! 10,000 groups on each of 8 interfaces: what the router promises at that size.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::sim::Time as _;
use super::{Group, IfIndex, Input, Instant, InterfaceParams, InterfacePolicy, Output, Router};
use crate::wire::{Received, Repr};

const INTERFACES: u32 = 8;
const GROUPS: u32 = 10_000;

fn group(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(239, 10, 0, 0).to_bits() + number)
}

/// When `group` is reported on `interface` in a round that starts at `round`: one report every millisecond.
fn reported(round: Duration, interface: u32, number: u32) -> Instant {
    Instant::from_start(round + u64::from(number * INTERFACES + interface).ms())
}

fn report_all(router: &mut Router, round: Duration) -> usize {
    let mut outputs = 0;
    for number in 0..GROUPS {
        for interface in 0..INTERFACES {
            let received = Received {
                source: Ipv4Addr::new(10, 0, 0, 7),
                destination: group(number),
                router_alert: true,
                message: Repr::ReportV2 {
                    group: group(number),
                },
            };
            let input = Input::Received {
                interface: IfIndex(interface),
                packet: Ok(received),
            };
            let now = reported(round, interface, number);
            router.handle_timeout(now); // nothing is due but queries
            router.handle_input(now, input);
            outputs += std::iter::from_fn(|| router.poll_output())
                .filter(|output| matches!(output, Output::MembershipChanged { .. }))
                .count();
        }
    }
    outputs
}

#[test]
fn eighty_thousand_memberships_are_joined_refreshed_and_expire_each_at_its_time() {
    let params = InterfaceParams {
        query_interval: 200.s(),
        ..InterfaceParams::default()
    };
    let gmi = params.group_membership_interval();
    let mut router = Router::new();
    for interface in 0..INTERFACES {
        router.handle_input(
            Instant::START,
            Input::InterfaceReady {
                interface: IfIndex(interface),
                params: params.clone(),
                addresses: vec!["10.0.0.2/24".parse().unwrap()],
                alt_subnets: vec![],
                policy: InterfacePolicy::default(),
            },
        );
    }
    assert_eq!(
        report_all(&mut router, 1.s()),
        (INTERFACES * GROUPS) as usize
    );
    assert!(
        router
            .interfaces()
            .all(|(_, interface)| interface.group_count() == GROUPS as usize)
    );
    // A second round, 100 s later, only moves the timers.
    assert_eq!(report_all(&mut router, 101.s()), 0);

    // Silence: each group goes GMI after its last report, to the millisecond, and `poll_timeout` says when.
    let mut gone = BTreeSet::new();
    while gone.len() < (INTERFACES * GROUPS) as usize {
        let now = router.poll_timeout().expect("groups are left");
        router.handle_timeout(now);
        while let Some(output) = router.poll_output() {
            if let Output::MembershipChanged {
                interface: IfIndex(interface),
                group: address,
            } = output
            {
                let number = address.to_bits() - group(0).to_bits();
                assert_eq!(now, reported(101.s(), interface, number) + gmi);
                assert!(gone.insert((interface, number)), "gone twice");
            }
        }
    }
    assert!(
        router
            .interfaces()
            .all(|(_, interface)| interface.group_count() == 0)
    );
}

/// 80,000 of them, with their place in the map and in the deadlines, stay well below 30 MiB.
#[test]
fn a_group_without_sources_is_small() {
    assert!(size_of::<Group>() <= 224, "{}", size_of::<Group>());
}
