//! Sources that were refused, told at most once a source and minute.

use std::collections::BTreeMap;
use std::mem::size_of;
use std::net::Ipv4Addr;
use std::time::Duration;

use igmp_common::maps::Refusal;

use crate::proto::{IfIndex, Instant};

/// How often one source is told of.
const INTERVAL: Duration = Duration::from_mins(1);
/// Sources remembered. Beyond, new ones are not told of until the minute of an older one is over: whoever forges
/// thousands of sources gets no thousands of events.
const MOST_SOURCES: usize = 1_024;

/// A data packet that was not forwarded because of its source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Where it came in.
    pub interface: IfIndex,
    /// Its source.
    pub source: Ipv4Addr,
    /// Its group.
    pub group: Ipv4Addr,
}

/// Reads a record of the ring; `None` when it is not one.
#[must_use]
pub fn parse(record: &[u8]) -> Option<Refused> {
    let record: &[u8; size_of::<Refusal>()] = record.try_into().ok()?;
    let word = |at: usize| -> [u8; 4] { std::array::from_fn(|byte| record[at + byte]) };
    Some(Refused {
        interface: IfIndex(u32::from_ne_bytes(word(0))),
        source: word(8).into(),
        group: word(12).into(),
    })
}

/// Who was told of lately.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<(IfIndex, Ipv4Addr), Instant>);

impl Told {
    /// Whether `source` on `interface` is to be told of now; then it is not again for a minute.
    pub fn is_news(&mut self, now: Instant, interface: IfIndex, source: Ipv4Addr) -> bool {
        let last = self.0.get(&(interface, source));
        if last.is_some_and(|&last| now.saturating_since(last) < INTERVAL) {
            return false;
        }
        if last.is_none() && self.0.len() >= MOST_SOURCES {
            self.0
                .retain(|_, last| now.saturating_since(*last) < INTERVAL);
            if self.0.len() >= MOST_SOURCES {
                return false;
            }
        }
        self.0.insert((interface, source), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH0: IfIndex = IfIndex(2);

    fn at(seconds: u64) -> Instant {
        Instant::from_start(Duration::from_secs(seconds))
    }

    fn source(number: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap())
    }

    #[test]
    fn a_source_is_news_once_a_minute_and_interface() {
        let mut told = Told::default();
        assert!(told.is_news(at(0), ETH0, source(1)));
        assert!(!told.is_news(at(59), ETH0, source(1)));
        assert!(told.is_news(at(59), ETH0, source(2)));
        assert!(told.is_news(at(59), IfIndex(3), source(1)));
        assert!(told.is_news(at(60), ETH0, source(1)));
    }

    #[test]
    fn forged_sources_fill_the_table_and_no_more() {
        let mut told = Told::default();
        let news =
            (0..10 * MOST_SOURCES).filter(|&number| told.is_news(at(1), ETH0, source(number)));
        assert_eq!(news.count(), MOST_SOURCES);
        assert!(!told.is_news(at(60), ETH0, source(20 * MOST_SOURCES)));
        assert!(told.is_news(at(61), ETH0, source(20 * MOST_SOURCES)));
    }

    #[test]
    fn records_are_as_the_program_writes_them() {
        let record = [
            &7_u32.to_ne_bytes()[..],
            &3_u32.to_ne_bytes(),
            &[10, 0, 0, 5],
            &[239, 1, 1, 1],
        ]
        .concat();
        let expected = Refused {
            interface: IfIndex(7),
            source: Ipv4Addr::new(10, 0, 0, 5),
            group: Ipv4Addr::new(239, 1, 1, 1),
        };
        assert_eq!(parse(&record), Some(expected));
        assert_eq!(parse(&record[1..]), None);
    }
}
