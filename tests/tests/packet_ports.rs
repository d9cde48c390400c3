//! Ports whose indexes are the same modulo the rows of `NEAR_PORTS`: one of them has the row, the others are in the hash.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, World};
use igmp_userspace::proto::FilterMode;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

#[test]
fn a_port_that_comes_second_to_its_row_is_found_as_what_it_is() {
    come_second(&mut World::new().unwrap());
    Cable::new().with_tc(come_second);
}

fn come_second(world: &mut World) {
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    let frame = Datagram::to(G).frame();
    let check = |world: &mut World, when: &str| {
        let outcome = world.run(&frame).unwrap();
        assert_eq!(outcome.counter, Counter::Forwarded, "{when}");
    };
    check(world, "alone");
    world.crowd_out().unwrap();
    check(world, "behind another, which is closed");
    world.end_crowding().unwrap();
    check(world, "where the other was, and nobody is");
    world.set_closed(false).unwrap();
    check(world, "where it was in the beginning");
    world.crowd_out().unwrap();
    check(world, "behind another, once more");
    world.set_closed(true).unwrap();
    let outcome = world.run(&frame).unwrap();
    assert_eq!(outcome.counter, Counter::PassClosed, "its own flags");
}
