//! The time of day, written as the log writes it.

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Now, in UTC: `2026-03-01T20:15:00.123456Z` (RFC 3339).
pub(super) fn now() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_rfc_3339_in_utc() {
        let now = super::now();
        let shape: String = now
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        assert_eq!(shape, "9999-99-99T99:99:99.999999Z");
    }
}
