//! What igmpd and igmpctl say to each other over the control socket.
//!
//! One JSON value a line each way: a [`Request`] up, a [`Response`] down, as many pairs as the client likes. Anything
//! that speaks JSON is a client:
//!
//! ```text
//! $ echo '{"command":"show flows"}' | socat - UNIX-CONNECT:/run/igmpd/control.sock
//! {"flows":[{"source":null,"group":"239.1.1.1", ...}]}
//! ```
//!
//! `events` is the one request that is answered without end: a line an [`Event`], until the client hangs up.
//!
//! Stable: a field is never renamed nor given another meaning; new ones may be added, so readers ignore those they do
//! not know. Requests are strict instead: what a request asks for is done or refused, never passed over.

mod acl;
mod backup;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::config::{Change, Role};
use crate::proto;
pub use acl::{Acl, AclRule, Action};
pub use backup::{Backup, Direction};
pub use event::{Event, EventKind, LeaveDecision};

/// A question to igmpd.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", deny_unknown_fields)]
pub enum Request {
    /// Every configured interface.
    #[serde(rename = "show interfaces")]
    ShowInterfaces {},
    /// Who is a member of what.
    #[serde(rename = "show groups")]
    ShowGroups {
        /// Only those on this interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// Only this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Ipv4Addr>,
        /// With the hosts that are known to be members.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hosts: bool,
    },
    /// What the kernel replicates, and where to.
    #[serde(rename = "show flows")]
    ShowFlows {
        /// Only flows of this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Ipv4Addr>,
    },
    /// The groups joined upstream.
    #[serde(rename = "show upstream")]
    ShowUpstream {},
    /// Every counter, the ones at zero too.
    #[serde(rename = "show counters")]
    ShowCounters {
        /// Only those of this interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
    },
    /// The gateways that serve the same hosts.
    #[serde(rename = "show backup")]
    ShowBackup {},
    /// Gives this gateway a role in a remote backup profile.
    #[serde(rename = "backup set-role")]
    SetBackupRole {
        /// The profile.
        profile: String,
        /// The role.
        role: crate::backup::Role,
    },
    /// Blocks copies, or lets them through again.
    #[serde(rename = "backup block")]
    BlockBackup {
        /// The profile.
        profile: String,
        /// Which copies.
        direction: Direction,
        /// False: no longer.
        blocked: bool,
    },
    /// The access lists, what their rules have matched, and who names them.
    #[serde(rename = "show acl")]
    ShowAcl {},
    /// The configuration in force.
    #[serde(rename = "show config")]
    ShowConfig {},
    /// Reads the configuration file again and follows what has changed. A file that is not good changes nothing.
    #[serde(rename = "reload")]
    Reload {
        /// Only say what would change.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
    /// Forgets everything learnt and learns it again, as a new process would.
    #[serde(rename = "restart")]
    Restart {},
    /// Forgets who is a member of what, and asks.
    #[serde(rename = "clear groups")]
    ClearGroups {
        /// Only on this interface.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// Only of this group.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<Ipv4Addr>,
    },
    /// What happens from now on, until the client hangs up. It cannot ask anything else on this connection.
    #[serde(rename = "events")]
    Events {},
}

/// The answer to the [`Request`] of the same name, or why there is none.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::ShowInterfaces`], in the order of the configuration.
    Interfaces(Vec<Interface>),
    /// To [`Request::ShowGroups`], ordered by interface and group.
    Groups(Vec<Group>),
    /// To [`Request::ShowFlows`], ordered by group and source.
    Flows(Vec<Flow>),
    /// To [`Request::ShowUpstream`].
    Upstream(Vec<UpstreamGroup>),
    /// To [`Request::ShowCounters`].
    Counters(Vec<Counter>),
    /// To [`Request::ShowBackup`], in the order of the configuration.
    Backup(Vec<Backup>),
    /// To [`Request::ShowAcl`], in the order of the configuration; lists that are named but missing come last.
    Acl(Vec<Acl>),
    /// To [`Request::ShowConfig`]: one object, with the keys of the configuration file.
    Config(Vec<toml::Table>),
    /// To [`Request::Reload`].
    Reload(Reload),
    /// One of many to [`Request::Events`].
    Event(Event),
    /// It is done: one line for a person.
    Done(String),
    /// The request was not carried out: one line for a person.
    Error(String),
}

/// One configured interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interface {
    /// The kernel's name for it.
    pub name: String,
    /// The kernel's number for it; null while the interface is absent.
    pub ifindex: Option<u32>,
    /// What it is configured for.
    pub role: Role,
    /// Whether it can do that now.
    pub state: InterfaceState,
    /// Its primary IPv4 address, which queries come from.
    pub address: Option<Ipv4Addr>,
    /// How its packets are handled.
    pub datapath: Datapath,
    /// Why so, in words.
    pub datapath_reason: String,
    /// The IGMP version spoken there: 1, 2 or 3. Upstream that of the querier, if it speaks an older one.
    pub igmp_version: u8,
    /// The elected querier of the link; upstream the one heard last; null while there is none.
    pub querier: Option<Ipv4Addr>,
    /// True when that is us.
    pub querier_is_self: bool,
    /// Groups with at least one member there; upstream those joined.
    pub groups: usize,
    /// Counters of this interface by name.
    pub counters: BTreeMap<String, u64>,
}

/// Whether an interface can do its work.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceState {
    /// Up, with an address.
    Ready,
    /// There, but not up.
    Down,
    /// Up, but without an IPv4 address.
    NoAddress,
    /// The kernel has no interface of this name.
    Absent,
}

/// How the packets of an interface are handled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datapath {
    /// By nothing of ours.
    None,
    /// By XDP in the driver; what that leaves undone by TC.
    XdpNative,
    /// By XDP on socket buffers, which leaves replicating to TC.
    XdpGeneric,
    /// By TC alone.
    Tc,
}

/// The reception state of one group on one interface (RFC 9776 section 6.2).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Group {
    /// The interface's name.
    pub interface: String,
    /// The group.
    pub group: Ipv4Addr,
    /// INCLUDE: only `sources`. EXCLUDE: all but the `sources` whose timer is zero.
    pub filter_mode: FilterMode,
    /// Version of the oldest host present: 1, 2 or 3 (RFC 9776 section 7.3.2).
    pub compatibility: u8,
    /// What is left of the group timer, in milliseconds; zero in INCLUDE mode.
    pub timer_ms: u64,
    /// Source records.
    pub sources: Vec<Source>,
    /// Who sent the last report.
    pub last_reporter: Option<Ipv4Addr>,
    /// Time since the group got its first member, in milliseconds.
    pub uptime_ms: u64,
    /// True when the configuration holds it, not a host.
    #[serde(rename = "static")]
    pub is_static: bool,
    /// The hosts known to be members, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<Host>>,
}

/// A host known to be a member of a [`Group`], because its reports were heard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Host {
    /// Its address; 0.0.0.0 stands for all hosts that have none yet.
    pub address: Ipv4Addr,
    /// What it reported last. INCLUDE: some sources; EXCLUDE: all, but perhaps for some.
    pub filter_mode: FilterMode,
    /// Time since it last reported the group, in milliseconds.
    pub last_heard_ms: u64,
}

/// One source record of a [`Group`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Source {
    /// The source.
    pub address: Ipv4Addr,
    /// What is left of the source timer, in milliseconds; zero for a source that is not forwarded.
    pub timer_ms: u64,
}

/// INCLUDE or EXCLUDE (RFC 9776 section 3.1).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterMode {
    /// Only the listed sources.
    Include,
    /// All but the listed sources.
    Exclude,
}

impl From<proto::FilterMode> for FilterMode {
    fn from(mode: proto::FilterMode) -> Self {
        match mode {
            proto::FilterMode::Include => Self::Include,
            proto::FilterMode::Exclude => Self::Exclude,
        }
    }
}

/// One group joined on the upstream interface (RFC 4605 section 4.1). A group that is not there is in the Non-Member
/// state (RFC 2236 section 6).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UpstreamGroup {
    /// The upstream interface's name.
    pub interface: String,
    /// The group.
    pub group: Ipv4Addr,
    /// Whether a report is to be sent.
    pub state: MemberState,
    /// INCLUDE: only `sources` are asked for. EXCLUDE: all but them.
    pub filter_mode: FilterMode,
    /// The sources.
    pub sources: Vec<Ipv4Addr>,
}

/// RFC 2236 section 6.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Delaying Member: a report is to be sent, repeated or in answer to a query.
    Delaying,
    /// Idle Member.
    Idle,
}

/// One entry of the kernel's flow table, seen from one incoming interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Flow {
    /// The source; null is any source that has no entry of its own.
    pub source: Option<Ipv4Addr>,
    /// The group.
    pub group: Ipv4Addr,
    /// The interface it comes in on; null when it may be any that accepts the source.
    pub upstream: Option<String>,
    /// The interfaces that get a copy, by name.
    pub outputs: Vec<String>,
    /// What replicates it.
    pub path: Path,
    /// Why that does, in words.
    pub path_reason: String,
    /// Packets forwarded, counted once whatever the number of copies.
    pub packets: u64,
    /// Their bytes, from the IPv4 header on.
    pub bytes: u64,
    /// The replication set: flows with the same outputs share one. Null for a flow that goes nowhere.
    pub set: Option<u32>,
}

/// What replicates a flow.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// The XDP program, where packets come in through one.
    Xdp,
    /// The TC program.
    Tc,
}

/// One counter.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Counter {
    /// The interface it counts on; null for one of the whole daemon.
    pub interface: Option<String>,
    /// Its name, which says why.
    pub name: String,
    /// How often since start.
    pub value: u64,
    /// What it means, in a sentence.
    pub description: String,
}

impl Counter {
    /// Whether it is a number of something now, and not a count since the start.
    #[must_use]
    pub fn is_gauge(&self) -> bool {
        GAUGES.contains(&self.name.as_str())
    }
}

/// Names of counters that say how many there are now.
const GAUGES: [&str; 4] = [
    "flows",
    "flows_refused_now",
    "replication_sets",
    "replication_sets_spare",
];

/// What a reload changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reload {
    /// The configuration file.
    pub file: String,
    /// False when it was a dry run: nothing has changed.
    pub applied: bool,
    /// The differences, in the order of the file.
    pub changes: Vec<Change>,
    /// What is odd about the new configuration, a line each.
    pub warnings: Vec<String>,
}
