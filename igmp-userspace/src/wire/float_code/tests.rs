use super::*;

#[test]
fn values_of_the_rfc_formula() {
    // (mant | 0x10) << (exp + 3), worked by hand.
    for (code, value) in [
        (0x00, 0),
        (0x01, 1),
        (0x64, 100), // 10 s in tenths
        (0x7d, 125), // the default Query Interval
        (0x7f, 127),
        (0x80, 128),    // 16 << 3
        (0x81, 136),    // 17 << 3
        (0x8f, 248),    // 31 << 3
        (0x90, 256),    // 16 << 4
        (0xd5, 5_376),  // 21 << 8
        (0xfe, 30_720), // 30 << 10
        (0xff, 31_744), // 31 << 10
    ] {
        assert_eq!(decode(code), value, "code {code:#04x}");
        assert_eq!(encode(u64::from(value)), code, "value {value}");
    }
}

#[test]
fn every_code_round_trips_and_says_more_than_the_one_before() {
    for code in 0..=u8::MAX {
        assert_eq!(encode(u64::from(decode(code))), code);
        if let Some(previous) = code.checked_sub(1) {
            assert!(decode(previous) < decode(code), "code {code:#04x}");
        }
    }
}

#[test]
fn encode_picks_the_largest_value_not_above() {
    for value in 0..=u64::from(u16::MAX) {
        let code = encode(value);
        assert!(u64::from(decode(code)) <= value, "value {value}");
        if let Some(next) = code.checked_add(1) {
            assert!(u64::from(decode(next)) > value, "value {value}");
        }
    }
    assert_eq!(encode(u64::MAX), 0xff);
}
