//! The test world itself, proven against the kernel's own bridge: what it says it sees, it sees.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use igmp_tests::frame::Direction;
use igmp_tests::host::Mode;
use igmp_tests::igmp::{Igmp, Record, RecordType};
use igmp_tests::netns::Namespace;
use igmp_tests::stream::StreamSpec;
use igmp_tests::topology::{BRIDGE, Lan, Topology};
use igmp_tests::tshark;
use igmp_tests::wait::wait_until;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const SOON: Duration = Duration::from_secs(2);
/// Long enough for 100 datagrams of a stream.
const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_namespace_is_gone_with_its_processes_when_dropped() {
    let namespace = Namespace::new("gone");
    let name = namespace.name().to_owned();
    let mut process = namespace
        .enter(|| std::process::Command::new("sleep").arg("1000").spawn())
        .unwrap();
    drop(namespace);
    assert!(!Path::new("/run/netns").join(name).exists());
    assert!(!process.wait().unwrap().success(), "killed, not ended");
}

#[test]
fn every_kind_of_membership_is_reported_as_the_rfc_says() {
    let topology = Topology::new(&[Lan::host()]);
    let host = &topology.receivers[0];
    let wire = topology.capture_gateway("lan0");
    let (a, b) = (Topology::SOURCE, Topology::SECOND_SOURCE);
    // RFC 9776 section 5.1: a state-change record for each change of the interface's state.
    let expect = |change: &dyn Fn(), kind: RecordType, sources: &[Ipv4Addr]| {
        let record = Record::new(kind, GROUP, sources);
        let after = wire.from_now();
        change();
        after.wait_for(&format!("{record:?}"), SOON, |frame| {
            frame.received_igmp(
                |igmp| matches!(igmp, Igmp::ReportV3(records) if records.contains(&record)),
            )
        });
    };

    let any = std::cell::Cell::new(None);
    expect(&|| any.set(Some(host.join(GROUP))), RecordType::ToEx, &[]);
    let subscription = any.into_inner().unwrap();
    expect(&|| subscription.block(b), RecordType::Block, &[b]);
    expect(
        &|| subscription.set_filter(Mode::Include, &[a]),
        RecordType::ToIn,
        &[a],
    );
    expect(&|| subscription.add_source(b), RecordType::Allow, &[b]);
    expect(&|| subscription.drop_source(a), RecordType::Block, &[a]);
    expect(
        &|| subscription.set_filter(Mode::Exclude, &[a]),
        RecordType::ToEx,
        &[a],
    );
    let left = wire.from_now();
    subscription.leave();
    left.wait_for("the leave", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.leaves(GROUP))
    });
}

#[test]
fn version_2_hosts_speak_version_2() {
    let topology = Topology::new(&[Lan::host().igmp_version(2)]);
    let wire = topology.capture_gateway("lan0");
    let subscription = topology.receivers[0].join(GROUP);
    wire.all().wait_for("a version 2 report", SOON, |frame| {
        frame.received_igmp(|igmp| *igmp == Igmp::ReportV2(GROUP))
    });
    subscription.leave();
    wire.all().wait_for("a Leave", SOON, |frame| {
        frame.received_igmp(|igmp| *igmp == Igmp::Leave(GROUP))
    });
    wire.all()
        .assert_none("a version 3 report", Duration::ZERO, |frame| {
            frame.received_igmp(|igmp| matches!(igmp, Igmp::ReportV3(_)))
        });
}

#[test]
fn a_snooping_bridge_gives_a_stream_to_the_host_that_joined_and_to_no_other() {
    let topology = Topology::new(&[Lan::hosts(2)]);
    let switch = topology.switch(0);
    switch.ip(&format!("addr add 10.1.0.9/24 dev {BRIDGE}"));
    switch.ip(&format!(
        "link set {BRIDGE} type bridge mcast_snooping 1 mcast_querier 1 mcast_query_use_ifaddr 1 \
         mcast_startup_query_interval 10"
    ));
    let [member, other] = topology.lan_receivers(0) else {
        panic!("two hosts")
    };
    let (member_wire, other_wire) = (member.capture(), other.capture());
    let query = member_wire
        .all()
        .wait_for("the bridge's query", Duration::from_secs(5), |frame| {
            frame.received_igmp(Igmp::is_general_query)
        });
    let [fields] = &tshark::judge(&[query], &["ip.src", "igmp.type", "ip.ttl"])[..] else {
        panic!("one row")
    };
    assert_eq!(fields, &["10.1.0.9", "0x11", "1"]);

    let subscription = member.join(GROUP);
    member_wire.all().wait_for("its report", SOON, |frame| {
        frame.sent_igmp(|igmp| igmp.joins(GROUP))
    });
    wait_until("the bridge to have learnt it", SOON, || {
        let entries = switch.run(&["bridge", "mdb", "show"]);
        entries
            .lines()
            .any(|line| line.contains("port p1") && line.contains("239.1.1.1"))
            .then_some(())
    });

    // A host on the same LAN is the source here: the gateway has no multicast routing.
    let stream = StreamSpec::to(GROUP).start(other);
    let arrivals = subscription.arrivals_until(99, SOON);
    assert!(arrivals.iter().map(|arrival| arrival.sequence).is_sorted());
    assert_eq!(arrivals[0].source, other.address);
    let copy = member_wire
        .all()
        .wait_for("a copy", SOON, |frame| frame.is_copy_for(GROUP))
        .packet
        .unwrap();
    assert!(copy.checksum_good);
    assert_eq!(copy.ttl, igmp_tests::stream::TTL);
    other_wire
        .all()
        .assert_none("a copy", A_WHILE, |frame| frame.is_copy_for(GROUP));
    drop(stream);
}

#[test]
fn a_stream_is_paced_and_its_count_is_what_left_the_device() {
    let topology = Topology::new(&[Lan::host()]);
    let wire = topology.source.capture();
    let stream = StreamSpec::to(GROUP)
        .every(Duration::from_millis(1))
        .start(&topology.source);
    wait_until("300 datagrams", SOON, || {
        (stream.sent() >= 300).then_some(())
    });
    let sent = stream.stop();
    let to_group = |frame: &igmp_tests::frame::Frame| {
        frame
            .packet
            .as_ref()
            .is_some_and(|p| p.destination == GROUP)
    };
    let frames = wait_until("all of them on the wire", SOON, || {
        let frames = wire.all().frames(to_group);
        (frames.len() as u64 >= sent).then_some(frames)
    });
    assert_eq!(frames.len() as u64, sent);
    assert!(frames.iter().all(|frame| frame.direction == Direction::Out));
    let took = frames[299].at.duration_since(frames[0].at).unwrap();
    assert!(
        (290..400).contains(&took.as_millis()),
        "300 datagrams, one a millisecond, took {took:?}"
    );
}

#[test]
fn a_second_network_beside_this_one_sees_none_of_its_frames() {
    let [one, two] = [(); 2].map(|()| Topology::new(&[Lan::host()]));
    let (wire_one, wire_two) = (one.capture_gateway("lan0"), two.capture_gateway("lan0"));
    let _subscription = one.receivers[0].join(GROUP);
    wire_one.all().wait_for("a report", SOON, |frame| {
        frame.received_igmp(|igmp| igmp.joins(GROUP))
    });
    wire_two
        .all()
        .assert_none("a report", A_WHILE, |frame| frame.igmp().is_some());
}
