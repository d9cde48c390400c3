//! igmpproxy's ordered filter -> ours, in which the order has no meaning.
//!
//! There the *last* entry that matches a group decides, here the *longest*. Two prefixes are nested or apart, so both say
//! the same unless an entry stands before a shorter one of the other list that contains it: that entry decides nothing
//! there, and is left out here.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::config::address::ALL_GROUPS;
use crate::proto::GroupFilter;

/// Which list an entry is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum List {
    White,
    Black,
}

impl List {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::White => "whitelist",
            Self::Black => "blacklist",
        }
    }
}

/// Entries as they stand in the file, taken over.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct TakenOver {
    /// Serves exactly the groups that the entries did.
    pub(super) filter: GroupFilter,
    /// Entries that decide about no group: which, and which later one does instead, if any.
    pub(super) without_effect: Vec<(usize, Option<usize>)>,
    /// There is a whitelist and every group in it is blacklisted again, so nothing is served.
    pub(super) serves_nothing: bool,
}

/// Takes `entries` over, which are in the order of the file.
pub(super) fn take_over(entries: &[(List, Ipv4Net)]) -> TakenOver {
    let mut taken = TakenOver::default();
    for (index, &(list, network)) in entries.iter().enumerate() {
        let Some(network) = groups_of(network) else {
            taken.without_effect.push((index, None));
            continue;
        };
        let decider = (index + 1..entries.len()).rev().find(|&later| {
            groups_of(entries[later].1).is_some_and(|containing| containing.contains(&network))
        });
        if let Some(later) = decider
            && entries[later].0 != list
        {
            taken.without_effect.push((index, Some(later)));
            continue;
        }
        let kept = match list {
            List::White => &mut taken.filter.whitelist,
            List::Black => &mut taken.filter.blacklist,
        };
        if !kept.contains(&network) {
            kept.push(network);
        }
    }
    // A whitelist refuses whatever it does not name, also when nothing is left of it.
    if taken.filter.whitelist.is_empty() && entries.iter().any(|(list, _)| *list == List::White) {
        taken.filter.blacklist = vec![ALL_GROUPS];
        taken.serves_nothing = true;
    }
    taken
}

/// The groups in `network`.
fn groups_of(network: Ipv4Net) -> Option<Ipv4Net> {
    if network.contains(&ALL_GROUPS) {
        return Some(ALL_GROUPS);
    }
    ALL_GROUPS.contains(&network).then_some(network)
}

/// Reads `a.b.c.d/n` or `a.b.c.d`, and says whether there were bits behind the prefix: igmpproxy compares those too, so
/// that such an entry matches nothing.
pub(super) fn parse_network(text: &str) -> Option<(Ipv4Net, bool)> {
    let network = match text.parse::<Ipv4Addr>() {
        Ok(address) => Ipv4Net::from(address),
        Err(_) => text.parse().ok()?,
    };
    Some((network.trunc(), network != network.trunc()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    /// igmpproxy.conf(5): entries are evaluated from first to last, the last that matches decides; a group that none
    /// matches is served unless there is a whitelist.
    fn served_there(entries: &[(List, Ipv4Net)], group: Ipv4Addr) -> bool {
        let mut matching = entries
            .iter()
            .filter(|(_, network)| network.contains(&group));
        match matching.next_back() {
            Some((list, _)) => *list == List::White,
            None => entries.iter().all(|(list, _)| *list == List::Black),
        }
    }

    fn networks() -> impl Strategy<Value = Ipv4Net> {
        // Few different bits, so that prefixes nest, and lengths around the edge of what is multicast.
        (
            0..64_u32,
            prop_oneof![0..8_u8, Just(8), Just(16), 29..=32_u8],
        )
            .prop_map(|(bits, length)| {
                let address =
                    0xe000_0000 | (bits & 0b11) | (bits & 0b1100) << 14 | (bits & 0b11_0000) << 20;
                Ipv4Net::new(address.into(), length).unwrap().trunc()
            })
    }

    proptest! {
        #[test]
        fn every_group_is_served_as_before(
            entries in prop::collection::vec((prop_oneof![Just(List::White), Just(List::Black)], networks()), 0..8),
        ) {
            let taken = take_over(&entries);
            let edges = entries.iter().flat_map(|(_, network)| [network.network(), network.broadcast()]);
            let beside = edges.flat_map(|edge| {
                let edge = u32::from(edge);
                [edge.wrapping_sub(1), edge, edge.wrapping_add(1)].map(Ipv4Addr::from)
            });
            for group in beside.chain([Ipv4Addr::new(238, 238, 238, 238)]).filter(Ipv4Addr::is_multicast) {
                prop_assert_eq!(taken.filter.serves(group), served_there(&entries, group), "{}", group);
            }
            // What the configuration demands besides.
            let GroupFilter { whitelist, blacklist } = &taken.filter;
            let all: Vec<_> = whitelist.iter().chain(blacklist).collect();
            for (index, entry) in all.iter().enumerate() {
                prop_assert!(ALL_GROUPS.contains(*entry) && !all[..index].contains(entry));
            }
        }
    }

    #[test]
    fn an_exception_after_the_rule_needs_nothing() {
        let entries = [
            (List::White, net("239.0.0.0/8")),
            (List::Black, net("239.9.0.0/16")),
            (List::White, net("239.9.9.9/32")),
        ];
        let taken = take_over(&entries);
        assert_eq!(taken.without_effect, []);
        assert_eq!(
            taken.filter,
            GroupFilter {
                whitelist: vec![entries[0].1, entries[2].1],
                blacklist: vec![entries[1].1],
            }
        );
    }

    #[test]
    fn an_exception_before_the_rule_is_none() {
        let entries = [
            (List::Black, net("239.9.0.0/16")),
            (List::White, net("239.0.0.0/8")),
        ];
        let taken = take_over(&entries);
        assert_eq!(taken.without_effect, [(0, Some(1))]);
        assert_eq!(taken.filter.blacklist, []);
        assert!(taken.filter.serves("239.9.1.1".parse().unwrap()));
    }

    #[test]
    fn a_whitelist_that_is_blacklisted_again_serves_nothing() {
        let entries = [
            (List::White, net("239.1.0.0/16")),
            (List::Black, net("239.0.0.0/8")),
        ];
        let taken = take_over(&entries);
        assert!(taken.serves_nothing);
        assert!(!taken.filter.serves("232.1.1.1".parse().unwrap()));
    }

    #[test]
    fn an_entry_outside_multicast_matches_nothing() {
        let entries = [(List::Black, net("192.0.2.0/24"))];
        let taken = take_over(&entries);
        assert_eq!(taken.without_effect, [(0, None)]);
        assert!(taken.filter.is_open());
    }

    #[test]
    fn a_network_may_lack_its_length_or_have_bits_behind_it() {
        assert_eq!(
            parse_network("239.1.1.1"),
            Some((net("239.1.1.1/32"), false))
        );
        assert_eq!(
            parse_network("239.1.1.1/16"),
            Some((net("239.1.0.0/16"), true))
        );
        assert_eq!(parse_network("239.1.1.1/33"), None);
        assert_eq!(parse_network("banana"), None);
    }
}
