use super::super::sim::{G, LAN, Sim, Time as _, changed, query};
use super::super::{AclRef, Counter, Input, InterfaceParams, InterfacePolicy};
use crate::wire::{Error, RecordType, Version};

const HOST: &str = "10.0.0.7";

/// The counter under which the only refused message was refused.
#[track_caller]
fn refused(sim: &mut Sim, counter: Counter) {
    sim.expects_nothing();
    assert!(sim.interface().querier().unwrap().is_self);
    let refusals: Vec<_> = sim
        .interface()
        .counters()
        .iter()
        .filter(|(counter, value)| counter.name().starts_with("refused_") && *value > 0)
        .collect();
    assert_eq!(refusals, [(counter, 1)]);
}

fn v3() -> Sim {
    Sim::started(InterfaceParams::default())
}

#[test]
fn what_wire_refuses_is_counted_under_its_reason() {
    for (error, counter) in [
        (Error::Ipv4Header, Counter::Ipv4Header),
        (Error::Ipv4Length, Counter::Ipv4Length),
        (Error::Ipv4Checksum, Counter::Ipv4Checksum),
        (Error::Ipv4Fragment, Counter::Ipv4Fragment),
        (Error::Ttl, Counter::Ttl),
        (Error::Checksum, Counter::Checksum),
        (Error::Length, Counter::Length),
        (Error::Count, Counter::Count),
        (Error::UnknownType, Counter::UnknownType),
        (Error::GroupNotMulticast, Counter::GroupNotMulticast),
        (Error::GroupLinkLocal, Counter::GroupLinkLocal),
    ] {
        let mut sim = v3();
        sim.input(Input::Received {
            interface: LAN,
            packet: Err(error),
        });
        refused(&mut sim, counter);
    }
}

#[test]
fn messages_of_a_higher_version_than_the_interface_speaks() {
    let of_version = |version| {
        Sim::started(InterfaceParams {
            version,
            ..InterfaceParams::default()
        })
    };
    let mut sim = of_version(Version::V2);
    sim.host(HOST)
        .report_v3(RecordType::ChangeToExclude, G, &[]);
    refused(&mut sim, Counter::VersionDisabled);

    let mut sim = of_version(Version::V2);
    sim.host("10.0.0.1").general_query(Version::V3);
    refused(&mut sim, Counter::VersionDisabled);

    let mut sim = of_version(Version::V1);
    sim.host(HOST).report_v2(G);
    refused(&mut sim, Counter::VersionDisabled);

    // RFC 9776 section 7.3.1: an IGMPv1 router ignores Leave.
    let mut sim = of_version(Version::V1);
    sim.at(5.s()).host(HOST).report_v1(G);
    sim.expects([changed("5s", G)]);
    sim.host(HOST).leave(G);
    refused(&mut sim, Counter::VersionDisabled);
}

#[test]
fn our_own_messages_looped_back() {
    let mut sim = v3();
    sim.host("10.0.0.2").general_query(Version::V3);
    refused(&mut sim, Counter::OwnAddress);
    let mut sim = Sim::new();
    sim.ready(InterfaceParams::default(), &["10.0.0.2/24", "10.0.0.1/24"]);
    sim.forget();
    sim.host("10.0.0.1").general_query(Version::V3); // our second address
    refused(&mut sim, Counter::OwnAddress);
}

#[test]
fn sources_outside_the_subnets() {
    let mut sim = v3();
    sim.host("10.0.1.7").report_v2(G);
    refused(&mut sim, Counter::SourceNotAccepted);
    let mut sim = v3();
    sim.host("9.255.255.255").general_query(Version::V3);
    refused(&mut sim, Counter::SourceNotAccepted);
}

#[test]
fn sources_in_a_secondary_or_alt_subnet_are_accepted() {
    let mut sim = Sim::new();
    sim.input(Input::InterfaceReady {
        interface: LAN,
        params: InterfaceParams::default(),
        addresses: vec![
            "10.0.0.2/24".parse().unwrap(),
            "192.0.2.1/28".parse().unwrap(),
        ],
        alt_subnets: vec!["172.16.0.0/12".parse().unwrap()],
        policy: InterfacePolicy::default(),
    });
    sim.forget();
    for (index, host) in (0..).zip(["10.0.0.255", "192.0.2.14", "172.31.255.1"]) {
        let group = [239, 2, 2, index].into();
        sim.host(host).report_v2(group);
        sim.expects([changed("0s", group)]);
    }
}

#[test]
fn hosts_without_an_address_may_report_and_leave() {
    // RFC 9776 section 4.2.14: routers MUST accept a report from 0.0.0.0.
    let mut sim = v3();
    sim.host("0.0.0.0")
        .report_v3(RecordType::ChangeToExclude, G, &[]);
    sim.expects([changed("0s", G)]);
    sim.at(1.s()).host("0.0.0.0").leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@3");
}

#[test]
fn a_query_from_0_0_0_0_is_nobodys() {
    let mut sim = v3();
    sim.host("0.0.0.0").general_query(Version::V3);
    refused(&mut sim, Counter::SourceNotAccepted);
}

#[test]
fn destinations_wrong_for_the_type() {
    // General Queries go to 224.0.0.1 and the others to the group (RFC 9776 section 4.1.12).
    for wrong in ["10.0.0.2", "224.0.0.2", "239.1.1.1"] {
        let mut sim = v3();
        sim.host("10.0.0.1").to(wrong).general_query(Version::V3);
        refused(&mut sim, Counter::WrongDestination);
    }
    for wrong in ["10.0.0.2", "224.0.0.1", "239.1.1.2"] {
        let mut sim = v3();
        sim.host("10.0.0.1").to(wrong).query(query(Version::V3, G));
        refused(&mut sim, Counter::WrongDestination);
    }
    // Version 3 reports to 224.0.0.22, older ones to the group (section 4.2.15).
    for wrong in ["10.0.0.2", "224.0.0.2", "239.1.1.1"] {
        let mut sim = v3();
        sim.host(HOST)
            .to(wrong)
            .report_v3(RecordType::ModeIsExclude, G, &[]);
        refused(&mut sim, Counter::WrongDestination);
    }
    for wrong in ["224.0.0.2", "224.0.0.22", "239.1.1.2", "10.0.0.9"] {
        let mut sim = v3();
        sim.host(HOST).to(wrong).report_v2(G);
        refused(&mut sim, Counter::WrongDestination);
        let mut sim = v3();
        sim.host(HOST).to(wrong).report_v1(G);
        refused(&mut sim, Counter::WrongDestination);
    }
    // Leave to 224.0.0.2 (RFC 2236 section 3).
    for wrong in ["10.0.0.2", "224.0.0.1", "239.1.1.2"] {
        let mut sim = v3();
        sim.host(HOST).to(wrong).leave(G);
        refused(&mut sim, Counter::WrongDestination);
    }
}

#[test]
fn destinations_some_hosts_use() {
    // An older report sent to the router's own address MUST be processed (RFC 9776 section 4.2.15).
    let mut sim = v3();
    sim.host(HOST).to("10.0.0.2").report_v2(G);
    sim.expects([changed("0s", G)]);
    // RFC 2236 section 3: some implementations send the Leave to the group.
    sim.at(1.s()).host(HOST).to("239.1.1.1").leave(G);
    assert_eq!(sim.state(G), "EXCLUDE@3");
}

#[test]
fn messages_on_an_interface_that_is_not_ready_are_nothing() {
    let mut sim = Sim::new();
    sim.host(HOST).report_v2(G);
    sim.expects_nothing();
    assert_eq!(sim.router.poll_timeout(), None);
}

#[test]
fn each_type_has_its_counter() {
    let mut sim = v3();
    sim.host(HOST).report_v1(G);
    sim.host(HOST).report_v2(G);
    sim.host(HOST).report_v3(RecordType::ModeIsExclude, G, &[]);
    sim.host(HOST).leave(G);
    for counter in [
        Counter::ReceivedReportV1,
        Counter::ReceivedReportV2,
        Counter::ReceivedReportV3,
        Counter::ReceivedLeave,
        Counter::OlderHostPresent, // the Leave, for a version 1 host is a member
    ] {
        assert_eq!(sim.counter(counter), 1, "{}", counter.name());
    }
}

#[test]
fn hosts_that_alt_subnets_would_let_in_are_told_each_time() {
    let mut sim = v3();
    sim.host("10.0.1.7").report_v2(G);
    sim.host("10.0.1.7").leave(G);
    sim.host("10.0.1.8")
        .report_v3(RecordType::ChangeToExclude, G, &[]);
    sim.expects_events([
        "0s 10.0.1.7 refused",
        "0s 10.0.1.7 refused",
        "0s 10.0.1.8 refused",
    ]);
    assert_eq!(sim.counter(Counter::SourceNotAccepted), 3);
    // Routers have to be on our own subnets, and a message for another reason refused stays refused.
    sim.host("10.0.1.1").general_query(Version::V3);
    sim.host("10.0.0.2").report_v2(G);
    sim.expects_events::<&str>([]);
    // What an access list refuses no `alt_subnets` lets in.
    sim.interface_policy(InterfacePolicy {
        report_sources: Some(AclRef::Number(3000)),
        ..InterfacePolicy::default()
    });
    sim.host("10.0.1.7").report_v2(G);
    sim.expects_events::<&str>([]);
    assert_eq!(sim.counter(Counter::SourceNotAccepted), 5);
}
