//! IGMP message replication to a hot-backup gateway, sans I/O: no socket, no clock.
//!
//! Two gateways serve the same subscribers. The master copies each IGMP message it accepts on a mapped interface to the
//! backup, which feeds it to the same state machine and so is ready to forward the moment it becomes master.
//! `docs/backup-protocol.md` describes what goes over the wire.
//!
//! A [`Session`] is one `remote_backup_profile`; it lives as long as the profile, over any number of connections. Its
//! owner hands in what happened (`handle_...`, [`Session::copy`], [`Session::set_role`]), and after each of these calls
//! repeats until neither has anything more:
//!
//! 1. while the connection can take octets, send what [`Session::poll_transmit`] gives;
//! 2. do what [`Session::poll_output`] says.
//!
//! Then it sleeps until [`Session::poll_timeout`]; when there is no connection, it tries one at
//! [`Session::reconnect_at`].
//!
//! [`Roles`] decides who is master; [`record`] is the octets.

mod config;
mod counters;
mod decoder;
mod event;
mod incoming;
mod outgoing;
mod queue;
pub mod record;
mod refusal;
mod role;
mod session;
mod status;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod sim;

pub use config::{
    Config, DEFAULT_DEAD_AFTER, DEFAULT_PEER_WAIT, InterfacePair, MAX_RECONNECT_PAUSE,
    MIN_DEAD_AFTER, MIN_RECONNECT_PAUSE,
};
pub use counters::{Counters, DropReason};
pub use decoder::Decoder;
pub use event::{Disconnect, Event};
pub use queue::{MAX_QUEUED_OCTETS, MAX_QUEUED_RECORDS};
pub use refusal::{Refusal, Refused};
pub use role::{Cause, Claim, Meeting, Role, RoleConfig, Roles, Statement};
pub use session::{Direction, Output, Session};
pub use status::{LastRefusal, LastSync, PeerStatus, QueueStatus, Status};
