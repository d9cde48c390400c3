//! Roles and causes in words.

use std::fmt;

use super::{Cause, Role};

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Backup => "backup",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "configured",
            Self::Waiting => "waiting for the peer",
            Self::PeerAbsent => "the peer is absent",
            Self::PeerIsBackup => "the peer is backup",
            Self::PeerIsMaster => "the peer is master",
            Self::Operator => "operator",
            Self::SwitchBack => "switch back",
            Self::PeerTookOver => "the peer took over",
            Self::GaveWay => "both were master, and the peer ranks higher",
        })
    }
}
