//! Messages too large for a link's MTU become several.

use super::group_record::{self, GroupRecord, RecordType};
use super::packet::{QUERY_V3_LEN, REPORT_V3_LEN};
use super::{Query, Repr, ipv4};

/// Every IPv4 link carries packets of this many octets (RFC 791 section 3.2).
const MIN_MTU: usize = 68;

/// The messages that together say what `message` says, each of which [`ipv4::emit`] makes a packet of at most `mtu`
/// octets (taken as 68 where it is less, which is the least an IPv4 link carries).
///
/// Sources of a query go into as many queries as they need (RFC 9776 section 4.1.8). Records of a report go, in their
/// order, into as many reports as they need; a record too large for one is cut as section 4.2.17 says: into several
/// records in separate reports, or, when its type is MODE_IS_EXCLUDE or CHANGE_TO_EXCLUDE_MODE, down to as many
/// sources as fit, always the first ones, because two such records do not add up.
#[must_use]
pub fn split(message: &Repr, mtu: usize) -> Vec<Repr> {
    let room = mtu.clamp(MIN_MTU, ipv4::MAX_LEN) - ipv4::HEADER_LEN;
    if message.buffer_len() <= room {
        return vec![message.clone()];
    }
    match message {
        Repr::Query(query) => split_query(query, room),
        Repr::ReportV3(records) => split_report(records, room),
        // Eight octets: always fit.
        Repr::ReportV1 { .. } | Repr::ReportV2 { .. } | Repr::Leave { .. } => vec![message.clone()],
    }
}

fn split_query(query: &Query, room: usize) -> Vec<Repr> {
    let part = |sources: &[_]| {
        Repr::Query(Query {
            sources: sources.to_vec(),
            ..query.clone()
        })
    };
    query
        .sources
        .chunks((room - QUERY_V3_LEN) / 4)
        .map(part)
        .collect()
}

fn split_report(records: &[GroupRecord], room: usize) -> Vec<Repr> {
    let room = room - REPORT_V3_LEN;
    let mut reports = Vec::new();
    let mut current = Vec::new();
    let mut free = room;
    for record in records.iter().flat_map(|record| split_record(record, room)) {
        if record.buffer_len() > free {
            reports.push(Repr::ReportV3(std::mem::take(&mut current)));
            free = room;
        }
        free -= record.buffer_len();
        current.push(record);
    }
    reports.push(Repr::ReportV3(current));
    reports
}

/// Parts of at most `room` octets; all but the last fill it.
fn split_record(record: &GroupRecord, room: usize) -> Vec<GroupRecord> {
    if record.buffer_len() <= room {
        return vec![record.clone()];
    }
    let parts = record.sources.chunks((room - group_record::HEADER_LEN) / 4);
    let parts = match record.record_type {
        RecordType::ModeIsExclude | RecordType::ChangeToExclude => parts.take(1),
        RecordType::ModeIsInclude
        | RecordType::ChangeToInclude
        | RecordType::AllowNewSources
        | RecordType::BlockOldSources => parts.take(usize::MAX),
    };
    parts
        .map(|sources| GroupRecord {
            sources: sources.to_vec(),
            ..record.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests;
