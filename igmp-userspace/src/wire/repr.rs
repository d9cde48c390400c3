//! What an IGMP message means: [`Repr`], read from a [`Packet`] and written to octets.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::group_record::{GroupRecord, RecordView};
use super::octets::{count, put_addresses, put_u16};
use super::packet::{HEADER_LEN, QRV, QUERY_V3_LEN, REPORT_V3_LEN, SUPPRESS, field, kind};
use super::{Error, Packet, Version, float_code, internet_checksum};

/// Max Response Time of a version 1 query, whose Max Resp Code is 0 (RFC 2236 section 4).
const MAX_RESPONSE_TIME_V1: Duration = Duration::from_secs(10);
/// The unit of Max Resp Code.
const TENTH: Duration = Duration::from_millis(100);

/// The meaning of one IGMP message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Repr {
    /// Membership Query of any version.
    Query(Query),
    /// Version 1 Membership Report.
    ReportV1 {
        /// The group joined.
        group: Ipv4Addr,
    },
    /// Version 2 Membership Report.
    ReportV2 {
        /// The group joined.
        group: Ipv4Addr,
    },
    /// Version 2 Leave Group.
    Leave {
        /// The group left.
        group: Ipv4Addr,
    },
    /// Version 3 Membership Report, records in the order of the message.
    ReportV3(Vec<GroupRecord>),
}

/// A Membership Query (RFC 9776 section 4.1; section 7.1 for how the version is told).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// Version, told by length and Max Resp Code.
    pub version: Version,
    /// Max Response Time; always 10 s for version 1 (RFC 2236 section 4). Zero only in version 3: answer at once.
    pub max_response_time: Duration,
    /// The group asked about; `0.0.0.0` makes it a General Query.
    pub group: Ipv4Addr,
    /// The S flag, "Suppress Router-Side Processing" (version 3 only).
    pub suppress_router_side_processing: bool,
    /// Querier's Robustness Variable; 0 = not said (version 3 only).
    pub robustness: u8,
    /// Querier's Query Interval; zero = not said (version 3 only).
    pub query_interval: Duration,
    /// Sources of a Group-and-Source-Specific Query (version 3 only).
    pub sources: Vec<Ipv4Addr>,
}

impl Repr {
    /// The meaning of `packet`.
    ///
    /// Of a version 3 report, records of a type that RFC 9776 does not know are left out (section 4.2.13), and so are
    /// records for a group that cannot be a member's. Only when the latter leaves nothing is the report refused, with
    /// the reason of the first such record.
    ///
    /// # Errors
    /// [`Error::UnknownType`], [`Error::GroupNotMulticast`], [`Error::GroupLinkLocal`].
    pub fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        let group = || check_group(packet.group());
        Ok(match packet.kind() {
            kind::QUERY => Self::Query(Query::parse(packet)?),
            kind::REPORT_V1 => Self::ReportV1 { group: group()? },
            kind::REPORT_V2 => Self::ReportV2 { group: group()? },
            kind::LEAVE => Self::Leave { group: group()? },
            kind::REPORT_V3 => Self::ReportV3(parse_records(packet.records())?),
            _ => return Err(Error::UnknownType),
        })
    }

    /// Octets on the wire, from the IGMP Type on.
    #[must_use]
    pub fn buffer_len(&self) -> usize {
        match self {
            Self::Query(query) if query.version == Version::V3 => {
                QUERY_V3_LEN + 4 * query.sources.len()
            }
            Self::ReportV3(records) => {
                REPORT_V3_LEN + records.iter().map(GroupRecord::buffer_len).sum::<usize>()
            }
            Self::Query(_) | Self::ReportV1 { .. } | Self::ReportV2 { .. } | Self::Leave { .. } => {
                HEADER_LEN
            }
        }
    }

    /// Writes the message, checksum included, into `buffer`, which is [`buffer_len`](Self::buffer_len) octets long.
    ///
    /// Times that the wire cannot say are rounded down to what it can; a version 2 query is never made a version 1
    /// query by that, and asks for a tenth of a second at least. A Robustness Variable above 7 is sent as 0 (RFC 9776
    /// section 4.1.6).
    ///
    /// # Panics
    /// When `buffer` is shorter, or a count is too large for any IPv4 packet; see [`split`](fn@super::split).
    pub fn emit(&self, buffer: &mut [u8]) {
        buffer.fill(0);
        match self {
            Self::Query(query) => query.emit(buffer),
            Self::ReportV1 { group } => emit_header(buffer, kind::REPORT_V1, *group),
            Self::ReportV2 { group } => emit_header(buffer, kind::REPORT_V2, *group),
            Self::Leave { group } => emit_header(buffer, kind::LEAVE, *group),
            Self::ReportV3(records) => {
                buffer[field::TYPE] = kind::REPORT_V3;
                put_u16(buffer, field::RECORD_COUNT, count(records));
                let mut rest = &mut buffer[field::RECORDS..];
                for record in records {
                    rest = record.emit(rest);
                }
            }
        }
        let checksum = internet_checksum(buffer);
        put_u16(buffer, field::CHECKSUM, checksum);
    }
}

impl Query {
    fn parse<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<Self, Error> {
        let version = packet.query_version();
        let code = packet.max_resp_code();
        let max_response_time = match version {
            Version::V1 => MAX_RESPONSE_TIME_V1,
            // RFC 2236 section 2.2: a plain number of tenths.
            Version::V2 => TENTH * u32::from(code),
            Version::V3 => TENTH * u32::from(float_code::decode(code)),
        };
        let sources: Vec<_> = packet.sources().collect();
        let group = match packet.group() {
            // RFC 1112 appendix I: sent as zero and ignored when received.
            _ if version == Version::V1 => Ipv4Addr::UNSPECIFIED,
            // A General Query has neither group nor sources (RFC 9776 section 4.1.11).
            Ipv4Addr::UNSPECIFIED if sources.is_empty() => Ipv4Addr::UNSPECIFIED,
            group => check_group(group)?,
        };
        Ok(Self {
            version,
            max_response_time,
            group,
            suppress_router_side_processing: packet.suppress_router_side_processing(),
            robustness: packet.robustness(),
            query_interval: Duration::from_secs(
                float_code::decode(packet.querier_query_interval_code()).into(),
            ),
            sources,
        })
    }

    fn emit(&self, buffer: &mut [u8]) {
        emit_header(buffer, kind::QUERY, self.group);
        let tenths = u64::try_from(self.max_response_time.as_millis() / TENTH.as_millis())
            .unwrap_or(u64::MAX);
        buffer[field::MAX_RESP_CODE] = match self.version {
            Version::V1 => 0,
            Version::V2 => u8::try_from(tenths).unwrap_or(u8::MAX).max(1),
            Version::V3 => float_code::encode(tenths),
        };
        if self.version < Version::V3 {
            return;
        }
        let suppress = if self.suppress_router_side_processing {
            SUPPRESS
        } else {
            0
        };
        let robustness = if self.robustness > QRV {
            0
        } else {
            self.robustness
        };
        buffer[field::FLAGS] = suppress | robustness;
        buffer[field::QQIC] = float_code::encode(self.query_interval.as_secs());
        put_u16(buffer, field::SOURCE_COUNT, count(&self.sources));
        put_addresses(buffer, field::SOURCES, &self.sources);
    }
}

fn emit_header(buffer: &mut [u8], kind: u8, group: Ipv4Addr) {
    buffer[field::TYPE] = kind;
    put_addresses(buffer, field::GROUP, &[group]);
}

fn parse_records<'a>(
    views: impl Iterator<Item = RecordView<'a>>,
) -> Result<Vec<GroupRecord>, Error> {
    let mut records = Vec::new();
    let mut refused = None;
    for view in views {
        let Some(record_type) = view.record_type() else {
            continue;
        };
        match check_group(view.group()) {
            Ok(group) => records.push(GroupRecord {
                record_type,
                group,
                sources: view.sources().collect(),
            }),
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    match refused {
        Some(reason) if records.is_empty() => Err(reason),
        _ => Ok(records),
    }
}

/// A group that hosts can be members of and routers can forward.
pub(crate) fn check_group(group: Ipv4Addr) -> Result<Ipv4Addr, Error> {
    match group.octets() {
        [224, 0, 0, _] => Err(Error::GroupLinkLocal),
        [224..=239, ..] => Ok(group),
        _ => Err(Error::GroupNotMulticast),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
