//! Packets that are too large for one output: the others get theirs, and what was not sent is counted under a name.

use std::net::Ipv4Addr;

use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::proxy::{IGMP, SOON};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology, UPSTREAM};
use igmp_tests::wait::wait_until;

const G: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// IPv4 and UDP header.
const HEADERS: usize = 28;

#[test]
fn a_device_with_a_smaller_mtu_gets_what_fits_and_the_others_get_everything() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    topology.gateway.ip("link set lan1 mtu 1000");
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [wide, narrow] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wires = [wide, narrow].map(Host::capture);
    let (wide, narrow) = (wide.join(G), narrow.join(G));
    wait_until("both members", SOON, || {
        daemon.group("lan0", G)?;
        daemon.group("lan1", G).map(drop)
    });

    let fits = StreamSpec::to(G).size(1000 - HEADERS);
    let stream = fits.start(&topology.source);
    for subscription in [&wide, &narrow] {
        assert_gapless(&subscription.arrivals_until(100, SOON));
    }
    stream.stop();
    assert_eq!(daemon.counter_on("lan1", "egress_mtu_exceeded"), 0);
    let by_tc = daemon.counter_on(UPSTREAM, "pass_to_tc");

    let [wide_wire, narrow_wire] = [&wires[0], &wires[1]].map(|wire| wire.from_now());
    let stream = StreamSpec::to(G)
        .size(1400 - HEADERS)
        .start(&topology.source);
    wait_until("large packets", SOON, || {
        (stream.sent() > 100).then_some(())
    });
    let sent = stream.stop();
    wait_until("all of them where they fit", SOON, || {
        (wide_wire.frames(is_large).len() as u64 == sent).then_some(())
    });
    assert_eq!(narrow_wire.frames(is_large).len(), 0);
    assert_eq!(daemon.counter_on("lan1", "egress_mtu_exceeded"), sent);
    assert_eq!(daemon.counter_on("lan0", "egress_mtu_exceeded"), 0);
    // Only they took the slower way.
    if daemon.interface(UPSTREAM)["datapath"] == "xdp-native" {
        let passed = daemon.counter_on(UPSTREAM, "pass_to_tc");
        assert_eq!((by_tc, passed), (0, sent));
    }

    // The device takes more from now on, and gets it.
    topology.gateway.ip("link set lan1 mtu 1500");
    let stream = StreamSpec::to(G)
        .size(1400 - HEADERS)
        .start(&topology.source);
    narrow_wire.wait_for("a large packet", SOON, is_large);
    stream.stop();
}

fn is_large(frame: &Frame) -> bool {
    frame.is_copy_for(G) && frame.bytes.len() == 14 + 1400
}
