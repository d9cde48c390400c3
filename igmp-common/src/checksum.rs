//! The Internet checksum: full (RFC 1071) and incremental (RFC 1624).

use crate::frame::Octets;

/// Folds a sum of 16-bit words to 16 bits with end-around carry.
///
/// Two folds are enough for any sum of up to 65,536 words.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = sum.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Sum of the ten words of an IPv4 header without options, in the byte order of this machine: end-around carry makes the
/// folded sum the same number in either order, byte-swapped (RFC 1071 section 2).
#[must_use]
#[inline(always)]
pub fn sum_fixed_header(header: &[u8; 20]) -> u32 {
    let mut sum = 0;
    let mut at = 0;
    while at < 20 {
        sum += u32::from(u16::from_ne_bytes([header[at], header[at + 1]]));
        at += 2;
    }
    sum
}

/// Sum of the option words between `start` and `end`, at most 40 bytes, in the same order; `None` when the frame is too
/// short.
#[inline(always)]
pub fn sum_options(frame: &impl Octets, start: usize, end: usize) -> Option<u32> {
    let mut sum = 0;
    let mut at = 0;
    while at < 40 {
        if start + at >= end {
            break;
        }
        sum += u32::from(u16::from_ne_bytes(frame.read(start + at)?));
        at += 2;
    }
    Some(sum)
}

/// The header checksum after `ttl` was lowered by one: HC' = ~(~HC + ~m + m') (RFC 1624 section 3).
///
/// TTL is the high byte of its word, so m' = m - 0x0100 and ~m + m' is the constant 0xfeff, whatever the protocol.
#[must_use]
#[inline(always)]
pub const fn after_ttl_decrement(checksum: u16) -> u16 {
    !fold((!checksum) as u32 + 0xfeff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(ttl: u8, protocol: u8, id: u16) -> [u8; 20] {
        let mut header = [
            0x45, 0xb8, 0, 40, 0, 0, 0x40, 0, ttl, protocol, 0, 0, 10, 0, 0, 9, 239, 1, 1, 1,
        ];
        header[4..6].copy_from_slice(&id.to_be_bytes());
        let checksum = !fold(sum_fixed_header(&header));
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
        header
    }

    #[test]
    fn example_of_rfc_1624_section_4_needs_end_around_carry() {
        // RFC 1624 section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 -> HC' = 0x0000.
        let sum = u32::from(!0xdd2f_u16) + u32::from(!0x5555_u16) + 0x3285;
        assert_eq!(!fold(sum), 0x0000);
    }

    #[test]
    fn decrement_equals_a_full_computation_for_every_checksum_reachable() {
        for ttl in 2..=255 {
            for id in (0..=0xffff_u16).step_by(17) {
                for protocol in [17, 2, 254] {
                    let before = header(ttl, protocol, id);
                    let after = header(ttl - 1, protocol, id);
                    let old = u16::from_be_bytes([before[10], before[11]]);
                    let new = u16::from_be_bytes([after[10], after[11]]);
                    assert_eq!(
                        after_ttl_decrement(old),
                        new,
                        "ttl {ttl} id {id} protocol {protocol}"
                    );
                }
            }
        }
    }

    #[test]
    fn options_are_summed_up_to_their_end_only() {
        let frame: &[u8] = &[0x94, 0x04, 0x00, 0x00, 0xff, 0xff];
        assert_eq!(
            sum_options(&frame, 0, 4).map(|sum| fold(sum).to_ne_bytes()),
            Some([0x94, 0x04])
        );
        assert_eq!(sum_options(&frame, 0, 8), None);
    }
}
