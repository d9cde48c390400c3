//! Another multicast router on this host, which forwards what we forward.

use std::fs;

use tracing::warn;

use crate::config::pattern::rules_for;
use crate::config::{Config, InterfaceConfig};

/// The interfaces of the kernel's multicast router, which smcroute, pimd, igmpproxy and others drive.
const INTERFACES: &str = "/proc/net/ip_mr_vif";

/// Warns of interfaces that are served twice: receivers get everything twice where XDP passes a packet on.
pub fn warn_if_active(config: &Config) {
    // Without CONFIG_IP_MROUTE there is no such router.
    let text = fs::read_to_string(INTERFACES).unwrap_or_default();
    let rules = config.interface_rules();
    let is_ours = |name: &&str| {
        rules_for(&rules, name)
            .next()
            .is_some_and(InterfaceConfig::is_used)
    };
    let shared: Vec<&str> = interfaces(&text).filter(is_ours).collect();
    if !shared.is_empty() {
        warn!(
            "another multicast router runs on {}; receivers may get packets twice: stop it (smcrouted, pimd, pimd of FRR, \
             igmpproxy), or take the interfaces away from it",
            shared.join(", ")
        );
    }
}

/// The names in a table that has a header and a row an interface: index, name, counters.
fn interfaces(table: &str) -> impl Iterator<Item = &str> {
    let rows = table.lines().skip(1);
    rows.filter_map(|row| row.split_whitespace().nth(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_as_the_kernel_writes_them() {
        // ipmr_vif_seq_show of net/ipv4/ipmr.c
        let table = "Interface      BytesIn  PktsIn  BytesOut PktsOut Flags Local    Remote\n \
                     0 wan0              0       0         0       0 00000 0100000A 00000000\n \
                     1 lan0            120       2       240       4 00000 0100010A 00000000\n";
        assert_eq!(interfaces(table).collect::<Vec<_>>(), ["wan0", "lan0"]);
        let empty = table.lines().next().unwrap();
        assert_eq!(interfaces(empty).count(), 0);
        assert_eq!(interfaces("").count(), 0);
    }
}
