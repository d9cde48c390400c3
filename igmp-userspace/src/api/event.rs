//! What `igmpctl events` tells as it happens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{backup, proto};

/// Something that happened. In JSON the fields of its kind stand beside `time`, `interface` and `event`:
///
/// ```text
/// {"time":"2026-03-01T20:15:00.000000Z","interface":"eth1","event":"leave","group":"239.1.1.1",
///  "host":"192.0.2.20","decision":"prompt","cause":"permit rule 5"}
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When, in UTC (RFC 3339).
    pub time: String,
    /// On which interface; null when on none.
    pub interface: Option<String>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The stream begins; whatever happens from now on is told.
    Connected {},
    /// The client reads too slowly: events were left out here.
    Missed {
        /// How many.
        events: u64,
    },
    /// A group got its first member.
    Joined {
        /// The group.
        group: Ipv4Addr,
        /// Who reported it.
        host: Ipv4Addr,
    },
    /// A group lost its last member.
    Left {
        /// The group.
        group: Ipv4Addr,
    },
    /// A Leave was decided upon.
    Leave {
        /// The group.
        group: Ipv4Addr,
        /// Who left.
        host: Ipv4Addr,
        /// What was decided.
        decision: LeaveDecision,
        /// Why: `permit rule 5`, `no match`, `acl 2001 missing`.
        cause: String,
    },
    /// A group was joined upstream.
    UpstreamJoined {
        /// The group.
        group: Ipv4Addr,
    },
    /// A group was left upstream.
    UpstreamLeft {
        /// The group.
        group: Ipv4Addr,
    },
    /// A source is neither in the interface's subnets nor in its `alt_subnets`; told at most once a source and minute.
    SourceRefused {
        /// The source.
        source: Ipv4Addr,
        /// The group of the data packet; null for an IGMP message.
        group: Option<Ipv4Addr>,
        /// The configuration line that would accept it: `alt_subnets = ["10.0.0.5/32"]`.
        remedy: String,
    },
    /// The querier of the link is another one.
    QuerierChanged {
        /// Its address.
        querier: Ipv4Addr,
        /// True when it is this router.
        querier_is_self: bool,
    },
    /// This gateway's role in a remote backup profile is another one.
    BackupRole {
        /// The profile.
        profile: String,
        /// The role.
        role: backup::Role,
        /// Why, in words.
        cause: String,
    },
    /// The other gateway of a profile is connected, and both agree.
    BackupConnected {
        /// The profile.
        profile: String,
        /// Its address.
        peer: IpAddr,
        /// Its role.
        role: backup::Role,
    },
    /// A connection of a profile has ended, or has not come about.
    BackupDisconnected {
        /// The profile.
        profile: String,
        /// Why, in words.
        reason: String,
    },
    /// A backup has taken over all that its master knows.
    BackupSynced {
        /// The profile.
        profile: String,
        /// Groups of all interfaces.
        groups: usize,
    },
    /// Something of a profile needs a look.
    BackupWarning {
        /// The profile.
        profile: String,
        /// What, in words.
        reason: String,
    },
    /// A limit has been reached, or is four fifths used.
    HighWater {
        /// Its key in the configuration.
        limit: String,
        /// Entries in use.
        used: usize,
        /// Entries allowed.
        allowed: usize,
    },
}

/// What a Leave brings about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveDecision {
    /// The entry is deleted at once.
    Prompt,
    /// Hosts are asked: the last member procedure.
    Query,
    /// Nothing.
    Ignored,
}

impl From<proto::EventKind> for EventKind {
    fn from(kind: proto::EventKind) -> Self {
        match kind {
            proto::EventKind::Joined { group, host } => Self::Joined { group, host },
            proto::EventKind::Left { group } => Self::Left { group },
            proto::EventKind::Leave {
                group,
                host,
                decision,
            } => {
                let (decision, cause) = split(&decision);
                Self::Leave {
                    group,
                    host,
                    decision,
                    cause,
                }
            }
            proto::EventKind::UpstreamJoined { group } => Self::UpstreamJoined { group },
            proto::EventKind::UpstreamLeft { group } => Self::UpstreamLeft { group },
            proto::EventKind::SourceRefused { source } => Self::source_refused(source, None, &[]),
            proto::EventKind::QuerierChanged { querier, is_self } => Self::QuerierChanged {
                querier,
                querier_is_self: is_self,
            },
            proto::EventKind::HighWater {
                limit,
                used,
                allowed,
            } => Self::HighWater {
                limit: limit.to_owned(),
                used,
                allowed,
            },
        }
    }
}

impl EventKind {
    /// Something that happened in the session of `profile`.
    #[must_use]
    pub fn backup(profile: &str, event: &backup::Event) -> Self {
        let profile = profile.to_owned();
        match event {
            backup::Event::Connected { peer, role } => Self::BackupConnected {
                profile,
                peer: *peer,
                role: *role,
            },
            backup::Event::Disconnected(cause) => Self::BackupDisconnected {
                profile,
                reason: cause.to_string(),
            },
            backup::Event::Synced { groups } => Self::BackupSynced {
                profile,
                groups: *groups,
            },
            backup::Event::BothMaster { .. }
            | backup::Event::BothBackup
            | backup::Event::QueueFull { .. } => Self::BackupWarning {
                profile,
                reason: event.to_string(),
            },
        }
    }

    /// `source` was refused on an interface that has these `alt_subnets`; `group` when it sent data.
    #[must_use]
    pub fn source_refused(
        source: Ipv4Addr,
        group: Option<Ipv4Addr>,
        alt_subnets: &[Ipv4Net],
    ) -> Self {
        let networks = alt_subnets.iter().copied().chain([source.into()]);
        let networks: Vec<String> = networks.map(|network| format!("\"{network}\"")).collect();
        Self::SourceRefused {
            source,
            group,
            remedy: format!("alt_subnets = [{}]", networks.join(", ")),
        }
    }
}

fn split(decision: &proto::LeaveDecision) -> (LeaveDecision, String) {
    match decision {
        proto::LeaveDecision::Prompt(cause) => (LeaveDecision::Prompt, cause.to_string()),
        proto::LeaveDecision::Query(cause) => (LeaveDecision::Query, cause.to_string()),
        proto::LeaveDecision::Ignored(cause) => (LeaveDecision::Ignored, cause.to_string()),
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected {} => write!(f, "connected: events follow"),
            Self::Missed { events } => write!(f, "missed {events} events: read too slowly"),
            Self::Joined { group, host } => write!(f, "{group} joined by {host}"),
            Self::Left { group } => write!(f, "{group} has no members any more"),
            Self::Leave {
                group,
                host,
                decision,
                cause,
            } => {
                let decision = match decision {
                    LeaveDecision::Prompt => "prompt",
                    LeaveDecision::Query => "query",
                    LeaveDecision::Ignored => "ignored",
                };
                write!(f, "{host} leaves {group}: {decision} ({cause})")
            }
            Self::UpstreamJoined { group } => write!(f, "{group} joined upstream"),
            Self::UpstreamLeft { group } => write!(f, "{group} left upstream"),
            Self::SourceRefused {
                source,
                group,
                remedy,
            } => {
                match group {
                    Some(group) => write!(f, "packets from {source} to {group} refused")?,
                    None => write!(f, "IGMP from {source} refused")?,
                }
                write!(
                    f,
                    ": the source is in no network of this interface; to accept it: {remedy}"
                )
            }
            Self::QuerierChanged {
                querier,
                querier_is_self,
            } => {
                let own = if *querier_is_self { " (self)" } else { "" };
                write!(f, "querier is {querier}{own}")
            }
            Self::BackupRole {
                profile,
                role,
                cause,
            } => write!(f, "{profile}: now {role} ({cause})"),
            Self::BackupConnected {
                profile,
                peer,
                role,
            } => write!(f, "{profile}: connected to {peer}, which is {role}"),
            Self::BackupDisconnected { profile, reason } => {
                write!(f, "{profile}: disconnected: {reason}")
            }
            Self::BackupSynced { profile, groups } => {
                write!(f, "{profile}: in sync with {groups} groups")
            }
            Self::BackupWarning { profile, reason } => write!(f, "{profile}: {reason}"),
            Self::HighWater {
                limit,
                used,
                allowed,
            } => write!(f, "{limit}: {used} of {allowed} in use"),
        }
    }
}
