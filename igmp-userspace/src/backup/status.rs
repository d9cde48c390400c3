//! What `igmpctl show backup` shows of a session.

use std::net::IpAddr;
use std::time::Duration;

use super::counters::Counters;
use super::role::{Cause, Role};
use crate::proto::Instant;

/// A session at a moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// The profile's name.
    pub profile: String,
    /// The role it has.
    pub role: Role,
    /// Why.
    pub cause: Cause,
    /// When the role will be taken back by itself.
    pub switch_back_at: Option<Instant>,
    /// The peer, when it is connected and has agreed.
    pub peer: Option<PeerStatus>,
    /// True when a backup has had a whole snapshot of its master and all that was copied since; on the master, when all of
    /// that was handed to the transport or queued for it.
    pub synced: bool,
    /// The last snapshot that was sent or received whole.
    pub last_sync: Option<LastSync>,
    /// What waits to be sent.
    pub queue: QueueStatus,
    /// An operator blocked sending.
    pub send_blocked: bool,
    /// An operator blocked receiving.
    pub receive_blocked: bool,
    /// From when on a connection should be tried again.
    pub reconnect_at: Instant,
    /// Totals.
    pub counters: Counters,
    /// The last connection that either side refused.
    pub last_refusal: Option<LastRefusal>,
}

/// A connected peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Its address, as it says.
    pub address: IpAddr,
    /// The role it has.
    pub role: Role,
    /// Why, as it says.
    pub cause: Cause,
    /// Its priority.
    pub priority: u8,
    /// Since when it is connected.
    pub since: Instant,
    /// The last keepalive's way there and back; `None` before the first came back.
    pub round_trip: Option<Duration>,
    /// How old the last copied message was when the peer sent it: how far the peer's queue is behind.
    pub message_age: Option<Duration>,
}

/// A snapshot that was sent or received whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LastSync {
    /// When.
    pub at: Instant,
    /// Groups in it.
    pub groups: usize,
}

/// What waits to be sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueStatus {
    /// Copies.
    pub records: usize,
    /// Octets of their packets.
    pub octets: usize,
    /// How long the oldest has been waiting.
    pub age: Option<Duration>,
}

/// A connection that was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastRefusal {
    /// When.
    pub at: Instant,
    /// By the peer, not by this gateway.
    pub by_peer: bool,
    /// The reason's name.
    pub reason: String,
    /// In words.
    pub text: String,
}
