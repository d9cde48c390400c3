//! When the proxy leaves upstream: at once with quick leave, after the Last Member Query Time without, later with linger;
//! and nobody who stays notices.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::capture::Capture;
use igmp_tests::daemon::Daemon;
use igmp_tests::frame::{Frame, IgmpPacket};
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::Igmp;
use igmp_tests::peers::Kind;
use igmp_tests::proxy::{
    ALT_SUBNETS, IGMP, LAST_MEMBER_QUERY_TIME, LATE, SOON, assert_no_upstream_leave,
    joined_upstream, longest_gap, wait_for_upstream_join, wait_for_upstream_leave,
};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{ACCESS, Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// For a message to go through the gateway.
const AT_ONCE: Duration = Duration::from_millis(100);
const UNNOTICED_GAP: Duration = Duration::from_millis(50);
const LINGER: Duration = Duration::from_secs(2);

/// Leaves a group and says when that went onto the wire.
fn leave(host: &Host, wire: &Capture, subscription: igmp_tests::host::Subscription) -> SystemTime {
    let after = wire.from_now();
    let group = subscription.group();
    subscription.leave();
    let what = format!("the leave of {}", host.name);
    let is_leave = |frame: &Frame| frame.sent_igmp(|igmp| igmp.leaves(group));
    after.wait_for(&what, SOON, is_leave).at
}

fn after(later: &Frame, earlier: SystemTime) -> Duration {
    later
        .at
        .duration_since(earlier)
        .expect("the effect follows its cause")
}

#[test]
fn one_of_two_on_a_lan_leaves_and_the_other_notices_nothing() {
    for version in [3, 2] {
        let topology = Topology::new(&[Lan::hosts(2).igmp_version(version)]);
        let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
        let link = topology.source.capture();
        let stream = StreamSpec::to(GROUP).start(&topology.source);
        let [leaver, stayer] = &topology.receivers[..] else {
            panic!("two receivers")
        };
        let wire = leaver.capture();
        // A host of version 2 says Leave only when it reported last, so there the messages are made by hand.
        let says = |destination, message| {
            let packet = leaver.igmp_packet(destination, &message);
            leaver.frame_sender().send(&packet.frame());
        };
        let leaving = (version == 3).then(|| leaver.join(GROUP));
        if version == 2 {
            says(GROUP, Igmp::ReportV2(GROUP));
        }
        let staying = stayer.join(GROUP);
        staying.wait_for_arrival(SOON);
        wire.all()
            .wait_for("the stream", SOON, |frame| frame.is_copy_for(GROUP));

        let before = wire.from_now();
        match leaving {
            Some(leaving) => leaving.leave(),
            None => says(ALL_ROUTERS, Igmp::Leave(GROUP)),
        }
        let is_leave = |frame: &Frame| frame.sent_igmp(|igmp| igmp.leaves(GROUP));
        let left = before.wait_for("the leave", SOON, is_leave).at;
        // Past all that the leave could have caused.
        let late = left + LAST_MEMBER_QUERY_TIME + SOON / 5;
        wire.all()
            .wait_for("the stream going on", 2 * SOON, |frame| {
                frame.at > late && frame.is_copy_for(GROUP)
            });
        let arrivals = staying.arrivals_until(stream.sent(), SOON);
        assert_gapless(&arrivals);
        let gap = longest_gap(&arrivals, StreamSpec::to(GROUP).interval);
        assert!(gap <= UNNOTICED_GAP, "{gap:?} with IGMPv{version}");
        assert!(joined_upstream(&daemon, GROUP).is_some());
        if version == 3 {
            // Both are known: the one that stays has said so itself.
            assert_no_upstream_leave(link.all(), GROUP, Duration::ZERO);
        }
        // The last one is passed on at once.
        let left = leave(stayer, &stayer.capture(), staying);
        let upstream = wait_for_upstream_leave(link.all(), GROUP);
        let delay = upstream.at.duration_since(left).unwrap_or_default();
        assert!(delay < AT_ONCE, "{delay:?}");
    }
}

#[test]
fn one_of_two_lans_loses_its_last_member_and_upstream_hears_nothing() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let _daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let link = topology.source.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let [leaver, stayer] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let [wire, other_wire] = [leaver, stayer].map(Host::capture);
    let leaving = leaver.join(GROUP);
    let staying = stayer.join(GROUP);
    staying.wait_for_arrival(SOON);
    leaving.wait_for_arrival(SOON);
    // What joining says is said.
    link.all()
        .wait_for_last("reports", SOON, 3 * SOON / 10, |frame| {
            frame.received_igmp(|igmp| igmp.joins(GROUP))
        });

    let quiet = link.from_now();
    leave(leaver, &wire, leaving);
    let stopped = wire
        .all()
        .wait_for_last("the stream", SOON, AT_ONCE, |frame| {
            frame.is_copy_for(GROUP)
        });
    quiet.assert_none("anything upstream", SOON / 5, |frame| {
        frame.received_igmp(|igmp| !igmp.wishes().is_empty())
    });
    assert!(stopped.elapsed().is_ok());
    assert_gapless(&staying.arrivals_until(stream.sent(), SOON));

    let left = leave(stayer, &other_wire, staying);
    let delay = after(&wait_for_upstream_leave(quiet, GROUP), left);
    assert!(delay < AT_ONCE, "{delay:?}");
}

/// A Leave in the name of the only known member, who is still there: what a real second member that was never heard does.
#[test]
fn a_member_that_answers_after_a_quick_leave_loses_nothing() {
    for version in [3, 2] {
        let topology = Topology::behind(
            Kind::Bridge.provider(),
            &[Lan::hosts(2).igmp_version(version)],
        );
        let _querier = Kind::Bridge.start(&topology, 3);
        // The member answers within 0.2 s; the provider's switch waits 1 s for others.
        let igmp = "last_member_query_count = 2\nlast_member_query_interval = \"200ms\"";
        let config = topology.proxy_config(igmp, ALT_SUBNETS, &[]);
        let daemon = Daemon::start(&topology.gateway, &config);
        let access = Capture::start(topology.provider(), ACCESS);
        let stream = StreamSpec::to(GROUP).start(&topology.source);
        let [member, forger] = &topology.receivers[..] else {
            panic!("two receivers")
        };
        let subscription = member.join(GROUP);
        subscription.wait_for_arrival(SOON);

        let quiet = access.from_now();
        let leave = IgmpPacket {
            source: member.address,
            ..forger.igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP))
        };
        // A version 2 Leave says the same in both versions (RFC 9776 section 7.3.2).
        forger.frame_sender().send(&leave.frame());
        let left = wait_for_upstream_leave(quiet, GROUP);
        let rejoined = quiet.wait_for("the report of who is left", SOON, |frame| {
            frame.at > left.at && frame.received_igmp(|igmp| igmp.joins(GROUP))
        });
        let late = rejoined.at + LAST_MEMBER_QUERY_TIME + LATE;
        wait_until("the stream going on", SOON, || {
            SystemTime::now().gt(&late).then_some(())
        });
        let arrivals = subscription.arrivals_until(stream.sent(), SOON);
        assert_gapless(&arrivals);
        let gap = longest_gap(&arrivals, StreamSpec::to(GROUP).interval);
        assert!(gap <= UNNOTICED_GAP, "{gap:?}");
        assert!(joined_upstream(&daemon, GROUP).is_some());
    }
}

#[test]
fn without_quick_leave_upstream_hears_of_it_after_the_last_member_query_time() {
    let topology = Topology::new(&[Lan::host(), Lan::host().igmp_version(2)]);
    let igmp = format!("{IGMP}\n[proxy]\nquick_leave = false");
    let daemon = Daemon::start(&topology.gateway, &topology.config(&igmp));
    let link = topology.source.capture();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    for member in &topology.receivers {
        let wire = member.capture();
        let subscription = member.join(GROUP);
        subscription.wait_for_arrival(SOON);
        let upstream = link.from_now();
        let left = leave(member, &wire, subscription);
        // Until then it is a member as any other.
        assert_no_upstream_leave(upstream, GROUP, LAST_MEMBER_QUERY_TIME / 2);
        assert!(joined_upstream(&daemon, GROUP).is_some());
        let delay = after(&wait_for_upstream_leave(upstream, GROUP), left);
        assert!(
            (LAST_MEMBER_QUERY_TIME..LAST_MEMBER_QUERY_TIME + LATE).contains(&delay),
            "{delay:?}"
        );
        wait_until("the group to be left", SOON, || {
            joined_upstream(&daemon, GROUP).is_none().then_some(())
        });
    }
}

#[test]
fn lingering_keeps_the_join_and_a_return_costs_no_message() {
    let topology = Topology::new(&[Lan::host()]);
    let linger = LINGER.as_secs();
    let igmp = format!("{IGMP}\n[proxy]\nleave_linger = \"{linger}s\"");
    let daemon = Daemon::start(&topology.gateway, &topology.config(&igmp));
    let link = topology.source.capture();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let member = &topology.receivers[0];
    let wire = member.capture();
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    link.all()
        .wait_for_last("reports", SOON, 3 * SOON / 10, |frame| {
            frame.received_igmp(|igmp| igmp.joins(GROUP))
        });

    // Away for longer than the last member procedure, and back.
    let quiet = link.from_now();
    leave(member, &wire, subscription);
    wire.all()
        .wait_for_last("the stream", SOON, AT_ONCE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert!(joined_upstream(&daemon, GROUP).is_some());
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    quiet.assert_none("anything upstream", LINGER + LATE, |frame| {
        frame.received_igmp(|igmp| !igmp.wishes().is_empty())
    });

    let left = leave(member, &wire, subscription);
    let delay = after(&wait_for_upstream_leave(quiet, GROUP), left);
    assert!((LINGER..LINGER + LATE).contains(&delay), "{delay:?}");
    assert_eq!(joined_upstream(&daemon, GROUP), None);
}

#[test]
fn a_static_group_is_joined_upstream_for_ever() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let keys = format!("static_groups = [\"{GROUP}\"]");
    let link = topology.source.capture();
    let daemon = Daemon::start(&topology.gateway, &topology.config_with(IGMP, &["", &keys]));
    wait_for_upstream_join(link.all(), GROUP);
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let [member, _] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    leave(member, &wire, subscription);
    assert_no_upstream_leave(link.all(), GROUP, LAST_MEMBER_QUERY_TIME + LATE);
    assert!(joined_upstream(&daemon, GROUP).is_some());
}
