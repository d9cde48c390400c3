//! One group on the upstream interface.

use std::net::Ipv4Addr;

use super::super::Instant;
use super::Subscription;
use super::change::PendingChange;
use super::older::OlderMember;
use super::response::PendingResponse;
use crate::wire::Version;

/// The state of a group that we are a member of (RFC 2236 section 6). A group that is not there is a Non-Member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// A report is to be sent: repeated, or in answer to a query.
    Delaying,
    /// Nothing is to be sent until something happens.
    Idle,
}

/// A group that we are a member of, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Membership<'a> {
    /// The group.
    pub group: Ipv4Addr,
    /// Delaying Member or Idle Member.
    pub state: State,
    /// What is wanted of it.
    pub subscription: &'a Subscription,
}

/// A group that is wanted, or whose end is still to be reported.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) subscription: Subscription,
    /// Version 3 only.
    pub(super) change: PendingChange,
    /// Version 3 only.
    pub(super) response: Option<PendingResponse>,
    /// Versions 1 and 2 only.
    pub(super) older: OlderMember,
    /// The deadline that is armed for this group in the host's `Deadlines`.
    pub(super) armed: Option<Instant>,
}

impl Default for Member {
    fn default() -> Self {
        Self {
            subscription: Subscription::nothing(),
            change: PendingChange::default(),
            response: None,
            older: OlderMember::default(),
            armed: None,
        }
    }
}

impl Member {
    /// The earliest of everything this group waits for.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let response = self.response.as_ref().map(|response| response.at);
        [self.change.at, response, self.older.timer]
            .into_iter()
            .flatten()
            .min()
    }

    /// The mode is no longer `mode`: nothing is pending any more.
    pub(super) fn cancel(&mut self, mode: Version) {
        self.change = PendingChange::default();
        self.response = None;
        self.older.stop();
        // In version 3 every host reports, and none is silenced by another.
        self.older.last_reporter |= mode == Version::V3;
    }
}
