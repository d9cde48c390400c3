use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::Version;
use crate::wire::strategies::message;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

#[test]
fn each_kind_in_the_short_notation() {
    let query = Query {
        version: Version::V3,
        max_response_time: Duration::from_secs(10),
        group: Ipv4Addr::UNSPECIFIED,
        suppress_router_side_processing: false,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: vec![],
    };
    let specific = Query {
        max_response_time: Duration::from_millis(100),
        group: GROUP,
        ..query.clone()
    };
    let of_sources = Query {
        sources: vec![A, B],
        suppress_router_side_processing: true,
        ..specific.clone()
    };
    let at_once = Query {
        max_response_time: Duration::ZERO,
        ..query.clone()
    };
    let older = Query {
        version: Version::V2,
        ..query.clone()
    };
    let records = [
        (RecordType::ModeIsInclude, vec![A]),
        (RecordType::ModeIsExclude, vec![]),
        (RecordType::ChangeToInclude, vec![]),
        (RecordType::ChangeToExclude, vec![A, B]),
        (RecordType::AllowNewSources, vec![A]),
        (RecordType::BlockOldSources, vec![B]),
    ]
    .map(|(record_type, sources)| GroupRecord {
        record_type,
        group: GROUP,
        sources,
    });

    for (message, expected) in [
        (Repr::Query(query), "Query(G=0.0.0.0, v3, 10s)"),
        (Repr::Query(at_once), "Query(G=0.0.0.0, v3, 0s)"),
        (Repr::Query(older), "Query(G=0.0.0.0, v2, 10s)"),
        (Repr::Query(specific), "Query(G=239.1.1.1, v3, 100ms)"),
        (
            Repr::Query(of_sources),
            "Query(G=239.1.1.1, S={10.0.0.1, 10.0.0.2}, v3, 100ms, suppress)",
        ),
        (Repr::ReportV1 { group: GROUP }, "Report(G=239.1.1.1, v1)"),
        (Repr::ReportV2 { group: GROUP }, "Report(G=239.1.1.1, v2)"),
        (Repr::Leave { group: GROUP }, "Leave(G=239.1.1.1)"),
        (Repr::ReportV3(vec![]), "Report(no records, v3)"),
        (
            Repr::ReportV3(records.to_vec()),
            "IS_IN(239.1.1.1, {10.0.0.1}) IS_EX(239.1.1.1, {}) TO_IN(239.1.1.1, {}) \
             TO_EX(239.1.1.1, {10.0.0.1, 10.0.0.2}) ALLOW(239.1.1.1, {10.0.0.1}) BLOCK(239.1.1.1, {10.0.0.2})",
        ),
    ] {
        assert_eq!(message.to_string(), expected);
    }
}

proptest! {
    #[test]
    fn always_one_line(message in message(4)) {
        prop_assert_eq!(message.to_string().lines().count(), 1);
    }
}
