//! Flow look-up and the incoming-interface rule, on the kernel's own maps.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_common::maps::{SOURCE_ACCEPTED, SOURCE_MARTIAN, SOURCE_WRONG_INTERFACE};
use igmp_tests::fixtures::World;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_userspace::proto::FilterMode;

const G: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const S: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const T: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
/// On no subnet of the gateway.
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

fn from(world: &mut World, source: Ipv4Addr) -> Counter {
    let datagram = Datagram {
        source,
        ..Datagram::to(G)
    };
    world.run(&datagram.frame()).unwrap().counter
}

#[test]
fn include_forwards_the_listed_source_only() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Include, &[S]).unwrap();
    assert_eq!(from(&mut world, S), Counter::Forwarded);
    assert_eq!(from(&mut world, T), Counter::PassNoFlow);
}

#[test]
fn exclude_forwards_all_but_the_listed_source() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[S]).unwrap();
    assert_eq!(from(&mut world, S), Counter::PassNoOutput);
    assert_eq!(from(&mut world, T), Counter::Forwarded);
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    assert_eq!(from(&mut world, S), Counter::Forwarded);
}

#[test]
fn a_source_off_the_subnets_is_refused_until_an_alt_subnet_names_it() {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    assert_eq!(from(&mut world, S), Counter::Forwarded);
    assert_eq!(from(&mut world, FAR), Counter::PassSourceUnknown);
    world
        .accept_sources(&["10.0.0.1/24"], &["192.0.2.8/29"])
        .unwrap();
    assert_eq!(from(&mut world, FAR), Counter::Forwarded);
    let just_outside = Ipv4Addr::new(192, 0, 2, 16);
    assert_eq!(from(&mut world, just_outside), Counter::PassSourceUnknown);
}

#[test]
fn a_downstream_port_is_held_to_the_same_rule() {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.set_upstream(false).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    assert_eq!(from(&mut world, S), Counter::Forwarded);
    assert_eq!(from(&mut world, FAR), Counter::PassSourceUnknown);
    let neighbour = Ipv4Addr::new(10, 1, 0, 9);
    assert_eq!(from(&mut world, neighbour), Counter::PassWrongInterface);
}

#[test]
fn a_source_that_was_accepted_is_refused_as_soon_as_its_prefixes_say_so() {
    const ITS_OWN: &str = "10.0.0.2/32";
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    // Twice each: the second packet of a source takes a shorter way.
    for (class, counter) in [
        (None, Counter::Forwarded),
        (Some(SOURCE_WRONG_INTERFACE), Counter::PassWrongInterface),
        (Some(SOURCE_ACCEPTED), Counter::Forwarded),
        (Some(SOURCE_MARTIAN), Counter::PassSourceMartian),
    ] {
        if class.is_some() {
            world.classify_source(ITS_OWN, class).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(from(&mut world, S), counter);
            assert_eq!(from(&mut world, T), Counter::Forwarded, "another source");
        }
    }
    world.classify_source(ITS_OWN, None).unwrap();
    assert_eq!(from(&mut world, S), Counter::Forwarded);
}

#[test]
fn sources_that_share_a_place_in_what_is_remembered_are_told_apart() {
    let mut world = World::with_sources(&["10.0.0.1/24"], &[]).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    // 10.0.1.3 is on no subnet here, and its octets come to the same as those of 10.0.0.2.
    let other = Ipv4Addr::new(10, 0, 1, 3);
    for _ in 0..3 {
        assert_eq!(from(&mut world, S), Counter::Forwarded);
        assert_eq!(from(&mut world, other), Counter::PassSourceUnknown);
    }
}
