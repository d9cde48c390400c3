//! IGMP as Linux sends it.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::wire::{
    ALL_IGMPV3_ROUTERS, ALL_ROUTERS, ALL_SYSTEMS, GroupRecord, Query, RecordType, Repr, Version,
};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const SSM_GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);

fn record(record_type: RecordType, group: [u8; 4], sources: &[Ipv4Addr]) -> GroupRecord {
    GroupRecord {
        record_type,
        group: group.into(),
        sources: sources.to_vec(),
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let octet = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

type Captured = (&'static str, Vec<u8>, Ipv4Addr, Ipv4Addr, Repr);

/// Packets that Linux 6.18 sent, as captured: name, packet, source, destination, message.
pub(super) fn captured() -> Vec<Captured> {
    [from_sockets(), from_bridge()].concat()
}

/// From a host whose sockets join and leave.
fn from_sockets() -> Vec<Captured> {
    let source = Ipv4Addr::new(10, 0, 0, 5);
    vec![
        (
            "IP_ADD_MEMBERSHIP",
            hex(concat!(
                "46c00028 00004000 0102f9ef 0a010009 e0000016 94040000 ",
                "2200e9fb 00000001 04000000 ef010101"
            )),
            HOST,
            ALL_IGMPV3_ROUTERS,
            Repr::ReportV3(vec![record(
                RecordType::ChangeToExclude,
                [239, 1, 1, 1],
                &[],
            )]),
        ),
        (
            "IP_ADD_SOURCE_MEMBERSHIP, and the repetition of another join",
            hex(concat!(
                "46c00034 00004000 0102f9e3 0a010009 e0000016 94040000 ",
                "2200f1f1 00000002 05000001 e8010101 0a000005 04000000 ef010101"
            )),
            HOST,
            ALL_IGMPV3_ROUTERS,
            Repr::ReportV3(vec![
                record(RecordType::AllowNewSources, SSM_GROUP.octets(), &[source]),
                record(RecordType::ChangeToExclude, [239, 1, 1, 1], &[]),
            ]),
        ),
        (
            "IP_DROP_MEMBERSHIP",
            hex(concat!(
                "46c00028 00004000 0102f9ef 0a010009 e0000016 94040000 ",
                "2200eafb 00000001 03000000 ef010101"
            )),
            HOST,
            ALL_IGMPV3_ROUTERS,
            Repr::ReportV3(vec![record(
                RecordType::ChangeToInclude,
                [239, 1, 1, 1],
                &[],
            )]),
        ),
        (
            "join with force_igmp_version = 2",
            hex(concat!(
                "46c00020 00004000 0102e909 0a010009 ef020202 94040000 ",
                "1600f8fa ef020202"
            )),
            HOST,
            [239, 2, 2, 2].into(),
            Repr::ReportV2 {
                group: [239, 2, 2, 2].into(),
            },
        ),
        (
            "leave with force_igmp_version = 2",
            hex(concat!(
                "46c00020 00004000 0102fa0b 0a010009 e0000002 94040000 ",
                "1700f7fa ef020202"
            )),
            HOST,
            ALL_ROUTERS,
            Repr::Leave {
                group: [239, 2, 2, 2].into(),
            },
        ),
        (
            "join with force_igmp_version = 1",
            hex(concat!(
                "46c00020 00004000 0102e807 0a010009 ef030303 94040000 ",
                "1200fbf8 ef030303"
            )),
            HOST,
            [239, 3, 3, 3].into(),
            Repr::ReportV1 {
                group: [239, 3, 3, 3].into(),
            },
        ),
    ]
}

/// From a bridge as querier (`mcast_querier 1`, `mcast_query_use_ifaddr 1`).
fn from_bridge() -> Vec<Captured> {
    let query = Query {
        version: Version::V3,
        max_response_time: Duration::from_secs(10),
        group: Ipv4Addr::UNSPECIFIED,
        suppress_router_side_processing: false,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources: vec![],
    };
    let query_v2 = Query {
        version: Version::V2,
        robustness: 0,
        query_interval: Duration::ZERO,
        ..query.clone()
    };
    vec![
        (
            "bridge querier, version 3",
            hex(concat!(
                "46c00024 00004000 0102fa10 0a010001 e0000001 94040000 ",
                "1164ec1e 00000000 027d0000"
            )),
            BRIDGE,
            ALL_SYSTEMS,
            Repr::Query(query),
        ),
        (
            "bridge querier, version 2",
            hex(concat!(
                "46c00020 00004000 0102fa14 0a010001 e0000001 94040000 ",
                "1164ee9b 00000000"
            )),
            BRIDGE,
            ALL_SYSTEMS,
            Repr::Query(query_v2),
        ),
    ]
}
