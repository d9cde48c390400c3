//! Leaves that are mistaken, forged, contradictory or many: nobody who wants a stream loses it, and nothing is left over.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{Frame, IgmpPacket};
use igmp_tests::host::{Host, Subscription, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType, seal};
use igmp_tests::netns::mac_of;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology, gateway_address};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// A group that nobody is a member of.
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// Last Member Query Time = 2 x 0.5 s.
const IGMP: &str = "last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
const STOP_TOLERANCE: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_forged_leave_makes_the_router_ask_and_costs_the_member_nothing() {
    for igmp_version in [2, 3] {
        let topology = Topology::new(&[Lan::hosts(2).igmp_version(igmp_version)]);
        let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
        let [member, forger] = &topology.receivers[..] else {
            panic!("two receivers")
        };
        let wire = member.capture();
        let stream = StreamSpec::to(GROUP).start(&topology.source);
        let subscription = member.join(GROUP);
        subscription.wait_for_arrival(SOON);

        let after = wire.from_now();
        let sender = forger.frame_sender();
        // First one about a group without members: it is not asked about, though it came first.
        for group in [OTHER_GROUP, GROUP] {
            sender.send(&forger.igmp_packet(ALL_ROUTERS, &Igmp::Leave(group)).frame());
        }
        let query = after.wait_for("the Group-Specific Query", SOON, |frame| {
            frame.received_igmp(|igmp| igmp.asks_about(GROUP))
        });
        after.wait_for("the member's answer", SOON, |frame| {
            frame.sent_igmp(|igmp| igmp.joins(GROUP))
        });
        let late = query.at + LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE + A_WHILE;
        after.wait_for("the stream going on", SOON, |frame| {
            frame.at > late && frame.is_copy_for(GROUP)
        });
        assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
        after.assert_none(
            "a query about the group without members",
            Duration::ZERO,
            |frame| frame.received_igmp(|igmp| igmp.asks_about(OTHER_GROUP)),
        );
    }
}

#[test]
fn a_leave_that_is_wrong_is_counted_and_starts_nothing() {
    let topology = Topology::new(&[Lan::hosts(2).igmp_version(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [member, forger] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);

    let good = forger.igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP));
    let to = |destination| IgmpPacket {
        destination,
        ..good.clone()
    };
    let mut unicast = to(gateway_address(1)).frame();
    unicast[..6].copy_from_slice(&mac_of(gateway_address(1)));
    let mut bad_checksum = good.clone();
    bad_checksum.message[2] ^= 0xff;
    let mut cut_off = good.clone();
    cut_off.message.truncate(7);
    seal(&mut cut_off.message);
    let from_elsewhere = IgmpPacket {
        source: Ipv4Addr::new(192, 0, 2, 1),
        ..good.clone()
    };
    let sender = forger.frame_sender();
    let after = wire.from_now();
    for (what, counter, frame) in [
        (
            "to the router's own address",
            "refused_wrong_destination",
            unicast,
        ),
        (
            "to another group",
            "refused_wrong_destination",
            to(OTHER_GROUP).frame(),
        ),
        (
            "to all systems",
            "refused_wrong_destination",
            to(ALL_SYSTEMS).frame(),
        ),
        (
            "with TTL 64",
            "refused_ttl",
            IgmpPacket {
                ttl: 64,
                ..good.clone()
            }
            .frame(),
        ),
        (
            "with a wrong checksum",
            "refused_checksum",
            bad_checksum.frame(),
        ),
        ("of 7 octets", "refused_length", cut_off.frame()),
        (
            "from another network",
            "refused_source_not_accepted",
            from_elsewhere.frame(),
        ),
    ] {
        let before = daemon.counter_on("lan0", counter);
        sender.send(&frame);
        wait_until(
            &format!("a Leave {what} counted as {counter}"),
            SOON,
            || (daemon.counter_on("lan0", counter) == before + 1).then_some(()),
        );
    }
    after.assert_none("a query", A_WHILE, |frame| {
        frame.received_igmp(|igmp| matches!(igmp, Igmp::Query { .. }))
    });
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));

    // RFC 2236 section 3: some hosts send it to the group itself.
    sender.send(&to(GROUP).frame());
    after.wait_for("the query", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(GROUP))
    });
}

#[test]
fn a_router_that_is_not_the_querier_ignores_leaves() {
    // RFC 2236 section 3. The gateway's address is above that of the host that plays the querier.
    let topology = Topology::new(&[Lan::hosts(2).igmp_version(2)]);
    topology
        .gateway
        .ip("addr del 10.1.0.1/24 dev lan0\naddr add 10.1.0.200/24 dev lan0");
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [host, other] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = host.capture();
    let sender = other.frame_sender();
    let query = Igmp::Query {
        version: 3,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_secs(1),
        sources: Vec::new(),
    };
    sender.send(&other.igmp_packet(ALL_SYSTEMS, &query).frame());
    wait_until("the other to be the querier", SOON, || {
        (daemon.interface("lan0")["querier"] == other.address.to_string()).then_some(())
    });
    sender.send(&other.igmp_packet(GROUP, &Igmp::ReportV2(GROUP)).frame());
    let timer = || daemon.group("lan0", GROUP)?["timer_ms"].as_u64();
    wait_until("the member", SOON, timer);

    let after = wire.from_now();
    sender.send(&other.igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP)).frame());
    wait_until("the Leave to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_not_querier") == 1).then_some(())
    });
    assert!(
        timer() > Some(200_000),
        "Group Membership Interval less what passed"
    );
    after.assert_none("a query of the router's", A_WHILE, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(GROUP))
    });
}

#[test]
fn a_report_of_contradictions_is_applied_in_its_order() {
    use RecordType::{Allow, Block, IsEx, IsIn, ToEx, ToIn};
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    let record = |kind, sources: &[Ipv4Addr]| Record::new(kind, GROUP, sources);
    // As many records as fit a frame, of all types and about one group; then the one that has the last word.
    let contradictions: [Record; 6] = [
        record(ToEx, &[]),
        record(ToIn, &[a]),
        record(Block, &[a]),
        record(IsIn, &[b]),
        record(IsEx, &[a]),
        record(Allow, &[a]),
    ];
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let host = &topology.receivers[0];
    let wire = host.capture();
    let _streams = [a, b].map(|source| StreamSpec::to(GROUP).from(source).start(&topology.source));
    let report = |last: Record| {
        let all = contradictions.iter().cycle().take(120).cloned();
        let records = all.chain([last]).collect();
        let report = host.igmp_packet(ALL_IGMPV3_ROUTERS, &Igmp::ReportV3(records));
        let after = wire.from_now();
        host.frame_sender().send(&report.frame());
        wait_until("the last record's state", SOON, || {
            daemon.group("lan0", GROUP)
        });
        after
    };

    // EXCLUDE (X,Y), IS_EX ({}): EXCLUDE ({},{}), all other records deleted (RFC 9776 section 6.4.1).
    let after = report(record(IsEx, &[]));
    let group = daemon.group("lan0", GROUP).expect("a member");
    assert_eq!(
        (&group["filter_mode"], &group["sources"]),
        (&"exclude".into(), &serde_json::json!([]))
    );
    for source in [a, b] {
        after.wait_for("each source", SOON, |frame| is_copy_from(frame, source));
    }

    // EXCLUDE (X,Y), TO_IN ({}): Send Q(G,X), Send Q(G); nobody answers.
    let after = report(record(ToIn, &[]));
    after.wait_for("the Group-Specific Query", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(GROUP))
    });
    after.wait_for_last("the stream", SOON, A_WHILE, |frame| {
        frame.is_copy_for(GROUP)
    });
    wait_until("the group to be gone", SOON, || {
        daemon.group("lan0", GROUP).is_none().then_some(())
    });
}

#[test]
fn nothing_is_left_of_hosts_that_joined_and_left_for_seconds() {
    const GROUPS: u8 = 10;
    const FOR: Duration = Duration::from_secs(4);
    /// Last Member Query Time 0.2 s: many groups really go, and come back.
    const QUICK: &str = "last_member_query_count = 2\nlast_member_query_interval = \"100ms\"";
    let topology = Topology::new(&[Lan::host(), Lan::host().igmp_version(2), Lan::host()]);
    let mut daemon = Daemon::start_with(&topology.gateway, &topology.config(QUICK), "info");
    let groups: Vec<Ipv4Addr> = (0..GROUPS)
        .map(|index| Ipv4Addr::new(239, 3, 3, index))
        .collect();
    let [first, second, stayer] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let stream = StreamSpec::to(groups[0]).start(&topology.source);
    let staying = stayer.join(groups[0]);
    staying.wait_for_arrival(SOON);
    let spare_before = daemon_counter(&daemon, "replication_sets");

    let end = Instant::now() + FOR;
    let changes: usize = std::thread::scope(|scope| {
        let churners =
            [first, second].map(|host| scope.spawn(|| join_and_leave(host, &groups, end)));
        churners
            .map(|churner| churner.join().expect("no panic"))
            .iter()
            .sum()
    });
    assert!(changes > 1_000, "{changes} joins and leaves");

    wait_until("the last leaves to be done", 2 * SOON, || {
        let groups = daemon.ctl(&["show", "groups"]);
        (rows(&groups).len() == 1).then_some(())
    });
    let flows = daemon.ctl(&["show", "flows"]);
    let [flow] = rows(&flows) else {
        panic!("one flow, not {flows:#}")
    };
    assert_eq!(
        (&flow["group"], &flow["outputs"]),
        (&"239.3.3.0".into(), &serde_json::json!(["lan2"]))
    );
    wait_until("the sets of the others to be free", SOON, || {
        (daemon_counter(&daemon, "replication_sets") == spare_before).then_some(())
    });
    assert_eq!(daemon_counter(&daemon, "flows"), 1);
    for counter in [
        "flow_refused",
        "map_write_failed",
        "send_failed",
        "flows_refused_now",
    ] {
        assert_eq!(daemon_counter(&daemon, counter), 0, "{counter}");
    }
    // All that time somebody else on the same group lost nothing.
    assert_gapless(&staying.arrivals_until(stream.sent(), SOON));

    staying.leave();
    wait_until("nothing at all", 2 * SOON, || {
        let empty = rows(&daemon.ctl(&["show", "flows"])).is_empty()
            && rows(&daemon.ctl(&["show", "groups"])).is_empty();
        empty.then_some(())
    });
    assert_eq!(daemon_counter(&daemon, "flows"), 0);
    // But for the one that takes upstream what nobody asked for.
    wait_until("every other set to be free", SOON, || {
        (daemon_counter(&daemon, "replication_sets") == 1).then_some(())
    });
    daemon.assert_running();
}

#[test]
fn an_any_source_and_a_source_specific_member_of_one_group_keep_what_they_have() {
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    for any_source_leaves_first in [true, false] {
        let topology = Topology::new(&[Lan::hosts(2)]);
        let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
        let [any_host, one_host] = &topology.receivers[..] else {
            panic!("two receivers")
        };
        let wire = any_host.capture();
        let streams =
            [a, b].map(|source| StreamSpec::to(GROUP).from(source).start(&topology.source));
        let any_source = any_host.join(GROUP);
        let one_source = one_host.join_source(GROUP, a);
        for source in [a, b] {
            wire.all()
                .wait_for("each source", SOON, |frame| is_copy_from(frame, source));
        }
        one_source.wait_for_arrival(SOON);

        let after = wire.from_now();
        if any_source_leaves_first {
            any_source.leave();
            // What nobody asks for any more stops; what the other asked for goes on.
            let stopped =
                after.wait_for_last("the source nobody wants", 2 * SOON, A_WHILE, |frame| {
                    is_copy_from(frame, b)
                });
            after.wait_for("the wanted one going on", SOON, |frame| {
                is_copy_from(frame, a) && frame.at > stopped + STOP_TOLERANCE
            });
            assert_keeps(&one_source, &streams[0], a);
        } else {
            one_source.leave();
            let leave = wire.all().wait_for("the leave", SOON, |frame| {
                frame.received_igmp(|igmp| says_of(igmp, RecordType::Block, a))
            });
            let late = leave.at + LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE + A_WHILE;
            for source in [a, b] {
                after.wait_for("each source going on", SOON, |frame| {
                    frame.at > late && is_copy_from(frame, source)
                });
            }
            let arrivals = any_source.arrivals_until(streams[1].sent(), SOON);
            for source in [a, b] {
                let of_source: Vec<_> = arrivals
                    .iter()
                    .filter(|arrival| arrival.source == source)
                    .copied()
                    .collect();
                assert!(of_source.len() > 100);
                assert_gapless(&of_source);
            }
        }
    }
}

/// Everything of the source has arrived, and of no other.
fn assert_keeps(subscription: &Subscription, stream: &Stream, source: Ipv4Addr) {
    let arrivals = subscription.arrivals_until(stream.sent(), SOON);
    assert!(arrivals.iter().all(|arrival| arrival.source == source));
    assert_gapless(&arrivals);
}

/// Joins and leaves groups at random-like turns; returns how often.
fn join_and_leave(host: &Host, groups: &[Ipv4Addr], end: Instant) -> usize {
    let mut subscriptions: Vec<Option<Subscription>> = groups.iter().map(|_| None).collect();
    let mut changes = 0;
    while Instant::now() < end {
        // 7 and 10 have no common divisor: every group in turn, but not in order.
        let index = changes * 7 % groups.len();
        let slot = &mut subscriptions[index];
        match slot.take() {
            Some(subscription) => subscription.leave(),
            None => *slot = Some(host.join(groups[index])),
        }
        changes += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    changes
}

#[track_caller]
fn daemon_counter(daemon: &Daemon, name: &str) -> u64 {
    let counters = daemon.ctl(&["show", "counters"]);
    let row = rows(&counters)
        .iter()
        .find(|row| row["name"] == name && row["interface"].is_null());
    row.unwrap_or_else(|| panic!("no counter {name}"))["value"]
        .as_u64()
        .expect("a count")
}

fn is_copy_from(frame: &Frame, source: Ipv4Addr) -> bool {
    frame.is_copy_for(GROUP) && frame.is_from(source)
}

fn says_of(igmp: &Igmp, kind: RecordType, source: Ipv4Addr) -> bool {
    let record = Record::new(kind, GROUP, &[source]);
    matches!(igmp, Igmp::ReportV3(records) if records.contains(&record))
}
