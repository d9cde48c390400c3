//! Links and addresses come and go under a running igmpd.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::Frame;
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::Igmp;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Queries often enough for a test to wait for one.
const IGMP: &str = "query_interval = \"3s\"\nquery_response_interval = \"1s\"";
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_receiver_s_link_dies_and_comes_back() {
    let topology = Topology::new(&[Lan::host(), Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [victim, neighbour, bystander] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let (wire, bystander_wire) = (victim.capture(), bystander.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let (subscription, other) = (victim.join(GROUP), neighbour.join(GROUP));
    subscription.wait_for_arrival(SOON);
    other.wait_for_arrival(SOON);

    victim.set_link(false);
    wait_for_state(&daemon, "lan0", "down");
    wait_until("its membership to be gone", SOON, || {
        (!has_group(&daemon, "lan0")).then_some(())
    });

    let back = wire.from_now();
    victim.set_link(true);
    wait_for_state(&daemon, "lan0", "ready");
    // Linux reports its memberships anew when a link comes up.
    back.wait_for("the stream again", SOON, |frame| frame.is_copy_for(GROUP));
    assert_gapless(&other.arrivals_until(stream.sent(), SOON));
    bystander_wire
        .all()
        .assert_none("a copy", A_WHILE, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn a_downstream_interface_is_deleted_and_made_again() {
    let topology = Topology::new(&[Lan::host(), Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [victim, neighbour, bystander] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let bystander_wire = bystander.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let other = neighbour.join(GROUP);
    other.wait_for_arrival(SOON);
    victim.join(GROUP).wait_for_arrival(SOON);
    let index_before = topology.gateway.interface_index("lan0");

    topology.recreate_downstream(0);
    let index = topology.gateway.interface_index("lan0");
    assert_ne!(index, index_before);
    wait_until("igmpd to follow", SOON, || {
        let interfaces = daemon.ctl(&["show", "interfaces"]);
        let lan0 = rows(&interfaces).iter().find(|row| row["name"] == "lan0")?;
        (lan0["ifindex"] == index && lan0["state"] == "ready").then_some(())
    });
    let wire = victim.capture();
    wire.all()
        .assert_none("a copy before the join", A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    let subscription = victim.join(GROUP);
    let first = subscription.wait_for_arrival(SOON);
    assert_gapless(&subscription.arrivals_until(first.sequence + 100, SOON));

    assert_gapless(&other.arrivals_until(stream.sent(), SOON));
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn the_gateway_changes_its_address() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [member, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (member.capture(), bystander.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);

    let after = wire.from_now();
    topology
        .gateway
        .ip("addr del 10.1.0.1/24 dev lan0\naddr add 10.1.0.254/24 dev lan0");
    let new_address = Ipv4Addr::new(10, 1, 0, 254);
    after.wait_for(
        "a query from the new address",
        Duration::from_secs(5),
        |frame: &Frame| frame.received_igmp(Igmp::is_general_query) && frame.is_from(new_address),
    );
    let interfaces = daemon.ctl(&["show", "interfaces"]);
    let lan0 = rows(&interfaces)
        .iter()
        .find(|row| row["name"] == "lan0")
        .expect("lan0 is configured");
    assert_eq!(
        (&lan0["address"], &lan0["querier"]),
        (&"10.1.0.254".into(), &"10.1.0.254".into())
    );
    assert_eq!(lan0["querier_is_self"], true);

    // An address is how the router signs its queries: no member goes with it.
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| frame.is_copy_for(GROUP));
}

#[track_caller]
fn wait_for_state(daemon: &Daemon, interface: &str, state: &str) {
    wait_until(&format!("{interface} to be {state}"), SOON, || {
        let interfaces = daemon.ctl(&["show", "interfaces"]);
        rows(&interfaces)
            .iter()
            .any(|row| row["name"] == interface && row["state"] == state)
            .then_some(())
    });
}

fn has_group(daemon: &Daemon, interface: &str) -> bool {
    let groups = daemon.ctl(&["show", "groups", "--interface", interface]);
    rows(&groups)
        .iter()
        .any(|row| row["group"] == GROUP.to_string())
}

#[test]
fn the_gateway_s_port_changes_its_ethernet_address() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [member, neighbour] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, neighbour_wire) = (member.capture(), neighbour.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let (subscription, other) = (member.join(GROUP), neighbour.join(GROUP));
    subscription.wait_for_arrival(SOON);
    other.wait_for_arrival(SOON);

    let new_mac = [0x02, 0, 0, 0, 0, 0x77];
    let is_from_new_mac = |frame: &Frame| {
        frame.is_copy_for(GROUP)
            && frame
                .packet
                .as_ref()
                .is_some_and(|packet| packet.source_mac == new_mac)
    };
    topology
        .gateway
        .ip("link set lan0 address 02:00:00:00:00:77");
    wire.all()
        .wait_for("a copy from the new address", SOON, is_from_new_mac);
    // From then on every copy, and on this port only.
    wire.from_now()
        .assert_none("a copy from the old address", A_WHILE, |frame| {
            frame.is_copy_for(GROUP) && !is_from_new_mac(frame)
        });
    assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    assert_gapless(&other.arrivals_until(stream.sent(), SOON));
    neighbour_wire
        .all()
        .assert_none("the new address", Duration::ZERO, is_from_new_mac);
    daemon.ctl(&["show", "interfaces"]);
}
