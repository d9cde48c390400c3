//! An IGMP message as octets: where its fields are, and the checked view [`Packet`].

use std::net::Ipv4Addr;

use super::group_record::RecordView;
use super::octets::{address_at, addresses, u8_at, u16_at};
use super::{Error, Version, internet_checksum};

/// IGMP Type numbers (RFC 9776 section 4).
pub(super) mod kind {
    pub const QUERY: u8 = 0x11;
    pub const REPORT_V1: u8 = 0x12;
    pub const REPORT_V2: u8 = 0x16;
    pub const LEAVE: u8 = 0x17;
    pub const REPORT_V3: u8 = 0x22;
}

/// Where the fields are: RFC 9776 section 4.1 for a query, 4.2 for a version 3 report, RFC 2236 section 2 for the rest.
pub(super) mod field {
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
pub(super) const HEADER_LEN: usize = 8;
/// A version 3 query without its sources.
pub(super) const QUERY_V3_LEN: usize = field::SOURCES;
/// A version 3 report without its records.
pub(super) const REPORT_V3_LEN: usize = field::RECORDS;

/// The S flag in the octet it shares with QRV (RFC 9776 section 4.1.5).
pub(super) const SUPPRESS: u8 = 0x08;
/// The Querier's Robustness Variable in that octet; also the largest it can say (section 4.1.6).
pub(super) const QRV: u8 = 0x07;

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

    pub(super) fn kind(&self) -> u8 {
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
