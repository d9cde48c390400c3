//! Who is master.
//!
//! A gateway becomes master by an operator (keepalived's notify scripts are one), at its start, or by taking the role
//! back; never because its peer is gone, for it cannot tell a dead peer from a cut cable.
//!
//! Each time it becomes master it makes a [`Claim`]: a number of its own, and the number of the claim that its connected
//! peer made. So two masters can tell whether one of them has just *taken over* from the other, or whether they meet after
//! they were apart and priority decides: what was said to one of them meanwhile says nothing of the other, which may have
//! been told that it is still master.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::proto::Instant;

mod display;

/// Master or backup.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Forwards, sends queries, copies what it accepts.
    Master,
    /// Keeps the same state behind a closed gate.
    Backup,
}

/// Why a gateway has the role it has.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Configured as backup, and nothing has happened since.
    Configured,
    /// Configured as master, and waiting for a peer that may be master by now.
    Waiting,
    /// Nobody was met while it waited.
    PeerAbsent,
    /// The peer that was met is backup.
    PeerIsBackup,
    /// The peer that was met is master.
    PeerIsMaster,
    /// An operator or a script said so.
    Operator,
    /// It came back, was in sync for the switch-back delay, and took its role back.
    SwitchBack,
    /// The peer took over.
    PeerTookOver,
    /// Both were master, and the peer ranks higher.
    GaveWay,
}

/// That a gateway is master.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Claim {
    /// Another one for each claim.
    pub number: u64,
    /// The number of the claim of the peer that was connected then.
    pub over: Option<u64>,
}

/// What a gateway tells its peer about its role.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statement {
    /// Why it has the role.
    pub cause: Cause,
    /// Its claim to be master; `None`: it is backup.
    pub claim: Option<Claim>,
}

/// [`Config`](super::Config)'s part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoleConfig {
    /// How long a starting master waits for its peer.
    pub peer_wait: Duration,
    /// How long after it is in sync it takes the role back.
    pub switch_back_delay: Duration,
}

/// Two gateways that have the same role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meeting {
    /// Both are master, neither knowing of the other.
    BothMaster {
        /// It was this one that gave way.
        gave_way: bool,
    },
    /// Both are backup: nobody forwards until an operator says who.
    BothBackup,
}

/// What goes on by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Automatic {
    Nothing,
    /// At the start of a configured master.
    Waiting {
        until: Instant,
    },
    /// The peer was master then; the role is to be taken back once in sync.
    Recovering,
    /// In sync.
    SwitchBack {
        at: Instant,
    },
}

/// A connected peer, as far as roles go.
#[derive(Clone, Copy, Debug)]
struct Peer {
    said: Statement,
    both_backup_told: bool,
}

/// One gateway's role in a profile.
#[derive(Debug)]
pub struct Roles {
    config: RoleConfig,
    statement: Statement,
    automatic: Automatic,
    next_number: u64,
    peer: Option<Peer>,
}

impl Role {
    /// The priority of a gateway that is configured as this and has none configured.
    #[must_use]
    pub const fn default_priority(self) -> u8 {
        match self {
            Self::Master => 150,
            Self::Backup => 100,
        }
    }
}

impl Statement {
    const fn backup(cause: Cause) -> Self {
        Self { cause, claim: None }
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.claim {
            Some(_) => Role::Master,
            None => Role::Backup,
        }
    }

    /// A claim made on purpose to end the one that `other` makes.
    fn takes_over_from(&self, other: &Self) -> bool {
        let (Some(claim), Some(other)) = (self.claim, other.claim) else {
            return false;
        };
        matches!(self.cause, Cause::Operator | Cause::SwitchBack)
            && claim.over == Some(other.number)
    }
}

impl Peer {
    /// This gateway is backup: when that is news and leaves no master, it is told.
    fn both_backup(&mut self) -> Option<Meeting> {
        let both = self.said.role() == Role::Backup && self.said.cause != Cause::Waiting;
        let told = std::mem::replace(&mut self.both_backup_told, both);
        (both && !told).then_some(Meeting::BothBackup)
    }
}

impl Roles {
    /// A gateway that starts at `now` in this role. `first_number`: drawn at random, so that claims of an earlier life, which the peer
    /// may remember, have other numbers.
    #[must_use]
    pub fn new(now: Instant, config: RoleConfig, role: Role, first_number: u64) -> Self {
        let (cause, automatic) = match role {
            Role::Master => {
                let until = now + config.peer_wait;
                (Cause::Waiting, Automatic::Waiting { until })
            }
            Role::Backup => (Cause::Configured, Automatic::Nothing),
        };
        Self {
            config,
            statement: Statement::backup(cause),
            automatic,
            next_number: first_number,
            peer: None,
        }
    }

    /// The role it has; backup while it waits for its peer.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.statement.role()
    }

    /// Role, cause and claim: what the peer must know.
    #[must_use]
    pub const fn statement(&self) -> Statement {
        self.statement
    }

    /// When the role will be taken back, unless something happens before.
    #[must_use]
    pub const fn switch_back_at(&self) -> Option<Instant> {
        match self.automatic {
            Automatic::SwitchBack { at } => Some(at),
            Automatic::Nothing | Automatic::Waiting { .. } | Automatic::Recovering => None,
        }
    }

    /// Other delays from now on.
    pub const fn reconfigure(&mut self, config: RoleConfig) {
        self.config = config;
    }

    /// An operator's word: at once, and instead of everything that goes on by itself.
    pub fn set_role(&mut self, role: Role) -> Option<Meeting> {
        match role {
            Role::Master => {
                self.claim(Cause::Operator);
                None
            }
            Role::Backup => {
                self.step_down(Cause::Operator);
                self.peer.as_mut().and_then(Peer::both_backup)
            }
        }
    }

    /// The connected peer says what it is. `ranks_higher`: by priority and address; `configured`: its role to begin with.
    pub fn peer_says(
        &mut self,
        said: Statement,
        ranks_higher: bool,
        configured: Role,
    ) -> Option<Meeting> {
        let before = self.peer.map(|peer| peer.said);
        let both_backup_told = self.peer.is_some_and(|peer| peer.both_backup_told);
        let mut peer = Peer {
            said,
            both_backup_told: false,
        };
        let meeting = match (self.role(), said.role()) {
            (Role::Master, Role::Master) => {
                if said.takes_over_from(&self.statement) {
                    self.step_down(Cause::PeerTookOver);
                    None
                } else if self.statement.takes_over_from(&said) {
                    None
                } else {
                    if ranks_higher {
                        self.step_down(Cause::GaveWay);
                    }
                    let gave_way = ranks_higher;
                    (before != Some(said)).then_some(Meeting::BothMaster { gave_way })
                }
            }
            (Role::Backup, Role::Master) => {
                self.meet_master(said, before, ranks_higher && configured == Role::Master);
                None
            }
            (Role::Backup, Role::Backup) => {
                peer.both_backup_told = both_backup_told;
                self.meet_backup(&mut peer, ranks_higher)
            }
            (Role::Master, Role::Backup) => None,
        };
        self.peer = Some(peer);
        meeting
    }

    /// A backup hears a master. `rival`: one that would itself take the role back.
    fn meet_master(&mut self, said: Statement, before: Option<Statement>, rival: bool) {
        match self.automatic {
            Automatic::Waiting { .. } => {
                self.statement.cause = Cause::PeerIsMaster;
                // Two gateways configured as master would take the role from each other for ever.
                self.automatic = if rival {
                    Automatic::Nothing
                } else {
                    Automatic::Recovering
                };
            }
            // An operator who makes the peer master while this one waits to take over means it.
            Automatic::Recovering | Automatic::SwitchBack { .. } => {
                if before.is_some_and(|before| before.claim != said.claim)
                    && said.cause == Cause::Operator
                {
                    self.automatic = Automatic::Nothing;
                }
            }
            Automatic::Nothing => {}
        }
    }

    fn meet_backup(&mut self, peer: &mut Peer, ranks_higher: bool) -> Option<Meeting> {
        let peer_waits = peer.said.cause == Cause::Waiting;
        match self.automatic {
            // Its peer's snapshot comes first: what it would copy before would be nothing.
            Automatic::Waiting { .. } if !peer_waits => return None,
            Automatic::Waiting { .. } => {
                if !ranks_higher {
                    self.claim(Cause::PeerIsBackup);
                }
                return None;
            }
            // Nobody to take the role back from.
            Automatic::Recovering | Automatic::SwitchBack { .. } => {
                self.automatic = Automatic::Nothing;
            }
            Automatic::Nothing => {}
        }
        peer.both_backup()
    }

    /// The connection is gone. The role stays; to take it back the peer must be there and in sync again.
    pub const fn peer_lost(&mut self) {
        self.peer = None;
        if let Automatic::SwitchBack { .. } = self.automatic {
            self.automatic = Automatic::Recovering;
        }
    }

    /// A snapshot of the peer has come to its end.
    pub fn synced(&mut self, now: Instant) {
        match self.automatic {
            Automatic::Waiting { .. } => self.claim(Cause::PeerIsBackup),
            Automatic::Recovering => {
                let at = now + self.config.switch_back_delay;
                self.automatic = Automatic::SwitchBack { at };
            }
            Automatic::Nothing | Automatic::SwitchBack { .. } => {}
        }
    }

    /// What is due at `now` happens.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.automatic {
            Automatic::Waiting { until } if until <= now => self.claim(match self.peer {
                Some(_) => Cause::PeerIsBackup,
                None => Cause::PeerAbsent,
            }),
            Automatic::SwitchBack { at } if at <= now => self.claim(Cause::SwitchBack),
            Automatic::Nothing
            | Automatic::Waiting { .. }
            | Automatic::Recovering
            | Automatic::SwitchBack { .. } => {}
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.automatic {
            Automatic::Waiting { until: due } | Automatic::SwitchBack { at: due } => Some(due),
            Automatic::Nothing | Automatic::Recovering => None,
        }
    }

    fn claim(&mut self, cause: Cause) {
        let theirs = self.peer.and_then(|peer| peer.said.claim);
        let claim = Claim {
            number: self.next_number,
            over: theirs.map(|claim| claim.number),
        };
        self.next_number = self.next_number.wrapping_add(1);
        self.statement = Statement {
            cause,
            claim: Some(claim),
        };
        self.automatic = Automatic::Nothing;
        if let Some(peer) = &mut self.peer {
            peer.both_backup_told = false;
        }
    }

    const fn step_down(&mut self, cause: Cause) {
        self.statement = Statement::backup(cause);
        self.automatic = Automatic::Nothing;
    }
}

#[cfg(test)]
mod tests;
