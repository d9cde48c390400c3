//! What should be installed: from the reception state of each interface to the flows of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::proto::{FilterMode, IfIndex};

/// Output interfaces of a flow, ascending and without repetition.
pub type Outputs = Vec<IfIndex>;

/// What one interface wants of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// The interface.
    pub interface: IfIndex,
    /// INCLUDE or EXCLUDE.
    pub mode: FilterMode,
    /// Sources forwarded (INCLUDE) or blocked (EXCLUDE), ascending.
    pub sources: Vec<Ipv4Addr>,
}

impl Member {
    fn wants(&self, source: Ipv4Addr) -> bool {
        let listed = self.sources.binary_search(&source).is_ok();
        match self.mode {
            FilterMode::Include => listed,
            FilterMode::Exclude => !listed,
        }
    }
}

/// The flows of a group with these `members`, which come in ascending order of interface: (*,G) under `None`, and an
/// (S,G) for each source whose outputs differ from it. A source that nobody wants of a group that others want from
/// anyone gets a flow without outputs.
#[must_use]
pub fn flows(members: &[Member]) -> BTreeMap<Option<Ipv4Addr>, Outputs> {
    let outputs = |wanted: &dyn Fn(&Member) -> bool| -> Outputs {
        let wanting = members.iter().filter(|member| wanted(member));
        wanting.map(|member| member.interface).collect()
    };
    let any_source = outputs(&|member| member.mode == FilterMode::Exclude);
    let listed: BTreeSet<Ipv4Addr> = members
        .iter()
        .flat_map(|member| member.sources.iter().copied())
        .collect();
    let mut flows = BTreeMap::new();
    for source in listed {
        let outputs = outputs(&|member| member.wants(source));
        if outputs != any_source {
            flows.insert(Some(source), outputs);
        }
    }
    if !any_source.is_empty() {
        flows.insert(None, any_source);
    }
    flows
}

/// Outputs of packets from downstream: the members and the upstream, members or not (RFC 4605 section 4.2).
#[must_use]
pub fn with_upstream(outputs: &Outputs, upstream: IfIndex) -> Outputs {
    let mut outputs = outputs.clone();
    if let Err(at) = outputs.binary_search(&upstream) {
        outputs.insert(at, upstream);
    }
    outputs
}

/// Outputs of packets from the upstream: the members, never the upstream itself.
#[must_use]
pub fn without(outputs: &Outputs, upstream: IfIndex) -> Outputs {
    let others = outputs.iter().filter(|output| **output != upstream);
    others.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const T: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn include(interface: u32, sources: &[Ipv4Addr]) -> Member {
        member(interface, FilterMode::Include, sources)
    }

    fn exclude(interface: u32, sources: &[Ipv4Addr]) -> Member {
        member(interface, FilterMode::Exclude, sources)
    }

    fn member(interface: u32, mode: FilterMode, sources: &[Ipv4Addr]) -> Member {
        Member {
            interface: IfIndex(interface),
            mode,
            sources: sources.to_vec(),
        }
    }

    fn check(members: &[Member], expected: &[(Option<Ipv4Addr>, &[u32])]) {
        let expected: BTreeMap<_, Outputs> = expected
            .iter()
            .map(|(source, outputs)| (*source, outputs.iter().map(|i| IfIndex(*i)).collect()))
            .collect();
        assert_eq!(flows(members), expected);
    }

    #[test]
    fn any_source_members_share_one_flow() {
        check(&[], &[]);
        check(&[exclude(2, &[]), exclude(3, &[])], &[(None, &[2, 3])]);
    }

    #[test]
    fn an_excluded_source_gets_a_flow_without_the_interface() {
        check(
            &[exclude(2, &[S]), exclude(3, &[])],
            &[(None, &[2, 3]), (Some(S), &[3])],
        );
        check(&[exclude(2, &[S])], &[(None, &[2]), (Some(S), &[])]);
    }

    #[test]
    fn included_sources_have_flows_and_nothing_else_does() {
        check(&[include(2, &[S])], &[(Some(S), &[2])]);
        check(
            &[include(2, &[S, T]), include(3, &[T])],
            &[(Some(S), &[2]), (Some(T), &[2, 3])],
        );
        check(&[include(2, &[])], &[]);
    }

    #[test]
    fn include_and_exclude_mix_by_interface() {
        check(
            &[include(2, &[S]), exclude(3, &[T])],
            &[(None, &[3]), (Some(S), &[2, 3]), (Some(T), &[])],
        );
    }

    #[test]
    fn upstream_joins_the_outputs_in_their_order_once() {
        let up = IfIndex(5);
        assert_eq!(with_upstream(&vec![], up), [up]);
        assert_eq!(
            with_upstream(&vec![IfIndex(3), IfIndex(9)], up),
            [IfIndex(3), up, IfIndex(9)]
        );
        assert_eq!(with_upstream(&vec![up], up), [up]);
    }
}
