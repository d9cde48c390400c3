//! A group of the reference: timers that count seconds down as RFC 9776 section 6.2 describes them, and the tables of
//! section 6.4 as operations on sets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::wire::RecordType::{
    AllowNewSources, BlockOldSources, ChangeToExclude, ChangeToInclude, ModeIsExclude,
    ModeIsInclude,
};
use crate::wire::{RecordType, Version};

pub(super) type Set = BTreeSet<Ipv4Addr>;

pub(super) const LMQC: u32 = 2;
/// The Last Member Query Interval is 1 s.
pub(super) const LMQT: u32 = LMQC;

/// A group of the reference; one that nobody wants is `INCLUDE({})`. Timers are seconds left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ReferenceGroup {
    pub(super) exclude: bool,
    pub(super) group_timer: u32,
    pub(super) sources: BTreeMap<Ipv4Addr, u32>,
    pub(super) v1_host_present: u32,
    pub(super) v2_host_present: u32,
    /// The group timer is where a Group-Specific Query lowered it to.
    pub(super) checking: bool,
    /// The last known member has left.
    pub(super) abandoned: bool,
    /// How long ago each host was last heard to be a member.
    pub(super) heard_ago: BTreeMap<Ipv4Addr, u32>,
}

/// The right half of a table row.
#[derive(Default)]
struct Row {
    exclude: bool,
    x: Set,
    y: Set,
    /// `(set) = to`.
    set: Set,
    to: u32,
    /// Group Timer=GMI.
    restart: bool,
    /// Send Q(G, ask).
    ask: Set,
    /// Send Q(G).
    ask_group: bool,
}

impl ReferenceGroup {
    /// What section 6.3 forwards (INCLUDE) or blocks (EXCLUDE).
    pub(super) fn reception(&self) -> (bool, Vec<Ipv4Addr>) {
        let listed = self
            .sources
            .iter()
            .filter(|(_, timer)| !self.exclude || **timer == 0);
        (self.exclude, listed.map(|(source, _)| *source).collect())
    }

    pub(super) fn mode(&self) -> Version {
        match (self.v1_host_present, self.v2_host_present) {
            (1.., _) => Version::V1,
            (0, 1..) => Version::V2,
            (0, 0) => Version::V3,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.exclude && self.sources.is_empty()
    }

    /// Of hosts without an address one leaves, and nobody knows which.
    pub(super) fn forget_host(&mut self, host: Ipv4Addr) {
        if !host.is_unspecified() {
            self.heard_ago.remove(&host);
        }
    }

    /// Other members than `host` that were heard less than `gmi` ago.
    pub(super) fn others(&self, host: Ipv4Addr, gmi: u32) -> usize {
        let others = self
            .heard_ago
            .iter()
            .filter(|(other, ago)| **ago < gmi && (**other != host || host.is_unspecified()));
        others.count()
    }

    pub(super) fn ends_within(&self, time: u32) -> bool {
        let mut timers = self.sources.values().chain([&self.group_timer]);
        timers.all(|timer| *timer <= time)
    }

    pub(super) fn second_passes(&mut self) {
        self.heard_ago.values_mut().for_each(|ago| *ago += 1);
        let timers = [
            &mut self.group_timer,
            &mut self.v1_host_present,
            &mut self.v2_host_present,
        ];
        for timer in timers.into_iter().chain(self.sources.values_mut()) {
            *timer = timer.saturating_sub(1);
        }
        self.settle();
    }

    /// What follows from timers at zero (sections 6.2.2 and 6.3).
    pub(super) fn settle(&mut self) {
        if self.group_timer == 0 {
            self.exclude = false;
            self.checking = false;
        }
        if !self.exclude {
            self.sources.retain(|_, timer| *timer > 0);
            if self.sources.is_empty() {
                *self = Self::default(); // the record is deleted
            }
        }
    }

    /// Applies a record as section 7.3.2 lets it through, with `spare` more sources at most. True when that makes the
    /// querier ask.
    pub(super) fn record(
        &mut self,
        record_type: RecordType,
        list: &Set,
        gmi: u32,
        is_querier: bool,
        mut spare: usize,
    ) -> bool {
        let list = match (self.mode(), record_type) {
            (Version::V1 | Version::V2, BlockOldSources) | (Version::V1, ChangeToInclude) => {
                return false;
            }
            (Version::V1 | Version::V2, ChangeToExclude) => &Set::new(),
            _ => list,
        };
        let list: Set = if matches!(record_type, ModeIsExclude | ChangeToExclude) {
            list.iter()
                .copied()
                .take(self.sources.len() + spare)
                .collect()
        } else {
            let fits = |source: &&Ipv4Addr| {
                let is_new = !self.sources.contains_key(*source);
                let fits = !is_new || spare > 0;
                spare -= usize::from(is_new && fits);
                fits
            };
            list.iter().filter(fits).copied().collect()
        };
        let row = self.row(record_type, &list, gmi);
        let old = std::mem::take(&mut self.sources);
        for source in row.x {
            let kept = old.get(&source).copied().unwrap_or_default();
            self.sources.insert(
                source,
                if row.set.contains(&source) {
                    row.to
                } else {
                    kept
                },
            );
        }
        self.sources
            .extend(row.y.into_iter().map(|source| (source, 0)));
        self.exclude = row.exclude;
        if row.restart {
            self.group_timer = gmi;
            self.checking = false;
        }
        let mut asks = false;
        if is_querier {
            asks = row.ask.iter().any(|source| self.sources[source] > LMQT);
            self.lower(LMQT, &row.ask);
            if row.ask_group && !self.checking {
                asks = true;
                self.checking = true;
                self.group_timer = self.group_timer.min(LMQT);
            }
        }
        self.settle();
        asks
    }

    /// Sections 6.4.1 and 6.4.2, column by column. In INCLUDE mode `x` is the RFC's A, `y` is empty and `list` is B.
    fn row(&self, record_type: RecordType, list: &Set, gmi: u32) -> Row {
        let with = |zero: bool| -> Set {
            let sources = self
                .sources
                .iter()
                .filter(|(_, timer)| (**timer == 0) == zero);
            sources.map(|(source, _)| *source).collect()
        };
        let (x, y) = (&with(false), &with(true));
        let include = Row::default();
        let exclude = Row {
            exclude: true,
            ..Row::default()
        };
        let heard = Row {
            x: x | list,
            set: list.clone(),
            to: gmi,
            ..Row::default()
        };
        match (self.exclude, record_type) {
            (false, ModeIsInclude | AllowNewSources) => heard,
            (false, ModeIsExclude) => Row {
                x: x & list,
                y: list - x,
                restart: true,
                ..exclude
            },
            (false, ChangeToExclude) => Row {
                x: x & list,
                y: list - x,
                ask: x & list,
                restart: true,
                ..exclude
            },
            (false, BlockOldSources) => Row {
                x: x.clone(),
                ask: x & list,
                ..include
            },
            (false, ChangeToInclude) => Row {
                ask: x - list,
                ..heard
            },
            (true, ModeIsInclude | AllowNewSources) => Row {
                exclude: true,
                y: y - list,
                ..heard
            },
            (true, ModeIsExclude) => {
                let new = &(list - x) - y;
                Row {
                    x: list - y,
                    y: y & list,
                    set: new,
                    to: gmi,
                    restart: true,
                    ..exclude
                }
            }
            (true, ChangeToExclude) => {
                let new = &(list - x) - y;
                let (to, ask) = (self.group_timer, list - y);
                Row {
                    x: list - y,
                    y: y & list,
                    set: new,
                    to,
                    ask,
                    restart: true,
                    ..exclude
                }
            }
            (true, BlockOldSources) => {
                let (new, to, ask) = (&(list - x) - y, self.group_timer, list - y);
                Row {
                    x: x | &(list - y),
                    y: y.clone(),
                    set: new,
                    to,
                    ask,
                    ..exclude
                }
            }
            (true, ChangeToInclude) => Row {
                exclude: true,
                y: y - list,
                ask: x - list,
                ask_group: true,
                ..heard
            },
        }
    }

    pub(super) fn lower(&mut self, time: u32, sources: &Set) {
        for (source, timer) in &mut self.sources {
            if sources.contains(source) {
                *timer = (*timer).min(time);
            }
        }
    }
}
