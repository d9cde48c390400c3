//! The flow table in the kernel: full, with most flows where a search begins and some behind, and what comes after a flow
//! that went.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, MAX_FLOWS, World};
use igmp_userspace::proto::FilterMode;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const S: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

fn group(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(G) + n)
}

fn from(source: Ipv4Addr, n: u32) -> Datagram {
    Datagram {
        source,
        ..Datagram::to(group(n))
    }
}

#[track_caller]
fn assert_counted(world: &mut World, datagram: &Datagram, counter: Counter) {
    let outcome = world.run(&datagram.frame()).unwrap();
    let (source, group) = (datagram.source, datagram.destination);
    assert_eq!(outcome.counter, counter, "{source} to {group}");
}

/// A thousand flows in buckets of four, a bucket for every three flows: that none of them is away from its home is as likely
/// as one in 10^30.
fn a_full_table_forwards_its_flows_and_no_other(world: &mut World) {
    let half = MAX_FLOWS / 2;
    for n in 0..half {
        world.join(group(n), FilterMode::Exclude, &[]).unwrap();
    }
    for n in half..MAX_FLOWS {
        world.join(group(n), FilterMode::Include, &[S]).unwrap();
    }
    world
        .join(group(MAX_FLOWS), FilterMode::Exclude, &[])
        .expect_err("it is full");
    for n in 0..half {
        assert_counted(world, &from(OTHER, n), Counter::Forwarded);
    }
    for n in half..MAX_FLOWS {
        assert_counted(world, &from(S, n), Counter::Forwarded);
        assert_counted(world, &from(OTHER, n), Counter::PassNoFlow);
    }
    for n in MAX_FLOWS..2 * MAX_FLOWS {
        assert_counted(world, &from(S, n), Counter::PassNoFlow);
    }
    for n in 0..half {
        let packets = world.flow_stats(group(n)).unwrap().packets;
        assert_eq!(packets, 1, "{}", group(n));
    }
    // Every second one goes; the others are found behind what it leaves.
    for n in (0..MAX_FLOWS).step_by(2) {
        world.leave(group(n)).unwrap();
    }
    for n in 0..MAX_FLOWS {
        let counter = match n % 2 {
            0 => Counter::PassNoFlow,
            _ => Counter::Forwarded,
        };
        assert_counted(world, &from(S, n), counter);
    }
}

#[test]
fn a_full_table_forwards_its_flows_and_no_other_in_xdp() {
    a_full_table_forwards_its_flows_and_no_other(&mut World::new().unwrap());
}

#[test]
fn a_full_table_forwards_its_flows_and_no_other_in_tc() {
    Cable::new().with_tc(a_full_table_forwards_its_flows_and_no_other);
}

#[test]
fn a_flow_that_comes_again_has_counted_nothing() {
    let mut world = World::new().unwrap();
    for packets in [3, 2] {
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        assert_eq!(world.flow_stats(G).unwrap().packets, 0);
        let datagram = from(S, 0);
        world.run_repeated(&datagram.frame(), packets).unwrap();
        let stats = world.flow_stats(G).unwrap();
        assert_eq!(stats.packets, u64::from(packets));
        let len = 20 + datagram.payload.len() as u64;
        assert_eq!(stats.bytes, len * u64::from(packets));
        // The same flow with other sets goes on counting.
        world.set_mtu(1400).unwrap();
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        assert_eq!(world.flow_stats(G).unwrap(), stats);
        world.set_mtu(1500).unwrap();
        world.leave(G).unwrap();
        assert!(world.flow_stats(G).is_err());
    }
}
