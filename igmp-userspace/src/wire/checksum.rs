//! The Internet checksum (RFC 1071), plain: for control messages, not for the packet path.

/// The 16-bit one's complement of the one's complement sum of `octets` (RFC 1071 section 1).
///
/// Over octets that contain their own correct checksum the result is 0.
#[must_use]
pub fn internet_checksum(octets: &[u8]) -> u16 {
    let (pairs, odd) = octets.as_chunks::<2>();
    let last = odd.first().map(|octet| [*octet, 0]);
    !pairs.iter().chain(last.as_ref()).fold(0, |sum: u16, pair| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes(*pair));
        sum + u16::from(carry)
    })
}

#[cfg(test)]
mod tests;
