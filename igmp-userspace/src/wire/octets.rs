//! Big-endian fields in octets. A field that is not there reads as zero, so that no reader can panic.

use std::net::Ipv4Addr;

/// The octet at `at`.
pub(super) fn u8_at(octets: &[u8], at: usize) -> u8 {
    octets.get(at).copied().unwrap_or(0)
}

/// The 16-bit number at `at`.
pub(super) fn u16_at(octets: &[u8], at: usize) -> u16 {
    octets
        .get(at..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |octets| u16::from_be_bytes(*octets))
}

/// The address at `at`.
pub(super) fn address_at(octets: &[u8], at: usize) -> Ipv4Addr {
    octets
        .get(at..)
        .and_then(<[u8]>::first_chunk::<4>)
        .map_or(Ipv4Addr::UNSPECIFIED, |octets| Ipv4Addr::from(*octets))
}

/// The addresses that `octets` is made of.
pub(super) fn addresses(octets: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    octets
        .as_chunks::<4>()
        .0
        .iter()
        .map(|octets| Ipv4Addr::from(*octets))
}

/// Writes `value` at `at`.
pub(super) fn put_u16(octets: &mut [u8], at: usize, value: u16) {
    octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Writes `addresses` one after the other from `at` on.
pub(super) fn put_addresses(octets: &mut [u8], at: usize, addresses: &[Ipv4Addr]) {
    for (octets, address) in octets[at..].as_chunks_mut().0.iter_mut().zip(addresses) {
        *octets = address.octets();
    }
}

/// The number of `items` for a 16-bit count field.
///
/// # Panics
/// When there are more than an IPv4 packet holds: 16,377 addresses or 8,187 records.
pub(super) fn count<T>(items: &[T]) -> u16 {
    u16::try_from(items.len()).expect("messages are split before they are sent")
}
