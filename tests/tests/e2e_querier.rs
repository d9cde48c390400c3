//! Who asks on a link: the election of the querier among real ones, and what becomes of it when one falls silent.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant, SystemTime};

use igmp_tests::capture::View;
use igmp_tests::contested_lan::{
    ContestedLan, HIGH_ADDRESS, IGMP, LOW_ADDRESS, OTHER_QUERIER_PRESENT_INTERVAL,
};
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::host::assert_gapless;
use igmp_tests::netns::mac_of;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{BRIDGE, Lan, Topology, gateway_address, rival_address};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// How much later than its time a timer may run out on a busy machine, and how much a time stamp may be off.
const TIMER_TOLERANCE: Duration = Duration::from_millis(500);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn of_two_gateways_one_asks_and_forwards_and_the_other_takes_over_when_it_dies() {
    let topology = Topology::with_rival(Lan::hosts(2));
    let member = &topology.receivers[0];
    let wire = member.capture();
    let config = topology.config(IGMP);
    let rival = Daemon::start(topology.rival(), &config);
    let gateway = Daemon::start(&topology.gateway, &config);
    let (address, other_address) = (gateway_address(1), rival_address(1));
    rival.wait_for_querier("lan0", address);
    gateway.wait_for_querier("lan0", address);

    // In normal operation: queries of the lower address, one copy of each datagram, its frames.
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let after = wire.from_now();
    let subscription = member.join(GROUP);
    let first = subscription.wait_for_arrival(SOON);
    for daemon in [&gateway, &rival] {
        wait_until("both to know the member", SOON, || {
            daemon.group("lan0", GROUP)
        });
    }
    after.wait_for("the next query", 2 * SOON, |frame| {
        frame.is_general_query_from(address)
    });
    assert_gapless(&subscription.arrivals_until(first.sequence + 1_000, SOON));
    after.assert_none("a query of the other", Duration::ZERO, |frame| {
        frame.is_query_from(other_address)
    });
    after.assert_none("a copy of the other's", Duration::ZERO, |frame| {
        is_copy_sent_by(frame, other_address)
    });

    // The querier dies: its process and its ports at once.
    let before_death = wire.all();
    topology
        .gateway
        .ip("link set lan0 down\nlink set wan0 down");
    drop(gateway);
    let last_query = before_death
        .frames(|frame| frame.is_general_query_from(address))
        .pop();
    let last_query = last_query.expect("queries were seen").at;
    let takeover = after.wait_for(
        "the other's query",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| frame.is_general_query_from(other_address),
    );
    assert_after(last_query, takeover.at, OTHER_QUERIER_PRESENT_INTERVAL);
    // The other knows the members: it forwards without waiting for reports.
    let copy = after.wait_for("a copy of the other's", SOON, |frame| {
        is_copy_sent_by(frame, other_address)
    });
    assert_after(last_query, copy.at, OTHER_QUERIER_PRESENT_INTERVAL);
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));

    // It comes back with the lower address: it asks at once, and forwards what it learns; the other stops.
    topology.gateway.ip("link set lan0 up\nlink set wan0 up");
    let gateway = Daemon::start(&topology.gateway, &config);
    rival.wait_for_querier("lan0", address);
    gateway.wait_for_querier("lan0", address);
    wire.from_now()
        .wait_for("a copy of the first", SOON, |frame| {
            is_copy_sent_by(frame, address)
        });
    let after = wire.from_now();
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 500, SOON));
    after.assert_none("a copy of the other's", Duration::ZERO, |frame| {
        is_copy_sent_by(frame, other_address)
    });
    // What either has sent in all this is beyond reproach.
    let queries = wire
        .all()
        .frames(|frame| frame.is_query_from(address) || frame.is_query_from(other_address));
    assert!(queries.len() >= 5, "two of each start, one of the takeover");
    tshark::judge(&queries, &[]);
}

#[test]
fn a_query_of_a_lower_address_silences_until_it_is_not_repeated() {
    let lan = ContestedLan::new(IGMP, "");
    let wire = lan.member().capture();
    let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
    let subscription = lan.member().join(GROUP);
    subscription.wait_for_arrival(SOON);

    let after = wire.from_now();
    // IGMPv2, Max Response Time 2 s: it says neither Robustness Variable nor Query Interval.
    lan.send(&lan.general_query(2, 20));
    let query = after.wait_for("the query", SOON, |frame| frame.is_query_from(LOW_ADDRESS));
    lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
    assert!(
        lan.daemon.group("lan0", GROUP).is_some(),
        "its members stay known"
    );
    // RFC 4605 section 4.2: only the querier of a link forwards to it.
    let stopped = wire
        .all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert!(stopped < query.at + A_WHILE);

    let own = after.wait_for(
        "a query of our own",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| frame.is_query_from(HIGH_ADDRESS),
    );
    assert_after(query.at, own.at, OTHER_QUERIER_PRESENT_INTERVAL);
    lan.daemon.wait_for_querier("lan0", HIGH_ADDRESS);
    after.wait_for("the stream again", SOON, |frame| {
        frame.is_copy_for(GROUP) && frame.at > own.at
    });
    after.assert_none("a copy between the two", Duration::ZERO, |frame| {
        frame.is_copy_for(GROUP) && frame.at > stopped && frame.at < own.at - STAMP_TOLERANCE
    });
    subscription.arrivals();
    assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));
}

#[test]
fn where_another_is_the_querier_forwarding_can_be_kept_on() {
    for (keys, goes_on) in [("forward_as_non_querier = true", true), ("", false)] {
        let lan = ContestedLan::new(IGMP, keys);
        let wire = lan.member().capture();
        let stream = StreamSpec::to(GROUP).start(&lan.topology.source);
        let subscription = lan.member().join(GROUP);
        subscription.wait_for_arrival(SOON);
        lan.send(&lan.general_query(3, 10));
        lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);
        if goes_on {
            assert_gapless(&subscription.arrivals_until(stream.sent() + 100, SOON));
        } else {
            wire.all()
                .wait_for_last("the stream", SOON, A_WHILE, |frame| {
                    frame.is_copy_for(GROUP)
                });
        }
        assert_eq!(lan.querier(), LOW_ADDRESS);
    }
}

#[test]
fn a_bridge_that_asks_from_0_0_0_0_never_wins() {
    let topology = Topology::new(&[Lan::hosts(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (member.capture(), bystander.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    let refused_before = daemon.counter_on("lan0", "refused_source_not_accepted");

    // Hundredths of a second. It forgets the real querier sooner than that asks again, and then asks itself.
    topology.switch(0).ip(&format!(
        "link set {BRIDGE} type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 0 \
         mcast_querier_interval 100 mcast_query_interval 100 mcast_query_response_interval 50 \
         mcast_startup_query_interval 100"
    ));
    let after = wire.from_now();
    let bridge_query = |frame: &Frame| frame.is_general_query_from(Ipv4Addr::UNSPECIFIED);
    after.wait_for("a query of the bridge", 3 * SOON, bridge_query);
    wait_until("it to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_source_not_accepted") > refused_before).then_some(())
    });
    let first = after.frames(bridge_query)[0].at;
    after.wait_for("our own query after it", SOON, |frame| {
        frame.is_general_query_from(gateway_address(1)) && frame.at > first
    });
    let lan0 = daemon.interface("lan0");
    assert_eq!(lan0["querier"], gateway_address(1).to_string());
    assert_eq!(lan0["querier_is_self"], true);
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    // Once the bridge knows who wants the stream, nobody else gets it.
    bystander_wire
        .all()
        .wait_for_last("the flood", 2 * SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
}

#[test]
fn a_hundred_queries_a_second_change_the_querier_once() {
    const FLOOD: Duration = Duration::from_secs(3);
    let lan = ContestedLan::new(IGMP, "");
    let wire = lan.member().capture();
    wire.all()
        .wait_for("the second startup query", SOON, |frame| {
            frame.is_general_query_from(HIGH_ADDRESS)
        });
    let query = lan.general_query(2, 10);
    lan.send(&query);
    lan.daemon.wait_for_querier("lan0", LOW_ADDRESS);

    let (after, cpu_before, begun) = (wire.from_now(), lan.daemon.cpu_time(), Instant::now());
    let mut sent = 0;
    wait_until("the flood to end", 2 * FLOOD, || {
        let due = begun.elapsed().as_millis() / 10;
        while sent < due {
            lan.send(&query);
            sent += 1;
        }
        (begun.elapsed() > FLOOD).then_some(())
    });
    let cpu = lan.daemon.cpu_time().saturating_sub(cpu_before);
    assert!(
        cpu < FLOOD / 10,
        "{sent} queries took {cpu:?} of the processor"
    );
    let last = last_query_of(&after, LOW_ADDRESS);
    let own = after.wait_for(
        "our own query",
        OTHER_QUERIER_PRESENT_INTERVAL + SOON,
        |frame| frame.is_query_from(HIGH_ADDRESS),
    );
    // The first one of ours is that after the last of theirs.
    assert_after(last, own.at, OTHER_QUERIER_PRESENT_INTERVAL);
    lan.daemon.wait_for_querier("lan0", HIGH_ADDRESS);
}

fn last_query_of(view: &View<'_>, source: Ipv4Addr) -> SystemTime {
    view.frames(|frame| frame.is_query_from(source))
        .pop()
        .expect("a query")
        .at
}

/// A copy of the stream in a frame of the gateway with this address.
fn is_copy_sent_by(frame: &Frame, gateway: Ipv4Addr) -> bool {
    frame.is_copy_for(GROUP)
        && frame
            .packet
            .as_ref()
            .is_some_and(|packet| packet.source_mac == mac_of(gateway))
}

#[track_caller]
fn assert_after(from: SystemTime, at: SystemTime, interval: Duration) {
    let took = at.duration_since(from).expect("in this order");
    assert!(
        took + STAMP_TOLERANCE >= interval && took <= interval + TIMER_TOLERANCE,
        "after {took:?} instead of {interval:?}"
    );
}
