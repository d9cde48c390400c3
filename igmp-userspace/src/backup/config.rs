//! What a profile's two gateways are told by their configuration.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::{Role, RoleConfig};

/// A peer of which nothing was heard for so long is dead, unless configured.
pub const DEFAULT_DEAD_AFTER: Duration = Duration::from_secs(1);
/// The least it may be, on either side: four keepalives go into it, and below 25 ms each a busy host's scheduling alone
/// would end connections.
pub const MIN_DEAD_AFTER: Duration = Duration::from_millis(100);
/// How long a starting master waits for its peer, unless configured: a connection takes milliseconds, a peer that tries
/// every [`MAX_RECONNECT_PAUSE`] is met by connecting to it.
pub const DEFAULT_PEER_WAIT: Duration = Duration::from_secs(1);
/// The pause before the first attempt to connect again.
pub const MIN_RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause. Shorter than a starting master waits, so that it is met before; two small packets a second are nothing.
pub const MAX_RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// One `remote_backup_profile`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Its name, the same on both gateways.
    pub profile: String,
    /// The role that it is configured with: the one to begin with, unless the last one is known. A reload never moves it.
    pub role: Role,
    /// Who stays master when both are: the higher. See [`Role::default_priority`].
    pub priority: u8,
    /// This gateway's own address: of two equal priorities the numerically higher address wins.
    pub address: IpAddr,
    /// The interfaces whose messages are copied.
    pub interfaces: Vec<InterfacePair>,
    /// A peer of which nothing was heard for so long is dead; at least [`MIN_DEAD_AFTER`].
    pub dead_after: Duration,
    /// How long a gateway configured as master waits at its start for a peer that may be master by now.
    pub peer_wait: Duration,
    /// How long a gateway that came back, and is in sync, leaves its peer master before it takes the role back by itself.
    pub switch_back_delay: Duration,
}

/// One link that both gateways have an interface on.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct InterfacePair {
    /// What the gateway that says so calls it.
    pub local: String,
    /// What its peer calls it.
    pub remote: String,
}

impl Config {
    /// What of it is [`Roles`](super::Roles)' business.
    pub(super) const fn roles(&self) -> RoleConfig {
        RoleConfig {
            peer_wait: self.peer_wait,
            switch_back_delay: self.switch_back_delay,
        }
    }

    /// True when a Hello made from `other` would say the same, so that a connection may stay.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        (&self.profile, self.role, self.priority, self.address)
            == (&other.profile, other.role, other.priority, other.address)
            && (&self.interfaces, self.dead_after) == (&other.interfaces, other.dead_after)
    }
}

/// How the interfaces of two gateways disagree, in words; `None` when they do not: each names the same links, and `local`
/// here is `remote` there.
pub(super) fn disagreement(ours: &[InterfacePair], theirs: &[InterfacePair]) -> Option<String> {
    let agreed = |pair: &InterfacePair, others: &[InterfacePair]| {
        others
            .iter()
            .any(|other| (&pair.local, &pair.remote) == (&other.remote, &other.local))
    };
    let only_here = ours.iter().find(|pair| !agreed(pair, theirs));
    let only_there = theirs.iter().find(|pair| !agreed(pair, ours));
    let arrow = |pair: &InterfacePair| format!("{}->{}", pair.local, pair.remote);
    match (only_here, only_there) {
        (None, None) => None,
        (Some(here), None) => Some(format!("{} here has no counterpart there", arrow(here))),
        (None, Some(there)) => Some(format!("{} there has no counterpart here", arrow(there))),
        (Some(here), Some(there)) => Some(format!("{} here, {} there", arrow(here), arrow(there))),
    }
}
