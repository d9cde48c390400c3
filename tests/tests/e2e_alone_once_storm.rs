//! More reports and more groups than anybody needs: limits are exact, and whoever is not the cause notices nothing.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use igmp_tests::bpffs::Bpffs;
use igmp_tests::capture::Capture;
use igmp_tests::daemon::{Daemon, rows};
use igmp_tests::frame::Frame;
use igmp_tests::host::{Host, assert_gapless};
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::netns::Namespace;
use igmp_tests::stream::{Stream, StreamSpec};
use igmp_tests::topology::{Lan, Topology};
use igmp_tests::wait::{SetOnDrop, wait_until};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// From the report on the wire to the first copy.
const JOIN_TIME: Duration = Duration::from_millis(100);
/// What a storm may cost in memory, and in this test a debug build's at that.
const MEMORY: u64 = 48 << 20;
const SOON: Duration = Duration::from_secs(3);
const A_WHILE: Duration = Duration::from_millis(200);

/// Sends frames at a steady pace; how they are made is up to the caller.
fn storm(host: &Host, frames: u32, a_second: u32, frame: impl Fn(u32) -> Vec<u8>) {
    let sender = host.frame_sender();
    let begun = Instant::now();
    for index in 0..frames {
        let due = Duration::from_secs(1) * index / a_second;
        thread::sleep(due.saturating_sub(begun.elapsed()));
        sender.send(&frame(index));
    }
}

#[test]
fn of_fifty_thousand_groups_a_thousand_are_kept_and_nobody_else_notices() {
    const GROUPS: u32 = 50_000;
    const A_SECOND: u32 = 12_500;
    const LIMIT: u64 = 1_000;
    const QUERY_INTERVAL: Duration = Duration::from_secs(1);
    let topology = Topology::new(&[Lan::hosts(2), Lan::host()]);
    let config = topology.config_with(
        "",
        &[
            "max_groups = 1000",
            "query_interval = \"1s\"\nquery_response_interval = \"500ms\"",
        ],
    );
    let mut daemon = Daemon::start_with(&topology.gateway, &config, "info");
    let events = daemon.events();
    let [member, attacker, newcomer] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let (attacker_wire, newcomer_wire) = (attacker.capture(), newcomer.capture());
    let stream = StreamSpec::to(GROUP).start(&topology.source);
    let first_come = member.join(GROUP);
    first_come.wait_for_arrival(SOON);
    let memory = daemon.resident_memory();

    let group = |index: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 64, 0, 0)) + index);
    let latencies = thread::scope(|scope| {
        let storm = scope.spawn(|| {
            storm(attacker, GROUPS, A_SECOND, |index| {
                let group = group(index);
                attacker.igmp_packet(group, &Igmp::ReportV2(group)).frame()
            });
        });
        attacker_wire
            .all()
            .wait_for("the storm to be on", SOON, |frame| {
                frame.sent_igmp(|igmp| igmp.joins(group(GROUPS / 10)))
            });
        let latencies = join_times(&topology, newcomer, &newcomer_wire);
        assert!(!storm.is_finished(), "the newcomers joined after the storm");
        storm.join().expect("no panic");
        latencies
    });
    assert!(
        latencies.iter().all(|latency| *latency < JOIN_TIME),
        "{latencies:?}"
    );

    // Each of the fifty thousand is accounted for: kept, refused, or not even copied out of the kernel.
    let counter = |name: &str| daemon.counter_on("lan0", name);
    let policed = || counter("igmp_policed") + counter("igmp_ring_full");
    wait_until("all reports to be judged", SOON, || {
        (counter("received_report_v2") + policed() == u64::from(GROUPS)).then_some(())
    });
    let lan0 = daemon.interface("lan0");
    assert_eq!(lan0["groups"], LIMIT);
    // The member's own group is one of the thousand.
    let taken = LIMIT - 1;
    assert_eq!(
        counter("refused_group_limit"),
        u64::from(GROUPS) - policed() - taken
    );
    assert!(
        counter("refused_group_limit") > taken,
        "the limit was what stopped them"
    );
    for used in [800, LIMIT] {
        events.wait_for("a high-water mark", SOON, |event| {
            event["event"] == "high-water"
                && (&event["interface"], &event["limit"], &event["used"])
                    == (&"lan0".into(), &"max_groups".into(), &used.into())
        });
    }

    // Nobody else noticed.
    assert_gapless(&first_come.arrivals_until(stream.sent(), SOON));
    let queries = newcomer_wire
        .all()
        .frames(|frame| frame.received_igmp(Igmp::is_general_query));
    assert!(queries.len() >= 4, "{} queries", queries.len());
    for pair in queries.windows(2) {
        let gap = pair[1].at.duration_since(pair[0].at).expect("in order");
        assert!(
            gap < QUERY_INTERVAL + JOIN_TIME,
            "a query {gap:?} after the one before"
        );
    }
    assert_eq!(daemon.counter_on("lan1", "refused_group_limit"), 0);
    assert_eq!(daemon.counter_on("lan1", "igmp_policed"), 0);
    let grown = daemon.resident_memory().saturating_sub(memory);
    assert!(grown < MEMORY, "grew by {} MiB", grown >> 20);
    daemon.assert_running();
}

#[test]
fn five_thousand_reports_a_second_for_random_groups_delay_no_honest_join() {
    const REPORTS: u32 = 15_000;
    const A_SECOND: u32 = 5_000;
    let topology = Topology::new(&[Lan::hosts(2), Lan::host()]);
    let mut daemon = Daemon::start_with(&topology.gateway, &topology.config(""), "info");
    let [neighbour, attacker, elsewhere] = &topology.receivers[..] else {
        panic!("three receivers")
    };
    let wires = [neighbour.capture(), elsewhere.capture()];
    let memory = daemon.resident_memory();
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            storm(attacker, REPORTS, A_SECOND, |index| {
                // Multiplicative hashing: spread over 239.128/9, each once.
                let spread = index.wrapping_mul(2_654_435_761) >> 9;
                let group = Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 128, 0, 0)) | spread);
                let report = Igmp::ReportV3(vec![Record::new(RecordType::IsEx, group, &[])]);
                attacker.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame()
            });
        });
        wait_until("the storm to be on", SOON, || {
            (daemon.counter_on("lan0", "received_report_v3") > 500).then_some(())
        });
        for (host, wire) in [(neighbour, &wires[0]), (elsewhere, &wires[1])] {
            let latencies = join_times(&topology, host, wire);
            assert!(
                latencies.iter().all(|latency| *latency < JOIN_TIME),
                "{}: {latencies:?}",
                host.name
            );
        }
        assert!(
            !storm.is_finished(),
            "the honest hosts joined after the storm"
        );
    });
    daemon.assert_running();
    assert_eq!(daemon.counter_on("lan0", "igmp_policed"), 0);
    let grown = daemon.resident_memory().saturating_sub(memory);
    assert!(grown < MEMORY, "grew by {} MiB", grown >> 20);
    wait_until("what the honest host left to go", SOON, || {
        (daemon.interface("lan1")["groups"] == 0).then_some(())
    });
}

/// Reports come before everything else, and there is no end of them here.
#[test]
fn a_flood_beyond_what_can_be_read_starves_neither_timers_nor_questions() {
    const GROUPS: u32 = 100;
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let timers = "query_interval = \"1s\"\nquery_response_interval = \"500ms\"";
    let config = topology.config_with("", &["", timers]);
    let config = format!("[datapath]\nigmp_rate = 0\n{config}");
    let daemon = Daemon::start_with(&topology.gateway, &config, "error");
    let [attacker, bystander] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = bystander.capture();
    // One report of many groups is one record in the ring, and much to do.
    let groups = (0..GROUPS).map(|index| Ipv4Addr::from(u32::from(GROUP) + index));
    let records = groups.map(|group| Record::new(RecordType::IsEx, group, &[]));
    let report = Igmp::ReportV3(records.collect());
    let frame = attacker.igmp_packet(ALL_IGMPV3_ROUTERS, &report).frame();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let sender = attacker.frame_sender();
            while !is_over.load(Ordering::Relaxed) {
                sender.send(&frame);
            }
        });
        let _end = SetOnDrop(&is_over);
        for _ in 0..3 {
            let lost = daemon.counter_on("lan0", "igmp_ring_full");
            wire.from_now().wait_for("a query", SOON, |frame| {
                frame.received_igmp(Igmp::is_general_query)
            });
            wait_until("the ring to overflow", SOON, || {
                (daemon.counter_on("lan0", "igmp_ring_full") > lost).then_some(())
            });
        }
        assert!(daemon.stop().success());
    });
}

#[test]
fn a_limit_of_groups_is_exact_and_room_is_used_again() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let quick = "last_member_query_count = 2\nlast_member_query_interval = \"200ms\"";
    let config = topology.config_with(quick, &["max_groups = 3"]);
    let daemon = Daemon::start(&topology.gateway, &config);
    let [host, unlimited] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = host.capture();
    let groups = [1, 2, 3, 4].map(|index| Ipv4Addr::new(239, 1, 1, index));
    let streams = groups.map(|group| StreamSpec::to(group).start(&topology.source));
    let [one, two, three] = [0, 1, 2].map(|index| {
        let subscription = host.join(groups[index]);
        subscription.wait_for_arrival(SOON);
        subscription
    });
    assert_eq!(daemon.counter_on("lan0", "refused_group_limit"), 0);
    let beyond = host.join(groups[3]);
    wait_until("the fourth to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_group_limit") > 0).then_some(())
    });
    wire.all()
        .assert_none("the fourth", A_WHILE, |frame| frame.is_copy_for(groups[3]));
    let _others = groups.map(|group| {
        let subscription = unlimited.join(group);
        subscription.wait_for_arrival(SOON);
        subscription
    });

    one.leave();
    wait_until("the first to go", SOON, || {
        daemon.group("lan0", groups[0]).is_none().then_some(())
    });
    drop(beyond);
    let again = host.join(groups[3]);
    again.wait_for_arrival(SOON);
    let shown = daemon.ctl(&["show", "groups", "--interface", "lan0"]);
    assert_eq!(rows(&shown).len(), 3);
    for (subscription, stream) in [(&two, &streams[1]), (&three, &streams[2])] {
        assert_gapless(&subscription.arrivals_until(stream.sent(), SOON));
    }
}

#[test]
fn a_limit_of_all_interfaces_together_is_shared() {
    let topology = Topology::new(&[Lan::host(), Lan::host()]);
    let config = format!("{}[policy]\nmax_groups = 2\n", topology.config(""));
    let daemon = Daemon::start(&topology.gateway, &config);
    let [first, second] = &topology.receivers[..] else {
        panic!("two receivers")
    };
    let wire = second.capture();
    let other = Ipv4Addr::new(239, 1, 1, 2);
    let _streams = [GROUP, other].map(|group| StreamSpec::to(group).start(&topology.source));
    // The same group on two interfaces is two memberships.
    let members = [first.join(GROUP), second.join(GROUP)];
    for member in &members {
        member.wait_for_arrival(SOON);
    }
    let _beyond = second.join(other);
    wait_until("the third to be refused", SOON, || {
        (daemon.counter_on("lan1", "refused_group_limit") > 0).then_some(())
    });
    wire.all()
        .assert_none("the third", A_WHILE, |frame| frame.is_copy_for(other));
    assert_eq!(daemon.counter_on("lan0", "refused_group_limit"), 0);
}

#[test]
fn a_limit_of_sources_is_exact_and_room_is_used_again() {
    let topology = Topology::new(&[Lan::host()]);
    let other = Ipv4Addr::new(239, 1, 1, 2);
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
    report(RecordType::Allow, other, &[source(3), source(4)]);
    wait_until("the fourth to be refused", SOON, || {
        (daemon.counter_on("lan0", "refused_source_limit") == 1).then_some(())
    });
    assert_eq!((sources(GROUP), sources(other)), (2, 1));
    // INCLUDE (A), TO_IN ({}): nobody answers the query, and both are gone after the Last Member Query Time.
    report(RecordType::ToIn, GROUP, &[]);
    wait_until("the first two to go", SOON, || {
        (sources(GROUP) == 0).then_some(())
    });
    report(RecordType::Allow, other, &[source(4), source(5)]);
    wait_until("their room to be used", SOON, || {
        (sources(other) == 3).then_some(())
    });
    assert_eq!(daemon.counter_on("lan0", "refused_source_limit"), 1);
}

/// A host joins and leaves some running streams one after the other: each time from its report to the first copy.
fn join_times(topology: &Topology, host: &Host, wire: &Capture) -> Vec<Duration> {
    const JOINS: u8 = 5;
    let groups: Vec<Ipv4Addr> = (1..=JOINS)
        .map(|index| Ipv4Addr::new(239, 2, 2, index))
        .collect();
    let _streams: Vec<Stream> = groups
        .iter()
        .map(|group| StreamSpec::to(*group).start(&topology.source))
        .collect();
    groups
        .iter()
        .map(|group| {
            let after = wire.from_now();
            let _subscription = host.join(*group);
            let joins = |frame: &Frame| frame.sent_igmp(|igmp| igmp.joins(*group));
            let report = after.wait_for("the report", SOON, joins);
            let copy = after.wait_for("the first copy", SOON, |frame| frame.is_copy_for(*group));
            copy.at
                .duration_since(report.at)
                .expect("nothing comes before it is asked for")
        })
        .collect()
}

/// The kernel waits for each program of a device that it takes down, and holds its lock over all devices meanwhile: for
/// seconds when a namespace goes with hundreds of them.
#[test]
fn devices_that_are_taken_down_elsewhere_hold_up_nothing() {
    const DEVICES: usize = 150;
    const ATTACHED_WITHIN: Duration = Duration::from_mins(1);
    const WATCHED: Duration = Duration::from_secs(8);
    const AT_MOST: Duration = Duration::from_millis(500);
    let topology = Topology::new(&[Lan::host()]);
    let daemon = Daemon::start(&topology.gateway, &topology.config(""));
    let crowd = Namespace::new("crowd");
    let pairs = (0..DEVICES).fold(String::new(), |mut batch, n| {
        let _ = writeln!(batch, "link add a{n} type veth peer name b{n}");
        batch
    });
    crowd.ip(&pairs);
    let bpffs = Bpffs::new();
    let config = format!(
        "{}[[interface]]\nname = \"a*\"\nrole = \"downstream\"\n",
        bpffs.config()
    );
    let other = Daemon::start_with(&crowd, &config, "info");
    wait_until("programs on all devices", ATTACHED_WITHIN, || {
        let shown = other.ctl(&["show", "interfaces"]);
        let mut devices = rows(&shown).iter();
        devices
            .all(|device| device["datapath"] != "none")
            .then_some(())
    });
    // The programs outlive it, as far as the devices.
    other.kill();
    drop(crowd);
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    while began.elapsed() < WATCHED {
        let asked = Instant::now();
        daemon.ctl(&["show", "counters"]);
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest <= AT_MOST, "igmpd took {slowest:?} to answer");
}
