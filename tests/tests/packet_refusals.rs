//! Refused sources on their way to userspace: each once, and not too many.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_common::maps::Refusal;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{PORT, World};
use igmp_userspace::proto::{FilterMode, GroupFilter};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
/// On no subnet of the gateway.
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
/// On the subnet of another interface.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
/// What an interface may tell at once, as docs/datapath.md promises.
const AT_ONCE: usize = 50;

/// A world whose port accepts its own subnet only, with members of G.
fn strict_world() -> World {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    world
}

fn send(world: &mut World, source: Ipv4Addr, group: Ipv4Addr) -> Counter {
    let datagram = Datagram {
        source,
        ..Datagram::to(group)
    };
    world.run(&datagram.frame()).unwrap().counter
}

fn refusal(source: Ipv4Addr, group: Ipv4Addr, counter: Counter) -> Refusal {
    Refusal {
        ifindex: PORT.0,
        counter: counter as u32,
        source: source.octets(),
        group: group.octets(),
    }
}

#[test]
fn a_source_is_told_with_its_reason_once() {
    let mut world = strict_world();
    world.join(H, FilterMode::Exclude, &[]).unwrap();
    for group in [G, G, H] {
        let counter = send(&mut world, FAR, group);
        assert_eq!(counter, Counter::PassSourceUnknown);
    }
    let expected = refusal(FAR, G, Counter::PassSourceUnknown);
    assert_eq!(world.next_refusal(), Some(expected));
    assert_eq!(world.next_refusal(), None, "once a minute");
    send(&mut world, NEIGHBOUR, H);
    let expected = refusal(NEIGHBOUR, H, Counter::PassWrongInterface);
    assert_eq!(world.next_refusal(), Some(expected));
}

#[test]
fn only_a_source_that_somebody_would_have_received_is_told() {
    let mut world = strict_world();
    // Nobody wants H, and from upstream it goes nowhere else.
    assert_eq!(send(&mut world, FAR, H), Counter::PassNoFlow);
    let impossible = Ipv4Addr::LOCALHOST;
    assert_eq!(send(&mut world, impossible, G), Counter::PassSourceMartian);
    world.set_closed(true).unwrap();
    assert_eq!(send(&mut world, FAR, G), Counter::PassClosed);
    assert_eq!(world.next_refusal(), None);
}

#[test]
fn a_source_that_would_have_gone_upstream_is_told() {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.send_upstream(GroupFilter::default(), &[]).unwrap();
    assert_eq!(send(&mut world, FAR, H), Counter::PassSourceUnknown);
    let expected = refusal(FAR, H, Counter::PassSourceUnknown);
    assert_eq!(world.next_refusal(), Some(expected));
}

#[test]
fn a_flood_of_spoofed_sources_is_held_back_and_still_counted() {
    let mut world = strict_world();
    for host in 0..1000_u32 {
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 0)) + host);
        assert_eq!(send(&mut world, source, G), Counter::PassSourceUnknown);
    }
    let told = std::iter::from_fn(|| world.next_refusal()).count();
    // The thousand frames take far less than the five seconds that as many tokens need again.
    assert!((AT_ONCE..2 * AT_ONCE).contains(&told), "{told}");
}

#[test]
fn a_stream_that_is_refused_for_long_does_not_hide_others() {
    let mut world = strict_world();
    for _ in 0..100_u32 {
        send(&mut world, FAR, G);
    }
    send(&mut world, NEIGHBOUR, G);
    let told = std::iter::from_fn(|| world.next_refusal().map(|refusal| refusal.source));
    assert_eq!(told.collect::<Vec<_>>(), [FAR.octets(), NEIGHBOUR.octets()]);
}
