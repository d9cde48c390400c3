//! Prompt-leave: the Leave of an IGMPv2 host ends the stream at once and without a query, where the operator says so and
//! nowhere else.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use igmp_tests::capture::{Capture, View};
use igmp_tests::daemon::{Daemon, describe, rows};
use igmp_tests::events::Events;
use igmp_tests::frame::Frame;
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::Igmp;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);

/// Last Member Query Count 2, Last Member Query Time 2 x 0.5 s.
const IGMP: &str = "last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
const LAST_MEMBER_QUERY_COUNT: usize = 2;
const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
const STOP_TOLERANCE: Duration = Duration::from_millis(100);
const STAMP_TOLERANCE: Duration = Duration::from_millis(10);
/// Of the Leave on the wire to the last copy behind it.
const PROMPT_MEDIAN: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

/// Three rules, not in the order of their numbers: the lowest number is tried first.
const LIST: &str = "[[acl]]\nnumber = 2000\nname = \"stb\"\nrules = [\n\
                    { action = \"deny\", group = \"239.0.0.0/14\", sequence = 30 },\n\
                    { action = \"permit\", group = \"239.1.0.0/16\", sequence = 10 },\n\
                    { action = \"deny\", group = \"239.2.0.0/16\", sequence = 20 },\n]\n";

#[test]
fn the_stream_stops_with_the_leave_and_nobody_is_asked() {
    const GROUPS: u8 = 9;
    let topology = Topology::new(&[Lan::host().igmp_version(2), Lan::host().igmp_version(2)]);
    let config = topology.config_with(IGMP, &["prompt_leave = true"]);
    let daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let [prompt, ordinary] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let (wire, ordinary_wire) = (prompt.capture(), ordinary.capture());
    let groups: Vec<Ipv4Addr> = (0..GROUPS)
        .map(|index| Ipv4Addr::new(239, 1, 1, index))
        .collect();
    let _streams: Vec<Stream> = groups
        .iter()
        .map(|group| StreamSpec::to(*group).start(&topology.source))
        .collect();

    let subscriptions: Vec<_> = groups.iter().map(|group| prompt.join(*group)).collect();
    let other = ordinary.join(groups[0]);
    for subscription in subscriptions.iter().chain([&other]) {
        subscription.wait_for_arrival(SOON);
    }
    for subscription in subscriptions {
        let group = subscription.group();
        subscription.leave();
        wait_for_leave(&wire.all(), group);
    }
    let mut took: Vec<Duration> = groups
        .iter()
        .map(|group| stop_after_leave(&wire.all(), *group))
        .collect();
    took.sort();
    assert!(
        took[took.len() / 2] < PROMPT_MEDIAN,
        "from Leave to last copy: {took:?}"
    );

    wire.all()
        .assert_none("a query about a group", A_WHILE, |frame| {
            groups.iter().any(|group| asks_about(frame, *group))
        });
    assert!(rows(&daemon.ctl(&["show", "groups", "--interface", "lan0"])).is_empty());
    assert_eq!(daemon.counter_on("lan0", "leave_prompt"), u64::from(GROUPS));

    // Where it is not configured, the last member procedure runs, for the same group.
    other.leave();
    let took = stop_after_leave(&ordinary_wire.all(), groups[0]);
    assert_ordinary(&ordinary_wire, groups[0], took);
    assert_eq!(daemon.counter_on("lan1", "leave_queried"), 1);
}

#[test]
fn a_policy_makes_some_leaves_prompt_and_the_others_ordinary() {
    let cases = [
        (
            "group_policy = 2000",
            [239, 1, 0, 1],
            "prompt",
            "permit rule 10",
        ),
        (
            "group_policy = \"stb\"",
            [239, 1, 0, 2],
            "prompt",
            "permit rule 10",
        ),
        (
            "group_policy = 2000",
            [239, 2, 0, 3],
            "query",
            "deny rule 20",
        ),
        (
            "group_policy = 2000",
            [239, 3, 0, 4],
            "query",
            "deny rule 30",
        ),
        ("group_policy = 2000", [239, 9, 0, 5], "query", "no match"),
        (
            "group_policy = 2001",
            [239, 1, 0, 6],
            "query",
            "acl 2001 missing",
        ),
        (
            "group_policy = \"none\"",
            [239, 1, 0, 7],
            "query",
            "acl none missing",
        ),
        (
            "group_policy = 3000",
            [239, 1, 0, 8],
            "query",
            "acl 3000 empty",
        ),
    ];
    let topology = Topology::new(&cases.map(|_| Lan::host().igmp_version(2)));
    let keys = cases.map(|(policy, ..)| format!("prompt_leave = {{ {policy} }}"));
    let config = topology.config_with(IGMP, &keys.each_ref().map(String::as_str));
    let empty = "[[acl]]\nnumber = 3000\nrules = []\n";
    let daemon = Daemon::start(&topology.gateway, &format!("{config}{LIST}{empty}"));
    let events = daemon.events();
    let wires: Vec<Capture> = topology.receivers.iter().map(Host::capture).collect();
    let groups = cases.map(|(_, group, ..)| Ipv4Addr::from(group));
    let _streams = groups.map(|group| StreamSpec::to(group).start(&topology.source));
    let subscriptions: Vec<_> = topology
        .receivers
        .iter()
        .zip(groups)
        .map(|(host, group)| host.join(group))
        .collect();
    for subscription in &subscriptions {
        subscription.wait_for_arrival(SOON);
    }
    subscriptions
        .into_iter()
        .for_each(igmp_tests::host::Subscription::leave);

    for (index, (_, group, decision, cause)) in cases.into_iter().enumerate() {
        let (group, wire) = (Ipv4Addr::from(group), &wires[index]);
        let took = stop_after_leave(&wire.all(), group);
        if decision == "prompt" {
            assert!(took < STOP_TOLERANCE, "{group} stopped after {took:?}");
            wire.all()
                .assert_none("a query", Duration::ZERO, |frame| asks_about(frame, group));
        } else {
            assert_ordinary(wire, group, took);
        }
        let told = decision_on(&events, &format!("lan{index}"), group);
        assert_eq!(told, (decision.to_owned(), cause.to_owned()));
    }
    // What decided how often. `group_policy = "stb"` is the same list as 2000.
    let acls = daemon.ctl(&["show", "acl"]);
    let list = rows(&acls)
        .iter()
        .find(|acl| acl["number"] == 2000)
        .expect("it is configured");
    let hits: Vec<_> = rows(&list["rules"])
        .iter()
        .map(|rule| (&rule["sequence"], &rule["hits"]))
        .collect();
    assert_eq!(
        hits,
        [
            (&10.into(), &2.into()),
            (&20.into(), &1.into()),
            (&30.into(), &1.into())
        ]
    );
    assert_eq!(list["no_match"], 1);
    let missing = rows(&acls)
        .iter()
        .find(|acl| acl["number"] == 2001)
        .expect("it is named");
    assert_eq!(
        (&missing["defined"], &missing["used_by"][0]),
        (&false.into(), &"lan5 prompt_leave.group_policy".into())
    );
}

#[test]
fn the_leave_of_a_version_3_host_is_prompt_only_where_it_is_said_to_be() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let keys = ["prompt_leave = true", "prompt_leave = { v3 = true }"];
    let daemon = Daemon::start(&topology.gateway, &topology.config_with(IGMP, &keys));
    let events = daemon.events();
    let [ordinary, prompt] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wires = [ordinary.capture(), prompt.capture()];
    let _stream = StreamSpec::to(GROUP).start(&topology.source);
    for host in [ordinary, prompt] {
        let subscription = host.join(GROUP);
        subscription.wait_for_arrival(SOON);
        subscription.leave();
    }
    let took = stop_after_leave(&wires[0].all(), GROUP);
    assert_ordinary(&wires[0], GROUP, took);
    let took = stop_after_leave(&wires[1].all(), GROUP);
    assert!(took < STOP_TOLERANCE, "stopped after {took:?}");
    wires[1]
        .all()
        .assert_none("a query", Duration::ZERO, |frame| asks_about(frame, GROUP));
    assert_eq!(
        decision_on(&events, "lan0", GROUP),
        ("query".into(), "version 3 leave".into())
    );
    assert_eq!(
        decision_on(&events, "lan1", GROUP),
        ("prompt".into(), "no policy".into())
    );
}

#[test]
fn with_host_tracking_the_stream_goes_with_the_last_known_host() {
    // Group Membership Interval 1 x 2 s + 2 x 0.5 s: so long it has to listen first.
    const QUICK: &str = "robustness = 1\nquery_interval = \"2s\"\nquery_response_interval = \"500ms\"\n\
                         last_member_query_count = 2\nlast_member_query_interval = \"500ms\"";
    const GROUP_MEMBERSHIP_INTERVAL: Duration = Duration::from_secs(3);
    let topology = Topology::new(&[Lan::hosts(2).igmp_version(2)]);
    let config = topology.config_with(QUICK, &["prompt_leave = { tracked = true }"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let started = SystemTime::now();
    let events = daemon.events();
    let [stayer, leaver] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = stayer.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);

    // It may not know every host yet.
    let early = leaver.join(GROUP);
    early.wait_for_arrival(SOON);
    early.leave();
    assert_eq!(
        next_decision(&events, 0),
        ("query".into(), "still learning hosts".into())
    );
    wire.all()
        .wait_for_last("the stream", SOON, A_WHILE, |frame| {
            frame.is_copy_for(GROUP)
        });
    wait_until(
        "it to have listened long enough",
        2 * GROUP_MEMBERSHIP_INTERVAL,
        || (started.elapsed().ok()? > GROUP_MEMBERSHIP_INTERVAL).then_some(()),
    );

    // Two known hosts, of which one leaves: the other keeps the stream.
    let after = wire.from_now();
    let staying = stayer.join(GROUP);
    after.wait_for("the first report", SOON, |frame| {
        frame.sent_igmp(|igmp| igmp.joins(GROUP))
    });
    let leaving = leaver.join(GROUP);
    after.wait_for("the second report", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.joins(GROUP))
    });
    staying.wait_for_arrival(SOON);
    wait_until("both to be known", SOON, || {
        let groups = daemon.ctl(&["show", "groups", "--hosts"]);
        let hosts = rows(&groups).first()?["hosts"].as_array()?;
        (hosts.len() == 2).then_some(())
    });
    leaving.leave();
    assert_eq!(
        next_decision(&events, 1),
        ("query".into(), "1 other hosts".into())
    );
    // Nor does one that was not a member take it away.
    leaver
        .frame_sender()
        .send(&leaver.igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP)).frame());
    assert_eq!(
        next_decision(&events, 2),
        ("query".into(), "1 other hosts".into())
    );
    let late = SystemTime::now() + LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE;
    wire.all().wait_for("the stream going on", SOON, |frame| {
        frame.at > late && frame.is_copy_for(GROUP)
    });
    assert_gapless(&staying.arrivals_until(stream.sent(), SOON));

    // The last one does.
    let after = wire.from_now();
    staying.leave();
    assert_eq!(
        next_decision(&events, 3),
        ("prompt".into(), "no policy".into())
    );
    let took = stop_after_leave(&after, GROUP);
    assert!(took < STOP_TOLERANCE, "stopped after {took:?}");
    after.assert_none("a query", Duration::ZERO, |frame| asks_about(frame, GROUP));
}

#[test]
fn without_host_tracking_a_leave_speaks_for_the_whole_interface() {
    // Which is why prompt-leave is for one host an interface: a neighbour's Leave cuts the stream until the next report.
    const QUICK: &str = "query_interval = \"2s\"\nquery_response_interval = \"500ms\"";
    let topology = Topology::new(&[Lan::hosts(2).igmp_version(2), Lan::host()]);
    let config = topology.config_with(QUICK, &["prompt_leave = true"]);
    let _daemon = Daemon::start(&topology.gateway, &config);
    let [stayer, neighbour, elsewhere] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let wire = stayer.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let (staying, other) = (stayer.join(GROUP), elsewhere.join(GROUP));
    staying.wait_for_arrival(SOON);
    other.wait_for_arrival(SOON);
    let after = wire.from_now();
    neighbour.frame_sender().send(
        &neighbour
            .igmp_packet(ALL_ROUTERS, &Igmp::Leave(GROUP))
            .frame(),
    );
    let leave = after.wait_for("the Leave", SOON, |frame| {
        frame.received_igmp(|igmp| *igmp == Igmp::Leave(GROUP))
    });
    // Its answer to the next General Query brings it back.
    let report = after.wait_for("the next report", 2 * SOON, |frame| {
        frame.at > leave.at && frame.sent_igmp(|igmp| igmp.joins(GROUP))
    });
    after.wait_for("the stream again", SOON, |frame| {
        frame.at > report.at && frame.is_copy_for(GROUP)
    });
    after.assert_none("a copy between the two", Duration::ZERO, |frame| {
        frame.is_copy_for(GROUP) && frame.at > leave.at + PROMPT_MEDIAN && frame.at < report.at
    });
    assert_gapless(&other.arrivals_until(stream.sent(), SOON));
}

#[test]
fn a_changed_list_holds_for_the_next_leave() {
    let topology = Topology::new(&[Lan::host().igmp_version(2)]);
    let config = |action: &str| {
        let interfaces = topology.config_with(IGMP, &["prompt_leave = { group_policy = 2000 }"]);
        format!(
            "{interfaces}[[acl]]\nnumber = 2000\nrules = [{{ action = \"{action}\", group = \"239.1.0.0/16\" }}]\n"
        )
    };
    let daemon = Daemon::start(&topology.gateway, &config("deny"));
    let events = daemon.events();
    let host = &topology.receivers[0];
    let wire = host.capture();
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    for (round, (action, expected)) in [
        ("deny", ("query", "deny rule 5")),
        ("permit", ("prompt", "permit rule 5")),
        ("deny", ("query", "deny rule 5")),
    ]
    .into_iter()
    .enumerate()
    {
        let subscription = host.join(GROUP);
        let first = subscription.wait_for_arrival(SOON);
        // While the host is a member: what it has is not touched.
        daemon.rewrite_config(&config(action));
        let output = daemon.ctl_output(&["reload"]);
        assert!(output.status.success(), "{}", describe(&output));
        let arrivals = subscription.arrivals_until(stream.sent() + 50, SOON);
        assert_gapless(&arrivals);
        assert!(arrivals[0].sequence == first.sequence + 1);

        let after = wire.from_now();
        subscription.leave();
        let took = stop_after_leave(&after, GROUP);
        let queries = after.frames(|frame| asks_about(frame, GROUP)).len();
        let (decision, cause) = next_decision(&events, round);
        assert_eq!((decision.as_str(), cause.as_str()), expected);
        if decision == "prompt" {
            assert!(
                took < STOP_TOLERANCE && queries == 0,
                "{queries} queries, stopped after {took:?}"
            );
        } else {
            assert!(took > STOP_TOLERANCE && queries == LAST_MEMBER_QUERY_COUNT);
        }
    }
}

fn wait_for_leave(view: &View<'_>, group: Ipv4Addr) -> Frame {
    view.wait_for("the Leave", SOON, |frame| {
        frame.sent_igmp(|igmp| igmp.leaves(group))
    })
}

/// From the Leave on the wire to the last copy behind it; zero when none came behind it.
fn stop_after_leave(view: &View<'_>, group: Ipv4Addr) -> Duration {
    let leave = wait_for_leave(view, group);
    let last = view.wait_for_last("the stream", SOON, A_WHILE, |frame| {
        frame.at == leave.at || (frame.at > leave.at && frame.is_copy_for(group))
    });
    last.duration_since(leave.at)
        .expect("it is the Leave or later")
}

/// The last member procedure: its number of queries, its time.
#[track_caller]
fn assert_ordinary(wire: &Capture, group: Ipv4Addr, took: Duration) {
    assert!(
        took + STAMP_TOLERANCE >= LAST_MEMBER_QUERY_TIME
            && took <= LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE,
        "{group} stopped after {took:?}"
    );
    let queries = wire.all().frames(|frame| asks_about(frame, group));
    assert_eq!(queries.len(), LAST_MEMBER_QUERY_COUNT, "{queries:?}");
}

fn asks_about(frame: &Frame, group: Ipv4Addr) -> bool {
    frame.received_igmp(|igmp| igmp.asks_about(group))
}

/// What was decided of the one Leave of a group on an interface, and why.
#[track_caller]
fn decision_on(events: &Events, interface: &str, group: Ipv4Addr) -> (String, String) {
    let is_leave = |event: &serde_json::Value| {
        event["event"] == "leave"
            && event["interface"] == interface
            && event["group"] == group.to_string()
    };
    decision(&events.wait_for("the decision", SOON, is_leave))
}

/// What was decided of the Leave with this index, and why.
#[track_caller]
fn next_decision(events: &Events, index: usize) -> (String, String) {
    let event = wait_until(&format!("decision {index}"), SOON, || {
        events
            .all(|event| event["event"] == "leave")
            .get(index)
            .cloned()
    });
    decision(&event)
}

fn decision(event: &serde_json::Value) -> (String, String) {
    let text = |key: &str| event[key].as_str().expect("text").to_owned();
    (text("decision"), text("cause"))
}
