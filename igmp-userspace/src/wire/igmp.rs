//! IGMP messages: the view [`Packet`] and the meaning [`Repr`].

use std::net::Ipv4Addr;
use std::time::Duration;

use super::group_record::{GroupRecord, RecordView};
use super::octets::{address_at, addresses, count, put_addresses, put_u16, u8_at, u16_at};
use super::{Error, Version, float_code, internet_checksum};

/// IGMP Type numbers (RFC 9776 section 4).
mod kind {
    pub const QUERY: u8 = 0x11;
    pub const REPORT_V1: u8 = 0x12;
    pub const REPORT_V2: u8 = 0x16;
    pub const LEAVE: u8 = 0x17;
    pub const REPORT_V3: u8 = 0x22;
}

/// Where the fields are: RFC 9776 section 4.1 for a query, 4.2 for a version 3 report, RFC 2236 section 2 for the rest.
mod field {
    pub const TYPE: usize = 0;
    pub const MAX_RESP_CODE: usize = 1;
    pub const CHECKSUM: usize = 2;
    pub const GROUP: usize = 4;
    pub const FLAGS: usize = 8;
    pub const QQIC: usize = 9;
    pub const SOURCE_COUNT: usize = 10;
    pub const SOURCES: usize = 12;
    pub const RECORD_COUNT: usize = 6;
    pub const RECORDS: usize = 8;
}

/// What every message has, and all that versions 1 and 2 have.
const HEADER_LEN: usize = 8;
/// A version 3 query without its sources.
pub(super) const QUERY_V3_LEN: usize = field::SOURCES;
/// A version 3 report without its records.
pub(super) const REPORT_V3_LEN: usize = field::RECORDS;

/// The S flag in the octet it shares with QRV (RFC 9776 section 4.1.5).
const SUPPRESS: u8 = 0x08;
/// The Querier's Robustness Variable in that octet; also the largest it can say (section 4.1.6).
const QRV: u8 = 0x07;

/// Max Response Time of a version 1 query, whose Max Resp Code is 0 (RFC 2236 section 4).
const MAX_RESPONSE_TIME_V1: Duration = Duration::from_secs(10);
/// The unit of Max Resp Code.
const TENTH: Duration = Duration::from_millis(100);

/// A view of one IGMP message: the whole payload of its IPv4 packet.
///
/// Made only by [`Packet::new_checked`], so that its checksum, lengths and counts are right. Fields that the message's
/// version does not have read as zero, which in a query means "not said".
#[derive(Clone, Copy, Debug)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks `buffer`, the whole IPv4 payload.
    ///
    /// # Errors
    /// [`Error::Checksum`], [`Error::Length`] and [`Error::Count`], in this order. A message too short to have a
    /// checksum is a matter of length.
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self { buffer };
        let octets = packet.octets();
        // RFC 9776 section 4.1.2: over the whole IP payload, also beyond what the counts cover.
        if octets.len() >= field::GROUP && internet_checksum(octets) != 0 {
            return Err(Error::Checksum);
        }
        packet.check_len()?;
        Ok(packet)
    }

    /// Octets beyond what the counts cover are allowed and ignored (RFC 2236 section 2.5, RFC 9776 sections 4.1.10
    /// and 4.2.12).
    fn check_len(&self) -> Result<(), Error> {
        let octets = self.octets();
        if octets.len() < HEADER_LEN {
            return Err(Error::Length);
        }
        let counts_fit = match self.kind() {
            kind::QUERY => {
                // RFC 9776 section 7.1: what is neither 8 octets nor at least 12 is silently ignored.
                if octets.len() > HEADER_LEN && octets.len() < QUERY_V3_LEN {
                    return Err(Error::Length);
                }
                self.sources().count() == usize::from(self.source_count())
            }
            kind::REPORT_V3 => self.records().count() == usize::from(self.record_count()),
            _ => true,
        };
        if counts_fit {
            Ok(())
        } else {
            Err(Error::Count)
        }
    }

    fn octets(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    fn kind(&self) -> u8 {
        u8_at(self.octets(), field::TYPE)
    }

    /// The version of a query by its length and Max Resp Code (RFC 9776 section 7.1).
    #[must_use]
    pub fn query_version(&self) -> Version {
        match (self.octets().len(), self.max_resp_code()) {
            (QUERY_V3_LEN.., _) => Version::V3,
            (_, 0) => Version::V1,
            _ => Version::V2,
        }
    }

    /// Max Resp Code of a query (RFC 9776 section 4.1.1).
    #[must_use]
    pub fn max_resp_code(&self) -> u8 {
        u8_at(self.octets(), field::MAX_RESP_CODE)
    }

    /// Group Address of any message but a version 3 report (RFC 9776 section 4.1.3).
    #[must_use]
    pub fn group(&self) -> Ipv4Addr {
        address_at(self.octets(), field::GROUP)
    }

    /// S flag of a version 3 query (RFC 9776 section 4.1.5).
    #[must_use]
    pub fn suppress_router_side_processing(&self) -> bool {
        u8_at(self.octets(), field::FLAGS) & SUPPRESS != 0
    }

    /// QRV of a version 3 query (RFC 9776 section 4.1.6).
    #[must_use]
    pub fn robustness(&self) -> u8 {
        u8_at(self.octets(), field::FLAGS) & QRV
    }

    /// QQIC of a version 3 query (RFC 9776 section 4.1.7).
    #[must_use]
    pub fn querier_query_interval_code(&self) -> u8 {
        u8_at(self.octets(), field::QQIC)
    }

    /// Number of Sources of a version 3 query (RFC 9776 section 4.1.8).
    #[must_use]
    pub fn source_count(&self) -> u16 {
        u16_at(self.octets(), field::SOURCE_COUNT)
    }

    /// Source Addresses of a version 3 query (RFC 9776 section 4.1.9).
    pub fn sources(&self) -> impl Iterator<Item = Ipv4Addr> {
        addresses(self.octets().get(field::SOURCES..).unwrap_or_default())
            .take(self.source_count().into())
    }

    /// Number of Group Records of a version 3 report (RFC 9776 section 4.2.4).
    #[must_use]
    pub fn record_count(&self) -> u16 {
        u16_at(self.octets(), field::RECORD_COUNT)
    }

    /// Group Records of a version 3 report (RFC 9776 section 4.2.5), unknown types among them.
    pub fn records(&self) -> impl Iterator<Item = RecordView<'_>> {
        let mut rest = self.octets().get(field::RECORDS..).unwrap_or_default();
        (0..self.record_count()).map_while(move |_| {
            let (record, following) = RecordView::split_first(rest)?;
            rest = following;
            Some(record)
        })
    }
}

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
    /// When `buffer` is shorter, or a count is too large for any IPv4 packet; see [`split`](super::split).
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
                records
                    .iter()
                    .fold(&mut buffer[field::RECORDS..], |rest, record| {
                        record.emit(rest)
                    });
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
fn check_group(group: Ipv4Addr) -> Result<Ipv4Addr, Error> {
    match group.octets() {
        [224, 0, 0, _] => Err(Error::GroupLinkLocal),
        [224..=239, ..] => Ok(group),
        _ => Err(Error::GroupNotMulticast),
    }
}

#[cfg(test)]
mod tests;
