//! Bytes <-> meaning, for the messages of IGMPv1 (RFC 1112), IGMPv2 (RFC 2236) and IGMPv3 (RFC 9776).
//!
//! ```text
//! frame payload --ipv4::parse--> Packet (a checked view) --Repr::parse--> Repr (a meaning)
//! IPv4 packet   <--ipv4::emit--------------------------------------------------- Repr, from split
//! ```
//!
//! The contract: [`Packet::new_checked`] checks the checksum, every length and every count once; after it no accessor
//! panics. Parsing says yes, or no with the one [`Error`] that the refusal is counted under; it never panics and keeps
//! no state. What comes out of [`Repr::parse`] is a valid message, and `parse(emit(repr)) == repr` for it.

use std::net::Ipv4Addr;

mod checksum;
mod display;
mod float_code;
mod group_record;
pub mod ipv4;
mod octets;
mod packet;
mod repr;
mod split;
#[cfg(test)]
mod strategies;

pub use checksum::internet_checksum;
pub use group_record::{GroupRecord, RecordType, RecordView};
pub use packet::Packet;
pub(crate) use repr::check_group;
pub use repr::{Query, Repr};
pub use split::split;

/// 224.0.0.1, where General Queries go (RFC 9776 section 4.1.12).
pub const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// 224.0.0.2, where IGMPv2 Leave messages go (RFC 2236 section 3).
pub const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// 224.0.0.22, where IGMPv3 reports go (RFC 9776 section 4.2.15).
pub const ALL_IGMPV3_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);

/// Why a packet is not an IGMP message we act on. Judged in this order; each is a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Error {
    /// Shorter than its IPv4 header, not version 4, a header length below 20 bytes, an option that runs past the
    /// header, or a protocol that is not IGMP (2).
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
    /// The group is not multicast (and the message is no General Query). A version 3 report is refused for its groups
    /// only when no record is left; see [`Repr::parse`].
    #[error("group is not multicast")]
    GroupNotMulticast,
    /// The group is in 224.0.0.0/24, which is never forwarded (RFC 5771 section 4) and so not tracked. Nothing is wrong
    /// with such a message: hosts report the link-local groups they joined (all but 224.0.0.1).
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
