//! The IGMP router, sans I/O: no socket, no clock, no map.
//!
//! State changes only through [`Router::handle_input`] and [`Router::handle_timeout`]; effects only through
//! [`Router::poll_output`]; the caller sleeps until [`Router::poll_timeout`]. After each call that changes state the
//! caller drains the outputs to `None`.

mod acl;
mod admission;
mod adoption;
mod clear;
mod common;
mod compat;
mod counters;
mod enforce;
mod event;
mod group;
mod group_filter;
mod group_state;
mod interface;
mod leave;
mod limits;
mod membership;
mod params;
mod policy;
pub mod proxy;
mod querier;
mod quick_leave;
mod random;
mod reception;
mod router;
mod screening;
mod sources;
mod specific_query;
mod standby;
mod time;
mod timers;
mod tracking;
pub mod upstream;
mod upstream_admission;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod scale_tests;
#[cfg(test)]
mod scenario_tests;
#[cfg(test)]
mod sim;

pub use acl::AclHits;
pub use counters::{Counter, Counters};
pub use event::{Event, EventKind, IgnoreCause, LeaveDecision, PromptCause, QueryCause};
pub use group::Group;
pub use group_filter::GroupFilter;
pub use group_state::GroupState;
pub use interface::{Interface, Querier};
pub use params::InterfaceParams;
pub use policy::{Acl, AclRef, Action, InterfacePolicy, Policy, PromptLeave, Rule};
pub use reception::{Reception, Source};
pub use router::Router;
pub use time::Instant;
pub use tracking::Host;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::wire;

/// Kernel interface index. A device that is deleted and created again comes back with another one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IfIndex(pub u32);

/// INCLUDE or EXCLUDE (RFC 9776 section 3.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FilterMode {
    /// Only the listed sources.
    Include,
    /// All but the listed sources.
    Exclude,
}

/// What happened in the world.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "inputs are handed over one at a time, never stored"
)]
pub enum Input {
    /// A downstream interface is up and has an address; sent again when anything of it changes.
    /// The first one starts the querier (startup queries at once); a later one keeps the memberships.
    InterfaceReady {
        /// Which one.
        interface: IfIndex,
        /// Timers and versions.
        params: InterfaceParams,
        /// Its addresses with prefix lengths, primary first; never empty. Queries come from the first.
        addresses: Vec<Ipv4Net>,
        /// Hosts accepted beyond `addresses` (`alt_subnets`).
        alt_subnets: Vec<Ipv4Net>,
        /// What is allowed there. A changed one applies at once to what is there already, but evicts nobody for a
        /// lower limit.
        policy: InterfacePolicy,
    },
    /// A downstream interface went down, lost its address or was deleted: its state is cleared. Whether it is on standby
    /// is remembered.
    InterfaceGone {
        /// Which one.
        interface: IfIndex,
    },
    /// An IGMP packet came in on `interface`, as `wire` judged it.
    Received {
        /// The interface the packet came in on.
        interface: IfIndex,
        /// The message, or why it is not one.
        packet: Result<wire::Received, wire::Error>,
    },
    /// The router before this one forwarded `group` onto the link. Taken for a report that has just come, from nobody in
    /// particular.
    Adopt {
        /// Which link; nothing happens when it is not ready.
        interface: IfIndex,
        /// Which group.
        group: Ipv4Addr,
        /// INCLUDE or EXCLUDE.
        filter_mode: FilterMode,
        /// The sources that were forwarded (INCLUDE) or blocked (EXCLUDE).
        sources: Vec<Ipv4Addr>,
    },
    /// Another gateway serves the hosts of `interface`, and this one is its backup; or no longer. Said before the
    /// interface is ready too, it holds until the contrary is said, whatever becomes of the interface meanwhile: one that
    /// comes back comes back silent.
    ///
    /// On standby the router sends nothing. It is fed the messages that the other gateway accepted
    /// ([`Output::Accepted`]), and does to the memberships what the querier does: they stay equal, leaves included.
    /// [`Interface::forwards`] is true: the flows are there, and whether they carry anything is up to the caller.
    /// When standby ends, the router is the querier at once. So two gateways that were both in charge for a while, and
    /// elected one of them, are set right by standby and back.
    Standby {
        /// Which one.
        interface: IfIndex,
        /// From now on, or no longer.
        standby: bool,
    },
    /// What another gateway knows of a group is what is known of it here from now on. Only a standby interface takes it:
    /// a querier has its hosts to believe.
    Restore {
        /// Which interface.
        interface: IfIndex,
        /// The group; timers from now.
        state: GroupState,
    },
    /// The other gateway knows of these groups and no others: what hosts brought about of any other is forgotten, what is
    /// static stays. Only on a standby interface.
    Retain {
        /// Which interface.
        interface: IfIndex,
        /// The groups it has exported.
        groups: BTreeSet<Ipv4Addr>,
    },
    /// What holds for all interfaces is this from now on, also for what is there already; before the first one it is
    /// [`Policy::default`].
    Policy(Policy),
    /// Forget what was learnt of these groups and ask for it again; static groups stay.
    Clear {
        /// Only on this interface.
        interface: Option<IfIndex>,
        /// Only this group.
        group: Option<Ipv4Addr>,
    },
    /// Forget everything learnt, who the querier is too, and begin as if every interface had just become ready.
    Restart,
    /// Messages were lost between the kernel and us: ask again on every interface so that state heals.
    MessagesLost,
}

/// What the world must do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send `message` out of `interface` (TTL 1, TOS 0xc0 and Router Alert are `wire`'s business).
    Transmit {
        /// Where to.
        interface: IfIndex,
        /// IPv4 source.
        source: Ipv4Addr,
        /// IPv4 destination, from which the link-layer address follows.
        destination: Ipv4Addr,
        /// The message.
        message: wire::Repr,
    },
    /// The reception state of `group` on `interface` has changed, or whether this router forwards there: recompute its
    /// flows.
    MembershipChanged {
        /// Where.
        interface: IfIndex,
        /// Which group.
        group: Ipv4Addr,
    },
    /// Something of the message handed in last was acted upon: it is a report or a leave that passed admission, policy
    /// and limits, and about a group that somebody wants or wants now. It comes behind everything else that the message
    /// brought about; who wants to know which message it was drains the outputs after each.
    ///
    /// Only with [`InterfacePolicy::tell_accepted`], and never on a standby interface: what came from the other gateway
    /// must not go back to it.
    Accepted {
        /// Where it came in.
        interface: IfIndex,
    },
    /// Something to tell.
    Event(Event),
}
