//! What an operator allows and what he does not: who may join what, and what flows without anybody joining.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{Frame, ROUTER_ALERT, seal_header};
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;
use serde_json::json;

const A: Ipv4Addr = Topology::SOURCE;
const B: Ipv4Addr = Topology::SECOND_SOURCE;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
/// A group that no list of these tests permits.
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 2, 1, 1);
/// Source-specific (RFC 4607: 232/8).
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const OTHER_SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 2, 1, 1);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_group_policy_says_what_hosts_may_join() {
    let lists = "[[acl]]\nnumber = 2000\nrules = [{ action = \"permit\", group = \"239.1.0.0/16\" }]\n\
                 [[acl]]\nname = \"empty\"\nrules = []\n";
    let topology = Topology::new(&[
        Lan::host(),
        Lan::host().igmp_version(2),
        Lan::host(),
        Lan::host(),
    ]);
    let config = topology.config_with(
        "",
        &[
            "group_policy = 2000",
            "group_policy = 2000",
            "group_policy = \"absent\"",
            "group_policy = \"empty\"",
        ],
    );
    let daemon = Daemon::start(&topology.gateway, &format!("{config}{lists}"));
    let log = daemon.log();
    for (interface, list) in [
        ("lan2", "acl absent does not exist"),
        ("lan3", "acl empty has no rules"),
    ] {
        assert!(
            log.lines().any(|line| line.contains("WARN")
                && line.contains(interface)
                && line.contains(list)),
            "no warning about {interface}: {log}"
        );
    }
    let wires: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));

    let _members: Vec<_> = topology
        .receivers
        .iter()
        .flat_map(|host| [GROUP, OTHER_GROUP].map(|group| host.join(group)))
        .collect();
    for (index, refused) in [1, 1, 2, 2].into_iter().enumerate() {
        let interface = format!("lan{index}");
        wait_until(&format!("the refusals on {interface}"), SOON, || {
            (daemon.counter_on(&interface, "refused_group_policy") >= refused).then_some(())
        });
    }
    for wire in &wires[..2] {
        wire.all().wait_for("the permitted group", SOON, |frame| {
            frame.is_copy_for(GROUP)
        });
        wire.all().assert_none("another group", A_WHILE, |frame| {
            frame.is_copy_for(OTHER_GROUP)
        });
    }
    for wire in &wires[2..] {
        wire.all().assert_none("a copy", Duration::ZERO, |frame| {
            frame.is_copy_for(GROUP) || frame.is_copy_for(OTHER_GROUP)
        });
    }
    assert!(streams.iter().all(|stream| stream.sent() > 100));
    let acls = daemon.ctl(&["show", "acl"]);
    let list = rows(&acls)
        .iter()
        .find(|acl| acl["number"] == 2000)
        .expect("it is configured");
    assert_eq!(
        list["rules"][0]["hits"], 2,
        "one member of each of two interfaces: {list:#}"
    );
    assert!(list["no_match"].as_u64() >= Some(2));
    assert_eq!(
        list["used_by"],
        json!(["lan0 group_policy", "lan1 group_policy"])
    );
}

#[test]
fn an_advanced_list_says_which_sources_hosts_may_join() {
    let list = "[[acl]]\nnumber = 3000\nrules = [\
                { action = \"deny\", group = \"232.1.0.0/16\", source = \"10.0.0.2/32\" },\
                { action = \"permit\", group = \"232.0.0.0/8\" } ]\n";
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let config = topology.config_with("", &["group_policy = 3000"]);
    let daemon = Daemon::start(&topology.gateway, &format!("{config}{list}"));
    let wires = [
        topology.receivers[0].capture(),
        topology.receivers[1].capture(),
    ];
    let _streams = both_sources(&topology, SSM_GROUP);
    let _members: Vec<_> = topology
        .receivers
        .iter()
        .map(|host| {
            let subscription = host.join_source(SSM_GROUP, A);
            subscription.add_source(B);
            subscription
        })
        .collect();
    for source in [A, B] {
        wires[1]
            .all()
            .wait_for("both where nothing is said", SOON, |frame| {
                is_copy(frame, SSM_GROUP, source)
            });
    }
    wires[0]
        .all()
        .wait_for("the permitted source", SOON, |frame| {
            is_copy(frame, SSM_GROUP, B)
        });
    wires[0]
        .all()
        .assert_none("the denied source", A_WHILE, |frame| {
            is_copy(frame, SSM_GROUP, A)
        });
    assert!(daemon.counter_on("lan0", "refused_group_policy") > 0);
    assert_eq!(daemon.counter_on("lan1", "refused_group_policy"), 0);
}

#[test]
fn a_source_policy_says_whose_reports_and_whose_queries_count() {
    // The gateway's address is above those of its hosts, so that their queries could win.
    let topology = Topology::new(&[Lan::hosts(2)]);
    topology
        .gateway
        .ip("addr del 10.1.0.1/24 dev lan0\naddr add 10.1.0.200/24 dev lan0");
    let [first, second] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let lists = format!(
        "[[acl]]\nnumber = 3001\nrules = [{{ action = \"permit\", source = \"{}/32\" }}]\n\
         [[acl]]\nnumber = 3002\nrules = [{{ action = \"permit\", source = \"{}/32\" }}]\n",
        first.address, second.address
    );
    let config = topology.config_with("", &["source_policy = { reports = 3001, queries = 3002 }"]);
    let daemon = Daemon::start(&topology.gateway, &format!("{config}{lists}"));
    let send = |host: &Host, destination: Ipv4Addr, message: &Igmp| {
        host.frame_sender()
            .send(&host.igmp_packet(destination, message).frame());
    };
    let refused = || daemon.counter_on("lan0", "refused_source_not_accepted");

    send(second, GROUP, &Igmp::ReportV2(GROUP));
    wait_until("the report to be refused", SOON, || {
        (refused() == 1).then_some(())
    });
    assert_eq!(daemon.group("lan0", GROUP), None);
    send(first, GROUP, &Igmp::ReportV2(GROUP));
    wait_until("the other's to be taken", SOON, || {
        daemon.group("lan0", GROUP)
    });

    let query = Igmp::Query {
        version: 3,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_secs(1),
        sources: Vec::new(),
    };
    send(first, ALL_SYSTEMS, &query);
    wait_until("the query to be refused", SOON, || {
        (refused() == 2).then_some(())
    });
    assert_eq!(daemon.interface("lan0")["querier_is_self"], true);
    send(second, ALL_SYSTEMS, &query);
    wait_until("the other's to win", SOON, || {
        (daemon.interface("lan0")["querier"] == second.address.to_string()).then_some(())
    });
    assert_eq!(refused(), 2);
}

#[test]
fn router_alert_is_required_where_it_is_said_to_be() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let config = topology.config_with("", &["require_router_alert = true"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let [strict, lenient] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let report = |host: &Host, group| host.igmp_packet(group, &Igmp::ReportV2(group)).frame();
    for host in [strict, lenient] {
        host.frame_sender()
            .send(&without_router_alert(&report(host, GROUP)));
    }
    wait_until("a member where it is not required", SOON, || {
        daemon.group("lan1", GROUP)
    });
    wait_until("the refusal where it is", SOON, || {
        (daemon.counter_on("lan0", "refused_router_alert") == 1).then_some(())
    });
    assert_eq!(daemon.group("lan0", GROUP), None);
    assert_eq!(daemon.counter_on("lan1", "refused_router_alert"), 0);
    strict.frame_sender().send(&report(strict, GROUP));
    wait_until("a member with it", SOON, || daemon.group("lan0", GROUP));
    // A kernel's own reports carry it.
    let _subscription = strict.join(OTHER_GROUP);
    wait_until("a kernel member", SOON, || {
        daemon.group("lan0", OTHER_GROUP)
    });
}

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

#[test]
fn the_hosts_of_a_group_are_shown() {
    let topology = Topology::new(&[Lan::hosts(3), Lan::host()]);
    let config = topology.config_with("", &["prompt_leave = { tracked = true }"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let [first, second, other, elsewhere] = &topology.receivers[..] else {
        panic!("four receivers")
    };
    let _members = [
        first.join(GROUP),
        second.join_source(GROUP, A),
        other.join(OTHER_GROUP),
        elsewhere.join(GROUP),
    ];
    let hosts = || {
        let arguments = [
            "show",
            "groups",
            "--hosts",
            "--interface",
            "lan0",
            "--group",
            "239.1.1.1",
        ];
        let groups = daemon.ctl(&arguments);
        let hosts = rows(&groups).first()?["hosts"].as_array()?.clone();
        (hosts.len() == 2).then_some(hosts)
    };
    let hosts = wait_until("both hosts of the group", SOON, hosts);
    let told: Vec<_> = hosts
        .iter()
        .map(|host| (&host["address"], &host["filter_mode"]))
        .collect();
    assert_eq!(
        told,
        [
            (&first.address.to_string().into(), &"exclude".into()),
            (&second.address.to_string().into(), &"include".into()),
        ]
    );
    assert!(
        hosts
            .iter()
            .all(|host| host["last_heard_ms"].as_u64() < Some(10_000))
    );
    // Unasked they are not shown.
    assert!(daemon.group("lan0", GROUP).expect("members")["hosts"].is_null());
}

#[test]
fn a_policy_that_comes_by_reload_ends_what_it_does_not_permit() {
    let list =
        "[[acl]]\nnumber = 2000\nrules = [{ action = \"permit\", group = \"239.1.0.0/16\" }]\n";
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let [host, neighbour] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = host.capture();
    let streams = [GROUP, OTHER_GROUP].map(|group| StreamSpec::to(group).start(&topology.source));
    let [permitted, denied] = [GROUP, OTHER_GROUP].map(|group| host.join(group));
    let elsewhere = neighbour.join(OTHER_GROUP);
    for subscription in [&permitted, &denied, &elsewhere] {
        subscription.wait_for_arrival(SOON);
    }
    let config = topology.config_with("", &["group_policy = 2000"]);
    daemon.rewrite_config(&format!("{config}{list}"));
    daemon.ctl(&["reload"]);
    wire.all()
        .wait_for_last("what is not permitted", SOON, A_WHILE, |frame| {
            frame.is_copy_for(OTHER_GROUP)
        });
    assert_gapless(&permitted.arrivals_until(streams[0].sent(), SOON));
    assert_gapless(&elsewhere.arrivals_until(streams[1].sent(), SOON));
}

#[test]
fn where_another_is_the_querier_forwarding_can_be_kept_on() {
    let topology = Topology::new(&[Lan::hosts(2), Lan::hosts(2)]);
    topology.gateway.ip(
        "addr del 10.1.0.1/24 dev lan0\naddr add 10.1.0.200/24 dev lan0\n\
         addr del 10.2.0.1/24 dev lan1\naddr add 10.2.0.200/24 dev lan1",
    );
    let config = topology.config_with("", &["forward_as_non_querier = true"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let [on, rival_on, off, rival_off] = &topology.receivers[..] else {
        panic!("four receivers")
    };
    let wire = off.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let [kept, _cut] = [on, off].map(|host| {
        let subscription = host.join(GROUP);
        subscription.wait_for_arrival(SOON);
        subscription
    });
    let query = Igmp::Query {
        version: 3,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_secs(1),
        sources: Vec::new(),
    };
    for (rival, lan) in [(rival_on, "lan0"), (rival_off, "lan1")] {
        rival
            .frame_sender()
            .send(&rival.igmp_packet(ALL_SYSTEMS, &query).frame());
        wait_until("the rival to be the querier", SOON, || {
            (daemon.interface(lan)["querier"] == rival.address.to_string()).then_some(())
        });
    }
    wire.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    assert_gapless(&kept.arrivals_until(stream.sent() + 100, SOON));
}

#[test]
fn a_limit_of_sources_is_exact_and_room_is_used_again() {
    let topology = Topology::new(&[Lan::host()]);
    let config = topology.config_with("", &["max_sources = 3"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let host = &topology.receivers[0];
    let source = |index| Ipv4Addr::new(10, 9, 9, index);
    let report = |kind, group, sources: &[Ipv4Addr]| {
        let report = Igmp::ReportV3(vec![Record::new(kind, group, sources)]);
        host.frame_sender()
            .send(&host.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame());
    };
    let sources = |group| -> usize {
        let group = daemon.group("lan0", group);
        group.map_or(0, |group| rows(&group["sources"]).len())
    };
    report(RecordType::Allow, GROUP, &[source(1), source(2)]);
    report(RecordType::Allow, OTHER_GROUP, &[source(3), source(4)]);
    wait_until("the fourth to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_source_limit") == 1).then_some(())
    });
    assert_eq!((sources(GROUP), sources(OTHER_GROUP)), (2, 1));
    // INCLUDE (A), TO_IN ({}): nobody answers the query, and both are gone after the Last Member Query Time.
    report(RecordType::ToIn, GROUP, &[]);
    wait_until("the first two to go", SOON, || {
        (sources(GROUP) == 0).then_some(())
    });
    report(RecordType::Allow, OTHER_GROUP, &[source(4), source(5)]);
    wait_until("their room to be used", SOON, || {
        (sources(OTHER_GROUP) == 3).then_some(())
    });
    assert_eq!(daemon.counter_on("lan0", "refused_source_limit"), 1);
}

fn both_sources(topology: &Topology, group: Ipv4Addr) -> [Stream; 2] {
    [A, B].map(|source| StreamSpec::to(group).from(source).start(&topology.source))
}

fn is_copy(frame: &Frame, group: Ipv4Addr, source: Ipv4Addr) -> bool {
    frame.is_copy_for(group)
        && frame
            .packet
            .as_ref()
            .is_some_and(|packet| packet.source == source)
}

/// The frame with an IPv4 header without options.
fn without_router_alert(frame: &[u8]) -> Vec<u8> {
    const ETHERNET: usize = 14;
    const FIXED_HEADER: usize = 20;
    let options = ETHERNET + FIXED_HEADER..ETHERNET + FIXED_HEADER + ROUTER_ALERT.len();
    assert_eq!(frame[options.clone()], ROUTER_ALERT);
    let mut frame = frame.to_vec();
    frame.drain(options);
    let length = u16::try_from(frame.len() - ETHERNET).expect("it was one");
    let header = &mut frame[ETHERNET..ETHERNET + FIXED_HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    seal_header(header);
    frame
}
