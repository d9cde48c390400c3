//! Durations as people write them: a whole number and a unit, `125s`, `500ms`, `2m`, `1h`.

use std::time::Duration;

/// Reads `text`. One unit only, and no fractions: what is written is exactly what is counted.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(milliseconds)
        .map(Duration::from_millis)
}

/// Writes `duration` the way [`parse`] reads it.
pub(super) fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    if milliseconds.is_multiple_of(1_000) {
        format!("{}s", milliseconds / 1_000)
    } else {
        format!("{milliseconds}ms")
    }
}
