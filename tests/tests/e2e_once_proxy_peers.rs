//! The routers that are not ours, as the test world starts them: judged with the kernel's own host in igmpd's place.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::igmp::Igmp;
use igmp_tests::peers::reports::judge_stay;
use igmp_tests::peers::{IgmpProxy, Kind, QUERY_INTERVAL, group_membership_interval};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{ACCESS, Lan, Topology, UPSTREAM};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const SOON: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_millis(300);

fn a_kernel_host_is_believed_served_and_forgotten(kind: Kind, version: u8) {
    let topology = Topology::behind(kind.provider(), &[Lan::host()]);
    let querier = kind.start(&topology, version);
    let access = Capture::start(topology.provider(), ACCESS);
    let wan = topology.capture_gateway(UPSTREAM);
    let _streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));
    access.all().wait_for("a General Query", SOON, |frame| {
        frame.sent_igmp(Igmp::is_general_query)
    });
    let autojoin = |verb: &str, more: &str| {
        topology
            .gateway
            .ip(&format!("addr {verb} {GROUP}/32 dev {UPSTREAM} {more}"));
    };
    autojoin("add", "autojoin");
    wait_until("the querier to know the member", SOON, || {
        querier.groups().contains(&GROUP).then_some(())
    });
    wan.all()
        .wait_for("the stream", SOON, |frame| frame.is_copy_for(GROUP));
    let after = access.from_now();
    wait_until("three Query Intervals", 5 * QUERY_INTERVAL, || {
        let queries = after.frames(|frame| frame.sent_igmp(Igmp::is_general_query));
        (queries.len() > 3).then_some(())
    });
    assert_eq!(querier.groups(), [GROUP].into());

    autojoin("del", "");
    wait_until("the querier to forget", group_membership_interval(), || {
        querier.groups().is_empty().then_some(())
    });
    wan.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    wan.all()
        .assert_none("what nobody asked for", Duration::ZERO, |frame| {
            frame.is_copy_for(OTHER_GROUP)
        });
    let frames = access.all().frames(|frame| frame.igmp().is_some());
    assert!(judge_stay(&frames, GROUP, version) >= 2);
}

#[test]
fn frr_with_igmpv3() {
    a_kernel_host_is_believed_served_and_forgotten(Kind::Frr, 3);
}

#[test]
fn frr_with_igmpv2() {
    a_kernel_host_is_believed_served_and_forgotten(Kind::Frr, 2);
}

#[test]
fn the_bridge_with_igmpv3() {
    a_kernel_host_is_believed_served_and_forgotten(Kind::Bridge, 3);
}

#[test]
fn the_bridge_with_igmpv2() {
    a_kernel_host_is_believed_served_and_forgotten(Kind::Bridge, 2);
}

#[test]
fn igmpproxy_forwards_from_alternative_networks_only() {
    for (alt_subnets, arrives) in [(&["10.0.0.0/23"][..], true), (&[], false)] {
        let topology = Topology::behind(Kind::Bridge.provider(), &[Lan::host()]);
        let querier = Kind::Bridge.start(&topology, 3);
        let _proxy = IgmpProxy::start(&topology, alt_subnets);
        let _stream = StreamSpec::to(GROUP).start(&topology.source);
        let receiver = &topology.receivers[0];
        let wire = receiver.capture();
        let subscription = receiver.join(GROUP);
        wait_until("the group upstream", SOON, || {
            querier.groups().contains(&GROUP).then_some(())
        });
        if arrives {
            subscription.wait_for_arrival(SOON);
        } else {
            wire.all()
                .assert_none("the stream", A_WHILE, |frame| frame.is_copy_for(GROUP));
        }
    }
}
