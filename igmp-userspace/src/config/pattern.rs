//! Interface names with wildcards, as shells write them, and the devices that they stand for.

use super::InterfaceConfig;
use super::error::Problem;

/// What makes a name a pattern.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Whether `name` stands for any number of devices.
#[must_use]
pub fn is_pattern(name: &str) -> bool {
    name.contains(WILDCARDS)
}

/// The interfaces that `rules` stand for, given the `devices` there are: each name as it is, each pattern as the devices
/// that match it, in the order of the rules. A name wins over every pattern, an earlier pattern over a later one.
///
/// What the rules do not name or match is left out, and so is what is disabled.
#[must_use]
pub fn expand(rules: &[InterfaceConfig], devices: &[&str]) -> Vec<InterfaceConfig> {
    let mut interfaces = Vec::new();
    for rule in rules.iter().filter(|rule| rule.is_used()) {
        if !is_pattern(&rule.name) {
            interfaces.push(rule.clone());
            continue;
        }
        let matching = devices.iter().filter(|device| {
            rules_for(rules, device)
                .next()
                .is_some_and(|first| first.name == rule.name)
        });
        interfaces.extend(matching.map(|device| InterfaceConfig {
            name: (*device).to_owned(),
            pattern: Some(rule.name.clone()),
            ..rule.clone()
        }));
    }
    interfaces
}

/// The rules that name or match `device`, the one that counts first.
pub fn rules_for<'a>(
    rules: &'a [InterfaceConfig],
    device: &str,
) -> impl Iterator<Item = &'a InterfaceConfig> {
    let named = rules.iter().filter(move |rule| rule.name == device);
    let matching = rules
        .iter()
        .filter(move |rule| rule.name != device && matches(&rule.name, device));
    named.chain(matching)
}

/// Whether `name` matches `pattern`: `*` is any characters, `?` one, `[a-c]` one of those, `[!a-c]` one but those.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return name.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    let mut others = name.chars();
    let next = others.next();
    match first {
        '*' => matches(rest, name) || (next.is_some() && matches(pattern, others.as_str())),
        '?' => next.is_some() && matches(rest, others.as_str()),
        '[' => match (class(rest), next) {
            (Some((class, rest)), Some(next)) => {
                is_in(class, next) && matches(rest, others.as_str())
            }
            _ => false,
        },
        _ => next == Some(first) && matches(rest, others.as_str()),
    }
}

/// Refuses a pattern that no device can match.
pub(super) fn check(pattern: &str) -> Result<(), Problem> {
    let mut rest = pattern;
    while let Some(start) = rest.find('[') {
        let Some((_, after)) = class(&rest[start + 1..]) else {
            return Err(Problem::new(
                format!("\"{pattern}\" has a [ without ]"),
                "close it, such as \"veth[0-9]*\"",
            ));
        };
        rest = after;
    }
    if pattern.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        return Err(Problem::new(
            format!("\"{pattern}\" matches no interface name"),
            "use names that `ip link` shows, with *, ? and [0-9]",
        ));
    }
    Ok(())
}

/// What is between the brackets, and what follows them; `text` begins after the first. A `]` that comes first is one of
/// the class.
fn class(text: &str) -> Option<(&str, &str)> {
    let first = usize::from(text.starts_with('!'));
    let skipped = first + usize::from(text[first..].starts_with(']'));
    let end = skipped + text[skipped..].find(']')?;
    Some((&text[..end], &text[end + 1..]))
}

fn is_in(class: &str, character: char) -> bool {
    let (is_negated, class) = match class.strip_prefix('!') {
        Some(class) => (true, class),
        None => (false, class),
    };
    let characters: Vec<char> = class.chars().collect();
    let mut rest = characters.as_slice();
    let mut is_listed = false;
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        let mut last = first;
        if let ['-', end, ..] = *others {
            last = end;
            rest = &others[2..];
        }
        is_listed |= (first..=last).contains(&character);
    }
    is_listed != is_negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, matching, others) in [
            (
                "veth*",
                &["veth", "veth0", "veth12ab"][..],
                &["vet", "xveth0", ""][..],
            ),
            ("*", &["", "lo", "eth0.100"], &[]),
            ("*.100", &["eth0.100", ".100"], &["eth0.1001", "eth0"]),
            ("eth?", &["eth0", "ethx"], &["eth", "eth10"]),
            (
                "eth[02-4]",
                &["eth0", "eth2", "eth3", "eth4"],
                &["eth1", "eth5", "eth", "eth-"],
            ),
            (
                "eth[!02-4]",
                &["eth1", "eth5", "ethx"],
                &["eth0", "eth3", "eth"],
            ),
            ("a[]x]b", &["a]b", "axb"], &["ab", "a[b"]),
            ("a[b-]", &["ab", "a-"], &["aa"]),
            ("c*i*", &["cali1", "ci"], &["cal"]),
        ] {
            for name in matching {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in others {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    fn config(interfaces: &[(&str, &str)]) -> Config {
        let text: String = interfaces
            .iter()
            .map(|(name, role)| format!("[[interface]]\nname = \"{name}\"\nrole = \"{role}\"\n"))
            .collect::<Vec<_>>()
            .concat();
        parse(&text, "f.toml").unwrap()
    }

    /// Name and pattern of what is used.
    fn expanded(interfaces: &[(&str, &str)], devices: &[&str]) -> Vec<(String, Option<String>)> {
        let interfaces = expand(&config(interfaces).interfaces, devices);
        let view = |interface: InterfaceConfig| (interface.name, interface.pattern);
        interfaces.into_iter().map(view).collect()
    }

    fn pair(name: &str, pattern: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), pattern.map(str::to_owned))
    }

    #[test]
    fn a_name_is_used_without_a_device_and_a_pattern_only_with_devices() {
        let rules = [
            ("wan0", "upstream"),
            ("veth*", "downstream"),
            ("eth1", "downstream"),
        ];
        assert_eq!(
            expanded(&rules, &["lo"]),
            [pair("wan0", None), pair("eth1", None)]
        );
        assert_eq!(
            expanded(&rules, &["lo", "veth1", "veth2", "wan0"]),
            [
                pair("wan0", None),
                pair("veth1", Some("veth*")),
                pair("veth2", Some("veth*")),
                pair("eth1", None)
            ]
        );
    }

    #[test]
    fn names_win_over_patterns_and_earlier_patterns_over_later_ones() {
        let rules = [
            ("v*", "downstream"),
            ("veth*", "downstream"),
            ("veth0", "upstream"),
            ("veth1", "disabled"),
        ];
        assert_eq!(
            expanded(&rules, &["veth0", "veth1", "veth2", "eth0"]),
            [pair("veth2", Some("v*")), pair("veth0", None)]
        );
        let rules = config(&rules).interfaces;
        let names: Vec<&str> = rules_for(&rules, "veth2").map(|rule| &*rule.name).collect();
        assert_eq!(names, ["v*", "veth*"]);
        let names: Vec<&str> = rules_for(&rules, "veth1").map(|rule| &*rule.name).collect();
        assert_eq!(names, ["veth1", "v*", "veth*"]);
    }

    #[test]
    fn a_disabled_pattern_keeps_later_ones_away() {
        let rules = [("veth9*", "disabled"), ("veth*", "downstream")];
        assert_eq!(
            expanded(&rules, &["veth1", "veth9", "veth91"]),
            [pair("veth1", Some("veth*"))]
        );
    }
}
