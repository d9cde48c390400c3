//! Memberships that the router before this one had learnt: what it forwards until hosts have answered its first query.

use std::net::Ipv4Addr;

use super::FilterMode;
use super::interface::{Context, Interface};
use crate::wire::{GroupRecord, RecordType, Version};

impl Interface {
    /// As if a Current-State Record (RFC 9776 section 4.2.12) had just been received, but from nobody: it is admitted by
    /// the same rules, and lasts a Group Membership Interval unless a host confirms it.
    pub(super) fn adopt_membership(
        &mut self,
        cx: &mut Context<'_>,
        group: Ipv4Addr,
        filter_mode: FilterMode,
        sources: Vec<Ipv4Addr>,
    ) {
        let record = GroupRecord {
            record_type: match filter_mode {
                FilterMode::Include => RecordType::ModeIsInclude,
                FilterMode::Exclude => RecordType::ModeIsExclude,
            },
            group,
            sources,
        };
        if let Some(record) = self.screen(cx, Version::V3, record) {
            self.apply(cx, None, Version::V3, &record);
        }
    }
}

#[cfg(test)]
mod tests;
