//! One Group Record of a version 3 report (RFC 9776 section 4.2.5).

use std::net::Ipv4Addr;

use super::octets::{address_at, addresses, count, put_addresses, put_u16, u8_at, u16_at};

/// The six record types of a version 3 report (RFC 9776 section 4.2.13).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RecordType {
    /// MODE_IS_INCLUDE, IS_IN(A).
    ModeIsInclude = 1,
    /// MODE_IS_EXCLUDE, IS_EX(A).
    ModeIsExclude = 2,
    /// CHANGE_TO_INCLUDE_MODE, TO_IN(A).
    ChangeToInclude = 3,
    /// CHANGE_TO_EXCLUDE_MODE, TO_EX(A).
    ChangeToExclude = 4,
    /// ALLOW_NEW_SOURCES, ALLOW(A).
    AllowNewSources = 5,
    /// BLOCK_OLD_SOURCES, BLOCK(A).
    BlockOldSources = 6,
}

impl RecordType {
    /// The type with this number, if section 4.2.13 knows it.
    #[must_use]
    pub fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::ModeIsInclude,
            2 => Self::ModeIsExclude,
            3 => Self::ChangeToInclude,
            4 => Self::ChangeToExclude,
            5 => Self::AllowNewSources,
            6 => Self::BlockOldSources,
            _ => return None,
        })
    }
}

/// One Group Record of a version 3 report (RFC 9776 section 4.2.5). Auxiliary data is skipped, as section 4.2.11 asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupRecord {
    /// What the record says about the sources.
    pub record_type: RecordType,
    /// The group it is about.
    pub group: Ipv4Addr,
    /// Its sources, in the order of the message.
    pub sources: Vec<Ipv4Addr>,
}

mod field {
    pub const TYPE: usize = 0;
    pub const AUX_DATA_LEN: usize = 1;
    pub const SOURCE_COUNT: usize = 2;
    pub const GROUP: usize = 4;
    pub const SOURCES: usize = 8;
}

/// Octets of a record without its sources.
pub(super) const HEADER_LEN: usize = field::SOURCES;

impl GroupRecord {
    /// Octets on the wire.
    pub(super) fn buffer_len(&self) -> usize {
        HEADER_LEN + 4 * self.sources.len()
    }

    /// Writes the record to the start of `buffer` and returns the rest.
    pub(super) fn emit<'a>(&self, buffer: &'a mut [u8]) -> &'a mut [u8] {
        let (record, rest) = buffer.split_at_mut(self.buffer_len());
        record[field::TYPE] = self.record_type as u8;
        // RFC 9776 section 4.2.11: never sent.
        record[field::AUX_DATA_LEN] = 0;
        put_u16(record, field::SOURCE_COUNT, count(&self.sources));
        put_addresses(record, field::GROUP, &[self.group]);
        put_addresses(record, field::SOURCES, &self.sources);
        rest
    }
}

/// A view of one Group Record, all of whose octets are there.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    header: &'a [u8],
    sources: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Takes the first record off `octets`: the record and what follows it, or `None` when it runs past the end.
    pub(super) fn split_first(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = octets.split_at_checked(HEADER_LEN)?;
        let (sources, rest) =
            rest.split_at_checked(4 * usize::from(u16_at(header, field::SOURCE_COUNT)))?;
        // In 32-bit words (RFC 9776 section 4.2.7).
        let (_aux_data, rest) =
            rest.split_at_checked(4 * usize::from(u8_at(header, field::AUX_DATA_LEN)))?;
        Some((Self { header, sources }, rest))
    }

    /// The record type; `None` when RFC 9776 does not know it: section 4.2.13 says to ignore the record.
    #[must_use]
    pub fn record_type(&self) -> Option<RecordType> {
        RecordType::from_octet(u8_at(self.header, field::TYPE))
    }

    /// Multicast Address.
    #[must_use]
    pub fn group(&self) -> Ipv4Addr {
        address_at(self.header, field::GROUP)
    }

    /// Source Addresses, in the order of the message.
    pub fn sources(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        addresses(self.sources)
    }
}
