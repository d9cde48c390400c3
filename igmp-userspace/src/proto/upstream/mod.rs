//! The upstream interface: what this router asks for there, as a host (RFC 4605 section 4.1). Sans I/O as all of
//! [`proto`](super).
//!
//! ```text
//! reception states of one group downstream --merge--> Subscription --Host--> reports, leaves
//! ```

mod change;
mod host;
mod member;
mod merge;
mod older;
mod response;

pub use host::{Host, Output};
pub use member::{Membership, State};
pub use merge::merge;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::{FilterMode, Reception};

/// What is wanted of one group: an interface's reception state without its timers (RFC 9776 section 3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// INCLUDE: only [`sources`](Self::sources); EXCLUDE: all but them.
    pub mode: FilterMode,
    /// The sources that are wanted, or those that are not. INCLUDE of none wants nothing.
    pub sources: BTreeSet<Ipv4Addr>,
}

impl Subscription {
    /// The state of a group that does not exist: INCLUDE of no source (RFC 9776 section 5.1).
    const fn nothing() -> Self {
        Self {
            mode: FilterMode::Include,
            sources: BTreeSet::new(),
        }
    }

    fn is_nothing(&self) -> bool {
        self.mode == FilterMode::Include && self.sources.is_empty()
    }

    fn wants(&self, source: Ipv4Addr) -> bool {
        self.sources.contains(&source) == (self.mode == FilterMode::Include)
    }
}

/// The preprocessing of RFC 4605 section 4.1: timers go, and in EXCLUDE mode the sources whose timer runs.
impl From<Reception<'_>> for Subscription {
    fn from(reception: Reception<'_>) -> Self {
        Self {
            mode: reception.filter_mode,
            sources: reception.sources().collect(),
        }
    }
}
