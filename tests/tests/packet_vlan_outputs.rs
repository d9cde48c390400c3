//! Tagged outputs: the bytes that really leave through a device. In XDP the egress program tags the copies, in TC the
//! kernel does, told by the program.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_common::Counter;
use igmp_common::maps::{OutputDrops, PORT_NO_LINK_HEADER, PORT_TC, PORT_UPSTREAM, UNTAGGED};
use igmp_tests::capture::Capture;
use igmp_tests::fixtures::datagram::{Datagram, PORT_MAC};
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, PORT, VLAN_PORT, Verdict, World, can_run_live};
use igmp_tests::frame::Frame;
use igmp_tests::wait::wait_until;
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::proto::{FilterMode, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(5);
/// 802.1Q, VLAN 100; 802.1ad, the largest identifier.
const C_VLAN_100: u32 = 0x8100_0064;
const S_VLAN_4094: u32 = 0x88a8_0ffe;

/// Packets that a router forwards, told apart by their identification.
fn datagrams() -> Vec<Datagram> {
    let plain = Datagram::to(G);
    let mut datagrams = vec![
        plain.clone(),
        Datagram {
            options: vec![0x94, 4, 0, 0],
            ..plain.clone()
        },
        Datagram {
            fragment: 0x2000,
            ..plain.clone()
        },
        Datagram {
            fragment: 185,
            ..plain.clone()
        },
        Datagram {
            ttl: 2,
            ..plain.clone()
        },
        Datagram {
            payload: vec![7; 33],
            ..plain.clone()
        },
        Datagram {
            payload: vec![7; 1480],
            ..plain
        },
    ];
    for (datagram, id) in datagrams.iter_mut().zip(1..) {
        datagram.id = id;
    }
    datagrams
}

/// `datagram` as it comes in with this tag.
fn tagged(tag: u32, datagram: Datagram) -> Datagram {
    let [a, b, c, d] = tag.to_be_bytes();
    Datagram {
        tag_type: u16::from_be_bytes([a, b]),
        vlan: (tag != UNTAGGED).then_some(u16::from_be_bytes([c, d])),
        ..datagram
    }
}

/// What a router sends for it out of a port of this address and tag: the tag behind the addresses, with priority 0.
fn copy(datagram: &Datagram, mac: [u8; 6], tag: u32) -> Vec<u8> {
    let untagged = datagram.forwarded();
    let tag = if tag == UNTAGGED {
        Vec::new()
    } else {
        tag.to_be_bytes().to_vec()
    };
    [&untagged[..6], &mac, &tag, &untagged[12..]].concat()
}

fn is_data(frame: &Frame) -> bool {
    (frame.packet.as_ref()).is_some_and(|packet| packet.destination == G)
}

/// What came out at the far end, once the last of these did.
#[track_caller]
fn assert_sent(cable: &Cable, expected: &[Vec<u8>], send: impl FnOnce()) {
    let capture = cable.capture();
    send();
    let is_last = |frame: &Frame| Some(&frame.bytes) == expected.last();
    capture.all().wait_for("the last copy", SOON, is_last);
    let frames = capture.all().frames(is_data);
    let bytes: Vec<_> = frames.into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(bytes, expected);
}

const PAIRS: [(u32, u32); 8] = [
    (UNTAGGED, C_VLAN_100),
    (UNTAGGED, S_VLAN_4094),
    (C_VLAN_100, UNTAGGED),
    (S_VLAN_4094, UNTAGGED),
    (C_VLAN_100, 0x8100_00c8),
    (C_VLAN_100, S_VLAN_4094),
    (S_VLAN_4094, C_VLAN_100),
    (S_VLAN_4094, 0x88a8_0001),
];

#[test]
fn xdp_sends_copies_with_the_tag_of_the_output_and_no_other() {
    if !can_run_live() {
        return;
    }
    for (from, to) in PAIRS {
        let cable = Cable::new();
        for end in ["lan0", Cable::FAR] {
            cable.namespace.behave_like_hardware(end);
        }
        let datagrams = datagrams()
            .into_iter()
            .map(|datagram| tagged(from, datagram));
        let datagrams: Vec<_> = datagrams.collect();
        let expected: Vec<_> = (datagrams.iter())
            .map(|datagram| copy(datagram, PORT_MAC, to))
            .collect();
        assert_sent(&cable, &expected, || {
            cable.namespace.enter(|| {
                let mut world = World::sending_to(cable.near, 1).unwrap();
                if from != UNTAGGED {
                    world.add_vlan(PORT, from, PORT_UPSTREAM).unwrap();
                }
                world.tag_output(to).unwrap();
                world.join(G, FilterMode::Exclude, &[]).unwrap();
                for datagram in &datagrams {
                    world.run_live(&datagram.frame()).unwrap();
                }
            });
        });
    }
}

#[test]
fn tc_sends_copies_with_the_tag_of_the_output_and_no_other() {
    for (from, to) in PAIRS {
        let cable = Cable::new();
        let datagrams = datagrams()
            .into_iter()
            .map(|datagram| tagged(from, datagram));
        let datagrams: Vec<_> = datagrams.collect();
        let expected: Vec<_> = (datagrams.iter())
            .map(|datagram| copy(datagram, OUTPUT_MAC, to))
            .collect();
        assert_sent(&cable, &expected, || {
            cable.with_tc(|world| {
                if from != UNTAGGED {
                    world.add_vlan(PORT, from, PORT_UPSTREAM | PORT_TC).unwrap();
                }
                world.tag_output(to).unwrap();
                // Then all copies are clones, which a test run sends.
                world.listen(Some(G));
                world.join(G, FilterMode::Exclude, &[]).unwrap();
                for datagram in &datagrams {
                    let outcome = world.run(&datagram.frame()).unwrap();
                    assert_eq!(outcome.counter, Counter::Forwarded);
                }
            });
        });
    }
}

/// Four ports of one device: without a tag, in two VLANs, in a service VLAN.
const TRUNK: [(u32, u32); 4] = [
    (101, C_VLAN_100),
    (102, UNTAGGED),
    (103, 0x8100_00c8),
    (104, S_VLAN_4094),
];

#[test]
fn tc_sends_one_copy_to_each_port_of_a_device() {
    let cable = Cable::new();
    let mac = |port: u32| [2, 0, 0, 0, 1, port.to_le_bytes()[0]];
    let datagrams = datagrams();
    let copies = datagrams.iter().flat_map(|datagram| {
        let to = |(port, tag): (u32, u32)| copy(datagram, mac(port), tag);
        TRUNK.map(to)
    });
    let expected: Vec<_> = copies.collect();
    assert_sent(&cable, &expected, || {
        cable.with_tc(|world| {
            for (port, tag) in TRUNK {
                world
                    .put_output(IfIndex(port), mac(port), cable.near.0, tag)
                    .unwrap();
            }
            world.listen(Some(G));
            world
                .join_from(G, &TRUNK.map(|(port, _)| IfIndex(port)))
                .unwrap();
            for datagram in &datagrams {
                world.run(&datagram.frame()).unwrap();
            }
            assert_eq!(world.output_drops().unwrap(), OutputDrops::default());
        });
    });
}

#[test]
fn a_packet_goes_to_the_other_vlans_of_its_device_and_not_back_to_its_own() {
    let cable = Cable::new();
    let sender = cable.sender();
    let datagrams = datagrams();
    let copies = datagrams
        .iter()
        .flat_map(|datagram| [UNTAGGED, S_VLAN_4094].map(|tag| copy(datagram, OUTPUT_MAC, tag)));
    let expected: Vec<_> = copies.collect();
    let capture = cable.capture();
    cable.namespace.enter(|| {
        let mut world = World::sending_to(cable.near, 1).unwrap();
        let (untagged, service) = (IfIndex(102), IfIndex(104));
        world
            .put_output(untagged, OUTPUT_MAC, cable.near.0, UNTAGGED)
            .unwrap();
        world
            .put_output(service, OUTPUT_MAC, cable.near.0, S_VLAN_4094)
            .unwrap();
        world.join_from(G, &[untagged, service, VLAN_PORT]).unwrap();
        let _attached = world.attach(cable.near, Hook::Tc, PORT_TC).unwrap();
        world.add_vlan(cable.near, C_VLAN_100, PORT_TC).unwrap();
        for datagram in &datagrams {
            sender.send(&tagged(C_VLAN_100, datagram.clone()).frame());
        }
        let is_last = |frame: &Frame| Some(&frame.bytes) == expected.last();
        capture.all().wait_for("the last copy", SOON, is_last);
    });
    // What was sent in passes the capture as well.
    let is_copy = |frame: &Frame| is_data(frame) && frame.bytes[6..12] == OUTPUT_MAC;
    let copies = capture.all().frames(is_copy);
    let bytes: Vec<_> = copies.into_iter().map(|frame| frame.bytes).collect();
    assert_eq!(bytes, expected);
}

#[test]
fn the_kernel_gets_back_the_frame_that_came_in_with_its_tag() {
    let cable = Cable::new();
    // Room for a service tag, which a packet socket does not count on.
    cable
        .namespace
        .ip(&format!("link set {} mtu 1600", Cable::FAR));
    // A bridge takes frames after TC, and shows them at its other port.
    cable.namespace.ip(
        "link add br0 type bridge mcast_snooping 0\nlink set lan0 master br0\nlink set br0 up\n\
         link add lan1 type veth peer name far1\nlink set lan1 master br0\nlink set lan1 up\nlink set far1 up\n",
    );
    let bridged = Capture::start(&cable.namespace, "far1");
    let sender = cable.sender();
    for (tag, priority, outputs) in [
        (C_VLAN_100, 0xb000, &TRUNK[..]),
        (S_VLAN_4094, 0, &TRUNK[..2]),
        (C_VLAN_100, 0x2000, &TRUNK[..1]),
        // With priority only.
        (0x8100_0000, 0xe000, &TRUNK[2..]),
    ] {
        let datagrams = datagrams().into_iter().map(|datagram| {
            let mut datagram = tagged(tag, datagram);
            datagram.vlan = datagram.vlan.map(|id| id | priority);
            datagram
        });
        let expected: Vec<_> = datagrams.map(|datagram| datagram.frame()).collect();
        let now = bridged.from_now();
        cable.namespace.enter(|| {
            let mut world = World::sending_to(cable.near, 1).unwrap();
            world.listen(Some(G));
            for (port, tag) in outputs {
                let (port, device) = (IfIndex(*port), cable.near.0);
                world.put_output(port, OUTPUT_MAC, device, *tag).unwrap();
            }
            let outputs: Vec<_> = outputs.iter().map(|(port, _)| IfIndex(*port)).collect();
            world.join_from(G, &outputs).unwrap();
            let flags = PORT_TC | PORT_UPSTREAM;
            let _attached = world.attach(cable.near, Hook::Tc, flags).unwrap();
            if tag & 0xfff != 0 {
                world.add_vlan(cable.near, tag, flags).unwrap();
            }
            for frame in &expected {
                sender.send(frame);
            }
            let is_last = |frame: &Frame| Some(&frame.bytes) == expected.last();
            now.wait_for("the last frame", SOON, is_last);
            let forwarded = world.flow_stats(G).unwrap().packets;
            assert_eq!(forwarded, expected.len() as u64);
        });
        let bytes: Vec<_> = now
            .frames(is_data)
            .into_iter()
            .map(|frame| frame.bytes)
            .collect();
        assert_eq!(bytes, expected, "{tag:08x}");
    }
}

#[test]
fn a_tag_is_put_on_what_comes_from_a_device_without_link_layer() {
    let cable = Cable::new();
    let mut tun = cable.namespace.tun("tun0");
    let datagrams = datagrams();
    let expected: Vec<_> = (datagrams.iter())
        .map(|datagram| copy(datagram, OUTPUT_MAC, C_VLAN_100))
        .collect();
    assert_sent(&cable, &expected, || {
        cable.namespace.enter(|| {
            let mut world = World::sending_to(cable.near, 1).unwrap();
            let output = IfIndex(101);
            world
                .put_output(output, OUTPUT_MAC, cable.near.0, C_VLAN_100)
                .unwrap();
            world.join_from(G, &[output]).unwrap();
            let input = IfIndex(cable.namespace.interface_index("tun0"));
            let flags = PORT_TC | PORT_NO_LINK_HEADER | PORT_UPSTREAM;
            let _attached = world.attach(input, Hook::Tc, flags).unwrap();
            for datagram in &datagrams {
                tun.write_all(&datagram.frame()[14..]).unwrap();
            }
            let last = datagrams.len() as u64;
            wait_until("all are forwarded", SOON, || {
                (world.flow_stats(G).unwrap().packets == last).then_some(())
            });
        });
    });
}

#[test]
fn a_packet_of_a_vlan_leaves_a_device_without_link_layer_bare() {
    let cable = Cable::new();
    let mut tun = cable.namespace.tun("tun0");
    cable.namespace.enter(|| {
        let output = IfIndex(cable.namespace.interface_index("tun0"));
        let mut world = World::sending_to(cable.near, 1).unwrap();
        world.use_hook(Hook::Tc).unwrap();
        world
            .add_vlan(PORT, C_VLAN_100, PORT_UPSTREAM | PORT_TC)
            .unwrap();
        world.listen(Some(G));
        world.join_on(G, &[(output, [0; 6])]).unwrap();
        for datagram in datagrams() {
            let frame = tagged(C_VLAN_100, datagram.clone()).frame();
            let outcome = world.run(&frame).unwrap();
            assert_eq!((outcome.port, outcome.verdict), (VLAN_PORT, Verdict::Pass));
            let mut packet = [0; 2048];
            let len = tun.read(&mut packet).unwrap();
            assert_eq!(packet[..len], datagram.forwarded()[14..]);
        }
    });
}
