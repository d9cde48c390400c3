//! Copies on their way to the peer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::Instant;

/// The most copies that wait: a quarter of a minute of 1,000 zappings a second, each a Leave and a Report, long after
/// which a snapshot is the shorter way.
pub const MAX_QUEUED_RECORDS: usize = 32_768;
/// The most octets of packets that wait: as many reports of the usual 46 octets need 1.5 MB, but a report may have 1,500.
pub const MAX_QUEUED_OCTETS: usize = 4 * 1024 * 1024;

/// A message that was accepted.
#[derive(Debug)]
pub(super) struct Copied {
    /// Place in our Hello.
    pub(super) interface: u32,
    pub(super) arrived: Instant,
    pub(super) packet: Box<[u8]>,
}

/// The stream of copies, bounded.
#[derive(Debug, Default)]
pub(super) struct Queue {
    copies: VecDeque<Copied>,
    octets: usize,
}

impl Queue {
    /// False, and nothing done, when it is full.
    pub(super) fn push(&mut self, copy: Copied) -> bool {
        if self.copies.len() == MAX_QUEUED_RECORDS
            || self.octets + copy.packet.len() > MAX_QUEUED_OCTETS
        {
            return false;
        }
        self.octets += copy.packet.len();
        self.copies.push_back(copy);
        true
    }

    pub(super) fn pop(&mut self) -> Option<Copied> {
        let copy = self.copies.pop_front()?;
        self.octets -= copy.packet.len();
        Some(copy)
    }

    /// Drops everything: how much that was. The memory goes too, a full queue is rare.
    pub(super) fn clear(&mut self) -> u64 {
        std::mem::take(self).copies.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.copies.len()
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    /// How long the oldest copy has been waiting.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.copies
            .front()
            .map(|copy| now.saturating_since(copy.arrived))
    }
}
