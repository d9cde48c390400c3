use super::*;

#[test]
fn rfc_1071_section_3_example() {
    // "0001 f203 f4f5 f6f7" sums to ddf2; the checksum is its complement.
    assert_eq!(
        internet_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
        !0xddf2
    );
}

#[test]
fn odd_length_is_padded_with_a_zero_octet() {
    assert_eq!(internet_checksum(&[0x12]), !0x1200);
    assert_eq!(
        internet_checksum(&[0x12, 0x34, 0x56]),
        internet_checksum(&[0x12, 0x34, 0x56, 0x00])
    );
}

#[test]
fn carries_are_folded_until_none_is_left() {
    // ffff + ffff + 0001 = 1ffff -> ffff + 1 = 10000 -> 0000 + 1
    assert_eq!(
        internet_checksum(&[0xff, 0xff, 0xff, 0xff, 0x00, 0x01]),
        !0x0001
    );
}

#[test]
fn the_sum_over_nothing_is_zero() {
    assert_eq!(internet_checksum(&[]), 0xffff);
}

#[test]
fn a_message_with_its_own_checksum_gives_zero() {
    // A version 2 General Query as a Linux bridge sends it.
    assert_eq!(internet_checksum(&[0x11, 0x64, 0xee, 0x9b, 0, 0, 0, 0]), 0);
}
