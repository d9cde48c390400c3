use std::panic::catch_unwind;
use std::time::UNIX_EPOCH;

use super::*;
use crate::frame::IgmpPacket;
use crate::igmp::Record;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);
const OTHER_GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);

/// A frame so many milliseconds after the start.
fn frame(at: u64, direction: Direction, message: &Igmp) -> Frame {
    let packet = IgmpPacket {
        source_mac: [2, 0, 0, 0, 0, 1],
        source: Ipv4Addr::new(192, 0, 2, 2),
        destination: GROUP,
        ttl: 1,
        message: message.encode(),
    };
    Frame::new(
        UNIX_EPOCH + Duration::from_millis(at),
        direction,
        &packet.frame(),
    )
}

fn query(at: u64, version: u8) -> Frame {
    let query = Igmp::Query {
        version,
        group: Ipv4Addr::UNSPECIFIED,
        max_response: Duration::from_secs(1),
        sources: Vec::new(),
    };
    frame(at, Direction::Out, &query)
}

fn record(at: u64, kind: RecordType, group: Ipv4Addr) -> Frame {
    let report = Igmp::ReportV3(vec![Record::new(kind, group, &[])]);
    frame(at, Direction::In, &report)
}

/// RFC 9776 section 5: changes twice, one answer a query.
fn version_3() -> Vec<Frame> {
    vec![
        record(0, RecordType::ToEx, GROUP),
        record(900, RecordType::ToEx, GROUP),
        query(3_000, 3),
        record(3_500, RecordType::IsEx, GROUP),
        query(6_000, 3),
        record(6_999, RecordType::IsEx, GROUP),
        record(9_000, RecordType::ToIn, GROUP),
        record(9_400, RecordType::ToIn, GROUP),
    ]
}

/// RFC 2236 section 3: a repeated report, one answer a query, one Leave.
fn version_2() -> Vec<Frame> {
    let sent = |at, message: Igmp| frame(at, Direction::In, &message);
    vec![
        sent(0, Igmp::ReportV2(GROUP)),
        sent(2_000, Igmp::ReportV2(GROUP)),
        query(3_000, 2),
        sent(3_500, Igmp::ReportV2(GROUP)),
        query(6_000, 2),
        sent(6_999, Igmp::ReportV2(GROUP)),
        sent(9_000, Igmp::Leave(GROUP)),
    ]
}

fn is_good(mut frames: Vec<Frame>, version: u8) -> bool {
    frames.sort_by_key(|frame| frame.at);
    catch_unwind(|| judge_history(&frames, GROUP, version)).is_ok()
}

#[test]
fn what_the_rfcs_ask_is_good() {
    assert!(is_good(version_3(), 3));
    assert!(is_good(version_2(), 2));
}

#[test]
fn every_message_of_version_3_that_is_missing_or_too_many_is_found() {
    for (index, removed) in version_3().iter().enumerate() {
        let mut missing = version_3();
        missing.remove(index);
        // Without its query an answer is a report that nobody asked for.
        assert!(!is_good(missing, 3), "without {removed:?}");
        if removed.direction == Direction::In {
            let mut doubled = version_3();
            let mut again = removed.clone();
            again.at += Duration::from_millis(1);
            doubled.push(again);
            assert!(!is_good(doubled, 3), "twice {removed:?}");
        }
    }
}

/// A host answers for what it has joined when its answer is due, not when it was asked.
#[test]
fn the_answers_to_a_query_before_the_join_and_to_the_last_before_the_leave_are_good() {
    let mut frames = version_3();
    for frame in &mut frames {
        frame.at += Duration::from_secs(1);
    }
    frames.extend([
        query(990, 3),
        record(1_600, RecordType::IsEx, GROUP),
        query(9_100, 3),
        record(9_800, RecordType::IsEx, GROUP),
    ]);
    assert!(is_good(frames, 3));
}

/// A querier that starts asks twice in short order: what answers the second may still be in time for the first.
#[test]
fn an_answer_to_each_of_two_queries_that_follow_each_other_closely_is_good_and_one_more_is_not() {
    let with = |reports: &[u64]| {
        let queries = [query(4_500, 3), query(5_490, 3)];
        let answers = reports
            .iter()
            .map(|at| record(*at, RecordType::IsEx, GROUP));
        let frames = version_3().into_iter().chain(queries).chain(answers);
        is_good(frames.collect(), 3)
    };
    assert!(with(&[4_680, 5_500]));
    assert!(!with(&[4_680, 4_700, 5_500]));
}

/// One query may have come before the capture began, and its answer is due within the response interval (1 s).
#[test]
fn one_answer_to_a_query_that_nobody_saw_is_good_shortly_after_the_join_only() {
    let with = |reports: &[u64]| {
        let unasked = reports
            .iter()
            .map(|at| record(*at, RecordType::IsEx, GROUP));
        is_good(version_3().into_iter().chain(unasked).collect(), 3)
    };
    assert!(with(&[800]));
    assert!(!with(&[800, 850]));
    assert!(!with(&[2_000]));
}

#[test]
fn version_2_without_an_answer_or_a_leave_or_with_a_report_too_many_is_found() {
    for missing in [3, 5, 6] {
        let mut frames = version_2();
        frames.remove(missing);
        assert!(!is_good(frames, 2), "without {:?}", version_2()[missing]);
    }
    let mut frames = version_2();
    for at in [4_000, 5_000] {
        frames.push(frame(at, Direction::In, &Igmp::ReportV2(GROUP)));
    }
    assert!(!is_good(frames, 2));
}

#[test]
fn what_is_late_or_about_another_group_or_of_another_version_is_found() {
    let replaced = |index: usize, by: Frame| {
        let mut frames = version_3();
        frames[index] = by;
        frames
    };
    assert!(!is_good(
        replaced(3, record(4_500, RecordType::IsEx, GROUP)),
        3
    ));
    assert!(!is_good(
        replaced(1, record(2_000, RecordType::ToEx, GROUP)),
        3
    ));
    assert!(!is_good(
        replaced(3, record(3_500, RecordType::IsEx, OTHER_GROUP)),
        3
    ));
    let version_2_report = frame(3_500, Direction::In, &Igmp::ReportV2(GROUP));
    assert!(!is_good(replaced(3, version_2_report), 3));
    let after_the_leave = record(9_800, RecordType::IsEx, GROUP);
    assert!(!is_good(
        version_3().into_iter().chain([after_the_leave]).collect(),
        3
    ));
}
