//! A snapshot on its way to the peer, in pieces that each fit a record. It has no part in the queue's bounds: the router's
//! own limits bound it.

use std::collections::VecDeque;
use std::time::Duration;

use super::record::{GroupRecord, MAX_RECORD, Payload, split_group};
use crate::proto::GroupState;
use crate::proto::Instant;

/// The most groups of a snapshot, on both sides; it is the router's own default limit.
pub(super) const MAX_SNAPSHOT_GROUPS: usize = 1 << 20;
/// What a record's groups may have at most, so that its other fields have room.
const MAX_GROUPS_LEN: usize = MAX_RECORD - 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Outgoing {
    taken: Instant,
    interfaces: Vec<u32>,
    chunks: VecDeque<(u32, Vec<GroupRecord>)>,
    groups: usize,
    left_out: u32,
    begun: bool,
}

impl Outgoing {
    /// A snapshot of the state at `now`.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            taken: now,
            interfaces: Vec::new(),
            chunks: VecDeque::new(),
            groups: 0,
            left_out: 0,
            begun: false,
        }
    }

    /// Adds all groups of an interface.
    pub(super) fn add(&mut self, interface: u32, states: impl IntoIterator<Item = GroupState>) {
        self.interfaces.push(interface);
        let mut chunk = Vec::new();
        let mut len = 0;
        for state in states {
            let pieces = split_group(&state).filter(|_| self.groups < MAX_SNAPSHOT_GROUPS);
            let Some(pieces) = pieces else {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            };
            self.groups += 1;
            for piece in pieces {
                if len + piece.max_len() > MAX_GROUPS_LEN {
                    self.chunks
                        .push_back((interface, std::mem::take(&mut chunk)));
                    len = 0;
                }
                len += piece.max_len();
                chunk.push(piece);
            }
        }
        if !chunk.is_empty() {
            self.chunks.push_back((interface, chunk));
        }
    }

    /// The next record of it.
    pub(super) fn next(&mut self, now: Instant) -> Payload {
        if !self.begun {
            self.begun = true;
            return Payload::SyncBegin {
                interfaces: self.interfaces.clone(),
            };
        }
        match self.chunks.pop_front() {
            Some((interface, groups)) => Payload::SyncGroups {
                interface,
                age_ms: whole_ms(now.saturating_since(self.taken)),
                groups,
            },
            None => Payload::SyncEnd {
                left_out: self.left_out,
            },
        }
    }

    /// Groups in it.
    pub(super) const fn groups(&self) -> usize {
        self.groups
    }

    /// Groups that had no place in it.
    pub(super) const fn left_out(&self) -> u32 {
        self.left_out
    }
}

fn whole_ms(age: Duration) -> u32 {
    u32::try_from(age.as_millis()).unwrap_or(u32::MAX)
}
