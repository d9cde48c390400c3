//! The Internet checksum: full (RFC 1071) and incremental (RFC 1624).

/// Folds a sum of words to 16 bits with end-around carry. Good for sums below 2^48, which is 65,536 words of 32 bits.
#[must_use]
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [.., high, low] = sum.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Sum of an IPv4 header without options, in 32-bit words and the byte order of this machine: the carry comes around
/// either way, and the folded sum is the same number, byte-swapped (RFC 1071 section 2).
#[must_use]
#[inline(always)]
pub const fn sum_words(header: [u32; 5]) -> u64 {
    let mut sum = 0;
    let mut at = 0;
    while at < header.len() {
        sum += header[at] as u64;
        at += 1;
    }
    sum
}

/// Whether [`fold`] makes 0xffff of `sum`, which is not 0, in two instructions: whether 65,535 divides it.
///
/// A multiple of an odd number, times that number's inverse modulo 2^64, is the quotient, and that is small; what is not a
/// multiple becomes something larger. 65,535 x 0x0001000100010001 is 2^64 - 1, hence the inverse.
#[must_use]
#[inline(always)]
pub const fn folds_to_ones(sum: u64) -> bool {
    const INVERSE: u64 = 0_u64.wrapping_sub(0x0001_0001_0001_0001);
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// The header checksum after `ttl` was lowered by one: HC' = ~(~HC + ~m + m') (RFC 1624 section 3).
///
/// TTL is the high byte of its word, so m' = m - 0x0100, and HC grows by 0x0100 with its carry brought around. The sum
/// cannot be all ones, because a checksum of ones would need a header of zeros: 0xffff stands for 0.
#[must_use]
#[inline(always)]
#[allow(
    clippy::cast_possible_truncation,
    reason = "the carry has come around, and is meant to go"
)]
pub const fn after_ttl_decrement(checksum: u16) -> u16 {
    let sum = checksum as u32 + 0x0100;
    (sum + (sum >= 0xffff) as u32) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Octets;

    fn header(ttl: u8, protocol: u8, id: u16) -> [u8; 20] {
        let mut header = [
            0x45, 0xb8, 0, 40, 0, 0, 0x40, 0, ttl, protocol, 0, 0, 10, 0, 0, 9, 239, 1, 1, 1,
        ];
        header[4..6].copy_from_slice(&id.to_be_bytes());
        let words = (&header[..]).read(0).unwrap();
        let checksum = !fold(sum_words(words));
        header[10..12].copy_from_slice(&checksum.to_ne_bytes());
        header
    }

    #[test]
    fn example_of_rfc_1624_section_4_needs_end_around_carry() {
        // RFC 1624 section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 -> HC' = 0x0000.
        let sum = u64::from(!0xdd2f_u16) + u64::from(!0x5555_u16) + 0x3285;
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
    fn sums_that_fold_to_ones_are_told_without_folding() {
        let multiples = (1..0x1_0000_u64).map(|quotient| quotient * 0xffff * 0x1_0003);
        for sum in multiples.flat_map(|sum| [sum - 1, sum, sum + 1]) {
            assert_eq!(folds_to_ones(sum), fold(sum) == 0xffff, "{sum:#x}");
        }
    }

    #[test]
    fn folding_brings_every_carry_around() {
        for (sum, folded) in [
            (0, 0),
            (0xffff, 0xffff),
            (0x1_0000, 1),
            (0xffff_ffff, 0xffff),
            (5 * 0xffff_ffff, 0xffff),
            (0x1_0000_0000, 1),
            (0x1_ffff_ffff, 1),
            (0x1_ffff_fffe, 0xffff),
        ] {
            assert_eq!(fold(sum), folded, "{sum:#x}");
            assert_eq!(folds_to_ones(sum), sum == 0 || folded == 0xffff, "{sum:#x}");
            assert_eq!(
                u64::from(folded) % 0xffff,
                sum % 0xffff,
                "{sum:#x}: the same modulo 2^16-1"
            );
        }
    }
}
