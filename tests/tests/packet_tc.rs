//! The TC program: beside XDP and alone, for this host's own sockets, and which outputs get a copy.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_common::Counter;
use igmp_common::maps::{OutputDrops, PORT_REPLICATES_IN_TC, PORT_TC};
use igmp_tests::capture::Capture;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, PORT, Verdict, World};
use igmp_tests::frame::Frame;
use igmp_tests::netns::Namespace;
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::proto::{FilterMode, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(5);
/// `TC_ACT_SHOT`.
const CONSUMED: Verdict = Verdict::Other(2);
/// From the header of a ring record to its frame.
const RECORD_HEADER: usize = 16;

fn report() -> Datagram {
    Datagram {
        protocol: 2,
        ttl: 1,
        payload: vec![0x16, 0, 0xf9, 0xfd, 239, 1, 1, 1],
        options: vec![0x94, 4, 0, 0],
        ..Datagram::to(G)
    }
}

/// What a router sends for it through a port of this address.
fn copy(datagram: &Datagram, port_mac: [u8; 6]) -> Vec<u8> {
    let mut frame = datagram.forwarded();
    frame[6..12].copy_from_slice(&port_mac);
    frame
}

fn with_members(test: impl FnOnce(&mut World) + Send) {
    Cable::new().with_tc(|world| {
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        test(world);
    });
}

#[test]
fn igmp_goes_to_userspace_whole_and_on_to_the_kernel() {
    with_members(|world| {
        for len in [8, 9, 1400, 2000] {
            let mut report = report();
            report.payload.resize(len, 7);
            let frame = report.frame();
            let outcome = world.run(&frame).unwrap();
            assert_eq!(outcome.counter, Counter::IgmpToUserspace);
            assert_eq!(outcome.verdict, Verdict::Pass);
            assert_eq!(outcome.frame, frame);
            let record = world.next_record().unwrap();
            assert_eq!(record[RECORD_HEADER..], frame);
        }
        assert_eq!(world.next_record(), None);
    });
}

#[test]
fn behind_xdp_it_tells_and_counts_nothing_again() {
    with_members(|world| {
        world.set_flag(PORT_TC, false).unwrap();
        let from_nowhere = Datagram {
            source: Ipv4Addr::new(10, 1, 0, 9),
            ..Datagram::to(G)
        };
        for datagram in [report(), from_nowhere] {
            let frame = datagram.frame();
            let second = world.run_second(&frame).unwrap();
            assert_eq!(second, (Verdict::Pass, frame));
        }
        assert_eq!(world.next_record(), None);
        assert_eq!(world.next_refusal(), None);
        assert_eq!(world.flow_stats(G).unwrap().packets, 0);
    });
}

#[test]
fn a_packet_between_the_two_programs_is_not_lost_when_its_flow_goes_back_to_xdp() {
    with_members(|world| {
        world.set_flag(PORT_TC, false).unwrap();
        world.send_by_tc(true).unwrap();
        world.run_hook(Hook::XdpNative);
        let frame = Datagram::to(G).frame();
        let first = world.run(&frame).unwrap();
        assert_eq!(
            (first.verdict, first.counter),
            (Verdict::Pass, Counter::PassToTc)
        );
        world.send_by_tc(false).unwrap();
        world.run_hook(Hook::Tc);
        let (second, _) = world.run_second(&frame).unwrap();
        assert_eq!(second, Verdict::Redirect);
        assert_eq!(world.flow_stats(G).unwrap().packets, 1);
    });
}

#[test]
fn xdp_leaves_a_flow_to_it_whose_output_it_does_not_reach() {
    with_members(|world| {
        world.set_flag(PORT_TC, false).unwrap();
        world.send_by_tc(true).unwrap();
        assert_left_to_tc(world);
        world.send_by_tc(false).unwrap();
        world.run_hook(Hook::XdpNative);
        let outcome = world.run(&Datagram::to(G).frame()).unwrap();
        assert_eq!(outcome.counter, Counter::Forwarded);
    });
}

#[test]
fn xdp_in_generic_mode_leaves_every_flow_to_it() {
    with_members(|world| {
        world.set_flag(PORT_TC, false).unwrap();
        world.set_flag(PORT_REPLICATES_IN_TC, true).unwrap();
        assert_left_to_tc(world);
    });
}

/// A packet to G passes XDP, counted and unchanged, and goes out by TC, counted on its flow once.
#[track_caller]
fn assert_left_to_tc(world: &mut World) {
    let datagram = Datagram::to(G);
    let frame = datagram.frame();
    world.run_hook(Hook::XdpNative);
    let first = world.run(&frame).unwrap();
    assert_eq!(first.counter, Counter::PassToTc);
    assert_eq!((first.verdict, &first.frame), (Verdict::Pass, &frame));
    assert_eq!(world.flow_stats(G).unwrap().packets, 0);
    world.run_hook(Hook::Tc);
    let second = world.run_second(&frame).unwrap();
    assert_eq!(second, (Verdict::Redirect, copy(&datagram, OUTPUT_MAC)));
    assert_eq!(world.flow_stats(G).unwrap().packets, 1);
}

#[test]
fn where_tc_does_everything_xdp_does_nothing() {
    with_members(|world| {
        world.run_hook(Hook::XdpNative);
        for datagram in [report(), Datagram::to(G)] {
            let frame = datagram.frame();
            let first = world.run_second(&frame).unwrap();
            assert_eq!(first, (Verdict::Pass, frame));
        }
        assert_eq!(world.next_record(), None);
    });
}

#[test]
fn sockets_of_this_host_see_what_came_in() {
    let cable = Cable::new();
    let capture = cable.capture();
    let datagrams = [
        Datagram::to(G),
        Datagram {
            destination_mac: Some([0xff; 6]),
            options: vec![0x94, 4, 0, 0],
            ..Datagram::to(G)
        },
        Datagram {
            padding: 9,
            vlan: Some(0),
            ..Datagram::to(G)
        },
    ];
    cable.with_tc(|world| {
        world.listen(Some(G));
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        for datagram in &datagrams {
            let outcome = world.run(&datagram.frame()).unwrap();
            assert_eq!(outcome.counter, Counter::Forwarded);
            assert_eq!(outcome.verdict, Verdict::Pass);
            // Padding and a priority tag mean nothing to a socket.
            let as_it_came = Datagram {
                vlan: None,
                padding: 0,
                ..datagram.clone()
            };
            assert_eq!(outcome.frame, as_it_came.frame());
        }
    });
    for datagram in &datagrams {
        wait_for_copy(&capture, &copy(datagram, OUTPUT_MAC));
    }
}

#[track_caller]
fn wait_for_copy(capture: &Capture, expected: &[u8]) {
    let is_it = |frame: &Frame| frame.bytes == expected;
    capture.all().wait_for("a copy", SOON, is_it);
}

#[test]
fn a_packet_larger_than_the_outputs_mtu_is_not_sent_there_and_counted() {
    const MTU: usize = 600;
    let cable = Cable::new();
    cable.namespace.ip(&format!("link set lan0 mtu {MTU}"));
    cable.with_tc(|world| {
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        world.set_mtu(MTU).unwrap();
        for (len, fits) in [(MTU, true), (MTU + 1, false)] {
            let datagram = Datagram {
                payload: vec![1; len - 20],
                ..Datagram::to(G)
            };
            let outcome = world.run(&datagram.frame()).unwrap();
            assert_eq!(outcome.counter, Counter::Forwarded);
            let verdict = if fits { Verdict::Redirect } else { CONSUMED };
            assert_eq!(outcome.verdict, verdict, "{len} bytes");
        }
        let drops = OutputDrops {
            mtu_exceeded: 1,
            ..OutputDrops::default()
        };
        assert_eq!(world.output_drops().unwrap(), drops);
    });
}

#[test]
fn a_copy_leaves_only_if_its_ttl_was_above_the_threshold() {
    with_members(|world| {
        world.set_ttl_threshold(16).unwrap();
        for (ttl, verdict) in [(16, CONSUMED), (17, Verdict::Redirect)] {
            let datagram = Datagram {
                ttl,
                ..Datagram::to(G)
            };
            assert_eq!(world.run(&datagram.frame()).unwrap().verdict, verdict);
        }
        assert_eq!(world.output_drops().unwrap().ttl_threshold, 1);
    });
}

#[test]
fn nothing_leaves_through_a_closed_gate() {
    with_members(|world| {
        world.close_gate().unwrap();
        for ttl in [2, 64, 255] {
            let datagram = Datagram {
                ttl,
                ..Datagram::to(G)
            };
            assert_eq!(world.run(&datagram.frame()).unwrap().verdict, CONSUMED);
        }
        let drops = OutputDrops {
            gate_closed: 3,
            ..OutputDrops::default()
        };
        assert_eq!(world.output_drops().unwrap(), drops);
    });
}

#[test]
fn an_output_that_is_gone_is_counted_and_the_others_get_their_copies() {
    let cable = Cable::new();
    let capture = cable.capture();
    cable.with_tc(|world| {
        let gone = IfIndex(cable.near.0 + 1000);
        world.listen(Some(G));
        let outputs = [(cable.near, OUTPUT_MAC), (gone, OUTPUT_MAC)];
        world.join_on(G, &outputs).unwrap();
        world.run(&Datagram::to(G).frame()).unwrap();
        assert_eq!(world.output_drops().unwrap().not_sent, 1);
    });
    wait_for_copy(&capture, &copy(&Datagram::to(G), OUTPUT_MAC));
}

#[test]
fn a_set_of_any_size_is_gone_through_to_its_end() {
    let cable = Cable::new();
    let capture = cable.capture();
    // Around the 64 outputs of one program run, and many of them.
    for (others, ttl) in [(63, 9), (64, 10), (65, 11), (1000, 12)] {
        let datagram = Datagram {
            ttl,
            ..Datagram::to(G)
        };
        let last = IfIndex(1 << 20);
        let (outcome, drops) = cable.with_tc(|world| {
            world.listen(Some(G));
            // All but the first and the last want more than this TTL, and only their counts say that they were there.
            let silent: Vec<_> = (cable.near.0 + 1..).map(IfIndex).take(others).collect();
            world.set_ttl_threshold(200).unwrap();
            let all = [&[cable.near], &silent[..], &[last]].concat();
            let all: Vec<_> = all.into_iter().map(|index| (index, OUTPUT_MAC)).collect();
            world.join_on(G, &all).unwrap();
            world.set_threshold_of(&[cable.near, last], 1).unwrap();
            let outcome = world.run(&datagram.frame()).unwrap();
            (outcome, world.output_drops().unwrap())
        });
        assert_eq!(drops.ttl_threshold, others as u64);
        assert_eq!(drops.not_sent, 1, "the last one, which is no device");
        assert_eq!(outcome.verdict, Verdict::Pass);
        assert_eq!(outcome.frame, datagram.frame(), "restored by the last run");
        wait_for_copy(&capture, &copy(&datagram, OUTPUT_MAC));
    }
}

#[test]
fn every_output_gets_one_copy_with_its_own_address_but_the_incoming_one() {
    const LARGEST: u32 = 33;
    let namespace = Namespace::new("outputs");
    let mut commands = String::new();
    for number in 0..LARGEST {
        let _ = write!(
            commands,
            "link add lan{number} type veth peer name far{number}\nlink set lan{number} up\nlink set far{number} up\n"
        );
    }
    namespace.ip(&commands);
    let ports: Vec<_> = (0..LARGEST)
        .map(|number| {
            let index = IfIndex(namespace.interface_index(&format!("lan{number}")));
            (index, Capture::start(&namespace, &format!("far{number}")))
        })
        .collect();
    let first = namespace.interface_index("lan0");
    // Around the 16 outputs that the program reads at once.
    for (count, low) in [(1, 1), (2, 2), (15, 3), (16, 4), (17, 5), (32, 6), (33, 7)] {
        let datagram = Datagram {
            ttl: 9 + low,
            ..Datagram::to(G)
        };
        let mac = |index: IfIndex| [2, 0, 0, 0, 1, index.0.to_le_bytes()[0]];
        let wanted = ports.iter().take(count);
        let mut outputs: Vec<_> = wanted.map(|(index, _)| (*index, mac(*index))).collect();
        outputs.insert(0, (PORT, [0; 6]));
        namespace.enter(|| {
            let mut world = World::sending_to(IfIndex(first), 1).unwrap();
            world.use_hook(Hook::Tc).unwrap();
            world.listen(Some(G));
            world.join_on(G, &outputs).unwrap();
            let outcome = world.run(&datagram.frame()).unwrap();
            assert_eq!(outcome.verdict, Verdict::Pass);
        });
        for (index, capture) in &ports[..count] {
            wait_for_copy(capture, &copy(&datagram, mac(*index)));
        }
        let ttl = datagram.ttl - 1;
        for (number, (_, capture)) in ports.iter().enumerate() {
            let copies = capture.all().frames(|frame| frame.bytes[22] == ttl);
            assert_eq!(
                copies.len(),
                usize::from(number < count),
                "far{number} of {count}"
            );
        }
    }
}
