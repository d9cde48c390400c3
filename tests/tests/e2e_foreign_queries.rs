//! Queries made by hand: those that must not decide anything, and what those of an elected querier change.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::contested_lan::{
    ContestedLan, HIGH_ADDRESS, IGMP, LOW_ADDRESS, OTHER_QUERIER_PRESENT_INTERVAL,
    with_robustness_and_interval,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::{Frame, IgmpPacket};
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::{Igmp, Record, RecordType, seal};
use igmp_tests::netns::mac_of;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Topology, gateway_address};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// 2 x 2 s + 2 x 1 s (RFC 9776 section 8.4).
const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(6);
/// 2 x 1 s (RFC 9776 section 8.10).
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(3);

#[test]
fn queries_that_are_not_a_router_s_change_nothing() {
    let lan = ContestedLan::new(IGMP, "");
    let wire = lan.member().capture();
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);

    for (what, counter, frame) in queries_to_refuse(&lan) {
        let before = lan.daemon.counter_on("lan0", counter);
        lan.send_frame(&frame);
        wait_until(&format!("{what} counted as {counter}"), SOON, || {
            (lan.daemon.counter_on("lan0", counter) > before).then_some(())
        });
        assert_eq!(lan.daemon.counter_on("lan0", counter), before + 1, "{what}");
        assert_eq!(lan.querier(), HIGH_ADDRESS, "after {what}");
    }
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    // Nor did any of them delay our own.
    let after = wire.from_now();
    after.wait_for("our own query", SOON, |frame| {
        frame.is_general_query_from(HIGH_ADDRESS)
    });
    // A good one does change it: the frames above were refused for what is wrong with them.
    lan.send(&lan.general_query(3, 10));
    lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
}

#[test]
fn robustness_and_interval_are_the_elected_querier_s() {
    // RFC 9776 sections 4.1.6 and 4.1.7; a value of zero is none, then our own holds. Seen in the Group Membership
    // Interval, RV x QI + 2 x 1 s, that the next report gets.
    let seconds = Duration::from_secs;
    let lan = ContestedLan::new(IGMP, "");
    let group_timer_after_a_report = || {
        let report = Igmp::ReportV3(vec![Record::new(RecordType::IsEx, GROUP, &[])]);
        let received = lan.daemon.counter_on("lan0", "received_report_v3");
        lan.send(&lan.member().igmp_packet(ALL_IGMPV3_ROUTERS, &report));
        wait_until("the report", SOON, || {
            (lan.daemon.counter_on("lan0", "received_report_v3") > received).then_some(())
        });
        group_timer(&lan.daemon).expect("a member")
    };
    let assert_close = |timer: Duration, interval: Duration| {
        assert!(
            timer <= interval && timer + seconds(1) > interval,
            "{timer:?}, not {interval:?}"
        );
    };

    // From a higher address: we are the querier, and our own values hold.
    let mut higher = lan.general_query(3, 10);
    higher.source = Ipv4Addr::new(10, 1, 0, 201);
    lan.send(&with_robustness_and_interval(higher, 7, 4));
    wait_until("the query", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 1).then_some(())
    });
    assert_close(group_timer_after_a_report(), GROUP_MEMBERSHIP_INTERVAL);
    assert_eq!(lan.querier(), HIGH_ADDRESS);

    for (robustness, interval_code, expected) in [
        (0, 0, GROUP_MEMBERSHIP_INTERVAL),
        (7, 0, seconds(7 * 2 + 2)),
        (0, 9, seconds(2 * 9 + 2)),
        (7, 4, seconds(7 * 4 + 2)),
        (1, 125, seconds(125 + 2)),
        // The code is a floating-point number from 128 on: 31 << 10 s.
        (7, 0xff, seconds(7 * 31_744 + 2)),
    ] {
        let received = lan.daemon.counter_on("lan0", "received_query_v3");
        let query = lan.general_query(3, 10);
        lan.send(&with_robustness_and_interval(
            query,
            robustness,
            interval_code,
        ));
        wait_until("the query", SOON, || {
            (lan.daemon.counter_on("lan0", "received_query_v3") > received).then_some(())
        });
        assert_eq!(lan.querier(), LOW_ADDRESS);
        assert_close(group_timer_after_a_report(), expected);
    }
}

#[test]
fn a_non_querier_lowers_its_timer_on_a_specific_query_unless_the_s_flag_says_not_to() {
    // RFC 9776 section 6.6.1.
    let lan = ContestedLan::new(IGMP, "");
    let query = with_robustness_and_interval(lan.general_query(3, 10), 2, 125);
    lan.send(&query);
    lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
    let report = Igmp::ReportV3(vec![Record::new(RecordType::IsEx, GROUP, &[])]);
    lan.send(&lan.member().igmp_packet(ALL_IGMPV3_ROUTERS, &report));
    let before = wait_until("a member", SOON, || group_timer(&lan.daemon));
    assert!(
        before > Duration::from_secs(200),
        "2 x 125 s + 2 x 1 s, not {before:?}"
    );

    let specific = |s_flag: u8| {
        let mut packet = lan.query_about(GROUP, 3, 10, &[]);
        packet.message[8] = s_flag << 3 | 2;
        seal(&mut packet.message);
        packet
    };
    lan.send(&specific(1));
    wait_until("the query with the S flag", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 2).then_some(())
    });
    let kept = group_timer(&lan.daemon).expect("a member");
    assert!(kept + SOON > before, "{before:?} became {kept:?}");

    lan.send(&specific(0));
    wait_until("the query without it", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 3).then_some(())
    });
    let lowered = group_timer(&lan.daemon).expect("a member");
    assert!(
        lowered <= LAST_MEMBER_QUERY_TIME && lowered > LAST_MEMBER_QUERY_TIME / 2,
        "{lowered:?}"
    );
    wait_until("the group to be gone", 2 * LAST_MEMBER_QUERY_TIME, || {
        lan.daemon.group("lan0", GROUP).is_none().then_some(())
    });
}

#[test]
fn an_election_waits_for_the_last_member_query_to_end() {
    // Else a group that is being asked about would stay with neither: the new querier has not heard the Leave.
    let lan = ContestedLan::new(IGMP, "");
    let wire = lan.member().capture();
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    lan.member().join(GROUP).wait_for_arrival(SOON); // and leaves
    let asks = |frame: &Frame| frame.received_igmp(|igmp| igmp.asks_about(GROUP));
    let first = wire.all().wait_for("the first query", SOON, asks);
    lan.send(&lan.general_query(3, 10));
    let claim = wire
        .all()
        .wait_for("the claim", SOON, |frame| frame.is_query_from(LOW_ADDRESS));
    wait_until("it to be received", SOON, || {
        (lan.daemon.counter_on("lan0", "received_query_v3") == 1).then_some(())
    });
    assert_eq!(lan.querier(), HIGH_ADDRESS, "not yet");

    lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
    let queries = wire.all().frames(asks);
    assert_eq!(queries.len(), 2, "Last Member Query Count: {queries:?}");
    assert!(queries[1].at > claim.at);
    let ended = first.at + LAST_MEMBER_QUERY_TIME;
    assert!(
        SystemTime::now() > ended,
        "the new querier was recognised before the old one had finished"
    );
    assert_eq!(lan.daemon.group("lan0", GROUP), None);
    // From then on it leaves the asking to the other.
    let after = wire.from_now();
    assert!(stream.sent() > 100);
    after.assert_none("a query of our own", SOON, |frame| {
        frame.is_query_from(HIGH_ADDRESS)
    });
}

#[test]
fn a_query_that_leaves_no_time_to_answer_breaks_nothing() {
    // RFC 9776 section 4.1.1: a Max Resp Code of zero.
    let lan = ContestedLan::new(IGMP, "");
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);
    for version in [3, 2] {
        let query = with_robustness_and_interval(lan.general_query(version, 0), 2, 2);
        lan.send(&query);
        lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
        wait_until(
            "our own turn again",
            OTHER_QUERIER_PRESENT_INTERVAL + SOON,
            || (lan.querier() == HIGH_ADDRESS).then_some(()),
        );
    }
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));
}

/// What is wrong with each, and the counter it must be refused under.
fn queries_to_refuse(lan: &ContestedLan) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let good = lan.general_query(3, 10);
    let from = |source| {
        IgmpPacket {
            source,
            ..good.clone()
        }
        .frame()
    };
    let message = |bytes: &[u8]| {
        let mut message = bytes.to_vec();
        seal(&mut message);
        IgmpPacket {
            message,
            ..good.clone()
        }
        .frame()
    };
    let mut unicast = IgmpPacket {
        destination: HIGH_ADDRESS,
        ..good.clone()
    }
    .frame();
    unicast[..6].copy_from_slice(&mac_of(gateway_address(1)));
    let mut bad_checksum = good.clone();
    bad_checksum.message[2] ^= 0xff;
    // The count of sources is in octets 10 and 11 (RFC 9776 section 4.1).
    let mut too_many_sources = lan.query_about(GROUP, 3, 10, &[Topology::SOURCE]);
    too_many_sources.message[10..12].fill(0xff);
    seal(&mut too_many_sources.message);
    let about = |group| {
        let query = lan.query_about(group, 3, 10, &[]);
        IgmpPacket {
            destination: ALL_SYSTEMS,
            ..query
        }
        .frame()
    };
    vec![
        ("a unicast query", "refused_wrong_destination", unicast),
        (
            "a query from our own address",
            "refused_own_address",
            from(HIGH_ADDRESS),
        ),
        (
            "a query from 0.0.0.0",
            "refused_source_not_accepted",
            from(Ipv4Addr::UNSPECIFIED),
        ),
        (
            "a query from another network",
            "refused_source_not_accepted",
            from(Ipv4Addr::new(10, 0, 7, 1)),
        ),
        (
            "a query with TTL 2",
            "refused_ttl",
            IgmpPacket {
                ttl: 2,
                ..good.clone()
            }
            .frame(),
        ),
        (
            "a query with a wrong checksum",
            "refused_checksum",
            bad_checksum.frame(),
        ),
        (
            "a query of 7 octets",
            "refused_length",
            message(&good.message[..7]),
        ),
        (
            "a query of 9 octets",
            "refused_length",
            message(&good.message[..9]),
        ),
        (
            "a query of 11 octets",
            "refused_length",
            message(&good.message[..11]),
        ),
        (
            "65535 sources of which one is there",
            "refused_count",
            too_many_sources.frame(),
        ),
        (
            "a query about all systems",
            "refused_group_link_local",
            about(ALL_SYSTEMS),
        ),
        (
            "a query about a unicast address",
            "refused_group_not_multicast",
            about(Ipv4Addr::new(10, 0, 0, 1)),
        ),
    ]
}

fn group_timer(daemon: &Daemon) -> Option<Duration> {
    let group = daemon.group("lan0", GROUP)?;
    Some(Duration::from_millis(group["timer_ms"].as_u64()?))
}
