//! The pending response of one group to queries about it (RFC 9776 section 5.2).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::super::{FilterMode, Instant};
use super::Subscription;
use crate::wire::{GroupRecord, RecordType};

/// Sources recorded of queries. Beyond it the group's whole state is reported, which answers them too: what a forged
/// query makes us keep has a bound.
const MAX_QUERIED_SOURCES: usize = 1024;

/// A Current-State Record to be sent.
#[derive(Debug)]
pub(super) struct PendingResponse {
    pub(super) at: Instant,
    /// The sources asked for; none: the whole state.
    sources: BTreeSet<Ipv4Addr>,
}

impl PendingResponse {
    /// Rules 3 to 5: `pending` together with the response to a query for `sources` (none: for the group) at `at`.
    pub(super) fn merge(pending: Option<Self>, at: Instant, sources: &[Ipv4Addr]) -> Self {
        let sources = sources.iter().copied();
        let mut merged = match pending {
            None => Self {
                at,
                sources: sources.collect(),
            },
            Some(mut pending) => {
                pending.at = pending.at.min(at);
                if sources.len() == 0 {
                    pending.sources.clear();
                } else if !pending.sources.is_empty() {
                    pending.sources.extend(sources);
                }
                pending
            }
        };
        if merged.sources.len() > MAX_QUERIED_SOURCES {
            merged.sources.clear();
        }
        merged
    }

    /// What is to be said of the state at the time the response is due; nothing when no source asked for is wanted.
    pub(super) fn record(&self, group: Ipv4Addr, state: &Subscription) -> Option<GroupRecord> {
        if self.sources.is_empty() {
            return current_state(group, state);
        }
        // INCLUDE (A): IS_IN (A*B); EXCLUDE (A): IS_IN (B-A).
        let sources = self.sources.iter().copied();
        let sources: Vec<_> = sources.filter(|&source| state.wants(source)).collect();
        (!sources.is_empty()).then_some(GroupRecord {
            record_type: RecordType::ModeIsInclude,
            group,
            sources,
        })
    }
}

/// The whole reception state of a group, if it has one.
pub(super) fn current_state(group: Ipv4Addr, state: &Subscription) -> Option<GroupRecord> {
    (!state.is_nothing()).then(|| GroupRecord {
        record_type: match state.mode {
            FilterMode::Include => RecordType::ModeIsInclude,
            FilterMode::Exclude => RecordType::ModeIsExclude,
        },
        group,
        sources: state.sources.iter().copied().collect(),
    })
}
