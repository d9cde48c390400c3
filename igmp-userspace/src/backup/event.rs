//! What is worth telling an operator as it happens.

use std::fmt;
use std::net::IpAddr;

use super::refusal::Refused;
use super::role::Role;

/// Why a connection ended, or has to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Disconnect {
    /// What came in was refused; the peer is told why.
    Refused(Refused),
    /// The peer refused, and says why: a [`Refusal::name`](super::Refusal::name) of its version, and words.
    RefusedByPeer {
        /// The reason's name.
        reason: String,
        /// In words.
        text: String,
    },
    /// Nothing was heard of it for the dead-after time.
    PeerDead,
    /// It has not said who it is within the dead-after time.
    Silent,
    /// The profile was configured anew.
    Reconfigured,
    /// The transport lost it; why, in its words.
    Lost(String),
}

/// Something that happened in a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A peer was met that agrees and is there now.
    Connected {
        /// Its address, as it says.
        peer: IpAddr,
        /// Its role.
        role: Role,
    },
    /// A connection ended that had been tried.
    Disconnected(Disconnect),
    /// Both were master, and one gave way.
    BothMaster {
        /// It was this one.
        gave_way: bool,
    },
    /// Both are backup: nobody forwards until an operator says who.
    BothBackup,
    /// The peer's snapshot is in.
    Synced {
        /// Groups in it.
        groups: usize,
    },
    /// Copies were dropped: the peer takes them more slowly than they come. A snapshot follows when it has caught up.
    QueueFull {
        /// How many.
        dropped: u64,
    },
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refused { reason, text }) => write!(f, "refused: {reason}: {text}"),
            Self::RefusedByPeer { reason, text } => {
                write!(f, "refused by the peer: {reason}: {text}")
            }
            Self::PeerDead => f.write_str("the peer is dead"),
            Self::Silent => f.write_str("the peer does not say who it is"),
            Self::Reconfigured => f.write_str("configured anew"),
            Self::Lost(cause) => write!(f, "connection lost: {cause}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { peer, role } => write!(f, "connected to {peer}, which is {role}"),
            Self::Disconnected(cause) => write!(f, "disconnected: {cause}"),
            Self::BothMaster { gave_way: true } => {
                f.write_str("both were master: this one gave way")
            }
            Self::BothMaster { gave_way: false } => {
                f.write_str("both were master: the peer gives way")
            }
            Self::BothBackup => f.write_str("both are backup: nobody forwards"),
            Self::Synced { groups } => write!(f, "in sync with {groups} groups"),
            Self::QueueFull { dropped } => {
                write!(
                    f,
                    "the peer is slow: {dropped} copies dropped, a snapshot follows"
                )
            }
        }
    }
}
