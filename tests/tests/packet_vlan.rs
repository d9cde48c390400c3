//! Tagged frames: which port they are of, and what of them is the kernel's. In XDP and in TC.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_common::maps::{PORT_TC, PORT_UPSTREAM};
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, PORT, VLAN_PORT, Verdict, World};
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::io::events;
use igmp_userspace::proto::{FilterMode, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// 802.1Q, VLAN 100 (IEEE 802.1Q section 9.6: EtherType, then priority, drop eligibility and 12 bits of identifier).
const C_VLAN_100: u32 = 0x8100_0064;
/// 802.1ad, the largest identifier.
const S_VLAN_4094: u32 = 0x88a8_0ffe;
const TAGS: [u32; 2] = [C_VLAN_100, S_VLAN_4094];

/// Runs `test` in both hooks, with this VLAN a port, upstream like the device's own, and a member of G; with the address that
/// the frame carries as its source when the program is done with it, if that changes it.
fn in_both_hooks(tag: u32, test: impl Fn(&mut World, Option<[u8; 6]>) + Send + Sync) {
    let mut world = World::new().unwrap();
    world.add_vlan(PORT, tag, PORT_UPSTREAM).unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    test(&mut world, None);
    Cable::new().with_tc(|world| {
        world.add_vlan(PORT, tag, PORT_UPSTREAM | PORT_TC).unwrap();
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        test(world, Some(OUTPUT_MAC));
    });
}

/// `datagram` behind this tag, with priority and drop eligibility in `priority`.
fn tagged(tag: u32, priority: u16, datagram: Datagram) -> Datagram {
    let [a, b, c, d] = tag.to_be_bytes();
    Datagram {
        tag_type: u16::from_be_bytes([a, b]),
        vlan: Some(u16::from_be_bytes([c, d]) | priority << 12),
        ..datagram
    }
}

#[track_caller]
fn assert_forwarded(world: &mut World, datagram: &Datagram, port: IfIndex, mac: Option<[u8; 6]>) {
    let outcome = world.run(&datagram.frame()).unwrap();
    assert_eq!((outcome.port, outcome.counter), (port, Counter::Forwarded));
    assert_eq!(outcome.verdict, Verdict::Redirect);
    let mut expected = datagram.forwarded();
    if let Some(mac) = mac {
        expected[6..12].copy_from_slice(&mac);
    }
    assert_eq!(outcome.frame, expected);
}

/// It goes on to the kernel as it came.
#[track_caller]
fn assert_left(world: &mut World, frame: &[u8], port: IfIndex, reason: Counter) {
    let outcome = world.run(frame).unwrap();
    assert_eq!((outcome.port, outcome.counter), (port, reason));
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert_eq!(outcome.frame, frame);
}

#[test]
fn a_frame_of_a_vlan_is_forwarded_without_its_tag() {
    for tag in TAGS {
        in_both_hooks(tag, |world, mac| {
            for priority in [0, 1, 15] {
                let datagrams = [
                    Datagram::to(G),
                    Datagram {
                        options: vec![0x94, 4, 0, 0],
                        ..Datagram::to(G)
                    },
                    Datagram {
                        fragment: 0x2000,
                        ..Datagram::to(G)
                    },
                    Datagram {
                        fragment: 185,
                        ..Datagram::to(G)
                    },
                    Datagram {
                        ttl: 2,
                        ..Datagram::to(G)
                    },
                    Datagram {
                        payload: vec![7; 33],
                        ..Datagram::to(G)
                    },
                    Datagram {
                        payload: vec![7; 1480],
                        ..Datagram::to(G)
                    },
                    Datagram {
                        payload: vec![7],
                        padding: 21,
                        ..Datagram::to(G)
                    },
                ];
                for datagram in datagrams {
                    let datagram = tagged(tag, priority, datagram);
                    assert_forwarded(world, &datagram, VLAN_PORT, mac);
                }
            }
        });
    }
}

#[test]
fn what_a_router_does_not_forward_it_does_not_from_a_vlan_either() {
    for tag in TAGS {
        in_both_hooks(tag, |world, _| {
            let rows = [
                (1, G, Counter::PassTtlExpired),
                (9, Ipv4Addr::new(224, 0, 0, 5), Counter::PassLinkLocalGroup),
                (9, Ipv4Addr::new(239, 9, 9, 9), Counter::PassNoFlow),
                (9, Ipv4Addr::new(10, 1, 0, 7), Counter::PassUnicast),
            ];
            for (ttl, destination, reason) in rows {
                let datagram = Datagram {
                    ttl,
                    ..Datagram::to(destination)
                };
                let frame = tagged(tag, 3, datagram).frame();
                assert_left(world, &frame, VLAN_PORT, reason);
            }
        });
    }
}

#[test]
fn frames_without_a_vlan_stay_those_of_the_devices_own_port() {
    in_both_hooks(C_VLAN_100, |world, mac| {
        let priority_only = tagged(0x8100_0000, 14, Datagram::to(G));
        for datagram in [Datagram::to(G), priority_only] {
            assert_forwarded(world, &datagram, PORT, mac);
        }
        // The VLAN accepts packets from anywhere; the device's own port knows that this is another interface's subnet.
        let spoofed = Datagram {
            source: Ipv4Addr::new(10, 1, 0, 9),
            ..Datagram::to(G)
        };
        let frame = spoofed.frame();
        assert_left(world, &frame, PORT, Counter::PassWrongInterface);
        assert_forwarded(world, &tagged(C_VLAN_100, 0, spoofed), VLAN_PORT, mac);
    });
}

#[test]
fn a_vlan_that_is_no_port_is_left_to_the_kernel() {
    in_both_hooks(C_VLAN_100, |world, _| {
        // Another identifier, the same one of the other kind, a service tag with priority only, the reserved identifier.
        for other in [0x8100_0065, 0x88a8_0064, 0x88a8_0000, 0x8100_0fff] {
            let frame = tagged(other, 2, Datagram::to(G)).frame();
            assert_left(world, &frame, PORT, Counter::PassVlan);
        }
        world.remove_vlan(PORT, C_VLAN_100).unwrap();
        let frame = tagged(C_VLAN_100, 0, Datagram::to(G)).frame();
        assert_left(world, &frame, PORT, Counter::PassVlan);
        // The same VLAN of another device is another one.
        let elsewhere = IfIndex(PORT.0 + 1);
        world
            .add_vlan(elsewhere, C_VLAN_100, PORT_UPSTREAM)
            .unwrap();
        assert_left(world, &frame, PORT, Counter::PassVlan);
    });
}

/// Puts `tag` before the first tag of `frame`, or where that would be.
fn outer(tag: u32, frame: &[u8]) -> Vec<u8> {
    [&frame[..12], &tag.to_be_bytes(), &frame[12..]].concat()
}

#[test]
fn a_second_tag_is_another_networks() {
    for tag in TAGS {
        in_both_hooks(tag, |world, _| {
            let inner = [C_VLAN_100, S_VLAN_4094, 0x8100_0000];
            for frame in inner.map(|inner| outer(inner, &Datagram::to(G).frame())) {
                assert_left(world, &outer(tag, &frame), VLAN_PORT, Counter::PassVlan);
                assert_left(world, &outer(0x88a8_0007, &frame), PORT, Counter::PassVlan);
                // A priority tag before it does not make it the first.
                assert_left(world, &outer(0x8100_e000, &frame), PORT, Counter::PassVlan);
            }
        });
    }
}

#[test]
fn a_frame_that_ends_in_its_tag_or_behind_it_is_left_to_the_kernel() {
    for tag in TAGS {
        in_both_hooks(tag, |world, _| {
            let frame = tagged(tag, 0, Datagram::to(G)).frame();
            for len in 15..frame.len() {
                let (port, reason) = match len {
                    ..18 => (PORT, Counter::PassTruncated),
                    18..38 => (VLAN_PORT, Counter::PassTruncated),
                    _ => (VLAN_PORT, Counter::PassBadHeader),
                };
                assert_left(world, &frame[..len], port, reason);
            }
        });
    }
}

#[test]
fn igmp_in_a_vlan_is_told_of_as_the_vlans() {
    let report = Datagram {
        protocol: 2,
        ttl: 1,
        payload: vec![0x16, 0, 0xf9, 0xfc, 239, 1, 1, 1],
        options: vec![0x94, 4, 0, 0],
        ..Datagram::to(G)
    };
    for tag in TAGS {
        in_both_hooks(tag, |world, _| {
            let frame = tagged(tag, 7, report.clone()).frame();
            assert_left(world, &frame, VLAN_PORT, Counter::IgmpToUserspace);
            let record = world.next_record().unwrap();
            let event = events::parse(&record).unwrap();
            assert_eq!(event.interface, VLAN_PORT);
            assert_eq!(event.packet.unwrap().source, report.source);
            // Without the tag it is the device's own port's.
            assert_left(world, &report.frame(), PORT, Counter::IgmpToUserspace);
            let record = world.next_record().unwrap();
            assert_eq!(events::parse(&record).unwrap().interface, PORT);
        });
    }
}

#[test]
fn a_vlan_whose_tc_program_does_everything_is_left_alone_by_xdp() {
    let mut world = World::new().unwrap();
    world
        .add_vlan(PORT, C_VLAN_100, PORT_UPSTREAM | PORT_TC)
        .unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    world.run_hook(Hook::XdpNative);
    let frame = tagged(C_VLAN_100, 0, Datagram::to(G)).frame();
    assert_eq!(world.run_second(&frame).unwrap(), (Verdict::Pass, frame));
    let untagged = world.run(&Datagram::to(G).frame()).unwrap();
    assert_eq!(untagged.counter, Counter::Forwarded);
}
