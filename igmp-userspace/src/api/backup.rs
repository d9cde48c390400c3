//! Hot backup over the control socket.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use serde::{Deserialize, Serialize};

use crate::backup::Role;

/// One `remote_backup_profile`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Backup {
    /// Its name.
    pub profile: String,
    /// The role that this gateway has.
    pub role: Role,
    /// Why, in words.
    pub role_cause: String,
    /// Until this gateway takes the role of master back by itself, in milliseconds; null when it will not.
    pub switch_back_ms: Option<u64>,
    /// Where the other gateway is reached.
    pub peer: SocketAddrV4,
    /// Whether it is connected, and both agree on the profile.
    pub connected: bool,
    /// The role that it has; null while it is not connected.
    pub peer_role: Option<Role>,
    /// Whether both hold the same: all that the master knew, and all that it has copied since.
    pub synced: bool,
    /// Time since the last full synchronisation, in milliseconds; null before the first.
    pub last_sync_ms: Option<u64>,
    /// Groups in it.
    pub last_sync_groups: Option<usize>,
    /// How far the backup is behind, in milliseconds: what waits the longest, or the last message's age; null while it is
    /// not known.
    pub lag_ms: Option<f64>,
    /// Messages copied to the peer.
    pub sent: u64,
    /// Messages copied by the peer.
    pub received: u64,
    /// Messages that were not copied or not acted upon; a synchronisation makes up for them.
    pub dropped: u64,
    /// Of these by reason, those that are not zero.
    pub dropped_by: BTreeMap<String, u64>,
    /// Connections and records refused, by reason, those that are not zero.
    pub refused: BTreeMap<String, u64>,
    /// What was refused last, by whichever side; null when nothing was.
    pub last_refusal: Option<String>,
    /// What an operator has blocked: `send`, `receive`.
    pub blocked: Vec<Direction>,
}

/// Of copies.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the peer.
    Send,
    /// From the peer.
    Receive,
}
