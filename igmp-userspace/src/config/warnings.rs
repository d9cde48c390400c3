//! What is allowed to be written, and hardly ever meant: policies that name a list which is not there, or is empty.

use std::collections::BTreeMap;

use super::{Config, acl, acl_uses::Use};

impl Config {
    /// One line a mistake that is none to the syntax; each says what follows from it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        // The same list in the same place on many interfaces is one mistake.
        let mut mistakes: BTreeMap<(Use, String, &str), Vec<&str>> = BTreeMap::new();
        for (interface, usage, reference) in self.acl_uses() {
            let what = match acl::find(&self.policy.acls, reference) {
                None => "does not exist",
                Some(acl) if acl.rules.is_empty() => "has no rules",
                Some(_) => continue,
            };
            mistakes
                .entry((usage, reference.to_string(), what))
                .or_default()
                .push(interface);
        }
        let line = |((usage, acl, what), interfaces): ((Use, String, &str), Vec<&str>)| {
            let consequence = match usage {
                Use::PromptLeave => "every Leave there follows the last member procedure",
                Use::GroupPolicy => "hosts there may join nothing",
                Use::ReportSources => "no host's reports are accepted there",
                Use::QuerySources => "no other querier is accepted there",
            };
            format!(
                "{} of {}: {acl} {what}; {consequence}",
                usage.name(),
                interfaces.join(", ")
            )
        };
        mistakes.into_iter().map(line).collect()
    }
}
