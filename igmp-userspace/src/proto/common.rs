//! What all interfaces share: the policy, and how much of its limits is used.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::acl::AccessLists;
use super::limits::HighWater;
use super::policy::Policy;

#[derive(Debug, Default)]
pub(super) struct Common {
    /// Without its access lists: they are in `lists`.
    pub(super) policy: Policy,
    pub(super) lists: AccessLists,
    /// Memberships of all interfaces.
    pub(super) groups: usize,
    pub(super) groups_water: HighWater,
    /// Sources of all interfaces.
    pub(super) sources: usize,
    pub(super) sources_water: HighWater,
}

impl Common {
    pub(super) fn replace_policy(&mut self, mut policy: Policy) {
        self.lists.replace(std::mem::take(&mut policy.acls));
        self.policy = policy;
    }

    pub(super) fn is_untracked(&self, group: Ipv4Addr) -> bool {
        any_contains(&self.policy.untracked_groups, group)
    }

    /// In the SSM address range (RFC 4607 section 1, RFC 4604 section 1).
    pub(super) fn is_source_specific(&self, group: Ipv4Addr) -> bool {
        any_contains(&self.policy.ssm_ranges, group)
    }

    /// The sources that an IGMPv1 or IGMPv2 host is taken to mean by a source-specific group.
    pub(super) fn mapped_sources(&self, group: Ipv4Addr) -> Option<&[Ipv4Addr]> {
        let mut mapping = self.policy.ssm_mapping.iter();
        let (_, sources) = mapping.find(|(groups, _)| groups.contains(&group))?;
        Some(sources)
            .filter(|sources| !sources.is_empty())
            .map(Vec::as_slice)
    }
}

fn any_contains(ranges: &[Ipv4Net], group: Ipv4Addr) -> bool {
    ranges.iter().any(|range| range.contains(&group))
}
