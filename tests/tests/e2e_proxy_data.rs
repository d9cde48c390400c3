//! Which way packets go through the proxy, and which way they never go.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::contested_lan::{HIGH_ADDRESS, LOW_ADDRESS};
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::{Frame, IgmpPacket};
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::Igmp;
use igmp_tests::proxy::{IGMP, SOON};
use igmp_tests::stream::{StreamSpec, TTL};
use igmp_tests::topology::{Lan, Topology, UPSTREAM, gateway_address};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const A_WHILE: Duration = Duration::from_millis(300);

fn is_copy(frame: &Frame) -> bool {
    frame.is_copy_for(GROUP)
}

/// Copies go on coming from now on.
fn assert_flows(wire: &Capture, what: &str) {
    let after = wire.from_now();
    wait_until(what, SOON, || {
        (after.frames(is_copy).len() > 50).then_some(())
    });
}

fn assert_still(wire: &Capture, what: &str) {
    wire.from_now().assert_none(what, A_WHILE, is_copy);
}

#[test]
fn a_stream_from_a_lan_goes_upstream_and_to_members_elsewhere_and_never_back() {
    let topology = Topology::new(&[Lan::hosts(2), Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [sender, neighbour, member, stranger] = &topology.receivers[..] else {
        panic!("four receivers")
    };
    let [sender_wire, member_wire, stranger_wire] = [sender, member, stranger].map(Host::capture);
    let provider_wire = topology.source.capture();
    // The neighbour has the stream from its switch; the gateway must not send it a second one.
    let near = neighbour.join(GROUP);
    let far = member.join(GROUP);
    wait_until("both members", SOON, || {
        daemon.group("lan0", GROUP)?;
        daemon.group("lan1", GROUP).map(drop)
    });
    let stream = StreamSpec::to(GROUP).start(sender);
    for (wire, what) in [
        (&provider_wire, "copies upstream"),
        (&member_wire, "copies on lan1"),
    ] {
        assert_flows(wire, what);
        let copy = wire.all().wait_for(what, SOON, is_copy);
        let packet = copy.packet.expect("a copy is IPv4");
        assert_eq!((packet.source, packet.ttl), (sender.address, TTL - 1));
        assert!(packet.checksum_good);
    }
    let sent = stream.stop();
    for subscription in [&near, &far] {
        let arrivals = subscription.arrivals_until(sent - 1, SOON);
        assert_eq!(arrivals.len() as u64, sent, "each datagram once");
        assert_gapless(&arrivals);
    }
    assert_eq!(provider_wire.all().frames(is_copy).len() as u64, sent);
    sender_wire
        .all()
        .assert_none("a copy back", A_WHILE, is_copy);
    stranger_wire
        .all()
        .assert_none("a copy unasked for", Duration::ZERO, is_copy);
}

#[test]
fn a_stream_from_a_lan_goes_upstream_without_any_member() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [sender, other] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let [sender_wire, other_wire] = [sender, other].map(Host::capture);
    let provider_wire = topology.source.capture();
    let stream = StreamSpec::to(GROUP).start(sender);
    assert_flows(&provider_wire, "copies upstream");
    assert!(daemon.forwarded_from("lan0") > 0);

    // A member comes and goes: upstream loses and doubles nothing.
    let subscription = other.join(GROUP);
    subscription.wait_for_arrival(SOON);
    subscription.leave();
    other_wire
        .all()
        .wait_for_last("copies on lan1", SOON, A_WHILE, is_copy);
    assert_flows(&provider_wire, "copies upstream after the leave");
    let sent = stream.stop();
    wait_until("every datagram", SOON, || {
        (provider_wire.all().frames(is_copy).len() as u64 >= sent).then_some(())
    });
    assert_eq!(provider_wire.all().frames(is_copy).len() as u64, sent);
    sender_wire
        .all()
        .assert_none("a copy back", Duration::ZERO, is_copy);

    // What comes from upstream for nobody stays there.
    let _unasked = StreamSpec::to(OTHER_GROUP).start(&topology.source);
    for wire in [&sender_wire, &other_wire] {
        wire.all()
            .assert_none("a copy unasked for", A_WHILE, |frame| {
                frame.is_copy_for(OTHER_GROUP)
            });
    }
}

#[test]
fn a_stream_from_upstream_never_goes_back_upstream() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let provider_wire = topology.source.capture();
    let subscriptions: Vec<_> = topology
        .receivers
        .iter()
        .map(|host| host.join(GROUP))
        .collect();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    for subscription in &subscriptions {
        subscription.wait_for_arrival(SOON);
        assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    }
    provider_wire
        .all()
        .assert_none("a copy back", A_WHILE, is_copy);
}

#[test]
fn a_lan_with_another_querier_is_closed_for_what_comes_from_it() {
    for forward_as_non_querier in [false, true] {
        let topology = Topology::new(&[Lan::hosts(2), Lan::host()]);
        topology.gateway.ip(&format!(
            "addr del {}/24 dev lan0\naddr add {HIGH_ADDRESS}/24 dev lan0",
            gateway_address(1)
        ));
        let keys = format!("forward_as_non_querier = {forward_as_non_querier}");
        let config = topology.config_with(IGMP, &[&keys]);
        let daemon = Daemon::start(&topology.gateway, &config);
        let [sender, rival, member] = &topology.receivers[..] else {
            panic!("three receivers")
        };
        let member_wire = member.capture();
        let provider_wire = topology.source.capture();
        let _subscription = member.join(GROUP);
        let _stream = StreamSpec::to(GROUP).start(sender);
        assert_flows(&member_wire, "copies on lan1");
        assert_flows(&provider_wire, "copies upstream");

        let query = Igmp::Query {
            version: 3,
            group: Ipv4Addr::UNSPECIFIED,
            max_response: Duration::from_secs(1),
            sources: Vec::new(),
        };
        let query = IgmpPacket {
            source: LOW_ADDRESS,
            ..rival.igmp_packet(Ipv4Addr::new(224, 0, 0, 1), &query)
        };
        rival.frame_sender().send(&query.frame());
        daemon.wait_for_querier("lan0", LOW_ADDRESS);
        if forward_as_non_querier {
            assert_flows(&member_wire, "copies on lan1 all the same");
            assert_flows(&provider_wire, "copies upstream all the same");
            assert_eq!(daemon.counter_on("lan0", "pass_closed"), 0);
        } else {
            assert_still(&member_wire, "a copy on lan1");
            assert_still(&provider_wire, "a copy upstream");
            assert!(daemon.counter_on("lan0", "pass_closed") > 0);
        }
    }
}

#[test]
fn a_threshold_keeps_in_what_its_sender_limited() {
    // Streams come with TTL 16: the kernel's router sends out what is above the interface's threshold.
    let [below, at] = [TTL - 1, TTL].map(|threshold| format!("threshold = {threshold}"));
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let config = topology.proxy_config(IGMP, &at, &[&below, &at]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let provider_wire = topology.source.capture();
    let [open, kept] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let kept_wire = kept.capture();
    let _subscriptions = [open, kept].map(|host| host.join(GROUP));
    wait_until("both members", SOON, || {
        daemon.group("lan0", GROUP)?;
        daemon.group("lan1", GROUP).map(drop)
    });
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    assert_flows(&open.capture(), "copies on lan0");
    assert_still(&kept_wire, "a copy on lan1");
    drop(stream);

    // From the LAN: to the other LAN, whose threshold is below; upstream's is not.
    let _stream = StreamSpec::to(GROUP).start(kept);
    assert_flows(&open.capture(), "copies on lan0");
    provider_wire
        .all()
        .assert_none("a copy upstream", A_WHILE, is_copy);
    assert_eq!(daemon.interface(UPSTREAM)["state"], "ready");
}
