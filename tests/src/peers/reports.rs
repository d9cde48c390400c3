//! Whether a host said of one group exactly what the RFCs ask, from joining it to having left it: no report missing, none
//! too many.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::{QUERY_RESPONSE_INTERVAL, ROBUSTNESS};
use crate::frame::{Direction, Frame};
use crate::igmp::{Igmp, RecordType};
use crate::tshark;

/// Unsolicited Report Interval of version 3 (RFC 9776 section 8.11) and of version 2 (RFC 2236 section 8.10).
const UNSOLICITED_REPORT_INTERVAL_V3: Duration = Duration::from_secs(1);
const UNSOLICITED_REPORT_INTERVAL_V2: Duration = Duration::from_secs(10);
/// How much later than due something may be on a busy machine; still well before the next query.
const LATE: Duration = Duration::from_millis(400);

/// The life of a membership as a capture beside the querier saw it.
struct Stay {
    /// State changes for the group: when.
    joins: Vec<SystemTime>,
    /// Current-State Records, or in version 2 every report after the first.
    reports: Vec<SystemTime>,
    leaves: Vec<SystemTime>,
    /// General Queries that it had to answer, with their Max Response Time: those after the join and long enough before
    /// the leave.
    queries: Vec<(SystemTime, Duration)>,
    /// All, with those that it may answer: a query shortly before the join counts too, because the answer, when its time
    /// comes, names what is joined then.
    every_query: Vec<(SystemTime, Duration)>,
}

/// Judges all that `frames` hold of a host at the far end of the cable, which joined one group and left it, under a
/// querier of version 2 or 3. Returns how many General Queries it had to answer.
///
/// # Panics
/// When something is missing, too much, late, malformed, or about another group.
#[track_caller]
pub fn judge_stay(frames: &[Frame], group: Ipv4Addr, version: u8) -> usize {
    for row in tshark::judge(
        &sent_by_the_host(frames),
        &["igmp.version", "ip.ttl", "ip.opt.ra"],
    ) {
        // Router Alert: 0, the only value RFC 2113 defines.
        assert_eq!(row, [version.to_string(), "1".into(), "0".into()]);
    }
    judge_history(frames, group, version)
}

/// The same without tshark's opinion of each message.
#[track_caller]
fn judge_history(frames: &[Frame], group: Ipv4Addr, version: u8) -> usize {
    let sent = sent_by_the_host(frames);
    let stay = Stay::read(frames, &sent, group);
    let history = || format!("{sent:#?}\n{:?}", stay.queries);
    let is_version_3 = |frame: &Frame| matches!(frame.igmp(), Some(Igmp::ReportV3(_)));
    if version == 2 {
        assert!(!sent.iter().any(is_version_3), "{}", history());
        stay.judge_version_2(&history);
    } else {
        assert!(sent.iter().all(is_version_3), "{}", history());
        stay.judge_version_3(&history);
    }
    stay.queries.len()
}

fn sent_by_the_host(frames: &[Frame]) -> Vec<Frame> {
    let is_wanted = |frame: &&Frame| frame.received_igmp(is_about_a_member_group);
    frames.iter().filter(is_wanted).cloned().collect()
}

impl Stay {
    fn read(frames: &[Frame], sent: &[Frame], group: Ipv4Addr) -> Self {
        let mut stay = Self {
            joins: Vec::new(),
            reports: Vec::new(),
            leaves: Vec::new(),
            queries: Vec::new(),
            every_query: Vec::new(),
        };
        for frame in sent {
            match frame.igmp() {
                Some(Igmp::ReportV3(records)) => {
                    for record in records {
                        assert_eq!(record.group, group, "another group in {frame:?}");
                        match record.kind {
                            RecordType::ToEx | RecordType::Allow => stay.joins.push(frame.at),
                            RecordType::IsEx | RecordType::IsIn => stay.reports.push(frame.at),
                            RecordType::ToIn | RecordType::Block => stay.leaves.push(frame.at),
                        }
                    }
                }
                Some(Igmp::ReportV2(reported)) => {
                    assert_eq!(*reported, group, "another group in {frame:?}");
                    if stay.joins.is_empty() {
                        stay.joins.push(frame.at);
                    } else {
                        stay.reports.push(frame.at);
                    }
                }
                Some(Igmp::Leave(left)) => {
                    assert_eq!(*left, group, "another group in {frame:?}");
                    stay.leaves.push(frame.at);
                }
                _ => {}
            }
        }
        let (Some(joined), Some(left)) = (stay.joins.first(), stay.leaves.first()) else {
            panic!("no join or no leave of {group} in {sent:#?}");
        };
        let queries = frames.iter().filter_map(|frame| match frame.igmp() {
            Some(Igmp::Query {
                group,
                max_response,
                ..
            }) if frame.direction == Direction::Out && group.is_unspecified() => {
                Some((frame.at, *max_response))
            }
            _ => None,
        });
        stay.every_query = queries.collect();
        // A host may leave before it has answered the last one.
        let is_owed = |(at, max_response): &&(SystemTime, Duration)| {
            at > joined && *at + *max_response + LATE < *left
        };
        stay.queries = stay.every_query.iter().filter(is_owed).copied().collect();
        stay
    }

    /// RFC 9776 section 5.1: a change is reported Robustness Variable times; section 5.2: a query is answered once.
    fn judge_version_3(&self, history: &dyn Fn() -> String) {
        for changes in [&self.joins, &self.leaves] {
            assert_eq!(changes.len(), ROBUSTNESS as usize, "{}", history());
            for pair in changes.windows(2) {
                let pause = since(pair[1], pair[0]);
                assert!(
                    pause <= UNSOLICITED_REPORT_INTERVAL_V3 + LATE,
                    "{}",
                    history()
                );
            }
        }
        for query in &self.queries {
            assert!(self.answers(query).next().is_some(), "{}", history());
        }
        // Queries may follow each other so closely that a report can be the answer to either; each has one.
        let mut unanswered = self.every_query.clone();
        let mut answers_one = |at: &&SystemTime| {
            let query = unanswered.iter().position(|query| is_answer(query, at));
            query.map(|query| unanswered.remove(query)).is_some()
        };
        let mut unasked = self.reports.iter().filter(|at| !answers_one(at));
        // The capture may have begun between a query and the join.
        let first_answers_until = self.joins[0] + QUERY_RESPONSE_INTERVAL + LATE;
        assert!(
            unasked.next().is_none_or(|at| *at <= first_answers_until),
            "{}",
            history()
        );
        assert_eq!(unasked.next(), None, "{}", history());
        assert!(
            self.reports.iter().all(|at| at < &self.leaves[0]),
            "{}",
            history()
        );
    }

    /// RFC 2236 section 3: a query is answered by a report; the unsolicited one is repeated Robustness Variable - 1
    /// times, and a query that comes before makes the repetition its answer.
    fn judge_version_2(&self, history: &dyn Fn() -> String) {
        for query in &self.queries {
            assert!(self.answers(query).count() >= 1, "{}", history());
        }
        let repetitions = ROBUSTNESS as usize - 1;
        let to_the_last_query = 1;
        let most = self.queries.len() + repetitions + to_the_last_query;
        assert!(self.reports.len() <= most, "{}", history());
        let repeated = self.reports.first().map(|at| since(*at, self.joins[0]));
        assert!(
            repeated.is_none_or(|after| after <= UNSOLICITED_REPORT_INTERVAL_V2 + LATE),
            "{}",
            history()
        );
        assert_eq!(self.leaves.len(), 1, "{}", history());
        assert!(
            self.reports.iter().all(|at| at < &self.leaves[0]),
            "{}",
            history()
        );
    }

    fn answers<'a>(
        &'a self,
        query: &'a (SystemTime, Duration),
    ) -> impl Iterator<Item = &'a SystemTime> {
        self.reports.iter().filter(|at| is_answer(query, at))
    }
}

/// Whether a report came when the answer to this query was due.
fn is_answer((asked, max_response): &(SystemTime, Duration), at: &SystemTime) -> bool {
    at >= asked && *at <= *asked + *max_response + LATE
}

/// Not about 224.0.0.0/24, which is no router's business.
fn is_about_a_member_group(igmp: &Igmp) -> bool {
    let groups: Vec<Ipv4Addr> = match igmp {
        Igmp::Query { .. } => return false,
        Igmp::ReportV1(group) | Igmp::ReportV2(group) | Igmp::Leave(group) => vec![*group],
        Igmp::ReportV3(records) => records.iter().map(|record| record.group).collect(),
    };
    !groups
        .iter()
        .all(|group| matches!(group.octets(), [224, 0, 0, _]))
}

fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

#[cfg(test)]
mod tests;
