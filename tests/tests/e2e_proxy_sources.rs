//! The documented example: a LAN behind the gateway, a provider's source that is in no network of the upstream interface,
//! and the one line that accepts it.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::igmp::Igmp;
use igmp_tests::peers::Kind;
use igmp_tests::proxy::{ALT_SUBNETS, IGMP, SOON, joined_upstream, reload};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{ACCESS, Lan, PROVIDER, Provider, Topology, UPSTREAM};
use igmp_tests::wait::wait_until;
use serde_json::Value;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const A_WHILE: Duration = Duration::from_millis(300);
/// Longer than a source's minute between two events could be mistaken for.
const EVENTS_SETTLE: Duration = Duration::from_secs(3);

#[test]
fn a_stream_from_an_alternative_subnet_arrives() {
    let topology = Topology::behind(Kind::Frr.provider(), &[Lan::host(), Lan::host()]);
    let router = Kind::Frr.start(&topology, 3);
    let config = topology.proxy_config(IGMP, ALT_SUBNETS, &[]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let [member, stranger] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let elsewhere = stranger.capture();
    let subscription = member.join(GROUP);
    let arrival = subscription.wait_for_arrival(2 * SOON);
    assert_eq!(arrival.source, Topology::SOURCE);
    assert_eq!(router.groups(), [GROUP].into());
    assert_eq!(daemon.counter_on(UPSTREAM, "pass_source_unknown"), 0);
    elsewhere
        .all()
        .assert_none("a copy", A_WHILE, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn without_the_line_it_does_not_and_the_event_names_the_line() {
    let topology = Topology::behind(Kind::Frr.provider(), &[Lan::host()]);
    let _router = Kind::Frr.start(&topology, 3);
    let daemon = Daemon::start(&topology.gateway, &topology.proxy_config(IGMP, "", &[]));
    let events = daemon.events();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let member = &topology.receivers[0];
    let wire = member.capture();
    let subscription = member.join(GROUP);

    let refused = events.wait_for("the refused source", 2 * SOON, is_refusal);
    assert_eq!(refused["interface"], UPSTREAM);
    assert_eq!(refused["source"], "10.0.0.2");
    assert_eq!(refused["group"], "239.1.1.1");
    assert_eq!(refused["remedy"], "alt_subnets = [\"10.0.0.2/32\"]");
    wait_until("hundreds of refused packets", SOON, || {
        (daemon.counter_on(UPSTREAM, "pass_source_unknown") > 500).then_some(())
    });
    // Hundreds of packets, one event.
    let count = || events.all(is_refusal).len();
    igmp_tests::wait::assert_never("a second event", EVENTS_SETTLE, || {
        (count() > 1).then(count)
    });
    wire.all()
        .assert_none("the stream", A_WHILE, |frame| frame.is_copy_for(GROUP));

    // The line that the event names, as it stands there, makes it flow.
    let remedy = refused["remedy"].as_str().expect("a line");
    reload(&daemon, &topology.proxy_config(IGMP, remedy, &[]));
    subscription.wait_for_arrival(SOON);

    // And without it again it stops.
    reload(&daemon, &topology.proxy_config(IGMP, "", &[]));
    wire.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
}

#[test]
fn a_querier_outside_the_upstream_network_needs_the_line_too() {
    let topology = Topology::behind(Provider::Switch, &[Lan::host()]);
    let source = &topology.source;
    let daemon = Daemon::start(&topology.gateway, &topology.proxy_config(IGMP, "", &[]));
    let events = daemon.events();
    let link = source.capture();
    let _subscription = topology.receivers[0].join(GROUP);
    wait_until("the group upstream", SOON, || {
        joined_upstream(&daemon, GROUP)
    });
    // Past the repetition of the first report, which no query caused.
    link.all()
        .wait_for_last("reports", SOON, Duration::from_millis(1_300), |frame| {
            frame.received_igmp(|igmp| igmp.joins(GROUP))
        });

    let query = Igmp::Query {
        version: 3,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_millis(200),
        sources: Vec::new(),
    };
    let query = source
        .igmp_packet(Ipv4Addr::new(224, 0, 0, 1), &query)
        .frame();
    let after = link.from_now();
    source.frame_sender().send(&query);
    let refused = events.wait_for("the refused querier", SOON, is_refusal);
    assert_eq!(refused["source"], "10.0.0.2");
    assert_eq!(refused["group"], Value::Null);
    assert_eq!(
        daemon.counter_on(UPSTREAM, "refused_source_not_accepted"),
        1
    );
    after.assert_none("an answer", A_WHILE + A_WHILE, |frame| {
        frame.received_igmp(|igmp| igmp.joins(GROUP))
    });

    reload(&daemon, &topology.proxy_config(IGMP, ALT_SUBNETS, &[]));
    let after = link.from_now();
    source.frame_sender().send(&query);
    after.wait_for("the answer", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.joins(GROUP))
    });
    assert_eq!(
        daemon.counter_on(UPSTREAM, "refused_source_not_accepted"),
        1
    );
}

#[test]
fn any_source_may_be_allowed_but_not_one_of_another_interface() {
    let topology = Topology::behind(Provider::Switch, &[Lan::host()]);
    let any = "alt_subnets = [\"0.0.0.0/0\"]";
    let daemon = Daemon::start(&topology.gateway, &topology.proxy_config(IGMP, any, &[]));
    let source = &topology.source;
    // A neighbour in the network of lan0, and one of no network at all.
    let of_the_lan = Ipv4Addr::new(10, 1, 0, 77);
    let far_away = Ipv4Addr::new(203, 0, 113, 9);
    for address in [of_the_lan, far_away] {
        source
            .namespace
            .ip(&format!("addr add {address}/32 dev eth0"));
    }
    let member = &topology.receivers[0];
    let wire = member.capture();
    let access = Capture::start(topology.provider(), ACCESS);
    let _subscription = member.join(GROUP);
    let _streams =
        [of_the_lan, far_away].map(|address| StreamSpec::to(GROUP).from(address).start(source));
    let from = |address: Ipv4Addr| {
        move |frame: &igmp_tests::frame::Frame| frame.is_copy_for(GROUP) && frame.is_from(address)
    };
    wire.all()
        .wait_for("the stream from far away", SOON, from(far_away));
    wait_until("the other to be counted", SOON, || {
        (daemon.counter_on(UPSTREAM, "pass_wrong_interface") > 100).then_some(())
    });
    wire.all()
        .assert_none("it", Duration::ZERO, from(of_the_lan));
    // Who reports there says so with the gateway's own address.
    access.all().wait_for("the report", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.joins(GROUP))
            && frame
                .packet
                .as_ref()
                .is_some_and(|packet| packet.source != PROVIDER && packet.ttl == 1)
    });
}

fn is_refusal(event: &Value) -> bool {
    event["event"] == "source-refused"
}
