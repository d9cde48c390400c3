use std::net::Ipv4Addr;

use super::super::sim::{G, query};
use super::UpstreamAdmission;
use crate::proto::Counter;
use crate::wire::{ALL_IGMPV3_ROUTERS, ALL_ROUTERS, ALL_SYSTEMS, Received, Repr, Version};

const ROUTER: &str = "10.0.0.1";
const GENERAL: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// The upstream is 10.0.0.2/24 with a second address 192.0.2.1/28 and `alt_subnets = ["172.16.0.0/12"]`.
fn judge(source: &str, destination: impl Into<Ipv4Addr>, message: Repr) -> Result<(), Counter> {
    let nets =
        |texts: &[&str]| -> Vec<_> { texts.iter().map(|net| net.parse().unwrap()).collect() };
    UpstreamAdmission {
        addresses: &nets(&["10.0.0.2/24", "192.0.2.1/28"]),
        alt_subnets: &nets(&["172.16.0.0/12"]),
    }
    .judge(&Received {
        source: source.parse().unwrap(),
        destination: destination.into(),
        router_alert: true,
        message,
    })
}

fn asks(group: Ipv4Addr) -> Repr {
    Repr::Query(query(Version::V3, group))
}

#[test]
fn who_may_ask_and_who_may_report() {
    let report = || Repr::ReportV2 { group: G };
    // Snooping switches ask from 0.0.0.0 (RFC 4541 section 2.1.1).
    for source in [ROUTER, "192.0.2.14", "172.31.255.1", "0.0.0.0"] {
        assert_eq!(
            judge(source, ALL_SYSTEMS, asks(GENERAL)),
            Ok(()),
            "{source}"
        );
        assert_eq!(judge(source, G, report()), Ok(()), "{source}");
    }
    for source in ["10.0.1.1", "192.0.2.16", "172.32.0.1"] {
        let refused = Err(Counter::SourceNotAccepted);
        assert_eq!(
            judge(source, ALL_SYSTEMS, asks(GENERAL)),
            refused,
            "{source}"
        );
        assert_eq!(judge(source, G, report()), refused, "{source}");
    }
}

#[test]
fn our_own_messages_looped_back() {
    for own in ["10.0.0.2", "192.0.2.1"] {
        let refused = Err(Counter::OwnAddress);
        assert_eq!(judge(own, ALL_SYSTEMS, asks(GENERAL)), refused);
        assert_eq!(judge(own, G, Repr::ReportV2 { group: G }), refused);
    }
}

/// RFC 9776 section 4.1.12: a system MUST process a query sent to any address of the interface.
#[test]
fn where_queries_are_sent() {
    let own = Ipv4Addr::new(192, 0, 2, 1);
    for (group, destination) in [
        (GENERAL, ALL_SYSTEMS),
        (GENERAL, own),
        (G, G),
        (G, own),
        (G, ALL_SYSTEMS),
    ] {
        assert_eq!(
            judge(ROUTER, destination, asks(group)),
            Ok(()),
            "{group} {destination}"
        );
    }
    let another = Ipv4Addr::new(239, 1, 1, 2);
    for (group, destination) in [
        (GENERAL, GENERAL),
        (GENERAL, ALL_ROUTERS),
        (GENERAL, G),
        (GENERAL, [10, 0, 0, 9].into()),
        (G, another),
        (G, [10, 0, 0, 9].into()),
    ] {
        let refused = Err(Counter::WrongDestination);
        assert_eq!(
            judge(ROUTER, destination, asks(group)),
            refused,
            "{group} {destination}"
        );
    }
}

/// RFC 2236 section 6: the report of another member silences ours, because the routers have heard it. RFC 2236 section
/// 9: it is sent to the group.
#[test]
fn reports_the_whole_link_has_heard() {
    for message in [Repr::ReportV1 { group: G }, Repr::ReportV2 { group: G }] {
        assert_eq!(judge(ROUTER, G, message.clone()), Ok(()));
        for wrong in [Ipv4Addr::new(10, 0, 0, 2), ALL_SYSTEMS, ALL_ROUTERS] {
            let refused = Err(Counter::WrongDestination);
            assert_eq!(judge(ROUTER, wrong, message.clone()), refused, "{wrong}");
        }
    }
}

#[test]
fn what_only_routers_act_on() {
    let refused = Err(Counter::ForRouters);
    assert_eq!(
        judge(ROUTER, ALL_ROUTERS, Repr::Leave { group: G }),
        refused
    );
    let report = Repr::ReportV3(vec![]);
    assert_eq!(judge(ROUTER, ALL_IGMPV3_ROUTERS, report.clone()), refused);
    // Also when they come from elsewhere: no line of configuration would make us act on them.
    assert_eq!(judge("10.0.1.1", ALL_IGMPV3_ROUTERS, report), refused);
}

/// RFC 2236 section 2.5: a host of version 2 reads the first 8 octets of longer messages.
#[test]
fn every_version_of_query() {
    for version in [Version::V1, Version::V2, Version::V3] {
        let message = Repr::Query(query(version, GENERAL));
        assert_eq!(judge(ROUTER, ALL_SYSTEMS, message), Ok(()), "{version:?}");
    }
}
