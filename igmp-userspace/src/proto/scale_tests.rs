//! 10,000 groups on each of 8 interfaces, and floods: what the router promises at that size.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::sim::Time as _;
use super::{
    Counter, EventKind, Group, IfIndex, Input, Instant, InterfaceParams, InterfacePolicy, Output,
    Router,
};
use crate::wire::{self, GroupRecord, Received, RecordType, Repr};

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

fn ready(router: &mut Router, interface: u32, policy: InterfacePolicy) {
    router.handle_input(
        Instant::START,
        Input::InterfaceReady {
            interface: IfIndex(interface),
            params: InterfaceParams::default(),
            addresses: vec!["10.0.0.2/24".parse().unwrap()],
            alt_subnets: vec![],
            policy,
        },
    );
}

fn receive(router: &mut Router, interface: u32, destination: Ipv4Addr, message: Repr) {
    let packet = Ok(Received {
        source: Ipv4Addr::new(10, 0, 0, 7),
        destination,
        router_alert: true,
        message,
    });
    let interface = IfIndex(interface);
    router.handle_input(Instant::START, Input::Received { interface, packet });
}

/// Row C1 of the fault table.
#[test]
fn a_storm_of_reports_fills_its_own_interface_to_the_limit_and_no_other() {
    const STORM: u32 = 50_000;
    let mut router = Router::new();
    let limited = InterfacePolicy {
        max_groups: 1_000,
        ..InterfacePolicy::default()
    };
    ready(&mut router, 0, limited);
    ready(&mut router, 1, InterfacePolicy::default());
    for number in 0..STORM {
        let group = group(number);
        receive(&mut router, 0, group, Repr::ReportV2 { group });
    }
    let group = group(STORM);
    receive(&mut router, 1, group, Repr::ReportV2 { group });
    let interface = |index| router.interface(IfIndex(index)).unwrap();
    assert_eq!(interface(0).group_count(), 1_000);
    assert_eq!(interface(0).counters().get(Counter::GroupLimit), 49_000);
    assert!(interface(1).group(group).is_some());
    assert_eq!(interface(1).counters().get(Counter::GroupLimit), 0);

    let high_water =
        std::iter::from_fn(|| router.poll_output()).filter_map(|output| match output {
            Output::Event(event) => match event.kind {
                EventKind::HighWater { used, .. } => Some(used),
                _ => None,
            },
            _ => None,
        });
    assert!(high_water.eq([800, 1_000]), "told twice, not 49,000 times");
}

/// Rows C4 and C5 of the fault table: more sources than a group may have, then all of them blocked.
#[test]
fn thousands_of_sources_are_asked_for_each_exactly_lmqc_times_in_packets_that_fit() {
    const MTU: usize = 1_500;
    let first = Ipv4Addr::new(10, 1, 0, 0).to_bits();
    let sources: Vec<Ipv4Addr> = (first..first + 5_000).map(Ipv4Addr::from_bits).collect();
    let group = group(0);
    let mut router = Router::new();
    ready(&mut router, 0, InterfacePolicy::default());
    for record_type in [RecordType::AllowNewSources, RecordType::BlockOldSources] {
        let record = GroupRecord {
            record_type,
            group,
            sources: sources.clone(),
        };
        let message = Repr::ReportV3(vec![record]);
        receive(&mut router, 0, wire::ALL_IGMPV3_ROUTERS, message);
    }
    let interface = router.interface(IfIndex(0)).unwrap();
    let kept: Vec<_> = interface
        .group(group)
        .unwrap()
        .reception()
        .sources()
        .collect();
    assert_eq!(kept, sources[..1_024]);
    assert_eq!(
        interface.counters().get(Counter::SourceLimit),
        2 * (5_000 - 1_024)
    );

    let mut asked: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
    for now in [0_u64, 1, 2, 10] {
        router.handle_timeout(Instant::from_start(now.s()));
        for output in std::iter::from_fn(|| router.poll_output()) {
            let Output::Transmit { message, .. } = output else {
                continue;
            };
            for part in wire::split(&message, MTU) {
                let packet = wire::ipv4::emit(Ipv4Addr::new(10, 0, 0, 2), group, &part);
                assert!(packet.len() <= MTU);
                let Repr::Query(query) = part else {
                    panic!("{part:?}")
                };
                for source in query.sources {
                    *asked.entry(source).or_default() += 1;
                }
            }
        }
    }
    // Last Member Query Count is 2.
    assert!(
        asked
            .into_iter()
            .eq(kept.into_iter().map(|source| (source, 2)))
    );
    assert_eq!(router.interface(IfIndex(0)).unwrap().group_count(), 0);
}
