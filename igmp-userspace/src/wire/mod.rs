//! Bytes <-> meaning, for the messages of IGMPv1 (RFC 1112), IGMPv2 (RFC 2236) and IGMPv3 (RFC 9776).
//!
//! The contract: `Packet::new_checked` checks every length and count once; after it no accessor panics. A `Repr` cannot
//! hold an invalid message. Parsing says yes, or no with the one [`Error`] that the refusal is counted under.

use std::net::Ipv4Addr;
use std::time::Duration;

/// 224.0.0.1, where General Queries go (RFC 9776 section 4.1.12).
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// 224.0.0.2, where IGMPv2 Leave messages go (RFC 2236 section 3).
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// 224.0.0.22, where IGMPv3 reports go (RFC 9776 section 4.2.14).
pub const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// Why a packet is not an IGMP message we act on. Judged in this order; each is a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Error {
    /// Shorter than its IPv4 header, not version 4, or a header length below 20 bytes.
    #[error("IPv4 header truncated or malformed")]
    Ipv4Header,
    /// The IPv4 total length is shorter than the header or longer than the frame.
    #[error("IPv4 total length does not fit the frame")]
    Ipv4Length,
    /// The IPv4 header checksum is wrong.
    #[error("IPv4 header checksum wrong")]
    Ipv4Checksum,
    /// A fragment: IGMP messages are never reassembled here.
    #[error("IPv4 fragment")]
    Ipv4Fragment,
    /// TTL other than 1 (RFC 9776 section 4: IGMP messages are sent with TTL 1).
    #[error("TTL is not 1")]
    Ttl,
    /// The IGMP checksum over the whole IPv4 payload is wrong (RFC 9776 section 4.1.2).
    #[error("IGMP checksum wrong")]
    Checksum,
    /// Too short for its type, or a query of 9 to 11 bytes (RFC 9776 section 7.1).
    #[error("length wrong for the message type")]
    Length,
    /// A record or source count runs past the end of the message.
    #[error("record or source count runs past the end")]
    Count,
    /// A type this router does not know (RFC 9776 section 4: ignored).
    #[error("unknown IGMP type")]
    UnknownType,
    /// The group is not multicast (and the message is no General Query).
    #[error("group is not multicast")]
    GroupNotMulticast,
    /// The group is in 224.0.0.0/24, which is never tracked nor forwarded (RFC 5771 section 4).
    #[error("group is link-local (224.0.0.0/24)")]
    GroupLinkLocal,
}

/// IGMP protocol version; the order is the protocol's own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// RFC 1112.
    V1 = 1,
    /// RFC 2236.
    V2 = 2,
    /// RFC 9776 (and its predecessor RFC 3376).
    V3 = 3,
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

/// A Membership Query (RFC 9776 section 4.1; sections 7.1 for how the version is told).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// Version, told by length and Max Resp Code.
    pub version: Version,
    /// Max Response Time; always 10 s for version 1 (RFC 2236 section 4).
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

/// One Group Record of a version 3 report (RFC 9776 section 4.2.4). Auxiliary data is skipped, as section 4.2.11 asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupRecord {
    /// What the record says about the sources.
    pub record_type: RecordType,
    /// The group it is about.
    pub group: Ipv4Addr,
    /// Its sources, in the order of the message.
    pub sources: Vec<Ipv4Addr>,
}

/// An IGMP message together with what its IPv4 header says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Received {
    /// IPv4 source.
    pub source: Ipv4Addr,
    /// IPv4 destination.
    pub destination: Ipv4Addr,
    /// True when the Router Alert option (RFC 2113) is there.
    pub router_alert: bool,
    /// The message.
    pub message: Repr,
}
