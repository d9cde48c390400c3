//! Huawei VRP, as `display current-configuration` prints it.

mod acl;
mod backup;
mod interface;
mod names;
mod views;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Value;

use self::interface::{Interface, Setting};
use self::names::Names;
use self::views::{Line, View};
use super::document::{Document, table, texts};
use super::{At, Imported, at};
use crate::config::address::{parse_groups, parse_source};
use crate::config::{Problem, Role};

/// The parts of the file that matter.
#[derive(Default)]
struct File<'a> {
    interfaces: Vec<Interface<'a>>,
    /// Interfaces with PIM and without IGMP: where sources may be.
    pim: Vec<At<&'a str>>,
    /// `igmp`, the view.
    defaults: Vec<Setting>,
    max_groups: Option<At<i64>>,
    ssm_mappings: Vec<At<(Ipv4Net, Ipv4Addr)>>,
    /// What is left out, and why.
    unmatched: Vec<At<String>>,
}

pub(super) fn import(text: &str) -> Result<Imported, Problem> {
    let views = views::read(text);
    let mut file = File::default();
    let mut names = Names::default();
    for view in &views {
        file.read(view, &mut names);
    }
    if file.interfaces.is_empty() {
        return Err(Problem::new(
            "no interface view in it has an `igmp` line",
            "save the output of `display current-configuration` and name that file",
        ));
    }
    if file
        .interfaces
        .iter()
        .all(|interface| interface.role != Role::Downstream)
    {
        return Err(Problem::new(
            "no interface view in it has `igmp enable`",
            "enable IGMP where the receivers are, or write the file by hand",
        ));
    }

    for interface in &mut file.interfaces {
        interface.reconcile(&file.defaults);
    }
    let mut out = Document::new("a configuration of Huawei VRP");
    if !file.unmatched.is_empty() {
        out.gap();
    }
    for At { line, value } in &file.unmatched {
        out.warn(*line, value);
    }
    write_defaults(&mut out, &file.defaults);
    file.write_policy(&mut out);
    acl::write(&mut out, &views, &file.used_acls());
    file.write_interfaces(&mut out);
    backup::write(&mut out, &views, &file.interfaces);
    Ok(out.finish())
}

impl<'a> File<'a> {
    fn read(&mut self, view: &View<'a>, names: &mut Names) {
        match view.head.words[..] {
            ["interface", _, ..] => self.read_interface(view, names),
            ["igmp"] => {
                for line in &view.body {
                    self.read_global(line);
                }
            }
            ["igmp", "vpn-instance", instance] => self.unmatched.push(at(
                view.head.number,
                format!(
                    "VPN instances have no counterpart: igmp vpn-instance {instance} is left out"
                ),
            )),
            ["igmp", "global", "limit", limit] => self.read_limit(view.head.number, limit),
            ["pim"] => {
                let mut lines = view.body.iter();
                if let Some(line) = lines.find(|line| line.words.first() == Some(&"ssm-policy")) {
                    self.unmatched.push(at(
                        line.number,
                        "ssm-policy is not read; write its groups as ssm_ranges in [policy] (default: 232.0.0.0/8)".into(),
                    ));
                }
            }
            ["igmp", ..] | ["undo", "igmp", ..] => self.unmatched.push(no_counterpart(&view.head)),
            _ => {}
        }
    }

    fn read_interface(&mut self, view: &View<'a>, names: &mut Names) {
        let has = |word| {
            view.body
                .iter()
                .any(|line| line.words.first() == Some(&word))
        };
        if has("igmp") {
            self.interfaces.push(interface::read(view, names));
        } else if has("pim") {
            self.pim.push(at(view.head.number, view.title()));
        }
    }

    /// A line of the view `igmp`.
    fn read_global(&mut self, line: &Line<'a>) {
        match line.words[..] {
            ["limit", limit] => self.read_limit(line.number, limit),
            ["ssm-mapping", group, mask, source] => match mapping(group, mask, source) {
                Some(mapping) => self.ssm_mappings.push(at(line.number, mapping)),
                None => self.unmatched.push(at(
                    line.number,
                    format!("ssm-mapping {group} {mask} {source} is left out: it is no group, mask and source"),
                )),
            },
            _ => match interface::timer(line) {
                Some(Ok(setting)) => {
                    self.defaults.retain(|earlier| earlier.key != setting.key);
                    self.defaults.push(setting);
                }
                Some(Err(why)) => self.unmatched.push(why),
                None => self.unmatched.push(no_counterpart(line)),
            },
        }
    }

    fn read_limit(&mut self, line: usize, limit: &str) {
        match limit.parse() {
            Ok(groups @ 1..=1_048_576) => self.max_groups = Some(at(line, groups)),
            _ => self.unmatched.push(at(
                line,
                format!("limit {limit} is left out: it is not 1 to 1048576"),
            )),
        }
    }

    /// The access lists that the interfaces name; the others of a router are about routes and logins.
    fn used_acls(&self) -> BTreeSet<String> {
        let used = self.interfaces.iter().flat_map(|interface| &interface.acls);
        used.cloned().collect()
    }

    fn write_policy(&self, out: &mut Document) {
        if self.max_groups.is_none() && self.ssm_mappings.is_empty() {
            return;
        }
        out.section("[policy]", None);
        if let Some(At { line, value }) = self.max_groups {
            out.noted_key("max_groups", value, &format!("line {line}"));
        }
        self.write_ssm_mapping(out);
    }

    /// There a mapping holds on the interfaces with `igmp ssm-mapping enable`, here on all.
    fn write_ssm_mapping(&self, out: &mut Document) {
        let Some(first) = self.ssm_mappings.first() else {
            return;
        };
        let downstream = || {
            self.interfaces
                .iter()
                .filter(|i| i.role == Role::Downstream)
        };
        let without: Vec<_> = downstream()
            .filter(|i| !i.ssm_mapping)
            .map(|i| i.title)
            .collect();
        if without.len() == downstream().count() {
            out.warn(
                first.line,
                "ssm-mapping is left out: no interface has it enabled",
            );
            return;
        }
        if !without.is_empty() {
            out.warn(
                first.line,
                format!(
                    "ssm_mapping holds for every interface here; there not for {}",
                    without.join(" ")
                ),
            );
        }
        // Here the first mapping that has the group decides alone, there all that have it add their sources.
        let mut groups: Vec<(Ipv4Net, Vec<Ipv4Addr>, usize)> = Vec::new();
        for &At {
            line,
            value: (group, source),
        } in &self.ssm_mappings
        {
            match groups.iter_mut().find(|(known, ..)| *known == group) {
                Some((_, sources, _)) if sources.contains(&source) => {}
                Some((_, sources, _)) => sources.push(source),
                None => groups.push((group, vec![source], line)),
            }
        }
        groups.sort_by_key(|(group, ..)| std::cmp::Reverse(group.prefix_len()));
        for (index, (group, _, line)) in groups.iter().enumerate() {
            if let Some((wider, ..)) = groups[index + 1..]
                .iter()
                .find(|(wider, ..)| wider.contains(group))
            {
                out.warn(
                    *line,
                    format!("of {group} and {wider} only the first holds here, there both do"),
                );
            }
        }
        let rows = groups.into_iter().map(|(group, sources, line)| {
            let keys = [
                ("group", group.to_string().into()),
                ("sources", texts(sources)),
            ];
            (table(keys), format!("line {line}"))
        });
        out.rows("ssm_mapping", rows);
    }

    fn write_interfaces(&self, out: &mut Document) {
        let mut upstream = None;
        for interface in &self.interfaces {
            if interface.role == Role::Upstream {
                upstream = upstream.or(Some(interface.title));
            }
            let first = upstream.filter(|first| *first != interface.title);
            interface.write(out, first);
        }
        if upstream.is_some() {
            return;
        }
        let line = self.interfaces[0].line;
        let candidates: Vec<_> = self.pim.iter().map(|interface| interface.value).collect();
        let hint = if candidates.is_empty() {
            String::new()
        } else {
            format!("; without IGMP and with PIM are {}", candidates.join(" "))
        };
        out.gap();
        out.warn(
            line,
            format!(
                "no interface has `igmp proxy`: the router finds sources with PIM, igmpd behind one upstream interface. \
                 Name the one that leads to them below{hint}"
            ),
        );
        for commented in [
            "[[interface]]",
            "name = \"eth0\"",
            "role = \"upstream\"",
            "alt_subnets = [\"0.0.0.0/0\"]",
        ] {
            out.comment(commented);
        }
    }
}

/// `[igmp]`: what holds where an interface says nothing.
fn write_defaults(out: &mut Document, settings: &[Setting]) {
    out.section("[igmp]", None);
    let defaults = [
        ("version", Value::from(interface::VERSION)),
        (
            "query_interval",
            format!("{}s", interface::QUERY_INTERVAL).into(),
        ),
    ];
    for (key, value) in defaults {
        if settings.iter().all(|setting| setting.key != key) {
            out.noted_key(key, value, "VRP's default");
        }
    }
    interface::write_settings(out, settings);
}

fn mapping(group: &str, mask: &str, source: &str) -> Option<(Ipv4Net, Ipv4Addr)> {
    let address: Ipv4Addr = group.parse().ok()?;
    let group = match mask.parse::<Ipv4Addr>() {
        Ok(mask) => Ipv4Net::with_netmask(address, mask).ok()?,
        Err(_) => Ipv4Net::new(address, mask.parse().ok()?).ok()?,
    };
    let group = group.trunc();
    parse_groups(&group.to_string()).ok()?;
    Some((group, parse_source(source).ok()?))
}

fn no_counterpart(line: &Line<'_>) -> At<String> {
    at(
        line.number,
        format!(
            "`{}` has no counterpart; it is left out",
            line.words.join(" ")
        ),
    )
}
