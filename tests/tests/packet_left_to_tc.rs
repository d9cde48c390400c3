//! Packets that XDP leaves to TC one by one: those too large for an output, and those of senders on this host whose
//! checksum is not finished. What XDP does not leave, TC does not send a second time.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_common::maps::{OutputDrops, PORT_LOCAL_SENDERS, PORT_TC};
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, Verdict, World};
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::proto::{FilterMode, GroupFilter};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// `TC_ACT_SHOT`.
const CONSUMED: Verdict = Verdict::Other(2);
const MTU: usize = 600;

/// Runs `test` with a port that has both programs, and a member of G behind an output of this MTU.
fn with_both_programs(test: impl FnOnce(&mut World) + Send) {
    let cable = Cable::new();
    cable.namespace.ip(&format!("link set lan0 mtu {MTU}"));
    cable.with_tc(|world| {
        world.set_flag(PORT_TC, false).unwrap();
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        test(world);
    });
}

/// What a router sends for it through the output, in TC.
fn copy(datagram: &Datagram) -> Vec<u8> {
    let mut frame = datagram.forwarded();
    frame[6..12].copy_from_slice(&OUTPUT_MAC);
    frame
}

/// XDP forwards it, so that TC never sees it.
#[track_caller]
fn assert_redirected(world: &mut World, datagram: &Datagram, counter: Counter) {
    let frame = datagram.frame();
    world.run_hook(Hook::XdpNative);
    let first = world.run(&frame).unwrap();
    assert_eq!((first.verdict, first.counter), (Verdict::Redirect, counter));
    assert_eq!(first.frame, datagram.forwarded());
}

/// XDP passes it as it came, and TC returns `verdict`.
#[track_caller]
fn assert_left_to_tc(world: &mut World, datagram: &Datagram, verdict: Verdict) {
    let frame = datagram.frame();
    world.run_hook(Hook::XdpNative);
    let first = world.run(&frame).unwrap();
    assert_eq!(
        (first.verdict, first.counter),
        (Verdict::Pass, Counter::PassToTc)
    );
    assert_eq!(first.frame, frame);
    world.run_hook(Hook::Tc);
    let (second, frame) = world.run_second(&frame).unwrap();
    assert_eq!(second, verdict);
    if second == Verdict::Redirect {
        assert_eq!(frame, copy(datagram));
    }
}

/// A packet of this IPv4 total length (RFC 791 section 3.1).
fn of_length(len: usize, options: &[u8]) -> Datagram {
    Datagram {
        options: options.to_vec(),
        payload: vec![7; len - 20 - options.len()],
        ..Datagram::to(G)
    }
}

#[test]
fn a_packet_larger_than_the_smallest_output_takes_is_left_to_tc() {
    with_both_programs(|world| {
        world.set_mtu(MTU).unwrap();
        let mut dropped = 0;
        for (options, vlan, padding) in [
            (&[][..], None, 0),
            (&[0x94, 4, 0, 0], None, 0),
            // Neither a tag nor what is behind the packet is a part of it.
            (&[], Some(0), 0),
            (&[], None, 30),
        ] {
            for len in [MTU - 1, MTU, MTU + 1] {
                let datagram = Datagram {
                    vlan,
                    padding,
                    ..of_length(len, options)
                };
                if len <= MTU {
                    assert_redirected(world, &datagram, Counter::Forwarded);
                } else {
                    assert_left_to_tc(world, &datagram, CONSUMED);
                    dropped += 1;
                }
            }
        }
        let drops = OutputDrops {
            mtu_exceeded: dropped,
            ..OutputDrops::default()
        };
        assert_eq!(world.output_drops().unwrap(), drops);
    });
}

#[test]
fn the_limit_follows_the_output_and_goes_with_it() {
    with_both_programs(|world| {
        for mtu in [100, 577, 1500] {
            world.set_mtu(mtu).unwrap();
            assert_redirected(world, &of_length(mtu, &[]), Counter::Forwarded);
            let larger = of_length(mtu + 1, &[]);
            // The device takes 600 octets, whatever it is said to take.
            let verdict = if mtu < MTU {
                Verdict::Redirect
            } else {
                CONSUMED
            };
            assert_left_to_tc(world, &larger, verdict);
        }
        world.set_mtu(1 << 20).unwrap();
        assert_redirected(world, &of_length(1501, &[]), Counter::Forwarded);
    });
}

#[test]
fn packets_without_a_flow_are_measured_against_the_upstream() {
    with_both_programs(|world| {
        world.leave(G).unwrap();
        world.send_upstream(GroupFilter::default(), &[]).unwrap();
        world.set_mtu(MTU).unwrap();
        let fits = of_length(MTU, &[]);
        assert_redirected(world, &fits, Counter::ForwardedToUpstream);
        assert_left_to_tc(world, &of_length(MTU + 1, &[]), CONSUMED);
    });
}

/// A UDP datagram with four octets of data and this checksum. Its pseudo header (RFC 768) is 0a00 0002 ef01 0101 0011
/// 000c, which adds up to fa21.
fn udp(checksum: u16) -> Datagram {
    let [high, low] = checksum.to_be_bytes();
    Datagram {
        payload: vec![0x13, 0x88, 0x13, 0x88, 0, 12, high, low, 1, 2, 3, 4],
        ..Datagram::to(G)
    }
}

const UNFINISHED: u16 = 0xfa21;
/// The complement of the sum of pseudo header, UDP header and data: fa21 + 1388 + 1388 + 000c + 0102 + 0304.
const COMPLETE: u16 = 0xdabb;

#[test]
fn an_unfinished_checksum_of_a_local_sender_is_left_to_tc() {
    with_both_programs(|world| {
        world.set_flag(PORT_LOCAL_SENDERS, true).unwrap();
        let unfinished = [
            udp(UNFINISHED),
            Datagram {
                options: vec![0x94, 4, 0, 0],
                ..udp(UNFINISHED)
            },
            Datagram {
                options: vec![1; 40],
                ..udp(UNFINISHED)
            },
            Datagram {
                vlan: Some(0xe000),
                ..udp(UNFINISHED)
            },
            Datagram {
                padding: 7,
                fragment: 0x4000,
                ..udp(UNFINISHED)
            },
        ];
        for datagram in unfinished {
            assert_left_to_tc(world, &datagram, Verdict::Redirect);
        }
    });
}

#[test]
fn any_other_checksum_is_not() {
    with_both_programs(|world| {
        world.set_flag(PORT_LOCAL_SENDERS, true).unwrap();
        let others = [
            udp(COMPLETE),
            // None (RFC 768), and neighbours of the unfinished one.
            udp(0),
            udp(0xffff),
            udp(UNFINISHED - 1),
            udp(UNFINISHED + 1),
            udp(!UNFINISHED),
            // The sum of another pseudo header: the length is another one.
            Datagram {
                payload: [&udp(UNFINISHED).payload[..], &[5]].concat(),
                ..Datagram::to(G)
            },
            // Fragments, first and last; another protocol; no room for a checksum.
            Datagram {
                fragment: 0x2000,
                ..udp(UNFINISHED)
            },
            Datagram {
                fragment: 1,
                ..udp(UNFINISHED)
            },
            Datagram {
                protocol: 136,
                ..udp(UNFINISHED)
            },
            Datagram {
                payload: vec![0x13, 0x88, 0x13, 0x88, 0, 12],
                ..Datagram::to(G)
            },
        ];
        for datagram in others {
            assert_redirected(world, &datagram, Counter::Forwarded);
        }
    });
}

#[test]
fn where_no_sender_is_local_checksums_are_not_looked_at() {
    with_both_programs(|world| {
        assert_redirected(world, &udp(UNFINISHED), Counter::Forwarded);
    });
}
