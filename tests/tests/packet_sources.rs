//! Flow look-up and the incoming-interface rule, on the kernel's own maps.

use std::net::Ipv4Addr;

use igmp_common::Counter;
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
