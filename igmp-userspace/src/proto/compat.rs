//! Hosts of older versions in a group (RFC 9776 section 7.3.2).

use std::net::Ipv4Addr;

use super::Instant;
use crate::wire::{RecordType, Version};

/// The IGMPv1- and IGMPv2-Host-Present Timers of one group, which make its Group Compatibility Mode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OlderHosts {
    v1: Option<Instant>,
    v2: Option<Instant>,
}

impl OlderHosts {
    pub(super) const fn until(v1: Option<Instant>, v2: Option<Instant>) -> Self {
        Self { v1, v2 }
    }

    /// When the host of IGMPv1 is no longer present.
    pub(super) const fn v1(&self) -> Option<Instant> {
        self.v1
    }

    /// When the host of IGMPv2 is no longer present.
    pub(super) const fn v2(&self) -> Option<Instant> {
        self.v2
    }

    /// A report of `version` was heard: its host is present until `deadline`.
    pub(super) fn heard(&mut self, version: Version, deadline: Instant) {
        match version {
            Version::V1 => self.v1 = Some(deadline),
            Version::V2 => self.v2 = Some(deadline),
            Version::V3 => {}
        }
    }

    /// Group Compatibility Mode.
    pub(super) const fn mode(&self) -> Version {
        match (self.v1, self.v2) {
            (Some(_), _) => Version::V1,
            (None, Some(_)) => Version::V2,
            (None, None) => Version::V3,
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        for timer in [&mut self.v1, &mut self.v2] {
            timer.take_if(|deadline| *deadline <= now);
        }
    }

    pub(super) fn postpone(&mut self, earliest: Instant) {
        for timer in [&mut self.v1, &mut self.v2] {
            *timer = timer.map(|timer| timer.max(earliest));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.v1.into_iter().chain(self.v2).min()
    }
}

/// What a record means in a group of that Group Compatibility Mode; `None` when it is ignored.
pub(super) const fn in_mode(
    mode: Version,
    record_type: RecordType,
    sources: &[Ipv4Addr],
) -> Option<(RecordType, &[Ipv4Addr])> {
    match (mode, record_type) {
        (Version::V1, RecordType::ChangeToInclude)
        | (Version::V1 | Version::V2, RecordType::BlockOldSources) => None,
        (Version::V1 | Version::V2, RecordType::ChangeToExclude) => Some((record_type, &[])),
        (Version::V2, RecordType::ChangeToInclude)
        | (
            Version::V3,
            RecordType::ChangeToInclude | RecordType::ChangeToExclude | RecordType::BlockOldSources,
        )
        | (
            _,
            RecordType::ModeIsInclude | RecordType::ModeIsExclude | RecordType::AllowNewSources,
        ) => Some((record_type, sources)),
    }
}

#[cfg(test)]
mod tests;
