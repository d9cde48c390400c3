//! What is worth telling an operator as it happens: `igmpctl events`, the log.

use std::fmt;
use std::net::Ipv4Addr;

use super::{AclRef, IfIndex};

/// Something that happened on an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Where.
    pub interface: IfIndex,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A group got its first member here.
    Joined {
        /// The group.
        group: Ipv4Addr,
        /// Who reported it.
        host: Ipv4Addr,
    },
    /// A group lost its last member here.
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
        /// What was decided, and why.
        decision: LeaveDecision,
    },
    /// A group was joined upstream (RFC 4605 section 4.1).
    UpstreamJoined {
        /// The group.
        group: Ipv4Addr,
    },
    /// A group was left upstream.
    UpstreamLeft {
        /// The group.
        group: Ipv4Addr,
    },
    /// A message came from a source that is neither in the interface's subnets nor in `alt_subnets`, and would be accepted
    /// if it were. One for each message: how often that is told is up to who tells it.
    SourceRefused {
        /// Its source.
        source: Ipv4Addr,
    },
    /// The querier of the link is another one.
    QuerierChanged {
        /// Its address.
        querier: Ipv4Addr,
        /// True when it is this router.
        is_self: bool,
    },
    /// A limit has been reached, or is four fifths used.
    HighWater {
        /// Which limit, as its configuration key.
        limit: &'static str,
        /// Entries in use.
        used: usize,
        /// Entries allowed.
        allowed: usize,
    },
}

/// What a Leave brings about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaveDecision {
    /// The entry is deleted at once.
    Prompt(PromptCause),
    /// The last member procedure runs.
    Query(QueryCause),
    /// Nothing: no such member, another querier, an older host present.
    Ignored(IgnoreCause),
}

/// Why an entry is deleted at once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PromptCause {
    /// Prompt-leave without a policy.
    NoPolicy,
    /// A rule permits it.
    PermitRule(u32),
}

/// Why hosts are asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum QueryCause {
    /// No prompt-leave on this interface.
    NotConfigured,
    /// An IGMPv3 leave, and prompt-leave is for IGMPv2.
    Version3,
    /// A rule denies it.
    DenyRule(u32),
    /// No rule matches.
    NoMatch,
    /// The list has no rules.
    AclEmpty(AclRef),
    /// There is no such list.
    AclMissing(AclRef),
    /// Other known hosts still want the group (tracked).
    OtherHosts(usize),
    /// Not yet one Group Membership Interval of listening (tracked).
    StillLearning,
    /// The entry is static.
    Static,
}

/// Why a Leave is ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IgnoreCause {
    /// Nobody is a member.
    NoMember,
    /// Another router is the querier (RFC 2236 section 3).
    NotQuerier,
    /// An IGMPv1 host is a member (RFC 9776 section 7.3.2).
    OlderHost,
}

impl fmt::Display for AclRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "acl {number}"),
            Self::Name(name) => write!(f, "acl {name}"),
        }
    }
}

impl fmt::Display for LeaveDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prompt(cause) => write!(f, "prompt ({cause})"),
            Self::Query(cause) => write!(f, "query ({cause})"),
            Self::Ignored(cause) => write!(f, "ignored ({cause})"),
        }
    }
}

impl fmt::Display for PromptCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => write!(f, "no policy"),
            Self::PermitRule(rule) => write!(f, "permit rule {rule}"),
        }
    }
}

impl fmt::Display for QueryCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => write!(f, "no prompt-leave"),
            Self::Version3 => write!(f, "version 3 leave"),
            Self::DenyRule(rule) => write!(f, "deny rule {rule}"),
            Self::NoMatch => write!(f, "no match"),
            Self::AclEmpty(acl) => write!(f, "{acl} empty"),
            Self::AclMissing(acl) => write!(f, "{acl} missing"),
            Self::OtherHosts(hosts) => write!(f, "{hosts} other hosts"),
            Self::StillLearning => write!(f, "still learning hosts"),
            Self::Static => write!(f, "static group"),
        }
    }
}

impl fmt::Display for IgnoreCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMember => "no member",
            Self::NotQuerier => "not the querier",
            Self::OlderHost => "version 1 host present",
        })
    }
}
