//! igmpd as a host under queriers that are not ours: they believe it, go on believing it, and forget; it says what the
//! RFCs ask, no report less and none more.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::igmp::Igmp;
use igmp_tests::peers::reports::judge_stay;
use igmp_tests::peers::{Kind, QUERY_INTERVAL, group_membership_interval};
use igmp_tests::proxy::{ALT_SUBNETS, IGMP, SOON, joined_upstream};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{ACCESS, Lan, PROVIDER, Topology, UPSTREAM, WAN_ADDRESS};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Streamed, but asked for by nobody.
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const A_WHILE: Duration = Duration::from_millis(300);
/// How often a member is asked while it stays.
const QUERIES: usize = 4;

fn joins_stays_and_leaves(kind: Kind, version: u8) {
    let topology = Topology::behind(kind.provider(), &[Lan::host(), Lan::host()]);
    let querier = kind.start(&topology, version);
    let config = topology.proxy_config(IGMP, ALT_SUBNETS, &[]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let access = Capture::start(topology.provider(), ACCESS);
    let _streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));
    let [member, second] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    // A host speaks the version of the querier that it has heard.
    wait_until("the querier to be known", 2 * QUERY_INTERVAL, || {
        let upstream = daemon.interface(UPSTREAM);
        (upstream["querier"] == PROVIDER.to_string()).then_some(())
    });

    let subscription = member.join(GROUP);
    wait_until("the querier to know the member", SOON, || {
        querier.groups().contains(&GROUP).then_some(())
    });
    let first = subscription.wait_for_arrival(SOON);
    // Another member downstream is nothing new upstream, and neither is its leave.
    let also = second.join(GROUP);
    also.wait_for_arrival(SOON);
    also.leave();

    let general_queries = || {
        access
            .all()
            .frames(|frame| frame.sent_igmp(Igmp::is_general_query))
    };
    let before = general_queries().len();
    wait_until(
        "more than three Query Intervals",
        6 * QUERY_INTERVAL,
        || (general_queries().len() >= before + QUERIES).then_some(()),
    );
    // The answer to the last one may still be due.
    wait_until("the answer", SOON, || {
        (joined_upstream(&daemon, GROUP)?["state"] == "idle").then_some(())
    });
    assert_eq!(querier.groups(), [GROUP].into());

    subscription.leave();
    wait_until("the querier to forget", group_membership_interval(), || {
        querier.groups().is_empty().then_some(())
    });
    let last = wire
        .all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    let stayed = last
        .duration_since(first.at)
        .expect("it came before it ended");
    assert!(stayed > 3 * QUERY_INTERVAL, "{stayed:?}");
    assert_eq!(joined_upstream(&daemon, GROUP), None);
    let unwanted = |frame: &igmp_tests::frame::Frame| frame.is_copy_for(OTHER_GROUP);
    wire.all()
        .assert_none("what nobody asked for", Duration::ZERO, unwanted);

    let frames = access.all().frames(|frame| frame.igmp().is_some());
    let judged = judge_stay(&frames, GROUP, version);
    assert!(judged >= QUERIES - 1, "{judged} queries judged");
    for frame in frames {
        let packet = frame.packet.as_ref().expect("IGMP is IPv4");
        let is_ours = frame.received_igmp(|_| true);
        assert_eq!(is_ours, packet.source == WAN_ADDRESS, "{frame:?}");
    }
}

#[test]
fn under_frr_with_igmpv3() {
    joins_stays_and_leaves(Kind::Frr, 3);
}

#[test]
fn under_frr_with_igmpv2() {
    joins_stays_and_leaves(Kind::Frr, 2);
}

#[test]
fn under_the_bridge_with_igmpv3() {
    joins_stays_and_leaves(Kind::Bridge, 3);
}

#[test]
fn under_the_bridge_with_igmpv2() {
    joins_stays_and_leaves(Kind::Bridge, 2);
}

#[test]
fn source_lists_reach_the_provider_merged() {
    // INCLUDE {a} on one LAN and INCLUDE {b} on the other: RFC 4605 section 4.1 asks for INCLUDE {a, b}.
    let group = Ipv4Addr::new(232, 1, 1, 1);
    let topology = Topology::behind(Kind::Bridge.provider(), &[Lan::host(), Lan::host()]);
    let _querier = Kind::Bridge.start(&topology, 3);
    let config = topology.proxy_config(IGMP, ALT_SUBNETS, &[]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    let _streams = [a, b].map(|source| StreamSpec::to(group).from(source).start(&topology.source));
    let [first, second] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let upstream_sources = |wanted: &[Ipv4Addr]| {
        let wanted: Vec<String> = wanted.iter().map(Ipv4Addr::to_string).collect();
        wait_until(&format!("{wanted:?} upstream"), SOON, || {
            let joined = joined_upstream(&daemon, group)?;
            (joined["filter_mode"] == "include" && joined["sources"] == serde_json::json!(wanted))
                .then_some(())
        });
    };
    let of_a = first.join_source(group, a);
    upstream_sources(&[a]);
    let of_b = second.join_source(group, b);
    upstream_sources(&[a, b]);
    // Each LAN gets its own source and not the other's.
    for (subscription, source) in [(&of_a, a), (&of_b, b)] {
        assert_eq!(subscription.wait_for_arrival(SOON).source, source);
    }
    assert!(of_a.arrivals().iter().all(|arrival| arrival.source == a));
    of_a.leave();
    upstream_sources(&[b]);
}
