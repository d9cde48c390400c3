//! Input that no honest host sends: each kind is counted under its own reason, and what works goes on working.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{IgmpPacket, seal_header};
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType, seal};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

/// A group with an honest member.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// What the bad frames are about; nobody may become a member of it.
const BAD_GROUP: Ipv4Addr = Ipv4Addr::new(239, 66, 66, 66);
const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const UNICAST: Ipv4Addr = Ipv4Addr::new(10, 9, 9, 9);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

const ETHERNET_HEADER: usize = 14;
const IPV4_HEADER: usize = 24;
const SOON: Duration = Duration::from_secs(2);
/// Sent of each kind: a counter that moves by another number counts something else too.
const TIMES: u64 = 3;

/// A kind of bad frame, and the counter that must move by one for each.
struct Bad {
    what: &'static str,
    counter: &'static str,
    frame: Vec<u8>,
}

#[test]
fn bad_frames_are_counted_by_reason_and_disturb_nobody() {
    let topology = Topology::new(&[Lan::host(), Lan::host(), Lan::host()]);
    let mut daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let [member, attacker, bystander] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let bystander_wire = bystander.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);

    let sender = attacker.frame_sender();
    for bad in every_kind(attacker) {
        let before = daemon.counter_on("lan1", bad.counter);
        (0..TIMES).for_each(|_| sender.send(&bad.frame));
        wait_until(
            &format!("{} counted as {}", bad.what, bad.counter),
            SOON,
            || (daemon.counter_on("lan1", bad.counter) >= before + TIMES).then_some(()),
        );
        assert_eq!(
            daemon.counter_on("lan1", bad.counter),
            before + TIMES,
            "{} counted otherwise",
            bad.what
        );
    }

    daemon.assert_running();
    assert!(
        rows(&daemon.ctl(&["show", "groups", "--interface", "lan1"])).is_empty(),
        "nobody joined there"
    );
    let arrivals = subscription.arrivals_until(stream.sent(), SOON);
    assert_gapless(&arrivals);
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));

    // The attacker's own port still works.
    let repentant = attacker.join(BAD_GROUP);
    let _stream = StreamSpec::to(BAD_GROUP).start(&topology.source);
    repentant.wait_for_arrival(SOON);
}

#[test]
fn one_bad_record_does_not_spoil_the_others_of_its_report() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let host = &topology.receivers[0];
    let report = Igmp::ReportV3(
        [UNICAST, LINK_LOCAL, GROUP]
            .map(|group| Record::new(RecordType::ToEx, group, &[]))
            .to_vec(),
    );
    host.frame_sender()
        .send(&host.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame());
    wait_until("the good record's group", SOON, || {
        (!rows(&daemon.ctl(&["show", "groups"])).is_empty()).then_some(())
    });
    let groups = daemon.ctl(&["show", "groups"]);
    let [only] = rows(&groups) else {
        panic!("one group, not {groups:#}")
    };
    assert_eq!(
        (&only["interface"], &only["group"]),
        (&"lan0".into(), &"239.1.1.1".into())
    );
}

fn every_kind(host: &Host) -> Vec<Bad> {
    let report = host.igmp_packet(BAD_GROUP, &Igmp::ReportV2(BAD_GROUP));
    let mut kinds = cut_off(&report);
    kinds.extend(bad_headers(&report));
    kinds.extend(bad_messages(&report));
    kinds.extend(bad_groups(host));
    kinds.extend(bad_version_3_reports(host));
    kinds
}

fn bad(what: &'static str, counter: &'static str, frame: Vec<u8>) -> Bad {
    Bad {
        what,
        counter,
        frame,
    }
}

fn cut_off(report: &IgmpPacket) -> Vec<Bad> {
    let first = |octets: usize| report.frame()[..ETHERNET_HEADER + octets].to_vec();
    vec![
        bad(
            "cut off inside the IPv4 header",
            "pass_truncated",
            first(12),
        ),
        bad(
            "cut off inside the IPv4 options",
            "refused_ipv4_header",
            first(22),
        ),
        bad(
            "cut off inside the message",
            "refused_ipv4_length",
            first(IPV4_HEADER + 4),
        ),
    ]
}

fn bad_headers(report: &IgmpPacket) -> Vec<Bad> {
    // A change to the IPv4 header, whose checksum is then made right again.
    let altered = |at: usize, octets: &[u8]| {
        let mut frame = report.frame();
        let header = &mut frame[ETHERNET_HEADER..ETHERNET_HEADER + IPV4_HEADER];
        header[at..at + octets.len()].copy_from_slice(octets);
        seal_header(header);
        frame
    };
    let mut wrong_checksum = report.frame();
    wrong_checksum[ETHERNET_HEADER + 10] ^= 0xff;
    vec![
        bad(
            "header length 4",
            "refused_ipv4_header",
            altered(0, &[0x41]),
        ),
        bad(
            "total length beyond the frame",
            "refused_ipv4_length",
            altered(2, &[5, 220]),
        ),
        bad(
            "total length inside the header",
            "refused_ipv4_length",
            altered(2, &[0, 19]),
        ),
        bad(
            "header checksum wrong",
            "refused_ipv4_checksum",
            wrong_checksum,
        ),
        bad("a fragment", "refused_ipv4_fragment", altered(6, &[0x20])),
        bad("TTL 64", "refused_ttl", altered(8, &[64])),
        bad("TTL 2", "refused_ttl", altered(8, &[2])),
        bad("TTL 0", "refused_ttl", altered(8, &[0])),
        bad(
            "a source of another network",
            "refused_source_not_accepted",
            altered(12, &[192, 0, 2, 66]),
        ),
    ]
}

fn bad_messages(report: &IgmpPacket) -> Vec<Bad> {
    let with = |destination: Ipv4Addr, mut message: Vec<u8>| {
        seal(&mut message);
        let packet = IgmpPacket {
            destination,
            message,
            ..report.clone()
        };
        packet.frame()
    };
    let mut wrong_checksum = report.clone();
    wrong_checksum.message[7] ^= 1;
    let query_of_10_bytes = vec![0x11, 10, 0, 0, 0, 0, 0, 0, 0, 0];
    let unknown_type = [&[0x99], &report.message[1..]].concat();
    vec![
        bad(
            "IGMP checksum wrong",
            "refused_checksum",
            wrong_checksum.frame(),
        ),
        bad(
            "a message of 4 bytes",
            "refused_length",
            with(BAD_GROUP, report.message[..4].to_vec()),
        ),
        // RFC 9776 section 7.1: queries of 9 to 11 bytes are dropped.
        bad(
            "a query of 10 bytes",
            "refused_length",
            with(ALL_SYSTEMS, query_of_10_bytes),
        ),
        bad(
            "an unknown type",
            "refused_unknown_type",
            with(BAD_GROUP, unknown_type),
        ),
    ]
}

fn bad_groups(host: &Host) -> Vec<Bad> {
    let report = |group| IgmpPacket {
        destination: BAD_GROUP,
        ..host.igmp_packet(BAD_GROUP, &Igmp::ReportV2(group))
    };
    let link_local = host.igmp_packet(LINK_LOCAL, &Igmp::ReportV2(LINK_LOCAL));
    vec![
        bad(
            "a group that is not multicast",
            "refused_group_not_multicast",
            report(UNICAST).frame(),
        ),
        bad(
            "a group in 224.0.0.0/24",
            "refused_group_link_local",
            link_local.frame(),
        ),
    ]
}

fn bad_version_3_reports(host: &Host) -> Vec<Bad> {
    // RFC 9776 section 4.2: the record count is at 6, a record's auxiliary length at 9, its source count at 10.
    let altered = |at: usize, octets: &[u8]| {
        let one = Igmp::ReportV3(vec![Record::new(RecordType::ToEx, BAD_GROUP, &[])]);
        let mut packet = host.igmp_packet(ALL_IGMPV3_ROUTERS, &one);
        packet.message[at..at + octets.len()].copy_from_slice(octets);
        seal(&mut packet.message);
        packet.frame()
    };
    vec![
        bad(
            "a record count past the end",
            "refused_count",
            altered(6, &[0xff, 0xff]),
        ),
        bad("one record too many", "refused_count", altered(6, &[0, 2])),
        bad(
            "a source count past the end",
            "refused_count",
            altered(10, &[0xff, 0xff]),
        ),
        bad("one source too many", "refused_count", altered(10, &[0, 1])),
        bad(
            "auxiliary data past the end",
            "refused_count",
            altered(9, &[0xff]),
        ),
    ]
}

#[test]
fn a_report_as_long_as_a_frame_can_be_is_judged_by_its_content() {
    // RFC 2236 section 2: what follows the first 8 octets is ignored, but the checksum covers it.
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let host = &topology.receivers[0];
    let padded = |group| {
        let mut packet = host.igmp_packet(group, &Igmp::ReportV2(group));
        packet.message.resize(1500 - IPV4_HEADER, 0xa5);
        seal(&mut packet.message);
        packet
    };
    let mut spoilt = padded(BAD_GROUP);
    *spoilt.message.last_mut().expect("long") ^= 1;
    let sender = host.frame_sender();
    sender.send(&spoilt.frame());
    sender.send(&padded(GROUP).frame());
    wait_until("the report", SOON, || {
        (daemon.counter_on("lan0", "received_report_v2") == 1).then_some(())
    });
    assert_eq!(daemon.counter_on("lan0", "refused_checksum"), 1);
    let groups = daemon.ctl(&["show", "groups"]);
    let [only] = rows(&groups) else {
        panic!("one group, not {groups:#}")
    };
    assert_eq!(only["group"], GROUP.to_string());
}
