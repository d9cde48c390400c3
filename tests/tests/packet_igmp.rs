//! IGMP on its way to userspace: copied whole with interface and time, passed on untouched, policed, never blocked.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers a test chose to fit"
)]

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_common::Counter;
use igmp_common::maps::RING_BYTES;
use igmp_common::police::Rate;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{PORT, Verdict, World};
use igmp_tests::wait::wait_until;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// An IGMP packet with `payload`.
fn igmp(payload: Vec<u8>) -> Datagram {
    Datagram {
        protocol: 2,
        ttl: 1,
        options: vec![0x94, 4, 0, 0],
        payload,
        ..Datagram::to(G)
    }
}

/// A sound IGMPv2 report.
fn report() -> Datagram {
    igmp(vec![0x16, 0, 0xf9, 0xfd, 239, 1, 1, 1])
}

/// CLOCK_MONOTONIC in nanoseconds, as far as /proc/uptime shows it on a machine that is never suspended.
fn monotonic_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = text.split(' ').next().unwrap().parse().unwrap();
    (uptime * 1e9) as u64
}

#[test]
fn a_message_is_copied_whole_and_passed_on_untouched() {
    let mut world = World::new().unwrap();
    // Every length around the copy's word size, and close to what a page holds in XDP.
    for len in (8..40).chain([1400, 1446, 3400]) {
        let frame = igmp((0..len).map(|i| i as u8).collect()).frame();
        let outcome = world.run(&frame).unwrap();
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert_eq!(outcome.counter, Counter::IgmpToUserspace);
        assert_eq!(outcome.frame, frame, "payload of {len}");
        let record = world.next_record().unwrap();
        let arrival_ns = u64::from_ne_bytes(record[..8].try_into().unwrap());
        let off = Duration::from_nanos(arrival_ns.abs_diff(monotonic_ns()));
        assert!(off < Duration::from_secs(5), "arrival is off by {off:?}");
        assert_eq!(record[8..12], PORT.0.to_ne_bytes());
        assert_eq!(record[12..16], (frame.len() as u32).to_ne_bytes());
        assert_eq!(record[16..], frame, "payload of {len}");
        assert!(world.next_record().is_none());
    }
}

#[test]
fn whatever_is_wrong_with_a_message_is_for_userspace_to_count() {
    let mut world = World::new().unwrap();
    let wrong: [fn(&mut Datagram); 8] = [
        |d| d.ttl = 9,
        |d| d.checksum_error = 1,
        |d| d.total_len = Some(900),
        |d| d.ihl = Some(3),
        |d| d.payload.clear(),
        |d| d.fragment = 0x2000,
        |d| d.vlan = Some(0),
        |d| (d.destination, d.destination_mac) = (Ipv4Addr::new(10, 0, 0, 1), Some([0xff; 6])),
    ];
    for spoil in wrong {
        let mut datagram = report();
        spoil(&mut datagram);
        let frame = datagram.frame();
        let outcome = world.run(&frame).unwrap();
        assert_eq!(outcome.counter, Counter::IgmpToUserspace, "{datagram:?}");
        assert_eq!(outcome.frame, frame);
        assert_eq!(world.next_record().unwrap()[16..], frame);
    }
}

#[test]
fn messages_to_another_station_or_vlan_are_not_copied() {
    let mut world = World::new().unwrap();
    let other_station = Datagram {
        destination_mac: Some([2, 9, 9, 9, 9, 9]),
        ..report()
    };
    let outcome = world.run(&other_station.frame()).unwrap();
    assert_eq!(outcome.counter, Counter::PassOtherHost);
    let tagged = Datagram {
        vlan: Some(7),
        ..report()
    };
    let outcome = world.run(&tagged.frame()).unwrap();
    assert_eq!(outcome.counter, Counter::PassVlan);
    assert!(world.next_record().is_none());
}

#[test]
fn a_flood_is_policed_and_the_bucket_refills() {
    let mut world = World::new().unwrap();
    // So slow a refill that no token comes back during the flood.
    world.set_igmp_rate(Rate::new(1, 20)).unwrap();
    let frame = report().frame();
    let counters: Vec<Counter> = (0..50)
        .map(|_| world.run(&frame).unwrap().counter)
        .collect();
    assert_eq!(counters[..20], [Counter::IgmpToUserspace; 20]);
    assert_eq!(counters[20..], [Counter::IgmpPoliced; 30]);
    assert_eq!(std::iter::from_fn(|| world.next_record()).count(), 20);

    let outcome = world.run(&frame).unwrap();
    assert_eq!(outcome.counter, Counter::IgmpPoliced);
    assert_eq!(outcome.verdict, Verdict::Pass, "still the kernel's");
    assert_eq!(outcome.frame, frame);

    wait_until("a token", Duration::from_secs(10), || {
        (world.run(&frame).unwrap().counter == Counter::IgmpToUserspace).then_some(())
    });
}

#[test]
fn a_full_ring_is_counted_and_drains() {
    let mut world = World::new().unwrap();
    let frame = igmp(vec![0x22; 3400]).frame();
    let most = RING_BYTES as usize / frame.len() + 1;
    let lost = (0..most)
        .filter(|_| world.run(&frame).unwrap().counter == Counter::IgmpRingFull)
        .count();
    assert!(lost > 0);
    assert!(world.next_record().is_some());
    let outcome = world.run(&frame).unwrap();
    assert_eq!(outcome.counter, Counter::IgmpToUserspace);
}
