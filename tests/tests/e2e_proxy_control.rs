//! What an operator does to a running proxy: start it over, clear groups, switch it off and on.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::{Daemon, describe, rows};
use igmp_tests::host::assert_gapless;
use igmp_tests::igmp::Igmp;
use igmp_tests::proxy::{
    SOON, joined_upstream, reload, wait_for_upstream_join, wait_for_upstream_leave,
    wait_for_upstream_state,
};
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{Lan, Topology, UPSTREAM};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
/// Hosts answer a query within a second.
const IGMP: &str = "query_response_interval = \"1s\"";
const A_WHILE: Duration = Duration::from_millis(300);

#[track_caller]
fn ctl(daemon: &Daemon, arguments: &[&str]) {
    let output = daemon.ctl_output(arguments);
    assert!(output.status.success(), "{}", describe(&output));
}

fn uptime_ms(daemon: &Daemon, interface: &str, group: Ipv4Addr) -> Option<u64> {
    daemon.group(interface, group)?["uptime_ms"].as_u64()
}

#[test]
fn restart_forgets_all_leaves_upstream_and_learns_again() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let mut daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let link = topology.source.capture();
    let [member, other] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = member.capture();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscriptions = [member.join(GROUP), other.join(OTHER_GROUP)];
    subscriptions[0].wait_for_arrival(SOON);
    wait_until("the other group", SOON, || {
        joined_upstream(&daemon, OTHER_GROUP)
    });
    let forwarded = daemon.forwarded_from(UPSTREAM);
    assert!(forwarded > 0);

    let (downstream, upstream) = (wire.from_now(), link.from_now());
    ctl(&daemon, &["restart"]);
    for group in [GROUP, OTHER_GROUP] {
        wait_for_upstream_leave(upstream, group);
    }
    downstream.wait_for("a General Query", SOON, |frame| {
        frame.received_igmp(Igmp::is_general_query)
    });
    for group in [GROUP, OTHER_GROUP] {
        wait_for_upstream_join(upstream, group);
    }
    // It was forgotten: what the host answered is the beginning of its membership.
    let age = wait_until("the member", SOON, || uptime_ms(&daemon, "lan0", GROUP));
    assert!(age < 5_000, "{age} ms");
    subscriptions[0].arrivals();
    subscriptions[0].wait_for_arrival(SOON);
    daemon.assert_running();
    // The same process, the same programs: they went on counting.
    assert!(daemon.forwarded_from(UPSTREAM) > forwarded);
}

#[test]
fn clear_groups_forgets_what_it_names_and_nothing_else() {
    let topology = Topology::new(&[Lan::host(), Lan::hosts(2)]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let [first, second, _] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));
    let cleared = first.join(GROUP);
    let kept = first.join(OTHER_GROUP);
    let elsewhere = second.join(GROUP);
    for subscription in [&cleared, &kept, &elsewhere] {
        subscription.wait_for_arrival(SOON);
    }
    let older_than = |interface: &str, group| {
        let age = uptime_ms(&daemon, interface, group)?;
        (age > 1_500).then_some(age)
    };
    let all = [("lan0", GROUP), ("lan0", OTHER_GROUP), ("lan1", GROUP)];
    for (interface, group) in all {
        wait_until("old memberships", SOON, || older_than(interface, group));
    }
    let link = topology.source.capture();

    ctl(&daemon, &["clear", "groups", "lan0", "239.1.1.1"]);
    wait_until("the member to be learnt again", SOON, || {
        (uptime_ms(&daemon, "lan0", GROUP)? < 1_500).then_some(())
    });
    for (interface, group) in &all[1..] {
        assert!(
            older_than(interface, *group).is_some(),
            "{interface} {group}"
        );
    }
    cleared.arrivals();
    cleared.wait_for_arrival(SOON);
    for (subscription, stream) in [(&elsewhere, &streams[0]), (&kept, &streams[1])] {
        assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    }
    // lan1 wanted it all the time.
    link.all()
        .assert_none("a leave upstream", A_WHILE, |frame| {
            frame.received_igmp(|igmp| igmp.leaves(GROUP))
        });

    // A host that has gone without a word is what this is for.
    second.set_link(false);
    ctl(&daemon, &["clear", "groups", "lan1"]);
    wait_until("lan1 to be empty", SOON, || {
        daemon.group("lan1", GROUP).is_none().then_some(())
    });
    assert!(daemon.group("lan0", GROUP).is_some());

    let output = daemon.ctl_output(&["clear", "groups", "nosuch0"]);
    assert!(!output.status.success(), "{}", describe(&output));
}

#[test]
fn a_disabled_proxy_does_nothing_until_it_is_enabled() {
    let topology = Topology::new(&[Lan::host()]);
    let enabled = topology.config(IGMP);
    let disabled = topology.config(&format!("{IGMP}\n[proxy]\ndisabled = true"));
    let daemon = Daemon::start(&topology.gateway, &enabled);
    let link = topology.source.capture();
    let member = &topology.receivers[0];
    let wire = member.capture();
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    let subscription = member.join(GROUP);
    subscription.wait_for_arrival(SOON);
    let programs = || topology.gateway.programs(&[UPSTREAM, "lan0"]);
    assert!(programs() >= 2);

    let upstream = link.from_now();
    reload(&daemon, &disabled);
    wait_for_upstream_leave(upstream, GROUP);
    wire.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    wait_until("programs to be detached", SOON, || {
        (programs() == 0).then_some(())
    });
    assert!(rows(&daemon.ctl(&["show", "flows"])).is_empty());
    assert_eq!(joined_upstream(&daemon, GROUP), None);
    // A host that reports now is not heard.
    let quiet = (wire.from_now(), link.from_now());
    let _unheard = member.join(OTHER_GROUP);
    quiet.0.wait_for("its report", SOON, |frame| {
        frame.sent_igmp(|igmp| igmp.joins(OTHER_GROUP))
    });
    quiet.0.assert_none("a query or a copy", A_WHILE, |frame| {
        frame.received_igmp(|_| true) || frame.is_copy_for(GROUP)
    });
    quiet.1.assert_none("a report upstream", A_WHILE, |frame| {
        frame.received_igmp(|igmp| !igmp.wishes().is_empty())
    });

    let after = link.from_now();
    reload(&daemon, &enabled);
    wait_for_upstream_state(&daemon, "ready");
    for group in [GROUP, OTHER_GROUP] {
        wait_for_upstream_join(after, group);
    }
    subscription.arrivals();
    subscription.wait_for_arrival(SOON);
    assert_eq!(daemon.interface(UPSTREAM)["role"], "upstream");
}

#[test]
fn an_igmpd_that_ends_says_so_upstream() {
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(IGMP));
    let link = topology.source.capture();
    let _subscriptions = [GROUP, OTHER_GROUP].map(|group| topology.receivers[0].join(group));
    for group in [GROUP, OTHER_GROUP] {
        wait_for_upstream_join(link.all(), group);
    }
    assert!(daemon.stop().success());
    for group in [GROUP, OTHER_GROUP] {
        wait_for_upstream_leave(link.all(), group);
    }
}
