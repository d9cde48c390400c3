//! What igmpproxy knows of an interface. VyOS runs igmpproxy too, so both formats end here.

use super::At;
use super::document::{Document, texts};
use super::group_filter::{List, TakenOver, parse_network, take_over};
use crate::config::address::parse_source_network;
use crate::config::interface::check_name;
use crate::config::{Problem, Role};
use crate::proto::GroupFilter;

/// One interface as the file describes it.
#[derive(Debug)]
pub(super) struct Phyint {
    pub(super) name: At<String>,
    pub(super) role: Role,
    /// Nothing in the file says the role.
    pub(super) is_role_default: bool,
    pub(super) alt_subnets: Vec<At<String>>,
    /// Whitelist and blacklist, in the order of the file.
    pub(super) groups: Vec<(List, At<String>)>,
    pub(super) threshold: Option<At<String>>,
    /// Statements that have no counterpart, and why.
    pub(super) unmatched: Vec<At<String>>,
}

impl Phyint {
    pub(super) fn new(name: At<String>, default_role: Role) -> Self {
        Self {
            name,
            role: default_role,
            is_role_default: true,
            alt_subnets: Vec::new(),
            groups: Vec::new(),
            threshold: None,
            unmatched: Vec::new(),
        }
    }

    pub(super) fn set_role(&mut self, role: Role) {
        self.role = role;
        self.is_role_default = false;
    }
}

/// `[proxy]`, which both formats have the same two settings for.
pub(super) fn write_proxy(out: &mut Document, quick_leave: bool, disabled: Option<usize>) {
    out.section("[proxy]", None);
    out.key("quick_leave", quick_leave);
    if let Some(line) = disabled {
        out.noted_key("disabled", true, &format!("line {line}"));
    }
}

/// Writes the interfaces. `defaultdown` is where the file makes everything it does not name downstream.
///
/// # Errors
///
/// None of them is downstream.
pub(super) fn write(
    out: &mut Document,
    phyints: &[Phyint],
    defaultdown: Option<usize>,
) -> Result<(), Problem> {
    let mut written: Vec<&str> = Vec::new();
    let mut upstream: Option<&str> = None;
    let mut downstream: Option<&At<String>> = None;
    for phyint in phyints {
        let At { line, value: name } = &phyint.name;
        if let Err(problem) = check_name(name) {
            out.gap();
            // igmpproxy wants every alias of a device listed; here a device is one interface with all its addresses.
            let what = if name.contains(':') {
                "an alias is part of its device here, whose role it has".into()
            } else {
                problem.to_string()
            };
            out.warn(*line, format!("interface {name} is left out: {what}"));
            continue;
        }
        if written.contains(&&**name) {
            out.gap();
            out.warn(
                *line,
                format!("{name} is given again; as there, the first counts and this is left out"),
            );
            continue;
        }
        written.push(name);
        out.section("[[interface]]", *line);
        out.key("name", name.as_str());
        let mut role = phyint.role;
        if let (Role::Upstream, Some(first)) = (role, upstream) {
            role = Role::Disabled;
            out.warn(
                *line,
                format!(
                    "{name} is a second upstream, and there can be one (RFC 4605 section 4): it is disabled, and sources \
                     behind it are not reached; {first} is the upstream"
                ),
            );
        }
        match role {
            Role::Upstream => upstream = Some(name),
            Role::Downstream => downstream = downstream.or(Some(&phyint.name)),
            Role::Disabled => {}
        }
        if phyint.is_role_default {
            out.warn(
                *line,
                format!("{name} has no role, which makes it {} there", role.name()),
            );
        }
        out.key("role", role.name());
        write_details(out, phyint);
    }
    match (downstream, defaultdown) {
        (Some(_), _) => Ok(()),
        (None, Some(line)) => Err(Problem::new(
            format!(
                "defaultdown on line {line} makes every other interface downstream, and none is named"
            ),
            "add a line `phyint IF downstream` for each that has receivers, and import it again",
        )),
        (None, None) => Err(Problem::new(
            "no interface in it is downstream",
            "name the file with the interfaces that have receivers",
        )),
    }
}

/// All but name and role.
fn write_details(out: &mut Document, phyint: &Phyint) {
    for At { line, value } in &phyint.unmatched {
        out.warn(*line, value);
    }
    if let Some(At { line, value }) = &phyint.threshold {
        match value.parse::<u8>() {
            Ok(threshold @ 1..) => out.key("threshold", i64::from(threshold)),
            _ => out.warn(
                *line,
                format!("threshold {value} is left out: it is not 1 to 255"),
            ),
        }
    }
    write_alt_subnets(out, &phyint.alt_subnets);
    write_groups(out, &phyint.groups);
}

fn write_alt_subnets(out: &mut Document, entries: &[At<String>]) {
    let mut alt_subnets = Vec::new();
    for At { line, value } in entries {
        let network = parse_network(value)
            .filter(|(network, _)| parse_source_network(&network.to_string()).is_ok());
        let Some((network, has_host_bits)) = network else {
            out.warn(
                *line,
                format!("{value} is left out: it is no network that sources can be in"),
            );
            continue;
        };
        if has_host_bits {
            warn_of_host_bits(out, *line, value, network);
        }
        if !alt_subnets.contains(&network) {
            alt_subnets.push(network);
        }
    }
    if !alt_subnets.is_empty() {
        out.key("alt_subnets", texts(alt_subnets));
    }
}

fn write_groups(out: &mut Document, entries: &[(List, At<String>)]) {
    let mut networks = Vec::new();
    let mut places = Vec::new();
    for (list, At { line, value }) in entries {
        let Some((network, has_host_bits)) = parse_network(value) else {
            let name = list.name();
            out.warn(
                *line,
                format!("{name} {value} is left out: it is no network"),
            );
            continue;
        };
        if has_host_bits {
            warn_of_host_bits(out, *line, value, network);
        }
        networks.push((*list, network));
        places.push(*line);
    }
    let TakenOver {
        filter: GroupFilter {
            whitelist,
            blacklist,
        },
        without_effect,
        serves_nothing,
    } = take_over(&networks);
    for (index, decider) in without_effect {
        let (list, network) = networks[index];
        let why = match decider {
            None => "it is not multicast".to_owned(),
            Some(later) => format!(
                "it has no effect there either, since the last match decides and {} {} on line {} contains it",
                networks[later].0.name(),
                networks[later].1,
                places[later]
            ),
        };
        out.warn(
            places[index],
            format!("{} {network} is left out: {why}", list.name()),
        );
    }
    if serves_nothing && let Some(first) = places.first() {
        out.warn(
            *first,
            "these lists serve no group at all, there as here: what the whitelist has is blacklisted or no group",
        );
    }
    for (key, networks) in [("whitelist", whitelist), ("blacklist", blacklist)] {
        if !networks.is_empty() {
            out.key(key, texts(networks));
        }
    }
}

fn warn_of_host_bits(out: &mut Document, line: usize, written: &str, network: ipnet::Ipv4Net) {
    out.warn(
        line,
        format!("{written} matches nothing there, since it is not the first address of its network; read as {network}"),
    );
}
