//! An upstream link on virtual time: one [`Host`], and everything it sends.
//!
//! Delays are random, so a message is expected within a time: [`Link::expects`] compares the complete list of messages
//! since it was last asked, each with the time it must be sent in, and [`on_links`] repeats a test with many seeds.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::super::sim::{A, B, C, D, G, Time as _};
use super::super::super::{FilterMode, Instant, InterfaceParams};
use super::super::{State, Subscription};
use super::{Host, Output};
use crate::wire::{Query, Version};

mod changes;
mod links;
mod older_versions;
mod responses;
mod scale;

/// Another group than [`G`].
const H: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 2);
const QUERIER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const TICK: Duration = Duration::from_micros(1);

fn include(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Include,
        sources: sources.iter().copied().collect(),
    }
}

fn exclude(sources: &[Ipv4Addr]) -> Subscription {
    Subscription {
        mode: FilterMode::Exclude,
        ..include(sources)
    }
}

fn any_source() -> Subscription {
    exclude(&[])
}

/// A version 3 query for a group; `0.0.0.0` makes it a General Query.
fn query(group: Ipv4Addr, max_response_time: Duration, sources: &[Ipv4Addr]) -> Query {
    Query {
        version: Version::V3,
        max_response_time,
        group,
        suppress_router_side_processing: false,
        robustness: 2,
        query_interval: 125.s(),
        sources: sources.to_vec(),
    }
}

fn general_query(max_response_time: Duration) -> Query {
    query(Ipv4Addr::UNSPECIFIED, max_response_time, &[])
}

fn older(version: Version, query: Query) -> Query {
    Query {
        version,
        robustness: 0,
        query_interval: Duration::ZERO,
        ..query
    }
}

fn v2_general_query() -> Query {
    older(Version::V2, general_query(10.s()))
}

fn v1_query() -> Query {
    older(Version::V1, general_query(10.s()))
}

/// A message, and the first and the last moment it may be sent at.
struct Expected(Duration, Duration, String);

/// A version 3 report at that moment.
fn report(at: Duration, records: &str) -> Expected {
    Expected(at, at, format!("224.0.0.22 {records}"))
}

/// A version 3 report within (0, `longest`] after `start`.
fn report_within(start: Duration, longest: Duration, records: &str) -> Expected {
    let records = format!("224.0.0.22 {records}");
    Expected(start + TICK, start + longest, records)
}

/// What one of the older versions sends at that moment.
fn message(at: Duration, text: &str) -> Expected {
    Expected(at, at, text.to_owned())
}

/// What one of the older versions sends within (0, `longest`] after `start`.
fn message_within(start: Duration, longest: Duration, text: &str) -> Expected {
    Expected(start + TICK, start + longest, text.to_owned())
}

const G_V2: &str = "239.1.1.1 Report(G=G, v2)";
const H_V2: &str = "239.1.1.2 Report(G=H, v2)";
const G_LEAVE: &str = "224.0.0.2 Leave(G=G)";

/// Runs a test with 64 different rows of random numbers.
fn on_links(params: &InterfaceParams, test: impl Fn(&mut Link)) {
    for seed in 0..64 {
        test(&mut Link::new(params.clone(), seed));
    }
}

struct Link {
    host: Host,
    seed: u64,
    now: Instant,
    sent: Vec<(Duration, String)>,
}

impl Link {
    fn new(params: InterfaceParams, seed: u64) -> Self {
        Self {
            host: Host::new(params, seed),
            seed,
            now: Instant::START,
            sent: Vec::new(),
        }
    }

    /// Lets time pass until `time`, which is carried out too.
    fn at(&mut self, time: Duration) -> &mut Self {
        let end = Instant::from_start(time);
        assert!(end >= self.now);
        while let Some(due) = self.host.poll_timeout().filter(|&due| due <= end) {
            assert!(due >= self.now, "a deadline in the past");
            self.now = due;
            self.host.handle_timeout(due);
            self.drain();
        }
        self.now = end;
        self
    }

    fn wants(&mut self, group: Ipv4Addr, subscription: Subscription) -> &mut Self {
        self.host
            .handle_subscription(self.now, group, Some(subscription));
        self.drain();
        self
    }

    fn leaves(&mut self, group: Ipv4Addr) -> &mut Self {
        self.host.handle_subscription(self.now, group, None);
        self.drain();
        self
    }

    fn hears(&mut self, query: &Query) -> &mut Self {
        self.host.handle_query(self.now, query, QUERIER);
        self.drain();
        self
    }

    fn hears_report(&mut self, group: Ipv4Addr) -> &mut Self {
        self.host.handle_report_heard(group);
        self.drain();
        self
    }

    fn comes_up(&mut self) -> &mut Self {
        self.host.handle_link_up(self.now);
        self.drain();
        self
    }

    fn state(&self, group: Ipv4Addr) -> Option<State> {
        let mut memberships = self.host.memberships();
        let membership = memberships.find(|membership| membership.group == group)?;
        Some(membership.state)
    }

    /// All that was sent since this was last asked.
    #[track_caller]
    fn expects(&mut self, expected: impl IntoIterator<Item = Expected>) {
        let expected: Vec<_> = expected.into_iter().collect();
        let sent = std::mem::take(&mut self.sent);
        let fits = sent.len() == expected.len()
            && sent.iter().zip(&expected).all(
                |((at, message), Expected(first, last, expected))| {
                    (first..=last).contains(&at) && message == expected
                },
            );
        let expected: Vec<_> = expected
            .iter()
            .map(|Expected(first, last, message)| format!("{first:?}..={last:?} {message}"))
            .collect();
        assert!(
            fits,
            "seed {}\nsent {sent:#?}\nexpected {expected:#?}",
            self.seed
        );
    }

    #[track_caller]
    fn expects_nothing(&mut self) {
        self.expects([]);
    }

    fn forget(&mut self) {
        self.sent.clear();
    }

    fn drain(&mut self) {
        while let Some(output) = self.host.poll_output() {
            let Output::Transmit {
                destination,
                message,
            } = output;
            let mut message = message.to_string();
            for (address, name) in [(A, "a"), (B, "b"), (C, "c"), (D, "d"), (G, "G"), (H, "H")] {
                message = message.replace(&address.to_string(), name);
            }
            let line = format!("{destination} {message}");
            self.sent.push((self.now.since_start(), line));
        }
    }
}
