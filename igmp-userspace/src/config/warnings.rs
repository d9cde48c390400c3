//! What is allowed to be written, and hardly ever meant. Each line says what follows from it.

use std::collections::BTreeMap;

use super::{Config, InterfaceConfig, ProxyConfig, Role, acl, acl_uses::Use};

impl Config {
    /// One line a mistake that is none to the syntax; each says what follows from it.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.lists_of_no_use();
        warnings.extend(self.proxy_without_upstream());
        warnings.extend(self.static_groups_not_joined());
        warnings.extend(self.any_source_downstream());
        warnings.extend(self.vlans_without_subnets());
        warnings
    }

    /// Policies that name a list which is not there, or is empty.
    fn lists_of_no_use(&self) -> Vec<String> {
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

    /// Keys about leaving upstream, where there is none. What `show config` prints of their defaults is no mistake.
    fn proxy_without_upstream(&self) -> Option<String> {
        let defaults = ProxyConfig::default();
        let quick_leave = self.proxy.quick_leave != defaults.quick_leave;
        let leave_linger = self.proxy.leave_linger != defaults.leave_linger;
        let keys: Vec<_> = [(quick_leave, "quick_leave"), (leave_linger, "leave_linger")]
            .into_iter()
            .filter_map(|(is_set, key)| is_set.then_some(key))
            .collect();
        if keys.is_empty() || self.with_role(Role::Upstream).next().is_some() {
            return None;
        }
        Some(format!(
            "proxy.{}: no interface is upstream; nothing is joined there, so nothing is left",
            keys.join(", proxy.")
        ))
    }

    /// Groups that the configuration wants downstream, and that it keeps the upstream from joining: all of them.
    fn static_groups_not_joined(&self) -> Option<String> {
        let upstream = self.with_role(Role::Upstream).next()?;
        let filter = &upstream.policy.group_filter;
        let mut groups = self
            .with_role(Role::Downstream)
            .flat_map(|interface| &interface.policy.static_groups)
            .peekable();
        groups.peek()?;
        if groups.any(|(group, _)| filter.serves(*group)) {
            return None;
        }
        let key = if filter.whitelist.is_empty() {
            "blacklist"
        } else {
            "whitelist"
        };
        Some(format!(
            "{key} of {}: no static group is served there; what is sent to them upstream reaches nobody",
            upstream.name
        ))
    }

    /// Interfaces where nothing tells a host from one that pretends to be another.
    fn any_source_downstream(&self) -> Option<String> {
        let names: Vec<_> = self
            .with_role(Role::Downstream)
            .filter(|interface| {
                interface
                    .alt_subnets
                    .iter()
                    .any(|net| net.prefix_len() == 0)
            })
            .map(|interface| &*interface.name)
            .collect();
        if names.is_empty() {
            return None;
        }
        Some(format!(
            "alt_subnets of {}: 0.0.0.0/0; hosts there may report, and send to any group, under every source address",
            names.join(", ")
        ))
    }

    /// VLANs that have no device, and so no subnet of their own.
    fn vlans_without_subnets(&self) -> Option<String> {
        let used = self
            .interfaces
            .iter()
            .filter(|interface| interface.is_used());
        let names: Vec<_> = used
            .filter(|interface| interface.vlan.is_some() && interface.alt_subnets.is_empty())
            .map(|interface| &*interface.name)
            .collect();
        if names.is_empty() {
            return None;
        }
        Some(format!(
            "vlan of {}: no alt_subnets; no source is accepted there, and of hosts only those that report from 0.0.0.0",
            names.join(", ")
        ))
    }

    fn with_role(&self, role: Role) -> impl Iterator<Item = &InterfaceConfig> {
        let interfaces = self.interfaces.iter();
        interfaces.filter(move |interface| interface.role == role)
    }
}
