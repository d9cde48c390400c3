//! What an operator allows and what not: whose messages count, and who may join what.

use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::{Frame, ROUTER_ALERT, seal_header};
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::Igmp;
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
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
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

fn both_sources(topology: &Topology, group: Ipv4Addr) -> [Stream; 2] {
    [A, B].map(|source| StreamSpec::to(group).from(source).start(&topology.source))
}

fn is_copy(frame: &Frame, group: Ipv4Addr, source: Ipv4Addr) -> bool {
    frame.is_copy_for(group) && frame.is_from(source)
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
