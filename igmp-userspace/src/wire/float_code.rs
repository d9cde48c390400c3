//! The 8-bit codes of Max Resp Code (RFC 9776 section 4.1.1) and QQIC (section 4.1.7).
//!
//! ```text
//!  0 1 2 3 4 5 6 7
//! +-+-+-+-+-+-+-+-+
//! |0|    value    |   below 128 the value itself
//! |1| exp | mant  |   (mant | 0x10) << (exp + 3)
//! +-+-+-+-+-+-+-+-+
//! ```

/// The value that `code` stands for, in the field's own unit (tenths of a second, or seconds).
pub(super) fn decode(code: u8) -> u16 {
    if code < 0x80 {
        return u16::from(code);
    }
    let exponent = (code >> 4) & 0x7;
    let mantissa = u16::from(code & 0xf);
    (mantissa | 0x10) << (exponent + 3)
}

/// The code of the largest representable value not above `value`; 31,744 for all that is larger.
///
/// Rounding down is the safe side for both fields. A host told a shorter Max Resp Time answers while the querier still
/// waits. A Query Interval said too short by less than a sixteenth is covered by the Robustness Variable, by which
/// listeners multiply it.
pub(super) fn encode(value: u64) -> u8 {
    (0..=u8::MAX)
        .rev()
        .find(|code| u64::from(decode(*code)) <= value)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests;
