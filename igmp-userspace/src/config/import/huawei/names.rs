//! Names of interfaces there -> names that Linux takes: at most 15 bytes and no slash.

use std::collections::BTreeSet;

use crate::config::interface::check_name;

/// What a name there begins with, and what stands for it here. Longer ones first where one begins another.
const TYPES: [(&str, &str); 20] = [
    ("100ge", "100ge"),
    ("200ge", "200ge"),
    ("400ge", "400ge"),
    ("10ge", "10ge"),
    ("25ge", "25ge"),
    ("40ge", "40ge"),
    ("50ge", "50ge"),
    ("xgigabitethernet", "xge"),
    ("gigabitethernet", "ge"),
    ("multige", "mge"),
    ("ethernet", "eth"),
    ("eth-trunk", "trunk"),
    ("vlanif", "vlan"),
    ("vbdif", "bd"),
    ("virtual-ethernet", "ve"),
    ("virtual-template", "vt"),
    ("global-ve", "gve"),
    ("loopback", "loop"),
    ("tunnel", "tun"),
    ("pos", "pos"),
];

/// Gives each interface a name of its own.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// A name for `title`: the same letters and numbers where possible, so that it is recognised.
    pub(super) fn name(&mut self, title: &str) -> String {
        let lower = title.to_ascii_lowercase();
        let known = TYPES
            .iter()
            .find_map(|(long, short)| Some((*short, lower.strip_prefix(long)?)));
        let (kind, number) = known.unwrap_or(("", &lower));
        let number: String = number
            .trim()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let recognisable = format!("{kind}{number}");
        let numbered = (1..).map(|n| format!("port{n}"));
        let name = std::iter::once(recognisable)
            .chain(numbered)
            .find(|name| check_name(name).is_ok() && !self.taken.contains(name))
            .unwrap_or_default();
        self.taken.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_recognised() {
        let mut names = Names::default();
        for (there, here) in [
            ("GigabitEthernet0/1/0", "ge0-1-0"),
            ("GigabitEthernet 0/2/1.4094", "ge0-2-1.4094"),
            ("XGigabitEthernet0/0/1", "xge0-0-1"),
            ("10GE1/0/1", "10ge1-0-1"),
            ("Eth-Trunk3.4001", "trunk3.4001"),
            ("Ethernet0/0/1", "eth0-0-1"),
            ("Vlanif100", "vlan100"),
            ("Serial1/0/0", "serial1-0-0"),
        ] {
            assert_eq!(names.name(there), here);
        }
    }

    #[test]
    fn a_name_that_linux_refuses_or_that_is_taken_becomes_a_number() {
        let mut names = Names::default();
        assert_eq!(names.name("GigabitEthernet10/100/10.4094"), "port1");
        assert_eq!(names.name("Vlanif7"), "vlan7");
        assert_eq!(names.name("vlanif 7"), "port2");
        assert_eq!(names.name(""), "port3");
    }
}
