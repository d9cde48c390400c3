//! `interface` views: the `igmp` lines.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use toml::Value;

use super::names::Names;
use super::no_counterpart;
use super::views::{Line, View};
use crate::config::Role;
use crate::config::address::{parse_group, parse_source};
use crate::config::import::document::{Document, table};
use crate::config::import::{At, at};

/// Static groups that one line can stand for; VRP takes 512.
const MOST_STATIC_GROUPS: u32 = 512;
/// Source-specific groups (RFC 4607 section 1) and those that no router forwards (RFC 5771 section 4).
const SSM: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(232, 0, 0, 0), 8);
const LINK_LOCAL: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24);

/// VRP's defaults: RFC 2236's version, and a Query Interval shorter than that of RFC 9776 section 8.2.
pub(super) const VERSION: i64 = 2;
pub(super) const QUERY_INTERVAL: i64 = 60;
/// Query Response Interval, RFC 9776 section 8.3, of VRP as of us.
const RESPONSE_TIME: i64 = 10;

/// A key of ours and its value.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) line: usize,
    pub(super) key: &'static str,
    pub(super) value: Value,
}

impl Setting {
    /// The number, of seconds where it is a time.
    fn number(&self) -> Option<i64> {
        match &self.value {
            Value::String(time) => time.strip_suffix('s')?.parse().ok(),
            value => value.as_integer(),
        }
    }
}

/// One interface with `igmp` lines.
pub(super) struct Interface<'a> {
    pub(super) line: usize,
    /// Its name there.
    pub(super) title: &'a str,
    /// Its name here.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) ssm_mapping: bool,
    /// The access lists it names, by number or name.
    pub(super) acls: Vec<String>,
    /// The profile it is backed up with.
    pub(super) backup: Option<&'a str>,
    timers: Vec<Setting>,
    /// What only a downstream interface can have.
    policy: Vec<Setting>,
    static_groups: Vec<At<(Ipv4Addr, Option<Ipv4Addr>)>>,
    addresses: Vec<String>,
    /// What is left out or differs, and why.
    unmatched: Vec<At<String>>,
}

/// Reads the view of an interface.
pub(super) fn read<'a>(view: &View<'a>, names: &mut Names) -> Interface<'a> {
    let title = view.title();
    let mut interface = Interface {
        line: view.head.number,
        title,
        name: names.name(title),
        role: Role::Disabled,
        ssm_mapping: false,
        acls: Vec::new(),
        backup: None,
        timers: Vec::new(),
        policy: Vec::new(),
        static_groups: Vec::new(),
        addresses: Vec::new(),
        unmatched: Vec::new(),
    };
    for line in &view.body {
        interface.read_line(line);
    }
    interface
}

impl<'a> Interface<'a> {
    fn read_line(&mut self, line: &Line<'a>) {
        match line.words[..] {
            ["igmp", ref words @ ..] => {
                let inner = Line {
                    number: line.number,
                    words: words.to_vec(),
                };
                self.read_igmp(line, &inner);
            }
            ["ip", "address", address, mask, ..] => self.addresses.push(network(address, mask)),
            ["remote-backup-profile", profile] => self.backup = Some(profile),
            ["ip", "binding", "vpn-instance", instance] => self.leave_out(
                line,
                format!(
                    "VPN instances have no counterpart: {} is in {instance}",
                    self.title
                ),
            ),
            ["multicast", "boundary", ..] => self.leave_out(
                line,
                format!(
                    "`{}` is left out; a blacklist with those groups does the same",
                    line.words.join(" ")
                ),
            ),
            ["undo", "igmp", ..] => self.unmatched.push(no_counterpart(line)),
            _ => {}
        }
    }

    /// `whole` is the line, `igmp` what follows that word in it.
    fn read_igmp(&mut self, whole: &Line<'a>, igmp: &Line<'a>) {
        match igmp.words[..] {
            ["enable"] if self.role == Role::Disabled => self.role = Role::Downstream,
            ["enable"] => {}
            ["proxy"] => self.role = Role::Upstream,
            ["proxy", "backup", ..] => self.leave_out(
                whole,
                "a backup upstream has no counterpart: there is one upstream".into(),
            ),
            ["ssm-mapping", "enable"] => self.ssm_mapping = true,
            ["prompt-leave", ref policy @ ..] => self.read_prompt_leave(whole, policy),
            ["group-policy", ref policy @ ..] => self.read_group_policy(whole, policy),
            ["limit", limit, ref except @ ..] => {
                self.read_limit(whole, limit);
                if !except.is_empty() {
                    self.leave_out(
                        whole,
                        format!("`{}`: every group counts in max_groups", except.join(" ")),
                    );
                }
            }
            ["static-group", group, ref options @ ..] => {
                self.read_static_group(whole, group, options);
            }
            ["timer", "other-querier-present", ..] => self.leave_out(
                whole,
                "the Other Querier Present Interval is derived, not set (RFC 9776 section 8.5)"
                    .into(),
            ),
            ["ip-source-policy", ..] | ["query", "ip-source-policy", ..] => self.leave_out(
                whole,
                format!(
                    "`{}` is left out; source_policy does this",
                    whole.words.join(" ")
                ),
            ),
            _ => match timer(igmp) {
                Some(Ok(setting)) if setting.key == "require_router_alert" => {
                    self.set_policy(setting);
                }
                Some(Ok(setting)) => {
                    self.timers.retain(|earlier| earlier.key != setting.key);
                    self.timers.push(setting);
                }
                Some(Err(why)) => self.unmatched.push(why),
                None => self.unmatched.push(no_counterpart(whole)),
            },
        }
    }

    fn read_prompt_leave(&mut self, line: &Line<'a>, policy: &[&str]) {
        let value = match policy {
            [] => Value::from(true),
            ["group-policy", reference @ ..] => match self.acl(reference) {
                Some(acl) => table([("group_policy", acl)]),
                None => return self.leave_out_list(line),
            },
            _ => return self.unmatched.push(no_counterpart(line)),
        };
        self.set_policy(Setting {
            line: line.number,
            key: "prompt_leave",
            value,
        });
    }

    /// `ACL [version]`.
    fn read_group_policy(&mut self, line: &Line<'a>, policy: &[&str]) {
        let (reference, version) = match policy {
            ["acl-name", _, version] => (&policy[..2], Some(version)),
            [acl, version] if *acl != "acl-name" => (&policy[..1], Some(version)),
            _ => (policy, None),
        };
        let Some(value) = self.acl(reference) else {
            return self.leave_out_list(line);
        };
        if let Some(version) = version {
            self.leave_out(
                line,
                format!("the group policy is for reports of version {version} there, here for all"),
            );
        }
        if self
            .policy
            .iter()
            .any(|setting| setting.key == "group_policy")
        {
            return self.leave_out(
                line,
                "a second group policy is left out: there is one for all versions".into(),
            );
        }
        self.set_policy(Setting {
            line: line.number,
            key: "group_policy",
            value,
        });
    }

    /// Reads `2000` or `acl-name NAME`, and notes that the list is used.
    fn acl(&mut self, reference: &[&str]) -> Option<Value> {
        let name = match reference {
            ["acl-name", name] | [name] => *name,
            _ => return None,
        };
        let value = match name.parse::<i64>() {
            Ok(number @ 2000..=3999) => Value::from(number),
            Err(_) if super::acl::is_name(name) => Value::from(name),
            Ok(_) | Err(_) => return None,
        };
        self.acls.push(name.to_owned());
        Some(value)
    }

    fn read_limit(&mut self, line: &Line<'a>, limit: &str) {
        match limit.parse::<i64>() {
            Ok(groups @ 1..=1_048_576) => self.set_policy(Setting {
                line: line.number,
                key: "max_groups",
                value: groups.into(),
            }),
            _ => self.leave_out(
                line,
                format!("limit {limit} is left out: it is not 1 to 1048576"),
            ),
        }
    }

    /// `GROUP [inc-step-mask MASK number N] [source S]`: N groups, each a step above the one before.
    fn read_static_group(&mut self, line: &Line<'a>, group: &str, options: &[&str]) {
        let option = |name| {
            let at = options.iter().position(|word| *word == name)?;
            options.get(at + 1).copied()
        };
        let count = option("number").map_or(Some(1), |number| number.parse().ok());
        let step = option("inc-step-mask").map_or(Some(1), step);
        let source = option("source").map(parse_source).transpose();
        let (Ok(first), Some(count @ 1..=MOST_STATIC_GROUPS), Some(step), Ok(source)) =
            (parse_group(group), count, step, source)
        else {
            return self.leave_out(
                line,
                format!("`{}` is left out: it is no group", line.words.join(" ")),
            );
        };
        for index in 0..count {
            let address = step
                .checked_mul(index)
                .and_then(|offset| u32::from(first).checked_add(offset));
            let group = address.map(Ipv4Addr::from).filter(Ipv4Addr::is_multicast);
            let why = match group {
                None => "the groups end before".to_owned(),
                Some(group) if LINK_LOCAL.contains(&group) => format!("no router forwards {group}"),
                Some(group) if SSM.contains(&group) && source.is_none() => {
                    format!("{group} is source-specific: name its source")
                }
                Some(group) => {
                    if self
                        .static_groups
                        .iter()
                        .all(|known| known.value != (group, source))
                    {
                        self.static_groups.push(at(line.number, (group, source)));
                    }
                    continue;
                }
            };
            return self.leave_out(
                line,
                format!(
                    "`{}`: {why}; it is left out from there",
                    line.words.join(" ")
                ),
            );
        }
    }

    /// The last line of a kind counts, as on the router.
    fn set_policy(&mut self, setting: Setting) {
        self.policy.retain(|earlier| earlier.key != setting.key);
        self.policy.push(setting);
    }

    fn leave_out(&mut self, line: &Line<'a>, why: String) {
        self.unmatched.push(at(line.number, why));
    }

    fn leave_out_list(&mut self, line: &Line<'a>) {
        self.leave_out(
            line,
            format!(
                "`{}` is left out: it names no list from 2000 to 3999",
                line.words.join(" ")
            ),
        );
    }

    /// Timers that the router takes and RFC 9776 does not; `defaults` is the view `igmp`.
    pub(super) fn reconcile(&mut self, defaults: &[Setting]) {
        let seconds = |key, built_in| {
            let mut settings = self.timers.iter().chain(defaults);
            let value = settings.find(|setting| setting.key == key);
            value.and_then(Setting::number).unwrap_or(built_in)
        };
        let version = seconds("version", VERSION);
        let query = seconds("query_interval", QUERY_INTERVAL);
        let mut response = seconds("query_response_interval", RESPONSE_TIME);
        if version == 1 && response != RESPONSE_TIME {
            response = RESPONSE_TIME;
            let why = "version 1 prescribes it (RFC 2236 section 4)";
            self.correct("query_response_interval", response, why);
        }
        if response >= query {
            let why = "it has to exceed query_response_interval (RFC 9776 section 8.3)";
            self.correct("query_interval", response + 1, why);
        }
    }

    fn correct(&mut self, key: &'static str, seconds: i64, why: &str) {
        let earlier = self.timers.iter().find(|setting| setting.key == key);
        let line = earlier.map_or(self.line, |setting| setting.line);
        self.unmatched
            .push(at(line, format!("{key} is {seconds}s here: {why}")));
        self.timers.retain(|setting| setting.key != key);
        self.timers.push(Setting {
            line,
            key,
            value: format!("{seconds}s").into(),
        });
    }

    /// Writes it; `upstream` is another interface that is the upstream already.
    pub(super) fn write(&self, out: &mut Document, upstream: Option<&str>) {
        out.section("[[interface]]", self.line);
        out.warn(
            self.line,
            format!(
                "{} is called {} here; write the name that Linux has for it",
                self.title, self.name
            ),
        );
        for address in &self.addresses {
            out.comment(&format!("address there: {address}"));
        }
        out.key("name", self.name.as_str());
        let role = match (self.role, upstream) {
            (Role::Upstream, Some(first)) => {
                out.warn(
                    self.line,
                    format!("{} is a second upstream, after {first}, and there can be one (RFC 4605 section 4)", self.title),
                );
                Role::Disabled
            }
            (role, _) => role,
        };
        if self.role == Role::Disabled {
            out.warn(
                self.line,
                format!("{} has no `igmp enable`, so it is disabled", self.title),
            );
        }
        out.key("role", role.name());
        for At { line, value } in &self.unmatched {
            out.warn(*line, value);
        }
        write_settings(out, &self.timers);
        if self.role == Role::Upstream {
            self.warn_of_policy(out);
        } else {
            write_settings(out, &self.policy);
            self.write_static_groups(out);
        }
    }

    fn warn_of_policy(&self, out: &mut Document) {
        let settings = self
            .policy
            .iter()
            .map(|setting| (setting.line, setting.key));
        let groups = self
            .static_groups
            .iter()
            .map(|group| (group.line, "static_groups"));
        for (line, key) in settings.chain(groups) {
            out.warn(
                line,
                format!(
                    "{key} is left out: {} is upstream, and hosts join downstream",
                    self.title
                ),
            );
        }
    }

    fn write_static_groups(&self, out: &mut Document) {
        if self.static_groups.is_empty() {
            return;
        }
        let rows = self.static_groups.iter().map(
            |&At {
                 line,
                 value: (group, source),
             }| {
                let group = Value::from(group.to_string());
                let value = match source {
                    None => group,
                    Some(source) => {
                        table([("group", group), ("source", source.to_string().into())])
                    }
                };
                (value, format!("line {line}"))
            },
        );
        out.rows("static_groups", rows);
    }
}

/// Reads a line that an interface and the view `igmp` share; `None` when it is none of them.
pub(super) fn timer(line: &Line<'_>) -> Option<Result<Setting, At<String>>> {
    let seconds = |number: i64| Value::from(format!("{number}s"));
    let (key, text, range, value): (_, &str, _, fn(i64) -> Value) = match line.words[..] {
        ["version", number] => ("version", number, 1..=3, Value::from),
        ["robust-count", number] => ("robustness", number, 1..=7, Value::from),
        ["timer", "query", number] => ("query_interval", number, 1..=31_744, seconds),
        ["max-response-time", number] => ("query_response_interval", number, 1..=25, seconds),
        ["lastmember-queryinterval", number] => {
            ("last_member_query_interval", number, 1..=25, seconds)
        }
        ["require-router-alert"] => {
            return Some(Ok(Setting {
                line: line.number,
                key: "require_router_alert",
                value: true.into(),
            }));
        }
        _ => return None,
    };
    let number = text.parse().ok().filter(|number| range.contains(number));
    Some(number.map_or_else(
        || {
            let words = line.words.join(" ");
            let (low, high) = (range.start(), range.end());
            Err(at(
                line.number,
                format!("`{words}` is left out: {key} is {low} to {high}"),
            ))
        },
        |number| {
            Ok(Setting {
                line: line.number,
                key,
                value: value(number),
            })
        },
    ))
}

pub(super) fn write_settings(out: &mut Document, settings: &[Setting]) {
    for Setting { line, key, value } in settings {
        out.noted_key(key, value.clone(), &format!("line {line}"));
    }
}

/// `0.0.1.0`, or a prefix length: 24 is the same.
fn step(mask: &str) -> Option<u32> {
    match mask.parse::<Ipv4Addr>() {
        Ok(step) => Some(u32::from(step)),
        Err(_) => match mask.parse().ok()? {
            length @ 1..=32_u32 => Some(1 << (32 - length)),
            _ => None,
        },
    }
    .filter(|step| *step > 0)
}

fn network(address: &str, mask: &str) -> String {
    let prefix = mask
        .parse()
        .ok()
        .and_then(|mask| ipnet::ipv4_mask_to_prefix(mask).ok());
    let prefix = prefix.map_or_else(|| mask.to_owned(), |prefix| prefix.to_string());
    format!("{address}/{prefix}")
}
