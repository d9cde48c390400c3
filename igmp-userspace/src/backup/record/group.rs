//! A group in a snapshot's records: timers in milliseconds, and a group of many sources in several pieces.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backup::refusal::Refusal;
use crate::proto::FilterMode;
use crate::proto::GroupState;

/// Sources in one piece of a group: such a piece, 10 octets a source, leaves room in a record for all else.
const SOURCES_IN_PIECE: usize = 4096;

/// The most sources of a group; RFC 9776 has no limit, but a receiver must have one.
pub(in crate::backup) const MAX_SOURCES: usize = 65_536;

/// [`GroupState`] as it goes over the wire, or a piece of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GroupRecord {
    /// Which group.
    pub group: Ipv4Addr,
    /// The filter mode: EXCLUDE.
    pub exclude: bool,
    /// What is left of the group timer, in milliseconds.
    pub group_timer_ms: Option<u32>,
    /// What is left of the IGMPv1-Host-Present Timer, in milliseconds.
    pub v1_host_present_ms: Option<u32>,
    /// What is left of the IGMPv2-Host-Present Timer, in milliseconds.
    pub v2_host_present_ms: Option<u32>,
    /// The host that last reported interest.
    pub last_reporter: Option<Ipv4Addr>,
    /// Each source with what is left of its timer in milliseconds; `None`: blocked.
    pub sources: Vec<(Ipv4Addr, Option<u32>)>,
    /// More sources of this group follow in the next one.
    pub continued: bool,
}

impl GroupRecord {
    /// The most octets it can have.
    pub(in crate::backup) const fn max_len(&self) -> usize {
        40 + 10 * self.sources.len()
    }
}

/// Timers are rounded up: one that still runs must not arrive as one that has run out.
fn to_ms(left: Duration) -> u32 {
    u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// The group in as many pieces as it takes; `None` when it has more sources than a peer would take.
pub(in crate::backup) fn split_group(state: &GroupState) -> Option<Vec<GroupRecord>> {
    if state.sources.len() > MAX_SOURCES {
        return None;
    }
    let sources: Vec<_> = state
        .sources
        .iter()
        .map(|&(source, left)| (source, left.map(to_ms)))
        .collect();
    let pieces = sources.len().div_ceil(SOURCES_IN_PIECE).max(1);
    let piece = |index: usize| GroupRecord {
        group: state.group,
        exclude: state.filter_mode == FilterMode::Exclude,
        group_timer_ms: state.group_timer.map(to_ms),
        v1_host_present_ms: state.v1_host_present.map(to_ms),
        v2_host_present_ms: state.v2_host_present.map(to_ms),
        last_reporter: state.last_reporter,
        sources: sources
            .chunks(SOURCES_IN_PIECE)
            .nth(index)
            .unwrap_or_default()
            .to_vec(),
        continued: index + 1 < pieces,
    };
    Some((0..pieces).map(piece).collect())
}

/// Puts groups together from their pieces.
#[derive(Debug, Default)]
pub(in crate::backup) struct Regroup(Option<GroupState>);

impl Regroup {
    /// The next piece, whose timers are `age` old: the group, when this was its last one.
    pub(in crate::backup) fn piece(
        &mut self,
        piece: GroupRecord,
        age: Duration,
    ) -> Result<Option<GroupState>, Refusal> {
        let left = |ms: u32| Duration::from_millis(ms.into()).saturating_sub(age);
        let mut state = match self.0.take() {
            Some(state) if state.group == piece.group => state,
            Some(_) => return Err(Refusal::OutOfPlace),
            None => GroupState {
                group: piece.group,
                filter_mode: if piece.exclude {
                    FilterMode::Exclude
                } else {
                    FilterMode::Include
                },
                group_timer: piece.group_timer_ms.map(left),
                sources: Vec::new(),
                v1_host_present: piece.v1_host_present_ms.map(left),
                v2_host_present: piece.v2_host_present_ms.map(left),
                last_reporter: piece.last_reporter,
            },
        };
        if state.sources.len() + piece.sources.len() > MAX_SOURCES {
            return Err(Refusal::TooMuchState);
        }
        let sources = piece.sources.into_iter();
        state
            .sources
            .extend(sources.map(|(source, ms)| (source, ms.map(left))));
        if piece.continued {
            self.0 = Some(state);
            return Ok(None);
        }
        Ok(Some(state))
    }

    /// True between two pieces of a group.
    pub(in crate::backup) const fn is_open(&self) -> bool {
        self.0.is_some()
    }
}
