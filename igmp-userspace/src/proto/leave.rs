//! What a Leave brings about: the entry goes at once, the last member procedure runs, or nothing.

use std::net::Ipv4Addr;

use super::acl::{Question, Verdict};
use super::group::Group;
use super::interface::{Context, Interface};
use super::{Counter, EventKind, IgnoreCause, LeaveDecision, PromptCause, QueryCause};
use crate::wire::Version;

impl Interface {
    /// A Leave, or the TO_IN({}) of an IGMPv3 host, which is what it means (RFC 9776 section 7.3.2).
    pub(super) fn leave(
        &mut self,
        cx: &mut Context<'_>,
        host: Ipv4Addr,
        version: Version,
        group: Ipv4Addr,
    ) -> LeaveDecision {
        if version == Version::V3 && self.members(group).is_none() {
            return LeaveDecision::Ignored(IgnoreCause::NoMember); // it says what was so anyway: no leave
        }
        let decision = self.decide(cx, host, version, group);
        let is_nothing = decision == LeaveDecision::Ignored(IgnoreCause::NoMember);
        if let Some(state) = self.groups.get_mut(&group).filter(|_| !is_nothing) {
            let before = state.hosts.len();
            state.hosts.left(host);
            self.host_count = self.host_count - before + state.hosts.len();
        }
        self.counters.count(match decision {
            LeaveDecision::Prompt(_) => Counter::LeavePrompt,
            LeaveDecision::Query(_) => Counter::LeaveQueried,
            LeaveDecision::Ignored(_) => Counter::LeaveIgnored,
        });
        cx.event(EventKind::Leave {
            group,
            host,
            decision: decision.clone(),
        });
        if let LeaveDecision::Prompt(_) = decision {
            self.forget_members(cx, group);
        }
        decision
    }

    /// The group, if a host is a member of it.
    fn members(&self, group: Ipv4Addr) -> Option<&Group> {
        self.groups.get(&group).filter(|state| !state.is_empty())
    }

    fn decide(
        &mut self,
        cx: &mut Context<'_>,
        host: Ipv4Addr,
        version: Version,
        group: Ipv4Addr,
    ) -> LeaveDecision {
        if !self.acts_as_querier() {
            self.counters.count(Counter::NotQuerier);
            return LeaveDecision::Ignored(IgnoreCause::NotQuerier);
        }
        // RFC 4604 section 2.2: a Leave says nothing of a source-specific group, unless it is mapped.
        if version < Version::V3
            && cx.common.is_source_specific(group)
            && cx.common.mapped_sources(group).is_none()
        {
            self.counters.count(Counter::AnySource);
            return LeaveDecision::Ignored(IgnoreCause::NoMember);
        }
        let Some(state) = self.members(group) else {
            return LeaveDecision::Ignored(IgnoreCause::NoMember);
        };
        if state.compatibility() == Version::V1 {
            self.counters.count(Counter::OlderHostPresent);
            return LeaveDecision::Ignored(IgnoreCause::OlderHost);
        }
        match self.prompt(cx, host, version, group, state) {
            Ok(cause) => LeaveDecision::Prompt(cause),
            Err(cause) => LeaveDecision::Query(cause),
        }
    }

    /// `docs/policy.md` has this as a table.
    fn prompt(
        &self,
        cx: &mut Context<'_>,
        host: Ipv4Addr,
        version: Version,
        group: Ipv4Addr,
        state: &Group,
    ) -> Result<PromptCause, QueryCause> {
        if state.is_static() {
            return Err(QueryCause::Static);
        }
        let Some(prompt_leave) = &self.policy.prompt_leave else {
            return Err(QueryCause::NotConfigured);
        };
        if version == Version::V3 && !prompt_leave.v3 {
            return Err(QueryCause::Version3);
        }
        let cause = match &prompt_leave.group_policy {
            None => PromptCause::NoPolicy,
            Some(acl) => match cx.common.lists.judge(acl, Question::any_source(group)) {
                Verdict::Permit { rule } => PromptCause::PermitRule(rule),
                Verdict::Deny { rule } => return Err(QueryCause::DenyRule(rule)),
                Verdict::NoMatch => return Err(QueryCause::NoMatch),
                Verdict::Empty => return Err(QueryCause::AclEmpty(acl.clone())),
                Verdict::Missing => return Err(QueryCause::AclMissing(acl.clone())),
            },
        };
        if prompt_leave.tracked {
            let interval = self.params.group_membership_interval();
            if cx.now < self.hosts_known_at {
                return Err(QueryCause::StillLearning);
            }
            let others = state.hosts.others(host, cx.now, interval);
            if others > 0 {
                return Err(QueryCause::OtherHosts(others));
            }
        }
        Ok(cause)
    }
}

#[cfg(test)]
mod tests;
