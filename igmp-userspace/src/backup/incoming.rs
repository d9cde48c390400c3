//! A snapshot as it comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::outgoing::MAX_SNAPSHOT_GROUPS;
use super::record::{GroupRecord, Regroup};
use super::refusal::Refusal;
use crate::proto::GroupState;

/// The groups that a snapshot has named so far, by interface: what is not among them at its end is gone on the master.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Place in the peer's Hello -> groups.
    named: BTreeMap<u32, BTreeSet<Ipv4Addr>>,
    groups: usize,
    pieces: Regroup,
}

impl Incoming {
    /// One of these interfaces.
    pub(super) fn new(interfaces: Vec<u32>) -> Self {
        let named = interfaces.into_iter();
        Self {
            named: named
                .map(|interface| (interface, BTreeSet::new()))
                .collect(),
            groups: 0,
            pieces: Regroup::default(),
        }
    }

    /// The groups of a record whose timers are `age` old, as far as they are complete.
    pub(super) fn add(
        &mut self,
        interface: u32,
        age: Duration,
        records: Vec<GroupRecord>,
    ) -> Result<Vec<GroupState>, Refusal> {
        let named = self.named.get_mut(&interface);
        let named = named.ok_or(Refusal::OutOfPlace)?;
        let mut states = Vec::new();
        for record in records {
            if let Some(state) = self.pieces.piece(record, age)? {
                self.groups += 1;
                if self.groups > MAX_SNAPSHOT_GROUPS {
                    return Err(Refusal::TooMuchState);
                }
                named.insert(state.group);
                states.push(state);
            }
        }
        Ok(states)
    }

    /// All groups it named, and how many; an error when a group was not finished.
    pub(super) fn end(self) -> Result<(BTreeMap<u32, BTreeSet<Ipv4Addr>>, usize), Refusal> {
        if self.pieces.is_open() {
            return Err(Refusal::OutOfPlace);
        }
        Ok((self.named, self.groups))
    }
}
