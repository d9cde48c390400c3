//! Messages in one line, in the notation of RFC 9776 section 4.2.16.

use std::fmt::{Display, Formatter, Result};
use std::net::Ipv4Addr;

use super::{GroupRecord, Query, RecordType, Repr};

impl Display for Repr {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Query(query) => query.fmt(f),
            Self::ReportV1 { group } => write!(f, "Report(G={group}, v1)"),
            Self::ReportV2 { group } => write!(f, "Report(G={group}, v2)"),
            Self::Leave { group } => write!(f, "Leave(G={group})"),
            Self::ReportV3(records) if records.is_empty() => write!(f, "Report(no records, v3)"),
            Self::ReportV3(records) => write_list(f, records, " "),
        }
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "Query(G={}, ", self.group)?;
        if !self.sources.is_empty() {
            write!(f, "S=")?;
            write_set(f, &self.sources)?;
            write!(f, ", ")?;
        }
        write!(f, "v{}, ", self.version as u8)?;
        if self.max_response_time.is_zero() {
            write!(f, "0s")?;
        } else {
            write!(f, "{:?}", self.max_response_time)?;
        }
        if self.suppress_router_side_processing {
            write!(f, ", suppress")?;
        }
        write!(f, ")")
    }
}

impl Display for GroupRecord {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}({}, ", self.record_type, self.group)?;
        write_set(f, &self.sources)?;
        write!(f, ")")
    }
}

impl Display for RecordType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::ModeIsInclude => "IS_IN",
            Self::ModeIsExclude => "IS_EX",
            Self::ChangeToInclude => "TO_IN",
            Self::ChangeToExclude => "TO_EX",
            Self::AllowNewSources => "ALLOW",
            Self::BlockOldSources => "BLOCK",
        })
    }
}

fn write_set(f: &mut Formatter<'_>, addresses: &[Ipv4Addr]) -> Result {
    write!(f, "{{")?;
    write_list(f, addresses, ", ")?;
    write!(f, "}}")
}

fn write_list(f: &mut Formatter<'_>, items: &[impl Display], separator: &str) -> Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
