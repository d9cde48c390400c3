//! What an operator allows: access lists, prompt-leave, limits, static groups, source-specific multicast.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::GroupFilter;

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Yes.
    Permit,
    /// No.
    Deny,
}

/// One rule of an access list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its number, ascending within a list; what decisions and hit counts name.
    pub sequence: u32,
    /// What it does.
    pub action: Action,
    /// Groups it matches; `None` = any.
    pub group: Option<Ipv4Net>,
    /// Sources it matches; `None` = any. Only in advanced and named lists.
    pub source: Option<Ipv4Net>,
}

/// An access list; the first rule that matches decides.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acl {
    /// 2000-2999 basic (group), 3000-3999 advanced (group and source).
    pub number: Option<u16>,
    /// Name; a list has a number, a name or both.
    pub name: Option<String>,
    /// Rules in ascending order of sequence.
    pub rules: Vec<Rule>,
}

/// How a policy names an access list. The list need not exist.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum AclRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(String),
}

/// Prompt-leave on an interface: a Leave ends the group at once, without a query.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PromptLeave {
    /// Groups it is for: permit = prompt; deny, no match, list missing or empty = the last member procedure. `None` = all.
    pub group_policy: Option<AclRef>,
    /// Also for the leave of an IGMPv3 host, TO_IN({}).
    pub v3: bool,
    /// Only when the last known host leaves, and not within one Group Membership Interval of starting to listen.
    pub tracked: bool,
}

/// What is allowed on one interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfacePolicy {
    /// Prompt-leave; `None` = the last member procedure for every group.
    pub prompt_leave: Option<PromptLeave>,
    /// Groups (and sources) that hosts may join; a list that is missing or empty denies all. `None` = all.
    pub group_policy: Option<AclRef>,
    /// Groups that are served here at all (`whitelist`, `blacklist`): no host joins another one, and none is static. On
    /// the upstream, those that are joined there.
    pub group_filter: GroupFilter,
    /// Hosts whose reports and leaves are accepted, matched as `source`; `None` = the interface's own subnets,
    /// `alt_subnets` and 0.0.0.0.
    pub report_sources: Option<AclRef>,
    /// Routers whose queries are accepted, matched as `source`; `None` = the interface's own subnets.
    pub query_sources: Option<AclRef>,
    /// Refuse messages without Router Alert (RFC 2113).
    pub require_router_alert: bool,
    /// Groups at most, static ones included.
    pub max_groups: usize,
    /// Sources of all groups together at most.
    pub max_sources: usize,
    /// Groups that are always members here, from one source or from any. Those that are untracked, or that
    /// `group_filter` leaves out, are not.
    pub static_groups: Vec<(Ipv4Addr, Option<Ipv4Addr>)>,
    /// Forward here also while another router is the querier (RFC 4605 section 4.2 says not to).
    pub forward_as_non_querier: bool,
    /// Tell which messages of hosts were accepted ([`Output::Accepted`](super::Output::Accepted)): for a copy to another
    /// gateway.
    pub tell_accepted: bool,
}

impl Default for InterfacePolicy {
    fn default() -> Self {
        Self {
            prompt_leave: None,
            group_policy: None,
            group_filter: GroupFilter::default(),
            report_sources: None,
            query_sources: None,
            require_router_alert: false,
            max_groups: 65_536,
            max_sources: 131_072,
            static_groups: Vec::new(),
            forward_as_non_querier: false,
            tell_accepted: false,
        }
    }
}

/// What holds for all interfaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The access lists.
    pub acls: Vec<Acl>,
    /// Groups that are source-specific (RFC 4607): any-source reports for them are refused, unless mapped.
    pub ssm_ranges: Vec<Ipv4Net>,
    /// Sources that an IGMPv1 or IGMPv2 report for a group of the range stands for, first match.
    pub ssm_mapping: Vec<(Ipv4Net, Vec<Ipv4Addr>)>,
    /// Groups that are never tracked nor forwarded.
    pub untracked_groups: Vec<Ipv4Net>,
    /// When the last known member of a group leaves, the group counts as abandoned while its last member procedure runs
    /// ([`Group::is_abandoned`](super::Group::is_abandoned)). Hosts are tracked for it. For a proxy: quick leave.
    ///
    /// Unlike [`PromptLeave::tracked`] it does not wait until every member can be known: when one that was not known
    /// answers, the group is wanted again, and a wrong guess costs no more than joining it again.
    pub quick_leave: bool,
    /// Memberships (group and interface) of all interfaces together at most.
    pub max_groups: usize,
    /// Sources of all interfaces together at most.
    pub max_sources: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            acls: Vec::new(),
            ssm_ranges: vec![Ipv4Net::new_assert(Ipv4Addr::new(232, 0, 0, 0), 8)],
            ssm_mapping: Vec::new(),
            untracked_groups: vec![Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24)],
            quick_leave: false,
            max_groups: 1_048_576,
            max_sources: 1_048_576,
        }
    }
}
