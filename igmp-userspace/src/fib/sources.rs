//! The incoming-interface rule as prefixes: which sources may send through which interface.
//!
//! A longest-prefix match decides, so the rule is data: an interface's own subnets and `alt_subnets` are accepted, other
//! interfaces' subnets are refused there even under an accepted `0.0.0.0/0`, impossible sources always are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use igmp_common::maps::{SOURCE_ACCEPTED, SOURCE_ANYWHERE, SOURCE_MARTIAN, SOURCE_WRONG_INTERFACE};
use ipnet::Ipv4Net;

use crate::proto::IfIndex;

/// Sources of `network` arriving on `interface`, which is `SOURCE_ANYWHERE` for what holds where no other prefix does.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SourcePrefix {
    /// Incoming interface.
    pub interface: IfIndex,
    /// Source prefix, without host bits.
    pub network: Ipv4Net,
}

/// What the rule needs to know about one interface.
#[derive(Clone, Debug)]
pub struct InterfaceSources {
    /// Which one.
    pub interface: IfIndex,
    /// Its addresses with prefix lengths.
    pub addresses: Vec<Ipv4Net>,
    /// Further accepted sources.
    pub alt_subnets: Vec<Ipv4Net>,
}

/// No host has such an address (what Linux refuses in `ip_mc_validate_source` and as martian sources).
const IMPOSSIBLE: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

/// Says of a source what it is wherever it comes in, unless its incoming interface has something to say of it.
const ANYWHERE: IfIndex = IfIndex(SOURCE_ANYWHERE);

/// All prefixes of `interfaces` with their `SOURCE_*` class. `own` are all addresses of this host.
///
/// A source that the prefixes of its interface do not contain is refused; those of `SOURCE_ANYWHERE` then say why. So an
/// interface needs refusals only within what it accepts, and the table grows with the interfaces and not with their
/// square.
#[must_use]
pub fn prefixes(interfaces: &[InterfaceSources], own: &[Ipv4Addr]) -> BTreeMap<SourcePrefix, u32> {
    let mut prefixes = BTreeMap::new();
    let subnets = || {
        let addresses = |interface: &InterfaceSources| {
            let index = interface.interface;
            let addresses = interface.addresses.clone();
            addresses.into_iter().map(move |address| (index, address))
        };
        interfaces.iter().flat_map(addresses)
    };
    let martians = || {
        let impossible = IMPOSSIBLE.iter().map(|&(address, len)| net(address, len));
        impossible.chain(own.iter().map(|&address| net(address, 32)))
    };
    let mut put = |interface, network: Ipv4Net, class| {
        let network = network.trunc();
        prefixes.insert(SourcePrefix { interface, network }, class);
    };
    // From weak to strong: where two say something of the same prefix, the later one holds.
    for incoming in interfaces {
        let index = incoming.interface;
        let accepted = || incoming.addresses.iter().chain(&incoming.alt_subnets);
        let is_within = |network: &Ipv4Net| accepted().any(|wide| wide.contains(network));
        for (other, network) in subnets() {
            if other != index && is_within(&network) {
                put(index, network, SOURCE_WRONG_INTERFACE);
            }
        }
        for network in accepted() {
            put(index, *network, SOURCE_ACCEPTED);
        }
        for network in martians().filter(is_within) {
            put(index, network, SOURCE_MARTIAN);
        }
    }
    for (_, network) in subnets() {
        put(ANYWHERE, network, SOURCE_WRONG_INTERFACE);
    }
    for network in martians() {
        put(ANYWHERE, network, SOURCE_MARTIAN);
    }
    prefixes
}

fn net(address: Ipv4Addr, prefix_len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(address, prefix_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(prefixes: &BTreeMap<SourcePrefix, u32>, interface: u32, source: &str) -> Option<u32> {
        let source: Ipv4Addr = source.parse().unwrap();
        let longest = |interface: u32| {
            prefixes
                .iter()
                .filter(|(p, _)| p.interface.0 == interface && p.network.contains(&source))
                .max_by_key(|(p, _)| p.network.prefix_len())
                .map(|(_, class)| *class)
        };
        longest(interface).or_else(|| longest(SOURCE_ANYWHERE))
    }

    fn interface(index: u32, addresses: &[&str], alt_subnets: &[&str]) -> InterfaceSources {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        InterfaceSources {
            interface: IfIndex(index),
            addresses: nets(addresses),
            alt_subnets: nets(alt_subnets),
        }
    }

    #[test]
    fn own_subnets_and_alt_subnets_are_accepted_and_nothing_else() {
        let wan = interface(1, &["10.0.0.1/24"], &["172.31.0.0/16"]);
        let lan = interface(2, &["10.1.0.1/24"], &[]);
        let table = prefixes(&[wan, lan], &[]);
        assert_eq!(lookup(&table, 1, "10.0.0.9"), Some(SOURCE_ACCEPTED));
        assert_eq!(lookup(&table, 1, "10.0.0.255"), Some(SOURCE_ACCEPTED));
        assert_eq!(lookup(&table, 1, "172.31.0.9"), Some(SOURCE_ACCEPTED));
        assert_eq!(lookup(&table, 1, "192.0.2.1"), None);
        assert_eq!(lookup(&table, 2, "172.31.0.9"), None);
        assert_eq!(lookup(&table, 3, "10.0.0.9"), Some(SOURCE_WRONG_INTERFACE));
    }

    #[test]
    fn the_table_grows_with_the_interfaces_and_not_with_their_square() {
        let addresses: Vec<String> = (0..200).map(|n| format!("10.{n}.0.1/24")).collect();
        let interfaces: Vec<_> = (1..)
            .zip(&addresses)
            .map(|(index, address)| interface(index, &[address], &[]))
            .collect();
        let own: Vec<Ipv4Addr> = interfaces.iter().map(|i| i.addresses[0].addr()).collect();
        let table = prefixes(&interfaces, &own);
        // Its subnet and its address for each interface, and both again for where they do not belong.
        assert_eq!(table.len(), 4 * 200 + IMPOSSIBLE.len());
        assert_eq!(lookup(&table, 7, "10.6.0.9"), Some(SOURCE_ACCEPTED));
        assert_eq!(lookup(&table, 7, "10.5.0.9"), Some(SOURCE_WRONG_INTERFACE));
        assert_eq!(lookup(&table, 7, "10.5.0.1"), Some(SOURCE_MARTIAN));
        assert_eq!(lookup(&table, 7, "10.6.0.1"), Some(SOURCE_MARTIAN));
        assert_eq!(lookup(&table, 7, "192.0.2.1"), None);
    }

    #[test]
    fn an_open_upstream_still_refuses_our_own_subnets_addresses_and_impossible_sources() {
        let wan = interface(1, &["10.0.0.1/24"], &["0.0.0.0/0"]);
        let lan = interface(2, &["10.1.0.1/24"], &[]);
        let own = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 1, 0, 1)];
        let table = prefixes(&[wan, lan], &own);
        assert_eq!(lookup(&table, 1, "192.0.2.1"), Some(SOURCE_ACCEPTED));
        assert_eq!(lookup(&table, 1, "10.1.0.9"), Some(SOURCE_WRONG_INTERFACE));
        for source in [
            "0.0.0.0",
            "127.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "10.0.0.1",
            "10.1.0.1",
        ] {
            assert_eq!(lookup(&table, 1, source), Some(SOURCE_MARTIAN), "{source}");
        }
    }

    #[test]
    fn an_explicit_alt_subnet_beats_another_interfaces_subnet() {
        let wan = interface(1, &["10.0.0.1/24"], &["10.1.0.0/24"]);
        let lan = interface(2, &["10.1.0.1/24"], &[]);
        let table = prefixes(&[wan, lan], &[]);
        assert_eq!(lookup(&table, 1, "10.1.0.9"), Some(SOURCE_ACCEPTED));
    }
}
