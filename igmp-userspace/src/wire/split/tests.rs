use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::Version;
use crate::wire::strategies::message;

const GROUP: Ipv4Addr = Ipv4Addr::new(232, 1, 1, 1);
const ETHERNET: usize = 1500;

fn addresses(count: u32) -> Vec<Ipv4Addr> {
    (1..=count)
        .map(|number| Ipv4Addr::from(0x0a00_0000 + number))
        .collect()
}

fn query(sources: Vec<Ipv4Addr>) -> Query {
    Query {
        version: Version::V3,
        max_response_time: Duration::from_secs(1),
        group: GROUP,
        suppress_router_side_processing: true,
        robustness: 2,
        query_interval: Duration::from_secs(125),
        sources,
    }
}

fn record(record_type: RecordType, sources: Vec<Ipv4Addr>) -> GroupRecord {
    GroupRecord {
        record_type,
        group: GROUP,
        sources,
    }
}

#[test]
fn a_query_over_ethernet_carries_366_sources() {
    // The number is RFC 9776 section 4.1.8's: (1500 - 24 - 12) / 4.
    assert_eq!(
        split(&Repr::Query(query(addresses(366))), ETHERNET),
        [Repr::Query(query(addresses(366)))]
    );

    let all = addresses(1000);
    let parts: Vec<_> = all
        .chunks(366)
        .map(|sources| Repr::Query(query(sources.to_vec())))
        .collect();
    assert_eq!(split(&Repr::Query(query(all)), ETHERNET), parts);
}

#[test]
fn records_are_spread_over_reports_in_order() {
    // (1500 - 24 - 8) / 8 = 183 records without sources fit a report.
    let records: Vec<_> = (0..400_u32)
        .map(|number| GroupRecord {
            group: Ipv4Addr::from(0xef01_0000 + number),
            ..record(RecordType::ModeIsExclude, vec![])
        })
        .collect();
    let expected: Vec<_> = records
        .chunks(183)
        .map(|records| Repr::ReportV3(records.to_vec()))
        .collect();
    assert_eq!(split(&Repr::ReportV3(records), ETHERNET), expected);
}

#[test]
fn a_record_that_fits_a_report_of_its_own_is_not_cut() {
    // 300 sources make 1,208 octets of the 1,468 there are.
    let records = [0, 1]
        .map(|_| record(RecordType::AllowNewSources, addresses(300)))
        .to_vec();
    let expected: Vec<_> = records
        .iter()
        .map(|record| Repr::ReportV3(vec![record.clone()]))
        .collect();
    assert_eq!(split(&Repr::ReportV3(records), ETHERNET), expected);
}

#[test]
fn a_record_too_large_for_any_report_is_cut() {
    // RFC 9776 section 4.2.17; (1500 - 24 - 8 - 8) / 4 = 365 sources fit.
    let all = addresses(1000);
    for record_type in [
        RecordType::ModeIsInclude,
        RecordType::ChangeToInclude,
        RecordType::AllowNewSources,
        RecordType::BlockOldSources,
    ] {
        let expected: Vec<_> = all
            .chunks(365)
            .map(|sources| Repr::ReportV3(vec![record(record_type, sources.to_vec())]))
            .collect();
        assert_eq!(
            split(
                &Repr::ReportV3(vec![record(record_type, all.clone())]),
                ETHERNET
            ),
            expected,
            "{record_type}"
        );
    }
    for record_type in [RecordType::ModeIsExclude, RecordType::ChangeToExclude] {
        let expected = Repr::ReportV3(vec![record(record_type, addresses(365))]);
        assert_eq!(
            split(
                &Repr::ReportV3(vec![record(record_type, all.clone())]),
                ETHERNET
            ),
            [expected],
            "{record_type}"
        );
    }
}

#[test]
fn records_around_a_cut_one_keep_their_order() {
    let small = record(RecordType::ChangeToExclude, vec![]);
    let large = record(RecordType::BlockOldSources, addresses(366));
    let message = Repr::ReportV3(vec![small.clone(), large, small.clone()]);
    let expected = [
        Repr::ReportV3(vec![small.clone()]),
        Repr::ReportV3(vec![record(RecordType::BlockOldSources, addresses(365))]),
        Repr::ReportV3(vec![
            record(RecordType::BlockOldSources, addresses(366)[365..].to_vec()),
            small,
        ]),
    ];
    assert_eq!(split(&message, ETHERNET), expected);
}

#[test]
fn more_than_any_ipv4_packet_holds_is_split_whatever_the_mtu() {
    // (65535 - 24 - 12) / 4 = 16,374.
    let all = addresses(20_000);
    let parts: Vec<_> = all
        .chunks(16_374)
        .map(|sources| Repr::Query(query(sources.to_vec())))
        .collect();
    assert_eq!(split(&Repr::Query(query(all)), usize::MAX), parts);
    for part in parts {
        assert!(ipv4::emit(Ipv4Addr::LOCALHOST, GROUP, &part).len() <= 65_535);
    }
}

proptest! {
    #[test]
    fn every_part_fits_and_nothing_is_lost(message in message(40), mtu in 0..700_usize) {
        let parts = split(&message, mtu);
        for part in &parts {
            let packet = ipv4::emit(Ipv4Addr::LOCALHOST, GROUP, part);
            prop_assert!(packet.len() <= mtu.max(68));
            prop_assert_eq!(&ipv4::parse(&packet).unwrap().message, part);
        }
        match &message {
            Repr::Query(whole) => {
                let mut joined = Query { sources: vec![], ..whole.clone() };
                for part in &parts {
                    let Repr::Query(part) = part else { panic!("{part} is no query") };
                    prop_assert_eq!(&Query { sources: whole.sources.clone(), ..part.clone() }, whole);
                    joined.sources.extend(&part.sources);
                }
                prop_assert_eq!(&joined, whole);
            }
            Repr::ReportV3(whole) => {
                let said = |records: &[GroupRecord]| -> Vec<_> {
                    let pair = |record: &GroupRecord| {
                        let (record_type, group) = (record.record_type, record.group);
                        record.sources.iter().map(move |source| (record_type, group, *source)).collect::<Vec<_>>()
                    };
                    records
                        .iter()
                        .filter(|record| {
                            !matches!(record.record_type, RecordType::ModeIsExclude | RecordType::ChangeToExclude)
                        })
                        .flat_map(pair)
                        .collect()
                };
                let joined: Vec<_> = parts
                    .iter()
                    .flat_map(|part| match part {
                        Repr::ReportV3(records) => records.clone(),
                        other => panic!("{other} is no report"),
                    })
                    .collect();
                prop_assert_eq!(said(&joined), said(whole));
                let mut groups: Vec<_> = joined.iter().map(|record| record.group).collect();
                groups.dedup();
                let mut whole_groups: Vec<_> = whole.iter().map(|record| record.group).collect();
                whole_groups.dedup();
                prop_assert_eq!(groups, whole_groups);
            }
            other => prop_assert_eq!(&parts, &vec![other.clone()]),
        }
    }
}
