//! Input that no honest host sends: each kind is counted under its own reason, and what works goes on working.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{IgmpPacket, seal_header};
use igmp_tests::host::Host;
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
    assert!(
        arrivals
            .windows(2)
            .all(|pair| pair[1].sequence == pair[0].sequence + 1),
        "the honest member lost nothing"
    );
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
    let report = |group| host.igmp_packet(group, &Igmp::ReportV2(group));
    let good = report(BAD_GROUP);
    let bad = |what, counter, frame| Bad {
        what,
        counter,
        frame,
    };
    let altered = |alter: &dyn Fn(&mut IgmpPacket)| {
        let mut packet = good.clone();
        alter(&mut packet);
        packet.frame()
    };
    // A change to the IPv4 header, whose checksum is made right again.
    let header = |alter: &dyn Fn(&mut [u8])| {
        let mut frame = good.frame();
        alter(&mut frame[ETHERNET_HEADER..]);
        seal_header(&mut frame[ETHERNET_HEADER..ETHERNET_HEADER + IPV4_HEADER]);
        frame
    };
    let v3 = |alter: &dyn Fn(&mut Vec<u8>)| {
        let one = Igmp::ReportV3(vec![Record::new(RecordType::ToEx, BAD_GROUP, &[])]);
        let mut packet = host.igmp_packet(ALL_IGMPV3_ROUTERS, &one);
        alter(&mut packet.message);
        seal(&mut packet.message);
        packet.frame()
    };
    vec![
        bad(
            "cut off inside the IPv4 header",
            "pass_truncated",
            good.frame()[..ETHERNET_HEADER + 12].to_vec(),
        ),
        bad(
            "cut off inside the IPv4 options",
            "refused_ipv4_header",
            good.frame()[..ETHERNET_HEADER + 22].to_vec(),
        ),
        bad(
            "cut off inside the message",
            "refused_ipv4_length",
            good.frame()[..ETHERNET_HEADER + IPV4_HEADER + 4].to_vec(),
        ),
        bad(
            "header length 4",
            "refused_ipv4_header",
            header(&|ip| ip[0] = 0x41),
        ),
        bad(
            "total length larger than the frame",
            "refused_ipv4_length",
            header(&|ip| ip[2..4].copy_from_slice(&1500_u16.to_be_bytes())),
        ),
        bad(
            "total length smaller than the header",
            "refused_ipv4_length",
            header(&|ip| ip[2..4].copy_from_slice(&19_u16.to_be_bytes())),
        ),
        bad("header checksum wrong", "refused_ipv4_checksum", {
            let mut frame = good.frame();
            frame[ETHERNET_HEADER + 10] ^= 0xff;
            frame
        }),
        bad(
            "a fragment",
            "refused_ipv4_fragment",
            header(&|ip| ip[6] = 0x20),
        ),
        bad("TTL 64", "refused_ttl", altered(&|packet| packet.ttl = 64)),
        bad("TTL 2", "refused_ttl", altered(&|packet| packet.ttl = 2)),
        bad(
            "IGMP checksum wrong",
            "refused_checksum",
            altered(&|packet| packet.message[7] ^= 1),
        ),
        bad(
            "a message of 4 bytes",
            "refused_length",
            altered(&|packet| {
                packet.message.truncate(4);
                seal(&mut packet.message);
            }),
        ),
        // RFC 9776 section 7.1: queries of 9 to 11 bytes are dropped.
        bad(
            "a query of 10 bytes",
            "refused_length",
            altered(&|packet| {
                packet.message = vec![0x11, 10, 0, 0, 0, 0, 0, 0, 0, 0];
                seal(&mut packet.message);
                packet.destination = Ipv4Addr::new(224, 0, 0, 1);
            }),
        ),
        bad(
            "a record count past the end",
            "refused_count",
            v3(&|message| message[6..8].copy_from_slice(&[0xff, 0xff])),
        ),
        bad(
            "a source count past the end",
            "refused_count",
            v3(&|message| message[10..12].copy_from_slice(&[0xff, 0xff])),
        ),
        bad(
            "auxiliary data past the end",
            "refused_count",
            v3(&|message| message[9] = 0xff),
        ),
        bad(
            "an unknown type",
            "refused_unknown_type",
            altered(&|packet| {
                packet.message[0] = 0x99;
                seal(&mut packet.message);
            }),
        ),
        bad(
            "a group that is not multicast",
            "refused_group_not_multicast",
            IgmpPacket {
                destination: BAD_GROUP,
                ..report(UNICAST)
            }
            .frame(),
        ),
        bad(
            "a group in 224.0.0.0/24",
            "refused_group_link_local",
            report(LINK_LOCAL).frame(),
        ),
        bad(
            "a source that is not of this link",
            "refused_source_not_accepted",
            altered(&|packet| {
                packet.source = Ipv4Addr::new(192, 0, 2, 66);
            }),
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
