//! What a router knows about one group on one interface (RFC 9776 section 6.2), and the tables that change it
//! (sections 6.4.1, 6.4.2 and 6.5).

use std::net::Ipv4Addr;

use super::compat::OlderHosts;
use super::reception::{Reception, Source, Statics, contains};
use super::sources::SourceList;
use super::tracking::Hosts;
use super::{FilterMode, Instant};
use crate::wire::{RecordType, Version};

/// The state of a group on an interface. A group nobody wants, `INCLUDE({})`, is not kept unless it is static.
///
/// `statics` is the operator's; every other field is what hosts brought about.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the RFC's name is Group Timer")]
pub struct Group {
    pub(super) filter_mode: FilterMode,
    /// When EXCLUDE mode ends; `None` in INCLUDE mode, which has no use for it (section 6.2.2).
    pub(super) group_timer: Option<Instant>,
    pub(super) sources: SourceList,
    pub(super) older_hosts: OlderHosts,
    pub(super) last_reporter: Option<Ipv4Addr>,
    pub(super) since: Instant,
    /// True while the group timer is what a Group-Specific Query of ours lowered it to: RFC 2236 section 7's
    /// "Checking Membership".
    pub(super) checking_membership: bool,
    /// Group-Specific Queries still to be sent, and when the next is due.
    pub(super) group_queries_left: u8,
    pub(super) group_query_at: Option<Instant>,
    /// When the next Group-and-Source-Specific Query is due; what it asks for is in the source records.
    pub(super) source_query_at: Option<Instant>,
    /// Whom it was learnt from, where hosts are tracked.
    pub(super) hosts: Hosts,
    pub(super) statics: Option<Box<Statics>>,
    /// The last known member has left, and since then nobody has answered ([`Policy::quick_leave`](super::Policy)).
    pub(super) abandoned: bool,
    /// The deadline that is armed for this group in the router's `Deadlines`.
    pub(super) armed: Option<Instant>,
}

/// The "Send Q(...)" of a table row.
#[derive(Debug, Default)]
pub(super) struct Queries {
    /// Send Q(G).
    pub(super) group: bool,
    /// Send Q(G, these), when there are any.
    pub(super) sources: Vec<Ipv4Addr>,
}

/// True when the record says that somebody wants to receive something.
pub(super) const fn expresses_interest(record_type: RecordType, sources: &[Ipv4Addr]) -> bool {
    match record_type {
        RecordType::ModeIsExclude | RecordType::ChangeToExclude => true,
        RecordType::ModeIsInclude | RecordType::ChangeToInclude | RecordType::AllowNewSources => {
            !sources.is_empty()
        }
        RecordType::BlockOldSources => false,
    }
}

impl Group {
    /// INCLUDE or EXCLUDE; EXCLUDE when it is static for any source.
    #[must_use]
    pub fn filter_mode(&self) -> FilterMode {
        self.reception().filter_mode
    }

    /// True when an operator listed it (`static_groups`): it stays whatever hosts do.
    #[must_use]
    pub const fn is_static(&self) -> bool {
        self.statics.is_some()
    }

    /// True when the last known member has left: its last member procedure runs and nobody has answered yet. What is
    /// forwarded onto the link is not changed by it. A static group never is. Only with
    /// [`Policy::quick_leave`](super::Policy::quick_leave).
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    /// Group Compatibility Mode (section 7.3.2): the oldest version heard from its members.
    #[must_use]
    pub const fn compatibility(&self) -> Version {
        self.older_hosts.mode()
    }

    /// When the group timer ends; `None` when no host is in EXCLUDE mode.
    #[must_use]
    pub const fn group_timer(&self) -> Option<Instant> {
        self.group_timer
    }

    /// Its sources, ordered by address.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.reception().all()
    }

    /// The host that last reported interest in the group; 0.0.0.0 when it had no address yet.
    #[must_use]
    pub const fn last_reporter(&self) -> Option<Ipv4Addr> {
        self.last_reporter
    }

    /// When the first report of the group came, or it was made static.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Which sources are to be forwarded.
    #[must_use]
    pub fn reception(&self) -> Reception<'_> {
        match self.statics.as_deref() {
            Some(Statics {
                any_source: true, ..
            }) => Reception {
                filter_mode: FilterMode::Exclude,
                records: &[],
                statics: &[],
            },
            statics => Reception {
                filter_mode: self.filter_mode,
                records: self.sources.as_slice(),
                statics: statics.map_or(&[], |statics| &statics.sources),
            },
        }
    }

    /// `INCLUDE({})`, which is also what a group that is not kept stands for.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            filter_mode: FilterMode::Include,
            group_timer: None,
            sources: SourceList::default(),
            older_hosts: OlderHosts::default(),
            last_reporter: None,
            since: now,
            checking_membership: false,
            group_queries_left: 0,
            group_query_at: None,
            source_query_at: None,
            hosts: Hosts::default(),
            statics: None,
            abandoned: false,
            armed: None,
        }
    }

    /// True when no host wants anything of it: the record is deleted (sections 6.2.2 and 6.3).
    pub(super) fn is_empty(&self) -> bool {
        self.filter_mode == FilterMode::Include && self.sources.len() == 0
    }

    /// Back to what it is without hosts.
    pub(super) fn forget_members(&mut self) {
        *self = Self {
            statics: self.statics.take(),
            since: self.since,
            armed: self.armed,
            ..Self::new(self.since)
        };
    }

    /// Sources it holds, those of hosts and the static ones.
    pub(super) fn source_count(&self) -> usize {
        let statics = self.statics.as_ref().map_or(0, |own| own.sources.len());
        self.sources.len() + statics
    }

    /// Applies one group record by the tables of sections 6.4.1 and 6.4.2; the row each arm stands for is above it.
    ///
    /// `gmi` is when a Group Membership Interval from now ends. `record` is sorted and holds each source once: B where
    /// the state is INCLUDE (A), A where it is EXCLUDE (X,Y).
    pub(super) fn apply(
        &mut self,
        record_type: RecordType,
        record: &[Ipv4Addr],
        gmi: Instant,
    ) -> Queries {
        use FilterMode::{Exclude, Include};
        use RecordType::{
            AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
            ModeIsInclude,
        };
        match (self.filter_mode, record_type) {
            // INCLUDE (A)    IS_IN (B), ALLOW (B)   INCLUDE (A+B)        (B)=GMI
            // EXCLUDE (X,Y)  IS_IN (A), ALLOW (A)   EXCLUDE (X+A,Y-A)    (A)=GMI
            (Include | Exclude, ModeIsInclude | AllowNewSources) => {
                self.set_all(record, gmi);
                Queries::default()
            }
            // INCLUDE (A)    IS_EX (B)   EXCLUDE (A*B,B-A)   (B-A)=0, Delete (A-B), Group Timer=GMI
            (Include, ModeIsExclude) => {
                self.enter_exclude(record, gmi);
                Queries::default()
            }
            // INCLUDE (A)    TO_EX (B)   EXCLUDE (A*B,B-A)   (B-A)=0, Delete (A-B), Send Q(G,A*B), Group Timer=GMI
            (Include, ChangeToExclude) => {
                self.enter_exclude(record, gmi);
                Queries {
                    group: false,
                    sources: self.running(|_| true),
                }
            }
            // INCLUDE (A)    BLOCK (B)   INCLUDE (A)         Send Q(G,A*B)
            (Include, BlockOldSources) => Queries {
                group: false,
                sources: self.running(|source| contains(record, source)),
            },
            // INCLUDE (A)    TO_IN (B)   INCLUDE (A+B)       (B)=GMI, Send Q(G,A-B)
            (Include, ChangeToInclude) => {
                self.set_all(record, gmi);
                Queries {
                    group: false,
                    sources: self.running(|source| !contains(record, source)),
                }
            }
            // EXCLUDE (X,Y)  IS_EX (A)   EXCLUDE (A-Y,Y*A)   (A-X-Y)=GMI, Delete (X-A), Delete (Y-A), Group Timer=GMI
            (Exclude, ModeIsExclude) => {
                self.replace(record, Some(gmi));
                self.set_group_timer(gmi);
                Queries::default()
            }
            // EXCLUDE (X,Y)  TO_EX (A)   EXCLUDE (A-Y,Y*A)   (A-X-Y)=Group Timer, Delete (X-A), Delete (Y-A),
            //                                                Send Q(G,A-Y), Group Timer=GMI
            (Exclude, ChangeToExclude) => {
                self.replace(record, self.group_timer);
                self.set_group_timer(gmi);
                Queries {
                    group: false,
                    sources: self.running(|_| true),
                }
            }
            // EXCLUDE (X,Y)  BLOCK (A)   EXCLUDE (X+(A-Y),Y) (A-X-Y)=Group Timer, Send Q(G,A-Y)
            (Exclude, BlockOldSources) => {
                for &source in record {
                    self.sources.set_if_new(source, self.group_timer);
                }
                Queries {
                    group: false,
                    sources: self.running(|source| contains(record, source)),
                }
            }
            // EXCLUDE (X,Y)  TO_IN (A)   EXCLUDE (X+A,Y-A)   (A)=GMI, Send Q(G,X-A), Send Q(G)
            (Exclude, ChangeToInclude) => {
                self.set_all(record, gmi);
                Queries {
                    group: true,
                    sources: self.running(|source| !contains(record, source)),
                }
            }
        }
    }

    /// Lets what is due at `now` expire: sections 6.2.2, 6.2.3, 6.3, 6.5 and 7.3.2.
    pub(super) fn expire(&mut self, now: Instant) {
        self.older_hosts.expire(now);
        for record in self.sources.iter_mut() {
            if record.timer.take_if(|deadline| *deadline <= now).is_some() {
                record.queries_left = 0;
            }
        }
        if self.group_timer.is_some_and(|deadline| deadline <= now) {
            self.end_exclude();
        } else if self.filter_mode == FilterMode::Include {
            self.sources.retain(|record| record.timer.is_some());
        }
    }

    /// The switch to INCLUDE mode of section 6.5, with the sources whose timer runs.
    pub(super) fn end_exclude(&mut self) {
        self.filter_mode = FilterMode::Include;
        self.group_timer = None;
        self.checking_membership = false;
        self.group_queries_left = 0;
        self.group_query_at = None;
        self.sources.retain(|record| record.timer.is_some());
    }

    /// No timer of the membership ends before `earliest`.
    pub(super) fn postpone(&mut self, earliest: Instant) {
        self.older_hosts.postpone(earliest);
        let sources = self.sources.iter_mut().map(|record| &mut record.timer);
        for timer in sources.chain([&mut self.group_timer]) {
            *timer = timer.map(|timer| timer.max(earliest));
        }
    }

    /// The earliest moment something happens to the group by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let sources = self
            .sources
            .as_slice()
            .iter()
            .filter_map(|record| record.timer);
        [
            self.group_timer,
            self.older_hosts.next_deadline(),
            self.group_query_at,
            self.source_query_at,
        ]
        .into_iter()
        .flatten()
        .chain(sources)
        .min()
    }

    fn set_group_timer(&mut self, deadline: Instant) {
        self.group_timer = Some(deadline);
        self.checking_membership = false;
    }

    fn set_all(&mut self, sources: &[Ipv4Addr], deadline: Instant) {
        for &source in sources {
            self.sources.set(source, Some(deadline));
        }
    }

    fn enter_exclude(&mut self, record: &[Ipv4Addr], group_timer: Instant) {
        self.replace(record, None);
        self.filter_mode = FilterMode::Exclude;
        self.set_group_timer(group_timer);
    }

    /// Makes the source list that of the record: sources in both keep their timers, new ones get `timer`.
    fn replace(&mut self, record: &[Ipv4Addr], timer: Option<Instant>) {
        self.sources
            .retain(|source| contains(record, source.address));
        for &source in record {
            self.sources.set_if_new(source, timer);
        }
    }

    /// The sources with a running timer (A in INCLUDE, X in EXCLUDE mode) that are `wanted`.
    fn running(&self, wanted: impl Fn(Ipv4Addr) -> bool) -> Vec<Ipv4Addr> {
        self.sources
            .as_slice()
            .iter()
            .filter(|record| record.timer.is_some() && wanted(record.address))
            .map(|record| record.address)
            .collect()
    }
}

#[cfg(test)]
mod tests;
