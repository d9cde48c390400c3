//! Five thousand groups.

use std::net::Ipv4Addr;

use super::super::super::super::InterfaceParams;
use super::super::super::super::sim::Time as _;
use super::super::Output;
use super::{Link, any_source, general_query, v2_general_query};
use crate::wire::{GroupRecord, RecordType, Repr};

const GROUPS: u32 = 5_000;

fn groups() -> impl Iterator<Item = Ipv4Addr> {
    (0..GROUPS).map(|n| Ipv4Addr::from(0xef01_0000 + n))
}

/// The records of every report until `link` is idle, one list a report.
fn reports(link: &mut Link) -> Vec<Vec<GroupRecord>> {
    let mut reports = Vec::new();
    loop {
        while let Some(Output::Transmit { message, .. }) = link.host.poll_output() {
            let Repr::ReportV3(records) = message else {
                panic!("{message}")
            };
            reports.push(records);
        }
        let Some(due) = link.host.poll_timeout() else {
            return reports;
        };
        link.now = due;
        link.host.handle_timeout(due);
    }
}

fn every_group(record_type: RecordType) -> Vec<GroupRecord> {
    let record = |group| GroupRecord {
        record_type,
        group,
        sources: Vec::new(),
    };
    groups().map(record).collect()
}

#[test]
fn joins_answers_and_leaves_are_few_reports() {
    let mut link = Link::new(InterfaceParams::default(), 1);
    for group in groups() {
        link.host
            .handle_subscription(link.now, group, Some(any_source()));
    }
    assert_eq!(
        reports(&mut link),
        vec![every_group(RecordType::ChangeToExclude); 2]
    );
    link.host
        .handle_query(link.now, &general_query(10.s()), super::QUERIER);
    assert_eq!(reports(&mut link), [every_group(RecordType::ModeIsExclude)]);
    for group in groups() {
        link.host.handle_subscription(link.now, group, None);
    }
    assert_eq!(
        reports(&mut link),
        vec![every_group(RecordType::ChangeToInclude); 2]
    );
    assert!(link.host.groups.is_empty());
}

#[test]
fn version_2_reports_spread_over_the_max_response_time() {
    let mut link = Link::new(InterfaceParams::default(), 1);
    link.hears(&v2_general_query());
    for group in groups() {
        link.wants(group, any_source());
    }
    link.at(60.s()).forget();
    link.hears(&v2_general_query()).at(70.s());
    assert_eq!(link.sent.len(), 5_000);
    for second in 60..70 {
        let sent = link.sent.iter().filter(|(at, _)| at.as_secs() == second);
        let count = sent.count();
        assert!((400..600).contains(&count), "{count} in second {second}");
    }
}
