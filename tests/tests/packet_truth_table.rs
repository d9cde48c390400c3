//! The forwarding truth table of the kernel's multicast router, row by row, in XDP and in TC: what it forwards we
//! replicate with the same bytes, what it does not we leave to it untouched.

use std::net::Ipv4Addr;

use igmp_common::Counter;
use igmp_tests::fixtures::datagram::{Datagram, PORT_MAC, group_mac};
use igmp_tests::fixtures::{Cable, OUTPUT_MAC, Verdict, World};
use igmp_userspace::io::datapath::Hook;
use igmp_userspace::proto::FilterMode;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

/// What a row of the table says.
enum Row {
    /// `F`.
    Forwarded,
    /// `–`, and which of our reasons it is.
    Left(Counter),
}
use Row::{Forwarded, Left};

/// Runs one stimulus in both hooks, in XDP by way of a set and past it.
fn check(stimulus: &str, row: &Row, datagram: &Datagram) {
    let cable = Cable::new();
    cable.namespace.enter(|| {
        let mut world = World::sending_to(cable.near, 1).unwrap();
        check_in(&mut world, stimulus, row, datagram, None);
        world.take_short_way().unwrap();
        check_in(&mut world, stimulus, row, datagram, Some(PORT_MAC));
        world.use_hook(Hook::Tc).unwrap();
        check_in(&mut world, stimulus, row, datagram, Some(OUTPUT_MAC));
    });
}

/// Runs one stimulus against `world`, where every group, forwardable or not, has a flow, and instead of an address that is
/// none the group that has the same 28 bits: the flow table goes by these. In TC the frame that the last output takes
/// carries that output's address, as in XDP past the set; else the egress program writes it.
fn check_in(
    world: &mut World,
    stimulus: &str,
    row: &Row,
    datagram: &Datagram,
    source_mac: Option<[u8; 6]>,
) {
    let destination = datagram.destination;
    let group = Ipv4Addr::from((u32::from(destination) & 0x0fff_ffff) | 0xe000_0000);
    world.join(group, FilterMode::Exclude, &[]).unwrap();
    let frame = datagram.frame();
    let outcome = world.run(&frame).unwrap();
    match row {
        Forwarded => {
            assert_eq!(outcome.counter, Counter::Forwarded, "{stimulus}");
            assert_eq!(outcome.verdict, Verdict::Redirect, "{stimulus}");
            let mut expected = datagram.forwarded();
            if let Some(mac) = source_mac {
                expected[6..12].copy_from_slice(&mac);
            }
            assert_eq!(outcome.frame, expected, "{stimulus}");
            let stats = world.flow_stats(destination).unwrap();
            assert_eq!(stats.packets, 1, "{stimulus}");
            let len = 20 + datagram.options.len() + datagram.payload.len();
            assert_eq!(stats.bytes, len as u64, "{stimulus}");
        }
        Left(reason) => {
            assert_eq!(outcome.counter, *reason, "{stimulus}");
            assert_eq!(outcome.verdict, Verdict::Pass, "{stimulus}");
            assert_eq!(outcome.frame, frame, "{stimulus}: not left as it was");
        }
    }
    world.leave(group).unwrap();
}

/// Rows that differ from a plain datagram to G in the fields that `$change` sets.
macro_rules! rows {
    ($($name:ident: $row:expr, |$datagram:ident| $change:block)+) => {
        $(#[test]
        fn $name() {
            let mut $datagram = Datagram::to(G);
            $change
            check(stringify!($name), &$row, &$datagram);
        })+
    };
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

rows! {
    ttl_9_control: Forwarded, |d| { d.ttl = 9; }
    ttl_2_leaves_with_1: Forwarded, |d| { d.ttl = 2; }
    ttl_1: Left(Counter::PassTtlExpired), |d| { d.ttl = 1; }
    ttl_0: Left(Counter::PassTtlExpired), |d| { d.ttl = 0; }
    ttl_255: Forwarded, |d| { d.ttl = 255; }
    bad_ip_checksum: Left(Counter::PassBadChecksum), |d| { d.checksum_error = 0x0100; }
    bad_udp_checksum: Forwarded, |d| { d.payload[6] ^= 0xff; }
    udp_checksum_0: Forwarded, |d| { d.payload[6..8].fill(0); }
    ihl_6_nop_options: Forwarded, |d| { d.options = vec![1, 1, 1, 0]; }
    router_alert_option: Forwarded, |d| { d.options = vec![0x94, 4, 0, 0]; }
    all_forty_bytes_of_options: Forwarded, |d| { d.options = vec![1; 40]; }
    router_alert_ends_forty_bytes: Forwarded, |d| { d.options = [vec![1; 36], vec![0x94, 4, 0, 0]].concat(); }
    lsrr_option: Left(Counter::PassOptions), |d| { d.options = vec![0x83, 7, 4, 10, 9, 9, 9, 0]; }
    lsrr_option_behind_nop: Left(Counter::PassOptions), |d| { d.options = vec![1, 0x83, 7, 4, 10, 9, 9, 9]; }
    record_route_wants_filling_in: Left(Counter::PassOptions), |d| { d.options = vec![7, 7, 4, 0, 0, 0, 0, 0]; }
    router_alert_of_wrong_length: Left(Counter::PassOptions), |d| { d.options = vec![0x94, 8, 0, 0, 0, 0, 0, 0]; }
    router_alert_cut_by_the_header: Left(Counter::PassOptions), |d| { d.options = vec![1, 1, 1, 0x94]; }
    bad_ip_checksum_with_options: Left(Counter::PassBadChecksum), |d| { d.options = vec![1; 8]; d.checksum_error = 1; }
    first_fragment: Forwarded, |d| { d.fragment = 0x2000; }
    last_fragment: Forwarded, |d| { d.fragment = 185; }
    df_1500_bytes: Forwarded, |d| { d.fragment = 0x4000; d.payload = vec![7; 1480]; }
    dst_mac_gateway_unicast: Forwarded, |d| { d.destination_mac = Some(PORT_MAC); }
    dst_mac_broadcast: Forwarded, |d| { d.destination_mac = Some([0xff; 6]); }
    dst_mac_of_other_group: Forwarded, |d| { d.destination_mac = Some([1, 0, 0x5e, 9, 9, 9]); }
    dst_mac_other_unicast: Left(Counter::PassOtherHost), |d| { d.destination_mac = Some([2, 0, 0, 0, 0, 2]); }
    src_0_0_0_0: Left(Counter::PassSourceMartian), |d| { d.source = ip("0.0.0.0"); }
    src_127_0_0_1: Left(Counter::PassSourceMartian), |d| { d.source = ip("127.0.0.1"); }
    src_239_1_1_1: Left(Counter::PassSourceMartian), |d| { d.source = ip("239.1.1.1"); }
    src_255_255_255_255: Left(Counter::PassSourceMartian), |d| { d.source = ip("255.255.255.255"); }
    src_routers_own_address: Left(Counter::PassSourceMartian), |d| { d.source = ip("10.0.0.1"); }
    src_routers_address_elsewhere: Left(Counter::PassSourceMartian), |d| { d.source = ip("10.1.0.1"); }
    // Deliberately stricter than the table, which has rp_filter off: docs/datapath.md.
    src_in_a_lan_subnet_on_wan: Left(Counter::PassWrongInterface), |d| { d.source = ip("10.1.0.9"); }
    src_unknown_net: Forwarded, |d| { d.source = ip("172.31.0.9"); }
    src_subnet_broadcast: Forwarded, |d| { d.source = ip("10.0.0.255"); }
    src_network_address: Forwarded, |d| { d.source = ip("10.0.0.0"); }
    ip_len_beyond_frame: Left(Counter::PassBadHeader), |d| { d.total_len = Some(200); }
    ip_len_below_frame_is_trimmed: Forwarded, |d| { d.padding = 46; }
    one_byte_of_padding_is_trimmed: Forwarded, |d| { d.padding = 1; }
    ip_len_below_20: Left(Counter::PassBadHeader), |d| { d.total_len = Some(19); }
    version_5: Left(Counter::PassBadHeader), |d| { d.version = 5; }
    ihl_4: Left(Counter::PassBadHeader), |d| { d.ihl = Some(4); }
    ihl_15_without_room: Left(Counter::PassBadHeader), |d| { d.ihl = Some(15); d.payload.truncate(8); }
    vlan_7_tag: Left(Counter::PassVlan), |d| { d.vlan = Some(7); }
    vlan_0_priority_tag: Forwarded, |d| { d.vlan = Some(0xe000); }
    vlan_0_and_padding: Forwarded, |d| { d.vlan = Some(0); d.payload = vec![1]; d.padding = 21; }
    vlan_0_with_options: Forwarded, |d| { d.vlan = Some(0); d.options = vec![0x94, 4, 0, 0]; }
    vlan_0_around_ipv6: Left(Counter::PassNotIpv4), |d| { d.vlan = Some(0); d.ethertype = 0x86dd; }
    service_vlan_tag: Left(Counter::PassVlan), |d| { d.ethertype = 0x88a8; }
    not_ipv4: Left(Counter::PassNotIpv4), |d| { d.ethertype = 0x86dd; }
    tos_kept: Forwarded, |d| { d.tos = 0xba; }
    ip_id_kept: Forwarded, |d| { d.id = 0xbeef; }
    protocol_254: Forwarded, |d| { d.protocol = 254; }
    icmp_echo_to_group: Forwarded, |d| { d.protocol = 1; d.payload = vec![8, 0, 0xf7, 0xff, 0, 0, 0, 0]; }
    tcp_syn_to_group: Forwarded, |d| { d.protocol = 6; d.payload[12..14].copy_from_slice(&[0x50, 2]); }
    one_byte_payload: Forwarded, |d| { d.payload = vec![1]; }
    no_payload: Forwarded, |d| { d.payload = vec![]; }
    evil_flag: Forwarded, |d| { d.fragment = 0x8000; }
    dst_224_0_0_5: Left(Counter::PassLinkLocalGroup), |d| { d.destination = ip("224.0.0.5"); }
    dst_224_0_0_251: Left(Counter::PassLinkLocalGroup), |d| { d.destination = ip("224.0.0.251"); }
    dst_224_0_0_255: Left(Counter::PassLinkLocalGroup), |d| { d.destination = ip("224.0.0.255"); }
    dst_224_0_1_1: Forwarded, |d| { d.destination = ip("224.0.1.1"); }
    dst_239_255_255_250: Forwarded, |d| { d.destination = ip("239.255.255.250"); }
    dst_255_255_255_255: Left(Counter::PassUnicast), |d| { d.destination = ip("255.255.255.255"); }
    dst_240_0_0_1: Left(Counter::PassUnicast), |d| { d.destination = ip("240.0.0.1"); }
    dst_223_255_255_254: Left(Counter::PassUnicast), |d| { d.destination = ip("223.255.255.254"); }
}

#[test]
fn group_without_output() {
    let mut world = World::new().unwrap();
    let frame = Datagram::to(G).frame();
    let outcome = world.run(&frame).unwrap();
    assert_eq!(outcome.counter, Counter::PassNoFlow);
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert_eq!(outcome.frame, frame);
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    assert_eq!(world.run(&frame).unwrap().counter, Counter::Forwarded);
    world.leave(G).unwrap();
    assert_eq!(world.run(&frame).unwrap().counter, Counter::PassNoFlow);
}

#[test]
fn wrong_incoming_interface_is_counted_each_time() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    let spoofed = Datagram {
        source: ip("10.1.0.9"),
        ..Datagram::to(G)
    };
    for _ in 0..3 {
        let outcome = world.run(&spoofed.frame()).unwrap();
        assert_eq!(outcome.counter, Counter::PassWrongInterface);
        assert_eq!(outcome.frame, spoofed.frame());
    }
    assert_eq!(world.flow_stats(G).unwrap().packets, 0);
}

#[test]
fn groups_that_share_an_ethernet_address_are_told_apart() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    let same_mac = ip("239.129.1.1");
    assert_eq!(group_mac(same_mac), group_mac(G));
    let outcome = world.run(&Datagram::to(same_mac).frame()).unwrap();
    assert_eq!(outcome.counter, Counter::PassNoFlow);
}

#[test]
fn every_truncation_of_a_frame_is_left_to_the_kernel() {
    let mut world = World::new().unwrap();
    world.join(G, FilterMode::Exclude, &[]).unwrap();
    let datagram = Datagram {
        options: vec![0x94, 4, 0, 0],
        ..Datagram::to(G)
    };
    let frame = datagram.frame();
    for len in 14..frame.len() {
        let outcome = world.run(&frame[..len]).unwrap();
        assert_eq!(outcome.verdict, Verdict::Pass, "{len} bytes");
        assert_eq!(outcome.frame, &frame[..len], "{len} bytes");
        let expected = if len < 34 {
            Counter::PassTruncated
        } else {
            Counter::PassBadHeader
        };
        assert_eq!(outcome.counter, expected, "{len} bytes");
    }
}
