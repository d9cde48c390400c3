//! Replication in TC where XDP cannot: unfinished checksums, packets to be segmented, this host's own sockets, tags that
//! the kernel takes out, devices without link layer, XDP in generic mode. The receivers' kernels and captures judge.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use igmp_common::maps::{
    PORT_LOCAL_SENDERS, PORT_NO_LINK_HEADER, PORT_REPLICATES_IN_TC, PORT_TC, PORT_UPSTREAM,
};
use igmp_tests::capture::Capture;
use igmp_tests::fixtures::datagram::Datagram;
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, World};
use igmp_tests::frame::{Frame, Payload};
use igmp_tests::host::{Host, Subscription, assert_gapless};
use igmp_tests::netns::mac_of;
use igmp_tests::stream::{self, StreamSpec};
use igmp_tests::topology::{Lan, Topology, UPSTREAM, downstream, gateway_address};
use igmp_tests::wait::wait_until;
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::proto::{FilterMode, IfIndex};

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(10);
const LANS: usize = 2;

/// A port with the TC program only.
const TC_ONLY: (&[Hook], u32) = (&[Hook::Tc], PORT_TC);
/// A port with native XDP, which leaves unfinished checksums to TC.
const LOCAL: (&[Hook], u32) = (&[Hook::Tc, Hook::XdpNative], PORT_LOCAL_SENDERS);
/// A port with XDP in generic mode.
const GENERIC: (&[Hook], u32) = (&[Hook::XdpGeneric, Hook::Tc], PORT_REPLICATES_IN_TC);

fn network() -> Topology {
    Topology::new(&[Lan::host(), Lan::host()])
}

/// Runs `test` while the gateway forwards G from its upstream to both LANs; with `listen` a socket of its own wants it too.
fn forwarding<T: Send>(
    topology: &Topology,
    (hooks, flags): (&[Hook], u32),
    listen: bool,
    test: impl FnOnce(&World) -> T + Send,
) -> T {
    topology.gateway.enter(|| {
        let index = |device: &str| IfIndex(topology.gateway.interface_index(device));
        let outputs: Vec<_> = (0..LANS)
            .map(|lan| (index(&downstream(lan)), lan_mac(lan)))
            .collect();
        let mut world = World::sending_to(outputs[0].0, 1).unwrap();
        world.listen(listen.then_some(G));
        world.join_on(G, &outputs).unwrap();
        let upstream = index(UPSTREAM);
        let attach = |hook| world.attach(upstream, hook, flags | PORT_UPSTREAM).unwrap();
        let _attached: Vec<_> = hooks.iter().copied().map(attach).collect();
        test(&world)
    })
}

fn lan_mac(lan: usize) -> [u8; 6] {
    mac_of(gateway_address(lan + 1))
}

/// Streams and expects every datagram at every receiver, in frames as a router sends them.
fn assert_delivered(topology: &Topology) {
    let subscriptions: Vec<Subscription> = topology.receivers.iter().map(|h| h.join(G)).collect();
    let captures: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let stream = StreamSpec::to(G).start(&topology.source);
    for subscription in &subscriptions {
        let arrivals = subscription.arrivals_until(100, SOON);
        assert_gapless(&arrivals);
        assert_eq!(arrivals[0].sequence, 0);
    }
    stream.stop();
    for (lan, capture) in captures.iter().enumerate() {
        // The socket had them first.
        let copies = wait_until("copies", SOON, || {
            let copies = capture.all().frames(|frame| frame.is_copy_for(G));
            (copies.len() > 100).then_some(copies)
        });
        for copy in &copies {
            assert_is_routed(copy, lan);
        }
    }
}

/// From the port's address to the group's, TTL one lower, both checksums right.
#[track_caller]
fn assert_is_routed(copy: &Frame, lan: usize) {
    let packet = copy.packet.as_ref().unwrap();
    assert_eq!(packet.source_mac, lan_mac(lan), "{copy:?}");
    assert_eq!(packet.destination_mac, [1, 0, 0x5e, 1, 1, 1]);
    assert_eq!(packet.ttl, stream::TTL - 1);
    assert!(packet.checksum_good, "{copy:?}");
    let is_good =
        |payload: &Payload| matches!(payload, Payload::Udp { checksum_good, .. } if *checksum_good);
    assert!(is_good(&packet.payload), "{copy:?}");
}

#[test]
fn an_unfinished_checksum_is_finished_on_the_way_out() {
    let topology = network();
    // As from a container: its kernel leaves the checksum to a device that will never see it.
    let source = &topology.source.namespace;
    source.run(&["ethtool", "-K", "eth0", "tx", "on"]);
    for hooks in [TC_ONLY, LOCAL] {
        forwarding(&topology, hooks, false, |_| assert_delivered(&topology));
    }
}

#[test]
fn xdp_in_generic_mode_delivers_what_native_mode_does() {
    let topology = network();
    forwarding(&topology, GENERIC, false, |_| assert_delivered(&topology));
}

#[test]
fn a_packet_that_a_device_should_segment_arrives_in_its_segments() {
    const SEGMENT: u16 = 1000;
    const SEGMENTS: u64 = 5;
    let topology = network();
    let source = &topology.source;
    source.namespace.run(&[
        "ethtool",
        "-K",
        "eth0",
        "tx",
        "on",
        "tx-udp-segmentation",
        "on",
    ]);
    let subscriptions: Vec<Subscription> = topology.receivers.iter().map(|h| h.join(G)).collect();
    let captures: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let socket = stream::segmenting_socket(source, SEGMENT);
    let data: Vec<u8> = (0..SEGMENTS)
        .flat_map(|number| stream::payload(number, SEGMENT.into()))
        .collect();
    forwarding(&topology, TC_ONLY, false, |world| {
        socket.send_to(&data, (G, stream::PORT)).unwrap();
        for subscription in &subscriptions {
            let arrivals = subscription.arrivals_until(SEGMENTS - 1, SOON);
            assert_gapless(&arrivals);
            assert_eq!(arrivals.len() as u64, SEGMENTS);
        }
        let packets = world.flow_stats(G).unwrap().packets;
        assert_eq!(packets, 1, "it was still one when it came in");
    });
    for (lan, capture) in captures.iter().enumerate() {
        for copy in capture.all().frames(|frame| frame.is_copy_for(G)) {
            assert_eq!(copy.bytes.len(), 14 + 20 + 8 + usize::from(SEGMENT));
            assert_is_routed(&copy, lan);
        }
    }
}

#[test]
fn a_socket_of_the_gateway_receives_what_is_forwarded() {
    let topology = network();
    let own = topology.gateway.enter(|| {
        let own = UdpSocket::bind((G, stream::PORT))?;
        own.join_multicast_v4(&G, &gateway_address(0))?;
        own.set_read_timeout(Some(SOON))?;
        Ok::<_, std::io::Error>(own)
    });
    let own = own.unwrap();
    forwarding(&topology, TC_ONLY, true, |_| assert_delivered(&topology));
    let mut buffer = [0; 2048];
    for number in 0..100 {
        let (len, from) = own.recv_from(&mut buffer).unwrap();
        assert_eq!(stream::sequence_of(&buffer[..len]), Some(number));
        assert_eq!(from.ip(), Topology::SOURCE);
    }
}

#[test]
fn a_priority_tag_is_taken_off_and_a_vlan_is_left_alone() {
    let topology = network();
    let captures: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let sender = topology.source.frame_sender();
    let plain = Datagram::to(G);
    let tagged = |vlan| Datagram {
        vlan: Some(vlan),
        ..plain.clone()
    };
    forwarding(&topology, TC_ONLY, false, |_| {
        sender.send(&tagged(7).frame());
        sender.send(&tagged(0xe000).frame());
        for (lan, capture) in captures.iter().enumerate() {
            let mut expected = plain.forwarded();
            expected[6..12].copy_from_slice(&lan_mac(lan));
            let is_copy = |frame: &Frame| {
                let packet = frame.packet.as_ref();
                packet.is_some_and(|packet| packet.destination == G)
            };
            let first = capture.all().wait_for("a copy", SOON, is_copy);
            assert_eq!(first.bytes, expected);
            assert_eq!(capture.all().frames(is_copy).len(), 1);
        }
    });
}

/// A namespace with a cable and a tun device.
fn tun() -> (Cable, std::fs::File) {
    let cable = Cable::new();
    let tun = cable.namespace.tun("tun0");
    (cable, tun)
}

#[test]
fn a_packet_from_a_device_without_link_layer_gets_an_ethernet_header() {
    let (cable, mut tun) = tun();
    let capture = cable.capture();
    let odd = Datagram {
        payload: vec![3; 33],
        options: vec![0x94, 4, 0, 0],
        ..Datagram::to(G)
    };
    for (listen, datagram) in [(false, Datagram::to(G)), (true, odd)] {
        cable.namespace.enter(|| {
            let mut world = World::sending_to(cable.near, 1).unwrap();
            world.listen(listen.then_some(G));
            world.join_on(G, &[(cable.near, OUTPUT_MAC)]).unwrap();
            let input = IfIndex(cable.namespace.interface_index("tun0"));
            let flags = PORT_TC | PORT_NO_LINK_HEADER | PORT_UPSTREAM;
            let _attached = world.attach(input, Hook::Tc, flags).unwrap();
            tun.write_all(&datagram.frame()[14..]).unwrap();
        });
        let mut expected = datagram.forwarded();
        expected[6..12].copy_from_slice(&OUTPUT_MAC);
        let is_it = |frame: &Frame| frame.bytes == expected;
        capture.all().wait_for("the frame", SOON, is_it);
    }
}

#[test]
fn a_packet_to_a_device_without_link_layer_loses_its_ethernet_header() {
    let (cable, mut tun) = tun();
    let datagram = Datagram::to(G);
    cable.namespace.enter(|| {
        let output = IfIndex(cable.namespace.interface_index("tun0"));
        let mut world = World::sending_to(cable.near, 1).unwrap();
        world.use_hook(Hook::Tc).unwrap();
        // Then all copies are clones, which a test run sends.
        world.listen(Some(G));
        world.join_on(G, &[(output, [0; 6])]).unwrap();
        world.run(&datagram.frame()).unwrap();
    });
    let mut packet = [0; 2048];
    let len = tun.read(&mut packet).unwrap();
    assert_eq!(packet[..len], datagram.forwarded()[14..]);
}

#[test]
fn igmp_from_a_device_without_link_layer_reaches_userspace_in_a_frame() {
    let (cable, mut tun) = tun();
    let report = Datagram {
        protocol: 2,
        ttl: 1,
        payload: vec![0x16, 0, 0xf9, 0xfd, 239, 1, 1, 1],
        ..Datagram::to(G)
    };
    let packet = &report.frame()[14..];
    let record = cable.namespace.enter(|| {
        let mut world = World::sending_to(cable.near, 1).unwrap();
        world.join(G, FilterMode::Exclude, &[]).unwrap();
        let input = IfIndex(cable.namespace.interface_index("tun0"));
        let flags = PORT_TC | PORT_NO_LINK_HEADER;
        let _attached = world.attach(input, Hook::Tc, flags).unwrap();
        tun.write_all(packet).unwrap();
        wait_until("a record", SOON, || world.next_record())
    });
    let frame = &record[16..];
    assert_eq!(frame[..12], [0; 12]);
    assert_eq!(frame[12..14], [0x08, 0x00]);
    assert_eq!(&frame[14..], packet);
}
