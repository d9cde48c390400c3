//! The source records of one group (RFC 9776 section 6.2.3), ordered by address.

use std::net::Ipv4Addr;

use super::Instant;

/// A source address and its timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SourceRecord {
    pub(super) address: Ipv4Addr,
    /// When the source timer ends; `None` is the RFC's "zero", which only EXCLUDE mode keeps: the source is blocked.
    pub(super) timer: Option<Instant>,
    /// Group-and-Source-Specific Queries still to be sent for it (section 6.6.3.2).
    pub(super) queries_left: u8,
}

/// A sorted vector: most groups have no source at all, and those that have are read more often than changed.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceList(Vec<SourceRecord>);

impl SourceList {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_slice(&self) -> &[SourceRecord] {
        &self.0
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut SourceRecord> {
        self.0.iter_mut()
    }

    pub(super) fn get(&self, address: Ipv4Addr) -> Option<&SourceRecord> {
        self.position(address).ok().map(|index| &self.0[index])
    }

    pub(super) fn get_mut(&mut self, address: Ipv4Addr) -> Option<&mut SourceRecord> {
        self.position(address).ok().map(|index| &mut self.0[index])
    }

    /// `(address) = timer`, as the tables of section 6.4 write it.
    pub(super) fn set(&mut self, address: Ipv4Addr, timer: Option<Instant>) {
        match self.position(address) {
            Ok(index) => self.0[index].timer = timer,
            Err(index) => self.0.insert(
                index,
                SourceRecord {
                    address,
                    timer,
                    queries_left: 0,
                },
            ),
        }
    }

    /// `set`, but a source that is there keeps its timer.
    pub(super) fn set_if_new(&mut self, address: Ipv4Addr, timer: Option<Instant>) {
        if let Err(index) = self.position(address) {
            self.0.insert(
                index,
                SourceRecord {
                    address,
                    timer,
                    queries_left: 0,
                },
            );
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&SourceRecord) -> bool) {
        self.0.retain(keep);
    }

    fn position(&self, address: Ipv4Addr) -> Result<usize, usize> {
        self.0
            .binary_search_by_key(&address, |record| record.address)
    }
}
