//! What every receiver asked for and got, judged from the frames on its cable.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::sequences::Sequences;
use crate::frame::{Direction, Frame, Payload};
use crate::stream;

/// Last Member Query Time of the lab: one Group-Specific Query, one second (RFC 9776 section 8.10).
pub const LAST_MEMBER_QUERY_TIME: Duration = Duration::from_secs(1);
/// How much later than that the last copy may come.
pub const STOP_TOLERANCE: Duration = Duration::from_millis(100);
/// A group left this long ago has had its last copy.
const SETTLED: Duration = Duration::from_millis(1500);

/// The books of all receivers.
pub struct Ledger {
    receivers: Vec<Account>,
}

/// The books of one receiver.
#[derive(Clone, Default)]
pub struct Account {
    groups: BTreeMap<Ipv4Addr, Reception>,
    /// Times it asked for a group that it did not have.
    pub joins: u64,
    /// Copies it asked for and got, each counted once.
    pub delivered: u64,
    /// Copies it asked for that never came.
    pub lost: u64,
    /// Copies that came a second time.
    pub duplicates: u64,
    /// Copies with a wrong checksum, payload or TTL.
    pub damaged: u64,
    /// Copies of what it never asked for, or that came too long after it left.
    pub unasked: u64,
    /// From each report to the first copy.
    pub join_times: Vec<Duration>,
    /// From each leave to the last copy.
    pub leave_times: Vec<Duration>,
}

/// What one receiver gets of one group.
#[derive(Clone, Default)]
pub struct Reception {
    /// What it last said about the group.
    pub interest: Interest,
    /// Copies that came, wanted or not.
    pub copies: u64,
    sequences: Sequences,
}

/// What a receiver last said about a group.
#[derive(Clone, Copy, Debug, Default)]
pub enum Interest {
    /// Nothing, or long ago that it leaves.
    #[default]
    None,
    /// It wants it.
    Asked {
        /// When its report was on the wire.
        at: SystemTime,
        /// Number of the next datagram at that time.
        begin: u64,
        /// False until the first copy came.
        served: bool,
    },
    /// It left.
    Left {
        /// When its leave was on the wire.
        at: SystemTime,
        /// Number of the first datagram when it asked.
        begin: u64,
        /// Number of the next datagram when it left; those before it are its due.
        end: u64,
        /// The last copy so far.
        last_copy: Option<SystemTime>,
    },
}

/// Something worth telling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// When.
    pub at: SystemTime,
    /// To which receiver.
    pub receiver: usize,
    /// About which group.
    pub group: Ipv4Addr,
    /// What.
    pub news: News,
}

/// What happened between a receiver and a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// Its report was on the wire.
    Asked,
    /// The first copy came, this long after the report.
    FirstCopy(Duration),
    /// Its leave was on the wire.
    Left,
    /// No more copies came; the last one this long after the leave.
    LastCopy(Duration),
    /// The first copy of a group that it has not asked for.
    Unasked,
}

impl Ledger {
    /// Empty books for this many receivers.
    pub fn new(receivers: usize) -> Self {
        Self {
            receivers: vec![Account::default(); receivers],
        }
    }

    /// The books of each receiver.
    pub fn accounts(&self) -> &[Account] {
        &self.receivers
    }

    /// Enters a frame seen at a receiver's end of the cable. `sent` says how many datagrams the source has sent to a
    /// group.
    pub fn enter(
        &mut self,
        receiver: usize,
        frame: &Frame,
        sent: impl Fn(Ipv4Addr) -> u64,
    ) -> Vec<Event> {
        let account = &mut self.receivers[receiver];
        let event = |(group, news)| Event {
            at: frame.at,
            receiver,
            group,
            news,
        };
        let Some(packet) = &frame.packet else {
            return Vec::new();
        };
        match (&packet.payload, frame.direction) {
            (Payload::Igmp(message), Direction::Out) => message
                .wishes()
                .into_iter()
                .filter(|(group, _)| !group.octets().starts_with(&[224, 0, 0]))
                .filter_map(|(group, wanted)| {
                    account
                        .wish(group, wanted, frame.at, sent(group))
                        .map(|news| (group, news))
                })
                .map(event)
                .collect(),
            (
                Payload::Udp {
                    data,
                    checksum_good,
                    ..
                },
                Direction::In,
            ) => {
                // The gateway is one hop.
                let sound = packet.checksum_good && *checksum_good && packet.ttl == stream::TTL - 1;
                let sequence = stream::sequence_of(data).filter(|_| sound);
                let group = packet.destination;
                account
                    .copy(group, sequence, frame.at)
                    .map(|news| event((group, news)))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Closes the entries of groups left long enough before `now`.
    pub fn settle(&mut self, now: SystemTime) -> Vec<Event> {
        let mut events = Vec::new();
        for (receiver, account) in self.receivers.iter_mut().enumerate() {
            for (group, took) in
                account.settle(|left| now.duration_since(left).is_ok_and(|since| since > SETTLED))
            {
                events.push(Event {
                    at: now,
                    receiver,
                    group,
                    news: News::LastCopy(took),
                });
            }
        }
        events
    }

    /// Closes all entries; `sent` as in [`Ledger::enter`], after the streams have ended.
    pub fn close(&mut self, sent: impl Fn(Ipv4Addr) -> u64) {
        for account in &mut self.receivers {
            account.settle(|_| true);
            for (group, reception) in &mut account.groups {
                if let Interest::Asked { begin, .. } = reception.interest {
                    account.lost += reception.sequences.lost(begin, sent(*group));
                }
                account.delivered += reception.sequences.received();
                account.duplicates += reception.sequences.duplicates();
                reception.sequences = Sequences::default();
            }
        }
    }
}

impl Account {
    /// What it gets, by group.
    pub fn groups(&self) -> &BTreeMap<Ipv4Addr, Reception> {
        &self.groups
    }

    fn wish(&mut self, group: Ipv4Addr, wanted: bool, at: SystemTime, sent: u64) -> Option<News> {
        let reception = self.groups.entry(group).or_default();
        match (reception.interest, wanted) {
            (Interest::None, true) => {
                self.joins += 1;
                reception.interest = Interest::Asked {
                    at,
                    begin: sent,
                    served: false,
                };
                Some(News::Asked)
            }
            // Back before the gateway gave up on it: the copies never stopped, there is nothing to measure.
            (Interest::Left { begin, .. }, true) => {
                reception.interest = Interest::Asked {
                    at,
                    begin,
                    served: true,
                };
                Some(News::Asked)
            }
            (Interest::Asked { begin, .. }, false) => {
                reception.interest = Interest::Left {
                    at,
                    begin,
                    end: sent,
                    last_copy: None,
                };
                Some(News::Left)
            }
            // Reports and leaves are repeated.
            (Interest::Asked { .. }, true) | (Interest::None | Interest::Left { .. }, false) => {
                None
            }
        }
    }

    fn copy(&mut self, group: Ipv4Addr, sequence: Option<u64>, now: SystemTime) -> Option<News> {
        let reception = self.groups.entry(group).or_default();
        reception.copies += 1;
        let Some(sequence) = sequence else {
            self.damaged += 1;
            return None;
        };
        match &mut reception.interest {
            Interest::None => {
                self.unasked += 1;
                (reception.copies == 1).then_some(News::Unasked)
            }
            Interest::Asked { at, served, .. } => {
                reception.sequences.record(sequence);
                if *served {
                    return None;
                }
                *served = true;
                let took = now.duration_since(*at).unwrap_or_default();
                self.join_times.push(took);
                Some(News::FirstCopy(took))
            }
            Interest::Left {
                at, end, last_copy, ..
            } => {
                *last_copy = Some(now);
                if sequence < *end {
                    reception.sequences.record(sequence);
                }
                if now.duration_since(*at).unwrap_or_default()
                    > LAST_MEMBER_QUERY_TIME + STOP_TOLERANCE
                {
                    self.unasked += 1;
                }
                None
            }
        }
    }

    fn settle(&mut self, is_old: impl Fn(SystemTime) -> bool) -> Vec<(Ipv4Addr, Duration)> {
        let mut settled = Vec::new();
        for (group, reception) in &mut self.groups {
            let Interest::Left {
                at,
                begin,
                end,
                last_copy,
            } = reception.interest
            else {
                continue;
            };
            if !is_old(at) {
                continue;
            }
            self.lost += reception.sequences.lost(begin, end);
            if reception.sequences.received() > 0 {
                let took = last_copy.map_or(Duration::ZERO, |last| {
                    last.duration_since(at).unwrap_or_default()
                });
                self.leave_times.push(took);
                settled.push((*group, took));
            }
            self.delivered += reception.sequences.received();
            self.duplicates += reception.sequences.duplicates();
            *reception = Reception {
                copies: reception.copies,
                ..Reception::default()
            };
        }
        settled
    }
}

#[cfg(test)]
mod tests;
