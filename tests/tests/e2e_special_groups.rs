//! Groups of a special kind: static ones, source-specific ones, and those that are never tracked.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::daemon::Daemon;
use igmp_tests::frame::Frame;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;
use serde_json::json;

const A: Ipv4Addr = Topology::SOURCE;
const B: Ipv4Addr = Topology::SECOND_SOURCE;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// Source-specific (RFC 4607: 232/8).
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const OTHER_SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 2, 1, 1);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);
#[test]
fn static_groups_flow_where_no_host_has_asked() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let keys =
        format!("static_groups = [\"{GROUP}\", {{ group = \"{SSM_GROUP}\", source = \"{A}\" }}]");
    let daemon = Daemon::start(&topology.gateway, &topology.config_with("", &[&keys]));
    let [host, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, bystander_wire) = (host.capture(), bystander.capture());
    let _streams = [
        both_sources(&topology, GROUP),
        both_sources(&topology, SSM_GROUP),
    ];
    for (group, source) in [(GROUP, A), (GROUP, B), (SSM_GROUP, A)] {
        wire.all().wait_for("the static group", SOON, |frame| {
            is_copy(frame, group, source)
        });
    }
    wire.all().assert_none("another source", A_WHILE, |frame| {
        is_copy(frame, SSM_GROUP, B)
    });
    wire.all().assert_none("a report", Duration::ZERO, |frame| {
        frame.sent_igmp(|igmp| igmp.joins(GROUP) || igmp.joins(SSM_GROUP))
    });
    for group in [GROUP, SSM_GROUP] {
        assert_eq!(daemon.group("lan0", group).expect("static")["static"], true);
        assert_eq!(daemon.group("lan1", group), None);
    }
    bystander_wire
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| {
            frame.is_copy_for(GROUP) || frame.is_copy_for(SSM_GROUP)
        });

    // Taken out of the configuration they stop; what a host has asked for meanwhile does not.
    let subscription = host.join(GROUP);
    subscription.wait_for_arrival(SOON);
    daemon.rewrite_config(&topology.config(""));
    daemon.ctl(&["reload"]);
    wire.all()
        .wait_for_last("the static source", SOON, A_WHILE, |frame| {
            is_copy(frame, SSM_GROUP, A)
        });
    wire.from_now()
        .wait_for("the host's group", SOON, |frame| frame.is_copy_for(GROUP));
    assert_eq!(
        daemon.group("lan0", GROUP).expect("a member")["static"],
        false
    );
    assert_eq!(daemon.group("lan0", SSM_GROUP), None);
}

#[test]
fn a_source_specific_group_is_joined_by_source_or_by_mapping() {
    let topology = Topology::new(&[Lan::host().igmp_version(2), Lan::host(), Lan::host()]);
    let policy =
        format!("[policy]\nssm_mapping = [{{ group = \"232.1.0.0/16\", sources = [\"{A}\"] }}]\n");
    let daemon = Daemon::start(
        &topology.gateway,
        &format!("{}{policy}", topology.config("")),
    );
    let [version_2, version_3, by_source] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let wires = [
        version_2.capture(),
        version_3.capture(),
        by_source.capture(),
    ];
    let _streams = [
        both_sources(&topology, SSM_GROUP),
        both_sources(&topology, OTHER_SSM_GROUP),
    ];

    // RFC 4604 section 2.2: a report for any source of such a group is ignored, of whatever version; what it stands for
    // may be configured for hosts that cannot say otherwise.
    let mapped = version_2.join(SSM_GROUP);
    let _not_mapped = version_2.join(OTHER_SSM_GROUP);
    let _any_source = version_3.join(SSM_GROUP);
    let _source = by_source.join_source(OTHER_SSM_GROUP, B);
    wires[0].all().wait_for("the mapped source", SOON, |frame| {
        is_copy(frame, SSM_GROUP, A)
    });
    wires[2]
        .all()
        .wait_for("the source asked for", SOON, |frame| {
            is_copy(frame, OTHER_SSM_GROUP, B)
        });
    for lan in ["lan0", "lan1"] {
        wait_until("the refusals", SOON, || {
            (daemon.counter_on(lan, "refused_any_source") > 0).then_some(())
        });
    }
    wires[0]
        .all()
        .assert_none("another source or group", A_WHILE, |frame| {
            is_copy(frame, SSM_GROUP, B) || frame.is_copy_for(OTHER_SSM_GROUP)
        });
    wires[1]
        .all()
        .assert_none("a copy", Duration::ZERO, |frame| {
            frame.is_copy_for(SSM_GROUP)
        });
    wires[2]
        .all()
        .assert_none("another source or group", Duration::ZERO, |frame| {
            is_copy(frame, OTHER_SSM_GROUP, A) || frame.is_copy_for(SSM_GROUP)
        });
    let group = daemon.group("lan0", SSM_GROUP).expect("a member");
    assert_eq!(
        (&group["filter_mode"], &group["sources"][0]["address"]),
        (&"include".into(), &A.to_string().into())
    );
    // And its Leave ends it.
    mapped.leave();
    wires[0]
        .all()
        .wait_for_last("the mapped source", 2 * SOON, A_WHILE, |frame| {
            frame.is_copy_for(SSM_GROUP)
        });
}

#[test]
fn the_source_specific_range_is_the_operator_s() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let policy = "[policy]\nssm_ranges = [\"239.1.0.0/16\"]\n";
    let daemon = Daemon::start(
        &topology.gateway,
        &format!("{}{policy}", topology.config("")),
    );
    let wire = topology.receivers[0].capture();
    let _streams = [GROUP, SSM_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));
    let _members = [GROUP, SSM_GROUP].map(|group| topology.receivers[0].join(group));
    wire.all()
        .wait_for("a group outside the range", SOON, |frame| {
            frame.is_copy_for(SSM_GROUP)
        });
    wait_until("the refusal", SOON, || {
        (daemon.counter_on("lan0", "refused_any_source") > 0).then_some(())
    });
    wire.all()
        .assert_none("a group within", A_WHILE, |frame| frame.is_copy_for(GROUP));
}

#[test]
fn untracked_groups_are_neither_kept_nor_forwarded() {
    const UNTRACKED: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
    let topology = Topology::new(&[Lan::host()]);
    let policy = format!("[policy]\nuntracked_groups = [\"{UNTRACKED}/32\"]\n");
    let daemon = Daemon::start(
        &topology.gateway,
        &format!("{}{policy}", topology.config("")),
    );
    let wire = topology.receivers[0].capture();
    let _streams = [GROUP, UNTRACKED].map(|group| StreamSpec::to(group).start(&topology.source));
    let _members = [UNTRACKED, GROUP].map(|group| topology.receivers[0].join(group));
    wire.all()
        .wait_for("the tracked group", SOON, |frame| frame.is_copy_for(GROUP));
    wait_until("the refusal", SOON, || {
        (daemon.counter_on("lan0", "refused_untracked_group") > 0).then_some(())
    });
    wire.all()
        .assert_none("the other", A_WHILE, |frame| frame.is_copy_for(UNTRACKED));
    assert_eq!(daemon.group("lan0", UNTRACKED), None);
    let config = daemon.ctl(&["show", "config"]);
    assert_eq!(
        config[0]["policy"]["untracked_groups"],
        json!(["224.0.0.0/24", format!("{UNTRACKED}/32")])
    );
}

fn both_sources(topology: &Topology, group: Ipv4Addr) -> [Stream; 2] {
    [A, B].map(|source| StreamSpec::to(group).from(source).start(&topology.source))
}

fn is_copy(frame: &Frame, group: Ipv4Addr, source: Ipv4Addr) -> bool {
    frame.is_copy_for(group) && frame.is_from(source)
}
