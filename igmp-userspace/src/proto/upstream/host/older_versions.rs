//! The host in versions 1 and 2 (RFC 2236 section 6). They know groups only: what is wanted of the sources does not
//! matter to them (RFC 4605 section 4.1).

use std::net::Ipv4Addr;

use super::super::super::Instant;
use super::super::Subscription;
use super::{Host, Output};
use crate::wire::{ALL_ROUTERS, Query, Repr, Version};

impl Host {
    pub(super) fn report_older_change(
        &mut self,
        now: Instant,
        group: Ipv4Addr,
        before: &Subscription,
    ) {
        let (mode, robustness) = (self.mode(), self.params.robustness.max(1));
        let Some(member) = self.groups.get_mut(&group) else {
            return;
        };
        if member.subscription.is_nothing() {
            // A version 1 querier knows no Leave (RFC 2236 section 6).
            let leaves = member.older.last_reporter && mode == Version::V2;
            member.older.stop();
            self.settle(group);
            if leaves {
                self.send_older(ALL_ROUTERS, Repr::Leave { group });
            }
        } else if before.is_nothing() {
            member.older.join(now, robustness, &mut self.random);
            self.send_older_report(group);
            self.settle(group);
        }
    }

    /// Also for queries of a version above the mode: they are answered as that version's host would.
    pub(super) fn schedule_older_reports(&mut self, now: Instant, query: &Query) {
        let groups = if query.group.is_unspecified() {
            self.groups.keys().copied().collect()
        } else {
            vec![query.group]
        };
        for group in groups {
            if let Some(member) = self.groups.get_mut(&group) {
                member
                    .older
                    .query(now, query.max_response_time, &mut self.random);
            }
            self.settle(group);
        }
    }

    pub(super) fn send_older_report(&mut self, group: Ipv4Addr) {
        let message = if self.mode() == Version::V1 {
            Repr::ReportV1 { group }
        } else {
            Repr::ReportV2 { group }
        };
        self.send_older(group, message);
    }

    fn send_older(&mut self, destination: Ipv4Addr, message: Repr) {
        self.older_messages.push_back(Output::Transmit {
            destination,
            message,
        });
    }
}
