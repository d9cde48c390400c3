//! Arbitrary valid messages for the property tests, and what their tests share.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{GroupRecord, Query, RecordType, Repr, Version, internet_checksum};

/// Puts the right checksum into an IGMP message.
pub(super) fn with_checksum(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    message[2..4].fill(0);
    let checksum = internet_checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&checksum);
    message
}

/// A multicast group outside 224.0.0.0/24.
pub(super) fn group() -> impl Strategy<Value = Ipv4Addr> {
    (0xe000_0100_u32..=0xefff_ffff).prop_map(Ipv4Addr::from)
}

fn sources(at_most: usize) -> impl Strategy<Value = Vec<Ipv4Addr>> {
    vec(any::<Ipv4Addr>(), 0..=at_most)
}

/// What the codes of RFC 9776 sections 4.1.1 and 4.1.7 can say.
fn representable() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..0x80_u64,
        (0x10..0x20_u64, 3..=10_u32).prop_map(|(mantissa, shift)| mantissa << shift)
    ]
}

fn query(at_most: usize) -> impl Strategy<Value = Query> {
    let older = |version, group, tenths| Query {
        version,
        max_response_time: Duration::from_millis(100 * tenths),
        group,
        suppress_router_side_processing: false,
        robustness: 0,
        query_interval: Duration::ZERO,
        sources: vec![],
    };
    let general_or_specific = || prop_oneof![Just(Ipv4Addr::UNSPECIFIED), group()];
    let v1 = Just(older(Version::V1, Ipv4Addr::UNSPECIFIED, 100));
    let v2 = (general_or_specific(), 1..=255_u64)
        .prop_map(move |(group, tenths)| older(Version::V2, group, tenths));
    let v3 = (
        general_or_specific(),
        representable(),
        any::<bool>(),
        0..=7_u8,
        representable(),
        sources(at_most),
    )
        .prop_map(
            move |(
                group,
                tenths,
                suppress_router_side_processing,
                robustness,
                seconds,
                sources,
            )| Query {
                suppress_router_side_processing,
                robustness,
                query_interval: Duration::from_secs(seconds),
                sources: if group.is_unspecified() {
                    vec![]
                } else {
                    sources
                },
                ..older(Version::V3, group, tenths)
            },
        );
    prop_oneof![1 => v1, 2 => v2, 4 => v3]
}

fn record(at_most: usize) -> impl Strategy<Value = GroupRecord> {
    let record_type = prop_oneof![
        Just(RecordType::ModeIsInclude),
        Just(RecordType::ModeIsExclude),
        Just(RecordType::ChangeToInclude),
        Just(RecordType::ChangeToExclude),
        Just(RecordType::AllowNewSources),
        Just(RecordType::BlockOldSources),
    ];
    (record_type, group(), sources(at_most)).prop_map(|(record_type, group, sources)| GroupRecord {
        record_type,
        group,
        sources,
    })
}

/// Any valid message, with up to `at_most` sources in a query and in each record, and as many records.
pub(super) fn message(at_most: usize) -> impl Strategy<Value = Repr> {
    prop_oneof![
        3 => query(at_most).prop_map(Repr::Query),
        1 => group().prop_map(|group| Repr::ReportV1 { group }),
        1 => group().prop_map(|group| Repr::ReportV2 { group }),
        1 => group().prop_map(|group| Repr::Leave { group }),
        4 => vec(record(at_most), 0..=at_most).prop_map(Repr::ReportV3),
    ]
}
