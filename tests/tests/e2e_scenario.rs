//! The query, join and leave sequence of IGMPv2, told once from beginning to end on real kernel hosts.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::View;
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::Igmp;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

/// Flows throughout.
const KEPT: Ipv4Addr = Ipv4Addr::new(225, 10, 10, 10);
/// Left in the middle.
const LEFT: Ipv4Addr = Ipv4Addr::new(225, 1, 1, 3);
/// Joined and left again.
const VISITED: Ipv4Addr = Ipv4Addr::new(225, 1, 1, 4);

const IGMP: &str = "version = 2\nquery_interval = \"60s\"\nquery_response_interval = \"1s\"\n\
    last_member_query_interval = \"1s\"\nlast_member_query_count = 1";
const ONE_SECOND: Duration = Duration::from_secs(1);
const STOP_TOLERANCE: Duration = Duration::from_millis(100);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);
/// Linux counts its answer's delay in ticks, from the tick after the query.
const HOST_TIMER_SLACK: Duration = Duration::from_millis(100);
const SOON: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_millis(200);

#[test]
fn query_join_and_leave() {
    let topology = Topology::new(&[Lan::host().igmp_version(2), Lan::host().igmp_version(2)]);
    let [host1, host2] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    // RFC 2236 section 8.10 has 10 s; the repetition comes at a random time within.
    host2.namespace.set_sysctl(
        "net.ipv4.conf.eth0.igmpv2_unsolicited_report_interval",
        1000,
    );
    let (wire1, wire2) = (host1.capture(), host2.capture());

    // Host 2 is a member before the router comes: its unsolicited reports, the first and its repetition, are over.
    let kept = host2.join(KEPT);
    let left = host2.join(LEFT);
    for group in [KEPT, LEFT] {
        wait_until("both unsolicited reports", SOON, || {
            (wire2
                .all()
                .frames(|frame| frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(group)))
                .len()
                == 2)
                .then_some(())
        });
    }
    let streams: Vec<Stream> = [KEPT, LEFT, VISITED]
        .map(|group| StreamSpec::to(group).start(&topology.source))
        .into();
    let from_start = wire2.from_now();
    let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));

    // The router asks, host 2 answers for both groups, both flow.
    let query = from_start.wait_for("a General Query", SOON, |frame| {
        frame.received_igmp(Igmp::is_general_query)
    });
    let Some(Igmp::Query {
        version: 2,
        max_response: ONE_SECOND,
        ..
    }) = query.igmp()
    else {
        panic!("{query:?}")
    };
    for group in [KEPT, LEFT] {
        let answer = from_start.wait_for("an answer", SOON, |frame| {
            frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(group))
        });
        let took = answer
            .at
            .duration_since(query.at)
            .expect("an answer comes after its question");
        assert!(
            took <= ONE_SECOND + HOST_TIMER_SLACK,
            "the host takes at most the Max Response Time, took {took:?}"
        );
        from_start.wait_for("the stream", SOON, |frame| frame.is_copy_for(group));
    }
    let kept_from = kept.wait_for_arrival(SOON).sequence;

    // Host 2 leaves one group: one Group-Specific Query, no answer, the stream stops after one second and not before.
    leaves_with_one_query(wire2.from_now(), LEFT, || left.leave());

    // Host 2 joins another: an unsolicited report at once, and again when no query comes.
    let from_join = wire2.from_now();
    let visited = host2.join(VISITED);
    from_join.wait_for("the stream", SOON, |frame| frame.is_copy_for(VISITED));
    wait_until("the repeated report", SOON, || {
        (from_join
            .frames(|frame| frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(VISITED)))
            .len()
            == 2)
            .then_some(())
    });
    from_join.assert_none("a query about it", Duration::ZERO, |frame| {
        frame.received_igmp(|igmp| igmp.asks_about(VISITED))
    });
    leaves_with_one_query(wire2.from_now(), VISITED, || visited.leave());

    // The first group flowed throughout, and host 1 got nothing at all.
    let sent = streams[0].sent();
    let arrivals = kept.arrivals_until(sent, SOON);
    assert_eq!(arrivals[0].sequence, kept_from + 1);
    assert_gapless(&arrivals);
    for group in [KEPT, LEFT, VISITED] {
        wire1
            .all()
            .assert_none("a copy for host 1", Duration::ZERO, |frame| {
                frame.is_copy_for(group)
            });
    }
}

/// The sequence of RFC 2236 section 3: Leave Group, Group-Specific Query, Last Member Query Time, silence.
#[track_caller]
fn leaves_with_one_query(wire: View<'_>, group: Ipv4Addr, leave: impl FnOnce()) {
    let is_query = |frame: &Frame| frame.received_igmp(|igmp| igmp.asks_about(group));
    leave();
    let leave = wire.wait_for("the Leave", SOON, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::Leave(group))
    });
    let stopped = wire.wait_for_last("the stream", SOON, QUIET, |frame| frame.is_copy_for(group));
    let took = stopped
        .duration_since(leave.at)
        .expect("it went on after the Leave");
    assert!(
        took + STAMP_TOLERANCE >= ONE_SECOND,
        "{group} stopped too early, after {took:?}"
    );
    assert!(
        took <= ONE_SECOND + STOP_TOLERANCE,
        "{group} stopped too late, after {took:?}"
    );

    let queries = wire.frames(is_query);
    let [query] = &queries[..] else {
        panic!("one Group-Specific Query, not {queries:?}")
    };
    assert_eq!(
        query.igmp(),
        Some(&Igmp::Query {
            version: 2,
            group,
            max_response: ONE_SECOND,
            sources: Vec::new()
        })
    );
    let asked_after = query
        .at
        .duration_since(leave.at)
        .expect("the query follows the Leave");
    assert!(
        asked_after < STOP_TOLERANCE,
        "the query came {asked_after:?} after the Leave"
    );
    wire.assert_none("an answer", Duration::ZERO, |frame| {
        frame.sent_igmp(|igmp| *igmp == Igmp::ReportV2(group))
    });
}
