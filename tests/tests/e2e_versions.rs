//! Hosts of older IGMP versions, and interfaces that speak one (RFC 9776 section 7).

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// A group that nobody asks for in a version that the interface speaks.
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// Last Member Query Time = 2 x 0.5 s.
const IGMP: &str = "last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
const STOP_TOLERANCE: Duration = Duration::from_millis(100);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_version_2_host_is_served_on_a_version_3_interface() {
    let topology = Topology::new(&[Lan::host().igmp_version(2), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [host, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (host.capture(), bystander.capture());
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = host.join(GROUP);
    let first = subscription.wait_for_arrival(SOON);
    assert_gapless(&subscription.arrivals_until(first.sequence + 100, SOON));
    wire.all().wait_for("a version 2 report", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(GROUP))
    });
    let group = daemon.group("lan0", GROUP).expect("a member");
    assert_eq!(
        (&group["compatibility"], &group["filter_mode"]),
        (&2.into(), &"exclude".into())
    );

    subscription.leave();
    let leave = wire.all().wait_for("the Leave", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::Leave(GROUP))
    });
    // RFC 9776 section 7.3.1: the router goes on with version 3 queries, which older hosts take for theirs.
    let query = wire
        .all()
        .wait_for("the Group-Specific Query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
    assert_eq!(version_of(&query), 3);
    let stopped = wire
        .all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    let took = stopped
        .duration_since(leave.at)
        .expect("it went on after the Leave");
    assert!(
        took + STAMP_TOLERANCE >= LAST_MEMBER_QUERY_TIME
            && took <= LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE,
        "stopped after {took:?}"
    );
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn a_version_2_host_makes_source_filters_of_its_group_void() {
    // RFC 9776 section 7.3.2: with an IGMPv2 host present, BLOCK is ignored and so are the sources of TO_EX.
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    let topology = Topology::new(&[Lan::hosts(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [old, new] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    old.force_igmp_version(2);
    let wire = new.capture();
    let _streams = [a, b].map(|source| StreamSpec::to(GROUP).from(source).start(&topology.source));
    let keeps_all = old.join(GROUP);
    keeps_all.wait_for_arrival(SOON);
    let after = wire.from_now();
    let filters = new.join(GROUP);
    filters.block(b);
    // The kernel makes one report of both: TO_EX({b}). Its BLOCK follows by hand.
    let all_but_b = Record::new(RecordType::ToEx, GROUP, &[b]);
    after.wait_for("the report", SOON, |frame| {
        frame.sent_igmp(
            |igmp| matches!(igmp, Igmp::ReportV3(records) if records.contains(&all_but_b)),
        )
    });
    let block = Igmp::ReportV3(vec![Record::new(RecordType::Block, GROUP, &[b])]);
    new.frame_sender()
        .send(&new.igmp_packet(ALL_IGMPV3_ROUTERS, &block).frame());
    let block = after.wait_for("the BLOCK", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == block)
    });
    wait_until("the BLOCK to be counted", SOON, || {
        (daemon.counter_on("lan0", "refused_older_host_present") > 0).then_some(())
    });

    // Past the time at which a source that nobody wants would have stopped, both still come and nobody was asked.
    let late = block.at + LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE + A_WHILE;
    for source in [a, b] {
        after.wait_for("both sources going on", SOON, |frame| {
            frame.at > late && is_copy_from(frame, source)
        });
    }
    after.assert_none("a question about a source", Duration::ZERO, |frame| {
        frame.received_igmp(|igmp| matches!(igmp, Igmp::Query { group, .. } if *group == GROUP))
    });
    // The host itself still filters.
    filters.arrivals();
    filters.wait_for_arrival(SOON);
    assert!(filters.arrivals().iter().all(|arrival| arrival.source == a));
}

#[test]
fn a_leave_is_ignored_while_a_version_1_host_is_present() {
    // Older Host Present Interval = 2 x 2 s + 1 s (RFC 9776 section 8.13).
    const QUICK: &str = "query_interval = \"2s\"\nquery_response_interval = \"1s\"\n\
                         last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
    const OLDER_HOST_PRESENT_INTERVAL: Duration = Duration::from_secs(5);
    let topology = Topology::new(&[Lan::hosts(2).igmp_version(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(QUICK));
    let [v1, v2] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    v1.force_igmp_version(1);
    let wire = v2.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let staying = v1.join(GROUP);
    staying.wait_for_arrival(SOON);
    let leaving = v2.join(GROUP);
    wire.all().wait_for("the version 2 report", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(GROUP))
    });

    let after = wire.from_now();
    leaving.leave();
    // A host that was not the last to report sends no Leave (RFC 2236 section 3); this one was.
    let leave = after.wait_for("the Leave", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::Leave(GROUP))
    });
    wait_until("the Leave to be counted", SOON, || {
        (daemon.counter_on("lan0", "refused_older_host_present") == 1).then_some(())
    });
    assert_eq!(
        daemon.group("lan0", GROUP).expect("a member")["compatibility"],
        1
    );
    let late = leave.at + LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE + A_WHILE;
    after.wait_for("the stream going on", SOON, |frame| {
        frame.at > late && frame.is_copy_for(GROUP)
    });
    after.assert_none("a query about the group", Duration::ZERO, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(GROUP))
    });
    assert_gapless(&staying.arrivals_until(stream.sent(), SOON));

    // A version 1 host goes without a word: its timer ends, and then a Leave counts.
    let leaving = v2.join(GROUP);
    staying.leave();
    wait_until(
        "the version 1 host to be forgotten",
        2 * OLDER_HOST_PRESENT_INTERVAL,
        || {
            let group = daemon.group("lan0", GROUP)?;
            (group["compatibility"] == 2).then_some(())
        },
    );
    let after = wire.from_now();
    leaving.leave();
    after.wait_for("the Group-Specific Query", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(GROUP))
    });
    after.wait_for_last("the stream", SOON, A_WHILE, |frame| {
        frame.is_copy_for(GROUP)
    });
}

#[test]
fn an_interface_of_version_2_asks_in_version_2_and_refuses_version_3() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [host, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (host.capture(), bystander.capture());
    let daemon = Daemon::start(
        &topology.gateway,
        &topology.config(&format!("version = 2\n{IGMP}")),
    );
    let general = wire.all().wait_for("the startup query", SOON, |frame| {
        frame.received_igmp(Igmp::is_general_query)
    });
    let _streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));

    // A host that heard a version 2 query speaks version 2 (RFC 9776 section 7.2.1).
    let subscription = host.join(GROUP);
    subscription.wait_for_arrival(SOON);
    subscription.leave();
    let specific = wire
        .all()
        .wait_for("the Group-Specific Query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
    // Max Response Times 10 s and 0.5 s (RFC 9776 sections 8.3 and 8.8).
    let rows = tshark::judge(
        &[general, specific],
        &["igmp.version", "igmp.max_resp", "igmp.maddr"],
    );
    assert_eq!(rows, [["2", "100", "0.0.0.0"], ["2", "5", "239.1.1.1"]]);
    wire.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });

    let report = Igmp::ReportV3(vec![Record::new(RecordType::ToEx, OTHER_GROUP, &[])]);
    host.frame_sender()
        .send(&host.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame());
    wait_until("the version 3 report to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_version_disabled") == 1).then_some(())
    });
    assert_eq!(daemon.group("lan0", OTHER_GROUP), None);
    wire.all()
        .assert_none("a copy for a version 3 report", A_WHILE, |frame| {
            frame.is_copy_for(OTHER_GROUP)
        });
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn an_interface_of_version_1_asks_in_version_1_and_knows_no_leave() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let [host, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (host.capture(), bystander.capture());
    let daemon = Daemon::start(&topology.gateway, &topology.config("version = 1"));
    let general = wire.all().wait_for("the startup query", SOON, |frame| {
        frame.received_igmp(Igmp::is_general_query)
    });
    assert_eq!(
        tshark::judge(&[general], &["igmp.version", "igmp.maddr"]),
        [["1", "0.0.0.0"]]
    );
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = host.join(GROUP);
    subscription.wait_for_arrival(SOON);
    wire.all().wait_for("a version 1 report", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::ReportV1(GROUP))
    });

    let leave = host.igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP));
    host.frame_sender().send(&leave.frame());
    wait_until("the Leave to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_version_disabled") == 1).then_some(())
    });
    let sent = stream.sent();
    assert_gapless(&subscription.arrivals_until(sent + 100, SOON));
    wire.all()
        .assert_none("a query about the group", Duration::ZERO, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

fn version_of(query: &Frame) -> u8 {
    match query.igmp() {
        Some(Igmp::Query { version, .. }) => *version,
        other => panic!("{other:?}"),
    }
}

fn is_copy_from(frame: &Frame, source: Ipv4Addr) -> bool {
    frame.is_copy_for(GROUP) && frame.is_from(source)
}
