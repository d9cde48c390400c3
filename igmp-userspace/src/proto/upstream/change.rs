//! State-Change Records of one group and their retransmission (RFC 9776 section 5.1).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::super::{FilterMode, Instant};
use super::Subscription;
use crate::wire::{GroupRecord, RecordType};

/// What routers may not have heard of yet. Changes that follow one another merge here.
#[derive(Debug, Default)]
pub(super) struct PendingChange {
    /// State-Change Reports that must still carry a Filter-Mode-Change Record.
    mode_reports_left: u8,
    /// Sources with retransmission state: State-Change Reports that must still cover them.
    source_reports_left: BTreeMap<Ipv4Addr, u8>,
    /// When the next State-Change Report is due.
    pub(super) at: Option<Instant>,
}

impl PendingChange {
    /// Merges the difference between two states into what is pending; [`records`](Self::records) are due at once.
    pub(super) fn merge(&mut self, before: &Subscription, after: &Subscription, robustness: u8) {
        if before.mode == after.mode {
            // ALLOW and BLOCK of the table in section 5.1 both are about sources in one list but not in the other.
            for &source in before.sources.symmetric_difference(&after.sources) {
                self.source_reports_left.insert(source, robustness);
            }
        } else {
            // Its record tells of every source: pending ones count down meanwhile, and none outlasts it.
            self.mode_reports_left = robustness;
        }
    }

    /// The records of one State-Change Report, which counts as sent; is another one to follow?
    pub(super) fn records(
        &mut self,
        group: Ipv4Addr,
        current: &Subscription,
    ) -> (Vec<GroupRecord>, bool) {
        let record = |record_type, sources| GroupRecord {
            record_type,
            group,
            sources,
        };
        let records = if self.mode_reports_left > 0 {
            let record_type = match current.mode {
                FilterMode::Include => RecordType::ChangeToInclude,
                FilterMode::Exclude => RecordType::ChangeToExclude,
            };
            vec![record(
                record_type,
                current.sources.iter().copied().collect(),
            )]
        } else {
            let sources = self.source_reports_left.keys().copied();
            let (allow, block): (Vec<_>, Vec<_>) =
                sources.partition(|&source| current.wants(source));
            let mut records = vec![
                record(RecordType::AllowNewSources, allow),
                record(RecordType::BlockOldSources, block),
            ];
            records.retain(|record| !record.sources.is_empty());
            records
        };
        self.mode_reports_left = self.mode_reports_left.saturating_sub(1);
        self.source_reports_left.retain(|_, left| {
            *left = left.saturating_sub(1);
            *left > 0
        });
        let more = self.mode_reports_left > 0 || !self.source_reports_left.is_empty();
        (records, more)
    }
}
