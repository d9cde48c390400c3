//! Group filters as prefixes: which groups are forwarded from an interface, and which go to the upstream without a flow.
//!
//! Flows need no such prefixes on their way out: a filter refuses memberships, and the upstream's is applied where flows
//! are made.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use igmp_common::maps::{GROUP_REFUSED, GROUP_SERVED, TOWARDS_UPSTREAM};
use ipnet::Ipv4Net;

use super::Upstream;
use crate::proto::{GroupFilter, IfIndex};

/// Groups of `network` that come in on `interface`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GroupPrefix {
    /// Incoming interface; [`TOWARDS_UPSTREAM`] for packets from any downstream interface that have no flow.
    pub interface: IfIndex,
    /// Group prefix, without host bits.
    pub network: Ipv4Net,
}

/// Never forwarded by any router (RFC 5771 section 4): the kernel program does not ask for these.
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// Whether [`prefixes`] has any for packets that go to `upstream` without a flow.
#[must_use]
pub fn restricts(upstream: &Upstream) -> bool {
    !upstream.filter.is_open() || untracked(upstream).next().is_some()
}

/// The prefixes of all filters with their `GROUP_*` class. `ports` are the interfaces with their filters; those that are
/// open have no prefixes, the others say something of every group.
#[must_use]
pub fn prefixes(
    ports: &[(IfIndex, &GroupFilter)],
    upstream: Option<&Upstream>,
) -> BTreeMap<GroupPrefix, u32> {
    let mut prefixes = BTreeMap::new();
    for (interface, filter) in ports {
        if !filter.is_open() {
            put_filter(&mut prefixes, *interface, filter);
        }
    }
    if let Some(upstream) = upstream.filter(|upstream| restricts(upstream)) {
        let interface = IfIndex(TOWARDS_UPSTREAM);
        put_filter(&mut prefixes, interface, &upstream.filter);
        for network in untracked(upstream) {
            // Whatever the filter says of a part of it.
            prefixes.retain(|prefix, _| {
                prefix.interface != interface || !network.contains(&prefix.network)
            });
            let network = network.trunc();
            prefixes.insert(GroupPrefix { interface, network }, GROUP_REFUSED);
        }
    }
    prefixes
}

fn put_filter(prefixes: &mut BTreeMap<GroupPrefix, u32>, interface: IfIndex, filter: &GroupFilter) {
    let mut put = |network: &Ipv4Net, class| {
        let network = network.trunc();
        prefixes.insert(GroupPrefix { interface, network }, class);
    };
    // From weak to strong: a filter may name all groups itself.
    let otherwise = if filter.whitelist.is_empty() {
        GROUP_SERVED
    } else {
        GROUP_REFUSED
    };
    put(&Ipv4Net::default(), otherwise);
    for network in &filter.whitelist {
        put(network, GROUP_SERVED);
    }
    for network in &filter.blacklist {
        put(network, GROUP_REFUSED);
    }
}

fn untracked(upstream: &Upstream) -> impl Iterator<Item = &Ipv4Net> {
    let networks = upstream.untracked.iter();
    networks.filter(|network| !LINK_LOCAL.contains(*network))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY_GROUP: [&str; 8] = [
        "224.0.1.1",
        "232.1.1.1",
        "239.0.0.1",
        "239.1.0.0",
        "239.1.2.3",
        "239.1.9.9",
        "239.255.1.1",
        "239.255.255.250",
    ];

    fn nets(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn filter(whitelist: &[&str], blacklist: &[&str]) -> GroupFilter {
        GroupFilter {
            whitelist: nets(whitelist),
            blacklist: nets(blacklist),
        }
    }

    fn upstream(filter: GroupFilter, untracked: &[&str]) -> Upstream {
        Upstream {
            interface: IfIndex(9),
            filter,
            untracked: nets(untracked),
        }
    }

    /// What the kernel's longest-prefix match finds.
    fn lookup(table: &BTreeMap<GroupPrefix, u32>, interface: u32, group: &str) -> Option<u32> {
        let group: Ipv4Addr = group.parse().unwrap();
        let matching = (table.iter())
            .filter(|(p, _)| p.interface.0 == interface && p.network.contains(&group));
        let longest = matching.max_by_key(|(p, _)| p.network.prefix_len());
        longest.map(|(_, class)| *class)
    }

    #[test]
    fn open_filters_have_no_prefixes() {
        let open = GroupFilter::default();
        let up = upstream(open.clone(), &["224.0.0.0/24"]);
        assert!(!restricts(&up));
        assert!(prefixes(&[(IfIndex(2), &open)], Some(&up)).is_empty());
    }

    #[test]
    fn the_table_says_of_every_group_what_the_filter_says() {
        for filter in [
            filter(&["239.1.0.0/16"], &[]),
            filter(&[], &["239.1.0.0/16"]),
            filter(&["239.0.0.0/8", "239.1.2.3/32"], &["239.1.0.0/16"]),
            filter(&["0.0.0.0/0"], &["239.0.0.0/8"]),
            filter(&["239.1.0.0/16"], &["224.0.0.0/4"]),
        ] {
            let table = prefixes(
                &[(IfIndex(2), &filter)],
                Some(&upstream(filter.clone(), &[])),
            );
            for group in ANY_GROUP {
                let class = if filter.serves(group.parse().unwrap()) {
                    GROUP_SERVED
                } else {
                    GROUP_REFUSED
                };
                assert_eq!(lookup(&table, 2, group), Some(class), "{filter:?} {group}");
                let towards = lookup(&table, TOWARDS_UPSTREAM, group);
                assert_eq!(towards, Some(class), "{filter:?} {group}");
                assert_eq!(lookup(&table, 3, group), None);
            }
        }
    }

    #[test]
    fn untracked_groups_do_not_go_upstream_whatever_the_filter_says() {
        let whitelist = filter(&["239.0.0.0/8", "239.255.1.1/32"], &[]);
        for filter in [GroupFilter::default(), whitelist] {
            let up = upstream(filter, &["224.0.0.0/24", "239.255.0.0/16"]);
            assert!(restricts(&up));
            let table = prefixes(&[(IfIndex(2), &up.filter)], Some(&up));
            for refused in ["239.255.1.1", "239.255.255.250"] {
                let class = lookup(&table, TOWARDS_UPSTREAM, refused);
                assert_eq!(class, Some(GROUP_REFUSED), "{refused}");
            }
            let class = lookup(&table, TOWARDS_UPSTREAM, "239.1.1.1");
            assert_eq!(class, Some(GROUP_SERVED));
            // Which groups are tracked is no concern of the port's own filter.
            assert_ne!(lookup(&table, 2, "239.255.1.1"), Some(GROUP_REFUSED));
        }
    }
}
