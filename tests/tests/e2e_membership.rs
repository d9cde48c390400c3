//! The main job: hosts join and leave with ordinary sockets, and a stream goes to those who asked and to no other.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{Frame, Packet, Payload, ROUTER_ALERT, multicast_mac};
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::netns::mac_of;
use igmp_tests::stream::{Stream, StreamSpec, TTL};
use igmp_tests::topology::{Lan, Topology, UPSTREAM, gateway_address};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// A group that only IGMPv3 knows how to ask for (RFC 4607: 232/8).
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

/// Last Member Query Time = count x interval = 1 s (RFC 9776 section 8.10).
const ONE_QUERY: &str = "last_member_query_count = 1\nlast_member_query_interval = \"1s\"";
/// The default count. Linux takes up to 20 ms more than the Max Response Time for its answer: too late for one query.
const TWO_QUERIES: &str = "last_member_query_count = 2\nlast_member_query_interval = \"1s\"";
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
/// How much later than that the last copy may come, and how much a time stamp may be off.
const STOP_TOLERANCE: Duration = Duration::from_millis(100);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);

const STOPPED_WITHIN: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_secs(2);
/// 100 datagrams of a stream: none of them in this time means that it does not come.
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_stream_reaches_the_hosts_that_joined_and_no_other() {
    let topology = Topology::new(&[Lan::host(), Lan::host().igmp_version(2), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let [h1, h2, bystander] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let bystander_wire = bystander.capture();
    let h1_wire = h1.capture();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);

    h1_wire
        .all()
        .assert_none("a copy before the join", A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    for host in [h1, h2] {
        let subscription = host.join(GROUP);
        let first = subscription.wait_for_arrival(SOON);
        assert_gapless(&subscription.arrivals_until(first.sequence + 500, SOON));
    }
    bystander_wire
        .all()
        .assert_none("a copy", A_WHILE, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn a_copy_differs_from_the_original_as_a_router_s_copy_does() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (source_wire, wire) = (topology.source.capture(), member.capture());
    let bystander_wire = bystander.capture();
    let subscription = member.join(GROUP);
    // The largest that fits an Ethernet frame, and an odd number of bytes: the checksums' corner.
    let stream = StreamSpec::to(GROUP).size(1471).start(&topology.source);
    let first = subscription.wait_for_arrival(SOON);
    subscription.arrivals_until(first.sequence + 50, SOON);
    drop(stream);

    let originals = source_wire.all().frames(|frame| udp_data(frame).is_some());
    let copies = wire.all().frames(|frame| frame.is_copy_for(GROUP));
    assert!(copies.len() >= 50);
    for copy in &copies {
        let original = originals
            .iter()
            .find(|frame| udp_data(frame) == udp_data(copy))
            .expect("what was sent");
        let packet = sound(copy);
        assert_eq!(
            packet.source_mac,
            mac_of(gateway_address(1)),
            "the gateway's port sends it"
        );
        assert_eq!(packet.destination_mac, multicast_mac(GROUP));
        assert_eq!(packet.ttl, TTL - 1);
        // All else is untouched: mask what a router changes, MACs, TTL and header checksum.
        let masked = |frame: &Frame| {
            let mut bytes = frame.bytes.clone();
            for range in [0..12, 22..23, 24..26] {
                bytes[range].fill(0);
            }
            bytes
        };
        assert_eq!(masked(copy), masked(original));
    }
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn after_a_version_3_leave_the_stream_stops_when_the_query_went_unanswered() {
    leave_stops_the_stream(3);
}

#[test]
fn after_a_version_2_leave_the_stream_stops_when_the_query_went_unanswered() {
    leave_stops_the_stream(2);
}

fn leave_stops_the_stream(igmp_version: u32) {
    let topology = Topology::new(&[Lan::host().igmp_version(igmp_version), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let [leaver, stayer] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (leaver_wire, stayer_wire) = (leaver.capture(), stayer.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let (leaving, staying) = (leaver.join(GROUP), stayer.join(GROUP));
    leaving.wait_for_arrival(SOON);
    let from = staying.wait_for_arrival(SOON).sequence;

    leaving.leave();
    let leave = leaver_wire.all().wait_for("the leave", SOON, |frame| {
        frame.sent_igmp(|igmp| igmp.leaves(GROUP))
    });
    // RFC 9776 section 6.6.3.1: a Group-Specific Query, Max Response Time = Last Member Query Interval.
    let query = leaver_wire
        .all()
        .wait_for("the Group-Specific Query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
    let max_response = match query.igmp() {
        Some(Igmp::Query { max_response, .. }) => *max_response,
        other => panic!("{other:?}"),
    };
    assert_eq!(max_response, Duration::from_secs(1));
    assert_eq!(sound(&query).destination, GROUP);

    let stopped = leaver_wire
        .all()
        .wait_for_last("the stream", STOPPED_WITHIN, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert_stopped_in_time(&leave, stopped);
    assert!(rows(&daemon.ctl(&["show", "groups", "--interface", "lan0"])).is_empty());

    let arrivals = staying.arrivals_until(stream.sent(), SOON);
    assert_gapless(&arrivals);
    assert!(
        arrivals[0].sequence <= from + 1,
        "nothing lost before either"
    );
    stayer_wire
        .all()
        .assert_none("a query that is not its own", Duration::ZERO, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
}

#[test]
fn a_member_that_stays_keeps_the_stream_when_its_neighbour_leaves() {
    for igmp_version in [2, 3] {
        let topology = Topology::new(&[Lan::hosts(2).igmp_version(igmp_version)]);
        let _daemon = Daemon::start(&topology.gateway, &topology.config(TWO_QUERIES));
        let [stayer, leaver] = topology.lan_receivers(0) else {
            panic!("two receivers")
        };
        let wire = stayer.capture();
        let stream = StreamSpec::to(GROUP).start(&topology.source);
        let staying = stayer.join(GROUP);
        // Two members before one leaves: a version 2 host that heard another's report would not send a Leave.
        wire.all().wait_for("the first report", SOON, |frame| {
            frame.sent_igmp(|igmp| igmp.joins(GROUP))
        });
        let leaving = leaver.join(GROUP);
        wire.all().wait_for("the second report", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.joins(GROUP))
        });
        staying.wait_for_arrival(SOON);

        let after = wire.from_now();
        leaving.leave();
        after.wait_for("the query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
        let answer = after.wait_for("the answer", SOON, |frame| {
            frame.sent_igmp(|igmp| igmp.joins(GROUP))
        });
        // Well past the time at which unanswered queries would have stopped it.
        let late = answer.at + 2 * LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE;
        after.wait_for("the stream going on", Duration::from_secs(4), |frame| {
            frame.is_copy_for(GROUP) && frame.at > late
        });
        assert_gapless(&staying.arrivals_until(stream.sent(), SOON));
    }
}

#[test]
fn each_host_gets_the_sources_it_included_and_no_other() {
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    let topology = Topology::new(&[Lan::host(), Lan::host(), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let [wants_a, wants_b, bystander] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let wires = [wants_a.capture(), wants_b.capture(), bystander.capture()];
    let _streams = both_sources(&topology, SSM_GROUP);

    let subscription = wants_a.join_source(SSM_GROUP, a);
    let _other = wants_b.join_source(SSM_GROUP, b);
    for (wire, wanted, unwanted) in [(&wires[0], a, b), (&wires[1], b, a)] {
        wire.all().wait_for("the source asked for", SOON, |frame| {
            is_copy_from(frame, SSM_GROUP, wanted)
        });
        wire.all()
            .assert_none("the other source", A_WHILE, |frame| {
                is_copy_from(frame, SSM_GROUP, unwanted)
            });
    }
    wires[2]
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| {
            frame.is_copy_for(SSM_GROUP)
        });

    subscription.add_source(b);
    wires[0].all().wait_for("the second source", SOON, |frame| {
        is_copy_from(frame, SSM_GROUP, b)
    });

    // RFC 9776 section 6.4.2: INCLUDE (A), BLOCK (B): Send Q(G,A*B), and A*B expires after Last Member Query Time.
    let dropped = Record::new(RecordType::Block, SSM_GROUP, &[a]);
    let after = wires[0].from_now();
    subscription.drop_source(a);
    let block = after.wait_for("the report", SOON, |frame| {
        frame
            .sent_igmp(|igmp| matches!(igmp, Igmp::ReportV3(records) if records.contains(&dropped)))
    });
    after.wait_for("a Group-and-Source-Specific Query", SOON, |frame| {
        frame.received_igmp(|igmp| {
            matches!(igmp, Igmp::Query { group, sources, .. } if *group == SSM_GROUP && *sources == [a])
        })
    });
    let stopped =
        wires[0]
            .all()
            .wait_for_last("the first source", STOPPED_WITHIN, A_WHILE, |frame| {
                is_copy_from(frame, SSM_GROUP, a)
            });
    assert_stopped_in_time(&block, stopped);
    wires[0]
        .from_now()
        .wait_for("the other source going on", SOON, |frame| {
            is_copy_from(frame, SSM_GROUP, b)
        });
}

#[test]
fn a_blocked_source_stops_and_the_others_go_on() {
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (member.capture(), bystander.capture());
    let _streams = both_sources(&topology, GROUP);

    let subscription = member.join(GROUP);
    for source in [a, b] {
        wire.all().wait_for("every source", SOON, |frame| {
            is_copy_from(frame, GROUP, source)
        });
    }
    subscription.block(b);
    let stopped =
        wire.all()
            .wait_for_last("the blocked source", STOPPED_WITHIN, A_WHILE, |frame| {
                is_copy_from(frame, GROUP, b)
            });
    wire.from_now()
        .wait_for("the other source going on", SOON, |frame| {
            is_copy_from(frame, GROUP, a)
        });
    wire.all()
        .assert_none("the blocked source again", Duration::ZERO, |frame| {
            is_copy_from(frame, GROUP, b) && frame.at > stopped
        });
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn queries_are_what_the_rfc_asks_for_and_go_downstream_only() {
    let topology = Topology::new(&[Lan::host()]);
    let wire = topology.receivers[0].capture();
    let upstream_wire = topology.source.capture();
    let daemon = Daemon::start(&topology.gateway, &topology.config(ONE_QUERY));
    let general = wire.all().wait_for("the startup query", SOON, |frame| {
        frame.received_igmp(Igmp::is_general_query)
    });
    let subscription = topology.receivers[0].join(GROUP);
    wait_until("the membership", SOON, || {
        (rows(&daemon.ctl(&["show", "groups"]))
            .iter()
            .any(|row| row["group"] == GROUP.to_string()))
        .then_some(())
    });
    subscription.leave();
    let specific = wire
        .all()
        .wait_for("the Group-Specific Query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });

    for (query, destination) in [(&general, ALL_SYSTEMS), (&specific, GROUP)] {
        let packet = sound(query);
        // RFC 9776 section 4: TTL 1, Precedence of Internetwork Control (TOS 0xc0), Router Alert. Section 4.1.12 for
        // the destination.
        assert_eq!((packet.ttl, packet.tos), (1, 0xc0));
        assert_eq!(packet.options, ROUTER_ALERT);
        assert_eq!(
            (packet.source, packet.destination),
            (gateway_address(1), destination)
        );
        assert_eq!(packet.source_mac, mac_of(gateway_address(1)));
        assert_eq!(packet.destination_mac, multicast_mac(destination));
    }
    // RFC 9776 section 8: Robustness Variable 2, Query Interval 125 s, Query Response Interval 10 s.
    let rows = tshark::judge(
        &[general, specific],
        &[
            "igmp.type",
            "igmp.version",
            "igmp.max_resp",
            "igmp.maddr",
            "igmp.qrv",
            "igmp.qqic",
            "igmp.s",
        ],
    );
    assert_eq!(rows[0], ["0x11", "3", "100", "0.0.0.0", "2", "125", "0"]);
    assert_eq!(rows[1], ["0x11", "3", "10", "239.1.1.1", "2", "125", "0"]);

    upstream_wire.all().assert_none(
        &format!("a query out of {UPSTREAM}"),
        Duration::ZERO,
        |frame| frame.received_igmp(|igmp| matches!(igmp, Igmp::Query { .. })),
    );
}

fn both_sources(topology: &Topology, group: Ipv4Addr) -> [Stream; 2] {
    [Topology::SOURCE, Topology::SECOND_SOURCE]
        .map(|source| StreamSpec::to(group).from(source).start(&topology.source))
}

fn is_copy_from(frame: &Frame, group: Ipv4Addr, source: Ipv4Addr) -> bool {
    frame.is_copy_for(group) && frame.is_from(source)
}

fn udp_data(frame: &Frame) -> Option<&[u8]> {
    match &frame.packet.as_ref()?.payload {
        Payload::Udp { data, .. } => Some(data),
        _ => None,
    }
}

/// The packet in a frame, with right checksums.
#[track_caller]
fn sound(frame: &Frame) -> &Packet {
    let packet = frame.packet.as_ref().expect("an IPv4 packet");
    assert!(packet.checksum_good, "IPv4 header checksum of {frame:?}");
    if let Payload::Udp { checksum_good, .. } = packet.payload {
        assert!(checksum_good, "UDP checksum of {frame:?}");
    }
    packet
}

/// RFC 9776 section 6.6.3: forwarding goes on for the Last Member Query Time, and then no longer.
#[track_caller]
fn assert_stopped_in_time(leave: &Frame, stopped: SystemTime) {
    let took = stopped
        .duration_since(leave.at)
        .expect("it went on after the leave");
    assert!(
        took + STAMP_TOLERANCE >= LAST_MEMBER_QUERY_TIME,
        "stopped too early, after {took:?}"
    );
    assert!(
        took <= LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE,
        "stopped too late, after {took:?}"
    );
}
