//! The IPv4 packet around an IGMP message (RFC 791; RFC 9776 section 4 for what IGMP asks of it).

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::octets::{address_at, put_addresses, put_u16, u8_at, u16_at};
use super::{Error, Packet, Received, Repr, internet_checksum};

mod field {
    pub const VERSION_IHL: usize = 0;
    pub const TOS: usize = 1;
    pub const TOTAL_LENGTH: usize = 2;
    pub const FLAGS_FRAGMENT_OFFSET: usize = 6;
    pub const TTL: usize = 8;
    pub const PROTOCOL: usize = 9;
    pub const CHECKSUM: usize = 10;
    pub const SOURCE: usize = 12;
    pub const DESTINATION: usize = 16;
    pub const OPTIONS: usize = 20;
}

const PROTOCOL_IGMP: u8 = 2;
const DONT_FRAGMENT: u16 = 0x4000;
/// More Fragments and the Fragment Offset: both zero in a packet that is not a fragment.
const FRAGMENT: u16 = 0x3fff;
/// RFC 9776 section 4: IGMP messages are sent with TTL 1.
const TTL: u8 = 1;
/// IP Precedence of Internetwork Control (RFC 9776 section 4).
const TOS: u8 = 0xc0;
/// Type 148, length 4, value 0: "Router shall examine packet" (RFC 2113 section 2.1).
const ROUTER_ALERT: [u8; 4] = [0x94, 0x04, 0x00, 0x00];
const OPTION_END: u8 = 0;
const OPTION_NO_OPERATION: u8 = 1;

/// The header that [`emit`] writes: 20 octets and the Router Alert option.
pub(super) const HEADER_LEN: usize = field::OPTIONS + ROUTER_ALERT.len();
/// Version 4, and that header's length in 32-bit words.
const VERSION_IHL: u8 = 0x46;

/// The longest IPv4 packet.
pub(super) const MAX_LEN: usize = u16::MAX as usize;

/// Reads one packet, from the start of its IPv4 header to the end of its frame; padding after the packet is ignored.
///
/// Where the message was sent to is not judged here: `destination` is handed on.
///
/// # Errors
/// Any [`Error`], judged in the order in which the variants stand.
pub fn parse(frame_payload: &[u8]) -> Result<Received, Error> {
    let version_ihl = u8_at(frame_payload, field::VERSION_IHL);
    let header_len = usize::from(version_ihl & 0xf) * 4;
    if version_ihl >> 4 != 4 || header_len < field::OPTIONS {
        return Err(Error::Ipv4Header);
    }
    let header = frame_payload.get(..header_len).ok_or(Error::Ipv4Header)?;
    if u8_at(header, field::PROTOCOL) != PROTOCOL_IGMP {
        return Err(Error::Ipv4Header);
    }
    let router_alert = has_router_alert(&header[field::OPTIONS..]).ok_or(Error::Ipv4Header)?;
    // Ends before the header or behind the frame: no such range.
    let total_length = usize::from(u16_at(header, field::TOTAL_LENGTH));
    let payload = frame_payload
        .get(header_len..total_length)
        .ok_or(Error::Ipv4Length)?;
    if internet_checksum(header) != 0 {
        return Err(Error::Ipv4Checksum);
    }
    if u16_at(header, field::FLAGS_FRAGMENT_OFFSET) & FRAGMENT != 0 {
        return Err(Error::Ipv4Fragment);
    }
    if u8_at(header, field::TTL) != TTL {
        return Err(Error::Ttl);
    }
    Ok(Received {
        source: address_at(header, field::SOURCE),
        destination: address_at(header, field::DESTINATION),
        router_alert,
        message: Repr::parse(&Packet::new_checked(payload)?)?,
    })
}

/// Walks the options for Router Alert; `None` when one runs past the end.
fn has_router_alert(mut options: &[u8]) -> Option<bool> {
    let mut found = false;
    while let [kind, rest @ ..] = options {
        match *kind {
            OPTION_END => break,
            OPTION_NO_OPERATION => options = rest,
            _ => {
                // The length counts the type and itself (RFC 791 section 3.1).
                let len = rest.first().filter(|len| **len >= 2)?;
                let (option, following) = options.split_at_checked(usize::from(*len))?;
                found |= option == ROUTER_ALERT;
                options = following;
            }
        }
    }
    Some(found)
}

/// The IPv4 packet that carries `message`: TTL 1, TOS 0xc0 and Router Alert (RFC 9776 section 4); Don't Fragment and
/// identification 0 as Linux' own IGMP sends it.
///
/// # Panics
/// When `message` is too long for any IPv4 packet; what comes out of [`split`](fn@super::split) never is.
#[must_use]
pub fn emit(source: Ipv4Addr, destination: Ipv4Addr, message: &Repr) -> Bytes {
    let len = HEADER_LEN + message.buffer_len();
    let total_length = u16::try_from(len).expect("messages are split before they are sent");
    let mut packet = vec![0; len];
    let (header, payload) = packet.split_at_mut(HEADER_LEN);
    header[field::VERSION_IHL] = VERSION_IHL;
    header[field::TOS] = TOS;
    put_u16(header, field::TOTAL_LENGTH, total_length);
    put_u16(header, field::FLAGS_FRAGMENT_OFFSET, DONT_FRAGMENT);
    header[field::TTL] = TTL;
    header[field::PROTOCOL] = PROTOCOL_IGMP;
    put_addresses(header, field::SOURCE, &[source]);
    put_addresses(header, field::DESTINATION, &[destination]);
    header[field::OPTIONS..].copy_from_slice(&ROUTER_ALERT);
    let checksum = internet_checksum(header);
    put_u16(header, field::CHECKSUM, checksum);
    message.emit(payload);
    packet.into()
}

#[cfg(test)]
mod captured;
#[cfg(test)]
mod tests;
