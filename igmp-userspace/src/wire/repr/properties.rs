use proptest::prelude::*;

use super::tests::{emit, parse};
use super::*;
use crate::wire::strategies::{message, with_checksum};

proptest! {
    #[test]
    fn read_and_written_are_the_same(message in message(8)) {
        prop_assert_eq!(parse(&emit(&message)), Ok(message));
    }

    #[test]
    fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..8_usize) {
        let mut octets = octets;
        if octets.len() >= 4 {
            // Most random octets would be stopped by their type or their checksum.
            octets[0] = *[0x11, 0x11, 0x12, 0x16, 0x17, 0x22, 0x22].get(kind).unwrap_or(&octets[0]);
            octets = with_checksum(&octets);
        }
        if let Ok(message) = parse(&octets) {
            prop_assert_eq!(parse(&emit(&message)), Ok(message));
        }
    }

    #[test]
    fn a_message_cut_short_is_never_another(message in message(4)) {
        let octets = emit(&message);
        for len in 4..octets.len() {
            let cut = parse(&with_checksum(&octets[..len]));
            match (octets[0], len) {
                // By definition a query of an older version (RFC 9776 section 7.1).
                (0x11, 8) => {}
                (0x11, 12..) => prop_assert_eq!(cut, Err(Error::Count)),
                (0x22, 8..) => prop_assert_eq!(cut, Err(Error::Count)),
                _ => prop_assert_eq!(cut, Err(Error::Length)),
            }
        }
    }

    #[test]
    fn any_one_bit_wrong_is_seen(message in message(4), bit in any::<prop::sample::Index>()) {
        let mut octets = emit(&message);
        let bit = bit.index(octets.len() * 8);
        octets[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(parse(&octets), Err(Error::Checksum));
    }
}
