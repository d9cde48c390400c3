//! Which policies name which access lists.

use super::{Config, Role};
use crate::proto::AclRef;

/// What a policy uses a list for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Use {
    /// `prompt_leave.group_policy`.
    PromptLeave,
    /// `group_policy`.
    GroupPolicy,
    /// `source_policy.reports`.
    ReportSources,
    /// `source_policy.queries`.
    QuerySources,
}

impl Use {
    /// The key, as it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PromptLeave => "prompt_leave.group_policy",
            Self::GroupPolicy => "group_policy",
            Self::ReportSources => "source_policy.reports",
            Self::QuerySources => "source_policy.queries",
        }
    }
}

impl Config {
    /// Every reference to a list, by downstream interface in the order of the configuration: interface, key, list. A list that is
    /// named need not exist.
    pub fn acl_uses(&self) -> impl Iterator<Item = (&str, Use, &AclRef)> {
        let downstream = self
            .interfaces
            .iter()
            .filter(|interface| interface.role == Role::Downstream);
        downstream.flat_map(|interface| {
            let policy = &interface.policy;
            let prompt_leave = policy.prompt_leave.as_ref();
            [
                (
                    Use::PromptLeave,
                    prompt_leave.and_then(|prompt| prompt.group_policy.as_ref()),
                ),
                (Use::GroupPolicy, policy.group_policy.as_ref()),
                (Use::ReportSources, policy.report_sources.as_ref()),
                (Use::QuerySources, policy.query_sources.as_ref()),
            ]
            .into_iter()
            .filter_map(|(usage, acl)| Some((interface.name.as_str(), usage, acl?)))
        })
    }
}
