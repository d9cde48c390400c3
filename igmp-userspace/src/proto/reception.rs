//! What of a group is forwarded: what hosts asked for (RFC 9776 section 6.3) and what an operator listed, together.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::sources::SourceRecord;
use super::{FilterMode, Instant};

/// A source of a group as it is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    /// Its address.
    pub address: Ipv4Addr,
    /// When the source timer ends. `None` in INCLUDE mode: never, the source is static. `None` in EXCLUDE mode: it has
    /// ended, the source is blocked.
    pub timer: Option<Instant>,
}

/// Which sources of a group are to be forwarded (RFC 9776 section 6.3).
#[derive(Clone, Copy, Debug)]
pub struct Reception<'a> {
    /// INCLUDE: only [`sources`](Self::sources); EXCLUDE: all but them.
    pub filter_mode: FilterMode,
    pub(super) records: &'a [SourceRecord],
    /// Static sources, sorted.
    pub(super) statics: &'a [Ipv4Addr],
}

impl<'a> Reception<'a> {
    /// The sources to forward (INCLUDE) or to block (EXCLUDE: those whose source timer is zero), ordered by address.
    pub fn sources(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let includes = self.filter_mode == FilterMode::Include;
        self.listed(move |record| includes || record.timer.is_none())
    }

    /// Every source there is something to say about, ordered by address.
    pub(super) fn all(&self) -> impl Iterator<Item = Source> + use<'a> {
        let Self {
            records, statics, ..
        } = *self;
        self.listed(|_| true).map(move |address| Source {
            address,
            timer: records
                .binary_search_by_key(&address, |record| record.address)
                .ok()
                .and_then(|place| records[place].timer)
                .filter(|_| !contains(statics, address)),
        })
    }

    fn listed<F: Fn(&SourceRecord) -> bool>(
        &self,
        wanted: F,
    ) -> impl Iterator<Item = Ipv4Addr> + use<'a, F> {
        let Self {
            filter_mode,
            records,
            statics,
        } = *self;
        let included = match filter_mode {
            FilterMode::Include => statics,
            FilterMode::Exclude => &[],
        };
        let learnt = records
            .iter()
            // What no host wants, a static source is forwarded nevertheless.
            .filter(move |record| record.timer.is_some() || !contains(statics, record.address))
            .filter(move |record| wanted(record))
            .map(|record| record.address);
        merge(learnt, included.iter().copied())
    }
}

/// What an operator listed of a group: it is there whatever hosts say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Statics {
    pub(super) any_source: bool,
    /// Sorted, each once.
    pub(super) sources: Vec<Ipv4Addr>,
}

impl Statics {
    /// `static_groups`, by group.
    pub(super) fn by_group(list: &[(Ipv4Addr, Option<Ipv4Addr>)]) -> BTreeMap<Ipv4Addr, Box<Self>> {
        let mut groups: BTreeMap<Ipv4Addr, Box<Self>> = BTreeMap::new();
        for &(group, source) in list {
            let statics = groups.entry(group).or_default();
            match source {
                None => statics.any_source = true,
                Some(source) => {
                    if let Err(place) = statics.sources.binary_search(&source) {
                        statics.sources.insert(place, source);
                    }
                }
            }
        }
        groups
    }
}

pub(super) fn contains(sorted: &[Ipv4Addr], source: Ipv4Addr) -> bool {
    sorted.binary_search(&source).is_ok()
}

/// Two sorted sequences as one, each address once.
fn merge(
    first: impl Iterator<Item = Ipv4Addr>,
    second: impl Iterator<Item = Ipv4Addr>,
) -> impl Iterator<Item = Ipv4Addr> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || match (first.peek(), second.peek()) {
        (Some(a), Some(b)) if a == b => {
            second.next();
            first.next()
        }
        (Some(a), Some(b)) if b < a => second.next(),
        (Some(_), _) => first.next(),
        (None, _) => second.next(),
    })
}
